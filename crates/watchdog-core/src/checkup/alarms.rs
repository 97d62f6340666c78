//! CloudWatch's own alarms: the second path, which needs neither the function nor SES.

use std::collections::BTreeMap;

use super::remedy::{first_admin, quote, resource};
use super::runs::silence;
use super::state::{Alarm, Stack, State};
use super::workgroups::covered;
use super::{Check, Severity, count, names};
use crate::bytes::Bytes;
use crate::policy::{Limit, Policy};
use crate::usage::{Dimensions, Listed};
use crate::window::Window;

const NAMESPACE: &str = "AWS/Athena";
const METRIC: &str = "ProcessedBytes";
/// The stack's alarms on limits, and the workgroup of each.
const OF_LIMITS: [(&str, &str); 4] = [
    ("PredictableLimitAlarm", "predictable"),
    ("LongQueryLimitAlarm", "long-query"),
    ("ExploratoryLimitAlarm", "exploratory"),
    ("AdHocLimitAlarm", "ad-hoc"),
];
/// The longest stretch that one CloudWatch alarm of this kind looks at: a day.
const LONGEST_ALARM_MINUTES: u32 = 24 * 60;

/// Alarms on what workgroups scan, against the policy's limits.
pub(super) fn of_limits(state: &State, policy: Option<&Policy>) -> Check {
    let mut check = Check::new("limit alarms", "");
    let Some(policy) = check.policy(policy) else { return check };
    let Some(alarms) = check.seen(&state.alarms) else { return check };
    check.seen(&state.workgroups);
    check.seen(&state.metrics);
    let mut right = 0;
    let mut without = Vec::new();
    let mut remedies = Vec::new();
    for (name, _, rule) in covered(state, policy) {
        for limit in &rule.limits {
            // A calendar window has no alarm of CloudWatch's that is the same.
            let Window::Rolling { minutes: minutes @ ..=LONGEST_ALARM_MINUTES } = limit.window else { continue };
            let seconds = i64::from(minutes) * 60;
            let of_it: Vec<&Alarm> =
                alarms.iter().filter(|alarm| is_on(alarm, name) && alarm.seconds == seconds).collect();
            if of_it.is_empty() {
                // Anew under its name, so that CloudFormation finds it again. Where it is there, it is on another window.
                let gone = of_the_stack_for(state, name).filter(|id| !alarms.iter().any(|alarm| alarm.name == *id));
                let remedy = put(state, name, limit, seconds);
                match gone {
                    Some(alarm) => check.find(
                        Severity::Warning,
                        format!("alarm/{alarm}"),
                        format!("the stack's alarm on `{name}` does not exist (`{alarm}`)"),
                        "While the function or SES is in trouble nobody hears of this limit.",
                        remedy,
                    ),
                    None => {
                        remedies.extend(remedy);
                        without.push(format!("{name} {}", limit.window.id()));
                    }
                }
                continue;
            }
            let before = check.findings.len();
            for alarm in &of_it {
                examine(&mut check, state, name, alarm, limit);
            }
            // Others beside one that is right are somebody's early warnings.
            let blind =
                |alarm: &Alarm| state.metrics.as_ref().is_ok_and(|listed| !may_exist(listed, name, &alarm.dimensions));
            // One that sees nothing was named above.
            if !of_it.iter().any(|alarm| is_at(alarm, limit.bytes)) && !blind(of_it[0]) {
                differs(&mut check, state, name, of_it[0], limit, seconds);
            }
            if check.findings.len() == before {
                right += 1;
            }
        }
    }
    if !without.is_empty() {
        check.find(
            Severity::Note,
            "alarms",
            format!(
                "no CloudWatch alarm stands behind {}: {}",
                count(without.len(), "limit"),
                names(without.iter().map(String::as_str))
            ),
            "While the function or SES is in trouble nobody hears of these limits.",
            remedies,
        );
    }
    check.fine = format!("{} of CloudWatch as the policy says", count(right, "alarm"));
    check
}

/// The name of the stack's alarm on a workgroup's limit, where the stack has one.
fn of_the_stack_for<'a>(state: &'a State, workgroup: &str) -> Option<&'a str> {
    let (logical, _) = OF_LIMITS.iter().find(|(_, on)| *on == workgroup)?;
    resource(state, logical)
}

/// What makes an alarm useless whatever its threshold.
fn examine(check: &mut Check, state: &State, workgroup: &str, alarm: &Alarm, limit: &Limit) {
    let name = quote(&alarm.name);
    if let Ok(listed) = &state.metrics
        && !may_exist(listed, workgroup, &alarm.dimensions)
    {
        check.find(
            Severity::Warning,
            format!("alarm/{}", alarm.name),
            format!("alarm `{}` is on a metric that Athena does not publish for `{workgroup}`", alarm.name),
            "It never sees a byte, so it never goes off, and looks well.",
            put(state, workgroup, limit, alarm.seconds),
        );
    }
    if alarm.actions.is_empty() {
        check.find(
            Severity::Warning,
            format!("alarm/{}", alarm.name),
            format!("alarm `{}` has no action", alarm.name),
            "It goes off, and nobody hears of it.",
            put(state, workgroup, limit, alarm.seconds),
        );
    } else if !alarm.actions_enabled {
        check.find(
            Severity::Warning,
            format!("alarm/{}", alarm.name),
            format!("the actions of alarm `{}` are switched off", alarm.name),
            "It goes off, and nobody hears of it.",
            vec![state.place.aws(&format!("cloudwatch enable-alarm-actions --alarm-names {name}"))],
        );
    }
}

fn differs(check: &mut Check, state: &State, workgroup: &str, alarm: &Alarm, limit: &Limit, seconds: i64) {
    let policy = limit.bytes.exact(limit.units);
    let at = alarm.threshold.map_or("no fixed threshold".to_owned(), |n| Bytes::new(n).exact(limit.units));
    let what = if alarm.dimensions.len() != 1 {
        format!("alarm `{}` sees a part of the use in `{workgroup}` only", alarm.name)
    } else if alarm.periods != 1 {
        format!("alarm `{}` on `{workgroup}` compares {} periods one by one, not their sum", alarm.name, alarm.periods)
    } else if alarm.threshold.is_some_and(|threshold| same(threshold, limit.bytes)) {
        format!(
            "alarm `{}` compares `{}` of the use in `{workgroup}` by `{}`",
            alarm.name, alarm.statistic, alarm.comparison
        )
    } else {
        format!(
            "alarm `{}` on `{workgroup}` goes off at {at}, and the policy's limit for {} is {policy}",
            alarm.name,
            limit.window.id()
        )
    };
    check.find(
        Severity::Warning,
        format!("alarm/{}", alarm.name),
        what,
        "The two paths tell people different things about the same limit.",
        put(state, workgroup, limit, seconds),
    );
}

fn is_on(alarm: &Alarm, workgroup: &str) -> bool {
    alarm.namespace == NAMESPACE
        && alarm.metric == METRIC
        && alarm.dimensions.get("WorkGroup").is_some_and(|on| on == workgroup)
}

/// Whether an alarm goes off exactly when the limit is gone: when use is at the limit or above.
fn is_at(alarm: &Alarm, limit: Bytes) -> bool {
    let Some(threshold) = alarm.threshold else { return false };
    // More dimensions leave queries out, such as failed ones; of several periods each is compared by itself.
    alarm.dimensions.len() == 1
        && alarm.periods == 1
        && alarm.statistic == "Sum"
        && match alarm.comparison.as_str() {
            "GreaterThanOrEqualToThreshold" => same(threshold, limit),
            // Athena's own console makes these; a byte is no difference.
            "GreaterThanThreshold" => same(threshold, limit) || same(threshold.saturating_add(1), limit),
            _ => false,
        }
}

/// CloudWatch keeps thresholds in floating point, of 53 bits.
fn same(threshold: u64, limit: Bytes) -> bool {
    threshold.abs_diff(limit.get()) <= limit.get() >> 52
}

/// Makes the alarm as the stack's template has it: the stack's own, or where it has none one beside those that are there. Somebody else's
/// alarm is never written over, for its actions would be lost. Nothing where Athena does not publish the metric that it needs.
fn put(state: &State, workgroup: &str, limit: &Limit, seconds: i64) -> Vec<String> {
    let on = BTreeMap::from([("WorkGroup".to_owned(), workgroup.to_owned())]);
    if state.metrics.as_ref().is_ok_and(|listed| !may_exist(listed, workgroup, &on)) {
        return Vec::new();
    }
    // The stack's own may be there and be on another window.
    let alarms = state.alarms.as_deref().unwrap_or_default();
    let is_other = |id: &&str| alarms.iter().any(|alarm| alarm.name == *id && alarm.seconds != seconds);
    let own = of_the_stack_for(state, workgroup).filter(|id| !is_other(id));
    let name = own.map_or_else(|| format!("{}-{workgroup}-{}", state.place.stack, limit.window.id()), str::to_owned);
    let topic = resource(state, "AlarmTopic").map(quote).unwrap_or("TOPIC_ARN".to_owned());
    vec![state.place.aws(&format!(
        "cloudwatch put-metric-alarm --alarm-name {} --namespace {NAMESPACE} --metric-name {METRIC} \
         --dimensions Name=WorkGroup,Value={} --statistic Sum --period {seconds} --evaluation-periods 1 \
         --comparison-operator GreaterThanOrEqualToThreshold --threshold {} --treat-missing-data notBreaching \
         --alarm-actions {topic}",
        quote(&name),
        quote(workgroup),
        limit.bytes.get()
    ))]
}

/// The alarms that the stack made, its own among them: still there, and heard.
pub(super) fn of_the_stack(state: &State) -> Check {
    let place = &state.place;
    let mut check = Check::new("stack alarms", "");
    let Some(stack) = check.seen(&state.stack) else { return check };
    let Some(alarms) = check.seen(&state.alarms) else { return check };
    let Some(stack) = stack else {
        check.cannot_see(&super::Blind::After("there is no such stack".to_owned()));
        return check;
    };
    let by_name: BTreeMap<&str, &Alarm> = alarms.iter().map(|alarm| (alarm.name.as_str(), alarm)).collect();
    // Those on limits are looked at with the limits.
    let is_other = |logical: &str| !OF_LIMITS.iter().any(|(alarm, _)| *alarm == logical);
    let ours = stack
        .resources
        .iter()
        .filter(|(logical, resource)| resource.kind == "AWS::CloudWatch::Alarm" && is_other(logical));
    let ours: Vec<_> = ours.collect();
    for (logical, resource) in &ours {
        match by_name.get(resource.id.as_str()) {
            None => check.find(
                Severity::Warning,
                format!("alarm/{}", resource.id),
                format!("the stack's alarm `{logical}` does not exist (`{}`)", resource.id),
                "What it would say is said by nobody. CloudFormation does not make anew what was deleted behind \
                 its back.",
                vec![put_own(state, stack, logical, &resource.id).unwrap_or_else(|| place.deploy())],
            ),
            // What is there on a workgroup was looked at with the limits.
            Some(alarm) if alarm.namespace == NAMESPACE => {}
            Some(alarm) if alarm.actions.is_empty() => check.find(
                Severity::Warning,
                format!("alarm/{}", resource.id),
                format!("the stack's alarm `{logical}` has no action"),
                "It goes off, and nobody hears of it.",
                vec![put_own(state, stack, logical, &resource.id).unwrap_or_else(|| place.deploy())],
            ),
            Some(alarm) if !alarm.actions_enabled => check.find(
                Severity::Warning,
                format!("alarm/{}", resource.id),
                format!("the actions of the stack's alarm `{logical}` are switched off"),
                "It goes off, and nobody hears of it.",
                vec![place.aws(&format!("cloudwatch enable-alarm-actions --alarm-names {}", quote(&resource.id)))],
            ),
            Some(_) => {}
        }
    }
    check.fine = format!("{} of the stack there, and heard", count(ours.len(), "alarm"));
    check
}

/// One of the watchdog's own alarms as the stack's template has it; `None` for one that this tool does not know.
fn put_own(state: &State, stack: &Stack, logical: &str, name: &str) -> Option<String> {
    let function = ("FunctionName", stack.id("Function")?);
    let queue = stack.id("DeadLetterQueue").and_then(|url| url.rsplit(['/', ':']).next()).unwrap_or("QUEUE");
    let at_least_one = "GreaterThanOrEqualToThreshold --threshold 1 --treat-missing-data notBreaching";
    let topic = stack.id("AlarmTopic").map_or("TOPIC_ARN".to_owned(), quote);
    // Whoever was woken by silence wants to know when it is over.
    let silent = format!("LessThanThreshold --threshold 1 --treat-missing-data breaching --ok-actions {topic}");
    let (namespace, metric, dimension, statistic, period, rest) = match logical {
        "ErrorsAlarm" => ("AWS/Lambda", "Errors", function, "Sum", 300, at_least_one),
        "DeadLetterAlarm" => {
            ("AWS/SQS", "ApproximateNumberOfMessagesVisible", ("QueueName", queue), "Maximum", 300, at_least_one)
        }
        "MailsFailedAlarm" => ("AthenaQuotaWatchdog", "MailsFailed", function, "Sum", 300, at_least_one),
        "UnknownLimitsAlarm" => {
            ("AthenaQuotaWatchdog", "UnknownLimits", function, "Minimum", silence(state), at_least_one)
        }
        "SilenceAlarm" => ("AthenaQuotaWatchdog", "CompletedRuns", function, "Sum", silence(state), silent.as_str()),
        _ => return None,
    };
    Some(state.place.aws(&format!(
        "cloudwatch put-metric-alarm --alarm-name {} --namespace {namespace} --metric-name {metric} \
         --dimensions Name={},Value={} --statistic {statistic} --period {period} --evaluation-periods 1 \
         --comparison-operator {rest} --alarm-actions {}",
        quote(name),
        dimension.0,
        quote(dimension.1),
        topic
    )))
}

/// Whether anybody hears the alarms.
pub(super) fn subscriptions(state: &State, policy: Option<&Policy>) -> Check {
    let mut check = Check::new("alarm topic", "");
    let Some(subscriptions) = check.seen(&state.subscriptions) else { return check };
    let topic = resource(state, "AlarmTopic").unwrap_or("TOPIC_ARN");
    let Some(subscriptions) = subscriptions else {
        check.find(
            Severity::Critical,
            topic,
            format!("the alarm topic `{topic}` does not exist"),
            "When the watchdog itself is in trouble nobody hears of it.",
            vec![
                state
                    .place
                    .aws(&format!("sns create-topic --name {}", quote(topic.rsplit(':').next().unwrap_or(topic)))),
            ],
        );
        return check;
    };
    let confirmed = subscriptions.iter().filter(|subscription| subscription.confirmed).count();
    check.fine = format!("{} to the alarm topic confirmed", count(confirmed, "subscription"));
    let subscribe = |address: &str| {
        state.place.aws(&format!(
            "sns subscribe --topic-arn {} --protocol email --notification-endpoint {address}",
            quote(topic)
        ))
    };
    let waiting: Vec<_> = subscriptions.iter().filter(|subscription| !subscription.confirmed).collect();
    if confirmed == 0 {
        let remedy = match waiting.first() {
            // It sends the mail with the link once more.
            Some(waiting) => subscribe(&quote(&waiting.endpoint)),
            None => subscribe(&first_admin(policy)),
        };
        check.find(
            Severity::Warning,
            topic,
            "nobody has confirmed a subscription to the alarm topic",
            "When the watchdog itself is in trouble nobody hears of it. The command sends the mail with the link \
             to confirm.",
            vec![remedy],
        );
    } else if !waiting.is_empty() {
        check.find(
            Severity::Note,
            topic,
            format!("not confirmed yet: {}", names(waiting.iter().map(|waiting| waiting.endpoint.as_str()))),
            "They do not hear the stack's alarms; others do.",
            waiting.iter().map(|waiting| subscribe(&quote(&waiting.endpoint))).collect(),
        );
    }
    check
}

/// Whether the metric of these dimensions exists, or may come to be: nothing is known of a workgroup that has been idle.
fn may_exist(listed: &Listed, workgroup: &str, dimensions: &BTreeMap<String, String>) -> bool {
    let text = |name: &str| dimensions.get(name).cloned();
    let set = match (dimensions.len(), text("QueryState"), text("QueryType")) {
        (1, None, None) => Dimensions::WorkGroup {},
        (3, Some(state), Some(query_type)) => Dimensions::StateAndType { state, query_type },
        // Athena has no other sets.
        _ => return false,
    };
    listed.knows(workgroup).is_none_or(|sets| sets.contains(&set))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_threshold_in_floating_point_is_the_same_limit() {
        assert!(same(700_000_000_000, Bytes::new(700_000_000_000)));
        assert!(!same(700_000_000_001, Bytes::new(700_000_000_000)));
        // The nearest number that 53 bits hold.
        assert!(same(9_007_199_254_740_992, Bytes::new(9_007_199_254_740_993)));
        assert!(same(u64::MAX, Bytes::new(u64::MAX)));
    }
}
