//! A notice is published, or a unit is put under another one, while somebody has to answer a supervision, a notice is shown,
//! papers are outstanding or a benefit waits for its review.

use std::collections::HashMap;
use std::sync::Arc;

use calendar::{Closure, Profile};
use chrono::NaiveDate;
use uuid::Uuid;

use super::super::ApplicationState as S;
use super::super::*;
use super::application_world::*;
use super::world::*;

/// New Year's Day and the weekend after it, which nobody knows of before the notice.
const NEW_YEAR: &str = "2027-01-01/2027-01-03";

fn in_force(world: &World) -> u32 {
    world.rules.calendar.version_with(&world.rules.profile)
}

/// The newest supervision.
fn about(case: &Case) -> Supervision {
    case.supervisions.last().unwrap().clone()
}

/// Supervised by hand on the last day of 2026: a working day to answer ends on 1 January.
fn supervised(world: &mut World) -> Case {
    world.now = at("2026-12-30T09:00:00");
    let case = world.in_progress("stairs");
    world.now = at("2026-12-31T10:00:00");
    case.supervise(1, "slow", None, &world.official(STREET_OFFICE)).unwrap().case
}

/// Overdue since 30 December.
fn overdue(world: &mut World) -> Case {
    world.now = at("2026-12-23T09:00:00");
    let case = world.in_progress("stairs");
    world.now = case.resolve_clock().unwrap().due_at;
    assert_eq!(world.now, at("2026-12-30T17:00:00"));
    let case = world.tick(case).case;
    world.now = at("2026-12-31T10:00:00");
    case
}

fn supervision_moved(decision: &Decision) -> Vec<DomainEvent> {
    let events = decision.events.iter().map(|told| &told.event);
    events.filter(|event| matches!(event, DomainEvent::SupervisionMoved { .. })).cloned().collect()
}

#[test]
fn days_off_leave_longer_to_answer_a_supervision_and_say_so_once() {
    let mut world = World::new();
    let case = supervised(&mut world);
    let known = about(&case);
    assert_eq!(known.due_at, at("2027-01-01T17:00:00"));
    assert_eq!(known.counted.unwrap().calendar_version, in_force(&world));
    world.rules = published(&world.rules, NEW_YEAR, &[]);
    assert!(case.is_behind(&world.rules));
    let moved = case.follow_calendar(&world.system()).unwrap();
    let due_at = at("2027-01-04T17:00:00");
    let told = DomainEvent::SupervisionMoved {
        supervision_id: known.id,
        rises: false,
        due_before_at: known.due_at,
        due_at,
        calendar_version: in_force(&world),
    };
    assert_eq!(supervision_moved(&moved), [told]);
    let step = moved.timeline.iter().find(|entry| entry.event == "SupervisionMoved").unwrap();
    assert_eq!(step.actor, PersonRef::system());
    let text = step.reason.as_ref().unwrap().render(Language::Chinese);
    assert!(text.contains("2027-01-01 17:00") && text.contains("2027-01-04 17:00"), "{text}");
    let case = moved.case;
    assert_eq!((about(&case).due_at, case.counted_with()), (due_at, Some(in_force(&world))));
    assert_eq!(case.clone().follow_calendar(&world.system()), None, "counted once");
    assert_eq!(violations(&case), Vec::<&str>::new());
    world.now = at("2027-01-04T10:00:00");
    let answered = case.answer_supervision(known.id, "under_way", None, &world.official(STATION)).unwrap();
    assert_eq!(about(&answered.case).answered_in_time, Some(true));
}

#[test]
fn days_that_are_worked_after_all_take_no_time_to_answer_back() {
    let mut world = World::new();
    world.rules = published(&world.rules, NEW_YEAR, &[]);
    let case = supervised(&mut world);
    let due_at = at("2027-01-04T17:00:00");
    assert_eq!(about(&case).due_at, due_at);
    world.rules = published(&world.rules, "2027-02-06", &["2027-01-02", "2027-01-03"]);
    let counted = case.follow_calendar(&world.system()).unwrap();
    assert!(supervision_moved(&counted).is_empty());
    let known = about(&counted.case);
    assert_eq!((known.due_at, known.counted.unwrap().calendar_version), (due_at, in_force(&world)));
}

#[test]
fn what_was_answered_rises_later_unless_the_answer_promised_its_own_time() {
    let mut world = World::new();
    let case = overdue(&mut world);
    let id = about(&case).id;
    let promised = at("2027-01-01T12:00:00");
    let by = |world: &mut World, promised| {
        let case = case.clone();
        case.answer_supervision(id, "under_way", promised, &world.official(STATION)).unwrap().case
    };
    let (said, kept) = (by(&mut world, None), by(&mut world, Some(promised)));
    assert_eq!(about(&said).rises_at, Some(at("2027-01-01T17:00:00")));
    world.rules = published(&world.rules, NEW_YEAR, &[]);
    let counted = kept.follow_calendar(&world.system()).unwrap(); // the other supervisions are
    assert!(supervision_moved(&counted).is_empty(), "promised, not counted");
    assert_eq!(about(&counted.case).rises_at, Some(promised));

    let moved = said.clone().follow_calendar(&world.system()).unwrap();
    let told = DomainEvent::SupervisionMoved {
        supervision_id: id,
        rises: true,
        due_before_at: at("2027-01-01T17:00:00"),
        due_at: at("2027-01-04T17:00:00"),
        calendar_version: in_force(&world),
    };
    assert_eq!(supervision_moved(&moved), [told]);
    // A timer that comes first keeps to it, too.
    world.now = at("2027-01-01T17:01:00");
    let late = world.tick(said);
    assert_eq!((supervision_moved(&late).len(), about(&late.case).level), (1, 1));
    assert_eq!(moved.case.clone().tick(&world.system()).unwrap(), None);
    world.now = at("2027-01-04T17:00:00");
    assert_eq!(about(&world.tick(moved.case).case).level, 2);
}

#[test]
fn what_was_cleared_follows_nothing() {
    let mut world = World::new();
    assert_eq!(world.closed("stairs").counted_with(), None);
    let case = supervised(&mut world);
    let id = about(&case).id;
    let case = case.clear_supervision(id, 3, &world.official(STREET_OFFICE)).unwrap().case;
    world.rules = published(&world.rules, NEW_YEAR, &[]);
    let followed = case.follow_calendar(&world.system()).unwrap();
    assert!(supervision_moved(&followed).is_empty());
    assert_eq!(about(&followed.case).due_at, at("2027-01-01T17:00:00"));
}

/// Neither a reminder whose time has run out nor an answer that leads nowhere has longer, and neither keeps the case behind.
#[test]
fn what_is_over_and_leads_to_nothing_is_counted_and_does_not_move() {
    let hour = at("2027-01-01T18:00:00");
    let due_at = at("2027-01-01T17:00:00");
    for (level, answers) in [(0, false), (3, false), (0, true), (1, true)] {
        let mut world = World::new();
        world.now = at("2026-12-30T09:00:00");
        let case = world.in_progress("stairs");
        world.now = at("2026-12-31T10:00:00");
        let mut case = case.supervise(level, "slow", None, &world.official(STREET_OFFICE)).unwrap().case;
        let id = about(&case).id;
        assert_eq!(about(&case).due_at, due_at);
        if answers {
            case = case.answer_supervision(id, "done", None, &world.official(STATION)).unwrap().case;
        }
        let known = about(&case);
        world.now = hour;
        world.rules = published(&world.rules, NEW_YEAR, &[]);
        let followed = case.follow_calendar(&world.system()).unwrap();
        assert!(supervision_moved(&followed).is_empty(), "level {level}, answered: {answers}");
        let after = about(&followed.case);
        assert_eq!((after.due_at, after.rises_at), (known.due_at, known.rises_at));
        assert_eq!(after.counted.unwrap().calendar_version, in_force(&world));
        assert!(!followed.case.is_behind(&world.rules), "level {level}, answered: {answers}");
    }
}

/// Nobody has answered, and the sweeper has not come yet: the days off count.
#[test]
fn a_supervision_that_a_timer_follows_has_longer_also_when_its_time_has_run_out() {
    let mut world = World::new();
    let case = supervised(&mut world);
    world.now = at("2027-01-01T18:00:00");
    world.rules = published(&world.rules, NEW_YEAR, &[]);
    let followed = case.follow_calendar(&world.system()).unwrap();
    assert_eq!(supervision_moved(&followed).len(), 1);
    assert_eq!(about(&followed.case).due_at, at("2027-01-04T17:00:00"));
}

fn dora() -> Party {
    person("dora", STREET_OFFICE)
}

/// Shown until the end of 1 January.
fn noticed(world: &mut World) -> Way {
    world.now = at("2026-12-25T09:00:00");
    let way = world.way(RELIEF, S::PublicNotice);
    assert_eq!(way.papers.notices.last().unwrap().over_at, at("2027-01-02T00:00:00"));
    way
}

fn shown(case: &Case) -> Option<&CurrentNotice> {
    case.application.as_ref().and_then(|face| face.notice.as_ref())
}

#[test]
fn a_notice_is_shown_longer_where_its_last_day_becomes_a_rest_day() {
    let mut world = application_world();
    let Way { papers, case } = noticed(&mut world);
    let before = papers.notices.last().unwrap().clone();
    world.rules = published(&world.rules, NEW_YEAR, &[]);
    let followed = case.clone().follow_calendar(&world.system()).unwrap();
    let over_at = at("2027-01-05T00:00:00");
    let told = DomainEvent::Application {
        news: ApplicationNews::NoticeProlonged {
            notice_id: before.id,
            over_before_at: before.over_at,
            over_at,
            calendar_version: in_force(&world),
        },
    };
    assert!(followed.events.iter().any(|event| event.event == told), "{:?}", followed.events);
    let longer = followed.case;
    assert_eq!(shown(&longer).map(|notice| (notice.id, notice.over_at)), Some((before.id, over_at)));
    // The papers are apart, and whoever reads them sees the day as it is now.
    let read = papers.as_of(&longer);
    let on_file = read.notices.last().unwrap();
    assert_eq!((on_file.over_at, on_file.calendar_version), (over_at, in_force(&world)));
    assert_eq!(on_file.last_day().to_string(), "2027-01-04");

    world.now = at("2027-01-02T00:00:01");
    let ticked = world.tick(case);
    assert!(shown(&ticked.case).is_some(), "a timer that comes first keeps to it: {:?}", names(&ticked));
    let early = papers.clone().approve(100, longer.clone(), &world.act(dora()));
    assert_eq!(guard(early.map(|filed| filed.decision)), "notice_runs");
    world.now = over_at;
    let ended = world.tick(longer);
    assert!(names(&ended).contains(&"ApplicationNoticeEnded") && shown(&ended.case).is_none());
    let filed = papers.approve(100, ended.case, &world.act(dora())).unwrap();
    assert_eq!(filed.application.notices.last().unwrap().over_at, over_at, "the papers know it now");
    assert_eq!(filed.decision.case.application.unwrap().moved, MovedDays::default());
}

#[test]
fn a_last_day_that_is_worked_after_all_shortens_no_notice() {
    let mut world = application_world();
    world.rules = published(&world.rules, NEW_YEAR, &[]);
    world.now = at("2026-12-25T09:00:00");
    let way = world.way(RELIEF, S::PublicNotice);
    let over_at = at("2027-01-05T00:00:00");
    assert_eq!(shown(&way.case).unwrap().over_at, over_at);
    world.rules = published(&world.rules, "2027-02-06", &["2027-01-02"]);
    let counted = way.case.follow_calendar(&world.system()).unwrap();
    assert_eq!(shown(&counted.case).unwrap().over_at, over_at);
    assert!(!names(&counted).contains(&"ApplicationNoticeProlonged"));
    assert!(!counted.case.is_behind(&world.rules));
}

#[test]
fn days_off_leave_longer_for_the_papers_of_an_urgent_grant() {
    let mut world = application_world();
    world.now = at("2026-12-18T09:00:00");
    let Way { papers, case } = world.urgent();
    let due_before_at = papers.papers.as_ref().unwrap().due_at;
    assert_eq!(due_before_at, at("2027-01-01T17:00:00"));
    world.rules = published(&world.rules, NEW_YEAR, &[]);
    let due_at = at("2027-01-04T17:00:00");
    let followed = case.clone().follow_calendar(&world.system()).unwrap();
    let calendar_version = in_force(&world);
    let news = ApplicationNews::PapersMoved { due_before_at, due_at, calendar_version };
    let told = DomainEvent::Application { news };
    assert!(followed.events.iter().any(|event| event.event == told), "{:?}", followed.events);
    assert_eq!(papers.as_of(&followed.case).papers.as_ref().unwrap().due_at, due_at);

    world.now = at("2027-01-01T18:00:00");
    let ticked = world.tick(case).case;
    assert!(ticked.supervisions.iter().all(|known| known.reason_code != "papers_overdue"));
    world.now = at("2027-01-04T10:00:00");
    let filed = papers.submit_papers(brought(), followed.case, &world.resident()).unwrap();
    let submitted = ApplicationNews::PapersSubmitted { in_time: true };
    let submitted = DomainEvent::Application { news: submitted };
    assert!(filed.decision.events.iter().any(|told| told.event == submitted));
    let brought = filed.application.papers.unwrap();
    assert_eq!((brought.due_at, brought.calendar_version), (due_at, calendar_version));
}

#[test]
fn papers_are_never_due_earlier() {
    let mut world = application_world();
    world.rules = published(&world.rules, NEW_YEAR, &[]);
    world.now = at("2026-12-18T09:00:00");
    let way = world.urgent();
    let due_at = at("2027-01-04T17:00:00");
    assert_eq!(way.papers.papers.as_ref().unwrap().due_at, due_at);
    world.rules = published(&world.rules, "2027-02-06", &["2027-01-02", "2027-01-03"]);
    let counted = way.case.follow_calendar(&world.system()).unwrap();
    assert_eq!(counted.case.application.as_ref().unwrap().papers_due_at, Some(due_at));
    assert!(!names(&counted).contains(&"ApplicationPapersMoved"));
}

#[test]
fn a_case_of_an_earlier_release_keeps_the_days_that_it_was_given() {
    let mut world = application_world();
    let mut case = noticed(&mut world).case;
    let over_at = shown(&case).unwrap().over_at;
    if let Some(notice) = case.application.as_mut().and_then(|face| face.notice.as_mut()) {
        notice.counted = None;
    }
    let stored = serde_json::to_value(&case).unwrap();
    assert!(stored["application"]["notice"].get("counted").is_none(), "as it was written then");
    let case: Case = serde_json::from_value(stored).unwrap();
    world.rules = published(&world.rules, NEW_YEAR, &[]);
    let followed = case.follow_calendar(&world.system()).unwrap().case;
    assert_eq!(shown(&followed).unwrap().over_at, over_at);
}

#[test]
fn a_review_day_that_becomes_a_rest_day_gives_way_to_the_next_working_day_and_never_comes_earlier() {
    let world = World::new();
    let (first, fourth) = (at("2027-01-01T00:00:00"), at("2027-01-04T00:00:00"));
    assert_eq!(review_day(first, &world.rules), first);
    let longer = published(&world.rules, NEW_YEAR, &[]);
    assert_eq!(review_day(first, &longer), fourth);
    assert_eq!(review_day(fourth, &longer), fourth);
    let back = published(&longer, "2027-02-06", &["2027-01-02", "2027-01-03"]);
    assert_eq!(review_day(fourth, &back), fourth);
}

// --- units that are put under others

const NEXT_STREET: UnitId = UnitId(Uuid::from_u128(0x1007));

/// The district with another street, and the community under one of the two.
fn community_under(street: UnitId) -> RoutingTable {
    let mut parts = parts();
    let path: Arc<[UnitId]> = Arc::from([CITY, DISTRICT, NEXT_STREET]);
    parts.units.push(UnitNode { id: NEXT_STREET, kind: UnitKind::Street, path });
    for unit in &mut parts.units {
        let Some(depth) = unit.path.iter().position(|id| *id == COMMUNITY) else { continue };
        let above = [CITY, DISTRICT, street].into_iter();
        let path: Vec<UnitId> = above.chain(unit.path[depth..].iter().copied()).collect();
        unit.path = path.into();
    }
    RoutingTable::new(parts)
}

/// The other street is closed on 10 and 11 June.
fn next_street_closed(version: u16) -> Hours {
    let day = |day| NaiveDate::from_ymd_opt(2026, 6, day).unwrap();
    let closure = Closure { from: day(10), to: day(11), authority_ref: "令〔2026〕1号".into() };
    let there = Profile::office().closed(closure).unwrap().at_version(version);
    Hours { usual: Profile::office().at_version(version), of_units: HashMap::from([(NEXT_STREET, there)]) }
}

#[test]
fn a_case_is_counted_by_the_hours_of_where_its_unit_lies_now_and_never_earlier() {
    let mut world = World::new();
    world.routes = community_under(STREET);
    world.rules = world.rules.clone().with_hours(&next_street_closed(1));
    let case = world.dispatched("stairs");
    let due = |case: &Case| case.resolve_clock().unwrap().due_at;
    assert_eq!(due(&case), at("2026-06-15T17:00:00"));

    world.routes = community_under(NEXT_STREET);
    world.rules = world.rules.clone().with_hours(&next_street_closed(2));
    let moved = case.clone().follow_calendar(&world.system()).unwrap();
    assert!(names(&moved).contains(&"ClockMoved"));
    let later = at("2026-06-17T17:00:00");
    assert_eq!((due(&moved.case), moved.case.lead().unwrap().due_at), (later, Some(later)));
    assert_eq!(moved.case.place, case.place, "what was written down of the place stays");
    assert_eq!(moved.case.clone().follow_calendar(&world.system()), None, "once");

    world.routes = community_under(STREET);
    world.rules = world.rules.clone().with_hours(&next_street_closed(3));
    let back = moved.case.follow_calendar(&world.system()).unwrap();
    assert_eq!((names(&back), due(&back.case)), (vec![], later), "promised");
    assert_eq!(due(&world.dispatched("stairs")), at("2026-06-15T17:00:00"));
}

/// The district with what is applied for.
fn application_world() -> World {
    super::application_world::world()
}
