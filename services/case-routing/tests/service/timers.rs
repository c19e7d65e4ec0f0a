//! What time brings by itself.

use std::time::Duration;

use chassis::{
    Clock,
    auth::Role,
    clock::{from_proto, to_proto},
    db::cached,
    proto::case_routing::v1::{self as pb, verification_service_client::VerificationServiceClient},
    testing::Persona,
};
use chrono::TimeDelta;
use diesel::sql_types::{Array, BigInt, Bool, Nullable, Timestamptz, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use tonic::Code;
use uuid::Uuid;

use crate::support::{District, request_id};

#[tokio::test]
async fn time_accepts_what_nobody_decided_and_tells_it_once() {
    let d = District::start().await;
    let resident = Persona::resident(d.district);
    let register = pb::RegisterCaseRequest {
        request_id: request_id(),
        text: "请帮忙".into(),
        place_unit_id: d.community.to_string(),
        notice_version: "1".into(),
        ..Default::default()
    };
    let case = d.cases(&resident).register_case(register).await.unwrap().into_inner().case.unwrap();
    assert_eq!(d.told().await, ["CaseRegistered"]);
    d.service.clock().advance(Duration::from_secs(4 * 86_400));
    d.service
        .wait_for("acceptance by silence", async || d.read(&case).await.state() == pb::CaseState::Accepted)
        .await;
    let told = d.told().await;
    assert_eq!(told.iter().filter(|name| *name == "CaseAccepted").count(), 1, "{told:?}");
    assert!(told.contains(&"ClockBreached".to_owned()), "{told:?}");
    d.service.stop().await;
}

#[tokio::test]
async fn a_machine_whose_time_is_wrong_leaves_alone_what_falls_due() {
    let monday = Clock::fixed("2026-03-02T01:00:00Z".parse().unwrap());
    let d = District::at(monday.ahead_by(Duration::from_secs(120))).await;
    let case = d.offered(&Persona::resident(d.district)).await;
    d.told().await;
    d.service.clock().advance(Duration::from_secs(3 * 86_400));
    let dispatched = async || d.read(&case).await.state() == pb::CaseState::Dispatched;
    let waited = tokio::time::timeout(Duration::from_secs(1), d.service.wait_for("dispatch", dispatched));
    assert!(waited.await.is_err() && !quiet(&d).await, "it is due, and left alone");
    assert!(d.told().await.is_empty());
    d.service.stop().await;
}

#[tokio::test]
async fn an_offer_that_nobody_answers_goes_to_the_public_service() {
    let d = District::start().await;
    let case = d.offered(&Persona::resident(d.district)).await;
    d.told().await;
    d.service.clock().advance(Duration::from_secs(3 * 86_400));
    d.service.wait_for("dispatch", async || d.read(&case).await.state() == pb::CaseState::Dispatched).await;
    let told = d.told().await;
    assert_eq!(told.iter().filter(|name| *name == "CaseOfferWithdrawn").count(), 1, "{told:?}");
    d.service.stop().await;
}

#[derive(diesel::QueryableByName)]
struct Due {
    #[diesel(sql_type = diesel::sql_types::Timestamptz)]
    due_at: chassis::Timestamp,
}

/// When something is due for the case next.
pub async fn due(d: &District, case: &pb::Case) -> chassis::Timestamp {
    let mut conn = d.service.db().conn().await.unwrap();
    let row: Due = cached("SELECT due_at FROM agenda WHERE case_id = $1")
        .bind::<SqlUuid, _>(case.case_id.parse::<Uuid>().unwrap())
        .get_result(&mut conn)
        .await
        .unwrap();
    row.due_at
}

/// Has the agenda say that something is due for the case then.
pub async fn set_due(d: &District, case_id: &str, at: chassis::Timestamp) {
    let mut conn = d.service.db().conn().await.unwrap();
    let set = cached("UPDATE agenda SET due_at = $2 WHERE case_id = $1")
        .bind::<SqlUuid, _>(case_id.parse::<Uuid>().unwrap())
        .bind::<Timestamptz, _>(at)
        .execute(&mut conn)
        .await;
    assert_eq!(set.unwrap(), 1);
}

#[tokio::test]
async fn a_case_that_is_looked_at_too_early_keeps_its_timer() {
    let d = District::start().await;
    let case = d.taken_in(&Persona::resident(d.district)).await;
    let promised = due(&d, &case).await;
    // What the sweeper sees of a case that a command moves between its look and its lock.
    let early = d.service.clock().now() - TimeDelta::hours(1);
    set_due(&d, &case.case_id, early).await;
    d.service.wait_for("another look", async || due(&d, &case).await != early).await;
    assert_eq!(due(&d, &case).await, promised);
    d.service.stop().await;
}

#[tokio::test]
async fn an_open_case_that_is_not_in_the_agenda_enters_it_with_what_changes_next() {
    let d = District::start().await;
    let resident = Persona::resident(d.district);
    let (case, other) = (d.taken_in(&resident).await, d.taken_in(&resident).await);
    let mut conn = d.service.db().conn().await.unwrap();
    // As where an earlier release did not write it down.
    let gone = cached("DELETE FROM agenda WHERE case_id = $1")
        .bind::<SqlUuid, _>(case.case_id.parse::<Uuid>().unwrap())
        .execute(&mut conn)
        .await;
    assert_eq!(gone.unwrap(), 1);
    drop(conn);
    for case in [&case, &other] {
        let sign = pb::SignTaskRequest {
            case_id: case.case_id.clone(),
            request_id: request_id(),
            task_id: case.tasks[0].task_id.clone(),
            ..Default::default()
        };
        d.tasks(&d.leader()).sign_task(sign).await.unwrap();
        assert_eq!(stands(&d, case).await, (true, None));
        assert!(due(&d, case).await > d.service.clock().now());
    }
    d.service.stop().await;
}

#[derive(diesel::QueryableByName)]
struct Overdue {
    #[diesel(sql_type = BigInt)]
    n: i64,
}

/// Whether nothing is due any more.
pub async fn quiet(d: &District) -> bool {
    let mut conn = d.service.db().conn().await.unwrap();
    let overdue: Overdue = cached("SELECT count(*) AS n FROM agenda WHERE due_at <= $1")
        .bind::<Timestamptz, _>(d.service.clock().now())
        .get_result(&mut conn)
        .await
        .unwrap();
    overdue.n == 0
}

#[derive(diesel::QueryableByName)]
struct Stands {
    #[diesel(sql_type = Bool)]
    open: bool,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    kept: Option<chassis::Timestamp>,
}

/// Whether the case is in the agenda, and until when it is kept.
async fn stands(d: &District, case: &pb::Case) -> (bool, Option<chassis::Timestamp>) {
    let mut conn = d.service.db().conn().await.unwrap();
    let row: Stands = cached(
        "SELECT EXISTS (SELECT FROM agenda WHERE case_id = $1) AS open, \
         (SELECT archive_at FROM retention WHERE case_id = $1) AS kept",
    )
    .bind::<SqlUuid, _>(case.case_id.parse::<Uuid>().unwrap())
    .get_result(&mut conn)
    .await
    .unwrap();
    (row.open, row.kept)
}

async fn closed(d: &District, resident: &Persona) -> pb::Case {
    let case = d.taken_in(resident).await;
    assert_eq!(stands(d, &case).await, (true, None));
    d.resolve(&case).await;
    assert_eq!(stands(d, &case).await, (true, None), "to be rated");
    let rate = pb::RateCaseRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        grade: 5,
        ..Default::default()
    };
    d.cases(resident).rate_case(rate).await.unwrap().into_inner().case.unwrap()
}

#[tokio::test]
async fn a_closed_case_leaves_the_agenda_and_is_archived_in_its_time() {
    let d = District::start().await;
    let case = closed(&d, &Persona::resident(d.district)).await;
    let (open, kept) = stands(&d, &case).await;
    assert!(!open && kept.is_some());
    // Looked at too early it stays.
    let early = d.service.clock().now() - TimeDelta::hours(1);
    {
        let mut conn = d.service.db().conn().await.unwrap();
        cached("UPDATE retention SET archive_at = $2 WHERE case_id = $1")
            .bind::<SqlUuid, _>(case.case_id.parse::<Uuid>().unwrap())
            .bind::<Timestamptz, _>(early)
            .execute(&mut conn)
            .await
            .unwrap();
    }
    d.service.wait_for("another look", async || stands(&d, &case).await.1 != Some(early)).await;
    assert_eq!(stands(&d, &case).await, (false, kept));
    assert_eq!(d.read(&case).await.state(), pb::CaseState::Closed);
    d.told().await;

    let left = kept.unwrap() - d.service.clock().now();
    d.service.clock().advance(left.to_std().unwrap() + Duration::from_secs(1));
    d.service.wait_for("the archive", async || d.read(&case).await.state() == pb::CaseState::Archived).await;
    assert_eq!(stands(&d, &case).await, (false, None));
    assert_eq!(d.told().await, ["CaseArchived"]);
    d.service.stop().await;
}

/// Of cases that are looked at one by one, those that fail are put off: in the agenda, and of those that are kept.
#[tokio::test]
async fn a_case_that_cannot_be_moved_is_put_off_and_keeps_no_other_waiting() {
    let d = District::start().await;
    let resident = Persona::resident(d.district);
    let kept = closed(&d, &resident).await;
    let (broken, sound) = (d.taken_in(&resident).await, d.taken_in(&resident).await);
    let promised = due(&d, &sound).await;
    let now = d.service.clock().now();
    let early = now - TimeDelta::hours(1);
    let [of_kept, of_broken, of_sound] =
        [&kept, &broken, &sound].map(|case| case.case_id.parse::<Uuid>().unwrap());
    {
        let mut conn = d.service.db().conn().await.unwrap();
        cached("UPDATE cases SET doc = '{}' WHERE case_id = ANY($1)")
            .bind::<Array<SqlUuid>, _>(vec![of_kept, of_broken])
            .execute(&mut conn)
            .await
            .unwrap();
        cached("UPDATE agenda SET due_at = $2 WHERE case_id = ANY($1)")
            .bind::<Array<SqlUuid>, _>(vec![of_broken, of_sound])
            .bind::<Timestamptz, _>(early)
            .execute(&mut conn)
            .await
            .unwrap();
        cached("UPDATE retention SET archive_at = $2 WHERE case_id = $1")
            .bind::<SqlUuid, _>(of_kept)
            .bind::<Timestamptz, _>(early)
            .execute(&mut conn)
            .await
            .unwrap();
    }
    d.service
        .wait_for("another look at each", async || {
            due(&d, &broken).await != early
                && due(&d, &sound).await != early
                && stands(&d, &kept).await.1 != Some(early)
        })
        .await;
    assert_eq!(due(&d, &sound).await, promised, "nothing of it has failed");
    assert!(due(&d, &broken).await > now);
    let (open, until) = stands(&d, &kept).await;
    assert!(!open && until.is_some_and(|until| until > now), "{until:?}");
    d.service.stop().await;
}

#[tokio::test]
async fn a_case_that_is_opened_again_is_in_the_agenda_again() {
    let d = District::start().await;
    let resident = Persona::resident(d.district);
    let case = closed(&d, &resident).await;
    let reopen = pb::ReopenCaseRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        reason_code: "new_facts".into(),
        ..Default::default()
    };
    d.cases(&resident).reopen_case(reopen).await.unwrap();
    assert_eq!(stands(&d, &case).await, (true, None));
    d.service.stop().await;
}

/// C-2: more time within the law, by whoever leads, and beyond the usual number by the level above.
#[tokio::test]
async fn more_time_stays_within_the_law_and_is_for_the_level_above_when_the_usual_number_is_used_up() {
    let d = District::start().await;
    let resident = Persona::resident(d.district);
    // Promised in 5 working days, by law in 10; extended once by the street.
    let case = d.taken_in(&resident).await;
    let of = |case: &pb::Case, days| pb::ExtendCaseRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        extension: Some(pb::Limit { amount: days, unit: pb::LimitUnit::WorkDay.into() }),
        reason_code: "complex".into(),
        told_ref: "doc:told-3".into(),
        ..Default::default()
    };
    let untold = pb::ExtendCaseRequest { told_ref: String::new(), ..of(&case, 1) };
    let untold = d.tasks(&d.leader()).extend_case(untold).await.unwrap_err();
    assert!(untold.code() == Code::InvalidArgument && untold.message().starts_with("told_ref"), "{untold}");
    let refused = d.tasks(&d.leader()).extend_case(of(&case, 6)).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert!(refused.message().contains("beyond_statutory_limit"), "{refused}");
    let district = Persona::new(Role::DistrictDispatcher, d.district).org(d.gov);
    let early = d.tasks(&district).extend_case(of(&case, 1)).await.unwrap_err();
    assert_eq!(early.code(), Code::PermissionDenied, "the street's own case");
    d.tasks(&d.leader()).extend_case(of(&case, 3)).await.unwrap();
    let again = d.tasks(&d.leader()).extend_case(of(&case, 1)).await.unwrap_err();
    assert!(again.message().contains("extensions_used_up"), "{again}");
    let far = d.tasks(&district).extend_case(of(&case, 3)).await.unwrap_err();
    assert!(far.message().contains("beyond_statutory_limit"), "{far}");
    let elsewhere = Persona::new(Role::StreetLeader, d.other_street).org(d.other_office);
    assert_eq!(d.tasks(&elsewhere).extend_case(of(&case, 1)).await.unwrap_err().code(), Code::NotFound);
    d.tasks(&district).extend_case(of(&case, 2)).await.unwrap();
    let longest = d.read(&case).await;
    // Monday 2 March: ten working days end on Monday the 16th, at the close of business.
    let last: chassis::Timestamp = "2026-03-16T09:00:00Z".parse().unwrap();
    assert_eq!(longest.resolve_due_time, Some(chassis::clock::to_proto(last)));
    d.service.stop().await;
}

/// The supervision of whoever leads, for the limit that the requester was promised.
async fn of_lead(d: &District, case: &pb::Case) -> Option<pb::Supervision> {
    let known = d.read(case).await.supervisions;
    known.into_iter().find(|known| known.clock() == pb::ClockKind::Resolve)
}

#[tokio::test]
async fn an_answer_that_nothing_follows_is_no_end_of_a_supervision() {
    let d = District::start().await;
    let case = d.taken_in(&Persona::resident(d.district)).await;
    let due = from_proto(case.resolve_due_time.as_ref().unwrap()).unwrap();
    let until = due - d.service.clock().now();
    d.service.clock().advance(until.to_std().unwrap() + Duration::from_secs(1));
    d.service.wait_for("supervision", async || of_lead(&d, &case).await.is_some()).await;
    let known = of_lead(&d, &case).await.unwrap();
    assert_eq!((known.level, known.org_id.as_str()), (1, d.office.to_string().as_str()));

    let promised = d.service.clock().now() + TimeDelta::hours(20);
    let answer = |promised| pb::AnswerSupervisionRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        supervision_id: known.supervision_id.clone(),
        answer_code: "under_way".into(),
        promised_time: Some(to_proto(promised)),
        ..Default::default()
    };
    let mut leader = VerificationServiceClient::new(d.service.call_as(&d.leader()));
    let far = leader.answer_supervision(answer(promised + TimeDelta::days(30))).await.unwrap_err();
    assert!(far.code() == Code::InvalidArgument && far.message().starts_with("promised_time"), "{far}");
    leader.answer_supervision(answer(promised)).await.unwrap();
    let said = of_lead(&d, &case).await.unwrap();
    assert_eq!((said.state.as_str(), said.rise_time), ("answered", Some(to_proto(promised))));
    // Whoever is supervised is not content with itself while it is late.
    let clear = pb::ClearSupervisionRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        supervision_id: known.supervision_id.clone(),
        ..Default::default()
    };
    let own = Persona::new(Role::StreetSupervisor, d.street).org(d.office);
    let mut own = VerificationServiceClient::new(d.service.call_as(&own));
    assert_eq!(own.clear_supervision(clear).await.unwrap_err().code(), Code::PermissionDenied);

    d.service.clock().advance(Duration::from_secs(21 * 3_600));
    d.service.wait_for("level 2", async || of_lead(&d, &case).await.unwrap().level == 2).await;
    let risen = of_lead(&d, &case).await.unwrap();
    assert_eq!((risen.state.as_str(), risen.rise_time), ("issued", None), "to be answered anew");
    d.service.stop().await;
}
