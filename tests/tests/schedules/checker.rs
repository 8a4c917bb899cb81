//! What must hold when a schedule is over.

use std::collections::{BTreeMap, BTreeSet};

use eddy_broker::twin::{Isolation, Stored};
use eddy_pipeline::checkpoint::Guarantee;
use eddy_pipeline::event::{Destination, HEADER_BODY, HEADER_REASON, HEADER_SOURCE};
use eddy_pipeline::partition::partition_for;
use eddy_pipeline::trace::HEADER_TRACEPARENT;

use crate::inputs::{Input, ends};
use crate::plan::{Kind, Plan};
use crate::stub::tracing;
use crate::world::{Aftermath, GROUP, OUTPUT_PARTITIONS};

/// Where an input came from: partition and offset.
type Place = (i32, i64);

/// The outputs of one input, by topic.
#[derive(Debug, Default)]
struct Outputs<'a> {
    predictions: Vec<&'a Stored>,
    samples: Vec<&'a Stored>,
    dead_letters: Vec<&'a Stored>,
}

impl Outputs<'_> {
    fn counts(&self) -> [usize; 3] {
        [self.predictions.len(), self.samples.len(), self.dead_letters.len()]
    }
}

/// Checks everything; the first broken promise is the answer.
pub(crate) fn check(plan: &Plan, aftermath: &Aftermath) -> Result<(), String> {
    let topics = OUTPUT_PARTITIONS.map(|(topic, _)| aftermath.cluster.read(topic, Isolation::ReadCommitted));
    let mut outputs: BTreeMap<Place, Outputs<'_>> = BTreeMap::new();
    for (index, stored) in topics
        .iter()
        .enumerate()
        .flat_map(|(index, all)| all.iter().map(move |one| (index, one)))
    {
        let entry = outputs.entry(place(stored)?).or_default();
        match index {
            0 => entry.predictions.push(stored),
            1 => entry.samples.push(stored),
            _ => entry.dead_letters.push(stored),
        }
    }
    for input in &aftermath.inputs {
        let found = outputs.remove(&(input.partition, input.offset)).unwrap_or_default();
        one_outcome(plan, input, &found)
            .map_err(|what| format!("events/{}/{} ({:?}): {what}", input.partition, input.offset, input.kind))?;
    }
    if let Some(place) = outputs.keys().next() {
        return Err(format!("there are outputs of {place:?}, which is no input"));
    }
    for ((topic, _), stored) in OUTPUT_PARTITIONS.iter().zip(&topics) {
        in_order(plan, topic, stored)?;
    }
    committed_to_the_end(aftermath)?;
    books(plan, aftermath, &topics)?;
    traces(plan, aftermath, &topics)?;
    let violations = aftermath.cluster.violations();
    let excused = |violation: &str| plan.may_go_back() && violation.contains("went back");
    match violations.into_iter().find(|violation| !excused(violation)) {
        Some(violation) => Err(violation),
        None => Ok(()),
    }
}

/// Outputs go on with the trace that their event begins, and lanes told of what they published, of each event once if it is
/// worked on once.
fn traces(plan: &Plan, aftermath: &Aftermath, topics: &[Vec<Stored>; 3]) -> Result<(), String> {
    let times: BTreeMap<Place, Option<i64>> = aftermath
        .inputs
        .iter()
        .map(|input| ((input.partition, input.offset), input.record.timestamp_ms))
        .collect();
    for (to, stored) in Destination::ALL
        .iter()
        .zip(topics)
        .flat_map(|(to, all)| all.iter().map(move |one| (to, one)))
    {
        let (partition, offset) = place(stored)?;
        let source = format!("events/{partition}/{offset}");
        let trace = tracing().of(None, &source, times[&(partition, offset)]);
        let expected = trace.map(|trace| trace.traceparent(*to));
        let found = stored.record.header(HEADER_TRACEPARENT);
        // The smallest form of an output has no headers but ours.
        let is_bare = found.is_none() && plan.has_too_large() && stored.record.header(HEADER_BODY) == Some("omitted");
        if found != expected.as_deref() && !is_bare {
            return Err(format!(
                "an output of {source} goes on with {found:?} instead of {expected:?}"
            ));
        }
    }
    let (told, published) = (&aftermath.told, aftermath.published);
    if told.len() as u64 != published.0 + published.1 {
        return Err(format!(
            "{} events were told of, and the books say {published:?}",
            told.len()
        ));
    }
    let sources: BTreeSet<&str> = told.iter().map(|(event, _)| event.source.as_str()).collect();
    let is_once = plan.guarantee == Guarantee::ExactlyOnce && aftermath.deaths == 0;
    match is_once && sources.len() != told.len() {
        true => Err(format!("{} events were told of {} times", sources.len(), told.len())),
        false => Ok(()),
    }
}

fn place(stored: &Stored) -> Result<Place, String> {
    let source = stored
        .record
        .header(HEADER_SOURCE)
        .ok_or("an output does not say where it came from")?;
    let mut parts = source.split('/');
    let parsed = (|| {
        let topic = parts.next()?;
        let partition = parts.next()?.parse().ok()?;
        let offset = parts.next()?.parse().ok()?;
        (topic == "events").then_some((partition, offset))
    })();
    parsed.ok_or_else(|| format!("`{source}` is no source"))
}

fn one_outcome(plan: &Plan, input: &Input, found: &Outputs<'_>) -> Result<(), String> {
    let counts = found.counts();
    let expected = match input.kind {
        Kind::Sure => [1, 0, 0],
        Kind::Unsure => [1, 1, 0],
        _ => [0, 0, 1],
    };
    // A prediction that its topic does not take becomes a dead letter.
    let diverted = plan.has_too_large() && expected[0] == 1;
    let right = match plan.guarantee {
        Guarantee::ExactlyOnce => counts == expected || (diverted && counts == [0, 0, 1]),
        Guarantee::AtLeastOnce => {
            let all = counts
                .iter()
                .zip(expected)
                .all(|(count, expected)| (*count > 0) == (expected > 0));
            all || (diverted && counts[2] > 0)
        }
    };
    if !right {
        return Err(format!(
            "{counts:?} predictions, samples and dead letters instead of {expected:?}"
        ));
    }
    for (outputs, (topic, partitions)) in [&found.predictions, &found.samples, &found.dead_letters]
        .into_iter()
        .zip(OUTPUT_PARTITIONS)
    {
        for stored in outputs {
            let wanted = partition_for(input.record.key.as_deref(), input.partition, partitions);
            // An output that was too large twice goes without its key too, still to the key's partition.
            let is_bare = stored.record.key.is_none() && stored.record.header(HEADER_BODY) == Some("omitted");
            if stored.partition != wanted || (stored.record.key != input.record.key && !is_bare) {
                return Err(format!("wrong key or partition in {topic}"));
            }
            same_bytes(plan, outputs[0], stored).map_err(|what| format!("{what} in {topic}"))?;
        }
    }
    found
        .samples
        .iter()
        .chain(&found.dead_letters)
        .try_for_each(|stored| original(plan, input, stored))?;
    found
        .dead_letters
        .iter()
        .try_for_each(|stored| reason(plan, input, stored))
}

/// Duplicates, where they are allowed, are the same to the byte.
fn same_bytes(plan: &Plan, one: &Stored, other: &Stored) -> Result<(), String> {
    let (one, other) = (&one.record, &other.record);
    if plan.has_too_large() || (one.value == other.value && one.headers == other.headers) {
        return Ok(());
    }
    Err(format!("two duplicates differ: {one:?} and {other:?}"))
}

fn original(plan: &Plan, input: &Input, stored: &Stored) -> Result<(), String> {
    match stored.record.header(HEADER_BODY) {
        Some("original") if stored.record.value == input.record.value => {
            let header = &input.record.headers[0];
            let carried = stored.record.headers.contains(header);
            carried
                .then_some(())
                .ok_or_else(|| format!("header {header:?} is lost"))
        }
        Some("omitted") if plan.has_too_large() => Ok(()),
        body => Err(format!(
            "its bytes were not kept (eddy.body {body:?}, {:?})",
            stored.record.value
        )),
    }
}

fn reason(plan: &Plan, input: &Input, stored: &Stored) -> Result<(), String> {
    let expected = match input.kind {
        Kind::Sure | Kind::Unsure => "output_too_large",
        Kind::Refused => "model_refused",
        Kind::NotANumber => "output_not_finite",
        Kind::Malformed => "malformed",
        Kind::Incomplete => "missing_field",
        Kind::Tombstone => "tombstone",
    };
    let diverted = plan.has_too_large() && expected == "output_too_large";
    match stored.record.header(HEADER_REASON) {
        Some(reason) if reason == expected && (diverted || expected != "output_too_large") => Ok(()),
        reason => Err(format!("reason {reason:?} instead of {expected}")),
    }
}

/// Outputs of one input partition keep its order in each partition that they go to. At least once, their first
/// occurrences do, unless a delivery failed: what the client sends before the lane hears of it stands in front.
fn in_order(plan: &Plan, topic: &str, stored: &[Stored]) -> Result<(), String> {
    if plan.guarantee == Guarantee::AtLeastOnce && plan.has_failed_deliveries() {
        return Ok(());
    }
    let mut latest: BTreeMap<(i32, i32), i64> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for one in stored {
        let (partition, offset) = place(one)?;
        if !seen.insert((partition, offset)) {
            continue;
        }
        let before = latest.insert((partition, one.partition), offset);
        if let Some(before) = before.filter(|before| *before > offset) {
            return Err(format!(
                "{topic}/{}: events/{partition}/{offset} comes after events/{partition}/{before}",
                one.partition
            ));
        }
    }
    Ok(())
}

fn committed_to_the_end(aftermath: &Aftermath) -> Result<(), String> {
    for (partition, end) in ends(&aftermath.inputs) {
        let committed = aftermath.cluster.committed(GROUP, "events", partition);
        if committed != Some(end) {
            return Err(format!(
                "events/{partition} is committed up to {committed:?} instead of {end}"
            ));
        }
    }
    match aftermath.cluster.open_transactions() {
        0 => Ok(()),
        open => Err(format!("{open} transactions are still open")),
    }
}

/// Exactly once: what the lanes published is what a reader of committed records sees, except for what a lane that died
/// had no time to count.
fn books(plan: &Plan, aftermath: &Aftermath, [predictions, _, dead_letters]: &[Vec<Stored>; 3]) -> Result<(), String> {
    if plan.guarantee == Guarantee::AtLeastOnce {
        return Ok(());
    }
    let visible = (predictions.len() as u64, dead_letters.len() as u64);
    let published = aftermath.published;
    let agree = if aftermath.deaths == 0 {
        visible == published
    } else {
        published.0 <= visible.0 && published.1 <= visible.1
    };
    if agree {
        return Ok(());
    }
    Err(format!(
        "the books say {published:?} predictions and dead letters, readers see {visible:?}, {} lanes died",
        aftermath.deaths
    ))
}
