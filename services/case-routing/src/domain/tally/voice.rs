//! What the requester says: in the call-back, and by ratings.

use calendar::local_day;

use super::super::case::{Case, Rating};
use super::super::codes::*;
use super::super::event::{TimelineEntry, Timestamp};
use super::super::rectified::Rectified;
use super::life::Life;
use super::{Tally, completed_in_time, is_same, stopped_in_time};

/// What says whether a call-back is due, each for the time after it.
const CALLS: [&str; 3] = ["CaseAnswered", "CaseCompleted", "CaseVerified"];

/// What is done again for a bad rating, by a lead or at the window.
const DONE: [&str; 2] = ["CaseCompleted", "CaseAnswered"];

impl Tally {
    /// The call-back population: completed with a call-back due.
    pub(super) fn callback(&mut self, case: &Case, life: &Life) {
        let due = life.last(&CALLS).is_some_and(|step| match step.event.as_str() {
            // As others are told of an answer; whether there is somebody to call is found when it is verified.
            "CaseAnswered" => !case.anonymous,
            _ => case.callback_due(),
        });
        let Some(day) = case.completed_at.filter(|_| due).map(local_day) else { return };
        self.add_on(day, "callback_due", 1);
        let verified = case.verification.as_ref().filter(|verification| verification.verified_at.is_some());
        let Some(callback) = verified.and_then(|verification| verification.callback.as_ref()) else { return };
        self.add_on(day, "callback_unreached", callback.outcome == CallbackOutcome::Unreached);
        if callback.outcome != CallbackOutcome::Reached {
            return;
        }
        self.add_on(day, "callback_valid", 1);
        let contacted = callback.contact_confirmed && contacted_in_time(case, life);
        self.add_on(day, "callback_contacted", contacted);
        if !case.closed_code.is_some_and(ClosedCode::is_explanation) {
            self.add_on(day, "callback_resolvable", 1);
            self.add_on(day, "callback_resolved", callback.resolution == Some(Resolution::Resolved));
            self.add_on(day, "callback_partly", callback.resolution == Some(Resolution::PartlyResolved));
        }
        if let Some(grade) = callback.grade.filter(|grade| *grade > 0) {
            self.add_on(day, "callback_graded", 1);
            self.add_on(day, "callback_grades", grade);
            self.add_on(day, "callback_satisfied", grade >= 3);
            self.add_on(day, "callback_well_satisfied", grade >= 4);
        }
    }

    /// The last good and the last bad rating.
    pub(super) fn ratings(&mut self, case: &Case, life: &Life) {
        let given = || life.steps().filter(|step| step.event == "RatingReceived");
        let bad = given().rfind(|step| is_bad(case, step));
        let good = given().any(|step| !is_bad(case, step));
        let elsewhere = life.imported().iter().rfind(|step| step.event == "RatingReceived");
        // An imported one stands with the case until that is opened again.
        let kept = elsewhere.and_then(|step| rating_of(case, step.at)).map(|rating| rating.grade >= 3);
        if elsewhere.is_some() && kept.is_none() {
            for name in ["rated", "rated_good", "rated_bad", "bad_called_back"] {
                self.unknown(name);
            }
        } else {
            let (good, any_bad) = (good || kept == Some(true), bad.is_some() || kept == Some(false));
            self.add("rated", i64::from(good) + i64::from(any_bad));
            self.add("rated_good", good);
            self.add("rated_bad", any_bad);
            if any_bad {
                let verified = called_back(case, life, bad.map_or(0, |step| step.case_version));
                let about = bad.map_or(Some(false), |bad| called_about(case, life, bad));
                let done_again = bad.and_then(|bad| rectified(case, bad));
                let heard = done_again.is_some_and(|done| done.callback == Some(CallbackOutcome::Reached));
                match either(either(verified, about), Some(heard)) {
                    Some(reached) => self.add("bad_called_back", reached),
                    None => self.unknown("bad_called_back"),
                }
            }
        }
        let judged = bad.and_then(|bad| life.steps().find(|step| is_judgement_of(bad, step)));
        if let (Some(bad), Some(judged)) = (bad, judged) {
            self.judgement(case, life, bad, judged);
        }
    }

    fn judgement(&mut self, case: &Case, life: &Life, bad: &TimelineEntry, judged: &TimelineEntry) {
        match found_valid(case, life, bad, judged) {
            Some(true) => {
                self.add("bad_valid", 1);
                let done = life.steps().find(|step| {
                    DONE.contains(&step.event.as_str()) && step.case_version > judged.case_version
                });
                let in_time = rectified(case, bad).map_or_else(
                    || done.is_some_and(|step| completed_in_time(case, step.at)),
                    |done_again| done_again.in_time,
                );
                self.add("bad_rectified", in_time);
            }
            Some(false) => {}
            None => {
                self.unknown("bad_valid");
                self.unknown("bad_rectified");
            }
        }
    }
}

/// Whether whoever did the work made contact within their limit. Where none ran for them, nothing was missed.
fn contacted_in_time(case: &Case, life: &Life) -> bool {
    let Some(lead) = case.lead_task else { return true };
    match life.about(lead).find(|step| step.event == "CaseContacted") {
        Some(step) => stopped_in_time(case, ClockKind::Contact, Some(lead), step.at).unwrap_or(true),
        None => case.clock(ClockKind::Contact, Some(lead)).is_none(),
    }
}

/// Whether a rating of ours was bad: then somebody had to judge it, from that instant on.
fn is_bad(case: &Case, rated: &TimelineEntry) -> bool {
    case.clocks.iter().any(|clock| clock.kind == ClockKind::Judge && is_same(clock.started_at, rated.at))
}

/// The rating that the case holds, if it is the one given then.
fn rating_of(case: &Case, at: Timestamp) -> Option<&Rating> {
    case.rating.as_ref().filter(|rating| is_same(rating.at, at))
}

/// What the case holds of the work that was done again for this bad rating in the case that it was merged into.
fn rectified(case: &Case, bad: &TimelineEntry) -> Option<Rectified> {
    case.rectified.filter(|done| is_same(done.rated_at, bad.at))
}

/// Whether a bad rating was found to stand. `None`: of a case that was taken out of another one since it is not held.
fn found_valid(case: &Case, life: &Life, bad: &TimelineEntry, judged: &TimelineEntry) -> Option<bool> {
    if rectified(case, bad).is_some() {
        return Some(true);
    }
    if let Some(rating) = rating_of(case, bad.at) {
        return Some(rating.valid == Some(true));
    }
    let follows = |step: &TimelineEntry| {
        matches!(step.event.as_str(), "CaseReworkOrdered" | "CaseReopened" | "CaseUnmerged")
    };
    if life.command_of(judged).iter().any(follows) {
        return Some(true);
    }
    (judged.state != CaseState::Merged).then_some(false)
}

/// Whether the requester was reached when it was verified after a version. `None`: it was verified more than once since, of which
/// the case holds the last at most.
fn called_back(case: &Case, life: &Life, after: i64) -> Option<bool> {
    let verified = life.steps().filter(|step| step.event == "CaseVerified" && step.case_version > after);
    let verified: Vec<&TimelineEntry> = verified.collect();
    let Some(last) = verified.last().filter(|_| case.callback_due()) else { return Some(false) };
    let held = case.verification.as_ref();
    let held = held.filter(|held| held.verified_at.is_some_and(|at| is_same(at, last.at)));
    let reached = held.and_then(|held| held.callback.as_ref());
    let reached = reached.map(|callback| callback.outcome == CallbackOutcome::Reached)?;
    (reached || verified.len() == 1).then_some(reached)
}

/// Whether the requester was reached about a bad rating before it was found not valid. `None`: it is not held any more.
fn called_about(case: &Case, life: &Life, bad: &TimelineEntry) -> Option<bool> {
    if let Some(rating) = rating_of(case, bad.at) {
        return Some(rating.valid == Some(false) && rating.callback == Some(CallbackOutcome::Reached));
    }
    let judged = life.steps().find(|step| is_judgement_of(bad, step));
    let not_valid = judged.is_some_and(|judged| found_valid(case, life, bad, judged) != Some(true));
    if not_valid { None } else { Some(false) }
}

fn is_judgement_of(bad: &TimelineEntry, step: &TimelineEntry) -> bool {
    step.event == "RatingJudged" && step.case_version > bad.case_version
}

/// Whether one of both holds. `None`: that is not known.
fn either(one: Option<bool>, other: Option<bool>) -> Option<bool> {
    match (one, other) {
        (Some(true), _) | (_, Some(true)) => Some(true),
        (Some(false), Some(false)) => Some(false),
        _ => None,
    }
}
