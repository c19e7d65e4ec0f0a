//! A small district with a station, a street office, a department and a utility; people who work there; the events of
//! case-routing and identity, made by hand.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use chassis::{
    auth::Role,
    clock::{new_id, to_proto},
    event::Event,
    grpc::PeerChannel,
    testing::{Persona, TestService},
    topology::{Changes, Organization, OrganizationKind, Unit, UnitKind, UnitState},
};
use proto::{
    EventMessage,
    case_routing::v1::{CaseFacts, DispatchMode, Nature, TaskPart, TaskSigned, Urgency},
    identity::v1::{RoleGranted, RoleRevoked},
    staffing::v1::{
        AcceptAssignmentRequest, ArriveOnSiteRequest, Assignment, AssignmentState, DeclineAssignmentRequest,
        FinishAssignmentRequest, ListAssignmentsRequest, assignment_service_client::AssignmentServiceClient,
        workforce_service_client::WorkforceServiceClient,
    },
};
use staffing::App;
use tonic::{Code, Status};
use tonic_types::StatusExt;
use uuid::Uuid;

pub const CITY: Uuid = Uuid::from_u128(1);
pub const DISTRICT: Uuid = Uuid::from_u128(2);
pub const STREET: Uuid = Uuid::from_u128(3);
pub const OTHER_STREET: Uuid = Uuid::from_u128(4);
pub const COMMUNITY: Uuid = Uuid::from_u128(5);
pub const OTHER_COMMUNITY: Uuid = Uuid::from_u128(6);
pub const COURTYARD: Uuid = Uuid::from_u128(7);

pub const STATION: Uuid = Uuid::from_u128(101);
pub const OTHER_STATION: Uuid = Uuid::from_u128(102);
pub const STREET_OFFICE: Uuid = Uuid::from_u128(103);
pub const HOUSING: Uuid = Uuid::from_u128(104);
pub const WATER: Uuid = Uuid::from_u128(105);

fn unit(id: Uuid, parent_id: Option<Uuid>, kind: UnitKind) -> Unit {
    Unit {
        id,
        code: format!("u{}", id.as_u128()),
        code_system: "demo".to_owned(),
        code_year: 2023,
        kind,
        name_zh: "单元".to_owned(),
        name_en: String::new(),
        parent_id,
        state: UnitState::Active,
        valid_from: None,
        valid_to: None,
        version: 1,
        successor_id: None,
        moved: false,
        path: Arc::from([]),
    }
}

fn org(id: Uuid, code: &str, kind: OrganizationKind, unit_id: Uuid, line: Option<&str>) -> Organization {
    Organization {
        id,
        code: code.to_owned(),
        kind,
        name_zh: "组织".to_owned(),
        name_en: String::new(),
        unit_id,
        line: line.map(str::to_owned),
        valid_from: None,
        valid_to: None,
        version: 1,
    }
}

pub fn topology() -> Changes {
    Changes {
        units: vec![
            unit(CITY, None, UnitKind::City),
            unit(DISTRICT, Some(CITY), UnitKind::District),
            unit(STREET, Some(DISTRICT), UnitKind::Street),
            unit(OTHER_STREET, Some(DISTRICT), UnitKind::Street),
            unit(COMMUNITY, Some(STREET), UnitKind::Community),
            unit(OTHER_COMMUNITY, Some(OTHER_STREET), UnitKind::Community),
            unit(COURTYARD, Some(COMMUNITY), UnitKind::Courtyard),
        ],
        orgs: vec![
            org(STATION, "station:5", OrganizationKind::ServiceStation, COMMUNITY, None),
            org(OTHER_STATION, "station:6", OrganizationKind::ServiceStation, OTHER_COMMUNITY, None),
            org(STREET_OFFICE, "street_office:3", OrganizationKind::StreetOffice, STREET, None),
            org(HOUSING, "dept:housing", OrganizationKind::Department, DISTRICT, Some("housing")),
            org(WATER, "utility:water", OrganizationKind::Utility, DISTRICT, None),
        ],
        edges: Vec::new(),
    }
}

/// The service with its topology, and what a test does with it.
pub struct World {
    pub service: TestService<App>,
    /// How many events were made.
    told: AtomicI64,
}

/// A worker that came with a grant.
#[derive(Clone, Debug)]
pub struct Hired {
    pub persona: Persona,
    pub grant_id: Uuid,
}

impl World {
    pub async fn start() -> Self {
        Self::around(TestService::<App>::builder().topology(topology()).start().await)
    }

    pub fn around(service: TestService<App>) -> Self {
        Self { service, told: AtomicI64::default() }
    }

    /// A new fact: each has a version of its own, as the events of a case do.
    pub fn event<M: EventMessage>(&self, key: Uuid, message: &M) -> Event {
        let source = if M::TYPE.contains("identity") { "identity" } else { "case-routing" };
        let version = self.told.fetch_add(1, Ordering::Relaxed) + 1;
        Event::of(source, self.service.clock().now(), key, version, message)
    }

    /// Tells a new fact, and tells it again in every way: each handler is tried with each test.
    pub async fn tell<M: EventMessage>(&self, key: Uuid, message: &M) -> Event {
        let event = self.event(key, message);
        self.service.deliver_repeatedly(event.clone()).await;
        let parked = chassis::inbox::ops::list(self.service.db(), false, 0, 10).await.unwrap();
        assert!(parked.is_empty(), "{} could not be handled: {parked:?}", M::TYPE);
        event
    }

    /// A person with a working role of an organisation, granted by identity.
    pub async fn hire(&self, role: Role, unit: Uuid, org: Uuid, line: &str) -> Hired {
        let mut persona = Persona::new(role, unit).org(org);
        if !line.is_empty() {
            persona = persona.line(line);
        }
        let hired = Hired { persona, grant_id: new_id() };
        self.tell(hired.persona.person_id, &granted(&hired, role, unit, org, line)).await;
        hired
    }

    /// Identity tells of somebody's grant for an organisation, which makes nobody a worker.
    pub async fn announce(&self, persona: &Persona, org: Uuid) -> Hired {
        let known = Hired { persona: persona.clone(), grant_id: new_id() };
        self.tell(persona.person_id, &granted(&known, Role::CommitteeMember, COMMUNITY, org, "")).await;
        known
    }

    pub fn revoked(&self, hired: &Hired) -> RoleRevoked {
        RoleRevoked {
            person_id: hired.persona.person_id.to_string(),
            grant_id: hired.grant_id.to_string(),
            tokens_before_time: Some(to_proto(self.service.clock().real_now())),
            ..RoleRevoked::default()
        }
    }

    pub async fn revoke(&self, hired: &Hired) -> Event {
        self.tell(hired.persona.person_id, &self.revoked(hired)).await
    }

    pub fn assignments(&self, persona: &Persona) -> AssignmentServiceClient<PeerChannel> {
        AssignmentServiceClient::new(self.service.call_as(persona))
    }

    pub fn workforce(&self, persona: &Persona) -> WorkforceServiceClient<PeerChannel> {
        WorkforceServiceClient::new(self.service.call_as(persona))
    }

    /// What the station's head sees of a task, newest first.
    pub async fn of_task(&self, task: Uuid) -> Vec<Assignment> {
        let head = Persona::new(Role::StreetLeader, CITY);
        let request = ListAssignmentsRequest { task_id: task.to_string(), ..Default::default() };
        self.assignments(&head).list_assignments(request).await.unwrap().into_inner().assignments
    }

    /// The states of a task's assignments, newest first.
    pub async fn states(&self, task: Uuid) -> Vec<AssignmentState> {
        self.of_task(task).await.iter().map(Assignment::state).collect()
    }

    /// The one whose hands the task is in.
    pub async fn holder<'a>(&self, task: Uuid, staff: &'a [Hired]) -> (&'a Hired, Assignment) {
        let newest = self.of_task(task).await.into_iter().next().expect("an assignment");
        let hired =
            staff.iter().find(|h| h.persona.actor_ref == newest.worker_ref).expect("one of the staff");
        (hired, newest)
    }

    /// Names of the events sent since last time, without their package.
    pub async fn sent(&self) -> Vec<String> {
        let events = self.service.drain_outbox().await;
        events.iter().map(|event| event.r#type.rsplit('.').next().unwrap_or_default().to_owned()).collect()
    }

    pub async fn accept(&self, who: &Hired, id: &str) -> Result<Assignment, Status> {
        let request = accepting(id);
        let answer = self.assignments(&who.persona).accept_assignment(request).await?;
        Ok(answer.into_inner().assignment.expect("an assignment"))
    }

    pub async fn decline(&self, who: &Hired, id: &str) -> Result<Assignment, Status> {
        let request = DeclineAssignmentRequest {
            assignment_id: id.to_owned(),
            request_id: request_id(),
            reason_code: "elsewhere".to_owned(),
            ..Default::default()
        };
        let answer = self.assignments(&who.persona).decline_assignment(request).await?;
        Ok(answer.into_inner().assignment.expect("an assignment"))
    }

    pub async fn arrive(&self, who: &Hired, id: &str) -> Result<Assignment, Status> {
        let request = ArriveOnSiteRequest {
            assignment_id: id.to_owned(),
            request_id: request_id(),
            ..Default::default()
        };
        let answer = self.assignments(&who.persona).arrive_on_site(request).await?;
        Ok(answer.into_inner().assignment.expect("an assignment"))
    }

    pub async fn finish(&self, who: &Hired, id: &str) -> Result<Assignment, Status> {
        let request = FinishAssignmentRequest {
            assignment_id: id.to_owned(),
            request_id: request_id(),
            minutes: 45,
            evidence_refs: vec!["photo:after".to_owned()],
            ..Default::default()
        };
        let answer = self.assignments(&who.persona).finish_assignment(request).await?;
        Ok(answer.into_inner().assignment.expect("an assignment"))
    }

    /// Accepts, arrives and finishes.
    pub async fn work(&self, who: &Hired, id: &str) {
        self.accept(who, id).await.unwrap();
        self.arrive(who, id).await.unwrap();
        self.finish(who, id).await.unwrap();
    }
}

pub fn granted(hired: &Hired, role: Role, unit: Uuid, org: Uuid, line: &str) -> RoleGranted {
    RoleGranted {
        person_id: hired.persona.person_id.to_string(),
        grant_id: hired.grant_id.to_string(),
        role: role.into(),
        unit_id: unit.to_string(),
        line: line.to_owned(),
        org_id: org.to_string(),
        person_ref: hired.persona.actor_ref.clone(),
    }
}

/// A case with one task, as case-routing tells of it.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    pub id: Uuid,
    pub task: Uuid,
}

impl Case {
    pub fn new() -> Self {
        Self { id: new_id(), task: new_id() }
    }

    /// The lead signs an order.
    pub fn signed(&self, org: Uuid, unit: Uuid, skills: &[&str]) -> TaskSigned {
        TaskSigned {
            case_id: self.id.to_string(),
            task_id: self.task.to_string(),
            facts: Some(CaseFacts {
                item_code: "CJ-0104".to_owned(),
                nature: Nature::CityEvent.into(),
                line: "housing".to_owned(),
                place_unit_id: COURTYARD.to_string(),
                ..CaseFacts::default()
            }),
            part: TaskPart::Lead.into(),
            mode: DispatchMode::Order.into(),
            org_id: org.to_string(),
            unit_id: unit.to_string(),
            skill_codes: skills.iter().map(ToString::to_string).collect(),
            due_time: Some(to_proto(chrono::DateTime::from_timestamp(1_773_000_000, 0).unwrap())),
            in_time: true,
            urgency: Urgency::Normal.into(),
            workers_wanted: 0,
        }
    }
}

/// A worker accepts, whatever the version.
pub fn accepting(id: &str) -> AcceptAssignmentRequest {
    AcceptAssignmentRequest { assignment_id: id.to_owned(), request_id: request_id(), ..Default::default() }
}

pub fn request_id() -> String {
    new_id().to_string()
}

/// The fields a refusal names.
pub fn fields(status: &Status) -> Vec<String> {
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    let details = status.get_error_details();
    let bad = details.bad_request().map(|bad| bad.field_violations.clone()).unwrap_or_default();
    bad.into_iter().map(|violation| violation.field).collect()
}
