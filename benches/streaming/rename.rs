//! From rename(2) to the bytes of a stream, at a constant rate; alternately with a bare inotify watch that a
//! blocked thread reads, and with notify's callback, which calls the reader of the server.

use crate::{
    Outcome,
    latencies::Latencies,
    server::{Server, status},
};
use notify::Watcher as _;
use rustix::fs::inotify;
use std::{
    fs,
    io::{BufRead, BufReader, Write},
    mem::MaybeUninit,
    net::TcpStream,
    path::Path,
    sync::mpsc::{self, Receiver},
    thread,
    time::{Duration, Instant},
};

/// The interval of the renames: 1,000 per second.
const PACE: Duration = Duration::from_millis(1);
const TURNS: usize = 12;
/// Renames of one turn.
const RENAMES: usize = 250;
const PATIENCE: Duration = Duration::from_secs(5);

/// The number of a rename, and when it was seen.
type Seen = (usize, Instant);

pub(crate) fn measure() -> Outcome<()> {
    let server = Server::start()?;
    let job = server.job("bench-rename")?;
    let by_stream = stream(server.address(), &job.request)?;
    let publish = |number| {
        job.stage(&status("scanning", number))?;
        let begin = Instant::now();
        job.publish("repo_0.json")?;
        Ok(begin)
    };
    let folder = tempfile::tempdir()?;
    let (watched, beside) = (folder.path().join("watched"), folder.path().join("beside"));
    fs::create_dir(&watched)?;
    let replace = |number| {
        fs::File::create(&beside)?.write_all(status("scanning", number).as_bytes())?;
        let begin = Instant::now();
        // Two names alternate, because the kernel merges an event with an equal unread one.
        fs::rename(&beside, watched.join(format!("repo_{}.json", number % 2)))?;
        Ok(begin)
    };
    let (mut to_stream, mut to_watch, mut to_callback) =
        (Latencies::default(), Latencies::default(), Latencies::default());
    let mut firsts = (1..).step_by(RENAMES);
    let mut first = || firsts.next().unwrap_or_default();
    for _ in 0..TURNS {
        // One watch at a time: two on one folder would both be woken.
        let number = first();
        play(number, &bare_watch(&watched, number)?, &mut to_watch, replace)?;
        let number = first();
        let (notify, by_callback) = callback(&watched, number)?;
        play(number, &by_callback, &mut to_callback, replace)?;
        drop(notify);
        play(first(), &by_stream, &mut to_stream, publish)?;
    }
    Latencies::print_head();
    to_watch.print("a rename → a bare inotify watch");
    to_callback.print("a rename → the callback of notify");
    to_stream.print("a rename → bytes of the event stream");
    to_stream.print_ratio(&to_watch, "a bare inotify watch");
    to_stream.print_ratio(&to_callback, "the callback of notify");
    Ok(())
}

/// One turn: renames at the constant rate, and when each was seen. A later number also counts for those before it.
fn play(
    first: usize,
    seen: &Receiver<Seen>,
    latencies: &mut Latencies,
    rename: impl Fn(usize) -> Outcome<Instant>,
) -> Outcome<()> {
    let start = Instant::now();
    let mut begun = Vec::with_capacity(RENAMES);
    for number in 0..RENAMES {
        let due = start + PACE * u32::try_from(number)?;
        thread::sleep(due.saturating_duration_since(Instant::now()));
        begun.push(rename(first + number)?);
    }
    let mut waiting = begun.into_iter().enumerate().peekable();
    while waiting.peek().is_some() {
        let (number, at) = seen.recv_timeout(PATIENCE)?;
        while let Some((_, begin)) = waiting.next_if(|(rename, _)| first + rename <= number) {
            latencies.add(at - begin);
        }
    }
    Ok(())
}

/// When each event of a job's stream arrives.
fn stream(address: &str, request: &str) -> Outcome<Receiver<Seen>> {
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(request.as_bytes())?;
    let (sender, seen) = mpsc::channel();
    let (begun, has_begun) = mpsc::channel();
    thread::spawn(move || {
        let number = |line: &str| {
            let (_, rest) = line.split_once("\"current_file\":")?;
            rest.split([',', '}']).next()?.parse().ok()
        };
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            let at = Instant::now();
            if line == "event: snapshot" {
                let _ = begun.send(());
            } else if let Some(number) = number(&line) {
                let _ = sender.send((number, at));
            }
        }
    });
    // What is written before the stream has begun is part of its snapshot.
    has_begun.recv_timeout(PATIENCE)?;
    Ok(seen)
}

/// When a thread that is blocked in read(2) sees each rename of a turn.
fn bare_watch(folder: &Path, first: usize) -> Outcome<Receiver<Seen>> {
    let watch = inotify::init(inotify::CreateFlags::CLOEXEC)?;
    inotify::add_watch(&watch, folder, inotify::WatchFlags::MOVED_TO)?;
    let (sender, seen) = mpsc::channel();
    thread::spawn(move || {
        let mut space = [MaybeUninit::uninit(); 4096];
        let mut events = inotify::Reader::new(watch, &mut space);
        for number in first..first + RENAMES {
            if events.next().is_err() || sender.send((number, Instant::now())).is_err() {
                return;
            }
        }
    });
    Ok(seen)
}

/// When notify's callback is called for each rename of a turn.
fn callback(folder: &Path, first: usize) -> Outcome<(notify::RecommendedWatcher, Receiver<Seen>)> {
    let (sender, seen) = mpsc::channel();
    let mut number = first;
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        if event.is_ok_and(|event| event.kind.is_modify()) {
            let _ = sender.send((number, Instant::now()));
            number += 1;
        }
    })?;
    watcher.watch(folder, notify::RecursiveMode::NonRecursive)?;
    Ok((watcher, seen))
}
