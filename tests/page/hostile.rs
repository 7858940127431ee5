//! What jobs print, and whatever is told of them, is text and nothing else.

use crate::browser::Browser;
use crate::cluster::{Cluster, on_demand};
use crate::harness::site::every_second;

const HOSTILE: &str = r#"printf '<script>document.title = "taken"</script><img src=x onerror=document.title=1>\n\033[31mred\033[0m \033]0;title\007 \342\200\256back\n'"#;

#[tokio::test(flavor = "multi_thread")]
async fn markup_and_terminal_escapes_in_output_are_shown_as_text() {
    let jobs = every_second("hostile", HOSTILE, "overlap = 'allow'");
    let cluster = Cluster::start(&jobs, "");
    let browser = Browser::start().await;
    browser.goto(&cluster.page(0)).await;
    browser.click(".lane[data-job=hostile] .job").await;
    browser.reads("#job .output", "<script>document.title = \"taken\"</script><img src=x").await;
    // The node writes them so; what it leaves, the page shows by its code.
    browser.reads("#job .output", r"\x1b[31mred\x1b[0m \x1b]0;title\x07").await;
    browser.reads("#job .output", "\u{2039}U+202E\u{203a}back").await;
    unharmed(&browser).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_the_grammar_would_refuse_is_shown_as_text_too() {
    let cluster = Cluster::start(&on_demand("hostile", "true", ""), "");
    let browser = Browser::start().await;
    // A node of another version, or a store that somebody writes into, might answer so.
    browser
        .before_each_page(
            r#"const json = Response.prototype.json;
            Response.prototype.json = async function () {
              const text = JSON.stringify(await json.call(this));
              const name = JSON.stringify('<img src=x onerror=document.title=1>\u001b[31m').slice(1, -1);
              return JSON.parse(text.replaceAll(/"(hostile|rare|web-1)"/g, `"${name}"`));
            };"#,
        )
        .await;
    browser.goto(&cluster.page(0)).await;
    let name = "<img src=x onerror=document.title=1>\u{241b}[31m";
    browser.reads(".lane .name", name).await;
    browser.reads(".lane .tags", name).await;
    browser.reads(".node .name", name).await;
    browser.reads("#coming .name", name).await;
    browser.click(".lane .job").await;
    browser.reads("#job-title", name).await;
    browser.press(crate::browser::ESCAPE).await;
    browser.gone("#job").await;
    browser.click("#view [data-value=table]").await;
    browser.reads("#table tbody th", name).await;
    unharmed(&browser).await;
}

async fn unharmed(browser: &Browser) {
    let harm = "return [document.title, document.querySelectorAll('body img, body script').length]";
    assert_eq!(browser.eval(harm).await, serde_json::json!(["solocron", 0]));
}
