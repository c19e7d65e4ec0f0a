//! Whoever is a party of an arbitration, or is to lead by its ruling, has somebody who speaks for it: a committee, a partner, the
//! district itself. Nobody speaks for another one.

use chassis::{
    auth::Role,
    clock::new_id,
    grpc::PeerChannel,
    proto::case_routing::v1::{
        self as pb, intake_service_client::IntakeServiceClient, task_service_client::TaskServiceClient,
    },
    testing::Persona,
    topology::{Changes, Edge, EdgeKind, Organization, OrganizationKind, UnitKind},
};
use tonic::Code;
use uuid::Uuid;

use crate::support::{District, request_id};

/// Quarrels between neighbours: a committee's statutory duty, and the street's to lead.
const QUARREL: &str = "ZF-0120";

/// A city that leads the district, and a committee that the street guides.
fn with_city_and_committee(topology: &mut Changes, [city, committee]: [Uuid; 2]) {
    let find = |code: &str| topology.orgs.iter().find(|org| org.code == code).unwrap().clone();
    let (gov, office, station) =
        (find("gov:420103"), find("street_office:420103005"), find("station:420103005001"));
    let of_the_city = topology.units.iter().find(|unit| unit.kind == UnitKind::City).unwrap().id;
    let edge = topology.edges[0].clone();
    for (from_org_id, to_org_id, kind) in
        [(city, gov.id, EdgeKind::Leads), (office.id, committee, EdgeKind::Guides)]
    {
        topology.edges.push(Edge { id: new_id(), from_org_id, to_org_id, kind, ..edge.clone() });
    }
    let code = "committee:420103005001".to_owned();
    topology.orgs.push(Organization { id: committee, code, kind: OrganizationKind::Committee, ..station });
    topology.orgs.push(Organization { id: city, code: "gov:4201".into(), unit_id: of_the_city, ..gov });
}

struct Dispute {
    d: District,
    city: Uuid,
    committee: Uuid,
}

impl Dispute {
    async fn start() -> Self {
        let [city, committee] = [new_id(), new_id()];
        let change = |topology: &mut Changes| with_city_and_committee(topology, [city, committee]);
        Self { d: District::start_with(change, "sweep_ms", 1_000).await, city, committee }
    }

    fn tasks(&self, persona: &Persona) -> TaskServiceClient<PeerChannel> {
        self.d.tasks(persona)
    }

    fn dispatcher(&self) -> Persona {
        Persona::new(Role::DistrictDispatcher, self.d.district).org(self.d.gov)
    }

    fn member(&self) -> Persona {
        Persona::new(Role::CommitteeMember, self.d.community).org(self.committee)
    }

    /// Called back from wherever the router sent it, and sent by hand of the district.
    async fn sent(&self, by: &Persona, case: &pb::Case, lead: Uuid) -> pb::Case {
        let mut intake = IntakeServiceClient::new(self.d.service.call_as(by));
        let recall = pb::RecallCaseRequest {
            case_id: case.case_id.clone(),
            request_id: request_id(),
            reason_code: "mis_dispatch".into(),
            ..Default::default()
        };
        intake.recall_case(recall).await.unwrap();
        let dispatch = pb::DispatchCaseRequest {
            case_id: case.case_id.clone(),
            request_id: request_id(),
            lead_org_id: lead.to_string(),
            reason_code: "dispatcher_knows".into(),
            ..Default::default()
        };
        let case = intake.dispatch_case(dispatch).await.unwrap().into_inner().case.unwrap();
        assert_eq!(case.lead_org_id, lead.to_string());
        case
    }

    /// The lead objects, and whoever decides over that asks these organisations.
    async fn in_arbitration(
        &self,
        case: &pb::Case,
        (lead, decides): (&Persona, &Persona),
        suggested: Uuid,
        others: &[Uuid],
    ) -> pb::Case {
        let led = case.tasks.iter().rfind(|task| task.org_id == case.lead_org_id).unwrap();
        let object = pb::ObjectTaskRequest {
            case_id: case.case_id.clone(),
            request_id: request_id(),
            task_id: led.task_id.clone(),
            ground_code: "not_competent".into(),
            suggested_org_id: suggested.to_string(),
            evidence_refs: vec!["doc:duty-list".into()],
            ..Default::default()
        };
        let objected = self.tasks(lead).object_task(object).await.unwrap().into_inner().case.unwrap();
        let arbitrate = pb::ResolveObjectionRequest {
            case_id: case.case_id.clone(),
            request_id: request_id(),
            task_id: objected.objection.unwrap().task_id,
            decision: "arbitrate".into(),
            reason_code: "duty_unclear".into(),
            party_org_ids: others.iter().map(Uuid::to_string).collect(),
            ..Default::default()
        };
        self.tasks(decides).resolve_objection(arbitrate).await.unwrap().into_inner().case.unwrap()
    }

    async fn says(&self, case: &pb::Case, by: &Persona, lead: Uuid) -> Result<pb::Case, tonic::Status> {
        let position = pb::TakePositionRequest {
            case_id: case.case_id.clone(),
            request_id: request_id(),
            task_id: case.objection.as_ref().unwrap().task_id.clone(),
            lead_org_id: lead.to_string(),
            ..Default::default()
        };
        Ok(self.tasks(by).take_position(position).await?.into_inner().case.unwrap())
    }
}

#[tokio::test]
async fn a_committee_and_a_partner_are_heard_and_a_committee_asks_for_the_review_of_its_ruling() {
    let m = Dispute::start().await;
    let resident = Persona::resident(m.d.district);
    let request = pb::IntakeCaseRequest { item_code: QUARREL.into(), ..m.d.intake_request(&resident) };
    let case = m.d.cases(&m.d.window()).intake_case(request).await.unwrap().into_inner().case.unwrap();
    let case = m.sent(&m.dispatcher(), &case, m.d.office).await;
    let (lead, decides) = (m.d.leader(), m.dispatcher());
    let case = m.in_arbitration(&case, (&lead, &decides), m.committee, &[m.d.volunteers]).await;
    let objection = case.objection.as_ref().unwrap();
    assert_eq!((objection.party_org_ids.len(), objection.arbiter_org_id.clone()), (3, m.d.gov.to_string()));

    let own = pb::ListCasesRequest { org_id: m.committee.to_string(), ..Default::default() };
    let found = m.d.cases(&m.member()).list_cases(own).await.unwrap().into_inner().cases;
    assert!(found.iter().any(|found| found.case_id == case.case_id), "it finds what asks it");
    // Nobody speaks for another organisation, whatever role they hold.
    let foreign = Persona::new(Role::CommitteeMember, m.d.community).org(m.d.other_office);
    let refused = m.says(&case, &foreign, m.d.office).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    let refused = m.says(&case, &m.dispatcher(), m.d.office).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied, "the arbiter's is no party");

    let manager = Persona::new(Role::OrgManager, m.d.district).org(m.d.volunteers);
    m.says(&case, &m.member(), m.d.office).await.unwrap();
    m.says(&case, &manager, m.d.office).await.unwrap();
    let heard = m.says(&case, &m.d.leader(), m.committee).await.unwrap();
    assert_eq!(heard.objection.as_ref().unwrap().positions.len(), 3);
    let ruling = pb::RuleObjectionRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        task_id: case.objection.as_ref().unwrap().task_id.clone(),
        lead_org_id: m.committee.to_string(),
        basis_code: "responsibility_list".into(),
        ..Default::default()
    };
    let arbiter = Persona::new(Role::Arbiter, m.d.district).org(m.d.gov);
    let ruled = m.tasks(&arbiter).rule_objection(ruling).await.unwrap().into_inner().case.unwrap();
    assert_eq!(ruled.lead_org_id, m.committee.to_string());
    let review = || pb::RequestReviewRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        task_id: ruled.tasks.last().unwrap().task_id.clone(),
        ground_code: "wrong_item".into(),
        ..Default::default()
    };
    let refused = m.tasks(&foreign).request_review(review()).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    let under = m.tasks(&m.member()).request_review(review()).await.unwrap().into_inner().case.unwrap();
    assert_eq!(under.objection.unwrap().state, "in_review");
    m.d.service.stop().await;
}

#[tokio::test]
async fn the_district_is_heard_by_its_dispatcher_where_it_is_a_party() {
    let m = Dispute::start().await;
    let resident = Persona::resident(m.d.district);
    let request = m.d.intake_request(&resident);
    let case = m.d.cases(&m.dispatcher()).intake_case(request).await.unwrap().into_inner().case.unwrap();
    let case = m.sent(&m.dispatcher(), &case, m.d.gov).await;
    let head = Persona::new(Role::DeptLeader, m.d.district).org(m.d.gov);
    let city = m.d.service.context.topology.load().unit_by_code("4201").unwrap().id;
    let of_the_city = Persona::new(Role::Arbiter, city).org(m.city);
    let case = m.in_arbitration(&case, (&head, &of_the_city), m.d.office, &[]).await;
    assert_eq!(case.objection.as_ref().unwrap().arbiter_org_id, m.city.to_string());
    m.says(&case, &m.dispatcher(), m.d.office).await.unwrap();
    let agreed = m.says(&case, &m.d.leader(), m.d.office).await.unwrap();
    assert_eq!((agreed.state(), agreed.lead_org_id), (pb::CaseState::Dispatched, m.d.office.to_string()));
    m.d.service.stop().await;
}
