//! `/scan/{id}/ws`: a job's changes as the text messages of a `WebSocket` (RFC 6455).
//!
//! What flows in: a request to upgrade, then nothing that counts: what a client sends is passed
//! over. What flows out: the messages of the job's event stream, pings while there are none, and
//! a close: 1000 after the last message, 1001 when the server stops, 1008 when the user may no more.
//!
//! What must stay true: what is not taken is not made: the next messages are asked for when the
//! last are handed to the kernel; a peer that takes nothing for the connection's write timeout is
//! gone; nobody is waited for when the server stops, or when all is said, for longer than
//! [`CLOSE_PATIENCE`].

use super::{
    ApiError,
    auth::User,
    guard,
    operation::{Answer, Operation},
    reply::finish,
    route::{Call, Route, Scope},
    scan::JOB_ID,
    state::{Api, StreamPlace},
    template::Template,
};
use crate::live::{Ending, EventId, Follower, Step};
use futures_util::{SinkExt, StreamExt};
use schemars::JsonSchema;
use serde::Deserialize;
use std::{convert::Infallible, time::Duration};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use warp::{
    Filter, Reply,
    http::StatusCode,
    reply::Response,
    ws::{Message, WebSocket, Ws},
};

/// The most bytes of a message of the client's. None is wanted, but pings have up to 125.
const MAX_INCOMING: usize = 4 * 1024;

/// How long a peer may take to confirm a close, or to take what was being sent at a stop.
const CLOSE_PATIENCE: Duration = Duration::from_secs(1);

const SOCKET: Template<1> = Template::new("/scan/{id}/ws", [JOB_ID]);

/// The parameters of a `WebSocket`: browsers let no page set its headers.
#[derive(Debug, Default, Deserialize, JsonSchema)]
struct Resumption {
    /// The id of the last message that the client has.
    last_event_id: Option<String>,
}

/// The routes of this file.
pub(super) fn routes() -> Vec<Route> {
    vec![Route::get(&SOCKET, Scope::Read, opens(), |call, _| {
        call.and(guard::same_site()).and(warp::query()).and(upgrade()).map(
            |call: Call<1>, resumption: Resumption, upgrade: Option<Ws>| {
                finish(open(&call.api, &call.path[0], &call.user, &resumption, upgrade))
            },
        )
    })]
}

fn opens() -> Operation {
    Operation::new("openScanSocket", "Follow a job over a WebSocket")
        .about(
            "The messages of the job's event stream, each as one text message: `event`, `id`, and \
             `data` as an object. Closed with 1000 after `end` (at once, where the client has \
             seen it), with 1001 when the server stops; what a client sends is passed over. \
             Pages of other sites are refused.",
        )
        .query::<Resumption>()
        .answers(StatusCode::SWITCHING_PROTOCOLS, Answer::empty("The WebSocket is open."))
        .refuses(StatusCode::FORBIDDEN, "The page of another site asks.")
        .refuses(StatusCode::UPGRADE_REQUIRED, "The request is not one to open a WebSocket.")
        .refuses(StatusCode::SERVICE_UNAVAILABLE, "Too many streams or connections are open.")
}

/// The wish to upgrade, if the request is one by RFC 6455, section 4.2.1.
fn upgrade() -> impl Filter<Extract = (Option<Ws>,), Error = Infallible> + Copy {
    warp::ws().map(Some).or(warp::any().map(|| None)).unify()
}

/// `GET /scan/{id}/ws`
fn open(
    api: &Api,
    id: &str,
    user: &User,
    resumption: &Resumption,
    upgrade: Option<Ws>,
) -> Result<Response, ApiError> {
    let job = api.job(id)?;
    let upgrade = upgrade.ok_or(ApiError::UpgradeRequired)?;
    let place = api.stream_place(user)?;
    let last = resumption.last_event_id.as_deref().and_then(EventId::parse);
    let follower = job.follow(last, api.shutdown.clone(), place);
    let (shutdown, revoked) = (api.shutdown.clone(), user.revoked());
    let upgrade = upgrade.max_frame_size(MAX_INCOMING).max_message_size(MAX_INCOMING);
    let served = |socket| serve(socket, follower, shutdown, revoked);
    Ok(upgrade.on_upgrade(served).into_response())
}

/// The whole life of a socket. Its errors are all one: the peer is gone.
async fn serve(
    mut socket: WebSocket,
    mut follower: Follower<StreamPlace>,
    shutdown: CancellationToken,
    revoked: impl Future<Output = ()>,
) {
    let ending = tokio::select! {
        ending = talk(&mut socket, &mut follower, &shutdown) => Ok(ending),
        () = revoked => Err(()),
    };
    let close = match ending {
        Ok(Some(Ending::Over)) => Message::close_with(1000_u16, "that was all"),
        Ok(Some(Ending::Shutdown)) => Message::close_with(1001_u16, "the server stops"),
        Err(()) => Message::close_with(1008_u16, "the credentials do not hold any more"),
        Ok(None) => {
            // Confirms the peer's own close, if there was one.
            let _ = timeout(CLOSE_PATIENCE, socket.close()).await;
            return;
        }
    };
    let farewell = async {
        if socket.send(close).await.is_ok() {
            while let Some(Ok(_)) = socket.next().await {}
        }
    };
    // Whether it is confirmed makes no difference any more.
    let _ = timeout(CLOSE_PATIENCE, farewell).await;
}

/// Sends what there is to be sent; why nothing more is, or `None` if the peer has closed or is
/// gone.
async fn talk(
    socket: &mut WebSocket,
    follower: &mut Follower<StreamPlace>,
    shutdown: &CancellationToken,
) -> Option<Ending> {
    loop {
        let step = tokio::select! {
            step = follower.next() => step,
            incoming = socket.next() => match incoming {
                Some(Ok(message)) if !message.is_close() => continue,
                Some(_) | None => return None,
            },
        };
        let messages = match step {
            Step::Send(messages) => messages.iter().map(|it| Message::text(it.to_text())).collect(),
            Step::KeepOpen => vec![Message::ping(Vec::new())],
            Step::End(ending) => return Some(ending),
        };
        let stopped = async {
            shutdown.cancelled().await;
            sleep(CLOSE_PATIENCE).await;
        };
        tokio::select! {
            sent = send(socket, messages) => sent.ok()?,
            () = stopped => return None,
        }
    }
}

/// Sends all of these, and waits until the last is on its way.
async fn send(socket: &mut WebSocket, messages: Vec<Message>) -> Result<(), warp::Error> {
    for message in messages {
        socket.feed(message).await?;
    }
    socket.flush().await
}
