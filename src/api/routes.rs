//! All routes, in one place: path, method, guards, body, handler. See the module's page for the
//! order in which each of them must reject.

use super::{
    auth::{Auth, User, authenticated},
    body::json_body,
    etag::if_none_match,
    events, guard, header, health, jobs, method,
    recover::recover,
    reply::finish,
    repository, scan,
    state::Api,
};
use std::{convert::Infallible, sync::Arc};
use warp::{Filter, filters::BoxedFilter, reply::Response};

/// The routes, ready to be served.
pub fn routes(
    api: Api,
    auth: &Arc<Auth>,
) -> impl Filter<Extract = (Response,), Error = Infallible> + Clone + use<> {
    let limit = api.config.server.max_body_bytes;
    // Boxed: nested as they are, the types of all routes would take minutes to compile.
    let state = warp::any().map(move || api.clone()).boxed();
    let state = || state.clone();
    let user = guard::known_host(Arc::clone(auth)).and(authenticated(Arc::clone(auth))).boxed();
    let user = || user.clone();

    let submit = warp::path!("scan")
        .and(method::post("POST"))
        .and(user())
        .and(guard::same_site_writes())
        .and(json_body(limit))
        .and(state())
        .then(async |user: User, body, api| finish(scan::submit(api, user, body).await))
        .boxed();
    let progress = warp::path!("scan" / String)
        .and(method::get("DELETE, GET, HEAD"))
        .and(user())
        .and(warp::query())
        .and(if_none_match())
        .and(state())
        .map(|id: String, _: User, view, seen, api| finish(scan::progress(&api, &id, &view, &seen)))
        .boxed();
    let remove = warp::path!("scan" / String)
        .and(method::delete("DELETE, GET, HEAD"))
        .and(user())
        .and(guard::same_site_writes())
        .and(state())
        .then(async |id, _: User, api| finish(scan::remove(api, id).await))
        .boxed();
    let cancel = warp::path!("scan" / String / "cancel")
        .and(method::post("POST"))
        .and(user())
        .and(guard::same_site_writes())
        .and(state())
        .then(async |id, _: User, api| finish(scan::cancel(api, id).await))
        .boxed();
    let events = warp::path!("scan" / String / "events")
        .and(method::get("GET, HEAD"))
        .and(user())
        .and(header("last-event-id"))
        .and(state())
        .map(|id: String, user: User, last: Option<_>, api| {
            finish(events::job(&api, &id, &user, last.as_ref()))
        })
        .boxed();
    let repository = warp::path!("scan" / String / "repositories" / String)
        .and(method::get("GET, HEAD"))
        .and(user())
        .and(state())
        .map(|id: String, index: String, _: User, api| finish(repository::show(&api, &id, &index)))
        .boxed();
    let log = warp::path!("scan" / String / "repositories" / String / "log")
        .and(method::get("GET, HEAD"))
        .and(user())
        .and(warp::query())
        .and(header("range"))
        .and(state())
        .then(async |id, index, _: User, tail, range, api| {
            finish(repository::log(api, id, index, tail, range).await)
        })
        .boxed();
    let packages = warp::path!("scan" / String / "repositories" / String / "packages")
        .and(method::get("GET, HEAD"))
        .and(user())
        .and(warp::query())
        .and(state())
        .then(async |id, index, _: User, paging, api| {
            finish(jobs::packages(api, id, index, paging).await)
        })
        .boxed();
    let list = warp::path!("jobs")
        .and(method::get("GET, HEAD"))
        .and(user())
        .and(warp::query())
        .and(state())
        .map(|_: User, listing, api| finish(jobs::list(&api, &listing)))
        .boxed();
    let row = warp::path!("jobs" / String)
        .and(method::get("GET, HEAD"))
        .and(user())
        .and(state())
        .map(|id: String, _: User, api| finish(jobs::row(&api, &id)))
        .boxed();
    let results = warp::path!("jobs" / String / "results")
        .and(method::get("GET, HEAD"))
        .and(user())
        .and(state())
        .then(async |id, _: User, api| finish(jobs::results(api, id).await))
        .boxed();
    let partial = warp::path!("jobs" / String / "partial")
        .and(method::get("GET, HEAD"))
        .and(user())
        .and(state())
        .then(async |id, _: User, api| finish(jobs::partial(api, id).await))
        .boxed();
    let health = warp::path!("health")
        .and(method::get("GET, HEAD"))
        .and(user())
        .and(state())
        .map(|user: User, api| health::health(&api, &user))
        .boxed();
    let livez = probe("livez", state());
    let readyz = probe("readyz", state());

    // The first is the one that is asked most.
    let mut routes = progress;
    for route in [
        events, submit, remove, cancel, repository, log, packages, list, row, results, partial,
        health, livez, readyz,
    ] {
        routes = routes.or(route).unify().boxed();
    }
    guard::with_security_headers(routes.recover(recover))
}

fn probe(name: &'static str, api: BoxedFilter<(Api,)>) -> BoxedFilter<(Response,)> {
    warp::path(name)
        .and(warp::path::end())
        .and(method::get("GET, HEAD"))
        .and(api)
        .map(|api: Api| health::probe(&api))
        .boxed()
}
