//! Review days of benefits that go by: none whose re-check cannot begin keeps another waiting.

use chassis::{Timestamp, clock::from_proto, db::cached, proto::case_routing::v1 as pb, testing::Persona};
use chrono::TimeDelta;
use diesel::{
    QueryableByName,
    sql_types::{Nullable, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use crate::support::District;

#[derive(QueryableByName)]
struct Due {
    #[diesel(sql_type = Nullable<Timestamptz>)]
    due_at: Option<Timestamp>,
}

/// When the sweeper looks at it next.
async fn due(d: &District, benefit: &str) -> Option<Timestamp> {
    let mut conn = d.service.db().conn().await.unwrap();
    let row: Due = cached("SELECT due_at FROM benefits WHERE benefit_id = $1")
        .bind::<SqlUuid, _>(benefit.parse::<Uuid>().unwrap())
        .get_result(&mut conn)
        .await
        .unwrap();
    row.due_at
}

/// Makes the papers that it rests on unreadable.
async fn spoil(d: &District, benefit: &str) {
    let mut conn = d.service.db().conn().await.unwrap();
    let spoilt = cached("UPDATE applications SET sealed = '' WHERE case_id = $1")
        .bind::<SqlUuid, _>(benefit.parse::<Uuid>().unwrap())
        .execute(&mut conn)
        .await
        .unwrap();
    assert_eq!(spoilt, 1);
}

/// Time stands after the jump, so whichever were put off would never begin.
#[tokio::test]
async fn a_recheck_that_cannot_begin_is_put_off_itself_and_no_other_though_two_replicas_look() {
    let d = District::start().await;
    let replica = d.another().await;
    let mut made = Vec::new();
    for _ in 0..4 {
        let case_id = d.applied_for(&Persona::resident(d.district)).await;
        d.granted(&case_id).await;
        made.push(case_id);
    }
    let [broken, sound, also_broken, also_sound] = &made[..] else { unreachable!("four were made") };
    let review = from_proto(d.benefit_of(sound).await.review_time.as_ref().unwrap()).unwrap();
    for id in [broken, also_broken] {
        spoil(&d, id).await;
    }
    d.service.clock().advance((review - d.service.clock().now()).to_std().unwrap());
    let now = d.service.clock().now();
    for id in [sound, also_sound] {
        let begun = async || d.benefit_of(id).await.state() == pb::BenefitState::UnderReview;
        d.service.wait_for("the re-check", begun).await;
        assert_eq!((d.benefit_of(id).await.rechecks.len(), due(&d, id).await), (1, None));
    }
    for id in [broken, also_broken] {
        let later = async || due(&d, id).await.is_some_and(|due| due > now);
        d.service.wait_for("it is put off", later).await;
        assert!(due(&d, id).await <= Some(now + TimeDelta::hours(1)), "it is tried again soon");
    }
    replica.stop().await.unwrap();
    d.service.stop().await;
}
