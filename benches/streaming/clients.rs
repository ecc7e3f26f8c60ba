//! Many readers of streams in one thread, with one epoll instance.

use crate::Outcome;
use rustix::event::epoll;
use std::{
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

/// How many streams are opened before the first of them is read.
const AT_ONCE: usize = 64;

pub(crate) struct Clients {
    poll: OwnedFd,
    streams: Vec<TcpStream>,
}

impl Clients {
    /// Opens this number of streams, and reads each up to the text `begun`.
    pub(crate) fn open(address: &str, request: &str, begun: &str, count: usize) -> Outcome<Self> {
        let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let mut streams = Vec::with_capacity(count);
        while streams.len() < count {
            let first = streams.len();
            for _ in 0..AT_ONCE.min(count - first) {
                let mut stream = TcpStream::connect(address)?;
                stream.write_all(request.as_bytes())?;
                streams.push(stream);
            }
            for (number, stream) in streams.iter_mut().enumerate().skip(first) {
                read_until(stream, begun)?;
                stream.set_nonblocking(true)?;
                let data = epoll::EventData::new_u64(number as u64);
                epoll::add(&poll, &*stream, data, epoll::EventFlags::IN)?;
            }
        }
        Ok(Self { poll, streams })
    }

    /// Waits until every stream has bytes, and reads them. Returns when the last stream had bytes.
    pub(crate) fn all_have_read(&mut self) -> Outcome<Instant> {
        let mut has_read = vec![false; self.streams.len()];
        let mut missing = self.streams.len();
        let mut events = Vec::with_capacity(1024);
        let mut space = [0; 16 * 1024];
        let patience = Duration::from_secs(10).try_into()?;
        while missing > 0 {
            events.clear();
            epoll::wait(&self.poll, rustix::buffer::spare_capacity(&mut events), Some(&patience))?;
            if events.is_empty() {
                return Err(format!("{missing} streams got nothing within 10 s").into());
            }
            for event in &events {
                let number = usize::try_from(event.data.u64())?;
                if read_all(&mut self.streams[number], &mut space)? && !has_read[number] {
                    has_read[number] = true;
                    missing -= 1;
                }
            }
        }
        Ok(Instant::now())
    }

    /// Reads all available bytes.
    pub(crate) fn drain(&mut self) -> Outcome<()> {
        let mut space = [0; 16 * 1024];
        for stream in &mut self.streams {
            read_all(stream, &mut space)?;
        }
        Ok(())
    }
}

/// Reads until the received text contains `text`; returns everything that was read.
pub(crate) fn read_until(stream: &mut TcpStream, text: &str) -> Outcome<String> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut received = String::new();
    let mut space = [0; 4096];
    while !received.contains(text) {
        match stream.read(&mut space)? {
            0 => return Err(format!("the stream ended: {received}").into()),
            count => received.push_str(std::str::from_utf8(&space[..count])?),
        }
    }
    Ok(received)
}

/// Reads the available bytes; returns whether there were any.
fn read_all(stream: &mut TcpStream, space: &mut [u8]) -> Outcome<bool> {
    match stream.read(space) {
        Ok(0) => Err("a stream ended".into()),
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
        Err(error) => Err(error.into()),
    }
}
