//! Capacity reservations: on these queries wait for no others, and do not count against the account's quota.

use std::collections::BTreeSet;

use aws_sdk_athena::Client;
use aws_sdk_athena::types::CapacityReservationStatus;
use watchdog_core::occupancy::Reservations;

use crate::failure::AwsFailure;

const LIST: &str = "athena:ListCapacityReservations";
const ASSIGNED: &str = "athena:GetCapacityAssignmentConfiguration";

/// Pages of 50. An account has a handful.
const MOST_PAGES: usize = 4;
/// Reservations whose workgroups are asked for, one call each.
const MOST_ASKED: usize = 10;

/// The reservations that hold capacity, and the workgroups that run on them.
///
/// # Errors
/// [`AwsFailure`].
pub async fn reservations(client: &Client) -> Result<Reservations, AwsFailure> {
    let mut names = Vec::new();
    let mut token = None;
    for _ in 0..MOST_PAGES {
        let page = client.list_capacity_reservations().max_results(50).set_next_token(token).send().await;
        let page = page.map_err(|error| AwsFailure::of(LIST, &error))?;
        let over = [CapacityReservationStatus::Cancelled, CapacityReservationStatus::Failed];
        let held = page.capacity_reservations.into_iter().filter(|one| !over.contains(&one.status));
        names.extend(held.map(|one| one.name));
        token = page.next_token;
        if token.is_none() {
            break;
        }
    }
    let mut workgroups = BTreeSet::new();
    for name in names.iter().take(MOST_ASKED) {
        let assigned = client.get_capacity_assignment_configuration().capacity_reservation_name(name).send().await;
        let assigned = assigned.map_err(|error| AwsFailure::of(ASSIGNED, &error))?;
        let assignments = assigned.capacity_assignment_configuration.and_then(|all| all.capacity_assignments);
        workgroups.extend(assignments.into_iter().flatten().filter_map(|one| one.work_group_names).flatten());
    }
    Ok(Reservations::Known { names, workgroups })
}
