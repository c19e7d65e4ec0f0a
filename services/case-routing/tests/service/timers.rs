//! What time brings by itself.

use std::time::Duration;

use chassis::{proto::case_routing::v1 as pb, testing::Persona};

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
