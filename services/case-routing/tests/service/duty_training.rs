//! Duties that wait for training, of which it is refused, those that have no courses, and those that the district does not let come about.

use chassis::proto::{case_routing::v1 as pb, staffing::v1::TrainingRefused};
use tonic::Code;

use crate::{
    duties::{DAY, Duties},
    support::request_id,
};

fn state(leg: Option<&pb::DutyLeg>) -> pb::LegState {
    leg.map_or(pb::LegState::Unspecified, pb::DutyLeg::state)
}

#[tokio::test]
async fn a_duty_with_courses_waits_for_them_and_is_rolled_back_without() {
    let world = Duties::start().await;
    let id = world.proposed().await.duty_transfer_id;
    world.approve(&id, &world.arbiter()).await.unwrap();
    world.all_three(&id).await;
    let waiting = world.transfer(&id).await;
    assert_eq!(state(waiting.training.as_ref()), pb::LegState::Open);
    world.told().await;
    world.d.service.clock().advance(4 * DAY);
    let over = world.becomes(&id, pb::DutyTransferState::RolledBack).await;
    assert_eq!(over.reason_code, "deadline");
    assert_eq!(world.told().await, ["DutyRolledBack"], "authority, money and posts go back");
    world.trained(&id).await;
    assert_eq!(world.transfer(&id).await, over, "too late");
    world.d.service.stop().await;
}

async fn refused(world: &Duties, id: &str) {
    let refused = TrainingRefused {
        duty_transfer_id: id.to_owned(),
        to_org_id: world.d.station.to_string(),
        reason_code: "no_trainer".into(),
    };
    world.answered("staffing", id, &refused).await;
}

#[tokio::test]
async fn refused_courses_roll_a_duty_back_at_once_and_the_reason_stands() {
    let world = Duties::start().await;
    let id = world.proposed().await.duty_transfer_id;
    world.approve(&id, &world.arbiter()).await.unwrap();
    world.all_legs(&id).await;
    world.told().await;
    refused(&world, &id).await;
    let over = world.transfer(&id).await;
    let expected = (pb::DutyTransferState::RolledBack, "training_refused");
    assert_eq!((over.state(), over.reason_code.as_str()), expected);
    let leg = over.training.unwrap();
    assert_eq!((leg.state(), leg.reason_code.as_str()), (pb::LegState::Refused, "no_trainer"));
    assert!(leg.change_time.is_some() && leg.reference.is_empty());
    let events = world.d.service.drain_outbox().await;
    let told = events.iter().find(|event| event.is::<pb::DutyRolledBack>()).expect("it is told");
    let told: pb::DutyRolledBack = told.decode().unwrap();
    assert_eq!((told.reason_code.as_str(), told.training()), ("training_refused", pb::LegState::Refused));
    assert_eq!(told.staff(), pb::LegState::Confirmed, "what was granted is given back by that");
    assert_eq!(world.lead().await, world.department.to_string());

    // Where nobody asked for courses, nobody refuses any.
    let proposal = pb::ProposeDutyTransferRequest {
        training_codes: Vec::new(),
        effective_on: "2026-04-01".into(),
        deadline_time: None,
        ..world.proposal(world.d.station)
    };
    let id = world.asked(proposal).await.duty_transfer_id;
    let bare = world.transfer(&id).await;
    refused(&world, &id).await;
    assert_eq!(world.transfer(&id).await, bare);
    world.d.service.stop().await;
}

#[tokio::test]
async fn others_on_the_posts_are_trained_anew_before_it_goes_on() {
    let world = Duties::start().await;
    let id = world.proposed().await.duty_transfer_id;
    world.approve(&id, &world.arbiter()).await.unwrap();
    world.all_legs(&id).await;
    let ready = world.transfer(&id).await;
    assert_eq!(state(ready.training.as_ref()), pb::LegState::Confirmed);
    assert_eq!(ready.training.unwrap().reference, "record:lamps-1");
    world.d.service.clock().advance(7 * DAY);
    world.becomes(&id, pb::DutyTransferState::Effective).await;
    world.post_vacant(&id).await;
    let suspended = world.transfer(&id).await;
    assert_eq!(suspended.state(), pb::DutyTransferState::Suspended);
    assert_eq!(state(suspended.training.as_ref()), pb::LegState::Open);
    assert_eq!(world.resume(&id).await.unwrap_err().code(), Code::FailedPrecondition, "nobody is there");
    world.staffed(&id).await;
    let untrained = world.resume(&id).await.unwrap_err();
    assert_eq!(untrained.code(), Code::FailedPrecondition, "the others are not trained");
    world.trained(&id).await;
    let resumed = world.resume(&id).await.unwrap();
    assert_eq!(resumed.state(), pb::DutyTransferState::Effective);
    world.d.service.stop().await;
}

#[tokio::test]
async fn without_courses_nobody_waits_for_any() {
    let world = Duties::start().await;
    let proposal =
        pb::ProposeDutyTransferRequest { training_codes: Vec::new(), ..world.proposal(world.d.station) };
    let made = world.asked(proposal).await;
    assert_eq!(made.training, None);
    let id = made.duty_transfer_id;
    world.approve(&id, &world.arbiter()).await.unwrap();
    world.all_three(&id).await;
    world.d.service.clock().advance(7 * DAY);
    let effective = world.becomes(&id, pb::DutyTransferState::Effective).await;
    assert_eq!(effective.training, None);
    world.d.service.stop().await;
}

#[tokio::test]
async fn what_the_district_does_not_want_is_rolled_back_and_told_where_others_were_asked() {
    let world = Duties::start().await;
    let proposal = || world.proposal(world.d.station);
    let early = world.applied(proposal()).await.duty_transfer_id;
    let own = world.arbiter().org(world.department);
    assert_eq!(world.deny(&early, &own).await.unwrap_err().code(), Code::FailedPrecondition);
    let denied = world.deny(&early, &world.arbiter()).await.unwrap();
    let expected = (pb::DutyTransferState::RolledBack, "no_need");
    assert_eq!((denied.state(), denied.reason_code.as_str()), expected);
    assert!(world.told().await.is_empty(), "nobody was asked");

    // The item is free again.
    let asked = world.asked(proposal()).await.duty_transfer_id;
    world.told().await;
    let denied = world.deny(&asked, &world.arbiter()).await.unwrap();
    assert_eq!((denied.state(), denied.reason_code.as_str()), expected);
    assert_eq!(world.told().await, ["DutyRolledBack"]);
    assert_eq!(world.deny(&asked, &world.arbiter()).await.unwrap_err().code(), Code::FailedPrecondition);

    let approved = world.asked(proposal()).await.duty_transfer_id;
    world.approve(&approved, &world.arbiter()).await.unwrap();
    assert_eq!(world.deny(&approved, &world.arbiter()).await.unwrap_err().code(), Code::FailedPrecondition);
    let request = pb::GiveDutyOpinionRequest {
        duty_transfer_id: approved,
        request_id: request_id(),
        view: pb::OpinionView::Objects.into(),
        reason_code: "too_much".into(),
        ..Default::default()
    };
    let late = world.client(&world.member()).give_duty_opinion(request).await.unwrap_err();
    assert_eq!(late.code(), Code::FailedPrecondition, "{late}");
    world.d.service.stop().await;
}
