//! Lasting benefits over gRPC: who has one is told sealed, re-checks begin by themselves and once per review day, and what
//! they come to.

use std::time::Duration;

use chassis::{
    Timestamp,
    auth::Role,
    clock::from_proto,
    event::Event,
    grpc::PeerChannel,
    proto::{
        EventMessage,
        case_routing::v1::{
            self as pb, ApplicationState as S, application_service_client::ApplicationServiceClient,
            catalogue_maintenance_service_client::CatalogueMaintenanceServiceClient,
            intake_service_client::IntakeServiceClient,
        },
    },
    testing::Persona,
};
use chrono::TimeDelta;
use diesel::{
    QueryableByName,
    sql_types::{BigInt, Timestamptz},
};
use diesel_async::RunQueryDsl;
use tonic::Code;
use uuid::Uuid;

use crate::support::{District, request_id};

/// The old-age allowance: no notice, no field check asked for, looked at again every twelve months; led by the street.
const ALLOWANCE: &str = "MZ-0103";
const TAG: &str = "gaoling";

/// A request about an application, with what else it says.
macro_rules! about {
    ($case_id:expr, $request:ident { $($field:ident: $value:expr),* $(,)? }) => {
        pb::$request {
            case_id: $case_id.to_owned(),
            request_id: request_id(),
            $($field: $value,)*
            ..Default::default()
        }
    };
}

/// Gives the application out of an answer that must have come.
macro_rules! done {
    ($call:expr) => {
        $call.await.unwrap().into_inner().application.unwrap()
    };
}

impl District {
    pub fn benefits(&self, persona: &Persona) -> ApplicationServiceClient<PeerChannel> {
        ApplicationServiceClient::new(self.service.call_as(persona))
    }

    pub async fn benefit_of(&self, case_id: &str) -> pb::Benefit {
        let get = pb::GetApplicationRequest { case_id: case_id.to_owned() };
        done!(self.benefits(&self.leader()).get_application(get)).benefit.unwrap()
    }

    /// Applied for and taken in.
    pub async fn applied_for(&self, resident: &Persona) -> String {
        let request = pb::SubmitApplicationRequest {
            request_id: request_id(),
            item_code: ALLOWANCE.into(),
            place_unit_id: self.community.to_string(),
            text: "年满八十周岁，申请高龄津贴".into(),
            notice_version: "1".into(),
            material_refs: vec!["doc:id".into()],
            ..Default::default()
        };
        let way = done!(self.benefits(resident).submit_application(request));
        let accept = about!(way.case_id, AcceptApplicationRequest {});
        done!(self.benefits(&self.window()).accept_application(accept)).case_id
    }

    /// Looked into at the window and summed up at the street.
    async fn summed_up(&self, case_id: &str, recommends_grant: bool) {
        let head = Persona::new(Role::StreetDispatcher, self.street).org(self.office);
        let start = about!(case_id, StartInvestigationRequest {});
        let begun = done!(self.benefits(&head).start_investigation(start));
        assert_eq!(begun.benefit, None, "a command tells of what it changed");
        let check = about!(
            case_id,
            RecordInvestigationRequest {
                kind: pb::InvestigationKind::HomeVisit.into(),
                finding_code: "as_stated".into(),
                evidence_refs: vec!["photo:1".into()],
            }
        );
        let way = done!(self.benefits(&self.window()).record_investigation(check));
        let went = &way.investigations[0];
        assert!(went.complete && went.signatures.len() == 1, "{went:?}");
        assert_eq!(went.signatures[0].org_id, self.station.to_string());
        let sum = about!(
            case_id,
            ReviewApplicationRequest {
                recommends_grant: recommends_grant,
                reason_code: "facts_clear".into()
            }
        );
        done!(self.benefits(&head).review_application(sum));
    }

    pub async fn granted(&self, case_id: &str) -> pb::Application {
        self.summed_up(case_id, true).await;
        let grant = about!(case_id, ApproveApplicationRequest { amount_fen: 10_000 });
        done!(self.benefits(&self.leader()).approve_application(grant));
        let deliver = about!(case_id, DeliverApplicationRequest { delivery_ref: "pay:1".into() });
        done!(self.benefits(&self.leader()).deliver_application(deliver))
    }

    async fn refused(&self, case_id: &str) -> pb::Application {
        self.summed_up(case_id, false).await;
        let refusal = about!(
            case_id,
            DenyApplicationRequest {
                reason_code: "condition_not_met".into(),
                written_reason: "户籍已迁出本市，不再符合条件。".into(),
                reconsideration_body: "江汉区人民政府".into(),
                court: "江汉区人民法院".into(),
            }
        );
        done!(self.benefits(&self.leader()).deny_application(refusal))
    }

    /// How many benefits are due for a re-check at an instant, as the sweeper asks.
    pub async fn due_at(&self, at: Timestamp) -> i64 {
        #[derive(QueryableByName)]
        struct Row {
            #[diesel(sql_type = BigInt)]
            due: i64,
        }
        let mut conn = self.service.db().conn().await.unwrap();
        let due = diesel::sql_query("SELECT count(*) AS due FROM benefits WHERE due_at <= $1");
        let row: Row = due.bind::<Timestamptz, _>(at).get_result(&mut conn).await.unwrap();
        row.due
    }

    /// The review day of a benefit comes, the only one then; gives its re-check.
    pub async fn review_day(&self, benefit: &pb::Benefit) -> String {
        let review = from_proto(benefit.review_time.as_ref().unwrap()).unwrap();
        let wait = (review - self.service.clock().now()).to_std().unwrap();
        let before = benefit.rechecks.len();
        assert_eq!(self.due_at(review - TimeDelta::seconds(1)).await, 0, "not a second early");
        assert_eq!(self.due_at(review).await, 1);
        self.service.clock().advance(wait - Duration::from_secs(1));
        assert_eq!(self.benefit_of(&benefit.benefit_id).await.rechecks.len(), before);
        self.service.clock().advance(Duration::from_secs(1));
        let begun = async || self.benefit_of(&benefit.benefit_id).await.rechecks.len() > before;
        self.service.wait_for("the re-check", begun).await;
        let now = self.benefit_of(&benefit.benefit_id).await;
        assert_eq!((now.state(), now.rechecks.len()), (pb::BenefitState::UnderReview, before + 1));
        assert_eq!(now.rechecks[before].outcome(), pb::RecheckOutcome::Open);
        assert_eq!(now.rechecks[before].review_time, benefit.review_time);
        now.rechecks[before].case_id.clone()
    }

    /// From now on the item grants nothing that lasts.
    async fn tags_no_more(&self) {
        let drafter = Persona::new(Role::DistrictDispatcher, self.district);
        let approver = Persona::new(Role::Arbiter, self.district);
        let import = pb::ImportCatalogueRequest {
            request_id: request_id(),
            file: format!("item_code,benefit_tag,review_months\n{ALLOWANCE},,\n").into_bytes(),
            format: pb::TableFormat::Csv.into(),
            reason_code: "reform".into(),
            ..Default::default()
        };
        let mut drafts = CatalogueMaintenanceServiceClient::new(self.service.call_as(&drafter));
        let found = drafts.import_catalogue(import).await.unwrap().into_inner();
        assert_eq!((&found.problems, found.changed), (&vec![], 1));
        let activate = pb::ActivateCatalogueVersionRequest {
            catalogue_version: found.version.unwrap().catalogue_version,
            request_id: request_id(),
            effective_on: String::new(),
        };
        let mut rulers = CatalogueMaintenanceServiceClient::new(self.service.call_as(&approver));
        rulers.activate_catalogue_version(activate).await.unwrap();
    }
}

/// Those of a type, with their versions.
pub fn of_type<M: EventMessage>(told: &[Event]) -> Vec<(i64, M)> {
    let of = told.iter().filter(|event| event.is::<M>());
    of.map(|event| (event.aggregate_version, event.decode().unwrap())).collect()
}

#[tokio::test]
async fn who_has_a_benefit_is_told_sealed_and_to_nobody_else() {
    let d = District::start().await;
    let resident = Persona::resident(d.district);
    let case_id = d.applied_for(&resident).await;
    let way = d.granted(&case_id).await;
    let shown = way.benefit.clone().unwrap();
    assert_eq!((shown.tag_code.as_str(), shown.state()), (TAG, pb::BenefitState::Active));
    assert_eq!(shown.benefit_id, case_id);
    let stands = d.benefit_of(&case_id).await;
    assert_eq!((&stands.review_time, stands.since_time.is_some()), (&shown.review_time, true));

    let told = d.service.drain_outbox().await;
    let granted: Vec<(i64, pb::BenefitGranted)> = of_type(&told);
    let [(1, granted)] = &granted[..] else { panic!("told once: {granted:?}") };
    assert_eq!((granted.benefit_id.as_str(), granted.tag_code.as_str()), (case_id.as_str(), TAG));
    assert_eq!(granted.review_time, shown.review_time);
    let bound: Uuid = case_id.parse().unwrap();
    let crypto = &d.service.context.crypto;
    let holder = crypto.open("benefit_holder", &granted.holder_sealed, bound.as_bytes()).unwrap();
    assert_eq!(holder, resident.person_id.as_bytes());
    let text = resident.person_id.to_string();
    for event in &told {
        let data = &event.data[..];
        let holds = |needle: &[u8]| data.windows(needle.len()).any(|part| part == needle);
        let told_of = [text.as_bytes(), resident.person_id.as_bytes()].into_iter().any(holds);
        assert!(!told_of, "{} names the person", event.r#type);
    }
    d.service.stop().await;
}

#[tokio::test]
async fn on_each_review_day_one_recheck_begins_and_renews_or_ends_the_benefit() {
    let d = District::start().await;
    let other = d.another().await; // which keeps the same days
    let resident = Persona::resident(d.district);
    let case_id = d.applied_for(&resident).await;
    d.granted(&case_id).await;
    let first = d.benefit_of(&case_id).await;
    d.service.drain_outbox().await;

    let recheck = d.review_day(&first).await;
    let told = d.service.drain_outbox().await;
    let begun: Vec<(i64, pb::ApplicationRecheckBegun)> = of_type(&told);
    assert_eq!(begun.len(), 1, "once, however many look");
    assert_eq!((&begun[0].1.case_id, &begun[0].1.benefit_id), (&recheck, &case_id));
    let case = d.read(&pb::Case { case_id: recheck.clone(), ..Default::default() }).await;
    assert_eq!((case.state(), case.application_state()), (pb::CaseState::Dispatched, S::Accepted));
    assert_eq!((&case.parent_case_id, case.origin()), (&case_id, pb::Origin::TopDown));
    assert_eq!(case.first_receiver_org_id, d.station.to_string());
    let held: Vec<(&str, pb::TaskPart)> =
        case.tasks.iter().map(|task| (task.org_id.as_str(), task.part())).collect();
    let (office, station) = (d.office.to_string(), d.station.to_string());
    assert_eq!(held, [(office.as_str(), pb::TaskPart::Lead), (station.as_str(), pb::TaskPart::Assist)]);
    let get = pb::GetApplicationRequest { case_id: recheck.clone() };
    let own = done!(d.benefits(&resident).get_application(get));
    assert_eq!((&own.recheck_of_case_id, own.benefit.unwrap().benefit_id), (&case_id, case_id.clone()));
    let withdraw = about!(recheck, WithdrawApplicationRequest { reason_code: "not_needed".into() });
    let refused = d.benefits(&resident).withdraw_application(withdraw).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition, "it is decided, not withdrawn");

    // Nobody asked for the re-check: who applies for the same now does so for the first time in a year.
    d.service.drain_outbox().await;
    let anew = d.applied_for(&resident).await;
    let taken_in: Vec<(i64, pb::CaseAccepted)> = of_type(&d.service.drain_outbox().await);
    let taken_in = taken_in.iter().find(|(_, accepted)| accepted.case_id == anew).unwrap();
    assert!(!taken_in.1.facts.as_ref().unwrap().repeats);

    d.granted(&recheck).await;
    let second = d.benefit_of(&case_id).await;
    assert_eq!(second.state(), pb::BenefitState::Active);
    assert_eq!(second.rechecks[0].outcome(), pb::RecheckOutcome::Renewed);
    let seconds = |benefit: &pb::Benefit| benefit.review_time.as_ref().unwrap().seconds;
    assert!(seconds(&second) > seconds(&first) + 300 * 86_400);
    let told = d.service.drain_outbox().await;
    let renewed: Vec<(i64, pb::BenefitRenewed)> = of_type(&told);
    let [(3, renewed)] = &renewed[..] else { panic!("{renewed:?}") };
    assert_eq!((&renewed.benefit_id, &renewed.review_time), (&case_id, &second.review_time));
    assert!(of_type::<pb::BenefitGranted>(&told).is_empty(), "it is the same benefit");

    let again = d.review_day(&second).await;
    assert_ne!(again, recheck);
    let way = d.refused(&again).await;
    assert_eq!((way.state(), way.decision.unwrap().remedies.len()), (S::Denied, 2));
    assert_eq!(way.benefit.unwrap().state(), pb::BenefitState::Ended);
    let ended = d.benefit_of(&case_id).await;
    assert_eq!(
        (ended.state(), ended.end_reason_code.as_str()),
        (pb::BenefitState::Ended, "condition_not_met")
    );
    assert!(ended.ended_time.is_some() && ended.rechecks[1].outcome() == pb::RecheckOutcome::Ended);
    let told = d.service.drain_outbox().await;
    let gone: Vec<(i64, pb::BenefitEnded)> = of_type(&told);
    let [(5, gone)] = &gone[..] else { panic!("{gone:?}") };
    assert_eq!((&gone.benefit_id, gone.reason_code.as_str()), (&case_id, "condition_not_met"));
    assert_eq!(ended.rechecks.len(), 2, "one for each review, however many look");
    other.stop().await.unwrap();
    d.service.stop().await;
}

#[tokio::test]
async fn a_recheck_that_is_dispatched_by_hand_goes_to_the_first_receiver_too() {
    let d = District::start().await;
    let case_id = d.applied_for(&Persona::resident(d.district)).await;
    d.granted(&case_id).await;
    let recheck = d.review_day(&d.benefit_of(&case_id).await).await;
    let mut intake = IntakeServiceClient::new(d.service.call_as(&d.dispatcher()));
    let recall = pb::RecallCaseRequest {
        case_id: recheck.clone(),
        request_id: request_id(),
        reason_code: "mis_dispatch".into(),
        ..Default::default()
    };
    let district = Persona::new(Role::DistrictDispatcher, d.district).org(d.gov);
    let mut sender = IntakeServiceClient::new(d.service.call_as(&district));
    sender.recall_case(recall).await.unwrap();
    let dispatch = pb::DispatchCaseRequest {
        case_id: recheck,
        request_id: request_id(),
        lead_org_id: d.office.to_string(),
        reason_code: "dispatcher_knows".into(),
        ..Default::default()
    };
    let sent = intake.dispatch_case(dispatch).await.unwrap().into_inner().case.unwrap();
    let issued = sent.tasks.iter().filter(|task| task.state() == pb::TaskState::Issued);
    let held: Vec<(&str, pb::TaskPart)> = issued.map(|task| (task.org_id.as_str(), task.part())).collect();
    let (office, station) = (d.office.to_string(), d.station.to_string());
    assert_eq!(held, [(office.as_str(), pb::TaskPart::Lead), (station.as_str(), pb::TaskPart::Assist)]);
    d.service.stop().await;
}

#[tokio::test]
async fn a_benefit_of_an_item_that_tags_nobody_any_more_is_rechecked_again_and_again() {
    let d = District::start().await;
    let case_id = d.applied_for(&Persona::resident(d.district)).await;
    d.granted(&case_id).await;
    d.tags_no_more().await;
    let seconds = |benefit: &pb::Benefit| benefit.review_time.as_ref().unwrap().seconds;
    let mut benefit = d.benefit_of(&case_id).await;
    d.service.drain_outbox().await;
    for round in 1..=2 {
        let recheck = d.review_day(&benefit).await;
        let begun: Vec<(i64, pb::ApplicationRecheckBegun)> = of_type(&d.service.drain_outbox().await);
        let facts = begun[0].1.facts.as_ref().unwrap();
        assert_eq!((begun.len(), facts.item_code.as_str(), facts.item_version), (1, ALLOWANCE, 2));
        d.granted(&recheck).await;
        d.service.drain_outbox().await;
        let renewed = d.benefit_of(&case_id).await;
        assert_eq!((renewed.state(), renewed.tag_code.as_str()), (pb::BenefitState::Active, TAG));
        assert_eq!(renewed.rechecks.len(), round);
        assert_eq!(renewed.rechecks[round - 1].outcome(), pb::RecheckOutcome::Renewed);
        assert!(
            seconds(&renewed) > seconds(&benefit) + 300 * 86_400,
            "by the months that it was granted for"
        );
        benefit = renewed;
    }
    // Who applies now has it for once.
    let late = d.applied_for(&Persona::resident(d.district)).await;
    assert_eq!(d.granted(&late).await.benefit, None);
    d.service.stop().await;
}

#[tokio::test]
async fn a_review_that_came_while_nothing_ran_is_caught_up_by_the_next_start() {
    let d = District::with("sweep_ms", 600_000_i64).await;
    let case_id = d.applied_for(&Persona::resident(d.district)).await;
    d.granted(&case_id).await;
    let benefit = d.benefit_of(&case_id).await;
    d.review_day(&benefit).await;
    // Had it stopped between the day and the re-check: due again, and taken up by another that starts.
    d.granted(&d.benefit_of(&case_id).await.rechecks[0].case_id).await;
    {
        let mut conn = d.service.db().conn().await.unwrap();
        let past = "UPDATE benefits SET review_at = review_at - interval '400 days', \
                    due_at = due_at - interval '400 days'";
        assert_eq!(diesel::sql_query(past).execute(&mut conn).await.unwrap(), 1);
    }
    let other = d.another().await;
    let begun = async || d.benefit_of(&case_id).await.rechecks.len() == 2;
    d.service.wait_for("what was missed", begun).await;
    other.stop().await.unwrap();
    d.service.stop().await;
}
