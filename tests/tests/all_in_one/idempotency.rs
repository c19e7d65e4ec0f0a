//! A repeated `request_id` answers the same and does nothing twice; another body under it is refused.

use proto::{
    case_routing::v1::{AcceptCaseRequest, AssignmentStatus},
    staffing::v1::AcceptAssignmentRequest,
};
use tests::{
    World,
    journeys::{COMMUNITY, LAMP},
    run,
};
use tonic::{Code, Status};
use tonic_types::StatusExt;

/// Refused because of its `request_id`.
fn assert_other_body(status: &Status) {
    assert_eq!(status.code(), Code::InvalidArgument, "{status}");
    let details = status.get_error_details();
    let violations = &details.bad_request().expect("the field is named").field_violations;
    assert_eq!(violations[0].field, "request_id");
}

#[test]
fn a_registration_repeated_at_once_or_later_is_one_case() {
    run(async {
        let world = World::all_in_one().await;
        let _turn = world.shared().await;
        let resident = world.resident(5);
        let message = resident.registration("路灯不亮", &world.unit(COMMUNITY));
        let mut calls = Vec::new();
        for _ in 0..8 {
            let request = resident.asks(message.clone()).await;
            let mut cases = world.suite.cases();
            calls.push(async move { cases.register_case(request).await });
        }
        let mut answers = Vec::new();
        for answer in futures::future::join_all(calls).await {
            // One of several at once may be told to come again, but none may do it a second time.
            match answer {
                Ok(answer) => answers.push(answer.into_inner()),
                Err(status) => assert_eq!(status.code(), Code::Aborted, "{status}"),
            }
        }
        let later = world.suite.cases().register_case(resident.asks(message.clone()).await).await;
        answers.push(later.expect("a repeat is answered").into_inner());
        assert!(answers.windows(2).all(|two| two[0] == two[1]), "{answers:#?}");

        let mut other = message.clone();
        other.text.push('！');
        let refused =
            world.suite.cases().register_case(resident.asks(other).await).await.expect_err("another body");
        assert_other_body(&refused);
        // The key is the caller's own: the same id from somebody else is a request of its own.
        let stranger = world.resident(6);
        let theirs =
            world.suite.cases().register_case(stranger.asks(message).await).await.expect("registered");
        assert_ne!(theirs.into_inner().case, answers[0].case);
    });
}

#[test]
fn verbs_in_other_services_are_answered_again_too() {
    run(async {
        let world = World::all_in_one().await;
        let _turn = world.shared().await;
        let resident = world.resident(5);
        let case = resident.registers("路灯不亮", &world.unit(COMMUNITY)).await;
        let window = world.window(COMMUNITY);
        let accept = AcceptCaseRequest {
            case_id: case.case_id.clone(),
            request_id: jianghan::suite::request_id(),
            ..Default::default()
        };
        let first =
            world.suite.intake().accept_case(window.asks(accept.clone()).await).await.expect("accepted");
        let again =
            world.suite.intake().accept_case(window.asks(accept.clone()).await).await.expect("the same");
        assert_eq!(first.into_inner(), again.into_inner());
        let fresh = AcceptCaseRequest { request_id: jianghan::suite::request_id(), ..accept };
        let refused =
            world.suite.intake().accept_case(window.asks(fresh).await).await.expect_err("accepted already");
        assert_eq!(refused.code(), Code::FailedPrecondition);

        let case = window.takes_in(&resident, "路灯不亮", LAMP, &world.unit(COMMUNITY)).await;
        let case = world.leader_of(&case.lead_org_id).signs(&case).await;
        let case = world.sees_assignment(&case, AssignmentStatus::Offered).await;
        let worker = world.worker_of(&case);
        let assignment_id = jianghan::simulate::lead_task(&case).expect("a lead task").assignment_id.clone();
        let accept = AcceptAssignmentRequest {
            assignment_id,
            request_id: jianghan::suite::request_id(),
            ..Default::default()
        };
        let mut assignments = world.suite.assignments();
        let first = assignments.accept_assignment(worker.asks(accept.clone()).await).await.expect("accepted");
        let again = assignments.accept_assignment(worker.asks(accept.clone()).await).await.expect("the same");
        assert_eq!(first.into_inner(), again.into_inner());
        let other = AcceptAssignmentRequest { assignment_id: jianghan::suite::request_id(), ..accept };
        assert_other_body(
            &assignments.accept_assignment(worker.asks(other).await).await.expect_err("another body"),
        );
    });
}
