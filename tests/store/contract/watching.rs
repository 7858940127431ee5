//! What runs in progress print, from node to node.

use std::time::Duration;

use solocron::claim::{RunId, Token};

use super::{Fixture, KEEP, SHORT, eventually};

fn run() -> RunId {
    Token::new().run_id(1)
}

pub(crate) async fn output_is_shown_to_who_watches(f: &impl Fixture) {
    let (node, onlooker) = (f.store().await, f.store().await);
    let (watched, other) = (run(), run());
    assert_eq!(node.watched_outputs().await, Ok(vec![]));
    assert_eq!(onlooker.watch_output(watched, KEEP).await, Ok(None), "nothing was shown yet");
    assert_eq!(node.watched_outputs().await, Ok(vec![watched]));
    for output in ["", "begun\n", "begun\n\0 and \u{1f980}\n"] {
        node.show_output(watched, output, KEEP).await.unwrap();
        node.show_output(other, "of another", KEEP).await.unwrap();
        assert_eq!(onlooker.watch_output(watched, KEEP).await, Ok(Some(output.to_owned())));
    }
    onlooker.watch_output(other, KEEP).await.unwrap();
    let both = node.watched_outputs().await.unwrap();
    assert!(both.len() == 2 && both.contains(&watched) && both.contains(&other), "{both:?}");
}

pub(crate) async fn who_watches_no_more_is_forgotten_and_so_is_what_was_shown(f: &impl Fixture) {
    let store = f.store().await;
    let run = run();
    store.show_output(run, "begun", SHORT).await.unwrap();
    store.watch_output(run, SHORT).await.unwrap();
    eventually("nobody watches", async || store.watched_outputs().await.unwrap().is_empty()).await;
    eventually("nothing is shown", async || {
        store.watch_output(run, Duration::from_millis(1)).await.unwrap().is_none()
    })
    .await;
}
