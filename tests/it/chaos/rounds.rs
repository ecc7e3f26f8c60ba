//! Round after round: a few jobs, a few kills, and then everything is checked.

use super::{
    account::Account,
    check::{self, Checker},
    chosen,
    reader::Reader,
    say,
    script::{self, Odds, Offer, Script},
    victims::{Deaths, Killer, Target},
};
use crate::support::{
    dice::Dice,
    files,
    forge::{Behaviour, Forge, program},
    server::{Setup, TestServer},
};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// The defaults, where nothing is chosen.
const SEED: u64 = 0x5eed_0c4a_05c0_ffee;
const ROUNDS: u64 = 10;
/// A long run reports its progress once every so many rounds.
const SAID_EVERY: u64 = 50;
/// The time in which every job must end after the last kill.
const LONGEST: Duration = Duration::from_secs(45);

/// Works for a moment in small steps, each recorded in its file, with a grandchild that leads its
/// own session below a child that may be killed.
const STEPPING: &str = r#"
[ -n "$attempt" ] || exit 3  # its shim died before it could say what is to be done
echo "$SCANWATCH_JOB_ID $SCANWATCH_REPO_INDEX $attempt" >> "$dir/runs"
tell() { say "$1" "\"attempt\": $attempt, \"total_files\": 6, \"current_file\": $2"; }
tell scanning 0
sh -c 'setsid sleep 300 & sleep 300 & wait' &
pause=0.0$(( $$ % 4 ))
case $SCANWATCH_REPO_NAME in *slow*) pause=0.13 ;; esac
step=1
while [ $step -lt 6 ]; do
    tell scanning $step
    sleep $pause
    step=$((step + 1))
done
printf '{"packages": []}' > result.part && mv result.part "$SCANWATCH_RESULT_FILE"
tell completed 6
"#;

/// To repeat a failure, the round must be known.
struct Named {
    seed: u64,
    round: u64,
    what: &'static str,
}

impl Drop for Named {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Self { seed, round, what } = self;
            say(format!(
                "failed in round {round} of seed {seed}; to play it alone: SCANWATCH_SEED={seed} \
                 SCANWATCH_FIRST_ROUND={round} SCANWATCH_ROUNDS=1 cargo nextest run {what}"
            ));
        }
    }
}

/// The totals of a run.
#[derive(Debug, Default)]
struct Tally {
    jobs: u64,
    deaths: BTreeMap<Target, u64>,
    missed: u64,
    falls_at_start: u64,
    longest: Duration,
}

impl Tally {
    fn take(&mut self, accounts: &[Account], deaths: &Deaths, took: Duration) {
        self.jobs += accounts.len() as u64;
        for (_, kill) in &deaths.of_scans {
            *self.deaths.entry(kill.target).or_default() += 1;
        }
        *self.deaths.entry(Target::Server).or_default() += u64::from(deaths.server);
        self.missed += deaths.missed.len() as u64;
        self.longest = self.longest.max(took);
    }
}

/// Repositories in a group and alone, one of each slow.
fn offer(forge: &Forge) -> Offer {
    forge.group(&["team/a", "team/b", "team/slow", "solo/a", "solo/b", "solo/slow"]);
    let mut dice = Dice::new(7);
    // Content that does not compress takes its time to transfer.
    let noise: Vec<u8> = (0..24_000).map(|_| u8::try_from(dice.below(256)).unwrap()).collect();
    for path in ["team/slow", "solo/slow"] {
        forge.repository(path).commit(
            "main",
            &[
                crate::support::forge::Entry::File(b"noise", &noise),
                crate::support::forge::Entry::File(b"requirements.txt", b"flask==3.0.3\n"),
            ],
        );
        forge.behave_at(path, Behaviour::Slow(48_000));
    }
    let url = |path: &str| forge.url(path);
    Offer {
        group: format!("{}/team", forge.base()),
        singles: vec![url("solo/a"), url("solo/b")],
        slow: url("solo/slow"),
    }
}

fn setup_for(forge: &Forge) -> Setup {
    let forges = format!("[{{ kind = \"gitlab\", url = \"{}\" }}]", forge.base());
    // Every scan is to be killed, not only the first one of a repository.
    let setup = Setup::new().set("jobs.results_retention_hours", 0);
    setup.set("forges", forges).set("scanner.kill_grace_secs", 1)
}

/// Plays rounds against this server until the requested number is reached.
async fn play(what: &'static str, mut server: TestServer, forge: &Forge, odds: Odds, own: bool) {
    let offer = offer(forge);
    let (seed, rounds) = (chosen("SCANWATCH_SEED", SEED), chosen("SCANWATCH_ROUNDS", ROUNDS));
    let first: u64 = chosen("SCANWATCH_FIRST_ROUND", 0);
    let reader = Reader::start(server.setup().jobs(), own);
    let (mut checker, mut tally) = (Checker::default(), Tally::default());
    let mut before: Vec<Account> = Vec::new();
    for round in first..first + rounds {
        let _named = Named { seed, round, what };
        let mut dice = Dice::of_round(seed, round);
        let script = Script::of(&mut dice, &offer, odds);
        let (mut accounts, deaths) = clash(&server, &script).await;
        let calm = Instant::now();
        if server.has_died() {
            assert!(deaths.server, "nobody killed the server: {}", server.setup().log());
            tokio::time::sleep(script.pause).await;
            if let Some(after) = script.falls_again {
                tally.falls_at_start += 1;
                server.start_and_kill(after).await;
            }
            server.restart().await;
        }
        for account in &mut accounts {
            account.lost_its_server = deaths.server;
        }
        for (job, kill) in &deaths.of_scans {
            if let Some(account) = accounts.iter_mut().find(|account| account.id == *job) {
                account.kills.push(kill.clone());
            }
        }
        for account in &accounts {
            if server.get(&format!("/scan/{}", account.id)).await.status == 200 {
                server.finished(&account.id).await;
            }
        }
        let took = calm.elapsed();
        assert!(took < LONGEST, "it took {took:?} until every job was over");
        let all: Vec<Account> = before.iter().chain(&accounts).cloned().collect();
        checker.check(&server, &all, Some(&reader)).await;
        check_runs(&server, &accounts, own);
        tally.take(&accounts, &deaths, took);
        // What is two rounds old has been shown to last.
        let left: Vec<String> = check::folders(&server.setup().jobs()).into_iter().collect();
        for job in left.iter().filter(|id| !accounts.iter().any(|account| account.id == **id)) {
            check::remove(&server, job).await;
            checker.forget(job);
            reader.forget(job);
        }
        before = accounts;
        if (round + 1 - first).is_multiple_of(SAID_EVERY) {
            say(format!(
                "{what}: {} of {rounds} rounds of seed {seed}: {tally:?}",
                round + 1 - first
            ));
        }
    }
    let (looks, reads) = reader.counts();
    say(format!("{what}: {rounds} rounds of seed {seed}: {tally:?}, {looks} looks, {reads} reads"));
    assert!(first > 0 || tally.deaths.values().sum::<u64>() >= rounds / 2, "{tally:?}");
}

/// Clients and killer at once; returns what the clients know, and what the killer killed.
async fn clash(server: &TestServer, script: &Script) -> (Vec<Account>, Deaths) {
    let began = Instant::now();
    let killer = Killer { jobs: server.setup().jobs(), server: server.process(), began };
    let strikes = script.strikes.clone();
    let killing = tokio::task::spawn_blocking(move || killer.run(&strikes));
    let accounts = script::clients(server, script, began).await;
    (accounts, killing.await.unwrap_or_else(|error| panic!("the killer: {error}")))
}

/// Each attempt of a repository ran at most once, and there were no others.
fn check_runs(server: &TestServer, accounts: &[Account], own: bool) {
    if own {
        return;
    }
    let text = files::text(&server.file("runs"));
    for account in accounts.iter().filter(|account| server.job_folder(&account.id).exists()) {
        let mut runs: BTreeMap<&str, u64> = BTreeMap::new();
        for line in text.lines().filter(|line| line.starts_with(&account.id)) {
            *runs.entry(line).or_default() += 1;
        }
        assert!(runs.values().all(|times| *times == 1), "{runs:#?} {account:#?}");
    }
    files::write(&server.file("runs"), "");
}

/// Breaks if the death of any process, at any instant of a real scan, loses a job, leaves one
/// without an end, reports a wrong cause, scans anything twice, or leaves a process or half a file.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_random_a_real_scan_recovers() {
    const ODDS: Odds = &[
        (Target::Server, 30),
        (Target::Shim, 20),
        (Target::Scanner, 20),
        (Target::Git, 18),
        (Target::Helper, 12),
    ];
    let forge = Forge::start();
    let server = setup_for(&forge).start().await;
    play("chaos::rounds::killed_at_random_a_real", server, &forge, ODDS, true).await;
}

/// Breaks as above, for a third-party scanner that starts what it likes, on a machine without
/// control groups.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_random_a_foreign_scanner_leaves_nothing() {
    const ODDS: Odds =
        &[(Target::Server, 34), (Target::Shim, 26), (Target::Scanner, 22), (Target::Parent, 18)];
    let forge = Forge::start();
    let setup = setup_for(&forge).shell(STEPPING);
    // Hidden, they cannot be created; where they cannot be hidden, there may be none anyway. Not in
    // a user namespace: each start would be a stranger to what the one before has left.
    let hide = "mount -t tmpfs none /sys/fs/cgroup && exec \"$0\" \"$@\"";
    let may = program("unshare").args(["-m", "sh", "-c", hide, "true"]).output();
    let may = may.is_ok_and(|output| output.status.success());
    let setup = if may { setup.launched_by(&["unshare", "-m", "sh", "-c", hide]) } else { setup };
    let server = setup.start().await;
    let health = server.get("/health").await.expect(200).json();
    assert!(!may || health["confinement"] == "group", "{health:#}");
    play("chaos::rounds::killed_at_random_a_foreign", server, &forge, ODDS, false).await;
}
