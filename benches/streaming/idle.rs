//! The memory of an idle stream: how much the anonymous memory of the server process grows while all
//! streams are opened.

use crate::{
    Outcome, STREAMS,
    bare::{self, Bare},
    clients::{Clients, read_until},
    server::Server,
};
use std::{fs, net::TcpStream};

/// Each round starts new processes; the result is the median.
const ROUNDS: usize = 5;

pub(crate) fn measure() -> Outcome<()> {
    let (mut ours, mut limits) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let server = Server::start()?;
        let job = server.job("bench-idle")?;
        let (head, first) = beginning(server.address(), &job.request)?;
        let open = |count| Clients::open(server.address(), &job.request, "snapshot", count);
        ours.push(growth(server.program.pid(), open)?);

        let bare = Bare::start(&head, &first, "")?;
        let open = |count| Clients::open(&bare.address, bare::REQUEST, "snapshot", count);
        limits.push(growth(bare.child.id(), open)?);
    }
    let (ours, limit) = (median(ours), median(limits));
    println!("an idle event stream, {STREAMS} of them: {ours:.1} KiB each");
    println!("the same bytes from bare hyper:        {limit:.1} KiB each");
    println!("ratio: {:.2}", ours / limit);
    Ok(())
}

/// The beginning of a stream: the head of the answer, and the first event.
pub(crate) fn beginning(address: &str, request: &str) -> Outcome<(String, String)> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    std::io::Write::write_all(&mut stream, request.as_bytes())?;
    let text = read_until(&mut stream, "snapshot")?;
    let (head, body) = text.split_once("\r\n\r\n").ok_or("no body")?;
    Ok((head.to_owned(), body.to_owned()))
}

/// KiB for each stream.
fn growth(server: u32, open: impl Fn(usize) -> Outcome<Clients>) -> Outcome<f64> {
    // Memory that a process allocates only once is allocated before the measurement.
    drop(open(10)?);
    let before = anonymous(server)?;
    let clients = open(STREAMS)?;
    let after = anonymous(server)?;
    drop(clients);
    #[expect(clippy::cast_precision_loss, reason = "printed with one decimal")]
    let each = after.saturating_sub(before) as f64 / STREAMS as f64;
    Ok(each)
}

/// The resident anonymous memory of a process, in KiB.
fn anonymous(pid: u32) -> Outcome<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).ok_or("no RssAnon")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
