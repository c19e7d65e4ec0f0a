//! Review days of benefits that go by: none whose re-check cannot begin keeps another waiting, and one of a place that was merged
//! begins where that went.

use chassis::{
    Timestamp,
    clock::{from_proto, new_id},
    db::cached,
    event::Event,
    proto::{
        case_routing::v1 as pb,
        identity::v1::{OrganizationChanged, UnitChanged},
    },
    testing::Persona,
    topology::{Organization, Unit, UnitState},
};
use chrono::TimeDelta;
use diesel::{
    QueryableByName,
    sql_types::{Nullable, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use crate::{benefits::of_type, support::District};

#[derive(QueryableByName)]
struct Due {
    #[diesel(sql_type = Nullable<Timestamptz>)]
    due_at: Option<Timestamp>,
}

/// When the sweeper looks at it next.
async fn due(d: &District, benefit: &str) -> Option<Timestamp> {
    let mut conn = d.service.db().conn().await.unwrap();
    let row: Due = cached("SELECT due_at FROM benefits WHERE benefit_id = $1")
        .bind::<SqlUuid, _>(benefit.parse::<Uuid>().unwrap())
        .get_result(&mut conn)
        .await
        .unwrap();
    row.due_at
}

/// Makes the papers that it rests on unreadable.
async fn spoil(d: &District, benefit: &str) {
    let mut conn = d.service.db().conn().await.unwrap();
    let spoilt = cached("UPDATE applications SET sealed = '' WHERE case_id = $1")
        .bind::<SqlUuid, _>(benefit.parse::<Uuid>().unwrap())
        .execute(&mut conn)
        .await
        .unwrap();
    assert_eq!(spoilt, 1);
}

/// Time stands after the jump, so whichever were put off would never begin.
#[tokio::test]
async fn a_recheck_that_cannot_begin_is_put_off_itself_and_no_other_though_two_replicas_look() {
    let d = District::start().await;
    let replica = d.another().await;
    let mut made = Vec::new();
    for _ in 0..4 {
        let case_id = d.applied_for(&Persona::resident(d.district)).await;
        d.granted(&case_id).await;
        made.push(case_id);
    }
    let [broken, sound, also_broken, also_sound] = &made[..] else { unreachable!("four were made") };
    let review = from_proto(d.benefit_of(sound).await.review_time.as_ref().unwrap()).unwrap();
    for id in [broken, also_broken] {
        spoil(&d, id).await;
    }
    d.service.clock().advance((review - d.service.clock().now()).to_std().unwrap());
    let now = d.service.clock().now();
    for id in [sound, also_sound] {
        let begun = async || d.benefit_of(id).await.state() == pb::BenefitState::UnderReview;
        d.service.wait_for("the re-check", begun).await;
        assert_eq!((d.benefit_of(id).await.rechecks.len(), due(&d, id).await), (1, None));
    }
    for id in [broken, also_broken] {
        let later = async || due(&d, id).await.is_some_and(|due| due > now);
        d.service.wait_for("it is put off", later).await;
        assert!(due(&d, id).await <= Some(now + TimeDelta::hours(1)), "it is tried again soon");
    }
    replica.stop().await.unwrap();
    d.service.stop().await;
}

/// It is taken to be reviewed then, as counted with a calendar of long ago.
async fn review_on(d: &District, benefit: &str, at: Timestamp) {
    let mut conn = d.service.db().conn().await.unwrap();
    let written =
        cached("UPDATE benefits SET review_at = $2, due_at = $2, calendar_version = 0 WHERE benefit_id = $1")
            .bind::<SqlUuid, _>(benefit.parse::<Uuid>().unwrap())
            .bind::<Timestamptz, _>(at)
            .execute(&mut conn)
            .await
            .unwrap();
    assert_eq!(written, 1);
}

#[tokio::test]
async fn a_review_day_that_no_pass_has_moved_yet_is_moved_when_it_comes_and_nothing_begins() {
    let d = District::start().await;
    let case_id = d.applied_for(&Persona::resident(d.district)).await;
    d.granted(&case_id).await;
    d.service.drain_outbox().await;
    let at = |text: &str| -> Timestamp { format!("{text}+08:00").parse().unwrap() };
    let (saturday, monday) = (at("2027-02-27T00:00:00"), at("2027-03-01T00:00:00"));
    d.service.clock().advance((saturday - d.service.clock().now()).to_std().unwrap());
    review_on(&d, &case_id, saturday).await;
    let review = async || from_proto(d.benefit_of(&case_id).await.review_time.as_ref().unwrap()).unwrap();
    d.service.wait_for("the later day", async || review().await == monday).await;
    assert!(d.benefit_of(&case_id).await.rechecks.is_empty());
    assert_eq!(due(&d, &case_id).await, Some(monday));
    let told: Vec<(i64, pb::BenefitReviewMoved)> = of_type(&d.service.drain_outbox().await);
    let [(_, moved)] = &told[..] else { panic!("told once: {told:?}") };
    assert_eq!(moved.review_time.as_ref().and_then(from_proto), Some(monday));
    d.service.clock().advance((monday - d.service.clock().now()).to_std().unwrap());
    let begun = async || d.benefit_of(&case_id).await.rechecks.len() == 1;
    d.service.wait_for("the re-check", begun).await;
    d.service.stop().await;
}

/// The community becomes part of another, and its station with it; gives the other.
async fn merged(d: &District) -> Uuid {
    let (topology, now) =
        (chassis::topology::Shared::load(&d.service.context.topology), d.service.clock().now());
    let (next, old) = (new_id(), topology.unit(d.community).unwrap());
    let successor = Unit { id: next, code: "420103005099".into(), ..Unit::clone(&old) };
    let ended = Unit {
        state: UnitState::Merged,
        valid_to: Some(now),
        version: old.version + 1,
        successor_id: Some(next),
        ..Unit::clone(&old)
    };
    for unit in [&successor, &ended] {
        let told = UnitChanged { unit_id: unit.id.to_string(), unit: Some(unit.into()) };
        d.service.deliver(Event::of("identity", now, unit.id, unit.version, &told)).await;
    }
    let station = topology.org(d.station).unwrap();
    let station =
        Organization { unit_id: next, version: station.version + 1, ..Organization::clone(&station) };
    let told = OrganizationChanged { org_id: station.id.to_string(), organization: Some((&station).into()) };
    d.service.deliver(Event::of("identity", now, station.id, station.version, &told)).await;
    next
}

#[tokio::test]
async fn the_recheck_of_a_place_that_was_merged_begins_where_it_went() {
    let d = District::start().await;
    let case_id = d.applied_for(&Persona::resident(d.district)).await;
    d.granted(&case_id).await;
    let next = merged(&d).await;
    let recheck = d.review_day(&d.benefit_of(&case_id).await).await;
    let case = d.read(&pb::Case { case_id: recheck, ..Default::default() }).await;
    assert_eq!(case.place_unit_id, next.to_string());
    assert_eq!(case.first_receiver_org_id, d.station.to_string(), "it went along");
    let held: Vec<(&str, pb::TaskPart)> =
        case.tasks.iter().map(|task| (task.org_id.as_str(), task.part())).collect();
    let (office, station) = (d.office.to_string(), d.station.to_string());
    assert_eq!(held, [(office.as_str(), pb::TaskPart::Lead), (station.as_str(), pb::TaskPart::Assist)]);
    // What was applied for stays where it was.
    let first = d.read(&pb::Case { case_id, ..Default::default() }).await;
    assert_eq!(first.place_unit_id, d.community.to_string());
    d.service.stop().await;
}
