//! Orders about the working hours and closures of units: brought as notices are, and told as they hold in a unit.

use calendar::{Closure, HoursOrder, Season};
use chassis::{
    Error, Result, clock::to_proto, db::Tx, event::Emit, proto::case_routing::v1 as pb, topology::Topology,
};
use uuid::{Uuid, uuid};

use crate::{
    calendars::{InForce, Ordered},
    notice::TrustedKey,
    seed,
    store::{calendar as notices, hours as store},
};

/// The orders' key among the events: one sequence for a cell.
const HOURS: Uuid = uuid!("8a6d2c54-77a1-5b1e-8f0c-3d1b9e5a2026");
/// How far from today a closure may begin.
const FURTHEST_DAYS: i64 = 366;

/// An order whose signature was found to be right.
pub struct Signed<'a> {
    pub order: HoursOrder,
    /// The unit that it is about.
    pub unit: Uuid,
    pub key: TrustedKey,
    pub request: &'a pb::ImportWorkingHoursRequest,
    /// Pseudonym of whoever brings it.
    pub by: &'a str,
}

/// Stores an order, and tells what holds in its unit then.
pub async fn import(
    tx: &mut Tx<'_>,
    signed: Signed<'_>,
    topology: &Topology,
) -> Result<pb::ImportWorkingHoursResponse> {
    let Signed { order, unit, key, request, by } = signed;
    let today = calendar::local_day(tx.now);
    for (number, ordered) in order.closures.iter().enumerate() {
        let away = ordered.closure.as_ref().map_or(0, |closure| (closure.from - today).num_days().abs());
        if away > FURTHEST_DAYS {
            let field = format!("order.closure[{number}].from");
            return Err(Error::invalid(field, "must lie within a year of today"));
        }
    }
    store::lock(tx.conn).await?;
    let imported = notices::load(tx.conn).await?;
    let before = InForce::of(imported, store::load(tx.conn).await?);
    let before = before.with_moves(store::moves(tx.conn).await?);
    let known = before.own(unit).version();
    if order.version <= known {
        let message = format!("must be higher than {known}, the version of the newest order about the unit");
        return Err(Error::invalid("order.version", message));
    }
    let ordered = Ordered { seq: before.newest_order() + 1, unit, order, imported_at: tx.now };
    let kept = store::Kept {
        seq: ordered.seq,
        unit_id: unit,
        version: ordered.order.version,
        content: &request.order,
        signature: &request.signature,
        signed_by: key.to_string(),
        imported_at: ordered.imported_at,
        imported_by: by,
    };
    store::append(tx.conn, &kept).await?;
    let event = pb::WorkingHoursAmended {
        hours_id: HOURS.to_string(),
        unit_id: unit.to_string(),
        order_version: super::convert::count(ordered.order.version),
        states_hours: !ordered.order.seasons.is_empty(),
        closure_codes: ordered.order.closures.iter().map(|closure| closure.code.clone()).collect(),
    };
    tx.emit(Emit::new(HOURS, ordered.seq, &event).unit(unit));
    let hours = told(&before.with_order(ordered), topology, unit)?;
    Ok(pb::ImportWorkingHoursResponse { hours: Some(hours) })
}

/// What holds in a unit.
pub fn told(in_force: &InForce, topology: &Topology, unit: Uuid) -> Result<pb::WorkingHours> {
    let path = topology.path(unit).ok_or_else(|| Error::not_found("unit", unit))?;
    let profile = in_force.profile(seed::usual_hours(), &path, topology.version());
    let own = in_force.own(unit);
    let stated = path.iter().rev().find(|unit| in_force.own(**unit).hours.is_some());
    let mut closures = Vec::new();
    for unit in path.iter() {
        let of_unit = in_force.own(*unit).closures.into_iter();
        closures.extend(of_unit.map(|(code, closure)| told_closure(*unit, code, closure)));
    }
    closures.sort_by(|a, b| (&a.starts_on, &a.closure_code).cmp(&(&b.starts_on, &b.closure_code)));
    Ok(pb::WorkingHours {
        unit_id: unit.to_string(),
        hours_unit_id: stated.map(Uuid::to_string).unwrap_or_default(),
        seasons: profile.seasons().iter().map(told_season).collect(),
        closures,
        order_version: super::convert::count(own.version()),
        import_time: own.newest.map(|ordered| to_proto(ordered.imported_at)),
        calendar_version: in_force.calendar.version_with(&profile).to_string(),
    })
}

fn told_season(season: &Season) -> pb::WorkingSeason {
    let (month, day) = season.from;
    let spans = season.spans.iter();
    let spans = spans.map(|(open, close)| format!("{}-{}", open.format("%H:%M"), close.format("%H:%M")));
    pb::WorkingSeason { starts_on: format!("{month:02}-{day:02}"), spans: spans.collect() }
}

fn told_closure(unit: Uuid, code: &str, closure: &Closure) -> pb::UnitClosure {
    pb::UnitClosure {
        unit_id: unit.to_string(),
        closure_code: code.to_owned(),
        starts_on: closure.from.to_string(),
        ends_on: closure.to.to_string(),
        authority_ref: closure.authority_ref.clone(),
    }
}
