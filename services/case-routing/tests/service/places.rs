//! Grid and point of a place: given at registration, shown with the case, and nowhere else; what lies near a case is
//! compared with it across borders, within reach.

use chassis::{
    auth::Role,
    proto::case_routing::v1::{
        self as pb, intake_service_client::IntakeServiceClient,
        verification_service_client::VerificationServiceClient,
    },
    testing::Persona,
};
use diesel::{
    QueryableByName,
    sql_types::{Nullable, Text},
};
use diesel_async::RunQueryDsl;
use prost::Message as _;
use tonic::Code;
use uuid::Uuid;

use crate::support::{District, ITEM, printed, request_id};

const GRID: &str = "420103005001001";
const LONGITUDE: i32 = 114_270_123;
const LATITUDE: i32 = 30_600_456;

#[derive(QueryableByName)]
struct Dump {
    #[diesel(sql_type = Nullable<Text>)]
    dump: Option<String>,
}

async fn dumped(d: &District, query: String) -> String {
    let mut conn = d.service.db().conn().await.unwrap();
    let row: Dump = diesel::sql_query(query).get_result(&mut conn).await.unwrap();
    row.dump.unwrap_or_default()
}

async fn points(d: &District) -> String {
    dumped(d, "SELECT count(*)::text AS dump FROM case_points".to_owned()).await
}

fn point(longitude_e6: i32, latitude_e6: i32) -> Option<pb::GeoPoint> {
    Some(pb::GeoPoint { longitude_e6: Some(longitude_e6), latitude_e6: Some(latitude_e6) })
}

/// So many metres north of a point in Wuhan.
fn north(metres: f64) -> Option<pb::GeoPoint> {
    point(LONGITUDE, LATITUDE + (metres / 0.111_195).round() as i32)
}

fn request(place: Uuid, point: Option<pb::GeoPoint>) -> pb::RegisterCaseRequest {
    pb::RegisterCaseRequest {
        request_id: request_id(),
        text: "北门路灯不亮，晚上很黑".into(),
        place_unit_id: place.to_string(),
        notice_version: "1".into(),
        point,
        ..Default::default()
    }
}

/// Another resident asks for the same.
async fn registered(d: &District, request: pb::RegisterCaseRequest) -> pb::Case {
    let resident = Persona::resident(d.district);
    d.cases(&resident).register_case(request).await.unwrap().into_inner().case.unwrap()
}

async fn found(d: &District, by: &Persona, case: &pb::Case) -> Vec<pb::DuplicateCandidate> {
    let request = pb::FindDuplicatesRequest { case_id: case.case_id.clone(), ..Default::default() };
    let mut intake = IntakeServiceClient::new(d.service.call_as(by));
    intake.find_duplicates(request).await.unwrap().into_inner().candidates
}

fn ids(found: &[pb::DuplicateCandidate]) -> Vec<&str> {
    let cases = found.iter().filter_map(|candidate| candidate.case.as_ref());
    cases.map(|case| case.case_id.as_str()).collect()
}

#[tokio::test]
async fn what_lies_near_is_found_across_a_streets_border_from_both_sides_and_within_reach_alone() {
    let d = District::start().await;
    let case = registered(&d, request(d.community, north(0.0))).await;
    let across = registered(&d, request(d.other_street, north(52.0))).await;
    let further = registered(&d, request(d.street, north(200.0))).await;
    let far = registered(&d, request(d.community, north(5_000.0))).await;
    let nowhere = registered(&d, request(d.other_street, None)).await;
    let by = Persona::new(Role::DistrictDispatcher, d.district).org(d.gov);
    let candidates = found(&d, &by, &case).await;
    assert_eq!(ids(&candidates), [across.case_id.as_str(), further.case_id.as_str()]);
    let codes: Vec<&str> = candidates[0].reasons.iter().map(|reason| reason.code.as_str()).collect();
    assert_eq!(codes, ["similar_text", "days_apart", "metres_apart", "near_place"]);
    let told = &candidates[0].reasons[2];
    assert_eq!((told.text_zh.as_str(), told.text_en.as_str()), ("相距约 50 米", "about 50 m apart"));
    assert_eq!(candidates[0].case.as_ref().unwrap().point, across.point);
    assert_eq!(candidates[1].reasons[2].arguments["metres"], "200");
    // From the other side as well; what has no point is compared by its words where the case lies, as ever.
    let others = [nowhere.case_id.as_str(), case.case_id.as_str(), further.case_id.as_str()];
    assert_eq!(ids(&found(&d, &by, &across).await), others);
    assert!(ids(&found(&d, &by, &far).await).is_empty(), "the same words, 5 km away");
    // A street does not reach what lies in the other, however near.
    assert_eq!(ids(&found(&d, &d.dispatcher(), &case).await), [further.case_id.as_str()]);
    d.service.stop().await;
}

#[tokio::test]
async fn what_is_wrong_in_grid_or_point_names_the_field() {
    let d = District::start().await;
    let half = |longitude_e6, latitude_e6| Some(pb::GeoPoint { longitude_e6, latitude_e6 });
    let wrong = [
        ("grid_code", "4201030050010", None),
        ("grid_code", "42010300500100X", None),
        ("point.latitude_e6", "", half(Some(LONGITUDE), None)),
        ("point.longitude_e6", "", half(None, Some(LATITUDE))),
        ("point.longitude_e6", "", point(180_000_001, LATITUDE)),
        ("point.latitude_e6", "", point(LONGITUDE, -90_000_001)),
    ];
    let window = d.window();
    let mut cases = d.cases(&window);
    let mut intake = IntakeServiceClient::new(d.service.call_as(&window));
    let case = registered(&d, request(d.community, half(None, None))).await;
    assert_eq!((case.grid_code.as_str(), case.point), ("", None), "neither is none");
    for (field, grid_code, point) in wrong {
        let grid_code = grid_code.to_owned();
        let register =
            pb::RegisterCaseRequest { grid_code: grid_code.clone(), ..request(d.community, point) };
        let resident = Persona::resident(d.district);
        let taken =
            pb::IntakeCaseRequest { grid_code: grid_code.clone(), point, ..d.intake_request(&resident) };
        let triage = pb::TriageCaseRequest {
            case_id: case.case_id.clone(),
            request_id: request_id(),
            item_code: ITEM.into(),
            grid_code,
            point,
            ..Default::default()
        };
        let refused = [
            cases.register_case(register).await.map(drop),
            cases.intake_case(taken).await.map(drop),
            intake.triage_case(triage).await.map(drop),
        ];
        for refused in refused {
            let refused = refused.unwrap_err();
            assert_eq!(refused.code(), Code::InvalidArgument, "{field}: {refused}");
            assert!(refused.message().starts_with(field), "{field}: {refused}");
            assert!(!refused.message().contains("180000001"), "values are not repeated: {refused}");
        }
    }
    assert_eq!(points(&d).await, "0");
    d.service.stop().await;
}

#[tokio::test]
async fn grid_and_point_are_shown_with_the_case_and_stand_in_nothing_else() {
    let d = District::start().await;
    let resident = Persona::resident(d.district);
    let taken = pb::IntakeCaseRequest {
        grid_code: GRID.into(),
        point: point(LONGITUDE, LATITUDE),
        ..d.intake_request(&resident)
    };
    let case = d.cases(&d.window()).intake_case(taken).await.unwrap().into_inner().case.unwrap();
    let own = pb::GetCaseRequest { case_id: case.case_id.clone() };
    let own = d.cases(&resident).get_case(own).await.unwrap().into_inner().case.unwrap();
    for shown in [&case, &own, &d.read(&case).await] {
        assert_eq!((shown.grid_code.as_str(), shown.point), (GRID, point(LONGITUDE, LATITUDE)));
    }
    let all = d.cases(&d.dispatcher()).list_cases(pb::ListCasesRequest::default()).await;
    let listed = &all.unwrap().into_inner().cases[0];
    assert_eq!((listed.grid_code.as_str(), listed.point), ("", None), "lists are in brief");
    // Without a name, only what was given.
    let report = |point| pb::RegisterCaseRequest { anonymous: true, ..request(d.community, point) };
    assert_eq!(registered(&d, report(None)).await.point, None);
    assert_eq!(registered(&d, report(point(LONGITUDE, LATITUDE))).await.point, case.point);
    assert_eq!(points(&d).await, "2");
    d.do_at_street(&case).await;
    let mut verifications = VerificationServiceClient::new(d.service.call_as(&d.verifier()));
    let waiting = verifications.list_verifications(pb::ListVerificationsRequest::default()).await;
    let [waiting] = &waiting.unwrap().into_inner().cases[..] else { panic!("one waits") };
    assert_eq!(waiting.case_id, case.case_id);
    assert_eq!((waiting.grid_code.as_str(), waiting.point), ("", None), "a list, too");
    d.confirm(&case).await;

    let parts = [LONGITUDE, LATITUDE].map(|part| {
        let alone = pb::GeoPoint { longitude_e6: Some(part), latitude_e6: None };
        alone.encode_to_vec()[1..].to_vec()
    });
    let events = d.service.drain_outbox().await;
    assert!(events.len() > 7, "{}", events.len());
    for event in events {
        let has = |part: &[u8]| event.data.windows(part.len()).any(|window| window == part);
        assert!(!has(GRID.as_bytes()), "{}", event.r#type);
        assert!(!has(&parts[0]) && !has(&parts[1]), "{}", event.r#type);
    }
    let tables = ["timeline", "routing_decisions", "tasks", "agenda", "case_words", "idempotency"];
    for table in tables {
        let query = format!("SELECT string_agg(to_jsonb(t)::text, ' ') AS dump FROM {table} t");
        let dump = dumped(&d, query).await;
        for trace in [LONGITUDE.to_string(), LATITUDE.to_string(), GRID.to_owned()] {
            assert!(!dump.contains(&trace), "{table}");
        }
        // Bytes are printed as hexadecimal digits.
        for trace in [GRID.as_bytes(), &parts[0], &parts[1]] {
            assert!(!dump.contains(&printed(trace)), "{table}");
        }
    }
    d.service.stop().await;
}

#[tokio::test]
async fn triage_says_where_it_is_and_from_then_on_it_is_found_there() {
    let d = District::start().await;
    let case = registered(&d, request(d.community, None)).await;
    let across = registered(&d, request(d.other_street, north(30.0))).await;
    let by = Persona::new(Role::DistrictDispatcher, d.district).org(d.gov);
    assert!(found(&d, &by, &across).await.is_empty());
    let mut desk = IntakeServiceClient::new(d.service.call_as(&by));
    let case_id = case.case_id.clone();
    let accept =
        pb::AcceptCaseRequest { case_id: case_id.clone(), request_id: request_id(), ..Default::default() };
    desk.accept_case(accept).await.unwrap();
    for metres in [5_000.0, 0.0] {
        let triage = pb::TriageCaseRequest {
            case_id: case_id.clone(),
            request_id: request_id(),
            item_code: ITEM.into(),
            grid_code: GRID.into(),
            point: north(metres),
            ..Default::default()
        };
        let triaged = desk.triage_case(triage).await.unwrap().into_inner().case.unwrap();
        assert_eq!((triaged.grid_code.as_str(), triaged.point), (GRID, north(metres)));
        let near = if metres > 0.0 { vec![] } else { vec![case_id.as_str()] };
        assert_eq!(ids(&found(&d, &by, &across).await), near, "{metres}");
    }
    assert_eq!(points(&d).await, "2");
    // Moved to another street it leaves the grid; the point is where it was.
    let moved = pb::TriageCaseRequest {
        case_id,
        request_id: request_id(),
        place_unit_id: d.other_street.to_string(),
        ..Default::default()
    };
    let moved = desk.triage_case(moved).await.unwrap().into_inner().case.unwrap();
    assert_eq!((moved.grid_code.as_str(), moved.point), ("", north(0.0)));
    d.service.stop().await;
}
