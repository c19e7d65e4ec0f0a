//! Bad input on every RPC: refused by the field's name, and nothing is stored.

use crate::support::{World, accept, completion, refusal};
use chassis::{
    clock::new_id,
    proto::volunteer_matching::v1::{
        AcceptOfferRequest, CompleteOfferRequest, CreateVolunteerRequest, DeclineOfferRequest,
        GetOfferRequest, GiveUpOfferRequest, ListOffersRequest, ListServiceRecordsRequest,
        ListVolunteersRequest, NameVolunteerRequest, PauseVolunteerRequest, StepBackRequest,
    },
};
use tonic::Code;

/// Calls one RPC with each request and checks the field it names.
macro_rules! refused {
    ($client:expr, $method:ident, [$($request:expr => $field:literal),+ $(,)?]) => {
        $(
            let result = $client.$method($request).await;
            assert_eq!(
                refusal(result),
                (Code::InvalidArgument, vec![$field.to_owned()]),
                concat!(stringify!($method), ": ", $field)
            );
        )+
    };
}

#[tokio::test]
async fn bad_input_is_refused_by_name_and_stores_nothing() {
    let world = World::start().await;
    let (_, offer_id) = world.confirmed().await;
    let before = world.rows().await;
    let mut offers = world.offers(&world.manager);
    let (id, request_id) = (offer_id.to_string(), || new_id().to_string());
    let text = || "no id".to_owned();

    refused!(offers, list_offers, [
        ListOffersRequest { page_size: -1, ..Default::default() } => "page_size",
        ListOffersRequest { page_token: "%".into(), ..Default::default() } => "page_token",
        ListOffersRequest { states: vec![0], ..Default::default() } => "states",
        ListOffersRequest { states: vec![99], ..Default::default() } => "states",
        ListOffersRequest { states: vec![1; 51], ..Default::default() } => "states",
        ListOffersRequest { case_id: text(), ..Default::default() } => "case_id",
    ]);
    refused!(offers, get_offer, [
        GetOfferRequest { offer_id: text() } => "offer_id",
        GetOfferRequest { offer_id: String::new() } => "offer_id",
    ]);
    refused!(offers, accept_offer, [
        AcceptOfferRequest { request_id: String::new(), ..accept(offer_id) } => "request_id",
        AcceptOfferRequest { request_id: text(), ..accept(offer_id) } => "request_id",
        AcceptOfferRequest { offer_id: text(), ..accept(offer_id) } => "offer_id",
        AcceptOfferRequest { volunteer_id: text(), ..accept(offer_id) } => "volunteer_id",
        AcceptOfferRequest { etag: text(), ..accept(offer_id) } => "etag",
    ]);
    let decline = |reason: &str| DeclineOfferRequest {
        offer_id: id.clone(),
        request_id: request_id(),
        reason_code: reason.to_owned(),
        etag: String::new(),
    };
    refused!(offers, decline_offer, [
        DeclineOfferRequest { request_id: text(), ..decline("") } => "request_id",
        DeclineOfferRequest { offer_id: text(), ..decline("") } => "offer_id",
        decline("Call Mr Li, 13800000000") => "reason_code",
        decline("nul\0") => "reason_code",
        DeclineOfferRequest { etag: text(), ..decline("") } => "etag",
    ]);
    let give_up = |reason: &str| GiveUpOfferRequest {
        offer_id: id.clone(),
        request_id: request_id(),
        reason_code: reason.to_owned(),
        etag: String::new(),
    };
    refused!(offers, give_up_offer, [
        GiveUpOfferRequest { request_id: text(), ..give_up("ill") } => "request_id",
        GiveUpOfferRequest { offer_id: text(), ..give_up("ill") } => "offer_id",
        give_up("") => "reason_code",
        give_up("free text") => "reason_code",
        GiveUpOfferRequest { etag: text(), ..give_up("ill") } => "etag",
    ]);
    let name = || NameVolunteerRequest {
        offer_id: id.clone(),
        request_id: request_id(),
        volunteer_id: String::new(),
        etag: String::new(),
    };
    refused!(offers, name_volunteer, [
        NameVolunteerRequest { request_id: text(), ..name() } => "request_id",
        NameVolunteerRequest { offer_id: text(), ..name() } => "offer_id",
        NameVolunteerRequest { volunteer_id: text(), ..name() } => "volunteer_id",
        NameVolunteerRequest { volunteer_id: request_id(), ..name() } => "volunteer_id",
        NameVolunteerRequest { etag: text(), ..name() } => "etag",
    ]);
    let step_back =
        || StepBackRequest { offer_id: id.clone(), request_id: request_id(), etag: String::new() };
    refused!(offers, step_back, [
        StepBackRequest { request_id: text(), ..step_back() } => "request_id",
        StepBackRequest { offer_id: text(), ..step_back() } => "offer_id",
        StepBackRequest { etag: text(), ..step_back() } => "etag",
    ]);
    let evidence = |texts: &[&str]| CompleteOfferRequest {
        evidence_refs: texts.iter().map(|text| (*text).to_owned()).collect(),
        ..completion(offer_id, 30)
    };
    refused!(offers, complete_offer, [
        CompleteOfferRequest { request_id: text(), ..completion(offer_id, 30) } => "request_id",
        CompleteOfferRequest { offer_id: text(), ..completion(offer_id, 30) } => "offer_id",
        completion(offer_id, 0) => "minutes",
        completion(offer_id, -1) => "minutes",
        completion(offer_id, 721) => "minutes",
        completion(offer_id, i32::MAX) => "minutes",
        evidence(&[""]) => "evidence_refs",
        evidence(&["at Mr Li's home"]) => "evidence_refs",
        evidence(&["nul\0"]) => "evidence_refs",
        evidence(&[&"x".repeat(201)]) => "evidence_refs",
        evidence(&["a"; 21]) => "evidence_refs",
        CompleteOfferRequest { etag: text(), ..completion(offer_id, 30) } => "etag",
    ]);

    let mut volunteers = world.volunteers(&world.manager);
    let create = || CreateVolunteerRequest {
        request_id: request_id(),
        person_id: new_id().to_string(),
        volunteer_ref: "p-0a1b2c".into(),
        org_id: world.org.to_string(),
        home_unit_id: String::new(),
        skill_codes: Vec::new(),
    };
    refused!(volunteers, create_volunteer, [
        CreateVolunteerRequest { request_id: text(), ..create() } => "request_id",
        CreateVolunteerRequest { person_id: text(), ..create() } => "person_id",
        CreateVolunteerRequest { org_id: text(), ..create() } => "org_id",
        CreateVolunteerRequest { volunteer_ref: String::new(), ..create() } => "volunteer_ref",
        CreateVolunteerRequest { volunteer_ref: "李 明".into(), ..create() } => "volunteer_ref",
        CreateVolunteerRequest { volunteer_ref: "nul\0".into(), ..create() } => "volunteer_ref",
        CreateVolunteerRequest { home_unit_id: text(), ..create() } => "home_unit_id",
        CreateVolunteerRequest { home_unit_id: request_id(), ..create() } => "home_unit_id",
        CreateVolunteerRequest { skill_codes: vec!["Can do anything".into()], ..create() } => "skill_codes",
        CreateVolunteerRequest { skill_codes: vec!["greening".into(); 51], ..create() } => "skill_codes",
    ]);
    refused!(volunteers, list_volunteers, [
        ListVolunteersRequest { page_size: -1, ..Default::default() } => "page_size",
        ListVolunteersRequest { page_token: "%".into(), ..Default::default() } => "page_token",
        ListVolunteersRequest { org_id: text(), ..Default::default() } => "org_id",
    ]);
    refused!(volunteers, pause_volunteer, [
        PauseVolunteerRequest { volunteer_id: text(), request_id: request_id(), paused: true } => "volunteer_id",
        PauseVolunteerRequest { volunteer_id: request_id(), request_id: text(), paused: true } => "request_id",
    ]);
    refused!(volunteers, list_service_records, [
        ListServiceRecordsRequest { page_size: -1, ..Default::default() } => "page_size",
        ListServiceRecordsRequest { page_token: "%".into(), ..Default::default() } => "page_token",
        ListServiceRecordsRequest { offer_id: text(), ..Default::default() } => "offer_id",
        ListServiceRecordsRequest { volunteer_id: text(), ..Default::default() } => "volunteer_id",
    ]);
    assert_eq!(world.rows().await, before);
}
