//! Orders about working hours and closures: signed, imported, taken up by every replica; they hold in their unit and nowhere
//! else, and take nothing back that was promised.

use case_routing::notice::{NoticeKey, Paper};
use chassis::{
    Timestamp,
    auth::Role,
    clock::from_proto,
    proto::case_routing::v1::{self as pb, calendar_service_client::CalendarServiceClient},
    testing::Persona,
};
use chrono::TimeDelta;
use tonic::{Code, Status};
use uuid::Uuid;

use crate::support::{District, names, request_id, signer};

const STREET: &str = "420103005";
const COMMUNITY: &str = "420103005001";
/// Wednesday and Thursday of the week in which tests begin.
pub const FLOOD: &str = "[[closure]]\ncode = \"flood\"\nfrom = \"2026-03-04\"\nto = \"2026-03-05\"\n";
const LIFTED: &str = "[[closure]]\ncode = \"flood\"\nlifted = true\n";

pub fn order(unit: &str, version: u32, rest: &str) -> String {
    format!("unit = \"{unit}\"\nversion = {version}\nauthority_ref = \"江防指〔2026〕{version}号\"\n{rest}")
}

fn until(close: &str) -> String {
    format!("[[season]]\nfrom = \"01-01\"\nspans = [\"09:00-{close}\"]\n")
}

fn signed(order: &str) -> pb::ImportWorkingHoursRequest {
    pb::ImportWorkingHoursRequest {
        request_id: request_id(),
        order: order.to_owned(),
        signature: signer().sign_as(Paper::Hours, order),
    }
}

async fn send(d: &District, request: pb::ImportWorkingHoursRequest) -> Result<pb::WorkingHours, Status> {
    send_by(d, &Persona::new(Role::ItOperator, d.district), request).await
}

async fn send_by(
    d: &District,
    operator: &Persona,
    request: pb::ImportWorkingHoursRequest,
) -> Result<pb::WorkingHours, Status> {
    let mut client = CalendarServiceClient::new(d.service.call_as(operator));
    Ok(client.import_working_hours(request).await?.into_inner().hours.unwrap())
}

pub async fn import(d: &District, order: &str) -> pb::WorkingHours {
    send(d, signed(order)).await.unwrap()
}

/// As anybody reads it.
pub async fn hours(d: &District, unit: Uuid) -> pb::WorkingHours {
    let mut anybody = CalendarServiceClient::new(d.service.call_anonymously());
    let request = pb::GetWorkingHoursRequest { unit_id: unit.to_string() };
    anybody.get_working_hours(request).await.unwrap().into_inner().hours.unwrap()
}

fn next_door(d: &District) -> Persona {
    Persona::new(Role::ServiceWorker, d.other_street).org(d.other_office)
}

/// A case of the other street, taken in there.
pub async fn taken_in_next_door(d: &District, resident: &Persona) -> pb::Case {
    let place_unit_id = d.other_street.to_string();
    let request = pb::IntakeCaseRequest { place_unit_id, ..d.intake_request(resident) };
    d.cases(&next_door(d)).intake_case(request).await.unwrap().into_inner().case.unwrap()
}

async fn read_next_door(d: &District, case: &pb::Case) -> pb::Case {
    let request = pb::GetCaseRequest { case_id: case.case_id.clone() };
    d.cases(&next_door(d)).get_case(request).await.unwrap().into_inner().case.unwrap()
}

pub fn clock(case: &pb::Case, kind: pb::ClockKind) -> pb::Clock {
    case.clocks.iter().find(|clock| clock.kind() == kind).cloned().unwrap()
}

pub fn due(case: &pb::Case, kind: pb::ClockKind) -> Timestamp {
    clock(case, kind).due_time.as_ref().and_then(from_proto).unwrap()
}

fn at(text: &str) -> Timestamp {
    format!("{text}+08:00").parse().unwrap()
}

#[tokio::test]
async fn a_street_that_is_closed_moves_its_own_clocks_later_and_no_others() {
    let d = District::start().await;
    let other = d.another().await;
    let resident = Persona::resident(d.district);
    let (here, there) = (d.taken_in(&resident).await, taken_in_next_door(&d, &resident).await);
    let kind = pb::ClockKind::Resolve;
    let promised = at("2026-03-09T17:00:00");
    assert_eq!((due(&here, kind), due(&there, kind)), (promised, promised));
    d.service.drain_outbox().await;

    let closed = import(&d, &order(STREET, 1, FLOOD)).await;
    assert_eq!((closed.unit_id.as_str(), closed.order_version), (d.street.to_string().as_str(), 1));
    assert_eq!(hours(&d, d.street).await, closed);
    let below = hours(&d, d.community).await;
    let [closure] = &below.closures[..] else { panic!("{below:?}") };
    assert_eq!((closure.starts_on.as_str(), closure.ends_on.as_str()), ("2026-03-04", "2026-03-05"));
    assert_eq!(
        (closure.unit_id.as_str(), closure.authority_ref.as_str()),
        (closed.unit_id.as_str(), "江防指〔2026〕1号")
    );
    assert!(hours(&d, d.other_street).await.closures.is_empty());

    let later = promised + TimeDelta::days(2);
    d.service.wait_for("the recount", async || due(&d.read(&here).await, kind) > promised).await;
    let counted =
        async || clock(&read_next_door(&d, &there).await, kind).calendar_version == closed.calendar_version;
    d.service.wait_for("the recount next door", counted).await;
    assert_eq!(due(&d.read(&here).await, kind), later);
    assert_eq!(due(&read_next_door(&d, &there).await, kind), promised);
    let told = d.service.drain_outbox().await;
    assert_eq!(names(&told)[0], "WorkingHoursAmended");
    let amended: pb::WorkingHoursAmended = told[0].decode().unwrap();
    assert_eq!((amended.unit_id, amended.closure_codes), (d.street.to_string(), vec!["flood".to_owned()]));
    let moved = told.iter().filter(|event| event.is::<pb::ClockMoved>());
    let moved: Vec<pb::ClockMoved> = moved.map(|event| event.decode().unwrap()).collect();
    assert!(!moved.is_empty() && moved.iter().all(|moved| moved.case_id == here.case_id), "{moved:?}");
    let mut elsewhere = CalendarServiceClient::new(d.call_at(other.addr, &d.window()));
    d.service
        .wait_for("the other replica", async || {
            let request = pb::GetWorkingHoursRequest { unit_id: d.street.to_string() };
            let answer = elsewhere.get_working_hours(request).await.unwrap().into_inner();
            answer.hours.is_some_and(|hours| hours.closures.len() == 1)
        })
        .await;

    let lifted = import(&d, &order(STREET, 2, LIFTED)).await;
    assert!(lifted.closures.is_empty());
    let counted = async || clock(&d.read(&here).await, kind).calendar_version == lifted.calendar_version;
    d.service.wait_for("the second recount", counted).await;
    assert_eq!(due(&d.read(&here).await, kind), later, "what was promised meanwhile stays promised");
    assert_eq!(due(&d.taken_in(&resident).await, kind), promised);
    other.stop().await.unwrap();
    d.service.stop().await;
}

#[tokio::test]
async fn the_hours_of_a_unit_count_for_its_cases_only_and_the_nearest_win() {
    let d = District::start().await;
    let resident = Persona::resident(d.district);
    let usual = hours(&d, d.community).await;
    assert_eq!((usual.hours_unit_id.as_str(), usual.seasons[0].spans.len()), ("", 2));
    let kind = pb::ClockKind::Sign;
    let before = d.taken_in(&resident).await;
    assert_eq!(due(&before, kind), at("2026-03-03T17:00:00"));

    import(&d, &order(STREET, 1, &until("11:00"))).await;
    assert_eq!(due(&d.taken_in(&resident).await, kind), at("2026-03-03T11:00:00"));
    assert_eq!(due(&taken_in_next_door(&d, &resident).await, kind), at("2026-03-03T17:00:00"));
    import(&d, &order(COMMUNITY, 1, &until("12:30"))).await;
    assert_eq!(due(&d.taken_in(&resident).await, kind), at("2026-03-03T12:30:00"));
    let own = hours(&d, d.community).await;
    assert_eq!(own.hours_unit_id, d.community.to_string());
    assert_eq!(
        (own.seasons[0].starts_on.as_str(), own.seasons[0].spans[0].as_str()),
        ("01-01", "09:00-12:30")
    );
    // Every order is a higher version, for all.
    assert!(own.calendar_version > usual.calendar_version);
    assert_eq!(hours(&d, d.other_street).await.calendar_version, own.calendar_version);
    let counted = async || clock(&d.read(&before).await, kind).calendar_version == own.calendar_version;
    d.service.wait_for("the recount", counted).await;
    assert_eq!(due(&d.read(&before).await, kind), at("2026-03-03T17:00:00"), "promised");
    d.service.stop().await;
}

#[tokio::test]
async fn what_is_wrong_in_an_order_is_named_and_nothing_is_stored() {
    let d = District::start().await;
    let request = signed(&order(STREET, 2, FLOOD));
    let operator = Persona::new(Role::ItOperator, d.district);
    let first = send_by(&d, &operator, request.clone()).await.unwrap();
    assert_eq!(send_by(&d, &operator, request.clone()).await.unwrap(), first, "repeated");
    assert_eq!(d.told().await, ["WorkingHoursAmended"]);

    let refused = async |request: pb::ImportWorkingHoursRequest| {
        let status = send(&d, request).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
        status.message().to_owned()
    };
    let higher = order(STREET, 3, FLOOD);
    let stranger = NoticeKey::from_seed(&[8; 32]);
    // Also one that the right key made for a notice.
    for signature in [stranger.sign_as(Paper::Hours, &higher), signer().sign(&higher), "x".to_owned()] {
        let said = refused(pb::ImportWorkingHoursRequest { signature, ..signed(&higher) }).await;
        assert!(said.starts_with("signature"), "{said}");
    }
    for (from, to, field) in [
        ("version = 3", "version = 2", "order.version"),
        (STREET, "420199", "order.unit"),
        ("2026-03-04", "2026-03-40", "order.closure[0].from"),
        ("2026-03-04\"\nto = \"2026-03-05", "2028-03-04\"\nto = \"2028-03-05", "order.closure[0].from"),
        ("江防指〔2026〕3号", "", "order.authority_ref"),
    ] {
        let wrong = higher.replace(from, to);
        assert_ne!(wrong, higher, "{from}");
        let said = refused(signed(&wrong)).await;
        assert!(said.starts_with(field), "{from} → {to}: {said}");
    }
    assert_eq!(hours(&d, d.street).await, first);
    let dispatcher = Persona::new(Role::DistrictDispatcher, d.district);
    let mut denied = CalendarServiceClient::new(d.service.call_as(&dispatcher));
    let status = denied.import_working_hours(signed(&higher)).await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
    let nowhere = pb::GetWorkingHoursRequest { unit_id: request_id() };
    assert_eq!(denied.get_working_hours(nowhere).await.unwrap_err().code(), Code::NotFound);
    assert!(d.told().await.is_empty());
    d.service.stop().await;
}
