//! The statements that save cases: each writes one table for a whole batch, and none is sent when there is nothing to
//! write. Arrays are bound column by column and taken apart by `unnest` ([`chassis::db::cached`] says where).

use std::fmt::{Display, Write as _};

use chassis::{Error, Result, command::Change, db::cached};
use diesel::{
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

/// Inserts new cases and updates changed ones.
pub async fn cases(conn: &AsyncPgConnection, changes: &Changes) -> Result<()> {
    let (new, old): (Vec<_>, Vec<_>) = changes.iter().partition(|change| change.before.is_none());
    if !new.is_empty() {
        insert(conn, &new).await?;
    }
    let changed = |change: &&Change<CaseRecord>| {
        change.before.as_ref().is_none_or(|before| before.case.version != change.after.case.version)
    };
    let old: Vec<_> = old.into_iter().filter(changed).collect();
    if !old.is_empty() {
        update(conn, &old).await?;
    }
    Ok(())
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

async fn insert(mut conn: &AsyncPgConnection, new: &[&Change<CaseRecord>]) -> Result<()> {
    let (paths, from, to) = paths(new);
    cached(
        "INSERT INTO cases (case_id, case_no, version, told_version, state, open, requester_id, \
         first_receiver_org_id, place_unit_id, place_path, street_id, line, item_code, delivery_mode, closed_code, \
         registered_at, running_due_at, updated_at, doc, repeats) \
         SELECT unnest($1), unnest($2), unnest($3), unnest($4), unnest($5), unnest($6), unnest($7), unnest($8), \
         unnest($9), ($22)[unnest($10) : unnest($11)], unnest($12), unnest($13), unnest($14), unnest($15), \
         unnest($16), unnest($17), unnest($18), unnest($19), unnest($20), unnest($21)",
    )
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

async fn update(mut conn: &AsyncPgConnection, old: &[&Change<CaseRecord>]) -> Result<()> {
    cached(
        "UPDATE cases AS c SET version = t.version, told_version = t.told_version, state = t.state, open = t.open, \
         place_unit_id = t.place_unit_id, place_path = COALESCE(t.place_path::uuid[], c.place_path), \
         street_id = t.street_id, line = t.line, item_code = t.item_code, delivery_mode = t.delivery_mode, \
         closed_code = t.closed_code, running_due_at = t.running_due_at, updated_at = t.updated_at, doc = t.doc, repeats = t.repeats \
         FROM (SELECT unnest($1) AS case_id, unnest($2) AS version, unnest($3) AS told_version, \
         unnest($4) AS state, unnest($5) AS open, unnest($6) AS place_unit_id, unnest($7) AS place_path, \
         unnest($8) AS street_id, unnest($9) AS line, unnest($10) AS item_code, unnest($11) AS delivery_mode, \
         unnest($12) AS closed_code, unnest($13) AS running_due_at, unnest($14) AS updated_at, unnest($15) AS doc, \
         unnest($16) AS repeats) AS t WHERE c.case_id = t.case_id",
    )
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
    .execute(&mut conn)
    .await?;
    Ok(())
}

/// Writes the rows of tasks that are new or changed.
pub async fn tasks(conn: &AsyncPgConnection, changes: &Changes) -> Result<()> {
    let (mut new, mut old): (Vec<(Uuid, TaskRow)>, Vec<TaskRow>) = (Vec::new(), Vec::new());
    for change in changes {
        let (after, before) = (&change.after.case, change.before.as_ref().map(|record| &record.case));
        for task in &after.tasks {
            let row = TaskRow::of(after, task);
            match before.and_then(|before| Some(TaskRow::of(before, before.task(task.id).ok()?))) {
                None => new.push((after.id.0, row)),
                Some(was) if was != row => old.push(row),
                Some(_) => {}
            }
        }
    }
    futures::try_join!(insert_tasks(conn, &new), update_tasks(conn, &old))?;
    Ok(())
}

async fn insert_tasks(mut conn: &AsyncPgConnection, rows: &[(Uuid, TaskRow)]) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    cached(
        "INSERT INTO tasks (task_id, case_id, org_id, state, open, due_at, signed, active, running_due_at, workers) \
         SELECT unnest($1), unnest($2), unnest($3), unnest($4), unnest($5), unnest($6), unnest($7), unnest($8), \
         unnest($9), unnest($10)",
    )
    .bind::<Array<SqlUuid>, _>(rows.iter().map(|(_, row)| row.task_id).collect::<Vec<_>>())
    .bind::<Array<SqlUuid>, _>(rows.iter().map(|(case, _)| *case).collect::<Vec<_>>())
    .bind::<Array<SqlUuid>, _>(rows.iter().map(|(_, row)| row.org_id).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(rows.iter().map(|(_, row)| row.state).collect::<Vec<_>>())
    .bind::<Array<Bool>, _>(rows.iter().map(|(_, row)| row.open).collect::<Vec<_>>())
    .bind::<Array<Timestamptz>, _>(rows.iter().map(|(_, row)| row.due_at).collect::<Vec<_>>())
    .bind::<Array<Bool>, _>(rows.iter().map(|(_, row)| row.signed).collect::<Vec<_>>())
    .bind::<Array<Bool>, _>(rows.iter().map(|(_, row)| row.active).collect::<Vec<_>>())
    .bind::<Array<Nullable<Timestamptz>>, _>(
        rows.iter().map(|(_, row)| row.running_due_at).collect::<Vec<_>>(),
    )
    .bind::<Array<SmallInt>, _>(rows.iter().map(|(_, row)| row.workers).collect::<Vec<_>>())
    .execute(&mut conn)
    .await?;
    Ok(())
}

/// A task that was signed for once stays so; its organisation stays the same.
async fn update_tasks(mut conn: &AsyncPgConnection, rows: &[TaskRow]) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let written = cached(
        "UPDATE tasks SET state = t.state, open = t.open, due_at = t.due_at, signed = tasks.signed OR t.signed, \
         active = t.active, running_due_at = t.running_due_at, workers = t.workers \
         FROM (SELECT unnest($1) AS task_id, unnest($2) AS state, unnest($3) AS open, unnest($4) AS due_at, \
         unnest($5) AS signed, unnest($6) AS active, unnest($7) AS running_due_at, unnest($8) AS workers) AS t \
         WHERE tasks.task_id = t.task_id",
    )
    .bind::<Array<SqlUuid>, _>(rows.iter().map(|row| row.task_id).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(rows.iter().map(|row| row.state).collect::<Vec<_>>())
    .bind::<Array<Bool>, _>(rows.iter().map(|row| row.open).collect::<Vec<_>>())
    .bind::<Array<Timestamptz>, _>(rows.iter().map(|row| row.due_at).collect::<Vec<_>>())
    .bind::<Array<Bool>, _>(rows.iter().map(|row| row.signed).collect::<Vec<_>>())
    .bind::<Array<Bool>, _>(rows.iter().map(|row| row.active).collect::<Vec<_>>())
    .bind::<Array<Nullable<Timestamptz>>, _>(rows.iter().map(|row| row.running_due_at).collect::<Vec<_>>())
    .bind::<Array<SmallInt>, _>(rows.iter().map(|row| row.workers).collect::<Vec<_>>())
    .execute(&mut conn)
    .await?;
    if written == rows.len() {
        Ok(())
    } else {
        Err(Error::internal(format!("{} tasks to write, {written} written", rows.len())))
    }
}

/// Writes what is to happen by itself with the cases.
pub async fn agenda(mut conn: &AsyncPgConnection, changes: &Changes) -> Result<()> {
    let mut set: Vec<(Uuid, AgendaRow)> = Vec::new();
    let mut unset: Vec<Uuid> = Vec::new();
    for change in changes {
        let row = AgendaRow::of(&change.after.case);
        let was = change.before.as_ref().and_then(|before| AgendaRow::of(&before.case));
        match row {
            row if row == was => {}
            Some(row) => set.push((change.after.case.id.0, row)),
            None => unset.push(change.after.case.id.0),
        }
    }
    if !set.is_empty() {
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
        .bind::<Array<SqlUuid>, _>(set.iter().map(|(case, _)| *case).collect::<Vec<_>>())
        .bind::<Array<Nullable<Timestamptz>>, _>(set.iter().map(|(_, row)| row.due_at).collect::<Vec<_>>())
        .bind::<Array<Nullable<Text>>, _>(set.iter().map(|(_, row)| row.awaits).collect::<Vec<_>>())
        .bind::<Array<Nullable<Integer>>, _>(
            set.iter().map(|(_, row)| row.calendar_version).collect::<Vec<_>>(),
        )
        .bind::<Array<Nullable<Timestamptz>>, _>(
            set.iter().map(|(_, row)| row.running_due_at).collect::<Vec<_>>(),
        )
        .bind::<Array<Bool>, _>(set.iter().map(|(_, row)| row.open).collect::<Vec<_>>())
        .bind::<Array<Text>, _>(set.iter().map(|(_, row)| row.state).collect::<Vec<_>>())
        .bind::<Array<Nullable<SqlUuid>>, _>(
            set.iter().map(|(_, row)| row.street.map(|unit| unit.0)).collect::<Vec<_>>(),
        )
        .bind::<Array<Nullable<SqlUuid>>, _>(set.iter().map(|(_, row)| row.requester).collect::<Vec<_>>())
        .bind::<Array<Text>, _>(set.iter().map(|(_, row)| ids(row.orgs.iter())).collect::<Vec<_>>())
        .bind::<Array<Text>, _>(set.iter().map(|(_, row)| ids(row.asked.iter())).collect::<Vec<_>>())
        .bind::<Array<Nullable<SqlUuid>>, _>(
            set.iter().map(|(_, row)| row.original.map(|case| case.0)).collect::<Vec<_>>(),
        )
        .execute(&mut conn)
        .await?;
    }
    if !unset.is_empty() {
        cached("DELETE FROM agenda WHERE case_id = ANY($1)")
            .bind::<Array<SqlUuid>, _>(unset)
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

/// Appends the steps of each command.
pub async fn timeline(mut conn: &AsyncPgConnection, changes: &Changes) -> Result<()> {
    let (mut cases, mut versions, mut steps) = (Vec::new(), Vec::new(), Vec::new());
    for change in changes {
        for entries in &change.after.pending.timeline {
            let Some(last) = entries.last() else { continue };
            cases.push(change.after.case.id.0);
            versions.push(last.case_version);
            steps.push(serde_json::to_string(entries).map_err(Error::internal)?);
        }
    }
    if cases.is_empty() {
        return Ok(());
    }
    cached("INSERT INTO timeline (case_id, case_version, steps) SELECT unnest($1), unnest($2), unnest($3)")
        .bind::<Array<SqlUuid>, _>(cases)
        .bind::<Array<BigInt>, _>(versions)
        .bind::<Array<Text>, _>(steps)
        .execute(&mut conn)
        .await?;
    Ok(())
}

/// Appends routing decisions.
pub async fn decisions(mut conn: &AsyncPgConnection, changes: &Changes) -> Result<()> {
    let (mut cases, mut contents) = (Vec::new(), Vec::new());
    for change in changes {
        for decision in &change.after.pending.decisions {
            cases.push(change.after.case.id.0);
            contents.push(serde_json::to_string(&**decision).map_err(Error::internal)?);
        }
    }
    if cases.is_empty() {
        return Ok(());
    }
    cached("INSERT INTO routing_decisions (case_id, content) SELECT unnest($1), unnest($2)")
        .bind::<Array<SqlUuid>, _>(cases)
        .bind::<Array<Text>, _>(contents)
        .execute(&mut conn)
        .await?;
    Ok(())
}

/// Stores original texts, sealed.
pub async fn texts(mut conn: &AsyncPgConnection, changes: &Changes) -> Result<()> {
    let sealed = changes.iter().filter_map(|change| {
        let text = change.after.pending.sealed_text.as_deref()?;
        Some((change.after.case.id.0, text))
    });
    let (cases, texts): (Vec<Uuid>, Vec<&[u8]>) = sealed.unzip();
    if cases.is_empty() {
        return Ok(());
    }
    cached("INSERT INTO case_texts (case_id, sealed) SELECT unnest($1), unnest($2)")
        .bind::<Array<SqlUuid>, _>(cases)
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
