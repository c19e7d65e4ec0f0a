//! The story of a case for a snapshot: each command with who gave it, the events it set off in the order of their
//! causes, who took each in, and how the case then stood in every service. Ids become names, times are left out.

use std::collections::{BTreeMap, HashMap, HashSet};

use anyhow::Result;
use chassis::event::catalogue;
use prost_reflect::{DynamicMessage, SerializeOptions};
use proto::{
    case_routing::v1::{Case, CaseState},
    staffing::v1::AssignmentState,
};
use serde::Serialize;
use serde_json::{Map, Value};
use tokio_postgres::Row;
use uuid::Uuid;

use crate::{World, tables::Ledger};

/// One command and what came of it.
#[derive(Debug, Serialize)]
pub struct Step {
    /// Role and RPC.
    pub command: String,
    /// What happened, each behind its cause.
    pub events: Vec<Told>,
    /// How the case then stood, by service.
    pub then: BTreeMap<&'static str, Value>,
}

/// One event.
#[derive(Debug, Serialize)]
pub struct Told {
    /// Service, type and version.
    pub event: String,
    /// Whose act it was.
    pub actor: String,
    /// The event that a consumer answered by this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub because_of: Option<String>,
    /// Who has taken it in.
    pub taken_in_by: Vec<String>,
    /// What it says.
    pub says: Value,
}

/// A story being written.
pub struct Story<'w> {
    world: &'w World,
    ledger: Ledger,
    names: HashMap<Uuid, String>,
    counters: HashMap<&'static str, u32>,
    told: HashSet<Uuid>,
    steps: Vec<Step>,
}

struct Logged {
    id: Uuid,
    event_type: String,
    source: String,
    version: i64,
    causation: Option<Uuid>,
    actor: Option<String>,
    data: Vec<u8>,
}

impl<'w> Story<'w> {
    /// An empty page.
    ///
    /// # Errors
    /// When a database is away.
    pub async fn begins(world: &'w World) -> Result<Self> {
        let mut names = HashMap::new();
        for org in world.actors.orgs.values() {
            names.insert(org.org_id.parse()?, org.code.clone());
        }
        Ok(Self {
            world,
            ledger: Ledger::open(world).await?,
            names,
            counters: HashMap::new(),
            told: HashSet::new(),
            steps: Vec::new(),
        })
    }

    /// Waits until everything that the latest command on the case set off is handled, writes it down, and gives the
    /// case as it then is.
    pub async fn after(&mut self, case: Case) -> Case {
        let command = self.world.stage.diary.latest(&case.case_id).expect("a command on the case");
        let correlation: Uuid = command.request_id.parse().expect("request ids are UUIDs");
        self.ledger.handled(correlation).await;
        let case = self.world.looks_at(&case.case_id).await;
        let events = self.events(correlation).await;
        let then = self.standing(&case).await;
        self.steps.push(Step { command: format!("{} {}", command.role, command.rpc), events, then });
        case
    }

    /// The finished story.
    ///
    /// # Panics
    /// When an event of the case belongs to no command that was written down.
    pub async fn ends(mut self, case: &Case) -> Vec<Step> {
        let key: Uuid = case.case_id.parse().expect("a case id");
        let sql = "SELECT id, type FROM event_log WHERE partition_key = $1";
        for row in self.ledger.of("analytics").rows(sql, &[&key]).await {
            let (id, event_type): (Uuid, String) = (row.get(0), row.get(1));
            assert!(self.told.remove(&id), "{event_type} belongs to no command of the story");
        }
        self.steps
    }

    async fn events(&mut self, correlation: Uuid) -> Vec<Told> {
        let sql = "SELECT id, type, source, aggregate_version, causation_id, actor_ref, data
                   FROM event_log WHERE correlation_id = $1";
        let rows = self.ledger.of("analytics").rows(sql, &[&correlation]).await;
        let logged: Vec<Logged> = rows.iter().map(logged).collect();
        let mut order = Vec::new();
        let known: HashSet<Uuid> = logged.iter().map(|event| event.id).collect();
        let root = |event: &Logged| event.causation.is_none_or(|cause| !known.contains(&cause));
        behind(&logged, &root, &mut order);
        order.into_iter().map(|index| self.tell(&logged, index)).collect()
    }

    fn tell(&mut self, logged: &[Logged], index: usize) -> Told {
        let event = &logged[index];
        self.told.insert(event.id);
        let because = event.causation.and_then(|cause| logged.iter().find(|other| other.id == cause));
        Told {
            event: format!("{} {} v{}", event.source, short(&event.event_type), event.version),
            actor: self.actor(event.actor.as_deref()),
            because_of: because.map(|cause| short(&cause.event_type).to_owned()),
            // `handled` has made sure of each of them.
            taken_in_by: catalogue().consumers(&event.event_type).to_vec(),
            says: self.payload(&event.event_type, &event.data),
        }
    }

    fn actor(&self, actor_ref: Option<&str>) -> String {
        match actor_ref {
            None => "nobody".to_owned(),
            Some(text) => match self.world.actors.worker(text) {
                Some(session) => session.account.role.clone(),
                None => text.to_owned(), // `system`, or a service
            },
        }
    }

    fn payload(&mut self, event_type: &str, data: &[u8]) -> Value {
        let descriptor = proto::pool().get_message_by_name(event_type).expect("a known type");
        let message = DynamicMessage::decode(descriptor, data).expect("a payload of its type");
        let options = SerializeOptions::new().use_proto_field_name(true);
        let value = message.serialize_with_options(serde_json::value::Serializer, &options).expect("JSON");
        let Value::Object(mut fields) = value else { panic!("a message is an object") };
        // Which limits and rules were in force differs with every amendment of the seed; other tests look at it.
        fields.remove("process_version");
        if let Some(Value::Object(facts)) = fields.remove("facts") {
            for name in ["state", "delivery_mode", "closed_code", "rework_count"] {
                if let Some(value) = facts.get(name) {
                    fields.insert(format!("facts.{name}"), value.clone());
                }
            }
        }
        let says: Map<String, Value> = fields
            .into_iter()
            .filter(|(name, _)| !name.ends_with("_time") && !name.starts_with("elapsed_"))
            .map(|(name, value)| {
                let named = self.named(&name, value);
                (name, named)
            })
            .collect();
        Value::Object(says)
    }

    /// Ids as names: organisations and units by their codes, other things by their kind and order of appearance.
    fn named(&mut self, field: &str, value: Value) -> Value {
        match value {
            Value::Array(values) => values.into_iter().map(|value| self.named(field, value)).collect(),
            Value::Object(fields) => Value::Object(
                fields
                    .into_iter()
                    .map(|(name, value)| {
                        let named = self.named(&name, value);
                        (name, named)
                    })
                    .collect(),
            ),
            Value::String(text) => match text.parse::<Uuid>() {
                Ok(id) => Value::String(self.name(field, id)),
                Err(_) if field.ends_with("_ref") => Value::String(self.actor(Some(&text))),
                Err(_) => Value::String(text),
            },
            other => other,
        }
    }

    fn name(&mut self, field: &str, id: Uuid) -> String {
        if let Some(name) = self.names.get(&id) {
            return name.clone();
        }
        if let Some(session) = self.world.actors.worker(&id.to_string()) {
            return session.account.role.clone();
        }
        if let Some(code) = self.world.actors.unit_code(&id.to_string()) {
            return code.to_owned();
        }
        const KINDS: [&str; 7] = ["case", "task", "offer", "assignment", "worker", "volunteer", "record"];
        let kind = KINDS.into_iter().find(|kind| field.contains(kind)).unwrap_or("thing");
        let number = self.counters.entry(kind).or_default();
        *number += 1;
        let name = format!("{kind}-{number}");
        self.names.insert(id, name.clone());
        name
    }

    async fn standing(&mut self, case: &Case) -> BTreeMap<&'static str, Value> {
        let key: Uuid = case.case_id.parse().expect("a case id");
        let tasks: Vec<Value> = case
            .tasks
            .iter()
            .map(|task| {
                let from = self.named("org_id", task.sender_org_id.clone().into());
                let to = self.named("org_id", task.org_id.clone().into());
                let parts = [
                    lower(task.part().as_str_name(), "TASK_PART_"),
                    lower(task.mode().as_str_name(), "DISPATCH_MODE_"),
                    format!("{} → {}", text(&from), text(&to)),
                    lower(task.state().as_str_name(), "TASK_STATE_"),
                    format!("assignment {}", lower(task.assignment().as_str_name(), "ASSIGNMENT_STATUS_")),
                ];
                Value::String(parts.join(", "))
            })
            .collect();
        let mut held = Map::new();
        // Who invites whom is told by the decision: an invitation has no task before it is accepted.
        let asks = case.offer.as_ref().is_some_and(|offer| !offer.confirmed);
        if let Some(sent) = case.routing.as_ref().filter(|_| asks) {
            let from = self.named("org_id", sent.sender_org_id.clone().into());
            let to = self.named("org_id", sent.lead_org_id.clone().into());
            let mode = lower(sent.mode().as_str_name(), "DISPATCH_MODE_");
            held.insert("offer".into(), format!("{mode}, {} → {}", text(&from), text(&to)).into());
        }
        held.insert("state".into(), lower(case.state().as_str_name(), "CASE_STATE_").into());
        held.insert("tasks".into(), tasks.into());
        let mut then = BTreeMap::from([("case-routing", Value::Object(held))]);

        let sql = "SELECT state FROM assignments WHERE case_id = $1 ORDER BY assignment_id";
        let states = self.ledger.of("staffing").rows(sql, &[&key]).await;
        let states = states.iter().map(|row| {
            let state = AssignmentState::try_from(i32::from(row.get::<_, i16>(0))).unwrap_or_default();
            Value::String(lower(state.as_str_name(), "ASSIGNMENT_STATE_"))
        });
        then.insert("staffing", states.collect());
        let sql = "SELECT o.state, (SELECT count(*) FROM service_records r WHERE r.offer_id = o.offer_id
                   AND r.state <> 'voided') FROM offers o WHERE case_id = $1 ORDER BY offer_id";
        let offers = self.ledger.of("volunteer-matching").rows(sql, &[&key]).await;
        let offers = offers.iter().map(|row| {
            let (state, records): (String, i64) = (row.get(0), row.get(1));
            Value::String(format!("{state}, {records} records"))
        });
        then.insert("volunteer-matching", offers.collect());
        let facts = self
            .ledger
            .of("analytics")
            .rows("SELECT state FROM case_facts WHERE case_id = $1", &[&key])
            .await;
        let facts = facts.iter().map(|row| {
            let state = CaseState::try_from(i32::from(row.get::<_, i16>(0))).unwrap_or_default();
            Value::String(lower(state.as_str_name(), "CASE_STATE_"))
        });
        then.insert("analytics", facts.collect());
        then
    }
}

/// Indices depth first: each event before those it caused, siblings by service, type and version.
fn behind(logged: &[Logged], of: &dyn Fn(&Logged) -> bool, order: &mut Vec<usize>) {
    let mut here: Vec<usize> = (0..logged.len()).filter(|index| of(&logged[*index])).collect();
    here.sort_by_key(|index| {
        let event = &logged[*index];
        (event.source.clone(), event.version, event.event_type.clone(), event.id)
    });
    for index in here {
        order.push(index);
        let cause = logged[index].id;
        behind(logged, &|event| event.causation == Some(cause), order);
    }
}

fn logged(row: &Row) -> Logged {
    Logged {
        id: row.get(0),
        event_type: row.get(1),
        source: row.get(2),
        version: row.get(3),
        causation: row.get(4),
        actor: row.get(5),
        data: row.get(6),
    }
}

fn short(event_type: &str) -> &str {
    event_type.rsplit('.').next().unwrap_or(event_type)
}

fn lower(name: &str, prefix: &str) -> String {
    name.trim_start_matches(prefix).to_lowercase()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
