//! What wins, what is refused, and what does not print.

use super::*;
use crate::{inbox::RunnerConfig, outbox::RelayConfig};

fn with(file: &str, vars: &[(&str, &str)]) -> anyhow::Result<ServiceConfig> {
    let dir = std::env::temp_dir().join(format!("jh-config-{}", crate::clock::new_id().simple()));
    std::fs::create_dir_all(&dir)?;
    let path = dir.join("jianghan.toml");
    std::fs::write(&path, file)?;
    let mut vars: BTreeMap<String, String> =
        vars.iter().map(|(k, v)| ((*k).to_owned(), v.replace("DIR", &dir.display().to_string()))).collect();
    vars.insert("JIANGHAN_CONFIG".to_owned(), path.display().to_string());
    std::fs::write(dir.join("secret"), "from a file\n")?;
    let config = ServiceConfig::read("case-routing", |name| vars.get(name).cloned());
    std::fs::remove_dir_all(dir)?;
    config
}

#[test]
fn defaults_name_the_service_its_port_and_its_database() {
    let config = ServiceConfig::read("case-routing", |_| None).unwrap();
    assert_eq!(config.listen.to_string(), "127.0.0.1:8102");
    assert_eq!(config.database.url.expose_secret(), "postgres://jianghan@127.0.0.1/case_routing");
    assert_eq!(config.addresses["staffing"], "http://127.0.0.1:8103");
    assert!(config.bus.amqp_url.is_none() && !config.allow_time_travel);
}

#[test]
fn what_is_promised_holds_where_nothing_else_is_said() {
    let config = ServiceConfig::read("case-routing", |_| None).unwrap();
    // A relay or a consumer that stands still is replaced within five seconds: every third of its lease others ask for it.
    for lease in [RelayConfig::from(&config.spine).lease, RunnerConfig::from(&config.spine).lease] {
        assert!(lease + lease / 3 < Duration::from_secs(5), "{lease:?}");
    }
    // A repeated request or event is known again for thirty days.
    assert_eq!(config.spine.keep_days, 30);
    // Told to stop, a process has ended within 25 seconds; calls in hand have but a part of them.
    assert!(Duration::from_millis(config.grpc.stop_timeout_ms) < Duration::from_secs(25));
}

#[test]
fn the_environment_goes_over_the_file_and_the_file_over_defaults() {
    let file = "listen = '0.0.0.0:1'\n[grpc]\nmax_in_flight = 7\nrequest_timeout_ms = 3\n[addresses]\nidentity = 'http://i:1'";
    let vars = [
        ("JIANGHAN_LISTEN", "127.0.0.1:9"),
        ("JIANGHAN_GRPC_MAX_IN_FLIGHT", "8"),
        ("JIANGHAN_ADDR_VOLUNTEER_MATCHING", "http://v:2"),
        ("JIANGHAN_ALLOW_TIME_TRAVEL", "true"),
        ("JIANGHAN_LOG_FORMAT", "json"),
        ("JIANGHAN_HASHING_THREADS", "3"),
        ("JIANGHAN_WEBHOOK_TIMEOUT_MS", "4000"),
        ("JIANGHAN_WEBHOOK_NOTING_MS", "5000"),
    ];
    let config = with(file, &vars).unwrap();
    assert_eq!(config.listen.to_string(), "127.0.0.1:9");
    assert_eq!((config.grpc.max_in_flight, config.grpc.request_timeout_ms), (8, 3));
    assert_eq!(config.addresses["identity"], "http://i:1");
    assert_eq!(config.addresses["volunteer-matching"], "http://v:2");
    assert_eq!(config.addresses["analytics"], "http://127.0.0.1:8105");
    assert!(config.allow_time_travel);
    assert_eq!(config.telemetry.log_format, LogFormat::Json);
    assert_eq!(config.services["identity"]["hashing_threads"], Value::Integer(3));
    let webhook = &config.services["case-routing"]["webhook"];
    assert_eq!((&webhook["timeout_ms"], &webhook["noting_ms"]), (&Value::from(4_000), &Value::from(5_000)));
}

#[test]
fn other_defaults_are_under_the_file_and_the_environment() {
    let dir = std::env::temp_dir().join(format!("jh-config-{}", crate::clock::new_id().simple()));
    std::fs::create_dir_all(&dir).unwrap();
    let path = dir.join("jianghan.toml");
    let defaults = [("allow_time_travel", Value::from(true)), ("telemetry.log", Value::from("warn"))];
    let read = |file: &str, flag: &str| {
        std::fs::write(&path, file).unwrap();
        let vars = BTreeMap::from([
            ("JIANGHAN_CONFIG", path.display().to_string()),
            ("JIANGHAN_ALLOW_TIME_TRAVEL", flag.to_owned()),
        ]);
        let config = ServiceConfig::read_with("identity", &defaults, |name| vars.get(name).cloned()).unwrap();
        (config.allow_time_travel, config.telemetry.log)
    };
    let telemetry = "[telemetry]\nlog = 'debug'";
    assert_eq!(read("", ""), (true, "warn".to_owned()));
    assert_eq!(read(telemetry, "false"), (false, "debug".to_owned()));
    assert_eq!(read("allow_time_travel = false", ""), (false, "warn".to_owned()));
    assert_eq!(read("allow_time_travel = false", "true"), (true, "warn".to_owned()));
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn an_unknown_key_is_refused_by_name() {
    for (file, name) in [
        ("lisen = 'x'", "lisen"),
        ("[grpc]\nmax_inflight = 1", "max_inflight"),
        // Identity knows only the secret that follows from the key file: another one would lock its service out.
        ("[auth]\nservice_secret = 'x'", "service_secret"),
    ] {
        let error = with(file, &[]).unwrap_err().to_string();
        assert!(error.contains(name), "{error}");
    }
    let error = with("", &[("JIANGHAN_GRPC_MAX_IN_FLIGHT", "many")]).unwrap_err().to_string();
    assert!(error.contains("JIANGHAN_GRPC_MAX_IN_FLIGHT"), "{error}");
    for endpoint in ["https://otel:4317", "otel:4317"] {
        let error = with("", &[("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)]).unwrap_err().to_string();
        assert!(error.contains("OTEL_EXPORTER_OTLP_ENDPOINT") && error.contains("http://"), "{error}");
    }
    let error = with("[spine]\nbatch = 0", &[]).unwrap_err().to_string();
    assert!(error.contains("spine.batch"), "{error}");
}

#[test]
fn secrets_come_from_files_and_do_not_print() {
    let config = with(
        "",
        &[
            ("JIANGHAN_AMQP_URL_FILE", "DIR/secret"),
            ("JIANGHAN_DATABASE_URL", "postgres://u:hush@h/{service}"),
        ],
    )
    .unwrap();
    assert_eq!(config.bus.amqp_url.as_ref().unwrap().expose_secret(), "from a file");
    assert_eq!(config.database.url.expose_secret(), "postgres://u:hush@h/case_routing");
    let printed = format!("{config:?}");
    assert!(!printed.contains("hush") && !printed.contains("from a file"));
}

#[test]
fn what_is_wrong_with_a_value_is_told_by_its_key_and_without_it() {
    for (file, told) in [
        ("[bus]\n[database]\nurl = postgres://u:hush@h/d\n", "line 3, column "),
        ("[database]\nmax_connections = 'postgres://u:hush@h/d'", "database.max_connections: expected u32"),
        ("[database]\nmax_connections = 'hush, expected hush'", "database.max_connections: expected u32"),
        ("database = 'postgres://u:hush@h/d'", "database: expected struct DbConfig"),
        ("[telemetry]\nlog_format = 'hush'", "telemetry.log_format: expected"),
        ("listen = 'hush'", "listen: "),
    ] {
        let error = format!("{:#}", with(file, &[]).unwrap_err());
        assert!(error.contains(told) && !error.contains("hush"), "{error}");
    }
    #[derive(Debug, Default, Deserialize)]
    #[serde(default)]
    struct Own {
        key: u8,
    }
    let config = with("[services.case-routing]\nkey = 'hush'", &[]).unwrap();
    let error = format!("{:#}", config.section::<Own>().map(|own| own.key).unwrap_err());
    assert!(error.contains("services.case-routing") && error.contains("key: expected u8"), "{error}");
    assert!(!error.contains("hush"), "{error}");
}

#[test]
fn a_service_reads_its_own_section() {
    #[derive(Default, Deserialize, PartialEq, Debug)]
    #[serde(default, deny_unknown_fields)]
    struct Own {
        offer_minutes: u32,
    }
    let config = with("[services.case-routing]\noffer_minutes = 30", &[]).unwrap();
    assert_eq!(config.section::<Own>().unwrap(), Own { offer_minutes: 30 });
    let error = format!(
        "{:#}",
        with("[services.case-routing]\nofer = 1", &[]).unwrap().section::<Own>().unwrap_err()
    );
    assert!(error.contains("ofer") && error.contains("services.case-routing"), "{error}");
    assert_eq!(ServiceConfig::for_service("staffing").section::<Own>().unwrap(), Own::default());
}
