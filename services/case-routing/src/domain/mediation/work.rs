//! One decision about a mediation being made: the mediation under change, its steps, what is told, and what becomes of
//! the case. All or nothing, as for cases.

use calendar::local_day;

use super::super::error::{DomainError, Result};
use super::super::event::Timestamp;
use super::super::ids::*;
use super::super::reason::Reason;
use super::super::rules::Rules;
use super::super::table::RoutingTable;
use super::super::work::{Act, Party, Standing};
use super::case::CaseMove;
use super::codes::*;
use super::table::{CONFIRMATION_TRANSITIONS, allows, permits};
use super::{Deadline, Mediation, MediationParty, MediationStep};

/// Most steps of one mediation; its history stands with it.
const MOST_STEPS: usize = 500;

/// A fact about a mediation, past tense. Field meanings are those of the messages of the same name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MediationEvent {
    MediationOpened {
        origin: MediationOrigin,
        party_count: u32,
        round: u32,
    },
    MediationAgreed {
        kind: AgreementKind,
        mediator_org: OrgId,
        mediator_unit: Option<UnitId>,
        within_community: bool,
        performance_due_at: Option<Timestamp>,
        days: u32,
        session_count: u32,
        round: u32,
    },
    MediationPerformed {
        in_time: bool,
        days: u32,
    },
    MediationBreached {
        reason_code: String,
        confirmed: bool,
        days: u32,
    },
    MediationFailed {
        outcome: MediationState,
        reason_code: String,
        days: u32,
        session_count: u32,
    },
    MediationEscalationReported {
        ground_code: String,
        state: MediationState,
    },
}

/// A decided command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediationDecision {
    pub mediation: Mediation,
    /// Each with the version of the mediation after it.
    pub events: Vec<(i64, MediationEvent)>,
    /// What becomes of the case.
    pub case_move: Option<CaseMove>,
    /// A day went by for which something was waited for: somebody is to hear of it.
    pub missed: bool,
}

pub(super) struct Work<'a> {
    pub mediation: Mediation,
    pub by: Party,
    pub now: Timestamp,
    pub rules: &'a Rules,
    pub routes: &'a RoutingTable,
    pub case_move: Option<CaseMove>,
    pub missed: bool,
    events: Vec<(i64, MediationEvent)>,
}

impl<'a> Work<'a> {
    /// The mediation as it stands, its days counted by the calendar that is in force.
    pub fn begin(mediation: Mediation, act: &Act<'a>) -> Self {
        let mut work = Self {
            // Instants never run backwards, whatever the callers' clocks do.
            now: act.now.max(mediation.updated_at),
            mediation,
            by: act.by.clone(),
            rules: act.rules,
            routes: act.routes,
            case_move: None,
            missed: false,
            events: Vec::new(),
        };
        work.follow_calendar();
        work
    }

    /// A day that moves later is noted; not whoever happens to give a command moves it.
    fn follow_calendar(&mut self) {
        let rules = self.rules;
        let moved = self.mediation.deadlines.iter_mut().filter_map(|deadline| {
            let before = deadline.follow(rules)?;
            Some((deadline.kind, before, deadline.due_at))
        });
        let moved: Vec<(DeadlineKind, Timestamp, Timestamp)> = moved.collect();
        let by = std::mem::replace(&mut self.by, Party::system());
        for (kind, before, due) in moved {
            let reason = Reason::new("deadline_moved").with("deadline", kind);
            let reason = reason.with("from", local_day(before)).with("to", local_day(due));
            self.note("deadline_moved", None, Some(reason));
        }
        self.by = by;
    }

    pub fn finish(mut self) -> MediationDecision {
        self.mediation.updated_at = self.now;
        let Self { mediation, events, case_move, missed, .. } = self;
        MediationDecision { mediation, events, case_move, missed }
    }

    // --- the state tables

    /// The state allows the verb at all.
    pub fn permit(&self, verb: MediationVerb) -> Result<()> {
        if permits(self.mediation.state, verb) { Ok(()) } else { Err(self.wrong_state(verb)) }
    }

    pub fn wrong_state(&self, verb: MediationVerb) -> DomainError {
        let message = format!("a mediation that is {} cannot {verb}", self.mediation.state);
        DomainError::guard("mediation_state", message)
    }

    /// Moves the mediation along a row of the table, and writes the step down.
    pub fn enter(
        &mut self,
        to: MediationState,
        verb: MediationVerb,
        party: Option<u32>,
        reason: Option<Reason>,
    ) -> Result<()> {
        if !allows(Some(self.mediation.state), to, verb) {
            return Err(self.wrong_state(verb));
        }
        if self.mediation.steps.len() >= MOST_STEPS {
            return Err(DomainError::guard(
                "too_many_steps",
                "this mediation has gone on for too many steps",
            ));
        }
        self.mediation.state = to;
        if to.is_end() && self.mediation.closed_at.is_none() {
            self.mediation.closed_at = Some(self.now);
        }
        self.note(verb.as_str(), party, reason);
        Ok(())
    }

    /// The mediation stays where it is, along a row of the table that says so.
    pub fn stay(&mut self, verb: MediationVerb, party: Option<u32>, reason: Option<Reason>) -> Result<()> {
        self.enter(self.mediation.state, verb, party, reason)
    }

    pub fn note(&mut self, step: &str, party: Option<u32>, reason: Option<Reason>) {
        self.mediation.version += 1;
        self.mediation.steps.push(MediationStep {
            version: self.mediation.version,
            step: step.to_owned(),
            state: self.mediation.state,
            actor: self.by.actor.clone(),
            org: self.by.org,
            at: self.now,
            party,
            reason,
        });
    }

    /// Moves the judicial confirmation along a row of its table.
    pub fn confirmation_becomes(&mut self, to: ConfirmationState) -> Result<()> {
        let from = self.mediation.confirmation.as_ref().map(|confirmation| confirmation.state);
        if !CONFIRMATION_TRANSITIONS.contains(&(from, to)) {
            let from = from.map_or("not asked for", ConfirmationState::as_str);
            let message = format!("a confirmation that is {from} cannot become {to}");
            return Err(DomainError::guard("confirmation_state", message));
        }
        if let Some(confirmation) = &mut self.mediation.confirmation {
            confirmation.state = to;
        }
        Ok(())
    }

    // --- who may

    /// Somebody of the organisation that mediates.
    pub fn mediator(&self) -> Result<OrgId> {
        let Some(mediator) = &self.mediation.mediator else {
            return Err(DomainError::guard("no_mediator", "no mediator has taken it yet"));
        };
        let entitled = self.by.standing == Standing::Official && self.by.org == Some(mediator.org);
        if entitled { Ok(mediator.org) } else { Err(DomainError::NotEntitled { code: "mediator" }) }
    }

    /// Whether an official may take down that a party wants no mediation: of the party's own organisation (`party`), of
    /// the one that mediates, or `of_place` while nobody mediates. The other party's organisation never does.
    pub fn speaks_for(&self, party: Option<OrgId>, of_place: bool) -> Result<()> {
        let own = self.by.org.filter(|_| self.by.standing == Standing::Official);
        let Some(own) = own else { return Err(DomainError::NotEntitled { code: "own_party" }) };
        if party == Some(own) {
            return Ok(());
        }
        if self.mediation.mediator.is_some() {
            return self.mediator().map(drop);
        }
        let concerned = self.mediation.parties.iter().any(|party| party.org == Some(own));
        if of_place && !concerned { Ok(()) } else { Err(DomainError::NotEntitled { code: "own_party" }) }
    }

    /// A party by number; residents act for themselves only.
    pub fn party(&mut self, number: u32, own: Option<uuid::Uuid>) -> Result<&mut MediationParty> {
        let index = usize::try_from(number).ok().and_then(|number| number.checked_sub(1));
        let party = index.and_then(|index| self.mediation.parties.get_mut(index));
        let party = party.ok_or_else(|| DomainError::invalid("party_number", "no such party"))?;
        if own.is_some() && party.person != own {
            return Err(DomainError::NotEntitled { code: "own_party" });
        }
        Ok(party)
    }

    // --- telling

    /// Tells of the latest step.
    pub fn tell(&mut self, event: MediationEvent) {
        self.events.push((self.mediation.version, event));
    }

    pub fn days_since(&self, from: Timestamp) -> u32 {
        u32::try_from((self.now - from).num_days().max(0)).unwrap_or(u32::MAX)
    }

    pub fn session_count(&self) -> u32 {
        u32::try_from(self.mediation.sessions.len()).unwrap_or(u32::MAX)
    }

    // --- deadlines

    /// The latest of a kind. Once an agreement is in effect its own only: mediations begun anew by earlier releases keep the
    /// days of the agreement before.
    pub fn deadline(&mut self, kind: DeadlineKind) -> Option<&mut Deadline> {
        let since = self.mediation.agreement.as_ref().and_then(|agreement| agreement.effective_at);
        self.mediation
            .deadlines
            .iter_mut()
            .rev()
            .find(|deadline| deadline.kind == kind && since.is_none_or(|since| deadline.started_at >= since))
    }

    /// It happened, or does not matter any more.
    pub fn meet(&mut self, kind: DeadlineKind) {
        let now = self.now;
        if let Some(deadline) = self.deadline(kind).filter(|deadline| deadline.met_at.is_none()) {
            deadline.met_at = Some(now);
        }
    }

    /// Nothing is waited for any more.
    pub fn meet_all(&mut self) {
        let now = self.now;
        let open = self.mediation.deadlines.iter_mut().filter(|deadline| deadline.is_open());
        open.for_each(|deadline| deadline.met_at = Some(now));
    }
}
