//! One session that is fed with rows and read by views.
//!
//! Owns: the session, its time limit, and the blocks in which a fixed batch is fed. Never does: choose how many rows
//! to run, or decide what a failure means.
//! Invariant: after a run, good or bad, the next one starts clean.

use std::ops::Range;
use std::time::Duration;

use eddy_pipeline::score::{RunError, RunFault};
use eddy_pipeline::tensor::{Buffer, Inputs, TensorSpec, View};
use ort::session::{Session, SessionInputValue, SessionOutputs};

use crate::signature::{Batch, Signature};
use crate::tensors::{append, bad_output, bind, copy_rows, like, refused, row_shape, strings, view, whole};
use crate::watchdog::{Verdict, Watch};

#[derive(Debug)]
pub(crate) struct Engine {
    session: Session,
    watch: Watch,
    signature: Signature,
    /// For each output, elements of a row, where they are known.
    widths: Vec<Option<usize>>,
    /// Room for the last, incomplete block of a fixed batch.
    block: Option<Inputs>,
}

impl Engine {
    pub(crate) fn new(session: Session, watch: Watch, signature: Signature) -> Self {
        let width = |(spec, is_unranked): (&TensorSpec, &bool)| if *is_unranked { None } else { spec.row_width() };
        let widths = signature
            .outputs
            .iter()
            .zip(&signature.is_unranked)
            .map(width)
            .collect();
        Self {
            session,
            watch,
            signature,
            widths,
            block: None,
        }
    }

    /// Goes on with another session of the same model.
    pub(crate) fn renew(&mut self, session: Session) {
        self.session = session;
    }

    /// What the model takes and gives, with what was learned.
    pub(crate) fn signature(&self) -> &Signature {
        &self.signature
    }

    /// Limits the time of every run from now on.
    pub(crate) fn set_time_limit(&mut self, limit: Option<Duration>) {
        self.watch.set_limit(limit);
    }

    /// Runs the rows and hands the outputs to `read`.
    pub(crate) fn run(
        &mut self,
        inputs: &Inputs,
        rows: Range<usize>,
        read: &mut dyn FnMut(&[View<'_>]),
    ) -> Result<(), RunError> {
        let (given, taken) = (inputs.inputs.len(), self.signature.inputs.len());
        if given != taken {
            return Err(refused(format!("{given} inputs for a model that has {taken}")));
        }
        if rows.is_empty() {
            let empty: Vec<Buffer> = self
                .signature
                .outputs
                .iter()
                .map(|spec| Buffer::zeros(spec.dtype, 0))
                .collect();
            let views: Vec<_> = empty
                .iter()
                .zip(&self.widths)
                .map(|(b, w)| whole(b, w.unwrap_or(0)))
                .collect();
            read(&views);
            return Ok(());
        }
        match self.signature.batch {
            Batch::Open => self.run_at_once(inputs, rows, read),
            Batch::Fixed(size) => self.run_in_blocks(inputs, rows, size, read),
        }
    }

    fn run_at_once(
        &mut self,
        inputs: &Inputs,
        rows: Range<usize>,
        read: &mut dyn FnMut(&[View<'_>]),
    ) -> Result<(), RunError> {
        let count = rows.len();
        let values = bind_all(inputs, rows)?;
        self.watch.arm();
        let outcome = self
            .session
            .run_with_options(&values[..], self.watch.options())
            .map_err(refused);
        let outputs = settle(self.watch.disarm(), outcome)?;
        let strings = strings(&outputs, &self.signature.outputs)?;
        read(&views(
            &outputs,
            &strings,
            (&self.signature.outputs, &self.widths),
            count,
        )?);
        Ok(())
    }

    /// Feeds blocks of the size that the model insists on. The last one is filled up with copies of its last row, so
    /// that nothing but known rows is ever run, and their results are dropped.
    fn run_in_blocks(
        &mut self,
        inputs: &Inputs,
        rows: Range<usize>,
        size: usize,
        read: &mut dyn FnMut(&[View<'_>]),
    ) -> Result<(), RunError> {
        let mut collected: Vec<(Buffer, usize)> = self
            .signature
            .outputs
            .iter()
            .map(|spec| (Buffer::zeros(spec.dtype, 0), 0))
            .collect();
        self.watch.arm();
        let mut outcome = Ok(());
        for start in rows.clone().step_by(size) {
            outcome = self.run_block(inputs, start..rows.end.min(start + size), size, &mut collected);
            if outcome.is_err() {
                break;
            }
        }
        settle(self.watch.disarm(), outcome)?;
        let views: Vec<View<'_>> = collected.iter().map(|(buffer, width)| whole(buffer, *width)).collect();
        read(&views);
        Ok(())
    }

    fn run_block(
        &mut self,
        inputs: &Inputs,
        rows: Range<usize>,
        size: usize,
        collected: &mut [(Buffer, usize)],
    ) -> Result<(), RunError> {
        let count = rows.len();
        let values = if count == size {
            bind_all(inputs, rows)?
        } else {
            let block = self.block.get_or_insert_with(|| like(inputs, size));
            copy_rows(inputs, block, size, |row| rows.start + row.min(count - 1));
            bind_all(block, 0..size)?
        };
        let outputs = self
            .session
            .run_with_options(&values[..], self.watch.options())
            .map_err(refused)?;
        let strings = strings(&outputs, &self.signature.outputs)?;
        let views = views(&outputs, &strings, (&self.signature.outputs, &self.widths), size)?;
        for ((buffer, width), view) in collected.iter_mut().zip(&views) {
            append(buffer, view, count);
            *width = view.width;
        }
        Ok(())
    }

    /// Runs the rows and learns what the model leaves open about its outputs.
    pub(crate) fn learn_outputs(&mut self, inputs: &Inputs) -> Result<(), RunError> {
        let count = inputs.rows;
        let values = bind_all(inputs, 0..count)?;
        self.watch.arm();
        let outcome = self
            .session
            .run_with_options(&values[..], self.watch.options())
            .map_err(refused);
        let outputs = settle(self.watch.disarm(), outcome)?;
        for (i, spec) in self.signature.outputs.iter_mut().enumerate() {
            let shape = row_shape(&outputs[i], spec, count)?;
            let agrees = |(found, promised): (&i64, &Option<usize>)| {
                promised.is_none_or(|promised| usize::try_from(*found) == Ok(promised))
            };
            let is_promised = self.signature.is_unranked[i]
                || shape.len() == spec.row_shape.len() && shape.iter().zip(&spec.row_shape).all(agrees);
            if !is_promised {
                return Err(bad_output(format!("output {spec} has rows of the shape {shape:?}")));
            }
            spec.row_shape = shape.iter().map(|dim| usize::try_from(*dim).ok()).collect();
            self.signature.is_unranked[i] = false;
            self.widths[i] = spec.row_width();
        }
        Ok(())
    }
}

fn bind_all(inputs: &Inputs, rows: Range<usize>) -> Result<Vec<SessionInputValue<'_>>, RunError> {
    inputs.inputs.iter().map(|input| bind(input, rows.clone())).collect()
}

fn views<'a>(
    outputs: &'a SessionOutputs<'_>,
    strings: &'a [Vec<String>],
    (specs, widths): (&[TensorSpec], &[Option<usize>]),
    rows: usize,
) -> Result<Vec<View<'a>>, RunError> {
    specs
        .iter()
        .zip(widths)
        .enumerate()
        .map(|(i, (spec, width))| view(&outputs[i], strings.get(i), spec, (rows, *width)))
        .collect()
}

/// A run that was late and still came to its end is good.
fn settle<T>(verdict: Verdict, outcome: Result<T, RunError>) -> Result<T, RunError> {
    outcome.map_err(|error| match verdict {
        Verdict::InTime => error,
        Verdict::Late => RunError {
            fault: RunFault::TimedOut,
            message: "the run took longer than its limit and was terminated".into(),
        },
    })
}
