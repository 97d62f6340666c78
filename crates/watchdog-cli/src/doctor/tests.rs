//! How a checkup looks.

use expect_test::{Expect, expect};
use jiff::tz::TimeZone;
use watchdog_core::checkup::{Blind, Check, Checkup, Finding, Place, Severity};

use super::*;

fn finding(severity: Severity, what: &str, remedy: &[&str]) -> Finding {
    Finding {
        severity,
        on: "workgroup/x".to_owned(),
        what: what.to_owned(),
        why: "Because it would hurt one day, and nobody would have been told of it before it did.".to_owned(),
        remedy: remedy.iter().map(|&command| command.to_owned()).collect(),
    }
}

fn check(id: &'static str, findings: Vec<Finding>, blind: Vec<Blind>) -> Check {
    Check { id, fine: format!("{id} as it should be, as far as anybody can tell from here"), findings, blind }
}

fn ill() -> Checkup {
    let denied = || Blind::Denied { operation: "iam:SimulatePrincipalPolicy".to_owned() };
    let command = "aws athena update-work-group --work-group exploratory --configuration-updates PublishCloudWatchMetricsEnabled=true";
    let checks = vec![
        check("policy", vec![], vec![]),
        check("watched", vec![finding(Severity::Note, "`primary` is watched by nobody", &[])], vec![]),
        check(
            "metrics",
            vec![finding(Severity::Critical, "workgroup `exploratory` publishes no metrics", &[command])],
            vec![],
        ),
        check("cutoffs", vec![finding(Severity::Warning, "a\u{1b}[2Jb", &["one", "two"])], vec![denied()]),
        check("confinement", vec![], vec![denied(), Blind::Bound("only 150 were looked at".to_owned())]),
    ];
    Checkup { checks }
}

fn shown<'a>(checkup: &'a Checkup, place: &'a Place) -> Shown<'a> {
    Shown { checkup, place, as_of: "2026-03-01T14:05:00Z".parse().unwrap(), zone: TimeZone::UTC }
}

fn place() -> Place {
    Place {
        partition: "aws".to_owned(),
        region: "eu-central-1".to_owned(),
        account: "111122223333".to_owned(),
        stack: "prod".to_owned(),
        policy_path: "/p".to_owned(),
        policy_from_files: false,
    }
}

#[track_caller]
fn looks(checkup: &Checkup, width: Option<usize>, expected: &Expect) {
    let place = place();
    let text = text::text(&shown(checkup, &place), Page { width, blocks: false });
    expected.assert_eq(&anstream::adapter::strip_str(&text).to_string());
}

#[test]
fn the_worst_comes_first_and_commands_stay_whole() {
    looks(
        &ill(),
        None,
        &expect![[r#"
            Checkup of the stack prod in eu-central-1, account 111122223333, as of 2026-03-01 14:05 UTC

            critical: workgroup `exploratory` publishes no metrics
              Because it would hurt one day, and nobody would have been told of it before it did.
                aws athena update-work-group --work-group exploratory --configuration-updates PublishCloudWatchMetricsEnabled=true

            warning: a\u{1b}[2Jb
              Because it would hurt one day, and nobody would have been told of it before it did.
                one
                two

            note: `primary` is watched by nobody
              Because it would hurt one day, and nobody would have been told of it before it did.

            unknown: cutoffs, confinement
              the permission `iam:SimulatePrincipalPolicy` is missing
                watchdog doctor --print-iam=doctor

            unknown: confinement
              only 150 were looked at

            Looked at
              fine      policy       policy as it should be, as far as anybody can tell from here
              note      watched      1 note, see above
              critical  metrics      1 finding, see above
              unknown   cutoffs      not all could be read, see above
              unknown   confinement  not all could be read, see above

            5 checks: 1 critical, 2 unknown, 1 note, 1 fine
        "#]],
    );
    looks(
        &ill(),
        Some(64),
        &expect![[r#"
            Checkup of the stack prod in eu-central-1, account 111122223333,
            as of 2026-03-01 14:05 UTC

            critical: workgroup `exploratory` publishes no metrics
              Because it would hurt one day, and nobody would have been told
              of it before it did.
                aws athena update-work-group --work-group exploratory --configuration-updates PublishCloudWatchMetricsEnabled=true

            warning: a\u{1b}[2Jb
              Because it would hurt one day, and nobody would have been told
              of it before it did.
                one
                two

            note: `primary` is watched by nobody
              Because it would hurt one day, and nobody would have been told
              of it before it did.

            unknown: cutoffs, confinement
              the permission `iam:SimulatePrincipalPolicy` is missing
                watchdog doctor --print-iam=doctor

            unknown: confinement
              only 150 were looked at

            Looked at
              fine      policy       policy as it should be, as far as
                                     anybody can tell from here
              note      watched      1 note, see above
              critical  metrics      1 finding, see above
              unknown   cutoffs      not all could be read, see above
              unknown   confinement  not all could be read, see above

            5 checks: 1 critical, 2 unknown, 1 note, 1 fine
        "#]],
    );
}

#[test]
fn a_healthy_one_is_a_list_of_what_was_looked_at() {
    let healthy = Checkup { checks: vec![check("policy", vec![], vec![]), check("table TTL", vec![], vec![])] };
    looks(
        &healthy,
        None,
        &expect![[r#"
        Checkup of the stack prod in eu-central-1, account 111122223333, as of 2026-03-01 14:05 UTC

        Looked at
          fine  policy     policy as it should be, as far as anybody can tell from here
          fine  table TTL  table TTL as it should be, as far as anybody can tell from here

        2 checks: 2 fine
    "#]],
    );
}

#[test]
fn colour_goes_with_words_that_say_the_same() {
    let place = place();
    let ill = ill();
    let styled = text::text(&shown(&ill, &place), Page { width: None, blocks: true });
    assert!(styled.contains("\u{1b}["));
    assert!(!styled.contains("\u{1b}[2J"), "other people's text steers nothing");
}

#[test]
fn scripts_get_everything() {
    let place = place();
    let ill = ill();
    let json = serde_json::to_string_pretty(&answer::Answer::of(&shown(&ill, &place))).unwrap();
    expect![[r#"
        {
          "as_of": "2026-03-01T14:05:00Z",
          "stack": "prod",
          "region": "eu-central-1",
          "account": "111122223333",
          "outcome": "unknown",
          "checks": [
            {
              "id": "policy",
              "outcome": "fine",
              "fine": "policy as it should be, as far as anybody can tell from here",
              "findings": [],
              "unknown": []
            },
            {
              "id": "watched",
              "outcome": "note",
              "fine": null,
              "findings": [
                {
                  "severity": "note",
                  "where": "workgroup/x",
                  "what": "`primary` is watched by nobody",
                  "why": "Because it would hurt one day, and nobody would have been told of it before it did.",
                  "remedy": []
                }
              ],
              "unknown": []
            },
            {
              "id": "metrics",
              "outcome": "critical",
              "fine": null,
              "findings": [
                {
                  "severity": "critical",
                  "where": "workgroup/x",
                  "what": "workgroup `exploratory` publishes no metrics",
                  "why": "Because it would hurt one day, and nobody would have been told of it before it did.",
                  "remedy": [
                    "aws athena update-work-group --work-group exploratory --configuration-updates PublishCloudWatchMetricsEnabled=true"
                  ]
                }
              ],
              "unknown": []
            },
            {
              "id": "cutoffs",
              "outcome": "unknown",
              "fine": null,
              "findings": [
                {
                  "severity": "warning",
                  "where": "workgroup/x",
                  "what": "a\u001b[2Jb",
                  "why": "Because it would hurt one day, and nobody would have been told of it before it did.",
                  "remedy": [
                    "one",
                    "two"
                  ]
                }
              ],
              "unknown": [
                {
                  "why": "the permission `iam:SimulatePrincipalPolicy` is missing",
                  "permission": "iam:SimulatePrincipalPolicy"
                }
              ]
            },
            {
              "id": "confinement",
              "outcome": "unknown",
              "fine": null,
              "findings": [],
              "unknown": [
                {
                  "why": "the permission `iam:SimulatePrincipalPolicy` is missing",
                  "permission": "iam:SimulatePrincipalPolicy"
                },
                {
                  "why": "only 150 were looked at",
                  "permission": null
                }
              ]
            }
          ]
        }"#]].assert_eq(&json);
}

#[test]
fn the_exit_codes_are_those_of_the_contract() {
    let exit = |findings, blind| Exit::from(Checkup { checks: vec![check("x", findings, blind)] }.outcome());
    let critical = || vec![finding(Severity::Critical, "x", &[])];
    assert_eq!(exit(vec![], vec![]), Exit::Fine);
    assert_eq!(exit(vec![finding(Severity::Note, "x", &[])], vec![]), Exit::Fine);
    assert_eq!(exit(vec![finding(Severity::Warning, "x", &[])], vec![]), Exit::Over);
    assert_eq!(exit(critical(), vec![]), Exit::Over);
    assert_eq!(exit(critical(), vec![Blind::After("x".to_owned())]), Exit::Unseen);
}
