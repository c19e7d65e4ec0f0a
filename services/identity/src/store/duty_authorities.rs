//! Authority that transfers ask for.

use chassis::{Error, Result, Timestamp, db::cached};
use diesel::{
    OptionalExtension, QueryableByName,
    sql_types::{Array, BigInt, Bool, Nullable, SmallInt, Text, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::{Limit, corrupt};
use crate::domain::duty_authority::{AuthorityState, DutyAuthority};

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = SqlUuid)]
    duty_transfer_id: Uuid,
    #[diesel(sql_type = SmallInt)]
    state: i16,
    #[diesel(sql_type = SqlUuid)]
    from_org_id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    to_org_id: Uuid,
    #[diesel(sql_type = Nullable<Text>)]
    line: Option<String>,
    #[diesel(sql_type = Array<Text>)]
    item_codes: Vec<String>,
    #[diesel(sql_type = Text)]
    proposed_by: String,
    #[diesel(sql_type = Text)]
    basis_ref: String,
    #[diesel(sql_type = Text)]
    reason_code: String,
    #[diesel(sql_type = Text)]
    decided_by: String,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    decided_at: Option<Timestamp>,
    #[diesel(sql_type = Bool)]
    effective: bool,
    #[diesel(sql_type = Bool)]
    closed: bool,
    #[diesel(sql_type = BigInt)]
    version: i64,
}

/// The columns of [`Row`]; each query adds its own condition.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT duty_transfer_id, state, from_org_id, to_org_id, line, item_codes, proposed_by, basis_ref,
                    reason_code, decided_by, decided_at, effective, closed, version
               FROM duty_authorities a WHERE ",
            $rest
        )
    };
}

impl TryFrom<Row> for DutyAuthority {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        Ok(Self {
            transfer_id: row.duty_transfer_id,
            state: AuthorityState::from_number(row.state).ok_or_else(|| corrupt("state of an authority"))?,
            from_org_id: row.from_org_id,
            to_org_id: row.to_org_id,
            line: row.line,
            item_codes: row.item_codes,
            proposed_by: row.proposed_by,
            basis_ref: row.basis_ref,
            reason_code: row.reason_code,
            decided_by: row.decided_by,
            decided_at: row.decided_at,
            effective: row.effective,
            closed: row.closed,
            version: row.version,
        })
    }
}

/// One, held until the transaction ends.
pub async fn lock(conn: &mut AsyncPgConnection, transfer: Uuid) -> Result<Option<DutyAuthority>> {
    let row: Option<Row> = cached(select!("duty_transfer_id = $1 FOR UPDATE"))
        .bind::<SqlUuid, _>(transfer)
        .get_result(conn)
        .await
        .optional()?;
    row.map(DutyAuthority::try_from).transpose()
}

/// Scopes by which a caller reaches: a unit, and one line or all.
pub type Scopes<'a> = &'a [(Uuid, Option<String>)];

/// Those whose department or new holder lies within the scopes, newest first, older than `below`.
pub async fn list(
    conn: &mut AsyncPgConnection,
    scopes: Scopes<'_>,
    below: Uuid,
    limit: Limit,
) -> Result<Vec<DutyAuthority>> {
    let (units, lines): (Vec<Uuid>, Vec<Option<&str>>) =
        scopes.iter().map(|(unit, line)| (*unit, line.as_deref())).unzip();
    let rows: Vec<Row> = cached(select!(
        "a.duty_transfer_id < $3 AND EXISTS (
           SELECT FROM organizations o JOIN units u ON u.unit_id = o.unit_id
             JOIN unnest($1::uuid[], $2::text[]) AS s (unit_id, line)
               ON u.path @> ARRAY[s.unit_id] AND (s.line IS NULL OR s.line = o.line)
            WHERE o.org_id IN (a.from_org_id, a.to_org_id))
          ORDER BY a.duty_transfer_id DESC LIMIT $4"
    ))
    .bind::<Array<SqlUuid>, _>(units)
    .bind::<Array<Nullable<Text>>, _>(lines)
    .bind::<SqlUuid, _>(below)
    .bind::<BigInt, _>(limit)
    .load(conn)
    .await?;
    rows.into_iter().map(DutyAuthority::try_from).collect()
}

/// Writes a new or changed one.
pub async fn write(conn: &mut AsyncPgConnection, one: &DutyAuthority) -> Result<()> {
    cached(
        "INSERT INTO duty_authorities (duty_transfer_id, state, from_org_id, to_org_id, line, item_codes, proposed_by,
                                       basis_ref, reason_code, decided_by, decided_at, effective, closed, version)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
         ON CONFLICT (duty_transfer_id) DO UPDATE SET state = excluded.state, basis_ref = excluded.basis_ref,
           reason_code = excluded.reason_code, decided_by = excluded.decided_by, decided_at = excluded.decided_at,
           effective = excluded.effective, closed = excluded.closed, version = excluded.version",
    )
    .bind::<SqlUuid, _>(one.transfer_id)
    .bind::<SmallInt, _>(one.state as i16)
    .bind::<SqlUuid, _>(one.from_org_id)
    .bind::<SqlUuid, _>(one.to_org_id)
    .bind::<Nullable<Text>, _>(one.line.as_deref())
    .bind::<Array<Text>, _>(&one.item_codes)
    .bind::<Text, _>(&one.proposed_by)
    .bind::<Text, _>(&one.basis_ref)
    .bind::<Text, _>(&one.reason_code)
    .bind::<Text, _>(&one.decided_by)
    .bind::<Nullable<Timestamptz>, _>(one.decided_at)
    .bind::<Bool, _>(one.effective)
    .bind::<Bool, _>(one.closed)
    .bind::<BigInt, _>(one.version)
    .execute(conn)
    .await?;
    Ok(())
}
