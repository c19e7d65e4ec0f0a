//! A department's duty on its way down: the saga with identity's and staffing's answers delivered by hand, admissions, and
//! communities that send back what was not admitted.

use std::time::Duration;

use chassis::{
    auth::Role,
    clock::new_id,
    event::Event,
    grpc::PeerChannel,
    proto::{
        EventMessage,
        case_routing::v1::{
            self as pb, duty_service_client::DutyServiceClient, intake_service_client::IntakeServiceClient,
            responsibility_service_client::ResponsibilityServiceClient,
        },
        identity::v1::{AuthorityGranted, AuthorityRefused},
        staffing::v1::{FundsAllotted, FundsRefused, PostKind, StaffAssigned, StaffUnavailable},
    },
    testing::Persona,
    topology::{Edge, EdgeKind, Organization, OrganizationKind},
};
use tonic::{Code, Status};
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
        }
    }

    pub async fn proposed(&self) -> pb::DutyTransfer {
        let answer = self.client(&self.leader()).propose_duty_transfer(self.proposal(self.d.station)).await;
        answer.unwrap().into_inner().transfer.unwrap()
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

    pub async fn approve(&self, id: &str, by: &Persona) -> Result<pb::DutyTransfer, Status> {
        let request = pb::ApproveDutyTransferRequest {
            duty_transfer_id: id.into(),
            request_id: request_id(),
            ..Default::default()
        };
        self.client(by).approve_duty_transfer(request).await.map(|a| a.into_inner().transfer.unwrap())
    }

    async fn transfer(&self, id: &str) -> pb::DutyTransfer {
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

    pub async fn all_three(&self, id: &str) {
        let (duty_transfer_id, to_org_id) = (id.to_owned(), self.d.station.to_string());
        let granted = AuthorityGranted {
            duty_transfer_id: duty_transfer_id.clone(),
            to_org_id: to_org_id.clone(),
            basis_ref: "doc:grant-1".into(),
        };
        self.answered("identity", id, &granted).await;
        let allotted = FundsAllotted {
            duty_transfer_id: duty_transfer_id.clone(),
            to_org_id: to_org_id.clone(),
            amount_fen: 500_000,
            fund_line_code: "lamps-2026".into(),
        };
        self.answered("staffing", id, &allotted).await;
        let post_ids = vec![new_id().to_string()];
        self.answered("staffing", id, &StaffAssigned { duty_transfer_id, to_org_id, post_ids }).await;
    }

    pub async fn becomes(&self, id: &str, state: pb::DutyTransferState) -> pb::DutyTransfer {
        self.d.service.wait_for(state.as_str_name(), async || self.transfer(id).await.state() == state).await;
        self.transfer(id).await
    }

    /// A lamp is out; taken in once the lists have been read.
    async fn lamp(&self) -> pb::Case {
        let request = pb::IntakeCaseRequest {
            item_code: LAMP.into(),
            ..self.d.intake_request(&Persona::resident(self.d.district))
        };
        self.d.cases(&self.d.window()).intake_case(request).await.unwrap().into_inner().case.unwrap()
    }

    async fn lead(&self) -> String {
        self.lamp().await.lead_org_id
    }

    async fn refuse(&self, case: &pb::Case, org: Uuid, by: &Persona) -> Result<pb::Case, Status> {
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
    async fn told(&self) -> Vec<String> {
        let of_duties = |name: &String| name.starts_with("Duty") || name.starts_with("Admission");
        self.d.told().await.into_iter().filter(of_duties).collect()
    }
}

fn head(d: &District) -> Persona {
    Persona::new(Role::StationHead, d.community).org(d.station)
}

#[tokio::test]
async fn a_list_is_taken_back_though_a_duty_has_amended_it_and_the_duty_stays() {
    let world = Duties::start().await;
    let d = &world.d;
    let mut lists = ResponsibilityServiceClient::new(d.service.call_as(&world.dispatcher()));
    let mut approver = ResponsibilityServiceClient::new(d.service.call_as(&world.arbiter()));
    let request = pb::ListListEntriesRequest { list_version: 1, page_size: 1000, ..Default::default() };
    let shipped = lists.list_list_entries(request).await.unwrap().into_inner().entries;
    let beside = |entry: &&pb::ListEntry| entry.item_code != LAMP && entry.part() == pb::ListPart::AssistDuty;
    let other = shipped.iter().find(beside).unwrap().rule_id.clone();
    let draft = pb::CreateListVersionRequest {
        request_id: request_id(),
        removed_rule_ids: vec![other.clone()],
        reason_code: "wrong_one".into(),
        ..Default::default()
    };
    let second = lists.create_list_version(draft).await.unwrap().into_inner().version.unwrap().list_version;
    let activate = pb::ActivateListVersionRequest {
        list_version: second,
        request_id: request_id(),
        ..Default::default()
    };
    approver.activate_list_version(activate).await.unwrap();

    let id = world.proposed().await.duty_transfer_id;
    world.opinions(&id).await;
    world.approve(&id, &world.arbiter()).await.unwrap();
    world.all_three(&id).await;
    d.service.clock().advance(7 * DAY);
    world.becomes(&id, pb::DutyTransferState::Effective).await;
    d.service.wait_for("the station leads", async || world.lead().await == d.station.to_string()).await;
    let versions = lists.list_list_versions(pb::ListListVersionsRequest::default()).await.unwrap();
    let mut versions = versions.into_inner().versions.into_iter();
    let amended = versions.rfind(|version| version.base_version == second).unwrap();
    assert_eq!(amended.state(), pb::ListState::InForce);

    let back = |list_version| pb::RollBackListVersionRequest {
        list_version,
        request_id: request_id(),
        reason_code: "wrong".into(),
    };
    let answer = lists.roll_back_list_version(back(amended.list_version)).await.unwrap().into_inner();
    assert_eq!(answer.version.unwrap().state(), pb::ListState::Withdrawn);
    let request = pb::ListListEntriesRequest {
        list_version: answer.in_force_version,
        page_size: 1000,
        ..Default::default()
    };
    let entries = lists.list_list_entries(request).await.unwrap().into_inner().entries;
    assert!(entries.iter().any(|entry| entry.rule_id == other), "what the second had removed is there again");
    assert!(entries.iter().any(|entry| entry.transfer_ref == id), "what the duty brought is still there");
    assert_eq!(entries.len(), shipped.len() + 1);
    let request = pb::GetListVersionRequest { list_version: answer.in_force_version };
    let restored = lists.get_list_version(request).await.unwrap().into_inner().version.unwrap();
    assert_eq!((restored.state(), restored.base_version), (pb::ListState::InForce, 1));
    assert_eq!(restored.entry_count as usize, entries.len());
    assert_eq!(world.lead().await, d.station.to_string(), "and decides");
    // There is nothing before the first.
    let again = lists.roll_back_list_version(back(answer.in_force_version)).await.unwrap_err();
    assert_eq!(again.code(), Code::FailedPrecondition);
    // The duty goes out of the restored list as it would have out of the other.
    let end = pb::EndDutyTransferRequest {
        duty_transfer_id: id.clone(),
        request_id: request_id(),
        reason_code: "pilot_over".into(),
        ..Default::default()
    };
    world.client(&world.arbiter()).end_duty_transfer(end).await.unwrap();
    d.service
        .wait_for("the department leads", async || world.lead().await == world.department.to_string())
        .await;
}

#[tokio::test]
async fn a_duty_moves_with_authority_funds_and_staff_and_the_list_follows() {
    let world = Duties::start().await;
    let d = &world.d;
    let mut lists = ResponsibilityServiceClient::new(d.service.call_as(&world.dispatcher()));
    let mut approver = ResponsibilityServiceClient::new(d.service.call_as(&world.arbiter()));
    let draft = pb::CreateListVersionRequest {
        request_id: request_id(),
        reason_code: "stale".into(),
        ..Default::default()
    };
    let stale = lists.create_list_version(draft).await.unwrap().into_inner().version.unwrap().list_version;

    let made = world.proposed().await;
    let id = made.duty_transfer_id.clone();
    assert_eq!(world.told().await, ["DutyTransferProposed"]);
    let unheard = world.approve(&id, &world.arbiter()).await.unwrap_err();
    assert_eq!(unheard.code(), Code::FailedPrecondition, "{unheard}");
    world.opinions(&id).await;
    let own = world.arbiter().org(world.department);
    assert_eq!(world.approve(&id, &own).await.unwrap_err().code(), Code::FailedPrecondition);
    world.approve(&id, &world.arbiter()).await.unwrap();
    world.all_three(&id).await;
    assert_eq!(world.lead().await, world.department.to_string(), "not before its day");
    world.told().await;

    d.service.clock().advance(7 * DAY);
    let effective = world.becomes(&id, pb::DutyTransferState::Effective).await;
    assert_eq!(world.told().await, ["DutyEffective"]);
    d.service.wait_for("the station leads", async || world.lead().await == d.station.to_string()).await;
    let request = pb::ListListVersionsRequest::default();
    let versions = lists.list_list_versions(request).await.unwrap().into_inner().versions;
    let new = versions.iter().find(|version| version.state() == pb::ListState::InForce).unwrap();
    assert_eq!((new.reason_code.as_str(), new.base_version), ("duty_transfer", 1));
    assert_eq!((&new.drafted_by, &new.approved_by), (&effective.proposed_by, &effective.approved_by));
    let request = pb::ListListEntriesRequest {
        list_version: new.list_version,
        item_code: LAMP.into(),
        ..Default::default()
    };
    let entries = lists.list_list_entries(request).await.unwrap().into_inner().entries;
    let entry = entries.iter().find(|entry| entry.transfer_ref == id).expect("an entry of the transfer");
    assert!(entry.authority_granted && entry.part() == pb::ListPart::Lead);
    assert_eq!((entry.fund_line.as_str(), entry.basis_doc.as_str()), ("lamps-2026", "doc:district-2026-7"));

    // Nobody undoes it by a list: neither by one drafted before, nor by taking its version back, nor by a new draft.
    let activate = pb::ActivateListVersionRequest {
        list_version: stale,
        request_id: request_id(),
        ..Default::default()
    };
    assert_eq!(approver.activate_list_version(activate).await.unwrap_err().code(), Code::FailedPrecondition);
    let back = pb::RollBackListVersionRequest {
        list_version: new.list_version,
        request_id: request_id(),
        reason_code: "wrong".into(),
    };
    assert_eq!(lists.roll_back_list_version(back).await.unwrap_err().code(), Code::FailedPrecondition);
    let without = pb::CreateListVersionRequest {
        request_id: request_id(),
        removed_rule_ids: vec![entry.rule_id.clone()],
        reason_code: "wrong".into(),
        ..Default::default()
    };
    assert_eq!(lists.create_list_version(without).await.unwrap_err().code(), Code::InvalidArgument);
    let ended = pb::ListEntry { valid_to: "2026-04-01".into(), ..entry.clone() };
    let earlier = pb::ListEntry { valid_from: String::new(), ..entry.clone() };
    for upsert in [ended, earlier] {
        let moved = pb::CreateListVersionRequest {
            request_id: request_id(),
            upserts: vec![upsert],
            reason_code: "wrong".into(),
            ..Default::default()
        };
        let refused = lists.create_list_version(moved).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "its days are its own too");
        assert!(refused.message().starts_with("upserts[0].transfer_ref"), "{refused}");
    }

    // Suspended, the list does without it; what had arrived is sent back and goes to the department.
    let case = world.lamp().await;
    let early = world.refuse(&case, d.station, &head(d)).await.unwrap_err();
    assert!(early.code() == Code::FailedPrecondition && early.message().contains("admitted"), "{early}");
    let suspend = pb::SuspendDutyTransferRequest {
        duty_transfer_id: id.clone(),
        request_id: request_id(),
        reason_code: "no_money".into(),
        ..Default::default()
    };
    let mut arbiter = world.client(&world.arbiter());
    arbiter.suspend_duty_transfer(suspend).await.unwrap();
    assert_eq!(world.lead().await, world.department.to_string());
    world.told().await;
    let refused = world.refuse(&case, d.station, &head(d)).await.unwrap();
    assert_eq!(
        (refused.state(), refused.lead_org_id.clone()),
        (pb::CaseState::Dispatched, world.department.to_string())
    );
    let told = world.told().await;
    assert_eq!(told[0], "AdmissionRefusedByCommunity", "{told:?}");
    let request = pb::ListAdmissionRefusalsRequest::default();
    let listed = world.client(&world.dispatcher()).list_admission_refusals(request).await.unwrap();
    let refusals = listed.into_inner().refusals;
    assert_eq!(refusals.len(), 1);
    assert_eq!((&refusals[0].case_id, &refusals[0].org_id), (&case.case_id, &d.station.to_string()));
    assert_eq!((refusals[0].item_code.as_str(), refusals[0].reason_code.as_str()), (LAMP, "not_admitted"));

    let resume = pb::ResumeDutyTransferRequest {
        duty_transfer_id: id.clone(),
        request_id: request_id(),
        ..Default::default()
    };
    arbiter.resume_duty_transfer(resume).await.unwrap();
    assert_eq!(world.lead().await, d.station.to_string());
    // A leg that is lost while it is effective suspends it at once.
    let lost = StaffUnavailable {
        duty_transfer_id: id.clone(),
        to_org_id: d.station.to_string(),
        reason_code: "post_vacant".into(),
    };
    world.answered("staffing", &id, &lost).await;
    assert_eq!(world.transfer(&id).await.state(), pb::DutyTransferState::Suspended);
    let end = pb::EndDutyTransferRequest {
        duty_transfer_id: id.clone(),
        request_id: request_id(),
        reason_code: "over".into(),
        ..Default::default()
    };
    world.told().await;
    arbiter.end_duty_transfer(end).await.unwrap();
    assert_eq!(world.told().await, ["DutyEnded"]);
    d.service
        .wait_for("the department leads", async || world.lead().await == world.department.to_string())
        .await;
    world.d.service.stop().await;
}

#[tokio::test]
async fn what_is_not_complete_by_the_deadline_is_rolled_back_and_late_answers_change_nothing() {
    let world = Duties::start().await;
    let made = world.proposed().await;
    let id = made.duty_transfer_id.clone();
    let again = world.client(&world.leader()).propose_duty_transfer(world.proposal(world.d.station)).await;
    assert_eq!(again.unwrap_err().code(), Code::AlreadyExists, "one duty at a time");
    world.told().await;
    world.d.service.clock().advance(4 * DAY);
    let over = world.becomes(&id, pb::DutyTransferState::RolledBack).await;
    assert_eq!(over.reason_code, "deadline");
    assert_eq!(world.told().await, ["DutyRolledBack"]);
    let late = AuthorityGranted {
        duty_transfer_id: id.clone(),
        to_org_id: world.d.station.to_string(),
        basis_ref: "doc:late".into(),
    };
    world.answered("identity", &id, &late).await;
    assert_eq!(world.transfer(&id).await, over);
    assert!(world.told().await.is_empty());

    // The item is free again; each refusal rolls back at once.
    let proposal = |world: &Duties| pb::ProposeDutyTransferRequest {
        effective_on: "2026-04-01".into(),
        deadline_time: None,
        ..world.proposal(world.d.station)
    };
    for leg in 0..3 {
        let answer = world.client(&world.leader()).propose_duty_transfer(proposal(&world)).await;
        let id = answer.unwrap().into_inner().transfer.unwrap().duty_transfer_id;
        let (duty_transfer_id, to_org_id) = (id.clone(), world.d.station.to_string());
        let reason_code = "no".to_owned();
        match leg {
            0 => {
                let refused = AuthorityRefused { duty_transfer_id, to_org_id, reason_code };
                world.answered("identity", &id, &refused).await;
            }
            1 => {
                world.all_three(&id).await;
                let refused = FundsRefused { duty_transfer_id, to_org_id, reason_code };
                world.answered("staffing", &id, &refused).await;
            }
            _ => {
                let refused = StaffUnavailable { duty_transfer_id, to_org_id, reason_code };
                world.answered("staffing", &id, &refused).await;
            }
        }
        let over = world.transfer(&id).await;
        let expected = ["authority_refused", "funds_refused", "staff_unavailable"][leg];
        assert_eq!((over.state(), over.reason_code.as_str()), (pb::DutyTransferState::RolledBack, expected));
    }
    assert_eq!(world.lead().await, world.department.to_string());
    world.d.service.stop().await;
}

#[tokio::test]
async fn a_committee_assists_with_what_was_admitted_and_sends_back_the_rest() {
    let world = Duties::start().await;
    let d = &world.d;
    let application = |world: &Duties| pb::ApplyAdmissionRequest {
        request_id: request_id(),
        from_org_id: world.department.to_string(),
        to_org_id: world.committee.to_string(),
        item_code: LAMP.into(),
        basis_ref: "doc:law-1".into(),
        effective_on: "2026-03-09".into(),
        ends_on: "2026-03-16".into(),
        ..Default::default()
    };
    // Not admitted yet: a dispatcher asks all the same, and the committee sends it back alone.
    let case = world.lamp().await;
    let recall = pb::RecallCaseRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        reason_code: "with_help".into(),
        ..Default::default()
    };
    let district = Persona::new(Role::DistrictDispatcher, d.district).org(d.gov);
    IntakeServiceClient::new(d.service.call_as(&district)).recall_case(recall).await.unwrap();
    let pushed = pb::DispatchCaseRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        lead_org_id: world.department.to_string(),
        assist_org_ids: vec![world.committee.to_string()],
        reason_code: "with_help".into(),
        ..Default::default()
    };
    let mut street = IntakeServiceClient::new(d.service.call_as(&d.dispatcher()));
    let pushed = street.dispatch_case(pushed).await.unwrap().into_inner().case.unwrap();
    let by_head = world.refuse(&pushed, world.committee, &head(d)).await.unwrap_err();
    assert_eq!(by_head.code(), Code::PermissionDenied, "the committee answers for itself");
    let refused = world.refuse(&pushed, world.committee, &world.member()).await.unwrap();
    assert_eq!(refused.lead_org_id, world.department.to_string(), "the lead goes on");

    let mut leader = world.client(&world.leader());
    let made = leader.apply_admission(application(&world)).await.unwrap().into_inner().admission.unwrap();
    let id = made.admission_id.clone();
    for persona in [d.leader(), world.member()] {
        let request = pb::GiveAdmissionOpinionRequest {
            admission_id: id.clone(),
            request_id: request_id(),
            view: pb::OpinionView::Objects.into(),
            reason_code: "too_much".into(),
            ..Default::default()
        };
        world.client(&persona).give_admission_opinion(request).await.unwrap();
    }
    let assess = pb::AssessAdmissionRequest {
        admission_id: id.clone(),
        request_id: request_id(),
        law_code: "law_found".into(),
        need_code: "seasonal".into(),
        load_code: "bearable".into(),
        alternative_code: "none".into(),
        ..Default::default()
    };
    world.client(&world.dispatcher()).assess_admission(assess).await.unwrap();
    world.told().await;
    let approve = pb::ApproveAdmissionRequest {
        admission_id: id.clone(),
        request_id: request_id(),
        ..Default::default()
    };
    let mut arbiter = world.client(&world.arbiter());
    let approved = arbiter.approve_admission(approve).await.unwrap().into_inner().admission.unwrap();
    assert_eq!(approved.state(), pb::TaskAdmissionState::Approved);
    assert_eq!(world.told().await, ["AdmissionApproved"]);

    let assists = async |world: &Duties| {
        let case = world.lamp().await;
        case.tasks.iter().any(|task| task.org_id == world.committee.to_string()).then_some(case)
    };
    assert!(assists(&world).await.is_none());
    d.service.clock().advance(7 * DAY);
    d.service.wait_for("the committee is asked", async || assists(&world).await.is_some()).await;
    let case = assists(&world).await.unwrap();
    let admitted = world.refuse(&case, world.committee, &world.member()).await.unwrap_err();
    assert_eq!(admitted.code(), Code::FailedPrecondition, "{admitted}");
    d.service.clock().advance(7 * DAY);
    d.service.wait_for("it has expired", async || assists(&world).await.is_none()).await;
    let request = pb::GetAdmissionRequest { admission_id: id.clone() };
    let over = arbiter.get_admission(request).await.unwrap().into_inner().admission.unwrap();
    assert_eq!(over.state(), pb::TaskAdmissionState::Expired);
    world.d.service.stop().await;
}

#[tokio::test]
async fn what_does_not_fit_is_named_and_what_is_out_of_reach_is_not_there() {
    let world = Duties::start().await;
    let d = &world.d;
    let mut leader = world.client(&world.leader());
    type Change = fn(&mut pb::ProposeDutyTransferRequest, &Duties);
    let wrong: [(&str, Change); 8] = [
        ("from_org_id", |r, w| r.from_org_id = w.d.office.to_string()),
        ("to_org_id", |r, w| r.to_org_id = w.d.centre.to_string()),
        ("item_codes[0]", |r, _| r.item_codes = vec!["CJ-0108".into()]),
        ("item_codes[0]", |r, _| r.item_codes = vec!["CJ-0115".into()]),
        ("item_codes[1]", |r, _| r.item_codes.push(LAMP.into())),
        ("effective_on", |r, _| r.effective_on = "2026-03-02".into()),
        ("deadline_time", |r, _| r.deadline_time = Some("2026-03-10T00:00:00Z".parse().unwrap())),
        ("posts[0].count", |r, _| r.posts[0].count = 0),
    ];
    for (field, change) in wrong {
        let mut request = world.proposal(d.station);
        change(&mut request, &world);
        let status = leader.propose_duty_transfer(request).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{field}: {status}");
        assert!(status.message().starts_with(field), "{field}: {status}");
    }
    let made = world.proposed().await;
    let get = |id: &str| pb::GetDutyTransferRequest { duty_transfer_id: id.into() };
    let elsewhere = Persona::new(Role::StreetLeader, d.other_street).org(d.other_office);
    let other_line = Persona::new(Role::DeptLeader, d.district).line("housing");
    for stranger in [elsewhere, other_line] {
        let mut client = world.client(&stranger);
        let foreign = client.get_duty_transfer(get(&made.duty_transfer_id)).await.unwrap_err();
        let missing = client.get_duty_transfer(get(&new_id().to_string())).await.unwrap_err();
        assert_eq!((foreign.code(), missing.code()), (Code::NotFound, Code::NotFound));
        let list = pb::ListDutyTransfersRequest::default();
        assert!(client.list_duty_transfers(list).await.unwrap().into_inner().transfers.is_empty());
    }
    let list = pb::ListDutyTransfersRequest::default();
    let seen = world.client(&world.member()).list_duty_transfers(list).await.unwrap().into_inner().transfers;
    assert_eq!(seen, [made]);
    world.d.service.stop().await;
}
