//! Hot spots over gRPC and a real database: found once, told once, over when they are over, and compared after their topic
//! case was closed.

use std::time::Duration;

use crate::support::{
    COMMUNITIES, DISTRICT, MANCHUN, NEXT, analyst, in_turn, merge, rebuild, start,
    story::{Story, at},
    topology,
};
use analytics::App;
use chassis::{
    auth::Role,
    clock::{new_id, to_proto},
    event::Event,
    testing::{Persona, TestService},
};
use chrono::{NaiveDate, TimeDelta};
use proto::{
    EventMessage,
    analytics::v1::{
        DetectHotspotsRequest, DetectHotspotsResponse, GetHotspotDefinitionRequest, Hotspot, HotspotDetected,
        HotspotEffect, HotspotEnded, HotspotState, ListHotspotsRequest,
        hotspot_service_client::HotspotServiceClient,
    },
    case_routing::v1::{
        CaseState, CasesImported, ClosedCode, DeliveryMode, HotspotAnswered, ImportedFact, ImportedItem,
        Origin,
    },
};
use tonic::Code;
use tonic_types::StatusExt;
use uuid::Uuid;

const ITEM: &str = "CJ-0103";

fn case(day: NaiveDate, place: Uuid, origin: Origin) -> Story {
    case_of_line(day, place, origin, "construction")
}

fn case_of_line(day: NaiveDate, place: Uuid, origin: Origin, line: &str) -> Story {
    let at = at(&day.to_string(), 9);
    let mut story = Story::register(at, place);
    story.facts.set_origin(origin);
    story.accept(at, at + TimeDelta::days(5), true).triage(at, ITEM, line);
    story
}

/// Nine weeks with two cases each, then one with twelve, up to 2026-03-01; and topic cases, which nobody asked for.
fn outbreak() -> Vec<Event> {
    let last: chrono::NaiveDate = "2026-03-01".parse().unwrap();
    let before = (7..70)
        .filter(|n| n % 7 < 2)
        .map(|n| case(last - TimeDelta::days(n), COMMUNITIES[0], Origin::BottomUp));
    let now = (0..12).map(|n| case(last - TimeDelta::days(n % 6), COMMUNITIES[0], Origin::BottomUp));
    let above = (0..20).map(|n| case(last - TimeDelta::days(n % 6), COMMUNITIES[2], Origin::TopDown));
    in_turn(&before.chain(now).chain(above).collect::<Vec<_>>())
}

/// Cases registered on these days that came from another system on 2026-03-01; they ended the day before.
fn imported(days: impl Iterator<Item = NaiveDate>) -> Event {
    let case = |day: NaiveDate| {
        let registered = || Some(to_proto(at(&day.to_string(), 9)));
        let ended = || Some(to_proto(at("2026-02-28", 17)));
        ImportedFact {
            case_id: new_id().as_bytes().to_vec(),
            version: 3,
            state: CaseState::Closed.into(),
            place_unit: 1,
            item: 1,
            first_receiver_org: 1,
            delivery_mode: DeliveryMode::GovDirect.into(),
            closed_code: ClosedCode::Resolved.into(),
            registered_time: registered(),
            accepted_time: registered(),
            completed_time: ended(),
            closed_time: ended(),
            ..Default::default()
        }
    };
    let batch = new_id();
    let item =
        ImportedItem { item_code: ITEM.into(), line: "construction".into(), ..ImportedItem::default() };
    let message = CasesImported {
        batch_id: batch.to_string(),
        import_id: new_id().to_string(),
        unit_ids: vec![COMMUNITIES[0].to_string()],
        org_ids: vec![new_id().to_string()],
        items: vec![item],
        cases: days.map(case).collect(),
    };
    Event::of("case-routing", at("2026-03-01", 18), batch, 1, &message)
}

async fn detect(service: &TestService<App>, request_id: Uuid) -> DetectHotspotsResponse {
    detect_as(service, &analyst(), request_id).await
}

async fn detect_as(service: &TestService<App>, by: &Persona, request_id: Uuid) -> DetectHotspotsResponse {
    let request = DetectHotspotsRequest { request_id: request_id.to_string() };
    let mut client = HotspotServiceClient::new(service.call_as(by));
    client.detect_hotspots(request).await.expect("a look").into_inner()
}

async fn list(service: &TestService<App>, persona: &Persona, request: ListHotspotsRequest) -> Vec<Hotspot> {
    let mut client = HotspotServiceClient::new(service.call_as(persona));
    client.list_hotspots(request).await.expect("hot spots").into_inner().hotspots
}

async fn all(service: &TestService<App>) -> Vec<Hotspot> {
    list(service, &analyst(), ListHotspotsRequest::default()).await
}

fn of<M: EventMessage>(events: &[Event]) -> Vec<M> {
    events.iter().filter(|event| event.is::<M>()).map(|event| event.decode().unwrap()).collect()
}

#[tokio::test]
async fn an_outbreak_is_found_and_told_once() {
    let service = start().await;
    let empty = detect(&service, new_id()).await;
    assert!(empty.too_little_history && empty.tested == 0, "{empty:?}");
    service.deliver_all(outbreak()).await;

    let (by, request_id) = (analyst(), new_id());
    let found = detect_as(&service, &by, request_id).await;
    assert_eq!((found.day.as_str(), found.detected, found.too_little_history), ("2026-03-01", 1, false));
    assert!(found.tested >= 3 && found.rejected >= 1, "{found:?}");
    let told = of::<HotspotDetected>(&service.drain_outbox().await);
    let [told] = &told[..] else { panic!("told once: {told:?}") };
    assert_eq!((told.unit_id.clone(), told.item_code.as_str()), (COMMUNITIES[0].to_string(), ITEM));
    assert_eq!(
        (told.start_date.as_str(), told.end_date.as_str(), told.count),
        ("2026-02-23", "2026-03-01", 12)
    );
    assert_eq!(told.line, "construction");
    assert!((told.expected - 16.5 / 8.0).abs() < 1e-9 && told.p_value < 0.001, "{told:?}");

    // The same request answers the same; another look at the same day finds nothing new and tells nothing.
    assert_eq!(detect_as(&service, &by, request_id).await, found);
    let again = detect(&service, new_id()).await;
    assert_eq!((again.detected, again.continued, again.ended), (0, 1, 0));
    assert!(service.drain_outbox().await.is_empty());

    let listed = all(&service).await;
    assert_eq!((listed.len(), listed[0].hotspot_id.as_str()), (1, told.hotspot_id.as_str()));
    assert_eq!((listed[0].state(), listed[0].effect()), (HotspotState::Active, HotspotEffect::Pending));
    // Findings are no sums: a rebuild leaves them.
    rebuild(&service, new_id()).await;
    assert_eq!(all(&service).await, listed);
    service.stop().await;
}

#[tokio::test]
async fn a_hot_spot_is_of_the_line_under_which_its_item_comes_in_now() {
    let service = start().await;
    let last: NaiveDate = "2026-03-01".parse().unwrap();
    let place = COMMUNITIES[0];
    let lived = |n: i64, line| case_of_line(last - TimeDelta::days(n), place, Origin::BottomUp, line);
    let before = (7..70).filter(|n| n % 7 < 2).map(|n| lived(n, "construction"));
    // The department was another one in the first days of the week.
    let now = (0..12).map(|n| lived(n % 6, if n % 6 > 3 { "construction" } else { "urban" }));
    service.deliver_all(in_turn(&before.chain(now).collect::<Vec<_>>())).await;
    detect(&service, new_id()).await;
    let events = service.drain_outbox().await;
    let told = of::<HotspotDetected>(&events);
    let lines: Vec<&str> = told.iter().map(|told| told.line.as_str()).collect();
    assert_eq!(lines, ["urban"]);
    assert!(events.iter().all(|event| event.line.as_deref() == Some("urban")), "{events:?}");
    assert_eq!(all(&service).await[0].line, "urban");
    service.stop().await;
}

#[tokio::test]
async fn imported_history_is_what_the_present_is_judged_by() {
    let last: NaiveDate = "2026-03-01".parse().unwrap();
    // Nine weeks from another system, with two cases each or with twelve, then one of our own with twelve.
    for (times, detected) in [(1, 1), (6, 0)] {
        let service = start().await;
        let now = (0..12).map(|n| case(last - TimeDelta::days(n % 6), COMMUNITIES[0], Origin::BottomUp));
        service.deliver_all(in_turn(&now.collect::<Vec<_>>())).await;
        assert!(detect(&service, new_id()).await.too_little_history, "a week is judged by nothing");
        let before = (7..70).filter(|n| n % 7 < 2).map(|n| last - TimeDelta::days(n));
        service.deliver(imported(before.flat_map(|day| (0..times).map(move |_| day)))).await;
        let found = detect(&service, new_id()).await;
        assert_eq!((found.too_little_history, found.detected), (false, detected), "{found:?}");
        let told = of::<HotspotDetected>(&service.drain_outbox().await);
        assert_eq!(told.len(), usize::try_from(detected).unwrap());
        for told in told {
            assert_eq!((told.unit_id.clone(), told.count), (COMMUNITIES[0].to_string(), 12));
            assert!((told.expected - 16.5 / 8.0).abs() < 1e-9, "{told:?}");
        }
        service.stop().await;
    }
}

#[tokio::test]
async fn old_cases_that_come_today_are_no_hot_spot_of_today() {
    let service = start().await;
    let last: NaiveDate = "2026-03-01".parse().unwrap();
    let steady = (0..70)
        .filter(|n| n % 7 < 2)
        .map(|n| case(last - TimeDelta::days(n), COMMUNITIES[0], Origin::BottomUp));
    service.deliver_all(in_turn(&steady.collect::<Vec<_>>())).await;
    // Of one week, three weeks ago.
    service.deliver(imported((0..40).map(|n| last - TimeDelta::days(21 + n % 7)))).await;
    let found = detect(&service, new_id()).await;
    assert_eq!((found.too_little_history, found.detected, found.continued), (false, 0, 0), "{found:?}");
    assert!(found.tested > 0, "{found:?}");
    assert!(service.drain_outbox().await.is_empty() && all(&service).await.is_empty());
    service.stop().await;
}

#[tokio::test]
async fn who_does_not_reach_a_place_sees_none_of_its_hot_spots() {
    let service = start().await;
    service.deliver_all(outbreak()).await;
    detect(&service, new_id()).await;
    let here = Persona::new(Role::StreetLeader, MANCHUN);
    let elsewhere = Persona::new(Role::StationHead, COMMUNITIES[2]);
    // By line only: communities are not compared by a department.
    let by_line = Persona::new(Role::Analyst, DISTRICT).line("construction");
    for (persona, number) in [(&here, 1), (&elsewhere, 0), (&by_line, 0)] {
        assert_eq!(
            list(&service, persona, ListHotspotsRequest::default()).await.len(),
            number,
            "{persona:?}"
        );
    }
    let mut client = HotspotServiceClient::new(service.call_as(&elsewhere));
    let foreign = ListHotspotsRequest { unit_id: COMMUNITIES[0].to_string(), ..Default::default() };
    assert_eq!(client.list_hotspots(foreign).await.unwrap_err().code(), Code::NotFound);
    let denied = DetectHotspotsRequest { request_id: new_id().to_string() };
    assert_eq!(client.detect_hotspots(denied).await.unwrap_err().code(), Code::PermissionDenied);
    let ended = ListHotspotsRequest { state: HotspotState::Ended.into(), ..Default::default() };
    assert!(list(&service, &here, ended).await.is_empty());
    // Naming it shows it to nobody else.
    let id = all(&service).await.remove(0).hotspot_id;
    let by_name = |id: &str| ListHotspotsRequest { hotspot_ids: vec![id.to_owned()], ..Default::default() };
    assert_eq!(list(&service, &here, by_name(&id)).await[0].hotspot_id, id);
    assert!(list(&service, &elsewhere, by_name(&id)).await.is_empty());
    let method = client.get_hotspot_definition(GetHotspotDefinitionRequest {}).await.unwrap().into_inner();
    assert_eq!((method.version, method.window_days, method.baseline_windows), (1, 7, 8));
    service.stop().await;
}

#[tokio::test]
async fn hot_spots_are_listed_by_their_ids_however_old_they_are() {
    let service = start().await;
    service.deliver_all(outbreak()).await;
    detect(&service, new_id()).await;
    let known = all(&service).await.remove(0).hotspot_id;
    let named = |hotspot_ids| ListHotspotsRequest { page_size: 1, hotspot_ids, ..Default::default() };
    let found = list(&service, &analyst(), named(vec![new_id().to_string(), known.clone()])).await;
    assert_eq!(found.iter().map(|found| found.hotspot_id.as_str()).collect::<Vec<_>>(), [known.as_str()]);
    assert!(list(&service, &analyst(), named(vec![new_id().to_string()])).await.is_empty());

    let mut client = HotspotServiceClient::new(service.call_as(&analyst()));
    let unfit =
        [(vec![known.clone(), "Not an id".to_owned()], "hotspot_ids[1]"), (vec![known; 201], "hotspot_ids")];
    for (ids, field) in unfit {
        let refused = client.list_hotspots(named(ids)).await.unwrap_err();
        let details = refused.get_error_details();
        let fields = details.bad_request().map(|bad| bad.field_violations.clone()).unwrap_or_default();
        assert_eq!(refused.code(), Code::InvalidArgument);
        assert_eq!(fields.iter().map(|one| one.field.as_str()).collect::<Vec<_>>(), [field]);
    }
    service.stop().await;
}

#[tokio::test]
async fn a_hot_spot_ends_by_itself_and_its_topic_case_is_judged_by_what_came_after() {
    let service = start().await;
    service.deliver_all(outbreak()).await;
    detect(&service, new_id()).await;
    service.drain_outbox().await;
    let hotspot = all(&service).await.remove(0);

    // A topic case is opened and, two days later, closed.
    let mut topic = case("2026-03-02".parse().unwrap(), COMMUNITIES[0], Origin::TopDown);
    let answered = HotspotAnswered {
        hotspot_id: hotspot.hotspot_id.clone(),
        unit_id: hotspot.unit_id.clone(),
        item_code: ITEM.to_owned(),
        topic_case_id: topic.case_id.to_string(),
        ..Default::default()
    };
    let answered = Event::of("case-routing", service.clock().now(), COMMUNITIES[0], 1, &answered);
    service.deliver(answered.clone()).await;
    service.deliver(answered).await;
    topic.close(at("2026-03-04", 17), ClosedCode::Resolved);
    service.deliver_all(topic.events.clone()).await;
    let after = all(&service).await.remove(0);
    assert_eq!(
        (after.topic_case_id.clone(), after.effect()),
        (topic.case_id.to_string(), HotspotEffect::TooEarly)
    );

    // Domain time goes on by itself: the nights' looks find that it is over. Then four weeks with one case each.
    let quiet = (0..4).map(|n| {
        case(chrono::NaiveDate::from_ymd_opt(2026, 3, 8 + 7 * n).unwrap(), COMMUNITIES[0], Origin::BottomUp)
    });
    service.deliver_all(in_turn(&quiet.collect::<Vec<_>>())).await;
    service.clock().advance(Duration::from_secs(12 * 86_400));
    let is_over = async || all(&service).await[0].state() == HotspotState::Ended;
    service.wait_for("the hot spot to end", is_over).await;
    let told = service.drain_outbox().await;
    assert_eq!(of::<HotspotEnded>(&told).len(), 1);
    assert!(of::<HotspotDetected>(&told).is_empty());
    service.clock().advance(Duration::from_secs(25 * 86_400));
    let seen = all(&service).await.remove(0);
    assert_eq!((seen.count_before, seen.days_before, seen.count_after, seen.days_after), (12, 10, 4, 28));
    assert_eq!(seen.effect(), HotspotEffect::Fell);
    service.stop().await;
}

#[tokio::test]
async fn a_machine_whose_time_is_wrong_looks_at_no_day() {
    let wrong = TestService::<App>::builder().topology(topology()).machine_ahead_by(Duration::from_secs(120));
    let service = wrong.start().await;
    service.deliver_all(outbreak()).await;
    service.clock().advance(Duration::from_secs(86_400)); // a night's look comes with the jump
    let found = async || !all(&service).await.is_empty();
    let waited = tokio::time::timeout(Duration::from_secs(1), service.wait_for("a hot spot", found));
    assert!(waited.await.is_err());
    service.stop().await;
}

#[tokio::test]
async fn what_communities_became_is_judged_by_what_happened_in_them() {
    let service = start().await;
    let last: NaiveDate = "2026-03-01".parse().unwrap();
    // Three cases a week in each of them, and as many in what they became: nothing is unusual.
    let weeks = (7..70).filter(|n| n % 7 < 3).flat_map(|n| [(n, COMMUNITIES[0]), (n, COMMUNITIES[1])]);
    let before = weeks.map(|(n, place)| case(last - TimeDelta::days(n), place, Origin::BottomUp));
    let now = (0..6).map(|n| case(last - TimeDelta::days(n), NEXT, Origin::BottomUp));
    service.deliver_all(in_turn(&before.chain(now).collect::<Vec<_>>())).await;
    merge(&service, &COMMUNITIES[..2], NEXT).await;
    let found = detect(&service, new_id()).await;
    assert_eq!((found.too_little_history, found.detected), (false, 0), "{found:?}");
    assert!(found.tested > 0, "{found:?}");
    service.stop().await;
}

#[tokio::test]
async fn a_hot_spot_goes_on_in_what_its_community_became() {
    let service = start().await;
    service.deliver_all(outbreak()).await;
    assert_eq!(detect(&service, new_id()).await.detected, 1);
    let hotspot = all(&service).await.remove(0);
    service.drain_outbox().await;

    merge(&service, &COMMUNITIES[..2], NEXT).await;
    let last: NaiveDate = "2026-03-01".parse().unwrap();
    let more = (0..12).map(|n| case(last - TimeDelta::days(n % 6), NEXT, Origin::BottomUp));
    service.deliver_all(in_turn(&more.collect::<Vec<_>>())).await;
    let found = detect(&service, new_id()).await;
    assert_eq!((found.detected, found.continued, found.ended), (0, 1, 0), "{found:?}");
    assert!(of::<HotspotDetected>(&service.drain_outbox().await).is_empty());
    // Its topic case is compared by the cases of the whole, and whoever reaches that sees it.
    let mut topic = case("2026-03-02".parse().unwrap(), NEXT, Origin::TopDown);
    let answered = HotspotAnswered {
        hotspot_id: hotspot.hotspot_id.clone(),
        unit_id: hotspot.unit_id.clone(),
        item_code: ITEM.to_owned(),
        topic_case_id: topic.case_id.to_string(),
        ..Default::default()
    };
    service.deliver(Event::of("case-routing", service.clock().now(), COMMUNITIES[0], 1, &answered)).await;
    topic.close(at("2026-03-04", 17), ClosedCode::Resolved);
    service.deliver_all(topic.events.clone()).await;
    let head = Persona::new(Role::StationHead, NEXT);
    let [seen] = &list(&service, &head, ListHotspotsRequest::default()).await[..] else { panic!("one") };
    assert_eq!((&seen.hotspot_id, seen.count), (&hotspot.hotspot_id, 24));
    assert_eq!((seen.count_before, seen.days_before), (24, 10));
    // Also by the unit that it names itself.
    let request = ListHotspotsRequest { unit_id: hotspot.unit_id.clone(), ..Default::default() };
    let [named] = &list(&service, &head, request).await[..] else { panic!("one") };
    assert_eq!(named.hotspot_id, hotspot.hotspot_id);
    let mut client = HotspotServiceClient::new(service.call_as(&head));
    let request = ListHotspotsRequest { unit_id: COMMUNITIES[2].to_string(), ..Default::default() };
    assert_eq!(client.list_hotspots(request).await.unwrap_err().code(), Code::NotFound, "of another station");
    service.stop().await;
}
