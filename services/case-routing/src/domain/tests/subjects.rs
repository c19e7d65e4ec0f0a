//! Whom a case complains of is named, and taken back, by whoever sees to it; what came with merged cases stays theirs.

use super::super::*;
use super::world::*;

/// Triaged at the station, of itself complaining of somebody or nobody.
fn triaged(world: &mut World, of: Option<OrgId>) -> Case {
    let register = RegisterCase { complained_of: of, ..world.register() };
    let case = Case::register(register, &world.official(STATION)).unwrap().case;
    let case = case.accept(&world.official(STATION)).unwrap().case;
    case.triage(&triage("street_light"), &world.official(STATION)).unwrap().case
}

/// Another case, which complains of that organisation, is merged into it.
fn joined(world: &mut World, case: Case, of: OrgId) -> (Case, CaseId) {
    let other = CaseId(world.fresh());
    let complaint = Complaint { of, by: vec![other] };
    (case.take_in(&[other], Some(&complaint), &world.official(STATION)).unwrap().case, other)
}

fn naming(of: OrgId) -> TriageCase {
    TriageCase { complained_of: Some(of), ..triage("street_light") }
}

fn clearing() -> TriageCase {
    TriageCase { clears_subject: true, ..triage("street_light") }
}

#[test]
fn what_was_passed_on_is_neither_overwritten_nor_taken_back() {
    let mut world = World::new();
    let case = triaged(&mut world, None);
    let (case, other) = joined(&mut world, case, STREET_OFFICE);
    assert_eq!(guard(case.clone().triage(&naming(HOUSING), &world.official(STATION))), "another_subject");
    assert_eq!(guard(case.clone().triage(&clearing(), &world.official(STATION))), "others_complain");
    let as_before = case.clone().triage(&triage("stairs"), &world.official(STATION)).unwrap().case;
    assert_eq!((as_before.complained_of, as_before.complained_through), (Some(STREET_OFFICE), vec![other]));
    // Once they are out it is as anybody says.
    let alone = case.absorb(&[other], false, &world.official(STATION)).unwrap().case;
    let named = alone.triage(&naming(HOUSING), &world.official(STATION)).unwrap().case;
    assert_eq!(named.complaint(), Some(Complaint { of: HOUSING, by: vec![named.id] }));
}

#[test]
fn what_a_case_says_itself_and_what_others_say_do_not_undo_each_other() {
    let mut world = World::new();
    let itself = triaged(&mut world, Some(STREET_OFFICE));
    let (first, other) = joined(&mut world, itself, STREET_OFFICE);
    let silent = triaged(&mut world, None);
    let (second, another) = joined(&mut world, silent, STREET_OFFICE);
    let second = second.triage(&naming(STREET_OFFICE), &world.official(STATION)).unwrap().case;
    for (case, other) in [(first, other), (second, another)] {
        assert_eq!(case.complaint().unwrap().by, [case.id, other]);
        let text = serde_json::to_string(&case).unwrap();
        assert_eq!(serde_json::from_str::<Case>(&text).unwrap(), case);
        for command in [naming(HOUSING), clearing()] {
            assert!(case.clone().triage(&command, &world.official(STATION)).is_err(), "the other complains");
        }
        let alone = case.absorb(&[other], false, &world.official(STATION)).unwrap().case;
        assert_eq!(alone.complaint(), Some(Complaint { of: STREET_OFFICE, by: vec![alone.id] }));
        let cleared = alone.triage(&clearing(), &world.official(STATION)).unwrap().case;
        assert_eq!((cleared.complaint(), cleared.complains_itself), (None, false));
    }
}

#[test]
fn who_was_named_by_mistake_is_taken_back_and_it_is_noted() {
    let mut world = World::new();
    let case = triaged(&mut world, Some(STREET_OFFICE));
    assert_eq!(guard(case.clone().triage(&clearing(), &world.official(STREET_OFFICE))), "recused");
    let decision = case.triage(&clearing(), &world.official(STATION)).unwrap();
    assert_eq!(names(&decision), ["CaseTriaged"]);
    let step = decision.timeline.last().unwrap();
    assert_eq!((step.event.as_str(), &step.actor), ("SubjectCleared", &official(STATION).actor));
    assert_eq!((step.org, step.case_version), (Some(STATION), decision.case.version));
    assert!(step.reason.as_ref().unwrap().render(Language::Chinese).contains("被诉单位"));
    assert_eq!(decision.case.complained_of, None);
    let sent = decision.case.clone().dispatch(&RouteChoice::Auto, &world.official(GOVERNMENT)).unwrap().case;
    assert_eq!(sent.lead_org, Some(STREET_OFFICE), "the router passes it over no more");
    // There is nobody to take back.
    let again = decision.case.triage(&clearing(), &world.official(STREET_OFFICE)).unwrap();
    assert!(again.timeline.iter().all(|step| step.event != "SubjectCleared"));
}

#[test]
fn a_complaint_does_not_come_into_a_dispute_that_the_one_complained_of_mediates() {
    let mut world = World::new();
    let case = world.triaged("quarrel");
    let id = MediationId(world.fresh());
    let case = case.follow_mediation(id, CaseMove::Open, &world.official(TEAM)).unwrap().unwrap().case;
    assert_eq!(case.bars_complaint(TEAM), None, "nobody mediates yet");
    let foreign = case.clone().mediated_by(MediationId(world.fresh()), Some(TEAM));
    assert_eq!(foreign, case, "another one");
    let taken = case.mediated_by(id, Some(TEAM));
    let text = serde_json::to_string(&taken).unwrap();
    assert_eq!(serde_json::from_str::<Case>(&text).unwrap(), taken);
    let overdue = taken.clone().follow_mediation(id, CaseMove::Overdue, &world.system()).unwrap().unwrap();
    for case in [&taken, &overdue.case] {
        assert_eq!((case.bars_complaint(TEAM), case.bars_complaint(HOUSING)), (Some("recused"), None));
    }
    let complaint = Complaint { of: TEAM, by: vec![CaseId(world.fresh())] };
    let refused = taken.clone().take_in(&complaint.by, Some(&complaint), &world.official(STATION));
    assert_eq!(guard(refused), "recused");
    let failed = CaseMove::Return { talked: false };
    let ended = taken.follow_mediation(id, failed, &world.official(TEAM)).unwrap().unwrap().case;
    assert_eq!(ended.bars_complaint(TEAM), None, "it came to nothing");
}
