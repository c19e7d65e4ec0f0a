//! Tickets: where they stand, and trying them again.

use std::process::ExitCode;

use anyhow::Result;
use proto::case_routing::v1::{ExternalTicket, ListTicketsRequest, RetryTicketRequest};
use serde::Serialize;

use super::{Desk, State, systems::word};
use crate::{out, suite::request_id};

#[derive(Serialize)]
struct Line {
    ticket_id: String,
    system_code: String,
    number: String,
    case_no: String,
    direction: String,
    state: String,
    waiting: i32,
    attempts: i32,
    last_error: String,
    remarks: i32,
    /// How a referral stands there, in the other system's word.
    external_status: String,
    /// A referral that was taken back.
    taken_back: bool,
}

impl Line {
    fn of(ticket: &ExternalTicket) -> Self {
        Self {
            ticket_id: ticket.ticket_id.clone(),
            system_code: ticket.system_code.clone(),
            number: ticket.ext_no.clone(),
            case_no: ticket.case_no.clone(),
            direction: word(ticket.direction().as_str_name(), "EXCHANGE_DIRECTION_"),
            state: word(ticket.sync_state().as_str_name(), "SYNC_STATE_"),
            waiting: ticket.waiting_count,
            attempts: ticket.attempts,
            last_error: ticket.last_error_code.clone(),
            remarks: ticket.remark_count,
            external_status: ticket.external_status.clone(),
            taken_back: ticket.taken_back_time.is_some(),
        }
    }

    fn text(&self) -> String {
        let number = if self.number.is_empty() { "(no number)" } else { &self.number };
        let mut text = format!(
            "{} {} {number} {} {} {}",
            self.ticket_id, self.system_code, self.case_no, self.direction, self.state
        );
        if !self.external_status.is_empty() {
            text.push_str(&format!(", there {}", self.external_status));
        }
        if self.taken_back {
            text.push_str(", taken back");
        }
        if self.waiting > 0 {
            text.push_str(&format!(", {} waiting", self.waiting));
        }
        if !self.last_error.is_empty() {
            text.push_str(&format!(", {}", self.last_error));
        }
        if self.attempts > 0 {
            text.push_str(&format!(" after {} attempts", self.attempts));
        }
        text
    }
}

/// Tickets, newest first, at most so many.
pub(super) async fn find(
    desk: &Desk,
    (system, number): (&str, &str),
    state: Option<State>,
    most: u32,
) -> Result<Vec<ExternalTicket>> {
    let operator = desk.operator()?;
    let (mut found, mut page_token) = (Vec::new(), String::new());
    let most = usize::try_from(most)?;
    loop {
        let request = ListTicketsRequest {
            system_code: system.to_owned(),
            ext_no: number.to_owned(),
            sync_state: state.map_or(0, Into::into),
            page_size: 200,
            page_token,
        };
        let page = desk.suite.exchange().list_tickets(operator.request(request).await?).await?.into_inner();
        found.extend(page.tickets);
        page_token = page.next_page_token;
        if page_token.is_empty() || found.len() >= most {
            found.truncate(most);
            return Ok(found);
        }
    }
}

/// Prints them.
pub(super) fn print(tickets: &[ExternalTicket], json: bool) -> Result<ExitCode> {
    let lines: Vec<Line> = tickets.iter().map(Line::of).collect();
    if json {
        out::json(&lines)?;
    } else {
        for line in &lines {
            out::say!("{}", line.text())?;
        }
        out::say!("{} tickets", lines.len())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Tries one again, or every one that was given up; a failure if any was refused.
pub(super) async fn retry(desk: &Desk, ticket: Option<String>) -> Result<ExitCode> {
    let operator = desk.operator()?;
    let tickets = match ticket {
        Some(ticket) => vec![ticket],
        None => {
            let failed = find(desk, ("", ""), Some(State::Failed), u32::MAX).await?;
            failed.into_iter().map(|ticket| ticket.ticket_id).collect()
        }
    };
    let (mut retried, mut refused) = (Vec::new(), 0_usize);
    for ticket_id in tickets {
        let request = RetryTicketRequest { ticket_id: ticket_id.clone(), request_id: request_id() };
        match desk.suite.exchange().retry_ticket(operator.request(request).await?).await {
            Ok(answer) => retried.extend(answer.into_inner().ticket),
            // The others are tried all the same.
            Err(status) => {
                out::note!("{ticket_id}: {}", status.message());
                refused += 1;
            }
        }
    }
    Ok(outcome(print(&retried, desk.json)?, refused))
}

/// How a command ends that was refused so often.
fn outcome(done: ExitCode, refused: usize) -> ExitCode {
    if refused == 0 { done } else { ExitCode::FAILURE }
}

#[cfg(test)]
mod tests {
    use proto::case_routing::v1::{ExchangeDirection, SyncState};

    use super::*;

    #[test]
    fn whoever_was_refused_hears_of_it() {
        let ends = |refused| format!("{:?}", outcome(ExitCode::SUCCESS, refused));
        assert_eq!(ends(0), format!("{:?}", ExitCode::SUCCESS));
        assert_eq!(ends(1), format!("{:?}", ExitCode::FAILURE));
    }

    #[test]
    fn a_line_says_what_waits_and_why() {
        let ticket = ExternalTicket {
            ticket_id: "t-1".into(),
            system_code: "hotline".into(),
            ext_no: "WH-1".into(),
            case_no: "420103-20260302-000001".into(),
            direction: ExchangeDirection::In.into(),
            sync_state: SyncState::Failed.into(),
            waiting_count: 3,
            attempts: 12,
            last_error_code: "http_503".into(),
            ..Default::default()
        };
        assert_eq!(
            Line::of(&ticket).text(),
            "t-1 hotline WH-1 420103-20260302-000001 in failed, 3 waiting, http_503 after 12 attempts"
        );
        let referral = ExternalTicket {
            direction: ExchangeDirection::Out.into(),
            sync_state: SyncState::Synced.into(),
            ext_no: String::new(),
            waiting_count: 0,
            attempts: 0,
            last_error_code: String::new(),
            ..ticket
        };
        assert_eq!(Line::of(&referral).text(), "t-1 hotline (no number) 420103-20260302-000001 out synced");
        let waits = ExternalTicket { last_error_code: "not_fetched".into(), ..referral.clone() };
        assert!(Line::of(&waits).text().ends_with(" out synced, not_fetched"), "nobody tried");
        let reported = ExternalTicket { external_status: "办结".into(), ..referral };
        assert!(Line::of(&reported).text().ends_with(" out synced, there 办结"));
        let taken_back = ExternalTicket { taken_back_time: Some(Default::default()), ..reported };
        assert!(Line::of(&taken_back).text().ends_with(" out synced, there 办结, taken back"));
    }
}
