//! A new normal for one feature.

use super::{Error, Feature, Note, Profile};

impl Profile {
    /// Takes over what one feature is like from a profile of newer events of the same pipeline; all else stays as it was.
    /// `span` is when these events were, RFC 3339. What distances between events are measured with stays, too: it would need
    /// the other features of the same events.
    ///
    /// # Errors
    /// [`Error::NoFeature`], [`Error::NoValue`] and [`Error::SmallSegments`]; the profile is then as it was.
    pub fn accept(&mut self, feature: &str, newer: &Self, (since, until): (&str, &str)) -> Result<(), Error> {
        let missing = || Error::NoFeature(feature.to_owned());
        let find = |profile: &Self| profile.features.iter().position(|known| known.name() == feature);
        let (place, source) = (find(self).ok_or_else(missing)?, find(newer).ok_or_else(missing)?);
        let taken = &newer.features[source];
        let is_alike = match (&self.features[place], taken) {
            (Feature::Number(_), Feature::Number(_)) => true,
            (Feature::Category(known), Feature::Category(new)) => known.categories == new.categories,
            _ => false,
        };
        if !is_alike {
            return Err(missing());
        }
        let has_values = match taken {
            Feature::Number(number) => number.moments.is_some(),
            Feature::Category(category) => category.counts.iter().any(|count| *count > 0),
        };
        if !has_values {
            return Err(Error::NoValue(feature.to_owned()));
        }
        if let Some(segments) = &mut self.segments {
            let newer = newer.segments.as_ref().filter(|newer| newer.field == segments.field);
            let of = |word: &String| newer.and_then(|newer| newer.words.get(word)?.features.get(source));
            // Its bins are others now: a segment that the newer events do not have could not be counted in them.
            let small: Vec<String> = segments
                .words
                .keys()
                .filter(|word| of(word).is_none())
                .cloned()
                .collect();
            if !small.is_empty() {
                return Err(Error::SmallSegments(small.join(", ")));
            }
            for (word, segment) in &mut segments.words {
                segment.features[place] = of(word).cloned().unwrap_or_default();
            }
        }
        self.features[place] = taken.clone();
        let is_of_it = |note: &Note| matches!(note, Note::Accepted { feature: known, .. } if known == feature);
        self.notes.retain(|note| !is_of_it(note));
        self.notes.push(Note::Accepted {
            feature: feature.to_owned(),
            since: since.to_owned(),
            until: until.to_owned(),
            rows: newer.rows,
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::tests::{profile, segmented};

    #[test]
    fn one_feature_becomes_what_it_is_by_now_and_the_rest_stays() {
        let (old, newer) = (segmented(3_000, 1), segmented(4_000, 2));
        let mut accepted = old.clone();
        let span = ("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z");
        accepted.accept("weight", &newer, span).expect("both have it");
        for ((now, then), new) in accepted.features.iter().zip(&old.features).zip(&newer.features) {
            assert_eq!(now, if now.name() == "weight" { new } else { then });
        }
        assert_eq!((&accepted.outputs, &accepted.conformal), (&old.outputs, &old.conformal));
        assert_ne!(accepted.id(), old.id());
        let read = Profile::from_json(&accepted.to_json()).expect("it is sound");
        assert_eq!(read, accepted);
        accepted.accept("weight", &newer, span).expect("again");
        let notes = accepted
            .notes
            .iter()
            .filter(|note| matches!(note, Note::Accepted { .. }));
        assert_eq!(notes.count(), 1);
    }

    #[test]
    fn what_cannot_be_a_normal_is_refused_and_changes_nothing() {
        let (mut old, before) = (segmented(3_000, 1), segmented(3_000, 1));
        let span = ("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z");
        let mut refused = |feature: &str, newer: &Profile| old.accept(feature, newer, span).expect_err("it is refused");
        assert_eq!(
            refused("nothing", &segmented(3_000, 2)),
            Error::NoFeature("nothing".to_owned())
        );
        // Of none of the segments there are enough rows.
        assert_eq!(
            refused("weight", &profile(3_000, 2)),
            Error::SmallSegments("green, red".to_owned())
        );
        assert_eq!(
            refused("empty", &segmented(3_000, 2)),
            Error::NoValue("empty".to_owned())
        );
        assert_eq!(old, before);
    }
}
