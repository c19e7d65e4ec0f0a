//! Lists for callers, always within their reach, by keyset; and digests for reconcile.

use chassis::{Result, db::cached};
use diesel::{
    QueryableByName,
    sql_types::{Array, BigInt, Integer, Nullable, SmallInt, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::{assignments, posts, workers};
use crate::domain::{Assignment, AssignmentState, Post, Worker};

/// Whose assignments may be seen, and which are wanted.
#[derive(Debug, Clone, Default)]
pub struct AssignmentFilter {
    /// Organisations within reach.
    pub orgs: Vec<Uuid>,
    /// The caller, whose own are always within reach.
    pub person: Uuid,
    /// Only the caller's own.
    pub mine: bool,
    /// Only this one.
    pub id: Option<Uuid>,
    /// Only of a task.
    pub task: Option<Uuid>,
    /// Only of a case.
    pub case: Option<Uuid>,
    /// Only in these states; empty for all.
    pub states: Vec<AssignmentState>,
    /// Before the last one of the page before.
    pub before: Option<Uuid>,
    /// How many.
    pub limit: i64,
}

/// A page of the caller's own.
macro_rules! mine {
    ($states:literal) => {
        concat!(
            "SELECT ",
            assignments::columns!(),
            " FROM assignments WHERE person_id = $1 AND $7 IS NULL AND $2 = 1 AND $3 = $3 AND ",
            $states,
            " AND assignment_id < $5 ORDER BY assignment_id DESC LIMIT $6"
        )
    };
}

/// A page of the caller's own and of the organisations', each found by its own index.
macro_rules! reached {
    ($states:literal) => {
        concat!(
            "SELECT ",
            assignments::columns!(),
            " FROM ((SELECT ",
            assignments::columns!(),
            " FROM assignments WHERE person_id = $1 AND $7 IS NULL AND ",
            $states,
            " AND assignment_id < $5 ORDER BY assignment_id DESC LIMIT $6)
            UNION (SELECT ",
            assignments::columns!(),
            " FROM unnest($3) AS o (id) CROSS JOIN LATERAL (
                SELECT * FROM assignments WHERE org_id = o.id AND $2 = 0 AND ",
            $states,
            " AND assignment_id < $5 ORDER BY assignment_id DESC LIMIT $6) a)
            ) a ORDER BY assignment_id DESC LIMIT $6"
        )
    };
}

/// Assignments, newest first. Each kind of question has its own statement, so that each has its index.
pub async fn assignments(conn: &mut AsyncPgConnection, filter: &AssignmentFilter) -> Result<Vec<Assignment>> {
    const BY_ID: &str = assignments::select!(
        "FROM assignments a WHERE assignment_id = $7
            AND (person_id = $1 OR (NOT ($2 = 1) AND org_id = ANY($3))) AND ($4 = '{}' OR state = ANY($4))
            AND assignment_id < $5 ORDER BY assignment_id DESC LIMIT $6"
    );
    const BY_TASK: &str = assignments::select!(
        "FROM assignments a WHERE task_id = $7
            AND (person_id = $1 OR (NOT ($2 = 1) AND org_id = ANY($3))) AND ($4 = '{}' OR state = ANY($4))
            AND assignment_id < $5 ORDER BY assignment_id DESC LIMIT $6"
    );
    const BY_CASE: &str = assignments::select!(
        "FROM assignments a WHERE case_id = $7
            AND (person_id = $1 OR (NOT ($2 = 1) AND org_id = ANY($3))) AND ($4 = '{}' OR state = ANY($4))
            AND assignment_id < $5 ORDER BY assignment_id DESC LIMIT $6"
    );
    const MINE: &str = mine!("($4 = '{}' OR state = ANY($4))");
    const REACHED: &str = reached!("($4 = '{}' OR state = ANY($4))");
    // As the indexes `assignments_person_in_hand` and `assignments_org_in_hand` have them.
    const MINE_IN_HAND: &str = mine!("state IN (1, 2, 3, 4) AND state = ANY($4)");
    const REACHED_IN_HAND: &str = reached!("state IN (1, 2, 3, 4) AND state = ANY($4)");
    let in_hand = !filter.states.is_empty() && filter.states.iter().all(|state| state.is_active());
    let (sql, key) = match (filter.id, filter.task, filter.case) {
        (Some(id), _, _) => (BY_ID, Some(id)),
        (None, Some(task), _) => (BY_TASK, Some(task)),
        (None, None, Some(case)) => (BY_CASE, Some(case)),
        (None, None, None) if filter.mine => (if in_hand { MINE_IN_HAND } else { MINE }, None),
        (None, None, None) => (if in_hand { REACHED_IN_HAND } else { REACHED }, None),
    };
    let states: Vec<i16> = filter.states.iter().map(|state| *state as i16).collect();
    let rows: Vec<assignments::Row> = cached(sql)
        .bind::<SqlUuid, _>(filter.person)
        .bind::<Integer, _>(i32::from(filter.mine))
        .bind::<Array<SqlUuid>, _>(&filter.orgs)
        .bind::<Array<SmallInt>, _>(states)
        .bind::<SqlUuid, _>(filter.before.unwrap_or(Uuid::max()))
        .bind::<BigInt, _>(filter.limit)
        .bind::<Nullable<SqlUuid>, _>(key)
        .load(conn)
        .await?;
    rows.into_iter().map(Assignment::try_from).collect()
}

/// Posts of organisations, by id after `after`.
pub async fn posts(
    conn: &mut AsyncPgConnection,
    orgs: &[Uuid],
    after: Uuid,
    limit: i64,
) -> Result<Vec<Post>> {
    let rows: Vec<posts::Row> =
        cached(posts::select!("org_id = ANY($1) AND post_id > $2 ORDER BY post_id LIMIT $3"))
            .bind::<Array<SqlUuid>, _>(orgs)
            .bind::<SqlUuid, _>(after)
            .bind::<BigInt, _>(limit)
            .load(conn)
            .await?;
    rows.into_iter().map(Post::try_from).collect()
}

/// Active workers of organisations, by id after `after`: by what changes between two pages, somebody would be on neither.
pub async fn workers(
    conn: &mut AsyncPgConnection,
    orgs: &[Uuid],
    after: Uuid,
    limit: i64,
) -> Result<Vec<Worker>> {
    let rows: Vec<workers::Row> = cached(workers::select!(
        "FROM workers WHERE org_id = ANY($1) AND active AND worker_id > $2 ORDER BY worker_id LIMIT $3"
    ))
    .bind::<Array<SqlUuid>, _>(orgs)
    .bind::<SqlUuid, _>(after)
    .bind::<BigInt, _>(limit)
    .load(conn)
    .await?;
    rows.into_iter().map(Worker::try_from).collect()
}

/// For every known task: how many active assignments it has, ordered by the task's id as text.
pub async fn active_by_task(
    conn: &mut AsyncPgConnection,
    after: Uuid,
    limit: i64,
) -> Result<Vec<(Uuid, i64)>> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = SqlUuid)]
        task_id: Uuid,
        #[diesel(sql_type = BigInt)]
        active: i64,
    }
    // UUIDs order like their text.
    let rows: Vec<Row> = cached(
        "SELECT t.task_id, (SELECT count(*) FROM assignments a
                             WHERE a.task_id = t.task_id AND a.state IN (1, 2, 3, 4)) AS active
           FROM tasks t WHERE t.task_id > $1 ORDER BY t.task_id LIMIT $2",
    )
    .bind::<SqlUuid, _>(after)
    .bind::<BigInt, _>(limit)
    .load(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.task_id, row.active)).collect())
}
