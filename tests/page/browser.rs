//! A headless Chromium of a test's own, driven by WebDriver.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::http::Method;
use fantoccini::wd::{Capabilities, WebDriverCompatibleCommand};
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use solocron::clock::BootInstant;

use crate::harness::{PATIENCE, processes};

/// Keys that are no characters, as WebDriver writes them.
pub(crate) const ENTER: &str = "\u{e007}";
pub(crate) const ESCAPE: &str = "\u{e00c}";
pub(crate) const TAB: &str = "\u{e004}";
pub(crate) const LEFT: &str = "\u{e012}";
pub(crate) const UP: &str = "\u{e013}";
pub(crate) const RIGHT: &str = "\u{e014}";
pub(crate) const DOWN: &str = "\u{e015}";
pub(crate) const END: &str = "\u{e010}";
pub(crate) const HOME: &str = "\u{e011}";

/// It looks for nothing outside, and leaves nothing behind.
const FLAGS: [&str; 9] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--force-color-profile=srgb",
];

/// A browser with one page. Dropped, it is ended with all that it started.
pub(crate) struct Browser {
    client: Client,
    driver: Child,
    /// What all its processes have in their environment.
    mark: String,
    _profile: tempfile::TempDir,
}

/// A command of Chromium's own protocol.
#[derive(Debug)]
struct Cdp(Value);

impl WebDriverCompatibleCommand for Cdp {
    fn endpoint(
        &self,
        base: &url::Url,
        session: Option<&str>,
    ) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/goog/cdp/execute", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _: &url::Url) -> (Method, Option<String>) {
        (Method::POST, Some(self.0.to_string()))
    }
}

/// Asks for what the browser has written to its console.
#[derive(Debug)]
struct Console;

impl WebDriverCompatibleCommand for Console {
    fn endpoint(
        &self,
        base: &url::Url,
        session: Option<&str>,
    ) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/se/log", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _: &url::Url) -> (Method, Option<String>) {
        (Method::POST, Some(json!({ "type": "browser" }).to_string()))
    }
}

/// Starts a driver; it, and its port. None where it ended at once: it takes a free port of
/// IPv4, and gives up when another has the same of IPv6.
fn start_driver(mark: &str, profile: &Path) -> Option<(Child, u16)> {
    let mut command = Command::new("chromedriver");
    command
        .arg("--port=0")
        .env("SOLOCRON_TEST_BROWSER", mark)
        // Where it would keep what is not in the profile.
        .env("TMPDIR", profile)
        .env("XDG_CONFIG_HOME", profile.join("config"))
        .env("XDG_CACHE_HOME", profile.join("cache"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut driver = processes::spawn(command)
        .expect("chromedriver starts; tests/run installs it where it is missing");
    let mut said = BufReader::new(driver.stdout.take().unwrap()).lines();
    let port = said.by_ref().map_while(Result::ok).find_map(|line| {
        line.split_once("successfully on port ")?.1.trim_end_matches('.').parse::<u16>().ok()
    });
    let Some(port) = port else {
        let _ended = driver.wait();
        return None;
    };
    std::thread::spawn(move || said.for_each(drop));
    Some((driver, port))
}

impl Browser {
    /// Starts one, 1280 by 800.
    pub(crate) async fn start() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(1);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let mark = format!("{}-{number}", std::process::id());
        let profile = tempfile::tempdir().unwrap();
        let (driver, port) = (0..10)
            .find_map(|_| start_driver(&mark, profile.path()))
            .expect("chromedriver tells its port");

        let mut arguments: Vec<String> = FLAGS.map(str::to_owned).to_vec();
        arguments.push(format!("--user-data-dir={}", profile.path().join("profile").display()));
        let capabilities = json!({
            "goog:chromeOptions": { "args": arguments },
            "goog:loggingPrefs": { "browser": "ALL" },
        });
        let Value::Object(capabilities) = capabilities else { unreachable!("it is one") };
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(Capabilities::from_iter(capabilities))
            .connect(&format!("http://127.0.0.1:{port}"))
            .await
            .expect("chromium starts");
        let browser = Self { client, driver, mark, _profile: profile };
        browser.size(1280, 800).await;
        browser
    }

    async fn cdp(&self, cmd: &str, params: Value) {
        self.client.issue_cmd(Cdp(json!({ "cmd": cmd, "params": params }))).await.unwrap();
    }

    /// The size of the page.
    pub(crate) async fn size(&self, width: u32, height: u32) {
        let params = json!({
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false,
        });
        self.cdp("Emulation.setDeviceMetricsOverride", params).await;
    }

    /// What the system is said to prefer: `light` or `dark`.
    pub(crate) async fn prefer(&self, theme: &str) {
        let features = json!([{ "name": "prefers-color-scheme", "value": theme }]);
        self.cdp("Emulation.setEmulatedMedia", json!({ "features": features })).await;
    }

    /// The system is said to want nothing to move.
    pub(crate) async fn prefer_stillness(&self) {
        let features = json!([{ "name": "prefers-reduced-motion", "value": "reduce" }]);
        self.cdp("Emulation.setEmulatedMedia", json!({ "features": features })).await;
    }

    /// Runs a script before those of each page from now on.
    pub(crate) async fn before_each_page(&self, script: &str) {
        self.cdp("Page.addScriptToEvaluateOnNewDocument", json!({ "source": script })).await;
    }

    pub(crate) async fn goto(&self, url: &str) {
        self.client.goto(url).await.unwrap();
    }

    /// What a script returns.
    pub(crate) async fn eval(&self, script: &str) -> Value {
        self.client
            .execute(script, Vec::new())
            .await
            .unwrap_or_else(|error| panic!("{script}: {error}"))
    }

    /// What a script returns later, that has `done` to say it with.
    pub(crate) async fn eval_later(&self, script: &str) -> Value {
        let script = format!("const done = arguments[arguments.length - 1]; {script}");
        self.client.execute_async(&script, Vec::new()).await.unwrap()
    }

    /// Waits until an expression is true; its value.
    pub(crate) async fn until(&self, what: &str, expression: &str) -> Value {
        let begun = BootInstant::now();
        loop {
            let value = self.eval(&format!("return ({expression}) || null")).await;
            if !value.is_null() {
                return value;
            }
            if BootInstant::now().since(begun) > PATIENCE {
                self.screenshot("failed").await;
                panic!("waited in vain until {what}: {expression}\n{:#?}", self.complaints().await);
            }
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    }

    /// Waits until something that fits `css` can be seen.
    pub(crate) async fn see(&self, css: &str) {
        self.until(&format!("{css} is seen"), &seen(css)).await;
    }

    /// Waits until nothing that fits `css` can be seen.
    pub(crate) async fn gone(&self, css: &str) {
        self.until(&format!("{css} is gone"), &format!("!({})", seen(css))).await;
    }

    /// Waits until the text of `css` has `text` in it.
    pub(crate) async fn reads(&self, css: &str, text: &str) {
        let expression = format!(
            "[...document.querySelectorAll({})].some((one) => one.innerText.includes({}))",
            json!(css),
            json!(text)
        );
        self.until(&format!("{css} reads {text:?}"), &expression).await;
    }

    /// Clicks on it, where it is on the screen.
    pub(crate) async fn click(&self, css: &str) {
        self.see(css).await;
        // What is drawn anew just then is another element.
        for _ in 0..20 {
            if let Ok(element) = self.client.find(Locator::Css(css)).await
                && element.click().await.is_ok()
            {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("{css} cannot be clicked on");
    }

    /// Types into what has the focus.
    pub(crate) async fn press(&self, keys: &str) {
        // What has the focus may not be drawn yet: then nothing was typed.
        for _ in 0..20 {
            let typed = self.client.active_element().await.unwrap().send_keys(keys).await;
            match typed {
                Err(error) if error.to_string().contains("not interactable") => {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                typed => return typed.unwrap(),
            }
        }
        panic!("nothing can be typed into what has the focus");
    }

    /// Types into a field.
    pub(crate) async fn type_into(&self, css: &str, text: &str) {
        self.see(css).await;
        self.client.find(Locator::Css(css)).await.unwrap().send_keys(text).await.unwrap();
    }

    /// Waits until everything is where it goes; what pulses for ever may.
    pub(crate) async fn rest(&self) {
        let rests = "document.getAnimations().every((one) => one.playState !== 'running' \
                     || one.effect.getTiming().iterations === Infinity)";
        self.until("nothing moves", rests).await;
    }

    /// Writes `target/page/NAME.png`.
    pub(crate) async fn screenshot(&self, name: &str) {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/page");
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join(format!("{name}.png"));
        std::fs::write(file, self.client.screenshot().await.unwrap()).unwrap();
    }

    /// What the browser has complained about: errors of scripts, what the policy forbade.
    /// That somebody is not signed in yet is no error of the page.
    pub(crate) async fn complaints(&self) -> Vec<String> {
        let log = self.client.issue_cmd(Console).await.unwrap();
        let lines = log.as_array().cloned().unwrap_or_default();
        lines
            .iter()
            .filter(|line| line["level"] == "SEVERE" || line["level"] == "WARNING")
            .filter_map(|line| line["message"].as_str())
            .filter(|message| !message.contains("status of 401"))
            .map(str::to_owned)
            .collect()
    }

    /// Fails where something is hard to use for some people.
    pub(crate) async fn is_accessible(&self, what: &str) {
        // What is still fading in is pale.
        let still = "document.getAnimations().every((one) => one.playState !== 'running' \
                     || one.effect.getComputedTiming().iterations === Infinity)";
        self.until("nothing fades in any more", still).await;
        self.eval(concat!(include_str!("axe/axe.min.js"), "; return null")).await;
        let report = self
            .eval_later(
                "axe.run(document, { resultTypes: ['violations'] }).then((found) => done(found.violations \
                 .map(({ id, impact, help, nodes }) => ({ id, impact, help, nodes: nodes.slice(0, 5).map((one) => one.html + ' ' + (one.failureSummary ?? '')) }))), \
                 (error) => done([{ id: String(error) }]))",
            )
            .await;
        let found = report.as_array().expect("axe reports");
        assert!(found.is_empty(), "{what}: {:#}", report);
    }
}

/// An expression that is true when something that fits `css` can be seen.
fn seen(css: &str) -> String {
    format!(
        "[...document.querySelectorAll({})].some((one) => one.checkVisibility({{ visibilityProperty: true }}))",
        json!(css)
    )
}

impl Drop for Browser {
    fn drop(&mut self) {
        // What writes to the profile has overwritten its environment.
        processes::end_tree(self.driver.id() as i32);
        let _reaped = self.driver.wait();
        processes::end_with_variable(&format!("SOLOCRON_TEST_BROWSER={}", self.mark));
    }
}
