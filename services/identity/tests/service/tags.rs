//! Tags of people: told sealed by case-routing, seen by whoever may with a record, past their review day of no use, and gone
//! with the benefit.

use std::time::Duration;

use crate::world::{World, assert_absent, dump, nobody, refusal, request_id};
use chassis::{
    Timestamp,
    auth::Role,
    clock::{new_id, to_proto},
    event::Event,
};
use identity::{domain::audit::Decision, store::audit};
use proto::{
    EventMessage,
    case_routing::v1::{BenefitEnded, BenefitGranted, BenefitRenewed, BenefitReviewMoved},
    identity::v1::{CreatePersonRequest, GetPersonTagsRequest, PersonTag},
};
use tonic::{Code, Status};
use uuid::Uuid;

const TAG: &str = "dibao";

/// Tells it twice, and once more as another event: that changes nothing.
async fn tell<M: EventMessage>(world: &World, benefit: Uuid, version: i64, message: &M) {
    let event = Event::of("case-routing", world.service.clock().now(), benefit, version, message);
    world.service.deliver_repeatedly(event).await;
}

fn in_days(world: &World, days: i64) -> Timestamp {
    world.service.clock().now() + chrono::TimeDelta::days(days)
}

fn granted(world: &World, benefit: Uuid, person: Uuid, review_at: Timestamp) -> BenefitGranted {
    let crypto = &world.service.context.crypto;
    BenefitGranted {
        benefit_id: benefit.to_string(),
        tag_code: TAG.into(),
        holder_sealed: crypto.seal("benefit_holder", person.as_bytes(), benefit.as_bytes()),
        review_time: Some(to_proto(review_at)),
    }
}

fn renewed(benefit: Uuid, review_at: Timestamp) -> BenefitRenewed {
    let review_time = Some(to_proto(review_at));
    BenefitRenewed { benefit_id: benefit.to_string(), tag_code: TAG.into(), review_time }
}

fn review_moved(benefit: Uuid, before: Timestamp, review_at: Timestamp) -> BenefitReviewMoved {
    BenefitReviewMoved {
        benefit_id: benefit.to_string(),
        tag_code: TAG.into(),
        review_before_time: Some(to_proto(before)),
        review_time: Some(to_proto(review_at)),
        calendar_version: 2001,
    }
}

fn ended(benefit: Uuid) -> BenefitEnded {
    let reason_code = "income_above_standard".into();
    BenefitEnded { benefit_id: benefit.to_string(), tag_code: TAG.into(), reason_code }
}

async fn tags(world: &World, login: &str, person_id: &str) -> Result<Vec<PersonTag>, Status> {
    let request = GetPersonTagsRequest { person_id: person_id.to_owned() };
    let answer = world.persons(login).await.get_person_tags(request).await;
    answer.map(|answer| answer.into_inner().tags)
}

#[tokio::test]
async fn a_tag_is_sealed_shown_with_its_review_day_and_gone_with_the_benefit() {
    let world = World::start().await;
    let (person, benefit) = (world.people["resident"], new_id());
    let id = person.to_string();
    let review = in_days(&world, 90);
    let first = granted(&world, benefit, person.0, review);
    tell(&world, benefit, 1, &first).await;
    let seen = tags(&world, "worker1", &id).await.unwrap();
    let expected = PersonTag {
        tag_code: TAG.into(),
        since_time: Some(to_proto(world.service.clock().now())),
        review_time: Some(to_proto(review)),
        review_due: false,
        benefit_id: benefit.to_string(),
    };
    assert_eq!(seen, std::slice::from_ref(&expected));
    for login in ["resident", "head1", "dispatcher"] {
        assert_eq!(tags(&world, login, &id).await.unwrap(), seen, "{login}");
    }
    assert_absent(&dump(&world).await, TAG);

    world.service.clock().advance(Duration::from_secs(90 * 86_400));
    let due = tags(&world, "worker1", &id).await.unwrap();
    assert_eq!(due, [PersonTag { review_due: true, ..expected.clone() }], "nobody has decided yet");
    let next = in_days(&world, 90);
    tell(&world, benefit, 3, &renewed(benefit, next)).await;
    let goes_on = PersonTag { review_time: Some(to_proto(next)), ..expected.clone() };
    assert_eq!(tags(&world, "worker1", &id).await.unwrap(), [goes_on]);
    // The day became a rest day.
    let moved = next + chrono::TimeDelta::days(3);
    tell(&world, benefit, 4, &review_moved(benefit, next, moved)).await;
    let goes_on = PersonTag { review_time: Some(to_proto(moved)), ..expected };
    assert_eq!(tags(&world, "worker1", &id).await.unwrap(), [goes_on]);

    tell(&world, benefit, 5, &ended(benefit)).await;
    assert!(tags(&world, "worker1", &id).await.unwrap().is_empty());
    // What comes late brings nothing back, and nothing of it is kept.
    tell(&world, benefit, 1, &first).await;
    tell(&world, benefit, 3, &renewed(benefit, next)).await;
    assert!(tags(&world, "worker1", &id).await.unwrap().is_empty());
    let kept = "DELETE FROM person_tags WHERE person_id IS NOT NULL OR code_sealed IS NOT NULL";
    assert_eq!(world.sql(kept).await.unwrap(), 0);
    assert_eq!(world.sql("DELETE FROM person_tags WHERE ended").await.unwrap(), 1);
    world.service.stop().await;
}

#[tokio::test]
async fn a_benefit_that_ends_without_a_recheck_takes_its_tag_along_and_leaves_the_others() {
    let world = World::start().await;
    let (person, over, kept) = (world.people["resident"], new_id(), new_id());
    let id = person.to_string();
    for benefit in [over, kept] {
        let first = granted(&world, benefit, person.0, in_days(&world, 90));
        tell(&world, benefit, 1, &first).await;
    }
    let gone = BenefitEnded { reason_code: "ended".into(), ..ended(over) };
    tell(&world, over, 2, &gone).await;
    let seen = tags(&world, "worker1", &id).await.unwrap();
    assert_eq!(seen.iter().map(|tag| tag.benefit_id.clone()).collect::<Vec<_>>(), [kept.to_string()]);
    world.service.stop().await;
}

#[tokio::test]
async fn news_in_another_order_come_to_the_same() {
    let world = World::start().await;
    let (person, benefit, over) = (world.people["resident"], new_id(), new_id());
    let id = person.to_string();
    let (early, late) = (in_days(&world, 90), in_days(&world, 180));
    tell(&world, benefit, 3, &renewed(benefit, late)).await;
    assert!(tags(&world, "worker1", &id).await.unwrap().is_empty(), "whose it is was not told yet");
    tell(&world, benefit, 1, &granted(&world, benefit, person.0, early)).await;
    let seen = tags(&world, "worker1", &id).await.unwrap();
    assert_eq!((seen.len(), seen[0].review_time), (1, Some(to_proto(late))));
    tell(&world, over, 5, &ended(over)).await;
    tell(&world, over, 1, &granted(&world, over, person.0, early)).await;
    assert_eq!(tags(&world, "worker1", &id).await.unwrap(), seen);
    // Somebody who is not known here leaves none.
    let stranger = new_id();
    tell(&world, stranger, 1, &granted(&world, stranger, new_id(), early)).await;
    assert_eq!(world.sql("DELETE FROM person_tags").await.unwrap(), 2);
    world.service.stop().await;
}

#[tokio::test]
async fn out_of_reach_there_is_nobody_and_every_look_is_recorded() {
    let world = World::start().await;
    let (person, benefit) = (world.people["resident"], new_id());
    let id = person.to_string();
    let first = granted(&world, benefit, person.0, in_days(&world, 90));
    tell(&world, benefit, 1, &first).await;
    tags(&world, "worker1", &id).await.unwrap();
    for login in ["worker2", "lineworker"] {
        let hidden = tags(&world, login, &id).await.unwrap_err();
        let missing = tags(&world, login, &nobody()).await.unwrap_err();
        assert_eq!((hidden.code(), missing.code()), (Code::NotFound, Code::NotFound), "{login}");
        assert_eq!(hidden.message().replace(&id, "ID"), missing.message().replace(&nobody(), "ID"));
    }
    let other = world.person("worker1");
    assert_eq!(refusal(tags(&world, "resident", &other).await), Code::NotFound, "residents see their own");
    for login in ["analyst", "operator", "sysadmin", "secadmin1", "leader1", "civilleader"] {
        assert_eq!(refusal(tags(&world, login, &id).await), Code::PermissionDenied, "{login}");
    }
    let mut conn = world.service.db().conn().await.unwrap();
    let entries = audit::entries(&mut conn).await.unwrap();
    let looks: Vec<Decision> = entries.iter().map(|entry| entry.access.decision).collect();
    assert_eq!(looks[0], Decision::Allow);
    assert_eq!(looks[1..], [Decision::Deny; 5]);
    let of = |entry: &identity::domain::audit::Entry| {
        entry.access.action == "GetPersonTags" && entry.access.purpose == "handle_appeal"
    };
    assert!(entries.iter().all(of));
    assert!(audit::check(&mut conn, &world.service.context.crypto, None).await.unwrap().is_ok());
    drop(conn);
    world.service.stop().await;
}

#[tokio::test]
async fn the_tags_of_a_minor_are_for_those_who_answer_for_others_where_the_minor_lives() {
    let world = World::start().await;
    let request = CreatePersonRequest {
        request_id: request_id(),
        name: "诸葛小雀".to_owned(),
        phone: "13900001234".to_owned(),
        birth_year: 2015,
        home_unit_id: world.unit("community1"),
        notice_version: "2026-01".to_owned(),
        ..Default::default()
    };
    let made = world.persons("worker1").await.create_person(request).await.unwrap().into_inner();
    let (id, benefit) = (made.person.unwrap().person_id, new_id());
    let first = granted(&world, benefit, id.parse().unwrap(), in_days(&world, 90));
    tell(&world, benefit, 1, &first).await;
    assert_eq!(refusal(tags(&world, "worker1", &id).await), Code::PermissionDenied);
    for login in ["head1", "dispatcher"] {
        assert_eq!(tags(&world, login, &id).await.unwrap().len(), 1, "{login}");
    }
    world.add_grant("worker1", Role::StationHead, "community2").await;
    assert_eq!(refusal(tags(&world, "worker1", &id).await), Code::PermissionDenied, "of another community");
    world.add_grant("worker1", Role::StationHead, "community1").await;
    assert_eq!(tags(&world, "worker1", &id).await.unwrap().len(), 1);
    world.service.stop().await;
}
