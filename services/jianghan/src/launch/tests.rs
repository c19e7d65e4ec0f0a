//! What a launch makes of its environment and of the services' file.

use super::*;

/// A launch with this file and this variable, which count instead of what is set around the tests.
fn launch(dir: &Path, file: &str, variable: (&str, &str)) -> Launch {
    let config = dir.join("jianghan.toml");
    std::fs::write(&config, file).unwrap();
    Launch {
        shape: Shape::AllInOne,
        dir: dir.join("data"),
        port: 0,
        faults: None,
        seed: SeedScope::default(),
        throw_away: true,
        statistics: false,
        binary: PathBuf::from("jianghan"),
        config: Some(config),
        environment: vec![(variable.0.to_owned(), variable.1.to_owned())],
    }
}

#[test]
fn time_may_be_moved_unless_it_is_forbidden() {
    const VARIABLE: &str = "JIANGHAN_ALLOW_TIME_TRAVEL";
    let dir = tempfile::tempdir().unwrap();
    let allows = |file: &str, value: &str| launch(dir.path(), file, (VARIABLE, value)).allows_time_travel();
    assert!(allows("", "").unwrap());
    assert!(!allows("", "false").unwrap());
    assert!(!allows("allow_time_travel = false", "").unwrap());
    assert!(allows("allow_time_travel = false", "true").unwrap());
    let error = allows("", "perhaps").unwrap_err().to_string();
    assert!(error.contains(VARIABLE), "{error}");
}

#[tokio::test]
async fn a_public_address_that_the_gateway_refuses_is_refused_before_anything_starts() {
    let dir = tempfile::tempdir().unwrap();
    let launch = launch(dir.path(), "", ("JIANGHAN_PUBLIC_URL", "board.example"));
    let data = launch.dir.clone();
    let error = launch.start(|_| ()).await.err().expect("refused").to_string();
    assert!(error.contains("JIANGHAN_PUBLIC_URL"), "{error}");
    assert!(!data.exists());
}
