//! The configurations of docs/operations.md, each in its proxy from a Debian package. Only the
//! address, the name and the certificate of the example are replaced; around each configuration
//! the proxy is set up to compress and buffer whatever it is not told to leave alone.

use crate::support::{
    certificates::{Authority, Pair},
    debian::Packages,
    files,
    forge::program,
    python::succeed,
    server::{Setup, TestServer},
    sse::EventStream,
    tls::PlainEnd,
    wait::{PATIENCE, eventually},
    ws::{Frame, WebSocket},
};
use futures_util::future::join_all;
use reqwest::{Client, Method, RequestBuilder};
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};
use std::{
    fs::{self, File},
    net::{SocketAddr, TcpListener},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::Child,
};
use tokio::time::timeout;

/// The Debian packages of the proxies.
pub(crate) const PACKAGES: [&str; 4] = ["apache2-bin", "caddy", "haproxy", "nginx"];

/// The name of the proxy, as the language of its block in the document.
const PROXIES: [&str; 4] = ["nginx", "caddyfile", "haproxy", "apache"];

const LOGIN: (&str, &str) = ("operator", "s3cret");

/// Reports, logs a line, and waits for the test's permission before each further step.
const SCANNER: &str = r#"
step() { until [ -e "$dir/$SCANWATCH_REPO_NAME.$1" ]; do sleep 0.02; done; }
say scanning '"total_files": 10, "current_file": 1'
echo 'the first line'
step second
say scanning '"total_files": 10, "current_file": 5'
echo 'the second line'
step last
say completed '"total_files": 10, "current_file": 10'
"#;

/// A running proxy in front of the server.
struct Proxy {
    name: &'static str,
    process: Child,
    address: SocketAddr,
    folder: PathBuf,
    client: Client,
    /// The certificate authority of the proxy, in PEM.
    authority: String,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // An unreaped child: the number belongs only to its group.
        let _ = kill_process_group(Pid::from_child(&self.process), Signal::KILL);
        let _ = self.process.wait();
        if std::thread::panicking() {
            let log = files::text(&self.folder.join("log"));
            #[expect(clippy::print_stderr, reason = "the test failed: this may be why")]
            {
                eprintln!("--- {}\n{log}\n---", self.name);
            }
        }
    }
}

/// The block of the document in this language.
fn documented(language: &str) -> String {
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operations.md");
    let document = files::text(&document);
    let fence = format!("```{language}\n");
    let mut blocks = document.split(&fence).skip(1);
    let block = blocks.next().unwrap_or_else(|| panic!("no configuration for {language}"));
    assert!(blocks.next().is_none(), "two configurations for {language}");
    block.split("```").next().unwrap().to_owned()
}

/// Replaces a placeholder, which must be there.
#[track_caller]
fn replaced(text: &str, placeholder: &str, by: &str) -> String {
    assert!(text.contains(placeholder), "no {placeholder}: {text}");
    text.replace(placeholder, by)
}

/// A free port, for a program that cannot choose one itself; not of the ephemeral range.
pub(crate) fn free_port(above: u32) -> u16 {
    let first = 10_000 + (std::process::id() * 4 + above) % 10_000;
    let mut ports = (first..20_000).chain(10_000..first).filter_map(|port| port.try_into().ok());
    ports.find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).expect("a port is free")
}

/// The configuration of a proxy as its main file: that of the document, and what a distribution's
/// main file has around it.
fn configuration(
    name: &str,
    packages: &Packages,
    folder: &Path,
    port: u16,
    server: &TestServer,
) -> String {
    let within = |file: &str| folder.join(file).display().to_string();
    let text = replaced(&documented(name), "127.0.0.1:8000", &server.address().to_string());
    let with_files = |text: &str| {
        let text = replaced(text, "/etc/ssl/scanwatch/fullchain.pem", &within("fullchain.pem"));
        let text = replaced(&text, "/etc/ssl/scanwatch/privkey.pem", &within("privkey.pem"));
        replaced(&text, "scanwatch.example.com", "127.0.0.1")
    };
    match name {
        "nginx" => {
            let text =
                with_files(&replaced(&text, "listen 443 ", &format!("listen 127.0.0.1:{port} ")));
            let folders = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
                .map(|kind| format!("{kind}_temp_path {};", within(kind)))
                .join("\n");
            format!(
                "daemon off; master_process off; pid {};\nerror_log stderr;\nevents {{}}\nhttp {{\n\
                 access_log off; gzip on; gzip_proxied any; gzip_types *;\n{folders}\n{text}}}\n",
                within("pid")
            )
        }
        "caddyfile" => {
            let site = format!("https://127.0.0.1:{port}");
            let text = replaced(&text, "scanwatch.example.com", &site);
            format!("{{\nadmin off\nskip_install_trust\nauto_https disable_redirects\n}}\n{text}")
        }
        "haproxy" => {
            let text = replaced(&text, "/etc/haproxy/scanwatch.pem", &within("both.pem"));
            replaced(&text, "bind :443 ", &format!("bind 127.0.0.1:{port} "))
        }
        "apache" => {
            let text = with_files(&replaced(
                &text,
                "<VirtualHost *:443>",
                &format!("<VirtualHost *:{port}>"),
            ));
            let modules = [
                "mpm_event",
                "authz_core",
                "filter",
                "deflate",
                "headers",
                "env",
                "ssl",
                "socache_shmcb",
                "http2",
                "proxy",
                "proxy_http",
            ];
            let modules = modules.map(|module| {
                let path = packages.path(&format!("usr/lib/apache2/modules/mod_{module}.so"));
                format!("LoadModule {module}_module {}\n", path.display())
            });
            format!(
                "ServerRoot {}\nPidFile pid\nDefaultRuntimeDir {}\nUser nobody\nGroup nogroup\n\
                 Listen 127.0.0.1:{port}\nErrorLog {}\n{}AddOutputFilterByType DEFLATE \
                 application/json text/event-stream text/plain\n{text}",
                folder.display(),
                folder.display(),
                within("log"),
                modules.concat()
            )
        }
        _ => unreachable!(),
    }
}

/// Starts a proxy, and waits until it answers.
async fn start(name: &'static str, packages: &Packages, server: &TestServer) -> Proxy {
    let folder = server.file(name);
    fs::create_dir(&folder).unwrap();
    let authority = Authority::new();
    let pair = authority.issue();
    pair.put(&folder.join("fullchain.pem"), &folder.join("privkey.pem"));
    let Pair { certificate, key } = pair;
    files::write(&folder.join("both.pem"), certificate + &key);
    let port = free_port(u32::try_from(name.len()).unwrap() * 1000);
    let path = folder.join("configuration");
    files::write(&path, configuration(name, packages, &folder, port, server));

    let config = path.to_str().unwrap();
    let (command, arguments): (_, &[&str]) = match name {
        "nginx" => ("usr/sbin/nginx", &["-e", "stderr", "-c", config]),
        "caddyfile" => ("usr/bin/caddy", &["run", "--adapter", "caddyfile", "--config", config]),
        "haproxy" => ("usr/sbin/haproxy", &["-db", "-f", config]),
        "apache" => ("usr/sbin/apache2", &["-X", "-f", config]),
        _ => unreachable!(),
    };
    let log = || File::options().create(true).append(true).open(folder.join("log")).unwrap();
    let process = packages
        .command(command)
        .args(arguments)
        .env("HOME", &folder)
        .current_dir(&folder)
        .process_group(0)
        .stdout(log())
        .stderr(log())
        .spawn()
        .unwrap();
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let mut proxy =
        Proxy { name, process, address, folder, client: Client::new(), authority: authority.pem() };
    if name == "caddyfile" {
        // It has an authority of its own for addresses, which it creates when it starts.
        let root = proxy.folder.join(".local/share/caddy/pki/authorities/local/root.crt");
        eventually("caddy has an authority", async || {
            assert!(proxy.runs());
            files::text(&root).contains("END CERTIFICATE")
        })
        .await;
        proxy.authority = files::text(&root);
    }
    let root = reqwest::Certificate::from_pem(proxy.authority.as_bytes()).unwrap();
    proxy.client = scanwatch::http::client().tls_certs_only([root]).build().unwrap();
    eventually("the proxy answers", async || {
        assert!(proxy.runs());
        let request = proxy.client.get(proxy.url("/readyz")).send().await;
        request.is_ok_and(|answer| answer.status() == 200)
    })
    .await;
    proxy
}

impl Proxy {
    fn runs(&mut self) -> bool {
        self.process.try_wait().unwrap().is_none()
    }

    fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.address)
    }

    /// A request as browsers send it.
    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client
            .request(method, self.url(path))
            .basic_auth(LOGIN.0, Some(LOGIN.1))
            .header("Accept-Encoding", "gzip, deflate, br")
    }
}

/// Reads an answer until it contains this.
async fn read_until(answer: &mut reqwest::Response, read: &mut String, end: &str) {
    while !read.contains(end) {
        let piece = timeout(PATIENCE, answer.chunk()).await;
        let piece = piece.unwrap_or_else(|_| panic!("held back: {end:?} after {read:?}"));
        let piece = piece.unwrap().unwrap_or_else(|| panic!("no {end:?} in {read:?}"));
        read.push_str(&String::from_utf8_lossy(&piece));
    }
}

/// The next event with this number of files.
async fn event_at(stream: &mut EventStream, files: u32) {
    loop {
        let event = stream.next_event(PATIENCE).await.expect("the stream continues");
        let repository = match event.name.as_str() {
            "snapshot" => &event.data["repositories"][0],
            _ => &event.data,
        };
        if repository["progress"]["current_file"] == files {
            return;
        }
    }
}

/// The next message with this number of files.
async fn message_at(socket: &mut WebSocket, files: u32) {
    loop {
        let message = socket.message().await;
        let repository = match message["event"].as_str().unwrap() {
            "snapshot" => &message["data"]["repositories"][0],
            _ => &message["data"],
        };
        if repository["progress"]["current_file"] == files {
            return;
        }
    }
}

/// Everything that clients do, through one proxy.
async fn check(proxy: &Proxy, server: &TestServer) {
    let refused = proxy.client.get(proxy.url("/jobs")).send().await.unwrap();
    assert_eq!(refused.status(), 401, "{}", proxy.name);
    let challenge = refused.headers()["www-authenticate"].to_str().unwrap();
    assert!(challenge.starts_with("Basic realm="), "{challenge}");

    // The page of the proxy's own address may write: so the Host arrived unchanged.
    let url = format!("https://github.com/acme/{}.git", proxy.name);
    let submit = proxy.request(Method::POST, "/scan").json(&json!({ "git_url": url }));
    let accepted = submit.header("Origin", proxy.url("")).send().await.unwrap();
    let accepted: Value = serde_json::from_str(&accepted.text().await.unwrap()).unwrap();
    let job = accepted["job_id"].as_str().unwrap_or_else(|| panic!("{accepted:#}"));
    server.working(job).await;

    // The scanner waits for the test: what arrives below arrives while everything still runs.
    let events = proxy.request(Method::GET, &format!("/scan/{job}/events"));
    let events = events.header("Accept", "text/event-stream").send().await.unwrap();
    assert!(!events.headers().contains_key("content-encoding"), "{events:?}");
    let mut events = EventStream::of(events);
    event_at(&mut events, 1).await;
    let log = format!("/scan/{job}/repositories/0/log?follow=true");
    let mut log = proxy.request(Method::GET, &log).send().await.unwrap();
    let mut lines = String::new();
    read_until(&mut log, &mut lines, "the first line\n").await;
    let plain = PlainEnd::open(proxy.address, &proxy.authority).await;
    // operator:s3cret
    let login = "Authorization: Basic b3BlcmF0b3I6czNjcmV0\r\n";
    let socket = WebSocket::with_headers(plain.address, &format!("/scan/{job}/ws"), login).await;
    let mut socket = socket.unwrap_or_else(|answer| panic!("{}: {answer:?}", proxy.name));
    message_at(&mut socket, 1).await;

    let step = |name: &str| files::write(&server.file(&format!("{}.{name}", proxy.name)), "");
    step("second");
    event_at(&mut events, 5).await;
    read_until(&mut log, &mut lines, "the second line\n").await;
    message_at(&mut socket, 5).await;

    step("last");
    let last = events.rest(PATIENCE).await.pop().unwrap();
    assert_eq!((last.name.as_str(), &last.data["status"]), ("end", &json!("completed")));
    while let Some(piece) = timeout(PATIENCE, log.chunk()).await.unwrap().unwrap() {
        lines.push_str(&String::from_utf8_lossy(&piece));
    }
    assert_eq!(lines, "the first line\nthe second line\n");
    let (messages, closed) = socket.rest().await;
    assert_eq!(messages.last().unwrap()["event"], "end");
    assert_eq!(closed, Frame::Close(Some(1000)));
    let again = proxy.request(Method::GET, &format!("/scan/{job}/events"));
    let again = again.header("Last-Event-ID", last.id).send().await.unwrap();
    assert_eq!(again.status(), 204);

    let document = proxy.request(Method::GET, &format!("/scan/{job}")).send().await.unwrap();
    let tag = document.headers()["etag"].clone();
    let request = proxy.request(Method::GET, &format!("/scan/{job}"));
    let unchanged = request.header("If-None-Match", &tag).send().await.unwrap();
    assert_eq!(unchanged.status(), 304, "{tag:?}");

    let authority = proxy.folder.join("authority.pem");
    files::write(&authority, &proxy.authority);
    let mut curl = program("curl");
    curl.args(["--silent", "--show-error", "--compressed", "--http2", "--cacert"])
        .arg(&authority)
        .args(["--user", &format!("{}:{}", LOGIN.0, LOGIN.1)])
        .args(["--write-out", "\n%{http_version}", &proxy.url(&format!("/scan/{job}"))]);
    let said = tokio::task::spawn_blocking(move || succeed(&mut curl)).await.unwrap();
    let said = String::from_utf8(said.stdout).unwrap();
    let (document, version) = said.rsplit_once('\n').unwrap();
    assert_eq!(version, "2", "{}", proxy.name);
    let document: Value = serde_json::from_str(document).unwrap();
    assert_eq!(document["status"], "completed");
}

/// Breaks if a documented configuration refuses upgrades, holds back events or lines of a log,
/// or changes what clients and the server compare.
#[tokio::test]
async fn the_documented_proxies_pass_everything_on_at_once() {
    let Some(packages) = Packages::unpacked(&PACKAGES) else { return };
    let setup = Setup::new().user(LOGIN.0, LOGIN.1).shell(SCANNER);
    let server = setup.set("scanner.max_concurrent_processes", PROXIES.len()).start().await;
    let tries = PROXIES.map(|name| async {
        let proxy = start(name, &packages, &server).await;
        check(&proxy, &server).await;
    });
    join_all(tries).await;
}
