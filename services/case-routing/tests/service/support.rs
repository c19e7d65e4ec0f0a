//! A small district, its people, and the steps that most tests take.

use std::{net::SocketAddr, sync::Arc};

use case_routing::{App, notice::NoticeKey};
use chassis::{
    Clock, Running, Service as _, Timestamp, Wiring,
    auth::Role,
    bus::InProcess,
    clock::new_id,
    config::ServiceConfig,
    event::Event,
    grpc::{Credential, PeerChannel},
    proto::case_routing::v1::{
        self as pb, case_service_client::CaseServiceClient, task_service_client::TaskServiceClient,
        verification_service_client::VerificationServiceClient,
    },
    testing::{Persona, TestService},
    topology::{Changes, Edge, EdgeKind, Organization, OrganizationKind, Unit, UnitKind, UnitState},
};
use diesel_async::SimpleAsyncConnection as _;
use tonic::transport::Endpoint;
use uuid::Uuid;

/// Help with a shared building, led by the street; volunteers may be asked first.
pub const ITEM: &str = "CJ-0142";

/// How other systems are told: at once, and soon again. An answer is awaited for so long.
pub fn webhook(timeout_ms: i64) -> toml::Table {
    let mut told = toml::toml! {
        loopback = true
        poll_ms = 20
        retry_first_ms = 20
        retry_max_ms = 100
        attempts = 4
    };
    told.insert("timeout_ms".to_owned(), timeout_ms.into());
    told
}

pub struct District {
    pub service: TestService<App>,
    pub district: Uuid,
    pub street: Uuid,
    pub other_street: Uuid,
    pub community: Uuid,
    pub gov: Uuid,
    pub office: Uuid,
    pub other_office: Uuid,
    pub station: Uuid,
    pub centre: Uuid,
    pub volunteers: Uuid,
}

impl District {
    pub async fn start() -> Self {
        Self::start_with(|_| {}, "sweep_ms", 1_000).await
    }

    /// At an instant.
    pub async fn at(clock: Clock) -> Self {
        Self::start_at(clock, |_| {}, "sweep_ms", 1_000.into()).await
    }

    /// With a setting of the service.
    pub async fn with(setting: &str, value: impl Into<toml::Value>) -> Self {
        Self::start_at(Clock::fixed(monday()), |_| {}, setting, value.into()).await
    }

    /// The same, at an instant.
    pub async fn at_with(clock: Clock, setting: &str, value: impl Into<toml::Value>) -> Self {
        Self::start_at(clock, |_| {}, setting, value.into()).await
    }

    /// With another topology, and a setting of the service.
    pub async fn start_with(change: impl FnOnce(&mut Changes), setting: &str, value: i64) -> Self {
        Self::start_at(Clock::fixed(monday()), change, setting, value.into()).await
    }

    /// All of it. Notices signed by the key of [`signer`] count. Other systems are told at once only by [`webhook`]: most tests have
    /// none, and need no courier that looks all the time.
    async fn start_at(
        clock: Clock,
        change: impl FnOnce(&mut Changes),
        setting: &str,
        value: toml::Value,
    ) -> Self {
        let ids: Vec<Uuid> = (0..12).map(|_| new_id()).collect();
        let [
            city,
            district,
            street,
            other_street,
            community,
            gov,
            office,
            other_office,
            station,
            centre,
            volunteers,
            group,
        ] = ids[..]
        else {
            unreachable!("twelve were made")
        };
        let unit = |id, parent, code: &str, kind| Unit {
            id,
            code: code.into(),
            code_system: "nbs".into(),
            code_year: 2023,
            kind,
            name_zh: code.into(),
            name_en: code.into(),
            parent_id: parent,
            state: UnitState::Active,
            valid_from: None,
            valid_to: None,
            version: 1,
            successor_id: None,
            moved: false,
            path: [id].into(),
        };
        let org = |id, unit_id, code: &str, kind| Organization {
            id,
            code: code.into(),
            kind,
            name_zh: code.into(),
            name_en: code.into(),
            unit_id,
            line: None,
            valid_from: None,
            valid_to: None,
            version: 1,
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
        let mut topology = Changes {
            units: vec![
                unit(city, None, "4201", UnitKind::City),
                unit(district, Some(city), "420103", UnitKind::District),
                unit(street, Some(district), "420103005", UnitKind::Street),
                unit(other_street, Some(district), "420103008", UnitKind::Street),
                unit(community, Some(street), "420103005001", UnitKind::Community),
            ],
            orgs: vec![
                org(gov, district, "gov:420103", OrganizationKind::Government),
                org(office, street, "street_office:420103005", OrganizationKind::StreetOffice),
                org(other_office, other_street, "street_office:420103008", OrganizationKind::StreetOffice),
                org(station, community, "station:420103005001", OrganizationKind::ServiceStation),
                org(centre, district, "callback:420103", OrganizationKind::CallbackCentre),
                org(volunteers, district, "social_org:yigong", OrganizationKind::SocialOrg),
                org(group, community, "group:420103005001", OrganizationKind::SelfGovGroup),
            ],
            edges: vec![
                edge(gov, office, EdgeKind::Leads),
                edge(gov, other_office, EdgeKind::Leads),
                edge(office, station, EdgeKind::Leads),
                edge(gov, volunteers, EdgeKind::Partners),
            ],
        };
        change(&mut topology);
        let key = signer().public().to_string();
        let own =
            toml::Table::from_iter([("calendar_key".to_owned(), key.into()), (setting.to_owned(), value)]);
        let configure =
            move |config: &mut ServiceConfig| drop(config.services.insert(App::NAME.to_owned(), own));
        let service =
            TestService::builder().topology(topology).clock(clock).configure(configure).start().await;
        Self {
            service,
            district,
            street,
            other_street,
            community,
            gov,
            office,
            other_office,
            station,
            centre,
            volunteers,
        }
    }

    /// The service once more, over the same database.
    pub async fn another(&self) -> Running {
        self.another_with(|_| {}).await
    }

    /// The same, with a changed configuration.
    pub async fn another_with(&self, change: impl FnOnce(&mut ServiceConfig)) -> Running {
        self.try_another(change).await.unwrap()
    }

    /// The same, where it may not start.
    pub async fn try_another(&self, change: impl FnOnce(&mut ServiceConfig)) -> anyhow::Result<Running> {
        let mut config = self.service.context.config.clone();
        change(&mut config);
        let wiring = Wiring {
            relay: false,
            clock: self.service.clock().clone(),
            keys: Some(self.service.keys.source()),
            crypto: Some(self.service.context.crypto.clone()),
            ..Wiring::new(Arc::new(InProcess::new(&["case-routing"], 1)))
        };
        chassis::start::<App>(config, wiring).await
    }

    /// A channel to another instance.
    pub fn call_at(&self, addr: SocketAddr, persona: &Persona) -> PeerChannel {
        let channel = Endpoint::from_shared(format!("http://{addr}")).unwrap().connect_lazy();
        let token = format!("Bearer {}", self.service.keys.token(persona));
        PeerChannel::new(channel, Credential::Bearer(token.parse().unwrap()))
    }

    pub fn window(&self) -> Persona {
        Persona::new(Role::ServiceWorker, self.community).org(self.station)
    }

    pub fn dispatcher(&self) -> Persona {
        Persona::new(Role::StreetDispatcher, self.street).org(self.office)
    }

    pub fn leader(&self) -> Persona {
        Persona::new(Role::StreetLeader, self.street).org(self.office)
    }

    pub fn verifier(&self) -> Persona {
        Persona::new(Role::Verifier, self.district).org(self.centre)
    }

    pub fn cases(&self, persona: &Persona) -> CaseServiceClient<PeerChannel> {
        CaseServiceClient::new(self.service.call_as(persona))
    }

    pub fn tasks(&self, persona: &Persona) -> TaskServiceClient<PeerChannel> {
        TaskServiceClient::new(self.service.call_as(persona))
    }

    pub fn intake_request(&self, requester: &Persona) -> pb::IntakeCaseRequest {
        pb::IntakeCaseRequest {
            request_id: new_id().to_string(),
            text: "楼道堆物，请联系13812345678".into(),
            place_unit_id: self.community.to_string(),
            channel: pb::Channel::Window.into(),
            item_code: ITEM.into(),
            requester_id: requester.person_id.to_string(),
            notice_version: "1".into(),
            ..pb::IntakeCaseRequest::default()
        }
    }

    /// A case taken in at the window and dispatched to the street.
    pub async fn taken_in(&self, requester: &Persona) -> pb::Case {
        let request = self.intake_request(requester);
        self.cases(&self.window()).intake_case(request).await.unwrap().into_inner().case.unwrap()
    }

    /// A case that volunteers were invited to.
    pub async fn offered(&self, requester: &Persona) -> pb::Case {
        let request = pb::IntakeCaseRequest { agrees_to_society: true, ..self.intake_request(requester) };
        let case = self.cases(&self.window()).intake_case(request).await.unwrap().into_inner().case.unwrap();
        assert_eq!(case.state(), pb::CaseState::OfferedToSociety);
        case
    }

    /// The street does it, and the centre confirms it: waiting to be rated.
    pub async fn resolve(&self, case: &pb::Case) {
        self.do_at_street(case).await;
        self.confirm(case).await;
    }

    /// The street does it: waiting for the centre.
    pub async fn do_at_street(&self, case: &pb::Case) {
        let case_id = case.case_id.clone();
        let mut tasks = self.tasks(&self.leader());
        let task_id = case.tasks[0].task_id.clone();
        let sign = pb::SignTaskRequest {
            case_id: case_id.clone(),
            request_id: request_id(),
            task_id,
            ..Default::default()
        };
        tasks.sign_task(sign).await.unwrap();
        let contact = pb::ContactRequesterRequest {
            case_id: case_id.clone(),
            request_id: request_id(),
            method: "phone".into(),
            ..Default::default()
        };
        tasks.contact_requester(contact).await.unwrap();
        let complete = pb::CompleteCaseRequest {
            case_id,
            request_id: request_id(),
            evidence_refs: vec!["photo:1".into()],
            ..Default::default()
        };
        tasks.complete_case(complete).await.unwrap();
    }

    /// The centre confirms it: waiting to be rated.
    pub async fn confirm(&self, case: &pb::Case) {
        let verify = pb::VerifyCaseRequest {
            case_id: case.case_id.clone(),
            request_id: request_id(),
            method: "phone".into(),
            resolution: pb::Resolution::Resolved.into(),
            callback: pb::CallbackOutcome::Reached.into(),
            callback_resolution: pb::Resolution::Resolved.into(),
            ..Default::default()
        };
        VerificationServiceClient::new(self.service.call_as(&self.verifier()))
            .verify_case(verify)
            .await
            .unwrap();
    }

    pub async fn read(&self, case: &pb::Case) -> pb::Case {
        let request = pb::GetCaseRequest { case_id: case.case_id.clone() };
        self.cases(&self.dispatcher()).get_case(request).await.unwrap().into_inner().case.unwrap()
    }

    /// Who is asked for something stands by organisation as it does in the agenda.
    pub async fn asked_as_in_the_agenda(&self) {
        let check = "DO $$ BEGIN IF EXISTS (\
             (SELECT org, case_id, running_due_at FROM agenda, unnest(asked_org_ids) AS org \
              EXCEPT SELECT org_id, case_id, running_due_at FROM asked) UNION ALL \
             (SELECT org_id, case_id, running_due_at FROM asked \
              EXCEPT SELECT org, case_id, running_due_at FROM agenda, unnest(asked_org_ids) AS org)) \
             THEN RAISE 'asked and agenda differ'; END IF; END $$";
        self.service.db().conn().await.unwrap().batch_execute(check).await.unwrap();
    }

    /// Names of the events in the outbox, which is emptied.
    pub async fn told(&self) -> Vec<String> {
        names(&self.service.drain_outbox().await)
    }
}

/// Monday 2026-03-02, 09:00 in Wuhan.
pub fn monday() -> Timestamp {
    "2026-03-02T01:00:00Z".parse().unwrap()
}

/// Whose notices count.
pub fn signer() -> NoticeKey {
    NoticeKey::from_seed(&[7; 32])
}

pub fn names(events: &[Event]) -> Vec<String> {
    events.iter().filter_map(|event| event.r#type.rsplit('.').next()).map(str::to_owned).collect()
}

/// Bytes as PostgreSQL prints them.
pub fn printed(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether a printed table holds this, as text or in bytes.
pub fn holds(dump: &str, text: &str) -> bool {
    dump.contains(text) || dump.contains(&printed(text.as_bytes()))
}

pub fn request_id() -> String {
    new_id().to_string()
}
