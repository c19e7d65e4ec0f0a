//! All SQL of analytics, in and out in domain types. Statements are constant and multi-row; tables are named without
//! a schema, so that a rebuild runs the same statements on its own tables by way of the search path.

mod case_facts;
mod columns;
pub mod digest;
pub mod event_log;
pub mod hotspots;
pub mod partitions;
pub mod query;
pub mod rebuild;
mod rollups;
mod task_facts;

use std::collections::BTreeSet;

use chassis::Result;
use diesel_async::AsyncPgConnection;
use uuid::Uuid;

use crate::domain::{CaseEvent, Change, History, history::Changes};

/// Applies decoded events to the stored facts and rollups, within the caller's transaction. Every statement writes in
/// the order of the keys, and the rollups come last, because consumers meet there.
pub async fn apply(conn: &mut AsyncPgConnection, events: &[CaseEvent]) -> Result<Changes> {
    if events.is_empty() {
        return Ok(Changes::default());
    }
    let cases: BTreeSet<Uuid> = events.iter().map(|e| e.case_id).collect();
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
    let changes = history.finish();

    futures::try_join!(
        case_facts::save(conn, &changes.cases),
        task_facts::save(conn, &changes.tasks),
        rollups::add(conn, &changes.deltas),
    )?;
    Ok(changes)
}

/// Notes lines under which items were seen.
pub async fn note_items(conn: &mut AsyncPgConnection, items: &[(String, String)]) -> Result<()> {
    rollups::note_items(conn, items).await
}
