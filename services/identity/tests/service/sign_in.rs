//! Signing in and out, tokens and keys: over real gRPC and a real database.

use crate::world::{PASSWORD, World, refusal};
use chassis::{
    auth::{Claims, GrantClaim, KeySource, Signer, TokenKind},
    db::Tx,
};
use identity::{
    keyring::{KeyRing, PUBLISHED_FIRST, RELOAD},
    store::{audit, server_now},
};
use proto::identity::v1::{
    GetJwksRequest, GetSelfRequest, GetTopologySnapshotRequest, IssueServiceTokenRequest,
    RefreshTokenRequest, RefreshTokenResponse, RotateKeysRequest, SessionRevoked, SignOutRequest,
    auth_service_client::AuthServiceClient,
};
use tonic::{Code, Status};

async fn refresh(world: &World, token: &str) -> Result<RefreshTokenResponse, Status> {
    let request = RefreshTokenRequest { refresh_token: token.to_owned(), ..Default::default() };
    world.auth_anonymously().refresh_token(request).await.map(|r| r.into_inner())
}

/// The same with a branch.
async fn branch(world: &World, token: &str) -> Result<RefreshTokenResponse, Status> {
    let request = RefreshTokenRequest { refresh_token: token.to_owned(), branch: true };
    world.auth_anonymously().refresh_token(request).await.map(|r| r.into_inner())
}

async fn self_with(world: &World, token: &str) -> Result<String, Status> {
    let answer = world.auth_with(token).get_self(GetSelfRequest {}).await?.into_inner();
    Ok(answer.person.expect("a person").person_id)
}

/// Lets every used refresh token look as if it had been used longer ago than the grace.
async fn let_the_grace_pass(world: &World) {
    world.sql("UPDATE refresh_tokens SET used_at = used_at - interval '181 seconds'").await.unwrap();
}

#[tokio::test]
async fn a_person_signs_in_and_learns_who_they_are() {
    let world = World::start().await;
    let pair = world.sign_in("Worker1").await; // logins know no case
    assert_eq!(pair.person_id, world.person("worker1"));
    let answer = world.auth_with(&pair.access_token).get_self(GetSelfRequest {}).await.unwrap().into_inner();
    let person = answer.person.unwrap();
    assert_eq!(person.person_id, pair.person_id);
    assert_eq!(person.name_masked, "王**");
    assert_eq!(answer.grants.len(), 1);
    let life = pair.access_expire_time.unwrap().seconds - world.service.clock().real_now().timestamp();
    assert!((590..=600).contains(&life), "ten minutes, not {life} s");
    world.service.stop().await;
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_login_are_told_alike() {
    let world = World::start().await;
    let wrong = world.try_sign_in("worker1", "wrong-password").await.unwrap_err();
    let unknown = world.try_sign_in("nobody", "wrong-password").await.unwrap_err();
    assert_eq!(wrong.code(), Code::Unauthenticated);
    assert_eq!(
        (wrong.code(), wrong.message(), wrong.details()),
        (unknown.code(), unknown.message(), unknown.details())
    );
}

#[tokio::test]
async fn after_five_failures_a_login_is_locked_whether_it_exists_or_not() {
    let world = World::start().await;
    for login in ["worker1", "nobody"] {
        for _ in 0..5 {
            assert_eq!(refusal(world.try_sign_in(login, "wrong-password").await), Code::Unauthenticated);
        }
        let locked = world.try_sign_in(login, PASSWORD).await.unwrap_err();
        assert_eq!(locked.code(), Code::ResourceExhausted, "also with the right password");
    }
    world.sign_in("worker2").await;
    world.sql("UPDATE sign_in_failures SET locked_until = now() - interval '1 second'").await.unwrap();
    world.sign_in("worker1").await;
}

#[tokio::test]
async fn tries_at_once_do_not_lift_the_lock_and_tell_nothing_once_it_is_there() {
    let world = World::configured(|config| {
        // All are hashed together: none of them finds the login locked when it begins.
        let section = config.services.entry("identity".to_owned()).or_default();
        section.insert("hashing_threads".to_owned(), toml::Value::Integer(8));
    })
    .await;
    for login in ["worker1", "nobody"] {
        let tries = (0..8).map(|_| world.try_sign_in(login, "wrong-password"));
        let codes: Vec<Code> = futures_join(tries).await.into_iter().map(refusal).collect();
        let told = |code| codes.iter().filter(|c| **c == code).count();
        let both = (told(Code::Unauthenticated), told(Code::ResourceExhausted));
        assert_eq!(both, (5, 3), "{login}: {codes:?}");
        assert_eq!(refusal(world.try_sign_in(login, PASSWORD).await), Code::ResourceExhausted);
    }
}

#[tokio::test]
async fn the_right_password_is_refused_when_the_lock_comes_while_it_is_hashed() {
    use diesel_async::SimpleAsyncConnection;
    let world = World::start().await;
    refusal(world.try_sign_in("worker1", "wrong-password").await);
    // Whoever has failed once more holds the row and has not committed yet.
    let mut other = world.service.db().conn().await.unwrap();
    let locks = "BEGIN; UPDATE sign_in_failures SET failed = 5, locked_until = now() + interval '15 minutes'";
    other.batch_execute(locks).await.unwrap();
    let waiting =
        "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let release = async {
        world.service.wait_for("the sign-in waits", async || world.sql(waiting).await.unwrap() == 1).await;
        other.batch_execute("COMMIT").await.unwrap();
    };
    let (tried, ()) = tokio::join!(world.try_sign_in("worker1", PASSWORD), release);
    assert_eq!(refusal(tried), Code::ResourceExhausted);
}

#[tokio::test]
async fn what_came_first_is_told_by_the_databases_clock_which_goes_on_within_a_transaction() {
    let world = World::start().await;
    let (first, second) = world
        .service
        .db()
        .transaction(async |tx: &mut Tx<'_>| Ok((server_now(tx.conn).await?, server_now(tx.conn).await?)))
        .await
        .unwrap();
    assert!(first < second, "{first}, {second}");
}

#[tokio::test]
async fn a_refresh_token_rotates_and_a_retry_within_the_grace_gets_the_same_one() {
    let world = World::start().await;
    let pair = world.sign_in("worker1").await;
    let first = refresh(&world, &pair.refresh_token).await.unwrap();
    assert_ne!(first.refresh_token, pair.refresh_token);
    let again = refresh(&world, &pair.refresh_token).await.unwrap();
    assert_eq!(again.refresh_token, first.refresh_token, "the answer may have been lost on its way");
    let second = refresh(&world, &first.refresh_token).await.unwrap();
    assert!(self_with(&world, &second.access_token).await.is_ok());
}

#[tokio::test]
async fn many_retries_at_once_get_one_successor() {
    let world = World::start().await;
    let pair = world.sign_in("worker1").await;
    let tries = (0..8).map(|_| refresh(&world, &pair.refresh_token));
    let mut answers = Vec::new();
    for answer in futures_join(tries).await {
        answers.push(answer.unwrap().refresh_token);
    }
    answers.dedup();
    assert_eq!(answers.len(), 1);
}

/// Runs futures together and gives their answers in order.
async fn futures_join<F: Future>(futures: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut waiting: Vec<_> = futures.map(|f| Some(Box::pin(f))).collect();
    let mut answers: Vec<Option<F::Output>> = waiting.iter().map(|_| None).collect();
    std::future::poll_fn(|cx| {
        for (slot, answer) in waiting.iter_mut().zip(&mut answers) {
            if let Some(future) = slot
                && let std::task::Poll::Ready(value) = future.as_mut().poll(cx)
            {
                *answer = Some(value);
                *slot = None;
            }
        }
        if waiting.iter().all(Option::is_none) {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    answers.into_iter().flatten().collect()
}

#[tokio::test]
async fn a_refresh_token_used_twice_ends_the_session_everywhere_at_once() {
    let world = World::start().await;
    let pair = world.sign_in("worker1").await;
    let owner = refresh(&world, &pair.refresh_token).await.unwrap();
    let_the_grace_pass(&world).await;
    assert_eq!(refusal(refresh(&world, &pair.refresh_token).await), Code::Unauthenticated);
    for token in [&pair.access_token, &owner.access_token] {
        assert_eq!(refusal(self_with(&world, token).await), Code::Unauthenticated);
    }
    assert_eq!(refusal(refresh(&world, &owner.refresh_token).await), Code::Unauthenticated);
    let events = world.service.drain_outbox().await;
    let revoked: Vec<SessionRevoked> = events.iter().filter_map(|e| e.decode().ok()).collect();
    assert_eq!(revoked.len(), 1);
    assert_eq!(revoked[0].person_id, world.person("worker1"));
}

#[tokio::test]
async fn a_branch_of_a_session_is_exchanged_apart_and_ends_with_it() {
    let world = World::start().await;
    let pair = world.sign_in("worker1").await;
    let begun = branch(&world, &pair.refresh_token).await.unwrap();
    assert_ne!(begun.branch_refresh_token, begun.refresh_token);
    // Each goes on by itself, and neither uses up the other.
    let apart = refresh(&world, &begun.branch_refresh_token).await.unwrap();
    assert!(apart.branch_refresh_token.is_empty(), "nobody asked for one");
    let_the_grace_pass(&world).await;
    let own = refresh(&world, &begun.refresh_token).await.unwrap();
    let later = refresh(&world, &apart.refresh_token).await.unwrap();
    for token in [&own.access_token, &later.access_token] {
        assert_eq!(self_with(&world, token).await.unwrap(), world.person("worker1"));
    }

    world.auth_with(&own.access_token).sign_out(SignOutRequest {}).await.unwrap();
    assert_eq!(refusal(self_with(&world, &later.access_token).await), Code::Unauthenticated);
    assert_eq!(refusal(refresh(&world, &later.refresh_token).await), Code::Unauthenticated);
    let events = world.service.drain_outbox().await;
    let revoked: Vec<SessionRevoked> = events.iter().filter_map(|e| e.decode().ok()).collect();
    let until = revoked[0].expire_time.as_ref().unwrap().seconds;
    assert!(until >= later.access_expire_time.unwrap().seconds, "it bars those of the branch to their end");
}

#[tokio::test]
async fn a_branch_comes_with_the_first_use_alone_and_its_reuse_ends_the_session() {
    let world = World::start().await;
    let pair = world.sign_in("worker1").await;
    let first = refresh(&world, &pair.refresh_token).await.unwrap();
    let again = branch(&world, &pair.refresh_token).await.unwrap();
    assert_eq!(again.refresh_token, first.refresh_token);
    assert!(again.branch_refresh_token.is_empty(), "whoever has a copy gets none");

    let begun = branch(&world, &first.refresh_token).await.unwrap();
    let apart = refresh(&world, &begun.branch_refresh_token).await.unwrap();
    let_the_grace_pass(&world).await;
    assert_eq!(refusal(refresh(&world, &begun.branch_refresh_token).await), Code::Unauthenticated);
    assert_eq!(refusal(refresh(&world, &apart.refresh_token).await), Code::Unauthenticated);
    assert_eq!(refusal(refresh(&world, &begun.refresh_token).await), Code::Unauthenticated);
    assert_eq!(refusal(self_with(&world, &apart.access_token).await), Code::Unauthenticated);
    assert_eq!(refusal(branch(&world, "x").await), Code::Unauthenticated);
}

#[tokio::test]
async fn a_branch_that_a_copy_began_ends_when_the_owner_comes_and_the_owner_goes_on() {
    let world = World::start().await;
    let pair = world.sign_in("worker1").await;
    // Whoever has the copy comes first, keeps the branch alone and asks for more of them.
    let copied = branch(&world, &pair.refresh_token).await.unwrap();
    let apart = branch(&world, &copied.branch_refresh_token).await.unwrap();
    assert!(apart.branch_refresh_token.is_empty(), "a branch gives none");
    let further = branch(&world, &apart.refresh_token).await.unwrap();
    assert!(further.branch_refresh_token.is_empty(), "nor does what followed in it");

    let own = branch(&world, &pair.refresh_token).await.unwrap();
    assert_eq!(own.refresh_token, copied.refresh_token);
    assert!(own.branch_refresh_token.is_empty());
    let of_the_branch = [&copied.branch_refresh_token, &apart.refresh_token, &further.refresh_token];
    for token in of_the_branch {
        assert_eq!(refusal(refresh(&world, token).await), Code::Unauthenticated);
    }
    let_the_grace_pass(&world).await;
    for token in of_the_branch {
        assert_eq!(refusal(refresh(&world, token).await), Code::Unauthenticated);
    }
    let next = refresh(&world, &own.refresh_token).await.unwrap();
    assert!(self_with(&world, &next.access_token).await.is_ok(), "what ended was the branch alone");

    // When the owner comes later, two have the tokens.
    let copied = branch(&world, &next.refresh_token).await.unwrap();
    let_the_grace_pass(&world).await;
    assert_eq!(refusal(refresh(&world, &next.refresh_token).await), Code::Unauthenticated);
    assert_eq!(refusal(refresh(&world, &copied.branch_refresh_token).await), Code::Unauthenticated);
    assert_eq!(refusal(self_with(&world, &next.access_token).await), Code::Unauthenticated);
}

#[tokio::test]
async fn a_branch_goes_on_when_its_own_tokens_are_retried_and_when_another_one_ends() {
    let world = World::start().await;
    let pair = world.sign_in("worker1").await;
    let begun = branch(&world, &pair.refresh_token).await.unwrap();
    let apart = refresh(&world, &begun.branch_refresh_token).await.unwrap();
    let again = refresh(&world, &begun.branch_refresh_token).await.unwrap();
    assert_eq!(again.refresh_token, apart.refresh_token, "the answer may have been lost on its way");
    assert!(refresh(&world, &apart.refresh_token).await.is_ok());
    // The session's own line gives another one, and that one ends.
    let own = branch(&world, &begun.refresh_token).await.unwrap();
    assert!(refresh(&world, &own.branch_refresh_token).await.is_ok());
    refresh(&world, &begun.refresh_token).await.unwrap();
    assert_eq!(refusal(refresh(&world, &own.branch_refresh_token).await), Code::Unauthenticated);
    let further = refresh(&world, &apart.refresh_token).await.unwrap();
    assert!(refresh(&world, &further.refresh_token).await.is_ok(), "it began with another token");
}

#[tokio::test]
async fn a_session_has_one_line_of_refresh_tokens_and_ends_when_two_live_on_it() {
    let world = World::start().await;
    let pair = world.sign_in("worker1").await;
    let unused = "SELECT 1 FROM refresh_tokens WHERE used_at IS NULL";
    // Two that have the same token get the same successors: no second line begins.
    let mut last = pair.refresh_token.clone();
    for _ in 0..3 {
        let (one, other) = (refresh(&world, &last).await.unwrap(), refresh(&world, &last).await.unwrap());
        assert_eq!(one.refresh_token, other.refresh_token);
        assert_eq!(world.sql(unused).await.unwrap(), 1);
        last = one.refresh_token;
    }
    // What set out before the successor arrived comes soon after that is used, and changes nothing.
    let first = refresh(&world, &pair.refresh_token).await.unwrap();
    assert_eq!(world.sql(unused).await.unwrap(), 1);
    assert!(self_with(&world, &first.access_token).await.is_ok());
    // Later, though still within the grace, somebody else has it than who used the successor.
    world.sql("UPDATE refresh_tokens SET used_at = used_at - interval '61 seconds'").await.unwrap();
    let (owner, again) = (refresh(&world, &last).await.unwrap(), refresh(&world, &pair.refresh_token).await);
    assert_eq!(refusal(again), Code::Unauthenticated);
    for token in [&first.access_token, &owner.access_token] {
        assert_eq!(refusal(self_with(&world, token).await), Code::Unauthenticated);
    }
    assert_eq!(refusal(refresh(&world, &owner.refresh_token).await), Code::Unauthenticated);
}

#[tokio::test]
async fn an_unknown_or_outdated_refresh_token_is_refused() {
    let world = World::start().await;
    let pair = world.sign_in("worker1").await;
    for token in ["x", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", &"a".repeat(10_000), &pair.access_token]
    {
        assert_eq!(refusal(refresh(&world, token).await), Code::Unauthenticated);
    }
    world.sql("UPDATE refresh_tokens SET expires_at = now() - interval '1 second'").await.unwrap();
    assert_eq!(refusal(refresh(&world, &pair.refresh_token).await), Code::Unauthenticated);
    assert!(self_with(&world, &pair.access_token).await.is_ok(), "running out is no theft");
}

#[tokio::test]
async fn signing_out_refuses_the_token_at_once_and_leaves_other_sessions_alone() {
    let world = World::start().await;
    let (here, there) = (world.sign_in("worker1").await, world.sign_in("worker1").await);
    world.auth_with(&here.access_token).sign_out(SignOutRequest {}).await.unwrap();
    assert_eq!(refusal(self_with(&world, &here.access_token).await), Code::Unauthenticated);
    assert_eq!(refusal(refresh(&world, &here.refresh_token).await), Code::Unauthenticated);
    assert!(self_with(&world, &there.access_token).await.is_ok());
    let events = world.service.drain_outbox().await;
    let revoked: Vec<SessionRevoked> = events.iter().filter_map(|e| e.decode().ok()).collect();
    assert_eq!(revoked.len(), 1);
    let until = revoked[0].expire_time.as_ref().unwrap().seconds;
    assert!(until >= here.access_expire_time.unwrap().seconds, "it bars the last token to its end");
}

#[tokio::test]
async fn an_administrator_has_one_session_at_a_time() {
    let world = World::start().await;
    let (first, second) = (world.sign_in("secadmin1").await, world.sign_in("secadmin1").await);
    assert_eq!(refusal(self_with(&world, &first.access_token).await), Code::Unauthenticated);
    assert!(self_with(&world, &second.access_token).await.is_ok());
}

#[tokio::test]
async fn of_an_administrators_sign_ins_at_once_one_session_survives() {
    use diesel_async::RunQueryDsl;
    let world = World::start().await;
    // Sessions wait for a lock when they commit, so that none is seen by another before all have been opened.
    world
        .sql(
            "CREATE FUNCTION wait_at_commit() RETURNS trigger LANGUAGE plpgsql AS
             'BEGIN PERFORM pg_advisory_xact_lock_shared(77); RETURN NULL; END'",
        )
        .await
        .unwrap();
    world
        .sql(
            "CREATE CONSTRAINT TRIGGER wait_at_commit AFTER INSERT ON sessions DEFERRABLE INITIALLY DEFERRED
             FOR EACH ROW EXECUTE FUNCTION wait_at_commit()",
        )
        .await
        .unwrap();
    let mut gate = world.service.db().conn().await.unwrap();
    diesel::sql_query("SELECT pg_advisory_lock(77)").execute(&mut *gate).await.unwrap();
    let waiting =
        "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let release = async {
        world.service.wait_for("both sign-ins wait", async || world.sql(waiting).await.unwrap() == 2).await;
        diesel::sql_query("SELECT pg_advisory_unlock(77)").execute(&mut *gate).await.unwrap();
    };
    let (first, second, ()) = tokio::join!(world.sign_in("secadmin1"), world.sign_in("secadmin1"), release);
    let mut alive = 0;
    for pair in [first, second] {
        let access = self_with(&world, &pair.access_token).await.is_ok();
        assert_eq!(access, refresh(&world, &pair.refresh_token).await.is_ok());
        alive += usize::from(access);
    }
    assert_eq!(alive, 1);
}

#[tokio::test]
async fn keys_rotate_while_old_tokens_go_on() {
    let world = World::start().await;
    let before = world.sign_in("worker1").await;
    let admin = world.sign_in("secadmin1").await;
    let request = RotateKeysRequest { request_id: crate::world::request_id() };
    let mut auth = world.auth_with(&admin.access_token);
    let key_id = auth.rotate_keys(request.clone()).await.unwrap().into_inner().key_id;
    assert_eq!(
        auth.rotate_keys(request).await.unwrap().into_inner().key_id,
        key_id,
        "a repeat rotates nothing"
    );
    let entries = audit::entries(&mut world.service.db().conn().await.unwrap()).await.unwrap();
    let done: Vec<&str> = entries.iter().map(|entry| entry.access.action.as_str()).collect();
    assert_eq!(done, ["RotateKeys"], "who rotated them is known");
    let jwks = world.auth_anonymously().get_jwks(GetJwksRequest {}).await.unwrap().into_inner().jwks_json;
    let jwks: serde_json::Value = serde_json::from_str(&jwks).unwrap();
    let keys = jwks["keys"].as_array().unwrap();
    assert_eq!(keys.len(), 2, "the old one still verifies");
    assert!(keys.iter().any(|key| key["kid"] == key_id.as_str()));
    assert!(keys.iter().all(|key| key.get("d").is_none()), "no secret half");
    assert!(self_with(&world, &before.access_token).await.is_ok());
    let after = world.sign_in("worker1").await;
    assert!(self_with(&world, &after.access_token).await.is_ok());
}

/// The key a token was signed by.
fn key_of(token: &str) -> String {
    use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
    let header = BASE64_URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();
    serde_json::from_slice::<serde_json::Value>(&header).unwrap()["kid"].as_str().unwrap().to_owned()
}

/// Another replica over the same database.
async fn replica(world: &World) -> KeyRing {
    let context = &world.service.context;
    KeyRing::open(&context.db, context.crypto.clone(), context.clock.clone(), KeySource::local())
        .await
        .unwrap()
}

/// Rotates as a replica does, and lets the time pass after which the new key signs.
async fn rotate_and_wait(world: &World, ring: &KeyRing) -> String {
    let key = world.service.db().transaction(async |tx: &mut Tx<'_>| ring.rotate(tx).await).await.unwrap();
    let passed = "UPDATE signing_keys SET signs_from = signs_from - interval '31 seconds',
                         retired_at = retired_at - interval '31 seconds'";
    world.sql(passed).await.unwrap();
    key
}

#[tokio::test]
async fn a_new_key_signs_only_when_every_replica_has_had_the_time_to_read_it() {
    let world = World::start().await;
    let before = key_of(&world.sign_in("worker1").await.access_token);
    let admin = world.sign_in("secadmin1").await;
    let request = RotateKeysRequest { request_id: crate::world::request_id() };
    let rotated =
        world.auth_with(&admin.access_token).rotate_keys(request).await.unwrap().into_inner().key_id;
    assert_eq!(key_of(&world.sign_in("worker1").await.access_token), before, "published, not signing");
    assert!(PUBLISHED_FIRST >= chrono::TimeDelta::from_std(2 * RELOAD).unwrap());
    world.sql("UPDATE signing_keys SET signs_from = signs_from - interval '31 seconds'").await.unwrap();
    world.auth_anonymously().get_jwks(GetJwksRequest {}).await.unwrap();
    let after = world.sign_in("worker1").await.access_token;
    assert_eq!(key_of(&after), rotated);
    assert!(self_with(&world, &after).await.is_ok());
}

#[tokio::test]
async fn a_token_of_a_key_that_another_replica_made_is_taken_at_once() {
    let world = World::start().await;
    let other = replica(&world).await;
    let key = rotate_and_wait(&world, &other).await;
    other.reload().await.unwrap();
    let claims = Claims {
        sub: world.people["worker1"].0,
        sid: chassis::clock::new_id(),
        kind: TokenKind::Person,
        ..Claims::service("", "jianghan", "jianghan")
    };
    let token = other.sign(&claims.valid_for(world.service.clock().real_now(), 600)).unwrap();
    assert_eq!(key_of(&token), key);
    assert!(self_with(&world, &token).await.is_ok(), "it is looked for in the database");
}

#[tokio::test]
async fn published_keys_are_those_of_the_database() {
    let world = World::start().await;
    let key = rotate_and_wait(&world, &replica(&world).await).await;
    let jwks = world.auth_anonymously().get_jwks(GetJwksRequest {}).await.unwrap().into_inner().jwks_json;
    assert!(jwks.contains(&key), "whichever replica is asked");
}

#[tokio::test]
async fn forged_tokens_are_refused() {
    let world = World::start().await;
    let pair = world.sign_in("worker1").await;
    let grants = vec![GrantClaim(29, world.units["district"].0, None, None, None)];
    let claims = Claims {
        sub: world.people["worker1"].0,
        sid: chassis::clock::new_id(),
        kind: TokenKind::Person,
        grants,
        ..Claims::service("", "jianghan", "jianghan")
    };
    let claims = claims.valid_for(world.service.clock().real_now(), 600);
    let foreign = Signer::from_seed(&[9; 32]).unwrap().sign(&claims).unwrap();
    let mut parts: Vec<&str> = pair.access_token.split('.').collect();
    let none = format!("eyJhbGciOiJub25lIn0.{}.", parts[1]);
    let other_payload = foreign.split('.').nth(1).unwrap().to_owned();
    parts[1] = &other_payload;
    for token in [foreign.clone(), none, parts.join("."), String::from("x.y.z")] {
        assert_eq!(refusal(self_with(&world, &token).await), Code::Unauthenticated);
    }
}

#[tokio::test]
async fn a_service_gets_its_token_by_its_own_secret_only() {
    let world = World::start().await;
    let issue = async |service: &str, secret: String| {
        let request = IssueServiceTokenRequest { service: service.to_owned(), secret };
        world.auth_anonymously().issue_service_token(request).await.map(|r| r.into_inner())
    };
    let crypto = &world.service.context.crypto;
    let token = issue("staffing", crypto.service_secret("staffing")).await.unwrap();
    let mut client = AuthServiceClient::new(world.service.call_with(&token.access_token));
    assert_eq!(
        refusal(client.get_self(GetSelfRequest {}).await),
        Code::PermissionDenied,
        "a service is no person"
    );
    let mut topology = proto::identity::v1::topology_service_client::TopologyServiceClient::new(
        world.service.call_with(&token.access_token),
    );
    assert!(topology.get_topology_snapshot(GetTopologySnapshotRequest::default()).await.is_ok());
    for (service, secret) in [
        ("staffing", crypto.service_secret("analytics")),
        ("staffing", "wrong".to_owned()),
        ("stranger", crypto.service_secret("stranger")),
    ] {
        assert_eq!(refusal(issue(service, secret).await), Code::Unauthenticated, "{service}");
    }
}

#[tokio::test]
async fn a_token_does_not_outlive_the_grant_it_carries() {
    let mut world = World::start().await;
    let end = world.service.clock().now() + chrono::TimeDelta::seconds(60);
    world.add_person("temp", chassis::auth::Role::ServiceWorker, "community1", None, Some(end)).await;
    let pair = world.sign_in("temp").await;
    let life = pair.access_expire_time.unwrap().seconds - world.service.clock().real_now().timestamp();
    assert!(life <= 60, "{life} s");
    world.service.clock().advance(std::time::Duration::from_secs(61));
    let later = world.sign_in("temp").await;
    let answer = world.auth_with(&later.access_token).get_self(GetSelfRequest {}).await.unwrap().into_inner();
    assert!(answer.grants.is_empty());
}

#[tokio::test]
async fn passwords_and_tokens_are_nowhere_in_clear() {
    let world = World::start().await;
    let pair = world.sign_in("worker1").await;
    let next = branch(&world, &pair.refresh_token).await.unwrap();
    let dump = crate::world::dump(&world).await;
    let refresh_tokens = [&pair.refresh_token, &next.refresh_token, &next.branch_refresh_token];
    for secret in [PASSWORD, &pair.access_token, &next.access_token] {
        crate::world::assert_absent(&dump, secret);
    }
    for token in refresh_tokens {
        crate::world::assert_absent(&dump, token);
    }
    // A refresh token is random bytes: their own form must not be there either.
    use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
    for token in refresh_tokens {
        let raw = BASE64_URL_SAFE_NO_PAD.decode(token).unwrap();
        let hex: String = raw.iter().map(|b| format!("{b:02x}")).collect();
        assert!(!dump.contains(&hex));
    }
}
