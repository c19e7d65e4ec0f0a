//! The relay: publishes what the outbox holds, in order, and removes what the bus has confirmed. One per database:
//! a leased row says whose turn it is. It must never publish once its lease has run out, and never remove a row
//! without a confirmation. Whatever a relay publishes late is a duplicate of what its successor published before,
//! because a successor begins with the oldest row; inboxes drop duplicates, so order holds across takeovers. Whoever cannot
//! reach the bus does not take the lease, and gives it back after a while: one who can shall have it.

use std::{sync::Arc, time::Duration};

use diesel::{
    QueryableByName,
    sql_types::{BigInt, Text, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use futures::{FutureExt, StreamExt};
use tokio::{sync::mpsc, time::Instant};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    OutboxState, RelayConfig, deadline::Deadline, flight::Flight, reading::Reading, store, vacuum::Vacuum,
};
use crate::{
    Result,
    bus::{Aside, Confirmation, EventBus, Reach, Trouble},
    clock::new_id,
    crash,
    db::{BY_KEY, Db, cached},
    event::Event,
};

/// The relay of one database.
pub struct Relay {
    db: Db,
    bus: Arc<dyn EventBus>,
    config: RelayConfig,
    holder: Uuid,
}

/// Removed rows after which the table is vacuumed, at most once a second.
const DEAD: usize = 1_000;

/// Channel that wakes relays of other replicas.
const CHANNEL: &str = "jianghan_outbox";

impl Relay {
    /// A relay between this database and this bus.
    pub fn new(db: Db, bus: Arc<dyn EventBus>, config: RelayConfig) -> Self {
        Self { db, bus, config, holder: new_id() }
    }

    /// Works until `stop`, through outages of database and bus; then makes one last pass and gives the lease back.
    pub async fn run(self, stop: CancellationToken) -> Result<()> {
        let state = self.db.outbox().clone();
        let mut pause = Duration::from_millis(50);
        let mut take_over = self.config.take_over;
        while !stop.is_cancelled() {
            let started = Instant::now();
            let session = Session::open(&self, state.clone()).await;
            let outcome = match session {
                Ok(mut session) => session.work(&stop, std::mem::take(&mut take_over)).await,
                Err(error) => Err(error),
            };
            state.set_leading(false);
            let Err(error) = outcome else { break };
            state.set_flowing(false);
            tracing::warn!(error = %error.chain(), service = %self.db.service(), "the relay starts again");
            if started.elapsed() > Duration::from_secs(10) {
                pause = Duration::from_millis(50);
            }
            let _ = tokio::time::timeout(pause, stop.cancelled()).await;
            pause = (pause * 2).min(Duration::from_secs(1));
        }
        Ok(())
    }
}

/// The relay while its database connections live.
struct Session<'a> {
    relay: &'a Relay,
    state: Arc<OutboxState>,
    conn: AsyncPgConnection,
    listener: Option<tokio::task::JoinHandle<()>>,
    /// Until when the lease is ours for sure; `None` when it is not.
    held_until: Option<Instant>,
    /// Of the lease that is held; another holder raises it.
    epoch: Option<i64>,
    /// Whether the bus can be reached from here.
    reach: Reach,
    /// Since when it cannot, or takes nothing of what is published.
    trouble: Trouble,
    /// The lease is left to others.
    aside: Option<Aside>,
    /// Rows read and not removed yet.
    flight: Flight,
    /// Below which number nothing has to be looked for.
    reading: Reading,
    /// Rows removed since the table was last to be vacuumed.
    dead: usize,
    vacuum: Vacuum,
    confirmations: (mpsc::UnboundedSender<Confirmation>, mpsc::UnboundedReceiver<Confirmation>),
    last_confirmed: Instant,
    deadline: Deadline,
    /// The bus is away; not worth asking before.
    away_until: Instant,
    /// The broker held up the connection when it was last looked at.
    held_up: bool,
    oldest: Option<i64>,
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        if let Some(listener) = &self.listener {
            listener.abort();
        }
    }
}

impl<'a> Session<'a> {
    async fn open(relay: &'a Relay, state: Arc<OutboxState>) -> Result<Self> {
        // Losing a removal in a crash of the server only repeats an event; waiting for the disk would cost one
        // more flush for every batch.
        let conn = relay.db.dedicated(&format!("-c synchronous_commit=off {BY_KEY}")).await?;
        let listener = if relay.bus.shared() { Some(listen(&relay.db, state.clone()).await?) } else { None };
        let now = Instant::now();
        Ok(Self {
            relay,
            state,
            conn,
            listener,
            held_until: None,
            epoch: None,
            reach: Reach::of(relay.bus.clone(), relay.config.lease / 3),
            trouble: Trouble::default(),
            aside: None,
            flight: Flight::new(relay.bus.may_overtake()),
            reading: Reading::default(),
            dead: 0,
            vacuum: Vacuum::of(relay.db.clone()),
            confirmations: mpsc::unbounded_channel(),
            last_confirmed: now,
            deadline: Deadline::new(relay.config.confirm_deadline, now),
            away_until: now,
            held_up: false,
            oldest: None,
        })
    }

    async fn work(&mut self, stop: &CancellationToken, take_over: bool) -> Result<()> {
        let config = &self.relay.config;
        if take_over {
            self.conn.batch_execute("UPDATE relay_lease SET expires_at = '-infinity'").await?;
        }
        let mut renewal = tokio::time::interval(config.lease / 3);
        renewal.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut poll = tokio::time::interval(config.poll);
        poll.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut recount = tokio::time::interval(Duration::from_secs(1));
        recount.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut more = true;
        let mut confirmed = Vec::new();
        loop {
            let state = self.state.clone();
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                _ = renewal.tick() => {
                    let asked = Instant::now();
                    if self.may_hold() {
                        self.renew().await?;
                    }
                    // A third of the lease after it was asked for, but not at once: what stands below must have its turn.
                    renewal.reset_at((asked + config.lease / 3).max(Instant::now() + config.lease / 30));
                }
                _ = recount.tick() => {
                    self.recount().await?;
                    recount.reset(); // from its end on: one that takes a second would else be due again for ever
                }
                () = self.reach.changed() => {
                    self.trouble.reached(self.reach.reached(), Instant::now());
                    renewal.reset_immediately();
                }
                n = self.confirmations.1.recv_many(&mut confirmed, 2 * config.batch) => {
                    debug_assert!(n > 0, "the session holds a sender");
                    more |= self.settle(&mut confirmed).await?;
                    // The next confirmations come before the bell: what was committed meanwhile must not wait for all of them.
                    more |= state.rung().now_or_never().is_some();
                }
                () = state.rung() => more = true,
                _ = poll.tick() => {
                    more = true;
                    self.state.read_next();
                    if !self.leading() && self.relay.bus.shared() && self.state.take_unannounced() {
                        // One for all commits since the last tick, outside their transactions.
                        self.conn.batch_execute(&format!("NOTIFY {CHANNEL}")).await?;
                    }
                    self.check_deadline().await;
                    self.stand_aside().await?;
                }
            }
            if more
                && self.leading()
                && self.has_room()
                && self.away_until <= Instant::now()
                && !self.is_held_up()
            {
                more = self.publish_next().await?;
            }
        }
        self.finish().await
    }

    fn leading(&self) -> bool {
        // A tenth of the lease is kept back for clocks that do not run alike.
        self.held_until.is_some_and(|until| Instant::now() + self.relay.config.lease / 10 < until)
    }

    fn has_room(&self) -> bool {
        self.flight.has_room(self.relay.config.batch, self.relay.config.window)
    }

    /// Whether the lease may be renewed, or taken: by who can use it.
    fn may_hold(&mut self) -> bool {
        if self.held_until.is_some() {
            return true;
        }
        let reached = self.reach.reached();
        let may = self.aside.as_mut().map_or(reached, |aside| aside.is_over(reached));
        if may {
            self.aside = None;
        }
        may
    }

    /// Leaves the lease to others when it has been of no use for too long: for one lease where the bus answers nevertheless, within
    /// which any of them has it.
    async fn stand_aside(&mut self) -> Result<()> {
        let config = &self.relay.config;
        let too_long = self.trouble.since().is_some_and(|since| since.elapsed() >= config.patience);
        if !too_long || !self.leading() || !self.relay.bus.shared() {
            return Ok(());
        }
        tracing::warn!(
            service = %self.relay.db.service(),
            "the bus takes nothing from here; another replica may have the relay's lease"
        );
        self.aside = Some(Aside::for_others(config.lease, self.reach.reached()));
        self.held_until = None;
        self.epoch = None;
        self.forget_flight();
        self.state.set_flowing(false);
        self.give_back().await
    }

    /// Gives the lease back, so that another has it at once.
    async fn give_back(&mut self) -> Result<()> {
        self.state.set_leading(false);
        cached("UPDATE relay_lease SET expires_at = '-infinity' WHERE holder = $1")
            .bind::<SqlUuid, _>(self.relay.holder)
            .execute(&mut self.conn)
            .await?;
        Ok(())
    }

    /// Takes or renews the lease.
    async fn renew(&mut self) -> Result<()> {
        #[derive(QueryableByName)]
        struct Row {
            #[diesel(sql_type = BigInt)]
            epoch: i64,
        }
        let asked = Instant::now(); // before the server's clock is read, so that ours never runs longer
        let rows: Vec<Row> = cached(
            "INSERT INTO relay_lease AS held (name, holder, epoch, expires_at) \
             VALUES ('outbox', $1, 1, clock_timestamp() + $2::text::interval) \
             ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at, \
             epoch = held.epoch + (held.holder <> excluded.holder)::int \
             WHERE held.holder = excluded.holder OR held.expires_at < clock_timestamp() RETURNING epoch",
        )
        .bind::<SqlUuid, _>(self.relay.holder)
        .bind::<Text, _>(format!("{} ms", self.relay.config.lease.as_millis()))
        .load(&mut self.conn)
        .await?;
        let held = rows.as_slice().first().map(|row| row.epoch);
        if self.held_until.is_some() && held.is_some() && held != self.epoch {
            self.forget_flight(); // it was another's meanwhile
        }
        self.epoch = held;
        match held {
            Some(epoch) => {
                if self.held_until.is_none() {
                    tracing::info!(service = %self.relay.db.service(), epoch, "the relay has the lease");
                    self.last_confirmed = asked;
                    self.trouble.worked();
                }
                self.held_until = Some(asked + self.relay.config.lease);
            }
            None => {
                self.held_until = None;
                self.forget_flight();
            }
        }
        self.state.set_leading(held.is_some());
        Ok(())
    }

    /// Publishes the next rows. Tells whether there may be more.
    async fn publish_next(&mut self) -> Result<bool> {
        let limit = self.relay.config.batch;
        if let Some((batch, more)) = self.state.take_handed(self.reading.next(), limit) {
            let seqs: Vec<i64> = batch.iter().map(|(seq, _)| *seq).collect();
            return Ok(self.publish(batch, &seqs, !more).await && more);
        }
        let floor = self.reading.floor();
        let in_flight = self.flight.above(floor);
        let source = self.relay.db.service();
        let batch = store::read(&mut self.conn, source, floor, &in_flight, limit as i64).await?;
        if batch.is_empty() {
            self.reading.saw([], true, Instant::now());
            return Ok(false);
        }
        let full = batch.len() == limit;
        if full {
            self.state.read_next();
        }
        if !self.leading() {
            return Ok(true); // the process was held up while reading
        }
        let seqs: Vec<i64> = batch.iter().map(|(seq, _)| *seq).collect();
        Ok(self.publish(batch, &seqs, !full).await && full)
    }

    /// Publishes rows under these numbers; `all` that there are. Tells whether the bus took them.
    async fn publish(&mut self, batch: Vec<(i64, Event)>, seqs: &[i64], all: bool) -> bool {
        let since = Instant::now();
        let go = self.flight.take_in(batch, since);
        self.reading.saw(seqs.iter().copied(), all, since);
        self.hand_over(go).await
    }

    /// Publishes what is under way from now on. Tells whether the bus took it; else everything is read again, also when
    /// only the connection is another one than what is under way went by.
    async fn hand_over(&mut self, events: Vec<(i64, Event)>) -> bool {
        if events.is_empty() {
            return true;
        }
        crash::seam("relay.before_publish");
        match self.relay.bus.publish(events, self.flight.link(), &self.confirmations.0).await {
            Ok(link) => {
                self.flight.went_by(link);
                crash::seam("relay.after_publish");
                true
            }
            Err(error) => {
                tracing::debug!(error = %error, "the bus did not take a batch");
                self.state.set_flowing(false);
                self.trouble.failed(Instant::now());
                self.away_until = Instant::now() + self.relay.config.poll / 2;
                self.forget_flight(); // the next poll tries again
                false
            }
        }
    }

    /// Takes in confirmations: removes what was taken; what was refused is published again later, oldest first. Tells
    /// whether that left something to read.
    async fn settle(&mut self, confirmed: &mut Vec<Confirmation>) -> Result<bool> {
        crash::seam("relay.after_confirm");
        let mut taken = Vec::with_capacity(confirmed.len());
        let mut refused = false;
        for confirmation in confirmed.drain(..) {
            if self.flight.holds(confirmation.seq) {
                match confirmation.taken {
                    true => taken.push(confirmation.seq),
                    false => refused = true,
                }
            }
        }
        if !taken.is_empty() {
            store::delete(&mut self.conn, &taken).await?;
            crash::seam("relay.after_delete");
            self.last_confirmed = Instant::now();
            self.deadline.confirmed(self.last_confirmed);
            self.trouble.worked();
            self.state.set_flowing(true);
            self.state.removed(taken.len());
            self.dead += taken.len();
        }
        if refused {
            if taken.is_empty() {
                self.trouble.failed(Instant::now()); // a connection may take all, and be lost with it
            }
            // No later one of its key has been taken: begin again with the oldest row.
            self.forget_flight();
            self.state.set_flowing(false);
            return Ok(false);
        }
        if !self.leading() {
            self.forget_flight(); // whoever leads next begins with the oldest row
            return Ok(true);
        }
        let next = self.flight.confirmed(&taken, Instant::now());
        self.hand_over(next).await;
        Ok(false) // what there was no room for is still known to be there
    }

    /// Whether the connection that events went by takes nothing for now: more of them would only pile up in it.
    fn is_held_up(&mut self) -> bool {
        let held_up = self.flight.link().is_some_and(|link| self.relay.bus.held_up(link));
        if held_up && !self.held_up {
            tracing::warn!(
                service = %self.relay.db.service(),
                in_flight = self.flight.len(),
                "the broker is short of memory or disk and holds up who publishes; events wait in the outbox"
            );
        }
        self.held_up = held_up;
        held_up
    }

    /// On a shared bus a confirmation that does not come means a dead connection, unless the broker holds it up: nothing can
    /// be said to it then, not even that it ends. In one process it only means that a consumer waits for its database, and
    /// publishing again would pile up duplicates.
    async fn check_deadline(&mut self) {
        if self.is_held_up() {
            self.trouble.worked(); // it is reached, and holds up whoever publishes
            self.flight.put_off(Instant::now());
            if self.state.backlog() > 0 {
                self.state.set_flowing(false);
            }
            return;
        }
        if self.relay.bus.shared() && self.flight.is_overdue(self.deadline.limit(Instant::now())) {
            tracing::warn!(in_flight = self.flight.len(), "confirmations are overdue; publishing again");
            self.deadline.missed();
            self.trouble.failed(Instant::now());
            self.state.set_flowing(false);
            let link = self.flight.link();
            self.forget_flight();
            if let Some(link) = link {
                self.relay.bus.reset(link).await;
            }
        }
    }

    /// Late confirmations of what is forgotten go to a closed channel; their rows are published again.
    fn forget_flight(&mut self) {
        self.flight.clear();
        self.reading = Reading::default();
        self.confirmations = mpsc::unbounded_channel();
    }

    async fn recount(&mut self) -> Result<()> {
        if self.dead >= DEAD {
            // Every read begins at the oldest row, so it passes over what was removed: measured, that was the
            // dearest statement of all. Autovacuum comes once a minute at most.
            self.vacuum.due();
            self.dead = 0;
        }
        let (count, oldest, horizon) = store::count(&mut self.conn).await?;
        self.reading.all_ended_below(horizon, Instant::now());
        if oldest.is_some_and(|oldest| oldest <= self.reading.floor() && !self.flight.holds(oldest)) {
            // Against the rule that the floor rests on; nothing may be left lying for it.
            tracing::warn!(oldest, floor = self.reading.floor(), "an event lies below the relay's floor");
            self.reading = Reading::default();
        }
        self.state.set_backlog(count);
        let moving = count == 0 || oldest != self.oldest;
        self.oldest = oldest;
        if !self.leading() || self.last_confirmed.elapsed() > Duration::from_secs(2) {
            self.state.set_flowing(moving && self.reach.reached());
        }
        Ok(())
    }

    /// One last pass: what is committed is handed to a broker that keeps it. In one process the rows wait in the
    /// outbox for the next start instead, because the consumers have stopped.
    async fn finish(&mut self) -> Result<()> {
        let deadline = Instant::now() + self.relay.config.final_pass;
        let mut more = self.relay.bus.shared();
        let mut confirmed = Vec::new();
        while self.leading() && Instant::now() < deadline {
            if more && self.has_room() {
                more = self.publish_next().await?;
            }
            if self.flight.is_empty() && !more || !self.relay.bus.shared() {
                break;
            }
            let received = self.confirmations.1.recv_many(&mut confirmed, 2 * self.relay.config.batch);
            if tokio::time::timeout_at(deadline, received).await.is_err() {
                break;
            }
            more |= self.settle(&mut confirmed).await?;
        }
        while let Ok(confirmation) = self.confirmations.1.try_recv() {
            confirmed.push(confirmation);
        }
        self.settle(&mut confirmed).await?;
        self.give_back().await
    }
}

/// Rings the bell whenever another replica says that it has committed events.
async fn listen(db: &Db, state: Arc<OutboxState>) -> Result<tokio::task::JoinHandle<()>> {
    let mut conn = db.dedicated("").await?;
    conn.batch_execute(&format!("LISTEN {CHANNEL}")).await?;
    Ok(tokio::spawn(async move {
        let mut notifications = std::pin::pin!(conn.notifications_stream());
        while let Some(Ok(_)) = notifications.next().await {
            state.ring();
        }
        // The connection is gone; the poll stands in until the relay's own connection fails too.
    }))
}
