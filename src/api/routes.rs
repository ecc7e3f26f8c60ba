//! The table of all routes, collected from the files of the resources.
//!
//! Input: the routes of each resource. Output: the router that serves them, and the table that the
//! OpenAPI document is built from.
//!
//! Invariants: no path matches two templates, and no two routes have the same path and method.

use super::{
    auth::Auth,
    connections::request_body::RequestBody,
    resources::{
        agents, dashboard, diff, docs, events, health, jobs, limits, log, metrics, openapi,
        packages, repositories, repository, results, sbom, scan, schedules, sign_in, warnings,
        webhooks, websocket,
    },
    routing::{
        resource::Resource,
        route::{Route, RouteContext},
        router::{Answers, Router, router},
    },
    state::Api,
};
use std::{collections::BTreeSet, sync::Arc};

/// All routes.
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
            joined([
                repositories::routes(),
                repository::routes(),
                warnings::routes(),
                log::routes(),
            ]),
        ),
        resource(
            "Jobs",
            "The list of jobs, and what they found.",
            joined([
                jobs::routes(),
                results::routes(),
                packages::routes(),
                diff::routes(),
                sbom::routes(),
            ]),
        ),
        resource("Schedules", "Scans at the times of a cron pattern.", schedules::routes()),
        resource(
            "Webhooks",
            "The webhooks of the settings, and what was delivered to them.",
            webhooks::routes(),
        ),
        resource("Agents", "Scans on other machines: who runs them.", agents::routes()),
        resource(
            "Service",
            "Health, metrics and documentation of the service.",
            joined([
                health::routes(),
                metrics::routes(),
                limits::routes(),
                openapi::routes(resources),
                docs::routes(),
                dashboard::routes(),
                sign_in::routes(),
            ]),
        ),
    ]
}

fn joined<const N: usize>(routes: [Vec<Route>; N]) -> Vec<Route> {
    routes.into_iter().flatten().collect()
}

/// The templates of all paths, without duplicates.
pub fn paths() -> BTreeSet<&'static str> {
    resources().iter().flat_map(|resource| &resource.routes).map(|route| route.path).collect()
}

/// Builds the router of all routes.
pub fn routes(api: Api, auth: &Arc<Auth>) -> Router<impl Answers<RequestBody> + use<>> {
    let context = RouteContext { api, auth: Arc::clone(auth) };
    let routes = resources().into_iter().flat_map(|resource| resource.routes);
    let endpoints = routes.map(|route| route.endpoint(&context)).collect();
    let config = context.api.config.clone();
    let request_metrics = Arc::clone(&context.api.request_metrics);
    router(endpoints, Arc::clone(auth), request_metrics, Some(config))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::routing::template::Paths;

    fn all() -> Vec<Route> {
        resources().into_iter().flat_map(|resource| resource.routes).collect()
    }

    #[test]
    fn no_path_matches_two_templates_and_no_route_exists_twice() {
        let routes = all();
        let (mut operations, mut places) = (BTreeSet::new(), BTreeSet::new());
        for route in &routes {
            assert!(
                operations.insert(route.operation.id),
                "{route:?}: another operation has the same id"
            );
            let place = (route.path, route.method.to_string());
            assert!(places.insert(place), "{route:?} exists twice");
            for other in routes.iter().filter(|other| other.path != route.path) {
                let found = Paths::new([route.path]).find(other.path);
                assert_eq!(found, None, "{route:?} matches the path of {other:?}");
            }
        }
    }
}
