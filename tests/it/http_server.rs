//! The accept loop on real sockets: how slow, silent, greedy and stubborn peers are handled.

use futures_util::{
    Stream, StreamExt,
    future::{Ready, join_all, ready},
    stream,
};
use hyper::body::Body;
use hyper_util::rt::TokioIo;
use scanwatch::api::{
    auth::{Auth, ConnectionContext},
    connections::{
        connection::BoxError,
        limits::Limits,
        request_body::RequestBody,
        request_metrics::RequestMetrics,
        server::{ServeReport, serve},
    },
    requests::{body::json_body, recover::recover, validation::Validation},
    scope::Scope,
};
use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use warp::{
    Filter,
    http::{HeaderValue, Request, Response, StatusCode},
};

/// What a busy machine may add to a time limit.
const SLACK: Duration = Duration::from_secs(3);

/// A limit that no test reaches.
const LONG: Duration = Duration::from_mins(1);

/// Base64 of `u:p`, the right credentials, and of `u:q`.
const RIGHT: &str = "Authorization: Basic dTpw\r\n";
const WRONG: &str = "Authorization: Basic dTpx\r\n";

const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HTTP2_SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
/// HEADERS of stream 1, with `END_STREAM`: GET, http, / (RFC 7541, appendix A).
const HTTP2_GET: &[u8] = &[0, 0, 3, 1, 5, 0, 0, 0, 1, 0x82, 0x86, 0x84];
/// Frame type GOAWAY.
const HTTP2_GOAWAY: u8 = 7;

/// Limits that no test reaches by itself; each test sets the one it tests.
fn patient() -> Limits {
    Limits {
        max_connections: 200,
        header_timeout: LONG,
        body_timeout: LONG,
        write_timeout: LONG,
        max_body_bytes: 1 << 20,
        stop_grace: LONG,
    }
}

fn quick_headers() -> Limits {
    Limits { header_timeout: Duration::from_millis(300), ..patient() }
}

struct Server {
    address: SocketAddr,
    stop: CancellationToken,
    tasks: JoinSet<ServeReport>,
    /// Requests for `/slow` so far.
    entered: Arc<AtomicUsize>,
}

impl Server {
    async fn start(limits: Limits) -> Self {
        let stop = CancellationToken::new();
        let entered = Arc::<AtomicUsize>::default();
        let service = warp::service(routes(stop.clone(), Arc::clone(&entered)));
        Self { entered, ..Self::serve(service, limits, stop).await }
    }

    async fn serve<S, B>(service: S, limits: Limits, stop: CancellationToken) -> Self
    where
        S: tower_service::Service<Request<RequestBody>, Response = Response<B>>,
        S: Clone + Send + 'static,
        S::Future: Send + 'static,
        S::Error: Into<BoxError>,
        B: Body<Data: Send, Error: Into<BoxError>> + Send + Unpin + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut tasks = JoinSet::new();
        let request_metrics = Arc::new(RequestMetrics::new([]));
        tasks.spawn(serve(
            listener,
            None,
            service,
            ConnectionContext::new,
            limits,
            request_metrics,
            stop.clone(),
        ));
        Self { address, stop, tasks, entered: Arc::default() }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// A connection that has sent this.
    async fn send(&self, bytes: impl AsRef<[u8]>) -> TcpStream {
        let mut stream = self.connect().await;
        stream.write_all(bytes.as_ref()).await.unwrap();
        stream
    }

    async fn stop(mut self) -> ServeReport {
        self.stop.cancel();
        self.tasks.join_next().await.unwrap().unwrap()
    }
}

/// `entered` counts the requests that wait for the stop.
fn routes(
    stop: CancellationToken,
    entered: Arc<AtomicUsize>,
) -> impl Filter<Extract = impl warp::Reply, Error = Infallible> + Clone {
    let hello = warp::path::end()
        .and(warp::ext::get::<ConnectionContext>())
        .map(|context: ConnectionContext| format!("hello {}", context.peer.ip()));
    let auth = Arc::new(Auth::single("u", &"p".into()).unwrap());
    let me = warp::path!("me")
        .and(warp::header::value("authorization").map(Some).or(warp::any().map(|| None)).unify())
        .and(warp::ext::get::<ConnectionContext>())
        .then(move |header: Option<HeaderValue>, connection: ConnectionContext| {
            let auth = Arc::clone(&auth);
            async move {
                let user = auth.grant(header.as_ref(), Some(&connection), Scope::Read).await;
                user.map(|user| format!("user {}", user.name().unwrap_or_default()))
            }
        });
    let json = warp::path!("json").and(json_body(64 * 1024)).map(|_: Validation| "taken");
    let large = warp::path!("large").and(json_body(u64::MAX)).map(|_: Validation| "taken");
    let ends = stop.clone();
    let slow = warp::path!("slow").then(move || {
        entered.fetch_add(1, SeqCst);
        let ends = ends.clone();
        async move {
            ends.cancelled().await;
            "done"
        }
    });
    let endless = warp::path!("endless").map(|| warp::reply::stream(dots()));
    let events = warp::path!("events")
        .map(move || warp::reply::stream(dots().take_until(stop.clone().cancelled_owned())));
    let broken = warp::path!("broken").map(|| -> &'static str { panic!("of the test") });
    let flood = warp::path!("flood").map(|| {
        let piece = || Ok::<_, Infallible>(vec![b'x'; 64 * 1024]);
        warp::reply::stream(stream::repeat_with(piece))
    });
    hello
        .or(me)
        .or(json)
        .or(large)
        .or(slow)
        .or(endless)
        .or(events)
        .or(flood)
        .or(broken)
        .recover(recover)
}

fn dots() -> impl Stream<Item = Result<&'static str, Infallible>> + Send + Sync {
    stream::unfold((), async |()| {
        sleep(Duration::from_millis(20)).await;
        Some((Ok(".\n"), ()))
    })
}

/// Reads until the text read contains `end`.
async fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut bytes = Vec::new();
    let mut space = [0; 4096];
    while !String::from_utf8_lossy(&bytes).contains(end) {
        let read = timeout(LONG, stream.read(&mut space)).await.unwrap().unwrap();
        assert!(read > 0, "no {end:?} in {:?}", String::from_utf8_lossy(&bytes));
        bytes.extend_from_slice(&space[..read]);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Reads until the server closes the connection, which it must do in time, by whatever means.
async fn read_to_end(stream: &mut TcpStream, limit: Duration) -> Vec<u8> {
    let mut bytes = Vec::new();
    match timeout(limit, stream.read_to_end(&mut bytes)).await.expect("the connection is closed") {
        Err(error) if error.kind() != io::ErrorKind::ConnectionReset => panic!("{error}"),
        _ => bytes,
    }
}

async fn read_text(stream: &mut TcpStream) -> String {
    String::from_utf8(read_to_end(stream, SLACK).await).unwrap()
}

#[tokio::test]
async fn one_connection_serves_many_requests_each_with_its_own_credentials() {
    let server = Server::start(patient()).await;
    let mut stream = server.connect().await;
    for (credentials, expected) in [
        (RIGHT, "user u"),
        (WRONG, "\"Invalid credentials\""),
        (RIGHT, "user u"),
        ("", "\"Not authenticated\""),
        (RIGHT, "user u"),
    ] {
        let request = format!("GET /me HTTP/1.1\r\nHost: h\r\n{credentials}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        read_until(&mut stream, expected).await;
    }
    stream.write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").await.unwrap();
    read_until(&mut stream, "hello 127.0.0.1").await;
    let report = server.stop().await;
    assert_eq!(report, ServeReport { served: 1, refused: 0, dropped: 0 });
}

#[tokio::test]
async fn fifty_byte_by_byte_connections_are_closed_while_others_are_served() {
    let server = Server::start(quick_headers()).await;
    let start = Instant::now();
    let dribble = async |stream: TcpStream| {
        let (mut reading, mut writing) = stream.into_split();
        let write = async {
            for byte in b"GET / HTTP/1.1\r\nHost: h\r\nX: ".iter().chain([b'x'; 10_000].iter()) {
                if writing.write_all(&[*byte]).await.is_err() {
                    break;
                }
                sleep(Duration::from_millis(20)).await;
            }
        };
        let mut bytes = Vec::new();
        tokio::select! {
            () = write => {}
            _ = reading.read_to_end(&mut bytes) => {}
        }
        start.elapsed()
    };
    let mut streams = Vec::new();
    for _ in 0..50 {
        streams.push(server.connect().await);
    }
    let good = async {
        let mut stream = server.send("GET / HTTP/1.0\r\n\r\n").await;
        assert!(read_text(&mut stream).await.contains("hello"));
    };
    let (times, ()) = tokio::join!(join_all(streams.into_iter().map(dribble)), good);
    let slowest = times.into_iter().max().unwrap();
    assert!(slowest < Duration::from_millis(300) + SLACK, "{slowest:?}");
}

#[tokio::test]
async fn silent_connections_are_closed_at_every_stage() {
    let server = Server::start(quick_headers()).await;
    let request = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n";
    for sent in [
        &b""[..],
        b"G",
        b"GET / HTTP/1.1\r\nHost: h\r\n",
        request,
        &HTTP2_PREFACE[..10],
        HTTP2_PREFACE,
        &[HTTP2_PREFACE, HTTP2_SETTINGS].concat(),
        &[HTTP2_PREFACE, HTTP2_SETTINGS, &HTTP2_GET[..10]].concat(),
    ] {
        let mut stream = server.send(sent).await;
        let answer = read_to_end(&mut stream, Duration::from_millis(300) + SLACK).await;
        let answered = answer.starts_with(b"HTTP/1.1 200");
        assert_eq!(answered, sent == request, "{}", String::from_utf8_lossy(sent));
    }
}

#[tokio::test]
async fn an_idle_http2_connection_is_closed_after_its_answer() {
    let server = Server::start(quick_headers()).await;
    let mut stream = server.send([HTTP2_PREFACE, HTTP2_SETTINGS, HTTP2_GET].concat()).await;
    let answer = read_to_end(&mut stream, 3 * Duration::from_millis(300) + SLACK).await;
    assert!(answer.windows(15).any(|window| window == b"hello 127.0.0.1"));
    let mut frames = &answer[..];
    let mut kinds = Vec::new();
    while let [a, b, c, kind, rest @ ..] = frames {
        kinds.push(*kind);
        let length = usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c);
        frames = &rest[5 + length..];
    }
    assert!(kinds.contains(&HTTP2_GOAWAY), "{kinds:?}");
}

#[tokio::test]
async fn a_body_that_takes_too_long_ends_with_408() {
    let limits = Limits { body_timeout: Duration::from_millis(300), ..patient() };
    let server = Server::start(limits).await;
    let head = "POST /json HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n";
    let known = format!("{head}Content-Length: 1000\r\n\r\n{{");
    let chunked = format!("{head}Transfer-Encoding: chunked\r\n\r\n1\r\n{{\r\n");
    for (request, piece) in [(known, " "), (chunked, "1\r\n \r\n")] {
        let stream = server.send(request).await;
        let (mut reading, mut writing) = stream.into_split();
        // A sender that is never silent for long is not waited for either.
        let dribble = async {
            while writing.write_all(piece.as_bytes()).await.is_ok() {
                sleep(Duration::from_millis(20)).await;
            }
        };
        let mut answer = vec![0; 12];
        let read = timeout(SLACK, reading.read_exact(&mut answer));
        let read = async {
            tokio::select! { answer = read => answer, () = dribble => panic!("closed") }
        };
        read.await.expect("an answer").unwrap();
        assert_eq!(answer, b"HTTP/1.1 408");
    }
}

#[tokio::test]
async fn an_answer_to_a_body_that_is_not_read_arrives() {
    let server = Server::start(patient()).await;
    let body = vec![b'x'; 900_000];
    let head = "HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: 900000";
    for (path, expected) in [("/json", "HTTP/1.1 413"), ("/x", "HTTP/1.1 404")] {
        for _ in 0..5 {
            let mut stream = server.send(format!("POST {path} {head}\r\n\r\n")).await;
            let (first, rest) = body.split_at(300_000);
            stream.write_all(first).await.expect("the body is taken");
            stream.readable().await.unwrap();
            // A client that reads its answer only after it has sent everything: by now a connection
            // that was closed with unread data would be reset.
            sleep(Duration::from_millis(20)).await;
            stream.write_all(rest).await.expect("the rest of the body is taken");
            // To its end, without a reset: a reset that overtakes the answer destroys it.
            let mut answer = String::new();
            let read = timeout(SLACK, stream.read_to_string(&mut answer));
            read.await.expect("the connection is closed").expect("closed in order");
            assert!(answer.starts_with(expected), "{answer:?}");
        }
    }
}

#[tokio::test]
async fn the_server_s_own_limit_holds_where_a_route_has_none() {
    let server = Server::start(Limits { max_body_bytes: 10, ..patient() }).await;
    let head = "POST /large HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n";
    let chunked = "Transfer-Encoding: chunked\r\n\r\nb\r\n{         }\r\n0\r\n\r\n";
    let mut stream = server.send(format!("{head}{chunked}")).await;
    assert!(read_until(&mut stream, "}").await.starts_with("HTTP/1.1 413"));
    let mut stream = server.send(format!("{head}Content-Length: 2\r\n\r\n{{}}")).await;
    assert!(read_until(&mut stream, "taken").await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn headers_that_are_too_long_are_refused() {
    let server = Server::start(patient()).await;
    let long = "x".repeat(20_000);
    let mut stream = server.send(format!("GET / HTTP/1.1\r\nX: {long}\r\n\r\n")).await;
    let answer = read_to_end(&mut stream, SLACK).await;
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 431"), "{answer:?}");
}

#[tokio::test]
async fn one_connection_too_many_is_refused_and_a_slot_is_freed_at_once() {
    let server = Server::start(Limits { max_connections: 2, ..patient() }).await;
    let mut first = server.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
    read_until(&mut first, "hello").await;
    let mut second = server.send("GET /endless HTTP/1.1\r\nHost: h\r\n\r\n").await;
    read_until(&mut second, "200 OK").await;

    let mut third = server.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
    let answer = read_text(&mut third).await;
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("problem+json"), "{answer}");
    assert!(answer.contains("retry-after: 1") && answer.contains("connection: close"), "{answer}");

    drop(first);
    eventually("a place is free", async || {
        let mut stream = server.send("GET / HTTP/1.0\r\n\r\n").await;
        read_text(&mut stream).await.contains("hello")
    })
    .await;
}

/// Breaks if a fault in the answer to one request costs another one, a slot, or the stop.
#[tokio::test]
async fn a_panic_costs_only_its_connection() {
    let server = Server::start(Limits { max_connections: 2, ..patient() }).await;
    let mut other = server.send("GET /endless HTTP/1.1\r\nHost: h\r\n\r\n").await;
    read_until(&mut other, "200 OK").await;
    for _ in 0..5 {
        let mut broken = server.send("GET /broken HTTP/1.1\r\nHost: h\r\n\r\n").await;
        assert_eq!(read_text(&mut broken).await, "", "there is no answer");
        let mut next = server.send("GET / HTTP/1.0\r\n\r\n").await;
        assert!(read_text(&mut next).await.contains("hello"));
    }
    read_until(&mut other, ".\n").await;
    drop(other);
    server.stop().await;
}

#[tokio::test]
async fn a_peer_that_reads_nothing_loses_its_slot() {
    let write_timeout = Duration::from_millis(300);
    let limits = Limits { max_connections: 1, write_timeout, ..patient() };
    let server = Server::start(limits).await;
    let mut greedy = server.send("GET /flood HTTP/1.1\r\nHost: h\r\n\r\n").await;
    read_until(&mut greedy, "200 OK").await;
    eventually("its place is free", async || {
        let mut stream = server.send("GET / HTTP/1.0\r\n\r\n").await;
        read_text(&mut stream).await.contains("hello")
    })
    .await;
}

#[tokio::test]
async fn a_stop_ends_streams_and_idle_connections_and_lets_requests_finish() {
    let server = Server::start(patient()).await;
    let mut events = server.send("GET /events HTTP/1.1\r\nHost: h\r\n\r\n").await;
    read_until(&mut events, ".\n").await;
    let silent = server.connect().await;
    let mut idle = server.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
    read_until(&mut idle, "hello").await;
    let mut slow = server.send("GET /slow HTTP/1.1\r\nHost: h\r\n\r\n").await;
    // Its answer starts only after the stop.
    eventually("it is asked for", async || server.entered.load(SeqCst) == 1).await;

    let address = server.address;
    let start = Instant::now();
    let report = server.stop().await;
    assert!(start.elapsed() < SLACK, "{:?}", start.elapsed());
    assert_eq!(report, ServeReport { served: 4, refused: 0, dropped: 0 });
    assert!(read_text(&mut slow).await.ends_with("done"));
    assert!(read_text(&mut events).await.ends_with("0\r\n\r\n"), "the stream ends well");
    assert!(TcpStream::connect(address).await.is_err(), "nobody listens any more");
    drop(silent);
}

#[tokio::test]
async fn an_http2_peer_that_ignores_the_stop_does_not_delay_it() {
    let server = Server::start(quick_headers()).await;
    let mut http2 = server.send([HTTP2_PREFACE, HTTP2_SETTINGS, HTTP2_GET].concat()).await;
    read_until(&mut http2, "hello").await;
    let start = Instant::now();
    let report = server.stop().await;
    assert!(start.elapsed() < SLACK, "{:?}", start.elapsed());
    assert_eq!(report, ServeReport { served: 1, refused: 0, dropped: 0 });
}

#[tokio::test]
async fn connections_beyond_the_grace_period_are_dropped() {
    let limits = Limits { stop_grace: Duration::from_millis(300), ..patient() };
    let server = Server::start(limits).await;
    let mut endless = server.send("GET /endless HTTP/1.1\r\nHost: h\r\n\r\n").await;
    read_until(&mut endless, ".\n").await;
    let start = Instant::now();
    let report = server.stop().await;
    let took = start.elapsed();
    assert!(took >= Duration::from_millis(300) && took < SLACK, "{took:?}");
    assert_eq!(report, ServeReport { served: 1, refused: 0, dropped: 1 });
    read_to_end(&mut endless, SLACK).await;
}

/// Upgrades every connection, as a WebSocket does, and echoes what it gets.
#[derive(Clone)]
struct TakeOver(TaskTracker);

impl tower_service::Service<Request<RequestBody>> for TakeOver {
    type Response = Response<String>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        self.0.spawn(async move {
            let taken = hyper::upgrade::on(request).await.unwrap();
            let (mut reading, mut writing) = tokio::io::split(TokioIo::new(taken));
            tokio::io::copy(&mut reading, &mut writing).await.unwrap();
        });
        let answer = Response::builder()
            .status(StatusCode::SWITCHING_PROTOCOLS)
            .header("connection", "upgrade")
            .header("upgrade", "echo");
        ready(Ok(answer.body(String::new()).unwrap()))
    }
}

#[tokio::test]
async fn an_upgraded_connection_keeps_its_slot_and_counts_at_the_stop() {
    let stop_grace = Duration::from_millis(300);
    let limits = Limits { max_connections: 2, stop_grace, ..quick_headers() };
    let server = Server::serve(TakeOver(TaskTracker::new()), limits, CancellationToken::new());
    let server = server.await;
    let request = "GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n";
    let mut taken = server.send(request).await;
    read_until(&mut taken, "\r\n\r\n").await;
    // No header is expected any more: a later connection, which must send one, is closed first.
    let mut silent = server.connect().await;
    read_to_end(&mut silent, SLACK).await;
    drop(silent);
    taken.write_all(b"still here").await.unwrap();
    read_until(&mut taken, "still here").await;
    let mut second = None;
    eventually("its place is free", async || {
        let mut stream = server.send(request).await;
        let is_taken = read_until(&mut stream, "\r\n\r\n").await.starts_with("HTTP/1.1 101");
        second = is_taken.then_some(stream);
        is_taken
    })
    .await;
    let mut third = server.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
    assert!(read_text(&mut third).await.starts_with("HTTP/1.1 503"));
    let report = server.stop().await;
    assert_eq!((report.served, report.dropped), (3, 2), "{report:?}");
    assert!(report.refused >= 1, "{report:?}");
}

/// Waits until `condition` holds: fast in the normal case, patient otherwise.
async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let poll = async {
        while !condition().await {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(10), poll).await.unwrap_or_else(|_| panic!("in vain for: {what}"));
}
