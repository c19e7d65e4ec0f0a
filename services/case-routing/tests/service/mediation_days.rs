//! Days of mediations that go by: noted once, and none that cannot be keeps another waiting.

use std::time::Duration;

use chassis::{Timestamp, db::cached, proto::case_routing::v1 as pb};
use chrono::TimeDelta;
use diesel::{
    QueryableByName,
    sql_types::{Timestamptz, Uuid as SqlUuid},
};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use crate::{
    mediation::{Dispute, ids},
    support::request_id,
};

#[derive(QueryableByName)]
struct Due {
    #[diesel(sql_type = Timestamptz)]
    due_at: Timestamp,
}

/// When the sweeper looks at it next.
async fn due(m: &Dispute, of: &pb::Mediation) -> Timestamp {
    let mut conn = m.d.service.db().conn().await.unwrap();
    let row: Due = cached("SELECT due_at FROM mediations WHERE mediation_id = $1")
        .bind::<SqlUuid, _>(of.mediation_id.parse::<Uuid>().unwrap())
        .get_result(&mut conn)
        .await
        .unwrap();
    row.due_at
}

/// Makes a row unreadable.
async fn spoil(m: &Dispute, update: &'static str, id: &str) {
    let mut conn = m.d.service.db().conn().await.unwrap();
    let spoilt =
        cached(update).bind::<SqlUuid, _>(id.parse::<Uuid>().unwrap()).execute(&mut conn).await.unwrap();
    assert_eq!(spoilt, 1);
}

/// How many of its days were noted to have gone by.
async fn passed(m: &Dispute, of: &pb::Mediation) -> usize {
    let now = m.read(&m.mediator, of).await.unwrap();
    now.steps.iter().filter(|step| step.step == "deadline_passed").count()
}

#[tokio::test]
async fn a_day_that_goes_by_is_noted_once_and_the_agreement_can_be_said_to_be_broken() {
    let m = Dispute::start().await;
    let effective = m.effective(TimeDelta::days(5)).await;
    m.d.service.clock().advance(Duration::from_secs(6 * 86_400));
    m.d.service.wait_for("the day to go by", async || passed(&m, &effective).await == 1).await;
    assert!(due(&m, &effective).await > m.d.service.clock().now(), "the next is the day for the court");
    let (case_id, mediation_id) = ids(&effective);
    let breach = pb::RecordBreachRequest {
        case_id,
        mediation_id,
        request_id: request_id(),
        reason_code: "not_paid".into(),
        ..Default::default()
    };
    let told = m.as_(&m.mediator).record_breach(breach).await.unwrap().into_inner().mediation.unwrap();
    assert_eq!(told.state(), pb::MediationState::ToldOfCourt);
    assert_eq!(told.remedy.unwrap().code, "mediation_court");
    assert_eq!(told.steps.iter().filter(|step| step.step == "deadline_passed").count(), 1, "once");
    let case = pb::Case { case_id: told.case_id, ..Default::default() };
    assert_eq!(m.d.read(&case).await.mediation.unwrap().state(), pb::MediationState::ToldOfCourt);
    m.d.service.stop().await;
}

#[tokio::test]
async fn talks_that_are_overdue_are_noted_once_with_the_case() {
    let m = Dispute::start().await;
    let case = m.in_progress().await;
    let opened = m.taken(&case).await;
    let talks = opened.deadlines.iter().find(|day| day.kind() == pb::MediationDeadlineKind::Talks);
    assert!(talks.is_some_and(|day| !day.passed && day.met_time.is_none()));
    m.d.service.clock().advance(Duration::from_secs(40 * 86_400));
    m.d.service.wait_for("the day to go by", async || passed(&m, &opened).await == 1).await;
    let request = pb::GetTimelineRequest { case_id: opened.case_id.clone(), ..Default::default() };
    let entries = m.d.cases(&m.d.dispatcher()).get_timeline(request).await.unwrap().into_inner().entries;
    let noted: Vec<_> = entries.iter().filter(|entry| entry.event == "MediationOverdue").collect();
    assert!(noted.len() == 1 && noted[0].reason.is_some(), "{noted:?}");
    m.d.service.stop().await;
}

/// Time stands after the jump, so whichever were put off would never be noted.
#[tokio::test]
async fn what_cannot_be_read_is_put_off_itself_and_no_other_though_two_replicas_look() {
    let m = Dispute::start().await;
    let replica = m.d.another().await;
    let mut effective = Vec::new();
    for _ in 0..5 {
        effective.push(m.effective(TimeDelta::days(5)).await);
    }
    let [broken, sound, of_broken_case, also_sound, also_broken] = &effective[..] else {
        unreachable!("five were made")
    };
    let mediation = "UPDATE mediations SET doc = '{}' WHERE mediation_id = $1";
    spoil(&m, mediation, &broken.mediation_id).await;
    spoil(&m, mediation, &also_broken.mediation_id).await;
    spoil(&m, "UPDATE cases SET doc = '{}' WHERE case_id = $1", &of_broken_case.case_id).await;
    m.d.service.clock().advance(Duration::from_secs(6 * 86_400));
    let now = m.d.service.clock().now();
    for one in [sound, also_sound] {
        m.d.service.wait_for("the day to go by", async || passed(&m, one).await == 1).await;
    }
    for one in [broken, of_broken_case, also_broken] {
        m.d.service.wait_for("it is put off", async || due(&m, one).await > now).await;
        assert!(due(&m, one).await <= now + TimeDelta::hours(1), "it is tried again soon");
    }
    replica.stop().await.unwrap();
    m.d.service.stop().await;
}
