//! The least IAM policy that each command of the operator's tool needs.
//!
//! Actions are those of the calls that the code makes (a test compares the two), resources as narrow as AWS lets them be.

use serde_json::{Value, json};
use watchdog_core::proposal::document::NAME as PLAN;

/// A command of the tool that asks AWS, or does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// `check`: reads files only.
    Check,
    /// `status`.
    Status,
    /// `run --dry-run`, with `--state-table`.
    Run,
    /// `who`, with `--state-table`.
    Who,
    /// `doctor`.
    Doctor,
    /// `backtest`, with `--since`.
    Backtest,
    /// `grant`, `grants`, `revoke`, `silence`, `silences` and `unsilence`: the function does the rest.
    Grant,
    /// `plan`, with `--since` and `--write`.
    Plan,
    /// `report`.
    Report,
}

/// Where a policy is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// The Region; `*` for any.
    pub region: String,
    /// The stack's name.
    pub stack: String,
}

/// CloudFormation cuts a stack's name to make names of at most 64 characters: what is left of it at least.
const CUT: usize = 24;

impl Command {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Check,
        Self::Status,
        Self::Run,
        Self::Who,
        Self::Doctor,
        Self::Backtest,
        Self::Grant,
        Self::Plan,
        Self::Report,
    ];

    /// As it is typed.
    pub fn word(self) -> &'static str {
        match self {
            Self::Check => "check",
            Self::Status => "status",
            Self::Run => "run",
            Self::Who => "who",
            Self::Doctor => "doctor",
            Self::Backtest => "backtest",
            Self::Grant => "grant",
            Self::Plan => "plan",
            Self::Report => "report",
        }
    }

    /// The actions and the resources they are needed on, statement by statement.
    pub fn statements(self, scope: &Scope) -> Vec<Statement> {
        let mut all = Vec::new();
        if self == Self::Grant {
            return scope.of_grant();
        }
        if self != Self::Check {
            all.push(Statement::new("ReadPolicy", &["ssm:GetParametersByPath"], scope.policy()));
            all.push(Statement::new("FindWorkgroups", &["athena:ListWorkGroups"], any()));
            all.push(Statement::new(
                "ReadWorkgroups",
                &["athena:GetWorkGroup"],
                vec![scope.arn("athena", "workgroup/*")],
            ));
        }
        match self {
            Self::Check | Self::Grant => {}
            Self::Status | Self::Run | Self::Who | Self::Backtest | Self::Plan | Self::Report => {
                all.push(Statement::new("ReadMetrics", &["cloudwatch:GetMetricData", "cloudwatch:ListMetrics"], any()));
            }
            Self::Doctor => {
                let metrics = ["cloudwatch:DescribeAlarms", "cloudwatch:GetMetricData", "cloudwatch:ListMetrics"];
                all.push(Statement::new("ReadAlarmsAndMetrics", &metrics, any()));
            }
        }
        if matches!(self, Self::Status | Self::Run | Self::Who | Self::Plan) {
            all.extend(scope.of_concurrency());
        }
        if matches!(self, Self::Run | Self::Who) {
            all.push(Statement::new("FindReservations", &["athena:ListCapacityReservations"], any()));
            let assigned = ["athena:GetCapacityAssignmentConfiguration"];
            let reservations = vec![scope.arn("athena", "capacity-reservation/*")];
            all.push(Statement::new("ReadReservations", &assigned, reservations));
        }
        if self == Self::Report {
            let queries = ["athena:BatchGetQueryExecution", "athena:ListQueryExecutions"];
            all.push(Statement::new("ReadQueries", &queries, vec![scope.arn("athena", "workgroup/*")]));
        }
        if matches!(self, Self::Run | Self::Who | Self::Report) {
            all.push(Statement::new("FindSubmitters", &["cloudtrail:LookupEvents"], any()));
            let users = vec![format!("arn:{}:iam::*:user/*", scope.partition())];
            all.push(Statement::new("ReadTheirAddress", &["iam:ListUserTags"], users));
        }
        let state: &[&str] = match self {
            Self::Check | Self::Backtest | Self::Grant | Self::Plan => &[],
            Self::Status => &["dynamodb:Query"],
            Self::Run | Self::Who | Self::Report => &["dynamodb:BatchGetItem", "dynamodb:Query"],
            Self::Doctor => &["dynamodb:DescribeTable", "dynamodb:DescribeTimeToLive", "dynamodb:Query"],
        };
        if !state.is_empty() {
            let table = vec![scope.arn("dynamodb", &format!("table/{}-StateTable-*", scope.stack))];
            all.push(Statement::new("ReadState", state, table));
        }
        if matches!(self, Self::Status | Self::Report) {
            all.push(scope.of_stack("FindTable", &["cloudformation:ListStackResources"]));
        }
        if self == Self::Plan {
            // One name: the stack's own document and those of others are nobody's to overwrite.
            let name = format!("parameter/athena-quota-watchdog/{}/policy/{PLAN}", scope.stack);
            all.push(Statement::new("WritePlan", &["ssm:PutParameter"], vec![scope.arn("ssm", &name)]));
        }
        if self == Self::Doctor {
            all.extend(scope.of_doctor());
        }
        all
    }

    /// The policy document.
    pub fn document(self, scope: &Scope) -> Value {
        let statements: Vec<Value> = self.statements(scope).iter().map(Statement::json).collect();
        json!({ "Version": "2012-10-17", "Statement": statements })
    }
}

/// One statement that allows something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// What for.
    pub sid: &'static str,
    /// The actions.
    pub actions: Vec<String>,
    /// On what.
    pub resources: Vec<String>,
}

impl Statement {
    fn new(sid: &'static str, actions: &[&str], resources: Vec<String>) -> Self {
        Self { sid, actions: actions.iter().map(|&action| action.to_owned()).collect(), resources }
    }

    fn json(&self) -> Value {
        json!({ "Sid": self.sid, "Effect": "Allow", "Action": self.actions, "Resource": self.resources })
    }
}

/// For actions that know no narrower resource.
fn any() -> Vec<String> {
    vec!["*".to_owned()]
}

impl Scope {
    fn partition(&self) -> &'static str {
        match self.region.split('-').next() {
            Some("cn") => "aws-cn",
            Some("us") if self.region.starts_with("us-gov-") => "aws-us-gov",
            _ => "aws",
        }
    }

    /// In any account: a policy of an identity never reaches beyond its own.
    fn arn(&self, service: &str, resource: &str) -> String {
        format!("arn:{}:{service}:{}:*:{resource}", self.partition(), self.region)
    }

    fn policy(&self) -> Vec<String> {
        let path = format!("parameter/athena-quota-watchdog/{}/policy", self.stack);
        vec![self.arn("ssm", &path), self.arn("ssm", &format!("{path}/*"))]
    }

    /// What a look at active and waiting queries reads beside the metrics.
    fn of_concurrency(&self) -> Vec<Statement> {
        let queries = ["athena:BatchGetQueryExecution", "athena:ListQueryExecutions"];
        let quotas = ["servicequotas:GetServiceQuota", "servicequotas:GetAWSDefaultServiceQuota"];
        vec![
            Statement::new("ReadQueries", &queries, vec![self.arn("athena", "workgroup/*")]),
            Statement::new("ReadQuotas", &quotas, any()),
        ]
    }

    fn of_grant(&self) -> Vec<Statement> {
        // Names are ASCII.
        let cut = &self.stack[..self.stack.len().min(CUT)];
        vec![
            self.of_stack("FindFunction", &["cloudformation:ListStackResources"]),
            Statement::new(
                "AskFunction",
                &["lambda:InvokeFunction"],
                vec![self.arn("lambda", &format!("function:{cut}*"))],
            ),
        ]
    }

    /// Which resources the stack has.
    fn of_stack(&self, sid: &'static str, actions: &[&str]) -> Statement {
        Statement::new(sid, actions, vec![self.arn("cloudformation", &format!("stack/{}/*", self.stack))])
    }

    fn of_doctor(&self) -> Vec<Statement> {
        // Names are ASCII.
        let cut = &self.stack[..self.stack.len().min(CUT)];
        vec![
            self.of_stack("FindResources", &["cloudformation:DescribeStacks", "cloudformation:ListStackResources"]),
            Statement::new(
                "ReadSchedule",
                &["scheduler:GetSchedule"],
                vec![self.arn("scheduler", &format!("schedule/default/{cut}*"))],
            ),
            Statement::new(
                "ReadAlarmTopic",
                &["sns:ListSubscriptionsByTopic"],
                vec![self.arn("sns", &format!("{}-AlarmTopic-*", self.stack))],
            ),
            Statement::new(
                "ReadSending",
                &["ses:GetAccountSendingEnabled", "ses:GetIdentityVerificationAttributes", "ses:GetSendQuota"],
                any(),
            ),
            Statement::new("ReadWhoMayQuery", &["iam:GetAccountAuthorizationDetails"], any()),
            Statement::new(
                "EvaluateWhoMayQuery",
                &["iam:SimulatePrincipalPolicy"],
                vec![
                    format!("arn:{}:iam::*:role/*", self.partition()),
                    format!("arn:{}:iam::*:user/*", self.partition()),
                ],
            ),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_stack_name_and_another_partition_are_met() {
        let scope = Scope { region: "cn-north-1".to_owned(), stack: "s".repeat(100) };
        let statements = Command::Doctor.statements(&scope);
        let schedule = statements.iter().find(|statement| statement.sid == "ReadSchedule").unwrap();
        assert_eq!(
            schedule.resources,
            [format!("arn:aws-cn:scheduler:cn-north-1:*:schedule/default/{}*", "s".repeat(24))]
        );
        let gov = Scope { region: "us-gov-west-1".to_owned(), stack: "s".to_owned() };
        assert!(Command::Status.statements(&gov)[0].resources[0].starts_with("arn:aws-us-gov:ssm:us-gov-west-1:*:"));
        assert!(Command::Check.statements(&gov).is_empty());
    }
}
