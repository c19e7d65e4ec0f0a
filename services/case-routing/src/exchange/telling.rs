//! A change of a ticket in the words of the other system: the same for those that fetch it and, as an event of CloudEvents 1.0 in
//! structured JSON, for those it is posted to. The same change of a state always comes out the same; a referral is told as it stands.

use chassis::{Error, Result, Timestamp, clock::to_proto, proto::case_routing::v1 as pb};
use diesel_async::AsyncPgConnection;
use serde_json::{Value, json};

use super::Mappings;
use crate::{
    atlas::World,
    codes,
    domain::{Case, CaseId, CaseState, ClosedCode, exchange::Mapping},
    store::{exchange::changes::Waiting, read},
};

/// `type` of the events.
const TYPE: &str = "jianghan.case_routing.v1.TicketChange";

/// Tells changes.
#[derive(Debug, Clone, Default)]
pub struct Teller {
    pub mappings: Mappings,
}

impl Teller {
    /// A change as it is told.
    ///
    /// # Errors
    /// From the database.
    pub async fn tell(
        &self,
        conn: &mut AsyncPgConnection,
        world: &World,
        waiting: &Waiting,
    ) -> Result<pb::TicketChange> {
        let mapping = self.mappings.get(conn, &waiting.system_code, waiting.mapping_version).await?;
        let referral = if waiting.kind == "referral" {
            let record = read::case(conn, CaseId(waiting.case_id)).await?;
            record.map(|record| referral(&record.case, world, &mapping))
        } else {
            None
        };
        change(waiting, &mapping, referral)
    }
}

fn change(waiting: &Waiting, mapping: &Mapping, referral: Option<pb::Referral>) -> Result<pb::TicketChange> {
    let state: CaseState = waiting.state.parse().map_err(Error::internal)?;
    let closed: Option<ClosedCode> =
        waiting.closed_code.as_deref().map(str::parse).transpose().map_err(Error::internal)?;
    let kind = match waiting.kind.as_str() {
        "referral" => pb::TicketChangeKind::Referral,
        "remark" => pb::TicketChangeKind::Remark,
        "taken_back" => pb::TicketChangeKind::TakenBack,
        _ => pb::TicketChangeKind::State,
    };
    Ok(pb::TicketChange {
        change_id: waiting.change_id.to_string(),
        ticket_id: waiting.ticket_id.to_string(),
        ext_no: waiting.ext_no.clone().unwrap_or_default(),
        case_no: waiting.case_no.clone(),
        number: waiting.number,
        kind: kind.into(),
        state: codes::case_state(state).into(),
        external_status: mapping.status(state, closed).unwrap_or_default().to_owned(),
        external_closed_code: closed.and_then(|code| mapping.closed(code)).unwrap_or_default().to_owned(),
        closed_code: closed.map_or(0, |code| codes::closed_code(code).into()),
        change_time: Some(to_proto(waiting.at)),
        referral,
        remark_redacted: waiting.words.clone().unwrap_or_default(),
    })
}

/// What is referred goes out redacted: whoever takes it asks for more under an agreement of its own.
fn referral(case: &Case, world: &World, mapping: &Mapping) -> pb::Referral {
    let item = case.item.as_ref().map(|item| item.code.clone()).unwrap_or_default();
    // The nearest unit above the place that the other system knows.
    let units = case.place.path.iter().rev().filter_map(|unit| world.topology.unit(unit.0));
    let codes: Vec<String> = units.map(|unit| unit.code.clone()).collect();
    let area = codes.iter().find_map(|code| mapping.area(code)).unwrap_or_default();
    pb::Referral {
        class_code: mapping.class(&item).unwrap_or_default().to_owned(),
        item_code: item,
        area_code: area.to_owned(),
        place_unit_code: codes.first().cloned().unwrap_or_default(),
        text_redacted: case.text_redacted.clone(),
        registered_time: Some(to_proto(case.registered_at)),
    }
}

/// The event that is posted.
///
/// # Errors
/// When an instant cannot be written, which no stored one is.
pub fn event(change: &pb::TicketChange) -> Result<Vec<u8>> {
    let time = instant(change.change_time.as_ref())?;
    let mut data = json!({
        "changeId": change.change_id,
        "ticketId": change.ticket_id,
        "extNo": change.ext_no,
        "caseNo": change.case_no,
        "number": change.number,
        "kind": change.kind().as_str_name(),
        "state": change.state().as_str_name(),
        "externalStatus": change.external_status,
        "changeTime": time,
    });
    if change.closed_code != 0 {
        data["closedCode"] = change.closed_code().as_str_name().into();
        data["externalClosedCode"] = change.external_closed_code.clone().into();
    }
    if let Some(referral) = &change.referral {
        data["referral"] = json!({
            "itemCode": referral.item_code,
            "classCode": referral.class_code,
            "areaCode": referral.area_code,
            "placeUnitCode": referral.place_unit_code,
            "textRedacted": referral.text_redacted,
            "registeredTime": instant(referral.registered_time.as_ref())?,
        });
    }
    if !change.remark_redacted.is_empty() {
        data["remarkRedacted"] = change.remark_redacted.clone().into();
    }
    let event = json!({
        "specversion": "1.0",
        "id": change.change_id,
        "type": TYPE,
        "source": "/jianghan/case-routing",
        "subject": change.ticket_id,
        "time": time,
        "datacontenttype": "application/json",
        "data": data,
    });
    serde_json::to_vec(&event).map_err(Error::internal)
}

fn instant(at: Option<&prost_types::Timestamp>) -> Result<String> {
    let at: Option<Timestamp> = at.and_then(chassis::clock::from_proto);
    let at = at.ok_or_else(|| Error::internal("a change without its time"))?;
    Ok(at.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true))
}

/// The number that the other system gave a referral in its answer: `{"extNo": "…"}`. Anything else is no number.
pub fn number_in(body: &[u8]) -> Option<String> {
    let answer: Value = serde_json::from_slice(body).ok()?;
    let number = answer.get("extNo")?.as_str()?;
    is_number(number).then(|| number.to_owned())
}

/// Whether a text can be the number of a ticket.
pub fn is_number(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.chars().all(|c| c.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::domain::exchange::Status;

    fn waiting(kind: &str, state: &str, closed: Option<&str>) -> Waiting {
        Waiting {
            seq: 7,
            change_id: Uuid::from_u128(1),
            ticket_id: Uuid::from_u128(2),
            case_id: Uuid::from_u128(3),
            system_code: "hotline".into(),
            ext_no: Some("WH20260302001".into()),
            case_no: "420103-20260302-000001".into(),
            mapping_version: 1,
            number: 4,
            kind: kind.into(),
            state: state.into(),
            closed_code: closed.map(str::to_owned),
            at: "2026-03-02T01:00:00Z".parse().unwrap(),
            words: None,
        }
    }

    #[test]
    fn a_change_is_told_in_the_words_of_the_other_system_and_always_the_same() {
        let mapping = Mapping {
            statuses: vec![
                Status(CaseState::Closed, "办结".into(), None),
                Status(CaseState::Closed, "部分办结".into(), Some(ClosedCode::PartlyResolved)),
            ],
            closed_codes: vec![(ClosedCode::Resolved, "01".into())],
            ..Mapping::default()
        };
        let told = change(&waiting("state", "closed", Some("resolved")), &mapping, None).unwrap();
        assert_eq!((told.external_status.as_str(), told.external_closed_code.as_str()), ("办结", "01"));
        let body = event(&told).unwrap();
        assert_eq!(body, event(&told).unwrap());
        let read: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(
            read,
            json!({
                "specversion": "1.0",
                "id": "00000000-0000-0000-0000-000000000001",
                "type": "jianghan.case_routing.v1.TicketChange",
                "source": "/jianghan/case-routing",
                "subject": "00000000-0000-0000-0000-000000000002",
                "time": "2026-03-02T01:00:00Z",
                "datacontenttype": "application/json",
                "data": {
                    "changeId": "00000000-0000-0000-0000-000000000001",
                    "ticketId": "00000000-0000-0000-0000-000000000002",
                    "extNo": "WH20260302001",
                    "caseNo": "420103-20260302-000001",
                    "number": 4,
                    "kind": "TICKET_CHANGE_KIND_STATE",
                    "state": "CASE_STATE_CLOSED",
                    "externalStatus": "办结",
                    "changeTime": "2026-03-02T01:00:00Z",
                    "closedCode": "CLOSED_CODE_RESOLVED",
                    "externalClosedCode": "01",
                },
            })
        );
        let told = change(&waiting("state", "closed", Some("partly_resolved")), &mapping, None).unwrap();
        let words = (told.external_status.as_str(), told.external_closed_code.as_str());
        assert_eq!(words, ("部分办结", ""), "it ended otherwise");
        let told = change(&waiting("state", "signed", None), &mapping, None).unwrap();
        assert_eq!(
            (told.external_status.as_str(), told.closed_code),
            ("", 0),
            "a state that it has no word for"
        );
    }

    #[test]
    fn what_is_taken_back_is_told_as_withdrawn_with_a_word_or_without() {
        let mapping = Mapping {
            statuses: vec![Status(CaseState::Withdrawn, "撤单".into(), None)],
            closed_codes: vec![(ClosedCode::Withdrawn, "09".into())],
            ..Mapping::default()
        };
        for (mapping, word, code) in [(mapping, "撤单", "09"), (Mapping::default(), "", "")] {
            let waiting = waiting("taken_back", "withdrawn", Some("withdrawn"));
            let told = change(&waiting, &mapping, None).unwrap();
            assert_eq!(
                (told.kind(), told.state()),
                (pb::TicketChangeKind::TakenBack, pb::CaseState::Withdrawn)
            );
            assert_eq!((told.external_status.as_str(), told.external_closed_code.as_str()), (word, code));
            let read: Value = serde_json::from_slice(&event(&told).unwrap()).unwrap();
            assert_eq!(read["data"]["kind"], "TICKET_CHANGE_KIND_TAKEN_BACK");
            assert_eq!(read["data"]["closedCode"], "CLOSED_CODE_WITHDRAWN");
            assert!(read["data"].get("referral").is_none(), "nothing of what is no longer theirs");
        }
    }

    #[test]
    fn words_that_are_passed_on_stand_in_the_change() {
        let waiting = Waiting {
            words: Some("又漏了".into()),
            ..waiting("remark", "handed_off", Some("handed_off"))
        };
        let told = change(&waiting, &Mapping::default(), None).unwrap();
        assert_eq!((told.kind(), told.remark_redacted.as_str()), (pb::TicketChangeKind::Remark, "又漏了"));
        let read: Value = serde_json::from_slice(&event(&told).unwrap()).unwrap();
        assert_eq!(read["data"]["kind"], "TICKET_CHANGE_KIND_REMARK");
        assert_eq!(read["data"]["remarkRedacted"], "又漏了");
    }

    #[test]
    fn a_number_is_taken_from_an_answer_that_is_one() {
        assert_eq!(number_in(br#"{"extNo":"WH-1"}"#).as_deref(), Some("WH-1"));
        let long = format!(r#"{{"extNo":"{}"}}"#, "x".repeat(65));
        for body in [
            &b""[..],
            b"ok",
            b"{}",
            br#"{"extNo":7}"#,
            br#"{"extNo":"a b"}"#,
            br#"{"extNo":""}"#,
            long.as_bytes(),
        ] {
            assert_eq!(number_in(body), None);
        }
    }
}
