//! All SQL of analytics, in and out in domain types. Statements are constant and multi-row; tables are named without
//! a schema, so that a rebuild runs the same statements on its own tables by way of the search path.

mod case_facts;
mod columns;
pub mod digest;
pub mod event_log;
pub mod partitions;
pub mod processes;
pub mod query;
pub mod rebuild;
mod rollups;
mod task_facts;

use std::collections::BTreeSet;

use chassis::{Result, event::Event};
use diesel_async::AsyncPgConnection;
use uuid::Uuid;

use crate::domain::{CaseEvent, Change, History, Worked, history::Changes};

/// Applies decoded events to the stored facts and rollups, within the caller's transaction. Every statement writes in
/// the order of the keys, and the rollups come last, because consumers meet there.
pub async fn apply(conn: &mut AsyncPgConnection, events: &[CaseEvent], work: &[Worked]) -> Result<Changes> {
    if events.is_empty() && work.is_empty() {
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
    let conn = &*conn;
    let (cases, tasks) = futures::try_join!(case_facts::lock(conn, &cases), task_facts::lock(conn, &tasks))?;

    let mut history = History::new(cases, tasks);
    events.iter().for_each(|event| history.apply(event));
    work.iter().for_each(|worked| history.work(worked));
    let changes = history.finish();

    futures::try_join!(
        case_facts::save(conn, &changes.cases),
        task_facts::save(conn, &changes.tasks),
        rollups::add(conn, &changes.deltas),
        processes::add(conn, &changes.deltas),
    )?;
    Ok(changes)
}

/// Most case events applied at once: an import is one event of thousands of cases.
const MOST: usize = 4_000;

/// Applies events in their order. Gives the items of the cases that changed, with their lines.
pub async fn take_in(conn: &mut AsyncPgConnection, events: &[Event]) -> Result<BTreeSet<(String, String)>> {
    let (mut waiting, mut work, mut items) = (Vec::new(), Vec::new(), BTreeSet::new());
    for event in events {
        CaseEvent::each(event, |one| {
            waiting.push(one);
            Ok(())
        })?;
        work.extend(Worked::of(event)?);
        if waiting.len() >= MOST {
            take_in_some(conn, &mut waiting, &mut work, &mut items).await?;
        }
    }
    take_in_some(conn, &mut waiting, &mut work, &mut items).await?;
    Ok(items)
}

async fn take_in_some(
    conn: &mut AsyncPgConnection,
    waiting: &mut Vec<CaseEvent>,
    work: &mut Vec<Worked>,
    items: &mut BTreeSet<(String, String)>,
) -> Result<()> {
    let changes = apply(conn, waiting, work).await?;
    waiting.clear();
    work.clear();
    let known = changes.cases.into_iter().filter(|case| !case.item_code.is_empty());
    items.extend(known.map(|case| (case.item_code, case.line)));
    Ok(())
}

/// Notes lines under which items were seen.
pub async fn note_items(conn: &mut AsyncPgConnection, items: &[(String, String)]) -> Result<()> {
    rollups::note_items(conn, items).await
}
