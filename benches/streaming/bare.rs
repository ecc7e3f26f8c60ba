//! The limit: hyper's HTTP/1 connections on tokio with two workers. Each body sends a given text, waits for
//! an event, and sends the event.
//!
//! This server is a separate process (this program with another argument), because memory is counted per process.

use crate::{Outcome, program::command};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use hyper::{
    HeaderMap, Request, Response,
    body::{Body, Frame, Incoming},
    header::{CONNECTION, DATE, HeaderName, HeaderValue, TRANSFER_ENCODING},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use std::{
    convert::Infallible,
    io::{BufRead, BufReader, Write},
    pin::Pin,
    process::{Child, ChildStdin, Stdio},
    sync::Arc,
    task::{Context, Poll},
};
use tokio::{net::TcpListener, sync::watch};

/// The argument that makes this program the server.
pub(crate) const ROLE: &str = "bare-hyper";

/// The request that opens a stream.
pub(crate) const REQUEST: &str = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

pub(crate) struct Bare {
    pub(crate) child: Child,
    pub(crate) address: String,
    events: ChildStdin,
}

impl Bare {
    /// Starts a server whose streams have this head, begin with `first` and continue with `event`.
    pub(crate) fn start(head: &str, first: &str, event: &str) -> Outcome<Self> {
        let own = std::env::current_exe()?;
        let mut child = command(own.to_str().ok_or("the path of this program is not UTF-8")?)
            .args([ROLE, head, first, event])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut address = String::new();
        BufReader::new(child.stdout.take().ok_or("no output")?).read_line(&mut address)?;
        let events = child.stdin.take().ok_or("no input")?;
        Ok(Self { child, address: address.trim().to_owned(), events })
    }

    /// Makes the server send the event on all streams.
    pub(crate) fn broadcast(&mut self) -> Outcome<()> {
        Ok(self.events.write_all(b"\n")?)
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The server itself: an event for each line of standard input.
pub(crate) fn serve() -> Outcome<()> {
    let mut texts = std::env::args().skip_while(|argument| argument != ROLE).skip(1);
    let mut next = || texts.next().ok_or("three texts are needed");
    let head = headers(&next()?)?;
    let (first, event) = (Bytes::from(next()?), Bytes::from(next()?));
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let sender = watch::Sender::new(Bytes::new());
    let events = sender.subscribe();
    std::thread::spawn(move || {
        for _ in std::io::stdin().lines() {
            sender.send_replace(event.clone());
        }
    });
    runtime.block_on(async move {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        println!("{}", listener.local_addr()?);
        let mut connections = tokio::task::JoinSet::new();
        loop {
            let (socket, _) = listener.accept().await?;
            socket.set_nodelay(true)?;
            let (head, first, events) = (head.clone(), first.clone(), events.clone());
            let service = service_fn(move |_: Request<Incoming>| {
                let body = Events(Box::pin(body(first.clone(), events.clone())));
                let mut response = Response::new(body);
                response.headers_mut().clone_from(&head);
                async { Ok::<_, Infallible>(response) }
            });
            let builder = http1::Builder::new();
            connections.spawn(builder.serve_connection(TokioIo::new(socket), service));
        }
    })
}

/// The headers of an answer, without those that hyper adds.
fn headers(head: &str) -> Outcome<Arc<HeaderMap>> {
    let lines = head.lines().skip(1).filter_map(|line| line.split_once(": "));
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.insert(name.parse::<HeaderName>()?, value.parse::<HeaderValue>()?);
    }
    for name in [DATE, CONNECTION, TRANSFER_ENCODING] {
        headers.remove(name);
    }
    Ok(Arc::new(headers))
}

fn body(first: Bytes, mut events: watch::Receiver<Bytes>) -> impl Stream<Item = Bytes> + Send {
    events.mark_unchanged();
    let events = stream::unfold(events, |mut events| async move {
        events.changed().await.ok()?;
        let event = events.borrow_and_update().clone();
        Some((event, events))
    });
    stream::once(async { first }).chain(events)
}

struct Events(Pin<Box<dyn Stream<Item = Bytes> + Send>>);

impl Body for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_next_unpin(context).map(|next| next.map(|bytes| Ok(Frame::data(bytes))))
    }
}
