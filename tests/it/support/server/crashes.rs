//! A server that may die at any moment, whatever kills it: started in the knowledge that it may not
//! come up, and checked once it is down.

use super::{Setup, TestServer, address_in, reap};
use crate::support::{
    processes::{self, Process},
    wait::{PATIENCE, until},
};
use reqwest::Method;
use std::{
    process::ExitStatus,
    time::{Duration, Instant},
};

impl Setup {
    /// A server that is not started yet, with its folder.
    pub(crate) fn not_yet(self) -> TestServer {
        self.not_started()
    }
}

impl TestServer {
    /// The launcher of the server at its next start, in place of the previous one.
    pub(crate) fn set_launcher(&mut self, launcher: &[String]) {
        self.setup.launcher = launcher.to_vec();
    }

    /// The server's process, to be killed by code that has nothing else of it.
    pub(crate) fn process(&self) -> Process {
        Process::of(self.pid()).expect("a child that is not reaped has a descriptor")
    }

    /// Whether the server has died; then it may be restarted.
    pub(crate) fn has_died(&mut self) -> bool {
        let Some(process) = &mut self.process else { return true };
        let ended = process.try_wait().expect("the server is a child of this test");
        if ended.is_some() {
            self.process = None;
        }
        ended.is_some()
    }

    /// Starts a server, and kills it after this time, however far it has got.
    pub(crate) async fn start_and_kill(&mut self, after: Duration) {
        assert!(self.process.is_none(), "the server still runs");
        let mut process = self.setup.spawn();
        tokio::time::sleep(after).await;
        let _ = process.kill();
        reap(&mut process).await;
    }

    /// Starts a server without waiting for it. The returned value is for [`Self::is_up`].
    pub(crate) fn begin(&mut self) -> usize {
        assert!(self.process.is_none(), "the server still runs");
        let mark = self.setup.log().len();
        self.process = Some(self.setup.spawn());
        mark
    }

    /// Waits until a server is ready, or has died while starting; returns whether it is ready.
    pub(crate) async fn is_up(&mut self, begun: usize) -> bool {
        if self.died_before_it_listened(begun).await.is_some() {
            self.process = None;
            return false;
        }
        until(PATIENCE, "the server is ready, or has fallen", async || {
            let request = self.without_credentials(Method::GET, "/readyz");
            let ready = self.try_send(request).await.is_ok_and(|answer| answer.status == 200);
            if ready { Some(true) } else { self.has_died().then_some(false) }
        })
        .await
    }

    /// Whether the server's tracer keeps one of its threads stopped for this long.
    pub(crate) async fn stands_still(&self, period: Duration) -> bool {
        let until = Instant::now() + period;
        while Instant::now() < until {
            if !processes::threads(self.pid()).iter().any(|state| state == "t") {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        true
    }

    /// Waits until the server says where it listens; returns how it ended, if it did before.
    pub(super) async fn died_before_it_listened(&mut self, mark: usize) -> Option<ExitStatus> {
        until(PATIENCE, "the server says where it listens", async || {
            let log = self.setup.log();
            if let Some(address) = address_in(&log[mark..]) {
                self.address = address;
                return Some(None);
            }
            let process = self.process.as_mut().expect("it was started just now");
            let ended = process.try_wait().expect("the server is a child of this test");
            ended.map(Some)
        })
        .await
    }
}
