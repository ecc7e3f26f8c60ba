//! A real browser: Debian's Chromium, driven by playwright-core of the npm registry, which is installed once into a
//! folder below `target/` that only these tests use.

use super::{forge::program, python::succeed};
use std::{
    fs::File,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::LazyLock,
};

/// What is installed, by name and version.
const PACKAGES: [&str; 2] = ["playwright-core@1.65.1", "axe-core@4.14.1"];

/// The folder with the packages.
static TOOLS: LazyLock<PathBuf> = LazyLock::new(|| {
    let below = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let folder = below.join(format!("node-{}", PACKAGES.join("_").replace('@', "-")));
    // Tests are separate processes, and only one of them may install.
    let lock = File::create(below.join("node.lock")).expect("target/ can be written");
    lock.lock().expect("a file can be locked");
    if !folder.exists() {
        let half = tempfile::Builder::new()
            .prefix("node-half-")
            .tempdir_in(below)
            .expect("target/ can be written");
        let mut install = program("npm");
        install.args(["install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts"]);
        install.args(["--no-save", "--cache"]).arg(half.path().join(".cache"));
        install.arg("--prefix").arg(half.path()).args(PACKAGES).env("HOME", half.path());
        // Node has authorities of its own; a machine may reach the registry by one that only the system knows.
        install.env("NODE_EXTRA_CA_CERTS", "/etc/ssl/certs/ca-certificates.crt");
        succeed(&mut install);
        std::fs::rename(half.keep(), &folder).expect("a folder can be renamed in its place");
    }
    folder
});

/// A scenario in a browser: a function of `scenarios.mjs`, which fails by an exit code.
pub(crate) fn scenario(name: &str, home: &Path, address: &str) -> Command {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/page/scenarios.mjs");
    let mut command = program("node");
    command.arg(scripts).args([name, address]).arg(home);
    command.env("HOME", home).env("TMPDIR", home).env("PAGE_TOOLS", &*TOOLS);
    command
}

/// Runs a scenario to its end.
pub(crate) async fn plays(name: &'static str, home: &Path, address: String) {
    let home = home.to_owned();
    let played = tokio::task::spawn_blocking(move || {
        succeed(&mut scenario(name, &home, &address));
    });
    played.await.expect("the scenario passes");
}

/// A scenario that waits for the test at some places.
pub(crate) struct Playing {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Playing {
    /// Begins a scenario.
    pub(crate) fn begin(mut scenario: Command) -> Self {
        scenario.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = scenario.spawn().expect("node starts");
        let input = child.stdin.take().expect("it has an input");
        let output = BufReader::new(child.stdout.take().expect("it has an output"));
        Self { child, input, output }
    }

    /// Waits for the next line that the scenario says. Without one, the scenario has failed.
    pub(crate) async fn hear(mut self) -> (Self, String) {
        let heard = tokio::task::spawn_blocking(move || {
            let mut line = String::new();
            self.output.read_line(&mut line).expect("it can be read");
            (self, line.trim_end().to_owned())
        });
        heard.await.expect("a line can be waited for")
    }

    /// Waits until the scenario says that its pages are live.
    pub(crate) async fn live(self) -> Self {
        let (playing, line) = self.hear().await;
        assert_eq!(line, "live");
        playing
    }

    /// Lets the scenario go on behind the place at which it waits for this word.
    pub(crate) fn tell(&mut self, word: &str) {
        writeln!(self.input, "{word}").expect("the scenario still plays");
    }

    /// Waits for the end.
    pub(crate) async fn end(mut self) {
        drop(self.input);
        let done = tokio::task::spawn_blocking(move || self.child.wait().expect("it ends"));
        let status = done.await.expect("it ends");
        assert!(status.success(), "the scenario failed: {status}");
    }
}
