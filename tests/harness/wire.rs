//! A wire between one node and the store that can be cut, or carry one way only.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// Passes everything on to a port of this machine, as long as it is whole.
pub(crate) struct Wire {
    port: u16,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    condition: Condition,
    open: Vec<TcpStream>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Condition {
    #[default]
    Whole,
    /// What the store says does not come through.
    Deaf,
    Cut,
}

impl Wire {
    pub(crate) fn to(target: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port is free");
        let port = listener.local_addr().expect("it has an address").port();
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        // It ends with the test process; until then it only waits.
        std::thread::spawn(move || {
            for near in listener.incoming() {
                // What cannot be passed on is closed, as it would be without the wire.
                let _closed = near.and_then(|near| connect(near, target, &shared));
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
        state.condition = Condition::Cut;
        for end in state.open.drain(..) {
            // Closed already is as good.
            let _closed = end.shutdown(Shutdown::Both);
        }
    }

    /// From now on questions reach the store, and its answers reach nobody.
    pub(crate) fn deafen(&self) {
        self.state.lock().unwrap().condition = Condition::Deaf;
    }

    /// Mends it.
    pub(crate) fn mend(&self) {
        self.state.lock().unwrap().condition = Condition::Whole;
    }
}

fn connect(near: TcpStream, target: u16, state: &Arc<Mutex<State>>) -> io::Result<()> {
    let far = TcpStream::connect(("127.0.0.1", target))?;
    let mut shared = state.lock().unwrap();
    if shared.condition == Condition::Cut {
        return Ok(());
    }
    shared.open.extend([near.try_clone()?, far.try_clone()?]);
    let (questions, answers) = ((near.try_clone()?, far.try_clone()?), (far, near));
    let whole = Arc::clone(state);
    std::thread::spawn(move || pass(questions, || true));
    std::thread::spawn(move || {
        pass(answers, || whole.lock().unwrap().condition != Condition::Deaf)
    });
    Ok(())
}

/// Passes on what comes as long as both ends are open, unless it `is_heard` not.
fn pass((mut from, mut to): (TcpStream, TcpStream), is_heard: impl Fn() -> bool) {
    let mut bytes = vec![0; 65_536];
    while let Ok(count @ 1..) = from.read(&mut bytes) {
        if is_heard() && to.write_all(&bytes[..count]).is_err() {
            break;
        }
    }
    // Either end may close at any time; then so does the other.
    let _closed = to.shutdown(Shutdown::Both);
}
