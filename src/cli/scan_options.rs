//! The options of a scan, shared by `scan`, which runs in this process, and `submit`, which asks a
//! server.

use super::filter_args::FilterArgs;
use crate::model::{master::Options, retry::MAX_RETRIES};
use clap::Args;

#[derive(Debug, Args)]
pub(super) struct ScanOptionsArgs {
    /// The branch, tag or commit to scan.
    #[arg(long = "ref", value_name = "NAME")]
    reference: Option<String>,
    /// Also read the imports of Python, Java, Scala and JavaScript sources, to find undeclared packages.
    #[arg(long)]
    deep: bool,
    /// Also read committed archives (jar, wheel, nupkg) and programs of Go and Rust.
    #[arg(long)]
    archives: bool,
    /// For a group: skip its subgroups.
    #[arg(long)]
    no_subgroups: bool,
    /// For a group: scan only repositories whose path matches. May be repeated.
    #[arg(long, value_name = "PATTERN")]
    include: Vec<String>,
    /// For a group: skip repositories whose path matches. May be repeated.
    #[arg(long, value_name = "PATTERN")]
    exclude: Vec<String>,
    #[command(flatten)]
    filters: FilterArgs,
    /// Do not read files whose path matches, such as testdata or docs/*. May be repeated.
    #[arg(long = "exclude-path", value_name = "PATTERN")]
    exclude_paths: Vec<String>,
    /// Retry a repository up to N times if its failure may be temporary.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u64).range(..=MAX_RETRIES))]
    retries: u64,
}

impl ScanOptionsArgs {
    pub(super) fn options(&self) -> Options {
        Options {
            reference: self.reference.clone(),
            deep: self.deep,
            archives: self.archives,
            include_subgroups: !self.no_subgroups,
            include: self.include.clone(),
            exclude: self.exclude.clone(),
            filters: self.filters.filters(),
            exclude_paths: self.exclude_paths.clone(),
            no_ignore: false,
            retries: self.retries,
            force: false,
        }
    }
}
