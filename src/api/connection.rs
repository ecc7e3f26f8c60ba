//! One connection: a socket comes in, its requests go to the routes, until it ends, is silent for
//! too long, or the server stops.
//!
//! What must stay true: a connection without a whole request within the header timeout is closed,
//! whether it sent nothing, a part of a request, or a part of the HTTP/2 preface; where there is TLS,
//! its handshake has that time for itself; an idle one does not stay either; what a request brings
//! along about its connection is in its extensions.
//!
//! hyper times the headers of HTTP/1, keep-alive's idle time included. It does so from the
//! moment on at which the version is known, and HTTP/2 not at all: so the time up to the first
//! request, HTTP/2's idle time, and answers that its peer does not take, are watched here.

use super::{
    auth::VerifiedCredentials,
    outgoing::{Outgoing, Untaken},
    request_body::RequestBody,
    server::{BoxError, Limits},
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
    net::SocketAddr,
    pin::{Pin, pin},
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tokio_rustls::TlsAcceptor;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::debug;

/// What the headers of a request may need, and what a connection's buffers may grow to.
const BUFFER: u32 = 16 * 1024;

/// HTTP/2: what one connection may have under way, and may make us hold.
const STREAMS: u32 = 64;
/// Requests that it may take back before they were looked at (CVE-2023-44487).
const UNSERVED_RESETS: usize = 20;
/// Requests of its that are refused, as they are too many at a time or make no sense, until it is sent
/// away. A client that does not know yet how many it may have under way begins with a hundred.
const REFUSALS: usize = 256;
/// Bytes of a frame. h2 takes five frames of one header list, and no list of four times `BUFFER`.
const FRAME: u32 = 16 * 1024;
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 256 * 1024;
const PING_INTERVAL: Duration = Duration::from_secs(20);
/// How long a peer may take nothing of its answer while the server stops.
const STOP_PATIENCE: Duration = Duration::from_secs(2);

/// What a request knows of its connection: an extension of the request.
#[derive(Debug, Clone)]
pub struct ConnectionContext {
    /// The other end; of a proxy, the proxy.
    pub peer: SocketAddr,
    /// The newest credentials on this connection that were right.
    pub verified: Arc<Mutex<Option<VerifiedCredentials>>>,
}

impl ConnectionContext {
    /// A connection that has verified nothing yet.
    pub fn new(peer: SocketAddr) -> Self {
        Self { peer, verified: Arc::default() }
    }
}

/// What happened on a connection so far.
#[derive(Debug, Default)]
pub(super) struct Activity {
    requests: AtomicU64,
    under_way: AtomicUsize,
    http2: AtomicBool,
    unread: AtomicBool,
    /// Of HTTP/2.
    untaken: OnceLock<Arc<Untaken>>,
    /// Since when the peer takes nothing of what is to be written.
    stalled_since: Mutex<Option<Instant>>,
}

impl Activity {
    /// A body was dropped before its end.
    pub(super) fn note_unread(&self) {
        self.unread.store(true, Relaxed);
    }

    /// Whether a body was dropped before its end.
    pub(super) fn left_unread(&self) -> bool {
        self.unread.load(Relaxed)
    }

    /// The peer takes nothing since then; or something again.
    pub(super) fn note_stall(&self, since: Option<Instant>) {
        *self.stalled_since.lock().unwrap_or_else(PoisonError::into_inner) = since;
    }

    /// For how long the peer has taken nothing of an answer; of HTTP/2.
    fn untaken(&self) -> Option<Duration> {
        self.untaken.get()?.longest()
    }

    /// For how long the peer has taken nothing of what is to be written.
    fn stalled(&self) -> Option<Duration> {
        let since = *self.stalled_since.lock().unwrap_or_else(PoisonError::into_inner);
        since.map(|since| since.elapsed())
    }
}

/// What connections share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) limits: Limits,
    http1: http1::Builder,
    http2: http2::Builder<Owned>,
    /// Asks connections to end when they can.
    pub(super) stop: CancellationToken,
    /// Ends them.
    pub(super) cut: CancellationToken,
}

impl Shared {
    pub(super) fn new(limits: Limits, stop: CancellationToken, tasks: TaskTracker) -> Self {
        let cut = CancellationToken::new();
        let mut http1 = http1::Builder::new();
        http1
            .timer(TokioTimer::new())
            .header_read_timeout(limits.header_timeout)
            .keep_alive(true)
            // Of headers it may have 100, hyper's default: to set it costs an allocation per request.
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

/// Runs hyper's own tasks, the streams of HTTP/2, as tasks of the server's.
#[derive(Debug, Clone)]
pub(super) struct Owned {
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
pub(super) async fn run<S, B>(
    socket: Socket,
    tls: Option<TlsAcceptor>,
    service: S,
    context: ConnectionContext,
    activity: Arc<Activity>,
    shared: Arc<Shared>,
) where
    S: tower_service::Service<Request<RequestBody>, Response = Response<B>>,
    S: Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: Body + Send + Unpin + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    let Shared { limits, http1, http2, stop, cut, .. } = &*shared;
    let peer = context.peer;
    let Some((transport, request_due, is_http2)) = open(socket, tls, peer, limits, stop).await
    else {
        return;
    };
    let service = Entrance {
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
    let mut look_at = request_due;
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
                seen = activity.requests.load(Relaxed);
                look_at = Instant::now() + limits.header_timeout;
                alarm.as_mut().reset(Instant::now() + STOP_PATIENCE / 2);
            }
            () = alarm.as_mut(), if watching => {
                let untaken = activity.untaken();
                if stopping {
                    let waits = activity.stalled().max(untaken);
                    if waits.is_some_and(|wait| wait >= STOP_PATIENCE) {
                        debug!(%peer, ?waits, "closed by the stop: it does not take its answer");
                        return;
                    }
                }
                let now = Instant::now();
                if now >= look_at {
                    let requests = activity.requests.load(Relaxed);
                    let is_idle = requests == seen
                        && untaken.is_none()
                        && activity.under_way.load(Relaxed) == 0;
                    seen = requests;
                    if untaken.is_some_and(|wait| wait >= limits.write_timeout) {
                        debug!(%peer, ?untaken, "closed: it does not take its answer");
                        return;
                    }
                    if requests > 0 && !activity.http2.load(Relaxed) {
                        // hyper's own timer has it from here on.
                        watching = stopping;
                    } else if requests == 0 || (is_idle && has_left) {
                        debug!(%peer, requests, "silent connection closed");
                        return;
                    } else if is_idle {
                        leaving = true;
                    }
                    look_at = now + limits.header_timeout;
                }
                let next = if stopping { look_at.min(now + STOP_PATIENCE / 2) } else { look_at };
                alarm.as_mut().reset(next);
            }
        }
    }
}

/// Opens the transport and tells the version of HTTP; also says when the first request is due. None of a
/// connection that has ended, before anything was asked.
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
            debug!(%peer, error = chain(&error), "handshake failed");
            return None;
        }
        Err(_) => {
            debug!(%peer, "slow handshake ended");
            return None;
        }
    };
    let request_due = Instant::now() + limits.header_timeout;
    let telling = timeout_at(request_due, transport.speaks_http2());
    match stop.run_until_cancelled(telling).await? {
        Ok(Ok(is_http2)) => Some((transport, request_due, is_http2)),
        Ok(Err(error)) => {
            debug!(%peer, error = chain(&error), "connection failed");
            None
        }
        Err(_) => {
            debug!(%peer, requests = 0, "silent connection closed");
            None
        }
    }
}

/// A connection of either version. Few are of HTTP/2, and those need more room.
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

/// The way of a request from hyper to the routes.
#[derive(Debug)]
struct Entrance<S> {
    routes: S,
    context: ConnectionContext,
    activity: Arc<Activity>,
    shared: Arc<Shared>,
}

impl<S, B> Service<Request<Incoming>> for Entrance<S>
where
    S: tower_service::Service<Request<RequestBody>, Response = Response<B>>,
    S: Clone + Send + 'static,
    S::Future: Send + 'static,
{
    type Response = Response<Outgoing<B>>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let version = request.version();
        let under_way = UnderWay::new(Arc::clone(&self.activity), version);
        let untaken = (version == Version::HTTP_2)
            .then(|| Arc::clone(self.activity.untaken.get_or_init(Arc::default)));
        let Limits { body_timeout, max_body_bytes, .. } = self.shared.limits;
        let activity = Arc::clone(&self.activity);
        let mut request =
            request.map(|body| RequestBody::new(body, body_timeout, max_body_bytes, activity));
        request.extensions_mut().insert(self.context.clone());
        let answer = self.routes.clone().call(request);
        Box::pin(
            async move { Ok(answer.await?.map(|body| Outgoing::new(body, untaken, under_way))) },
        )
    }
}

/// Counts a request as under way until the last byte of its answer is handed over.
#[derive(Debug)]
pub(super) struct UnderWay(Arc<Activity>);

impl UnderWay {
    fn new(activity: Arc<Activity>, version: Version) -> Self {
        activity.requests.fetch_add(1, Relaxed);
        activity.under_way.fetch_add(1, Relaxed);
        activity.http2.store(version == Version::HTTP_2, Relaxed);
        Self(activity)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Relaxed);
    }
}
