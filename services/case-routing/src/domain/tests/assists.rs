//! Who may be asked to help by hand, called by a whistle or named by a ruling: the lists bind all of them. And what becomes of
//! what they hand in.

use chrono::TimeDelta;

use super::super::*;
use super::table::ruling;
use super::world::*;

/// The courts are never given street lights.
fn never() -> TableParts {
    let mut parts = parts();
    parts.entries.push(entry("r-never", "street_light", COURTS, ListPart::Negative));
    parts
}

fn by_street(case: &Case, lead: OrgId, assists: &[OrgId], world: &mut World) -> Result<Decision> {
    let choice = sends(Chooser::Dispatcher, lead, assists);
    case.clone().dispatch(&choice, &world.official(STREET_OFFICE))
}

fn whistled(case: Case, org: OrgId, world: &mut World) -> Result<Decision> {
    let command = WhistleCase { orgs: vec![org], report_within: None, reason_code: "joint_work".into() };
    case.whistle(&command, &world.official(STREET_OFFICE))
}

/// The street's objection is before the district, which may rule at once.
fn urgent(world: &mut World) -> Case {
    let case = world.objected("street_light");
    let case = case.open_arbitration(&[], None, &world.official(GOVERNMENT)).unwrap().case;
    Case { urgency: Urgency::Urgent, ..case }
}

#[test]
fn whom_the_list_bars_from_an_item_nobody_calls_to_it() {
    let mut world = World::of(never());
    let case = world.triaged("street_light");
    assert_eq!(guard(by_street(&case, STREET_OFFICE, &[COURTS], &mut world)), "negative_list");
    assert!(by_street(&case, STREET_OFFICE, &[URBAN], &mut world).is_ok());
    let case = world.in_progress("street_light");
    assert_eq!(guard(whistled(case, COURTS, &mut world)), "negative_list");
    let other = world.in_progress("stairs");
    assert!(whistled(other, COURTS, &mut world).is_ok(), "another item");
    let case = urgent(&mut world);
    let with_courts = RuleObjection { assists: vec![COURTS], ..ruling(URBAN) };
    assert_eq!(guard(case.rule_objection(&with_courts, &world.official(GOVERNMENT))), "negative_list");

    // Only out of working hours: it is Monday morning.
    let mut by_night = never();
    by_night.entries.last_mut().unwrap().condition = Some(Box::new("time=off".parse().unwrap()));
    let mut world = World::of(by_night);
    let case = world.triaged("street_light");
    assert!(by_street(&case, STREET_OFFICE, &[COURTS], &mut world).is_ok());
}

#[test]
fn who_declined_or_was_relieved_is_called_no_more_but_may_be_ruled_to_help() {
    let mut world = World::new();
    let triaged = Case { excluded_orgs: vec![COURTS], ..world.triaged("street_light") };
    assert_eq!(guard(by_street(&triaged, STREET_OFFICE, &[COURTS], &mut world)), "excluded");
    let begun = Case { excluded_orgs: vec![COURTS], ..world.in_progress("stairs") };
    assert_eq!(guard(whistled(begun, COURTS, &mut world)), "excluded");
    // Its objection is accepted, and it is not made to help instead …
    let objected = world.objected("street_light");
    let choice = sends(Chooser::Dispatcher, URBAN, &[STREET_OFFICE]);
    assert_eq!(guard(objected.redispatch(&choice, &world.official(GOVERNMENT))), "excluded");
    // … unless the arbiter says so.
    let case = urgent(&mut world);
    let with_objector = RuleObjection { assists: vec![STREET_OFFICE], ..ruling(URBAN) };
    let ruled = case.rule_objection(&with_objector, &world.official(GOVERNMENT)).unwrap().case;
    let helps = |task: &&Task| task.part == TaskPart::Assist && task.state.is_live();
    let helpers: Vec<OrgId> = ruled.tasks.iter().filter(helps).map(|task| task.org).collect();
    assert_eq!((ruled.lead_org, helpers), (Some(URBAN), vec![STREET_OFFICE]));
}

/// The organisation objects to its part.
fn objects(case: Case, org: OrgId, world: &mut World) -> Result<Decision> {
    let command = ObjectTask { task_id: only_task(&case, org).id, ..objection(&case) };
    case.object(command, &world.official(org))
}

/// The same, and the district agrees.
fn relieved(case: Case, org: OrgId, world: &mut World) -> Case {
    let case = objects(case, org, world).unwrap().case;
    let task = only_task(&case, org).id;
    case.decide_assist_objection(task, true, "not_competent", &world.official(GOVERNMENT)).unwrap().case
}

#[test]
fn who_was_relieved_of_helping_with_an_item_is_called_to_it_again_by_a_ruling_only() {
    let mut world = World::new();
    let case = world.in_progress("stairs");
    let case = whistled(case, URBAN, &mut world).unwrap().case;
    let case = relieved(case, URBAN, &mut world);
    assert_eq!(guard(whistled(case, URBAN, &mut world)), "excluded");

    // Whom the list names to help, neither by hand nor by the list.
    let case = world.dispatched("street_light");
    let case = relieved(case, URBAN, &mut world);
    let recalled = case.recall("mis_dispatch", &world.official(GOVERNMENT)).unwrap().case;
    assert_eq!(guard(by_street(&recalled, STREET_OFFICE, &[URBAN], &mut world)), "excluded");
    let sent = recalled.clone().dispatch(&RouteChoice::Auto, &world.official(STREET_OFFICE)).unwrap().case;
    assert_eq!((sent.lead_org, only_task(&sent, URBAN).state), (Some(STREET_OFFICE), TaskState::Cancelled));
    // To lead is another matter, and so is another item.
    assert!(recalled.clone().dispatch(&manual(URBAN), &world.official(GOVERNMENT)).is_ok());
    let other = recalled.triage(&triage("stairs"), &world.official(STATION)).unwrap().case;
    assert!(by_street(&other, STATION, &[URBAN], &mut world).is_ok());

    let command = objection(&sent);
    let case = sent.object(command, &world.official(STREET_OFFICE)).unwrap().case;
    let case = case.open_arbitration(&[], None, &world.official(GOVERNMENT)).unwrap().case;
    let case = Case { urgency: Urgency::Urgent, ..case };
    let with_urban = RuleObjection { assists: vec![URBAN], ..ruling(STREET_OFFICE) };
    let ruled = case.rule_objection(&with_urban, &world.official(GOVERNMENT)).unwrap().case;
    assert_eq!(ruled.tasks.last().map(|task| (task.org, task.state)), Some((URBAN, TaskState::Issued)));
    assert_eq!(violations(&ruled), Vec::<&str>::new());

    // What was not accepted relieves nobody: the case was called back before.
    let case = world.dispatched("street_light");
    let case = objects(case, URBAN, &mut world).unwrap().case;
    let case = case.recall("mis_dispatch", &world.official(GOVERNMENT)).unwrap().case;
    assert!(by_street(&case, STREET_OFFICE, &[URBAN], &mut world).is_ok());
}

#[test]
fn whom_a_ruling_names_to_help_objects_no_more_and_helps_though_its_objection_waits() {
    let mut world = World::new();
    let with = |lead: OrgId, org: OrgId| RuleObjection { assists: vec![org], ..ruling(lead) };
    let case = urgent(&mut world);
    let by_ruling = with(STREET_OFFICE, COURTS);
    let ruled = case.rule_objection(&by_ruling, &world.official(GOVERNMENT)).unwrap().case;
    assert_eq!(guard(objects(ruled.clone(), COURTS, &mut world)), "ruling_is_final");
    assert!(objects(ruled.clone(), URBAN, &mut world).is_ok(), "only the list names it");
    // Nor while the ruling is reviewed.
    let in_review = ruled.request_review("wrong_item", &world.official(STREET_OFFICE)).unwrap().case;
    assert_eq!(guard(objects(in_review, COURTS, &mut world)), "ruling_is_final");

    for lead in [STREET_OFFICE, COURTS] {
        let case = urgent(&mut world);
        let case = objects(case, URBAN, &mut world).unwrap().case;
        world.wait(TimeDelta::hours(1));
        let ruled = case.rule_objection(&with(lead, URBAN), &world.official(GOVERNMENT)).unwrap();
        assert!(names(&ruled).contains(&"TaskObjectionRejected"), "{:?}", names(&ruled));
        let case = ruled.case;
        let kept = only_task(&case, URBAN);
        let limit = case.clock(ClockKind::Assist, Some(kept.id)).unwrap();
        assert!(limit.is_running() && limit.started_at == world.now, "it runs anew");
        assert_eq!((kept.state, kept.due_at), (TaskState::Issued, Some(limit.due_at)));
        assert!(!case.clock(ClockKind::Dispatch, Some(kept.id)).unwrap().is_open(), "nobody decides over it");
        let by_hand =
            case.clone().decide_assist_objection(kept.id, true, "unclear", &world.official(GOVERNMENT));
        assert_eq!(guard(by_hand), "not_objected");
        assert_eq!(violations(&case), Vec::<&str>::new());
    }
}

#[test]
fn a_community_is_asked_to_help_a_department_only_with_what_was_admitted() {
    let mut world = World::new();
    let case = world.triaged("demolition");
    for community in [STATION, COMMITTEE] {
        let asked = by_street(&case, HOUSING, &[community], &mut world);
        assert_eq!(guard(asked), "not_admitted", "{community}");
    }
    assert!(by_street(&case, HOUSING, &[URBAN], &mut world).is_ok(), "another department");
    for part in [ListPart::AssistDuty, ListPart::StatutoryDuty] {
        let mut admitted = parts();
        admitted.entries.push(entry("r-help", "demolition", STATION, part));
        let mut world = World::of(admitted);
        let case = world.triaged("demolition");
        assert!(by_street(&case, HOUSING, &[STATION], &mut world).is_ok(), "{part}");
    }
}

/// The only task that an organisation has ever had of the case.
fn only_task(case: &Case, org: OrgId) -> Task {
    let own: Vec<&Task> = case.tasks.iter().filter(|task| task.org == org).collect();
    assert_eq!(own.len(), 1, "{own:?}");
    own[0].clone()
}

fn result() -> Vec<(EvidenceKind, String)> {
    vec![(EvidenceKind::Photo, "photo:1".to_owned())]
}

/// The organisation signs for its part and hands its result in.
fn handed_in(case: Case, org: OrgId, world: &mut World) -> Case {
    let task = only_task(&case, org).id;
    let case = case.sign(task, &world.official(org)).unwrap().case;
    case.submit_task(task, result(), &world.official(org)).unwrap().case
}

/// Whoever leads signs, speaks with the requester and completes it, and it is found good.
fn seen_through(case: Case, world: &mut World) -> Case {
    let (task, lead) = (case.lead_task.unwrap(), case.lead_org.unwrap());
    let case = case.sign(task, &world.official(lead)).unwrap().case;
    let case = case.contact(ContactMethod::Phone, &world.official(lead)).unwrap().case;
    let case = world.complete(case);
    case.verify(&found_good(), &world.official(VERIFIER)).unwrap().case
}

#[test]
fn who_has_signed_for_an_assist_declines_it_no_more_unless_it_was_invited() {
    let mut world = World::new();
    let decline = |case: &Case, org: OrgId, world: &mut World| {
        let task = only_task(case, org).id;
        case.clone().decline_task(task, "no_capacity", true, &world.official(org))
    };
    let sign = |case: &Case, org: OrgId, world: &mut World| {
        let task = only_task(case, org).id;
        case.clone().sign(task, &world.official(org)).unwrap().case
    };
    let asked = world.in_progress("stairs");
    let case = world.triaged("street_light");
    let contracted = by_street(&case, STREET_OFFICE, &[CONTRACTOR], &mut world).unwrap().case;
    for (case, org, mode) in
        [(&asked, COMMITTEE, DispatchMode::AssistRequest), (&contracted, CONTRACTOR, DispatchMode::WorkOrder)]
    {
        assert_eq!(only_task(case, org).mode, mode);
        assert_eq!(names(&decline(case, org, &mut world).unwrap()), ["TaskDeclined"]);
        let signed = sign(case, org, &mut world);
        assert_eq!(guard(decline(&signed, org, &mut world)), "task_state", "{mode}");
    }
    let choice = sends(Chooser::Window, STREET_OFFICE, &[GROUP]);
    let invited = case.dispatch(&choice, &world.official(STATION)).unwrap().case;
    let signed = sign(&invited, GROUP, &mut world);
    assert_eq!(names(&decline(&signed, GROUP, &mut world).unwrap()), ["TaskDeclined"]);
}

#[test]
fn a_lead_sends_back_what_an_assist_handed_in_and_waits_for_it_again() {
    let mut world = World::new();
    let case = world.in_progress("street_light");
    let task = only_task(&case, URBAN).id;
    let early = case.clone().return_task(task, "unclear", &world.official(STREET_OFFICE));
    assert_eq!(guard(early), "task_state", "nothing was handed in");
    let case = handed_in(case, URBAN, &mut world);
    for by in [URBAN, STATION, GOVERNMENT] {
        let refused = case.clone().return_task(task, "unclear", &world.official(by));
        assert_eq!(guard(refused), "lead_org", "{by}");
    }
    let lead = case.lead_task.unwrap();
    let own = case.clone().return_task(lead, "unclear", &world.official(STREET_OFFICE));
    assert_eq!(guard(own), "lead_completes");

    world.wait(TimeDelta::hours(1));
    let returned = case.return_task(task, "unclear", &world.official(STREET_OFFICE)).unwrap();
    assert_eq!(names(&returned), ["TaskReturned"]);
    let case = returned.case;
    let back = only_task(&case, URBAN);
    let limit = case.clock(ClockKind::Assist, Some(task)).unwrap();
    assert!(limit.is_running() && limit.started_at == world.now, "it runs anew");
    assert_eq!((back.state, back.due_at), (TaskState::Returned, Some(limit.due_at)));
    let refused = case.clone().complete(done(), &world.official(STREET_OFFICE));
    assert_eq!(guard(refused), "assist_outstanding");
    let case = case.submit_task(task, result(), &world.official(URBAN)).unwrap().case;
    assert_eq!(world.complete(case).state, CaseState::Verifying);
}

#[test]
fn a_partner_sends_back_what_a_department_handed_in_and_its_completion_waits() {
    let mut world = World::new();
    let case = world.with_partner();
    let case = whistled(case, URBAN, &mut world).unwrap().case;
    let case = handed_in(case, URBAN, &mut world);
    let (task, offer) = (only_task(&case, URBAN).id, case.offer.clone().unwrap().id);
    let street = case.clone().return_task(task, "unclear", &world.official(STREET_OFFICE));
    assert_eq!(guard(street), "lead_org", "who called it does not lead");
    let case = case.return_task(task, "unclear", &world.official(GROUP)).unwrap().case;
    let case = case.social_completed(offer, &[], &world.system()).unwrap().unwrap().case;
    assert_eq!(case.state, CaseState::InProgress);
    let case = case.submit_task(task, result(), &world.official(URBAN)).unwrap().case;
    assert_eq!(case.state, CaseState::Verifying);
    // What nobody has looked at before is the verifier's to send back, and then the partner's.
    let reworked = case.order_rework("not_done", &world.official(VERIFIER)).unwrap().case;
    let returned = reworked.return_task(task, "unclear", &world.official(GROUP)).unwrap().case;
    assert_eq!(only_task(&returned, URBAN).state, TaskState::Returned);
    assert_eq!(violations(&returned), Vec::<&str>::new());
}

#[test]
fn what_was_approved_is_sent_back_with_a_rework_and_not_once_the_case_was_opened_again() {
    let mut world = World::new();
    let case = world.in_progress("stairs");
    let case = whistled(case, URBAN, &mut world).unwrap().case;
    let case = handed_in(case, URBAN, &mut world);
    let task = only_task(&case, URBAN).id;
    let case = world.complete(case);
    let resolved = case.verify(&found_good(), &world.official(VERIFIER)).unwrap().case;
    let rated = resolved.clone().rate(1, &world.resident()).unwrap().case;
    let reworked = rated.judge_rating(true, "", &world.official(VERIFIER)).unwrap().case;
    let called = whistled(reworked.clone(), URBAN, &mut world).unwrap().case;
    let twice = called.return_task(task, "unclear", &world.official(STATION));
    assert_eq!(guard(twice), "takes_part", "it has another task of it in hand");
    let returned = reworked.return_task(task, "unclear", &world.official(STATION)).unwrap().case;
    assert_eq!(only_task(&returned, URBAN).state, TaskState::Returned);

    let closed = resolved.rate(5, &world.resident()).unwrap().case;
    world.wait(TimeDelta::hours(1));
    let opened = closed.reopen("new_facts", &world.resident()).unwrap().case;
    let lead = opened.lead_task.unwrap();
    let signed = opened.sign(lead, &world.official(STATION)).unwrap().case;
    assert_eq!(guard(signed.return_task(task, "unclear", &world.official(STATION))), "task_state");
}

#[test]
fn what_an_assist_handed_in_stands_when_the_partner_that_leads_gives_up() {
    let mut helped = parts();
    helped.entries.push(entry("r-shop-urban", "shopping_help", URBAN, ListPart::Assist));
    let mut world = World::of(helped);
    let case = world.with_partner();
    let case = whistled(case, URBAN, &mut world).unwrap().case;
    let case = whistled(case, COURTS, &mut world).unwrap().case;
    let case = handed_in(case, URBAN, &mut world);
    let back = case.return_from_society("gave_up", &world.official(GROUP)).unwrap();
    let told = ["TaskCancelled", "TaskCancelled", "CaseReturnedFromSociety", "CaseDispatched", "TaskIssued"];
    assert_eq!(names(&back), told, "the partner's and that of who has handed nothing in");
    let case = back.case;
    // The list names it to help, and it has helped.
    let kept = only_task(&case, URBAN);
    assert_eq!((case.lead_org, kept.state), (Some(STATION), TaskState::Submitted));
    assert_eq!(only_task(&case, COURTS).state, TaskState::Cancelled);
    assert_eq!(violations(&case), Vec::<&str>::new());
    let case = case.appraise_whistle(kept.id, true, &world.official(STREET_OFFICE)).unwrap().case;
    let case = case.appraise_whistle(kept.id, true, &world.official(URBAN)).unwrap().case;
    let verified = seen_through(case, &mut world);
    assert_eq!(only_task(&verified, URBAN).state, TaskState::Approved);
    assert_eq!(violations(&verified), Vec::<&str>::new());
}

#[test]
fn what_an_assist_handed_in_stands_when_the_lead_declines() {
    let mut world = World::new();
    let case = world.dispatched("committee_matter");
    let case = whistled(case, URBAN, &mut world).unwrap().case;
    let case = handed_in(case, URBAN, &mut world);
    let lead = case.lead_task.unwrap();
    let declined = case.decline_task(lead, "not_admitted", false, &world.official(COMMITTEE)).unwrap();
    assert_eq!(names(&declined), ["TaskDeclined", "CaseDispatched", "TaskIssued"]);
    let case = declined.case;
    let kept = only_task(&case, URBAN);
    assert_eq!((case.lead_org, kept.state), (Some(STREET_OFFICE), TaskState::Submitted));
    // Whoever leads next may want more of it.
    let next = case.lead_task.unwrap();
    let signed = case.clone().sign(next, &world.official(STREET_OFFICE)).unwrap().case;
    let returned = signed.return_task(kept.id, "unclear", &world.official(STREET_OFFICE)).unwrap().case;
    assert_eq!(only_task(&returned, URBAN).state, TaskState::Returned);
    let case = case.appraise_whistle(kept.id, true, &world.official(STREET_OFFICE)).unwrap().case;
    let verified = seen_through(case, &mut world);
    assert_eq!(only_task(&verified, URBAN).state, TaskState::Approved);
}

#[test]
fn who_has_handed_in_may_lead_later_and_both_of_its_parts_are_approved() {
    let mut world = World::new();
    let case = world.dispatched("street_light");
    let case = handed_in(case, URBAN, &mut world);
    let assist = only_task(&case, URBAN).id;
    let recalled = case.clone().recall("mis_dispatch", &world.official(GOVERNMENT)).unwrap().case;
    assert_eq!(recalled.task(assist).unwrap().state, TaskState::Submitted);
    let recalled = recalled.dispatch(&manual(URBAN), &world.official(GOVERNMENT)).unwrap().case;
    let command = objection(&case);
    let objected = case.object(command, &world.official(STREET_OFFICE)).unwrap().case;
    let redispatched = objected.redispatch(&manual(URBAN), &world.official(GOVERNMENT)).unwrap().case;
    for case in [recalled, redispatched] {
        let state = case.task(assist).unwrap().state;
        assert_eq!((case.lead_org, state), (Some(URBAN), TaskState::Submitted));
        assert_eq!(violations(&case), Vec::<&str>::new());
        let lead = case.lead_task.unwrap();
        let signed = case.clone().sign(lead, &world.official(URBAN)).unwrap().case;
        let own = signed.return_task(assist, "unclear", &world.official(URBAN));
        assert_eq!(guard(own), "takes_part", "nobody sends back their own");
        let verified = seen_through(case, &mut world);
        for id in [assist, lead] {
            assert_eq!(verified.task(id).unwrap().state, TaskState::Approved);
        }
        assert_eq!(violations(&verified), Vec::<&str>::new());
    }
}

#[test]
fn what_was_handed_in_ends_with_a_case_that_goes_elsewhere() {
    let mut world = World::new();
    let case = world.dispatched("street_light");
    let case = handed_in(case, URBAN, &mut world);
    let case = case.recall("mis_dispatch", &world.official(GOVERNMENT)).unwrap().case;
    let other = CaseId(world.fresh());
    let merged = case.clone().merge(other, &world.official(STATION)).unwrap();
    let elsewhere = case.clone().hand_off("12345", Elsewhere::Taken, &world.official(STATION)).unwrap();
    let withdrawn = case.withdraw("solved_itself", None, &world.resident()).unwrap();
    for (ended, told) in [(merged, "CaseMerged"), (elsewhere, "CaseHandedOff"), (withdrawn, "CaseWithdrawn")]
    {
        assert_eq!(names(&ended), ["TaskCancelled", told]);
        assert_eq!(only_task(&ended.case, URBAN).state, TaskState::Cancelled);
        assert_eq!(violations(&ended.case), Vec::<&str>::new());
    }
}

#[test]
fn what_was_handed_in_ends_with_the_matter_and_with_a_complaint_about_whoever_did() {
    let mut world = World::new();
    let case = world.dispatched("street_light");
    let case = handed_in(case, URBAN, &mut world);
    let case = case.recall("mis_dispatch", &world.official(GOVERNMENT)).unwrap().case;
    let about = TriageCase { complained_of: Some(HOUSING), ..triage("street_light") };
    let kept = case.clone().triage(&about, &world.official(STATION)).unwrap();
    assert_eq!(names(&kept), ["CaseTriaged"], "the same matter, another subject");
    assert_eq!(only_task(&kept.case, URBAN).state, TaskState::Submitted);
    let naming = TriageCase { complained_of: Some(URBAN), ..triage("street_light") };
    for command in [triage("stairs"), naming] {
        let ended = case.clone().triage(&command, &world.official(STATION)).unwrap();
        assert_eq!(names(&ended), ["TaskCancelled", "CaseTriaged"]);
        assert_eq!(only_task(&ended.case, URBAN).state, TaskState::Cancelled);
        assert_eq!(violations(&ended.case), Vec::<&str>::new());
    }
}

#[test]
fn what_is_sent_back_is_waited_for_though_nobody_had_to_help_and_never_of_whom_the_case_complains() {
    let mut optional = parts();
    let assist = optional.entries.iter_mut().find(|entry| entry.part == ListPart::Assist).unwrap();
    assist.mandatory = false;
    let mut world = World::of(optional);
    let case = world.in_progress("street_light");
    let case = handed_in(case, URBAN, &mut world);
    let task = only_task(&case, URBAN);
    assert!(!task.mandatory);
    let aside = Case { complained_of: Some(URBAN), ..case.clone() };
    assert_eq!(guard(aside.return_task(task.id, "unclear", &world.official(STREET_OFFICE))), "recused");
    let case = case.return_task(task.id, "unclear", &world.official(STREET_OFFICE)).unwrap().case;
    let early = case.clone().complete(done(), &world.official(STREET_OFFICE));
    assert_eq!(guard(early), "assist_outstanding");
    let waived = CompleteCase { waived: vec![task.id], ..done() };
    assert!(case.complete(waived, &world.official(STREET_OFFICE)).is_ok());
}
