//! Transfers and admissions as requests say them and answers show them.

use std::collections::BTreeSet;

use chassis::{
    Error, Result, Timestamp,
    auth::{Caller, Role},
    clock::to_proto,
    proto::{case_routing::v1 as pb, staffing::v1::PostKind},
    topology::{Organization, OrganizationKind},
};
use chrono::{Days, NaiveDate, NaiveTime};
use uuid::Uuid;

use super::{list_forms::day, parse};
use crate::{
    atlas::{World, org_kind},
    domain::{
        OrgKind, UnitId,
        duty::{
            AdmissionState, Assessment, DutyTransfer, Heard, Leg, LegKind, Opinions, PostNeed, Signer,
            TaskAdmission, TransferState, may_hold,
        },
    },
    duty::{leg_state, posts},
    reach,
};

/// Most items of one transfer.
const MAX_ITEMS: usize = 20;
/// Most kinds of posts.
const MAX_KINDS: usize = 10;
/// Most posts of a kind.
const MAX_POSTS: i32 = 1_000;
/// Most money: 10^11 yuan.
const MAX_FEN: i64 = 10_000_000_000_000;
/// Longest admission, in days: three years.
const MAX_DAYS: u64 = 3 * 366;

/// Codes of items, each once.
pub fn items(field: &str, codes: &[String]) -> Result<Vec<String>> {
    if codes.is_empty() || codes.len() > MAX_ITEMS {
        return Err(Error::invalid(field, "has 1–20 items"));
    }
    let mut seen = BTreeSet::new();
    for (number, code) in codes.iter().enumerate() {
        item(&format!("{field}[{number}]"), code)?;
        if !seen.insert(code) {
            return Err(Error::invalid(format!("{field}[{number}]"), "stands here twice"));
        }
    }
    Ok(codes.to_vec())
}

/// The code of an item, as far as it can be judged alone. Forty characters leave room for it in a rule's id.
pub fn item(field: &str, code: &str) -> Result<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    if code.is_empty() || code.len() > 24 || !code.chars().all(plain) {
        return Err(Error::invalid(field, "is not the code of an item"));
    }
    Ok(code.to_owned())
}

/// Money in fen.
pub fn fen(field: &str, amount: i64, least: i64) -> Result<i64> {
    if (least..=MAX_FEN).contains(&amount) {
        return Ok(amount);
    }
    Err(Error::invalid(field, format!("must be between {least} and {MAX_FEN}")))
}

/// Posts that come with a duty, each kind once.
pub fn needs(field: &str, needs: &[pb::PostNeed], least: usize) -> Result<Vec<PostNeed>> {
    if needs.len() < least || needs.len() > MAX_KINDS {
        return Err(Error::invalid(field, format!("has {least}–{MAX_KINDS} kinds")));
    }
    let mut seen = BTreeSet::new();
    let mut parsed = Vec::with_capacity(needs.len());
    for (number, need) in needs.iter().enumerate() {
        let kind = PostKind::try_from(need.kind).ok().filter(|kind| *kind != PostKind::Unspecified);
        let kind = kind.ok_or_else(|| Error::invalid(format!("{field}[{number}].kind"), "is not a kind"))?;
        if !seen.insert(need.kind) {
            return Err(Error::invalid(format!("{field}[{number}].kind"), "stands here twice"));
        }
        let count = u32::try_from(need.count).ok().filter(|_| (1..=MAX_POSTS).contains(&need.count));
        let count = count.ok_or_else(|| {
            Error::invalid(format!("{field}[{number}].count"), "must be between 1 and 1000")
        })?;
        let kind = kind.as_str_name().trim_start_matches("POST_KIND_").to_ascii_lowercase();
        parsed.push(PostNeed { kind, count });
    }
    Ok(parsed)
}

/// A day that must be there.
pub fn required_day(field: &str, text: &str) -> Result<NaiveDate> {
    day(field, text)?.ok_or_else(|| Error::invalid(field, "is required"))
}

/// The instant at which a day begins.
pub fn morning(day: NaiveDate) -> Timestamp {
    calendar::instant(day, NaiveTime::MIN)
}

/// A first day must lie ahead.
pub fn ahead(field: &str, day: NaiveDate, now: Timestamp) -> Result<()> {
    if day > calendar::local_day(now) {
        return Ok(());
    }
    Err(Error::invalid(field, "must lie after today"))
}

/// The last day of an admission.
pub fn last(field: &str, first: NaiveDate, last: NaiveDate) -> Result<()> {
    let longest = first.checked_add_days(Days::new(MAX_DAYS));
    if first < last && longest.is_none_or(|longest| last <= longest) {
        return Ok(());
    }
    Err(Error::invalid(field, "must lie after the first day, by at most three years"))
}

/// The department and the new holder.
pub struct Between {
    pub from: std::sync::Arc<Organization>,
    pub to: std::sync::Arc<Organization>,
    pub to_kind: OrgKind,
    pub to_unit: UnitId,
}

/// The two organisations, and whether the items may go from the one to the other.
///
/// # Errors
/// `Invalid`, naming the field; what is out of reach is told like what is not there.
pub fn between(
    world: &World,
    caller: &Caller,
    (from, to): (Uuid, Uuid),
    items: &[(String, String)],
    now: Timestamp,
) -> Result<Between> {
    let topology = &world.topology;
    let led = |org: &Organization| {
        let path = topology.path(org.unit_id);
        org.kind == OrganizationKind::Department
            && org.in_force(now)
            && reach::part_orgs(caller).contains(&org.id)
            && path.is_some_and(|path| caller.reaches_as(Role::DeptLeader, &path, org.line.as_deref()))
    };
    let from = topology.org(from).filter(|org| led(org));
    let from = from.ok_or_else(|| Error::invalid("from_org_id", "is not a department that you lead"))?;
    let holder = topology.org(to).filter(|org| {
        org.in_force(now)
            && org_kind(org.kind).is_some_and(may_hold)
            && topology.is_within(org.unit_id, from.unit_id)
    });
    let to = holder.ok_or_else(|| {
        let what = "is not a street office, service station or committee of the department's district";
        Error::invalid("to_org_id", what)
    })?;
    for (field, code) in items {
        let item = world.item(code, now).filter(|item| {
            let own = from.line.as_ref().is_none_or(|line| item.lines.contains(line));
            let handled = item.emergency_channel.is_empty() && item.statutory_channel.is_empty();
            item.department_item && own && handled
        });
        if item.is_none() {
            return Err(Error::invalid(field, "is not an item of this department"));
        }
        let place: Vec<UnitId> =
            topology.path(to.unit_id).unwrap_or_default().iter().copied().map(UnitId).collect();
        // In general: what holds for some cases only bars no transfer.
        let barred = world
            .routes
            .item(code, now)
            .and_then(|item| world.routes.bars_lead(item, to.id.into(), &place, None, now));
        if barred == Some("negative_list") {
            return Err(Error::invalid(field, "is on the negative list of that organisation"));
        }
    }
    let to_kind = org_kind(to.kind).ok_or_else(|| Error::internal("a kind was known a moment ago"))?;
    let to_unit = UnitId(to.unit_id);
    Ok(Between { from, to, to_kind, to_unit })
}

/// As whom the caller is heard: the street's leader, else the community's committee.
pub fn heard_as(world: &World, caller: &Caller, to_unit: UnitId) -> Heard {
    let path = world.topology.path(to_unit.0).unwrap_or_default();
    if caller.reaches_as(Role::StreetLeader, &path, None) { Heard::Street } else { Heard::Community }
}

/// The caller as a signer.
pub fn signer(caller: &Caller) -> Signer {
    Signer::new(&caller.actor_ref, reach::part_orgs(caller).into_iter().map(Into::into).collect())
}

/// What an opinion says.
pub fn view(field: &str, number: i32) -> Result<bool> {
    match pb::OpinionView::try_from(number) {
        Ok(pb::OpinionView::Supports) => Ok(true),
        Ok(pb::OpinionView::Objects) => Ok(false),
        Ok(pb::OpinionView::Unspecified) => Err(Error::invalid(field, "is required")),
        Err(_) => Err(Error::invalid(field, "is not a known value")),
    }
}

/// The code of a state of transfers by which a list is narrowed.
pub fn transfer_state(field: &str, number: i32) -> Result<Option<&'static str>> {
    parse::optional_word(field, number, |state: pb::DutyTransferState| {
        let known = TransferState::ALL.into_iter().find(|known| wire_transfer(*known) == state);
        known.map(TransferState::as_str)
    })
}

/// The code of a state of admissions by which a list is narrowed.
pub fn admission_state(field: &str, number: i32) -> Result<Option<&'static str>> {
    parse::optional_word(field, number, |state: pb::TaskAdmissionState| {
        let known = AdmissionState::ALL.into_iter().find(|known| wire_admission(*known) == state);
        known.map(AdmissionState::as_str)
    })
}

const fn wire_transfer(state: TransferState) -> pb::DutyTransferState {
    match state {
        TransferState::Applied => pb::DutyTransferState::Applied,
        TransferState::Proposed => pb::DutyTransferState::Proposed,
        TransferState::Effective => pb::DutyTransferState::Effective,
        TransferState::Suspended => pb::DutyTransferState::Suspended,
        TransferState::Ended => pb::DutyTransferState::Ended,
        TransferState::RolledBack => pb::DutyTransferState::RolledBack,
    }
}

const fn wire_admission(state: AdmissionState) -> pb::TaskAdmissionState {
    match state {
        AdmissionState::Applied => pb::TaskAdmissionState::Applied,
        AdmissionState::Assessed => pb::TaskAdmissionState::Assessed,
        AdmissionState::Approved => pb::TaskAdmissionState::Approved,
        AdmissionState::InForce => pb::TaskAdmissionState::InForce,
        AdmissionState::Expired => pb::TaskAdmissionState::Expired,
        AdmissionState::Withdrawn => pb::TaskAdmissionState::Withdrawn,
        AdmissionState::Denied => pb::TaskAdmissionState::Denied,
    }
}

/// A leg as answers show it.
pub fn leg(leg: &Leg) -> pb::DutyLeg {
    let (reference, reason_code, at) = match leg {
        Leg::Open => (String::new(), String::new(), None),
        Leg::Confirmed { reference, at } => (reference.clone(), String::new(), Some(*at)),
        Leg::Refused { reason_code, at } => (String::new(), reason_code.clone(), Some(*at)),
    };
    pb::DutyLeg { state: leg_state(leg).into(), reference, reason_code, change_time: at.map(to_proto) }
}

fn opinions(opinions: &Opinions) -> Vec<pb::DutyOpinion> {
    let view = |supports| if supports { pb::OpinionView::Supports } else { pb::OpinionView::Objects };
    let told = opinions.iter().map(|(heard, opinion)| pb::DutyOpinion {
        heard: heard.as_str().to_owned(),
        view: view(opinion.supports).into(),
        reason_code: opinion.reason_code.clone(),
        actor_ref: opinion.by.to_string(),
        opinion_time: Some(to_proto(opinion.at)),
    });
    told.collect()
}

fn assessment(found: &Assessment) -> pb::AdmissionAssessment {
    pb::AdmissionAssessment {
        law_code: found.law.clone(),
        need_code: found.need.clone(),
        load_code: found.load.clone(),
        alternative_code: found.alternative.clone(),
    }
}

/// The courses of a transfer; `None` where it has none.
pub fn training(duty: &DutyTransfer) -> Option<pb::DutyLeg> {
    duty.needs(LegKind::Training).then(|| leg(&duty.legs.training))
}

fn text<T: ToString>(value: Option<&T>) -> String {
    value.map(ToString::to_string).unwrap_or_default()
}

/// A transfer as answers show it.
pub fn transfer(duty: &DutyTransfer) -> pb::DutyTransfer {
    let found = duty.assessment.as_ref();
    pb::DutyTransfer {
        duty_transfer_id: duty.id.to_string(),
        etag: duty.version.to_string(),
        state: wire_transfer(duty.state).into(),
        from_org_id: duty.from.to_string(),
        to_org_id: duty.to.to_string(),
        line: duty.line.clone().unwrap_or_default(),
        item_codes: duty.items.clone(),
        basis_ref: duty.basis_ref.clone(),
        fund_fen: duty.fund_fen,
        posts: posts(&duty.posts),
        effective_time: Some(to_proto(duty.effective_at)),
        deadline_time: Some(to_proto(duty.deadline)),
        authority: Some(leg(&duty.legs.authority)),
        funds: Some(leg(&duty.legs.funds)),
        staff: Some(leg(&duty.legs.staff)),
        opinions: opinions(&duty.opinions),
        proposed_by: duty.proposed_by.to_string(),
        approved_by: text(duty.approved_by.as_ref()),
        proposed_time: Some(to_proto(duty.proposed_at)),
        approved_time: duty.approved_at.map(to_proto),
        reason_code: duty.reason_code.clone().unwrap_or_default(),
        update_time: Some(to_proto(duty.updated_at)),
        assessment: found.map(assessment),
        assessed_by: text(found.map(|found| &found.by)),
        assessed_time: found.map(|found| to_proto(found.at)),
        training_codes: duty.training_codes.clone(),
        training: training(duty),
    }
}

/// An admission as answers show it.
pub fn admission(duty: &TaskAdmission) -> pb::TaskAdmission {
    let found = duty.assessment.as_ref();
    pb::TaskAdmission {
        admission_id: duty.id.to_string(),
        etag: duty.version.to_string(),
        state: wire_admission(duty.state).into(),
        from_org_id: duty.from.to_string(),
        to_org_id: duty.to.to_string(),
        line: duty.line.clone().unwrap_or_default(),
        item_code: duty.item.clone(),
        basis_ref: duty.basis_ref.clone(),
        fund_fen: duty.fund_fen,
        posts: posts(&duty.posts),
        training_codes: duty.training_codes.clone(),
        valid_from_time: Some(to_proto(duty.valid_from)),
        valid_to_time: Some(to_proto(duty.valid_to)),
        assessment: found.map(assessment),
        opinions: opinions(&duty.opinions),
        applied_by: duty.applied_by.to_string(),
        assessed_by: text(found.map(|found| &found.by)),
        approved_by: text(duty.approved_by.as_ref()),
        applied_time: Some(to_proto(duty.applied_at)),
        assessed_time: found.map(|found| to_proto(found.at)),
        approved_time: duty.approved_at.map(to_proto),
        reason_code: duty.reason_code.clone().unwrap_or_default(),
        update_time: Some(to_proto(duty.updated_at)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::duty::post_kind;

    #[test]
    fn every_kind_of_post_survives_the_way_in_and_out() {
        for number in 1..=6 {
            let wanted = [pb::PostNeed { kind: number, count: 3 }];
            let parsed = needs("posts", &wanted, 1).unwrap();
            assert_eq!(posts(&parsed), wanted);
            assert_ne!(post_kind(&parsed[0].kind), PostKind::Unspecified);
        }
    }
}
