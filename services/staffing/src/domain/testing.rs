//! Plain values for the tests of the domain.

use chassis::Timestamp;
use chrono::{DateTime, TimeDelta};
use uuid::Uuid;

use super::{
    Assignment, AssignmentId, AssignmentState, CaseId, OrgId, PersonId, PostId, PostKind, TaskId, UnitId,
    Worker, WorkerId,
};

/// 2026-03-02 09:00 in Wuhan, a Monday.
pub fn now() -> Timestamp {
    DateTime::from_timestamp(1_772_413_200, 0).expect("a valid instant")
}

/// A worker of a station, idle.
pub fn worker() -> Worker {
    Worker {
        id: WorkerId(Uuid::from_u128(1)),
        person_id: PersonId(Uuid::from_u128(2)),
        worker_ref: "p-1".to_owned(),
        post_id: PostId(Uuid::from_u128(3)),
        grant_id: None,
        kind: PostKind::ServiceWorker,
        org_id: OrgId(Uuid::from_u128(4)),
        unit_id: UnitId(Uuid::from_u128(5)),
        line: None,
        area_unit_id: UnitId(Uuid::from_u128(5)),
        skills: Vec::new(),
        auto_accept: false,
        daily_minutes: 480,
        max_open: 20,
        roster: "community".to_owned(),
        active: true,
        open_count: 0,
        open_minutes: 0,
        last_offered_at: None,
    }
}

/// An open offer.
pub fn assignment() -> Assignment {
    Assignment {
        id: AssignmentId(Uuid::from_u128(10)),
        task_id: TaskId(Uuid::from_u128(11)),
        case_id: CaseId(Uuid::from_u128(12)),
        org_id: OrgId(Uuid::from_u128(4)),
        unit_id: UnitId(Uuid::from_u128(5)),
        line: None,
        worker_id: WorkerId(Uuid::from_u128(1)),
        person_id: PersonId(Uuid::from_u128(2)),
        worker_ref: "p-1".to_owned(),
        item_code: "CJ-0102".to_owned(),
        place_unit_id: None,
        weight: 40,
        round: 1,
        slot: 1,
        state: AssignmentState::Offered,
        offered_at: now(),
        offer_due_at: now() + TimeDelta::hours(2),
        due_at: None,
        accepted_at: None,
        on_site_at: None,
        done_at: None,
        ended_at: None,
        minutes: 0,
        evidence: Vec::new(),
        reasons: Vec::new(),
        end_reason: String::new(),
        version: 1,
    }
}
