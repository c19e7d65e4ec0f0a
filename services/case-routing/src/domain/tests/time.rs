//! What time does by itself: every expiry of the clock table, in order, once, however late the sweep.

use calendar::{Limit, TimeUnit};
use chrono::TimeDelta;

use super::super::*;
use super::world::*;

/// Sweeps until nothing is due before `until`, as a sweeper would.
fn sweep(world: &mut World, mut case: Case, until: Timestamp) -> (Case, Vec<&'static str>) {
    let mut told = Vec::new();
    while let Some(at) = case.next_timer_at().filter(|at| *at <= until) {
        world.now = at.max(world.now);
        let decision = world.tick(case);
        told.extend(names(&decision));
        case = decision.case;
    }
    (case, told)
}

#[test]
fn silence_at_intake_is_acceptance_counted_late() {
    let mut world = World::new();
    let case = world.registered();
    let accept = case.clock(ClockKind::Accept, None).unwrap().clone();
    let due = accept.due_at;
    assert_eq!(case.next_timer_at(), accept.next_warning().map(|(at, _)| at));
    assert_eq!(case.clone().tick(&world.system()).unwrap(), None);
    world.now = due + TimeDelta::hours(5);
    let decision = world.tick(case);
    assert_eq!(
        names(&decision)[..2],
        ["ClockBreached", "CaseAccepted"],
        "nobody is reminded of what is over"
    );
    let DomainEvent::CaseAccepted { in_time: false, by_silence: true } = decision.events[1].event else {
        panic!()
    };
    assert_eq!(
        decision.case.accepted_at,
        Some(due),
        "the service starts when the limit ended, not when it was seen"
    );
    assert_eq!(decision.timeline[0].actor, PersonRef::system());
}

#[test]
fn what_silence_has_accepted_is_not_refused_though_no_timer_was_there_yet() {
    let mut world = World::new();
    let case = world.registered();
    let due = case.clock(ClockKind::Accept, None).unwrap().due_at;
    let missing = || vec!["id_copy".to_owned()];
    world.now = due;
    assert!(case.clone().decline("out_of_scope", "petition", &world.official(STATION)).is_ok());
    let asked = case.clone().request_supplement(missing(), &world.official(STATION)).unwrap().case;
    world.wait(TimeDelta::seconds(1));
    let declined = case.clone().decline("out_of_scope", "petition", &world.official(STATION));
    assert_eq!(guard(declined), "accepted_by_silence");
    let refused = case.clone().request_supplement(missing(), &world.official(STATION));
    assert_eq!(guard(refused), "accepted_by_silence");
    // Whoever takes it in does so late, and while a list is out the limit stands still.
    let late = case.accept(&world.official(STATION)).unwrap();
    let DomainEvent::CaseAccepted { in_time: false, by_silence: false } = late.events[0].event else {
        panic!()
    };
    world.wait(TimeDelta::hours(1));
    assert!(asked.supplement(materials(&["id_copy"]), &world.resident()).is_ok());
}

#[test]
fn an_unsent_supplement_ends_as_the_item_says() {
    for (item, event, state) in
        [("licence", "CaseAccepted", CaseState::Accepted), ("stairs", "CaseWithdrawn", CaseState::Withdrawn)]
    {
        let mut world = World::new();
        let register = RegisterCase { item_code: Some(item.into()), ..world.register() };
        let case = Case::register(register, &world.official(STATION)).unwrap().case;
        let case = case.request_supplement(vec!["id_copy".into()], &world.official(STATION)).unwrap().case;
        let due = case.clock(ClockKind::Supplement, None).unwrap().due_at;
        world.now = due;
        let decision = world.tick(case);
        assert_eq!(names(&decision), [event]);
        assert_eq!(decision.case.state, state);
        assert_eq!(violations(&decision.case), Vec::<&str>::new());
    }
}

#[test]
fn silence_withdraws_nothing_that_its_requester_could_not_withdraw_or_answer() {
    let of = |code: &str, world: &mut World| {
        let register = world.register();
        RegisterCase { item_code: Some(code.into()), ..register }
    };
    let anonymous = |register: RegisterCase| RegisterCase {
        nature: Nature::Report,
        anonymous: true,
        requester: None,
        urgency: Urgency::Urgent,
        ..register
    };
    let items = vec![
        item("stairs", "housing"),
        ServiceItem { withdrawal_barred: true, ..item("gas_smell", "safety") },
        ServiceItem { nature: Nature::Report, ..item("collapsed_road", "urban") },
    ];
    let mut world = World::of(TableParts { items, ..parts() });
    let emergency = RegisterCase { urgency: Urgency::Emergency, ..of("stairs", &mut world) };
    let patrol = RegisterCase { origin: Origin::Patrol, requester: None, ..of("stairs", &mut world) };
    let registered = [
        ("no item yet", world.register()),
        ("barred", of("gas_smell", &mut world)),
        ("emergency", emergency),
        ("anonymous", anonymous(of("collapsed_road", &mut world))),
        ("nobody asked", patrol),
    ];
    for (what, register) in registered {
        let case = Case::register(register, &world.official(STATION)).unwrap().case;
        let case = case.request_supplement(vec!["place".into()], &world.official(STATION)).unwrap().case;
        world.now = case.clock(ClockKind::Supplement, None).unwrap().due_at;
        let decision = world.tick(case);
        assert_eq!(names(&decision), ["CaseAccepted"], "{what}");
        let DomainEvent::CaseAccepted { in_time: false, by_silence: true } = decision.events[0].event else {
            panic!("{what}")
        };
        assert_eq!(violations(&decision.case), Vec::<&str>::new(), "{what}");
    }
    // Another system answers for whoever it knows.
    let pushed = anonymous(of("collapsed_road", &mut world));
    let case = Case::register(pushed, &world.official(STATION)).unwrap().case;
    let ticket = TicketId(world.fresh());
    let case = Case { external: vec![exchange::ExternalLink { ticket, told: 0 }], ..case };
    let case = case.request_supplement(vec!["place".into()], &world.official(STATION)).unwrap().case;
    world.now = case.clock(ClockKind::Supplement, None).unwrap().due_at;
    assert_eq!(world.tick(case).case.state, CaseState::Withdrawn);
}

#[test]
fn an_offer_that_nobody_answers_goes_on_to_the_next_and_at_last_to_the_public_service() {
    let mut world = World::new();
    let case = world.dispatched("shopping_help");
    let until = world.now + TimeDelta::days(3);
    let (case, told) = sweep(&mut world, case, until);
    let offers = told.iter().filter(|name| **name == "CaseOfferWithdrawn").count();
    assert_eq!(offers, 3);
    assert_eq!((case.lead_org, case.tried_partners.len()), (Some(STATION), 3));
}

#[test]
fn an_acceptance_after_the_deadline_does_not_bind() {
    let mut world = World::new();
    let case = world.dispatched("shopping_help");
    let offer = case.offer.clone().unwrap();
    world.now = offer.due_at + TimeDelta::minutes(1);
    let late = case.clone().social_accepted(offer.id, &world.system()).unwrap().unwrap();
    assert_eq!(names(&late), ["CaseOfferWithdrawn", "CaseOffered"]);
    assert!(matches!(
        case.confirm_offer(offer.id, &world.official(GROUP)),
        Err(DomainError::Guard { code: "offer_too_late", .. })
    ));
}

#[test]
fn an_overdue_partner_gives_way_while_there_is_time_left() {
    let mut world = World::new();
    let case = world.with_partner();
    let (partner_due, due) = (case.lead().unwrap().due_at.unwrap(), case.resolve_clock().unwrap().due_at);
    let (case, told) = sweep(&mut world, case, partner_due);
    assert!(told.ends_with(&["CaseReturnedFromSociety", "CaseDispatched", "TaskIssued"]), "{told:?}");
    assert!(world.now < due && case.resolve_clock().unwrap().due_at == due);
}

#[test]
fn an_unsigned_task_is_supervised_and_signing_clears_it() {
    let mut world = World::new();
    let case = world.dispatched("stairs");
    let lead = case.lead_task.unwrap();
    world.now = case.clock(ClockKind::Sign, Some(lead)).unwrap().due_at;
    let decision = world.tick(case);
    let expected = ["ClockBreached", "SupervisionIssued"].repeat(2);
    assert_eq!(names(&decision), expected, "the lead's and the assist's");
    let signed = decision.case.sign(lead, &world.official(STATION)).unwrap();
    assert_eq!(names(&signed), ["SupervisionCleared", "TaskSigned"]);
    let DomainEvent::TaskSigned { in_time: false, .. } = signed.events[1].event else { panic!() };
}

#[test]
fn a_long_overdue_case_is_warned_of_breached_and_escalated_to_the_top_once() {
    let mut world = World::new();
    let case = world.in_progress("stairs");
    let until = world.now + TimeDelta::days(60);
    let (case, told) = sweep(&mut world, case, until);
    let resolve: Vec<_> = told.iter().filter(|name| name.starts_with("Clock")).collect();
    let count = |name| told.iter().filter(|told| **told == name).count();
    assert_eq!(
        count("ClockWarned"),
        6,
        "half and four fifths, of the resolve clock and of both of the assist: {resolve:?}"
    );
    let resolve = case.clock(ClockKind::Resolve, None).unwrap();
    assert_eq!(resolve.breached_at, Some(resolve.due_at));
    let level =
        |kind| case.supervisions.iter().find(|supervision| supervision.clock == Some(kind)).unwrap().level;
    assert_eq!(level(ClockKind::Resolve), 3);
    assert_eq!(level(ClockKind::Assist), 0, "a reminder does not escalate");
    assert!(case.is_overdue(world.now));
    assert_eq!(case.next_timer_at(), None);
    assert_eq!(violations(&case), Vec::<&str>::new());
}

#[test]
fn one_late_sweep_brings_the_same_as_many_timely_ones_but_for_reminders_of_what_is_over() {
    for item in ["stairs", "street_light", "shopping_help"] {
        let (mut timely, mut late) = (World::new(), World::new());
        let (one, other) = (timely.dispatched(item), late.dispatched(item));
        let until = timely.now + TimeDelta::days(45);
        let (one, told) = sweep(&mut timely, one, until);
        late.now = until;
        let decision = late.tick(other);
        let but_reminders = |told: &[&'static str]| -> Vec<&'static str> {
            told.iter().copied().filter(|name| *name != "ClockWarned").collect()
        };
        assert_eq!(but_reminders(&names(&decision)), but_reminders(&told), "{item}");
        let breaches =
            |case: &Case| case.clocks.iter().map(|clock| (clock.kind, clock.breached_at)).collect::<Vec<_>>();
        assert_eq!(breaches(&decision.case), breaches(&one), "{item}");
        let levels = |case: &Case| {
            case.supervisions
                .iter()
                .map(|found| (found.level, found.issued_at, found.due_at))
                .collect::<Vec<_>>()
        };
        assert_eq!(levels(&decision.case), levels(&one), "{item}");
        assert_eq!(decision.case.tick(&late.system()).unwrap(), None, "a second sweep changes nothing");
    }
}

#[test]
fn a_suspended_case_stands_still_and_resumes_at_its_date() {
    let mut world = World::new();
    let case = world.in_progress("stairs");
    let due = case.resolve_clock().unwrap().due_at;
    let too_late = world.now + TimeDelta::days(100);
    let refused = case.clone().suspend("expert_review", "doc:told", Some(too_late), &world.official(STATION));
    assert!(matches!(refused, Err(DomainError::Invalid { field: "resume_time", .. })));
    let refused = case.clone().suspend("lunch", "doc:told", None, &world.official(STATION));
    assert!(matches!(refused, Err(DomainError::Invalid { field: "cause_code", .. })));
    let resume_at = world.now + TimeDelta::days(7);
    let case =
        case.suspend("expert_review", "doc:told", Some(resume_at), &world.official(STATION)).unwrap().case;
    assert_eq!(case.facts().due_before_pause_at, Some(due));
    assert_eq!(violations(&case), Vec::<&str>::new());
    let (case, told) = sweep(&mut world, case, resume_at);
    assert!(told.contains(&"CaseResumed"));
    assert_eq!(case.state, CaseState::InProgress);
    assert!(case.resolve_clock().unwrap().due_at > due);
    assert_eq!(case.facts().due_before_pause_at, None);
    assert_eq!(case.lead().unwrap().due_at, case.facts().resolve_due_at);
}

#[test]
fn for_one_cause_a_case_waits_so_many_days_in_all_and_longer_only_by_the_level_above() {
    let mut world = World::new();
    let case = world.in_progress("stairs");
    let suspend = |world: &mut World, case: &Case, cause: &str, days: Option<i64>, by: OrgId| {
        let resume_at = days.map(|days| world.now + TimeDelta::days(days));
        case.clone().suspend(cause, "doc:told", resume_at, &world.official(by))
    };
    let days_waited = |case: &Case| {
        let days = |waited: &Waited| (waited.cause_code.clone(), waited.seconds / 86_400);
        case.waited.iter().map(days).collect::<Vec<_>>()
    };
    // Of ten days that were granted four are used: they count, the others are left.
    let waits = suspend(&mut world, &case, "expert_review", Some(10), STATION).unwrap().case;
    world.wait(TimeDelta::days(4));
    let case = waits.resume(&world.official(STATION)).unwrap().case;
    assert_eq!(days_waited(&case), [("expert_review".to_owned(), 4)]);
    for by in [STATION, STREET_OFFICE] {
        let more = suspend(&mut world, &case, "expert_review", Some(27), by);
        assert_eq!(guard(more), "suspensions_used_up", "{by}");
    }
    let unrelated = suspend(&mut world, &case, "expert_review", Some(27), HOUSING);
    assert_eq!(guard(unrelated), "lead_org");
    let too_long = suspend(&mut world, &case, "expert_review", Some(31), GOVERNMENT);
    assert_eq!(guard(too_long), "resume_time", "nor does the level above grant more at a time");
    // Within the days it is for those who answer for the case, and each cause has its own.
    let early = suspend(&mut world, &case, "expert_review", Some(26), GOVERNMENT);
    assert_eq!(guard(early), "lead_org");
    suspend(&mut world, &case, "season_condition", Some(90), STATION).unwrap();
    let approvers = |case: &Case, days: i64| {
        let until = Some(world.now + TimeDelta::days(days));
        case.suspension_approvers("expert_review", until, &world.routes, &world.rules, world.now)
    };
    assert_eq!(approvers(&case, 26), [STATION, STREET_OFFICE]);
    assert_eq!(approvers(&case, 27), [GOVERNMENT]);

    // Without a date it waits as long as is left, and then goes on by itself.
    let rest = suspend(&mut world, &case, "expert_review", None, STATION).unwrap().case;
    let until = world.now + TimeDelta::days(26);
    assert_eq!(rest.suspension.as_ref().unwrap().resume_at, Some(until));
    let (case, _) = sweep(&mut world, rest, until);
    assert_eq!(case.state, CaseState::InProgress);
    assert_eq!(days_waited(&case), [("expert_review".to_owned(), 30)]);
    for days in [None, Some(1)] {
        let more = suspend(&mut world, &case, "expert_review", days, STATION);
        assert_eq!(guard(more), "suspensions_used_up");
    }
    let granted = suspend(&mut world, &case, "expert_review", None, GOVERNMENT).unwrap();
    assert_eq!(granted.timeline[0].org, Some(GOVERNMENT));
    let again = granted.case;
    assert_eq!(again.suspension.as_ref().unwrap().resume_at, Some(world.now + TimeDelta::days(30)));
    // What ends the case ends the waiting, and counts it.
    world.wait(TimeDelta::days(2));
    let ended = again.withdraw("not_needed", None, &world.resident()).unwrap().case;
    assert_eq!(ended.suspension, None);
    assert_eq!(days_waited(&ended), [("expert_review".to_owned(), 32)]);
    assert_eq!(violations(&ended), Vec::<&str>::new());
}

#[test]
fn more_time_is_given_before_the_limit_has_passed_and_not_for_ever() {
    let mut world = World::new();
    let case = world.in_progress("stairs");
    let due = case.resolve_clock().unwrap().due_at;
    let days = |n| Limit::new(TimeUnit::WorkDay, n);
    let hours = Limit::new(TimeUnit::CalHour, 5);
    let hours = case.clone().extend(hours, "complex", "doc:told", &world.official(STATION));
    assert!(matches!(hours, Err(DomainError::Invalid { field: "extension", .. })));
    let extended = case.extend(days(3), "complex", "doc:told", &world.official(STATION)).unwrap();
    assert_eq!(names(&extended), ["CaseExtended"]);
    assert!(extended.case.resolve_clock().unwrap().due_at > due);
    let twice = extended.case.extend(days(1), "complex", "doc:told", &world.official(STATION)).unwrap().case;
    let thrice = twice.clone().extend(days(1), "complex", "doc:told", &world.official(STATION));
    assert!(matches!(thrice, Err(DomainError::Guard { code: "extensions_used_up", .. })));
    // The level above decides then: of a community's case not its street, which approves it otherwise.
    let mut by = |org| twice.clone().extend(days(1), "complex", "doc:told", &world.official(org));
    assert_eq!(guard(by(STREET_OFFICE)), "extensions_used_up");
    assert_eq!(guard(by(HOUSING)), "extension_approver");
    let more = by(GOVERNMENT).unwrap();
    assert_eq!((more.case.extension_count, more.timeline[0].org), (3, Some(GOVERNMENT)));
    let case = world.in_progress("stairs");
    world.now = case.resolve_clock().unwrap().due_at + TimeDelta::seconds(1);
    let late = case.extend(days(1), "complex", "doc:told", &world.official(STATION));
    assert!(matches!(late, Err(DomainError::Guard { code: "extension_too_late", .. })));
}

#[test]
fn more_time_is_approved_by_whoever_leads_and_by_the_level_above_only_beyond_the_usual_number() {
    let mut world = World::new();
    let day = Limit::new(TimeUnit::WorkDay, 1);
    for (item, lead, usual) in [
        ("stairs", STATION, vec![STATION, STREET_OFFICE]),
        ("street_light", STREET_OFFICE, vec![STREET_OFFICE]),
        // Guided, not led.
        ("committee_matter", COMMITTEE, vec![COMMITTEE, STREET_OFFICE]),
    ] {
        let case = world.in_progress(item);
        let approvers = |case: &Case| case.extension_approvers(&world.routes, &world.rules, world.now);
        assert_eq!((case.lead_org, approvers(&case)), (Some(lead), usual));
        let used_up = Case { extension_count: 2, ..case.clone() };
        assert_eq!(approvers(&used_up), [GOVERNMENT]);
        let early = case.extend(day, "complex", "doc:told", &world.official(GOVERNMENT));
        assert_eq!(guard(early), "extension_approver");
    }
    // Nobody stands above the district here.
    let case =
        world.triaged("nobodys").dispatch(&manual(GOVERNMENT), &world.official(GOVERNMENT)).unwrap().case;
    let case = case.extend(day, "complex", "doc:told", &world.official(GOVERNMENT)).unwrap().case;
    let case = case.extend(day, "complex", "doc:told", &world.official(GOVERNMENT)).unwrap().case;
    let more = case.extend(day, "complex", "doc:told", &world.official(GOVERNMENT));
    assert_eq!(guard(more), "extensions_used_up");
}

#[test]
fn more_time_never_goes_past_the_day_that_the_law_sets() {
    let days = |n| Limit::new(TimeUnit::WorkDay, n);
    let mut world = World::new();
    let case = world.in_progress("street_light");
    let start = case.resolve_clock().unwrap().started_at;
    let lawful = world.rules.calendar.add(TimeUnit::WorkDay, 15, start, &world.rules.profile).at;
    for n in [11, 366] {
        let refused = case.clone().extend(days(n), "complex", "doc:told", &world.official(STREET_OFFICE));
        assert_eq!(guard(refused), "beyond_statutory_limit");
    }
    let case = case.extend(days(10), "complex", "doc:told", &world.official(STREET_OFFICE)).unwrap().case;
    assert_eq!(case.resolve_clock().unwrap().due_at, lawful);
    let refused = case.clone().extend(days(1), "complex", "doc:told", &world.official(STREET_OFFICE));
    assert_eq!(guard(refused), "beyond_statutory_limit");
    // Time that does not count moves the law's day as well.
    let resume_at = world.now + TimeDelta::days(7);
    let case = case
        .suspend("expert_review", "doc:told", Some(resume_at), &world.official(STREET_OFFICE))
        .unwrap()
        .case;
    let (case, _) = sweep(&mut world, case, resume_at);
    assert!(case.resolve_clock().unwrap().due_at > lawful);
    assert_eq!(
        guard(case.extend(days(1), "complex", "doc:told", &world.official(STREET_OFFICE))),
        "beyond_statutory_limit"
    );

    // Where the law sets none, it is the number of units that bounds it.
    let mut without = parts();
    without.items.iter_mut().for_each(|item| item.statutory_limit = None);
    let mut world = World::of(without);
    let case = world.in_progress("street_light");
    assert!(case.extend(days(60), "complex", "doc:told", &world.official(STREET_OFFICE)).is_ok());
}

#[test]
fn a_resolved_case_closes_when_the_rating_window_ends_unless_a_bad_rating_waits() {
    let mut world = World::new();
    let case = world.resolved("stairs");
    let window = case.clock(ClockKind::RatingWindow, None).unwrap().due_at;
    let bad = case.clone().rate(1, &world.resident()).unwrap().case;
    world.now = window;
    let closed = world.tick(case);
    assert_eq!(names(&closed), ["CaseClosed"]);
    let DomainEvent::CaseClosed { rated: false, .. } = closed.events[0].event else { panic!() };
    let waits = world.tick(bad).case;
    assert_eq!(waits.state, CaseState::Resolved, "somebody has to judge first");
}

#[test]
fn a_closed_case_is_archived_when_its_retention_ends() {
    let mut world = World::new();
    let case = world.closed("stairs");
    assert_eq!(case.next_timer_at(), Some(world.now + TimeDelta::days(100)));
    let early = case.clone().archive(&world.system());
    assert!(matches!(early, Err(DomainError::Guard { code: "retention_not_reached", .. })));
    world.wait(TimeDelta::days(100));
    let archived = world.tick(case);
    assert_eq!(names(&archived), ["CaseArchived"]);
    assert_eq!(archived.case.next_timer_at(), None);
}

#[test]
fn a_late_verification_is_supervised_and_a_late_rework_at_the_second_level() {
    let mut world = World::new();
    let case = world.completed("stairs");
    world.now = case.clock(ClockKind::Verify, None).unwrap().due_at;
    let late = world.tick(case);
    assert_eq!(names(&late), ["ClockBreached", "SupervisionIssued"]);
    let case = late.case.order_rework("not_done", &world.official(VERIFIER)).unwrap().case;
    assert_eq!(case.resolve_clock().unwrap().kind, ClockKind::Rework);
    world.now = case.resolve_clock().unwrap().due_at;
    let late = world.tick(case);
    let level = late.events.iter().find_map(|emitted| match emitted.event {
        DomainEvent::SupervisionIssued { level, .. } => Some(level),
        _ => None,
    });
    assert_eq!(level, Some(2));
}

#[test]
fn urgent_cases_have_the_limits_of_their_urgency() {
    let mut world = World::new();
    let fast = SlaProfile { sign: Limit::new(TimeUnit::CalHour, 1), ..SlaProfile::default() };
    world.rules.sla.insert("emergency".into(), fast);
    let mut register = world.register();
    register.urgency = Urgency::Emergency;
    let command = IntakeCase { register, triage: triage("stairs"), route: RouteChoice::Auto };
    let case = Case::intake(command, &world.official(STATION)).unwrap().case;
    let sign = case.clock(ClockKind::Sign, case.lead_task).unwrap();
    assert_eq!(sign.due_at, world.now + TimeDelta::hours(1));
}

#[test]
fn what_triage_finds_urgent_is_to_be_dispatched_sooner_and_never_later() {
    let within = |limit| SlaProfile { dispatch: limit, ..SlaProfile::default() };
    let world = || {
        let rush = ServiceItem { urgency: Urgency::Urgent, ..item("burst_main", "urban") };
        let slow = ServiceItem { sla_profile: Some("complex".into()), ..item("old_quarrel", "urban") };
        let items = vec![item("stairs", "housing"), rush, slow];
        let mut world = World::of(TableParts { items, ..parts() });
        let profiles = [
            ("urgent", Limit::new(TimeUnit::CalHour, 2)),
            ("emergency", Limit::new(TimeUnit::CalHour, 1)),
            ("complex", Limit::new(TimeUnit::WorkDay, 2)),
        ];
        world.rules.sla.extend(profiles.map(|(code, limit)| (code.to_owned(), within(limit))));
        world
    };
    let dispatch = |case: &Case| case.clock(ClockKind::Dispatch, None).unwrap().clone();
    let mut world = world();
    let case = world.accepted();
    let (started, usual) = (world.now, dispatch(&case));
    assert_eq!(usual.due_at, started + TimeDelta::hours(6), "four working hours over noon");
    world.wait(TimeDelta::minutes(30));
    // By its item, and by what somebody found: from the start, with reminders of its own.
    let urgent = case.clone().triage(&triage("burst_main"), &world.official(STATION)).unwrap();
    assert_eq!(names(&urgent), ["CaseTriaged"]);
    let hastened = dispatch(&urgent.case);
    assert_eq!((hastened.started_at, hastened.due_at), (started, started + TimeDelta::hours(2)));
    assert_eq!(hastened.warned, 0);
    assert_eq!(hastened.next_warning().map(|(at, _)| at), Some(started + TimeDelta::hours(1)));
    let raised = TriageCase { urgency: Some(Urgency::Emergency), ..triage("stairs") };
    let raised = case.clone().triage(&raised, &world.official(STATION)).unwrap().case;
    assert_eq!(dispatch(&raised).due_at, started + TimeDelta::hours(1));
    // What another triage allows for is no longer than what was promised already.
    let back = TriageCase { urgency: Some(Urgency::Normal), ..triage("stairs") };
    let back = raised.triage(&back, &world.official(STATION)).unwrap().case;
    assert_eq!((back.urgency, dispatch(&back).due_at), (Urgency::Normal, started + TimeDelta::hours(1)));
    for code in ["stairs", "old_quarrel"] {
        let triaged = case.clone().triage(&triage(code), &world.official(STATION)).unwrap().case;
        assert_eq!(dispatch(&triaged), usual, "{code}");
    }
    // The machine's triage as a human's.
    let suggestion = Suggestion { model: 1, items: vec!["burst_main".into()], permille: 990 };
    let command = world.register();
    let by_machine = Case::register_triaged(command, suggestion, &world.resident()).unwrap().case;
    assert_eq!(dispatch(&by_machine).due_at, world.now + TimeDelta::hours(2));
    // What has run out stays so, and is supervised once.
    world.now = usual.due_at;
    let late = world.tick(case).case;
    let late = late.triage(&triage("burst_main"), &world.official(STATION)).unwrap().case;
    assert_eq!(dispatch(&late).due_at, usual.due_at);
    assert_eq!(dispatch(&late).breached_at, Some(usual.due_at));
}
