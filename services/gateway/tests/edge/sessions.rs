//! Sessions of the board: cookies, forms of this site only, tokens that are renewed, and who has none.

use proto::identity::v1::RefreshTokenRequest;
use tonic::Status;

use crate::{
    canned::{bearer, district, renewed, tokens},
    visitor::{cookies, kept, page, post, sign_in},
};

#[tokio::test]
async fn nobody_sees_a_page_without_a_session() {
    let edge = district(None).await;
    for (path, cookie) in
        [("/", ""), ("/cases", ""), ("/cases/x", "jh_session=1-forged"), ("/", "jh_session=9-x")]
    {
        let response = edge.get(path).header("cookie", cookie).send().await.expect("an answer");
        assert_eq!(
            (response.status().as_u16(), response.headers()["location"].to_str().expect("text")),
            (303, "/login")
        );
    }
    // Sealed by another key.
    let other = district(None).await;
    let session = sign_in(&other).await;
    assert_eq!(page(&edge, "/", &session).await.0, 303);
    let (status, html) = page(&edge, "/login", "").await;
    assert_eq!(status, 200);
    assert!(html.contains("登录"));
    let refused = post(&edge, "/login", "login=li&password=wrong").await;
    assert_eq!(refused.status(), 401);
    assert!(cookies(&refused).is_empty());
    assert!(refused.text().await.expect("text").contains("用户名或密码不对"));
}

#[tokio::test]
async fn cookies_are_out_of_reach_of_scripts_and_other_sites() {
    let edge = district(None).await;
    let plain = cookies(&post(&edge, "/login", "login=li&password=secret").await);
    assert_eq!(plain.len(), 1);
    assert!(plain[0].starts_with("jh_session=") && !plain[0].contains("Secure"), "{plain:?}");
    let edge = district(Some("https://board.example")).await;
    let secure = cookies(&post(&edge, "/login", "login=li&password=secret").await);
    assert!(secure[0].starts_with("__Host-jh_session="), "{secure:?}");
    assert!(secure[0].contains("; Secure"), "{secure:?}");
    let language = cookies(&post(&edge, "/language", "lang=en&back=/").await);
    let access = tokens(600).access_token;
    for cookie in plain.iter().chain(&secure).chain(&language) {
        assert!(cookie.contains("; HttpOnly") && cookie.contains("; SameSite=Strict"), "{cookie}");
        assert!(cookie.contains("; Path=/;") && !cookie.contains("Domain"), "{cookie}");
        assert!(!cookie.contains(&access) && !cookie.contains("refresh"), "sealed: {cookie}");
    }
}

#[tokio::test]
async fn posts_of_other_sites_are_refused() {
    let edge = district(None).await;
    let session = sign_in(&edge).await;
    let signed_in = edge.services.calls("SignIn").len();
    for path in ["/login", "/logout", "/language"] {
        let foreign = [
            vec![("origin", "https://evil.example")],
            vec![("origin", "null")],
            vec![("sec-fetch-site", "cross-site")],
            vec![("sec-fetch-site", "same-site"), ("origin", edge.url.as_str())],
            vec![],
        ];
        for headers in foreign {
            let mut request =
                edge.post(path).header("cookie", &session).body("login=li&password=secret&lang=en");
            request = request.header("content-type", "application/x-www-form-urlencoded");
            for (name, value) in headers {
                request = request.header(name, value);
            }
            let response = request.send().await.expect("an answer");
            assert_eq!(response.status(), 403, "{path}");
            assert!(cookies(&response).is_empty());
        }
    }
    assert_eq!(edge.services.calls("SignIn").len(), signed_in);
    assert!(edge.services.calls("SignOut").is_empty());
}

#[tokio::test]
async fn the_language_form_leads_back_to_this_site_only() {
    let edge = district(None).await;
    let cases = [
        ("lang=en&back=/cases?state=closed", "/cases?state=closed"),
        ("lang=en&back=//evil.example", "/"),
        ("lang=en&back=https://evil.example", "/"),
        ("lang=en&back=/%09/evil.example", "/"),
        ("lang=en&back=/%5Cevil.example", "/"),
        ("lang=en&back=/%0d%0aset-cookie:a=b", "/"),
        ("lang=en", "/"),
    ];
    for (form, expected) in cases {
        let response = post(&edge, "/language", form).await;
        assert_eq!(
            (response.status().as_u16(), response.headers()["location"].to_str().expect("text")),
            (303, expected)
        );
        assert!(cookies(&response)[0].starts_with("jh_lang=en;"));
    }
}

#[tokio::test]
async fn signing_out_ends_the_session_at_identity_and_here() {
    let edge = district(None).await;
    let session = sign_in(&edge).await;
    let request = edge.post("/logout").header("cookie", &session).header("sec-fetch-site", "same-origin");
    let response = request.send().await.expect("an answer");
    assert_eq!(response.headers()["location"], "/login");
    assert!(cookies(&response).iter().all(|cookie| cookie.contains("Max-Age=0")));
    assert_eq!(edge.services.calls("SignOut").len(), 1);
}

#[tokio::test]
async fn a_session_is_renewed_before_its_token_runs_out() {
    let edge = district(None).await;
    edge.services.answer("SignIn", &tokens(60));
    let session = sign_in(&edge).await;
    edge.services.answer("RefreshToken", &renewed(600));
    let response = edge.get("/").header("cookie", &session).send().await.expect("an answer");
    assert_eq!(response.status(), 200);
    let asked: RefreshTokenRequest = edge.services.calls("RefreshToken")[0].decode();
    assert_eq!(asked.refresh_token, "refresh-1");
    assert_eq!(
        edge.services.calls("GetBoard")[0].header("authorization").as_deref(),
        Some(bearer(600).as_str())
    );
    let session = kept(&cookies(&response));
    assert_eq!(page(&edge, "/", &session).await.0, 200);
    assert_eq!(edge.services.calls("RefreshToken").len(), 1, "the new tokens are in the cookie");

    // Refused: signed out. Identity away: the old token goes on while it lasts.
    edge.services.refuse("RefreshToken", Status::unavailable("later"));
    edge.services.answer("SignIn", &tokens(61));
    let session = sign_in(&edge).await;
    assert_eq!(page(&edge, "/", &session).await.0, 200);
    edge.services.answer("SignIn", &tokens(-5));
    let old = sign_in(&edge).await;
    assert_eq!(page(&edge, "/", &old).await.0, 503, "not signed out because identity restarts");
    edge.services.refuse("RefreshToken", Status::unauthenticated("used before"));
    assert_eq!(page(&edge, "/", &session).await.0, 303);
}

#[tokio::test]
async fn a_token_with_many_grants_is_spread_over_cookies() {
    let edge = district(None).await;
    let long = "x".repeat(6_000);
    edge.services
        .answer("SignIn", &proto::identity::v1::SignInResponse { access_token: long.clone(), ..tokens(600) });
    let response = post(&edge, "/login", "login=li&password=secret").await;
    let set = cookies(&response);
    assert!(set.len() > 1 && set.iter().all(|cookie| cookie.len() < 4_096), "{} cookies", set.len());
    assert_eq!(page(&edge, "/", &kept(&set)).await.0, 200);
    assert_eq!(edge.services.calls("GetBoard")[0].header("authorization"), Some(format!("Bearer {long}")));
    assert_eq!(page(&edge, "/", &kept(&set[..1])).await.0, 303, "not with a part of them");
}
