//! Money, posts and courses that transfers of duties ask for: allotted against a line, named and filled, done, given back.

use chassis::{auth::Role, clock::new_id, grpc::PeerChannel, testing::Persona};
use proto::{
    case_routing::v1::{DutyEffective, DutyEnded, DutyRolledBack, DutyTransferProposed, PostNeed},
    staffing::v1::{
        AllotFundsRequest, AssignDutyStaffRequest, CompleteDutyTrainingRequest, CreateFundLineRequest,
        DemandState, DutyDemand, FundLine, GetDutyDemandRequest, GetDutyDemandResponse,
        ListDutyDemandsRequest, ListFundLinesRequest, ListPostsRequest, Post, PostKind,
        RefuseDutyStaffRequest, RefuseDutyTrainingRequest, RefuseFundsRequest, TrainingCompleted,
        TrainingRefused, duty_resource_service_client::DutyResourceServiceClient,
    },
};
use tonic::{Code, Status};
use uuid::Uuid;

use crate::world::{COMMUNITY, DISTRICT, HOUSING, OTHER_STREET, STATION, STREET, World, fields, request_id};

pub type Client = DutyResourceServiceClient<PeerChannel>;

pub fn client(world: &World, persona: &Persona) -> Client {
    DutyResourceServiceClient::new(world.service.call_as(persona))
}

fn finance() -> Persona {
    Persona::new(Role::FinanceOfficer, DISTRICT)
}

pub fn head() -> Persona {
    Persona::new(Role::StationHead, COMMUNITY).org(STATION)
}

pub fn proposed(id: Uuid) -> DutyTransferProposed {
    DutyTransferProposed {
        duty_transfer_id: id.to_string(),
        from_org_id: HOUSING.to_string(),
        to_org_id: STATION.to_string(),
        item_codes: vec!["CJ-0108".into()],
        line: "housing".into(),
        fund_fen: 60,
        posts: vec![PostNeed { kind: PostKind::ServiceWorker.into(), count: 1 }],
        effective_time: None,
        deadline_time: None,
        proposed_by: "p-leader".into(),
        training_codes: Vec::new(),
    }
}

fn over(id: Uuid) -> DutyRolledBack {
    DutyRolledBack { duty_transfer_id: id.to_string(), reason_code: "deadline".into(), ..Default::default() }
}

async fn line(client: &mut Client, budget_fen: i64) -> FundLine {
    let request = CreateFundLineRequest {
        request_id: request_id(),
        code: format!("line-{}", new_id().simple()),
        org_id: HOUSING.to_string(),
        budget_fen,
    };
    client.create_fund_line(request).await.unwrap().into_inner().fund_line.unwrap()
}

async fn allot(client: &mut Client, id: Uuid, line: &FundLine) -> Result<DutyDemand, Status> {
    let request = AllotFundsRequest {
        duty_transfer_id: id.to_string(),
        request_id: request_id(),
        fund_line_id: line.fund_line_id.clone(),
    };
    client.allot_funds(request).await.map(|answer| answer.into_inner().demand.unwrap())
}

pub async fn assign(client: &mut Client, id: Uuid, posts: &[String]) -> Result<DutyDemand, Status> {
    let request = AssignDutyStaffRequest {
        duty_transfer_id: id.to_string(),
        request_id: request_id(),
        post_ids: posts.to_vec(),
    };
    client.assign_duty_staff(request).await.map(|answer| answer.into_inner().demand.unwrap())
}

async fn allotted(client: &mut Client) -> i64 {
    let lines =
        client.list_fund_lines(ListFundLinesRequest::default()).await.unwrap().into_inner().fund_lines;
    lines.iter().map(|line| line.allotted_fen).sum()
}

pub async fn demand(client: &mut Client, id: Uuid) -> DutyDemand {
    let all = client.list_duty_demands(ListDutyDemandsRequest::default()).await.unwrap().into_inner().demands;
    all.into_iter().find(|demand| demand.duty_transfer_id == id.to_string()).expect("the demand")
}

pub async fn posts_of(world: &World) -> Vec<Post> {
    let request = ListPostsRequest { org_id: STATION.to_string(), ..Default::default() };
    let posts = world.workforce(&head()).list_posts(request).await.unwrap().into_inner().posts;
    posts.into_iter().filter(|post| post.kind() == PostKind::ServiceWorker).collect()
}

async fn post_of(world: &World) -> String {
    posts_of(world).await.swap_remove(0).post_id
}

#[tokio::test]
async fn money_comes_from_a_line_that_is_never_overspent_and_goes_back_once() {
    let world = World::start().await;
    let mut finance = client(&world, &finance());
    let line = line(&mut finance, 100).await;
    let (first, second) = (new_id(), new_id());
    for id in [first, second] {
        world.tell(id, &proposed(id)).await;
    }
    let met = allot(&mut finance, first, &line).await.unwrap();
    assert_eq!((met.funds(), allotted(&mut finance).await), (DemandState::Met, 60));
    let refused = allot(&mut finance, second, &line).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition, "40 are left: {refused}");
    assert_eq!(world.sent().await, ["FundsAllotted"]);

    for _ in 0..2 {
        world.tell(first, &over(first)).await;
        assert_eq!(allotted(&mut finance).await, 0);
    }
    assert_eq!(world.sent().await, ["FundsReturned"], "given back once");
    let late = allot(&mut finance, first, &line).await.unwrap_err();
    assert_eq!(late.code(), Code::FailedPrecondition, "it is over");
    allot(&mut finance, second, &line).await.unwrap();
    world.tell(first, &proposed(first)).await;
    assert!(demand(&mut finance, first).await.closed, "a late repetition opens nothing");

    let refuse = |id: Uuid| RefuseFundsRequest {
        duty_transfer_id: id.to_string(),
        request_id: request_id(),
        reason_code: "no_money".into(),
    };
    world.tell(second, &DutyEffective { duty_transfer_id: second.to_string(), ..Default::default() }).await;
    let effective = finance.refuse_funds(refuse(second)).await.unwrap_err();
    assert_eq!(effective.code(), Code::FailedPrecondition, "{effective}");
    assert_eq!(allotted(&mut finance).await, 60);
    world.service.stop().await;
}

#[tokio::test]
async fn a_line_out_of_reach_looks_like_one_that_is_not_there() {
    let world = World::start().await;
    let theirs = line(&mut client(&world, &finance()), 100).await;
    let id = new_id();
    world.tell(id, &proposed(id)).await;
    let mut street = client(&world, &Persona::new(Role::FinanceOfficer, STREET));
    assert!(!demand(&mut street, id).await.closed, "the demand itself is in reach");
    let unknown = FundLine { fund_line_id: new_id().to_string(), ..theirs.clone() };
    let mut told = Vec::new();
    for line in [theirs, unknown] {
        let refused = allot(&mut street, id, &line).await.unwrap_err();
        told.push((refused.code(), refused.message().replace(&line.fund_line_id, "<id>")));
    }
    assert_eq!(told[0], told[1]);
    assert!(told[0].0 == Code::NotFound && told[0].1.contains("fund_line"), "{told:?}");
}

#[tokio::test]
async fn posts_are_named_filled_and_free_and_a_leaver_ends_the_promise() {
    let world = World::start().await;
    let worker = world.hire(Role::ServiceWorker, COMMUNITY, STATION, "").await;
    let post = post_of(&world).await;
    let (first, second) = (new_id(), new_id());
    for id in [first, second] {
        world.tell(id, &proposed(id)).await;
    }
    let mut head = client(&world, &head());
    let nobody = assign(&mut head, first, &[new_id().to_string()]).await.unwrap_err();
    assert_eq!(nobody.code(), Code::NotFound);
    let twice = assign(&mut head, first, &[post.clone(), post.clone()]).await.unwrap_err();
    assert_eq!((twice.code(), fields(&twice)), (Code::InvalidArgument, vec!["post_ids".to_owned()]));
    let met = assign(&mut head, first, std::slice::from_ref(&post)).await.unwrap();
    assert_eq!((met.staff(), met.post_ids.clone()), (DemandState::Met, vec![post.clone()]));
    let taken = assign(&mut head, second, std::slice::from_ref(&post)).await.unwrap_err();
    assert_eq!(taken.code(), Code::FailedPrecondition, "{taken}");
    assert_eq!(world.sent().await, ["StaffAssigned"]);

    // Whoever is on the post leaves before the transfer takes effect.
    world.revoke(&worker).await;
    assert_eq!(demand(&mut head, first).await.staff(), DemandState::Refused);
    let sent = world.sent().await;
    let about: Vec<_> = sent.iter().filter(|name| name.starts_with("Staff")).collect();
    assert_eq!(about, ["StaffReleased", "StaffUnavailable"], "{sent:?}");
    let vacant = assign(&mut head, second, std::slice::from_ref(&post)).await.unwrap_err();
    assert_eq!(vacant.code(), Code::FailedPrecondition, "nobody is on it: {vacant}");

    world.hire(Role::ServiceWorker, COMMUNITY, STATION, "").await;
    assign(&mut head, second, std::slice::from_ref(&post)).await.unwrap();
    world.sent().await;
    for _ in 0..2 {
        world.tell(second, &over(second)).await;
    }
    assert_eq!(world.sent().await, ["StaffReleased"], "given back once");
    world.service.stop().await;
}

#[tokio::test]
async fn a_duty_that_ends_frees_its_posts_and_what_was_paid_stays_paid() {
    let world = World::start().await;
    world.hire(Role::ServiceWorker, COMMUNITY, STATION, "").await;
    let post = post_of(&world).await;
    let (mut finance, mut head) = (client(&world, &finance()), client(&world, &head()));
    let line = line(&mut finance, 100).await;
    let id = new_id();
    world.tell(id, &proposed(id)).await;
    allot(&mut finance, id, &line).await.unwrap();
    assign(&mut head, id, &[post]).await.unwrap();
    world.tell(id, &DutyEffective { duty_transfer_id: id.to_string(), ..Default::default() }).await;
    world.sent().await;
    world.tell(id, &DutyEnded { duty_transfer_id: id.to_string(), ..Default::default() }).await;
    assert_eq!(world.sent().await, ["StaffReleased"]);
    let over = demand(&mut head, id).await;
    assert_eq!((over.staff(), over.funds(), over.closed), (DemandState::Returned, DemandState::Met, true));
    assert_eq!(allotted(&mut finance).await, 60);
    world.service.stop().await;
}

pub async fn train(client: &mut Client, id: Uuid, record_ref: &str) -> Result<DutyDemand, Status> {
    let request = CompleteDutyTrainingRequest {
        duty_transfer_id: id.to_string(),
        request_id: request_id(),
        record_ref: record_ref.into(),
    };
    client.complete_duty_training(request).await.map(|answer| answer.into_inner().demand.unwrap())
}

#[tokio::test]
async fn courses_are_done_by_those_on_the_posts_and_anew_by_others() {
    let world = World::start().await;
    let worker = world.hire(Role::ServiceWorker, COMMUNITY, STATION, "").await;
    let post = post_of(&world).await;
    let (bare, id) = (new_id(), new_id());
    world.tell(bare, &proposed(bare)).await;
    let with_courses = DutyTransferProposed { training_codes: vec!["lamps_1".into()], ..proposed(id) };
    world.tell(id, &with_courses).await;
    let mut head = client(&world, &head());
    assert_eq!(demand(&mut head, bare).await.training(), DemandState::Unspecified);
    let asked = demand(&mut head, id).await;
    assert_eq!((asked.training(), asked.training_codes), (DemandState::Asked, vec!["lamps_1".to_owned()]));

    let early = train(&mut head, id, "record:1").await.unwrap_err();
    assert_eq!(early.code(), Code::FailedPrecondition, "nobody is named: {early}");
    assign(&mut head, bare, std::slice::from_ref(&post)).await.unwrap();
    let none = train(&mut head, bare, "record:1").await.unwrap_err();
    assert_eq!(none.code(), Code::FailedPrecondition, "no courses are asked for: {none}");
    world.tell(bare, &over(bare)).await;
    assign(&mut head, id, std::slice::from_ref(&post)).await.unwrap();
    for wrong in ["", "a record", &"x".repeat(201)] {
        let status = train(&mut head, id, wrong).await.unwrap_err();
        assert_eq!((status.code(), fields(&status)), (Code::InvalidArgument, vec!["record_ref".to_owned()]));
    }
    let mut stranger = client(&world, &Persona::new(Role::StationHead, OTHER_STREET));
    assert_eq!(train(&mut stranger, id, "record:1").await.unwrap_err().code(), Code::NotFound);
    world.sent().await;

    let request = CompleteDutyTrainingRequest {
        duty_transfer_id: id.to_string(),
        request_id: request_id(),
        record_ref: "record:1".into(),
    };
    let done = head.complete_duty_training(request.clone()).await.unwrap().into_inner();
    assert_eq!(head.complete_duty_training(request).await.unwrap().into_inner(), done, "repeated");
    let demanded = done.demand.unwrap();
    assert_eq!((demanded.training(), demanded.training_ref.as_str()), (DemandState::Met, "record:1"));
    let again = train(&mut head, id, "record:2").await.unwrap_err();
    assert_eq!(again.code(), Code::FailedPrecondition, "{again}");
    let events = world.service.drain_outbox().await;
    let [event] = events.as_slice() else { panic!("told once: {events:?}") };
    let told: TrainingCompleted = event.decode().unwrap();
    assert_eq!((told.duty_transfer_id, told.record_ref.as_str()), (id.to_string(), "record:1"));
    assert_eq!((told.to_org_id, told.training_codes), (STATION.to_string(), vec!["lamps_1".to_owned()]));

    // Whoever had done them leaves: the others have them still to do.
    world.revoke(&worker).await;
    let without = demand(&mut head, id).await;
    assert_eq!((without.staff(), without.training()), (DemandState::Refused, DemandState::Asked));
    assert!(without.training_ref.is_empty());
    world.service.stop().await;
}

#[tokio::test]
async fn courses_are_refused_with_a_reason_before_the_transfer_takes_effect() {
    let world = World::start().await;
    world.hire(Role::ServiceWorker, COMMUNITY, STATION, "").await;
    let post = post_of(&world).await;
    let (bare, id, later) = (new_id(), new_id(), new_id());
    world.tell(bare, &proposed(bare)).await;
    for id in [id, later] {
        let with_courses = DutyTransferProposed { training_codes: vec!["lamps_1".into()], ..proposed(id) };
        world.tell(id, &with_courses).await;
    }
    let refuse = |id: Uuid, reason: &str| RefuseDutyTrainingRequest {
        duty_transfer_id: id.to_string(),
        request_id: request_id(),
        reason_code: reason.into(),
    };
    let mut head = client(&world, &head());
    for wrong in ["", "Prose with spaces", "忙"] {
        let status = head.refuse_duty_training(refuse(id, wrong)).await.unwrap_err();
        assert_eq!((status.code(), fields(&status)), (Code::InvalidArgument, vec!["reason_code".to_owned()]));
    }
    let none = head.refuse_duty_training(refuse(bare, "no_trainer")).await.unwrap_err();
    assert_eq!(none.code(), Code::FailedPrecondition, "no courses are asked for: {none}");
    let mut stranger = client(&world, &Persona::new(Role::StationHead, OTHER_STREET));
    for id in [id, new_id()] {
        let unseen = stranger.refuse_duty_training(refuse(id, "no_trainer")).await.unwrap_err();
        assert_eq!(unseen.code(), Code::NotFound);
    }
    assign(&mut head, id, std::slice::from_ref(&post)).await.unwrap();
    world.sent().await;

    let request = refuse(id, "no_trainer");
    let refused = head.refuse_duty_training(request.clone()).await.unwrap().into_inner();
    assert_eq!(head.refuse_duty_training(request).await.unwrap().into_inner(), refused, "repeated");
    let demanded = refused.demand.unwrap();
    assert_eq!((demanded.training(), demanded.staff()), (DemandState::Refused, DemandState::Met));
    let again = head.refuse_duty_training(refuse(id, "no_time")).await.unwrap_err();
    assert_eq!(again.code(), Code::FailedPrecondition, "{again}");
    let events = world.service.drain_outbox().await;
    let [event] = events.as_slice() else { panic!("told once: {events:?}") };
    let told: TrainingRefused = event.decode().unwrap();
    assert_eq!((told.duty_transfer_id, told.reason_code.as_str()), (id.to_string(), "no_trainer"));
    assert_eq!(told.to_org_id, STATION.to_string());
    // The transfer is rolled back with that: the posts are free again.
    world.tell(id, &over(id)).await;
    assert_eq!(world.sent().await, ["StaffReleased"]);
    assert_eq!(demand(&mut head, id).await.training(), DemandState::Refused);

    // What was said to be done is taken back, too; afterwards nothing is.
    assign(&mut head, later, std::slice::from_ref(&post)).await.unwrap();
    train(&mut head, later, "record:1").await.unwrap();
    let after_all = head.refuse_duty_training(refuse(later, "not_passed")).await.unwrap().into_inner();
    let after_all = after_all.demand.unwrap();
    assert_eq!((after_all.training(), after_all.training_ref.as_str()), (DemandState::Refused, ""));
    train(&mut head, later, "record:2").await.unwrap();
    world.tell(later, &DutyEffective { duty_transfer_id: later.to_string(), ..Default::default() }).await;
    let late = head.refuse_duty_training(refuse(later, "no_time")).await.unwrap_err();
    assert_eq!(late.code(), Code::FailedPrecondition, "it took effect: {late}");
    world.service.stop().await;
}

pub async fn about_staff(world: &World) -> Vec<String> {
    world.sent().await.into_iter().filter(|name| name.starts_with("Staff")).collect()
}

async fn get(client: &mut Client, id: &str) -> Result<GetDutyDemandResponse, Status> {
    let request = GetDutyDemandRequest { duty_transfer_id: id.to_owned() };
    client.get_duty_demand(request).await.map(tonic::Response::into_inner)
}

fn filled(answer: &GetDutyDemandResponse) -> Vec<(PostKind, i32)> {
    answer.filled_posts.iter().map(|post| (post.kind(), post.count)).collect()
}

#[tokio::test]
async fn a_demand_tells_who_is_on_its_posts_now_also_when_somebody_left_after_it_took_effect() {
    let world = World::start().await;
    let worker = world.hire(Role::ServiceWorker, COMMUNITY, STATION, "").await;
    let id = new_id();
    world.tell(id, &proposed(id)).await;
    let mut head = client(&world, &head());
    let asked = get(&mut head, &id.to_string()).await.unwrap();
    assert!(asked.filled_posts.is_empty(), "nobody is named yet");
    assert_eq!(asked.demand.unwrap().staff(), DemandState::Asked);
    assign(&mut head, id, &[post_of(&world).await]).await.unwrap();
    world.tell(id, &DutyEffective { duty_transfer_id: id.to_string(), ..Default::default() }).await;
    world.sent().await;
    let one = [(PostKind::ServiceWorker, 1)];
    assert_eq!(filled(&get(&mut head, &id.to_string()).await.unwrap()), one);

    world.revoke(&worker).await;
    assert_eq!(about_staff(&world).await, ["StaffUnavailable"], "told once, and no post is released");
    let left = get(&mut head, &id.to_string()).await.unwrap();
    assert!(left.filled_posts.is_empty(), "{left:?}");
    let demand = left.demand.unwrap();
    assert_eq!((demand.staff(), demand.post_ids.len()), (DemandState::Refused, 1), "named it still is");
    world.hire(Role::ServiceWorker, COMMUNITY, STATION, "").await;
    assert_eq!(about_staff(&world).await, ["StaffAssigned"], "and kept again");
    let again = get(&mut head, &id.to_string()).await.unwrap();
    assert_eq!(again.demand.as_ref().unwrap().staff(), DemandState::Met);
    assert_eq!(filled(&get(&mut head, &id.to_string()).await.unwrap()), one, "somebody else is on it");

    // From either side of the transfer it is seen, from nowhere else.
    for persona in [
        finance(),
        Persona::new(Role::DeptLeader, DISTRICT).line("housing"),
        Persona::new(Role::CommitteeMember, COMMUNITY),
        Persona::new(Role::Arbiter, DISTRICT),
        Persona::new(Role::DistrictDispatcher, DISTRICT),
    ] {
        assert!(get(&mut client(&world, &persona), &id.to_string()).await.is_ok(), "{persona:?}");
    }
    let other_line = Persona::new(Role::DeptLeader, DISTRICT).line("water");
    for persona in [Persona::new(Role::StreetLeader, OTHER_STREET), other_line] {
        let mut stranger = client(&world, &persona);
        for id in [id, new_id()] {
            let status = get(&mut stranger, &id.to_string()).await.unwrap_err();
            assert_eq!(status.code(), Code::NotFound, "{persona:?}");
        }
    }
    let wrong = get(&mut head, "not-an-id").await.unwrap_err();
    assert_eq!(fields(&wrong), ["duty_transfer_id"]);
    world.service.stop().await;
}

#[tokio::test]
async fn what_is_out_of_reach_is_not_there() {
    let world = World::start().await;
    let id = new_id();
    world.tell(id, &proposed(id)).await;
    let elsewhere = Persona::new(Role::StreetLeader, OTHER_STREET);
    let mut stranger = client(&world, &elsewhere);
    let refuse = |id: Uuid| RefuseDutyStaffRequest {
        duty_transfer_id: id.to_string(),
        request_id: request_id(),
        reason_code: "nobody".into(),
    };
    for id in [id, new_id()] {
        assert_eq!(stranger.refuse_duty_staff(refuse(id)).await.unwrap_err().code(), Code::NotFound);
    }
    assert!(
        stranger
            .list_duty_demands(ListDutyDemandsRequest::default())
            .await
            .unwrap()
            .into_inner()
            .demands
            .is_empty()
    );
    let mut leader = client(&world, &Persona::new(Role::StreetLeader, STREET));
    leader.refuse_duty_staff(refuse(id)).await.unwrap();
    assert_eq!(world.sent().await, ["StaffUnavailable"]);
    world.service.stop().await;
}
