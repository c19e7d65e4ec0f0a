//! Which ids of requests strangers try, so that none of them tells whether a thing exists that is not theirs; and why others are not
//! tried here.

use std::collections::BTreeSet;

use chrono::Days;
use jianghan::suite::request_id;
use prost_reflect::{Kind, MessageDescriptor, Value};
use prost_types::Timestamp;
use proto::{
    auth::v1::Role,
    case_routing::v1::{
        ApplyAdmissionRequest, EndPatrolRequest, ImportGridsRequest, PostNeed, ProposeDutyTransferRequest,
        StartPatrolRequest, WithdrawAdmissionRequest, WithdrawDutyTransferRequest,
        patrol_service_client::PatrolServiceClient,
    },
    staffing::v1::{CreateShiftRequest, ListPostsRequest, ListWorkersRequest, PostKind},
    volunteer_matching::v1::ListVolunteersRequest,
};
use tests::{
    World,
    descriptors::{Policy, rpcs},
    journeys::{COMMUNITY, LAMP},
    requests::is_id,
    run,
};

use crate::denied::strangers_cannot_tell;

/// A service, and where an id stands in requests to it.
type Id = (&'static str, &'static str);

/// What `strangers_cannot_tell` is called with.
pub const TRIED: [Id; 15] = [
    ("case-routing", "admission_id"),
    ("case-routing", "case_id"),
    ("case-routing", "duty_id"),
    ("case-routing", "duty_transfer_id"),
    ("case-routing", "into_case_id"),
    ("case-routing", "patrol_id"),
    ("identity", "grant_id"),
    ("identity", "person_id"),
    ("staffing", "assignment_id"),
    ("staffing", "post_id"),
    ("staffing", "shift_id"),
    ("staffing", "task_id"),
    ("staffing", "worker_id"),
    ("volunteer-matching", "offer_id"),
    ("volunteer-matching", "volunteer_id"),
];

/// Looked for within the case that the request names.
const WITHIN_A_CASE: &[Id] = &[
    ("case-routing", "confirm_decision_id"),
    ("case-routing", "decision_id"),
    ("case-routing", "investigation_id"),
    ("case-routing", "mediation_id"),
    ("case-routing", "supervision_id"),
    ("case-routing", "task_id"),
    ("case-routing", "waived_task_ids"),
];

/// All others, by the reason.
const LEFT_OUT: [(&str, &[Id]); 6] = [
    (
        "units, organisations and the edges between these are known to whoever signs in",
        &[
            ("analytics", "base.unit_ids"),
            ("analytics", "other.unit_ids"),
            ("analytics", "unit_id"),
            ("analytics", "unit_ids"),
            ("case-routing", "assist_org_ids"),
            ("case-routing", "cases.lead_org_id"),
            ("case-routing", "cases.place_unit_id"),
            ("case-routing", "definition_org_id"),
            ("case-routing", "from_org_id"),
            ("case-routing", "lead_org_id"),
            ("case-routing", "org_id"),
            ("case-routing", "org_ids"),
            ("case-routing", "parties.org_id"),
            ("case-routing", "party_org_ids"),
            ("case-routing", "place_unit_id"),
            ("case-routing", "subject_org_id"),
            ("case-routing", "suggested_org_id"),
            ("case-routing", "to_org_id"),
            ("case-routing", "unit_id"),
            ("identity", "edge.edge_id"),
            ("identity", "edge.from_org_id"),
            ("identity", "edge.to_org_id"),
            ("identity", "edge_id"),
            ("identity", "from_org_id"),
            ("identity", "from_unit_ids"),
            ("identity", "grant.org_id"),
            ("identity", "grant.unit_id"),
            ("identity", "home_unit_id"),
            ("identity", "org_id"),
            ("identity", "organization.org_id"),
            ("identity", "organization.unit_id"),
            ("identity", "parent_id"),
            ("identity", "successor.parent_id"),
            ("identity", "successor.successor_id"),
            ("identity", "successor.unit_id"),
            ("identity", "to_org_id"),
            ("identity", "unit.parent_id"),
            ("identity", "unit.successor_id"),
            ("identity", "unit.unit_id"),
            ("identity", "unit_id"),
            ("staffing", "area_unit_id"),
            ("staffing", "org_id"),
            ("volunteer-matching", "home_unit_id"),
            ("volunteer-matching", "org_id"),
        ],
    ),
    ("looked for within the case of the request, which must be in reach before", WITHIN_A_CASE),
    (
        "narrows a list, which is empty for what is out of reach",
        &[("analytics", "hotspot_ids"), ("staffing", "case_id"), ("volunteer-matching", "case_id")],
    ),
    (
        "asked for the whole district, by another system of what is its own, or of what is public",
        &[
            ("analytics", "digest_id"),
            ("analytics", "event_id"),
            ("case-routing", "change_ids"),
            ("case-routing", "event_id"),
            ("case-routing", "import_id"),
            ("case-routing", "notice_id"),
            ("case-routing", "numbers.change_id"),
            ("case-routing", "precedent_ids"),
            ("case-routing", "removed_rule_ids"),
            ("case-routing", "upserts.precedent_id"),
            ("case-routing", "upserts.rule_id"),
            ("identity", "event_id"),
            ("staffing", "event_id"),
            ("volunteer-matching", "event_id"),
        ],
    ),
    (
        "written down as it is said: no service that takes it knows whose it is",
        &[
            ("case-routing", "cases.entered_by_person_id"),
            ("case-routing", "cases.requester_id"),
            ("case-routing", "client_id"),
            ("case-routing", "parties.person_id"),
            ("case-routing", "requester_id"),
            ("identity", "grant.grant_id"),
            ("staffing", "person_id"),
            ("volunteer-matching", "person_id"),
        ],
    ),
    (
        "takes days of a life, another system or a form of its own to make: the services' own tests try it",
        &[
            ("case-routing", "benefit_id"),
            ("case-routing", "hotspot_id"),
            ("case-routing", "ticket_id"),
            ("identity", "duty_transfer_id"),
            ("identity", "grant.person_id"),
            ("staffing", "duty_transfer_id"),
            ("staffing", "fund_line_id"),
            ("staffing", "post_ids"),
        ],
    ),
];

/// People of another street or partner, whatever an RPC asks for.
const ELSEWHERE: [(Role, &str); 8] = [
    (Role::ServiceWorker, "worker1.420103008001"),
    (Role::StationHead, "head.420103008001"),
    (Role::StreetDispatcher, "dispatcher.420103008"),
    (Role::StreetSupervisor, "supervisor.420103008"),
    (Role::StreetLeader, "leader.420103008"),
    (Role::CommitteeMember, "committee.420103008001"),
    (Role::OrgManager, "manager.social_org:yigong"),
    (Role::Volunteer, "volunteer1.social_org:yigong"),
];

/// Heating and hot water: the department of housing's.
const HEATING: &str = "CJ-0108";
/// A grid of the community that nothing else is about.
const GRID: &str = "420103005001099";

/// Where ids stand in a message, but for the one that the caller makes up for the request.
fn ids(message: &MessageDescriptor, above: &str, around: &[String]) -> Vec<String> {
    let mut around = around.to_vec();
    around.push(message.full_name().to_owned());
    let mut found = Vec::new();
    for field in message.fields() {
        let path = format!("{above}{}", field.name());
        if let Kind::Message(inner) = field.kind() {
            let again = around.iter().any(|name| name == inner.full_name());
            if inner.full_name().starts_with("jianghan.") && !again {
                found.extend(ids(&inner, &format!("{path}."), &around));
            }
        } else if is_id(&field) && field.name() != "request_id" {
            found.push(path);
        }
    }
    found
}

#[test]
fn every_id_of_a_request_is_tried_by_strangers_or_left_out_for_a_reason() {
    let mut known: BTreeSet<(&str, &str)> = TRIED.into_iter().collect();
    for (reason, ids) in LEFT_OUT {
        for id in ids {
            assert!(known.insert(*id), "{id:?} stands twice, here as: {reason}");
        }
    }
    let mut there = BTreeSet::new();
    for rpc in rpcs().iter().filter(|rpc| !matches!(rpc.policy, Policy::Public | Policy::Service)) {
        there.extend(ids(&rpc.method.input(), "", &[]).into_iter().map(|path| (rpc.service, path)));
    }
    let neither = there.iter().filter(|(service, path)| !known.contains(&(*service, path.as_str())));
    let neither: Vec<_> = neither.collect();
    assert!(neither.is_empty(), "neither tried nor left out for a reason: {neither:?}");
    let gone = known.iter().filter(|(service, path)| !there.contains(&(*service, (*path).to_owned())));
    let gone: Vec<_> = gone.collect();
    assert!(gone.is_empty(), "in no request any more: {gone:?}");
}

#[test]
fn what_is_looked_for_within_a_case_comes_with_the_id_of_the_case() {
    let mut without = Vec::new();
    for rpc in rpcs().iter().filter(|rpc| !matches!(rpc.policy, Policy::Public | Policy::Service)) {
        let input = rpc.method.input();
        let has = |field: &str| input.get_field_by_name(field).is_some();
        let within = WITHIN_A_CASE.iter().any(|(service, field)| *service == rpc.service && has(field));
        if within && !has("case_id") {
            without.push(rpc.name());
        }
    }
    assert!(without.is_empty(), "names no case: {without:?}");
}

#[test]
fn a_person_and_a_grant_of_another_street_look_like_none() {
    run(async {
        let world = World::all_in_one().await;
        let _turn = world.shared().await;
        let newcomer = world.newcomer(&[Role::Volunteer], COMMUNITY).await;
        let grant = newcomer.grants.first().expect("what was granted");
        let resident = world.resident(4).session.account.login.clone();
        let mut strangers = ELSEWHERE.to_vec();
        strangers.push((Role::Resident, resident.as_str()));
        let tried =
            strangers_cannot_tell(world, "person_id", &grant.person_id, "identity", &[], &strangers).await;
        assert!(tried >= 9, "only {tried} calls were tried");
        let tried =
            strangers_cannot_tell(world, "grant_id", &grant.grant_id, "identity", &[], &ELSEWHERE).await;
        assert!(tried >= 2, "only {tried} calls were tried");
    });
}

#[test]
fn a_worker_a_post_and_a_shift_of_another_station_look_like_none() {
    run(async {
        let world = World::all_in_one().await;
        let _turn = world.shared().await;
        let head = world.login(&format!("head.{COMMUNITY}"));
        let mut staff = world.patient.workforce();
        let posts = staff.list_posts(head.asks(ListPostsRequest::default()).await).await;
        let posts = posts.expect("a list").into_inner().posts;
        let post_id = &posts.first().expect("the station has posts").post_id;
        let workers = staff.list_workers(head.asks(ListWorkersRequest::default()).await).await;
        let workers = workers.expect("a list").into_inner().workers;
        let worker = workers.iter().find(|worker| worker.active).expect("somebody works at the station");
        // Years ahead, where nobody is rostered.
        let at = |seconds: i64| Some(Timestamp { seconds, nanos: 0 });
        let shift = CreateShiftRequest {
            request_id: request_id(),
            worker_id: worker.worker_id.clone(),
            start_time: at(1_900_000_000),
            end_time: at(1_900_003_600),
        };
        let shift = staff.create_shift(head.asks(shift).await).await.expect("a shift").into_inner().shift;
        let shift_id = shift.expect("a shift").shift_id;

        let id = &worker.worker_id;
        let tried = strangers_cannot_tell(world, "worker_id", id, "staffing", &[], &ELSEWHERE).await;
        assert!(tried >= 6, "only {tried} calls were tried");
        let tried = strangers_cannot_tell(world, "shift_id", &shift_id, "staffing", &[], &ELSEWHERE).await;
        assert!(tried >= 3, "only {tried} calls were tried");
        // No skill is known by the code of a plausible request.
        let beside = [("skill_codes", Value::List(Vec::new()))];
        let tried = strangers_cannot_tell(world, "post_id", post_id, "staffing", &beside, &ELSEWHERE).await;
        assert!(tried >= 3, "only {tried} calls were tried");
    });
}

#[test]
fn a_volunteer_of_another_partner_looks_like_none() {
    run(async {
        let world = World::all_in_one().await;
        let _turn = world.shared().await;
        let manager = world.login("manager.social_org:garden");
        let mut volunteers = world.patient.volunteers();
        let request = manager.asks(ListVolunteersRequest::default()).await;
        let listed = volunteers.list_volunteers(request).await.expect("a list").into_inner().volunteers;
        let id = &listed.first().expect("the partner has volunteers").volunteer_id;
        let resident = world.resident(4).session.account.login.clone();
        let mut strangers = ELSEWHERE.to_vec();
        strangers.push((Role::Resident, resident.as_str()));
        let tried =
            strangers_cannot_tell(world, "volunteer_id", id, "volunteer-matching", &[], &strangers).await;
        assert!(tried >= 5, "only {tried} calls were tried");
    });
}

#[test]
fn a_case_of_another_street_to_merge_into_looks_like_none() {
    run(async {
        let world = World::all_in_one().await;
        let _turn = world.shared().await;
        let window = world.window(COMMUNITY);
        let theirs = window.takes_in(&world.resident(3), "路灯不亮", LAMP, &world.unit(COMMUNITY)).await;
        // What the strangers reach themselves, so that the other one decides.
        let own = world.resident(4).registers("路灯不亮", &world.unit("420103008001")).await;
        let beside = [("case_id", Value::String(own.case_id))];
        let id = &theirs.case_id;
        let tried =
            strangers_cannot_tell(world, "into_case_id", id, "case-routing", &beside, &ELSEWHERE).await;
        assert!(tried >= 3, "only {tried} calls were tried");
    });
}

#[test]
fn a_patrol_in_another_street_looks_like_none() {
    run(async {
        let world = World::all_in_one().await;
        let _turn = world.shared().await;
        let mut patrols = PatrolServiceClient::new(world.channel("case-routing").await);
        let grids = ImportGridsRequest {
            request_id: request_id(),
            csv: format!(
                "grid_code,community_code,name,valid_from,valid_to\n{GRID},{COMMUNITY},网格,2026-01-01,\n"
            ),
            dry_run: false,
        };
        let imported = patrols.import_grids(world.dispatcher().asks(grids).await).await.expect("an answer");
        let imported = imported.into_inner();
        assert!(imported.applied, "{:?}", imported.problems);
        let head = world.login(&format!("head.{COMMUNITY}"));
        let start =
            StartPatrolRequest { request_id: request_id(), grid_code: GRID.to_owned(), ..Default::default() };
        let started = patrols.start_patrol(head.asks(start).await).await.expect("a patrol begins");
        let patrol_id = started.into_inner().patrol.expect("a patrol").patrol_id;
        let id = &patrol_id;
        let tried = strangers_cannot_tell(world, "patrol_id", id, "case-routing", &[], &ELSEWHERE).await;
        assert!(tried >= 9, "only {tried} calls were tried");
        let end = EndPatrolRequest { patrol_id, request_id: request_id(), end_time: None };
        patrols.end_patrol(head.asks(end).await).await.expect("its walker ends it");
    });
}

#[test]
fn a_duty_between_others_looks_like_none() {
    run(async {
        let world = World::all_in_one().await;
        let _turn = world.shared().await;
        let department = world.login("leader.housing");
        let mut duties = world.patient.duties();
        let today = calendar::local_day(world.now().await.expect("domain time"));
        let day = |days: u64| (today + Days::new(days)).to_string();
        let from_org_id = world.org("dept:housing");
        let proposal = ProposeDutyTransferRequest {
            request_id: request_id(),
            from_org_id: from_org_id.clone(),
            to_org_id: world.org(&format!("station:{COMMUNITY}")),
            item_codes: vec![HEATING.into()],
            basis_ref: "doc:district-2026-8".into(),
            fund_fen: 80_000,
            posts: vec![PostNeed { kind: PostKind::ServiceWorker.into(), count: 1 }],
            effective_on: day(30),
            training_codes: vec!["heating_basics".into()],
            ..Default::default()
        };
        let proposed = duties.propose_duty_transfer(department.asks(proposal).await).await;
        let transfer = proposed.expect("proposed").into_inner().transfer.expect("a transfer");
        // Of the next community: one organisation cannot be given the same twice.
        let application = ApplyAdmissionRequest {
            request_id: request_id(),
            from_org_id,
            to_org_id: world.org("station:420103005002"),
            item_code: HEATING.into(),
            basis_ref: "doc:district-2026-9".into(),
            fund_fen: 20_000,
            posts: vec![PostNeed { kind: PostKind::ServiceWorker.into(), count: 1 }],
            training_codes: vec!["heating_basics".into()],
            effective_on: day(30),
            ends_on: day(90),
        };
        let applied = duties.apply_admission(department.asks(application).await).await;
        let admission = applied.expect("applied for").into_inner().admission.expect("an admission");
        let transfer_id = transfer.duty_transfer_id;
        for (field, id, least) in [
            ("duty_transfer_id", &transfer_id, 5),
            ("admission_id", &admission.admission_id, 5),
            ("duty_id", &transfer_id, 3),
        ] {
            let tried = strangers_cannot_tell(world, field, id, "case-routing", &[], &ELSEWHERE).await;
            assert!(tried >= least, "only {tried} calls were tried with {field}");
        }
        // Nobody was asked for anything yet, and nobody will be.
        let withdraw = WithdrawDutyTransferRequest {
            duty_transfer_id: transfer_id,
            request_id: request_id(),
            reason_code: "no_need".into(),
            ..Default::default()
        };
        let withdrawn = duties.withdraw_duty_transfer(department.asks(withdraw).await).await;
        withdrawn.expect("the proposal is taken back");
        let withdraw = WithdrawAdmissionRequest {
            admission_id: admission.admission_id,
            request_id: request_id(),
            reason_code: "no_need".into(),
            ..Default::default()
        };
        let withdrawn = duties.withdraw_admission(department.asks(withdraw).await).await;
        withdrawn.expect("the application is taken back");
    });
}
