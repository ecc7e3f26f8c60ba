//! `POST /scan?dry_run=true`: what a submission would scan, and what not and why.
//!
//! Input: a submission. Output: the rows of the plan that its job would have, produced while they are sent.
//! Invariants: nothing is stored; the forge is queried only while the client waits; a dry run keeps its place
//! among those at once until its answer is sent.

use super::{
    Submission,
    refusals::{refused, stopping},
};
use crate::{
    api::{
        answers::{error::ApiError, stream_body::Aborted},
        auth::User,
        resources::produced_body::{PIECE, Producer, Terms, around, produced},
        state::Api,
    },
    intake::{
        ScanRequest,
        discovery::DiscoveryError,
        dry_run::{DryRunError, Preview},
    },
    model::{
        dry_run::{DryRun, DryRunRow},
        git_url,
    },
};
use warp::reply::Response;

/// `Retry-After`, in seconds, when too many dry runs are served.
const RETRY_SECS: u64 = 10;

/// Answers a dry run.
pub(super) async fn list(
    api: &Api,
    user: &User,
    request: &ScanRequest,
    sent: Submission,
) -> Result<Response, ApiError> {
    let stop = api.shutdown.child_token();
    let guard = stop.clone().drop_guard();
    let listing = api.intake.dry_run(request, stop.clone());
    let listed = tokio::select! {
        listed = stop.run_until_cancelled(listing) => listed,
        () = user.revoked() => return Err(ApiError::NotAuthenticated),
    };
    let preview = match listed {
        Some(Ok(preview)) => preview,
        Some(Err(DryRunError::Refused(error))) => return Err(refused(&error, sent)),
        Some(Err(error @ DryRunError::Busy)) => {
            return Err(ApiError::Unavailable {
                detail: error.to_string().into(),
                retry_after: Some(RETRY_SECS),
            });
        }
        None | Some(Err(DryRunError::Forge(DiscoveryError::Stopped))) => return Err(stopping()),
        Some(Err(error @ DryRunError::Forge(_))) => {
            return Err(ApiError::BadGateway { detail: error.to_string().into() });
        }
    };
    let mut terms = Terms::new(api, &api.read_pools.files, user);
    terms.guard = Some(guard);
    let rows = Rows::new(git_url::trimmed(&request.url), preview);
    produced(terms, rows, "application/json").await.map_err(|error| error.unwrap_or_else(stopping))
}

/// The rows, which are generated while they are sent.
struct Rows {
    preview: Preview,
    next: usize,
    begin: String,
    end: String,
}

impl Rows {
    fn new(url: &str, preview: Preview) -> Self {
        let counts = DryRun::counts(url, preview.scan_type, &preview.plan, &preview.errors);
        // Serialization cannot fail: the keys are texts and the numbers are integers.
        let answer = serde_json::to_string(&counts).unwrap_or_default();
        let [begin, end] = around("repositories", &answer);
        Self { preview, next: 0, begin, end }
    }
}

impl Producer for Rows {
    fn produce(&mut self, piece: &mut Vec<u8>) -> Result<bool, Aborted> {
        piece.extend_from_slice(std::mem::take(&mut self.begin).as_bytes());
        while piece.len() < PIECE {
            let Some(row) = self.preview.plan.repositories.get(self.next) else {
                piece.extend_from_slice(self.end.as_bytes());
                return Ok(false);
            };
            if self.next > 0 {
                piece.push(b',');
            }
            serde_json::to_writer(&mut *piece, &DryRunRow::from(row)).map_err(|_| Aborted)?;
            self.next += 1;
        }
        Ok(true)
    }
}
