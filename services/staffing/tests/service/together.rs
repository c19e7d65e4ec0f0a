//! Everything at once: events, commands and lapses on the same workers neither wait for each other in a circle nor lose
//! count, nor do people and work miss each other.

use chassis::{auth::Role, clock::new_id, testing::Persona};
use diesel::{QueryableByName, sql_types::BigInt};
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use proto::{
    case_routing::v1::{TaskApproved, TaskCancelled, TaskSigned},
    staffing::v1::{
        AssignmentState::*, CreatePostRequest, CreateWorkerRequest, DemandState, ListAssignmentsRequest,
        ListShiftsRequest, ListWorkersRequest, PostKind,
    },
};
use tonic::Code;

use crate::{
    duty::{assign, client, posts_of, proposed},
    workforce::shift,
    world::*,
};

#[derive(QueryableByName)]
struct Wrong {
    #[diesel(sql_type = BigInt)]
    workers: i64,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn loads_stay_true_while_events_and_commands_meet() {
    let world = World::start().await;
    let mut staff = Vec::new();
    for _ in 0..4 {
        staff.push(world.hire(Role::ServiceWorker, COMMUNITY, STATION, "").await);
    }
    let cases: Vec<Case> = (0..80).map(|_| Case::new()).collect();
    // Every third task wants two workers.
    let signed = |cases: &[Case]| {
        let signed = |(n, case): (usize, &Case)| {
            let workers_wanted = if n % 3 == 0 { 2 } else { 1 };
            let signed = TaskSigned { workers_wanted, ..case.signed(STATION, COMMUNITY, &["patrol"]) };
            world.event(case.id, &signed)
        };
        cases.iter().enumerate().map(signed).collect::<Vec<_>>()
    };
    world.service.deliver_all(signed(&cases[..40])).await;
    let work = async |who: &Hired| {
        let request = ListAssignmentsRequest { mine: true, page_size: 200, ..Default::default() };
        let mine = world.assignments(&who.persona).list_assignments(request).await.unwrap().into_inner();
        for (n, assignment) in mine.assignments.into_iter().enumerate() {
            let id = assignment.assignment_id;
            let outcome = match n % 3 {
                0 => world.decline(who, &id).await,
                1 => world.accept(who, &id).await,
                _ => match world.accept(who, &id).await {
                    Ok(_) => match world.arrive(who, &id).await {
                        Ok(_) => world.finish(who, &id).await,
                        refused => refused,
                    },
                    refused => refused,
                },
            };
            // A cancellation may have come first; nothing else may go wrong.
            if let Err(status) = outcome {
                assert_eq!(status.code(), Code::FailedPrecondition, "{status:?}");
            }
        }
    };
    let mut more = signed(&cases[40..]);
    more.extend(cases[..40].iter().enumerate().map(|(n, case)| {
        let (case_id, task_id) = (case.id.to_string(), case.task.to_string());
        if n % 2 == 0 {
            world.event(case.id, &TaskCancelled { case_id, task_id, ..Default::default() })
        } else {
            world.event(case.id, &TaskApproved { case_id, task_id, ..Default::default() })
        }
    }));
    tokio::join!(
        world.service.deliver_all(more),
        work(&staff[0]),
        work(&staff[1]),
        work(&staff[2]),
        work(&staff[3]),
        world.revoke(&staff[3]),
    );

    let mut conn = world.service.db().conn().await.unwrap();
    let wrong: Wrong = diesel::sql_query(
        "SELECT count(*) AS workers FROM workers w
           CROSS JOIN LATERAL (
                SELECT count(*) AS n, coalesce(sum(a.weight), 0) AS minutes FROM assignments a
                 WHERE a.worker_id = w.worker_id AND a.state IN (1, 2, 3)) AS open
          WHERE w.open_count <> open.n OR w.open_minutes <> open.minutes",
    )
    .get_result(&mut *conn)
    .await
    .unwrap();
    assert_eq!(wrong.workers, 0, "a load does not equal what is open");
    let wrong: Wrong = diesel::sql_query(
        "SELECT count(*) AS workers FROM tasks t
          WHERE (SELECT count(*) FROM assignments a
                  WHERE a.task_id = t.task_id AND a.state IN (1, 2, 3, 4)) > t.workers_wanted",
    )
    .get_result(&mut *conn)
    .await
    .unwrap();
    assert_eq!(wrong.workers, 0, "more have a task in hand than are wanted");
    for case in &cases[..40] {
        let active = world
            .states(case.task)
            .await
            .into_iter()
            .filter(|s| matches!(s, Offered | Accepted | OnSite | Done));
        assert_eq!(active.count(), 0, "the task has ended");
    }
    let gone = Persona { ..staff[3].persona.clone() };
    let request = ListAssignmentsRequest {
        mine: true,
        states: vec![Offered.into(), Accepted.into()],
        ..Default::default()
    };
    assert!(
        world.assignments(&gone).list_assignments(request).await.unwrap().into_inner().assignments.is_empty()
    );
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    n: i64,
}

async fn number(world: &World, sql: &str) -> i64 {
    let mut conn = world.service.db().conn().await.unwrap();
    let number: Number = diesel::sql_query(sql).get_result(&mut *conn).await.unwrap();
    number.n
}

/// How many transactions of the service wait for a lock.
async fn waiting(world: &World) -> i64 {
    let sql = "SELECT count(*) AS n FROM pg_stat_activity
                WHERE datname = current_database() AND wait_event_type = 'Lock'";
    number(world, sql).await
}

/// Waits until some other transaction of the service waits for a lock.
async fn somebody_waits(world: &World) {
    world.service.wait_for("a transaction that waits", async || waiting(world).await > 0).await;
}

/// Two workers, a task with the first; and a transaction that holds the second.
async fn one_at_work() -> (World, Vec<Hired>, Hired, Case) {
    let world = World::start().await;
    let mut staff = Vec::new();
    for _ in 0..2 {
        staff.push(world.hire(Role::ServiceWorker, COMMUNITY, STATION, "").await);
    }
    let case = Case::new();
    world.tell(case.id, &case.signed(STATION, COMMUNITY, &["patrol"])).await;
    let (holder, _) = world.holder(case.task, &staff).await;
    let free = staff.iter().find(|h| h.grant_id != holder.grant_id).unwrap().clone();
    (world, staff, free, case)
}

async fn hold(conn: &mut AsyncPgConnection, worker: &Hired) {
    let grant = worker.grant_id;
    let sql = format!("BEGIN; SELECT 1 FROM workers WHERE grant_id = '{grant}' FOR UPDATE");
    conn.batch_execute(&sql).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_leaves_while_a_task_is_being_offered_does_not_get_it() {
    let (world, staff, free, _) = one_at_work().await;
    let mut conn = world.service.db().conn().await.unwrap();
    hold(&mut conn, &free).await;
    let case = Case::new();
    let signed = world.event(case.id, &case.signed(STATION, COMMUNITY, &["patrol"]));
    tokio::join!(world.service.deliver(signed), async {
        // The roster was read; now the appointment ends, as a revocation in another group does it.
        somebody_waits(&world).await;
        let grant = free.grant_id;
        let sql =
            format!("UPDATE workers SET active = false, ended_at = now() WHERE grant_id = '{grant}'; COMMIT");
        conn.batch_execute(&sql).await.unwrap();
    });
    let (holder, _) = world.holder(case.task, &staff).await;
    assert_ne!(holder.grant_id, free.grant_id, "the task went to somebody who had left");
    assert_eq!(world.states(case.task).await, [Offered]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_given_a_task_while_leaving_hands_it_over() {
    let (world, staff, free, case) = one_at_work().await;
    let mut conn = world.service.db().conn().await.unwrap();
    hold(&mut conn, &free).await;
    tokio::join!(world.revoke(&free), async {
        // What there is to hand over was read: nothing. Now the first worker's task goes to the one who leaves.
        somebody_waits(&world).await;
        let (grant, task) = (free.grant_id, case.task);
        let sql = format!(
            "WITH a AS (SELECT worker_id, weight FROM assignments WHERE task_id = '{task}')
             UPDATE workers w SET open_count = CASE WHEN w.worker_id = a.worker_id THEN 0 ELSE 1 END,
                    open_minutes = CASE WHEN w.worker_id = a.worker_id THEN 0 ELSE a.weight END FROM a;
             UPDATE assignments a SET worker_id = w.worker_id, person_id = w.person_id, worker_ref = w.worker_ref
               FROM workers w WHERE w.grant_id = '{grant}' AND a.task_id = '{task}';
             COMMIT"
        );
        conn.batch_execute(&sql).await.unwrap();
    });
    let (holder, _) = world.holder(case.task, &staff).await;
    assert_ne!(holder.grant_id, free.grant_id, "somebody left with work in hand");
    assert_eq!(world.states(case.task).await, [Offered, Cancelled]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_leaves_while_being_rostered_has_no_shift() {
    let world = World::start().await;
    let one = world.hire(Role::ServiceWorker, COMMUNITY, STATION, "").await;
    let mut workforce = world.workforce(&head());
    let request = ListWorkersRequest::default();
    let worker = workforce.list_workers(request).await.unwrap().into_inner().workers.remove(0).worker_id;
    let mut conn = world.service.db().conn().await.unwrap();
    let grant = one.grant_id;
    let sql =
        format!("BEGIN; UPDATE workers SET active = false, ended_at = now() WHERE grant_id = '{grant}'");
    conn.batch_execute(&sql).await.unwrap();
    let leaving = async {
        somebody_waits(&world).await;
        conn.batch_execute("COMMIT").await.unwrap();
    };
    let (rostered, ()) = tokio::join!(workforce.create_shift(shift(&world, &worker, 300, 2)), leaving);
    assert_eq!(rostered.unwrap_err().code(), Code::NotFound);
    let live = "SELECT count(*) AS n FROM shifts WHERE template = '' AND NOT cancelled";
    assert_eq!(number(&world, live).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_leaves_while_the_shifts_of_the_week_are_made_gets_none_of_them() {
    let world = World::start().await;
    let one = world.hire(Role::ServiceWorker, COMMUNITY, STATION, "").await;
    let mut workforce = world.workforce(&head());
    let mut conn = world.service.db().conn().await.unwrap();
    let grant = one.grant_id;
    // A week that nobody has looked at yet; and somebody who leaves as it is done: held first, then ended.
    conn.batch_execute("DELETE FROM shifts; DELETE FROM roster_weeks").await.unwrap();
    let sql = format!(
        "BEGIN; SELECT 1 FROM workers WHERE grant_id = '{grant}' FOR UPDATE;
         UPDATE workers SET active = false, ended_at = now() WHERE grant_id = '{grant}'"
    );
    conn.batch_execute(&sql).await.unwrap();
    let leaving = async {
        somebody_waits(&world).await;
        conn.batch_execute("COMMIT").await.unwrap();
    };
    let (listed, ()) = tokio::join!(workforce.list_shifts(ListShiftsRequest::default()), leaving);
    assert_eq!(listed.unwrap().into_inner().shifts, Vec::new());
    assert_eq!(number(&world, "SELECT count(*) AS n FROM roster_weeks").await, 1, "the premise");
    assert_eq!(number(&world, "SELECT count(*) AS n FROM shifts WHERE NOT cancelled").await, 0);
}

/// Whoever writes such a row waits before that is committed, until [`OPEN`].
fn shut(written: &str) -> String {
    format!(
        "CREATE FUNCTION wait_at_commit() RETURNS trigger LANGUAGE plpgsql AS
             'BEGIN PERFORM pg_advisory_xact_lock_shared(77); RETURN NULL; END';
         CREATE CONSTRAINT TRIGGER wait_at_commit AFTER {written}
             DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION wait_at_commit();
         SELECT pg_advisory_lock(77)"
    )
}

const OPEN: &str = "SELECT pg_advisory_unlock(77)";

fn newcomer() -> Hired {
    Hired { persona: Persona::new(Role::ServiceWorker, COMMUNITY).org(STATION), grant_id: new_id() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_while_nobody_is_found_for_a_task_is_asked_for_it() {
    let world = World::start().await;
    let first = world.hire(Role::ServiceWorker, COMMUNITY, STATION, "").await;
    let case = Case::new();
    world.tell(case.id, &case.signed(STATION, COMMUNITY, &["patrol"])).await;
    let (_, offer) = world.holder(case.task, std::slice::from_ref(&first)).await;
    let mut gate = world.service.db().conn().await.unwrap();
    gate.batch_execute(&shut("UPDATE ON tasks")).await.unwrap();
    let next = newcomer();
    let grant = granted(&next, Role::ServiceWorker, COMMUNITY, STATION, "");
    let grant = world.event(next.persona.person_id, &grant);
    let coming = async {
        // The only one has declined, which nobody sees yet.
        world.service.wait_for("the decline waits", async || waiting(&world).await == 1).await;
        world.service.deliver(grant).await;
    };
    let opening = async {
        world.service.wait_for("the newcomer waits, too", async || waiting(&world).await == 2).await;
        gate.batch_execute(OPEN).await.unwrap();
    };
    let (declined, (), ()) = tokio::join!(world.decline(&first, &offer.assignment_id), coming, opening);
    declined.unwrap();
    assert_eq!(world.states(case.task).await, [Offered, Declined]);
    let both = [first, next];
    let (holder, _) = world.holder(case.task, &both).await;
    assert_eq!(holder.grant_id, both[1].grant_id);
}

fn head() -> Persona {
    Persona::new(Role::StationHead, COMMUNITY).org(STATION)
}

/// The appointment of somebody by the head of the station, to a post that was made for them.
async fn appointment(world: &World, next: &Hired) -> CreateWorkerRequest {
    let post = CreatePostRequest {
        request_id: request_id(),
        kind: PostKind::SocialWorker.into(),
        org_id: STATION.to_string(),
        line: String::new(),
    };
    let post = world.workforce(&head()).create_post(post).await.unwrap().into_inner().post.unwrap();
    world.announce(&next.persona, STATION).await;
    CreateWorkerRequest {
        request_id: request_id(),
        person_id: next.persona.person_id.to_string(),
        worker_ref: next.persona.actor_ref.clone(),
        post_id: post.post_id,
        ..Default::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_that_is_signed_while_somebody_comes_is_offered_to_them() {
    let world = World::start().await;
    let mut client = world.workforce(&head());
    let appointment = appointment(&world, &newcomer()).await;
    let mut gate = world.service.db().conn().await.unwrap();
    gate.batch_execute(&shut("INSERT ON workers")).await.unwrap();
    let case = Case::new();
    let signed = world.event(case.id, &case.signed(STATION, COMMUNITY, &[]));
    // How often a batch was begun.
    let taken = "SELECT last_value + is_called::integer AS n FROM inbox_taken";
    let before = number(&world, taken).await;
    let signing = async {
        // Somebody is there, which nobody sees yet.
        world.service.wait_for("the appointment waits", async || waiting(&world).await == 1).await;
        world.service.deliver(signed).await;
    };
    let opening = async {
        // That nobody is there is not said as long as somebody may come.
        let again = async || number(&world, taken).await >= before + 2;
        world.service.wait_for("the batch is tried again", again).await;
        gate.batch_execute(OPEN).await.unwrap();
    };
    let (appointed, (), ()) = tokio::join!(client.create_worker(appointment), signing, opening);
    appointed.unwrap();
    world.service.wait_for("the offer", async || world.states(case.task).await == [Offered]).await;
    assert_eq!(world.sent().await, ["AssignmentOffered"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_names_a_post_waits_for_whoever_comes_to_it_before_holding_the_transfer() {
    let world = World::start().await;
    world.hire(Role::ServiceWorker, COMMUNITY, STATION, "").await;
    let id = new_id();
    world.tell(id, &proposed(id)).await;
    let post = posts_of(&world).await.swap_remove(0).post_id;
    let mut conn = world.service.db().conn().await.unwrap();
    let sql = format!("BEGIN; SELECT 1 FROM posts WHERE post_id = '{post}' FOR UPDATE");
    conn.batch_execute(&sql).await.unwrap();
    let coming = async {
        somebody_waits(&world).await;
        // As whoever comes to a post or leaves it does.
        conn.batch_execute("SELECT 1 FROM duty_demands FOR UPDATE NOWAIT; COMMIT").await.unwrap();
    };
    let (mut duties, named) = (client(&world, &head()), [post]);
    let (assigned, ()) = tokio::join!(assign(&mut duties, id, &named), coming);
    assert_eq!(assigned.unwrap().staff(), DemandState::Met);
}

/// How often somebody has tried to change an assignment, whether that was committed or not.
const TRIED: &str = "SELECT last_value + is_called::integer AS n FROM tried";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_declines_while_somebody_comes_is_not_refused_and_they_are_asked() {
    let world = World::start().await;
    let first = world.hire(Role::ServiceWorker, COMMUNITY, STATION, "").await;
    let case = Case::new();
    world.tell(case.id, &case.signed(STATION, COMMUNITY, &[])).await;
    let (_, offer) = world.holder(case.task, std::slice::from_ref(&first)).await;
    let (mut client, next) = (world.workforce(&head()), newcomer());
    let appointment = appointment(&world, &next).await;
    let mut gate = world.service.db().conn().await.unwrap();
    let count = "CREATE SEQUENCE tried;
         CREATE FUNCTION count_try() RETURNS trigger LANGUAGE plpgsql AS
             'BEGIN PERFORM nextval(''tried''); RETURN NULL; END';
         CREATE TRIGGER count_try AFTER UPDATE ON assignments FOR EACH STATEMENT EXECUTE FUNCTION count_try()";
    gate.batch_execute(count).await.unwrap();
    gate.batch_execute(&shut("INSERT ON workers")).await.unwrap();
    let before = number(&world, TRIED).await;
    let declining = async {
        // Somebody is there, which nobody sees yet.
        world.service.wait_for("the appointment waits", async || waiting(&world).await == 1).await;
        world.decline(&first, &offer.assignment_id).await
    };
    let opening = async {
        let again = async || number(&world, TRIED).await >= before + 2;
        world.service.wait_for("the decline is tried again", again).await;
        gate.batch_execute(OPEN).await.unwrap();
    };
    let (appointed, declined, ()) = tokio::join!(client.create_worker(appointment), declining, opening);
    appointed.unwrap();
    declined.unwrap();
    assert_eq!(world.states(case.task).await, [Offered, Declined]);
    let both = [first, next];
    let (holder, _) = world.holder(case.task, &both).await;
    assert_eq!(holder.grant_id, both[1].grant_id);
}
