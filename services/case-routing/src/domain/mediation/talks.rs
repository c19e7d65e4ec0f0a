//! The talks: opened, taken by a mediator, consented to, held, and brought to an agreement or to an end (C-10).

use uuid::Uuid;

use super::super::error::{DomainError, Result};
use super::super::event::Timestamp;
use super::super::ids::*;
use super::super::reason::Reason;
use super::super::rules::Rules;
use super::super::work::{Act, Party, Standing, check_code};
use super::case::CaseMove;
use super::codes::{MediationState as S, MediationVerb as V, *};
use super::work::{MediationDecision, MediationEvent, Work};
use super::{Agreement, Deadline, Mediation, MediationParty, Mediator, Session, remedy};

/// Most parties, and most sessions.
const MOST_PARTIES: usize = 20;
const MOST_SESSIONS: usize = 50;

/// The code under which a mediation ends with its case.
const CASE_ENDED: &str = "case_ended";
/// Why another mediator took it over, where whoever mediated is complained of.
const RECUSED: &str = "mediator_recused";

/// A party as it is entered.
#[derive(Debug, Clone)]
pub struct PartyNamed {
    pub kind: PartyKind,
    pub person: Option<Uuid>,
    pub org: Option<OrgId>,
    /// Name and contact, sealed.
    pub text_id: Option<Uuid>,
}

/// A dispute is to be mediated.
#[derive(Debug, Clone)]
pub struct OpenMediation {
    pub mediation_id: MediationId,
    pub case_id: CaseId,
    pub origin: MediationOrigin,
    pub parties: Vec<PartyNamed>,
}

/// What the parties agreed on.
#[derive(Debug, Clone)]
pub struct AgreementReached {
    pub kind: AgreementKind,
    /// The terms, sealed.
    pub text_id: Uuid,
    pub performance_due_at: Option<Timestamp>,
}

/// Who signed a written agreement just now.
#[derive(Debug, Clone)]
pub struct Signatures {
    pub parties: Vec<u32>,
    /// The mediator, with the seal.
    pub sealed: bool,
}

impl Mediation {
    /// A party applies, or the committee offers it. Whether the case can be mediated is the case's affair.
    ///
    /// # Errors
    /// `Invalid` parties or origin: residents and windows enter applications only.
    pub fn open(command: OpenMediation, may_offer: bool, act: &Act<'_>) -> Result<MediationDecision> {
        if !(2..=MOST_PARTIES).contains(&command.parties.len()) {
            return Err(DomainError::invalid("parties", "a dispute has 2–20 parties"));
        }
        for (number, party) in command.parties.iter().enumerate() {
            let again = command.parties.iter().take(number).any(|other| {
                (party.person.is_some() && party.person == other.person)
                    || (party.org.is_some() && party.org == other.org)
            });
            if again {
                return Err(DomainError::invalid("parties", "nobody is a party twice"));
            }
        }
        if command.origin != MediationOrigin::Application && !may_offer {
            return Err(DomainError::invalid("origin", "only a mediator or the committee offers mediation"));
        }
        let (origin, case_id) = (command.origin, command.case_id);
        let party = |party: PartyNamed| MediationParty {
            kind: party.kind,
            person: party.person,
            org: party.org,
            text_id: party.text_id,
            consented_at: None,
            signed_at: None,
        };
        let mediation = Self {
            id: command.mediation_id,
            case_id,
            version: 0,
            state: opened(origin),
            origin,
            round: 1,
            parties: command.parties.into_iter().map(party).collect(),
            mediator: None,
            sessions: Vec::new(),
            agreement: None,
            confirmation: None,
            deadlines: vec![talks(act.now, act.rules)],
            escalations: Vec::new(),
            remedy: None,
            steps: Vec::new(),
            opened_at: act.now,
            performed_at: None,
            evidence: Vec::new(),
            closed_at: None,
            updated_at: act.now,
        };
        let mut work = Work::begin(mediation, act);
        work.note(V::Open.as_str(), None, Some(Reason::new(origin.as_str())));
        work.tell_opened();
        work.case_move = Some(CaseMove::Open);
        Ok(work.finish())
    }

    /// A mediator takes it on, or over from another. Consents were given to the mediator of then. `recused`: whoever mediates is
    /// complained of, and steps aside also once the talks have begun. What the parties have not all signed yet is given up with
    /// that, and the talks go on before the other one with everybody's consent; an agreement in effect stands.
    ///
    /// # Errors
    /// `Guard(mediation_state)` once the talks have begun, unless `recused`, and of one that ended, unless the court is to answer
    /// still; `NotEntitled(is_party)`; `Guard(taken_before)`.
    pub fn take(self, person: Option<Uuid>, recused: bool, act: &Act<'_>) -> Result<MediationDecision> {
        let mut work = Work::begin(self, act);
        work.permit(V::Take)?;
        if !work.mediation.may_be_taken(recused) {
            return Err(work.wrong_state(V::Take));
        }
        let (Standing::Official, Some(org)) = (work.by.standing, work.by.org) else {
            return Err(DomainError::NotEntitled { code: "mediator" });
        };
        let concerned =
            |party: &MediationParty| (person.is_some() && party.person == person) || party.org == Some(org);
        if work.mediation.parties.iter().any(concerned) {
            return Err(DomainError::NotEntitled { code: "is_party" });
        }
        let mediator = Mediator { person: work.by.actor.clone(), org };
        if work.mediation.mediator.as_ref() == Some(&mediator) {
            return Err(DomainError::guard("taken_before", "this mediator has it already"));
        }
        work.mediation.mediator = Some(mediator);
        let reason = recused.then(|| Reason::new(RECUSED));
        if !work.mediation.state.is_open() {
            work.stay(V::Take, None, reason)?;
            return Ok(work.finish());
        }
        work.mediation.agreement = None;
        for party in &mut work.mediation.parties {
            party.consented_at = None;
            party.signed_at = None;
        }
        work.enter(opened(work.mediation.origin), V::Take, None, reason)?;
        Ok(work.finish())
    }

    /// Whether another mediator may take it on now.
    fn may_be_taken(&self, recused: bool) -> bool {
        match self.state {
            S::Applied | S::Initiated | S::Consented => true,
            S::InSession | S::Agreed | S::Effective => recused,
            _ => recused && self.confirmation.as_ref().is_some_and(|asked| asked.state.is_awaited()),
        }
    }

    /// A party consents to the mediator; `own` is the resident who acts for themselves.
    ///
    /// # Errors
    /// `Guard` `mediation_state`, `no_mediator`, `consented_before`; `NotEntitled`; `Invalid` party.
    pub fn consent(self, number: u32, own: Option<Uuid>, act: &Act<'_>) -> Result<MediationDecision> {
        let mut work = Work::begin(self, act);
        work.permit(V::Consent)?;
        match own {
            None => drop(work.mediator()?),
            Some(_) if work.mediation.mediator.is_none() => {
                return Err(DomainError::guard("no_mediator", "no mediator has taken it yet"));
            }
            Some(_) => {}
        }
        let now = work.now;
        let party = work.party(number, own)?;
        if party.consented_at.is_some() {
            return Err(DomainError::guard("consented_before", "the consent is on record"));
        }
        party.consented_at = Some(now);
        let all = work.mediation.parties.iter().all(|party| party.consented_at.is_some());
        let to = if all { S::Consented } else { work.mediation.state };
        work.enter(to, V::Consent, Some(number), None)?;
        Ok(work.finish())
    }

    /// A party does not want it, or not any more: it ends, at once and for good. `own` is the registered party who acts
    /// for themselves; `of_place`: a mediator or the committee of the place, who is no party.
    ///
    /// # Errors
    /// `Guard(mediation_state)` once an agreement is in effect or it has ended; `NotEntitled`; `Invalid`.
    pub fn refuse(
        self,
        number: u32,
        own: Option<Uuid>,
        of_place: bool,
        reason_code: &str,
        act: &Act<'_>,
    ) -> Result<MediationDecision> {
        let mut work = Work::begin(self, act);
        let begun = matches!(work.mediation.state, S::InSession | S::Agreed);
        let (to, verb) = if begun { (S::TerminatedByParty, V::Terminate) } else { (S::Refused, V::Refuse) };
        work.permit(verb)?;
        check_code("reason_code", reason_code)?;
        let org = work.party(number, own)?.org;
        if own.is_none() {
            work.speaks_for(org, of_place)?;
        }
        work.enter(to, verb, Some(number), Some(Reason::new(reason_code)))?;
        work.ended_without_agreement(to, reason_code);
        Ok(work.finish())
    }

    /// A sitting was held. `taken_up`: whoever leads the case has it in hand.
    ///
    /// # Errors
    /// `Guard` `mediation_state` without the consent of every party, `case_not_taken_up`, `too_many_sessions`;
    /// `NotEntitled`.
    pub fn hold_session(
        self,
        taken_up: bool,
        text_id: Option<Uuid>,
        act: &Act<'_>,
    ) -> Result<MediationDecision> {
        let mut work = Work::begin(self, act);
        work.permit(V::HoldSession)?;
        work.mediator()?;
        if !taken_up && work.mediation.sessions.is_empty() {
            let message = "whoever leads the case signs for it and speaks with the requester first";
            return Err(DomainError::guard("case_not_taken_up", message));
        }
        if work.mediation.sessions.len() >= MOST_SESSIONS {
            return Err(DomainError::guard("too_many_sessions", "no agreement will come of more sessions"));
        }
        work.mediation.sessions.push(Session { held_at: work.now, text_id });
        work.enter(S::InSession, V::HoldSession, None, None)?;
        Ok(work.finish())
    }

    /// The parties agreed; by word of mouth that is in effect at once.
    ///
    /// # Errors
    /// `Guard(mediation_state)`; `NotEntitled`; `Invalid` day of performance.
    pub fn agree(self, command: AgreementReached, act: &Act<'_>) -> Result<MediationDecision> {
        let mut work = Work::begin(self, act);
        work.permit(V::Agree)?;
        work.mediator()?;
        if command.performance_due_at.is_some_and(|at| at <= work.now) {
            return Err(DomainError::invalid("performance_due_time", "must lie ahead"));
        }
        work.mediation.agreement = Some(Agreement {
            kind: command.kind,
            agreed_at: work.now,
            effective_at: None,
            performance_due_at: command.performance_due_at,
            sealed_at: None,
            text_id: command.text_id,
        });
        work.mediation.parties.iter_mut().for_each(|party| party.signed_at = None);
        work.enter(S::Agreed, V::Agree, None, Some(Reason::new(command.kind.as_str())))?;
        if command.kind == AgreementKind::Oral {
            work.take_effect()?;
        }
        Ok(work.finish())
    }

    /// Signatures under a written agreement; with the last one it is in effect.
    ///
    /// # Errors
    /// `Guard` `mediation_state`, `signed_before`; `NotEntitled`; `Invalid` parties.
    pub fn sign(self, command: &Signatures, act: &Act<'_>) -> Result<MediationDecision> {
        let mut work = Work::begin(self, act);
        work.permit(V::Sign)?;
        work.mediator()?;
        if command.parties.is_empty() && !command.sealed {
            return Err(DomainError::invalid("party_numbers", "somebody signed"));
        }
        let now = work.now;
        for number in &command.parties {
            let party = work
                .party(*number, None)
                .map_err(|_| DomainError::invalid("party_numbers", "no such party"))?;
            if party.signed_at.is_some() {
                return Err(DomainError::guard("signed_before", "the signature is on record"));
            }
            party.signed_at = Some(now);
            work.stay(V::Sign, Some(*number), None)?;
        }
        let wrong = work.wrong_state(V::Sign);
        let agreement = work.mediation.agreement.as_mut().ok_or(wrong)?;
        if command.sealed {
            if agreement.sealed_at.is_some() {
                return Err(DomainError::guard("signed_before", "the seal is on it"));
            }
            agreement.sealed_at = Some(now);
        }
        let sealed = agreement.sealed_at.is_some();
        if command.sealed {
            work.stay(V::Sign, None, None)?;
        }
        if sealed && work.mediation.parties.iter().all(|party| party.signed_at.is_some()) {
            work.take_effect()?;
        }
        Ok(work.finish())
    }

    /// It cannot be mediated, or comes to nothing; also after the court did not confirm an agreement.
    ///
    /// # Errors
    /// `Guard` `mediation_state`, `agreement_stands`, `no_mediator`; `NotEntitled`; `Invalid` code.
    pub fn fail(self, reason_code: &str, act: &Act<'_>) -> Result<MediationDecision> {
        let mut work = Work::begin(self, act);
        work.permit(V::Fail)?;
        check_code("reason_code", reason_code)?;
        work.mediator()?;
        if work.mediation.state == S::Effective {
            work.not_confirmed()?;
        }
        work.come_to_nothing(reason_code)?;
        Ok(work.finish())
    }

    /// Its case ended without being handled: nothing is left to talk about.
    ///
    /// # Errors
    /// `Guard` `mediation_state` unless the parties are still to agree, `too_many_steps`.
    pub fn end_with_case(self, act: &Act<'_>) -> Result<MediationDecision> {
        let mut work = Work::begin(self, act);
        work.by = Party::system();
        if !work.mediation.state.is_open() {
            return Err(work.wrong_state(V::Fail));
        }
        work.come_to_nothing(CASE_ENDED)?;
        Ok(work.finish())
    }

    /// The dispute may grow worse: reported to the police, whatever the state.
    ///
    /// # Errors
    /// `NotEntitled` for a requester; `Invalid` code; `Guard(mediation_state)` for states passed through only.
    pub fn report_escalation(self, ground_code: &str, act: &Act<'_>) -> Result<MediationDecision> {
        let mut work = Work::begin(self, act);
        work.permit(V::ReportEscalation)?;
        check_code("ground_code", ground_code)?;
        if work.by.standing != Standing::Official {
            return Err(DomainError::NotEntitled { code: "official" });
        }
        let (reported_at, state) = (work.now, work.mediation.state);
        let ground_code = ground_code.to_owned();
        work.mediation.escalations.push(super::Escalation { reported_at, ground_code: ground_code.clone() });
        work.stay(V::ReportEscalation, None, Some(Reason::new(&ground_code)))?;
        work.tell(MediationEvent::MediationEscalationReported { ground_code, state });
        Ok(work.finish())
    }
}

/// The state in which a mediation begins.
const fn opened(origin: MediationOrigin) -> S {
    match origin {
        MediationOrigin::Application => S::Applied,
        MediationOrigin::Committee | MediationOrigin::Court | MediationOrigin::Police => S::Initiated,
    }
}

/// Until when the parties are to come to an agreement.
fn talks(from: Timestamp, rules: &Rules) -> Deadline {
    Deadline::counted(DeadlineKind::Talks, rules.mediation_talks, from, rules)
}

impl Work<'_> {
    fn tell_opened(&mut self) {
        let party_count = u32::try_from(self.mediation.parties.len()).unwrap_or(u32::MAX);
        let (origin, round) = (self.mediation.origin, self.mediation.round);
        self.tell(MediationEvent::MediationOpened { origin, party_count, round });
    }

    /// The way back to the beginning, for another round.
    pub(super) fn begin_anew(&mut self) -> Result<()> {
        let mediation = &mut self.mediation;
        mediation.round += 1;
        mediation.sessions.clear();
        mediation.agreement = None;
        mediation.confirmation = None;
        mediation.remedy = None;
        // They were days of the agreement that is no more; the steps tell which went by.
        mediation.deadlines.clear();
        mediation.deadlines.push(talks(self.now, self.rules));
        for party in &mut mediation.parties {
            party.consented_at = None;
            party.signed_at = None;
        }
        let to = opened(mediation.origin);
        self.enter(to, V::Remediate, None, None)?;
        self.tell_opened();
        self.case_move = Some(CaseMove::Open);
        Ok(())
    }

    /// Failed, and the parties are told of the other channels.
    fn come_to_nothing(&mut self, reason_code: &str) -> Result<()> {
        self.enter(S::Failed, V::Fail, None, Some(Reason::new(reason_code)))?;
        self.ended_without_agreement(S::Failed, reason_code);
        let told = self.mediation.remedy.clone();
        self.enter(S::ToldOfChannels, V::TellChannels, None, told)
    }

    /// Why, and which way is open now: stored and told; what becomes of the case depends on who has it.
    fn ended_without_agreement(&mut self, outcome: S, reason_code: &str) {
        self.meet_all();
        self.mediation.remedy = Some(remedy::channels(reason_code));
        let days = self.days_since(self.mediation.opened_at);
        let (reason_code, session_count) = (reason_code.to_owned(), self.session_count());
        self.tell(MediationEvent::MediationFailed { outcome, reason_code, days, session_count });
        self.case_move = Some(CaseMove::Return { talked: session_count > 0 });
    }
}
