//! Whether a topic case changed anything: cases per day until it was closed against those after it.

use super::tail;

/// One-sided probability below which a difference is more than chance.
const LEVEL: f64 = 0.05;

/// What the comparison says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Fewer afterwards.
    Fell,
    /// No difference that chance does not explain.
    Unchanged,
    /// More afterwards.
    Rose,
}

/// Given all cases of both times, those after are binomial with the share of the days after, if nothing has changed.
/// Over-dispersed counts weigh less: they are divided by the dispersion.
pub fn effect(before: (i64, i64), after: (i64, i64), dispersion: f64) -> Effect {
    let ((count_before, days_before), (count_after, days_after)) = (before, after);
    let shrunk = |count: i64| (count as f64 / dispersion.max(1.0)).round() as i64;
    let (x, n) = (shrunk(count_after), shrunk(count_before) + shrunk(count_after));
    if n == 0 || days_before <= 0 || days_after <= 0 {
        return Effect::Unchanged;
    }
    let share = days_after as f64 / (days_before + days_after) as f64;
    if tail::binomial_at_most(x, n, share) <= LEVEL {
        Effect::Fell
    } else if 1.0 - tail::binomial_at_most(x - 1, n, share) <= LEVEL {
        Effect::Rose
    } else {
        Effect::Unchanged
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clear_fall_and_a_clear_rise_are_told_from_chance() {
        assert_eq!(effect((40, 28), (12, 28), 1.0), Effect::Fell);
        assert_eq!(effect((12, 28), (40, 28), 1.0), Effect::Rose);
        assert_eq!(effect((20, 28), (17, 28), 1.0), Effect::Unchanged);
        // The same figures say nothing where counts come in bursts.
        assert_eq!(effect((20, 28), (9, 28), 1.0), Effect::Fell);
        assert_eq!(effect((20, 28), (9, 28), 5.0), Effect::Unchanged);
        // Days count: half the cases in half the days is the same.
        assert_eq!(effect((40, 28), (20, 14), 1.0), Effect::Unchanged);
        assert_eq!(effect((0, 28), (0, 28), 1.0), Effect::Unchanged);
        assert_eq!(effect((9, 7), (0, 28), 1.0), Effect::Fell);
    }
}
