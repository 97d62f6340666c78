//! Least privilege, one to one: what goes over the wire in the stories, and what the function's role allows.
//!
//! The static half, which reads the source for the names of calls, is in `workspace`; whether each permission reaches the resources that are meant
//! and no others is decided by a simulator in `tests/deployed`.

use std::collections::BTreeSet;

use jiff::SignedDuration;
use lambda_runtime::LambdaEvent;
use serde_json::Value;

use super::{STORY, people};
use crate::workspace::allowed_by_the_role;

/// Every kind of invocation there is, and everything in the account that makes a run ask for more.
async fn actions() -> BTreeSet<String> {
    let mut stage = people::stage().await;
    {
        let mut world = stage.world.lock().expect("a world");
        world.reservations.push("etl-reserved".to_owned());
        world.has_default_quotas = true;
    }
    for run in 0..STORY.len() {
        stage.invoke(run, 2, None).await;
    }
    let feed: Value = serde_json::from_str(include_str!("../../../events/start-query-execution.json")).expect("JSON");
    let now = stage.begin + SignedDuration::from_hours(1);
    for event in [feed, serde_json::json!({ "list": "promises" }), serde_json::json!({ "dry_run": true })] {
        let event = LambdaEvent::new(event, stage.context(now));
        stage.function.handle_at(event, now).await.expect("no failure");
    }
    stage.world.lock().expect("a world").actions.clone()
}

#[tokio::test(start_paused = true)]
async fn each_permission_of_the_role_is_for_a_call_and_each_call_has_one() {
    let (called, allowed) = (actions().await, allowed_by_the_role());
    let without_permission: Vec<&String> = called.difference(&allowed).collect();
    let without_call: Vec<&String> = allowed.difference(&called).collect();
    assert!(without_permission.is_empty(), "called without a permission: {without_permission:?}");
    assert!(without_call.is_empty(), "permitted and never called: {without_call:?}");
    assert!(called.len() > 15, "{called:?}");
}
