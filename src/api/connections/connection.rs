//! Serves one connection to its end.
//!
//! Input: a socket. Output: requests to the routes, and their answers, until the peer closes the
//! connection, a timeout expires, or the server stops.
//!
//! Invariants: a connection without a complete request within the header timeout is closed,
//! whether the peer sent nothing, a part of a request, or a part of the HTTP/2 preface; with TLS
//! the handshake has the same time in addition; idle connections are closed too; the extensions of
//! a request contain the context of its connection.
//!
//! hyper enforces the timeout of the headers of HTTP/1, including the idle time of keep-alive, but
//! only once the version is known, and not for HTTP/2. The time until the first request, the idle
//! time of HTTP/2, and answers that the peer does not read are therefore watched here.

use super::{
    activity::{Activity, UnderWay},
    limits::Limits,
    request_body::RequestBody,
    response_body::ResponseBody,
    socket::Socket,
    transport::Transport,
};
use crate::store::chain;
use hyper::{
    Request, Response, Version,
    body::{Body, Incoming},
    server::conn::{http1, http2},
    service::Service,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::{
    error::Error,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tokio_rustls::TlsAcceptor;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::debug;

/// The maximum size of request headers, and of the buffers of a connection.
const BUFFER: u32 = 16 * 1024;

/// The limit of concurrent streams of an HTTP/2 connection.
const STREAMS: u32 = 64;
/// Streams that a client may reset before they are accepted (CVE-2023-44487).
const UNSERVED_RESETS: usize = 20;
/// Refused streams after which the connection is closed. A client that does not know the limit of
/// concurrent streams yet starts with a hundred.
const REFUSALS: usize = 256;
/// Bytes of a frame. h2 accepts five frames of one header list, and no list of four times `BUFFER`.
const FRAME: u32 = 16 * 1024;
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 256 * 1024;
const PING_INTERVAL: Duration = Duration::from_secs(20);
/// How long a peer may not read its answer while the server stops.
const STOP_PATIENCE: Duration = Duration::from_secs(2);

/// An error of the routes or of a body, of whatever kind.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// State that all connections share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) limits: Limits,
    http1: http1::Builder,
    http2: http2::Builder<Owned>,
    /// Requests a graceful end of connections.
    pub(crate) stop: CancellationToken,
    /// Aborts connections.
    pub(crate) cut: CancellationToken,
}

impl Shared {
    pub(crate) fn new(limits: Limits, stop: CancellationToken, tasks: TaskTracker) -> Self {
        let cut = CancellationToken::new();
        let mut http1 = http1::Builder::new();
        http1
            .timer(TokioTimer::new())
            .header_read_timeout(limits.header_timeout)
            .keep_alive(true)
            // The limit of 100 headers is hyper's default: setting it costs an allocation per
            // request.
            .max_buf_size(BUFFER as usize);
        let mut http2 = http2::Builder::new(Owned { tasks, cut: cut.clone() });
        http2
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS)
            .max_pending_accept_reset_streams(UNSERVED_RESETS)
            .max_local_error_reset_streams(REFUSALS)
            .max_frame_size(FRAME)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_send_buf_size(STREAM_WINDOW as usize)
            .max_header_list_size(BUFFER)
            .keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(limits.header_timeout);
        Self { limits, http1, http2, stop, cut }
    }
}

/// Runs the tasks of hyper, the streams of HTTP/2, as tasks that the server owns.
#[derive(Debug, Clone)]
pub(crate) struct Owned {
    tasks: TaskTracker,
    cut: CancellationToken,
}

impl<F> hyper::rt::Executor<F> for Owned
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, task: F) {
        let cut = self.cut.clone();
        self.tasks.spawn(async move { cut.run_until_cancelled_owned(task).await });
    }
}

/// Serves one connection to its end.
pub(crate) async fn run<S, B, C>(
    socket: Socket,
    tls: Option<TlsAcceptor>,
    service: S,
    peer: SocketAddr,
    context: C,
    activity: Arc<Activity>,
    shared: Arc<Shared>,
) where
    C: Clone + Send + Sync + 'static,
    S: tower_service::Service<Request<RequestBody>, Response = Response<B>>,
    S: Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: Body + Send + Unpin + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    let Shared { limits, http1, http2, stop, cut, .. } = &*shared;
    let Some((transport, request_due, is_http2)) = open(socket, tls, peer, limits, stop).await
    else {
        return;
    };
    let service = ConnectionService {
        routes: service,
        context,
        activity: Arc::clone(&activity),
        shared: Arc::clone(&shared),
    };
    let io = TokioIo::new(transport);
    let mut connection = if is_http2 {
        Http::Two(Box::new(http2.serve_connection(io, service)))
    } else {
        Http::One(http1.serve_connection(io, service).with_upgrades())
    };
    let mut alarm = pin!(sleep_until(request_due));
    let mut end = pin!(stop.cancelled());
    let (mut watching, mut stopping, mut leaving, mut has_left) = (true, false, false, false);
    let mut check_at = request_due;
    let mut seen = 0;
    loop {
        if leaving && !has_left {
            has_left = true;
            match &mut connection {
                Http::One(connection) => Pin::new(connection).graceful_shutdown(),
                Http::Two(connection) => Pin::new(&mut **connection).graceful_shutdown(),
            }
        }
        tokio::select! {
            outcome = &mut connection => {
                if let Err(error) = outcome {
                    debug!(%peer, error = chain(&error), "connection failed");
                }
                return;
            }
            () = end.as_mut() => {
                if stopping {
                    return;
                }
                (watching, stopping, leaving) = (true, true, true);
                end.set(cut.cancelled());
                seen = activity.requests();
                check_at = Instant::now() + limits.header_timeout;
                alarm.as_mut().reset(Instant::now() + STOP_PATIENCE / 2);
            }
            () = alarm.as_mut(), if watching => {
                let pending_writes = activity.pending_writes();
                if stopping {
                    let waits = activity.stalled().max(pending_writes);
                    if waits.is_some_and(|wait| wait >= STOP_PATIENCE) {
                        debug!(%peer, ?waits, "connection closed: server stop, client does not read");
                        return;
                    }
                }
                let now = Instant::now();
                if now >= check_at {
                    let requests = activity.requests();
                    let is_idle = requests == seen
                        && pending_writes.is_none()
                        && !activity.is_answering();
                    seen = requests;
                    if pending_writes.is_some_and(|wait| wait >= limits.write_timeout) {
                        debug!(%peer, ?pending_writes, "connection closed: write timeout");
                        return;
                    }
                    if requests > 0 && !activity.is_http2() {
                        // From here on hyper's own timer applies.
                        watching = stopping;
                    } else if requests == 0 || (is_idle && has_left) {
                        debug!(%peer, requests, "connection closed: header timeout or idle");
                        return;
                    } else if is_idle {
                        leaving = true;
                    }
                    check_at = now + limits.header_timeout;
                }
                let next = if stopping { check_at.min(now + STOP_PATIENCE / 2) } else { check_at };
                alarm.as_mut().reset(next);
            }
        }
    }
}

/// Opens the transport and detects the version of HTTP; also returns the deadline of the first
/// request. `None` if the connection has ended before its first request.
async fn open(
    socket: Socket,
    tls: Option<TlsAcceptor>,
    peer: SocketAddr,
    limits: &Limits,
    stop: &CancellationToken,
) -> Option<(Transport, Instant, bool)> {
    let opening = timeout(limits.header_timeout, Transport::open(socket, tls));
    let mut transport = match stop.run_until_cancelled(opening).await? {
        Ok(Ok(transport)) => transport,
        Ok(Err(error)) => {
            debug!(%peer, error = chain(&error), "TLS handshake failed");
            return None;
        }
        Err(_) => {
            debug!(%peer, "connection closed: TLS handshake timeout");
            return None;
        }
    };
    let request_due = Instant::now() + limits.header_timeout;
    let detecting = timeout_at(request_due, transport.speaks_http2());
    match stop.run_until_cancelled(detecting).await? {
        Ok(Ok(is_http2)) => Some((transport, request_due, is_http2)),
        Ok(Err(error)) => {
            debug!(%peer, error = chain(&error), "connection failed");
            None
        }
        Err(_) => {
            debug!(%peer, requests = 0, "connection closed: header timeout");
            None
        }
    }
}

/// A connection of either version. HTTP/2 is boxed: it is rare and needs more memory.
enum Http<One, Two> {
    One(One),
    Two(Box<Two>),
}

impl<One: Future + Unpin, Two: Future<Output = One::Output> + Unpin> Future for Http<One, Two> {
    type Output = One::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<One::Output> {
        match &mut *self {
            Self::One(connection) => Pin::new(connection).poll(context),
            Self::Two(connection) => Pin::new(connection).poll(context),
        }
    }
}

/// The service between hyper and the routes.
#[derive(Debug)]
struct ConnectionService<S, C> {
    routes: S,
    context: C,
    activity: Arc<Activity>,
    shared: Arc<Shared>,
}

impl<S, B, C> Service<Request<Incoming>> for ConnectionService<S, C>
where
    C: Clone + Send + Sync + 'static,
    S: tower_service::Service<Request<RequestBody>, Response = Response<B>>,
    S: Clone + Send + 'static,
    S::Future: Send + 'static,
{
    type Response = Response<ResponseBody<B>>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let version = request.version();
        let under_way = UnderWay::new(Arc::clone(&self.activity), version);
        let pending_writes = (version == Version::HTTP_2).then(|| self.activity.count_writes());
        let Limits { body_timeout, max_body_bytes, .. } = self.shared.limits;
        let activity = Arc::clone(&self.activity);
        let mut request =
            request.map(|body| RequestBody::new(body, body_timeout, max_body_bytes, activity));
        request.extensions_mut().insert(self.context.clone());
        let answer = self.routes.clone().call(request);
        Box::pin(async move {
            Ok(answer.await?.map(|body| ResponseBody::new(body, pending_writes, under_way)))
        })
    }
}
