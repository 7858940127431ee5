//! A thousand jobs, a hundred thousand entries.

use solocron::name::JobName;

use crate::browser::Browser;
use crate::cluster::{Cluster, on_demand};
use crate::harness::filled::fill;
use crate::harness::site::{Ground, Site, every_second};

const JOBS: usize = 1000;
const ENTRIES_EACH: usize = 100;

/// So often each page is loaded.
const LOADS: usize = 5;

/// So many times as long as a page with three jobs the page with all of them may take until
/// its board is there. That it is there within a second `cargo bench --bench speed -- pages`
/// shows, with a program that is optimised.
const TIMES: f64 = 8.0;

#[tokio::test(flavor = "multi_thread")]
async fn with_a_thousand_jobs_the_board_shows_those_in_sight_and_filters_at_once() {
    let ticks: String =
        (1..=3).map(|n| every_second(&format!("tick-{n}"), "true", "overlap = 'allow'")).collect();
    let rare: String = (0..JOBS)
        .map(|n| on_demand(&name(n), "true", &format!("tags = ['team-{}', 'nightly']", n % 17)))
        .collect();
    let few = Cluster::start(&ticks, "");
    let site = Site::new(Ground::Redis, "", &format!("{ticks}{rare}"));
    let names: Vec<JobName> = (0..JOBS).map(|n| name(n).parse().unwrap()).collect();
    fill(&*site.store(), &names, ENTRIES_EACH).await;
    let cluster = Cluster::on(site, "");
    let browser = Browser::start().await;
    // In turn: whoever shares the machine is in the way of both.
    let (mut usual, mut took) = (Vec::new(), Vec::new());
    for _ in 0..LOADS {
        usual.push(shown(&browser, &few.page(0), "3 jobs").await);
        took.push(shown(&browser, &cluster.page(0), "1,003 jobs").await);
        let cells = browser
            .eval("return document.querySelectorAll('#board .cell[data-colour]').length")
            .await;
        assert!(cells.as_u64() > Some(100), "what is shown is the board: {cells} cells");
    }
    println!("the board of three was there after {usual:.0?} ms, that of all after {took:.0?} ms");
    let (usual, took) = (middle(usual), middle(took));
    assert!(took < usual * TIMES, "{took:.0} ms, beside {usual:.0} ms with three jobs");
    drop(few);

    // However many there are, those in sight are in the page.
    let lanes = browser.eval("return document.querySelectorAll('.lane').length").await;
    assert!(lanes.as_u64() < Some(60), "{lanes} lanes");
    let filtered = browser
        .eval_later(
            "const input = document.querySelector('#filter'); input.value = 'job-0777'; const begun = performance.now(); \
             input.dispatchEvent(new Event('input')); requestAnimationFrame(() => requestAnimationFrame(() => done( \
             [performance.now() - begun, [...document.querySelectorAll('.lane')].map((lane) => lane.dataset.job).join()])))",
        )
        .await;
    assert_eq!(filtered[1], "job-0777");
    println!("it was filtered after {} ms", filtered[0]);
    assert!(filtered[0].as_f64() < Some(200.0), "{filtered}");

    // The last one of all is a key away, and has the focus when it comes.
    browser.press(crate::browser::ESCAPE).await;
    browser
        .eval("const input = document.querySelector('#filter'); input.value = ''; input.dispatchEvent(new Event('input')); input.blur()")
        .await;
    browser.press("b").await;
    browser.press("\u{e009}\u{e010}").await;
    browser
        .until(
            "the focus is on the last lane",
            "document.activeElement.closest('.lane')?.dataset.job === 'tick-3'",
        )
        .await;
    browser.see(".lane[data-job=tick-3] .cell").await;
}

/// Loads a page; milliseconds from the navigation until its board was there.
async fn shown(browser: &Browser, page: &str, count: &str) -> f64 {
    browser.goto("about:blank").await;
    browser.goto(page).await;
    let shown = "performance.getEntriesByName('solocron.shown')[0]?.startTime";
    let took = browser.until("the board is shown", shown).await.as_f64().unwrap();
    browser.reads("#count", count).await;
    took
}

fn middle(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn name(n: usize) -> String {
    format!("job-{n:04}")
}
