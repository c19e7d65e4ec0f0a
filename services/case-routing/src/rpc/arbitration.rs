//! What rulings need of a request and of its caller: the words of the ruling, and that whoever rules belongs to no party. And who
//! decides over the objection of an assist, over which nobody rules.

use chassis::{Error, Result, Timestamp, auth::Caller, proto::case_routing::v1 as pb};
use chrono::Days;

use super::{list_forms, parse, route};
use crate::{
    domain::{self, Act, Case, Decision, DefinitionRequest, DomainError, OrgId, RuleObjection, TaskId},
    reach,
    verb::{acting_for, acting_for_who_may, decides},
};

/// The ruling that a request gives.
pub fn ruling(message: &pb::RuleObjectionRequest, now: Timestamp) -> Result<RuleObjection> {
    let day = list_forms::day("effective_on", &message.effective_on)?;
    if day.is_some() && !message.precedent {
        return Err(Error::invalid("effective_on", "is the day of a precedent"));
    }
    let tomorrow = calendar::local_day(now) + Days::new(1);
    let asked: Option<OrgId> = parse::optional_id("definition_org_id", &message.definition_org_id)?;
    let definition_code = parse::optional_code("definition_code", &message.definition_code)?;
    let definition = match (asked, definition_code) {
        (Some(org), Some(code)) => Some(DefinitionRequest { org, code }),
        (None, None) => None,
        (None, Some(_)) => return Err(Error::invalid("definition_org_id", "says who is asked to define it")),
        (Some(_), None) => return Err(Error::invalid("definition_code", "says what is to be defined")),
    };
    Ok(RuleObjection {
        lead: parse::id("lead_org_id", &message.lead_org_id)?,
        assists: parse::ids("assist_org_ids", &message.assist_org_ids)?,
        basis_code: parse::code("basis_code", &message.basis_code)?,
        precedent: message.precedent.then(|| day.unwrap_or(tomorrow)),
        interim: parse::optional_code("interim_measure_code", &message.interim_measure_code)?,
        definition,
    })
}

/// Lets the caller act for the arbiter; nobody who belongs to a party, or to the organisation complained of, does, by whatever
/// grant (C-7).
pub fn impartial<'a>(act: Act<'a>, by: &Caller, case: &Case) -> domain::Result<Act<'a>> {
    let Some(objection) = &case.objection else { return Ok(act) };
    let lead = case.lead_org.filter(|lead| objection.arbiter != Some(*lead));
    let mut barred = objection.parties.iter().chain(&lead).chain(&case.complained_of);
    if barred.any(|party| by.held_orgs.contains(&party.0)) {
        return Err(DomainError::NotEntitled { code: "party" });
    }
    Ok(acting_for(act, by, objection.arbiter))
}

/// The party that the caller speaks for.
pub fn party_of(case: &Case, by: &Caller) -> Option<OrgId> {
    let own = reach::part_orgs(by);
    let parties = case.objection.as_ref()?.parties.iter();
    parties.copied().find(|party| own.contains(&party.0))
}

/// Rejects or accepts the objection of an assist, for whoever decides over it or stands above; never for who objects, by whatever
/// grant.
pub fn over_assist(
    case: Case,
    act: Act<'_>,
    by: &Caller,
    task: TaskId,
    (decision, reason_code): (&str, &str),
) -> domain::Result<Decision> {
    let accepted = match decision {
        "accept" => true,
        "reject" => false,
        _ => {
            let message = "the objection of an assist is rejected or accepted".to_owned();
            return Err(DomainError::Invalid { field: "decision", message });
        }
    };
    if by.held_orgs.contains(&case.task(task)?.org.0) {
        return Err(DomainError::NotEntitled { code: "objector" });
    }
    let (routes, now) = (act.routes, act.now);
    let holds = |org| route::decides_over_objections(by, &case, task, Some(org));
    let may = |org| holds(org) && case.may_resolve_objection(task, org, routes, now);
    let act = acting_for_who_may(act, by, may);
    // Another role for the organisation is not enough.
    if !act.by.org.is_some_and(holds) {
        return Err(DomainError::NotEntitled { code: "dispatcher" });
    }
    decides(&case, &act, by)?;
    case.decide_assist_objection(task, accepted, reason_code, &act)
}
