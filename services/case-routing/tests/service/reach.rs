//! Who cannot see a case cannot tell that it exists.

use chassis::{
    auth::Role,
    proto::case_routing::v1::{
        self as pb, verification_service_client::VerificationServiceClient as Verifications,
    },
    testing::Persona,
};
use tonic::Code;

use crate::support::{District, request_id};

#[tokio::test]
async fn a_case_out_of_reach_looks_like_one_that_does_not_exist() {
    let d = District::start().await;
    let resident = Persona::resident(d.district);
    let case = d.taken_in(&resident).await;
    let strangers = [
        Persona::resident(d.district),
        Persona::new(Role::StreetDispatcher, d.other_street).org(d.other_office),
        Persona::new(Role::StreetDispatcher, d.street).org(d.other_office).line("water"),
        Persona::new(Role::OrgManager, d.district).org(d.volunteers),
    ];
    for stranger in strangers {
        let mut cases = d.cases(&stranger);
        let absent = chassis::clock::new_id().to_string();
        let missing = pb::GetCaseRequest { case_id: absent.clone() };
        let hidden = pb::GetCaseRequest { case_id: case.case_id.clone() };
        let (missing, hidden) =
            (cases.get_case(missing).await.unwrap_err(), cases.get_case(hidden).await.unwrap_err());
        assert_eq!((missing.code(), hidden.code()), (Code::NotFound, Code::NotFound), "{stranger:?}");
        assert_eq!(missing.message().replace(&absent, ""), hidden.message().replace(&case.case_id, ""));
        let all = cases.list_cases(pb::ListCasesRequest::default()).await.unwrap().into_inner();
        assert!(all.cases.is_empty(), "{stranger:?}");
    }
    let insiders = [d.window(), d.dispatcher(), d.verifier(), resident];
    for insider in insiders {
        let mut cases = d.cases(&insider);
        cases.get_case(pb::GetCaseRequest { case_id: case.case_id.clone() }).await.unwrap();
        let all = cases.list_cases(pb::ListCasesRequest::default()).await.unwrap().into_inner();
        assert_eq!(all.cases.len(), 1, "{insider:?}");
    }
    d.service.stop().await;
}

#[tokio::test]
async fn who_holds_a_line_reaches_what_is_on_it_and_nothing_that_is_on_none_yet() {
    let d = District::start().await;
    let resident = Persona::resident(d.district);
    let case = d.taken_in(&resident).await;
    let register = pb::RegisterCaseRequest {
        request_id: request_id(),
        text: "请帮忙".into(),
        place_unit_id: d.community.to_string(),
        notice_version: "1".into(),
        ..Default::default()
    };
    let registered = d.cases(&resident).register_case(register).await.unwrap().into_inner().case.unwrap();
    assert!(!case.line.is_empty() && registered.line.is_empty(), "the premise: {}", registered.line);
    let reached = async |by: &Persona| {
        let (mut cases, mut got) = (d.cases(by), Vec::new());
        for known in [&case, &registered] {
            match cases.get_case(pb::GetCaseRequest { case_id: known.case_id.clone() }).await {
                Ok(_) => got.push(known.case_id.clone()),
                Err(status) => assert_eq!(status.code(), Code::NotFound, "{status}"),
            }
        }
        for order in ["registered_time", "registered_time desc", "resolve_due_time"] {
            let request = pb::ListCasesRequest { order_by: order.into(), ..Default::default() };
            let listed = cases.list_cases(request).await.unwrap().into_inner().cases;
            let listed: Vec<String> = listed.into_iter().map(|case| case.case_id).collect();
            assert_eq!(listed, got, "{order}: {by:?}");
        }
        got
    };
    for (line, expected) in [(case.line.as_str(), vec![case.case_id.clone()]), ("water", Vec::new())] {
        let officer = Persona::new(Role::DeptOfficer, d.district).line(line);
        // Also for an organisation that has no part in it.
        for by in [officer.clone(), officer.org(d.other_office)] {
            assert_eq!(reached(&by).await, expected, "{by:?}");
        }
    }

    d.do_at_street(&case).await;
    for (line, expected) in [(case.line.as_str(), vec![case.case_id.clone()]), ("water", Vec::new())] {
        let mut desk = Verifications::new(d.service.call_as(&d.verifier().line(line)));
        let waiting = desk.list_verifications(pb::ListVerificationsRequest::default()).await.unwrap();
        let waiting: Vec<String> = waiting.into_inner().cases.into_iter().map(|case| case.case_id).collect();
        assert_eq!(waiting, expected, "{line}");
    }
    d.service.stop().await;
}

#[tokio::test]
async fn what_is_not_ones_own_is_refused() {
    let d = District::start().await;
    let resident = Persona::resident(d.district);
    let case = d.taken_in(&resident).await;
    let sign = pb::SignTaskRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        task_id: case.tasks[0].task_id.clone(),
        ..Default::default()
    };
    // The station's head reaches the case, but the street holds the task.
    let head = Persona::new(Role::StationHead, d.community).org(d.station);
    let refused = d.tasks(&head).sign_task(sign).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    // A window does not take cases in for another street.
    let far = Persona::new(Role::ServiceWorker, d.other_street).org(d.other_office);
    let refused = d.cases(&far).intake_case(d.intake_request(&resident)).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    // Residents do not take in at all.
    let refused = d.cases(&resident).intake_case(d.intake_request(&resident)).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    d.service.stop().await;
}

#[tokio::test]
async fn lists_are_paged_newest_first_and_filtered() {
    let d = District::start().await;
    let resident = Persona::resident(d.district);
    let mut made = Vec::new();
    for _ in 0..5 {
        made.push(d.taken_in(&resident).await.case_id);
    }
    made.reverse();
    for persona in [d.dispatcher(), d.verifier(), resident.clone()] {
        let mut cases = d.cases(&persona);
        let (mut seen, mut page_token) = (Vec::new(), String::new());
        loop {
            let request = pb::ListCasesRequest { page_size: 2, page_token, ..Default::default() };
            let page = cases.list_cases(request).await.unwrap().into_inner();
            seen.extend(page.cases.into_iter().map(|case| case.case_id));
            page_token = page.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
        assert_eq!(seen, made);
    }
    let mut cases = d.cases(&d.dispatcher());
    for (request, expected) in [
        (pb::ListCasesRequest { states: vec![pb::CaseState::Dispatched.into()], ..Default::default() }, 5),
        (pb::ListCasesRequest { states: vec![pb::CaseState::Closed.into()], ..Default::default() }, 0),
        (pb::ListCasesRequest { unit_id: d.community.to_string(), ..Default::default() }, 5),
        (pb::ListCasesRequest { unit_id: d.other_street.to_string(), ..Default::default() }, 0),
        (pb::ListCasesRequest { org_id: d.office.to_string(), ..Default::default() }, 5),
        (pb::ListCasesRequest { item_code: "CJ-0101".into(), ..Default::default() }, 0),
        (pb::ListCasesRequest { overdue: true, ..Default::default() }, 0),
    ] {
        let found = cases.list_cases(request.clone()).await.unwrap().into_inner().cases.len();
        assert_eq!(found, expected, "{request:?}");
    }
    d.service.stop().await;
}
