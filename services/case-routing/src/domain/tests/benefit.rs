//! Lasting benefits: tagged when they are delivered, re-checked on the review day, renewed or ended.

use chrono::{Days, Months, NaiveTime};

use super::super::ApplicationState as S;
use super::super::*;
use super::application_world::*;
use super::world::*;

fn dora() -> Party {
    person("dora", STREET_OFFICE)
}

/// Granted after its notice, and delivered.
pub(super) fn delivered(world: &mut World, item: &str) -> Filed {
    let way = world.way(item, S::PublicNotice);
    world.after_notice();
    let way = way.then(|p, c| p.approve(100, c, &world.act(dora())));
    way.papers.deliver("pay:1", holder(), way.case, &world.act(dora())).unwrap()
}

fn recheck(world: &mut World, basis: &Way, item: &str, version: i64) -> Filed {
    begin(world, basis, item, version).unwrap()
}

/// The re-check that begins on the review day of what an application granted or renewed.
pub(super) fn begin(world: &mut World, basis: &Way, item: &str, version: i64) -> Result<Filed> {
    let period = basis.papers.benefit.clone().unwrap();
    world.now = period.review_at;
    let register = RegisterCase {
        item_code: Some(item.into()),
        origin: Origin::TopDown,
        channel: Channel::Worker,
        requester: basis.case.requester.clone(),
        ..world.register()
    };
    let rule = BenefitRule { tag_code: period.tag_code, review_months: 3 };
    let recheck = Recheck { benefit: period.benefit, rule, review_at: period.review_at, version };
    let item = basis.case.item.clone().unwrap();
    let authorisation_ref = Some("doc:family".to_owned());
    let command = BeginRecheck { register, item, recheck, authorisation_ref };
    Application::recheck(command, &world.system())
}

fn code(result: Result<Filed>) -> &'static str {
    guard(result.map(|filed| filed.decision))
}

#[test]
fn what_lasts_is_told_sealed_when_it_is_delivered_and_reviewed_after_the_months_of_its_item() {
    let mut world = world();
    let filed = delivered(&mut world, LASTING);
    let id = filed.application.id;
    let period = filed.application.benefit.clone().unwrap();
    assert_eq!((period.benefit, period.tag_code.as_str()), (id, "dibao"));
    let day = calendar::local_day(period.review_at);
    assert_eq!(period.review_at, calendar::instant(day, NaiveTime::MIN), "the beginning of a day");
    let months = calendar::local_day(world.now).checked_add_months(Months::new(3)).unwrap();
    assert!((months..=months.checked_add_days(Days::new(10)).unwrap()).contains(&day), "{day}");
    let calendar_version = world.rules.calendar.version_with(&world.rules.profile);
    let review_at = period.review_at;
    let granted = BenefitNews::Granted { holder_sealed: holder(), review_at, calendar_version };
    let expected = BenefitChange { benefit: id, version: 1, tag_code: "dibao".into(), news: granted };
    assert_eq!(filed.benefit, Some(expected));

    // What does not last leaves nothing behind.
    let once = world.way(ALLOWANCE, S::Approved);
    let once = once.papers.deliver("pay:1", holder(), once.case, &world.act(dora())).unwrap();
    assert_eq!((once.benefit, once.application.benefit), (None, None));
}

#[test]
fn a_recheck_comes_in_by_itself_and_goes_to_whoever_is_in_charge_and_to_the_first_receiver() {
    let mut world = world();
    let basis = Way::of(delivered(&mut world, LASTING));
    let filed = recheck(&mut world, &basis, LASTING, 2);
    let told = names(&filed.decision);
    let expected = [
        "CaseRegistered",
        "ApplicationRecheckBegun",
        "CaseAccepted",
        "ApplicationAccepted",
        "CaseTriaged",
        "CaseDispatched",
        "TaskIssued",
        "TaskIssued",
    ];
    assert_eq!(told, expected);
    assert_eq!(filed.benefit, None, "nothing is decided by it");
    let way = Way::of(filed);
    assert_eq!((way.state(), way.case.state), (S::Accepted, CaseState::Dispatched));
    assert_eq!((way.case.parent_case, &way.case.requester), (Some(basis.case.id), &basis.case.requester));
    let held: Vec<(OrgId, TaskPart)> = way.case.tasks.iter().map(|task| (task.org, task.part)).collect();
    assert_eq!(held, [(STREET_OFFICE, TaskPart::Lead), (STATION, TaskPart::Assist)]);
    assert_eq!(way.papers.authorisation_ref.as_deref(), Some("doc:family"));
    assert_eq!(way.papers.lasting(), Some(basis.case.id));
    assert_eq!(way.case.repeats, Some(false), "nobody asked for it");
    assert_eq!(violations(&way.case), Vec::<&str>::new());
}

/// Who holds the tasks that still stand, in which part.
fn held(case: &Case) -> Vec<(OrgId, TaskPart)> {
    let live = case.tasks.iter().filter(|task| task.state.is_live());
    live.map(|task| (task.org, task.part)).collect()
}

#[test]
fn a_recheck_that_somebody_dispatches_later_goes_to_the_first_receiver_as_well() {
    let mut world = world();
    let basis = Way::of(delivered(&mut world, LASTING));
    world.rules.min_confidence = 101; // the router is never that sure
    let way = Way::of(recheck(&mut world, &basis, LASTING, 2));
    assert_eq!((way.case.state, held(&way.case)), (CaseState::Triaged, vec![]));
    let both = [(STREET_OFFICE, TaskPart::Lead), (STATION, TaskPart::Assist)];
    let proposal = way.case.routing.last().unwrap().id;
    let named = sends(Chooser::Dispatcher, STREET_OFFICE, &[STATION]);
    let choices = [
        (RouteChoice::Confirmed(proposal), GOVERNMENT),
        (manual(STREET_OFFICE), GOVERNMENT),
        (named, STREET_OFFICE),
    ];
    for (choice, by) in choices {
        let sent = way.case.clone().dispatch(&choice, &world.official(by)).unwrap().case;
        assert_eq!(held(&sent), both, "{choice:?}");
        // Called back and sent anew, it does not lose it.
        let back = sent.recall("mis_dispatch", &world.official(GOVERNMENT)).unwrap().case;
        assert_eq!(held(&back), []);
        let anew = back.dispatch(&manual(STREET_OFFICE), &world.official(GOVERNMENT)).unwrap().case;
        assert_eq!(held(&anew), both, "{choice:?}");
    }
    // Whoever leads has no second part, and who gave the case back gets none.
    let leads = Case { first_receiver: STREET_OFFICE, ..way.case.clone() };
    let gave_back = Case { excluded_orgs: vec![STATION], ..way.case };
    for case in [leads, gave_back] {
        let sent = case.dispatch(&manual(STREET_OFFICE), &world.official(GOVERNMENT)).unwrap().case;
        assert_eq!(held(&sent), [(STREET_OFFICE, TaskPart::Lead)]);
    }
    // Of an application whoever dispatches it names who helps.
    world.rules.min_confidence = Rules::default().min_confidence;
    let applied = world.way(RELIEF, S::Accepted).case;
    let back = applied.recall("mis_dispatch", &world.official(GOVERNMENT)).unwrap().case;
    let anew = back.dispatch(&manual(STREET_OFFICE), &world.official(GOVERNMENT)).unwrap().case;
    assert_eq!(held(&anew), [(STREET_OFFICE, TaskPart::Lead)]);
}

#[test]
fn a_recheck_that_is_found_to_be_elsewhere_repeats_nothing_and_an_application_is_asked_anew() {
    let mut world = world();
    let elsewhere = TriageCase { place_unit: Some(COMMUNITY), ..triage(LASTING) };
    let applied = world.way(LASTING, S::Accepted).case;
    let topic = CaseId(world.fresh());
    let mut applied = applied.link_to_topic(topic, &world.system()).unwrap().case;
    applied.repeats = Some(false);
    let basis = Way::of(delivered(&mut world, LASTING));
    let recheck = Way::of(recheck(&mut world, &basis, LASTING, 2)).case;
    for (case, expected) in [(applied, None), (recheck, Some(false))] {
        assert!(case.parent_case.is_some() && case.application.is_some());
        let case = case.recall("mis_dispatch", &world.official(GOVERNMENT)).unwrap().case;
        assert_eq!(case.repeats, Some(false));
        let case = case.triage(&elsewhere, &world.official(STATION)).unwrap().case;
        assert_eq!((case.place.unit, case.repeats), (COMMUNITY, expected));
    }
}

#[test]
fn a_recheck_of_an_item_that_has_ended_goes_by_the_version_that_granted_it() {
    let mut world = world();
    let basis = Way::of(delivered(&mut world, ENDING));
    let way = Way::of(recheck(&mut world, &basis, ENDING, 2));
    assert!(world.routes.item(ENDING, world.now).is_none(), "nobody applies for it any more");
    assert_eq!(way.case.item, basis.case.item);
    let new = submit(&mut world, ENDING);
    assert_eq!(code(new), "item_code");
}

#[test]
fn a_recheck_of_an_item_that_went_to_a_channel_of_its_own_is_decided_all_the_same() {
    let mut world = world();
    let basis = Way::of(delivered(&mut world, DIVERTED));
    let way = Way::of(recheck(&mut world, &basis, DIVERTED, 2));
    let present = world.routes.item(DIVERTED, world.now).unwrap();
    assert_eq!((present.version, present.statutory_channel.as_deref()), (2, Some("litigation")));
    assert_eq!(way.case.item, basis.case.item);
    assert_eq!((way.state(), way.case.state), (S::Accepted, CaseState::Dispatched));

    // Where only the version with the channel is kept nothing begins: a machine ends no benefit and leaves none in between.
    let mut unkept = basis.clone();
    unkept.case.item.as_mut().unwrap().version = 9;
    assert_eq!(code(begin(&mut world, &unkept, DIVERTED, 2)), "recheck");
}

#[test]
fn a_recheck_renews_the_benefit_without_another_notice() {
    let mut world = world();
    let basis = Way::of(delivered(&mut world, LASTING));
    let way = Way::of(recheck(&mut world, &basis, LASTING, 2));
    let urgent = way.clone();
    let urgent = urgent.papers.grant_urgently(1, "sudden_illness", urgent.case, &world.act(dora()));
    assert_eq!(code(urgent), "no_urgent_way");
    let kept = way.clone();
    let withdrawn = kept.papers.withdraw("not_needed", None, kept.case, &world.resident());
    assert_eq!(code(withdrawn), "recheck", "it is decided");
    let way = way.then(|p, c| p.start_investigation(c, &world.act(person("lead", STREET_OFFICE))));
    let alone = check(InvestigationKind::HomeVisit);
    let visited = way.clone();
    let visited = visited.then(|p, c| p.record_investigation(alone, c, &world.act(person("anna", STATION))));
    let rita = person("rita", STREET_OFFICE);
    let early = visited.papers.review(summed_up(true), visited.case, &world.act(rita.clone()));
    assert_eq!(code(early), "field_check_by_more", "as for the application");
    let way = world.reviewed(way, true);
    let shown = way.clone();
    let shown = shown.papers.publish_notice("王**".into(), shown.case, &world.act(rita));
    assert_eq!(code(shown), "no_notice");
    let way = way.then(|p, c| p.approve(90, c, &world.act(dora())));
    let filed = way.papers.deliver("pay:2", holder(), way.case, &world.act(dora())).unwrap();
    let period = filed.application.benefit.clone().unwrap();
    assert_eq!(period.benefit, basis.case.id);
    assert!(period.review_at > basis.papers.benefit.unwrap().review_at);
    let renewed = BenefitChange {
        benefit: basis.case.id,
        version: 3,
        tag_code: "dibao".into(),
        news: BenefitNews::Renewed {
            review_at: period.review_at,
            calendar_version: world.rules.calendar.version_with(&world.rules.profile),
        },
    };
    assert_eq!(filed.benefit, Some(renewed));
}

#[test]
fn a_recheck_that_is_refused_in_writing_ends_the_benefit() {
    let mut world = world();
    let basis = Way::of(delivered(&mut world, LASTING));
    let way = Way::of(recheck(&mut world, &basis, LASTING, 4));
    let way = way.then(|p, c| p.start_investigation(c, &world.act(person("lead", STREET_OFFICE))));
    let way = world.reviewed(way, false);
    let machine = way.clone();
    let machine = machine.papers.deny(&refusal(), machine.case, &world.system());
    assert_eq!(code(machine), "human_official");
    let filed = way.papers.deny(&refusal(), way.case, &world.act(dora())).unwrap();
    assert_eq!(filed.application.ruling.as_ref().unwrap().remedies.len(), 2);
    assert_eq!(filed.decision.case.closed_code, Some(ClosedCode::Explained));
    let ended = BenefitChange {
        benefit: basis.case.id,
        version: 5,
        tag_code: "dibao".into(),
        news: BenefitNews::Ended { reason_code: "income_above_standard".into() },
    };
    assert_eq!(filed.benefit, Some(ended));

    // An application that is refused ends nothing.
    let way = world.way(LASTING, S::Denied);
    assert_eq!(way.papers.lasting(), None);
}
