//! When each database is verified: decided here, without a clock of its own.
//!
//! Each database has a place in the interval, so that the work is spread over it. The
//! first round does not wait for these places: what was not proved within the interval
//! before the start has its turn at once, one after another, and at least one database has,
//! the one whose proof is the oldest. A restart within the interval goes on where it was.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// What may come between two databases of the first round, however long the interval is.
const FIRST_ROUND: Duration = Duration::from_secs(1);

/// How much the first verification after the start may be put off, so that machines which
/// start together do not verify together.
const FIRST: Duration = Duration::from_secs(5);

/// One part of this many of the interval is by chance.
const JITTER: u32 = 10;

/// Whose turn it is next. All times are counted from the start.
#[derive(Debug)]
pub(super) struct Turns {
    every: Duration,
    due: Vec<Duration>,
}

impl Turns {
    /// For databases whose last good proofs have these ages; none was never proved.
    pub(super) fn new(every: Duration, ages: &[Option<Duration>]) -> Self {
        let mut oldest_first: Vec<usize> = (0..ages.len()).collect();
        let age = |index: usize| ages.get(index).copied().flatten().unwrap_or(Duration::MAX);
        oldest_first.sort_by_key(|index| std::cmp::Reverse(age(*index)));
        let gap = FIRST_ROUND.min(share(every, 1, ages.len()));
        let mut turn = up_to(FIRST.min(every / JITTER));
        let mut due = vec![Duration::ZERO; ages.len()];
        for (place, index) in oldest_first.into_iter().enumerate() {
            let wait = every.saturating_sub(age(index));
            let now = wait.is_zero() || place == 0;
            if let Some(due) = due.get_mut(index) {
                *due = if now { turn } else { wait.max(turn) };
            }
            turn += gap;
        }
        Self { every, due }
    }

    /// The next one, and when.
    pub(super) fn next(&self) -> Option<(usize, Duration)> {
        self.due.iter().copied().enumerate().min_by_key(|(_, due)| *due)
    }

    /// The verification of `index` took from `began` to `ended`. Turns that have passed
    /// meanwhile are left out.
    pub(super) fn done(&mut self, index: usize, began: Duration, ended: Duration) {
        // Not right after the first round, which knows nothing of the places.
        let earliest = ended.max(began + self.every / 2);
        let place = share(self.every, index, self.due.len());
        let every = self.every.as_nanos().max(1);
        let intervals = earliest.saturating_sub(place).as_nanos().div_ceil(every);
        let nanoseconds = place.as_nanos() + intervals * every;
        let next = Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX));
        if let Some(due) = self.due.get_mut(index) {
            *due = next.saturating_add(up_to(self.every / JITTER));
        }
    }
}

/// The place of `index` of `count` in the interval.
fn share(every: Duration, index: usize, count: usize) -> Duration {
    let count = u32::try_from(count.max(1)).unwrap_or(u32::MAX);
    (every / count).saturating_mul(u32::try_from(index).unwrap_or(u32::MAX))
}

/// By chance, less than `most`.
fn up_to(most: Duration) -> Duration {
    // Its keys are by chance, which is enough here.
    let chance = RandomState::new().hash_one(0_u8) >> 32;
    most.mul_f64(f64::from(u32::try_from(chance).unwrap_or_default()) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    /// The turns of the first `count` verifications, each of which takes `long`.
    fn taken(turns: &mut Turns, count: usize, long: Duration) -> Vec<(usize, Duration)> {
        let mut now = Duration::ZERO;
        let mut taken = Vec::new();
        for _ in 0..count {
            let (index, due) = turns.next().unwrap();
            now = now.max(due);
            taken.push((index, now));
            turns.done(index, now, now + long);
            now += long;
        }
        taken
    }

    #[test]
    fn the_first_round_begins_at_once_with_the_oldest() {
        let ages = [Some(seconds(90)), None, Some(seconds(5)), Some(seconds(300))];
        let mut turns = Turns::new(MINUTE, &ages);
        let taken = taken(&mut turns, 3, Duration::ZERO);
        assert_eq!(taken.iter().map(|(index, _)| *index).collect::<Vec<_>>(), [1, 3, 0]);
        assert!(taken[2].1 < seconds(8), "{taken:?}");
        // The young one waits until it is as old as the interval.
        assert!(turns.due[2] >= seconds(55) && turns.due[2] < seconds(58), "{turns:?}");
    }

    #[test]
    fn one_has_its_turn_at_once_even_if_all_are_young() {
        let day = seconds(86_400);
        let turns = Turns::new(day, &[Some(seconds(60)), Some(seconds(7200))]);
        let (index, due) = turns.next().unwrap();
        assert!(index == 1 && due <= FIRST, "{due:?}");
        assert_eq!(turns.due[0], day - seconds(60));
    }

    #[test]
    fn each_comes_once_in_every_interval_and_they_are_spread_over_it() {
        let mut turns = Turns::new(MINUTE, &[None; 200]);
        let taken = taken(&mut turns, 200 * 6, Duration::from_millis(100));
        for index in 0..200 {
            let own: Vec<Duration> =
                taken.iter().filter(|(it, _)| *it == index).map(|(_, at)| *at).collect();
            // Until the first place after half an interval; from then on as often as said.
            for (pair, most) in own.windows(2).zip([100, 70, 70, 70]) {
                let gap = pair[1] - pair[0];
                assert!(gap > seconds(29) && gap < seconds(most), "{index}: {own:?}");
            }
        }
        let within = |from: u64| {
            taken.iter().filter(|(_, at)| (seconds(from)..seconds(from + 10)).contains(at)).count()
        };
        for from in [120, 130, 140, 150, 160] {
            assert!((15..60).contains(&within(from)), "{from}: {}", within(from));
        }
    }

    #[test]
    fn what_takes_longer_than_the_interval_does_not_pile_up() {
        let mut turns = Turns::new(MINUTE, &[None, None]);
        let mut now = Duration::ZERO;
        let mut order = Vec::new();
        for _ in 0..20 {
            let (index, due) = turns.next().unwrap();
            now = now.max(due);
            turns.done(index, now, now + seconds(100));
            now += seconds(100);
            assert!(turns.due[index] >= now, "a turn that has passed: {turns:?}");
            assert!(turns.due[index] <= now + seconds(66), "{turns:?}");
            order.push(index);
        }
        // Neither waits for ever.
        assert!(order.iter().filter(|index| **index == 0).count() >= 6, "{order:?}");
        assert!(order.iter().filter(|index| **index == 1).count() >= 6, "{order:?}");
    }
}
