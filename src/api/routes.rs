//! All routes, joined: each file of a resource gives its own, and here they become one table, which
//! is served, and described by the OpenAPI document.
//!
//! Invariants: no path is one of two templates, and no two routes have the same path and method.

use super::{
    auth::Auth,
    docs, events, health, jobs, log, metrics, openapi, repositories, repository,
    request_body::RequestBody,
    results,
    route::{Door, Route},
    router::{Answers, Router, router},
    sbom, scan,
    state::Api,
    websocket,
};
use std::{collections::BTreeSet, sync::Arc};

/// Routes that belong together, in the order in which they are described.
#[derive(Debug)]
pub struct Resource {
    pub name: &'static str,
    pub about: &'static str,
    pub routes: Vec<Route>,
}

/// Every route there is.
pub fn resources() -> Vec<Resource> {
    let resource = |name, about, routes| Resource { name, about, routes };
    vec![
        resource(
            "Scans",
            "Submit, follow, cancel and remove scans.",
            joined([scan::routes(), events::routes(), websocket::routes()]),
        ),
        resource(
            "Repositories",
            "The repositories of a scan, each by its number.",
            joined([repositories::routes(), repository::routes(), log::routes()]),
        ),
        resource(
            "Jobs",
            "The list of jobs, and what they found.",
            joined([jobs::routes(), results::routes(), sbom::routes()]),
        ),
        resource(
            "Service",
            "How the service is, and what it can do.",
            joined([health::routes(), metrics::routes(), openapi::routes(), docs::routes()]),
        ),
    ]
}

fn joined<const N: usize>(routes: [Vec<Route>; N]) -> Vec<Route> {
    routes.into_iter().flatten().collect()
}

/// The templates of all paths, each once.
pub fn paths() -> BTreeSet<&'static str> {
    resources().iter().flat_map(|resource| &resource.routes).map(|route| route.path).collect()
}

/// The routes, ready to be served.
pub fn routes(api: Api, auth: &Arc<Auth>) -> Router<impl Answers<RequestBody> + use<>> {
    let door = Door { api, auth: Arc::clone(auth) };
    let routes = resources().into_iter().flat_map(|resource| resource.routes);
    let endpoints = routes.map(|route| route.endpoint(&door)).collect();
    router(endpoints, Arc::clone(auth), Arc::clone(&door.api.traffic))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::template::Paths;

    fn all() -> Vec<Route> {
        resources().into_iter().flat_map(|resource| resource.routes).collect()
    }

    #[test]
    fn no_path_is_one_of_two_templates_and_no_route_is_there_twice() {
        let routes = all();
        let (mut operations, mut places) = (BTreeSet::new(), BTreeSet::new());
        for route in &routes {
            assert!(operations.insert(route.operation.id), "{route:?}: another has its id");
            let place = (route.path, route.method.to_string());
            assert!(places.insert(place), "{route:?} is there twice");
            for other in routes.iter().filter(|other| other.path != route.path) {
                let found = Paths::new([route.path]).find(other.path);
                assert_eq!(found, None, "{route:?} takes the path of {other:?}");
            }
        }
    }
}
