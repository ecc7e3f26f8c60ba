//! Clients that occupy slots and descriptors and never release them.

use crate::support::{
    files,
    forge::program,
    handmade::Handmade,
    processes::resident,
    raw::request,
    server::{PYTHON, Setup, TestServer},
    sse::EventStream,
    wait::{PATIENCE, eventually},
};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    process::{Child, Stdio},
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
};

/// Opens streams, records when all of them have begun, and stops reading.
const HOLDER: &str = r#"
import os, socket, sys, time
port, path, count, note = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4]
lines = []
for _ in range(count):
    line = socket.socket()
    line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    line.connect(("127.0.0.1", port))
    line.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
    lines.append(line)
for line in lines:
    assert line.recv(12) == b"HTTP/1.1 200"
open(note, "w").close()
time.sleep(600)
"#;

/// A process of this test, killed with it.
struct Holder(Child);

impl Drop for Holder {
    fn drop(&mut self) {
        // SIGKILL kills a stopped one too.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn stopped_readers(server: &TestServer, path: &str, count: u32) -> Holder {
    let (script, note) = (server.file("holder.py"), server.file("joined"));
    files::write(&script, HOLDER);
    let mut command = program(PYTHON.as_str());
    command.arg(&script).arg(server.address().port().to_string()).arg(path);
    command.arg(count.to_string()).arg(&note).stdin(Stdio::null());
    let holder = Holder(command.spawn().unwrap());
    eventually("the readers have joined", async || note.exists()).await;
    kill_process(Pid::from_child(&holder.0), Signal::STOP).unwrap();
    holder
}

/// Breaks if streams that nobody reads delay the others, cost the server its memory, or are
/// unlimited in number.
#[tokio::test]
async fn three_hundred_readers_with_fifty_stopped_slow_no_one() {
    let server = Setup::new().set("server.max_streams", 300).start().await;
    let job = Handmade::new(&server, 20);
    job.known(&server).await;
    let before = resident(server.pid());
    let _stopped = stopped_readers(&server, &job.stream(), 50).await;
    let mut readers = JoinSet::new();
    for _ in 0..249 {
        let mut line = TcpStream::connect(server.address()).await.unwrap();
        line.write_all(&request("GET", &job.stream())).await.unwrap();
        let mut begin = [0; 12];
        line.read_exact(&mut begin).await.unwrap();
        assert_eq!(&begin, b"HTTP/1.1 200");
        readers.spawn(async move { tokio::io::copy(&mut line, &mut tokio::io::sink()).await });
    }
    let mut stream = EventStream::open(&server, &job.stream()).await;
    let refused = server.get(&job.stream()).await.expect(503);
    assert!(refused.header("retry-after").is_some(), "{refused:?}");

    // More than the sockets of the stopped readers can take.
    for step in 0..60 {
        for index in 0..20 {
            job.repository(index, "scanning", step);
        }
    }
    let mut lags = Vec::new();
    for step in 500..520 {
        let written = Instant::now();
        job.repository(7, "scanning", step);
        loop {
            let event = stream.next_event(PATIENCE).await.expect("the stream goes on");
            if event.name == "repository"
                && event.data["repo_index"] == 7
                && event.data["progress"]["current_file"] == step
            {
                break;
            }
        }
        lags.push(written.elapsed());
    }
    lags.sort();
    assert!(lags[10] < Duration::from_secs(1), "half of the news are later than {:?}", lags[10]);
    let growth = resident(server.pid()).saturating_sub(before);
    assert!(growth < 20 << 10, "the server has grown by {growth} KiB");
    for index in 0..20 {
        job.repository(index, "completed", 1000);
    }
    job.master("completed");
    assert_eq!(stream.rest(PATIENCE).await.pop().unwrap().name, "end");
    for read in readers.join_all().await {
        read.expect("in order, to the end");
    }
}

/// Processor time a process has used.
fn used(pid: u32) -> Duration {
    let line = files::text(std::path::Path::new(&format!("/proc/{pid}/stat")));
    let (_, fields) = line.rsplit_once(')').unwrap();
    let fields: Vec<_> = fields.split_ascii_whitespace().collect();
    // utime and stime, in hundredths of a second.
    let ticks: u64 = fields[11..13].iter().map(|field| field.parse::<u64>().unwrap()).sum();
    Duration::from_millis(10 * ticks)
}

/// Breaks if a server without a descriptor for one more connection spins, fills its log, or does
/// not recover when there are descriptors again.
#[tokio::test]
async fn without_descriptors_the_server_sleeps_and_recovers() {
    let server = Setup::new()
        .launched_by(&["prlimit", "--nofile=64:64"])
        .set("server.header_timeout_secs", 120)
        .start()
        .await;
    let mut held = Vec::new();
    for _ in 0..100 {
        held.push(TcpStream::connect(server.address()).await.unwrap());
    }
    eventually("descriptors have run out", async || {
        server.setup().log().contains("cannot accept connections")
    })
    .await;
    // Other parts of the server report missing descriptors too, once each: only the listener's
    // lines are counted.
    let refusals = || server.setup().log().matches("cannot accept connections").count();
    let (before, lines) = (used(server.pid()), refusals());
    let began = Instant::now();
    eventually("it has tried again", async || {
        began.elapsed() > Duration::from_secs(1) && refusals() > lines
    })
    .await;
    let took = began.elapsed();
    let spent = used(server.pid()).saturating_sub(before);
    assert!(spent < took / 4, "{spent:?} of processor time in {took:?}");
    let more = refusals() - lines;
    assert!(more as u64 <= took.as_secs() + 2, "{more} lines in {took:?}");
    drop(held);
    server.wait_ready().await;
    let job = server.submit("widget").await;
    server.finished(&job).await;
}
