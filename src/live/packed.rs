//! The packed form of a job that is not in use.
//!
//! Input: the content of the files of a job, and its row. Output: bytes, and from them the same content again.
//!
//! Invariants: nothing is lost, including versions and warnings, so entity tags and event ids stay the same. Each part is
//! described once for both directions (see [`Tape`]), so writing and reading cannot differ. Only this program reads what it
//! has packed, after a restart behind a checksum: invalid bytes give wrong values, but no error.

mod row;
mod tape;

pub(super) use row::{pack_row, unpack_row};

use super::versions::Versions;
use crate::{
    model::{
        FailureKind, JobId, RepoState,
        failure::Failure,
        listing::ListingError,
        master::{FailedRepository, Master, Options, ScanType},
        progress::{self, JobFacts},
        report::Report,
        repository::{Figures, Progress, RepositoryStatus},
        stage_progress::StageProgress,
        time::Timestamp,
    },
    store::layout::JobFile,
};
use std::collections::{BTreeMap, BTreeSet};
use tape::{Tape, TapeReader, TapeWriter};

/// The content of the files of a job, and its versions.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct JobFiles {
    pub(super) master: Option<Master>,
    /// In the order of their numbers, each with the version of its newest state.
    pub(super) repositories: Vec<(RepositoryStatus, u64)>,
    pub(super) unreadable: BTreeSet<u32>,
    pub(super) warnings: BTreeMap<JobFile, Vec<String>>,
    pub(super) born: u64,
    pub(super) version: u64,
    pub(super) job_version: u64,
}

/// Packs the content of the files of a job with this row.
pub(super) fn pack(mut files: JobFiles, facts: &JobFacts) -> Box<[u8]> {
    let mut tape = TapeWriter::default();
    job(&mut tape, &mut files, facts);
    tape.into_bytes()
}

/// Unpacks the content.
pub(super) fn unpack(bytes: &[u8], facts: &JobFacts) -> JobFiles {
    let mut files = JobFiles::default();
    job(&mut TapeReader::new(bytes), &mut files, facts);
    files
}

/// The same bytes, with new versions: those of another run of the server must not be used again.
pub(super) fn renumbered(bytes: &[u8], versions: &Versions) -> Box<[u8]> {
    let (mut born, mut version) = (0, 0);
    let mut tape = TapeReader::new(bytes);
    tape.number(&mut born);
    tape.number_like(&mut version, born);
    let first = versions.reserve(version.saturating_sub(born).saturating_add(1));
    // All other versions are relative to the first.
    tape::with_first_number(bytes, first)
}

fn job(tape: &mut impl Tape, files: &mut JobFiles, facts: &JobFacts) {
    tape.number(&mut files.born);
    tape.number_like(&mut files.version, files.born);
    tape.number_like(&mut files.job_version, files.version);
    let first = RepositoryStatus {
        git_url: facts.url.as_deref().map(str::to_owned),
        started_at: facts.started_at,
        index: u32::MAX,
        ..blank()
    };
    let count = tape.length(files.repositories.len());
    files.repositories.resize_with(count, || (blank(), 0));
    let mut version_before = files.born;
    for at in 0..count {
        let (before, rest) = files.repositories.split_at_mut(at);
        let before = before.last().map_or(&first, |(status, _)| status);
        let (status, version) = &mut rest[0];
        repository(tape, status, before);
        // While a folder is read, each file advances the version twice: for its row and for the
        // document.
        tape.number_like(version, version_before.wrapping_add(2));
        version_before = *version;
    }
    let mut is_present = files.master.is_some();
    tape.bit(&mut is_present);
    if is_present {
        let statuses = files.repositories.iter().map(|(status, _)| status);
        master(tape, files.master.get_or_insert_default(), facts, statuses);
    }
    let mut unreadable: Vec<u32> = std::mem::take(&mut files.unreadable).into_iter().collect();
    let count = tape.length(unreadable.len());
    unreadable.resize(count, 0);
    for number in &mut unreadable {
        tape.small_like(number, 0);
    }
    files.unreadable = unreadable.into_iter().collect();
    warnings(tape, &mut files.warnings);
}

fn warnings(tape: &mut impl Tape, by_file: &mut BTreeMap<JobFile, Vec<String>>) {
    let mut list: Vec<(JobFile, Vec<String>)> = std::mem::take(by_file).into_iter().collect();
    let count = tape.length(list.len());
    list.resize_with(count, || (JobFile::Master, Vec::new()));
    for (file, texts) in &mut list {
        let mut index = match file {
            JobFile::Master => None,
            JobFile::Repository(index) => Some(u64::from(*index)),
        };
        tape.optional_like(&mut index, None);
        let index = index.and_then(|number| u32::try_from(number).ok());
        *file = index.map_or(JobFile::Master, JobFile::Repository);
        let count = tape.length(texts.len());
        texts.resize_with(count, String::new);
        for text in texts {
            tape.required(text, "");
        }
    }
    *by_file = list.into_iter().collect();
}

fn repository(tape: &mut impl Tape, status: &mut RepositoryStatus, before: &RepositoryStatus) {
    tape.small_like(&mut status.index, before.index.wrapping_add(1));
    tape.text(&mut status.name, before.name.as_deref());
    let url = likely_url(status, before);
    tape.text(&mut status.git_url, url.as_deref());
    let mut state = Some(status.state.as_str().to_owned());
    tape.text(&mut state, Some(before.state.as_str()));
    status.state = RepoState::parse(&state.unwrap_or_default());
    tape.text(&mut status.unknown_word, before.unknown_word.as_deref());
    tape.time(&mut status.started_at, before.started_at);
    tape.time(&mut status.last_update, status.started_at);
    tape.time(&mut status.completed_at, status.last_update);
    tape.optional_like(&mut status.attempt, before.attempt);
    tape.optional_like(&mut status.dependencies_found, before.dependencies_found);
    let mut reused_from = status.reused_from.as_ref().map(ToString::to_string);
    tape.text(&mut reused_from, before.reused_from.as_ref().map(JobId::as_str));
    status.reused_from = reused_from.and_then(|id| id.parse().ok());
    tape.time(&mut status.checked_at, before.checked_at);
    figures(tape, &mut status.progress, before.progress.as_ref());
    let mut is_present = status.failure.is_some();
    tape.bit(&mut is_present);
    if is_present {
        let failure_before = before.failure.as_ref();
        let blank = || Failure::new(FailureKind::Spawn, "");
        failure(tape, status.failure.get_or_insert_with(blank), failure_before);
    }
    let detail = status.failure.as_ref().map(|failure| failure.detail.as_str());
    tape.text(&mut status.error, detail.or(before.error.as_deref()));
}

fn figures(tape: &mut impl Tape, progress: &mut Option<Progress>, before: Option<&Progress>) {
    let mut kind = kind_of(progress.as_ref());
    tape.small_like(&mut kind, kind_of(before));
    if kind == 0 {
        return;
    }
    let blank = |figures| Progress {
        figures,
        message: None,
        stage: None,
        stage_index: None,
        stage_total: None,
        stage_progress: None,
    };
    let none = blank(Figures::None {});
    let before = before.unwrap_or(&none);
    let progress = progress.get_or_insert_with(|| {
        blank(match kind {
            1 => Figures::None {},
            2 => Figures::Files { total: 0, current: 0, percentage: 0.0, file_name: None },
            3 => Figures::Download { bytes: 0, megabytes: 0.0 },
            _ => Figures::Extraction { extracted: 0, total: 0, percentage: 0.0 },
        })
    });
    match &mut progress.figures {
        Figures::None {} => {}
        Figures::Files { total, current, percentage, file_name } => {
            tape.number(total);
            tape.number_like(current, *total);
            tape.float_like(percentage, 100.0);
            let name_before = match &before.figures {
                Figures::Files { file_name, .. } => file_name.as_deref(),
                _ => None,
            };
            tape.text(file_name, name_before);
        }
        Figures::Download { bytes, megabytes } => {
            tape.number(bytes);
            tape.float_like(megabytes, 0.0);
        }
        Figures::Extraction { extracted, total, percentage } => {
            tape.number(total);
            tape.number_like(extracted, *total);
            tape.float_like(percentage, 100.0);
        }
    }
    tape.text(&mut progress.message, before.message.as_deref());
    tape.text(&mut progress.stage, before.stage.as_deref());
    tape.optional_like(&mut progress.stage_index, before.stage_index);
    tape.optional_like(&mut progress.stage_total, before.stage_total);
    stage_progress(tape, &mut progress.stage_progress);
}

fn stage_progress(tape: &mut impl Tape, value: &mut Option<StageProgress>) {
    let mut is_present = value.is_some();
    tape.bit(&mut is_present);
    if !is_present {
        return;
    }
    let mut is_other = matches!(value, Some(StageProgress::Other(_)));
    tape.bit(&mut is_other);
    if is_other {
        let mut text = match value.take() {
            Some(StageProgress::Other(text)) => text,
            _ => String::new(),
        };
        tape.required(&mut text, "");
        *value = Some(StageProgress::Other(text));
    } else {
        let mut percent = match value {
            Some(StageProgress::Percent(percent)) => *percent,
            _ => 0.0,
        };
        tape.float_like(&mut percent, 100.0);
        *value = Some(StageProgress::Percent(percent));
    }
}

fn kind_of(progress: Option<&Progress>) -> u32 {
    match progress.map(|progress| &progress.figures) {
        None => 0,
        Some(Figures::None {}) => 1,
        Some(Figures::Files { .. }) => 2,
        Some(Figures::Download { .. }) => 3,
        Some(Figures::Extraction { .. }) => 4,
    }
}

fn failure(tape: &mut impl Tape, failure: &mut Failure, before: Option<&Failure>) {
    let kind = FailureKind::ALL.iter().position(|kind| *kind == failure.kind).unwrap_or(0);
    let kind = tape.length(kind);
    failure.kind = FailureKind::ALL.get(kind).copied().unwrap_or(FailureKind::Spawn);
    tape.required(&mut failure.detail, before.map_or("", |failure| &failure.detail));
    for code in [&mut failure.exit_code, &mut failure.signal] {
        let mut bits = code.map(|code| u64::from(code.cast_unsigned()));
        tape.optional_like(&mut bits, None);
        *code = bits.and_then(|number| u32::try_from(number).ok()).map(u32::cast_signed);
    }
    tape.bit(&mut failure.permanent);
    tape.bit(&mut failure.throttled);
    tape.optional_like(&mut failure.retry_after_secs, None);
}

fn master<'a>(
    tape: &mut impl Tape,
    master: &mut Master,
    facts: &JobFacts,
    statuses: impl Iterator<Item = &'a RepositoryStatus> + Clone,
) {
    tape.small_like(&mut master.schema, 1);
    tape.text(&mut master.job_id, Some(facts.id.as_str()));
    tape.text(&mut master.group_url, facts.url.as_deref());
    let mut kind = match master.scan_type {
        None => 0,
        Some(ScanType::Repository) => 1,
        Some(ScanType::Group) => 2,
        Some(ScanType::Path) => 3,
    };
    tape.small_like(&mut kind, 2);
    master.scan_type = match kind {
        1 => Some(ScanType::Repository),
        2 => Some(ScanType::Group),
        3 => Some(ScanType::Path),
        _ => None,
    };
    tape.optional_like(&mut master.total_repositories, Some(facts.summary.total_repositories));
    tape.optional_like(&mut master.skipped_repositories, Some(facts.skipped));
    tape.bit(&mut master.discovering);
    tape.text(&mut master.status, Some(facts.state.as_str()));
    tape.time(&mut master.started_at, facts.started_at);
    tape.time(&mut master.completed_at, facts.completed_at);
    tape.time(&mut master.last_aggregation, facts.completed_at);
    names(tape, &mut master.pending_repositories, std::iter::empty());
    let completed = statuses.clone().filter_map(progress::completed_name);
    names(tape, &mut master.completed_repositories, completed);
    let mut failed = statuses.filter(|status| status.state.is_failure());
    let blank =
        || FailedRepository { repo_name: None, error: String::new(), status: String::new() };
    lengthen(tape, &mut master.failed_repositories, blank);
    for repository in master.failed_repositories.iter_mut().flatten() {
        let like = failed.next();
        tape.text(&mut repository.repo_name, like.and_then(|status| status.name.as_deref()));
        tape.required(
            &mut repository.error,
            like.and_then(|status| status.error.as_deref()).unwrap_or_default(),
        );
        tape.required(&mut repository.status, like.map_or("", RepositoryStatus::word));
    }
    tape.text(&mut master.error, facts.error.as_deref());
    tape.text(&mut master.waiting_for, None);
    discovery_errors(tape, master, facts);
    tape.text(&mut master.submitted_by, None);
    tape.text(&mut master.schedule, facts.schedule.as_deref());
    let json = |options: &Options| serde_json::to_string(options).unwrap_or_default();
    let mut options = master.options.as_ref().map(json);
    tape.text(&mut options, Some(&json(&Options::default())));
    master.options = options.map(|json| serde_json::from_str(&json).unwrap_or_default());
    tape.bit(&mut master.paused);
    tape.time(&mut master.bumped_at, None);
    let json = |report: &Report| serde_json::to_string(report).unwrap_or_default();
    let mut report = master.report.as_ref().map(json);
    let likely = Report { completed: facts.summary.completed, ..Report::default() };
    let is_likely = facts.state.is_final().then(|| json(&likely));
    tape.text(&mut report, is_likely.as_deref());
    master.report = report.and_then(|json| serde_json::from_str(&json).ok());
}

fn discovery_errors(tape: &mut impl Tape, master: &mut Master, facts: &JobFacts) {
    tape.number_like(&mut master.discovery_errors_total, facts.discovery_errors);
    let mut is_listed = !master.discovery_errors.is_empty();
    tape.bit(&mut is_listed);
    if !is_listed {
        return;
    }
    let count = tape.length(master.discovery_errors.len());
    let blank = || ListingError::new("", "", Timestamp::default());
    master.discovery_errors.resize_with(count, blank);
    for error in &mut master.discovery_errors {
        tape.required(&mut error.request, "");
        tape.required(&mut error.error, "");
        let mut at = Some(error.timestamp);
        tape.time(&mut at, master.completed_at);
        error.timestamp = at.unwrap_or_default();
    }
}

/// Names. Another list probably has the same names in the same order; if not, each name probably is
/// similar to the previous one.
fn names(
    tape: &mut impl Tape,
    names: &mut Option<Vec<String>>,
    mut likely: impl Iterator<Item = String>,
) {
    lengthen(tape, names, String::new);
    let mut before = String::new();
    for name in names.iter_mut().flatten() {
        tape.required(name, likely.next().as_ref().unwrap_or(&before));
        before.clone_from(name);
    }
}

/// Packs or restores the length of a list that may be absent.
fn lengthen<T>(tape: &mut impl Tape, list: &mut Option<Vec<T>>, blank: impl FnMut() -> T) {
    let mut length = list.as_ref().map(|list| list.len() as u64);
    tape.optional_like(&mut length, Some(0));
    if let Some(length) = length.and_then(|length| usize::try_from(length).ok()) {
        list.get_or_insert_default().resize_with(length, blank);
    }
}

/// The likely URL: that of the previous repository, with the name replaced.
fn likely_url(status: &RepositoryStatus, before: &RepositoryStatus) -> Option<String> {
    let url = before.git_url.as_ref()?;
    Some(match (&status.name, &before.name) {
        (Some(name), Some(before)) if !before.is_empty() => url.replace(before.as_str(), name),
        _ => url.clone(),
    })
}

fn blank() -> RepositoryStatus {
    RepositoryStatus {
        index: 0,
        name: None,
        git_url: None,
        state: RepoState::Pending,
        unknown_word: None,
        started_at: None,
        last_update: None,
        completed_at: None,
        attempt: None,
        progress: None,
        error: None,
        failure: None,
        dependencies_found: None,
        reused_from: None,
        checked_at: None,
    }
}

#[cfg(test)]
mod tests;
