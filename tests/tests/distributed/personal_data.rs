//! Personal data stays where it is sealed: canaries in a request's text, in a requester's name, phone, identity number
//! and address are found in no event, log, span, metric, queue or dump of a database.

use proto::{case_routing::v1::RevealTextRequest, identity::v1::CreatePersonRequest};
use tests::{
    World,
    journeys::{COMMUNITY, LAMP},
    run,
    tables::{SERVICES, Tables},
};
use tokio::process::Command;

const NAME: &str = "欧阳金丝雀";
const PHONE: &str = "19912349876";
/// Checks out by its check digit; belongs to nobody (the area code is not given out).
const ID_NO: &str = "420199198503071232";
const ADDRESS: &str = "金丝雀里八十八号三单元";

/// The text and its bytes as PostgreSQL writes them.
fn forms(canary: &str) -> [String; 2] {
    [canary.to_owned(), canary.bytes().map(|byte| format!("{byte:02x}")).collect()]
}

fn assert_none(place: &str, text: &str, canaries: &[&str]) {
    for canary in canaries {
        for form in forms(canary) {
            assert!(!text.contains(&form), "`{canary}` is in {place}");
        }
    }
}

#[test]
fn canaries_are_found_nowhere_in_clear() {
    run(async {
        let world = World::distributed().await;
        let _turn = world.alone().await;
        let window = world.window(COMMUNITY);
        let place = world.unit(COMMUNITY);
        let person = CreatePersonRequest {
            request_id: jianghan::suite::request_id(),
            name: NAME.into(),
            phone: PHONE.into(),
            home_unit_id: place.clone(),
            notice_version: "v1".into(),
            ..Default::default()
        };
        let created = world.patient.people().create_person(window.asks(person).await).await;
        created.expect("a person is entered at the window");
        let text = format!("我是{NAME}，住{ADDRESS}，电话{PHONE}，身份证{ID_NO}，门口的路灯不亮。");
        let case = window.takes_in(&world.resident(9), &text, LAMP, &place).await;
        for pattern in [PHONE, ID_NO] {
            assert!(!case.text_redacted.contains(pattern), "the redacted text shows {pattern}");
        }
        let reveal = RevealTextRequest { case_id: case.case_id.clone() };
        let revealed = world.patient.cases().reveal_text(window.asks(reveal).await).await.expect("revealed");
        assert_eq!(revealed.into_inner().text, text, "the original is kept, sealed");
        world.leader_of(&case.lead_org_id).signs(&case).await;
        world.settles().await;

        // Names and addresses have no pattern to redact by: the redacted copy is for those who handle the case.
        let everywhere = [PHONE, ID_NO];
        let never_told = [NAME, PHONE, ID_NO, ADDRESS];
        for service in SERVICES {
            let log = std::fs::read_to_string(world.dir.join(format!("{service}.log"))).expect("a log");
            assert!(!log.is_empty(), "{service} logs something");
            assert_none(&format!("the log of {service}"), &log, &never_told);
        }
        assert_none("telemetry", &world.otlp.everything(), &never_told);
        let events = Tables::of(world, "analytics").await.expect("the database");
        let rows = events
            .rows("SELECT encode(data, 'hex') || subject || coalesce(actor_ref, '') FROM event_log", &[])
            .await;
        assert!(rows.len() > 100, "the log of events is full");
        for row in rows {
            assert_none("an event", row.get(0), &never_told);
        }
        let (dump, rabbit) = {
            let launched = world.launched.lock().await;
            let server = launched.postgres.as_ref().expect("the world has its own PostgreSQL");
            let mut command = Command::new(server.bin_dir().join("pg_dumpall"));
            command.arg("--data-only").arg("-h").arg(server.socket_dir()).args(["-U", "jianghan"]);
            (command.output().await.expect("pg_dumpall"), launched.rabbit.is_some())
        };
        assert!(dump.status.success() && rabbit, "{}", String::from_utf8_lossy(&dump.stderr));
        let dump = String::from_utf8_lossy(&dump.stdout);
        assert!(dump.contains(&case.case_id), "the dump holds the case");
        assert_none("a dump of the databases", &dump, &everywhere);
    });
}
