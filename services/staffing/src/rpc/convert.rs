//! Between the contract's messages and the domain. Every `Invalid` of a request arises here and names its field.

use chassis::{
    Error, Result, Timestamp,
    clock::{from_proto, to_proto},
};
use proto::staffing::v1 as wire;
use uuid::Uuid;

use crate::{
    domain::{Assignment, AssignmentState, Post, PostKind, Worker},
    seed::templates,
    store::shifts::Shift,
};

/// Most references to evidence.
const MAX_EVIDENCE: usize = 20;
/// Most states by which a list is narrowed: each of them is compared with every row.
const MAX_STATES: usize = 50;
/// Most minutes one assignment can have taken: a week.
const MAX_MINUTES: i32 = 7 * 24 * 60;

/// A required id.
pub fn uuid(field: &str, text: &str) -> Result<Uuid> {
    Uuid::try_parse(text)
        .ok()
        .filter(|id| !id.is_nil())
        .ok_or_else(|| Error::invalid(field, "must be a UUID"))
}

/// An optional id: empty is none.
pub fn optional_uuid(field: &str, text: &str) -> Result<Option<Uuid>> {
    if text.is_empty() { Ok(None) } else { uuid(field, text).map(Some) }
}

/// A code: lower-case letters, digits and underscores.
pub fn code(field: &str, text: &str) -> Result<String> {
    let fits = (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    if fits { Ok(text.to_owned()) } else { Err(Error::invalid(field, "must be a code such as `elsewhere`")) }
}

/// A reference to a paper kept elsewhere: visible ASCII.
pub fn reference(field: &str, text: &str) -> Result<String> {
    if (1..=200).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic()) {
        return Ok(text.to_owned());
    }
    Err(Error::invalid(field, "must be a reference of 1–200 visible ASCII characters"))
}

/// A required instant.
pub fn instant(field: &str, at: Option<&prost_types::Timestamp>) -> Result<Timestamp> {
    let at = at.ok_or_else(|| Error::invalid(field, "is missing"))?;
    from_proto(at)
        .filter(|at| (1_000_000_000..10_000_000_000).contains(&at.timestamp()))
        .ok_or_else(|| Error::invalid(field, "is no instant of this or the next century"))
}

/// Minutes worked.
pub fn minutes(minutes: i32) -> Result<i32> {
    if (1..=MAX_MINUTES).contains(&minutes) {
        Ok(minutes)
    } else {
        Err(Error::invalid("minutes", format!("must be 1 to {MAX_MINUTES}")))
    }
}

/// References to evidence: `kind:reference`, never text.
pub fn evidence(references: Vec<String>) -> Result<Vec<String>> {
    if references.len() > MAX_EVIDENCE {
        return Err(Error::invalid("evidence_refs", format!("at most {MAX_EVIDENCE}")));
    }
    for (index, reference) in references.iter().enumerate() {
        let fits = (1..=200).contains(&reference.len())
            && reference.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:/".contains(&b));
        if !fits {
            return Err(Error::invalid(
                format!("evidence_refs[{index}]"),
                "must be a reference such as `photo:after`",
            ));
        }
    }
    Ok(references)
}

/// A pseudonym, as identity gives them.
pub fn worker_ref(text: String) -> Result<String> {
    let fits = (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
    if fits { Ok(text) } else { Err(Error::invalid("worker_ref", "must be a pseudonym")) }
}

/// Declared skills, each once.
pub fn skills(codes: Vec<String>) -> Result<Vec<String>> {
    let mut seen: Vec<String> = Vec::with_capacity(codes.len());
    for (index, code) in codes.into_iter().enumerate() {
        if !templates().skills.contains(&code) {
            return Err(Error::invalid(format!("skill_codes[{index}]"), "is no known skill"));
        }
        if !seen.contains(&code) {
            seen.push(code);
        }
    }
    Ok(seen)
}

/// Wanted states.
pub fn states(numbers: &[i32]) -> Result<Vec<AssignmentState>> {
    if numbers.len() > MAX_STATES {
        return Err(Error::invalid("states", format!("at most {MAX_STATES}")));
    }
    let state = |(index, number): (usize, &i32)| {
        i16::try_from(*number)
            .ok()
            .and_then(AssignmentState::from_number)
            .ok_or_else(|| Error::invalid(format!("states[{index}]"), "is no state"))
    };
    numbers.iter().enumerate().map(state).collect()
}

/// Kind of a post.
pub fn post_kind(number: i32) -> Result<PostKind> {
    PostKind::from_number(number).ok_or_else(|| Error::invalid("kind", "must be a kind of post"))
}

impl From<&Assignment> for wire::Assignment {
    fn from(a: &Assignment) -> Self {
        Self {
            assignment_id: a.id.to_string(),
            task_id: a.task_id.to_string(),
            case_id: a.case_id.to_string(),
            org_id: a.org_id.to_string(),
            worker_id: a.worker_id.to_string(),
            worker_ref: a.worker_ref.clone(),
            state: a.state as i32,
            offer_time: Some(to_proto(a.offered_at)),
            accept_time: a.accepted_at.map(to_proto),
            on_site_time: a.on_site_at.map(to_proto),
            done_time: a.done_at.map(to_proto),
            due_time: a.due_at.map(to_proto),
            minutes: a.minutes,
            etag: a.version.to_string(),
            reasons: a.reasons.clone(),
            item_code: a.item_code.clone(),
            place_unit_id: a.place_unit_id.map(|id| id.to_string()).unwrap_or_default(),
            offer_due_time: Some(to_proto(a.offer_due_at)),
            end_reason_code: a.end_reason.clone(),
            evidence_refs: a.evidence.clone(),
        }
    }
}

impl From<&Post> for wire::Post {
    fn from(post: &Post) -> Self {
        Self {
            post_id: post.id.to_string(),
            post_no: post.number.clone(),
            kind: post.kind as i32,
            org_id: post.org_id.to_string(),
            unit_id: post.unit_id.to_string(),
            line: post.line.clone().unwrap_or_default(),
            state: post.state.code().to_owned(),
        }
    }
}

impl From<&Worker> for wire::Worker {
    fn from(worker: &Worker) -> Self {
        Self {
            worker_id: worker.id.to_string(),
            person_id: worker.person_id.to_string(),
            worker_ref: worker.worker_ref.clone(),
            org_id: worker.org_id.to_string(),
            area_unit_id: worker.area_unit_id.to_string(),
            skill_codes: worker.skills.clone(),
            active: worker.active,
            open_assignments: worker.open_count,
            auto_accept: worker.auto_accept,
            post_id: worker.post_id.to_string(),
            open_minutes: worker.open_minutes,
        }
    }
}

impl From<&Shift> for wire::Shift {
    fn from(shift: &Shift) -> Self {
        Self {
            shift_id: shift.id.to_string(),
            worker_id: shift.worker_id.to_string(),
            start_time: Some(to_proto(shift.starts_at)),
            end_time: Some(to_proto(shift.ends_at)),
            cancelled: shift.cancelled,
        }
    }
}
