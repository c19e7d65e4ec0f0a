//! Cases of another system: each row for itself, each once, with one event a batch; found by their words a little later.

use std::time::Duration;

use case_routing::App;
use chassis::{
    Clock, Timestamp,
    auth::Role,
    clock::{new_id, to_proto},
    db::{cached, domain_clock},
    proto::case_routing::v1::{
        self as pb, import_service_client::ImportServiceClient, intake_service_client::IntakeServiceClient,
    },
    testing::{Persona, TestService},
};
use chrono::TimeDelta;
use diesel::{QueryableByName, sql_types::BigInt};
use diesel_async::{RunQueryDsl, SimpleAsyncConnection as _};
use tonic::{Code, Status};

use crate::{
    exchange,
    mergers::merged_community,
    support::{District, ITEM, names, request_id},
};

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    n: i64,
}

async fn number(service: &TestService<App>, sql: &'static str) -> i64 {
    let mut conn = service.db().conn().await.unwrap();
    let row: Number = cached(sql).get_result(&mut conn).await.unwrap();
    row.n
}

fn operator(d: &District) -> Persona {
    Persona::new(Role::ItOperator, d.district)
}

fn time(at: Timestamp) -> Option<prost_types::Timestamp> {
    Some(to_proto(at))
}

/// A case closed some days ago.
fn closed(d: &District, number: i64) -> pb::ImportedCase {
    let day = |days: i64| time(d.service.clock().now() - TimeDelta::days(days) + TimeDelta::minutes(number));
    pb::ImportedCase {
        client_ref: format!("old-{number}"),
        text: format!("第{number}号旧件，楼道灯不亮，电话13812345678"),
        place_unit_id: d.community.to_string(),
        item_code: ITEM.into(),
        state: pb::CaseState::Closed.into(),
        registered_time: day(20),
        accepted_time: day(19),
        completed_time: day(12),
        closed_time: day(10),
        lead_org_id: d.office.to_string(),
        grade: 5,
        ..Default::default()
    }
}

fn open(d: &District, state: pb::CaseState, client_ref: &str) -> pb::ImportedCase {
    let case = closed(d, 0);
    let accepted_time = case.accepted_time.filter(|_| state != pb::CaseState::Registered);
    pb::ImportedCase {
        client_ref: client_ref.into(),
        state: state.into(),
        accepted_time,
        completed_time: None,
        closed_time: None,
        grade: 0,
        lead_org_id: if state == pb::CaseState::Dispatched { d.office.to_string() } else { String::new() },
        ..case
    }
}

fn batch(cases: Vec<pb::ImportedCase>) -> pb::ImportCasesRequest {
    pb::ImportCasesRequest {
        request_id: request_id(),
        import_id: new_id().to_string(),
        source: "old_hotline".into(),
        cases,
        validate_only: false,
    }
}

async fn import(
    d: &District,
    by: &Persona,
    request: &pb::ImportCasesRequest,
) -> Result<pb::ImportCasesResponse, Status> {
    let mut client = ImportServiceClient::new(d.service.call_as(by));
    client.import_cases(request.clone()).await.map(tonic::Response::into_inner)
}

async fn listed(d: &District, by: &Persona, request: pb::ListCasesRequest) -> pb::ListCasesResponse {
    d.cases(by).list_cases(request).await.unwrap().into_inner()
}

#[tokio::test]
async fn a_batch_is_stored_at_once_with_one_event_and_a_repeat_does_nothing() {
    let d = District::start().await;
    let by = operator(&d);
    let mut cases: Vec<_> = (1..=30).map(|number| closed(&d, number)).collect();
    cases.push(open(&d, pb::CaseState::Registered, "o-1"));
    cases.push(open(&d, pb::CaseState::Dispatched, "o-2"));
    let request = batch(cases);
    let answer = import(&d, &by, &request).await.unwrap();
    assert_eq!(
        (answer.imported_count, answer.duplicates.len(), answer.problems.len()),
        (32, 0, 0),
        "{answer:?}"
    );
    let events = d.service.drain_outbox().await;
    assert_eq!(names(&events), ["CasesImported"]);
    let told: pb::CasesImported = events[0].decode().unwrap();
    assert_eq!((told.cases.len(), told.unit_ids.len(), told.items.len()), (32, 1, 1));
    assert_eq!(told.import_id, request.import_id);
    assert!(events[0].data.len() < 32 * 200 + 1_000, "{} bytes", events[0].data.len());
    let signed_for = told.cases.iter().filter(|fact| !fact.lead_task_id.is_empty()).count();
    assert_eq!(signed_for, 1);

    assert_eq!(import(&d, &by, &request).await.unwrap(), answer, "the same request");
    let changed = pb::ImportCasesRequest { source: "paper".into(), ..request.clone() };
    let refused = import(&d, &by, &changed).await.unwrap_err();
    let is_about_the_id = refused.message().starts_with("request_id");
    assert_eq!((refused.code(), is_about_the_id), (Code::InvalidArgument, true), "{refused:?}");
    // The same cases under another request are known.
    let again = pb::ImportCasesRequest { request_id: request_id(), ..request.clone() };
    let known = import(&d, &by, &again).await.unwrap();
    assert_eq!((known.imported_count, known.duplicates.len()), (0, 32));
    // Another source has ids of its own.
    let other = pb::ImportCasesRequest { source: "paper".into(), ..batch(request.cases[..2].to_vec()) };
    assert_eq!(import(&d, &by, &other).await.unwrap().imported_count, 2);
    assert_eq!(names(&d.service.drain_outbox().await), ["CasesImported"]);
    assert_eq!(number(&d.service, "SELECT count(*) AS n FROM cases").await, 34);
    assert_eq!(number(&d.service, "SELECT count(*) AS n FROM timeline").await, 34);
    assert_eq!(number(&d.service, "SELECT count(*) AS n FROM agenda").await, 2, "those that are open");
    assert_eq!(number(&d.service, "SELECT count(*) AS n FROM retention").await, 32);
    assert_eq!(number(&d.service, "SELECT count(DISTINCT case_no) AS n FROM cases").await, 34);
    let unseen = "SELECT count(*) AS n FROM cases WHERE doc LIKE '%13812345678%'";
    assert_eq!(number(&d.service, unseen).await, 0, "redacted on arrival");

    let mut client = ImportServiceClient::new(d.service.call_as(&by));
    let get = pb::GetImportRequest { import_id: request.import_id.clone() };
    let sum = client.get_import(get).await.unwrap().into_inner().import.unwrap();
    assert_eq!((sum.batch_count, sum.imported_count, sum.duplicate_count, sum.problem_count), (2, 32, 32, 0));
    let unknown = pb::GetImportRequest { import_id: new_id().to_string() };
    assert_eq!(client.get_import(unknown).await.unwrap_err().code(), Code::NotFound);
    d.service.stop().await;
}

#[tokio::test]
async fn an_import_tells_what_repeats_and_in_which_unit_its_times_are() {
    let d = District::start().await;
    let (one, other) = (new_id().to_string(), new_id().to_string());
    let of = |number, requester: &str| pb::ImportedCase {
        requester_id: requester.to_owned(),
        ..closed(&d, number)
    };
    let told = async |cases: Vec<pb::ImportedCase>| {
        import(&d, &operator(&d), &batch(cases)).await.unwrap();
        let told: pb::CasesImported = d.service.drain_outbox().await[0].decode().unwrap();
        assert!(told.cases.iter().all(|fact| fact.elapsed_unit() == pb::LimitUnit::WorkDay), "{told:?}");
        told.cases.iter().map(|fact| fact.repeats).collect::<Vec<_>>()
    };
    let first = vec![of(1, &one), of(2, &one), of(3, ""), of(4, ""), of(5, &other)];
    assert_eq!(told(first).await, [false, true, false, false, false]);
    assert_eq!(told(vec![of(6, &other), of(7, &one)]).await, [true, true], "also of another batch");
    d.service.stop().await;
}

/// The id of what came in here is of the machine's time, that of an imported case of its registration.
#[tokio::test]
async fn an_imported_case_repeats_one_that_came_in_here_though_time_was_moved() {
    let d = District::at(Clock::system()).await;
    let ahead = Duration::from_secs(100 * 86_400);
    {
        let mut conn = d.service.db().conn().await.unwrap();
        domain_clock::advance(&mut conn, ahead).await.unwrap();
    }
    d.service.clock().set_offset(ahead);
    let resident = Persona::resident(d.district);
    let register = pb::RegisterCaseRequest {
        request_id: request_id(),
        text: "楼道堆物".into(),
        place_unit_id: d.community.to_string(),
        item_code: ITEM.into(),
        notice_version: "1".into(),
        ..Default::default()
    };
    d.cases(&resident).register_case(register).await.unwrap();
    d.told().await;
    let case = pb::ImportedCase {
        requester_id: resident.person_id.to_string(),
        registered_time: time(d.service.clock().now()),
        ..open(&d, pb::CaseState::Registered, "o-1")
    };
    import(&d, &operator(&d), &batch(vec![case])).await.unwrap();
    let told: pb::CasesImported = d.service.drain_outbox().await[0].decode().unwrap();
    assert!(told.cases[0].repeats, "{told:?}");
    d.service.stop().await;
}

#[tokio::test]
async fn each_row_is_refused_for_itself_by_number_and_field() {
    let d = District::start().await;
    let good = pb::ImportedCase { client_ref: "tel-13812345678".into(), ..closed(&d, 1) };
    let wrong = |change: fn(&mut pb::ImportedCase), number| {
        let mut case = closed(&d, number);
        change(&mut case);
        case
    };
    let elsewhere = new_id();
    let mut out_of_reach = closed(&d, 9);
    out_of_reach.place_unit_id = elsewhere.to_string();
    let cases = vec![
        good.clone(),
        wrong(|case| case.client_ref = "有 空格".into(), 2),
        wrong(|case| case.item_code = "NO-SUCH".into(), 3),
        wrong(|case| case.registered_time = None, 4),
        wrong(|case| case.state = pb::CaseState::Signed.into(), 5),
        wrong(|case| case.state = 999, 6),
        wrong(|case| case.grade = 6, 7),
        wrong(
            |case| {
                case.closed_time =
                    case.registered_time.map(|at| prost_types::Timestamp { seconds: at.seconds - 9, ..at })
            },
            8,
        ),
        out_of_reach,
        good.clone(),
        closed(&d, 10),
        // The row that was refused above, put right.
        closed(&d, 8),
        wrong(
            |case| {
                (case.state, case.anonymous) = (pb::CaseState::Accepted.into(), true);
                (case.completed_time, case.closed_time, case.grade) = (None, None, 0);
                case.lead_org_id.clear();
            },
            12,
        ),
    ];
    let by = operator(&d);
    let request = batch(cases);
    let checked = pb::ImportCasesRequest { validate_only: true, ..request.clone() };
    let only_checked = import(&d, &by, &checked).await.unwrap();
    assert_eq!(number(&d.service, "SELECT count(*) AS n FROM cases").await, 0);
    let taken = "SELECT coalesce(sum(taken), 0)::bigint AS n FROM case_number_blocks";
    assert_eq!(number(&d.service, taken).await, 0, "a check takes no numbers");
    let answer = import(&d, &by, &request).await.unwrap();
    assert_eq!(only_checked, answer);
    assert_eq!((answer.imported_count, &answer.duplicates[..]), (3, &[9][..]));
    assert_eq!(import(&d, &by, &request).await.unwrap(), answer);
    assert_eq!(number(&d.service, taken).await, 3, "neither do refused rows and repeats");
    let numbered = "SELECT count(DISTINCT case_no) AS n FROM cases WHERE case_no ~ '^[0-9]+-[0-9]{8}-[0-9]{6}$' \
                    AND doc LIKE '%' || case_no || '-1%'";
    assert_eq!(number(&d.service, numbered).await, 3, "cases and their tasks");
    let unseen = "SELECT count(*) AS n FROM cases WHERE doc LIKE '%13812345678%'";
    assert_eq!(number(&d.service, unseen).await, 0, "nor in what the record there is called");
    let named: Vec<_> =
        answer.problems.iter().map(|problem| (problem.index, problem.field.as_str())).collect();
    let expected = [
        (1, "client_ref"),
        (2, "item_code"),
        (3, "registered_time"),
        (4, "state"),
        (5, "state"),
        (6, "grade"),
        (7, "closed_time"),
        (8, "place_unit_id"),
        (12, "anonymous"),
    ];
    assert_eq!(named, expected, "{:?}", answer.problems);
    // Nothing is done for who reaches another street only, and nothing by who is no operator.
    let far = Persona::new(Role::ItOperator, d.other_street);
    let answer = import(&d, &far, &batch(vec![closed(&d, 20)])).await.unwrap();
    assert_eq!((answer.imported_count, answer.problems[0].field.as_str()), (0, "place_unit_id"));
    let refused = import(&d, &d.leader(), &batch(vec![closed(&d, 21)])).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    for request in [batch(vec![]), batch(vec![good; 2_001])] {
        let refused = import(&d, &by, &request).await.unwrap_err();
        assert_eq!((refused.code(), refused.message().starts_with("cases")), (Code::InvalidArgument, true));
    }
    d.service.stop().await;
}

#[tokio::test]
async fn grid_and_point_of_a_row_are_the_cases_and_wrong_ones_are_named() {
    let d = District::start().await;
    let point = |longitude_e6, latitude_e6| Some(pb::GeoPoint { longitude_e6, latitude_e6 });
    let here = point(Some(114_270_123), Some(30_600_456));
    let cases = vec![
        pb::ImportedCase { grid_code: "420103005001001".into(), point: here, ..closed(&d, 1) },
        pb::ImportedCase { grid_code: "42010300500100X".into(), ..closed(&d, 2) },
        pb::ImportedCase { point: point(Some(114_270_123), None), ..closed(&d, 3) },
        pb::ImportedCase { point: point(Some(180_000_001), Some(30_600_456)), ..closed(&d, 4) },
        closed(&d, 5),
    ];
    let answer = import(&d, &operator(&d), &batch(cases)).await.unwrap();
    let named: Vec<_> =
        answer.problems.iter().map(|problem| (problem.index, problem.field.as_str())).collect();
    assert_eq!(named, [(1, "grid_code"), (2, "point.latitude_e6"), (3, "point.longitude_e6")]);
    assert_eq!(answer.imported_count, 2, "{answer:?}");
    let kept = "SELECT count(*) AS n FROM case_points WHERE lon_e6 = 114270123 AND lat_e6 = 30600456";
    assert_eq!(number(&d.service, kept).await, 1);
    assert_eq!(number(&d.service, "SELECT count(*) AS n FROM case_points").await, 1, "none for the others");
    let events = d.service.drain_outbox().await;
    let grid = b"420103005001001".as_slice();
    assert!(!events[0].data.windows(grid.len()).any(|window| window == grid));
    let all = listed(&d, &d.dispatcher(), pb::ListCasesRequest::default()).await.cases;
    let first = all.iter().find(|case| case.text_redacted.contains("第1号旧件")).unwrap();
    let read = d.read(first).await;
    assert_eq!((read.grid_code.as_str(), read.point), ("420103005001001", here));
    // It is compared at once with what lies near, also across the border of its street.
    let register = pb::RegisterCaseRequest {
        request_id: request_id(),
        text: first.text_redacted.clone(),
        place_unit_id: d.other_street.to_string(),
        item_code: ITEM.into(),
        notice_version: "1".into(),
        point: here,
        ..Default::default()
    };
    let resident = Persona::resident(d.district);
    let case = d.cases(&resident).register_case(register).await.unwrap().into_inner().case.unwrap();
    let by = Persona::new(Role::DistrictDispatcher, d.district).org(d.gov);
    let request = pb::FindDuplicatesRequest { case_id: case.case_id, ..Default::default() };
    let mut intake = IntakeServiceClient::new(d.service.call_as(&by));
    let found = intake.find_duplicates(request).await.unwrap().into_inner().candidates;
    let found: Vec<&str> = found.iter().map(|found| found.case.as_ref().unwrap().case_id.as_str()).collect();
    assert_eq!(found, [first.case_id.as_str()]);
    d.service.stop().await;
}

#[tokio::test]
async fn what_somebody_made_offline_and_sent_is_not_imported_a_second_time() {
    let d = District::start().await;
    let window = d.window();
    let register = pb::RegisterCaseRequest {
        request_id: request_id(),
        text: "停电时记在纸上".into(),
        place_unit_id: d.community.to_string(),
        requester_id: new_id().to_string(),
        notice_version: "1".into(),
        client_ref: "paper-7".into(),
        ..Default::default()
    };
    let made = d.cases(&window).register_case(register.clone()).await.unwrap().into_inner().case.unwrap();
    let offline = |client_ref: &str| pb::ImportedCase {
        entered_by_person_id: window.person_id.to_string(),
        ..open(&d, pb::CaseState::Registered, client_ref)
    };
    let answer =
        import(&d, &operator(&d), &batch(vec![offline("paper-7"), offline("paper-8")])).await.unwrap();
    assert_eq!((answer.imported_count, &answer.duplicates[..]), (1, &[0][..]));
    // The other way round: what was imported is found again by who made it.
    let late = pb::RegisterCaseRequest { request_id: request_id(), client_ref: "paper-8".into(), ..register };
    let found = d.cases(&window).register_case(late).await.unwrap().into_inner().case.unwrap();
    assert_ne!(found.case_id, made.case_id);
    assert_eq!(number(&d.service, "SELECT count(*) AS n FROM cases").await, 2);
    // What a resident asks anonymously is theirs under another id.
    let resident = Persona::resident(d.district);
    let asked = |client_ref: &str| pb::RegisterCaseRequest {
        request_id: request_id(),
        text: "有人乱倒垃圾".into(),
        place_unit_id: d.community.to_string(),
        anonymous: true,
        client_ref: client_ref.into(),
        ..Default::default()
    };
    d.cases(&resident).register_case(asked("phone-1")).await.unwrap();
    let offline = |client_ref: &str| pb::ImportedCase {
        entered_by_person_id: resident.person_id.to_string(),
        anonymous: true,
        item_code: String::new(),
        ..open(&d, pb::CaseState::Registered, client_ref)
    };
    let answer =
        import(&d, &operator(&d), &batch(vec![offline("phone-1"), offline("phone-2")])).await.unwrap();
    assert_eq!((answer.imported_count, &answer.duplicates[..]), (1, &[0][..]), "{answer:?}");
    d.cases(&resident).register_case(asked("phone-2")).await.unwrap();
    assert_eq!(number(&d.service, "SELECT count(*) AS n FROM cases").await, 4);
    d.service.stop().await;
}

/// A person sends what they made offline while a batch that has it too is on its way: whoever comes first has it.
#[tokio::test]
async fn what_somebody_sends_while_a_batch_is_stored_is_not_stored_a_second_time() {
    let d = District::start().await;
    let resident = Persona::resident(d.district);
    let asked = pb::RegisterCaseRequest {
        request_id: request_id(),
        text: "有人乱倒垃圾".into(),
        place_unit_id: d.community.to_string(),
        anonymous: true,
        client_ref: "phone-1".into(),
        ..Default::default()
    };
    d.cases(&resident).register_case(asked).await.unwrap();
    // As if it were being stored only now: the batch does not see it, and waits for its key.
    let mut conn = d.service.db().conn().await.unwrap();
    let (other, own) = (
        "UPDATE client_refs SET client_key = client_key || '\\x00'::bytea",
        "BEGIN; UPDATE client_refs SET client_key = substring(client_key FROM 1 FOR length(client_key) - 1)",
    );
    conn.batch_execute(other).await.unwrap();
    conn.batch_execute(own).await.unwrap();
    let offline = |client_ref: &str| pb::ImportedCase {
        entered_by_person_id: resident.person_id.to_string(),
        anonymous: true,
        item_code: String::new(),
        ..open(&d, pb::CaseState::Registered, client_ref)
    };
    let (by, request) = (operator(&d), batch(vec![offline("phone-1"), offline("phone-2")]));
    let commit = async {
        let waits = "SELECT count(*) AS n FROM pg_stat_activity WHERE datname = current_database() \
                     AND wait_event_type = 'Lock' AND query LIKE 'INSERT INTO client_refs%'";
        d.service.wait_for("the batch waits", async || number(&d.service, waits).await == 1).await;
        conn.batch_execute("COMMIT").await.unwrap();
    };
    let (answer, ()) = tokio::join!(import(&d, &by, &request), commit);
    let answer = answer.unwrap();
    assert_eq!((answer.imported_count, &answer.duplicates[..]), (1, &[0][..]), "{answer:?}");
    assert_eq!(number(&d.service, "SELECT count(*) AS n FROM cases").await, 2);
    // Of the one only the key by which it was sent stands for a case, of the other both.
    let stand = "SELECT count(*) AS n FROM client_refs JOIN cases USING (case_id)";
    assert_eq!(number(&d.service, stand).await, 3);
    assert_eq!(number(&d.service, "SELECT count(*) AS n FROM client_refs").await, 3);
    d.service.stop().await;
}

/// Here nobody waits for time to accept it, nor for a dispatcher, and who takes its line hears of it.
#[tokio::test]
async fn an_open_emergency_is_handed_off_with_the_import_and_none_comes_dispatched() {
    let world = exchange::World::mapped("", pb::ExchangeDirection::Out).await;
    world.updates(|change| change.line_codes = vec!["119".into()]).await.unwrap();
    let d = &world.d;
    d.told().await;
    // 火情处置, which goes to 119.
    let fire =
        |state, client_ref| pb::ImportedCase { item_code: "ZF-0191".into(), ..open(d, state, client_ref) };
    let request = batch(vec![
        fire(pb::CaseState::Registered, "f-1"),
        fire(pb::CaseState::Triaged, "f-2"),
        fire(pb::CaseState::Dispatched, "f-3"),
    ]);
    let answer = import(d, &operator(d), &request).await.unwrap();
    let named: Vec<_> =
        answer.problems.iter().map(|problem| (problem.index, problem.field.as_str())).collect();
    assert_eq!((answer.imported_count, named), (2, vec![(2, "state")]), "{answer:?}");
    let events = d.service.drain_outbox().await;
    assert_eq!(names(&events), ["CasesImported"]);
    let told: pb::CasesImported = events[0].decode().unwrap();
    for fact in &told.cases {
        assert_eq!(fact.state(), pb::CaseState::HandedOff);
        assert_eq!(fact.closed_time, time(d.service.clock().now()));
    }
    assert_eq!(number(&d.service, "SELECT count(*) AS n FROM agenda").await, 0);
    assert_eq!(number(&d.service, "SELECT count(*) AS n FROM routing_decisions").await, 2, "of ours");
    assert_eq!(world.tickets(pb::SyncState::Pending).await.len(), 2, "referred, as any other");
    world.d.service.stop().await;
}

#[tokio::test]
async fn a_case_whose_words_cannot_be_noted_keeps_no_other_waiting() {
    let d = District::start_with(|_| {}, "sweep_ms", 50).await;
    let cases: Vec<_> = (1..=20).map(|number| closed(&d, number)).collect();
    import(&d, &operator(&d), &batch(cases)).await.unwrap();
    {
        let mut conn = d.service.db().conn().await.unwrap();
        cached(
            "UPDATE cases SET doc = replace(doc, 'text_redacted', 'text_lost') \
             WHERE case_id = (SELECT unindexed[7] FROM import_batches)",
        )
        .execute(&mut conn)
        .await
        .unwrap();
    }
    let words = pb::ListCasesRequest { query: "楼道灯".into(), page_size: 200, ..Default::default() };
    d.service
        .wait_for("the words", async || listed(&d, &d.dispatcher(), words.clone()).await.unindexed_count == 0)
        .await;
    assert_eq!(listed(&d, &d.dispatcher(), words).await.cases.len(), 19);
    d.service.stop().await;
}

#[tokio::test]
async fn words_are_noted_behind_the_load_and_until_then_a_search_says_what_it_lacks() {
    let d = District::start_with(|_| {}, "sweep_ms", 50).await;
    let cases: Vec<_> = (1..=300).map(|number| closed(&d, number)).collect();
    import(&d, &operator(&d), &batch(cases)).await.unwrap();
    let words = pb::ListCasesRequest { query: "楼道灯".into(), page_size: 200, ..Default::default() };
    let before = listed(&d, &d.dispatcher(), words.clone()).await;
    assert_eq!((before.cases.len(), before.unindexed_count), (0, 300));
    let without = listed(&d, &d.dispatcher(), pb::ListCasesRequest::default()).await;
    assert_eq!((without.cases.len(), without.unindexed_count), (50, 0), "lists need no words");
    d.service
        .wait_for("the words", async || listed(&d, &d.dispatcher(), words.clone()).await.unindexed_count == 0)
        .await;
    assert_eq!(listed(&d, &d.dispatcher(), words).await.cases.len(), 200);
    let one = pb::ListCasesRequest { query: "第17号旧件".into(), ..Default::default() };
    // 17, 117 and 217: by pairs of characters.
    assert_eq!(listed(&d, &d.dispatcher(), one).await.cases.len(), 3);
    d.service.stop().await;
}

#[tokio::test]
async fn who_looks_for_duplicates_is_told_how_many_cases_cannot_be_compared_yet() {
    let d = District::start_with(|_| {}, "sweep_ms", 50).await;
    let cases: Vec<_> = (1..=3).map(|number| closed(&d, number)).collect();
    let text = cases[0].text.clone();
    import(&d, &operator(&d), &batch(cases)).await.unwrap();
    let request = pb::IntakeCaseRequest { text, ..d.intake_request(&Persona::resident(d.district)) };
    let case = d.cases(&d.window()).intake_case(request).await.unwrap().into_inner().case.unwrap();
    let look = async || {
        let request = pb::FindDuplicatesRequest { case_id: case.case_id.clone(), ..Default::default() };
        let mut intake = IntakeServiceClient::new(d.service.call_as(&d.dispatcher()));
        intake.find_duplicates(request).await.unwrap().into_inner()
    };
    let before = look().await;
    let by_words = |found: &pb::FindDuplicatesResponse| {
        let reasons = found.candidates.iter().flat_map(|candidate| &candidate.reasons);
        reasons.filter(|reason| reason.code == "similar_text").count()
    };
    assert_eq!((by_words(&before), before.unindexed_count), (0, 3));
    d.service.wait_for("the words", async || look().await.unindexed_count == 0).await;
    let found = look().await;
    assert!(by_words(&found) > 0, "{found:?}");
    let found = found.candidates;
    let best = found.as_slice().first().and_then(|candidate| candidate.case.as_ref());
    assert!(best.is_some_and(|case| case.text_redacted.contains("第1号旧件")), "{found:?}");
    d.service.stop().await;
}

#[tokio::test]
async fn history_is_listed_by_its_own_days_and_goes_on_like_any_other_case() {
    let d = District::start().await;
    let now = d.taken_in(&Persona::resident(d.district)).await;
    let cases = vec![closed(&d, 1), open(&d, pb::CaseState::Dispatched, "o-1")];
    import(&d, &operator(&d), &batch(cases)).await.unwrap();
    d.told().await;
    let all = listed(&d, &d.dispatcher(), pb::ListCasesRequest::default()).await.cases;
    assert_eq!((all.len(), &all[0].case_id), (3, &now.case_id), "history lies behind");
    let old = all.iter().find(|case| case.state() == pb::CaseState::Closed).unwrap();
    assert_eq!(old.closed_code(), pb::ClosedCode::Resolved);
    let timeline = pb::GetTimelineRequest { case_id: old.case_id.clone(), ..Default::default() };
    let steps = d.cases(&d.dispatcher()).get_timeline(timeline).await.unwrap().into_inner().entries;
    assert!(steps.len() >= 4 && steps[0].reason.as_ref().is_some_and(|reason| reason.code == "imported"));
    let reopen = pb::ReopenCaseRequest {
        case_id: old.case_id.clone(),
        request_id: request_id(),
        etag: old.etag.clone(),
        reason_code: "new_facts".into(),
        ..Default::default()
    };
    let district = Persona::new(Role::DistrictDispatcher, d.district).org(d.gov);
    let again = d.cases(&district).reopen_case(reopen).await.unwrap().into_inner().case.unwrap();
    assert_eq!(again.reopen_count, 1);
    assert!(d.told().await.contains(&"CaseReopened".to_owned()));
    // The open one is on the work list of its lead, to be signed for.
    let open =
        all.iter().find(|case| case.state() == pb::CaseState::Dispatched && case.case_id != now.case_id);
    let case = d.read(open.unwrap()).await;
    let sign = pb::SignTaskRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        task_id: case.tasks[0].task_id.clone(),
        ..Default::default()
    };
    d.tasks(&d.leader()).sign_task(sign).await.unwrap();
    assert_eq!(d.told().await, ["TaskSigned"]);
    d.service.stop().await;
}

#[tokio::test]
async fn an_open_case_of_a_merged_community_is_in_the_next_one_at_once() {
    let d = District::start().await;
    let next = merged_community(&d).await;
    let rows = vec![open(&d, pb::CaseState::Accepted, "o-1"), closed(&d, 1)];
    let by = Persona::new(Role::ItOperator, next);
    let answer = import(&d, &by, &batch(rows)).await.unwrap();
    assert_eq!((answer.imported_count, answer.problems), (2, vec![]));
    let events = d.service.drain_outbox().await;
    let told: pb::CasesImported = events[0].decode().unwrap();
    let names = |number: i32, names: &[String]| names[usize::try_from(number).unwrap() - 1].clone();
    let told: Vec<_> = told
        .cases
        .iter()
        .map(|fact| {
            let receiver = names(fact.first_receiver_org, &told.org_ids);
            (fact.state(), names(fact.place_unit, &told.unit_ids), receiver)
        })
        .collect();
    let station = d.station.to_string();
    // One that has ended keeps its place.
    let expected = [
        (pb::CaseState::Accepted, next.to_string(), station.clone()),
        (pb::CaseState::Closed, d.community.to_string(), station),
    ];
    assert_eq!(told, expected);
    d.service.stop().await;
}
