//! Reloads the settings on SIGHUP.
//!
//! Input: the signal, and the sources of the settings. Output: new settings for all components, and
//! log lines that name what changed. Invariants: an invalid setting changes nothing and degrades
//! `/health` until the settings are valid; a signal that arrives during a reload causes another one.

use super::{Engine, with_absolute_command};
use crate::{
    config::{Changes, Config, CurrentConfig, Reloader, SettingsError},
    schedules::Schedules,
    store::space::{Floor, Space},
    supervisor::Supervisor,
    webhooks::Webhooks,
};
use std::{fmt::Display, sync::Arc};
use tokio::{signal::unix::Signal, task::spawn_blocking};

/// What a reload reaches.
pub(super) struct Reload {
    config: CurrentConfig,
    space: Arc<Space>,
    supervisor: Supervisor,
    schedules: Option<Schedules>,
    webhooks: Webhooks,
}

impl Engine {
    /// Reloads the settings at each SIGHUP from now on, and at once if `missed`: one arrived during
    /// the start.
    pub fn reload_on(&self, hangup: Signal, settings: Reloader, missed: bool) {
        let reload = Reload {
            config: self.config.clone(),
            space: Arc::clone(&self.space),
            supervisor: self.supervisor.clone(),
            schedules: self.schedules.clone(),
            webhooks: self.webhooks.clone(),
        };
        let shutdown = self.shutdown.clone();
        self.tasks.spawn(async move {
            let reloading = Box::pin(reload.run(hangup, settings, missed));
            let _ = shutdown.run_until_cancelled(reloading).await;
        });
    }
}

impl Reload {
    async fn run(self, mut hangup: Signal, mut settings: Reloader, missed: bool) {
        let mut due = missed;
        loop {
            if !due && hangup.recv().await.is_none() {
                return;
            }
            due = false;
            tracing::info!(
                "SIGHUP: reloading the settings, forge tokens, users, tokens and certificates"
            );
            let before = self.config.get();
            let read = spawn_blocking(move || {
                let read = settings.reload(&before);
                (settings, read)
            });
            // A panic has been logged; the settings of the next signal cannot be known any more.
            let Ok((kept, read)) = read.await else { return };
            settings = kept;
            self.take(read).await;
        }
    }

    async fn take(&self, read: Result<(Config, Changes), SettingsError>) {
        match read {
            Ok((config, changes)) => {
                self.apply(config).await;
                log(&changes);
            }
            Err(error) => {
                self.reload_schedules().await;
                self.config.keep();
                tracing::error!(
                    %error,
                    "the settings are invalid, so the previous ones stay in force; correct them and \
                     send SIGHUP again"
                );
            }
        }
    }

    async fn apply(&self, config: Config) {
        let config = with_absolute_command(config);
        self.space.limit(floor(&config), config.limits.max_fetch_bytes);
        self.config.replace(config);
        self.supervisor.reloaded().await;
        self.webhooks.reloaded().await;
        self.reload_schedules().await;
    }

    /// Reads the files of schedules again, also if the settings are invalid.
    async fn reload_schedules(&self) {
        if let Some(schedules) = &self.schedules {
            schedules.reloaded().await;
        }
    }
}

/// The minimum of free space.
pub(super) fn floor(config: &Config) -> Floor {
    Floor { bytes: config.jobs.min_free_bytes, inodes: config.jobs.min_free_inodes }
}

fn log(changes: &Changes) {
    if changes.is_empty() {
        tracing::info!("settings reloaded: nothing changed");
        return;
    }
    if !changes.settings.is_empty() {
        tracing::info!(
            settings = changes.settings.join(", "),
            "settings reloaded; scans that start from now on use them"
        );
    }
    if !changes.tokens.is_empty() {
        tracing::info!(forges = joined(&changes.tokens), "forge tokens replaced");
    }
    if !changes.authorities.is_empty() {
        tracing::info!(
            forges = joined(&changes.authorities),
            "certificate authorities of forges replaced"
        );
    }
    if !changes.webhooks.is_empty() {
        tracing::info!(webhooks = joined(&changes.webhooks), "secrets of webhooks replaced");
    }
    if !changes.need_restart.is_empty() {
        tracing::warn!(
            settings = changes.need_restart.join(", "),
            "changed settings that come into force with the next start; restart the server"
        );
    }
}

fn joined(items: &[impl Display]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
