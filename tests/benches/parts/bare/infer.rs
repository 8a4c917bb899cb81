//! ONNX Runtime scores the rows of all events, in batches as large as the service's.

use std::env;
use std::hint::black_box;
use std::path::{Path, PathBuf};

use ort::inputs;
use ort::session::Session;
use ort::value::TensorRef;

use super::Job;
use crate::common::events::{self, Event, WIDTH};
use crate::common::setting::model;

/// The session, and the rows of the different events.
pub(super) struct Prepared {
    session: Session,
    rows: Vec<f32>,
}

/// Loads the model, decodes the events and runs one batch, so that nothing is done for the first time later.
pub(super) fn prepare(job: &Job) -> Prepared {
    let environment = ort::init_from(library()).expect("ONNX Runtime can be loaded");
    let environment = environment.with_telemetry(false).build().expect("ONNX Runtime starts");
    let session = Session::builder(&environment)
        .and_then(|builder| Ok(builder.with_intra_threads(1)?.with_inter_threads(1)?))
        .and_then(|builder| Ok(builder.with_intra_op_spinning(false)?.with_inter_op_spinning(false)?))
        .and_then(|mut builder| builder.commit_from_file(model()))
        .expect("the model can be loaded");
    let decode = |text: &String| serde_json::from_str::<Event>(text).expect("the events are sound").row();
    let mut rows: Vec<f32> = events::different().iter().flat_map(decode).collect();
    // Whole batches, so that each is a plain slice.
    let whole = rows.len() / WIDTH / job.batch_rows * job.batch_rows;
    rows.truncate(whole * WIDTH);
    let mut prepared = Prepared { session, rows };
    prepared.run(0, job.batch_rows);
    prepared
}

impl Prepared {
    /// Scores as many rows as there are events.
    pub(super) fn all(&mut self, job: &Job) {
        let different = self.rows.len() / WIDTH;
        let mut done = 0;
        while done < job.events {
            let rows = job.batch_rows.min(job.events - done);
            self.run(done % different, rows);
            done += rows;
        }
    }

    fn run(&mut self, first: usize, rows: usize) {
        let span = &self.rows[first * WIDTH..(first + rows) * WIDTH];
        let input = TensorRef::from_array_view(([rows, WIDTH], span)).expect("the rows are whole");
        let outputs = self.session.run(inputs![input]).expect("the model runs");
        let (_, logits) = outputs[0].try_extract_tensor::<f32>().expect("the output is floats");
        black_box(logits.iter().sum::<f32>());
    }
}

/// Where the service finds it as well.
fn library() -> PathBuf {
    let variables = ["EDDY_ONNXRUNTIME", "ORT_DYLIB_PATH"];
    let named = variables.into_iter().find_map(env::var_os);
    named.map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../.eddy/onnxruntime/libonnxruntime.so"),
        PathBuf::from,
    )
}
