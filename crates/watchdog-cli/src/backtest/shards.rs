//! The workgroups of a file, shared out among the cores.
//!
//! Workgroups have nothing to do with each other, and each one's rows stay in their order on its own thread. What the threads found is
//! put together by the workgroups' places in the file, so that the result is the same on any number of cores.

use std::num::NonZero;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, Scope, ScopedJoinHandle};

use jiff::Timestamp;
use watchdog_core::backtest::{Asked, Notification, Pace, Replay, Scored};
use watchdog_core::bytes::Bytes;
use watchdog_core::policy::Policy;

use super::mails::Mails;

/// Rows that are handed over at once: three quarters of a megabyte. Of a file in the order of time that is dozens of rows of each workgroup,
/// which are gone through one after the other: from row to row, a thousand workgroups' pasts do not fit the processor's cache.
const BATCH: usize = 32_768;

/// Batches that wait for a thread. The reader stops there, so that memory does not grow where reading is quicker than looking.
const WAITING: usize = 3;

/// More threads than this only wait for the one that reads.
const MOST_THREADS: usize = 8;

/// What one workgroup came to.
#[derive(Debug)]
pub struct Found {
    /// Its place in the file.
    pub place: u32,
    /// What would have been sent.
    pub notifications: Vec<Notification>,
    /// How its limits scored.
    pub scored: Vec<Scored>,
    /// How often it was asked, where the policy has an economy.
    pub asked: Option<Asked>,
}

/// One row of a workgroup that its thread knows by number.
#[derive(Debug, Clone, Copy)]
struct Row {
    number: u32,
    at: i64,
    bytes: u64,
}

enum Message {
    /// The thread's next workgroup: its place in the file, its name and its first stamp.
    Begins(u32, String, Timestamp),
    Rows(Vec<Row>),
    /// That was all; nothing runs after this instant.
    Ends(Timestamp),
}

/// The threads.
pub struct Shards<'s> {
    shards: Vec<Shard<'s>>,
}

struct Shard<'s> {
    inbox: SyncSender<Message>,
    rows: Vec<Row>,
    workgroups: u32,
    thread: ScopedJoinHandle<'s, (Vec<Found>, Mails)>,
}

impl<'s> Shards<'s> {
    /// Starts them.
    pub fn start<'p: 's>(scope: &'s Scope<'s, 'p>, policies: &'p [&'p Policy], pace: Pace) -> Self {
        let threads = thread::available_parallelism().map_or(1, NonZero::get).min(MOST_THREADS);
        let shards = (0..threads).map(|_| {
            let (inbox, messages) = sync_channel(WAITING);
            let thread = scope.spawn(move || work(policies, pace, messages));
            Shard { inbox, rows: Vec::with_capacity(BATCH), workgroups: 0, thread }
        });
        Self { shards: shards.collect() }
    }

    /// The workgroup at this place of the file begins. Returns where its rows are to go.
    pub fn begins(&mut self, place: u32, workgroup: &str, first: Timestamp) -> Home {
        let number = usize::try_from(place).unwrap_or(0) % self.shards.len().max(1);
        let mut home = Home { shard: number, number: 0 };
        if let Some(shard) = self.shards.get_mut(number) {
            home.number = shard.workgroups;
            shard.workgroups += 1;
            shard.hand_over();
            shard.send(Message::Begins(place, workgroup.to_owned(), first));
        }
        home
    }

    /// Hands over one row.
    pub fn push(&mut self, home: Home, at: i64, bytes: Bytes) {
        if let Some(shard) = self.shards.get_mut(home.shard) {
            shard.rows.push(Row { number: home.number, at, bytes: bytes.get() });
            if shard.rows.len() == BATCH {
                shard.hand_over();
            }
        }
    }

    /// Does the runs that are left, but none after `until`, and waits for what was found, by the workgroups' places, and for the mails of all.
    pub fn finish(mut self, until: Timestamp) -> (Vec<Found>, Mails) {
        for shard in &mut self.shards {
            shard.hand_over();
            shard.send(Message::Ends(until));
        }
        let (mut found, mut mails) = (Vec::new(), Mails::default());
        for shard in self.shards {
            drop(shard.inbox);
            match shard.thread.join() {
                Ok((of_one, sent)) => {
                    found.extend(of_one);
                    mails.add(sent);
                }
                // A bug of ours: it is not made smaller by half a result.
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        found.sort_by_key(|found: &Found| found.place);
        (found, mails)
    }
}

/// Where a workgroup's rows go.
#[derive(Debug, Clone, Copy)]
pub struct Home {
    shard: usize,
    number: u32,
}

impl Shard<'_> {
    fn hand_over(&mut self) {
        if !self.rows.is_empty() {
            let rows = std::mem::replace(&mut self.rows, Vec::with_capacity(BATCH));
            self.send(Message::Rows(rows));
        }
    }

    /// A thread that is gone has panicked, which is found when it is waited for.
    fn send(&self, message: Message) {
        let _ = self.inbox.send(message);
    }
}

/// One thread. Where the file turns out to be unreadable no end comes, and nothing was found.
fn work(policies: &[&Policy], pace: Pace, messages: Receiver<Message>) -> (Vec<Found>, Mails) {
    let mut mails = Mails::of(policies.len());
    let mut replays: Vec<(u32, Option<Replay<'_>>, Vec<Notification>)> = Vec::new();
    for message in messages {
        match message {
            Message::Begins(place, workgroup, first) => {
                replays.push((place, Replay::new(policies, &workgroup, first, pace), Vec::new()));
            }
            Message::Rows(mut rows) => {
                // Each workgroup's rows stay in their order.
                rows.sort_by_key(|row| row.number);
                for row in rows {
                    let replay = usize::try_from(row.number).ok().and_then(|number| replays.get_mut(number));
                    if let (Some((_, Some(replay), out)), Ok(at)) = (replay, Timestamp::from_second(row.at)) {
                        let before = out.len();
                        replay.push(at, Bytes::new(row.bytes), out);
                        mails.take(out, before);
                    }
                }
            }
            Message::Ends(until) => {
                let found = replays.into_iter().filter_map(|(place, replay, mut notifications)| {
                    let mut replay = replay?;
                    let before = notifications.len();
                    replay.finish(until, &mut notifications);
                    mails.take(&mut notifications, before);
                    let asked = replay.asked();
                    Some(Found { place, notifications, scored: replay.scored(), asked })
                });
                return (found.collect(), mails);
            }
        }
    }
    (Vec::new(), mails)
}
