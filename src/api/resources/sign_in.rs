//! Signing in with a browser: `/sign-in`, `/sign-out`, and who is signed in: `/session`.
//!
//! Input: a name and a password, or a token. Output: a cookie that stands for them.
//!
//! Invariants: credentials are checked and throttled as in every other request; only a page of this server can
//! sign in, out, or write with the cookie; no script can read the cookie, and it goes to no other site.

use crate::api::{
    answers::{
        error::ApiError,
        reply::{self, finish},
    },
    auth::{ConnectionContext, Presented},
    requests::{
        body::json_body,
        browser_guard::same_site,
        header::header,
        members::{Body as _, body},
        validation::Validation,
    },
    routing::{
        operation::{Answer, Operation},
        route::{Access, Call, Route},
        template::Template,
    },
    state::Api,
};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;
use warp::{
    Filter,
    host::Authority,
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{LOCATION, SET_COOKIE},
    },
    reply::Response,
};

const SIGN_IN: Template<0> = Template::new("/sign-in", []);
const SIGN_OUT: Template<0> = Template::new("/sign-out", []);
const SESSION: Template<0> = Template::new("/session", []);

/// The most bytes of a body with credentials.
const MOST: u64 = 16 << 10;

body! {
    /// Who signs in: a name and a password, or a token.
    #[derive(Debug, JsonSchema)]
    #[schemars(rename = "Credentials", extend("additionalProperties" = true))]
    struct Credentials {
        /// The name of a user.
        "name" => name: Option<String>,
        /// The password of the user.
        "password" => password: Option<String>,
        /// A token, without a name and a password.
        "token" => token: Option<String>,
    }
}

/// Who sends requests, and what they may do.
#[derive(Debug, Serialize, JsonSchema)]
struct Session {
    /// The name of the user or the token; null on a server without credentials.
    user: Option<String>,
    /// What the user may do.
    #[schemars(extend("enum" = ["read", "write", "admin"]))]
    scope: &'static str,
    /// Whether the server requires no credentials.
    open: bool,
    /// Whether the request was sent with the cookie of a session.
    cookie: bool,
}

/// The routes of this file.
pub(crate) fn routes() -> Vec<Route> {
    let leads = Operation::new("getSignIn", "The page for signing in")
        .about("Where a browser is led that opens an address without credentials.")
        .answers(
            StatusCode::SEE_OTHER,
            Answer::empty("To the page.").header("Location", "The page."),
        );
    let begins = Operation::new("signIn", "Sign in with a browser")
        .about("The cookie lasts twelve hours. Writes with it need an `Origin` header that names this server.")
        .body::<Credentials>(json!({ "name": "operator", "password": "…" }))
        .answers(
            StatusCode::NO_CONTENT,
            Answer::empty("Signed in.").header("Set-Cookie", "The session."),
        )
        .refuses(StatusCode::BAD_REQUEST, "There are no credentials, or the server needs none.")
        .refuses(StatusCode::UNAUTHORIZED, "The credentials are wrong.")
        .refuses(StatusCode::FORBIDDEN, "No page of this server sent the request.")
        .refuses(StatusCode::TOO_MANY_REQUESTS, "Too many failed logins.");
    let ends = Operation::new("signOut", "End the session")
        .answers(
            StatusCode::NO_CONTENT,
            Answer::empty("Signed out.").header("Set-Cookie", "Removes the cookie."),
        )
        .refuses(StatusCode::FORBIDDEN, "A page of another site sent the request.");
    let shows = Operation::new("getSession", "Who sends this request")
        .answers(StatusCode::OK, Answer::json::<Session>("The user and the scope."));
    vec![
        Route::get(&SIGN_IN, Access::Public, leads, |call, _| {
            call.map(|call: Call<0>| {
                let root = call.api.config.get().server.public_url.clone();
                let page = if root.is_empty() { "./".to_owned() } else { format!("{root}/") };
                let page = format!("{page}#/sign-in");
                reply::with_header(reply::empty(StatusCode::SEE_OTHER), LOCATION, &page)
            })
        }),
        Route::post(&SIGN_IN, Access::Public, begins, |call, _| {
            call.and(same_site())
                .and(header("origin"))
                .and(warp::host::optional())
                .and(warp::ext::optional())
                .and(json_body(MOST))
                .then(async |call: Call<0>, origin, host, connection, body| {
                    finish(sign_in(&call.api, origin, host, connection, body).await)
                })
        }),
        Route::post(&SIGN_OUT, Access::Public, ends, |call, _| {
            call.and(same_site())
                .and(warp::host::optional())
                .and(warp::header::headers_cloned())
                .map(|call: Call<0>, host: Option<Authority>, headers: HeaderMap| {
                    sign_out(&call.api, host.as_ref(), &headers)
                })
        }),
        Route::get(&SESSION, Access::Read, shows, |call, _| {
            call.and(header("authorization")).map(|call: Call<0>, authorization: Option<_>| {
                let open = call.api.auth.is_open();
                reply::json(&Session {
                    user: call.user.name().map(str::to_owned),
                    scope: call.user.scope().as_str(),
                    open,
                    cookie: !open && authorization.is_none(),
                })
            })
        }),
    ]
}

/// `POST /sign-in`
async fn sign_in(
    api: &Api,
    origin: Option<HeaderValue>,
    host: Option<Authority>,
    connection: Option<ConnectionContext>,
    body: Validation,
) -> Result<Response, ApiError> {
    if origin.is_none() {
        return Err(ApiError::CrossSite("it has no Origin, which a browser sends".into()));
    }
    if api.auth.is_open() {
        return Err(ApiError::bad_request("This server needs no credentials"));
    }
    let Credentials { name, password, token } = Credentials::read(body)?;
    let presented = match (name, password, token) {
        (_, _, Some(token)) if !token.is_empty() => Presented::token(&token),
        (Some(name), Some(password), _) => Presented::password(&name, &password),
        _ => return Err(ApiError::bad_request("A name and a password, or a token, are needed")),
    };
    let id = api.auth.sign_in(presented, connection.as_ref()).await?;
    let server = &api.config.get().server;
    let is_secure =
        api.tls.is_some() || server.behind_proxy || server.public_url.starts_with("https:");
    Ok(with_cookie(host.as_ref(), &id, is_secure, ""))
}

/// `POST /sign-out`
fn sign_out(api: &Api, host: Option<&Authority>, headers: &HeaderMap) -> Response {
    api.auth.sign_out(headers, host.and_then(Authority::port_u16));
    with_cookie(host, "", false, "; Max-Age=0")
}

/// A 204 that sets the cookie of the session.
fn with_cookie(host: Option<&Authority>, id: &str, is_secure: bool, more: &str) -> Response {
    let name = crate::api::auth::cookie_name(host.and_then(Authority::port_u16));
    let secure = if is_secure { "; Secure" } else { "" };
    let cookie = format!("{name}={id}; Path=/; HttpOnly; SameSite=Strict{secure}{more}");
    reply::with_header(reply::empty(StatusCode::NO_CONTENT), SET_COOKIE, &cookie)
}
