//! How many bytes a scan fetches and how long it takes, compared with a bare `git clone --depth 1` of the same
//! repository over HTTP; both are measured alternately within one run. The arguments are folders of sources,
//! which are committed to a repository: `cargo bench --bench fetching -- ~/src/project …`; the default is the
//! folder of this project. See docs/performance.md.

#![expect(clippy::print_stdout, reason = "a measurement is printed")]

#[path = "../tests/it/support/mod.rs"]
#[expect(
    dead_code,
    unused_imports,
    clippy::unwrap_used,
    clippy::unnecessary_debug_formatting,
    reason = "written for the tests, which use all of it"
)]
mod support;

use std::{
    error::Error,
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};
use support::forge::{Entry, Forge, program};

type Outcome<T> = Result<T, Box<dyn Error>>;

const ROUNDS: usize = 7;

fn main() -> Outcome<()> {
    let mut folders: Vec<PathBuf> = std::env::args_os()
        .skip(1)
        .filter(|argument| argument != "--bench")
        .map(PathBuf::from)
        .collect();
    if folders.is_empty() {
        folders.push(env!("CARGO_MANIFEST_DIR").into());
    }
    println!(
        "{:24} {:>7} {:>8}  {:>10} {:>10} {:>6}  {:>8} {:>8} {:>6}",
        "", "files", "packages", "clone kB", "scan kB", "ratio", "clone s", "scan s", "ratio"
    );
    for folder in folders {
        measure(&folder)?;
    }
    Ok(())
}

fn measure(folder: &Path) -> Outcome<()> {
    let forge = Forge::start();
    let files = sources(folder)?;
    let entries: Vec<Entry<'_>> =
        files.iter().map(|(path, bytes)| Entry::File(path.as_bytes(), bytes)).collect();
    let repository = forge.add_empty_repository("project");
    repository.commit("main", &entries);
    repository.allow_filters();
    repository.git(&["repack", "-adq"], b"");
    let url = forge.url("project");
    let (mut clones, mut scans) = (Vec::new(), Vec::new());
    let (mut of_clone, mut of_scan) = (0, 0);
    let mut packages = 0;
    for _ in 0..ROUNDS {
        let place = tempfile::tempdir()?;
        let before = forge.sent();
        let begin = Instant::now();
        let done = program("git")
            .args(["clone", "--quiet", "--bare", "--depth=1", &url])
            .arg(place.path().join("clone.git"))
            .status()?;
        clones.push(begin.elapsed());
        of_clone = forge.sent() - before;
        assert!(done.success(), "git clone {url}");

        let before = forge.sent();
        let begin = Instant::now();
        let scanned = program(env!("CARGO_BIN_EXE_scanwatch"))
            .args(["scan", "--format", "csv", &url])
            .current_dir(place.path())
            .output()?;
        scans.push(begin.elapsed());
        of_scan = forge.sent() - before;
        let stderr = String::from_utf8_lossy(&scanned.stderr);
        assert!(scanned.status.success(), "scanwatch scan {url}: {stderr}");
        packages = String::from_utf8_lossy(&scanned.stdout).lines().count().saturating_sub(1);
    }
    let (clone, scan) = (median(&mut clones), median(&mut scans));
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    #[expect(clippy::cast_precision_loss, reason = "printed with two decimals")]
    let ratio = of_scan as f64 / of_clone as f64;
    println!(
        "{name:24.24} {:7} {packages:8}  {:10} {:10} {ratio:6.2}  {:8.2} {:8.2} {:6.2}",
        files.len(),
        of_clone / 1000,
        of_scan / 1000,
        clone.as_secs_f64(),
        scan.as_secs_f64(),
        scan.as_secs_f64() / clone.as_secs_f64(),
    );
    Ok(())
}

/// All files below a folder, except those of git and of builds.
fn sources(folder: &Path) -> Outcome<Vec<(String, Vec<u8>)>> {
    let skipped = ["target", ".git"];
    let walk = walkdir::WalkDir::new(folder).sort_by_file_name();
    let wanted = walk
        .into_iter()
        .filter_entry(|entry| !skipped.iter().any(|name| entry.file_name().to_str() == Some(name)));
    let mut files = Vec::new();
    for entry in wanted {
        let entry = entry?;
        if entry.file_type().is_file()
            && let Some(path) = entry.path().strip_prefix(folder)?.to_str()
        {
            files.push((path.to_owned(), fs::read(entry.path())?));
        }
    }
    Ok(files)
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort();
    times[times.len() / 2]
}
