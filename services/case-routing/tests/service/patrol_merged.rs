//! What a patrol found was merged into another request: the next patrol finds that one open, and no second case is founded.

use chassis::{
    proto::case_routing::v1::{self as pb, intake_service_client::IntakeServiceClient},
    testing::Persona,
};

use crate::{
    patrol::{district, lamp, solved},
    support::request_id,
};

#[tokio::test]
async fn a_matter_is_found_open_in_the_case_that_its_own_was_merged_into() {
    let d = district(0).await;
    d.with_registers().await;
    let worker = d.worker();
    let patrol = d.starts(&worker).await;
    let own = d.reports(&worker, lamp(&patrol)).await.unwrap();
    let own_id = own.finding.unwrap().case_id;
    let register = pb::RegisterCaseRequest {
        request_id: request_id(),
        text: "门口的路灯不亮".into(),
        place_unit_id: d.community.to_string(),
        notice_version: "1".into(),
        ..Default::default()
    };
    let resident = Persona::resident(d.district);
    let asked = d.cases(&resident).register_case(register).await.unwrap().into_inner().case.unwrap();
    let mut desk = IntakeServiceClient::new(d.service.call_as(&d.window()));
    let merge = pb::MergeCaseRequest {
        case_id: own_id.clone(),
        into_case_id: asked.case_id.clone(),
        request_id: request_id(),
        ..Default::default()
    };
    desk.merge_case(merge).await.unwrap();

    let other = d.worker();
    let second = d.starts(&other).await;
    d.service.drain_outbox().await;
    let seen = d.reports(&other, lamp(&second)).await.unwrap();
    assert_eq!((&seen.case_no, seen.case_state()), (&asked.case_no, pb::CaseState::Registered));
    let finding = seen.finding.unwrap();
    assert_eq!(
        (finding.outcome(), &finding.case_id),
        (pb::FindingOutcome::Duplicate, &asked.case_id),
        "one live case of one matter"
    );
    assert!(d.service.drain_outbox().await.is_empty(), "none is founded");
    // What is put right then reaches whoever works on it.
    d.reports(&other, solved(lamp(&second))).await.unwrap();
    assert_eq!(d.read(&asked).await.remark_count, 1);

    // It was another lamp after all: the patrol's case is open again, and it is still the one of this lamp.
    let unmerge =
        pb::UnmergeCaseRequest { case_id: own_id.clone(), request_id: request_id(), ..Default::default() };
    desk.unmerge_case(unmerge).await.unwrap();
    let again = d.reports(&other, lamp(&second)).await.unwrap().finding.unwrap();
    assert_eq!((again.outcome(), again.case_id), (pb::FindingOutcome::Duplicate, own_id));
    d.service.stop().await;
}
