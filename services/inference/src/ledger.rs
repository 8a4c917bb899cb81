//! The lane's ledger: what was consumed, what came out of it, and how both become durable together.
//!
//! Owns: positions, spans of work, accounts; performs the steps that [`Checkpoint`] decides on.
//! Never does: decide what an error means, or look into an event.
//!
//! Invariant: offsets are handed to the broker only for spans whose every output is delivered (at least once) or stands
//! in the same transaction (exactly once). Spans become durable from the front.

mod commits;
mod steps;
mod wait;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use eddy_broker::{Broker, BrokerError, Fault, Ticket, Undelivered};
use eddy_pipeline::backoff::BackOff;
use eddy_pipeline::checkpoint::{Checkpoint, Guarantee, Stop};
use eddy_pipeline::event::{Destination, Output, Partition, Source};
use eddy_pipeline::outcome::{Accounts, Outcome, Remembers};
use eddy_pipeline::select::{Note, Selection};
use eddy_pipeline::time::{Clock, Now};
use eddy_telemetry::LaneMetrics;

use crate::held::Held;
use crate::link::Link;
use crate::report::LaneReport;
use crate::settings::CheckpointSettings;
use crate::spans::Spans;

/// Most spans under way at once, at least once.
const MAX_SPANS: usize = 256;
/// Forms of a sample or dead letter that are smaller than the whole: without the body, and without key and headers too.
const LESSER_FORMS: usize = 2;
/// One wait for the producer or the cluster.
const TICK: Duration = Duration::from_millis(1);

/// Why the lane cannot go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Stopped {
    /// Which guarantee could not be kept.
    pub stop: Stop,
    /// A sentence with cause and next step.
    pub message: String,
}

/// What a span's end meant, for the lane and its metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Settled {
    /// There was nothing to settle.
    Nothing,
    /// Everything since the last checkpoint is durable.
    Durable,
    /// Everything since the last checkpoint was undone; its events will come again.
    RolledBack,
}

/// How far a partition has come.
#[derive(Debug, Clone, Copy)]
struct Progress {
    /// The offset to go back to.
    durable: i64,
    /// The offset after the last record that was consumed.
    next: i64,
}

/// One lane's ledger.
#[derive(Debug)]
pub(crate) struct Ledger {
    checkpoint: Checkpoint,
    settings: CheckpointSettings,
    progress: BTreeMap<Partition, Progress>,
    /// Where the group stands in partitions from which nothing came yet.
    known: BTreeMap<Partition, i64>,
    spans: Spans,
    /// When a commit that failed is made again, at least once.
    commit_at: Option<Duration>,
    /// Events whose offsets were stored since the lane last committed them itself, at least once.
    stored: usize,
    accounts: Accounts,
    condemned: HashMap<Source, Vec<Destination>>,
    undelivered: Vec<Undelivered>,
    /// How far each partition had come when work was undone. Until it is there again, every batch is a checkpoint of its
    /// own: whatever went wrong can then be told from its neighbours, and no transaction is open while the models run.
    redo: BTreeMap<Partition, i64>,
    /// Copies of the outputs in the open transaction; at least once, none.
    held: Held,
    last_error: Option<BrokerError>,
    /// Pauses before a client is replaced once more, until something is durable again.
    renewals: BackOff,
    selection: Selection,
    metrics: LaneMetrics,
    report: Arc<LaneReport>,
}

impl Ledger {
    pub(crate) fn new(
        checkpoint: Checkpoint,
        settings: CheckpointSettings,
        (metrics, report, selection): (LaneMetrics, Arc<LaneReport>, Selection),
    ) -> Self {
        Self {
            checkpoint,
            renewals: BackOff::new(settings.renewal_pause.0),
            settings,
            progress: BTreeMap::new(),
            known: BTreeMap::new(),
            spans: Spans::default(),
            stored: 0,
            commit_at: None,
            accounts: Accounts::new(),
            condemned: HashMap::new(),
            undelivered: Vec::new(),
            redo: BTreeMap::new(),
            held: Held::default(),
            last_error: None,
            selection,
            metrics,
            report,
        }
    }

    /// What selection remembers.
    pub(crate) fn selection(&mut self) -> &mut Selection {
        &mut self.selection
    }

    /// Takes up partitions before they are accepted: what is left of their budgets stands beside their offsets.
    pub(crate) fn take<B: Broker>(
        &mut self,
        link: &mut Link<B>,
        partitions: &[Partition],
        now: Now,
    ) -> Result<(), BrokerError> {
        // Without a budget there is nothing to read; a policy may bring one, which then begins at zero.
        let notes = match self.selection.has_budget() {
            true => link.broker.notes(partitions)?,
            false => vec![None; partitions.len()],
        };
        let read =
            |(partition, note): (&Partition, Option<String>)| (*partition, note.and_then(|note| read_note(&note)));
        let notes: Vec<_> = partitions.iter().zip(notes).map(read).collect();
        let all = link.broker.partitions_of_inputs();
        self.selection.take(&notes, all.unsigned_abs(), now);
        Ok(())
    }

    /// Puts what is left of the budgets, once the first `spans` spans are durable, beside the offsets that follow.
    pub(super) fn annotate<B: Broker>(&self, link: &mut Link<B>, offsets: &[(Partition, i64)], spans: usize) {
        for (partition, _) in offsets {
            if let Some(note) = self.selection.note(*partition, spans) {
                let text = serde_json::to_string(&note).expect("a note is plain numbers with names");
                link.broker.annotate(*partition, text);
            }
        }
    }

    pub(crate) fn accounts(&self) -> &Accounts {
        &self.accounts
    }

    pub(crate) fn metrics(&mut self) -> &mut LaneMetrics {
        &mut self.metrics
    }

    /// Shows what is left of the budgets.
    pub(crate) fn show_budgets(&mut self) {
        for (lottery, available, most) in self.selection.budgets() {
            self.metrics.budget(lottery.model, lottery.arm, (available, most));
        }
    }

    /// Makes the books visible, also between checkpoints.
    pub(crate) fn show(&mut self, now: Now) {
        self.metrics.publish(&self.accounts, now);
    }

    /// Notes a record that was taken from the broker.
    pub(crate) fn consume(&mut self, source: Source) {
        self.accounts.consume(1);
        let progress = self.progress.entry(source.partition).or_insert(Progress {
            durable: source.offset,
            next: source.offset,
        });
        progress.next = source.offset + 1;
    }

    /// Records between what is durable and the end of a partition; `None` before anything is known of it.
    pub(crate) fn lag(&self, partition: Partition, end: i64) -> Option<u64> {
        Some(u64::try_from(end - self.durable_of(partition)?).unwrap_or(0))
    }

    /// How far each partition is durable: where its next owner would begin.
    pub(crate) fn durable(&self) -> impl Iterator<Item = (Partition, i64)> {
        self.durable_of_read().chain(self.unread())
    }

    fn durable_of_read(&self) -> impl Iterator<Item = (Partition, i64)> {
        let read = self.progress.iter();
        read.map(|(partition, progress)| (*partition, progress.durable))
    }

    /// The same for one partition; `None` before anything is known of it.
    pub(crate) fn durable_of(&self, partition: Partition) -> Option<i64> {
        let read = self.progress.get(&partition).map(|progress| progress.durable);
        read.or_else(|| self.known.get(&partition).copied())
    }

    /// The offset of the next record of each partition.
    pub(crate) fn positions(&self) -> impl Iterator<Item = (Partition, i64)> {
        let read = self.progress.iter();
        let read = read.map(|(partition, progress)| (*partition, progress.next));
        read.chain(self.unread())
    }

    /// Where the group stands in partitions from which nothing came yet.
    fn unread(&self) -> impl Iterator<Item = (Partition, i64)> {
        let unread = self
            .known
            .iter()
            .filter(|(known, _)| !self.progress.contains_key(known));
        unread.map(|(partition, offset)| (*partition, *offset))
    }

    /// Whether anything is known of a partition.
    pub(crate) fn knows(&self, partition: Partition) -> bool {
        self.progress.contains_key(&partition) || self.known.contains_key(&partition)
    }

    /// Notes where the group stands in a partition from which nothing came yet. It is no place of ours to go back to
    /// until something did: the client may begin elsewhere if the offset is out of range.
    pub(crate) fn know(&mut self, partition: Partition, committed: Option<i64>) {
        self.known.extend(committed.map(|offset| (partition, offset)));
    }

    /// Whether work that was undone is not done again yet.
    pub(crate) fn is_redoing(&self) -> bool {
        !self.redo.is_empty()
    }

    /// Opens the span that the next outputs belong to, with its transaction where there is one.
    pub(crate) fn open<B: Broker>(&mut self, link: &mut Link<B>, now: Now) -> Result<(), BrokerError> {
        if self.checkpoint.guarantee() == Guarantee::ExactlyOnce {
            if !self.spans.is_empty() {
                return Ok(());
            }
            link.broker.begin()?;
            self.held.clear(self.settings.held_bytes.0);
            self.checkpoint.opened(now);
        }
        self.spans.open(now.monotonic);
        Ok(())
    }

    /// Gives the next event its place in the open span: the span's ticket, and its number within.
    pub(crate) fn place(&mut self, source: Source) -> (Ticket, u32) {
        self.spans.place(source)
    }

    /// Keeps a copy of an output that was handed over, in case its transaction is aborted.
    pub(crate) fn copy(&mut self, output: &Output<'_>, place: (Ticket, u32)) {
        self.held.push(output, place);
    }

    /// Notes the outcome of the event that was placed last; its outputs were handed over.
    pub(crate) fn settle(&mut self, source: Source, outcome: Outcome) {
        self.accounts.settle(outcome);
        self.spans.settle(source);
    }

    /// Outputs of this event that Kafka found too large the last time.
    pub(crate) fn condemned(&self, source: Source) -> &[Destination] {
        self.condemned.get(&source).map_or(&[], Vec::as_slice)
    }

    /// How long the lane may sleep before a checkpoint is due; `None` when there is no work under way.
    pub(crate) fn due_in(&self, now: Now) -> Option<Duration> {
        let span = self.spans.oldest()?;
        match self.checkpoint.guarantee() {
            Guarantee::ExactlyOnce => Some((span.opened + self.settings.interval.0).saturating_sub(now.monotonic)),
            Guarantee::AtLeastOnce => Some(TICK),
        }
    }

    /// The end of a batch: settles what is due. `ahead` is the expected time of the next batch.
    pub(crate) fn batch_done<B: Broker>(
        &mut self,
        link: &mut Link<B>,
        clock: &dyn Clock,
        ahead: Duration,
    ) -> Result<Settled, Stopped> {
        let Some(front) = self.spans.oldest() else {
            return self.commit_again(link, clock);
        };
        match self.checkpoint.guarantee() {
            Guarantee::ExactlyOnce => {
                let age = clock.now().monotonic.saturating_sub(front.opened);
                let due = !self.redo.is_empty()
                    || age >= self.settings.interval.0
                    || self.spans.rows(usize::MAX) >= self.settings.records
                    || age + ahead >= self.settings.interval.0 * 2;
                if due {
                    self.settle_all(link, clock)
                } else {
                    Ok(Settled::Nothing)
                }
            }
            Guarantee::AtLeastOnce => self.settle_delivered(link, clock),
        }
    }

    /// Makes everything under way durable, waiting for it; or undoes it. At least once, what was stored is committed too.
    pub(crate) fn settle_all<B: Broker>(&mut self, link: &mut Link<B>, clock: &dyn Clock) -> Result<Settled, Stopped> {
        if self.spans.is_empty() && !self.has_uncommitted() {
            return Ok(Settled::Nothing);
        }
        let next = self.checkpoint.start();
        self.carry_out(next, link, clock)
    }

    /// Undoes everything under way.
    pub(crate) fn give_up<B: Broker>(
        &mut self,
        link: &mut Link<B>,
        clock: &dyn Clock,
        error: Option<BrokerError>,
    ) -> Result<Settled, Stopped> {
        let fault = error.as_ref().map_or(Fault::Abortable, |error| error.fault);
        if let Some(error) = error {
            tracing::warn!(error = %error, "work since the last checkpoint is undone and done again");
            self.remember(error);
        }
        let next = self.checkpoint.give_up(fault, !self.spans.is_empty(), clock.now());
        self.carry_out(next, link, clock)
    }

    /// Forgets partitions that are let go. What was under way of them must have been settled or undone.
    pub(crate) fn forget(&mut self, partitions: &[Partition]) {
        self.selection.drop(partitions);
        self.progress.retain(|partition, _| !partitions.contains(partition));
        self.known.retain(|partition, _| !partitions.contains(partition));
        self.redo.retain(|partition, _| !partitions.contains(partition));
        self.condemned
            .retain(|source, _| !partitions.contains(&source.partition));
    }

    /// Whether an output failed for good since the last look.
    pub(crate) fn look_for_failures<B: Broker>(&mut self, link: &mut Link<B>) -> Option<BrokerError> {
        link.broker.undelivered(&mut self.undelivered);
        let mut worst: Option<BrokerError> = None;
        for failed in std::mem::take(&mut self.undelivered) {
            let error = if failed.too_large {
                self.condemn(&failed)
            } else {
                failed.error
            };
            let worse = worst
                .as_ref()
                .is_none_or(|known| known.fault != Fault::Refused && error.fault == Fault::Refused);
            if worse {
                worst = Some(error);
            }
        }
        worst
    }

    /// Remembers that an output was too large, so that its event goes another way when it comes again.
    fn condemn(&mut self, failed: &Undelivered) -> BrokerError {
        let error = |fault| BrokerError {
            fault,
            ..failed.error.clone()
        };
        let Some(source) = self.spans.source(failed.ticket, failed.row) else {
            // Its span was given up already; should the output come again, so will its failure.
            return error(Fault::Abortable);
        };
        let known = self.condemned.entry(source).or_default();
        known.push(failed.to);
        let times = known.iter().filter(|to| **to == failed.to).count();
        let is_last = failed.to != Destination::Predictions && times > LESSER_FORMS;
        error(if is_last { Fault::Refused } else { Fault::Abortable })
    }

    /// At least once: spans at the front whose outputs are all delivered become durable; nothing is waited for, unless
    /// too much is under way.
    fn settle_delivered<B: Broker>(&mut self, link: &mut Link<B>, clock: &dyn Clock) -> Result<Settled, Stopped> {
        let started = clock.now().monotonic;
        loop {
            link.broker.serve(Duration::ZERO);
            if let Some(error) = self.look_for_failures(link) {
                return self.give_up(link, clock, Some(error));
            }
            let delivered = self.delivered_spans(&link.broker);
            if delivered > 0 {
                if let Err(error) = self.store(link, delivered, clock.now()) {
                    return self.give_up(link, clock, Some(error));
                }
                self.publish(delivered, clock.now());
            }
            let crowded = self.spans.len() >= MAX_SPANS || self.spans.rows(usize::MAX) >= self.settings.records;
            if !crowded {
                return Ok(if delivered > 0 {
                    Settled::Durable
                } else {
                    Settled::Nothing
                });
            }
            if clock.now().monotonic.saturating_sub(started) > self.settings.delivery_timeout.0 {
                return self.give_up(link, clock, Some(self.not_delivered()));
            }
            if let Err(error) = self.wait(link, TICK) {
                return self.give_up(link, clock, Some(error));
            }
        }
    }

    /// Stores the offsets of the first spans. The client commits them now and then; the lane itself does after
    /// `checkpoint.records` events, so that a crash repeats a number of events that is known beforehand.
    fn store<B: Broker>(&mut self, link: &mut Link<B>, spans: usize, now: Now) -> Result<(), BrokerError> {
        let offsets = self.spans.offsets(spans);
        self.stored += self.spans.rows(spans);
        self.annotate(link, &offsets, spans);
        link.broker.store_offsets(&offsets, false)?;
        if self.stored < self.settings.records {
            return Ok(());
        }
        self.try_to_commit(link, (spans, offsets), now)
    }

    fn delivered_spans(&self, broker: &impl Broker) -> usize {
        self.spans
            .iter()
            .take_while(|span| broker.outstanding(span.ticket) == 0)
            .count()
    }

    fn publish(&mut self, spans: usize, now: Now) {
        // Exactly once has one span, marked here; at least once marks each batch when it ends.
        if self.checkpoint.guarantee() == Guarantee::ExactlyOnce {
            self.mark();
        }
        let Self {
            spans: queue,
            accounts,
            metrics,
            selection,
            progress,
            condemned,
            redo,
            ..
        } = self;
        queue.take(spans, |span| {
            accounts.commit();
            metrics.commit();
            selection.commit();
            for (partition, offset) in &span.offsets {
                if let Some(progress) = progress.get_mut(partition) {
                    progress.durable = *offset;
                }
                if redo.get(partition).is_some_and(|undone| undone <= offset) {
                    redo.remove(partition);
                }
            }
            if !condemned.is_empty() {
                condemned.retain(|source, _| !span.rows.contains(source));
            }
        });
        self.show(now);
    }

    /// Marks the end of a batch where each batch is a span of its own.
    pub(crate) fn close(&mut self) {
        if self.checkpoint.guarantee() == Guarantee::AtLeastOnce {
            self.mark();
        }
    }

    fn mark(&mut self) {
        self.accounts.mark();
        self.metrics.mark();
        self.selection.mark();
    }
}

/// What stands beside an offset. A note of somebody else, or of a newer version, is none: the budget of that partition
/// begins at zero.
fn read_note(text: &str) -> Option<Note> {
    Note::read(text)
        .inspect_err(|why| tracing::warn!("the metadata of an offset {why}; the budget of its partition begins anew"))
        .ok()
}
