//! How the copy is kept fresh: the consumer part for identity's events, the poll for what other replicas have
//! consumed, and at each start the snapshot of what no event told or will tell.

use std::{sync::Arc, time::Duration};

use proto::identity::v1::{
    AuthorityEdgeChanged, GetTopologySnapshotRequest, OrganizationChanged, RoleRevoked, SessionRevoked,
    UnitChanged, topology_service_client::TopologyServiceClient,
};
use tokio_util::sync::CancellationToken;

use super::{Changes, Shared, model, store};
use crate::{
    auth::Revoked,
    clock::{self, Clock},
    db::{Db, Tx},
    error::{Error, Result},
    event::Event,
    grpc::Peers,
    inbox::Consumer,
};

/// How often other replicas' changes are looked for; bars on tokens are to reach everywhere within five seconds.
const POLL: Duration = Duration::from_secs(2);

/// How long to wait before asking identity again.
const ASK_AGAIN: Duration = Duration::from_secs(2);

/// Bars that have run out are deleted every so many polls.
const PRUNE_EVERY: u32 = 300;

/// Keeps a service's copy of the topology fresh.
#[derive(Clone, Debug)]
pub struct Feed {
    shared: Arc<Shared>,
}

impl Feed {
    /// For the shared topology.
    pub fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Applies the events this part handles, in the consumer's transaction; memory follows after the commit.
    ///
    /// # Errors
    /// `Invalid` or `Internal` for an event that cannot be read, which parks it; database errors.
    pub async fn handle(&self, tx: &mut Tx<'_>, events: &[Event]) -> Result<()> {
        let mut changes = Changes::default();
        let mut revoked = Revoked::default();
        for event in events {
            read(event, &mut changes, &mut revoked)?;
        }
        self.save(tx, changes, revoked).await
    }

    /// Takes the bars on tokens, and nothing else, from events that have to wait. A bar is the latest of all instants
    /// said, so it may come early and twice; a token must not live on because an event before it cannot be handled.
    ///
    /// # Errors
    /// Database errors. What cannot be read is passed over: it comes to [`handle`](Self::handle) later.
    pub async fn bar(&self, tx: &mut Tx<'_>, events: &[Event]) -> Result<()> {
        let mut revoked = Revoked::default();
        for event in events.iter().filter(|event| event.is::<SessionRevoked>() || event.is::<RoleRevoked>()) {
            if let Err(error) = read(event, &mut Changes::default(), &mut revoked) {
                tracing::warn!(event.id = %event.id, error = %error.chain(), "a bar cannot be read");
            }
        }
        self.save(tx, Changes::default(), revoked).await
    }

    async fn save(&self, tx: &mut Tx<'_>, changes: Changes, revoked: Revoked) -> Result<()> {
        let barred = !revoked.sessions.is_empty() || !revoked.persons.is_empty();
        if changes.is_empty() && !barred {
            return Ok(());
        }
        let changes = changes.newest();
        store::save(tx.conn, &changes).await?;
        store::save_revoked(tx.conn, &revoked).await?;
        let shared = self.shared.clone();
        if changes.is_empty() {
            // Who signs out leaves the tree as it is: nobody makes it anew.
            let version = store::count_bars(tx.conn).await?;
            tx.after_commit(Box::new(move || {
                shared.revocations.merge(&revoked);
                shared.has_barred(version);
            }));
            return Ok(());
        }
        let step = store::count_change(tx.conn).await?;
        tx.after_commit(Box::new(move || {
            shared.revocations.merge(&revoked);
            shared.apply(changes, step);
        }));
        Ok(())
    }

    /// Polls for changes of other replicas until told to stop. A database that is away is asked again.
    pub async fn watch(self, db: Db, clock: Clock, stop: CancellationToken) -> Result<()> {
        let mut polls = 0_u32;
        while stop.run_until_cancelled(tokio::time::sleep(POLL)).await.is_some() {
            polls = polls.wrapping_add(1);
            if let Err(error) = self.poll(&db, &clock, polls.is_multiple_of(PRUNE_EVERY)).await {
                tracing::warn!(error = %error.chain(), "the topology could not be looked up");
            }
        }
        Ok(())
    }

    async fn poll(&self, db: &Db, clock: &Clock, prune: bool) -> Result<()> {
        // A bar that is taken away too early lets a token in again.
        if prune && !clock.is_astray() {
            let now = clock.real_now();
            store::prune_revoked(&mut *db.conn().await?, now).await?;
            self.shared.revocations.prune(now);
        }
        self.shared.follow(db).await
    }

    /// Asks identity for a snapshot, again and again, until it has given one: at every start, whatever is in the database already.
    /// That may come from a backup, and events that only the broker held then are lost. Of each thing the newest version stays, and
    /// nothing leaves for not being in a snapshot: an event may have been quicker. What is new `consumer` learns, in the same
    /// transaction. An identity that knows nothing yet is asked again where there was no snapshot before.
    pub async fn fill(
        self,
        db: Db,
        peers: Peers,
        consumer: Arc<dyn Consumer>,
        stop: CancellationToken,
    ) -> Result<()> {
        while let Some(filled) = stop.run_until_cancelled(self.fill_once(&db, &peers, &consumer)).await {
            match filled {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(error) if error.retryable() => {
                    tracing::debug!(error = %error.chain(), "identity gave no topology yet");
                }
                Err(error) => tracing::warn!(error = %error.chain(), "the topology could not be taken"),
            }
            stop.run_until_cancelled(tokio::time::sleep(ASK_AGAIN)).await;
        }
        Ok(())
    }

    /// Takes one snapshot; tells whether there is one now.
    async fn fill_once(&self, db: &Db, peers: &Peers, consumer: &Arc<dyn Consumer>) -> Result<bool> {
        let all = snapshot(peers).await?;
        let had_one = store::has_snapshot(&mut *db.conn().await?).await?;
        if all.is_empty() {
            return Ok(had_one);
        }
        // Nearly always nothing is new: then nothing is written, and no replica reads anything anew.
        let news = self.shared.load().lacks(all);
        if had_one && news.is_empty() {
            return Ok(true);
        }
        let things = self.shared.catch_up(db, news, Some(consumer.clone())).await?;
        tracing::info!(things, "the topology was taken from identity");
        Ok(true)
    }
}

/// All that identity has, page by page. What changes meanwhile is told by its events.
async fn snapshot(peers: &Peers) -> Result<Changes> {
    let mut client = TopologyServiceClient::new(peers.channel("identity")?);
    let mut all = Changes::default();
    let mut page_token = String::new();
    loop {
        let request = GetTopologySnapshotRequest { page_token, page_size: 1000 };
        let page =
            client.get_topology_snapshot(request).await.map_err(|s| Error::from_status(&s))?.into_inner();
        for unit in page.units {
            all.units.push(unit.try_into()?);
        }
        for org in page.organizations {
            all.orgs.push(org.try_into()?);
        }
        for edge in page.edges {
            all.edges.push(edge.try_into()?);
        }
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(all);
        }
    }
}

/// Adds what an event says; an event of another kind says nothing.
fn read(event: &Event, changes: &mut Changes, revoked: &mut Revoked) -> Result<()> {
    if event.is::<UnitChanged>() {
        let unit = event.decode::<UnitChanged>()?.unit.ok_or_else(|| Error::invalid("unit", "is missing"))?;
        changes.units.push(unit.try_into()?);
    } else if event.is::<OrganizationChanged>() {
        let changed: OrganizationChanged = event.decode()?;
        let org = changed.organization.ok_or_else(|| Error::invalid("organization", "is missing"))?;
        changes.orgs.push(org.try_into()?);
    } else if event.is::<AuthorityEdgeChanged>() {
        let changed: AuthorityEdgeChanged = event.decode()?;
        let edge = changed.edge.ok_or_else(|| Error::invalid("edge", "is missing"))?;
        changes.edges.push(edge.try_into()?);
    } else if event.is::<SessionRevoked>() {
        let ended: SessionRevoked = event.decode()?;
        let session = model::uuid("session_id", &ended.session_id)?;
        let until = ended.expire_time.as_ref().and_then(clock::from_proto);
        let until = until.ok_or_else(|| Error::invalid("expire_time", "is missing"))?;
        revoked.sessions.entry(session).and_modify(|at| *at = until.max(*at)).or_insert(until);
    } else if event.is::<RoleRevoked>() {
        let ended: RoleRevoked = event.decode()?;
        let person = model::uuid("person_id", &ended.person_id)?;
        let before = ended.tokens_before_time.as_ref().and_then(clock::from_proto);
        let before = before.ok_or_else(|| Error::invalid("tokens_before_time", "is missing"))?;
        revoked.persons.entry(person).and_modify(|at| *at = before.max(*at)).or_insert(before);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use diesel_async::SimpleAsyncConnection;
    use proto::identity::v1::Unit;

    use super::*;
    use crate::{clock::new_id, testing::TestDb};

    fn none() -> diesel_migrations::EmbeddedMigrations {
        diesel_migrations::embed_migrations!("src/testing/no_migrations")
    }

    async fn hears(feed: &Feed, db: &Db, event: Event) {
        let handled = async |tx: &mut Tx<'_>| feed.handle(tx, &[event]).await;
        db.transaction(handled).await.unwrap();
    }

    fn of_a_new_unit(clock: &Clock) -> Event {
        let id = new_id();
        let unit = Unit { unit_id: id.to_string(), version: 1, ..Unit::default() };
        Event::of("identity", clock.now(), id, 1, &UnitChanged { unit_id: id.to_string(), unit: Some(unit) })
    }

    #[tokio::test]
    async fn no_bar_is_taken_away_by_a_clock_that_is_wrong() {
        let test_db = TestDb::migrated("topology", none).await.unwrap();
        let right = Clock::system();
        let wrong = right.ahead_by(Duration::from_secs(3_600));
        let db = test_db.connect("staffing", right.clone()).await.unwrap();
        let shared = Arc::new(Shared::default());
        let feed = Feed::new(shared.clone());
        let (person, session) = (new_id(), new_id());
        let signed_out = SessionRevoked {
            person_id: person.to_string(),
            session_id: session.to_string(),
            expire_time: Some(clock::to_proto(right.real_now() + TimeDelta::minutes(10))),
        };
        hears(&feed, &db, Event::of("identity", right.now(), person, 1, &signed_out)).await;
        let barred = || shared.revocations().load().sessions.contains_key(&session);
        wrong.compared(TimeDelta::hours(1));
        feed.poll(&db, &wrong, true).await.unwrap();
        assert!(barred(), "it is known to be wrong");
        wrong.compared(TimeDelta::zero());
        feed.poll(&db, &wrong, true).await.unwrap();
        assert!(!barred(), "it is taken to be right");
    }

    #[tokio::test]
    async fn a_sign_out_bars_in_every_replica_and_leaves_the_tree_as_it_is() {
        let test_db = TestDb::migrated("topology", none).await.unwrap();
        let clock = Clock::system();
        let db = test_db.connect("staffing", clock.clone()).await.unwrap();
        let shared = [Arc::new(Shared::default()), Arc::new(Shared::default())];
        let [here, other] = shared.clone().map(Feed::new);
        hears(&here, &db, of_a_new_unit(&clock)).await;
        other.poll(&db, &clock, false).await.unwrap();
        let before = shared.clone().map(|shared| shared.load());
        assert_eq!(before.clone().map(|tree| (tree.version(), tree.units().count())), [(1, 1); 2]);

        let (person, session) = (new_id(), new_id());
        let signed_out = SessionRevoked {
            person_id: person.to_string(),
            session_id: session.to_string(),
            expire_time: Some(clock::to_proto(clock.real_now() + TimeDelta::minutes(10))),
        };
        hears(&here, &db, Event::of("identity", clock.now(), person, 1, &signed_out)).await;
        other.poll(&db, &clock, false).await.unwrap();
        for (shared, before) in shared.iter().zip(&before) {
            assert!(shared.revocations().load().sessions.contains_key(&session), "barred");
            assert!(Arc::ptr_eq(&shared.load(), before), "nothing is made anew");
        }

        // What a replica of an earlier build counts may be a change of the tree.
        let counts = "UPDATE topology_version SET version = version + 1";
        db.conn().await.unwrap().batch_execute(counts).await.unwrap();
        other.poll(&db, &clock, false).await.unwrap();
        assert_eq!(shared[1].load().version(), 3, "it is read");
        hears(&here, &db, of_a_new_unit(&clock)).await;
        assert_eq!(shared[0].load().version(), 1, "something lies between");
        for feed in [&here, &other] {
            feed.poll(&db, &clock, false).await.unwrap();
        }
        let after = shared.map(|shared| shared.load());
        assert_eq!(after.map(|tree| (tree.version(), tree.units().count())), [(4, 2); 2]);
    }
}
