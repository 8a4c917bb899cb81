//! Whether a profile that was read can be what a builder made: nothing later may stumble over it.

use super::{Category, Distances, Feature, Number, Profile};
use crate::conformal::Conformal;
use crate::signal::MAHALANOBIS_FEATURES;

impl Profile {
    /// What contradicts what.
    pub(super) fn check(&self) -> Result<(), String> {
        for feature in &self.features {
            let name = feature.name();
            if self.features.iter().filter(|other| other.name() == name).count() > 1 {
                return Err(format!("feature `{name}` stands in it twice"));
            }
            match feature {
                Feature::Number(number) => check_number(number)?,
                Feature::Category(category) => check_category(category)?,
            }
        }
        for target in &self.outputs.targets {
            check_number(target)?;
        }
        if let Some(distances) = &self.distances {
            self.check_distances(distances)?;
        }
        if let Some(embedding) = &self.outputs.embedding {
            embedding.projections.iter().try_for_each(check_number)?;
            embedding.check()?;
        }
        if let Some(segments) = &self.segments {
            segments.check(self)?;
        }
        let outputs = &self.outputs;
        holds(outputs.temperature.is_finite() && outputs.temperature > 0.0, || {
            format!("a temperature of {} is none", outputs.temperature)
        })?;
        holds(outputs.scales.len() == outputs.targets.len(), || {
            "targets and scales are not as many".to_owned()
        })?;
        let is_scale = |width: f32| width.is_finite() && width >= 0.0;
        holds(
            outputs
                .scales
                .iter()
                .all(|scale| is_scale(scale.std) && is_scale(scale.width)),
            || "a scale is no width".to_owned(),
        )?;
        for calibrator in &outputs.calibrators {
            let class = calibrator.class;
            holds(calibrator.isotonic().is_some() && class < outputs.classes.len(), || {
                format!("the calibrator of class {class} does not rise")
            })?;
        }
        for (signal, histogram) in &outputs.signals {
            let right = histogram.counts.len() == histogram.edges.len() + 1 && rises(&histogram.edges);
            holds(right, || {
                format!("the histogram of {signal} has edges that do not fit its counts")
            })?;
        }
        for (signal, tail) in &self.conformal {
            let right = Conformal::from_parts(tail.rows, tail.highest.0.clone()).is_some();
            holds(right, || {
                format!("the scores of {signal} do not rise, or are more than its rows")
            })?;
        }
        Ok(())
    }

    fn check_distances(&self, distances: &Distances) -> Result<(), String> {
        let d = distances.columns.len();
        let lengths = [&distances.mean, &distances.std, &distances.median].map(|column| column.0.len());
        let points = &distances.coreset.0;
        holds(d > 0 && lengths == [d; 3], || {
            "columns and their moments are not as many".to_owned()
        })?;
        holds(!points.is_empty() && points.len().is_multiple_of(d), || {
            format!("{} numbers are no points of {d} columns", points.len())
        })?;
        holds(distances.std.0.iter().all(|std| *std > 0.0), || {
            "a standard deviation is not positive".to_owned()
        })?;
        let numbers = [&distances.mean, &distances.std, &distances.median];
        let mut numbers = numbers.into_iter().chain(&distances.whitener).flat_map(|list| &list.0);
        let is_finite = numbers.all(|x| x.is_finite()) && points.iter().all(|x| x.is_finite());
        holds(is_finite, || {
            "a moment, a point or a part of the triangle is not finite".to_owned()
        })?;
        if let Some(whitener) = &distances.whitener {
            let right = d <= MAHALANOBIS_FEATURES && whitener.0.len() == d * (d + 1) / 2;
            holds(right, || {
                format!("{} numbers are no triangle of {d} columns", whitener.0.len())
            })?;
        }
        holds(u64::from_str_radix(&distances.simhash_seed, 16).is_ok(), || {
            format!("`{}` is no seed", distances.simhash_seed)
        })?;
        let is_number = |name: &String| {
            let named = |feature: &Feature| matches!(feature, Feature::Number(number) if number.name == *name);
            self.features.iter().any(named)
        };
        match distances.columns.iter().find(|name| !is_number(name)) {
            Some(name) => Err(format!("column `{name}` is no number among the features")),
            None => Ok(()),
        }
    }
}

fn check_number(number: &Number) -> Result<(), String> {
    let name = &number.name;
    holds(
        number.counts.len() == number.edges.len() + 1 && rises(&number.edges),
        || format!("the edges of `{name}` do not fit its counts"),
    )?;
    let Some(hbos) = &number.hbos else { return Ok(()) };
    holds(hbos.low < hbos.high && (3..1_000).contains(&hbos.counts.len()), || {
        format!("`{name}` has no bins of equal width")
    })
}

fn check_category(category: &Category) -> Result<(), String> {
    let expected = category.categories.len() + 1;
    let right = category.counts.len() == expected && category.hbos_counts.len() == expected;
    holds(right && expected < 60_000, || {
        format!("the words of `{}` do not fit its counts", category.name)
    })
}

fn rises(edges: &[f32]) -> bool {
    edges.windows(2).all(|pair| pair[0] < pair[1])
}

fn holds(right: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if right { Ok(()) } else { Err(otherwise()) }
}
