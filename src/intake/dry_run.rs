//! Lists what a submission would scan, without creating a job.
//!
//! Input: a request. Output: the plan that its job would have. Invariants: the limits of a listing apply;
//! at most two listings of this kind run at once; a listing ends when its future is dropped.

use super::{
    Intake, IntakeError, ScanRequest, check_options,
    discovery::{Discovery, DiscoveryError, Listing},
    target::Target,
};
use crate::model::{
    listing::ListingErrors,
    master::{Options, ScanType},
    plan::Plan,
};
use std::sync::Arc;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;

/// How many dry runs there are at once, until their answers are sent.
pub(super) const MAX_DRY_RUNS: usize = 2;

/// What a submission would scan.
#[derive(Debug)]
pub struct Preview {
    pub scan_type: ScanType,
    pub plan: Plan,
    /// What could not be listed.
    pub errors: ListingErrors,
    /// Held while the plan is in memory.
    _permit: Option<OwnedSemaphorePermit>,
}

/// Why there is no preview.
#[derive(Debug, thiserror::Error)]
pub enum DryRunError {
    #[error(transparent)]
    Refused(#[from] IntakeError),
    #[error("Too many dry runs: {MAX_DRY_RUNS} run already")]
    Busy,
    #[error("The repositories cannot be listed: {0}")]
    Forge(#[from] DiscoveryError),
}

impl Intake {
    /// Lists what a request from outside would scan. Cancelling `stop` ends the listing.
    ///
    /// # Errors
    /// The first rule that the request violates, or why its repositories cannot be listed.
    pub async fn dry_run(
        &self,
        request: &ScanRequest,
        stop: CancellationToken,
    ) -> Result<Preview, DryRunError> {
        let config = self.setup.config.get();
        let target = Target::parse(&request.url, &config).map_err(DryRunError::Refused)?;
        check_options(&request.options)?;
        let permit = Arc::clone(&self.dry_runs).try_acquire_owned();
        let permit = permit.map_err(|_| DryRunError::Busy)?;
        let discovery = self.discovery.with_settings(config);
        let preview = preview(&discovery, &target, &request.options, stop).await?;
        Ok(Preview { _permit: Some(permit), ..preview })
    }
}

/// Lists what a scan of a validated target with these options would scan.
///
/// # Errors
/// An invalid option, or why the repositories cannot be listed.
pub async fn preview(
    discovery: &Discovery,
    target: &Target,
    options: &Options,
    stop: CancellationToken,
) -> Result<Preview, DryRunError> {
    check_options(options)?;
    Ok(match discovery.list(target, options, stop).await? {
        Listing::Repository(plan) => {
            let scan_type = target.scan_type().unwrap_or(ScanType::Repository);
            Preview { scan_type, plan, errors: ListingErrors::default(), _permit: None }
        }
        Listing::Group { plan, errors } => {
            Preview { scan_type: ScanType::Group, plan, errors, _permit: None }
        }
    })
}
