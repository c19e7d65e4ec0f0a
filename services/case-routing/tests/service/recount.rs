//! A notice changes the calendar: what is no clock of a case follows it as well. Days off before it is due move it later, days
//! that are worked after all never earlier; each says with which calendar it was counted.

use std::time::Duration;

use chassis::{
    Timestamp,
    auth::Role,
    clock::from_proto,
    proto::case_routing::v1::{self as pb, verification_service_client::VerificationServiceClient},
    testing::Persona,
};
use chrono::TimeDelta;

use crate::{
    benefits::of_type,
    mediation::{Dispute, ids},
    support::{District, request_id},
};

fn at(text: &str) -> Timestamp {
    format!("{text}+08:00").parse().unwrap()
}

/// A notice that leaves of the year's days off only these.
fn only_off(year: i32, version: u32, off: &str) -> String {
    format!(
        "title_year = {year}\nversion = {version}\npapers = [\"https://www.gov.cn/{year}-{version}\"]\n\
         [[holiday]]\nname = \"防控\"\noff = [\"{off}\"]\n"
    )
}

/// Imports it. Gives the version that is counted with then, as it is shown.
async fn import(d: &District, notice: &str) -> String {
    (d.import(notice).await.unwrap().calendar_version * 1_000 + 1).to_string()
}

fn instant(time: Option<&prost_types::Timestamp>) -> Timestamp {
    time.and_then(from_proto).unwrap()
}

#[tokio::test]
async fn a_supervision_has_as_much_longer_to_be_answered() {
    let d = District::start().await;
    let case = d.taken_in(&Persona::resident(d.district)).await;
    let supervise = pb::SuperviseCaseRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        level: 1,
        reason_code: "leader".into(),
        ..Default::default()
    };
    let supervisor = Persona::new(Role::StreetSupervisor, d.street).org(d.office);
    let mut desk = VerificationServiceClient::new(d.service.call_as(&supervisor));
    desk.supervise_case(supervise).await.unwrap();
    let known = async || d.read(&case).await.supervisions[0].clone();
    let before = known().await;
    let promised = at("2026-03-03T17:00:00");
    assert_eq!(instant(before.due_time.as_ref()), promised);
    d.service.drain_outbox().await;

    let version = import(&d, &only_off(2026, 1, "2026-03-03/2026-03-04")).await;
    assert_ne!(before.calendar_version, version);
    d.service.wait_for("the recount", async || known().await.calendar_version == version).await;
    let later = at("2026-03-05T17:00:00");
    assert_eq!(instant(known().await.due_time.as_ref()), later);
    let told: Vec<(i64, pb::SupervisionMoved)> = of_type(&d.service.drain_outbox().await);
    let [(_, moved)] = &told[..] else { panic!("told once: {told:?}") };
    assert_eq!((&moved.supervision_id, moved.rises), (&before.supervision_id, false));
    let days = (instant(moved.due_before_time.as_ref()), instant(moved.due_time.as_ref()));
    assert_eq!((days, moved.calendar_version.to_string()), ((promised, later), version));

    let version = import(&d, &only_off(2026, 2, "2026-05-01")).await;
    d.service.wait_for("the second recount", async || known().await.calendar_version == version).await;
    assert_eq!(instant(known().await.due_time.as_ref()), later, "promised");
    assert!(of_type::<pb::SupervisionMoved>(&d.service.drain_outbox().await).is_empty());
    d.service.stop().await;
}

#[tokio::test]
async fn a_public_notice_is_shown_past_a_last_day_that_becomes_a_rest_day() {
    let d = District::start().await;
    let way = d.noticed(&Persona::resident(d.district)).await;
    let read = async || {
        let get = pb::GetApplicationRequest { case_id: way.case_id.clone() };
        let read = d.applications(&d.leader()).get_application(get).await.unwrap().into_inner();
        read.application.unwrap().notice.unwrap()
    };
    let before = read().await;
    assert_eq!(before.last_day, "2026-03-09");
    d.service.drain_outbox().await;

    let version = import(&d, &only_off(2026, 1, "2026-03-09/2026-03-10")).await;
    assert_ne!(before.calendar_version, version);
    d.service.wait_for("the recount", async || d.notices().await[0].last_day == "2026-03-11").await;
    let longer = read().await;
    assert_eq!((longer.last_day.as_str(), &longer.calendar_version), ("2026-03-11", &version));
    let told: Vec<(i64, pb::ApplicationNoticeProlonged)> = of_type(&d.service.drain_outbox().await);
    let [(_, prolonged)] = &told[..] else { panic!("told once: {told:?}") };
    assert_eq!(prolonged.notice_id, before.notice_id);
    assert_eq!(instant(prolonged.end_before_time.as_ref()), at("2026-03-10T00:00:00"));
    assert_eq!(instant(prolonged.end_time.as_ref()), at("2026-03-12T00:00:00"));

    let version = import(&d, &only_off(2026, 2, "2026-05-01")).await;
    d.service.wait_for("the second recount", async || read().await.calendar_version == version).await;
    assert_eq!(read().await.last_day, "2026-03-11", "shown as long as was said");
    let until = at("2026-03-11T23:59:59") - d.service.clock().now();
    d.service.clock().advance(until.to_std().unwrap());
    assert_eq!(d.notices().await.len(), 1, "its last second");
    d.service.clock().advance(Duration::from_secs(1));
    assert!(d.notices().await.is_empty());
    d.service.wait_for("its end", async || !read().await.current).await;
    assert_eq!(read().await.last_day, "2026-03-11", "as the papers have it afterwards");
    d.service.stop().await;
}

#[tokio::test]
async fn the_papers_of_an_urgent_grant_have_as_much_longer_to_come() {
    let d = District::start().await;
    let way = d.submitted(&Persona::resident(d.district)).await;
    let case_id = || way.case_id.clone();
    let accept =
        pb::AcceptApplicationRequest { case_id: case_id(), request_id: request_id(), ..Default::default() };
    d.applications(&d.window()).accept_application(accept).await.unwrap();
    let grant = pb::GrantUrgentlyRequest {
        case_id: case_id(),
        request_id: request_id(),
        amount_fen: 100_000,
        reason_code: "sudden_illness".into(),
        ..Default::default()
    };
    d.applications(&d.leader()).grant_urgently(grant).await.unwrap();
    let read = async || {
        let get = pb::GetApplicationRequest { case_id: case_id() };
        d.applications(&d.leader()).get_application(get).await.unwrap().into_inner().application.unwrap()
    };
    let before = instant(read().await.papers_due_time.as_ref());
    d.service.drain_outbox().await;

    let day = calendar::local_day(before);
    let version = import(&d, &only_off(2026, 1, &format!("{day}/{day}"))).await;
    d.service.wait_for("the recount", async || read().await.papers_calendar_version == version).await;
    let later = instant(read().await.papers_due_time.as_ref());
    assert!(later >= before + TimeDelta::days(1), "{before} {later}");
    let told: Vec<(i64, pb::ApplicationPapersMoved)> = of_type(&d.service.drain_outbox().await);
    let [(_, moved)] = &told[..] else { panic!("told once: {told:?}") };
    let days = (instant(moved.due_before_time.as_ref()), instant(moved.due_time.as_ref()));
    assert_eq!(days, (before, later));

    let version = import(&d, &only_off(2026, 2, "2026-05-01")).await;
    d.service.wait_for("the second recount", async || read().await.papers_calendar_version == version).await;
    assert_eq!(instant(read().await.papers_due_time.as_ref()), later, "promised");
    d.service.stop().await;
}

#[tokio::test]
async fn the_days_of_a_mediation_give_way_to_rest_days_and_the_agreed_one_does_not() {
    let m = Dispute::start().await;
    let effective = m.effective(TimeDelta::days(5)).await;
    let read = async || m.read(&m.mediator, &effective).await.unwrap();
    let of_kind = |mediation: &pb::Mediation, kind: pb::MediationDeadlineKind| {
        mediation.deadlines.iter().find(|deadline| deadline.kind() == kind).cloned().unwrap()
    };
    let (request, performance) =
        (pb::MediationDeadlineKind::RequestConfirmation, pb::MediationDeadlineKind::Performance);
    let last = |deadline: &pb::MediationDeadline| {
        calendar::local_day(instant(deadline.due_time.as_ref())).to_string()
    };
    let before = read().await;
    assert_eq!(last(&of_kind(&before, request)), "2026-04-01");
    let agreed = of_kind(&before, performance);
    assert_eq!(agreed.calendar_version, "");
    let steps = |of: &pb::Mediation| of.steps.iter().filter(|step| step.step == "deadline_moved").count();
    let (case_id, _) = ids(&before);
    let case = async || m.d.read(&pb::Case { case_id: case_id.clone(), ..Default::default() }).await;
    let case_before = case().await;
    let counted = async |version: &str| of_kind(&read().await, request).calendar_version == version;

    let version = import(&m.d, &only_off(2026, 1, "2026-04-01/2026-04-03")).await;
    m.d.service.wait_for("the recount", async || counted(&version).await).await;
    let moved = read().await;
    assert_eq!(last(&of_kind(&moved, request)), "2026-04-06", "Monday");
    assert_eq!((of_kind(&moved, performance), steps(&moved)), (agreed, 1));
    assert_ne!(moved.etag, before.etag);
    assert_ne!(case().await.etag, case_before.etag, "it went on");

    let version = import(&m.d, &only_off(2026, 2, "2026-05-01")).await;
    m.d.service.wait_for("the second recount", async || counted(&version).await).await;
    let kept = read().await;
    assert_eq!((last(&of_kind(&kept, request)).as_str(), steps(&kept)), ("2026-04-06", 1));
    m.d.service.stop().await;
}

#[tokio::test]
async fn a_review_day_that_becomes_a_rest_day_gives_way_to_the_next_working_day() {
    let d = District::start().await;
    let other = d.another().await; // which counts as well
    let case_id = d.applied_for(&Persona::resident(d.district)).await;
    d.granted(&case_id).await;
    let read = async || d.benefit_of(&case_id).await;
    let review = async || instant(read().await.review_time.as_ref());
    assert_eq!(review().await, at("2027-03-02T00:00:00"));
    d.service.drain_outbox().await;

    let version = import(&d, &only_off(2027, 1, "2027-03-02/2027-03-03")).await;
    d.service.wait_for("the recount", async || read().await.calendar_version == version).await;
    let later = at("2027-03-04T00:00:00");
    assert_eq!(review().await, later);
    let told: Vec<(i64, pb::BenefitReviewMoved)> = of_type(&d.service.drain_outbox().await);
    let [(2, moved)] = &told[..] else { panic!("told once: {told:?}") };
    assert_eq!((moved.benefit_id.as_str(), instant(moved.review_time.as_ref())), (case_id.as_str(), later));
    assert_eq!(instant(moved.review_before_time.as_ref()), at("2027-03-02T00:00:00"));

    let version = import(&d, &only_off(2027, 2, "2027-05-01")).await;
    d.service.wait_for("the second recount", async || read().await.calendar_version == version).await;
    assert_eq!(review().await, later, "never earlier");
    assert!(of_type::<pb::BenefitReviewMoved>(&d.service.drain_outbox().await).is_empty());

    let until = later - TimeDelta::seconds(1) - d.service.clock().now();
    d.service.clock().advance(until.to_std().unwrap());
    assert!(read().await.rechecks.is_empty(), "not a second early");
    d.service.clock().advance(Duration::from_secs(1));
    d.service.wait_for("the re-check", async || !read().await.rechecks.is_empty()).await;
    assert_eq!(instant(read().await.rechecks[0].review_time.as_ref()), later);
    other.stop().await.unwrap();
    d.service.stop().await;
}
