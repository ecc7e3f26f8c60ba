//! What may be in place of a file that is read, at its real size: it neither blocks the reader nor
//! is kept in memory, the last valid content stays, the job reports the problem, and recovers with
//! the next valid file.

use super::does_not_spin;
use crate::support::{
    files,
    handmade::Handmade,
    server::{Setup, TestServer},
    wait::{PATIENCE, eventually, until},
};
use serde_json::{Value, json};
use std::{
    ffi::OsStr,
    fs::{self, File, OpenOptions},
    io::Write,
    os::unix::{ffi::OsStrExt, fs::symlink, net::UnixListener},
    path::Path,
};

const LARGE: u64 = 100 << 20;

/// What is there, and a part of the message about it.
struct Kind {
    name: &'static str,
    word: &'static str,
    /// Creates it at the first path; the second leads to a good status file.
    make: fn(&Path, &Path),
}

const KINDS: [Kind; 13] = [
    Kind { name: "nothing", word: "empty", make: |path, _| files::write(path, "") },
    Kind { name: "half", word: "not valid JSON", make: |path, _| files::write(path, "{\"sta") },
    Kind {
        name: "bytes",
        word: "not valid JSON",
        make: |path, _| {
            let bytes: Vec<u8> =
                (0..900_000_u32).map(|number| number.to_le_bytes()[0] ^ 0xa5).collect();
            files::write(path, bytes);
        },
    },
    Kind {
        name: "no-object",
        word: "expected a JSON object",
        make: |path, _| files::write(path, "[\"scanning\"]"),
    },
    Kind {
        name: "large-status",
        word: "larger than",
        make: |path, _| {
            let mut file = File::create(path).unwrap();
            file.write_all(b"{\"status\": \"failed\", \"filler\": \"").unwrap();
            let megabyte = vec![b'x'; 1 << 20];
            (0..LARGE >> 20).for_each(|_| file.write_all(&megabyte).unwrap());
            file.write_all(b"\"}").unwrap();
        },
    },
    Kind {
        name: "large-and-empty",
        word: "larger than",
        make: |path, _| File::create(path).unwrap().set_len(LARGE).unwrap(),
    },
    Kind {
        name: "folder",
        word: "not a regular file",
        make: |path, _| fs::create_dir(path).unwrap(),
    },
    Kind { name: "pipe", word: "not a regular file", make: |path, _| make_pipe(path) },
    Kind {
        name: "socket",
        word: "No such device or address",
        make: |path, _| drop(UnixListener::bind(path).unwrap()),
    },
    Kind { name: "link", word: "symbolic links", make: |path, good| symlink(good, path).unwrap() },
    Kind {
        name: "link-to-a-neighbour",
        word: "symbolic links",
        make: |path, _| symlink("master.json", path).unwrap(),
    },
    Kind {
        name: "link-without-end",
        word: "symbolic links",
        make: |path, _| symlink("/dev/zero", path).unwrap(),
    },
    Kind {
        name: "link-to-nothing",
        word: "symbolic links",
        make: |path, _| symlink("/nowhere", path).unwrap(),
    },
];

fn make_pipe(path: &Path) {
    let (kind, mode) =
        (rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR);
    rustix::fs::mknodat(rustix::fs::CWD, path, kind, mode, 0).unwrap();
}

/// Creates it elsewhere, because the path of a socket must be short, and renames it into place: in
/// one step, because a file that is gone for a moment has no content any more.
fn put(server: &TestServer, kind: &Kind, path: &Path, good: &Path) {
    let made = server.file("made");
    (kind.make)(&made, good);
    let (here, exchange) = (rustix::fs::CWD, rustix::fs::RenameFlags::EXCHANGE);
    rustix::fs::renameat_with(here, &made, here, path, exchange).unwrap();
    fs::remove_file(made).unwrap();
}

/// The peak of the server's resident memory so far.
fn peak(server: &TestServer) -> u64 {
    let status = files::text(Path::new(&format!("/proc/{}/status", server.pid())));
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
}

async fn document(server: &TestServer, job: &Handmade) -> Value {
    server.get(&job.path()).await.expect(200).json()
}

/// Breaks if anything in place of `file` discards its content, blocks the reader, is read to its
/// end, costs another job, or stays when the file is good again.
async fn each_kind_gives_way(file: &str, is_as_before: fn(&Value) -> bool, mend: fn(&Handmade)) {
    let server = Setup::new().start().await;
    let good = server.file("good.json");
    files::write(&good, json!({ "repo_name": "canary", "status": "failed" }).to_string());
    let beside = Handmade::new(&server, 1);
    let jobs: Vec<Handmade> = KINDS.iter().map(|_| Handmade::new(&server, 7)).collect();
    for job in jobs.iter().chain([&beside]) {
        job.repository(0, "scanning", 250);
        eventually("its file is read", async || {
            let answer = server.get(&job.path()).await;
            answer.status == 200 && answer.json()["summary"]["in_progress"] == 1
        })
        .await;
    }
    let before = peak(&server);
    for (kind, job) in KINDS.iter().zip(&jobs) {
        put(&server, kind, &job.folder.join(file), &good);
    }
    // An open pipe with content in it does not change what it is.
    let pipe = jobs[KINDS.iter().position(|kind| kind.name == "pipe").unwrap()].folder.join(file);
    let mut writer = OpenOptions::new().read(true).write(true).open(pipe).unwrap();
    writer.write_all(b"{\"status\": \"failed\"}").unwrap();

    beside.repository(0, "scanning", 251);
    eventually("another job goes on", async || {
        document(&server, &beside).await["repositories"][0]["progress"]["current_file"] == 251
    })
    .await;
    for (kind, job) in KINDS.iter().zip(&jobs) {
        let Kind { name, word, .. } = kind;
        let document = until(PATIENCE, &format!("{name} is warned of"), async || {
            let document = document(&server, job).await;
            let warnings = document["warnings"].to_string();
            (warnings.contains(file) && warnings.contains(word)).then_some(document)
        })
        .await;
        assert!(is_as_before(&document), "{name}: {document:#}");
        assert!(!document.to_string().contains("canary"), "{name}: a link was followed");
    }
    does_not_spin(&server).await;
    let grown = peak(&server).saturating_sub(before);
    assert!(grown < 48 << 20, "{} MiB", grown >> 20);

    for (kind, job) in KINDS.iter().zip(&jobs) {
        let path = job.folder.join(file);
        if path.is_dir() {
            fs::remove_dir(&path).unwrap();
        }
        mend(job);
        eventually(&format!("{} has given way", kind.name), async || {
            let document = document(&server, job).await;
            document["warnings"] == json!([]) && !is_as_before(&document)
        })
        .await;
    }
}

#[tokio::test]
async fn anything_in_place_of_a_status_file_is_replaced_by_a_valid_one() {
    let is_as_before = |document: &Value| {
        let row = &document["repositories"][0];
        row["status"] == "scanning" && row["progress"]["current_file"] == 250
    };
    each_kind_gives_way("repo_0.json", is_as_before, |job| job.repository(0, "completed", 1000))
        .await;
}

#[tokio::test]
async fn anything_in_place_of_a_master_file_is_replaced_by_a_valid_one() {
    let is_as_before = |document: &Value| {
        document["summary"]["total_repositories"] == 7 && document["status"] == "in_progress"
    };
    each_kind_gives_way("master.json", is_as_before, |job| job.master("cancelled")).await;
}

/// Breaks if a file that grows beyond its limit while it is read, or is never complete, fills the
/// memory, or if a writer of many pieces delays others.
#[tokio::test]
async fn an_endlessly_growing_file_affects_only_itself() {
    let server = Setup::new().start().await;
    let (job, beside) = (Handmade::new(&server, 1), Handmade::new(&server, 1));
    for job in [&job, &beside] {
        job.repository(0, "scanning", 250);
        job.known(&server).await;
    }
    let before = peak(&server);
    let path = job.folder.join("repo_0.json");
    let piece = vec![b'['; 1 << 20];
    for step in 1..=LARGE >> 20 {
        let mut options = OpenOptions::new();
        // Closed each time: it is read on close.
        let mut file =
            options.write(true).truncate(step == 1).append(step > 1).open(&path).unwrap();
        file.write_all(&piece).unwrap();
        beside.repository(0, "scanning", u32::try_from(step).unwrap());
    }
    eventually("the other one is up to date", async || {
        document(&server, &beside).await["repositories"][0]["progress"]["current_file"]
            == LARGE >> 20
    })
    .await;
    let document = until(PATIENCE, "it is warned of", async || {
        let document = document(&server, &job).await;
        document["warnings"].to_string().contains("larger than").then_some(document)
    })
    .await;
    assert_eq!(document["repositories"][0]["progress"]["current_file"], 250, "{document:#}");
    let grown = peak(&server).saturating_sub(before);
    assert!(grown < 48 << 20, "{} MiB", grown >> 20);
}

/// Breaks if a foreign name, in the jobs folder or in a job's, creates a job or a repository, or
/// hides others from the reader.
#[tokio::test]
async fn foreign_names_are_ignored() {
    let server = Setup::new().set("watch.resync_interval_secs", 1).start().await;
    let job = Handmade::new(&server, 1);
    job.repository(0, "scanning", 1);
    job.known(&server).await;
    let long = [b"repo_1".as_slice(), &[b'0'; 244], b".json"].concat();
    let names: [&[u8]; 14] = [
        b"\xff\xfe",
        b"repo_\xff.json",
        b"repo_1.json\n",
        b"\nrepo_1.json",
        b"repo_01.json",
        b"repo_-1.json",
        b"repo_4294967296.json",
        b"REPO_1.JSON",
        b"repo_1.json~",
        b"master.json.bak",
        "repo_１.json".as_bytes(),
        b"\x1b[31mrepo_1.json",
        b"%2e%2e",
        &long,
    ];
    let status = json!({ "repo_name": "canary", "status": "failed" }).to_string();
    for folder in [&job.folder, &server.setup().jobs()] {
        for name in names {
            files::write(&server.file("made"), &status);
            fs::rename(server.file("made"), folder.join(OsStr::from_bytes(name))).unwrap();
        }
    }
    // And as folders: they contain nothing named like a job.
    for name in &names[..4] {
        let folder = server.setup().jobs().join(OsStr::from_bytes(&[b"x\xff", *name].concat()));
        fs::create_dir(&folder).unwrap();
        files::write(&folder.join("master.json"), &status);
    }
    // The largest possible number.
    job.repository(u32::MAX, "scanning", 1);
    job.repository(0, "completed", 1000);
    let document = until(PATIENCE, "what has a good name is read", async || {
        let document = document(&server, &job).await;
        (document["summary"]["completed"] == 1 && document["summary"]["in_progress"] == 1)
            .then_some(document)
    })
    .await;
    assert_eq!(document["repositories"][1]["repo_index"], u32::MAX, "{document:#}");
    let resyncs = async || super::health(&server).await["watch"]["resyncs"].as_u64().unwrap();
    let before = resyncs().await;
    eventually("everything is compared", async || resyncs().await > before + 1).await;
    let document = self::document(&server, &job).await;
    assert_eq!(document["warnings"], json!([]), "{document:#}");
    assert!(!document.to_string().contains("canary"), "{document:#}");
    assert_eq!(server.get("/jobs").await.expect(200).json()["total"], 1);
    assert_eq!(super::health(&server).await["watch"]["panics"], 0);
}
