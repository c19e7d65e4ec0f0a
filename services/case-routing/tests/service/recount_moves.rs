//! A unit is put under another one where other hours hold: what runs in it is counted by those, later if it comes out later and
//! never earlier.

use chassis::{
    Timestamp,
    auth::Role,
    db::cached,
    event::Event,
    proto::{
        case_routing::v1 as pb,
        identity::v1::{Unit, UnitChanged, UnitKind, UnitState},
    },
    testing::{Persona, TestIdentity},
    topology::{self, Changes, Shared},
};
use chrono::TimeDelta;
use diesel::{QueryableByName, sql_types::BigInt};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use crate::{
    benefits::of_type,
    hours::{FLOOD, clock, due, hours, import, order},
    support::District,
};

const OTHER_STREET: &str = "420103008";

fn at(text: &str) -> Timestamp {
    format!("{text}+08:00").parse().unwrap()
}

/// Identity tells how the community stands.
pub async fn tell(d: &District, parent: Uuid, name: &str, version: i64) {
    let unit = Unit {
        unit_id: d.community.to_string(),
        code: "420103005001".into(),
        code_system: "nbs".into(),
        code_year: 2023,
        kind: UnitKind::Community.into(),
        name_zh: name.into(),
        parent_id: parent.to_string(),
        state: UnitState::Active.into(),
        version,
        ..Unit::default()
    };
    let message = UnitChanged { unit_id: d.community.to_string(), unit: Some(unit) };
    d.service.deliver(Event::of("identity", d.service.clock().now(), d.community, version, &message)).await;
}

async fn moves(d: &District) -> i64 {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = BigInt)]
        moves: i64,
    }
    let mut conn = d.service.db().conn().await.unwrap();
    let row: Row =
        cached("SELECT count(*) AS moves FROM working_hours_moves").get_result(&mut conn).await.unwrap();
    row.moves
}

/// Another replica has noted something of the topology that this one has not read yet.
async fn noted_elsewhere(d: &District) {
    let mut conn = d.service.db().conn().await.unwrap();
    cached("UPDATE topology_version SET version = version + 1").execute(&mut conn).await.unwrap();
}

/// Where a unit was is not known to a replica whose copy is old: it counts as moved, and nothing that was promised changes.
#[tokio::test]
async fn a_change_that_comes_to_a_replica_with_an_old_copy_is_counted_again_to_be_sure() {
    let d = District::start().await;
    let case = d.taken_in(&Persona::resident(d.district)).await;
    let kind = pb::ClockKind::Resolve;
    let closed = import(&d, &order(OTHER_STREET, 1, FLOOD)).await;
    // It may read its copy anew just in between.
    for version in 2..8 {
        noted_elsewhere(&d).await;
        tell(&d, d.street, "renamed", version).await;
        if moves(&d).await > 0 {
            break;
        }
    }
    assert_eq!(moves(&d).await, 1);
    let counted = async || {
        let there = hours(&d, d.community).await.calendar_version;
        there > closed.calendar_version && clock(&d.read(&case).await, kind).calendar_version == there
    };
    d.service.wait_for("the recount", counted).await;
    assert_eq!(due(&d.read(&case).await, kind), due(&case, kind));
    d.service.stop().await;
}

#[tokio::test]
async fn cases_of_a_unit_that_comes_under_a_closed_street_are_due_later_and_none_elsewhere() {
    let d = District::start().await;
    let other = d.another().await; // which learns of it by the database alone
    let resident = Persona::resident(d.district);
    let here = d.taken_in(&resident).await;
    let window = Persona::new(Role::ServiceWorker, d.street).org(d.office);
    let place_unit_id = d.street.to_string();
    let request = pb::IntakeCaseRequest { place_unit_id, ..d.intake_request(&resident) };
    let street = d.cases(&window).intake_case(request).await.unwrap().into_inner().case.unwrap();
    let kind = pb::ClockKind::Resolve;
    let promised = at("2026-03-09T17:00:00");
    assert_eq!((due(&here, kind), due(&street, kind)), (promised, promised));
    let closed = import(&d, &order(OTHER_STREET, 1, FLOOD)).await;
    let version = async |case: &pb::Case| clock(&d.read(case).await, kind).calendar_version;
    d.service.wait_for("the recount", async || version(&here).await == closed.calendar_version).await;
    assert_eq!(due(&d.read(&here).await, kind), promised, "it lies elsewhere");
    d.service.drain_outbox().await;

    tell(&d, d.street, "renamed", 2).await;
    assert_eq!(moves(&d).await, 0, "it lies where it lay");
    tell(&d, d.other_street, "renamed", 3).await;
    let later = promised + TimeDelta::days(2);
    d.service.wait_for("the recount", async || due(&d.read(&here).await, kind) > promised).await;
    assert_eq!((due(&d.read(&here).await, kind), moves(&d).await), (later, 1));
    let counted = async || {
        let there = hours(&d, d.community).await;
        there.calendar_version > closed.calendar_version && version(&street).await == there.calendar_version
    };
    d.service.wait_for("the rest", counted).await;
    assert_eq!(hours(&d, d.community).await.closures.len(), 1);
    assert_eq!(due(&d.read(&street).await, kind), promised);
    let told: Vec<(i64, pb::ClockMoved)> = of_type(&d.service.drain_outbox().await);
    assert!(!told.is_empty() && told.iter().all(|(_, moved)| moved.case_id == here.case_id), "{told:?}");

    tell(&d, d.street, "renamed", 4).await;
    let back = async || {
        let there = hours(&d, d.community).await;
        there.closures.is_empty() && version(&here).await == there.calendar_version
    };
    d.service.wait_for("the recount", async || moves(&d).await == 2 && back().await).await;
    assert_eq!(due(&d.read(&here).await, kind), later, "what was promised meanwhile stays promised");
    assert_eq!(due(&d.taken_in(&resident).await, kind), promised);
    other.stop().await.unwrap();
    d.service.stop().await;
}

/// An event that only the broker held is gone with it, and the database comes from a backup. Identity's snapshot has what it told.
#[tokio::test]
async fn a_move_that_no_event_told_is_learnt_at_the_next_start_and_counted_once() {
    let d = District::start().await;
    let here = d.taken_in(&Persona::resident(d.district)).await;
    let kind = pb::ClockKind::Resolve;
    let promised = due(&here, kind);
    let closed = import(&d, &order(OTHER_STREET, 1, FLOOD)).await;
    let counted = async || clock(&d.read(&here).await, kind).calendar_version == closed.calendar_version;
    d.service.wait_for("the recount", counted).await;
    assert_eq!(due(&d.read(&here).await, kind), promised, "it lies elsewhere");

    let unit = || Shared::load(&d.service.context.topology).unit(d.community).unwrap();
    let there =
        topology::Unit { parent_id: Some(d.other_street), version: 2, ..topology::Unit::clone(&unit()) };
    let secret = d.service.context.crypto.service_secret("case-routing");
    let holds = Changes { units: vec![there], ..Changes::default() };
    let identity = TestIdentity::start(&secret, holds).await;
    let starts = async || d.another_with(|config| config.addresses.extend(identity.addresses())).await;
    let first = starts().await;
    let later = promised + TimeDelta::days(2);
    d.service.wait_for("the recount", async || due(&d.read(&here).await, kind) == later).await;
    assert_eq!(moves(&d).await, 1);
    let known = Shared::load(&first.context.topology);
    assert!(known.unit(d.street).is_some(), "what the snapshot does not have stays");

    let second = starts().await;
    d.service.wait_for("the next snapshot", async || identity.callers().len() > 1).await;
    d.service.wait_for("memory", async || unit().parent_id == Some(d.other_street)).await;
    // The event comes late after all.
    tell(&d, d.other_street, "renamed", 2).await;
    assert_eq!(moves(&d).await, 1, "it was counted with the snapshot");
    first.stop().await.unwrap();
    second.stop().await.unwrap();
    d.service.stop().await;
}
