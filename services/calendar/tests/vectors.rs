//! The vectors of domain.md §6.2, and the properties every deadline has.

use calendar::{
    Calendar, Closure, HolidayGroup, Interval, Limit, Profile, Season, TimeUnit, YearNotice, instant, local,
};
use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Utc};
use proptest::prelude::*;

fn at(text: &str) -> DateTime<Utc> {
    let local = NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M").unwrap();
    instant(local.date(), local.time())
}

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

fn due(unit: TimeUnit, from: &str, n: u16) -> String {
    let due = Calendar::builtin().add(unit, n, at(from), &Profile::office());
    assert!(!due.provisional, "{from} +{n} {unit}");
    local(due.at).format("%Y-%m-%d %H:%M").to_string()
}

fn due_paused(unit: TimeUnit, n: u16, from: &str, pauses: &[(&str, &str)]) -> String {
    let pauses: Vec<Interval> =
        pauses.iter().map(|(from, to)| Interval { from: at(from), to: at(to) }).collect();
    let limit = Limit::new(unit, n);
    local(Calendar::builtin().add_paused(limit, at(from), &pauses, &Profile::office()).at).to_string()
}

#[test]
fn working_days_end_at_the_close_of_business_of_the_nth_working_day() {
    for (from, n, expected) in [
        ("2026-02-13", 1, "2026-02-14"),
        ("2026-02-13", 2, "2026-02-24"),
        ("2026-02-13", 3, "2026-02-25"),
        ("2026-02-15", 1, "2026-02-24"),
        ("2026-09-30", 1, "2026-10-08"),
        ("2026-09-30", 2, "2026-10-09"),
        ("2026-09-30", 5, "2026-10-13"),
        ("2026-04-30", 5, "2026-05-11"),
        ("2025-09-26", 5, "2025-10-10"),
        ("2025-01-27", 5, "2025-02-10"),
        ("2025-12-31", 1, "2026-01-04"),
        ("2025-12-31", 2, "2026-01-05"),
        ("2024-02-09", 1, "2024-02-18"),
        ("2020-01-23", 1, "2020-02-03"),
    ] {
        for hour in ["00:00", "09:10", "23:59"] {
            assert_eq!(
                due(TimeUnit::WorkDay, &format!("{from} {hour}"), n),
                format!("{expected} 17:00"),
                "{from} +{n}"
            );
        }
    }
}

#[test]
fn working_hours_run_only_while_the_office_is_open() {
    for (from, n, expected) in [
        ("2026-02-13 16:30", 1, "2026-02-14 09:00"),
        ("2026-02-13 16:30", 2, "2026-02-14 10:00"),
        ("2026-02-14 16:00", 4, "2026-02-24 11:30"),
        ("2026-09-30 11:00", 4, "2026-09-30 17:00"),
        ("2026-10-10 10:00", 9, "2026-10-12 14:30"),
        ("2025-12-31 18:00", 2, "2026-01-04 10:30"),
    ] {
        assert_eq!(due(TimeUnit::WorkHour, from, n), expected, "{from} +{n}");
    }
}

#[test]
fn calendar_days_and_months_end_at_midnight_and_roll_past_rest_days() {
    for (unit, from, n, expected) in [
        (TimeUnit::CalDay, "2026-02-05", 15, "2026-02-24"),
        (TimeUnit::CalDay, "2026-09-16", 15, "2026-10-08"),
        (TimeUnit::CalDay, "2026-04-10", 15, "2026-04-27"),
        (TimeUnit::CalDay, "2026-06-01", 1, "2026-06-02"),
        (TimeUnit::Month, "2026-01-31", 1, "2026-02-28"),
        (TimeUnit::Month, "2026-03-31", 1, "2026-04-30"),
        (TimeUnit::Month, "2026-01-01", 1, "2026-02-02"),
    ] {
        for hour in ["00:00", "23:59"] {
            assert_eq!(
                due(unit, &format!("{from} {hour}"), n),
                format!("{expected} 23:59"),
                "{from} +{n} {unit}"
            );
        }
    }
}

#[test]
fn calendar_hours_run_day_and_night() {
    assert_eq!(due(TimeUnit::CalHour, "2026-02-13 16:30", 2), "2026-02-13 18:30");
    assert_eq!(due(TimeUnit::CalHour, "2026-02-13 16:30", 24), "2026-02-14 16:30");
    assert_eq!(due(TimeUnit::CalHour, "2026-09-30 23:30", 2), "2026-10-01 01:30");
}

#[test]
fn a_deadline_that_enters_an_unpublished_year_is_provisional() {
    let (calendar, office) = (Calendar::builtin(), Profile::office());
    let due = calendar.add(TimeUnit::WorkDay, 5, at("2026-12-28 10:00"), &office);
    assert!(due.provisional);
    assert_eq!(local(due.at).to_string(), "2027-01-04 17:00:00", "weekends only");
    assert!(calendar.add(TimeUnit::Month, 2, at("2026-11-30 10:00"), &office).provisional);
    assert!(!calendar.add(TimeUnit::WorkDay, 5, at("2026-12-01 10:00"), &office).provisional);
    assert!(!calendar.add(TimeUnit::CalHour, 24, at("2026-12-31 10:00"), &office).provisional);
}

#[test]
fn a_published_notice_moves_a_provisional_deadline_later_and_never_earlier() {
    let (calendar, office) = (Calendar::builtin(), Profile::office());
    let (from, limit) = (at("2026-12-28 10:00"), Limit::new(TimeUnit::WorkDay, 5));
    let promised = calendar.add_paused(limit, from, &[], &office);
    let notice = |off: &str, work: &str| YearNotice {
        title_year: 2027,
        papers: vec!["https://example.invalid/notice".into()],
        holidays: vec![HolidayGroup {
            name: "元旦".into(), off: vec![off.into()], work: vec![work.into()]
        }],
    };
    let later = calendar.amended(&notice("2027-01-01/2027-01-03", "2027-01-09")).unwrap();
    let moved = later.recompute(promised, limit, from, &[], &office);
    assert_eq!(local(moved.at).to_string(), "2027-01-05 17:00:00");
    assert!(!moved.provisional);
    assert_eq!(moved.calendar_version, promised.calendar_version + 1000);
    let earlier = calendar.amended(&notice("2027-01-04", "2027-01-02/2027-01-03")).unwrap();
    assert!(earlier.add_paused(limit, from, &[], &office).at < promised.at);
    assert_eq!(earlier.recompute(promised, limit, from, &[], &office).at, promised.at);
}

#[test]
fn the_prolonged_holiday_of_2020_moved_running_deadlines() {
    let original = Calendar::builtin()
        .amended(&YearNotice {
            title_year: 2020,
            papers: vec!["http://www.gov.cn/zhengce/zhengceku/2019-11/21/content_5454164.htm".into()],
            holidays: vec![HolidayGroup {
                name: "春节".into(),
                off: vec!["2020-01-24/2020-01-30".into()],
                work: vec!["2020-01-19".into(), "2020-02-01".into()],
            }],
        })
        .unwrap();
    let (office, from, limit) = (Profile::office(), at("2020-01-23 10:00"), Limit::new(TimeUnit::WorkDay, 1));
    let promised = original.add_paused(limit, from, &[], &office);
    assert_eq!(local(promised.at).to_string(), "2020-01-31 17:00:00");
    let moved = Calendar::builtin().recompute(promised, limit, from, &[], &office);
    assert_eq!(local(moved.at).to_string(), "2020-02-03 17:00:00");
}

#[test]
fn hours_follow_the_season_of_the_unit() {
    let time = |hour, minute| NaiveTime::from_hms_opt(hour, minute, 0).unwrap();
    let season = |from, start, end| Season { from, spans: vec![(time(8, 30), time(12, 0)), (start, end)] };
    let seasons = vec![season((6, 1), time(15, 0), time(18, 0)), season((10, 1), time(14, 0), time(17, 0))];
    let profile = Profile::new(7, seasons).unwrap();
    let calendar = Calendar::builtin();
    let close = |from: &str| local(calendar.add(TimeUnit::WorkDay, 1, at(from), &profile).at).to_string();
    assert_eq!(close("2026-07-01 10:00"), "2026-07-02 18:00:00");
    assert_eq!(
        close("2026-03-02 10:00"),
        "2026-03-03 17:00:00",
        "before the first season the last one holds"
    );
    let noon = calendar.add(TimeUnit::WorkHour, 1, at("2026-07-01 11:30"), &profile);
    assert_eq!(local(noon.at).to_string(), "2026-07-01 15:30:00");
    assert!(Profile::new(1, vec![]).is_err());
    assert!(Profile::new(1, vec![season((2, 30), time(14, 0), time(17, 0))]).is_err());
    assert!(Profile::new(1, vec![season((1, 1), time(11, 0), time(17, 0))]).is_err());
}

#[test]
fn a_closure_ordered_for_a_city_is_laid_over_the_calendar() {
    let closure =
        Closure {
            from: day("2026-07-06"), to: day("2026-07-08"), authority_ref: "防汛令〔2026〕1号".into()
        };
    let (calendar, office) = (Calendar::builtin(), Profile::office());
    let closed = office.closed(closure.clone()).unwrap();
    let due = |unit, n| local(calendar.add(unit, n, at("2026-07-03 16:00"), &closed).at).to_string();
    assert_eq!(due(TimeUnit::WorkDay, 1), "2026-07-09 17:00:00");
    assert_eq!(due(TimeUnit::WorkHour, 2), "2026-07-09 09:30:00");
    assert_eq!(&due(TimeUnit::CalDay, 4)[..10], "2026-07-09");
    assert_eq!(calendar.version_with(&closed), calendar.version_with(&office) + 1);
    assert!(office.closed(Closure { authority_ref: " ".into(), ..closure.clone() }).is_err());
    assert!(office.closed(Closure { to: day("2026-07-05"), ..closure }).is_err());
}

#[test]
fn other_hours_keep_the_closures_and_every_change_is_a_higher_version() {
    let closure =
        Closure {
            from: day("2026-07-06"), to: day("2026-07-08"), authority_ref: "防汛令〔2026〕1号".into()
        };
    let (calendar, closed) = (Calendar::builtin(), Profile::office().closed(closure).unwrap());
    let time = |hour| NaiveTime::from_hms_opt(hour, 0, 0).unwrap();
    let early = Season { from: (1, 1), spans: vec![(time(8), time(16))] };
    let other = closed.with_hours(vec![early.clone()]).unwrap();
    assert_eq!((other.seasons(), other.closures()), (&[early][..], closed.closures()));
    let due = calendar.add(TimeUnit::WorkDay, 1, at("2026-07-03 10:00"), &other);
    assert_eq!(local(due.at).to_string(), "2026-07-09 16:00:00");
    assert!(closed.with_hours(vec![]).is_err());
    let version = |number| calendar.version_with(&closed.clone().at_version(number));
    assert!(version(1_000) > version(999) && version(u16::MAX) > version(1_000));
}

#[test]
fn a_paused_clock_is_due_later_by_what_it_stood_still() {
    let due = due_paused;
    let monday = "2026-06-08 09:00";
    let two_days = [("2026-06-09 10:00", "2026-06-11 11:00")];
    assert_eq!(due(TimeUnit::WorkDay, 3, monday, &two_days), "2026-06-15 17:00:00");
    assert_eq!(
        due(TimeUnit::WorkDay, 3, monday, &[("2026-06-09 09:00", "2026-06-09 16:00")]),
        "2026-06-11 17:00:00"
    );
    assert_eq!(&due(TimeUnit::CalDay, 2, monday, &two_days)[..10], "2026-06-12");
    assert_eq!(&due(TimeUnit::Month, 1, monday, &two_days)[..10], "2026-07-10");
    assert_eq!(
        due(TimeUnit::CalHour, 24, monday, &[("2026-06-08 10:00", "2026-06-08 20:00")]),
        "2026-06-09 19:00:00"
    );
    assert_eq!(
        due(TimeUnit::WorkHour, 4, monday, &[("2026-06-08 11:00", "2026-06-08 15:00")]),
        "2026-06-08 17:00:00"
    );
    assert_eq!(
        due(TimeUnit::WorkHour, 2, monday, &[("2026-06-08 15:00", "2026-06-08 16:00")]),
        "2026-06-08 11:00:00"
    );
    let twice = [("2026-06-08 10:00", "2026-06-08 11:00"), ("2026-06-08 11:30", "2026-06-08 14:30")];
    assert_eq!(due(TimeUnit::WorkHour, 3, monday, &twice), "2026-06-08 16:00:00");
}

#[test]
fn a_limit_in_days_that_would_have_ended_within_a_pause_ends_on_the_day_the_pause_does() {
    let monday = "2026-06-08 09:00";
    let first = ("2026-06-15 10:00", "2026-06-16 10:00");
    for (pauses, expected) in [
        (vec![("2026-06-15 10:00", "2026-06-25 10:00")], "2026-06-25 17:00:00"),
        (vec![("2026-06-15 10:00", "2026-06-15 16:00")], "2026-06-15 17:00:00"),
        // With the close of business, and past it: that day is over, and before a weekend the next one is a Monday.
        (vec![("2026-06-15 10:00", "2026-06-25 16:59")], "2026-06-25 17:00:00"),
        (vec![("2026-06-15 10:00", "2026-06-25 17:00")], "2026-06-26 17:00:00"),
        (vec![("2026-06-15 10:00", "2026-06-25 18:00")], "2026-06-26 17:00:00"),
        (vec![("2026-06-15 10:00", "2026-06-15 17:01")], "2026-06-16 17:00:00"),
        (vec![("2026-06-15 10:00", "2026-06-26 18:00")], "2026-06-29 17:00:00"),
        // Until the second day of the dragon boat festival.
        (vec![("2026-06-15 10:00", "2026-06-20 10:00")], "2026-06-22 17:00:00"),
        (vec![("2026-06-15 17:00", "2026-06-17 10:00")], "2026-06-15 17:00:00"),
        (vec![first, ("2026-06-16 10:30", "2026-06-17 10:00")], "2026-06-17 17:00:00"),
        (vec![first, ("2026-06-16 18:00", "2026-06-18 10:00")], "2026-06-16 17:00:00"),
        (vec![("2026-06-09 10:00", "2026-06-10 10:00"), first], "2026-06-17 17:00:00"),
    ] {
        assert_eq!(due_paused(TimeUnit::WorkDay, 5, monday, &pauses), expected, "{pauses:?}");
    }
    // Due on the first of October, and so on the eighth, with the holiday.
    for (from, to, expected) in [
        ("2026-10-08 10:00", "2026-10-12 10:00", "2026-10-12"),
        ("2026-10-03 10:00", "2026-10-06 10:00", "2026-10-08"),
        ("2026-10-05 10:00", "2026-10-09 10:00", "2026-10-09"),
        ("2026-10-09 00:00", "2026-10-12 10:00", "2026-10-08"),
    ] {
        let due = due_paused(TimeUnit::CalDay, 15, "2026-09-16 09:00", &[(from, to)]);
        assert_eq!(&due[..10], expected, "{from} to {to}");
    }
    let due = due_paused(TimeUnit::Month, 1, monday, &[("2026-07-08 10:00", "2026-07-11 10:00")]);
    assert_eq!(&due[..10], "2026-07-13");
}

#[test]
fn warnings_fall_where_the_part_of_the_limit_is_used_up() {
    let (calendar, office) = (Calendar::builtin(), Profile::office());
    let at_percent = |limit: Limit, percent, from: &str, pauses: &[Interval]| {
        let due = calendar.add_paused(limit, at(from), pauses, &office).at;
        local(calendar.at_percent(limit.unit, percent, (at(from), due), pauses, &office)).to_string()
    };
    let hours = |n| Limit::new(TimeUnit::CalHour, n);
    assert_eq!(at_percent(hours(24), 50, "2026-06-08 09:00", &[]), "2026-06-08 21:00:00");
    assert_eq!(at_percent(hours(10), 80, "2026-06-08 09:00", &[]), "2026-06-08 17:00:00");
    let pause = [Interval { from: at("2026-06-08 10:00"), to: at("2026-06-08 20:00") }];
    assert_eq!(at_percent(hours(10), 80, "2026-06-08 09:00", &pause), "2026-06-09 03:00:00");
    let work = Limit::new(TimeUnit::WorkHour, 4);
    assert_eq!(
        at_percent(work, 50, "2026-02-14 16:00", &[]),
        "2026-02-24 09:30:00",
        "over the spring festival"
    );
    let days = Limit::new(TimeUnit::WorkDay, 1);
    assert_eq!(
        at_percent(days, 50, "2026-06-08 08:30", &[]),
        "2026-06-08 17:00:00",
        "6.5 of 13 working hours"
    );
    let from = at("2026-06-08 09:00");
    assert_eq!(
        calendar.elapsed(TimeUnit::WorkDay, from, at("2026-06-09 09:00"), &[], &office),
        TimeDelta::minutes(390)
    );
    assert_eq!(
        calendar.elapsed(TimeUnit::WorkDay, from, at("2026-06-08 08:00"), &[], &office),
        TimeDelta::zero()
    );
    assert_eq!(
        calendar.remaining(TimeUnit::CalDay, from, at("2026-06-08 10:00"), &office),
        TimeDelta::hours(1)
    );
    assert_eq!(
        calendar.remaining(TimeUnit::CalDay, from, at("2026-06-08 08:00"), &office),
        TimeDelta::zero()
    );
}

#[test]
fn unit_codes_read_back() {
    for unit in TimeUnit::ALL {
        assert_eq!(unit.as_str().parse::<TimeUnit>().unwrap(), unit);
    }
    assert!("fortnight".parse::<TimeUnit>().is_err());
}

prop_compose! {
    fn instants()(seconds in 1_451_600_000_i64..1_798_000_000, micros in 0_u32..1_000_000) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, micros * 1000).unwrap()
    }
}

prop_compose! {
    fn pauses()(from in instants(), gaps in prop::collection::vec((0_i64..200_000, 0_i64..900_000), 0..4)) -> (DateTime<Utc>, Vec<Interval>) {
        let mut at = from;
        let mut pauses = vec![];
        for (gap, length) in gaps {
            let begin = at + TimeDelta::seconds(gap);
            at = begin + TimeDelta::seconds(length);
            pauses.push(Interval { from: begin, to: at });
        }
        (from, pauses)
    }
}

fn units() -> impl Strategy<Value = TimeUnit> {
    prop::sample::select(TimeUnit::ALL.to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn more_units_are_never_due_earlier(unit in units(), n in 0_u16..60, from in instants()) {
        let (calendar, office) = (Calendar::builtin(), Profile::office());
        let due = calendar.add(unit, n, from, &office);
        prop_assert!(due.at >= from);
        prop_assert!(calendar.add(unit, n + 1, from, &office).at >= due.at);
    }

    #[test]
    fn starting_later_is_never_due_earlier(unit in units(), n in 1_u16..40, from in instants(), wait in 0_i64..500_000) {
        let (calendar, office) = (Calendar::builtin(), Profile::office());
        let later = calendar.add(unit, n, from + TimeDelta::seconds(wait), &office);
        prop_assert!(later.at >= calendar.add(unit, n, from, &office).at);
    }

    #[test]
    fn day_deadlines_fall_on_working_days(unit in prop::sample::select(vec![TimeUnit::WorkDay, TimeUnit::CalDay, TimeUnit::Month]), n in 1_u16..60, from in instants()) {
        let calendar = Calendar::builtin();
        let due = calendar.add(unit, n, from, &Profile::office());
        prop_assert!(calendar.is_work_day(local(due.at).date()));
    }

    #[test]
    fn pauses_only_ever_move_a_deadline_later((from, pauses) in pauses(), unit in units(), n in 1_u16..30) {
        let (calendar, office) = (Calendar::builtin(), Profile::office());
        let limit = Limit::new(unit, n);
        let mut before = calendar.add_paused(limit, from, &[], &office).at;
        for known in 1..=pauses.len() {
            let due = calendar.add_paused(limit, from, &pauses[..known], &office).at;
            prop_assert!(due >= before);
            before = due;
        }
    }

    #[test]
    fn what_was_not_over_when_a_pause_began_ends_after_the_pause_does((from, pauses) in pauses(), unit in units(), n in 1_u16..30) {
        let (calendar, office) = (Calendar::builtin(), Profile::office());
        let due = |known: usize| calendar.add_paused(Limit::new(unit, n), from, &pauses[..known], &office).at;
        for (number, pause) in pauses.iter().enumerate() {
            let (before, after) = (due(number), due(number + 1));
            if pause.from < before {
                prop_assert!(after > pause.to, "{} after {}", pause.to, after);
            } else {
                prop_assert_eq!(after, before);
            }
        }
    }

    #[test]
    fn so_does_what_was_promised_until_any_instant((from, pauses) in pauses(), ahead in 0_i64..900_000, unit in prop::sample::select(vec![TimeUnit::WorkDay, TimeUnit::CalDay, TimeUnit::Month])) {
        let (calendar, office) = (Calendar::builtin(), Profile::office());
        let promised = from + TimeDelta::seconds(ahead);
        let due = |known: usize| calendar.promise_paused(unit, promised, &pauses[..known], &office);
        prop_assert_eq!(due(0), promised);
        for (number, pause) in pauses.iter().enumerate() {
            let (before, after) = (due(number), due(number + 1));
            if pause.from < before {
                prop_assert!(after > pause.to && after >= before, "{} after {}", pause.to, after);
            } else {
                prop_assert_eq!(after, before);
            }
        }
    }

    #[test]
    fn hours_run_exactly_their_number((from, pauses) in pauses(), n in 1_u16..100) {
        let (calendar, office) = (Calendar::builtin(), Profile::office());
        for unit in [TimeUnit::CalHour, TimeUnit::WorkHour] {
            let due = calendar.add_paused(Limit::new(unit, n), from, &pauses, &office).at;
            prop_assert_eq!(calendar.elapsed(unit, from, due, &pauses, &office), TimeDelta::hours(i64::from(n)));
        }
    }

    #[test]
    fn warnings_come_in_order_and_within_the_limit((from, pauses) in pauses(), unit in units(), n in 0_u16..30) {
        let (calendar, office) = (Calendar::builtin(), Profile::office());
        let due = calendar.add_paused(Limit::new(unit, n), from, &pauses, &office).at;
        let warning = |percent| calendar.at_percent(unit, percent, (from, due), &pauses, &office);
        prop_assert!(from <= warning(50) && warning(50) <= warning(80) && warning(80) <= due);
    }
}
