//! Counts connections, and requests by route, method and status.
//!
//! Input: the start of each answer, with the index of its route. Output: the counts so far, for
//! `/metrics`.
//!
//! Invariants: counting takes a few atomic additions and no lock; every label has a bounded number
//! of values: a path counts as its template or as [`UNMATCHED`], and an unknown method or status
//! as [`OTHER`].

use crate::measure::Histogram;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use warp::http::{Method, StatusCode};

/// The label of requests whose path has no route.
pub const UNMATCHED: &str = "unmatched";
/// The label of methods and statuses without a counter of their own.
pub const OTHER: &str = "other";

/// The methods that have a counter of their own; all others share the last counter.
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"];

/// The statuses with a counter of their own, in order; all others share the last counter.
const STATUSES: [u16; 23] = [
    101, 200, 204, 206, 304, 400, 401, 403, 404, 405, 408, 409, 411, 413, 415, 416, 421, 422, 426,
    429, 500, 501, 503,
];

/// The buckets of durations: from an answer out of memory to one that waits for the disk.
const BOUNDS: &[f64] = &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0];

/// The counts of one run of the server.
#[derive(Debug)]
pub struct RequestMetrics {
    /// The last is [`UNMATCHED`].
    routes: Vec<Route>,
    /// Connections that were accepted, and those that were refused because of the limit.
    served: AtomicU64,
    refused: AtomicU64,
    closed: AtomicU64,
}

/// The number of requests with the same route, method and status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Requests {
    pub(crate) route: &'static str,
    pub(crate) method: &'static str,
    /// `None` means [`OTHER`].
    pub(crate) status: Option<u16>,
    pub(crate) count: u64,
}

#[derive(Debug)]
struct Route {
    template: &'static str,
    durations: Histogram,
    /// Counters by method, then by status.
    requests: Vec<AtomicU64>,
}

/// Counts a connection as open until it is dropped.
#[derive(Debug)]
pub(crate) struct OpenConnection(Arc<RequestMetrics>);

impl RequestMetrics {
    /// The metrics of routes with these templates, all zero.
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

    /// The index of a template; the index of [`UNMATCHED`] if it is unknown.
    pub(crate) fn index_of(&self, template: &str) -> usize {
        let known = self.routes.iter().position(|route| route.template == template);
        known.unwrap_or(self.routes.len() - 1)
    }

    /// Counts an answer of the route at this index, and the time until it started.
    pub(crate) fn note(&self, place: usize, method: &Method, status: StatusCode, took: Duration) {
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
    pub(crate) fn open(self: &Arc<Self>) -> OpenConnection {
        self.served.fetch_add(1, Relaxed);
        OpenConnection(Arc::clone(self))
    }

    /// Counts a refused connection.
    pub(crate) fn refuse(&self) {
        self.refused.fetch_add(1, Relaxed);
    }

    /// Connections: open now, served so far, refused so far.
    pub(crate) fn connections(&self) -> (u64, u64, u64) {
        // `closed` is read first, so that a concurrent connection cannot make the difference
        // negative.
        let closed = self.closed.load(Relaxed);
        let served = self.served.load(Relaxed);
        (served.saturating_sub(closed), served, self.refused.load(Relaxed))
    }

    /// The numbers of answered requests so far.
    pub(crate) fn requests(&self) -> impl Iterator<Item = Requests> {
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

    /// The durations until the answers of each route started.
    pub(crate) fn durations(&self) -> impl Iterator<Item = (&'static str, &Histogram)> {
        self.routes.iter().map(|route| (route.template, &route.durations))
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.closed.fetch_add(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_request_adds_a_value_to_a_label() {
        let request_metrics = RequestMetrics::new(["/scan/{id}"]);
        let note = |place, method: &str, status| {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            request_metrics.note(
                place,
                &method,
                StatusCode::from_u16(status).unwrap(),
                Duration::ZERO,
            );
        };
        let (known, unknown) =
            (request_metrics.index_of("/scan/{id}"), request_metrics.index_of("/x"));
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
        let counted: Vec<_> = request_metrics
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
