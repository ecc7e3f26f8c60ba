//! A real agent in its own folder: started, killed, stopped, restarted.

use super::{files, forge::program, nats_server::NatsServer, processes};
use rustix::process::{Pid, Signal, kill_process};
use scanwatch::wire::{
    names::AgentName,
    seal::{AgentKey, PublicKey},
};
use serde_json::json;
use std::{
    fmt::{Display, Write},
    fs::{self, File, Permissions},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Output, Stdio},
    time::Duration,
};
use tempfile::TempDir;

/// What shell scanners begin with: `$dir` is the agent's folder, `$task` the line from standard input, `say STATUS
/// [MEMBERS]` replaces the status file, `result` writes a result without packages.
const PRELUDE: &str = r#"
set -u
dir='@DIR@'
read -r task || :
attempt=$(printf '%s' "$task" | sed -n 's/.*"attempt": *\([0-9]*\).*/\1/p')
say() {
    printf '{"repo_index": %s, "repo_name": "%s", "status": "%s", "last_update": "%s"%s}\n' \
        "$SCANWATCH_REPO_INDEX" "$SCANWATCH_REPO_NAME" "$1" \
        "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "${2:+, $2}" > status.part &&
        mv status.part "$SCANWATCH_STATUS_FILE"
}
echo "$SCANWATCH_JOB_ID $SCANWATCH_REPO_INDEX $attempt $$" >> "$dir/runs"
"#;

/// A scan that reports progress, and completes once the file `go` exists.
pub(crate) const WAITING: &str = r#"
echo "working on $SCANWATCH_REPO_NAME"
say scanning '"total_files": 2, "current_file": 1'
while [ ! -e "$dir/go" ]; do sleep 0.02; done
printf '{"schema": 1, "packages": []}' > result.part && mv result.part "$SCANWATCH_RESULT_FILE"
say completed
"#;

/// An agent. Dropped, it and all its scans are killed.
#[derive(Debug)]
pub(crate) struct TestAgent {
    folder: TempDir,
    name: AgentName,
    settings: String,
    variables: Vec<(String, String)>,
    key: PublicKey,
    child: Option<Child>,
}

impl TestAgent {
    /// An agent with a key, and a scanner that is this shell script; not started.
    pub(crate) fn new(name: &str, nats: &NatsServer, script: &str) -> Self {
        let folder =
            tempfile::Builder::new().prefix("scanwatch-agent-").tempdir().expect("a folder");
        let path = folder.path().join("scanner.sh");
        let here = folder.path().display().to_string();
        files::write(&path, format!("{PRELUDE}{script}").replace("@DIR@", &here));
        let key = AgentKey::generate();
        let key_file = folder.path().join("agent.key");
        files::write(&key_file, key.seed().expect("a new key has a seed"));
        fs::set_permissions(&key_file, Permissions::from_mode(0o600)).expect("its own file");
        let agent = Self {
            name: name.parse().expect("a name"),
            settings: String::new(),
            variables: Vec::new(),
            key: key.public(),
            child: None,
            folder,
        };
        agent
            .set("agent.name", json!(name))
            .set("agent.nats", json!([nats.url()]))
            .set("agent.dir", json!(here.clone() + "/work"))
            .set("agent.key_file", json!(key_file))
            .set("agent.slots", 1)
            .set("scanner.command", json!(["/bin/sh", path]))
            .set("scanner.kill_grace_secs", 1)
            .set("log.level", json!("debug"))
            .set("jobs.min_free_bytes", 0)
    }

    /// Sets a key of the settings file, dotted; the value is spelled as in TOML.
    pub(crate) fn set(mut self, key: &str, value: impl Display) -> Self {
        self.settings = self
            .settings
            .lines()
            .filter(|line| !line.starts_with(&format!("{key} = ")))
            .fold(String::new(), |text, line| text + line + "\n");
        writeln!(self.settings, "{key} = {value}").expect("text grows");
        self
    }

    /// Sets a variable of the agent's environment.
    pub(crate) fn variable(mut self, name: &str, value: impl Display) -> Self {
        self.variables.push((name.to_owned(), value.to_string()));
        self
    }

    pub(crate) fn name(&self) -> &AgentName {
        &self.name
    }

    pub(crate) fn key(&self) -> &PublicKey {
        &self.key
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The folder of its running scans.
    pub(crate) fn work(&self) -> PathBuf {
        self.folder().join("work")
    }

    pub(crate) fn log(&self) -> String {
        files::text(&self.folder().join("log"))
    }

    /// Lets waiting scanners complete.
    pub(crate) fn release(&self) {
        files::write(&self.folder().join("go"), "");
    }

    fn command(&self) -> std::process::Command {
        let settings = self.folder().join("settings.toml");
        files::write(&settings, &self.settings);
        let mut command = program(super::binary());
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Whether it runs. An agent that has ended can be started again.
    pub(crate) fn runs_now(&mut self) -> bool {
        let has_ended =
            self.child.as_mut().is_some_and(|child| !matches!(child.try_wait(), Ok(None)));
        if has_ended {
            self.child = None;
        }
        self.child.is_some()
    }

    /// Runs a subcommand of `scanwatch agent` with the agent's settings.
    pub(crate) fn run(&self, words: &[&str]) -> Output {
        let mut command = self.command();
        command.arg("agent").args(words);
        command.arg("--config").arg(self.folder().join("settings.toml"));
        command.output().expect("the program runs")
    }

    /// Starts it; it must not run.
    pub(crate) fn start(&mut self) {
        assert!(self.child.is_none(), "the agent runs");
        let log = File::options().create(true).append(true).open(self.folder().join("log"));
        let mut command = self.command();
        let child = command
            .args(["agent", "--config"])
            .arg(self.folder().join("settings.toml"))
            .stdout(Stdio::null())
            .stderr(log.expect("a log can be made"))
            .spawn();
        self.child = Some(child.expect("the program starts"));
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let child = self.child.as_ref().expect("the agent runs");
        let pid = Pid::from_child(child);
        kill_process(pid, signal).expect("the agent can be signalled");
    }

    /// Kills it, and not its scans.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Waits until it has ended by itself; returns its exit code.
    pub(crate) async fn ended(&mut self, patience: Duration) -> Option<i32> {
        let mut child = self.child.take().expect("the agent runs");
        let begin = std::time::Instant::now();
        loop {
            if let Some(status) = child.try_wait().expect("a child can be waited for") {
                return status.code();
            }
            if begin.elapsed() > patience {
                let _ = child.kill();
                panic!("the agent did not end within {patience:?}:\n{}", self.log());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// The attempts whose scanners have started, as `index/attempt`.
    pub(crate) fn runs(&self) -> Vec<String> {
        let text = files::text(&self.folder().join("runs"));
        let run = |line: &str| {
            let words: Vec<_> = line.split(' ').collect();
            format!("{}/{}", words[1], words[2])
        };
        text.lines().map(run).collect()
    }

    /// The processes of its scans that live.
    pub(crate) fn scans(&self) -> Vec<u32> {
        processes::carrying(&[self.work().display().to_string()])
    }
}

impl Drop for TestAgent {
    fn drop(&mut self) {
        if std::thread::panicking() {
            #[expect(clippy::print_stderr, reason = "the test failed: this is why")]
            {
                eprintln!("--- log of agent {}\n{}", self.name, self.log());
            }
        }
        if self.child.is_some() {
            self.signal(Signal::CONT);
        }
        self.kill();
        // The shims first: they would finalize the others.
        for _ in 0..3 {
            for pid in self.scans() {
                processes::kill_any(pid);
            }
        }
    }
}
