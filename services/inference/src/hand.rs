//! Handing one event's outputs to the producer: which it has, and what to do when one is too large.
//!
//! Owns: the choice between prediction, sample and dead letter, with or without the body; the wait for room.
//! Never does: write an output ([`crate::emit`] does) or make it durable ([`crate::ledger`] does).
//!
//! Invariant: an event that was handed over has exactly one outcome, and no output of it was dropped.

use std::time::Duration;

use eddy_broker::{Broker, BrokerError, Fault, SendError, Ticket};
use eddy_pipeline::event::{Destination, Output};
use eddy_pipeline::outcome::Outcome;
use eddy_pipeline::rejection::{Reason, Rejection};

use crate::batch::{Fate, Row};
use crate::emit::{Body, Emitter};
use crate::ledger::Ledger;
use crate::link::Link;
use crate::scoring::Scoring;

/// One wait for room in the producer's queue.
const TICK: Duration = Duration::from_millis(1);

/// Hands one event's outputs over, at its place in the open span.
pub(crate) struct Hand<'a, B> {
    pub(crate) link: &'a mut Link<B>,
    pub(crate) ledger: &'a mut Ledger,
    pub(crate) place: (Ticket, u32),
}

impl<B: Broker> Hand<'_, B> {
    pub(crate) fn over(
        &mut self,
        emitter: &mut Emitter,
        scoring: &Scoring,
        row: &Row,
        condemned: &[Destination],
    ) -> Result<Outcome, BrokerError> {
        let tensor_row = match &row.fate {
            Fate::Scored(tensor_row) => *tensor_row,
            Fate::Rejected(rejection) => return self.dead_letter(emitter, scoring, row, rejection, condemned),
        };
        if condemned.contains(&Destination::Predictions)
            || !emitter.prediction(scoring, row, tensor_row, |output| self.send(output))?
        {
            return self.dead_letter(emitter, scoring, row, &output_too_large(), condemned);
        }
        let arms = scoring.pick(tensor_row).all_arms();
        if arms.is_empty() {
            return Ok(Outcome::Predicted);
        }
        self.in_some_form(Destination::Retraining, condemned, |hand, body| {
            emitter.sample(scoring, row, tensor_row, body, |output| hand.send(output))
        })?;
        Ok(Outcome::Selected(arms))
    }

    fn dead_letter(
        &mut self,
        emitter: &mut Emitter,
        scoring: &Scoring,
        row: &Row,
        rejection: &Rejection,
        condemned: &[Destination],
    ) -> Result<Outcome, BrokerError> {
        self.in_some_form(Destination::DeadLetters, condemned, |hand, body| {
            emitter.dead_letter(scoring.batch(), row, rejection, body, |output| hand.send(output))
        })?;
        Ok(Outcome::DeadLettered(rejection.reason))
    }

    /// Sends an output whole, or in the largest lesser form that its topic takes. What is too large even bare stops the
    /// service: dropping it would lose an event.
    fn in_some_form(
        &mut self,
        to: Destination,
        condemned: &[Destination],
        mut send: impl FnMut(&mut Self, Body) -> Result<bool, BrokerError>,
    ) -> Result<(), BrokerError> {
        let refused = condemned.iter().filter(|refused| **refused == to).count();
        for body in [Body::Original, Body::Omitted, Body::Bare].into_iter().skip(refused) {
            if send(self, body)? {
                return Ok(());
            }
        }
        Err(BrokerError {
            fault: Fault::Refused,
            doing: format!("writing to the {to} topic"),
            message: "the output is too large even without the event's bytes, key and headers; raise the topic's \
                      max.message.bytes and kafka.max_output_bytes"
                .into(),
        })
    }

    /// Puts one output into the producer's queue, waiting for room. False: it is too large.
    fn send(&mut self, output: &Output<'_>) -> Result<bool, BrokerError> {
        loop {
            match self.link.broker.send(output, self.place.0, self.place.1) {
                Ok(()) => {
                    self.ledger.copy(output, self.place);
                    return Ok(true);
                }
                Err(SendError::TooLarge { detail }) => {
                    tracing::warn!(topic = %output.to, detail, "an output is too large");
                    return Ok(false);
                }
                Err(SendError::Failed(error)) => return Err(error),
                Err(SendError::Full) => {
                    self.ledger.wait(self.link, TICK)?;
                    if let Some(error) = self.ledger.look_for_failures(self.link) {
                        return Err(error);
                    }
                }
            }
        }
    }
}

/// Why an event became a dead letter although it was scored.
pub(crate) fn output_too_large() -> Rejection {
    Rejection::new(
        Reason::OutputTooLarge,
        "the prediction of this event is larger than its topic accepts; pass fewer fields through or raise the topic's \
         max.message.bytes",
    )
}
