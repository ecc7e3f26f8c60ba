//! One route: method, path, who may use it, what it says of itself, and its handler. A table of
//! such values is what is served, what `Allow` names, and what the OpenAPI document describes.
//!
//! What must stay true: a route rejects in the order that the module's page asks for, and does so
//! by construction: path and method are put before it by [`serve`], host, credentials and origin
//! by its [`Scope`]; only query, body and handler are its own. What is documented of path, method
//! and scope is what is enforced, for there is one value of each.

use super::{
    auth::{self, Auth, User, authenticated},
    connection::ConnectionContext,
    guard, malformed, method,
    operation::Operation,
    recover::recover,
    state::Api,
    template::{PathParameter, Template, is_on},
};
use std::{collections::BTreeSet, convert::Infallible, fmt, future::ready, net::IpAddr, sync::Arc};
use warp::{
    Filter, Rejection, filters::BoxedFilter, http::Method, path::FullPath, reject, reply::Response,
};

/// What a request must be allowed to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Nothing: for machines that have no credentials.
    None,
    /// To look.
    Read,
    /// To submit, cancel, scan again.
    Write,
    /// To remove.
    Admin,
}

/// A request that has come as far as its route's own part.
#[derive(Debug, Clone)]
pub struct Call<const N: usize> {
    /// The parameters of the path, as they were sent: a handler reads them, for an ill-formed one
    /// is "not found" in the words of the thing, not of the path.
    pub path: [String; N],
    pub user: User,
    /// The other end of the connection.
    pub peer: Option<IpAddr>,
    pub api: Api,
}

/// What routes are made with.
#[derive(Debug, Clone)]
pub struct Door {
    pub api: Api,
    pub auth: Arc<Auth>,
}

/// One route.
pub struct Route {
    pub method: Method,
    /// The template's text.
    pub path: &'static str,
    pub parameters: Vec<PathParameter>,
    pub scope: Scope,
    pub operation: Operation,
    filter: MakeFilter,
}

/// Makes the part of a route that comes after path and method.
type MakeFilter = Box<dyn FnOnce(&Door) -> BoxedFilter<(Response,)> + Send>;

impl Route {
    /// Answers GET, and HEAD, for which hyper leaves the body out.
    pub fn get<const N: usize, F>(
        path: &Template<N>,
        scope: Scope,
        operation: Operation,
        answer: impl FnOnce(BoxedFilter<(Call<N>,)>, &Door) -> F + Send + 'static,
    ) -> Self
    where
        F: Filter<Extract = (Response,), Error = Rejection> + Clone + Send + Sync + 'static,
    {
        Self::new(Method::GET, path, scope, operation, answer)
    }

    /// Answers POST.
    pub fn post<const N: usize, F>(
        path: &Template<N>,
        scope: Scope,
        operation: Operation,
        answer: impl FnOnce(BoxedFilter<(Call<N>,)>, &Door) -> F + Send + 'static,
    ) -> Self
    where
        F: Filter<Extract = (Response,), Error = Rejection> + Clone + Send + Sync + 'static,
    {
        Self::new(Method::POST, path, scope, operation, answer)
    }

    /// Answers DELETE.
    pub fn delete<const N: usize, F>(
        path: &Template<N>,
        scope: Scope,
        operation: Operation,
        answer: impl FnOnce(BoxedFilter<(Call<N>,)>, &Door) -> F + Send + 'static,
    ) -> Self
    where
        F: Filter<Extract = (Response,), Error = Rejection> + Clone + Send + Sync + 'static,
    {
        Self::new(Method::DELETE, path, scope, operation, answer)
    }

    /// `answer` adds the route's own part to a request that may be answered: query, body, handler.
    fn new<const N: usize, F>(
        method: Method,
        path: &Template<N>,
        scope: Scope,
        operation: Operation,
        answer: impl FnOnce(BoxedFilter<(Call<N>,)>, &Door) -> F + Send + 'static,
    ) -> Self
    where
        F: Filter<Extract = (Response,), Error = Rejection> + Clone + Send + Sync + 'static,
    {
        let template = *path;
        // Boxed: nested as they are, the types of all routes would take minutes to compile.
        let filter =
            Box::new(move |door: &Door| answer(calls(template, scope, door), door).boxed());
        let parameters = path.parameters.to_vec();
        Self { method, path: path.text, parameters, scope, operation, filter }
    }

    /// The methods that it answers.
    pub fn methods(&self) -> Vec<Method> {
        if self.method == Method::GET {
            vec![Method::GET, Method::HEAD]
        } else {
            vec![self.method.clone()]
        }
    }
}

impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Route({} {})", self.method, self.path)
    }
}

/// All of `routes` as one service, errors included. The first is tried first.
pub fn serve(
    routes: Vec<Route>,
    door: &Door,
) -> impl Filter<Extract = (Response,), Error = Infallible> + Clone + use<> {
    let allowed: Vec<String> = routes.iter().map(|it| allow(&routes, it.path)).collect();
    let mut served = warp::any().and_then(|| ready(Err(reject::not_found()))).boxed();
    for (route, allow) in routes.into_iter().zip(allowed).rev() {
        let methods = route.methods();
        let filter = (route.filter)(door);
        let filter = on_path(route.path).and(method::one_of(methods, &allow)).and(filter).boxed();
        served = filter.or(served).unify().boxed();
    }
    guard::with_security_headers(malformed::refused().and(served).recover(recover))
}

/// The `Allow` of a path: the methods of all its routes.
pub fn allow(routes: &[Route], path: &str) -> String {
    let of_path = routes.iter().filter(|it| it.path == path);
    let methods: BTreeSet<_> =
        of_path.flat_map(Route::methods).map(|it| it.as_str().to_owned()).collect();
    methods.into_iter().collect::<Vec<_>>().join(", ")
}

/// Requests of this path that the scope lets through; the path itself has been matched before.
fn calls<const N: usize>(
    template: Template<N>,
    scope: Scope,
    door: &Door,
) -> BoxedFilter<(Call<N>,)> {
    let auth = || Arc::clone(&door.auth);
    let with = |needed| guard::known_host(auth()).and(authenticated(auth(), needed));
    let writing = |needed| with(needed).and(guard::same_site_writes()).boxed();
    let user = match scope {
        Scope::None => warp::any().map(User::anybody).boxed(),
        Scope::Read => with(auth::Scope::Read).boxed(),
        Scope::Write => writing(auth::Scope::Write),
        Scope::Admin => writing(auth::Scope::Admin),
    };
    let api = door.api.clone();
    warp::path::full()
        .and_then(move |path: FullPath| {
            ready(template.parameters_of(path.as_str()).ok_or_else(reject::not_found))
        })
        .and(user)
        .and(warp::ext::optional::<ConnectionContext>())
        .map(move |path, user, connection: Option<ConnectionContext>| {
            let peer = connection.map(|it| it.peer.ip());
            Call { path, user, peer, api: api.clone() }
        })
        .boxed()
}

fn on_path(template: &'static str) -> impl Filter<Extract = (), Error = Rejection> + Copy {
    warp::path::full()
        .and_then(move |path: FullPath| {
            let matches = is_on(template, path.as_str());
            ready(if matches { Ok(()) } else { Err(reject::not_found()) })
        })
        .untuple_one()
}
