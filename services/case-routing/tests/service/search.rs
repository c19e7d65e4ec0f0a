//! Cases are found by the words of their redacted text, in any order, and only by those who reach them.

use std::slice;

use chassis::{proto::case_routing::v1 as pb, testing::Persona};
use tonic::{Code, Status};

use crate::support::{District, request_id};

async fn intake(d: &District, requester: &Persona, text: &str) -> String {
    let request = pb::IntakeCaseRequest { text: text.into(), ..d.intake_request(requester) };
    d.cases(&d.window()).intake_case(request).await.unwrap().into_inner().case.unwrap().case_id
}

async fn page(
    d: &District,
    by: &Persona,
    request: pb::ListCasesRequest,
) -> Result<pb::ListCasesResponse, Status> {
    d.cases(by).list_cases(request).await.map(tonic::Response::into_inner)
}

/// Every case of a list, two a page.
async fn all(d: &District, by: &Persona, request: pb::ListCasesRequest) -> Vec<String> {
    let (mut seen, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = pb::ListCasesRequest { page_size: 2, page_token, ..request.clone() };
        let answer = page(d, by, request).await.unwrap();
        seen.extend(answer.cases.into_iter().map(|case| case.case_id));
        page_token = answer.next_page_token;
        if page_token.is_empty() {
            return seen;
        }
    }
}

fn words(query: &str) -> pb::ListCasesRequest {
    pb::ListCasesRequest { query: query.into(), ..Default::default() }
}

#[tokio::test]
async fn a_case_is_found_by_the_words_of_its_redacted_text_by_those_who_reach_it() {
    let d = District::start().await;
    let (one, other) = (Persona::resident(d.district), Persona::resident(d.district));
    let lamp = intake(&d, &one, "３号楼路灯不亮，电话13812345678").await;
    let noise = intake(&d, &other, "广场舞噪音扰民，路灯下").await;
    let stranger = Persona::new(chassis::auth::Role::StreetDispatcher, d.other_street).org(d.other_office);
    for by in [d.dispatcher(), d.window(), d.verifier()] {
        assert_eq!(all(&d, &by, words("路灯")).await, [noise.clone(), lamp.clone()]);
        assert_eq!(all(&d, &by, words("路灯 3号楼")).await, slice::from_ref(&lamp));
        assert_eq!(all(&d, &by, words("噪音")).await, slice::from_ref(&noise));
        assert!(all(&d, &by, words("井盖")).await.is_empty());
        // What was blanked is not there to be found.
        assert!(all(&d, &by, words("13812345678")).await.is_empty());
        let also = pb::ListCasesRequest { unit_id: d.community.to_string(), ..words("噪音") };
        assert_eq!(all(&d, &by, also.clone()).await, slice::from_ref(&noise));
        assert!(all(&d, &by, pb::ListCasesRequest { item_code: "CJ-0101".into(), ..also }).await.is_empty());
    }
    assert_eq!(all(&d, &one, words("路灯")).await, [lamp]);
    assert!(all(&d, &one, words("噪音")).await.is_empty());
    assert!(all(&d, &stranger, words("路灯")).await.is_empty());
    // Who asked without a name finds nothing either.
    let report = pb::RegisterCaseRequest {
        request_id: request_id(),
        text: "匿名反映路灯".into(),
        place_unit_id: d.community.to_string(),
        anonymous: true,
        ..Default::default()
    };
    d.cases(&other).register_case(report).await.unwrap();
    assert!(all(&d, &other, words("匿名反映")).await.is_empty());
    assert_eq!(all(&d, &d.dispatcher(), words("匿名反映")).await.len(), 1);
    d.service.stop().await;
}

#[tokio::test]
async fn lists_come_in_the_order_asked_for_and_a_token_belongs_to_its_list() {
    let d = District::start().await;
    let resident = Persona::resident(d.district);
    let mut made = Vec::new();
    for n in 0..5 {
        made.push(intake(&d, &resident, &format!("楼道堆物 {n}")).await);
    }
    // One whose clock does not run is behind all others, however it is ordered by due time.
    let idle = pb::RegisterCaseRequest {
        request_id: request_id(),
        text: "楼道堆物".into(),
        place_unit_id: d.community.to_string(),
        notice_version: "1".into(),
        ..Default::default()
    };
    let idle = d.cases(&resident).register_case(idle).await.unwrap().into_inner().case.unwrap().case_id;
    let listed = |order: &str| pb::ListCasesRequest { order_by: order.into(), ..words("楼道") };
    let mut up = made.clone();
    up.push(idle.clone());
    let mut down = up.clone();
    down.reverse();
    let mut due_last = made;
    due_last.reverse();
    due_last.push(idle);
    for by in [d.dispatcher(), d.verifier(), resident.clone()] {
        assert_eq!(all(&d, &by, listed("")).await, down);
        assert_eq!(all(&d, &by, listed("registered_time desc")).await, down);
        assert_eq!(all(&d, &by, listed("registered_time")).await, up);
        assert_eq!(all(&d, &by, listed("resolve_due_time")).await, up);
        assert_eq!(all(&d, &by, listed("resolve_due_time desc")).await, due_last);
        let open = pb::ListCasesRequest {
            states: vec![pb::CaseState::Dispatched.into(), pb::CaseState::Registered.into()],
            ..listed("resolve_due_time")
        };
        assert_eq!(all(&d, &by, open.clone()).await, up);
        assert_eq!(all(&d, &by, pb::ListCasesRequest { query: String::new(), ..open }).await, up);
        let all_of_org = pb::ListCasesRequest { org_id: d.office.to_string(), ..listed("registered_time") };
        assert_eq!(all(&d, &by, all_of_org).await, up[..5]);
    }
    let by = d.dispatcher();
    let first = page(&d, &by, pb::ListCasesRequest { page_size: 2, ..words("楼道") }).await.unwrap();
    for other in [words("堆物"), words(""), listed("registered_time")] {
        let other = pb::ListCasesRequest { page_token: first.next_page_token.clone(), ..other };
        let refused = page(&d, &by, other).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
        assert!(refused.message().starts_with("page_token"), "{}", refused.message());
    }
    // The size of the page may change on the way.
    let rest = pb::ListCasesRequest { page_size: 9, page_token: first.next_page_token, ..words("楼道") };
    assert_eq!(page(&d, &by, rest).await.unwrap().cases.len(), 4);
    d.service.stop().await;
}
