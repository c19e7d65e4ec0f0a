//! A real headless Chromium, driven through chromedriver over plain HTTP. Where either is missing the tests fail. The tests of
//! the edge include this file: they depend on nothing else here.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

/// Tab, as WebDriver spells it.
pub const TAB: &str = "\u{e004}";
/// Enter.
pub const ENTER: &str = "\u{e007}";

/// A browser with one window, and a profile of its own.
pub struct Browser {
    http: reqwest::Client,
    session: String,
    driver: Child,
    profile: PathBuf,
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The group of our own driver: the browser it started ends with it, also after a failed test.
        let group = self.driver.id().and_then(|pid| i32::try_from(pid).ok());
        if let Some(group) = group {
            nix::sys::signal::killpg(nix::unistd::Pid::from_raw(group), nix::sys::signal::Signal::SIGKILL)
                .ok();
        }
        std::fs::remove_dir_all(&self.profile).ok();
    }
}

/// A driver, and the port it listens on. It takes any port that is free for IPv4, and ends when another process has the same
/// one for IPv6: then another is started.
async fn driver() -> (Child, u16) {
    for _ in 0..10 {
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .env_remove("http_proxy")
            .env_remove("HTTP_PROXY")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .expect("chromedriver is installed (Debian: chromium-driver)");
        let mut lines = BufReader::new(driver.stdout.take().expect("piped")).lines();
        let port = async {
            while let Some(line) = lines.next_line().await.expect("a line") {
                if let Some((_, port)) = line.rsplit_once("successfully on port ") {
                    return Some(port.trim_end_matches('.').parse::<u16>().expect("a port"));
                }
            }
            None
        };
        let port =
            tokio::time::timeout(Duration::from_secs(90), port).await.expect("chromedriver starts in time");
        if let Some(port) = port {
            // Somebody has to read what it says, or it would block one day.
            tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
            return (driver, port);
        }
        driver.wait().await.expect("it has ended");
    }
    panic!("chromedriver ended ten times before it listened");
}

impl Browser {
    /// Starts it, with nothing open.
    pub async fn start() -> Self {
        let profile = std::env::temp_dir().join(format!("jh-browser-{}", chassis::clock::new_id().simple()));
        std::fs::create_dir_all(&profile).expect("a directory");
        let (driver, port) = driver().await;
        let http = reqwest::Client::builder().no_proxy().build().expect("a client");
        let args = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--hide-scrollbars",
            "--window-size=1280,900",
        ];
        let mut args: Vec<_> = args.iter().map(|arg| (*arg).to_owned()).collect();
        args.push(format!("--user-data-dir={}", profile.display()));
        let options = json!({ "args": args, "binary": "/usr/bin/chromium" });
        let wanted = json!({ "capabilities": { "alwaysMatch": { "goog:chromeOptions": options } } });
        let mut browser = Self { http, session: format!("http://127.0.0.1:{port}/session"), driver, profile };
        let opened = browser.call("", wanted).await;
        let id = opened["sessionId"].as_str().expect("a session").to_owned();
        browser.session = format!("{}/{id}", browser.session);
        browser
    }

    async fn call(&self, command: &str, body: Value) -> Value {
        let request = self.http.post(format!("{}{command}", self.session)).body(body.to_string());
        let answer = request.timeout(Duration::from_secs(120)).send().await.expect("chromedriver answers");
        let answer: Value = serde_json::from_slice(&answer.bytes().await.expect("a body")).expect("JSON");
        assert!(answer["value"]["error"].is_null(), "{command}: {}", answer["value"]["message"]);
        answer["value"].clone()
    }

    /// Opens an address.
    pub async fn go(&self, url: &str) {
        self.call("/url", json!({ "url": url })).await;
    }

    /// The value of a function body.
    pub async fn eval(&self, script: &str) -> Value {
        self.call("/execute/sync", json!({ "script": script, "args": [] })).await
    }

    /// The same where it is a text; empty where it is none.
    pub async fn text(&self, script: &str) -> String {
        self.eval(script).await.as_str().unwrap_or_default().to_owned()
    }

    /// Waits until an expression is true.
    pub async fn until(&self, what: &str, expression: &str) {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
        while self.eval(&format!("return {expression}")).await != json!(true) {
            assert!(tokio::time::Instant::now() < deadline, "{what}: not in time");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Presses keys one after the other.
    pub async fn press(&self, keys: &str) {
        let pressed = keys.chars().flat_map(|key| {
            let key = key.to_string();
            [json!({ "type": "keyDown", "value": key }), json!({ "type": "keyUp", "value": key })]
        });
        let actions = json!([{ "type": "key", "id": "keyboard", "actions": pressed.collect::<Vec<_>>() }]);
        self.call("/actions", json!({ "actions": actions })).await;
    }

    async fn devtools(&self, command: &str, params: Value) {
        self.call("/goog/cdp/execute", json!({ "cmd": command, "params": params })).await;
    }

    /// A screen of this size; a phone below 600 pixels.
    pub async fn screen(&self, width: u32, height: u32) {
        let phone = width < 600;
        let scale = if phone { 2 } else { 1 };
        let metrics =
            json!({ "width": width, "height": height, "deviceScaleFactor": scale, "mobile": phone });
        self.devtools("Emulation.setDeviceMetricsOverride", metrics).await;
    }

    /// Whether the reader likes it dark.
    pub async fn dark(&self, dark: bool) {
        let value = if dark { "dark" } else { "light" };
        let features = json!([{ "name": "prefers-color-scheme", "value": value }]);
        self.devtools("Emulation.setEmulatedMedia", json!({ "features": features })).await;
    }

    /// The whole page as `target/screenshots/<name>.png`.
    pub async fn screenshot(&self, name: &str) {
        let params = json!({ "format": "png", "captureBeyondViewport": true });
        let command = json!({ "cmd": "Page.captureScreenshot", "params": params });
        let image = self.call("/goog/cdp/execute", command).await;
        let text = image["data"].as_str().expect("an image");
        let bytes = base64::Engine::decode(&base64::prelude::BASE64_STANDARD, text).expect("base64");
        let own = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = own.ancestors().find(|dir| dir.join("Cargo.lock").exists()).expect("the workspace");
        let dir = root.join("target/screenshots");
        std::fs::create_dir_all(&dir).expect("a directory");
        std::fs::write(dir.join(format!("{name}.png")), bytes).expect("written");
    }

    /// Closes the browser in order.
    pub async fn close(self) {
        self.http.delete(&self.session).send().await.ok();
    }
}
