//! The first command an operator gives, with its own binary: the whole suite on an empty folder, stopped by itself; then again on
//! what is there, stopped as Ctrl-C does.

use std::{
    fs,
    net::{Ipv4Addr, TcpListener},
    os::unix::fs::PermissionsExt,
    path::Path,
    process::Stdio,
    time::Duration,
};

use jianghan::{
    scenario::Scenario,
    suite::{AccountsFile, Session, Suite},
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use proto::case_routing::v1::{CaseState, GetCaseRequest};
use serde_json::{Value, json};
use tests::{World, run};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Command,
    time::timeout,
};

/// A start that takes longer hangs, and so does a stop.
const PATIENCE: Duration = Duration::from_secs(240);

/// `jianghan up` without the day of 300 requests.
fn up(binary: &Path, data: &Path, port: u16) -> Command {
    let mut command = Command::new(binary);
    command.args(["up", "--no-demo", "--port"]).arg(port.to_string()).arg("--data-dir").arg(data);
    // The private server is what is looked at.
    command.env_remove("JIANGHAN_DATABASE_URL").env_remove("JIANGHAN_CONFIG").env_remove("JIANGHAN_LOG");
    command.stdin(Stdio::null()).kill_on_drop(true);
    command
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

/// A port that is free, as are those of the services, 21 to 25 above it; lower than those that the system gives away.
fn free_port() -> u16 {
    let free = |port: u16| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
    let all_free = |port: &u16| free(*port) && (21..=25).all(|offset| free(*port + offset));
    let first = u16::try_from(std::process::id() % 200).expect("small");
    (0..200).map(|number| 20_000 + (first + number) % 200 * 50).find(all_free).expect("free ports")
}

/// What a file of secrets holds; nobody but its owner may read it.
fn secret(path: &Path) -> Vec<u8> {
    let about = fs::metadata(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert_eq!(about.permissions().mode() & 0o777, 0o600, "{}", path.display());
    fs::read(path).expect("it can be read")
}

/// Numbers of the processes that work in a folder, as every process of a PostgreSQL does in its own.
fn working_in(dir: &Path) -> Vec<String> {
    let processes = fs::read_dir("/proc").expect("/proc").flatten();
    let works = |entry: &fs::DirEntry| {
        fs::read_link(entry.path().join("cwd")).is_ok_and(|place| place.starts_with(dir))
    };
    processes.filter(works).map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

/// Nothing runs on the data any more.
fn is_left_alone(data: &Path) {
    assert!(!data.join("postgres/pg/postmaster.pid").exists(), "the database was stopped in order");
    assert_eq!(working_in(data), Vec::<String>::new());
}

#[test]
fn a_second_start_finds_the_data_of_the_first_and_neither_leaves_a_process() {
    run(async {
        let binary = &World::all_in_one().await.binary; // all the rest is a suite of its own
        let folder = tempfile::Builder::new().prefix("jh-up-").tempdir_in("/tmp").expect("a folder");
        // The server of a root is another user, who must be able to enter.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("opened");
        let (data, report) = (folder.path().join("data"), folder.path().join("report.json"));
        let (accounts, key) = (data.join("accounts.json"), data.join("jianghan.key"));
        let port = free_port();
        let board = format!("http://127.0.0.1:{port}");

        let mut names = scenarios(binary).await;
        // The last one played: its case is not yet archived, however much time the others let pass.
        names.retain(|name| name != "one-window");
        names.push("one-window".to_owned());
        let mut first = up(binary, &data, port);
        first.args(["--scenario", &names.join(","), "--exit", "--json", "--report"]).arg(&report);
        let first = timeout(PATIENCE, first.output()).await.expect("it ends by itself").expect("it runs");
        assert!(first.status.success(), "{first:?}");
        let told: Value = serde_json::from_slice(&first.stdout).expect("JSON and nothing else");
        assert_eq!(told["board"], format!("{board}/"));
        assert_eq!(told["accounts"], json!(accounts));
        assert!(!data.join("demo.json").exists(), "no day was played");
        let written: Value =
            serde_json::from_slice(&fs::read(&report).expect("the report")).expect("the report is JSON");
        assert_eq!(written, told["played"]);
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

        let log = folder.path().join("second.log");
        let mut second = up(binary, &data, port);
        second.stdout(Stdio::piped()).stderr(fs::File::create(&log).expect("a log"));
        let mut second = second.spawn().expect("it runs");
        let mut lines = BufReader::new(second.stdout.take().expect("its output")).lines();
        let ready = async {
            while let Some(line) = lines.next_line().await.expect("text") {
                if line.contains("Ctrl-C") {
                    return true;
                }
            }
            false
        };
        let ready = timeout(PATIENCE, ready).await.expect("it comes up");
        assert!(ready, "it ended: {}", fs::read_to_string(&log).unwrap_or_default());
        let server = fs::read_to_string(data.join("postgres/pg/postmaster.pid")).expect("a database runs");
        let server = server.lines().next().expect("its number").trim().to_owned();
        assert!(working_in(&data).contains(&server), "{server} works elsewhere");
        let healthy = reqwest::get(format!("{board}/healthz")).await.expect("the board answers");
        assert_eq!(healthy.status(), 200);
        let file = AccountsFile::read(&accounts).expect("the accounts");
        assert_eq!(file.addresses.gateway, board);
        assert!(file.addresses.identity.ends_with(&format!(":{}", port + 21)), "{}", file.addresses.identity);
        let suite = Suite::new(&file.addresses).expect("addresses");
        let dispatcher = file.accounts.iter().find(|account| account.role == "district_dispatcher");
        let dispatcher = Session::new(&suite, dispatcher.expect("a dispatcher").clone());
        let request = dispatcher.request(GetCaseRequest { case_id }).await.expect("the password still opens");
        let case = suite.cases().get_case(request).await.expect("the case of the first start").into_inner();
        assert_eq!(case.case.expect("a case").state(), CaseState::Closed);

        let number = i32::try_from(second.id().expect("it runs")).expect("a number");
        kill(Pid::from_raw(number), Signal::SIGINT).expect("told to stop");
        let ended = timeout(PATIENCE, second.wait()).await.expect("it stops").expect("it is waited for");
        assert!(ended.success(), "{ended}: {}", fs::read_to_string(&log).unwrap_or_default());
        is_left_alone(&data);
        assert_eq!(kept, (secret(&accounts), secret(&key)), "accounts and key are those of the first start");
    });
}
