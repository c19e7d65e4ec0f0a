//! Arbitration (职责裁定; domain.md F3): the parties are heard within a limit and may agree; else the lowest common superior
//! rules, never one of the parties. The ruling is reviewed once if the lead asks for it before it signs, then it is final,
//! and may bind later cases as a precedent. How it binds this one: [`Case::bound_lead`]. The requester's clock runs on all the
//! while.

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use super::case::{Case, Objection};
use super::codes::*;
use super::error::{DomainError, Result};
use super::event::{DomainEvent, Timestamp};
use super::ids::*;
use super::reason::Reason;
use super::settled::{BY_AGREEMENT, BY_ARBITER};
use super::state::Trigger;
use super::work::{Act, Decision, Work, check_code};

/// What is done at once where nobody says another measure: contact is kept, and what cannot wait is dealt with.
pub const STOP_GAP: &str = "stop_gap";

/// What is done while nobody knows who leads (首接负责): by the first receiver, or where that is complained of by the lowest that
/// stands above it, until somebody leads by a ruling.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interim {
    pub org: OrgId,
    pub measure_code: String,
}

/// Whoever defines duties (编制, 司法行政) is asked to, where the duty itself is unclear.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DefinitionRequest {
    pub org: OrgId,
    /// What is to be defined.
    pub code: String,
}

/// What an arbiter rules.
#[derive(Debug, Clone)]
pub struct RuleObjection {
    /// A party, or another organisation that the lists allow to lead.
    pub lead: OrgId,
    /// Further organisations that are to help.
    pub assists: Vec<OrgId>,
    pub basis_code: String,
    /// The first day from which the ruling binds other cases, by a later version of the lists; unset: it binds none.
    pub precedent: Option<NaiveDate>,
    /// Another measure until the lead has signed; unset: that of the arbitration stays.
    pub interim: Option<String>,
    pub definition: Option<DefinitionRequest>,
}

/// A ruling as it stands with the case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ruling {
    pub lead: OrgId,
    /// Who is to help, besides whom the lists name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub assists: Vec<OrgId>,
    pub basis_code: String,
    pub precedent: Option<NaiveDate>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub definition: Option<DefinitionRequest>,
    pub by: PersonRef,
    pub at: Timestamp,
}

/// What a party of an arbitration said: who, in its view, leads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    pub party: OrgId,
    pub lead: OrgId,
}

impl Case {
    /// The dispatcher opens an arbitration between the organisations that may be meant; each is to take a position within
    /// the limit of the consultation. Meanwhile the first receiver, or where that is complained of the lowest that stands above it,
    /// keeps contact and does what cannot wait, by the measure named or else the [usual one](STOP_GAP). Whoever is complained of is
    /// no party, also where the objector names it.
    ///
    /// # Errors
    /// `WrongState`; `NotEntitled` as for rejecting it; `Guard` `in_arbitration`, `no_arbiter`, `recused` as for rejecting it and
    /// for the organisation complained of among those named; `Invalid` party or measure.
    pub fn open_arbitration(
        self,
        claimed: &[OrgId],
        interim: Option<&str>,
        act: &Act<'_>,
    ) -> Result<Decision> {
        let mut work = Work::begin(self, act);
        work.permit(Trigger::OpenArbitration)?;
        let measure_code = interim.unwrap_or(STOP_GAP);
        check_code("interim_measure_code", measure_code)?;
        let mut objection = work.objection(ObjectionState::Open)?;
        work.not_resolved_by_subject()?;
        work.decides_over(&objection)?;
        let aside = work.case.complained_of;
        if aside.is_some_and(|aside| claimed.contains(&aside)) {
            return Err(DomainError::guard("recused", "the organisation complained of steps aside"));
        }
        let mut parties: Vec<OrgId> = vec![objection.objector];
        let suggested = objection.suggested.filter(|org| aside != Some(*org));
        for org in suggested.iter().chain(claimed) {
            if !work.routes.org(*org).is_some_and(|org| org.in_force(work.now)) {
                return Err(DomainError::invalid("party_org_ids", "no such organisation"));
            }
            if !parties.contains(org) {
                parties.push(*org);
            }
        }
        let arbiter = work.routes.superior_apart(&parties, aside, work.now);
        let arbiter =
            arbiter.ok_or_else(|| DomainError::guard("no_arbiter", "the parties have no common superior"))?;
        work.end_dispatch();
        let arbitration_id: ArbitrationId = work.ids.draw();
        objection.state = ObjectionState::InArbitration;
        objection.arbitration_id = Some(arbitration_id);
        objection.arbiter = Some(arbiter);
        objection.parties.clone_from(&parties);
        let stands_in = work.stands_in();
        objection.interim = Some(Interim { org: stands_in, measure_code: measure_code.to_owned() });
        work.case.objection = Some(objection.clone());
        work.enter(CaseState::Objected, Trigger::OpenArbitration)?;
        let consult_due_at = work.start_clock(ClockKind::Consult, None, work.sla().consult);
        let event = DomainEvent::ArbitrationOpened {
            task_id: objection.task,
            arbitration_id,
            arbiter_org_id: arbiter,
            party_org_ids: parties,
            ground_code: objection.ground_code,
            consult_due_at,
        };
        let first = stands_in == work.case.first_receiver;
        let reason = if first { "first_receiver_stands_in" } else { "superior_stands_in" };
        let reason = Reason::new(reason).with("org", stands_in);
        work.emit(event, Some(reason.with("measure", measure_code)), Some(objection.task));
        Ok(work.finish())
    }

    /// A party says which of them leads, once. If all say the same, that is agreed and binds, unless that one may not lead: then
    /// it is for the arbiter to rule, as where they differ.
    ///
    /// # Errors
    /// `WrongState`; `NotEntitled` unless a party's; `Guard` `not_in_arbitration`, `position_taken`, `consultation_over`;
    /// `Invalid` lead.
    pub fn take_position(self, lead: OrgId, act: &Act<'_>) -> Result<Decision> {
        let mut work = Work::begin(self, act);
        work.permit(Trigger::TakePosition)?;
        let (mut objection, arbitration_id) = work.arbitration(ObjectionState::InArbitration)?;
        let party = work.human_official()?;
        if !objection.parties.contains(&party) {
            return Err(DomainError::NotEntitled { code: "party" });
        }
        if !objection.parties.contains(&lead) {
            return Err(DomainError::invalid("lead_org_id", "the lead is one of the parties"));
        }
        if objection.positions.iter().any(|known| known.party == party) {
            return Err(DomainError::guard("position_taken", "each party speaks once"));
        }
        if !work.consults() {
            return Err(DomainError::guard("consultation_over", "the time for the parties is over"));
        }
        objection.positions.push(Position { party, lead });
        work.case.objection = Some(objection.clone());
        let task_id = objection.task;
        let all = objection.positions.len() == objection.parties.len();
        let unanimous = all && objection.positions.iter().all(|known| known.lead == lead);
        let agreed = unanimous && work.can_go_to(&objection, lead);
        let event = DomainEvent::ArbitrationPositionTaken {
            task_id,
            arbitration_id,
            org_id: party,
            lead_org_id: lead,
        };
        let barred = (unanimous && !agreed).then(|| Reason::new("agreed_lead_barred").with("org", lead));
        work.emit(event, barred, Some(task_id));
        if agreed {
            work.settle(ObjectionState::Agreed);
            work.end_arbitration();
            let event = DomainEvent::ArbitrationAgreed { task_id, arbitration_id, lead_org_id: lead };
            work.emit(event, None, Some(task_id));
            work.follow_ruling(&objection, task_id, lead, &[], Trigger::AgreeArbitration)?;
            return Ok(work.finish());
        }
        work.stay(Trigger::TakePosition)?;
        if all {
            work.end_consultation();
        }
        Ok(work.finish())
    }

    /// The arbiter rules which organisation leads and which help, once the parties were heard or their time is over; at once
    /// where the case is urgent. As a precedent if other cases are to follow it, from a day that lies ahead. Where the duty itself
    /// is unclear, whoever defines duties is asked to.
    ///
    /// # Errors
    /// `WrongState`; `NotEntitled` unless the arbiter (C-7); `Guard` `not_in_arbitration`, `consultation_open`,
    /// `item_unknown` and the router's exclusions; `Invalid` lead, assists, code, day, measure or definition.
    pub fn rule_objection(self, ruling: &RuleObjection, act: &Act<'_>) -> Result<Decision> {
        let mut work = Work::begin(self, act);
        work.permit(Trigger::RuleArbitration)?;
        let (objection, arbitration_id) = work.arbitration(ObjectionState::InArbitration)?;
        work.arbiter(&objection)?;
        if work.consults() && work.case.urgency == Urgency::Normal {
            let message = "the parties were not heard yet, and their time is not over";
            return Err(DomainError::guard("consultation_open", message));
        }
        work.rule(&objection, arbitration_id, ruling, ObjectionState::Ruled)?;
        work.follow_ruling(
            &objection,
            objection.task,
            ruling.lead,
            &ruling.assists,
            Trigger::RuleArbitration,
        )?;
        Ok(work.finish())
    }

    /// The lead named by a ruling asks for the one review of it, in the time to object and before it signs.
    ///
    /// # Errors
    /// `WrongState`; `NotEntitled` unless the lead's; `Guard` `not_ruled`, `review_too_late`, `no_arbiter`; `Invalid` code.
    pub fn request_review(self, ground_code: &str, act: &Act<'_>) -> Result<Decision> {
        let mut work = Work::begin(self, act);
        work.permit(Trigger::RequestReview)?;
        check_code("ground_code", ground_code)?;
        let not_ruled = || DomainError::guard("not_ruled", "there is no ruling that can still be reviewed");
        let ruled = |objection: &&Objection| objection.state == ObjectionState::Ruled;
        let objection = work.case.objection.as_ref().filter(ruled).cloned().ok_or_else(not_ruled)?;
        let (Some(arbitration_id), Some(arbiter)) = (objection.arbitration_id, objection.arbiter) else {
            return Err(not_ruled());
        };
        let (task_id, org) = work.lead()?;
        work.human_official()?;
        work.acts_for(org, "lead_org")?;
        if !work.case.is_settled_by(&objection, work.case.task(task_id)?) {
            return Err(not_ruled());
        }
        let window = work.case.clock(ClockKind::Objection, Some(task_id));
        if !window.is_some_and(|clock| clock.is_open() && clock.in_time(work.now)) {
            return Err(DomainError::guard("review_too_late", "the time to ask for a review is over"));
        }
        let mut above: Vec<OrgId> = objection.parties.clone();
        above.extend([org, arbiter]);
        above.dedup();
        let aside = work.case.complained_of;
        let own_ruling_again = || Some(arbiter).filter(|arbiter| *arbiter != org && aside != Some(*arbiter));
        let reviewer = work.routes.superior_apart(&above, aside, work.now).or_else(own_ruling_again);
        let reviewer = reviewer.ok_or_else(|| DomainError::guard("no_arbiter", "nobody stands above"))?;
        work.move_task(task_id, TaskState::Objected)?;
        work.stop_task_clocks(task_id);
        work.clear_supervisions(|supervision| supervision.task == Some(task_id));
        let stands_in = work.stands_in();
        if let Some(objection) = &mut work.case.objection {
            objection.state = ObjectionState::InReview;
            objection.arbiter = Some(reviewer);
            objection.interim.iter_mut().for_each(|interim| interim.org = stands_in);
        }
        work.enter(CaseState::Objected, Trigger::RequestReview)?;
        let review_due_at = work.start_clock(ClockKind::Ruling, None, work.rules.ruling);
        let event = DomainEvent::ArbitrationReviewRequested {
            task_id: objection.task,
            arbitration_id,
            org_id: org,
            reviewer_org_id: reviewer,
            ground_code: ground_code.to_owned(),
            review_due_at,
        };
        work.emit(event, Some(Reason::new(ground_code)), Some(task_id));
        Ok(work.finish())
    }

    /// The reviewer confirms the ruling or gives another; that is final. Never the person who ruled first.
    ///
    /// # Errors
    /// As [`Case::rule_objection`]; `NotEntitled` also for whoever ruled first.
    pub fn rule_review(self, ruling: &RuleObjection, act: &Act<'_>) -> Result<Decision> {
        let mut work = Work::begin(self, act);
        work.permit(Trigger::RuleReview)?;
        let (objection, arbitration_id) = work.arbitration(ObjectionState::InReview)?;
        work.arbiter(&objection)?;
        if objection.ruling.as_ref().is_some_and(|first| first.by == work.by.actor) {
            return Err(DomainError::NotEntitled { code: "own_ruling" });
        }
        let (lead_task, _) = work.lead()?;
        work.rule(&objection, arbitration_id, ruling, ObjectionState::Final)?;
        work.follow_ruling(&objection, lead_task, ruling.lead, &ruling.assists, Trigger::RuleReview)?;
        let task_id = objection.task;
        work.emit(DomainEvent::ArbitrationFinal { task_id, arbitration_id }, None, Some(task_id));
        Ok(work.finish())
    }
}

impl Work<'_> {
    fn arbitration(&self, state: ObjectionState) -> Result<(Objection, ArbitrationId)> {
        let none = || DomainError::guard("not_in_arbitration", "no arbitration is open on this case");
        let found = self.case.objection.clone().filter(|objection| objection.state == state);
        let objection = found.ok_or_else(none)?;
        let id = objection.arbitration_id.ok_or_else(none)?;
        Ok((objection, id))
    }

    /// A human of the arbiter's, which is none of the parties (C-7), nor the one complained of.
    fn arbiter(&self, objection: &Objection) -> Result<()> {
        let org = self.human_official()?;
        self.not_complained_of()?;
        let entitled = objection.arbiter == Some(org) && !objection.parties.contains(&org);
        if entitled { Ok(()) } else { Err(DomainError::NotEntitled { code: "arbiter" }) }
    }

    /// Whether the parties may still speak.
    fn consults(&self) -> bool {
        let clock = self.case.clock(ClockKind::Consult, None);
        clock.is_some_and(|clock| clock.is_open() && clock.in_time(self.now))
    }

    /// The parties were heard, or did not speak in time: the arbiter has to rule.
    pub(super) fn end_consultation(&mut self) {
        self.stop_clock(ClockKind::Consult, None);
        self.start_clock(ClockKind::Ruling, None, self.rules.ruling);
    }

    fn end_arbitration(&mut self) {
        self.stop_clock(ClockKind::Consult, None);
        self.stop_clock(ClockKind::Ruling, None);
        self.clear_supervisions(|supervision| supervision.clock == Some(ClockKind::Ruling));
    }

    fn rule(
        &mut self,
        objection: &Objection,
        arbitration_id: ArbitrationId,
        ruling: &RuleObjection,
        state: ObjectionState,
    ) -> Result<()> {
        check_code("basis_code", &ruling.basis_code)?;
        if let Some(day) = ruling.precedent {
            if day <= calendar::local_day(self.now) {
                return Err(DomainError::invalid("effective_on", "a precedent holds from a later day on"));
            }
            if self.case.item.is_none() {
                return Err(DomainError::guard("item_unknown", "a precedent is about an item"));
            }
        }
        let mut reason = Reason::new(&ruling.basis_code);
        if let Some(definition) = &ruling.definition {
            check_code("definition_code", &definition.code)?;
            if !self.routes.org(definition.org).is_some_and(|org| org.in_force(self.now)) {
                return Err(DomainError::invalid("definition_org_id", "no such organisation"));
            }
            reason = reason.with("asked", definition.org).with("definition", &definition.code);
        }
        if let Some(measure) = &ruling.interim {
            check_code("interim_measure_code", measure)?;
        }
        self.settle(state);
        let org = self.stands_in();
        if let Some(own) = &mut self.case.objection {
            own.interim.iter_mut().for_each(|interim| interim.org = org);
            if let Some(measure) = &ruling.interim {
                own.interim = Some(Interim { org, measure_code: measure.clone() });
            }
            // A review that asks for no definition does not take back what was asked.
            let asked = own.ruling.take().and_then(|ruling| ruling.definition);
            own.ruling = Some(Ruling {
                lead: ruling.lead,
                assists: ruling.assists.clone(),
                basis_code: ruling.basis_code.clone(),
                precedent: ruling.precedent,
                definition: ruling.definition.clone().or(asked),
                by: self.by.actor.clone(),
                at: self.now,
            });
        }
        self.end_arbitration();
        let event = DomainEvent::ArbitrationRuled {
            task_id: objection.task,
            arbitration_id,
            lead_org_id: ruling.lead,
            objection_upheld: ruling.lead != objection.objector,
            precedent: ruling.precedent.is_some(),
        };
        self.emit(event, Some(reason), Some(objection.task));
        Ok(())
    }

    /// The task of whoever leads so far stays where it is, or another organisation gets one.
    fn follow_ruling(
        &mut self,
        objection: &Objection,
        task: TaskId,
        lead: OrgId,
        assists: &[OrgId],
        trigger: Trigger,
    ) -> Result<()> {
        let why = if trigger == Trigger::AgreeArbitration { BY_AGREEMENT } else { BY_ARBITER };
        let before = self.case.task(task)?.org;
        // Whatever it declined or was relieved of before: it leads now.
        self.case.excluded_orgs.retain(|org| *org != lead);
        self.case.relieved.retain(|(org, _)| *org != lead);
        if lead == before {
            let helping = if assists.is_empty() {
                Vec::new()
            } else {
                self.settled_route(objection, lead, assists, why)?.assists
            };
            self.issue_again(task)?;
            self.enter(CaseState::Dispatched, trigger)?;
            if trigger == Trigger::RuleArbitration {
                // In which the lead may ask for the review.
                self.start_clock(ClockKind::Objection, Some(task), self.sla().objection);
            }
            let kept = self.case.task(task)?;
            let event = DomainEvent::CaseRedispatched {
                task_id: kept.id,
                lead_org_id: kept.org,
                sender_org_id: kept.sender,
                mode: kept.mode,
                lead_changed: false,
            };
            self.emit(event, Some(Reason::new(why)), Some(task));
            self.issue_assists(&helping);
        } else {
            self.relieve(before);
            let outcome = self.settled_route(objection, lead, assists, why)?;
            self.replace_lead(task, &outcome, true, trigger)?;
        }
        self.hold_to_help(assists)
    }
}
