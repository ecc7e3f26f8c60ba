//! What is asked of the server, counted: connections, and requests by route, method and status.
//!
//! What must stay true: every label has a bounded number of values, whatever is sent: a path counts
//! as the template that it is one of, or as [`UNMATCHED`]; a method that is none of ours as
//! [`OTHER`].

use super::template::is_on;
use crate::measure::Histogram;
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use warp::http::{Method, StatusCode};

/// The route of a path that there is not.
pub const UNMATCHED: &str = "unmatched";
/// The method of a request that no route could ever have.
pub const OTHER: &str = "other";

/// From an answer out of memory to one that waits for the disk.
const BOUNDS: &[f64] = &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0];

/// The counts of one run of the server.
#[derive(Debug)]
pub struct Traffic {
    /// The last is [`UNMATCHED`].
    routes: Vec<Route>,
    requests: Mutex<BTreeMap<Request, u64>>,
    /// Connections that were served, and those for which there was no place.
    served: AtomicU64,
    refused: AtomicU64,
    closed: AtomicU64,
}

/// Requests that are counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Request {
    pub(super) route: &'static str,
    pub(super) method: &'static str,
    pub(super) status: u16,
}

#[derive(Debug)]
struct Route {
    template: &'static str,
    durations: Histogram,
}

/// A connection that counts as open until this is dropped.
#[derive(Debug)]
pub(super) struct Open(Arc<Traffic>);

impl Traffic {
    /// Nothing counted yet, for paths of these templates.
    pub fn new(templates: impl IntoIterator<Item = &'static str>) -> Self {
        let route = |template| Route { template, durations: Histogram::new(BOUNDS) };
        Self {
            routes: templates.into_iter().chain([UNMATCHED]).map(route).collect(),
            requests: Mutex::default(),
            served: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            closed: AtomicU64::new(0),
        }
    }

    /// Counts an answer, and how long it took until it began.
    pub(super) fn note(&self, path: &str, method: &Method, status: StatusCode, took: Duration) {
        let found = self.routes.iter().find(|it| is_on(it.template, path)).or(self.routes.last());
        let Some(route) = found else { return };
        route.durations.observe(took);
        let key =
            Request { route: route.template, method: method_word(method), status: status.as_u16() };
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        *requests.entry(key).or_default() += 1;
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
    pub(super) fn requests(&self) -> BTreeMap<Request, u64> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How long the answers of each route took to begin.
    pub(super) fn durations(&self) -> impl Iterator<Item = (&'static str, &Histogram)> {
        self.routes.iter().map(|it| (it.template, &it.durations))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.closed.fetch_add(1, Relaxed);
    }
}

fn method_word(method: &Method) -> &'static str {
    let known = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"];
    known.into_iter().find(|it| *it == method.as_str()).unwrap_or(OTHER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_request_adds_a_value_to_a_label() {
        let traffic = Traffic::new(["/scan/{id}"]);
        let note = |path, method: &str| {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            traffic.note(path, &method, StatusCode::OK, Duration::ZERO);
        };
        for (path, method) in
            [("/scan/1", "GET"), ("/scan/2", "GET"), ("/x", "GET"), ("/y", "BREW"), ("/z", "STEAM")]
        {
            note(path, method);
        }
        let counted: Vec<_> =
            traffic.requests().iter().map(|(it, n)| (it.route, it.method, *n)).collect();
        let expected = [("/scan/{id}", "GET", 2), (UNMATCHED, "GET", 1), (UNMATCHED, OTHER, 2)];
        assert_eq!(counted, expected);
    }
}
