//! Entropy of the least certain of several labels: the maximum of −p ln p − (1−p) ln(1−p) over the labels, divided by ln 2.

use super::{Evidence, Kind, Measure, Range, Signal, Subject};
use crate::head::Values;

pub(super) const KIND: Kind = Kind {
    words: "a label entropy",
    range: Range::Unit,
    is_costly: false,
    reads_features: false,
    make,
    #[cfg(test)]
    specimens,
};

fn make(subject: &Subject<'_>) -> Option<Box<dyn Measure>> {
    let Values::Labels(_) = subject.holds.values else {
        return None;
    };
    Some(Box::new(LabelEntropy {
        has_logits: subject.holds.logits,
        temperature: subject.temperature,
    }))
}

#[derive(Debug)]
struct LabelEntropy {
    has_logits: bool,
    temperature: f32,
}

impl Measure for LabelEntropy {
    fn signal(&self) -> Signal {
        Signal::LabelEntropy
    }

    fn measure_row(&self, Evidence { predictions, .. }: &Evidence<'_>, row: usize) -> f32 {
        if !predictions.is_valid(row) {
            return f32::NAN;
        }
        // The entropy falls with the absolute logit, so the label with the least has the most.
        let logit = if self.has_logits {
            let logits = predictions.logits(row).iter();
            logits.map(|z| z.abs()).fold(f32::INFINITY, f32::min)
        } else {
            let rarer = predictions.values(row).iter().map(|p| p.min(1.0 - p));
            let rarer = rarer.fold(0.0, f32::max);
            ((1.0 - rarer) / rarer).ln()
        };
        // Beyond 100 the odds are 0 in 32 bits.
        let logit = (logit / self.temperature).min(100.0);
        let odds = (-logit).exp();
        let entropy = odds.ln_1p() + logit * odds / (1.0 + odds);
        (entropy / std::f32::consts::LN_2).min(1.0)
    }
}

#[cfg(test)]
fn specimens() -> Vec<super::laws::Specimen> {
    use super::laws::Specimen;
    vec![
        Specimen::labels("logits", &[&[9.0, -4.0], &[-9.0, 0.5]]),
        Specimen::labels("logits", &[&[9.0, -4.0], &[-9.0, 0.5]]).at_temperature(2.0),
        Specimen::labels("probabilities", &[&[0.0, 1.0], &[0.9, 0.4]]),
        Specimen::labels("probabilities", &[&[0.9, 0.9], &[0.9, 0.4]]).at_temperature(0.5),
    ]
}
