//! The page over a network as it is, and over a long time.

use super::{base, finished_group, play_job, scanner};
use crate::{
    proxies::{PACKAGES, free_port},
    support::{
        browser::{plays, scenario},
        debian::Packages,
        files,
        python::succeed,
        server::{Setup, TestServer},
        wait::eventually,
    },
};
use std::{net::TcpStream, process::Child};

/// Breaks if somebody with a slow connection sees an empty page, or one that does not say what it waits for.
#[tokio::test]
async fn a_slow_link_is_a_page_that_says_what_it_waits_for() {
    let (server, job) = finished_group(scanner(), 3).await;
    play_job("slow", &server, &job).await;
    play_job("throttled", &server, &job).await;
}

/// Breaks if what is shown of a server that does not answer any more looks current.
#[tokio::test]
async fn a_silent_connection_is_noticed_within_twenty_seconds() {
    let setup = scanner();
    files::write(&setup.folder().join("hold"), "");
    let job = setup.write_group(3);
    let server = setup.start().await;
    server.working(&job).await;
    play_job("stall", &server, &job).await;
}

/// Breaks if a scenario would not notice what the policy of the page forbids.
#[tokio::test]
async fn what_the_policy_forbids_is_a_fault() {
    let server = Setup::new().start().await;
    plays("policy", server.folder(), base(&server)).await;
}

/// Breaks if the page, or the worker that all tabs share, keeps what has been replaced.
#[tokio::test]
async fn the_changes_of_a_day_are_not_kept() {
    let server = Setup::new().start().await;
    let (home, address) = (server.folder().to_owned(), base(&server));
    let jobs = server.setup().jobs();
    let played = tokio::task::spawn_blocking(move || {
        succeed(scenario("day", &home, &address).env("PAGE_JOBS", jobs));
    });
    played.await.expect("the scenario passes");
}

/// Breaks if the page works at the root of a server alone.
#[tokio::test]
async fn the_page_works_below_a_path_of_a_proxy() {
    let Some(packages) = Packages::unpacked(&PACKAGES) else { return };
    let (server, job) = finished_group(scanner().user("operator", "s3cret"), 3).await;
    let proxy = Nginx::start(&packages, &server).await;
    let (home, address) = (server.folder().to_owned(), format!("http://127.0.0.1:{}", proxy.port));
    let played = tokio::task::spawn_blocking(move || {
        succeed(scenario("prefix", &home, &address).env("PAGE_JOB", job));
    });
    played.await.expect("the scenario passes");
}

/// An nginx that serves the server below `/scanwatch/`.
struct Nginx {
    process: Child,
    port: u16,
}

impl Nginx {
    async fn start(packages: &Packages, server: &TestServer) -> Self {
        let folder = server.file("nginx");
        std::fs::create_dir(&folder).unwrap();
        let within = |name: &str| folder.join(name).display().to_string();
        let port = free_port(7000);
        let folders = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {};", within(kind)))
            .join("\n");
        let text = format!(
            "daemon off; master_process off; pid {};\nerror_log stderr;\nevents {{}}\nhttp {{\naccess_log off;\n{folders}\n\
             server {{ listen 127.0.0.1:{port}; location /scanwatch/ {{ proxy_pass http://{}/; proxy_http_version 1.1; \
             proxy_set_header Host $http_host; proxy_set_header Connection \"\"; proxy_buffering off; proxy_read_timeout 1h; }} }} }}\n",
            within("pid"),
            server.address(),
        );
        let path = folder.join("configuration");
        files::write(&path, text);
        let mut command = packages.command("usr/sbin/nginx");
        command.args(["-e", "stderr", "-c"]).arg(&path).current_dir(&folder);
        let proxy = Self { process: command.spawn().unwrap(), port };
        eventually("nginx listens", async || TcpStream::connect(("127.0.0.1", port)).is_ok()).await;
        proxy
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
