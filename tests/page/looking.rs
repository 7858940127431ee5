//! Looking on: signing in, three colours, filters, the table.

use crate::browser::Browser;
use crate::cluster::{Cluster, OPERATOR, TOKENS, VIEWER, busy};

#[tokio::test(flavor = "multi_thread")]
async fn who_signs_in_sees_the_slots_of_three_nodes_as_they_come() {
    let cluster = Cluster::start(&busy(), TOKENS);
    let browser = Browser::start().await;
    browser.goto(&cluster.page(0)).await;
    browser.see("#sign-in").await;
    browser.type_into("#token", "no secret of anybody").await;
    browser.click("#sign-in button").await;
    browser.reads("#sign-in-error", "this token is not known").await;
    browser.type_into("#token", OPERATOR).await;
    browser.click("#sign-in button").await;
    browser.reads("#who", "olga").await;
    browser.gone("#sign-in").await;
    browser.reads("#link", "Live").await;

    let colours = "new Set([...document.querySelectorAll('#board .cell[data-colour]')] \
                   .map((cell) => getComputedStyle(cell).getPropertyValue('--node'))).size >= 3";
    browser.until("cells of three colours are seen", colours).await;
    let letters = "[...new Set([...document.querySelectorAll('#board .cell[data-colour]')] \
                   .map((cell) => cell.textContent))].sort().join('') === '123'";
    browser.until("they tell the nodes by letters, too", letters).await;
    let known = browser
        .eval(
            "return document.querySelector('.lane[data-job=mailer] .cell:last-child').dataset.key",
        )
        .await;
    let another = format!(
        "document.querySelector('.lane[data-job=mailer] .cell:last-child').dataset.key > {known}"
    );
    browser.until("a slot comes that was not there", &another).await;
    browser.see(".lane[data-job=broken] .cell[data-state=failed]").await;
    for name in ["web-1", "web-2", "web-3"] {
        browser.reads(".node[data-state=up]", name).await;
    }
    assert_eq!(browser.complaints().await, Vec::<String>::new());

    browser.click("#sign-out").await;
    browser.see("#sign-in").await;
    browser.goto(&cluster.page(0)).await;
    browser.see("#sign-in").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_found_by_name_by_tag_and_by_how_they_stand() {
    let cluster = Cluster::start(&busy(), TOKENS);
    let browser = cluster.signed_in(VIEWER).await;
    let lanes =
        "[...document.querySelectorAll('.lane')].map((lane) => lane.dataset.job).sort().join()";
    let shown = async |jobs: &str| {
        browser.until(&format!("{jobs} are shown"), &format!("{lanes} === '{jobs}'")).await;
    };
    shown("broken,endless,indexer,mailer,slow,warmer").await;
    browser.type_into("#filter", "er").await;
    shown("indexer,mailer,warmer").await;
    browser.reads("#count", "3 of 6 jobs").await;
    browser.type_into("#filter", " mail").await;
    shown("mailer").await;
    browser.type_into("#filter", "nothing").await;
    browser.reads("#empty", "No job is like that").await;
    browser.click("#empty button").await;
    shown("broken,endless,indexer,mailer,slow,warmer").await;
    browser.type_into("#filter", "rare").await;
    shown("endless,slow").await;
    browser.press(crate::browser::ESCAPE).await;
    browser.eval("const tag = document.querySelector('#tag'); tag.value = 'rare'; tag.dispatchEvent(new Event('change'))").await;
    shown("endless,slow").await;
    browser.eval("const tag = document.querySelector('#tag'); tag.value = ''; tag.dispatchEvent(new Event('change'))").await;
    browser.click("#which [data-value=trouble]").await;
    shown("broken").await;
    browser.click("#which [data-value=all]").await;

    browser.click("#view [data-value=table]").await;
    browser.gone("#board").await;
    browser.reads("#table tbody tr", "mailer").await;
    browser.reads("#table tbody tr", "every second").await;
    browser.click("#table [data-focus=mailer]").await;
    browser.reads("#job-title", "mailer").await;
    browser.reads("#job .schedule", "every second").await;
    browser.reads("#job .schedule", "UTC").await;
    browser
        .until("ten slots come", "document.querySelectorAll('#job .next-slots li').length === 10")
        .await;
    browser
        .until("runs are drawn", "document.querySelectorAll('#job .history .length i').length > 3")
        .await;
    browser.reads("#job .output", "done").await;
    // Who may only look has nothing to act with.
    browser.gone("#job [data-act]").await;
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}
