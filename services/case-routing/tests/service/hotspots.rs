//! Hot spots: noted as analytics tells them, answered once by somebody who reaches them, and linked to what they stand for.

use chassis::{
    Error,
    auth::Role,
    clock::new_id,
    proto::{
        analytics::v1::{HotspotDetected, HotspotEnded},
        case_routing::v1::{
            self as pb, CaseLinkedToTopic, HotspotAnswered, hotspot_service_client::HotspotServiceClient,
        },
    },
    testing::Persona,
};
use tonic::{Code, Status};

use crate::{
    mergers::merged_community,
    support::{District, ITEM, names, request_id},
};

impl District {
    /// What analytics tells of the community, from the day before the domain's now to its day.
    fn hotspot(&self, item: &str) -> HotspotDetected {
        HotspotDetected {
            unit_id: self.community.to_string(),
            item_code: item.into(),
            start_date: "2026-02-24".into(),
            end_date: "2026-03-02".into(),
            count: 12,
            hotspot_id: new_id().to_string(),
            line: String::new(),
            expected: 2.5,
            p_value: 0.000_04,
            definition_version: 1,
        }
    }

    async fn spots(&self, persona: &Persona) -> Vec<pb::Hotspot> {
        let mut client = HotspotServiceClient::new(self.service.call_as(persona));
        client.list_hotspots(pb::ListHotspotsRequest::default()).await.unwrap().into_inner().hotspots
    }

    async fn opens_topic(
        &self,
        persona: &Persona,
        hotspot: &str,
        request_id: &str,
    ) -> Result<pb::OpenTopicCaseResponse, Status> {
        let request = pb::OpenTopicCaseRequest {
            hotspot_id: hotspot.to_owned(),
            request_id: request_id.to_owned(),
            text: "楼道堆物集中，请牵头清理，联系13812345678".into(),
        };
        let mut client = HotspotServiceClient::new(self.service.call_as(persona));
        client.open_topic_case(request).await.map(tonic::Response::into_inner)
    }
}

#[tokio::test]
async fn a_hot_spot_is_noted_once_brought_up_to_date_and_ended() {
    let d = District::start().await;
    let told = d.hotspot(ITEM);
    assert!(d.hears("analytics", &told.unit_id, &told).await.is_empty());
    let grown = HotspotDetected { count: 20, end_date: "2026-03-05".into(), ..told.clone() };
    d.hears("analytics", &told.unit_id, &grown).await;
    let [seen] = &d.spots(&d.leader()).await[..] else { panic!("one hot spot") };
    assert_eq!((seen.hotspot_id.as_str(), seen.count, seen.ended), (told.hotspot_id.as_str(), 20, false));
    assert_eq!((seen.start_date.as_str(), seen.end_date.as_str()), ("2026-02-24", "2026-03-05"));
    assert_eq!((seen.answer(), seen.expected), (pb::HotspotAnswer::Open, 2.5));
    assert!(!seen.item_name_zh.is_empty());
    let ended = HotspotEnded {
        hotspot_id: told.hotspot_id.clone(),
        unit_id: told.unit_id.clone(),
        item_code: told.item_code.clone(),
        end_date: "2026-03-06".into(),
    };
    d.hears("analytics", &told.unit_id, &ended).await;
    assert!(d.spots(&d.leader()).await[0].ended);
    // Another street, and another line, have none.
    assert!(d.spots(&Persona::new(Role::StreetLeader, d.other_street).org(d.other_office)).await.is_empty());
    assert!(d.spots(&d.leader().line("housing")).await.is_empty());
    d.service.stop().await;
}

#[tokio::test]
async fn a_hot_spot_is_read_on_beside_a_migration_that_adds_a_column_to_every_table() {
    let d = District::start().await;
    let told = d.hotspot(ITEM);
    d.hears("analytics", &told.unit_id, &told).await;
    let before = d.spots(&d.leader()).await;
    d.service.add_columns().await;
    assert_eq!(d.spots(&d.leader()).await, before);
    d.service.stop().await;
}

#[tokio::test]
async fn a_topic_case_stands_for_the_cases_of_its_hot_spot_and_each_goes_its_own_way() {
    let d = District::start().await;
    let (one, two) = (Persona::resident(d.district), Persona::resident(d.district));
    let first = d.taken_in(&one).await;
    let second = d.taken_in(&two).await;
    let told = d.hotspot(ITEM);
    d.hears("analytics", &told.unit_id, &told).await;
    d.service.drain_outbox().await;

    let (leader, id) = (d.leader(), request_id());
    let opened = d.opens_topic(&leader, &told.hotspot_id, &id).await.unwrap();
    let (spot, topic) = (opened.hotspot.clone().unwrap(), opened.case.clone().unwrap());
    assert_eq!((spot.answer(), spot.linked_count), (pb::HotspotAnswer::Topic, 2));
    assert_eq!(spot.topic_case_id, topic.case_id);
    assert_eq!((topic.origin(), topic.state()), (pb::Origin::TopDown, pb::CaseState::Dispatched));
    assert!(!topic.text_redacted.contains("13812345678"));
    let events = d.service.drain_outbox().await;
    let all = names(&events);
    assert!(
        all.contains(&"HotspotAnswered".to_owned()) && all.contains(&"CaseDispatched".to_owned()),
        "{all:?}"
    );
    let linked: Vec<CaseLinkedToTopic> = events
        .iter()
        .filter(|event| event.is::<CaseLinkedToTopic>())
        .map(|event| event.decode().unwrap())
        .collect();
    assert_eq!(linked.len(), 2);
    assert!(linked.iter().all(|link| link.topic_case_id == topic.case_id));
    let answered = events.iter().find(|event| event.is::<HotspotAnswered>()).unwrap();
    let answered: HotspotAnswered = answered.decode().unwrap();
    assert_eq!((answered.topic_case_id.clone(), answered.linked_count), (topic.case_id.clone(), 2));

    // The same request answers the same; another finds it answered.
    assert_eq!(d.opens_topic(&leader, &told.hotspot_id, &id).await.unwrap(), opened);
    let again = d.opens_topic(&d.leader(), &told.hotspot_id, &request_id()).await.unwrap_err();
    assert_eq!(again.code(), Code::FailedPrecondition);
    assert!(d.service.drain_outbox().await.is_empty());

    // Each member keeps its number and goes on; its requester reads of the topic.
    for (case, requester) in [(&first, &one), (&second, &two)] {
        let request = pb::GetCaseRequest { case_id: case.case_id.clone() };
        let read = d.cases(requester).get_case(request).await.unwrap().into_inner().case.unwrap();
        assert_eq!((read.parent_case_id.as_str(), read.state()), (topic.case_id.as_str(), case.state()));
        assert_eq!(read.case_no, case.case_no);
    }
    d.resolve(&first).await;
    assert_eq!(d.read(&first).await.state(), pb::CaseState::Resolved);
    // A topic case has nobody to call back: checked, it is closed. Its members are no members of another topic.
    assert_eq!(d.read(&topic).await.parent_case_id, "");
    let another = HotspotDetected { hotspot_id: new_id().to_string(), ..told };
    d.hears("analytics", &another.unit_id.clone(), &another).await;
    let opened = d.opens_topic(&d.dispatcher(), &another.hotspot_id, &request_id()).await.unwrap();
    let linked = names(&d.service.drain_outbox().await);
    assert_eq!(linked.iter().filter(|name| *name == "CaseLinkedToTopic").count(), 0, "{linked:?}");
    assert_eq!(opened.hotspot.unwrap().linked_count, 0);
    d.service.stop().await;
}

#[tokio::test]
async fn who_reaches_it_dismisses_it_with_a_reason_and_nobody_else_knows_of_it() {
    let d = District::start().await;
    let told = d.hotspot(ITEM);
    d.hears("analytics", &told.unit_id, &told).await;
    let stranger = Persona::new(Role::StreetLeader, d.other_street).org(d.other_office);
    let dismiss = |hotspot_id: &str| pb::DismissHotspotRequest {
        hotspot_id: hotspot_id.to_owned(),
        request_id: request_id(),
        reason_code: "seasonal".into(),
    };
    let mut foreign = HotspotServiceClient::new(d.service.call_as(&stranger));
    let hidden = foreign.dismiss_hotspot(dismiss(&told.hotspot_id)).await.unwrap_err();
    let none = foreign.dismiss_hotspot(dismiss(&new_id().to_string())).await.unwrap_err();
    assert_eq!((hidden.code(), none.code()), (Code::NotFound, Code::NotFound));
    let get = pb::GetHotspotRequest { hotspot_id: told.hotspot_id.clone() };
    assert_eq!(foreign.get_hotspot(get.clone()).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(
        d.opens_topic(&stranger, &told.hotspot_id, &request_id()).await.unwrap_err().code(),
        Code::NotFound
    );
    // A supervisor looks and does not decide.
    let supervisor = Persona::new(Role::StreetSupervisor, d.street).org(d.office);
    let mut looking = HotspotServiceClient::new(d.service.call_as(&supervisor));
    assert_eq!(looking.get_hotspot(get).await.unwrap().into_inner().hotspot.unwrap().count, 12);
    let denied = looking.dismiss_hotspot(dismiss(&told.hotspot_id)).await.unwrap_err();
    assert_eq!(denied.code(), Code::PermissionDenied);

    let mut client = HotspotServiceClient::new(d.service.call_as(&d.leader()));
    let seen = client.dismiss_hotspot(dismiss(&told.hotspot_id)).await.unwrap().into_inner().hotspot.unwrap();
    assert_eq!((seen.answer(), seen.reason_code.as_str()), (pb::HotspotAnswer::Dismissed, "seasonal"));
    assert_eq!(seen.answered_org_id, d.office.to_string());
    assert_eq!(names(&d.service.drain_outbox().await), ["HotspotAnswered"]);
    let open = pb::ListHotspotsRequest { answer: pb::HotspotAnswer::Open.into(), ..Default::default() };
    assert!(client.list_hotspots(open).await.unwrap().into_inner().hotspots.is_empty());
    let after = d.opens_topic(&d.leader(), &told.hotspot_id, &request_id()).await.unwrap_err();
    assert_eq!(after.code(), Code::FailedPrecondition);
    d.service.stop().await;
}

#[tokio::test]
async fn no_topic_case_is_opened_for_what_has_a_channel_of_its_own() {
    let d = District::start().await;
    let application = case_routing::seed::catalogue()
        .items
        .iter()
        .find(|item| serde_json::to_string(&item.nature).is_ok_and(|nature| nature == "\"application\""));
    let told = d.hotspot(&application.expect("an item for applications").item_code);
    d.hears("analytics", &told.unit_id, &told).await;
    let refused = d.opens_topic(&d.leader(), &told.hotspot_id, &request_id()).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    let named = Error::from_status(&refused);
    assert!(matches!(&named, Error::WrongState { code: Some(code), .. } if code == "own_channel"), "{named}");
    let other = d.hotspot(ITEM);
    d.hears("analytics", &other.unit_id, &other).await;
    for spot in d.spots(&d.leader()).await {
        assert_eq!(spot.answer(), pb::HotspotAnswer::Open);
        assert_eq!(spot.topic_possible, spot.item_code == ITEM, "{}", spot.item_code);
    }
    d.service.stop().await;
}

#[tokio::test]
async fn a_hot_spot_of_a_merged_community_is_answered_where_that_went() {
    let d = District::start().await;
    let (one, two) = (Persona::resident(d.district), Persona::resident(d.district));
    let (open, ended) = (d.taken_in(&one).await, d.taken_in(&two).await);
    d.resolve(&ended).await;
    let rate = pb::RateCaseRequest {
        case_id: ended.case_id.clone(),
        request_id: request_id(),
        grade: 5,
        ..Default::default()
    };
    d.cases(&two).rate_case(rate).await.unwrap();
    let told = d.hotspot(ITEM);
    d.hears("analytics", &told.unit_id, &told).await;
    let next = merged_community(&d).await;
    let there = next.to_string();
    d.service.wait_for("the pass", async || d.read(&open).await.place_unit_id == there).await;
    assert_eq!(d.read(&ended).await.place_unit_id, d.community.to_string(), "it has ended");

    let head = Persona::new(Role::StationHead, next).org(d.station);
    let mut client = HotspotServiceClient::new(d.service.call_as(&head));
    for unit_id in [String::new(), d.community.to_string(), there.clone()] {
        let request = pb::ListHotspotsRequest { unit_id, ..Default::default() };
        let seen = client.list_hotspots(request).await.unwrap().into_inner().hotspots;
        assert_eq!(seen.iter().map(|spot| &spot.hotspot_id).collect::<Vec<_>>(), [&told.hotspot_id]);
    }
    let get = pb::GetHotspotRequest { hotspot_id: told.hotspot_id.clone() };
    client.get_hotspot(get).await.unwrap();
    let opened = d.opens_topic(&head, &told.hotspot_id, &request_id()).await.unwrap();
    let topic = opened.case.unwrap();
    assert_eq!((topic.place_unit_id, opened.hotspot.unwrap().linked_count), (there, 2));
    for case in [&open, &ended] {
        assert_eq!(d.read(case).await.parent_case_id, topic.case_id);
    }
    d.service.stop().await;
}
