//! Process versions over gRPC and a real database: which ones there were, and how two sides compare.

use crate::support::{
    COMMUNITIES, DISTRICT, MANCHUN, NEXT, WANSONG, analyst, digest, in_turn, merge, rebuild, start,
    story::{Story, Verdict, at},
};
use analytics::App;
use chassis::{
    auth::Role,
    event::Event,
    testing::{Persona, TestService},
};
use chrono::TimeDelta;
use proto::{
    analytics::v1::{process_service_client::ProcessServiceClient, *},
    case_routing::v1::{ClockKind, ClosedCode, DeliveryMode},
    staffing::v1::AssignmentConfirmed,
};
use tonic::{Code, Status};
use uuid::Uuid;

const OLD: &str = "catalogue-1.list-1.sla-aa.rules-bb";
const NEW: &str = "catalogue-1.list-2.sla-aa.rules-bb";

/// A case that goes straight through: registered to closed in 29 hours.
fn straight(place: Uuid, process: &str, day: &str) -> Story {
    let start = at(day, 8);
    let hours = |n| start + TimeDelta::hours(n);
    let mut story = Story::register(start, place);
    process.clone_into(&mut story.process);
    story.accept(hours(1), hours(100), true).triage(hours(1), "roof", "housing");
    let task = story.dispatch(hours(2), DeliveryMode::GovDirect, true, true);
    story
        .sign(hours(3), task, true)
        .remind(hours(4), ClockKind::Contact, 50)
        .contact(hours(5), true)
        .complete(hours(25), task, true, 24 * 3_600)
        .verify(hours(27), Verdict::good())
        .close(hours(29), ClosedCode::Resolved);
    story
}

/// A case that is objected to, goes to another, is late and done twice.
fn winding(place: Uuid, process: &str, day: &str) -> Story {
    let start = at(day, 8);
    let hours = |n| start + TimeDelta::hours(n);
    let mut story = Story::register(start, place);
    process.clone_into(&mut story.process);
    story.accept(hours(1), hours(20), true).triage(hours(1), "noise", "urban");
    let first = story.dispatch(hours(2), DeliveryMode::GovDirect, true, true);
    story.object(hours(3), first).rule(hours(9), first, true);
    // What is decided later does not change with what the case was first decided.
    "catalogue-9.list-9.sla-aa.rules-bb".clone_into(&mut story.process);
    let task = story.dispatch(hours(9), DeliveryMode::GovDirect, false, true);
    story
        .sign(hours(10), task, true)
        .contact(hours(11), true)
        .complete(hours(30), task, false, 29 * 3_600)
        .rework(hours(31), task, hours(32))
        .complete(hours(33), task, false, 32 * 3_600)
        .verify(hours(34), Verdict::good())
        .close(hours(36), ClosedCode::Resolved);
    story
}

fn worked(story: &Story, minutes: i32, version: i64) -> Event {
    let message = AssignmentConfirmed { case_id: story.case_id.to_string(), minutes, ..Default::default() };
    Event::of("staffing", at("2026-03-04", 9), story.case_id, version, &message)
}

async fn compare(
    service: &TestService<App>,
    persona: &Persona,
    base: ProcessSide,
    other: ProcessSide,
) -> Result<CompareProcessesResponse, Status> {
    let request = CompareProcessesRequest { base: Some(base), other: Some(other), ..Default::default() };
    let mut client = ProcessServiceClient::new(service.call_as(persona));
    client.compare_processes(request).await.map(tonic::Response::into_inner)
}

fn version(process: &str) -> ProcessSide {
    ProcessSide { process_version: process.to_owned(), end_date: "2026-03-20".into(), ..Default::default() }
}

fn of(unit: Uuid) -> ProcessSide {
    ProcessSide { unit_ids: vec![unit.to_string()], end_date: "2026-03-20".into(), ..Default::default() }
}

/// The first street by the new list from the third of March on, the other one by the old.
fn district() -> Vec<Story> {
    let [a, b, c] = COMMUNITIES;
    vec![
        winding(a, OLD, "2026-02-20"),
        straight(b, OLD, "2026-02-20"),
        straight(a, NEW, "2026-03-03"),
        straight(b, NEW, "2026-03-03"),
        winding(c, OLD, "2026-03-03"),
    ]
}

#[tokio::test]
async fn two_versions_compare_in_all_and_by_item_and_street() {
    let service = start().await;
    let stories = district();
    service.deliver_all(in_turn(&stories)).await;
    service.deliver_all(vec![worked(&stories[2], 40, 7), worked(&stories[3], 20, 9)]).await;
    let answer = compare(&service, &analyst(), version("catalogue-1.list-1"), version(NEW)).await.unwrap();
    let overall = answer.overall.unwrap();
    let (old, new) = (overall.base.unwrap(), overall.other.unwrap());
    assert_eq!((old.cases, new.cases), (3, 2));
    // 10 steps straight: registered … closed, with the task's own, without the reminder; 17 on the winding way.
    let (short, long) = ((stories[2].events.len() - 1) as f64, stories[0].events.len() as f64);
    assert_eq!(new.steps, Some(short));
    assert_eq!(old.steps, Some(((short + 2.0 * long) / 3.0 * 10_000.0).round() / 10_000.0));
    assert_eq!(
        (new.dispatches, new.objections, new.returns, new.hand_overs),
        (Some(1.0), Some(0.0), Some(0.0), Some(1.0))
    );
    assert_eq!((old.dispatches, old.objections, old.returns), (Some(1.6667), Some(0.6667), Some(0.6667)));
    assert_eq!((new.contacts, new.supplements, new.touch_points), (Some(1.0), Some(0.0), Some(1.0)));
    let rate = |share: &Option<Share>| share.as_ref().map(|share| (share.numerator, share.denominator));
    assert_eq!((rate(&old.on_time), rate(&new.on_time)), (Some((1, 3)), Some((2, 2))));
    assert_eq!((rate(&old.rework), rate(&new.rework)), (Some((2, 3)), Some((0, 2))));
    assert_eq!((rate(&old.one_time), rate(&new.one_time)), (Some((1, 3)), Some((2, 2))));
    let times: Vec<_> =
        new.state_times.iter().map(|time| (time.state.as_str(), time.seconds_per_case / 3_600.0)).collect();
    assert_eq!(
        times,
        [
            ("registered", 1.0),
            ("triaged", 1.0),
            ("dispatched", 1.0),
            ("signed", 2.0),
            ("in_progress", 20.0),
            ("completed", 2.0),
            ("resolved", 2.0),
        ]
    );
    let spent: f64 = new.state_times.iter().map(|time| time.seconds_per_case).sum();
    assert_eq!(spent, 29.0 * 3_600.0, "from registration to closing");
    let mode = |side: &ProcessFigures| {
        let mode = &side.delivery_modes[0];
        (mode.delivery_mode.clone(), mode.cases, mode.cases_with_minutes, mode.minutes_per_case)
    };
    assert_eq!(mode(&new), ("gov_direct".into(), 2, 2, Some(30.0)));
    assert_eq!(mode(&old), ("gov_direct".into(), 3, 0, None));
    assert!(old.small_sample && new.small_sample && overall.note_en.contains("chance"));

    let rows: Vec<_> = answer
        .rows
        .iter()
        .map(|row| {
            let cases = |side: &Option<ProcessFigures>| side.as_ref().map_or(0, |side| side.cases);
            (row.item_code.as_str(), row.street_unit_id.clone(), cases(&row.base), cases(&row.other))
        })
        .collect();
    let (first, second) = (MANCHUN.to_string(), WANSONG.to_string());
    for row in [
        ("roof", String::new(), 1, 2),
        ("noise", String::new(), 2, 0),
        ("", first.clone(), 2, 2),
        ("", second.clone(), 1, 0),
        ("roof", first.clone(), 1, 2),
        ("noise", first, 1, 0),
        ("noise", second, 1, 0),
    ] {
        assert!(rows.contains(&row), "{row:?} of {rows:?}");
    }
    assert_eq!(rows.len(), 7);
    let noise = answer.rows.iter().find(|row| row.item_code == "noise").unwrap();
    let nothing = noise.other.as_ref().unwrap();
    assert_eq!((nothing.steps, nothing.rework.as_ref().and_then(|share| share.value)), (None, None));
    assert!(noise.note_en.contains("only one side"));
    // The beginning of a version is cut at a dot.
    let none = compare(&service, &analyst(), version("catalogue-1.list"), version(NEW)).await.unwrap();
    assert_eq!(none.overall.unwrap().base.unwrap().cases, 0);

    // Made anew from the log it is the same, and a second delivery changed nothing.
    let before = digest(&service).await;
    service.deliver_all(in_turn(&stories)).await;
    assert_eq!(digest(&service).await, before);
    rebuild(&service, chassis::clock::new_id()).await;
    assert_eq!(digest(&service).await, before);
    let again = compare(&service, &analyst(), version("catalogue-1.list-1"), version(NEW)).await.unwrap();
    assert_eq!(again.rows, answer.rows);
    service.stop().await;
}

#[tokio::test]
async fn every_row_comes_once_though_cases_are_closed_between_two_pages() {
    let service = start().await;
    service.deliver_all(in_turn(&district())).await;
    let (mut rows, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = CompareProcessesRequest {
            base: Some(version("catalogue-1.list-1")),
            other: Some(version(NEW)),
            page_size: 1,
            page_token,
            ..Default::default()
        };
        let mut client = ProcessServiceClient::new(service.call_as(&analyst()));
        let page = client.compare_processes(request).await.unwrap().into_inner();
        rows.extend(page.rows.into_iter().map(|row| (row.item_code, row.street_unit_id)));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
        // Of the other item, which comes behind the first.
        let [a, _, c] = COMMUNITIES;
        let more = |_| match rows[0].0.as_str() {
            "roof" => winding(c, OLD, "2026-03-04"),
            _ => straight(a, NEW, "2026-03-04"),
        };
        service.deliver_all(in_turn(&(0..3).map(more).collect::<Vec<_>>())).await;
    }
    let told = rows.len();
    rows.sort();
    rows.dedup();
    assert_eq!((told, rows.len()), (7, 7), "{rows:?}");
    service.stop().await;
}

#[tokio::test]
async fn a_street_under_trial_compares_with_its_controls_and_with_itself_before() {
    let service = start().await;
    service.deliver_all(in_turn(&district())).await;
    let both = compare(&service, &analyst(), of(WANSONG), of(MANCHUN)).await.unwrap().overall.unwrap();
    assert_eq!((both.base.unwrap().cases, both.other.unwrap().cases), (1, 4));
    let before = ProcessSide { end_date: "2026-03-01".into(), ..of(MANCHUN) };
    let after = ProcessSide { start_date: "2026-03-01".into(), ..of(MANCHUN) };
    let answer = compare(&service, &analyst(), before, after).await.unwrap();
    assert_eq!(answer.base_end_date, answer.other_start_date);
    let both = answer.overall.unwrap();
    let (before, after) = (both.base.unwrap(), both.other.unwrap());
    assert_eq!((before.cases, after.cases), (2, 2));
    assert!(
        before.hand_overs > after.hand_overs && before.rework.unwrap().value > after.rework.unwrap().value
    );
    service.stop().await;
}

#[tokio::test]
async fn a_street_compares_with_what_it_was_made_of_and_says_so() {
    let service = start().await;
    service.deliver_all(in_turn(&district())).await;
    let street = Uuid::from_u128(0x18);
    merge(&service, &COMMUNITIES[..2], NEXT).await;
    merge(&service, &[MANCHUN, WANSONG], street).await;
    let before = ProcessSide { end_date: "2026-03-01".into(), ..of(street) };
    let after = ProcessSide { start_date: "2026-03-01".into(), ..of(street) };
    let answer = compare(&service, &analyst(), before, after).await.unwrap();
    let both = answer.overall.unwrap();
    let (before, after) = (both.base.unwrap(), both.other.unwrap());
    assert_eq!((before.cases, after.cases), (2, 3));
    assert!(before.rebased && !after.rebased);
    let streets = answer.rows.iter().map(|row| &row.street_unit_id).filter(|id| !id.is_empty());
    assert!(streets.clone().count() > 0 && streets.clone().all(|id| *id == street.to_string()));

    // Of the whole district: its boundaries are what they were, the street's are not.
    let whole = compare(&service, &analyst(), of(DISTRICT), of(DISTRICT)).await.unwrap();
    assert!(!whole.overall.unwrap().base.unwrap().rebased);
    let row = whole.rows.iter().find(|row| row.item_code.is_empty()).unwrap();
    assert!(row.street_unit_id == street.to_string() && row.base.as_ref().unwrap().rebased);

    // What a unit was made of counts once when it is named beside it.
    let twice = [COMMUNITIES[0], NEXT].map(|unit| unit.to_string()).to_vec();
    let twice = ProcessSide { unit_ids: twice, ..of(NEXT) };
    let both = compare(&service, &analyst(), of(NEXT), twice).await.unwrap().overall.unwrap();
    assert_eq!((both.base.unwrap().cases, both.other.unwrap().cases), (4, 4));
    service.stop().await;
}

#[tokio::test]
async fn the_versions_of_a_period_are_listed_with_their_days_and_streets_the_latest_first() {
    let service = start().await;
    let mut stories = district();
    // Decided and not closed yet: the version is seen all the same.
    let mut open = Story::register(at("2026-03-05", 9), COMMUNITIES[2]);
    "catalogue-2.list-3.sla-cc.rules-dd".clone_into(&mut open.process);
    open.accept(at("2026-03-05", 9), at("2026-03-09", 9), true);
    open.dispatch(at("2026-03-05", 9), DeliveryMode::GovDirect, true, true);
    stories.push(open);
    service.deliver_all(in_turn(&stories)).await;
    let mut client = ProcessServiceClient::new(service.call_as(&analyst()));
    let (mut all, mut page_token) = (Vec::new(), String::new());
    loop {
        let end_date = "2026-03-20".to_owned();
        let request = ListProcessVersionsRequest { page_size: 1, page_token, end_date, ..Default::default() };
        let page = client.list_process_versions(request).await.unwrap().into_inner();
        all.extend(page.versions);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    let told: Vec<_> = all
        .iter()
        .map(|one| {
            (one.catalogue_version, one.list_version, one.decided, one.closed, one.street_unit_ids.clone())
        })
        .collect();
    let (first, second) = (MANCHUN.to_string(), WANSONG.to_string());
    assert_eq!(
        told,
        [
            (2, 3, 1, 0, vec![second.clone()]),
            (1, 2, 2, 2, vec![first.clone()]),
            (1, 1, 3, 3, vec![first, second]),
        ]
    );
    assert_eq!((all[2].first_date.as_str(), all[2].last_date.as_str()), ("2026-02-20", "2026-03-03"));
    assert_eq!((all[0].sla_version.as_str(), all[0].rules_version.as_str()), ("cc", "dd"));
    service.stop().await;
}

#[tokio::test]
async fn the_versions_of_the_last_thirty_days_are_listed_unless_other_days_are_asked_for() {
    let service = start().await;
    let [a, b, _] = COMMUNITIES;
    service.deliver_all(in_turn(&[straight(a, OLD, "2026-01-20"), straight(b, NEW, "2026-02-10")])).await;
    let listed = async |start_date: &str| {
        let start_date = start_date.to_owned();
        let mut client = ProcessServiceClient::new(service.call_as(&analyst()));
        let request = ListProcessVersionsRequest { start_date, ..Default::default() };
        let versions = client.list_process_versions(request).await.unwrap().into_inner().versions;
        versions.into_iter().map(|one| one.process_version).collect::<Vec<_>>()
    };
    assert_eq!(listed("").await, [NEW]);
    assert_eq!(listed("2026-01-01").await, [NEW, OLD]);
    service.stop().await;
}

#[tokio::test]
async fn a_department_compares_its_line_by_street_and_nobody_beyond_reach() {
    let service = start().await;
    service.deliver_all(in_turn(&district())).await;
    let housing = Persona::new(Role::DeptLeader, DISTRICT).line("housing");
    let both = compare(&service, &housing, of(DISTRICT), of(MANCHUN)).await.unwrap().overall.unwrap();
    assert_eq!((both.base.unwrap().cases, both.other.unwrap().cases), (3, 3), "its own line only");
    let community = compare(&service, &housing, of(COMMUNITIES[0]), of(MANCHUN)).await.unwrap_err();
    assert_eq!(community.code(), Code::NotFound, "C-11");
    let leader = Persona::new(Role::StreetLeader, MANCHUN);
    assert_eq!(
        compare(&service, &leader, of(MANCHUN), of(WANSONG)).await.unwrap_err().code(),
        Code::NotFound
    );
    let operator = Persona::new(Role::ItOperator, DISTRICT);
    let denied = compare(&service, &operator, of(MANCHUN), of(WANSONG)).await.unwrap_err();
    assert_eq!(denied.code(), Code::PermissionDenied);
    for (side, field) in [
        (version("list 2"), "other.process_version"),
        (ProcessSide { end_date: "tomorrow".into(), ..of(MANCHUN) }, "other.end_date"),
        (ProcessSide { start_date: "2026-04-01".into(), ..of(MANCHUN) }, "other.end_date"),
        (ProcessSide { unit_ids: vec!["x".into()], ..Default::default() }, "other.unit_ids[0]"),
    ] {
        let refused = compare(&service, &analyst(), of(MANCHUN), side).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
        assert!(refused.message().starts_with(field), "{field}: {}", refused.message());
    }
    service.stop().await;
}
