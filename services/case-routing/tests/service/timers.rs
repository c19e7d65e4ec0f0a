//! What time brings by itself.

use std::time::Duration;

use chassis::{db::cached, proto::case_routing::v1 as pb, testing::Persona};
use chrono::TimeDelta;
use diesel::sql_types::{Timestamptz, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use crate::support::{District, request_id};

#[tokio::test]
async fn time_accepts_what_nobody_decided_and_tells_it_once() {
    let d = District::start().await;
    let resident = Persona::resident(d.district);
    let register = pb::RegisterCaseRequest {
        request_id: request_id(),
        text: "请帮忙".into(),
        place_unit_id: d.community.to_string(),
        notice_version: "1".into(),
        ..Default::default()
    };
    let case = d.cases(&resident).register_case(register).await.unwrap().into_inner().case.unwrap();
    assert_eq!(d.told().await, ["CaseRegistered"]);
    d.service.clock().advance(Duration::from_secs(4 * 86_400));
    d.service
        .wait_for("acceptance by silence", async || d.read(&case).await.state() == pb::CaseState::Accepted)
        .await;
    let told = d.told().await;
    assert_eq!(told.iter().filter(|name| *name == "CaseAccepted").count(), 1, "{told:?}");
    assert!(told.contains(&"ClockBreached".to_owned()), "{told:?}");
    d.service.stop().await;
}

#[tokio::test]
async fn an_offer_that_nobody_answers_goes_to_the_public_service() {
    let d = District::start().await;
    let case = d.offered(&Persona::resident(d.district)).await;
    d.told().await;
    d.service.clock().advance(Duration::from_secs(3 * 86_400));
    d.service.wait_for("dispatch", async || d.read(&case).await.state() == pb::CaseState::Dispatched).await;
    let told = d.told().await;
    assert_eq!(told.iter().filter(|name| *name == "CaseOfferWithdrawn").count(), 1, "{told:?}");
    d.service.stop().await;
}

#[derive(diesel::QueryableByName)]
struct Due {
    #[diesel(sql_type = diesel::sql_types::Timestamptz)]
    due_at: chassis::Timestamp,
}

async fn due(d: &District, case: &pb::Case) -> chassis::Timestamp {
    let mut conn = d.service.db().conn().await.unwrap();
    let row: Due = cached("SELECT due_at FROM agenda WHERE case_id = $1")
        .bind::<SqlUuid, _>(case.case_id.parse::<Uuid>().unwrap())
        .get_result(&mut conn)
        .await
        .unwrap();
    row.due_at
}

#[tokio::test]
async fn a_case_that_is_looked_at_too_early_keeps_its_timer() {
    let d = District::start().await;
    let case = d.taken_in(&Persona::resident(d.district)).await;
    let promised = due(&d, &case).await;
    // What the sweeper sees of a case that a command moves between its look and its lock.
    let early = d.service.clock().now() - TimeDelta::hours(1);
    {
        let mut conn = d.service.db().conn().await.unwrap();
        cached("UPDATE agenda SET due_at = $2 WHERE case_id = $1")
            .bind::<SqlUuid, _>(case.case_id.parse::<Uuid>().unwrap())
            .bind::<Timestamptz, _>(early)
            .execute(&mut conn)
            .await
            .unwrap();
    }
    d.service.wait_for("another look", async || due(&d, &case).await != early).await;
    assert_eq!(due(&d, &case).await, promised);
    d.service.stop().await;
}
