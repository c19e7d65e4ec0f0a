//! Launching the suite: the servers it needs, its databases, its seed, and then all five services and the gateway, in
//! one process on the in-process bus or each in a process of its own on RabbitMQ. Nothing else differs.

mod former;
mod launched;
mod process;
mod seed;

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, Result, bail};
use chassis::{
    Wiring,
    bus::{EventBus, Faults, InProcess},
    config::ServiceConfig,
    crypto::Crypto,
    embedded::{Postgres, RabbitMq, postgres, rabbitmq},
    grpc,
};
use secrecy::SecretString;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use self::{former::Way, launched::Parts};
pub use self::{
    launched::Launched,
    process::Process,
    seed::{SeedScope, seed as seed_district},
};
use crate::{
    commands::{calendar, serve},
    suite::{Addresses, SERVICES},
};

/// Consumer groups of each service: one process takes what has queued in one go; more groups only make the batches
/// smaller.
const GROUPS: u8 = 1;

/// The runtime's own variable: how many threads work.
const THREADS: &str = "TOKIO_WORKER_THREADS";

/// Whose yearly notices count, in case-routing's section.
const CALENDAR_KEY: &str = "calendar_key";

/// How the parts of the suite run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Shape {
    /// One process, the in-process bus.
    AllInOne,
    /// A process per service, RabbitMQ.
    Distributed,
}

/// What to launch.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The shape.
    pub shape: Shape,
    /// Folder of databases, keys and accounts.
    pub dir: PathBuf,
    /// Port of the gateway; the services' gRPC ports are 21 … 25 above it. 0 takes free ones.
    pub port: u16,
    /// Seeded faults of the in-process bus, for tests.
    pub faults: Option<u64>,
    /// Whose accounts are seeded.
    pub seed: SeedScope,
    /// Whether the servers' data may be thrown away (tests); the folder then only holds keys and accounts.
    pub throw_away: bool,
    /// Whether the private PostgreSQL counts its statements.
    pub statistics: bool,
    /// The binary that runs single services in the distributed shape.
    pub binary: PathBuf,
    /// A configuration file for the services, instead of the one `JIANGHAN_CONFIG` names.
    pub config: Option<PathBuf>,
    /// More environment for the services, over that of this process.
    pub environment: Vec<(String, String)>,
}

impl Launch {
    /// Starts everything and gives back once the services answer and have learnt the topology. `told` hears what is
    /// being done.
    ///
    /// # Errors
    /// One sentence that says what to install, which variable to set, or what failed.
    pub async fn start(self, told: impl Fn(&str)) -> Result<Launched> {
        let public_url = gateway::Config::public_url(|name| self.variable(name))?;
        let proxies = gateway::Proxies::read(|name| self.variable(name))?;
        std::fs::create_dir_all(&self.dir)
            .with_context(|| format!("cannot make the folder {}", self.dir.display()))?;
        told("数据库 database");
        let (postgres, database_url) = self.postgres().await?;
        let (rabbit, amqp_url) = match self.shape {
            Shape::AllInOne => (None, None),
            Shape::Distributed => {
                told("消息队列 message broker");
                self.rabbit().await?
            }
        };
        let key_path = self.dir.join("jianghan.key");
        let crypto = Crypto::load_or_create(&key_path)?;

        let mut listeners = BTreeMap::new();
        let mut addresses = BTreeMap::new();
        for (offset, service) in (21..).zip(SERVICES) {
            let port = if self.port == 0 { 0 } else { self.port + offset };
            let (listener, at) = grpc::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await?;
            addresses.insert(service.to_owned(), format!("http://{at}"));
            listeners.insert(service, listener);
        }
        let http = TcpListener::bind((Ipv4Addr::LOCALHOST, self.port)).await;
        let http =
            http.with_context(|| format!("port {} is taken; choose another with --port", self.port))?;
        let gateway_at = http.local_addr().context("the gateway's address")?;
        // Not before the folder's server and the ports are ours: nobody else runs on this folder now, its broker included.
        if !self.throw_away && self.shape == Shape::AllInOne {
            former::nothing_waits(&self.dir, self.named_broker()).await?;
            Way::Process.note(&self.dir)?;
        }

        let mut configs = BTreeMap::new();
        let mut calendar_key = String::new();
        for service in SERVICES {
            let mut config = self.config(service, &database_url, &key_path, &addresses)?;
            let section = config.services.entry("case-routing".to_owned()).or_default();
            if !section.contains_key(CALENDAR_KEY) {
                // Nobody's is configured: the pair of the folder signs, and is made when it is missing.
                let key = calendar::load_or_create(&self.dir.join("calendar.pem"))?;
                section.insert(CALENDAR_KEY.to_owned(), key.to_string().into());
            }
            calendar_key = section[CALENDAR_KEY].as_str().unwrap_or_default().to_owned();
            configs.insert(service, config);
        }
        told("表结构和种子数据 schema and seed");
        for service in SERVICES {
            let database = service.replace('-', "_");
            let maintenance = database_url.replace("{service}", "postgres");
            postgres::create_database(&maintenance, &database, None).await?;
            serve::apply(service, &configs[service], &crypto).await?;
        }
        let address = |service: &str| addresses[service].clone();
        let book = Addresses {
            identity: address("identity"),
            case_routing: address("case-routing"),
            staffing: address("staffing"),
            volunteer_matching: address("volunteer-matching"),
            analytics: address("analytics"),
            gateway: format!("http://{gateway_at}"),
        };
        let accounts_path = self.dir.join("accounts.json");
        let identity_db = serve::apply("identity", &configs["identity"], &crypto).await?;
        let own = configs["identity"].section()?;
        let fresh = seed_district(&identity_db, own, &crypto, &accounts_path, &book, &self.seed).await?;
        drop(identity_db);
        let accounts = seed::with_addresses(&accounts_path, &book)?;

        told("服务 services");
        let gateway = gateway::Config {
            listen: gateway_at,
            public_url: public_url.unwrap_or_else(|| format!("http://{gateway_at}")),
            key_file: key_path.display().to_string(),
            addresses: addresses.clone(),
            proxies,
            demonstration: true,
        };
        let parts = match self.shape {
            Shape::AllInOne => self.here(configs, listeners, gateway, http).await?,
            Shape::Distributed => {
                drop((listeners, http)); // the processes bind the same ports themselves
                let amqp = amqp_url.context("the distributed shape needs a broker")?;
                self.processes(&book, &database_url, &amqp, &key_path, &calendar_key).await?
            }
        };
        let mut launched =
            Launched { addresses: book, accounts, accounts_path, key_path, fresh, postgres, rabbit, parts };
        told("等待各服务就绪 waiting for the services to learn the topology");
        if let Some(held_up) = launched.settled().await?.held_up() {
            told(&format!("注意 note: {held_up}"));
        }
        Ok(launched)
    }

    async fn postgres(&self) -> Result<(Option<Postgres>, String)> {
        if !self.throw_away
            && let Ok(url) = std::env::var("JIANGHAN_DATABASE_URL")
        {
            if !url.contains("{service}") {
                bail!("JIANGHAN_DATABASE_URL must hold {{service}} where the database's name goes");
            }
            return Ok((None, url));
        }
        let options = if self.throw_away {
            postgres::Options::throw_away(true)
        } else {
            postgres::Options::lasting(self.dir.join("postgres"))
        };
        let options = postgres::Options { statistics: self.statistics, ..options };
        let server = Postgres::start(options).await?;
        let url = server.url_template();
        Ok((Some(server), url))
    }

    async fn rabbit(&self) -> Result<(Option<RabbitMq>, Option<String>)> {
        if let Some(url) = self.named_broker() {
            Way::NamedBroker.note(&self.dir)?;
            return Ok((None, Some(url)));
        }
        let options = if self.throw_away {
            rabbitmq::Options::throw_away(0)
        } else {
            rabbitmq::Options::lasting(own_broker(&self.dir))
        };
        let server = RabbitMq::start(options).await?;
        if !self.throw_away {
            Way::OwnBroker.note(&self.dir)?;
        }
        let url = server.url("/");
        Ok((Some(server), Some(url)))
    }

    /// The operator's broker, if one is named and the data is to last.
    fn named_broker(&self) -> Option<String> {
        let url = std::env::var("JIANGHAN_AMQP_URL").ok();
        url.filter(|url| !self.throw_away && !url.is_empty())
    }

    fn config(
        &self,
        service: &str,
        database_url: &str,
        key: &Path,
        addresses: &BTreeMap<String, String>,
    ) -> Result<ServiceConfig> {
        let mut config = self.read(service)?;
        config.database.url = SecretString::from(database_url.to_owned());
        config.database.url = config.database.for_service(service);
        config.key_file = key.to_owned();
        config.addresses = addresses.clone();
        Ok(config)
    }

    /// What is said about a service. As this is an evaluation, time may be moved unless that is forbidden.
    fn read(&self, service: &str) -> Result<ServiceConfig> {
        let defaults = [("allow_time_travel", toml::Value::Boolean(true))];
        ServiceConfig::read_with(service, &defaults, |name| self.variable(name))
    }

    /// Whether domain time may be moved, as the simulator and the scenarios do.
    ///
    /// # Errors
    /// When the configuration has no acceptable form.
    pub fn allows_time_travel(&self) -> Result<bool> {
        Ok(self.read("identity")?.allow_time_travel)
    }

    /// A variable as the services see it.
    fn variable(&self, name: &str) -> Option<String> {
        if let ("JIANGHAN_CONFIG", Some(file)) = (name, &self.config) {
            return Some(file.display().to_string());
        }
        let own = self.environment.iter().find(|(set, _)| set == name);
        own.map(|(_, value)| value.clone()).or_else(|| std::env::var(name).ok())
    }

    async fn here(
        &self,
        mut configs: BTreeMap<&'static str, ServiceConfig>,
        mut listeners: BTreeMap<&'static str, TcpListener>,
        gateway: gateway::Config,
        http: TcpListener,
    ) -> Result<Parts> {
        let bus: Arc<dyn EventBus> = match self.faults {
            Some(seed) => Arc::new(InProcess::faulty(&SERVICES, GROUPS, Faults::seeded(seed))),
            None => Arc::new(InProcess::new(&SERVICES, GROUPS)),
        };
        let mut services = Vec::new();
        for service in SERVICES {
            let (Some(config), listener) = (configs.remove(service), listeners.remove(service)) else {
                bail!("{service} is not configured");
            };
            let wiring = Wiring { listener, take_over: true, ..Wiring::new(bus.clone()) };
            let running = match service {
                "identity" => chassis::start::<identity::App>(config, wiring).await,
                "case-routing" => chassis::start::<case_routing::App>(config, wiring).await,
                "staffing" => chassis::start::<staffing::App>(config, wiring).await,
                "volunteer-matching" => chassis::start::<volunteer_matching::App>(config, wiring).await,
                _ => chassis::start::<analytics::App>(config, wiring).await,
            };
            services.push(running.with_context(|| format!("starting {service}"))?);
        }
        let stop = CancellationToken::new();
        let gateway = Some(tokio::spawn(gateway::serve(gateway, http, stop.clone())));
        Ok(Parts::Here { services, bus, gateway, stop })
    }

    async fn processes(
        &self,
        book: &Addresses,
        database: &str,
        amqp: &str,
        key: &Path,
        calendar_key: &str,
    ) -> Result<Parts> {
        let at = |address: &str| address.trim_start_matches("http://").to_owned();
        let mut common = vec![
            ("JIANGHAN_DATABASE_URL".to_owned(), database.to_owned()),
            ("JIANGHAN_AMQP_URL".to_owned(), amqp.to_owned()),
            ("JIANGHAN_BUS_GROUPS".to_owned(), GROUPS.to_string()),
            ("JIANGHAN_KEY_FILE".to_owned(), key.display().to_string()),
            ("JIANGHAN_CALENDAR_KEY".to_owned(), calendar_key.to_owned()),
            ("JIANGHAN_ALLOW_TIME_TRAVEL".to_owned(), self.allows_time_travel()?.to_string()),
            ("JIANGHAN_DEMONSTRATION".to_owned(), "true".to_owned()),
            ("JIANGHAN_ADDR_IDENTITY".to_owned(), book.identity.clone()),
            ("JIANGHAN_ADDR_CASE_ROUTING".to_owned(), book.case_routing.clone()),
            ("JIANGHAN_ADDR_STAFFING".to_owned(), book.staffing.clone()),
            ("JIANGHAN_ADDR_VOLUNTEER_MATCHING".to_owned(), book.volunteer_matching.clone()),
            ("JIANGHAN_ADDR_ANALYTICS".to_owned(), book.analytics.clone()),
        ];
        if let Some(file) = &self.config {
            common.push(("JIANGHAN_CONFIG".to_owned(), file.display().to_string()));
        }
        if std::env::var_os(THREADS).is_none() {
            // They share the processors, and each thread that is woken for another's work costs the others time.
            let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
            common.push((THREADS.to_owned(), (processors / 2).max(1).to_string()));
        }
        common.extend(self.environment.iter().cloned());
        let listens = [
            ("identity", "JIANGHAN_LISTEN", at(&book.identity)),
            ("case-routing", "JIANGHAN_LISTEN", at(&book.case_routing)),
            ("staffing", "JIANGHAN_LISTEN", at(&book.staffing)),
            ("volunteer-matching", "JIANGHAN_LISTEN", at(&book.volunteer_matching)),
            ("analytics", "JIANGHAN_LISTEN", at(&book.analytics)),
            ("gateway", "JIANGHAN_HTTP_LISTEN", at(&book.gateway)),
        ];
        let mut processes = Vec::new();
        for (service, variable, listen) in listens {
            let mut environment = common.clone();
            environment.push((variable.to_owned(), listen));
            let log = self.dir.join(format!("{service}.log"));
            processes.push(Process::start(&self.binary, service, environment, log)?);
        }
        Ok(Parts::Processes(processes))
    }
}

/// Where the private broker of a data folder keeps what it has.
fn own_broker(dir: &Path) -> PathBuf {
    dir.join("rabbitmq")
}

#[cfg(test)]
mod tests;
