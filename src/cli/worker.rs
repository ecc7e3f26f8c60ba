//! `scanwatch worker`: the built-in scanner, started by a shim or by hand.

use super::{SettingsArgs, output};
use crate::worker::{self, ByHand};
use anyhow::Context;
use clap::Args;
use std::{path::PathBuf, process::ExitCode};

#[derive(Debug, Args)]
#[command(after_help = super::exit::CODES_OF_WORKER)]
pub(super) struct WorkerArgs {
    /// A repository to scan by hand; without it, the task is read from standard input.
    #[arg(long, requires_all = ["status_file", "result_file"])]
    url: Option<String>,
    /// Where to write the status, again and again.
    #[arg(long, value_name = "FILE")]
    status_file: Option<PathBuf>,
    /// Where to write what is found.
    #[arg(long, value_name = "FILE")]
    result_file: Option<PathBuf>,
    /// The branch, tag or commit to scan.
    #[arg(long = "ref", value_name = "NAME")]
    reference: Option<String>,
    /// Read the imports of Python, Java and Scala sources too: what is used and not declared.
    #[arg(long)]
    deep: bool,
    #[command(flatten)]
    settings: SettingsArgs,
}

pub(super) fn run(args: WorkerArgs) -> ExitCode {
    match scan(args) {
        Ok(code) => code,
        Err(error) => {
            output::complain(&format!("{error:#}"));
            ExitCode::from(2)
        }
    }
}

fn scan(args: WorkerArgs) -> anyhow::Result<ExitCode> {
    let WorkerArgs { url, status_file, result_file, reference, deep, settings } = args;
    let (Some(url), Some(status_file), Some(result_file)) = (url, status_file, result_file) else {
        return Ok(worker::run(worker::read_task(std::io::stdin().lock())?));
    };
    let config = settings.load(Vec::new()).context("settings")?;
    let by_hand = ByHand {
        url,
        reference,
        status_file,
        result_file,
        update_interval_secs: config.scanner.update_interval_secs,
        deep,
        limits: config.limits,
        network: config.network,
        categories: config.categories,
    };
    let (task, scratch) = by_hand.into_task()?;
    let code = worker::run(task);
    scratch.close().context("removing the scratch folder")?;
    Ok(code)
}
