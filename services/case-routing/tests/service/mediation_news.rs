//! Whoever waits for the case of a dispute is answered by the steps of its mediation, of which the case itself tells nobody.

use std::time::Duration;

use chassis::proto::case_routing::v1 as pb;
use chrono::TimeDelta;
use diesel::{
    QueryableByName,
    sql_types::{BigInt, Uuid as SqlUuid},
};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use crate::{
    flow::digest,
    mediation::{Dispute, TERMS, ids},
    support::request_id,
    waiting::wait,
};

#[derive(QueryableByName)]
struct Told {
    #[diesel(sql_type = BigInt)]
    told_version: i64,
}

/// What others are told of a case and hold of it, and the steps of its own timeline.
#[derive(Debug, PartialEq)]
struct Stands {
    told_version: i64,
    digests: Vec<(String, String)>,
    steps: Vec<pb::TimelineEntry>,
}

impl Stands {
    async fn of(m: &Dispute, case: &pb::Case) -> Self {
        let timeline = pb::GetTimelineRequest { case_id: case.case_id.clone(), ..Default::default() };
        let mut cases = m.d.cases(&m.d.dispatcher());
        let steps = cases.get_timeline(timeline).await.unwrap().into_inner().entries;
        let mut digests = Vec::new();
        for subject in ["case", "task", "offer", "rollup", "outcome", "state", "due", "open_due"] {
            digests.extend(digest(&m.d, subject).await);
        }
        let mut conn = m.d.service.db().conn().await.unwrap();
        let row: Told = diesel::sql_query("SELECT told_version FROM cases WHERE case_id = $1")
            .bind::<SqlUuid, _>(case.case_id.parse::<Uuid>().unwrap())
            .get_result(&mut conn)
            .await
            .unwrap();
        Self { told_version: row.told_version, digests, steps }
    }
}

fn version(case: &pb::Case) -> i64 {
    case.etag.parse().unwrap()
}

impl Dispute {
    /// Somebody who knows the case waits for it while a step is taken; gives the case as they are answered.
    async fn answered(&self, known: &pb::Case, step: impl AsyncFnOnce()) -> pb::Case {
        let waiting = self.d.waits(&self.d.dispatcher(), wait(known, &known.etag, 0)).await;
        step().await;
        let answer = waiting.await.unwrap().unwrap();
        assert!(answer.changed);
        let case = answer.case.unwrap();
        assert_eq!(case, self.d.read(known).await, "as GetCase gives it");
        assert!(version(&case) > version(known), "{} after {}", case.etag, known.etag);
        case
    }
}

#[tokio::test]
async fn every_step_of_a_mediation_answers_who_waits_for_the_case_and_tells_nobody_of_it() {
    let m = Dispute::start().await;
    let case = m.in_progress().await;
    let taken = m.taken(&case).await;
    m.d.told().await;
    let known = m.d.read(&case).await;
    let (first, before) = (version(&known), Stands::of(&m, &known).await);
    let (case_id, mediation_id) = ids(&taken);

    let consent = |party_number| pb::RecordConsentRequest {
        case_id: case_id.clone(),
        mediation_id: mediation_id.clone(),
        request_id: request_id(),
        party_number,
        rights_told: true,
        ..Default::default()
    };
    let step = async || drop(m.as_(&m.other).record_consent(consent(2)).await.unwrap());
    let known = m.answered(&known, step).await;
    let step = async || drop(m.as_(&m.mediator).record_consent(consent(1)).await.unwrap());
    let known = m.answered(&known, step).await;
    assert_eq!(known.mediation.as_ref().unwrap().state(), pb::MediationState::Consented);
    let hold = pb::HoldSessionRequest {
        case_id: case_id.clone(),
        mediation_id: mediation_id.clone(),
        request_id: request_id(),
        ..Default::default()
    };
    let step = async || drop(m.as_(&m.mediator).hold_session(hold).await.unwrap());
    let known = m.answered(&known, step).await;
    let agree = pb::RecordAgreementRequest {
        case_id: case_id.clone(),
        mediation_id: mediation_id.clone(),
        request_id: request_id(),
        kind: pb::AgreementKind::Written.into(),
        terms: TERMS.into(),
        ..Default::default()
    };
    let step = async || drop(m.as_(&m.mediator).record_agreement(agree).await.unwrap());
    let known = m.answered(&known, step).await;
    assert_eq!(known.mediation.as_ref().unwrap().state(), pb::MediationState::Agreed);
    let sign = |party_numbers: Vec<i32>, sealed| pb::SignAgreementRequest {
        case_id: case_id.clone(),
        mediation_id: mediation_id.clone(),
        request_id: request_id(),
        party_numbers,
        sealed,
        ..Default::default()
    };
    let step = async || drop(m.as_(&m.mediator).sign_agreement(sign(vec![1], false)).await.unwrap());
    let known = m.answered(&known, step).await;
    let report = pb::ReportEscalationRequest {
        case_id: case_id.clone(),
        mediation_id: mediation_id.clone(),
        request_id: request_id(),
        ground_code: "violence".into(),
        ..Default::default()
    };
    let step = async || drop(m.as_(&m.mediator).report_escalation(report.clone()).await.unwrap());
    let known = m.answered(&known, step).await;
    assert_eq!(version(&known), first + 6, "one for each step");
    m.as_(&m.mediator).report_escalation(report.clone()).await.unwrap();
    assert_eq!(m.d.read(&known).await, known, "the same request again is no step");
    assert_eq!(m.d.told().await, ["MediationEscalationReported"], "of the mediation, not of the case");
    assert_eq!(Stands::of(&m, &known).await, before);

    // The agreement in effect moves the case, which is told of; what comes afterwards does not.
    let step = async || drop(m.as_(&m.mediator).sign_agreement(sign(vec![2], true)).await.unwrap());
    let known = m.answered(&known, step).await;
    assert_eq!(known.state(), pb::CaseState::Verifying);
    m.d.told().await;
    let before = Stands::of(&m, &known).await;
    let ask = pb::RequestConfirmationRequest {
        case_id: case_id.clone(),
        mediation_id: mediation_id.clone(),
        request_id: request_id(),
        joint: true,
        ..Default::default()
    };
    let step = async || drop(m.as_(&m.mediator).request_confirmation(ask).await.unwrap());
    let known = m.answered(&known, step).await;
    assert_eq!(known.mediation.as_ref().unwrap().confirmation(), pb::ConfirmationState::Requested);
    assert!(m.d.told().await.is_empty(), "nothing is to be told");
    assert_eq!(Stands::of(&m, &known).await, before);
    m.d.service.stop().await;
}

#[tokio::test]
async fn a_day_of_a_mediation_that_goes_by_answers_who_waits_for_the_case() {
    let m = Dispute::start().await;
    let effective = m.effective(TimeDelta::minutes(30)).await;
    m.d.told().await;
    let case = pb::Case { case_id: effective.case_id.clone(), ..Default::default() };
    let known = m.d.read(&case).await;
    let before = Stands::of(&m, &known).await;
    let later = async || m.d.service.clock().advance(Duration::from_secs(31 * 60));
    let known = m.answered(&known, later).await;
    let noted = m.read(&m.mediator, &effective).await.unwrap();
    assert_eq!(noted.steps.last().unwrap().step, "deadline_passed");
    assert_eq!(m.d.told().await, ["SupervisionIssued"], "whoever mediates is reminded");
    let steps = Stands::of(&m, &known).await.steps;
    assert_eq!(steps.len(), before.steps.len() + 1);
    assert_eq!(steps.last().unwrap().reason.as_ref().unwrap().code, "mediation_day_passed");
    m.d.service.stop().await;
}
