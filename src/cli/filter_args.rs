//! The filters of a group, shared by `scan` and `submit`.

use crate::model::filters::{Filters, MOST_DAYS, MOST_MEGABYTES, Visibility};
use clap::Args;

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(super) struct FilterArgs {
    /// For a group: skip archived repositories.
    #[arg(long)]
    skip_archived: bool,
    /// For a group: skip forks.
    #[arg(long)]
    skip_forks: bool,
    /// For a group: skip empty repositories.
    #[arg(long)]
    skip_empty: bool,
    /// For a group of a GitLab: also scan projects that other groups share with it.
    #[arg(long)]
    include_shared: bool,
    /// For a group: scan only repositories with this topic. May be repeated: any of them.
    #[arg(long = "topic", value_name = "TOPIC")]
    topics: Vec<String>,
    /// For a group: scan only public, internal or private repositories. May be repeated: any of them.
    #[arg(long, value_name = "VISIBILITY")]
    visibility: Vec<Visibility>,
    /// For a group: skip repositories without activity for DAYS.
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u64).range(1..=MOST_DAYS))]
    active_within_days: Option<u64>,
    /// For a group: skip repositories larger than MB, according to the forge.
    #[arg(long, value_name = "MB", value_parser = clap::value_parser!(u64).range(1..=MOST_MEGABYTES))]
    max_size_mb: Option<u64>,
}

impl FilterArgs {
    pub(super) fn filters(&self) -> Filters {
        Filters {
            skip_archived: self.skip_archived,
            skip_forks: self.skip_forks,
            skip_empty: self.skip_empty,
            include_shared: self.include_shared,
            topics: self.topics.clone(),
            visibility: self.visibility.clone(),
            active_within_days: self.active_within_days,
            max_size_mb: self.max_size_mb,
        }
    }
}
