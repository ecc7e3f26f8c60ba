//! A network of a test's own: the test runs itself once more, alone, in namespaces in which nothing
//! but what it starts can be reached, and in which every contact is counted by the kernel.

use super::forge::program;
use std::fs;

/// Set in a test that runs alone.
const ALONE: &str = "SCANWATCH_TEST_ALONE";

/// Whether this is the run that is alone. Else the test of this name has been run so, or cannot
/// be, and there is nothing left to do.
pub(crate) fn is_alone(test: &str) -> bool {
    if std::env::var_os(ALONE).is_some() {
        ip("link set lo up");
        return true;
    }
    let namespaces = "-rnm";
    let tried = program("unshare").args([namespaces, "ip", "link", "set", "lo", "up"]).output();
    if !tried.as_ref().is_ok_and(|it| it.status.success()) {
        #[expect(clippy::print_stderr, reason = "why a test has tested nothing")]
        {
            eprintln!("skipped: no network of its own can be made here: {tried:?}");
        }
        return false;
    }
    let this = std::env::current_exe().expect("this program has a path");
    let ran = program("unshare")
        .arg(namespaces)
        .arg(this)
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .envs(std::env::vars_os())
        .env(ALONE, "1")
        .output()
        .expect("unshare runs");
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    let complained = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "alone, {test} fails:\n{said}\n{complained}");
    assert!(said.contains("1 passed"), "there is no test of the name {test}:\n{said}");
    false
}

/// Whether this user may have a network of its own, in a namespace of its own. Says so if not.
pub(crate) fn may_have_a_network() -> bool {
    let tried = program("unshare").args(["-rn", "true"]).output();
    let may = tried.as_ref().is_ok_and(|it| it.status.success());
    if !may {
        #[expect(clippy::print_stderr, reason = "why a test has tested nothing")]
        {
            eprintln!("skipped: no network of its own can be had here: {tried:?}");
        }
    }
    may
}

/// Runs `ip` with these words.
#[track_caller]
pub(crate) fn ip(words: &str) {
    run("ip", words);
}

/// Runs a tool with these words.
#[track_caller]
pub(crate) fn run(tool: &str, words: &str) {
    let ran = program(tool).args(words.split(' ')).output();
    assert!(ran.as_ref().is_ok_and(|it| it.status.success()), "{tool} {words}: {ran:?}");
}

/// How often anything in this namespace began to contact anything, this machine included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Contacts {
    /// Connections begun, whether or not they came about.
    pub(crate) connections: u64,
    /// Datagrams sent: questions to name servers above all.
    pub(crate) datagrams: u64,
}

impl Contacts {
    /// The kernel's counts.
    pub(crate) fn so_far() -> Self {
        let (four, six) = (read("/proc/net/snmp"), read("/proc/net/snmp6"));
        let six = |name: &str| {
            let line = six.lines().find_map(|it| it.strip_prefix(name));
            line.map_or(0, |it| it.trim().parse().expect("a count"))
        };
        Self {
            connections: column(&four, "Tcp:", "ActiveOpens"),
            datagrams: column(&four, "Udp:", "OutDatagrams") + six("Udp6OutDatagrams"),
        }
    }
}

/// A count from the two lines, names and values, of a protocol.
fn column(text: &str, protocol: &str, name: &str) -> u64 {
    let mut lines = text.lines().filter(|it| it.starts_with(protocol));
    let (names, values) = (lines.next().expect("names"), lines.next().expect("values"));
    let mut pairs = names.split(' ').zip(values.split(' '));
    let (_, value) = pairs.find(|(it, _)| *it == name).expect("the kernel counts it");
    value.parse().expect("a count")
}

fn read(path: &str) -> String {
    fs::read_to_string(path).expect("the kernel counts what is sent")
}
