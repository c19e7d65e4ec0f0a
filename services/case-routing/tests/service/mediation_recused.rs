//! 回避: whoever belongs to the organisation complained of mediates nothing of the complaint, and no merger brings one before them.

use chassis::{auth::Role, proto::case_routing::v1 as pb, testing::Persona};
use tonic::{Code, Status};
use uuid::Uuid;

use crate::{
    mediation::{Dispute, QUARREL, ids},
    recusal::{accepted, complaint, intake, looks, merge, refused},
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
    // That it may grow worse is reported by whoever knows.
    let report = pb::ReportEscalationRequest {
        case_id,
        mediation_id,
        request_id: request_id(),
        ground_code: "threats".into(),
        ..Default::default()
    };
    m.as_(&m.mediator).report_escalation(report).await.unwrap();

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
