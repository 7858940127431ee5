//! From a host's name to its addresses.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};

use super::{Address, NoAnswer};

/// The addresses of a server, in the order in which to try them.
///
/// On a thread of its own: the system's resolver may hang for long, and the runtime's own
/// threads are few enough for such lookups to use them up.
pub(super) async fn resolve(address: &Address) -> Result<Vec<SocketAddr>, NoAnswer> {
    if let Ok(ip) = address.host().parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(ip, address.port())]);
    }
    let (host, port) = (address.host().to_owned(), address.port());
    let (found, addresses) = tokio::sync::oneshot::channel();
    let look_up = move || {
        let looked_up = (host.as_str(), port).to_socket_addrs().map(Iterator::collect);
        let _nobody_waits = found.send(looked_up);
    };
    let failed = |why: String| NoAnswer(format!("cannot find {}: {why}", address.host()));
    let thread = std::thread::Builder::new().name("solocron-dns".to_owned());
    thread.spawn(look_up).map_err(|error| failed(error.to_string()))?;
    match addresses.await {
        Ok(looked_up) => looked_up.map_err(|error| failed(error.to_string())),
        Err(_) => Err(failed("the lookup broke off".to_owned())),
    }
}
