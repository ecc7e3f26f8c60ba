//! What was requested of a job. Input: its master.json. Output: the options. Invariant: a job without options has the
//! defaults.

use super::LiveJob;
use crate::model::master::Options;

impl LiveJob {
    /// What was requested, from master.json; the defaults if it does not state that.
    pub fn options(&self) -> Options {
        self.with(|data| data.master.as_ref().and_then(|master| master.options.clone()))
            .unwrap_or_default()
    }
}
