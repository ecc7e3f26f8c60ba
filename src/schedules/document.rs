//! What is published about schedules.
//!
//! Input: their entries. Output: documents of the API, and problems for `/health`. Invariant: no text contains a
//! path outside of the jobs folder, or a secret.

use super::record::{History, Pending};
use crate::model::{
    schedule::{ScheduleName, ScheduleSpec},
    time::{self, Timestamp},
};
use schemars::JsonSchema;
use serde::Serialize;
use std::{collections::BTreeMap, sync::Arc};

/// Where a schedule is defined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "ScheduleSource")]
pub enum Source {
    /// In the settings; only the operator changes it.
    Settings,
    /// In a file that `/schedules` writes.
    Api,
}

/// A schedule with what it has run.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "Schedule")]
pub struct ScheduleDocument {
    pub name: ScheduleName,
    pub source: Source,
    #[serde(flatten)]
    pub spec: ScheduleSpec,
    /// When the next run starts, with its jitter; null if the schedule is off or its pattern has ended.
    #[serde(with = "time::option")]
    #[schemars(with = "Option<Timestamp>")]
    pub next_run: Option<Timestamp>,
    /// The run that waits or is tried again.
    pub pending: Option<Pending>,
    #[serde(flatten)]
    pub history: History,
}

/// Why a schedule, or a file in `.schedules`, is not used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ScheduleProblem {
    /// The name of the schedule or of the file.
    pub name: String,
    pub problem: String,
}

/// All schedules, as they were at one moment.
#[derive(Debug, Clone, Default)]
pub struct Published {
    pub schedules: BTreeMap<ScheduleName, Arc<ScheduleDocument>>,
    pub problems: Vec<ScheduleProblem>,
}
