//! Sends what other systems have to hear. A ticket is taken up for the time of a lease, its first change is posted outside any
//! transaction, and the outcome is noted only if the lease still stands: whoever dies in between leaves the ticket to the next
//! sender, which posts the same change under the same id. Slow systems never hold up the others.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
    time::Duration,
};

use chassis::{
    Clock, Error, Result,
    auth::Caller,
    clock::new_id,
    command::Executor,
    crypto::Crypto,
    db::{Db, Tx},
};
use chrono::TimeDelta;
use diesel_async::AsyncPgConnection;
use opentelemetry::{
    KeyValue,
    metrics::{Counter, Gauge},
};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{SECRETS, telling, undelivered::Undelivered};
use crate::{
    atlas::Atlas,
    domain::{
        CaseId, TicketId,
        exchange::{Backoff, Failure, Sync, SyncState},
    },
    store::{
        case_store::CaseStore,
        exchange::{
            changes::{self, Claim, Claimed, Waiting},
            referrals::{self, Stuck},
            systems, tickets,
        },
    },
    webhook::{Poster, Secret, WebhookConfig, signature},
};

/// Deliveries at once, and of these to one system: of each replica.
const AT_ONCE: usize = 16;
const EACH: i64 = 4;
/// Of these kept for systems to which nothing is being delivered.
const KEPT: i64 = 1;
/// Looks for what is due between two counts of what waits.
const COUNT_EVERY: u32 = 10;
/// How long deliveries in hand may still take when the service stops.
const GRACE: Duration = Duration::from_secs(2);
/// Why an attempt failed that was not the other side's fault.
const INTERNAL: &str = "internal";
/// Delivered changes that are forgotten in one go.
const FORGET: i64 = 5_000;
/// Referrals of which it is noted in one go that nobody takes them.
const STUCK: i64 = 200;

/// Sends.
#[derive(Clone)]
pub struct Courier {
    pub db: Db,
    pub atlas: Arc<Atlas>,
    /// By which cases hear that their referrals do not get through, and as whom.
    pub executor: Executor<CaseStore>,
    pub by: Caller,
    pub clock: Clock,
    pub crypto: Crypto,
    pub poster: Poster,
    pub teller: telling::Teller,
    pub backoff: Backoff,
    pub config: WebhookConfig,
    pub meters: Meters,
}

/// What is measured.
#[derive(Clone)]
pub struct Meters {
    deliveries: Counter<u64>,
    waiting: Gauge<i64>,
}

impl Default for Meters {
    fn default() -> Self {
        let meter = opentelemetry::global::meter("jianghan");
        Self {
            deliveries: meter
                .u64_counter("jianghan.exchange.deliveries")
                .with_description("Deliveries to other systems, by outcome")
                .build(),
            waiting: meter
                .i64_gauge("jianghan.exchange.unsynced")
                .with_description("Tickets whose system does not know everything yet")
                .build(),
        }
    }
}

/// What is posted.
struct Letter {
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

/// Deliveries in hand, by system.
type InHand = HashMap<String, i64>;

impl Courier {
    /// Sends until `stop`, then finishes what is in hand and does not take long. Outages are logged and waited out.
    ///
    /// # Errors
    /// None.
    pub async fn run(self, stop: CancellationToken) -> Result<()> {
        let pause = Duration::from_millis(self.config.poll_ms.max(10));
        let mut sending: JoinSet<String> = JoinSet::new();
        let (mut in_hand, mut looks) = (InHand::new(), 0u32);
        let mut counted: Vec<(String, String)> = Vec::new();
        while !stop.is_cancelled() {
            match self.take_up(&in_hand, AT_ONCE - sending.len()).await {
                Ok(claimed) => {
                    for (ticket, lease) in claimed {
                        *in_hand.entry(ticket.system_code.clone()).or_default() += 1;
                        let courier = self.clone();
                        sending.spawn(async move {
                            courier.deliver(TicketId(ticket.ticket_id), &ticket.endpoint, lease).await;
                            ticket.system_code
                        });
                    }
                }
                Err(error) => tracing::warn!(error = %error.chain(), "nothing can be sent just now"),
            }
            tokio::select! {
                () = stop.cancelled() => break,
                Some(done) = sending.join_next(), if !sending.is_empty() => {
                    // What else that system has to hear is looked for at once.
                    let system = done.map_err(Error::task)?;
                    release(&mut in_hand, &system);
                }
                () = tokio::time::sleep(pause) => {
                    if looks.is_multiple_of(COUNT_EVERY) {
                        if let Err(error) = self.look_after(&mut counted).await {
                            tracing::warn!(error = %error.chain(), "what waits could not be counted");
                        }
                        if let Err(error) = self.look_for_stuck().await {
                            tracing::warn!(error = %error.chain(), "what is stuck was not looked for");
                        }
                    }
                    looks = looks.wrapping_add(1);
                }
            }
        }
        // What takes longer is left to its lease.
        let done = async { while sending.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(GRACE, done).await;
        Ok(())
    }

    /// Takes up what is due, as many as there is room for. Not by a clock that is wrong: what another replica has in hand might seem to
    /// be left.
    async fn take_up(&self, in_hand: &InHand, free: usize) -> Result<Vec<(Claimed, uuid::Uuid)>> {
        if free == 0 || self.clock.is_astray() {
            return Ok(Vec::new());
        }
        let in_hand: Vec<(String, i64)> =
            in_hand.iter().map(|(system, count)| (system.clone(), *count)).collect();
        let token = new_id();
        // Long enough for a delivery that takes all its time, and for noting its outcome.
        let lease = self.config.timeout_ms.saturating_add(self.config.noting_ms);
        let lease = TimeDelta::milliseconds(i64::try_from(lease).unwrap_or(80_000));
        let now = self.clock.real_now();
        let claimed = self
            .db
            .transaction(async |tx: &mut Tx<'_>| {
                let claim = Claim {
                    now,
                    lease,
                    token,
                    most: i64::try_from(free).unwrap_or(1),
                    kept: KEPT,
                    in_hand: &in_hand,
                    each: EACH,
                };
                changes::claim(tx.conn, &claim).await
            })
            .await?;
        Ok(claimed.into_iter().map(|ticket| (ticket, token)).collect())
    }

    /// Posts the first change of a ticket to the endpoint that was confirmed when it was taken up, and notes what came of it.
    async fn deliver(&self, ticket: TicketId, endpoint: &str, lease: uuid::Uuid) {
        match self.try_deliver(ticket, endpoint, lease).await {
            Ok(()) => {}
            // The lease runs out and it is tried again.
            Err(error) => {
                tracing::warn!(ticket.id = %ticket, error = %error.chain(), "a delivery was not noted")
            }
        }
    }

    async fn try_deliver(&self, ticket: TicketId, endpoint: &str, lease: uuid::Uuid) -> Result<()> {
        let mut conn = self.db.conn().await?;
        let Some(waiting) = changes::first(&mut conn, ticket).await? else {
            // Fetched meanwhile.
            drop(conn);
            return self.note(ticket, lease, None, Ok(None)).await;
        };
        let letter = self.letter(&mut conn, &waiting).await;
        drop(conn);
        let outcome = match letter {
            Ok(letter) => {
                let answer = self.poster.post(endpoint, &letter.headers, letter.body).await;
                let refers = waiting.kind == "referral";
                answer.map(|answer| refers.then(|| telling::number_in(&answer.body)).flatten())
            }
            // An outage passes. Nobody notes that nothing was sent: until a later one tells, the delivery may have been begun.
            Err(error) if error.retryable() => return Err(error),
            // A defect counts, or it would be met for ever and nobody would see it.
            Err(error) => {
                tracing::error!(ticket.id = %ticket, error = %error.chain(), "a change cannot be told");
                Err(Failure { code: INTERNAL.to_owned(), gone: false, wait_ms: None })
            }
        };
        self.note(ticket, lease, Some(waiting), outcome).await
    }

    /// A change as it is posted.
    async fn letter(&self, conn: &mut AsyncPgConnection, waiting: &Waiting) -> Result<Letter> {
        let system = systems::get(conn, &waiting.system_code).await?;
        let system = system.ok_or_else(|| Error::internal("a ticket of no system"))?;
        let change = self.teller.tell(conn, &self.atlas.world(), waiting).await?;
        let body = telling::event(&change)?;
        let secrets = match &system.sealed_secrets {
            Some(sealed) => open_secrets(&self.crypto, &system.system_code, sealed)?,
            None => Vec::new(),
        };
        let timestamp = self.clock.real_now().timestamp();
        let mut headers = vec![
            ("content-type", "application/cloudevents+json; charset=utf-8".to_owned()),
            ("webhook-id", change.change_id.clone()),
            ("webhook-timestamp", timestamp.to_string()),
        ];
        if !secrets.is_empty() {
            headers.push(("webhook-signature", signature(&secrets, &change.change_id, timestamp, &body)?));
        }
        Ok(Letter { headers, body })
    }

    async fn note(
        &self,
        ticket: TicketId,
        lease: uuid::Uuid,
        waiting: Option<Waiting>,
        outcome: Result<Option<String>, Failure>,
    ) -> Result<()> {
        let (real, backoff) = (self.clock.real_now(), self.backoff);
        let noted = self
            .db
            .transaction(async |tx: &mut Tx<'_>| {
                let handed_on = waiting.as_ref().filter(|waiting| waiting.is_handed_on());
                let cases: Vec<CaseId> = handed_on.iter().map(|waiting| CaseId(waiting.case_id)).collect();
                let reminded = self.undelivered().lock(tx, &cases).await?;
                tickets::settle(&*tx.conn, ticket, lease).await?;
                let locked = tickets::lock(&*tx.conn, &[ticket.0], Some(lease)).await?;
                let Some((_, sync)) = locked.into_iter().next() else { return Ok(None) };
                let attempts = sync.attempts;
                // A referral that was taken back meanwhile, and is or may be there: by this attempt, or by one before it that
                // nobody noted the end of.
                let refers = waiting.as_ref().is_some_and(|waiting| waiting.kind == "referral");
                let by_this = refers && outcome.as_ref().err().is_none_or(Failure::may_have_arrived);
                let is_there = by_this || waiting.is_none() && sync.maybe_there;
                let mut heard_of = false;
                let mut sync = match &outcome {
                    Ok(number) => {
                        let ids: Vec<_> = waiting.iter().map(|waiting| waiting.change_id).collect();
                        changes::delivered(tx.conn, &ids, real).await?;
                        // Counted, for it may have been fetched meanwhile.
                        let left = i32::try_from(changes::count(tx.conn, ticket).await?).unwrap_or(i32::MAX);
                        let new = sync.waiting.saturating_sub(left);
                        if let Some(number) = number {
                            self.number(tx, ticket, number).await?;
                        }
                        sync.delivered(new, real)
                    }
                    Err(failure) => {
                        if let Some(waiting) = &waiting {
                            heard_of = !changes::waits(tx.conn, waiting.change_id).await?;
                        }
                        if heard_of {
                            sync
                        } else {
                            let mut hasher = DefaultHasher::new();
                            (lease, ticket, attempts).hash(&mut hasher);
                            sync.failed(failure, real, &backoff, hasher.finish())
                        }
                    }
                };
                if is_there && !changes::tell_taken_back(&*tx.conn, &[ticket.0]).await?.is_empty() {
                    sync = sync.told(1, real);
                } else if heard_of {
                    // Acknowledged meanwhile, or not sent any more: what failed is nothing that still waits. What waits behind it
                    // has waited for this delivery, not for its lease.
                    if sync.waiting > 0 && sync.due_at.is_some_and(|due_at| due_at > real) {
                        let sync = Sync { due_at: Some(real), ..sync };
                        tickets::set_sync(&*tx.conn, &[(ticket, sync)]).await?;
                    }
                    return Ok(None);
                }
                tickets::set_sync(&*tx.conn, &[(ticket, sync.clone())]).await?;
                match handed_on {
                    // Also where it may have arrived without an answer: nobody knows that it did.
                    Some(waiting) if sync.state == SyncState::Failed => {
                        let case = CaseId(waiting.case_id);
                        // Whoever sent the case back meanwhile needs no words to it.
                        if !referrals::is_returned(tx.conn, ticket).await? {
                            self.undelivered().given_up(tx, case, &waiting.system_code).await?;
                        }
                    }
                    Some(_) if outcome.is_ok() => self.undelivered().arrived(tx, &reminded).await?,
                    _ => {}
                }
                Ok(Some(sync))
            })
            .await?;
        let Some(sync) = noted else { return Ok(()) };
        let outcome = match (&outcome, sync.state) {
            (Ok(_), _) => "delivered",
            (Err(_), SyncState::Failed) => "given_up",
            (Err(_), _) => "retried",
        };
        if let Some(waiting) = waiting {
            let system = KeyValue::new("system", waiting.system_code.clone());
            self.meters.deliveries.add(1, &[system, KeyValue::new("outcome", outcome)]);
            if sync.state == SyncState::Failed {
                tracing::error!(
                    ticket.id = %ticket, system = %waiting.system_code, cause = %sync.last_error,
                    "a ticket is given up until an operator retries it"
                );
            }
        }
        Ok(())
    }

    fn undelivered(&self) -> Undelivered<'_> {
        Undelivered { executor: &self.executor, world: self.atlas.world(), by: &self.by }
    }

    /// The number that a referral got. One that another ticket has is the other side's mistake and changes nothing.
    async fn number(&self, tx: &mut Tx<'_>, ticket: TicketId, number: &str) -> Result<()> {
        if !tickets::number_if_free(tx.conn, ticket, number).await? {
            tracing::warn!(ticket.id = %ticket, "the number given to a referral is another ticket's");
        }
        Ok(())
    }

    /// Counts what waits, and forgets what was delivered long ago: not by a clock that is wrong.
    async fn look_after(&self, counted: &mut Vec<(String, String)>) -> Result<()> {
        let mut conn = self.db.conn().await?;
        let standing = changes::standing(&mut conn).await?;
        let labels = |system: &str, state: &str| {
            [KeyValue::new("system", system.to_owned()), KeyValue::new("state", state.to_owned())]
        };
        // What was counted before and waits no more is none now.
        for (system, state) in counted.drain(..) {
            let still = |known: &changes::Standing| known.system_code == system && known.sync_state == state;
            if !standing.iter().any(still) {
                self.meters.waiting.record(0, &labels(&system, &state));
            }
        }
        for known in standing {
            self.meters.waiting.record(known.tickets, &labels(&known.system_code, &known.sync_state));
            counted.push((known.system_code, known.sync_state));
        }
        if !self.clock.is_astray() {
            let before = self.clock.real_now() - TimeDelta::days(i64::from(self.config.keep_days));
            changes::forget(&mut conn, before, FORGET).await?;
        }
        Ok(())
    }

    /// Nothing is sent to a system that is paused or has no endpoint. A referral that has waited there for so long, itself or words to
    /// it, counts as given up, though it waits on: its case has somebody who sees to it then. Not by a clock that is wrong.
    async fn look_for_stuck(&self) -> Result<()> {
        if self.clock.is_astray() {
            return Ok(());
        }
        let before = self.clock.now() - TimeDelta::hours(i64::from(self.config.untaken_hours));
        let mut conn = self.db.conn().await?;
        let found = referrals::stuck(&mut conn, before, STUCK).await?;
        drop(conn);
        for Stuck { ticket_id, case_id, system_code } in found {
            let (ticket, case) = (TicketId(ticket_id), CaseId(case_id));
            let noted = self
                .db
                .transaction(async |tx: &mut Tx<'_>| {
                    self.undelivered().lock(tx, &[case]).await?;
                    let stuck = referrals::note_stuck(tx.conn, ticket, before).await?;
                    if stuck {
                        self.undelivered().waits(tx, case, &system_code).await?;
                    }
                    Ok(stuck)
                })
                .await;
            match noted {
                Ok(true) => {
                    tracing::warn!(ticket.id = %ticket, system = %system_code, "nobody takes a referral");
                }
                Ok(false) => {}
                // It holds up none of the others.
                Err(error) => {
                    let error = error.chain();
                    tracing::warn!(ticket.id = %ticket, %error, "a stuck referral was not noted");
                }
            }
        }
        Ok(())
    }
}

fn release(in_hand: &mut InHand, system: &str) {
    if let Some(count) = in_hand.get_mut(system) {
        *count -= 1;
    }
    in_hand.retain(|_, count| *count > 0);
}

/// The secrets of a system, newest first.
///
/// # Errors
/// When they were sealed by a key that is gone.
pub fn open_secrets(crypto: &Crypto, system: &str, sealed: &[u8]) -> Result<Vec<Secret>> {
    let opened = crypto.open(SECRETS, sealed, system.as_bytes())?;
    serde_json::from_slice(&opened).map_err(Error::internal)
}

/// The secrets of a system, to be stored.
///
/// # Errors
/// None that can be brought about.
pub fn seal_secrets(crypto: &Crypto, system: &str, secrets: &[Secret]) -> Result<Vec<u8>> {
    let text = serde_json::to_vec(secrets).map_err(Error::internal)?;
    Ok(crypto.seal(SECRETS, &text, system.as_bytes()))
}
