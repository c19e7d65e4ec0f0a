//! What came of the spike, second by second, and whether the marks are met.

use std::{ops::Range, time::Duration};

use anyhow::Result;
use hdrhistogram::Histogram;
use serde::Serialize;

use super::histogram;
use crate::bench::report::round;

/// Seconds that are looked at together, because one alone holds few answers.
const WINDOW: u64 = 3;
/// Windows in a row, each a second after the one before, in which it must be as before: one alone may be luck.
const IN_A_ROW: usize = 3;
/// How soon after a burst all must be as before, in seconds.
const SOON: u64 = 5;
/// As before: at most this times the base …
const AS_BEFORE: f64 = 1.5;
/// … or so many milliseconds more, where the base is very small.
const OR_SO: f64 = 25.0;

/// Latencies of what was answered in each second, in microseconds.
pub struct Seconds(Vec<Histogram<u64>>);

impl Seconds {
    /// So many seconds.
    pub fn new(count: u64) -> Result<Self> {
        Ok(Self((0..count).map(|_| histogram()).collect::<Result<_>>()?))
    }

    /// An answer in a second; later ones are not looked at.
    pub fn record(&mut self, second: u64, took: Duration) {
        let at = usize::try_from(second).ok().and_then(|second| self.0.get_mut(second));
        if let Some(histogram) = at {
            histogram.saturating_record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
        }
    }

    /// 95th percentile of the seconds from one on, in milliseconds; none where nothing was answered.
    fn p95(&self, from: u64, count: u64) -> Result<Option<f64>> {
        let mut all = histogram()?;
        for histogram in self.0.iter().skip(from as usize).take(count as usize) {
            all.add(histogram)?;
        }
        Ok((!all.is_empty()).then(|| round(all.value_at_quantile(0.95) as f64 / 1e3)))
    }
}

/// What became of the registrations.
pub struct Registrations {
    /// By step.
    pub offered: Vec<u64>,
    /// Taken when they came first, by step.
    pub at_once: Vec<u64>,
    /// Refused with a time to come again, by step.
    pub refused: Vec<u64>,
    /// Taken when they came again at that time.
    pub on_retry: u64,
    /// Refused again.
    pub refused_again: u64,
    /// Answered otherwise.
    pub errors: u64,
    /// Still waiting when the patience of the bench ended.
    pub never_came: u64,
    longest_wait: Duration,
    refusals: Histogram<u64>,
}

impl Registrations {
    /// None yet.
    pub fn new(steps: usize) -> Result<Self> {
        let none = || vec![0; steps];
        Ok(Self {
            offered: none(),
            at_once: none(),
            refused: none(),
            on_retry: 0,
            refused_again: 0,
            errors: 0,
            never_came: 0,
            longest_wait: Duration::ZERO,
            refusals: histogram()?,
        })
    }

    /// One was refused after so long, and told to come again after `wait`.
    pub fn refused(&mut self, step: usize, took: Duration, wait: Duration) {
        self.refused[step] += 1;
        self.longest_wait = self.longest_wait.max(wait);
        self.refusals.saturating_record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    }

    /// Those of whom nothing has been heard.
    pub fn outstanding(&self) -> u64 {
        let heard = self.at_once.iter().sum::<u64>() + self.on_retry + self.refused_again + self.errors;
        self.offered.iter().sum::<u64>().saturating_sub(heard)
    }
}

/// One step of the profile.
#[derive(Clone, Debug, Serialize)]
pub struct StepReport {
    /// Registrations per second.
    pub rate: f64,
    /// Registrations that arrived.
    pub offered: u64,
    /// Taken at once.
    pub taken_at_once: u64,
    /// Refused with a time to come again.
    pub refused: u64,
    /// Of all that was answered in the step, refusals apart; none if nothing was.
    pub p95_ms: Option<f64>,
    /// For a burst: seconds from its end until the 95th percentile was back and nothing stood still any more until the next
    /// one; none if it was not.
    pub back_after_s: Option<u64>,
    /// Whether it is a burst.
    pub burst: bool,
}

/// The report of `bench spike`.
#[derive(Clone, Debug, Serialize)]
pub struct SpikeReport {
    /// `all-in-one` or `distributed`.
    pub shape: String,
    /// All rates times this.
    pub scale: f64,
    /// Users of the closed loop.
    pub users: usize,
    /// Length of a step.
    pub seconds_per_step: u64,
    /// Before the first burst; none if nothing was answered.
    pub base_p95_ms: Option<f64>,
    /// What counts as back; none without a base.
    pub limit_ms: Option<f64>,
    /// Step by step.
    pub steps: Vec<StepReport>,
    /// Refused registrations that were taken at the time that they were told.
    pub taken_on_retry: u64,
    /// Refused again, though they came when they were told to.
    pub refused_again: u64,
    /// Told to come so late that they had not come when the bench ended.
    pub never_came: u64,
    /// Longest time to come again that was told.
    pub longest_wait_s: f64,
    /// How long a refusal took.
    pub refusal_p95_ms: f64,
    /// Lifecycles that the users played.
    pub lifecycles: u64,
    /// Calls of users that were told to come again.
    pub user_retries: u64,
    /// Of them, those that were told so again, though they came when they were told to.
    pub user_refused_again: u64,
    /// Everything else that was answered by an error, of users and registrations.
    pub errors: u64,
    /// The first of them.
    pub first_errors: Vec<String>,
    /// 95th percentile of each second; none where nothing was answered.
    pub p95_by_second_ms: Vec<Option<f64>>,
    /// Whether all marks are met.
    pub passed: bool,
}

impl SpikeReport {
    /// From what was noted.
    pub fn of(seconds: &Seconds, registrations: &Registrations, rates: &[f64], length: u64) -> Result<Self> {
        let base = seconds.p95(0, length)?;
        let limit = base.map(|base| round((base * AS_BEFORE).max(base + OR_SO)));
        let is_burst = |n: usize| n > 0 && rates[n] > rates[n - 1];
        let mut steps = Vec::new();
        for (n, rate) in rates.iter().enumerate() {
            let burst = is_burst(n);
            let (from, end) = (n as u64 * length, (n as u64 + 1) * length);
            let back_after_s = match limit {
                Some(limit) if burst => {
                    let next = (n + 1..rates.len()).find(|later| is_burst(*later)).unwrap_or(rates.len());
                    back(seconds, end..next as u64 * length, limit)?
                }
                _ => None,
            };
            steps.push(StepReport {
                rate: *rate,
                offered: registrations.offered[n],
                taken_at_once: registrations.at_once[n],
                refused: registrations.refused[n],
                p95_ms: seconds.p95(from, length)?,
                back_after_s,
                burst,
            });
        }
        let wait = round(registrations.longest_wait.as_secs_f64());
        let refusals = &registrations.refusals;
        let by_second =
            (0..seconds.0.len() as u64).map(|second| seconds.p95(second, 1)).collect::<Result<_>>()?;
        Ok(Self {
            shape: String::new(),
            scale: 1.0,
            users: 0,
            seconds_per_step: length,
            base_p95_ms: base,
            limit_ms: limit,
            steps,
            taken_on_retry: registrations.on_retry,
            refused_again: registrations.refused_again,
            never_came: registrations.never_came,
            longest_wait_s: wait,
            refusal_p95_ms: round(refusals.value_at_quantile(0.95) as f64 / 1e3),
            lifecycles: 0,
            user_retries: 0,
            user_refused_again: 0,
            errors: 0,
            first_errors: Vec::new(),
            p95_by_second_ms: by_second,
            passed: false,
        })
    }

    /// Whether the marks are met: no error, whoever was refused taken when told, and soon all as before.
    pub fn judge(&mut self) {
        let soon =
            |step: &StepReport| !step.burst || step.back_after_s.is_some_and(|seconds| seconds <= SOON);
        self.passed = self.errors == 0
            && self.refused_again == 0
            && self.user_refused_again == 0
            && self.never_came == 0
            && self.steps.iter().all(soon);
    }

    /// A table for people.
    pub fn table(&self) -> String {
        let mut out = format!(
            "{} users on {}, rates × {}, {} s a step\n  p95 before the first burst {} ms; back is ≤ {} ms\n",
            self.users,
            self.shape,
            self.scale,
            self.seconds_per_step,
            millis(self.base_p95_ms),
            millis(self.limit_ms)
        );
        for step in &self.steps {
            out.push_str(&format!(
                "  {:>6.1}/s  {:>6} offered  {:>6} at once  {:>6} told to come again  p95 {:>6} ms",
                step.rate,
                step.offered,
                step.taken_at_once,
                step.refused,
                millis(step.p95_ms)
            ));
            out.push_str(&match (step.burst, step.back_after_s) {
                (false, _) => "\n".to_owned(),
                (true, Some(seconds)) => format!("  back after {seconds} s (mark {SOON} s)\n"),
                (true, None) => format!("  not back (mark {SOON} s): missed\n"),
            });
        }
        out.push_str(&format!(
            "  come again: {} taken, {} refused again, {} not come; told to wait {:.1} s at most; a refusal p95 {:.1} ms\n  \
             {} lifecycles, {} of their calls told to come again, {} refused again; {} errors\n  {}\n",
            self.taken_on_retry,
            self.refused_again,
            self.never_came,
            self.longest_wait_s,
            self.refusal_p95_ms,
            self.lifecycles,
            self.user_retries,
            self.user_refused_again,
            self.errors,
            if self.passed { "all marks met" } else { "a mark is missed" }
        ));
        for error in &self.first_errors {
            out.push_str(&format!("  error: {error}\n"));
        }
        out
    }
}

/// Milliseconds for people.
fn millis(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), |value| format!("{value:.0}"))
}

/// Seconds of the calm after a burst until windows in a row are at most at the limit, and none without an answer follows
/// before the next burst. A window that is slow again later is one of a load that varies, and does not count.
fn back(seconds: &Seconds, calm: Range<u64>, limit: f64) -> Result<Option<u64>> {
    let starts = calm.start..(calm.end + 1).saturating_sub(WINDOW);
    let windows: Vec<Option<f64>> = starts.map(|from| seconds.p95(from, WINDOW)).collect::<Result<_>>()?;
    let answered = windows.iter().rposition(Option::is_none).map_or(0, |silent| silent + 1);
    let as_before = |row: &[Option<f64>]| row.iter().flatten().all(|p95| *p95 <= limit);
    let first = windows[answered..].windows(IN_A_ROW).position(as_before);
    Ok(first.map(|first| (answered + first) as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seconds of a step.
    const STEP: u64 = 15;

    /// Three steps whose answers took so many milliseconds, second by second; none in the seconds of none.
    fn report(took: impl Fn(u64) -> Option<u64>, change: impl FnOnce(&mut SpikeReport)) -> SpikeReport {
        let mut seconds = Seconds::new(3 * STEP).expect("histograms");
        for second in 0..3 * STEP {
            for millis in (0..20).filter_map(|_| took(second)) {
                seconds.record(second, Duration::from_millis(millis));
            }
        }
        let registrations = Registrations::new(3).expect("none yet");
        let mut report =
            SpikeReport::of(&seconds, &registrations, &[10.0, 100.0, 10.0], STEP).expect("a report");
        change(&mut report);
        report.judge();
        report
    }

    /// Slow from the beginning of the burst on.
    fn burst(slow_until: u64) -> impl Fn(u64) -> Option<u64> {
        move |second| Some(if (15..slow_until).contains(&second) { 900 } else { 100 })
    }

    /// Nothing is answered in these seconds, all is as before in the others.
    fn silent(silence: Range<u64>) -> impl Fn(u64) -> Option<u64> {
        move |second| (!silence.contains(&second)).then_some(100)
    }

    #[test]
    fn back_is_counted_from_the_end_of_the_burst() {
        let met = report(burst(33), |_| ());
        assert_eq!((met.base_p95_ms.map(f64::round), met.steps[1].back_after_s), (Some(100.0), Some(3)));
        assert!(met.passed && met.steps[1].burst && !met.steps[2].burst, "{}", met.table());
        let late = report(burst(36), |_| ());
        assert_eq!(late.steps[1].back_after_s, Some(6));
        assert!(!late.passed);
        assert!(!report(burst(45), |_| ()).passed, "never back");
    }

    #[test]
    fn a_window_without_an_answer_is_not_back() {
        let dead = report(silent(30..45), |_| ());
        assert_eq!((dead.steps[1].back_after_s, dead.steps[2].p95_ms), (None, None));
        assert!(!dead.passed, "{}", dead.table());
        assert_eq!(dead.p95_by_second_ms[29..31].iter().flatten().count(), 1);
        // The window of the seconds 32 to 34 is the first that has an answer.
        assert_eq!(report(silent(30..34), |_| ()).steps[1].back_after_s, Some(2));
        assert!(!report(silent(0..15), |_| ()).passed, "nothing to compare with");
    }

    #[test]
    fn who_stands_still_later_was_not_back() {
        let freeze = report(silent(37..40), |_| ());
        assert_eq!(freeze.steps[1].back_after_s, Some(8), "after the freeze, not before");
        assert!(!freeze.passed);
    }

    #[test]
    fn a_relapse_at_once_is_not_back_and_one_much_later_does_not_count() {
        let slow_at = |at: u64| move |second: u64| Some(if second == at { 900_u64 } else { 100 });
        assert_eq!(report(slow_at(33), |_| ()).steps[1].back_after_s, Some(4));
        let later = report(slow_at(40), |_| ());
        assert_eq!(later.steps[1].back_after_s, Some(0));
        assert!(later.passed);
    }

    #[test]
    fn only_what_lies_before_the_next_burst_counts() {
        let mut seconds = Seconds::new(5 * STEP).expect("histograms");
        for second in 0..5 * STEP {
            let slow = (15..45).contains(&second);
            seconds.record(second, Duration::from_millis(if slow { 900 } else { 100 }));
        }
        let registrations = Registrations::new(5).expect("none yet");
        let rates = [10.0, 100.0, 10.0, 100.0, 10.0];
        let report = SpikeReport::of(&seconds, &registrations, &rates, STEP).expect("a report");
        assert_eq!((report.steps[1].back_after_s, report.steps[3].back_after_s), (None, Some(0)));
    }

    #[test]
    fn an_error_or_a_second_refusal_misses_the_mark() {
        assert!(!report(burst(30), |report| report.errors = 1).passed);
        assert!(!report(burst(30), |report| report.refused_again = 1).passed);
        assert!(!report(burst(30), |report| report.never_came = 1).passed);
        assert!(report(burst(30), |report| report.user_retries = 1).passed);
        assert!(!report(burst(30), |report| report.user_refused_again = 1).passed);
    }

    #[test]
    fn who_has_not_been_heard_of_is_counted() {
        let mut all = Registrations::new(1).expect("none yet");
        all.offered[0] = 10;
        all.at_once[0] = 6;
        for _ in 0..4 {
            all.refused(0, Duration::from_millis(1), Duration::from_secs(9));
        }
        all.on_retry = 3;
        assert_eq!((all.outstanding(), all.longest_wait), (1, Duration::from_secs(9)));
    }
}
