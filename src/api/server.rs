//! The accept loop: a listening socket and the routes come in, answered connections go out.
//!
//! What must stay true: at most so many connections at a time, and one more is told so at once
//! rather than left to wait; an error of `accept` neither ends the loop nor makes it spin; every
//! task has an owner; a stop is over after its grace, whatever the peers do.

use super::{
    connection::{self, Activity, ConnectionContext, Shared},
    error::ApiError,
    request_body::RequestBody,
    socket::Socket,
    tls::Tls,
    traffic::Traffic,
};
use hyper::{Request, Response, body::Body};
use std::{
    error::Error,
    io,
    sync::{Arc, LazyLock},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{Instant, sleep, timeout},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{debug, warn};

/// An error of the routes or of a body, of whatever kind.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// How many connections are told at the same time that there is no place for them; one more is
/// just closed.
const REFUSING: usize = 64;

/// How long such a connection may take to read that.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(1);

/// How long `accept` rests after an error that would come again at once, at least and at most.
const REST: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));

/// The shortest time between two lines of the log about `accept`.
const LOG_INTERVAL: Duration = Duration::from_secs(1);

/// What peers may take.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections at a time.
    pub max_connections: usize,
    /// For the headers of a request, from the first moment on or from the end of the answer
    /// before; so this is also how long a connection may be idle.
    pub header_timeout: Duration,
    /// For a body, from its headers on.
    pub body_timeout: Duration,
    /// Without a byte taken, while there are bytes to take.
    pub write_timeout: Duration,
    /// For the body of any request; a route may have a lower limit.
    pub max_body_bytes: u64,
    /// From the request to stop until what still runs is dropped.
    pub stop_grace: Duration,
}

/// What [`serve`] has done, at its end.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct ServeReport {
    /// Connections that were served.
    pub served: u64,
    /// Connections for which there was no place.
    pub refused: u64,
    /// Connections that were still there when the grace was over.
    pub dropped: usize,
}

/// Serves connections until `shutdown`, then lets those that are left finish, for the grace.
/// With `tls`, each of them begins with a handshake.
///
/// `service` answers every request, `traffic` counts the connections. Open streams have to end by
/// themselves on the same token, or they use up the grace.
pub async fn serve<S, B>(
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
    service: S,
    limits: Limits,
    traffic: Arc<Traffic>,
    shutdown: CancellationToken,
) -> ServeReport
where
    S: tower_service::Service<Request<RequestBody>, Response = Response<B>>,
    S: Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: Body + Send + Unpin + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    let mut report = ServeReport::default();
    let tasks = TaskTracker::new();
    let shared = Arc::new(Shared::new(limits.clone(), shutdown.clone(), tasks.clone()));
    let places = Arc::new(Semaphore::new(limits.max_connections));
    let refusing = Arc::new(Semaphore::new(REFUSING));
    let mut trouble = Trouble::default();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shutdown.cancelled() => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                if let Some(rest) = trouble.judge(&error, Instant::now()) {
                    // Ends early for a stop: `accept` above is asked again, the token too.
                    shutdown.run_until_cancelled(sleep(rest)).await;
                }
                continue;
            }
        };
        trouble.over();
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            report.refused += 1;
            traffic.refuse();
            if let Ok(permit) = Arc::clone(&refusing).try_acquire_owned() {
                let tls = tls.as_ref().map(|tls| tls.refusing_acceptor());
                tasks.spawn(async move {
                    if !matches!(timeout(REFUSAL_TIMEOUT, refuse(stream, tls)).await, Ok(Ok(()))) {
                        debug!("a refused connection did not wait for its answer");
                    }
                    drop(permit);
                });
            }
            continue;
        };
        report.served += 1;
        // Answers are written whole, and events are to arrive now. It fails only on dead sockets.
        let _ = stream.set_nodelay(true);
        let activity = Arc::<Activity>::default();
        let socket =
            Socket::new(stream, place, traffic.open(), Arc::clone(&activity), limits.write_timeout);
        let context = ConnectionContext::new(peer);
        // What is shown from now on: a certificate may be replaced at any time.
        let tls = tls.as_ref().map(|tls| tls.acceptor());
        let (service, shared) = (service.clone(), Arc::clone(&shared));
        tasks.spawn(connection::run(socket, tls, service, context, activity, shared));
    }
    drop(listener);
    tasks.close();
    // A WebSocket outlives the task of its connection, its place in hand: wait for the places too.
    let all_ended = async {
        tasks.wait().await;
        let all = u32::try_from(limits.max_connections).unwrap_or(u32::MAX);
        let _ = places.acquire_many(all).await;
    };
    if timeout(limits.stop_grace, all_ended).await.is_err() {
        report.dropped = limits.max_connections - places.available_permits();
        shared.cut.cancel();
        tasks.wait().await;
    }
    debug!(?report, "stopped serving");
    report
}

/// Tells a connection that there is no place for it, and lets it read that.
async fn refuse(stream: TcpStream, tls: Option<TlsAcceptor>) -> io::Result<()> {
    match tls {
        None => say_no(stream).await,
        Some(tls) => say_no(tls.accept(stream).await?).await,
    }
}

async fn say_no(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
    static ANSWER: LazyLock<Vec<u8>> = LazyLock::new(|| {
        let detail = "Too many connections".into();
        ApiError::Unavailable { detail, retry_after: Some(1) }.to_http1()
    });
    stream.write_all(&ANSWER).await?;
    stream.shutdown().await?;
    // To close before the request is read would send a reset, and destroy the answer.
    let mut space = [0; 1024];
    while stream.read(&mut space).await? > 0 {}
    Ok(())
}

/// What to do about errors of `accept`.
#[derive(Debug, Default)]
struct Trouble {
    rest: Option<Duration>,
    logged: Option<Instant>,
    unlogged: u64,
}

impl Trouble {
    /// How long to rest; not at all after an error of the one connection that was to be accepted.
    /// Logs it, unless it did so just now.
    fn judge(&mut self, error: &io::Error, now: Instant) -> Option<Duration> {
        use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
        if matches!(
            error.kind(),
            ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted
        ) {
            return None;
        }
        // Out of descriptors or memory: the connection stays in the queue, and the listener ready.
        let (least, most) = REST;
        let rest = self.rest.map_or(least, |rest| (rest * 2).min(most));
        self.rest = Some(rest);
        if self.logged.is_some_and(|logged| now.duration_since(logged) < LOG_INTERVAL) {
            self.unlogged += 1;
        } else {
            warn!(%error, times_unlogged = self.unlogged, "cannot accept connections, retrying");
            self.logged = Some(now);
            self.unlogged = 0;
        }
        Some(rest)
    }

    /// A connection was accepted.
    fn over(&mut self) {
        self.rest = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accept_rests_longer_and_longer_when_descriptors_run_out() {
        let mut trouble = Trouble::default();
        let exhausted = io::Error::from_raw_os_error(rustix::io::Errno::MFILE.raw_os_error());
        let now = Instant::now();
        let rests: Vec<_> = (0..9).filter_map(|_| trouble.judge(&exhausted, now)).collect();
        let millis: Vec<_> = rests.iter().map(Duration::as_millis).collect();
        assert_eq!(millis, [10, 20, 40, 80, 160, 320, 640, 1000, 1000]);
        assert_eq!(trouble.unlogged, 8, "one line for all of them");
        trouble.judge(&exhausted, now + LOG_INTERVAL);
        assert_eq!(trouble.unlogged, 0);
        trouble.over();
        assert_eq!(trouble.judge(&exhausted, now), Some(REST.0));
    }

    #[test]
    fn a_connection_that_is_gone_already_costs_no_rest() {
        let aborted = io::Error::from(io::ErrorKind::ConnectionAborted);
        assert_eq!(Trouble::default().judge(&aborted, Instant::now()), None);
    }
}
