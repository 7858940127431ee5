//! The same by keys alone.

use crate::browser::{Browser, DOWN, END, ENTER, ESCAPE, HOME, LEFT, RIGHT, TAB, UP};
use crate::cluster::{Cluster, OPERATOR, TOKENS, busy};

#[tokio::test(flavor = "multi_thread")]
async fn all_of_it_can_be_done_by_keys_alone() {
    let cluster = Cluster::start(&busy(), TOKENS);
    std::fs::write(cluster.site.folder().join("go"), "").unwrap();
    let browser = Browser::start().await;
    browser.goto(&cluster.page(0)).await;
    let on = async |css: &str| {
        browser
            .until(
                &format!("the focus is on {css}"),
                &format!("document.activeElement.matches({css:?})"),
            )
            .await;
    };
    on("#token").await;
    browser.press(OPERATOR).await;
    browser.press(ENTER).await;
    browser.see("#board .cell").await;

    // Find it, and go to it.
    browser.press("/").await;
    on("#filter").await;
    browser.press("slow").await;
    browser.reads("#count", "1 of 6 jobs").await;
    browser.press(ESCAPE).await;
    browser.reads("#count", "6 jobs").await;
    browser.press(TAB).await;
    on("#tag").await;
    browser.press("b").await;
    browser.eval("document.activeElement.blur()").await;
    browser.press("b").await;
    on(".lane[data-job=broken] .job").await;
    browser.press(DOWN).await;
    browser.press(DOWN).await;
    on(".lane[data-job=indexer] .job").await;
    browser.press(END).await;
    on(".lane[data-job=indexer] .cell").await;
    browser.press(DOWN).await;
    on(".lane[data-job=mailer] .cell").await;
    browser.press(LEFT).await;
    browser.press(RIGHT).await;
    browser.press(UP).await;
    on(".lane[data-job=indexer] .cell").await;
    browser.press(HOME).await;
    on(".lane[data-job=indexer] .job").await;
    browser.press(DOWN).await;
    browser.press(DOWN).await;
    on(".lane[data-job=slow] .job").await;
    let stops = "return document.querySelectorAll('#board [tabindex=\"0\"]').length";
    assert_eq!(browser.eval(stops).await, 1, "Tab stops on the board once");

    // Run it, and come back to where one was.
    browser.press(ENTER).await;
    on("#job-title").await;
    browser.see("#job [data-act=trigger]").await;
    browser.press(TAB).await;
    browser.press(TAB).await;
    on("[data-act=trigger]").await;
    browser.press(ENTER).await;
    on("#ask-yes").await;
    browser.press(ENTER).await;
    browser.reads(".toast[data-kind=good]", "slow: succeeded on web-1").await;
    browser.until("nothing asks any more", "!document.querySelector('#ask').open").await;
    on("[data-act=trigger]").await;
    browser.press(ESCAPE).await;
    browser.gone("#job").await;
    on(".lane[data-job=slow] .job").await;

    // The list of keys, the table, the theme.
    browser.press("?").await;
    browser.reads("#keys", "Filter the jobs").await;
    browser.press(ESCAPE).await;
    browser.gone("#keys").await;
    browser.press("v").await;
    browser.see("#table table").await;
    browser.eval("document.activeElement.blur()").await;
    browser.press("v").await;
    browser.see("#board .cell").await;
    browser.press("t").await;
    browser.until("the theme is light", "document.documentElement.dataset.theme === 'light'").await;
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}
