//! Waiting (挂起): for a listed cause, told in writing (C-3). However often a case is suspended, for one cause it waits no longer
//! than that cause's days in all; beyond them the level above approves it.

use calendar::{TimeUnit, instant, local_day};
use chrono::{NaiveTime, TimeDelta};

use super::case::{Case, Suspension, Waited};
use super::clock::Clock;
use super::codes::*;
use super::error::{DomainError, Result};
use super::event::{DomainEvent, Timestamp};
use super::handling::written;
use super::ids::OrgId;
use super::reason::Reason;
use super::rules::Rules;
use super::state::Trigger;
use super::table::RoutingTable;
use super::work::{Act, Decision, Work};

/// The clocks that stand still while a case waits.
const STANDING: [ClockKind; 3] = [ClockKind::Resolve, ClockKind::Rework, ClockKind::Stage];

/// What a suspension comes to.
struct Wait {
    until: Timestamp,
    /// With it the case would wait longer than the cause's days in all.
    beyond: bool,
}

impl Case {
    /// The case waits for a listed cause, with approval, told to the requester in writing (C-3); the requester's clock stands
    /// still. Without a date it goes on when what is left of the cause's days is over, or, where nothing is left, after as many
    /// again.
    ///
    /// # Errors
    /// `WrongState`; `NotEntitled` unless of an [organisation that approves](Self::suspension_approvers), never a machine;
    /// `Guard(suspensions_used_up)`; `Invalid` cause or date, and without the writing.
    pub fn suspend(
        self,
        cause_code: &str,
        told_ref: &str,
        resume_at: Option<Timestamp>,
        act: &Act<'_>,
    ) -> Result<Decision> {
        let mut work = Work::begin(self, act);
        work.suspend(cause_code, told_ref, resume_at)?;
        Ok(work.finish())
    }

    /// The organisations whose leader may suspend the case now until that date: whoever [answers for
    /// it](Self::responsible_orgs) within the cause's days in all, beyond them only the level above, as for
    /// [more time](Self::extension_approvers).
    #[must_use]
    pub fn suspension_approvers(
        &self,
        cause_code: &str,
        resume_at: Option<Timestamp>,
        routes: &RoutingTable,
        rules: &Rules,
        at: Timestamp,
    ) -> Vec<OrgId> {
        let rules = rules.at(routes.path_now(&self.place));
        let days = rules.suspension_causes.get(cause_code);
        let beyond = days.is_some_and(|days| self.wait(cause_code, *days, resume_at, at, rules).beyond);
        if beyond { self.level_above(routes, at) } else { self.responsible_orgs(routes, at) }
    }

    /// What was used counts, not what was granted: a case that went on early has the rest left, as far as a pause that begins now
    /// [can use it](Self::cost).
    fn wait(
        &self,
        cause_code: &str,
        days: u32,
        resume_at: Option<Timestamp>,
        at: Timestamp,
        rules: &Rules,
    ) -> Wait {
        let longest = TimeDelta::days(i64::from(days));
        let waited = self.waited.iter().find(|waited| waited.cause_code == cause_code);
        let left = longest - TimeDelta::seconds(waited.map_or(0, |waited| waited.seconds));
        let usual = Some(self.latest(at, left, rules)).filter(|until| *until > at);
        let until = resume_at.or(usual).unwrap_or_else(|| self.latest(at, longest, rules));
        Wait { until, beyond: self.cost(at, until, rules) > left }
    }

    /// What a pause takes of its cause's days: the time that it lasts, and no less than the days after the one it begins on, nor
    /// than the working days by which it moves a clock of days. Two minutes over midnight are a day, and so is one to the
    /// close of business of the last day.
    fn cost(&self, from: Timestamp, to: Timestamp, rules: &Rules) -> TimeDelta {
        let moved = self.standing().map(|clock| {
            let (first, last) = (clock.due_after(from, from, rules), clock.due_after(from, to, rules));
            let days = local_day(first).iter_days().skip(1).take_while(|day| *day <= local_day(last));
            let worked = days.filter(|day| rules.profile.is_work_day(&rules.calendar, *day));
            worked.map(|_| TimeDelta::days(1)).sum::<TimeDelta>()
        });
        moved.fold((to - from).max(local_day(to) - local_day(from)), Ord::max)
    }

    /// The latest end of a pause that takes no more than so much.
    fn latest(&self, from: Timestamp, most: TimeDelta, rules: &Rules) -> Timestamp {
        let after = local_day(from) + TimeDelta::days(most.num_days() + 1);
        let until = (from + most).min(instant(after, NaiveTime::MIN) - TimeDelta::microseconds(1));
        if self.cost(from, until, rules) <= most {
            return until;
        }
        // With the close of the day on which a clock would be due it would take that clock to another one: it ends as that day begins,
        // or there is none.
        instant(local_day(until), NaiveTime::MIN).max(from)
    }

    /// The clocks of days that stand still while the case waits.
    fn standing(&self) -> impl Iterator<Item = &Clock> {
        let of_days = |clock: &&Clock| !matches!(clock.limit.unit, TimeUnit::CalHour | TimeUnit::WorkHour);
        self.clocks.iter().filter(|clock| clock.is_open() && STANDING.contains(&clock.kind)).filter(of_days)
    }
}

impl Work<'_> {
    /// The case waits for a listed cause, of which the requester was told in writing.
    pub(super) fn suspend(
        &mut self,
        cause_code: &str,
        told_ref: &str,
        resume_at: Option<Timestamp>,
    ) -> Result<()> {
        self.permit(Trigger::Suspend)?;
        let (id, _) = self.lead()?;
        let by = self.human_official()?;
        let not_entitled = DomainError::NotEntitled { code: "lead_org" };
        let own = self.case.responsible_orgs(self.routes, self.now).contains(&by);
        if !own && !self.case.level_above(self.routes, self.now).contains(&by) {
            return Err(not_entitled);
        }
        let days = self.rules.suspension_causes.get(cause_code);
        let days = *days.ok_or_else(|| DomainError::invalid("cause_code", "not a listed cause"))?;
        written(told_ref)?;
        let latest = self.now + TimeDelta::days(i64::from(days));
        if resume_at.is_some_and(|at| at <= self.now || at > latest) {
            let message = format!("must lie ahead, at most {days} days for this cause");
            return Err(DomainError::invalid("resume_time", message));
        }
        let wait = self.case.wait(cause_code, days, resume_at, self.now, self.rules);
        match (wait.beyond, own) {
            (true, true) => {
                let message = format!("beyond {days} days in all for this cause the level above approves");
                return Err(DomainError::guard("suspensions_used_up", message));
            }
            (false, false) => return Err(not_entitled),
            _ => {}
        }
        let resume_at = Some(wait.until);
        let due_before = self.case.resolve_clock().map(|clock| clock.due_at);
        self.pause_clocks(&STANDING);
        let (cause_code, told_ref, since) = (cause_code.to_owned(), told_ref.to_owned(), self.now);
        let reason = Reason::new(&cause_code).with("told_ref", &told_ref);
        let event = DomainEvent::CaseSuspended { cause_code: cause_code.clone(), resume_at };
        self.case.suspension = Some(Suspension { cause_code, told_ref, since, resume_at, due_before });
        self.enter(CaseState::Suspended, Trigger::Suspend)?;
        self.emit(event, Some(reason), Some(id));
        Ok(())
    }

    /// The case waits no more, and its clocks go on.
    pub(super) fn end_suspension(&mut self) {
        if let Some(until) = self.count_waiting() {
            // Not longer than is counted, however late somebody sees to it.
            let now = std::mem::replace(&mut self.now, until);
            self.resume_clocks();
            self.now = now;
        }
    }

    /// A suspension is over: what it [took](Case::cost), begun seconds in full, counts against the days of its cause. Gives when
    /// it ended. To be called while its clocks stand still.
    pub(super) fn count_waiting(&mut self) -> Option<Timestamp> {
        let Suspension { cause_code, since, resume_at, .. } = self.case.suspension.take()?;
        let until = resume_at.map_or(self.now, |at| at.min(self.now)).max(since);
        let used = self.case.cost(since, until, self.rules);
        let whole = used.num_seconds();
        let seconds = if TimeDelta::seconds(whole) < used { whole + 1 } else { whole };
        match self.case.waited.iter_mut().find(|waited| waited.cause_code == cause_code) {
            Some(waited) => waited.seconds += seconds,
            None => self.case.waited.push(Waited { cause_code, seconds }),
        }
        Some(until)
    }
}
