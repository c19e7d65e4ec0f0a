//! Every cell of the rollups, place by place: as they are kept, and counted anew from the facts. The keys of both are
//! `place|table|…` in the order of their texts, so that they can be laid side by side. The cells of the place in hand are kept
//! for its next page. A place may have more facts than can be counted within one call: then the caller is told to ask again, and
//! the counting goes on from where it was.

use std::{
    fmt::Write as _,
    time::{Duration, Instant},
};

use chassis::{
    Error, Result,
    db::{Conn, Db},
    ops::Digest,
};
use proto::case_routing::v1::LimitUnit;
use tokio::sync::Mutex;
use uuid::Uuid;

use super::foreign;
use crate::{
    domain::{Counter, Deltas, process::Measure, vocabulary},
    store::recount,
};

/// Which of the two.
#[derive(Debug, Clone, Copy)]
pub enum Side {
    /// The rollups.
    Kept,
    /// Counted anew.
    Counted,
}

/// When whoever has to ask again does so.
const AGAIN: Duration = Duration::from_millis(100);
/// A page that nobody has asked for again is given up: what was counted for it may be true no more.
const ABANDONED: Duration = Duration::from_secs(60);

/// Lists the cells of a side.
#[derive(Debug)]
pub struct Cells {
    db: Db,
    side: Side,
    within: Duration,
    in_hand: Mutex<InHand>,
}

#[derive(Debug, Default)]
struct InHand {
    /// The cells of the place in which the last page ended.
    rows: Option<(Uuid, Vec<Digest>)>,
    /// The page that is being made.
    page: Option<Page>,
}

/// A page as far as it has been made. Whoever asks may be cut off at any await, and goes on from it.
#[derive(Debug)]
struct Page {
    after: Option<String>,
    most: usize,
    /// The place that is read.
    place: Uuid,
    rows: Vec<Digest>,
    /// What has been counted of the place.
    count: Option<recount::Count>,
    touched: Instant,
}

impl Cells {
    /// Of this database. A call takes about so long at most.
    pub fn new(db: Db, side: Side, within: Duration) -> Self {
        Self { db, side, within, in_hand: Mutex::default() }
    }

    /// Cells after a key, in the order of the keys.
    ///
    /// # Errors
    /// `Exhausted` where they could not be counted yet, and while another page is being made: to be asked for again soon.
    pub async fn page(&self, after: Option<String>, limit: i64) -> Result<Vec<Digest>> {
        let until = Instant::now() + self.within;
        let most = usize::try_from(limit).unwrap_or(0);
        let begun = after.as_deref().map(place_of).transpose()?;
        let mut in_hand = self.in_hand.lock().await;
        let InHand { rows: known, page: making } = &mut *in_hand;
        drop(making.take_if(|page| page.touched.elapsed() >= ABANDONED));
        if making.as_ref().is_some_and(|page| page.after != after || page.most != most) {
            return Err(ask_again());
        }
        let page = making.get_or_insert_with(|| Page {
            // The nil place, which is none, comes first.
            place: begun.unwrap_or_default(),
            after,
            most,
            rows: Vec::new(),
            count: None,
            touched: Instant::now(),
        });
        // Nothing is held any longer than somebody reads it.
        let mut known = known.take().filter(|(place, _)| begun == Some(*place));
        let mut conn = self.db.conn().await?;
        let whole = loop {
            page.touched = Instant::now();
            let rows = match known.take_if(|(place, _)| *place == page.place) {
                Some((_, rows)) => rows,
                None => self.read(&mut conn, page, until).await?.ok_or_else(ask_again)?,
            };
            let from = page.after.as_ref().map_or(0, |after| rows.partition_point(|row| row.key <= *after));
            let full = page.rows.len() + rows.len() - from >= most;
            let next = if full { None } else { self.next(&mut conn, page.place).await? };
            page.rows.extend(rows.iter().skip(from).take(most.saturating_sub(page.rows.len())).cloned());
            page.count = None;
            match next {
                Some(next) => page.place = next,
                None => break full.then_some((page.place, rows)),
            }
            if Instant::now() >= until {
                return Err(ask_again());
            }
        };
        let rows = std::mem::take(&mut page.rows);
        *in_hand = InHand { rows: whole, page: None };
        Ok(rows)
    }

    /// The cells of the place that a page is at; `None` while they are not all counted.
    async fn read(&self, conn: &mut Conn, page: &mut Page, until: Instant) -> Result<Option<Vec<Digest>>> {
        let place = page.place;
        match self.side {
            Side::Kept => Ok(Some(digests(&recount::kept(conn, place).await?))),
            Side::Counted => {
                let count = page.count.get_or_insert_with(|| recount::Count::of(place));
                let counted = count.go_on(conn, until).await;
                page.touched = Instant::now();
                Ok(counted?.map(digests))
            }
        }
    }

    async fn next(&self, conn: &mut Conn, place: Uuid) -> Result<Option<Uuid>> {
        match self.side {
            Side::Kept => recount::next_kept(conn, place).await,
            Side::Counted => recount::next_counted(conn, place).await,
        }
    }
}

fn ask_again() -> Error {
    Error::Exhausted { retry_after: AGAIN }
}

/// The place of a key.
fn place_of(key: &str) -> Result<Uuid> {
    key.split_once('|').and_then(|(place, _)| Uuid::parse_str(place).ok()).ok_or_else(foreign)
}

/// The cells of a place, in the order of their keys.
fn digests(deltas: &Deltas) -> Vec<Digest> {
    let mut rows = Vec::new();
    for (cell, counters) in &deltas.cells {
        let key = format!("{}|counter|{}|{}|{}", cell.unit_id, cell.line, cell.day, cell.item_code);
        let numbers = Counter::ALL.iter().map(|counter| (counter.name(), counters[*counter]));
        rows.push(Digest::new(key, pairs(numbers)));
    }
    for ((cell, unit, bucket), clocks) in &deltas.durations {
        let (line, day, item) = (&cell.line, cell.day, &cell.item_code);
        let key = format!("{}|duration|{line}|{day}|{item}|{}|{bucket}", cell.unit_id, clock(*unit));
        rows.push(Digest::new(key, pairs([("count", clocks.count), ("seconds", clocks.seconds)])));
    }
    for ((place, line, hour), count) in &deltas.open_due {
        let key = format!("{place}|open_due|{line}|{}", hour.format("%Y-%m-%dT%HZ"));
        rows.push(Digest::new(key, pairs([("count", *count)])));
    }
    for (cell, measures) in &deltas.processes {
        let (line, item, process) = (&cell.line, &cell.item_code, &cell.process_version);
        let key = format!("{}|process|{}|{process}|{line}|{item}", cell.unit_id, cell.day);
        let numbers = Measure::ALL.iter().map(|measure| (measure.name(), measures.get(*measure)));
        rows.push(Digest::new(key, pairs(numbers)));
    }
    for ((place, line, state), count) in &deltas.states {
        let key = format!("{place}|state|{line}|{}", vocabulary::state_name(*state));
        rows.push(Digest::new(key, pairs([("count", *count)])));
    }
    rows.sort_unstable_by(|a, b| a.key.cmp(&b.key));
    rows
}

/// Name of the unit of a clock; a number that none has, as it is.
fn clock(unit: i16) -> String {
    LimitUnit::try_from(i32::from(unit)).map_or_else(|_| unit.to_string(), vocabulary::limit_unit_name)
}

/// `name=number;…` of those that are not 0.
fn pairs<'a>(numbers: impl IntoIterator<Item = (&'a str, i64)>) -> String {
    let mut text = String::new();
    for (name, n) in numbers.into_iter().filter(|(_, n)| *n != 0) {
        let mark = if text.is_empty() { "" } else { ";" };
        let _ = write!(text, "{mark}{name}={n}"); // writing to a String does not fail
    }
    text
}

#[cfg(test)]
mod tests {
    use chrono::{TimeZone, Utc};

    use super::*;
    use crate::domain::{CaseFact, TaskFact};

    #[test]
    fn cells_of_every_table_stand_in_the_order_of_their_keys() {
        let at = Utc.with_ymd_and_hms(2026, 3, 2, 2, 0, 0).unwrap();
        let place = Uuid::from_u128(7);
        let case = CaseFact {
            place_unit_id: Some(place),
            line: "housing".into(),
            item_code: "roof".into(),
            state: 17,
            registered_at: at,
            completed_at: Some(at),
            elapsed_seconds: Some(60),
            elapsed_unit: 3,
            closed_at: Some(at),
            ended_at: Some(at),
            first_closed_at: Some(at),
            open_due_at: Some(at),
            ..CaseFact::default()
        };
        let task = TaskFact { place_unit_id: Some(place), issued_at: Some(at), ..TaskFact::default() };
        let mut deltas = Deltas::default();
        deltas.case(&case, 1);
        deltas.task(&task, 1);
        let rows = digests(&deltas);
        assert!(rows.is_sorted_by(|a, b| a.key < b.key));
        assert!(rows.iter().all(|row| place_of(&row.key).unwrap() == place && !row.value.is_empty()));
        let value = |rest: &str| {
            let found = rows.iter().find(|row| row.key == format!("{place}|{rest}"));
            found.unwrap_or_else(|| panic!("{rest} in {rows:?}")).value.clone()
        };
        assert!(value("counter|housing|2026-03-02|roof").contains("registered=1;registered_closed=1"));
        assert!(value("counter|*|2026-03-02|*").contains("tasks_issued=1"));
        assert_eq!(value("duration|housing|2026-03-02|roof|work_day|46"), "count=1;seconds=60");
        assert_eq!(value("open_due|housing|2026-03-02T02Z"), "count=1");
        assert_eq!(value("process|2026-03-02||housing|roof"), "closed=1");
        assert_eq!(value("state|housing|closed"), "count=1");
    }

    #[test]
    fn a_key_tells_its_place() {
        assert_eq!(place_of(&format!("{}|state|x|closed", Uuid::nil())).unwrap(), Uuid::nil());
        for key in ["", "nonsense", "x|y"] {
            assert!(place_of(key).is_err(), "{key}");
        }
    }
}
