//! Every cell of the rollups, place by place: as they are kept, and counted anew from the facts. The keys of both are
//! `place|table|…` in the order of their texts, so that they can be laid side by side. The cells of the place in hand are kept
//! for its next page.

use std::fmt::Write as _;

use chassis::{
    Result,
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

/// Lists the cells of a side.
#[derive(Debug)]
pub struct Cells {
    db: Db,
    side: Side,
    in_hand: Mutex<Option<(Uuid, Vec<Digest>)>>,
}

impl Cells {
    /// Of this database.
    pub fn new(db: Db, side: Side) -> Self {
        Self { db, side, in_hand: Mutex::new(None) }
    }

    /// Cells after a key, in the order of the keys.
    pub async fn page(&self, after: Option<String>, limit: i64) -> Result<Vec<Digest>> {
        let most = usize::try_from(limit).unwrap_or(0);
        let begun = after.as_deref().map(place_of).transpose()?;
        let mut in_hand = self.in_hand.lock().await;
        let mut known = in_hand.take().filter(|(place, _)| begun == Some(*place));
        // The nil place, which is none, comes first.
        let mut place = begun.unwrap_or_default();
        let mut conn = self.db.conn().await?;
        let mut page: Vec<Digest> = Vec::new();
        loop {
            let rows = match known.take() {
                Some((_, rows)) => rows,
                None => self.read(&mut conn, place).await?,
            };
            let from = after.as_ref().map_or(0, |after| rows.partition_point(|row| row.key <= *after));
            page.extend(rows.iter().skip(from).take(most.saturating_sub(page.len())).cloned());
            if page.len() >= most {
                // Nothing is held any longer than somebody reads it.
                *in_hand = Some((place, rows));
                break;
            }
            match self.next(&mut conn, place).await? {
                Some(next) => place = next,
                None => break,
            }
        }
        Ok(page)
    }

    async fn read(&self, conn: &mut Conn, place: Uuid) -> Result<Vec<Digest>> {
        let deltas = match self.side {
            Side::Kept => recount::kept(conn, place).await?,
            Side::Counted => recount::counted(conn, place).await?,
        };
        Ok(digests(&deltas))
    }

    async fn next(&self, conn: &mut Conn, place: Uuid) -> Result<Option<Uuid>> {
        match self.side {
            Side::Kept => recount::next_kept(conn, place).await,
            Side::Counted => recount::next_counted(conn, place).await,
        }
    }
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
