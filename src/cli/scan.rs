//! `scanwatch scan`: runs the engine of the service in this process, for the targets of the command
//! line.

mod access;
mod credential_helper;
mod dry_run;
mod follow;
mod outputs;
mod render;
mod resolve;
mod single_file;
mod summary;
mod targets;

use super::{Exit, SettingsArgs, logging, output, scan_options::ScanOptionsArgs, signals::Signals};
use crate::{
    app::{Engine, StartError},
    config::{Config, EngineKind},
    intake::{IntakeError, ScanRequest, target::Target},
    live::LiveJob,
    model::{JobState, RepoState, master::Options, scan_result::ScanResult},
    store::chain,
};
use anyhow::{Context, anyhow};
use clap::Args;
use outputs::{Format, Output, Requested};
use render::Results;
use resolve::Resolve;
use std::{
    collections::BTreeMap,
    fs,
    io::{self, BufReader, IsTerminal, stdout},
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};
use targets::Wanted;
use tempfile::TempDir;
use tokio::time::sleep;

/// How long scanners may take to stop after an interrupt.
const STOP_GRACE: Duration = Duration::from_secs(15);
/// How often, and after which pauses, the temporary folder is removed again: a thread that the engine
/// no longer waits for may still write a file.
const REMOVALS: (u32, Duration) = (100, Duration::from_millis(20));

#[derive(Debug, Args)]
#[command(after_help = super::exit::CODES_OF_SCAN)]
pub(super) struct ScanArgs {
    /// Git URLs, groups, local folders, bare repositories, single lock files or manifests; `-` reads
    /// one from standard input. Targets on the command line are trusted.
    #[arg(required = true, value_name = "URL|PATH")]
    targets: Vec<String>,
    /// The name of the file on standard input: it decides how the file is read.
    #[arg(long, value_name = "FILE")]
    name: Option<String>,
    /// The output format [default: table].
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Write the result to a file instead of standard output (`-`); with a format of its own if it is
    /// named. May be repeated. A format alone is the same as --format.
    #[arg(long, short, value_name = "[FORMAT=]FILE")]
    output: Vec<Requested>,
    #[command(flatten)]
    scan_options: ScanOptionsArgs,
    /// In a git work tree, read ignored files too.
    #[arg(long)]
    no_ignore: bool,
    /// Take versions that no file defines from poms in a local cache: in the folders of Maven and Gradle below
    /// your home, or in a folder that you name. Nothing is downloaded.
    #[arg(long, value_name = "cache[=FOLDER]")]
    resolve: Option<Resolve>,
    #[command(flatten)]
    dry_run: dry_run::DryRunArgs,
    #[command(flatten)]
    access: access::AccessArgs,
    /// Keep the jobs folder (status files, logs, results), and print its path.
    #[arg(long)]
    keep: bool,
    /// Print all warnings instead of one of each kind.
    #[arg(long, short)]
    verbose: bool,
    #[command(flatten)]
    settings: SettingsArgs,
}

/// The job of one target.
struct Started {
    name: String,
    /// What the result names as its source instead of the scanned folder.
    source: Option<String>,
    job: Arc<LiveJob>,
    /// The target may be a group: its repositories are listed by the forge.
    listed: bool,
}

/// The outcome of one target.
struct Scanned {
    name: String,
    job: Arc<LiveJob>,
    listed: bool,
    /// The results of its completed repositories, by their index.
    results: BTreeMap<u32, ScanResult>,
}

pub(super) fn run(mut args: ScanArgs) -> Exit {
    let outputs = match outputs(&mut args) {
        Ok(outputs) => outputs,
        Err(error) => return refuse(&format!("{error:#}")),
    };
    let mut config = match std::mem::take(&mut args.settings).load(Vec::new()) {
        Ok(config) => config,
        Err(refused) => return refuse(&refused.to_string()),
    };
    config.log.level = config.log.level.min(tracing::Level::WARN);
    logging::start(config.log);
    if let Err(reason) = access::grant(&args.access, &args.targets, &mut config) {
        output::print_error(&reason);
        return Exit::Usage;
    }
    if let Some(resolve) = &args.resolve {
        match resolve.folders() {
            Ok(folders) => config.module_caches = folders,
            Err(error) => return refuse(&format!("{error:#}")),
        }
    }
    let mut targets = Vec::new();
    for text in &args.targets {
        match Wanted::read(text, args.name.as_deref(), &mut config) {
            Ok(wanted) => targets.push((text.clone(), wanted)),
            Err(error) => return refuse(&format!("{error:#}")),
        }
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime");
    let scanned = runtime.and_then(|runtime| {
        if args.dry_run.is_wanted() {
            return runtime.block_on(dry_run::list_all(&args, config, targets));
        }
        runtime.block_on(scan_all(&args, &outputs, config, targets))
    });
    scanned.unwrap_or_else(|error| refuse(&format!("{error:#}")))
}

fn refuse(message: &str) -> Exit {
    output::print_error(message);
    Exit::Usage
}

/// Where the results go; each place is known to be writable.
fn outputs(args: &mut ScanArgs) -> anyhow::Result<Vec<Output>> {
    let outputs = Output::all(args.format, std::mem::take(&mut args.output));
    let outputs = outputs.map_err(anyhow::Error::msg)?;
    for output in &outputs {
        if let (Some(format), true) = (output.format.single_target_name(), args.targets.len() > 1) {
            return Err(anyhow!(
                "the format {format} can describe only one target: name one target, or use the format json"
            ));
        }
        output.check()?;
    }
    Ok(outputs)
}

async fn scan_all(
    args: &ScanArgs,
    outputs: &[Output],
    mut config: Config,
    targets: Vec<(String, Wanted)>,
) -> anyhow::Result<Exit> {
    let began = Instant::now();
    // Install the handlers before anything exists that a signal could leave behind.
    let mut signals = Signals::listen().context("cannot listen for signals")?;
    let home = tempfile::Builder::new()
        .prefix("scanwatch-")
        .tempdir()
        .context("cannot create a temporary folder")?;
    config.jobs.dir = home.path().join("jobs");
    // The minimum of free space makes a service wait for space; this command must finish.
    // The jobs folder is removed afterwards.
    config.jobs.results_retention = Duration::ZERO;
    // Settings about other machines are meant for a server.
    config.engine.kind = EngineKind::Local;
    config.engine.nats.clear();
    (config.jobs.min_free_bytes, config.jobs.min_free_inodes) = (0, 0);
    config.jobs.max_queued_jobs = config.jobs.max_queued_jobs.max(targets.len());
    let engine =
        Engine::start(config, None).await.map_err(|error: StartError| anyhow!(chain(&error)))?;
    let inputs = home.path().join("inputs");
    let started = start_all(args, &engine, targets, &inputs).await;
    let outcome = match started {
        Ok(started) => follow_all(args, outputs, &engine, &started, &mut signals, began).await,
        Err(error) => Err(error),
    };
    let stop = async {
        // Cancel what still runs after an interrupt or an error.
        for job in engine.live.all().iter().filter(|job| !job.facts().state.is_final()) {
            engine.supervisor.cancel(job.id()).await;
        }
        engine.stop(STOP_GRACE).await;
    };
    tokio::select! {
        () = stop => {}
        // The shims end the scanners that are left.
        () = signals.next() => {}
    }
    if args.keep {
        let kept = home.keep();
        output::print_message(&format!("kept {}", kept.join("jobs").display()));
    } else {
        let path = home.path().to_owned();
        if let Err(error) = remove(home).await {
            output::print_error(&format!("cannot remove `{}`: {error}; remove it", path.display()));
            return outcome.map(|exit| exit.max(Exit::Usage));
        }
    }
    outcome
}

#[expect(clippy::disallowed_methods, reason = "the temporary folder of this command")]
async fn remove(home: TempDir) -> io::Result<()> {
    let (times, pause) = REMOVALS;
    for _ in 1..times {
        match fs::remove_dir_all(home.path()) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(_) => sleep(pause).await,
        }
    }
    home.close()
}

/// Starts the jobs. Not interrupted: each job is either known afterwards, and can be cancelled, or
/// does not exist.
async fn start_all(
    args: &ScanArgs,
    engine: &Engine,
    targets: Vec<(String, Wanted)>,
    inputs: &Path,
) -> anyhow::Result<Vec<Started>> {
    let mut started = Vec::new();
    for (number, (text, wanted)) in targets.into_iter().enumerate() {
        let (target, source) = match wanted {
            Wanted::Target(target) => (target, None),
            Wanted::File(file) => {
                let folder = file.lay(&inputs.join(number.to_string()));
                let folder = folder.context("cannot write a temporary file")?.canonicalize()?;
                (Target::Path(folder), Some(file.source))
            }
        };
        started.push(start(args, engine, text, target, source).await?);
    }
    Ok(started)
}

/// Follows the jobs to their ends, and reports their results.
async fn follow_all(
    args: &ScanArgs,
    outputs: &[Output],
    engine: &Engine,
    started: &[Started],
    signals: &mut Signals,
    began: Instant,
) -> anyhow::Result<Exit> {
    let follow = async {
        let mut scanned = Vec::new();
        for target in started {
            if target.listed {
                follow::group(&target.name, &target.job).await;
            } else {
                follow::repository(&target.name, &target.job).await;
                access::print_group_hint(&engine.config.get(), &target.job);
            }
            scanned.push(read_results(engine, target)?);
        }
        anyhow::Ok(scanned)
    };
    let scanned = tokio::select! {
        scanned = follow => Some(scanned?),
        () = signals.next() => None,
    };
    let group = (args.targets.len() > 1 || started.iter().any(|target| target.listed))
        .then(|| args.targets[0].clone());
    match scanned {
        Some(scanned) => {
            report(args, outputs, &Results { engine, scanned: &scanned, group }, began)
        }
        None => interrupted(outputs, engine, started, group).await,
    }
}

async fn start(
    args: &ScanArgs,
    engine: &Engine,
    text: String,
    target: Target,
    source: Option<String>,
) -> anyhow::Result<Started> {
    let options = Options { no_ignore: args.no_ignore, ..args.scan_options.options() };
    let (name, listed) = (target.name(), target.needs_discovery());
    let request = ScanRequest { url: text, options, ..ScanRequest::default() };
    let accepted = engine.intake.queue(target, request).await;
    let accepted = accepted.map_err(|error: IntakeError| anyhow!(chain(&error)))?;
    engine.nudger.nudge(&accepted.job_id).await;
    let job = engine.live.get(&accepted.job_id);
    let job = job.context("the job has disappeared from the jobs folder")?;
    Ok(Started { name, source, job, listed })
}

fn read_results(engine: &Engine, target: &Started) -> anyhow::Result<Scanned> {
    let Started { name, source, job, listed } = target;
    let mut results = BTreeMap::new();
    for repository in job.repositories() {
        let path = engine.jobs().job(job.id()).result(repository.index);
        if repository.state == RepoState::Completed && path.exists() {
            let file = crate::store::read::open(&path)
                .with_context(|| format!("cannot open the result `{}`", path.display()))?;
            let result: serde_json::Result<ScanResult> =
                serde_json::from_reader(BufReader::new(file));
            let result =
                result.with_context(|| format!("cannot read the result `{}`", path.display()))?;
            let mut result = result.of(&repository);
            if let Some(source) = source {
                result.git_url.clone_from(source);
            }
            results.insert(repository.index, result);
        }
    }
    Ok(Scanned { name: name.clone(), job: Arc::clone(job), listed: *listed, results })
}

/// Writes the results, and prints warnings and a summary. The exit code reports whether all
/// repositories completed.
fn report(
    args: &ScanArgs,
    outputs: &[Output],
    results: &Results<'_>,
    began: Instant,
) -> anyhow::Result<Exit> {
    let (scanned, plans) = (results.scanned, &results.engine.plans);
    for line in summary::warnings(scanned, args.verbose) {
        output::print_message(&line);
    }
    // A failed scan must not replace a good file with an empty one.
    if scanned.iter().any(|target| !target.results.is_empty()) {
        for output in outputs {
            let to_terminal = output.is_printed() && stdout().is_terminal();
            output.write(&results.render(output.format, to_terminal)?)?;
        }
    }
    output::print_message(&summary::summary(scanned, plans, began.elapsed()));
    let mut exit = Exit::Done;
    for target in scanned {
        let mut repositories = target.job.repositories().into_iter().peekable();
        let state = target.job.facts().state;
        if state == JobState::Completed && repositories.peek().is_none() {
            output::print_error(&summary::nothing_scanned(target, plans));
            exit = Exit::Failed;
        }
        let all_completed = repositories.all(|repository| repository.state == RepoState::Completed);
        if state != JobState::Completed || !all_completed {
            exit = Exit::Failed;
        }
    }
    Ok(exit)
}

/// Ends an interrupted scan: what is finished goes to `FILE.partial`.
async fn interrupted(
    outputs: &[Output],
    engine: &Engine,
    started: &[Started],
    group: Option<String>,
) -> anyhow::Result<Exit> {
    output::print_error("interrupted");
    for target in started {
        engine.supervisor.cancel(target.job.id()).await;
    }
    let scanned: anyhow::Result<Vec<_>> =
        started.iter().map(|target| read_results(engine, target)).collect();
    let scanned = scanned?;
    let results = Results { engine, scanned: &scanned, group };
    let finished: usize = scanned.iter().map(|target| target.results.len()).sum();
    if finished > 0 {
        for output in outputs {
            let bytes = results.render(output.format, false)?;
            if let Some(file) = output.write_partial(&bytes)? {
                output::print_message(&format!(
                    "the results of {finished} finished repositories are in `{}`",
                    file.display()
                ));
            }
        }
    }
    Ok(Exit::Interrupted)
}
