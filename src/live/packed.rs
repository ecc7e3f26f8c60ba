//! What the files of a job say, in few bytes: the form in which a job rests that nobody asks for.
//!
//! Input: the files of a job. Output: bytes, and from them the same files again.
//! Invariants: nothing is lost, versions and warnings neither, so entity tags and event ids stay
//! what they were. Each part is described once, for both ways (see [`Tape`]), so what is written
//! and what is read cannot differ. Only this process reads what it has packed: bytes that make no
//! sense give odd values, and no error.

mod tape;

use crate::{
    model::{
        FailureKind, RepoState,
        failure::Failure,
        master::{FailedRepository, Master, Options, ScanType},
        progress::{self, JobFacts},
        repository::{Figures, Progress, RepositoryStatus},
    },
    store::layout::JobFile,
};
use std::collections::{BTreeMap, BTreeSet};
use tape::{Reader, Tape, Writer};

/// What the files of a job say, and the versions of that.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Files {
    pub(super) master: Option<Master>,
    /// In order of their numbers, each with the version of its newest state.
    pub(super) repositories: Vec<(RepositoryStatus, u64)>,
    pub(super) unreadable: BTreeSet<u32>,
    pub(super) warnings: BTreeMap<JobFile, Vec<String>>,
    pub(super) born: u64,
    pub(super) version: u64,
    pub(super) job_version: u64,
}

/// Packs what the files of a job with this line say.
pub(super) fn pack(mut files: Files, facts: &JobFacts) -> Box<[u8]> {
    let mut tape = Writer::default();
    job(&mut tape, &mut files, facts);
    tape.into_bytes()
}

/// What has been packed.
pub(super) fn unpack(bytes: &[u8], facts: &JobFacts) -> Files {
    let mut files = Files::default();
    job(&mut Reader::new(bytes), &mut files, facts);
    files
}

fn job(tape: &mut impl Tape, it: &mut Files, facts: &JobFacts) {
    tape.number(&mut it.born);
    tape.number_like(&mut it.version, it.born);
    tape.number_like(&mut it.job_version, it.version);
    let first = RepositoryStatus {
        git_url: facts.url.as_deref().map(str::to_owned),
        started_at: facts.started_at,
        index: u32::MAX,
        ..blank()
    };
    let count = tape.length(it.repositories.len());
    it.repositories.resize_with(count, || (blank(), 0));
    let mut version_before = it.born;
    for at in 0..count {
        let (before, rest) = it.repositories.split_at_mut(at);
        let before = before.last().map_or(&first, |(status, _)| status);
        let (status, version) = &mut rest[0];
        repository(tape, status, before);
        // Each file gave the row a version, and then the document.
        tape.number_like(version, version_before.wrapping_add(2));
        version_before = *version;
    }
    let mut there = it.master.is_some();
    tape.bit(&mut there);
    if there {
        let statuses = it.repositories.iter().map(|(status, _)| status);
        master(tape, it.master.get_or_insert_default(), facts, statuses);
    }
    let mut unreadable: Vec<u32> = std::mem::take(&mut it.unreadable).into_iter().collect();
    let count = tape.length(unreadable.len());
    unreadable.resize(count, 0);
    for it in &mut unreadable {
        tape.small_like(it, 0);
    }
    it.unreadable = unreadable.into_iter().collect();
    warnings(tape, &mut it.warnings);
}

fn warnings(tape: &mut impl Tape, it: &mut BTreeMap<JobFile, Vec<String>>) {
    let mut list: Vec<(JobFile, Vec<String>)> = std::mem::take(it).into_iter().collect();
    let count = tape.length(list.len());
    list.resize_with(count, || (JobFile::Master, Vec::new()));
    for (file, texts) in &mut list {
        let mut index = match file {
            JobFile::Master => None,
            JobFile::Repository(index) => Some(u64::from(*index)),
        };
        tape.optional_like(&mut index, None);
        let index = index.and_then(|it| u32::try_from(it).ok());
        *file = index.map_or(JobFile::Master, JobFile::Repository);
        let count = tape.length(texts.len());
        texts.resize_with(count, String::new);
        for text in texts {
            tape.required(text, "");
        }
    }
    *it = list.into_iter().collect();
}

fn repository(tape: &mut impl Tape, it: &mut RepositoryStatus, before: &RepositoryStatus) {
    tape.small_like(&mut it.index, before.index.wrapping_add(1));
    tape.text(&mut it.name, before.name.as_deref());
    let url = likely_url(it, before);
    tape.text(&mut it.git_url, url.as_deref());
    let mut state = Some(it.state.as_str().to_owned());
    tape.text(&mut state, Some(before.state.as_str()));
    it.state = RepoState::parse(&state.unwrap_or_default());
    tape.text(&mut it.unknown_word, before.unknown_word.as_deref());
    tape.time(&mut it.started_at, before.started_at);
    tape.time(&mut it.last_update, it.started_at);
    tape.time(&mut it.completed_at, it.last_update);
    tape.optional_like(&mut it.attempt, before.attempt);
    tape.optional_like(&mut it.dependencies_found, before.dependencies_found);
    figures(tape, &mut it.progress, before.progress.as_ref());
    let mut there = it.failure.is_some();
    tape.bit(&mut there);
    if there {
        let failure_before = before.failure.as_ref();
        let blank = || Failure::new(FailureKind::Spawn, "");
        failure(tape, it.failure.get_or_insert_with(blank), failure_before);
    }
    let detail = it.failure.as_ref().map(|it| it.detail.as_str());
    tape.text(&mut it.error, detail.or(before.error.as_deref()));
}

fn figures(tape: &mut impl Tape, it: &mut Option<Progress>, before: Option<&Progress>) {
    let mut kind = kind_of(it.as_ref());
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
    let it = it.get_or_insert_with(|| {
        blank(match kind {
            1 => Figures::None {},
            2 => Figures::Files { total: 0, current: 0, percentage: 0.0, file_name: None },
            3 => Figures::Download { bytes: 0, megabytes: 0.0 },
            _ => Figures::Extraction { extracted: 0, total: 0, percentage: 0.0 },
        })
    });
    match &mut it.figures {
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
    tape.text(&mut it.message, before.message.as_deref());
    tape.text(&mut it.stage, before.stage.as_deref());
    tape.optional_like(&mut it.stage_index, before.stage_index);
    tape.optional_like(&mut it.stage_total, before.stage_total);
    let mut there = it.stage_progress.is_some();
    tape.bit(&mut there);
    if there {
        tape.float_like(it.stage_progress.get_or_insert_default(), 100.0);
    }
}

fn kind_of(progress: Option<&Progress>) -> u32 {
    match progress.map(|it| &it.figures) {
        None => 0,
        Some(Figures::None {}) => 1,
        Some(Figures::Files { .. }) => 2,
        Some(Figures::Download { .. }) => 3,
        Some(Figures::Extraction { .. }) => 4,
    }
}

fn failure(tape: &mut impl Tape, it: &mut Failure, before: Option<&Failure>) {
    let kind = FailureKind::ALL.iter().position(|kind| *kind == it.kind).unwrap_or(0);
    let kind = tape.length(kind);
    it.kind = FailureKind::ALL.get(kind).copied().unwrap_or(FailureKind::Spawn);
    tape.required(&mut it.detail, before.map_or("", |it| &it.detail));
    for code in [&mut it.exit_code, &mut it.signal] {
        let mut bits = code.map(|it| u64::from(it.cast_unsigned()));
        tape.optional_like(&mut bits, None);
        *code = bits.and_then(|it| u32::try_from(it).ok()).map(u32::cast_signed);
    }
    tape.bit(&mut it.permanent);
}

fn master<'a>(
    tape: &mut impl Tape,
    it: &mut Master,
    facts: &JobFacts,
    statuses: impl Iterator<Item = &'a RepositoryStatus> + Clone,
) {
    tape.small_like(&mut it.schema, 1);
    tape.text(&mut it.job_id, Some(facts.id.as_str()));
    tape.text(&mut it.group_url, facts.url.as_deref());
    let mut kind = match it.scan_type {
        None => 0,
        Some(ScanType::Repository) => 1,
        Some(ScanType::Group) => 2,
        Some(ScanType::Path) => 3,
    };
    tape.small_like(&mut kind, 2);
    it.scan_type = match kind {
        1 => Some(ScanType::Repository),
        2 => Some(ScanType::Group),
        3 => Some(ScanType::Path),
        _ => None,
    };
    tape.optional_like(&mut it.total_repositories, Some(facts.summary.total_repositories));
    tape.text(&mut it.status, Some(facts.state.as_str()));
    tape.time(&mut it.started_at, facts.started_at);
    tape.time(&mut it.completed_at, facts.completed_at);
    tape.time(&mut it.last_aggregation, facts.completed_at);
    names(tape, &mut it.pending_repositories, std::iter::empty());
    let completed = statuses.clone().filter_map(progress::completed_name);
    names(tape, &mut it.completed_repositories, completed);
    let mut failed = statuses.filter(|it| it.state.is_failure());
    let blank =
        || FailedRepository { repo_name: None, error: String::new(), status: String::new() };
    lengthen(tape, &mut it.failed_repositories, blank);
    for it in it.failed_repositories.iter_mut().flatten() {
        let like = failed.next();
        tape.text(&mut it.repo_name, like.and_then(|it| it.name.as_deref()));
        tape.required(&mut it.error, like.and_then(|it| it.error.as_deref()).unwrap_or_default());
        tape.required(&mut it.status, like.map_or("", RepositoryStatus::word));
    }
    tape.text(&mut it.error, facts.error.as_deref());
    tape.text(&mut it.waiting_for, None);
    tape.text(&mut it.submitted_by, None);
    let json = |it: &Options| serde_json::to_string(it).unwrap_or_default();
    let mut options = it.options.as_ref().map(json);
    tape.text(&mut options, Some(&json(&Options::default())));
    it.options = options.map(|it| serde_json::from_str(&it).unwrap_or_default());
}

/// Names, of which some list probably has the same in the same order; else each is like the last.
fn names(
    tape: &mut impl Tape,
    it: &mut Option<Vec<String>>,
    mut likely: impl Iterator<Item = String>,
) {
    lengthen(tape, it, String::new);
    let mut before = String::new();
    for name in it.iter_mut().flatten() {
        tape.required(name, likely.next().as_ref().unwrap_or(&before));
        before.clone_from(name);
    }
}

/// Gives a list that may be absent its length.
fn lengthen<T>(tape: &mut impl Tape, it: &mut Option<Vec<T>>, blank: impl FnMut() -> T) {
    let mut length = it.as_ref().map(|it| it.len() as u64);
    tape.optional_like(&mut length, Some(0));
    if let Some(length) = length.and_then(|it| usize::try_from(it).ok()) {
        it.get_or_insert_default().resize_with(length, blank);
    }
}

/// Repositories of a group differ in the place of their names in their URLs.
fn likely_url(it: &RepositoryStatus, before: &RepositoryStatus) -> Option<String> {
    let url = before.git_url.as_ref()?;
    Some(match (&it.name, &before.name) {
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
    }
}

#[cfg(test)]
mod tests;
