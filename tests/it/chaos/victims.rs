//! Finding and killing victims: processes are found by what the kernel says about them, and killed
//! by descriptors that cannot be mistaken.

use super::account::Kill;
use crate::support::{
    files,
    processes::{self, Process},
};
use rustix::process::Signal;
use scanwatch::model::RepoState;
use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// How long a round waits for a process to kill.
const LOOKING: Duration = Duration::from_millis(400);
/// How long a killed process may take to be gone.
const DYING: Duration = Duration::from_secs(20);

/// What a process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Target {
    Server,
    Shim,
    Scanner,
    /// One that the built-in scanner started.
    Git,
    /// git's helper for HTTP.
    Helper,
    /// A scanner's process whose child leads its own session.
    Parent,
}

/// A kill planned in a round.
#[derive(Debug, Clone)]
pub(super) struct Strike {
    /// Since the round began.
    pub(super) at: Duration,
    /// After there is a process to kill.
    pub(super) lag: Duration,
    /// One, or two at once.
    pub(super) targets: Vec<Target>,
    /// Whether they are stopped first, so that their position is known.
    pub(super) stopped_first: bool,
    /// Which of several.
    pub(super) choice: usize,
}

/// A process to kill.
struct Victim {
    target: Target,
    job: String,
    index: u32,
    process: Process,
}

/// Does the kills of a round.
#[derive(Debug)]
pub(super) struct Killer {
    pub(super) jobs: PathBuf,
    pub(super) server: Process,
    pub(super) began: Instant,
}

/// What was killed.
#[derive(Debug, Default)]
pub(super) struct Deaths {
    pub(super) server: bool,
    /// By job.
    pub(super) of_scans: Vec<(String, Kill)>,
    /// What was looked for, and not there.
    pub(super) missed: Vec<Target>,
}

impl Killer {
    /// Kills at the planned times. Blocks until the killed processes are gone.
    pub(super) fn run(&self, strikes: &[Strike]) -> Deaths {
        let mut deaths = Deaths::default();
        for strike in strikes {
            std::thread::sleep(strike.at.saturating_sub(self.began.elapsed()));
            self.strike(strike, &mut deaths);
        }
        deaths
    }

    fn strike(&self, strike: &Strike, deaths: &mut Deaths) {
        let of_scans: Vec<Target> =
            strike.targets.iter().copied().filter(|target| *target != Target::Server).collect();
        if !of_scans.is_empty() {
            // Found once, so that it exists; and again after the delay, as it is then.
            self.look_for(&of_scans, strike.choice, LOOKING);
        }
        std::thread::sleep(strike.lag);
        let victims = self.look_for(&of_scans, strike.choice, Duration::ZERO);
        let missed =
            of_scans.iter().filter(|target| !victims.iter().any(|found| found.target == **target));
        deaths.missed.extend(missed);

        let stopped: Vec<bool> =
            victims.iter().map(|victim| strike.stopped_first && victim.process.stop()).collect();
        let certain: Vec<bool> = victims
            .iter()
            .zip(stopped)
            .map(|(victim, stopped)| stopped && !self.is_over(victim))
            .collect();
        if strike.targets.contains(&Target::Server) && self.server.lives() {
            self.server.signal(Signal::KILL);
            deaths.server = true;
        }
        for victim in &victims {
            victim.process.signal(Signal::KILL);
        }
        for (victim, certain) in victims.into_iter().zip(certain) {
            assert!(victim.process.ends_within(DYING), "SIGKILL did not end {:?}", victim.process);
            // Any git other than the fetch's may have finished, and only waits.
            let certain = certain
                && (victim.target != Target::Git
                    || victim.process.words.iter().any(|word| word == "fetch"));
            let kill = Kill { target: victim.target, index: victim.index, certain };
            deaths.of_scans.push((victim.job, kill));
        }
        if deaths.server {
            assert!(self.server.ends_within(DYING), "SIGKILL did not end the server");
        }
    }

    /// One victim of each kind, once there is one of each; those that exist, if not.
    fn look_for(&self, targets: &[Target], choice: usize, patience: Duration) -> Vec<Victim> {
        let until = Instant::now() + patience;
        loop {
            let mut living = living(&self.jobs);
            let mut found = Vec::new();
            for target in targets {
                let count = living.iter().filter(|process| process.target == *target).count();
                if count > 0 {
                    let wanted = |numbered: &(usize, &Victim)| numbered.1.target == *target;
                    let position = living.iter().enumerate().filter(wanted).nth(choice % count);
                    let position = position.map_or(0, |found| found.0);
                    found.push(living.remove(position));
                }
            }
            if found.len() == targets.len() || Instant::now() >= until {
                return found;
            }
            std::thread::sleep(Duration::from_millis(3));
        }
    }

    /// Whether the final state of the victim's repository is in its file.
    fn is_over(&self, victim: &Victim) -> bool {
        let path = self.jobs.join(&victim.job).join(format!("repo_{}.json", victim.index));
        files::json(&path)
            .and_then(|status| status["status"].as_str().map(RepoState::parse))
            .is_some_and(RepoState::is_final)
    }
}

/// Every identifiable process of every scan in this folder.
fn living(jobs: &Path) -> Vec<Victim> {
    let all = Process::all();
    let is_shim = |process: &Process| process.words.get(1).is_some_and(|word| word == "shim");
    let parent_of = |process: &Process| all.iter().find(|other| other.pid == process.parent);
    let leads_a_session = |process: &Process| {
        processes::session_of(process.pid).is_some_and(|session| session == process.pid)
    };
    let role = |process: &Process| -> Option<(Target, String)> {
        // What a shim has just forked still looks like it. Orphans are adopted by the shim as well.
        let of_shim = parent_of(process).is_some_and(is_shim);
        if is_shim(process) {
            let target = if of_shim { Target::Scanner } else { Target::Shim };
            return Some((target, process.words.get(2..5)?.join("/")));
        }
        let attempt = process.attempt.clone()?;
        let target = if of_shim && processes::leads_a_group(process.pid) {
            Target::Scanner
        } else if process.name == "git" {
            Target::Git
        } else if process.name.starts_with("git-remote") {
            Target::Helper
        } else if all.iter().any(|other| other.parent == process.pid && leads_a_session(other)) {
            Target::Parent
        } else {
            return None;
        };
        Some((target, attempt))
    };
    let roles: Vec<Option<(Target, String)>> = all.iter().map(role).collect();
    let victims = all.into_iter().zip(roles).filter_map(|(process, role)| {
        let (target, attempt) = role?;
        let mut parts = attempt.split('/');
        let (job, index) = (parts.next()?.to_owned(), parts.next()?.parse().ok()?);
        // Other tests run the same program.
        jobs.join(&job).is_dir().then_some(Victim { target, job, index, process })
    });
    victims.collect()
}

/// The processes of this kind, of every scan in this folder.
pub(super) fn all_of(jobs: &Path, target: Target) -> Vec<Process> {
    let wanted = living(jobs).into_iter().filter(|victim| victim.target == target);
    wanted.map(|victim| victim.process).collect()
}
