//! Tokens that are taken back before they run out: identity tells it by event, and every service refuses them, asked directly or
//! through the gateway.

use std::{collections::BTreeMap, time::Duration};

use chassis::{Timestamp, clock};
use jianghan::suite::request_id;
use proto::{
    auth::v1::Role,
    identity::v1::{RevokeRoleRequest, SignInRequest, SignOutRequest},
};
use tokio::time::timeout;
use tonic::Request;

use crate::{Person, World, descriptors::rpc, eventually, journeys::COMMUNITY};

/// By when nobody takes a token any more that was taken back.
const AT_THE_LATEST: Duration = Duration::from_secs(5);

/// What is asked of each service, directly.
const RPCS: [&str; 5] = ["GetSelf", "ListCases", "ListAssignments", "ListOffers", "GetBoard"];

/// The same through the gateway.
const PATHS: [&str; 5] = ["/v1/self", "/v1/cases", "/v1/assignments", "/v1/offers", "/v1/board"];

/// What each says: the code of the status of an RPC, or the status of an answer over HTTP.
type Heard = BTreeMap<&'static str, String>;

struct Token {
    bearer: String,
    expires: Timestamp,
}

/// Whoever signs out is refused everywhere with that session's token, and whoever loses a role with all that were issued before,
/// though by time they are good.
pub async fn taken_back_everywhere(world: &World) {
    let newcomer = world.newcomer(&[Role::StationHead, Role::Volunteer], COMMUNITY).await;
    let (first, second) = (signs_in(&newcomer.person).await, signs_in(&newcomer.person).await);
    for token in [&first, &second] {
        assert_eq!(heard(world, token).await, all("Ok", "200"));
    }

    let mut request = Request::new(SignOutRequest {});
    request.metadata_mut().insert("authorization", first.bearer.parse().expect("a header"));
    world.patient.auth().sign_out(request).await.expect("signed out");
    is_refused_everywhere(world, &first, "who has signed out").await;
    assert_eq!(heard(world, &second).await, all("Ok", "200"), "the other session goes on");

    let (admin, grant_id) = (world.anyone("security_admin", 0), newcomer.grants[0].grant_id.clone());
    let message = RevokeRoleRequest { request_id: request_id(), grant_id };
    world.patient.people().revoke_role(admin.asks(message).await).await.expect("the role is taken back");
    is_refused_everywhere(world, &second, "whose role was taken back").await;

    // What is left is found at the next sign-in.
    let mut left = all("PermissionDenied", "403");
    for (rpc, path) in [("GetSelf", "/v1/self"), ("ListOffers", "/v1/offers")] {
        left.extend([(rpc, "Ok".to_owned()), (path, "200".to_owned())]);
    }
    assert_eq!(heard(world, &signs_in(&newcomer.person).await).await, left);
}

/// A session of its own: the person's other ones stay.
async fn signs_in(person: &Person<'_>) -> Token {
    let account = &person.session.account;
    let request = SignInRequest { login: account.login.clone(), password: account.password.clone() };
    let answer = person.world.patient.auth().sign_in(request).await.expect("signed in").into_inner();
    let expires = answer.access_expire_time.as_ref().and_then(clock::from_proto);
    Token {
        bearer: format!("Bearer {}", answer.access_token),
        expires: expires.expect("a token runs out one day"),
    }
}

async fn is_refused_everywhere(world: &World, token: &Token, who: &str) {
    let refused = all("Unauthenticated", "401");
    let what = format!("a refusal everywhere of {who}");
    let waiting = eventually(&what, async || (heard(world, token).await == refused).then_some(()));
    timeout(AT_THE_LATEST, waiting).await.unwrap_or_else(|_| panic!("{what} took too long"));
    assert_eq!(heard(world, token).await, refused, "and it stays so");
    assert!(token.expires > clock::Clock::system().real_now(), "by time it is still good");
}

async fn heard(world: &World, token: &Token) -> Heard {
    let mut heard = Heard::new();
    for name in RPCS {
        let rpc = rpc(name);
        let channel = world.channel(rpc.service).await;
        let answer = rpc.call(&channel, rpc.request(), Some(&token.bearer)).await;
        let code = answer.map_or_else(|status| format!("{:?}", status.code()), |_| "Ok".to_owned());
        heard.insert(name, code);
    }
    let http = reqwest::Client::new();
    for path in PATHS {
        let request = http.get(format!("{}{path}", world.gateway)).header("authorization", &token.bearer);
        let answer = request.send().await.expect("the edge answers");
        heard.insert(path, answer.status().as_u16().to_string());
    }
    heard
}

/// The same from all.
fn all(code: &str, status: &str) -> Heard {
    let rpcs = RPCS.into_iter().map(|name| (name, code.to_owned()));
    rpcs.chain(PATHS.into_iter().map(|path| (path, status.to_owned()))).collect()
}
