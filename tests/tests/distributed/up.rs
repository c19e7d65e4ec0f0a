//! `jianghan up --shape distributed` with the operator's own binary: it plays a scenario, and is stopped as Ctrl-C at a terminal
//! does: by a signal to everybody in its group; then the same data in the same shape once more, and in one process.

use std::{fs, path::Path};

use jianghan::{
    reconcile, simulate,
    suite::{AccountsFile, SERVICES, Suite},
};
use nix::sys::signal::{Signal, killpg};
use serde_json::{Value, json};
use tests::{
    World, eventually, run,
    up::{PATIENCE, Up, database, database_rests, folder, free_port, is_root, program, up, working_in},
};
use tokio::{process::Command, time::timeout};

/// The suite in its processes, all of which work in the folder, so that one that is left behind is found.
fn distributed(binary: &Path, folder: &Path, port: u16) -> Command {
    let mut command = up(binary, &folder.join("data"), port);
    command.args(["--no-demo", "--shape", "distributed"]).current_dir(folder).process_group(0);
    command
}

/// The scenario came to its end.
fn played(report: &Path) {
    let written: Value =
        serde_json::from_slice(&fs::read(report).expect("the report")).expect("the report is JSON");
    let all = written["scenarios"].as_array().expect("the scenarios");
    let [played] = all.as_slice() else { panic!("one was asked for: {written:#}") };
    assert_eq!((&played["scenario"], &played["failed"]), (&json!("one-window"), &Value::Null), "{played:#}");
    let steps = played["steps"].as_array().expect("its steps");
    assert!(!steps.is_empty() && steps.iter().all(|step| step["ok"] == true), "{played:#}");
}

/// Every service has taken in what it had to, so that they tell the same. Gives how many cases there are.
async fn taken_in(accounts: &Path) -> u64 {
    let file = AccountsFile::read(accounts).expect("the accounts");
    let suite = Suite::patient(&file.addresses, PATIENCE).expect("addresses");
    let operator = simulate::operator(&suite, &file).expect("an operator");
    let waiting = reconcile::drain(&suite, &operator, PATIENCE).await.expect("nothing is under way");
    waiting.all_handled().expect("everything is handled");
    let outcome = reconcile::reconcile(&suite, &operator).await.expect("reconciled");
    assert!(outcome.is_clean() && outcome.compared["case"] > 0, "{outcome:#?}");
    outcome.compared["case"]
}

/// A signal to the whole group stops everybody in order; in this folder it is the first, or whichever `time` says.
async fn stops_in_order(running: Up, folder: &Path, time: usize) {
    let data = folder.join("data");
    killpg(running.pid(), Signal::SIGINT).expect("told to stop");
    running.ends_well().await;
    for service in SERVICES {
        let log = fs::read_to_string(data.join(format!("{service}.log"))).expect("its log");
        assert_eq!(log.matches("told to stop").count(), time, "{service}: {log}");
        assert!(!log.contains("without an orderly stop"), "{service}: {log}");
    }
    assert!(database_rests(&data), "the database was stopped in order");
    // The broker's port mapper goes a moment after it.
    let alone = async || working_in(folder).is_empty().then_some(());
    eventually("the last process to go", alone).await;
}

#[test]
fn ctrl_c_stops_every_process_in_order_and_the_same_or_one_process_goes_on() {
    run(async {
        let world = World::distributed().await; // for its binary; all the rest is a suite of its own
        let _turn = world.shared().await; // beside those who can do with less of the machine
        let folder = folder();
        let data = folder.path().join("data");
        let port = free_port();
        let mut command = distributed(&world.binary, folder.path(), port);
        let report = folder.path().join("report.json");
        command.args(["--scenario", "one-window", "--report"]).arg(&report);
        let running = Up::start(command, folder.path().join("up.log")).await;
        played(&report);
        let accounts = data.join("accounts.json");
        let cases = taken_in(&accounts).await;
        let broker = |process: &String| program(process).is_some_and(|name| name == "beam.smp");
        let broker = working_in(&data).into_iter().find(broker).expect("a broker runs");
        for server in [database(&data), broker] {
            assert!(!is_root(&server), "{:?} runs as root", program(&server));
        }
        stops_in_order(running, folder.path(), 1).await;
        let kept = || {
            let files = ["accounts.json", "jianghan.key", "shape"];
            files.map(|file| fs::read_to_string(data.join(file)).expect("a file of the folder"))
        };
        let first = kept();
        assert_eq!(first[2], "distributed\n");

        // The same once more: on its own data, its broker's included.
        let command = distributed(&world.binary, folder.path(), port);
        let running = Up::start(command, folder.path().join("again.log")).await;
        assert_eq!(taken_in(&accounts).await, cases);
        stops_in_order(running, folder.path(), 2).await;
        assert!(kept() == first, "accounts, key and shape are those of the first start");

        // Everything had been taken in, so nothing waits in the broker for those who would not read it there.
        let mut command = up(&world.binary, &data, port);
        command.args(["--no-demo", "--exit"]);
        let ended = timeout(PATIENCE, command.output()).await.expect("it ends by itself");
        let ended = ended.expect("it runs");
        assert!(ended.status.success(), "{ended:?}");
        assert_eq!(fs::read_to_string(data.join("shape")).expect("the note"), "all-in-one\n");
    });
}
