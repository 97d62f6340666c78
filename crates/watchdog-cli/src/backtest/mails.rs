//! How many mails were sent: one per person and run, whatever they tell of.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use watchdog_core::backtest::Notification;
use watchdog_core::policy::Address;

use super::ALWAYS;

/// The mails under each of the policies that are compared.
#[derive(Debug, Default)]
pub struct Mails(Vec<BTreeMap<Timestamp, BTreeSet<Address>>>);

impl Mails {
    /// None yet, under so many policies.
    pub fn of(policies: usize) -> Self {
        Self(vec![BTreeMap::new(); policies])
    }

    /// Counts the notifications from the one at `new` on, and keeps of them those that are shown or compared one by one. Of the static rule
    /// nothing but the counts is asked for, and with limits that are often passed its notifications would be half of the memory.
    pub fn take(&mut self, notifications: &mut Vec<Notification>, new: usize) {
        for notification in notifications.get(new..).unwrap_or_default() {
            let Some(runs) = self.0.get_mut(notification.policy) else { continue };
            let people = runs.entry(notification.time).or_default();
            for person in notification.told.iter() {
                if !people.contains(person) {
                    people.insert(person.clone());
                }
            }
        }
        notifications.extract_if(new.., |notification| !matches!(notification.policy, 0 | ALWAYS)).for_each(drop);
    }

    /// Adds those that tell of other workgroups.
    pub fn add(&mut self, other: Self) {
        self.0.resize_with(self.0.len().max(other.0.len()), BTreeMap::new);
        for (own, other) in self.0.iter_mut().zip(other.0) {
            for (run, people) in other {
                own.entry(run).or_default().extend(people);
            }
        }
    }

    /// How many, by policy.
    pub fn counts(&self) -> Vec<usize> {
        self.0.iter().map(|runs| runs.values().map(BTreeSet::len).sum()).collect()
    }
}

#[cfg(test)]
mod tests {
    use watchdog_core::policy::Address;

    use super::*;

    /// A notification under this policy in this minute, to these people.
    fn told(policy: usize, minute: i64, people: &[&str]) -> Notification {
        let address = |name: &&str| Address::parse(&format!("{name}@example.com")).expect("an address");
        Notification {
            time: Timestamp::from_second(minute * 60).expect("a time"),
            workgroup: "etl".into(),
            window: "1h".into(),
            event: "opened",
            level: "warn",
            reason: "threshold",
            used_bytes: 9,
            limit_bytes: 10,
            exhausts_at: None,
            told: people.iter().map(address).collect(),
            policy,
        }
    }

    #[test]
    fn a_mail_is_one_per_person_and_run_whatever_it_tells_of_and_whoever_counts_it() {
        let (mut here, mut there) = (Mails::of(3), Mails::of(3));
        let before = told(1, 0, &["was-counted-before"]);
        let mut notifications = vec![
            before.clone(),
            told(0, 1, &["ann", "bob"]),
            told(0, 1, &["ann"]),
            told(1, 1, &["ann"]),
            told(ALWAYS, 2, &["ann"]),
        ];
        here.take(&mut notifications, 1);
        // What was there before is neither counted again nor dropped; of the static rule nothing is kept.
        let kept = vec![before, told(0, 1, &["ann", "bob"]), told(0, 1, &["ann"]), told(ALWAYS, 2, &["ann"])];
        assert_eq!(notifications, kept);
        // Another workgroup's, in the same run and in another.
        there.take(&mut vec![told(0, 1, &["bob"]), told(0, 2, &["bob"]), told(1, 2, &["cy", "dee"])], 0);
        here.add(there);
        assert_eq!(here.counts(), [3, 3, 1]);
    }
}
