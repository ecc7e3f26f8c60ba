//! A name server with answers that change: a few lines of RFC 1035, over UDP, with answers that
//! must not be cached.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, UdpSocket},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

/// The types of records.
const A: u16 = 1;
const CNAME: u16 = 5;
const AAAA: u16 = 28;

/// The reply to a query.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    /// These addresses; a query for one family gets those of it.
    Addresses(Vec<IpAddr>),
    /// The same, behind a chain of CNAMEs.
    Through(Vec<String>, Vec<IpAddr>),
    /// A temporary failure.
    ServerFailure,
    NoSuchName,
    /// Nothing.
    Silence,
}

impl Reply {
    /// Addresses, as text.
    pub(crate) fn of(addresses: &[&str]) -> Self {
        Self::Addresses(parsed(addresses))
    }

    /// Addresses of the last of these names, as text.
    pub(crate) fn through(names: &[&str], addresses: &[&str]) -> Self {
        Self::Through(names.iter().map(|name| (*name).to_owned()).collect(), parsed(addresses))
    }
}

fn parsed(addresses: &[&str]) -> Vec<IpAddr> {
    addresses.iter().map(|address| address.parse().expect("an address")).collect()
}

/// A running name server. Names it does not know do not exist.
#[derive(Debug)]
pub(crate) struct NameServer {
    shared: Arc<Shared>,
    answering: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    /// By name: the reply to the first query, the second, and so on, cyclically.
    replies: Mutex<BTreeMap<String, Vec<Reply>>>,
    /// By name: how often an IPv4 address was queried.
    asked: Mutex<BTreeMap<String, usize>>,
    over: AtomicBool,
}

impl NameServer {
    /// At port 53 of an address in the current network namespace.
    pub(crate) fn start(address: Ipv4Addr) -> Self {
        let socket = UdpSocket::bind((address, 53)).expect("no other name server is here");
        let patience = Some(Duration::from_millis(50));
        socket.set_read_timeout(patience).expect("a socket that need not wait for ever");
        let shared = Arc::new(Shared::default());
        let serving = Arc::clone(&shared);
        let answering = thread::spawn(move || {
            let mut packet = [0; 1500];
            while !serving.over.load(Ordering::SeqCst) {
                let Ok((length, from)) = socket.recv_from(&mut packet) else { continue };
                if let Some(answer) = serving.answer(&packet[..length]) {
                    // The client may be gone.
                    let _ = socket.send_to(&answer, from);
                }
            }
        });
        Self { shared, answering: Some(answering) }
    }

    /// From now on a name has these replies, one query after the other, cyclically.
    pub(crate) fn tell(&self, name: &str, replies: Vec<Reply>) {
        self.shared.replies.lock().unwrap().insert(name.to_owned(), replies);
        self.shared.asked.lock().unwrap().remove(name);
    }

    /// How often a name was queried since then.
    pub(crate) fn asked(&self, name: &str) -> usize {
        self.shared.asked.lock().unwrap().get(name).copied().unwrap_or(0)
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::SeqCst);
        if let Some(answering) = self.answering.take() {
            let _ = answering.join();
        }
    }
}

impl Shared {
    /// The answer to a packet, if it is a query.
    fn answer(&self, packet: &[u8]) -> Option<Vec<u8>> {
        let (name, end) = name_at(packet, 12)?;
        let kind = u16::from_be_bytes([*packet.get(end)?, *packet.get(end + 1)?]);
        let question = packet.get(12..end + 4)?;
        let reply = self.reply(&name, kind);
        let (code, chain, addresses) = match &reply {
            Reply::Silence => return None,
            Reply::ServerFailure => (2, &[][..], &[][..]),
            Reply::NoSuchName => (3, &[][..], &[][..]),
            Reply::Addresses(them) => (0, &[][..], them.as_slice()),
            Reply::Through(names, them) => (0, names.as_slice(), them.as_slice()),
        };
        let mut records = Vec::new();
        let mut owner = name;
        for next in chain {
            records.push(record(&owner, CNAME, &encoded(next)));
            owner.clone_from(next);
        }
        for address in addresses {
            match address {
                IpAddr::V4(v4) if kind == A => records.push(record(&owner, A, &v4.octets())),
                IpAddr::V6(v6) if kind == AAAA => records.push(record(&owner, AAAA, &v6.octets())),
                _ => {}
            }
        }
        let count = u8::try_from(records.len()).ok()?;
        // A response, recursion available; one question, so many answers.
        let mut answer = packet[..2].to_vec();
        answer.extend_from_slice(&[0x81, 0x80 | code, 0, 1, 0, count, 0, 0, 0, 0]);
        answer.extend_from_slice(question);
        answer.extend(records.concat());
        Some(answer)
    }

    /// The current reply. A resolver queries both families at once: the query for IPv4 counts, and
    /// the one for IPv6 that comes with it, before or after, gets the same reply.
    fn reply(&self, name: &str, kind: u16) -> Reply {
        let replies = self.replies.lock().unwrap();
        let Some(of_name) = replies.get(name) else { return Reply::NoSuchName };
        let mut asked = self.asked.lock().unwrap();
        let count = asked.entry(name.to_owned()).or_default();
        let turn = if kind == A {
            *count += 1;
            *count - 1
        } else {
            // glibc queries IPv4 first, and IPv6 from the same socket right after.
            count.saturating_sub(1)
        };
        of_name[turn % of_name.len()].clone()
    }
}

/// The name at an offset of a packet, in lower case, and where it ends.
fn name_at(packet: &[u8], mut at: usize) -> Option<(String, usize)> {
    let mut labels = Vec::new();
    loop {
        let length = usize::from(*packet.get(at)?);
        at += 1;
        if length == 0 {
            return Some((labels.join("."), at));
        }
        let label = packet.get(at..at + length)?;
        labels.push(String::from_utf8_lossy(label).to_ascii_lowercase());
        at += length;
    }
}

fn encoded(name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for label in name.split('.') {
        bytes.push(u8::try_from(label.len()).expect("a short label"));
        bytes.extend_from_slice(label.as_bytes());
    }
    bytes.push(0);
    bytes
}

/// A record of class IN with a TTL of 0.
fn record(owner: &str, kind: u16, data: &[u8]) -> Vec<u8> {
    let mut bytes = encoded(owner);
    bytes.extend_from_slice(&kind.to_be_bytes());
    bytes.extend_from_slice(&[0, 1, 0, 0, 0, 0]);
    bytes.extend_from_slice(&u16::try_from(data.len()).expect("short data").to_be_bytes());
    bytes.extend_from_slice(data);
    bytes
}
