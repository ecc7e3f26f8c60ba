//! Power cuts: everything acknowledged before is there afterwards, and no file is torn.
//!
//! The jobs folder of a real service is on a disk of its own (ext4 in a file, mounted with
//! `auto_da_alloc` off), whose file system is shut down at a random moment (`FS_IOC_SHUTDOWN`):
//! what was not flushed by then is lost. Then everything is killed, the disk is mounted again, and
//! the service is started.
//!
//! `SCANWATCH_ROUNDS` and `SCANWATCH_SEED` choose the rounds.

use crate::{
    chaos::{Account, Checker, ClientRequest, Target, chosen, say},
    support::{
        dice::Dice,
        files,
        forge::{Behaviour, Entry, Forge, program},
        processes::Process,
        server::{Setup, TestServer, is_final},
        wait::eventually,
    },
};
use reqwest::Method;
use rustix::process::Signal;
use scanwatch::model::RepoState;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs::File,
    io::Write,
    path::{Path, PathBuf},
    process::{Child, Stdio},
    sync::mpsc,
    time::{Duration, SystemTime},
};

/// The default rounds, where nothing is chosen.
const SEED: u64 = 0x000f_f0ff_5eed;
const ROUNDS: u64 = 3;

/// Shuts down the file system that a path is on, as a power cut does: its journal is written (1) or
/// not (2), and nothing else is. Prints when.
const CUT: &str = "
import fcntl, os, struct, sys, time
disk = os.open(sys.argv[1], os.O_RDONLY)
how = struct.pack('I', int(sys.argv[2]))
sys.stdin.readline()
now = time.time()
fcntl.ioctl(disk, 0x8004587d, how)
print(now)
";

/// A disk in a file, mounted in the server's own namespace: it is unmounted when the last process
/// in there ends.
struct Disk {
    image: PathBuf,
    mount: String,
}

impl Disk {
    /// Creates one for this folder; `None`, with the reason printed, where that is not possible.
    fn make(setup: &Setup) -> Option<Self> {
        let image = setup.folder().join("disk");
        std::fs::create_dir(setup.jobs()).unwrap();
        File::create(&image).and_then(|file| file.set_len(96 << 20)).unwrap();
        let (from, to) = (image.display(), setup.jobs().display().to_string());
        let mount = format!("mount -t ext4 -o loop,noauto_da_alloc '{from}' '{to}'");
        let disk = Self { image, mount };
        // A small journal, so that it wraps often.
        let made =
            program("mkfs.ext4").args(["-q", "-F", "-J", "size=4"]).arg(&disk.image).output();
        let tried = match made {
            Ok(made) if made.status.success() => {
                program("unshare").args(&disk.launcher("")[1..]).arg("true").output()
            }
            made => made,
        };
        let may = tried.as_ref().is_ok_and(|output| output.status.success());
        if !may {
            say(format!("skipped: no disk can be mounted here: {tried:?}"));
        }
        may.then_some(disk)
    }

    /// The program that mounts the disk and becomes the server or its launcher.
    fn launcher(&self, before: &str) -> Vec<String> {
        let words = format!("{} && exec {before} \"$0\" \"$@\"", self.mount);
        ["unshare", "-m", "sh", "-c", &words].map(str::to_owned).to_vec()
    }

    /// Its path, as long as this server lives.
    fn seen_at(server: &TestServer) -> PathBuf {
        let jobs = server.setup().jobs();
        Path::new(&format!("/proc/{}/root", server.pid())).join(jobs.strip_prefix("/").unwrap())
    }

    /// Waits until it is unmounted, and so no more than the content of its file.
    async fn is_unmounted(&self) {
        eventually("the disk is unmounted", async || {
            let listed = program("losetup").arg("-j").arg(&self.image).output().unwrap();
            assert!(listed.status.success(), "{listed:?}");
            listed.stdout.is_empty()
        })
        .await;
    }
}

/// The process that cuts the power.
struct Cutter(Child);

impl Cutter {
    fn ready(jobs: &Path, how: u64) -> Self {
        let mut python = program("python3");
        python.args(["-c", CUT]).arg(jobs).arg(how.to_string());
        python.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self(python.spawn().expect("the tests need python3"))
    }

    /// Cuts the power; returns when that was.
    fn cut(mut self) -> SystemTime {
        self.0.stdin.take().unwrap().write_all(b"now\n").unwrap();
        let output = self.0.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        let since: f64 = said.parse().unwrap_or_else(|_| panic!("not cut: {output:?}"));
        SystemTime::UNIX_EPOCH + Duration::from_secs_f64(since)
    }
}

/// What was answered, and when.
#[derive(Debug, Default)]
struct Answers {
    accounts: Vec<(SystemTime, Account)>,
    /// By job, and by repository of it: a reported end.
    ends: BTreeMap<(String, Option<u64>), (SystemTime, Value)>,
}

impl Answers {
    /// Records the ends that a document reports.
    fn take(&mut self, job: &str, document: &Value) {
        let now = SystemTime::now();
        let mut note = |index, said: Value| {
            let place = self.ends.entry((job.to_owned(), index));
            place.or_insert((now, said));
        };
        for row in document["repositories"].as_array().into_iter().flatten() {
            let state = row["status"].as_str().map(RepoState::parse);
            if state.is_some_and(RepoState::is_final) {
                note(row["repo_index"].as_u64(), row.clone());
            }
        }
        if is_final(document) {
            note(None, document["status"].clone());
        }
    }
}

/// Submits, cancels the last of several, and then polls until nothing answers any more.
async fn ask(
    server: &TestServer,
    urls: &[String],
    dice: &mut Dice,
    reported: &mpsc::Sender<()>,
) -> Answers {
    let mut answers = Answers::default();
    let send = async |method: Method, path: &str, body: Option<Value>| {
        let request = server.request(method, path);
        let request = if let Some(body) = body { request.json(&body) } else { request };
        server.try_send(request).await.ok().filter(|answer| answer.status < 500)
    };
    for url in urls {
        let Some(answer) = send(Method::POST, "/scan", Some(json!({ "git_url": url }))).await
        else {
            return answers;
        };
        let id = answer.expect(200).json()["job_id"].as_str().unwrap().to_owned();
        answers.accounts.push((SystemTime::now(), Account::new(id)));
    }
    let cancel_after = dice.below(300);
    let mut looks = 0;
    loop {
        if looks == cancel_after
            && let [_, .., (_, unwanted)] = &mut answers.accounts[..]
        {
            unwanted.cancel = ClientRequest::Unanswered;
            let unwanted = unwanted.id.clone();
            let _ = send(Method::POST, &format!("/scan/{unwanted}/cancel"), None).await;
        }
        looks += 1;
        let jobs: Vec<String> =
            answers.accounts.iter().map(|account| account.1.id.clone()).collect();
        for job in jobs {
            let Some(answer) = send(Method::GET, &format!("/scan/{job}"), None).await else {
                return answers;
            };
            let known = answers.ends.len();
            answers.take(&job, &answer.json());
            if answers.ends.len() > known {
                // Nothing may wait for it any more.
                let _ = reported.send(());
            }
        }
    }
}

/// The mounts that a process sees, by name.
fn namespace_of(pid: u32) -> Option<PathBuf> {
    std::fs::read_link(format!("/proc/{pid}/ns/mnt")).ok()
}

/// What happens to the journal that is in memory.
const WRITTEN: u64 = 1;
const LOST: u64 = 2;

/// When the power is cut.
#[derive(Debug, Clone, Copy)]
enum Moment {
    After(Duration),
    /// As soon as this many ends have been reported.
    Told(u64),
}

impl Moment {
    fn by(dice: &mut Dice) -> Self {
        let after = Duration::from_millis(dice.below(1500));
        if dice.one_in(2) { Self::Told(1 + dice.below(6)) } else { Self::After(after) }
    }

    fn wait(self, telling: &mpsc::Receiver<()>) {
        match self {
            Self::After(time) => std::thread::sleep(time),
            Self::Told(ends) => {
                // The first one comes. If the last does not, this moment is as good as any.
                let patience = Duration::from_secs(if ends == 1 { 60 } else { 6 });
                (0..ends).all(|_| telling.recv_timeout(patience).is_ok());
            }
        }
    }
}

/// One cut, and the check afterwards, in a server without a launcher. Returns how many ends had
/// been reported.
async fn round(
    server: &mut TestServer,
    disk: &Disk,
    urls: &[String],
    dice: &mut Dice,
    (moment, how): (Moment, u64),
) -> usize {
    let cutter = Cutter::ready(&Disk::seen_at(server), how);
    let (reported, telling) = mpsc::channel();
    assert_ne!(namespace_of(server.pid()), namespace_of(std::process::id()), "the disk is its own");
    let cutting = tokio::task::spawn_blocking(move || {
        moment.wait(&telling);
        cutter.cut()
    });
    let process = server.process();
    // Everything in the namespace: scanners, and shims, which have no trace of the folder in their
    // arguments.
    let namespace = namespace_of(process.pid);
    let asking = ask(server, urls, dice, &reported);
    let (cut_at, answers) = tokio::join!(
        async {
            let cut_at = cutting.await.unwrap();
            process.signal(Signal::KILL);
            cut_at
        },
        asking
    );
    eventually("the server has fallen", async || server.has_died()).await;
    eventually("with the power, everything is gone", async || {
        let all = Process::all();
        let left = all.iter().filter(|process| namespace_of(process.pid) == namespace);
        left.map(|process| process.signal(Signal::KILL)).count() == 0
    })
    .await;
    disk.is_unmounted().await;
    server.set_launcher(&disk.launcher(""));
    server.restart().await;
    check(server, answers, cut_at, how).await
}

/// What was answered before the cut is there; all of it ends. Returns how many ends had been
/// reported.
async fn check(server: &TestServer, answers: Answers, cut_at: SystemTime, how: u64) -> usize {
    let jobs = Disk::seen_at(server);
    // A stored result that is not whole is recognized by its digest, and is not used.
    let store = jobs.join(".results");
    for file in files::below(&jobs).into_iter().filter(|file| !file.starts_with(&store)) {
        if file.extension().is_some_and(|extension| extension == "json") {
            assert!(files::json(&file).is_some(), "{file:?}");
        }
    }
    let ends = answers.ends.into_iter().filter(|(_, (at, _))| *at < cut_at);
    let mut reported = 0;
    for ((job, index), (at, said)) in ends {
        let document = server.progress(&job).await;
        let now = match index {
            None => document["status"].clone(),
            Some(index) => {
                let rows = document["repositories"].as_array().cloned().unwrap_or_default();
                let row = rows.into_iter().find(|row| row["repo_index"] == index);
                row.unwrap_or_default()
            }
        };
        let before = cut_at.duration_since(at).unwrap_or_default();
        assert_eq!(now, said, "{index:?} of {job}, told {before:?} before a cut of kind {how}");
        reported += 1;
    }
    let mut accounts = Vec::new();
    for (at, mut account) in answers.accounts {
        account.lost_its_server = true;
        (0..10).for_each(|index| account.note_killed(index, Target::Shim));
        if at < cut_at || server.get(&format!("/scan/{}", account.id)).await.status == 200 {
            accounts.push(account);
        }
    }
    Checker::looking_at(jobs).check(server, &accounts, None).await;
    reported
}

/// A forge with the repositories requested.
fn forge() -> Forge {
    let forge = Forge::start();
    forge.group(&["team/a", "team/b", "solo/a", "solo/slow"]);
    let mut noise = Dice::new(7);
    let noise: Vec<u8> = (0..24_000).map(|_| u8::try_from(noise.below(256)).unwrap()).collect();
    let manifest = Entry::File(b"requirements.txt", b"flask==3.0.3\n");
    forge.repository("solo/slow").commit("main", &[Entry::File(b"noise", &noise), manifest]);
    forge.behave_at("solo/slow", Behaviour::Slow(48_000));
    forge
}

fn setup_for(forge: &Forge) -> Setup {
    let forges = format!("[{{ kind = \"gitlab\", url = \"{}\" }}]", forge.base());
    // Every scan is to write, not only the first one of a repository.
    let setup = Setup::new().set("jobs.results_retention_hours", 0);
    setup.set("forges", forges).set("jobs.min_free_bytes", 1 << 20)
}

/// Breaks if a power cut at any moment loses an accepted job or a reported end, or leaves a torn or
/// empty file where a complete one was.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_power_cut_loses_nothing_that_was_acknowledged() {
    let forge = forge();
    let setup = setup_for(&forge);
    let Some(disk) = Disk::make(&setup) else { return };
    disk.is_unmounted().await;
    let mut server = setup.not_yet();
    server.set_launcher(&disk.launcher(""));
    server.restart().await;
    let (seed, rounds) = (chosen("SCANWATCH_SEED", SEED), chosen("SCANWATCH_ROUNDS", ROUNDS));
    let slow = forge.url("solo/slow");
    let urls = [forge.url("solo/a"), slow.clone(), format!("{}/team", forge.base()), slow];
    let mut reported = 0;
    for number in 0..rounds {
        let mut dice = Dice::of_round(seed, number);
        let cut = (Moment::by(&mut dice), if dice.one_in(2) { WRITTEN } else { LOST });
        reported += round(&mut server, &disk, &urls, &mut dice, cut).await;
        for job in crate::chaos::folders(&Disk::seen_at(&server)) {
            server.delete(&format!("/scan/{job}")).await.expect(204);
        }
        if (number + 1).is_multiple_of(10) {
            say(format!(
                "{} of {rounds} cuts of seed {seed}, {reported} ends were told",
                number + 1
            ));
        }
    }
    say(format!(
        "{rounds} cuts of seed {seed}: {reported} ends had been told before, all are there"
    ));
}

/// Breaks if an end is reported before it is on the disk: on a slow disk, much can happen in
/// between.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_end_is_reported_before_it_is_durable() {
    let forge = forge();
    let setup = setup_for(&forge);
    let Some(disk) = Disk::make(&setup) else { return };
    disk.is_unmounted().await;
    let slow = "strace -D -f --seccomp-bpf -qq -o /dev/null -e trace=fsync \
                -e inject=fsync:delay_enter=150000";
    let tried = program("sh").args(["-c", &format!("{slow} true")]).output().unwrap();
    if !tried.status.success() {
        return say(format!("skipped: no process can be traced here: {tried:?}"));
    }
    let mut server = setup.not_yet();
    server.set_launcher(&disk.launcher(slow));
    server.restart().await;
    let mut dice = Dice::new(2);
    let cut = (Moment::Told(1), LOST);
    // One alone: the flush of another scan would include its end.
    let reported = round(&mut server, &disk, &[forge.url("solo/a")], &mut dice, cut).await;
    assert!(reported > 0, "nothing was told");
}
