//! An import as the case events it stands for: one per case, and one per task that is to be signed for.

use chassis::{Error, Result, Timestamp, event::Event};
use proto::case_routing::v1::{CaseFacts, CaseState, CasesImported, ImportedFact, ImportedItem};
use uuid::Uuid;

use super::{
    change::{CaseEvent, Change, Taken, TaskChange, instant},
    process::Step,
    vocabulary::small,
};

/// Hands each case event of an import to `take`.
pub fn each(event: &Event, mut take: impl FnMut(CaseEvent) -> Result<()>) -> Result<()> {
    let message: CasesImported = event.decode()?;
    let none = ImportedItem::default();
    for fact in &message.cases {
        let case_id = uuid(&fact.case_id)?;
        let item = if fact.item == 0 { &none } else { entry(&message.items, fact.item)? };
        let facts = facts(fact, item, &message)?;
        let taken = Taken {
            state: fact.state(),
            intake_in_time: (fact.state() != CaseState::Registered).then_some(fact.intake_in_time),
            elapsed_seconds: fact.elapsed_seconds.max(0),
            elapsed_unit: small(fact.elapsed_unit),
            due_at: instant(fact.resolve_due_time.as_ref()),
            completed_at: instant(fact.completed_time.as_ref()),
            ended_at: instant(fact.closed_time.as_ref()),
            rated: instant(fact.rated_time.as_ref())
                .filter(|_| fact.grade > 0)
                .map(|at| (small(fact.grade), at)),
            dispatched: !fact.lead_task_id.is_empty(),
        };
        let one = CaseEvent {
            case_id,
            version: fact.version,
            at: since(fact, event.time),
            facts,
            change: Change::Imported(taken),
            step: Step::default(),
        };
        if fact.lead_task_id.is_empty() {
            take(one)?;
            continue;
        }
        let change = Change::Task {
            task_id: uuid(&fact.lead_task_id)?,
            change: TaskChange::Issued { sign_due: true, whistle: false, lead: true },
        };
        let task = CaseEvent { at: event.time, change, ..one.clone() };
        take(one)?;
        take(task)?;
    }
    Ok(())
}

/// When the case came to stand as it does.
fn since(fact: &ImportedFact, now: Timestamp) -> Timestamp {
    if !fact.lead_task_id.is_empty() {
        return now; // it was dispatched with the import
    }
    let times = [&fact.closed_time, &fact.completed_time, &fact.accepted_time, &fact.registered_time];
    times.into_iter().find_map(|at| instant(at.as_ref())).unwrap_or(now)
}

fn facts(fact: &ImportedFact, item: &ImportedItem, message: &CasesImported) -> Result<CaseFacts> {
    let name = |names: &[String], number: i32| match number {
        0 => Ok(String::new()),
        number => entry(names, number).cloned(),
    };
    Ok(CaseFacts {
        state: fact.state,
        item_code: item.item_code.clone(),
        item_version: item.item_version,
        category: item.category.clone(),
        nature: item.nature,
        line: item.line.clone(),
        urgency: fact.urgency,
        channel: fact.channel,
        vulnerable: fact.vulnerable,
        place_unit_id: name(&message.unit_ids, fact.place_unit)?,
        first_receiver_org_id: name(&message.org_ids, fact.first_receiver_org)?,
        lead_org_id: name(&message.org_ids, fact.lead_org)?,
        delivery_mode: fact.delivery_mode,
        closed_code: fact.closed_code,
        registered_time: fact.registered_time,
        accepted_time: fact.accepted_time,
        resolve_due_time: fact.resolve_due_time,
        completed_time: fact.completed_time,
        anonymous: fact.anonymous,
        repeats: fact.repeats,
        ..CaseFacts::default()
    })
}

/// The thing with that number, from 1. A number without one is `Internal`, which parks the event.
fn entry<T>(list: &[T], number: i32) -> Result<&T> {
    let index = usize::try_from(number).ok().and_then(|number| number.checked_sub(1));
    index
        .and_then(|index| list.get(index))
        .ok_or_else(|| Error::internal("an import names what it does not list"))
}

fn uuid(bytes: &[u8]) -> Result<Uuid> {
    Uuid::from_slice(bytes).map_err(Error::internal)
}
