//! What the service manager is told, over a real socket.

use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use crate::bench::{Bench, every_second};

fn received(socket: &UnixDatagram) -> String {
    let mut buffer = [0; 4096];
    let length = socket.recv(&mut buffer).expect("the node says something in time");
    String::from_utf8(buffer[..length].to_vec()).unwrap()
}

#[test]
fn the_manager_hears_ready_signs_of_life_and_stopping() {
    let bench = Bench::with(&every_second("job", "shell = \"env > env.new; mv env.new env\""));
    let socket = UnixDatagram::bind(bench.path("notify")).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let mut node = bench.node_with(|command| {
        command.env("NOTIFY_SOCKET", bench.path("notify")).env("WATCHDOG_USEC", "8000000");
    });
    // Ready comes when it is: not before the log says so.
    let mut said = received(&socket);
    while !said.contains("READY=1") {
        assert!(!said.contains("STOPPING"), "{said}");
        said = received(&socket);
    }
    node.wait("node.started");
    for _ in 0..2 {
        while !received(&socket).contains("WATCHDOG=1") {}
    }
    // A job must not be able to speak for the daemon.
    let environment = bench.wait_for_file("env");
    assert!(!environment.contains("NOTIFY_SOCKET") && !environment.contains("WATCHDOG"));

    assert_eq!(node.drain(), 0);
    while !received(&socket).contains("STOPPING=1") {}
}

#[test]
fn a_manager_that_is_not_there_is_no_reason_not_to_run() {
    let bench = Bench::with(&every_second("job", "shell = \"true\""));
    let mut node = bench.node_with(|command| {
        command.env("NOTIFY_SOCKET", bench.path("nobody")).env("WATCHDOG_USEC", "nonsense");
    });
    node.wait("run.finished");
    assert_eq!(node.drain(), 0);
}
