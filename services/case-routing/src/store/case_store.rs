//! Loads and saves cases for the executor: one lock statement in, at most one statement per table out, whatever the
//! size of the batch.

use std::collections::HashMap;

use chassis::{
    Error, Result,
    auth::Caller,
    command::{AggregateStore, Change},
    db::{Tx, cached},
};
use diesel::{
    QueryableByName,
    sql_types::{Array, BigInt, Bool, Nullable, Text, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::{
    benefits, exchange::changes, notices, precedents, refusals, remarks, repeats, retention, suggestions,
    words, write,
};
use crate::{
    domain::{Case, CaseId},
    reach,
    record::CaseRecord,
};

/// Loads and saves [`CaseRecord`]s.
#[derive(Debug, Clone, Copy, Default)]
pub struct CaseStore;

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
    #[diesel(sql_type = BigInt)]
    told_version: i64,
    #[diesel(sql_type = Text)]
    doc: String,
    #[diesel(sql_type = Nullable<Bool>)]
    repeats: Option<bool>,
}

impl LoadedRow {
    fn record(&self) -> Result<CaseRecord> {
        let mut case = read_doc(&self.doc)?;
        case.repeats = self.repeats;
        Ok(CaseRecord::loaded(case, self.told_version))
    }
}

/// The document of a case. A field that an older program did not write takes the domain's default or is a defect.
pub fn read_doc(doc: &str) -> Result<Case> {
    serde_json::from_str(doc).map_err(Error::internal)
}

/// The case as a document.
pub fn write_doc(case: &Case) -> Result<String> {
    serde_json::to_string(case).map_err(Error::internal)
}

impl CaseStore {
    /// Saves in a transaction without an executor, and tells whoever follows one of the cases.
    pub async fn save_in(self, tx: &mut Tx<'_>, changes: Vec<Change<CaseRecord>>) -> Result<()> {
        for change in &changes {
            tx.changed(change.after.case.id.0);
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
        let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
        let rows: Vec<LoadedRow> =
            cached(repeats::LOAD).bind::<Array<SqlUuid>, _>(ids).load(&mut conn).await?;
        rows.iter().map(|row| row.record().map(|record| (record.case.id, record))).collect()
    }

    async fn save(&self, conn: &AsyncPgConnection, changes: Vec<Change<CaseRecord>>) -> Result<()> {
        futures::try_join!(
            write::cases(conn, &changes),
            write::tasks(conn, &changes),
            write::agenda(conn, &changes),
            retention::save(conn, &changes),
            write::offers(conn, &changes),
            write::timeline(conn, &changes),
            write::decisions(conn, &changes),
            write::texts(conn, &changes),
            words::save(conn, &changes),
            write::client_refs(conn, &changes),
            notices::save(conn, &changes),
            precedents::save(conn, &changes),
            refusals::save(conn, &changes),
            suggestions::save(conn, &changes),
            remarks::save(conn, &changes),
            benefits::save(conn, &changes),
        )?;
        // After the rest: its tickets are locked behind their cases, and refer to them.
        changes::save(conn, &changes).await
    }

    fn within_reach(&self, record: &CaseRecord, caller: &Caller) -> bool {
        reach::reaches(&record.case, caller)
    }
}
