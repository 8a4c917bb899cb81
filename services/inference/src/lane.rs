//! One lane: one thread, one consumer, one producer, one loop over batches.
//!
//! ```text
//! poll up to a batch ▸ decode and validate into tensors ▸ run the models ▸ compute signals ▸ select
//! ▸ hand predictions, samples and dead letters to the producer ▸ checkpoint when due
//! ```
//!
//! Owns: the order of these steps, rebalances between batches, the pause.
//! Never does: share anything with another lane, or decide what an error of Kafka means.
//!
//! Invariant: a lane never reorders, and a record that was consumed is in the batch, in a span of the ledger, durable, or
//! abandoned and read again.

mod pause;
mod rebalance;
mod skips;
mod stalls;

use std::sync::Arc;
use std::time::Duration;

use eddy_broker::{Broker, BrokerError, Polled};
use eddy_pipeline::checkpoint::Checkpoint;
use eddy_pipeline::event::Destination;
use eddy_pipeline::flood::Flood;
use eddy_pipeline::outcome::{Accounts, Outcome};
use eddy_pipeline::rejection::Reason;
use eddy_pipeline::select::Selection;
use eddy_pipeline::stall::Stalls;
use eddy_pipeline::time::Clock;
use eddy_telemetry::catalogue::{CheckpointOutcome, PauseCause};
use eddy_telemetry::{BatchFacts, BatchTimes, LaneMetrics, TracedEvent};

use crate::batch::Row;
use crate::emit::Emitter;
use crate::hand::{Hand, output_too_large};
use crate::judge::InForce;
use crate::ledger::{Ledger, Settled};
use crate::link::Link;
use crate::orders::Orders;
use crate::poll_times::PollTimes;
use crate::report::{LaneReport, Sample};
use crate::scoring::Scoring;
use crate::settings::{BatchSettings, CheckpointSettings, DeadLetterSettings};

use self::pause::Pauses;
use self::skips::Skips;

pub use crate::ledger::Stopped;

/// Longest sleep of an idle lane: how soon it notices a request to drain.
const IDLE: Duration = Duration::from_millis(50);
/// Selected events of one batch that pages are told of: where every event is selected, telling of all would cost more than it
/// shows.
const SHOWN_OF_BATCH: usize = 4;
/// How often the lag is looked at.
const LAG_INTERVAL: Duration = Duration::from_secs(1);

/// What a turn of the loop did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Scored at least one event.
    Worked,
    /// Nothing had arrived.
    Idle,
    /// The stream is paused, offsets untouched.
    Paused(PauseCause),
}

/// Settings of a lane.
#[derive(Debug, Clone, Default)]
pub struct LaneSettings {
    /// `[batch]`.
    pub batch: BatchSettings,
    /// `[checkpoint]`.
    pub checkpoint: CheckpointSettings,
    /// `[dead_letters]`.
    pub dead_letters: DeadLetterSettings,
}

/// The watch over partitions that stand still, and when to look next.
#[derive(Debug)]
struct StallWatch {
    watch: Stalls,
    look_at: Duration,
    learn_at: Duration,
}

/// A lane. See the module's documentation.
#[derive(Debug)]
pub struct Lane<B> {
    link: Link<B>,
    scoring: Scoring,
    ledger: Ledger,
    emitter: Emitter,
    flood: Flood,
    pauses: Pauses,
    skips: Skips,
    stalls: StallWatch,
    settings: LaneSettings,
    clock: Arc<dyn Clock>,
    report: Arc<LaneReport>,
    orders: Arc<Orders>,
    in_force: Option<Arc<InForce>>,
    judged_by: u64,
    facts: BatchFacts,
    times: BatchTimes,
    lag_shown: Duration,
}

impl<B: Broker> Lane<B> {
    /// A lane at rest. Its broker is subscribed already.
    pub fn new(
        broker: B,
        (scoring, emitter, selection): (Scoring, Emitter, Selection),
        checkpoint: Checkpoint,
        settings: LaneSettings,
        (clock, metrics, report): (Arc<dyn Clock>, LaneMetrics, Arc<LaneReport>),
    ) -> Self {
        Self {
            link: Link::new(broker),
            scoring,
            ledger: Ledger::new(
                checkpoint,
                settings.checkpoint.clone(),
                (metrics, report.clone(), selection),
            ),
            emitter,
            flood: Flood::new(settings.dead_letters.flood_share, settings.dead_letters.window_events),
            pauses: Pauses::default(),
            skips: Skips::default(),
            stalls: StallWatch {
                watch: Stalls::new(settings.checkpoint.stall_after.0),
                look_at: Duration::ZERO,
                learn_at: Duration::ZERO,
            },
            settings,
            clock,
            report,
            orders: Arc::default(),
            in_force: None,
            judged_by: 0,
            facts: BatchFacts::default(),
            times: BatchTimes::default(),
            lag_shown: Duration::ZERO,
        }
    }

    /// The same lane, under these orders of the person on call.
    #[must_use]
    pub fn under(mut self, orders: Arc<Orders>) -> Self {
        self.orders = orders;
        self
    }

    /// The same lane, which follows the policy that is in force.
    #[must_use]
    pub fn following(mut self, in_force: Arc<InForce>) -> Self {
        self.in_force = Some(in_force);
        self
    }

    /// One turn of the loop: one batch at most.
    ///
    /// # Errors
    /// [`Stopped`] when a guarantee can no longer be kept; what was committed is right, and the offsets stand there.
    pub fn turn(&mut self) -> Result<Turn, Stopped> {
        self.take_orders();
        self.take_up_policy();
        if let Some(paused) = self.pause_if_asked()? {
            return Ok(paused);
        }
        if self.pauses.is_paused() && !self.may_retry() {
            return self.sit_out();
        }
        self.poll_batch()?;
        let rows = self.scoring.batch().rows().len();
        if let Err((cause, why)) = self.score() {
            return self.stop_the_stream(cause, &why);
        }
        self.scoring.select(self.ledger.selection(), self.clock.now());
        if let Err(error) = self.hand_over() {
            self.undo(Some(error))?;
        }
        self.checkpoint()?;
        self.take_up_rebalances()?;
        self.await_schema()?;
        self.end_of_pause(rows);
        self.show(rows == 0);
        if rows > 0 {
            return Ok(Turn::Worked);
        }
        self.look_for_stalls()?;
        Ok(Turn::Idle)
    }

    /// The books.
    pub fn accounts(&self) -> &Accounts {
        self.ledger.accounts()
    }

    /// The broker, for what only the owner of the lane may ask.
    pub fn broker(&mut self) -> &mut B {
        &mut self.link.broker
    }

    /// Polls, decodes and validates until the batch is full or its company is late.
    fn poll_batch(&mut self) -> Result<(), Stopped> {
        if let Err(error) = self.go_on() {
            return self.undo(Some(error));
        }
        let started = self.clock.now();
        let mut wait = self.ledger.due_in(started).map_or(IDLE, |due| due.min(IDLE));
        let mut times = PollTimes::new(started.monotonic);
        let mut held_back = None;
        while !self.is_full() && !self.link.has_rebalance() {
            let (ledger, scoring, skips) = (&mut self.ledger, &mut self.scoring, &self.skips);
            let polled = self.link.broker.poll(wait, &mut |record| {
                let skipped = skips.of(record);
                if skipped.is_none()
                    && let Err(awaited) = scoring.prepare(record)
                {
                    held_back = Some((record.source, awaited));
                    return;
                }
                ledger.consume(record.source);
                match skipped {
                    None => scoring.push(record),
                    Some(skipped) => scoring.push_rejected(record, skipped),
                }
            });
            match polled {
                Ok(Polled::Record) if held_back.is_some() => break,
                Ok(Polled::Record) => {
                    if times.is_waiting() {
                        times.work_began(self.clock.now().monotonic);
                    }
                    wait = Duration::ZERO;
                }
                Ok(Polled::Idle) => {
                    let now = self.clock.now().monotonic;
                    times.wait_began(now);
                    match self.wait_for_company(&times, now) {
                        Some(remaining) => wait = remaining,
                        None => break,
                    }
                }
                Ok(rebalance) => self.link.keep(rebalance),
                Err(error) => return self.undo(Some(error)),
            }
        }
        self.times.taken = times.first_record.unwrap_or(started.monotonic);
        (self.facts.poll, self.facts.decode) = times.end(self.clock.now().monotonic);
        self.tell_of_new_schemas();
        match held_back {
            Some((source, awaited)) => self.hold_back(source, awaited),
            None => Ok(()),
        }
    }

    /// Whether the batch takes no more events.
    fn is_full(&self) -> bool {
        self.scoring.is_full() || (self.pauses.is_suspicious() && !self.scoring.batch().rows().is_empty())
    }

    /// How much longer a batch that has begun waits for more events; `None` when it goes as it is.
    fn wait_for_company(&self, times: &PollTimes, now: Duration) -> Option<Duration> {
        let remaining = (times.first_record? + self.settings.batch.wait.0).saturating_sub(now);
        (!remaining.is_zero()).then_some(remaining)
    }

    /// Lets the partitions flow again, whatever they were held for.
    fn go_on(&mut self) -> Result<(), BrokerError> {
        let has_waited = !self.link.waited().is_zero();
        self.link.go_on()?;
        if has_waited {
            self.ledger.look_at_kafka(&self.link);
        }
        Ok(())
    }

    /// Runs the models, computes the signals, and holds back a flood of dead letters.
    fn score(&mut self) -> Result<(), (PauseCause, String)> {
        let rows = self.scoring.batch().rows().len();
        if rows == 0 {
            return Ok(());
        }
        let started = self.clock.now().monotonic;
        let scored = self.scoring.score(self.clock.as_ref());
        self.facts.model = self.since(started);
        (self.times.model, self.times.scored) = (started, started + self.facts.model);
        for (model, run) in self.scoring.facts().enumerate() {
            let metrics = self.ledger.metrics();
            metrics.model_run(model, run.took);
            run.faults.iter().for_each(|fault| metrics.model_fault(model, *fault));
            (0..run.halved).for_each(|_| metrics.batch_halved(model));
        }
        scored.map_err(|sick| (PauseCause::Model, sick.to_string()))?;
        // What a person decided is no sign of a bad deployment.
        let skipped = self.scoring.skipped();
        let dead = self.scoring.dead_letters() - skipped;
        let admitted = self.flood.admit(rows - skipped, dead);
        admitted.map_err(|share| (PauseCause::Flood, self.explain_flood(share)))
    }

    /// What stopped the stream, where an example lies, and what the person on call can do in either case. It is logged, and
    /// stands on pages without a password: no value of an event is in it.
    fn explain_flood(&self, share: f64) -> String {
        let example = self.scoring.batch().first_rejected();
        let example = example.map_or_else(String::new, |(source, rejection)| {
            let reason = rejection.reason.as_str();
            format!("; one of them is {source}, for `{reason}`: `eddy why` with that says more")
        });
        format!(
            "{:.0} % of the latest events could not be scored, and `dead_letters.flood_share` is {}{example}. If this \
             deployment is at fault, put the last good one back: nothing was rerouted. If the events are, and should all \
             become dead letters, restart with `dead_letters.flood_share = 1.0` until they are through",
            share * 100.0,
            self.settings.dead_letters.flood_share
        )
    }

    /// Hands predictions, samples and dead letters to the producer, in input order.
    fn hand_over(&mut self) -> Result<(), BrokerError> {
        if self.scoring.batch().rows().is_empty() {
            return Ok(());
        }
        let now = self.clock.now();
        self.times.handed = now.monotonic;
        self.ledger.open(&mut self.link, now)?;
        self.emitter
            .set_counts(Destination::ALL.map(|to| self.link.broker.partitions_of(to)));
        let (mut too_large, mut shown) = (Vec::new(), 0);
        for row in self.scoring.batch().rows() {
            let condemned = self.ledger.condemned(row.source).to_vec();
            let place = self.ledger.place(row.source);
            let mut hand = Hand {
                link: &mut self.link,
                ledger: &mut self.ledger,
                place,
            };
            let trace = self.emitter.begin(self.scoring.batch(), row);
            let outcome = hand.over(&mut self.emitter, &self.scoring, row, &condemned)?;
            self.ledger.settle(row.source, outcome);
            if let Some(trace) = trace {
                let batch = self.scoring.batch();
                self.ledger.metrics().traced(TracedEvent {
                    trace,
                    source: batch.source(row).to_owned(),
                    outcome,
                    is_scored: row.tensor_row().is_some(),
                    rows: batch.rows().len(),
                    times: self.times,
                });
            }
            if let (Outcome::Selected(arms), Some(tensor_row)) = (outcome, row.tensor_row())
                && shown < SHOWN_OF_BATCH
            {
                shown += 1;
                self.report
                    .sample(Sample::of(&self.scoring, row, (tensor_row, arms), now.unix_ms));
            }
            if outcome == Outcome::DeadLettered(Reason::OutputTooLarge) {
                too_large.extend(row.tensor_row());
            }
        }
        for tensor_row in too_large {
            self.scoring.reject(tensor_row, output_too_large());
        }
        self.facts.produce = self.since(now.monotonic);
        self.observe();
        self.ledger.close();
        self.scoring.clear();
        Ok(())
    }

    /// Tells the metrics what the batch was; it counts when its span is durable.
    fn observe(&mut self) {
        let (scoring, batch) = (&self.scoring, self.scoring.batch());
        let metrics = self.ledger.metrics();
        self.facts.rows = batch.rows().len();
        self.facts.bytes = batch.value_bytes();
        metrics.batch(&self.facts);
        let predicted = batch.rows().iter().filter(|row| row.tensor_row().is_some());
        metrics.event_times(predicted.filter_map(|row| row.timestamp_ms));
        let scored: Vec<u32> = batch.rows().iter().filter_map(Row::tensor_row).collect();
        metrics.count(|monitor, tally| monitor.count(scoring, &scored, tally));
        let scored = || scored.iter().copied();
        scored().for_each(|row| metrics.drawn(scoring.pick(row).chances));
        for (model, (_, predictions)) in scoring.models().enumerate() {
            let confidences = scored().filter_map(|row| predictions.confidence(row as usize));
            metrics.predictions(model, scored().count(), confidences);
            for (signal, column) in scoring.signals(model) {
                metrics.signal(model, *signal, scored().map(|row| column[row as usize]));
            }
            for arms in scored()
                .map(|row| scoring.pick(row).arms(model))
                .filter(|arms| !arms.is_empty())
            {
                metrics.selected(model, arms);
            }
        }
    }

    fn checkpoint(&mut self) -> Result<(), Stopped> {
        let started = self.clock.now().monotonic;
        let ahead = self.scoring.expected_time();
        let settled = self.ledger.batch_done(&mut self.link, self.clock.as_ref(), ahead)?;
        self.settled(settled, started);
        Ok(())
    }

    /// Undoes everything since the last checkpoint, the batch included; it will all come again.
    fn undo(&mut self, error: Option<BrokerError>) -> Result<(), Stopped> {
        let started = self.clock.now().monotonic;
        let settled = self.ledger.give_up(&mut self.link, self.clock.as_ref(), error)?;
        self.settled(settled, started);
        Ok(())
    }

    fn settled(&mut self, settled: Settled, started: Duration) {
        if settled == Settled::RolledBack {
            self.scoring.clear();
        }
        let outcome = match settled {
            Settled::Nothing => return,
            Settled::Durable => CheckpointOutcome::Committed,
            Settled::RolledBack => CheckpointOutcome::Aborted,
        };
        let took = self.since(started);
        self.ledger.metrics().checkpoint(outcome, took);
    }

    /// Between batches: follows the policy, if it has changed.
    fn take_up_policy(&mut self) {
        let Some(in_force) = &self.in_force else { return };
        if let Some((judgement, provenance)) = in_force.news(&mut self.judged_by) {
            self.scoring.set_signals(judgement.signals);
            self.ledger.selection().set_plan(judgement.plan);
            self.emitter.set_provenance(provenance);
        }
    }

    /// Shows the books: the balance at every turn, metrics when idle, the lag once a second.
    fn show(&mut self, idle: bool) {
        self.report.balance(self.ledger.accounts().balance());
        let now = self.clock.now();
        let lag_is_due = now.monotonic.saturating_sub(self.lag_shown) >= LAG_INTERVAL;
        if lag_is_due {
            self.lag_shown = now.monotonic;
            self.ledger.look_at_kafka(&self.link);
            let all = self.link.broker.partitions_of_inputs();
            self.ledger.selection().set_partitions(all.unsigned_abs());
            self.end_skips(now.monotonic);
            self.report.durable(self.ledger.durable());
            let mut behind = 0;
            for (partition, end) in self.link.broker.ends() {
                if let Some(lag) = self.ledger.lag(partition, end) {
                    let topic = self.link.broker.topic(partition);
                    self.ledger.metrics().lag(topic, partition.number, lag);
                    behind += lag;
                }
            }
            self.report.lag(behind);
            self.ledger.show_budgets();
        }
        if idle || lag_is_due {
            self.ledger.show(now);
        }
    }

    /// Ends the lane in order: what was handed over becomes durable, the rest is given back to the group.
    ///
    /// # Errors
    /// [`Stopped`] when the last checkpoint could not be made.
    pub fn drain(mut self) -> Result<Accounts, Stopped> {
        let started = self.clock.now().monotonic;
        let settled = self.ledger.settle_all(&mut self.link, self.clock.as_ref())?;
        self.settled(settled, started);
        self.show(true);
        if let Err(error) = self.link.broker.close() {
            tracing::warn!(%error, "what was done is durable; the group will notice by itself that this member is gone");
        }
        Ok(self.ledger.accounts().clone())
    }

    fn since(&self, started: Duration) -> Duration {
        self.clock.now().monotonic.saturating_sub(started)
    }
}
