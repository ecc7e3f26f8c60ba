//! Searches of the packages of a job of 2,000 repositories with 500 packages each: the first request, which builds the
//! index, against one thread that reads the same files; the time of each further search; the memory of a row.

use crate::{
    Latencies, Outcome,
    server::{AUTHORIZATION, serve, write, write_job},
};
use std::{fmt::Write as _, fs, path::Path, time::Instant};

const REPOSITORIES: usize = 2_000;
const PACKAGES: usize = 500;
/// From how many names the packages of a repository are taken; of each name there are 12 versions.
const NAMES: usize = 40_000;
const ROUNDS: usize = 300;

pub(crate) fn measure() -> Outcome<()> {
    let home = tempfile::tempdir()?;
    write_job(home.path(), "group", REPOSITORIES)?;
    let results = home.path().join("group/results");
    fs::create_dir_all(&results)?;
    for repository in 0..REPOSITORIES {
        write(&results.join(format!("repo_{repository}.json")), &result(repository))?;
    }
    let server = serve(home.path())?;
    let mut connection = server.client(AUTHORIZATION)?;
    // The job itself is unpacked before.
    connection.get("/scan/group?view=summary")?;
    let begin = Instant::now();
    read_all(&results)?;
    let bare = begin.elapsed();
    let before = server.memory("VmRSS")?;
    let begin = Instant::now();
    connection.get("/scan/group/packages?name=none")?;
    let first = begin.elapsed();
    let grown = server.memory("VmRSS")?.saturating_sub(before);
    println!(
        "first search {:.2} s, one thread reads the files in {:.2} s, ratio {:.1}",
        first.as_secs_f64(),
        bare.as_secs_f64(),
        first.as_secs_f64() / bare.as_secs_f64(),
    );
    println!("{} bytes of memory a row", grown / (REPOSITORIES * PACKAGES));
    println!("{:44} {:>9} {:>9} {:>9}", "", "p50 ms", "p99 ms", "worst ms");
    for query in [
        "name=%40scope-7/package-1207",
        "fragment=kage-120",
        "fragment=PACKAGE",
        "ecosystem=pypi",
        "name=%40scope-7/package-1207&range=%3E%3D1.2,%3C3",
        "fragment=kage-120&range=%3C2",
        "fragment=package&range=%3C2",
        "page=9999",
    ] {
        let path = format!("/scan/group/packages?per_page=50&{query}");
        Latencies::of(ROUNDS, || connection.get(&path))?.print(query);
    }
    Ok(())
}

/// The result of a repository: some packages that nearly all have, and some of its own.
fn result(repository: usize) -> String {
    let mut text = String::from("{\"packages\":[");
    for number in 0..PACKAGES {
        // A fixed sequence that looks random; its square makes low numbers frequent.
        let mixed = (repository * 7_919 + number * 104_729) % NAMES;
        let name = mixed * mixed / NAMES;
        let version = format!("{}.{}.0", (repository + number) % 4, number % 3);
        let ecosystem = if number % 10 == 0 { "pypi" } else { "npm" };
        let comma = if number == 0 { "" } else { "," };
        // Writing to a `String` cannot fail.
        let _ = write!(
            text,
            r#"{comma}{{"name":"@scope-{}/package-{name}","version":"{version}","ecosystem":"{ecosystem}","purl":"pkg:{ecosystem}/%40scope-{}/package-{name}@{version}","file":"web/package-lock.json","line":{number},"direct":false,"scope":"runtime","source":"lockfile","requires":["pkg:npm/a@1.0.0","pkg:npm/b@2.0.0"]}}"#,
            name % 100,
            name % 100,
        );
    }
    text.push_str("]}");
    text
}

fn read_all(folder: &Path) -> Outcome<()> {
    for entry in fs::read_dir(folder)? {
        fs::read(entry?.path())?;
    }
    Ok(())
}
