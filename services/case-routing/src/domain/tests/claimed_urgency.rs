//! How urgent a requester calls their own matter, and how urgent it is.

use calendar::{Limit, TimeUnit};
use chrono::TimeDelta;

use super::super::*;
use super::world::*;

/// What is urgent is to be taken in and dispatched within two hours, an emergency within one.
fn world() -> World {
    let rush = ServiceItem { urgency: Urgency::Urgent, ..item("burst_main", "urban") };
    let mut world = World::of(TableParts { items: vec![item("stairs", "housing"), rush], ..parts() });
    for (code, hours) in [("urgent", 2), ("emergency", 1)] {
        let limit = Limit::new(TimeUnit::CalHour, hours);
        let profile = SlaProfile { accept: limit, dispatch: limit, ..SlaProfile::default() };
        world.rules.sla.insert(code.into(), profile);
    }
    world
}

fn an_emergency(world: &mut World, item_code: Option<&str>) -> RegisterCase {
    let item_code = item_code.map(str::to_owned);
    RegisterCase { urgency: Urgency::Emergency, item_code, ..world.register() }
}

fn due(case: &Case, kind: ClockKind) -> Timestamp {
    case.clock(kind, None).unwrap().due_at
}

#[test]
fn what_a_requester_says_is_kept_and_hastens_nothing_and_an_official_is_believed() {
    let mut world = world();
    let usual = world.registered();
    let command = an_emergency(&mut world, None);
    let said = Case::register(command.clone(), &world.resident()).unwrap();
    assert_eq!(said.events[0].facts.urgency, Urgency::Normal);
    let reason = said.timeline[0].reason.clone().unwrap();
    assert_eq!((reason.code.as_str(), reason.args["urgency"].as_str()), ("urgency_claimed", "emergency"));
    let case = said.case;
    assert_eq!((case.urgency, case.claimed_urgency), (Urgency::Normal, Some(Urgency::Emergency)));
    assert_eq!(due(&case, ClockKind::Accept), due(&usual, ClockKind::Accept));
    // Nor does it bar anything: it is theirs to withdraw.
    assert!(case.clone().withdraw("solved_itself", None, &world.resident()).is_ok());
    let stored = serde_json::to_value(&case).unwrap();
    assert_eq!(serde_json::from_value::<Case>(stored).unwrap(), case);

    let found = Case::register(command, &world.official(STATION)).unwrap().case;
    assert_eq!((found.urgency, found.claimed_urgency), (Urgency::Emergency, None));
    assert_eq!(due(&found, ClockKind::Accept), world.now + TimeDelta::hours(1));
    assert_eq!(guard(found.withdraw("solved_itself", None, &world.resident())), "withdrawal_barred");
}

#[test]
fn until_somebody_has_looked_at_it_a_matter_is_as_urgent_as_its_item() {
    let mut world = world();
    let command = an_emergency(&mut world, Some("burst_main"));
    let case = Case::register(command, &world.resident()).unwrap().case;
    assert_eq!((case.urgency, case.claimed_urgency), (Urgency::Urgent, Some(Urgency::Emergency)));
    assert_eq!(due(&case, ClockKind::Accept), world.now + TimeDelta::hours(2));

    let command = an_emergency(&mut world, None);
    let case = Case::register(command, &world.resident()).unwrap().case;
    let case = case.accept(&world.official(STATION)).unwrap().case;
    let plain = case.clone().triage(&triage("stairs"), &world.official(STATION)).unwrap().case;
    assert_eq!(plain.urgency, Urgency::Normal, "nobody confirmed it");
    assert!(due(&plain, ClockKind::Dispatch) > world.now + TimeDelta::hours(2));
    let confirmed = TriageCase { urgency: Some(Urgency::Emergency), ..triage("stairs") };
    let confirmed = case.triage(&confirmed, &world.official(STATION)).unwrap().case;
    assert_eq!(confirmed.urgency, Urgency::Emergency);
    assert_eq!(confirmed.claimed_urgency, Some(Urgency::Emergency), "it stays what they said");
    assert_eq!(due(&confirmed, ClockKind::Dispatch), world.now + TimeDelta::hours(1));
}
