//! After the work and beside it: ratings, reopening, withdrawal, refusals at intake, dispatchers' choices,
//! assignments and supervision.

use chrono::TimeDelta;

use super::super::*;
use super::table::in_state;
use super::world::*;
use crate::record::{CaseRecord, OfferState};

#[test]
fn a_bad_rating_found_valid_brings_rework_and_supervision() {
    let mut world = World::new();
    let case = world.resolved("stairs");
    assert_eq!(guard(case.clone().rate(0, &world.resident())), "grade");
    assert_eq!(guard(case.clone().close(&world.system())), "rating_window_open");
    let rated = case.rate(2, &world.resident()).unwrap();
    assert_eq!(names(&rated), ["RatingReceived"]);
    assert_eq!(guard(rated.case.clone().rate(5, &world.resident())), "rated_before");

    let reworked = rated.case.clone().judge_rating(true, "", &world.official(VERIFIER)).unwrap();
    assert_eq!(names(&reworked), ["RatingJudged", "CaseReworkOrdered", "TaskReturned", "SupervisionIssued"]);
    assert_eq!((reworked.case.state, reworked.case.rework_count), (CaseState::InProgress, 1));
    let DomainEvent::SupervisionIssued { level: 2, .. } = reworked.events[3].event else { panic!() };
    let again = world.complete(reworked.case);
    assert_eq!(again.state, CaseState::Verifying);
    assert!(again.verification.as_ref().unwrap().callback.is_none(), "the call-back is made again");

    let unheard = rated.case.clone().judge_rating(false, "", &world.official(VERIFIER));
    assert_eq!(guard(unheard), "callback_outstanding");
    let closed = world.heard(rated.case).judge_rating(false, "", &world.official(VERIFIER)).unwrap();
    assert_eq!(names(&closed), ["RatingJudged", "CaseClosed"]);
}

#[test]
fn a_case_that_goes_back_more_often_than_its_limits_allow_is_supervised() {
    let mut world = World::new();
    let most = world.rules.standard.rework_max;
    let mut case = world.completed("stairs");
    for count in 1..=most + 1 {
        let reworked = case.order_rework("not_done", &world.official(VERIFIER)).unwrap();
        let often = |told: &Emitted| match &told.event {
            DomainEvent::SupervisionIssued { level: 2, reason_code, .. } => reason_code == "reworked_often",
            _ => false,
        };
        assert_eq!(reworked.events.iter().any(often), count > most, "{count}");
        assert_eq!(violations(&reworked.case), Vec::<&str>::new());
        case = world.complete(reworked.case);
    }
}

#[test]
fn a_late_bad_rating_found_valid_opens_the_case_again() {
    let mut world = World::new();
    let case = world.resolved("stairs");
    world.wait(TimeDelta::days(12));
    let case = world.tick(case).case;
    assert_eq!(case.state, CaseState::Closed);
    let case = case.rate(1, &world.resident()).unwrap().case;
    assert_eq!(case.state, CaseState::Closed);
    let reopened = case.judge_rating(true, "", &world.official(VERIFIER)).unwrap();
    assert_eq!(
        names(&reopened),
        ["RatingJudged", "CaseReopened", "CaseDispatched", "TaskIssued", "TaskIssued", "SupervisionIssued"]
    );
    assert_eq!((reopened.case.reopen_count, reopened.case.closed_code), (1, None));
    assert_eq!(violations(&reopened.case), Vec::<&str>::new());
}

/// Closed without a rating, and rated badly then.
fn rated_late(world: &mut World) -> Case {
    let case = world.resolved("stairs");
    world.wait(TimeDelta::days(12));
    let case = world.tick(case).case;
    case.rate(1, &world.resident()).unwrap().case
}

#[test]
fn a_bad_rating_that_awaits_judgement_is_not_put_aside_by_opening_the_case_again() {
    let mut world = World::new();
    let case = rated_late(&mut world);
    for org in [STATION, STREET_OFFICE, GOVERNMENT, VERIFIER] {
        assert_eq!(guard(case.clone().reopen("new_facts", &world.official(org))), "rating_unjudged", "{org}");
    }
    let judged = world.heard(case).judge_rating(false, "", &world.official(VERIFIER)).unwrap().case;
    let opened = judged.reopen("new_facts", &world.official(STREET_OFFICE)).unwrap();
    assert_eq!((opened.case.state, opened.case.rating), (CaseState::Dispatched, None));
}

#[test]
fn whoever_rated_badly_opens_the_case_again_without_waiting_and_the_rating_counts_as_valid() {
    let mut world = World::new();
    let case = rated_late(&mut world);
    let opened = case.reopen("new_facts", &world.resident()).unwrap();
    assert_eq!(
        names(&opened),
        ["RatingJudged", "CaseReopened", "CaseDispatched", "TaskIssued", "TaskIssued", "SupervisionIssued"]
    );
    let DomainEvent::RatingJudged { grade: 1, valid: true, callback: None } = opened.events[0].event else {
        panic!("{opened:?}")
    };
    let reason = opened.timeline[0].reason.clone().unwrap();
    assert_ne!(reason.render(Language::Chinese), reason.render(Language::English));
    let DomainEvent::SupervisionIssued { level: 2, .. } = opened.events[5].event else { panic!() };
    assert_eq!((opened.case.rating.clone(), opened.case.reopen_count), (None, 1));
    assert_eq!(violations(&opened.case), Vec::<&str>::new());
}

#[test]
fn what_was_sent_back_took_all_the_time_since_it_was_accepted() {
    let mut world = World::new();
    let total = |decision: &Decision| {
        decision.events.iter().find_map(|told| match told.event {
            DomainEvent::CaseCompleted { elapsed_total, .. }
            | DomainEvent::CaseAnswered { elapsed_total, .. } => elapsed_total,
            _ => None,
        })
    };
    let minutes = |n: i64| Some((n * 60, calendar::TimeUnit::WorkDay));
    let case = world.in_progress("stairs");
    world.wait(TimeDelta::hours(2));
    let completed = case.complete(done(), &world.official(STATION)).unwrap();
    assert_eq!(total(&completed), minutes(120));
    // What the check takes is nobody's work: from 11:00 to 11:30.
    world.wait(TimeDelta::minutes(30));
    let case = completed.case.order_rework("not_done", &world.official(VERIFIER)).unwrap().case;
    // A day in office hours.
    world.wait(TimeDelta::days(1));
    let completed = case.complete(done(), &world.official(STATION)).unwrap();
    assert_eq!(total(&completed), minutes(120 + 390));
    let case = completed.case.verify(&found_good(), &world.official(VERIFIER)).unwrap().case;
    let case = case.rate(5, &world.resident()).unwrap().case;

    // Opened again it is measured anew, up to an answer, too.
    let case = case.reopen("new_facts", &world.resident()).unwrap().case;
    let case = case.recall("mis_dispatch", &world.official(GOVERNMENT)).unwrap().case;
    world.wait(TimeDelta::minutes(15));
    let command = AnswerCase { explanation_ref: "kb-1".into(), closed_code: ClosedCode::BeyondAuthority };
    let answered = case.answer(command, &world.official(STATION)).unwrap();
    assert_eq!(total(&answered), minutes(15));
}

#[test]
fn a_closed_case_is_reopened_within_its_window_only() {
    let mut world = World::new();
    let case = world.closed("stairs");
    let stranger = Party { actor: PersonRef("r-2".into()), org: None, standing: Standing::Requester };
    assert_eq!(guard(case.clone().reopen("new_facts", &world.act(stranger))), "requester");
    assert!(case.clone().reopen("new_facts", &world.resident()).is_ok());
    world.wait(TimeDelta::days(40));
    assert_eq!(guard(case.reopen("new_facts", &world.resident())), "reopen_window_over");
}

#[test]
fn withdrawing_cancels_every_task_and_is_barred_for_public_safety() {
    let mut world = World::new();
    let case = world.in_progress("street_light");
    let withdrawn = case.withdraw("solved_itself", None, &world.resident()).unwrap();
    assert_eq!(names(&withdrawn), ["TaskCancelled", "TaskCancelled", "CaseWithdrawn"]);
    assert_eq!(violations(&withdrawn.case), Vec::<&str>::new());
    let case = world.dispatched("gas_smell");
    assert_eq!(guard(case.withdraw("solved_itself", None, &world.resident())), "withdrawal_barred");
    let case = world.dispatched("shopping_help");
    let withdrawn = case.withdraw("solved_itself", None, &world.resident()).unwrap();
    assert_eq!(names(&withdrawn), ["CaseOfferWithdrawn", "CaseWithdrawn"]);
    let case = world.with_partner();
    let withdrawn = case.withdraw("solved_itself", None, &world.resident()).unwrap();
    assert_eq!(names(&withdrawn), ["TaskCancelled", "CaseWithdrawn"]);
    let DomainEvent::CaseWithdrawn { offer_id: Some(_), .. } = withdrawn.events[1].event else { panic!() };
}

#[test]
fn emergencies_are_handed_over_and_statutory_channels_told_in_one_go() {
    let mut world = World::new();
    let fire = world.intake("fire");
    assert_eq!(names(&fire), ["CaseRegistered", "CaseAccepted", "CaseTriaged", "CaseHandedOff"]);
    let court = world.intake("court_matter");
    assert_eq!(court.case.closed_code, Some(ClosedCode::BeyondAuthority));
    assert_eq!(
        names(&court),
        ["CaseRegistered", "CaseAccepted", "CaseTriaged", "CaseAnswered", "VerificationStarted"]
    );
}

#[test]
fn only_a_human_refuses_or_merges_a_case() {
    let mut world = World::new();
    let case = world.registered();
    assert_eq!(guard(case.clone().decline("out_of_scope", "petition", &world.system())), "human_official");
    assert_eq!(guard(case.clone().decline("out_of_scope", "petition", &world.resident())), "human_official");
    assert_eq!(
        guard(case.clone().decline("Not a code!", "petition", &world.official(STATION))),
        "reason_code"
    );
    let other = CaseId(world.fresh());
    assert_eq!(guard(case.clone().merge(other, &world.system())), "human_official");
    let own = case.id;
    assert_eq!(guard(case.merge(own, &world.official(STATION))), "into_case_id");
}

#[test]
fn an_unmerged_case_runs_on_as_if_never_stopped() {
    let mut world = World::new();
    let case = world.accepted();
    let due = case.resolve_clock().unwrap().due_at;
    let other = CaseId(world.fresh());
    let merged = case.merge(other, &world.official(STATION)).unwrap().case;
    assert_eq!(merged.next_timer_at(), None);
    world.wait(TimeDelta::days(2));
    let case = merged.unmerge(&world.official(STATION)).unwrap().case;
    assert_eq!(case.resolve_clock().unwrap().due_at, due);
    assert!(case.resolve_clock().unwrap().is_running());
    let target = world.accepted();
    let act = world.official(STATION);
    let absorbed = target.absorb(&[other], true, &act).unwrap().case;
    let parted = absorbed.clone().absorb(&[other], false, &act).unwrap().case;
    assert_eq!((absorbed.facts().merged_count, parted.merged.len()), (1, 0));
}

#[test]
fn a_case_that_others_were_merged_into_does_not_end_before_they_are_taken_out() {
    let mut world = World::new();
    let other = CaseId(world.fresh());
    let case = world.registered().absorb(&[other], true, &world.official(STATION)).unwrap().case;
    assert_eq!(
        guard(case.clone().decline("out_of_scope", "petition", &world.official(STATION))),
        "others_joined"
    );
    assert_eq!(guard(case.clone().withdraw("solved_itself", None, &world.resident())), "others_joined");
    let case = case.absorb(&[other], false, &world.official(STATION)).unwrap().case;
    assert!(case.withdraw("solved_itself", None, &world.resident()).is_ok());
}

#[test]
fn nothing_is_merged_into_a_case_that_nobody_handles_any_more() {
    let mut world = World::new();
    let other = CaseId(world.fresh());
    for state in CaseState::ALL.iter().filter(|state| state.is_finished()) {
        let case = in_state(&mut world, *state);
        let refused = case.clone().absorb(&[other], true, &world.official(STATION));
        assert_eq!(refused, Err(DomainError::WrongState { state: *state, verb: Trigger::Merge }));
        let taken_out = case.absorb(&[other], false, &world.official(STATION));
        assert!(taken_out.is_ok(), "taking out is always possible");
    }
}

#[test]
fn a_dispatch_out_of_an_offer_that_finds_nobody_leaves_the_offer_open() {
    let mut nobody = parts();
    nobody.entries.retain(|entry| entry.item_code != "shopping_help");
    let mut world = World::of(TableParts { fallback: None, ..nobody });
    let case = world.dispatched("shopping_help");
    assert_eq!(case.state, CaseState::OfferedToSociety);
    for choice in [RouteChoice::Auto, RouteChoice::PublicService] {
        assert_eq!(guard(case.clone().dispatch(&choice, &world.official(STREET_OFFICE))), "no_route");
    }
}

#[test]
fn a_supplement_is_asked_for_once_and_stops_the_clock_meanwhile() {
    let mut world = World::new();
    let case = world.registered();
    assert_eq!(guard(case.clone().request_supplement(vec![], &world.official(STATION))), "material_codes");
    let asked = case.request_supplement(vec!["id_copy".into()], &world.official(STATION)).unwrap();
    let DomainEvent::CaseSupplementRequested { in_time: true, .. } = asked.events[0].event else { panic!() };
    world.wait(TimeDelta::days(3));
    let sent = asked.case.supplement(materials(&["id_copy"]), &world.resident()).unwrap();
    assert_eq!(names(&sent), ["CaseSupplemented", "CaseAccepted"]);
    let DomainEvent::CaseAccepted { in_time: true, by_silence: false } = sent.events[1].event else {
        panic!()
    };
    assert_eq!(violations(&sent.case), Vec::<&str>::new());
}

#[test]
fn dispatchers_are_bound_by_edges_and_exclusions_and_may_whistle() {
    let mut world = World::new();
    let case = world.triaged("street_light");
    let go = |case: &Case, choice: &RouteChoice, world: &mut World| {
        case.clone().dispatch(choice, &world.official(STREET_OFFICE))
    };
    assert_eq!(guard(go(&case, &manual(STATION), &mut world)), "not_statutory_duty");
    assert_eq!(guard(go(&case, &manual(OrgId(CITY.0)), &mut world)), "lead_org_id");
    let demolition = world.triaged("demolition");
    assert_eq!(guard(go(&demolition, &manual(STREET_OFFICE), &mut world)), "department_item_not_transferred");
    assert_eq!(guard(go(&case, &manual(VERIFIER), &mut world)), "no_authority_edge");
    let whistle = |lead, assists: &[OrgId]| sends(Chooser::Dispatcher, lead, assists);
    let sent = go(&case, &whistle(URBAN, &[COURTS]), &mut world).unwrap().case;
    let modes: Vec<_> = sent.tasks.iter().map(|task| (task.org, task.sender, task.mode)).collect();
    assert_eq!(
        modes,
        [(URBAN, STREET_OFFICE, DispatchMode::Whistle), (COURTS, STREET_OFFICE, DispatchMode::Whistle)]
    );
    assert_eq!(guard(go(&case, &whistle(HOUSING, &[]), &mut world)), "lead_org_id");
    assert_eq!(guard(go(&case, &whistle(URBAN, &[HOUSING]), &mut world)), "assist_org_ids");

    let register = RegisterCase { complained_of: Some(URBAN), ..world.register() };
    let command = IntakeCase { register, triage: triage("street_light"), route: manual(URBAN) };
    assert_eq!(guard(Case::intake(command, &world.official(STATION))), "recused");
}

#[test]
fn a_recalled_case_waits_for_another_dispatch() {
    let mut world = World::new();
    let case = world.signed("street_light");
    let recalled = case.recall("mis_dispatch", &world.official(GOVERNMENT)).unwrap();
    assert_eq!(names(&recalled), ["TaskCancelled", "TaskCancelled", "CaseRecalled"]);
    assert_eq!((recalled.case.lead_org, recalled.case.first_receiver), (None, STATION));
    let sent = recalled.case.dispatch(&manual(URBAN), &world.official(GOVERNMENT)).unwrap();
    let DomainEvent::CaseDispatched { first: false, .. } = sent.events[0].event else { panic!() };
    assert_eq!(sent.case.lead_change_count, 1);
}

#[test]
fn requests_that_are_wrong_in_themselves_are_refused_with_the_field() {
    let mut world = World::new();
    let register = |change: &dyn Fn(&mut RegisterCase), world: &mut World| {
        let mut command = world.register();
        change(&mut command);
        guard(Case::register(command, &world.official(STATION)))
    };
    assert_eq!(register(&|command| command.place_unit = UnitId(GOVERNMENT.0), &mut world), "place_unit_id");
    assert_eq!(register(&|command| command.case_no.clear(), &mut world), "case_no");
    assert_eq!(register(&|command| command.receiver = OrgId(CITY.0), &mut world), "receiver_org_id");
    assert_eq!(register(&|command| command.anonymous = true, &mut world), "anonymous");
    assert_eq!(register(&|command| command.requester = None, &mut world), "requester");
    assert_eq!(register(&|command| command.item_code = Some("none".into()), &mut world), "item_code");
    let case = world.accepted();
    assert_eq!(guard(case.clone().triage(&TriageCase::default(), &world.official(STATION))), "item_code");
    let elsewhere = TriageCase { place_unit: Some(UnitId(GOVERNMENT.0)), ..triage("stairs") };
    assert_eq!(guard(case.triage(&elsewhere, &world.official(STATION))), "place_unit_id");
}

#[test]
fn news_of_an_assignment_is_shown_and_never_moves_the_case() {
    let mut world = World::new();
    let case = world.signed("stairs");
    let task_id = case.lead_task.unwrap();
    let (at, one) = (world.now, Some(AssignmentId(world.fresh())));
    let news = |assignment_id, status, version| AssignmentChanged {
        task_id,
        assignment_id,
        status,
        worker: None,
        at,
        version,
    };
    let accepted = news(one, AssignmentStatus::Accepted, 2);
    let accepted = case.assignment_changed(accepted, &world.system()).unwrap();
    assert_eq!((accepted.events.len(), accepted.case.state), (0, CaseState::Signed));
    let told_again = news(one, AssignmentStatus::Offered, 1);
    let told_again = accepted.case.assignment_changed(told_again, &world.system()).unwrap();
    let shown = told_again.case.lead().unwrap().assignment.clone().unwrap();
    assert_eq!(shown.status, AssignmentStatus::Accepted);
    let unfilled = news(None, AssignmentStatus::Unfilled, 1);
    let unfilled = told_again.case.assignment_changed(unfilled, &world.system()).unwrap();
    assert_eq!(names(&unfilled), ["SupervisionIssued"]);
    let DomainEvent::SupervisionIssued { level: 0, .. } = unfilled.events[0].event else { panic!() };
}

#[test]
fn supervision_is_answered_by_the_supervised_and_cleared_by_the_supervisor() {
    let mut world = World::new();
    let case = world.in_progress("stairs");
    assert_eq!(guard(case.clone().supervise(4, "leader", None, &world.official(STREET_OFFICE))), "level");
    let issued = case.supervise(1, "leader", None, &world.official(STREET_OFFICE)).unwrap().case;
    let id = issued.supervisions[0].id;
    assert_eq!(
        guard(issued.clone().answer_supervision(id, "under_way", None, &world.official(HOUSING))),
        "supervised_org"
    );
    let answered = issued.answer_supervision(id, "under_way", None, &world.official(STATION)).unwrap();
    let DomainEvent::SupervisionAnswered { in_time: true, .. } = answered.events[0].event else { panic!() };
    assert_eq!(
        guard(answered.case.clone().answer_supervision(id, "under_way", None, &world.official(STATION))),
        "supervision_settled"
    );
    let cleared = answered.case.clear_supervision(id, 1, &world.official(STREET_OFFICE)).unwrap();
    assert_eq!(names(&cleared), ["SupervisionCleared"]);
    let closed = world.closed("stairs");
    assert_eq!(guard(closed.supervise(1, "leader", None, &world.official(STREET_OFFICE))), "case_finished");
}

#[test]
fn a_reworked_case_whose_lead_is_gone_is_routed_afresh() {
    let mut world = World::new();
    let case = world.with_partner();
    let offer = case.offer.clone().unwrap().id;
    let done = case.social_completed(offer, &[], &world.system()).unwrap().unwrap();
    let (record, _) = CaseRecord::after(None, done.clone());
    let case = done.case;
    let mut gone = parts();
    gone.orgs.iter_mut().filter(|org| org.id == GROUP).for_each(|org| org.valid_to = Some(world.now));
    world.routes = RoutingTable::new(gone);
    let reworked = case.order_rework("not_done", &world.official(VERIFIER)).unwrap();
    assert_eq!(
        names(&reworked),
        ["CaseReworkOrdered", "CaseOfferWithdrawn", "TaskCancelled", "CaseDispatched", "TaskIssued"]
    );
    assert_eq!(reworked.case.lead_org, Some(STATION));
    assert_eq!(violations(&reworked.case), Vec::<&str>::new());
    let (record, _) = CaseRecord::after(Some(&record), reworked);
    assert_eq!(record.pending.offers[&offer].1, OfferState::Withdrawn, "its hours do not count");
}

#[test]
fn the_whole_aggregate_can_be_stored_and_read_back() {
    let mut world = World::new();
    for case in [world.closed("stairs"), world.with_partner(), world.objected("street_light")] {
        let text = serde_json::to_string(&case).unwrap();
        assert_eq!(serde_json::from_str::<Case>(&text).unwrap(), case);
    }
}

#[test]
fn what_the_router_is_not_sure_of_waits_for_a_human_who_confirms_or_chooses() {
    let mut world = World::new();
    let intake = world.intake("nobodys");
    assert_eq!(names(&intake), ["CaseRegistered", "CaseAccepted", "CaseTriaged"]);
    let case = intake.case;
    let proposal = case.routing.last().unwrap().clone();
    assert_eq!((case.state, case.lead_org), (CaseState::Triaged, None));
    assert_eq!(
        (proposal.kind, proposal.lead, proposal.by_human),
        (RoutingKind::Proposed, Some(GOVERNMENT), false)
    );
    assert_eq!(proposal.reasons.last().unwrap().code, "needs_human");
    assert!(case.clock(ClockKind::Dispatch, None).unwrap().is_running(), "somebody is reminded");
    assert_eq!(violations(&case), Vec::<&str>::new());

    // Asking the router again decides nothing.
    let asked = case.clone().dispatch(&RouteChoice::Auto, &world.official(STREET_OFFICE)).unwrap();
    assert_eq!((asked.case.state, asked.events.len()), (CaseState::Triaged, 0));
    assert!(asked.case.version > case.version);
    let newer = asked.case.routing.last().unwrap().id;

    let confirm = |case: &Case, id, act: &Act<'_>| case.clone().dispatch(&RouteChoice::Confirmed(id), act);
    assert_eq!(guard(confirm(&asked.case, proposal.id, &world.official(STREET_OFFICE))), "not_proposed");
    assert_eq!(guard(confirm(&asked.case, newer, &world.system())), "human_official");
    let sent = confirm(&asked.case, newer, &world.official(STREET_OFFICE)).unwrap();
    assert_eq!(names(&sent), ["CaseDispatched", "TaskIssued"]);
    let decision = sent.case.routing.last().unwrap();
    assert_eq!((decision.kind, decision.by_human), (RoutingKind::Fallback, true));
    assert_eq!(sent.case.lead_org, Some(GOVERNMENT));
    let chosen = case.clone().dispatch(&manual(URBAN), &world.official(GOVERNMENT)).unwrap();
    assert_eq!(chosen.case.lead_org, Some(URBAN));

    // What was seen is what is confirmed: the lists know somebody now.
    let mut changed = parts();
    changed.entries.push(entry("r-new", "nobodys", URBAN, ListPart::Lead));
    world.routes = RoutingTable::new(changed);
    assert_eq!(guard(confirm(&case, proposal.id, &world.official(STREET_OFFICE))), "proposal_changed");
    let case = case.dispatch(&RouteChoice::Auto, &world.official(STREET_OFFICE)).unwrap().case;
    assert_eq!(case.lead_org, Some(URBAN));
}

#[test]
fn time_and_partners_do_not_decide_what_the_router_is_not_sure_of() {
    let mut unsure = parts();
    unsure.entries.retain(|entry| entry.item_code != "shopping_help");
    let mut world = World::of(unsure);
    let mut case = world.dispatched("shopping_help");
    assert_eq!(
        guard(case.clone().dispatch(&RouteChoice::Auto, &world.official(STREET_OFFICE))),
        "needs_human"
    );
    for partner in [GROUP, TEAM, CONTRACTOR] {
        let offer = case.offer.clone().unwrap();
        case = case.decline_offer(offer.id, &world.official(partner)).unwrap().case;
    }
    assert_eq!(case.state, CaseState::Triaged);
    let proposal = case.routing.last().unwrap().clone();
    assert_eq!((proposal.kind, proposal.lead), (RoutingKind::Proposed, Some(GOVERNMENT)));
    assert!(case.clock(ClockKind::Dispatch, None).unwrap().is_running());
    assert_eq!(violations(&case), Vec::<&str>::new());
    let sent = case.dispatch(&RouteChoice::Confirmed(proposal.id), &world.official(STREET_OFFICE)).unwrap();
    assert_eq!(sent.case.lead_org, Some(GOVERNMENT));

    let mut world = World::new();
    let objected = world.objected("street_light");
    let mut changed = parts();
    changed.entries.retain(|entry| entry.item_code != "street_light");
    world.routes = RoutingTable::new(changed);
    assert_eq!(
        guard(objected.clone().redispatch(&RouteChoice::Auto, &world.official(GOVERNMENT))),
        "needs_human"
    );
    assert!(objected.redispatch(&manual(URBAN), &world.official(GOVERNMENT)).is_ok());
}

#[test]
fn a_verification_of_an_older_program_is_read_and_its_calls_count() {
    let mut world = World::new();
    let stored = serde_json::to_string(&world.completed("stairs")).unwrap();
    assert!(!stored.contains("\"calls\"") && !stored.contains("\"evidence_refs\""));
    let stored = stored.replace("\"attempts\":0", "\"attempts\":2");
    let case: Case = serde_json::from_str(&stored).unwrap();
    let called = case.record_callback(&CallbackReport::NoAnswer, &world.official(VERIFIER)).unwrap().case;
    let found = called.verification.unwrap();
    assert_eq!((found.attempts, found.calls.len()), (3, 1));
    assert_eq!(found.callback.unwrap().outcome, CallbackOutcome::Unreached);
}
