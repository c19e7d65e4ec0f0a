//! What a classifier suggests: by the machine only where nobody has to look first, and a human may always decide otherwise.

use calendar::{Limit, TimeUnit};

use super::super::*;
use super::world::*;

fn suggestion(item: &str) -> Suggestion {
    Suggestion { model: 3, items: vec![item.into(), "stairs".into()], permille: 970 }
}

#[test]
fn the_machine_takes_in_and_triages_and_says_so() {
    let mut world = World::new();
    let command = world.register();
    let act = world.resident();
    let decision = Case::register_triaged(command, suggestion("street_light"), &act).unwrap();
    let case = decision.case;
    assert_eq!(case.state, CaseState::Triaged);
    assert_eq!(case.item.as_ref().map(|item| item.code.as_str()), Some("street_light"));
    assert!(case.triage.as_ref().is_some_and(|triage| !triage.by_human));
    let machine = Party::system().actor;
    let actors: Vec<_> = decision.timeline.iter().map(|entry| entry.actor == machine).collect();
    assert_eq!(actors, [false, true, true], "the requester registers, the machine does the rest");
    let reason = decision.timeline[2].reason.as_ref().unwrap();
    assert_eq!((reason.code.as_str(), reason.args["percent"].as_str()), ("triaged_by_machine", "97.0"));
    assert!(violations(&case).is_empty());

    // A human settles it otherwise, and once more; what was suggested first stays beside it.
    let decision = case.triage(&triage("stairs"), &world.official(STATION)).unwrap();
    assert_eq!(decision.timeline[0].reason.as_ref().unwrap().code, "suggestion_corrected");
    let again = TriageCase { suggestion: Some(suggestion("stairs")), ..triage("street_light") };
    let decision = decision.case.triage(&again, &world.official(STATION)).unwrap();
    assert_eq!(decision.timeline[0].reason.as_ref().unwrap().code, "suggestion_taken");
    let triage = decision.case.triage.unwrap();
    assert!(triage.by_human && triage.suggestion == suggestion("street_light"));
}

#[test]
fn what_a_human_has_to_look_at_first_is_not_triaged_by_the_machine() {
    let mut world = World::new();
    let urgent = RegisterCase { urgency: Urgency::Emergency, ..world.register() };
    let plain = world.register();
    let commands = [
        (urgent, "street_light"),
        (plain.clone(), "fire"),
        (plain.clone(), "court_matter"),
        (plain.clone(), "licence"),
        (plain, "no_such_item"),
    ];
    for (command, item) in commands {
        let refused = Case::register_triaged(command, suggestion(item), &world.resident()).unwrap_err();
        assert!(matches!(refused, DomainError::Guard { code: "needs_human", .. }), "{item}: {refused}");
    }
}

#[test]
fn what_is_suggested_for_a_case_that_has_an_item_is_not_kept() {
    let mut world = World::new();
    let case = world.triaged("stairs");
    let command = TriageCase { suggestion: Some(suggestion("street_light")), ..triage("street_light") };
    let decision = case.triage(&command, &world.official(STATION)).unwrap();
    assert_eq!(decision.case.triage, None);
    let case = world.accepted();
    let decision = case.triage(&command, &world.official(STATION)).unwrap();
    assert_eq!(decision.case.triage.map(|triage| triage.suggestion), command.suggestion);
}

#[test]
fn another_item_never_ends_a_promise_earlier() {
    let short = ServiceItem { promised_limit: Limit::new(TimeUnit::WorkDay, 1), ..item("short", "urban") };
    let long = ServiceItem { promised_limit: Limit::new(TimeUnit::WorkDay, 20), ..item("long", "urban") };
    let mut world = World::of(TableParts { items: vec![short, long], ..parts() });
    let due = |case: &Case| case.resolve_clock().map(|clock| clock.due_at);
    let case = world.triaged("long");
    let promised = due(&case);
    let corrected = case.triage(&triage("short"), &world.official(STATION)).unwrap().case;
    assert_eq!(due(&corrected), promised);
    let case = world.triaged("short");
    let before = due(&case);
    assert!(due(&case.triage(&triage("long"), &world.official(STATION)).unwrap().case) > before);

    // Nor where the case was in another one meanwhile, or came in with its item.
    let merged = world.triaged("long").merge(CaseId(CITY.0), &world.official(STATION)).unwrap().case;
    let back = merged.unmerge(&world.official(STATION)).unwrap().case;
    let register = RegisterCase { item_code: Some("long".into()), ..world.register() };
    let told = Case::register(register, &world.official(STATION)).unwrap().case;
    let told = told.accept(&world.official(STATION)).unwrap().case;
    for case in [back, told] {
        assert_eq!(case.state, CaseState::Accepted);
        let promised = due(&case);
        let other = case.triage(&triage("short"), &world.official(STATION)).unwrap().case;
        assert_eq!(due(&other), promised);
    }
    // Nobody promised the time that holds until the item is known.
    let case = world.accepted();
    let usual = due(&case);
    assert!(due(&case.triage(&triage("short"), &world.official(STATION)).unwrap().case) < usual);
}

#[test]
fn another_item_ends_a_promise_where_its_law_does() {
    let days = |n| Limit::new(TimeUnit::WorkDay, n);
    let free = ServiceItem { promised_limit: days(20), statutory_limit: None, ..item("free", "urban") };
    let strict =
        ServiceItem { promised_limit: days(1), statutory_limit: Some(days(3)), ..item("strict", "urban") };
    let mut world = World::of(TableParts { items: vec![free, strict], ..parts() });
    let case = world.triaged("free");
    let clock = case.resolve_clock().unwrap().clone();
    assert_eq!(clock.statutory_due_at, None);
    let corrected = case.triage(&triage("strict"), &world.official(STATION)).unwrap().case;
    let last = world.rules.calendar.add(TimeUnit::WorkDay, 3, clock.started_at, &world.rules.profile).at;
    let bound = corrected.resolve_clock().unwrap();
    assert_eq!((bound.due_at, bound.statutory_due_at), (last, Some(last)));
    // A law that does not concern it binds nothing.
    let back = corrected.triage(&triage("free"), &world.official(STATION)).unwrap().case;
    assert!(back.resolve_clock().unwrap().due_at > last);
}
