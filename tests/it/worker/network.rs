//! Networks that fail: cut in the middle, silent from the beginning, closed, slow. Each in a
//! private network, with the forge at one end of a link and the scanner at the other.

use super::Place;
use crate::support::{
    forge::{Behaviour, Forge, program},
    namespace::{NETWORK, can, entered, run, run_command},
    patience::eventually,
};
use scanwatch::model::task::ScanTask;
use serde_json::Value;
use std::{
    io::Write,
    net::Ipv4Addr,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// The forge's end of the link, and an unused address there.
const FORGE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const NOBODY: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 77);

/// The scanner's end of the link: a network of its own, kept by a process that does nothing.
struct FarEnd(Child);

impl FarEnd {
    /// Sets up a link from here to there. Two /30 networks are enough for its ends.
    fn new() -> Self {
        run("ip", &["link", "set", "lo", "up"]);
        let keeper = program("unshare").args(["--net", "sleep", "999"]).spawn().unwrap();
        let far = Self(keeper);
        let namespace = |pid: u32| std::fs::read_link(format!("/proc/{pid}/ns/net")).unwrap();
        eventually("it has a network of its own", || {
            namespace(far.0.id()) != namespace(std::process::id())
        });
        run("ip", &["link", "add", "near", "type", "veth", "peer", "name", "far"]);
        run("ip", &["link", "set", "far", "netns", &far.0.id().to_string()]);
        run("ip", &["address", "add", &format!("{FORGE}/24"), "dev", "near"]);
        run("ip", &["link", "set", "near", "up"]);
        for words in ["link set lo up", "address add 192.0.2.2/24 dev far", "link set far up"] {
            far.ip(words);
        }
        far
    }

    /// Changes a property of this end.
    fn ip(&self, words: &str) {
        let words: Vec<_> = words.split(' ').collect();
        run_command(self.program("ip").args(words));
    }

    fn program(&self, name: &str) -> Command {
        let mut command = program("nsenter");
        command.args(["--net", "--target", &self.0.id().to_string(), name]);
        command
    }

    /// Starts the scanner there.
    fn scan(&self, task: &ScanTask) -> Scan {
        let mut scanner = self.program(env!("CARGO_BIN_EXE_scanwatch"));
        scanner.arg("worker").stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = scanner.spawn().unwrap();
        let line = serde_json::to_string(task).unwrap() + "\n";
        child.stdin.take().unwrap().write_all(line.as_bytes()).unwrap();
        Scan { child, began: Instant::now() }
    }
}

impl Drop for FarEnd {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A running scanner.
struct Scan {
    child: Child,
    began: Instant,
}

impl Scan {
    /// Waits for its end; returns how long it took, from its start.
    fn end(mut self) -> Duration {
        self.child.wait().unwrap();
        self.began.elapsed()
    }
}

fn noise(words: u32) -> Vec<u8> {
    (0..words).flat_map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes()).collect()
}

/// A forge on the link, with one repository, and a task to scan it from the other end.
fn on_the_line(place: &Place, behaviour: Behaviour, words: u32) -> (Forge, ScanTask) {
    let forge = Forge::start_at(FORGE.into());
    forge.add_repository("project", &[("noise", &noise(words)), ("requirements.txt", b"a==1\n")]);
    forge.behave(behaviour);
    let mut task = place.task_at(&forge, "project");
    task.limits.connect_timeout_secs = 3;
    task.limits.fetch_stall_timeout_secs = 3;
    (forge, task)
}

fn downloaded(place: &Place) -> u64 {
    let status = place.json("repo_3.json");
    status.and_then(|progress| progress["download_bytes"].as_u64()).unwrap_or(0)
}

#[track_caller]
fn failed(place: &Place, detail: &str) {
    let status: Value = place.status();
    assert_eq!(status["failure"]["kind"], "clone", "{status:#}");
    let said = status["failure"]["detail"].as_str().unwrap_or_default();
    assert!(said.contains(detail), "want {detail:?} in {said:?}");
}

/// Breaks if a link that is cut in the middle of a fetch holds the scan until its deadline.
#[test]
fn a_link_cut_in_the_middle_is_given_up_in_time() {
    if !entered("worker::network::a_link_cut_in_the_middle_is_given_up_in_time", NETWORK) {
        return;
    }
    let place = Place::new();
    let far = FarEnd::new();
    let (_forge, task) = on_the_line(&place, Behaviour::Slow(50_000), 250_000);
    let scan = far.scan(&task);
    eventually("something has come", || downloaded(&place) > 0);
    far.ip("link set far down");
    let cut = Instant::now();
    scan.end();
    let took = cut.elapsed();
    failed(&place, "stalled");
    // The speed is the average of the last five seconds, and must be too low for three.
    assert!(took < Duration::from_secs(5 + 3 + 5), "{took:?}");
}

/// Breaks if an address that drops all packets holds the scan longer than our own timeout: there is
/// no other.
#[test]
fn an_address_that_drops_everything_is_given_up_in_time() {
    let test = "worker::network::an_address_that_drops_everything_is_given_up_in_time";
    if !entered(test, NETWORK) {
        return;
    }
    let place = Place::new();
    let far = FarEnd::new();
    let (forge, mut task) = on_the_line(&place, Behaviour::Honest, 1);
    far.ip(&format!("neighbour add {NOBODY} lladdr 02:00:00:00:00:77 dev far"));
    task.git_url = task.git_url.replace(&FORGE.to_string(), &NOBODY.to_string());
    for origin in &mut task.network.trusted {
        origin.host = NOBODY.to_string();
    }
    let took = far.scan(&task).end();
    failed(&place, "within 3 seconds");
    assert!((3..8).contains(&took.as_secs()), "{took:?}");
    assert_eq!(forge.contacts(), 0);
}

/// Breaks if a network that rejects at once is waited for.
#[test]
fn a_network_that_rejects_fails_a_fetch_at_once() {
    if !entered("worker::network::a_network_that_rejects_fails_a_fetch_at_once", NETWORK) {
        return;
    }
    let far = FarEnd::new();
    for kind in ["unreachable", "prohibit", "blackhole"] {
        let place = Place::new();
        let (_forge, task) = on_the_line(&place, Behaviour::Honest, 1);
        far.ip(&format!("route add {kind} {FORGE}/32"));
        let took = far.scan(&task).end();
        failed(&place, "192.0.2.1 cannot be reached");
        assert!(took < Duration::from_secs(3), "{kind}: {took:?}");
        far.ip(&format!("route del {kind} {FORGE}/32"));
    }
}

/// Breaks if a link that is merely slow is taken for a dead one, or if its progress is not seen.
#[test]
fn a_slow_link_is_waited_for_with_visible_progress() {
    let test = "worker::network::a_slow_link_is_waited_for_with_visible_progress";
    if !entered(test, NETWORK) || !can("tc", &["-Version"]) {
        return;
    }
    let place = Place::new();
    let far = FarEnd::new();
    let (_forge, task) = on_the_line(&place, Behaviour::Honest, 40_000);
    let slow = ["qdisc", "add", "dev", "near", "root", "tbf", "rate", "400kbit"];
    run("tc", &[&slow[..], &["burst", "5kb", "latency", "500ms"]].concat());
    let scan = far.scan(&task);
    let mut seen = std::collections::BTreeSet::new();
    eventually("it moves, step by step", || {
        seen.insert(downloaded(&place));
        seen.len() > 3
    });
    let took = scan.end();
    let status = place.status();
    assert_eq!(status["status"], "completed", "{status:#}");
    assert!(took > Duration::from_secs(3), "longer than a silence may be: {took:?}");
}
