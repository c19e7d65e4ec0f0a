//! The statements that save cases, each for a whole batch: one for what is new in `cases`, `tasks` and `agenda`, one for what
//! changed there, one for what is only ever added; besides, cases that leave the agenda or come into it late. None is sent when there
//! is nothing to write. Every statement is an answer that the server sends and the process wakes up for, so tables that are written
//! together are written by one. Arrays are bound column by column and taken apart by `unnest` ([`chassis::db::cached`] says where).

use std::fmt::{Display, Write as _};

use chassis::{Error, Result, command::Change, db::cached};
use diesel::{
    QueryableByName,
    result::{DatabaseErrorKind, Error as SqlError},
    sql_types::{
        Array, BigInt, Bool, Bytea, Integer, Nullable, SmallInt, Text, Timestamptz, Uuid as SqlUuid,
    },
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::{
    case_store::write_doc,
    rows::{AgendaRow, TaskRow, requester, running_due_at},
};
use crate::{
    domain::Case,
    record::{CaseRecord, OfferState},
};

type Changes = [Change<CaseRecord>];

/// Writes the cases, with the rows of their tasks and what is to happen by itself with them.
pub async fn cases(conn: &AsyncPgConnection, changes: &Changes) -> Result<()> {
    let (new, known): (Vec<_>, Vec<_>) = changes.iter().partition(|change| change.before.is_none());
    let is_changed = |change: &&Change<CaseRecord>| {
        change.before.as_ref().is_none_or(|before| before.case.version != change.after.case.version)
    };
    let changed: Vec<_> = known.into_iter().filter(is_changed).collect();
    let (tasks, agenda) = (Tasks::of(changes), Agenda::of(changes));
    futures::try_join!(
        insert(conn, &new, &tasks.new, &agenda.new),
        update(conn, &changed, &tasks.changed, &agenda.changed),
        enter(conn, &agenda.entered),
        leave(conn, agenda.left),
    )?;
    Ok(())
}

/// The rows of tasks that are new or changed.
#[derive(Default)]
struct Tasks {
    /// Each with its case.
    new: Vec<(Uuid, TaskRow)>,
    changed: Vec<TaskRow>,
}

impl Tasks {
    fn of(changes: &Changes) -> Self {
        let mut tasks = Self::default();
        for change in changes {
            let (after, before) = (&change.after.case, change.before.as_ref().map(|record| &record.case));
            for task in &after.tasks {
                let row = TaskRow::of(after, task);
                match before.and_then(|before| Some(TaskRow::of(before, before.task(task.id).ok()?))) {
                    None => tasks.new.push((after.id.0, row)),
                    Some(was) if was != row => tasks.changed.push(row),
                    Some(_) => {}
                }
            }
        }
        tasks
    }
}

type AgendaRows = Vec<(Uuid, AgendaRow)>;

/// What changes in the agenda.
#[derive(Default)]
struct Agenda {
    /// Of new cases.
    new: AgendaRows,
    changed: AgendaRows,
    /// Of known cases that were not in it.
    entered: AgendaRows,
    left: Vec<Uuid>,
}

impl Agenda {
    fn of(changes: &Changes) -> Self {
        let mut agenda = Self::default();
        for change in changes {
            let case = change.after.case.id.0;
            let was = change.before.as_ref().and_then(|before| AgendaRow::of(&before.case));
            match AgendaRow::of(&change.after.case) {
                row if row == was => {}
                Some(row) if change.before.is_none() => agenda.new.push((case, row)),
                Some(row) if was.is_some() => agenda.changed.push((case, row)),
                Some(row) => agenda.entered.push((case, row)),
                None => agenda.left.push(case),
            }
        }
        agenda
    }
}

/// One column of rows.
fn column<'a, R, T>(rows: &'a [R], of: impl Fn(&'a R) -> T) -> Vec<T> {
    rows.iter().map(of).collect()
}

fn each<'a, T>(changes: &[&'a Change<CaseRecord>], of: impl Fn(&'a Case) -> T) -> Vec<T> {
    changes.iter().map(|change| of(&change.after.case)).collect()
}

fn docs(changes: &[&Change<CaseRecord>]) -> Result<Vec<String>> {
    changes.iter().map(|change| write_doc(&change.after.case)).collect()
}

fn told(changes: &[&Change<CaseRecord>]) -> Vec<i64> {
    changes.iter().map(|change| change.after.told_version).collect()
}

/// `{a,b}`: an array of ids as text, because an array of arrays cannot be taken apart by row.
pub(super) fn ids<I: Display>(ids: impl ExactSizeIterator<Item = I>) -> String {
    let mut text = String::with_capacity(2 + ids.len() * 37);
    text.push('{');
    for (number, id) in ids.enumerate() {
        let comma = if number == 0 { "" } else { "," };
        let _ = write!(text, "{comma}{id}"); // writing to a String does not fail
    }
    text.push('}');
    text
}

/// All paths one after the other, and the first and the last place in them of each case's.
fn paths(changes: &[&Change<CaseRecord>]) -> (Vec<Uuid>, Vec<i32>, Vec<i32>) {
    let mut paths = Vec::with_capacity(8 * changes.len());
    let (mut from, mut to) = (Vec::with_capacity(changes.len()), Vec::with_capacity(changes.len()));
    let place = |n: usize| i32::try_from(n).unwrap_or(i32::MAX); // a batch has no more
    for change in changes {
        from.push(place(paths.len() + 1));
        paths.extend(change.after.case.place.path.iter().map(|unit| unit.0));
        to.push(place(paths.len()));
    }
    (paths, from, to)
}

/// The path, if it is another one than before.
fn moved(change: &Change<CaseRecord>) -> Option<String> {
    let (after, before) = (&change.after.case.place, change.before.as_ref().map(|record| &record.case.place));
    (before.map(|place| &place.path) != Some(&after.path)).then(|| ids(after.path.iter()))
}

/// What is new.
const INSERT: &str = "WITH new_tasks AS (INSERT INTO tasks (task_id, case_id, org_id, state, open, due_at, signed, active, \
     running_due_at, workers) \
     SELECT unnest($23), unnest($24), unnest($25), unnest($26), unnest($27), unnest($28), unnest($29), unnest($30), \
     unnest($31), unnest($32)), \
     new_agenda AS (INSERT INTO agenda (case_id, due_at, awaits, calendar_version, running_due_at, open, state, \
     street_id, requester_id, org_ids, asked_org_ids, original_id) \
     SELECT unnest($33), unnest($34), unnest($35), unnest($36), unnest($37), unnest($38), unnest($39), unnest($40), \
     unnest($41), unnest($42)::uuid[], unnest($43)::uuid[], unnest($44)) \
     INSERT INTO cases (case_id, case_no, version, told_version, state, open, requester_id, \
     first_receiver_org_id, place_unit_id, place_path, street_id, line, item_code, delivery_mode, closed_code, \
     registered_at, running_due_at, updated_at, doc, repeats) \
     SELECT unnest($1), unnest($2), unnest($3), unnest($4), unnest($5), unnest($6), unnest($7), unnest($8), \
     unnest($9), ($22)[unnest($10) : unnest($11)], unnest($12), unnest($13), unnest($14), unnest($15), \
     unnest($16), unnest($17), unnest($18), unnest($19), unnest($20), unnest($21)";

async fn insert(
    mut conn: &AsyncPgConnection,
    new: &[&Change<CaseRecord>],
    tasks: &[(Uuid, TaskRow)],
    agenda: &[(Uuid, AgendaRow)],
) -> Result<()> {
    if new.is_empty() && tasks.is_empty() {
        return Ok(()); // new rows of the agenda are of new cases
    }
    let (paths, from, to) = paths(new);
    cached(INSERT)
        .bind::<Array<SqlUuid>, _>(each(new, |case| case.id.0))
        .bind::<Array<Text>, _>(each(new, |case| case.case_no.as_str()))
        .bind::<Array<BigInt>, _>(each(new, |case| case.version))
        .bind::<Array<BigInt>, _>(told(new))
        .bind::<Array<Text>, _>(each(new, |case| case.state.as_str()))
        .bind::<Array<Bool>, _>(each(new, |case| !case.state.is_finished()))
        .bind::<Array<Nullable<SqlUuid>>, _>(each(new, requester))
        .bind::<Array<SqlUuid>, _>(each(new, |case| case.first_receiver.0))
        .bind::<Array<SqlUuid>, _>(each(new, |case| case.place.unit.0))
        .bind::<Array<Integer>, _>(from)
        .bind::<Array<Integer>, _>(to)
        .bind::<Array<Nullable<SqlUuid>>, _>(each(new, |case| case.place.street.map(|unit| unit.0)))
        .bind::<Array<Nullable<Text>>, _>(each(new, line))
        .bind::<Array<Nullable<Text>>, _>(each(new, item_code))
        .bind::<Array<Nullable<Text>>, _>(each(new, |case| case.delivery_mode.map(|mode| mode.as_str())))
        .bind::<Array<Nullable<Text>>, _>(each(new, |case| case.closed_code.map(|code| code.as_str())))
        .bind::<Array<Timestamptz>, _>(each(new, |case| case.registered_at))
        .bind::<Array<Nullable<Timestamptz>>, _>(each(new, running_due_at))
        .bind::<Array<Timestamptz>, _>(each(new, |case| case.updated_at))
        .bind::<Array<Text>, _>(docs(new)?)
        .bind::<Array<Nullable<Bool>>, _>(each(new, |case| case.repeats))
        .bind::<Array<SqlUuid>, _>(paths)
        .bind::<Array<SqlUuid>, _>(column(tasks, |(_, row)| row.task_id))
        .bind::<Array<SqlUuid>, _>(column(tasks, |(case, _)| *case))
        .bind::<Array<SqlUuid>, _>(column(tasks, |(_, row)| row.org_id))
        .bind::<Array<Text>, _>(column(tasks, |(_, row)| row.state))
        .bind::<Array<Bool>, _>(column(tasks, |(_, row)| row.open))
        .bind::<Array<Timestamptz>, _>(column(tasks, |(_, row)| row.due_at))
        .bind::<Array<Bool>, _>(column(tasks, |(_, row)| row.signed))
        .bind::<Array<Bool>, _>(column(tasks, |(_, row)| row.active))
        .bind::<Array<Nullable<Timestamptz>>, _>(column(tasks, |(_, row)| row.running_due_at))
        .bind::<Array<SmallInt>, _>(column(tasks, |(_, row)| row.workers))
        .bind::<Array<SqlUuid>, _>(column(agenda, |(case, _)| *case))
        .bind::<Array<Nullable<Timestamptz>>, _>(column(agenda, |(_, row)| row.due_at))
        .bind::<Array<Nullable<Text>>, _>(column(agenda, |(_, row)| row.awaits))
        .bind::<Array<Nullable<Integer>>, _>(column(agenda, |(_, row)| row.calendar_version))
        .bind::<Array<Nullable<Timestamptz>>, _>(column(agenda, |(_, row)| row.running_due_at))
        .bind::<Array<Bool>, _>(column(agenda, |(_, row)| row.open))
        .bind::<Array<Text>, _>(column(agenda, |(_, row)| row.state))
        .bind::<Array<Nullable<SqlUuid>>, _>(column(agenda, |(_, row)| row.street.map(|unit| unit.0)))
        .bind::<Array<Nullable<SqlUuid>>, _>(column(agenda, |(_, row)| row.requester))
        .bind::<Array<Text>, _>(column(agenda, |(_, row)| ids(row.orgs.iter())))
        .bind::<Array<Text>, _>(column(agenda, |(_, row)| ids(row.asked.iter())))
        .bind::<Array<Nullable<SqlUuid>>, _>(column(agenda, |(_, row)| row.original.map(|case| case.0)))
        .execute(&mut conn)
        .await?;
    Ok(())
}

fn line(case: &Case) -> Option<&str> {
    case.item.as_ref().and_then(|item| item.line.as_deref())
}

fn item_code(case: &Case) -> Option<&str> {
    case.item.as_ref().map(|item| item.code.as_str())
}

/// What changed. A task that was signed for once stays so; its organisation stays the same, as does the requester of a case.
const UPDATE: &str = "WITH changed_tasks AS (UPDATE tasks SET state = t.state, open = t.open, due_at = t.due_at, \
     signed = tasks.signed OR t.signed, active = t.active, running_due_at = t.running_due_at, workers = t.workers \
     FROM (SELECT unnest($17) AS task_id, unnest($18) AS state, unnest($19) AS open, unnest($20) AS due_at, \
     unnest($21) AS signed, unnest($22) AS active, unnest($23) AS running_due_at, unnest($24) AS workers) AS t \
     WHERE tasks.task_id = t.task_id RETURNING tasks.task_id), \
     changed_agenda AS (UPDATE agenda AS a SET due_at = t.due_at, awaits = t.awaits, \
     calendar_version = t.calendar_version, running_due_at = t.running_due_at, open = t.open, state = t.state, \
     street_id = t.street_id, org_ids = t.org_ids, asked_org_ids = t.asked_org_ids, original_id = t.original_id \
     FROM (SELECT unnest($25) AS case_id, unnest($26) AS due_at, unnest($27) AS awaits, \
     unnest($28) AS calendar_version, unnest($29) AS running_due_at, unnest($30) AS open, unnest($31) AS state, \
     unnest($32) AS street_id, unnest($33)::uuid[] AS org_ids, unnest($34)::uuid[] AS asked_org_ids, \
     unnest($35) AS original_id) AS t WHERE a.case_id = t.case_id RETURNING a.case_id), \
     changed_cases AS (UPDATE cases AS c SET version = t.version, told_version = t.told_version, state = t.state, \
     open = t.open, place_unit_id = t.place_unit_id, place_path = COALESCE(t.place_path::uuid[], c.place_path), \
     street_id = t.street_id, line = t.line, item_code = t.item_code, delivery_mode = t.delivery_mode, \
     closed_code = t.closed_code, running_due_at = t.running_due_at, updated_at = t.updated_at, doc = t.doc, \
     repeats = t.repeats \
     FROM (SELECT unnest($1) AS case_id, unnest($2) AS version, unnest($3) AS told_version, \
     unnest($4) AS state, unnest($5) AS open, unnest($6) AS place_unit_id, unnest($7) AS place_path, \
     unnest($8) AS street_id, unnest($9) AS line, unnest($10) AS item_code, unnest($11) AS delivery_mode, \
     unnest($12) AS closed_code, unnest($13) AS running_due_at, unnest($14) AS updated_at, unnest($15) AS doc, \
     unnest($16) AS repeats) AS t WHERE c.case_id = t.case_id) \
     SELECT (SELECT count(*) FROM changed_tasks) AS tasks, (SELECT count(*) FROM changed_agenda) AS agenda";

/// How many rows were there to be changed.
#[derive(QueryableByName)]
struct Written {
    #[diesel(sql_type = BigInt)]
    tasks: i64,
    #[diesel(sql_type = BigInt)]
    agenda: i64,
}

async fn update(
    mut conn: &AsyncPgConnection,
    old: &[&Change<CaseRecord>],
    tasks: &[TaskRow],
    agenda: &[(Uuid, AgendaRow)],
) -> Result<()> {
    if old.is_empty() && tasks.is_empty() && agenda.is_empty() {
        return Ok(());
    }
    let written: Written = cached(UPDATE)
        .bind::<Array<SqlUuid>, _>(each(old, |case| case.id.0))
        .bind::<Array<BigInt>, _>(each(old, |case| case.version))
        .bind::<Array<BigInt>, _>(told(old))
        .bind::<Array<Text>, _>(each(old, |case| case.state.as_str()))
        .bind::<Array<Bool>, _>(each(old, |case| !case.state.is_finished()))
        .bind::<Array<SqlUuid>, _>(each(old, |case| case.place.unit.0))
        .bind::<Array<Nullable<Text>>, _>(old.iter().map(|change| moved(change)).collect::<Vec<_>>())
        .bind::<Array<Nullable<SqlUuid>>, _>(each(old, |case| case.place.street.map(|unit| unit.0)))
        .bind::<Array<Nullable<Text>>, _>(each(old, line))
        .bind::<Array<Nullable<Text>>, _>(each(old, item_code))
        .bind::<Array<Nullable<Text>>, _>(each(old, |case| case.delivery_mode.map(|mode| mode.as_str())))
        .bind::<Array<Nullable<Text>>, _>(each(old, |case| case.closed_code.map(|code| code.as_str())))
        .bind::<Array<Nullable<Timestamptz>>, _>(each(old, running_due_at))
        .bind::<Array<Timestamptz>, _>(each(old, |case| case.updated_at))
        .bind::<Array<Text>, _>(docs(old)?)
        .bind::<Array<Nullable<Bool>>, _>(each(old, |case| case.repeats))
        .bind::<Array<SqlUuid>, _>(column(tasks, |row| row.task_id))
        .bind::<Array<Text>, _>(column(tasks, |row| row.state))
        .bind::<Array<Bool>, _>(column(tasks, |row| row.open))
        .bind::<Array<Timestamptz>, _>(column(tasks, |row| row.due_at))
        .bind::<Array<Bool>, _>(column(tasks, |row| row.signed))
        .bind::<Array<Bool>, _>(column(tasks, |row| row.active))
        .bind::<Array<Nullable<Timestamptz>>, _>(column(tasks, |row| row.running_due_at))
        .bind::<Array<SmallInt>, _>(column(tasks, |row| row.workers))
        .bind::<Array<SqlUuid>, _>(column(agenda, |(case, _)| *case))
        .bind::<Array<Nullable<Timestamptz>>, _>(column(agenda, |(_, row)| row.due_at))
        .bind::<Array<Nullable<Text>>, _>(column(agenda, |(_, row)| row.awaits))
        .bind::<Array<Nullable<Integer>>, _>(column(agenda, |(_, row)| row.calendar_version))
        .bind::<Array<Nullable<Timestamptz>>, _>(column(agenda, |(_, row)| row.running_due_at))
        .bind::<Array<Bool>, _>(column(agenda, |(_, row)| row.open))
        .bind::<Array<Text>, _>(column(agenda, |(_, row)| row.state))
        .bind::<Array<Nullable<SqlUuid>>, _>(column(agenda, |(_, row)| row.street.map(|unit| unit.0)))
        .bind::<Array<Text>, _>(column(agenda, |(_, row)| ids(row.orgs.iter())))
        .bind::<Array<Text>, _>(column(agenda, |(_, row)| ids(row.asked.iter())))
        .bind::<Array<Nullable<SqlUuid>>, _>(column(agenda, |(_, row)| row.original.map(|case| case.0)))
        .get_result(&mut conn)
        .await?;
    let all = |written: i64, of: usize| usize::try_from(written) == Ok(of);
    if !all(written.tasks, tasks.len()) {
        return Err(Error::internal(format!("{} tasks to write, {} written", tasks.len(), written.tasks)));
    }
    if !all(written.agenda, agenda.len()) {
        // By the rules of an earlier release one of them was not in it.
        enter(conn, agenda).await?;
    }
    Ok(())
}

/// Writes what is to happen by itself with known cases that may not be in the agenda.
async fn enter(mut conn: &AsyncPgConnection, agenda: &[(Uuid, AgendaRow)]) -> Result<()> {
    if agenda.is_empty() {
        return Ok(());
    }
    cached(
        "INSERT INTO agenda (case_id, due_at, awaits, calendar_version, running_due_at, open, state, street_id, \
         requester_id, org_ids, asked_org_ids, original_id) \
         SELECT unnest($1), unnest($2), unnest($3), unnest($4), unnest($5), unnest($6), unnest($7), unnest($8), \
         unnest($9), unnest($10)::uuid[], unnest($11)::uuid[], unnest($12) \
         ON CONFLICT (case_id) DO UPDATE SET due_at = excluded.due_at, awaits = excluded.awaits, \
         calendar_version = excluded.calendar_version, running_due_at = excluded.running_due_at, \
         open = excluded.open, state = excluded.state, street_id = excluded.street_id, \
         org_ids = excluded.org_ids, asked_org_ids = excluded.asked_org_ids, original_id = excluded.original_id",
    )
    .bind::<Array<SqlUuid>, _>(column(agenda, |(case, _)| *case))
    .bind::<Array<Nullable<Timestamptz>>, _>(column(agenda, |(_, row)| row.due_at))
    .bind::<Array<Nullable<Text>>, _>(column(agenda, |(_, row)| row.awaits))
    .bind::<Array<Nullable<Integer>>, _>(column(agenda, |(_, row)| row.calendar_version))
    .bind::<Array<Nullable<Timestamptz>>, _>(column(agenda, |(_, row)| row.running_due_at))
    .bind::<Array<Bool>, _>(column(agenda, |(_, row)| row.open))
    .bind::<Array<Text>, _>(column(agenda, |(_, row)| row.state))
    .bind::<Array<Nullable<SqlUuid>>, _>(column(agenda, |(_, row)| row.street.map(|unit| unit.0)))
    .bind::<Array<Nullable<SqlUuid>>, _>(column(agenda, |(_, row)| row.requester))
    .bind::<Array<Text>, _>(column(agenda, |(_, row)| ids(row.orgs.iter())))
    .bind::<Array<Text>, _>(column(agenda, |(_, row)| ids(row.asked.iter())))
    .bind::<Array<Nullable<SqlUuid>>, _>(column(agenda, |(_, row)| row.original.map(|case| case.0)))
    .execute(&mut conn)
    .await?;
    Ok(())
}

async fn leave(mut conn: &AsyncPgConnection, left: Vec<Uuid>) -> Result<()> {
    if !left.is_empty() {
        cached("DELETE FROM agenda WHERE case_id = ANY($1)")
            .bind::<Array<SqlUuid>, _>(left)
            .execute(&mut conn)
            .await?;
    }
    Ok(())
}

/// Writes the offers whose state changed.
pub async fn offers(mut conn: &AsyncPgConnection, changes: &Changes) -> Result<()> {
    let all = || {
        changes.iter().flat_map(|change| {
            let case = change.after.case.id.0;
            change
                .after
                .pending
                .offers
                .iter()
                .map(move |(id, (partner, state))| (id.0, case, *partner, *state))
        })
    };
    let (known, only_state): (Vec<_>, Vec<_>) = all().partition(|(_, _, partner, _)| partner.is_some());
    if !known.is_empty() {
        cached(
            "INSERT INTO offers (offer_id, case_id, partner_org_id, state) SELECT unnest($1), unnest($2), \
             unnest($3), unnest($4) \
             ON CONFLICT (offer_id) DO UPDATE SET state = excluded.state",
        )
        .bind::<Array<SqlUuid>, _>(known.iter().map(|offer| offer.0).collect::<Vec<_>>())
        .bind::<Array<SqlUuid>, _>(known.iter().map(|offer| offer.1).collect::<Vec<_>>())
        .bind::<Array<SqlUuid>, _>(
            known.iter().filter_map(|offer| offer.2).map(|org| org.0).collect::<Vec<_>>(),
        )
        .bind::<Array<Text>, _>(known.iter().map(|offer| OfferState::as_str(offer.3)).collect::<Vec<_>>())
        .execute(&mut conn)
        .await?;
    }
    if !only_state.is_empty() {
        cached(
            "UPDATE offers AS o SET state = t.state FROM (SELECT unnest($1) AS offer_id, unnest($2) AS state) AS t \
             WHERE o.offer_id = t.offer_id",
        )
        .bind::<Array<SqlUuid>, _>(only_state.iter().map(|offer| offer.0).collect::<Vec<_>>())
        .bind::<Array<Text>, _>(
            only_state.iter().map(|offer| OfferState::as_str(offer.3)).collect::<Vec<_>>(),
        )
        .execute(&mut conn)
        .await?;
    }
    Ok(())
}

/// The steps of each command.
macro_rules! steps {
    () => {
        "INSERT INTO timeline (case_id, case_version, steps) SELECT unnest($1), unnest($2), unnest($3)"
    };
}

/// Besides, routing decisions and original texts.
const HISTORY: &str = concat!(
    "WITH decisions AS (INSERT INTO routing_decisions (case_id, content) SELECT unnest($4), unnest($5)), \
     texts AS (INSERT INTO case_texts (case_id, sealed) SELECT unnest($6), unnest($7)) ",
    steps!()
);

/// Appends the steps of each command and the routing decisions, and stores original texts, sealed.
pub async fn history(mut conn: &AsyncPgConnection, changes: &Changes) -> Result<()> {
    let (mut cases, mut versions, mut steps) = (Vec::new(), Vec::new(), Vec::new());
    let (mut decided, mut decisions) = (Vec::new(), Vec::new());
    let (mut written, mut texts): (Vec<Uuid>, Vec<&[u8]>) = (Vec::new(), Vec::new());
    for change in changes {
        let (case, pending) = (change.after.case.id.0, &change.after.pending);
        for entries in &pending.timeline {
            let Some(last) = entries.last() else { continue };
            cases.push(case);
            versions.push(last.case_version);
            steps.push(serde_json::to_string(entries).map_err(Error::internal)?);
        }
        for decision in &pending.decisions {
            decided.push(case);
            decisions.push(serde_json::to_string(&**decision).map_err(Error::internal)?);
        }
        if let Some(text) = pending.sealed_text.as_deref() {
            written.push(case);
            texts.push(text);
        }
    }
    // Most commands do neither decide nor bring a text.
    if decided.is_empty() && written.is_empty() {
        if cases.is_empty() {
            return Ok(());
        }
        cached(steps!())
            .bind::<Array<SqlUuid>, _>(cases)
            .bind::<Array<BigInt>, _>(versions)
            .bind::<Array<Text>, _>(steps)
            .execute(&mut conn)
            .await?;
        return Ok(());
    }
    cached(HISTORY)
        .bind::<Array<SqlUuid>, _>(cases)
        .bind::<Array<BigInt>, _>(versions)
        .bind::<Array<Text>, _>(steps)
        .bind::<Array<SqlUuid>, _>(decided)
        .bind::<Array<Text>, _>(decisions)
        .bind::<Array<SqlUuid>, _>(written)
        .bind::<Array<Bytea>, _>(texts)
        .execute(&mut conn)
        .await?;
    Ok(())
}

/// Stores under which id of a client a case was made; the second one with the same id is `AlreadyExists`.
pub async fn client_refs(mut conn: &AsyncPgConnection, changes: &Changes) -> Result<()> {
    let keys = changes.iter().filter_map(|change| {
        let key = change.after.pending.client_key.as_deref()?;
        Some((change.after.case.id.0, key))
    });
    let (cases, keys): (Vec<Uuid>, Vec<&[u8]>) = keys.unzip();
    if cases.is_empty() {
        return Ok(());
    }
    let done = cached("INSERT INTO client_refs (case_id, client_key) SELECT unnest($1), unnest($2)")
        .bind::<Array<SqlUuid>, _>(cases)
        .bind::<Array<Bytea>, _>(keys)
        .execute(&mut conn)
        .await;
    match done {
        Ok(_) => Ok(()),
        Err(SqlError::DatabaseError(DatabaseErrorKind::UniqueViolation, _)) => {
            Err(Error::already_exists("client_ref", "of this client"))
        }
        Err(error) => Err(error.into()),
    }
}
