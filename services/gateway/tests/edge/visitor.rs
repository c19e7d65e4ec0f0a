//! Somebody who visits the board over plain HTTP: signs in, keeps the cookies, reads pages and listens to streams.

use std::time::Duration;

use proto::identity::v1::SignInResponse;
use reqwest::Response;

use crate::{
    canned::{token_of, tokens},
    fakes::Edge,
};

/// `Set-Cookie`s of an answer.
pub fn cookies(response: &Response) -> Vec<String> {
    let headers = response.headers().get_all("set-cookie").iter();
    headers.map(|value| value.to_str().expect("text").to_owned()).collect()
}

/// What the browser sends back of them.
pub fn kept(cookies: &[String]) -> String {
    let pairs = cookies.iter().map(|cookie| cookie.split(';').next().unwrap_or_default());
    pairs.collect::<Vec<_>>().join("; ")
}

pub async fn post(edge: &Edge, path: &str, form: &'static str) -> Response {
    let request = edge.post(path).header("origin", &edge.url).body(form);
    request.header("content-type", "application/x-www-form-urlencoded").send().await.expect("an answer")
}

/// Signs in; the cookies of the session.
pub async fn sign_in(edge: &Edge) -> String {
    let response = post(edge, "/login", "login=li&password=secret").await;
    assert_eq!(
        (response.status().as_u16(), &response.headers()["location"]),
        (303, &"/".parse().expect("a value"))
    );
    kept(&cookies(&response))
}

/// Signs a person in, once more; the cookies of the session.
pub async fn signed_in(edge: &Edge, person: &str, session: usize) -> String {
    let answer = SignInResponse { access_token: token_of(person, session), ..tokens(600) };
    edge.services.answer("SignIn", &answer);
    sign_in(edge).await
}

pub async fn page(edge: &Edge, path: &str, cookie: &str) -> (u16, String) {
    let response = edge.get(path).header("cookie", cookie).send().await.expect("an answer");
    (response.status().as_u16(), response.text().await.expect("text"))
}

/// Reads a stream until it has said this, or ended.
pub async fn heard(response: &mut Response, wanted: &str) -> String {
    let listening = async {
        let mut text = String::new();
        while !text.contains(wanted) {
            match response.chunk().await.expect("a chunk") {
                Some(chunk) => text.push_str(&String::from_utf8_lossy(&chunk)),
                None => break,
            }
        }
        text
    };
    tokio::time::timeout(Duration::from_secs(20), listening).await.expect("heard in time")
}
