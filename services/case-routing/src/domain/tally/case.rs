//! What a case counts: from its intake to its end, and on its way through the process.

use calendar::local_day;
use chrono::TimeDelta;

use super::super::case::{Case, Supervision};
use super::super::clock::Clock;
use super::super::codes::*;
use super::super::event::{TimelineEntry, Timestamp};
use super::super::ids::PersonRef;
use super::super::tick::ASSIST_OVERDUE;
use super::life::Life;
use super::{Tally, is_closed, stopped};

/// The decisions that end the wait at intake.
const DECISIONS: [&str; 6] = [
    "CaseAccepted",
    "CaseDeclined",
    "CaseSupplementRequested",
    "CaseMerged",
    "CaseHandedOff",
    "CaseAnswered",
];

/// A case is given to somebody for the first time.
const ROUTED: [&str; 2] = ["CaseOffered", "CaseDispatched"];

/// What the hand-overs of a process are.
const DISPATCHES: [&str; 3] = ["CaseDispatched", "CaseRedispatched", "CaseOffered"];
/// What is sent back: the result, or the case.
const RETURNS: [&str; 6] = [
    "TaskReturned",
    "TaskDeclined",
    "CaseRecalled",
    "CaseReturnedFromSociety",
    "CaseReturnedFromReferral",
    "AdmissionRefusedByCommunity",
];

/// A reopening within this many days of the first closing spoils *once resolved* (I-08).
const ONCE_RESOLVED_DAYS: i64 = 30;

impl Tally {
    /// What a case counts. `untold`: it was changed since others were told of it.
    #[must_use]
    pub fn of_case(case: &Case, life: &Life, untold: bool) -> Self {
        let mut tally = Self::default();
        tally.intake(case, life, untold);
        tally.routing(case, life);
        tally.due(case, life);
        tally.lateness(case, life);
        tally.closing(case, life);
        tally.callback(case, life);
        tally.ratings(case, life);
        tally.process(case, life);
        tally
    }

    fn intake(&mut self, case: &Case, life: &Life, untold: bool) {
        let day = local_day(case.registered_at);
        self.add_on(day, "registered", 1);
        self.add_on(day, "registered_closed", is_closed(case.state));
        self.add_on(day, "registered_ended", case.state.is_finished());
        match decided_in_time(case, life) {
            Some(in_time) => self.add_on(day, "intake_in_time", in_time),
            None => self.unknown("intake_in_time"),
        }
        let accepted = case.accepted_at.is_some();
        self.add_on(day, "accepted", accepted);
        let repeats = accepted && case.repeats == Some(true);
        if repeats && untold {
            // It was found out with a change that nobody was told of, or with one before.
            self.unknown("repeated");
        } else {
            self.add_on(day, "repeated", repeats);
        }
        let above = case.origin == Origin::TopDown;
        self.add_on(day, "registered_above", above);
        if !above && matches!(case.nature, Nature::Component | Nature::CityEvent) {
            let patrol = case.origin == Origin::Patrol;
            self.add_on(day, "registered_field", 1);
            self.add_on(day, "field_patrol", patrol);
            self.add_on(day, "field_solved", patrol && case.solved_on_spot);
        }
    }

    fn routing(&mut self, case: &Case, life: &Life) {
        if let Some(step) = life.first(&ROUTED) {
            let mut in_time = stopped(case, ClockKind::Dispatch, None, step.at);
            let first = in_time.next().unwrap_or(true);
            self.add("routed", 1);
            if in_time.all(|other| other == first) {
                self.add("routed_in_time", first);
            } else {
                // Put right by its finder, sent back and sent out in one instant: which clock that was for is not held.
                self.unknown("routed_in_time");
            }
            self.add("process_decided", 1);
        }
    }

    /// The due cohort.
    fn due(&mut self, case: &Case, life: &Life) {
        use CaseState::{Archived, Closed, HandedOff, Merged, NotAccepted, Resolved, Withdrawn};
        if matches!(case.state, Merged | HandedOff | Withdrawn | NotAccepted) || case.solved_on_spot {
            return;
        }
        let Some(at) = [effective_due(case), case.completed_at].into_iter().flatten().min() else { return };
        let day = local_day(at);
        let verified = matches!(case.state, Resolved | Closed | Archived);
        self.add_on(day, "due", 1);
        self.add_on(day, "due_deferred", is_deferred(case));
        self.add_on(day, "due_verified", verified);
        self.add_on(day, "due_on_time", verified && is_on_time(case, life));
        self.add_on(day, "due_extended", case.extension_count > 0);
        let by_hand = life
            .steps()
            .any(|step| step.event == "SupervisionEscalated" && step.actor != PersonRef::system());
        let issued = case.supervisions.iter().filter(|one| one.level > 0).count();
        if by_hand && case.supervisions.iter().any(may_have_been_a_reminder) {
            self.unknown("due_supervised");
            self.unknown("supervisions");
            self.unknown("supervisions_in_time");
        } else {
            self.add_on(day, "due_supervised", issued > 0);
            self.add_on(day, "supervisions", count(issued));
            let counted = case.supervisions.iter().filter(|one| one.level > 0);
            let untold = |one: &Supervision| one.answered_at.is_some() && one.answered_in_time.is_none();
            if counted.clone().any(untold) {
                // Answered before the first answer was kept.
                self.unknown("supervisions_in_time");
            } else {
                let in_time = |one: &&Supervision| one.answered_in_time == Some(true);
                self.add_on(day, "supervisions_in_time", count(counted.filter(in_time).count()));
            }
        }
    }

    /// Becoming late, and being so no more: with the present promise, and with those before.
    fn lateness(&mut self, case: &Case, life: &Life) {
        for clock in missed_before(&promises(case), life) {
            self.late(case, clock.due_at, clock.stopped_at);
        }
        let Some(due) = effective_due(case).filter(|_| !is_deferred(case)) else { return };
        let end = case.completed_at.or_else(|| ended_at(case, life));
        if end.is_none_or(|end| end > due) {
            self.late(case, due, end);
        }
    }

    fn late(&mut self, case: &Case, since: Timestamp, until: Option<Timestamp>) {
        self.add_on(local_day(since), "overdue_in", 1);
        match until {
            Some(end) if case.completed_at.is_some() || is_closed(case.state) => {
                self.add_on(local_day(end), "overdue_out", 1);
            }
            Some(_) => self.add("overdue_out", 1),
            None => {}
        }
    }

    fn closing(&mut self, case: &Case, life: &Life) {
        let closed = case.closed_at.filter(|_| is_closed(case.state)).map(local_day);
        if let Some(day) = closed {
            self.add_on(day, "closed", 1);
            if life.tells("CaseDispatched") {
                self.add_on(day, "closed_dispatched", 1);
                let stayed = case.lead_org.is_some() && case.lead_change_count == 0;
                self.add_on(day, "closed_first_lead", stayed);
                self.add_on(day, "closed_lead_changes", case.lead_change_count);
            }
            self.add_on(day, "closed_rated", life.tells_own_rating());
            if let Some(mode) = case.delivery_mode {
                self.add_on(day, format!("mode_{mode}"), 1);
            }
            // How long it took by the calendars of then is not held; that it was measured is.
            // Opened again it is measured anew.
            let opened = life.last(&["CaseReopened"]);
            let elsewhere = life.imported().iter().any(|step| step.event == "CaseClosed") && opened.is_none();
            let done = life.last(&["CaseCompleted"]);
            let here =
                done.is_some_and(|done| opened.is_none_or(|step| step.case_version < done.case_version));
            self.add_on(day, "durations", elsewhere || here);
        }
        if let Some(code) = case.closed_code.filter(|_| case.state.is_finished()) {
            match closed {
                Some(day) => self.add_on(day, format!("ended_{code}"), 1),
                None => self.add(format!("ended_{code}"), 1),
            }
        }
        if let Some((at, once)) = first_closing(life).filter(|_| !case.solved_on_spot) {
            self.add_on(local_day(at), "first_closed", 1);
            self.add_on(local_day(at), "once_resolved", once);
        }
    }

    /// How a closed case went. Times in states are those between events, and minutes are worked elsewhere.
    fn process(&mut self, case: &Case, life: &Life) {
        let Some((_, once)) = first_closing(life).filter(|_| is_closed(case.state)) else { return };
        self.add("process_closed", 1);
        self.add("process_dispatches", life.count(&DISPATCHES));
        self.add("process_objections", life.count(&["TaskObjected"]));
        self.add("process_returns", life.count(&RETURNS));
        self.add("process_supplements", life.count(&["CaseSupplementRequested"]));
        self.add("process_contacts", life.count(&["CaseContacted"]));
        if case.completed_at.is_some() && case.resolve_clock().is_some() {
            self.add("process_due", 1);
            self.add("process_on_time", is_on_time(case, life));
        }
        self.add("process_reworked", case.rework_count > 0);
        self.add("process_once_resolved", once);
        if let Some(mode) = case.delivery_mode {
            self.add(format!("process_cases_{mode}"), 1);
        }
    }
}

fn count(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// Whether the first decision at intake came within its limit; none yet has not. `None`: of a case that had ended elsewhere it
/// is not held.
fn decided_in_time(case: &Case, life: &Life) -> Option<bool> {
    let accept = case.clocks.iter().find(|clock| clock.kind == ClockKind::Accept);
    if life.imported().last().is_some_and(|step| step.state != CaseState::Registered) {
        return accept.map(|clock| clock.stopped_at.is_some_and(|at| clock.in_time(at)));
    }
    let decision = life.first(&DECISIONS);
    Some(decision.zip(accept).is_some_and(|(step, clock)| clock.in_time(step.at)))
}

/// The due time by which it is attributed: while suspended, the one before the pause.
fn effective_due(case: &Case) -> Option<Timestamp> {
    let due = case.resolve_clock().map(|clock| clock.due_at);
    match &case.suspension {
        Some(pause) if case.state == CaseState::Suspended => pause.due_before.or(due),
        _ => due,
    }
}

/// Suspended before it was late (缓办).
fn is_deferred(case: &Case) -> bool {
    let pause = case.suspension.as_ref().filter(|_| case.state == CaseState::Suspended);
    pause.is_some_and(|pause| effective_due(case).is_none_or(|due| due > pause.since))
}

/// Completed by the due time; where none ran, completed at all. Nor did a result come too late that was sent back since the case
/// was accepted, or opened again.
fn is_on_time(case: &Case, life: &Life) -> bool {
    let by_due = |done: Timestamp| case.resolve_clock().is_none_or(|clock| done <= clock.due_at);
    let promises = promises(case);
    let opened = promises.iter().rposition(|clock| clock.kind == ClockKind::Resolve).unwrap_or(0);
    case.completed_at.is_some_and(by_due) && missed_before(&promises[opened..], life).is_empty()
}

/// What the requester was promised, one after the other: anew whenever the work is sent back, or the case opened again.
fn promises(case: &Case) -> Vec<&Clock> {
    let promised = |clock: &&Clock| matches!(clock.kind, ClockKind::Resolve | ClockKind::Rework);
    case.clocks.iter().filter(promised).collect()
}

/// Those of these promises, but for the last one, by which a result came too late. One that only a merger stopped brought none.
fn missed_before<'a>(promises: &[&'a Clock], life: &Life) -> Vec<&'a Clock> {
    let earlier = promises.split_last().map_or(&[][..], |(_, earlier)| earlier);
    let missed = |clock: &Clock| clock.stopped_at.is_some_and(|at| at > clock.due_at && life.has_result(at));
    earlier.iter().copied().filter(|clock| missed(clock)).collect()
}

/// When it ended, in whichever way. A merge is held by its step alone.
fn ended_at(case: &Case, life: &Life) -> Option<Timestamp> {
    match case.state {
        CaseState::Merged => life.last(&["CaseMerged"]).map(|step| step.at),
        state if state.is_finished() => case.closed_at,
        _ => None,
    }
}

/// Whether it may have been issued as a reminder, which is none, and raised by somebody since. Clocks issue reminders about
/// assists only: of their own limit, or to whoever leads of an invitation that nobody signs for.
fn may_have_been_a_reminder(supervision: &Supervision) -> bool {
    let about_assist = matches!(supervision.clock, None | Some(ClockKind::Assist));
    supervision.level > 0 && (about_assist || supervision.reason_code == ASSIST_OVERDUE)
}

/// When it was closed here for the first time, and whether that was it: nothing was sent back before, nor was it opened again
/// after another system had closed it, and it was not opened again soon.
fn first_closing(life: &Life) -> Option<(Timestamp, bool)> {
    let closed = life.first(&["CaseClosed"])?;
    let (before, after): (Vec<_>, Vec<_>) =
        life.steps().partition(|step| step.case_version < closed.case_version);
    let again = |step: &&TimelineEntry| matches!(step.event.as_str(), "CaseReworkOrdered" | "CaseReopened");
    let again_before = before.iter().any(again);
    let soon = closed.at + TimeDelta::days(ONCE_RESOLVED_DAYS);
    let reopened = after.iter().any(|step| step.event == "CaseReopened" && step.at < soon);
    Some((closed.at, !again_before && !reopened))
}
