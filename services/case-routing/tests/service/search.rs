//! Cases are found by the words of their redacted text, in any order, and only by those who reach them.

use std::{slice, time::Duration};

use chassis::{
    auth::Role,
    proto::case_routing::v1::{self as pb, intake_service_client::IntakeServiceClient},
    testing::Persona,
};
use prost::Message as _;
use tonic::{Code, Status};
use uuid::Uuid;

use crate::support::{District, ITEM, request_id};

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
async fn words_are_found_within_the_unit_where_the_case_is_now() {
    let d = District::start().await;
    let resident = Persona::resident(d.district);
    let register = async |place: Uuid| {
        let request = pb::RegisterCaseRequest {
            request_id: request_id(),
            text: "路灯不亮".into(),
            place_unit_id: place.to_string(),
            notice_version: "1".into(),
            ..Default::default()
        };
        d.cases(&resident).register_case(request).await.unwrap().into_inner().case.unwrap().case_id
    };
    let (here, at_street) = (register(d.community).await, register(d.street).await);
    let (there, above) = (register(d.other_street).await, register(d.district).await);
    intake(&d, &resident, "井盖松动").await;
    let by = Persona::new(Role::DistrictDispatcher, d.district).org(d.gov);
    let within = |unit: Uuid, order: &str| pb::ListCasesRequest {
        unit_id: unit.to_string(),
        order_by: order.into(),
        ..words("路灯")
    };
    let found = async |unit: Uuid, order: &str| all(&d, &by, within(unit, order)).await;
    assert_eq!(found(d.community, "").await, slice::from_ref(&here));
    assert_eq!(found(d.street, "").await, [at_street.clone(), here.clone()]);
    assert_eq!(found(d.street, "registered_time").await, [here.clone(), at_street.clone()]);
    assert_eq!(found(d.other_street, "").await, slice::from_ref(&there));
    let everywhere = [above, there.clone(), at_street.clone(), here.clone()];
    assert_eq!(found(d.district, "").await, everywhere);
    assert_eq!(all(&d, &by, words("路灯")).await, everywhere);
    let nowhere = pb::ListCasesRequest { query: "井盖".into(), ..within(d.other_street, "") };
    assert!(all(&d, &by, nowhere).await.is_empty());

    // Triage finds out that it is elsewhere.
    let mut desk = IntakeServiceClient::new(d.service.call_as(&by));
    let accept =
        pb::AcceptCaseRequest { case_id: here.clone(), request_id: request_id(), ..Default::default() };
    desk.accept_case(accept).await.unwrap();
    let triage = pb::TriageCaseRequest {
        case_id: here.clone(),
        request_id: request_id(),
        item_code: ITEM.into(),
        place_unit_id: d.other_street.to_string(),
        ..Default::default()
    };
    desk.triage_case(triage).await.unwrap();
    assert!(found(d.community, "").await.is_empty());
    assert_eq!(found(d.street, "").await, slice::from_ref(&at_street));
    assert_eq!(found(d.other_street, "").await, [there.clone(), here.clone()]);
    // Its clock runs, that of the other does not yet.
    assert_eq!(found(d.other_street, "resolve_due_time").await, [here, there]);
    d.service.stop().await;
}

#[tokio::test]
async fn an_organisations_cases_come_by_due_time_each_once_however_often_it_was_asked() {
    let d = District::start().await;
    let resident = Persona::resident(d.district);
    let again = d.taken_in(&resident).await;
    d.resolve(&again).await;
    let rate = pb::RateCaseRequest {
        case_id: again.case_id.clone(),
        request_id: request_id(),
        grade: 5,
        ..Default::default()
    };
    d.cases(&resident).rate_case(rate).await.unwrap();
    let done = d.taken_in(&resident).await;
    d.resolve(&done).await;
    let first = d.taken_in(&resident).await.case_id;
    d.service.clock().advance(Duration::from_secs(86_400));
    let second = d.taken_in(&resident).await.case_id;
    d.service.clock().advance(Duration::from_secs(86_400));
    // Opened again, it is the oldest and due last, and the office has two tasks in it.
    let reopen = pb::ReopenCaseRequest {
        case_id: again.case_id.clone(),
        request_id: request_id(),
        reason_code: "new_facts".into(),
        ..Default::default()
    };
    let again = d.cases(&resident).reopen_case(reopen).await.unwrap().into_inner().case.unwrap();
    assert_eq!(again.tasks.iter().filter(|task| task.org_id == d.office.to_string()).count(), 2);
    let running = [first, second, again.case_id];
    let of = |org: Uuid, order: &str| pb::ListCasesRequest {
        org_id: org.to_string(),
        order_by: order.into(),
        ..Default::default()
    };
    let next_due: Vec<String> = running.iter().chain([&done.case_id]).cloned().collect();
    let due_last: Vec<String> = running.iter().rev().chain([&done.case_id]).cloned().collect();
    let district = Persona::new(Role::DistrictDispatcher, d.district).org(d.gov);
    for by in [district.clone(), d.dispatcher(), d.window(), resident] {
        assert_eq!(all(&d, &by, of(d.office, "resolve_due_time")).await, next_due);
        assert_eq!(all(&d, &by, of(d.office, "resolve_due_time desc")).await, due_last);
        let dispatched = pb::ListCasesRequest {
            states: vec![pb::CaseState::Dispatched.into()],
            ..of(d.office, "resolve_due_time")
        };
        assert_eq!(all(&d, &by, dispatched).await, running);
        let words = pb::ListCasesRequest { query: "堆物".into(), ..of(d.office, "resolve_due_time") };
        assert_eq!(all(&d, &by, words).await, next_due);
        // It received them all and has a task in none.
        assert!(all(&d, &by, of(d.station, "resolve_due_time")).await.is_empty());
        assert!(all(&d, &by, of(d.other_office, "resolve_due_time")).await.is_empty());
    }
    let closed = pb::ListCasesRequest {
        states: vec![pb::CaseState::Closed.into()],
        ..of(d.office, "resolve_due_time")
    };
    assert!(all(&d, &district, closed).await.is_empty(), "one was opened again, the other is not rated");
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

#[tokio::test]
async fn a_page_of_long_texts_ends_where_an_answer_would_be_too_large() {
    let d = District::start().await;
    // 60,000 bytes each, and 4.5 million together: more than a client takes that does not say otherwise.
    let text = "路灯不亮".repeat(5_000);
    let mut made = Vec::new();
    for _ in 0..75 {
        made.push(intake(&d, &Persona::resident(d.district), &text).await);
    }
    made.reverse();
    let (mut seen, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = pb::ListCasesRequest { page_size: 200, page_token, ..Default::default() };
        let answer = page(&d, &d.dispatcher(), request).await.unwrap();
        assert!(answer.encoded_len() < 2_500_000 && !answer.cases.is_empty());
        seen.extend(answer.cases.into_iter().map(|case| case.case_id));
        page_token = answer.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(seen, made, "and none is left out");
    d.service.stop().await;
}
