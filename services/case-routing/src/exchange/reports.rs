//! What another system says of a case that was referred to it. Everything of one report is one transaction: the report by its own
//! name, how the case stands there, the step of the timeline, and that the referral has arrived, for whoever reports on it has it.

use std::sync::Arc;

use chassis::{
    Error, Result, Timestamp,
    auth::Caller,
    clock::to_proto,
    command::{Commands, Meta, once},
    db::{Origin as Cause, Tx},
    proto::case_routing::v1 as pb,
};
use chrono::TimeDelta;

use super::{Mappings, undelivered::Undelivered};
use crate::{
    codes,
    domain::{
        Case, CaseId, TicketId,
        exchange::{Reported, Reporting, Sync},
    },
    reach,
    rpc::Desk,
    store::{
        case_store::CaseStore,
        exchange::{
            changes, referrals, reports,
            systems::System,
            tickets::{self, Ticket},
        },
    },
    verb::Verb,
};

/// Minutes by which the other system's clock may be ahead.
const AHEAD: i64 = 5;

/// A report, checked as far as the request alone tells.
#[derive(Debug, Clone)]
pub struct Said {
    /// Which referral, by our id, by its number there, or by both.
    pub ticket: Option<TicketId>,
    pub ext_no: Option<String>,
    /// Its own name there; the same report again does nothing.
    pub report_ref: String,
    pub status: String,
    /// When it came to it there; left out: when it is said.
    pub at: Option<Timestamp>,
}

/// Takes reports.
#[derive(Clone)]
pub struct Reporter {
    pub desk: Desk,
    pub mappings: Mappings,
}

impl Reporter {
    /// Takes one report. With the meta of a request the answer is kept under its id; its own name alone makes it count once.
    ///
    /// # Errors
    /// `NotFound` for what is none of the system's tickets or lies where nothing is granted to the client; `WrongState` for a
    /// system that is paused and for a ticket that was not referred; `Invalid` for a status that the mapping in force does not
    /// have, for a time to come, for a number that another ticket has, and for a name that another report has.
    pub async fn report(
        &self,
        caller: &Caller,
        system: &System,
        said: &Said,
        meta: Option<Meta>,
    ) -> Result<pb::ReportTicketStatusResponse> {
        system.must_be_on()?;
        let latest = self.desk.clock.now() + TimeDelta::minutes(AHEAD);
        if said.at.is_some_and(|at| at > latest) {
            return Err(Error::invalid("changed_time", "lies in the future"));
        }
        let ticket = self.find(caller, system, said).await?;
        match meta {
            Some(meta) => {
                once(&self.desk.db, caller, meta, async |tx: &mut Tx<'_>| {
                    self.note(tx, caller, system, said, &ticket).await
                })
                .await
            }
            None => {
                self.desk.db.gate().admit().await?;
                let origin = Arc::new(Cause::new(Some(caller.actor_ref.clone())));
                self.desk
                    .db
                    .transaction(async |tx: &mut Tx<'_>| {
                        tx.set_origin(Some(origin));
                        self.note(tx, caller, system, said, &ticket).await
                    })
                    .await
            }
        }
    }

    /// The referral. To whom its place is not granted it does not exist, unless it was taken back.
    async fn find(&self, caller: &Caller, system: &System, said: &Said) -> Result<Ticket> {
        let mut conn = self.desk.db.conn().await?;
        let found = match (said.ticket, &said.ext_no) {
            (Some(id), _) => tickets::get(&mut conn, id).await?,
            (None, Some(number)) => tickets::by_number(&mut conn, &system.system_code, number).await?,
            (None, None) => None,
        };
        let missing = || {
            let id = said.ticket.map(|id| id.to_string());
            Error::not_found(tickets::KIND, id.or_else(|| said.ext_no.clone()).unwrap_or_default())
        };
        let ticket = found.filter(|ticket| ticket.system_code == system.system_code).ok_or_else(missing)?;
        let units = reach::sending_units(caller, &self.desk.atlas.world());
        if referrals::within(&mut conn, &[ticket.ticket_id], &units).await?.is_empty() {
            return Err(missing());
        }
        if ticket.direction != "out" {
            return Err(Error::wrong_state(tickets::KIND, ticket.ticket_id, "it was not referred"));
        }
        Ok(ticket)
    }

    async fn note(
        &self,
        tx: &mut Tx<'_>,
        caller: &Caller,
        system: &System,
        said: &Said,
        ticket: &Ticket,
    ) -> Result<pb::ReportTicketStatusResponse> {
        let (id, case_id) = (TicketId(ticket.ticket_id), CaseId(ticket.case_id));
        // The case first, so that reports of one ticket come one after the other.
        let undelivered = Undelivered::of(&self.desk, caller);
        let reminded = undelivered.lock(tx, &[case_id]).await?;
        let (outcome, keeps) = match reports::get(tx.conn, id, &said.report_ref).await? {
            None => self.follow(tx, caller, system, said, (id, case_id)).await?,
            Some(taken) => {
                let same_time = said.at.is_none_or(|at| at == taken.changed_at);
                if taken.external_status != said.status || !same_time {
                    return Err(Error::invalid("report_ref", "was used before with another report"));
                }
                (Reporting::Unchanged, false)
            }
        };
        if let Some(number) = &said.ext_no {
            tickets::number(tx.conn, id, number).await.map_err(|error| match error {
                Error::AlreadyExists { .. } => Error::invalid("ext_no", "is another ticket's"),
                error => error,
            })?;
        }
        self.arrived(tx, id, keeps).await?;
        undelivered.arrived(tx, &reminded).await?;
        let receipt = Some(receipt(&found(tx, id).await?, outcome)?);
        Ok(pb::ReportTicketStatusResponse { receipt })
    }

    /// A report that was not here before. Gives also whether its system keeps the referral, as far as this report says.
    async fn follow(
        &self,
        tx: &mut Tx<'_>,
        caller: &Caller,
        system: &System,
        said: &Said,
        (id, case_id): (TicketId, CaseId),
    ) -> Result<(Reporting, bool)> {
        let mapping = self.mappings.get(tx.conn, &system.system_code, system.mapping_version).await?;
        let state = mapping.state(&said.status);
        let state =
            state.ok_or_else(|| Error::invalid("external_status", "is no status of the mapping in force"))?;
        let ticket = found(tx, id).await?;
        let known = ticket.reported()?;
        // What is said without a time is never behind what is known, though the other clock was ahead.
        let now = known.as_ref().map_or(tx.now, |known| known.at.max(tx.now));
        let returned = mapping.returns(&said.status);
        let reported = Reported { status: said.status.clone(), state, returned, at: said.at.unwrap_or(now) };
        let reporting = reported.beside(known.as_ref());
        if reporting == Reporting::Late {
            // As by what is noted of the others: the report holds the key of its ticket, and whoever notes a delivery has the row
            // and may give it a number, so that the two would wait for each other in a circle.
            tickets::lock(&*tx.conn, &[id.0], None).await?;
        } else {
            // Before its case comes back: whoever sends it back is not told that it was taken back.
            tickets::set_reported(tx.conn, id, &reported).await?;
        }
        if reporting == Reporting::Moved {
            let taken_back = ticket.taken_back_at.is_some();
            // It comes back when nobody whom it was referred to keeps it.
            let all_returned = returned && tickets::others_returned(tx.conn, case_id, id).await?;
            let (world, code, step) = (self.desk.atlas.world(), system.system_code.clone(), reported.clone());
            let verb = Verb::new(world, case_id, None, move |case: Case, act, _: &Caller| {
                if taken_back {
                    case.taken_back_reported(&code, &step, &act)
                } else {
                    case.referral_reported(&code, &step, all_returned, &act)
                }
            });
            let commands: Commands<CaseStore> = vec![(case_id, Box::new(verb))];
            self.desk.executor.apply(tx, caller, commands).await?;
        }
        reports::insert(tx.conn, id, &said.report_ref, &reported, system.mapping_version, tx.now).await?;
        Ok((reporting, !returned))
    }

    /// Whoever reports on a referral has it: it is not sent again, and whoever keeps one that was taken back hears of that.
    async fn arrived(&self, tx: &mut Tx<'_>, id: TicketId, keeps: bool) -> Result<()> {
        // Locked first: a delivery in hand waits, and finds it done.
        let locked = tickets::lock(&*tx.conn, &[id.0], None).await?;
        let real = self.desk.clock.real_now();
        let arrived = changes::referral_delivered(tx.conn, id, real).await?;
        let owed = keeps && !changes::tell_taken_back(&*tx.conn, &[id.0]).await?.is_empty();
        if arrived == 0 && !owed {
            return Ok(());
        }
        let arrived = i32::try_from(arrived).unwrap_or(i32::MAX);
        let moved = locked.into_iter().map(|(id, sync)| {
            let sync = if arrived == 0 { sync } else { sync.delivered(arrived, real) };
            (id, if owed { sync.told(1, real) } else { sync })
        });
        tickets::set_sync(&*tx.conn, &moved.collect::<Vec<(TicketId, Sync)>>()).await
    }
}

async fn found(tx: &mut Tx<'_>, id: TicketId) -> Result<Ticket> {
    tickets::get(tx.conn, id).await?.ok_or_else(|| Error::internal("a ticket that is gone"))
}

fn receipt(ticket: &Ticket, outcome: Reporting) -> Result<pb::ReportReceipt> {
    let outcome = match outcome {
        Reporting::Moved => pb::ReportOutcome::Moved,
        Reporting::Unchanged => pb::ReportOutcome::Unchanged,
        Reporting::Late => pb::ReportOutcome::Late,
    };
    let reported = ticket.reported()?.ok_or_else(|| Error::internal("a report that is not kept"))?;
    Ok(pb::ReportReceipt {
        ticket_id: ticket.ticket_id.to_string(),
        ext_no: ticket.ext_no.clone().unwrap_or_default(),
        case_no: ticket.case_no.clone(),
        external_status: reported.status,
        external_state: codes::case_state(reported.state).into(),
        changed_time: Some(to_proto(reported.at)),
        outcome: outcome.into(),
        taken_back: ticket.taken_back_at.is_some(),
    })
}
