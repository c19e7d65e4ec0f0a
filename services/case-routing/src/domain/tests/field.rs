//! What is put right on the spot, and cases that a topic case stands for.

use super::super::*;
use super::world::*;

fn found(world: &mut World) -> IntakeCase {
    let register = RegisterCase {
        channel: Channel::Patrol,
        origin: Origin::Patrol,
        requester: None,
        item_code: Some("street_light".into()),
        ..world.register()
    };
    IntakeCase { register, triage: TriageCase::default(), route: RouteChoice::Auto }
}

#[test]
fn what_was_put_right_on_the_spot_is_closed_at_once_with_evidence_and_a_decision() {
    let mut world = World::new();
    let command = found(&mut world);
    let done = Case::intake_solved(command, &on_the_spot(false), &world.official(STATION)).unwrap();
    assert_eq!(
        names(&done),
        ["CaseRegistered", "CaseAccepted", "CaseTriaged", "CaseSolvedOnSpot", "CaseClosed"]
    );
    let case = done.case;
    assert_eq!((case.state, case.closed_code), (CaseState::Closed, Some(ClosedCode::Resolved)));
    assert_eq!(
        (case.tasks.len(), case.evidence.len(), case.delivery_mode),
        (0, 2, Some(DeliveryMode::GovDirect))
    );
    assert_eq!(case.routing.last().unwrap().kind, RoutingKind::SolvedOnSpot);
    assert!(case.solved_on_spot && case.facts().solved_on_spot);
    assert_eq!(violations(&case), Vec::<&str>::new());
}

#[test]
fn what_is_drawn_is_checked_by_another_organisation_and_nobody_verifies_himself() {
    let mut world = World::new();
    let command = found(&mut world);
    let case = Case::intake_solved(command, &on_the_spot(true), &world.official(STATION)).unwrap().case;
    assert_eq!(case.state, CaseState::Verifying);
    assert_eq!(case.verification.as_ref().unwrap().verifier, VERIFIER);
    assert_eq!(violations(&case), Vec::<&str>::new());
    let own = case.clone().verify(&VerifyCase { callback: None, ..found_good() }, &world.official(STATION));
    assert!(matches!(own, Err(DomainError::NotEntitled { .. })), "{own:?}");

    let good = case.clone().verify(&VerifyCase { callback: None, ..found_good() }, &world.official(VERIFIER));
    let good = good.unwrap().case;
    assert_eq!((good.state, good.solved_on_spot), (CaseState::Closed, true));
    // It was not: somebody competent does it, and it counts like any other case.
    let bad = case.order_rework("not_done", &world.official(VERIFIER)).unwrap().case;
    assert_eq!((bad.state, bad.solved_on_spot, bad.rework_count), (CaseState::Dispatched, false, 1));
    assert_ne!(bad.lead_org, None);
    assert_eq!(violations(&bad), Vec::<&str>::new());
}

#[test]
fn only_a_human_official_with_evidence_puts_right_what_was_found_on_patrol() {
    let mut world = World::new();
    let triaged = world.triaged("street_light");
    assert_eq!(
        guard(triaged.clone().solve_on_spot(&on_the_spot(false), &world.official(STATION))),
        "not_found_on_patrol"
    );
    let found = Case { origin: Origin::Patrol, ..triaged };
    let requester = Party { actor: requester(), org: None, standing: Standing::Requester };
    for party in [Party::system(), requester] {
        let refused = found.clone().solve_on_spot(&on_the_spot(false), &world.act(party));
        assert!(matches!(refused, Err(DomainError::NotEntitled { .. })), "{refused:?}");
    }
    let bare = OnTheSpot { evidence: Vec::new(), sampled: false };
    let refused = found.solve_on_spot(&bare, &world.official(STATION));
    assert!(matches!(refused, Err(DomainError::Invalid { field: "evidence", .. })), "{refused:?}");
}

#[test]
fn what_a_patrol_puts_right_of_an_open_case_is_evidence_and_a_step_and_moves_nothing() {
    let mut world = World::new();
    let open = world.in_progress("stairs");
    let photo = |name: &str| vec![(EvidenceKind::Photo, name.to_owned())];
    let (before, after) = (photo("photo:before"), photo("photo:after"));
    let told =
        open.clone().put_right_on_patrol(before.clone(), after.clone(), &world.official(TEAM)).unwrap();
    assert_eq!(names(&told), Vec::<&str>::new(), "no event");
    let [step] = told.timeline.as_slice() else { panic!("{:?}", told.timeline) };
    assert_eq!((step.event.as_str(), step.org), ("CasePutRightOnPatrol", Some(TEAM)));
    let text = step.reason.as_ref().unwrap().render(Language::Chinese);
    assert!(text.contains("photo:before") && text.contains("photo:after"), "{text}");
    let case = told.case;
    assert_eq!((case.state, &case.clocks, &case.tasks), (open.state, &open.clocks, &open.tasks));
    assert_eq!(case.evidence.len(), open.evidence.len() + 2);
    assert_eq!((case.remark_count, case.remarked_at, case.solved_on_spot), (1, Some(world.now), false));
    assert_eq!(violations(&case), Vec::<&str>::new());

    let requester = Party { actor: requester(), org: None, standing: Standing::Requester };
    for party in [Party::system(), requester] {
        let refused = open.clone().put_right_on_patrol(before.clone(), after.clone(), &world.act(party));
        assert!(matches!(refused, Err(DomainError::NotEntitled { .. })), "{refused:?}");
    }
    let bare = open.put_right_on_patrol(Vec::new(), Vec::new(), &world.official(TEAM));
    assert!(matches!(bare, Err(DomainError::Invalid { field: "evidence", .. })), "{bare:?}");
}

#[test]
fn what_a_patrol_finds_again_of_a_case_that_is_verified_is_evidence_and_a_step_and_moves_nothing() {
    let mut world = World::new();
    let open = world.completed("stairs");
    assert_eq!(open.state, CaseState::Verifying);
    let before = vec![(EvidenceKind::Photo, "photo:again".to_owned())];
    let told = open.clone().found_again_on_patrol(before.clone(), Urgency::Urgent, &world.official(TEAM));
    let told = told.unwrap();
    assert_eq!(names(&told), Vec::<&str>::new(), "no event");
    let [step] = told.timeline.as_slice() else { panic!("{:?}", told.timeline) };
    assert_eq!((step.event.as_str(), step.org), ("CaseFoundAgainOnPatrol", Some(TEAM)));
    assert_eq!(step.case_version, open.version + 1);
    let text = step.reason.as_ref().unwrap().render(Language::Chinese);
    assert!(text.contains("photo:again") && text.contains("紧急程度：紧急"), "{text}");
    let case = told.case;
    assert_eq!((case.state, &case.clocks, &case.tasks), (open.state, &open.clocks, &open.tasks));
    assert_eq!((&case.verification, case.urgency), (&open.verification, open.urgency));
    assert_eq!(case.evidence.len(), open.evidence.len() + 1);
    assert_eq!((case.remark_count, case.remarked_at), (1, Some(world.now)));
    assert_eq!(case.handling_orgs(), open.handling_orgs(), "to see it is not to handle it");
    assert_eq!(violations(&case), Vec::<&str>::new());

    let requester = Party { actor: requester(), org: None, standing: Standing::Requester };
    for party in [Party::system(), requester] {
        let refused = open.clone().found_again_on_patrol(before.clone(), Urgency::Normal, &world.act(party));
        assert!(matches!(refused, Err(DomainError::NotEntitled { .. })), "{refused:?}");
    }
}

#[test]
fn a_topic_is_noted_in_any_state_once_and_moves_nothing() {
    let mut world = World::new();
    let topic = CaseId(world.fresh());
    let other = CaseId(world.fresh());
    for case in [world.registered(), world.in_progress("stairs"), world.closed("stairs")] {
        let (state, clocks) = (case.state, case.clocks.clone());
        let linked = case.link_to_topic(topic, &world.official(STREET_OFFICE)).unwrap();
        assert_eq!(names(&linked), ["CaseLinkedToTopic"]);
        let case = linked.case;
        assert_eq!((case.state, case.parent_case, case.clocks.clone()), (state, Some(topic), clocks));
        let version = case.version;
        let again = case.link_to_topic(other, &world.official(STREET_OFFICE)).unwrap();
        assert_eq!(
            (again.case.parent_case, again.case.version, again.events.len()),
            (Some(topic), version, 0)
        );
    }
    let case = world.registered();
    let own = case.id;
    assert!(matches!(case.link_to_topic(own, &world.system()), Err(DomainError::Invalid { .. })));
}
