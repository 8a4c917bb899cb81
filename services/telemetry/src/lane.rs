//! The metrics of one lane, resolved once and kept off the hot path.
//!
//! Owns: what one lane has observed and not yet published.
//! Never does: take a lock or touch a shared counter for a single event. Observations gather in the lane's own memory and
//! move with the ledger: published when their checkpoint is durable, forgotten when it is rolled back.
//!
//! Invariant: what is published about outcomes is exactly what the lane's [`Accounts`] say, in one step.

mod spans;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use eddy_pipeline::decode::{Change, NewSchema};
use eddy_pipeline::drift::monitor::{Monitor, Tally as DriftTally};
use eddy_pipeline::outcome::{Accounts, Remembers, Tally};
use eddy_pipeline::rejection::Reason;
use eddy_pipeline::score::RunFault;
use eddy_pipeline::select::{Arm, Arms, Chance, Drawn};
use eddy_pipeline::signal::Signal;
use eddy_pipeline::time::Now;
use prometheus::local::LocalHistogram;
use prometheus::{Histogram, IntCounter, IntGauge};

use self::spans::{ModelSpan, Spans};
use crate::catalogue::{CheckpointOutcome, FAULTS, LaneStage, PauseCause, fault_word};
use crate::drift::{ModelVersion, Totals, Watch};
use crate::metrics::Families;
use crate::traces::{TracedEvent, Traces};

/// What one batch was and where its time went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BatchFacts {
    /// Records in the batch, refused ones among them.
    pub rows: usize,
    /// Bytes of their values.
    pub bytes: u64,
    /// Time waiting for records.
    pub poll: Duration,
    /// Time taking records in, from the broker's buffer into the tensors.
    pub decode: Duration,
    /// Time in all models, and reading their outputs.
    pub model: Duration,
    /// Time selecting, and writing the outputs into the producer's queue.
    pub produce: Duration,
}

/// One lane's handles. Lives on the lane's thread; `model` in its calls is the position in the list it was made with.
///
/// What was told about predictions becomes visible with [`LaneMetrics::publish`] after its span was committed, as
/// [`Remembers`] says; the rest with the next [`LaneMetrics::publish`] or at once.
pub struct LaneMetrics {
    families: Arc<Families>,
    lane: String,
    models: Vec<ModelHandles>,
    /// Names of the models.
    names: Vec<String>,
    draws: Vec<Vec<IntCounter>>,
    dead_lettered: Vec<(Reason, IntCounter)>,
    paused: Vec<(PauseCause, IntGauge)>,
    assigned: IntGauge,
    rebalances: IntCounter,
    schema_findings: Vec<(Change, IntCounter)>,
    rows: LocalHistogram,
    stages: Vec<LocalHistogram>,
    checkpoints: Vec<LocalHistogram>,
    latency: LocalHistogram,
    /// Partitions whose lag is shown.
    shown: Vec<(String, i32)>,
    published: Published,
    spans: Spans,
    watch: Option<Watch>,
    traces: Option<Traces>,
}

struct ModelHandles {
    predictions: IntCounter,
    selections: Vec<(Arm, IntCounter)>,
    confidence: LocalHistogram,
    /// Of each signal that was ever measured, by its index.
    signals: Vec<Option<LocalHistogram>>,
    run_seconds: LocalHistogram,
    faults: Vec<(RunFault, IntCounter)>,
    halved: IntCounter,
}

/// What the shared counters know of this lane's books.
#[derive(Debug, Default)]
struct Published {
    tally: Tally,
    consumed: u64,
    abandoned: u64,
    in_flight: u64,
}

impl fmt::Debug for LaneMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LaneMetrics")
            .field("lane", &self.lane)
            .field("published", &self.published)
            .finish_non_exhaustive()
    }
}

impl LaneMetrics {
    pub(crate) fn new(families: Arc<Families>, lane: usize, models: &[&str]) -> Self {
        let lane = lane.to_string();
        let by_stage = |stage: &LaneStage| families.stage_seconds.with_label_values(&[stage.as_str()]).local();
        let by_outcome = |outcome: &CheckpointOutcome| {
            families
                .checkpoint_seconds
                .with_label_values(&[outcome.as_str()])
                .local()
        };
        let by_reason = |reason: &Reason| (*reason, families.dead_lettered.with_label_values(&[reason.as_str()]));
        let by_arm = |arm: &Arm| {
            let drawn = Drawn::ALL.iter();
            drawn
                .map(|drawn| families.draws.with_label_values(&[arm.as_str(), drawn.as_str()]))
                .collect()
        };
        let by_change = |change: &Change| {
            let findings = families.schema_findings.with_label_values(&[change.as_str()]);
            (*change, findings)
        };
        let by_cause = |cause: &PauseCause| (*cause, families.paused.with_label_values(&[&lane, cause.as_str()]));
        Self {
            models: models.iter().map(|model| ModelHandles::new(&families, model)).collect(),
            names: models.iter().map(|model| (*model).to_owned()).collect(),
            draws: Arm::ALL.iter().map(by_arm).collect(),
            dead_lettered: Reason::ALL.iter().map(by_reason).collect(),
            paused: PauseCause::ALL.iter().map(by_cause).collect(),
            assigned: families.partitions_assigned.with_label_values(&[&lane]),
            rebalances: families.rebalances.with_label_values(&[&lane]),
            schema_findings: Change::ALL.iter().map(by_change).collect(),
            rows: families.batch_rows.local(),
            stages: LaneStage::ALL.iter().map(by_stage).collect(),
            checkpoints: CheckpointOutcome::ALL.iter().map(by_outcome).collect(),
            latency: families.event_latency.local(),
            shown: Vec::new(),
            published: Published::default(),
            spans: Spans::new(models.len(), DriftTally::default()),
            watch: None,
            traces: None,
            lane,
            families,
        }
    }

    /// Counts what a monitor watches from now on, into the totals of the process too, and shows what its references have.
    /// `models` are those of the pipeline, in its order. Called before the first span.
    #[must_use]
    pub fn watching(mut self, monitor: Arc<Monitor>, totals: Totals, models: &[ModelVersion<'_>]) -> Self {
        self.spans = Spans::new(self.models.len(), monitor.tally());
        self.watch = Some(self.families.drift.watch((monitor, totals), models));
        self
    }

    /// Tells of traced events there.
    #[must_use]
    pub fn tracing(mut self, traces: Option<Traces>) -> Self {
        self.traces = traces;
        self
    }

    /// Notes a traced event; it is told of when it is durable.
    pub fn traced(&mut self, event: TracedEvent) {
        self.spans.open.traced.push(event);
    }

    /// Counts predicted events for drift; `count` is given the monitor and what it counts into.
    pub fn count(&mut self, count: impl FnOnce(&Monitor, &mut DriftTally)) {
        if let Some(watch) = &self.watch {
            count(&watch.monitor, &mut self.spans.open.drift);
        }
    }

    /// Notes a batch that was worked through.
    pub fn batch(&mut self, facts: &BatchFacts) {
        self.rows.observe(facts.rows as f64);
        self.families.consumed_bytes.inc_by(facts.bytes);
        self.stage(LaneStage::Poll, facts.poll);
        self.stage(LaneStage::Decode, facts.decode);
        self.stage(LaneStage::Model, facts.model);
        self.stage(LaneStage::Produce, facts.produce);
    }

    /// Notes the timestamps, in milliseconds since the Unix epoch, of predicted events; their latency is measured when
    /// they are durable. Leave out events without a timestamp.
    pub fn event_times(&mut self, unix_ms: impl IntoIterator<Item = i64>) {
        self.spans.open.event_times.extend(unix_ms);
    }

    /// Notes `count` predictions of one model, and the confidences of those that have one.
    pub fn predictions(&mut self, model: usize, count: usize, confidences: impl IntoIterator<Item = f32>) {
        let span = &mut self.spans.open.models[model];
        span.predictions += count as u64;
        span.confidences.extend(confidences);
    }

    /// Notes one signal of predictions of one model; NaN stands for none.
    pub fn signal(&mut self, model: usize, signal: Signal, values: impl IntoIterator<Item = f32>) {
        let families = &self.families;
        self.models[model].signals[signal as usize].get_or_insert_with(|| {
            let labels = [self.names[model].as_str(), signal.as_str()];
            families.signal.with_label_values(&labels).local()
        });
        let span = &mut self.spans.open.models[model].signals;
        if !span.iter().any(|(known, _)| *known == signal) {
            span.push((signal, Vec::new()));
        }
        let known = span.iter_mut().find(|(known, _)| *known == signal);
        if let Some((_, noted)) = known {
            noted.extend(values.into_iter().filter(|value| !value.is_nan()));
        }
    }

    /// Notes what became of draws for an event.
    pub fn drawn(&mut self, chances: &[Chance]) {
        for chance in chances {
            self.spans.open.draws[chance.arm.index()][chance.drawn as usize] += 1;
        }
    }

    /// Notes which arms selected a prediction of one model.
    pub fn selected(&mut self, model: usize, arms: Arms) {
        let span = &mut self.spans.open.models[model];
        for arm in arms.iter() {
            span.selections[arm.index()] += 1;
        }
    }

    /// Notes one model's run over one batch.
    pub fn model_run(&mut self, model: usize, took: Duration) {
        self.models[model].run_seconds.observe(took.as_secs_f64());
    }

    /// Counts a failed run, at once.
    pub fn model_fault(&mut self, model: usize, fault: RunFault) {
        add_to(&self.models[model].faults, fault, 1);
    }

    /// Counts a batch that was halved on account of one model, at once.
    pub fn batch_halved(&mut self, model: usize) {
        self.models[model].halved.inc();
    }

    /// Notes a checkpoint that ended.
    pub fn checkpoint(&mut self, outcome: CheckpointOutcome, took: Duration) {
        self.stage(LaneStage::Checkpoint, took);
        self.checkpoints[outcome as usize].observe(took.as_secs_f64());
    }

    /// Counts an aborted transaction, at once.
    pub fn transaction_aborted(&mut self) {
        self.families.transactions_aborted.inc();
    }

    /// Counts an aborted transaction whose outputs were sent again, at once.
    pub fn transaction_replayed(&mut self) {
        self.families.transactions_replayed.inc();
    }

    /// Counts a replaced producer, at once.
    pub fn producer_renewed(&mut self) {
        self.families.producers_renewed.inc();
    }

    /// Counts a replaced consumer, at once.
    pub fn consumer_renewed(&mut self) {
        self.families.consumers_renewed.inc();
    }

    /// Counts a partition that stood still, at once.
    pub fn stalled(&mut self) {
        self.families.stalls.inc();
    }

    /// Counts what does not fit in a schema that is new to the lane, at once.
    pub fn new_schema(&mut self, schema: &NewSchema) {
        for (change, findings) in &self.schema_findings {
            findings.inc_by(schema.count(*change) as u64);
        }
    }

    /// Counts a rebalance and shows which partitions the lane now holds, at once; the lag of others is shown no more.
    pub fn rebalanced(&mut self, assigned: &[(&str, i32)]) {
        self.rebalances.inc();
        self.assigned.set(assigned.len() as i64);
        let families = &self.families;
        self.shown.retain(|(topic, partition)| {
            let is_kept = assigned.contains(&(topic.as_str(), *partition));
            if !is_kept {
                forget_lag(families, topic, *partition);
            }
            is_kept
        });
    }

    /// Shows how far the lane is behind in one partition, at once. Ask about once a second, not once a batch.
    pub fn lag(&mut self, topic: &str, partition: i32, records: u64) {
        let gauge = self
            .families
            .consumer_lag
            .with_label_values(&[topic, &partition.to_string()]);
        gauge.set(i64::try_from(records).unwrap_or(i64::MAX));
        if !self
            .shown
            .iter()
            .any(|(name, number)| name == topic && *number == partition)
        {
            self.shown.push((topic.to_owned(), partition));
        }
    }

    /// Shows what an arm could select now and what it can save up, at once; without a model for what is about the event.
    pub fn budget(&mut self, model: Option<usize>, arm: Arm, (available, most): (f64, f64)) {
        let model = model.map_or("", |model| self.names[model].as_str());
        let labels = [self.lane.as_str(), model, arm.as_str()];
        self.families.budget_available.with_label_values(&labels).set(available);
        self.families.budget_limit.with_label_values(&labels).set(most);
    }

    /// Shows that the lane takes no records, at once.
    pub fn pause(&mut self, cause: PauseCause) {
        self.paused[cause as usize].1.set(1);
    }

    /// Shows that this cause no longer keeps the lane from taking records, at once.
    pub fn resume(&mut self, cause: PauseCause) {
        self.paused[cause as usize].1.set(0);
    }

    /// Makes the books, and what is durable, visible. Call it after every checkpoint and rollback, and whenever the lane
    /// is idle; `now` is when the committed spans became durable.
    pub fn publish(&mut self, accounts: &Accounts, now: Now) {
        let families = Arc::clone(&self.families);
        let _whole = families.publishing();
        self.publish_accounts(accounts);
        self.publish_spans(now);
        self.flush();
    }

    fn publish_accounts(&mut self, accounts: &Accounts) {
        let news = accounts.published().since(&self.published.tally);
        let families = &self.families;
        families.predicted.inc_by(news.predicted());
        families.selected.inc_by(news.selected());
        for (reason, counter) in &self.dead_lettered {
            counter.inc_by(news.dead_lettered_for(*reason));
        }
        families.consumed.inc_by(accounts.consumed() - self.published.consumed);
        families
            .abandoned
            .inc_by(accounts.abandoned() - self.published.abandoned);
        let in_flight = accounts.in_flight();
        families
            .in_flight
            .add(in_flight as i64 - self.published.in_flight as i64);
        self.published = Published {
            tally: *accounts.published(),
            consumed: accounts.consumed(),
            abandoned: accounts.abandoned(),
            in_flight,
        };
    }

    fn publish_spans(&mut self, now: Now) {
        while let Some(mut span) = self.spans.durable.pop() {
            for event_time in &span.event_times {
                let ms = now.unix_ms.saturating_sub(*event_time);
                // A producer's clock may be ahead of ours; less than nothing is not a latency.
                self.latency.observe(ms.max(0) as f64 / 1e3);
            }
            for (counters, counts) in self.draws.iter().zip(&span.draws) {
                for (counter, count) in counters.iter().zip(counts) {
                    counter.inc_by(*count);
                }
            }
            for (handles, facts) in self.models.iter().zip(&span.models) {
                handles.publish(facts);
            }
            if let Some(watch) = &self.watch {
                watch.publish(&span.drift);
            }
            if let Some(traces) = &self.traces {
                span.traced.drain(..).for_each(|event| traces.tell(event, now));
            }
            span.clear();
            self.spans.spare.push(span);
        }
    }

    fn flush(&mut self) {
        self.rows.flush();
        self.latency.flush();
        self.stages
            .iter()
            .chain(&self.checkpoints)
            .for_each(LocalHistogram::flush);
        for model in &self.models {
            model.confidence.flush();
            model.signals.iter().flatten().for_each(LocalHistogram::flush);
            model.run_seconds.flush();
        }
    }

    fn stage(&self, stage: LaneStage, took: Duration) {
        self.stages[stage as usize].observe(took.as_secs_f64());
    }
}

impl Remembers for LaneMetrics {
    fn mark(&mut self) {
        self.spans.mark();
    }

    fn commit(&mut self) {
        self.spans.commit();
    }

    fn rollback(&mut self) {
        self.spans.rollback();
    }
}

impl Drop for LaneMetrics {
    fn drop(&mut self) {
        for (topic, partition) in &self.shown {
            forget_lag(&self.families, topic, *partition);
        }
    }
}

impl ModelHandles {
    fn new(families: &Families, model: &str) -> Self {
        let by_arm = |arm: Arm| (arm, families.selections.with_label_values(&[model, arm.as_str()]));
        let by_fault = |fault: RunFault| {
            (
                fault,
                families.model_faults.with_label_values(&[model, fault_word(fault)]),
            )
        };
        let local = |histogram: Histogram| histogram.local();
        Self {
            predictions: families.predictions.with_label_values(&[model]),
            selections: Arm::ALL.into_iter().map(by_arm).collect(),
            confidence: local(families.confidence.with_label_values(&[model])),
            signals: vec![None; Signal::ALL.len()],
            run_seconds: local(families.model_run_seconds.with_label_values(&[model])),
            faults: FAULTS.into_iter().map(by_fault).collect(),
            halved: families.batches_halved.with_label_values(&[model]),
        }
    }

    fn publish(&self, facts: &ModelSpan) {
        self.predictions.inc_by(facts.predictions);
        for (arm, counter) in &self.selections {
            counter.inc_by(facts.selections[arm.index()]);
        }
        for confidence in &facts.confidences {
            self.confidence.observe(f64::from(*confidence));
        }
        for (signal, values) in &facts.signals {
            if let Some(histogram) = &self.signals[*signal as usize] {
                values.iter().for_each(|value| histogram.observe(f64::from(*value)));
            }
        }
    }
}

fn add_to<K: PartialEq>(counters: &[(K, IntCounter)], key: K, by: u64) {
    if let Some((_, counter)) = counters.iter().find(|(candidate, _)| *candidate == key) {
        counter.inc_by(by);
    }
}

fn forget_lag(families: &Families, topic: &str, partition: i32) {
    // The only error is that it is not shown, which is what was asked for.
    let _absent = families
        .consumer_lag
        .remove_label_values(&[topic, &partition.to_string()]);
}
