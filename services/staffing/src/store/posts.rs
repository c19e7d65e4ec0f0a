//! Posts.

use chassis::{Error, Result, Timestamp, db::cached};
use diesel::{
    OptionalExtension, QueryableByName,
    sql_types::{Array, Integer, Nullable, SmallInt, Text, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::{corrupt, on_constraint};
use crate::domain::{OrgId, Post, PostId, PostKind, PostState, UnitId};

/// Name of the kind in errors.
pub const KIND: &str = "post";

#[derive(QueryableByName)]
pub(super) struct Row {
    #[diesel(sql_type = SqlUuid)]
    post_id: Uuid,
    #[diesel(sql_type = Text)]
    post_no: String,
    #[diesel(sql_type = SmallInt)]
    kind: i16,
    #[diesel(sql_type = SqlUuid)]
    org_id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    unit_id: Uuid,
    #[diesel(sql_type = Nullable<Text>)]
    line: Option<String>,
    #[diesel(sql_type = Text)]
    template: String,
    #[diesel(sql_type = Text)]
    state: String,
    #[diesel(sql_type = Integer)]
    daily_minutes: i32,
    #[diesel(sql_type = Integer)]
    max_open: i32,
}

/// The columns of [`Row`]; each query adds its own condition.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT post_id, post_no, kind, org_id, unit_id, line, template, state, daily_minutes, max_open
               FROM posts WHERE ",
            $rest
        )
    };
}
pub(super) use select;

impl TryFrom<Row> for Post {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        Ok(Self {
            id: PostId(row.post_id),
            number: row.post_no,
            kind: PostKind::from_number(i32::from(row.kind)).ok_or_else(|| corrupt("kind of a post"))?,
            org_id: OrgId(row.org_id),
            unit_id: UnitId(row.unit_id),
            line: row.line,
            template: row.template,
            state: PostState::from_code(&row.state).ok_or_else(|| corrupt("state of a post"))?,
            daily_minutes: row.daily_minutes,
            max_open: row.max_open,
        })
    }
}

/// The organisation of a post, which stays the same, without holding it.
pub async fn org_of(conn: &mut AsyncPgConnection, id: PostId) -> Result<Option<OrgId>> {
    #[derive(QueryableByName)]
    struct Org {
        #[diesel(sql_type = SqlUuid)]
        org_id: Uuid,
    }
    let row: Option<Org> = cached("SELECT org_id FROM posts WHERE post_id = $1")
        .bind::<SqlUuid, _>(id.0)
        .get_result(conn)
        .await
        .optional()?;
    Ok(row.map(|row| OrgId(row.org_id)))
}

/// All posts of organisations, by number, held until the transaction ends.
pub async fn lock_of_orgs(conn: &mut AsyncPgConnection, orgs: &[Uuid]) -> Result<Vec<Post>> {
    let rows: Vec<Row> = cached(select!("org_id = ANY($1) ORDER BY post_id FOR UPDATE"))
        .bind::<Array<SqlUuid>, _>(orgs)
        .load(conn)
        .await?;
    rows.into_iter().map(Post::try_from).collect()
}

/// One post, held until the transaction ends.
pub async fn lock(conn: &mut AsyncPgConnection, id: PostId) -> Result<Option<Post>> {
    let row: Option<Row> = cached(select!("post_id = $1 FOR UPDATE"))
        .bind::<SqlUuid, _>(id.0)
        .get_result(conn)
        .await
        .optional()?;
    row.map(Post::try_from).transpose()
}

/// Writes new and changed posts.
pub async fn write(conn: &mut AsyncPgConnection, posts: &[Post], now: Timestamp) -> Result<()> {
    if posts.is_empty() {
        return Ok(());
    }
    cached(
        "INSERT INTO posts (post_id, post_no, kind, org_id, unit_id, line, template, state, daily_minutes, max_open, created_at)
         SELECT d.*, $11
           FROM unnest($1::uuid[], $2::text[], $3::smallint[], $4::uuid[], $5::uuid[], $6::text[], $7::text[],
                       $8::text[], $9::integer[], $10::integer[])
                AS d (post_id, post_no, kind, org_id, unit_id, line, template, state, daily_minutes, max_open)
          ORDER BY d.post_id
         ON CONFLICT (post_id) DO UPDATE SET state = excluded.state",
    )
    .bind::<Array<SqlUuid>, _>(posts.iter().map(|p| p.id.0).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(posts.iter().map(|p| p.number.as_str()).collect::<Vec<_>>())
    .bind::<Array<SmallInt>, _>(posts.iter().map(|p| p.kind as i16).collect::<Vec<_>>())
    .bind::<Array<SqlUuid>, _>(posts.iter().map(|p| p.org_id.0).collect::<Vec<_>>())
    .bind::<Array<SqlUuid>, _>(posts.iter().map(|p| p.unit_id.0).collect::<Vec<_>>())
    .bind::<Array<Nullable<Text>>, _>(posts.iter().map(|p| p.line.as_deref()).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(posts.iter().map(|p| p.template.as_str()).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(posts.iter().map(|p| p.state.code()).collect::<Vec<_>>())
    .bind::<Array<Integer>, _>(posts.iter().map(|p| p.daily_minutes).collect::<Vec<_>>())
    .bind::<Array<Integer>, _>(posts.iter().map(|p| p.max_open).collect::<Vec<_>>())
    .bind::<Timestamptz, _>(now)
    .execute(conn)
    .await
    .map_err(|error| {
        let number = posts.first().map(|p| p.number.clone()).unwrap_or_default();
        on_constraint(error, "posts_post_no_key", || Error::already_exists(KIND, number))
    })?;
    Ok(())
}
