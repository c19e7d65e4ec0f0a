//! Applications over gRPC: the whole way, what everybody may see of it and until when, and what stands nowhere.

use std::time::Duration;

use chassis::{
    auth::Role,
    clock::new_id,
    db::cached,
    grpc::PeerChannel,
    proto::case_routing::v1::{
        self as pb, ApplicationState as S, application_service_client::ApplicationServiceClient,
    },
    testing::Persona,
};
use diesel::sql_types::{Nullable, Text};
use diesel_async::RunQueryDsl;
use tonic::Code;
use uuid::Uuid;

use crate::support::{District, holds, names, request_id};

/// Temporary relief: a notice of seven days, two people on the spot, an urgent way; led by the street.
const RELIEF: &str = "MZ-0102";
const NAME: &str = "欧阳小明";
const REASON: &str = "家庭人均月收入高于本市标准，见核对报告第二页。";

type Client = ApplicationServiceClient<PeerChannel>;

/// A request about an application, with what else it says.
macro_rules! about {
    ($application:expr, $request:ident { $($field:ident: $value:expr),* $(,)? }) => {
        pb::$request { case_id: $application.case_id.clone(), request_id: request_id(), $($field: $value,)* ..Default::default() }
    };
}

/// Gives the application out of an answer that must have come.
macro_rules! done {
    ($call:expr) => {
        $call.await.unwrap().into_inner().application.unwrap()
    };
}

impl District {
    pub fn applications(&self, persona: &Persona) -> Client {
        ApplicationServiceClient::new(self.service.call_as(persona))
    }

    pub async fn submitted(&self, resident: &Persona) -> pb::Application {
        let request = pb::SubmitApplicationRequest {
            request_id: request_id(),
            item_code: RELIEF.into(),
            place_unit_id: self.community.to_string(),
            text: "家人突发重病，请求临时救助，电话13812345678".into(),
            notice_version: "1".into(),
            material_refs: vec!["doc:id".into()],
            ..Default::default()
        };
        done!(self.applications(resident).submit_application(request))
    }

    /// Accepted, looked into by two people, summed up by a third.
    async fn reviewed(&self, resident: &Persona) -> pb::Application {
        let way = self.submitted(resident).await;
        let (first, second) = (self.window(), self.window());
        done!(self.applications(&first).accept_application(about!(way, AcceptApplicationRequest {})));
        let head = Persona::new(Role::StreetDispatcher, self.street).org(self.office);
        done!(self.applications(&head).start_investigation(about!(way, StartInvestigationRequest {})));
        let check = about!(
            way,
            RecordInvestigationRequest {
                kind: pb::InvestigationKind::HomeVisit.into(),
                finding_code: "as_stated".into(),
                evidence_refs: vec!["photo:1".into()],
                note: "家中陈设简单".into(),
            }
        );
        let way = done!(self.applications(&first).record_investigation(check));
        let id = way.investigations[0].investigation_id.clone();
        let sign = about!(way, CountersignInvestigationRequest { investigation_id: id });
        done!(self.applications(&second).countersign_investigation(sign));
        let sum = about!(
            way,
            ReviewApplicationRequest { recommends_grant: true, reason_code: "facts_clear".into() }
        );
        done!(self.applications(&head).review_application(sum))
    }

    pub async fn noticed(&self, resident: &Persona) -> pb::Application {
        let way = self.reviewed(resident).await;
        let shown = about!(way, PublishNoticeRequest { applicant_name: NAME.into() });
        done!(self.applications(&self.dispatcher()).publish_notice(shown))
    }

    pub async fn notices(&self) -> Vec<pb::PublicNotice> {
        self.notices_of(self.street).await
    }

    /// As anybody reads them who looks at a unit.
    pub async fn notices_of(&self, unit: Uuid) -> Vec<pb::PublicNotice> {
        let mut anybody = ApplicationServiceClient::new(self.service.call_anonymously());
        let request = pb::ListPublicNoticesRequest { unit_id: unit.to_string(), ..Default::default() };
        anybody.list_public_notices(request).await.unwrap().into_inner().notices
    }

    /// Everything that a table holds, as text; bytes as hexadecimal digits.
    async fn dump(&self, table: &str) -> String {
        let mut conn = self.service.db().conn().await.unwrap();
        let query = format!("SELECT string_agg(to_jsonb(t)::text, ' ') AS dump FROM {table} t");
        let row: Dump = diesel::sql_query(query).get_result(&mut conn).await.unwrap();
        row.dump.unwrap_or_default()
    }
}

#[derive(diesel::QueryableByName)]
struct Dump {
    #[diesel(sql_type = Nullable<Text>)]
    dump: Option<String>,
}

fn refusal(way: &pb::Application) -> pb::DenyApplicationRequest {
    about!(
        way,
        DenyApplicationRequest {
            reason_code: "income_above_standard".into(),
            written_reason: REASON.into(),
            reconsideration_body: "江汉区人民政府".into(),
            court: "江汉区人民法院".into(),
        }
    )
}

/// What can be done against a refusal: kind, before whom, and until when in words.
fn remedies(decision: &pb::ApplicationDecision) -> Vec<(i32, &str, String)> {
    let told = |remedy: &pb::Remedy| remedy.reason.clone().unwrap().text_zh;
    decision.remedies.iter().map(|remedy| (remedy.kind, remedy.body.as_str(), told(remedy))).collect()
}

#[tokio::test]
async fn relief_goes_from_the_window_over_the_notice_to_delivery_and_its_case_with_it() {
    let d = District::start().await;
    let resident = Persona::resident(d.district);
    let way = d.noticed(&resident).await;
    assert_eq!((way.state(), way.case_state()), (S::PublicNotice, pb::CaseState::InProgress));
    let leader = d.leader();
    let early = d.applications(&leader).approve_application(about!(way, ApproveApplicationRequest {})).await;
    assert_eq!(early.unwrap_err().code(), Code::FailedPrecondition, "the notice runs");

    d.service.clock().advance(Duration::from_secs(8 * 86_400));
    let grant = about!(way, ApproveApplicationRequest { amount_fen: 150_000 });
    let way = done!(d.applications(&leader).approve_application(grant));
    let decision = way.decision.clone().unwrap();
    assert_eq!((decision.outcome(), decision.amount_fen), (pb::ApplicationOutcome::Granted, 150_000));
    let deliver = about!(way, DeliverApplicationRequest { delivery_ref: "pay:2026-1".into() });
    let way = done!(d.applications(&leader).deliver_application(deliver));
    assert_eq!((way.state(), way.case_state()), (S::Delivered, pb::CaseState::Verifying));

    let case = d.read(&pb::Case { case_id: way.case_id.clone(), ..Default::default() }).await;
    assert_eq!(case.application_state(), S::Delivered);
    assert_eq!(case.closed_code(), pb::ClosedCode::Resolved);
    assert_eq!(case.delivery_mode(), pb::DeliveryMode::GovDirect);
    let told = d.told().await;
    let news: Vec<&str> =
        told.iter().filter(|name| name.starts_with("Application")).map(String::as_str).collect();
    let expected = [
        "ApplicationAccepted",
        "ApplicationInvestigationStarted",
        "ApplicationInvestigated",
        "ApplicationInvestigated",
        "ApplicationReviewed",
        "ApplicationNoticed",
        "ApplicationNoticeEnded",
        "ApplicationDecided",
        "ApplicationDelivered",
    ];
    assert_eq!(news, expected, "{told:?}");
    d.service.stop().await;
}

#[tokio::test]
async fn a_notice_shows_what_is_listed_to_everybody_and_is_gone_after_its_last_day() {
    let d = District::start().await;
    let way = d.noticed(&Persona::resident(d.district)).await;
    let shown = d.notices().await;
    let period = way.notice.clone().unwrap();
    assert!(
        period.current && period.first_day == "2026-03-02" && period.last_day == "2026-03-09",
        "{period:?}"
    );
    // The whole of it, so that a new field has to be thought about here.
    let whitelisted = pb::PublicNotice {
        notice_id: period.notice_id.clone(),
        name_masked: "欧**".into(),
        unit_id: d.community.to_string(),
        unit_name_zh: "420103005001".into(),
        unit_name_en: "420103005001".into(),
        item_code: RELIEF.into(),
        item_name_zh: "临时救助申请".into(),
        item_name_en: "Temporary relief".into(),
        first_day: "2026-03-02".into(),
        last_day: "2026-03-09".into(),
    };
    assert_eq!(shown, [whitelisted]);
    assert_ne!(shown[0].notice_id, way.case_id);
    let mut anybody = ApplicationServiceClient::new(d.service.call_anonymously());
    for (unit_id, count) in [(d.other_street.to_string(), 0), (String::new(), 1), (new_id().to_string(), 0)] {
        let request = pb::ListPublicNoticesRequest { unit_id, ..Default::default() };
        assert_eq!(anybody.list_public_notices(request).await.unwrap().into_inner().notices.len(), count);
    }
    for table in ["applications", "public_notices", "cases", "timeline", "outbox", "idempotency"] {
        let dump = d.dump(table).await;
        for canary in [NAME, "小明", "13812345678", "陈设"] {
            assert!(!holds(&dump, canary), "{table}: {canary}");
        }
    }

    // Seven days and fifteen hours later it is Monday 2026-03-09, 24:00 but for a second.
    d.service.clock().advance(Duration::from_secs(7 * 86_400 + 15 * 3_600 - 1));
    assert_eq!(d.notices().await.len(), 1, "its last second");
    d.service.clock().advance(Duration::from_secs(1));
    assert!(d.notices().await.is_empty(), "whether or not the timer has come by");
    d.service.wait_for("the copy to be erased", async || d.dump("public_notices").await.is_empty()).await;
    let get = pb::GetApplicationRequest { case_id: way.case_id.clone() };
    let way = done!(d.applications(&d.leader()).get_application(get));
    assert!(!way.notice.as_ref().unwrap().current && !format!("{way:?}").contains("欧"));
    let late = pb::ObjectToNoticeRequest {
        notice_id: period.notice_id,
        request_id: request_id(),
        ground_code: "income".into(),
        text: "他家有车".into(),
    };
    let late = d.applications(&Persona::resident(d.district)).object_to_notice(late).await.unwrap_err();
    assert_eq!(late.code(), Code::NotFound);
    d.service.stop().await;
}

#[tokio::test]
async fn who_objects_to_a_notice_stands_nowhere_and_the_facts_are_looked_into_again() {
    let d = District::start().await;
    let applicant = Persona::resident(d.district);
    let way = d.noticed(&applicant).await;
    d.told().await;
    let neighbour = Persona::resident(d.district);
    let object = pb::ObjectToNoticeRequest {
        notice_id: way.notice.clone().unwrap().notice_id,
        request_id: request_id(),
        ground_code: "income".into(),
        text: "他家上月买了车".into(),
    };
    let mut objector = d.applications(&neighbour);
    objector.object_to_notice(object.clone()).await.unwrap();
    objector.object_to_notice(object.clone()).await.unwrap(); // a repeat does nothing twice
    assert!(d.notices().await.is_empty());
    let again = pb::ObjectToNoticeRequest { request_id: request_id(), ..object };
    assert_eq!(objector.object_to_notice(again).await.unwrap_err().code(), Code::NotFound);

    let told = d.service.drain_outbox().await;
    assert_eq!(names(&told), ["ApplicationObjected"]);
    assert_eq!(told[0].actor_ref, None);
    assert_eq!(told[0].traceparent, None);
    let person = neighbour.person_id;
    let traces = [person.to_string(), person.simple().to_string(), neighbour.actor_ref, "买了车".to_owned()];
    let says = |trace: &[u8]| told[0].data.windows(trace.len()).any(|window| window == trace);
    assert!(!says(person.as_bytes()) && !traces.iter().any(|trace| says(trace.as_bytes())));
    for table in ["applications", "cases", "timeline", "idempotency", "access_log", "public_notices"] {
        let dump = d.dump(table).await;
        for trace in &traces {
            assert!(!holds(&dump, trace), "{table}: {dump}");
        }
    }
    let get = || pb::GetApplicationRequest { case_id: way.case_id.clone() };
    let own = done!(d.applications(&applicant).get_application(get()));
    assert_eq!(
        (own.state(), own.objections.len()),
        (S::Reinvestigating, 0),
        "who objects may live next door"
    );
    let theirs = done!(d.applications(&d.leader()).get_application(get()));
    assert_eq!(theirs.objections[0].text, "他家上月买了车");
    d.service.stop().await;
}

#[tokio::test]
async fn a_refusal_is_read_by_the_applicant_with_its_remedies_and_kept_sealed() {
    let d = District::start().await;
    let resident = Persona::resident(d.district);
    let way = d.reviewed(&resident).await;
    let unlisted = pb::DenyApplicationRequest { reason_code: "because".into(), ..refusal(&way) };
    let refused = d.applications(&d.leader()).deny_application(unlisted).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert!(refused.message().starts_with("reason_code"), "{refused}");
    // Of another street, and one's own application.
    let other = Persona::new(Role::StreetLeader, d.other_street).org(d.other_office);
    assert_eq!(
        d.applications(&other).deny_application(refusal(&way)).await.unwrap_err().code(),
        Code::NotFound
    );
    let own = Persona { person_id: resident.person_id, ..d.leader() };
    let own = d.applications(&own).deny_application(refusal(&way)).await.unwrap_err();
    assert_eq!(own.code(), Code::PermissionDenied);
    let stale = pb::DenyApplicationRequest { etag: "1".into(), ..refusal(&way) };
    assert_eq!(d.applications(&d.leader()).deny_application(stale).await.unwrap_err().code(), Code::Aborted);

    done!(d.applications(&d.leader()).deny_application(refusal(&way)));
    let get = pb::GetApplicationRequest { case_id: way.case_id.clone() };
    let way = done!(d.applications(&resident).get_application(get));
    let decision = way.decision.unwrap();
    assert_eq!((way.state, decision.written_reason.as_str()), (S::Denied as i32, REASON));
    let remedies = remedies(&decision);
    assert_eq!(
        remedies[0],
        (1, "江汉区人民政府", "可在 2026-05-06 前申请行政复议".into()),
        "1 May and its days are rest days"
    );
    assert_eq!(remedies[1], (2, "江汉区人民法院", "可在 2026-09-02 前提起行政诉讼".into()));
    for table in ["applications", "cases", "timeline", "outbox", "idempotency"] {
        assert!(!holds(&d.dump(table).await, "人均月收入"), "{table}");
    }
    d.service.stop().await;
}

#[tokio::test]
async fn what_is_not_taken_in_is_refused_in_writing_by_another_and_read_with_its_remedies() {
    let d = District::start().await;
    let resident = Persona::resident(d.district);
    let way = d.submitted(&resident).await;
    let why = "申请人住在本区之外，见户籍材料。";
    let decline = |reason: &str| pb::DeclineApplicationRequest {
        case_id: way.case_id.clone(),
        request_id: request_id(),
        reason_code: reason.into(),
        written_reason: why.into(),
        reconsideration_body: "江汉区人民政府".into(),
        court: "江汉区人民法院".into(),
        ..Default::default()
    };
    let own = Persona { person_id: resident.person_id, ..d.window() };
    let own = d.applications(&own).decline_application(decline("out_of_area")).await.unwrap_err();
    assert_eq!(own.code(), Code::PermissionDenied, "nobody declines their own");
    let mut window = d.applications(&d.window());
    let unlisted = window.decline_application(decline("income_above_standard")).await.unwrap_err();
    assert_eq!(unlisted.code(), Code::InvalidArgument, "a reason of those who decide");
    assert!(unlisted.message().starts_with("reason_code"), "{unlisted}");

    d.told().await;
    done!(window.decline_application(decline("out_of_area")));
    let told = d.told().await;
    for name in ["ApplicationDecided", "CaseDeclined"] {
        assert!(told.contains(&name.to_owned()), "{told:?}");
    }
    let get = pb::GetApplicationRequest { case_id: way.case_id.clone() };
    let refused = done!(d.applications(&resident).get_application(get));
    assert_eq!((refused.state(), refused.case_state()), (S::NotAccepted, pb::CaseState::NotAccepted));
    let decision = refused.decision.unwrap();
    assert_eq!(decision.outcome(), pb::ApplicationOutcome::NotAccepted);
    assert_eq!((decision.reason_code.as_str(), decision.written_reason.as_str()), ("out_of_area", why));
    let reconsidered = (1, "江汉区人民政府", "可在 2026-05-06 前申请行政复议".to_owned());
    let sued = (2, "江汉区人民法院", "可在 2026-09-02 前提起行政诉讼".to_owned());
    assert_eq!(remedies(&decision), [reconsidered, sued]);
    d.service.stop().await;
}

#[tokio::test]
async fn a_period_that_does_not_count_stops_the_clock_until_the_case_goes_on() {
    let d = District::start().await;
    let way = d.reviewed(&Persona::resident(d.district)).await;
    let pause = |cause: &str| {
        about!(way, PauseApplicationRequest { cause_code: cause.into(), told_ref: "doc:told".into() })
    };
    let by_head = d.applications(&d.dispatcher()).pause_application(pause("expert_review")).await;
    assert_eq!(by_head.unwrap_err().code(), Code::PermissionDenied, "only whoever answers for it");
    let mut leader = d.applications(&d.leader());
    let unlisted = leader.pause_application(pause("season_condition")).await.unwrap_err();
    assert_eq!(unlisted.code(), Code::InvalidArgument);
    assert!(unlisted.message().starts_with("cause_code"), "{unlisted}");
    let paused = done!(leader.pause_application(pause("expert_review")));
    assert_eq!((paused.state(), paused.case_state()), (S::Reviewed, pb::CaseState::Suspended));
    let [period] = &paused.uncounted[..] else { panic!("{:?}", paused.uncounted) };
    assert_eq!((period.cause_code.as_str(), period.told_ref.as_str()), ("expert_review", "doc:told"));

    let case = pb::Case { case_id: way.case_id.clone(), ..Default::default() };
    let resolve = async || {
        let clocks = d.read(&case).await.clocks;
        clocks.into_iter().find(|clock| clock.kind() == pb::ClockKind::Resolve).unwrap()
    };
    let stopped = resolve().await;
    assert!(stopped.paused);
    d.service.clock().advance(Duration::from_secs(3 * 86_400));
    let refused = leader.deny_application(refusal(&way)).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert!(refused.message().contains("paused"), "{refused}");
    let (case_id, request_id) = (way.case_id.clone(), request_id());
    let resume = pb::ResumeCaseRequest { case_id, request_id, ..Default::default() };
    d.tasks(&d.leader()).resume_case(resume).await.unwrap();
    let runs = resolve().await;
    let due = |clock: &pb::Clock| clock.due_time.as_ref().unwrap().seconds;
    assert!(!runs.paused);
    assert_eq!(due(&runs) - due(&stopped), 3 * 86_400, "the days from Tuesday to Thursday come on top");
    done!(leader.deny_application(refusal(&way)));
    d.service.stop().await;
}

#[tokio::test]
async fn an_urgent_grant_waits_for_its_papers_and_the_case_goes_no_way_of_its_own() {
    let d = District::start().await;
    let resident = Persona::resident(d.district);
    let way = d.submitted(&resident).await;
    let past = pb::AcceptCaseRequest {
        case_id: way.case_id.clone(),
        request_id: request_id(),
        ..Default::default()
    };
    let mut intake = pb::intake_service_client::IntakeServiceClient::new(d.service.call_as(&d.window()));
    assert_eq!(intake.accept_case(past).await.unwrap_err().code(), Code::FailedPrecondition);
    done!(d.applications(&d.window()).accept_application(about!(way, AcceptApplicationRequest {})));
    let grant = |amount_fen| {
        about!(way, GrantUrgentlyRequest { amount_fen: amount_fen, reason_code: "sudden_illness".into() })
    };
    let refused = d.applications(&d.leader()).grant_urgently(grant(200_001)).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    let way = done!(d.applications(&d.leader()).grant_urgently(grant(200_000)));
    assert_eq!((way.state(), way.decision.as_ref().unwrap().urgent), (S::Approved, true));
    let deliver = about!(way, DeliverApplicationRequest { delivery_ref: "pay:2026-2".into() });
    done!(d.applications(&d.leader()).deliver_application(deliver));
    d.told().await;
    d.service.clock().advance(Duration::from_secs(20 * 86_400));
    d.service
        .wait_for("the papers to be missed", async || d.dump("timeline").await.contains("papers_overdue"))
        .await;
    assert!(!way.data_check_authorised);
    let (proof, signed) = (vec!["doc:proof".into()], "doc:family".into());
    let papers = about!(way, SubmitPapersRequest { material_refs: proof, authorisation_ref: signed });
    let way = done!(d.applications(&resident).submit_papers(papers));
    assert!(way.data_check_authorised, "the family has signed by now");
    assert!(way.papers_time.is_some() && way.material_refs.contains(&"doc:proof".to_owned()));
    let told = d.told().await;
    assert!(told.contains(&"ApplicationPapersSubmitted".to_owned()), "{told:?}");
    d.service.stop().await;
}

#[tokio::test]
async fn the_leader_has_a_review_made_again() {
    let d = District::start().await;
    let way = d.reviewed(&Persona::resident(d.district)).await;
    let why = "请核对上月的住院费";
    let send_back =
        || about!(way, ReturnReviewRequest { reason_code: "see_again".into(), explanation: why.into() });
    let refused = d.applications(&d.dispatcher()).return_review(send_back()).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied, "only whoever decides");
    let again = done!(d.applications(&d.leader()).return_review(send_back()));
    assert_eq!((again.state(), again.review.clone()), (S::Investigating, None));
    let [returned] = &again.returned_reviews[..] else { panic!("{:?}", again.returned_reviews) };
    assert_eq!((returned.reason_code.as_str(), returned.explanation.as_str()), ("see_again", why));
    assert!(returned.review.as_ref().is_some_and(|review| review.recommends_grant));
    let told = d.told().await;
    assert_eq!(told.iter().filter(|name| *name == "ApplicationReviewReturned").count(), 1, "{told:?}");
    for table in ["applications", "timeline", "outbox", "idempotency"] {
        assert!(!holds(&d.dump(table).await, why), "{table}");
    }
    let head = Persona::new(Role::StreetDispatcher, d.street).org(d.office);
    let sum =
        about!(way, ReviewApplicationRequest { recommends_grant: true, reason_code: "facts_clear".into() });
    assert_eq!(done!(d.applications(&head).review_application(sum)).state(), S::Reviewed);
    d.service.stop().await;
}

#[tokio::test]
async fn notices_come_by_pages() {
    let d = District::start().await;
    let mut made = Vec::new();
    for _ in 0..3 {
        made.push(d.noticed(&Persona::resident(d.district)).await.notice.unwrap().notice_id);
    }
    let mut anybody = ApplicationServiceClient::new(d.service.call_anonymously());
    let (mut seen, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = pb::ListPublicNoticesRequest { page_size: 2, page_token, ..Default::default() };
        let page = anybody.list_public_notices(request).await.unwrap().into_inner();
        seen.extend(page.notices.into_iter().map(|notice| notice.notice_id));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    seen.sort_unstable();
    made.sort_unstable();
    assert_eq!(seen, made);
    let mut conn = d.service.db().conn().await.unwrap();
    let open: Dump =
        cached("SELECT count(*)::text AS dump FROM applications").get_result(&mut conn).await.unwrap();
    assert_eq!(open.dump.as_deref(), Some("3"));
    drop(conn);
    d.service.stop().await;
}
