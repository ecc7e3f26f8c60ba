//! Runs every command of docs/troubleshooting.md during a scan. Only the port, the repository of
//! the standalone scan, and `tail -f` and `watch` differ: the latter run once.

use crate::support::{
    documents::{run, shell, shell_lines},
    files,
    forge::Forge,
    server::Setup,
};
use tempfile::TempDir;

const DOCUMENT: &str = include_str!("../../docs/troubleshooting.md");

/// The expected output of the commands that begin with each prefix.
const SHOWN: &[(&str, &str)] = &[
    ("jq . ", "\"status\": \"scanning\""),
    ("tail -f", "\"status\": \"scanning\""),
    ("watch", "[\"scanning\",3,10,null]"),
    ("jq -r '[.repo_name", "seen\tscanning\t"),
    ("jq '{status, total", "\"in_progress\""),
    ("tail -n 20", "a word of its own"),
    ("curl -s \"http://127.0.0.1:8000/scan/$JOB?view", "\"in_progress\":1"),
    ("curl -s 'http://127.0.0.1:8000/jobs?", "seen.git"),
    ("lslocks -o PID,PATH | grep \"$JOB\"", "repo_0.lock"),
    ("ps axe -o pid,args | grep \"SCANWATCH_TRACKING_ID\" | grep \"$JOB\"", "scanner.sh"),
    ("curl -s http://127.0.0.1:8000/health | jq .scanners", "\"running\": 1"),
    ("scanwatch worker", ""),
    ("jq '.packages", "1\n"),
    ("jq '{status, failure", "\"failure\": null"),
    ("curl -s \"http://127.0.0.1:8000/scan/$JOB/repositories/0/log", "a word of its own"),
    ("curl -s http://127.0.0.1:8000/health | jq -r", "healthy"),
    ("cat /proc/sys/fs/inotify/", "\n"),
    ("df -h", "Avail"),
    ("df -i", "IFree"),
    ("du -sh", ".staging"),
    ("du -s tmp", "tmp/scan_jobs/"),
    ("scanwatch config check", ""),
    ("lslocks -o PID,PATH | grep \"$(realpath", "/.lock"),
    ("curl -s http://127.0.0.1:8000/scan --json", "Domain not allowed: git.example.com"),
    ("curl -sN", "event: snapshot"),
    ("ps axe -o pid,args | grep \"SCANWATCH_TRACKING_ID\"", "scanner.sh"),
    ("ps ax -o", "scanwatch shim"),
];

/// Breaks if a command of the document does not work, or does not show what the document says.
#[tokio::test]
async fn the_commands_of_the_document_work() {
    let forge = Forge::start();
    forge.add_repository("owner/app", &[("package.json", br#"{"dependencies": {"a": "1.0.0"}}"#)]);
    let server = Setup::new()
        .shell(
            "echo a word of its own\n\
             say scanning '\"total_files\": 10, \"current_file\": 3'\n\
             echo > \"$dir/begun.part\"; mv \"$dir/begun.part\" \"$dir/begun\"\n\
             while [ ! -e \"$dir/enough\" ]; do sleep 0.05; done\n\
             say completed\n",
        )
        .start()
        .await;
    let home = TempDir::new().unwrap();
    std::fs::create_dir(home.path().join("tmp")).unwrap();
    std::os::unix::fs::symlink(server.setup().jobs(), home.path().join("tmp/scan_jobs")).unwrap();
    let job = server.submit("seen").await;
    server.note("begun").await;
    server.working(&job).await;

    let mut used = vec![false; SHOWN.len()];
    for line in shell_lines(DOCUMENT) {
        let known = SHOWN.iter().position(|(start, _)| line.starts_with(start));
        let line = line
            .replace("127.0.0.1:8000", &server.address().to_string())
            .replace("https://github.com/BurntSushi/ripgrep.git", &forge.url("owner/app"))
            .replace("tail -f ", "tail ")
            .replace("watch -n 1 ", "");
        if line.starts_with("JOB=") {
            let print = format!("{line}; printf %s \"$JOB\"");
            assert_eq!(run(shell(home.path(), &print).current_dir(home.path())), job);
            continue;
        }
        let known = known.unwrap_or_else(|| panic!("no test knows what this shows: {line}"));
        used[known] = true;
        let mut command = shell(home.path(), &line);
        command.env("JOB", &job).current_dir(home.path());
        let out = tokio::task::spawn_blocking(move || run(&mut command)).await.unwrap();
        assert!(out.contains(SHOWN[known].1), "{line}\n{out}");
    }
    let unused: Vec<_> = SHOWN.iter().zip(used).filter(|(_, used)| !used).collect();
    assert!(unused.is_empty(), "no longer in the document: {unused:?}");
    files::write(&server.file("enough"), "");
    assert_eq!(server.finished(&job).await["status"], "completed");
}

/// Breaks if the document does not explain a failure kind.
#[test]
fn every_kind_of_failure_is_explained() {
    let schema = schemars::schema_for!(scanwatch::model::FailureKind).to_value().to_string();
    let kinds: Vec<_> =
        schema.split("\"const\":\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert!(kinds.contains(&"out_of_memory") && kinds.len() >= 12, "{schema}");
    for kind in kinds {
        assert!(DOCUMENT.contains(&format!("| `{kind}` |")), "{kind}");
    }
}
