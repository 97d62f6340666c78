//! The command line as typed, and the words of its help.

use std::path::PathBuf;

use clap::{ArgAction, Parser, Subcommand};
use clap_complete::Shell;
use jiff::{SignedDuration, Timestamp};
use watchdog_aws::operator::past::LONGEST;
use watchdog_core::policy::Pattern;
use watchdog_core::window::{LONGEST_ROLLING_MINUTES, duration};

use crate::backtest::seconds;

/// Common to all commands: scripts rely on it.
const EXIT_CODES: &str = "\
Exit codes:
  0  fine
  1  a limit is at `warn` or above, or something is to be mended
  2  wrong usage, or input that cannot be read or understood
  3  something could not be seen; beats 1, so that 0 and 1 always speak of the whole picture

AWS credentials, Region and `AWS_ENDPOINT_URL` are taken from where the AWS CLI takes them.
`NO_COLOR` turns colours off; what is piped is plain.";

const CHECK_EXAMPLES: &str = "\
Several documents are merged in the order of their names, as SSM parameters under one path are.

Examples:
  watchdog check policy.toml              one document
  watchdog check policy.d                 all *.toml of a directory
  watchdog check - < policy.toml          standard input
  watchdog check --json policy.toml       for scripts, problems included
  watchdog check --schema > schema.json   JSON Schema for an editor

Exit codes: 0 valid, 2 problems (each on a line of standard error, its place first).";

const STATUS_EXAMPLES: &str = "\
Examples:
  watchdog status                            the stack `athena-quota-watchdog`
  watchdog status --stack prod --region eu-central-1
  watchdog status --policy policy.toml       as if this policy were in force
  watchdog status --json | jq '.limits[] | select(.level != \"ok\")'

Exit codes: 0 every limit is ok; 1 a limit is at `warn` or above; 3 something could not be seen: a limit or a watched \
workgroup is `unknown`, or the list of workgroups or the policy could not be read. 3 beats 1, so that 0 and 1 always \
speak of the whole picture; the limits that are over are printed in any case.";

const RUN_EXAMPLES: &str = "\
Real runs, which send mail and remember what people were told, are done by the deployed function.

Examples:
  watchdog run --dry-run                      what would be sent if nobody had been told yet
  watchdog run --dry-run --state-table TABLE  what the next run would send
  watchdog run --dry-run --show-mails         with each mail's text
  watchdog run --dry-run --mails out          and each mail as .eml and .html in `out`
  watchdog run --dry-run --json | jq '.would_send[].to'

Exit codes: 0 every limit is ok; 1 a limit is at `warn` or above; 3 something could not be seen, \
or an older policy is in force because the current one has problems. 3 beats 1.";

const DOCTOR_EXAMPLES: &str = "\
Examples:
  watchdog doctor                              the stack `athena-quota-watchdog`
  watchdog doctor --stack prod --region eu-central-1
  watchdog doctor --policy policy.toml         as if this policy were in force
  watchdog doctor --json | jq -r '.checks[].findings[].remedy[]'
  watchdog doctor --print-iam=doctor --region eu-central-1 > policy.json

Exit codes: 0 nothing to mend (notes are no fault); 1 a warning or something critical; 3 something could not be read: it \
is `unknown`, with the permission that lacks, and the other checks go on. 3 beats 1, so that 0 and 1 always speak of the \
whole picture; what was found is printed in any case.";

const WHO_EXAMPLES: &str = "\
Who submitted a query is CloudTrail's to say, at two pages a second: a busy workgroup takes some seconds. Records are a few \
minutes behind.

Examples:
  watchdog who --workgroup exploratory
  watchdog who --workgroup exploratory --since 24h
  watchdog who --workgroup exploratory --state-table TABLE   with what the feed has written down
  watchdog who --workgroup exploratory --json | jq '.parties[] | select(.kind != \"person\")'

Exit codes: 0 every query has a person's name; 1 some have none, each with the reason; 3 something could not be seen: the \
list of queries, the metric or CloudTrail's records. 3 beats 1.";

const BACKTEST_EXAMPLES: &str = "\
A row stamped t stands for the time from t on for one step, and is known to the run at t + step. Missing rows are zero, and
rows with the same stamp and workgroup are added up. Rows of one workgroup stand in the order of time; otherwise they are
sorted in memory.

Examples:
  watchdog backtest --policy policy.toml --usage use.csv
  watchdog backtest --policy policy.toml --usage use.csv --out sent.jsonl
  watchdog backtest --policy policy.toml --usage use.csv --html page.html
  watchdog backtest --policy policy.toml --usage use.csv --every 15min
  watchdog backtest --policy policy.toml --queries queries.csv --growing
  zcat use.csv.gz | watchdog backtest --policy policy.toml --usage - --json
  watchdog backtest --since 30d                        the stack's policy and workgroups
  watchdog backtest --since 30d --policy policy.toml   as if this policy had been in force

Exit codes: 0 done, whatever was found; 2 wrong usage, or a policy or use that cannot be read or understood; 3 the use of a
workgroup, or the list of them, could not be read: what could be is in the figures, and what could not is named.";

const PREVIEW_EXAMPLES: &str = "\
The use is made up and goes through the same judging and planning as a run's: a preview tells nobody whom the policy would not
tell. For the mails of the use as it is: watchdog run --dry-run --mails DIR

Examples:
  watchdog preview --sample                                 a mail, without policy and AWS
  watchdog preview --policy policy.toml --level exhausted
  watchdog preview --reason resolved --workgroup exploratory --audience submitter
  watchdog preview --reason several --form html > mail.html
  watchdog preview --policy policy.toml --all --out mails   every mail there is

Exit codes: 0 shown; 2 wrong usage, or the policy sends nobody such a mail, with the reason; 3 the policy could not be read.";

/// Watches Athena workgroups' scanned bytes against their limits.
///
/// `watchdog` looks at the same policy and the same metrics as the deployed function, and decides in the same way.
/// It changes nothing and sends nothing.
#[derive(Debug, Parser)]
#[command(name = "watchdog", version, after_help = EXIT_CODES, max_term_width = 110)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Log to standard error what is going on; twice for everything
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub verbose: u8,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Check policy documents and say what they mean
    #[command(after_help = CHECK_EXAMPLES)]
    Check(CheckArgs),
    /// Show every limit with its use, headroom and level
    #[command(after_help = STATUS_EXAMPLES)]
    Status(StatusArgs),
    /// Go through a whole run without sending or writing, and say what would be sent and why
    #[command(after_help = RUN_EXAMPLES)]
    Run(RunArgs),
    /// Say what is wrong with the installation, and how to mend it
    #[command(after_help = DOCTOR_EXAMPLES)]
    Doctor(DoctorArgs),
    /// Show whose queries used a workgroup up, and how each person was found
    #[command(after_help = WHO_EXAMPLES)]
    Who(WhoArgs),
    /// Say what a policy would have sent over a stretch of the past, and how good that would have been
    #[command(after_help = BACKTEST_EXAMPLES)]
    Backtest(BacktestArgs),
    /// Show the mails that a policy sends, about use that is made up
    #[command(after_help = PREVIEW_EXAMPLES)]
    Preview(PreviewArgs),
    /// Print a completion script
    #[command(after_help = "\
Examples:
  watchdog completions bash > ~/.local/share/bash-completion/completions/watchdog
  watchdog completions zsh > \"${fpath[1]}/_watchdog\"
  watchdog completions fish > ~/.config/fish/completions/watchdog.fish")]
    Completions {
        /// For which shell
        shell: Shell,
    },
}

/// Of `check`.
#[derive(Debug, clap::Args)]
pub struct CheckArgs {
    /// Policy documents: files, directories (all their *.toml), or `-` for standard input
    #[arg(value_name = "FILE", required_unless_present = "schema")]
    pub files: Vec<PathBuf>,
    /// Print JSON, for a valid policy and for problems alike
    #[arg(long)]
    pub json: bool,
    /// Print the JSON Schema of a policy document instead
    #[arg(long, conflicts_with_all = ["files", "json"])]
    pub schema: bool,
}

/// Of `status`.
#[derive(Debug, clap::Args)]
pub struct StatusArgs {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub policy: PolicyArgs,
    #[command(flatten)]
    pub aws: AwsArgs,
}

/// Of `run`.
#[derive(Debug, clap::Args)]
pub struct RunArgs {
    /// Send and write nothing; required, since real runs are the deployed function's
    #[arg(long)]
    pub dry_run: bool,
    /// Print each mail's text
    #[arg(long, conflicts_with = "json")]
    pub show_mails: bool,
    /// Write each mail as .eml and .html into this directory, which is made where it is missing
    #[arg(long, value_name = "DIR")]
    pub mails: Option<PathBuf>,
    /// Print the run report as JSON, as the function answers it
    #[arg(long)]
    pub json: bool,
    /// The table that remembers what people were told: the stack's output `StateTableName`. It is only read
    #[arg(long, value_name = "NAME", env = "WATCHDOG_STATE_TABLE", hide_env_values = true)]
    pub state_table: Option<String>,
    #[command(flatten)]
    pub policy: PolicyArgs,
    #[command(flatten)]
    pub aws: AwsArgs,
}

/// Of `backtest`.
#[derive(Debug, clap::Args)]
pub struct BacktestArgs {
    /// The use: a CSV file with the columns timestamp,workgroup,bytes, or `-` for standard input
    #[arg(long, value_name = "FILE", required_unless_present_any = ["queries", "since"])]
    pub usage: Option<PathBuf>,
    /// The use: what CloudWatch knows of the policy's workgroups since so long ago, up to 63 days
    #[arg(long, value_name = "TIME", value_parser = past, conflicts_with_all = ["usage", "queries", "step"])]
    pub since: Option<SignedDuration>,
    /// The use as a log of queries: a CSV file with the columns submitted,completed,workgroup,bytes. A query's bytes come in when it ends
    #[arg(long, value_name = "FILE", conflicts_with_all = ["usage", "step"])]
    pub queries: Option<PathBuf>,
    /// Take it that Athena says what a query has scanned while it runs, growing evenly
    #[arg(long, requires = "queries")]
    pub growing: bool,
    /// Write every notification to this file, one JSON object a line; `-` for standard output, in the place of the figures
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Write a page with the figures and a plot of each limit to this file; of many limits the worst
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// How long a row stands for [default: the smallest gap between two rows of a workgroup]
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    pub step: Option<i64>,
    /// Time between two runs of the watchdog [default: the step]
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    pub every: Option<i64>,
    /// Count only what begins at this instant or later in the figures
    #[arg(long, value_name = "INSTANT")]
    pub score_from: Option<Timestamp>,
    /// Print the figures as JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub policy: PolicyArgs,
    #[command(flatten)]
    pub aws: AwsArgs,
}

/// Of `doctor`.
#[derive(Debug, clap::Args)]
pub struct DoctorArgs {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Print the least IAM policy that each command needs, or that one command needs, and ask AWS nothing. The Region is that of
    /// `--region` or the environment, otherwise any
    #[arg(long, value_name = "COMMAND", num_args = 0..=1, require_equals = true, conflicts_with_all = ["json", "policy", "profile"])]
    pub print_iam: Option<Option<CommandName>>,
    /// The stack to look at
    /// [env: WATCHDOG_STACK] [default: athena-quota-watchdog]
    #[arg(long, value_name = "NAME", value_parser = stack_name)]
    pub stack: Option<String>,
    /// Compare with the policy in these files or directories instead of the stack's
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub policy: Vec<PathBuf>,
    #[command(flatten)]
    pub aws: AwsArgs,
}

/// Of `who`.
#[derive(Debug, clap::Args)]
pub struct WhoArgs {
    /// The workgroup whose queries are looked at
    #[arg(long, value_name = "NAME", value_parser = workgroup_name)]
    pub workgroup: String,
    /// How far to look back: from 5 minutes to 7 days, with its unit
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = since)]
    pub since: SignedDuration,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// The table into which the stack's feed writes submitters: the output `StateTableName`. It is only read
    #[arg(long, value_name = "NAME", env = "WATCHDOG_STATE_TABLE", hide_env_values = true)]
    pub state_table: Option<String>,
    #[command(flatten)]
    pub policy: PolicyArgs,
    #[command(flatten)]
    pub aws: AwsArgs,
}

/// Of `preview`.
#[derive(Debug, clap::Args)]
pub struct PreviewArgs {
    /// Why the mail goes out
    #[arg(long, value_enum, value_name = "REASON", default_value_t = PreviewReason::Opened)]
    pub reason: PreviewReason,
    /// How bad it is, or was
    #[arg(long, value_enum, value_name = "LEVEL", default_value_t = PreviewLevel::Critical)]
    pub level: PreviewLevel,
    /// Who reads it
    #[arg(long, value_enum, value_name = "WHO", default_value_t = PreviewAudience::Admins)]
    pub audience: PreviewAudience,
    /// The workgroup it is about [default: the first with a limit that has such an audience]
    #[arg(long, value_name = "NAME", value_parser = workgroup_name)]
    pub workgroup: Option<String>,
    /// Which of its limits, by its window's name such as 1h [default: the first]
    #[arg(long, value_name = "WINDOW")]
    pub window: Option<String>,
    /// What is printed
    #[arg(long, value_enum, value_name = "FORM", default_value_t = PreviewForm::Text, conflicts_with = "out")]
    pub form: PreviewForm,
    /// Write .eml, .html and .txt into this directory instead, which is made where it is missing
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Every reason, level and audience
    #[arg(long, requires = "out", conflicts_with_all = ["reason", "level", "audience"])]
    pub all: bool,
    /// The instant of the mail [default: now]
    #[arg(long, value_name = "INSTANT")]
    pub at: Option<Timestamp>,
    /// Take a policy that the tool brings along
    #[arg(long, conflicts_with_all = ["policy", "stack", "policy_path"])]
    pub sample: bool,
    #[command(flatten)]
    pub policy: PolicyArgs,
    #[command(flatten)]
    pub aws: AwsArgs,
}

/// Why a mail goes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum PreviewReason {
    /// The alert has just opened
    Opened,
    /// It is worse than before
    Escalated,
    /// A reminder
    Repeated,
    /// It is over
    Resolved,
    /// A workgroup publishes no metrics
    CannotSee,
    /// The policy has problems
    Policy,
    /// Several alerts in one mail
    Several,
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum PreviewLevel {
    /// The first threshold
    Warn,
    /// The second
    Critical,
    /// The limit is gone
    Exhausted,
}

/// Who reads a mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum PreviewAudience {
    /// Admins, and whoever else the policy names
    Admins,
    /// Somebody whose queries it is about
    Submitter,
}

/// What of a mail is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum PreviewForm {
    /// The text form, with recipient and subject
    Text,
    /// The HTML form, its pictures inside
    Html,
    /// All of it, for a mail program
    Eml,
}

/// A command that may ask AWS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum CommandName {
    /// Reads files only
    Check,
    /// Every limit
    Status,
    /// A rehearsal
    Run,
    /// Whose queries
    Who,
    /// The checkup
    Doctor,
    /// The past, with `--since`
    Backtest,
}

/// Where the policy is.
// The environment variables are not clap's: it would count a variable as given, and `--policy` beside an exported
// `WATCHDOG_STACK` as a conflict.
#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "Policy")]
pub struct PolicyArgs {
    /// Read the policy from these files or directories instead of from SSM
    #[arg(long, value_name = "FILE", num_args = 1.., conflicts_with_all = ["stack", "policy_path"])]
    pub policy: Vec<PathBuf>,
    /// Read the policy of this stack: SSM parameters below /athena-quota-watchdog/NAME/policy
    /// [env: WATCHDOG_STACK] [default: athena-quota-watchdog]
    #[arg(long, value_name = "NAME", value_parser = stack_name)]
    pub stack: Option<String>,
    /// Read the policy from the SSM parameters below this path
    /// [env: WATCHDOG_POLICY_PATH]
    #[arg(long, value_name = "PATH", value_parser = parameter_path, conflicts_with = "stack")]
    pub policy_path: Option<String>,
}

/// Which account and Region.
#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "AWS")]
pub struct AwsArgs {
    /// The Region to look at; otherwise that of the environment or profile
    #[arg(long, value_name = "REGION")]
    pub region: Option<String>,
    /// The profile to take credentials and Region from
    #[arg(long, value_name = "NAME")]
    pub profile: Option<String>,
}

/// A stack's name, as CloudFormation allows it.
pub fn stack_name(text: &str) -> Result<String, String> {
    let fits = text.len() <= 128
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if fits {
        return Ok(text.to_owned());
    }
    Err("a stack's name starts with a letter and has letters, digits and `-`".to_owned())
}

/// A workgroup's name, as Athena allows it.
pub fn workgroup_name(text: &str) -> Result<String, String> {
    match Pattern::parse(text) {
        Ok(name) if name.is_exact() => Ok(text.to_owned()),
        Ok(_) => Err("one workgroup at a time: write its name without wildcards".to_owned()),
        Err(_) => Err("a workgroup's name has 1 to 128 letters, digits, `.`, `_` and `-`".to_owned()),
    }
}

/// How far to look back: as far as a limit's window can.
pub fn since(text: &str) -> Result<SignedDuration, String> {
    let longest = SignedDuration::from_mins(i64::from(LONGEST_ROLLING_MINUTES));
    let length = duration(text).filter(|length| (SignedDuration::from_mins(5)..=longest).contains(length));
    length.ok_or_else(|| "write a time from 5 minutes to 7 days with its unit, such as `1h` or `90 min`".to_owned())
}

/// How far back a back-test looks: as far as CloudWatch does.
pub fn past(text: &str) -> Result<SignedDuration, String> {
    let length = duration(text).filter(|length| (SignedDuration::from_hours(1)..=LONGEST).contains(length));
    length.ok_or_else(|| "write a time from 1 hour to 63 days with its unit, such as `30d`".to_owned())
}

/// A path of SSM parameters.
pub fn parameter_path(text: &str) -> Result<String, String> {
    let fits = text.len() > 1
        && text.starts_with('/')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-/".contains(&b));
    if fits {
        return Ok(text.to_owned());
    }
    Err("a parameter path starts with `/` and has letters, digits, `.`, `_`, `-` and `/`".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }
}
