//! `eddy demo`: the whole loop in one process, to be watched.
//!
//! Handwritten digits that no model was trained on are photographed and sent as PNG events; the stream service scores
//! them; after a while the camera tilts, the model loses confidence, and samples flow back. The parts: [`camera`] takes
//! the pictures, [`script`] says when the camera tilts, [`generator`] sends, [`watcher`] reads what came out, [`tally`]
//! compares the two, [`view`] and [`screen`] show it, [`summary`] says how it went. [`stage`] is the broker, the topics
//! and the pipeline file that all of them need.
//!
//! Owns: the story, from the first event to the last outcome.
//! Never does: anything to an event that the service does; it runs the very service that `eddy run` runs.
//!
//! Invariant: it ends well only if each event has exactly one outcome and each selected one flowed back.

mod camera;
mod generator;
mod journal;
mod screen;
mod script;
mod stage;
mod summary;
mod tally;
mod timekeeper;
mod view;
mod watcher;

use std::io::Write as _;
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use eddy_host::{Cause, ExitCode, Shutdown, SystemClock, Tasks, Unmet, drain_on_signals};
use eddy_pipeline::time::Clock;

use self::generator::Generator;
use self::journal::Journal;
use self::screen::Screen;
use self::script::Script;
use self::stage::Stage;
use self::summary::{Summary, grouped};
use self::tally::{Facts, Seen, Tally};
use self::timekeeper::Timekeeper;
use self::view::Scene;
use self::watcher::Watcher;
use crate::cli::{DemoArguments, Summary as SummaryFormat};
use crate::run::{NotStarted, Service};

/// Between two frames.
const FRAME: Duration = Duration::from_millis(150);
/// A picture stays that long, so that it can be seen.
const PICTURE: Duration = Duration::from_millis(600);
/// An outcome that does not arrive within this time after the one before is not waited for.
const PATIENCE: Duration = Duration::from_secs(20);
/// Silence that is worth a word on the screen, and silence after which the demo ends by itself: with the service gone, it
/// would wait for ever.
const SILENCE_SHOWN_SECONDS: u64 = 4;
const SILENCE_ENDED_SECONDS: u64 = 45;
/// What the demo's own threads may take to end.
const ALLOWANCE: Duration = Duration::from_secs(30);

/// Runs the demo until its time is over or somebody stops it, then says how it went.
pub fn run(arguments: &DemoArguments) -> ExitCode {
    match play(arguments) {
        Ok(code) => code,
        Err(NotStarted { code, message }) => {
            say(&message);
            code
        }
    }
}

/// What the demo's threads share.
#[derive(Clone)]
struct Shared {
    tally: Arc<Mutex<Tally>>,
    time: Timekeeper,
}

impl Shared {
    fn facts(&self) -> Facts {
        let elapsed = self.time.elapsed();
        self.tally.lock().expect("no holder of the tally panics").facts(elapsed)
    }
}

fn play(arguments: &DemoArguments) -> Result<ExitCode, NotStarted> {
    let stage = Stage::set(arguments)?;
    let screen = Screen::choose();
    let journal = Journal::install(&stage.pipeline.file.log, screen.is_live()).map_err(configuration)?;
    let played = perform(arguments, &stage, screen, &journal);
    // Also what failed before the first frame is told.
    journal.release();
    played
}

fn perform(
    arguments: &DemoArguments,
    stage: &Stage,
    screen: Screen,
    journal: &Journal,
) -> Result<ExitCode, NotStarted> {
    let clock = SystemClock::start();
    let shutdown = Shutdown::new(Arc::new(clock), ALLOWANCE);
    let tasks = Tasks::new(shutdown.clone());
    drain_on_signals(&tasks).map_err(configuration)?;
    let shared = Shared {
        tally: Arc::default(),
        time: Timekeeper::new(clock),
    };

    let service = Service::start(&stage.pipeline)?;
    let pages = pages(&service);
    let watcher = Watcher::start(stage, &shared, &tasks)?;
    let script = Script::new(arguments.run_for.map(|span| span.0));
    let sender = Generator::new(stage, shared.clone(), script, arguments.rate)?;
    let generator = start_generator(sender, &tasks)?;

    let mut show = Show {
        stage,
        pages: &pages,
        service: &service,
        script,
        shared: &shared,
        held: None,
    };
    let was_live = screen.is_live();
    show.run(screen, &shutdown, arguments.run_for.map(|span| span.0));
    journal.release();
    if was_live {
        say("stopping: the last events come through, then the service drains (Ctrl-C again ends at once)");
    }

    shutdown.request(Cause::Finished {
        task: "demo".to_owned(),
    });
    // A generator that hangs has told so in the log; what it sent until now is counted all the same.
    let _ended = generator.recv_timeout(ALLOWANCE);
    let seconds = shared.time.elapsed().as_secs_f64();
    if !service.is_ending() {
        settle(&shared, clock);
    }
    service.request_drain("the end of the demo");
    let drained = service.join();
    watcher.stop();
    let threads = tasks.wait_for_finishing(ALLOWANCE);
    if let Err(late) = threads {
        tracing::warn!(?late, "some of the demo's threads did not end");
    }

    let summary = Summary {
        facts: shared.facts(),
        seconds,
        guarantee: stage.guarantee(),
        pages,
    };
    report(&summary, arguments.summary);
    Ok(verdict(drained, shutdown.exit_code(), &summary))
}

/// The generator on a thread of its own; the channel ends when it does.
fn start_generator(generator: Generator, tasks: &Tasks) -> Result<Receiver<()>, NotStarted> {
    let (ended, receiver) = mpsc::channel();
    tasks
        .spawn_thread("demo-generator", stage::POLICY, move |shutdown| {
            let _held_until_the_end = ended;
            generator.run(&shutdown)
        })
        .map_err(configuration)?;
    Ok(receiver)
}

/// Waits until each event has its outcome; gives up when nothing more comes.
fn settle(shared: &Shared, clock: SystemClock) {
    let arrived = |facts: &Facts| (facts.unanswered(), facts.samples);
    let mut facts = shared.facts();
    let mut last_progress = clock.now().monotonic;
    while !facts.complete() && clock.now().monotonic - last_progress < PATIENCE {
        std::thread::sleep(Duration::from_millis(20));
        let now = shared.facts();
        if arrived(&now) != arrived(&facts) {
            last_progress = clock.now().monotonic;
        }
        facts = now;
    }
    if !facts.complete() {
        let (events, seconds) = (grouped(facts.unanswered()), PATIENCE.as_secs());
        say(&format!(
            "{events} events have no outcome, and for {seconds} s none came: not waiting any longer"
        ));
    }
}

/// What is on the screen, from the first event to the last.
struct Show<'a> {
    stage: &'a Stage,
    pages: &'a [String],
    service: &'a Service,
    script: Script,
    shared: &'a Shared,
    /// The prediction that is shown, and since when.
    held: Option<(Seen, Duration)>,
}

impl Show<'_> {
    /// Draws until the time is over, the demo is stopped, or a part of it has failed. Then the screen is as it was.
    fn run(&mut self, mut screen: Screen, shutdown: &Shutdown, run_for: Option<Duration>) {
        loop {
            let elapsed = self.shared.time.elapsed();
            let facts = self.shared.facts();
            self.hold(&facts, elapsed);
            let begun = self.shared.time.has_begun();
            let trouble = trouble(&self.service.readiness().causes(), &facts);
            screen.show(&Scene {
                broker: self.stage.broker_sentence(),
                pages: self.pages,
                moment: begun.then(|| self.script.at(elapsed)),
                trouble: trouble.as_deref().filter(|_| begun),
                elapsed_seconds: elapsed.as_secs(),
                shown: self.held.as_ref().map(|(seen, _)| seen),
                facts: &facts,
            });
            let left = run_for.map_or(FRAME, |whole| whole.saturating_sub(elapsed));
            let is_dead = facts.silent_seconds >= SILENCE_ENDED_SECONDS || self.service.is_ending();
            if is_dead || left.is_zero() || shutdown.wait_for(FRAME.min(left)) {
                return;
            }
        }
    }

    fn hold(&mut self, facts: &Facts, elapsed: Duration) {
        let is_due = self
            .held
            .is_none_or(|(_, since)| elapsed.saturating_sub(since) >= PICTURE);
        if let Some(seen) = facts.latest.filter(|_| is_due) {
            self.held = Some((seen, elapsed));
        }
    }
}

/// What keeps the service from working, as far as it says so itself, else as it looks from outside.
fn trouble(causes: &[Unmet], facts: &Facts) -> Option<String> {
    if let Some(unmet) = causes.first() {
        return Some(format!("{}: {}", unmet.condition, unmet.detail));
    }
    let seconds = facts.silent_seconds;
    (seconds >= SILENCE_SHOWN_SECONDS).then(|| format!("no outcome for {seconds} s; Ctrl-C shows the log"))
}

fn pages(service: &Service) -> Vec<String> {
    let Some(address) = service.admin_address() else {
        return Vec::new();
    };
    ["/", "/status", "/metrics"]
        .map(|path| format!("http://{address}{path}"))
        .into()
}

#[allow(clippy::print_stdout, reason = "the summary is the command's answer")]
fn report(summary: &Summary, format: SummaryFormat) {
    match format {
        SummaryFormat::Text => print!("{}", summary.words()),
        SummaryFormat::Json => {
            if let Some(complaint) = summary.complaint() {
                say(&complaint);
            }
            println!("{}", summary.json());
        }
    }
}

/// The service's own failure comes first, then the demo's, then what is missing.
fn verdict(service: ExitCode, demo: ExitCode, summary: &Summary) -> ExitCode {
    let failed = [service, demo].into_iter().find(|code| *code != ExitCode::Drained);
    failed.unwrap_or(match summary.complaint() {
        Some(_) => ExitCode::GuaranteeLost,
        None => ExitCode::Drained,
    })
}

fn configuration(error: impl ToString) -> NotStarted {
    not_started(ExitCode::Configuration, error)
}

fn not_started(code: ExitCode, error: impl ToString) -> NotStarted {
    NotStarted {
        code,
        message: error.to_string(),
    }
}

fn say(message: &str) {
    // Nobody is left to tell when standard error is closed.
    drop(writeln!(std::io::stderr(), "{}", message.trim_end()));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(events: u64) -> Summary {
        Summary {
            facts: Facts {
                events,
                predictions: 10,
                ..Facts::default()
            },
            seconds: 1.0,
            guarantee: "at-least-once",
            pages: Vec::new(),
        }
    }

    #[test]
    fn it_ends_well_only_if_every_event_has_its_outcome() {
        let of = |events| verdict(ExitCode::Drained, ExitCode::Drained, &summary(events));
        assert_eq!((of(10), of(11)), (ExitCode::Drained, ExitCode::GuaranteeLost));
    }

    #[test]
    fn trouble_is_what_the_service_says_else_what_is_seen() {
        let facts = |silent_seconds| Facts {
            silent_seconds,
            ..Facts::default()
        };
        let unmet = Unmet {
            condition: "lane 0: flood".to_owned(),
            detail: "too many dead letters".to_owned(),
            seconds: 3,
        };
        assert_eq!(trouble(&[], &facts(3)), None);
        assert!(trouble(&[], &facts(7)).is_some_and(|text| text.starts_with("no outcome for 7 s")));
        assert_eq!(
            trouble(&[unmet], &facts(7)).as_deref(),
            Some("lane 0: flood: too many dead letters")
        );
    }

    #[test]
    fn a_failure_of_the_service_is_not_hidden_by_what_followed_from_it() {
        let code = verdict(ExitCode::Fenced, ExitCode::Unreachable, &summary(11));
        assert_eq!(code, ExitCode::Fenced);
    }
}
