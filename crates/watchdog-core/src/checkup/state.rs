//! The state of an account, as far as the watchdog hangs on it. Plain values; where something could not be read, why.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jiff::{SignedDuration, Timestamp};

use crate::bytes::Bytes;
use crate::ledger::StoredPolicy;
use crate::policy::Document;
use crate::usage::Listed;

/// What was read, or why it was not.
pub type Read<T> = Result<T, Blind>;

/// Why something is not known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Blind {
    /// AWS refused the question.
    Denied {
        /// The permission that lacks, such as `iam:SimulatePrincipalPolicy`.
        operation: String,
    },
    /// AWS did not answer it.
    Failed {
        /// Service and operation.
        operation: String,
        /// The code and what AWS said.
        why: String,
    },
    /// It hangs on something else that is not known, said here in words.
    After(String),
    /// A bound of ours was reached, said here in words: the rest was not looked at.
    Bound(String),
}

/// Which installation, for commands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// `aws`, `aws-cn`, `aws-us-gov`.
    pub partition: String,
    /// The Region.
    pub region: String,
    /// The account's number.
    pub account: String,
    /// The stack's name.
    pub stack: String,
    /// The path of the policy's parameters in SSM.
    pub policy_path: String,
    /// Whether the policy was read from files instead: then it is not the one in force.
    pub policy_from_files: bool,
}

/// Everything that was read.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    /// Of what.
    pub place: Place,
    /// By this machine's clock.
    pub now: Timestamp,
    /// AWS's clock less this machine's, from the answer that came quickest; `None` where no answer said the time.
    pub clock: Option<SignedDuration>,
    /// The stack's resources; `None` where there is no such stack.
    pub stack: Read<Option<Stack>>,
    /// The policy's documents.
    pub documents: Read<Vec<Document>>,
    /// The policy that the function last found valid.
    pub stored: Read<Option<StoredPolicy>>,
    /// Every workgroup of the account and Region.
    pub workgroups: Read<BTreeMap<String, Read<Workgroup>>>,
    /// The `ProcessedBytes` metrics that exist.
    pub metrics: Read<Listed>,
    /// Every metric alarm.
    pub alarms: Read<Vec<Alarm>>,
    /// Who may use which workgroup.
    pub principals: Read<Principals>,
    /// The schedule; `None` where it does not exist.
    pub schedule: Read<Option<Schedule>>,
    /// How the function fared; `None` where the stack has none.
    pub function: Read<Option<Function>>,
    /// The state table; `None` where it does not exist.
    pub table: Read<Option<TableState>>,
    /// What its TTL is set to.
    pub time_to_live: Read<TimeToLive>,
    /// The last tick that a run completed.
    pub last_run: Read<Option<Timestamp>>,
    /// Addresses and domains that SES was asked about. What it does not know is not in it.
    pub identities: Read<BTreeMap<String, Verification>>,
    /// What the account may send.
    pub quota: Read<Quota>,
    /// Whether the account may send at all.
    pub sending: Read<bool>,
    /// The subscriptions of the stack's alarm topic; `None` where there is no such topic.
    pub subscriptions: Read<Option<Vec<Subscription>>>,
}

/// A stack, by the logical ids of its template.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stack {
    /// Such as `UPDATE_COMPLETE`.
    pub status: String,
    /// Its resources; what was deleted is not among them, what the template says to retain is.
    pub resources: BTreeMap<String, Resource>,
}

/// One resource of a stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// Such as `AWS::SNS::Topic`.
    pub kind: String,
    /// The name or ARN.
    pub id: String,
    /// Such as `CREATE_COMPLETE`.
    pub status: String,
    /// When it was last changed.
    pub updated: Option<Timestamp>,
}

/// One workgroup as Athena has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workgroup {
    /// Whether it takes queries.
    pub enabled: bool,
    /// Whether it publishes metrics.
    pub publishes_metrics: bool,
    /// Whether its settings win over those of each query.
    pub enforces: bool,
    /// The cutoff that Athena enforces.
    pub per_query_cutoff: Option<Bytes>,
    /// Where results go.
    pub output: Option<String>,
}

/// A CloudWatch alarm on one metric.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alarm {
    /// Its name.
    pub name: String,
    /// The metric's namespace.
    pub namespace: String,
    /// The metric's name.
    pub metric: String,
    /// The metric's dimensions.
    pub dimensions: BTreeMap<String, String>,
    /// Such as `Sum`.
    pub statistic: String,
    /// Seconds of one period, times the periods that are evaluated.
    pub seconds: i64,
    /// How many periods are evaluated. With more than one each has to reach the threshold by itself.
    pub periods: i64,
    /// Rounded to whole numbers; `None` where it has none.
    pub threshold: Option<u64>,
    /// Such as `GreaterThanOrEqualToThreshold`.
    pub comparison: String,
    /// Whether its actions are switched on.
    pub actions_enabled: bool,
    /// ARNs of what it does in alarm.
    pub actions: BTreeSet<String>,
}

/// Who may use which workgroup, by IAM's own evaluation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Principals {
    /// Those that were evaluated.
    pub evaluated: Vec<Principal>,
    /// Users and roles of the account, all of them.
    pub total: usize,
    /// Why some that may matter were not evaluated, each cause once.
    pub blind: Vec<Blind>,
}

/// A user or role, as it was listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// User or role.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// Its ARN.
    pub arn: String,
    /// Its path: `/aws-reserved/sso.amazonaws.com/` for IAM Identity Center.
    pub path: String,
    /// Managed policies attached to it or to a group of it.
    pub policies: BTreeSet<String>,
    /// Its own tags.
    pub tags: BTreeMap<String, String>,
}

/// A user or role with what IAM said of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// Who.
    pub who: Candidate,
    /// Whether it may start queries in a workgroup that nobody has given to anybody: then in any.
    pub any: bool,
    /// The workgroups in which it may start queries, of those that were asked about.
    pub may: BTreeSet<String>,
}

/// User or role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// An IAM user.
    User,
    /// An IAM role.
    Role,
}

/// A schedule of EventBridge Scheduler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// Its name.
    pub name: String,
    /// Such as `rate(5 minutes)`.
    pub expression: String,
    /// Whether it fires.
    pub enabled: bool,
    /// The ARN of what it invokes.
    pub target: String,
    /// When it stops, where it does.
    pub ends: Option<Timestamp>,
}

/// How the function fared in the last hour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// Runs that were begun.
    pub invocations: u64,
    /// Those of them that failed.
    pub errors: u64,
    /// Runs that Lambda refused to begin.
    pub throttles: u64,
}

/// The state table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableState {
    /// Its name.
    pub name: String,
    /// Such as `ACTIVE`.
    pub status: String,
    /// Attribute and `HASH` or `RANGE`.
    pub keys: Vec<(String, String)>,
}

/// Whether and by which attribute items expire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimeToLive {
    /// Whether it is on.
    pub enabled: bool,
    /// The attribute, where there is one.
    pub attribute: Option<String>,
}

/// How far SES has verified an address or domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verification {
    /// It may be used.
    Verified,
    /// SES waits for the mail's link or the DNS record.
    Pending,
    /// It was not confirmed in time.
    Failed,
}

/// What SES lets the account send, rounded down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// Mails in 24 hours; `None` where there is no bound.
    pub per_day: Option<u64>,
    /// Mails a second.
    pub per_second: u64,
    /// Mails sent in the last 24 hours.
    pub sent: u64,
}

/// One subscription of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    /// Such as `email`.
    pub protocol: String,
    /// The address.
    pub endpoint: String,
    /// Whether it was confirmed.
    pub confirmed: bool,
}

impl Stack {
    /// The name or ARN of a resource.
    pub fn id(&self, logical: &str) -> Option<&str> {
        self.resources.get(logical).map(|resource| resource.id.as_str())
    }
}

impl Blind {
    /// The permission that lacks, where it is that.
    pub fn permission(&self) -> Option<&str> {
        match self {
            Self::Denied { operation } => Some(operation),
            _ => None,
        }
    }
}

impl fmt::Display for Blind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Denied { operation } => write!(f, "the permission `{operation}` is missing"),
            Self::Failed { operation, why } => write!(f, "`{operation}` failed with {}", crate::untrusted::plain(why)),
            Self::After(words) | Self::Bound(words) => f.write_str(words),
        }
    }
}
