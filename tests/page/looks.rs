//! How it looks, for people to see (`target/page/*.png`), and for all to use.

use crate::browser::Browser;
use crate::cluster::{Cluster, OPERATOR, TOKENS, busy};

const SIZES: [(u32, u32); 3] = [(360, 780), (1280, 800), (2560, 1440)];

#[tokio::test(flavor = "multi_thread")]
async fn at_three_sizes_and_in_both_themes_nothing_is_cut_off() {
    let cluster = Cluster::start(&busy(), TOKENS);
    let browser = cluster.signed_in(OPERATOR).await;
    browser
        .until("something is to be seen", "document.querySelectorAll('#board .cell').length > 25")
        .await;
    for theme in ["light", "dark"] {
        browser.prefer(theme).await;
        for (width, height) in SIZES {
            browser.size(width, height).await;
            browser.see("#board .cell").await;
            fits(&browser, width).await;
            browser.screenshot(&format!("board-{width}-{theme}")).await;
            browser.click(".lane[data-job=mailer] .job").await;
            browser.see("#job .history li").await;
            fits(&browser, width).await;
            browser.screenshot(&format!("job-{width}-{theme}")).await;
            browser.press(crate::browser::ESCAPE).await;
            browser.gone("#job").await;
        }
    }
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_wants_nothing_to_move_sees_nothing_move() {
    let cluster = Cluster::start(&busy(), "");
    let browser = Browser::start().await;
    browser.goto(&cluster.page(0)).await;
    cluster.site.ask(&["trigger", "endless"]);
    let running = ".lane[data-job=endless] .cell[data-state=running]";
    browser.see(running).await;
    let moves = format!("document.querySelector('{running}').getAnimations().length > 0");
    browser.until("a cell that runs moves", &moves).await;
    browser.prefer_stillness().await;
    browser.until("nothing moves", "document.getAnimations().length === 0").await;
    browser.click(".lane[data-job=endless] .job").await;
    browser.see("#job .history").await;
    assert_eq!(browser.eval("return document.getAnimations().length").await, 0);
    browser.see(running).await;
}

/// Nothing has to be scrolled to from side to side, and nothing is beyond the edge.
async fn fits(browser: &Browser, width: u32) {
    browser.rest().await;
    let wide = format!(
        "document.scrollingElement.scrollWidth <= {width} \
         && document.querySelector('#job').getBoundingClientRect().left >= 0 \
         && document.querySelector('#job').scrollWidth <= {width}"
    );
    browser.until(&format!("the page is no wider than {width}"), &wide).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn axe_finds_nothing_in_any_view_in_either_theme() {
    let cluster = Cluster::start(&busy(), TOKENS);
    for theme in ["light", "dark"] {
        let browser = Browser::start().await;
        browser.prefer(theme).await;
        browser.goto(&cluster.page(0)).await;
        browser.see("#sign-in").await;
        browser.is_accessible(&format!("signing in, {theme}")).await;
        browser.type_into("#token", OPERATOR).await;
        browser.click("#sign-in button").await;
        browser.see("#board .cell[data-state=failed]").await;
        browser.is_accessible(&format!("the board, {theme}")).await;
        browser.click("#view [data-value=table]").await;
        browser.see("#table tbody tr").await;
        browser.is_accessible(&format!("the table, {theme}")).await;
        browser.click("#table [data-focus=broken]").await;
        browser.see("#job .history li").await;
        browser.is_accessible(&format!("a job, {theme}")).await;
        browser.click("#job [data-act=trigger]").await;
        browser.see("#ask").await;
        browser.is_accessible(&format!("a question, {theme}")).await;
        browser.press(crate::browser::ESCAPE).await;
        browser.gone("#ask").await;
        browser.press(crate::browser::ESCAPE).await;
        browser.gone("#job").await;
        browser.size(360, 780).await;
        browser.click("#view [data-value=board]").await;
        browser.see("#board .cell").await;
        browser.is_accessible(&format!("the board on a telephone, {theme}")).await;
    }
}
