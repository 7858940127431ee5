//! Three replicas on Redis, each with its page.

use std::net::TcpListener;

use crate::browser::Browser;
use crate::harness::node::Node;
use crate::harness::site::{Ground, Site, every_second};

/// The secrets of those who look on.
pub(crate) const OPERATOR: &str = "the-secret-of-an-operator";
pub(crate) const VIEWER: &str = "the-secret-of-a-viewer";

/// The tokens of both.
pub(crate) const TOKENS: &str = "
[[http.tokens]]
name = 'olga'
role = 'operator'
secret = 'the-secret-of-an-operator'

[[http.tokens]]
name = 'vic'
role = 'viewer'
secret = 'the-secret-of-a-viewer'
";

/// A job that runs when somebody asks for it; no test lives until its slot.
pub(crate) fn on_demand(name: &str, shell: &str, keys: &str) -> String {
    let tags = if keys.contains("tags") { "" } else { "tags = ['rare']\n" };
    format!(
        "[jobs.{name}]\nschedule = '0 0 29 2 *'\nshell = '''{shell}'''\noverlap = 'allow'\n{tags}{keys}\n"
    )
}

/// Jobs of which there is always something to see.
pub(crate) fn busy() -> String {
    let ticks: String = ["mailer", "indexer", "warmer"]
        .map(|name| every_second(name, "echo done", "tags = ['often']\noverlap = 'allow'"))
        .concat();
    let slow = on_demand(
        "slow",
        "echo it has begun; until [ -e go ]; do sleep 0.05; done; echo it ends",
        "nodes = ['web-1']",
    );
    let endless = on_demand("endless", "echo for ever; sleep 600", "nodes = ['web-1']");
    let broken = every_second("broken", "echo no >&2; exit 3", "tags = ['often']");
    format!("{ticks}{slow}{endless}{broken}")
}

/// See the module's head.
pub(crate) struct Cluster {
    pub(crate) nodes: Vec<Node>,
    pub(crate) site: Site,
    tokens: &'static str,
}

impl Cluster {
    /// Starts it.
    pub(crate) fn start(jobs: &str, tokens: &'static str) -> Self {
        Self::on(Site::new(Ground::Redis, "heartbeat = '1s'", jobs), tokens)
    }

    /// Starts it on a site that there is.
    pub(crate) fn on(site: Site, tokens: &'static str) -> Self {
        let mut cluster = Self { nodes: Vec::new(), site, tokens };
        for name in ["web-1", "web-2", "web-3"] {
            let node = cluster.node(name, 0);
            cluster.nodes.push(node);
        }
        cluster.nodes = cluster.nodes.drain(..).map(Node::ready).collect();
        cluster
    }

    /// Starts a node whose page is at `port`, or at one that is free.
    pub(crate) fn node(&self, name: &str, port: u16) -> Node {
        let file = self.site.folder().join(format!("{name}.http.toml"));
        let text = format!("[http]\nlisten = '127.0.0.1:{port}'\n{}", self.tokens);
        std::fs::write(&file, text).unwrap();
        self.site.start_with(name, |command| {
            command.arg("-c").arg(file);
        })
    }

    /// Where the page of a node is.
    pub(crate) fn page(&self, node: usize) -> String {
        let listening = self.nodes[node].wait("http.listening");
        format!("http://{}/", listening["address"].as_str().expect("it tells"))
    }

    /// Opens the page of the first node in a browser and signs in.
    pub(crate) async fn signed_in(&self, secret: &str) -> Browser {
        let browser = Browser::start().await;
        browser.goto(&self.page(0)).await;
        browser.type_into("#token", secret).await;
        browser.click("#sign-in button").await;
        browser.see("#board .cell").await;
        browser
    }
}

/// A port that nobody listens on.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
