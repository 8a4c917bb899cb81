//! A new normal for one feature.

use super::{Error, Feature, Note, Profile};

impl Profile {
    /// Takes over what one feature is like from a profile of newer events of the same pipeline; all else stays as it was.
    /// `span` is when these events were, RFC 3339. What distances between events are measured with stays, too: it would need
    /// the other features of the same events.
    ///
    /// # Errors
    /// [`Error::NoFeature`].
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
        self.features[place] = taken.clone();
        if let Some(segments) = &mut self.segments {
            let newer = newer.segments.as_ref().filter(|newer| newer.field == segments.field);
            // Its bins are others now: a segment that the newer events do not have cannot be counted in them.
            segments.words.retain(|word, segment| {
                let counts = newer.and_then(|newer| newer.words.get(word)?.features.get(source));
                counts.is_some_and(|counts| {
                    segment.features[place] = counts.clone();
                    true
                })
            });
        }
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
    fn a_segment_that_newer_events_do_not_have_is_watched_no_more() {
        let mut old = segmented(3_000, 1);
        let span = ("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z");
        old.accept("weight", &profile(3_000, 2), span).expect("both have it");
        assert!(old.segments.as_ref().is_some_and(|segments| segments.words.is_empty()));
        assert!(Profile::from_json(&old.to_json()).is_ok());
        let refused = old.accept("nothing", &profile(3_000, 2), span);
        assert_eq!(refused, Err(Error::NoFeature("nothing".to_owned())));
    }
}
