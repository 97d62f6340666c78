//! What CloudFormation is answered.

use expect_test::{Expect, expect};
use serde_json::{Value, json};
use watchdog_core::stack::Request;

const POLICY: &str = r#"
[mail]
sender = "watchdog@example.com"
admins = ["ann@example.com"]
allowed_domains = ["example.com"]
[[workgroup]]
name = "predictable"
[[workgroup.limit]]
window = "1h"
quota = "1000 GB"
buffer = "10 %"
[[workgroup]]
name = "long-query"
[[workgroup.limit]]
window = "24h"
quota = "9999999 GB"
buffer = "100 %"
[[workgroup]]
name = "fast-query"
per_query_cutoff = "50 GB"
"#;

fn request(kind: &str, change: impl FnOnce(&mut Value)) -> Value {
    let mut event = json!({
        "RequestType": kind,
        "RequestId": "5f0b",
        "StackId": "arn:aws:cloudformation:eu-central-1:123456789012:stack/watchdog/1",
        "ResponseURL": "https://cloudformation-custom-resource-response-eucentral1.s3.eu-central-1.amazonaws.com/x",
        "ResourceType": "Custom::PolicyLimits",
        "LogicalResourceId": "Limits",
        "ResourceProperties": { "ServiceToken": "arn:aws:lambda:eu-central-1:123456789012:function:f", "Policy": POLICY },
    });
    change(&mut event);
    event
}

#[track_caller]
fn check(event: &Value, expected: Expect) {
    let answer: Value = serde_json::from_str(&Request::parse(event).unwrap().answer().json()).unwrap();
    assert_eq!((&answer["RequestId"], &answer["StackId"]), (&event["RequestId"], &event["StackId"]));
    assert_eq!(answer["LogicalResourceId"], event["LogicalResourceId"]);
    let id = answer["PhysicalResourceId"].as_str().unwrap();
    expected.assert_eq(&format!("{} {id} {} {}", answer["Status"], answer["Reason"], answer["Data"]));
}

#[test]
fn limits_are_given_in_bytes_as_a_run_would_compute_them() {
    let limits =
        expect![[r#""SUCCESS" Limits "" {"longquery24h":"19999998000000000","predictable1h":"1100000000000"}"#]];
    check(&request("Create", |_| {}), limits);
    let limits =
        expect![[r#""SUCCESS" old-id "" {"longquery24h":"19999998000000000","predictable1h":"1100000000000"}"#]];
    check(&request("Update", |event| event["PhysicalResourceId"] = json!("old-id")), limits);
}

#[test]
fn a_deletion_always_succeeds() {
    let gone = request("Delete", |event| {
        event["PhysicalResourceId"] = json!("Limits");
        event["ResourceProperties"] = json!({ "Policy": "no policy at all" });
    });
    check(&gone, expect![[r#""SUCCESS" Limits "" {}"#]]);
}

#[test]
fn what_is_wrong_is_answered_and_not_left_to_time_out() {
    let bad = request("Create", |event| {
        event["ResourceProperties"]["Policy"] = json!(POLICY.replace("10 %", "ten percent"));
    });
    check(
        &bad,
        expect![[
            r#""FAILED" Limits "the policy has problems:\nPolicy:11:10: `buffer`: `ten percent` is not a percentage: write a number from 0 to 10000 with at most two decimals and the sign, such as `80 %`" {}"#
        ]],
    );
    let none = request("Create", |event| event["ResourceProperties"] = json!({}));
    check(
        &none,
        expect![[
            r#""FAILED" Limits "`Custom::PolicyLimits` needs the property `Policy`: the text of a policy document" {}"#
        ]],
    );
    let other = request("Update", |event| event["ResourceType"] = json!("Custom::\nOther"));
    check(
        &other,
        expect![[
            r#""FAILED" Limits "`Custom:: Other` is not a resource of the watchdog: `Custom::PolicyLimits` is" {}"#
        ]],
    );
}

#[test]
fn an_answer_is_never_larger_than_cloudformation_takes() {
    let many = "[[workgroup]]\nname = \"\u{e4}\"\n".repeat(5_000);
    let answer =
        Request::parse(&request("Create", |e| e["ResourceProperties"]["Policy"] = json!(many))).unwrap().answer();
    assert!(answer.failure().is_some());
    assert!(answer.json().len() < 4_096, "{}", answer.json().len());
}

#[test]
fn other_events_are_not_cloudformations() {
    for event in [json!({}), json!([]), json!({ "dry_run": true }), json!({ "RequestType": "Create" })] {
        assert_eq!(Request::parse(&event), None, "{event}");
    }
}
