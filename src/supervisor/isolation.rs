//! The isolation of scanners on this machine: the control groups, and the sandbox as a self-test
//! finds it.
//!
//! Input: the settings, and what the kernel allows this process. Output: facts for the log, /health
//! and the metrics.
//!
//! Invariants: isolation is never reduced without a log line; the sandbox of the built-in scanner
//! is verified by a self-test in a process of the same kind.

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

/// How long the last probe of the control groups is valid.
const PROBE_INTERVAL: Duration = Duration::from_mins(1);
/// The timeout of the self-test, which takes a few milliseconds.
const SELF_TEST_PATIENCE: Duration = Duration::from_secs(30);

/// What is known about the isolation of scanners.
#[derive(Debug)]
pub struct Isolation {
    sandbox: SandboxKind,
    control_groups: Mutex<(Confinement, Instant)>,
    self_test: OnceLock<SelfTest>,
}

/// Which sandbox scanners run in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SandboxKind {
    /// The built-in scanner's.
    BuiltIn(SandboxMode),
    /// The custom scanner's own, if it has one.
    Custom,
}

impl SandboxKind {
    /// The name in /health and in the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BuiltIn(mode) => mode.as_str(),
            Self::Custom => "custom",
        }
    }
}

impl Isolation {
    /// Probes the control groups; [`Self::test`] runs the self-test.
    pub fn new(scanner: &ScannerConfig) -> Self {
        let sandbox = if scanner.command.is_empty() {
            SandboxKind::BuiltIn(scanner.sandbox_mode)
        } else {
            SandboxKind::Custom
        };
        let control_groups = Mutex::new((cgroup::probe(), Instant::now()));
        Self { sandbox, control_groups, self_test: OnceLock::new() }
    }

    /// Which sandbox scanners run in.
    pub fn sandbox(&self) -> SandboxKind {
        self.sandbox
    }

    /// The result of the self-test; `None` until it has run, or if there is none.
    pub fn self_test(&self) -> Option<&SelfTest> {
        self.self_test.get()
    }

    /// How stray processes are caught, according to the last probe.
    pub fn confinement(&self) -> Confinement {
        self.control_groups.lock().unwrap_or_else(PoisonError::into_inner).0
    }

    /// The same, probed again after a while: control groups can be taken away.
    pub fn current_confinement(&self) -> Confinement {
        let mut known = self.control_groups.lock().unwrap_or_else(PoisonError::into_inner);
        if known.1.elapsed() >= PROBE_INTERVAL {
            let now = cgroup::probe();
            if now != known.0 {
                tracing::warn!(
                    confinement = now.as_str(),
                    before = known.0.as_str(),
                    "the way in which the processes of scanners are confined has changed; only control groups (cgroup) catch every process: check the delegation of control groups to this service"
                );
            }
            *known = (now, Instant::now());
        }
        known.0
    }

    /// The problem for /health, if one keeps scans from starting.
    pub fn problem(&self) -> Option<String> {
        let test = self.self_test()?;
        let fails = self.sandbox == SandboxKind::BuiltIn(SandboxMode::Require);
        (fails && !test.missing.is_empty()).then(|| {
            let missing = test.missing.join("; ");
            format!(
                "[scanner] sandbox = \"require\", but this kernel does not support all of it, so every scan fails: {missing}"
            )
        })
    }

    /// Runs the self-test of the built-in scanner's sandbox and logs the result.
    pub async fn test(&self, scanner: &ScannerConfig, path: &str, staging: &Path) {
        let SandboxKind::BuiltIn(mode) = self.sandbox else {
            tracing::info!(
                sandbox = "custom",
                "a custom scanner is configured; scanwatch does not sandbox it"
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
                        "sandbox self-test passed; scanners are sandboxed"
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
                        "scanners are sandboxed only in part; `missing` names what this kernel lacks"
                    );
                }
                // The self-test runs once.
                let _ = self.self_test.set(found);
            }
            Ok(Err(error)) => tracing::warn!(
                error,
                "the sandbox self-test could not run; the sandbox level is unknown"
            ),
            Err(_) => {
                tracing::warn!("the sandbox self-test timed out; the sandbox level is unknown");
            }
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "runs this program's self-test; killed on drop")]
async fn ask(
    scanner: &ScannerConfig,
    mode: SandboxMode,
    path: &str,
    staging: &Path,
) -> Result<SelfTest, String> {
    let paths: Vec<_> = scanner.sandbox_paths.iter().map(|path| path.to_string_lossy()).collect();
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
        .map_err(|error| format!("cannot start the self-test: {error}"))?;
    serde_json::from_slice(&output.stdout).map_err(|error| {
        format!(
            "unreadable self-test result: {error}; stderr: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        )
    })
}
