//! Personal data stays where it is sealed: canaries in a requester's name, phone and identity number, in how a party to a dispute
//! is reached, and in what somebody writes, are found in no event, queue, log, span, metric or dump of a database. What somebody
//! writes stands in its redacted copy, for those who handle the case: names and addresses have no pattern to redact by.

use std::collections::BTreeMap;

use chassis::clock::new_id;
use jianghan::{simulate::lead_task, suite::request_id};
use proto::{
    case_routing::v1::{
        AddRemarkRequest, MediationOrigin, OpenMediationRequest, PartyEntry, PartyKind, RevealTextRequest,
        SignTaskRequest,
    },
    identity::v1::{CreatePersonRequest, RevealPersonRequest},
};
use serde_json::{Value, json};
use tests::{
    Person, World,
    broker::Listener,
    eventually,
    journeys::{COMMUNITY, LAMP},
    run,
    tables::{SERVICES, Tables},
};
use tokio::process::Command;
use tonic::Request;

const NAME: &str = "欧阳金丝雀";
const PHONE: &str = "19912349876";
/// Its check digit is right; it belongs to nobody (the area code is not given out).
const ID_NO: &str = "420199198503071233";
const ADDRESS: &str = "金丝雀里八十八号三单元";

/// Only ever in what is written as text.
const NAME_SAID: &str = "司徒画眉鸟";
const ADDRESS_SAID: &str = "画眉鸟巷七十七号五单元";

/// Where redacted copies of texts are kept, by database and table.
const REDACTED: [&str; 2] = ["case_routing.public.cases", "case_routing.public.case_remarks"];

/// Quarrels between neighbours.
const QUARREL: &str = "ZF-0120";

/// What has to have arrived as spans before their absence of personal data means anything.
const SPANS: [(&str, &str); 9] = [
    ("gateway", "http.request"),
    ("identity", "jianghan.identity.v1.PersonService/CreatePerson"),
    ("identity", "jianghan.identity.v1.PersonService/FindPerson"),
    ("identity", "jianghan.identity.v1.PersonService/RevealPerson"),
    ("case-routing", "jianghan.case_routing.v1.CaseService/RevealText"),
    ("case-routing", "jianghan.case_routing.v1.CaseService/AddRemark"),
    ("case-routing", "jianghan.case_routing.v1.MediationService/OpenMediation"),
    ("staffing", "process jianghan.case_routing.v1.TaskSigned"),
    ("analytics", "process jianghan.case_routing.v1.TaskSigned"),
];

/// The text and its bytes as PostgreSQL writes them.
fn forms(canary: &str) -> [String; 2] {
    [canary.to_owned(), hex(canary.as_bytes())]
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn holds(text: &str, canary: &str) -> bool {
    forms(canary).iter().any(|form| text.contains(form))
}

fn assert_none(place: &str, text: &str, canaries: &[&str]) {
    for canary in canaries {
        assert!(!holds(text, canary), "`{canary}` is in {place}");
    }
}

/// A `traceparent` of the client's.
fn traceparent(trace: &str) -> String {
    format!("00-{trace}-00f067aa0ba902b7-01")
}

/// A request in a trace of the client's.
async fn traced<T>(person: &Person<'_>, trace: &str, message: T) -> Request<T> {
    let mut request = person.asks(message).await;
    request.metadata_mut().insert("traceparent", traceparent(trace).parse().expect("a header"));
    request
}

/// Entered at the window with everything that can be entered of somebody, found by both keys, and revealed.
async fn somebody_is_known(world: &World, window: &Person<'_>, trace: &str) {
    let person = CreatePersonRequest {
        request_id: request_id(),
        name: NAME.into(),
        id_no: ID_NO.into(),
        phone: PHONE.into(),
        home_unit_id: world.unit(COMMUNITY),
        notice_version: "v1".into(),
        ..Default::default()
    };
    let created = world.patient.people().create_person(traced(window, trace, person).await).await;
    let created = created.expect("a person is entered at the window").into_inner().person.expect("a person");
    for key in [json!({ "phone": PHONE }), json!({ "idNo": ID_NO })] {
        let answer = reqwest::Client::new()
            .post(format!("{}/v1/people:find", world.gateway))
            .header("authorization", window.bearer().await)
            .header("traceparent", traceparent(trace))
            .json(&key)
            .send()
            .await
            .expect("the edge answers");
        let found: Value = answer.json().await.expect("JSON");
        assert_eq!(found["person"]["personId"], created.person_id.as_str(), "{found}");
    }
    let reveal = RevealPersonRequest { person_id: created.person_id, reason_code: "home_visit".into() };
    let revealed = world.patient.people().reveal_person(traced(window, trace, reveal).await).await;
    let clear = revealed.expect("revealed").into_inner();
    assert_eq!(
        (clear.name.as_str(), clear.phone.as_str(), clear.id_no.as_str()),
        (NAME, PHONE, ID_NO),
        "all of it is kept, sealed"
    );
}

/// A request with everything in its text, told of further, and signed for. Gives the case.
async fn somebody_writes(world: &World, window: &Person<'_>, trace: &str) -> String {
    let (resident, place) = (world.resident(9), world.unit(COMMUNITY));
    let text = format!("我是{NAME_SAID}，住{ADDRESS_SAID}，电话{PHONE}，身份证{ID_NO}，门口的路灯不亮。");
    let case = window.takes_in(&resident, &text, LAMP, &place).await;
    for pattern in [PHONE, ID_NO] {
        assert!(!case.text_redacted.contains(pattern), "the redacted text shows {pattern}");
    }
    let reveal = RevealTextRequest { case_id: case.case_id.clone() };
    let revealed = world.patient.cases().reveal_text(traced(window, trace, reveal).await).await;
    assert_eq!(revealed.expect("revealed").into_inner().text, text, "the original is kept, sealed");
    let remark = AddRemarkRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        text: format!("补充：{NAME_SAID}，{ADDRESS_SAID}，{PHONE}，{ID_NO}。"),
        ..Default::default()
    };
    world.patient.cases().add_remark(traced(&resident, trace, remark).await).await.expect("it is added");
    let sign = SignTaskRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        task_id: lead_task(&case).expect("a lead task").task_id.clone(),
        ..Default::default()
    };
    let leader = world.leader_of(&case.lead_org_id);
    world.patient.tasks().sign_task(traced(&leader, trace, sign).await).await.expect("it is signed for");
    case.case_id
}

/// A dispute in which the other party, and how they are reached, are told.
async fn somebody_is_a_party(world: &World, window: &Person<'_>, trace: &str) {
    let (resident, place) = (world.resident(9), world.unit(COMMUNITY));
    let case = window.takes_in(&resident, "楼上弹琴太吵，想请人调解", QUARREL, &place).await;
    let own = PartyEntry { kind: PartyKind::Person.into(), ..Default::default() };
    let contact = format!("{ADDRESS}，{PHONE}，{ID_NO}");
    let other = PartyEntry { name: NAME.into(), contact, ..own.clone() };
    let open = OpenMediationRequest {
        case_id: case.case_id,
        request_id: request_id(),
        origin: MediationOrigin::Application.into(),
        parties: vec![own, other],
    };
    let opened = world.patient.mediations().open_mediation(traced(&resident, trace, open).await).await;
    opened.expect("a mediation is applied for");
}

/// Every service has told its metrics twice since now; the gateway has none. The first export to arrive may have begun before; those
/// after it have not, for a process sends one after the other.
async fn metrics_are_told_anew(world: &World) {
    let before = SERVICES.map(|service| (service, world.otlp.exports(service)));
    eventually("two exports of metrics that began later, from every service", async || {
        let told = |(service, seen): &(&str, u64)| world.otlp.exports(service) >= seen + 3;
        before.iter().all(told).then_some(())
    })
    .await;
}

/// Everything in all databases.
async fn dump(world: &World) -> String {
    let mut command = {
        let launched = world.launched.lock().await;
        let server = launched.postgres.as_ref().expect("the world has its own PostgreSQL");
        let mut command = Command::new(server.bin_dir().join("pg_dumpall"));
        command.arg("--data-only").arg("-h").arg(server.socket_dir()).args(["-U", "jianghan"]);
        command
    };
    let dump = command.output().await.expect("pg_dumpall");
    assert!(dump.status.success(), "{}", String::from_utf8_lossy(&dump.stderr));
    String::from_utf8_lossy(&dump.stdout).into_owned()
}

/// The rows of a dump by database and table.
fn by_table(dump: &str) -> BTreeMap<String, String> {
    let mut tables = BTreeMap::<String, String>::new();
    let (mut database, mut table) = ("", None);
    for line in dump.lines() {
        if table.is_some() && line == "\\." {
            table = None;
        } else if let Some(name) = &table {
            let rows = tables.entry(String::clone(name)).or_default();
            rows.push_str(line);
            rows.push('\n');
        } else if let Some(name) = line.strip_prefix("\\connect ") {
            database = name.trim_matches('"');
        } else if let Some(columns) = line.strip_prefix("COPY ") {
            table = Some(format!("{database}.{}", columns.split(' ').next().unwrap_or_default()));
        }
    }
    tables
}

#[test]
fn canaries_are_found_nowhere_in_clear() {
    run(async {
        let world = World::distributed().await;
        let _turn = world.alone().await;
        let listener = Listener::start(world).await;
        let trace = new_id().simple().to_string();
        world.otlp.forget(); // nobody has told what is looked for before
        let window = world.window(COMMUNITY);
        somebody_is_known(world, &window, &trace).await;
        let case_id = somebody_writes(world, &window, &trace).await;
        somebody_is_a_party(world, &window, &trace).await;
        world.settles().await;
        eventually("the spans of all that", async || {
            let spans = world.otlp.trace(&trace);
            let arrived = |(process, name): &(&str, &str)| {
                spans.iter().any(|span| span.process == *process && span.name == *name)
            };
            SPANS.iter().all(arrived).then_some(())
        })
        .await;
        metrics_are_told_anew(world).await;

        let never_told = [NAME, PHONE, ID_NO, ADDRESS, NAME_SAID, ADDRESS_SAID];
        for service in SERVICES {
            let log = std::fs::read_to_string(world.dir.join(format!("{service}.log"))).expect("a log");
            assert!(!log.is_empty(), "{service} logs something");
            assert_none(&format!("the log of {service}"), &log, &never_told);
        }
        let log = std::fs::read_to_string(world.dir.join("gateway.log")).expect("a log");
        assert_none("the log of the gateway", &log, &never_told);
        assert_none("telemetry", &world.otlp.everything(), &never_told);

        let events = Tables::of(world, "analytics").await.expect("the database");
        let rows = events
            .rows("SELECT encode(data, 'hex') || subject || coalesce(actor_ref, '') FROM event_log", &[])
            .await;
        assert!(rows.len() > 100, "the log of events is full");
        for row in rows {
            assert_none("an event", row.get(0), &never_told);
        }
        let messages = listener.heard().await;
        let of_the_case = hex(case_id.as_bytes());
        let about = messages.iter().filter(|message| hex(&message.bytes).contains(&of_the_case));
        assert!(about.count() >= 3, "what happened to the case went through the broker");
        for message in &messages {
            assert_none(&message.key, &hex(&message.bytes), &never_told);
        }

        let dump = dump(world).await;
        assert_none("a dump of the databases", &dump, &[NAME, PHONE, ID_NO, ADDRESS]);
        let tables = by_table(&dump);
        assert!(tables[REDACTED[0]].contains(&case_id), "the dump holds the case");
        for (table, rows) in tables.iter().filter(|(table, _)| !REDACTED.contains(&table.as_str())) {
            assert_none(table, rows, &[NAME_SAID, ADDRESS_SAID]);
        }
    });
}
