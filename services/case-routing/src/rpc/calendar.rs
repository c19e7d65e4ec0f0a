//! `CalendarService`: which days are worked and in which hours, the notices and the orders that say so.

use calendar::{DayKind, HoursOrder, Notice};
use chassis::{
    Error, Result, RpcResult,
    auth::Caller,
    clock::to_proto,
    command::{Meta, once},
    db::Tx,
    event::Emit,
    proto::case_routing::v1::{self as pb, calendar_service_server::CalendarService},
};
use chrono::{Datelike, NaiveDate};
use tonic::{Request, Response};
use uuid::{Uuid, uuid};

use super::{desk::Desk, hours, parse};
use crate::{
    calendars::{Imported, InForce},
    notice::{Paper, SignatureError, TrustedKey, well_formed},
    store::calendar as store,
};

/// The calendar's key among the events: one calendar for a cell.
const CALENDAR: Uuid = uuid!("5e1c0a1e-0b3f-5d0c-9a63-7f2f6a0c2027");
/// As the readers of notices and orders have it.
const MOST_BYTES: usize = 16 * 1024;

/// The RPCs.
#[derive(Clone)]
pub struct Calendars {
    desk: Desk,
    /// Whose notices and orders count; `None`: nobody's.
    trusted: Option<TrustedKey>,
}

impl Calendars {
    /// With the key whose signature makes a notice or an order count.
    pub fn new(desk: Desk, trusted: Option<TrustedKey>) -> Self {
        Self { desk, trusted }
    }

    /// The text is looked at only once it is known to be the signer's.
    fn signed(&self, paper: Paper, text: &str, signature: &str) -> Result<TrustedKey> {
        let field = match paper {
            Paper::Notice => "notice",
            Paper::Hours => "order",
        };
        if text.is_empty() || text.len() > MOST_BYTES {
            return Err(Error::invalid(field, "must have at most 16 KiB and not be empty"));
        }
        let wrong = |error: SignatureError| Error::invalid("signature", error.to_string());
        well_formed(signature).map_err(wrong)?;
        let none = || Error::wrong_state("calendar", "notices", "no key is configured that may sign");
        let key = self.trusted.ok_or_else(none)?;
        key.verify_as(paper, text, signature).map_err(wrong)?;
        Ok(key)
    }

    /// It is stored; this replica, too, reads it with its next sweep at the latest.
    async fn changed(&self) {
        if let Err(error) = self.desk.atlas.refresh(&self.desk.db).await {
            tracing::warn!(error = %error.chain(), "what was imported is taken up a little later");
        }
    }
}

#[tonic::async_trait]
impl CalendarService for Calendars {
    async fn import_notice(
        &self,
        request: Request<pb::ImportNoticeRequest>,
    ) -> RpcResult<pb::ImportNoticeResponse> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let meta = Meta::of("ImportNotice", &request, |request| &request.request_id)?;
        let key = self.signed(Paper::Notice, &request.notice, &request.signature)?;
        let notice =
            Notice::from_toml(&request.notice).map_err(|error| Error::invalid(error.field, error.message))?;
        let by = caller.actor_ref.clone();
        let answer = once(&self.desk.db, &caller, meta, async move |tx: &mut Tx<'_>| {
            import(tx, notice, key, &request, &by).await
        })
        .await?;
        self.changed().await;
        Ok(Response::new(answer))
    }

    async fn get_calendar(
        &self,
        request: Request<pb::GetCalendarRequest>,
    ) -> RpcResult<pb::GetCalendarResponse> {
        let year = request.into_inner().year;
        if !(1..=9999).contains(&year) {
            return Err(Error::invalid("year", "must lie between 1 and 9999").into());
        }
        let world = self.desk.atlas.world();
        Ok(Response::new(pb::GetCalendarResponse { year: Some(told(&world.in_force, year)) }))
    }

    async fn import_working_hours(
        &self,
        request: Request<pb::ImportWorkingHoursRequest>,
    ) -> RpcResult<pb::ImportWorkingHoursResponse> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let meta = Meta::of("ImportWorkingHours", &request, |request| &request.request_id)?;
        let key = self.signed(Paper::Hours, &request.order, &request.signature)?;
        let order = HoursOrder::from_toml(&request.order)
            .map_err(|error| Error::invalid(error.field, error.message))?;
        let topology = self.desk.atlas.world().topology.clone();
        let now = self.desk.clock.now();
        let unit = topology.unit_by_code(&order.unit).filter(|unit| unit.in_force(now));
        let unit = unit.ok_or_else(|| Error::invalid("order.unit", "there is no such unit"))?.id;
        let by = caller.actor_ref.clone();
        let answer = once(&self.desk.db, &caller, meta, async move |tx: &mut Tx<'_>| {
            let signed = hours::Signed { order, unit, key, request: &request, by: &by };
            hours::import(tx, signed, &topology).await
        })
        .await?;
        self.changed().await;
        Ok(Response::new(answer))
    }

    async fn get_working_hours(
        &self,
        request: Request<pb::GetWorkingHoursRequest>,
    ) -> RpcResult<pb::GetWorkingHoursResponse> {
        let unit: Uuid = parse::id("unit_id", &request.into_inner().unit_id)?;
        let world = self.desk.atlas.world();
        let told = hours::told(&world.in_force, &world.topology, unit)?;
        Ok(Response::new(pb::GetWorkingHoursResponse { hours: Some(told) }))
    }
}

async fn import(
    tx: &mut Tx<'_>,
    notice: Notice,
    key: TrustedKey,
    request: &pb::ImportNoticeRequest,
    by: &str,
) -> Result<pb::ImportNoticeResponse> {
    let year = notice.year.title_year;
    if (year - calendar::local_day(tx.now).year()).abs() > 1 {
        return Err(Error::invalid("notice.title_year", "must be the last, this or the next year"));
    }
    store::lock(tx.conn).await?;
    let before = InForce::of(store::load(tx.conn).await?, Vec::new());
    let known = before.newest_of(year).map_or(0, |imported| imported.notice.version);
    let shipped = before.shipped_version(year);
    if notice.version <= known {
        let message = format!("must be higher than {known}, the version that was imported last");
        return Err(Error::invalid("notice.version", message));
    }
    if notice.version < shipped {
        let message = format!("must be at least {shipped}, the version that the release has");
        return Err(Error::invalid("notice.version", message));
    }
    let imported = Imported { seq: before.newest() + 1, notice, imported_at: tx.now };
    let kept = store::Kept {
        seq: imported.seq,
        title_year: year,
        version: imported.notice.version,
        notice: &request.notice,
        signature: &request.signature,
        signed_by: key.to_string(),
        imported_at: imported.imported_at,
        imported_by: by,
    };
    store::append(tx.conn, &kept).await?;
    let (work, off): (Vec<_>, Vec<_>) = imported.notice.days().into_iter().partition(|(_, works)| *works);
    let texts = |days: Vec<(NaiveDate, bool)>| days.into_iter().map(|(day, _)| day.to_string()).collect();
    let event = pb::CalendarAmended {
        calendar_id: CALENDAR.to_string(),
        title_year: year,
        notice_version: number(imported.notice.version),
        off_days: texts(off),
        work_days: texts(work),
    };
    tx.emit(Emit::new(CALENDAR, imported.seq, &event));
    Ok(pb::ImportNoticeResponse { year: Some(told(&before.with(imported), year)) })
}

fn told(in_force: &InForce, year: i32) -> pb::CalendarYear {
    let calendar = &in_force.calendar;
    let days = |kind: DayKind| {
        calendar.days_of(year).filter(|(_, is)| *is == kind).map(|(day, _)| day.to_string()).collect()
    };
    let notice = in_force.notice_of(year);
    let passed_over = in_force.newest_of(year).filter(|_| notice.is_none());
    pb::CalendarYear {
        year,
        published: calendar.is_published(year),
        calendar_version: number(calendar.version()),
        notice_version: notice.map_or(0, |imported| number(imported.notice.version)),
        work_days: i32::try_from(calendar.work_days_in_year(year)).unwrap_or(i32::MAX),
        off_days: days(DayKind::Holiday),
        make_up_days: days(DayKind::MakeUp),
        papers: calendar.papers(year).to_vec(),
        import_time: notice.map(|imported| to_proto(imported.imported_at)),
        shipped_version: number(in_force.shipped_version(year)),
        passed_over_version: passed_over.map_or(0, |imported| number(imported.notice.version)),
    }
}

fn number(n: u32) -> i32 {
    i32::try_from(n).unwrap_or(i32::MAX)
}
