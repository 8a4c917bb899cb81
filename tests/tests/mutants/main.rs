//! Thousands of damaged models: each is an error or a model, and no process that asked about one ever ends.
//!
//! A mutant goes the way of every model: the scan first, in this process, then a rehearsal. One process rehearses many, so
//! that the runtime is not loaded for each; when it dies, the culprit is known, and the next one starts.
//!
//! `MUTANTS=100000 SEED=7 cargo test -p eddy-tests --test mutants -- --nocapture` goes further than CI does.

mod breed;
mod tree;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use eddy_model::rehearsal::{Failure, Order, Outcome, Stage};
use eddy_model::scan::{Limits, admit};
use eddy_model::{BatchCaps, Model, Program, RehearsalSettings, Runtime, RuntimeSettings, Settings};
use eddy_pipeline::settings::{Bytes, Span};

use self::breed::Breed;

const MUTANTS: usize = 10_000;
const SEED: u64 = 31;
/// Models that one process rehearses: few enough for its limit of processor time, which counts them all.
const MODELS_OF_A_PROCESS: usize = 500;
/// Of the mutants that are sound, one in so many is also loaded by this process, as the service would.
const LOADED_HERE: usize = 10;

/// How often each outcome came about.
type Tally = BTreeMap<String, usize>;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A number that the environment gives, for longer runs.
fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect("it is a number"))
}

fn runtime() -> Runtime {
    eddy_model::disable_runtime_telemetry();
    let settings = RuntimeSettings {
        calibration: Span::ms(0),
        trial_limit: Span::seconds(2),
        ..RuntimeSettings::default()
    };
    Runtime::load(&settings, &root()).unwrap_or_else(|error| panic!("{error}"))
}

fn model(path: &str) -> Settings {
    let head = serde_json::from_str(r#"{"type": "regression"}"#).unwrap();
    Settings::new("mutant", path, head)
}

struct Worker<'a> {
    runtime: &'a Runtime,
    folder: &'a Path,
    stage: Option<Stage>,
    /// Models that the process at hand has rehearsed.
    rehearsed: usize,
    sound: usize,
    tally: Tally,
}

impl Worker<'_> {
    fn try_mutant(&mut self, number: usize, mutant: &[u8]) {
        let kind = match admit(mutant, &Limits::default()) {
            Err(refusal) => format!("refused by the scan: {}", refusal.reason.as_str()),
            Ok(bytes) => self.rehearse(number, mutant, &bytes),
        };
        *self.tally.entry(kind).or_default() += 1;
    }

    fn rehearse(&mut self, number: usize, mutant: &[u8], bytes: &[u8]) -> String {
        if self.rehearsed == MODELS_OF_A_PROCESS {
            self.stage = None;
        }
        if self.stage.is_none() {
            self.rehearsed = 0;
            self.stage = Some(self.start());
        }
        self.rehearsed += 1;
        let stage = self.stage.as_mut().expect("it was just started");
        match stage.rehearse(bytes) {
            Ok(Outcome::Sound) => {
                self.sound += 1;
                if self.sound.is_multiple_of(LOADED_HERE) {
                    self.load_here(number, mutant);
                }
                "sound".into()
            }
            Ok(Outcome::DoesNotLoad { .. }) => "refused by the runtime".into(),
            Ok(Outcome::DoesNotFit { .. }) => "of a kind that is not served".into(),
            Ok(Outcome::DoesNotRun { .. }) => "does not run".into(),
            Ok(Outcome::NotHeld { reason }) | Err(Failure::NotHeld { reason }) => panic!("mutant {number}: {reason}"),
            Err(failure) => {
                self.stage = None;
                let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("mutant-{number}.onnx"));
                std::fs::write(&kept, mutant).unwrap();
                eprintln!("mutant {number}, kept as {}, {failure}", kept.display());
                match failure {
                    Failure::Died { .. } => "ended its process".into(),
                    _ => "took more than a rehearsal has".into(),
                }
            }
        }
    }

    fn load_here(&self, number: usize, mutant: &[u8]) {
        let name = format!("{number}.onnx");
        std::fs::write(self.folder.join(&name), mutant).unwrap();
        // Refused is as good as loaded: the runtime is free to think otherwise the second time.
        drop(Model::load(
            self.runtime,
            &model(&name),
            self.folder,
            BatchCaps::default(),
        ));
        std::fs::remove_file(self.folder.join(&name)).unwrap();
    }

    fn start(&self) -> Stage {
        let order = Order {
            library: Some(self.runtime.library().to_owned()),
            limits: RehearsalSettings {
                memory: Bytes::mib(4 << 10),
                processor_time: Span::seconds(600),
                deadline: Span::seconds(60),
                ..RehearsalSettings::default()
            },
            run_limit: Span::seconds(2),
            model: model("mutant.onnx"),
        };
        let program = Program::new(env!("CARGO_BIN_EXE_eddy-under-test"), ["rehearse"]);
        Stage::set(&program, &order).unwrap_or_else(|failure| panic!("a model {failure}"))
    }
}

#[test]
fn every_mutant_is_an_error_or_a_model_and_never_the_end_of_the_process() {
    let count = setting("MUTANTS", MUTANTS as u64) as usize;
    let seed = setting("SEED", SEED);
    let breed = Breed::of(&root());
    let runtime = runtime();
    let folder = tempfile::tempdir().unwrap();
    let workers = std::thread::available_parallelism().map_or(2, usize::from);
    let tallies: Vec<Tally> = std::thread::scope(|scope| {
        let start = |worker: usize| {
            let (breed, runtime, folder) = (&breed, &runtime, folder.path());
            scope.spawn(move || {
                let mut worker_state = Worker {
                    runtime,
                    folder,
                    stage: None,
                    rehearsed: 0,
                    sound: 0,
                    tally: Tally::new(),
                };
                for number in (worker..count).step_by(workers) {
                    worker_state.try_mutant(number, &breed.mutant(seed, number));
                }
                worker_state.tally
            })
        };
        let handles: Vec<_> = (0..workers).map(start).collect();
        handles.into_iter().map(|handle| handle.join().unwrap()).collect()
    });
    let mut tally = Tally::new();
    for (kind, number) in tallies.into_iter().flatten() {
        *tally.entry(kind).or_default() += number;
    }
    eprintln!("{count} mutants of {} models, seed {seed}:", breed.len());
    for (kind, number) in &tally {
        eprintln!("{number:8}  {kind}");
    }
    assert_eq!(tally.values().sum::<usize>(), count);
    // Otherwise the mutants are too wild or too tame to show anything.
    for kind in [
        "sound",
        "refused by the runtime",
        "refused by the scan: malformed",
        "refused by the scan: tensor",
    ] {
        assert!(
            tally.get(kind).is_some_and(|number| number * 50 > count),
            "too few: {kind}"
        );
    }
}
