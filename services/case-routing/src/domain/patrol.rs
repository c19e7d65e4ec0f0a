//! Grid patrol (C16): codes of grids and components, versions of a register, what a finding needs, and who is drawn for a
//! check. Pure.

use std::fmt;
use std::str::FromStr;

use chrono::{NaiveDate, TimeDelta};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::codes::{Nature, UnknownCode, Urgency};
use super::event::Timestamp;

/// A patrol that was not ended by then is over.
pub const FORGOTTEN_AFTER: TimeDelta = TimeDelta::hours(12);
/// What was written down offline is taken this long.
pub const OFFLINE_AT_MOST: TimeDelta = TimeDelta::days(3);

codes! {
    /// How a component is.
    ComponentState {
        InUse = "in_use",
        Damaged = "damaged",
        Missing = "missing",
        Removed = "removed",
    }

    /// What became of a finding.
    FindingOutcome {
        /// A case was opened.
        Case = "case",
        /// Put right on the spot.
        Solved = "solved",
        /// The case of the same matter is open already.
        Duplicate = "duplicate",
    }
}

/// Whether a text can be the code of a grid: 15 digits. What lies where is asked of the register, never read from a code.
#[must_use]
pub fn is_grid_code(text: &str) -> bool {
    text.len() == 15 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether a text can be the code of a component: 16 digits.
#[must_use]
pub fn is_component_code(text: &str) -> bool {
    text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether class and sub-class are those the code was made with: a check against slips, not a way to find them.
#[must_use]
pub fn agrees_with_class(component: &str, class: &str, subclass: &str) -> bool {
    component.get(6..8) == Some(class) && component.get(8..10) == Some(subclass)
}

/// A point in degrees (WGS 84).
#[must_use]
pub fn is_point(longitude: f64, latitude: f64) -> bool {
    (-180.0..=180.0).contains(&longitude) && (-90.0..=90.0).contains(&latitude)
}

/// What a row of an import does to a register.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The code is new.
    Add,
    /// Another version from its day on; the one before ends there.
    Follow,
    /// The version of that very day is corrected.
    Correct,
    /// Nothing is different.
    Keep,
}

/// What a row means beside the latest version of its code: first day, and whether the content is the same.
///
/// # Errors
/// When its first day lies before the latest version's: history is not rewritten.
pub fn step(latest: Option<(NaiveDate, bool)>, from: NaiveDate) -> Result<Step, &'static str> {
    match latest {
        None => Ok(Step::Add),
        Some((known, _)) if from < known => Err("lies before the first day of the latest version"),
        Some((_, true)) => Ok(Step::Keep),
        Some((known, false)) if from == known => Ok(Step::Correct),
        Some(_) => Ok(Step::Follow),
    }
}

/// Whether a finding is drawn for a check by another organisation. Safety and urgency always are; of the others so many of a
/// hundred, by the random part of an id that the finder does not choose.
#[must_use]
pub fn is_drawn(id: Uuid, percent: u8, public_safety: bool, urgency: Urgency) -> bool {
    // The lowest 32 bits of a version 7 id are random.
    let ticket = id.as_u128() as u32 % 100;
    public_safety || urgency > Urgency::Normal || ticket < u32::from(percent)
}

/// Whether an item can be found on patrol.
#[must_use]
pub const fn is_of_field(nature: Nature) -> bool {
    matches!(nature, Nature::Component | Nature::CityEvent)
}

/// When a patrol that nobody ended is over: with its last finding, else when it began.
#[must_use]
pub fn forgotten_end(started: Timestamp, last_finding: Option<Timestamp>) -> Timestamp {
    last_finding.map_or(started, |last| last.max(started))
}

/// Whether something is said to have been at an instant that is possible: not ahead, and not too long ago.
#[must_use]
pub fn is_recent(at: Timestamp, now: Timestamp) -> bool {
    at <= now && at >= now - OFFLINE_AT_MOST
}

/// Full minutes between two instants; none backwards.
#[must_use]
pub fn minutes(from: Timestamp, to: Timestamp) -> i32 {
    i32::try_from((to - from).num_minutes().max(0)).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    #[test]
    fn codes_are_digits_of_their_length_and_agree_with_their_class() {
        for (text, grid, component) in [
            ("420103005001001", true, false),
            ("4201030102000001", false, true),
            ("42010300500100", false, false),
            ("42010300500100x", false, false),
            ("４２０１０３００５", false, false),
            ("", false, false),
        ] {
            assert_eq!((is_grid_code(text), is_component_code(text)), (grid, component), "{text}");
        }
        assert!(agrees_with_class("4201030102000001", "01", "02"));
        assert!(!agrees_with_class("4201030102000001", "01", "03"));
        assert!(!agrees_with_class("短", "01", "02"));
    }

    #[test]
    fn a_register_goes_forward_only() {
        let (first, later) = (day("2026-01-01"), day("2026-02-01"));
        for (latest, from, wanted) in [
            (None, first, Ok(Step::Add)),
            (Some((first, true)), first, Ok(Step::Keep)),
            (Some((first, true)), later, Ok(Step::Keep)),
            (Some((first, false)), first, Ok(Step::Correct)),
            (Some((first, false)), later, Ok(Step::Follow)),
            (Some((later, true)), first, Err("lies before the first day of the latest version")),
            (Some((later, false)), first, Err("lies before the first day of the latest version")),
        ] {
            assert_eq!(step(latest, from), wanted, "{latest:?} {from}");
        }
    }

    #[test]
    fn points_lie_on_the_earth() {
        assert!(is_point(114.27, 30.6) && is_point(-180.0, 90.0));
        assert!(!is_point(181.0, 0.0) && !is_point(0.0, -91.0) && !is_point(f64::NAN, 0.0));
    }

    #[test]
    fn times_of_a_patrol_are_neither_ahead_nor_long_ago() {
        let now: Timestamp = "2026-03-02T01:00:00Z".parse().unwrap();
        assert!(is_recent(now, now) && is_recent(now - OFFLINE_AT_MOST, now));
        assert!(!is_recent(now + TimeDelta::seconds(1), now));
        assert!(!is_recent(now - OFFLINE_AT_MOST - TimeDelta::seconds(1), now));
        assert_eq!(
            (minutes(now, now + TimeDelta::seconds(119)), minutes(now, now - TimeDelta::days(1))),
            (1, 0)
        );
        assert_eq!(forgotten_end(now, None), now);
        assert_eq!(forgotten_end(now, Some(now + TimeDelta::hours(1))), now + TimeDelta::hours(1));
    }

    #[test]
    fn the_draw_takes_its_share_and_never_passes_over_safety() {
        let ids = (0..20_000_u32).map(|n| Uuid::from_u128(u128::from(n.wrapping_mul(2_654_435_761))));
        let drawn = ids.clone().filter(|id| is_drawn(*id, 20, false, Urgency::Normal)).count();
        assert!((3_700..4_300).contains(&drawn), "{drawn}");
        for id in ids.take(500) {
            assert!(is_drawn(id, 0, true, Urgency::Normal) && is_drawn(id, 0, false, Urgency::Urgent));
            assert!(!is_drawn(id, 0, false, Urgency::Normal) && is_drawn(id, 100, false, Urgency::Normal));
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_a_check_panic(text in "\\PC{0,20}", class in "\\PC{0,3}") {
            let _ = (is_grid_code(&text), is_component_code(&text), agrees_with_class(&text, &class, &class));
        }

        #[test]
        fn versions_of_a_code_never_overlap(days in proptest::collection::vec((0_u64..40, 0_u8..3), 1..30)) {
            // Rows come in any order; what is taken makes one line of versions.
            let start = day("2026-01-01");
            let mut versions: Vec<(NaiveDate, u8)> = Vec::new();
            for (n, content) in days {
                let from = start + chrono::Days::new(n);
                let latest = versions.last().map(|(known, had)| (*known, *had == content));
                match step(latest, from) {
                    Ok(Step::Add | Step::Follow) => versions.push((from, content)),
                    Ok(Step::Correct) => versions.last_mut().unwrap().1 = content,
                    Ok(Step::Keep) | Err(_) => {}
                }
            }
            prop_assert!(versions.windows(2).all(|two| two[0].0 < two[1].0));
        }
    }
}
