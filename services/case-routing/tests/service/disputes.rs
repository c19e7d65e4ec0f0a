//! F3: a lead says that a task is not its duty; the parties are heard, the superior rules, the ruling binds later cases.

use std::time::Duration;

use chassis::{
    auth::Role,
    grpc::PeerChannel,
    proto::case_routing::v1::{
        self as pb, intake_service_client::IntakeServiceClient,
        responsibility_service_client::ResponsibilityServiceClient, task_service_client::TaskServiceClient,
    },
    testing::Persona,
    topology::{Changes, Edge, EdgeKind, Organization, OrganizationKind, UnitKind},
};
use tonic::Code;
use uuid::Uuid;

use crate::support::{District, ITEM, request_id};

const HOUSING: Uuid = Uuid::from_u128(0x0193_9f5e_7a00_7000_8000_0000_0000_0a01);
const LIGHTS: Uuid = Uuid::from_u128(0x0193_9f5e_7a00_7000_8000_0000_0000_0a02);
pub const CITY: Uuid = Uuid::from_u128(0x0193_9f5e_7a00_7000_8000_0000_0000_0a03);

/// Two departments of the district, which the street coordinates.
pub fn departments(topology: &mut Changes) {
    let find = |code: &str| topology.orgs.iter().find(|org| org.code == code).unwrap().clone();
    let (gov, office) = (find("gov:420103"), find("street_office:420103005"));
    for (id, code) in [(HOUSING, "dept:housing"), (LIGHTS, "dept:urban_management")] {
        topology.orgs.push(Organization {
            id,
            code: code.into(),
            kind: OrganizationKind::Department,
            name_zh: code.into(),
            name_en: code.into(),
            ..gov.clone()
        });
        for (from, kind) in [(gov.id, EdgeKind::Leads), (office.id, EdgeKind::Coordinates)] {
            topology.edges.push(Edge {
                id: chassis::clock::new_id(),
                from_org_id: from,
                to_org_id: id,
                kind,
                ..topology.edges[0].clone()
            });
        }
    }
}

pub async fn district() -> District {
    District::start_with(departments, "sweep_ms", 1_000).await
}

/// The head of a department.
pub fn head(d: &District, org: Uuid) -> Persona {
    Persona::new(Role::DeptLeader, d.district).org(org)
}

/// The head of a department, whose grant is for a line that the case is not of: what is reached, is reached by taking part.
fn party(d: &District, org: Uuid) -> Persona {
    head(d, org).line("civil_affairs")
}

/// Ids of the cases that are listed, in whatever way is asked.
async fn listed(d: &District, by: &Persona, request: pb::ListCasesRequest) -> Vec<String> {
    let page = d.cases(by).list_cases(request).await.unwrap().into_inner();
    page.cases.into_iter().map(|case| case.case_id).collect()
}

/// The lists by which an organisation looks for its cases: all within reach, its own, its own in a state, by due time either way,
/// and by words.
fn lists(org: Uuid, state: pb::CaseState) -> [pb::ListCasesRequest; 7] {
    let own = pb::ListCasesRequest { org_id: org.to_string(), ..Default::default() };
    let by = |order: &str| pb::ListCasesRequest { order_by: order.into(), ..own.clone() };
    [
        pb::ListCasesRequest::default(),
        pb::ListCasesRequest { states: vec![state.into()], ..own.clone() },
        pb::ListCasesRequest { query: "楼道".into(), ..own.clone() },
        by("registered_time"),
        by("resolve_due_time"),
        by("resolve_due_time desc"),
        own,
    ]
}

pub const DEPARTMENTS: [Uuid; 2] = [HOUSING, LIGHTS];

fn tasks(d: &District, persona: &Persona) -> TaskServiceClient<PeerChannel> {
    TaskServiceClient::new(d.service.call_as(persona))
}

fn arbiter(d: &District) -> Persona {
    Persona::new(Role::Arbiter, d.district).org(d.gov)
}

async fn objected(d: &District, case: &pb::Case) -> pb::Case {
    let object = pb::ObjectTaskRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        task_id: case.tasks[0].task_id.clone(),
        ground_code: "not_competent".into(),
        suggested_org_id: HOUSING.to_string(),
        evidence_refs: vec!["doc:duty-list".into()],
        ..Default::default()
    };
    let objected = tasks(d, &d.leader()).object_task(object).await.unwrap().into_inner().case.unwrap();
    let dispatcher = Persona::new(Role::DistrictDispatcher, d.district).org(d.gov);
    let arbitrate = pb::ResolveObjectionRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        task_id: objected.objection.unwrap().task_id,
        decision: "arbitrate".into(),
        reason_code: "duty_unclear".into(),
        party_org_ids: vec![LIGHTS.to_string()],
        ..Default::default()
    };
    tasks(d, &dispatcher).resolve_objection(arbitrate).await.unwrap().into_inner().case.unwrap()
}

fn position(case: &pb::Case, lead: Uuid) -> pb::TakePositionRequest {
    pb::TakePositionRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        task_id: case.objection.as_ref().unwrap().task_id.clone(),
        lead_org_id: lead.to_string(),
        ..Default::default()
    }
}

fn ruling(case: &pb::Case, lead: Uuid) -> pb::RuleObjectionRequest {
    pb::RuleObjectionRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        task_id: case.objection.as_ref().unwrap().task_id.clone(),
        lead_org_id: lead.to_string(),
        basis_code: "responsibility_list".into(),
        ..Default::default()
    }
}

#[tokio::test]
async fn a_ruling_becomes_a_rule_of_the_next_list_and_changes_nothing_that_was() {
    let d = district().await;
    let resident = Persona::resident(d.district);
    let before = d.taken_in(&resident).await;
    let case = objected(&d, &d.taken_in(&resident).await).await;
    let objection = case.objection.clone().unwrap();
    assert_eq!((objection.state.as_str(), objection.party_org_ids.len()), ("in_arbitration", 3));
    assert_eq!(objection.arbiter_org_id, d.gov.to_string());
    let early = tasks(&d, &arbiter(&d)).rule_objection(ruling(&case, HOUSING)).await.unwrap_err();
    assert_eq!(early.code(), Code::FailedPrecondition);
    assert!(early.message().contains("consultation_open"), "{early}");
    // A party that holds no task yet finds the case, and no other, reaches it, says its word, and does not rule.
    for org in DEPARTMENTS {
        for request in lists(org, pb::CaseState::Objected) {
            let found = listed(&d, &party(&d, org), request.clone()).await;
            assert_eq!(found, std::slice::from_ref(&case.case_id), "{request:?}");
        }
        let request = pb::GetCaseRequest { case_id: case.case_id.clone() };
        d.cases(&party(&d, org)).get_case(request).await.unwrap();
        let other = pb::GetCaseRequest { case_id: before.case_id.clone() };
        let refused = d.cases(&party(&d, org)).get_case(other).await.unwrap_err();
        assert_eq!(refused.code(), Code::NotFound, "nothing by its grants alone");
    }
    let of_the_arbiter = pb::ListCasesRequest { org_id: d.gov.to_string(), ..Default::default() };
    assert_eq!(listed(&d, &arbiter(&d), of_the_arbiter).await, std::slice::from_ref(&case.case_id));
    tasks(&d, &party(&d, HOUSING)).take_position(position(&case, LIGHTS)).await.unwrap();
    tasks(&d, &party(&d, LIGHTS)).take_position(position(&case, HOUSING)).await.unwrap();
    let heard = tasks(&d, &d.leader()).take_position(position(&case, HOUSING)).await.unwrap();
    let heard = heard.into_inner().case.unwrap();
    assert_eq!(heard.objection.as_ref().unwrap().positions.len(), 3);
    // Who belongs to a party does not rule, whoever the grant is held for.
    let torn = Persona { org_id: Some(HOUSING), ..arbiter(&d) };
    // Nor by a grant that lets nobody rule.
    let mut also_head = arbiter(&d);
    also_head.scopes.extend(head(&d, HOUSING).scopes);
    for persona in [torn, also_head] {
        let refused = tasks(&d, &persona).rule_objection(ruling(&case, HOUSING)).await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied);
    }
    for (day, field) in [("2026-03-02", "effective_on"), ("soon", "effective_on")] {
        let past =
            pb::RuleObjectionRequest { precedent: true, effective_on: day.into(), ..ruling(&case, HOUSING) };
        let refused = tasks(&d, &arbiter(&d)).rule_objection(past).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
        assert!(refused.message().contains(field), "{refused}");
    }
    let binding = pb::RuleObjectionRequest { precedent: true, ..ruling(&case, HOUSING) };
    let ruled = tasks(&d, &arbiter(&d)).rule_objection(binding).await.unwrap().into_inner().case.unwrap();
    assert_eq!((ruled.lead_change_count, ruled.objection_count), (1, 1));
    assert_eq!(ruled.resolve_due_time, case.resolve_due_time);
    assert_eq!(ruled.objection.as_ref().unwrap().precedent_from, "2026-03-03");

    // It is a precedent once it is final: the new lead signs.
    let mut drafter = ResponsibilityServiceClient::new(
        d.service.call_as(&Persona::new(Role::DistrictDispatcher, d.district)),
    );
    let none = drafter.list_precedents(pb::ListPrecedentsRequest::default()).await.unwrap().into_inner();
    assert!(none.precedents.is_empty());
    let sign = pb::SignTaskRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        task_id: ruled.tasks.last().unwrap().task_id.clone(),
        ..Default::default()
    };
    tasks(&d, &head(&d, HOUSING)).sign_task(sign).await.unwrap();
    let found = drafter.list_precedents(pb::ListPrecedentsRequest::default()).await.unwrap().into_inner();
    let [precedent] = &found.precedents[..] else { panic!("{found:?}") };
    assert_eq!(precedent.lead_org_id, HOUSING.to_string());
    assert_eq!(precedent.relieved_org_id, d.office.to_string());
    assert_eq!((precedent.item_code.as_str(), precedent.list_version), (ITEM, 0));

    let draft = |id: &str| pb::CreateListVersionRequest {
        request_id: request_id(),
        reason_code: "precedent".into(),
        precedent_ids: vec![id.to_owned()],
        ..Default::default()
    };
    let unknown = drafter.create_list_version(draft(&request_id())).await.unwrap_err();
    assert!(unknown.message().contains("precedent_ids[0]"), "{unknown}");
    let drafted = drafter.create_list_version(draft(&precedent.precedent_id)).await.unwrap();
    let version = drafted.into_inner().version.unwrap();
    let mut entries = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = pb::ListListEntriesRequest {
            list_version: version.list_version,
            item_code: ITEM.into(),
            page_token,
            ..Default::default()
        };
        let page = drafter.list_list_entries(request).await.unwrap().into_inner();
        entries.extend(page.entries);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    let from_arbitration: Vec<_> = entries
        .iter()
        .filter(|entry| entry.precedent_id == precedent.precedent_id)
        .map(|entry| (entry.org_code.as_str(), entry.part(), entry.valid_from.as_str()))
        .collect();
    assert_eq!(
        from_arbitration,
        [
            ("dept:housing", pb::ListPart::Lead, "2026-03-03"),
            ("street_office:420103005", pb::ListPart::Negative, "2026-03-03")
        ]
    );

    let was = d.read(&before).await;
    let mut approver =
        ResponsibilityServiceClient::new(d.service.call_as(&Persona::new(Role::Arbiter, d.district)));
    let activate = pb::ActivateListVersionRequest {
        list_version: version.list_version,
        request_id: request_id(),
        ..Default::default()
    };
    approver.activate_list_version(activate).await.unwrap();
    // In force, but its day has not come.
    assert_eq!(d.taken_in(&resident).await.lead_org_id, d.office.to_string());
    d.service.clock().advance(Duration::from_secs(16 * 3_600));
    let next = d.taken_in(&resident).await;
    assert_eq!(next.lead_org_id, HOUSING.to_string());
    assert!(next.routing.unwrap().rule_ids.iter().any(|rule| rule.starts_with("P-")));
    // C-8: what was decided before stays decided, by the list of its day.
    let is = d.read(&before).await;
    assert_eq!(
        (is.lead_org_id, is.routing, is.resolve_due_time),
        (was.lead_org_id, was.routing, was.resolve_due_time)
    );
    d.service.stop().await;
}

#[tokio::test]
async fn parties_that_agree_need_no_ruling_and_a_ruling_is_reviewed_once() {
    let d = district().await;
    let resident = Persona::resident(d.district);
    let case = objected(&d, &d.taken_in(&resident).await).await;
    let stranger = Persona::new(Role::StreetLeader, d.other_street).org(d.other_office);
    let refused = tasks(&d, &stranger).take_position(position(&case, HOUSING)).await.unwrap_err();
    assert_eq!(refused.code(), Code::NotFound);
    for persona in [d.leader(), party(&d, LIGHTS), party(&d, HOUSING)] {
        tasks(&d, &persona).take_position(position(&case, HOUSING)).await.unwrap();
    }
    d.asked_as_in_the_agenda().await;
    let agreed = d.read(&case).await;
    // Whose word is not asked for any more finds it no more; who leads holds a task.
    for (org, found) in [(LIGHTS, Vec::new()), (HOUSING, vec![case.case_id.clone()])] {
        for request in lists(org, pb::CaseState::Dispatched) {
            assert_eq!(listed(&d, &party(&d, org), request.clone()).await, found, "{request:?}");
        }
    }
    assert_eq!(
        (agreed.state(), agreed.lead_org_id.as_str()),
        (pb::CaseState::Dispatched, HOUSING.to_string().as_str())
    );

    let case = objected(&d, &d.taken_in(&resident).await).await;
    d.asked_as_in_the_agenda().await;
    d.told().await;
    // Three working days, as the limits of the item say.
    d.service.clock().advance(Duration::from_secs(4 * 86_400));
    let over = async || {
        let clocks = d.read(&case).await.clocks;
        clocks.iter().any(|clock| clock.kind() == pb::ClockKind::Ruling)
    };
    d.service.wait_for("the end of the consultation", over).await;
    let first = arbiter(&d);
    let ruled = tasks(&d, &first).rule_objection(ruling(&case, LIGHTS)).await.unwrap().into_inner();
    let review = pb::RequestReviewRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        task_id: ruled.case.unwrap().tasks.last().unwrap().task_id.clone(),
        ground_code: "wrong_item".into(),
        ..Default::default()
    };
    let refused = tasks(&d, &party(&d, HOUSING)).request_review(review.clone()).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    let under = tasks(&d, &head(&d, LIGHTS)).request_review(review).await.unwrap().into_inner().case.unwrap();
    assert_eq!(under.objection.as_ref().unwrap().state, "in_review");
    let refused = tasks(&d, &first).rule_objection(ruling(&case, HOUSING)).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied, "never the own ruling");
    let fin = tasks(&d, &arbiter(&d))
        .rule_objection(ruling(&case, HOUSING))
        .await
        .unwrap()
        .into_inner()
        .case
        .unwrap();
    assert_eq!((fin.lead_org_id, fin.objection.unwrap().state), (HOUSING.to_string(), "final".to_owned()));
    let told = d.told().await;
    for name in ["ArbitrationRuled", "ArbitrationReviewRequested", "ArbitrationFinal"] {
        assert!(told.iter().any(|known| known == name), "{name}: {told:?}");
    }
    d.service.stop().await;
}

/// C-7: a dispatcher calls the case back, and it goes to the lead that was ruled on again.
#[tokio::test]
async fn a_recall_does_not_undo_a_ruling() {
    let d = district().await;
    let case = objected(&d, &d.taken_in(&Persona::resident(d.district)).await).await;
    let said = [(d.leader(), LIGHTS), (party(&d, HOUSING), LIGHTS), (party(&d, LIGHTS), HOUSING)];
    for (persona, lead) in said {
        tasks(&d, &persona).take_position(position(&case, lead)).await.unwrap();
    }
    tasks(&d, &arbiter(&d)).rule_objection(ruling(&case, LIGHTS)).await.unwrap();
    let dispatcher = Persona::new(Role::DistrictDispatcher, d.district).org(d.gov);
    let mut intake = IntakeServiceClient::new(d.service.call_as(&dispatcher));
    let recall = pb::RecallCaseRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        reason_code: "mis_dispatch".into(),
        ..Default::default()
    };
    let recalled = intake.recall_case(recall).await.unwrap().into_inner().case.unwrap();
    assert_eq!(recalled.objection.as_ref().unwrap().state, "ruled");
    let send = |lead: &str, assist: Uuid| pb::DispatchCaseRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        lead_org_id: lead.into(),
        assist_org_ids: vec![assist.to_string()],
        reason_code: "dispatcher_knows".into(),
        ..Default::default()
    };
    let past = intake.dispatch_case(send(&HOUSING.to_string(), LIGHTS)).await.unwrap_err();
    assert_eq!(past.code(), Code::FailedPrecondition);
    assert!(past.message().contains("ruling_is_final"), "{past}");
    // Who is to assist joins the lead that was ruled on.
    let sent = intake.dispatch_case(send("", HOUSING)).await.unwrap().into_inner().case.unwrap();
    assert_eq!((sent.state(), sent.lead_org_id.as_str()), (pb::CaseState::Dispatched, &*LIGHTS.to_string()));
    let mut assists = sent.tasks.iter().filter(|task| task.part() == pb::TaskPart::Assist);
    assert!(assists.any(|task| task.org_id == HOUSING.to_string()), "{:?}", sent.tasks);
    assert_eq!(sent.objection.unwrap().state, "ruled");
    d.service.stop().await;
}

/// A city that leads the district.
pub fn below_a_city(topology: &mut Changes) {
    let gov = topology.orgs.iter().find(|org| org.code == "gov:420103").unwrap().clone();
    let city = topology.units.iter().find(|unit| unit.kind == UnitKind::City).unwrap().id;
    topology.edges.push(Edge {
        id: chassis::clock::new_id(),
        from_org_id: CITY,
        to_org_id: gov.id,
        ..topology.edges[0].clone()
    });
    topology.orgs.push(Organization { id: CITY, code: "gov:4201".into(), unit_id: city, ..gov });
}

#[tokio::test]
async fn over_a_districts_objection_to_its_own_order_an_arbiter_of_the_city_decides_and_over_no_other() {
    let d = District::start_with(below_a_city, "sweep_ms", 1_000).await;
    let resident = Persona::resident(d.district);
    let district = Persona::new(Role::DistrictDispatcher, d.district).org(d.gov);
    let city = d.service.context.topology.load().unit_by_code("4201").unwrap().id;
    let of_the_city = Persona::new(Role::Arbiter, city).org(CITY);
    let lead = |case: &pb::Case| case.tasks.iter().rfind(|task| task.part() == pb::TaskPart::Lead).cloned();
    let object = |case: &pb::Case| pb::ObjectTaskRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        task_id: lead(case).unwrap().task_id,
        ground_code: "not_competent".into(),
        suggested_org_id: d.office.to_string(),
        evidence_refs: vec!["doc:duty-list".into()],
        ..Default::default()
    };
    let keep = |case: &pb::Case| pb::ResolveObjectionRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        task_id: case.objection.as_ref().unwrap().task_id.clone(),
        decision: "reject".into(),
        reason_code: "duty_is_clear".into(),
        ..Default::default()
    };

    // Received at the district's own window, and kept there by its own order.
    let request = d.intake_request(&resident);
    let case = d.cases(&district).intake_case(request).await.unwrap().into_inner().case.unwrap();
    let mut intake = IntakeServiceClient::new(d.service.call_as(&district));
    let recall = pb::RecallCaseRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        reason_code: "mis_dispatch".into(),
        ..Default::default()
    };
    intake.recall_case(recall).await.unwrap();
    let dispatch = pb::DispatchCaseRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        lead_org_id: d.gov.to_string(),
        reason_code: "dispatcher_knows".into(),
        ..Default::default()
    };
    let own = intake.dispatch_case(dispatch).await.unwrap().into_inner().case.unwrap();
    let task = lead(&own).unwrap();
    assert_eq!((task.org_id, task.sender_org_id), (d.gov.to_string(), d.gov.to_string()));
    let head = Persona::new(Role::DeptLeader, d.district).org(d.gov);
    let objected = tasks(&d, &head).object_task(object(&own)).await.unwrap().into_inner().case.unwrap();
    for persona in [&arbiter(&d), &district] {
        let refused = tasks(&d, persona).resolve_objection(keep(&objected)).await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied, "its own objection");
    }
    let kept = tasks(&d, &of_the_city).resolve_objection(keep(&objected)).await.unwrap().into_inner();
    assert_eq!(kept.case.unwrap().state(), pb::CaseState::Dispatched);

    // What the district sent to a street is decided by the district's dispatchers.
    let case = d.taken_in(&resident).await;
    let objected =
        tasks(&d, &d.leader()).object_task(object(&case)).await.unwrap().into_inner().case.unwrap();
    for persona in [&of_the_city, &arbiter(&d)] {
        let refused = tasks(&d, persona).resolve_objection(keep(&objected)).await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied, "nothing for an arbiter");
    }
    tasks(&d, &district).resolve_objection(keep(&objected)).await.unwrap();
    d.service.stop().await;
}

/// C7: who objected with success gets the case back by a ruling and in no other way; each objects once.
#[tokio::test]
async fn a_case_is_not_passed_to_and_fro_between_two_who_both_say_that_it_is_the_others() {
    let d = district().await;
    let case = d.taken_in(&Persona::resident(d.district)).await;
    let dispatcher = Persona::new(Role::DistrictDispatcher, d.district).org(d.gov);
    let object = |case: &pb::Case, named: Uuid| pb::ObjectTaskRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        task_id: case.tasks.iter().rfind(|task| task.org_id == case.lead_org_id).unwrap().task_id.clone(),
        ground_code: "not_competent".into(),
        suggested_org_id: named.to_string(),
        evidence_refs: vec!["doc:duty-list".into()],
        ..Default::default()
    };
    let resolve = |case: &pb::Case, decision: &str, lead: &str| pb::ResolveObjectionRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        task_id: case.objection.as_ref().unwrap().task_id.clone(),
        decision: decision.into(),
        lead_org_id: lead.into(),
        reason_code: "dispatcher_knows".into(),
        ..Default::default()
    };
    let (office, housing) = (d.office.to_string(), HOUSING.to_string());
    let first = tasks(&d, &d.leader()).object_task(object(&case, HOUSING)).await.unwrap();
    let first = first.into_inner().case.unwrap();
    let own = tasks(&d, &dispatcher).resolve_objection(resolve(&first, "redispatch", &office)).await;
    let own = own.unwrap_err();
    assert_eq!(own.code(), Code::FailedPrecondition, "that is rejecting it");
    assert!(own.message().contains("objected_before"), "{own}");
    let moved = tasks(&d, &dispatcher).resolve_objection(resolve(&first, "redispatch", &housing)).await;
    let moved = moved.unwrap().into_inner().case.unwrap();
    assert_eq!(moved.lead_org_id, housing);
    let second = tasks(&d, &head(&d, HOUSING)).object_task(object(&moved, d.office)).await.unwrap();
    let second = second.into_inner().case.unwrap();
    let back = tasks(&d, &dispatcher).resolve_objection(resolve(&second, "redispatch", &office)).await;
    let back = back.unwrap_err();
    assert!(back.message().contains("objected_before"), "{back}");

    let opened = tasks(&d, &dispatcher).resolve_objection(resolve(&second, "arbitrate", "")).await;
    let opened = opened.unwrap().into_inner().case.unwrap();
    d.service.clock().advance(Duration::from_secs(4 * 86_400));
    let over = async || {
        let clocks = d.read(&opened).await.clocks;
        clocks.iter().any(|clock| clock.kind() == pb::ClockKind::Ruling)
    };
    d.service.wait_for("the end of the consultation", over).await;
    let ruled = tasks(&d, &arbiter(&d)).rule_objection(ruling(&opened, d.office)).await.unwrap();
    let ruled = ruled.into_inner().case.unwrap();
    assert_eq!((ruled.lead_org_id.as_str(), ruled.lead_change_count), (office.as_str(), 2));
    let again = tasks(&d, &d.leader()).object_task(object(&ruled, HOUSING)).await.unwrap_err();
    assert!(again.message().contains("objected_before"), "{again}");
    d.service.stop().await;
}

/// F3.4: until the ruling the first receiver stands in; where the duty itself is unclear somebody is asked to define it.
#[tokio::test]
async fn an_arbitration_says_who_stands_in_and_a_ruling_may_ask_for_a_definition() {
    let d = district().await;
    let case = objected(&d, &d.taken_in(&Persona::resident(d.district)).await).await;
    let objection = case.objection.clone().unwrap();
    assert_eq!(
        (objection.interim_org_id.as_str(), objection.interim_measure_code.as_str()),
        (d.station.to_string().as_str(), "stop_gap")
    );
    let timeline = pb::GetTimelineRequest { case_id: case.case_id.clone(), ..Default::default() };
    let steps = d.cases(&d.dispatcher()).get_timeline(timeline).await.unwrap().into_inner().entries;
    let opened = steps.iter().find(|step| step.event == "ArbitrationOpened").unwrap();
    assert_eq!(opened.reason.as_ref().unwrap().code, "first_receiver_stands_in");

    d.service.clock().advance(Duration::from_secs(4 * 86_400));
    let over = async || {
        let clocks = d.read(&case).await.clocks;
        clocks.iter().any(|clock| clock.kind() == pb::ClockKind::Ruling)
    };
    d.service.wait_for("the end of the consultation", over).await;
    let asking = pb::RuleObjectionRequest {
        interim_measure_code: "fence_off".into(),
        definition_org_id: d.centre.to_string(),
        definition_code: "whose_duty".into(),
        ..ruling(&case, HOUSING)
    };
    let other = |org: &str, code: &str| pb::RuleObjectionRequest {
        request_id: request_id(),
        definition_org_id: org.into(),
        definition_code: code.into(),
        ..asking.clone()
    };
    let (centre, unknown) = (d.centre.to_string(), request_id());
    for (request, field) in [
        (other(&centre, ""), "definition_code"),
        (other("", "whose_duty"), "definition_org_id"),
        (other(&unknown, "whose_duty"), "definition_org_id"),
    ] {
        let refused = tasks(&d, &arbiter(&d)).rule_objection(request).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
        assert!(refused.message().contains(field), "{refused}");
    }
    let ruled = tasks(&d, &arbiter(&d)).rule_objection(asking).await.unwrap().into_inner().case.unwrap();
    let objection = ruled.objection.unwrap();
    assert_eq!(objection.interim_measure_code, "fence_off");
    assert_eq!(
        (objection.definition_org_id.as_str(), objection.definition_code.as_str()),
        (d.centre.to_string().as_str(), "whose_duty")
    );
    d.service.stop().await;
}
