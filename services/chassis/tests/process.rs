//! A service in a process of its own: it stops in order when told to, finishes the call in hand, lets no stalled client
//! hold it, and ends with a failure at a second signal. The test binary is both the test and, when told by an
//! environment variable, the service.

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Child, Command, ExitCode, Stdio},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use chassis::{
    Built, Context, Error, Result, RoutesBuilder, Service,
    auth::{AUDIENCE, Claims, GrantClaim, Role, Signer, TokenKind, jwks},
    clock::{Clock, new_id},
    config::TelemetryConfig,
    crypto::Crypto,
    grpc::{Credential, PeerChannel},
    ops::{Digest, DigestSource},
    telemetry,
    testing::TestDb,
};
use diesel_migrations::{EmbeddedMigrations, embed_migrations};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use proto::ops::v1::{ListDigestsRequest, ListDigestsResponse, ops_service_client::OpsServiceClient};
use tonic::transport::Endpoint;
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

/// Tells the binary to be the service.
const SERVE: &str = "CHASSIS_TEST_SERVE";

/// Tells the binary to be a test that has telemetry and fails.
const FAIL: &str = "CHASSIS_TEST_FAIL";

/// How long a start may take before it hangs.
const PATIENCE: Duration = Duration::from_secs(90);

/// Whoever tells a process to stop is promised that it has ended by then.
const STOP: Duration = Duration::from_secs(25);

/// What a panic says.
const SECRET: &str = "the secret is 42";

/// Secret bytes of the key that signs the tokens here.
const SEED: [u8; 32] = [6; 32];

/// Keeps its own keys, as identity does, and answers one question slowly.
struct App;

impl Service for App {
    const NAME: &'static str = "identity";

    fn migrations() -> EmbeddedMigrations {
        embed_migrations!("src/testing/no_migrations")
    }

    async fn build(context: Context) -> anyhow::Result<Built> {
        context.keys.replace(&jwks([&Signer::from_seed(&SEED)?.jwk()]))?;
        let Section { broken, panics } = context.config.section()?;
        Ok(Built::new(RoutesBuilder::default()).digests(Slow).background(async move {
            if panics {
                let work = tokio::task::spawn_blocking(|| -> Result<()> { panic!("{SECRET}") });
                return work.await.map_err(Error::task)?;
            }
            match broken {
                true => Err(Error::internal("broken on purpose")),
                false => Ok(()),
            }
        }))
    }
}

#[derive(Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Section {
    broken: bool,
    panics: bool,
}

struct Slow;

#[async_trait]
impl DigestSource for Slow {
    async fn digests(&self, subject: &str, _after: Option<String>, _limit: i64) -> Result<Vec<Digest>> {
        println!("in hand");
        if let Ok(ms) = subject.parse() {
            tokio::time::sleep(Duration::from_millis(ms)).await;
        }
        Ok(vec![Digest::new("a", "1")])
    }
}

/// The service's process; killed with this value if it still runs.
struct Process {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
    addr: SocketAddr,
    dir: std::path::PathBuf,
}

impl Process {
    /// Starts it on a free port and waits until it says that it is ready.
    async fn start(db: &TestDb, extra: &str) -> Self {
        let addr = free();
        let dir = std::env::temp_dir().join(format!("jh-process-{}", new_id().simple()));
        std::fs::create_dir_all(&dir).unwrap();
        Crypto::create(&dir.join("key")).unwrap();
        let config = dir.join("jianghan.toml");
        std::fs::write(&config, extra).unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .env(SERVE, "1")
            .env("JIANGHAN_CONFIG", &config)
            .env("JIANGHAN_LISTEN", addr.to_string())
            .env("JIANGHAN_DATABASE_URL", db.url())
            .env("JIANGHAN_KEY_FILE", dir.join("key"))
            .env("JIANGHAN_AMQP_URL", "amqp://nobody@127.0.0.1:1/%2f") // no broker: calls are served all the same
            .env("JIANGHAN_LOG", "error")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let process = Self { child, lines, addr, dir };
        let deadline = Instant::now() + PATIENCE;
        while !process.ready().await {
            assert!(Instant::now() < deadline, "not ready in time");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        process
    }

    async fn ready(&self) -> bool {
        let Ok(channel) = Endpoint::from_shared(format!("http://{}", self.addr)).unwrap().connect().await
        else {
            return false;
        };
        let answer = HealthClient::new(channel).check(HealthCheckRequest::default()).await;
        answer.is_ok_and(|answer| answer.into_inner().status == 1)
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).unwrap();
    }

    /// Waits for its end, told to stop; gives the exit code.
    async fn ended(&mut self) -> Option<i32> {
        let deadline = Instant::now() + STOP;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(Instant::now() < deadline, "still running after {STOP:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Begins a call that takes so many milliseconds, and waits until it is in hand.
    fn call(
        &mut self,
        ms: u64,
    ) -> tokio::task::JoinHandle<std::result::Result<ListDigestsResponse, tonic::Status>> {
        let channel = Endpoint::from_shared(format!("http://{}", self.addr)).unwrap().connect_lazy();
        let header = format!("Bearer {}", token()).parse().unwrap();
        let mut client = OpsServiceClient::new(PeerChannel::new(channel, Credential::Bearer(header)));
        let request = ListDigestsRequest { subject: ms.to_string(), ..ListDigestsRequest::default() };
        let call =
            tokio::spawn(async move { client.list_digests(request).await.map(tonic::Response::into_inner) });
        let said = tokio::task::block_in_place(|| self.lines.next());
        assert_eq!(said.unwrap().unwrap(), "in hand");
        call
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
        std::fs::remove_dir_all(&self.dir).ok();
    }
}

/// A free address. Its port is lower than those that the system gives away: nobody gets it before the service does.
fn free() -> SocketAddr {
    let first = u16::try_from(std::process::id() % 1_000).unwrap();
    let ports = (0..1_000).map(|number| 31_000 + (first + number) % 1_000);
    let mut all = ports.map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    all.find(|addr| std::net::TcpListener::bind(addr).is_ok()).expect("a free port")
}

fn token() -> String {
    let claims = Claims {
        kind: TokenKind::Person,
        grants: vec![GrantClaim(Role::ItOperator as i32, new_id(), None, None, None)],
        ..Claims::service("x", "jianghan", AUDIENCE)
    };
    Signer::from_seed(&SEED).unwrap().sign(&claims.valid_for(Clock::system().real_now(), 600)).unwrap()
}

async fn told_to_stop_it_finishes_the_call_in_hand_whatever_stalled_clients_do(db: &TestDb) {
    use tokio::io::AsyncWriteExt;
    let mut process = Process::start(db, "").await;
    let mut stalled = tokio::net::TcpStream::connect(process.addr).await.unwrap();
    stalled.write_all(b"PRI * HTTP/2.0\r\n").await.unwrap();
    let call = process.call(700);
    process.signal(Signal::SIGTERM);
    let answer = call.await.unwrap().expect("an accepted call is answered");
    assert_eq!(answer.digests.len(), 1);
    assert_eq!(process.ended().await, Some(0));
}

async fn a_second_signal_ends_it_at_once_with_a_failure(db: &TestDb) {
    // Without the second signal the call in hand would be finished, and then the end would be a success.
    let long = "[grpc]\nrequest_timeout_ms = 60000\nstop_timeout_ms = 60000\n";
    let mut process = Process::start(db, long).await;
    let call = process.call(20_000);
    process.signal(Signal::SIGTERM);
    // The first signal has been taken once health says so or the connection is refused.
    let deadline = Instant::now() + Duration::from_secs(15);
    while process.ready().await {
        assert!(Instant::now() < deadline, "readiness goes off first");
    }
    process.signal(Signal::SIGTERM);
    assert_eq!(process.ended().await, Some(1));
    assert!(call.await.unwrap().is_err());
}

/// What a service says that ends by itself, with a failure.
fn last_words(db: &TestDb, settings: &str) -> String {
    let addr = "127.0.0.1:0";
    let dir = std::env::temp_dir().join(format!("jh-process-{}", new_id().simple()));
    std::fs::create_dir_all(&dir).unwrap();
    let config = dir.join("jianghan.toml");
    std::fs::write(&config, settings).unwrap();
    Crypto::create(&dir.join("key")).unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .env(SERVE, "1")
        .env("JIANGHAN_CONFIG", &config)
        .env("JIANGHAN_LISTEN", addr)
        .env("JIANGHAN_DATABASE_URL", db.url())
        .env("JIANGHAN_KEY_FILE", dir.join("key"))
        .env("JIANGHAN_AMQP_URL", "amqp://nobody@127.0.0.1:1/%2f")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    std::fs::remove_dir_all(dir).unwrap();
    String::from_utf8_lossy(&output.stderr).into_owned()
}

async fn a_broken_task_ends_it_with_a_failure(db: &TestDb) {
    let said = last_words(db, "[services.identity]\nbroken = true\n");
    assert!(said.contains("broken on purpose"), "{said}");
    let said = last_words(db, "no_such_key = 1\n");
    assert!(said.contains("no_such_key"), "{said}");
}

async fn of_a_panic_the_log_has_where_it_was_and_not_what_it_said(db: &TestDb) {
    let said = last_words(db, "[services.identity]\npanics = true\n");
    assert!(said.contains("a thread panicked") && said.contains("tests/process.rs:"), "{said}");
    assert!(said.contains("a task panicked") && !said.contains(SECRET), "{said}");
}

fn what_a_test_says_that_fails_is_read_though_it_has_telemetry() {
    let output = Command::new(std::env::current_exe().unwrap()).env(FAIL, "1").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains(SECRET), "{said}");
}

async fn without_its_key_it_does_not_start_and_makes_none(db: &TestDb) {
    let dir = std::env::temp_dir().join(format!("jh-process-{}", new_id().simple()));
    std::fs::create_dir_all(&dir).unwrap();
    let key = dir.join("key");
    let output = Command::new(std::env::current_exe().unwrap())
        .env(SERVE, "1")
        .env("JIANGHAN_LISTEN", "127.0.0.1:0")
        .env("JIANGHAN_DATABASE_URL", db.url())
        .env("JIANGHAN_KEY_FILE", &key)
        .env("JIANGHAN_AMQP_URL", "amqp://nobody@127.0.0.1:1/%2f")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("JIANGHAN_KEY_FILE") && said.contains("jianghan key create"), "{said}");
    assert!(!key.exists());
    std::fs::remove_dir_all(dir).unwrap();
}

fn main() -> ExitCode {
    if std::env::var_os(SERVE).is_some() {
        return chassis::run::<App>();
    }
    if std::env::var_os(FAIL).is_some() {
        telemetry::init("test", &TelemetryConfig::default()).unwrap();
        panic!("{SECRET}");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let db = TestDb::migrated(App::NAME, App::migrations).await.unwrap();
        told_to_stop_it_finishes_the_call_in_hand_whatever_stalled_clients_do(&db).await;
        println!("told_to_stop_it_finishes_the_call_in_hand_whatever_stalled_clients_do ... ok");
        a_second_signal_ends_it_at_once_with_a_failure(&db).await;
        println!("a_second_signal_ends_it_at_once_with_a_failure ... ok");
        a_broken_task_ends_it_with_a_failure(&db).await;
        println!("a_broken_task_ends_it_with_a_failure ... ok");
        of_a_panic_the_log_has_where_it_was_and_not_what_it_said(&db).await;
        println!("of_a_panic_the_log_has_where_it_was_and_not_what_it_said ... ok");
        what_a_test_says_that_fails_is_read_though_it_has_telemetry();
        println!("what_a_test_says_that_fails_is_read_though_it_has_telemetry ... ok");
        without_its_key_it_does_not_start_and_makes_none(&db).await;
        println!("without_its_key_it_does_not_start_and_makes_none ... ok");
    });
    ExitCode::SUCCESS
}
