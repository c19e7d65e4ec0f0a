//! The value of an indicator for what was counted. A denominator of 0 gives no value, never 0 % or 100 %.

use std::collections::BTreeMap;

use proto::case_routing::v1::LimitUnit;

use super::{
    Counters,
    histogram::{self, Clocks},
    indicator::{Catalogue, Cohort, Definition, Formula},
};

/// A denominator below this is a small sample (domain.md §4.0).
pub const SMALL_SAMPLE: i64 = 30;

/// What was counted for a unit and a period.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Totals {
    /// Counters of the days in the period.
    pub period: Counters,
    /// Counters of all days before the end of the period.
    pub until_end: Counters,
    /// Counters of the same days a year before.
    pub year_before: Counters,
    /// Number of the last working day before the end of the period.
    pub last_work_day: i64,
    /// Resolve clocks of cases closed in the period, by `LimitUnit` and bucket.
    pub durations: BTreeMap<(i16, i16), Clocks>,
}

impl Totals {
    /// Resolve clocks in one unit, by bucket, in order.
    fn clocks(&self, unit: LimitUnit) -> impl Iterator<Item = (i16, Clocks)> {
        let unit = unit as i16; // five of them
        let range = self.durations.range((unit, i16::MIN)..=(unit, i16::MAX));
        range.map(|((_, bucket), clocks)| (*bucket, *clocks))
    }
}

/// A value with what it was made of.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Value {
    /// Above the line.
    pub numerator: i64,
    /// Below the line.
    pub denominator: i64,
    /// Four decimals; unset on an empty denominator.
    pub value: Option<f64>,
    /// The denominator is below [`SMALL_SAMPLE`].
    pub small_sample: bool,
    /// Cases left out of both sides (缓办).
    pub deferred: i64,
}

impl Catalogue {
    /// The value of a definition for what was counted.
    pub fn evaluate(&self, definition: &Definition, totals: &Totals) -> Value {
        let counters = match definition.cohort {
            Cohort::Stock => &totals.until_end,
            _ => &totals.period,
        };
        let deferred = definition.deferred.of(counters);
        let made = |numerator: i64, denominator: i64, value: Option<f64>| Value {
            numerator,
            denominator,
            value,
            small_sample: denominator < SMALL_SAMPLE,
            deferred,
        };
        match &definition.formula {
            Formula::Ratio(numerator, denominator) => {
                let (n, d) = (numerator.of(counters), denominator.of(counters));
                made(n, d, ratio(n, d))
            }
            Formula::Count(sum) => {
                let n = sum.of(counters);
                Value { small_sample: false, ..made(n, 1, Some(n as f64)) }
            }
            Formula::YearChange(numerator, denominator) => {
                let of = |counters: &Counters| (numerator.of(counters), denominator.of(counters));
                let ((n, d), (n0, d0)) = (of(counters), of(&totals.year_before));
                let (change, both) = (n * d0 - n0 * d, d * d0);
                let small_sample = d.min(d0) < SMALL_SAMPLE;
                Value { small_sample, ..made(change, both, ratio(change, both)) }
            }
            Formula::WorkDays { cases, numbers } => {
                let n = cases.of(counters) * totals.last_work_day - numbers.of(counters);
                Value { small_sample: false, ..made(n, 1, Some(n as f64)) }
            }
            Formula::MeanClock(unit) => {
                let mut all = Clocks::default();
                totals.clocks(*unit).for_each(|(_, clocks)| all += clocks);
                made(all.seconds, all.count, ratio(all.seconds, all.count))
            }
            Formula::Quantile(q, unit) => {
                let counts: Vec<(i16, i64)> =
                    totals.clocks(*unit).map(|(bucket, clocks)| (bucket, clocks.count)).collect();
                let count = counts.iter().map(|(_, n)| n).sum();
                let value = histogram::quantile(&counts, *q);
                made(value.map_or(0, |v| v.round() as i64), count, value.map(round4))
            }
            Formula::Composite(parts) => {
                let values: Option<Vec<(f64, Value)>> = parts
                    .iter()
                    .map(|(code, weight)| Some((*weight, self.evaluate(self.get(code)?, totals))))
                    .collect();
                let values = values.unwrap_or_default();
                let n = values.iter().map(|(_, v)| v.denominator).min().unwrap_or_default();
                let sum: Option<f64> = values.iter().map(|(w, v)| v.value.map(|v| w * v)).sum();
                let value = sum.filter(|_| n > 0).map(round4);
                made(value.map_or(0, |v| (v * n as f64).round() as i64), n, value)
            }
        }
    }
}

/// A ratio with four decimals, rounded half up in whole numbers; `None` on an empty denominator.
pub fn ratio(numerator: i64, denominator: i64) -> Option<f64> {
    if denominator <= 0 {
        return None;
    }
    let (n, d) = (i128::from(numerator), i128::from(denominator));
    let ten_thousandths = (n * 20_000 + d).div_euclid(2 * d);
    Some(ten_thousandths as f64 / 10_000.0)
}

fn round4(value: f64) -> f64 {
    (value * 10_000.0).round() / 10_000.0
}

#[cfg(test)]
mod tests {
    use super::{super::Counter, *};

    #[test]
    fn ratios_have_four_decimals_rounded_half_up_and_nothing_by_nothing_is_no_value() {
        assert_eq!(ratio(911, 972), Some(0.9372));
        assert_eq!(ratio(1, 8), Some(0.125));
        assert_eq!(ratio(1, 20_000), Some(0.0001));
        assert_eq!(ratio(0, 7), Some(0.0));
        assert_eq!(ratio(0, 0), None);
    }

    #[test]
    fn a_composite_has_no_value_while_a_part_has_none() {
        let catalogue = Catalogue::builtin();
        let score = catalogue.get("I-19").unwrap();
        let mut totals = Totals::default();
        assert_eq!(catalogue.evaluate(score, &totals).value, None);
        totals.period[Counter::CallbackValid] = 10;
        totals.period[Counter::CallbackContacted] = 10;
        totals.period[Counter::CallbackResolvable] = 10;
        totals.period[Counter::CallbackResolved] = 8;
        assert_eq!(catalogue.evaluate(score, &totals).value, None);
        totals.period[Counter::CallbackGraded] = 5;
        totals.period[Counter::CallbackSatisfied] = 4;
        let value = catalogue.evaluate(score, &totals);
        assert_eq!(value.value, Some(0.86)); // 0.30 + 0.35 * 0.8 + 0.35 * 0.8
        assert!(value.small_sample);
        assert_eq!(value.denominator, 5);
    }
}
