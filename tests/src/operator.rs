//! The operator's own binary at work on a world, as a process of its own: what it prints and how it ends.

use std::process::{Output, Stdio};

use proto::case_routing::v1::ListCasesRequest;
use serde_json::Value;
use tokio::process::Command;

use crate::World;

impl World {
    /// `jianghan …` to its end.
    pub async fn operates(&self, arguments: &[&str]) -> Output {
        self.command(arguments).await.output().await.expect("the operator's binary runs")
    }

    /// The same, with nobody who reads what it prints.
    pub async fn operates_unread(&self, arguments: &[&str]) -> Output {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let mut command = self.command(arguments).await;
        let running = command.stdout(writer).stderr(Stdio::piped()).spawn().expect("it runs");
        running.wait_with_output().await.expect("it is waited for")
    }

    /// It finds the world by the accounts file, its databases and its key as the services do.
    async fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command.args(arguments).kill_on_drop(true);
        {
            let launched = self.launched.lock().await;
            let server = launched.postgres.as_ref().expect("the world has its own PostgreSQL");
            command.env("JIANGHAN_ACCOUNTS", &launched.accounts_path);
            command.env("JIANGHAN_DATABASE_URL", server.url_template());
            command.env("JIANGHAN_KEY_FILE", &launched.key_path);
        }
        command
    }

    /// What a command prints for machines, and whether it found nothing wrong.
    pub async fn is_told(&self, arguments: &[&str]) -> (Value, bool) {
        let output = self.operates(&[arguments, &["--json"]].concat()).await;
        let code = output.status.code();
        assert!(matches!(code, Some(0 | 1)), "{arguments:?}: {output:?}");
        let told = serde_json::from_slice(&output.stdout);
        (told.unwrap_or_else(|error| panic!("{arguments:?}: {error}: {output:?}")), code == Some(0))
    }

    /// The same for a command that must find nothing wrong.
    pub async fn is_told_well(&self, arguments: &[&str]) -> Value {
        let (told, well) = self.is_told(arguments).await;
        assert!(well, "{arguments:?}: {told}");
        told
    }
}

/// A file of messages is played to its end with a mapping of its own: every row is a case, none is lost, nothing happens twice.
pub async fn a_file_of_messages_is_played(world: &World) {
    const MESSAGES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/data/messages.csv");
    const COLUMNS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/data/messages.map.toml");
    let path = world.dir.join("simulated.json");
    let report = path.to_str().expect("a path in UTF-8");
    let arguments = ["simulate", "--messages", MESSAGES, "--columns", COLUMNS, "--report", report];
    let told = world.is_told_well(&arguments).await;
    let written: Value = serde_json::from_slice(&std::fs::read(&path).expect("the report")).expect("JSON");
    assert_eq!(written, told);
    assert_eq!(told["registered"], 10, "{told}");
    assert!(told["closed"].as_u64().is_some_and(|closed| (1..=10).contains(&closed)), "{told}");
    assert_eq!((&told["lost"], &told["duplicated_effects"]), (&Value::from(0), &Value::from(0)), "{told}");
    assert_eq!(told["stuck"], Value::Array(Vec::new()), "{told}");
    for figure in [
        "lifecycle_p50_ms",
        "lifecycle_p95_ms",
        "cases_per_second",
        "events_published",
        "events_consumed",
        "rss_mb",
        "wall_seconds",
        "domain_days",
    ] {
        assert!(told[figure].as_f64().is_some_and(|number| number > 0.0), "{figure}: {told}");
    }
    assert_eq!(told["dead_letters"], 0, "{told}");
    // Each has a state and, as none is lost, has ended in some way; somebody delivered what was closed.
    let sum = |figure: &str| -> u64 {
        let parts = told[figure].as_object().unwrap_or_else(|| panic!("{figure}: {told}"));
        parts.values().filter_map(Value::as_u64).sum()
    };
    assert_eq!((sum("by_state"), sum("by_closed_code")), (10, 10), "{told}");
    assert!((1..=10).contains(&sum("by_delivery_mode")), "{told}");
    for figure in ["by_state", "by_closed_code", "by_delivery_mode"] {
        assert_eq!(told[figure].get(""), None, "{figure} has names: {told}");
    }

    // The words of the file are those of the cases, and its labels say what they are about; the last row but two has none.
    let dispatcher = world.dispatcher();
    let rows =
        [("忽明忽暗", "CJ-0103"), ("旧沙发", "CJ-0144"), ("水龙头关不上", "CJ-0170"), ("坑洼", "CJ-0101")];
    for (query, item) in rows {
        let request = ListCasesRequest { query: query.into(), page_size: 50, ..Default::default() };
        let request = dispatcher.asks(request).await;
        let found = world.patient.cases().list_cases(request).await.expect("a list").into_inner().cases;
        // Few are refused or withdrawn before anybody says what they are about.
        let fits = |code: &str| code == item || code.is_empty();
        assert!(found.iter().any(|case| fits(&case.item_code)), "{query}: {} cases", found.len());
    }
    world.to_the_next_morning().await.expect("time passes");
}
