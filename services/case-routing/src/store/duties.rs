//! Transfers and admissions. Saving one that comes into force or goes out of it amends the responsibility list in the same
//! transaction, so that the two never disagree.

use std::{collections::HashMap, sync::Arc};

use chassis::{
    Error, Result, Timestamp,
    auth::{Caller, CallerKind},
    command::{AggregateStore, Change},
    db::cached,
    topology::Shared,
};
use diesel::{
    OptionalExtension, QueryableByName,
    result::{DatabaseErrorKind, Error as SqlError},
    sql_types::{Array, BigInt, Nullable, Text, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::lists::{self, Amendment};
use crate::{
    domain::{ListPart, duty::Listed},
    duty::{Duty, KIND, within_reach},
    listing::ListEntry,
    seed,
};

/// Loads and saves duties; reach is asked of the topology.
#[derive(Debug, Clone)]
pub struct DutyStore {
    pub topology: Arc<Shared>,
}

#[derive(QueryableByName)]
struct DocRow {
    #[diesel(sql_type = Text)]
    doc: String,
}

impl DocRow {
    fn duty(&self) -> Result<Duty> {
        serde_json::from_str(&self.doc).map_err(Error::internal)
    }
}

impl AggregateStore for DutyStore {
    type Id = Uuid;
    type Aggregate = Duty;
    const KIND: &'static str = KIND;

    fn id_text(id: Uuid) -> String {
        id.to_string()
    }

    async fn load(&self, mut conn: &AsyncPgConnection, ids: &[Uuid]) -> Result<HashMap<Uuid, Duty>> {
        let rows: Vec<DocRow> =
            cached("SELECT doc FROM duties WHERE duty_id = ANY($1) ORDER BY duty_id FOR UPDATE")
                .bind::<Array<SqlUuid>, _>(ids)
                .load(&mut conn)
                .await?;
        rows.iter().map(|row| row.duty().map(|duty| (duty.id(), duty))).collect()
    }

    async fn save(&self, conn: &AsyncPgConnection, changes: Vec<Change<Duty>>) -> Result<()> {
        for change in changes {
            write(conn, &change.after).await?;
            let before = change.before.as_ref();
            if before.is_none_or(|before| before.claims() != change.after.claims()) {
                claim(conn, &change.after).await?;
            }
            follow(conn, before.and_then(Duty::standing), &change.after).await?;
        }
        Ok(())
    }

    fn within_reach(&self, duty: &Duty, caller: &Caller) -> bool {
        caller.kind != CallerKind::Person || within_reach(duty, caller, &Shared::load(&self.topology))
    }
}

async fn write(mut conn: &AsyncPgConnection, duty: &Duty) -> Result<()> {
    let [from, to] = duty.orgs();
    cached(
        "INSERT INTO duties (duty_id, kind, from_org_id, to_org_id, state, version, due_at, doc) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (duty_id) DO UPDATE SET state = excluded.state, \
         version = excluded.version, due_at = excluded.due_at, doc = excluded.doc",
    )
    .bind::<SqlUuid, _>(duty.id())
    .bind::<Text, _>(duty.kind())
    .bind::<SqlUuid, _>(from.0)
    .bind::<SqlUuid, _>(to.0)
    .bind::<Text, _>(duty.state())
    .bind::<BigInt, _>(duty.version())
    .bind::<Nullable<Timestamptz>, _>(duty.next_due())
    .bind::<Text, _>(serde_json::to_string(duty).map_err(Error::internal)?)
    .execute(&mut conn)
    .await?;
    Ok(())
}

/// Claims its items for its holder while it is not over. Another one's claim is `AlreadyExists`.
async fn claim(mut conn: &AsyncPgConnection, duty: &Duty) -> Result<()> {
    let claims = duty.claims();
    if claims.is_empty() {
        cached("DELETE FROM duty_items WHERE duty_id = $1")
            .bind::<SqlUuid, _>(duty.id())
            .execute(&mut conn)
            .await?;
        return Ok(());
    }
    let [_, to] = duty.orgs();
    let done = cached(
        "INSERT INTO duty_items (item_code, to_org_id, duty_id) SELECT item_code, $2, $3 FROM unnest($1) AS t (item_code)",
    )
    .bind::<Array<Text>, _>(claims)
    .bind::<SqlUuid, _>(to.0)
    .bind::<SqlUuid, _>(duty.id())
    .execute(&mut conn)
    .await;
    match done {
        Ok(_) => Ok(()),
        Err(SqlError::DatabaseError(DatabaseErrorKind::UniqueViolation, _)) => {
            Err(Error::already_exists(KIND, "of one of the items for the same organisation"))
        }
        Err(error) => Err(error.into()),
    }
}

/// The list follows what has come into force or gone out of it.
async fn follow(conn: &AsyncPgConnection, before: Option<Listed>, duty: &Duty) -> Result<()> {
    let (at, transfer) = (duty.updated_at(), matches!(duty, Duty::Transfer(_)));
    let amendment = match (before, duty.standing()) {
        (None, Some(listed)) => Amendment {
            come: entries(&listed, at)?,
            gone: Vec::new(),
            reason_code: if transfer { "duty_transfer" } else { "admission" },
            drafted_by: listed.drafted_by.to_string(),
            approved_by: listed.approved_by.to_string(),
        },
        (Some(listed), None) => Amendment {
            gone: listed.items.iter().map(|item| listed.rule_id(item)).collect(),
            come: Vec::new(),
            reason_code: if transfer { "duty_taken_back" } else { "admission_over" },
            drafted_by: listed.drafted_by.to_string(),
            approved_by: listed.approved_by.to_string(),
        },
        _ => return Ok(()),
    };
    lists::amend(conn, amendment, at).await
}

fn entries(listed: &Listed, at: Timestamp) -> Result<Vec<ListEntry>> {
    let entry = |item: &String| ListEntry {
        entry: seed::Entry {
            rule_id: listed.rule_id(item),
            item_code: item.clone(),
            part: if listed.leads { ListPart::Lead } else { ListPart::AssistDuty },
            org_kind: None,
            line: None,
            org: Some(listed.to_code.clone()),
            condition: None,
            basis_doc: listed.basis_ref.clone(),
            mandatory: false,
            authority_granted: listed.authority_granted,
            transfer_ref: Some(listed.reference.clone()),
            fund_line: listed.fund_line.clone(),
            precedent_id: None,
        },
        from: calendar::local_day(at),
        to: None,
    };
    Ok(listed.items.iter().map(entry).collect())
}

/// One duty; reach is the caller's affair.
pub async fn get(conn: &mut AsyncPgConnection, id: Uuid) -> Result<Option<Duty>> {
    let row: Option<DocRow> = cached("SELECT doc FROM duties WHERE duty_id = $1")
        .bind::<SqlUuid, _>(id)
        .get_result(conn)
        .await
        .optional()?;
    row.map(|row| row.duty()).transpose()
}

/// Duties of a kind between or with organisations, newest first.
pub async fn list(
    conn: &mut AsyncPgConnection,
    kind: &str,
    orgs: &[Uuid],
    state: Option<&str>,
    below: Uuid,
    limit: i64,
) -> Result<Vec<Duty>> {
    let rows: Vec<DocRow> = cached(
        "SELECT doc FROM duties WHERE kind = $1 AND (from_org_id = ANY($2) OR to_org_id = ANY($2)) \
         AND ($3 IS NULL OR state = $3) AND duty_id < $4 ORDER BY duty_id DESC LIMIT $5",
    )
    .bind::<Text, _>(kind)
    .bind::<Array<SqlUuid>, _>(orgs)
    .bind::<Nullable<Text>, _>(state)
    .bind::<SqlUuid, _>(below)
    .bind::<BigInt, _>(limit)
    .load(conn)
    .await?;
    rows.iter().map(DocRow::duty).collect()
}

/// Duties in force of either kind between or with organisations, newest first.
pub async fn in_force(
    conn: &mut AsyncPgConnection,
    orgs: &[Uuid],
    below: Uuid,
    limit: i64,
) -> Result<Vec<Duty>> {
    let rows: Vec<DocRow> = cached(
        "SELECT doc FROM duties WHERE state IN ('effective', 'in_force') \
         AND (from_org_id = ANY($1) OR to_org_id = ANY($1)) AND duty_id < $2 ORDER BY duty_id DESC LIMIT $3",
    )
    .bind::<Array<SqlUuid>, _>(orgs)
    .bind::<SqlUuid, _>(below)
    .bind::<BigInt, _>(limit)
    .load(conn)
    .await?;
    rows.iter().map(DocRow::duty).collect()
}

#[derive(QueryableByName)]
struct IdRow {
    #[diesel(sql_type = SqlUuid)]
    duty_id: Uuid,
}

/// Locks the one that has been due longest, passing over those that somebody else works on.
pub async fn take_due(conn: &mut AsyncPgConnection, now: Timestamp) -> Result<Option<Uuid>> {
    let row: Option<IdRow> = cached(
        "SELECT duty_id FROM duties WHERE due_at <= $1 ORDER BY due_at, duty_id LIMIT 1 FOR UPDATE SKIP LOCKED",
    )
    .bind::<Timestamptz, _>(now)
    .get_result(conn)
    .await
    .optional()?;
    Ok(row.map(|row| row.duty_id))
}

/// Puts one off, unless it is not due any more.
pub async fn put_off(conn: &mut AsyncPgConnection, id: Uuid, now: Timestamp, until: Timestamp) -> Result<()> {
    cached("UPDATE duties SET due_at = $3 WHERE duty_id = $1 AND due_at <= $2")
        .bind::<SqlUuid, _>(id)
        .bind::<Timestamptz, _>(now)
        .bind::<Timestamptz, _>(until)
        .execute(conn)
        .await?;
    Ok(())
}

/// Which of these there are.
pub async fn known(conn: &mut AsyncPgConnection, ids: &[Uuid]) -> Result<Vec<Uuid>> {
    let rows: Vec<IdRow> = cached("SELECT duty_id FROM duties WHERE duty_id = ANY($1)")
        .bind::<Array<SqlUuid>, _>(ids)
        .load(conn)
        .await?;
    Ok(rows.into_iter().map(|row| row.duty_id).collect())
}
