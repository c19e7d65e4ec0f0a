//! Fields of requests of `ExchangeService` into our words, and what it answers with.

use chassis::{Error, Result, clock::to_proto, proto::case_routing::v1 as pb};
use uuid::Uuid;

use super::parse;
use crate::{
    codes,
    domain::{
        Urgency,
        exchange::{Mapping, Paper, Pushed, Row, Status},
    },
    exchange::{push::Push, reports::Said, telling::is_number},
    store::exchange::{mappings::Version, systems::System, tickets::Ticket},
};

/// Entries of each list of a mapping.
const MOST_ROWS: usize = 5_000;

/// A code of another system: whatever it uses, in one line.
pub fn code(field: &str, text: &str, most: usize) -> Result<String> {
    if text.chars().count() > most || text.chars().any(char::is_control) {
        let message = format!("has at most {most} characters, none of them a control character");
        return Err(Error::invalid(field, message));
    }
    Ok(text.trim().to_owned())
}

/// A code by which a list is narrowed; empty: not narrowed.
pub fn filter(field: &str, text: &str) -> Result<Option<String>> {
    code(field, text, 64).map(|text| (!text.is_empty()).then_some(text))
}

/// A state by which tickets are narrowed, as it is stored.
pub fn sync_state(field: &str, number: i32) -> Result<Option<&'static str>> {
    parse::optional_word(field, number, |word: pb::SyncState| {
        Some(match word {
            pb::SyncState::Unspecified => return None,
            pb::SyncState::Pending => "pending",
            pb::SyncState::Synced => "synced",
            pb::SyncState::Retrying => "retrying",
            pb::SyncState::Failed => "failed",
            pb::SyncState::Paused => "paused",
        })
    })
}

fn told_state(word: &str) -> pb::SyncState {
    match word {
        "pending" => pb::SyncState::Pending,
        "synced" => pb::SyncState::Synced,
        "retrying" => pb::SyncState::Retrying,
        "failed" => pb::SyncState::Failed,
        "paused" => pb::SyncState::Paused,
        _ => pb::SyncState::Unspecified,
    }
}

/// Which way tickets go, as it is stored.
pub fn direction(field: &str, number: i32) -> Result<&'static str> {
    let word = |word: pb::ExchangeDirection| {
        Some(match word {
            pb::ExchangeDirection::Unspecified => return None,
            pb::ExchangeDirection::In => "in",
            pb::ExchangeDirection::Out => "out",
            pb::ExchangeDirection::Both => "both",
        })
    };
    parse::word(field, number, word, None)
}

fn told_direction(word: &str) -> pb::ExchangeDirection {
    match word {
        "in" => pb::ExchangeDirection::In,
        "out" => pb::ExchangeDirection::Out,
        _ => pb::ExchangeDirection::Both,
    }
}

/// Whether anything goes either way, as it is stored.
pub fn system_state(field: &str, number: i32) -> Result<&'static str> {
    let word = |word: pb::ExternalSystemState| {
        Some(match word {
            pb::ExternalSystemState::Unspecified => return None,
            pb::ExternalSystemState::On => "on",
            pb::ExternalSystemState::Paused => "paused",
        })
    };
    parse::word(field, number, word, None)
}

/// A single push as one of several.
pub fn ticket_of(m: pb::PushTicketRequest) -> pb::Ticket {
    pb::Ticket {
        ext_no: m.ext_no,
        text: m.text,
        class_code: m.class_code,
        area_code: m.area_code,
        class_name: m.class_name,
        anonymous: m.anonymous,
        contact: m.contact,
        urgency: m.urgency,
        reported_time: m.reported_time,
    }
}

/// A push.
pub fn push(ticket: pb::Ticket) -> Result<Push> {
    if !is_number(&ticket.ext_no) {
        return Err(Error::invalid("ext_no", "must have 1–64 visible ASCII characters"));
    }
    let text = parse::words("text", &ticket.text, 0, 20_000)?;
    // What somebody who does not want to be known was not to be asked for is not kept.
    let contact = ticket.contact.filter(|_| !ticket.anonymous).unwrap_or_default();
    Ok(Push {
        pushed: Pushed {
            text,
            class_code: code("class_code", &ticket.class_code, 64)?,
            class_name: code("class_name", &ticket.class_name, 100)?,
            area_code: code("area_code", &ticket.area_code, 64)?,
            name: code("contact.name", &contact.name, 50)?,
            phone: code("contact.phone", &contact.phone, 32)?,
            anonymous: ticket.anonymous,
        },
        urgency: parse::word("urgency", ticket.urgency, codes::urgency_from, Some(Urgency::Normal))?,
        reported_at: parse::optional_time("reported_time", ticket.reported_time.as_ref())?,
        ext_no: ticket.ext_no,
    })
}

/// A report on a referral.
pub fn said(m: pb::ReportTicketStatusRequest) -> Result<Said> {
    let number = |field: &str, text: &str| {
        let message = "must have 1–64 visible ASCII characters";
        if is_number(text) { Ok(text.to_owned()) } else { Err(Error::invalid(field, message)) }
    };
    let ticket = parse::optional_id("ticket_id", &m.ticket_id)?;
    let ext_no = Some(&m.ext_no).filter(|text| !text.is_empty());
    let ext_no = ext_no.map(|text| number("ext_no", text)).transpose()?;
    if ticket.is_none() && ext_no.is_none() {
        return Err(Error::invalid("ext_no", "is required without a ticket_id"));
    }
    let status = code("external_status", &m.external_status, 64)?;
    if status.is_empty() {
        return Err(Error::invalid("external_status", "is required"));
    }
    Ok(Said {
        ticket,
        ext_no,
        report_ref: number("report_ref", &m.report_ref)?,
        status,
        at: parse::optional_time("changed_time", m.changed_time.as_ref())?,
    })
}

/// Why one of several was not taken. What is our own fault is logged here, for no status carries it.
pub fn refusal(error: &Error) -> pb::PushRefusal {
    if matches!(error, Error::Internal(_)) {
        tracing::error!(error = %error.chain(), "a ticket could not be taken in");
    }
    let field = match error {
        Error::Invalid { field, .. } => field.clone(),
        _ => String::new(),
    };
    let message = match error {
        // In whole seconds, rounded up: who comes earlier is refused again.
        Error::Exhausted { retry_after } => {
            format!("{error}: in {} s", retry_after.as_millis().div_ceil(1_000).max(1))
        }
        _ => error.to_string(),
    };
    let reason = match error {
        Error::WrongState { code, .. } => code.clone().unwrap_or_default(),
        _ => String::new(),
    };
    pb::PushRefusal { code: error.code().to_owned(), field, message, reason }
}

/// The number of a referral.
pub fn number(place: usize, number: &pb::ReferralNumber) -> Result<(Uuid, String)> {
    let change = parse::id(&format!("numbers[{place}].change_id"), &number.change_id)?;
    if !is_number(&number.ext_no) {
        let field = format!("numbers[{place}].ext_no");
        return Err(Error::invalid(field, "must have 1–64 visible ASCII characters"));
    }
    Ok((change, number.ext_no.clone()))
}

/// The entries of a mapping, as far as the request alone tells.
pub fn mapping(m: &pb::DraftMappingRequest) -> Result<Mapping> {
    let few = |field: &str, count: usize| {
        if count > MOST_ROWS { Err(Error::invalid(field, "has at most 5000 entries")) } else { Ok(()) }
    };
    few("classes", m.classes.len())?;
    few("areas", m.areas.len())?;
    few("statuses", m.statuses.len())?;
    few("closed_codes", m.closed_codes.len())?;
    few("return_statuses", m.return_statuses.len())?;
    let classes = m.classes.iter().enumerate().map(|(n, row)| -> Result<Row> {
        let class = code(&format!("classes[{n}].class_code"), &row.class_code, 64)?;
        Ok((class, code(&format!("classes[{n}].item_code"), &row.item_code, 64)?))
    });
    let areas = m.areas.iter().enumerate().map(|(n, row)| -> Result<Row> {
        let area = code(&format!("areas[{n}].area_code"), &row.area_code, 64)?;
        Ok((area, code(&format!("areas[{n}].unit_code"), &row.unit_code, 64)?))
    });
    let statuses = m.statuses.iter().enumerate().map(|(n, row)| {
        let state = parse::word(&format!("statuses[{n}].state"), row.state, codes::case_state_from, None)?;
        let status = code(&format!("statuses[{n}].external_status"), &row.external_status, 64)?;
        let field = format!("statuses[{n}].closed_code");
        let ended = parse::optional_word(&field, row.closed_code, codes::closed_code_from)?;
        Ok(Status(state, status, ended))
    });
    let closed = m.closed_codes.iter().enumerate().map(|(n, row)| {
        let field = format!("closed_codes[{n}].closed_code");
        let ours = parse::word(&field, row.closed_code, codes::closed_code_from, None)?;
        Ok((ours, code(&format!("closed_codes[{n}].external_code"), &row.external_code, 64)?))
    });
    let returns = m.return_statuses.iter().enumerate();
    let returns = returns.map(|(n, word)| code(&format!("return_statuses[{n}]"), word, 64));
    Ok(Mapping {
        classes: classes.collect::<Result<_>>()?,
        areas: areas.collect::<Result<_>>()?,
        statuses: statuses.collect::<Result<_>>()?,
        closed_codes: closed.collect::<Result<_>>()?,
        return_statuses: returns.collect::<Result<_>>()?,
    })
}

/// A version as it is answered.
pub fn version(version: &Version) -> Result<pb::Mapping> {
    let mapping = version.mapping()?;
    let state = match version.state.as_str() {
        "draft" => pb::MappingState::Draft,
        "in_force" => pb::MappingState::InForce,
        "superseded" => pb::MappingState::Superseded,
        _ => pb::MappingState::Withdrawn,
    };
    let classes = mapping.classes.into_iter();
    let areas = mapping.areas.into_iter();
    let statuses = mapping.statuses.into_iter().map(|Status(state, external_status, ended)| pb::StatusRule {
        state: codes::case_state(state).into(),
        external_status,
        closed_code: ended.map_or(0, |ended| codes::closed_code(ended).into()),
    });
    let closed = mapping.closed_codes.into_iter().map(|(code, external_code)| pb::ClosedRule {
        closed_code: codes::closed_code(code).into(),
        external_code,
    });
    Ok(pb::Mapping {
        system_code: version.system_code.clone(),
        mapping_version: version.mapping_version,
        state: state.into(),
        classes: classes.map(|(class_code, item_code)| pb::ClassRule { class_code, item_code }).collect(),
        areas: areas.map(|(area_code, unit_code)| pb::AreaRule { area_code, unit_code }).collect(),
        statuses: statuses.collect(),
        closed_codes: closed.collect(),
        return_statuses: mapping.return_statuses,
        drafted_by: version.drafted_by.clone(),
        approved_by: version.approved_by.clone().unwrap_or_default(),
        drafted_time: Some(to_proto(version.drafted_at)),
        approved_time: version.approved_at.map(to_proto),
        endpoint: version.endpoint.clone().unwrap_or_default(),
        system_endpoint: version.system_endpoint.clone(),
    })
}

/// A system as it is answered; never its secrets.
pub fn system(system: &System) -> pb::ExternalSystem {
    let state = if system.is_on() { pb::ExternalSystemState::On } else { pb::ExternalSystemState::Paused };
    pb::ExternalSystem {
        system_code: system.system_code.clone(),
        name_zh: system.name_zh.clone(),
        name_en: system.name_en.clone(),
        direction: told_direction(&system.direction).into(),
        state: state.into(),
        client_id: system.client_id.map(|id| id.to_string()).unwrap_or_default(),
        endpoint: system.endpoint.clone(),
        line_codes: system.line_codes.clone(),
        has_secret: system.sealed_secrets.is_some(),
        mapping_version: system.mapping_version,
        etag: system.version.to_string(),
        update_time: Some(to_proto(system.updated_at)),
    }
}

/// A ticket as it is answered.
pub fn ticket(ticket: &Ticket) -> Result<pb::ExternalTicket> {
    let reported = ticket.reported()?;
    Ok(pb::ExternalTicket {
        ticket_id: ticket.ticket_id.to_string(),
        system_code: ticket.system_code.clone(),
        system_name_zh: ticket.name_zh.clone(),
        system_name_en: ticket.name_en.clone(),
        ext_no: ticket.ext_no.clone().unwrap_or_default(),
        case_id: ticket.case_id.to_string(),
        case_no: ticket.case_no.clone(),
        direction: told_direction(&ticket.direction).into(),
        mapping_version: ticket.mapping_version,
        sync_state: told_state(&ticket.sync_state).into(),
        last_error_code: ticket.last_error.clone(),
        attempts: ticket.attempts,
        waiting_count: ticket.waiting,
        class_code: ticket.class_code.clone(),
        class_name: ticket.class_name.clone(),
        area_code: ticket.area_code.clone(),
        remark_count: ticket.remark_count,
        remarked_time: ticket.remarked_at.map(to_proto),
        taken_time: Some(to_proto(ticket.taken_at)),
        next_attempt_time: ticket.due_at.map(to_proto),
        reported_time: ticket.reported_at.map(to_proto),
        external_state: reported.as_ref().map_or(0, |known| codes::case_state(known.state).into()),
        external_status_time: reported.as_ref().map(|known| to_proto(known.at)),
        external_status: reported.map(|known| known.status).unwrap_or_default(),
        taken_back_time: ticket.taken_back_at.map(to_proto),
    })
}

/// What was pushed: in full, or the contact alone for whoever only calls back.
pub fn revealed(paper: &Paper, in_full: bool) -> pb::RevealTicketResponse {
    let contact = Some(pb::TicketContact { name: paper.name.clone(), phone: paper.phone.clone() });
    if !in_full {
        return pb::RevealTicketResponse { contact, ..Default::default() };
    }
    let remark = |remark: &crate::domain::exchange::Remark| pb::TicketRemark {
        text: remark.text.clone(),
        remarked_time: Some(to_proto(remark.at)),
    };
    pb::RevealTicketResponse {
        contact,
        text: paper.text.clone(),
        remarks: paper.remarks.iter().map(remark).collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn who_is_refused_for_now_is_told_when_to_come_again() {
        let refused = refusal(&Error::Exhausted { retry_after: Duration::from_millis(2_300) });
        assert_eq!(refused.code, "exhausted");
        assert_eq!(refused.message, "too much at once, try again later: in 3 s");
        let refused = refusal(&Error::Forbidden);
        assert_eq!((refused.code.as_str(), refused.message.as_str()), ("forbidden", "not permitted"));
    }
}
