//! `scanwatch archive`: lists and restores jobs of the archive in object storage, without a server.

use super::{
    Exit, SettingsArgs, exit,
    output::{self, printable},
    signals::Signals,
};
use crate::{
    archive::{ArchiveContents, ArchivedJob, StorageError},
    config::{ArchiveConfig, Config},
    model::{JobId, time::Timestamp},
    store::layout::JobsDir,
};
use chrono::Utc;
use clap::{Args, Subcommand};
use futures_util::TryStreamExt;
use serde_json::json;
use std::{io, path::PathBuf, pin::pin};

#[derive(Debug, Subcommand)]
pub(super) enum ArchiveCommand {
    /// List the jobs in the archive, in the order of their ids, which is that of their creation.
    #[command(after_help = exit::CODES_OF_ARCHIVE)]
    Ls(LsArgs),
    /// Restore the folder of a job, with its status files, results and logs.
    #[command(after_help = exit::CODES_OF_ARCHIVE)]
    Restore(RestoreArgs),
}

#[derive(Debug, Args)]
pub(super) struct LsArgs {
    /// Print a JSON object per job and line.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    settings: SettingsArgs,
}

#[derive(Debug, Args)]
pub(super) struct RestoreArgs {
    /// The job's id.
    job: JobId,
    /// The folder in which the job's folder is created, instead of the jobs folder of the settings.
    #[arg(long, value_name = "FOLDER")]
    to: Option<PathBuf>,
    #[command(flatten)]
    settings: SettingsArgs,
}

/// Why a command failed.
enum Failure {
    Storage(StorageError),
    Output(io::Error),
}

impl From<StorageError> for Failure {
    fn from(error: StorageError) -> Self {
        Self::Storage(error)
    }
}

pub(super) fn run(command: ArchiveCommand) -> Exit {
    let settings = match &command {
        ArchiveCommand::Ls(args) => args.settings.clone(),
        ArchiveCommand::Restore(args) => args.settings.clone(),
    };
    let config = match settings.load(Vec::new()) {
        Ok(config) => config,
        Err(refused) => return refuse(&refused.to_string()),
    };
    let Some(archive) = config.archive.clone() else {
        return refuse("the settings name no archive: set [archive] url");
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return refuse(&format!("cannot start the runtime: {error}")),
    };
    let exit = runtime.block_on(async {
        let work = async {
            match command {
                ArchiveCommand::Ls(args) => list(&archive, args.json).await,
                ArchiveCommand::Restore(args) => restore(&archive, &config, args).await,
            }
        };
        let mut signals = match Signals::listen() {
            Ok(signals) => signals,
            Err(error) => return refuse(&format!("cannot handle signals: {error}")),
        };
        tokio::select! {
            done = work => match done {
                Ok(()) => Exit::Done,
                Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Done,
                Err(Failure::Output(error)) => {
                    refuse(&format!("cannot write to standard output: {error}"))
                }
                Err(Failure::Storage(error)) => {
                    output::print_error(&printable(&error.to_string()));
                    exit_of(&error)
                }
            },
            () = signals.next() => Exit::Interrupted,
        }
    });
    runtime.shutdown_background();
    exit
}

fn refuse(text: &str) -> Exit {
    output::print_error(text);
    Exit::Usage
}

fn exit_of(error: &StorageError) -> Exit {
    if error.is_unavailability() {
        Exit::Unreachable
    } else if error.is_absence() || error.is_damage() {
        Exit::Failed
    } else {
        Exit::Usage
    }
}

async fn list(archive: &ArchiveConfig, as_json: bool) -> Result<(), Failure> {
    let contents = ArchiveContents::new(archive)?;
    let mut jobs = pin!(contents.jobs());
    let mut is_first = true;
    while let Some(job) = jobs.try_next().await? {
        let text = if as_json { line_of_json(&job) } else { line(&job, is_first) };
        output::write(text.as_bytes()).map_err(Failure::Output)?;
        is_first = false;
    }
    if is_first {
        output::print_message(&format!("no jobs in the archive in {}", archive.place));
    }
    Ok(())
}

fn line(ArchivedJob { header, uploaded_at }: &ArchivedJob, is_first: bool) -> String {
    let day = |at: Timestamp| at.format("%Y-%m-%d %H:%M").to_string();
    let row = |[job, status, completed, archived, url]: [&str; 5]| {
        format!("{job:36}  {status:21}  {completed:16}  {archived:16}  {url}\n")
    };
    let head = row(["JOB", "STATUS", "COMPLETED", "ARCHIVED", "URL"]);
    let url = printable(header.git_url.as_deref().unwrap_or("-"));
    let completed = day(header.finished_at);
    let row = row([
        header.job.as_str(),
        &printable(&header.status),
        &completed,
        &day(*uploaded_at),
        &url,
    ]);
    if is_first { format!("{head}{row}") } else { row }
}

fn line_of_json(ArchivedJob { header, uploaded_at }: &ArchivedJob) -> String {
    let row = json!({
        "job_id": header.job,
        "status": header.status,
        "git_url": header.git_url,
        "created_at": header.created_at,
        "completed_at": header.finished_at,
        "archived_at": uploaded_at,
        "repositories": header.repositories,
        "user": header.user,
    });
    format!("{row}\n")
}

async fn restore(
    archive: &ArchiveConfig,
    config: &Config,
    args: RestoreArgs,
) -> Result<(), Failure> {
    let contents = ArchiveContents::new(archive)?;
    let is_elsewhere = args.to.is_some();
    let folder = args.to.as_ref().unwrap_or(&config.jobs.dir);
    let jobs = JobsDir::new(folder).map_err(StorageError::of_local)?;
    let restored = contents.restore(&args.job, &jobs, config.jobs.folder_mode).await?;
    output::write(format!("{}\n", restored.path.display()).as_bytes()).map_err(Failure::Output)?;
    let expires = restored.finished_at + config.jobs.retention;
    if !is_elsewhere && expires < Utc::now() {
        output::print_message(
            "warning: this job has expired, so a server removes it again at its next clean-up; to keep it, use --to, or raise \
             [jobs] retention_hours",
        );
    }
    Ok(())
}
