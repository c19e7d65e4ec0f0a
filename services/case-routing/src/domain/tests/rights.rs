//! Who may: what an organisation sends by hand, who takes a task back or decides over an objection, and who says that a
//! requester withdraws.

use chrono::TimeDelta;

use super::super::*;
use super::application_world::{self, RELIEF, Way};
use super::table::{in_arbitration, ruling};
use super::world::*;

fn parties(case: &Case) -> Vec<(OrgId, OrgId, DispatchMode)> {
    case.tasks.iter().map(|task| (task.org, task.sender, task.mode)).collect()
}

#[test]
fn a_window_sends_by_hand_where_the_router_would_and_within_its_community() {
    let mut world = World::new();
    let case = world.triaged("street_light");
    let go = |lead: OrgId, assists: &[OrgId], world: &mut World| {
        case.clone().dispatch(&sends(Chooser::Window, lead, assists), &world.official(STATION))
    };
    let sent = go(STREET_OFFICE, &[URBAN, COMMITTEE, GROUP], &mut world).unwrap().case;
    assert_eq!(
        parties(&sent),
        [
            (STREET_OFFICE, GOVERNMENT, DispatchMode::Order),
            (URBAN, GOVERNMENT, DispatchMode::Order),
            (COMMITTEE, STREET_OFFICE, DispatchMode::AssistRequest),
            (GROUP, COMMITTEE, DispatchMode::Invitation),
        ]
    );
    // Whom the lists ask to assist is not whom they let lead.
    assert_eq!(guard(go(URBAN, &[], &mut world)), "lead_org_id");
    assert_eq!(guard(go(HOUSING, &[], &mut world)), "lead_org_id");
    for far in [HOUSING, CONTRACTOR, GOVERNMENT] {
        assert_eq!(guard(go(STREET_OFFICE, &[far], &mut world)), "assist_org_ids", "{far}");
    }

    // What it may lead itself it takes.
    let own = world.triaged("stairs");
    let sent = own.dispatch(&sends(Chooser::Window, STATION, &[]), &world.official(STATION)).unwrap().case;
    assert_eq!(parties(&sent), [(STATION, STREET_OFFICE, DispatchMode::Order)]);

    // The router's proposal is named as well as confirmed.
    let unsure = world.triaged("nobodys");
    let named = sends(Chooser::Window, HOUSING, &[]);
    assert_eq!(guard(unsure.clone().dispatch(&named, &world.official(STATION))), "lead_org_id");
    let named = sends(Chooser::Window, GOVERNMENT, &[]);
    let sent = unsure.clone().dispatch(&named, &world.official(STATION)).unwrap().case;
    assert_eq!(sent.lead_org, Some(GOVERNMENT));
    assert_eq!(guard(unsure.dispatch(&named, &world.system())), "human_official");
}

#[test]
fn edges_are_for_dispatchers_and_heads_and_whistles_for_dispatchers_only() {
    let mut world = World::new();
    let case = world.triaged("nobodys");
    let whistles = |chooser, world: &mut World| {
        case.clone().dispatch(&sends(chooser, URBAN, &[]), &world.official(STREET_OFFICE))
    };
    for chooser in [Chooser::Window, Chooser::Head] {
        assert_eq!(guard(whistles(chooser, &mut world)), "lead_org_id", "{chooser:?}");
    }
    let sent = whistles(Chooser::Dispatcher, &mut world).unwrap().case;
    assert_eq!(parties(&sent), [(URBAN, STREET_OFFICE, DispatchMode::Whistle)]);

    // Where the street sends along an edge of its own, nobody else does in its place.
    let case = world.triaged("street_light");
    let go = |chooser, assists: &[OrgId], by: OrgId, world: &mut World| {
        case.clone().dispatch(&sends(chooser, STREET_OFFICE, assists), &world.official(by))
    };
    let sent = go(Chooser::Dispatcher, &[URBAN, STATION], STREET_OFFICE, &mut world).unwrap().case;
    assert_eq!(
        parties(&sent)[1..],
        [(URBAN, STREET_OFFICE, DispatchMode::Whistle), (STATION, STREET_OFFICE, DispatchMode::Order)]
    );
    assert!(go(Chooser::Head, &[STATION], STREET_OFFICE, &mut world).is_ok());
    let at_window = go(Chooser::Window, &[STATION], STREET_OFFICE, &mut world);
    assert_eq!(guard(at_window), "assist_org_ids");
    // The district asks a committee through its street.
    assert!(go(Chooser::Dispatcher, &[HOUSING], GOVERNMENT, &mut world).is_ok());
    let past_the_street = go(Chooser::Dispatcher, &[COMMITTEE], GOVERNMENT, &mut world);
    assert_eq!(guard(past_the_street), "assist_org_ids");
}

fn by_street(case: &Case, lead: OrgId, assists: &[OrgId], world: &mut World) -> Result<Decision> {
    let choice = sends(Chooser::Dispatcher, lead, assists);
    case.clone().dispatch(&choice, &world.official(STREET_OFFICE))
}

#[test]
fn a_partner_named_by_hand_is_offered_the_case_as_the_router_offers_it() {
    let mut world = World::new();
    let case = world.triaged("shopping_help");
    let asked = by_street(&case, TEAM, &[], &mut world).unwrap();
    assert_eq!(names(&asked), ["CaseOffered"]);
    let asked = asked.case;
    assert_eq!((asked.state, asked.tasks.len()), (CaseState::OfferedToSociety, 0));
    let offer = asked.offer.clone().unwrap();
    assert_eq!((offer.partner, offer.sender, offer.mode), (TEAM, STREET_OFFICE, DispatchMode::Invitation));
    let decision = asked.routing.last().unwrap();
    assert_eq!((decision.kind, decision.lead, decision.by_human), (RoutingKind::Offered, Some(TEAM), true));
    let taken = asked.clone().confirm_offer(offer.id, &world.official(TEAM)).unwrap().case;
    assert_eq!((taken.state, taken.lead_org), (CaseState::InProgress, Some(TEAM)));
    assert_eq!(violations(&taken), Vec::<&str>::new());
    // A window asks those of its community.
    let choice = sends(Chooser::Window, GROUP, &[]);
    let by_window = case.clone().dispatch(&choice, &world.official(STATION)).unwrap().case;
    assert_eq!(by_window.offer.map(|offer| (offer.partner, offer.sender)), Some((GROUP, COMMITTEE)));
    // It is asked alone; a provider works by its contract.
    assert_eq!(guard(by_street(&case, TEAM, &[URBAN], &mut world)), "assist_org_ids");
    let ordered = by_street(&case, CONTRACTOR, &[], &mut world).unwrap().case;
    assert_eq!(parties(&ordered), [(CONTRACTOR, STREET_OFFICE, DispatchMode::WorkOrder)]);

    // Nobody is asked why it was silent: the next one is, as after any offer.
    world.now = offer.due_at;
    let silent = world.tick(asked);
    assert_eq!(names(&silent), ["CaseOfferWithdrawn", "CaseOffered"]);
    assert_eq!(silent.case.supervisions, []);
}

#[test]
fn nobody_sends_a_partner_what_it_may_not_be_offered() {
    let mut world = World::new();
    let case = world.triaged("shopping_help");
    let refused = [
        Case { society_agreed: false, ..case.clone() },
        Case { left_society: true, ..case.clone() },
        Case { urgency: Urgency::Emergency, ..case },
        world.triaged("street_light"),
        // Taken from the one that was asked: society has had its turn.
        world.dispatched("shopping_help"),
    ];
    for case in refused {
        let error = by_street(&case, TEAM, &[], &mut world).unwrap_err();
        let told = error.to_string();
        assert!(told.starts_with("only_by_offer") && told.contains("lead_org_id"), "{}: {told}", case.state);
    }
    // Nor does an arbiter.
    let case = Case { urgency: Urgency::Urgent, ..in_arbitration(&mut world) };
    let ruled = case.rule_objection(&ruling(TEAM), &world.official(GOVERNMENT));
    assert_eq!(guard(ruled), "only_by_offer");
}

#[test]
fn who_sent_a_task_or_stands_above_takes_it_back_and_decides_over_an_objection() {
    let mut world = World::new();
    // The street's order to its station.
    let (sent, objected) = (world.dispatched("stairs"), world.objected("stairs"));
    for by in [STREET_OFFICE, GOVERNMENT] {
        assert!(sent.clone().recall("mis_dispatch", &world.official(by)).is_ok(), "{by}");
        assert!(objected.clone().reject_objection("duty_is_clear", &world.official(by)).is_ok(), "{by}");
        assert!(objected.clone().redispatch(&RouteChoice::Auto, &world.official(by)).is_ok(), "{by}");
        assert!(objected.clone().open_arbitration(&[], None, &world.official(by)).is_ok(), "{by}");
    }
    for by in [HOUSING, URBAN, COMMITTEE, VERIFIER] {
        let case = objected.clone();
        assert_eq!(guard(sent.clone().recall("mis_dispatch", &world.official(by))), "sender", "{by}");
        assert_eq!(guard(case.clone().reject_objection("duty_is_clear", &world.official(by))), "sender");
        assert_eq!(guard(case.clone().redispatch(&RouteChoice::Auto, &world.official(by))), "sender");
        assert_eq!(guard(case.open_arbitration(&[], None, &world.official(by))), "sender", "{by}");
    }
    // Whoever has it objects, and does not recall it.
    assert_eq!(guard(sent.recall("mis_dispatch", &world.official(STATION))), "sender");
    let by_objector = objected.reject_objection("duty_is_clear", &world.official(STATION));
    assert_eq!(guard(by_objector), "objector");
    // What the district sent is not the street's to take back.
    let case = world.dispatched("street_light");
    assert_eq!(guard(case.recall("mis_dispatch", &world.official(STREET_OFFICE))), "sender");
}

#[test]
fn over_its_own_order_decides_who_received_the_case_or_stands_above_that() {
    let mut world = World::new();
    let case =
        world.triaged("nobodys").dispatch(&manual(GOVERNMENT), &world.official(GOVERNMENT)).unwrap().case;
    let command = objection(&case);
    let case = case.object(command, &world.official(GOVERNMENT)).unwrap().case;
    for (by, refused) in [(GOVERNMENT, "objector"), (HOUSING, "sender")] {
        let kept = case.clone().reject_objection("duty_is_clear", &world.official(by));
        assert_eq!(guard(kept), refused);
    }
    for by in [STATION, STREET_OFFICE] {
        assert!(case.clone().reject_objection("duty_is_clear", &world.official(by)).is_ok(), "{by}");
    }
}

/// At its own window, and kept there.
fn received_by_the_district(world: &mut World) -> Case {
    let register = RegisterCase { receiver: GOVERNMENT, ..world.register() };
    let command = IntakeCase { register, triage: triage("nobodys"), route: manual(GOVERNMENT) };
    Case::intake(command, &world.official(GOVERNMENT)).unwrap().case
}

/// Nobody acts for the city on a single case.
#[test]
fn what_falls_to_a_district_is_its_own_order_though_a_city_leads_it() {
    let mut world = World::of(below_a_city());
    let own_order = (GOVERNMENT, GOVERNMENT, DispatchMode::Order);
    let triaged = world.triaged("nobodys");
    let by_hand = triaged.dispatch(&manual(GOVERNMENT), &world.official(GOVERNMENT)).unwrap().case;
    let received = received_by_the_district(&mut world);
    for case in [&by_hand, &received] {
        assert_eq!(parties(case), [own_order]);
        assert!(case.clone().recall("mis_dispatch", &world.official(GOVERNMENT)).is_ok());
    }

    let reject = |case: &Case, by: OrgId, world: &mut World| {
        case.clone().reject_objection("duty_is_clear", &world.official(by))
    };
    let object = |case: Case, world: &mut World| {
        let command = objection(&case);
        case.object(command, &world.official(GOVERNMENT)).unwrap().case
    };
    let objected = object(by_hand, &mut world);
    assert!(reject(&objected, STATION, &mut world).is_ok());
    assert_eq!(guard(reject(&objected, GOVERNMENT, &mut world)), "objector");
    // Who received it is the objector: the lowest superior decides, and has to.
    let late = |case: Case, world: &mut World| {
        world.now = case.clock(ClockKind::Dispatch, None).unwrap().due_at;
        let late = world.tick(case).case;
        let about = late.supervisions.iter().find(|known| known.clock == Some(ClockKind::Dispatch)).unwrap();
        late.supervised(about)
    };
    let case = object(received, &mut world);
    for by in [STATION, HOUSING] {
        assert_eq!(guard(reject(&case, by, &mut world)), "sender", "{by}");
    }
    assert!(reject(&case, CITY_GOVERNMENT, &mut world).is_ok());
    assert_eq!(late(case, &mut world), CITY_GOVERNMENT);

    // A joint body, where there is one.
    let mut world = World::of(TableParts { joint_body: Some(COURTS), ..below_a_city() });
    let received = received_by_the_district(&mut world);
    let case = object(received, &mut world);
    assert!(reject(&case, COURTS, &mut world).is_ok());
    assert_eq!(late(case, &mut world), COURTS);
}

#[test]
fn above_is_whoever_leads_a_leader_and_a_ring_of_leaders_has_an_end() {
    let world = World::new();
    let above = |routes: &RoutingTable, above, below| routes.stands_above(above, below, None, world.now);
    assert!(above(&world.routes, GOVERNMENT, STATION) && above(&world.routes, GOVERNMENT, COMMITTEE));
    assert!(!above(&world.routes, STATION, GOVERNMENT) && !above(&world.routes, STATION, STATION));
    assert!(!above(&world.routes, STREET_OFFICE, URBAN), "coordinated, not led");
    let mut ring = parts();
    let up = ring.edges.iter().find(|edge| edge.kind == EdgeKind::Leads).unwrap().clone();
    ring.edges.push(Edge { from: STATION, to: GOVERNMENT, ..up });
    let ring = RoutingTable::new(ring);
    assert!(!above(&ring, HOUSING, STATION) && above(&ring, STATION, HOUSING));
}

#[test]
fn the_window_that_received_a_case_writes_a_withdrawal_down_by_a_statement() {
    let mut world = World::new();
    let case = world.in_progress("street_light");
    assert_eq!((case.first_receiver, case.lead_org), (STATION, Some(STREET_OFFICE)));
    let written = Some("doc:statement-7");
    for by in [STREET_OFFICE, GOVERNMENT, HOUSING] {
        let refused = case.clone().withdraw("solved_itself", written, &world.official(by));
        assert_eq!(guard(refused), "first_receiver", "{by}");
    }
    let stranger = Party { actor: PersonRef("r-2".into()), org: None, standing: Standing::Requester };
    for by in [stranger, Party::system()] {
        assert_eq!(guard(case.clone().withdraw("solved_itself", written, &world.act(by))), "human_official");
    }
    for nothing in [None, Some("")] {
        let refused = case.clone().withdraw("solved_itself", nothing, &world.official(STATION));
        assert_eq!(guard(refused), "statement_ref");
    }

    let rated = world.resolved("stairs").rate(1, &world.resident()).unwrap().case;
    let aside = rated.withdraw("solved_itself", written, &world.official(STATION));
    assert_eq!(guard(aside), "rating_unjudged", "nor puts a bad word aside");
    let withdrawn = case.withdraw("solved_itself", written, &world.official(STATION)).unwrap();
    assert_eq!(violations(&withdrawn.case), Vec::<&str>::new());
    let DomainEvent::CaseWithdrawn { reason_code, .. } = &withdrawn.events.last().unwrap().event else {
        panic!("{withdrawn:?}")
    };
    assert_eq!(reason_code, "solved_itself");
    let step = withdrawn.timeline.last().unwrap();
    assert_eq!((step.event.as_str(), step.org), ("CaseWithdrawn", Some(STATION)));
    let reason = step.reason.as_ref().unwrap();
    assert_eq!(reason.code, "withdrawn_at_window");
    assert_eq!(reason.args["reason"], "solved_itself");
    for language in [Language::Chinese, Language::English] {
        let text = reason.render(language);
        assert!(text.contains("doc:statement-7") && text.contains(&STATION.to_string()), "{text}");
    }
    assert_eq!(withdrawn.case.evidence.last().unwrap().reference, "doc:statement-7");
}

#[test]
fn what_is_late_is_withdrawn_by_the_requester_alone() {
    let mut world = World::new();
    let written = Some("doc:statement-7");
    let case = world.in_progress("stairs");
    world.now = case.resolve_clock().unwrap().due_at;
    assert!(case.clone().withdraw("solved_itself", written, &world.official(STATION)).is_ok(), "in time");
    world.wait(TimeDelta::minutes(1));
    let on_time = world.in_progress("stairs");
    let finished = world.complete(case.clone());
    let breached = world.tick(case.clone()).case;
    let paused = breached.suspend("expert_review", "doc:told", None, &world.official(STATION)).unwrap().case;
    assert!(!paused.is_overdue(world.now), "a pause hides it");
    for late in [case, finished, paused] {
        let by_window = late.clone().withdraw("solved_itself", written, &world.official(STATION));
        assert_eq!(guard(by_window), "late", "{}", late.state);
        assert!(late.withdraw("solved_itself", None, &world.resident()).is_ok());
    }
    assert!(on_time.withdraw("solved_itself", written, &world.official(STATION)).is_ok());
}

#[test]
fn what_nobody_asked_for_is_not_withdrawn() {
    let mut world = World::new();
    let case = world.in_progress("stairs");
    let written = Some("doc:statement-7");
    for origin in [Origin::Patrol, Origin::TopDown, Origin::Sensor] {
        let found = Case { origin, requester: None, ..case.clone() };
        let refused = found.withdraw("solved_itself", written, &world.official(STATION));
        assert_eq!(guard(refused), "nobody_asked", "{origin}");
    }
    // Somebody asked, without a name.
    let nameless = Case { requester: None, anonymous: true, ..case };
    assert!(nameless.withdraw("solved_itself", written, &world.official(STATION)).is_ok());
}

#[test]
fn an_application_is_withdrawn_at_the_window_like_any_case() {
    let mut world = application_world::world();
    let way = world.way(RELIEF, ApplicationState::Accepted);
    let withdraw = |statement: Option<&str>, by: OrgId, world: &mut World| {
        let papers = way.papers.clone();
        papers.withdraw("not_needed", statement, way.case.clone(), &world.official(by))
    };
    let refused = |filed: Result<Filed>| guard(filed.map(|filed| filed.decision));
    let written = Some("doc:statement-7");
    assert_eq!(refused(withdraw(written, STREET_OFFICE, &mut world)), "first_receiver");
    assert_eq!(refused(withdraw(None, STATION, &mut world)), "statement_ref");
    let filed = withdraw(written, STATION, &mut world).unwrap();
    let face = filed.decision.case.application.as_ref().unwrap();
    assert_eq!(face.state, ApplicationState::Withdrawn);
    world.now = way.case.resolve_clock().unwrap().due_at + TimeDelta::minutes(1);
    assert_eq!(refused(withdraw(written, STATION, &mut world)), "late");
}

#[test]
fn the_window_complained_of_writes_down_no_withdrawal() {
    let mut world = World::new();
    let written = Some("doc:statement-7");
    let case = Case { complained_of: Some(STATION), ..world.in_progress("street_light") };
    let refused = case.clone().withdraw("solved_itself", written, &world.official(STATION));
    assert_eq!(guard(refused), "recused");
    assert!(case.withdraw("solved_itself", None, &world.resident()).is_ok(), "it is theirs");

    let mut world = application_world::world();
    let Way { papers, case } = world.way(RELIEF, ApplicationState::Accepted);
    let case = Case { complained_of: Some(STATION), ..case };
    let refused = papers.clone().withdraw("not_needed", written, case.clone(), &world.official(STATION));
    assert_eq!(guard(refused.map(|filed| filed.decision)), "recused");
    assert!(papers.withdraw("not_needed", None, case, &world.resident()).is_ok());
}
