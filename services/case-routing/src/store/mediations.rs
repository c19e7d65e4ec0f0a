//! Mediations, loaded and saved with their cases: whoever holds the case's row holds its mediations.

use std::collections::HashMap;

use chassis::{
    Error, Result, Timestamp,
    auth::Caller,
    command::{AggregateStore, Change},
    db::cached,
};
use diesel::{
    QueryableByName,
    sql_types::{Array, BigInt, Bool, Bytea, Integer, Nullable, Text, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::{case_store::CaseStore, list::ReachFilter, reached::reached, write::ids};
use crate::{
    docket::{Docket, SealedText},
    domain::{CaseId, CaseState, Mediation, MediationId, MediationState},
};

/// Loads and saves [`Docket`]s by the case's id.
#[derive(Debug, Clone, Copy, Default)]
pub struct DocketStore;

#[derive(QueryableByName)]
struct DocRow {
    #[diesel(sql_type = Text)]
    doc: String,
}

/// A mediation of its document.
pub fn read_doc(doc: &str) -> Result<Mediation> {
    serde_json::from_str(doc).map_err(Error::internal)
}

impl AggregateStore for DocketStore {
    type Id = CaseId;
    type Aggregate = Docket;
    const KIND: &'static str = "case";

    fn id_text(id: CaseId) -> String {
        id.to_string()
    }

    fn key(id: CaseId) -> Option<Uuid> {
        Some(id.0)
    }

    async fn load(&self, mut conn: &AsyncPgConnection, ids: &[CaseId]) -> Result<HashMap<CaseId, Docket>> {
        let cases = AggregateStore::load(&CaseStore::default(), conn, ids).await?;
        let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
        let rows: Vec<DocRow> =
            cached("SELECT doc FROM mediations WHERE case_id = ANY($1) ORDER BY mediation_id")
                .bind::<Array<SqlUuid>, _>(ids)
                .load(&mut conn)
                .await?;
        let docket = |(id, case)| (id, Docket { case, mediations: Vec::new(), texts: Vec::new() });
        let mut dockets: HashMap<_, _> = cases.into_iter().map(docket).collect();
        for row in rows {
            let mediation = read_doc(&row.doc)?;
            if let Some(docket) = dockets.get_mut(&mediation.case_id) {
                docket.mediations.push(mediation);
            }
        }
        Ok(dockets)
    }

    async fn save(&self, conn: &AsyncPgConnection, changes: Vec<Change<Docket>>) -> Result<()> {
        let (mut cases, mut mediations, mut texts) = (Vec::new(), Vec::new(), Vec::new());
        for Change { before, after, trace } in changes {
            let known = |id| before.as_ref().and_then(|docket: &Docket| docket.mediation(id));
            mediations.extend(after.mediations.iter().filter(|now| known(now.id) != Some(*now)).cloned());
            texts.extend(after.texts);
            let before = before.map(|docket| docket.case);
            if before.as_ref().is_none_or(|before| before.case.version != after.case.case.version) {
                cases.push(Change { before, after: after.case, trace });
            }
        }
        if !cases.is_empty() {
            CaseStore::default().save(conn, cases).await?;
        }
        upsert(conn, &mediations).await?;
        insert_texts(conn, &texts).await
    }

    fn within_reach(&self, docket: &Docket, caller: &Caller) -> bool {
        docket.reached(caller)
    }
}

async fn upsert(mut conn: &AsyncPgConnection, rows: &[Mediation]) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let docs = rows.iter().map(|row| serde_json::to_string(row).map_err(Error::internal));
    let docs: Vec<String> = docs.collect::<Result<_>>()?;
    cached(
        "INSERT INTO mediations (mediation_id, case_id, version, state, open, due_at, doc, calendar_version, \
         party_ids, overdue_since) SELECT unnest($1), unnest($2), unnest($3), unnest($4), unnest($5), unnest($6), \
         unnest($7), unnest($8), unnest($9)::uuid[], unnest($10) ON CONFLICT (mediation_id) DO UPDATE SET \
         version = excluded.version, state = excluded.state, open = excluded.open, due_at = excluded.due_at, \
         doc = excluded.doc, calendar_version = excluded.calendar_version, party_ids = excluded.party_ids, \
         overdue_since = excluded.overdue_since",
    )
    .bind::<Array<SqlUuid>, _>(rows.iter().map(|row| row.id.0).collect::<Vec<_>>())
    .bind::<Array<SqlUuid>, _>(rows.iter().map(|row| row.case_id.0).collect::<Vec<_>>())
    .bind::<Array<BigInt>, _>(rows.iter().map(|row| row.version).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(rows.iter().map(|row| row.state.as_str()).collect::<Vec<_>>())
    .bind::<Array<Bool>, _>(rows.iter().map(|row| row.state.is_open()).collect::<Vec<_>>())
    .bind::<Array<Nullable<Timestamptz>>, _>(rows.iter().map(Mediation::next_timer_at).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(docs)
    .bind::<Array<Nullable<Integer>>, _>(rows.iter().map(counted_with).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(rows.iter().map(persons).collect::<Vec<_>>())
    .bind::<Array<Nullable<Timestamptz>>, _>(rows.iter().map(Mediation::overdue_since).collect::<Vec<_>>())
    .execute(&mut conn)
    .await?;
    Ok(())
}

fn counted_with(mediation: &Mediation) -> Option<i32> {
    mediation.counted_with().and_then(|version| i32::try_from(version).ok())
}

/// The registered persons who are parties, as an array in text.
fn persons(mediation: &Mediation) -> String {
    let persons: Vec<Uuid> = mediation.parties.iter().filter_map(|party| party.person).collect();
    ids(persons.iter())
}

async fn insert_texts(mut conn: &AsyncPgConnection, texts: &[SealedText]) -> Result<()> {
    if texts.is_empty() {
        return Ok(());
    }
    cached("INSERT INTO mediation_texts (text_id, mediation_id, sealed) SELECT unnest($1), unnest($2), unnest($3)")
        .bind::<Array<SqlUuid>, _>(texts.iter().map(|text| text.text_id).collect::<Vec<_>>())
        .bind::<Array<SqlUuid>, _>(texts.iter().map(|text| text.mediation_id.0).collect::<Vec<_>>())
        .bind::<Array<Bytea>, _>(texts.iter().map(|text| text.sealed.as_slice()).collect::<Vec<_>>())
        .execute(&mut conn)
        .await?;
    Ok(())
}

/// The mediations of a case, oldest first. Nothing is locked; reach is the caller's affair.
pub async fn of_case(conn: &mut AsyncPgConnection, id: CaseId) -> Result<Vec<Mediation>> {
    let rows: Vec<DocRow> = cached("SELECT doc FROM mediations WHERE case_id = $1 ORDER BY mediation_id")
        .bind::<SqlUuid, _>(id.0)
        .load(conn)
        .await?;
    rows.iter().map(|row| read_doc(&row.doc)).collect()
}

#[derive(QueryableByName)]
struct TextRow {
    #[diesel(sql_type = SqlUuid)]
    text_id: Uuid,
    #[diesel(sql_type = Bytea)]
    sealed: Vec<u8>,
}

/// The sealed texts of a mediation, by their ids.
pub async fn texts(conn: &mut AsyncPgConnection, id: MediationId) -> Result<HashMap<Uuid, Vec<u8>>> {
    let rows: Vec<TextRow> = cached("SELECT text_id, sealed FROM mediation_texts WHERE mediation_id = $1")
        .bind::<SqlUuid, _>(id.0)
        .load(conn)
        .await?;
    Ok(rows.into_iter().map(|row| (row.text_id, row.sealed)).collect())
}

/// Which mediations to list.
#[derive(Debug, Clone, Default)]
pub struct MediationFilter {
    pub reach: ReachFilter,
    /// A person who reaches those besides in which they are a party.
    pub party: Option<Uuid>,
    /// Empty: all.
    pub states: Vec<MediationState>,
    pub case: Option<Uuid>,
    /// Only older ones.
    pub before: Option<Uuid>,
    pub limit: i64,
}

/// A mediation with how its case stands.
pub struct Listed {
    pub mediation: Mediation,
    pub case_state: CaseState,
    pub case_no: String,
}

#[derive(QueryableByName)]
pub(super) struct ListedRow {
    #[diesel(sql_type = Text)]
    doc: String,
    #[diesel(sql_type = Text)]
    case_state: String,
    #[diesel(sql_type = Text)]
    case_no: String,
}

impl ListedRow {
    pub fn listed(self) -> Result<Listed> {
        let case_state = self.case_state.parse().map_err(Error::internal)?;
        Ok(Listed { mediation: read_doc(&self.doc)?, case_state, case_no: self.case_no })
    }
}

/// Mediations of cases within reach, and those of a party, newest first.
pub async fn list(conn: &mut AsyncPgConnection, filter: &MediationFilter) -> Result<Vec<Listed>> {
    let rows: Vec<ListedRow> = cached(concat!(
        "SELECT m.doc, c.state AS case_state, c.case_no FROM mediations m JOIN cases c ON c.case_id = m.case_id \
         WHERE m.mediation_id < $1 AND (cardinality($2) = 0 OR m.state = ANY ($2)) \
         AND ($3 IS NULL OR m.case_id = $3) AND (",
        reached!("$4", "$5", "$6", "$7", "$8"),
        " OR m.mediation_id IN (SELECT p.mediation_id FROM mediations p WHERE p.party_ids @> ARRAY[$10])) \
         ORDER BY m.mediation_id DESC LIMIT $9"
    ))
    .bind::<SqlUuid, _>(filter.before.unwrap_or(Uuid::max()))
    .bind::<Array<Text>, _>(filter.states.iter().map(|state| state.as_str()).collect::<Vec<_>>())
    .bind::<Nullable<SqlUuid>, _>(filter.case)
    .bind::<Bool, _>(filter.reach.all)
    .bind::<Nullable<SqlUuid>, _>(filter.reach.requester)
    .bind::<Array<SqlUuid>, _>(&filter.reach.units)
    .bind::<Array<Nullable<Text>>, _>(&filter.reach.lines)
    .bind::<Array<SqlUuid>, _>(&filter.reach.orgs)
    .bind::<BigInt, _>(filter.limit)
    .bind::<Nullable<SqlUuid>, _>(filter.party)
    .load(conn)
    .await?;
    rows.into_iter().map(ListedRow::listed).collect()
}

#[derive(QueryableByName)]
struct DueRow {
    #[diesel(sql_type = SqlUuid)]
    case_id: Uuid,
}

#[derive(QueryableByName)]
struct OpenRow {
    #[diesel(sql_type = SqlUuid)]
    mediation_id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    case_id: Uuid,
}

/// Mediations that are open still though their cases ended without being handled, with these cases, the oldest first:
/// those after the given one.
pub async fn of_ended_cases(
    conn: &mut AsyncPgConnection,
    after: Uuid,
    most: i64,
) -> Result<Vec<(Uuid, CaseId)>> {
    let ended = CaseState::ALL.iter().filter(|state| state.leaves_nothing_to_mediate());
    let rows: Vec<OpenRow> = cached(
        "SELECT m.mediation_id, m.case_id FROM mediations m JOIN cases c ON c.case_id = m.case_id \
         WHERE m.open AND m.mediation_id > $1 AND c.state = ANY ($2) ORDER BY m.mediation_id LIMIT $3",
    )
    .bind::<SqlUuid, _>(after)
    .bind::<Array<Text>, _>(ended.map(|state| state.as_str()).collect::<Vec<_>>())
    .bind::<BigInt, _>(most)
    .load(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.mediation_id, CaseId(row.case_id))).collect())
}

/// Cases after `after` with a mediation of which a day was counted with an older calendar, by id. They are not locked.
pub async fn behind(
    conn: &mut AsyncPgConnection,
    version: u32,
    after: CaseId,
    most: i64,
) -> Result<Vec<CaseId>> {
    let rows: Vec<DueRow> = cached(
        "SELECT DISTINCT case_id FROM mediations WHERE calendar_version < $1 AND case_id > $2 \
         ORDER BY case_id LIMIT $3",
    )
    .bind::<Integer, _>(i32::try_from(version).unwrap_or(i32::MAX))
    .bind::<SqlUuid, _>(after.0)
    .bind::<BigInt, _>(most)
    .load(conn)
    .await?;
    Ok(rows.into_iter().map(|row| CaseId(row.case_id)).collect())
}

/// Locks the cases whose mediations have been due longest, passing over those that somebody else works on.
pub async fn take_due(conn: &mut AsyncPgConnection, now: Timestamp, most: i64) -> Result<Vec<CaseId>> {
    let rows: Vec<DueRow> = cached(
        "SELECT c.case_id FROM mediations m JOIN cases c ON c.case_id = m.case_id WHERE m.due_at <= $1 \
         ORDER BY m.due_at, m.mediation_id LIMIT $2 FOR UPDATE OF c SKIP LOCKED",
    )
    .bind::<Timestamptz, _>(now)
    .bind::<BigInt, _>(most)
    .load(conn)
    .await?;
    let mut ids: Vec<CaseId> = rows.into_iter().map(|row| CaseId(row.case_id)).collect();
    ids.sort_unstable();
    ids.dedup();
    Ok(ids)
}

/// Puts off what is due in these cases. The caller holds their rows.
pub async fn put_off(
    conn: &mut AsyncPgConnection,
    cases: &[CaseId],
    now: Timestamp,
    until: Timestamp,
) -> Result<()> {
    cached("UPDATE mediations SET due_at = $3 WHERE case_id = ANY ($1) AND due_at <= $2")
        .bind::<Array<SqlUuid>, _>(cases.iter().map(|case| case.0).collect::<Vec<_>>())
        .bind::<Timestamptz, _>(now)
        .bind::<Timestamptz, _>(until)
        .execute(conn)
        .await?;
    Ok(())
}
