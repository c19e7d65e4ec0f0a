//! An application for an admission that nobody decides, and the item that it is about.

use chassis::proto::case_routing::v1 as pb;
use tonic::Code;

use crate::{
    duties::{DAY, Duties, LAMP},
    support::request_id,
};

fn application(world: &Duties, first: &str, last: &str) -> pb::ApplyAdmissionRequest {
    pb::ApplyAdmissionRequest {
        request_id: request_id(),
        from_org_id: world.department.to_string(),
        to_org_id: world.committee.to_string(),
        item_code: LAMP.into(),
        basis_ref: "doc:law-1".into(),
        effective_on: first.into(),
        ends_on: last.into(),
        ..Default::default()
    }
}

#[tokio::test]
async fn an_application_that_nobody_decides_ends_with_its_last_day_and_another_can_be_made() {
    let world = Duties::start().await;
    let mut leader = world.client(&world.leader());
    let first = application(&world, "2026-03-09", "2026-03-16");
    let made = leader.apply_admission(first).await.unwrap().into_inner().admission.unwrap();
    let other = || application(&world, "2026-04-01", "2026-04-10");
    assert_eq!(leader.apply_admission(other()).await.unwrap_err().code(), Code::AlreadyExists);
    world.told().await;

    world.d.service.clock().advance(16 * DAY);
    let mut reader = world.client(&world.arbiter());
    let read = pb::GetAdmissionRequest { admission_id: made.admission_id.clone() };
    let over = async || {
        let known = reader.get_admission(read.clone()).await.unwrap().into_inner().admission.unwrap();
        known.state() == pb::TaskAdmissionState::Expired
    };
    world.d.service.wait_for("its last day is over", over).await;
    let known = reader.get_admission(read).await.unwrap().into_inner().admission.unwrap();
    assert_eq!(known.reason_code, "not_decided");
    assert!(world.told().await.is_empty(), "nobody knew of it");
    let again = leader.apply_admission(other()).await.unwrap().into_inner().admission.unwrap();
    assert_eq!(again.state(), pb::TaskAdmissionState::Applied);
    world.d.service.stop().await;
}
