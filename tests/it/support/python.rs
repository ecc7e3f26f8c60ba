//! Third-party programs that validate our output, from the Python package index: installed once, at
//! one version, into a folder below `target/` that only these tests use.

use super::forge::program;
use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::LazyLock,
};

/// What is installed, by name and version.
const PACKAGES: [&str; 9] = [
    "schemathesis==4.32.5",
    "openapi-spec-validator==0.9.0",
    "prometheus-client==0.23.1",
    "pydantic==2.12.3",
    "requests==2.32.5",
    "cyclonedx-python-lib[json-validation]==11.12.0",
    "spdx-tools==0.8.5",
    "ntia-conformance-checker==6.0.0",
    "openapi-python-client==0.29.1",
];

/// A server of S3.
#[cfg(feature = "archive")]
const S3_SERVER: [&str; 1] = ["moto[server]==5.2.5"];

/// The templates of Go, as Helm renders them, and the schemas of Kubernetes.
const CHARTS: [&str; 3] = ["go-template==0.0.3", "kubernetes-validate==1.37.0", "pyyaml==6.0.3"];

/// The folder with the packages.
static TOOLS: LazyLock<PathBuf> = LazyLock::new(|| installed(&PACKAGES));

/// Installs packages, unless they are installed already; returns their folder.
fn installed(packages: &[&str]) -> PathBuf {
    // The compiled parts are for one Python.
    let tag = program("python3")
        .args(["-c", "import sys; print(sys.implementation.cache_tag)"])
        .output()
        .expect("the tests need python3");
    let tag = String::from_utf8_lossy(&tag.stdout).trim().to_owned();
    let key = packages.iter().map(|text| text.replace("==", "-")).collect::<Vec<_>>().join("_");
    let below = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let folder = below.join(format!("python-{tag}-{key}"));
    // Tests are separate processes, and only one of them may install.
    let lock = File::create(below.join("python.lock")).expect("target/ can be written");
    lock.lock().expect("a file can be locked");
    if !folder.exists() {
        let half = tempfile::Builder::new()
            .prefix("python-half-")
            .tempdir_in(below)
            .expect("target/ can be written");
        let mut install = program("python3");
        install
            .args(["-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"])
            .arg("--no-cache-dir")
            .arg("--target")
            .arg(half.path())
            .args(packages);
        succeed(&mut install);
        std::fs::rename(half.keep(), &folder).expect("a folder can be renamed in its place");
    }
    folder
}

/// Python with these packages.
pub(crate) fn python() -> Command {
    with_packages(&TOOLS)
}

/// Python that renders and checks a Helm chart.
pub(crate) fn chart_checker() -> Command {
    with_packages(&installed(&CHARTS))
}

/// Python with a server of S3.
#[cfg(feature = "archive")]
pub(crate) fn s3_server() -> Command {
    with_packages(&installed(&S3_SERVER))
}

fn with_packages(folder: &Path) -> Command {
    let mut command = program("python3");
    command.env("PYTHONPATH", folder).env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

/// Runs a script that must succeed; returns its output.
pub(crate) fn run_script(script: &str, arguments: &[&Path]) -> String {
    let Output { stdout, .. } = succeed(python().arg("-c").arg(script).args(arguments));
    String::from_utf8(stdout).expect("Python prints UTF-8")
}

/// Runs a program, and fails with its output unless it succeeds.
pub(crate) fn succeed(command: &mut Command) -> Output {
    let done = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        done.status.success(),
        "{command:?}: {}\n{}{}",
        done.status,
        text(&done.stdout),
        text(&done.stderr)
    );
    done
}
