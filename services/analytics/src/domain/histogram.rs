//! One fixed log-linear histogram of durations, so that rollups add up and quantiles can be read from sums of them.
//! Sixteen buckets for each doubling: a quantile is off by at most 1/32 of its value. The buckets never change.

use std::ops::AddAssign;

/// Resolve clocks of a bucket: how many, and the sum of their seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Clocks {
    /// How many.
    pub count: i64,
    /// Their seconds, added up.
    pub seconds: i64,
}

impl AddAssign for Clocks {
    fn add_assign(&mut self, other: Self) {
        self.count += other.count;
        self.seconds += other.seconds;
    }
}

/// Buckets per doubling, as a power of two.
const SUB_BITS: u32 = 4;
/// Durations are cut to this many bits (136 years in seconds).
const MAX: u64 = u32::MAX as u64;

/// The bucket of a duration in seconds.
pub fn bucket(seconds: i64) -> i16 {
    let value = u64::try_from(seconds).unwrap_or(0).min(MAX);
    let bits = u64::BITS - value.leading_zeros();
    let shift = bits.saturating_sub(SUB_BITS + 1);
    // With `shift` 0 the bucket is the value itself; each further doubling adds 2^SUB_BITS buckets.
    let index = (u64::from(shift) << SUB_BITS) + (value >> shift);
    i16::try_from(index).unwrap_or(i16::MAX) // at most 29·16 + 31
}

/// The middle of a bucket, in seconds.
pub fn middle(bucket: i16) -> f64 {
    let index = u64::from(bucket.unsigned_abs());
    let shift = (index >> SUB_BITS).saturating_sub(1);
    let low = (index - (shift << SUB_BITS)) << shift;
    let width = 1_u64 << shift;
    if width == 1 { low as f64 } else { low as f64 + width as f64 / 2.0 }
}

/// The quantile `q` (0 to 1) of `(bucket, count)` in the order of buckets; `None` when nothing was counted.
pub fn quantile(counts: &[(i16, i64)], q: f64) -> Option<f64> {
    let total: i64 = counts.iter().map(|(_, n)| n).sum();
    if total <= 0 {
        return None;
    }
    // Nearest rank: the smallest value with at least q of all at or below it.
    let rank = ((total as f64 * q).ceil() as i64).max(1);
    let mut seen = 0;
    for (bucket, count) in counts {
        seen += count;
        if seen >= rank {
            return Some(middle(*bucket));
        }
    }
    counts.last().map(|(bucket, _)| middle(*bucket))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn small_values_are_exact() {
        for seconds in 0..32 {
            assert_eq!(middle(bucket(seconds)), seconds as f64);
        }
    }

    #[test]
    fn the_median_of_one_to_hundred_hours() {
        let counts: std::collections::BTreeMap<i16, i64> =
            (1..=100).fold(Default::default(), |mut map, hours| {
                *map.entry(bucket(hours * 3600)).or_default() += 1;
                map
            });
        let counts: Vec<(i16, i64)> = counts.into_iter().collect();
        let p50 = quantile(&counts, 0.5).unwrap() / 3600.0;
        let p90 = quantile(&counts, 0.9).unwrap() / 3600.0;
        assert!((p50 - 50.0).abs() < 50.0 / 16.0, "{p50}");
        assert!((p90 - 90.0).abs() < 90.0 / 16.0, "{p90}");
        assert_eq!(quantile(&[], 0.5), None);
    }

    proptest! {
        #[test]
        fn the_middle_is_near_and_buckets_keep_the_order(a in 0_i64..4_000_000_000, b in 0_i64..4_000_000_000) {
            let (low, high) = (a.min(b), a.max(b));
            prop_assert!(bucket(low) <= bucket(high));
            prop_assert!((middle(bucket(a)) - a as f64).abs() <= (a as f64 / 32.0).max(0.5));
        }
    }
}
