//! Acting: run now, pause, resume, cancel, each confirmed and its result seen.

use crate::cluster::{Cluster, OPERATOR, TOKENS, busy};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_run_now_is_seen_to_run_to_print_and_to_end() {
    let cluster = Cluster::start(&busy(), TOKENS);
    let browser = cluster.signed_in(OPERATOR).await;
    browser.click(".lane[data-job=slow] .job").await;
    browser.reads("#job .history", "No run yet").await;
    browser.click("#job [data-act=trigger]").await;
    browser.reads("#ask", "Run slow now?").await;
    browser.click("#ask .quiet").await;
    browser.gone("#ask").await;
    browser.click("#job [data-act=trigger]").await;
    browser.click("#ask-yes").await;
    browser.reads(".toast", "slow: running on web-1").await;
    browser.reads("#job .open-runs", "running").await;
    browser.reads("#job .output[data-live=true]", "it has begun").await;
    browser.see(".lane[data-job=slow] .cell.asked[data-state=running]").await;

    std::fs::write(cluster.site.folder().join("go"), "").unwrap();
    browser.reads(".toast[data-kind=good]", "slow: succeeded on web-1").await;
    browser.reads("#job .output[data-live=false]", "it ends").await;
    browser.reads("#job .history li", "succeeded").await;
    browser.see(".lane[data-job=slow] .cell.asked[data-state=succeeded]").await;
    let asked = cluster.nodes[0].wait_where("control.requested", |said| said["by"] == "olga");
    assert_eq!(asked["by"], "olga");
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_paused_and_resumed_and_its_run_cancelled() {
    let cluster = Cluster::start(&busy(), TOKENS);
    let browser = cluster.signed_in(OPERATOR).await;
    browser.click(".lane[data-job=mailer] .job").await;
    browser.click("#job [data-act=pause]").await;
    browser.click("#ask-yes").await;
    browser.reads(".toast[data-kind=good]", "mailer is paused").await;
    browser.reads("#job .standings", "paused").await;
    browser.see(".lane[data-standing=paused][data-job=mailer]").await;
    // What comes while it is paused is told as missed, and why.
    browser.see(".lane[data-job=mailer] .cell[data-state=missed][aria-label*='was paused']").await;
    browser.click("#job [data-act=resume]").await;
    browser.click("#ask-yes").await;
    browser.reads(".toast[data-kind=good]", "mailer goes on").await;
    browser.gone(".lane[data-standing=paused]").await;
    browser.until(
        "it runs again",
        "document.querySelector('.lane[data-job=mailer] .cell:last-child').dataset.state === 'succeeded'",
    ).await;
    browser.press(crate::browser::ESCAPE).await;
    browser.gone("#job").await;

    browser.click(".lane[data-job=endless] .job").await;
    browser.click("#job [data-act=trigger]").await;
    browser.click("#ask-yes").await;
    browser.reads("#job .output[data-live=true]", "for ever").await;
    browser.click("#job [data-act=cancel]").await;
    browser.reads("#ask", "Cancel the run on web-1?").await;
    browser.click("#ask-yes").await;
    browser.reads(".toast", "web-1 is asked to end the run").await;
    browser.reads(".toast", "endless: cancelled on web-1").await;
    browser.reads("#job .history li", "cancelled").await;
    browser.see(".lane[data-job=endless] .cell[data-state=cancelled]").await;
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}
