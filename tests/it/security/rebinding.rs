//! Names that change their addresses. The name server is ours, and so is the whole internet: a
//! forge with real certificates at a public address, at the other end of a virtual cable; what must
//! not be contacted is on this machine and at internal addresses of that one.

use crate::{
    support::{
        dns::{NameServer, Reply},
        files,
        forge::{Forge, TlsFront, program},
        private_network::{self, Contacts},
        remote_machine::{self, Outside},
        rounds::rounds,
        server::Setup,
        trap::Trap,
    },
    worker::Place,
};
use scanwatch::model::{
    address::{Authority, NetworkPolicy, Origin},
    task::ScanTask,
};
use serde_json::{Value, json};
use std::{io::Write, path::PathBuf, process::Stdio};
use tempfile::TempDir;

/// Of the name server, of the forge, and of this machine: public ones.
const NAMES: &str = "9.9.9.9";
const FORGE: &str = "93.184.216.34";
const OWN: &str = "93.184.216.1";
/// Internal ones: allowed by the settings, its neighbour, and any.
const OPENED: &str = "10.9.0.10";
const NEIGHBOUR: &str = "10.9.0.11";
const INNER: &str = "10.0.0.5";

/// The internet, as far as this machine can see.
struct Internet {
    names: NameServer,
    forge: Option<Forge>,
    front: TlsFront,
    opened: TlsFront,
    /// On this machine, and at internal addresses of the other.
    traps: [Trap; 2],
    outside: Outside,
    folder: TempDir,
}

impl Internet {
    /// In its own network with it.
    fn of(test: &str) -> Option<Self> {
        if !private_network::in_private_network(&format!("security::rebinding::{test}")) {
            return None;
        }
        let outside = Outside::joined_to(&format!("{OWN}/24"));
        for address in [NAMES, FORGE, OPENED, NEIGHBOUR, INNER] {
            outside.address(address);
        }
        private_network::ip("addr add 169.254.169.254/32 dev lo");
        let traps = [
            Trap::everywhere(),
            outside.with(|| Trap::at(&[(NEIGHBOUR, 443), (INNER, 443), (FORGE, 80)])),
        ];
        traps[0].is_tried_at(&["127.0.0.1:443", "[::1]:443", "93.184.216.1:443"]);
        traps[1].is_tried_at(&["10.0.0.5:443", "10.9.0.11:443"]);
        let forge = outside.with(Forge::start);
        forge.group(&["acme/app"]);
        let behind = forge.address();
        let front =
            outside.with(|| TlsFront::at(place(FORGE), &["*.forge.example", "gitlab.com"], behind));
        let opened = outside.with(|| TlsFront::at(place(OPENED), &["*.forge.example"], behind));
        let names = outside.with(|| NameServer::start(NAMES.parse().unwrap()));
        let folder = tempfile::tempdir().unwrap();
        for (system, text) in [
            ("/etc/resolv.conf", format!("nameserver {NAMES}\noptions timeout:1 attempts:2\n")),
            ("/etc/nsswitch.conf", "hosts: files dns\n".to_owned()),
        ] {
            let file = folder.path().join(system.rsplit('/').next().unwrap());
            files::write(&file, text);
            remote_machine::replace_file(system, &file);
        }
        Some(Self { names, forge: Some(forge), front, opened, traps, outside, folder })
    }

    fn assert_no_contact(&self, what: &str) {
        let contacts = self.traps.each_ref().map(Trap::contacts);
        assert_eq!(contacts, [0, 0], "on this machine, on the other: {what}");
    }

    fn authority(&self, front: &TlsFront) -> PathBuf {
        let file = self.folder.path().join("authority.pem");
        files::write(&file, front.authority());
        file
    }

    /// A task for a name that is allowed but not trusted: its addresses are checked.
    fn task(&self, place: &Place, name: &str, front: &TlsFront) -> ScanTask {
        let mut task = place.task(&format!("https://{name}/acme/app.git"));
        task.limits.connect_timeout_secs = 30;
        task.network = NetworkPolicy {
            allow_hosts: vec!["*.forge.example".to_owned()],
            allow_nets: vec![format!("{OPENED}/32").parse().unwrap()],
            allow_ports: vec![443],
            authorities: vec![Authority {
                origin: Origin { scheme: "https".into(), host: name.to_owned(), port: 443 },
                ca_file: self.authority(front),
            }],
            ..NetworkPolicy::default()
        };
        task
    }

    /// What the scanner's process makes of a name: returns how its status ends.
    fn scanned(&self, name: &str, front: &TlsFront) -> Value {
        let place = Place::new();
        let task = self.task(&place, name, front);
        let mut worker = program(env!("CARGO_BIN_EXE_scanwatch"));
        let mut worker = worker
            .arg("worker")
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the scanner starts");
        let line = serde_json::to_string(&task).unwrap() + "\n";
        worker.stdin.take().unwrap().write_all(line.as_bytes()).unwrap();
        worker.wait().unwrap();
        place.status()
    }
}

impl Drop for Internet {
    fn drop(&mut self) {
        // Its last visitor is itself, which must connect from the same machine.
        let forge = self.forge.take();
        self.outside.with(|| drop(forge));
    }
}

fn place(address: &str) -> std::net::SocketAddr {
    format!("{address}:443").parse().unwrap()
}

#[track_caller]
fn is_refused(status: &Value, because: &str) {
    fails_as(status, "refused", because);
}

#[track_caller]
fn fails_as(status: &Value, kind: &str, because: &str) {
    assert_eq!(status["failure"]["kind"], kind, "{status:#}");
    let detail = status["failure"]["detail"].as_str().unwrap();
    assert!(detail.contains(because), "{detail}");
}

/// Breaks if a scanner contacts an internal address because a name resolves to it now, resolves to
/// it as well, resolves to it through other names, or resolves to it after the check.
#[test]
fn no_scanner_contacts_an_internal_address_whatever_a_name_resolves_to() {
    let Some(internet) =
        Internet::of("no_scanner_contacts_an_internal_address_whatever_a_name_resolves_to")
    else {
        return;
    };
    let inside = "Private network access not allowed";
    let unknown = "could not be resolved";
    let chain = ["a.elsewhere.example", "b.elsewhere.example", "db.corp.internal"];
    for (name, replies, because) in [
        ("honest", vec![Reply::of(&[FORGE])], None),
        ("chained", vec![Reply::through(&chain, &[FORGE])], None),
        // Resolved once, and then used as checked: a second lookup would lead to an internal
        // address.
        ("flips", vec![Reply::of(&[FORGE]), Reply::of(&["127.0.0.1"])], None),
        ("flips-near", vec![Reply::of(&[OPENED]), Reply::of(&[NEIGHBOUR])], None),
        ("loopback", vec![Reply::of(&["127.0.0.1"]), Reply::of(&[FORGE])], Some(inside)),
        ("loopback-6", vec![Reply::of(&["::1"])], Some(inside)),
        ("mapped", vec![Reply::of(&["::ffff:127.0.0.1"])], Some(inside)),
        ("anywhere", vec![Reply::of(&["0.0.0.0"])], Some(inside)),
        ("private", vec![Reply::of(&[INNER])], Some(inside)),
        ("neighbour", vec![Reply::of(&[NEIGHBOUR])], Some(inside)),
        ("metadata", vec![Reply::of(&["169.254.169.254"])], Some(inside)),
        ("own", vec![Reply::of(&[OWN])], Some("which is this machine's own")),
        ("own-mapped", vec![Reply::of(&["::ffff:93.184.216.1"])], Some("this machine's own")),
        ("mixed", vec![Reply::of(&[FORGE, "127.0.0.1"])], Some(inside)),
        ("mixed-last", vec![Reply::of(&[FORGE, FORGE, FORGE, INNER])], Some(inside)),
        ("mixed-6", vec![Reply::of(&[FORGE, "::1"])], Some(inside)),
        ("alias", vec![Reply::through(&["db.corp.internal"], &[INNER])], Some(inside)),
        ("aliases", vec![Reply::through(&chain, &["127.0.0.1"])], Some(inside)),
        ("localhost-alias", vec![Reply::through(&["localhost"], &["127.0.0.1"])], Some(inside)),
        ("ill", vec![Reply::ServerFailure, Reply::of(&["127.0.0.1"])], Some("")),
        ("iller", vec![Reply::ServerFailure], Some(unknown)),
        ("nobody", vec![Reply::NoSuchName, Reply::of(&["127.0.0.1"])], Some(unknown)),
        ("empty", vec![Reply::of(&[])], Some(unknown)),
        ("silent", vec![Reply::Silence, Reply::of(&["127.0.0.1"])], Some("")),
    ] {
        let host = format!("{name}.forge.example");
        internet.names.tell(&host, replies);
        let front = if name == "flips-near" { &internet.opened } else { &internet.front };
        let status = internet.scanned(&host, front);
        match because {
            None => {
                assert_eq!(status["status"], "completed", "{name}: {status:#}");
                assert_eq!(internet.names.asked(&host), 1, "{name} is asked for once");
            }
            // Its second lookup, if there is one, finds an internal address.
            Some("") if status["failure"]["kind"] == "refused" => is_refused(&status, inside),
            Some("") => fails_as(&status, "clone", unknown),
            Some(because) if because == unknown => fails_as(&status, "clone", unknown),
            Some(because) => is_refused(&status, because),
        }
        internet.assert_no_contact(name);
    }
}

/// Breaks if one of many scans resolves a name at the wrong moment: its answer alternates, between
/// the lookups of one scan as well as between scans.
#[test]
fn no_scanner_contacts_an_internal_address_however_often_a_name_changes() {
    let Some(internet) =
        Internet::of("no_scanner_contacts_an_internal_address_however_often_a_name_changes")
    else {
        return;
    };
    let inner = ["127.0.0.1", INNER, "169.254.169.254", OWN, NEIGHBOUR];
    let mut fetched = 0;
    let rounds = rounds(6);
    for round in 0..rounds {
        let host = format!("round-{round}.forge.example");
        let flip = Reply::of(&[inner[round % inner.len()]]);
        let mut replies = vec![Reply::of(&[FORGE]), flip];
        replies.rotate_left(round / inner.len() % 2);
        internet.names.tell(&host, replies);
        for _ in 0..2 {
            let status = internet.scanned(&host, &internet.front);
            if status["status"] == "completed" {
                fetched += 1;
            } else {
                is_refused(&status, "Private network access not allowed");
            }
        }
        assert_eq!(internet.names.asked(&host), 2, "once for each scan");
        internet.assert_no_contact(&format!("round {round}"));
    }
    assert_eq!(fetched, rounds, "one of two scans sees the name at its honest moment");
}

/// Breaks if a list of repositories is requested at an internal address, or a scan goes there for a
/// listed repository: each connection is checked when it is made.
#[tokio::test]
async fn no_list_request_goes_to_an_internal_address_however_a_name_changes() {
    let test = "no_list_request_goes_to_an_internal_address_however_a_name_changes";
    let Some(internet) = Internet::of(test) else { return };
    // The authority replaces all others, for the server's client and for git.
    let authority = internet.authority(&internet.front);
    remote_machine::replace_file("/etc/ssl/certs/ca-certificates.crt", &authority);
    let forge = internet.forge.as_ref().unwrap();
    forge.listing().base = Some("https://gitlab.com".to_owned());
    let server = Setup::new()
        .variable("SSL_CERT_FILE", authority.display())
        .set("limits.connect_timeout_secs", 60)
        .start()
        .await;
    let group = json!({ "git_url": "https://gitlab.com/acme" });

    internet.names.tell("gitlab.com", vec![Reply::of(&[FORGE])]);
    let job = server.submit_with(&group).await;
    let document = server.finished(&job).await;
    assert_eq!(document["status"], "completed", "{document:#}");
    assert_eq!(document["completed_repositories"], json!(["app"]), "{document:#}");

    let (mut listed, mut refused) = (0, 0);
    for round in 0..rounds(6) {
        let inner = [INNER, "127.0.0.1", "::1", OWN, "169.254.169.254"][round % 5];
        // The lookup for the list, or that for its repository, is answered falsely.
        let mut replies = vec![Reply::of(&[FORGE]); 2];
        replies.insert(round % 3, Reply::of(&[inner]));
        internet.names.tell("gitlab.com", replies);
        let seen = forge.seen().len();
        let job = server.submit_with(&group).await;
        let document = server.finished(&job).await;
        let shown = document.to_string();
        if document["status"] == "completed" {
            listed += 1;
        } else {
            assert!(shown.contains("Private network access not allowed"), "{document:#}");
            refused += 1;
            if round % 3 == 0 {
                assert_eq!(forge.seen().len(), seen, "the list was not asked for");
            }
        }
        internet.assert_no_contact(&format!("round {round}: {shown}"));
    }
    assert!(listed > 0 && refused > 0, "{listed} listed, {refused} refused");
    assert!(Contacts::so_far().datagrams > 0, "the name server was asked");
}
