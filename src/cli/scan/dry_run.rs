//! `scan --dry-run`: lists what the targets would scan, without scanning anything.
//!
//! Input: the targets and their options. Output: a table, or a JSON document for each target. Invariant: only
//! forges are contacted, and nothing is written.

use super::{
    super::{Exit, dry_run, output, signals::Signals},
    ScanArgs, Wanted,
};
use crate::{
    config::Config,
    intake::{discovery::Discovery, dry_run::preview, target::Target},
    model::{
        dry_run::DryRun,
        git_url,
        listing::ListingErrors,
        master::{Options, ScanType},
        plan::Plan,
    },
    store::chain,
};
use anyhow::Context;
use clap::Args;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// The options about dry runs.
#[derive(Debug, Args)]
pub(super) struct DryRunArgs {
    /// Only list what would be scanned, and what not and why.
    #[arg(long, conflicts_with_all = ["format", "output", "keep"])]
    dry_run: bool,
    /// With --dry-run: one JSON document for each target, one per line.
    #[arg(long, requires = "dry_run")]
    json: bool,
}

impl DryRunArgs {
    pub(super) fn is_wanted(&self) -> bool {
        self.dry_run
    }
}

/// Lists every target; one that cannot be listed does not affect the others.
pub(super) async fn list_all(
    args: &ScanArgs,
    config: Config,
    targets: Vec<(String, Wanted)>,
) -> anyhow::Result<Exit> {
    let mut signals = Signals::listen().context("cannot listen for signals")?;
    let discovery = Discovery::new(Arc::new(config));
    let options = args.scan_options.options();
    let list = async {
        let mut exit = Exit::Done;
        for (text, wanted) in targets {
            let shown = git_url::trimmed(&text);
            match wanted {
                Wanted::Target(target) => {
                    exit = exit.max(list(args, &discovery, shown, &target, &options).await?);
                }
                Wanted::File(_) => {
                    let plan = Plan::of([(shown.to_owned(), shown.to_owned())]);
                    let errors = ListingErrors::default();
                    print(args, &DryRun::of(shown, ScanType::Path, &plan, &errors))?;
                }
            }
        }
        anyhow::Ok(exit)
    };
    tokio::select! {
        exit = list => exit,
        () = signals.next() => Ok(Exit::Interrupted),
    }
}

async fn list(
    args: &ScanArgs,
    discovery: &Discovery,
    text: &str,
    target: &Target,
    options: &Options,
) -> anyhow::Result<Exit> {
    let stop = CancellationToken::new();
    match preview(discovery, target, options, stop).await {
        Ok(found) => {
            print(args, &DryRun::of(text, found.scan_type, &found.plan, &found.errors))?;
            Ok(if found.errors.total == 0 { Exit::Done } else { Exit::Failed })
        }
        Err(error) => {
            output::print_error(&output::printable(&chain(&error)));
            Ok(Exit::Failed)
        }
    }
}

fn print(args: &ScanArgs, found: &DryRun<'_>) -> anyhow::Result<()> {
    let document = serde_json::to_value(found)?;
    let printed = if args.dry_run.json {
        output::write(format!("{document}\n").as_bytes())
    } else {
        dry_run::print(&serde_json::from_value(document)?)
    };
    printed.context("cannot write to standard output")
}
