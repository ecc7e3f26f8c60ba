//! One route: method, path, who may use it, its documentation, and its handler.
//!
//! Input: a table of such values. Output: what the [`Router`](super::router::Router) serves, what
//! `Allow` names, and what the OpenAPI document describes.
//!
//! Invariants: a route's own part is query, body and handler alone; what comes before them is the
//! router's, by the route's path, method and scope. What is documented of these is what is enforced,
//! for there is one value of each.

use super::{
    auth::{self, Auth, User},
    coding::Coding,
    etag::IfNoneMatch,
    operation::Operation,
    state::Api,
    template::{PathParameter, Template},
};
use std::{fmt, net::IpAddr, sync::Arc};
use warp::{
    Filter, Rejection, filters::BoxedFilter, http::Method, path::FullPath, reply::Response,
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

impl Scope {
    /// What credentials must allow; `None` where none are needed.
    pub(super) fn needed(self) -> Option<auth::Scope> {
        match self {
            Self::None => None,
            Self::Read => Some(auth::Scope::Read),
            Self::Write => Some(auth::Scope::Write),
            Self::Admin => Some(auth::Scope::Admin),
        }
    }
}

/// A route as it is served.
#[derive(Debug)]
pub(super) struct Endpoint {
    pub(super) path: &'static str,
    pub(super) methods: Vec<Method>,
    pub(super) scope: Scope,
    /// The route's own part.
    pub(super) filter: BoxedFilter<(Response,)>,
}

/// What the router found out about a request that its route may answer: an extension of the request.
#[derive(Debug, Clone)]
pub(super) struct Admitted {
    pub(super) user: User,
    /// The other end of the connection.
    pub(super) peer: Option<IpAddr>,
    pub(super) seen: IfNoneMatch,
    pub(super) coding: Coding,
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
    /// What the client has already.
    pub seen: IfNoneMatch,
    /// How it wants to be answered.
    pub(super) coding: Coding,
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

/// Makes a route's own part.
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
        let filter = Box::new(move |door: &Door| answer(calls(template, &door.api), door).boxed());
        let parameters = path.parameters.to_vec();
        Self { method, path: path.text, parameters, scope, operation, filter }
    }

    /// As it is served.
    pub(super) fn endpoint(self, door: &Door) -> Endpoint {
        let (methods, filter) = (self.methods(), (self.filter)(door));
        Endpoint { path: self.path, methods, scope: self.scope, filter }
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

/// Requests that the router has admitted to a route of this template.
fn calls<const N: usize>(template: Template<N>, api: &Api) -> BoxedFilter<(Call<N>,)> {
    let api = api.clone();
    warp::path::full()
        .and(warp::ext::get::<Admitted>())
        .map(move |path: FullPath, Admitted { user, peer, seen, coding }| {
            let path = template.parameters_of(path.as_str());
            Call { path, user, peer, seen, coding, api: api.clone() }
        })
        .boxed()
}
