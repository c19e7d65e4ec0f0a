//! Fund lines, and what transfers of duties ask for. The posts are locked first, then the demand's row, then the fund line.

use chassis::{Error, Result, Timestamp, db::cached};
use diesel::{
    OptionalExtension, QueryableByName,
    sql_types::{Array, BigInt, Bool, Integer, Nullable, SmallInt, Text, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::{corrupt, on_constraint};
use crate::domain::{
    OrgId, PostKind,
    duty::{Demand, FUND_LINE, FundLine, LegState, Returned},
};

#[derive(QueryableByName)]
struct LineRow {
    #[diesel(sql_type = SqlUuid)]
    fund_line_id: Uuid,
    #[diesel(sql_type = Text)]
    code: String,
    #[diesel(sql_type = SqlUuid)]
    org_id: Uuid,
    #[diesel(sql_type = BigInt)]
    budget_fen: i64,
    #[diesel(sql_type = BigInt)]
    allotted_fen: i64,
}

/// The columns of [`LineRow`]; each query adds its own condition.
macro_rules! select_line {
    ($rest:literal) => {
        concat!("SELECT fund_line_id, code, org_id, budget_fen, allotted_fen FROM fund_lines WHERE ", $rest)
    };
}

impl From<LineRow> for FundLine {
    fn from(row: LineRow) -> Self {
        Self {
            id: row.fund_line_id,
            code: row.code,
            org_id: OrgId(row.org_id),
            budget_fen: row.budget_fen,
            allotted_fen: row.allotted_fen,
        }
    }
}

/// Stores a new fund line; a code that is taken is `AlreadyExists`.
pub async fn insert_line(conn: &mut AsyncPgConnection, line: &FundLine) -> Result<()> {
    cached(
        "INSERT INTO fund_lines (fund_line_id, code, org_id, budget_fen, allotted_fen) VALUES ($1, $2, $3, $4, $5)",
    )
    .bind::<SqlUuid, _>(line.id)
    .bind::<Text, _>(&line.code)
    .bind::<SqlUuid, _>(line.org_id.0)
    .bind::<BigInt, _>(line.budget_fen)
    .bind::<BigInt, _>(line.allotted_fen)
    .execute(conn)
    .await
    .map_err(|error| {
        on_constraint(error, "fund_lines_code", || Error::already_exists(FUND_LINE, line.code.as_str()))
    })?;
    Ok(())
}

/// One fund line, held until the transaction ends.
pub async fn lock_line(conn: &mut AsyncPgConnection, id: Uuid) -> Result<Option<FundLine>> {
    let row: Option<LineRow> = cached(select_line!("fund_line_id = $1 FOR UPDATE"))
        .bind::<SqlUuid, _>(id)
        .get_result(conn)
        .await
        .optional()?;
    Ok(row.map(Into::into))
}

/// Writes what is allotted.
pub async fn write_line(conn: &mut AsyncPgConnection, line: &FundLine) -> Result<()> {
    cached("UPDATE fund_lines SET allotted_fen = $2 WHERE fund_line_id = $1")
        .bind::<SqlUuid, _>(line.id)
        .bind::<BigInt, _>(line.allotted_fen)
        .execute(conn)
        .await?;
    Ok(())
}

/// Fund lines of organisations, newest first.
pub async fn lines(
    conn: &mut AsyncPgConnection,
    orgs: &[Uuid],
    below: Uuid,
    limit: i64,
) -> Result<Vec<FundLine>> {
    let rows: Vec<LineRow> =
        cached(select_line!("org_id = ANY($1) AND fund_line_id < $2 ORDER BY fund_line_id DESC LIMIT $3"))
            .bind::<Array<SqlUuid>, _>(orgs)
            .bind::<SqlUuid, _>(below)
            .bind::<BigInt, _>(limit)
            .load(conn)
            .await?;
    Ok(rows.into_iter().map(Into::into).collect())
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = SqlUuid)]
    duty_transfer_id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    from_org_id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    to_org_id: Uuid,
    #[diesel(sql_type = Nullable<Text>)]
    line: Option<String>,
    #[diesel(sql_type = BigInt)]
    fund_fen: i64,
    #[diesel(sql_type = Array<SmallInt>)]
    need_kinds: Vec<i16>,
    #[diesel(sql_type = Array<Integer>)]
    need_counts: Vec<i32>,
    #[diesel(sql_type = Timestamptz)]
    deadline: Timestamp,
    #[diesel(sql_type = SmallInt)]
    funds: i16,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    fund_line_id: Option<Uuid>,
    #[diesel(sql_type = SmallInt)]
    staff: i16,
    #[diesel(sql_type = Array<SqlUuid>)]
    post_ids: Vec<Uuid>,
    #[diesel(sql_type = Array<Text>)]
    training_codes: Vec<String>,
    #[diesel(sql_type = SmallInt)]
    training: i16,
    #[diesel(sql_type = Text)]
    training_ref: String,
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
            "SELECT duty_transfer_id, from_org_id, to_org_id, line, fund_fen, need_kinds, need_counts, deadline, \
             funds, fund_line_id, staff, post_ids, training_codes, training, training_ref, effective, closed, \
             version FROM duty_demands WHERE ",
            $rest
        )
    };
}

impl TryFrom<Row> for Demand {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let state = |number| LegState::from_number(number).ok_or_else(|| corrupt("state of a demand"));
        let kinds = row
            .need_kinds
            .iter()
            .map(|kind| PostKind::from_number(i32::from(*kind)).ok_or_else(|| corrupt("kind of a post")));
        let kinds: Vec<PostKind> = kinds.collect::<Result<_>>()?;
        Ok(Self {
            transfer_id: row.duty_transfer_id,
            from_org_id: OrgId(row.from_org_id),
            to_org_id: OrgId(row.to_org_id),
            line: row.line,
            fund_fen: row.fund_fen,
            needs: kinds.into_iter().zip(row.need_counts).collect(),
            deadline: row.deadline,
            funds: state(row.funds)?,
            fund_line_id: row.fund_line_id,
            staff: state(row.staff)?,
            post_ids: row.post_ids,
            training_codes: row.training_codes,
            training: state(row.training)?,
            training_ref: row.training_ref,
            effective: row.effective,
            closed: row.closed,
            version: row.version,
        })
    }
}

/// One demand, held until the transaction ends.
pub async fn lock(conn: &mut AsyncPgConnection, transfer: Uuid) -> Result<Option<Demand>> {
    let row: Option<Row> = cached(select!("duty_transfer_id = $1 FOR UPDATE"))
        .bind::<SqlUuid, _>(transfer)
        .get_result(conn)
        .await
        .optional()?;
    row.map(Demand::try_from).transpose()
}

/// One demand; reach is the caller's affair.
pub async fn get(conn: &mut AsyncPgConnection, transfer: Uuid) -> Result<Option<Demand>> {
    let row: Option<Row> = cached(select!("duty_transfer_id = $1"))
        .bind::<SqlUuid, _>(transfer)
        .get_result(conn)
        .await
        .optional()?;
    row.map(Demand::try_from).transpose()
}

#[derive(QueryableByName)]
struct KindRow {
    #[diesel(sql_type = SmallInt)]
    kind: i16,
    #[diesel(sql_type = Integer)]
    posts: i32,
}

/// How many posts of each kind that do a transfer's work have somebody on them now.
pub async fn filled(conn: &mut AsyncPgConnection, transfer: Uuid) -> Result<Vec<(PostKind, i32)>> {
    let rows: Vec<KindRow> = cached(
        "SELECT p.kind, count(*)::integer AS posts FROM duty_posts d JOIN posts p USING (post_id) \
         WHERE d.duty_transfer_id = $1 AND p.state = 'filled' GROUP BY p.kind ORDER BY p.kind",
    )
    .bind::<SqlUuid, _>(transfer)
    .load(conn)
    .await?;
    let kind = |row: &KindRow| {
        let kind = PostKind::from_number(i32::from(row.kind));
        kind.map(|kind| (kind, row.posts)).ok_or_else(|| corrupt("kind of a post"))
    };
    rows.iter().map(kind).collect()
}

/// Demands of transfers that are not over and count on one of the posts, held until the transaction ends.
pub async fn lock_counting_on(conn: &mut AsyncPgConnection, posts: &[Uuid]) -> Result<Vec<Demand>> {
    let rows: Vec<Row> = cached(select!(
        "NOT closed AND duty_transfer_id IN \
         (SELECT duty_transfer_id FROM duty_posts WHERE post_id = ANY($1)) ORDER BY duty_transfer_id FOR UPDATE"
    ))
    .bind::<Array<SqlUuid>, _>(posts)
    .load(conn)
    .await?;
    rows.into_iter().map(Demand::try_from).collect()
}

/// Demands from or to organisations, newest first.
pub async fn list(
    conn: &mut AsyncPgConnection,
    orgs: &[Uuid],
    below: Uuid,
    limit: i64,
) -> Result<Vec<Demand>> {
    let rows: Vec<Row> = cached(select!(
        "(from_org_id = ANY($1) OR to_org_id = ANY($1)) AND duty_transfer_id < $2 \
         ORDER BY duty_transfer_id DESC LIMIT $3"
    ))
    .bind::<Array<SqlUuid>, _>(orgs)
    .bind::<SqlUuid, _>(below)
    .bind::<BigInt, _>(limit)
    .load(conn)
    .await?;
    rows.into_iter().map(Demand::try_from).collect()
}

/// Writes a new or changed demand.
pub async fn write(conn: &mut AsyncPgConnection, demand: &Demand) -> Result<()> {
    cached(
        "INSERT INTO duty_demands (duty_transfer_id, from_org_id, to_org_id, line, fund_fen, need_kinds, need_counts, \
         deadline, funds, fund_line_id, staff, post_ids, training_codes, training, training_ref, effective, closed, version) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18) \
         ON CONFLICT (duty_transfer_id) DO UPDATE SET funds = excluded.funds, fund_line_id = excluded.fund_line_id, \
         staff = excluded.staff, post_ids = excluded.post_ids, training = excluded.training, \
         training_ref = excluded.training_ref, effective = excluded.effective, closed = excluded.closed, \
         version = excluded.version",
    )
    .bind::<SqlUuid, _>(demand.transfer_id)
    .bind::<SqlUuid, _>(demand.from_org_id.0)
    .bind::<SqlUuid, _>(demand.to_org_id.0)
    .bind::<Nullable<Text>, _>(demand.line.as_deref())
    .bind::<BigInt, _>(demand.fund_fen)
    .bind::<Array<SmallInt>, _>(demand.needs.iter().map(|(kind, _)| *kind as i16).collect::<Vec<_>>())
    .bind::<Array<Integer>, _>(demand.needs.iter().map(|(_, count)| *count).collect::<Vec<_>>())
    .bind::<Timestamptz, _>(demand.deadline)
    .bind::<SmallInt, _>(demand.funds as i16)
    .bind::<Nullable<SqlUuid>, _>(demand.fund_line_id)
    .bind::<SmallInt, _>(demand.staff as i16)
    .bind::<Array<SqlUuid>, _>(&demand.post_ids)
    .bind::<Array<Text>, _>(&demand.training_codes)
    .bind::<SmallInt, _>(demand.training as i16)
    .bind::<Text, _>(&demand.training_ref)
    .bind::<Bool, _>(demand.effective)
    .bind::<Bool, _>(demand.closed)
    .bind::<BigInt, _>(demand.version)
    .execute(conn)
    .await?;
    Ok(())
}

/// Binds posts to a transfer; one that is bound already is `WrongState`.
pub async fn bind(conn: &mut AsyncPgConnection, transfer: Uuid, posts: &[Uuid]) -> Result<()> {
    cached("INSERT INTO duty_posts (post_id, duty_transfer_id) SELECT post_id, $2 FROM unnest($1) AS t (post_id)")
        .bind::<Array<SqlUuid>, _>(posts)
        .bind::<SqlUuid, _>(transfer)
        .execute(conn)
        .await
        .map_err(|error| {
            let taken = || Error::wrong_state("post", "one of them", "does the work of another transfer");
            on_constraint(error, "duty_posts_once", taken)
        })?;
    Ok(())
}

/// Gives back what is returned: money to its line, posts to their other work. Gives the code of the line.
pub async fn give_back(
    conn: &mut AsyncPgConnection,
    transfer: Uuid,
    amount_fen: i64,
    returned: &Returned,
) -> Result<Option<String>> {
    if !returned.post_ids.is_empty() {
        cached("DELETE FROM duty_posts WHERE duty_transfer_id = $1")
            .bind::<SqlUuid, _>(transfer)
            .execute(conn)
            .await?;
    }
    let Some(id) = returned.fund_line_id else { return Ok(None) };
    let line = lock_line(conn, id).await?.ok_or_else(|| Error::internal("a fund line is gone"))?;
    let line = line.take_back(amount_fen)?;
    write_line(conn, &line).await?;
    Ok(Some(line.code))
}
