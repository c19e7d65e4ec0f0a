//! Lists that a duty has amended: what taking one back leaves of the duty.

use chassis::proto::case_routing::v1::{
    self as pb, responsibility_service_client::ResponsibilityServiceClient,
};
use tonic::Code;

use crate::{
    duties::{DAY, Duties, LAMP},
    support::request_id,
};

#[tokio::test]
async fn a_list_is_taken_back_though_a_duty_has_amended_it_and_the_duty_stays() {
    let world = Duties::start().await;
    let d = &world.d;
    let mut lists = ResponsibilityServiceClient::new(d.service.call_as(&world.dispatcher()));
    let mut approver = ResponsibilityServiceClient::new(d.service.call_as(&world.arbiter()));
    let request = pb::ListListEntriesRequest { list_version: 1, page_size: 1000, ..Default::default() };
    let shipped = lists.list_list_entries(request).await.unwrap().into_inner().entries;
    let beside = |entry: &&pb::ListEntry| entry.item_code != LAMP && entry.part() == pb::ListPart::AssistDuty;
    let other = shipped.iter().find(beside).unwrap().rule_id.clone();
    let draft = pb::CreateListVersionRequest {
        request_id: request_id(),
        removed_rule_ids: vec![other.clone()],
        reason_code: "wrong_one".into(),
        ..Default::default()
    };
    let second = lists.create_list_version(draft).await.unwrap().into_inner().version.unwrap().list_version;
    let activate = pb::ActivateListVersionRequest {
        list_version: second,
        request_id: request_id(),
        ..Default::default()
    };
    approver.activate_list_version(activate).await.unwrap();

    let id = world.proposed().await.duty_transfer_id;
    world.approve(&id, &world.arbiter()).await.unwrap();
    world.all_legs(&id).await;
    d.service.clock().advance(7 * DAY);
    world.becomes(&id, pb::DutyTransferState::Effective).await;
    d.service.wait_for("the station leads", async || world.lead().await == d.station.to_string()).await;
    let versions = lists.list_list_versions(pb::ListListVersionsRequest::default()).await.unwrap();
    let mut versions = versions.into_inner().versions.into_iter();
    let amended = versions.rfind(|version| version.base_version == second).unwrap();
    assert_eq!(amended.state(), pb::ListState::InForce);

    let back = |list_version| pb::RollBackListVersionRequest {
        list_version,
        request_id: request_id(),
        reason_code: "wrong".into(),
    };
    let answer = lists.roll_back_list_version(back(amended.list_version)).await.unwrap().into_inner();
    assert_eq!(answer.version.unwrap().state(), pb::ListState::Withdrawn);
    let request = pb::ListListEntriesRequest {
        list_version: answer.in_force_version,
        page_size: 1000,
        ..Default::default()
    };
    let entries = lists.list_list_entries(request).await.unwrap().into_inner().entries;
    assert!(entries.iter().any(|entry| entry.rule_id == other), "what the second had removed is there again");
    assert!(entries.iter().any(|entry| entry.transfer_ref == id), "what the duty brought is still there");
    assert_eq!(entries.len(), shipped.len() + 1);
    let request = pb::GetListVersionRequest { list_version: answer.in_force_version };
    let restored = lists.get_list_version(request).await.unwrap().into_inner().version.unwrap();
    assert_eq!((restored.state(), restored.base_version), (pb::ListState::InForce, 1));
    assert_eq!(restored.entry_count as usize, entries.len());
    assert_eq!(world.lead().await, d.station.to_string(), "and decides");
    // There is nothing before the first.
    let again = lists.roll_back_list_version(back(answer.in_force_version)).await.unwrap_err();
    assert_eq!(again.code(), Code::FailedPrecondition);
    // The duty goes out of the restored list as it would have out of the other.
    let end = pb::EndDutyTransferRequest {
        duty_transfer_id: id.clone(),
        request_id: request_id(),
        reason_code: "pilot_over".into(),
        ..Default::default()
    };
    world.client(&world.arbiter()).end_duty_transfer(end).await.unwrap();
    d.service
        .wait_for("the department leads", async || world.lead().await == world.department.to_string())
        .await;
}
