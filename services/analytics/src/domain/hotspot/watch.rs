//! A day's findings against the hot spots that are known: which are new, which go on, which are over.

use chrono::{Days, NaiveDate};
use uuid::Uuid;

use super::{
    Method, WINDOW_DAYS,
    detect::{Cell, Field, Verdict, threshold},
};

/// A hot spot that is known.
#[derive(Debug, Clone, PartialEq)]
pub struct Known {
    /// Its id.
    pub hotspot_id: Uuid,
    /// Where and of what.
    pub cell: Cell,
    /// First day of the excess.
    pub start: NaiveDate,
    /// Last day of a window that was too much.
    pub end: NaiveDate,
    /// Not over yet.
    pub active: bool,
}

/// What a day brought.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Day {
    /// Cells tested.
    pub tested: usize,
    /// Hypotheses rejected at the false discovery rate.
    pub rejected: usize,
    /// New hot spots.
    pub new: Vec<(Cell, Verdict)>,
    /// Hot spots that go on, or are back soon after their end.
    pub going_on: Vec<(Uuid, Verdict)>,
    /// Hot spots that are over.
    pub over: Vec<Uuid>,
}

/// First day of the window that ends with `day`.
pub fn window_start(day: NaiveDate) -> NaiveDate {
    day.checked_sub_days(Days::new(WINDOW_DAYS as u64 - 1)).unwrap_or(day)
}

/// Judges the window that ends with `day`. `known` are the active hot spots and those that ended lately.
pub fn judge(field: &Field, known: &[Known], day: NaiveDate, method: &Method) -> Day {
    let mut seen = Day::default();
    if !field.is_judged(method) {
        return seen;
    }
    let mut standing: Vec<(Cell, Verdict)> = Vec::new();
    for hotspot in known.iter().filter(|hotspot| hotspot.active) {
        let age = (day - hotspot.start).num_days();
        // Places that became one have one excess: the first of their hot spots goes on.
        let goes_on = standing.iter().any(|(cell, _)| *cell == hotspot.cell);
        let verdict = field.verdict(&hotspot.cell, Some(age), method).filter(|verdict| {
            let lasts = verdict.p_value <= method.keep_p && verdict.ratio() >= method.keep_ratio;
            !goes_on && age < method.most_days && lasts
        });
        match verdict {
            Some(verdict) => {
                standing.push((hotspot.cell.clone(), verdict));
                seen.going_on.push((hotspot.hotspot_id, verdict));
            }
            None => seen.over.push(hotspot.hotspot_id),
        }
    }
    // What is under way, or was found to be over on this very day, does not begin anew.
    let under_way = |cell: &Cell| known.iter().any(|hotspot| hotspot.active && hotspot.cell == *cell);
    let all: Vec<(Cell, Verdict)> =
        field.verdicts(method).into_iter().filter(|(cell, _)| !under_way(cell)).collect();
    let limit = threshold(all.iter().map(|(_, verdict)| verdict.p_value), method.rate);
    seen.tested = all.len();
    let too_much = |limit: f64| -> Vec<(Cell, Verdict)> {
        let found = all.iter().filter(|(_, verdict)| verdict.p_value <= limit && verdict.matters(method));
        found.cloned().collect()
    };
    let first = field.deepest(too_much(limit), &standing, limit, method);
    // One excess is found at every level above it. Counted once, it leaves less room for chance: what is explained from below
    // is judged by the rest.
    let hot: Vec<(Cell, Verdict)> = standing.iter().chain(&first).cloned().collect();
    let rests = all.iter().map(|(cell, verdict)| field.rest(cell, *verdict, &hot).p_value);
    let limit = limit.min(threshold(rests.clone(), method.rate));
    seen.rejected = rests.filter(|p| *p <= limit).count();
    for (cell, verdict) in field.deepest(too_much(limit), &standing, limit, method) {
        let lately = known.iter().filter(|hotspot| !hotspot.active && hotspot.cell == cell);
        let back = lately
            .filter(|hotspot| (day - hotspot.end).num_days() <= method.cool_days)
            .max_by_key(|hotspot| hotspot.end);
        match back {
            Some(hotspot) => seen.going_on.push((hotspot.hotspot_id, verdict)),
            None => seen.new.push((cell, verdict)),
        }
    }
    seen
}
