//! How scanners are shut in on this machine, as far as it can be found out without one.
//!
//! Input: the settings, and what the kernel lets this process do. Output: facts for the
//! log, /health and the metrics.
//!
//! Invariants: nothing is less than it was without a line in the log; the built-in scanner's
//! sandbox is known by trying it, in a process of the same kind.

use crate::{
    config::ScannerConfig,
    model::{self_test::SelfTest, task::SandboxMode},
    sys::cgroup::{self, Confinement},
};
use std::{
    path::Path,
    process::Stdio,
    sync::{Mutex, OnceLock, PoisonError},
    time::{Duration, Instant},
};
use tokio::{process::Command, time::timeout};

/// How long it holds what is known of control groups.
const PROBE_INTERVAL: Duration = Duration::from_mins(1);
/// A self-test takes a few milliseconds.
const SELF_TEST_PATIENCE: Duration = Duration::from_secs(30);

/// What is known of it.
#[derive(Debug)]
pub struct Isolation {
    sandbox: SandboxKind,
    control_groups: Mutex<(Confinement, Instant)>,
    self_test: OnceLock<SelfTest>,
}

/// Whose sandbox scanners have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SandboxKind {
    /// That of the built-in scanner.
    BuiltIn(SandboxMode),
    /// Their own, if any: the program is the operator's.
    Custom,
}

impl SandboxKind {
    /// The word in /health and in the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BuiltIn(mode) => mode.as_str(),
            Self::Custom => "custom",
        }
    }
}

impl Isolation {
    /// Asks for control groups; the self-test is made by [`Self::test`].
    pub fn new(scanner: &ScannerConfig) -> Self {
        let sandbox = if scanner.command.is_empty() {
            SandboxKind::BuiltIn(scanner.sandbox.mode)
        } else {
            SandboxKind::Custom
        };
        let control_groups = Mutex::new((cgroup::probe(), Instant::now()));
        Self { sandbox, control_groups, self_test: OnceLock::new() }
    }

    /// Whose sandbox it is.
    pub fn sandbox(&self) -> SandboxKind {
        self.sandbox
    }

    /// What the self-test found; `None` until it is made, or where there is none.
    pub fn self_test(&self) -> Option<&SelfTest> {
        self.self_test.get()
    }

    /// By which means strays are caught, as it was when it was last asked.
    pub fn confinement(&self) -> Confinement {
        self.control_groups.lock().unwrap_or_else(PoisonError::into_inner).0
    }

    /// The same, asked again if that is long ago: control groups can be taken away.
    pub fn current_confinement(&self) -> Confinement {
        let mut known = self.control_groups.lock().unwrap_or_else(PoisonError::into_inner);
        if known.1.elapsed() >= PROBE_INTERVAL {
            let now = cgroup::probe();
            if now != known.0 {
                tracing::warn!(
                    confinement = now.as_str(),
                    before = known.0.as_str(),
                    "the confinement of scanners has changed"
                );
            }
            *known = (now, Instant::now());
        }
        known.0
    }

    /// What is wrong with it, in words for /health: only what keeps scans from beginning.
    pub fn problem(&self) -> Option<String> {
        let test = self.self_test()?;
        let fails = self.sandbox == SandboxKind::BuiltIn(SandboxMode::Require);
        (fails && !test.missing.is_empty()).then(|| {
            let missing = test.missing.join("; ");
            format!(
                "[scanner] sandbox = \"require\", but this kernel lacks a part, so every scan fails: {missing}"
            )
        })
    }

    /// Makes the self-test of the built-in scanner's sandbox, and says what came of it.
    pub async fn test(&self, scanner: &ScannerConfig, path: &str, staging: &Path) {
        let SandboxKind::BuiltIn(mode) = self.sandbox else {
            tracing::info!(
                sandbox = "custom",
                "a scanner of your own has the sandbox that it makes itself"
            );
            return;
        };
        match timeout(SELF_TEST_PATIENCE, ask(scanner, mode, path, staging)).await {
            Ok(Ok(found)) => {
                let possible = found.possible().collect::<Vec<_>>().join(", ");
                let missing = found.missing.join("; ");
                let (refused, attempts) = (found.refused(), found.attempts.len());
                let abi = found.landlock_abi;
                if missing.is_empty() && possible.is_empty() {
                    tracing::info!(
                        sandbox = found.sandbox,
                        landlock_abi = abi,
                        seccomp = found.seccomp,
                        refused,
                        attempts,
                        "scanners are shut in"
                    );
                } else {
                    tracing::warn!(
                        sandbox = found.sandbox,
                        landlock_abi = abi,
                        seccomp = found.seccomp,
                        refused,
                        attempts,
                        possible,
                        missing,
                        "scanners are shut in less than they could be"
                    );
                }
                // Made once.
                let _ = self.self_test.set(found);
            }
            Ok(Err(error)) => tracing::warn!(error, "the sandbox of scanners was not tested"),
            Err(_) => tracing::warn!("the self-test of the sandbox did not end"),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "this program once more; ended with its handle")]
async fn ask(
    scanner: &ScannerConfig,
    mode: SandboxMode,
    path: &str,
    staging: &Path,
) -> Result<SelfTest, String> {
    let paths: Vec<_> = scanner.sandbox.paths.iter().map(|it| it.to_string_lossy()).collect();
    let output = Command::new("/proc/self/exe")
        .arg0("scanwatch")
        .args(["worker", "--self-test-escape", "--json"])
        .env_clear()
        .env("PATH", path)
        .env("TMPDIR", staging)
        .env("SCANWATCH_SCANNER__SANDBOX", mode.as_str())
        .env("SCANWATCH_SCANNER__SANDBOX_PATHS", paths.join(","))
        .current_dir("/")
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|error| format!("it did not start: {error}"))?;
    serde_json::from_slice(&output.stdout).map_err(|error| {
        format!("{error}; it said: {}", String::from_utf8_lossy(&output.stderr).trim())
    })
}
