//! The envelope of an event: its unit is the place, its line the item's, its subject the task for task events; and the
//! facts of the case that go with it.

use chassis::{
    clock::to_proto,
    event::Emit,
    proto::{EventMessage, case_routing::v1 as pb},
};
use uuid::Uuid;

use crate::{
    codes::{case_state, channel, closed_code, delivery_mode, nature, origin, urgency},
    domain::{CaseFacts, Emitted, TaskId, Timestamp},
};

/// The facts of a case as events carry them.
pub fn facts(facts: &CaseFacts) -> pb::CaseFacts {
    let count = |n: u32| i32::try_from(n).unwrap_or(i32::MAX);
    pb::CaseFacts {
        state: case_state(facts.state).into(),
        item_code: facts.item_code.clone().unwrap_or_default(),
        item_version: count(facts.item_version),
        category: facts.category.clone().unwrap_or_default(),
        nature: nature(facts.nature).into(),
        line: facts.line.clone().unwrap_or_default(),
        urgency: urgency(facts.urgency).into(),
        channel: channel(facts.channel).into(),
        origin: origin(facts.origin).into(),
        vulnerable: facts.vulnerable,
        place_unit_id: facts.place_unit_id.to_string(),
        first_receiver_org_id: facts.first_receiver_org_id.to_string(),
        lead_org_id: text(facts.lead_org_id),
        lead_unit_id: text(facts.lead_unit_id),
        delivery_mode: facts.delivery_mode.map_or(0, |mode| delivery_mode(mode).into()),
        closed_code: facts.closed_code.map_or(0, |code| closed_code(code).into()),
        registered_time: at(facts.registered_at),
        accepted_time: facts.accepted_at.and_then(at),
        resolve_due_time: facts.resolve_due_at.and_then(at),
        completed_time: facts.completed_at.and_then(at),
        rework_count: count(facts.rework_count),
        reopen_count: count(facts.reopen_count),
        lead_change_count: count(facts.lead_change_count),
        objection_count: count(facts.objection_count),
        extension_count: count(facts.extension_count),
        anonymous: facts.anonymous,
        due_before_pause_time: facts.due_before_pause_at.and_then(at),
        merged_count: count(facts.merged_count),
        solved_on_spot: facts.solved_on_spot,
        repeats: facts.repeats,
    }
}

pub(super) fn at(instant: Timestamp) -> Option<prost_types::Timestamp> {
    Some(to_proto(instant))
}

pub(super) fn text<T: ToString>(id: Option<T>) -> String {
    id.map(|id| id.to_string()).unwrap_or_default()
}

/// A version of the calendar.
pub(super) fn version(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

/// Puts a message into its envelope.
pub(super) struct Addressed<'a> {
    pub(super) told: &'a Emitted,
    subject: Option<TaskId>,
}

impl<'a> Addressed<'a> {
    pub(super) fn new(told: &'a Emitted) -> Self {
        Self { told, subject: None }
    }

    pub(super) fn task(self, task: TaskId) -> Self {
        Self { subject: Some(task), ..self }
    }

    pub(super) fn send<M: EventMessage>(self, message: &M) -> Emit {
        let facts = &self.told.facts;
        let emit = Emit::new(Uuid::from(self.told.case_id), self.told.version, message)
            .unit(facts.place_unit_id.into())
            .line(facts.line.as_deref());
        match self.subject {
            Some(task) => emit.subject(task),
            None => emit,
        }
    }
}
