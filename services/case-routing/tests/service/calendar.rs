//! The yearly notice: signed, imported, taken up by every replica; what runs is counted again and never earlier.

use std::time::Duration;

use case_routing::notice::NoticeKey;
use chassis::{
    Clock, Timestamp,
    auth::Role,
    clock::from_proto,
    grpc::PeerChannel,
    proto::case_routing::v1::{
        self as pb, calendar_service_client::CalendarServiceClient, case_service_client::CaseServiceClient,
    },
    testing::Persona,
};
use tonic::{Code, Status};

use crate::support::{District, names, request_id, signer};

const NEW_YEAR: &str = r#"
title_year = 2027
version = 1
papers = ["https://www.gov.cn/zhengce/2027.htm"]
[[holiday]]
name = "元旦"
off = ["2027-01-01/2027-01-03"]
"#;

fn at(text: &str) -> Timestamp {
    format!("{text}+08:00").parse().unwrap()
}

/// The last working Monday of 2026.
async fn last_monday() -> District {
    District::at(Clock::fixed(at("2026-12-28T09:00:00"))).await
}

impl District {
    fn calendar(&self) -> CalendarServiceClient<PeerChannel> {
        let operator = Persona::new(Role::ItOperator, self.district);
        CalendarServiceClient::new(self.service.call_as(&operator))
    }

    pub async fn import(&self, notice: &str) -> Result<pb::CalendarYear, Status> {
        let request = pb::ImportNoticeRequest {
            request_id: request_id(),
            notice: notice.to_owned(),
            signature: signer().sign(notice),
        };
        Ok(self.calendar().import_notice(request).await?.into_inner().year.unwrap())
    }

    async fn year(&self, year: i32) -> pb::CalendarYear {
        let anybody = self.service.call_anonymously();
        let request = pb::GetCalendarRequest { year };
        let answer = CalendarServiceClient::new(anybody).get_calendar(request).await;
        answer.unwrap().into_inner().year.unwrap()
    }

    async fn steps(&self, case: &pb::Case) -> Vec<pb::TimelineEntry> {
        let request = pb::GetTimelineRequest { case_id: case.case_id.clone(), ..Default::default() };
        self.cases(&self.dispatcher()).get_timeline(request).await.unwrap().into_inner().entries
    }
}

fn clock(case: &pb::Case, kind: pb::ClockKind) -> pb::Clock {
    case.clocks.iter().find(|clock| clock.kind() == kind).cloned().unwrap()
}

fn due(case: &pb::Case) -> Timestamp {
    clock(case, pb::ClockKind::Resolve).due_time.as_ref().and_then(from_proto).unwrap()
}

#[tokio::test]
async fn a_notice_makes_what_is_provisional_firm_and_later_and_says_so() {
    let d = last_monday().await;
    let case = d.taken_in(&Persona::resident(d.district)).await;
    let provisional = clock(&case, pb::ClockKind::Resolve);
    assert!(provisional.provisional, "{provisional:?}");
    let before = due(&case);
    d.service.drain_outbox().await;

    let year = d.import(NEW_YEAR).await.unwrap();
    assert!(year.published && year.notice_version == 1, "{year:?}");
    assert_eq!(year.off_days, ["2027-01-01", "2027-01-02", "2027-01-03"]);
    assert_eq!(d.year(2027).await, year);
    let recounted = async || !clock(&d.read(&case).await, pb::ClockKind::Resolve).provisional;
    d.service.wait_for("the recount", recounted).await;

    let read = d.read(&case).await;
    assert_eq!(due(&read), before + chrono::TimeDelta::days(1), "Monday becomes Tuesday");
    assert_ne!(clock(&read, pb::ClockKind::Resolve).calendar_version, provisional.calendar_version);
    let told = d.service.drain_outbox().await;
    assert_eq!(names(&told)[0], "CalendarAmended");
    let amended: pb::CalendarAmended = told[0].decode().unwrap();
    assert_eq!((amended.off_days.len(), amended.work_days.len()), (3, 0));
    let moved: Vec<pb::ClockMoved> = told
        .iter()
        .filter(|event| event.is::<pb::ClockMoved>())
        .map(|event| event.decode().unwrap())
        .collect();
    let resolve = moved.iter().find(|moved| moved.clock() == pb::ClockKind::Resolve).unwrap();
    assert_eq!(resolve.due_before_time.as_ref().and_then(from_proto), Some(before));
    assert_eq!(resolve.due_time.as_ref().and_then(from_proto), Some(due(&read)));
    let steps = d.steps(&case).await;
    let step = steps.iter().find(|step| step.event == "ClockMoved").unwrap();
    assert!(step.reason.as_ref().is_some_and(|reason| reason.code == "calendar_amended"), "{step:?}");
    d.service.stop().await;
}

#[tokio::test]
async fn the_sweeper_keeps_to_the_new_due_time() {
    let d = last_monday().await;
    let case = d.taken_in(&Persona::resident(d.district)).await;
    let sign = |case: &pb::Case| {
        let sign = clock(case, pb::ClockKind::Sign);
        (sign.due_time.as_ref().and_then(from_proto).unwrap(), sign.breach_time.is_some())
    };
    // Bring the clock of the signature across the new year: the office signs nothing until then.
    let ahead = at("2026-12-31T16:30:00") - d.service.clock().now();
    d.service.clock().advance(Duration::from_secs(ahead.num_seconds().unsigned_abs()));
    let late = d.taken_in(&Persona::resident(d.district)).await;
    let (before, _) = sign(&late);
    assert!(before < at("2027-01-02T00:00:00"), "{before}");
    d.import(NEW_YEAR).await.unwrap();
    // Past the old due time at once: whichever comes first, the sweep or the recount, nothing is late.
    let over = before + chrono::TimeDelta::minutes(1) - d.service.clock().now();
    d.service.clock().advance(Duration::from_secs(over.num_seconds().unsigned_abs()));
    d.service.wait_for("the recount", async || sign(&d.read(&late).await).0 > before).await;
    // The older case was due by then, so a sweep has been here.
    d.service.wait_for("a sweep", async || sign(&d.read(&case).await).1).await;
    let (after, breached) = sign(&d.read(&late).await);
    assert!(!breached);
    let over = after + chrono::TimeDelta::seconds(1) - d.service.clock().now();
    d.service.clock().advance(Duration::from_secs(over.num_seconds().unsigned_abs()));
    d.service.wait_for("the breach", async || sign(&d.read(&late).await).1).await;
    d.service.stop().await;
}

#[tokio::test]
async fn an_amended_year_moves_later_and_never_earlier() {
    let d = District::start().await;
    let case = d.taken_in(&Persona::resident(d.district)).await;
    let before = due(&case);
    // March is prolonged as February 2020 was: the days in which the case runs become rest days.
    let amended = "title_year = 2026\nversion = 3\npapers = [\"https://www.gov.cn/a\", \"https://www.gov.cn/b\"]\n\
                   [[holiday]]\nname = \"防控\"\noff = [\"2026-03-03/2026-03-06\"]\n";
    d.import(amended).await.unwrap();
    d.service.wait_for("the recount", async || due(&d.read(&case).await) > before).await;
    let later = due(&d.read(&case).await);
    // Taken back: what was promised meanwhile stays promised.
    let back = amended.replace("version = 3", "version = 4").replace("2026-03-03/2026-03-06", "2026-05-01");
    let version = d.import(&back).await.unwrap().calendar_version;
    let recounted = async || {
        let counted = clock(&d.read(&case).await, pb::ClockKind::Resolve).calendar_version;
        counted == (version * 1_000 + 1).to_string()
    };
    d.service.wait_for("the second recount", recounted).await;
    assert_eq!(due(&d.read(&case).await), later);
    d.service.stop().await;
}

#[tokio::test]
async fn what_is_wrong_in_a_notice_is_named_and_nothing_is_stored() {
    let d = last_monday().await;
    d.import(&NEW_YEAR.replace("version = 1", "version = 2")).await.unwrap();
    let known = d.year(2027).await;
    d.service.drain_outbox().await;
    let refused = async |notice: &str, signature: String| {
        let request =
            pb::ImportNoticeRequest { request_id: request_id(), notice: notice.to_owned(), signature };
        let status = d.calendar().import_notice(request).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
        status.message().to_owned()
    };
    let higher = NEW_YEAR.replace("version = 1", "version = 3");
    let stranger = NoticeKey::from_seed(&[8; 32]);
    for signature in [stranger.sign(&higher), signer().sign(NEW_YEAR), String::new(), "x".into()] {
        let said = refused(&higher, signature).await;
        assert!(said.starts_with("signature"), "{said}");
    }
    for (from, to, field) in [
        ("version = 3", "version = 2", "notice.version"),
        ("version = 3", "version = 1", "notice.version"),
        ("2027", "2029", "notice.title_year"),
        ("2027", "2024", "notice.title_year"),
        ("2027-01-01/", "2027-01-32/", "notice.holiday[0].off[0]"),
        ("2027-01-01/", "2028-01-01/", "notice.holiday[0].off[0]"),
        ("version = 3", "version = three", "notice"),
    ] {
        let wrong = higher.replace(from, to);
        let said = refused(&wrong, signer().sign(&wrong)).await;
        assert!(said.starts_with(field), "{from} → {to}: {said}");
    }
    assert_eq!(d.year(2027).await, known);
    assert!(d.service.drain_outbox().await.is_empty());
    d.service.stop().await;
}

#[tokio::test]
async fn a_repeated_request_answers_the_same_and_only_operators_may_ask() {
    let d = last_monday().await;
    let request = pb::ImportNoticeRequest {
        request_id: request_id(),
        notice: NEW_YEAR.to_owned(),
        signature: signer().sign(NEW_YEAR),
    };
    let dispatcher = Persona::new(Role::DistrictDispatcher, d.district);
    let mut denied = CalendarServiceClient::new(d.service.call_as(&dispatcher));
    assert_eq!(denied.import_notice(request.clone()).await.unwrap_err().code(), Code::PermissionDenied);
    let operator = Persona::new(Role::ItOperator, d.district);
    let import = async |request: pb::ImportNoticeRequest| {
        let mut client = CalendarServiceClient::new(d.service.call_as(&operator));
        client.import_notice(request).await.map(tonic::Response::into_inner)
    };
    let first = import(request.clone()).await.unwrap();
    assert_eq!(import(request.clone()).await.unwrap(), first);
    assert_eq!(names(&d.service.drain_outbox().await), ["CalendarAmended"]);
    let again = pb::ImportNoticeRequest { request_id: request_id(), ..request };
    let refused = import(again).await.unwrap_err();
    assert!(refused.message().starts_with("notice.version"), "{refused:?}");
    d.service.stop().await;
}

#[tokio::test]
async fn every_replica_takes_the_notice_up() {
    let d = last_monday().await;
    let other = d.another().await;
    d.import(NEW_YEAR).await.unwrap();
    let window = d.window();
    let mut there = CalendarServiceClient::new(d.call_at(other.addr, &window));
    d.service
        .wait_for("the other replica", async || {
            let answer = there.get_calendar(pb::GetCalendarRequest { year: 2027 }).await;
            answer.unwrap().into_inner().year.unwrap().published
        })
        .await;
    let request = d.intake_request(&Persona::resident(d.district));
    let mut cases = CaseServiceClient::new(d.call_at(other.addr, &window));
    let case = cases.intake_case(request).await.unwrap().into_inner().case.unwrap();
    assert!(!clock(&case, pb::ClockKind::Resolve).provisional);
    let late = d.another().await; // one that starts afterwards
    let mut there = CalendarServiceClient::new(d.call_at(late.addr, &window));
    let answer = there.get_calendar(pb::GetCalendarRequest { year: 2027 }).await.unwrap().into_inner();
    assert!(answer.year.unwrap().published);
    other.stop().await.unwrap();
    late.stop().await.unwrap();
    d.service.stop().await;
}

#[tokio::test]
async fn a_year_tells_which_notices_it_is_known_from() {
    let d = last_monday().await;
    let versions = |year: &pb::CalendarYear| {
        (year.notice_version, year.shipped_version, year.passed_over_version, year.import_time.is_some())
    };
    assert_eq!(versions(&d.year(2026).await), (0, 1, 0, false));
    assert_eq!(versions(&d.year(2027).await), (0, 0, 0, false));
    let again = NEW_YEAR.replace("2027", "2026");
    assert_eq!(versions(&d.import(&again).await.unwrap()), (1, 1, 0, true), "the same number counts");
    assert_eq!(versions(&d.import(NEW_YEAR).await.unwrap()), (1, 0, 0, true));
    d.service.stop().await;
}
