//! Interval of a regression: its width against the median width on reference data; of the target where it is widest, as
//! w/(1+w), so that an interval of usual width gives ½. Ends that cross count by their distance.

use super::{Evidence, Kind, Measure, Range, Scale, Signal, Subject, relative, squashed};

pub(super) const KIND: Kind = Kind {
    words: "an interval",
    range: Range::Unit,
    is_costly: false,
    reads_features: false,
    make,
    #[cfg(test)]
    specimens,
};

fn make(subject: &Subject<'_>) -> Option<Box<dyn Measure>> {
    let is_served = subject.holds.interval && !subject.scales.is_empty();
    is_served.then(|| {
        Box::new(Interval {
            scales: subject.scales.to_vec(),
        }) as Box<dyn Measure>
    })
}

#[derive(Debug)]
struct Interval {
    scales: Vec<Scale>,
}

impl Measure for Interval {
    fn signal(&self) -> Signal {
        Signal::Interval
    }

    fn measure_row(&self, Evidence { predictions, .. }: &Evidence<'_>, row: usize) -> f32 {
        if !predictions.is_valid(row) {
            return f32::NAN;
        }
        let ends = predictions.interval(row).chunks_exact(2).zip(&self.scales);
        squashed(
            ends.map(|(ends, scale)| relative((ends[1] - ends[0]).abs(), scale.width))
                .fold(0.0, f32::max),
        )
    }
}

#[cfg(test)]
fn specimens() -> Vec<super::laws::Specimen> {
    use super::laws::Specimen;
    let settings = serde_json::json!({"type": "regression", "output": "value", "lower": "ends", "upper": "ends"});
    vec![
        Specimen::outputs(
            settings,
            &[("value", 1, &[1.0, 1.0]), ("ends", 2, &[0.5, 1.5, 3.0, -1.0])],
        )
        .with_scales(&[Scale { std: 1.0, width: 1.0 }]),
    ]
}
