//! A case with its mediations: what a mediation's command decides on, so that both change in one commit.

use std::sync::Arc;

use chassis::{
    Error, Result, Timestamp,
    auth::{Caller, CallerKind},
    clock::new_id,
    command::{Decide, Decision},
    event::Emit,
};
use uuid::Uuid;

use crate::{
    atlas::World,
    domain::{
        self, Act, Case, DomainError, Mediation, MediationDecision, MediationId, OrgId, Party, PersonRef,
        Standing,
    },
    mediation_events, reach,
    record::CaseRecord,
    verb::{act, acting_for, at_place, barred, decided},
};

/// A sealed text of a mediation, to be written.
#[derive(Debug, Clone)]
pub struct SealedText {
    pub text_id: Uuid,
    pub mediation_id: MediationId,
    pub sealed: Vec<u8>,
}

/// A case, its mediations, oldest first, and texts that are still to be written.
#[derive(Debug, Clone)]
pub struct Docket {
    pub case: CaseRecord,
    pub mediations: Vec<Mediation>,
    pub texts: Vec<SealedText>,
}

impl Docket {
    /// One of its mediations.
    pub fn mediation(&self, id: MediationId) -> Option<&Mediation> {
        self.mediations.iter().find(|mediation| mediation.id == id)
    }

    /// Whether the caller may know of the case, or is a party to one of its mediations.
    pub fn reached(&self, caller: &Caller) -> bool {
        let party = |mediation: &Mediation| mediation.has_party(caller.person_id);
        reach::reaches(&self.case.case, caller)
            || (caller.kind == CallerKind::Person && self.mediations.iter().any(party))
    }

    /// Ends what is still open after a case that ended without being handled. `None`: nothing is.
    ///
    /// # Errors
    /// What the mediation refuses.
    pub fn ended_with_case(&self, act: &Act<'_>, by: &Caller) -> Result<Option<Decision<Self>>> {
        let open = self.mediations.iter().find(|mediation| mediation.state.is_open());
        let Some(open) = open.filter(|_| self.case.case.state.leaves_nothing_to_mediate()) else {
            return Ok(None);
        };
        let decision = open.clone().end_with_case(act).map_err(|error| refused(open.id, error))?;
        self.after(decision, act, by).map(Some)
    }

    /// What becomes of it when time or the calendar moves its mediations on, one after the other, and what is told. `None`: none
    /// of them moves.
    ///
    /// # Errors
    /// As [`after`](Self::after).
    pub fn moved_on(
        &self,
        world: &World,
        by: &Caller,
        now: Timestamp,
        step: impl Fn(Mediation, &Act<'_>) -> Option<MediationDecision>,
    ) -> Result<Option<(Self, Vec<Emit>)>> {
        let (mut after, mut told) = (None::<Self>, Vec::new());
        for mediation in &self.mediations {
            let act = at_place(act(world, new_id(), Party::system(), now), &self.case.case);
            let Some(decision) = step(mediation.clone(), &act) else { continue };
            let next = after.as_ref().unwrap_or(self).after(decision, &act, by)?;
            told.extend(next.events);
            after = Some(next.aggregate);
        }
        Ok(after.map(|after| (after, told)))
    }

    /// The docket and what is told after a decision about one of its mediations.
    ///
    /// # Errors
    /// What the case refuses, and a second mediation that would be open.
    pub fn after(&self, decision: MediationDecision, act: &Act<'_>, by: &Caller) -> Result<Decision<Self>> {
        let MediationDecision { mediation, events, case_move, missed } = decision;
        let mediator = mediation.mediator.as_ref().map(|mediator| mediator.org);
        let (id, case) = (mediation.id, &*self.case.case);
        let another = |other: &Mediation| other.id != id && other.state.is_open();
        if mediation.state.is_open() && self.mediations.iter().any(another) {
            let message = "the parties are still talking in another one".into();
            return Err(refused(id, DomainError::Guard { code: "mediation_open", message }));
        }
        let mut told: Vec<_> = events
            .iter()
            .map(|(version, event)| mediation_events::emit(&mediation, case, *version, event))
            .collect();
        let moved = match case_move {
            Some(case_move) => case.clone().follow_mediation(id, case_move, act),
            None => Ok(None),
        };
        let moved = moved.map_err(|error| refused(id, error))?;
        let mut moved = moved.unwrap_or_else(|| case.clone().mediation_went_on(act));
        moved.case = moved.case.mediated_by(id, mediator);
        let moved = decided(Some(&self.case), moved, by);
        told.extend(moved.events);
        let (mediations, texts) = (self.mediations.clone(), self.texts.clone());
        let mut next = Self { case: moved.aggregate, mediations, texts };
        match next.mediations.iter_mut().find(|known| known.id == id) {
            Some(known) => *known = mediation,
            None => next.mediations.push(mediation),
        }
        let overdue = next.mediations.iter().any(|known| known.overdue_since().is_some());
        let reminded = Case::clone(&next.case.case).remind_of_mediation(mediator, missed, overdue, act);
        if let Some(reminded) = reminded {
            let reminded = decided(Some(&next.case), reminded, by);
            told.extend(reminded.events);
            next.case = reminded.aggregate;
        }
        Ok(Decision { aggregate: next, events: told })
    }
}

/// A verb on a mediation. `run` may be called again when a batch is replayed.
pub struct MediationCommand<F> {
    pub world: Arc<World>,
    seed: Uuid,
    /// The version it is based on.
    etag: Option<i64>,
    id: MediationId,
    /// It comes into being by this command.
    new: bool,
    /// Texts that come with it.
    texts: Vec<SealedText>,
    run: F,
}

impl<F> MediationCommand<F>
where
    F: Fn(Option<Mediation>, &Case, Act<'_>, &Caller) -> domain::Result<MediationDecision>
        + Send
        + Sync
        + 'static,
{
    /// On a mediation that exists.
    pub fn new(
        world: Arc<World>,
        id: MediationId,
        etag: Option<i64>,
        texts: Vec<SealedText>,
        run: F,
    ) -> Self {
        Self { world, seed: new_id(), etag, id, new: false, texts, run }
    }

    /// On one that comes into being.
    pub fn opening(world: Arc<World>, id: MediationId, texts: Vec<SealedText>, run: F) -> Self {
        Self { new: true, ..Self::new(world, id, None, texts, run) }
    }
}

impl<F> Decide<Docket> for MediationCommand<F>
where
    F: Fn(Option<Mediation>, &Case, Act<'_>, &Caller) -> domain::Result<MediationDecision>
        + Send
        + Sync
        + 'static,
{
    fn decide(&self, current: Option<&Docket>, by: &Caller, now: Timestamp) -> Result<Decision<Docket>> {
        let missing = || Error::not_found("mediation", self.id.to_string());
        let docket = current.ok_or_else(missing)?;
        let known = docket.mediation(self.id).cloned();
        if known.is_none() && !self.new {
            return Err(missing());
        }
        if self.etag.is_some_and(|etag| known.as_ref().is_none_or(|known| known.version != etag)) {
            return Err(Error::stale("mediation", self.id.to_string()));
        }
        let mediates = known.as_ref().and_then(|known| known.mediator.as_ref()).map(|mediator| mediator.org);
        let act = at_place(act(&self.world, self.seed, who(by), now), &docket.case.case);
        let mut act = acting_for(act, by, mediates);
        let decision = (self.run)(known, &docket.case.case, act.clone(), by);
        let decision = decision.map_err(|error| refused(self.id, error))?;
        // What becomes of the case is done for whom the step was taken: for nobody where a party spoke for themselves.
        if let Some(step) = decision.mediation.steps.last().filter(|step| step.actor == act.by.actor) {
            act.by.org = step.org;
        }
        let mut decision = docket.after(decision, &act, by)?;
        decision.aggregate.texts.extend(self.texts.iter().cloned());
        Ok(decision)
    }
}

/// Who acts: a resident for themselves, or an official for the organisation the grant is held for; always under the
/// pseudonym.
pub fn who(by: &Caller) -> Party {
    if by.kind != CallerKind::Person {
        return Party::system();
    }
    let actor = PersonRef(by.actor_ref.clone());
    if by.is_self_only() {
        return Party { actor, org: None, standing: Standing::Requester };
    }
    let orgs = reach::own_orgs(by);
    let own = by.org_id.filter(|org| orgs.contains(org));
    Party { actor, org: own.or_else(|| orgs.first().copied()).map(OrgId), standing: Standing::Official }
}

fn refused(id: MediationId, error: DomainError) -> Error {
    match error {
        DomainError::Invalid { field, message } => Error::invalid(field, message),
        DomainError::NotEntitled { .. } => Error::Forbidden,
        wrong @ (DomainError::WrongState { .. } | DomainError::Guard { .. }) => {
            barred("mediation", id, &wrong)
        }
    }
}
