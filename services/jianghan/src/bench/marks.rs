//! Marks: what a figure has to reach, and whether it did.

use serde::Serialize;

/// A figure beside its mark.
#[derive(Clone, Debug, Serialize)]
pub struct Mark {
    /// What was measured, with its unit.
    pub figure: String,
    /// What was found.
    pub found: f64,
    /// `≥` or `≤`.
    pub must_be: &'static str,
    /// The mark.
    pub mark: f64,
    /// Whether it is met.
    pub met: bool,
}

impl Mark {
    /// A figure that must not be lower.
    pub fn at_least(figure: impl Into<String>, found: f64, mark: f64) -> Self {
        Self { figure: figure.into(), found, must_be: "≥", mark, met: found >= mark }
    }

    /// A figure that must not be higher.
    pub fn at_most(figure: impl Into<String>, found: f64, mark: f64) -> Self {
        Self { figure: figure.into(), found, must_be: "≤", mark, met: found <= mark }
    }
}

/// Whether all are met.
pub fn all_met(marks: &[Mark]) -> bool {
    marks.iter().all(|mark| mark.met)
}

/// One line each, for people.
pub fn lines(marks: &[Mark]) -> String {
    let line = |mark: &Mark| {
        let outcome = if mark.met { "met" } else { "missed" };
        format!("  mark {outcome:<6}  {} {} ({} {})\n", mark.figure, mark.found, mark.must_be, mark.mark)
    };
    marks.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_met_at_its_figure_and_missed_beyond_it_or_without_one() {
        let met = [Mark::at_least("cases/s", 10_000.0, 10_000.0), Mark::at_most("mean µs", 8.25, 10.0)];
        assert!(all_met(&met));
        assert_eq!(
            lines(&met),
            "  mark met     cases/s 10000 (≥ 10000)\n  mark met     mean µs 8.25 (≤ 10)\n"
        );
        for missed in [
            Mark::at_least("cases/s", 9_999.9, 10_000.0),
            Mark::at_most("mean µs", 10.1, 10.0),
            Mark::at_most("mean µs", f64::NAN, 10.0),
        ] {
            assert!(!all_met(&[met[0].clone(), missed.clone()]));
            assert!(lines(&[missed]).starts_with("  mark missed  "));
        }
    }
}
