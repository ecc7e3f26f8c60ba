//! The real server in its own folder: started, queried, killed, restarted.

mod crashes;

use super::{
    certificates::{Authority, Pair},
    files, processes,
    wait::{PATIENCE, eventually, until},
};
use reqwest::{
    Method,
    header::{HeaderMap, HeaderValue},
};
use rustix::process::{Pid, Signal, kill_process_group};
use scanwatch::{
    model::{
        JobId,
        master::{Master, Options, ScanType},
        plan::Plan,
    },
    store::{
        layout::JobsDir,
        lock::{self, Holder},
    },
};
use serde_json::{Value, json};
use std::{
    fmt::{Display, Write},
    fs::{File, OpenOptions},
    net::{SocketAddr, TcpListener},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::LazyLock,
    time::Duration,
};
use tempfile::TempDir;

/// The final states of a job.
const FINAL: [&str; 6] =
    ["completed", "completed_with_errors", "all_failed", "failed", "timeout", "cancelled"];

/// What shell scanners begin with: `$dir` is the test's folder, `$task` the line from standard
/// input, `say STATUS [MEMBERS]` replaces the status file.
const SHELL_PRELUDE: &str = r#"
set -u
dir='@DIR@'
read -r task || :
attempt=$(printf '%s' "$task" | sed -n 's/.*"attempt": *\([0-9]*\).*/\1/p')
say() {
    printf '{"repo_index": %s, "repo_name": "%s", "status": "%s", "last_update": "%s"%s}\n' \
        "$SCANWATCH_REPO_INDEX" "$SCANWATCH_REPO_NAME" "$1" \
        "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "${2:+, $2}" > status.part &&
        mv status.part "$SCANWATCH_STATUS_FILE"
}
"#;

/// What Python scanners begin with: `here` is the test's folder, `stdin` what came on standard
/// input until its end, `say(status, **members)` replaces the status file.
const PYTHON_PRELUDE: &str = r"
import datetime, json, os, signal, subprocess, sys, time
here = '@DIR@'
stdin = sys.stdin.read()
task = json.loads(stdin)
def replace(path, value):
    with open('file.part', 'w', encoding='utf-8') as part:
        json.dump(value, part, indent=2)
    os.rename('file.part', path)
def say(status, **members):
    now = datetime.datetime.now(datetime.timezone.utc).isoformat()
    replace(os.environ['SCANWATCH_STATUS_FILE'], dict(
        repo_index=task['repo_index'], repo_name=task['repo_name'], status=status,
        last_update=now, **members))
";

/// A Python that needs no environment: the real path of `python3`, without wrappers.
pub(crate) static PYTHON: LazyLock<String> = LazyLock::new(|| {
    let output = program("python3")
        .args(["-c", "import sys; print(sys.executable)"])
        .output()
        .expect("the tests need python3");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
});

/// A server that is not started yet: its folder, settings and variables.
#[derive(Debug)]
pub(crate) struct Setup {
    root: TempDir,
    settings: String,
    variables: Vec<(String, String)>,
    credentials: Option<(String, String)>,
    /// The authority of the server's certificate, if it has one.
    authority: Option<String>,
    /// A descriptor that the server inherits, as careless parents leave them open.
    inherited: Option<File>,
    own_group: bool,
    /// A launcher program, with arguments, that becomes the server.
    launcher: Vec<String>,
}

/// A running server. Dropping it kills the server and every process of its folder.
#[derive(Debug)]
pub(crate) struct TestServer {
    setup: Setup,
    process: Option<Child>,
    address: SocketAddr,
    client: reqwest::Client,
}

/// The server's answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

/// How a server that was expected to exit ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) output: String,
}

impl Setup {
    /// An empty jobs folder, default settings, a scanner that finds nothing.
    pub(crate) fn new() -> Self {
        let root = tempfile::Builder::new()
            .prefix("scanwatch-it-")
            .tempdir()
            .expect("there is room for a test's folder");
        let setup = Self {
            root,
            settings: String::new(),
            variables: Vec::new(),
            credentials: None,
            authority: None,
            inherited: None,
            own_group: false,
            launcher: Vec::new(),
        };
        let jobs = setup.jobs();
        let setup = setup
            .variable("SCANWATCH_JOBS__DIR", jobs.display())
            // However busy the machine is: tests count the scans that run at once.
            .variable("SCANWATCH_SCANNER__ADAPTIVE_CONCURRENCY", "false");
        // On request: everything works without notifications, only later.
        if !only_polls() {
            return setup;
        }
        setup
            .variable("SCANWATCH_WATCH__MODE", "poll")
            // As often as tests expect to learn of changes.
            .variable("SCANWATCH_WATCH__POLL_INTERVAL_MS", 200)
    }

    /// Has the server use notifications, even where all others only poll: for a test of exactly
    /// that.
    pub(crate) fn notified(mut self) -> Self {
        self.variables.retain(|(name, _)| !name.starts_with("SCANWATCH_WATCH__"));
        self
    }

    /// The test's own folder.
    pub(crate) fn folder(&self) -> &Path {
        self.root.path()
    }

    /// The jobs folder, made by the server.
    pub(crate) fn jobs(&self) -> PathBuf {
        self.folder().join("jobs")
    }

    /// Sets a key of the settings file, dotted; the value is spelled as in TOML.
    pub(crate) fn set(mut self, key: &str, value: impl Display) -> Self {
        // A variable would override what a test sets itself.
        if key.starts_with("watch.") {
            let variable = format!("SCANWATCH_{}", key.to_uppercase().replace('.', "__"));
            self.variables.retain(|(name, _)| *name != variable);
        }
        writeln!(self.settings, "{key} = {value}").expect("text grows");
        self
    }

    /// Sets a variable of the server's environment.
    pub(crate) fn variable(mut self, name: &str, value: impl Display) -> Self {
        self.put_variable(name, value);
        self
    }

    fn put_variable(&mut self, name: &str, value: impl Display) {
        self.variables.retain(|(known, _)| known != name);
        self.variables.push((name.to_owned(), value.to_string()));
    }

    /// Sets the one user, whose credentials every polite request then carries.
    pub(crate) fn user(self, name: &str, password: &str) -> Self {
        let mut setup = self.variable("API_USERNAME", name).variable("API_PASSWORD", password);
        setup.credentials = Some((name.to_owned(), password.to_owned()));
        setup
    }

    /// The credentials that every polite request carries, for users whom the server knows in
    /// another way.
    pub(crate) fn with_credentials(mut self, name: &str, password: &str) -> Self {
        self.credentials = Some((name.to_owned(), password.to_owned()));
        self
    }

    /// Has the server speak TLS, with a certificate of this authority.
    pub(crate) fn with_tls(self, authority: &Authority) -> Self {
        self.with_certificate(authority, &authority.issue())
    }

    /// Has the server speak TLS, with this certificate of this authority.
    pub(crate) fn with_certificate(mut self, authority: &Authority, pair: &Pair) -> Self {
        self.authority = Some(authority.pem());
        let (certificate, key) = self.tls_files();
        pair.put(&certificate, &key);
        self.set("server.tls_certificate_file", json!(certificate))
            .set("server.tls_key_file", json!(key))
    }

    /// The paths of the certificate and its key.
    pub(crate) fn tls_files(&self) -> (PathBuf, PathBuf) {
        (self.folder().join("certificate.pem"), self.folder().join("key.pem"))
    }

    /// The file of the certificate's authority, for other programs.
    pub(crate) fn authority_file(&self) -> PathBuf {
        let path = self.folder().join("authority.pem");
        files::write(&path, self.authority.as_deref().expect("the server has a certificate"));
        path
    }

    /// Has the server inherit an open file besides the three standard descriptors.
    pub(crate) fn inheriting_a_file(mut self) -> Self {
        let path = self.folder().join("inherited");
        files::write(&path, "");
        let file = File::open(path).expect("it was written just now");
        rustix::io::fcntl_setfd(&file, rustix::io::FdFlags::empty())
            .expect("a descriptor can be inherited");
        self.inherited = Some(file);
        self
    }

    /// Gives the server the same port after a restart. It is taken from below the ephemeral range,
    /// so that nothing else gets it in the meantime.
    pub(crate) fn at_a_fixed_port(self) -> Self {
        let first = 20_000 + std::process::id() % 10_000;
        let port = (first..32_000)
            .find(|port| TcpListener::bind(format!("127.0.0.1:{port}")).is_ok())
            .expect("a port is free");
        self.variable("SCANWATCH_SERVER__LISTEN", format!("127.0.0.1:{port}"))
    }

    /// Starts the server as a shell does: as the leader of a process group.
    pub(crate) fn leading_a_group(mut self) -> Self {
        self.own_group = true;
        self
    }

    /// Has a launcher program start the server by exec: it must keep its process id.
    pub(crate) fn launched_by(mut self, launcher: &[&str]) -> Self {
        self.launcher = launcher.iter().map(|word| (*word).to_owned()).collect();
        self
    }

    /// Writes a job of `count` repositories into the jobs folder, complete but not started, as a
    /// stopped server leaves it; returns its id.
    pub(crate) fn write_group(&self, count: usize) -> String {
        let folder = JobsDir::new(&self.jobs()).expect("the test's folder has a path");
        folder.create(0o750).expect("the jobs folder can be made");
        let id = JobId::generate();
        let names: Vec<_> = (0..count).map(|number| format!("part-{number}")).collect();
        let url = |name: &String| format!("https://gitlab.com/acme/{name}.git");
        let plan = Plan::of(names.iter().map(|name| (name.clone(), url(name))));
        let now = chrono::Utc::now();
        let group = "https://gitlab.com/acme";
        let mut master = Master::new(&id, group, Some(ScanType::Group), names, now);
        master.options = Some(Options::default());
        folder.create_job(&id, 0o750, &master, &plan).expect("a job can be laid");
        id.to_string()
    }

    /// Uses a shell script as the scanner.
    pub(crate) fn shell(self, script: &str) -> Self {
        let path = self.script("scanner.sh", SHELL_PRELUDE, script);
        self.command(&["/bin/sh", &path])
    }

    /// Uses a Python script as the scanner.
    pub(crate) fn python(self, script: &str) -> Self {
        let path = self.script("scanner.py", PYTHON_PRELUDE, script);
        self.command(&[&PYTHON, &path])
    }

    /// Uses a program as the scanner.
    pub(crate) fn command(self, command: &[&str]) -> Self {
        self.set("scanner.command", json!(command))
    }

    /// Writes the settings file and starts the server.
    pub(crate) async fn start(self) -> TestServer {
        let server = self.start_without_check().await;
        server.wait_ready().await;
        server
    }

    /// The same, without checking that it is ready: for a server that the test's own client must
    /// not trust.
    pub(crate) async fn start_without_check(self) -> TestServer {
        let mut server = self.not_started();
        server.launch().await;
        server
    }

    fn not_started(self) -> TestServer {
        let mut client = scanwatch::http::client().pool_max_idle_per_host(0);
        if let Some(authority) = &self.authority {
            let authority = reqwest::Certificate::from_pem(authority.as_bytes());
            client = client.tls_certs_only([authority.expect("a certificate")]);
        }
        let client = client.build().expect("a client needs nothing");
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        TestServer { setup: self, process: None, address, client }
    }

    /// Starts a server that must exit by itself at once, and waits for that.
    pub(crate) async fn run_to_end(&self) -> Ended {
        let mark = self.log().len();
        let mut process = self.spawn();
        let ended = until(PATIENCE, "the server ends by itself", async || {
            if self.log()[mark..].contains(" listens on http") {
                // It serves: that is the failure, so do not wait for an exit.
                let _ = process.kill();
            }
            process.try_wait().expect("the server is a child of this test")
        })
        .await;
        Ended { code: ended.code(), output: self.log()[mark..].to_owned() }
    }

    /// What the server has written to standard output and error so far.
    pub(crate) fn log(&self) -> String {
        files::text(&self.folder().join("server.log"))
    }

    fn script(&self, name: &str, prelude: &str, script: &str) -> String {
        let path = self.folder().join(name);
        let folder = self.folder().display().to_string();
        files::write(&path, format!("{prelude}{script}").replace("@DIR@", &folder));
        path.display().to_string()
    }

    fn spawn(&self) -> Child {
        let settings = self.folder().join("settings.toml");
        files::write(&settings, &self.settings);
        let log = || -> File {
            let path = self.folder().join("server.log");
            let mut options = OpenOptions::new();
            options.create(true).append(true).open(path).expect("a log can be opened")
        };
        let mut words: Vec<_> = self.launcher.iter().map(String::as_str).collect();
        let binary = super::binary();
        words.push(&binary);
        let mut command = program(words[0]);
        command.args(&words[1..]);
        if self.own_group {
            command.process_group(0);
        }
        command
            .arg("serve")
            .arg("--config")
            .arg(&settings)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.folder())
            .env("SCANWATCH_SERVER__LISTEN", "127.0.0.1:0")
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .current_dir(self.folder())
            .stdin(Stdio::null())
            .stdout(log())
            .stderr(log())
            .spawn()
            .expect("the server can be started")
    }

    /// The marks that only the processes of this folder have.
    fn marks(&self) -> Vec<String> {
        let jobs = std::fs::read_dir(self.jobs()).into_iter().flatten().flatten();
        let mut marks = vec![self.folder().display().to_string()];
        // A short name could be part of anything.
        marks.extend(
            jobs.filter_map(|entry| entry.file_name().into_string().ok())
                .filter(|name| name.len() >= 32),
        );
        marks
    }
}

impl TestServer {
    /// The settings and the folder.
    pub(crate) fn setup(&self) -> &Setup {
        &self.setup
    }

    /// The test's own folder.
    pub(crate) fn folder(&self) -> &Path {
        self.setup.folder()
    }

    /// A file in the test's own folder.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder().join(name)
    }

    /// Sets a variable for the next start.
    pub(crate) fn set_variable(&mut self, name: &str, value: impl Display) {
        self.setup.put_variable(name, value);
    }

    /// Sets a key of the settings file for the next start.
    pub(crate) fn set(&mut self, key: &str, value: impl Display) {
        writeln!(self.setup.settings, "{key} = {value}").expect("text grows");
    }

    /// A job's folder.
    pub(crate) fn job_folder(&self, job: &str) -> PathBuf {
        self.setup.jobs().join(job)
    }

    /// Where the server listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The process id of the server.
    pub(crate) fn pid(&self) -> u32 {
        self.process.as_ref().expect("the server runs").id()
    }

    /// A path as a whole URL.
    pub(crate) fn url(&self, path: &str) -> String {
        let scheme = if self.setup.authority.is_some() { "https" } else { "http" };
        format!("{scheme}://{}{path}", self.address)
    }

    /// A request with the user's credentials, if the server has one.
    pub(crate) fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let request = self.without_credentials(method, path);
        match &self.setup.credentials {
            Some((name, password)) => request.basic_auth(name, Some(password)),
            None => request,
        }
    }

    /// A request without credentials.
    pub(crate) fn without_credentials(
        &self,
        method: Method,
        path: &str,
    ) -> reqwest::RequestBuilder {
        self.client.request(method, self.url(path))
    }

    /// Sends a request and reads the whole answer.
    pub(crate) async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        self.try_send(request).await.unwrap_or_else(|error| panic!("no answer: {error:?}"))
    }

    /// Sends a request to a server that may be dying.
    pub(crate) async fn try_send(
        &self,
        request: reqwest::RequestBuilder,
    ) -> reqwest::Result<Answer> {
        let response = request.timeout(PATIENCE).send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Ok(Answer { status, headers, text: response.text().await? })
    }

    /// GET.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path)).await
    }

    /// POST of a JSON body.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(self.request(Method::POST, path).json(body)).await
    }

    /// POST without a body.
    pub(crate) async fn post_nothing(&self, path: &str) -> Answer {
        self.send(self.request(Method::POST, path)).await
    }

    /// DELETE.
    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.send(self.request(Method::DELETE, path)).await
    }

    /// Submits a repository of this name; the job's id.
    pub(crate) async fn submit(&self, name: &str) -> String {
        let url = format!("https://github.com/acme/{name}.git");
        self.submit_with(&json!({ "git_url": url })).await
    }

    /// Submits a request; the job's id.
    pub(crate) async fn submit_with(&self, body: &Value) -> String {
        let answer = self.post("/scan", body).await.expect(200);
        answer.json()["job_id"].as_str().expect("an accepted job has an id").to_owned()
    }

    /// The progress document of a job.
    pub(crate) async fn progress(&self, job: &str) -> Value {
        self.get(&format!("/scan/{job}")).await.expect(200).json()
    }

    /// Waits until a job has ended; returns its progress document.
    pub(crate) async fn finished(&self, job: &str) -> Value {
        until(PATIENCE, &format!("job {job} is over"), async || {
            let document = self.progress(job).await;
            is_final(&document).then_some(document)
        })
        .await
    }

    /// Retries what failed of a job, as soon as the server has finished with it.
    pub(crate) async fn retried(&self, job: &str) {
        eventually(&format!("job {job} can be scanned again"), async || {
            let answer = self.post_nothing(&format!("/scan/{job}/retry")).await;
            assert!([200, 409].contains(&answer.status), "{answer:?}");
            answer.status == 200
        })
        .await;
    }

    /// Waits until the server reports a repository of a job in a working state.
    pub(crate) async fn working(&self, job: &str) -> Value {
        until(PATIENCE, &format!("a scanner works on job {job}"), async || {
            let document = self.progress(job).await;
            let working = document["summary"]["in_progress"].as_u64().unwrap_or(0) > 0;
            assert!(!is_final(&document), "over before it worked: {document:#}");
            working.then_some(document)
        })
        .await
    }

    /// Waits for a file that a scanner writes into the test's folder; returns its text.
    pub(crate) async fn note(&self, name: &str) -> String {
        let path = self.file(name);
        until(PATIENCE, &format!("a scanner writes {name}"), async || {
            let text = files::text(&path);
            text.ends_with('\n').then(|| text.trim_end().to_owned())
        })
        .await
    }

    /// A repository's status file.
    pub(crate) fn status_file(&self, job: &str, index: u32) -> Value {
        let path = self.job_folder(job).join(format!("repo_{index}.json"));
        files::json(&path).unwrap_or_else(|| panic!("there is no {path:?}"))
    }

    /// A repository's log.
    pub(crate) fn scanner_log(&self, job: &str, index: u32) -> PathBuf {
        self.job_folder(job).join("logs").join(format!("repo_{index}.log"))
    }

    /// The file whose lock a repository's shim holds while it lives.
    pub(crate) fn shim_lock(&self, job: &str, index: u32) -> PathBuf {
        self.job_folder(job).join("locks").join(format!("repo_{index}.lock"))
    }

    /// The running shim of a repository.
    pub(crate) fn shim(&self, job: &str, index: u32) -> Option<Holder> {
        lock::holder(&self.shim_lock(job, index)).expect("a lock can be asked for its holder")
    }

    /// The processes of this folder besides the server itself.
    pub(crate) fn processes(&self) -> Vec<u32> {
        let server = self.process.as_ref().map(Child::id);
        let mut found = processes::carrying(&self.setup.marks());
        found.retain(|pid| Some(*pid) != server);
        found
    }

    /// Waits until no process of this folder is left but the server itself.
    pub(crate) async fn no_process_left(&self, patience: Duration) {
        let began = std::time::Instant::now();
        loop {
            let left = self.processes();
            if left.is_empty() {
                return;
            }
            let named: Vec<_> = left.into_iter().map(processes::describe).collect();
            assert!(began.elapsed() < patience, "left after {patience:?}: {named:#?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Sends a signal to a process of this folder.
    pub(crate) fn signal(&self, pid: u32, signal: Signal) {
        processes::signal(pid, &self.setup.marks(), signal);
    }

    /// Kills the server, and nothing else, as a crash would.
    pub(crate) async fn kill9(&mut self) {
        let mut process = self.process.take().expect("the server runs");
        process.kill().expect("a child can be killed");
        reap(&mut process).await;
    }

    /// Stops the server as systemd would, and waits for its end; returns its exit code.
    pub(crate) async fn terminate(&mut self) -> Option<i32> {
        self.stop(Signal::TERM).await
    }

    /// Sends the server a signal that ends it, and waits for its end; returns its exit code.
    pub(crate) async fn stop(&mut self, signal: Signal) -> Option<i32> {
        let mut process = self.process.take().expect("the server runs");
        self.signal(process.id(), signal);
        reap(&mut process).await
    }

    /// Sends a signal to the server's whole group, as a terminal does; returns its exit code.
    pub(crate) async fn signal_group(&mut self, signal: Signal) -> Option<i32> {
        assert!(self.setup.own_group, "its group is the test's own");
        let mut process = self.process.take().expect("the server runs");
        // An unreaped child: the number belongs only to its group.
        let _ = kill_process_group(Pid::from_child(&process), signal);
        reap(&mut process).await
    }

    /// Starts a server on the folder again, and waits until it is ready.
    pub(crate) async fn restart(&mut self) {
        self.launch().await;
        self.wait_ready().await;
    }

    async fn launch(&mut self) {
        assert!(self.process.is_none(), "the server still runs");
        let mark = self.setup.log().len();
        self.process = Some(self.setup.spawn());
        if let Some(status) = self.died_before_it_listened(mark).await {
            panic!("the server ended at once, {status}: {}", &self.setup.log()[mark..]);
        }
    }

    /// Waits until the server has read its folder.
    pub(crate) async fn wait_ready(&self) {
        eventually("the server is ready", async || {
            let request = self.without_credentials(Method::GET, "/readyz");
            self.try_send(request).await.is_ok_and(|answer| answer.status == 200)
        })
        .await;
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
        // What was being started while the others were killed shows up in the next round.
        for _ in 0..100 {
            let marks = self.setup.marks();
            let left = processes::carrying(&marks);
            let locks = files::below(&self.setup.jobs());
            let locks = locks
                .iter()
                .filter(|lock| lock.extension().is_some_and(|extension| extension == "lock"));
            let held = locks.filter_map(|lock| processes::kill_lock_holder(lock)).count();
            if left.is_empty() && held == 0 {
                break;
            }
            for pid in left {
                processes::signal(pid, &marks, Signal::KILL);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        if std::thread::panicking() {
            let log = self.setup.log();
            let tail: Vec<_> = log.lines().rev().take(60).collect();
            let tail: Vec<_> = tail.into_iter().rev().collect();
            #[expect(clippy::print_stderr, reason = "the test failed: this is why")]
            {
                eprintln!("--- the server's last words\n{}\n---", tail.join("\n"));
            }
        }
    }
}

impl Answer {
    /// This answer, which must have this code.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text);
        self
    }

    /// The body as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text)
            .unwrap_or_else(|error| panic!("no JSON ({error}): {self:?}"))
    }

    /// A header's value.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(HeaderValue::to_str)?.ok()
    }
}

/// Whether servers only poll, on request.
fn only_polls() -> bool {
    std::env::var_os("SCANWATCH_TEST_POLL").is_some()
}

/// Whether a document says that its job has ended, to the last repository: a job is called
/// cancelled as soon as that is requested.
pub(crate) fn is_final(document: &Value) -> bool {
    let none_left = |name: &str| document["summary"][name] == 0;
    document["status"].as_str().is_some_and(|state| FINAL.contains(&state))
        && none_left("in_progress")
        && none_left("pending")
}

/// The address in the line that says where to look.
fn address_in(log: &str) -> Option<SocketAddr> {
    let (_, rest) = log.split_once(" listens on http")?;
    let (_, rest) = rest.split_once("://127.0.0.1:")?;
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    // Without a character after it, the number may be incomplete.
    let port = if digits < rest.len() { rest[..digits].parse().ok()? } else { return None };
    Some(SocketAddr::from(([127, 0, 0, 1], port)))
}

async fn reap(process: &mut Child) -> Option<i32> {
    let ended = until(PATIENCE, "the server ends", async || {
        process.try_wait().expect("the server is a child of this test")
    });
    ended.await.code()
}

#[expect(clippy::disallowed_methods, reason = "the tests stand outside of the service")]
fn program(path: &str) -> Command {
    Command::new(path)
}
