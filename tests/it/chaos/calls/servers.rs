//! A server that is killed at each of its calls, or delayed at the worst one.

use super::{can_trace, entered, killed_at, killing_in_place, site, taken, tell};
use crate::{
    chaos::{
        account::{Account, ClientRequest},
        check::Checker,
        chosen,
        victims::Target,
    },
    support::{
        files,
        forge::Forge,
        order,
        processes::Process,
        server::{Setup, TestServer, is_final},
        wait::{PATIENCE, eventually, until},
    },
};
use reqwest::Method;
use rustix::process::Signal;
use scanwatch::store::{attempt, layout::JobsDir};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

/// A job whose shim died with its server, and another job that waits.
fn write_dead_attempt(setup: &Setup) -> Account {
    let job = setup.write_group(2);
    let folder = JobsDir::new(&setup.jobs()).unwrap().job(&job.parse().unwrap());
    let record = json!({ "schema": 1, "attempt": 1, "interruptions": 0,
        "started_at": chrono::Utc::now().to_rfc3339() });
    files::replace(&folder.attempt(0), record.to_string());
    assert!(attempt::read(&folder, 0).unwrap().is_some());
    let status = json!({ "status": "scanning", "attempt": 1, "revision": 3 });
    files::replace(&folder.status(0), status.to_string());
    let mut account = Account::new(job);
    account.note_killed(0, Target::Shim);
    account
}

/// Delays each call of a server that puts something into place.
fn holding_up(log: &Path) -> Vec<String> {
    let calls = "renameat,rename,fsync";
    let (trace, inject) = (format!("trace={calls}"), format!("inject={calls}:delay_enter=25000"));
    let log = log.display().to_string();
    ["strace", "-D", "-f", "-b", "execve", "-qq", "-y", "-o", &log, "-e", &trace, "-e", &inject]
        .map(str::to_owned)
        .to_vec()
}

/// Kills the server when it enters its N-th call, unless everything has ended before; returns the
/// call.
fn kill_at(number: usize, log: &Path, server: &Process, over: &AtomicBool) -> Option<String> {
    loop {
        let text = files::text(log);
        if let Some(call) = entered(&text).nth(number - 1) {
            server.signal(Signal::KILL);
            return Some(site(call));
        }
        if over.load(Ordering::Relaxed) {
            return None;
        }
        thread::sleep(Duration::from_millis(1));
    }
}

/// Everything a server writes files for: jobs with and without a forge's plan, ends of every kind,
/// a second attempt, a removal. Goes on as long as the server lives.
async fn ask_for_everything(server: &TestServer, forge: &Forge) -> Vec<Account> {
    let mut accounts = Vec::new();
    let send = async |method: Method, path: &str, body: Option<Value>| {
        let request = server.request(method, path);
        let request = if let Some(body) = body { request.json(&body) } else { request };
        server.try_send(request).await.ok()
    };
    let urls = [forge.url("solo/good"), format!("{}/team", forge.base()), forge.url("solo/bad")];
    for url in urls.into_iter().chain([forge.url("solo/slow"), forge.url("solo/good")]) {
        let answer = send(Method::POST, "/scan", Some(json!({ "git_url": url }))).await;
        let Some(answer) = answer else { return accounts };
        let id = answer.expect(200).json()["job_id"].as_str().unwrap().to_owned();
        accounts.push(Account::new(id));
        if url.contains("bad") {
            accounts.last_mut().unwrap().own_failure = Some("exit");
        }
    }
    let path = |position: usize| format!("/scan/{}", accounts[position].id);
    let paths: Vec<String> = (0..accounts.len()).map(path).collect();
    accounts[3].cancel = ClientRequest::Unanswered;
    if let Some(answer) = send(Method::POST, &format!("{}/cancel", paths[3]), None).await {
        let state = answer.expect(200).json()["status"].as_str().unwrap().to_owned();
        accounts[3].cancel = ClientRequest::Answered(state);
    }
    let over = async |path: &str| {
        until(PATIENCE, "the job is over, or its server", async || {
            match send(Method::GET, path, None).await {
                None => Some(false),
                Some(answer) => is_final(&answer.json()).then_some(true),
            }
        })
        .await
    };
    if over(&paths[2]).await {
        // Requested, whether it arrives or not.
        accounts[2].retries = 1;
        let _ = send(Method::POST, &format!("{}/retry", paths[2]), None).await;
    }
    if over(&paths[4]).await {
        accounts[4].removal = ClientRequest::Unanswered;
        if let Some(answer) = send(Method::DELETE, &paths[4], None).await {
            accounts[4].removal = ClientRequest::Answered(answer.expect(204).text);
        }
    }
    for path in &paths[..4] {
        over(path).await;
    }
    accounts
}

/// What kills a server at its N-th call.
#[derive(Debug, Clone, Copy)]
enum KilledBy {
    /// The test, while strace delays the call.
    Test(usize),
    /// strace, which counts the writes of each thread.
    Strace(usize),
}

/// Runs everything against a server that is killed on the way, then checks what the next one makes
/// of it. Returns the call it was killed at; none if it was not.
async fn fall(hand: KilledBy, forge: &Forge) -> Option<String> {
    let forges = format!("[{{ kind = \"gitlab\", url = \"{}\" }}]", forge.base());
    let setup = Setup::new().set("forges", &forges).shell(
        "say scanning\n\
         case $SCANWATCH_REPO_NAME in bad) exit 3;; slow) sleep 0.3;; esac\n\
         say completed\n",
    );
    let mut accounts = vec![write_dead_attempt(&setup)];
    let log = setup.folder().join("calls");
    let launcher = match hand {
        KilledBy::Test(_) => holding_up(&log),
        KilledBy::Strace(number) => killing_in_place("write", number, &log),
    };
    let launcher: Vec<&str> = launcher.iter().map(String::as_str).collect();
    let mut server = setup.launched_by(&launcher).not_yet();
    let begun = server.begin();
    let (process, over) = (server.process(), Arc::new(AtomicBool::new(false)));
    let killer = thread::spawn({
        let (log, over) = (log.clone(), Arc::clone(&over));
        move || match hand {
            KilledBy::Test(number) => kill_at(number, &log, &process, &over),
            KilledBy::Strace(_) => None,
        }
    });
    if server.is_up(begun).await {
        accounts.extend(ask_for_everything(&server, forge).await);
    }
    over.store(true, Ordering::Relaxed);
    let mut site = killer.join().unwrap();
    if site.is_some() {
        eventually("the server has fallen", async || server.has_died()).await;
    } else if server.has_died() {
        site = killed_at(&log);
    } else {
        server.kill9().await;
    }
    for account in &mut accounts {
        account.lost_its_server = true;
    }
    server.set_launcher(&[]);
    server.restart().await;
    Checker::default().check(&server, &accounts, None).await;
    site
}

/// Breaks if a server that dies at any of its calls loses a job, counts a death twice, or leaves
/// anything that the next one cannot repair.
#[tokio::test]
async fn a_server_that_dies_at_any_call_is_recovered() {
    if !can_trace() {
        return;
    }
    let forge = Forge::start();
    forge.group(&["team/a", "team/b", "solo/good", "solo/bad", "solo/slow"]);
    let mut sites: BTreeMap<String, usize> = BTreeMap::new();
    for number in (1..).step_by(chosen("SCANWATCH_EVERY", 19)) {
        // Once nothing is killed, there are no more such calls.
        let Some(site) = fall(KilledBy::Test(number), &forge).await else { break };
        *sites.entry(site).or_default() += 1;
    }
    for (_, number) in taken(&[("write", 40)], 13) {
        if let Some(site) = fall(KilledBy::Strace(number), &forge).await {
            *sites.entry(site).or_default() += 1;
        }
    }
    tell("server", &sites);
    assert!(sites.len() >= 3, "hardly anybody was killed: {sites:?}");
}

/// Breaks if a server finalizes an attempt whose late shim has started in the meantime: sent by a
/// server that was killed, it would be reported dead, and the repository scanned twice at once.
#[tokio::test]
async fn a_late_shim_is_adopted_and_not_finalized() {
    if !can_trace() {
        return;
    }
    let setup = Setup::new().shell("exit 9\n");
    let account = write_dead_attempt(&setup);
    let status: PathBuf = setup.jobs().join(&account.id).join("repo_0.json");
    // The server pauses between its check of the lock and its read of the status.
    let shown = status.display().to_string();
    let log = setup.folder().join("calls").display().to_string();
    let mut server = setup
        .launched_by(&[
            "strace",
            "-D",
            "-f",
            "-b",
            "execve",
            "-qq",
            "-o",
            &log,
            "-P",
            &shown,
            "-e",
            "trace=openat",
            "-e",
            "inject=openat:delay_enter=2500000:when=1",
        ])
        .not_yet();
    let begun = server.begin();
    eventually("it stands still", async || server.stands_still(Duration::from_millis(300)).await)
        .await;
    let script = format!(
        "echo run >> \"{0}/runs\"; while [ ! -e \"{0}/go\" ]; do sleep 0.02; done",
        server.folder().display()
    );
    let mut shim = order::start(&order::order(server.setup(), &account.id, 0, 2, &script));
    server.note("runs").await;
    assert!(server.is_up(begun).await);
    assert_eq!(server.progress(&account.id).await["repositories"][0]["status"], "starting");
    let record = server.job_folder(&account.id).join("locks/repo_0.attempt.json");
    assert_eq!(files::json(&record).unwrap()["attempt"], 2);
    files::write(&server.file("go"), "");
    assert_eq!(shim.wait().unwrap().code(), Some(0));
    server.finished(&account.id).await;
    assert_eq!(files::text(&server.file("runs")), "run\n");
    let file = server.status_file(&account.id, 0);
    assert_eq!((&file["status"], &file["attempt"]), (&json!("completed"), &json!(2)), "{file:#}");
}
