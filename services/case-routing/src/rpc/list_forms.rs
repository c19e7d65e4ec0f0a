//! Versions and entries of the responsibility list as requests say them and answers show them.

use chassis::{Error, Result, Timestamp, clock::to_proto, proto::case_routing::v1 as pb};
use chrono::NaiveDate;

use super::parse;
use crate::{
    atlas::World,
    domain::{Condition, ListPart, ListState, NoCondition, OrgKind, Period},
    listing::{Draft, EntryDifference, ListEntry},
    seed,
    store::lists::VersionRow,
};

/// Most rows of a draft.
const MAX_ROWS: usize = 5000;

pub(super) fn number(field: &str, number: i32) -> Result<i32> {
    if number > 0 { Ok(number) } else { Err(Error::invalid(field, "is not the number of a version")) }
}

/// A day that may be left out.
pub(super) fn day(field: impl Into<String>, text: &str) -> Result<Option<NaiveDate>> {
    if text.is_empty() {
        return Ok(None);
    }
    let known = |day: &NaiveDate| (1..=9999).contains(&chrono::Datelike::year(day));
    let day = text.parse().ok().filter(known);
    day.map(Some).ok_or_else(|| Error::invalid(field, "is not a day such as 2026-03-01"))
}

pub(super) fn draft(request: &pb::CreateListVersionRequest) -> Result<Draft> {
    for (field, rows) in
        [("upserts", request.upserts.len()), ("removed_rule_ids", request.removed_rule_ids.len())]
    {
        if rows > MAX_ROWS {
            return Err(Error::invalid(field, format!("has at most {MAX_ROWS} rows")));
        }
    }
    if request.base_version < 0 {
        return Err(Error::invalid("base_version", "is not the number of a version"));
    }
    if request.whole && !request.removed_rule_ids.is_empty() {
        return Err(Error::invalid(
            "removed_rule_ids",
            "a whole list takes nothing over that could fall away",
        ));
    }
    let upserts = request.upserts.iter().enumerate();
    Ok(Draft {
        upserts: upserts.map(|(number, entry)| upsert(number, entry)).collect::<Result<_>>()?,
        removed: request.removed_rule_ids.clone(),
        whole: request.whole,
    })
}

/// One row, as far as it can be judged alone.
fn upsert(number: usize, entry: &pb::ListEntry) -> Result<ListEntry> {
    let field = |name: &str| format!("upserts[{number}].{name}");
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    let rule = &entry.rule_id;
    if rule.is_empty() || rule.len() > 64 || !rule.chars().all(plain) {
        return Err(Error::invalid(field("rule_id"), "must be 1–64 characters A–Z, a–z, 0–9, '_', '.', '-'"));
    }
    let basis = &entry.basis_doc;
    if basis.is_empty() || basis.chars().count() > 200 || basis.chars().any(char::is_control) {
        return Err(Error::invalid(
            field("basis_doc"),
            "must be 1–200 characters, none of them a control character",
        ));
    }
    let some = |name: &str, text: &String| match text.is_empty() {
        true => Ok(None),
        false => parse::reference(&field(name), text).map(Some),
    };
    let kind = some("org_kind", &entry.org_kind)?;
    let kind = kind.map(|kind| kind.parse::<OrgKind>()).transpose();
    Ok(ListEntry {
        entry: seed::Entry {
            rule_id: rule.clone(),
            item_code: entry.item_code.clone(),
            part: parse::word(&field("part"), entry.part, list_part, None)?,
            org_kind: kind.map_err(|_| Error::invalid(field("org_kind"), "is not a kind of organisation"))?,
            line: some("line", &entry.line)?,
            org: some("org_code", &entry.org_code)?,
            condition: condition(&field("condition"), &entry.condition)?,
            basis_doc: basis.clone(),
            mandatory: entry.mandatory,
            authority_granted: false,
            transfer_ref: some("transfer_ref", &entry.transfer_ref)?,
            precedent_id: None,
            fund_line: None,
        },
        from: day(field("valid_from"), &entry.valid_from)?.unwrap_or(NaiveDate::default()),
        to: day(field("valid_to"), &entry.valid_to)?,
    })
}

/// A condition that may be left out.
fn condition(field: &str, text: &str) -> Result<Option<Condition>> {
    if text.is_empty() {
        return Ok(None);
    }
    let parsed = text.parse().map(Some);
    parsed.map_err(|error: NoCondition| Error::invalid(field, error.to_string()))
}

fn list_part(part: pb::ListPart) -> Option<ListPart> {
    Some(match part {
        pb::ListPart::Unspecified => return None,
        pb::ListPart::Lead => ListPart::Lead,
        pb::ListPart::Assist => ListPart::Assist,
        pb::ListPart::StatutoryDuty => ListPart::StatutoryDuty,
        pb::ListPart::AssistDuty => ListPart::AssistDuty,
        pb::ListPart::Negative => ListPart::Negative,
    })
}

pub(super) fn entry(listed: &ListEntry) -> pb::ListEntry {
    let entry = &listed.entry;
    let part = match entry.part {
        ListPart::Lead => pb::ListPart::Lead,
        ListPart::Assist => pb::ListPart::Assist,
        ListPart::StatutoryDuty => pb::ListPart::StatutoryDuty,
        ListPart::AssistDuty => pb::ListPart::AssistDuty,
        ListPart::Negative => pb::ListPart::Negative,
    };
    pb::ListEntry {
        rule_id: entry.rule_id.clone(),
        item_code: entry.item_code.clone(),
        part: part.into(),
        org_code: entry.org.clone().unwrap_or_default(),
        org_kind: entry.org_kind.map(|kind| kind.to_string()).unwrap_or_default(),
        line: entry.line.clone().unwrap_or_default(),
        mandatory: entry.mandatory,
        transfer_ref: entry.transfer_ref.clone().unwrap_or_default(),
        basis_doc: entry.basis_doc.clone(),
        valid_from: listed.from.to_string(),
        valid_to: listed.to.map(|day| day.to_string()).unwrap_or_default(),
        precedent_id: entry.precedent_id.map(|id| id.to_string()).unwrap_or_default(),
        authority_granted: entry.authority_granted,
        fund_line: entry.fund_line.clone().unwrap_or_default(),
        condition: entry.condition.as_ref().map(ToString::to_string).unwrap_or_default(),
    }
}

/// A version as it stands at an instant.
pub(super) fn told(row: &VersionRow, periods: &[Period], world: &World, at: Timestamp) -> pb::ListVersion {
    let version = row.version(periods);
    let state = match version.state(at) {
        ListState::Draft => pb::ListState::Draft,
        ListState::Canary => pb::ListState::Canary,
        ListState::Scheduled => pb::ListState::Scheduled,
        ListState::InForce => pb::ListState::InForce,
        ListState::Superseded => pb::ListState::Superseded,
        ListState::Withdrawn => pb::ListState::Withdrawn,
    };
    pb::ListVersion {
        list_version: row.list_version,
        state: state.into(),
        base_version: row.base_version.unwrap_or_default(),
        entry_count: row.entry_count,
        effective_time: version.effective_from().map(to_proto),
        canary_unit_id: version
            .canary_unit(at)
            .map(|unit| world.routes.open_at(unit).to_string())
            .unwrap_or_default(),
        reason_code: row.reason_code.clone(),
        drafted_by: row.drafted_by.clone(),
        drafted_time: Some(to_proto(row.drafted_at)),
        approved_by: row.approved_by.clone().unwrap_or_default(),
        approved_time: row.approved_at.map(to_proto),
        withdrawn_by: row.withdrawn_by.clone().unwrap_or_default(),
        withdrawn_time: row.withdrawn_at.map(to_proto),
        withdrawn_reason_code: row.withdrawn_reason.clone().unwrap_or_default(),
        cited_as: world.cited(row.list_version).at(at).to_string(),
    }
}

/// A rule that two versions have differently.
pub(super) fn difference((rule_id, found): (String, EntryDifference)) -> pb::ListDifference {
    let (before, after) = (found.before.as_ref().map(entry), found.after.as_ref().map(entry));
    pb::ListDifference { rule_id, before, after }
}
