//! Where the events of a data folder went when it was last run. One that is run in one process reads no broker: what the
//! distributed shape has left in one would never be handled, so it is looked for before.

use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use chassis::{
    bus::{EventBus, RabbitConfig, RabbitMq},
    embedded::{self, rabbitmq},
    files,
};
use futures::future::join_all;

use super::{GROUPS, own_broker};
use crate::suite::SERVICES;

/// How long a broker that has just started may take to answer for every queue.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long an event that waits may take to be delivered. What a consumer had in hand when it was killed comes back a moment
/// after the start.
const LOOK: Duration = Duration::from_secs(if cfg!(test) { 2 } else { 3 }); // in tests nobody was killed

/// Why a broker is started that the suite itself does without.
const UNKNOWN: &str =
    "the last run in this folder was --shape distributed, and events may wait in its broker";

/// By what the events of a suite go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// By the process itself.
    Process,
    /// By the broker of the folder.
    OwnBroker,
    /// By the broker that `JIANGHAN_AMQP_URL` names.
    NamedBroker,
}

impl Way {
    const ALL: [Self; 3] = [Self::Process, Self::OwnBroker, Self::NamedBroker];

    const fn text(self) -> &'static str {
        match self {
            Self::Process => "all-in-one",
            Self::OwnBroker => "distributed",
            Self::NamedBroker => "distributed with JIANGHAN_AMQP_URL",
        }
    }

    /// Notes it in the folder.
    pub(super) fn note(self, dir: &Path) -> Result<()> {
        let path = file(dir);
        files::replace(&path, format!("{}\n", self.text()).as_bytes(), files::SHARED)
            .with_context(|| format!("cannot write {}", path.display()))
    }

    /// What was noted last. A folder that notes nothing is new, or of a build that noted nothing: then it tells by its broker.
    fn noted(dir: &Path) -> Result<Self> {
        let path = file(dir);
        match std::fs::read_to_string(&path) {
            Ok(text) => Self::ALL.into_iter().find(|way| way.text() == text.trim()).with_context(|| {
                let ways = Self::ALL.map(Self::text).join("`, `");
                format!(
                    "{} does not name a shape: it says `{}`; write into it how this folder was last run: `{ways}`",
                    path.display(),
                    text.trim()
                )
            }),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                Ok(if own_broker(dir).exists() { Self::OwnBroker } else { Self::Process })
            }
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }
}

fn file(dir: &Path) -> PathBuf {
    dir.join("shape")
}

/// Whether no event waits in a broker for a suite that goes on without one. `named` is what `JIANGHAN_AMQP_URL` says.
///
/// # Errors
/// In a sentence that tells what to do, when events wait or nobody can tell.
pub(super) async fn nothing_waits(dir: &Path, named: Option<String>) -> Result<()> {
    let services = match Way::noted(dir)? {
        Way::Process => return Ok(()),
        Way::OwnBroker => {
            let options = rabbitmq::Options::lasting(own_broker(dir));
            let mut broker = embedded::RabbitMq::start(options).await.context(UNKNOWN)?;
            let found = waited_for(&broker.url("/")).await;
            broker.stop().await?;
            found?
        }
        Way::NamedBroker => match named {
            Some(url) => waited_for(&url).await?,
            None => bail!(
                "this folder was last run with --shape distributed and the broker of JIANGHAN_AMQP_URL, in which events may \
                 wait: set it again, so that they are looked for, or, if that broker is gone, begin in another --data-dir"
            ),
        },
    };
    ensure!(
        services.is_empty(),
        "events of the last run, which was --shape distributed, still wait in its broker for {}, and this shape would never \
         read them: start once more with --shape distributed until it has settled (--no-demo --exit stops it then)",
        services.join(", ")
    );
    Ok(())
}

/// The services for which events wait in a broker. They stay there, in their order.
async fn waited_for(url: &str) -> Result<Vec<&'static str>> {
    let config = RabbitConfig { groups: GROUPS, prefetch: 1, ..RabbitConfig::default() };
    let bus = RabbitMq::new(url, "jianghan-up", config)?;
    let looks = join_all(SERVICES.map(|service| waits(&bus, service)));
    let found = tokio::time::timeout(PATIENCE, looks).await;
    bus.close().await;
    let found = found.context(UNKNOWN)?;
    Ok(SERVICES.into_iter().zip(found).filter_map(|(service, waits)| waits.then_some(service)).collect())
}

/// Whether an event waits for a service: asked until it is told. A queue that is consumed in one place only, as ours are, cannot
/// be asked in another way that is sure of a queue which has just come back with its broker.
async fn waits(bus: &RabbitMq, service: &str) -> bool {
    for group in 0..GROUPS {
        loop {
            if let Ok(mut deliveries) = bus.subscribe(service, group).await {
                match tokio::time::timeout(LOOK, deliveries.next()).await {
                    Ok(Some(_)) => return true,
                    Err(_) => break,
                    Ok(None) => {} // the broker has ended the subscription
                }
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use chassis::{
        clock::{Clock, new_id},
        event::Event,
    };
    use tokio::sync::mpsc;

    use super::*;

    #[test]
    fn a_folder_notes_how_it_was_run() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        assert_eq!(Way::noted(dir).unwrap(), Way::Process, "a new one");
        std::fs::create_dir(own_broker(dir)).unwrap();
        assert_eq!(Way::noted(dir).unwrap(), Way::OwnBroker, "one that has a broker and does not say");
        for way in Way::ALL {
            way.note(dir).unwrap();
            assert_eq!(Way::noted(dir).unwrap(), way);
        }
        assert_eq!(std::fs::read_dir(dir).unwrap().count(), 2, "the broker's folder and the note");
        std::fs::write(file(dir), "sideways\n").unwrap();
        let error = Way::noted(dir).unwrap_err().to_string();
        assert!(error.contains("sideways") && error.contains("write into it"), "{error}");
    }

    #[tokio::test]
    async fn without_the_broker_that_was_named_nobody_can_tell() {
        let dir = tempfile::tempdir().unwrap();
        Way::NamedBroker.note(dir.path()).unwrap();
        let error = nothing_waits(dir.path(), None).await.unwrap_err().to_string();
        assert!(error.contains("JIANGHAN_AMQP_URL"), "{error}");
    }

    #[tokio::test]
    async fn what_waits_in_a_broker_is_found_and_stays_there() {
        let mut broker = embedded::RabbitMq::start(rabbitmq::Options::throw_away(0)).await.unwrap();
        let url = broker.url("/");
        let dir = tempfile::tempdir().unwrap();
        Way::NamedBroker.note(dir.path()).unwrap();
        nothing_waits(dir.path(), Some(url.clone())).await.unwrap();

        let id = new_id();
        let event = Event {
            id,
            r#type: "jianghan.case_routing.v1.CaseRegistered".into(),
            source: "case-routing".to_owned(),
            subject: format!("case/{id}"),
            time: Clock::system().now(),
            partition_key: id,
            aggregate_version: 1,
            unit_id: None,
            line: None,
            correlation_id: id,
            causation_id: None,
            actor_ref: None,
            traceparent: None,
            data: bytes::Bytes::new(),
        };
        let config = RabbitConfig { groups: GROUPS, ..RabbitConfig::default() };
        let bus = RabbitMq::new(&url, "before", config).unwrap();
        let (confirmations, mut confirmed) = mpsc::unbounded_channel();
        bus.publish(vec![(1, event)], None, &confirmations).await.unwrap();
        assert!(confirmed.recv().await.is_some_and(|confirmation| confirmation.taken));
        bus.close().await;

        for _ in 0..2 {
            let told = nothing_waits(dir.path(), Some(url.clone())).await.unwrap_err().to_string();
            assert!(told.contains("for analytics,") && told.contains("--shape distributed"), "{told}");
        }
        broker.stop().await.unwrap();
    }
}
