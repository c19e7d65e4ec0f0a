//! The first command an operator gives, with its own binary: the whole suite on an empty folder, the day of 300 requests and every
//! scenario, stopped by itself; then again on what is there, which plays nothing, stopped as Ctrl-C does; and stopped while it plays.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Stdio, time::Duration};

use chrono::{NaiveDate, TimeDelta};
use jianghan::{
    reconcile,
    scenario::Scenario,
    simulate,
    suite::{AccountsFile, Session, Suite},
};
use nix::sys::signal::{Signal, kill};
use proto::case_routing::v1::{CaseState, GetCaseRequest};
use serde_json::{Value, json};
use tests::{
    World, run,
    up::{Up, database, database_rests, folder, free_port, is_root, up, working_in},
};
use tokio::{process::Command, time::timeout};

/// The first start seeds the whole district and plays a day of 300 requests and every scenario, perhaps beside other tests.
const FIRST: Duration = Duration::from_secs(1_800);

/// A second start takes seconds (a promise), and this long only beside other tests.
const SECOND: f64 = 60.0;

/// Seconds that a start took, as it says itself.
fn ready_in(said: &[String]) -> f64 {
    let told = said.iter().find_map(|line| line.split_once("ready in ")?.1.strip_suffix(" s"));
    let seconds = told.and_then(|told| told.parse().ok());
    seconds.unwrap_or_else(|| panic!("it does not say how long it took: {said:#?}"))
}

/// The last lines of a log.
fn tail(log: &Path) -> String {
    let said = String::from_utf8_lossy(&fs::read(log).unwrap_or_default()).into_owned();
    let lines: Vec<&str> = said.lines().collect();
    lines[lines.len().saturating_sub(60)..].join("\n")
}

/// The scenarios that the command itself names.
async fn scenarios(binary: &Path) -> Vec<String> {
    let told = Command::new(binary).args(["up", "--scenario", "list"]).output().await.expect("it runs");
    assert!(told.status.success(), "{told:?}");
    let told = String::from_utf8(told.stdout).expect("text");
    let names: Vec<_> = told.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(names, Scenario::all().iter().map(|one| one.name()).collect::<Vec<_>>());
    names.into_iter().map(str::to_owned).collect()
}

/// What a file of secrets holds; nobody but its owner may read it.
fn secret(path: &Path) -> Vec<u8> {
    let about = fs::metadata(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert_eq!(about.permissions().mode() & 0o777, 0o600, "{}", path.display());
    fs::read(path).expect("it can be read")
}

/// The day was played to its end, and people were told what came of it.
fn came_to_its_end(day: &Value, told: &str) {
    for (figure, count) in [("registered", 300), ("lost", 0), ("duplicated_effects", 0), ("differences", 0)] {
        assert_eq!(day[figure], count, "{figure}: {day:#}");
    }
    for nothing in ["stuck", "failures"] {
        assert_eq!(day[nothing], json!([]), "{day:#}");
    }
    assert!(told.contains("playing a day of 300 requests"), "{told}");
    for (line, figure) in [("registered", "300"), ("lost", "0"), ("duplicated effects", "0")] {
        let is_it = |said: &str| said.contains(line) && said.split_whitespace().next_back() == Some(figure);
        assert!(told.lines().any(is_it), "no line says `{line} {figure}`: {told}");
    }
}

/// Time passed on the day: of its cases some were late, and some were closed without a rating.
async fn limits_and_windows_passed(suite: &Suite, file: &AccountsFile) {
    let operator = simulate::operator(suite, file).expect("an operator");
    let counts = reconcile::digests(suite, &operator, "analytics", "case_counts").await;
    let counts = counts.expect("what cases count");
    let on = |counted: &str, counter: &str| -> Option<NaiveDate> {
        let mut parts = counted.split(';').filter_map(|part| part.split_once('@'));
        let (_, rest) = parts.find(|(name, _)| *name == counter)?;
        rest.split('=').next()?.parse().ok()
    };
    let first = counts.values().filter_map(|counted| on(counted, "registered")).min().expect("a case");
    // The scenarios begin when the day has been played to its end, weeks later.
    let last = first + TimeDelta::days(1);
    let of_the_day = |counted: &&String| on(counted, "registered").is_some_and(|day| day <= last);
    let day: Vec<&String> = counts.values().filter(of_the_day).collect();
    assert!(day.len() > 250, "{} cases", day.len());
    let counts = |counted: &str, counter: &str| on(counted, counter).is_some();
    let late = day.iter().filter(|counted| counts(counted, "overdue_in")).count();
    let unrated = day.iter().filter(|it| counts(it, "closed") && !counts(it, "closed_rated")).count();
    assert!(late > 0 && unrated > 0, "{late} late, {unrated} closed without a rating");
}

/// Nothing runs on the data any more.
fn is_left_alone(data: &Path) {
    assert!(database_rests(data), "the database was stopped in order");
    assert_eq!(working_in(data), Vec::<String>::new());
}

#[test]
fn a_second_start_finds_the_data_of_the_first_and_neither_leaves_a_process() {
    run(async {
        let world = World::all_in_one().await;
        let _turn = world.shared().await; // who is alone there has the machine alone, too
        let binary = &world.binary; // all the rest is a suite of its own
        let folder = folder();
        let (data, report) = (folder.path().join("data"), folder.path().join("report.json"));
        let (accounts, key) = (data.join("accounts.json"), data.join("jianghan.key"));
        let day = data.join("demo.json");
        let port = free_port();
        let board = format!("http://127.0.0.1:{port}");

        let mut names = scenarios(binary).await;
        // The last one played: its case is not yet archived, however much time the others let pass.
        names.retain(|name| name != "one-window");
        names.push("one-window".to_owned());
        let mut first = up(binary, &data, port);
        first.args(["--scenario", &names.join(","), "--exit", "--json", "--report"]).arg(&report);
        let log = folder.path().join("first.log");
        first.stdout(Stdio::piped()).stderr(fs::File::create(&log).expect("a log"));
        let running = first.spawn().expect("it runs").wait_with_output();
        let Ok(first) = timeout(FIRST, running).await else { panic!("it does not end: {}", tail(&log)) };
        let first = first.expect("it is waited for");
        assert!(first.status.success(), "{}: {}", first.status, tail(&log));
        let told: Value = serde_json::from_slice(&first.stdout).expect("JSON and nothing else");
        assert_eq!(told["board"], format!("{board}/"));
        assert_eq!((&told["accounts"], &told["key"]), (&json!(accounts), &json!(key)));
        let played_once = fs::read_to_string(&day).expect("the figures of the day");
        let figures: Value = serde_json::from_str(&played_once).expect("they are JSON");
        came_to_its_end(&figures, &fs::read_to_string(&log).expect("what it told people"));
        let written: Value =
            serde_json::from_slice(&fs::read(&report).expect("the report")).expect("the report is JSON");
        assert_eq!(written, told["played"]);
        assert_eq!(written["registered"], figures["registered"], "the day stands in it, too");
        let all = written["scenarios"].as_array().expect("the scenarios");
        let played: Vec<_> = all.iter().map(|one| one["scenario"].as_str().expect("its name")).collect();
        assert_eq!(played, names, "each once, in the order asked for");
        for one in all {
            assert_eq!(one["failed"], Value::Null, "{one:#}");
            let steps = one["steps"].as_array().expect("its steps");
            assert!(!steps.is_empty() && steps.iter().all(|step| step["ok"] == true), "{one:#}");
            assert!(one["shown"].as_array().is_some_and(|shown| !shown.is_empty()), "{one:#}");
        }
        let last = all.last().expect("one was played");
        let case_id = last["shown"][0]["id"].as_str().expect("the case it made").to_owned();
        let kept = (secret(&accounts), secret(&key));
        is_left_alone(&data);

        let second = Up::start(up(binary, &data, port), folder.path().join("second.log")).await;
        let took = ready_in(&second.said);
        assert!(took < SECOND, "ready after {took} s");
        assert!(!second.said.iter().any(|line| line.contains("playing a day")), "{:#?}", second.said);
        let kept_safe = format!("{} — keep a copy", key.display());
        assert!(second.said.iter().any(|line| line.contains(&kept_safe)), "{:#?}", second.said);
        assert_eq!(fs::read_to_string(&day).expect("they stay"), played_once, "the day is played once");
        let server = database(&data);
        assert!(working_in(&data).contains(&server), "{server} works elsewhere");
        assert!(!is_root(&server), "the database runs as root");
        let healthy = reqwest::get(format!("{board}/healthz")).await.expect("the board answers");
        assert_eq!(healthy.status(), 200);
        let file = AccountsFile::read(&accounts).expect("the accounts");
        assert_eq!(file.addresses.gateway, board);
        assert!(file.addresses.identity.ends_with(&format!(":{}", port + 21)), "{}", file.addresses.identity);
        let residents = file.accounts.iter().filter(|account| account.role == "resident");
        assert_eq!(residents.count(), 200, "so many are seeded");
        assert_eq!(simulate::Options::default().residents, 200, "and so many take part");
        let suite = Suite::new(&file.addresses).expect("addresses");
        limits_and_windows_passed(&suite, &file).await;
        let dispatcher = file.accounts.iter().find(|account| account.role == "district_dispatcher");
        let dispatcher = Session::new(&suite, dispatcher.expect("a dispatcher").clone());
        let request = dispatcher.request(GetCaseRequest { case_id }).await.expect("the password still opens");
        let case = suite.cases().get_case(request).await.expect("the case of the first start").into_inner();
        assert_eq!(case.case.expect("a case").state(), CaseState::Closed);

        kill(second.pid(), Signal::SIGINT).expect("told to stop");
        second.ends_well().await;
        is_left_alone(&data);
        assert_eq!(kept, (secret(&accounts), secret(&key)), "accounts and key are those of the first start");

        // Stopped before the day was played to its end, it says that it did not do what it was asked for.
        fs::remove_file(&day).expect("as if it had never been played");
        let mut third = up(binary, &data, port);
        third.arg("--exit");
        let mut third = Up::until("playing a day", third, folder.path().join("third.log")).await;
        kill(third.pid(), Signal::SIGTERM).expect("told to stop");
        assert_eq!(third.ends().await.code(), Some(1));
        is_left_alone(&data);
        assert!(!day.exists(), "half a day has no figures");
    });
}
