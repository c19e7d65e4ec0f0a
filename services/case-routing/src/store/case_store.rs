//! Loads and saves cases for the executor: one lock statement in, few statements out, whatever the
//! size of the batch.

use std::{collections::HashMap, sync::Arc};

use chassis::{
    Error, Result, Timestamp,
    auth::Caller,
    command::{AggregateStore, Change},
    db::{Tx, cached},
};
use diesel::{
    QueryableByName,
    sql_types::{Array, BigInt, Bool, Nullable, Text, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::{
    at_hand::{AtHand, Held},
    benefits,
    exchange::changes,
    notices, points, precedents, refusals, remarks, repeats, retention, suggestions, words, write,
};
use crate::{
    domain::{Case, CaseId},
    reach,
    record::CaseRecord,
};

/// Loads and saves [`CaseRecord`]s. Cheap to clone; the default keeps nothing at hand.
#[derive(Debug, Clone, Default)]
pub struct CaseStore {
    at_hand: Option<AtHand>,
}

#[derive(QueryableByName)]
pub(super) struct CaseRow {
    #[diesel(sql_type = BigInt)]
    pub told_version: i64,
    #[diesel(sql_type = Text)]
    pub doc: String,
}

impl CaseRow {
    pub fn record(&self) -> Result<CaseRecord> {
        Ok(CaseRecord::loaded(read_doc(&self.doc)?, self.told_version))
    }
}

#[derive(QueryableByName)]
struct LoadedRow {
    #[diesel(sql_type = SqlUuid)]
    case_id: Uuid,
    #[diesel(sql_type = BigInt)]
    told_version: i64,
    /// `None` where the case is the one at hand.
    #[diesel(sql_type = Nullable<Text>)]
    doc: Option<String>,
    #[diesel(sql_type = Nullable<Bool>)]
    repeats: Option<bool>,
}

impl LoadedRow {
    fn record(&self, held: &HashMap<CaseId, Arc<Held>>) -> Result<CaseRecord> {
        if let Some(doc) = &self.doc {
            let case = Case { repeats: self.repeats, ..read_doc(doc)? };
            return Ok(CaseRecord::loaded(case, self.told_version));
        }
        let held = held.get(&CaseId(self.case_id));
        let held = held.ok_or_else(|| Error::internal("a case without its document is not at hand"))?;
        Ok(held.record(self.repeats))
    }
}

/// The document of a case. A field that an older program did not write takes the domain's default or is a defect.
pub fn read_doc(doc: &str) -> Result<Case> {
    serde_json::from_str(doc).map_err(Error::internal)
}

/// The case as a document.
pub fn write_doc(case: &Case) -> Result<String> {
    // Most are of this length, and need not grow from nothing.
    let mut doc = Vec::with_capacity(4096);
    serde_json::to_writer(&mut doc, case).map_err(Error::internal)?;
    String::from_utf8(doc).map_err(Error::internal)
}

impl CaseStore {
    /// A store that keeps cases at hand; what is cloned from it shares them.
    pub fn keeping() -> Self {
        Self { at_hand: Some(AtHand::default()) }
    }

    /// The cases at hand, if it keeps any.
    pub fn at_hand(&self) -> Option<&AtHand> {
        self.at_hand.as_ref()
    }

    /// What is held of a case.
    pub fn held(&self, id: CaseId) -> Option<Arc<Held>> {
        self.at_hand.as_ref()?.get(id)
    }

    /// Saves in a transaction without an executor, and tells whoever follows one of the cases.
    pub async fn save_in(&self, tx: &mut Tx<'_>, changes: Vec<Change<CaseRecord>>) -> Result<()> {
        for change in &changes {
            tx.changed(change.after.case.id.0);
            self.before_commit(tx, &change.after);
        }
        self.save(&*tx.conn, changes).await
    }
}

impl AggregateStore for CaseStore {
    type Id = CaseId;
    type Aggregate = CaseRecord;
    const KIND: &'static str = "case";

    fn id_text(id: CaseId) -> String {
        id.to_string()
    }

    fn key(id: CaseId) -> Option<Uuid> {
        Some(id.0)
    }

    async fn load(
        &self,
        mut conn: &AsyncPgConnection,
        ids: &[CaseId],
    ) -> Result<HashMap<CaseId, CaseRecord>> {
        let held: HashMap<CaseId, Arc<Held>> =
            ids.iter().filter_map(|id| Some((*id, self.held(*id)?))).collect();
        let version = |id: &CaseId| held.get(id).map_or(0, |held| held.version());
        let updated_at = |id: &CaseId| held.get(id).map_or(Timestamp::UNIX_EPOCH, |held| held.updated_at());
        let rows: Vec<LoadedRow> = cached(repeats::LOAD)
            .bind::<Array<SqlUuid>, _>(ids.iter().map(|id| id.0).collect::<Vec<_>>())
            .bind::<Array<BigInt>, _>(ids.iter().map(version).collect::<Vec<_>>())
            .bind::<Array<Timestamptz>, _>(ids.iter().map(updated_at).collect::<Vec<_>>())
            .load(&mut conn)
            .await?;
        rows.iter().map(|row| row.record(&held).map(|record| (record.case.id, record))).collect()
    }

    async fn save(&self, conn: &AsyncPgConnection, changes: Vec<Change<CaseRecord>>) -> Result<()> {
        futures::try_join!(
            write::cases(conn, &changes),
            retention::save(conn, &changes),
            write::offers(conn, &changes),
            write::history(conn, &changes),
            words::save(conn, &changes),
            write::client_refs(conn, &changes),
            notices::save(conn, &changes),
            precedents::save(conn, &changes),
            refusals::save(conn, &changes),
            suggestions::save(conn, &changes),
            remarks::save(conn, &changes),
            benefits::save(conn, &changes),
            points::save(conn, &changes),
        )?;
        // After the rest: its tickets are locked behind their cases, and refer to them.
        changes::save(conn, &changes).await
    }

    fn before_commit(&self, tx: &mut Tx<'_>, after: &CaseRecord) {
        if let Some(at_hand) = self.at_hand.clone() {
            let held = at_hand.held_of(after);
            tx.after_commit(Box::new(move || at_hand.keep(held)));
        }
    }

    fn within_reach(&self, record: &CaseRecord, caller: &Caller) -> bool {
        reach::reaches(&record.case, caller)
    }
}
