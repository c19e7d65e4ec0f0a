//! Flow F5, which both shapes must make in the same way: a dispute is applied for, consented to, talked over, agreed on,
//! confirmed by the court and performed; another one ends when a party does not want it any more.

use chassis::clock::{from_proto, to_proto};
use jianghan::{reconcile, suite::request_id};
use prost_types::Timestamp;
use proto::case_routing::v1::{
    AgreementKind, Case, CaseState, ClosedCode, CourtAnswer, DeliveryMode, HoldSessionRequest, Mediation,
    MediationOrigin, MediationState, OpenMediationRequest, PartyEntry, PartyKind, RecordAgreementRequest,
    RecordConfirmationRequest, RecordConsentRequest, RecordPerformanceRequest, RefuseMediationRequest,
    RequestConfirmationRequest, SignAgreementRequest, TakeMediationRequest,
};
use uuid::Uuid;

use crate::{Person, World, eventually, journeys::COMMUNITY, tables::Tables};

/// Quarrels between neighbours and in families.
pub const QUARREL: &str = "ZF-0120";

macro_rules! verbs {
    ($($(#[$doc:meta])* $name:ident($($arg:ident: $ty:ty),*) = $rpc:ident($request:ident { $($field:ident: $value:expr),* $(,)? });)*) => {
        impl Person<'_> {$(
            $(#[$doc])*
            pub async fn $name(&self, mediation: &Mediation $(, $arg: $ty)*) -> Mediation {
                let message = $request {
                    case_id: mediation.case_id.clone(),
                    mediation_id: mediation.mediation_id.clone(),
                    request_id: request_id(),
                    $($field: $value,)*
                    ..Default::default()
                };
                let answer = self.world.patient.mediations().$rpc(self.asks(message).await).await;
                answer
                    .unwrap_or_else(|status| panic!("{} {}: {status}", self.role(), stringify!($name)))
                    .into_inner()
                    .mediation
                    .expect("an answer with the mediation")
            }
        )*}
    };
}

verbs! {
    /// Will mediate.
    takes_mediation() = take_mediation(TakeMediationRequest {});
    /// Consents, or takes a party's consent down.
    consents(party: i32) = record_consent(RecordConsentRequest { party_number: party, rights_told: true });
    /// Does not want it any more.
    refuses_mediation(party: i32) = refuse_mediation(RefuseMediationRequest {
        party_number: party, reason_code: "refused".into(),
    });
    /// Sits with the parties.
    holds_session() = hold_session(HoldSessionRequest { notes: "双方陈述意见".into() });
    /// Writes down what they agreed on, to be done by a day.
    writes_agreement(due: Option<Timestamp>) = record_agreement(RecordAgreementRequest {
        kind: AgreementKind::Written.into(), terms: "每晚十点后不再弹琴".into(), performance_due_time: due,
    });
    /// Everybody signs, and it is sealed.
    takes_signatures() = sign_agreement(SignAgreementRequest { party_numbers: vec![1, 2], sealed: true });
    /// All parties ask the court.
    asks_court() = request_confirmation(RequestConfirmationRequest { joint: true, court_ref: "court:2026-7".into() });
    /// What the court said.
    notes_court(answer: CourtAnswer) = record_confirmation(RecordConfirmationRequest { answer: answer.into() });
    /// Visits, and finds it done.
    finds_performed() = record_performance(RecordPerformanceRequest { evidence_refs: vec!["doc:visit".into()] });
}

impl Person<'_> {
    /// Applies for the mediation of the own case with a neighbour.
    pub async fn applies_for_mediation(&self, case: &Case, neighbour: &Person<'_>) -> Mediation {
        let person = PartyEntry { kind: PartyKind::Person.into(), ..Default::default() };
        let other = PartyEntry {
            person_id: neighbour.session.account.person_id.clone(),
            name: "楼上邻居".into(),
            ..person.clone()
        };
        let message = OpenMediationRequest {
            case_id: case.case_id.clone(),
            request_id: request_id(),
            origin: MediationOrigin::Application.into(),
            parties: vec![person, other],
        };
        let answer = self.world.patient.mediations().open_mediation(self.asks(message).await).await;
        answer.expect("opened").into_inner().mediation.expect("an answer with the mediation")
    }
}

/// A quarrel that the committee has in hand, in its first session.
async fn in_session(world: &World, neighbours: [u64; 2]) -> (Case, Mediation) {
    let [requester, neighbour] = neighbours.map(|n| world.resident(n));
    let place = world.unit(COMMUNITY);
    let case =
        world.window(COMMUNITY).takes_in(&requester, "楼上弹琴太吵，想请人调解", QUARREL, &place).await;
    let committee = world.org(&format!("committee:{COMMUNITY}"));
    assert_eq!(case.lead_org_id, committee);
    let member = world.leader_of(&committee);
    let case = member.signs(&case).await;
    let case = member.contacts(&case).await;

    let mediation = requester.applies_for_mediation(&case, &neighbour).await;
    assert_eq!(mediation.state(), MediationState::Applied);
    let mediator = world.login(&format!("mediator.{COMMUNITY}"));
    mediator.takes_mediation(&mediation).await;
    neighbour.consents(&mediation, 2).await;
    let consented = mediator.consents(&mediation, 1).await;
    assert_eq!(consented.state(), MediationState::Consented);
    (case, mediator.holds_session(&mediation).await)
}

/// The events of a mediation, in the order in which analytics took them in.
async fn told(world: &World, case: &Case, count: usize) -> Vec<String> {
    let tables = Tables::of(world, "analytics").await.expect("the database");
    let key: Uuid = case.case_id.parse().expect("a case id");
    let sql = "SELECT replace(type, 'jianghan.case_routing.v1.', '') FROM event_log
               WHERE partition_key = $1 AND type LIKE '%.Mediation%' ORDER BY id";
    eventually("the events of the mediation in analytics", async || {
        let rows = tables.rows(sql, &[&key]).await;
        (rows.len() == count).then(|| rows.iter().map(|row| row.get(0)).collect())
    })
    .await
}

/// Agreed, confirmed, performed; the case is closed as mediated, by the residents themselves, and counted.
pub async fn a_dispute_is_mediated(world: &World) {
    let (case, mediation) = in_session(world, [6, 8]).await;
    let mediator = world.login(&format!("mediator.{COMMUNITY}"));
    let now = mediation.update_time.as_ref().and_then(from_proto).expect("an instant");
    let agreed =
        mediator.writes_agreement(&mediation, Some(to_proto(now + chrono::Duration::days(14)))).await;
    assert_eq!((agreed.state(), agreed.case_state()), (MediationState::Agreed, CaseState::InProgress));
    let effective = mediator.takes_signatures(&mediation).await;
    assert_eq!(effective.state(), MediationState::Effective);
    assert_eq!(effective.deadlines.len(), 2, "the court's thirty days, and the one agreed on");
    mediator.asks_court(&mediation).await;
    mediator.notes_court(&mediation, CourtAnswer::Accepted).await;
    mediator.notes_court(&mediation, CourtAnswer::Confirmed).await;

    let case = world.verifier().verifies(&case, 5).await;
    let case = world.resident(6).rates(&case, 5).await;
    let case = world.sees_state(&case, CaseState::Closed).await;
    assert_eq!(case.closed_code(), ClosedCode::Mediated);
    assert_eq!(case.delivery_mode(), DeliveryMode::SelfGovernance);
    let performed = mediator.finds_performed(&mediation).await;
    assert_eq!((performed.state(), performed.case_state()), (MediationState::Performed, CaseState::Closed));
    assert_eq!(
        world.looks_at(&case.case_id).await.mediation.expect("shown").state(),
        MediationState::Performed
    );

    assert_eq!(told(world, &case, 3).await, ["MediationOpened", "MediationAgreed", "MediationPerformed"]);
    eventually("the mediated case in analytics", async || {
        let facts = reconcile::digests(&world.patient, &world.operator, "analytics", "case").await.ok()?;
        let cases = reconcile::digests(&world.patient, &world.operator, "case-routing", "case").await.ok()?;
        let digest = facts.get(&case.case_id)?;
        (digest.contains("mediated") && cases.get(&case.case_id) == Some(digest)).then_some(())
    })
    .await;
}

/// A party does not want it any more: it ends at once, says which way is open, and the street has the case.
pub async fn a_party_ends_a_mediation(world: &World) {
    let (case, mediation) = in_session(world, [9, 10]).await;
    let ended = world.resident(10).refuses_mediation(&mediation, 2).await;
    assert_eq!(ended.state(), MediationState::TerminatedByParty);
    let remedy = ended.remedy.expect("which way is open");
    assert!(!remedy.text_zh.is_empty() && !remedy.text_en.is_empty());
    let case = world.looks_at(&case.case_id).await;
    assert_eq!(case.state(), CaseState::Dispatched);
    assert_eq!(case.lead_org_id, world.org("street_office:420103005"));
    assert_eq!(told(world, &case, 2).await, ["MediationOpened", "MediationFailed"]);
}
