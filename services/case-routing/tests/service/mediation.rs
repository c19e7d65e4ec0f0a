//! F5: a dispute is mediated over gRPC. What the parties are called and say is found nowhere but where it is revealed.

use chassis::{
    auth::Role,
    clock::{from_proto, new_id, to_proto},
    grpc::PeerChannel,
    proto::case_routing::v1::{
        self as pb, mediation_service_client::MediationServiceClient,
        verification_service_client::VerificationServiceClient,
    },
    testing::Persona,
    topology::{Changes, Edge, EdgeKind, Organization, OrganizationKind},
};
use chrono::TimeDelta;
use diesel::sql_types::{Nullable, Text};
use diesel_async::RunQueryDsl;
use tonic::Code;
use uuid::Uuid;

use crate::support::{District, names, request_id};

/// Quarrels between neighbours.
pub const QUARREL: &str = "ZF-0120";
const NAME: &str = "金丝雀";
pub const TERMS: &str = "金丝雀每晚十点后不再弹琴";

/// The district with a residents' committee, its mediator and two neighbours.
pub struct Dispute {
    pub d: District,
    pub committee: Uuid,
    pub asking: Persona,
    pub other: Persona,
    pub mediator: Persona,
}

impl Dispute {
    pub async fn start() -> Self {
        let committee = new_id();
        let d = District::start_with(|changes| with_committee(changes, committee), "sweep_ms", 50).await;
        let (asking, other) = (Persona::resident(d.district), Persona::resident(d.district));
        let mediator = Persona::new(Role::Mediator, d.community).org(committee);
        Self { d, committee, asking, other, mediator }
    }

    pub fn as_(&self, persona: &Persona) -> MediationServiceClient<PeerChannel> {
        MediationServiceClient::new(self.d.service.call_as(persona))
    }

    /// Taken in and led by the committee.
    async fn dispatched(&self) -> pb::Case {
        let request =
            pb::IntakeCaseRequest { item_code: QUARREL.into(), ..self.d.intake_request(&self.asking) };
        let case = self.d.cases(&self.d.window()).intake_case(request).await.unwrap().into_inner().case;
        let case = case.unwrap();
        assert_eq!(case.lead_org_id, self.committee.to_string());
        case
    }

    /// The committee has it in hand.
    pub async fn in_progress(&self) -> pb::Case {
        let case = self.dispatched().await;
        let member = Persona::new(Role::CommitteeMember, self.d.community).org(self.committee);
        let mut tasks = self.d.tasks(&member);
        let (case_id, task_id) = (case.case_id.clone(), case.tasks[0].task_id.clone());
        let sign = pb::SignTaskRequest { case_id, request_id: request_id(), task_id, ..Default::default() };
        tasks.sign_task(sign).await.unwrap();
        let contact = pb::ContactRequesterRequest {
            case_id: case.case_id.clone(),
            request_id: request_id(),
            method: "phone".into(),
            ..Default::default()
        };
        tasks.contact_requester(contact).await.unwrap().into_inner().case.unwrap()
    }

    pub fn application(&self, case: &pb::Case) -> pb::OpenMediationRequest {
        let party = |person_id: String, name: &str| pb::PartyEntry {
            kind: pb::PartyKind::Person.into(),
            person_id,
            name: name.into(),
            contact: "13912345678".into(),
            ..Default::default()
        };
        pb::OpenMediationRequest {
            case_id: case.case_id.clone(),
            request_id: request_id(),
            origin: pb::MediationOrigin::Application.into(),
            parties: vec![party(String::new(), ""), party(self.other.person_id.to_string(), NAME)],
        }
    }

    /// Opened by the requester and taken by the mediator.
    pub async fn taken(&self, case: &pb::Case) -> pb::Mediation {
        let opened = self.as_(&self.asking).open_mediation(self.application(case)).await.unwrap();
        let opened = opened.into_inner().mediation.unwrap();
        assert_eq!(opened.state(), pb::MediationState::Applied);
        let (case_id, mediation_id) = ids(&opened);
        let take =
            pb::TakeMediationRequest { case_id, mediation_id, request_id: request_id(), etag: opened.etag };
        self.as_(&self.mediator).take_mediation(take).await.unwrap().into_inner().mediation.unwrap()
    }

    /// Both neighbours consent, one by herself and one before the mediator; a session is held.
    pub async fn in_session(&self, case: &pb::Case) -> pb::Mediation {
        let taken = self.taken(case).await;
        let consent = |party_number| {
            let (case_id, mediation_id) = ids(&taken);
            pb::RecordConsentRequest {
                case_id,
                mediation_id,
                request_id: request_id(),
                party_number,
                rights_told: true,
                ..Default::default()
            }
        };
        self.as_(&self.other).record_consent(consent(2)).await.unwrap();
        self.as_(&self.mediator).record_consent(consent(1)).await.unwrap();
        let (case_id, mediation_id) = ids(&taken);
        let hold = pb::HoldSessionRequest {
            case_id,
            mediation_id,
            request_id: request_id(),
            notes: format!("{NAME}承认弹琴"),
            ..Default::default()
        };
        self.as_(&self.mediator).hold_session(hold).await.unwrap().into_inner().mediation.unwrap()
    }

    /// Agreed on by word of mouth, to be performed by then.
    pub async fn effective(&self, performed_within: TimeDelta) -> pb::Mediation {
        self.agreed(&self.in_progress().await, performed_within).await
    }

    /// The same of a case that somebody has in hand.
    pub async fn agreed(&self, case: &pb::Case, performed_within: TimeDelta) -> pb::Mediation {
        let (case_id, mediation_id) = ids(&self.in_session(case).await);
        let agree = pb::RecordAgreementRequest {
            case_id,
            mediation_id,
            request_id: request_id(),
            kind: pb::AgreementKind::Oral.into(),
            terms: TERMS.into(),
            performance_due_time: Some(to_proto(self.d.service.clock().now() + performed_within)),
            ..Default::default()
        };
        self.as_(&self.mediator).record_agreement(agree).await.unwrap().into_inner().mediation.unwrap()
    }

    pub fn refusal(&self, of: &pb::Mediation, party_number: i32) -> pb::RefuseMediationRequest {
        let (case_id, mediation_id) = ids(of);
        pb::RefuseMediationRequest {
            case_id,
            mediation_id,
            request_id: request_id(),
            party_number,
            reason_code: "refused".into(),
            ..Default::default()
        }
    }

    pub async fn read(&self, persona: &Persona, of: &pb::Mediation) -> Result<pb::Mediation, tonic::Status> {
        let (case_id, mediation_id) = ids(of);
        let get = pb::GetMediationRequest { case_id, mediation_id };
        Ok(self.as_(persona).get_mediation(get).await?.into_inner().mediation.unwrap())
    }
}

pub fn with_committee(changes: &mut Changes, committee: Uuid) {
    let community = changes.units.iter().find(|unit| unit.code == "420103005001").unwrap().id;
    let office = changes.orgs.iter().find(|org| org.code == "street_office:420103005").unwrap().id;
    changes.orgs.push(Organization {
        id: committee,
        code: "committee:420103005001".into(),
        kind: OrganizationKind::Committee,
        name_zh: "居委会".into(),
        name_en: "committee".into(),
        unit_id: community,
        line: None,
        valid_from: None,
        valid_to: None,
        version: 1,
    });
    changes.edges.push(Edge {
        id: new_id(),
        from_org_id: office,
        to_org_id: committee,
        kind: EdgeKind::Guides,
        line: None,
        valid_from: None,
        valid_to: None,
        version: 1,
    });
}

pub fn ids(mediation: &pb::Mediation) -> (String, String) {
    (mediation.case_id.clone(), mediation.mediation_id.clone())
}

#[derive(diesel::QueryableByName)]
struct Dump {
    #[diesel(sql_type = Nullable<Text>)]
    dump: Option<String>,
}

async fn dump(d: &District, query: &str) -> String {
    let mut conn = d.service.db().conn().await.unwrap();
    let row: Dump = diesel::sql_query(query).get_result(&mut conn).await.unwrap();
    row.dump.unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mediator_reads_the_disputes_of_the_place_and_no_other_case() {
    let m = Dispute::start().await;
    let dispute = m.dispatched().await;
    let other = m.d.taken_in(&m.asking).await;
    let elsewhere = Persona::new(Role::Mediator, new_id()).org(m.committee);
    for (reader, case, seen) in
        [(&m.mediator, &dispute, true), (&m.mediator, &other, false), (&elsewhere, &dispute, false)]
    {
        let get = pb::GetCaseRequest { case_id: case.case_id.clone() };
        let timeline = pb::GetTimelineRequest { case_id: case.case_id.clone(), ..Default::default() };
        let mut cases = m.d.cases(reader);
        let codes = [
            cases.get_case(get).await.err().map(|status| status.code()),
            cases.get_timeline(timeline).await.err().map(|status| status.code()),
        ];
        assert_eq!(codes, [(!seen).then_some(Code::NotFound); 2]);
    }
}

#[tokio::test]
async fn a_dispute_ends_in_an_agreement_that_is_performed() {
    let m = Dispute::start().await;
    let case = m.in_progress().await;
    m.d.told().await;
    let held = m.in_session(&case).await;
    assert_eq!((held.state(), held.sessions.len()), (pb::MediationState::InSession, 1));

    let (case_id, mediation_id) = ids(&held);
    let due = m.d.service.clock().now() + TimeDelta::days(10);
    let agree = pb::RecordAgreementRequest {
        case_id: case_id.clone(),
        mediation_id: mediation_id.clone(),
        request_id: request_id(),
        kind: pb::AgreementKind::Written.into(),
        terms: TERMS.into(),
        performance_due_time: Some(to_proto(due)),
        ..Default::default()
    };
    let agreed = m.as_(&m.mediator).record_agreement(agree).await.unwrap().into_inner().mediation.unwrap();
    assert_eq!(
        (agreed.state(), agreed.case_state()),
        (pb::MediationState::Agreed, pb::CaseState::InProgress)
    );
    let sign = pb::SignAgreementRequest {
        case_id: case_id.clone(),
        mediation_id: mediation_id.clone(),
        request_id: request_id(),
        party_numbers: vec![1, 2],
        sealed: true,
        ..Default::default()
    };
    let signed = m.as_(&m.mediator).sign_agreement(sign.clone()).await.unwrap().into_inner();
    let effective = signed.mediation.clone().unwrap();
    assert_eq!(effective.state(), pb::MediationState::Effective);
    assert_eq!(effective.case_state(), pb::CaseState::Verifying);
    assert_eq!(m.as_(&m.mediator).sign_agreement(sign).await.unwrap().into_inner(), signed, "once");
    let known = m.d.read(&case).await;
    assert_eq!(known.closed_code(), pb::ClosedCode::Mediated);
    assert_eq!(known.delivery_mode(), pb::DeliveryMode::SelfGovernance);
    let summary = known.mediation.unwrap();
    assert_eq!(summary.state(), pb::MediationState::Effective);
    assert_eq!(from_proto(&summary.performance_due_time.unwrap()).unwrap(), due);

    let perform = pb::RecordPerformanceRequest {
        case_id: case_id.clone(),
        mediation_id: mediation_id.clone(),
        request_id: request_id(),
        evidence_refs: vec!["doc:visit-1".into()],
        ..Default::default()
    };
    let performed = m.as_(&m.mediator).record_performance(perform).await.unwrap().into_inner();
    let performed = performed.mediation.unwrap();
    assert_eq!(performed.state(), pb::MediationState::Performed);
    assert_eq!(performed.evidence_refs, ["doc:visit-1"]);
    let events = m.d.service.drain_outbox().await;
    assert_eq!(
        names(&events),
        [
            "MediationOpened",
            "MediationAgreed",
            "TaskSubmitted",
            "CaseCompleted",
            "VerificationStarted",
            "MediationPerformed"
        ]
    );
    for event in &events {
        assert_eq!(event.partition_key.to_string(), case_id, "in order with the case");
    }
    let opened: pb::MediationOpened = events[0].decode().unwrap();
    assert_eq!((opened.party_count, opened.item_code.as_str()), (2, QUARREL));
    let agreed: pb::MediationAgreed = events[1].decode().unwrap();
    assert!(agreed.within_community && agreed.session_count == 1, "{agreed:?}");

    // What was said stands nowhere in the clear.
    for table in ["mediations", "mediation_texts", "cases", "timeline", "idempotency", "outbox"] {
        let dump = dump(&m.d, &format!("SELECT string_agg(t::text, ' ') AS dump FROM {table} t")).await;
        let hex: String = NAME.bytes().map(|byte| format!("{byte:02x}")).collect();
        assert!(!dump.contains(NAME) && !dump.contains(&hex) && !dump.contains("13912345678"), "{table}");
    }
    let reveal = pb::RevealMediationRequest { case_id, mediation_id };
    let revealed = m.as_(&m.mediator).reveal_mediation(reveal.clone()).await.unwrap().into_inner();
    assert_eq!(revealed.parties[1].name, NAME);
    assert_eq!((revealed.terms.as_str(), revealed.notes.len()), (TERMS, 1));
    let foreign = Persona::new(Role::Mediator, m.d.street).org(m.d.office);
    let refused = m.as_(&foreign).reveal_mediation(reveal).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    let looks = "SELECT string_agg(decision, ' ' ORDER BY decision) AS dump FROM access_log";
    assert_eq!(dump(&m.d, looks).await, "allow deny", "who was refused is recorded, too");
    m.d.service.stop().await;
}

#[tokio::test]
async fn a_party_who_refuses_ends_it_and_the_public_service_takes_over() {
    let m = Dispute::start().await;
    let case = m.in_progress().await;
    let held = m.in_session(&case).await;
    m.d.told().await;
    // Nobody speaks for another party, and who is none sees nothing.
    let wrong = m.as_(&m.other).refuse_mediation(m.refusal(&held, 1)).await.unwrap_err();
    assert_eq!(wrong.code(), Code::PermissionDenied);
    let stranger = Persona::resident(m.d.district);
    let unseen = m.as_(&stranger).refuse_mediation(m.refusal(&held, 2)).await.unwrap_err();
    assert_eq!(unseen.code(), Code::NotFound);
    assert_eq!(m.read(&stranger, &held).await.unwrap_err().code(), Code::NotFound);

    let request = m.refusal(&held, 2);
    let ended = m.as_(&m.other).refuse_mediation(request.clone()).await.unwrap().into_inner();
    let again = m.as_(&m.other).refuse_mediation(request).await.unwrap().into_inner();
    assert_eq!(ended, again, "once");
    let ended = ended.mediation.unwrap();
    assert_eq!(ended.state(), pb::MediationState::TerminatedByParty);
    let remedy = ended.remedy.unwrap();
    assert!(remedy.text_zh.contains("人民法院") && remedy.text_en.contains("court"), "{remedy:?}");
    let told = m.d.told().await;
    assert_eq!(told[..3], ["MediationFailed", "TaskCancelled", "CaseTriaged"]);
    assert_eq!(told[3..], ["CaseDispatched", "TaskIssued"]);
    let case = m.d.read(&case).await;
    assert_eq!(
        (case.state(), case.lead_org_id.as_str()),
        (pb::CaseState::Dispatched, m.d.office.to_string().as_str())
    );
    // It is over; only the police may still be told, and another one may be tried.
    let closed = m.as_(&m.mediator).refuse_mediation(m.refusal(&held, 1)).await.unwrap_err();
    assert_eq!(closed.code(), Code::FailedPrecondition);
    let (case_id, mediation_id) = ids(&held);
    let report = pb::ReportEscalationRequest {
        case_id,
        mediation_id,
        request_id: request_id(),
        ground_code: "violence".into(),
        ..Default::default()
    };
    m.as_(&m.mediator).report_escalation(report).await.unwrap();
    assert_eq!(m.d.told().await, ["MediationEscalationReported"]);
    m.as_(&m.asking).open_mediation(m.application(&case)).await.unwrap();
    let list = pb::ListMediationsRequest { page_size: 1, ..Default::default() };
    let page = m.as_(&m.mediator).list_mediations(list.clone()).await.unwrap().into_inner();
    assert_eq!(page.mediations[0].state(), pb::MediationState::Applied);
    let next = pb::ListMediationsRequest { page_token: page.next_page_token, ..list };
    let page = m.as_(&m.mediator).list_mediations(next).await.unwrap().into_inner();
    assert_eq!(page.mediations[0].mediation_id, held.mediation_id);
    m.d.service.stop().await;
}

#[tokio::test]
async fn one_mediation_at_a_time_and_no_session_before_the_lead_has_the_case() {
    let m = Dispute::start().await;
    let case = m.dispatched().await;
    m.taken(&case).await;
    let second = m.as_(&m.asking).open_mediation(m.application(&case)).await.unwrap_err();
    assert_eq!(second.code(), Code::FailedPrecondition);
    assert!(second.message().contains("mediation_open"), "{second}");
    let field = async |request: pb::OpenMediationRequest| {
        let status = m.as_(&m.asking).open_mediation(request).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{status}");
        status.message().split([':', ' ']).next().unwrap_or_default().to_owned()
    };
    let good = m.application(&case);
    let with = |change: fn(&mut pb::OpenMediationRequest)| {
        let mut request = pb::OpenMediationRequest { request_id: request_id(), ..good.clone() };
        change(&mut request);
        request
    };
    assert_eq!(field(with(|r| r.origin = 0)).await, "origin");
    assert_eq!(field(with(|r| r.origin = pb::MediationOrigin::Court.into())).await, "origin");
    assert_eq!(field(with(|r| r.parties.truncate(1))).await, "parties");
    assert_eq!(field(with(|r| r.parties[1].kind = 0)).await, "parties[1].kind");
    assert_eq!(field(with(|r| r.parties[1].name.clear())).await, "parties[1].name");
    assert_eq!(field(with(|r| r.parties[1].contact = "长".repeat(201))).await, "parties[1].contact");
    assert_eq!(field(with(|r| r.parties[1].org_id = new_id().to_string())).await, "parties[1].org_id");
    // A lamp is no quarrel.
    let lamp = m.d.taken_in(&m.asking).await;
    let lamp = m.as_(&m.asking).open_mediation(m.application(&lamp)).await.unwrap_err();
    assert!(lamp.message().contains("not_a_dispute"), "{lamp}");
    m.d.service.stop().await;
}

#[tokio::test]
async fn a_mediation_begun_anew_leaves_no_room_for_another_one() {
    let m = Dispute::start().await;
    let case = m.in_progress().await;
    let held = m.in_session(&case).await;
    let (case_id, mediation_id) = ids(&held);
    let agree = pb::RecordAgreementRequest {
        case_id: case_id.clone(),
        mediation_id: mediation_id.clone(),
        request_id: request_id(),
        kind: pb::AgreementKind::Oral.into(),
        terms: TERMS.into(),
        ..Default::default()
    };
    let mut mediations = m.as_(&m.mediator);
    mediations.record_agreement(agree).await.unwrap();
    let ask = pb::RequestConfirmationRequest {
        case_id: case_id.clone(),
        mediation_id: mediation_id.clone(),
        request_id: request_id(),
        joint: true,
        ..Default::default()
    };
    mediations.request_confirmation(ask).await.unwrap();
    for answer in [pb::CourtAnswer::Accepted, pb::CourtAnswer::NotConfirmed] {
        let answered = pb::RecordConfirmationRequest {
            case_id: case_id.clone(),
            mediation_id: mediation_id.clone(),
            request_id: request_id(),
            answer: answer.into(),
            ..Default::default()
        };
        mediations.record_confirmation(answered).await.unwrap();
    }
    let anew = pb::RemediateMediationRequest {
        case_id: case_id.clone(),
        mediation_id,
        request_id: request_id(),
        ..Default::default()
    };
    let anew = mediations.remediate_mediation(anew).await.unwrap().into_inner().mediation.unwrap();
    assert_eq!((anew.state(), anew.case_state()), (pb::MediationState::Applied, pb::CaseState::Verifying));
    let rework = pb::OrderReworkRequest {
        case_id,
        request_id: request_id(),
        reason_code: "not_done".into(),
        ..Default::default()
    };
    let mut verifications = VerificationServiceClient::new(m.d.service.call_as(&m.d.verifier()));
    let case = verifications.order_rework(rework).await.unwrap().into_inner().case.unwrap();
    assert_eq!(case.state(), pb::CaseState::InProgress);
    let second = m.as_(&m.asking).open_mediation(m.application(&case)).await.unwrap_err();
    assert_eq!(second.code(), Code::FailedPrecondition, "{second}");
    assert!(second.message().contains("mediation_open"), "{second}");
    m.d.service.stop().await;
}

#[tokio::test]
async fn nobody_with_an_office_refuses_in_the_name_of_the_other_side() {
    let m = Dispute::start().await;
    let case = m.dispatched().await;
    let taken = m.taken(&case).await;
    // Neither an official who is a party, nor the committee once somebody else mediates.
    let mut party = Persona::new(Role::CommitteeMember, m.d.community).org(m.committee);
    party.person_id = m.other.person_id;
    let foreign = m.as_(&party).refuse_mediation(m.refusal(&taken, 1)).await.unwrap_err();
    assert_eq!(foreign.code(), Code::PermissionDenied);
    let elsewhere = Persona::new(Role::Mediator, m.d.street).org(m.d.office);
    let foreign = m.as_(&elsewhere).refuse_mediation(m.refusal(&taken, 2)).await.unwrap_err();
    assert_eq!(foreign.code(), Code::PermissionDenied);
    let ended = m.as_(&party).refuse_mediation(m.refusal(&taken, 2)).await.unwrap().into_inner();
    assert_eq!(ended.mediation.unwrap().state(), pb::MediationState::Refused);
    m.d.service.stop().await;
}

#[tokio::test]
async fn a_mediation_ends_with_the_case_that_is_withdrawn() {
    let m = Dispute::start().await;
    let case = m.dispatched().await;
    let taken = m.taken(&case).await;
    let withdraw = pb::WithdrawCaseRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        reason_code: "solved_itself".into(),
        ..Default::default()
    };
    m.d.cases(&m.asking).withdraw_case(withdraw).await.unwrap();
    let ended = async || {
        let now = m.read(&m.mediator, &taken).await.unwrap();
        now.state() == pb::MediationState::ToldOfChannels
    };
    m.d.service.wait_for("the mediation to end with its case", ended).await;
    let events = m.d.service.drain_outbox().await;
    let failed = names(&events).iter().position(|name| name == "MediationFailed").expect("it is told");
    let failed: pb::MediationFailed = events[failed].decode().unwrap();
    assert_eq!(failed.reason_code, "case_ended");
    m.d.service.stop().await;
}
