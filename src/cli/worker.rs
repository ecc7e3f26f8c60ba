//! `scanwatch worker`: the built-in scanner, started by a shim or manually.

use super::{SettingsArgs, output};
use crate::{
    model::self_test::{Attempt, Outcome, SelfTest},
    worker::{self, Standalone},
};
use anyhow::Context;
use clap::Args;
use std::{fmt::Write, path::PathBuf, process::ExitCode};

#[derive(Debug, Args)]
#[command(after_help = super::exit::CODES_OF_WORKER)]
pub(super) struct WorkerArgs {
    /// The repository to scan; without it, the task is read from standard input.
    #[arg(long, requires_all = ["status_file", "result_file"])]
    url: Option<String>,
    /// The status file; it is replaced at every change.
    #[arg(long, value_name = "FILE")]
    status_file: Option<PathBuf>,
    /// The result file.
    #[arg(long, value_name = "FILE")]
    result_file: Option<PathBuf>,
    /// The branch, tag or commit to scan.
    #[arg(long = "ref", value_name = "NAME")]
    reference: Option<String>,
    /// Also read the imports of Python, Java, Scala and JavaScript sources, to find undeclared packages.
    #[arg(long)]
    deep: bool,
    /// Also read committed archives (jar, wheel, nupkg) and programs of Go and Rust.
    #[arg(long)]
    archives: bool,
    /// Of a local git work tree: read ignored files too.
    #[arg(long)]
    no_ignore: bool,
    #[command(flatten)]
    self_test: SelfTestArgs,
    #[command(flatten)]
    settings: SettingsArgs,
}

/// The self-test of the sandbox.
#[derive(Debug, Args)]
struct SelfTestArgs {
    /// Scan nothing: try to break out of the scanner's sandbox, and print what is refused.
    #[arg(long, conflicts_with_all = ["url", "status_file", "result_file", "reference", "deep", "archives"])]
    self_test_escape: bool,
    /// With --self-test-escape: print the outcome as JSON.
    #[arg(long, requires = "self_test_escape")]
    json: bool,
    /// The part of the self-test that runs inside the sandbox.
    #[arg(long, requires = "self_test_escape", hide = true)]
    inside: bool,
}

pub(super) fn run(args: WorkerArgs) -> ExitCode {
    report(scan(args))
}

/// Runs the scanner for a shim, which sends the task on standard input.
pub(super) fn run_task() -> ExitCode {
    report(worker::read_task(std::io::stdin().lock()).map(worker::run))
}

fn report(done: anyhow::Result<ExitCode>) -> ExitCode {
    match done {
        Ok(code) => code,
        Err(error) => {
            output::print_error(&format!("{error:#}"));
            ExitCode::from(2)
        }
    }
}

fn scan(args: WorkerArgs) -> anyhow::Result<ExitCode> {
    if args.self_test.inside {
        worker::sandbox_self_test::run_inside(std::io::stdin().lock(), std::io::stdout().lock())?;
        return Ok(ExitCode::SUCCESS);
    }
    if args.self_test.self_test_escape {
        return self_test(args);
    }
    let WorkerArgs { url, status_file, result_file, reference, deep, archives, .. } = args;
    let (no_ignore, settings) = (args.no_ignore, args.settings);
    let (Some(url), Some(status_file), Some(result_file)) = (url, status_file, result_file) else {
        return Ok(run_task());
    };
    let config = settings.load(Vec::new()).context("settings")?;
    let standalone = Standalone {
        url,
        reference,
        status_file,
        result_file,
        update_interval_secs: config.scanner.update_interval_secs,
        deep,
        archives,
        exclude_paths: config.scanner.exclude_paths.clone(),
        no_ignore,
        limits: config.limits,
        network: config.network,
        categories: config.categories,
        sandbox: config.scanner.sandbox(),
    };
    let (task, scratch) = standalone.into_task()?;
    let code = worker::run(task);
    scratch.close().context("removing the scratch folder")?;
    Ok(code)
}

/// Prints which escapes the sandbox refuses; the exit code is 1 if one is possible.
fn self_test(args: WorkerArgs) -> anyhow::Result<ExitCode> {
    let config = args.settings.load(Vec::new()).context("settings")?;
    let found = worker::sandbox_self_test::run(&config.scanner.sandbox(), &config.limits)?;
    let text = if args.self_test.json {
        serde_json::to_string_pretty(&found)? + "\n"
    } else {
        table(&found)
    };
    output::write_data(text.as_bytes()).context("writing the outcome")?;
    Ok(ExitCode::from(u8::from(found.possible().next().is_some())))
}

fn table(found: &SelfTest) -> String {
    let width = found.attempts.iter().map(|attempt| attempt.what.len()).max().unwrap_or(0);
    let mut text = String::new();
    for Attempt { what, outcome, said } in &found.attempts {
        let outcome = match outcome {
            Outcome::Refused => format!("refused: {said}"),
            Outcome::Failed => format!("failed: {said}"),
            Outcome::Possible => "POSSIBLE".to_owned(),
        };
        let _ = writeln!(text, "{what:width$}  {outcome}");
    }
    let yes_no = |enabled| if enabled { "yes" } else { "no" };
    let _ = writeln!(
        text,
        "sandbox {}: Landlock {}, seccomp {}, no new privileges {}; {} of {} refused",
        found.sandbox,
        found.landlock_abi,
        yes_no(found.seccomp),
        yes_no(found.no_new_privs),
        found.refused(),
        found.attempts.len()
    );
    for missing in &found.missing {
        let _ = writeln!(text, "missing: {missing}");
    }
    text
}
