//! The commands of the operator's binary, each run once as a process of its own against a running suite. What they do in detail is
//! tested where they are; here: that they reach the suite as whom they should, say one telling thing, and end as they say.

use std::{collections::BTreeSet, fs, path::Path};

use chrono::{SecondsFormat, TimeDelta};
use jianghan::{scenario::Scenario, simulate::lead_task};
use proto::{case_routing::v1::AssignmentStatus, identity::v1::FindPersonRequest};
use serde_json::{Value, json};
use tests::{
    World,
    journeys::{COMMUNITY, LAMP},
    run,
    tables::Tables,
    up::{PATIENCE, private},
};
use tokio::time::timeout;
use uuid::Uuid;

/// The street that the community lies in.
const STREET: &str = "420103005";

/// The parts of a list.
pub fn list(told: &Value) -> &[Value] {
    told.as_array().unwrap_or_else(|| panic!("no list: {told}"))
}

/// A path as an argument.
pub fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

/// Whether a number is there and above zero.
pub fn some(told: &Value) -> bool {
    told.as_u64().is_some_and(|number| number > 0)
}

#[test]
fn every_command_that_looks_at_a_running_suite_answers() {
    run(async {
        let world = World::all_in_one().await;
        let _turn = world.alone().await;
        world.to_the_next_morning().await.expect("time passes");
        let played = world.performs(Scenario::OneWindow).await;
        let case = played.case(0).expect("a case");
        world.settles().await;
        let dir = tempfile::tempdir().expect("a folder");

        routes(world, case, dir.path()).await;
        catalogue(world, dir.path()).await;
        exports_and_imports(world, dir.path()).await;
        figures(world).await;
        exchange(world).await;
        calendar(world).await;
        key(world, dir.path()).await;
        audit(world, dir.path()).await;

        for what in ["dead", "parked"] {
            let told = world.is_told_well(&["events", what]).await;
            assert_eq!(told, json!([]), "events {what}");
        }
    });
}

/// What a bench prints for machines. Its servers are its own.
async fn measured(world: &World, arguments: &[&str]) -> Value {
    let mut command = private(&world.binary);
    command.arg("bench").args(arguments).arg("--json");
    let ended = timeout(PATIENCE, command.output()).await.expect("it ends by itself").expect("it runs");
    assert!(ended.status.success(), "{arguments:?}: {ended:?}");
    serde_json::from_slice(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {ended:?}"))
}

/// Whether figures are there, and above zero.
fn measures(told: &Value, figures: &[&str]) {
    for figure in figures {
        assert!(told[figure].as_f64().is_some_and(|number| number > 0.0), "{figure}: {told}");
    }
}

#[test]
fn a_bench_on_servers_of_its_own_tells_every_figure() {
    run(async {
        let world = World::all_in_one().await; // for its binary
        let _turn = world.alone().await; // with the machine
        let told = measured(world, &["lifecycle", "--seconds", "8", "--users", "2"]).await;
        assert_eq!(
            (&told["shape"], &told["users"], &told["errors"]),
            (&json!("all-in-one"), &json!(2), &json!(0)),
            "{told}"
        );
        let figures = [
            "seconds",
            "lifecycles",
            "lifecycles_per_second",
            "events_per_second",
            "analytics_lag_p50_ms",
            "analytics_lag_p99_ms",
            "floor_1",
            "floor_users",
        ];
        measures(&told, &figures);
        for step in ["create", "assign", "resolve", "search"] {
            measures(&told["steps"][step], &["p50_ms", "p95_ms", "p99_ms"]);
        }
        for memory in [&told["memory_total_mb"], &told["memory_mb"]["jianghan"]] {
            measures(memory, &["resident", "proportional"]);
        }
        measures(&told["processor_ms"], &["this process", "postgresql"]);
        for nothing in ["preloaded", "imported"] {
            assert_eq!(told[nothing], 0, "{told}");
        }
        for none in ["first_errors", "statements"] {
            assert_eq!(told[none], json!([]), "{told}");
        }
        assert!(told["retries"].is_u64() && told["ratio_to_floor"].is_f64(), "{told}");
        assert!(!list(&told["marks"]).is_empty(), "{told}");

        let told = measured(world, &["events", "--events", "1000"]).await;
        assert_eq!((&told["bus"], &told["events"]), (&json!("in-process"), &json!(1_000)), "{told}");
        let figures = [
            "users",
            "commands_per_second",
            "flow_events_per_second",
            "lag_p50_ms",
            "lag_p99_ms",
            "confirmed_per_second",
            "consumed_per_second",
            "floor_1",
            "floor_users",
        ];
        measures(&told, &figures);
    });
}

#[test]
fn what_cannot_be_printed_makes_a_command_fail_in_words() {
    run(async {
        let world = World::all_in_one().await;
        let _turn = world.shared().await;
        let due = ["calendar", "due", "--from", "2026-02-13 16:30", "--n", "2", "--unit", "work_hour"];
        for arguments in [&due[..], &["events", "parked"], &["events", "parked", "--json"]] {
            let ended = world.operates_unread(arguments).await;
            let said = String::from_utf8_lossy(&ended.stderr);
            assert_eq!(ended.status.code(), Some(1), "{arguments:?}: {said}");
            assert!(said.contains("cannot print") && !said.contains("panicked"), "{arguments:?}: {said}");
        }
    });
}

#[test]
fn what_is_under_way_is_told_though_nothing_differs() {
    run(async {
        let world = World::all_in_one().await;
        let _turn = world.alone().await;
        world.settles().await;
        let printed = world.operates(&["reconcile"]).await;
        let said = String::from_utf8_lossy(&printed.stdout);
        assert!(printed.status.success() && said.contains("nothing is under way"), "{said}");
        // A batch that somebody takes in and does not get done with.
        let analytics = Tables::of(world, "analytics").await.expect("the database");
        analytics.forge("BEGIN", &[]).await;
        analytics.rows("SELECT nextval('inbox_taken')", &[]).await;
        let (told, well) = world.is_told(&["reconcile", "--drain", "1"]).await;
        assert!(!well, "{told}");
        assert_eq!((&told["differences"], &told["failures"]), (&json!([]), &json!([])), "{told}");
        assert!(told["undrained"].as_str().is_some_and(|why| why.contains("still under way")), "{told}");
        assert!(some(&told["waiting"]["in_hand"]), "{told}");
        let told = world.is_told_well(&["reconcile", "--drain", "0"]).await;
        assert_eq!(told["undrained"], Value::Null, "it was not waited for");
        analytics.forge("ROLLBACK", &[]).await;
        let told = world.is_told_well(&["reconcile"]).await;
        assert_eq!(told["undrained"], Value::Null, "{told}");
    });
}

/// Where a matter goes, whether the case went as it would again, and the responsibility list as a file.
async fn routes(world: &World, case: &str, dir: &Path) {
    let told = world.is_told_well(&["route", "explain", "--item", LAMP, "--unit", COMMUNITY]).await;
    assert!(told["lead"].as_str().is_some_and(|lead| lead.starts_with("dept:urban_management ")), "{told}");
    let told = world.is_told_well(&["route", "replay", "--case", case]).await;
    assert!(!list(&told).is_empty(), "{told}");
    let told = world.is_told_well(&["route", "dry-run", "--version", "1", "--unit", COMMUNITY]).await;
    assert!(some(&told["compared"]), "{told}");

    let file = dir.join("list.csv");
    let out = world.is_told_well(&["route", "list", "export", "--file", text(&file)]).await;
    let told = world.is_told_well(&["route", "list", "check", "--file", text(&file), "--whole"]).await;
    assert!(some(&out["rows"]), "{out}");
    assert_eq!((&told["unchanged"], &told["problems"]), (&out["rows"], &json!([])), "{told}");
    let told = world.is_told_well(&["route", "list", "versions"]).await;
    assert!(list(&told).iter().any(|version| version["version"] == 1 && version["base"] == 0), "{told}");
    let told = world.is_told_well(&["route", "list", "versions", "--version", "1"]).await;
    assert!(some(&told["entries"]), "{told}");
}

/// The catalogue as a file, and its versions.
async fn catalogue(world: &World, dir: &Path) {
    let file = dir.join("items.xlsx");
    let out = world.is_told_well(&["catalogue", "export", "--file", text(&file)]).await;
    let told = world.is_told_well(&["catalogue", "check", "--file", text(&file), "--whole"]).await;
    assert!(some(&out["rows"]), "{out}");
    assert_eq!((&told["unchanged"], &told["problems"]), (&out["rows"], &json!([])), "{told}");
    let told = world.is_told_well(&["catalogue", "versions"]).await;
    assert!(list(&told).iter().any(|version| version["version"] == 1), "{told}");
}

/// Cases out of the suite, and what would come of bringing some in.
async fn exports_and_imports(world: &World, dir: &Path) {
    let file = dir.join("cases.csv");
    let told = world.is_told_well(&["export", "cases", "--out", text(&file), "--item", LAMP]).await;
    assert!(some(&told["cases"]), "{told}");
    assert_eq!(told["bytes"], fs::metadata(&file).expect("the file").len());

    let file = dir.join("history.csv");
    let now = world.now().await.expect("domain time");
    let at = |hours: i64| (now - TimeDelta::hours(hours)).to_rfc3339_opts(SecondsFormat::Secs, true);
    let (came, over) = (at(900), at(850));
    let row = |number: u8, place: &str| {
        format!("C-{number},路灯不亮,{place},{LAMP},已结案,{came},{over},street_office:{STREET},满意\n")
    };
    let header = "编号,内容,地点编码,事项编码,状态,登记时间,结案时间,主办单位编码,满意度\n";
    fs::write(&file, format!("{header}{}{}", row(1, COMMUNITY), row(2, "999"))).expect("written");
    let (told, well) = world.is_told(&["import", "--cases", text(&file), "--check"]).await;
    assert!(!well, "a row that is wrong is a finding: {told}");
    assert_eq!((&told["imported"], &told["problems"]), (&json!(1), &json!(1)), "{told}");
    assert_eq!(told["first_problems"][0]["line"], 3, "{told}");
}

/// What analytics makes of it all.
async fn figures(world: &World) {
    let told = world.is_told_well(&["process", "versions"]).await;
    assert!(list(&told).iter().any(|one| some(&one["decided"])), "{told}");
    let told = world.is_told_well(&["process", "compare", "--street", STREET]).await;
    assert!(some(&told["overall"]["other"]["cases"]), "{told}");
    let told = world.is_told_well(&["analytics", "digest"]).await;
    assert!(told["digest"].as_str().is_some_and(|digest| digest.len() == 64), "{told}");
    assert!(some(&told["facts"]), "{told}");
    let told = world.is_told_well(&["analytics", "hotspots"]).await;
    assert!(told["hotspots"].is_array(), "{told}");
}

/// Another system, entered and looked at.
async fn exchange(world: &World) {
    let system = ["create", "commands", "--name-zh", "演示系统", "--name-en", "Demonstration"];
    let made = world.is_told_well(&[&["exchange", "systems"], &system[..]].concat()).await;
    assert_eq!((&made[0]["system_code"], &made[0]["state"]), (&json!("commands"), &json!("on")), "{made}");
    let told = world.is_told_well(&["exchange", "systems"]).await;
    assert!(list(&told).iter().any(|one| *one == made[0]), "{told}");
    assert_eq!(world.is_told_well(&["exchange", "mapping", "--system", "commands"]).await, json!([]));
    assert_eq!(world.is_told_well(&["exchange", "tickets", "--system", "commands"]).await, json!([]));
}

/// It asks no service.
async fn calendar(world: &World) {
    let asked = ["calendar", "due", "--from", "2026-02-13 16:30", "--n", "2", "--unit", "work_hour"];
    assert_eq!(world.is_told_well(&asked).await["due"], "2026-02-14T10:00:00+08:00");
    assert_eq!(world.is_told_well(&["calendar", "show", "--year", "2026"]).await["work_days"], 248);
}

/// The key of a new suite, which is never made over one that is there.
async fn key(world: &World, dir: &Path) {
    let file = dir.join("master.key");
    let create = ["key", "create", "--file", text(&file)];
    let told = world.is_told_well(&create).await;
    assert_eq!(told, json!({ "created": true, "file": &file }));
    let made = fs::read(&file).expect("the key");
    let (told, well) = world.is_told(&create).await;
    assert!(!well, "{told}");
    assert_eq!(told["created"], false, "{told}");
    assert_eq!(fs::read(&file).expect("the key"), made);
}

/// Who looked at personal data: whole, changed by hand, and as it was again.
async fn audit(world: &World, dir: &Path) {
    // Whoever looks leaves an entry, also for nobody.
    let request = FindPersonRequest { phone: "13900000000".into(), ..Default::default() };
    let request = world.window(COMMUNITY).asks(request).await;
    world.suite.people().find_person(request).await.expect_err("nobody has it");
    let told = world.is_told_well(&["audit", "check"]).await;
    assert!(told["whole"] == true && some(&told["entries"]), "{told}");
    let newest = told["entries"].as_i64().expect("the newest");
    let head = told["head"].as_str().expect("its hash").to_owned();

    let file = dir.join("audit.jsonl");
    let out = world.is_told_well(&["audit", "export", "--out", text(&file)]).await;
    assert_eq!(out["entries"], newest, "{out}");
    let lines = fs::read_to_string(&file).expect("the file");
    let last: Value = serde_json::from_str(lines.lines().last().expect("an entry")).expect("JSON");
    assert_eq!((&last["seq"], &last["action"]), (&json!(newest), &json!("FindPerson")), "{last}");
    assert_eq!(last["decision"], "deny", "{last}");
    let behind = (newest - 1).to_string();
    let printed = world.operates(&["audit", "export", "--after", &behind]).await.stdout;
    let printed = String::from_utf8(printed).expect("text");
    assert_eq!(printed.lines().count(), 2, "{printed}");
    assert!(printed.starts_with("seq,at,") && printed.contains(",FindPerson,"), "{printed}");

    let identity = Tables::of(world, "identity").await.expect("the database");
    let edit = "UPDATE audit_entries SET role = role + $2 WHERE seq = $1";
    identity.forge("ALTER TABLE audit_entries DISABLE TRIGGER USER", &[]).await;
    identity.forge(edit, &[&newest, &1_i16]).await;
    let (told, well) = world.is_told(&["audit", "check"]).await;
    assert!(!well, "{told}");
    assert_eq!(told, json!({ "whole": false, "broken_at": newest, "cause": "was edited" }));
    identity.forge(edit, &[&newest, &-1_i16]).await;
    identity.forge("ALTER TABLE audit_entries ENABLE TRIGGER USER", &[]).await;
    world.is_told_well(&["audit", "check", "--head", &head]).await;
}

/// What makes the only comparison of a subject tell something, but for mediations, of which there may be none here.
const COMPARED: [&str; 14] = [
    "case",
    "rollup",
    "outcome",
    "state",
    "due",
    "open_due",
    "case_counts",
    "task_counts",
    "cell",
    "task",
    "offer",
    "unit",
    "organization",
    "edge",
];

/// Takes the only row of a query out of a table, and gives it as JSON.
async fn takes_out(tables: &Tables, table: &str, which: &str, id: Uuid) -> String {
    let sql = format!("DELETE FROM {table} AS t WHERE {which} = $1 RETURNING to_jsonb(t)::text");
    let rows = tables.rows(&sql, &[&id]).await;
    assert_eq!(rows.len(), 1, "{table} holds one row of {id}");
    rows[0].get(0)
}

/// Puts such a row back.
async fn puts_back(tables: &Tables, table: &str, row: &str) {
    let sql = format!("INSERT INTO {table} SELECT (jsonb_populate_record(NULL::{table}, $1::text::jsonb)).*");
    tables.forge(&sql, &[&row]).await;
}

/// The offer of a case that is in a state.
async fn offer_in(volunteers: &Tables, case: Uuid, state: &str) -> Uuid {
    let sql = "SELECT offer_id FROM offers WHERE case_id = $1 AND state = $2";
    let rows = volunteers.rows(sql, &[&case, &state]).await;
    assert_eq!(rows.len(), 1, "one offer of {case} is {state}");
    rows[0].get(0)
}

#[test]
fn what_a_service_lacks_or_has_alone_is_told_by_its_id_until_all_is_as_it_was() {
    run(async {
        let world = World::all_in_one().await;
        let _turn = world.alone().await;
        world.to_the_next_morning().await.expect("time passes");
        let played = world.performs(Scenario::OneWindow).await;
        let closed = played.case(0).expect("a case").to_owned();
        // A task that staffing has just asked somebody to do.
        let place = world.unit(COMMUNITY);
        let case = world.window(COMMUNITY).takes_in(&world.resident(6), "路灯不亮", LAMP, &place).await;
        let case = world.leader_of(&case.lead_org_id).signs(&case).await;
        let case = world.sees_assignment(&case, AssignmentStatus::Offered).await;
        let task = lead_task(&case).expect("a lead task").task_id.clone();
        world.settles().await;
        let told = world.is_told_well(&["reconcile"]).await;
        for subject in COMPARED {
            assert!(some(&told["compared"][subject]), "{subject}: {told}");
        }
        assert_eq!((&told["differences"], &told["duplicated_effects"]), (&json!([]), &json!(0)), "{told}");

        let analytics = Tables::of(world, "analytics").await.expect("the database");
        let staffing = Tables::of(world, "staffing").await.expect("the database");
        let volunteers = Tables::of(world, "volunteer-matching").await.expect("the database");
        let routing = Tables::of(world, "case-routing").await.expect("the database");
        let mut cases = played.shown.iter().filter(|shown| shown.kind == "case");
        let shown = cases.find(|shown| shown.zh.contains("志愿者")).expect("volunteers were asked");
        let offered: Uuid = shown.id.parse().expect("a case id");
        let declined = offer_in(&volunteers, offered, "declined").await;
        let completed = offer_in(&volunteers, offered, "completed").await;
        let id: Uuid = closed.parse().expect("a case id");
        takes_out(&analytics, "case_facts", "case_id", id).await;
        let id: Uuid = task.parse().expect("a task id");
        let assignment = takes_out(&staffing, "assignments", "task_id", id).await;
        // An offer that the partner's side has lost, and one that only it knows.
        let lost = takes_out(&volunteers, "offers", "offer_id", declined).await;
        let forgotten = takes_out(&routing, "offers", "offer_id", completed).await;
        let (declined, completed) = (declined.to_string(), completed.to_string());
        // A change of a unit that only the broker held.
        let unit: Uuid = place.parse().expect("a unit id");
        staffing.forge("UPDATE topology_units SET version = version - 1 WHERE id = $1", &[&unit]).await;
        let (told, well) = world.is_told(&["reconcile"]).await;
        assert!(!well, "differences are a finding: {told}");
        let found: BTreeSet<_> = list(&told["differences"])
            .iter()
            .map(|one| {
                ["subject", "service", "kind", "key"].map(|part| one[part].as_str().unwrap_or_default())
            })
            .filter(|[subject, ..]| *subject != "cell")
            .collect();
        let expected = [
            ["case", "analytics", "missing", closed.as_str()],
            ["case_counts", "analytics", "missing", closed.as_str()],
            ["offer", "volunteer-matching", "extra", completed.as_str()],
            ["offer", "volunteer-matching", "missing", declined.as_str()],
            ["task", "staffing", "differing", task.as_str()],
            ["unit", "staffing", "differing", place.as_str()],
        ];
        assert_eq!(found, BTreeSet::from(expected), "{told}");
        // The figures count the case still, and no fact is there that does.
        let cells = list(&told["differences"]).iter().filter(|one| one["subject"] == "cell");
        let cells: BTreeSet<_> = cells.map(|one| one["kind"].as_str().unwrap_or_default()).collect();
        assert!(!cells.is_empty() && !cells.contains("missing"), "{told}");
        // What is missing did not happen twice; the hours of an offer that nobody made are one too many.
        assert_eq!(told["duplicated_effects"], json!(1), "{told}");
        // As people read it, too.
        let printed = world.operates(&["reconcile", "--drain", "0"]).await;
        let printed = String::from_utf8_lossy(&printed.stdout).into_owned();
        assert!(printed.contains(&closed) && printed.contains(&task), "{printed}");

        // The operator makes the figures anew; what a service owns itself comes from its backup.
        let rebuilt = world.is_told_well(&["analytics", "rebuild"]).await;
        assert!(some(&rebuilt["events"]) && rebuilt["same"] == false, "{rebuilt}");
        puts_back(&staffing, "assignments", &assignment).await;
        puts_back(&volunteers, "offers", &lost).await;
        puts_back(&routing, "offers", &forgotten).await;
        staffing.forge("UPDATE topology_units SET version = version + 1 WHERE id = $1", &[&unit]).await;
        let told = world.is_told_well(&["reconcile"]).await;
        assert_eq!(told["differences"], json!([]), "{told}");
    });
}
