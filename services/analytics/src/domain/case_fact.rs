//! One fact row per case: what every indicator needs to know of it, made from its events in order. Applying an event
//! that was applied already, or an older one, changes nothing.

use chassis::Timestamp;
use chrono::TimeDelta;
use proto::case_routing::v1::{CallbackOutcome, CaseFacts, CaseState};
use uuid::Uuid;

use super::{
    change::{CaseEvent, Change, Taken, TaskChange, instant},
    cohort,
    process::Process,
    vocabulary::{self, small},
};

/// A reopening within this many days of the closing spoils *once resolved* (I-08).
const ONCE_RESOLVED_DAYS: i64 = 30;

/// What is known of a case. Field names are the columns of `case_facts`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CaseFact {
    /// The case.
    pub case_id: Uuid,
    /// Version of the case after the last event.
    pub version: i64,
    /// `CaseState`.
    pub state: i16,
    /// When the case entered its state.
    pub state_since: Timestamp,
    /// Deepest unit of the place.
    pub place_unit_id: Option<Uuid>,
    /// Empty until triage.
    pub item_code: String,
    /// Department line; empty until triage.
    pub line: String,
    /// `DeliveryMode`.
    pub delivery_mode: i16,
    /// `ClosedCode`.
    pub closed_code: i16,
    /// `Origin`.
    pub origin: i16,
    /// `Nature`.
    pub nature: i16,
    /// Found on patrol and put right on the spot by the finder: counted apart.
    pub solved_on_spot: bool,
    /// Its requester asked about the same item at the same place in the 60 days before, as case-routing tells.
    pub repeats: bool,
    /// When it was registered.
    pub registered_at: Timestamp,
    /// When it was accepted.
    pub accepted_at: Option<Timestamp>,
    /// Whether the first intake decision came within its limit; unset before it.
    pub intake_in_time: Option<bool>,
    /// First dispatch or offer.
    pub routed_at: Option<Timestamp>,
    /// Whether that came within its limit.
    pub routed_in_time: bool,
    /// Dispatched to a public service at least once.
    pub dispatched: bool,
    /// An organisation leads it, or led it when it was done.
    pub led: bool,
    /// Whether whoever leads it made contact within the limit, which they have from signing on: before that they have not. Unset
    /// where none ran for them.
    pub contact_in_time: Option<bool>,
    /// Effective due time of the resolve (or rework) clock.
    pub due_at: Option<Timestamp>,
    /// Due time before the present suspension; set while suspended.
    pub due_before_pause_at: Option<Timestamp>,
    /// The due time that can still be missed: of an open case that is not completed. Derived.
    pub open_due_at: Option<Timestamp>,
    /// Last completion that stands.
    pub completed_at: Option<Timestamp>,
    /// Since it was accepted, or opened again, a result came too late that was sent back.
    pub missed_before: bool,
    /// When it was late with results that do not stand any more, as text.
    pub late_before: String,
    /// All the work since it was accepted, or opened again last, at its last completion: the resolve clock and those of the
    /// reworks, paused time removed.
    pub elapsed_seconds: Option<i64>,
    /// `LimitUnit` of the resolve clock; 0 when there was none.
    pub elapsed_unit: i16,
    /// The last completion asks for a call-back.
    pub callback_due: bool,
    /// `CallbackOutcome` of the last verification; 0 before it.
    pub callback: i16,
    /// Grade told in the call-back; 0 when none.
    pub callback_grade: i16,
    /// `Resolution` told in the call-back.
    pub callback_resolution: i16,
    /// The requester confirms to have been contacted.
    pub contact_confirmed: bool,
    /// Last closing that stands.
    pub closed_at: Option<Timestamp>,
    /// When it entered a final state, of whichever kind.
    pub ended_at: Option<Timestamp>,
    /// First closing ever; it never moves.
    pub first_closed_at: Option<Timestamp>,
    /// At the first closing nothing had been reworked, and no reopening came within 30 days.
    pub once_resolved: bool,
    /// How often work was sent back.
    pub rework_count: i32,
    /// How often the lead changed after the first dispatch.
    pub lead_change_count: i32,
    /// Extensions granted.
    pub extension_count: i32,
    /// Supervisions issued (reminders left out).
    pub supervision_count: i32,
    /// Supervisions whose first answer came within its limit.
    pub supervision_in_time_count: i32,
    /// Ids of the supervisions that have no answer yet, with commas between them.
    pub supervisions_unanswered: String,
    /// Last rating of grade 3 or better.
    pub good_rated_at: Option<Timestamp>,
    /// Last rating of grade 2 or worse.
    pub bad_rated_at: Option<Timestamp>,
    /// It was rated, but never by the requester in person: officials wrote down what was said in call-backs.
    pub rated_on_behalf_only: bool,
    /// Whether the bad rating was judged to stand; unset before.
    pub bad_valid: Option<bool>,
    /// Whether the rework of the bad rating was done in time; unset before it is done. Of a merged case that of the other one.
    pub bad_rectified: Option<bool>,
    /// The requester was called back and reached after the bad rating: about what was put right, or before it was found not
    /// valid.
    pub bad_called_back: bool,
    /// How it went so far, as text.
    pub process: String,
    /// The process that it was first decided with; empty before.
    pub process_version: String,
}

impl CaseFact {
    /// The fact after the event. An event that is not newer than the fact changes nothing.
    pub fn apply(before: Option<Self>, event: &CaseEvent) -> Self {
        let before_state = before.as_ref().map(|f| vocabulary::state(f.state));
        let mut fact = before.unwrap_or_else(|| Self {
            case_id: event.case_id,
            registered_at: event.at,
            ..Self::default()
        });
        if before_state.is_some() && event.version <= fact.version {
            if let Change::Imported(taken) = event.change {
                fact.learn_late(taken);
            }
            return fact;
        }
        fact.version = event.version;
        fact.proceed(event, before_state);
        fact.stand(&event.facts, event.at, before_state);
        fact.happen(event);
        fact.open_due_at = fact.open_due();
        fact
    }

    /// One more step of the process; to be called while the fact still says since when the case was in its state.
    fn proceed(&mut self, event: &CaseEvent, before: Option<CaseState>) {
        let left = before.filter(|state| *state != event.facts.state());
        let left = left.map(|state| (state as i16, (event.at - self.state_since).num_seconds()));
        let mut process = Process::read(&self.process);
        process.step(event.step.kind, left);
        self.process = process.write();
        if self.process_version.is_empty() {
            event.step.process_version.clone_into(&mut self.process_version);
        }
    }

    /// Minutes of work on the case were confirmed.
    pub fn work(&mut self, minutes: i64) {
        let mut process = Process::read(&self.process);
        process.work(minutes);
        self.process = process.write();
    }

    /// Takes over the case's standing.
    fn stand(&mut self, facts: &CaseFacts, at: Timestamp, before: Option<CaseState>) {
        let state = facts.state();
        let completed_at = instant(facts.completed_time.as_ref());
        if self.completed_at.is_some() && completed_at.is_none() {
            self.begin_again();
        }
        if before != Some(state) {
            self.state_since = at;
            self.ended_at = vocabulary::ended(state).then(|| match before {
                // Archiving is no second end.
                Some(b) if vocabulary::ended(b) => self.ended_at.unwrap_or(at),
                _ => at,
            });
            if !vocabulary::closed(state) {
                self.closed_at = None;
            }
        }
        self.state = small(facts.state);
        self.place_unit_id = Uuid::parse_str(&facts.place_unit_id).ok();
        facts.item_code.clone_into(&mut self.item_code);
        facts.line.clone_into(&mut self.line);
        self.delivery_mode = small(facts.delivery_mode);
        self.closed_code = small(facts.closed_code);
        self.origin = small(facts.origin);
        self.nature = small(facts.nature);
        self.solved_on_spot = facts.solved_on_spot;
        self.repeats = facts.repeats;
        self.registered_at = instant(facts.registered_time.as_ref()).unwrap_or(self.registered_at);
        self.accepted_at = instant(facts.accepted_time.as_ref());
        self.due_at = instant(facts.resolve_due_time.as_ref());
        self.due_before_pause_at = instant(facts.due_before_pause_time.as_ref());
        self.completed_at = completed_at;
        if self.completed_at.is_none() {
            // What was said of the last result does not count for the next one, however that comes about.
            (self.callback, self.callback_grade, self.callback_resolution) = (0, 0, 0);
            self.contact_confirmed = false;
        }
        self.rework_count = facts.rework_count;
        self.lead_change_count = facts.lead_change_count;
        self.extension_count = facts.extension_count;
        self.led = !facts.lead_org_id.is_empty();
        if !self.led {
            // Whoever led it has no part in what is done next.
            self.contact_in_time = None;
        }
    }

    /// The work is sent back, or the case opened again. That it was late stays so; to be called while the fact still says when it
    /// was due and done.
    fn begin_again(&mut self) {
        if let Some((since, Some(until))) = cohort::late_days(self) {
            cohort::add_late(&mut self.late_before, since, until);
            self.missed_before = true;
        }
    }

    /// Takes over what happened.
    fn happen(&mut self, event: &CaseEvent) {
        match event.change {
            Change::Task { change: TaskChange::Issued { lead: true, .. }, .. } => self.contact_in_time = None,
            Change::Task { change: TaskChange::Signed { lead: true, .. }, .. } => {
                self.contact_in_time = Some(false);
            }
            Change::Plain | Change::Task { .. } => {}
            Change::IntakeDecided { in_time } => {
                self.intake_in_time.get_or_insert(in_time);
            }
            Change::Answered { in_time, done_in_time, elapsed } => {
                self.intake_in_time.get_or_insert(in_time);
                self.callback_due = !event.facts.anonymous;
                self.done_again(done_in_time);
                // An answer alone is not measured; work that was, and went on, is.
                if let Some(elapsed) = elapsed.filter(|_| self.elapsed_seconds.is_some()) {
                    (self.elapsed_seconds, self.elapsed_unit) = (Some(elapsed.seconds), elapsed.unit);
                }
            }
            Change::Routed { in_time, dispatched } => {
                if self.routed_at.is_none() {
                    self.routed_at = Some(event.at);
                    self.routed_in_time = in_time;
                }
                self.dispatched |= dispatched;
            }
            Change::Contacted { in_time } => self.contact_in_time = Some(in_time),
            Change::Completed { at, elapsed, in_all, callback_due, in_time } => {
                self.completed_at.get_or_insert(at);
                // What an earlier build tells of a rework alone does not stand for the whole.
                if in_all || self.elapsed_seconds.is_none() {
                    (self.elapsed_seconds, self.elapsed_unit) = (Some(elapsed.seconds), elapsed.unit);
                }
                self.callback_due = callback_due;
                // A new completion is not verified yet.
                (self.callback, self.callback_grade, self.callback_resolution) = (0, 0, 0);
                self.contact_confirmed = false;
                self.done_again(in_time);
            }
            Change::Verified { callback, grade, resolution, contact_confirmed } => {
                self.callback = callback;
                // Whether one was due is known for certain once it was made, or found not to be.
                self.callback_due = callback == CallbackOutcome::Reached as i16
                    || callback == CallbackOutcome::Unreached as i16;
                self.callback_grade = grade;
                self.callback_resolution = resolution;
                self.contact_confirmed = contact_confirmed;
                self.bad_called_back |=
                    self.bad_rated_at.is_some() && callback == CallbackOutcome::Reached as i16;
            }
            Change::Closed { at } => {
                self.closed_at = Some(at);
                self.ended_at = Some(at);
                if self.first_closed_at.is_none() {
                    self.first_closed_at = Some(at);
                    // Another system's closing was not here, but opening it again was.
                    self.once_resolved = self.rework_count == 0 && event.facts.reopen_count == 0;
                }
            }
            Change::Reopened => {
                let early = self
                    .first_closed_at
                    .is_some_and(|closed| event.at < closed + TimeDelta::days(ONCE_RESOLVED_DAYS));
                if early {
                    self.once_resolved = false;
                }
                (self.elapsed_seconds, self.elapsed_unit) = (None, 0);
                // The requester is promised anew.
                self.missed_before = false;
            }
            Change::Rated { grade, on_behalf } => {
                self.rated_on_behalf_only = on_behalf && (self.rated_on_behalf_only || !self.rated());
                if grade >= 3 {
                    self.good_rated_at = Some(event.at);
                } else {
                    self.bad_rated_at = Some(event.at);
                    (self.bad_valid, self.bad_rectified, self.bad_called_back) = (None, None, false);
                }
            }
            Change::RatingJudged { valid, reached } => {
                self.bad_valid = Some(valid);
                // After a valid one the call-back about what was put right counts, which comes with the verification.
                self.bad_called_back |= reached && !valid;
            }
            Change::Rectified { in_time, reached } => {
                self.bad_rectified.get_or_insert(in_time);
                self.bad_called_back |= reached;
            }
            Change::Supervised { supervision_id, level } if level > 0 => {
                self.supervision_count += 1;
                self.supervisions_unanswered = match self.supervisions_unanswered.as_str() {
                    "" => supervision_id.to_string(),
                    others => format!("{others},{supervision_id}"),
                };
            }
            Change::Supervised { .. } => {}
            Change::SupervisionAnswered { supervision_id, in_time } => {
                let first = self.answers(supervision_id);
                self.supervision_in_time_count += i32::from(first && in_time);
            }
            Change::Imported(taken) => self.learn(taken),
        }
    }

    /// The work is done: for the first time since a bad rating was found valid it is what was done again for that.
    fn done_again(&mut self, in_time: bool) {
        if self.bad_valid == Some(true) {
            self.bad_rectified.get_or_insert(in_time);
        }
    }

    /// Takes a supervision from those without an answer. Gives whether it was one: a reminder is none, and one that rose and is
    /// answered anew was answered before.
    fn answers(&mut self, supervision_id: Uuid) -> bool {
        let answered = supervision_id.to_string();
        let (now, left): (Vec<&str>, Vec<&str>) =
            self.supervisions_unanswered.split(',').partition(|id| *id == answered);
        let (first, left) = (!now.is_empty(), left.join(","));
        self.supervisions_unanswered = left;
        first
    }

    /// An import that was overtaken by a later event of the case still tells what only it can, and is a step of it.
    fn learn_late(&mut self, taken: Taken) {
        let mut process = Process::read(&self.process);
        process.step(None, None);
        self.process = process.write();
        self.learn(taken);
        self.open_due_at = self.open_due();
    }

    /// Takes over what another system says, as far as nothing later is known: the case may have ended otherwise, been rated or
    /// opened again since.
    fn learn(&mut self, taken: Taken) {
        // Whatever was decided before the import came before all that is told of the case since.
        self.intake_in_time = taken.intake_in_time.or(self.intake_in_time);
        self.dispatched |= taken.dispatched;
        // Opened again it was done and ended otherwise.
        let stands = self.completed_at == taken.completed_at;
        // What was told of it before the import may have carried the completion, too.
        let late = taken.late_days().filter(|_| !stands);
        let late = late.filter(|days| cohort::late_days_before(self).all(|known| known != *days));
        if let Some((since, until)) = late {
            cohort::add_late(&mut self.late_before, since, until);
        }
        // What the import handed off was not completed at all, and may have been taken back and ended otherwise.
        let same_end = match self.case_state() {
            state if vocabulary::closed(state) => vocabulary::closed(taken.state),
            state => vocabulary::ended(state) && state == taken.state,
        };
        if let Some(ended_at) = taken.ended_at.filter(|_| stands && same_end) {
            self.state_since = self.state_since.min(ended_at);
            self.ended_at = Some(self.ended_at.map_or(ended_at, |at| at.min(ended_at)));
            if vocabulary::closed(self.case_state()) {
                self.closed_at.get_or_insert(ended_at);
            }
        }
        if stands && self.completed_at.is_some() && self.elapsed_seconds.is_none() {
            (self.elapsed_seconds, self.elapsed_unit) = (Some(taken.elapsed_seconds), taken.elapsed_unit);
        }
        // Who gave it there is not told: it counts as the requester's.
        self.rated_on_behalf_only &= taken.rated.is_none();
        match taken.rated {
            Some((grade, at)) if grade >= 3 => {
                self.good_rated_at.get_or_insert(at);
            }
            Some((_, at)) => {
                self.bad_rated_at.get_or_insert(at);
            }
            None => {}
        }
    }

    /// Whether it was ever rated.
    pub fn rated(&self) -> bool {
        self.good_rated_at.is_some() || self.bad_rated_at.is_some()
    }

    /// The state.
    pub fn case_state(&self) -> CaseState {
        vocabulary::state(self.state)
    }

    /// Whether the case is suspended and was not late when it was: then its limit cannot be missed meanwhile, and it
    /// is 缓办 in the due cohort. A case that was late already stays late; a suspension does not wash that off.
    pub fn deferred(&self) -> bool {
        self.case_state() == CaseState::Suspended
            && self.due_before_pause_at.or(self.due_at).is_none_or(|due| due > self.state_since)
    }

    /// Whether whoever did the work made contact within their limit. Where none ran for them (answered at the window, done by a
    /// partner), nothing was missed.
    pub fn contacted_in_time(&self) -> bool {
        self.contact_in_time.unwrap_or(true)
    }

    /// Completed by the due time; where none ran, completed at all. What came too late before it was sent back stays late.
    pub fn on_time(&self) -> bool {
        let by_due = |completed: Timestamp| self.due_at.is_none_or(|due| completed <= due);
        !self.missed_before && self.completed_at.is_some_and(by_due)
    }

    /// The due time by which the case is attributed: while suspended, the one before the pause.
    pub fn effective_due(&self) -> Option<Timestamp> {
        match self.case_state() {
            CaseState::Suspended => self.due_before_pause_at.or(self.due_at),
            _ => self.due_at,
        }
    }

    /// The due time that can still be missed.
    fn open_due(&self) -> Option<Timestamp> {
        let runs = vocabulary::due_runs(self.case_state()) && !self.deferred();
        if runs { self.effective_due() } else { None }
    }
}
