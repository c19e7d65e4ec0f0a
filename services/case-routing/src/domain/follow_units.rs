//! Following the units: streets or communities become one, or a unit is put under another. An open case then lies where its
//! unit went, so that whoever is in charge there reaches it and it is routed from there. A finished case keeps its place,
//! until it is taken up again. What other services know of a place is its unit: they are told when that is another one.

use super::case::{Case, Place};
use super::event::DomainEvent;
use super::intake::place_of;
use super::reason::Reason;
use super::work::{Act, Decision, Party, Work};

/// The step of the timeline by which a place is written down anew: that of the event, also where none is told, for the unit is the
/// same or what is told next carries it.
const FOLLOWED: &str = "CasePlaceFollowed";

impl Case {
    /// Brings the place of an open case to where its unit lies now, or what that was merged into. `None`: it is there, or the
    /// case has ended.
    #[must_use]
    pub fn follow_units(self, act: &Act<'_>) -> Option<Decision> {
        if self.state.is_finished() {
            return None;
        }
        act.routes.goes_on_at(self.place.unit, &self.place.path)?;
        let unit = self.place.unit;
        let mut work = Work::begin(self, act);
        // Nobody did it, whoever looks.
        work.by = Party::system();
        let (reason, other_hours) = work.go_along()?;
        if work.case.place.unit == unit {
            if other_hours {
                work.follow_place();
            }
            return Some(work.finish_with(FOLLOWED, Some(reason)));
        }
        work.emit(DomainEvent::CasePlaceFollowed {}, Some(reason), None);
        if other_hours {
            work.follow_place();
        }
        Some(work.finish())
    }
}

impl Work<'_> {
    /// The place is where its unit went meanwhile; what is told afterwards carries it.
    pub(super) fn follow_merger(&mut self) {
        let Some((reason, other_hours)) = self.go_along() else { return };
        self.note(FOLLOWED, reason);
        if other_hours {
            self.follow_place();
        }
    }

    /// Moves the case to where its unit lies now. Gives why, with the place as it was, and whether it has other hours there.
    fn go_along(&mut self) -> Option<(Reason, bool)> {
        let unit = self.routes.goes_on_at(self.case.place.unit, &self.case.place.path)?;
        let place = self.place_from(place_of(unit, self.routes).ok()?);
        let reason = left(&self.case.place);
        Some((reason, self.move_to(place)))
    }
}

/// Why it is elsewhere, with where it was.
fn left(place: &Place) -> Reason {
    let path: Vec<String> = place.path.iter().map(ToString::to_string).collect();
    let reason = Reason::new("place_followed").with("from", place.unit).with("path", path.join("/"));
    match &place.grid {
        Some(grid) => reason.with("grid", grid),
        None => reason,
    }
}
