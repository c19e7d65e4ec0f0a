//! Days of duties that go by: none that cannot be moved keeps another waiting.

use chassis::{Timestamp, db::cached, proto::case_routing::v1 as pb};
use chrono::TimeDelta;
use diesel::{
    QueryableByName,
    sql_types::{Timestamptz, Uuid as SqlUuid},
};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use crate::duties::{DAY, Duties};

#[derive(QueryableByName)]
struct Due {
    #[diesel(sql_type = Timestamptz)]
    due_at: Timestamp,
}

/// When the sweeper looks at it next.
async fn due(world: &Duties, id: &str) -> Timestamp {
    let mut conn = world.d.service.db().conn().await.unwrap();
    let row: Due = cached("SELECT due_at FROM duties WHERE duty_id = $1")
        .bind::<SqlUuid, _>(id.parse::<Uuid>().unwrap())
        .get_result(&mut conn)
        .await
        .unwrap();
    row.due_at
}

/// Makes one unreadable.
async fn spoil(world: &Duties, id: &str) {
    let mut conn = world.d.service.db().conn().await.unwrap();
    let spoilt = cached("UPDATE duties SET doc = '{}' WHERE duty_id = $1")
        .bind::<SqlUuid, _>(id.parse::<Uuid>().unwrap())
        .execute(&mut conn)
        .await
        .unwrap();
    assert_eq!(spoilt, 1);
}

/// Time stands after the jump, so whichever were put off would never be moved.
#[tokio::test]
async fn what_cannot_be_read_is_put_off_itself_and_no_other_though_two_replicas_look() {
    let world = Duties::start().await;
    let d = &world.d;
    let replica = d.another().await;
    let mut made = Vec::new();
    for holder in [d.office, d.station, d.other_office, world.committee] {
        let proposed = world.client(&world.leader()).propose_duty_transfer(world.proposal(holder)).await;
        made.push(proposed.unwrap().into_inner().transfer.unwrap().duty_transfer_id);
    }
    let [broken, sound, also_broken, also_sound] = &made[..] else { unreachable!("four were made") };
    for id in [broken, also_broken] {
        spoil(&world, id).await;
    }
    // Past the deadline, and all of them are due.
    d.service.clock().advance(4 * DAY);
    let now = d.service.clock().now();
    for id in [sound, also_sound] {
        let over = world.becomes(id, pb::DutyTransferState::RolledBack).await;
        assert_eq!(over.reason_code, "deadline");
    }
    for id in [broken, also_broken] {
        d.service.wait_for("it is put off", async || due(&world, id).await > now).await;
        assert!(due(&world, id).await <= now + TimeDelta::hours(1), "it is tried again soon");
    }
    replica.stop().await.unwrap();
    world.d.service.stop().await;
}
