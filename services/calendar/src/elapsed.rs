//! How much of a limit has run: elapsed and remaining time, and the instant at which a part of it is used up.

use chrono::{DateTime, TimeDelta, Utc};

use crate::{Calendar, Interval, Profile, TimeUnit, local_day};

impl Calendar {
    /// The time that ran between two instants, outside the pauses: working time for working units,
    /// calendar time for the others. Zero when `to` is not after `from`.
    #[must_use]
    pub fn elapsed(
        &self,
        unit: TimeUnit,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
        pauses: &[Interval],
        profile: &Profile,
    ) -> TimeDelta {
        let running = |from, to| {
            if unit.is_working() { self.work_between(from, to, profile) } else { between(from, to) }
        };
        let paused: TimeDelta =
            pauses.iter().map(|pause| running(pause.from.max(from), pause.to.min(to))).sum();
        running(from, to) - paused
    }

    /// What is left until `due`; zero once it has passed.
    #[must_use]
    pub fn remaining(
        &self,
        unit: TimeUnit,
        now: DateTime<Utc>,
        due: DateTime<Utc>,
        profile: &Profile,
    ) -> TimeDelta {
        self.elapsed(unit, now, due, &[], profile)
    }

    /// The instant at which `percent` of the limit between `from` and `due` has run, pauses left out.
    /// Warnings at 50 % and 80 % are raised there. Never before `from` nor after `due`.
    #[must_use]
    pub fn at_percent(
        &self,
        unit: TimeUnit,
        percent: u8,
        (from, due): (DateTime<Utc>, DateTime<Utc>),
        pauses: &[Interval],
        profile: &Profile,
    ) -> DateTime<Utc> {
        let whole = self.elapsed(unit, from, due, pauses, profile);
        if whole <= TimeDelta::zero() {
            return due.max(from);
        }
        let part = TimeDelta::microseconds(
            whole.num_microseconds().unwrap_or(i64::MAX) / 100 * i64::from(percent.min(100)),
        );
        self.after(unit, from, part, pauses, profile).min(due)
    }

    /// The instant at which `running` time has passed since `from`, outside the pauses.
    pub(crate) fn after(
        &self,
        unit: TimeUnit,
        from: DateTime<Utc>,
        running: TimeDelta,
        pauses: &[Interval],
        profile: &Profile,
    ) -> DateTime<Utc> {
        let (mut at, mut left) = (from, running);
        for pause in pauses.iter().filter(|pause| pause.to > from) {
            let until = self.elapsed(unit, at, pause.from, &[], profile);
            if until >= left {
                break;
            }
            left -= until;
            at = pause.to.max(at);
        }
        if unit.is_working() { self.after_work(at, left, profile) } else { at + left }
    }

    fn after_work(&self, from: DateTime<Utc>, running: TimeDelta, profile: &Profile) -> DateTime<Utc> {
        let mut left = running;
        for day in local_day(from).iter_days() {
            for (open, close) in profile.spans(self, day) {
                let open = open.max(from);
                let span = between(open, close);
                if left <= span && span > TimeDelta::zero() {
                    return open + left;
                }
                left -= span;
            }
        }
        from
    }

    fn work_between(&self, from: DateTime<Utc>, to: DateTime<Utc>, profile: &Profile) -> TimeDelta {
        if to <= from {
            return TimeDelta::zero();
        }
        let last = local_day(to);
        local_day(from)
            .iter_days()
            .take_while(|day| *day <= last)
            .flat_map(|day| profile.spans(self, day))
            .map(|(open, close)| between(open.max(from), close.min(to)))
            .sum()
    }
}

fn between(from: DateTime<Utc>, to: DateTime<Utc>) -> TimeDelta {
    (to - from).max(TimeDelta::zero())
}
