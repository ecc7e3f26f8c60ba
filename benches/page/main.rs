//! How fast the page is in a headless Chromium: `cargo bench --bench page`. See docs/performance.md.
//!
//! | row | measured |
//! |---|---|
//! | `opening` | first paint, and the list of jobs and the fields ready for use, with a processor that is four times slower |
//! | `drawing` | from a click on a job of 10,000 repositories to its rows, the snapshot of the stream included |
//! | `scrolling` | frames a second while that job is scrolled and a hundred of its files change a second |
//! | `heap` | what scripts hold with that job open, after garbage is collected |
//!
//! Chromium, Node and `playwright-core` must be there: `PAGE_TOOLS` names a folder with `node_modules`.

#![expect(clippy::print_stdout, reason = "a measurement is printed")]

#[path = "../program/mod.rs"]
mod program;

use program::{Outcome, Program, command};
use serde_json::{Value, json};
use std::{env, fs, io::Write, path::Path};

/// The repositories of the large job, and the number of other jobs in the list.
const LARGE: usize = 10_000;
const OTHERS: usize = 60;

fn main() -> Outcome<()> {
    let tools = env::var("PAGE_TOOLS")
        .map_err(|_| "PAGE_TOOLS names no folder; npm install --prefix FOLDER playwright-core")?;
    let home = tempfile::tempdir()?;
    let jobs = home.path().join("jobs");
    for number in 0..OTHERS {
        lay(&jobs, &format!("other-{number}"), 8, "completed")?;
    }
    lay(&jobs, "large", LARGE, "scanning")?;
    // The jobs are old, and none of them expires.
    let server = Program::start(&jobs, |command| {
        command.args(["--set", "jobs.retention_hours=1000000"]);
    })?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/page/measure.mjs");
    let mut browser = command("node");
    browser.arg(script).arg(format!("http://{}", server.address)).arg(&jobs);
    browser.env("PAGE_TOOLS", tools).env("HOME", home.path()).env("TMPDIR", home.path());
    let measured = browser.output()?;
    if !measured.status.success() {
        return Err(String::from_utf8_lossy(&measured.stderr).into_owned().into());
    }
    print!("{}", String::from_utf8_lossy(&measured.stdout));
    Ok(())
}

/// Writes a job of another program, which the server serves and does not run.
fn lay(jobs: &Path, id: &str, count: usize, state: &str) -> Outcome<()> {
    let folder = jobs.join(id);
    fs::create_dir_all(&folder)?;
    let is_over = state == "completed";
    let write = |name: &str, document: &Value| {
        fs::File::create(folder.join(name))?.write_all(document.to_string().as_bytes())
    };
    for index in 0..count {
        write(
            &format!("repo_{index}.json"),
            &json!({
                "repo_index": index, "repo_name": format!("group/part-{index}"), "status": state, "total_files": 1000,
                "current_file": index % 1000, "current_filename": "src/package-lock.json", "message": "reads src/package-lock.json",
                "started_at": "2026-01-01T00:00:00Z", "last_update": "2026-01-01T00:00:10Z",
                "completed_at": is_over.then_some("2026-01-01T00:00:10Z"),
            }),
        )?;
    }
    write(
        "master.json",
        &json!({
            "job_id": id, "group_url": format!("https://gitlab.com/acme/{id}"), "total_repositories": count,
            "status": if is_over { "completed" } else { "in_progress" }, "started_at": "2026-01-01T00:00:00Z",
            "completed_at": is_over.then_some("2026-01-01T00:01:00Z"),
        }),
    )?;
    Ok(())
}
