//! Sends spans of traced events to a collector, in OTLP over HTTP.
//!
//! Owns: the thread that does, what is offered again and for how long.
//! Never does: hold up a lane or the end of the service; what cannot be sent in time is dropped and counted.
//!
//! Invariant: a span is sent only after its event is durable, and where the settings say.

mod offer;
mod settings;

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use eddy_host::{Error, OnDrain, OnExit, Policy, Tasks};
use eddy_pipeline::backoff::BackOff;
use eddy_pipeline::event::Destination;
use eddy_pipeline::time::Clock;
use eddy_pipeline::trace::Tracing;
use eddy_telemetry::catalogue::SpanOutcome;
use eddy_telemetry::{Metrics, Resource, Throttle, Told, TraceMetrics, Traces};

pub use self::offer::{Answer, Collector};
pub use self::settings::TraceSettings;
use crate::file::Pipeline;

/// Most events of one request.
const EVENTS: usize = 1024;
/// How long the first event of a request waits for others.
const COMPANY: Duration = Duration::from_secs(1);
/// The longest pause between two offers.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How often a log says that spans are not to be had rid of.
const SAY_EVERY: Duration = Duration::from_secs(60);

/// Which events of a pipeline are traced: none without the table.
pub(crate) fn tracing(pipeline: &Pipeline) -> Option<Tracing> {
    let settings = pipeline.file.traces.as_ref()?;
    Some(Tracing::new(
        &pipeline.file.broker(&pipeline.folder).group(),
        settings.ratio,
    ))
}

/// Who tells.
fn resource(pipeline: &Pipeline) -> Resource {
    let broker = pipeline.file.broker(&pipeline.folder);
    Resource {
        service: pipeline.file.name.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        instance: broker.instance(),
        group: broker.group(),
        topics: Destination::ALL.map(|to| broker.topics.output(to).to_owned()),
    }
}

/// The collector that a pipeline names, where it names one.
///
/// # Errors
/// One sentence about the file `traces.ca`.
pub(crate) fn collector(pipeline: &Pipeline) -> Result<Option<Collector>, String> {
    pipeline.file.traces(&pipeline.folder).map(Collector::new).transpose()
}

/// What is wrong, or not in reach, of the collector that a pipeline names, where it names one.
///
/// # Errors
/// What the service would not start with: one sentence.
pub(crate) fn examine(pipeline: &Pipeline) -> Result<Option<String>, String> {
    let Some(collector) = collector(pipeline)? else {
        return Ok(None);
    };
    Ok(match collector.offer(&resource(pipeline).request(&[])) {
        Answer::Taken { .. } => None,
        Answer::Refused(why) | Answer::Later { why, .. } => Some(format!(
            "traces.url: {why}; the stream does without, and spans are dropped"
        )),
    })
}

/// The thread that sends.
#[derive(Debug)]
pub(crate) struct Exporter {
    ended: Receiver<()>,
    metrics: TraceMetrics,
}

impl Exporter {
    /// Starts it; lanes tell by the handle.
    ///
    /// # Errors
    /// When there is no thread.
    pub(crate) fn start(
        (pipeline, collector): (&Pipeline, Collector),
        (tasks, metrics): (&Tasks, &Metrics),
        clock: Arc<dyn Clock>,
    ) -> Result<(Self, Traces), Error> {
        let metrics = metrics.traces();
        let (traces, events) = Traces::bounded(collector.settings.queue, metrics.clone());
        let mut sender = Sender {
            resource: resource(pipeline),
            retry: collector.settings.retry.0,
            collector,
            metrics: metrics.clone(),
            said: Throttle::new(SAY_EVERY),
            clock,
        };
        // Its other end is dropped when the thread ends, however it does.
        let (ends, ended) = sync_channel(0);
        let policy = Policy {
            on_exit: OnExit::Log,
            on_drain: OnDrain::Abort,
        };
        tasks.spawn_thread("traces", policy, move |_shutdown| {
            let _ends: std::sync::mpsc::SyncSender<()> = ends;
            sender.run(&events);
            Ok(())
        })?;
        Ok((Self { ended, metrics }, traces))
    }

    /// Waits until everything was sent that lanes told of, which have ended; not longer than `limit`.
    pub(crate) fn finish(self, limit: Duration) {
        let ended = self.ended.recv_timeout(limit);
        // None are left, unless it is late or has failed.
        self.metrics.give_up();
        if ended == Err(RecvTimeoutError::Timeout) {
            tracing::warn!("the last spans were not sent in time, and are dropped");
        }
    }
}

struct Sender {
    resource: Resource,
    collector: Collector,
    retry: Duration,
    metrics: TraceMetrics,
    said: Throttle,
    clock: Arc<dyn Clock>,
}

impl Sender {
    /// Sends until the last lane is gone and nothing waits.
    fn run(&mut self, events: &Receiver<Told>) {
        while let Ok(first) = events.recv() {
            let mut batch = vec![first];
            let until = Instant::now() + COMPANY;
            while batch.len() < EVENTS {
                let Ok(event) = events.recv_timeout(until.saturating_duration_since(Instant::now())) else {
                    break;
                };
                batch.push(event);
            }
            self.send(&batch);
        }
    }

    /// Offers a batch until it is taken or refused, or not worth it any more.
    fn send(&mut self, batch: &[Told]) {
        let spans = batch.iter().map(|(event, _)| event.spans()).sum();
        let body = self.resource.request(batch);
        let (until, mut pauses) = (Instant::now() + self.retry, BackOff::new(LONGEST_PAUSE));
        // The first offer is made at once.
        pauses.next(self.clock.now());
        let (outcome, why) = loop {
            match self.collector.offer(&body) {
                Answer::Taken { refused: None } => return self.metrics.settle(SpanOutcome::Exported, spans),
                Answer::Taken {
                    refused: Some((refused, why)),
                } => {
                    let refused = refused.min(spans);
                    self.metrics.settle(SpanOutcome::Exported, spans - refused);
                    self.metrics.settle(SpanOutcome::Refused, refused);
                    return self.say(&why);
                }
                Answer::Refused(why) => break (SpanOutcome::Refused, why),
                Answer::Later { why, after } => {
                    let pause = pauses.next(self.clock.now()).max(after.unwrap_or_default());
                    if pause >= until.saturating_duration_since(Instant::now()) {
                        break (SpanOutcome::Dropped, why);
                    }
                    // Nobody waits for this thread longer than `Exporter::finish` does.
                    std::thread::sleep(pause);
                }
            }
        };
        self.metrics.settle(outcome, spans);
        self.say(&why);
    }

    fn say(&mut self, why: &str) {
        if let Some(before) = self.said.admit(self.clock.now()) {
            tracing::warn!(why, before, "spans of traced events are lost; the stream goes on");
        }
    }
}
