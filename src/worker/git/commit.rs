//! Learns which commit a reference names, without fetching it: two requests (the server's capabilities, and `ls-refs` of
//! protocol version 2 with the names in question).
//!
//! Input: the task. Output: the commit, if the server reports it.
//!
//! `git ls-remote` requests all references of a repository, which are megabytes where pull requests are references. So the program
//! that git itself uses for the connection (`git remote-https`, gitremote-helpers(7), `stateless-connect`) is started, and
//! the request is written here. It has the same settings as a fetch: addresses, credentials, proxy.
//!
//! Invariants: whatever a server answers, the commit is unknown unless the answer is complete and names it; an unknown commit
//! is not an error: the fetch that follows reports what is wrong.

use super::{
    Git, GitError, process::drain_beside, reference::Reference, remote::Remote, repository,
};
use crate::{
    model::{state::Work, task::ScanTask},
    worker::{reporter::Reporter, status::Stage},
};
use std::{
    io::{self, BufRead, BufReader, Read, Write},
    process::Stdio,
    time::{Duration, Instant},
};

const STEP: &str = "ls-refs";
/// The size limit of the two answers together. The names that are requested are few.
const LONGEST_ANSWERS: u64 = 4 << 20;
/// The longest packet of git's protocol (gitprotocol-common(5)).
const LONGEST_PACKET: usize = 65_520;

/// The commit that the task's reference names on the server now; `None` if the server does not say.
///
/// # Errors
/// If the address must not be contacted, the server is silent, or the scan is stopped.
pub(crate) fn current_commit(
    git: &Git,
    task: &ScanTask,
    reporter: &Reporter,
) -> Result<Option<String>, GitError> {
    let reference = Reference::parse(task.reference.as_deref())?;
    let remote = Remote::of(task)?;
    let host = remote.host();
    reporter.enter(Work::Cloning, Stage::Fetch, &format!("Asking {host} for the commit"));
    let folder = git.work_dir().join(super::fetch::folder_name("sha1"));
    repository::create(&folder, "sha1").map_err(|source| GitError::Folder { source })?;
    let seconds = task.limits.connect_timeout_secs;
    let begin = Instant::now();
    let watch = move || {
        let is_late = begin.elapsed() >= Duration::from_secs(seconds);
        is_late.then(|| GitError::Silent { host: host.clone(), seconds })
    };
    let helper = format!("remote-{}", remote.scheme());
    let mut running = git
        .with_remote(STEP, &folder, &remote)
        .args([helper.as_str(), remote.url(), remote.url()])
        .start(Stdio::piped(), watch)?;
    let complaints = running.stderr().map(drain_beside).transpose()?;
    let asked = match (running.stdin(), running.stdout()) {
        (Some(questions), Some(answers)) => {
            let answers = BufReader::new(answers.take(LONGEST_ANSWERS));
            ask(questions, answers, &reference)
        }
        _ => Err(io::ErrorKind::BrokenPipe.into()),
    };
    let killed = running.abandon();
    drop(complaints);
    match (asked, killed) {
        (_, Some(why)) => Err(why),
        (Ok(commit), None) => Ok(commit),
        (Err(error), None) => {
            let message = format!("the server does not say which commit it has: {error}");
            reporter.log().info(&message);
            Ok(None)
        }
    }
}

/// Talks to the helper, which passes packets to the server.
fn ask(
    mut to: impl Write,
    mut from: impl BufRead,
    reference: &Reference,
) -> io::Result<Option<String>> {
    to.write_all(b"stateless-connect git-upload-pack\n")?;
    to.flush()?;
    let mut line = String::new();
    from.by_ref().take(64).read_line(&mut line)?;
    if line != "\n" {
        // "fallback": the server does not know version 2.
        return Err(odd("it does not speak version 2 of git's protocol"));
    }
    let (mut version, mut has_refs, mut format) = (false, false, None);
    while let Packet::Data(line) = packet(&mut from)? {
        let line = String::from_utf8_lossy(&line).trim_end().to_owned();
        version |= line == "version 2";
        has_refs |= line == "ls-refs" || line.starts_with("ls-refs=");
        format = format.or(line.strip_prefix("object-format=").map(str::to_owned));
    }
    if !version || !has_refs {
        return Err(odd("it does not list references"));
    }
    let names = names(reference);
    to.write_all(&request(&names, format.as_deref()))?;
    to.flush()?;
    let mut found: Vec<Option<String>> = vec![None; names.len()];
    loop {
        match packet(&mut from)? {
            Packet::Flush => break,
            Packet::Data(line) => {
                if let Some((name, commit)) = reference_in(&line)
                    && let Some(at) = names.iter().position(|one| *one == name)
                {
                    found[at] = Some(commit);
                }
            }
            Packet::Other => return Err(odd("its list of references is incomplete")),
        }
    }
    if let Some(id) = reference.full_id() {
        // The list has proved that the repository may be read; the id is that of the commit itself.
        return Ok(Some(id.to_owned()));
    }
    Ok(found.into_iter().flatten().next())
}

/// The full names that a reference may stand for, in the order in which git tries them (gitrevisions(7)).
fn names(reference: &Reference) -> Vec<String> {
    let name = reference.name();
    if reference.is_default() || reference.full_id().is_some() {
        return vec!["HEAD".to_owned()];
    }
    let forms = ["", "refs/", "refs/tags/", "refs/heads/"].map(|prefix| format!("{prefix}{name}"));
    forms.into_iter().chain([format!("refs/remotes/{name}")]).collect()
}

fn request(names: &[String], format: Option<&str>) -> Vec<u8> {
    let mut request = Vec::new();
    let mut line = |text: &str| {
        request.extend_from_slice(format!("{:04x}{text}\n", text.len() + 5).as_bytes());
    };
    line("command=ls-refs");
    if let Some(format) = format {
        line(&format!("object-format={format}"));
    }
    request.extend_from_slice(b"0001");
    let mut line = |text: &str| {
        request.extend_from_slice(format!("{:04x}{text}\n", text.len() + 5).as_bytes());
    };
    // Of an annotated tag the commit is wanted.
    line("peel");
    for name in names {
        line(&format!("ref-prefix {name}"));
    }
    request.extend_from_slice(b"0000");
    request
}

/// The name and the commit in `<id> <name>[ peeled:<id>]…`.
fn reference_in(line: &[u8]) -> Option<(String, String)> {
    let line = std::str::from_utf8(line).ok()?.trim_end_matches('\n');
    let mut words = line.split(' ');
    let (id, name) = (words.next()?, words.next()?);
    let peeled = words.find_map(|word| word.strip_prefix("peeled:"));
    let id = peeled.unwrap_or(id);
    is_id(id).then(|| (name.to_owned(), id.to_owned()))
}

fn is_id(text: &str) -> bool {
    matches!(text.len(), 40 | 64)
        && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

#[derive(Debug, PartialEq, Eq)]
enum Packet {
    Data(Vec<u8>),
    Flush,
    /// A delimiter, or the end of the response.
    Other,
}

/// Reads a packet of git's protocol.
fn packet(from: &mut impl Read) -> io::Result<Packet> {
    let mut head = [0; 4];
    from.read_exact(&mut head)?;
    let length =
        std::str::from_utf8(&head).ok().and_then(|text| usize::from_str_radix(text, 16).ok());
    match length {
        Some(0) => Ok(Packet::Flush),
        Some(1..=3) => Ok(Packet::Other),
        Some(length @ 4..=LONGEST_PACKET) => {
            let mut data = vec![0; length - 4];
            from.read_exact(&mut data)?;
            Ok(Packet::Data(data))
        }
        _ => Err(odd("it does not speak git's protocol")),
    }
}

fn odd(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef01234567";
    const OTHER: &str = "1123456789abcdef0123456789abcdef01234567";

    fn packets(lines: &[&str]) -> String {
        let lines = lines.iter().map(|line| match *line {
            "0000" | "0001" | "0002" => (*line).to_owned(),
            line => format!("{:04x}{line}\n", line.len() + 5),
        });
        lines.collect()
    }

    #[track_caller]
    fn check(name: Option<&str>, refs: &[&str], expected: Option<&str>) {
        let capabilities = ["version 2", "ls-refs=unborn", "object-format=sha1", "0000"];
        let text = format!("\n{}{}", packets(&capabilities), packets(refs));
        let reference = Reference::parse(name).unwrap();
        let asked = ask(Vec::new(), text.as_bytes(), &reference).ok().flatten();
        assert_eq!(asked.as_deref(), expected, "{name:?} {refs:?}");
    }

    /// Fails if another reference than git itself would fetch is compared, or an incomplete list is believed.
    #[test]
    fn the_commit_is_the_one_that_git_would_fetch() {
        let line = |id: &str, name: &str| format!("{id} {name}");
        check(None, &[&line(ID, "HEAD"), "0000"], Some(ID));
        check(None, &[&line(OTHER, "HEADS"), &line(ID, "HEAD"), "0000"], Some(ID));
        check(None, &["0000"], None);
        check(None, &[&line(ID, "HEAD")], None);
        check(None, &[&line("no-id", "HEAD"), "0000"], None);
        check(
            Some("v1"),
            &[&line(OTHER, "refs/heads/v1"), &line(ID, "refs/tags/v1"), "0000"],
            Some(ID),
        );
        let tag = format!("{OTHER} refs/tags/v1 peeled:{ID}");
        check(Some("v1"), &[&tag, "0000"], Some(ID));
        check(Some("main"), &[&line(OTHER, "refs/heads/main-2"), "0000"], None);
        check(Some("refs/heads/main"), &[&line(ID, "refs/heads/main"), "0000"], Some(ID));
        // An id that is served needs no name, but the repository has to be readable.
        check(Some(ID), &["0000"], Some(ID));
        check(Some(ID), &[], None);
    }

    #[test]
    fn other_answers_are_unknown() {
        let reference = Reference::parse(None).unwrap();
        for text in ["", "fallback\n", "\n0000", "\nzzzz", "\n0009version", "\nffffx"] {
            assert!(ask(Vec::new(), text.as_bytes(), &reference).is_err(), "{text:?}");
        }
    }

    #[test]
    fn the_request_asks_for_few_names() {
        let names = names(&Reference::parse(Some("v1")).unwrap());
        let text = String::from_utf8(request(&names, Some("sha256"))).unwrap();
        let end = "0009peel\n0012ref-prefix v1\n0017ref-prefix refs/v1\n001cref-prefix refs/tags/v1\n\
                   001dref-prefix refs/heads/v1\n001fref-prefix refs/remotes/v1\n0000";
        assert_eq!(text, format!("0014command=ls-refs\n0019object-format=sha256\n0001{end}"));
    }
}
