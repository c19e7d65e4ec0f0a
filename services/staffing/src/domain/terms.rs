//! How long a worker may think about an offer.

use calendar::{Calendar, Profile, TimeUnit};
use chassis::Timestamp;

/// Time to answer an offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OfferTerms {
    /// Working hours, for what is not urgent.
    pub work_hours: u16,
    /// Hours around the clock, for what is urgent.
    pub urgent_hours: u16,
}

impl Default for OfferTerms {
    fn default() -> Self {
        Self { work_hours: 2, urgent_hours: 1 }
    }
}

impl OfferTerms {
    /// The last instant at which an offer made now may be accepted.
    pub fn due(self, urgent: bool, now: Timestamp, calendar: &Calendar) -> Timestamp {
        let (unit, hours) = if urgent {
            (TimeUnit::CalHour, self.urgent_hours)
        } else {
            (TimeUnit::WorkHour, self.work_hours)
        };
        calendar.add(unit, hours, now, &Profile::office()).at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn an_ordinary_offer_waits_for_working_hours_and_an_urgent_one_does_not() {
        let terms = OfferTerms::default();
        // Friday 2026-02-13 16:30 in Wuhan; the Saturday after is worked.
        let friday = at("2026-02-13T08:30:00Z");
        let calendar = Calendar::builtin();
        assert_eq!(terms.due(false, friday, calendar), at("2026-02-14T02:00:00Z"));
        assert_eq!(terms.due(true, friday, calendar), at("2026-02-13T09:30:00Z"));
    }
}
