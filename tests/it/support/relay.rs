//! A TCP relay between a client and a server, which can cut the line: with an end of all connections, in silence, in one
//! direction, again and again; or delay what passes.

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

/// What the relay does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Line {
    Open,
    /// Connections end, and new ones are closed at once.
    Closed,
    /// Connections stay open, and nothing passes in either direction.
    Silent,
    /// Nothing passes from the server to the client.
    OneWay,
    /// Nothing passes from the client to the server.
    Unheard,
}

/// A relay. Dropped, it ends all connections.
#[derive(Debug)]
pub(crate) struct Relay {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    line: AtomicU8,
    /// By how many milliseconds everything is delayed, in each direction.
    delay: AtomicU64,
    ended: AtomicBool,
    streams: Mutex<Vec<TcpStream>>,
}

impl Shared {
    fn line(&self) -> Line {
        match self.line.load(Ordering::Acquire) {
            0 => Line::Open,
            1 => Line::Closed,
            2 => Line::Silent,
            3 => Line::OneWay,
            _ => Line::Unheard,
        }
    }

    fn close_all(&self) {
        for stream in self.streams.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Relay {
    /// A relay to a port of this machine.
    pub(crate) fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let shared = Arc::new(Shared {
            line: AtomicU8::new(0),
            delay: AtomicU64::new(0),
            ended: AtomicBool::new(false),
            streams: Mutex::default(),
        });
        let accepting = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if accepting.ended.load(Ordering::Acquire) {
                    return;
                }
                if accepting.line() != Line::Closed
                    && let Ok(server) = TcpStream::connect(("127.0.0.1", port))
                {
                    connect(&accepting, &client, &server);
                }
            }
        });
        Self { address, shared }
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// Delays what passes from now on.
    pub(crate) fn delay(&self, by: Duration) {
        let millis = u64::try_from(by.as_millis()).expect("a short time");
        self.shared.delay.store(millis, Ordering::Release);
    }

    /// Ends all connections; new ones are accepted.
    pub(crate) fn cut(&self) {
        self.shared.close_all();
    }

    pub(crate) fn set(&self, line: Line) {
        self.shared.line.store(line as u8, Ordering::Release);
        if line == Line::Closed {
            self.shared.close_all();
        }
    }
}

fn connect(shared: &Arc<Shared>, client: &TcpStream, server: &TcpStream) {
    let copy = |stream: &TcpStream| stream.try_clone().expect("a socket can be cloned");
    shared.streams.lock().unwrap().extend([copy(client), copy(server)]);
    for (from, to, is_answer) in
        [(copy(client), copy(server), false), (copy(server), copy(client), true)]
    {
        let shared = Arc::clone(shared);
        thread::spawn(move || pass(&shared, from, to, is_answer));
    }
}

fn pass(shared: &Arc<Shared>, mut from: TcpStream, to: TcpStream, is_answer: bool) {
    let (sender, pieces) = mpsc::channel();
    let writing = Arc::clone(shared);
    thread::spawn(move || write(&writing, &pieces, to, is_answer));
    let mut buffer = vec![0; 1 << 16];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        let delay = Duration::from_millis(shared.delay.load(Ordering::Acquire));
        if sender.send((Instant::now() + delay, buffer[..count].to_vec())).is_err() {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
}

/// Writes each piece when its time has come and the line lets it pass: what was held arrives late.
fn write(
    shared: &Shared,
    pieces: &mpsc::Receiver<(Instant, Vec<u8>)>,
    mut to: TcpStream,
    is_answer: bool,
) {
    for (due, piece) in pieces {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let held = || match shared.line() {
            Line::Silent => true,
            Line::OneWay => is_answer,
            Line::Unheard => !is_answer,
            Line::Open | Line::Closed => false,
        };
        while held() && !shared.ended.load(Ordering::Acquire) {
            thread::sleep(Duration::from_millis(5));
        }
        if to.write_all(&piece).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Release);
        self.shared.close_all();
        // The thread that accepts notices it.
        let _ = TcpStream::connect(self.address);
    }
}
