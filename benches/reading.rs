//! The processor time of listing and reading a local repository, for each 10,000 entries of its tree,
//! compared with a bare `git ls-tree -r -l -z`; both are measured alternately within one run. The time of a scan
//! of a repository with one file, which is the start of the processes, is shown separately. The arguments are
//! folders of sources, which are committed to a repository: `cargo bench --bench reading -- ~/src/project …`;
//! the default is the folder of this project. See docs/performance.md.

#![expect(clippy::print_stdout, reason = "a measurement is printed")]

use std::{
    error::Error,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

type Outcome<T> = Result<T, Box<dyn Error>>;

const ROUNDS: u32 = 15;
/// The kernel's unit of processor time in `/proc/self/stat`: `USER_HZ`, 100 on every machine.
const MILLISECONDS_PER_TICK: f64 = 10.0;

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
        "{:24} {:>8} {:>7} {:>9}  {:>9} {:>12} {:>12} {:>6}",
        "", "entries", "parsed", "packages", "start", "ls-tree", "scan", "ratio"
    );
    for folder in folders {
        measure(&folder)?;
    }
    println!(
        "processor time of all processes together; without the start, for each 10,000 entries"
    );
    Ok(())
}

fn measure(folder: &Path) -> Outcome<()> {
    let place = tempfile::tempdir()?;
    let repository = place.path().join("project.git");
    put_under_git(folder, &repository)?;
    let result = place.path().join("result.json");
    let mut list = program("git");
    list.arg("-C").arg(&repository).args(["ls-tree", "-r", "-l", "-z", "HEAD"]);
    let mut scan = program(env!("CARGO_BIN_EXE_scanwatch"));
    scan.args(["scan", "--format", "json", "--output"]).arg(&result).arg(&repository);
    let empty = place.path().join("empty");
    fs::create_dir(&empty)?;
    fs::File::create(empty.join("README"))?;
    let nothing = place.path().join("nothing.git");
    put_under_git(&empty, &nothing)?;
    let mut start = program(env!("CARGO_BIN_EXE_scanwatch"));
    start.args(["scan", "--format", "json"]).arg(&nothing);
    let (mut of_list, mut of_scan, mut of_start) = (0.0, 0.0, 0.0);
    for _ in 0..ROUNDS {
        of_list += processor_time(&mut list)?;
        of_start += processor_time(&mut start)?;
        of_scan += processor_time(&mut scan)?;
    }
    of_scan -= of_start;
    let result: serde_json::Value = serde_json::from_slice(&fs::read(&result)?)?;
    let entries = result["files"]["seen"].as_u64().unwrap_or_default();
    let packages = result["packages"].as_array().map_or(0, Vec::len);
    #[expect(clippy::cast_precision_loss, reason = "printed with one decimal")]
    let each = f64::from(ROUNDS) * entries as f64 / 10_000.0;
    println!(
        "{:24} {entries:>8} {:>7} {packages:>9}  {:>6.1} ms {:>9.1} ms {:>9.1} ms {:>6.1}",
        folder.file_name().unwrap_or_default().display(),
        result["files"]["parsed"],
        of_start / f64::from(ROUNDS),
        of_list / each,
        of_scan / each,
        of_scan / of_list,
    );
    Ok(())
}

/// One commit of all files of a folder, in a bare repository with one pack.
fn put_under_git(folder: &Path, repository: &Path) -> Outcome<()> {
    let git = |arguments: &[&str]| -> Outcome<()> {
        let mut command = program("git");
        command.arg("--git-dir").arg(repository).arg("--work-tree").arg(folder);
        let identity = ["-c", "user.name=bench", "-c", "user.email=bench@localhost"];
        let done = command.args(identity).args(arguments).stdout(Stdio::null()).status()?;
        if done.success() { Ok(()) } else { Err(format!("git {arguments:?}: {done}").into()) }
    };
    let made = program("git").args(["init", "--quiet", "--bare"]).arg(repository).status()?;
    if !made.success() {
        return Err(format!("git init: {made}").into());
    }
    git(&["add", "--all", "."])?;
    git(&["commit", "--quiet", "--message", "All of it"])?;
    git(&["repack", "-adq"])
}

#[expect(clippy::disallowed_methods, reason = "a measurement starts programs as a user does")]
fn program(name: &str) -> Command {
    Command::new(name)
}

/// The processor time that a command and all its children take, in milliseconds.
fn processor_time(command: &mut Command) -> Outcome<f64> {
    let before = of_children()?;
    let done = command.stdout(Stdio::null()).stderr(Stdio::null()).status()?;
    if !done.success() {
        return Err(format!("{command:?}: {done}").into());
    }
    Ok((of_children()? - before) * MILLISECONDS_PER_TICK)
}

/// The processor time of all children that have been waited for, in ticks: `cutime` and `cstime` of proc(5).
fn of_children() -> Outcome<f64> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let ticks = |at: usize| -> Outcome<f64> { Ok(fields.get(at).ok_or("a short stat")?.parse()?) };
    Ok(ticks(13)? + ticks(14)?)
}
