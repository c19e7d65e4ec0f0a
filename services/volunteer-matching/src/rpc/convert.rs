//! Between messages and domain values. Every `Invalid` of the service's requests arises here or in the domain.

use chassis::{Error, Result, clock::to_proto, proto::volunteer_matching::v1 as wire};
use uuid::Uuid;

use crate::{
    domain::{
        Volunteer, VolunteerState,
        offer::{Offer, OfferState, RecordState},
    },
    store::records::RecordRow,
};

/// A required id.
pub fn id(field: &str, text: &str) -> Result<Uuid> {
    text.parse().map_err(|_| Error::invalid(field, "is not a UUID"))
}

/// An id that may be left out.
pub fn optional_id(field: &str, text: &str) -> Result<Option<Uuid>> {
    if text.is_empty() { Ok(None) } else { id(field, text).map(Some) }
}

/// A code: short, lower-case, no free text.
pub fn code(field: &str, text: &str) -> Result<String> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if text.is_empty() || text.len() > 64 || !text.chars().all(fits) {
        return Err(Error::invalid(field, "is not a code (lower-case letters, digits, `_`)"));
    }
    Ok(text.to_owned())
}

/// A pseudonym as identity gives them. Anything freer would let names into events.
pub fn pseudonym(field: &str, text: &str) -> Result<String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if !(3..=64).contains(&text.len()) || !text.chars().all(fits) {
        return Err(Error::invalid(field, "is not a pseudonym (3 to 64 letters, digits, `-`, `_`)"));
    }
    Ok(text.to_owned())
}

/// References to evidence: at most 20, each short and without blanks, because they travel in events and no free text
/// may.
pub fn references(field: &str, texts: &[String]) -> Result<Vec<String>> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_.:/".contains(c);
    let reference = |text: &String| (1..=200).contains(&text.len()) && text.chars().all(fits);
    if texts.len() > 20 || !texts.iter().all(reference) {
        return Err(Error::invalid(field, "at most 20 references of 1 to 200 letters, digits or `-_.:/`"));
    }
    Ok(texts.to_vec())
}

/// States asked for; a bounded number, as each is compared with every row.
pub fn states(field: &str, values: &[i32]) -> Result<Vec<OfferState>> {
    if values.len() > 50 {
        return Err(Error::invalid(field, "at most 50 states"));
    }
    values
        .iter()
        .map(|value| {
            let state = wire::OfferState::try_from(*value)
                .ok()
                .filter(|state| *state != wire::OfferState::Unspecified);
            let state = state.ok_or_else(|| Error::invalid(field, "is not a state"))?;
            let text = state.as_str_name().trim_start_matches("OFFER_STATE_").to_ascii_lowercase();
            OfferState::parse(&text).ok_or_else(|| Error::invalid(field, "is not a state"))
        })
        .collect()
}

/// An offer as callers see it. Who else was ranked, and has not stepped back, is shown to the organisation's managers
/// only.
pub fn offer(offer: &Offer, managed: &[Uuid]) -> wire::Offer {
    let candidates = if managed.contains(&offer.org_id) { offer.candidates.as_slice() } else { &[] };
    wire::Offer {
        offer_id: offer.id.to_string(),
        case_id: offer.case_id.to_string(),
        org_id: offer.org_id.to_string(),
        state: offer_state(offer.state).into(),
        item_code: offer.item_code.clone(),
        place_unit_id: offer.place_unit_id.map(|id| id.to_string()).unwrap_or_default(),
        due_time: Some(to_proto(offer.due_at)),
        candidates: candidates
            .iter()
            .filter(|candidate| !offer.stepped_back.contains(&candidate.volunteer_id))
            .map(|candidate| wire::OfferCandidate {
                volunteer_id: candidate.volunteer_id.to_string(),
                score: candidate.score,
                reasons: candidate.reasons.clone(),
            })
            .collect(),
        volunteer_id: offer.volunteer_id.map(|id| id.to_string()).unwrap_or_default(),
        etag: offer.version.to_string(),
        create_time: Some(to_proto(offer.created_at)),
        awaits_hours: offer.awaits_hours(),
    }
}

fn offer_state(state: OfferState) -> wire::OfferState {
    match state {
        OfferState::Offered => wire::OfferState::Offered,
        OfferState::Accepted => wire::OfferState::Accepted,
        OfferState::Confirmed => wire::OfferState::Confirmed,
        OfferState::Declined => wire::OfferState::Declined,
        OfferState::Expired => wire::OfferState::Expired,
        OfferState::Withdrawn => wire::OfferState::Withdrawn,
        OfferState::Completed => wire::OfferState::Completed,
        OfferState::GivenUp => wire::OfferState::GivenUp,
    }
}

/// A volunteer as the own organisation sees one.
pub fn volunteer(volunteer: &Volunteer) -> wire::Volunteer {
    let state = match volunteer.state {
        VolunteerState::Registered => wire::VolunteerState::Registered,
        VolunteerState::Verified => wire::VolunteerState::Verified,
        VolunteerState::Active => wire::VolunteerState::Active,
        VolunteerState::Paused => wire::VolunteerState::Paused,
        VolunteerState::Left => wire::VolunteerState::Left,
    };
    wire::Volunteer {
        volunteer_id: volunteer.id.to_string(),
        person_id: volunteer.person_id.to_string(),
        volunteer_ref: volunteer.volunteer_ref.clone(),
        org_id: volunteer.org_id.to_string(),
        home_unit_id: volunteer.home_unit_id.map(|id| id.to_string()).unwrap_or_default(),
        skill_codes: volunteer.skill_codes.clone().unwrap_or_default(),
        state: state.into(),
        locked_minutes: i32::try_from(volunteer.locked_minutes).unwrap_or(i32::MAX),
    }
}

/// A service record as lists show it.
pub fn record(row: &RecordRow) -> wire::ServiceRecord {
    let state = match RecordState::parse(&row.state) {
        Some(RecordState::Drafted) => wire::ServiceRecordState::Drafted,
        Some(RecordState::BeneficiaryConfirmed) => wire::ServiceRecordState::BeneficiaryConfirmed,
        Some(RecordState::OrgConfirmed) => wire::ServiceRecordState::OrgConfirmed,
        Some(RecordState::Locked) => wire::ServiceRecordState::Locked,
        Some(RecordState::Voided) => wire::ServiceRecordState::Voided,
        None => wire::ServiceRecordState::Unspecified,
    };
    wire::ServiceRecord {
        record_id: row.record_id.to_string(),
        offer_id: row.offer_id.to_string(),
        case_id: row.case_id.to_string(),
        volunteer_id: row.volunteer_id.map(|id| id.to_string()).unwrap_or_default(),
        org_id: row.org_id.to_string(),
        minutes: row.minutes,
        state: state.into(),
        start_time: Some(to_proto(row.started_at)),
        end_time: Some(to_proto(row.ended_at)),
    }
}
