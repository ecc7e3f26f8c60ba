//! A whole organisation: repositories in nested groups behind a token, on a forge that throttles, with broken,
//! hanging and large repositories among them, while the server is killed again and again.
//!
//! `SCANWATCH_ROUNDS=5000 cargo nextest run --no-capture organisation::` scans 5,000 repositories in
//! 200 groups and kills the server 20 times. `SCANWATCH_SEED` runs another sequence.

use crate::support::{
    dice::Dice,
    files,
    forge::{Behaviour, Fault, Forge, Seen},
    rounds::rounds,
    server::{Setup, TestServer, is_final},
    wait::until,
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Display,
    time::{Duration, Instant},
};
use tokio::time::sleep;

const TOKEN: &str = "glpat-0rgan1sat1on";
const SEED: u64 = 16;
/// Repositories of one group, and of one page of the forge's list.
const PER_GROUP: usize = 25;
/// One repository of so many is broken.
const BROKEN: usize = 50;
/// One kill for so many repositories, but at least three.
const PER_KILL: usize = 250;
const PATIENCE: Duration = Duration::from_mins(30);

/// The organisation at the forge.
struct Organisation {
    forge: Forge,
    /// The paths of its repositories, below the organisation.
    paths: Vec<String>,
}

impl Organisation {
    /// Nested groups of 25 repositories each; the one before the last hangs, and the last is large.
    fn new(count: usize) -> Self {
        let forge = Forge::start();
        let path = |number: usize| match number / PER_GROUP {
            group if group % 3 == 0 => format!("area-{group}/r-{number}"),
            group if group % 3 == 1 => format!("area-{}/team-{group}/r-{number}", group - 1),
            group => format!("area-{}/team-{}/part-{group}/r-{number}", group - 2, group - 1),
        };
        let paths: Vec<String> = (0..count).map(path).collect();
        for (number, path) in paths.iter().enumerate() {
            let path = format!("acme/{path}");
            if number + 1 == count {
                let line = |package| format!("package-{package}==1.{package}\n");
                let manifest: String = (0..5_000).map(line).collect();
                forge.add_repository(&path, &[("requirements.txt", manifest.as_bytes())]);
                forge.listing().add(&path);
            } else {
                forge.group(&[&path]);
            }
            if number % BROKEN == BROKEN / 2 {
                forge.behave_at(&path, Behaviour::Status(500));
            }
        }
        forge.behave_at(&format!("acme/{}", paths[count - 2]), Behaviour::Silent);
        forge.require_login("oauth2", TOKEN);
        let throttled = || Fault::Status(429, "Retry-After: 1\r\n".to_owned());
        {
            let mut listing = forge.listing();
            listing.token = Some(TOKEN.to_owned());
            listing.page_size = PER_GROUP;
            listing.faults.extend([throttled(), Fault::Status(502, String::new()), throttled()]);
        }
        Self { forge, paths }
    }

    fn setup(&self) -> Setup {
        let setup = Setup::new().set("scanner.subprocess_timeout_secs", 15);
        let token = setup.folder().join("token");
        files::write(&token, format!("{TOKEN}\n"));
        let forges = format!(
            "[{{ kind = \"gitlab\", url = \"{}\", token_file = \"{}\" }}]",
            self.forge.base(),
            token.display()
        );
        setup.set("forges", forges)
    }

    /// Why a repository fails, if it does.
    fn failure(&self, number: usize) -> Option<&'static str> {
        if number + 2 == self.paths.len() {
            Some("timeout")
        } else {
            (number % BROKEN == BROKEN / 2).then_some("clone")
        }
    }
}

/// How often the forge was asked for each page of its list, throttled requests included.
fn pages(forge: &Forge) -> BTreeMap<String, usize> {
    let mut pages = BTreeMap::new();
    for asked in &forge.listing().asked {
        *pages.entry(asked.clone()).or_default() += 1;
    }
    pages
}

/// How many fetches of a repository began.
fn fetches(seen: &[Seen]) -> BTreeMap<&str, usize> {
    let mut fetches = BTreeMap::new();
    for request in seen {
        if let Some((repository, _)) = request.path.split_once(".git/info/refs") {
            *fetches.entry(repository).or_default() += 1;
        }
    }
    fetches
}

#[expect(clippy::print_stderr, reason = "figures, for whoever asked for the long run")]
fn report(text: impl Display) {
    eprintln!("{text}");
}

/// Kills the server again and again until the job is finished, at most `kills` times. Returns how often.
async fn kill_often(server: &mut TestServer, job: &str, kills: usize, dice: &mut Dice) -> usize {
    for killed in 0..kills {
        // The first kills meet the listing, the others the scans.
        let pause = if killed < kills / 2 { 900 } else { 4_000 };
        sleep(Duration::from_millis(dice.below(pause))).await;
        server.kill9().await;
        server.restart().await;
        if is_final(&server.progress(job).await) {
            return killed + 1;
        }
    }
    kills
}

/// Fails if a repository of an organisation is lost, scanned twice, or fails without its cause, whatever the forge
/// and the kills of the server do.
#[tokio::test]
async fn an_organisation_is_accounted_for_to_the_last_repository() {
    let count: usize = rounds(75);
    let organisation = Organisation::new(count);
    let mut dice = Dice::new(rounds_seed());
    let mut server = organisation.setup().start().await;
    let begun = Instant::now();
    let url = format!("{}/acme", organisation.forge.base());
    let job = server.submit_with(&json!({ "git_url": url })).await;
    let kills = kill_often(&mut server, &job, (count / PER_KILL).max(3), &mut dice).await;
    let document = until(PATIENCE, "the organisation is scanned", async || {
        let document = server.progress(&job).await;
        is_final(&document).then_some(document)
    })
    .await;
    let seconds = begun.elapsed().as_secs_f64();
    report(format_args!("{count} repositories, {kills} kills: {seconds:.1} s"));

    assert_eq!(document["status"], "completed_with_errors", "{:#}", document["summary"]);
    let rows: Vec<Value> = {
        let mut rows = Vec::new();
        for page in 1..=count.div_ceil(1_000) {
            let path = format!("/scan/{job}/repositories?per_page=1000&page={page}");
            let answer = server.get(&path).await.expect(200).json();
            rows.extend(answer["repositories"].as_array().unwrap().iter().cloned());
        }
        rows
    };
    let by_name: BTreeMap<&str, &Value> =
        rows.iter().map(|row| (row["repo_name"].as_str().unwrap(), row)).collect();
    let names: BTreeSet<&str> = organisation.paths.iter().map(String::as_str).collect();
    assert_eq!(rows.len(), count, "each repository has one row");
    assert_eq!(by_name.keys().copied().collect::<BTreeSet<_>>(), names);
    for (number, path) in organisation.paths.iter().enumerate() {
        let row = by_name[path.as_str()];
        let failure = row["failure"]["kind"].as_str();
        assert_eq!(failure, organisation.failure(number), "{row:#}");
        assert_eq!(row["attempt"], 1, "scanned twice: {row:#}");
    }
    let seen = organisation.forge.seen();
    let most = fetches(&seen).into_iter().max_by_key(|(_, times)| *times);
    // Git asks without its credentials first.
    assert!(most.is_some_and(|(_, times)| times <= 2), "fetched more than once: {most:?}");
    let pages = pages(&organisation.forge);
    let again: usize = pages.values().map(|times| times - 1).sum();
    // Three requests were refused.
    assert!(again <= kills + 3, "{again} pages were requested again, {kills} kills: {pages:#?}");
    server.no_process_left(Duration::from_secs(20)).await;
}

fn rounds_seed() -> u64 {
    std::env::var("SCANWATCH_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(SEED)
}
