//! A batch of another system's cases on its way: rows of a request become commands, commands cases, cases one event. Each
//! row is taken or refused for itself; nothing here touches the database.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use chassis::{
    Error, Result, Timestamp, auth::Caller, clock::to_proto, command::Change, crypto::Crypto, event::Emit,
    proto::case_routing::v1 as pb, topology::UnitKind,
};
use chrono::NaiveDate;
use uuid::{Builder, Uuid};

use crate::{
    atlas::World,
    codes,
    domain::{
        Case, CaseFacts, CaseId, Channel, DomainError, ImportCase, Imported, Nature, OrgId, Origin,
        PersonRef, RegisterCase, UnitId, Urgency,
    },
    events, reach,
    record::{CaseRecord, Pending},
    redact::redact,
    rpc::{TEXT, client_key, parse, window_above},
    verb::{act, party},
};

/// A row that the request alone does not refuse.
#[derive(Debug)]
pub struct Row {
    /// Its place in the request.
    pub index: usize,
    /// By what it is known again.
    pub key: Vec<u8>,
    /// By what it is known besides: residents register what they ask anonymously under another id.
    also: Option<Vec<u8>>,
    command: ImportCase,
    sealed_text: Option<Vec<u8>>,
    numbered: (String, NaiveDate),
}

impl Row {
    /// All keys by which it may be known.
    pub fn keys(&self) -> impl Iterator<Item = &[u8]> {
        both(&self.key, self.also.as_deref())
    }
}

fn both<'k>(key: &'k [u8], also: Option<&'k [u8]>) -> impl Iterator<Item = &'k [u8]> {
    std::iter::once(key).chain(also)
}

/// A case that is to be stored.
#[derive(Debug)]
pub struct Ready {
    pub index: usize,
    key: Vec<u8>,
    also: Option<Vec<u8>>,
    pub change: Change<CaseRecord>,
    /// Code of the district that numbers it, and the day.
    numbered: (String, NaiveDate),
    told: Told,
}

/// What the event tells of a case.
#[derive(Debug)]
pub struct Told {
    id: CaseId,
    fact: pb::ImportedFact,
    facts: CaseFacts,
}

/// What became of a request's rows so far.
#[derive(Debug, Default)]
pub struct Sorted {
    pub rows: Vec<Row>,
    pub problems: Vec<pb::ImportProblem>,
}

/// What rows are read with.
pub struct Reader<'a> {
    pub world: &'a World,
    pub crypto: &'a Crypto,
    /// The id under which a person registers what they ask anonymously.
    pub hidden: &'a dyn Fn(Uuid) -> Uuid,
    pub caller: &'a Caller,
    pub source: &'a str,
    pub now: Timestamp,
}

impl Reader<'_> {
    /// Reads every row.
    pub fn read(&self, cases: &[pb::ImportedCase]) -> Sorted {
        let mut sorted = Sorted::default();
        let mut windows = HashMap::new();
        for (index, case) in cases.iter().enumerate() {
            match self.row(index, case, &mut windows) {
                Ok(row) => sorted.rows.push(row),
                Err(error) => sorted.problems.push(problem(index, &error)),
            }
        }
        sorted
    }

    fn row(
        &self,
        index: usize,
        case: &pb::ImportedCase,
        windows: &mut HashMap<Uuid, Option<OrgId>>,
    ) -> Result<Row> {
        let client_ref = &case.client_ref;
        if client_ref.is_empty() || client_ref.len() > 64 || !client_ref.chars().all(|c| c.is_ascii_graphic())
        {
            return Err(Error::invalid("client_ref", "must have 1–64 visible ASCII characters"));
        }
        let person: Option<Uuid> = parse::optional_id("entered_by_person_id", &case.entered_by_person_id)?;
        let owner = person.unwrap_or_else(|| Uuid::new_v5(&Uuid::NAMESPACE_OID, self.source.as_bytes()));
        let key = client_key(self.crypto, owner, client_ref);
        let hidden = person.filter(|_| case.anonymous).map(self.hidden);
        let also = hidden.map(|owner| client_key(self.crypto, owner, client_ref));
        let text = case.text.as_str();
        if text.chars().count() > 20_000 || text.contains('\0') {
            return Err(Error::invalid("text", "must have at most 20000 characters, and no NUL"));
        }
        let place: Uuid = parse::id("place_unit_id", &case.place_unit_id)?;
        let item_code = (!case.item_code.is_empty()).then(|| case.item_code.clone());
        let line = item_code.as_deref().and_then(|code| self.world.items().newest(code)?.lines.first());
        let path = self.world.open_path(place);
        let path = path.filter(|path| reach::covers(self.caller, path, line.map(String::as_str)));
        let path = path.ok_or_else(|| Error::invalid("place_unit_id", "no such unit"))?;
        let receiver = *windows.entry(place).or_insert_with(|| window_above(self.world, &path, self.now));
        let receiver =
            receiver.ok_or_else(|| Error::invalid("place_unit_id", "nobody receives requests there"))?;
        let time = |field, at: &Option<prost_types::Timestamp>| parse::optional_time(field, at.as_ref());
        let registered_at = time("registered_time", &case.registered_time)?;
        let registered_at = registered_at.ok_or_else(|| Error::invalid("registered_time", "is required"))?;
        let requester: Option<Uuid> = parse::optional_id("requester_id", &case.requester_id)?;
        if case.anonymous && requester.is_some() {
            return Err(Error::invalid("requester_id", "an anonymous request has no requester"));
        }
        let state = parse::word("state", case.state, codes::case_state_from, None)?;
        let item = item_code.as_deref().and_then(|code| self.world.item(code, self.now));
        if case.anonymous && !state.is_finished() && item.is_some_and(|item| !item.accepts_anonymous) {
            return Err(Error::invalid("anonymous", "this item needs a requester"));
        }
        let case_id = CaseId(id_of(registered_at, &key));
        let district = self.world.topology.ancestor(place, UnitKind::District);
        let district = district.or_else(|| self.world.topology.unit(place));
        let district = district.ok_or_else(|| Error::invalid("place_unit_id", "no such unit"))?;
        let record = match person {
            // What a person calls a case of theirs stands nowhere.
            Some(_) => format!("import:{}", self.source),
            // Somebody's number may be in it, or be it.
            None => format!("import:{}:{}", self.source, redact(client_ref)),
        };
        let register = RegisterCase {
            case_id,
            case_no: String::new(),
            channel: parse::word("channel", case.channel, codes::channel_from, Some(Channel::External))?,
            origin: Origin::BottomUp,
            nature: if case.anonymous { Nature::Report } else { Nature::Help },
            item_code,
            urgency: parse::word("urgency", case.urgency, codes::urgency_from, Some(Urgency::Normal))?,
            anonymous: case.anonymous,
            vulnerable: case.vulnerable,
            requester: requester.map(|person| PersonRef(reach::requester_ref(person))),
            place_unit: UnitId(place),
            grid: parse::grid_code("grid_code", &case.grid_code)?,
            point: parse::point("point", case.point.as_ref())?,
            receiver,
            text_redacted: redact(text),
            text_ref: (!text.is_empty()).then_some(case_id.0),
            complained_of: None,
            society_agreed: false,
        };
        let grade = match case.grade {
            0 => None,
            grade => Some(parse::grade("grade", grade)?),
        };
        let command = ImportCase {
            register,
            source: self.source.to_owned(),
            record,
            state,
            registered_at,
            accepted_at: time("accepted_time", &case.accepted_time)?,
            resolve_due_at: time("resolve_due_time", &case.resolve_due_time)?,
            completed_at: time("completed_time", &case.completed_time)?,
            closed_at: time("closed_time", &case.closed_time)?,
            lead: parse::optional_id("lead_org_id", &case.lead_org_id)?,
            delivery_mode: parse::optional_word(
                "delivery_mode",
                case.delivery_mode,
                codes::delivery_mode_from,
            )?,
            closed_code: parse::optional_word("closed_code", case.closed_code, codes::closed_code_from)?,
            grade,
            rated_at: time("rated_time", &case.rated_time)?,
        };
        let seal = || self.crypto.seal(TEXT, text.as_bytes(), case_id.0.as_bytes());
        let sealed_text = (!text.is_empty()).then(seal);
        let numbered = (district.code.clone(), calendar::local_day(registered_at));
        Ok(Row { index, key, also, command, sealed_text, numbered })
    }

    /// Makes the cases, which have no numbers yet. The second of two rows with the same id is a duplicate, unless the first is
    /// refused.
    pub fn make(
        &self,
        rows: Vec<Row>,
        duplicates: &mut Vec<usize>,
        problems: &mut Vec<pb::ImportProblem>,
    ) -> Vec<Ready> {
        let who = party(None, self.caller);
        let mut ready = Vec::with_capacity(rows.len());
        let mut seen = HashSet::with_capacity(rows.len());
        for row in rows {
            if seen.contains(&row.key) {
                duplicates.push(row.index);
                continue;
            }
            let Row { index, key, also, command, sealed_text, numbered } = row;
            let act = act(self.world, command.register.case_id.0, who.clone(), self.now);
            let rated_at = command.rated_at.or(command.closed_at);
            match Case::import(command, &act) {
                Ok(imported) => {
                    seen.insert(key.clone());
                    ready.push(Ready::of(index, key, also, numbered, sealed_text, imported, rated_at));
                }
                Err(error) => problems.push(problem(index, &refused(error))),
            }
        }
        ready
    }
}

/// How many numbers cases need of each district's day, in order.
pub fn numbers_of(ready: &[Ready]) -> Vec<(String, NaiveDate, i32)> {
    let mut days: BTreeMap<&(String, NaiveDate), i32> = BTreeMap::new();
    for ready in ready {
        *days.entry(&ready.numbered).or_default() += 1;
    }
    days.into_iter().map(|((district, day), n)| (district.clone(), *day, n)).collect()
}

/// Numbers the cases. `last` are the last numbers that were taken for them of each day.
pub fn number(ready: &mut [Ready], last: Vec<((String, NaiveDate), i32)>) {
    let mut next: HashMap<(String, NaiveDate), i32> = last.into_iter().collect();
    for (district, day, taken) in numbers_of(ready) {
        if let Some(last) = next.get_mut(&(district, day)) {
            *last -= taken;
        }
    }
    for ready in ready {
        let number = next.entry(ready.numbered.clone()).or_default();
        *number += 1;
        let (district, day) = &ready.numbered;
        let case = Arc::make_mut(&mut ready.change.after.case);
        case.case_no = format!("{district}-{}-{number:06}", day.format("%Y%m%d"));
        // Until now their numbers began with none.
        case.tasks.iter_mut().for_each(|task| task.no.insert_str(0, &case.case_no));
    }
}

/// An id of the time of registration, so that lists by id are in that order, and always the same for a key.
fn id_of(registered_at: Timestamp, key: &[u8]) -> Uuid {
    let mut rest = [0; 10];
    rest.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
    let millis = u64::try_from(registered_at.timestamp_millis()).unwrap_or_default();
    Builder::from_unix_timestamp_millis(millis, &rest).into_uuid()
}

fn problem(index: usize, error: &Error) -> pb::ImportProblem {
    let (field, message) = match error {
        Error::Invalid { field, message } => (field.clone(), message.clone()),
        other => (String::new(), other.to_string()),
    };
    pb::ImportProblem { index: i32::try_from(index).unwrap_or(i32::MAX), field, message }
}

/// What the domain refuses of a row, by the field it came from: a guard is always about the lead.
fn refused(error: DomainError) -> Error {
    match error {
        DomainError::Invalid { field, message } => Error::invalid(field, message),
        DomainError::WrongState { .. } | DomainError::NotEntitled { .. } => {
            Error::invalid("state", error.to_string())
        }
        DomainError::Guard { .. } => Error::invalid("lead_org_id", error.to_string()),
    }
}

impl Ready {
    fn of(
        index: usize,
        key: Vec<u8>,
        also: Option<Vec<u8>>,
        numbered: (String, NaiveDate),
        sealed_text: Option<Vec<u8>>,
        imported: Imported,
        rated_at: Option<Timestamp>,
    ) -> Self {
        let Imported { mut case, timeline, intake_in_time, elapsed_seconds, elapsed_unit, handed_off } =
            imported;
        let version = case.version;
        let lead_task = case.lead_task.filter(|_| !case.state.is_finished());
        let rating = case.rating.as_ref();
        let fact = pb::ImportedFact {
            case_id: case.id.0.as_bytes().to_vec(),
            version,
            closed_time: case.closed_at.map(to_proto),
            intake_in_time,
            elapsed_seconds,
            elapsed_unit: elapsed_unit.map_or(0, |unit| codes::limit_unit(unit).into()),
            grade: rating.map_or(0, |rating| rating.grade.into()),
            rated_time: rating.and(rated_at).map(to_proto),
            lead_task_id: lead_task.map(|task| task.0.as_bytes().to_vec()).unwrap_or_default(),
            ..pb::ImportedFact::default()
        };
        let told = Told { id: case.id, fact, facts: case.facts() };
        // Decisions of ours are kept with all that was looked at; what was decided elsewhere stands with the case alone.
        let elsewhere = case.state.is_finished() && handed_off.is_none();
        let decisions =
            if elsewhere { Vec::new() } else { case.routing.iter().cloned().map(Arc::new).collect() };
        case.routing.iter_mut().for_each(|decision| decision.candidates.clear());
        let pending =
            Pending { timeline: vec![timeline], decisions, sealed_text, handed_off, ..Pending::default() };
        let after = CaseRecord { pending, ..CaseRecord::loaded(case, version) };
        let change = Change { before: None, after, trace: None };
        Self { index, key, also, change, numbered, told }
    }

    /// The case.
    pub fn case(&self) -> &Case {
        &self.change.after.case
    }

    /// All keys that are to stand for it.
    pub fn keys(&self) -> impl Iterator<Item = &[u8]> {
        both(&self.key, self.also.as_deref())
    }

    /// What is stored, and what is told.
    pub fn split(self) -> (Change<CaseRecord>, Told) {
        (self.change, self.told)
    }
}

/// The one event of a batch. `repeats` are the cases that repeat what their requesters asked before.
pub fn event(batch_id: Uuid, import_id: Uuid, all: &[Told], repeats: &HashSet<Uuid>) -> Emit {
    let (mut units, mut orgs) = (Numbered::default(), Numbered::default());
    let mut items: Vec<pb::ImportedItem> = Vec::new();
    let mut item_numbers: HashMap<(String, u32), i32> = HashMap::new();
    let mut cases = Vec::with_capacity(all.len());
    for Told { id, fact, facts } in all {
        let told = events::facts(facts);
        let item = match &facts.item_code {
            None => 0,
            Some(code) => *item_numbers.entry((code.clone(), facts.item_version)).or_insert_with(|| {
                items.push(pb::ImportedItem {
                    item_code: told.item_code.clone(),
                    item_version: told.item_version,
                    category: told.category.clone(),
                    nature: told.nature,
                    line: told.line.clone(),
                });
                i32::try_from(items.len()).unwrap_or_default()
            }),
        };
        cases.push(pb::ImportedFact {
            state: told.state,
            place_unit: units.number(told.place_unit_id),
            item,
            first_receiver_org: orgs.number(told.first_receiver_org_id),
            lead_org: orgs.number(told.lead_org_id),
            urgency: told.urgency,
            channel: told.channel,
            vulnerable: told.vulnerable,
            anonymous: told.anonymous,
            delivery_mode: told.delivery_mode,
            closed_code: told.closed_code,
            registered_time: told.registered_time,
            accepted_time: told.accepted_time,
            resolve_due_time: told.resolve_due_time,
            completed_time: told.completed_time,
            repeats: repeats.contains(&id.0),
            ..fact.clone()
        });
    }
    let event = pb::CasesImported {
        batch_id: batch_id.to_string(),
        import_id: import_id.to_string(),
        unit_ids: units.names,
        org_ids: orgs.names,
        items,
        cases,
    };
    Emit::new(batch_id, 1, &event)
}

/// Names with running numbers from 1; an empty one has 0.
#[derive(Default)]
struct Numbered {
    names: Vec<String>,
    numbers: HashMap<String, i32>,
}

impl Numbered {
    fn number(&mut self, name: String) -> i32 {
        if name.is_empty() {
            return 0;
        }
        let next = i32::try_from(self.names.len() + 1).unwrap_or_default();
        match self.numbers.get(&name) {
            Some(number) => *number,
            None => {
                self.names.push(name.clone());
                self.numbers.insert(name, next);
                next
            }
        }
    }
}
