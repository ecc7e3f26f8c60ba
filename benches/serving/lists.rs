//! Lists and counts of all jobs, of few and of many: the time of an answer on one kept connection.

use crate::{
    Latencies, Outcome,
    server::{AUTHORIZATION, Server, write_job},
};
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
};

const ROUNDS: usize = 300;
/// The jobs of both servers.
const FEW: usize = 1_000;
const MANY: usize = 100_000;

pub(crate) fn measure() -> Outcome<()> {
    let few = measure_with(FEW)?;
    let many = measure_with(MANY)?;
    println!("ratios at p50, {MANY} jobs to {FEW}:");
    for ((path, few), (_, many)) in few.iter().zip(&many) {
        let ratio = many.percentile(50).as_secs_f64() / few.percentile(50).as_secs_f64();
        println!("{path:36} {ratio:9.2}");
    }
    Ok(())
}

fn measure_with(jobs: usize) -> Outcome<Vec<(String, Latencies)>> {
    let home = tempfile::tempdir()?;
    for number in 0..jobs {
        write_job(home.path(), &format!("bench-{number}"), 1)?;
    }
    let server = Server::start(home.path())?;
    println!("{:36} {:>9} {:>9} {:>9}", format!("{jobs} jobs"), "p50 ms", "p99 ms", "worst ms");
    let (last, middle) = (jobs / 100, jobs / 200);
    let paths = [
        "/jobs".to_owned(),
        "/jobs?status=completed&per_page=100".to_owned(),
        "/jobs?status=failed".to_owned(),
        format!("/jobs?per_page=100&page={middle}"),
        format!("/jobs?per_page=100&page={last}"),
        "/metrics".to_owned(),
        "/health".to_owned(),
    ];
    let mut all = Vec::new();
    for path in paths {
        let mut connection = Connection::open(&server)?;
        let latencies = Latencies::of(ROUNDS, || connection.get(&path))?;
        latencies.print(&path);
        all.push((path, latencies));
    }
    Ok(all)
}

/// A kept connection.
struct Connection(BufReader<TcpStream>);

impl Connection {
    fn open(server: &Server) -> Outcome<Self> {
        let stream = TcpStream::connect(&server.address)?;
        stream.set_nodelay(true)?;
        Ok(Self(BufReader::new(stream)))
    }

    fn get(&mut self, path: &str) -> Outcome<()> {
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{AUTHORIZATION}\r\n\r\n");
        self.0.get_mut().write_all(request.as_bytes())?;
        let (mut length, mut line) = (0, String::new());
        loop {
            line.clear();
            self.0.read_line(&mut line)?;
            if line.starts_with("HTTP/1.1") && !line.starts_with("HTTP/1.1 200") {
                return Err(line.into());
            }
            if let Some(value) = line.strip_prefix("content-length: ") {
                length = value.trim().parse()?;
            }
            if line.trim().is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        Ok(self.0.read_exact(&mut body)?)
    }
}
