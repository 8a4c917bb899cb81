//! Spread of a regression: the standard deviation that the model gives itself, in standard deviations of the value on
//! reference data; of the target where it is largest, as w/(1+w).

use super::{Evidence, Kind, Measure, Range, Scale, Signal, Subject, relative, squashed};

pub(super) const KIND: Kind = Kind {
    words: "a spread",
    range: Range::Unit,
    is_costly: false,
    reads_features: false,
    make,
    #[cfg(test)]
    specimens,
};

fn make(subject: &Subject<'_>) -> Option<Box<dyn Measure>> {
    let is_served = subject.holds.spread && !subject.scales.is_empty();
    is_served.then(|| {
        Box::new(Spread {
            scales: subject.scales.to_vec(),
        }) as Box<dyn Measure>
    })
}

#[derive(Debug)]
struct Spread {
    scales: Vec<Scale>,
}

impl Measure for Spread {
    fn signal(&self) -> Signal {
        Signal::Spread
    }

    fn measure_row(&self, Evidence { predictions, .. }: &Evidence<'_>, row: usize) -> f32 {
        if !predictions.is_valid(row) {
            return f32::NAN;
        }
        let spreads = predictions.spread(row).iter().zip(&self.scales);
        squashed(
            spreads
                .map(|(std, scale)| relative(*std, scale.std))
                .fold(0.0, f32::max),
        )
    }
}

#[cfg(test)]
fn specimens() -> Vec<super::laws::Specimen> {
    use super::laws::Specimen;
    let settings = serde_json::json!({"type": "regression", "output": "value", "spread": "spread"});
    let scales = [0.5, 0.0].map(|std| Scale { std, width: 0.0 });
    vec![
        Specimen::outputs(
            settings,
            &[
                ("value", 2, &[1.0, 2.0, 1.0, 2.0]),
                ("spread", 2, &[0.1, 0.0, 0.3, 0.0]),
            ],
        )
        .with_scales(&scales),
    ]
}
