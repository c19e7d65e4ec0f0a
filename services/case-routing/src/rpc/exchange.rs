//! `ExchangeService`: tickets in, changes out, reports on referrals, and what operators see of them. Systems and mappings are
//! kept in `exchange_systems`, files of reports are read in `exchange_files`.

use std::{collections::HashMap, sync::Arc};

use chassis::{
    Error, Result, RpcResult,
    auth::{Caller, Role},
    command::{Meta, once},
    db::Tx,
    page,
    proto::case_routing::v1::{self as pb, exchange_service_server::ExchangeService},
};
use prost::Message as _;
use tonic::{Request, Response};
use uuid::Uuid;

use super::{desk::Desk, exchange_forms as forms, parse};
use crate::{
    domain::{CaseId, TicketId, exchange::Sync},
    exchange::{
        push::{self, Pusher},
        reports::Reporter,
        telling::Teller,
        undelivered::Undelivered,
    },
    reach,
    store::{
        exchange::{
            changes, referrals,
            systems::{self, System},
            tickets::{self, Filter},
        },
        read,
    },
    verb::opened_to,
    webhook::Networks,
};

/// Tickets in one push, and changes in one acknowledgement.
const MOST_TICKETS: usize = 100;
const MOST_CHANGES: usize = 500;

/// The RPCs.
#[derive(Clone)]
pub struct Exchange {
    pub desk: Desk,
    pub pusher: Pusher,
    pub reporter: Reporter,
    pub teller: Teller,
    pub networks: Arc<Networks>,
}

impl Exchange {
    /// Over the desk, with one memory of mappings.
    pub fn new(desk: Desk, teller: Teller, networks: Arc<Networks>) -> Self {
        let pusher = Pusher { desk: desk.clone(), mappings: teller.mappings.clone() };
        let reporter = Reporter { desk: desk.clone(), mappings: teller.mappings.clone() };
        Self { desk, pusher, reporter, teller, networks }
    }

    /// The system that the caller speaks for.
    pub(super) async fn own(&self, caller: &Caller) -> Result<System> {
        let mut conn = self.desk.db.conn().await?;
        let own = systems::of_client(&mut conn, caller.person_id).await?;
        own.ok_or_else(|| Error::not_found(systems::KIND, ""))
    }

    /// What the caller's system does not have, behind a place of the list.
    async fn waiting(
        &self,
        caller: &Caller,
        m: pb::ListTicketChangesRequest,
    ) -> Result<pb::ListTicketChangesResponse> {
        let size = page::size(m.page_size, 100, 500)?;
        let after: Option<i64> = page::decode(&m.page_token)?;
        let system = self.own(caller).await?;
        system.must_be_on()?;
        let world = self.desk.atlas.world();
        let (code, units) = (&system.system_code, reach::sending_units(caller, &world));
        let mut conn = self.desk.db.conn().await?;
        let rows = changes::list(&mut conn, code, &units, after.unwrap_or(0), size + 1).await?;
        let mut told = Vec::with_capacity(rows.len());
        for row in &rows {
            told.push((row.seq, self.teller.tell(&mut conn, &world, row).await?));
        }
        let next_page_token =
            page::cut_fitting(&mut told, size, |(_, change)| change.encoded_len(), |(seq, _)| *seq);
        let changes = told.into_iter().map(|(_, change)| change).collect();
        Ok(pb::ListTicketChangesResponse { changes, next_page_token })
    }

    async fn acknowledge(
        &self,
        tx: &mut Tx<'_>,
        caller: &Caller,
        system: &System,
        ids: &[Uuid],
        numbers: &[(Uuid, String)],
    ) -> Result<pb::AckTicketChangesResponse> {
        let mut named = changes::named(tx.conn, &system.system_code, ids).await?;
        let mut numbered = Vec::new();
        for (place, (change, number)) in numbers.iter().enumerate() {
            if let Some(ticket) = changes::ticket_of(tx.conn, &system.system_code, *change).await? {
                numbered.push((place, ticket, number));
            }
        }
        let of =
            named.iter().map(|(_, ticket)| ticket.0).chain(numbered.iter().map(|(_, ticket, _)| ticket.0));
        let of: Vec<Uuid> = of.collect();
        // What was referred from where nothing is granted to the client goes on waiting.
        let units = reach::sending_units(caller, &self.desk.atlas.world());
        let of = referrals::within(tx.conn, &of, &units).await?;
        named.retain(|(_, ticket)| of.contains(&ticket.0));
        numbered.retain(|(_, ticket, _)| of.contains(&ticket.0));
        let waiting: Vec<Uuid> = named.iter().map(|(change, _)| *change).collect();
        // Behind their cases, of which somebody may be reminded.
        let undelivered = Undelivered::of(&self.desk, caller);
        let referred = referrals::cases(tx.conn, &of).await?;
        let reminded = undelivered.lock(tx, &referred).await?;
        // Locked first: a delivery of the same change waits, and finds it done.
        let locked = tickets::lock(&*tx.conn, &of, None).await?;
        for (place, ticket, number) in numbered {
            tickets::number(tx.conn, ticket, number).await.map_err(|error| match error {
                Error::AlreadyExists { .. } => {
                    Error::invalid(format!("numbers[{place}].ext_no"), "is another ticket's")
                }
                error => error,
            })?;
        }
        let real = self.desk.clock.real_now();
        let mut arrived: HashMap<TicketId, i32> = HashMap::new();
        for ticket in changes::delivered(tx.conn, &waiting, real).await? {
            *arrived.entry(ticket).or_default() += 1;
        }
        // Who acknowledges a referral that was taken back before it was known to be there has it.
        let owed = changes::tell_taken_back(&*tx.conn, &of).await?;
        let moved: Vec<(TicketId, Sync)> = locked
            .into_iter()
            .filter_map(|(id, sync)| match (arrived.get(&id), owed.contains(&id)) {
                (None, false) => None,
                (None, true) => Some((id, sync.told(1, real))),
                (Some(count), false) => Some((id, sync.delivered(*count, real))),
                (Some(count), true) => Some((id, sync.delivered(*count, real).told(1, real))),
            })
            .collect();
        tickets::set_sync(&*tx.conn, &moved).await?;
        undelivered.arrived(tx, &reminded).await?;
        Ok(pb::AckTicketChangesResponse { acknowledged: arrived.values().sum() })
    }

    async fn retry(&self, tx: &mut Tx<'_>, id: TicketId) -> Result<pb::RetryTicketResponse> {
        let missing = || Error::not_found(tickets::KIND, id);
        let ticket = tickets::get(tx.conn, id).await?.ok_or_else(missing)?;
        let system = systems::get(tx.conn, &ticket.system_code).await?.ok_or_else(missing)?;
        let wrong = |message: &str| Err(Error::wrong_state(tickets::KIND, id, message));
        if system.endpoint.is_empty() {
            return wrong("its system fetches its changes");
        }
        if !system.is_on() {
            return wrong("its system is paused");
        }
        if systems::awaits_mapping(tx.conn, &ticket.system_code).await? {
            return wrong("no mapping was put in force for the endpoint of its system");
        }
        let locked = tickets::lock(&*tx.conn, &[id.0], None).await?;
        let sync = locked.into_iter().next().and_then(|(_, sync)| sync.retried(self.desk.clock.real_now()));
        let Some(sync) = sync else { return wrong("its system knows everything") };
        tickets::set_sync(&*tx.conn, &[(id, sync)]).await?;
        let ticket = tickets::get(tx.conn, id).await?.ok_or_else(missing)?;
        Ok(pb::RetryTicketResponse { ticket: Some(forms::ticket(&ticket)?) })
    }
}

#[tonic::async_trait]
impl ExchangeService for Exchange {
    async fn create_external_system(
        &self,
        request: Request<pb::CreateExternalSystemRequest>,
    ) -> RpcResult<pb::CreateExternalSystemResponse> {
        let caller = Caller::of(&request)?;
        Ok(Response::new(self.create_system(&caller, request.into_inner()).await?))
    }

    async fn update_external_system(
        &self,
        request: Request<pb::UpdateExternalSystemRequest>,
    ) -> RpcResult<pb::UpdateExternalSystemResponse> {
        let caller = Caller::of(&request)?;
        Ok(Response::new(self.update_system(&caller, request.into_inner()).await?))
    }

    async fn rotate_webhook_secret(
        &self,
        request: Request<pb::RotateWebhookSecretRequest>,
    ) -> RpcResult<pb::RotateWebhookSecretResponse> {
        let caller = Caller::of(&request)?;
        Ok(Response::new(self.rotate_secret(&caller, request.into_inner()).await?))
    }

    async fn list_external_systems(
        &self,
        request: Request<pb::ListExternalSystemsRequest>,
    ) -> RpcResult<pb::ListExternalSystemsResponse> {
        let m = request.into_inner();
        let size = page::size(m.page_size, 50, 200)?;
        let after: Option<String> = page::decode(&m.page_token)?;
        let mut conn = self.desk.db.conn().await?;
        let mut rows = systems::list(&mut conn, &after.unwrap_or_default(), size + 1).await?;
        let next_page_token = page::cut(&mut rows, size, |row| row.system_code.clone());
        let systems = rows.iter().map(forms::system).collect();
        Ok(Response::new(pb::ListExternalSystemsResponse { systems, next_page_token }))
    }

    async fn draft_mapping(
        &self,
        request: Request<pb::DraftMappingRequest>,
    ) -> RpcResult<pb::DraftMappingResponse> {
        let caller = Caller::of(&request)?;
        Ok(Response::new(self.draft(&caller, request.into_inner()).await?))
    }

    async fn get_mapping(
        &self,
        request: Request<pb::GetMappingRequest>,
    ) -> RpcResult<pb::GetMappingResponse> {
        let mapping = self.one_mapping(request.into_inner()).await?;
        Ok(Response::new(pb::GetMappingResponse { mapping: Some(mapping) }))
    }

    async fn list_mappings(
        &self,
        request: Request<pb::ListMappingsRequest>,
    ) -> RpcResult<pb::ListMappingsResponse> {
        Ok(Response::new(self.mappings(request.into_inner()).await?))
    }

    async fn activate_mapping(
        &self,
        request: Request<pb::ActivateMappingRequest>,
    ) -> RpcResult<pb::ActivateMappingResponse> {
        let caller = Caller::of(&request)?;
        Ok(Response::new(self.activate(&caller, request.into_inner()).await?))
    }

    async fn roll_back_mapping(
        &self,
        request: Request<pb::RollBackMappingRequest>,
    ) -> RpcResult<pb::RollBackMappingResponse> {
        let caller = Caller::of(&request)?;
        Ok(Response::new(self.roll_back(&caller, request.into_inner()).await?))
    }

    async fn push_ticket(
        &self,
        request: Request<pb::PushTicketRequest>,
    ) -> RpcResult<pb::PushTicketResponse> {
        let caller = Caller::of(&request)?;
        let m = request.into_inner();
        let meta = Meta::new("PushTicket", &m.request_id, &m)?;
        let push = forms::push(forms::ticket_of(m))?;
        let system = self.own(&caller).await?;
        Ok(Response::new(self.pusher.push(&caller, &system, &push, Some(meta)).await?))
    }

    async fn push_tickets(
        &self,
        request: Request<pb::PushTicketsRequest>,
    ) -> RpcResult<pb::PushTicketsResponse> {
        let caller = Caller::of(&request)?;
        let m = request.into_inner();
        // The numbers make a repeat harmless; the id is checked as everywhere.
        Meta::new("PushTickets", &m.request_id, &m)?;
        if !(1..=MOST_TICKETS).contains(&m.tickets.len()) {
            return Err(Error::invalid("tickets", "has 1–100 entries").into());
        }
        let system = self.own(&caller).await?;
        let mut answers = Vec::with_capacity(m.tickets.len());
        for ticket in m.tickets {
            let ext_no: String = ticket.ext_no.chars().take(64).collect();
            let done = match forms::push(ticket) {
                Ok(push) => self.pusher.push(&caller, &system, &push, None).await,
                Err(error) => Err(error),
            };
            answers.push(match done {
                Ok(done) => pb::PushAnswer { ext_no, receipt: done.receipt, refusal: None },
                Err(error) => pb::PushAnswer { ext_no, receipt: None, refusal: Some(forms::refusal(&error)) },
            });
        }
        Ok(Response::new(pb::PushTicketsResponse { answers }))
    }

    async fn list_ticket_changes(
        &self,
        request: Request<pb::ListTicketChangesRequest>,
    ) -> RpcResult<pb::ListTicketChangesResponse> {
        let caller = Caller::of(&request)?;
        Ok(Response::new(self.waiting(&caller, request.into_inner()).await?))
    }

    async fn ack_ticket_changes(
        &self,
        request: Request<pb::AckTicketChangesRequest>,
    ) -> RpcResult<pb::AckTicketChangesResponse> {
        let caller = Caller::of(&request)?;
        let m = request.into_inner();
        let meta = Meta::new("AckTicketChanges", &m.request_id, &m)?;
        if m.change_ids.len() > MOST_CHANGES {
            return Err(Error::invalid("change_ids", "has at most 500 entries").into());
        }
        if m.numbers.len() > MOST_CHANGES {
            return Err(Error::invalid("numbers", "has at most 500 entries").into());
        }
        let each = m.change_ids.iter().enumerate();
        let ids = each.map(|(place, id)| parse::id(&format!("change_ids[{place}]"), id));
        let ids = ids.collect::<Result<Vec<Uuid>>>()?;
        let each = m.numbers.iter().enumerate();
        let numbers = each.map(|(place, number)| forms::number(place, number)).collect::<Result<Vec<_>>>()?;
        let system = self.own(&caller).await?;
        system.must_be_on()?;
        let done = once(&self.desk.db, &caller, meta, async |tx: &mut Tx<'_>| {
            self.acknowledge(tx, &caller, &system, &ids, &numbers).await
        });
        Ok(Response::new(done.await?))
    }

    async fn report_ticket_status(
        &self,
        request: Request<pb::ReportTicketStatusRequest>,
    ) -> RpcResult<pb::ReportTicketStatusResponse> {
        let caller = Caller::of(&request)?;
        let m = request.into_inner();
        let meta = Meta::new("ReportTicketStatus", &m.request_id, &m)?;
        let said = forms::said(m)?;
        let system = self.own(&caller).await?;
        Ok(Response::new(self.reporter.report(&caller, &system, &said, Some(meta)).await?))
    }

    async fn import_ticket_statuses(
        &self,
        request: Request<pb::ImportTicketStatusesRequest>,
    ) -> RpcResult<pb::ImportTicketStatusesResponse> {
        let caller = Caller::of(&request)?;
        Ok(Response::new(self.import_statuses(&caller, request.into_inner()).await?))
    }

    async fn list_tickets(
        &self,
        request: Request<pb::ListTicketsRequest>,
    ) -> RpcResult<pb::ListTicketsResponse> {
        let m = request.into_inner();
        let size = page::size(m.page_size, 50, 200)?;
        let below: Option<Uuid> = page::decode(&m.page_token)?;
        let system = forms::filter("system_code", &m.system_code)?;
        let ext_no = forms::filter("ext_no", &m.ext_no)?;
        let filter = Filter {
            system: system.as_deref(),
            ext_no: ext_no.as_deref(),
            sync_state: forms::sync_state("sync_state", m.sync_state)?,
        };
        let mut conn = self.desk.db.conn().await?;
        let mut rows = tickets::list(&mut conn, &filter, below.unwrap_or(Uuid::max()), size + 1).await?;
        let next_page_token = page::cut(&mut rows, size, |row| row.ticket_id);
        let tickets = rows.iter().map(forms::ticket).collect::<Result<_>>()?;
        Ok(Response::new(pb::ListTicketsResponse { tickets, next_page_token }))
    }

    async fn retry_ticket(
        &self,
        request: Request<pb::RetryTicketRequest>,
    ) -> RpcResult<pb::RetryTicketResponse> {
        let caller = Caller::of(&request)?;
        let m = request.into_inner();
        let meta = Meta::new("RetryTicket", &m.request_id, &m)?;
        let id: TicketId = parse::id("ticket_id", &m.ticket_id)?;
        let done =
            once(&self.desk.db, &caller, meta, async |tx: &mut Tx<'_>| self.retry(tx, id).await).await?;
        Ok(Response::new(done))
    }

    async fn reveal_ticket(
        &self,
        request: Request<pb::RevealTicketRequest>,
    ) -> RpcResult<pb::RevealTicketResponse> {
        let caller = self.desk.caller(&request)?;
        let id: TicketId = parse::id("ticket_id", &request.into_inner().ticket_id)?;
        let missing = || Error::not_found(tickets::KIND, id);
        let mut conn = self.desk.db.conn().await?;
        let ticket = tickets::get(&mut conn, id).await?.ok_or_else(missing)?;
        let case_id = CaseId(ticket.case_id);
        let record = read::case(&mut conn, case_id).await?;
        let record = record.filter(|record| reach::reaches(&record.case, &caller)).ok_or_else(missing)?;
        self.desk.look(&mut conn, &caller, case_id, opened_to(&record.case, &caller)).await?;
        let in_full = reach::reaches(&record.case, &without_callers_back(&caller));
        let sealed = tickets::sealed(&mut conn, id).await?.ok_or_else(missing)?;
        let paper = push::open(&self.desk.crypto, id, &sealed)?;
        Ok(Response::new(forms::revealed(&paper, in_full)))
    }
}

/// A caller without the roles that call back or verify: they need to know whom to call, and the original text is not opened
/// to them (`RevealText`).
fn without_callers_back(caller: &Caller) -> Caller {
    let calls_back = |role| matches!(role, Role::CallbackAgent | Role::Verifier);
    let scopes = caller.scopes.iter().filter(|scope| !calls_back(scope.role)).cloned().collect();
    Caller { scopes, ..caller.clone() }
}
