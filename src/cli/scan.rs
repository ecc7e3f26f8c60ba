//! `scanwatch scan`: runs the engine of the service in this process, for the targets of the command
//! line.

mod access;
mod credential_helper;
mod follow;

use super::{
    Exit, SettingsArgs, logging, output, scan_options::ScanOptionsArgs, signals::Signals, table,
};
use crate::{
    api::resources::findings::FromFiles,
    app::{Engine, StartError},
    config::Config,
    intake::{IntakeError, ScanRequest, target::Target},
    live::LiveJob,
    model::{
        JobState, RepoState,
        declared::Declared,
        git_url::Refusal,
        master::Options,
        repository::RepositoryStatus,
        scan_result::{ScanResult, Warning},
    },
    sbom::{self, Budget, Document, Pretty},
    store::{chain, layout::JobsDir},
};
use anyhow::{Context, anyhow};
use chrono::Utc;
use clap::{Args, ValueEnum};
use std::{
    fs::OpenOptions,
    io::{BufReader, Write},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

/// The maximum number of printed warnings; the JSON result contains all.
const MAX_PRINTED_WARNINGS: usize = 20;
/// How long scanners may take to stop after an interrupt.
const STOP_GRACE: Duration = Duration::from_secs(15);

#[derive(Debug, Args)]
#[command(after_help = super::exit::CODES_OF_SCAN)]
pub(super) struct ScanArgs {
    /// Git URLs, groups, local folders, bare repositories. Targets on the command line are trusted.
    #[arg(required = true, value_name = "URL|PATH")]
    targets: Vec<String>,
    /// The output format.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Write the result to a file instead of standard output.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    scan_options: ScanOptionsArgs,
    /// In a git work tree, read ignored files too.
    #[arg(long)]
    no_ignore: bool,
    #[command(flatten)]
    access: access::AccessArgs,
    /// Keep the jobs folder (status files, logs, results), and print its path.
    #[arg(long)]
    keep: bool,
    #[command(flatten)]
    settings: SettingsArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A text table.
    Table,
    /// The result file; for several targets or a group, a list of result files.
    Json,
    /// CycloneDX 1.6 JSON; one repository or group at a time.
    Cyclonedx,
    /// SPDX 2.3 JSON; one repository or group at a time.
    Spdx,
    /// One line per package, for all targets.
    Csv,
}

impl Format {
    /// The name of a format that can describe only one target.
    fn single_target_name(self) -> Option<&'static str> {
        match self {
            Self::Cyclonedx => Some("cyclonedx"),
            Self::Spdx => Some("spdx"),
            Self::Table | Self::Json | Self::Csv => None,
        }
    }
}

/// The outcome of one target.
struct Scanned {
    job: Arc<LiveJob>,
    /// The results of its completed repositories.
    results: Vec<ScanResult>,
    /// The target may be a group: its repositories were listed by the forge.
    listed: bool,
}

pub(super) fn run(mut args: ScanArgs) -> Exit {
    if let (Some(format), true) = (args.format.single_target_name(), args.targets.len() > 1) {
        output::print_error(&format!(
            "--format {format} can describe only one target: name one target, or use --format json"
        ));
        return Exit::Usage;
    }
    let mut config = match std::mem::take(&mut args.settings).load(Vec::new()) {
        Ok(config) => config,
        Err(refused) => {
            output::print_error(&refused.to_string());
            return Exit::Usage;
        }
    };
    config.log.level = config.log.level.min(tracing::Level::WARN);
    logging::start(config.log);
    if let Err(reason) = access::grant(&args.access, &args.targets, &mut config) {
        output::print_error(&reason);
        return Exit::Usage;
    }
    let mut targets = Vec::new();
    for text in &args.targets {
        match Target::from_command_line(text, &mut config) {
            Ok(target) => targets.push((text.clone(), target)),
            Err(refusal) => {
                output::print_error(&format!(
                    "`{}`: {refusal}; {}",
                    redacted(text, &refusal),
                    remedy(&refusal)
                ));
                return Exit::Usage;
            }
        }
    }
    let scanned = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")
        .and_then(|runtime| runtime.block_on(scan_all(&args, config, targets)));
    match scanned {
        Ok(exit) => exit,
        Err(error) => {
            output::print_error(&format!("{error:#}"));
            Exit::Usage
        }
    }
}

async fn scan_all(
    args: &ScanArgs,
    mut config: Config,
    targets: Vec<(String, Target)>,
) -> anyhow::Result<Exit> {
    // Install the handlers before anything exists that a signal could leave behind.
    let mut signals = Signals::listen().context("cannot listen for signals")?;
    let home = tempfile::Builder::new()
        .prefix("scanwatch-")
        .tempdir()
        .context("cannot create a temporary folder")?;
    config.jobs.dir = home.path().join("jobs");
    // The minimum of free space makes a service wait for space; this command must finish.
    (config.jobs.min_free_bytes, config.jobs.min_free_inodes) = (0, 0);
    config.jobs.max_queued_jobs = config.jobs.max_queued_jobs.max(targets.len());
    let engine = Engine::start(config).await.map_err(|error: StartError| anyhow!(chain(&error)))?;
    let jobs = engine.jobs().clone();
    let work = scan_targets(args, &engine, targets);
    let outcome = tokio::select! {
        scanned = work => scanned.and_then(|scanned| report(args, &engine, &scanned)),
        () = signals.next() => {
            output::print_error("interrupted");
            Ok(Exit::Interrupted)
        }
    };
    // Cancel what still runs after an interrupt.
    for job in engine.live.all().iter().filter(|job| !job.facts().state.is_final()) {
        engine.supervisor.cancel(job.id()).await;
    }
    engine.stop(STOP_GRACE).await;
    if args.keep {
        let kept = home.keep();
        output::print_message(&format!("kept {}", kept.join("jobs").display()));
    } else {
        home.close().with_context(|| format!("cannot remove `{}`", jobs.root().display()))?;
    }
    outcome
}

async fn scan_targets(
    args: &ScanArgs,
    engine: &Engine,
    targets: Vec<(String, Target)>,
) -> anyhow::Result<Vec<Scanned>> {
    let mut started = Vec::new();
    for (text, target) in targets {
        let options = Options { no_ignore: args.no_ignore, ..args.scan_options.options() };
        let (name, listed) = (target.name(), target.needs_discovery());
        let request = ScanRequest { url: text, options, submitted_by: None };
        let accepted = engine.intake.queue(target, request).await;
        let accepted = accepted.map_err(|error: IntakeError| anyhow!(chain(&error)))?;
        engine.nudger.nudge(&accepted.job_id).await;
        let job = engine
            .live
            .get(&accepted.job_id)
            .context("the job has disappeared from the jobs folder")?;
        started.push((name, job, listed));
    }
    let mut scanned = Vec::new();
    for (name, job, listed) in started {
        if listed {
            follow::group(&name, &job).await;
        } else {
            follow::repository(&name, &job).await;
            access::print_group_hint(&engine.config.get(), &job);
        }
        let results = read_results(engine.jobs(), &job)?;
        scanned.push(Scanned { job, results, listed });
    }
    Ok(scanned)
}

fn read_results(jobs: &JobsDir, job: &LiveJob) -> anyhow::Result<Vec<ScanResult>> {
    let mut results = Vec::new();
    for repository in job.repositories() {
        let path = jobs.job(job.id()).result(repository.index);
        if repository.state == RepoState::Completed && path.exists() {
            let file = crate::store::read::open(&path)
                .with_context(|| format!("cannot open the result `{}`", path.display()))?;
            let result: serde_json::Result<ScanResult> =
                serde_json::from_reader(BufReader::new(file));
            let result =
                result.with_context(|| format!("cannot read the result `{}`", path.display()))?;
            results.push(result.of(&repository));
        }
    }
    Ok(results)
}

/// Writes the results, and prints warnings. The exit code tells whether all repositories completed.
fn report(args: &ScanArgs, engine: &Engine, scanned: &[Scanned]) -> anyhow::Result<Exit> {
    let results: Vec<&ScanResult> = scanned.iter().flat_map(|target| &target.results).collect();
    let one = args.targets.len() == 1 && !scanned.iter().any(|target| target.listed);
    let document = |format| -> anyhow::Result<String> {
        let group = args.targets.first().filter(|_| !one).cloned();
        let job = &scanned.first().context("nothing was scanned")?.job;
        let (completed, missing): (Vec<_>, Vec<_>) = job
            .repositories()
            .into_iter()
            .partition(|repository| repository.state == RepoState::Completed);
        let indices = |repositories: Vec<RepositoryStatus>| {
            repositories.iter().map(|repository| repository.index).collect()
        };
        let repositories = [indices(completed), indices(missing)];
        let findings = FromFiles::new(&engine.results, job, repositories, Box::new(|| true));
        let document = Document::new(format, group, findings, Utc::now(), Budget::default());
        let mut bytes = Vec::new();
        document.write_to(&mut Pretty::new(&mut bytes))?;
        bytes.push(b'\n');
        Ok(String::from_utf8(bytes)?)
    };
    let text = match args.format {
        Format::Table => {
            results.iter().map(|result| table::render(result)).collect::<Vec<_>>().join("\n")
        }
        Format::Json if one => pretty(&results.first())?,
        Format::Json => pretty(&results)?,
        Format::Cyclonedx => document(sbom::Format::CycloneDx)?,
        Format::Spdx => document(sbom::Format::Spdx)?,
        Format::Csv => {
            let rows = results.iter().flat_map(|result| {
                let packages = result.packages.iter().map(Declared::of);
                packages.map(|package| sbom::csv::row(&result.repo_name, &package))
            });
            std::iter::once(sbom::csv::heading()).chain(rows).collect()
        }
    };
    let warnings: Vec<&Warning> = results.iter().flat_map(|result| &result.warnings).collect();
    for warning in warnings.iter().take(MAX_PRINTED_WARNINGS) {
        output::print_message(&format!("warning: {}", describe(warning)));
    }
    if warnings.len() > MAX_PRINTED_WARNINGS {
        let more = warnings.len() - MAX_PRINTED_WARNINGS;
        output::print_message(&format!("warning: {more} more warnings; --format json prints all"));
    }
    let nothing = results.is_empty();
    match &args.output {
        // A failed scan must not replace a good file with an empty one.
        _ if nothing => {}
        None => output::write_data(text.as_bytes()).context("cannot write to standard output")?,
        Some(path) => write_file(path, text.as_bytes())?,
    }
    let mut exit = Exit::Done;
    for repository in scanned.iter().flat_map(|target| target.job.repositories()) {
        if repository.state != RepoState::Completed {
            exit = Exit::Failed;
        }
    }
    if scanned.iter().any(|target| target.job.facts().state != JobState::Completed) {
        exit = Exit::Failed;
    }
    Ok(exit)
}

fn pretty(value: &impl serde::Serialize) -> anyhow::Result<String> {
    let mut text =
        serde_json::to_string_pretty(value).context("cannot serialize the result as JSON")?;
    text.push('\n');
    Ok(text)
}

fn write_file(path: &std::path::Path, bytes: &[u8]) -> anyhow::Result<()> {
    use crate::store::atomic::{Durability, replace};
    let shown = || format!("cannot write `{}`", path.display());
    // Follow symbolic links; write to a pipe or a device instead of replacing it.
    let absolute = match path.metadata() {
        Ok(facts) if facts.is_file() => path.canonicalize().with_context(shown)?,
        Ok(_) => {
            let mut opened = OpenOptions::new().write(true).open(path).with_context(shown)?;
            return opened.write_all(bytes).with_context(shown);
        }
        Err(_) => std::path::absolute(path).context("cannot determine the working directory")?,
    };
    let folder = absolute.parent().unwrap_or(&absolute);
    replace(folder, &absolute, bytes, Durability::Flushed).map_err(|error| anyhow!(chain(&error)))
}

fn describe(warning: &Warning) -> String {
    let place = match warning.line {
        Some(line) => format!("{}:{line}", warning.file),
        None => warning.file.clone(),
    };
    output::printable(&format!("{place}: {}", warning.message))
}

/// The target as typed, without credentials.
fn redacted(text: &str, refusal: &Refusal) -> String {
    match refusal {
        Refusal::Userinfo => "https://***@…".to_owned(),
        _ => output::printable(text),
    }
}

fn remedy(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::Userinfo => {
            "set GITHUB_TOKEN or GITLAB_TOKEN, use a credential helper of git, or name the forge with its \
             token_file or token_env under [[forges]] in a settings file (--config)"
        }
        _ => "name a git URL, a folder or a bare repository",
    }
}
