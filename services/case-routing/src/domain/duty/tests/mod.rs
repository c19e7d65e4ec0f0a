//! Tests of duties: the tables of transfers and admissions, state by verb; random histories of the saga; the arrivals.

mod admissions;
mod arrivals;
mod saga;
mod transfers;
mod undecided;

use chrono::{DateTime, TimeDelta};
use uuid::Uuid;

use super::*;
use crate::domain::ids::{DutyTransferId, UnitId};

const DEPARTMENT: OrgId = OrgId(Uuid::from_u128(1));
const STATION: OrgId = OrgId(Uuid::from_u128(2));

fn at(hours: i64) -> Timestamp {
    DateTime::from_timestamp(1_772_413_200, 0).unwrap() + TimeDelta::hours(hours)
}

fn opinion() -> Opinion {
    Opinion { supports: true, reason_code: "agreed".into(), by: PersonRef("p-heard".into()), at: at(0) }
}

fn arbiter() -> Signer {
    Signer::new("p-arbiter", vec![OrgId(Uuid::from_u128(9))])
}

fn dispatcher() -> Signer {
    Signer::new("p-dispatcher", vec![])
}

fn found() -> Assessment {
    let code = || "checked".to_owned();
    let by = PersonRef("p-dispatcher".into());
    Assessment { law: code(), need: code(), load: code(), alternative: code(), by, at: at(1) }
}

/// Due by hour 100, effective from hour 200, with a course. Nobody has been heard.
fn applied() -> DutyTransfer {
    DutyTransfer {
        id: DutyTransferId(Uuid::from_u128(7)),
        version: 1,
        state: TransferState::Applied,
        from: DEPARTMENT,
        to: STATION,
        to_kind: OrgKind::ServiceStation,
        to_code: "station:1".into(),
        to_unit: UnitId(Uuid::from_u128(3)),
        line: Some("housing".into()),
        items: vec!["X-1".into(), "X-2".into()],
        basis_ref: "doc:1".into(),
        fund_fen: 100,
        posts: vec![PostNeed { kind: "service_worker".into(), count: 1 }],
        training_codes: vec!["basics".into()],
        effective_at: at(200),
        deadline: at(100),
        legs: Legs::default(),
        opinions: Opinions::new(),
        assessment: None,
        proposed_by: PersonRef("p-leader".into()),
        proposed_at: at(0),
        approved_by: None,
        approved_at: None,
        reason_code: None,
        updated_at: at(0),
    }
}

fn confirmed(text: &str) -> LegNews {
    LegNews::Confirmed { reference: text.into() }
}

fn refused() -> LegNews {
    LegNews::Refused { reason_code: "no".into() }
}

fn heard_by_all(transfer: DutyTransfer) -> DutyTransfer {
    let transfer = transfer.opine(Heard::Street, opinion(), at(1)).unwrap().transfer;
    transfer.opine(Heard::Community, opinion(), at(1)).unwrap().transfer
}

/// Heard and assessed; nothing is confirmed.
fn proposed() -> DutyTransfer {
    heard_by_all(applied()).assess(&dispatcher(), found(), at(1)).unwrap().transfer
}

fn with_legs(mut transfer: DutyTransfer) -> DutyTransfer {
    for kind in LegKind::ALL {
        transfer = transfer.leg(kind, &confirmed("ref"), at(2)).unwrap().transfer;
    }
    transfer
}

fn ready() -> DutyTransfer {
    with_legs(proposed()).approve(&arbiter(), at(3)).unwrap().transfer
}

fn in_state(state: TransferState) -> DutyTransfer {
    let effective = || ready().tick(at(200)).unwrap().transfer;
    let transfer = match state {
        TransferState::Applied => heard_by_all(applied()),
        TransferState::Proposed => proposed(),
        TransferState::Effective => effective(),
        TransferState::Suspended => effective().suspend("pause", at(201)).unwrap().transfer,
        TransferState::Ended => effective().end("over", at(201)).unwrap().transfer,
        TransferState::RolledBack => proposed().withdraw("changed", at(3)).unwrap().transfer,
    };
    assert_eq!(transfer.state, state);
    transfer
}

fn code(error: DomainError) -> String {
    match error {
        DomainError::Guard { code, .. } => code.to_owned(),
        other => panic!("{other}"),
    }
}
