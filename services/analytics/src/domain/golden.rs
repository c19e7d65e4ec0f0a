//! The golden vectors of domain.md §4.1 (a public bulletin), through the whole way: events → facts → rollup → value.

use chassis::event::Event;
use chrono::{NaiveDate, TimeDelta};
use proto::case_routing::v1::{CallbackOutcome, ClosedCode, DeliveryMode};
use uuid::Uuid;

use super::{
    CaseEvent, Counters, Deltas, History, cohort,
    delta::ALL,
    indicator::Catalogue,
    story::{Story, Verdict, at},
    value::{Totals, Value},
};

pub(super) fn applied(stories: &[Story]) -> Deltas {
    let mut history = History::default();
    for event in stories.iter().flat_map(|s| &s.events) {
        history.apply(&CaseEvent::of(event).unwrap().unwrap());
    }
    history.finish().deltas
}

/// Counts of one item (or all) in `[start, end)`.
pub(super) fn totals(deltas: &Deltas, item: &str, start: &str, end: &str) -> Totals {
    let (start, end): (NaiveDate, NaiveDate) = (start.parse().unwrap(), end.parse().unwrap());
    let mut totals = Totals::default();
    let mut add = |to: fn(&mut Totals) -> &mut Counters, from: NaiveDate| {
        for (cell, counters) in &deltas.cells {
            if cell.item_code == item && (from..end).contains(&cell.day) {
                *to(&mut totals) += counters;
            }
        }
    };
    add(|t| &mut t.period, start);
    add(|t| &mut t.until_end, NaiveDate::MIN);
    totals.last_work_day = cohort::work_day_number(end.pred_opt().unwrap());
    for ((cell, unit, bucket), clocks) in &deltas.durations {
        if cell.item_code == item && (start..end).contains(&cell.day) {
            *totals.durations.entry((*unit, *bucket)).or_default() += *clocks;
        }
    }
    totals
}

pub(super) fn value(totals: &Totals, code: &str) -> Value {
    let catalogue = Catalogue::builtin();
    catalogue.evaluate(catalogue.get(code).unwrap(), totals)
}

/// Cases of one kind with a limit that ends in December: so many closed in time, closed late, and left open.
fn kind(item: &str, in_time: usize, late: usize, open: usize) -> Vec<Story> {
    let start = at("2016-12-01", 9);
    let due = at("2016-12-08", 9);
    (0..in_time + late + open)
        .map(|n| {
            let mut story = Story::register(start, Uuid::from_u128(1));
            story.accept(start, due, true).triage(start, item, "urban");
            let task = story.dispatch(start, DeliveryMode::GovDirect, true, true);
            if n < in_time + late {
                let done = if n < in_time { due - TimeDelta::hours(1) } else { due + TimeDelta::hours(1) };
                story
                    .complete(done, task, n < in_time, 3600)
                    .verify(done, Verdict::good())
                    .close(done, ClosedCode::Resolved);
            }
            story
        })
        .collect()
}

#[test]
fn the_bulletin_of_december_2016_comes_out() {
    // Events 902/956, components 9/16; 737 of all on time; 24 filed cases fall due in January; 58 were not filed.
    let mut stories = kind("event", 730, 172, 54);
    stories.extend(kind("component", 7, 2, 7));
    for n in 0..82 {
        let start = at("2016-12-30", 9);
        let mut story = Story::register(start, Uuid::from_u128(2));
        if n < 24 {
            story.accept(start, at("2017-01-06", 9), true).triage(start, "event", "urban");
        } else {
            story.decline(start);
        }
        stories.push(story);
    }
    let deltas = applied(&stories);
    let all = totals(&deltas, ALL, "2016-12-01", "2017-01-01");

    let intake = value(&all, "I-01");
    assert_eq!((intake.numerator, intake.denominator, intake.value), (1054, 1054, Some(1.0)));
    assert_eq!(value(&all, "I-15").denominator, 996);
    assert_eq!(value(&all, "I-05").numerator, 972);
    let completed = value(&all, "I-06");
    assert_eq!((completed.numerator, completed.denominator, completed.value), (911, 972, Some(0.9372)));
    let on_time = value(&all, "I-07");
    assert_eq!((on_time.numerator, on_time.denominator, on_time.value), (737, 972, Some(0.7582)));
    assert!(!on_time.small_sample);

    let events = value(&totals(&deltas, "event", "2016-12-01", "2017-01-01"), "I-06");
    assert_eq!((events.numerator, events.denominator, events.value), (902, 956, Some(0.9435)));
    let components = value(&totals(&deltas, "component", "2016-12-01", "2017-01-01"), "I-06");
    assert_eq!((components.numerator, components.denominator, components.value), (9, 16, Some(0.5625)));
    assert!(components.small_sample);

    // The 61 open ones are late at the end of the month; the 172 + 2 late ones are not any more.
    assert_eq!(value(&all, "I-12").value, Some(61.0));
    // January has its own: the 24, and nothing of December.
    let january = totals(&deltas, ALL, "2017-01-01", "2017-02-01");
    assert_eq!(value(&january, "I-05").numerator, 24);
    assert_eq!(value(&january, "I-06").value, Some(0.0));
    assert_eq!(value(&january, "I-12").value, Some(85.0));
    assert_eq!(value(&january, "I-16").value, None);
}

#[test]
fn approved_suspensions_leave_both_sides_and_lateness_is_not_washed_off() {
    let start = at("2026-06-01", 9);
    let due = at("2026-06-10", 18);
    let make = |suspended_at: Option<&str>| {
        let mut story = Story::register(start, Uuid::from_u128(1));
        story.accept(start, due, true).triage(start, "roof", "housing").contact(start, true);
        if let Some(day) = suspended_at {
            story.suspend(at(day, 9));
        }
        story
    };
    let stories = [make(Some("2026-06-08")), make(Some("2026-06-12")), make(None)];
    let june = totals(&applied(&stories), ALL, "2026-06-01", "2026-07-01");
    let rate = value(&june, "I-07");
    assert_eq!((rate.numerator, rate.denominator, rate.deferred), (0, 2, 1));
    assert_eq!(value(&june, "I-12").value, Some(2.0));
    // Taken up again with a new due time, the first one moves to July and counts as any other.
    let [mut first, second, third] = stories;
    first.resume(at("2026-07-05", 9), at("2026-07-07", 18));
    let deltas = applied(&[first, second, third]);
    let rate = value(&totals(&deltas, ALL, "2026-06-01", "2026-07-01"), "I-07");
    assert_eq!((rate.denominator, rate.deferred), (2, 0));
    assert_eq!(value(&totals(&deltas, ALL, "2026-07-01", "2026-08-01"), "I-05").numerator, 1);
}

#[test]
fn the_three_rates_leave_out_who_was_not_reached_and_what_was_not_theirs_to_solve() {
    use proto::case_routing::v1::Resolution;
    let start = at("2026-06-01", 9);
    let make = |contacted: bool, verdict: Verdict, code: ClosedCode| {
        let mut story = Story::register(start, Uuid::from_u128(1));
        story.accept(start, at("2026-06-10", 9), true).triage(start, "roof", "housing");
        let task = story.dispatch(start, DeliveryMode::GovDirect, true, true);
        story.contact(start, contacted).complete(at("2026-06-05", 9), task, true, 7200);
        story.verify(at("2026-06-06", 9), verdict).close(at("2026-06-07", 9), code);
        story
    };
    let good = Verdict::good();
    let stories = [
        make(true, good, ClosedCode::Resolved),
        make(false, Verdict { grade: 2, ..good }, ClosedCode::Resolved),
        make(true, Verdict { contact_confirmed: false, grade: 3, ..good }, ClosedCode::Resolved),
        make(
            true,
            Verdict { resolution: Resolution::PartlyResolved, grade: 0, ..good },
            ClosedCode::PartlyResolved,
        ),
        make(true, Verdict { resolution: Resolution::NotResolved, grade: 4, ..good }, ClosedCode::Explained),
        make(true, Verdict { callback: CallbackOutcome::Unreached, grade: 0, ..good }, ClosedCode::Resolved),
    ];
    let june = totals(&applied(&stories), ALL, "2026-06-01", "2026-07-01");
    let of = |code: &str| {
        let v = value(&june, code);
        (v.numerator, v.denominator)
    };
    assert_eq!(of("I-16"), (3, 5));
    assert_eq!(of("I-17"), (3, 4));
    assert_eq!((of("I-16-unreached"), of("I-17-partly")), ((1, 6), (1, 4)));
    assert_eq!(of("I-18"), (3, 4));
    assert_eq!(of("I-18-strict"), (2, 4));
    assert_eq!(value(&june, "I-19").value, Some(0.705)); // 0.30 * 0.6 + 0.35 * 0.75 * 2
    assert_eq!(value(&june, "I-11-work_day").value, Some(7200.0));
    assert!((value(&june, "I-11-p50-work_day").value.unwrap() - 7200.0).abs() < 7200.0 / 32.0);
}

/// Ten cases by the working day, three by the hour around the clock, one by each of the others; nothing is in a figure of
/// another unit, and a completion without a clock in none.
#[test]
fn handling_times_are_told_apart_by_the_unit_of_their_clock() {
    use proto::case_routing::v1::LimitUnit::{self, CalDay, CalHour, Month, Unspecified, WorkDay, WorkHour};
    let start = at("2026-06-01", 9);
    let done = |item: &str, unit: LimitUnit, hours: i64| {
        let mut story = Story::register(start, Uuid::from_u128(1));
        story.unit = unit;
        story.accept(start, at("2026-06-10", 9), true).triage(start, item, "urban");
        let task = story.dispatch(start, DeliveryMode::GovDirect, true, true);
        story
            .complete(at("2026-06-02", 9), task, true, hours * 3600)
            .verify(at("2026-06-03", 9), Verdict::good())
            .close(at("2026-06-03", 9), ClosedCode::Resolved);
        story
    };
    let mut stories: Vec<Story> = (1..=10).map(|n| done("lamp", WorkDay, n)).collect();
    stories.extend([1, 2, 6].map(|n| done("burst", CalHour, n)));
    stories.extend([done("lamp", WorkHour, 4), done("help", CalDay, 30), done("help", Month, 700)]);
    stories.push(done("help", Unspecified, 0));
    // Reworked by another clock: its last completion counts, once.
    let mut reworked = done("help", Month, 500);
    let task = Uuid::from_u128(9);
    reworked.reopen(at("2026-06-04", 9), at("2026-06-08", 9));
    reworked.unit = CalDay;
    reworked
        .complete(at("2026-06-05", 9), task, true, 50 * 3600)
        .close(at("2026-06-06", 9), ClosedCode::Resolved);
    stories.push(reworked);
    let deltas = applied(&stories);
    let june = totals(&deltas, ALL, "2026-06-01", "2026-07-01");
    let hours = |code: &str| {
        let v = value(&june, code);
        (v.numerator / 3600, v.denominator, v.value.map(|seconds| seconds / 3600.0))
    };
    assert_eq!(hours("I-11-work_day"), (55, 10, Some(5.5)));
    assert_eq!(hours("I-11-cal_hour"), (9, 3, Some(3.0)));
    assert_eq!(hours("I-11-work_hour"), (4, 1, Some(4.0)));
    assert_eq!(hours("I-11-cal_day"), (80, 2, Some(40.0)));
    assert_eq!(hours("I-11-month"), (700, 1, Some(700.0)));
    for (code, expected, count) in [
        ("I-11-p50-work_day", 5.0, 10),
        ("I-11-p90-work_day", 9.0, 10),
        ("I-11-p50-cal_hour", 2.0, 3),
        ("I-11-p90-cal_hour", 6.0, 3),
        ("I-11-p90-month", 700.0, 1),
    ] {
        let (_, n, value) = hours(code);
        assert_eq!(n, count, "{code}");
        assert!((value.unwrap() - expected).abs() <= expected / 32.0, "{code}: {value:?}");
    }
    let burst = totals(&deltas, "burst", "2026-06-01", "2026-07-01");
    assert_eq!(value(&burst, "I-11-cal_hour").denominator, 3);
    assert_eq!(value(&burst, "I-11-work_day").value, None, "no value, never 0");
}

/// Sent back and done again it took all the time since it was accepted, by the kind of time of the first clock.
#[test]
fn what_was_sent_back_is_measured_from_the_start_and_what_was_opened_again_anew() {
    use proto::case_routing::v1::LimitUnit;
    let (start, day) = (at("2026-06-01", 9), |day: i64| at("2026-06-01", 9) + TimeDelta::days(day));
    let task = Uuid::from_u128(9);
    let sent_back = |earlier_build: bool| {
        let mut story = Story::register(start, Uuid::from_u128(1));
        story.earlier_build = earlier_build;
        story.accept(start, day(9), true).triage(start, "roof", "housing");
        story.complete(day(2), task, true, 20 * 3600).rework(day(3), task, day(5));
        story.unit = LimitUnit::CalHour;
        story
    };
    let hours = |story: &Story| {
        let june = totals(&applied(std::slice::from_ref(story)), ALL, "2026-06-01", "2026-07-01");
        ["I-11-work_day", "I-11-cal_hour"].map(|code| value(&june, code).value.map(|mean| mean / 3600.0))
    };
    let mut done = sent_back(false);
    done.complete(day(4), task, true, 5 * 3600).close(day(6), ClosedCode::Resolved);
    assert_eq!(hours(&done), [Some(25.0), None]);
    let mut answered = sent_back(false);
    answered.answer_within(day(4), true, 5 * 3600).close(day(6), ClosedCode::BeyondAuthority);
    assert_eq!(hours(&answered), [Some(25.0), None]);
    // An earlier build told of the rework alone: what was known before stands.
    let mut earlier = sent_back(true);
    earlier.complete(day(4), task, true, 5 * 3600).close(day(6), ClosedCode::Resolved);
    assert_eq!(hours(&earlier), [Some(20.0), None]);

    done.reopen(day(7), day(12));
    let mut answered = done.clone();
    answered.answer(day(8)).close(day(9), ClosedCode::BeyondAuthority);
    assert_eq!(hours(&answered), [None, None], "of an answer alone nothing is measured");
    done.complete(day(8), task, true, 3 * 3600).close(day(9), ClosedCode::Resolved);
    assert_eq!(hours(&done), [None, Some(3.0)]);
}

#[test]
fn repeats_are_those_of_the_accepted_that_case_routing_tells() {
    let start = at("2026-06-01", 9);
    let accepted = || {
        let mut story = Story::register(start, Uuid::from_u128(1));
        story.accept(start, at("2026-06-10", 9), true).triage(start, "roof", "housing");
        story
    };
    // Told with the first dispatch, as when item and place come with the triage.
    let told = || {
        let mut story = accepted();
        story.facts.repeats = true;
        story.dispatch(at("2026-07-02", 9), DeliveryMode::GovDirect, true, true);
        story
    };
    // The matter became another one; merged, it repeats all the same; not accepted, it is in neither.
    let mut another = told();
    another.facts.repeats = false;
    another.triage(at("2026-07-03", 9), "noise", "urban");
    let mut merged = told();
    merged.merge(at("2026-07-03", 9), Uuid::from_u128(7));
    let mut not_accepted = Story::register(start, Uuid::from_u128(1));
    not_accepted.facts.repeats = true;
    not_accepted.decline(start);
    let stories = [accepted(), accepted(), told(), told(), another, merged, not_accepted];
    let deltas = applied(&stories);
    let rate = value(&totals(&deltas, ALL, "2026-06-01", "2026-07-01"), "I-15");
    assert_eq!((rate.numerator, rate.denominator, rate.value), (3, 6, Some(0.5)));
    let noise = value(&totals(&deltas, "noise", "2026-06-01", "2026-07-01"), "I-15");
    assert_eq!((noise.numerator, noise.denominator), (0, 1));
    let july = value(&totals(&deltas, ALL, "2026-07-01", "2026-08-01"), "I-15");
    assert_eq!(july.value, None, "by the day of registration, whenever it is told");
}

#[test]
fn a_matter_answered_at_the_window_counts_with_its_call_back() {
    let start = at("2026-06-01", 9);
    let answered = |verdict: Verdict| {
        let mut story = Story::register(start, Uuid::from_u128(1));
        story.accept(start, at("2026-06-10", 9), true).answer(start);
        story.verify(at("2026-06-02", 9), verdict).close(at("2026-06-03", 9), ClosedCode::Explained);
        story
    };
    let not_due = Verdict { callback: CallbackOutcome::NotDue, grade: 0, ..Verdict::good() };
    let june =
        totals(&applied(&[answered(Verdict::good()), answered(not_due)]), ALL, "2026-06-01", "2026-07-01");
    let of = |code: &str| {
        let v = value(&june, code);
        (v.numerator, v.denominator)
    };
    assert_eq!((of("I-16"), of("I-17"), of("I-18")), ((1, 1), (0, 0), (1, 1)));
    assert_eq!((of("I-07"), of("I-34"), of("I-11-work_day")), ((2, 2), (0, 2), (0, 0)));
}

#[test]
fn once_resolved_is_lost_by_rework_or_by_a_reopening_within_thirty_days() {
    let start = at("2026-06-01", 9);
    let unit = Uuid::from_u128(1);
    let whole = || Story::whole(start, unit, "roof", "housing");
    let mut early = whole();
    early.reopen(at("2026-06-20", 9), at("2026-06-30", 9));
    let mut late = whole();
    late.reopen(at("2026-08-20", 9), at("2026-08-30", 9));
    let mut reworked = Story::register(start, unit);
    reworked.accept(start, at("2026-06-10", 9), true).triage(start, "roof", "housing");
    let task = reworked.dispatch(start, DeliveryMode::GovDirect, true, true);
    reworked
        .complete(at("2026-06-02", 9), task, true, 3600)
        .rework(at("2026-06-03", 9), task, at("2026-06-06", 9))
        .complete(at("2026-06-04", 9), task, true, 7200)
        .verify(at("2026-06-05", 9), Verdict::good())
        .close(at("2026-06-06", 9), ClosedCode::Resolved);
    let june = totals(&applied(&[whole(), early, late, reworked]), ALL, "2026-06-01", "2026-07-01");
    let once = value(&june, "I-08");
    assert_eq!((once.numerator, once.denominator, once.value), (2, 4, Some(0.5)));
    assert_eq!(value(&june, "I-09").numerator, 1);
    // The reopened ones are open again, so they are not among the closed.
    assert_eq!(value(&june, "I-21").denominator, 2);
}

/// Closed by another system, taken over, opened again here and closed here.
#[test]
fn an_imported_case_that_was_opened_again_is_not_resolved_the_first_time() {
    use proto::case_routing::v1::{CaseState, CasesImported, ImportedFact};
    let start = at("2026-06-01", 9);
    for (reopened, once) in [(true, 0), (false, 1)] {
        let mut story = Story::register(start, Uuid::from_u128(1));
        story.events.clear();
        let state = if reopened { CaseState::Closed } else { CaseState::Accepted };
        let told = story.facts.registered_time;
        let closed = told.filter(|_| reopened);
        let fact = ImportedFact {
            case_id: story.case_id.as_bytes().to_vec(),
            version: story.version,
            state: state.into(),
            registered_time: told,
            accepted_time: told,
            completed_time: closed,
            closed_time: closed,
            ..Default::default()
        };
        let message = CasesImported { cases: vec![fact], ..Default::default() };
        let import = Event::of("case-routing", start, Uuid::from_u128(8), 1, &message);
        if reopened {
            story.reopen(at("2026-06-02", 9), at("2026-06-12", 9));
        }
        story
            .complete(at("2026-06-03", 9), Uuid::from_u128(9), true, 3600)
            .verify(at("2026-06-04", 9), Verdict::good())
            .close(at("2026-06-05", 9), ClosedCode::Resolved);
        let mut history = History::default();
        for event in std::iter::once(&import).chain(&story.events) {
            let apply = |one: CaseEvent| {
                history.apply(&one);
                Ok(())
            };
            CaseEvent::each(event, apply).unwrap();
        }
        let june = totals(&history.finish().deltas, ALL, "2026-06-01", "2026-07-01");
        let rate = value(&june, "I-08");
        assert_eq!((rate.numerator, rate.denominator), (once, 1), "{reopened}");
    }
}

/// By its limit: as it is told, or of an earlier build by when it was due and done.
#[test]
fn a_bad_rating_is_put_right_by_an_answer_at_the_window_too() {
    for (in_time, earlier_build) in [(true, false), (false, false), (true, true), (false, true)] {
        let mut story = Story::whole(at("2026-06-01", 9), Uuid::from_u128(1), "roof", "housing");
        story.earlier_build = earlier_build;
        story.rate(at("2026-06-10", 9), 1, Some(true)).reopen(at("2026-06-11", 9), at("2026-06-15", 9));
        let done = if in_time { at("2026-06-14", 9) } else { at("2026-06-16", 9) };
        story.answer_within(done, in_time, 3600);
        let june = totals(&applied(&[story]), ALL, "2026-06-01", "2026-07-01");
        let rate = value(&june, "I-20-rectified");
        assert_eq!((rate.numerator, rate.denominator), (i64::from(in_time), 1), "{in_time} {earlier_build}");
    }
}

#[test]
fn bad_ratings_count_on_their_own_day_and_are_followed_up() {
    let mut story = Story::whole(at("2026-06-01", 9), Uuid::from_u128(1), "roof", "housing");
    let task = Uuid::from_u128(9);
    story
        .rate(at("2026-06-10", 9), 1, Some(true))
        .reopen(at("2026-06-11", 9), at("2026-06-15", 9))
        .complete(at("2026-06-14", 9), task, true, 9000)
        .verify(at("2026-06-15", 9), Verdict::good())
        .close(at("2026-06-16", 9), ClosedCode::Resolved);
    let deltas = applied(&[story]);
    let june = totals(&deltas, ALL, "2026-06-01", "2026-07-01");
    for (code, expected) in [
        ("I-20", (1, 2)),
        ("I-20-bad", (1, 2)),
        ("I-20-rectified", (1, 1)),
        ("I-20-called-back", (1, 1)),
        ("I-21", (1, 1)),
    ] {
        let v = value(&june, code);
        assert_eq!((v.numerator, v.denominator), expected, "{code}");
    }
    let day = totals(&deltas, ALL, "2026-06-10", "2026-06-11");
    assert_eq!(value(&day, "I-20-bad").value, Some(1.0));
}

#[test]
fn a_bad_rating_of_a_merged_case_is_followed_up_by_what_the_other_case_came_to() {
    let (start, rated) = (at("2026-06-01", 9), at("2026-06-10", 9));
    let mut story = Story::register(start, Uuid::from_u128(1));
    story.merge(start, Uuid::from_u128(2)).rate(rated, 1, Some(true));
    let rates = |story: &Story| {
        let june = totals(&applied(std::slice::from_ref(story)), ALL, "2026-06-01", "2026-07-01");
        ["I-20-rectified", "I-20-called-back"].map(|code| {
            let rate = value(&june, code);
            (rate.numerator, rate.denominator)
        })
    };
    assert_eq!(rates(&story), [(0, 1), (0, 1)]);
    story.rectify(at("2026-06-12", 9), true, CallbackOutcome::Unspecified);
    assert_eq!(rates(&story), [(1, 1), (0, 1)]);
    story.rectify(at("2026-06-13", 9), true, CallbackOutcome::Reached);
    assert_eq!(rates(&story), [(1, 1), (1, 1)]);
    // The next one is another one.
    story.rate(at("2026-06-20", 9), 2, Some(true));
    assert_eq!(rates(&story), [(0, 1), (0, 1)]);
    story.rectify(at("2026-06-25", 9), false, CallbackOutcome::Unreached);
    assert_eq!(rates(&story), [(0, 1), (0, 1)], "late, and not reached");
}

#[test]
fn a_bad_rating_found_not_valid_counts_as_called_back_by_the_call_about_it() {
    for (callback, expected) in [(CallbackOutcome::Reached, 1), (CallbackOutcome::Unreached, 0)] {
        let mut story = Story::whole(at("2026-06-01", 9), Uuid::from_u128(1), "roof", "housing");
        story.rate(at("2026-06-10", 9), 1, None).judge(at("2026-06-11", 9), 1, false, callback);
        let june = totals(&applied(&[story]), ALL, "2026-06-01", "2026-07-01");
        let called = value(&june, "I-20-called-back");
        assert_eq!((called.numerator, called.denominator), (expected, 1), "{callback:?}");
    }
}

#[test]
fn what_an_official_wrote_down_is_no_rating_of_the_requesters_own_accord() {
    let closed = |rate: &dyn Fn(&mut Story)| {
        let start = at("2026-06-01", 9);
        let mut story = Story::register(start, Uuid::from_u128(1));
        story.accept(start, at("2026-06-10", 9), true).triage(start, "roof", "housing");
        let task = story.dispatch(start, DeliveryMode::GovDirect, true, true);
        story.complete(at("2026-06-02", 9), task, true, 3600).verify(at("2026-06-03", 9), Verdict::good());
        rate(&mut story);
        story.close(at("2026-06-06", 9), ClosedCode::Resolved);
        let june = totals(&applied(&[story]), ALL, "2026-06-01", "2026-07-01");
        (value(&june, "I-21").numerator, value(&june, "I-20").denominator)
    };
    let (first, then) = (at("2026-06-04", 9), at("2026-06-05", 9));
    let on_behalf = closed(&|story| {
        story.rate_on_behalf(first, 5);
    });
    assert_eq!(on_behalf, (0, 1), "it is a rating all the same");
    let counted = closed(&|story| {
        story.rate(first, 5, None);
    });
    assert_eq!(counted, (1, 1));
    // Once in person is enough, whichever comes first.
    let counted = closed(&|story| {
        story.rate_on_behalf(first, 5).rate(then, 4, None);
    });
    assert_eq!(counted, (1, 1));
    let counted = closed(&|story| {
        story.rate(first, 5, None).rate_on_behalf(then, 4);
    });
    assert_eq!(counted, (1, 1));
}

#[test]
fn tasks_dispatch_and_the_share_of_social_action() {
    let start = at("2026-06-01", 9);
    let mut stories = Vec::new();
    for mode in [
        DeliveryMode::GovDirect,
        DeliveryMode::Volunteer,
        DeliveryMode::SelfGovernance,
        DeliveryMode::GovPurchased,
        DeliveryMode::Market,
    ] {
        let mut story = Story::register(start, Uuid::from_u128(1));
        story.accept(start, at("2026-06-10", 9), true).triage(start, "help", "civil");
        let mut task = story.dispatch(start, mode, true, true);
        if mode == DeliveryMode::GovDirect {
            story.object(start, task).rule(start, task, true).supervise(start, 1, Some(true));
            story.supervise(start, 0, None);
            task = story.dispatch(start, mode, false, false);
        }
        story
            .sign(start, task, mode != DeliveryMode::Market)
            .extend(start, at("2026-06-12", 9))
            .complete(at("2026-06-05", 9), task, true, 7200)
            .verify(at("2026-06-06", 9), Verdict::good())
            .close(at("2026-06-07", 9), ClosedCode::Resolved);
        stories.push(story);
    }
    let june = totals(&applied(&stories), ALL, "2026-06-01", "2026-07-01");
    for (code, expected) in [
        ("I-02", (5, 5)),
        ("I-03", (4, 5)),
        ("I-04", (4, 6)),
        ("I-10", (5, 5)),
        ("I-13", (1, 5)),
        ("I-13-answered", (1, 1)),
        ("I-14", (1, 6)),
        ("I-14-upheld", (1, 1)),
        ("I-14-moves", (1, 5)),
        ("I-34", (3, 4)),
    ] {
        let v = value(&june, code);
        assert_eq!((v.numerator, v.denominator), expected, "{code}");
    }
}

#[test]
fn a_task_that_nobody_has_to_sign_is_among_those_issued_and_one_never_signed_is_late() {
    let start = at("2026-06-01", 9);
    let mut partner = Story::register(start, Uuid::from_u128(1));
    partner.accept(start, at("2026-06-10", 9), true).triage(start, "help", "civil").confirm_offer(start);
    let mut unsigned = Story::register(start, Uuid::from_u128(1));
    unsigned.accept(start, at("2026-06-10", 9), true).triage(start, "help", "civil");
    unsigned.dispatch(start, DeliveryMode::GovDirect, true, true);
    let june = totals(&applied(&[partner, unsigned]), ALL, "2026-06-01", "2026-07-01");
    let signed = value(&june, "I-04");
    assert_eq!((signed.numerator, signed.denominator), (1, 2));
}

#[test]
fn working_days_over_are_those_of_the_cases_still_open_at_the_end() {
    let start = at("2026-06-01", 9);
    let late = |due: &str, done: Option<&str>| {
        let mut story = Story::register(start, Uuid::from_u128(1));
        story.accept(start, at(due, 18), true).triage(start, "roof", "housing");
        let task = story.dispatch(start, DeliveryMode::GovDirect, true, true);
        if let Some(done) = done {
            story.complete(at(done, 9), task, false, 3600);
        }
        story
    };
    // Due on a Friday and on the Monday after; the third was late, too, until the Thursday; the fourth is due later.
    let stories = [
        late("2026-06-05", None),
        late("2026-06-08", None),
        late("2026-06-08", Some("2026-06-11")),
        late("2026-06-30", None),
    ];
    let deltas = applied(&stories);
    let days = |end: &str| value(&totals(&deltas, ALL, "2026-06-01", end), "I-12-days").value;
    assert_eq!(days("2026-06-06"), Some(0.0), "the day itself was not over");
    assert_eq!(days("2026-06-09"), Some(1.0), "a weekend is no working day");
    assert_eq!(days("2026-06-11"), Some(3.0 + 2.0 + 2.0));
    assert_eq!(days("2026-06-13"), Some(5.0 + 4.0), "what is done is over no more");
    assert_eq!(value(&totals(&deltas, ALL, "2026-06-01", "2026-06-13"), "I-12").value, Some(2.0));
}

#[test]
fn the_change_of_satisfaction_is_against_the_same_days_a_year_before() {
    let graded = |day: &str, grade: i32| {
        let mut story = Story::register(at(day, 9), Uuid::from_u128(1));
        story.accept(at(day, 9), at(day, 18), true).triage(at(day, 9), "roof", "housing");
        let task = story.dispatch(at(day, 9), DeliveryMode::GovDirect, true, true);
        story
            .complete(at(day, 10), task, true, 3600)
            .verify(at(day, 11), Verdict { grade, ..Verdict::good() });
        story
    };
    let deltas = applied(&[
        graded("2025-06-02", 5),
        graded("2025-06-03", 4),
        graded("2025-07-01", 1),
        graded("2026-06-02", 3),
        graded("2026-06-03", 4),
        graded("2026-06-04", 4),
    ]);
    let mut june = totals(&deltas, ALL, "2026-06-01", "2026-07-01");
    assert_eq!(value(&june, "I-22").value, None, "nothing to compare with");
    june.year_before = totals(&deltas, ALL, "2025-06-01", "2025-07-01").period;
    let change = value(&june, "I-22");
    assert_eq!((change.numerator, change.denominator, change.value), (-5, 6, Some(-0.8333)));
    assert!(change.small_sample);
}

#[test]
fn what_is_found_on_patrol_and_put_right_on_the_spot_is_counted_apart() {
    use proto::case_routing::v1::{CaseState, Nature, Origin};
    let start = at("2026-06-01", 9);
    let found = |origin: Origin, nature: Nature, solved: bool| {
        let mut story = Story::register(start, Uuid::from_u128(1));
        story.facts.set_origin(origin);
        story.facts.set_nature(nature);
        story.accept(start, at("2026-06-10", 9), true).triage(start, "lamp", "urban");
        if solved {
            story.facts.solved_on_spot = true;
            story.facts.set_state(CaseState::Resolved);
            story.close(start, ClosedCode::Resolved);
        }
        story
    };
    let stories = [
        found(Origin::Patrol, Nature::Component, true),
        found(Origin::Patrol, Nature::CityEvent, false),
        found(Origin::BottomUp, Nature::Component, false),
        found(Origin::BottomUp, Nature::Complaint, false),
        // A topic case: nobody asked, and nobody found it.
        found(Origin::TopDown, Nature::Component, false),
    ];
    let june = totals(&applied(&stories), ALL, "2026-06-01", "2026-07-01");
    for (code, expected) in [("I-24d", (2, 3)), ("I-24e", (1, 2)), ("I-08", (0, 0))] {
        let v = value(&june, code);
        assert_eq!((v.numerator, v.denominator), expected, "{code}");
    }
    // Closed it is, but no case that was due and handled well.
    assert_eq!((value(&june, "I-05").numerator, june.period[crate::domain::Counter::Closed]), (4, 1));
}
