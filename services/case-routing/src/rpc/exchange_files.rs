//! `ExchangeService`: reports on referrals as a file. Every row is a report of its own, in a transaction of its own.

use chassis::{Error, Result, auth::Caller, command::Meta, proto::case_routing::v1 as pb};

use super::{
    convert,
    exchange::Exchange,
    table_files::{problem, size, table},
};
use crate::{
    exchange::reports::Said,
    store::exchange::tickets,
    tables::{Format, Problems, StatusRow, read_statuses},
};

/// Rows of a file: what is done well within the time that a request has.
const MOST_ROWS: usize = 500;

impl Exchange {
    pub(super) async fn import_statuses(
        &self,
        caller: &Caller,
        m: pb::ImportTicketStatusesRequest,
    ) -> Result<pb::ImportTicketStatusesResponse> {
        let meta = Meta::new("ImportTicketStatuses", &m.request_id, &m)?;
        let table = table(m.file, Format::Csv).await?;
        if table.rows.len() > MOST_ROWS {
            return Err(Error::invalid("file", "has at most 500 rows"));
        }
        let mut problems = Problems::default();
        let statuses = read_statuses(&table, &mut problems);
        let system = self.own(caller).await?;
        system.must_be_on()?;
        let mut answer =
            pb::ImportTicketStatusesResponse { rows: size(table.rows.len()), ..Default::default() };
        for row in &statuses.rows {
            match self.reporter.report(caller, &system, &said(row, &meta), None).await {
                Ok(done) => match done.receipt.unwrap_or_default().outcome() {
                    pb::ReportOutcome::Moved => answer.moved += 1,
                    pb::ReportOutcome::Late => answer.late += 1,
                    pb::ReportOutcome::Unchanged | pb::ReportOutcome::Unspecified => answer.unchanged += 1,
                },
                Err(error) => {
                    // What is nothing of the row's ends it here: the rows before stand, and nothing is done twice.
                    let Some((column, code)) = wrong(&error) else { return Err(error) };
                    problems.add(row.row, &statuses.shown(column), code, "");
                }
            }
        }
        let problems = problems.sorted();
        answer.problems = problems.found.iter().map(problem).collect();
        answer.problems_left_out = convert::count(problems.left_out);
        Ok(answer)
    }
}

/// A row as a report. What it is called has a blank, as no name that comes with a single report.
fn said(row: &StatusRow, meta: &Meta) -> Said {
    let report_ref = match row.at {
        Some(at) => format!("file {} {}", at.timestamp_micros(), row.status),
        None => format!("file {} {}", meta.request_id, row.row),
    };
    Said {
        ticket: None,
        ext_no: Some(row.ext_no.clone()),
        report_ref,
        status: row.status.clone(),
        at: row.at,
    }
}

/// The column and the code of what is wrong with a row.
fn wrong(error: &Error) -> Option<(&'static str, &'static str)> {
    match error {
        Error::NotFound { kind: tickets::KIND, .. } => Some(("ext_no", "unknown_ticket")),
        Error::WrongState { kind: tickets::KIND, .. } => Some(("ext_no", "not_referred")),
        Error::Invalid { field, .. } if field == "external_status" => {
            Some(("external_status", "unknown_status"))
        }
        Error::Invalid { field, .. } if field == "changed_time" => Some(("changed_time", "time_to_come")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::{store::exchange::systems, tables::text};

    fn row(row: u32, at: Option<&str>) -> StatusRow {
        let at = at.map(|at| at.parse().unwrap());
        StatusRow { row, ext_no: "OUT-7".into(), status: "办结".into(), at }
    }

    #[test]
    fn a_row_with_a_time_is_the_same_report_in_whatever_file_and_one_without_in_its_request() {
        let meta = |id| Meta {
            method: "ImportTicketStatuses",
            request_id: Uuid::from_u128(id),
            fingerprint: [0; 32],
        };
        let name = |row: &StatusRow, id| said(row, &meta(id)).report_ref;
        let timed = Some("2026-03-02T01:00:00Z");
        assert_eq!(name(&row(2, timed), 1), name(&row(9, timed), 2));
        assert_ne!(name(&row(2, timed), 1), name(&row(2, Some("2026-03-02T01:00:01Z")), 1));
        assert_eq!(name(&row(2, None), 1), name(&row(2, None), 1));
        assert_ne!(name(&row(2, None), 1), name(&row(2, None), 2));
        assert_ne!(name(&row(2, None), 1), name(&row(3, None), 1));
    }

    #[test]
    fn what_is_wrong_with_a_row_has_a_text_and_what_is_nothing_of_the_rows_is_not_told_of_it() {
        for error in [
            Error::not_found(tickets::KIND, "OUT-7"),
            Error::wrong_state(tickets::KIND, "OUT-7", "it was not referred"),
            Error::invalid("external_status", "is no status of the mapping in force"),
            Error::invalid("changed_time", "lies in the future"),
        ] {
            let (_, code) = wrong(&error).unwrap();
            assert_ne!(text(code), text(""), "{code}");
        }
        for error in
            [Error::Forbidden, Error::unavailable("away"), Error::wrong_state(systems::KIND, "hotline", "")]
        {
            assert_eq!(wrong(&error), None, "{error}");
        }
    }
}
