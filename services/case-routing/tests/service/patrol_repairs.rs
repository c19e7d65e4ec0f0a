//! What a patrol puts right or finds again while its case is open: the case hears of it, and goes its way as any other.

use chassis::proto::case_routing::v1 as pb;
use diesel_async::SimpleAsyncConnection;

use crate::{
    patrol::{cover, district, lamp, solved},
    support::request_id,
};

#[tokio::test]
async fn what_is_put_right_of_an_open_case_reaches_its_people_and_is_told_apart() {
    let d = district(0).await;
    d.with_registers().await;
    let worker = d.worker();
    let patrol = d.starts(&worker).await;
    let opened = d.reports(&worker, lamp(&patrol)).await.unwrap().finding.unwrap();
    assert_eq!((opened.outcome(), opened.solved), (pb::FindingOutcome::Case, false));
    let case = pb::Case { case_id: opened.case_id.clone(), ..Default::default() };
    let before = d.read(&case).await;
    d.service.drain_outbox().await;

    // Seen again, nothing done: linked, and the case hears that.
    let seen = d.reports(&worker, lamp(&patrol)).await.unwrap().finding.unwrap();
    assert_eq!((seen.outcome(), seen.solved), (pb::FindingOutcome::Duplicate, false));
    let heard = d.read(&case).await;
    assert_eq!((heard.remark_count, heard.state()), (1, before.state()));

    let request =
        pb::ReportFindingRequest { text: "灯泡已换，问13812345678".into(), ..solved(lamp(&patrol)) };
    let told = d.reports(&worker, request.clone()).await.unwrap();
    let repaired = told.finding.clone().unwrap();
    assert_eq!((repaired.outcome(), repaired.solved), (pb::FindingOutcome::Duplicate, true));
    assert_eq!((&repaired.case_id, &told.case_no), (&opened.case_id, &before.case_no));
    assert_eq!(d.reports(&worker, request).await.unwrap(), told, "the same request is said once");
    assert!(d.service.drain_outbox().await.is_empty(), "no state, no clock, no task moves");

    let after = d.read(&case).await;
    assert_eq!((after.state(), &after.tasks, &after.clocks), (before.state(), &before.tasks, &before.clocks));
    assert!(!after.solved_on_spot, "its lead completes it");
    assert_eq!((after.remark_count, after.remarked_time), (2, after.update_time));
    let [_, said] = after.remarks.as_slice() else { panic!("{:?}", after.remarks) };
    assert_eq!((said.kind.as_str(), said.text_redacted.as_str()), ("remark", "灯泡已换，问***"));
    let reporter = (worker.actor_ref.as_str(), d.station.to_string());
    assert_eq!((said.actor_ref.as_str(), said.org_id.clone()), reporter);

    let request = pb::GetTimelineRequest { case_id: case.case_id.clone(), ..Default::default() };
    let steps = d.cases(&d.dispatcher()).get_timeline(request).await.unwrap().into_inner().entries;
    let step = steps.iter().find(|step| step.event == "CasePutRightOnPatrol").expect("a step");
    assert_eq!((step.actor_ref.as_str(), step.org_id.clone()), reporter);
    assert_eq!((step.state(), step.case_version), (before.state(), said.case_version));
    let reason = step.reason.as_ref().expect("a reason");
    assert!(reason.text_zh.contains("photo:1") && reason.text_zh.contains("photo:2"), "{reason:?}");

    let end = pb::EndPatrolRequest {
        patrol_id: patrol.patrol_id.clone(),
        request_id: request_id(),
        end_time: None,
    };
    let ended = d.patrols(&worker).end_patrol(end).await.unwrap().into_inner().patrol.unwrap();
    assert_eq!((ended.finding_count, ended.solved_count, ended.duplicate_count), (3, 0, 2));
    let get = pb::GetPatrolRequest { patrol_id: patrol.patrol_id };
    let listed = d.patrols(&d.dispatcher()).get_patrol(get).await.unwrap().into_inner().findings;
    let repairs: Vec<_> = listed.iter().filter(|finding| finding.solved).collect();
    assert_eq!(repairs, [&repaired]);
    d.service.stop().await;
}

#[tokio::test]
async fn what_is_found_again_while_its_case_is_verified_is_read_by_whoever_verifies() {
    let d = district(0).await;
    d.with_registers().await;
    let worker = d.worker();
    let patrol = d.starts(&worker).await;
    let repaired = d.reports(&worker, solved(cover(&patrol))).await.unwrap();
    assert_eq!(repaired.case_state(), pb::CaseState::Verifying);
    let case_id = repaired.finding.unwrap().case_id;
    let by_verifier = async || {
        let request = pb::GetCaseRequest { case_id: case_id.clone() };
        d.cases(&d.verifier()).get_case(request).await.unwrap().into_inner().case.unwrap()
    };
    let before = by_verifier().await;
    d.service.drain_outbox().await;

    let request = pb::ReportFindingRequest {
        text: "井盖又没了，问13812345678".into(),
        before_refs: vec!["photo:9".into()],
        urgency: pb::Urgency::Urgent.into(),
        ..cover(&patrol)
    };
    let told = d.reports(&worker, request.clone()).await.unwrap();
    let again = told.finding.clone().unwrap();
    assert_eq!((again.outcome(), &again.case_id), (pb::FindingOutcome::Duplicate, &case_id));
    assert_eq!(d.reports(&worker, request).await.unwrap(), told, "the same request is said once");
    assert!(d.service.drain_outbox().await.is_empty(), "no state, no clock, no task moves");

    let after = by_verifier().await;
    assert_eq!((after.state(), &after.verification), (pb::CaseState::Verifying, &before.verification));
    assert_ne!(after.etag, before.etag);
    assert_eq!((after.remark_count, after.remarked_time), (1, after.update_time));
    let [said] = after.remarks.as_slice() else { panic!("{:?}", after.remarks) };
    assert_eq!((said.kind.as_str(), said.text_redacted.as_str()), ("remark", "井盖又没了，问***"));
    let request = pb::GetTimelineRequest { case_id: case_id.clone(), ..Default::default() };
    let steps = d.cases(&d.verifier()).get_timeline(request).await.unwrap().into_inner().entries;
    let step = steps.iter().find(|step| step.event == "CaseFoundAgainOnPatrol").expect("a step");
    assert_eq!((step.case_version, step.org_id.clone()), (said.case_version, d.station.to_string()));
    let reason = step.reason.as_ref().expect("a reason");
    assert!(reason.text_zh.contains("photo:9") && reason.text_zh.contains("紧急"), "{reason:?}");
    d.service.stop().await;
}

#[tokio::test]
async fn a_case_that_heard_much_hears_of_further_findings_only_what_is_urgent() {
    let d = district(0).await;
    d.with_registers().await;
    let worker = d.worker();
    let patrol = d.starts(&worker).await;
    let opened = d.reports(&worker, lamp(&patrol)).await.unwrap().finding.unwrap();
    let case = pb::Case { case_id: opened.case_id, ..Default::default() };
    // As a restored copy would: under another time of change, so that the one at hand does not count.
    let much = "UPDATE cases SET updated_at = updated_at + interval '1 second', \
                doc = jsonb_set(doc::jsonb, '{remark_count}', '50')::text";
    d.service.db().conn().await.unwrap().batch_execute(much).await.unwrap();
    let again = d.reports(&worker, lamp(&patrol)).await.unwrap().finding.unwrap();
    assert_eq!((again.outcome(), &again.case_id), (pb::FindingOutcome::Duplicate, &case.case_id));
    assert_eq!(d.read(&case).await.remark_count, 50, "linked alone");
    let urgent = pb::ReportFindingRequest { urgency: pb::Urgency::Urgent.into(), ..lamp(&patrol) };
    d.reports(&worker, urgent).await.unwrap();
    assert_eq!(d.read(&case).await.remark_count, 51);
    d.service.stop().await;
}
