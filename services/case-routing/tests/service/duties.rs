//! A district whose department hands a duty down: who takes part, the steps that most tests of duties take, and the
//! answers of identity and staffing, delivered by hand.

use std::time::Duration;

use chassis::{
    auth::Role,
    clock::new_id,
    event::Event,
    grpc::PeerChannel,
    proto::{
        EventMessage,
        case_routing::v1::{self as pb, duty_service_client::DutyServiceClient},
        identity::v1::AuthorityGranted,
        staffing::v1::{FundsAllotted, PostKind, StaffAssigned, StaffUnavailable, TrainingCompleted},
    },
    testing::Persona,
    topology::{Edge, EdgeKind, Organization, OrganizationKind},
};
use tonic::Status;
use uuid::Uuid;

use crate::support::{District, request_id};

/// Street lamps: a department's item, on no negative list.
pub const LAMP: &str = "CJ-0103";
const LINE: &str = "urban_management";
pub const DAY: Duration = Duration::from_secs(86_400);

pub struct Duties {
    pub d: District,
    pub department: Uuid,
    pub committee: Uuid,
}

impl Duties {
    pub async fn start() -> Self {
        let (department, committee) = (new_id(), new_id());
        let d = District::start_with(
            |topology| {
                let find = |code: &str| topology.orgs.iter().find(|org| org.code == code).unwrap().clone();
                let (gov, office, station) =
                    (find("gov:420103"), find("street_office:420103005"), find("station:420103005001"));
                let org = |id, code: &str, kind, unit_id, line: Option<&str>| Organization {
                    id,
                    code: code.into(),
                    kind,
                    unit_id,
                    line: line.map(str::to_owned),
                    ..gov.clone()
                };
                let edge = |from_org_id, to_org_id, kind| Edge {
                    id: new_id(),
                    from_org_id,
                    to_org_id,
                    kind,
                    line: None,
                    valid_from: None,
                    valid_to: None,
                    version: 1,
                };
                topology.orgs.extend([
                    org(
                        department,
                        "dept:urban_management",
                        OrganizationKind::Department,
                        gov.unit_id,
                        Some(LINE),
                    ),
                    org(
                        committee,
                        "committee:420103005001",
                        OrganizationKind::Committee,
                        station.unit_id,
                        None,
                    ),
                ]);
                topology.edges.extend([
                    edge(gov.id, department, EdgeKind::Leads),
                    edge(office.id, committee, EdgeKind::Guides),
                ]);
            },
            "sweep_ms",
            20,
        )
        .await;
        Self { d, department, committee }
    }

    pub fn client(&self, persona: &Persona) -> DutyServiceClient<PeerChannel> {
        DutyServiceClient::new(self.d.service.call_as(persona))
    }

    pub fn leader(&self) -> Persona {
        Persona::new(Role::DeptLeader, self.d.district).line(LINE).org(self.department)
    }

    pub fn arbiter(&self) -> Persona {
        Persona::new(Role::Arbiter, self.d.district)
    }

    pub fn dispatcher(&self) -> Persona {
        Persona::new(Role::DistrictDispatcher, self.d.district)
    }

    pub fn member(&self) -> Persona {
        Persona::new(Role::CommitteeMember, self.d.community).org(self.committee)
    }

    pub fn proposal(&self, to: Uuid) -> pb::ProposeDutyTransferRequest {
        pb::ProposeDutyTransferRequest {
            request_id: request_id(),
            from_org_id: self.department.to_string(),
            to_org_id: to.to_string(),
            item_codes: vec![LAMP.into()],
            basis_ref: "doc:district-2026-7".into(),
            fund_fen: 500_000,
            posts: vec![pb::PostNeed { kind: PostKind::ServiceWorker.into(), count: 1 }],
            effective_on: "2026-03-09".into(),
            deadline_time: Some("2026-03-06T00:00:00Z".parse().unwrap()),
            training_codes: vec!["lamps_basics".into()],
        }
    }

    /// Proposed by the department; nobody is asked for anything yet.
    pub async fn applied(&self, proposal: pb::ProposeDutyTransferRequest) -> pb::DutyTransfer {
        let answer = self.client(&self.leader()).propose_duty_transfer(proposal).await;
        answer.unwrap().into_inner().transfer.unwrap()
    }

    /// Proposed, heard and assessed: authority, funds, staff and training are asked for.
    pub async fn asked(&self, proposal: pb::ProposeDutyTransferRequest) -> pb::DutyTransfer {
        let id = self.applied(proposal).await.duty_transfer_id;
        self.opinions(&id).await;
        self.assess(&id, &self.dispatcher()).await.unwrap()
    }

    pub async fn proposed(&self) -> pb::DutyTransfer {
        self.asked(self.proposal(self.d.station)).await
    }

    pub async fn opinions(&self, id: &str) {
        for persona in [self.d.leader(), self.member()] {
            let request = pb::GiveDutyOpinionRequest {
                duty_transfer_id: id.into(),
                request_id: request_id(),
                view: pb::OpinionView::Supports.into(),
                reason_code: "near_to_people".into(),
                ..Default::default()
            };
            self.client(&persona).give_duty_opinion(request).await.unwrap();
        }
    }

    pub async fn assess(&self, id: &str, by: &Persona) -> Result<pb::DutyTransfer, Status> {
        let request = pb::AssessDutyTransferRequest {
            duty_transfer_id: id.into(),
            request_id: request_id(),
            law_code: "law_found".into(),
            need_code: "near_to_people".into(),
            load_code: "bearable".into(),
            alternative_code: "none".into(),
            ..Default::default()
        };
        self.client(by).assess_duty_transfer(request).await.map(|a| a.into_inner().transfer.unwrap())
    }

    pub async fn deny(&self, id: &str, by: &Persona) -> Result<pb::DutyTransfer, Status> {
        let request = pb::DenyDutyTransferRequest {
            duty_transfer_id: id.into(),
            request_id: request_id(),
            reason_code: "no_need".into(),
            ..Default::default()
        };
        self.client(by).deny_duty_transfer(request).await.map(|a| a.into_inner().transfer.unwrap())
    }

    pub async fn approve(&self, id: &str, by: &Persona) -> Result<pb::DutyTransfer, Status> {
        let request = pb::ApproveDutyTransferRequest {
            duty_transfer_id: id.into(),
            request_id: request_id(),
            ..Default::default()
        };
        self.client(by).approve_duty_transfer(request).await.map(|a| a.into_inner().transfer.unwrap())
    }

    pub async fn transfer(&self, id: &str) -> pb::DutyTransfer {
        let request = pb::GetDutyTransferRequest { duty_transfer_id: id.into() };
        self.client(&self.dispatcher())
            .get_duty_transfer(request)
            .await
            .unwrap()
            .into_inner()
            .transfer
            .unwrap()
    }

    /// An answer arrives twice; the second time it changes nothing.
    pub async fn answered<M: EventMessage>(&self, source: &str, id: &str, message: &M) {
        let event = Event::of(source, self.d.service.clock().now(), id.parse().unwrap(), 2, message);
        self.d.service.deliver(event.clone()).await;
        let once = self.transfer(id).await;
        self.d.service.deliver(event).await;
        assert_eq!(self.transfer(id).await, once);
        // The same fact in another event, too.
        let again = Event::of(source, self.d.service.clock().now(), id.parse().unwrap(), 2, message);
        self.d.service.deliver(again).await;
        assert_eq!(self.transfer(id).await, once);
    }

    /// Authority, funds and staff.
    pub async fn all_three(&self, id: &str) {
        let (duty_transfer_id, to_org_id) = (id.to_owned(), self.d.station.to_string());
        let granted = AuthorityGranted {
            duty_transfer_id: duty_transfer_id.clone(),
            to_org_id: to_org_id.clone(),
            basis_ref: "doc:grant-1".into(),
        };
        self.answered("identity", id, &granted).await;
        let allotted = FundsAllotted {
            duty_transfer_id,
            to_org_id,
            amount_fen: 500_000,
            fund_line_code: "lamps-2026".into(),
        };
        self.answered("staffing", id, &allotted).await;
        self.staffed(id).await;
    }

    /// Posts are named, or have somebody on each again.
    pub async fn staffed(&self, id: &str) {
        let assigned = StaffAssigned {
            duty_transfer_id: id.to_owned(),
            to_org_id: self.d.station.to_string(),
            post_ids: vec![new_id().to_string()],
        };
        self.answered("staffing", id, &assigned).await;
    }

    /// A named post fell vacant.
    pub async fn post_vacant(&self, id: &str) {
        let lost = StaffUnavailable {
            duty_transfer_id: id.to_owned(),
            to_org_id: self.d.station.to_string(),
            reason_code: "post_vacant".into(),
        };
        self.answered("staffing", id, &lost).await;
    }

    pub async fn resume(&self, id: &str) -> Result<pb::DutyTransfer, Status> {
        let request = pb::ResumeDutyTransferRequest {
            duty_transfer_id: id.into(),
            request_id: request_id(),
            ..Default::default()
        };
        let answer = self.client(&self.arbiter()).resume_duty_transfer(request).await;
        answer.map(|answer| answer.into_inner().transfer.unwrap())
    }

    pub async fn trained(&self, id: &str) {
        let done = TrainingCompleted {
            duty_transfer_id: id.to_owned(),
            to_org_id: self.d.station.to_string(),
            training_codes: vec!["lamps_basics".into()],
            record_ref: "record:lamps-1".into(),
        };
        self.answered("staffing", id, &done).await;
    }

    /// All that it waits for.
    pub async fn all_legs(&self, id: &str) {
        self.all_three(id).await;
        self.trained(id).await;
    }

    pub async fn becomes(&self, id: &str, state: pb::DutyTransferState) -> pb::DutyTransfer {
        self.d.service.wait_for(state.as_str_name(), async || self.transfer(id).await.state() == state).await;
        self.transfer(id).await
    }

    /// A lamp is out; taken in once the lists have been read.
    pub async fn lamp(&self) -> pb::Case {
        let request = pb::IntakeCaseRequest {
            item_code: LAMP.into(),
            ..self.d.intake_request(&Persona::resident(self.d.district))
        };
        self.d.cases(&self.d.window()).intake_case(request).await.unwrap().into_inner().case.unwrap()
    }

    pub async fn lead(&self) -> String {
        self.lamp().await.lead_org_id
    }

    pub async fn refuse(&self, case: &pb::Case, org: Uuid, by: &Persona) -> Result<pb::Case, Status> {
        let task = case.tasks.iter().rfind(|task| task.org_id == org.to_string()).expect("a task");
        let request = pb::RefuseUnadmittedRequest {
            case_id: case.case_id.clone(),
            request_id: request_id(),
            task_id: task.task_id.clone(),
            reason_code: "not_admitted".into(),
            ..Default::default()
        };
        self.client(by).refuse_unadmitted(request).await.map(|answer| answer.into_inner().case.unwrap())
    }

    /// What was told of duties and refusals; clocks of the cases run beside.
    pub async fn told(&self) -> Vec<String> {
        let of_duties = |name: &String| name.starts_with("Duty") || name.starts_with("Admission");
        self.d.told().await.into_iter().filter(of_duties).collect()
    }
}

pub fn head(d: &District) -> Persona {
    Persona::new(Role::StationHead, d.community).org(d.station)
}
