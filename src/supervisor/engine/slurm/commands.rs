//! The programs of Slurm: `sbatch`, `squeue`, `scancel`.
//!
//! Input: arrays, names, numbers. Output: what the programs answer. Invariants: no argument, variable or script contains a
//! secret; no call outlasts its patience; an error is never an answer.

use super::listing::FORMAT;
use crate::{
    config::SlurmConfig,
    model::element::{ArrayName, COMMAND},
};
use std::{path::Path, process::Stdio, time::Duration};
use tokio::{io::AsyncWriteExt, process::Command, time::timeout};

/// How long a program may take: those of Slurm wait for their server for a while.
const PATIENCE: Duration = Duration::from_secs(30);

/// The variables that the programs get, if they are set: where Slurm is, and nothing else.
const VARIABLES: [&str; 4] = ["SLURM_CONF", "HOME", "USER", "LOGNAME"];

/// The programs, with the settings for them.
#[derive(Debug)]
pub(super) struct Commands {
    config: SlurmConfig,
    /// The `PATH` of the programs and of the jobs.
    path: String,
    /// The time limit of a job in minutes.
    minutes: u64,
}

impl Commands {
    pub(super) fn new(config: SlurmConfig, path: String, limit: Duration) -> Self {
        Self { config, path, minutes: limit.as_secs().div_ceil(60).max(1) }
    }

    /// Checks that the programs are there.
    ///
    /// # Errors
    /// Which one is not.
    pub(super) async fn check(&self) -> Result<(), String> {
        for program in ["sbatch", "squeue", "scancel"] {
            self.run(program, &["--version".to_owned()], "").await?;
        }
        Ok(())
    }

    /// Checks that Slurm would accept our jobs.
    ///
    /// # Errors
    /// What Slurm answers.
    pub(super) async fn test(&self) -> Result<(), String> {
        let mut arguments = vec!["--test-only".to_owned()];
        arguments.extend(self.options());
        self.run("sbatch", &arguments, "#!/bin/sh\n").await.map(drop)
    }

    /// Submits an array of this many elements.
    ///
    /// # Errors
    /// What Slurm answers. It may have accepted the array nevertheless.
    pub(super) async fn submit(
        &self,
        (array, count): (&ArrayName, usize),
        program: &Path,
        folder: &Path,
    ) -> Result<(), String> {
        let mut arguments = vec![
            "--parsable".to_owned(),
            format!("--job-name={}", array.job_name()),
            "--comment=scanwatch".to_owned(),
            format!("--array=0-{}", count - 1),
        ];
        arguments.extend(self.options());
        let (program, folder) = (quoted(program), quoted(folder));
        let script = format!("#!/bin/sh\nexec {program} {COMMAND} {folder} {array}\n");
        self.run("sbatch", &arguments, &script).await.map(drop)
    }

    /// The options of every job.
    fn options(&self) -> Vec<String> {
        let mut options = vec![
            // Attempts are ours to repeat.
            "--no-requeue".to_owned(),
            // Of this call's own environment, which is almost empty.
            "--export=ALL".to_owned(),
            "--chdir=/".to_owned(),
            "--input=/dev/null".to_owned(),
            "--output=/dev/null".to_owned(),
            "--error=/dev/null".to_owned(),
            "--ntasks=1".to_owned(),
            format!("--time={}", self.minutes),
        ];
        let SlurmConfig { partition, account, qos, sbatch_arguments, .. } = &self.config;
        for (name, value) in [("partition", partition), ("account", account), ("qos", qos)] {
            options.extend(value.as_ref().map(|value| format!("--{name}={value}")));
        }
        options.extend(sbatch_arguments.iter().cloned());
        options
    }

    /// Lists all jobs of this user, also those that ended a short time ago.
    ///
    /// # Errors
    /// Why there is no answer.
    pub(super) async fn list(&self) -> Result<String, String> {
        let user = rustix::process::getuid().as_raw();
        let mut arguments: Vec<String> =
            ["--noheader", "--array", "--states=all", FORMAT].map(str::to_owned).to_vec();
        arguments.push(format!("--user={user}"));
        self.run("squeue", &arguments, "").await
    }

    /// Cancels elements of an array. The name protects the jobs of others, whose numbers Slurm may have used before.
    ///
    /// # Errors
    /// What Slurm answers.
    pub(super) async fn cancel(&self, array: &ArrayName, ids: Vec<String>) -> Result<(), String> {
        let mut arguments = vec![format!("--name={}", array.job_name())];
        arguments.extend(ids);
        self.run("scancel", &arguments, "").await.map(drop)
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that starts programs of Slurm"
    )]
    async fn run(
        &self,
        program: &str,
        arguments: &[String],
        input: &str,
    ) -> Result<String, String> {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env_clear()
            .env("PATH", &self.path)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        for name in VARIABLES {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        let call = async {
            let mut child = command.spawn()?;
            if let Some(mut stdin) = child.stdin.take() {
                // A program that does not read reports why.
                let _ = stdin.write_all(input.as_bytes()).await;
            }
            child.wait_with_output().await
        };
        let output = match timeout(PATIENCE, call).await {
            Ok(Ok(output)) => output,
            Ok(Err(error)) => return Err(format!("cannot run `{program}`: {error}")),
            Err(_) => return Err(format!("{program} gave no answer for {} s", PATIENCE.as_secs())),
        };
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let errors = String::from_utf8_lossy(&output.stderr);
        let said: Vec<_> = errors.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        Err(format!("{program}: {}", said.join("; ")))
    }
}

/// A path as a word of the shell.
fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_word_of_the_shell() {
        assert_eq!(quoted(Path::new("/a b/$(id)'s")), r"'/a b/$(id)'\''s'");
    }
}
