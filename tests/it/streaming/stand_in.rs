//! A forge that only lists a group, as GitLab does, page by page from memory: pages can be held
//! back, broken, or lead elsewhere.

use crate::support::wait::until;
use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, BufRead, BufReader, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    ops::Range,
    sync::{
        Arc, Condvar, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

/// The state of the group, to be changed by tests.
#[derive(Debug, Default)]
pub(super) struct Group {
    /// How many projects it has.
    pub(super) projects: usize,
    pub(super) page_size: usize,
    /// Which of them are empty, so that they are skipped: those whose number is no multiple of this.
    pub(super) scanned_every: usize,
    /// Pages that get no answer until they are released.
    pub(super) held: BTreeSet<usize>,
    /// Pages with another status code.
    pub(super) codes: BTreeMap<usize, u16>,
    /// Pages with this body.
    pub(super) bodies: BTreeMap<usize, String>,
    /// Pages whose link leads to this URL.
    pub(super) links: BTreeMap<usize, String>,
    /// The numbers of the requested pages, in order.
    pub(super) requested: Vec<usize>,
    /// The numbers of the answered pages, in order.
    pub(super) answered: Vec<usize>,
}

/// A running stand-in.
#[derive(Debug)]
pub(super) struct StandIn {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    group: Mutex<Group>,
    changed: Condvar,
    over: AtomicBool,
}

impl StandIn {
    /// Lists a group `acme` with this many projects.
    pub(super) fn start(projects: usize, page_size: usize) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("binding a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let group = Group { projects, page_size, scanned_every: 1, ..Group::default() };
        let shared = Arc::new(Shared { group: Mutex::new(group), ..Shared::default() });
        let accepting = Arc::clone(&shared);
        let accepting = thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if accepting.over.load(Ordering::SeqCst) {
                    return;
                }
                let serving = Arc::clone(&accepting);
                // It ends with its connection, or once the stand-in is dropped.
                thread::spawn(move || serving.serve(&stream));
            }
        });
        Self { address, shared, accepting: Some(accepting) }
    }

    pub(super) fn base(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) fn url(&self) -> String {
        format!("{}/acme", self.base())
    }

    /// The settings that name it.
    pub(super) fn forges(&self) -> String {
        format!("[{{ kind = \"gitlab\", url = \"{}\" }}]", self.base())
    }

    pub(super) fn group(&self) -> MutexGuard<'_, Group> {
        self.shared.group()
    }

    /// The URL of a page, as links name it.
    pub(super) fn page(&self, number: usize) -> String {
        format!("{}/api/v4/groups/acme/projects?page={number}", self.base())
    }

    /// Lets all held pages go.
    pub(super) fn release(&self) {
        self.group().held.clear();
        self.shared.changed.notify_all();
    }

    /// Lets the first held page go.
    pub(super) fn release_first(&self) {
        self.group().held.pop_first();
        self.shared.changed.notify_all();
    }

    /// Lets all held pages go, and holds this one.
    pub(super) fn hold_only(&self, page: usize) {
        self.group().held = BTreeSet::from([page]);
        self.shared.changed.notify_all();
    }

    /// The body of a page with these projects.
    pub(super) fn entries(&self, numbers: Range<usize>) -> String {
        self.group().body(numbers, &self.base())
    }

    /// Waits until a page has been requested this often.
    pub(super) async fn requested(&self, page: usize, times: usize) {
        let patience = crate::support::wait::PATIENCE;
        until(patience, "a page is requested", async || {
            let requested = self.group().requested.iter().filter(|number| **number == page).count();
            (requested >= times).then_some(())
        })
        .await;
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::SeqCst);
        self.shared.changed.notify_all();
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.address);
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
    }
}

impl Shared {
    fn group(&self) -> MutexGuard<'_, Group> {
        self.group.lock().expect("no thread of the stand-in panics")
    }

    fn serve(&self, mut stream: &TcpStream) -> io::Result<()> {
        let mut lines = BufReader::new(stream).lines();
        let first = lines.next().transpose()?.unwrap_or_default();
        let mut host = String::new();
        for line in lines {
            let line = line?;
            if let Some(name) = line.strip_prefix("host: ") {
                name.clone_into(&mut host);
            }
            if line.is_empty() {
                break;
            }
        }
        let target = first.split(' ').nth(1).unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let number = query.split('&').find_map(|pair| pair.strip_prefix("page=")?.parse().ok());
        let page: usize = number.unwrap_or(1);
        if path != "/api/v4/groups/acme/projects" {
            return stream.write_all(
                b"HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}",
            );
        }
        let mut group = self.group();
        group.requested.push(page);
        while group.held.contains(&page) && !self.over.load(Ordering::SeqCst) {
            let waited = self.changed.wait_timeout(group, Duration::from_millis(100));
            group = waited.expect("no thread of the stand-in panics").0;
        }
        let answer = group.answer(page, &format!("http://{host}"));
        group.answered.push(page);
        drop(group);
        stream.write_all(answer.as_bytes())
    }
}

impl Group {
    fn body(&self, numbers: Range<usize>, base: &str) -> String {
        let entry = |number: usize| {
            let is_empty = !number.is_multiple_of(self.scanned_every);
            format!(
                r#"{{"id":{number},"path_with_namespace":"acme/r{number}","http_url_to_repo":"{base}/acme/r{number}.git","empty_repo":{is_empty}}}"#
            )
        };
        let entries: Vec<String> = numbers.map(entry).collect();
        format!("[{}]", entries.join(","))
    }

    fn answer(&self, page: usize, base: &str) -> String {
        let code = self.codes.get(&page).copied().unwrap_or(200);
        let begin = ((page - 1) * self.page_size).min(self.projects);
        let end = (begin + self.page_size).min(self.projects);
        let body = self.bodies.get(&page).cloned();
        let body = body.unwrap_or_else(|| self.body(begin..end, base));
        let next = format!("{base}/api/v4/groups/acme/projects?page={}", page + 1);
        let next = (end < self.projects).then_some(next);
        let next = self.links.get(&page).cloned().or(next);
        let link = next.map(|url| format!("Link: <{url}>; rel=\"next\"\r\n")).unwrap_or_default();
        format!(
            "HTTP/1.1 {code} As told\r\nConnection: close\r\nRetry-After: 0\r\n{link}\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
    }
}
