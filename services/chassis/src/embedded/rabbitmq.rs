//! A private RabbitMQ broker: one folder, loopback only, its own Erlang port mapper that dies with it. Ready in five to
//! seven seconds, so one broker serves a whole test binary, with a virtual host per test. As root the broker runs as the
//! unprivileged user `rabbitmq`.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use nix::{sys::signal::Signal, unistd::User};

use super::child::{self, Child, Reaper};
use crate::files;

/// Who the broker runs as when we are root: its package's user, else PostgreSQL's, as it did once. The package that brings
/// the first.
const USERS: [&str; 2] = ["rabbitmq", "postgres"];
const PACKAGE: &str = "rabbitmq-server";

/// How long a start may take.
const START: Duration = Duration::from_secs(90);

/// How long a clean stop may take before it is cut.
const STOP: Duration = Duration::from_secs(20);

/// The server script itself; the one in /usr/sbin changes users and loses the pid.
const SERVER: &str = "/usr/lib/rabbitmq/bin/rabbitmq-server";

/// Its tool, likewise.
const CTL: &str = "/usr/lib/rabbitmq/bin/rabbitmqctl";

/// What the broker calls itself.
const NODE: &str = "jh@localhost";

/// The shell becomes the broker (same pid); its port mapper gets a death signal from it.
const SCRIPT: &str = r#"setpriv --pdeathsig KILL epmd -address 127.0.0.1 -port "$ERL_EPMD_PORT" &
n=0
until epmd -port "$ERL_EPMD_PORT" -names >/dev/null 2>&1; do n=$((n+1)); [ "$n" -lt 200 ] || exit 75; sleep 0.05; done
exec "$0""#;

/// Where and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// Folder of the broker; kept, and used again by the next start.
    pub dir: PathBuf,
    /// Virtual hosts besides `/`.
    pub vhosts: Vec<String>,
    /// For tests: deleted when this process ends in whatever way.
    pub throw_away: bool,
}

impl Options {
    /// A lasting broker in a folder.
    pub fn lasting(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into(), vhosts: Vec::new(), throw_away: false }
    }

    /// A throw-away broker under /tmp with virtual hosts `v0`, `v1`, ….
    pub fn throw_away(vhosts: usize) -> Self {
        let name: u64 = rand::random();
        Self {
            dir: PathBuf::from(format!("/tmp/jh-mq-{name:016x}")),
            vhosts: (0..vhosts).map(|n| format!("v{n}")).collect(),
            throw_away: true,
        }
    }
}

/// A running private broker.
#[derive(Debug)]
pub struct RabbitMq {
    options: Options,
    user: Option<User>,
    secret: String,
    port: u16,
    epmd_port: u16,
    dist_port: u16,
    child: Option<Child>,
    reaper: Option<Reaper>,
}

impl RabbitMq {
    /// Starts a broker. Gives back once an AMQP connection opens.
    ///
    /// # Errors
    /// In one clear sentence: RabbitMQ is not installed, the folder is out of reach, or the broker did not come up.
    pub async fn start(options: Options) -> anyhow::Result<Self> {
        check_installed()?;
        let user = match child::owner(&options.dir.join("mnesia"))? {
            Some(owner) => Some(owner), // what a broker wrote, another user may not read
            None => child::server_user(&USERS, PACKAGE)?,
        };
        for sub in ["", "home", "log", "mnesia", "gen"] {
            child::private_dir(&options.dir.join(sub), user.as_ref())?;
        }
        child::check_reachable(&options.dir.join("home"), user.as_ref())?;
        let secret = secret_of(&options.dir)?;
        let (port, epmd_port, dist_port) = (child::free_port()?, child::free_port()?, child::free_port()?);
        let mut broker =
            Self { options, user, secret, port, epmd_port, dist_port, child: None, reaper: None };
        broker.configure()?;
        broker.launch().await?;
        Ok(broker)
    }

    /// The address of a virtual host.
    pub fn url(&self, vhost: &str) -> String {
        let vhost = if vhost == "/" { "%2f" } else { vhost };
        format!("amqp://jh:{}@127.0.0.1:{}/{vhost}", self.secret, self.port)
    }

    /// TCP port of AMQP on loopback.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Pid of the broker; 0 when it does not run.
    pub fn pid(&self) -> i32 {
        self.child.as_ref().map_or(0, Child::pid)
    }

    /// Kills the broker as a power cut would, and waits until it is gone.
    ///
    /// # Errors
    /// When it does not go.
    pub async fn kill9(&mut self) -> anyhow::Result<()> {
        self.end(Signal::SIGKILL).await
    }

    /// Stops the broker if it runs.
    ///
    /// # Errors
    /// When it does not go even by force.
    pub async fn stop(&mut self) -> anyhow::Result<()> {
        self.end(Signal::SIGTERM).await
    }

    /// Stops the broker if it runs, and starts it on the same data and ports.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn restart(&mut self) -> anyhow::Result<()> {
        self.stop().await?;
        self.launch().await
    }

    /// Has `rabbitmqctl` do something at the running broker, and gives what it prints. For tests.
    ///
    /// # Errors
    /// With what it says when it fails.
    pub async fn ctl(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let mut command = child::command(Path::new(CTL), self.user.as_ref(), "KILL");
        self.surround(&mut command);
        command.args(["--node", NODE]).args(arguments);
        let ended = tokio::task::spawn_blocking(move || command.output());
        let told = ended.await?.context("cannot run rabbitmqctl through setpriv (package util-linux)")?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (out, failure) = (text(&told.stdout), text(&told.stderr));
        anyhow::ensure!(told.status.success(), "rabbitmqctl {}: {out}{failure}", arguments.join(" "));
        Ok(out)
    }

    async fn end(&mut self, signal: Signal) -> anyhow::Result<()> {
        let Some(child) = self.child.take() else { return Ok(()) };
        child.signal(signal);
        if !child.ended(STOP).await {
            tracing::warn!(pid = child.pid(), "RabbitMQ does not stop and is killed");
            child.signal(Signal::SIGKILL);
            anyhow::ensure!(child.ended(STOP).await, "RabbitMQ (pid {}) does not end", child.pid());
        }
        Ok(())
    }

    fn file(&self, name: &str) -> PathBuf {
        self.options.dir.join(name)
    }

    fn configure(&self) -> anyhow::Result<()> {
        let conf = format!(
            "listeners.tcp.1 = 127.0.0.1:{}\n\
             load_definitions = {}\n\
             raft.wal_max_size_bytes = 67108864\n\
             consumer_timeout = 86400000\n\
             log.file = false\n\
             log.console = true\n\
             log.console.level = warning\n",
            self.port,
            self.file("definitions.json").display()
        );
        let vhosts: Vec<&str> =
            std::iter::once("/").chain(self.options.vhosts.iter().map(String::as_str)).collect();
        let definitions = serde_json::json!({
            "users": [{"name": "jh", "password": self.secret, "tags": ["administrator"]}],
            "vhosts": vhosts.iter().map(|v| serde_json::json!({"name": v})).collect::<Vec<_>>(),
            "permissions": vhosts
                .iter()
                .map(|v| serde_json::json!({"user": "jh", "vhost": v, "configure": ".*", "write": ".*", "read": ".*"}))
                .collect::<Vec<_>>(),
        });
        self.write("rabbitmq.conf", &conf)?;
        self.write("definitions.json", &definitions.to_string())?;
        self.write("enabled_plugins", "[].\n")
    }

    fn write(&self, name: &str, text: &str) -> anyhow::Result<()> {
        use std::os::unix::fs::{PermissionsExt, chown};
        let path = self.file(name);
        let owner = self.user.as_ref();
        std::fs::write(&path, text)
            .and_then(|()| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)))
            .and_then(|()| owner.map_or(Ok(()), |u| chown(&path, Some(u.uid.as_raw()), Some(u.gid.as_raw()))))
            .with_context(|| format!("cannot write {}", path.display()))
    }

    async fn launch(&mut self) -> anyhow::Result<()> {
        // Kept from the first moment on: if the wait for it is given up, the broker goes with it.
        self.child = Some(self.spawn()?);
        if self.options.throw_away {
            let reaper = child::reap_after_us(self.pid(), "KILL", &[&self.options.dir]);
            self.reaper = Some(reaper.context("starting the reaper")?); // that of the broker before goes
        }
        let ready = self.ready().await;
        if ready.is_err() {
            self.kill9().await?; // if it has not ended by itself
        }
        ready
    }

    /// Waits until an AMQP connection opens.
    async fn ready(&self) -> anyhow::Result<()> {
        let start = Instant::now();
        let url = self.url("/");
        loop {
            if let Some(status) = self.child.as_ref().and_then(Child::status) {
                bail!("RabbitMQ did not start ({status}):\n{}", child::tail(&self.file("broker.log")));
            }
            anyhow::ensure!(
                start.elapsed() < START,
                "RabbitMQ did not answer in time:\n{}",
                child::tail(&self.file("broker.log"))
            );
            // lapin takes a while to fail on a closed port; a plain connection tells at once.
            if tokio::net::TcpStream::connect(("127.0.0.1", self.port)).await.is_ok()
                && let Ok(connection) =
                    lapin::Connection::connect(&url, lapin::ConnectionProperties::default()).await
            {
                connection.close(200, "ready".into()).await.ok();
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// What the broker and its tool have to know alike, so that they find one another and nobody else.
    fn surround(&self, command: &mut Command) {
        command
            .current_dir(&self.options.dir)
            .env("HOME", self.file("home"))
            .env("ERL_EPMD_PORT", self.epmd_port.to_string())
            .env("ERL_EPMD_ADDRESS", "127.0.0.1")
            .env("ERL_FLAGS", "-start_epmd false")
            .env("RABBITMQ_NODENAME", NODE)
            .env("RABBITMQ_BASE", &self.options.dir)
            .env("RABBITMQ_CONF_ENV_FILE", "/dev/null")
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", self.file("enabled_plugins"));
    }

    fn spawn(&self) -> anyhow::Result<Child> {
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.file("broker.log"))
            .context("the broker's log file")?;
        let mut command: Command = child::command(Path::new("sh"), self.user.as_ref(), "TERM");
        command.arg("-c").arg(SCRIPT).arg(SERVER);
        command.stdout(log.try_clone().context("the log file")?).stderr(log);
        self.surround(&mut command);
        let here = |name: &str| self.file(name);
        command
            .env("RABBITMQ_CONFIG_FILE", here("rabbitmq.conf"))
            .env("RABBITMQ_ADVANCED_CONFIG_FILE", here("none"))
            .env("RABBITMQ_MNESIA_BASE", here("mnesia"))
            .env("RABBITMQ_LOG_BASE", here("log"))
            .env("RABBITMQ_LOGS", "-")
            .env("RABBITMQ_GENERATED_CONFIG_DIR", here("gen"))
            .env("RABBITMQ_PID_FILE", here("pid"))
            .env("RABBITMQ_DIST_PORT", self.dist_port.to_string())
            .env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "-kernel inet_dist_use_interface {127,0,0,1} +S 2:2")
            // Bound to a processor, a scheduler would wait for whoever else works there; this machine is shared.
            .env("RABBITMQ_SCHEDULER_BIND_TYPE", "u")
            .env("detached", "true"); // makes the script exec the runtime instead of keeping a shell in between
        Child::spawn(command).context("cannot start RabbitMQ through setpriv (package util-linux)")
    }
}

impl Drop for RabbitMq {
    fn drop(&mut self) {
        if let Some(child) = self.child.take() {
            // A throw-away broker has nothing to write down, and a clean stop takes a second.
            child.signal(if self.options.throw_away { Signal::SIGKILL } else { Signal::SIGTERM });
            if !child.ended_blocking(STOP) {
                child.signal(Signal::SIGKILL);
            }
        }
        if self.options.throw_away {
            std::fs::remove_dir_all(&self.options.dir).ok();
        }
    }
}

/// The broker's password, kept with its data. The broker is told it at each start, so that one that was lost is made anew.
fn secret_of(dir: &Path) -> anyhow::Result<String> {
    let path = dir.join("secret");
    if let Ok(secret) = std::fs::read_to_string(&path)
        && !secret.is_empty()
    {
        return Ok(secret);
    }
    let secret = format!("{:032x}", rand::random::<u128>());
    files::replace(&path, secret.as_bytes(), files::PRIVATE).context("cannot write the broker's password")?;
    Ok(secret)
}

/// Whether RabbitMQ is installed.
///
/// # Errors
/// A sentence that says what to install or set.
pub fn check_installed() -> anyhow::Result<()> {
    anyhow::ensure!(
        Path::new(SERVER).exists(),
        "RabbitMQ is not installed: install it (on Debian: apt-get install rabbitmq-server), or set JIANGHAN_AMQP_URL \
         to a broker you have"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use lapin::{
        BasicProperties, Channel, Connection, ConnectionProperties,
        message::BasicGetMessage,
        options::{BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions},
        types::{AMQPValue, FieldTable},
    };

    use super::*;

    async fn open(broker: &RabbitMq) -> (Connection, Channel) {
        let connection =
            Connection::connect(&broker.url("v0"), ConnectionProperties::default()).await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
        (connection, channel)
    }

    /// A queue elects its leader a moment after the broker takes connections, so this asks until it answers.
    async fn get(broker: &RabbitMq) -> BasicGetMessage {
        let deadline = Instant::now() + Duration::from_secs(120);
        loop {
            let (_connection, channel) = open(broker).await;
            let get = channel.basic_get("kept".into(), BasicGetOptions { no_ack: true });
            match tokio::time::timeout(Duration::from_secs(5), get).await {
                Ok(Ok(Some(got))) => return got,
                other => assert!(Instant::now() < deadline, "{other:?}"),
            }
        }
    }

    #[test]
    fn a_password_is_made_once_and_anew_where_an_interrupted_start_left_none() {
        use std::os::unix::fs::PermissionsExt;
        let dir = std::env::temp_dir().join(format!("jh-secret-{}", crate::clock::new_id().simple()));
        std::fs::create_dir(&dir).unwrap();
        std::fs::write(dir.join("secret"), "").unwrap();
        let secret = secret_of(&dir).unwrap();
        assert_eq!(secret.len(), 32);
        assert_eq!(secret_of(&dir).unwrap(), secret);
        let mode = std::fs::metadata(dir.join("secret")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, files::PRIVATE);
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[tokio::test]
    async fn a_message_outlives_a_kill_of_the_broker() {
        let mut broker = RabbitMq::start(Options::throw_away(1)).await.unwrap();
        let mut quorum = FieldTable::default();
        quorum.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
        {
            let (_connection, channel) = open(&broker).await;
            let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
            channel.queue_declare("kept".into(), durable, quorum).await.unwrap();
        }
        // A quorum queue's own registration is written down lazily: one killed in the second it was made does not come
        // back (RabbitMQ 3.10). An orderly restart writes it.
        broker.restart().await.unwrap();
        {
            let (_connection, channel) = open(&broker).await;
            let persistent = BasicProperties::default().with_delivery_mode(2);
            let publish = channel.basic_publish(
                "".into(),
                "kept".into(),
                BasicPublishOptions::default(),
                b"here",
                persistent,
            );
            publish.await.unwrap().await.unwrap();
        }
        let before = broker.pid();
        broker.kill9().await.unwrap();
        broker.restart().await.unwrap();
        assert_ne!(broker.pid(), before);
        assert_eq!(get(&broker).await.data, b"here");
    }
}
