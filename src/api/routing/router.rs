//! Routes each request to its handler.
//!
//! ```text
//! request ─► malformed? ─► path ─► method ─► host ─► credentials ─► origin ─► the route's filter
//! ```
//!
//! Input: requests, and the table of routes. Output: answers, including errors, each counted and
//! with the security headers for browsers.
//!
//! Invariants: a request is looked up once and reaches at most one route, so that a rejection of a
//! route never leads to another one; requests are refused in the order above, and only the route
//! that may answer reads the query and the body. No filter sees a malformed request, because warp
//! panics on a target without a path.

use super::{
    route::{Access, Admitted, Endpoint},
    template::Paths,
};
use crate::api::{
    answers::{
        content_coding::Coding, error::ApiError, if_none_match::IfNoneMatch, reply,
        security_headers::secured,
    },
    auth::{Auth, ConnectionContext, User},
    connections::request_metrics::{RequestMetrics, UNMATCHED},
    requests::{
        browser_guard::{self, BrowserRequest},
        forwarded, malformed,
        recover::recover,
    },
};
use crate::config::CurrentConfig;
use futures_util::FutureExt;
use hyper::{Request, body::Body};
use std::{
    collections::BTreeSet,
    convert::Infallible,
    error::Error,
    future::ready,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};
use tower_service::Service;
use warp::{
    Filter,
    http::{
        Method, StatusCode,
        header::{AUTHORIZATION, COOKIE, LOCATION, WWW_AUTHENTICATE},
    },
    reply::Response,
};

/// All routes as one service. Clones share the routes.
#[derive(Debug, Clone)]
pub struct Router<S>(Arc<Table<S>>);

#[derive(Debug)]
struct Table<S> {
    paths: Paths,
    /// The routes of each template, at the index that `paths` returns.
    path_routes: Vec<PathRoutes<S>>,
    auth: Arc<Auth>,
    request_metrics: Arc<RequestMetrics>,
    /// The settings, which name the trusted proxies.
    config: Option<CurrentConfig>,
    /// The index in the metrics of requests whose path has no route.
    unmatched: usize,
}

/// The routes of one path.
#[derive(Debug)]
struct PathRoutes<S> {
    /// Their methods, as the value of the `Allow` header.
    allow: Arc<str>,
    routes: Vec<Served<S>>,
    /// The index of these requests in the metrics.
    counted: usize,
}

#[derive(Debug)]
struct Served<S> {
    methods: Vec<Method>,
    access: Access,
    service: S,
}

/// A service that answers every request.
pub trait Answers<B>:
    Service<Request<B>, Response = Response, Error = Infallible, Future: Send + 'static>
    + Clone
    + Send
    + Sync
    + 'static
{
}

impl<B, S> Answers<B> for S where
    S: Service<Request<B>, Response = Response, Error = Infallible, Future: Send + 'static>
        + Clone
        + Send
        + Sync
        + 'static
{
}

/// Builds the router of these routes.
pub(crate) fn router<B>(
    endpoints: Vec<Endpoint>,
    auth: Arc<Auth>,
    request_metrics: Arc<RequestMetrics>,
    config: Option<CurrentConfig>,
) -> Router<impl Answers<B> + use<B>>
where
    B: Body<Error: Into<Box<dyn Error + Send + Sync>>> + Send + Sync + 'static,
{
    let (mut templates, mut path_routes) = (Vec::new(), Vec::<PathRoutes<_>>::new());
    for Endpoint { path, methods, access, filter } in endpoints {
        let known = templates.iter().position(|known| *known == path);
        let at = known.unwrap_or(templates.len());
        if known.is_none() {
            templates.push(path);
            let counted = request_metrics.index_of(path);
            path_routes.push(PathRoutes { allow: "".into(), routes: Vec::new(), counted });
        }
        let service = warp::service(filter.recover(recover));
        path_routes[at].routes.push(Served { methods, access, service });
        path_routes[at].allow = allow(&path_routes[at].routes);
    }
    let (paths, unmatched) = (Paths::new(templates), request_metrics.index_of(UNMATCHED));
    Router(Arc::new(Table { paths, path_routes, auth, request_metrics, config, unmatched }))
}

/// The `Allow` header of these routes.
fn allow<S>(routes: &[Served<S>]) -> Arc<str> {
    let methods: BTreeSet<&str> =
        routes.iter().flat_map(|route| &route.methods).map(Method::as_str).collect();
    methods.into_iter().collect::<Vec<_>>().join(", ").into()
}

impl<S, B> Service<Request<B>> for Router<S>
where
    S: Answers<B>,
    B: Send + Sync + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    /// Only credentials that the connection has not verified need an asynchronous check. The future
    /// of all other requests does not contain the request and stays small.
    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        self.0.note_client(&mut request);
        let (table, began) = (Arc::clone(&self.0), Instant::now());
        let (counted, found) = self.0.find(&request);
        let browser = BrowserRequest::of(&request);
        let count = Count { table, counted, method: request.method().clone(), began, browser };
        let answer = match found.map(|route| (route, self.0.known_user(route.access, &request))) {
            Ok((route, Some(user))) => user.and_then(|user| route.begin(user, request)),
            Ok((_, None)) => return Box::pin(authenticated(request, count)),
            Err(error) => Err(error),
        };
        match answer {
            Ok(answer) => {
                Box::pin(answer.map(move |result| result.map(|response| count.finish(response))))
            }
            Err(error) => Box::pin(ready(Ok(count.finish(count.refusal(&error))))),
        }
    }
}

/// Answers a request whose credentials have to be checked.
async fn authenticated<B: Sync, S: Answers<B>>(
    request: Request<B>,
    count: Count<S>,
) -> Result<Response, Infallible> {
    let table = Arc::clone(&count.table);
    let answer = match table.find(&request).1 {
        Ok(route) => {
            let user = table.authenticated_user(route.access, &request).await;
            user.and_then(|user| route.begin(user, request))
        }
        Err(error) => Err(error),
    };
    let response = match answer {
        Ok(answer) => answer.await?,
        Err(error) => count.refusal(&error),
    };
    Ok(count.finish(response))
}

impl<S> Table<S> {
    /// Replaces the address of the connection by that of the client, for a request of a trusted
    /// proxy.
    fn note_client<B>(&self, request: &mut Request<B>) {
        let names_client =
            forwarded::HEADERS.iter().any(|name| request.headers().contains_key(name));
        let Some(config) = self.config.as_ref().filter(|_| names_client) else { return };
        let Some(connection) = connection_of(request) else { return };
        let config = config.get();
        let peer = connection.peer;
        let trusted = &config.server.trusted_proxies;
        let client = forwarded::client(peer.ip(), request.headers(), trusted);
        if client != peer.ip() {
            let verified = Arc::clone(&connection.verified);
            let peer = SocketAddr::new(client, peer.port());
            request.extensions_mut().insert(ConnectionContext { peer, verified });
        }
    }

    /// The index of a request in the metrics, and its route. The error is the first violation of
    /// the order malformed, path, method, host.
    fn find<B>(&self, request: &Request<B>) -> (usize, Result<&Served<S>, ApiError>) {
        if let Err(rule) = malformed::check(request) {
            return (self.unmatched, Err(rule.into()));
        }
        let place =
            self.paths.find(request.uri().path()).and_then(|index| self.path_routes.get(index));
        let Some(PathRoutes { allow, routes, counted }) = place else {
            return (self.unmatched, Err(ApiError::RouteNotFound));
        };
        let wrong_method = || ApiError::MethodNotAllowed { allow: Some(Arc::clone(allow)) };
        let route = routes.iter().find(|route| route.methods.contains(request.method()));
        let route = route.ok_or_else(wrong_method).and_then(|route| {
            let is_open = route.access == Access::Public;
            if is_open {
                Ok(route)
            } else {
                browser_guard::check_host(&self.auth, request).map(|()| route)
            }
        });
        (*counted, route)
    }

    /// The user of a request, if that needs no check of credentials.
    fn known_user<B>(
        &self,
        access: Access,
        request: &Request<B>,
    ) -> Option<Result<User, ApiError>> {
        let Some(needed) = access.needed() else { return Some(Ok(User::anybody())) };
        let port = || browser_guard::host_of(request).and_then(|host| host.port_u16());
        if request.headers().contains_key(COOKIE)
            && let Some(user) = self.auth.signed_in(request, port(), needed)
        {
            return Some(user);
        }
        self.auth.known(request.headers().get(AUTHORIZATION), connection_of(request), needed)
    }

    /// The user of a request, after a check of the credentials.
    async fn authenticated_user<B: Sync>(
        &self,
        access: Access,
        request: &Request<B>,
    ) -> Result<User, ApiError> {
        let Some(needed) = access.needed() else { return Ok(User::anybody()) };
        let authorization = request.headers().get(AUTHORIZATION);
        self.auth.grant(authorization, connection_of(request), needed).await
    }
}

impl<S> Served<S> {
    /// Starts to answer a request of this user, unless a page of another site sent the request.
    fn begin<B>(&self, user: User, mut request: Request<B>) -> Result<S::Future, ApiError>
    where
        S: Answers<B>,
    {
        if self.access != Access::Public {
            browser_guard::check_write(&request)?;
        }
        let peer = connection_of(&request).map(|connection| connection.peer.ip());
        let headers = request.headers();
        let (if_none_match, coding) = (IfNoneMatch::of(headers), Coding::preferred(headers));
        request.extensions_mut().insert(Admitted { user, peer, if_none_match, coding });
        Ok(self.service.clone().call(request))
    }
}

/// The measurement of a request, which is recorded when its answer starts.
struct Count<S> {
    table: Arc<Table<S>>,
    counted: usize,
    method: Method,
    began: Instant,
    browser: BrowserRequest,
}

impl<S> Count<S> {
    /// The answer to a refused request. A browser that opens an address without credentials is led to the page, where
    /// somebody can sign in.
    fn refusal(&self, error: &ApiError) -> Response {
        let is_login = matches!(error, ApiError::NotAuthenticated | ApiError::InvalidCredentials);
        let is_read = self.method == Method::GET;
        let config = self.table.config.as_ref();
        match self.browser {
            BrowserRequest::Navigation { depth }
                if is_login
                    && is_read
                    && config.is_some_and(|config| config.get().server.dashboard) =>
            {
                // Relative, because a proxy may serve everything below a path.
                let page = format!("{}sign-in", "../".repeat(depth));
                reply::with_header(reply::empty(StatusCode::SEE_OTHER), LOCATION, &page)
            }
            _ => error.to_response(),
        }
    }

    /// Records the request, and adds the security headers to the answer. A page gets no challenge: its browser would ask
    /// for a password in a window of its own, and keep it until it is closed.
    fn finish(&self, mut response: Response) -> Response {
        if self.browser == BrowserRequest::Part && response.status() == StatusCode::UNAUTHORIZED {
            response.headers_mut().remove(WWW_AUTHENTICATE);
        }
        let Self { table, counted, method, began, .. } = self;
        table.request_metrics.note(*counted, method, response.status(), began.elapsed());
        secured(response)
    }
}

fn connection_of<B>(request: &Request<B>) -> Option<&ConnectionContext> {
    request.extensions().get()
}

#[cfg(test)]
mod tests;
