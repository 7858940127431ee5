//! A TCP proxy before a server, whose ways fail one by one, as told.
//!
//! What fails is a network, so TCP's promise holds: nobody receives what was sent
//! after bytes that were lost. A connection that lost some is closed when its way
//! is mended.
//!
//! The ways of one node alone may fail as well: nodes tell a Redis their name with their
//! first words (`CLIENT SETNAME`), and the proxy listens. So it works where servers name
//! each other, and each has but one address.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock};
use std::thread::JoinHandle;
use std::time::Duration;

/// One of the two ways through the proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    ToServer,
    ToClient,
}

/// What becomes of the bytes on a way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Flow {
    #[default]
    Pass,
    /// They come so much later.
    Delay(Duration),
    /// They vanish, and nobody is told.
    Drop,
}

/// Passes everything on to a port of this machine, as far as its ways let it. Dropped,
/// it is gone with all its connections and threads.
pub(crate) struct Proxy {
    port: u16,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// For everybody.
    ways: Ways,
    /// For one node alone, by its name.
    of_nodes: BTreeMap<String, Ways>,
    /// Set when the proxy is to end.
    over: bool,
    connections: Vec<Connection>,
    pumps: Vec<JoinHandle<()>>,
}

/// How the two ways are.
#[derive(Default, Clone, Copy)]
struct Ways {
    to_server: Flow,
    to_client: Flow,
    cut: bool,
}

impl Ways {
    fn set(&mut self, way: Way, flow: Flow) {
        match way {
            Way::ToServer => self.to_server = flow,
            Way::ToClient => self.to_client = flow,
        }
    }

    fn flow(&self, way: Way) -> Flow {
        match way {
            Way::ToServer => self.to_server,
            Way::ToClient => self.to_client,
        }
    }
}

/// The name of the node that a connection is of, once it has told it.
type Caller = Arc<OnceLock<String>>;

struct Connection {
    ends: [TcpStream; 2],
    caller: Caller,
    has_lost_bytes: Arc<AtomicBool>,
}

impl Connection {
    fn is_of(&self, node: &str) -> bool {
        self.caller.get().is_some_and(|caller| caller == node)
    }

    fn close(&self) {
        for end in &self.ends {
            // Closed already is as good.
            let _closed = end.shutdown(Shutdown::Both);
        }
    }
}

impl State {
    fn of(&self, caller: &Caller) -> Option<&Ways> {
        self.of_nodes.get(caller.get()?)
    }

    fn flow(&self, way: Way, caller: &Caller) -> Flow {
        let own = self.of(caller).map_or(Flow::Pass, |ways| ways.flow(way));
        if own == Flow::Pass { self.ways.flow(way) } else { own }
    }

    fn is_cut(&self, caller: &Caller) -> bool {
        self.ways.cut || self.of(caller).is_some_and(|ways| ways.cut)
    }

    /// Closes those that lost bytes, as far as they are meant.
    fn close_broken(&mut self, is_meant: impl Fn(&Connection) -> bool) {
        self.connections.retain(|connection| {
            let is_broken = connection.has_lost_bytes.load(Ordering::SeqCst);
            let goes = is_broken && is_meant(connection);
            if goes {
                connection.close();
            }
            !goes
        });
    }
}

impl Proxy {
    /// A proxy before the server at `target`, on a port of its own.
    pub(crate) fn before(target: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port is free");
        let port = listener.local_addr().expect("it has an address").port();
        let shared = Arc::new(Shared::default());
        let of_acceptor = Arc::clone(&shared);
        let acceptor = std::thread::spawn(move || {
            for near in listener.incoming() {
                if of_acceptor.state.lock().unwrap().over {
                    break;
                }
                // What cannot be passed on is closed, as it would be without the proxy.
                let _closed = near.and_then(|near| connect(near, target, &of_acceptor));
            }
        });
        Self { port, shared, acceptor: Some(acceptor) }
    }

    /// Where it listens.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The address of the Redis behind it, for those who are to come through it.
    pub(crate) fn redis_url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.shared.state.lock().unwrap());
        self.shared.changed.notify_all();
    }

    /// From now on the bytes on this way fare so.
    pub(crate) fn set(&self, way: Way, flow: Flow) {
        self.change(|state| state.ways.set(way, flow));
    }

    /// The same for what is between the server and one node.
    pub(crate) fn set_for(&self, node: &str, way: Way, flow: Flow) {
        self.change(|state| state.of_nodes.entry(node.to_owned()).or_default().set(way, flow));
    }

    /// The same for both ways.
    pub(crate) fn set_both(&self, flow: Flow) {
        self.set(Way::ToServer, flow);
        self.set(Way::ToClient, flow);
    }

    /// Closes all connections, and every new one at once.
    pub(crate) fn cut(&self) {
        self.change(|state| {
            state.ways.cut = true;
            state.connections.drain(..).for_each(|connection| connection.close());
        });
    }

    /// Closes all connections of one node, and every new one once it says whose it is.
    pub(crate) fn cut_for(&self, node: &str) {
        self.change(|state| {
            state.of_nodes.entry(node.to_owned()).or_default().cut = true;
            let of_node = |connection: &&Connection| connection.is_of(node);
            state.connections.iter().filter(of_node).for_each(Connection::close);
        });
    }

    /// Everything passes again.
    pub(crate) fn mend(&self) {
        self.change(|state| {
            state.ways = Ways::default();
            state.of_nodes.clear();
            state.close_broken(|_| true);
        });
    }

    /// What is between the server and one node passes again, as far as all may pass.
    pub(crate) fn mend_for(&self, node: &str) {
        self.change(|state| {
            state.of_nodes.remove(node);
            state.close_broken(|connection| connection.is_of(node));
        });
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.change(|state| state.over = true);
        // The acceptor looks when somebody comes.
        let _somebody = TcpStream::connect(("127.0.0.1", self.port));
        if let Some(acceptor) = self.acceptor.take() {
            let _ended = acceptor.join();
        }
        let pumps = {
            let mut state = self.shared.state.lock().unwrap();
            state.connections.drain(..).for_each(|connection| connection.close());
            std::mem::take(&mut state.pumps)
        };
        for pump in pumps {
            let _ended = pump.join();
        }
    }
}

fn connect(near: TcpStream, target: u16, shared: &Arc<Shared>) -> io::Result<()> {
    let far = TcpStream::connect(("127.0.0.1", target))?;
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    let mut state = shared.state.lock().unwrap();
    if state.ways.cut {
        return Ok(());
    }
    let caller = Caller::default();
    let has_lost_bytes = Arc::new(AtomicBool::new(false));
    for (way, from, to) in [(Way::ToServer, &near, &far), (Way::ToClient, &far, &near)] {
        let pump = Pump {
            way,
            from: from.try_clone()?,
            to: to.try_clone()?,
            shared: Arc::clone(shared),
            caller: Arc::clone(&caller),
            has_lost_bytes: Arc::clone(&has_lost_bytes),
        };
        state.pumps.retain(|pump| !pump.is_finished());
        state.pumps.push(std::thread::spawn(move || pump.run()));
    }
    // Of those that are over only this is left, and their descriptors.
    state.connections.retain(|connection| Arc::strong_count(&connection.caller) > 1);
    state.connections.push(Connection { ends: [near, far], caller, has_lost_bytes });
    Ok(())
}

/// One way of one connection.
struct Pump {
    way: Way,
    from: TcpStream,
    to: TcpStream,
    shared: Arc<Shared>,
    caller: Caller,
    has_lost_bytes: Arc<AtomicBool>,
}

impl Pump {
    /// Works as long as both ends are open.
    fn run(mut self) {
        let mut bytes = vec![0; 65_536];
        let mut is_whole = true;
        while let Ok(count @ 1..) = self.from.read(&mut bytes) {
            if self.way == Way::ToServer && self.caller.get().is_none() {
                self.listen(&bytes[..count]);
            }
            if self.shared.state.lock().unwrap().is_cut(&self.caller) {
                break;
            }
            is_whole = self.comes_through() && is_whole;
            if is_whole && self.to.write_all(&bytes[..count]).is_err() {
                break;
            }
        }
        // Either end may close at any time; then so does the other.
        let _closed = self.to.shutdown(Shutdown::Both);
    }

    /// Learns from what a node says who it is.
    fn listen(&self, words: &[u8]) {
        const BEFORE: &[u8] = b"solocron/";
        let Some(at) = words.windows(BEFORE.len()).position(|words| words == BEFORE) else {
            return;
        };
        let is_of_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-".contains(byte);
        let name: Vec<u8> =
            words[at + BEFORE.len()..].iter().copied().take_while(is_of_name).collect();
        let _known = self.caller.set(String::from_utf8_lossy(&name).into_owned());
    }

    /// Waits as long as what was just read takes; whether it comes through.
    fn comes_through(&self) -> bool {
        let state = self.shared.state.lock().unwrap();
        if let Flow::Delay(delay) = state.flow(self.way, &self.caller) {
            // What is mended meanwhile is not waited for.
            let changed = self.shared.changed.wait_timeout_while(state, delay, |state| {
                !state.over && matches!(state.flow(self.way, &self.caller), Flow::Delay(_))
            });
            drop(changed);
        } else {
            drop(state);
        }
        let state = self.shared.state.lock().unwrap();
        let is_lost = state.flow(self.way, &self.caller) == Flow::Drop;
        if is_lost {
            self.has_lost_bytes.store(true, Ordering::SeqCst);
        }
        !is_lost
    }
}
