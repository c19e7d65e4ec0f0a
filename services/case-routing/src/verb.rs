//! A command: one verb of the domain, with who acts in what standing, as the executor runs it.

use std::sync::Arc;

use chassis::{
    Error, Result, Timestamp,
    auth::{Caller, CallerKind},
    clock::new_id,
    command::{Decide, Decision},
    update,
};
use uuid::Uuid;

use crate::{
    atlas::World,
    domain::{self, Act, Case, CaseId, DomainError, Ids, OrgId, Party, PersonRef, RouteChoice, Standing},
    reach,
    record::CaseRecord,
};

/// A verb on a case that exists. `run` may be called again when a batch is replayed; it then draws the same ids.
pub struct Verb<F> {
    pub world: Arc<World>,
    pub seed: Uuid,
    /// The version it is based on.
    pub etag: Option<i64>,
    /// Whether to ask for reach here, because the executor does not.
    pub ask_reach: bool,
    /// Whether the case was looked at before it was locked.
    pub as_found: bool,
    pub id: CaseId,
    pub run: F,
}

impl<F> Verb<F>
where
    F: Fn(Case, Act<'_>, &Caller) -> domain::Result<domain::Decision> + Send + Sync + 'static,
{
    /// On this case, with fresh ids.
    pub fn new(world: Arc<World>, id: CaseId, etag: Option<i64>, run: F) -> Self {
        Self { world, seed: new_id(), etag, ask_reach: false, as_found: false, id, run }
    }

    /// Asks for reach itself.
    pub fn within_reach(self) -> Self {
        Self { ask_reach: true, ..self }
    }

    /// On a case that was looked at before it was locked, and allowed the verb then.
    pub fn on_what_was_found(self) -> Self {
        Self { as_found: true, ..self }
    }
}

impl<F> Decide<CaseRecord> for Verb<F>
where
    F: Fn(Case, Act<'_>, &Caller) -> domain::Result<domain::Decision> + Send + Sync + 'static,
{
    fn decide(
        &self,
        current: Option<&CaseRecord>,
        by: &Caller,
        now: Timestamp,
    ) -> Result<Decision<CaseRecord>> {
        let reached = |record: &&CaseRecord| !self.ask_reach || reach::reaches(&record.case, by);
        let current = current.filter(reached).ok_or_else(|| Error::not_found("case", self.id.to_string()))?;
        update::fresh(self.etag, current.case.version, "case", self.id)?;
        let act = act(&self.world, self.seed, party(Some(&current.case), by), now);
        let refused: fn(CaseId, DomainError) -> Error =
            if self.as_found { refused_as_found } else { refused };
        let decision =
            (self.run)(Case::clone(&current.case), act, by).map_err(|error| refused(self.id, error))?;
        Ok(decided(Some(current), decision, by))
    }
}

/// What a decision is made with.
pub fn act(world: &World, seed: Uuid, by: Party, now: Timestamp) -> Act<'_> {
    Act { by, now, ids: Ids::new(seed), rules: &world.rules, routes: &world.routes }
}

/// With the hours of a case's place: what is decided about its mediations is counted by them, too.
pub fn at_place<'a>(act: Act<'a>, case: &Case) -> Act<'a> {
    Act { rules: act.rules.at(act.routes.path_now(&case.place)), ..act }
}

/// The record and the events after a decision. The requester acts under the person's id inside, under the pseudonym
/// wherever it can be read.
pub fn decided(
    current: Option<&CaseRecord>,
    mut decision: domain::Decision,
    by: &Caller,
) -> Decision<CaseRecord> {
    let inner = reach::requester_ref(by.person_id);
    for entry in decision.timeline.iter_mut().filter(|entry| entry.actor.0 == inner) {
        entry.actor = PersonRef(by.actor_ref.clone());
    }
    let (aggregate, events) = CaseRecord::after(current, decision);
    Decision { aggregate, events }
}

/// Who acts: the requester in their own case, an official for the organisation the grant is held for, or the system.
pub fn party(case: Option<&Case>, by: &Caller) -> Party {
    if by.kind != CallerKind::Person {
        return Party::system();
    }
    let orgs = reach::part_orgs(by);
    if case.is_some_and(|case| reach::is_requester(case, by)) && by.is_self_only() {
        let actor = PersonRef(reach::requester_ref(by.person_id));
        return Party { actor, org: None, standing: Standing::Requester };
    }
    let own = by.org_id.filter(|org| orgs.contains(org));
    let org = own.or_else(|| orgs.first().copied()).map(OrgId);
    let standing = if by.is_self_only() { Standing::Requester } else { Standing::Official };
    Party { actor: PersonRef(by.actor_ref.clone()), org, standing }
}

/// Lets the caller act for an organisation that one of the grants is held for, where it is not the first one.
pub fn acting_for<'a>(mut act: Act<'a>, by: &Caller, org: Option<OrgId>) -> Act<'a> {
    if let Some(org) = org.filter(|org| reach::part_orgs(by).contains(&org.0)) {
        act.by.org = Some(org);
    }
    act
}

/// Lets the caller act for one of the own organisations that may: for the first one, if that may.
pub fn acting_for_who_may<'a>(act: Act<'a>, by: &Caller, may: impl Fn(OrgId) -> bool) -> Act<'a> {
    if act.by.org.is_some_and(&may) {
        return act;
    }
    let own = reach::part_orgs(by).into_iter().map(OrgId).find(|org| may(*org));
    acting_for(act, by, own)
}

/// Lets whoever asked speak for themselves, whatever else they are.
pub fn in_own_case<'a>(mut act: Act<'a>, by: &Caller, case: &Case) -> Act<'a> {
    if reach::is_requester(case, by) {
        let actor = PersonRef(reach::requester_ref(by.person_id));
        act.by = Party { actor, org: None, standing: Standing::Requester };
    }
    act
}

/// Lets the requester withdraw for themselves, and an official for the window that received the case, if they belong to it and
/// not to the organisation complained of.
pub fn withdrawing<'a>(act: Act<'a>, by: &Caller, case: &Case) -> domain::Result<Act<'a>> {
    let act = in_own_case(act, by, case);
    if act.by.standing != Standing::Official {
        return Ok(act);
    }
    unbiased(case, by)?;
    Ok(acting_for(act, by, Some(case.first_receiver)))
}

/// Whoever belongs to the organisation complained of, by whatever grant, does not settle the complaint (回避).
pub fn unbiased(case: &Case, by: &Caller) -> domain::Result<()> {
    if case.complained_of.is_none_or(|org| !by.held_orgs.contains(&org.0)) {
        return Ok(());
    }
    let message = "the organisation complained of steps aside".to_owned();
    Err(DomainError::Guard { code: "recused", message })
}

/// Whoever belongs to the organisation complained of lets the router send the case, and sends it nowhere by hand.
pub fn sends(case: &Case, choice: &RouteChoice, act: &Act<'_>, by: &Caller) -> domain::Result<()> {
    if case.subject_may_send(choice, act) { Ok(()) } else { unbiased(case, by) }
}

/// Whoever belongs to the organisation complained of neither calls the case back nor clears its supervisions, where others can.
pub fn decides(case: &Case, act: &Act<'_>, by: &Caller) -> domain::Result<()> {
    if case.nobody_above_subject(act.routes) { Ok(()) } else { unbiased(case, by) }
}

/// Who complained, and in what words, is not opened to the organisation complained of; to the requester it is, whoever that is.
pub fn opened_to(case: &Case, by: &Caller) -> Result<()> {
    if reach::is_requester(case, by) {
        return Ok(());
    }
    unbiased(case, by).map_err(|_| Error::Forbidden)
}

/// Lets a leader act over the organisation that has the case: for one that answers for it, else as the lead where the own one
/// leads that.
pub fn leading<'a>(mut act: Act<'a>, by: &Caller, case: &Case) -> Act<'a> {
    use crate::domain::EdgeKind;
    let Some(lead) = case.lead_org else { return act };
    let own = reach::part_orgs(by);
    let mut responsible = case.responsible_orgs(act.routes, act.now).into_iter();
    if let Some(org) = responsible.find(|org| own.contains(&org.0)) {
        act.by.org = Some(org);
        return act;
    }
    let line = case.item.as_ref().and_then(|item| item.line.as_deref());
    let leads = |org: Uuid| {
        org == lead.0 || act.routes.edge(OrgId(org), lead, line, act.now) == Some(EdgeKind::Leads)
    };
    if own.into_iter().any(leads) {
        act.by.org = Some(lead);
    }
    act
}

/// Lets a leader suspend the case for the own organisation that may, else for one that answers for it: that hears why it may not.
pub fn suspending<'a>(
    act: Act<'a>,
    by: &Caller,
    case: &Case,
    cause_code: &str,
    resume_at: Option<Timestamp>,
) -> Act<'a> {
    let responsible = case.responsible_orgs(act.routes, act.now);
    let approvers = case.suspension_approvers(cause_code, resume_at, act.routes, act.rules, act.now);
    let act = acting_for_who_may(act, by, |org| responsible.contains(&org));
    acting_for_who_may(act, by, |org| approvers.contains(&org))
}

/// What the domain refuses, as callers hear it.
pub fn refused(id: CaseId, error: DomainError) -> Error {
    match error {
        DomainError::Invalid { field, message } => Error::invalid(wire_name(field), message),
        DomainError::NotEntitled { .. } => Error::Forbidden,
        wrong @ (DomainError::WrongState { .. } | DomainError::Guard { .. }) => barred("case", id, &wrong),
    }
}

/// What the state of a thing does not allow, with the code of the condition that does not hold.
pub fn barred(kind: &'static str, id: impl ToString, wrong: &DomainError) -> Error {
    let message = wrong.to_string();
    match wrong {
        DomainError::Guard { code, .. } => Error::barred(kind, id, *code, message),
        _ => Error::wrong_state(kind, id, message),
    }
}

/// The same of a case that was looked at before it was locked: the state allowed it then, so somebody has changed it since.
fn refused_as_found(id: CaseId, error: DomainError) -> Error {
    match error {
        DomainError::WrongState { .. } => Error::stale("case", id.to_string()),
        other => refused(id, other),
    }
}

/// The field of the request that the domain's field is read from.
fn wire_name(field: &'static str) -> &'static str {
    match field {
        "requester" => "requester_id",
        "explanation_ref" => "answer_ref",
        "basis_refs" | "evidence" => "evidence_refs",
        "partly_reason_code" => "reason_code",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{CaseState, Trigger};

    #[test]
    fn what_was_found_and_has_moved_since_is_asked_for_again() {
        let id = CaseId(Uuid::nil());
        let moved = || DomainError::WrongState { state: CaseState::Registered, verb: Trigger::Merge };
        assert!(matches!(refused(id, moved()), Error::WrongState { code: None, .. }));
        assert!(matches!(refused_as_found(id, moved()), Error::Stale { .. }));
        let barred = DomainError::Guard { code: "others_joined", message: String::new() };
        let told = refused_as_found(id, barred);
        assert!(matches!(told, Error::WrongState { code: Some(code), .. } if code == "others_joined"));
        let stranger = DomainError::NotEntitled { code: "human_official" };
        assert!(matches!(refused_as_found(id, stranger), Error::Forbidden));
    }
}
