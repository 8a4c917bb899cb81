//! The flood limit of dead letters: a bad deployment must stop, not reroute the stream.

use std::collections::VecDeque;

/// Share of dead letters over the latest events. Judges a batch *before* anything of it is written.
#[derive(Debug, Clone)]
pub struct Flood {
    limit: f64,
    window: usize,
    /// (events, dead letters) of the latest batches that went through.
    batches: VecDeque<(usize, usize)>,
    events: usize,
    dead: usize,
}

impl Flood {
    /// A limit on the share (0 to 1; 1 switches it off) over the latest `window` events.
    pub fn new(limit: f64, window: usize) -> Self {
        Self {
            limit,
            window: window.max(1),
            batches: VecDeque::new(),
            events: 0,
            dead: 0,
        }
    }

    /// Takes a batch in, unless its own share and, with it, the share over a full window reach the limit. What is refused leaves no
    /// trace, so that the same batch can be tried again.
    ///
    /// # Errors
    /// The share that was reached.
    pub fn admit(&mut self, events: usize, dead: usize) -> Result<(), f64> {
        let (mut all, mut bad) = (self.events + events, self.dead + dead);
        let mut leaving = 0;
        for (old_events, old_dead) in &self.batches {
            if all - old_events < self.window {
                break;
            }
            all -= old_events;
            bad -= old_dead;
            leaving += 1;
        }
        let share = bad as f64 / all.max(self.window) as f64;
        // A batch that is itself below the limit is the end of a flood, whatever came before it.
        let own_share = dead as f64 / events.max(1) as f64;
        if self.limit < 1.0 && share >= self.limit && own_share >= self.limit {
            return Err(share);
        }
        self.batches.drain(..leaving);
        self.batches.push_back((events, dead));
        (self.events, self.dead) = (all, bad);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Flood;

    #[test]
    fn a_few_dead_letters_among_many_events_pass() {
        let mut flood = Flood::new(0.5, 100);
        for _ in 0..100 {
            assert_eq!(flood.admit(50, 10), Ok(()));
        }
    }

    #[test]
    fn a_short_burst_passes_while_the_window_is_mostly_healthy() {
        let mut flood = Flood::new(0.5, 100);
        assert_eq!(flood.admit(80, 0), Ok(()));
        assert_eq!(flood.admit(20, 20), Ok(()));
    }

    #[test]
    fn a_flood_is_refused_before_it_is_written() {
        let mut flood = Flood::new(0.5, 100);
        assert_eq!(flood.admit(100, 0), Ok(()));
        assert_eq!(flood.admit(49, 49), Ok(()));
        assert!(flood.admit(100, 100).is_err());
    }

    #[test]
    fn a_refused_batch_leaves_no_trace() {
        let mut flood = Flood::new(0.5, 100);
        assert!(flood.admit(100, 100).is_err());
        assert!(flood.admit(100, 100).is_err());
        assert_eq!(flood.admit(100, 49), Ok(()));
    }

    #[test]
    fn a_healthy_batch_passes_even_after_a_bad_window() {
        let mut flood = Flood::new(0.5, 100);
        assert_eq!(flood.admit(100, 49), Ok(()));
        assert_eq!(flood.admit(1, 0), Ok(()));
    }

    #[test]
    fn after_a_flood_the_first_healthy_batch_passes() {
        let mut flood = Flood::new(0.5, 1000);
        for _ in 0..499 {
            assert_eq!(flood.admit(1, 1), Ok(()));
        }
        assert!(flood.admit(256, 256).is_err());
        assert_eq!(flood.admit(256, 1), Ok(()));
    }

    #[test]
    fn a_limit_of_one_switches_it_off() {
        let mut flood = Flood::new(1.0, 10);
        assert_eq!(flood.admit(100, 100), Ok(()));
    }
}
