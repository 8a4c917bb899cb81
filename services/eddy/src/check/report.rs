//! What `eddy check` says of a sound pipeline.
//!
//! Owns: the order and the words of the report. Never does: look at anything.

use std::collections::BTreeSet;
use std::fmt;

use eddy_broker::kafka;
use eddy_pipeline::settings::Bytes;

use super::models::ModelsReport;
use super::{STREAMS, Stream, events_of};
use crate::forecast::Forecast;
use crate::recall;

/// What a sound pipeline is made of.
#[derive(Debug)]
pub struct Report {
    pub(super) file: String,
    pub(super) models: ModelsReport,
    /// What the schema registry says.
    pub(super) schemas: Vec<String>,
    /// The managed service of `kafka.preset`, and what the preset sets.
    pub(super) preset: Option<(&'static str, Vec<String>)>,
    /// `None` where it was not asked.
    pub(super) kafka: Option<kafka::Report>,
    /// What the first topics of events hold, or why that is not known; none where Kafka was not asked.
    pub(super) streams: Vec<Result<Stream, recall::Error>>,
    /// What works and is unwise.
    pub(super) warnings: Vec<String>,
    pub(super) forecast: Forecast,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            file,
            models,
            schemas,
            preset,
            kafka,
            streams,
            warnings,
            forecast,
        } = self;
        writeln!(f, "{file} is sound\n\n{}", models.runtime)?;
        for (title, lines) in &models.models {
            writeln!(f, "\nmodel {title}")?;
            for line in lines {
                writeln!(f, "  {line}")?;
            }
        }
        if let Some((name, lines)) = preset {
            writeln!(f, "\n[kafka] for {name}")?;
            for line in lines {
                writeln!(f, "  {line}")?;
            }
        }
        match kafka {
            Some(kafka) => {
                writeln!(f, "\nKafka, {}", counted(kafka.brokers, "broker"))?;
                for topic in &kafka.topics {
                    let partitions = counted(usize::try_from(topic.partitions).unwrap_or(0), "partition");
                    writeln!(f, "  {:<20} {} ({partitions})", topic.key, topic.name)?;
                }
            }
            None => writeln!(
                f,
                "\nKafka was not asked, and no secret was read (--offline); whether brokers answer, topics are there and \
                 secrets are fit, `eddy check` tells where the service is to run"
            )?,
        }
        for stream in streams {
            match stream {
                Ok(stream) => write!(f, "\n{}; the latest:\n{}", stream.backlog, stream.latest)?,
                Err(error) => writeln!(f, "\nthe events that are there could not be looked at: {error}")?,
            }
        }
        let left_out = kafka.iter().flat_map(events_of).skip(STREAMS).count();
        if left_out > 0 {
            writeln!(f, "\n{} of events not looked into", counted(left_out, "further topic"))?;
        }
        if !schemas.is_empty() {
            writeln!(f, "\nschema registry")?;
            for line in schemas {
                writeln!(f, "  {line}")?;
            }
        }
        self.sessions(f)?;
        writeln!(f, "\n{forecast}")?;
        if kafka.is_none() {
            writeln!(f, "series of the partitions of the events topic are not among them")?;
        }
        let unwise = streams.iter().flatten().flat_map(|stream| stream.latest.warnings());
        let mut said = BTreeSet::new();
        // Much of it is true of every topic.
        for warning in warnings.iter().cloned().chain(unwise) {
            if !said.contains(&warning) {
                writeln!(f, "\nnote: {warning}")?;
                said.insert(warning);
            }
        }
        Ok(())
    }
}

impl Report {
    /// What the models take.
    fn sessions(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let models = &self.models;
        let (lanes, count) = (usize::from(models.lanes), models.models.len());
        let (of_lanes, of_models) = (counted(lanes, "lane"), counted(count, "model"));
        writeln!(f, "\n{of_lanes} × {of_models}: {}", counted(lanes * count, "session"))?;
        let Some(memory) = models.memory else { return Ok(()) };
        write!(f, "  memory now, with one lane: {}", Bytes(memory.one_lane))?;
        if let Some(each) = memory.further_lane {
            let all = memory.one_lane + each * (u64::from(models.lanes) - 1);
            write!(f, "; each further lane: {}; all: about {}", Bytes(each), Bytes(all))?;
        }
        writeln!(f, ", events in flight not counted")
    }
}

fn counted(count: usize, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    }
}
