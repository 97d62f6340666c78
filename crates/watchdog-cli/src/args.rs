//! The command line as typed, and the words of its help.

mod values;

use std::path::PathBuf;

use clap::{ArgAction, Parser, Subcommand};
use clap_complete::Shell;
use jiff::{SignedDuration, Timestamp};
use watchdog_core::bytes::Size;
use watchdog_core::policy::{Class, Pattern, PlanRule};
use watchdog_core::window::Window;

pub use self::values::{
    active_quota, capacity, long_past, parameter_path, past, plan_rule, promised, since, size, stack_name,
    workgroup_name,
};
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

const PLAN_EXAMPLES: &str = "\
Each workgroup's rule is the one of `--rule`, or that of `plan` in the policy, or by its name: `predictable` 1h + 10 %, `long-query` \
24h + 100 %, `fast-query` per query, `exploratory` 70 % of spare, `ad-hoc` a stated value. Missing rows are zero; a day and more without any \
row of any workgroup is not known, and counts for nothing. Rows may stand in any order, and those with the same stamp and workgroup are added up.

Examples:
  watchdog plan --since 63d                                  the stack's workgroups, by CloudWatch
  watchdog plan --usage use.csv --rule 'etl-*=1h + 10 %, 24h + 20 %'
  watchdog plan --usage use.csv --queries queries.csv --policy policy.toml --diff
  watchdog plan --since 400d --account-capacity 5TiB/1h --ad-hoc 100GB --html plan.html
  watchdog plan --usage use.csv --active active.csv --active-quota DML=200 --waits waits.csv
  watchdog plan --usage use.csv --policy policy.toml --out new.toml && watchdog check new.toml
  watchdog plan --since 63d --diff && watchdog plan --since 63d --write

Nothing is changed without `--write`: then the file of `--policy` is written, or, without one, the parameter `90-plan` beside the stack's \
other documents.

Exit codes: 0 every limit that was asked for is as the plan says, or was written, or there is no policy to compare with; 1 a limit differs; \
2 wrong usage, or a history or policy that cannot be read or understood; 3 a limit could not be computed (too little history, something that \
nobody has stated), or a workgroup's use could not be read. 3 beats 1.";

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

const GRANT_EXAMPLES: &str = "\
Without `--write` the function only says what it would do. Who asks is proven to it by a signed request to AWS STS; whether they
may is in the policy's table `[grants]`.

Examples:
  watchdog grant ad-hoc --limit 2TiB --for 3h --reason backfill
  watchdog grant ad-hoc --limit 2TiB --per-query 500GiB --for 3h --reason \"backfill of March\" --write
  watchdog grant ad-hoc --limit 2TiB --for 3h --start 2026-03-01T22:00:00Z --reason nightly --write
  watchdog grant --approve g-1a2b3c4d --write      where the policy asks for a second person
  watchdog grant --extend g-1a2b3c4d --for 2h --write      until two hours from now

Exit codes: 0 done, or would be; 2 refused, with the reason; 3 the function could not be asked.";

const GRANTS_EXAMPLES: &str = "\
Examples:
  watchdog grants
  watchdog grants --all                     with those that are over
  watchdog grants --json | jq '.grants[] | select(.phase == \"in force\")'

Exit codes: 0 read; 3 the function could not be asked.";

const REVOKE_EXAMPLES: &str = "\
The limit is the usual one at once, and the per-query cutoff is set to what it was before.

Examples:
  watchdog revoke ad-hoc --write
  watchdog revoke g-1a2b3c4d --write

Exit codes: as of `grant`.";

const SILENCE_EXAMPLES: &str = "\
Nobody is mailed about the alert until the silence ends: at its time, by `watchdog unsilence`, or when the alert resolves. The
policy's table `[silences]` says who may, for how long, and which levels are told all the same.

Examples:
  watchdog silence exploratory/1h --for 2h --reason \"known, Ann is at it\" --write
  watchdog silences
  watchdog unsilence exploratory/1h --write

Exit codes: as of `grant`.";

const PREVIEW_EXAMPLES: &str = "\
The use is made up and goes through the same judging and planning as a run's: a preview tells nobody whom the policy would \
not tell. With `--live` the use is that of now, and the other options choose among the mails that there are; it asks AWS for \
what `run --dry-run` and `status` ask for (`watchdog doctor --print-iam`), and sends and writes nothing.

Examples:
  watchdog preview --sample                                 a mail, without policy and AWS
  watchdog preview --policy policy.toml --level exhausted
  watchdog preview --reason resolved --workgroup exploratory --audience submitter
  watchdog preview --reason several --form html > mail.html
  watchdog preview --policy policy.toml --all --out mails   every mail there is
  watchdog preview --live --audience submitter              what submitters would be sent now

Exit codes: 0 shown, or with `--live` alone nothing to send; 2 wrong usage, or nobody is sent such a mail, with the reason; 3 the policy, or with `--live` the use, could not \
be read.";

/// Watches Athena workgroups' scanned bytes against their limits.
///
/// `watchdog` looks at the same policy and the same metrics as the deployed function, and decides in the same way.
/// It sends nothing, and changes nothing without `--write`.
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
    /// Raise a workgroup's limit, its per-query cutoff, or both, for a while
    #[command(after_help = GRANT_EXAMPLES)]
    Grant(GrantArgs),
    /// List grants
    #[command(after_help = GRANTS_EXAMPLES)]
    Grants(ListArgs),
    /// End a grant before its time
    #[command(after_help = REVOKE_EXAMPLES)]
    Revoke(RevokeArgs),
    /// Hold back the mails about a limit's alert for a while
    #[command(after_help = SILENCE_EXAMPLES)]
    Silence(SilenceArgs),
    /// List silences
    #[command(after_help = SILENCE_EXAMPLES)]
    Silences(ListArgs),
    /// End a silence before its time
    #[command(after_help = SILENCE_EXAMPLES)]
    Unsilence(UnsilenceArgs),
    /// Compute limits from measured use, with the evidence behind each, and say what they would have sent
    #[command(after_help = PLAN_EXAMPLES)]
    Plan(PlanArgs),
    /// Say what a stretch of the past came to: use against limits, alerts and how early they were told, people, cost
    #[command(after_help = crate::report::EXAMPLES)]
    Report(crate::report::ReportArgs),
    /// Compute what a month of the watchdog costs
    #[command(after_help = crate::cost::EXAMPLES)]
    Cost(crate::cost::CostArgs),
    /// Show the mails that a policy sends, about use that is made up or about that of now
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
    /// The table that remembers alerts, grants and silences: the stack's output `StateTableName` [default: that of the stack]. It is only
    /// read
    #[arg(long, value_name = "NAME", env = "WATCHDOG_STATE_TABLE", hide_env_values = true)]
    pub state_table: Option<String>,
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

/// Of `plan`.
#[derive(Debug, clap::Args)]
pub struct PlanArgs {
    /// The history: a CSV file with the columns timestamp,workgroup,bytes, or `-` for standard input
    #[arg(long, value_name = "FILE", required_unless_present_any = ["queries", "since"])]
    pub usage: Option<PathBuf>,
    /// The history: what CloudWatch knows of the policy's workgroups since so long ago, by five minutes for 63 days and by hours for 455
    #[arg(long, value_name = "TIME", value_parser = long_past, conflicts_with_all = ["usage", "step"])]
    pub since: Option<SignedDuration>,
    /// A log of queries, for cutoffs: a CSV file with the columns submitted,completed,workgroup,bytes. Of a workgroup without another history
    /// it is that, too [default: with `--since`, what Athena keeps]
    #[arg(long, value_name = "FILE")]
    pub queries: Option<PathBuf>,
    /// How many queries were active in the account: a CSV file with the columns timestamp,class,active [default: with `--since`, what CloudWatch
    /// knows]
    #[arg(long, value_name = "FILE", conflicts_with = "since")]
    pub active: Option<PathBuf>,
    /// The quota that active queries are measured by [default: with `--since`, the account's]
    #[arg(long = "active-quota", value_name = "CLASS=QUERIES", value_parser = active_quota)]
    pub active_quotas: Vec<(Class, u64)>,
    /// How long queries have waited, to learn what the account can take: a CSV file with the columns timestamp,workgroup,waited_ms
    /// [default: with `--since`, what CloudWatch knows]
    #[arg(long, value_name = "FILE", conflicts_with = "since")]
    pub waits: Option<PathBuf>,
    /// Use only what was before this instant
    #[arg(long, value_name = "INSTANT")]
    pub until: Option<Timestamp>,
    /// How a workgroup's limits are computed; NAME may have `*` and `?`, and the first that matches counts
    #[arg(long = "rule", value_name = "NAME=RULE", value_parser = plan_rule)]
    pub rules: Vec<(Pattern, Vec<PlanRule>)>,
    /// What the account can take before queries queue, such as `5TiB/1h` [default: learnt from when queries waited]
    #[arg(long, value_name = "SIZE/TIME", value_parser = capacity)]
    pub account_capacity: Option<(Size, Window)>,
    /// The limit of `ad-hoc`, for an hour, such as `100GB` [default: the one that the policy has]
    #[arg(long, value_name = "SIZE")]
    pub ad_hoc: Option<Size>,
    /// For how many days to come it is said how often a limit will be passed
    #[arg(long, value_name = "DAYS", default_value = "30", value_parser = clap::value_parser!(u32).range(1..=366))]
    pub next_days: u32,
    /// How long a row stands for [default: the smallest gap between two rows of a workgroup]
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    pub step: Option<i64>,
    /// Write the policy with the proposed limits to this new file; `-` for standard output, in the place of the evidence
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Show what would change in the policy
    #[arg(long, conflicts_with = "json")]
    pub diff: bool,
    /// Write a page with the evidence and a plot of each limit to this file
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Write the proposed limits into the policy in force
    #[arg(long)]
    pub write: bool,
    /// Print JSON
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

/// Of `grant`.
#[derive(Debug, clap::Args)]
pub struct GrantArgs {
    /// The workgroup
    #[arg(value_name = "WORKGROUP", value_parser = workgroup_name, required_unless_present_any = ["approve", "extend"])]
    pub workgroup: Option<String>,
    /// What the limit is raised to
    #[arg(long, value_name = "SIZE", value_parser = size, conflicts_with_all = ["approve", "extend"])]
    pub limit: Option<String>,
    /// Which limit, by its window; needed where the workgroup has several
    #[arg(long, value_name = "WINDOW", requires = "limit")]
    pub window: Option<String>,
    /// What the per-query cutoff is raised to
    #[arg(long, value_name = "SIZE", value_parser = size, conflicts_with_all = ["approve", "extend"])]
    pub per_query: Option<String>,
    /// For how long; of an extension, how long from now
    #[arg(long = "for", value_name = "TIME", value_parser = promised, required_unless_present = "approve", conflicts_with = "approve")]
    pub length: Option<String>,
    /// From when on [default: at once]
    #[arg(long, value_name = "INSTANT", conflicts_with_all = ["approve", "extend"])]
    pub start: Option<Timestamp>,
    /// Why, for whoever reads the mail
    #[arg(long, value_name = "TEXT", required_unless_present_any = ["approve", "extend"], conflicts_with_all = ["approve", "extend"])]
    pub reason: Option<String>,
    /// Approve the grant with this id
    #[arg(long, value_name = "ID", conflicts_with_all = ["workgroup", "extend"])]
    pub approve: Option<String>,
    /// Have the grant with this id end later
    #[arg(long, value_name = "ID", conflicts_with = "workgroup")]
    pub extend: Option<String>,
    #[command(flatten)]
    pub asking: AskArgs,
}

/// Of `revoke`.
#[derive(Debug, clap::Args)]
pub struct RevokeArgs {
    /// The grant's id, or the workgroup
    #[arg(value_name = "ID|WORKGROUP", value_parser = workgroup_name)]
    pub grant: String,
    #[command(flatten)]
    pub asking: AskArgs,
}

/// Of `silence`.
#[derive(Debug, clap::Args)]
pub struct SilenceArgs {
    /// The alert: workgroup and window
    #[arg(value_name = "WORKGROUP/WINDOW")]
    pub alert: String,
    /// For how long
    #[arg(long = "for", value_name = "TIME", value_parser = promised)]
    pub length: String,
    /// Why, for whoever reads the mail
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
    #[command(flatten)]
    pub asking: AskArgs,
}

/// Of `unsilence`.
#[derive(Debug, clap::Args)]
pub struct UnsilenceArgs {
    /// The alert: workgroup and window
    #[arg(value_name = "WORKGROUP/WINDOW")]
    pub alert: String,
    #[command(flatten)]
    pub asking: AskArgs,
}

/// Of `grants` and `silences`.
#[derive(Debug, clap::Args)]
pub struct ListArgs {
    /// With those that are over
    #[arg(long)]
    pub all: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub function: FunctionArgs,
}

/// What every request to the function has.
#[derive(Debug, clap::Args)]
pub struct AskArgs {
    /// Do it; without this the function only says what it would do
    #[arg(long)]
    pub write: bool,
    /// Print the function's answer as JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub function: FunctionArgs,
}

/// Which function is asked.
#[derive(Debug, clap::Args)]
pub struct FunctionArgs {
    /// The stack whose function is asked
    /// [env: WATCHDOG_STACK] [default: athena-quota-watchdog]
    #[arg(long, value_name = "NAME", value_parser = stack_name)]
    pub stack: Option<String>,
    /// The function itself, the stack's output `WatchdogFunctionName`; then the stack is not asked for it
    #[arg(long, value_name = "NAME", conflicts_with = "stack")]
    pub function: Option<String>,
    #[command(flatten)]
    pub aws: AwsArgs,
}

/// Of `preview`.
#[derive(Debug, clap::Args)]
pub struct PreviewArgs {
    /// Why the mail goes out [default: opened; with `--live`, any]
    #[arg(long, value_enum, value_name = "REASON")]
    pub reason: Option<PreviewReason>,
    /// How bad it is, or was [default: critical; with `--live`, any]
    #[arg(long, value_enum, value_name = "LEVEL")]
    pub level: Option<PreviewLevel>,
    /// Who reads it [default: admins; with `--live`, anybody]
    #[arg(long, value_enum, value_name = "WHO")]
    pub audience: Option<PreviewAudience>,
    /// The workgroup it is about [default: the first with a limit that has such an audience; with `--live`, any]
    #[arg(long, value_name = "NAME", value_parser = workgroup_name)]
    pub workgroup: Option<String>,
    /// Which of its limits, by its window's name such as 1h [default: the first; with `--live`, any]
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
    /// Show the mails about the use as it is, which the next run would send
    #[arg(long, conflicts_with_all = ["all", "at", "sample"])]
    pub live: bool,
    /// With `--live`: the table that remembers what people were told, the stack's output `StateTableName` [default: that of the stack]. It is
    /// only read; without one everything is as if nobody had been told anything yet
    // Not `requires = "live"`: the variable counts as given, and would get in the way of all other previews.
    #[arg(long, value_name = "NAME", env = "WATCHDOG_STATE_TABLE", hide_env_values = true)]
    pub state_table: Option<String>,
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
    /// It can be seen again
    SeenAgain,
    /// The list of workgroups cannot be read
    Listing,
    /// The policy has problems
    Policy,
    /// It is valid again
    PolicyAgain,
    /// Several alerts in one mail
    Several,
    /// It has opened while it was silenced
    Silenced,
    /// The account has nearly as many queries active as it may
    ActiveQueries,
    /// That is over
    ActiveQueriesOver,
    /// A workgroup's queries wait for too long
    Waiting,
    /// That is over
    WaitingOver,
    /// A grant is to be approved
    GrantAsked,
    /// A grant stands
    Granted,
    /// A grant is about to end
    GrantEndsSoon,
    /// A grant is over
    GrantEnded,
    /// A grant's cutoff cannot be taken back
    CutoffAmiss,
    /// The weekly report
    Weekly,
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
    /// Grants and silences
    Grant,
    /// Limits from the past, with `--since` and `--write`
    Plan,
    /// What the past came to
    Report,
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

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }
}
