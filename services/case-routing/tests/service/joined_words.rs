//! What a merged requester adds, by themselves or through another system, reaches whoever works on the matter, and nobody who asked
//! learns who else did.

use chassis::{
    grpc::PeerChannel,
    proto::case_routing::v1::{self as pb, intake_service_client::IntakeServiceClient},
    testing::Persona,
};
use tonic::Status;

use crate::{
    exchange::World,
    exchange_joined,
    support::{District, request_id},
};

const SAID: &str = "又堆了两辆车，请联系13812345678";
const REDACTED: &str = "又堆了两辆车，请联系***";

async fn registered(d: &District, resident: &Persona) -> pb::Case {
    let request = pb::RegisterCaseRequest {
        request_id: request_id(),
        text: "楼道堆物".into(),
        place_unit_id: d.community.to_string(),
        notice_version: "1".into(),
        ..Default::default()
    };
    d.cases(resident).register_case(request).await.unwrap().into_inner().case.unwrap()
}

fn desk(d: &District) -> IntakeServiceClient<PeerChannel> {
    IntakeServiceClient::new(d.service.call_as(&d.window()))
}

async fn merge(d: &District, case: &pb::Case, into: &pb::Case) {
    let request = pb::MergeCaseRequest {
        case_id: case.case_id.clone(),
        into_case_id: into.case_id.clone(),
        request_id: request_id(),
        ..Default::default()
    };
    desk(d).merge_case(request).await.unwrap();
}

fn remark(case: &pb::Case, text: &str) -> pb::AddRemarkRequest {
    pb::AddRemarkRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        text: text.into(),
        ..Default::default()
    }
}

async fn read(d: &District, by: &Persona, case: &pb::Case) -> pb::Case {
    let request = pb::GetCaseRequest { case_id: case.case_id.clone() };
    d.cases(by).get_case(request).await.unwrap().into_inner().case.unwrap()
}

async fn steps(d: &District, by: &Persona, case: &pb::Case) -> Vec<pb::TimelineEntry> {
    let request = pb::GetTimelineRequest { case_id: case.case_id.clone(), ..Default::default() };
    d.cases(by).get_timeline(request).await.unwrap().into_inner().entries
}

async fn revealed(d: &District, by: &Persona, case: &pb::Case) -> Vec<String> {
    let request = pb::RevealTextRequest { case_id: case.case_id.clone() };
    let answer = d.cases(by).reveal_text(request).await.unwrap().into_inner();
    answer.remarks.into_iter().map(|said| said.text).collect()
}

#[tokio::test]
async fn what_a_merged_requester_adds_reaches_the_lead_and_stays_their_own() {
    let d = District::start().await;
    let (one, other) = (Persona::resident(d.district), Persona::resident(d.district));
    let (case, repeat) = (d.taken_in(&one).await, registered(&d, &other).await);
    merge(&d, &repeat, &case).await;
    let before = read(&d, &d.leader(), &case).await;
    assert_eq!((&before.merged_case_ids[..], before.merged_count), (&[repeat.case_id.clone()][..], 1));
    d.told().await;
    let request = remark(&repeat, SAID);
    let said = d.cases(&other).add_remark(request.clone()).await.unwrap().into_inner();
    assert_eq!(said.case.as_ref().map(|own| own.case_id.as_str()), Some(repeat.case_id.as_str()));
    assert_eq!(d.cases(&other).add_remark(request).await.unwrap().into_inner(), said, "said once");
    assert!(d.told().await.is_empty(), "no event tells of it");

    // With the own case as ever …
    let own = read(&d, &other, &repeat).await;
    let [kept] = &own.remarks[..] else { panic!("{:?}", own.remarks) };
    assert_eq!((kept.kind.as_str(), kept.text_redacted.as_str()), ("remark", REDACTED));
    assert_eq!(kept.actor_ref, other.actor_ref);
    // … and where the matter is worked on, in whose lists it shows.
    let heard = read(&d, &d.leader(), &case).await;
    let [joined] = &heard.remarks[..] else { panic!("{:?}", heard.remarks) };
    assert_eq!((joined.kind.as_str(), joined.text_redacted.as_str()), ("joined", REDACTED));
    assert_eq!((joined.actor_ref.as_str(), joined.org_id.as_str()), ("system", ""));
    assert_eq!((heard.remark_count, heard.remarked_time), (1, heard.update_time));
    assert_eq!((heard.state(), &heard.tasks, &heard.clocks), (before.state(), &before.tasks, &before.clocks));
    assert_eq!(revealed(&d, &d.leader(), &case).await, [SAID]);
    let listed = d.tasks(&d.leader()).list_tasks(pb::ListTasksRequest::default()).await.unwrap();
    assert_eq!(listed.into_inner().tasks[0].remarked_time, heard.remarked_time);
    let step = steps(&d, &d.leader(), &case).await.pop().unwrap();
    assert_eq!((step.event.as_str(), step.actor_ref.as_str()), ("JoinedRemarked", "system"));
    assert_eq!(step.reason.unwrap().code, "joined_remark");

    // The other requester reads neither who it was nor what they said.
    let theirs = read(&d, &one, &case).await;
    assert!(theirs.remarks.is_empty() && revealed(&d, &one, &case).await.is_empty());
    assert!(theirs.merged_case_ids.is_empty() && theirs.merged_count == 0, "nor that there is one");
    // Nor does an official whose own request it is.
    let asked_too = Persona { person_id: one.person_id, ..d.leader() };
    assert_eq!(read(&d, &asked_too, &case).await.merged_count, 0);
    let theirs = steps(&d, &one, &case).await;
    assert!(theirs.iter().all(|step| step.actor_ref != other.actor_ref), "{theirs:?}");

    // Whoever writes it down for an organisation is known to the others who work on it.
    d.cases(&d.window()).add_remark(remark(&repeat, "诉求人来电催问")).await.unwrap();
    let heard = read(&d, &d.leader(), &case).await;
    assert_eq!((heard.remarks.len(), heard.remarks[1].org_id.as_str()), (2, d.station.to_string().as_str()));

    // Taken out again, it is its own matter, and nobody reads its words here any more.
    let part = pb::UnmergeCaseRequest {
        case_id: repeat.case_id.clone(),
        request_id: request_id(),
        ..Default::default()
    };
    desk(&d).unmerge_case(part).await.unwrap();
    d.cases(&other).add_remark(remark(&repeat, "是另一处")).await.unwrap();
    assert_eq!(read(&d, &other, &repeat).await.remarks.len(), 3);
    let left = read(&d, &d.leader(), &case).await;
    assert_eq!((left.remarks.len(), left.remark_count, left.remarked_time), (0, 0, None));
    assert_eq!((left.merged_case_ids.len(), left.merged_count), (0, 0));
    assert!(revealed(&d, &d.leader(), &case).await.is_empty());
    let listed = d.cases(&d.leader()).list_cases(pb::ListCasesRequest::default()).await.unwrap().into_inner();
    let listed = listed.cases.iter().find(|listed| listed.case_id == case.case_id).unwrap();
    assert_eq!((listed.remark_count, listed.remarked_time), (0, None));
    let listed = d.tasks(&d.leader()).list_tasks(pb::ListTasksRequest::default()).await.unwrap();
    assert_eq!(listed.into_inner().tasks[0].remarked_time, None);
    // Back in it, what was said then is heard again.
    merge(&d, &repeat, &case).await;
    let again = read(&d, &d.leader(), &case).await;
    assert_eq!((again.remarks, again.remark_count), (heard.remarks, 2));
    d.service.stop().await;
}

#[tokio::test]
async fn who_came_along_with_another_is_heard_at_the_end_of_the_way() {
    let d = District::start().await;
    let (one, other) = (Persona::resident(d.district), Persona::resident(d.district));
    let (first, middle) = (registered(&d, &one).await, registered(&d, &other).await);
    let last = d.taken_in(&Persona::resident(d.district)).await;
    merge(&d, &first, &middle).await;
    merge(&d, &middle, &last).await;
    d.cases(&one).add_remark(remark(&first, SAID)).await.unwrap();
    let read_last = read(&d, &d.leader(), &last).await;
    let both = [first.case_id.clone(), middle.case_id.clone()];
    assert_eq!((&read_last.merged_case_ids[..], read_last.merged_count), (&both[..], 2), "last first");
    let heard = read_last.remarks;
    assert_eq!(heard.iter().map(|said| said.text_redacted.as_str()).collect::<Vec<_>>(), [REDACTED]);
    assert!(read(&d, &other, &middle).await.remarks.is_empty(), "that one is not worked on");
    d.service.stop().await;
}

async fn pushes(world: &World, text: &str) -> Result<pb::TicketReceipt, Status> {
    let again =
        pb::PushTicketRequest { class_code: "9999".into(), text: text.into(), ..world.ticket("WH-2") };
    world.pushes(again).await
}

#[tokio::test]
async fn what_another_system_pushes_of_a_merged_ticket_is_heard_too() {
    let world = World::mapped("", pb::ExchangeDirection::In).await;
    world.pushes(world.ticket("WH-1")).await.unwrap();
    let original = exchange_joined::ticket(&world, "WH-1").await.case_id;
    let merged = exchange_joined::joined(&world, "WH-2", &original).await;
    assert_eq!(pushes(&world, SAID).await.unwrap().outcome(), pb::PushOutcome::Added);
    assert_eq!(pushes(&world, SAID).await.unwrap().outcome(), pb::PushOutcome::Unchanged);

    let heard = world.case(&original).await;
    let [said] = &heard.remarks[..] else { panic!("{:?}", heard.remarks) };
    assert_eq!((said.kind.as_str(), said.text_redacted.as_str()), ("joined", REDACTED));
    assert_eq!((said.actor_ref.as_str(), said.org_id.as_str()), ("system", ""));
    assert_eq!((heard.remark_count, heard.remarked_time), (1, heard.update_time));
    // With its own case the words stand in the ticket, as ever.
    let own = world.case(&merged.case_id).await;
    assert!(own.remarks.is_empty() && own.remarked_time.is_some());
    let kept = world.reveals(&merged.ticket_id, &world.drafter()).await.unwrap();
    assert_eq!(kept.remarks.iter().map(|said| said.text.as_str()).collect::<Vec<_>>(), [SAID]);
    world.d.service.stop().await;
}

#[tokio::test]
async fn a_long_text_is_heard_in_part_and_no_number_is_cut_open() {
    let world = World::mapped("", pb::ExchangeDirection::In).await;
    world.pushes(world.ticket("WH-1")).await.unwrap();
    let original = exchange_joined::ticket(&world, "WH-1").await.case_id;
    exchange_joined::joined(&world, "WH-2", &original).await;
    let long = format!("{}13812345678{}", "漏".repeat(3_995), "水".repeat(4_000));
    pushes(&world, &long).await.unwrap();
    let heard = world.case(&original).await.remarks.pop().unwrap();
    assert_eq!(heard.text_redacted.chars().count(), 4_000);
    assert!(heard.text_redacted.ends_with("漏***水水") && !heard.text_redacted.contains('1'));
    world.d.service.stop().await;
}
