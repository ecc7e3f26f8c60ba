//! One route: method, path, scope, documentation and handler.
//!
//! Input: one value of [`Route`] per route. Output: what the [`Router`](super::router::Router)
//! serves, the methods of `Allow`, and what the OpenAPI document describes.
//!
//! Invariants: a route's own part is only query, body and handler; everything before them is done
//! by the router, by the route's path, method and access. The documented path, method and access are
//! the enforced ones, because there is one value of each.

use super::{
    operation::Operation,
    template::{PathParameter, Template},
};
use crate::api::{
    answers::{content_coding::Coding, if_none_match::IfNoneMatch},
    auth::{Auth, User},
    scope::Scope,
    state::Api,
};
use std::{fmt, net::IpAddr, sync::Arc};
use warp::{
    Filter, Rejection, filters::BoxedFilter, http::Method, path::FullPath, reply::Response,
};

/// Who may use a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everybody: for probes without credentials.
    Public,
    /// To read.
    Read,
    /// To submit, cancel and retry.
    Write,
    /// To remove jobs, and to change limits.
    Admin,
}

impl Access {
    /// The scope that credentials need; `None` if no credentials are needed.
    pub(crate) fn needed(self) -> Option<Scope> {
        match self {
            Self::Public => None,
            Self::Read => Some(Scope::Read),
            Self::Write => Some(Scope::Write),
            Self::Admin => Some(Scope::Admin),
        }
    }
}

/// A route, as the router serves it.
#[derive(Debug)]
pub(crate) struct Endpoint {
    pub(crate) path: &'static str,
    pub(crate) methods: Vec<Method>,
    pub(crate) access: Access,
    /// The route's own part.
    pub(crate) filter: BoxedFilter<(Response,)>,
}

/// What the router passes to the route about an accepted request: an extension of the request.
#[derive(Debug, Clone)]
pub(crate) struct Admitted {
    pub(crate) user: User,
    /// The address of the client.
    pub(crate) peer: Option<IpAddr>,
    pub(crate) if_none_match: IfNoneMatch,
    pub(crate) coding: Coding,
}

/// A request that the router has accepted, as the handlers get it.
#[derive(Debug, Clone)]
pub struct Call<const N: usize> {
    /// The parameters of the path, as they were sent. The handler parses them, so that an
    /// ill-formed one is answered as "not found" for the resource, not for the path.
    pub path: [String; N],
    pub user: User,
    /// The address of the client.
    pub peer: Option<IpAddr>,
    /// The version that the client already has.
    pub if_none_match: IfNoneMatch,
    /// The content coding that the client prefers.
    pub(crate) coding: Coding,
    pub api: Api,
}

/// What routes are built with.
#[derive(Debug, Clone)]
pub struct RouteContext {
    pub api: Api,
    pub auth: Arc<Auth>,
}

/// One route.
pub struct Route {
    pub method: Method,
    /// The template's text.
    pub path: &'static str,
    pub parameters: Vec<PathParameter>,
    pub access: Access,
    pub operation: Operation,
    filter: MakeFilter,
}

/// Builds the route's own part of the filter.
type MakeFilter = Box<dyn FnOnce(&RouteContext) -> BoxedFilter<(Response,)> + Send>;

impl Route {
    /// A route for GET and HEAD; hyper omits the body of the answer to HEAD.
    pub fn get<const N: usize, F>(
        path: &Template<N>,
        access: Access,
        operation: Operation,
        answer: impl FnOnce(BoxedFilter<(Call<N>,)>, &RouteContext) -> F + Send + 'static,
    ) -> Self
    where
        F: Filter<Extract = (Response,), Error = Rejection> + Clone + Send + Sync + 'static,
    {
        Self::new(Method::GET, path, access, operation, answer)
    }

    /// A route for POST.
    pub fn post<const N: usize, F>(
        path: &Template<N>,
        access: Access,
        operation: Operation,
        answer: impl FnOnce(BoxedFilter<(Call<N>,)>, &RouteContext) -> F + Send + 'static,
    ) -> Self
    where
        F: Filter<Extract = (Response,), Error = Rejection> + Clone + Send + Sync + 'static,
    {
        Self::new(Method::POST, path, access, operation, answer)
    }

    /// A route for PUT.
    pub fn put<const N: usize, F>(
        path: &Template<N>,
        access: Access,
        operation: Operation,
        answer: impl FnOnce(BoxedFilter<(Call<N>,)>, &RouteContext) -> F + Send + 'static,
    ) -> Self
    where
        F: Filter<Extract = (Response,), Error = Rejection> + Clone + Send + Sync + 'static,
    {
        Self::new(Method::PUT, path, access, operation, answer)
    }

    /// A route for DELETE.
    pub fn delete<const N: usize, F>(
        path: &Template<N>,
        access: Access,
        operation: Operation,
        answer: impl FnOnce(BoxedFilter<(Call<N>,)>, &RouteContext) -> F + Send + 'static,
    ) -> Self
    where
        F: Filter<Extract = (Response,), Error = Rejection> + Clone + Send + Sync + 'static,
    {
        Self::new(Method::DELETE, path, access, operation, answer)
    }

    /// `answer` adds the route's own part to accepted requests: query, body, handler.
    fn new<const N: usize, F>(
        method: Method,
        path: &Template<N>,
        access: Access,
        operation: Operation,
        answer: impl FnOnce(BoxedFilter<(Call<N>,)>, &RouteContext) -> F + Send + 'static,
    ) -> Self
    where
        F: Filter<Extract = (Response,), Error = Rejection> + Clone + Send + Sync + 'static,
    {
        let template = *path;
        // Boxed, because the nested types of all routes would take minutes to compile.
        let filter = Box::new(move |context: &RouteContext| {
            answer(calls(template, &context.api), context).boxed()
        });
        let parameters = path.parameters.to_vec();
        Self { method, path: path.text, parameters, access, operation, filter }
    }

    /// The route, as the router serves it.
    pub(crate) fn endpoint(self, context: &RouteContext) -> Endpoint {
        let (methods, filter) = (self.methods(), (self.filter)(context));
        Endpoint { path: self.path, methods, access: self.access, filter }
    }

    /// The methods that this route answers.
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

/// Extracts the call of a route of this template from requests that the router has accepted.
fn calls<const N: usize>(template: Template<N>, api: &Api) -> BoxedFilter<(Call<N>,)> {
    let api = api.clone();
    warp::path::full()
        .and(warp::ext::get::<Admitted>())
        .map(move |path: FullPath, Admitted { user, peer, if_none_match, coding }| {
            let path = template.parameters_of(path.as_str());
            Call { path, user, peer, if_none_match, coding, api: api.clone() }
        })
        .boxed()
}
