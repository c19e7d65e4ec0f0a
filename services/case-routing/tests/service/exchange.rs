//! Exchange with other systems: who they are, whose words are whose, and how a ticket becomes one case.

use chassis::{
    Error,
    auth::Role,
    grpc::PeerChannel,
    proto::case_routing::v1::{
        self as pb, exchange_service_client::ExchangeServiceClient,
        intake_service_client::IntakeServiceClient,
    },
    testing::Persona,
};
use diesel::{QueryableByName, sql_types::BigInt};
use diesel_async::RunQueryDsl;
use tonic::{Code, Status};

use crate::support::{District, ITEM, request_id, webhook};

pub const CODE: &str = "hotline";

/// A district with a system, the people who look after it, and its client.
pub struct World {
    pub d: District,
    pub operator: Persona,
    pub client: Persona,
}

impl World {
    pub async fn start(endpoint: &str, direction: pb::ExchangeDirection) -> Self {
        Self::of(District::with("webhook", webhook(5_000)).await, endpoint, direction).await
    }

    pub async fn of(d: District, endpoint: &str, direction: pb::ExchangeDirection) -> Self {
        let operator = Persona::new(Role::ItOperator, d.district).org(d.gov);
        let client = Persona::new(Role::IntegrationClient, d.district).org(d.gov);
        let world = Self { d, operator, client };
        let request = pb::CreateExternalSystemRequest {
            endpoint: endpoint.into(),
            direction: direction.into(),
            ..world.system()
        };
        world.call(&world.operator).create_external_system(request).await.unwrap();
        world
    }

    /// With the usual mapping in force.
    pub async fn mapped(endpoint: &str, direction: pb::ExchangeDirection) -> Self {
        Self::start(endpoint, direction).await.with_mapping().await
    }

    /// The same, of a district that gives an answer up early.
    pub async fn impatient(endpoint: &str, direction: pb::ExchangeDirection) -> Self {
        let d = District::with("webhook", webhook(1_000)).await;
        Self::of(d, endpoint, direction).await.with_mapping().await
    }

    /// Puts the usual mapping in force.
    pub async fn with_mapping(self) -> Self {
        self.maps(CODE).await;
        self
    }

    /// Puts a mapping of a system in force.
    pub async fn maps(&self, system: &str) {
        let draft = pb::DraftMappingRequest { system_code: system.into(), ..self.mapping() };
        let drafted = self.call(&self.drafter()).draft_mapping(draft).await.unwrap().into_inner();
        assert_eq!(drafted.problems, []);
        self.activates_of(system, drafted.mapping.unwrap().mapping_version).await.unwrap();
    }

    pub fn call(&self, persona: &Persona) -> ExchangeServiceClient<PeerChannel> {
        ExchangeServiceClient::new(self.d.service.call_as(persona))
    }

    pub fn drafter(&self) -> Persona {
        Persona::new(Role::DistrictDispatcher, self.d.district).org(self.d.gov)
    }

    pub fn system(&self) -> pb::CreateExternalSystemRequest {
        pb::CreateExternalSystemRequest {
            request_id: request_id(),
            system_code: CODE.into(),
            name_zh: "市民热线".into(),
            name_en: "Citizens' hotline".into(),
            direction: pb::ExchangeDirection::Both.into(),
            client_id: self.client.person_id.to_string(),
            endpoint: String::new(),
            line_codes: vec!["12345".into()],
        }
    }

    pub fn mapping(&self) -> pb::DraftMappingRequest {
        let status = |state: pb::CaseState, word: &str| pb::StatusRule {
            state: state.into(),
            external_status: word.into(),
            ..Default::default()
        };
        pb::DraftMappingRequest {
            system_code: CODE.into(),
            request_id: request_id(),
            classes: vec![pb::ClassRule { class_code: "0201".into(), item_code: ITEM.into() }],
            areas: vec![pb::AreaRule { area_code: "x1".into(), unit_code: "420103005001".into() }],
            statuses: vec![
                status(pb::CaseState::Registered, "待受理"),
                status(pb::CaseState::Dispatched, "已派单"),
                status(pb::CaseState::HandedOff, "转办"),
            ],
            closed_codes: vec![pb::ClosedRule {
                closed_code: pb::ClosedCode::Resolved.into(),
                external_code: "01".into(),
            }],
            return_statuses: vec!["退回".into()],
        }
    }

    pub async fn activates(&self, mapping_version: i32) -> Result<pb::Mapping, Status> {
        self.activates_of(CODE, mapping_version).await
    }

    /// For the endpoint that the system has.
    async fn activates_of(&self, system: &str, mapping_version: i32) -> Result<pb::Mapping, Status> {
        let request = pb::ListExternalSystemsRequest::default();
        let all =
            self.call(&self.operator).list_external_systems(request).await.unwrap().into_inner().systems;
        let known = all.into_iter().find(|known| known.system_code == system).unwrap();
        self.activates_for(system, mapping_version, &known.endpoint).await
    }

    async fn activates_for(
        &self,
        system: &str,
        mapping_version: i32,
        endpoint: &str,
    ) -> Result<pb::Mapping, Status> {
        let request = pb::ActivateMappingRequest {
            system_code: system.into(),
            mapping_version,
            request_id: request_id(),
            endpoint: endpoint.into(),
        };
        let arbiter = Persona::new(Role::Arbiter, self.d.district).org(self.d.gov);
        let answer = self.call(&arbiter).activate_mapping(request).await?;
        Ok(answer.into_inner().mapping.unwrap())
    }

    pub fn ticket(&self, ext_no: &str) -> pb::PushTicketRequest {
        pb::PushTicketRequest {
            request_id: request_id(),
            ext_no: ext_no.into(),
            text: "三楼楼道堆物，电话13812340000".into(),
            class_code: "0201".into(),
            class_name: "房屋".into(),
            area_code: "x1".into(),
            contact: Some(pb::TicketContact { name: "王小明".into(), phone: "13812340000".into() }),
            ..Default::default()
        }
    }

    pub async fn pushes(&self, request: pb::PushTicketRequest) -> Result<pb::TicketReceipt, Status> {
        Ok(self.call(&self.client).push_ticket(request).await?.into_inner().receipt.unwrap())
    }

    pub async fn tickets(&self, state: pb::SyncState) -> Vec<pb::ExternalTicket> {
        let request = pb::ListTicketsRequest { sync_state: state.into(), ..Default::default() };
        self.call(&self.operator).list_tickets(request).await.unwrap().into_inner().tickets
    }

    pub async fn case(&self, case_id: &str) -> pb::Case {
        let request = pb::GetCaseRequest { case_id: case_id.into() };
        self.d.cases(&self.drafter()).get_case(request).await.unwrap().into_inner().case.unwrap()
    }

    pub async fn reveals(&self, ticket: &str, by: &Persona) -> Result<pb::RevealTicketResponse, Status> {
        let request = pb::RevealTicketRequest { ticket_id: ticket.into() };
        Ok(self.call(by).reveal_ticket(request).await?.into_inner())
    }

    pub async fn updates(
        &self,
        change: impl FnOnce(&mut pb::UpdateExternalSystemRequest),
    ) -> Result<(), Status> {
        let request = pb::ListExternalSystemsRequest::default();
        let known =
            self.call(&self.operator).list_external_systems(request).await.unwrap().into_inner().systems;
        let known = known.into_iter().next().unwrap();
        let mut request = pb::UpdateExternalSystemRequest {
            system_code: known.system_code,
            request_id: request_id(),
            etag: known.etag,
            name_zh: known.name_zh,
            name_en: known.name_en,
            direction: known.direction,
            state: known.state,
            client_id: known.client_id,
            endpoint: known.endpoint,
            line_codes: known.line_codes,
            update_mask: None,
        };
        change(&mut request);
        self.call(&self.operator).update_external_system(request).await.map(drop)
    }

    pub async fn count(&self, sql: &'static str) -> i64 {
        #[derive(QueryableByName)]
        struct Row {
            #[diesel(sql_type = BigInt)]
            n: i64,
        }
        let mut conn = self.d.service.db().conn().await.unwrap();
        let row: Row = diesel::sql_query(sql).get_result(&mut conn).await.unwrap();
        row.n
    }
}

#[tokio::test]
async fn a_system_is_entered_once_and_changed_by_its_version() {
    let world = World::start("https://example.com/hook", pb::ExchangeDirection::Both).await;
    let again = world.call(&world.operator).create_external_system(world.system()).await.unwrap_err();
    assert_eq!(again.code(), Code::AlreadyExists);
    let other = pb::CreateExternalSystemRequest { system_code: "other".into(), ..world.system() };
    let again = world.call(&world.operator).create_external_system(other).await.unwrap_err();
    assert_eq!(again.code(), Code::AlreadyExists, "the client speaks for one system only");

    world.updates(|change| change.name_zh = "热线".into()).await.unwrap();
    let stale = world.updates(|change| change.etag = "1".into()).await.unwrap_err();
    assert_eq!(stale.code(), Code::Aborted);
    for inside in [
        "http://example.com/",
        "https://10.0.0.1/",
        "https://[::ffff:169.254.169.254]/",
        "https://a@b.cn/",
        "https://example.com/\nhook",
    ] {
        let refused = world.updates(|change| change.endpoint = inside.into()).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{inside}");
    }
    let request = pb::RotateWebhookSecretRequest { system_code: CODE.into(), request_id: request_id() };
    let first =
        world.call(&world.operator).rotate_webhook_secret(request.clone()).await.unwrap().into_inner();
    let repeat = world.call(&world.operator).rotate_webhook_secret(request).await.unwrap().into_inner();
    assert!(first.secret.starts_with("whsec_") && first.secret == repeat.secret, "a repeat makes no other");
    assert!(first.system.unwrap().has_secret);
    world.d.service.stop().await;
}

#[tokio::test]
async fn of_a_system_is_set_what_the_mask_names_and_the_rest_stays() {
    let world = World::start("https://example.com/hook", pb::ExchangeDirection::Both).await;
    let known = async || {
        let request = pb::ListExternalSystemsRequest::default();
        let all = world.call(&world.operator).list_external_systems(request).await.unwrap().into_inner();
        all.systems.into_iter().next().unwrap()
    };
    let sets = |paths: &[&str]| pb::UpdateExternalSystemRequest {
        system_code: CODE.into(),
        request_id: request_id(),
        update_mask: Some(prost_types::FieldMask { paths: paths.iter().map(ToString::to_string).collect() }),
        ..Default::default()
    };
    let before = known().await;
    // The endpoint is emptied; whatever else is left out is not named.
    let named =
        pb::UpdateExternalSystemRequest { name_zh: "热线".into(), ..sets(&["name_zh", "endpoint"]) };
    world.call(&world.operator).update_external_system(named).await.unwrap();
    let after = known().await;
    let expected = pb::ExternalSystem {
        name_zh: "热线".into(),
        endpoint: String::new(),
        etag: after.etag.clone(),
        update_time: after.update_time,
        ..before.clone()
    };
    assert_eq!(after, expected);
    assert_ne!(after.etag, before.etag);

    let refused =
        world.call(&world.operator).update_external_system(sets(&["system_code"])).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert!(refused.message().starts_with("update_mask: "), "{refused}");
    let empty = world.call(&world.operator).update_external_system(sets(&["name_en"])).await.unwrap_err();
    assert!(empty.message().starts_with("name_en: "), "what is named is checked: {empty}");
    assert_eq!(known().await, after);
    world.d.service.stop().await;
}

#[tokio::test]
async fn a_mapping_is_checked_whole_put_in_force_by_another_and_taken_back() {
    let world = World::start("", pb::ExchangeDirection::In).await;
    let mut wrong = world.mapping();
    wrong.classes.push(pb::ClassRule { class_code: "0201".into(), item_code: "nothing".into() });
    wrong.areas.push(pb::AreaRule { area_code: String::new(), unit_code: "1".into() });
    let told = world.call(&world.drafter()).draft_mapping(wrong).await.unwrap().into_inner();
    let problems: Vec<_> = told.problems.iter().map(|p| (p.field.as_str(), p.code.as_str())).collect();
    assert_eq!(
        problems,
        [
            ("classes[1].class_code", "duplicate"),
            ("classes[1].item_code", "unknown_item"),
            ("areas[1].area_code", "empty"),
            ("areas[1].unit_code", "unknown_unit"),
        ]
    );
    assert_eq!((told.mapping, world.count("SELECT count(*) AS n FROM external_mappings").await), (None, 0));

    let both = world.drafter().also(Role::Arbiter, world.d.district);
    let first = world.call(&both).draft_mapping(world.mapping()).await.unwrap().into_inner().mapping.unwrap();
    let request = pb::ActivateMappingRequest {
        system_code: CODE.into(),
        mapping_version: first.mapping_version,
        request_id: request_id(),
        endpoint: String::new(),
    };
    let own = world.call(&both).activate_mapping(request).await.unwrap_err();
    assert_eq!(own.code(), Code::FailedPrecondition, "never by its drafter");
    assert_eq!(world.activates(1).await.unwrap().state(), pb::MappingState::InForce);
    assert_eq!(world.activates(1).await.unwrap_err().code(), Code::FailedPrecondition);

    let second = pb::DraftMappingRequest { classes: Vec::new(), ..world.mapping() };
    world.call(&both).draft_mapping(second).await.unwrap();
    world.activates(2).await.unwrap();
    let request = |mapping_version| pb::RollBackMappingRequest {
        system_code: CODE.into(),
        mapping_version,
        request_id: request_id(),
    };
    let back = world.call(&both).roll_back_mapping(request(2)).await.unwrap().into_inner().mapping.unwrap();
    assert_eq!(back.state(), pb::MappingState::Withdrawn);
    let request_list = pb::ListMappingsRequest { system_code: CODE.into(), ..Default::default() };
    let all = world.call(&both).list_mappings(request_list).await.unwrap().into_inner().mappings;
    let states: Vec<_> = all.iter().map(|m| (m.mapping_version, m.state())).collect();
    assert_eq!(states, [(2, pb::MappingState::Withdrawn), (1, pb::MappingState::InForce)]);
    let again = world.call(&both).roll_back_mapping(request(2)).await.unwrap_err();
    assert_eq!(again.code(), Code::FailedPrecondition);
    let one = pb::GetMappingRequest { system_code: CODE.into(), mapping_version: 1 };
    let one = world.call(&both).get_mapping(one).await.unwrap().into_inner().mapping.unwrap();
    assert_eq!((one.classes, one.statuses.len()), (world.mapping().classes, 3));
    world.d.service.stop().await;
}

#[tokio::test]
async fn a_mapping_is_put_in_force_for_the_endpoint_that_its_arbiter_has_seen() {
    let (seen, swapped) = ("https://example.com/hook", "https://example.org/hook");
    let world = World::start(seen, pb::ExchangeDirection::Both).await;
    let drafts = async || {
        let drafted = world.call(&world.drafter()).draft_mapping(world.mapping()).await.unwrap().into_inner();
        drafted.mapping.unwrap()
    };
    let endpoints = |known: &pb::Mapping| (known.endpoint.clone(), known.system_endpoint.clone());
    let both = |confirmed: &str, now: &str| (confirmed.to_owned(), now.to_owned());
    let shown = async |mapping_version| {
        let one = pb::GetMappingRequest { system_code: CODE.into(), mapping_version };
        world.call(&world.drafter()).get_mapping(one).await.unwrap().into_inner().mapping.unwrap()
    };
    let moved = |refused: &Status| {
        let named = Error::from_status(refused);
        matches!(&named, Error::WrongState { code: Some(code), .. } if code == "endpoint_moved")
    };
    assert_eq!(endpoints(&drafts().await), both("", seen), "a draft confirms none");
    assert_eq!(endpoints(&shown(1).await), both("", seen));
    for wrong in ["", "x", "https://10.0.0.1/"] {
        let refused = world.activates_for(CODE, 1, wrong).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{wrong}");
        assert!(refused.message().starts_with("endpoint: "), "{refused}");
    }
    world.updates(|change| change.endpoint = swapped.into()).await.unwrap();
    let refused = world.activates_for(CODE, 1, seen).await.unwrap_err();
    assert!(refused.code() == Code::FailedPrecondition && moved(&refused), "{refused}");
    assert_eq!(shown(1).await.state(), pb::MappingState::Draft);
    let first = world.activates_for(CODE, 1, swapped).await.unwrap();
    assert_eq!((first.state(), endpoints(&first)), (pb::MappingState::InForce, both(swapped, swapped)));

    // Whoever takes a version back confirms nothing: the one before has the endpoint that it was put in force for.
    world.updates(|change| change.endpoint = seen.into()).await.unwrap();
    assert_eq!(endpoints(&shown(1).await), both(swapped, seen));
    drafts().await;
    assert_eq!(endpoints(&world.activates_for(CODE, 2, seen).await.unwrap()), both(seen, seen));
    let back =
        pb::RollBackMappingRequest { system_code: CODE.into(), mapping_version: 2, request_id: request_id() };
    world.call(&world.drafter()).roll_back_mapping(back).await.unwrap();
    let first = shown(1).await;
    assert_eq!((first.state(), endpoints(&first)), (pb::MappingState::InForce, both(swapped, seen)));

    // Of a system that fetches there is none to be named.
    world.updates(|change| change.endpoint = String::new()).await.unwrap();
    drafts().await;
    let refused = world.activates_for(CODE, 3, seen).await.unwrap_err();
    assert!(refused.code() == Code::FailedPrecondition && moved(&refused), "{refused}");
    assert_eq!(endpoints(&world.activates_for(CODE, 3, "").await.unwrap()), both("", ""));
    let request = pb::ListMappingsRequest { system_code: CODE.into(), ..Default::default() };
    let all = world.call(&world.drafter()).list_mappings(request).await.unwrap().into_inner().mappings;
    let told: Vec<_> = all.iter().map(endpoints).collect();
    assert_eq!(told, [both("", ""), both(seen, ""), both(swapped, "")]);
    world.d.service.stop().await;
}

#[tokio::test]
async fn one_number_is_one_case_whoever_pushes_it_how_often() {
    let world = World::mapped("", pb::ExchangeDirection::In).await;
    let pushes = (0..8).map(|_| {
        let (mut call, request) = (world.call(&world.client), world.ticket("WH-1"));
        tokio::spawn(async move { call.push_ticket(request).await })
    });
    let mut receipts = Vec::new();
    for push in pushes.collect::<Vec<_>>() {
        receipts.push(push.await.unwrap().unwrap().into_inner().receipt.unwrap());
    }
    let taken = receipts.iter().filter(|r| r.outcome() == pb::PushOutcome::Taken).count();
    let unchanged = receipts.iter().filter(|r| r.outcome() == pb::PushOutcome::Unchanged).count();
    assert_eq!((taken, unchanged), (1, 7));
    assert!(receipts.windows(2).all(|two| two[0].case_no == two[1].case_no));
    assert_eq!(world.count("SELECT count(*) AS n FROM cases").await, 1);

    let ticket = world.tickets(pb::SyncState::Unspecified).await.remove(0);
    let case = world.case(&ticket.case_id).await;
    assert_eq!((case.state(), case.item_code.as_str()), (pb::CaseState::Dispatched, ITEM));
    assert_eq!((case.channel(), case.anonymous), (pb::Channel::External, false));
    assert_eq!(case.place_unit_id, world.d.community.to_string());
    assert_eq!(receipts[0].external_status, "已派单");
    assert!(!case.text_redacted.contains("13812340000"));
    let shown = &case.external_tickets[0];
    assert_eq!((shown.ext_no.as_str(), shown.mapping_version), ("WH-1", 1));

    // Another system's client reaches nothing by the same number.
    let stranger = Persona::new(Role::IntegrationClient, world.d.district).org(world.d.gov);
    let refused = world.call(&stranger).push_ticket(world.ticket("WH-1")).await.unwrap_err();
    assert_eq!(refused.code(), Code::NotFound);
    world.d.service.stop().await;
}

#[tokio::test]
async fn what_is_masked_replaces_nothing_and_what_is_new_is_a_remark() {
    let world = World::mapped("", pb::ExchangeDirection::In).await;
    let ticket = world.pushes(world.ticket("WH-1")).await.unwrap().ticket_id;
    let masked = pb::PushTicketRequest {
        text: "三楼楼道堆物，电话138****0000".into(),
        class_code: "***".into(),
        contact: Some(pb::TicketContact { name: "王**".into(), phone: "138****0000".into() }),
        ..world.ticket("WH-1")
    };
    assert_eq!(world.pushes(masked).await.unwrap().outcome(), pb::PushOutcome::Unchanged);
    let empty =
        pb::PushTicketRequest { request_id: request_id(), ext_no: "WH-1".into(), ..Default::default() };
    assert_eq!(world.pushes(empty).await.unwrap().outcome(), pb::PushOutcome::Unchanged);
    let known = world.reveals(&ticket, &world.d.window()).await.unwrap();
    assert_eq!(known.contact, world.ticket("").contact);
    assert_eq!((known.text, known.remarks.len()), (world.ticket("").text, 0));

    let more = pb::PushTicketRequest { text: "又堆了两辆车".into(), ..world.ticket("WH-1") };
    assert_eq!(world.pushes(more.clone()).await.unwrap().outcome(), pb::PushOutcome::Added);
    let again = pb::PushTicketRequest { request_id: request_id(), ..more };
    assert_eq!(world.pushes(again).await.unwrap().outcome(), pb::PushOutcome::Unchanged);
    let known = world.reveals(&ticket, &world.d.window()).await.unwrap();
    assert_eq!(known.remarks.iter().map(|r| r.text.as_str()).collect::<Vec<_>>(), ["又堆了两辆车"]);
    let shown = world.tickets(pb::SyncState::Unspecified).await.remove(0);
    assert_eq!(shown.remark_count, 1);
    let request = pb::GetTimelineRequest { case_id: shown.case_id.clone(), ..Default::default() };
    let steps =
        world.d.cases(&world.d.dispatcher()).get_timeline(request).await.unwrap().into_inner().entries;
    assert_eq!(steps.last().unwrap().event, "TicketRemarked");
    assert_eq!(world.count("SELECT count(*) AS n FROM cases").await, 1);
    assert_eq!(world.count("SELECT count(*) AS n FROM access_log").await, 2, "every look is recorded");

    let foreign = Persona::new(Role::StreetDispatcher, world.d.other_street).org(world.d.other_office);
    assert_eq!(world.reveals(&ticket, &foreign).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(world.reveals(&request_id(), &foreign).await.unwrap_err().code(), Code::NotFound);
    world.d.service.stop().await;
}

#[tokio::test]
async fn what_no_mapping_knows_waits_for_a_human() {
    let world = World::mapped("", pb::ExchangeDirection::In).await;
    let unknown = pb::PushTicketRequest {
        class_code: "9999".into(),
        class_name: "其他".into(),
        ..world.ticket("WH-2")
    };
    let receipt = world.pushes(unknown).await.unwrap();
    assert_eq!((receipt.state(), receipt.awaits_triage), (pb::CaseState::Registered, true));
    let ticket = world.tickets(pb::SyncState::Unspecified).await.remove(0);
    let case = world.case(&ticket.case_id).await;
    let shown = &case.external_tickets[0];
    assert_eq!(
        (shown.class_code.as_str(), shown.class_name.as_str(), case.item_code.as_str()),
        ("9999", "其他", "")
    );
    let mut intake = IntakeServiceClient::new(world.d.service.call_as(&world.drafter()));
    let accept = pb::AcceptCaseRequest {
        case_id: ticket.case_id.clone(),
        request_id: request_id(),
        ..Default::default()
    };
    intake.accept_case(accept).await.unwrap();
    let triage = pb::TriageCaseRequest {
        case_id: ticket.case_id.clone(),
        request_id: request_id(),
        item_code: ITEM.into(),
        ..Default::default()
    };
    intake.triage_case(triage).await.unwrap();

    // Where the matter needs somebody who asks, an anonymous ticket is looked at, not refused; nobody's name is kept.
    let hidden = pb::PushTicketRequest { anonymous: true, ..world.ticket("WH-3") };
    let receipt = world.pushes(hidden).await.unwrap();
    assert!(receipt.awaits_triage);
    let ticket = world.tickets(pb::SyncState::Unspecified).await.remove(0);
    assert!(world.case(&ticket.case_id).await.anonymous);
    let known = world.reveals(&ticket.ticket_id, &world.drafter()).await.unwrap();
    assert_eq!(known.contact, Some(pb::TicketContact::default()));
    world.d.service.stop().await;
}

#[tokio::test]
async fn who_asked_anonymously_stays_unknown_in_whatever_order_it_is_pushed() {
    let world = World::mapped("", pb::ExchangeDirection::In).await;
    let hidden = |ext_no: &str| pb::PushTicketRequest { anonymous: true, ..world.ticket(ext_no) };
    let first = world.pushes(hidden("WH-1")).await.unwrap().ticket_id;
    assert_eq!(world.pushes(world.ticket("WH-1")).await.unwrap().outcome(), pb::PushOutcome::Unchanged);
    let later = world.pushes(world.ticket("WH-2")).await.unwrap().ticket_id;
    assert_eq!(world.pushes(hidden("WH-2")).await.unwrap().outcome(), pb::PushOutcome::Added);
    assert_eq!(world.pushes(world.ticket("WH-2")).await.unwrap().outcome(), pb::PushOutcome::Unchanged);
    for ticket in [first, later] {
        let known = world.reveals(&ticket, &world.drafter()).await.unwrap();
        assert_eq!(known.contact, Some(pb::TicketContact::default()));
        assert_eq!(known.text, world.ticket("").text);
    }
    world.d.service.stop().await;
}

#[tokio::test]
async fn who_only_calls_back_sees_whom_to_call_and_no_text() {
    let world = World::mapped("", pb::ExchangeDirection::In).await;
    let ticket = world.pushes(world.ticket("WH-1")).await.unwrap().ticket_id;
    let more = pb::PushTicketRequest { text: "又堆了两辆车".into(), ..world.ticket("WH-1") };
    world.pushes(more).await.unwrap();
    let agent = Persona::new(Role::CallbackAgent, world.d.district).org(world.d.centre);
    let elsewhere = world.d.verifier().also(Role::StreetDispatcher, world.d.other_street);
    for caller in [agent, world.d.verifier(), elsewhere] {
        let known = world.reveals(&ticket, &caller).await.unwrap();
        let contact = world.ticket("").contact;
        assert_eq!(known, pb::RevealTicketResponse { contact, ..Default::default() });
    }
    let known = world.reveals(&ticket, &world.d.verifier().also(Role::StationHead, world.d.community)).await;
    let known = known.unwrap();
    assert_eq!((known.text, known.remarks.len()), (world.ticket("").text, 1));
    assert_eq!(world.count("SELECT count(*) AS n FROM access_log").await, 4, "every look is recorded");
    world.d.service.stop().await;
}

#[tokio::test]
async fn a_client_hands_in_only_what_lies_where_it_may() {
    let world = World::mapped("", pb::ExchangeDirection::In).await;
    let granted = Persona::new(Role::IntegrationClient, world.d.other_street).org(world.d.gov);
    let elsewhere = Persona { scopes: granted.scopes, ..world.client.clone() };
    let other_line = world.client.clone().line("sanitation");
    for caller in [&elsewhere, &other_line] {
        let refused = world.call(caller).push_ticket(world.ticket("WH-1")).await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied);
        let ticket = pb::Ticket {
            ext_no: "WH-2".into(),
            text: "堆物".into(),
            class_code: "0201".into(),
            ..Default::default()
        };
        let request = pb::PushTicketsRequest { request_id: request_id(), tickets: vec![ticket] };
        let answers = world.call(caller).push_tickets(request).await.unwrap().into_inner().answers;
        assert_eq!(answers[0].refusal.as_ref().unwrap().code, "forbidden");
    }
    assert_eq!(world.count("SELECT count(*) AS n FROM cases").await, 0);
    let unknown = pb::PushTicketRequest { class_code: "9999".into(), ..world.ticket("WH-3") };
    let taken = world.call(&other_line).push_ticket(unknown).await.unwrap().into_inner().receipt.unwrap();
    assert!(taken.awaits_triage, "of no line yet");
    world.d.service.stop().await;
}

#[tokio::test]
async fn several_tickets_are_answered_one_by_one() {
    let world = World::mapped("", pb::ExchangeDirection::In).await;
    let ticket = |ext_no: &str, text: &str| pb::Ticket {
        ext_no: ext_no.into(),
        text: text.into(),
        ..Default::default()
    };
    let tickets = vec![
        ticket("A-1", "路灯不亮"),
        ticket("a b", "路灯不亮"),
        ticket("A-2", ""),
        ticket("A-1", "路灯不亮"),
    ];
    let request = pb::PushTicketsRequest { request_id: request_id(), tickets };
    let answers = world.call(&world.client).push_tickets(request).await.unwrap().into_inner().answers;
    let told: Vec<_> = answers
        .iter()
        .map(|answer| match (&answer.receipt, &answer.refusal) {
            (Some(receipt), None) => receipt.outcome().as_str_name().to_owned(),
            (None, Some(refusal)) => format!("{} {}", refusal.code, refusal.field),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(told, ["PUSH_OUTCOME_TAKEN", "invalid ext_no", "invalid text", "PUSH_OUTCOME_UNCHANGED"]);
    for count in [0, 101] {
        let tickets = vec![ticket("B", "x"); count];
        let request = pb::PushTicketsRequest { request_id: request_id(), tickets };
        let refused = world.call(&world.client).push_tickets(request).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
    }
    world.d.service.stop().await;
}
