//! A world: the suite in one of its two shapes with servers of its own, seeded with two streets. One world serves all
//! journeys of a test binary. Journeys that only look after their own cases share it; those that move time, kill
//! processes or compare everything take it for themselves.

use std::{
    path::PathBuf,
    sync::{Arc, LazyLock},
    time::Duration,
};

use anyhow::{Context, Result};
use chassis::{
    config::{BusConfig, TelemetryConfig},
    telemetry,
};
use jianghan::{
    launch::{Launch, Launched, SeedScope, Shape},
    reconcile::{self, Waiting},
    scenario::{Played, Scenario, Stage},
    simulate::{self, Cast, Options, actors::Actors, input, report::Report},
    suite::{Session, Suite},
};
use tokio::{
    runtime::Runtime,
    sync::{Mutex, OnceCell, RwLock, RwLockReadGuard, RwLockWriteGuard},
};
use tonic::transport::Channel;

use crate::{otlp::Receiver, tables, wait::PATIENCE};

/// Streets whose people can sign in; both have courtyards and doorways.
pub const STREETS: [&str; 2] = ["420103005", "420103008"];
const RESIDENTS: u32 = 20;

/// How long whoever looks at what came of requests that were played waits for events under way.
pub const DRAIN: Duration = Duration::from_secs(300);

/// How often the suite tells its metrics, in milliseconds.
const METRICS_EVERY: u64 = 2_000;

/// Worlds outlive the runtime that `#[tokio::test]` would make, so all tests of a binary run on this one.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("the runtime of the tests")
});

/// Runs a test on the runtime that its world lives on.
pub fn run(test: impl Future<Output = ()>) {
    RUNTIME.block_on(test);
}

/// A running suite and everybody in it.
pub struct World {
    /// Clients that fail at once.
    pub suite: Suite,
    /// Clients that sit outages out, as real ones do.
    pub patient: Suite,
    /// Everybody who can sign in.
    pub actors: Arc<Actors>,
    /// Who may look at statistics and move time.
    pub operator: Arc<Session>,
    /// Spans and metrics of the whole suite.
    pub otlp: Receiver,
    /// Address of the HTTP edge.
    pub gateway: String,
    /// The operator's binary.
    pub binary: PathBuf,
    /// Logs and keys; kept until the next run.
    pub dir: PathBuf,
    /// Its processes and servers, for those who kill them.
    pub launched: Mutex<Launched>,
    /// The same suite as the scenarios see it; holds who commanded what.
    pub stage: Stage,
    /// The scenarios that came to their end here, each as often as it did.
    performed: Mutex<Vec<Scenario>>,
    turns: RwLock<()>,
}

static ALL_IN_ONE: OnceCell<World> = OnceCell::const_new();
static DISTRIBUTED: OnceCell<World> = OnceCell::const_new();

impl World {
    /// All services in this process on the in-process bus, which duplicates, delays and reorders deliveries.
    pub async fn all_in_one() -> &'static Self {
        let start = || Self::start(Shape::AllInOne, Some(20_260_103));
        ALL_IN_ONE.get_or_try_init(start).await.expect("the all-in-one world starts")
    }

    /// A process per service, RabbitMQ between them, with as many consumer groups of each service as a district has.
    pub async fn distributed() -> &'static Self {
        let start = || Self::start(Shape::Distributed, None);
        DISTRIBUTED.get_or_try_init(start).await.expect("the distributed world starts")
    }

    async fn start(shape: Shape, faults: Option<u64>) -> Result<Self> {
        let (binary, dir) = paths(shape)?;
        let otlp = Receiver::start()?;
        // The all-in-one reports from this process; its log is quiet unless asked for.
        let config = TelemetryConfig {
            log: std::env::var("JIANGHAN_LOG").unwrap_or_else(|_| "warn".into()),
            otlp_endpoint: (shape == Shape::AllInOne).then(|| otlp.endpoint.clone()),
            metric_interval_ms: METRICS_EVERY,
            ..TelemetryConfig::default()
        };
        std::mem::forget(telemetry::init("jianghan", &config)?); // flushed by intervals; dropping would end it
        let own = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let groups = BusConfig::default().groups.to_string(); // `up` has one; in one process nobody reads it
        let launch = Launch {
            shape,
            dir: dir.clone(),
            port: 0,
            faults,
            seed: SeedScope {
                streets: Some(STREETS.map(str::to_owned).to_vec()),
                residents: Some(RESIDENTS),
            },
            throw_away: true,
            statistics: false,
            binary: binary.clone(),
            config: None,
            environment: vec![
                own("OTEL_EXPORTER_OTLP_ENDPOINT", &otlp.endpoint),
                own("JIANGHAN_METRIC_INTERVAL_MS", &METRICS_EVERY.to_string()),
                own("JIANGHAN_LOG", "info"),
                own("JIANGHAN_BUS_GROUPS", &groups),
                own("JIANGHAN_SPINE_RETRY_FIRST_MS", "20"), // what is poisoned is dead in seconds, not in minutes
                own("JIANGHAN_WEBHOOK_LOOPBACK", "true"),   // other systems listen on this machine
                own("JIANGHAN_WEBHOOK_RETRY_FIRST_MS", "50"),
                own("JIANGHAN_WEBHOOK_TIMEOUT_MS", "2000"), // some hang, and senders are killed
                own("JIANGHAN_WEBHOOK_NOTING_MS", "3000"),
            ],
        };
        let launched = launch.start(|_| ()).await?;
        let suite = Suite::new(&launched.addresses)?;
        let stage = Stage::open(&launched.accounts, PATIENCE).await?;
        let world = Self {
            suite,
            patient: stage.suite.clone(),
            actors: stage.actors.clone(),
            operator: stage.operator.clone(),
            otlp,
            gateway: launched.addresses.gateway.clone(),
            binary,
            dir,
            launched: Mutex::new(launched),
            stage,
            performed: Mutex::default(),
            turns: RwLock::new(()),
        };
        world.to_the_next_morning().await?;
        Ok(world)
    }

    /// Takes part beside others: nobody moves time or kills anything meanwhile.
    pub async fn shared(&self) -> RwLockReadGuard<'_, ()> {
        self.turns.read().await
    }

    /// Has the world for itself.
    pub async fn alone(&self) -> RwLockWriteGuard<'_, ()> {
        self.turns.write().await
    }

    /// Moves domain time to nine o'clock of the next working day in Wuhan, so that limits and rosters do not depend
    /// on when the tests run.
    pub async fn to_the_next_morning(&self) -> Result<()> {
        self.stage.to_the_next_morning().await
    }

    /// Moves domain time forward.
    pub async fn pass(&self, time: chrono::Duration) -> Result<()> {
        self.stage.pass(time).await
    }

    /// Plays a scenario; it must come to its end. One that moves time wants the world for itself.
    pub async fn performs(&self, scenario: Scenario) -> Played {
        let played = scenario.play(&self.stage, |step| tracing::debug!("{}", step.line())).await;
        assert!(played.failed.is_none(), "{}: {}", played.scenario, played.failed.unwrap_or_default());
        assert!(played.steps.len() > 5 && played.steps.iter().all(|step| step.ok), "{played:#?}");
        assert!(played.steps.iter().any(|step| !step.commands.is_empty()), "{played:#?}");
        assert!(!played.shown.is_empty(), "{} shows nothing on the board", played.scenario);
        self.performed.lock().await.push(scenario);
        played
    }

    /// How often a scenario came to its end here.
    pub async fn performances(&self, scenario: Scenario) -> usize {
        self.performed.lock().await.iter().filter(|known| **known == scenario).count()
    }

    /// A plain channel to a service, for calls made from descriptors.
    pub async fn channel(&self, service: &str) -> Channel {
        let book = self.launched.lock().await.addresses.clone();
        let address = match service {
            "identity" => book.identity,
            "case-routing" => book.case_routing,
            "staffing" => book.staffing,
            "volunteer-matching" => book.volunteer_matching,
            _ => book.analytics,
        };
        Channel::from_shared(address).expect("an address").connect_lazy()
    }

    /// Domain time.
    pub async fn now(&self) -> Result<chassis::Timestamp> {
        self.stage.now().await
    }

    /// Waits until every event has been handled.
    pub async fn settles(&self) {
        self.settles_but_for_dead().await.all_handled().expect("everything is handled");
    }

    /// Waits until every event has been handled that needs no operator; gives those that do.
    pub async fn settles_but_for_dead(&self) -> Waiting {
        let drained = reconcile::drain(&self.patient, &self.operator, Duration::from_secs(180)).await;
        drained.expect("nothing is under way any more")
    }

    /// All services tell the same story, and nothing happened twice.
    pub async fn is_consistent(&self) {
        self.settles().await;
        let outcome = reconcile::reconcile(&self.patient, &self.operator).await.expect("reconciled");
        assert!(outcome.differences.is_empty(), "{:#?}", outcome.differences);
        assert_eq!(outcome.duplicated_effects, 0);
        assert!(outcome.compared["case"] > 0, "there was nothing to compare");
    }

    /// Everybody who can sign in, and has not yet.
    pub async fn cast(&self) -> Result<Cast> {
        let accounts = self.launched.lock().await.accounts.clone();
        Cast::load(&accounts, PATIENCE).await
    }

    /// Plays made-up requests to their end and leaves it to the caller to look at what came of them, which will wait so long
    /// for events under way.
    pub async fn only_plays(&self, requests: u64, seed: u64, drain: Duration) -> Result<simulate::Played> {
        plays(&self.cast().await?, requests, seed, drain).await
    }

    /// The same, and reports.
    pub async fn plays_and_waits(&self, requests: u64, seed: u64, drain: Duration) -> Result<Report> {
        self.only_plays(requests, seed, drain).await?.report().await.map(|(report, _)| report)
    }

    /// Whether all is well after so many requests were played: each was acknowledged and came to its end, nothing was lost or happened
    /// twice, and all services tell the same story.
    pub async fn is_well_after(&self, played: simulate::Played, requests: u64) {
        let (report, outcome) = played.report().await.expect("a report");
        for stuck in &report.stuck {
            println!("{stuck}\n{}", tables::how_far(self, stuck).await);
        }
        assert_eq!(report.registered, requests, "{}", report.table());
        assert_eq!((report.lost, report.duplicated_effects), (0, 0), "{}", report.table());
        assert!(outcome.differences.is_empty(), "{:#?}", outcome.differences);
        assert!(report.is_clean(), "{}", report.table());
        assert!(outcome.compared["case"] > 0, "there was nothing to compare");
    }
}

/// A cast plays made-up requests to their end, as [`World::only_plays`] has them played.
pub async fn plays(cast: &Cast, requests: u64, seed: u64, drain: Duration) -> Result<simulate::Played> {
    let options = Options {
        seed,
        concurrency: 8,
        patience: PATIENCE,
        residents: u64::from(RESIDENTS),
        progress: false,
        drain,
    };
    simulate::play(cast, &options, |start| Ok(input::synthetic(requests, seed, start))).await
}

/// The operator's binary beside the program that runs or, as test binaries lie in a folder of their own, in the folder above; and a
/// fresh folder beside it.
fn paths(shape: Shape) -> Result<(PathBuf, PathBuf)> {
    let own = std::env::current_exe().context("the path of the tests")?;
    let mut folders = own.ancestors().skip(1).take(2);
    let folder = folders.find(|folder| folder.join("jianghan").is_file());
    let folder = folder.context("jianghan is missing: run `cargo build --bins` first")?;
    let binary = folder.join("jianghan");
    let dir = folder.join(match shape {
        Shape::AllInOne => "journeys-all-in-one",
        Shape::Distributed => "journeys-distributed",
    });
    if dir.exists() {
        std::fs::remove_dir_all(&dir).with_context(|| format!("clearing {}", dir.display()))?;
    }
    Ok((binary, dir))
}
