//! All SQL of analytics, in and out in domain types. Statements are constant and multi-row; tables are named without
//! a schema, so that a rebuild runs the same statements on its own tables by way of the search path.

mod case_facts;
mod columns;
pub mod digest;
pub mod event_log;
pub mod hotspots;
mod mediation_facts;
pub mod partitions;
pub mod processes;
pub mod query;
pub mod rebuild;
pub mod recount;
mod rollups;
pub mod stock;
mod task_facts;

use std::collections::{BTreeSet, HashSet};

use chassis::{Result, event::Event};
use diesel_async::AsyncPgConnection;
use uuid::Uuid;

use crate::domain::{CaseEvent, Change, History, MediationEvent, Worked, history::Changes};

/// What events change facts by.
#[derive(Debug, Default)]
struct Decoded {
    /// Of cases and their tasks.
    cases: Vec<CaseEvent>,
    /// Work on cases that was confirmed.
    work: Vec<Worked>,
    /// Of mediations.
    mediations: Vec<MediationEvent>,
}

/// Applies decoded events to the stored facts and rollups, within the caller's transaction. Every statement writes in
/// the order of the keys, and the rollups come last, because consumers meet there; who writes `alone` meets nobody.
async fn apply(conn: &mut AsyncPgConnection, events: &Decoded, alone: bool) -> Result<Changes> {
    let Decoded { cases: events, work, mediations } = events;
    if events.is_empty() && work.is_empty() && mediations.is_empty() {
        return Ok(Changes::default());
    }
    let worked_on = work.iter().map(|worked| worked.case_id);
    let cases: BTreeSet<Uuid> = events.iter().map(|e| e.case_id).chain(worked_on).collect();
    let tasks: BTreeSet<Uuid> = events
        .iter()
        .filter_map(|e| match e.change {
            Change::Task { task_id, .. } => Some(task_id),
            _ => None,
        })
        .collect();
    let mediated: BTreeSet<Uuid> = mediations.iter().map(|event| event.mediation_id).collect();
    let conn = &*conn;
    let (cases, tasks, mediated) = futures::try_join!(
        case_facts::lock(conn, &cases),
        task_facts::lock(conn, &tasks),
        mediation_facts::lock(conn, &mediated),
    )?;

    let stored: HashSet<Uuid> = cases
        .iter()
        .map(|fact| fact.case_id)
        .chain(tasks.iter().map(|fact| fact.task_id))
        .chain(mediated.iter().map(|fact| fact.mediation_id))
        .collect();
    let mut history = History::new(cases, tasks).with_mediations(mediated);
    events.iter().for_each(|event| history.apply(event));
    work.iter().for_each(|worked| history.work(worked));
    mediations.iter().for_each(|event| history.mediate(event));
    let changes = history.finish();

    futures::try_join!(
        case_facts::save(conn, &changes.cases, &stored),
        task_facts::save(conn, &changes.tasks, &stored),
        mediation_facts::save(conn, &changes.mediations, &stored),
        rollups::add(conn, &changes.deltas, alone),
        processes::add(conn, &changes.deltas),
    )?;
    Ok(changes)
}

/// Most case events applied at once: an import is one event of thousands of cases.
const MOST: usize = 4_000;

/// Applies events in their order; `alone` when nobody else adds to facts and rollups meanwhile. Gives the items of the cases that
/// changed, with their lines.
pub async fn take_in(
    conn: &mut AsyncPgConnection,
    events: &[Event],
    alone: bool,
) -> Result<BTreeSet<(String, String)>> {
    let (mut waiting, mut items) = (Decoded::default(), BTreeSet::new());
    for event in events {
        CaseEvent::each(event, |one| {
            waiting.cases.push(one);
            Ok(())
        })?;
        waiting.work.extend(Worked::of(event)?);
        waiting.mediations.extend(MediationEvent::of(event)?);
        if waiting.cases.len() >= MOST {
            take_in_some(conn, std::mem::take(&mut waiting), alone, &mut items).await?;
        }
    }
    take_in_some(conn, waiting, alone, &mut items).await?;
    Ok(items)
}

async fn take_in_some(
    conn: &mut AsyncPgConnection,
    waiting: Decoded,
    alone: bool,
    items: &mut BTreeSet<(String, String)>,
) -> Result<()> {
    let changes = apply(conn, &waiting, alone).await?;
    let known = changes.cases.into_iter().filter(|case| !case.item_code.is_empty());
    items.extend(known.map(|case| (case.item_code, case.line)));
    Ok(())
}

/// Notes lines under which items were seen.
pub async fn note_items(conn: &mut AsyncPgConnection, items: &[(String, String)]) -> Result<()> {
    rollups::note_items(conn, items).await
}
