//! The time from a change until the last of all streams has received its bytes.

use crate::{
    Outcome, STREAMS,
    bare::{self, Bare},
    clients::{Clients, read_until},
    idle::beginning,
    latencies::Latencies,
    server::{Job, Server, status},
};
use std::{
    net::TcpStream,
    thread::sleep,
    time::{Duration, Instant},
};

const ROUNDS: usize = 60;
/// How long the work that follows an event may take.
const PAUSE: Duration = Duration::from_millis(50);

pub(crate) fn measure() -> Outcome<()> {
    let server = Server::start()?;
    let job = server.job("bench-last")?;
    let (head, first) = beginning(server.address(), &job.request)?;
    let mut bare = Bare::start(&head, &first, &event(&server, &job)?)?;
    let mut ours = Clients::open(server.address(), &job.request, "snapshot", STREAMS)?;
    let mut theirs = Clients::open(&bare.address, bare::REQUEST, "snapshot", STREAMS)?;
    sleep(PAUSE);
    ours.drain()?;
    theirs.drain()?;
    let (mut to_ours, mut to_theirs) = (Latencies::default(), Latencies::default());
    for number in 0..ROUNDS {
        sleep(PAUSE);
        job.stage(&status("scanning", 1_000 + number))?;
        let begin = Instant::now();
        job.publish("repo_0.json")?;
        to_ours.add(ours.all_have_read()? - begin);

        sleep(PAUSE);
        let begin = Instant::now();
        bare.broadcast()?;
        to_theirs.add(theirs.all_have_read()? - begin);
    }
    Latencies::print_head();
    to_theirs.print(&format!("an event → the last of {STREAMS}, bare hyper"));
    to_ours.print(&format!("a rename → the last of {STREAMS}"));
    to_ours.print_ratio(&to_theirs, "bare hyper");
    Ok(())
}

/// The bytes of one event.
fn event(server: &Server, job: &Job) -> Outcome<String> {
    let mut stream = TcpStream::connect(server.address())?;
    std::io::Write::write_all(&mut stream, job.request.as_bytes())?;
    read_until(&mut stream, "snapshot")?;
    job.replace("repo_0.json", &status("scanning", 999))?;
    let text = read_until(&mut stream, "}\n\n\r\n")?;
    let start = text.rfind("id: ").ok_or("no event")?;
    let (event, _) = text[start..].split_once("\r\n").ok_or("half an event")?;
    Ok(event.to_owned())
}
