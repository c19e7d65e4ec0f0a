//! An offer's life over real gRPC and a real database: what case-routing says, what the partner answers, what is told.

use crate::support::{World, accept, closed, completion, refusal};
use chassis::{
    clock::new_id,
    proto::{
        case_routing::v1::{
            CaseClosed, CaseOfferWithdrawn, CaseReturnedFromSociety, CaseReworkOrdered, CaseWithdrawn,
            ClockMoved,
        },
        ops::v1::{ListDigestsRequest, ops_service_client::OpsServiceClient},
        volunteer_matching::v1::{
            AcceptOfferRequest, CompleteOfferRequest, DeclineOfferRequest, GetOfferRequest,
            GiveUpOfferRequest, ListOffersRequest, ListServiceRecordsRequest, OfferState, ServiceRecord,
            ServiceRecordLocked, ServiceRecordState, SocialAccepted, SocialCompleted, SocialDeclined,
            SocialGaveUp,
        },
    },
    testing::Persona,
};
use diesel_async::SimpleAsyncConnection as _;
use tonic::Code;
use uuid::Uuid;

pub async fn records(world: &World, offer_id: Uuid) -> Vec<ServiceRecord> {
    let request = ListServiceRecordsRequest { offer_id: offer_id.to_string(), ..Default::default() };
    let answer = world.volunteers(&world.manager).list_service_records(request).await;
    answer.expect("listed").into_inner().records
}

pub async fn digest(world: &World, offer_id: Uuid) -> String {
    let operator = Persona::new(chassis::auth::Role::ItOperator, world.street);
    let mut ops = OpsServiceClient::new(world.service.call_as(&operator));
    let request = ListDigestsRequest { subject: "offer".into(), ..Default::default() };
    let digests = ops.list_digests(request).await.expect("listed").into_inner().digests;
    let found = digests.into_iter().find(|digest| digest.key == offer_id.to_string());
    found.map(|digest| digest.value).unwrap_or_default()
}

#[tokio::test]
async fn of_what_it_does_not_hold_it_lists_no_digests() {
    let world = World::start().await;
    let operator = Persona::new(chassis::auth::Role::ItOperator, world.street);
    let mut ops = OpsServiceClient::new(world.service.call_as(&operator));
    let request = ListDigestsRequest { subject: "offers".into(), ..Default::default() };
    let refused = refusal(ops.list_digests(request).await);
    assert_eq!(refused, (Code::InvalidArgument, vec!["subject".to_owned()]));
}

/// How often the offer has changed, its making counted.
async fn version(world: &World, offer_id: Uuid) -> i64 {
    world.get(offer_id).await.etag.parse().expect("a version")
}

#[tokio::test]
async fn an_offer_is_made_once_and_ranks_the_organisations_volunteers() {
    let world = World::start().await;
    let (volunteer, _) = world.volunteer().await;
    let (case_id, offer_id) = (new_id(), new_id());
    world.tell("case-routing", case_id, &world.offered(case_id, offer_id)).await;

    let listed = world.offers(&world.manager).list_offers(ListOffersRequest::default()).await;
    let offers = listed.expect("listed").into_inner().offers;
    assert_eq!(offers.len(), 1);
    let offer = &offers[0];
    assert_eq!((offer.state(), offer.item_code.as_str()), (OfferState::Offered, "CJ-0142"));
    assert_eq!(offer.place_unit_id, world.street.to_string());
    assert_eq!(offer.candidates.len(), 1);
    assert!(offer.candidates[0].reasons.iter().any(|reason| reason.starts_with("skill:")));
    assert_eq!(world.rows().await, [1, 1, 0, 0, 0]);
    assert_eq!(digest(&world, offer_id).await, "open;records=0");

    // The volunteer has not been named: nothing to see.
    let mut own = world.offers(&volunteer);
    assert!(
        own.list_offers(ListOffersRequest::default()).await.expect("listed").into_inner().offers.is_empty()
    );
}

#[tokio::test]
async fn an_accepted_confirmed_completed_and_closed_offer_gives_one_locked_record() {
    let world = World::start().await;
    let (volunteer, _) = world.volunteer().await;
    let (case_id, offer_id) = world.offer().await;
    let accepted = world.offers(&world.manager).accept_offer(accept(offer_id)).await.expect("accepted");
    assert_eq!(accepted.into_inner().offer.expect("an offer").state(), OfferState::Accepted);
    let told = world.service.drain_outbox().await;
    assert_eq!(told.len(), 1);
    let event: SocialAccepted = told[0].decode().expect("SocialAccepted");
    assert_eq!((event.case_id, event.offer_id), (case_id.to_string(), offer_id.to_string()));
    assert_eq!(event.volunteer_ref, volunteer.actor_ref);
    assert_eq!(told[0].partition_key, case_id);
    assert_eq!(told[0].actor_ref.as_deref(), Some(world.manager.actor_ref.as_str()));

    // Nobody completes what is not confirmed.
    let early = world.offers(&world.manager).complete_offer(completion(offer_id, 60)).await;
    assert_eq!(refusal(early).0, Code::FailedPrecondition);

    world.tell("case-routing", case_id, &world.confirmation(case_id, offer_id)).await;
    assert_eq!(world.get(offer_id).await.state(), OfferState::Confirmed);
    assert_eq!(digest(&world, offer_id).await, "confirmed;records=0");

    // The volunteer reports the own work.
    let done = world.offers(&volunteer).complete_offer(completion(offer_id, 90)).await.expect("completed");
    let done = done.into_inner().offer.expect("an offer");
    assert_eq!(done.state(), OfferState::Completed);
    assert!(done.candidates.is_empty(), "who else was ranked is the organisation's matter");
    let told = world.service.drain_outbox().await;
    let event: SocialCompleted = told[0].decode().expect("SocialCompleted");
    assert_eq!((event.minutes, event.evidence_refs), (90, vec!["photo:after".to_owned()]));
    let drafted = records(&world, offer_id).await;
    assert_eq!(drafted.len(), 1);
    assert_eq!((drafted[0].minutes, drafted[0].state()), (90, ServiceRecordState::Drafted));
    assert_eq!(digest(&world, offer_id).await, "completed;records=1");

    world.tell("case-routing", case_id, &closed(case_id, offer_id)).await;
    let told = world.service.drain_outbox().await;
    assert_eq!(told.len(), 1, "one lock however often the case is closed");
    let event: ServiceRecordLocked = told[0].decode().expect("ServiceRecordLocked");
    assert_eq!((event.record_id, event.minutes), (drafted[0].record_id.clone(), 90));
    assert_eq!(event.volunteer_ref, volunteer.actor_ref);
    let locked = records(&world, offer_id).await;
    assert_eq!((locked.len(), locked[0].state()), (1, ServiceRecordState::Locked));
    assert_eq!(digest(&world, offer_id).await, "completed;records=1");
}

#[tokio::test]
async fn all_goes_on_beside_a_migration_that_adds_a_column_to_every_table() {
    let world = World::start().await;
    for migrated in [false, true] {
        if migrated {
            world.service.add_columns().await;
        }
        let (volunteer, _) = world.volunteer().await;
        let (_, offer_id) = world.confirmed().await;
        assert_eq!(world.complete(offer_id, 30).await.state(), OfferState::Completed);
        assert_eq!(records(&world, offer_id).await.len(), 1);
        world.offers(&volunteer).list_offers(ListOffersRequest::default()).await.expect("listed");
    }
}

#[tokio::test]
async fn rework_voids_the_record_and_a_second_completion_makes_a_new_one() {
    let world = World::start().await;
    let (case_id, offer_id) = world.confirmed().await;
    world.complete(offer_id, 30).await;
    let rework = CaseReworkOrdered {
        case_id: case_id.to_string(),
        offer_id: offer_id.to_string(),
        ..Default::default()
    };
    world.tell("case-routing", case_id, &rework).await;
    assert_eq!(world.get(offer_id).await.state(), OfferState::Confirmed);
    assert_eq!(digest(&world, offer_id).await, "confirmed;records=0");
    world.complete(offer_id, 45).await;
    let mut found: Vec<_> =
        records(&world, offer_id).await.iter().map(|record| (record.minutes, record.state())).collect();
    found.sort_unstable();
    assert_eq!(found, [(30, ServiceRecordState::Voided), (45, ServiceRecordState::Drafted)]);
    world.service.drain_outbox().await;
    world.tell("case-routing", case_id, &closed(case_id, offer_id)).await;
    let told = world.service.drain_outbox().await;
    assert_eq!(told[0].decode::<ServiceRecordLocked>().expect("locked").minutes, 45);
    // A rework that comes after the hours were locked changes nothing: they count once.
    world.tell("case-routing", case_id, &rework).await;
    assert_eq!(world.get(offer_id).await.state(), OfferState::Completed);
}

#[tokio::test]
async fn a_decline_and_a_give_up_are_told_and_end_the_offer() {
    let world = World::start().await;
    let (case_id, offer_id) = world.offer().await;
    let decline = DeclineOfferRequest {
        offer_id: offer_id.to_string(),
        request_id: new_id().to_string(),
        reason_code: "no_capacity".into(),
        etag: String::new(),
    };
    world.offers(&world.manager).decline_offer(decline).await.expect("declined");
    let told = world.service.drain_outbox().await;
    let event: SocialDeclined = told[0].decode().expect("SocialDeclined");
    assert_eq!((event.case_id, event.reason_code.as_str()), (case_id.to_string(), "no_capacity"));
    assert_eq!(digest(&world, offer_id).await, "withdrawn;records=0");
    let late = world.offers(&world.manager).accept_offer(accept(offer_id)).await;
    assert_eq!(refusal(late).0, Code::FailedPrecondition);

    let (_, offer_id) = world.confirmed().await;
    let give_up = GiveUpOfferRequest {
        offer_id: offer_id.to_string(),
        request_id: new_id().to_string(),
        reason_code: "volunteer_ill".into(),
        etag: String::new(),
    };
    world.offers(&world.manager).give_up_offer(give_up).await.expect("given up");
    let told = world.service.drain_outbox().await;
    assert_eq!(told[0].decode::<SocialGaveUp>().expect("SocialGaveUp").offer_id, offer_id.to_string());
    assert_eq!(world.get(offer_id).await.state(), OfferState::GivenUp);
}

#[tokio::test]
async fn an_offer_waits_longer_when_the_calendar_moves_its_clock() {
    let world = World::start().await;
    let (case_id, offer_id) = world.offer().await;
    let before = world.get(offer_id).await.due_time.and_then(|at| chassis::clock::from_proto(&at)).unwrap();
    let later = before + chrono::Duration::days(3);
    let moved = |due| ClockMoved {
        case_id: case_id.to_string(),
        offer_id: offer_id.to_string(),
        due_time: Some(chassis::clock::to_proto(due)),
        ..Default::default()
    };
    world.tell("case-routing", case_id, &moved(later)).await;
    let due = world.get(offer_id).await.due_time.and_then(|at| chassis::clock::from_proto(&at));
    assert_eq!(due, Some(later));
    world.tell("case-routing", case_id, &moved(before)).await;
    let due = world.get(offer_id).await.due_time.and_then(|at| chassis::clock::from_proto(&at));
    assert_eq!(due, Some(later), "never earlier");
    world.service.clock().advance(std::time::Duration::from_secs(2 * 86_400));
    world.offers(&world.manager).accept_offer(accept(offer_id)).await.expect("still in time");
}

#[tokio::test]
async fn case_routing_takes_offers_back_and_late_events_change_nothing() {
    let world = World::start().await;
    let withdrawal = |case_id: Uuid, offer_id: Uuid, reason: &str| CaseOfferWithdrawn {
        case_id: case_id.to_string(),
        offer_id: offer_id.to_string(),
        reason_code: reason.to_owned(),
        ..Default::default()
    };
    let (case_id, offer_id) = world.offer().await;
    world.tell("case-routing", case_id, &withdrawal(case_id, offer_id, "timed_out")).await;
    assert_eq!(world.get(offer_id).await.state(), OfferState::Expired);
    // The confirmation of something that has ended, and the other way to say that it ended, are late.
    world.tell("case-routing", case_id, &world.confirmation(case_id, offer_id)).await;
    world.tell("case-routing", case_id, &withdrawal(case_id, offer_id, "too_late")).await;
    assert_eq!(world.get(offer_id).await.state(), OfferState::Expired);

    let (case_id, offer_id) = world.offer().await;
    world.tell("case-routing", case_id, &withdrawal(case_id, offer_id, "case_moved_on")).await;
    assert_eq!(world.get(offer_id).await.state(), OfferState::Withdrawn);
    assert_eq!(version(&world, offer_id).await, 2, "it changed once");
    let late = world.offers(&world.manager).accept_offer(accept(offer_id)).await;
    assert_eq!(refusal(late).0, Code::FailedPrecondition);

    // The case is withdrawn when the work is done already: the hours were not needed.
    let (case_id, offer_id) = world.confirmed().await;
    let done = world.complete(offer_id, 20).await;
    let withdrawn =
        CaseWithdrawn { case_id: case_id.to_string(), offer_id: offer_id.to_string(), ..Default::default() };
    world.tell("case-routing", case_id, &withdrawn).await;
    assert_eq!(version(&world, offer_id).await, done.etag.parse::<i64>().expect("a version") + 1);
    assert_eq!(digest(&world, offer_id).await, "withdrawn;records=0");
    assert_eq!(records(&world, offer_id).await[0].state(), ServiceRecordState::Voided);

    // The public service took over.
    let (case_id, offer_id) = world.confirmed().await;
    let before = version(&world, offer_id).await;
    let returned = CaseReturnedFromSociety {
        case_id: case_id.to_string(),
        offer_id: offer_id.to_string(),
        ..Default::default()
    };
    world.tell("case-routing", case_id, &returned).await;
    assert_eq!(world.get(offer_id).await.state(), OfferState::Withdrawn);
    assert_eq!(version(&world, offer_id).await, before + 1);

    // Events about offers nobody made, and about cases that never had one.
    let nobody = new_id();
    world.tell("case-routing", nobody, &withdrawal(nobody, new_id(), "timed_out")).await;
    let never = CaseClosed { case_id: nobody.to_string(), ..Default::default() };
    world.tell("case-routing", nobody, &never).await;
    assert_eq!(world.rows().await.last(), Some(&0), "nothing is parked");
}

#[tokio::test]
async fn what_was_completed_before_its_time_ran_out_stays_so_until_the_case_ends() {
    let world = World::start().await;
    let later = || world.service.clock().advance(std::time::Duration::from_secs(3_600));
    let returned = |case_id: Uuid, offer_id: Uuid, reason: &str| CaseReturnedFromSociety {
        case_id: case_id.to_string(),
        offer_id: offer_id.to_string(),
        reason_code: reason.to_owned(),
        ..Default::default()
    };
    let (case_id, offer_id) = world.confirmed().await;
    world.complete(offer_id, 20).await;
    later();
    world.tell("case-routing", case_id, &returned(case_id, offer_id, "overdue")).await;
    assert_eq!(world.get(offer_id).await.state(), OfferState::Completed);
    assert_eq!(records(&world, offer_id).await[0].state(), ServiceRecordState::Drafted);
    // case-routing has heard of it: the partner leads again.
    world.tell("case-routing", case_id, &world.confirmation(case_id, offer_id)).await;
    assert_eq!(digest(&world, offer_id).await, "completed;records=1");
    world.service.drain_outbox().await;
    world.tell("case-routing", case_id, &closed(case_id, offer_id)).await;
    let told = world.service.drain_outbox().await;
    assert_eq!(told[0].decode::<ServiceRecordLocked>().expect("locked").minutes, 20);
    assert_eq!(records(&world, offer_id).await[0].state(), ServiceRecordState::Locked);

    // The case is withdrawn instead, or case-routing says that it came too late after all.
    for too_late in [false, true] {
        let (case_id, offer_id) = world.confirmed().await;
        world.complete(offer_id, 20).await;
        later();
        world.tell("case-routing", case_id, &returned(case_id, offer_id, "overdue")).await;
        let (case, offer) = (case_id.to_string(), offer_id.to_string());
        if too_late {
            let told = CaseOfferWithdrawn {
                case_id: case,
                offer_id: offer,
                reason_code: "case_moved_on".to_owned(),
                ..Default::default()
            };
            world.tell("case-routing", case_id, &told).await;
        } else {
            let told = CaseWithdrawn { case_id: case, offer_id: offer, ..Default::default() };
            world.tell("case-routing", case_id, &told).await;
        }
        assert_eq!(digest(&world, offer_id).await, "withdrawn;records=0");
        assert_eq!(records(&world, offer_id).await[0].state(), ServiceRecordState::Voided);
    }

    // Completed after its time, and of a partner that gave up.
    for (reason, after) in [("overdue", true), ("mediation_failed", false)] {
        let (case_id, offer_id) = world.confirmed().await;
        let before = world.told("case-routing", case_id, &returned(case_id, offer_id, reason));
        later();
        world.complete(offer_id, 20).await;
        later();
        let now = world.told("case-routing", case_id, &returned(case_id, offer_id, reason));
        world.service.deliver(if after { before } else { now }).await;
        assert_eq!(digest(&world, offer_id).await, "withdrawn;records=0");
    }
}

#[tokio::test]
async fn an_offer_taken_back_while_its_completion_is_being_stored_keeps_no_hours() {
    let world = World::start().await;
    let (case_id, offer_id) = world.confirmed().await;
    // Whoever stores a record waits before it is committed, and holds the offer meanwhile.
    world
        .sql(
            "CREATE FUNCTION wait_at_commit() RETURNS trigger LANGUAGE plpgsql AS
                 'BEGIN PERFORM pg_advisory_xact_lock_shared(77); RETURN NULL; END';
             CREATE CONSTRAINT TRIGGER wait_at_commit AFTER INSERT ON service_records
                 DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION wait_at_commit()",
        )
        .await;
    let mut gate = world.service.db().conn().await.expect("a connection");
    gate.batch_execute("SELECT pg_advisory_lock(77)").await.expect("shut");
    let waiting = "SELECT count(*) AS n FROM pg_stat_activity
                   WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let withdrawn =
        CaseWithdrawn { case_id: case_id.to_string(), offer_id: offer_id.to_string(), ..Default::default() };
    let withdrawal = async {
        world.service.wait_for("the completion waits", async || world.number(waiting).await == 1).await;
        world.service.deliver(world.told("case-routing", case_id, &withdrawn)).await;
    };
    let release = async {
        world.service.wait_for("the withdrawal waits, too", async || world.number(waiting).await == 2).await;
        gate.batch_execute("SELECT pg_advisory_unlock(77)").await.expect("open");
    };
    let (done, (), ()) = tokio::join!(world.complete(offer_id, 20), withdrawal, release);
    assert_eq!(done.state(), OfferState::Completed);
    assert_eq!(digest(&world, offer_id).await, "withdrawn;records=0");
    let found = records(&world, offer_id).await;
    assert_eq!((found.len(), found[0].state()), (1, ServiceRecordState::Voided));
}

#[tokio::test]
async fn an_acceptance_after_the_deadline_is_refused() {
    let world = World::start().await;
    let (_, offer_id) = world.offer().await;
    world.service.clock().advance(chrono::Duration::hours(5).to_std().expect("forward"));
    let late = world.offers(&world.manager).accept_offer(accept(offer_id)).await;
    assert_eq!(refusal(late).0, Code::FailedPrecondition);
    assert!(world.service.drain_outbox().await.is_empty());
}

#[tokio::test]
async fn a_repeated_request_answers_the_same_and_another_body_is_refused() {
    let world = World::start().await;
    let (_, offer_id) = world.confirmed().await;
    let request = completion(offer_id, 60);
    let mut offers = world.offers(&world.manager);
    let first = offers.complete_offer(request.clone()).await.expect("completed").into_inner();
    world.service.clock().advance(chrono::Duration::hours(1).to_std().expect("forward"));
    let second = offers.complete_offer(request.clone()).await.expect("the same answer").into_inner();
    assert_eq!(first, second);
    assert_eq!(world.service.drain_outbox().await.len(), 1);
    assert_eq!(records(&world, offer_id).await.len(), 1);
    let other = CompleteOfferRequest { minutes: 61, ..request };
    let refused = offers.complete_offer(other).await;
    assert_eq!(refusal(refused), (Code::InvalidArgument, vec!["request_id".to_owned()]));
}

#[tokio::test]
async fn an_answer_that_is_based_on_another_version_is_aborted_and_changes_nothing() {
    let world = World::start().await;
    let (case_id, offer_id) = world.offer().await;
    let mut offers = world.offers(&world.manager);
    let seen = world.get(offer_id).await.etag;
    let accepting = |etag: &str| AcceptOfferRequest { etag: etag.to_owned(), ..accept(offer_id) };
    let declining = |etag: &str| DeclineOfferRequest {
        offer_id: offer_id.to_string(),
        request_id: new_id().to_string(),
        reason_code: String::new(),
        etag: etag.to_owned(),
    };
    let giving_up = |etag: &str| GiveUpOfferRequest {
        offer_id: offer_id.to_string(),
        request_id: new_id().to_string(),
        reason_code: "volunteer_ill".into(),
        etag: etag.to_owned(),
    };
    let completing = |etag: &str| CompleteOfferRequest { etag: etag.to_owned(), ..completion(offer_id, 30) };
    assert_eq!(refusal(offers.accept_offer(accepting("7")).await).0, Code::Aborted);
    assert_eq!(refusal(offers.decline_offer(declining("7")).await).0, Code::Aborted);
    let accepted = offers.accept_offer(accepting(&seen)).await.expect("accepted").into_inner();
    let accepted = accepted.offer.expect("an offer").etag;
    world.tell("case-routing", case_id, &world.confirmation(case_id, offer_id)).await;
    // Before the confirmation was seen, it is told of the version, not of the state.
    assert_eq!(refusal(offers.give_up_offer(giving_up(&accepted)).await).0, Code::Aborted);
    let stale = offers.complete_offer(completing(&accepted)).await.expect_err("stale");
    assert_eq!(
        (stale.code(), stale.message()),
        (Code::Aborted, format!("offer {offer_id} has changed meanwhile").as_str())
    );
    let confirmed = world.get(offer_id).await.etag;
    offers.complete_offer(completing(&confirmed)).await.expect("completed");
    assert_eq!(world.service.drain_outbox().await.len(), 2, "accepted and completed");
    // To whom it does not exist no version is wrong.
    let stranger = world.stranger();
    assert_eq!(refusal(world.offers(&stranger).accept_offer(accepting("7")).await).0, Code::NotFound);
}

#[tokio::test]
async fn what_is_out_of_reach_looks_as_if_it_did_not_exist() {
    let world = World::start().await;
    let (volunteer, _) = world.volunteer().await;
    let (other_volunteer, _) = world.volunteer().await;
    let (_, offer_id) = world.offer().await;
    let missing = new_id();
    let stranger = world.stranger();
    let get = |id: Uuid| GetOfferRequest { offer_id: id.to_string() };
    let mut theirs = world.offers(&stranger);
    let denied = |status: tonic::Status, id: Uuid| {
        assert_eq!(status.code(), Code::NotFound);
        status.message().replace(&id.to_string(), "…")
    };
    let hidden = denied(theirs.get_offer(get(offer_id)).await.expect_err("hidden"), offer_id);
    let absent = denied(theirs.get_offer(get(missing)).await.expect_err("absent"), missing);
    assert_eq!(hidden, absent);
    let hidden = denied(theirs.accept_offer(accept(offer_id)).await.expect_err("hidden"), offer_id);
    let absent = denied(theirs.accept_offer(accept(missing)).await.expect_err("absent"), missing);
    assert_eq!(hidden, absent);
    let hidden = denied(theirs.complete_offer(completion(offer_id, 5)).await.expect_err("hidden"), offer_id);
    let absent = denied(theirs.complete_offer(completion(missing, 5)).await.expect_err("absent"), missing);
    assert_eq!(hidden, absent);
    assert!(
        theirs.list_offers(ListOffersRequest::default()).await.expect("empty").into_inner().offers.is_empty()
    );

    // Named: the volunteer reaches the own offer, another of the same organisation does not, and neither answers it.
    let best = world.get(offer_id).await.candidates[0].volunteer_id.clone();
    world.offers(&world.manager).accept_offer(accept(offer_id)).await.expect("accepted");
    assert_eq!(world.get(offer_id).await.volunteer_id, best);
    let told = world.service.drain_outbox().await;
    let named = told[0].decode::<SocialAccepted>().expect("told").volunteer_ref;
    let (own, other) = if named == volunteer.actor_ref {
        (volunteer, other_volunteer)
    } else {
        (other_volunteer, volunteer)
    };
    let seen =
        world.offers(&own).get_offer(get(offer_id)).await.expect("own").into_inner().offer.expect("an offer");
    assert_eq!((seen.volunteer_id, seen.candidates.len()), (best, 0));
    let listed = world.offers(&own).list_offers(ListOffersRequest::default()).await.expect("listed");
    assert_eq!(listed.into_inner().offers.len(), 1);
    assert_eq!(refusal(world.offers(&other).get_offer(get(offer_id)).await).0, Code::NotFound);
    assert_eq!(refusal(world.offers(&own).accept_offer(accept(offer_id)).await).0, Code::PermissionDenied);
    let resident = Persona::resident(world.street);
    assert_eq!(refusal(world.offers(&resident).get_offer(get(offer_id)).await).0, Code::NotFound);
}
