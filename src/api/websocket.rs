//! `/scan/{id}/ws`: a job's changes as the text messages of a `WebSocket` (RFC 6455).
//!
//! What flows in: a request to upgrade, then nothing that counts: what a client sends is passed
//! over. What flows out: the messages of the job's event stream, pings while there are none, and
//! a close: 1000 after the last message, 1001 when the server stops, 1008 when the user may no more
//! or the client floods, 1002, 1007 or 1009 when it breaks the protocol or sends too much.
//!
//! What must stay true: what is not taken is not made: the next messages are asked for when the
//! last are handed to the kernel, and a long one is sent in bounded frames; nothing is read
//! while something waits to be taken, and what is read is counted (`line`); a peer that takes
//! nothing for the connection's write timeout is gone; nobody is waited for when the server stops, or
//! when all is said, for longer than [`CLOSE_PATIENCE`].

mod line;
mod opening;

use super::{
    ApiError,
    auth::User,
    connection::ConnectionContext,
    guard,
    log_limit::LineLimit,
    meter::Flood,
    operation::{Answer, Operation},
    reply::finish,
    route::{Call, Route, Scope},
    scan::JOB_ID,
    state::{Api, StreamPlace},
    template::Template,
};
use crate::live::{self, Ending, EventId, Follower, Step};
use bytes::Bytes;
use futures_util::{FutureExt, SinkExt, StreamExt};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use line::Line;
use opening::{Opening, opening};
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

/// The most bytes of a message of the client's. None is wanted, but pings have up to 125.
const MAX_INCOMING: usize = 4 * 1024;

/// The bytes that are read at once.
const READ: usize = 4 * 1024;

/// How much of what a client still sends is read after a close that it did not expect: to close a
/// socket with unread bytes sends a reset, which destroys the close before it is read.
const LINGER_BYTES: usize = 1 << 20;

/// How long a peer may take to confirm a close, or to take what was being sent at a stop.
const CLOSE_PATIENCE: Duration = Duration::from_secs(1);

const SOCKET: Template<1> = Template::new("/scan/{id}/ws", [JOB_ID]);

/// The parameters of a `WebSocket`: browsers let no page set its headers.
#[derive(Debug, Default, Deserialize, JsonSchema)]
struct Resumption {
    /// The id of the last message that the client has.
    last_event_id: Option<String>,
}

/// An open socket.
type Socket = WebSocketStream<Line<TokioIo<Upgraded>>>;

/// The routes of this file.
pub(super) fn routes() -> Vec<Route> {
    vec![Route::get(&SOCKET, Scope::Read, opens(), |call, _| {
        call.and(guard::same_site())
            .and(warp::query())
            .and(opening())
            .and(warp::ext::optional::<ConnectionContext>())
            .map(
                |call: Call<1>,
                 resumption: Resumption,
                 opening: Opening,
                 connection: Option<ConnectionContext>| {
                    let peer = connection.map(|connection| connection.peer);
                    finish(open(&call.api, &call.path[0], &call.user, &resumption, opening, peer))
                },
            )
    })]
}

fn opens() -> Operation {
    Operation::new("openScanSocket", "Follow a job over a WebSocket")
        .about(
            "The messages of the job's event stream, each as one text message: `event`, `id`, and \
             `data` as an object. Closed with 1000 after `end` (at once, where the client has \
             seen it), with 1001 when the server stops; what a client sends is ignored, and \
             ends the socket with 1008 where it is a flood. Pages of other sites are refused.",
        )
        .query::<Resumption>()
        .answers(StatusCode::SWITCHING_PROTOCOLS, Answer::empty("The WebSocket is open."))
        .refuses(StatusCode::BAD_REQUEST, "The `Sec-WebSocket-Key` is missing, or is none.")
        .refuses(StatusCode::FORBIDDEN, "The page of another site asks.")
        .refuses(StatusCode::UPGRADE_REQUIRED, "The request is not one to open a WebSocket.")
        .refuses(StatusCode::SERVICE_UNAVAILABLE, "Too many streams or connections are open.")
}

/// `GET /scan/{id}/ws`
fn open(
    api: &Api,
    id: &str,
    user: &User,
    resumption: &Resumption,
    opening: Opening,
    peer: Option<SocketAddr>,
) -> Result<Response, ApiError> {
    let job = api.job(id)?;
    let upgrade = opening?;
    let place = api.stream_place(user)?;
    let last = resumption.last_event_id.as_deref().and_then(EventId::parse);
    let (shutdown, revoked) = (api.shutdown.clone(), user.revoked());
    let stopped = shutdown.clone().cancelled_owned();
    let follower = job.follow(last, stopped.map(|()| Ending::Shutdown), place);
    let answer = upgrade.answer();
    // It keeps its connection's place, and a stop waits for the places.
    api.sockets.spawn(async move {
        match upgrade.connection.await {
            Ok(connection) => {
                let line = Line::new(TokioIo::new(connection));
                let socket = Socket::from_raw_socket(line, Role::Server, Some(limits())).await;
                serve(socket, follower, shutdown, revoked, peer).await;
            }
            Err(error) => debug!(?peer, %error, "no WebSocket came of it"),
        }
    });
    Ok(answer)
}

fn limits() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ)
        // What is written goes to the kernel at once: each frame is waited for.
        .write_buffer_size(0)
        .max_frame_size(Some(MAX_INCOMING))
        .max_message_size(Some(MAX_INCOMING))
}

/// Why a socket ends.
#[derive(Debug)]
enum Farewell {
    /// There is nothing more to say, or to this client.
    Close(CloseCode, &'static str),
    /// The same, and the client has broken a rule: it does not expect this.
    Refuse(CloseCode, &'static str),
    /// The client has closed, or is gone.
    Gone,
}

impl Farewell {
    const REVOKED: Self = Self::Close(CloseCode::Policy, "the credentials do not hold any more");
}

/// The whole life of a socket.
async fn serve(
    mut socket: Socket,
    mut follower: Follower<StreamPlace>,
    shutdown: CancellationToken,
    revoked: impl Future<Output = ()>,
    peer: Option<SocketAddr>,
) {
    let farewell = tokio::select! {
        farewell = talk(&mut socket, &mut follower, &shutdown) => farewell,
        () = revoked => Farewell::REVOKED,
    };
    // Whether a close is confirmed makes no difference any more.
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
                warn!(?peer, reason, suppressed, "WebSocket closed: its client broke a rule");
            }
            let _ = timeout(CLOSE_PATIENCE, refuse(socket, code, reason)).await;
        }
        Farewell::Gone => {
            // Confirms the peer's own close, if there was one.
            let _ = timeout(CLOSE_PATIENCE, SinkExt::<Message>::close(&mut socket)).await;
        }
    }
}

fn close(code: CloseCode, reason: &'static str) -> Message {
    Message::Close(Some(CloseFrame { code, reason: Utf8Bytes::from_static(reason) }))
}

/// Says why, and lets the client read it.
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

/// Sends what there is to be sent; why nothing more is.
async fn talk(
    socket: &mut Socket,
    follower: &mut Follower<StreamPlace>,
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
            Ok(Some(Ending::Over)) => return Farewell::Close(CloseCode::Normal, "that was all"),
            Ok(Some(Ending::Shutdown)) => {
                return Farewell::Close(CloseCode::Away, "the server stops");
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
        // A reader that was cut off must not take what it has for the whole.
        let (piece, is_last) = piece.map_err(|_| tungstenite::Error::ConnectionClosed)?;
        // `feed` waits until the frame before it has been taken over.
        socket.feed(Message::Frame(Frame::message(piece, OpCode::Data(kind), is_last))).await?;
        kind = Data::Continue;
    }
    socket.flush().await
}

/// What to answer to something that cannot be read.
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
        // The peer is gone without a word: there is nobody to answer.
        tungstenite::Error::Protocol(
            tungstenite::error::ProtocolError::ResetWithoutClosingHandshake,
        ) => Farewell::Gone,
        tungstenite::Error::Protocol(_) => {
            Farewell::Refuse(CloseCode::Protocol, "the protocol was broken")
        }
        _ => Farewell::Gone,
    }
}
