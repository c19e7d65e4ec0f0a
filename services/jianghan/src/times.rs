//! Times as files write them: RFC 3339, or in forms that a mapping file names.

use chrono::{
    DateTime, TimeZone, Utc,
    format::{Parsed, StrftimeItems, parse},
};

/// The instant that a text means, by the first form (strftime) that fits it. An offset in the text is what counts; without one
/// it is the time in `zone`, and a day alone is its first moment. `None` where it is none of these.
pub fn read(text: &str, forms: &[String], zone: chrono_tz::Tz) -> Option<DateTime<Utc>> {
    let time = DateTime::parse_from_rfc3339(text).ok().map(|time| time.to_utc());
    time.or_else(|| forms.iter().find_map(|form| by_form(text, form, zone)))
}

fn by_form(text: &str, form: &str, zone: chrono_tz::Tz) -> Option<DateTime<Utc>> {
    let mut parsed = Parsed::new();
    parse(&mut parsed, text, StrftimeItems::new(form)).ok()?;
    // Never the time of day without the offset beside it: that would be another instant.
    if parsed.offset().is_some() || parsed.timestamp().is_some() {
        return parsed.to_datetime().ok().map(|time| time.to_utc());
    }
    let local = parsed.to_naive_datetime_with_offset(0).ok();
    let local = local.or_else(|| parsed.to_naive_date().ok()?.and_hms_opt(0, 0, 0))?;
    zone.from_local_datetime(&local).earliest().map(|time| time.to_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(text: &str, form: &str) -> Option<i64> {
        read(text, &[form.to_owned()], chrono_tz::Asia::Shanghai).map(|time| time.timestamp())
    }

    #[test]
    fn a_day_alone_is_its_first_moment_and_a_count_of_seconds_is_that_of_no_zone() {
        assert_eq!(seconds("2020-01-06", "%Y-%m-%d"), Some(1_578_240_000));
        assert_eq!(seconds("1578283778", "%s"), Some(1_578_283_778));
    }

    #[test]
    fn what_cannot_be_an_offset_is_refused_and_not_left_out() {
        let form = "%Y-%m-%d %H:%M:%S %z";
        assert_eq!(seconds("2020-01-06 12:09:38 +0800", form), Some(1_578_283_778));
        assert_eq!(seconds("2020-01-06 12:09:38 +9900", form), None);
        assert_eq!(seconds("2020-01-06 12:09:38", form), None);
    }
}
