//! Instants in documents, as chrono writes them and reads them: RFC 3339 in UTC, with as many digits as there are. Written in one
//! piece here, because chrono hands over one character after the other, and JSON looks at each for what it has to escape.

use chrono::{Datelike, Timelike};
use serde::{Serialize, Serializer};

use super::event::Timestamp;

/// The longest that is written; what differs is put over it.
const LONGEST: [u8; 30] = *b"0000-00-00T00:00:00.000000000Z";

struct Instant<'a>(&'a Timestamp);

impl Serialize for Instant<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut text = LONGEST;
        match put(self.0, &mut text) {
            Some(text) => serializer.serialize_str(text),
            None => self.0.serialize(serializer),
        }
    }
}

/// An instant.
pub(super) fn write<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    Instant(at).serialize(serializer)
}

/// An instant that may be unset.
pub(super) fn write_if_set<S: Serializer>(at: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    at.as_ref().map(Instant).serialize(serializer)
}

/// Two instants that may be unset together.
pub(super) fn write_both_if_set<S: Serializer>(
    at: &Option<[Timestamp; 2]>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    at.as_ref().map(|both| both.each_ref().map(Instant)).serialize(serializer)
}

/// The text of an instant; `None` for what it does not fit: a year of other than four digits, or a leap second.
fn put<'t>(at: &Timestamp, text: &'t mut [u8; LONGEST.len()]) -> Option<&'t str> {
    let utc = at.naive_utc();
    let year = u32::try_from(utc.year()).ok().filter(|year| *year <= 9_999)?;
    let nanos = Some(utc.nanosecond()).filter(|nanos| *nanos < 1_000_000_000)?;
    digits(&mut text[0..4], year);
    digits(&mut text[5..7], utc.month());
    digits(&mut text[8..10], utc.day());
    digits(&mut text[11..13], utc.hour());
    digits(&mut text[14..16], utc.minute());
    digits(&mut text[17..19], utc.second());
    digits(&mut text[20..29], nanos);
    let end = match nanos {
        0 => 19,
        nanos if nanos.is_multiple_of(1_000_000) => 23,
        nanos if nanos.is_multiple_of(1_000) => 26,
        _ => 29,
    };
    text[end] = b'Z';
    std::str::from_utf8(&text[..=end]).ok()
}

/// A number with leading zeros.
fn digits(text: &mut [u8], mut number: u32) {
    for digit in text.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8; // below ten
        number /= 10;
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    #[derive(Serialize)]
    struct Ours {
        #[serde(serialize_with = "write")]
        at: Timestamp,
        #[serde(serialize_with = "write_if_set")]
        set: Option<Timestamp>,
        #[serde(serialize_with = "write_both_if_set")]
        both: Option<[Timestamp; 2]>,
        #[serde(serialize_with = "write_if_set")]
        unset: Option<Timestamp>,
    }

    #[derive(Serialize)]
    struct Theirs {
        at: Timestamp,
        set: Option<Timestamp>,
        both: Option<[Timestamp; 2]>,
        unset: Option<Timestamp>,
    }

    fn assert_same(at: Timestamp, other: Timestamp) {
        let (set, both, unset) = (Some(at), Some([at, other]), None);
        let ours = serde_json::to_string(&Ours { at, set, both, unset }).unwrap();
        let theirs = serde_json::to_string(&Theirs { at, set, both, unset }).unwrap();
        assert_eq!(ours, theirs);
    }

    #[test]
    fn digits_are_as_many_as_there_are_and_what_does_not_fit_is_left_to_chrono() {
        let first_second = -62_167_219_200; // of the year 0
        let last_second = 253_402_300_799; // of the year 9999
        for seconds in [first_second - 1, first_second, 0, 951_782_399, last_second, last_second + 1] {
            for nanos in [0, 1, 10_000, 123_000_000, 100_000, 999_999_000, 999_999_999] {
                let at = DateTime::from_timestamp(seconds, nanos).unwrap();
                assert_same(at, Timestamp::UNIX_EPOCH);
            }
        }
        let leap_second = DateTime::from_timestamp(1_483_228_799, 1_500_000_000).unwrap();
        assert_same(leap_second, Timestamp::UNIX_EPOCH);
        let micros = DateTime::from_timestamp(1_772_000_000, 120_450_000).unwrap();
        let mut text = LONGEST;
        assert_eq!(put(&micros, &mut text), Some("2026-02-25T06:13:20.120450Z"));
        assert_eq!(put(&leap_second, &mut text), None);
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig { failure_persistence: None, ..Default::default() })]

        #[test]
        fn an_instant_is_written_as_chrono_writes_it(
            seconds in -70_000_000_000_i64..260_000_000_000, nanos in 0_u32..1_000_000_000,
            unit in proptest::sample::select(vec![1_u32, 1_000, 1_000_000, 1_000_000_000]),
        ) {
            let at = DateTime::from_timestamp(seconds, nanos / unit * unit).unwrap();
            assert_same(at, DateTime::from_timestamp(seconds.abs(), nanos).unwrap());
        }
    }
}
