//! A wire between one node and the store that can be cut.

use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// Passes everything on to a port of this machine until it is cut.
pub(crate) struct Wire {
    port: u16,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    cut: bool,
    open: Vec<TcpStream>,
}

impl Wire {
    pub(crate) fn to(target: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port is free");
        let port = listener.local_addr().expect("it has an address").port();
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        // It ends with the test process; until then it only waits.
        std::thread::spawn(move || {
            for incoming in listener.incoming() {
                let mut state = shared.lock().unwrap();
                let ends = incoming
                    .and_then(|near| Ok((near, TcpStream::connect(("127.0.0.1", target))?)));
                // What cannot be passed on is closed, as it would be without the wire.
                let Ok((near, far)) = ends else { continue };
                if state.cut {
                    continue;
                }
                let ends = (near.try_clone(), far.try_clone(), near.try_clone(), far.try_clone());
                let (Ok(a), Ok(b), Ok(c), Ok(d)) = ends else { continue };
                state.open.extend([c, d]);
                std::thread::spawn(move || pass(near, far));
                std::thread::spawn(move || pass(b, a));
            }
        });
        Self { port, state }
    }

    /// The address of the store as the node at this wire sees it.
    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    /// Cuts it: what is under way ends, nothing new comes through.
    pub(crate) fn cut(&self) {
        let mut state = self.state.lock().unwrap();
        state.cut = true;
        for end in state.open.drain(..) {
            // Closed already is as good.
            let _closed = end.shutdown(Shutdown::Both);
        }
    }

    /// Mends it.
    pub(crate) fn mend(&self) {
        self.state.lock().unwrap().cut = false;
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream) {
    // Either end may close at any time; then so does the other.
    let _closed = io::copy(&mut from, &mut to);
    let _closed = to.shutdown(Shutdown::Both);
}
