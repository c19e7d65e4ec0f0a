use calendar::local_day;

use super::*;

fn at(text: &str) -> Timestamp {
    format!("{text}+08:00").parse().unwrap()
}

fn clock() -> (Clock, Rules) {
    let rules = Rules::default();
    let limit = Limit::new(TimeUnit::CalHour, 10);
    (Clock::start(ClockKind::Resolve, None, limit, at("2026-06-08T09:00:00"), &rules), rules)
}

#[test]
fn a_clock_warns_at_half_and_four_fifths_and_then_ends() {
    let (mut clock, _) = clock();
    assert_eq!(clock.next_at(), Some(at("2026-06-08T14:00:00")));
    clock.warned = 50;
    assert_eq!(clock.next_at(), Some(at("2026-06-08T17:00:00")));
    clock.warned = 80;
    assert_eq!(clock.next_at(), Some(at("2026-06-08T19:00:00")));
    clock.breached_at = Some(clock.due_at);
    assert_eq!(clock.next_at(), None);
    assert!(!clock.in_time(clock.started_at));
}

#[test]
fn the_rules_say_when_it_is_warned_and_the_clock_keeps_it() {
    let rules = Rules { warn_percent: [40, 90], ..Rules::default() };
    let limit = Limit::new(TimeUnit::CalHour, 10);
    let mut clock = Clock::start(ClockKind::Resolve, None, limit, at("2026-06-08T09:00:00"), &rules);
    assert_eq!(clock.next_warning(), Some((at("2026-06-08T13:00:00"), 40)));
    clock.warned = 40;
    assert_eq!(clock.next_warning(), Some((at("2026-06-08T18:00:00"), 90)));
    let stored = serde_json::to_string(&clock).unwrap();
    assert_eq!(serde_json::from_str::<Clock>(&stored).unwrap(), clock);
    assert!(!serde_json::to_string(&self::clock().0).unwrap().contains("warn_percent"), "the usual ones");
    clock.warned = 90;
    assert_eq!(clock.next_warning(), None);
}

#[test]
fn every_limit_in_which_somebody_has_to_act_warns_and_no_window_does() {
    let rules = Rules::default();
    let limit = Limit::new(TimeUnit::WorkHour, 4);
    for kind in ClockKind::ALL {
        let clock = Clock::start(*kind, None, limit, at("2026-06-08T09:00:00"), &rules);
        let expected = (!kind.is_window()).then(|| (at("2026-06-08T11:00:00"), 50));
        assert_eq!(clock.next_warning(), expected, "{kind}");
    }
    let windows = ClockKind::ALL.iter().filter(|kind| kind.is_window()).count();
    assert_eq!((windows, ClockKind::ALL.len()), (5, 17));
}

#[test]
fn a_limit_of_minutes_warns_only_where_a_minute_is_left_to_act() {
    for (minutes, expected) in [(5, vec![50, 80]), (4, vec![50]), (2, vec![50]), (1, vec![]), (0, vec![])] {
        let (mut clock, rules) = clock();
        clock.promise(clock.started_at + TimeDelta::minutes(minutes), &rules);
        let mut given = Vec::new();
        while let Some((due, percent)) = clock.next_warning() {
            assert_eq!(clock.next_at(), Some(due));
            given.push(percent);
            clock.warned = percent;
        }
        assert_eq!((given, clock.next_at()), (expected, Some(clock.due_at)), "{minutes}");
    }
}

#[test]
fn what_has_stopped_warns_no_more_unless_it_runs_on() {
    let (begun, rules) = clock();
    let mut clock = Clock { warned: 50, ..begun };
    let running = clock.clone();
    clock.stop(at("2026-06-08T15:00:00"), &rules);
    assert_eq!((clock.next_warning(), clock.next_at()), (None, None));
    assert!(!serde_json::to_string(&clock).unwrap().contains("warn_at"), "nor is kept");
    clock.run_on(&rules);
    assert_eq!(clock, running);
}

#[test]
fn the_same_limit_again_repeats_no_warning_and_another_has_its_own() {
    let (begun, rules) = clock();
    let mut clock = Clock { warned: 80, ..begun };
    let now = at("2026-06-08T17:30:00");
    clock.change_limit(clock.limit, now, &rules);
    assert_eq!((clock.warned, clock.next_warning()), (80, None));
    clock.change_limit(Limit::new(TimeUnit::CalHour, 20), now, &rules);
    assert_eq!(clock.next_warning(), Some((at("2026-06-08T19:00:00"), 50)));
}

#[test]
fn of_another_limit_only_what_lies_ahead_is_warned_of() {
    let (begun, rules) = clock();
    let now = at("2026-06-08T18:00:00");
    // Of eleven hours both marks lie behind, of sixteen the first does.
    for (hours, expected) in [(11, None), (16, Some((at("2026-06-08T21:48:00"), 80)))] {
        let mut clock = Clock { warned: 80, ..begun.clone() };
        clock.change_limit(Limit::new(TimeUnit::CalHour, hours), now, &rules);
        assert_eq!(clock.next_warning(), expected, "{hours}");
    }
    // What stands still has gone no further than when it was paused.
    let mut paused = begun;
    paused.pause(at("2026-06-08T10:00:00"));
    paused.change_limit(Limit::new(TimeUnit::CalHour, 11), now, &rules);
    assert_eq!(paused.warned, 0);
}

#[test]
fn a_clock_of_a_build_that_did_not_warn_of_it_warns_of_what_lies_ahead_when_it_runs_on() {
    let (begun, rules) = clock();
    let mut clock = Clock { warn_at: None, ..begun };
    clock.pause(at("2026-06-08T15:00:00"));
    clock.resume(at("2026-06-08T16:00:00"), &rules);
    assert_eq!((clock.warned, clock.next_warning()), (50, Some((at("2026-06-08T18:00:00"), 80))));
}

#[test]
fn a_pause_moves_what_is_due_and_hides_it_meanwhile() {
    let (mut clock, rules) = clock();
    clock.pause(at("2026-06-08T10:00:00"));
    assert_eq!(clock.next_at(), None);
    assert_eq!(clock.elapsed_seconds(at("2026-06-08T20:00:00"), &rules), 3600);
    clock.resume(at("2026-06-09T10:00:00"), &rules);
    assert_eq!(clock.due_at, at("2026-06-09T19:00:00"));
    assert_eq!(clock.next_at(), Some(at("2026-06-09T14:00:00")));
    clock.pause(at("2026-06-09T11:00:00"));
    clock.stop(at("2026-06-09T12:00:00"), &rules);
    assert_eq!(clock.due_at, at("2026-06-09T20:00:00"));
    assert_eq!(clock.elapsed_seconds(at("2026-06-09T12:00:00"), &rules), 2 * 3600);
    clock.stop(at("2026-06-10T12:00:00"), &rules);
    assert_eq!(clock.stopped_at, Some(at("2026-06-09T12:00:00")), "a stopped clock stays as it is");
}

#[test]
fn a_published_holiday_moves_a_running_clock_later_only() {
    let rules = Rules::default();
    let limit = Limit::new(TimeUnit::WorkDay, 5);
    let mut clock = Clock::start(ClockKind::Resolve, None, limit, at("2026-12-28T10:00:00"), &rules);
    assert!(clock.provisional);
    let before = clock.due_at;
    let notice = calendar::YearNotice {
        title_year: 2027,
        papers: vec![],
        holidays: vec![calendar::HolidayGroup {
            name: "元旦".into(),
            off: vec!["2027-01-01/2027-01-03".into()],
            work: vec![],
        }],
    };
    let published = Rules { calendar: rules.calendar.amended(&notice).unwrap(), ..rules };
    assert_eq!(clock.recompute(&published), Some(before));
    assert_eq!(clock.due_at, before + TimeDelta::days(1));
    assert!(!clock.provisional);
    let (counted, once) = (clock.clone(), clock.recompute(&published));
    assert_eq!((once, &clock), (None, &counted), "a second time nothing changes");
    assert_eq!(clock.recompute(&Rules::default()), None, "an older calendar takes nothing back");
    assert_eq!(clock, counted);
}

/// Rules in which 1–3 January 2027 are worked, the weekend among them: every due time after comes out earlier.
fn more_work(rules: &Rules) -> Rules {
    let notice = calendar::YearNotice {
        title_year: 2027,
        papers: vec![],
        holidays: vec![calendar::HolidayGroup {
            name: "元旦".into(),
            off: vec!["2027-01-29".into()],
            work: vec!["2027-01-02/2027-01-03".into()],
        }],
    };
    Rules { calendar: rules.calendar.amended(&notice).unwrap(), ..rules.clone() }
}

#[test]
fn a_pause_or_an_extension_under_another_calendar_takes_nothing_back() {
    let rules = Rules::default();
    let (limit, start) = (Limit::new(TimeUnit::WorkDay, 5), at("2026-12-28T10:00:00"));
    let begun = Clock::start(ClockKind::Resolve, None, limit, start, &rules);
    let fresh = Clock::start(ClockKind::Resolve, None, limit, start, &more_work(&rules));
    assert!(fresh.due_at < begun.due_at, "the premise");
    let mut paused = begun.clone();
    paused.pause(at("2026-12-28T11:00:00"));
    assert!(!paused.is_behind(&more_work(&rules)), "it is counted again when it runs");
    paused.resume(at("2026-12-28T12:00:00"), &more_work(&rules));
    assert_eq!(paused.due_at, begun.due_at);
    let mut extended = begun.clone();
    extended.change_limit(Limit::new(TimeUnit::WorkDay, 6), start, &more_work(&rules));
    assert_eq!(extended.due_at, begun.due_at);
    extended.change_limit(Limit::new(TimeUnit::WorkDay, 1), start, &more_work(&rules));
    assert_eq!(extended.due_at, at("2026-12-29T17:00:00"), "a shorter limit is a new promise");
}

#[test]
fn what_was_promised_elsewhere_holds_through_pauses_recounts_and_other_limits() {
    let rules = Rules::default();
    let (limit, start) = (Limit::new(TimeUnit::WorkDay, 5), at("2026-06-08T10:00:00"));
    let begun = Clock::start(ClockKind::Resolve, None, limit, start, &rules);
    // Before and after what the limit would give.
    for promised in [at("2026-06-11T17:00:00"), at("2026-06-24T17:00:00")] {
        let mut clock = begun.clone();
        clock.promise(promised, &rules);
        let mut counted = clock.clone();
        counted.change_limit(limit, start, &rules);
        assert_eq!(counted.due_at, promised, "the same limit changes nothing");
        assert_eq!(counted.recompute(&more_work(&rules)), None);
        assert!(!counted.is_behind(&more_work(&rules)));
        assert_eq!(counted.due_at, promised, "another calendar neither");
        // Over two nights, Tuesday to Thursday: two working days; then within a day, which costs none.
        clock.pause(at("2026-06-09T10:00:00"));
        clock.resume(at("2026-06-11T10:00:00"), &rules);
        clock.pause(at("2026-06-11T11:00:00"));
        clock.resume(at("2026-06-11T12:00:00"), &rules);
        let moved =
            if promised < begun.due_at { at("2026-06-15T17:00:00") } else { at("2026-06-26T17:00:00") };
        assert_eq!(clock.due_at, moved);
        let mut shorter = clock.clone();
        shorter.change_limit(Limit::new(TimeUnit::WorkDay, 1), start, &rules);
        assert_eq!(shorter.due_at, moved, "a shorter limit does not end earlier");
        let mut longer = clock.clone();
        longer.change_limit(Limit::new(TimeUnit::WorkDay, 60), start, &rules);
        assert!(longer.due_at > moved && longer.promised_at.is_none());
    }
    let mut clock = Clock::start(
        ClockKind::Resolve,
        None,
        Limit::new(TimeUnit::CalHour, 10),
        at("2026-06-08T09:00:00"),
        &rules,
    );
    clock.promise(at("2026-06-09T09:00:00"), &rules);
    clock.pause(at("2026-06-08T10:00:00"));
    clock.stop(at("2026-06-08T13:00:00"), &rules);
    assert_eq!(clock.due_at, at("2026-06-09T12:00:00"), "hours by the paused time");
    let stored = serde_json::to_string(&clock).unwrap();
    assert_eq!(serde_json::from_str::<Clock>(&stored).unwrap(), clock);
    assert!(!serde_json::to_string(&begun).unwrap().contains("promised_at"), "written where it is set");
}

#[test]
fn a_pause_that_begins_when_a_promise_was_over_moves_it_no_more() {
    let rules = Rules::default();
    let (start, due) = (at("2026-06-08T10:00:00"), at("2026-06-12T17:00:00"));
    let promised = |unit| {
        let mut clock = Clock::start(ClockKind::Resolve, None, Limit::new(unit, 5), start, &rules);
        clock.promise(due, &rules);
        clock
    };
    let pause = |clock: &mut Clock, from: &str, to: &str| {
        clock.pause(at(from));
        clock.resume(at(to), &rules);
    };
    for unit in TimeUnit::ALL {
        // Due on a Friday and missed; it waits over the weekend and longer, on the dot included.
        for from in ["2026-06-12T17:00:00", "2026-06-13T09:00:00"] {
            let mut late = promised(unit);
            pause(&mut late, from, "2026-06-16T10:00:00");
            assert_eq!(late.due_at, due, "{unit:?} from {from}");
            assert!(!late.in_time(at("2026-06-16T10:00:00")));
        }
    }
    // What moved it before counts: of two that begin after the first date the one within the new one, and not the one behind it.
    let mut hours = promised(TimeUnit::CalHour);
    pause(&mut hours, "2026-06-12T10:00:00", "2026-06-12T13:00:00");
    pause(&mut hours, "2026-06-12T18:00:00", "2026-06-12T19:00:00");
    assert_eq!(hours.due_at, at("2026-06-12T21:00:00"));
    pause(&mut hours, "2026-06-12T21:00:00", "2026-06-13T21:00:00");
    assert_eq!(hours.due_at, at("2026-06-12T21:00:00"));
    let mut days = promised(TimeUnit::WorkDay);
    pause(&mut days, "2026-06-11T10:00:00", "2026-06-12T10:00:00");
    assert_eq!(days.due_at, at("2026-06-15T17:00:00"));
    pause(&mut days, "2026-06-15T10:00:00", "2026-06-16T10:00:00");
    assert_eq!(days.due_at, at("2026-06-16T17:00:00"));
    pause(&mut days, "2026-06-16T18:00:00", "2026-06-18T10:00:00");
    assert_eq!(days.due_at, at("2026-06-16T17:00:00"), "late stays late");
}

#[test]
fn a_promise_that_would_have_ended_within_a_pause_is_due_on_the_working_day_on_which_it_runs_on() {
    let rules = Rules::default();
    let (start, due) = (at("2026-06-08T10:00:00"), at("2026-06-12T17:00:00"));
    for unit in [TimeUnit::WorkDay, TimeUnit::CalDay, TimeUnit::Month] {
        for (to, expected) in [
            ("2026-06-12T16:00:00", due),
            ("2026-06-13T10:00:00", at("2026-06-15T17:00:00")),
            ("2026-06-16T10:00:00", at("2026-06-16T17:00:00")),
        ] {
            let mut clock = Clock::start(ClockKind::Resolve, None, Limit::new(unit, 5), start, &rules);
            clock.promise(due, &rules);
            clock.pause(at("2026-06-12T10:00:00"));
            clock.resume(at(to), &rules);
            assert_eq!(clock.due_at, expected, "{unit:?} until {to}");
        }
    }
}

#[test]
fn what_was_kept_for_longer_than_a_recount_gives_moves_on_by_a_pause_as_well() {
    let rules = Rules::default();
    let start = at("2026-06-08T10:00:00");
    let kept = |unit, n, until: &str| {
        let mut clock = Clock::start(ClockKind::Resolve, None, Limit::new(unit, n), start, &rules);
        clock.due_at = at(until);
        clock
    };
    let pause = |clock: &mut Clock, from: &str, to: &str| {
        clock.pause(at(from));
        clock.resume(at(to), &rules);
        clock.due_at
    };
    // Counted it ends on the fifteenth; it stands still on the last day but one of what was kept, and again.
    let mut days = kept(TimeUnit::WorkDay, 5, "2026-06-18T17:00:00");
    let due = pause(&mut days, "2026-06-17T10:00:00", "2026-06-24T10:00:00");
    assert_eq!(due, at("2026-06-25T17:00:00"), "four working days, without the holiday");
    assert!(days.in_time(at("2026-06-24T10:00:00")));
    assert_eq!(pause(&mut days, "2026-06-25T10:00:00", "2026-06-25T18:00:00"), at("2026-06-26T17:00:00"));
    let mut last = kept(TimeUnit::WorkDay, 5, "2026-06-18T17:00:00");
    let due = pause(&mut last, "2026-06-18T10:00:00", "2026-06-24T10:00:00");
    assert_eq!(due, at("2026-06-24T17:00:00"));
    let mut late = kept(TimeUnit::WorkDay, 5, "2026-06-18T17:00:00");
    let due = pause(&mut late, "2026-06-18T17:00:00", "2026-06-24T10:00:00");
    assert_eq!(due, at("2026-06-18T17:00:00"), "late stays late");
    let mut hours = kept(TimeUnit::CalHour, 24, "2026-06-10T10:00:00");
    let due = pause(&mut hours, "2026-06-09T12:00:00", "2026-06-09T15:00:00");
    assert_eq!(due, at("2026-06-10T13:00:00"));
    // What the law leaves was kept with it, and cuts it off no earlier.
    let mut lawful = kept(TimeUnit::WorkDay, 5, "2026-06-18T17:00:00");
    lawful.statutory_limit = Some(Limit::new(TimeUnit::WorkDay, 5));
    lawful.statutory_due_at = Some(lawful.due_at);
    let due = pause(&mut lawful, "2026-06-17T10:00:00", "2026-06-24T10:00:00");
    assert_eq!((due, lawful.statutory_due_at), (at("2026-06-25T17:00:00"), Some(due)));
    // What was not kept is counted from its start, as before.
    let mut counted = kept(TimeUnit::WorkDay, 5, "2026-06-15T17:00:00");
    let due = pause(&mut counted, "2026-06-12T10:00:00", "2026-06-17T10:00:00");
    assert_eq!(due, at("2026-06-18T17:00:00"));
}

#[test]
fn on_no_day_of_four_years_is_a_promise_due_after_the_law_whatever_the_hours() {
    let limit = |(unit, n)| Limit::new(unit, n);
    let limits = [
        ((TimeUnit::WorkDay, 2), (TimeUnit::CalDay, 7)),
        ((TimeUnit::WorkDay, 5), (TimeUnit::CalDay, 7)),
        ((TimeUnit::WorkHour, 16), (TimeUnit::CalDay, 3)),
        ((TimeUnit::CalDay, 7), (TimeUnit::WorkDay, 5)),
        ((TimeUnit::WorkDay, 20), (TimeUnit::Month, 1)),
    ]
    .map(|(promise, law)| (limit(promise), limit(law)));
    let time = |hour| chrono::NaiveTime::from_hms_opt(hour, 0, 0).unwrap();
    let day = |month, day| chrono::NaiveDate::from_ymd_opt(2026, month, day).unwrap();
    let morning = calendar::Season { from: (1, 1), spans: vec![(time(9), time(11))] };
    let flood =
        calendar::Closure { from: day(7, 6), to: day(7, 17), authority_ref: "令〔2026〕1号".into() };
    let street = calendar::Profile::office().with_hours(vec![morning]).unwrap().closed(flood).unwrap();
    for rules in [Rules::default(), Rules { profile: street, ..Rules::default() }] {
        let mut cut = [0; 5];
        for days in 0..1_461 {
            let start = at("2024-01-01T09:30:00") + TimeDelta::days(days);
            for (number, (promise, law)) in limits.into_iter().enumerate() {
                let mut clock = Clock::start(ClockKind::Resolve, None, promise, start, &rules);
                let promised = clock.due_at;
                clock.bind(Some(law), &rules);
                let last = rules.calendar.add(law.unit, law.n, start, &rules.profile).at;
                let expected = (promised.min(last), Some(last));
                assert_eq!((clock.due_at, clock.statutory_due_at), expected, "{promise:?} from {start}");
                cut[number] += usize::from(promised > last);
            }
        }
        assert!(cut[0] > 0 && cut[1] > cut[0] && cut[2] > 0, "the premise: {cut:?}");
    }
}

#[test]
fn what_the_law_cuts_off_stays_cut_through_pauses_other_limits_and_another_calendar() {
    let rules = Rules::default();
    let days = |unit, n| Limit::new(unit, n);
    let law = Some(days(TimeUnit::CalDay, 7));
    // Spring Festival: from the fifteenth to the twenty-third.
    let start = at("2026-02-14T10:00:00");
    let mut clock = Clock::start(ClockKind::Resolve, None, days(TimeUnit::WorkDay, 2), start, &rules);
    assert_eq!(clock.due_at, at("2026-02-25T17:00:00"), "the premise");
    clock.bind(law, &rules);
    let last = clock.due_at;
    assert_eq!((local_day(last).to_string().as_str(), clock.statutory_due_at), ("2026-02-24", Some(last)));
    let stored = serde_json::to_string(&clock).unwrap();
    assert_eq!(serde_json::from_str::<Clock>(&stored).unwrap(), clock);

    let mut longer = clock.clone();
    longer.change_limit(days(TimeUnit::WorkDay, 20), start, &rules);
    assert_eq!(longer.due_at, last);
    let mut amended = clock.clone();
    assert_eq!(amended.recompute(&more_work(&rules)), None, "nothing changed in that year");
    assert_eq!(amended.due_at, last);
    let mut paused = clock.clone();
    paused.pause(at("2026-02-14T11:00:00"));
    paused.resume(at("2026-02-16T11:00:00"), &rules);
    assert!(paused.due_at >= last && Some(paused.due_at) <= paused.statutory_due_at);
    // Another item, of which the law says nothing: its promise counts.
    let mut free = clock.clone();
    free.bind(None, &rules);
    free.change_limit(days(TimeUnit::WorkDay, 2), start, &rules);
    assert_eq!((free.due_at, free.statutory_due_at), (at("2026-02-25T17:00:00"), None));
    // What another system promised stands, and what the law says stands beside it.
    let mut elsewhere = clock.clone();
    elsewhere.promise(at("2026-03-02T17:00:00"), &rules);
    assert_eq!((elsewhere.due_at, elsewhere.statutory_due_at), (at("2026-03-02T17:00:00"), Some(last)));
    elsewhere.change_limit(days(TimeUnit::WorkDay, 30), start, &rules);
    assert_eq!(elsewhere.due_at, at("2026-03-02T17:00:00"), "neither earlier nor further past the law");
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn a_recount_never_moves_a_clock_earlier_and_is_done_once(
        unit in proptest::sample::select(TimeUnit::ALL.to_vec()), n in 0_u16..60, hours in 0_i64..1_000,
        off in 0_u64..60, length in 0_u64..12, work in 0_u64..60,
    ) {
        let rules = Rules::default();
        let start = at("2026-12-01T10:00:00") + TimeDelta::hours(hours);
        let mut clock = Clock::start(ClockKind::Resolve, None, Limit::new(unit, n), start, &rules);
        let day = |number: u64| chrono::NaiveDate::from_ymd_opt(2027, 1, 1).unwrap() + chrono::Days::new(number);
        let notice = calendar::YearNotice {
            title_year: 2027,
            papers: vec![],
            holidays: vec![calendar::HolidayGroup {
                name: "x".into(),
                off: vec![format!("{}/{}", day(off), day(off + length))],
                work: (work < off || work > off + length).then(|| day(work).to_string()).into_iter().collect(),
            }],
        };
        let published = Rules { calendar: rules.calendar.amended(&notice).unwrap(), ..rules };
        let before = clock.clone();
        let moved = clock.recompute(&published);
        proptest::prop_assert!(clock.due_at >= before.due_at);
        proptest::prop_assert_eq!(moved, (clock.due_at > before.due_at).then_some(before.due_at));
        proptest::prop_assert!(!clock.is_behind(&published));
        let counted = clock.clone();
        proptest::prop_assert_eq!(clock.recompute(&published), None);
        proptest::prop_assert_eq!(clock, counted);
    }
}
