//! The cells of a place as a list: of the rollups as they are kept, or counted anew from the facts.

use std::fmt::Write as _;

use chassis::ops::Digest;
use proto::case_routing::v1::LimitUnit;

use crate::domain::{
    Counter, Deltas,
    delta::{ALL, ALL_MONTHS},
    process::Measure,
    vocabulary,
};

/// The cells of a place, in the order of their keys.
pub(super) fn digests(deltas: &Deltas) -> Vec<Digest> {
    let mut rows = Vec::new();
    for (cell, counters) in &deltas.cells {
        let key = format!("{}|counter|{}|{}|{}", cell.unit_id, cell.line, cell.day, cell.item_code);
        let numbers = Counter::ALL.iter().map(|counter| (counter.name(), counters[*counter]));
        rows.push(Digest::new(key, pairs(numbers)));
    }
    for (cell, sums) in &deltas.stock {
        let month = cell.day.format("%Y-%m").to_string();
        let month = if cell.day == ALL_MONTHS { ALL } else { &month };
        let key = format!("{}|stock|{}|{month}|{}", cell.unit_id, cell.line, cell.item_code);
        let numbers = Counter::STOCK.into_iter().zip(sums).map(|(counter, n)| (counter.name(), *n));
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
    use uuid::Uuid;

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
            late_before: "2026-02-20/2026-03-02".into(),
            ..CaseFact::default()
        };
        let task = TaskFact { place_unit_id: Some(place), issued_at: Some(at), ..TaskFact::default() };
        let mut deltas = Deltas::default();
        deltas.case(&case, 1);
        deltas.task(&task, 1);
        let rows = digests(&deltas.with_stock());
        assert!(rows.is_sorted_by(|a, b| a.key < b.key));
        assert!(rows.iter().all(|row| row.key.starts_with(&format!("{place}|")) && !row.value.is_empty()));
        let value = |rest: &str| {
            let found = rows.iter().find(|row| row.key == format!("{place}|{rest}"));
            found.unwrap_or_else(|| panic!("{rest} in {rows:?}")).value.clone()
        };
        assert!(value("counter|housing|2026-03-02|roof").contains("registered=1;registered_closed=1"));
        assert!(value("counter|*|2026-03-02|*").contains("tasks_issued=1"));
        assert!(value("stock|housing|2026-02|roof").starts_with("overdue_in=1;overdue_in_days="));
        assert!(value("stock|*|*|*").starts_with("overdue_in=1;overdue_out=1;overdue_in_days="));
        assert_eq!(value("duration|housing|2026-03-02|roof|work_day|46"), "count=1;seconds=60");
        assert_eq!(value("open_due|housing|2026-03-02T02Z"), "count=1");
        assert_eq!(value("process|2026-03-02||housing|roof"), "closed=1");
        assert_eq!(value("state|housing|closed"), "count=1");
    }
}
