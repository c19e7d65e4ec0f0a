//! Looks for hot spots: by itself once per day of Asia/Shanghai, and when somebody asks. One transaction reads the weeks,
//! judges, writes what changed and tells it.

use std::{collections::HashMap, sync::Arc, time::Duration};

use calendar::local_day;
use chassis::{
    Clock, Error, Result, Timestamp,
    clock::{new_id, rest},
    db::{Db, Tx},
    event::Emit,
    topology::{Shared, Topology, UnitKind},
};
use chrono::{Days, NaiveDate, TimeDelta};
use proto::analytics::v1::{HotspotDetected, HotspotEnded};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    domain::hotspot::{
        METHOD, WINDOW_DAYS,
        detect::{Cell, Counts, Field, LeafCount, Verdict, season},
        watch::{self, Day, window_start},
    },
    store::hotspots::{self as store, Row},
};

/// How long after midnight a day is looked at: what happened late in it has arrived by then.
const SETTLED_HOURS: i64 = 3;
/// How often it is asked whether a day is due, besides when domain time jumps.
const EVERY: Duration = Duration::from_secs(900);
/// How soon again when it failed.
const AGAIN: Duration = Duration::from_secs(60);
/// Growth of the count that is news, and days after which the present count is told anyway.
const NEWS_GROWTH: f64 = 1.5;
const NEWS_DAYS: i64 = 7;
/// Weeks of a year: the same weekdays.
const YEAR_DAYS: u64 = 364;

/// What a look brought.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Look {
    /// Last day of the window.
    pub day: NaiveDate,
    /// Cells tested.
    pub tested: usize,
    /// Hypotheses rejected.
    pub rejected: usize,
    /// New hot spots.
    pub detected: usize,
    /// Those that go on.
    pub continued: usize,
    /// Those that are over.
    pub ended: usize,
    /// Nothing was tested.
    pub too_little_history: bool,
}

/// Runs until stopped.
pub async fn run(db: Db, clock: Clock, topology: Arc<Shared>, stop: CancellationToken) -> Result<(), Error> {
    let mut looked = None;
    let mut jumps = clock.jumps();
    loop {
        let pause = match nightly(&db, &clock, &topology, &mut looked).await {
            Ok(()) => EVERY,
            Err(error) => {
                tracing::warn!(error = %error.chain(), "hot spots are looked for again later");
                AGAIN
            }
        };
        if !rest(&mut jumps, pause, &stop).await {
            return Ok(());
        }
    }
}

/// Looks at the last day that has ended and settled, unless it was looked at. `looked` is the day this process knows of: domain
/// time may jump many times a second.
async fn nightly(db: &Db, clock: &Clock, topology: &Shared, looked: &mut Option<NaiveDate>) -> Result<()> {
    let day = last_day(clock.now() - TimeDelta::hours(SETTLED_HOURS));
    let topology = topology.load();
    // What a wrong clock calls the last day may not have ended, and would not be looked at again.
    if *looked == Some(day) || topology.is_empty() || clock.is_astray() {
        return Ok(());
    }
    let look = db
        .transaction(async move |tx: &mut Tx<'_>| {
            store::lock(tx.conn).await?;
            // Another replica may have been quicker.
            if store::has_run(tx.conn, day, METHOD.version).await? {
                return Ok(None);
            }
            look(tx, &topology, day).await.map(Some)
        })
        .await?;
    *looked = Some(day);
    if let Some(look) = look.filter(|look| !look.too_little_history) {
        tracing::info!(
            hotspot.day = %look.day,
            hotspot.tested = look.tested,
            hotspot.detected = look.detected,
            hotspot.ended = look.ended,
            "looked for hot spots"
        );
    }
    Ok(())
}

/// The last day that had ended at an instant.
pub fn last_day(at: Timestamp) -> NaiveDate {
    let today = local_day(at);
    today.pred_opt().unwrap_or(today)
}

/// Looks at the window that ends with `day`, within a transaction that holds the lock.
pub async fn look(tx: &mut Tx<'_>, topology: &Topology, day: NaiveDate) -> Result<Look> {
    let paths = paths(topology);
    let units: Vec<Uuid> = sorted(&paths);
    let mut look = Look { day, ..Look::default() };
    let Some(field) = read(tx, &units, paths, day).await?.filter(|field| field.is_judged(&METHOD)) else {
        look.too_little_history = true;
        return Ok(look);
    };
    let since = day.checked_sub_days(Days::new(METHOD.cool_days.unsigned_abs())).unwrap_or(day);
    let known = store::known(tx.conn, since).await?;
    let under_way: Vec<_> = known.iter().map(|row| row.known(topology.goes_on_at(row.unit_id))).collect();
    let seen = watch::judge(&field, &under_way, day, &METHOD);
    (look.tested, look.rejected) = (seen.tested, seen.rejected);
    (look.detected, look.continued, look.ended) = (seen.new.len(), seen.going_on.len(), seen.over.len());
    note(tx, &units, known, seen, day).await?;
    let number = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
    store::note_run(tx.conn, (day, METHOD.version), (number(look.tested), number(look.rejected)), tx.now)
        .await?;
    Ok(look)
}

/// Units of a district and below, each with its path from the district on. Ended ones too: their history counts above, and that of
/// one that was merged where it goes on, so that what it went on in is not judged as if nothing had ever happened there.
fn paths(topology: &Topology) -> HashMap<Uuid, Vec<Uuid>> {
    let above = |id: &Uuid| topology.unit(*id).is_none_or(|unit| unit.kind == UnitKind::City);
    let below = topology.units().filter(|unit| unit.kind != UnitKind::City);
    let path = |unit: Uuid| topology.path(topology.goes_on_at(unit)).unwrap_or_default();
    below.map(|unit| (unit.id, path(unit.id).iter().copied().filter(|id| !above(id)).collect())).collect()
}

fn sorted(paths: &HashMap<Uuid, Vec<Uuid>>) -> Vec<Uuid> {
    let mut units: Vec<Uuid> = paths.keys().copied().collect();
    units.sort_unstable();
    units
}

/// The weeks before a day; `None` when nothing was ever counted.
async fn read(
    tx: &mut Tx<'_>,
    units: &[Uuid],
    paths: HashMap<Uuid, Vec<Uuid>>,
    day: NaiveDate,
) -> Result<Option<Field>> {
    let Some(first) = store::first_day(tx.conn, units).await? else { return Ok(None) };
    let weeks = |until: NaiveDate| {
        usize::try_from((window_start(until) - first).num_days() / WINDOW_DAYS).unwrap_or(0)
    };
    if weeks(day) < METHOD.least_baseline {
        return Ok(None);
    }
    let leaves = store::windows(tx.conn, units, day, METHOD.windows()).await?;
    let then = day.checked_sub_days(Days::new(YEAR_DAYS)).unwrap_or(day);
    let seasons = if weeks(then) >= METHOD.baseline {
        seasons(&store::windows(tx.conn, units, then, METHOD.baseline + 1).await?)
    } else {
        HashMap::new()
    };
    Ok(Some(Field::new(Counts { leaves, covered: weeks(day), seasons }, paths, &METHOD)))
}

/// How each item's week stood to those before it, a year ago, in the whole district.
fn seasons(leaves: &[LeafCount]) -> HashMap<String, f64> {
    let mut sums: HashMap<&str, Vec<i64>> = HashMap::new();
    for leaf in leaves {
        let windows = sums.entry(&leaf.item_code).or_insert_with(|| vec![0; METHOD.baseline + 1]);
        if let Some(sum) = windows.get_mut(leaf.window) {
            *sum += leaf.count;
        }
    }
    sums.into_iter().map(|(item, sums)| (item.to_owned(), season(sums[0], &sums[1..]))).collect()
}

/// Writes what changed and tells what is news.
async fn note(tx: &mut Tx<'_>, units: &[Uuid], known: Vec<Row>, seen: Day, day: NaiveDate) -> Result<()> {
    let mut known: HashMap<Uuid, Row> = known.into_iter().map(|row| (row.hotspot_id, row)).collect();
    for id in seen.over {
        let Some(row) = known.remove(&id) else { continue };
        let row = Row { active: false, revision: row.revision + 1, ..row };
        store::save(tx.conn, &row).await?;
        let ended = HotspotEnded {
            hotspot_id: row.hotspot_id.to_string(),
            unit_id: row.unit_id.to_string(),
            item_code: row.item_code.clone(),
            end_date: row.end_day.to_string(),
        };
        tx.emit(Emit::new(row.unit_id, row.revision, &ended).unit(row.unit_id).subject(row.hotspot_id));
    }
    for (id, verdict) in seen.going_on {
        let Some(row) = known.remove(&id) else { continue };
        let mut row = going_on(row, &verdict, day);
        let grown = row.count as f64 >= row.told_count as f64 * NEWS_GROWTH;
        let news = row.told_day != day && (grown || (day - row.told_day).num_days() >= NEWS_DAYS);
        let back = row.since_day == window_start(day) && row.since_day != row.start_day;
        if news || back {
            row = Row { revision: row.revision + 1, told_count: row.count, told_day: day, ..row };
            tell(tx, &row);
        }
        store::save(tx.conn, &row).await?;
    }
    if seen.new.is_empty() {
        return Ok(());
    }
    let items: Vec<&str> = seen.new.iter().map(|(cell, _)| cell.item_code.as_str()).collect();
    let lines = store::lines(tx.conn, units, &items, (window_start(day), day)).await?;
    for (cell, verdict) in seen.new {
        let row = fresh(cell, &verdict, &lines, day, tx.now);
        store::save(tx.conn, &row).await?;
        tell(tx, &row);
    }
    Ok(())
}

fn fresh(
    cell: Cell,
    verdict: &Verdict,
    lines: &HashMap<String, String>,
    day: NaiveDate,
    now: Timestamp,
) -> Row {
    let line = lines.get(&cell.item_code).cloned().unwrap_or_default();
    Row::new((new_id(), cell, line), verdict, (window_start(day), day), METHOD.version, now)
}

/// One that goes on; one that is back after a pause is judged from now on by what came before its return.
fn going_on(row: Row, verdict: &Verdict, day: NaiveDate) -> Row {
    let since_day = if row.active { row.since_day } else { window_start(day) };
    Row { active: true, since_day, end_day: day, count: verdict.count, expected: verdict.expected, ..row }
}

fn tell(tx: &mut Tx<'_>, row: &Row) {
    let told = HotspotDetected {
        unit_id: row.unit_id.to_string(),
        item_code: row.item_code.clone(),
        start_date: row.start_day.to_string(),
        end_date: row.end_day.to_string(),
        count: row.count,
        hotspot_id: row.hotspot_id.to_string(),
        line: row.line.clone(),
        expected: row.expected,
        p_value: row.p_value,
        definition_version: row.definition_version,
    };
    let emit = Emit::new(row.unit_id, row.revision, &told).unit(row.unit_id).subject(row.hotspot_id);
    tx.emit(emit.line(Some(row.line.as_str()).filter(|line| !line.is_empty())));
}
