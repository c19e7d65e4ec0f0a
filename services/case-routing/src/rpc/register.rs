//! Registration and intake: what comes in at the window, parsed, and the command it becomes.

use std::sync::Arc;

use chassis::{
    Error, Result, Timestamp,
    auth::Caller,
    clock::new_id,
    command::{Decide, Decision, Executor, Meta, Target, once},
    crypto::Crypto,
    db::{Origin as Cause, Tx},
    proto::case_routing::v1 as pb,
    topology::UnitKind,
};
use uuid::Uuid;

use super::{
    desk::{Desk, told},
    parse,
};
use crate::{
    atlas::World,
    codes,
    domain::{
        self, Case, CaseId, Channel, IntakeCase, Nature, OrgId, Origin, PersonRef, Point, RegisterCase,
        RouteChoice, Suggestion, TriageCase, UnitId, Urgency,
    },
    reach,
    record::CaseRecord,
    redact::redact,
    store::read,
    verb::{act, decided, party, refused},
};

/// Purpose under which original texts are sealed.
pub const TEXT: &str = "case_text";
/// Purpose of the index by which a client's own reference is found again.
const CLIENT_REF: &str = "client_ref";
/// Purpose of the index that stands for a caller who asks anonymously.
const HIDDEN: &str = "anonymous_caller";

/// What a request says, checked as far as the request alone tells.
#[derive(Debug, Clone)]
pub struct Entry {
    text: String,
    place: Uuid,
    grid: Option<String>,
    point: Option<Point>,
    channel: Channel,
    item_code: Option<String>,
    anonymous: bool,
    vulnerable: bool,
    requester: Option<Uuid>,
    noticed: bool,
    urgency: Urgency,
    agrees_to_society: bool,
    origin: Origin,
    subject_org: Option<OrgId>,
    client_ref: Option<String>,
}

impl TryFrom<&pb::RegisterCaseRequest> for Entry {
    type Error = Error;

    fn try_from(request: &pb::RegisterCaseRequest) -> Result<Self> {
        let length = request.text.chars().count();
        if !(1..=20_000).contains(&length) || request.text.trim().is_empty() {
            return Err(Error::invalid("text", "must have 1–20000 characters"));
        }
        if request.text.contains('\0') {
            return Err(Error::invalid("text", "must not contain NUL"));
        }
        let client_ref = &request.client_ref;
        if client_ref.len() > 64 || !client_ref.chars().all(|c| c.is_ascii_graphic()) {
            return Err(Error::invalid("client_ref", "must have at most 64 visible ASCII characters"));
        }
        Ok(Self {
            text: request.text.clone(),
            place: parse::id("place_unit_id", &request.place_unit_id)?,
            grid: parse::grid_code("grid_code", &request.grid_code)?,
            point: parse::point("point", request.point.as_ref())?,
            channel: parse::word("channel", request.channel, codes::channel_from, Some(Channel::Window))?,
            item_code: some(&request.item_code),
            anonymous: request.anonymous,
            vulnerable: request.vulnerable,
            requester: parse::optional_id("requester_id", &request.requester_id)?,
            noticed: match request.notice_version.len() {
                0 => false,
                1..=64 => true,
                _ => return Err(Error::invalid("notice_version", "must have at most 64 characters")),
            },
            urgency: parse::word("urgency", request.urgency, codes::urgency_from, Some(Urgency::Normal))?,
            agrees_to_society: request.agrees_to_society,
            origin: parse::word("origin", request.origin, codes::origin_from, Some(Origin::BottomUp))?,
            subject_org: parse::optional_id("subject_org_id", &request.subject_org_id)?,
            client_ref: some(client_ref),
        })
    }
}

impl TryFrom<&pb::IntakeCaseRequest> for Entry {
    type Error = Error;

    fn try_from(request: &pb::IntakeCaseRequest) -> Result<Self> {
        let common = pb::RegisterCaseRequest {
            request_id: String::new(),
            text: request.text.clone(),
            place_unit_id: request.place_unit_id.clone(),
            channel: request.channel,
            item_code: request.item_code.clone(),
            anonymous: request.anonymous,
            vulnerable: request.vulnerable,
            requester_id: request.requester_id.clone(),
            notice_version: request.notice_version.clone(),
            urgency: request.urgency,
            agrees_to_society: request.agrees_to_society,
            origin: request.origin,
            client_ref: request.client_ref.clone(),
            grid_code: request.grid_code.clone(),
            point: request.point,
            subject_org_id: request.subject_org_id.clone(),
        };
        if request.item_code.is_empty() {
            return Err(Error::invalid("item_code", "intake names the item"));
        }
        Self::try_from(&common)
    }
}

fn some(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

impl Entry {
    /// The command, checked against the catalogue, the topology and what the caller may enter.
    fn command(
        self,
        world: &World,
        caller: &Caller,
        case_id: CaseId,
        case_no: String,
        now: Timestamp,
    ) -> Result<RegisterCase> {
        let item = self.item_code.as_deref().map(|code| {
            let known = world.item(code, now);
            known.ok_or_else(|| Error::invalid("item_code", "no such item in the catalogue"))
        });
        let item = item.transpose()?;
        let path = world.open_path(self.place);
        let path = path.ok_or_else(|| Error::invalid("place_unit_id", "no such unit"))?;
        let own = caller.is_self_only();
        let line = item.and_then(|item| item.lines.first()).map(String::as_str);
        if !own && !reach::covers(caller, &path, line) && !reach::sends_from(caller, &path, line) {
            return Err(Error::Forbidden);
        }
        if self.anonymous && item.is_some_and(|item| !item.accepts_anonymous) {
            return Err(Error::invalid("anonymous", "this item needs a requester"));
        }
        // A resident's own word hastens nothing before somebody has looked at it: until then it is as urgent as its item.
        let urgency = if own { item.map_or(Urgency::Normal, |item| item.urgency) } else { self.urgency };
        if !self.noticed && !self.anonymous && urgency != Urgency::Emergency {
            return Err(Error::invalid("notice_version", "the privacy notice must have been shown"));
        }
        if self.anonymous && self.requester.is_some() && !own {
            return Err(Error::invalid("requester_id", "an anonymous request has no requester"));
        }
        let requester = if self.anonymous {
            None
        } else if own {
            Some(caller.person_id)
        } else {
            self.requester
        };
        let receiver = receiver(world, caller, &path, now);
        let receiver =
            receiver.ok_or_else(|| Error::invalid("place_unit_id", "nobody receives requests there"))?;
        let complained_of = self.subject_org.map(|org| complained_of(world, org)).transpose()?;
        Ok(RegisterCase {
            case_id,
            case_no,
            channel: self.channel,
            origin: self.origin,
            // Until triage, a request of unknown matter is a call for help, or a report when nobody asks.
            nature: item
                .map_or(if self.anonymous { Nature::Report } else { Nature::Help }, |item| item.nature),
            item_code: self.item_code,
            urgency: self.urgency,
            anonymous: self.anonymous,
            vulnerable: self.vulnerable,
            requester: requester.map(|person| PersonRef(reach::requester_ref(person))),
            place_unit: UnitId(self.place),
            grid: self.grid,
            point: self.point,
            receiver,
            text_redacted: redact(&self.text),
            text_ref: Some(case_id.0),
            complained_of,
            society_agreed: self.agrees_to_society,
        })
    }
}

/// The organisation that a request complains of, if there is such a one.
fn complained_of(world: &World, org: OrgId) -> Result<OrgId> {
    let known = world.routes.org(org).map(|known| known.id);
    known.ok_or_else(|| Error::invalid("subject_org_id", "no such organisation"))
}

/// Who receives a request: the official's own organisation; for residents the nearest window above the place.
pub fn receiver(world: &World, caller: &Caller, path: &[Uuid], now: Timestamp) -> Option<OrgId> {
    let known = |org: &Uuid| world.routes.org(OrgId(*org)).is_some_and(|org| org.in_force(now));
    let own = reach::part_orgs(caller);
    let session = caller.org_id.filter(|org| own.contains(org));
    if let Some(org) = session.or_else(|| own.first().copied()).filter(known) {
        return Some(OrgId(org));
    }
    window_above(world, path, now)
}

/// The nearest window above a place.
pub fn window_above(world: &World, path: &[Uuid], now: Timestamp) -> Option<OrgId> {
    let path: Vec<UnitId> = path.iter().copied().map(UnitId).collect();
    world.routes.window_above(&path, now)
}

/// By what a client's own reference is found again: neither the person, nor whoever else it is one of, nor the reference can
/// be read from it.
pub fn client_key(crypto: &Crypto, owner: Uuid, client_ref: &str) -> Vec<u8> {
    crypto.blind_index(CLIENT_REF, [owner.as_bytes(), client_ref.as_bytes()].concat()).to_vec()
}

/// A case comes into being.
struct Create {
    world: Arc<World>,
    seed: Uuid,
    command: RegisterCase,
    /// Triage and routing at once.
    at_once: Option<TriageCase>,
    /// By which the machine triages it, unless a human has to look first.
    suggestion: Option<Suggestion>,
    sealed_text: Vec<u8>,
    client_key: Option<Vec<u8>>,
}

impl Create {
    /// A resident asks without giving a name: nothing that is stored or told may lead back to them.
    fn is_hidden(&self, by: &Caller) -> bool {
        self.command.anonymous && by.is_self_only()
    }
}

impl Decide<CaseRecord> for Create {
    fn decide(
        &self,
        _current: Option<&CaseRecord>,
        by: &Caller,
        now: Timestamp,
    ) -> Result<Decision<CaseRecord>> {
        let mut who = party(None, by);
        if by.is_self_only() {
            who.actor = PersonRef(reach::requester_ref(by.person_id));
        }
        if self.is_hidden(by) {
            who.actor = PersonRef::anonymous();
        }
        let act = act(&self.world, self.seed, who, now);
        let register = self.command.clone();
        let decision: domain::Result<domain::Decision> = match &self.at_once {
            None => match &self.suggestion {
                None => Case::register(register, &act),
                Some(suggestion) => Case::register_triaged(register.clone(), suggestion.clone(), &act)
                    .or_else(|_| Case::register(register, &act)),
            },
            Some(triage) => {
                let intake = IntakeCase { register, triage: triage.clone(), route: RouteChoice::Auto };
                Case::intake(intake, &act)
            }
        };
        let decision = decision.map_err(|error| refused(self.command.case_id, error))?;
        let mut decided = decided(None, decision, by);
        decided.aggregate.pending.sealed_text = Some(self.sealed_text.clone());
        decided.aggregate.pending.client_key.clone_from(&self.client_key);
        if self.is_hidden(by) {
            // No actor, and neither the request id nor the trace: both begin where the caller signed in.
            let cause = Arc::new(Cause { traceparent: None, ..Cause::new(None) });
            let events = decided.events.into_iter();
            decided.events = events.map(|emit| emit.with_origin(cause.clone())).collect();
        }
        Ok(decided)
    }
}

impl Desk {
    /// Registers a case, and with `at_once` takes it in, triages and routes it too. A second one with the same client
    /// reference is the first.
    pub async fn create<R>(
        &self,
        caller: &Caller,
        meta: Meta,
        entry: Entry,
        at_once: bool,
        wrap: impl Fn(Option<pb::Case>) -> R + Send + Sync + Clone + 'static,
    ) -> Result<R>
    where
        R: prost::Message + Default + 'static,
    {
        let hidden = (entry.anonymous && caller.is_self_only()).then(|| self.hidden(caller));
        let caller = hidden.as_ref().unwrap_or(caller);
        let client_key =
            entry.client_ref.as_deref().map(|text| client_key(&self.crypto, caller.person_id, text));
        if let Some(known) = self.known(client_key.as_deref()).await? {
            return self.again(caller, meta, wrap(Some(known))).await;
        }
        let world = self.atlas.world();
        let triage = at_once.then(TriageCase::default);
        let (command, sealed_text) = self.entered(&world, caller, entry).await?;
        let case_id = command.case_id;
        let without_item = !at_once && command.item_code.is_none();
        let now = self.clock.now();
        let suggestion =
            without_item.then(|| self.models.by_itself(&world, now, &command.text_redacted)).flatten();
        let takes = |code: &str| world.item(code, now).is_some_and(|item| item.accepts_anonymous);
        let suggestion = suggestion.filter(|known| !command.anonymous || takes(known.first()));
        let create = Create {
            world: world.clone(),
            seed: new_id(),
            command,
            at_once: triage,
            suggestion,
            sealed_text,
            client_key: client_key.clone(),
        };
        let answer = {
            let wrap = wrap.clone();
            move |record: &CaseRecord| wrap(Some(told(record, &world)))
        };
        let made =
            Executor::execute(&self.executor, caller, meta, case_id, Target::New, create, answer).await;
        match made {
            // The same case came in twice at the same time.
            Err(error @ Error::AlreadyExists { kind: CLIENT_REF, .. }) => {
                match self.known(client_key.as_deref()).await? {
                    Some(known) => self.again(caller, meta, wrap(Some(known))).await,
                    None => Err(error),
                }
            }
            made => made,
        }
    }

    /// What an entry becomes: the command, with a fresh id and number, and its original text sealed.
    pub async fn entered(
        &self,
        world: &World,
        caller: &Caller,
        entry: Entry,
    ) -> Result<(RegisterCase, Vec<u8>)> {
        let case_id = CaseId(new_id());
        let case_no = self.case_no(world, entry.place).await?;
        let text = entry.text.clone();
        let command = entry.command(world, caller, case_id, case_no, self.clock.now())?;
        Ok((command, self.crypto.seal(TEXT, text.as_bytes(), case_id.0.as_bytes())))
    }

    /// A caller as the store knows them who asks anonymously: repeats are told by a keyed index, because the stored answer
    /// stands beside the case in time.
    pub fn hidden(&self, caller: &Caller) -> Caller {
        let index = self.crypto.blind_index(HIDDEN, caller.person_id.as_bytes());
        let mut id = [0; 16];
        id.copy_from_slice(&index[..16]);
        let actor_ref = PersonRef::anonymous().0;
        Caller { person_id: Uuid::from_bytes(id), actor_ref, ..caller.clone() }
    }

    /// The case that was made under a client's own reference. Knowing the reference is proof enough: who asked
    /// anonymously does not reach the case otherwise.
    async fn known(&self, client_key: Option<&[u8]>) -> Result<Option<pb::Case>> {
        let Some(key) = client_key else { return Ok(None) };
        let mut conn = self.db.conn().await?;
        let Some(id) = read::by_client_key(&mut conn, key).await? else { return Ok(None) };
        let record = read::case(&mut conn, id).await?;
        Ok(record.map(|record| told(&record, &self.atlas.world())))
    }

    /// Answers with a case that is there already: a repeat of a request with the answer of then.
    async fn again<R>(&self, caller: &Caller, meta: Meta, answer: R) -> Result<R>
    where
        R: prost::Message + Default + 'static,
    {
        once(&self.db, caller, meta, async move |_: &mut Tx<'_>| Ok(answer)).await
    }

    /// A fresh number in the district of a place.
    pub async fn case_no(&self, world: &World, place: Uuid) -> Result<String> {
        let district =
            world.topology.ancestor(place, UnitKind::District).or_else(|| world.topology.unit(place));
        let district = district.ok_or_else(|| Error::invalid("place_unit_id", "no such unit"))?;
        self.numbers.next(&district.code, calendar::local_day(self.clock.now())).await
    }
}
