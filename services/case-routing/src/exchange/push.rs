//! A ticket becomes a case, once, whoever pushes it how often at the same time; what is pushed later is added to it. Everything of
//! one push is one transaction.

use std::sync::Arc;

use chassis::{
    Error, Result, Timestamp,
    auth::Caller,
    clock::{new_id, to_proto},
    command::{Commands, Decide, Decision, Meta, once},
    crypto::Crypto,
    db::{Origin as Cause, Tx},
    proto::case_routing::v1 as pb,
    topology::UnitKind,
};
use diesel_async::AsyncPgConnection;
use uuid::Uuid;

use super::{Mappings, TICKET, joint::Joint};
use crate::{
    atlas::World,
    codes,
    domain::{
        Act, Case, CaseId, CaseState, Channel, IntakeCase, Nature, Origin, PersonRef, RegisterCase,
        RouteChoice, TicketId, TriageCase, UnitId, Urgency,
        exchange::{ExternalLink, MOST_REMARKS, Mapping, Paper, Pushed, is_masked},
    },
    reach,
    record::{CaseRecord, NewTicket},
    redact::redact,
    remark::{Words, heard},
    rpc::{Desk, TEXT, receiver},
    store::{
        case_store::CaseStore,
        exchange::{
            referrals,
            systems::{self, System},
            tickets::{self, Ticket},
        },
        read,
    },
    verb::{Verb, act, barred, decided, party, refused},
};

/// How often a push is begun anew because the same number came in at the same time.
const TRIES: usize = 4;

/// A push, checked as far as the request alone tells.
#[derive(Debug, Clone)]
pub struct Push {
    pub ext_no: String,
    pub pushed: Pushed,
    pub urgency: Urgency,
    pub reported_at: Option<Timestamp>,
}

/// Takes tickets in.
#[derive(Clone)]
pub struct Pusher {
    pub desk: Desk,
    pub mappings: Mappings,
}

/// What a push will do.
enum Plan {
    Take(Box<Take>),
    Add(Box<Ticket>),
}

impl Pusher {
    /// Takes one ticket in. With the meta of a request the answer is kept under its id; the number alone makes it one case.
    ///
    /// # Errors
    /// `Invalid`; `Forbidden` for what lies outside the places and lines granted to the client, whether its number is known or
    /// not; `WrongState` for a system that is paused or does not push, for too many remarks, and for words to a case that is
    /// archived; `Unavailable` when others push the same number again and again.
    pub async fn push(
        &self,
        caller: &Caller,
        system: &System,
        push: &Push,
        meta: Option<Meta>,
    ) -> Result<pb::PushTicketResponse> {
        if !system.pushes() {
            return Err(Error::wrong_state(systems::KIND, &system.system_code, "it only takes tickets"));
        }
        system.must_be_on()?;
        for _ in 0..TRIES {
            let plan = self.plan(caller, system, push).await?;
            let done = match meta {
                Some(meta) => {
                    once(&self.desk.db, caller, meta, async |tx: &mut Tx<'_>| {
                        self.carry_out(tx, caller, push, plan).await
                    })
                    .await
                }
                None => {
                    self.desk.db.gate().admit().await?;
                    let origin = Arc::new(Cause::new(Some(caller.actor_ref.clone())));
                    self.desk
                        .db
                        .transaction(async |tx: &mut Tx<'_>| {
                            tx.set_origin(Some(origin));
                            self.carry_out(tx, caller, push, plan).await
                        })
                        .await
                }
            };
            match done {
                // Somebody else took it in meanwhile: then it is known now. Or its case was merged, or taken out.
                Err(Error::AlreadyExists { kind: tickets::KIND, .. } | Error::Stale { .. }) => {}
                done => return done,
            }
        }
        Err(Error::unavailable("the same ticket is being changed at the same time"))
    }

    async fn plan(&self, caller: &Caller, system: &System, push: &Push) -> Result<Plan> {
        let mut conn = self.desk.db.conn().await?;
        let mapping = self.mappings.get(&mut conn, &system.system_code, system.mapping_version).await?;
        let world = self.desk.atlas.world();
        let matter = Matter::of(&world, &mapping, push, self.desk.clock.now())?;
        if let Some(known) = tickets::by_number(&mut conn, &system.system_code, &push.ext_no).await? {
            let before = self.before(&mut conn, &world, push, &known).await?;
            let now = before.said(&push.pushed, &matter);
            if !before.is_granted(caller, &world) || !now.is_granted(caller, &world) {
                return Err(Error::Forbidden);
            }
            return Ok(Plan::Add(Box::new(known)));
        }
        drop(conn);
        // First of all, as for a number that is known: what else is wrong tells nobody which of the two it is.
        if !matter.is_granted(caller, &world) {
            return Err(Error::Forbidden);
        }
        if push.pushed.text.trim().is_empty() {
            return Err(Error::invalid("text", "must have 1–20000 characters"));
        }
        let (ticket, case_id) = (TicketId(new_id()), CaseId(new_id()));
        let path = world.open_path(matter.place).unwrap_or_default();
        let day = calendar::local_day(self.desk.clock.now());
        let district = world.topology.ancestor(matter.place, UnitKind::District);
        let district = district.or_else(|| world.topology.unit(matter.place));
        let district = district.ok_or_else(|| Error::internal("a place without a district"))?;
        let case_no = self.desk.numbers.next(&district.code, day).await?;
        let receiver = receiver(&world, caller, &path, self.desk.clock.now());
        let receiver =
            receiver.ok_or_else(|| Error::invalid("area_code", "nobody receives requests there"))?;
        let paper = Paper::first(&push.pushed);
        let register = RegisterCase {
            case_id,
            case_no,
            channel: Channel::External,
            origin: Origin::BottomUp,
            nature: matter.nature,
            item_code: matter.item.clone(),
            urgency: push.urgency,
            anonymous: push.pushed.anonymous,
            vulnerable: false,
            // Who asked is known by the ticket, whose contact is revealed to those who call back.
            requester: (!push.pushed.anonymous).then(|| PersonRef(ticket.to_string())),
            place_unit: UnitId(matter.place),
            grid: None,
            point: None,
            receiver,
            text_redacted: redact(&push.pushed.text),
            text_ref: Some(case_id.0),
            complained_of: None,
            society_agreed: false,
        };
        Ok(Plan::Take(Box::new(Take {
            sealed_text: self.desk.crypto.seal(TEXT, push.pushed.text.as_bytes(), case_id.0.as_bytes()),
            ticket: NewTicket {
                id: ticket,
                system_code: system.system_code.clone(),
                ext_no: push.ext_no.clone(),
                mapping_version: system.mapping_version,
                class_code: paper.class_code.clone(),
                class_name: paper.class_name.clone(),
                area_code: paper.area_code.clone(),
                reported_at: push.reported_at,
                sealed: seal(&self.desk.crypto, ticket, &paper)?,
            },
            mapping,
            at_once: matter.is_mapped,
            world,
            seed: new_id(),
            register,
        })))
    }

    /// What a known ticket was about before this push: by its own words, not by what our triage made of them, or correcting
    /// line or place here would cut a system off from its own ticket. What we referred has no words of theirs and lies where
    /// its case does.
    async fn before(
        &self,
        conn: &mut AsyncPgConnection,
        world: &World,
        push: &Push,
        known: &Ticket,
    ) -> Result<Matter> {
        let mapping = self.mappings.get(conn, &known.system_code, known.mapping_version).await?;
        let record = read::case(conn, CaseId(known.case_id)).await?;
        let case = record.ok_or_else(|| Error::internal("a ticket without its case"))?.case;
        let words = Push {
            pushed: Pushed {
                class_code: known.class_code.clone(),
                area_code: known.area_code.clone(),
                // As it was taken: whoever says so only now does not get past the line.
                anonymous: case.anonymous,
                ..Pushed::default()
            },
            ..push.clone()
        };
        let mut matter = Matter::of(world, &mapping, &words, self.desk.clock.now())?;
        if known.direction == "out" {
            matter.place = case.place.unit.0;
        }
        Ok(matter)
    }

    async fn carry_out(
        &self,
        tx: &mut Tx<'_>,
        caller: &Caller,
        push: &Push,
        plan: Plan,
    ) -> Result<pb::PushTicketResponse> {
        let receipt = match plan {
            Plan::Take(take) => self.take(tx, caller, *take).await?,
            Plan::Add(ticket) => self.add(tx, caller, push, *ticket).await?,
        };
        Ok(pb::PushTicketResponse { receipt: Some(receipt) })
    }

    async fn take(&self, tx: &mut Tx<'_>, caller: &Caller, take: Take) -> Result<pb::TicketReceipt> {
        let (id, ticket, mapping) = (take.register.case_id, take.ticket.clone(), take.mapping.clone());
        let commands: Commands<CaseStore> = vec![(id, Box::new(take))];
        let records = self.desk.executor.apply(tx, caller, commands).await?;
        let record = records.first().ok_or_else(|| Error::internal("a command without its aggregate"))?;
        let case = &record.case;
        let (outcome, taken_at) = (pb::PushOutcome::Taken, case.registered_at);
        Ok(receipt(case, case, ticket.id, &ticket.ext_no, &mapping, outcome, taken_at))
    }

    async fn add(
        &self,
        tx: &mut Tx<'_>,
        caller: &Caller,
        push: &Push,
        ticket: Ticket,
    ) -> Result<pb::TicketReceipt> {
        let (id, case_id) = (TicketId(ticket.ticket_id), CaseId(ticket.case_id));
        // The case first, so that pushes of one number come one after the other.
        let Joint { own: mut record, original } = Joint::lock(tx, case_id).await?;
        let mapping = self.mappings.get(tx.conn, &ticket.system_code, ticket.mapping_version).await?;
        let mut outcome = pb::PushOutcome::Unchanged;
        // Of what we referred, the text is ours: there is nothing to add to.
        if let Some(sealed) = tickets::sealed(tx.conn, id).await? {
            let paper = open(&self.desk.crypto, id, &sealed)?;
            // Of an anonymous case nobody becomes known by a later push.
            let anonymous = push.pushed.anonymous || record.case.anonymous;
            let pushing = paper.push(&Pushed { anonymous, ..push.pushed.clone() }, tx.now);
            if pushing.paper.remarks.len() > MOST_REMARKS {
                return Err(Error::wrong_state(tickets::KIND, id, "it has too many remarks"));
            }
            if pushing.remarked {
                record = self.tell(tx, caller, id, &push.pushed.text, (&record, original.as_ref())).await?;
            }
            if pushing.changed {
                let sealed = seal(&self.desk.crypto, id, &pushing.paper)?;
                let at = pushing.remarked.then_some(tx.now);
                tickets::add(tx.conn, id, &pushing.paper, &sealed, at).await?;
                outcome = pb::PushOutcome::Added;
            }
        }
        let stands = original.as_ref().map_or(&record.case, |original| &original.case);
        Ok(receipt(&record.case, stands, id, &push.ext_no, &mapping, outcome, ticket.taken_at))
    }

    /// The people of a ticket's case hear what is new, and those of the one that it was merged into. Where the matter is over nobody
    /// works on it any more: whoever took it from here hears it, or else whoever received it first is reminded; so they
    /// are where it does not get there (`undelivered`), also where they said so much of what did not get there before.
    async fn tell(
        &self,
        tx: &mut Tx<'_>,
        caller: &Caller,
        ticket: TicketId,
        text: &str,
        (own, original): (&CaseRecord, Option<&CaseRecord>),
    ) -> Result<CaseRecord> {
        let (world, own) = (self.desk.atlas.world(), &own.case);
        let stands = original.map_or(own, |original| &original.case);
        stands.takes_words().map_err(|error| barred(tickets::KIND, ticket, &error))?;
        let complaint = own.complaint();
        let hears = original.is_none() || stands.hears(own.id, complaint.as_ref());
        let over = hears && stands.state.is_finished();
        let takers = if over { referrals::takers(tx.conn, stands.id).await? } else { Vec::new() };
        let remark = |case: Case, act: Act<'_>, _: &Caller| case.remark(&act);
        let verb = Verb::new(world.clone(), own.id, None, remark);
        let mut commands: Commands<CaseStore> = vec![(own.id, Box::new(verb))];
        if original.is_some() && hears {
            let words = Words::heard(&self.desk.crypto, own, text);
            commands.push((stands.id, heard(world.clone(), stands.id, own, None, words)));
        }
        // Whoever was reminded that nothing gets there, and has seen to that, knows nothing of these words.
        let unread = if takers.is_empty() {
            over
        } else {
            stands.was_undelivered() && referrals::has_outstanding(tx.conn, stands.id).await?
        };
        if unread {
            let remind = |case: Case, act: Act<'_>, _: &Caller| case.said_after_end(&act);
            commands.push((stands.id, Box::new(Verb::new(world, stands.id, None, remind))));
        }
        let records = self.desk.executor.apply(tx, caller, commands).await?;
        if !takers.is_empty() {
            let (words, now) = (redact(text), self.desk.clock.real_now());
            referrals::pass_on(&*tx.conn, stands, &takers, ticket, &words, tx.now, now).await?;
        }
        let told = records.into_iter().next();
        told.ok_or_else(|| Error::internal("a command without its aggregate"))
    }
}

/// What a push is about, in our words.
#[derive(Clone)]
struct Matter {
    item: Option<String>,
    line: Option<String>,
    nature: Nature,
    place: Uuid,
    /// Item and place are known, so that nobody has to triage it.
    is_mapped: bool,
}

impl Matter {
    fn of(world: &World, mapping: &Mapping, push: &Push, now: Timestamp) -> Result<Self> {
        let anonymous = push.pushed.anonymous;
        let item = mapping.item(&push.pushed.class_code).and_then(|code| world.item(code, now));
        // Whoever does not want to be known gets a human's look, not a refusal, where the matter needs somebody who asks.
        let item =
            item.filter(|item| !anonymous || (item.accepts_anonymous && item.nature.may_be_anonymous()));
        let unit = mapping.unit(&push.pushed.area_code).and_then(|code| world.topology.unit_by_code(code));
        let unknown = if anonymous { Nature::Report } else { Nature::Help };
        let district = world.district().and_then(|path| path.last().copied());
        let place = unit.as_ref().map(|unit| unit.id).or(district);
        Ok(Self {
            nature: item.map_or(unknown, |item| item.nature),
            is_mapped: item.is_some() && unit.is_some(),
            line: item.and_then(|item| item.lines.first().cloned()),
            item: item.map(|item| item.item_code.clone()),
            place: place.ok_or_else(|| Error::unavailable("the units are not known yet"))?,
        })
    }

    /// With what a further push says otherwise; what it leaves out or masks stays.
    fn said(&self, pushed: &Pushed, matter: &Self) -> Self {
        let says = |code: &str| !code.trim().is_empty() && !is_masked(code);
        let line = if says(&pushed.class_code) { matter } else { self }.line.clone();
        let place = if says(&pushed.area_code) { matter } else { self }.place;
        Self { line, place, ..self.clone() }
    }

    /// Whether the client may hand it in.
    fn is_granted(&self, caller: &Caller, world: &World) -> bool {
        let path = world.open_path(self.place).unwrap_or_default();
        reach::sends_from(caller, &path, self.line.as_deref())
    }
}

/// A ticket comes in as a case.
#[derive(Clone)]
struct Take {
    world: Arc<World>,
    seed: Uuid,
    register: RegisterCase,
    /// Taken in, triaged and routed at once, as the window does.
    at_once: bool,
    ticket: NewTicket,
    mapping: Arc<Mapping>,
    sealed_text: Vec<u8>,
}

impl Decide<CaseRecord> for Take {
    fn decide(
        &self,
        _current: Option<&CaseRecord>,
        by: &Caller,
        now: Timestamp,
    ) -> Result<Decision<CaseRecord>> {
        let act = act(&self.world, self.seed, party(None, by), now);
        let register = || self.register.clone();
        let intake = || {
            let (triage, route) = (TriageCase::default(), RouteChoice::Auto);
            Case::intake(IntakeCase { register: register(), triage, route }, &act)
        };
        // What cannot be routed by itself waits for a human like what no mapping knows.
        let taken = self.at_once.then(intake).and_then(std::result::Result::ok);
        let decision = match taken {
            Some(decision) => Ok(decision),
            None => Case::register(register(), &act),
        };
        let mut decision = decision.map_err(|error| refused(self.register.case_id, error))?;
        decision.case.external.push(ExternalLink { ticket: self.ticket.id, told: 0 });
        let mut decided = decided(None, decision, by);
        let pending = &mut decided.aggregate.pending;
        pending.sealed_text = Some(self.sealed_text.clone());
        pending.ticket = Some(self.ticket.clone());
        Ok(decided)
    }
}

/// The receipt of a ticket's case; how the matter stands is told by the one that it was merged into, as changes tell it.
fn receipt(
    case: &Case,
    stands: &Case,
    ticket: TicketId,
    ext_no: &str,
    mapping: &Mapping,
    outcome: pb::PushOutcome,
    taken_at: Timestamp,
) -> pb::TicketReceipt {
    pb::TicketReceipt {
        ticket_id: ticket.to_string(),
        ext_no: ext_no.to_owned(),
        case_no: case.case_no.clone(),
        state: codes::case_state(stands.state).into(),
        external_status: mapping.status(stands.state, stands.closed_code).unwrap_or_default().to_owned(),
        outcome: outcome.into(),
        awaits_triage: matches!(stands.state, CaseState::Registered | CaseState::Accepted),
        taken_time: Some(to_proto(taken_at)),
        over: stands.state.is_finished(),
    }
}

/// What was pushed, as it is stored.
///
/// # Errors
/// None that can be brought about.
fn seal(crypto: &Crypto, ticket: TicketId, paper: &Paper) -> Result<Vec<u8>> {
    let text = serde_json::to_vec(paper).map_err(Error::internal)?;
    Ok(crypto.seal(TICKET, &text, ticket.0.as_bytes()))
}

/// What was pushed.
///
/// # Errors
/// When it was sealed by a key that is gone.
pub fn open(crypto: &Crypto, ticket: TicketId, sealed: &[u8]) -> Result<Paper> {
    serde_json::from_slice(&crypto.open(TICKET, sealed, ticket.0.as_bytes())?).map_err(Error::internal)
}
