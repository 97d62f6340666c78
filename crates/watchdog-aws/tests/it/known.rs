//! What changes rarely: which calls a run makes for it, and what it takes for granted.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use aws_sdk_athena::operation::get_work_group::{GetWorkGroupInput, GetWorkGroupOutput};
use aws_sdk_athena::operation::list_work_groups::{ListWorkGroupsError, ListWorkGroupsInput, ListWorkGroupsOutput};
use aws_sdk_athena::types::error::InvalidRequestException;
use aws_sdk_athena::types::{WorkGroup, WorkGroupConfiguration, WorkGroupSummary};
use aws_sdk_cloudwatch::operation::get_metric_data::{GetMetricDataInput, GetMetricDataOutput};
use aws_sdk_cloudwatch::operation::list_metrics::{ListMetricsInput, ListMetricsOutput};
use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{Dimension, Metric, MetricDataResult, StatusCode};
use aws_smithy_mocks::{MockResponse, RuleMode, mock, mock_client};
use aws_smithy_types::error::ErrorMetadata;
use jiff::{SignedDuration, Timestamp};
use watchdog_aws::clients::Clients;
use watchdog_aws::gather;
use watchdog_core::catalogue::{Catalogue, LOOKUPS};
use watchdog_core::event::{Tick, Timing};
use watchdog_core::policy::{Document, Policy};
use watchdog_core::usage::{Unknown, Usage};

use crate::at;

const POLICY: &str = r#"
[mail]
sender = "w@example.com"
admins = ["a@example.com"]
allowed_domains = ["example.com"]
[[workgroup]]
name = "*"
[[workgroup.limit]]
window = "1h"
limit = "100 GB"
"#;

/// An account, and what it was asked.
#[derive(Debug, Default)]
struct World {
    names: Vec<String>,
    /// Those with bytes in every five minutes.
    busy: BTreeSet<String>,
    /// Those that publish no metrics.
    off: BTreeSet<String>,
    /// A token of a page is taken only in the run that it was given in.
    forgetful: bool,
    run: usize,
    examined: Vec<String>,
    pages: usize,
    metric_pages: usize,
}

type Shared = Arc<Mutex<World>>;

fn athena(world: &Shared) -> aws_sdk_athena::Client {
    let seen = world.clone();
    let list =
        mock!(aws_sdk_athena::Client::list_work_groups).then_compute_response(move |input: &ListWorkGroupsInput| {
            let mut world = seen.lock().unwrap();
            world.pages += 1;
            let (run, from) = input.next_token().and_then(|token| token.split_once('/')).unwrap_or(("", "0"));
            if world.forgetful && !run.is_empty() && run != world.run.to_string() {
                let meta = ErrorMetadata::builder().code("InvalidRequestException").message("Token is gone").build();
                let error = InvalidRequestException::builder().meta(meta).build();
                return MockResponse::Error(ListWorkGroupsError::InvalidRequestException(error));
            }
            let from: usize = from.parse().unwrap();
            let page =
                world.names.iter().skip(from).take(50).map(|name| WorkGroupSummary::builder().name(name).build());
            let next = (from + 50 < world.names.len()).then(|| format!("{}/{}", world.run, from + 50));
            let page = ListWorkGroupsOutput::builder().set_work_groups(Some(page.collect())).set_next_token(next);
            MockResponse::Output(page.build())
        });
    let seen = world.clone();
    let get = mock!(aws_sdk_athena::Client::get_work_group).then_compute_output(move |input: &GetWorkGroupInput| {
        let mut world = seen.lock().unwrap();
        let name = input.work_group().unwrap().to_owned();
        let on = !world.off.contains(&name);
        world.examined.push(name.clone());
        let configuration = WorkGroupConfiguration::builder().publish_cloud_watch_metrics_enabled(on).build();
        let group = WorkGroup::builder().name(name).configuration(configuration).build().unwrap();
        GetWorkGroupOutput::builder().work_group(group).build()
    });
    mock_client!(aws_sdk_athena, RuleMode::MatchAny, [&list, &get])
}

fn cloudwatch(world: &Shared) -> aws_sdk_cloudwatch::Client {
    let dimension = |name: &str| Dimension::builder().name("WorkGroup").value(name).build();
    let seen = world.clone();
    let list = mock!(aws_sdk_cloudwatch::Client::list_metrics).then_compute_output(move |input: &ListMetricsInput| {
        let mut world = seen.lock().unwrap();
        world.metric_pages += 1;
        let from: usize = input.next_token().map_or(0, |token| token.parse().unwrap());
        let page = world.names.iter().skip(from).take(100);
        let page = page.map(|name| Metric::builder().metric_name("ProcessedBytes").dimensions(dimension(name)).build());
        let next = (from + 100 < world.names.len()).then(|| (from + 100).to_string());
        ListMetricsOutput::builder().set_metrics(Some(page.collect())).set_next_token(next).build()
    });
    let seen = world.clone();
    let data =
        mock!(aws_sdk_cloudwatch::Client::get_metric_data).then_compute_output(move |input: &GetMetricDataInput| {
            let world = seen.lock().unwrap();
            let newest = input.end_time().unwrap().secs() - 600;
            let results = input.metric_data_queries().iter().map(|query| {
                let metric = query.metric_stat().unwrap().metric().unwrap();
                let result = MetricDataResult::builder().id(query.id().unwrap()).status_code(StatusCode::Complete);
                let name = metric.dimensions()[0].value().unwrap();
                match metric.metric_name() == Some("ProcessedBytes") && world.busy.contains(name) {
                    true => result.timestamps(DateTime::from_secs(newest)).values(1e9).build(),
                    false => result.build(),
                }
            });
            GetMetricDataOutput::builder().set_metric_data_results(Some(results.collect())).build()
        });
    mock_client!(aws_sdk_cloudwatch, RuleMode::MatchAny, [&list, &data])
}

struct Account {
    world: Shared,
    clients: Clients,
    policy: Policy,
    catalogue: Catalogue,
    now: Timestamp,
}

/// What a run asked for.
#[derive(Debug, PartialEq, Eq)]
struct Asked {
    pages: usize,
    metric_pages: usize,
    examined: Vec<String>,
}

impl Account {
    fn of(workgroups: usize) -> Self {
        let names = (0..workgroups).map(|n| format!("w{n:03}")).collect();
        let world = Shared::new(Mutex::new(World { names, ..World::default() }));
        let version = aws_config::BehaviorVersion::v2026_01_12();
        let config = aws_config::SdkConfig::builder().behavior_version(version).build();
        let clients = Clients {
            athena: athena(&world),
            cloudwatch: cloudwatch(&world),
            servicequotas: crate::no_quotas(),
            ..Clients::new(&config)
        };
        let policy = Policy::parse(&[Document { name: "p".to_owned(), text: POLICY.to_owned() }]).unwrap();
        Self { world, clients, policy, catalogue: Catalogue::default(), now: at("2026-03-01T12:00:00Z") }
    }

    fn world(&self) -> std::sync::MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    /// Looks once, so many minutes after the last time; in a new process where it is `cold`.
    async fn look(&mut self, minutes: i64, cold: bool) -> (Usage, Asked, gather::Notes) {
        self.now += SignedDuration::from_mins(minutes);
        self.world().run += 1;
        let first = if cold {
            // What a process does not write down it has forgotten.
            self.catalogue = serde_json::from_str(&serde_json::to_string(&self.catalogue).unwrap()).unwrap();
            Some(gather::first_pages(&self.clients).await)
        } else {
            None
        };
        let mut notes = gather::refresh(&self.clients, &mut self.catalogue, first, self.now).await;
        let tick = Tick { at: self.now, timing: Timing::Event };
        let usage =
            gather::usage(&self.clients, &self.policy, &tick, self.now, &mut self.catalogue, &mut notes, None).await;
        let mut world = self.world();
        world.examined.sort();
        let asked = Asked {
            pages: std::mem::take(&mut world.pages),
            metric_pages: std::mem::take(&mut world.metric_pages),
            examined: std::mem::take(&mut world.examined),
        };
        drop(world);
        (usage, asked, notes)
    }
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn unknown(usage: &Usage) -> Vec<(String, Unknown)> {
    let unknown = usage.workgroups.iter().filter_map(|(name, seen)| Some((name.clone(), seen.clone().err()?)));
    unknown.collect()
}

/// Long lists a few pages a run, and no more calls than there are for what changes rarely; nothing is unknown meanwhile.
#[tokio::test]
async fn long_lists_are_read_some_pages_a_run() {
    let mut account = Account::of(420);
    let (usage, asked, _) = account.look(0, true).await;
    assert_eq!((asked.pages, asked.metric_pages, asked.examined.len()), (9, 5, 420), "all, where nothing is known");
    assert_eq!(unknown(&usage), []);
    let learnt = account.now;
    // Somebody makes a workgroup, whose name is on the third page, and deletes the last one.
    account.world().names.insert(120, "w119-new".to_owned());
    account.world().names.pop();
    let mut seen = Vec::new();
    for cold in [false, false, false, true, false, true] {
        let (usage, asked, notes) = account.look(5, cold).await;
        let calls = asked.pages + asked.metric_pages + asked.examined.len();
        assert!(calls <= LOOKUPS + usize::from(!asked.examined.is_empty()), "{asked:?}");
        assert_eq!(unknown(&usage), [], "{:?}", notes.warnings);
        let has_new = usage.workgroups.contains_key("w119-new");
        seen.push((asked.pages, asked.metric_pages, has_new, usage.workgroups.contains_key("w419")));
    }
    let expected = [
        // Fresh.
        (0, 0, false, true),
        (0, 0, false, true),
        // Due. The new one is on this page, and counts at once.
        (3, 3, true, true),
        // A new process goes on where the last one was; its first pages open its connections, and count.
        (3, 3, true, true),
        (3, 0, true, true),
        // The end, and what is gone is gone. What was not due has cost its first page.
        (2, 1, true, false),
    ];
    assert_eq!(seen, expected);
    assert_eq!(account.catalogue.listed_read, Some(learnt + SignedDuration::from_mins(20)));
    assert_eq!(account.catalogue.names_read, Some(account.now));
}

/// Where a token is not taken in the next run, the list is read to its end at once.
#[tokio::test]
async fn a_token_that_is_gone_costs_the_whole_list_and_loses_nothing() {
    let mut account = Account::of(420);
    account.look(0, true).await;
    account.world().forgetful = true;
    let (_, asked, _) = account.look(15, false).await;
    assert_eq!(asked.pages, 3);
    let (usage, asked, notes) = account.look(5, false).await;
    assert_eq!((asked.pages, notes.warnings, usage.incomplete), (1 + 9, Vec::<String>::new(), None));
    assert_eq!(account.catalogue.names_read, Some(account.now));
}

/// One that is used is not asked about; one that falls silent is the first.
#[tokio::test]
async fn bytes_prove_that_metrics_are_on_and_silence_is_looked_into() {
    let mut account = Account::of(40);
    account.world().busy = (0..40).map(|n| format!("w{n:03}")).collect();
    account.look(0, true).await;
    for _ in 0..5 {
        let (usage, asked, notes) = account.look(5, false).await;
        assert_eq!((asked.pages, asked.examined), (1, Vec::new()));
        assert!(unknown(&usage).is_empty());
        assert!(account.now.duration_since(notes.oldest.unwrap()) <= SignedDuration::from_mins(15));
    }
    // Somebody switches the metrics of one off: from here that looks as if it were idle.
    account.world().off.insert("w017".to_owned());
    account.world().busy.remove("w017");
    let mut found = None;
    for run in 1..=6 {
        let (usage, asked, _) = account.look(5, false).await;
        if asked.examined.contains(&"w017".to_owned()) {
            assert_eq!(asked.examined, names(&["w017"]));
            assert_eq!(unknown(&usage), [("w017".to_owned(), Unknown::MetricsOff)]);
            found = Some(run);
            break;
        }
        assert_eq!(unknown(&usage), []);
    }
    assert!(found.is_some_and(|run| run <= 3), "within a quarter of an hour: {found:?}");
    // And on again: unknown until it has been asked for.
    account.world().off.clear();
    let (usage, asked, _) = account.look(15, false).await;
    assert_eq!(asked.examined, names(&["w017"]));
    assert_eq!(unknown(&usage), [("w017".to_owned(), Unknown::NotExaminedYet)]);
    assert_eq!(unknown(&account.look(5, false).await.0), []);
    // However rare the runs: whoever is used is not asked about.
    for _ in 0..3 {
        assert_eq!(account.look(60, true).await.1.examined, names(&["w017"]));
    }
}

/// Where runs are rare, all that would be too old is asked about, and nothing else is.
#[tokio::test]
async fn what_would_be_too_old_is_examined_whatever_the_calls() {
    let mut account = Account::of(40);
    account.world().busy = (0..10).map(|n| format!("w{n:03}")).collect();
    account.look(0, true).await;
    let (usage, asked, notes) = account.look(20 * 60, true).await;
    assert_eq!(unknown(&usage), []);
    assert_eq!(asked.examined, (10..40).map(|n| format!("w{n:03}")).collect::<Vec<_>>());
    assert!(account.now.duration_since(notes.oldest.unwrap()) <= SignedDuration::from_mins(15));
}
