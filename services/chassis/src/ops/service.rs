//! `jianghan.ops.v1.OpsService` over the chassis's own tables. The gate has admitted it operators only.

use std::{sync::Arc, time::Duration};

use proto::ops::v1::{self as wire, ops_service_server::OpsService};
use tonic::{Request, Response};
use uuid::Uuid;

use super::DigestSource;
use crate::{
    clock::{self, Clock, Timestamp},
    db::{Db, domain_clock},
    error::{Error, Result, RpcResult},
    inbox::ops::{self, Parked},
    page, telemetry,
};

/// Domain time may be moved at most this far ahead of real time. It never goes back: who needs more begins anew.
const FARTHEST: Duration = Duration::from_secs(20 * 366 * 86_400);
const TOO_FAR: &str = "must be between 0 and 20 years: what goes on from there begins in a new data folder";

/// The operations of one service.
pub struct Ops {
    db: Db,
    clock: Clock,
    digests: Arc<dyn DigestSource>,
    allow_time_travel: bool,
    started: Timestamp,
}

impl std::fmt::Debug for Ops {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ops").field("service", &self.db.service()).finish_non_exhaustive()
    }
}

impl Ops {
    /// For the service of `db`.
    pub fn new(db: Db, digests: Arc<dyn DigestSource>, allow_time_travel: bool) -> Self {
        let clock = db.clock().clone();
        let started = clock.real_now();
        Self { db, clock, digests, allow_time_travel, started }
    }
}

#[tonic::async_trait]
impl OpsService for Ops {
    async fn get_statistics(
        &self,
        _request: Request<wire::GetStatisticsRequest>,
    ) -> RpcResult<wire::GetStatisticsResponse> {
        let statistics = ops::statistics(&self.db).await?;
        Ok(Response::new(wire::GetStatisticsResponse {
            service: self.db.service().to_string(),
            outbox_backlog: statistics.outbox_backlog,
            published: count(statistics.published),
            consumed: count(statistics.consumed),
            duplicates_dropped: count(statistics.duplicates_dropped),
            parked: statistics.parked,
            dead: statistics.dead,
            rss_bytes: telemetry::resident_bytes(),
            start_time: Some(clock::to_proto(self.started)),
            process_id: i64::from(std::process::id()),
            lag_buckets: self.db.inbox().lags().into_iter().map(count).collect(),
            behind_dead: statistics.behind_dead,
            progress: statistics.progress,
            in_hand: statistics.in_hand,
            unattended: statistics.unattended,
        }))
    }

    async fn list_parked_events(
        &self,
        request: Request<wire::ListParkedEventsRequest>,
    ) -> RpcResult<wire::ListParkedEventsResponse> {
        let request = request.into_inner();
        let size = page::size(request.page_size, 50, 500)?;
        let after = page::decode::<i64>(&request.page_token)?.unwrap_or(0);
        let mut parked = ops::list(&self.db, request.dead_only, after, size + 1).await?;
        let next_page_token = page::cut(&mut parked, size, |p| p.seq);
        let events = parked.into_iter().map(to_wire).collect();
        Ok(Response::new(wire::ListParkedEventsResponse { events, next_page_token }))
    }

    async fn get_parked_event(
        &self,
        request: Request<wire::GetParkedEventRequest>,
    ) -> RpcResult<wire::GetParkedEventResponse> {
        let parked = ops::get(&self.db, event_id(&request.into_inner().event_id)?).await?;
        Ok(Response::new(wire::GetParkedEventResponse { event: Some(to_wire(parked)) }))
    }

    async fn redrive_event(
        &self,
        request: Request<wire::RedriveEventRequest>,
    ) -> RpcResult<wire::RedriveEventResponse> {
        let id = request.into_inner().event_id;
        let id = if id.is_empty() { None } else { Some(event_id(&id)?) };
        let redriven = ops::redrive(&self.db, id).await?;
        tracing::info!(event.id = ?id, redriven, "parked events are tried again on request");
        Ok(Response::new(wire::RedriveEventResponse {
            redriven: i32::try_from(redriven).unwrap_or(i32::MAX),
        }))
    }

    async fn skip_event(
        &self,
        request: Request<wire::SkipEventRequest>,
    ) -> RpcResult<wire::SkipEventResponse> {
        let request = request.into_inner();
        let id = event_id(&request.event_id)?;
        let code = request.reason_code.as_str();
        if code.is_empty()
            || code.len() > 64
            || !code.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b))
        {
            return Err(Error::invalid(
                "reason_code",
                "must be a code of 1 to 64 letters, digits, `_`, `-` or `.`",
            )
            .into());
        }
        ops::skip(&self.db, id, code).await?;
        tracing::warn!(event.id = %id, reason = code, "a parked event was given up on request");
        Ok(Response::new(wire::SkipEventResponse {}))
    }

    async fn get_clock(&self, _request: Request<wire::GetClockRequest>) -> RpcResult<wire::GetClockResponse> {
        Ok(Response::new(wire::GetClockResponse {
            domain_time: Some(clock::to_proto(self.clock.now())),
            real_time: Some(clock::to_proto(self.clock.real_now())),
            offset_seconds: count(self.clock.offset().as_secs()),
        }))
    }

    async fn advance_clock(
        &self,
        request: Request<wire::AdvanceClockRequest>,
    ) -> RpcResult<wire::AdvanceClockResponse> {
        if !self.allow_time_travel {
            return Err(Error::wrong_state(
                "clock",
                self.db.service(),
                "the deployment does not allow to move time",
            )
            .into());
        }
        let seconds = request.into_inner().offset_seconds;
        let offset =
            u64::try_from(seconds).ok().map(Duration::from_secs).filter(|offset| *offset <= FARTHEST);
        let offset = offset.ok_or_else(|| Error::invalid("offset_seconds", TOO_FAR))?;
        let offset = {
            let mut conn = self.db.conn().await?;
            domain_clock::advance(&mut conn, offset).await?
        };
        let offset = self.clock.set_offset(offset);
        Ok(Response::new(wire::AdvanceClockResponse {
            domain_time: Some(clock::to_proto(self.clock.now())),
            offset_seconds: count(offset.as_secs()),
        }))
    }

    async fn list_digests(
        &self,
        request: Request<wire::ListDigestsRequest>,
    ) -> RpcResult<wire::ListDigestsResponse> {
        let request = request.into_inner();
        if request.subject.is_empty() {
            return Err(Error::invalid("subject", "is missing").into());
        }
        let size = page::size(request.page_size, 1_000, 5_000)?;
        let after = page::decode::<String>(&request.page_token)?;
        let mut digests = self.digests.digests(&request.subject, after, size + 1).await?;
        let next_page_token = page::cut(&mut digests, size, |digest| digest.key.clone());
        let digests = digests.into_iter().map(|d| wire::Digest { key: d.key, value: d.value }).collect();
        Ok(Response::new(wire::ListDigestsResponse { digests, next_page_token }))
    }
}

fn event_id(text: &str) -> Result<Uuid> {
    Uuid::parse_str(text).map_err(|_| Error::invalid("event_id", "is not a UUID"))
}

fn count(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

fn to_wire(parked: Parked) -> wire::ParkedEvent {
    wire::ParkedEvent {
        event_id: parked.event_id.to_string(),
        r#type: parked.r#type,
        partition_key: parked.partition_key.to_string(),
        cause: parked.cause,
        attempts: parked.attempts,
        dead: parked.dead,
        parked_time: Some(clock::to_proto(parked.parked_at)),
        next_attempt_time: parked.next_attempt_at.map(clock::to_proto),
        traceparent: parked.traceparent.unwrap_or_default(),
        detail: parked.detail,
        source: parked.source,
    }
}
