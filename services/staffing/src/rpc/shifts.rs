//! Shifts by hand, and the roster as it stands. Looking at the roster makes the present week's shifts.

use chassis::{
    Error, Result, Timestamp,
    auth::Caller,
    clock::new_id,
    command::{Meta, once},
    db::Tx,
    page,
};
use chrono::TimeDelta;
use proto::staffing::v1::{
    CancelShiftRequest, CancelShiftResponse, CreateShiftRequest, CreateShiftResponse, ListShiftsRequest,
    ListShiftsResponse,
};
use uuid::Uuid;

use super::{WorkforceRpc, convert, reach};
use crate::{
    domain::{ShiftId, Worker, WorkerId},
    roster,
    store::{
        shifts::{self, Filter, Shift},
        workers,
    },
};

/// The longest shift.
const LONGEST: TimeDelta = TimeDelta::hours(24);
/// The longest time asked about.
const WINDOW: TimeDelta = TimeDelta::days(92);

impl WorkforceRpc {
    /// Rosters a worker within reach.
    pub(super) async fn create_shift(
        &self,
        caller: &Caller,
        request: CreateShiftRequest,
    ) -> Result<CreateShiftResponse> {
        let meta = Meta::new("CreateShift", &request.request_id, &request)?;
        let worker_id = WorkerId(convert::uuid("worker_id", &request.worker_id)?);
        let starts_at = convert::instant("start_time", request.start_time.as_ref())?;
        let ends_at = convert::instant("end_time", request.end_time.as_ref())?;
        if ends_at <= starts_at || ends_at - starts_at > LONGEST {
            return Err(Error::invalid("end_time", "must be after start_time, by 24 hours at most"));
        }
        once(&self.db, caller, meta, async |tx: &mut Tx<'_>| {
            let worker = self.reached(tx, caller, worker_id).await?.filter(|worker| worker.active);
            let not_found = || Error::not_found(workers::KIND, worker_id);
            let worker = worker.ok_or_else(not_found)?;
            let shift = Shift {
                id: ShiftId(new_id()),
                worker_id,
                person_id: worker.person_id,
                starts_at,
                ends_at,
                template: String::new(),
                cancelled: false,
            };
            if !shifts::insert(tx.conn, &shift).await? {
                return Err(not_found());
            }
            Ok(CreateShiftResponse { shift: Some((&shift).into()) })
        })
        .await
    }

    /// Takes a shift of a worker within reach off the roster.
    pub(super) async fn cancel_shift(
        &self,
        caller: &Caller,
        request: CancelShiftRequest,
    ) -> Result<CancelShiftResponse> {
        let meta = Meta::new("CancelShift", &request.request_id, &request)?;
        let id = ShiftId(convert::uuid("shift_id", &request.shift_id)?);
        once(&self.db, caller, meta, async |tx: &mut Tx<'_>| {
            let not_found = || Error::not_found(shifts::KIND, id);
            let mut shift = shifts::lock(tx.conn, id).await?.ok_or_else(not_found)?;
            self.reached(tx, caller, shift.worker_id).await?.ok_or_else(not_found)?;
            if shift.cancelled {
                return Err(Error::wrong_state(shifts::KIND, id, "is cancelled already"));
            }
            shifts::cancel(tx.conn, id).await?;
            shift.cancelled = true;
            Ok(CancelShiftResponse { shift: Some((&shift).into()) })
        })
        .await
    }

    /// Shifts that touch a time; without one, the coming seven days.
    pub(super) async fn list_shifts(
        &self,
        caller: &Caller,
        request: ListShiftsRequest,
    ) -> Result<ListShiftsResponse> {
        let size = page::size(request.page_size, 50, 200)?;
        let worker = convert::optional_uuid("worker_id", &request.worker_id)?.map(WorkerId);
        let from = match request.from_time.as_ref() {
            Some(at) => convert::instant("from_time", Some(at))?,
            None => self.db.clock().now(),
        };
        let to = match request.to_time.as_ref() {
            Some(at) => convert::instant("to_time", Some(at))?,
            None => from + TimeDelta::days(7),
        };
        if to <= from || to - from > WINDOW {
            return Err(Error::invalid("to_time", "must be after from_time, by 92 days at most"));
        }
        let after = page::decode::<(Timestamp, Uuid)>(&request.page_token)?;
        let orgs = reach::orgs(caller, &self.setup.topology.load());
        let rows = self.db.transaction(async |tx: &mut Tx<'_>| {
            let of = match worker {
                Some(id) => {
                    self.reached(tx, caller, id).await?.map(|worker| worker.org_id.0).into_iter().collect()
                }
                None => orgs.clone(),
            };
            roster::workers_of(tx.conn, &of, tx.now, &self.setup.days.calendar()).await?;
            let filter = Filter { orgs: of, worker, from, to, after, limit: size + 1 };
            shifts::list(tx.conn, &filter).await
        });
        let mut rows = rows.await?;
        let next_page_token = page::cut(&mut rows, size, |last| (last.starts_at, last.id.0));
        Ok(ListShiftsResponse { shifts: rows.iter().map(Into::into).collect(), next_page_token })
    }

    /// A worker, if within reach.
    pub(super) async fn reached(
        &self,
        tx: &mut Tx<'_>,
        caller: &Caller,
        id: WorkerId,
    ) -> Result<Option<Worker>> {
        let found = workers::find(tx.conn, id).await?;
        let topology = self.setup.topology.load();
        Ok(found.filter(|worker| reach::org(caller, &topology, worker.org_id)))
    }
}
