//! Makes the shifts of the present week from the templates, when somebody looks at the workers of an organisation and
//! not before: domain time may jump over years, and nobody works in the weeks jumped over.

use std::collections::{BTreeMap, HashSet};

use calendar::Calendar;
use chassis::{Result, Timestamp, clock::new_id};
use diesel_async::AsyncPgConnection;
use uuid::Uuid;

use crate::{
    domain::{
        OrgId, ShiftId, WorkerId,
        roster::{Seat, week, week_of},
    },
    seed::templates,
    store::{
        shifts::{self, Shift},
        workers::{self, OnRoster},
    },
};

/// The active workers of organisations, with the roster of the present week made.
pub async fn workers_of(
    conn: &mut AsyncPgConnection,
    orgs: &[Uuid],
    now: Timestamp,
    calendar: &Calendar,
) -> Result<Vec<OnRoster>> {
    let mut found = workers::of_orgs(conn, orgs, week_of(now), now).await?;
    make_week(conn, &mut found, now, calendar).await?;
    Ok(found)
}

/// `found` holds every active worker of its organisations, in order of id: the rotation counts on it.
async fn make_week(
    conn: &mut AsyncPgConnection,
    found: &mut [OnRoster],
    now: Timestamp,
    calendar: &Calendar,
) -> Result<()> {
    let missing: Vec<Uuid> =
        found.iter().filter(|w| !w.rostered && !w.worker.roster.is_empty()).map(|w| w.worker.id.0).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let monday = week_of(now);
    let claimed: HashSet<WorkerId> = shifts::claim_week(conn, &missing, monday).await?.into_iter().collect();
    let mut seats: BTreeMap<(OrgId, String), Vec<WorkerId>> = BTreeMap::new();
    for on_roster in found.iter() {
        let worker = &on_roster.worker;
        seats.entry((worker.org_id, worker.roster.clone())).or_default().push(worker.id);
    }
    let mut made = Vec::new();
    for on_roster in found.iter_mut().filter(|w| claimed.contains(&w.worker.id)) {
        let worker = &on_roster.worker;
        let Some(turn) = seats.get(&(worker.org_id, worker.roster.clone())) else { continue };
        let index = turn.iter().position(|id| *id == worker.id).unwrap_or_default();
        let seat = Seat { index, of: turn.len() };
        for span in week(monday, &templates().shifts, &worker.roster, seat, calendar) {
            on_roster.on_shift |= span.starts_at <= now && now < span.ends_at;
            made.push(Shift {
                id: ShiftId(new_id()),
                worker_id: worker.id,
                person_id: worker.person_id,
                starts_at: span.starts_at,
                ends_at: span.ends_at,
                template: span.template,
                cancelled: false,
            });
        }
    }
    shifts::insert_free(conn, &made).await
}
