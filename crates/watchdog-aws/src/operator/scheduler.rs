//! What starts the runs.

use aws_sdk_scheduler::Client;
use aws_sdk_scheduler::types::ScheduleState;
use jiff::Timestamp;
use watchdog_core::checkup::Schedule;

use super::found;
use crate::failure::AwsFailure;

const GET: &str = "scheduler:GetSchedule";

/// A schedule of the default group; `None` where it does not exist.
///
/// # Errors
/// [`AwsFailure`].
pub async fn schedule(client: &Client, name: &str) -> Result<Option<Schedule>, AwsFailure> {
    let answer = client.get_schedule().name(name).send().await;
    let answer = found(answer.map_err(|error| AwsFailure::of(GET, &error)))?;
    Ok(answer.map(|answer| Schedule {
        name: name.to_owned(),
        expression: answer.schedule_expression().unwrap_or_default().to_owned(),
        enabled: answer.state() != Some(&ScheduleState::Disabled),
        target: answer.target().map_or("", |target| target.arn()).to_owned(),
        ends: answer.end_date().and_then(|at| Timestamp::from_second(at.secs()).ok()),
    }))
}
