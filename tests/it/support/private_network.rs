//! A private network for one test: only what the test starts can be reached, and the kernel counts
//! every contact.

use super::namespace::{self, NETWORK};
use std::fs;

/// Whether this is the run in the private network. Otherwise the test of this name has been run in
/// one, or cannot be, and there is nothing left to do.
pub(crate) fn in_private_network(test: &str) -> bool {
    let entered = namespace::entered(test, NETWORK);
    if entered {
        ip("link set lo up");
    }
    entered
}

/// Whether this user may have a network in a private namespace. Prints why not.
pub(crate) fn can_have_a_network() -> bool {
    namespace::can("unshare", &["-rn", "true"])
}

/// Runs `ip` with these arguments.
#[track_caller]
pub(crate) fn ip(words: &str) {
    run("ip", words);
}

/// Runs a tool with these arguments.
#[track_caller]
pub(crate) fn run(tool: &str, words: &str) {
    let words: Vec<&str> = words.split(' ').collect();
    namespace::run(tool, &words);
}

/// How often contacts were started in this namespace, to this machine included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Contacts {
    /// Connections started, whether or not they succeeded.
    pub(crate) connections: u64,
    /// Datagrams sent: mainly DNS queries.
    pub(crate) datagrams: u64,
}

impl Contacts {
    /// The kernel's counts.
    pub(crate) fn so_far() -> Self {
        let (four, six) = (read("/proc/net/snmp"), read("/proc/net/snmp6"));
        let six = |name: &str| {
            let line = six.lines().find_map(|line| line.strip_prefix(name));
            line.map_or(0, |text| text.trim().parse().expect("a count"))
        };
        Self {
            connections: column(&four, "Tcp:", "ActiveOpens"),
            datagrams: column(&four, "Udp:", "OutDatagrams") + six("Udp6OutDatagrams"),
        }
    }
}

/// A count from the two lines, names and values, of a protocol.
fn column(text: &str, protocol: &str, name: &str) -> u64 {
    let mut lines = text.lines().filter(|line| line.starts_with(protocol));
    let (names, values) = (lines.next().expect("names"), lines.next().expect("values"));
    let mut pairs = names.split(' ').zip(values.split(' '));
    let (_, value) = pairs.find(|(key, _)| *key == name).expect("the kernel counts it");
    value.parse().expect("a count")
}

fn read(path: &str) -> String {
    fs::read_to_string(path).expect("the kernel counts what is sent")
}
