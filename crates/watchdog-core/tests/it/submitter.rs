//! CloudTrail's records in all their shapes, and which person each comes to.

use std::fs;
use std::path::PathBuf;

use expect_test::{Expect, expect};
use proptest::prelude::*;
use serde_json::{Value, json};
use watchdog_core::identity::{Tag, identify, words};
use watchdog_core::ledger::{decode_principal, encode_principal};
use watchdog_core::policy::Policy;
use watchdog_core::principal::{Principal, PrincipalKey};
use watchdog_core::submitter::{Reading, read, read_event, read_text};

use crate::support::{cases, policy};

/// A record of a query by somebody.
fn by(identity: Value) -> Value {
    json!({
        "eventID": "e-1", "eventName": "StartQueryExecution", "eventSource": "athena.amazonaws.com",
        "eventTime": "2026-03-01T14:00:00Z", "userIdentity": identity,
        "requestParameters": {"queryString": "SELECT 1", "workGroup": "exploratory"},
        "responseElements": {"queryExecutionId": "q-1"},
    })
}

fn shown(record: &Value) -> String {
    match read(record) {
        Ok(Reading::Submitted(s)) => {
            let at = s.at.map_or("at no time".to_owned(), |at| at.to_string());
            format!("{} in {} by {} {at}", s.query, s.workgroup, s.principal)
        }
        Ok(other) => format!("{other:?}"),
        Err(error) => error.to_string(),
    }
}

#[track_caller]
fn check(record: &Value, expected: Expect) {
    expected.assert_eq(&shown(record));
}

/// The principal, and what it comes to under [`rules`].
#[track_caller]
fn check_who(identity: Value, expected: Expect) {
    let Ok(Reading::Submitted(submission)) = read(&by(identity)) else { panic!("not read") };
    let policy = rules();
    let tag = match &submission.principal {
        Principal::User { name } if name == "ann" => Some(Tag::Value("ann@example.com".to_owned())),
        Principal::User { name } if name == "out" => Some(Tag::Value("out@evil.example".to_owned())),
        Principal::User { name } if name == "odd" => Some(Tag::Value("room 5".to_owned())),
        Principal::User { .. } => Some(Tag::Absent),
        _ => None,
    };
    let person = match identify(&submission.principal, tag.as_ref(), &policy.submitters, &policy.mail) {
        Ok(named) => format!("{} by {}", named.address, named.step.words()),
        Err(whys) => format!("nobody: {}", words(&whys)),
    };
    expected.assert_eq(&format!("{} is {person}", submission.principal));
    // What is written down is read back as it was.
    assert_eq!(decode_principal(&encode_principal(&submission.principal)), Ok(submission.principal));
}

fn rules() -> Policy {
    policy(
        r#"
        [submitters]
        people = { "role/etl" = "etl@example.com", "role/bi/dashboards" = "bi@example.com", "user/carl" = "carl@example.com",
                   "service/quicksight.amazonaws.com" = "quick@example.com", "identity-center/906-aa" = "ic@example.com",
                   "arn:aws:iam::123456789012:user/team/dora" = "dora@example.com", "root" = "root@example.com" }
        trusted_roles = ["named", "both"]
        trusted_source_identity = ["sourced", "both"]
        [[workgroup]]
        name = "*"
        per_query_cutoff = "1 GB"
        "#,
    )
}

fn assumed(role: &str, session: &str) -> Value {
    json!({
        "type": "AssumedRole", "principalId": format!("AROAX:{session}"),
        "arn": format!("arn:aws:sts::123456789012:assumed-role/{role}/{session}"),
        "sessionContext": {"sessionIssuer": {"type": "Role", "userName": role,
            "arn": format!("arn:aws:iam::123456789012:role/{role}")}},
    })
}

fn sso(session: &str) -> Value {
    let role = "AWSReservedSSO_Analysts_0123456789abcdef";
    let mut identity = assumed(role, session);
    identity["sessionContext"]["sessionIssuer"]["arn"] =
        json!(format!("arn:aws:iam::123456789012:role/aws-reserved/sso.amazonaws.com/eu-central-1/{role}"));
    identity
}

fn with_source(mut identity: Value, source: &str) -> Value {
    identity["sessionContext"]["sourceIdentity"] = json!(source);
    identity
}

#[test]
fn users() {
    let user = |name: &str| json!({"type": "IAMUser", "userName": name, "arn": format!("arn:aws:iam::1:user/{name}")});
    check_who(user("ann"), expect!["user/ann is ann@example.com by the IAM user's tag"]);
    check_who(user("bob"), expect!["user/bob is nobody: the IAM user has no tag `email`"]);
    check_who(user("carl"), expect!["user/carl is carl@example.com by the policy's mapping"]);
    check_who(user("out"), expect!["user/out is nobody: `out@evil.example` is outside the allowed domains"]);
    check_who(
        user("odd"),
        expect!["user/odd is nobody: the IAM user's tag `email` is `room 5`, which is no mail address"],
    );
    check_who(
        json!({"type": "IAMUser", "arn": "arn:aws-cn:iam::123456789012:user/team/dora"}),
        expect!["user/dora is dora@example.com by the policy's mapping"],
    );
    check_who(
        json!({"type": "IAMUser", "principalId": "AIDAX"}),
        expect!["IAMUser/AIDAX is nobody: only the policy's mapping can name its person"],
    );
    check_who(
        json!({"type": "Root", "arn": "arn:aws:iam::1:root"}),
        expect!["root is root@example.com by the policy's mapping"],
    );
}

#[test]
fn a_session_name_proves_something_for_identity_center_and_trusted_roles_only() {
    check_who(
        sso("ann@example.com"),
        expect![
            "role/AWSReservedSSO_Analysts_0123456789abcdef/ann@example.com is ann@example.com by the session's name"
        ],
    );
    check_who(
        sso("ann"),
        expect!["role/AWSReservedSSO_Analysts_0123456789abcdef/ann is nobody: the session's name is no mail address"],
    );
    check_who(
        sso("ceo@corp.example"),
        expect![
            "role/AWSReservedSSO_Analysts_0123456789abcdef/ceo@corp.example is nobody: `ceo@corp.example` is outside the allowed domains"
        ],
    );
    check_who(
        assumed("analyst", "ceo@example.com"),
        expect![
            "role/analyst/ceo@example.com is nobody: whoever assumes the role chooses the session's name, which proves nothing"
        ],
    );
    // A role that somebody named like Identity Center's, outside its path.
    check_who(
        assumed("AWSReservedSSO_Admins_0123456789abcdef", "ceo@example.com"),
        expect![
            "role/AWSReservedSSO_Admins_0123456789abcdef/ceo@example.com is nobody: whoever assumes the role chooses the session's name, which proves nothing"
        ],
    );
    check_who(
        assumed("named", "ann@example.com"),
        expect!["role/named/ann@example.com is ann@example.com by the session's name"],
    );
    check_who(
        assumed("named", "botocore-session-1"),
        expect!["role/named/botocore-session-1 is nobody: the session's name is no mail address"],
    );
    check_who(
        assumed("notebooks", "i-0abc"),
        expect![
            "role/notebooks/i-0abc is nobody: whoever assumes the role chooses the session's name, which proves nothing"
        ],
    );
    check_who(
        assumed("etl", "ceo@example.com"),
        expect!["role/etl/ceo@example.com is etl@example.com by the policy's mapping"],
    );
    check_who(assumed("bi", "dashboards"), expect!["role/bi/dashboards is bi@example.com by the policy's mapping"]);
    check_who(
        assumed("bi", "other"),
        expect!["role/bi/other is nobody: whoever assumes the role chooses the session's name, which proves nothing"],
    );
}

#[test]
fn a_source_identity_counts_where_it_is_trusted() {
    check_who(
        with_source(assumed("sourced", "x"), "ann@example.com"),
        expect!["role/sourced/x is ann@example.com by the source identity"],
    );
    check_who(
        with_source(assumed("analyst", "x"), "ceo@example.com"),
        expect![
            "role/analyst/x is nobody: whoever assumes the role chooses the session's name, which proves nothing; the policy does not trust the role's source identities"
        ],
    );
    check_who(
        with_source(assumed("both", "no address"), "ann@example.com"),
        expect!["role/both/no address is ann@example.com by the source identity"],
    );
    check_who(
        with_source(assumed("both", "bob@example.com"), "ann@example.com"),
        expect!["role/both/bob@example.com is bob@example.com by the session's name"],
    );
    check_who(
        with_source(assumed("sourced", "x"), "ann"),
        expect![
            "role/sourced/x is nobody: whoever assumes the role chooses the session's name, which proves nothing; the source identity is no mail address"
        ],
    );
}

#[test]
fn sessions_with_parts_missing() {
    check_who(
        json!({"type": "AssumedRole", "arn": "arn:aws:sts::1:assumed-role/named/ann@example.com"}),
        expect!["role/named/ann@example.com is ann@example.com by the session's name"],
    );
    check_who(
        json!({"type": "AssumedRole", "principalId": "AROAX:ann@example.com", "arn": "",
            "sessionContext": {"sessionIssuer": {"userName": "named"}}}),
        expect!["role/named/ann@example.com is ann@example.com by the session's name"],
    );
    check_who(
        json!({"type": "AssumedRole", "principalId": "AROAX:s", "sessionContext": {"sessionIssuer": {"arn": "arn:aws:iam::1:role/p/named"}}}),
        expect!["role/named/s is nobody: the session's name is no mail address"],
    );
    check_who(
        json!({"type": "AssumedRole", "principalId": "AROAX:s"}),
        expect!["AssumedRole/AROAX:s is nobody: only the policy's mapping can name its person"],
    );
}

#[test]
fn everybody_else() {
    check_who(
        json!({"type": "AWSService", "invokedBy": "quicksight.amazonaws.com"}),
        expect!["service/quicksight.amazonaws.com is quick@example.com by the policy's mapping"],
    );
    check_who(
        json!({"type": "AWSService", "invokedBy": "glue.amazonaws.com"}),
        expect!["service/glue.amazonaws.com is nobody: a service is no person"],
    );
    check_who(json!({"type": "AWSService"}), expect!["service/unknown is nobody: a service is no person"]);
    check_who(
        json!({"type": "FederatedUser", "arn": "arn:aws:sts::1:federated-user/ceo@example.com", "principalId": "1:ceo@example.com"}),
        expect!["federated/ceo@example.com is nobody: only the policy's mapping can name its person"],
    );
    check_who(
        json!({"type": "IdentityCenterUser", "onBehalfOf": {"userId": "906-aa", "identityStoreArn": "arn:aws:identitystore::1:identitystore/d-1"}}),
        expect!["identity-center/906-aa is ic@example.com by the policy's mapping"],
    );
    check_who(
        json!({"type": "AWSAccount", "accountId": "210987654321", "principalId": "AIDAX"}),
        expect!["AWSAccount/210987654321 is nobody: only the policy's mapping can name its person"],
    );
    check_who(
        json!({"type": "WebIdentityUser", "userName": "1234", "principalId": "accounts.google.com:app:1234"}),
        expect!["WebIdentityUser/1234 is nobody: only the policy's mapping can name its person"],
    );
    check_who(
        json!({"type": "SAMLUser", "userName": "ceo@example.com"}),
        expect!["SAMLUser/ceo@example.com is nobody: only the policy's mapping can name its person"],
    );
    check_who(
        json!({"type": "Directory", "userName": "jo"}),
        expect!["Directory/jo is nobody: only the policy's mapping can name its person"],
    );
    check_who(
        json!({"type": "Unknown", "userName": "me@example.com", "arn": ""}),
        expect!["Unknown/me@example.com is nobody: only the policy's mapping can name its person"],
    );
    check_who(
        json!({"arn": "arn:aws:iam::1:user/carl"}),
        expect!["user/carl is carl@example.com by the policy's mapping"],
    );
    check_who(
        json!({"invokedBy": "glue.amazonaws.com"}),
        expect!["service/glue.amazonaws.com is nobody: a service is no person"],
    );
    check_who(json!({}), expect!["Unknown is nobody: only the policy's mapping can name its person"]);
    check_who(json!(null), expect!["Unknown is nobody: only the policy's mapping can name its person"]);
    check_who(json!("IAMUser"), expect!["Unknown is nobody: only the policy's mapping can name its person"]);
}

#[test]
fn what_a_record_may_lack() {
    let ann = || json!({"type": "IAMUser", "userName": "ann"});
    check(&by(ann()), expect!["q-1 in exploratory by user/ann 2026-03-01T14:00:00Z"]);
    let mut record = by(ann());
    record["requestParameters"] = json!({"queryString": "HIDDEN_DUE_TO_SECURITY_REASONS"});
    check(&record, expect!["q-1 in primary by user/ann 2026-03-01T14:00:00Z"]);
    record["requestParameters"] = json!(null);
    record["eventTime"] = json!(1_772_373_600.25);
    check(&record, expect!["q-1 in primary by user/ann 2026-03-01T14:00:00.25Z"]);
    record["eventTime"] = json!("Mar 1, 2026 2:00 PM");
    check(&record, expect!["q-1 in primary by user/ann at no time"]);
    record.as_object_mut().unwrap().remove("eventSource");
    record.as_object_mut().unwrap().remove("eventTime");
    record.as_object_mut().unwrap().remove("userIdentity");
    check(&record, expect!["q-1 in primary by Unknown at no time"]);
    record["responseElements"] = json!(null);
    check(&record, expect!["Refused"]);
    record["eventName"] = json!("StopQueryExecution");
    check(&record, expect!["Foreign"]);
    let mut elsewhere = by(ann());
    elsewhere["eventSource"] = json!("evil.amazonaws.com");
    check(&elsewhere, expect!["Foreign"]);
}

#[test]
fn a_record_that_cannot_be_read_is_named() {
    let mut record = by(json!({}));
    record["responseElements"] = json!({"queryExecutionId": 7});
    check(&record, expect!["the CloudTrail record `e-1` cannot be read: its `queryExecutionId` is `7`"]);
    record["responseElements"] = json!({});
    check(
        &record,
        expect!["the CloudTrail record `e-1` cannot be read: its `responseElements` have no `queryExecutionId`"],
    );
    check(&json!([1]), expect!["the CloudTrail record `without an id` cannot be read: it is no JSON object"]);
    let error = read_text("e-9", "{\"eventName\": \"Sta").unwrap_err().to_string();
    assert!(error.starts_with("the CloudTrail record `e-9` cannot be read: it is no JSON: "), "{error}");
    assert!(read_text("e-9", "[]").unwrap_err().to_string().contains("`e-9`"));
}

#[test]
fn an_event_of_the_feed_holds_a_record() {
    let event = json!({"id": "b-1", "source": "aws.athena", "detail-type": "AWS API Call via CloudTrail", "detail": by(json!({"type": "Root"}))});
    assert!(matches!(read_event(&event), Some(Ok(Reading::Submitted(_)))));
    let mut text = event.clone();
    text["detail"] = json!(event["detail"].to_string());
    assert!(matches!(read_event(&text), Some(Ok(Reading::Submitted(_)))));
    let mut other = event.clone();
    other["source"] = json!("aws.s3");
    assert_eq!(read_event(&other), None);
    let mut change = event.clone();
    change["detail-type"] = json!("Athena Query State Change");
    assert_eq!(read_event(&change), None);
    let mut empty = event;
    empty.as_object_mut().unwrap().remove("detail");
    assert_eq!(
        read_event(&empty).unwrap().unwrap_err().to_string(),
        "the CloudTrail record `b-1` cannot be read: the event has no `detail`"
    );
}

#[test]
fn keys_of_the_policy() {
    let key = |text: &str| PrincipalKey::parse(text).map(|key| key.to_string()).map_err(|_| ());
    assert_eq!(key("arn:aws:iam::1:user/a/b/ann"), Ok("user/ann".to_owned()));
    assert_eq!(key("arn:aws-us-gov:iam::1:role/p/etl"), Ok("role/etl".to_owned()));
    assert_eq!(key("arn:aws:sts::1:assumed-role/etl/x"), Ok("role/etl/x".to_owned()));
    assert_eq!(key("arn:aws:iam::1:root"), Ok("root".to_owned()));
    for bad in [
        "ann",
        "user/",
        "user/a/b",
        "role/a/b/c",
        "role//x",
        "group/x",
        "arn:aws:s3:::b",
        "arn:aws:iam::1:role/",
        "",
        "role/a\u{202e}",
    ] {
        assert_eq!(key(bad), Err(()), "{bad}");
    }
}

/// AWS's own recorded identities, as they come with `lambda-events`.
#[test]
fn recorded_identities_are_read() {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let folder = here.ancestors().map(|up| up.join("shared/data/events")).find(|folder| folder.is_dir());
    let Some(folder) = folder else {
        eprintln!("skipped: the recorded events of lambda-events are not here");
        return;
    };
    let read = |name: &str| {
        let text = fs::read_to_string(folder.join(name)).unwrap();
        let record: Value = serde_json::from_str(&text).unwrap();
        let Ok(Reading::Submitted(submission)) = read(&by(record["userIdentity"].clone())) else { panic!("{name}") };
        submission.principal
    };
    let principal = read("example-cloudwatch-cloudtrail-assumed-role.json");
    assert_eq!(principal.to_string(), "role/AWSReservedSSO_AWSAdministratorAccess_abcdef1234567890/me@dev.com");
    assert!(matches!(principal, Principal::Session { by_identity_center: true, .. }), "{principal:?}");
    assert_eq!(read("example-cloudwatch-cloudtrail-unknown-federate.json").to_string(), "Unknown/me@dev.com");
    assert_eq!(read("example-cloudwatch-cloudtrail-unknown-user-auth.json").to_string(), "Unknown/123456789000");
}

/// Any JSON.
fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[ -~]{0,12}|ceo@example.com|arn:aws:sts::1:assumed-role/analyst/ceo@example.com".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 5, |inner| {
        let key = "[a-z]{1,4}|type|arn|userName|principalId|sessionContext|sessionIssuer|sourceIdentity|invokedBy";
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(key, inner, 0..5).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(cases(500))]

    /// Whatever stands in a record: no panic, and nobody outside the allowed domains, nor by a name that the caller chose.
    #[test]
    fn no_record_names_somebody_it_may_not(identity in json(), answer in json(), asked in json(), time in json()) {
        let mut record = by(identity);
        record["requestParameters"] = asked;
        record["eventTime"] = time;
        let mut odd = record.clone();
        odd["responseElements"] = answer;
        let _ = read(&odd);
        let Ok(Reading::Submitted(submission)) = read(&record) else { panic!("{record}") };
        let policy = policy("[[workgroup]]\nname = \"*\"\nper_query_cutoff = \"1 GB\"");
        prop_assert!(identify(&submission.principal, None, &policy.submitters, &policy.mail).is_err());
        let stored = decode_principal(&encode_principal(&submission.principal));
        prop_assert_eq!(stored, Ok(submission.principal));
    }
}
