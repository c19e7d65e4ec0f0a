//! Sessions of the board: cookies, forms of this site only, tokens that are renewed, and who has none.

use proto::identity::v1::{
    ChangePasswordRequest, ChangePasswordResponse, GetSelfResponse, RefreshTokenRequest,
    ResetPasswordResponse,
};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::{
    canned::{bearer, district, renewed, tokens},
    fakes::{Edge, json},
    visitor::{cookies, kept, page, post, sign_in, signed_in},
};

#[tokio::test]
async fn nobody_sees_a_page_without_a_session() {
    let edge = district(None).await;
    for (path, cookie, next) in [
        ("/", "", "%2F"),
        ("/cases?state=closed", "", "%2Fcases%3Fstate%3Dclosed"),
        ("/cases/x", "jh_session=1-forged", "%2Fcases%2Fx"),
        ("/", "jh_session=9-x", "%2F"),
    ] {
        let response = edge.get(path).header("cookie", cookie).send().await.expect("an answer");
        assert_eq!(
            (response.status().as_u16(), response.headers()["location"].to_str().expect("text")),
            (303, format!("/login?next={next}").as_str())
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
async fn signing_in_leads_to_where_somebody_wanted_to_go_on_this_site_only() {
    let edge = district(None).await;
    let (status, html) = page(&edge, "/login?next=%2Fcases%2Fx", "").await;
    assert_eq!(status, 200);
    for shown in [
        "type=\"hidden\" name=\"next\" value=\"/cases/x\"",
        "href=\"/cases/x\">继续前往",
        "name=\"back\" value=\"/login?next=%2Fcases%2Fx\"",
    ] {
        assert!(html.contains(shown), "{shown}: {html}");
    }
    // Refused: neither the name nor the way is lost.
    let refused = post(&edge, "/login", "login=li&password=wrong&next=%2Fcases%2Fx").await;
    let html = refused.text().await.expect("text");
    assert!(html.contains("value=\"li\"") && html.contains("value=\"/cases/x\""), "{html}");
    assert!(!html.contains("wrong"), "{html}");
    for (form, expected) in [
        ("login=li&password=secret&next=%2Fcases%2Fx", "/cases/x"),
        ("login=li&password=secret&next=%2F%2Fevil.example", "/"),
        ("login=li&password=secret&next=https%3A%2F%2Fevil.example", "/"),
        ("login=li&password=secret&next=", "/"),
    ] {
        let response = post(&edge, "/login", form).await;
        let location = response.headers()["location"].to_str().expect("text");
        assert_eq!((response.status().as_u16(), location), (303, expected), "{form}");
    }
    let (_, html) = page(&edge, "/login?next=%2F%2Fevil.example", "").await;
    assert!(!html.contains("evil") && !html.contains("继续前往"), "{html}");
}

#[tokio::test]
async fn where_the_accounts_of_the_demonstration_are_is_told_in_a_demonstration_only() {
    let edge = district(None).await;
    assert!(!page(&edge, "/login", "").await.1.contains("演示"));
    let edge = Edge::configured(|config| config.demonstration = true).await;
    assert!(page(&edge, "/login", "").await.1.contains("演示帐号及其密码"));
}

#[tokio::test]
async fn what_was_written_is_shown_again_when_the_session_is_over_or_identity_is_away() {
    let edge = district(None).await;
    let topic = "hotspot_id=h&request_id=r&action=topic&text=%E8%B7%AF%E7%81%AF";
    let send = async |session: &str| {
        let request = edge.post("/hotspots").header("origin", &edge.url).header("cookie", session);
        let request = request.header("content-type", "application/x-www-form-urlencoded").body(topic);
        let response = request.send().await.expect("an answer");
        (response.status().as_u16(), response.text().await.expect("text"))
    };
    let written = "<p class=\"quote\">路灯</p>";
    let again = "href=\"/login?next=%2Fhotspots\"";
    let (status, html) = send("").await;
    assert!(status == 401 && html.contains(written) && html.contains(again), "{status}: {html}");
    assert!(!html.contains("退出"), "nobody is signed in: {html}");

    let session = sign_in(&edge).await;
    edge.services.refuse("OpenTopicCase", Status::unauthenticated("revoked"));
    let (status, html) = send(&session).await;
    assert!(status == 401 && html.contains(written) && html.contains(again), "{status}: {html}");
    assert!(!html.contains("revoked"), "{html}");

    edge.services.answer("SignIn", &tokens(-5));
    let old = sign_in(&edge).await;
    edge.services.refuse("RefreshToken", Status::unavailable("later"));
    let (status, html) = send(&old).await;
    assert!(status == 503 && html.contains(written), "{status}: {html}");
    assert!(html.contains("退出"), "who has a session has one still: {html}");
    edge.services.refuse("RefreshToken", Status::unauthenticated("used before"));
    let (status, html) = send(&old).await;
    assert!(status == 401 && html.contains(written) && html.contains(again), "{status}: {html}");
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
    let looked_for = edge.services.calls("ListCases").len();
    let forms = ["/duties/1", "/admissions/1", "/hotspots", "/cases", "/cases.csv"];
    for path in ["/login", "/logout", "/language", "/password"].into_iter().chain(forms) {
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
    assert_eq!(edge.services.calls("ListCases").len(), looked_for);
    assert!(edge.services.calls("SignOut").is_empty());
    assert!(edge.services.calls("ChangePassword").is_empty());
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

/// A form of the own password, as it is filled in by who means it.
const CHANGE: &str = "request_id=r&current_password=secret&new_password=a-fine-long-password\
                      &repeated_password=a-fine-long-password";

/// Sends the form in a session; the status and the page.
async fn change(edge: &Edge, session: &str, form: &'static str) -> (u16, String) {
    let request = edge.post("/password").header("origin", &edge.url).header("cookie", session).body(form);
    let request = request.header("content-type", "application/x-www-form-urlencoded");
    let response = request.send().await.expect("an answer");
    (response.status().as_u16(), response.text().await.expect("text"))
}

#[tokio::test]
async fn who_is_signed_in_changes_the_own_password_by_a_form_and_stays_signed_in() {
    let edge = district(None).await;
    edge.services.answer("ChangePassword", &ChangePasswordResponse {});
    assert_eq!(page(&edge, "/password", "").await.0, 303, "nobody without a session");
    assert_eq!(change(&edge, "", CHANGE).await.0, 303, "nobody without a session");
    assert!(edge.services.calls("ChangePassword").is_empty());
    let session = sign_in(&edge).await;
    let english = format!("{session}; jh_lang=en");
    for (cookie, words) in [
        (&session, ["修改密码", "当前密码", "再次输入新密码"]),
        (&english, ["Change password", "Current password", "New password once more"]),
    ] {
        let (_, html) = page(&edge, "/", cookie).await;
        assert!(html.contains("href=\"/password\"") && html.contains(words[0]), "{html}");
        let (status, html) = page(&edge, "/password", cookie).await;
        assert_eq!(status, 200);
        for shown in words.into_iter().chain(["name=\"request_id\"", "autocomplete=\"new-password\""]) {
            assert!(html.contains(shown), "{shown}: {html}");
        }
        assert!(!html.contains("aria-invalid") && !html.contains("role=\"alert\""), "{html}");
    }

    let (status, html) = change(&edge, &session, CHANGE).await;
    assert!(status == 200 && html.contains("密码已修改"), "{status}: {html}");
    let call = &edge.services.calls("ChangePassword")[0];
    assert_eq!(call.header("authorization"), Some(bearer(600)));
    let asked: ChangePasswordRequest = call.decode();
    assert_eq!(
        (asked.request_id.as_str(), asked.current_password.as_str(), asked.new_password.as_str()),
        ("r", "secret", "a-fine-long-password")
    );
    assert_eq!(page(&edge, "/", &session).await.0, 200);
}

#[tokio::test]
async fn a_password_that_is_not_changed_is_told_by_its_field_and_not_shown_again() {
    let edge = district(None).await;
    let session = sign_in(&edge).await;
    let other = "request_id=r&current_password=secret&new_password=a-fine-long-password&repeated_password=x";
    let (status, html) = change(&edge, &session, other).await;
    assert!(status == 400 && html.contains("两次输入的新密码不一致"), "{status}: {html}");
    assert_eq!(invalid(&html), ["repeated_password"]);
    assert!(edge.services.calls("ChangePassword").is_empty(), "nobody is asked");

    edge.services.answer("GetSelf", &GetSelfResponse::default());
    let bad = |field: &str| {
        let mut details = ErrorDetails::new();
        details.add_bad_request_violation(field, "is not as it must be");
        Status::with_error_details(Code::InvalidArgument, "is not as it must be", details)
    };
    let refusals = [
        (Status::unauthenticated("a valid token is needed"), 401, "当前密码不对", vec!["current_password"]),
        (bad("current_password"), 401, "当前密码不对", vec!["current_password"]),
        (bad("new_password"), 400, "新密码不符合下列要求", vec!["new_password"]),
        (Status::resource_exhausted("later"), 429, "尝试次数过多", vec![]),
        (bad("request_id"), 400, "请求有误", vec![]),
        (Status::unavailable("later"), 503, "服务暂时没有应答", vec![]),
    ];
    for (refusal, expected, said, fields) in refusals {
        edge.services.refuse("ChangePassword", refusal);
        let (status, html) = change(&edge, &session, CHANGE).await;
        assert!(status == expected && html.contains(said), "{status}: {html}");
        assert_eq!(invalid(&html), fields, "{html}");
        assert!(!html.contains("a-fine-long-password") && !html.contains("value=\"secret\""), "{html}");
    }
    // The session itself is over.
    for method in ["ChangePassword", "GetSelf"] {
        edge.services.refuse(method, Status::unauthenticated("a valid token is needed"));
    }
    assert_eq!(change(&edge, &session, CHANGE).await.0, 303);
}

/// The fields that a page marks as wrong; each stands in a line of its own.
fn invalid(html: &str) -> Vec<&str> {
    let marked = html.lines().filter(|line| line.contains("aria-invalid=\"true\""));
    marked.filter_map(|line| line.split("name=\"").nth(1)?.split('"').next()).collect()
}

/// What costs identity a hash: paths and bodies. The first two are of REST, the others of the board.
const TRIES: [(&str, &str); 4] = [
    ("/v1/auth:signIn", r#"{"login":"li","password":"secret"}"#),
    ("/v1/auth:changePassword", r#"{"requestId":"r","currentPassword":"secret","newPassword":"x"}"#),
    ("/login", "login=li&password=secret"),
    ("/password", CHANGE),
];

#[tokio::test]
async fn a_client_has_few_tries_of_passwords_in_hand_whichever_way_they_come() {
    let proxies = gateway::Proxies::read(|_| Some("127.0.0.1/32".to_owned())).expect("a network");
    let edge = Edge::configured(|config| config.proxies = proxies).await;
    edge.services.answer("SignIn", &tokens(600));
    edge.services.answer("ChangePassword", &ChangePasswordResponse {});
    let session = sign_in(&edge).await;
    let tries = |(path, body): (&str, &'static str), from: &str| {
        let request = edge.post(path).header("origin", &edge.url).header("cookie", &session).body(body);
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        request.header("x-forwarded-for", from).send()
    };
    edge.services.hold("SignIn");
    edge.services.hold("ChangePassword");
    let mut waiting = Vec::new();
    for from in ["8.8.8.8", "1.1.1.1, 8.8.8.8"] {
        // What the client itself puts in front does not count.
        waiting.extend(TRIES.map(|way| tokio::spawn(tries(way, from))));
    }
    edge.services.asked("SignIn", 5).await;
    edge.services.asked("ChangePassword", 4).await;
    let [sign_in, change, login, password] = TRIES.map(|way| tries(way, "1.1.1.1, 8.8.8.8"));
    for refused in [sign_in.await, change.await] {
        let refused = refused.expect("an answer");
        assert_eq!(refused.status(), 429);
        assert_eq!(refused.headers()["retry-after"], "1");
        assert_eq!(json(refused).await["code"], "RESOURCE_EXHAUSTED");
    }
    // The board waits a moment; nothing is locked, and who signs in need not write the name again.
    let (login, password) = tokio::join!(login, password);
    for (refused, kept) in [(login, true), (password, false)] {
        let refused = refused.expect("an answer");
        assert_eq!(refused.status(), 429);
        let html = refused.text().await.expect("text");
        assert!(html.contains("同一地址的登录较多") && !html.contains("尝试次数过多"), "{html}");
        assert!(html.contains("type=\"password\"") && !html.contains("value=\"secret\""), "{html}");
        assert_eq!(html.contains("value=\"li\""), kept, "{html}");
    }
    let other = tokio::spawn(tries(TRIES[0], "9.9.9.9"));
    edge.services.asked("SignIn", 6).await;
    edge.services.release("SignIn");
    edge.services.release("ChangePassword");
    for waited in waiting.into_iter().chain([other]) {
        let status = waited.await.expect("it ends").expect("an answer").status();
        assert!(status.is_success() || status.is_redirection(), "{status}");
    }
    assert_eq!(tries(TRIES[0], "8.8.8.8").await.expect("an answer").status(), 200, "there is room again");
    assert_eq!(edge.services.calls("SignIn").len(), 7, "what was refused was asked of nobody");
    assert_eq!(edge.services.calls("ChangePassword").len(), 4);
}

#[tokio::test]
async fn who_signs_in_on_the_board_waits_a_moment_for_others_of_the_same_address() {
    let proxies = gateway::Proxies::read(|_| Some("none".to_owned())).expect("none");
    let edge = Edge::configured(|config| config.proxies = proxies).await;
    edge.services.answer("SignIn", &tokens(600));
    edge.services.hold("SignIn");
    let tries = |(path, body): (&str, &str)| {
        let request = edge.post(path).header("origin", &edge.url).body(body.to_owned());
        request.header("content-type", "application/x-www-form-urlencoded").send()
    };
    // Each at a login of its own: at one there are fewer.
    let eight: Vec<_> = (0..8)
        .map(|n| {
            let body = format!(r#"{{"login":"li{n}","password":"secret"}}"#);
            tokio::spawn(tries(("/v1/auth:signIn", &body)))
        })
        .collect();
    edge.services.asked("SignIn", 8).await;
    let ninth = tokio::spawn(tries(TRIES[2]));
    // Over REST nobody waits.
    assert_eq!(tries(TRIES[0]).await.expect("an answer").status(), 429);
    edge.services.release("SignIn");
    assert_eq!(ninth.await.expect("it ends").expect("an answer").headers()["location"], "/");
    for waited in eight {
        assert_eq!(waited.await.expect("it ends").expect("an answer").status(), 200);
    }
    assert_eq!(edge.services.calls("SignIn").len(), 9);
}

#[tokio::test]
async fn unless_proxies_are_told_who_comes_from_inside_may_be_one_and_is_not_limited() {
    let edge = Edge::start().await;
    edge.services.answer("SignIn", &tokens(600));
    edge.services.hold("SignIn");
    let (path, body) = TRIES[0];
    let tries = || edge.post(path).header("x-forwarded-for", "8.8.8.8").body(body).send();
    let waiting: Vec<_> = (0..20).map(|_| tokio::spawn(tries())).collect();
    edge.services.asked("SignIn", 20).await;
    edge.services.release("SignIn");
    for waited in waiting {
        assert_eq!(waited.await.expect("it ends").expect("an answer").status(), 200);
    }
    edge.services.refuse("SignIn", Status::unauthenticated("a valid token is needed"));
    for _ in 0..12 {
        assert_eq!(tries().await.expect("an answer").status(), 401);
    }
}

/// The bodies of a sign-in over REST and on the board.
fn signing_in(login: &str) -> [(&'static str, String); 2] {
    [
        ("/v1/auth:signIn", serde_json::json!({ "login": login, "password": "wrong" }).to_string()),
        ("/login", format!("login={login}&password=wrong")),
    ]
}

/// The status of a try, after how many seconds to come again, and what is said.
async fn tried(edge: &Edge, (path, body): (&str, String), from: &str) -> (u16, Option<u64>, String) {
    let request = edge.post(path).header("origin", &edge.url).header("x-forwarded-for", from).body(body);
    let request = request.header("content-type", "application/x-www-form-urlencoded");
    let response = request.send().await.expect("an answer");
    let again = response.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
    (response.status().as_u16(), again, response.text().await.expect("text"))
}

#[tokio::test]
async fn one_client_cannot_lock_a_login_with_wrong_passwords() {
    let proxies = gateway::Proxies::read(|_| Some("127.0.0.1/32".to_owned())).expect("a network");
    let edge = Edge::configured(|config| config.proxies = proxies).await;
    edge.services.refuse("SignIn", Status::unauthenticated("a valid token is needed"));
    for login in ["li", "Li"] {
        for way in signing_in(login) {
            assert_eq!(tried(&edge, way, "8.8.8.8").await.0, 401);
        }
    }
    // Identity locks it after the fifth (`MAX_FAILURES`): it is not asked.
    for way in signing_in("LI") {
        let (status, again, text) = tried(&edge, way, "1.1.1.1, 8.8.8.8").await;
        assert!(status == 429 && again.is_some_and(|seconds| (800..=901).contains(&seconds)), "{again:?}");
        assert!(text.contains("输错密码的次数过多") || text.contains("RESOURCE_EXHAUSTED"), "{text}");
    }
    assert_eq!(edge.services.calls("SignIn").len(), 4);
    let [elsewhere, _] = signing_in("li");
    assert_eq!(tried(&edge, elsewhere, "9.9.9.9").await.0, 401, "whoever else signs in there");
    let [other, _] = signing_in("wang");
    assert_eq!(tried(&edge, other, "8.8.8.8").await.0, 401, "another login");
    assert_eq!(edge.services.calls("SignIn").len(), 6);
}

#[tokio::test]
async fn who_hangs_up_before_the_answer_has_tried_all_the_same() {
    let proxies = gateway::Proxies::read(|_| Some("none".to_owned())).expect("none");
    let edge = Edge::configured(|config| config.proxies = proxies).await;
    edge.services.refuse("SignIn", Status::unauthenticated("a valid token is needed"));
    edge.services.hold("SignIn");
    for (n, (path, body)) in signing_in("li").into_iter().chain(signing_in("li")).enumerate() {
        let request = edge.post(path).header("origin", &edge.url).body(body);
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let asking = tokio::spawn(request.send());
        edge.services.asked("SignIn", n + 1).await;
        asking.abort();
        assert!(asking.await.is_err_and(|ended| ended.is_cancelled()), "it was not answered yet");
    }
    edge.services.release("SignIn");
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(20);
    loop {
        let [way, _] = signing_in("li");
        let (status, again, _) = tried(&edge, way, "").await;
        assert_eq!(status, 429, "what is in hand counts, and then what came of it");
        if again.is_some_and(|seconds| seconds > 800) {
            break;
        }
        assert!(tokio::time::Instant::now() < deadline, "they are not counted");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(edge.services.calls("SignIn").len(), 4);
}

#[tokio::test]
async fn a_password_that_is_set_anew_keeps_nobody_out_for_what_failed_before() {
    let proxies = gateway::Proxies::read(|_| Some("none".to_owned())).expect("none");
    let edge = Edge::configured(|config| config.proxies = proxies).await;
    let person = chassis::clock::new_id().to_string();
    let session = signed_in(&edge, &person, 1).await;
    edge.services.answer("ChangePassword", &ChangePasswordResponse {});
    edge.services.answer("ResetPassword", &ResetPasswordResponse {});
    let locked_out = async || {
        edge.services.refuse("SignIn", Status::unauthenticated("a valid token is needed"));
        for way in signing_in("li").into_iter().chain(signing_in("li")) {
            assert_eq!(tried(&edge, way, "").await.0, 401);
        }
        let [way, _] = signing_in("li");
        assert_eq!(tried(&edge, way, "").await.0, 429);
    };
    let signs_in = async || {
        edge.services.answer("SignIn", &tokens(600));
        let [way, _] = signing_in("li");
        assert_eq!(tried(&edge, way, "").await.0, 200);
    };
    locked_out().await;
    assert_eq!(change(&edge, &session, CHANGE).await.0, 200);
    signs_in().await;
    locked_out().await;
    let reset = edge.post(&format!("/v1/people/{person}:resetPassword"));
    let reset = reset.body(r#"{"requestId":"r","password":"a-fine-long-password"}"#).send().await;
    assert_eq!(reset.expect("an answer").status(), 200);
    signs_in().await;
}

#[tokio::test]
async fn one_client_sends_ten_wrong_passwords_and_a_right_one_makes_up_for_one() {
    let proxies = gateway::Proxies::read(|_| Some("none".to_owned())).expect("none");
    let edge = Edge::configured(|config| config.proxies = proxies).await;
    edge.services.refuse("SignIn", Status::unavailable("later"));
    for n in 0..12 {
        let [way, _] = signing_in(&format!("nobody{n}"));
        assert_eq!(tried(&edge, way, "").await.0, 503, "it was not tried");
    }
    edge.services.refuse("SignIn", Status::unauthenticated("a valid token is needed"));
    let [first, _] = signing_in("nobody");
    assert_eq!(tried(&edge, first, "").await.0, 401);
    edge.services.answer("SignIn", &tokens(600));
    sign_in(&edge).await;
    edge.services.refuse("SignIn", Status::unauthenticated("a valid token is needed"));
    for n in 0..10 {
        let [way, _] = signing_in(&format!("nobody{n}"));
        assert_eq!(tried(&edge, way, "").await.0, 401, "{n}");
    }
    let asked = edge.services.calls("SignIn").len();
    for way in signing_in("li").into_iter().chain([TRIES[1]].map(|(path, body)| (path, body.to_owned()))) {
        let (status, again, _) = tried(&edge, way, "8.8.8.8").await;
        assert!(status == 429 && again.is_some_and(|seconds| seconds > 800), "{again:?}");
    }
    assert_eq!(edge.services.calls("SignIn").len(), asked, "what was refused was asked of nobody");
    assert!(edge.services.calls("ChangePassword").is_empty());
}

#[tokio::test]
async fn a_form_has_an_end_that_the_longest_text_does_not_reach() {
    let edge = Edge::start().await;
    edge.services.refuse("SignIn", Status::unauthenticated("a valid token is needed"));
    let sent = |length: usize| format!("login=li&password={}", "x".repeat(length));
    // 4,000 characters beyond the first plane, as forms write them.
    assert_eq!(tried(&edge, ("/login", sent(4_000 * 12)), "").await.0, 401);
    assert_eq!(tried(&edge, ("/login", sent(64 << 10)), "").await.0, 413);
    assert_eq!(edge.services.calls("SignIn").len(), 1);
}
