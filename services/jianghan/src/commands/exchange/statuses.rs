//! What a system says of its referrals, from a file.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Result, bail};
use proto::case_routing::v1::{ImportTicketStatusesRequest, ImportTicketStatusesResponse, TableFormat};
use serde::Serialize;
use uuid::Uuid;

use super::Desk;
use crate::{
    commands::list_files::{self, Problem},
    out,
    suite::{Session, request_id},
};

/// What a file came to.
#[derive(Serialize)]
struct Done {
    file: PathBuf,
    rows: i32,
    moved: i32,
    unchanged: i32,
    late: i32,
    problems: Vec<Problem>,
    problems_left_out: i32,
}

impl Done {
    fn of(file: &Path, answer: ImportTicketStatusesResponse) -> Self {
        Self {
            file: file.to_owned(),
            rows: answer.rows,
            moved: answer.moved,
            unchanged: answer.unchanged,
            late: answer.late,
            problems: answer.problems.into_iter().map(Problem::of).collect(),
            problems_left_out: answer.problems_left_out,
        }
    }

    fn text(&self) -> String {
        let mut lines: Vec<String> = self.problems.iter().map(Problem::text).collect();
        if self.problems_left_out > 0 {
            lines.push(format!("… 另有 {0} 处 / and {0} more", self.problems_left_out));
        }
        let Self { rows, moved, unchanged, late, .. } = self;
        let refused = rows - moved - unchanged - late;
        lines.push(format!(
            "{}: {rows} rows: {moved} moved, {unchanged} unchanged, {late} late, {refused} refused",
            self.file.display()
        ));
        lines.join("\n") + "\n"
    }
}

/// Imports a file as the system's account; a failure if anything is wrong in it. `again`: the request that failed.
pub(super) async fn import(
    desk: &Desk,
    file: &Path,
    client: Option<&str>,
    again: Option<Uuid>,
) -> Result<ExitCode> {
    let (bytes, format) = list_files::read(file)?;
    if format != TableFormat::Csv {
        bail!("{} is no CSV file", file.display());
    }
    let by = match client {
        Some(login) => {
            let account = desk.file.accounts.iter().find(|account| account.login == login);
            let account = account.with_context(|| format!("the accounts file holds no `{login}`"))?;
            Session::new(&desk.suite, account.clone())
        }
        None => desk.as_role("integration_client")?,
    };
    let id = again.map_or_else(request_id, |id| id.to_string());
    out::note!("jianghan: request id {id}");
    let message = ImportTicketStatusesRequest { request_id: id.clone(), file: bytes };
    let answer = desk.suite.exchange().import_ticket_statuses(by.request(message).await?).await;
    let answer = answer.with_context(|| {
        format!("the request failed; the same file may be sent again with --request-id {id}")
    })?;
    let done = Done::of(file, answer.into_inner());
    if desk.json {
        out::json(&done)?;
    } else {
        out::text(&done.text())?;
    }
    Ok(ExitCode::from(u8::from(!done.problems.is_empty())))
}

#[cfg(test)]
mod tests {
    use proto::case_routing::v1::TableProblem;

    use super::*;

    #[test]
    fn what_is_wrong_is_told_by_row_and_the_others_are_counted() {
        let answer = ImportTicketStatusesResponse {
            rows: 5,
            moved: 2,
            unchanged: 1,
            late: 1,
            problems: vec![TableProblem {
                row: 4,
                column: "工单号".into(),
                code: "unknown_ticket".into(),
                text_zh: "没有".into(),
                text_en: "nothing".into(),
            }],
            problems_left_out: 0,
        };
        assert_eq!(
            Done::of(Path::new("s.csv"), answer).text(),
            "行 row 4, 工单号: 没有 / nothing [unknown_ticket]\n\
             s.csv: 5 rows: 2 moved, 1 unchanged, 1 late, 1 refused\n"
        );
    }
}
