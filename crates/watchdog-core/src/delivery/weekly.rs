//! The weekly report: whether it is due, and to whom it is owed.
//!
//! It is remembered as an alert is: a story that begins when the report is due, and what each person was last told. So a report that could
//! not be sent is still owed, and one that was is not sent again. Nobody gets two mails in one run: who is told of an alert gets the
//! report in the next run.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::{Facts, Message, Notice, Plan, Records};
use crate::alert::{Reason, Severity, Story, Subject, Told};
use crate::history::History;
use crate::policy::{Address, Policy};
use crate::review::Review;
use crate::window::{Span, floor};

/// Where nothing is remembered, a report that was due longer ago than this is not sent: a policy that begins to ask for one on a Thursday
/// means next Monday's.
const STALE: SignedDuration = SignedDuration::from_hours(24);

/// So long a report waits for CloudWatch where nothing can be read; then it is sent and says so.
const PATIENCE: SignedDuration = SignedDuration::from_hours(1);

/// A report that is owed to somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Week {
    /// When it was due.
    pub due: Timestamp,
    /// The time that it is about, by whole hours.
    pub span: Span,
    /// To whom it is sent in this run.
    pub to: Vec<Address>,
}

/// What the notice of a report says.
#[derive(Debug, Clone, PartialEq)]
pub struct WeekFacts {
    /// What the week came to.
    pub review: Arc<Review>,
    /// `Monday at 08:00 Europe/Berlin`.
    pub asked: String,
}

/// Goes on with the report's record in the plan; returns who is owed the report in this run, where somebody is. `before` are the records that the
/// plan was made from. Without a report in the policy nothing is remembered, either.
pub fn weekly(plan: &mut Plan, policy: &Policy, before: &Records, at: Timestamp) -> Option<Week> {
    let known = before.get(&Subject::Weekly);
    let Some(rules) = &policy.report else {
        if known.is_some() {
            plan.records.insert(Subject::Weekly, Default::default());
        }
        return None;
    };
    let due = rules.weekly.due(at);
    let mut record = known.cloned().unwrap_or_default();
    record.told.retain(|person, _| rules.to.contains(person));
    let told = |story| Told { story, severity: Severity::Weekly, at };
    // A time that was moved to an earlier one asks for the same week again: those who have it have it.
    let is_new = record.story.is_none_or(|story| story.opened < due);
    if is_new {
        record.story =
            Some(Story { opened: due, severity: Severity::Weekly, window_began: Some(due), calm_since: None });
        let is_stale = known.is_none() && at.duration_since(due) > STALE;
        // Everybody who is named now is owed it, and so is remembered as told of another.
        let story = if is_stale { due } else { Timestamp::UNIX_EPOCH };
        for person in &rules.to {
            record.told.entry(person.clone()).or_insert_with(|| told(story));
        }
    }
    let due = record.story.map_or(due, |story| story.opened);
    // Whoever was named since gets the next one.
    for person in &rules.to {
        record.told.entry(person.clone()).or_insert_with(|| told(due));
    }
    let is_owed = |person: &&Address| record.told.get(*person).is_some_and(|told| told.story != due);
    let is_busy = |person: &Address| plan.messages.iter().any(|message| message.to == *person);
    let to: Vec<Address> = rules.to.iter().filter(is_owed).filter(|person| !is_busy(person)).cloned().collect();
    plan.records.insert(Subject::Weekly, record);
    let hour = |at: Timestamp| Timestamp::from_second(at.as_second().div_euclid(3600) * 3600).unwrap_or(floor(at));
    let span = Span { start: hour(rules.weekly.before(due)), end: hour(due) };
    (!to.is_empty()).then_some(Week { due, span, to })
}

impl Week {
    /// Whether to try again in the next run rather than to send a report that knows nothing.
    pub fn can_wait(&self, review: &Review, at: Timestamp) -> bool {
        review.is_blind() && at.duration_since(self.due) < PATIENCE
    }

    /// Adds the report to the plan: a mail for each, after those about alerts.
    pub fn tell(self, plan: &mut Plan, policy: &Policy, review: Review) {
        let asked = policy.report.as_ref().map_or_else(String::new, |rules| rules.weekly.words());
        let facts = WeekFacts { review: Arc::new(review), asked };
        plan.messages.extend(self.to.into_iter().map(|to| message(to, self.due, facts.clone())));
    }
}

/// The report that was due at `due`, to one person.
pub fn message(to: Address, due: Timestamp, facts: WeekFacts) -> Message {
    let notice = Notice {
        subject: Subject::Weekly,
        reason: Reason::Opened,
        severity: Severity::Weekly,
        opened: due,
        facts: Facts::Week(Box::new(facts)),
        people: None,
        quiet: None,
        history: History::default(),
    };
    Message { to, notices: vec![notice] }
}
