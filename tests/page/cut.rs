//! Nodes that go: the others say so, and a page that lost its own comes back.

use crate::browser::Browser;
use crate::cluster::{Cluster, busy, free_port, on_demand};
use crate::harness::node::Node;
use crate::harness::site::FIRST;
use crate::harness::until;

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_gone_is_shown_as_such_and_its_slots_stay() {
    let mut cluster = Cluster::start(&busy(), "");
    let browser = Browser::start().await;
    browser.goto(&cluster.page(0)).await;
    browser.until("web-3 has run something", "[...document.querySelectorAll('#board .cell')].some((cell) => cell.textContent === '3')").await;
    cluster.nodes[2].kill9();
    browser.reads(".node[data-state=gone]", "web-3").await;
    browser.reads(".node[data-state=up]", "web-1").await;
    browser.until("its slots are there", "[...document.querySelectorAll('#board .cell')].some((cell) => cell.textContent === '3')").await;
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_drains_is_shown_so_until_it_is_gone() {
    let long = on_demand("long", "until [ -e free ]; do sleep 0.05; done", "nodes = ['web-2']");
    let mut cluster = Cluster::start(&format!("{}{long}", busy()), "");
    let browser = Browser::start().await;
    browser.goto(&cluster.page(0)).await;
    cluster.site.ask(&["trigger", "long"]);
    browser.see(".lane[data-job=long] .cell[data-state=running]").await;
    cluster.nodes[1].terminate();
    browser.reads(".node[data-state=draining]", "web-2").await;
    browser.reads(".node[data-state=draining] .standing", "draining").await;
    std::fs::write(cluster.site.folder().join("free"), "").unwrap();
    assert_eq!(cluster.nodes[1].drained(), 0);
    browser.see(".lane[data-job=long] .cell[data-state=succeeded]").await;
    browser.reads(".node[data-state=gone]", "web-2").await;
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_that_was_taken_over_has_a_mark_and_says_so() {
    // (A shorter lease has the store answer in a shorter time, which a busy machine may take.)
    let frail = on_demand(
        "frail",
        &format!("{FIRST} && exec sleep 600; echo it is done"),
        "nodes = ['web-2', 'web-3']\nlease_ttl = '6s'",
    );
    let mut cluster = Cluster::start(&format!("{}{frail}", busy()), "");
    let browser = Browser::start().await;
    browser.goto(&cluster.page(0)).await;
    cluster.site.ask(&["trigger", "frail"]);
    let lost = cluster.site.first_run();
    let mut holder = None;
    until("a node tells that it runs it", || {
        let runs_it = |node: &Node| node.count("run.started", |run| run["run_id"] == *lost) == 1;
        holder = cluster.nodes.iter().position(runs_it);
        holder.is_some()
    });
    cluster.nodes[holder.expect("it was found")].kill9();
    browser.see(".lane[data-job=frail] .cell.taken[data-state=succeeded]").await;
    let says = "document.querySelector('.lane[data-job=frail] .cell.taken').getAttribute('aria-label').includes('taken over from a lost node')";
    browser.until("it says so", says).await;
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_whose_node_is_away_says_so_and_goes_on_when_it_is_back() {
    let mut cluster = Cluster::start(&busy(), "");
    let port = free_port();
    let own = cluster.node("web-4", port).ready();
    cluster.nodes.push(own);
    let browser = Browser::start().await;
    browser.goto(&cluster.page(3)).await;
    browser.reads("#link", "Live").await;
    browser.see("#board .cell").await;
    cluster.nodes[3].kill9();
    browser.reads("#link", "Reconnecting").await;
    browser.reads("#banner", "web-4 does not answer. What you see was true at").await;
    browser.see("#board .cell").await;
    let back = cluster.node("web-4", port).ready();
    cluster.nodes.push(back);
    browser.reads("#link", "Live").await;
    browser.gone("#banner").await;
    let last = "document.querySelector('.lane[data-job=mailer] .cell:last-child').dataset.key";
    let known = browser.eval(&format!("return {last}")).await;
    browser.until("slots come again", &format!("{last} > {known}")).await;
}
