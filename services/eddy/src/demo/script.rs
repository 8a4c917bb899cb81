//! The script: what happens when, and which events come out of it.
//!
//! Owns: the phases of a run, the pose of the camera at each moment, the seeded order of the digits, what is broken.
//! Never does: read a clock or send anything; [`super::generator`] does both.
//!
//! Invariant: the same seed gives the same shots, whatever the rate.

use std::time::Duration;

use super::camera::{self, Pixels, Pose};

/// What the camera does at the end of the tilt.
const TILTED: Pose = Pose {
    degrees: 35.0,
    blur_pixels: 0.7,
};
/// One event in so many is broken on purpose, to show what becomes of those.
const BROKEN_ONE_IN: u32 = 200;
/// A whole rail of cameras: enough keys for the events to spread over the partitions.
const CAMERAS: u32 = 12;

/// A part of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// The camera hangs as it did when the training pictures were taken.
    Straight,
    /// It is on its way.
    Tilting,
    /// It hangs askew and stays so.
    Tilted,
}

/// One moment of the run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Moment {
    /// The part of the run.
    pub(super) phase: Phase,
    /// How the camera hangs.
    pub(super) pose: Pose,
}

/// When the camera begins to tilt, and for how long it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Script {
    straight: Duration,
    tilting: Duration,
}

impl Script {
    /// For a run of known length a third, then a quarter of it; for an open one 25 s, then 20 s.
    pub(super) fn new(run_for: Option<Duration>) -> Self {
        match run_for {
            Some(whole) => Self {
                straight: whole / 3,
                tilting: whole / 4,
            },
            None => Self {
                straight: Duration::from_secs(25),
                tilting: Duration::from_secs(20),
            },
        }
    }

    /// What happens so long after the start.
    pub(super) fn at(&self, elapsed: Duration) -> Moment {
        let Some(into_tilt) = elapsed.checked_sub(self.straight) else {
            return Moment {
                phase: Phase::Straight,
                pose: Pose::default(),
            };
        };
        if into_tilt >= self.tilting {
            return Moment {
                phase: Phase::Tilted,
                pose: TILTED,
            };
        }
        let share = into_tilt.as_secs_f32() / self.tilting.as_secs_f32();
        Moment {
            phase: Phase::Tilting,
            pose: Pose {
                degrees: TILTED.degrees * share,
                blur_pixels: TILTED.blur_pixels * share,
            },
        }
    }
}

/// What an event is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Make {
    /// A sound PNG of 8×8 pixels.
    Sound,
    /// The first half of one.
    Truncated,
    /// No bytes at all.
    Empty,
    /// No value: a tombstone.
    Tombstone,
    /// A PNG whose header claims more pixels than anybody should decode.
    Huge,
}

/// One event to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shot {
    /// The camera that took it; the event's key.
    pub(super) camera: String,
    /// What it is made of.
    pub(super) make: Make,
    /// What the camera saw.
    pub(super) picture: Pixels,
    /// The digit it truly is.
    pub(super) label: u8,
    /// The event's value.
    pub(super) value: Option<Vec<u8>>,
}

/// The endless sequence of shots of one seed.
#[derive(Debug)]
pub(super) struct Reel {
    random: fastrand::Rng,
    /// The digits in the order in which they pass; shuffled anew for every round.
    order: Vec<usize>,
    next: usize,
}

impl Reel {
    /// The reel of a seed.
    pub(super) fn new(seed: u64) -> Self {
        let order: Vec<usize> = (0..camera::digits()).collect();
        Self {
            random: fastrand::Rng::with_seed(seed),
            next: order.len(),
            order,
        }
    }

    /// The next shot, taken in this pose.
    pub(super) fn shoot(&mut self, pose: Pose) -> Shot {
        if self.next == self.order.len() {
            self.random.shuffle(&mut self.order);
            self.next = 0;
        }
        let (digit, label) = camera::digit(self.order[self.next]);
        self.next += 1;
        let camera = format!("camera-{:02}", self.random.u32(1..=CAMERAS));
        let make = self.make();
        let picture = camera::photograph(&digit, pose);
        let value = match make {
            Make::Sound => Some(camera::png(&picture)),
            Make::Truncated => {
                let mut whole = camera::png(&picture);
                whole.truncate(whole.len() / 2);
                Some(whole)
            }
            Make::Empty => Some(Vec::new()),
            Make::Tombstone => None,
            Make::Huge => Some(camera::png_that_claims_to_be_huge(&picture)),
        };
        Shot {
            camera,
            make,
            picture,
            label,
            value,
        }
    }

    fn make(&mut self) -> Make {
        if self.random.u32(0..BROKEN_ONE_IN) > 0 {
            return Make::Sound;
        }
        match self.random.u32(0..4) {
            0 => Make::Truncated,
            1 => Make::Empty,
            2 => Make::Tombstone,
            _ => Make::Huge,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_run_of_a_minute_is_straight_for_a_third_and_tilted_in_the_end() {
        let script = Script::new(Some(seconds(60)));
        assert_eq!(script.at(Duration::ZERO).pose, Pose::default());
        assert_eq!(script.at(seconds(19)).phase, Phase::Straight);
        assert_eq!(script.at(seconds(20)).phase, Phase::Tilting);
        assert_eq!(script.at(seconds(35)).pose, TILTED);
        assert_eq!(script.at(seconds(3600)).phase, Phase::Tilted);
    }

    #[test]
    fn half_way_through_the_tilt_the_camera_hangs_half_askew() {
        let moment = Script::new(None).at(seconds(35));
        assert_eq!(moment.phase, Phase::Tilting);
        assert_eq!((moment.pose.degrees, moment.pose.blur_pixels), (17.5, 0.35));
    }

    #[test]
    fn a_run_of_no_length_does_not_divide_by_it() {
        assert_eq!(
            Script::new(Some(Duration::ZERO)).at(Duration::ZERO).phase,
            Phase::Tilted
        );
    }

    #[test]
    fn the_same_seed_gives_the_same_shots() {
        let (mut one, mut other) = (Reel::new(5), Reel::new(5));
        for _ in 0..1000 {
            assert_eq!(one.shoot(TILTED), other.shoot(TILTED));
        }
    }

    #[test]
    fn every_digit_passes_once_a_round() {
        let mut reel = Reel::new(1);
        let shots = (0..camera::digits()).map(|_| reel.shoot(Pose::default()).picture);
        let mut seen: Vec<Pixels> = shots.collect();
        let mut all: Vec<Pixels> = (0..camera::digits()).map(|number| camera::digit(number).0).collect();
        seen.sort_unstable();
        all.sort_unstable();
        assert_eq!(seen, all);
    }

    #[test]
    fn a_few_events_are_broken_in_each_of_the_four_ways() {
        let mut reel = Reel::new(2);
        let shots: Vec<Shot> = (0..20_000).map(|_| reel.shoot(Pose::default())).collect();
        let readable = |shot: &Shot| {
            let value = shot.value.as_deref();
            value.is_some_and(|bytes| image::load_from_memory(bytes).is_ok())
        };
        for shot in &shots {
            assert_eq!(readable(shot), shot.make == Make::Sound, "{:?}", shot.make);
        }
        let of = |make: Make| shots.iter().filter(|shot| shot.make == make).count();
        for make in [Make::Truncated, Make::Empty, Make::Tombstone, Make::Huge] {
            assert!((10..50).contains(&of(make)), "{make:?}: {} in 20,000", of(make));
        }
    }
}
