//! Units that are no longer in force, for those who name what happened there.

use std::collections::BTreeMap;

use crate::world::{World, request_id};
use chassis::clock::to_proto;
use proto::identity::v1::{
    CreateUnitRequest, ListUnitsRequest, MergeUnitsRequest, Unit, UnitKind, UnitState,
};

fn community(world: &World, code: &str) -> Unit {
    Unit {
        code: code.to_owned(),
        code_system: "statistics".to_owned(),
        code_year: 2023,
        kind: UnitKind::Community as i32,
        name_zh: "新社区".to_owned(),
        parent_id: world.unit("street1"),
        ..Default::default()
    }
}

#[tokio::test]
async fn units_that_were_merged_are_listed_when_they_are_asked_for() {
    let world = World::start().await;
    let mut admin = world.topology("sysadmin").await;
    let request = CreateUnitRequest { request_id: request_id(), unit: Some(community(&world, "c-other")) };
    let other = admin.create_unit(request).await.unwrap().into_inner().unit.unwrap();
    let before = world.service.clock().now();
    world.service.clock().advance(std::time::Duration::from_secs(86_400));
    let merged = [world.unit("community1"), other.unit_id];
    let request = MergeUnitsRequest {
        request_id: request_id(),
        from_unit_ids: merged.to_vec(),
        // The successor takes over a code and a name.
        successor: Some(community(&world, "c-other")),
        effective_time: None,
    };
    let successor = admin.merge_units(request).await.unwrap().into_inner().successor.unwrap();

    // One to a page: each is there once, and what has ended says what it became part of.
    let mut list = async |include_ended: bool, at_time: Option<prost_types::Timestamp>| {
        let mut found = BTreeMap::new();
        let mut page_token = String::new();
        loop {
            let request = ListUnitsRequest {
                page_size: 1,
                page_token,
                parent_id: world.unit("street1"),
                at_time,
                include_ended,
                ..Default::default()
            };
            let page = admin.list_units(request).await.unwrap().into_inner();
            for unit in page.units {
                let what = (unit.state, unit.successor_id, unit.name_zh);
                assert!(found.insert(unit.unit_id, what).is_none(), "listed twice");
            }
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return found;
            }
        }
    };
    let in_force = (UnitState::Active as i32, String::new(), "新社区".to_owned());
    let ended = |name: &str| (UnitState::Merged as i32, successor.unit_id.clone(), name.to_owned());
    let all = BTreeMap::from([
        (successor.unit_id.clone(), in_force.clone()),
        (merged[0].clone(), ended("community1")),
        (merged[1].clone(), ended("新社区")),
    ]);
    assert_eq!(list(true, None).await, all);
    assert_eq!(list(false, None).await, BTreeMap::from([(successor.unit_id.clone(), in_force)]));
    // Before the merger none had ended.
    let then = list(true, Some(to_proto(before))).await;
    assert_eq!(then.len(), 2);
    assert!(then.values().all(|(state, into, _)| *state == UnitState::Active as i32 && into.is_empty()));
}
