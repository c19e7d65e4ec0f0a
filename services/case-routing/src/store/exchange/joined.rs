//! The tickets of cases that were merged into others, and what these keep the others from. A case that is merged moves only
//! together with the one that it was merged into, which is locked here: what its tickets were told so far stands still meanwhile.

use std::collections::BTreeMap;

use chassis::{Result, command::Change, db::cached};
use diesel::{
    QueryableByName,
    sql_types::{Array, Bool, Integer, Text, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::systems;
use crate::{
    domain::{
        Case, CaseId, Elsewhere,
        exchange::{JoinedReport, Report},
    },
    record::CaseRecord,
    store::case_store::read_doc,
};

#[derive(QueryableByName)]
struct DocRow {
    #[diesel(sql_type = Text)]
    doc: String,
}

/// What the tickets of merged cases have to hear, each numbered behind what its case has told. No statement where nothing is.
pub async fn reports(mut conn: &AsyncPgConnection, changes: &[Change<CaseRecord>]) -> Result<Vec<Report>> {
    let told: Vec<&JoinedReport> =
        changes.iter().flat_map(|change| &change.after.pending.joined_reports).collect();
    let mut cases: Vec<CaseId> = told.iter().flat_map(|report| report.cases.iter().copied()).collect();
    if cases.is_empty() {
        return Ok(Vec::new());
    }
    cases.sort_unstable();
    cases.dedup();
    // What another system pushed has a link; what was referred has none and hears nothing.
    let rows: Vec<DocRow> = cached(
        "SELECT c.doc FROM cases c WHERE c.case_id = ANY ($1) \
         AND EXISTS (SELECT FROM external_tickets t WHERE t.case_id = c.case_id AND t.direction = 'in')",
    )
    .bind::<Array<SqlUuid>, _>(cases.iter().map(|case| case.0).collect::<Vec<_>>())
    .load(&mut conn)
    .await?;
    let mut reports = Vec::new();
    for row in rows {
        let case = read_doc(&row.doc)?;
        let of_it = told.iter().filter(|report| report.cases.contains(&case.id));
        for (number, report) in (1_u32..).zip(of_it) {
            reports.extend(case.external.iter().map(|link| Report {
                ticket: link.ticket,
                number: link.told + number,
                state: report.state,
                closed_code: report.closed_code,
                at: report.at,
            }));
        }
    }
    Ok(reports)
}

/// Notes how many changes the tickets were told so; they are locked.
pub async fn count(mut conn: &AsyncPgConnection, reports: &[Report]) -> Result<()> {
    if reports.is_empty() {
        return Ok(());
    }
    let mut more: BTreeMap<Uuid, i32> = BTreeMap::new();
    for report in reports {
        *more.entry(report.ticket.0).or_default() += 1;
    }
    let (tickets, counts): (Vec<Uuid>, Vec<i32>) = more.into_iter().unzip();
    cached(
        "UPDATE external_tickets AS t SET joined = t.joined + u.more FROM unnest($1, $2) AS u (ticket_id, more) \
         WHERE t.ticket_id = u.ticket_id",
    )
    .bind::<Array<SqlUuid>, _>(tickets)
    .bind::<Array<Integer>, _>(counts)
    .execute(&mut conn)
    .await?;
    Ok(())
}

#[derive(QueryableByName)]
struct FromRow {
    #[diesel(sql_type = Bool)]
    from_there: bool,
}

/// What other systems have to do with a line by which a case is to go that is locked: nothing joins it or leaves it meanwhile.
pub async fn elsewhere(conn: &mut AsyncPgConnection, line: &str, case: &Case) -> Result<Elsewhere> {
    if !systems::take_line(conn, line, case.id.0).await? {
        return Ok(Elsewhere::Nobody);
    }
    let merged: Vec<Uuid> = case.merged.iter().map(|id| id.0).collect();
    if !merged.is_empty() {
        let rows: Vec<DocRow> = cached("SELECT c.doc FROM cases c WHERE c.case_id = ANY ($1)")
            .bind::<Array<SqlUuid>, _>(merged.as_slice())
            .load(conn)
            .await?;
        for row in rows {
            if read_doc(&row.doc)?.returned_lines.iter().any(|known| known == line) {
                return Ok(Elsewhere::JoinedReturned);
            }
        }
        let row: FromRow = cached(
            "SELECT EXISTS (SELECT FROM external_tickets t JOIN external_systems s ON s.system_code = t.system_code \
             WHERE t.case_id = ANY ($1) AND t.direction = 'in' AND $2 = ANY (s.line_codes) AND s.direction <> 'in') AS from_there",
        )
        .bind::<Array<SqlUuid>, _>(merged.as_slice())
        .bind::<Text, _>(line)
        .get_result(conn)
        .await?;
        if row.from_there {
            return Ok(Elsewhere::JoinedFromThere);
        }
    }
    Ok(Elsewhere::Taken)
}
