//! The method on golden vectors and on simulated districts: what it finds, what it leaves, and how often it is wrong.

use std::collections::HashMap;

use chrono::{Days, NaiveDate};
use uuid::Uuid;

use super::{
    METHOD, WINDOW_DAYS,
    detect::{Cell, Counts, Field, LeafCount, season, threshold},
    watch::{Day, Known, judge, window_start},
};

const DISTRICT: Uuid = Uuid::from_u128(1);

/// A small deterministic source of numbers in [0, 1).
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> f64 {
        // splitmix64
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn poisson(&mut self, mean: f64) -> i64 {
        let (limit, mut product, mut k) = ((-mean).exp(), self.roll(), 0);
        while product > limit {
            product *= self.roll();
            k += 1;
        }
        k
    }
}

fn street(n: usize) -> Uuid {
    Uuid::from_u128(100 + n as u128)
}

fn community(street: usize, n: usize) -> Uuid {
    Uuid::from_u128(10_000 + 100 * street as u128 + n as u128)
}

/// Paths of a district of so many streets with so many communities each.
fn tree(streets: usize, communities: usize) -> HashMap<Uuid, Vec<Uuid>> {
    let mut paths = HashMap::from([(DISTRICT, vec![DISTRICT])]);
    for s in 0..streets {
        paths.insert(street(s), vec![DISTRICT, street(s)]);
        for c in 0..communities {
            paths.insert(community(s, c), vec![DISTRICT, street(s), community(s, c)]);
        }
    }
    paths
}

fn leaf(unit_id: Uuid, item: &str, window: usize, count: i64) -> LeafCount {
    LeafCount { unit_id, item_code: item.to_owned(), window, count }
}

fn cell(unit_id: Uuid, item: &str) -> Cell {
    Cell { unit_id, item_code: item.to_owned() }
}

fn day() -> NaiveDate {
    "2026-06-14".parse().unwrap()
}

fn field(leaves: Vec<LeafCount>, covered: usize) -> Field {
    Field::new(Counts { leaves, covered, ..Counts::default() }, tree(3, 4), &METHOD)
}

/// One community with these windows, the one in question first.
fn one(counts: &[i64]) -> Vec<LeafCount> {
    counts.iter().enumerate().map(|(window, n)| leaf(community(0, 0), "CJ-0103", window, *n)).collect()
}

fn found(seen: &Day) -> Vec<(Uuid, i64)> {
    seen.new.iter().map(|(cell, verdict)| (cell.unit_id, verdict.count)).collect()
}

#[test]
fn a_golden_vector_can_be_computed_by_hand() {
    // Two cases in each of eight weeks, then nine: the mean is 16.5 / 8.
    let field = field(one(&[9, 2, 2, 2, 2, 2, 2, 2, 2]), 17);
    let verdict = field.verdict(&cell(community(0, 0), "CJ-0103"), None, &METHOD).unwrap();
    assert_eq!((verdict.count, verdict.windows, verdict.season), (9, 8, 1.0));
    assert!((verdict.expected - 2.0625).abs() < 1e-12);
    // The counts spread less than chance: the dispersion is never below 1.
    assert_eq!(verdict.dispersion, 1.0);
    assert!((verdict.variance - 2.0625 * 1.125).abs() < 1e-12);
    // Negative binomial of size 16.5 and mean 2.0625 (= 8/9 to the power 16.5, and so on): P(X ≥ 9).
    let (size, success) = (16.5_f64, 1.0_f64 / 9.0);
    let mut term = (1.0 - success).powf(size);
    let mut below = 0.0;
    for k in 0..9_u32 {
        below += term;
        term *= (f64::from(k) + size) / (f64::from(k) + 1.0) * success;
    }
    assert!((verdict.p_value - (1.0 - below)).abs() < 1e-9, "{verdict:?}");
    assert!(verdict.p_value < 0.001);
}

#[test]
fn an_outbreak_is_found_where_it_is_and_not_above() {
    let mut leaves = one(&[14, 1, 0, 2, 1, 1, 0, 1, 2]);
    // The other communities go on as ever.
    for c in 1..4 {
        leaves.extend((0..9).map(|window| leaf(community(0, c), "CJ-0103", window, 1)));
    }
    let seen = judge(&field(leaves, 17), &[], day(), &METHOD);
    assert_eq!(found(&seen), [(community(0, 0), 14)]);
    assert_eq!(seen.rejected, 1, "the street and the district are explained: {seen:?}");
}

#[test]
fn what_no_community_explains_is_found_at_the_street() {
    // Each community has a few more than usual, which is nothing by itself.
    let leaves = (0..4).flat_map(|c| {
        let counts = [4, 1, 1, 0, 1, 1, 1, 1, 0];
        counts.into_iter().enumerate().map(move |(window, n)| leaf(community(1, c), "HB-0101", window, n))
    });
    let seen = judge(&field(leaves.collect(), 17), &[], day(), &METHOD);
    assert_eq!(found(&seen), [(street(1), 16)]);
}

#[test]
fn a_new_matter_needs_more_than_its_second_case() {
    for (count, hot) in [(1, false), (2, false), (4, false), (6, true), (9, true)] {
        let seen = judge(&field(one(&[count]), 17), &[], day(), &METHOD);
        assert_eq!(!seen.new.is_empty(), hot, "{count} cases where none were");
    }
}

#[test]
fn bursts_that_are_usual_are_no_hot_spot() {
    // The same mean, but this place has always come in bursts.
    let steady = judge(&field(one(&[14, 4, 5, 4, 3, 4, 5, 4, 3]), 17), &[], day(), &METHOD);
    let bursts = judge(&field(one(&[14, 0, 15, 0, 1, 14, 0, 2, 0]), 17), &[], day(), &METHOD);
    assert_eq!((steady.new.len(), bursts.new.len()), (1, 0));
}

#[test]
fn without_weeks_of_history_nothing_is_judged() {
    for covered in 0..METHOD.least_baseline {
        let seen = judge(&field(one(&[40, 1, 1, 1]), covered), &[], day(), &METHOD);
        assert_eq!(seen, Day::default(), "{covered} weeks");
    }
    let seen = judge(&field(one(&[40, 1, 1, 1, 1]), METHOD.least_baseline), &[], day(), &METHOD);
    assert_eq!(seen.new.len(), 1);
}

#[test]
fn a_season_that_comes_every_year_is_no_hot_spot() {
    let leaves = one(&[20, 9, 10, 11, 10, 9, 10, 11, 10]);
    let judged = |factor: f64| {
        let seasons = HashMap::from([("CJ-0103".to_owned(), factor)]);
        let counts = Counts { leaves: leaves.clone(), covered: 17, seasons };
        judge(&Field::new(counts, tree(3, 4), &METHOD), &[], day(), &METHOD).new.len()
    };
    assert_eq!((judged(1.0), judged(season(400, &[200; 8]))), (1, 0));
    assert_eq!(season(400, &[200; 8]), 410.0 / 210.0);
    assert_eq!((season(4, &[]), season(1000, &[1; 8]), season(0, &[1000; 8])), (1.0, 2.0, 0.5));
}

#[test]
fn the_procedure_of_benjamini_and_hochberg_is_that_of_the_paper() {
    // The example of their paper (1995), at 5 %: the four smallest are rejected.
    let p = [
        0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262, 0.5719,
        0.6528, 0.7590, 1.0000,
    ];
    assert_eq!(threshold(p.into_iter(), 0.05), 0.0095);
    assert_eq!(threshold([0.2, 0.9].into_iter(), 0.05), 0.0);
    assert_eq!(threshold(std::iter::empty(), 0.05), 0.0);
}

/// Counts of a district by day, judged day after day as the service does it.
struct History {
    paths: HashMap<Uuid, Vec<Uuid>>,
    /// Unit, item, day from 0, cases.
    days: Vec<(Uuid, &'static str, i64, i64)>,
}

impl History {
    fn judge(&self, today: i64, known: &[Known]) -> Day {
        let leaves = self.days.iter().filter(|(_, _, day, _)| *day <= today).map(|(unit, item, day, n)| {
            leaf(*unit, item, usize::try_from((today - day) / WINDOW_DAYS).unwrap(), *n)
        });
        let covered = usize::try_from((today + 1) / WINDOW_DAYS - 1).unwrap();
        let counts = Counts { leaves: leaves.collect(), covered, ..Counts::default() };
        judge(&Field::new(counts, self.paths.clone(), &METHOD), known, date(today), &METHOD)
    }
}

fn date(n: i64) -> NaiveDate {
    "2026-01-05".parse::<NaiveDate>().unwrap() + Days::new(n as u64)
}

/// Applies a day to what is known, as the store does.
fn note(known: &mut Vec<Known>, seen: &Day, today: i64) {
    for hotspot in known.iter_mut() {
        if seen.going_on.iter().any(|(id, _)| *id == hotspot.hotspot_id) {
            if !hotspot.active {
                hotspot.start = window_start(date(today));
            }
            (hotspot.active, hotspot.end) = (true, date(today));
        }
        if seen.over.contains(&hotspot.hotspot_id) {
            hotspot.active = false;
        }
    }
    for (cell, _) in &seen.new {
        known.push(Known {
            hotspot_id: Uuid::from_u128(known.len() as u128 + 1),
            cell: cell.clone(),
            start: window_start(date(today)),
            end: date(today),
            active: true,
        });
    }
}

#[test]
fn an_outbreak_of_three_weeks_is_one_hot_spot_that_ends() {
    let mut days = Vec::new();
    for day in 0..160 {
        let hot = (80..101).contains(&day);
        days.push((community(0, 0), "CJ-0103", day, if hot { 3 } else { i64::from(day % 4 == 0) }));
    }
    let history = History { paths: tree(1, 2), days };
    let (mut known, mut begun, mut ended) = (Vec::new(), Vec::new(), Vec::new());
    for today in 63..160 {
        let seen = history.judge(today, &known);
        begun.extend(seen.new.iter().map(|_| today));
        ended.extend(seen.over.iter().map(|_| today));
        note(&mut known, &seen, today);
    }
    assert_eq!(begun.len(), 1, "{begun:?}");
    assert!((81..=87).contains(&begun[0]), "found within a week: {begun:?}");
    assert_eq!(ended.len(), 1, "{ended:?}");
    assert!((101..=110).contains(&ended[0]), "over within ten days: {ended:?}");
}

#[test]
fn what_lasts_is_the_usual_some_day_and_not_found_again() {
    let days =
        (0..260).map(|day| (community(0, 0), "CJ-0103", day, if day < 80 { day % 2 } else { 4 })).collect();
    let history = History { paths: tree(1, 2), days };
    let (mut known, mut begun, mut ended) = (Vec::new(), 0, Vec::new());
    for today in 63..260 {
        let seen = history.judge(today, &known);
        begun += seen.new.len();
        ended.extend(seen.over.iter().map(|_| today));
        note(&mut known, &seen, today);
    }
    assert_eq!((begun, ended.len()), (1, 1), "{ended:?}");
    assert!((130..=150).contains(&ended[0]), "{ended:?}");
}

#[test]
fn an_excess_soon_after_the_end_is_the_same_hot_spot() {
    let cell = cell(community(0, 0), "CJ-0103");
    let ended = |days: i64| Known {
        hotspot_id: Uuid::from_u128(7),
        cell: cell.clone(),
        start: day() - Days::new(60),
        end: day() - Days::new(days as u64),
        active: false,
    };
    let field = field(one(&[14, 1, 0, 2, 1, 1, 0, 1, 2]), 17);
    let seen = judge(&field, &[ended(METHOD.cool_days)], day(), &METHOD);
    assert_eq!((seen.new.len(), seen.going_on.len()), (0, 1));
    let seen = judge(&field, &[ended(METHOD.cool_days + 1)], day(), &METHOD);
    assert_eq!((seen.new.len(), seen.going_on.len()), (1, 0));
}

#[test]
fn of_hot_spots_whose_places_became_one_the_first_goes_on() {
    let known = |id: u128| Known {
        hotspot_id: Uuid::from_u128(id),
        cell: cell(community(0, 0), "CJ-0103"),
        start: window_start(day()),
        end: day(),
        active: true,
    };
    let field = field(one(&[14, 1, 0, 2, 1, 1, 0, 1, 2]), 17);
    let seen = judge(&field, &[known(7), known(8)], day(), &METHOD);
    let going_on: Vec<Uuid> = seen.going_on.iter().map(|(id, _)| *id).collect();
    assert_eq!((going_on, seen.over), (vec![Uuid::from_u128(7)], vec![Uuid::from_u128(8)]));
    assert!(seen.new.is_empty(), "{:?}", seen.new);
}

/// Weeks of a quiet district: 5 streets of 8 communities, 12 items between rare and common, some in bursts.
fn quiet(dice: &mut Dice, outbreak: Option<(Uuid, &str, i64)>) -> Field {
    const ITEMS: [(&str, f64, bool); 12] = [
        ("A", 0.02, false),
        ("B", 0.05, false),
        ("C", 0.1, false),
        ("D", 0.2, false),
        ("E", 0.5, false),
        ("F", 1.0, false),
        ("G", 2.0, false),
        ("H", 4.0, false),
        ("I", 0.3, true),
        ("J", 1.0, true),
        ("K", 3.0, true),
        ("L", 8.0, false),
    ];
    let mut leaves = Vec::new();
    for s in 0..5 {
        for c in 0..8 {
            for (item, mean, bursts) in ITEMS {
                for window in 0..METHOD.windows() {
                    // Gamma with shape 1 over the mean: variance over mean is 1 + mean.
                    let factor = if bursts { -(1.0 - dice.roll()).ln() } else { 1.0 };
                    let count = dice.poisson(mean * factor);
                    if count > 0 {
                        leaves.push(leaf(community(s, c), item, window, count));
                    }
                }
            }
        }
    }
    leaves.extend(outbreak.map(|(unit, item, more)| leaf(unit, item, 0, more)));
    let counts = Counts { leaves, covered: METHOD.windows() - 1, ..Counts::default() };
    Field::new(counts, tree(5, 8), &METHOD)
}

#[test]
fn quiet_districts_raise_few_false_alarms() {
    let mut dice = Dice(20_260_302);
    let (mut days_with_alarm, mut alarms, days) = (0, 0, 200);
    for _ in 0..days {
        let seen = judge(&quiet(&mut dice, None), &[], day(), &METHOD);
        assert!(seen.tested > 400, "{}", seen.tested);
        days_with_alarm += usize::from(!seen.new.is_empty());
        alarms += seen.new.len();
    }
    // Where nothing is true, the false discovery rate is the share of days with any alarm: 5 %, and room for chance.
    assert!(days_with_alarm <= days * 8 / 100, "{days_with_alarm} of {days} days, {alarms} alarms");
}

#[test]
fn outbreaks_in_a_quiet_district_are_found_and_little_else() {
    let mut dice = Dice(42);
    let (mut hit, mut right, mut all, days) = (0, 0, 0, 100);
    for n in 0..days {
        let (unit, item, more) =
            [(community(2, 3), "C", 9), (community(4, 1), "F", 14), (community(0, 7), "L", 36)][n % 3];
        let seen = judge(&quiet(&mut dice, Some((unit, item, more))), &[], day(), &METHOD);
        let is_it = |(cell, _): &&(Cell, _)| cell.unit_id == unit && cell.item_code == item;
        hit += seen.new.iter().filter(is_it).count();
        right += seen.new.iter().filter(is_it).count();
        all += seen.new.len();
    }
    assert!(hit >= days * 95 / 100, "{hit} of {days}");
    assert!((all - right) * 100 <= all * 8, "{} of {all} were something else", all - right);
}
