//! The board of the running suite in a real Chromium, live from a resident's request to the figure.

use tests::{
    World,
    journeys::COMMUNITY,
    run,
    webdriver::{Browser, ENTER, TAB},
};

/// How many requests were registered, as the page shows it.
const REGISTERED: &str = "document.querySelector('#f-all b').innerText";

/// Signs in as the district's dispatcher, by keyboard, and waits until the board is live.
async fn opens_the_board(browser: &Browser, world: &World) {
    let account = world.dispatcher().session.account.clone();
    browser.go(&format!("{}/login", world.gateway)).await;
    browser.until("the first field has the focus", "document.activeElement.id === 'login'").await;
    browser.press(&format!("{}{TAB}{}{ENTER}", account.login, account.password)).await;
    browser.until("the board", "location.pathname === '/' && !!document.querySelector('[data-live]')").await;
    browser.until("it is live", "document.querySelector('[data-connection]').hidden === false").await;
}

#[test]
fn a_request_that_is_registered_changes_the_figure_of_an_open_board_without_a_reload() {
    run(async {
        let world = World::all_in_one().await;
        let _turn = world.alone().await; // anybody's request would be counted
        world.settles().await;
        let browser = Browser::start().await;
        opens_the_board(&browser, world).await;
        let shown = browser.text(&format!("return {REGISTERED}")).await;
        let before: u64 = shown.parse().unwrap_or_else(|_| panic!("the board shows no figure: `{shown}`"));
        browser.eval("window.stayed = true").await;

        world.resident(2).registers("路灯不亮", &world.unit(COMMUNITY)).await;
        browser.until("one more", &format!("{REGISTERED} === '{}'", before + 1)).await;
        world.resident(3).registers("路灯不亮", &world.unit(COMMUNITY)).await;
        browser.until("and another", &format!("{REGISTERED} === '{}'", before + 2)).await;
        assert_eq!(browser.eval("return window.stayed").await, true, "without a reload");
        let live = "return document.querySelector('[data-connection]').hidden";
        assert_eq!(browser.eval(live).await, false, "by the stream");
        browser.close().await;
    });
}
