//! The settings in force. A reload replaces them as a whole.
//!
//! Input: validated settings. Output: the current ones, for each use anew. Invariants: whoever holds
//! the settings of one moment sees no mixture of two states; an invalid reload changes nothing but
//! [`CurrentConfig::is_outdated`].

use super::Config;
use std::sync::{
    Arc, PoisonError, RwLock,
    atomic::{AtomicBool, Ordering},
};

/// A handle of the settings in force. Clones share the same settings.
#[derive(Debug, Clone)]
pub struct CurrentConfig(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    config: RwLock<Arc<Config>>,
    outdated: AtomicBool,
}

impl CurrentConfig {
    /// The settings of the start.
    pub fn new(config: Config) -> Self {
        let config = RwLock::new(Arc::new(config));
        Self(Arc::new(Shared { config, outdated: AtomicBool::new(false) }))
    }

    /// The settings at this moment.
    pub fn get(&self) -> Arc<Config> {
        Arc::clone(&self.0.config.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Replaces the settings.
    pub fn replace(&self, config: Config) {
        *self.0.config.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
        self.0.outdated.store(false, Ordering::Relaxed);
    }

    /// Records that the settings could not be read again: the current ones stay in force.
    pub fn keep(&self) {
        self.0.outdated.store(true, Ordering::Relaxed);
    }

    /// Whether the last reload failed.
    pub fn is_outdated(&self) -> bool {
        self.0.outdated.load(Ordering::Relaxed)
    }
}
