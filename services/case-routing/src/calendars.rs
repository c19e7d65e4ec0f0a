//! The calendar in force: the facts of the release, and over them the imported notices, each of which makes the next
//! version. Every replica with the same release and the same notices counts with the same version.

use calendar::{Calendar, Notice};
use chassis::Timestamp;

/// A notice that was imported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// From one, in the order of import.
    pub seq: i64,
    pub notice: Notice,
    pub imported_at: Timestamp,
}

/// The calendar with what it was made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InForce {
    pub calendar: Calendar,
    imported: Vec<Imported>,
}

impl InForce {
    /// Lays notices, in the order of import, over the facts of the release.
    pub fn of(imported: Vec<Imported>) -> Self {
        let shipped = Calendar::builtin().clone();
        // A notice that is read is one that the calendar takes.
        let laid = |calendar: Calendar, imported: &Imported| {
            calendar.amended(&imported.notice.year).unwrap_or(calendar)
        };
        Self { calendar: imported.iter().fold(shipped, laid), imported }
    }

    /// Number of the newest notice; 0 while there is none.
    pub fn newest(&self) -> i64 {
        self.imported.last().map_or(0, |imported| imported.seq)
    }

    /// The imported notice of a title year that is in force.
    pub fn notice_of(&self, year: i32) -> Option<&Imported> {
        self.imported.iter().rev().find(|imported| imported.notice.year.title_year == year)
    }

    /// With one more notice.
    pub fn with(&self, imported: Imported) -> Self {
        let mut all = self.imported.clone();
        all.push(imported);
        Self::of(all)
    }
}
