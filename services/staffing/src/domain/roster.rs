//! The roster of a week from shift templates: pure. Working days follow the official calendar; on rest days one seat of
//! an organisation is on duty, in rotation.

use calendar::{Calendar, Profile, instant, local_day};
use chassis::Timestamp;
use chrono::{Datelike, Days, NaiveDate, NaiveTime};

/// A shift that recurs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShiftTemplate {
    /// Code.
    pub code: String,
    /// Opening time in Wuhan.
    pub start: NaiveTime,
    /// Closing time, after the opening.
    pub end: NaiveTime,
    /// On working days (else on rest days).
    pub work_day: bool,
    /// Kinds of organisation it applies to.
    pub per: Vec<String>,
    /// Only one seat of the organisation, in rotation.
    pub in_rotation: bool,
}

/// A worker's place in the rotation of the organisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seat {
    /// From zero.
    pub index: usize,
    /// How many take turns.
    pub of: usize,
}

/// A rostered time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// Code of the template.
    pub template: String,
    /// From here.
    pub starts_at: Timestamp,
    /// Until before here.
    pub ends_at: Timestamp,
}

/// The Monday of the week in which an instant falls.
pub fn week_of(now: Timestamp) -> NaiveDate {
    let day = local_day(now);
    day - Days::new(u64::from(day.weekday().num_days_from_monday()))
}

/// The shifts of one worker in the week that begins on a Monday.
pub fn week(
    monday: NaiveDate,
    templates: &[ShiftTemplate],
    per: &str,
    seat: Seat,
    calendar: &Calendar,
) -> Vec<Span> {
    let profile = Profile::office();
    let mut spans = Vec::new();
    for day in monday.iter_days().take(7) {
        let works = profile.is_work_day(calendar, day);
        let turn = || nth_of_its_kind(day, calendar, &profile) % seat.of.max(1);
        let of_day = templates.iter().filter(|t| {
            t.work_day == works && t.per.iter().any(|p| p == per) && (!t.in_rotation || turn() == seat.index)
        });
        spans.extend(of_day.map(|t| Span {
            template: t.code.clone(),
            starts_at: instant(day, t.start),
            ends_at: instant(day, t.end),
        }));
    }
    spans
}

/// How many days of its kind, worked or not, lie before a day in its year: the days of the week alone would give the same ones to
/// the same seats where these are a multiple of seven. Another year begins with another seat.
fn nth_of_its_kind(day: NaiveDate, calendar: &Calendar, profile: &Profile) -> usize {
    let works = profile.is_work_day(calendar, day);
    let first = day.with_ordinal(1).unwrap_or(day);
    let before = first.iter_days().take_while(|earlier| *earlier < day);
    let year = usize::try_from(day.year()).unwrap_or_default();
    year + before.filter(|earlier| profile.is_work_day(calendar, *earlier) == works).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::templates;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    #[test]
    fn a_week_has_its_working_days_and_one_seat_on_duty_on_rest_days() {
        let shifts = &templates().shifts;
        // 2026-02-09 … 15: Saturday 14 is worked, Sunday 15 is the first day of the holiday.
        let weeks: Vec<_> = (0..3)
            .map(|index| {
                week(day("2026-02-09"), shifts, "community", Seat { index, of: 3 }, Calendar::builtin())
            })
            .collect();
        let duties: Vec<usize> =
            weeks.iter().map(|w| w.iter().filter(|s| s.template == "duty").count()).collect();
        assert_eq!(duties.iter().sum::<usize>(), 1, "one rest day, one seat: {duties:?}");
        for week in &weeks {
            assert_eq!(week.iter().filter(|s| s.template != "duty").count(), 12, "six working days");
        }
    }

    #[test]
    fn however_many_seats_there_are_each_has_its_turn_and_every_rest_day_has_one() {
        let shifts = &templates().shifts;
        for of in 2..=16 {
            let mut turns = vec![0; of];
            for number in 0..52 {
                let monday = day("2026-01-05") + Days::new(7 * number);
                let mut days = Vec::new();
                for (index, turns) in turns.iter_mut().enumerate() {
                    let spans = week(monday, shifts, "community", Seat { index, of }, Calendar::builtin());
                    let duty = spans.iter().filter(|span| span.template == "duty");
                    let before = days.len();
                    days.extend(duty.map(|span| local_day(span.starts_at)));
                    *turns += days.len() - before;
                }
                days.sort_unstable();
                let rests = |day: &NaiveDate| !Profile::office().is_work_day(Calendar::builtin(), *day);
                let expected: Vec<_> = monday.iter_days().take(7).filter(rests).collect();
                assert_eq!(days, expected, "of {of} from {monday}");
            }
            let (least, most) = (turns.iter().min().unwrap(), turns.iter().max().unwrap());
            assert!(*least > 0 && most - least <= 2, "of {of}: {turns:?}");
        }
    }

    #[test]
    fn a_notice_that_is_published_later_makes_its_holidays_rest_days() {
        let notice = calendar::YearNotice {
            title_year: 2027,
            papers: vec![],
            holidays: vec![calendar::HolidayGroup {
                name: String::new(),
                off: vec!["2027-01-01/2027-01-03".into()],
                work: vec![],
            }],
        };
        let published = Calendar::builtin().amended(&notice).unwrap();
        let duties = |calendar: &Calendar| {
            let seat = Seat { index: 0, of: 1 };
            let week = week(day("2026-12-28"), &templates().shifts, "community", seat, calendar);
            week.iter().filter(|span| span.template == "duty").count()
        };
        assert_eq!((duties(Calendar::builtin()), duties(&published)), (2, 3));
    }

    #[test]
    fn shifts_of_a_week_never_overlap() {
        for offset in 0..60 {
            let monday = day("2026-01-05") + Days::new(7 * offset);
            let mut spans =
                week(monday, &templates().shifts, "street", Seat { index: 0, of: 2 }, Calendar::builtin());
            spans.sort_by_key(|span| span.starts_at);
            assert!(spans.windows(2).all(|pair| pair[0].ends_at <= pair[1].starts_at));
            assert!(spans.iter().all(|span| span.starts_at < span.ends_at));
        }
    }

    #[test]
    fn organisations_without_templates_have_no_roster() {
        assert!(
            week(day("2026-02-09"), &templates().shifts, "", Seat { index: 0, of: 1 }, Calendar::builtin())
                .is_empty()
        );
    }

    #[test]
    fn weeks_begin_on_monday_in_wuhan() {
        let sunday_evening: Timestamp = "2026-03-01T17:00:00Z".parse().unwrap(); // already Monday in Wuhan
        assert_eq!(week_of(sunday_evening), day("2026-03-02"));
        assert_eq!(week_of("2026-03-08T15:59:59Z".parse().unwrap()), day("2026-03-02"));
    }
}
