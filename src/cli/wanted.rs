//! What is wanted of a scan beyond the URL: the same for `scan`, which does it here, and `submit`,
//! which has it done.

use crate::model::{master::Options, retry::MAX_RETRIES};
use clap::Args;

#[derive(Debug, Args)]
pub(super) struct WantedArgs {
    /// The branch, tag or commit to scan.
    #[arg(long = "ref", value_name = "NAME")]
    reference: Option<String>,
    /// Read the imports of Python, Java and Scala sources too: what is used and not declared.
    #[arg(long)]
    deep: bool,
    /// Of a group: leave its subgroups out.
    #[arg(long)]
    no_subgroups: bool,
    /// Of a group: only repositories whose path matches. May be repeated.
    #[arg(long, value_name = "PATTERN")]
    include: Vec<String>,
    /// Of a group: not the repositories whose path matches. May be repeated.
    #[arg(long, value_name = "PATTERN")]
    exclude: Vec<String>,
    /// Try a repository again, up to N times, if it failed for a cause that may pass.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u64).range(..=MAX_RETRIES))]
    retries: u64,
}

impl WantedArgs {
    pub(super) fn options(&self) -> Options {
        Options {
            reference: self.reference.clone(),
            deep: self.deep,
            include_subgroups: !self.no_subgroups,
            include: self.include.clone(),
            exclude: self.exclude.clone(),
            retries: self.retries,
        }
    }
}
