//! Loads and saves applications together with their cases, for the executor: the case is locked first, as everywhere, and
//! one statement more reads or writes the sealed papers of a whole batch.

use std::collections::HashMap;

use chassis::{
    Error, Result,
    auth::Caller,
    command::{AggregateStore, Change},
    crypto::Crypto,
    db::cached,
};
use diesel::{
    QueryableByName,
    sql_types::{Array, Bytea, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::case_store::CaseStore;
use crate::{
    domain::{Application, CaseId},
    reach,
    record::CaseRecord,
};

/// Purpose under which papers are sealed.
const PAPERS: &str = "application";

/// An application under change, and its case.
#[derive(Debug, Clone)]
pub struct ApplicationRecord {
    pub case: CaseRecord,
    pub application: Application,
}

/// Loads and saves [`ApplicationRecord`]s.
#[derive(Clone)]
pub struct ApplicationStore {
    crypto: Crypto,
}

impl ApplicationStore {
    /// With the keys of the service.
    pub fn new(crypto: Crypto) -> Self {
        Self { crypto }
    }

    /// The papers of one application, not locked; reach is the caller's affair.
    pub async fn read(&self, conn: &AsyncPgConnection, id: CaseId) -> Result<Option<Application>> {
        let mut found = self.papers(conn, &[id.0]).await?;
        Ok(found.pop())
    }

    async fn papers(&self, mut conn: &AsyncPgConnection, ids: &[Uuid]) -> Result<Vec<Application>> {
        let rows: Vec<Row> = cached("SELECT case_id, sealed FROM applications WHERE case_id = ANY($1)")
            .bind::<Array<SqlUuid>, _>(ids)
            .load(&mut conn)
            .await?;
        rows.iter().map(|row| self.open(row)).collect()
    }

    fn open(&self, row: &Row) -> Result<Application> {
        let doc = self.crypto.open(PAPERS, &row.sealed, row.case_id.as_bytes())?;
        serde_json::from_slice(&doc).map_err(Error::internal)
    }

    fn seal(&self, application: &Application) -> Result<Vec<u8>> {
        let doc = serde_json::to_vec(application).map_err(Error::internal)?;
        Ok(self.crypto.seal(PAPERS, &doc, application.id.0.as_bytes()))
    }
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = SqlUuid)]
    case_id: Uuid,
    #[diesel(sql_type = Bytea)]
    sealed: Vec<u8>,
}

impl AggregateStore for ApplicationStore {
    type Id = CaseId;
    type Aggregate = ApplicationRecord;
    const KIND: &'static str = "application";

    fn id_text(id: CaseId) -> String {
        id.to_string()
    }

    fn key(id: CaseId) -> Option<Uuid> {
        Some(id.0)
    }

    async fn load(
        &self,
        conn: &AsyncPgConnection,
        ids: &[CaseId],
    ) -> Result<HashMap<CaseId, ApplicationRecord>> {
        let mut cases = AggregateStore::load(&CaseStore::default(), conn, ids).await?;
        let with = cases.values().filter(|record| record.case.application.is_some());
        let with: Vec<Uuid> = with.map(|record| record.case.id.0).collect();
        let papers = if with.is_empty() { Vec::new() } else { self.papers(conn, &with).await? };
        let joined = papers.into_iter().filter_map(|application| {
            let case = cases.remove(&application.id)?;
            Some((application.id, ApplicationRecord { case, application }))
        });
        Ok(joined.collect())
    }

    async fn save(
        &self,
        mut conn: &AsyncPgConnection,
        changes: Vec<Change<ApplicationRecord>>,
    ) -> Result<()> {
        let (mut cases, mut ids, mut sealed) = (Vec::new(), Vec::new(), Vec::new());
        for Change { before, after, trace } in changes {
            if before.as_ref().is_none_or(|before| before.application != after.application) {
                ids.push(after.application.id.0);
                sealed.push(self.seal(&after.application)?);
            }
            cases.push(Change { before: before.map(|before| before.case), after: after.case, trace });
        }
        CaseStore::default().save(conn, cases).await?;
        if ids.is_empty() {
            return Ok(());
        }
        cached(
            "INSERT INTO applications (case_id, sealed) SELECT unnest($1), unnest($2) \
             ON CONFLICT (case_id) DO UPDATE SET sealed = excluded.sealed",
        )
        .bind::<Array<SqlUuid>, _>(ids)
        .bind::<Array<Bytea>, _>(sealed)
        .execute(&mut conn)
        .await?;
        Ok(())
    }

    fn within_reach(&self, record: &ApplicationRecord, caller: &Caller) -> bool {
        reach::reaches(&record.case.case, caller)
    }
}
