//! The board in a real headless Chromium: both languages, a phone, the dark, the keyboard, live, and nothing from
//! elsewhere. The screenshots in `target/screenshots` are for looking at.

use proto::{
    case_routing::v1::{AssignmentStatus, Case, CaseState, OpenTopicCaseRequest, OpenTopicCaseResponse},
    identity::v1::{ChangePasswordRequest, ChangePasswordResponse},
};
use serde_json::{Value, json};

use crate::{
    canned::{self, CASE, board, district},
    fakes::Edge,
    papers::ADMISSION,
    webdriver::{Browser, ENTER, TAB},
};

/// Signs in by keyboard alone.
async fn sign_in(browser: &Browser, edge: &Edge) {
    browser.go(&format!("{}/login", edge.url)).await;
    browser.until("the first field has the focus", "document.activeElement.id === 'login'").await;
    browser.press(&format!("li{TAB}secret{ENTER}")).await;
    browser.until("the board", "location.pathname === '/' && !!document.querySelector('[data-live]')").await;
}

/// Text that is hard to read: contrast below 4.5 (3 for large text), by WCAG 2.
const FAINT: &str = r"
const parse = (c) => { const n = c.match(/[\d.]+/g).map(Number); return { rgb: n.slice(0, 3), a: n.length > 3 ? n[3] : 1 }; };
const lum = (rgb) => { const [r, g, b] = rgb.map((v) => { v /= 255; return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; }); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
const behind = (e) => { for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor); if (c.a === 1) return c.rgb; } return [255, 255, 255]; };
const faint = [];
const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walk.nextNode()) {
  const e = walk.currentNode.parentElement;
  if (!walk.currentNode.data.trim() || !e.getClientRects().length) continue;
  const style = getComputedStyle(e);
  const [a, b] = [lum(parse(style.color).rgb), lum(behind(e))].sort((x, y) => y - x);
  const ratio = (a + 0.05) / (b + 0.05);
  if (ratio < (parseFloat(style.fontSize) >= 24 ? 3 : 4.5)) faint.push(walk.currentNode.data.trim() + ' ' + ratio.toFixed(2));
}
return faint;";

/// What sticks out of the page to the right.
const WIDE: &str = r"
const width = document.documentElement.clientWidth;
if (document.documentElement.scrollWidth <= width && width === screen.width) return [];
const wide = [`page ${document.documentElement.scrollWidth} of ${width}`];
for (const e of document.querySelectorAll('main *, header *')) {
  if (!e.closest('.scroll') && e.getBoundingClientRect().right > screen.width + 1) wide.push(e.tagName + '.' + e.className + '#' + e.id);
}
return wide;";

const PATHS: [(&str, &str); 11] = [
    ("board", "/"),
    ("cases", "/cases"),
    ("case", "/cases/{}"),
    ("hotspots", "/hotspots"),
    ("mediations", "/mediations"),
    ("notices", "/notices"),
    ("duties", "/duties"),
    ("duty", "/duties/0197d000-0000-7000-8000-000000000001"),
    ("admission", "/admissions/0197e000-0000-7000-8000-000000000001"),
    ("password", "/password"),
    ("login", "/login"),
];

#[tokio::test]
async fn the_pages_are_legible_on_a_phone_and_in_the_dark_in_both_languages() {
    let edge = district(None).await;
    let browser = Browser::start().await;
    sign_in(&browser, &edge).await;
    for lang in ["zh", "en"] {
        for (name, path) in PATHS {
            let url = format!("{}{}", edge.url, path.replace("{}", CASE));
            for (screen, width, height) in [("wide", 1280, 900), ("phone", 390, 844)] {
                browser.screen(width, height).await;
                browser.go(&url).await;
                assert!(browser.text("return document.documentElement.lang").await.starts_with(lang));
                let wide = if width < 600 { browser.eval(WIDE).await } else { json!([]) };
                assert_eq!(wide, json!([]), "{name} in {lang} at {width} px");
                for dark in [false, true] {
                    browser.dark(dark).await;
                    let shade = if dark { "dark" } else { "light" };
                    browser.screenshot(&format!("{name}-{lang}-{screen}-{shade}")).await;
                    assert_eq!(browser.eval(FAINT).await, json!([]), "{name} in {lang}, {shade}, {screen}");
                }
            }
        }
        // The switch leads back to the page it was used on.
        browser.dark(false).await;
        browser.screen(1280, 900).await;
        browser.go(&format!("{}/cases?state=closed", edge.url)).await;
        browser.eval("document.querySelector('button[name=lang]').click()").await;
        let other = if lang == "zh" { "en" } else { "zh" };
        browser
            .until("the other language", &format!("document.documentElement.lang.startsWith('{other}')"))
            .await;
        assert_eq!(browser.text("return location.pathname + location.search").await, "/cases?state=closed");
    }
    browser.close().await;
}

#[tokio::test]
async fn tab_reaches_everything_in_order_and_shows_where_it_is() {
    let edge = district(None).await;
    let browser = Browser::start().await;
    sign_in(&browser, &edge).await;
    let admission = format!("/admissions/{ADMISSION}");
    for path in ["/", "/cases", "/cases/{}", "/duties", &admission, "/password"] {
        browser.go(&format!("{}{}", edge.url, path.replace("{}", CASE))).await;
        let all = "a[href], button, input:not([type=hidden]), [tabindex='0']";
        let expected = browser.eval(&format!("return document.querySelectorAll(\"{all}\").length")).await;
        let count = expected.as_u64().expect("a number");
        assert!(count > 6, "{path} has {count}");
        let mut seen = Vec::new();
        for _ in 0..count {
            browser.press(TAB).await;
            let at = browser
                .eval(&format!(
                    "const e = document.activeElement, s = getComputedStyle(e), r = e.getBoundingClientRect();\
                     const place = [...document.querySelectorAll(\"{all}\")].indexOf(e);\
                     return {{ place, what: e.outerHTML.slice(0, 80), outline: s.outlineStyle, \
                     width: parseFloat(s.outlineWidth), \
                     inside: r.width > 0 && r.left >= 0 && r.top >= 0 && r.top < innerHeight }}"
                ))
                .await;
            assert_ne!(at["outline"], "none", "{path}: {at}");
            assert!(at["width"].as_f64().is_some_and(|width| width >= 2.0), "{path}: {at}");
            assert_eq!(at["inside"], true, "{path}: {at}");
            seen.push(at["place"].clone());
        }
        assert_eq!(seen, (0..count).map(Value::from).collect::<Vec<_>>(), "{path}: in the order of the page");
    }
    // Enter follows a link, the skip link leads past the header.
    browser.go(&format!("{}/cases", edge.url)).await;
    browser.press(TAB).await;
    browser.screenshot("skip-link").await;
    browser.press(ENTER).await;
    browser.press(TAB).await;
    assert_eq!(
        browser.text("return document.activeElement.getAttribute('href')").await,
        format!("/cases/{CASE}")
    );
    browser.press(ENTER).await;
    browser.until("the case", &format!("location.pathname === '/cases/{CASE}'")).await;
    browser.close().await;
}

#[tokio::test]
async fn a_hot_spot_is_answered_by_the_keyboard_alone() {
    let edge = district(None).await;
    let case = Some(canned::case());
    edge.services.answer("OpenTopicCase", &OpenTopicCaseResponse { hotspot: None, case });
    let browser = Browser::start().await;
    sign_in(&browser, &edge).await;
    browser.go(&format!("{}/hotspots", edge.url)).await;
    for _ in 0..30 {
        if browser.text("return document.activeElement.tagName").await == "SUMMARY" {
            break;
        }
        browser.press(TAB).await;
    }
    browser.press(ENTER).await;
    browser.until("the forms", "document.querySelector('details').open").await;
    browser.press(&format!("{TAB}lamps{TAB}{ENTER}")).await;
    browser.until("the topic case", &format!("location.pathname === '/cases/{CASE}'")).await;
    let asked: OpenTopicCaseRequest = edge.services.calls("OpenTopicCase")[0].decode();
    assert_eq!(asked.text, "lamps");
    browser.close().await;
}

#[tokio::test]
async fn the_own_password_is_changed_by_the_keyboard_alone() {
    let edge = district(None).await;
    edge.services.answer("ChangePassword", &ChangePasswordResponse {});
    let browser = Browser::start().await;
    sign_in(&browser, &edge).await;
    browser.go(&format!("{}/password", edge.url)).await;
    for _ in 0..30 {
        if browser.text("return document.activeElement.id").await == "current_password" {
            break;
        }
        browser.press(TAB).await;
    }
    let new = "a-fine-long-password";
    browser.press(&format!("secret{TAB}{new}{TAB}{new}{ENTER}")).await;
    let said = "document.querySelector('h1')?.innerText.includes('密码已修改') === true";
    browser.until("it is said so", said).await;
    let asked: ChangePasswordRequest = edge.services.calls("ChangePassword")[0].decode();
    assert_eq!((asked.current_password.as_str(), asked.new_password.as_str()), ("secret", new));
    browser.close().await;
}

#[tokio::test]
async fn the_board_is_live_keeps_the_focus_and_loads_nothing_from_elsewhere() {
    let edge = district(None).await;
    let browser = Browser::start().await;
    sign_in(&browser, &edge).await;
    browser.until("live", "document.querySelector('[data-connection]').hidden === false").await;
    browser.eval("window.stayed = true; document.getElementById('f-overdue').focus()").await;
    edge.services.answer("GetBoard", &board(4_711));
    browser.until("the new figure", "document.getElementById('f-all').innerText.includes('4711')").await;
    assert_eq!(browser.eval("return window.stayed").await, true, "without a reload");
    assert_eq!(browser.text("return document.activeElement.id").await, "f-overdue");

    // The reader stops what changes by itself, and lets it go on.
    let button = "document.querySelector('h1 + button')";
    browser.eval(&format!("{button}.click()")).await;
    browser.until("paused", "document.querySelector('[data-connection]').hidden").await;
    assert_eq!(browser.text(&format!("return {button}.innerText")).await, "继续更新");
    edge.services.answer("GetBoard", &board(4_712));
    browser.eval(&format!("{button}.click()")).await;
    browser.until("the next figure", "document.getElementById('f-all').innerText.includes('4712')").await;
    assert_eq!(browser.text(&format!("return {button}.innerText")).await, "暂停更新");
    assert_eq!(browser.eval("return window.stayed").await, true, "without a reload");

    for path in ["/", "/cases", "/cases/{}", "/duties"] {
        browser.go(&format!("{}{}", edge.url, path.replace("{}", CASE))).await;
        let loaded = browser.eval("return performance.getEntriesByType('resource').map((e) => e.name)").await;
        let loaded = loaded.as_array().expect("a list").clone();
        assert!(
            loaded.iter().any(|name| name.as_str().is_some_and(|name| name.ends_with("/static/board.css")))
        );
        for name in &loaded {
            assert!(
                name.as_str().is_some_and(|name| name.starts_with(&edge.url)),
                "{name} is from elsewhere"
            );
        }
        let links = "return [...document.querySelectorAll('[href],[src],[action]')].map((e) => e.href || e.src || e.action)";
        for link in browser.eval(links).await.as_array().expect("a list") {
            assert!(link.as_str().is_some_and(|link| link.starts_with(&edge.url)), "{link} leads elsewhere");
        }
        // The text that a resident wrote is text.
        assert_eq!(browser.eval("return [...document.scripts].every((s) => s.src)").await, true);
    }

    // Revoked: the page goes to the sign-in form by itself.
    browser.go(&edge.url).await;
    browser.until("live", "document.querySelector('[data-connection]').hidden === false").await;
    edge.services.refuse("GetBoard", tonic::Status::unauthenticated("revoked"));
    browser.until("the sign-in form", "location.pathname === '/login'").await;
    browser.close().await;
}

#[tokio::test]
async fn an_open_case_shows_its_new_state_without_reloading_and_leaves_alone_what_has_not_changed() {
    let edge = district(None).await;
    let browser = Browser::start().await;
    sign_in(&browser, &edge).await;
    browser.go(&format!("{}/cases/{CASE}", edge.url)).await;
    browser.until("live", "document.querySelector('[data-connection]').hidden === false").await;
    let clocks = "document.querySelector('section[aria-labelledby=h-clocks]')";
    browser.eval(&format!("window.stayed = true; window.clocks = {clocks}")).await;
    browser.eval("document.querySelector('section[aria-labelledby=h-tasks] .scroll').focus()").await;
    let mut next = Case { etag: "8".into(), state: CaseState::Completed.into(), ..canned::case() };
    next.tasks[0].assignment = AssignmentStatus::Done.into();
    canned::case_is(&edge.services, next);
    browser.until("the new state", "document.querySelector('.state').innerText.includes('待核查')").await;
    assert_eq!(browser.eval("return window.stayed").await, true, "without a reload");
    let said = browser.text("return document.querySelector('[role=status]').innerText").await;
    assert!(said.starts_with("已更新 "), "{said}");
    let same = format!("return window.clocks === {clocks}");
    assert_eq!(browser.eval(&same).await, true, "what has not changed is not touched");
    let focused = "return document.activeElement.closest('section').getAttribute('aria-labelledby')";
    assert_eq!(browser.text(focused).await, "h-tasks", "the focus stays in what has changed");
    let gone = "return document.getElementById('h-objection') === null";
    assert_eq!(browser.eval(gone).await, true, "what is gone goes");

    // Out of reach: the page says so by itself.
    for method in ["GetCase", "WaitCase"] {
        edge.services.refuse(method, tonic::Status::not_found("case"));
    }
    browser.until("the page that says so", "!document.querySelector('[data-live]')").await;
    browser.close().await;
}
