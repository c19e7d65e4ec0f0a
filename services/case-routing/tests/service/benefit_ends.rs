//! Benefits that end outside of a re-check, over gRPC: by a clerk within reach, once, in writing.

use chassis::{
    auth::Role,
    clock::{from_proto, new_id},
    proto::case_routing::v1::{self as pb, ApplicationState as S},
    testing::Persona,
};
use diesel::{QueryableByName, sql_types::Bool};
use diesel_async::RunQueryDsl;
use tonic::{Code, Status};

use crate::{
    benefits::of_type,
    support::{District, printed, request_id},
};

/// What the clerk writes.
const STATEMENT: &str = "本人已于三月迁至外省，户口迁移证复印件附后。";

fn ends(benefit_id: &str, ground: pb::BenefitGround) -> pb::EndBenefitRequest {
    let told = |body: &str| if ground == pb::BenefitGround::Died { String::new() } else { body.to_owned() };
    pb::EndBenefitRequest {
        benefit_id: benefit_id.to_owned(),
        request_id: request_id(),
        etag: String::new(),
        ground: ground.into(),
        ended_on: "2026-03-02".into(),
        statement: STATEMENT.into(),
        reconsideration_body: told("江汉区人民政府"),
        court: told("江汉区人民法院"),
    }
}

impl District {
    async fn ended(&self, by: &Persona, request: pb::EndBenefitRequest) -> Result<pb::Benefit, Status> {
        let answer = self.benefits(by).end_benefit(request).await?;
        Ok(answer.into_inner().benefit.unwrap())
    }

    /// As somebody reads it.
    async fn way(&self, reader: &Persona, case_id: &str) -> pb::Application {
        let get = pb::GetApplicationRequest { case_id: case_id.to_owned() };
        self.benefits(reader).get_application(get).await.unwrap().into_inner().application.unwrap()
    }

    /// Whether what the clerk wrote stands anywhere in the clear, also in bytes, which are printed as hexadecimal digits.
    async fn tells(&self, table: &str) -> bool {
        #[derive(QueryableByName)]
        struct Row {
            #[diesel(sql_type = Bool)]
            found: bool,
        }
        let mut conn = self.service.db().conn().await.unwrap();
        let query = format!(
            "SELECT coalesce(bool_or(position('{STATEMENT}' IN to_jsonb(t)::text) > 0 \
             OR position('{}' IN to_jsonb(t)::text) > 0), false) AS found FROM {table} t",
            printed(STATEMENT.as_bytes())
        );
        let row: Row = diesel::sql_query(query).get_result(&mut conn).await.unwrap();
        row.found
    }
}

#[tokio::test]
async fn a_clerk_ends_the_benefit_of_who_moved_away_once_and_the_person_reads_the_decision() {
    let d = District::start().await;
    let resident = Persona::resident(d.district);
    let case_id = d.applied_for(&resident).await;
    d.granted(&case_id).await;
    let review = from_proto(d.benefit_of(&case_id).await.review_time.as_ref().unwrap()).unwrap();
    d.service.drain_outbox().await;

    let ended = d.ended(&d.window(), ends(&case_id, pb::BenefitGround::MovedAway)).await.unwrap();
    let again = d.ended(&d.window(), ends(&case_id, pb::BenefitGround::GivenUp)).await.unwrap_err();
    assert_eq!(again.code(), Code::FailedPrecondition, "it has ended");
    assert_eq!((ended.state(), ended.end_reason_code.as_str()), (pb::BenefitState::Ended, "ended"));
    assert!(ended.ended_time.is_some() && ended.rechecks.is_empty());

    let told = d.service.drain_outbox().await;
    let gone: Vec<(i64, pb::BenefitEnded)> = of_type(&told);
    let [(2, gone)] = &gone[..] else { panic!("told once: {gone:?}") };
    assert_eq!((&gone.benefit_id, gone.reason_code.as_str()), (&case_id, "ended"));
    assert_eq!(told.len(), 1, "nothing else is told of it");
    assert_eq!(d.due_at(review).await, 0, "nothing is looked at again");

    let ending = d.way(&resident, &case_id).await.benefit.unwrap().ending.unwrap();
    assert_eq!((ending.ground(), ending.ended_on.as_str()), (pb::BenefitGround::MovedAway, "2026-03-02"));
    assert_eq!((ending.statement.as_str(), ending.org_id), (STATEMENT, d.station.to_string()));
    let kinds: Vec<pb::RemedyKind> = ending.remedies.iter().map(pb::Remedy::kind).collect();
    assert_eq!(kinds, [pb::RemedyKind::Reconsideration, pb::RemedyKind::Litigation]);
    for table in ["applications", "benefits", "cases", "timeline", "outbox", "idempotency"] {
        assert!(!d.tells(table).await, "{table} tells what was written");
    }
    d.service.stop().await;
}

#[tokio::test]
async fn a_repeated_request_is_answered_as_the_first() {
    let d = District::start().await;
    let case_id = d.applied_for(&Persona::resident(d.district)).await;
    d.granted(&case_id).await;
    d.service.drain_outbox().await;
    let (clerk, request) = (d.window(), ends(&case_id, pb::BenefitGround::GivenUp));
    let first = d.ended(&clerk, request.clone()).await.unwrap();
    assert_eq!(d.ended(&clerk, request).await.unwrap(), first);
    assert_eq!(of_type::<pb::BenefitEnded>(&d.service.drain_outbox().await).len(), 1);
    d.service.stop().await;
}

#[tokio::test]
async fn of_a_death_nobody_is_told_and_an_open_recheck_ends_with_the_benefit() {
    let d = District::start().await;
    let resident = Persona::resident(d.district);
    let case_id = d.applied_for(&resident).await;
    d.granted(&case_id).await;
    let recheck = d.review_day(&d.benefit_of(&case_id).await).await;
    d.service.drain_outbox().await;

    let heard = pb::EndBenefitRequest {
        court: "江汉区人民法院".into(),
        ..ends(&case_id, pb::BenefitGround::Died)
    };
    let refused = d.ended(&d.dispatcher(), heard).await.unwrap_err();
    assert!(refused.code() == Code::InvalidArgument && refused.message().starts_with("court"), "{refused}");
    let ended = d.ended(&d.dispatcher(), ends(&case_id, pb::BenefitGround::Died)).await.unwrap();
    assert_eq!(ended.rechecks[0].outcome(), pb::RecheckOutcome::Ended);
    assert_eq!(ended.ending.as_ref().map(|ending| ending.remedies.len()), Some(0));

    let told = d.service.drain_outbox().await;
    let gone: Vec<(i64, pb::BenefitEnded)> = of_type(&told);
    let [(3, gone)] = &gone[..] else { panic!("{gone:?}") };
    assert_eq!((&gone.benefit_id, gone.reason_code.as_str()), (&case_id, "ended"), "not that somebody died");
    let withdrawn: Vec<(i64, pb::CaseWithdrawn)> = of_type(&told);
    assert_eq!((withdrawn.len(), withdrawn[0].1.reason_code.as_str()), (1, "benefit_ended"));
    assert_eq!(withdrawn[0].1.case_id, recheck);
    let over = d.way(&d.leader(), &recheck).await;
    assert_eq!((over.state(), over.case_state()), (S::Withdrawn, pb::CaseState::Withdrawn));
    // Officials read on the re-check, too, what was written; the account of the dead does not.
    let ending = over.benefit.unwrap().ending.unwrap();
    assert_eq!((ending.ground(), ending.statement.as_str()), (pb::BenefitGround::Died, STATEMENT));
    let own = d.way(&resident, &case_id).await.benefit.unwrap().ending.unwrap();
    assert_eq!((own.ground(), own.statement.as_str()), (pb::BenefitGround::Died, ""));
    d.service.stop().await;
}

#[tokio::test]
async fn whoever_has_it_cannot_reach_it_or_comes_too_late_ends_nothing() {
    let d = District::start().await;
    let resident = Persona::resident(d.district);
    let case_id = d.applied_for(&resident).await;
    let request = || ends(&case_id, pb::BenefitGround::GivenUp);
    let refused =
        async |by: &Persona, request: pb::EndBenefitRequest| d.ended(by, request).await.unwrap_err().code();
    assert_eq!(refused(&d.window(), request()).await, Code::NotFound, "nothing was granted yet");
    d.granted(&case_id).await;
    let elsewhere = Persona::new(Role::ServiceWorker, d.other_street).org(d.other_office);
    assert_eq!(refused(&elsewhere, request()).await, Code::NotFound);
    let unknown = ends(&new_id().to_string(), pb::BenefitGround::GivenUp);
    assert_eq!(refused(&d.window(), unknown).await, Code::NotFound);
    assert_eq!(refused(&resident, request()).await, Code::PermissionDenied, "by a clerk");
    let own = Persona { person_id: resident.person_id, ..d.window() };
    assert_eq!(refused(&own, request()).await, Code::PermissionDenied, "who has it steps aside");
    // Who reaches the place has nothing to do with the benefit.
    let other = Persona::new(Role::DeptLeader, d.district).org(d.centre);
    assert_eq!(refused(&other, request()).await, Code::PermissionDenied, "not in charge");
    let stale = pb::EndBenefitRequest { etag: "1".into(), ..request() };
    assert_eq!(refused(&d.window(), stale).await, Code::Aborted);
    let early = pb::EndBenefitRequest { ended_on: "2026-03-03".into(), ..request() };
    assert_eq!(refused(&d.window(), early).await, Code::InvalidArgument, "the day has not come");
    assert_eq!(d.benefit_of(&case_id).await.state(), pb::BenefitState::Active);
    // Of several organisations the one that may ends it, whichever comes first.
    let mut both = other.also(Role::ServiceWorker, d.community);
    both.scopes[1].org_id = Some(d.station);
    let ended = d.ended(&both, request()).await.unwrap();
    assert_eq!(ended.ending.map(|ending| ending.org_id), Some(d.station.to_string()));
    d.service.stop().await;
}
