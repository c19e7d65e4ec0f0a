//! The work is done: the lead says so when every mandatory assist is in or waived. A partner only tells that its own part is
//! done, in another service and at its own time: what it did is kept at once, and where others still work on the case it is
//! completed with the last of them.

use calendar::TimeUnit;

use super::case::{Case, Evidence, Task};
use super::clock::Clock;
use super::codes::*;
use super::error::{DomainError, Result};
use super::event::{DomainEvent, Timestamp};
use super::ids::*;
use super::mediation::MediationLink;
use super::reason::Reason;
use super::state::Trigger;
use super::work::{Act, Decision, Party, Standing, Work};

/// References of evidence that come at once.
const MOST_EVIDENCE: usize = 32;
/// Longest reference of evidence.
const LONGEST_REFERENCE: usize = 256;
/// The step of the timeline by which a partner has done its part and others have not.
const PARTNER_DONE: &str = "PartnerDone";
/// What a partner had done before its time was over was heard of when the public service had taken over.
const PARTNER_WAS_DONE: &str = "partner_was_done";

/// The lead's side is done.
#[derive(Debug, Clone, Default)]
pub struct CompleteCase {
    /// Kind and reference; at least one, unless the ending is itself an explanation (C-6).
    pub evidence: Vec<(EvidenceKind, String)>,
    /// How it ended; `Resolved`, or `SelfGoverned` by society, where unset.
    pub closed_code: Option<ClosedCode>,
    /// Mandatory assists that are not needed after all.
    pub waived: Vec<TaskId>,
}

impl Case {
    /// The lead says the work is done; every mandatory assist is in or waived. A third organisation is asked
    /// to verify at once, if there is one.
    ///
    /// # Errors
    /// `WrongState`; `NotEntitled` unless the lead; `Guard` `assist_outstanding`, `mediation_open`, `partner_not_done` where a
    /// partner leads that has not said so by its offer, `stage_outstanding` unless the ending only explains,
    /// `application_needed` where what has to be applied for is found unfounded; `Invalid` evidence or code.
    pub fn complete(self, command: CompleteCase, act: &Act<'_>) -> Result<Decision> {
        let mut work = Work::begin(self, act);
        work.complete(command)?;
        Ok(work.finish())
    }

    /// News that the partner's work is done. A suspension ends with it; what was done is on record from now on, whatever is
    /// outstanding. `None`: that partner does not lead any more, or has said so before.
    ///
    /// # Errors
    /// None in practice: what a partner did is done.
    pub fn social_completed(
        self,
        offer_id: OfferId,
        references: &[String],
        act: &Act<'_>,
    ) -> Result<Option<Decision>> {
        let leads = self.confirmed_offer().is_some_and(|offer| offer.id == offer_id);
        let works = self.lead().filter(|task| task.state.is_open()).map(|task| task.id);
        let Some(id) = works.filter(|_| leads && self.is_taken_up()) else { return Ok(None) };
        let mut work = Work::begin(self, act);
        if work.case.state == CaseState::Suspended {
            work.resume(None)?;
        }
        work.add_service_records(offer_id, references)?;
        if work.outstanding().next().is_none() {
            let code = work.ending(None)?;
            work.conclude(code, &[])?;
            return Ok(Some(work.finish()));
        }
        work.stop_task_clocks(id);
        let in_time = work.case.resolve_clock().is_none_or(|clock| clock.in_time(work.now));
        work.submit(id, in_time)?;
        Ok(Some(work.finish_with(PARTNER_DONE, Some(Reason::new("others_outstanding")))))
    }

    /// News that a partner's work was done at `done_at`, [in time](Self::was_done_in_time) but heard of when the public service had
    /// taken over. What was done is on record all the same. Where nobody has begun since, and nobody else had a part of it
    /// outstanding, it completes the case; else whoever works on that is reminded that it is done. `None`: it was told before, or
    /// the case was withdrawn, by which the partner's part is settled.
    ///
    /// # Errors
    /// None in practice: what a partner did is done.
    pub fn social_completed_in_time(
        self,
        offer_id: OfferId,
        references: &[String],
        done_at: Timestamp,
        act: &Act<'_>,
    ) -> Result<Option<Decision>> {
        let known = self.offer.as_ref().filter(|offer| offer.id == offer_id && offer.done_at.is_none());
        let Some(offer) = known.filter(|_| self.state != CaseState::Withdrawn).cloned() else {
            return Ok(None);
        };
        let mut work = Work::begin(self, act);
        work.add_service_records(offer_id, references)?;
        if work.can_be_given_back(&offer) {
            work.give_back_to_partner(&offer)?;
            let code = work.ending(None)?;
            work.conclude(code, &[])?;
        } else {
            if let Some(known) = &mut work.case.offer {
                known.done_at = Some(done_at);
            }
            let works = work.case.lead().filter(|task| task.state.is_open()).map(|task| task.id);
            if works.is_some() {
                work.supervise(0, PARTNER_WAS_DONE, None, works);
            }
        }
        Ok(Some(work.finish_with(PARTNER_DONE, Some(Reason::new(PARTNER_WAS_DONE)))))
    }

    /// Whether a partner that leads has done its part and the case waits for others: nobody takes it away from it any more.
    #[must_use]
    pub fn partner_is_done(&self) -> bool {
        let handed_in = self.lead().is_some_and(|task| task.state == TaskState::Submitted);
        handed_in && self.is_taken_up() && self.confirmed_offer().is_some()
    }

    /// The assist that the completion by a partner waits for.
    pub(super) fn waited_for(&self) -> Option<&Task> {
        self.outstanding().next().filter(|_| self.partner_is_done())
    }

    /// Assists without which the case is not completed.
    fn outstanding(&self) -> impl Iterator<Item = &Task> {
        let assists = self.tasks.iter().filter(|task| task.part == TaskPart::Assist);
        assists.filter(|task| task.mandatory && task.state.is_open())
    }
}

impl Work<'_> {
    fn outstanding(&self) -> impl Iterator<Item = &Task> {
        self.case.outstanding()
    }

    /// The lead says that its work is done.
    pub(super) fn complete(&mut self, command: CompleteCase) -> Result<()> {
        self.permit(Trigger::Complete)?;
        let (_, org) = self.lead()?;
        self.acts_for(org, "lead_org")?;
        // Its word comes with the hours that it served, which nobody keeps here.
        if self.case.confirmed_offer().is_some() && !self.case.partner_is_done() {
            return Err(DomainError::guard(
                "partner_not_done",
                "a partner says by its offer that it is done",
            ));
        }
        // What a partner did is done; an official waits for the parties, as long as they have to agree.
        let waits = self.case.mediation.is_some_and(MediationLink::is_waited_for);
        if self.by.standing == Standing::Official && waits {
            return Err(DomainError::guard("mediation_open", "the parties are still talking"));
        }
        if !self.ending(command.closed_code)?.is_explanation() && self.case.stage_in_hand().is_some() {
            return Err(DomainError::guard("stage_outstanding", "a stage of the work is not done"));
        }
        self.completed(command)
    }

    /// The lead's side is done.
    pub(super) fn completed(&mut self, command: CompleteCase) -> Result<()> {
        let (id, _) = self.lead()?;
        let code = self.ending(command.closed_code)?;
        let mut evidence = command.evidence;
        if evidence.is_empty() && code.is_explanation() {
            evidence.push((EvidenceKind::Explanation, format!("outcome:{code}")));
        }
        self.add_evidence(evidence, Some(id))?;
        self.conclude(code, &command.waived)
    }

    /// The last of those whom a partner's completion waited for has handed in, or is not needed any more: it takes effect.
    pub(super) fn complete_for_partner(&mut self) -> Result<()> {
        if !self.case.partner_is_done() || self.outstanding().next().is_some() {
            return Ok(());
        }
        // It follows from what the partner said, not from who came last.
        let by = std::mem::replace(&mut self.by, Party::system());
        if self.case.state == CaseState::Suspended {
            self.resume(None)?;
        }
        let code = self.ending(None)?;
        self.conclude(code, &[])?;
        self.by = by;
        Ok(())
    }

    /// Evidence is there: the case is completed and goes to verification.
    fn conclude(&mut self, code: ClosedCode, waived: &[TaskId]) -> Result<()> {
        let (id, _) = self.lead()?;
        self.end_assists(waived)?;
        let clock = self.case.resolve_clock();
        let elapsed_seconds = clock.map_or(0, |clock| clock.elapsed_seconds(self.now, self.rules));
        let elapsed_unit = clock.map(|clock| clock.limit.unit);
        let elapsed_total = self.elapsed_total();
        let in_time = self.stop_work_clocks();
        self.stop_task_clocks(id);
        if self.case.task(id)?.state != TaskState::Submitted {
            self.submit(id, in_time)?;
        }
        self.clear_supervisions(|supervision| !supervision.outlives_the_work());
        self.case.closed_code = Some(code);
        self.case.completed_at = Some(self.now);
        self.enter(CaseState::Completed, Trigger::Complete)?;
        let event = DomainEvent::CaseCompleted {
            task_id: id,
            offer_id: self.case.confirmed_offer().map(|offer| offer.id),
            in_time,
            completed_at: self.now,
            elapsed_seconds,
            elapsed_unit,
            elapsed_total,
            callback_due: self.case.callback_due(),
        };
        self.emit(event, None, Some(id));
        self.begin_verification()
    }

    /// The clocks of the work stop; whether it was in time: by the limit of the rework where one ran, else by the promised one.
    pub(super) fn stop_work_clocks(&mut self) -> bool {
        let rework = self.stop_clock(ClockKind::Rework, None);
        rework.or(self.stop_clock(ClockKind::Resolve, None)).unwrap_or(true)
    }

    /// How long the case was worked on since it was accepted, or opened again: by the clock of that promise and those of the
    /// reworks since, in the time of the former, so that what was sent back does not come out quick. `None`: no clock ran.
    pub(super) fn elapsed_total(&self) -> Option<(i64, TimeUnit)> {
        let promise = self.case.clocks.iter().rposition(|clock| clock.kind == ClockKind::Resolve);
        let clocks = &self.case.clocks[promise.unwrap_or(0)..];
        let mut clocks =
            clocks.iter().filter(|clock| matches!(clock.kind, ClockKind::Resolve | ClockKind::Rework));
        let first = clocks.next()?;
        let unit = first.limit.unit;
        let elapsed = |clock: &Clock| clock.elapsed_in(unit, self.now, self.rules);
        Some((elapsed(first) + clocks.map(elapsed).sum::<i64>(), unit))
    }

    fn ending(&self, code: Option<ClosedCode>) -> Result<ClosedCode> {
        use ClosedCode::{BeyondAuthority, Explained, Mediated, Resolved, SelfGoverned, Unfounded};
        let social = matches!(
            self.case.delivery_mode,
            Some(DeliveryMode::SelfGovernance | DeliveryMode::Volunteer | DeliveryMode::Market)
        );
        let code = code.unwrap_or(if social { SelfGoverned } else { Resolved });
        if code == Unfounded {
            self.not_instead_of_application()?;
        }
        if matches!(code, Resolved | Explained | Unfounded | BeyondAuthority | SelfGoverned | Mediated) {
            Ok(code)
        } else {
            Err(DomainError::invalid("closed_code", "not a way in which handling ends"))
        }
    }

    /// What came with a task, or with none. It is of whoever acts; what the system hears of, of the task's organisation.
    pub(super) fn add_evidence(
        &mut self,
        evidence: Vec<(EvidenceKind, String)>,
        task_id: Option<TaskId>,
    ) -> Result<()> {
        let fits = |reference: &String| !reference.is_empty() && reference.len() <= LONGEST_REFERENCE;
        if evidence.is_empty()
            || evidence.len() > MOST_EVIDENCE
            || !evidence.iter().all(|(_, reference)| fits(reference))
        {
            return Err(DomainError::invalid("evidence", "1–32 references of at most 256 bytes"));
        }
        let of_task = task_id.and_then(|id| self.case.task(id).ok()).map(|task| task.org);
        self.keep_evidence(evidence, task_id, self.by.org.or(of_task));
        Ok(())
    }

    /// References that were checked already, with whose they are.
    pub(super) fn keep_evidence(
        &mut self,
        evidence: impl IntoIterator<Item = (EvidenceKind, String)>,
        task_id: Option<TaskId>,
        org_id: Option<OrgId>,
    ) {
        let at = self.now;
        let kept = |(kind, reference)| Evidence { kind, reference, at, task_id, org_id };
        self.case.evidence.extend(evidence.into_iter().map(kept));
    }

    /// What a partner says of its work; that it has worked where it says nothing that fits.
    fn add_service_records(&mut self, offer_id: OfferId, references: &[String]) -> Result<()> {
        let given = references.iter().filter(|text| !text.is_empty() && text.len() <= LONGEST_REFERENCE);
        let mut given: Vec<_> = given.map(|text| (EvidenceKind::ServiceRecord, text.clone())).collect();
        if given.is_empty() {
            given.push((EvidenceKind::ServiceRecord, format!("offer:{offer_id}")));
        }
        let offer = self.case.offer.as_ref().filter(|offer| offer.id == offer_id);
        let partner = offer.map(|offer| offer.partner);
        let led = |task: &&Task| task.part == TaskPart::Lead && Some(task.org) == partner;
        // It may lead no more, because its time was over when it was heard.
        let task_id = self.case.tasks.iter().rev().find(led).map(|task| task.id);
        given.chunks(MOST_EVIDENCE).try_for_each(|some| self.add_evidence(some.to_vec(), task_id))
    }

    /// Mandatory assists must be in or waived; what else is open is not needed any more.
    fn end_assists(&mut self, waived: &[TaskId]) -> Result<()> {
        for id in waived {
            let task = self.case.task(*id)?;
            if task.part == TaskPart::Lead || !task.state.is_open() {
                return Err(DomainError::invalid("waived", "only an open assist is waived"));
            }
        }
        let assists =
            self.case.tasks.iter().filter(|task| task.part == TaskPart::Assist && task.state.is_open());
        let open: Vec<(TaskId, bool)> = assists.map(|task| (task.id, task.mandatory)).collect();
        if open.iter().any(|(id, mandatory)| *mandatory && !waived.contains(id)) {
            return Err(DomainError::guard(
                "assist_outstanding",
                "a mandatory assist is neither in nor waived",
            ));
        }
        for (id, _) in open {
            let reason_code = if waived.contains(&id) { "waived" } else { "no_longer_needed" };
            self.cancel_task(id, reason_code)?;
        }
        Ok(())
    }
}
