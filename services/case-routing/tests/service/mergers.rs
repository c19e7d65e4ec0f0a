//! A street becomes part of another, or a community is put under another street: open cases are where their units went, for
//! whoever is in charge there and for the router, and nothing is done twice. Public notices are shown there. What comes in by a unit
//! that has ended comes in where it went on.

use chassis::{
    auth::Role,
    clock::new_id,
    event::Event,
    proto::{
        case_routing::v1::{
            self as pb, intake_service_client::IntakeServiceClient, suggest_items_request::About,
        },
        identity::v1::{OrganizationChanged, UnitChanged},
    },
    testing::Persona,
    topology::{Organization, Unit, UnitKind, UnitState},
};
use tonic::{Code, Status};
use uuid::Uuid;

use crate::{
    benefits::of_type,
    patrol::{district, lamp},
    support::{District, ITEM, request_id},
};

async fn tell(d: &District, unit: &Unit) {
    let told = UnitChanged { unit_id: unit.id.to_string(), unit: Some(unit.into()) };
    let now = d.service.clock().now();
    d.service.deliver(Event::of("identity", now, unit.id, unit.version, &told)).await;
}

/// The unit as it is known, in its next version.
fn next_version(d: &District, id: Uuid) -> Unit {
    let known = chassis::topology::Shared::load(&d.service.context.topology).unit(id).unwrap();
    Unit { version: known.version + 1, ..Unit::clone(&known) }
}

/// A unit becomes part of a new one; gives the new one.
async fn part_of_new(d: &District, unit: Uuid, code: &str) -> Uuid {
    let next = new_id();
    let unit = next_version(d, unit);
    tell(d, &Unit { id: next, code: code.into(), name_zh: code.into(), version: 1, ..unit.clone() }).await;
    ends_in(d, unit, next).await;
    next
}

/// A unit ends as a part of another.
async fn ends_in(d: &District, unit: Unit, into: Uuid) {
    let ended = Unit {
        state: UnitState::Merged,
        valid_to: Some(d.service.clock().now()),
        successor_id: Some(into),
        ..unit
    };
    tell(d, &ended).await;
}

/// The other street becomes part of one that there is, with its office.
pub async fn joins(d: &District, into: Uuid) {
    ends_in(d, next_version(d, d.other_street), into).await;
    rehomed(d, d.other_office, into).await;
}

/// An organisation goes on at another unit.
async fn rehomed(d: &District, org: Uuid, unit_id: Uuid) {
    let topology = chassis::topology::Shared::load(&d.service.context.topology);
    let org = topology.org(org).unwrap();
    let org = Organization { unit_id, version: org.version + 1, ..Organization::clone(&org) };
    let told = OrganizationChanged { org_id: org.id.to_string(), organization: Some((&org).into()) };
    let now = d.service.clock().now();
    d.service.deliver(Event::of("identity", now, org.id, org.version, &told)).await;
}

/// The street becomes part of a new one, with its community and its office; gives the new one.
pub async fn merged(d: &District) -> Uuid {
    let next = part_of_new(d, d.street, "420103099").await;
    comes_under(d, next).await;
    rehomed(d, d.office, next).await;
    next
}

/// The community becomes part of a new one in its street, with its station; gives the new one.
pub async fn merged_community(d: &District) -> Uuid {
    let next = part_of_new(d, d.community, "420103005099").await;
    rehomed(d, d.station, next).await;
    next
}

/// The community comes under another street.
pub async fn comes_under(d: &District, street: Uuid) {
    tell(d, &Unit { parent_id: Some(street), ..next_version(d, d.community) }).await;
}

async fn read(d: &District, by: &Persona, case: &pb::Case) -> Result<pb::Case, Status> {
    let request = pb::GetCaseRequest { case_id: case.case_id.clone() };
    Ok(d.cases(by).get_case(request).await?.into_inner().case.unwrap())
}

async fn listed(d: &District, by: &Persona, unit: Uuid) -> Vec<String> {
    let request = pb::ListCasesRequest { unit_id: unit.to_string(), ..Default::default() };
    let page = d.cases(by).list_cases(request).await.unwrap().into_inner();
    let mut ids: Vec<String> = page.cases.into_iter().map(|case| case.case_id).collect();
    ids.sort_unstable();
    ids
}

async fn steps(d: &District, by: &Persona, case: &pb::Case) -> Vec<pb::TimelineEntry> {
    let request =
        pb::GetTimelineRequest { case_id: case.case_id.clone(), page_size: 200, ..Default::default() };
    d.cases(by).get_timeline(request).await.unwrap().into_inner().entries
}

fn why(step: &pb::TimelineEntry) -> &str {
    step.reason.as_ref().map_or("", |reason| reason.code.as_str())
}

#[tokio::test]
async fn open_cases_of_a_merged_street_are_in_the_new_one() {
    let d = District::start().await;
    let resident = Persona::resident(d.district);
    let here = d.taken_in(&resident).await;
    let window = Persona::new(Role::ServiceWorker, d.street).org(d.office);
    let place_unit_id = d.street.to_string();
    let request = pb::IntakeCaseRequest { place_unit_id, ..d.intake_request(&resident) };
    let whole = d.cases(&window).intake_case(request).await.unwrap().into_inner().case.unwrap();
    let waiting = d.taken_in(&resident).await;
    let recall = pb::RecallCaseRequest {
        case_id: waiting.case_id.clone(),
        request_id: request_id(),
        reason_code: "mis_dispatch".into(),
        ..Default::default()
    };
    let government = Persona::new(Role::DistrictDispatcher, d.district).org(d.gov);
    let mut sender = IntakeServiceClient::new(d.service.call_as(&government));
    let recalled = sender.recall_case(recall).await.unwrap().into_inner().case.unwrap();
    assert_eq!(recalled.state(), pb::CaseState::Triaged);
    d.service.drain_outbox().await;

    let next = merged(&d).await;
    // Of an office that has no part in any of them: the place alone counts.
    let dispatcher = Persona::new(Role::StreetDispatcher, next).org(d.other_office);
    let mut all = [&here, &whole, &waiting].map(|case| case.case_id.clone());
    all.sort_unstable();
    assert_eq!(listed(&d, &dispatcher, next).await, all, "also before the pass");
    let street = next.to_string();
    let followed =
        async |case: &pb::Case| read(&d, &dispatcher, case).await.unwrap().street_unit_id == street;
    d.service
        .wait_for("the pass", async || {
            followed(&here).await && followed(&whole).await && followed(&waiting).await
        })
        .await;
    for (case, unit) in [(&here, d.community), (&whole, next), (&waiting, d.community)] {
        let now = read(&d, &dispatcher, case).await.unwrap();
        assert_eq!((now.place_unit_id, &now.street_unit_id), (unit.to_string(), &street));
        assert_eq!(now.resolve_due_time, case.resolve_due_time, "as promised");
    }
    let events = d.service.drain_outbox().await;
    assert!(of_type::<pb::CaseTriaged>(&events).is_empty(), "nobody triaged anything");
    let told: Vec<(i64, pb::CasePlaceFollowed)> = of_type(&events);
    let [(_, followed)] = &told[..] else { panic!("of the case whose unit is another one, once: {told:?}") };
    assert_eq!(followed.case_id, whole.case_id);
    assert_eq!(followed.facts.as_ref().unwrap().place_unit_id, street);
    for case in [&here, &whole] {
        let steps = steps(&d, &dispatcher, case).await;
        let followed: Vec<_> = steps.iter().filter(|step| why(step) == "place_followed").collect();
        let [step] = &followed[..] else { panic!("once: {steps:?}") };
        assert_eq!((step.event.as_str(), step.actor_ref.as_str()), ("CasePlaceFollowed", "system"));
        assert!(step.reason.as_ref().unwrap().arguments["path"].contains(&d.street.to_string()));
    }

    let dispatch = pb::DispatchCaseRequest {
        case_id: waiting.case_id.clone(),
        request_id: request_id(),
        ..Default::default()
    };
    let mut desk = IntakeServiceClient::new(d.service.call_as(&dispatcher));
    let sent = desk.dispatch_case(dispatch).await.unwrap().into_inner().case.unwrap();
    assert_eq!((sent.state(), sent.lead_org_id), (pb::CaseState::Dispatched, d.office.to_string()));

    // The community goes on to another street, alone; the pass goes over what was done already.
    let before = read(&d, &dispatcher, &whole).await.unwrap();
    comes_under(&d, d.other_street).await;
    let there = Persona::new(Role::StreetDispatcher, d.other_street).org(d.other_office);
    let mut moved = [&here, &waiting].map(|case| case.case_id.clone());
    moved.sort_unstable();
    d.service.wait_for("the next pass", async || listed(&d, &there, d.other_street).await == moved).await;
    assert_eq!(listed(&d, &dispatcher, next).await, std::slice::from_ref(&whole.case_id));
    assert_eq!(read(&d, &dispatcher, &here).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(read(&d, &dispatcher, &whole).await.unwrap(), before, "nothing is done twice");
    assert!(of_type::<pb::CasePlaceFollowed>(&d.service.drain_outbox().await).is_empty(), "the same unit");
    d.service.stop().await;
}

#[tokio::test]
async fn what_was_finished_in_a_community_is_listed_there_under_another_name_and_in_another_street() {
    let d = District::start().await;
    let resident = Persona::resident(d.district);
    let case = d.taken_in(&resident).await;
    let withdraw = pb::WithdrawCaseRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        reason_code: "solved_itself".into(),
        ..Default::default()
    };
    d.cases(&resident).withdraw_case(withdraw).await.unwrap();
    let known = next_version(&d, d.community);
    let renamed = Unit { name_zh: "新名社区".into(), code: "420103005901".into(), ..known };
    let moved = Unit { parent_id: Some(d.other_street), version: renamed.version + 1, ..renamed.clone() };
    let renamed_again = Unit { name_zh: "又名社区".into(), version: moved.version + 1, ..moved.clone() };
    for unit in [renamed, moved, renamed_again] {
        tell(&d, &unit).await;
        let found = listed(&d, &d.window(), d.community).await;
        assert_eq!(found, std::slice::from_ref(&case.case_id), "{unit:?}");
    }
    d.service.stop().await;
}

#[tokio::test]
async fn what_was_closed_in_a_merged_street_is_reached_and_taken_up_again_by_the_new_one() {
    let d = District::start().await;
    let resident = Persona::resident(d.district);
    let case = d.taken_in(&resident).await;
    d.resolve(&case).await;
    let rate = pb::RateCaseRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        grade: 5,
        ..Default::default()
    };
    let case = d.cases(&resident).rate_case(rate).await.unwrap().into_inner().case.unwrap();
    assert_eq!(case.state(), pb::CaseState::Closed);
    let next = merged(&d).await;
    // Of an office that has no part in it: the place alone counts.
    let of_office = |role, unit| Persona::new(role, unit).org(d.other_office);
    let supervisor = of_office(Role::StreetSupervisor, next);
    for role in [Role::StreetSupervisor, Role::StreetDispatcher, Role::StreetLeader] {
        let by = of_office(role, next);
        let found = read(&d, &by, &case).await.unwrap();
        assert_eq!(found.street_unit_id, d.street.to_string(), "it keeps its place");
        for unit in [next, d.street] {
            assert_eq!(listed(&d, &by, unit).await, std::slice::from_ref(&case.case_id));
            let words = pb::ListCasesRequest {
                unit_id: unit.to_string(),
                query: "堆物".into(),
                ..Default::default()
            };
            assert_eq!(d.cases(&by).list_cases(words).await.unwrap().into_inner().cases.len(), 1);
        }
        assert!(listed(&d, &by, d.other_street).await.is_empty());
        let all = pb::ListCasesRequest::default();
        assert_eq!(d.cases(&by).list_cases(all).await.unwrap().into_inner().cases.len(), 1);
    }
    let dispatcher = of_office(Role::StreetDispatcher, next);
    let about = pb::SuggestItemsRequest { about: Some(About::CaseId(case.case_id.clone())) };
    d.classify(&dispatcher).suggest_items(about).await.unwrap();
    // Another resident asks for the same, in the street as it is now.
    let other = d.taken_in(&Persona::resident(d.district)).await;
    assert_eq!(other.street_unit_id, next.to_string());
    for (one, like) in [(&other, &case), (&case, &other)] {
        let request = pb::FindDuplicatesRequest { case_id: one.case_id.clone(), ..Default::default() };
        let mut desk = IntakeServiceClient::new(d.service.call_as(&dispatcher));
        let found = desk.find_duplicates(request).await.unwrap().into_inner().candidates;
        let [candidate] = &found[..] else { panic!("{found:?}") };
        assert_eq!(candidate.case.as_ref().unwrap().case_id, like.case_id);
    }
    let reopen = |by: &Persona| {
        let request = pb::ReopenCaseRequest {
            case_id: case.case_id.clone(),
            request_id: request_id(),
            reason_code: "new_facts".into(),
            ..Default::default()
        };
        let mut cases = d.cases(by);
        async move { cases.reopen_case(request).await.map(|answer| answer.into_inner().case.unwrap()) }
    };
    let elsewhere = of_office(Role::StreetSupervisor, d.other_street);
    assert_eq!(read(&d, &elsewhere, &case).await.unwrap_err().code(), Code::NotFound);
    assert!(listed(&d, &elsewhere, next).await.is_empty());
    assert_eq!(reopen(&elsewhere).await.unwrap_err().code(), Code::NotFound);
    let again = reopen(&supervisor).await.unwrap();
    assert_eq!((again.reopen_count, again.street_unit_id), (1, next.to_string()));
    d.service.stop().await;
}

#[tokio::test]
async fn what_comes_in_by_a_merged_community_is_received_where_its_station_is_now() {
    let d = District::start().await;
    let next = merged_community(&d).await;
    let resident = Persona::resident(d.district);
    // Whose grant moved names the place by the number that everybody knows.
    let window = Persona::new(Role::ServiceWorker, next).org(d.station);
    let intake = d.intake_request(&resident);
    let taken = d.cases(&window).intake_case(intake).await.unwrap().into_inner().case.unwrap();
    let register = pb::RegisterCaseRequest {
        request_id: request_id(),
        text: "楼道堆物".into(),
        place_unit_id: d.community.to_string(),
        notice_version: "1".into(),
        ..Default::default()
    };
    let asked = d.cases(&resident).register_case(register).await.unwrap().into_inner().case.unwrap();
    for case in [&taken, &asked] {
        assert_eq!(case.place_unit_id, next.to_string());
        assert_eq!(case.first_receiver_org_id, d.station.to_string(), "the nearest window there");
    }
    assert_eq!((taken.state(), taken.lead_org_id), (pb::CaseState::Dispatched, d.office.to_string()));
    let explain = pb::ExplainRouteRequest {
        item_code: ITEM.into(),
        unit_id: d.community.to_string(),
        ..Default::default()
    };
    let mut desk = IntakeServiceClient::new(d.service.call_as(&window));
    let explained = desk.explain_route(explain).await.unwrap().into_inner().decision.unwrap();
    assert_eq!(explained.lead_org_id, d.office.to_string());
    let elsewhere = Persona::new(Role::ServiceWorker, d.other_street).org(d.other_office);
    let foreign = d.cases(&elsewhere).intake_case(d.intake_request(&resident)).await.unwrap_err();
    assert_eq!(foreign.code(), Code::PermissionDenied);
    d.service.stop().await;
}

#[tokio::test]
async fn a_public_notice_is_listed_where_its_community_went_on() {
    let d = District::start().await;
    let way = d.noticed(&Persona::resident(d.district)).await;
    let notice_id = way.notice.unwrap().notice_id;
    let street = merged(&d).await;
    let community = merged_community(&d).await;
    d.service.wait_for("the pass", async || !d.notices_of(community).await.is_empty()).await;
    // By the units that it was in, too, which everybody knows.
    for unit in [community, street, d.community, d.street, d.district] {
        let listed = d.notices_of(unit).await;
        let [shown] = &listed[..] else { panic!("{unit}: {listed:?}") };
        assert_eq!((&shown.notice_id, &shown.unit_id), (&notice_id, &community.to_string()));
        assert_eq!(shown.unit_name_zh, "420103005099");
    }
    assert!(d.notices_of(d.other_street).await.is_empty());
    d.service.stop().await;
}

#[tokio::test]
async fn the_grids_of_a_merged_community_are_walked_where_it_went() {
    let d = district(0).await;
    d.with_registers().await;
    let courtyard = new_id();
    let below = Unit {
        id: courtyard,
        code: "420103005001C001".into(),
        kind: UnitKind::Courtyard,
        parent_id: Some(d.community),
        version: 1,
        ..next_version(&d, d.community)
    };
    tell(&d, &below).await;
    let worker = d.worker();
    let walking = d.starts(&worker).await;
    let next = merged_community(&d).await;
    tell(&d, &Unit { parent_id: Some(next), ..next_version(&d, courtyard) }).await;
    let moved = Persona::new(Role::GridWorker, next).org(d.station);
    let worker = Persona { scopes: moved.scopes.clone(), ..worker };

    // The patrol goes on.
    let in_courtyard = pb::ReportFindingRequest { place_unit_id: courtyard.to_string(), ..lamp(&walking) };
    let found = d.reports(&worker, in_courtyard).await.unwrap().finding.unwrap();
    assert_eq!(found.place_unit_id, courtyard.to_string());
    let case = read(&d, &d.dispatcher(), &pb::Case { case_id: found.case_id, ..Default::default() }).await;
    assert_eq!(case.unwrap().place_unit_id, courtyard.to_string());
    // Another begins, by a list that still has the grid where it was.
    let second = d.starts(&moved).await;
    assert_eq!(second.unit_id, next.to_string());
    let litter = pb::ReportFindingRequest {
        item_code: "CJ-0112".into(),
        component_code: String::new(),
        place_unit_id: d.community.to_string(),
        ..lamp(&second)
    };
    let found = d.reports(&moved, litter).await.unwrap().finding.unwrap();
    assert_eq!(found.place_unit_id, next.to_string());
    let head = Persona::new(Role::StationHead, next).org(d.station);
    let listed = d.patrols(&head).list_grids(pb::ListGridsRequest::default()).await.unwrap();
    assert_eq!(listed.into_inner().grids.len(), 2);
    let request = pb::GetPatrolCoverageRequest { unit_id: next.to_string(), ..Default::default() };
    let seen = d.patrols(&head).get_patrol_coverage(request).await.unwrap().into_inner();
    assert_eq!((seen.grids_in_force, seen.patrols, seen.findings), (2, 2, 2));
    // What was walked before the merger is seen there, too, by whichever of the two units it is asked for.
    for unit_id in [String::new(), next.to_string(), d.community.to_string(), d.street.to_string()] {
        let request = pb::ListPatrolsRequest { unit_id, ..Default::default() };
        let listed = d.patrols(&head).list_patrols(request).await.unwrap().into_inner().patrols;
        let listed: Vec<&str> = listed.iter().map(|patrol| patrol.patrol_id.as_str()).collect();
        assert_eq!(listed, [&second.patrol_id, &walking.patrol_id]);
    }
    let request = pb::ListPatrolsRequest { unit_id: d.other_street.to_string(), ..Default::default() };
    assert!(d.patrols(&head).list_patrols(request).await.unwrap().into_inner().patrols.is_empty());
    let get = pb::GetPatrolRequest { patrol_id: walking.patrol_id.clone() };
    let seen = d.patrols(&head).get_patrol(get).await.unwrap().into_inner();
    assert_eq!(seen.patrol.unwrap().patrol_id, walking.patrol_id);
    d.service.stop().await;
}
