//! The packed form of the row of a job.
//!
//! Input: the row of a finished job. Output: bytes, and from them the same row again.
//!
//! Invariants: as for [packed jobs](super); what depends on the clocks of this run of the server is
//! computed anew, as if the job's files had just been read.

use super::tape::{Tape, TapeReader, TapeWriter};
use crate::{
    live::{elapsed::Moment, job_index::JobRow},
    model::{JobId, JobState},
};
use std::sync::Arc;

/// Packs the row of a job, except what changes with time.
pub(in crate::live) fn pack_row(row: &JobRow) -> Box<[u8]> {
    let mut tape = TapeWriter::default();
    job_row(&mut tape, &mut row.clone());
    tape.into_bytes()
}

/// Unpacks the row of the job with this id, which had a final state.
pub(in crate::live) fn unpack_row(bytes: &[u8], id: JobId) -> JobRow {
    let mut row = JobRow::new(id);
    job_row(&mut TapeReader::new(bytes), &mut row);
    let (started_at, completed_at) = (row.facts.started_at, row.facts.completed_at);
    row.elapsed.note(started_at, completed_at, Moment::now());
    row
}

fn job_row(tape: &mut impl Tape, row: &mut JobRow) {
    let JobRow { facts, error, ended, .. } = row;
    shared_text(tape, &mut facts.url, None);
    let mut state = Some(facts.state.as_str().to_owned());
    tape.text(&mut state, Some(JobState::Completed.as_str()));
    facts.state = JobState::ALL
        .into_iter()
        .find(|known| Some(known.as_str()) == state.as_deref())
        .unwrap_or(JobState::Initializing);
    let summary = &mut facts.summary;
    tape.number(&mut summary.total_repositories);
    tape.number_like(&mut summary.completed, summary.total_repositories);
    for count in [
        &mut summary.in_progress,
        &mut summary.pending,
        &mut summary.failed,
        &mut summary.reused,
        &mut facts.skipped,
        &mut facts.discovery_errors,
    ] {
        tape.number_like(count, 0);
    }
    tape.bit(&mut facts.discovering);
    tape.time(&mut facts.started_at, None);
    let mut folder_time = Some(facts.folder_time);
    tape.time(&mut folder_time, facts.started_at);
    facts.folder_time = folder_time.unwrap_or_default();
    tape.time(&mut facts.completed_at, facts.started_at);
    shared_text(tape, &mut facts.error, None);
    shared_text(tape, &mut facts.schedule, None);
    tape.float_like(&mut facts.fraction, 1.0);
    tape.bit(&mut facts.paused);
    tape.bit(&mut facts.archived);
    let of_job = facts.error.clone();
    shared_text(tape, error, of_job.as_ref());
    tape.bit(ended);
}

/// A shared text: the predicted one, if it is the same text.
fn shared_text(tape: &mut impl Tape, value: &mut Option<Arc<str>>, like: Option<&Arc<str>>) {
    let mut text = value.as_deref().map(str::to_owned);
    tape.text(&mut text, like.map(|like| &**like));
    *value = text.map(|text| match like {
        Some(like) if **like == *text => Arc::clone(like),
        _ => text.into(),
    });
}
