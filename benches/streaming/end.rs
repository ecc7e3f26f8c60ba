//! From a final state to the bytes of a stream: a final state is published when it is flushed. Alternately with
//! a bare writer that flushes a file and its folder.

use crate::{
    Outcome,
    clients::read_until,
    latencies::Latencies,
    server::{Server, status},
};
use std::{
    fs::{self, File},
    io::Write,
    net::TcpStream,
    time::Instant,
};

const ROUNDS: usize = 500;

pub(crate) fn measure() -> Outcome<()> {
    let server = Server::start()?;
    let job = server.job("bench-end")?;
    let mut stream = TcpStream::connect(server.address())?;
    stream.write_all(job.request.as_bytes())?;
    read_until(&mut stream, "snapshot")?;
    let folder = tempfile::tempdir()?;
    let (mut to_stream, mut to_disk) = (Latencies::default(), Latencies::default());
    for number in 0..ROUNDS {
        let text = status("completed", number);
        let begin = Instant::now();
        job.replace("repo_0.json", &text)?;
        read_until(&mut stream, &format!("\"current_file\":{number}"))?;
        to_stream.add(begin.elapsed());

        let begin = Instant::now();
        let staged = folder.path().join("bench.tmp");
        let mut file = File::create(&staged)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&staged, folder.path().join("bench.json"))?;
        File::open(&folder)?.sync_all()?;
        to_disk.add(begin.elapsed());
    }
    Latencies::print_head();
    to_disk.print("a final state → the disk, by a bare writer");
    to_stream.print("a final state → bytes of the event stream");
    to_stream.print_ratio(&to_disk, "a bare writer");
    Ok(())
}
