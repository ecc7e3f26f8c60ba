//! What is asked of the server, counted: connections, and requests by route, method and status.
//!
//! Input: answers as they begin, each with the place of its route. Output: the counts so far.
//!
//! Invariants: counting is a few atomic additions, without a lock; every label has a bounded number of
//! values, whatever is sent: a path counts as the template that it is one of, or as [`UNMATCHED`]; a
//! method that is none of ours, and a status that no answer of ours has, as [`OTHER`].

use crate::measure::Histogram;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use warp::http::{Method, StatusCode};

/// The route of a path that there is not.
pub const UNMATCHED: &str = "unmatched";
/// A method that no route could ever have, and a status that no answer has.
pub const OTHER: &str = "other";

/// The methods that have a counter of their own; all others share the last counter.
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"];

/// The statuses of answers, in order; what is none of them counts after the last.
const STATUSES: [u16; 23] = [
    101, 200, 204, 206, 304, 400, 401, 403, 404, 405, 408, 409, 411, 413, 415, 416, 421, 422, 426,
    429, 500, 501, 503,
];

/// From an answer out of memory to one that waits for the disk.
const BOUNDS: &[f64] = &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0];

/// The counts of one run of the server.
#[derive(Debug)]
pub struct Traffic {
    /// The last is [`UNMATCHED`].
    routes: Vec<Route>,
    /// Connections that were served, and those for which there was no place.
    served: AtomicU64,
    refused: AtomicU64,
    closed: AtomicU64,
}

/// How many requests of a route had the same method and got the same status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Requests {
    pub(super) route: &'static str,
    pub(super) method: &'static str,
    /// None: [`OTHER`].
    pub(super) status: Option<u16>,
    pub(super) count: u64,
}

#[derive(Debug)]
struct Route {
    template: &'static str,
    durations: Histogram,
    /// By method, and for each by status.
    requests: Vec<AtomicU64>,
}

/// A connection that counts as open until this is dropped.
#[derive(Debug)]
pub(super) struct Open(Arc<Traffic>);

impl Traffic {
    /// Nothing counted yet, for paths of these templates.
    pub fn new(templates: impl IntoIterator<Item = &'static str>) -> Self {
        let places = (METHODS.len() + 1) * (STATUSES.len() + 1);
        let route = |template| Route {
            template,
            durations: Histogram::new(BOUNDS),
            requests: (0..places).map(|_| AtomicU64::new(0)).collect(),
        };
        Self {
            routes: templates.into_iter().chain([UNMATCHED]).map(route).collect(),
            served: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            closed: AtomicU64::new(0),
        }
    }

    /// The place of a template among the routes; of one that there is not, that of [`UNMATCHED`].
    pub(super) fn place_of(&self, template: &str) -> usize {
        let known = self.routes.iter().position(|route| route.template == template);
        known.unwrap_or(self.routes.len() - 1)
    }

    /// Counts an answer of the route at this place, and how long it took until it began.
    pub(super) fn note(&self, place: usize, method: &Method, status: StatusCode, took: Duration) {
        let Some(route) = self.routes.get(place) else { return };
        route.durations.observe(took);
        let known = METHODS.iter().position(|known| *known == method.as_str());
        let method = known.unwrap_or(METHODS.len());
        let statuses = STATUSES.len();
        let status = STATUSES.binary_search(&status.as_u16()).unwrap_or(statuses);
        if let Some(count) = route.requests.get(method * (statuses + 1) + status) {
            count.fetch_add(1, Relaxed);
        }
    }

    /// Counts a connection as open.
    pub(super) fn open(self: &Arc<Self>) -> Open {
        self.served.fetch_add(1, Relaxed);
        Open(Arc::clone(self))
    }

    /// Counts a connection for which there was no place.
    pub(super) fn refuse(&self) {
        self.refused.fetch_add(1, Relaxed);
    }

    /// Connections: open now, served so far, refused so far.
    pub(super) fn connections(&self) -> (u64, u64, u64) {
        // Closed first: a connection that comes in between must not make it negative.
        let closed = self.closed.load(Relaxed);
        let served = self.served.load(Relaxed);
        (served.saturating_sub(closed), served, self.refused.load(Relaxed))
    }

    /// The answered requests so far.
    pub(super) fn requests(&self) -> impl Iterator<Item = Requests> {
        let methods = METHODS.iter().copied().chain([OTHER]);
        let statuses = || STATUSES.into_iter().map(Some).chain([None]);
        let labels = methods.flat_map(move |method| statuses().map(move |status| (method, status)));
        self.routes.iter().flat_map(move |route| {
            let counts = route.requests.iter().map(|count| count.load(Relaxed));
            labels.clone().zip(counts).filter(|(_, count)| *count > 0).map(
                |((method, status), count)| Requests {
                    route: route.template,
                    method,
                    status,
                    count,
                },
            )
        })
    }

    /// How long the answers of each route took to begin.
    pub(super) fn durations(&self) -> impl Iterator<Item = (&'static str, &Histogram)> {
        self.routes.iter().map(|route| (route.template, &route.durations))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.closed.fetch_add(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_request_adds_a_value_to_a_label() {
        let traffic = Traffic::new(["/scan/{id}"]);
        let note = |place, method: &str, status| {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            traffic.note(place, &method, StatusCode::from_u16(status).unwrap(), Duration::ZERO);
        };
        let (known, unknown) = (traffic.place_of("/scan/{id}"), traffic.place_of("/x"));
        for (place, method, status) in [
            (known, "GET", 200),
            (known, "GET", 200),
            (known, "GET", 404),
            (unknown, "GET", 404),
            (unknown, "BREW", 418),
            (unknown, "STEAM", 999),
        ] {
            note(place, method, status);
        }
        let counted: Vec<_> = traffic
            .requests()
            .map(|requests| (requests.route, requests.method, requests.status, requests.count))
            .collect();
        let expected = [
            ("/scan/{id}", "GET", Some(200), 2),
            ("/scan/{id}", "GET", Some(404), 1),
            (UNMATCHED, "GET", Some(404), 1),
            (UNMATCHED, OTHER, None, 2),
        ];
        assert_eq!(counted, expected);
    }
}
