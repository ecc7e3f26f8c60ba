//! A shim and the built-in scanner, killed at each of their calls.

use super::{can_trace, killed_at, killing_at, killing_in_place, taken, tell};
use crate::{
    chaos::{account::Account, check::Checker, victims::Target},
    support::{files, forge::Forge, order, server::Setup},
};
use serde_json::json;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
};

/// Breaks if a shim that dies at any of its calls loses its repository, has it scanned twice, or
/// leaves a file, a folder or a process behind.
#[tokio::test]
async fn a_shim_that_dies_at_any_call_is_recovered() {
    if !can_trace() {
        return;
    }
    let setup = Setup::new().shell(
        "echo \"$SCANWATCH_REPO_INDEX $attempt\" >> \"$dir/runs\"\nsay scanning\nsay completed\n",
    );
    let plan = taken(&[("renameat", 4), ("fsync", 8), ("write", 16)], 1);
    let job = setup.write_group(plan.len());
    let script = "printf '{\"status\": \"scanning\"}' > part; mv part \"$SCANWATCH_STATUS_FILE\"\n\
                  printf '{}' > part; mv part \"$SCANWATCH_RESULT_FILE\"\n\
                  sleep 0.3\n\
                  printf '{\"status\": \"completed\"}' > part; mv part \"$SCANWATCH_STATUS_FILE\"\n";
    let log = |index: usize| setup.folder().join(format!("calls-{index}"));
    let mut account = Account::new(job.clone());
    // A few at a time, as a server runs them.
    for (some, chunk) in plan.chunks(4).enumerate() {
        let shims = chunk.iter().enumerate().map(|(place, (call, number))| {
            let index = some * 4 + place;
            let mut order = order::order(&setup, &job, u32::try_from(index).unwrap(), 1, script);
            order.scan.repo_name = format!("part-{index}");
            order::start_by(&killing_in_place(call, *number, &log(index)), &order)
        });
        for mut shim in shims.collect::<Vec<_>>() {
            shim.wait().unwrap();
        }
    }
    let mut sites = BTreeMap::new();
    for (index, name) in
        (0..plan.len()).filter_map(|number| Some((number, killed_at(&log(number))?)))
    {
        account.note_killed(u32::try_from(index).unwrap(), Target::Shim);
        *sites.entry(name).or_default() += 1;
    }
    tell("shim", &sites);
    assert!(sites.len() >= plan.len().min(6) / 2, "hardly anybody was killed: {sites:?}");
    let server = setup.start().await;
    server.finished(&job).await;
    Checker::default().check(&server, &[account], None).await;
    let text = files::text(&server.file("runs"));
    let runs: Vec<&str> = text.lines().collect();
    let once: BTreeSet<&str> = runs.iter().copied().collect();
    assert_eq!(once.len(), runs.len(), "scanned twice over: {text}");
}

/// Breaks if the built-in scanner, killed at any of its calls, leaves half a file, a result without
/// a final state, or its git; or if its death is reported as another cause.
#[tokio::test]
async fn a_scanner_that_dies_at_any_call_fails_by_signal() {
    if !can_trace() {
        return;
    }
    let forge = Forge::start();
    let plan = taken(&[("renameat", 6), ("fsync", 5), ("write", 10)], 1);
    let paths: Vec<String> =
        (0..plan.len()).map(|number| format!("calls/part-{number:03}")).collect();
    forge.group(&paths.iter().map(String::as_str).collect::<Vec<_>>());
    let setup = Setup::new();
    let folder = setup.folder().to_owned();
    let mut cases = String::new();
    for (path, (call, number)) in paths.iter().zip(&plan) {
        let name = path.strip_prefix("calls/").unwrap();
        let words = killing_at(call, *number, &folder.join(name)).join(" ");
        let scanner = env!("CARGO_BIN_EXE_scanwatch");
        writeln!(cases, "{name}) exec {words} {scanner} worker ;;").unwrap();
    }
    // Not the usual prelude: the scanner reads the task.
    let script = folder.join("traced.sh");
    files::write(&script, format!("case $SCANWATCH_REPO_NAME in\n{cases}esac\n"));
    let forges = format!("[{{ kind = \"gitlab\", url = \"{}\" }}]", forge.base());
    let server = setup
        .set("forges", forges)
        .command(&["/bin/sh", &script.display().to_string()])
        .start()
        .await;
    let url = format!("{}/calls", forge.base());
    let mut account = Account::new(server.submit_with(&json!({ "git_url": url })).await);
    server.finished(&account.id).await;
    let mut sites = BTreeMap::new();
    for index in 0..u32::try_from(plan.len()).unwrap() {
        let file = server.status_file(&account.id, index);
        let site = killed_at(&folder.join(file["repo_name"].as_str().unwrap()));
        // If it is killed after its final status, that status stands.
        assert!(site.is_some() || file["failure"]["signal"] != 9, "{file:#}");
        if let Some(site) = site {
            account.note_killed(index, Target::Scanner);
            *sites.entry(site).or_default() += 1;
        }
    }
    tell("scanner", &sites);
    assert!(sites.len() >= plan.len().min(6) / 2, "hardly anybody was killed: {sites:?}");
    Checker::default().check(&server, &[account], None).await;
}
