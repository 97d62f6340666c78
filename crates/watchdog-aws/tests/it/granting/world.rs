//! A table, a workgroup and a policy in memory, behind the real clients; and a process that dies at a call.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};

use aws_sdk_athena::operation::get_work_group::{GetWorkGroupError, GetWorkGroupOutput};
use aws_sdk_athena::operation::update_work_group::{UpdateWorkGroupError, UpdateWorkGroupInput, UpdateWorkGroupOutput};
use aws_sdk_athena::types::error::InvalidRequestException;
use aws_sdk_athena::types::{WorkGroup, WorkGroupConfiguration};
use aws_sdk_dynamodb::operation::query::{QueryError, QueryInput, QueryOutput};
use aws_sdk_dynamodb::operation::transact_write_items::{
    TransactWriteItemsError, TransactWriteItemsInput, TransactWriteItemsOutput,
};
use aws_sdk_dynamodb::operation::update_item::{UpdateItemError, UpdateItemInput, UpdateItemOutput};
use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_dynamodb::types::error::{
    ConditionalCheckFailedException, ResourceNotFoundException, TransactionCanceledException,
};
use aws_sdk_ssm::error::ErrorMetadata;
use aws_sdk_ssm::operation::get_parameters_by_path::{GetParametersByPathError, GetParametersByPathOutput};
use aws_sdk_ssm::types::Parameter;
use aws_sdk_ssm::types::error::InvalidFilterKey;
use aws_smithy_mocks::{MockResponse, RuleMode, mock, mock_client};
use watchdog_aws::clients::{Calls, Clients};
use watchdog_aws::dynamodb::Table;
use watchdog_aws::pace::Paces;
use watchdog_core::ledger::decode_grants;

const POLICY: &str = r#"
[mail]
sender = "w@example.com"
admins = ["a@example.com"]
allowed_domains = ["example.com"]
[grants]
granters = ["role/admin"]
workgroups = ["ad-hoc"]
highest_limit = "5 TB"
highest_per_query = "1 TB"
longest = "8h"
[[workgroup]]
name = "ad-hoc"
per_query_cutoff = "10 GB"
[[workgroup.limit]]
window = "1h"
limit = "10 GB"
"#;

type Item = HashMap<String, AttributeValue>;

/// At which call a process dies, and whether the call has had its effect.
#[derive(Debug, Clone, Copy)]
pub struct Kill {
    pub at: usize,
    pub after: bool,
}

#[derive(Debug, Default)]
struct State {
    cutoff: Option<i64>,
    history: Vec<Option<i64>>,
    items: BTreeMap<(String, String), Item>,
    calls: usize,
    kill: Option<Kill>,
    dead: bool,
    died: bool,
    denied: bool,
}

pub struct World(Arc<Mutex<State>>, Clients);

/// What becomes of a call.
enum Fate {
    Done,
    DoneAndDead,
    Dead,
}

impl State {
    fn fate(&mut self) -> Fate {
        if self.dead {
            return Fate::Dead;
        }
        let n = self.calls;
        self.calls += 1;
        match self.kill {
            Some(kill) if kill.at == n => {
                self.dead = true;
                self.died = true;
                if kill.after { Fate::DoneAndDead } else { Fate::Dead }
            }
            _ => Fate::Done,
        }
    }
}

/// Does `effect` as far as the call comes, and answers with what it gives or as somebody who hears nothing any more.
fn call<T>(state: &Arc<Mutex<State>>, dead: T, effect: impl FnOnce(&mut State) -> T) -> T {
    let mut state = state.lock().unwrap();
    match state.fate() {
        Fate::Done => effect(&mut state),
        Fate::DoneAndDead => {
            effect(&mut state);
            dead
        }
        Fate::Dead => dead,
    }
}

impl World {
    pub fn new(cutoff: Option<i64>, kill: Option<Kill>) -> Self {
        let state = Arc::new(Mutex::new(State { cutoff, history: vec![cutoff], kill, ..State::default() }));
        let clients = clients(&state);
        Self(state, clients)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// The next process is another one.
    pub fn revive(&self) {
        self.state().dead = false;
    }

    pub fn set(&self, cutoff: Option<i64>) {
        let mut state = self.state();
        state.cutoff = cutoff;
        state.history.push(cutoff);
    }

    pub fn deny_updates(&self, denied: bool) {
        self.state().denied = denied;
    }

    pub fn cutoff(&self) -> Option<i64> {
        self.state().cutoff
    }

    pub fn calls(&self) -> usize {
        self.state().calls
    }

    pub fn died(&self) -> bool {
        self.state().died
    }

    pub fn items(&self) -> usize {
        self.state().items.keys().filter(|(pk, _)| pk == "ledger").count()
    }

    pub fn history(&self) -> Vec<Option<i64>> {
        self.state().history.clone()
    }

    pub fn has_been(&self, cutoff: Option<i64>) -> bool {
        self.state().history.contains(&cutoff)
    }

    /// Grants that are not closed.
    pub fn open(&self) -> usize {
        let state = self.state();
        let bodies = state.items.values().filter_map(|item| item.get("body")?.as_s().ok());
        bodies.filter_map(|body| decode_grants(body).ok()).filter(|book| book.open().is_some()).count()
    }

    pub fn table(&self, clients: &Clients) -> Table {
        Table { client: clients.dynamodb.clone(), name: "state".to_owned() }
    }

    pub fn clients(&self) -> Clients {
        self.1.clone()
    }
}

/// Building a client takes longer than a hundred calls of it: one set for a world.
fn clients(state: &Arc<Mutex<State>>) -> Clients {
    let unused = |what: &'static str| move || -> ! { panic!("asked {what}") };
    let trail = mock!(aws_sdk_cloudtrail::Client::lookup_events).then_compute_output(move |_| unused("CloudTrail")());
    let metrics = mock!(aws_sdk_cloudwatch::Client::list_metrics).then_compute_output(move |_| unused("CloudWatch")());
    let tags = mock!(aws_sdk_iam::Client::list_user_tags).then_compute_output(move |_| unused("IAM")());
    let mail = mock!(aws_sdk_ses::Client::send_raw_email).then_compute_output(move |_| unused("SES")());
    Clients {
        athena: athena(state),
        cloudtrail: mock_client!(aws_sdk_cloudtrail, [&trail]),
        cloudwatch: mock_client!(aws_sdk_cloudwatch, [&metrics]),
        dynamodb: dynamodb(state),
        iam: mock_client!(aws_sdk_iam, [&tags]),
        servicequotas: crate::no_quotas(),
        ses: mock_client!(aws_sdk_ses, [&mail]),
        ssm: ssm(state),
        region: "eu-central-1".to_owned(),
        calls: Calls::default(),
        paces: Paces::default(),
    }
}

fn athena(state: &Arc<Mutex<State>>) -> aws_sdk_athena::Client {
    fn failed(code: &str) -> InvalidRequestException {
        let meta = aws_sdk_athena::error::ErrorMetadata::builder().code(code).message("no").build();
        InvalidRequestException::builder().meta(meta).build()
    }
    let (reads, writes) = (state.clone(), state.clone());
    let get = mock!(aws_sdk_athena::Client::get_work_group).then_compute_response(move |_| {
        let dead = MockResponse::Error(GetWorkGroupError::InvalidRequestException(failed("Died")));
        call(&reads, dead, |state| {
            let configuration =
                WorkGroupConfiguration::builder().set_bytes_scanned_cutoff_per_query(state.cutoff).build();
            let group = WorkGroup::builder().name("ad-hoc").configuration(configuration).build().unwrap();
            MockResponse::Output(GetWorkGroupOutput::builder().work_group(group).build())
        })
    });
    let update =
        mock!(aws_sdk_athena::Client::update_work_group).then_compute_response(move |input: &UpdateWorkGroupInput| {
            let dead = MockResponse::Error(UpdateWorkGroupError::InvalidRequestException(failed("Died")));
            let updates = input.configuration_updates().unwrap();
            assert_eq!(input.work_group(), Some("ad-hoc"));
            let removes = updates.remove_bytes_scanned_cutoff_per_query() == Some(true);
            let cutoff = updates.bytes_scanned_cutoff_per_query();
            assert!(removes != cutoff.is_some(), "one of the two: {updates:?}");
            call(&writes, dead, |state| {
                if state.denied {
                    let denied = failed("AccessDeniedException");
                    return MockResponse::Error(UpdateWorkGroupError::InvalidRequestException(denied));
                }
                state.cutoff = cutoff;
                state.history.push(cutoff);
                MockResponse::Output(UpdateWorkGroupOutput::builder().build())
            })
        });
    mock_client!(aws_sdk_athena, RuleMode::MatchAny, [&get, &update])
}

fn number(item: &Item, name: &str) -> Option<i64> {
    item.get(name)?.as_n().ok()?.parse().ok()
}

fn place(item: &Item) -> (String, String) {
    let text = |name: &str| item[name].as_s().unwrap().clone();
    (text("pk"), text("sk"))
}

fn dynamodb(state: &Arc<Mutex<State>>) -> aws_sdk_dynamodb::Client {
    let gone = || ResourceNotFoundException::builder().build();
    let (leases, reads, writes) = (state.clone(), state.clone(), state.clone());
    let update = mock!(aws_sdk_dynamodb::Client::update_item).then_compute_response(move |input: &UpdateItemInput| {
        let dead = MockResponse::Error(UpdateItemError::ResourceNotFoundException(gone()));
        call(&leases, dead, |state| {
            let values = input.expression_attribute_values().unwrap();
            let key = place(input.key().unwrap());
            let present = state.items.get(&key).cloned().unwrap_or_default();
            let is_mine = present.get("holder") == values.get(":me");
            let takes = input.update_expression().unwrap().starts_with("SET");
            let is_free = !present.contains_key("holder")
                || number(&present, "held_until") < number(values, ":now").filter(|_| takes);
            if !(is_mine || takes && is_free) {
                let failed = ConditionalCheckFailedException::builder().set_item(Some(present)).build();
                return MockResponse::Error(UpdateItemError::ConditionalCheckFailedException(failed));
            }
            let mut item = HashMap::from([
                ("pk".to_owned(), AttributeValue::S(key.0.clone())),
                ("sk".to_owned(), AttributeValue::S(key.1.clone())),
            ]);
            if takes {
                item.insert("holder".to_owned(), values[":me"].clone());
                item.insert("held_until".to_owned(), values[":until"].clone());
            }
            state.items.insert(key, item);
            MockResponse::Output(UpdateItemOutput::builder().build())
        })
    });
    let query = mock!(aws_sdk_dynamodb::Client::query).then_compute_response(move |input: &QueryInput| {
        let dead = MockResponse::Error(QueryError::ResourceNotFoundException(gone()));
        let pk = input.expression_attribute_values().unwrap()[":pk"].as_s().unwrap().clone();
        call(&reads, dead, |state| {
            let items = state.items.iter().filter(|((of, _), _)| *of == pk).map(|(_, item)| item.clone());
            MockResponse::Output(QueryOutput::builder().set_items(Some(items.collect())).build())
        })
    });
    let write = mock!(aws_sdk_dynamodb::Client::transact_write_items).then_compute_response(
        move |input: &TransactWriteItemsInput| {
            let dead = MockResponse::Error(TransactWriteItemsError::ResourceNotFoundException(gone()));
            call(&writes, dead, |state| {
                let [item] = input.transact_items() else { panic!("one at a time") };
                let put = item.put().unwrap();
                let key = place(put.item());
                let expected = put.expression_attribute_values().and_then(|values| number(values, ":rev"));
                assert_eq!(
                    put.condition_expression(),
                    Some(if expected.is_some() { "rev = :rev" } else { "attribute_not_exists(pk)" })
                );
                if state.items.get(&key).and_then(|item| number(item, "rev")) != expected {
                    let cancelled = TransactionCanceledException::builder().message("no").build();
                    return MockResponse::Error(TransactWriteItemsError::TransactionCanceledException(cancelled));
                }
                state.items.insert(key, put.item().clone());
                MockResponse::Output(TransactWriteItemsOutput::builder().build())
            })
        },
    );
    mock_client!(aws_sdk_dynamodb, RuleMode::MatchAny, [&update, &query, &write])
}

fn ssm(state: &Arc<Mutex<State>>) -> aws_sdk_ssm::Client {
    let state = state.clone();
    let get = mock!(aws_sdk_ssm::Client::get_parameters_by_path).then_compute_response(move |_| {
        let meta = ErrorMetadata::builder().code("Died").message("no").build();
        let error = InvalidFilterKey::builder().meta(meta).build();
        let dead = MockResponse::Error(GetParametersByPathError::InvalidFilterKey(error));
        call(&state, dead, |_| {
            let parameter = Parameter::builder().name("/w/policy/00-test").value(POLICY).build();
            MockResponse::Output(GetParametersByPathOutput::builder().parameters(parameter).build())
        })
    });
    mock_client!(aws_sdk_ssm, RuleMode::MatchAny, [&get])
}
