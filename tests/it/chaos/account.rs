//! What a client knows about a job: what was answered, what was killed, and so how it may have
//! ended.

use super::victims::Target;
use crate::support::files;
use serde_json::Value;
use std::{collections::BTreeMap, path::Path};

/// A job as its client knows it.
#[derive(Debug, Clone)]
pub(crate) struct Account {
    pub(crate) id: String,
    pub(crate) cancel: ClientRequest,
    pub(crate) removal: ClientRequest,
    pub(super) kills: Vec<Kill>,
    /// Whether its server was killed while it ran.
    pub(crate) lost_its_server: bool,
    /// The failure kind that its scanner reports by itself.
    pub(crate) own_failure: Option<&'static str>,
    /// How often a retry was requested.
    pub(crate) retries: u64,
}

/// A request about a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ClientRequest {
    None,
    /// Sent, perhaps; whether it arrived is unknown.
    Unanswered,
    /// Answered with this state.
    Answered(String),
}

/// A killed process of one of its attempts.
#[derive(Debug, Clone)]
pub(super) struct Kill {
    pub(super) target: Target,
    pub(super) index: u32,
    /// It was stopped first, and the status file had no final state by then: so this was its end.
    pub(super) certain: bool,
}

impl Account {
    /// Of an accepted job.
    pub(crate) fn new(id: String) -> Self {
        Self {
            id,
            cancel: ClientRequest::None,
            removal: ClientRequest::None,
            kills: Vec::new(),
            lost_its_server: false,
            own_failure: None,
            retries: 0,
        }
    }

    /// Some process of this kind was killed, of this repository, at whatever stage.
    pub(crate) fn note_killed(&mut self, index: u32, target: Target) {
        self.kills.push(Kill { target, index, certain: false });
    }

    /// The rows of its plan that count, by number. A job that ended before its forge answered has
    /// none.
    pub(super) fn plan(&self, folder: &Path) -> BTreeMap<u32, Value> {
        let plan = files::json(&folder.join("repositories.json")).unwrap_or_default();
        assert!(plan["complete"] == true || self.unwanted(), "{plan:#} {self:#?}");
        let rows = plan["repositories"].as_array().cloned().unwrap_or_default();
        rows.into_iter()
            .filter_map(|row| Some((u32::try_from(row["repo_index"].as_u64()?).ok()?, row)))
            .collect()
    }

    /// Whether a client requested its end.
    pub(super) fn unwanted(&self) -> bool {
        self.cancel != ClientRequest::None || self.removal != ClientRequest::None
    }

    /// How many of a repository's processes of this kind were killed.
    pub(super) fn killed(&self, index: u32, target: Target) -> u64 {
        self.kills.iter().filter(|kill| kill.index == index && kill.target == target).count() as u64
    }

    /// Whether this was killed while at work, and nothing else of the repository.
    fn was_certain(&self, index: u32, target: Target) -> bool {
        let mut kills = self.kills.iter().filter(|kill| kill.index == index);
        kills.clone().any(|kill| kill.certain && kill.target == target)
            && kills.all(|kill| kill.target == target || kill.target == Target::Parent)
    }

    /// Checks whether a repository may have ended like this; if not, returns what was expected.
    pub(super) fn judge(&self, index: u32, file: &Value) -> Result<(), String> {
        let (status, failure) = (&file["status"], &file["failure"]);
        let shims = self.killed(index, Target::Shim);
        let is = |word: &str, kind: &str| status == word && failure["kind"] == kind;
        let by_signal = is("failed", "signal") && failure["signal"] == 9;
        let by_clone = is("failed", "clone");
        if !self.unwanted() {
            if self.was_certain(index, Target::Scanner) && !by_signal {
                return Err("its scanner was killed at work: failed, by signal 9".to_owned());
            }
            if self.was_certain(index, Target::Git) && !by_clone {
                return Err("its git was killed at work: failed, by its clone".to_owned());
            }
        }
        let may = (status == "completed" && failure.is_null())
            || (by_signal && self.killed(index, Target::Scanner) > 0)
            || (by_clone
                && self.killed(index, Target::Git) + self.killed(index, Target::Helper) > 0)
            || (is("failed", "interrupted") && shims >= 3)
            || (is("cancelled", "cancelled") && self.unwanted())
            || self.own_failure.is_some_and(|kind| is("failed", kind));
        if !may {
            return Err("an end that nothing has led to".to_owned());
        }
        let attempt = file["attempt"].as_u64();
        // A repository that had not started when it was cancelled has no attempt.
        let fits = match attempt {
            Some(0) => status == "cancelled",
            Some(attempt) => attempt <= 1 + shims + self.retries,
            None => false,
        };
        if fits { Ok(()) } else { Err(format!("attempt {attempt:?} after {shims} dead shims")) }
    }
}
