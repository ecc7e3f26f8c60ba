//! `/scan/{id}/ws`: the changes of a job as text messages of a `WebSocket` (RFC 6455).
//!
//! Input: a request to upgrade; later messages of the client are ignored. Output: the messages of
//! the job's event stream, pings while there are none, and a close: 1000 after the last message,
//! 1001 when the server stops, 1008 when the user is revoked or the client floods, 1002, 1007 or
//! 1009 when the client violates the protocol or sends too large a message.
//!
//! Invariants: the next messages are generated only when the last ones are handed to the kernel,
//! and a long one is sent in bounded frames; nothing is read while a write is pending, and
//! incoming frames are counted (`counted_stream`); a client that does not read for the
//! connection's write timeout is disconnected; no close waits for the client longer than
//! [`CLOSE_PATIENCE`].

mod counted_stream;
mod handshake;

use super::scan::JOB_ID;
use crate::api::{
    answers::{error::ApiError, reply::finish},
    auth::{ConnectionContext, User},
    connections::h2_flood_guard::Flood,
    log_limit::LineLimit,
    requests::browser_guard,
    routing::{
        operation::{Answer, Operation},
        route::{Access, Call, Route},
        template::Template,
    },
    state::{Api, StreamSlot},
};
use crate::live::{self, Ending, EventId, Follower, Step};
use bytes::Bytes;
use counted_stream::CountedStream;
use futures_util::{FutureExt, SinkExt, StreamExt};
use handshake::{Handshake, handshake};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use schemars::JsonSchema;
use serde::Deserialize;
use std::{net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{sleep, timeout},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        self, Message,
        protocol::{
            CloseFrame, Role, WebSocketConfig,
            frame::{
                Frame, Utf8Bytes,
                coding::{CloseCode, Data, OpCode},
            },
        },
    },
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};
use warp::{Filter, http::StatusCode, reply::Response};

/// The maximum size of a message of the client. Messages are ignored, but pings have up to 125
/// bytes.
const MAX_INCOMING: usize = 4 * 1024;

/// The size of the read buffer.
const READ: usize = 4 * 1024;

/// How many bytes are read after a close that the client did not expect: closing a socket with
/// unread bytes sends a reset, which destroys the close frame before the client reads it.
const LINGER_BYTES: usize = 1 << 20;

/// How long a client may take to confirm a close, or to read what was being sent at a stop.
const CLOSE_PATIENCE: Duration = Duration::from_secs(1);

const SOCKET: Template<1> = Template::new("/scan/{id}/ws", [JOB_ID]);

/// The parameters of a `WebSocket`: in browsers a page cannot set its headers.
#[derive(Debug, Default, Deserialize, JsonSchema)]
struct Resumption {
    /// The id of the last message that the client received.
    last_event_id: Option<String>,
}

/// An open socket.
type Socket = WebSocketStream<CountedStream<TokioIo<Upgraded>>>;

/// The routes of this file.
pub(crate) fn routes() -> Vec<Route> {
    vec![Route::get(&SOCKET, Access::Read, opens(), |call, _| {
        call.and(browser_guard::same_site())
            .and(warp::query())
            .and(handshake())
            .and(warp::ext::optional::<ConnectionContext>())
            .map(
                |call: Call<1>,
                 resumption: Resumption,
                 handshake: Handshake,
                 connection: Option<ConnectionContext>| {
                    let peer = connection.map(|connection| connection.peer);
                    finish(open(&call.api, &call.path[0], &call.user, &resumption, handshake, peer))
                },
            )
    })]
}

fn opens() -> Operation {
    Operation::new("openScanSocket", "Follow a job over a WebSocket")
        .about(
            "The messages of the job's event stream, each as one text message: `event`, `id`, and \
             `data` as an object. The server closes with 1000 after `end` (at once if the client \
             has received it), and with 1001 when the server stops. Messages of the client are \
             ignored; too many are closed with 1008. Pages of other sites are refused.",
        )
        .query::<Resumption>()
        .answers(StatusCode::SWITCHING_PROTOCOLS, Answer::empty("The WebSocket is open."))
        .refuses(StatusCode::BAD_REQUEST, "The `Sec-WebSocket-Key` is missing or invalid.")
        .refuses(StatusCode::FORBIDDEN, "A page of another site sent the request.")
        .refuses(StatusCode::UPGRADE_REQUIRED, "The request does not open a WebSocket.")
        .refuses(StatusCode::SERVICE_UNAVAILABLE, "Too many streams or connections are open.")
}

/// `GET /scan/{id}/ws`
fn open(
    api: &Api,
    id: &str,
    user: &User,
    resumption: &Resumption,
    handshake: Handshake,
    peer: Option<SocketAddr>,
) -> Result<Response, ApiError> {
    let job = api.job(id)?;
    let upgrade = handshake?;
    let slot = api.stream_slot(user)?;
    let last = resumption.last_event_id.as_deref().and_then(EventId::parse);
    let (shutdown, revoked) = (api.shutdown.clone(), user.revoked());
    let stopped = shutdown.clone().cancelled_owned();
    let follower = job.follow(last, stopped.map(|()| Ending::Shutdown), slot);
    let answer = upgrade.answer();
    // The task keeps the permit of its connection, and a stop waits for all permits.
    api.sockets.spawn(async move {
        match upgrade.connection.await {
            Ok(connection) => {
                let line = CountedStream::new(TokioIo::new(connection));
                let socket = Socket::from_raw_socket(line, Role::Server, Some(limits())).await;
                serve(socket, follower, shutdown, revoked, peer).await;
            }
            Err(error) => debug!(?peer, %error, "upgrade to WebSocket failed"),
        }
    });
    Ok(answer)
}

fn limits() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ)
        // Each frame is written to the kernel at once.
        .write_buffer_size(0)
        .max_frame_size(Some(MAX_INCOMING))
        .max_message_size(Some(MAX_INCOMING))
}

/// Why a socket ends.
#[derive(Debug)]
enum Farewell {
    /// The stream has ended, or the client may not read more.
    Close(CloseCode, &'static str),
    /// The client violated a rule and does not expect the close.
    Refuse(CloseCode, &'static str),
    /// The client has closed or disconnected.
    Gone,
}

impl Farewell {
    const REVOKED: Self = Self::Close(CloseCode::Policy, "the credentials are no longer valid");
}

/// The whole life of a socket.
async fn serve(
    mut socket: Socket,
    mut follower: Follower<StreamSlot>,
    shutdown: CancellationToken,
    revoked: impl Future<Output = ()>,
    peer: Option<SocketAddr>,
) {
    let farewell = tokio::select! {
        farewell = talk(&mut socket, &mut follower, &shutdown) => farewell,
        () = revoked => Farewell::REVOKED,
    };
    // It does not matter whether the client confirms the close.
    match farewell {
        Farewell::Close(code, reason) => {
            let farewell = async {
                if socket.send(close(code, reason)).await.is_ok() {
                    while let Some(Ok(_)) = socket.next().await {}
                }
            };
            let _ = timeout(CLOSE_PATIENCE, farewell).await;
        }
        Farewell::Refuse(code, reason) => {
            static LINES: LineLimit = LineLimit::new(20);
            if let Some(suppressed) = LINES.pass() {
                warn!(
                    ?peer,
                    reason, suppressed, "WebSocket closed: protocol violation by the client"
                );
            }
            let _ = timeout(CLOSE_PATIENCE, refuse(socket, code, reason)).await;
        }
        Farewell::Gone => {
            // Confirms the close of the client, if there was one.
            let _ = timeout(CLOSE_PATIENCE, SinkExt::<Message>::close(&mut socket)).await;
        }
    }
}

fn close(code: CloseCode, reason: &'static str) -> Message {
    Message::Close(Some(CloseFrame { code, reason: Utf8Bytes::from_static(reason) }))
}

/// Sends a close with the reason, and lets the client read it.
async fn refuse(mut socket: Socket, code: CloseCode, reason: &'static str) {
    if socket.send(close(code, reason)).await.is_err() {
        return;
    }
    let mut connection = socket.into_inner().into_inner();
    if connection.shutdown().await.is_err() {
        return;
    }
    let (mut space, mut left) = ([0; READ], LINGER_BYTES);
    while left > 0 {
        match connection.read(&mut space).await {
            Ok(0) | Err(_) => return,
            Ok(read) => left = left.saturating_sub(read),
        }
    }
}

/// Sends messages until the end; returns the reason of the end.
async fn talk(
    socket: &mut Socket,
    follower: &mut Follower<StreamSlot>,
    shutdown: &CancellationToken,
) -> Farewell {
    loop {
        let step = tokio::select! {
            step = follower.next() => step,
            incoming = socket.next() => match incoming {
                Some(Ok(message)) if !message.is_close() => continue,
                Some(Err(error)) => return broken(&error),
                Some(Ok(_)) | None => return Farewell::Gone,
            },
        };
        let stopped = async {
            shutdown.cancelled().await;
            sleep(CLOSE_PATIENCE).await;
        };
        let sending = async {
            match step {
                Step::Send(messages) => {
                    for message in messages {
                        send_text(socket, message).await?;
                    }
                    Ok(None)
                }
                Step::KeepOpen => {
                    socket.send(Message::Ping(Bytes::new())).await?;
                    Ok(None)
                }
                Step::End(ending) => Ok(Some(ending)),
            }
        };
        let sent: Result<_, tungstenite::Error> = tokio::select! {
            sent = sending => sent,
            () = stopped => return Farewell::Gone,
        };
        match sent {
            Ok(None) => {}
            Ok(Some(Ending::Over)) => {
                return Farewell::Close(CloseCode::Normal, "the stream is complete");
            }
            Ok(Some(Ending::Shutdown)) => {
                return Farewell::Close(CloseCode::Away, "the server is stopping");
            }
            Ok(Some(Ending::Revoked)) => return Farewell::REVOKED,
            Err(_) => return Farewell::Gone,
        }
    }
}

/// Sends a message in frames of bounded size, and waits until the last is on its way.
async fn send_text(socket: &mut Socket, message: live::Message) -> Result<(), tungstenite::Error> {
    let mut pieces = message.into_text();
    let mut kind = Data::Text;
    while let Some(piece) = pieces.next_piece() {
        // An incomplete message must not look complete to the client.
        let (piece, is_last) = piece.map_err(|_| tungstenite::Error::ConnectionClosed)?;
        // `feed` waits until the previous frame has been written.
        socket.feed(Message::Frame(Frame::message(piece, OpCode::Data(kind), is_last))).await?;
        kind = Data::Continue;
    }
    socket.flush().await
}

/// The answer to an error while reading.
fn broken(error: &tungstenite::Error) -> Farewell {
    match error {
        tungstenite::Error::Io(error)
            if error.get_ref().is_some_and(|cause| cause.downcast_ref::<Flood>().is_some()) =>
        {
            Farewell::Refuse(CloseCode::Policy, "too many frames")
        }
        tungstenite::Error::Capacity(_) => {
            Farewell::Refuse(CloseCode::Size, "a message is too large")
        }
        tungstenite::Error::Utf8(_) => {
            Farewell::Refuse(CloseCode::Invalid, "a text is not valid UTF-8")
        }
        // The client disconnected without a close: there is nobody to answer.
        tungstenite::Error::Protocol(
            tungstenite::error::ProtocolError::ResetWithoutClosingHandshake,
        ) => Farewell::Gone,
        tungstenite::Error::Protocol(_) => {
            Farewell::Refuse(CloseCode::Protocol, "protocol violation")
        }
        _ => Farewell::Gone,
    }
}
