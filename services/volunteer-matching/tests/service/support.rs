//! A district with one garden group, its people, and events as case-routing and identity send them.

use chassis::{
    auth::Role,
    clock::{new_id, to_proto},
    event::Event,
    proto::{
        auth::v1 as auth,
        case_routing::v1::{CaseClosed, CaseFacts, CaseOfferConfirmed, CaseOffered, DispatchMode},
        identity::v1 as identity,
        volunteer_matching::v1::{
            AcceptOfferRequest, CompleteOfferRequest, CreateVolunteerRequest, GetOfferRequest, Offer,
            offer_service_client::OfferServiceClient, volunteer_service_client::VolunteerServiceClient,
        },
    },
    testing::{Persona, TestService},
    topology::{Changes, Organization, Unit},
};
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};
use tonic::Code;
use tonic_types::StatusExt;
use uuid::Uuid;
use volunteer_matching::App;

/// The service and the ids of its world.
pub struct World {
    pub service: TestService<App>,
    pub street: Uuid,
    pub org: Uuid,
    pub manager: Persona,
}

pub type Offers = OfferServiceClient<chassis::grpc::PeerChannel>;
pub type Volunteers = VolunteerServiceClient<chassis::grpc::PeerChannel>;

impl World {
    pub async fn start() -> Self {
        let (street, org) = (new_id(), new_id());
        let unit = identity::Unit {
            unit_id: street.to_string(),
            code: "420103001".into(),
            kind: identity::UnitKind::Street.into(),
            name_zh: "民族街道".into(),
            version: 1,
            ..Default::default()
        };
        let garden = identity::Organization {
            org_id: org.to_string(),
            code: "social_org:garden".into(),
            kind: identity::OrganizationKind::SocialOrg.into(),
            name_zh: "绿色家园".into(),
            unit_id: street.to_string(),
            version: 1,
            ..Default::default()
        };
        let topology = Changes {
            units: vec![Unit::try_from(unit).expect("a unit")],
            orgs: vec![Organization::try_from(garden).expect("an organisation")],
            edges: Vec::new(),
        };
        let service = TestService::<App>::builder().topology(topology).start().await;
        let manager = Persona::new(Role::OrgManager, street).org(org);
        Self { service, street, org, manager }
    }

    pub fn offers(&self, persona: &Persona) -> Offers {
        OfferServiceClient::new(self.service.call_as(persona))
    }

    pub fn volunteers(&self, persona: &Persona) -> Volunteers {
        VolunteerServiceClient::new(self.service.call_as(persona))
    }

    /// A manager of another organisation.
    pub fn stranger(&self) -> Persona {
        Persona::new(Role::OrgManager, self.street).org(new_id())
    }

    /// A person whom identity made a volunteer of the organisation, and the grant's id.
    pub async fn volunteer(&self) -> (Persona, Uuid) {
        let persona = Persona::new(Role::Volunteer, self.street).org(self.org);
        let grant_id = new_id();
        self.tell("identity", persona.person_id, &self.granted(&persona, grant_id)).await;
        (persona, grant_id)
    }

    /// The grant that makes a person a volunteer of the organisation.
    pub fn granted(&self, persona: &Persona, grant_id: Uuid) -> identity::RoleGranted {
        identity::RoleGranted {
            person_id: persona.person_id.to_string(),
            grant_id: grant_id.to_string(),
            role: auth::Role::Volunteer.into(),
            unit_id: self.street.to_string(),
            line: String::new(),
            org_id: self.org.to_string(),
            person_ref: persona.actor_ref.clone(),
        }
    }

    pub fn told<M: chassis::proto::EventMessage>(&self, source: &str, key: Uuid, message: &M) -> Event {
        Event::of(source, self.service.clock().now(), key, 1, message)
    }

    /// Tells it, and tells it again in every way: each handler is tried with each test.
    pub async fn tell<M: chassis::proto::EventMessage>(&self, source: &str, key: Uuid, message: &M) {
        self.service.deliver_repeatedly(self.told(source, key, message)).await;
        let parked = chassis::inbox::ops::list(self.service.db(), false, 0, 10).await.expect("listed");
        assert!(parked.is_empty(), "{} could not be handled: {parked:?}", M::TYPE);
    }

    pub fn facts(&self) -> CaseFacts {
        CaseFacts {
            item_code: "CJ-0142".into(),
            place_unit_id: self.street.to_string(),
            ..Default::default()
        }
    }

    pub fn offered(&self, case_id: Uuid, offer_id: Uuid) -> CaseOffered {
        CaseOffered {
            case_id: case_id.to_string(),
            facts: Some(self.facts()),
            offer_id: offer_id.to_string(),
            partner_org_id: self.org.to_string(),
            mode: DispatchMode::Invitation.into(),
            offer_due_time: Some(to_proto(self.service.clock().now() + chrono::Duration::hours(4))),
            skill_codes: vec!["greening".into()],
            in_time: true,
            ..Default::default()
        }
    }

    /// A new offer, as case-routing makes it: the case's id and the offer's.
    pub async fn offer(&self) -> (Uuid, Uuid) {
        let (case_id, offer_id) = (new_id(), new_id());
        let offered = self.offered(case_id, offer_id);
        self.tell("case-routing", case_id, &offered).await;
        (case_id, offer_id)
    }

    /// A new offer that was accepted and confirmed.
    pub async fn confirmed(&self) -> (Uuid, Uuid) {
        self.confirmed_for("").await
    }

    /// The same, in the name of a volunteer.
    pub async fn confirmed_for(&self, volunteer_id: &str) -> (Uuid, Uuid) {
        let (case_id, offer_id) = self.offer().await;
        let request = AcceptOfferRequest { volunteer_id: volunteer_id.to_owned(), ..accept(offer_id) };
        self.offers(&self.manager).accept_offer(request).await.expect("accepted");
        self.tell("case-routing", case_id, &self.confirmation(case_id, offer_id)).await;
        self.service.drain_outbox().await;
        (case_id, offer_id)
    }

    pub fn confirmation(&self, case_id: Uuid, offer_id: Uuid) -> CaseOfferConfirmed {
        CaseOfferConfirmed {
            case_id: case_id.to_string(),
            facts: Some(self.facts()),
            offer_id: offer_id.to_string(),
            task_id: new_id().to_string(),
            partner_org_id: self.org.to_string(),
            mode: DispatchMode::Invitation.into(),
        }
    }

    /// A volunteer whom the organisation registers, with everything that the world's offers ask for.
    pub fn new_volunteer(&self) -> CreateVolunteerRequest {
        CreateVolunteerRequest {
            request_id: new_id().to_string(),
            person_id: new_id().to_string(),
            volunteer_ref: "p-0a1b2c".into(),
            org_id: self.org.to_string(),
            home_unit_id: self.street.to_string(),
            skill_codes: vec!["greening".into()],
        }
    }

    /// A grant of a resident of the street who is to be registered.
    pub fn resident(&self, request: &CreateVolunteerRequest) -> identity::RoleGranted {
        identity::RoleGranted {
            person_id: request.person_id.clone(),
            grant_id: new_id().to_string(),
            role: auth::Role::Resident.into(),
            unit_id: self.street.to_string(),
            line: String::new(),
            org_id: String::new(),
            person_ref: request.volunteer_ref.clone(),
        }
    }

    /// Identity tells of somebody's grant.
    pub async fn announce(&self, granted: &identity::RoleGranted) {
        let person = granted.person_id.parse().expect("an id");
        self.tell("identity", person, granted).await;
    }

    /// Registers a volunteer of whom identity has told, and gives the id.
    pub async fn register(&self, manager: &Persona, request: CreateVolunteerRequest) -> String {
        self.announce(&self.resident(&request)).await;
        let created = self.volunteers(manager).create_volunteer(request).await.expect("created");
        created.into_inner().volunteer.expect("a volunteer").volunteer_id
    }

    pub async fn complete(&self, offer_id: Uuid, minutes: i32) -> Offer {
        let done = self.offers(&self.manager).complete_offer(completion(offer_id, minutes)).await;
        done.expect("completed").into_inner().offer.expect("an offer")
    }

    /// The offer as its manager sees it.
    pub async fn get(&self, offer_id: Uuid) -> Offer {
        let request = GetOfferRequest { offer_id: offer_id.to_string() };
        let answer = self.offers(&self.manager).get_offer(request).await.expect("within reach");
        answer.into_inner().offer.expect("an offer")
    }

    /// How many rows each table of the service holds, with those of the outbox.
    pub async fn rows(&self) -> Vec<i64> {
        let mut counts = Vec::new();
        for table in ["offers", "volunteers", "service_records", "outbox", "parked_events"] {
            counts.push(self.number(&format!("SELECT count(*) AS n FROM {table}")).await);
        }
        counts
    }

    /// The number `n` of a query.
    pub async fn number(&self, sql: &str) -> i64 {
        #[derive(diesel::QueryableByName)]
        struct Number {
            #[diesel(sql_type = diesel::sql_types::BigInt)]
            n: i64,
        }
        let mut conn = self.service.db().conn().await.expect("a connection");
        let number: Number = diesel::sql_query(sql).get_result(&mut conn).await.expect("a number");
        number.n
    }

    /// Statements by hand.
    pub async fn sql(&self, text: &str) {
        let mut conn = self.service.db().conn().await.expect("a connection");
        conn.batch_execute(text).await.expect("carried out");
    }
}

pub fn closed(case_id: Uuid, offer_id: Uuid) -> CaseClosed {
    CaseClosed { case_id: case_id.to_string(), offer_id: offer_id.to_string(), ..Default::default() }
}

pub fn accept(offer_id: Uuid) -> AcceptOfferRequest {
    AcceptOfferRequest {
        offer_id: offer_id.to_string(),
        request_id: new_id().to_string(),
        volunteer_id: String::new(),
        etag: String::new(),
    }
}

pub fn completion(offer_id: Uuid, minutes: i32) -> CompleteOfferRequest {
    CompleteOfferRequest {
        offer_id: offer_id.to_string(),
        request_id: new_id().to_string(),
        minutes,
        evidence_refs: vec!["photo:after".into()],
        etag: String::new(),
    }
}

/// The code of a refusal and the fields it names.
pub fn refusal<T: std::fmt::Debug>(result: Result<T, tonic::Status>) -> (Code, Vec<String>) {
    let status = result.expect_err("refused");
    let details = status.get_error_details();
    let fields =
        details.bad_request().map(|bad| bad.field_violations.iter().map(|v| v.field.clone()).collect());
    (status.code(), fields.unwrap_or_default())
}
