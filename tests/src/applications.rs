//! Flow F2: service applications, by hand, in whichever shape.

use chrono::Duration;
use jianghan::{reconcile, suite::request_id};
use proto::case_routing::v1::{
    AcceptApplicationRequest, Application, ApplicationOutcome, ApplicationState, ApproveApplicationRequest,
    Case, CaseState, Channel, ClosedCode, CountersignInvestigationRequest, DeliverApplicationRequest,
    DeliveryMode, DenyApplicationRequest, GetApplicationRequest, InvestigationKind, ListPublicNoticesRequest,
    ObjectToNoticeRequest, PublicNotice, PublishNoticeRequest, RecordInvestigationRequest, RemedyKind,
    RequestApplicationSupplementRequest, ReviewApplicationRequest, StartInvestigationRequest,
    SubmitApplicationRequest, SupplementApplicationRequest,
};
use tonic::Code;

use crate::{Person, World, eventually, journeys::COMMUNITY};

/// The minimum living allowance (低保): shown publicly for seven days, two people on the spot, decided by the district.
const ALLOWANCE: &str = "MZ-0101";
const NAME: &str = "王小明";

macro_rules! verbs {
    ($($(#[$doc:meta])* $name:ident($application:ident $(, $arg:ident: $ty:ty)*)
        = $rpc:ident($request:ident { $($field:ident: $value:expr),* $(,)? });)*) => {
        impl Person<'_> {$(
            $(#[$doc])*
            async fn $name(&self, $application: &Application $(, $arg: $ty)*) -> Application {
                let message = $request {
                    case_id: $application.case_id.clone(),
                    request_id: request_id(),
                    $($field: $value,)*
                    ..Default::default()
                };
                let answer = self.world.patient.applications().$rpc(self.asks(message).await).await;
                answer
                    .unwrap_or_else(|status| panic!("{} {}: {status}", self.role(), stringify!($name)))
                    .into_inner()
                    .application
                    .expect("an answer with the application")
            }
        )*}
    };
}

verbs! {
    takes_application_in(a) = accept_application(AcceptApplicationRequest {});
    asks_for_papers(a) = request_application_supplement(RequestApplicationSupplementRequest {
        material_codes: vec!["income_proof".into()],
    });
    brings_papers(a) = supplement_application(SupplementApplicationRequest {
        material_refs: vec!["doc:income".into()],
    });
    begins(a) = start_investigation(StartInvestigationRequest {});
    visits(a) = record_investigation(RecordInvestigationRequest {
        kind: InvestigationKind::HomeVisit.into(), finding_code: "as_stated".into(),
        evidence_refs: vec!["photo:home".into()],
    });
    was_there_too(a) = countersign_investigation(CountersignInvestigationRequest {
        investigation_id: a.investigations.last().expect("a check").investigation_id.clone(),
    });
    sums_up(a, grant: bool) = review_application(ReviewApplicationRequest {
        recommends_grant: grant, reason_code: "facts_clear".into(),
    });
    shows_publicly(a) = publish_notice(PublishNoticeRequest { applicant_name: NAME.into() });
    grants(a) = approve_application(ApproveApplicationRequest { amount_fen: 90_000 });
    refuses(a) = deny_application(DenyApplicationRequest {
        reason_code: "income_above_standard".into(),
        written_reason: "家庭人均月收入高于本市低保标准，见核对报告第二页。".into(),
        reconsideration_body: "江汉区人民政府".into(), court: "江汉区人民法院".into(),
    });
    pays(a) = deliver_application(DeliverApplicationRequest { delivery_ref: "pay:first".into() });
}

impl Person<'_> {
    /// Applies for the allowance, for oneself or by proxy.
    async fn applies(&self, applicant: &Person<'_>) -> Application {
        let message = SubmitApplicationRequest {
            request_id: request_id(),
            item_code: ALLOWANCE.into(),
            place_unit_id: self.world.unit(COMMUNITY),
            text: "家庭收入低于标准，申请低保。".into(),
            channel: Channel::Window.into(),
            requester_id: applicant.session.account.person_id.clone(),
            notice_version: "v1".into(),
            material_refs: vec!["doc:id".into()],
            ..Default::default()
        };
        let answer = self.world.patient.applications().submit_application(self.asks(message).await).await;
        let answer = answer.unwrap_or_else(|status| panic!("{} applies: {status}", self.role()));
        answer.into_inner().application.expect("an answer with the application")
    }

    async fn reads(&self, application: &Application) -> Application {
        let request = self.asks(GetApplicationRequest { case_id: application.case_id.clone() }).await;
        let answer = self.world.patient.applications().get_application(request).await;
        answer.expect("it is read").into_inner().application.expect("the application")
    }
}

/// What everybody may see, without signing in.
async fn shown(world: &World) -> Vec<PublicNotice> {
    let request = ListPublicNoticesRequest { unit_id: world.unit(COMMUNITY), ..Default::default() };
    let answer = world.patient.applications().list_public_notices(request).await;
    answer.expect("it is public").into_inner().notices
}

/// The case that follows an application.
fn case_of(application: &Application) -> Case {
    Case { case_id: application.case_id.clone(), ..Default::default() }
}

/// Taken in, visited by two workers of the community, and summed up at the street.
async fn looked_into(world: &World, application: Application, grant: bool) -> Application {
    let (first, second) = (world.login("worker1.420103005001"), world.login("worker2.420103005001"));
    let application = first.visits(&application).await;
    let application = second.was_there_too(&application).await;
    world.login("dispatcher.420103005").sums_up(&application, grant).await
}

/// Applied for by proxy, supplemented once, looked into by two, shown publicly, objected to and looked into again, shown
/// again, gone after its last day, granted, paid, verified, rated, closed, and counted by analytics.
pub async fn granted_after_a_notice(world: &World) {
    let resident = world.resident(11);
    let committee = world.login("committee.420103005001");
    let window = world.window(COMMUNITY);
    let street = world.login("dispatcher.420103005");
    let application = committee.applies(&resident).await;
    assert_eq!(application.proxy_org_id, world.org("committee:420103005001"));
    let application = window.asks_for_papers(&application).await;
    let application = resident.brings_papers(&application).await;
    assert_eq!(application.state(), ApplicationState::Accepted);
    let lead = world.org("dept:civil_affairs");
    let case = world.looks_at(&application.case_id).await;
    assert_eq!((case.state(), &case.lead_org_id), (CaseState::Dispatched, &lead), "{:?}", case.routing);
    let officer = world.handler_of(&lead);
    let application = officer.begins(&application).await;
    let application = looked_into(world, application, true).await;
    street.shows_publicly(&application).await;
    let notices = shown(world).await;
    let notice = notices.iter().find(|notice| notice.name_masked == "王**").expect("it is shown");
    assert_eq!(notice.item_code, ALLOWANCE);
    assert!(!format!("{notices:?}").contains("小明"));

    let object = ObjectToNoticeRequest {
        notice_id: notice.notice_id.clone(),
        request_id: request_id(),
        ground_code: "assets".into(),
        text: "他家上月买了车".into(),
    };
    let neighbour = world.resident(12);
    world
        .patient
        .applications()
        .object_to_notice(neighbour.asks(object).await)
        .await
        .expect("somebody objects");
    let application = resident.reads(&application).await;
    assert_eq!(application.state(), ApplicationState::Reinvestigating);
    assert!(shown(world).await.iter().all(|other| other.notice_id != notice.notice_id));
    let application = looked_into(world, application, true).await;
    let application = street.shows_publicly(&application).await;
    let leader = world.login("leader.civil_affairs");
    let early = ApproveApplicationRequest {
        case_id: application.case_id.clone(),
        request_id: request_id(),
        ..Default::default()
    };
    let early = world.patient.applications().approve_application(leader.asks(early).await).await;
    assert_eq!(early.expect_err("the notice runs").code(), Code::FailedPrecondition);

    // Seven days, and those by which a rest day moves the last one.
    world.pass(Duration::days(18)).await.expect("time passes");
    world.to_the_next_morning().await.expect("time passes");
    eventually("the notice to be gone", async || shown(world).await.is_empty().then_some(())).await;
    let application = leader.grants(&application).await;
    let application = officer.pays(&application).await;
    assert_eq!(application.state(), ApplicationState::Delivered);
    let case = world.sees_state(&case_of(&application), CaseState::Verifying).await;
    world.verifier().verifies(&case, 5).await;
    let case = resident.rates(&case, 5).await;
    let case = world.sees_state(&case, CaseState::Closed).await;
    assert_eq!((case.closed_code(), case.delivery_mode()), (ClosedCode::Resolved, DeliveryMode::GovDirect));
    assert_eq!(case.application_state(), ApplicationState::Delivered);
    counted(world, &case).await;
}

/// Applied for by a resident, looked into, refused: with reasons and remedies that the applicant reads.
pub async fn refused_in_writing(world: &World) {
    let resident = world.resident(13);
    let application = resident.applies(&resident).await;
    let application = world.window(COMMUNITY).takes_application_in(&application).await;
    let lead = world.org("dept:civil_affairs");
    let application = world.handler_of(&lead).begins(&application).await;
    let application = looked_into(world, application, false).await;
    let application = world.login("leader.civil_affairs").refuses(&application).await;
    let application = resident.reads(&application).await;
    let decision = application.decision.clone().expect("a decision");
    assert_eq!(decision.outcome(), ApplicationOutcome::Denied);
    assert!(decision.written_reason.contains("低保标准"));
    let remedies: Vec<RemedyKind> = decision.remedies.iter().map(|remedy| remedy.kind()).collect();
    assert_eq!(remedies, [RemedyKind::Reconsideration, RemedyKind::Litigation]);
    assert!(decision.remedies.iter().all(|remedy| remedy.due_time.is_some() && !remedy.body.is_empty()));
    let case = world.sees_state(&case_of(&application), CaseState::Verifying).await;
    assert_eq!(case.closed_code(), ClosedCode::Explained);
    counted(world, &case).await;
}

/// Analytics holds the case as case-routing does.
async fn counted(world: &World, case: &Case) {
    eventually("the case in analytics as it stands", async || {
        let facts = reconcile::digests(&world.patient, &world.operator, "analytics", "case").await.ok()?;
        let cases = reconcile::digests(&world.patient, &world.operator, "case-routing", "case").await.ok()?;
        (facts.get(&case.case_id)? == cases.get(&case.case_id)?).then_some(())
    })
    .await;
}
