//! 回避: whoever belongs to the organisation complained of mediates nothing of the complaint, and no merger brings one before them.

use std::time::Duration;

use chassis::{auth::Role, proto::case_routing::v1 as pb, testing::Persona};
use chrono::TimeDelta;
use tonic::{Code, Status};
use uuid::Uuid;

use crate::{
    mediation::{Dispute, QUARREL, ids},
    recusal::{accepted, also_of, complaint, intake, looks, merge, refused, refused_looks},
    support::request_id,
};

/// A dispute that waits at the window; complaining of somebody where that is said.
async fn triaged(m: &Dispute, case: &pb::Case, of: Option<Uuid>) -> pb::Case {
    let request = pb::TriageCaseRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        item_code: QUARREL.into(),
        subject_org_id: of.map(|org| org.to_string()).unwrap_or_default(),
        ..Default::default()
    };
    let triaged = intake(&m.d, &m.d.window()).triage_case(request).await.unwrap();
    triaged.into_inner().case.unwrap()
}

async fn takes(m: &Dispute, by: &Persona, of: &pb::Mediation) -> Result<pb::Mediation, Status> {
    let (case_id, mediation_id) = ids(of);
    let take =
        pb::TakeMediationRequest { case_id, mediation_id, request_id: request_id(), ..Default::default() };
    Ok(m.as_(by).take_mediation(take).await?.into_inner().mediation.unwrap())
}

async fn consents(m: &Dispute, by: &Persona, of: &pb::Mediation, number: i32) -> Result<(), Status> {
    let (case_id, mediation_id) = ids(of);
    let consent = pb::RecordConsentRequest {
        case_id,
        mediation_id,
        request_id: request_id(),
        party_number: number,
        rights_told: true,
        ..Default::default()
    };
    m.as_(by).record_consent(consent).await.map(drop)
}

async fn fails(m: &Dispute, by: &Persona, of: &pb::Mediation) -> Result<(), Status> {
    let (case_id, mediation_id) = ids(of);
    let fail = pb::FailMediationRequest {
        case_id,
        mediation_id,
        request_id: request_id(),
        reason_code: "no_agreement".into(),
        ..Default::default()
    };
    m.as_(by).fail_mediation(fail).await.map(drop)
}

fn recused(refused: Status) {
    assert_eq!(refused.code(), Code::FailedPrecondition, "{refused}");
    assert!(refused.message().contains("recused"), "{}", refused.message());
}

/// Of another organisation than the committee.
fn other_mediator(m: &Dispute) -> Persona {
    Persona::new(Role::Mediator, m.d.street).org(m.d.office)
}

#[tokio::test]
async fn whom_a_dispute_complains_of_does_not_take_its_mediation() {
    let m = Dispute::start().await;
    let case = accepted(&m.d, &m.asking).await;
    let case = triaged(&m, &case, Some(m.committee)).await;
    let opened = m.as_(&m.asking).open_mediation(m.application(&case)).await.unwrap();
    let opened = opened.into_inner().mediation.unwrap();
    recused(takes(&m, &m.mediator, &opened).await.unwrap_err());
    let taken = takes(&m, &other_mediator(&m), &opened).await.unwrap();
    assert_eq!(taken.mediator_org_id, m.d.office.to_string());
    m.d.service.stop().await;
}

#[tokio::test]
async fn whom_a_dispute_complains_of_does_not_read_who_asked_for_the_mediation() {
    let m = Dispute::start().await;
    let case = accepted(&m.d, &m.asking).await;
    let case = triaged(&m, &case, Some(m.committee)).await;
    let opened = m.as_(&m.asking).open_mediation(m.application(&case)).await.unwrap();
    let opened = opened.into_inner().mediation.unwrap();
    let other = other_mediator(&m);
    let own = m.asking.actor_ref.as_str();
    for (reader, who) in [(&m.mediator, "party"), (&other, own), (&m.asking, own)] {
        let steps = m.read(reader, &opened).await.unwrap().steps;
        assert_eq!((steps[0].actor_ref.as_str(), steps[0].org_id.as_str()), (who, ""));
    }
    m.d.service.stop().await;
}

/// The requester, who mediates elsewhere.
fn with_office(m: &Dispute) -> Persona {
    also_of(m.asking.clone(), Role::Mediator, m.d.street, m.d.office)
}

#[tokio::test]
async fn a_party_with_an_office_speaks_for_themselves_and_is_not_read_by_whom_the_dispute_complains_of() {
    let m = Dispute::start().await;
    let case = accepted(&m.d, &m.asking).await;
    let case = triaged(&m, &case, Some(m.committee)).await;
    let asking = with_office(&m);
    let mut application = m.application(&case);
    application.parties[0].person_id = asking.person_id.to_string();
    let opened = m.as_(&asking).open_mediation(application).await.unwrap().into_inner().mediation.unwrap();
    let third = Persona::new(Role::Mediator, m.d.street).org(m.d.gov);
    takes(&m, &third, &opened).await.unwrap();
    consents(&m, &asking, &opened, 1).await.unwrap();
    let own = asking.actor_ref.as_str();
    for (reader, name) in [(&m.mediator, "party"), (&third, own)] {
        let steps = m.read(reader, &opened).await.unwrap().steps;
        let of = |step: &str| steps.iter().find(|known| known.step == step).unwrap();
        for step in [of("open"), of("consent")] {
            assert_eq!((step.actor_ref.as_str(), step.org_id.as_str()), (name, ""), "{}", step.step);
        }
        assert_eq!(of("take").org_id, m.d.gov.to_string());
        assert_eq!(steps.iter().any(|step| step.actor_ref == own), name == own, "{steps:?}");
    }
    m.as_(&asking).refuse_mediation(m.refusal(&opened, 1)).await.unwrap();
    let steps = m.read(&m.mediator, &opened).await.unwrap().steps;
    assert!(steps.iter().all(|step| step.actor_ref != own), "{steps:?}");
    m.d.service.stop().await;
}

#[tokio::test]
async fn what_becomes_of_a_case_when_a_party_with_an_office_refuses_is_done_for_no_organisation() {
    let m = Dispute::start().await;
    let case = m.in_progress().await;
    let held = m.in_session(&case).await;
    let asking = with_office(&m);
    m.as_(&asking).refuse_mediation(m.refusal(&held, 1)).await.unwrap();
    let timeline = pb::GetTimelineRequest { case_id: case.case_id, page_size: 200, ..Default::default() };
    let steps = m.d.cases(&m.asking).get_timeline(timeline).await.unwrap().into_inner().entries;
    let own: Vec<_> = steps.iter().filter(|step| step.actor_ref == asking.actor_ref).collect();
    assert!(own.iter().any(|step| step.event == "CaseTriaged"), "{steps:?}");
    assert!(own.iter().all(|step| step.org_id.is_empty()), "{own:?}");
    m.d.service.stop().await;
}

#[tokio::test]
async fn a_mediator_who_turns_out_to_be_of_whom_it_complains_goes_no_further() {
    let m = Dispute::start().await;
    let case = accepted(&m.d, &m.asking).await;
    let case = triaged(&m, &case, None).await;
    let taken = m.taken(&case).await;
    triaged(&m, &case, Some(m.committee)).await;
    recused(consents(&m, &m.mediator, &taken, 1).await.unwrap_err());
    recused(fails(&m, &m.mediator, &taken).await.unwrap_err());
    let (case_id, mediation_id) = ids(&taken);
    let refuse = pb::RefuseMediationRequest {
        case_id: case_id.clone(),
        mediation_id: mediation_id.clone(),
        request_id: request_id(),
        party_number: 1,
        reason_code: "refused".into(),
        ..Default::default()
    };
    recused(m.as_(&m.mediator).refuse_mediation(refuse.clone()).await.unwrap_err());
    let reveal = pb::RevealMediationRequest { case_id: case_id.clone(), mediation_id: mediation_id.clone() };
    let hidden = m.as_(&m.mediator).reveal_mediation(reveal).await.unwrap_err();
    assert_eq!((hidden.code(), looks(&m.d).await), (Code::PermissionDenied, 0), "nobody saw anything");
    assert_eq!(refused_looks(&m.d).await, 1, "who tried to is known");
    // That it may grow worse is reported by whoever knows.
    let report = pb::ReportEscalationRequest {
        case_id,
        mediation_id,
        request_id: request_id(),
        ground_code: "threats".into(),
        ..Default::default()
    };
    let told = m.as_(&m.mediator).report_escalation(report).await.unwrap().into_inner().mediation.unwrap();
    assert!(told.steps.iter().all(|step| step.actor_ref != m.asking.actor_ref), "{:?}", told.steps);

    // The parties speak for themselves, and another mediator takes it over.
    consents(&m, &m.other, &taken, 2).await.unwrap();
    let other = other_mediator(&m);
    let over = takes(&m, &other, &taken).await.unwrap();
    assert_eq!(over.mediator_org_id, m.d.office.to_string());
    consents(&m, &other, &taken, 1).await.unwrap();
    let refuse = pb::RefuseMediationRequest { request_id: request_id(), ..refuse };
    m.as_(&m.asking).refuse_mediation(refuse).await.unwrap();
    m.d.service.stop().await;
}

/// The case is verified, rated and closed; opened again it turns out to complain of the committee.
async fn complained_of_later(m: &Dispute, case: &pb::Case) {
    m.d.confirm(case).await;
    let case_id = || case.case_id.clone();
    let rate =
        pb::RateCaseRequest { case_id: case_id(), request_id: request_id(), grade: 5, ..Default::default() };
    m.d.cases(&m.asking).rate_case(rate).await.unwrap();
    let reopen = pb::ReopenCaseRequest {
        case_id: case_id(),
        request_id: request_id(),
        reason_code: "new_facts".into(),
        ..Default::default()
    };
    let open = m.d.cases(&m.asking).reopen_case(reopen).await.unwrap().into_inner().case.unwrap();
    assert_eq!((open.state(), &open.lead_org_id), (pb::CaseState::Dispatched, &m.committee.to_string()));
    let recall = pb::RecallCaseRequest {
        case_id: case_id(),
        request_id: request_id(),
        reason_code: "mis_dispatch".into(),
        ..Default::default()
    };
    intake(&m.d, &m.d.dispatcher()).recall_case(recall).await.unwrap();
    triaged(m, case, Some(m.committee)).await;
}

/// Taken over by the street's mediator, which was not possible before; as the parties find it in their list.
async fn taken_over(m: &Dispute, of: &pb::Mediation) -> pb::Mediation {
    let other = other_mediator(m);
    let over = takes(m, &other, of).await.unwrap();
    let step = over.steps.last().unwrap();
    assert_eq!((step.step.as_str(), &step.org_id), ("take", &m.d.office.to_string()));
    assert_eq!(step.reason.as_ref().unwrap().code, "mediator_recused");
    for party in [&m.asking, &m.other] {
        let list = pb::ListMediationsRequest::default();
        let listed = m.as_(party).list_mediations(list).await.unwrap().into_inner().mediations;
        let known = listed.iter().find(|known| known.mediation_id == of.mediation_id).unwrap();
        assert_eq!((&known.mediator_org_id, known.state()), (&m.d.office.to_string(), over.state()));
    }
    over
}

#[tokio::test]
async fn talks_whose_mediator_turns_out_to_be_complained_of_are_taken_over_and_ended_by_another() {
    let m = Dispute::start().await;
    let case = m.in_progress().await;
    let held = m.in_session(&case).await;
    let begun = takes(&m, &other_mediator(&m), &held).await.unwrap_err();
    assert_eq!(begun.code(), Code::FailedPrecondition, "{begun}");
    assert!(begun.message().contains("mediation_state"), "nobody else's talks are taken over: {begun}");
    // The parties do not come to an end, and the committee goes on with the case.
    m.d.service.clock().advance(Duration::from_secs(40 * 86_400));
    let passed = async || m.read(&m.mediator, &held).await.unwrap().deadlines[0].passed;
    m.d.service.wait_for("the day to go by", passed).await;
    let complete = pb::CompleteCaseRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        evidence_refs: vec!["photo:1".into()],
        ..Default::default()
    };
    let member = Persona::new(Role::CommitteeMember, m.d.community).org(m.committee);
    m.d.tasks(&member).complete_case(complete).await.unwrap();
    complained_of_later(&m, &case).await;

    let before = m.read(&m.mediator, &held).await.unwrap();
    assert_eq!(before.state(), pb::MediationState::InSession);
    recused(fails(&m, &m.mediator, &held).await.unwrap_err());
    recused(takes(&m, &m.mediator, &held).await.unwrap_err());
    let over = taken_over(&m, &held).await;
    assert_eq!((over.state(), over.sessions.len()), (pb::MediationState::Applied, 1));
    assert!(over.parties.iter().all(|party| party.consented_time.is_none()), "to another mediator");
    assert_eq!(over.deadlines, before.deadlines, "its days run on");
    consents(&m, &m.other, &held, 2).await.unwrap();
    fails(&m, &other_mediator(&m), &held).await.unwrap();
    let ended = m.read(&m.asking, &held).await.unwrap();
    assert_eq!(ended.state(), pb::MediationState::ToldOfChannels);
    m.d.service.stop().await;
}

#[tokio::test]
async fn an_agreement_whose_mediator_turns_out_to_be_complained_of_is_followed_up_by_another() {
    let m = Dispute::start().await;
    let effective = m.effective(TimeDelta::days(20)).await;
    let case = pb::Case { case_id: effective.case_id.clone(), ..Default::default() };
    complained_of_later(&m, &case).await;
    let (case_id, mediation_id) = ids(&effective);
    let perform = || pb::RecordPerformanceRequest {
        case_id: case_id.clone(),
        mediation_id: mediation_id.clone(),
        request_id: request_id(),
        evidence_refs: vec!["doc:visit-1".into()],
        ..Default::default()
    };
    recused(m.as_(&m.mediator).record_performance(perform()).await.unwrap_err());
    let over = taken_over(&m, &effective).await;
    assert_eq!(over.state(), pb::MediationState::Effective);
    assert_eq!((&over.agreement, &over.deadlines), (&effective.agreement, &effective.deadlines));
    let other = other_mediator(&m);
    let done = m.as_(&other).record_performance(perform()).await.unwrap().into_inner().mediation.unwrap();
    assert_eq!(done.state(), pb::MediationState::Performed);
    m.d.service.stop().await;
}

#[tokio::test]
async fn a_complaint_about_whoever_mediates_is_not_merged_into_the_dispute() {
    let m = Dispute::start().await;
    let case = accepted(&m.d, &m.asking).await;
    let case = triaged(&m, &case, None).await;
    let taken = m.taken(&case).await;
    let about = complaint(&m.d, &Persona::resident(m.d.district), m.committee).await;
    refused(merge(&m.d, &m.d.window(), &about, &case).await, "recused");
    fails(&m, &m.mediator, &taken).await.unwrap();
    merge(&m.d, &m.d.window(), &about, &case).await.unwrap();
    m.d.service.stop().await;
}
