//! The faults of links can be trusted: what is done to the link of one node is done to that
//! one, and only so.

use std::time::Duration;

use crate::harness::proxy::{Flow, Proxy, Way};
use crate::harness::redis_server::RedisServer;
use crate::harness::until;

const SOON: Duration = Duration::from_millis(500);

/// A connection that says whose it is, as those of nodes do; none where it is not to be.
fn connect(proxy: &Proxy, node: &str) -> Option<redis::Connection> {
    let client = redis::Client::open(proxy.redis_url()).unwrap();
    let mut connection = client.get_connection_with_timeout(SOON).ok()?;
    connection.set_read_timeout(Some(SOON)).unwrap();
    let mut name = redis::cmd("CLIENT");
    name.arg("SETNAME").arg(format!("solocron/{node}"));
    name.query::<()>(&mut connection).ok()?;
    Some(connection)
}

fn answers(connection: &mut redis::Connection) -> bool {
    redis::cmd("PING").query::<String>(connection).is_ok()
}

#[test]
fn a_link_fails_for_the_node_that_is_meant_and_for_no_other() {
    let server = RedisServer::start();
    let proxy = Proxy::before(server.port());
    let mut other = connect(&proxy, "web-2").unwrap();

    for (what, fail) in [
        ("cut", (|proxy| proxy.cut_for("web-1")) as fn(&Proxy)),
        ("drop to the server", |proxy| proxy.set_for("web-1", Way::ToServer, Flow::Drop)),
        ("drop to the node", |proxy| proxy.set_for("web-1", Way::ToClient, Flow::Drop)),
        ("late", |proxy| proxy.set_for("web-1", Way::ToClient, Flow::Delay(SOON * 3))),
    ] {
        let mut one = connect(&proxy, "web-1").unwrap();
        assert!(answers(&mut one), "{what}");
        fail(&proxy);
        assert!(!answers(&mut one), "{what}: it still answers");
        assert!(connect(&proxy, "web-1").is_none(), "{what}: a new one answers");
        assert!(answers(&mut other), "{what}: another's fails as well");
        proxy.mend_for("web-1");
        assert!(connect(&proxy, "web-1").is_some(), "{what}: it is mended");
    }
}

#[test]
fn what_vanishes_on_the_way_to_a_node_was_done_by_the_server() {
    let server = RedisServer::start();
    let proxy = Proxy::before(server.port());
    let mut one = connect(&proxy, "web-1").unwrap();
    proxy.set_for("web-1", Way::ToServer, Flow::Drop);
    assert!(redis::cmd("INCR").arg("to server").query::<i64>(&mut one).is_err());
    proxy.mend_for("web-1");

    let mut one = connect(&proxy, "web-1").unwrap();
    proxy.set_for("web-1", Way::ToClient, Flow::Drop);
    assert!(redis::cmd("INCR").arg("to client").query::<i64>(&mut one).is_err());
    until("the server has done it", || server.cli_list(&["KEYS", "*"]) == ["to client"]);
}
