//! SIGKILL at each system call that changes the disk: at the N-th rename, flush and write of a
//! shim, of the built-in scanner, of the server.
//!
//! strace(1) sends the signal itself where one thread makes the calls, because it counts per
//! thread. A server makes its calls from many threads: there strace delays each of them for a
//! moment, and the test, which counts them all, kills the server while the N-th is delayed.
//!
//! By default a sample of the calls is taken; `SCANWATCH_EVERY=1` takes them all.

mod parts;
mod servers;

use super::{chosen, say};
use crate::support::{files, forge::program};
use std::{collections::BTreeMap, path::Path};

/// The most calls of this kind that a thread makes: those that put a file or a folder into place,
/// and those before them.
pub(super) type Reach = &'static [(&'static str, usize)];

/// Whether one process may trace another here; if not, prints why nothing is tested.
pub(super) fn can_trace() -> bool {
    let tried = program("strace").args(["-qq", "-e", "trace=none", "true"]).output();
    let may = tried.as_ref().is_ok_and(|output| output.status.success());
    if !may {
        say(format!("skipped: no process can be traced here: {tried:?}"));
    }
    may
}

/// A launcher that kills the program at its N-th call; it follows the program's threads but not its
/// child processes.
pub(super) fn killing_at(call: &str, number: usize, log: &Path) -> Vec<String> {
    let (trace, inject) =
        (format!("trace={call}"), format!("inject={call}:signal=KILL:when={number}"));
    let log = log.display().to_string();
    ["strace", "-f", "-b", "execve", "-qq", "-y", "-o", &log, "-e", &trace, "-e", &inject]
        .map(str::to_owned)
        .to_vec()
}

/// The same, with a detached tracer: the program keeps the number of this process.
pub(super) fn killing_in_place(call: &str, number: usize, log: &Path) -> Vec<String> {
    let mut words = killing_at(call, number, log);
    words.insert(1, "-D".to_owned());
    words
}

/// Which calls are taken: every n-th of them.
pub(super) fn taken(reach: Reach, every: usize) -> Vec<(&'static str, usize)> {
    let all = reach.iter().flat_map(|(call, most)| (1..=*most).map(|number| (*call, number)));
    all.step_by(chosen("SCANWATCH_EVERY", every)).collect()
}

/// What the last call was about, without the parts that change each time; none if nothing was
/// killed.
pub(super) fn killed_at(log: &Path) -> Option<String> {
    let text = files::text(log);
    text.contains("killed by SIGKILL").then(|| site(entered(&text).last().unwrap_or_default()))
}

/// The calls that were entered, one per line.
pub(super) fn entered(log: &str) -> impl Iterator<Item = &str> {
    let calls = log.lines().filter_map(|line| Some(line.split_once(' ')?.1.trim_start()));
    calls.filter(|call| {
        call.starts_with(|character: char| character.is_ascii_lowercase()) && call.contains('(')
    })
}

/// The last path in a call, without the parts that change each time.
pub(super) fn site(call: &str) -> String {
    let name = call.split('(').next().unwrap_or_default();
    let path = call.rsplit(['"', '<']).find(|part| part.starts_with('/')).unwrap_or("a pipe");
    let path = path.trim_end_matches(|character: char| "\">)=?, ".contains(character));
    let plain = |word: &str| {
        let random = ["write-", "new-", "trash-", "scanwatch-it-", "scratch-"];
        let random = word.len() >= 32 || random.iter().any(|prefix| word.starts_with(prefix));
        // A job's number carries no information, nor does a repository's.
        let word = word.replace(|character: char| character.is_ascii_digit(), "");
        if random { "…".to_owned() } else { word }
    };
    let mut words: Vec<String> = path.rsplit('/').take(2).map(plain).collect();
    words.reverse();
    format!("{name} {}", words.join("/"))
}

/// Prints how often a kill happened at which call.
pub(super) fn tell(who: &str, sites: &BTreeMap<String, usize>) {
    let total: usize = sites.values().sum();
    say(format!("{who}: killed {total} times, at {} different calls: {sites:#?}", sites.len()));
}
