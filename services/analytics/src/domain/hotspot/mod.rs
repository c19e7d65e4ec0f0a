//! Hot spots (C15): more cases of one item at one place than its own history explains. Pure and explainable: every
//! finding can be computed again by hand from the counts of a few weeks and the figures of [`Method`].
//!
//! - *Window*: the last seven days, so that weekdays are alike everywhere.
//! - *Expectation*: the mean of the windows right before it, half a case added (Jeffreys' prior), times the season: how
//!   the same week of last year stood to the weeks before it, of the item in the whole district, shrunk and bounded.
//! - *Chance*: the negative-binomial probability of so many cases or more. Its variance holds the noise of counts, their
//!   over-dispersion (of the item at that level, of the cell itself where that is greater), and what so few windows leave
//!   unknown of the mean: a place where nothing ever happened is no hot spot with its second case.
//! - *Many cells*: Benjamini–Hochberg over all cells of the day, at every level of the tree. Cells of a place and of what
//!   lies above it are positively dependent, under which the procedure holds. An excess counts once: what lies above it is
//!   judged by the rest when the limit is set.
//! - *Which level*: the deepest that explains it. What lies above is found only if the rest is too much by itself.
//! - *Steadiness*: a hot spot goes on under easier conditions than it began under, against the history before it began;
//!   an excess soon after its end is the same one; one that lasts is the usual some day ([`watch`]).
//! - *Mergers*: the counts of a place that was merged, and its hot spot, are those of what it was merged into.

pub mod detect;
pub mod effect;
pub mod tail;
pub mod watch;

#[cfg(test)]
mod tests;

/// The figures of the method. Changing one is another version.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Method {
    /// Grows with every change.
    pub version: i32,
    /// Windows that make the expectation.
    pub baseline: usize,
    /// How many of them there must be.
    pub least_baseline: usize,
    /// False discovery rate of a day.
    pub rate: f64,
    /// Fewest cases.
    pub min_count: i64,
    /// How many times the expectation, at least.
    pub min_ratio: f64,
    /// A hot spot goes on up to this probability and from this ratio on.
    pub keep_p: f64,
    /// See `keep_p`.
    pub keep_ratio: f64,
    /// Days after its end in which an excess is the same hot spot.
    pub cool_days: i64,
    /// Days after which an excess is the usual.
    pub most_days: i64,
    /// Days before and after the closing of a topic case that are compared.
    pub effect_days: i64,
}

/// Days of a window.
pub const WINDOW_DAYS: i64 = 7;

/// The method in force.
pub const METHOD: Method = Method {
    version: 1,
    baseline: 8,
    least_baseline: 4,
    rate: 0.05,
    min_count: 5,
    min_ratio: 1.5,
    keep_p: 0.05,
    keep_ratio: 1.2,
    cool_days: 14,
    most_days: 56,
    effect_days: 28,
};

impl Method {
    /// Windows that have to be read: the one in question, those of the longest hot spot, and those before it.
    pub const fn windows(&self) -> usize {
        1 + self.most_days as usize / WINDOW_DAYS as usize + 1 + self.baseline
    }
}
