//! The scan engine: the loop over the files of a tree.
//!
//! Input: a tree, a lookup of parsers, the limits. Output: packages and warnings, and figures
//! during the scan.
//!
//! Invariants: a deep scan also reads source files that no other parser wants. Everything runs on
//! one thread with a fixed stack size, so that a deeply nested file has the same outcome on every
//! machine.

use super::{
    files_digest::{FilesDigest, Seen},
    findings::{Scan, ScanFindings},
    guard::{guarded, words},
    notices::Notices,
    urls::UrlPatterns,
    wanted::{FileKind, Reader, Wanted},
};
use crate::{
    ecosystem::{self, ArchiveLimits, Findings, Gathered, Gitlinks, Imports},
    model::{
        scan_result::{Package, Warning},
        state::Work,
    },
    worker::{
        error::ScanError,
        infrastructure::Infrastructure,
        limits::{Caps, LimitError},
        local::CacheFolders,
        status::Stage,
        text,
        tree::{Content, Entry, Kind, Tree},
    },
};
use std::{thread, time::Duration};

/// The scanning thread's stack, in bytes.
const STACK: usize = 32 << 20;
/// The maximum size of the paths of all files to read, in bytes. With 200,000 files that is 335
/// bytes for each; with the longest allowed paths it would be 800 MB.
const MOST_PATH_BYTES: usize = 64 << 20;
/// How many entries are listed between two updates of the figures.
const ENTRIES_PER_FIGURE: u64 = 1000;

/// Scans a tree.
pub(crate) fn scan<T: Tree<Error: Into<ScanError>> + Send>(
    tree: &mut T,
    with: Scan<'_>,
) -> Result<ScanFindings, ScanError> {
    thread::scope(|scope| {
        thread::Builder::new()
            .name("scan".to_owned())
            .stack_size(STACK)
            .spawn_scoped(scope, || Engine::new(with).run(tree))
            .map_err(ScanError::Thread)?
            .join()
            .unwrap_or_else(|panic| Err(ScanError::Panic(words(panic.as_ref()).to_owned())))
    })
}

struct Engine<'a> {
    with: Scan<'a>,
    found: ScanFindings,
    /// Input of the join step, which creates packages from several files.
    gathered: Gathered,
    urls: UrlPatterns,
    /// The number of entries in the gathered facts, each of which may become a package.
    size_of_facts: usize,
    /// The size of the packages' texts, in bytes.
    size_of_packages: usize,
    notices: Notices,
    /// The processor time that archives took.
    spent_on_archives: Duration,
}

impl<'a> Engine<'a> {
    fn new(with: Scan<'a>) -> Self {
        Self {
            with,
            found: ScanFindings::default(),
            gathered: Gathered::default(),
            urls: UrlPatterns::new(with.categories),
            size_of_facts: 0,
            size_of_packages: 0,
            notices: Notices::default(),
            spent_on_archives: Duration::ZERO,
        }
    }

    fn run<T: Tree<Error: Into<ScanError>>>(
        mut self,
        tree: &mut T,
    ) -> Result<ScanFindings, ScanError> {
        let reporter = self.with.reporter;
        reporter.enter(Work::Scanning, Stage::List, "Listing files");
        let mut wanted = self.list(tree)?;
        let known = self.with.known.and_then(|known| known.files_digest.as_ref());
        if known.is_some() && known == self.found.files_digest.as_ref() {
            self.found.is_unchanged = true;
            return Ok(self.found);
        }
        let handles: Vec<_> = wanted.iter().map(|file| &file.handle).collect();
        let sizes = tree.prepare(&handles)?;
        for (file, size) in wanted.iter_mut().zip(sizes) {
            file.size = file.size.or(size);
        }
        let total = wanted.len() as u64;
        reporter.update(|figures| figures.total_files = Some(total));
        reporter.enter(Work::Scanning, Stage::Parse, &format!("Parsing {total} files"));
        // Includes the time that git has used so far.
        self.with.cpu.note_others();
        for (done, file) in (0..).zip(&wanted) {
            if let Some(signal) = self.with.stop.asked() {
                return Err(ScanError::Stopped(signal));
            }
            let packages = self.found.packages.len() as u64;
            let shown = file.shown();
            reporter.update(|figures| {
                figures.current_file = done;
                figures.current_filename = Some(shown.clone());
                figures.message = format!("Parsing {shown}");
                figures.dependencies_found = Some(packages);
            });
            self.check_work(done, total)?;
            self.scan_file(tree, file, &shown)?;
            // Declarations of several files are joined later; until then this bounds the memory.
            self.check_packages(2)?;
        }
        self.check_work(total, total)?;
        drop(wanted);
        reporter.update(|figures| figures.current_file = total);
        reporter.enter(Work::Analyzing, Stage::Conclude, "Joining results");
        let mut gathered = std::mem::take(&mut self.gathered);
        self.size_of_facts = 0;
        if !self.with.module_caches.is_empty() {
            gathered.cache = Some(Box::new(CacheFolders::open(self.with.module_caches)));
        }
        for warning in ecosystem::join(&mut self.found.packages, gathered) {
            self.notices.warn(warning);
        }
        self.size_of_packages = self.found.packages.iter().map(Package::text_len).sum();
        self.check_packages(1)?;
        let count = self.found.packages.len() as u64;
        reporter.update(|figures| figures.dependencies_found = Some(count));
        Ok(self.conclude())
    }

    /// The files to read, in order of their paths.
    fn list<T: Tree<Error: Into<ScanError>>>(
        &mut self,
        tree: &mut T,
    ) -> Result<Vec<Wanted<T::Handle>>, ScanError> {
        let mut infrastructure = Infrastructure::default();
        let mut wanted = Vec::new();
        let mut size_of_paths = 0;
        let mut caps = Caps::new(self.with.limits);
        let mut digest = FilesDigest::new(self.with.deep);
        tree.list(&mut caps, &mut |Entry { path, kind }| {
            self.found.files.seen += 1;
            let seen = self.found.files.seen;
            if seen.is_multiple_of(ENTRIES_PER_FIGURE) {
                self.with
                    .reporter
                    .update(|figures| figures.message = format!("Listing files: {seen}"));
            }
            let shown = text::shown_path(&path);
            let is_excluded = self.with.exclude.iter().any(|pattern| pattern.matches_path(&shown));
            let is_ignored = matches!(kind, Kind::Ignored);
            if !is_excluded && !is_ignored {
                infrastructure.see(&shown);
            }
            let reader =
                Reader::of(&shown, self.with.selection(), is_ignored, &mut self.gathered.facts);
            if is_ignored {
                // Of ignored files only those count that would have been read.
                self.found.files.skipped += u64::from(reader.is_some());
                self.found.files.seen -= u64::from(reader.is_none());
                return;
            }
            if is_excluded {
                digest.see(&path, Seen::Path);
                let would_be_read = reader.is_some() || matches!(kind, Kind::Submodule { .. });
                self.found.files.skipped += u64::from(would_be_read);
                self.found.files.excluded += u64::from(would_be_read);
                return;
            }
            match (kind, reader) {
                (Kind::File { handle, size }, Some(reader)) => {
                    digest.see(&path, Seen::Read(T::content_id(&handle)));
                    size_of_paths += path.len();
                    if size_of_paths <= MOST_PATH_BYTES {
                        wanted.push(Wanted { path, handle, size, reader });
                    }
                }
                (Kind::Link, Some(_)) => {
                    digest.see(&path, Seen::Noted("link"));
                    self.skip(&shown, "a symbolic link, which is not followed");
                }
                (Kind::Submodule { commit }, _) => {
                    digest.see(&path, Seen::Noted(commit.as_deref().unwrap_or_default()));
                    if let Some(commit) = commit {
                        let see = |links: &mut Gitlinks| links.see(&shown, &commit);
                        self.gathered.facts.with(see);
                    }
                    self.skip(&shown, "a submodule, which is not fetched");
                }
                (Kind::Other(why), _) => {
                    digest.see(&path, Seen::Noted(&why));
                    self.skip(&shown, &why);
                }
                (Kind::File { .. } | Kind::Link, None) | (Kind::Ignored, _) => {
                    digest.see(&path, Seen::Path);
                }
            }
        })?;
        let has_too_many_modules =
            self.gathered.facts.with(|imports: &mut Imports| imports.has_too_many_modules());
        if size_of_paths > MOST_PATH_BYTES || has_too_many_modules {
            return Err(LimitError::PathsTooLong { most: MOST_PATH_BYTES }.into());
        }
        wanted.sort_by(|a, b| a.path.cmp(&b.path));
        self.drop_excess_sources(&mut wanted);
        self.found.infrastructure_usage = infrastructure.into_usage();
        let (files, usage) = (&self.found.files, &self.found.infrastructure_usage);
        self.found.files_digest = digest.finish(files, usage);
        Ok(wanted)
    }

    /// Keeps at most the allowed number of source files: the first ones, by their paths.
    fn drop_excess_sources<H>(&mut self, wanted: &mut Vec<Wanted<H>>) {
        let most = self.with.limits.max_source_files;
        let (mut sources, mut dropped) = (0, 0);
        wanted.retain_mut(|file| {
            let is_source = file.reader.kind == FileKind::Source;
            sources += u64::from(is_source);
            if !is_source || sources <= most {
                return true;
            }
            if let Some(parser) = file.reader.otherwise {
                (file.reader.parser, file.reader.kind) = (parser, FileKind::Declaring);
                return true;
            }
            dropped += 1;
            false
        });
        if dropped > 0 {
            self.found.files.skipped += dropped;
            let message = format!(
                "{dropped} sources skipped: their imports are not read, as there are more than \
                 {most} (limits.max_source_files)"
            );
            self.warn("", message);
        }
    }

    fn scan_file<T: Tree<Error: Into<ScanError>>>(
        &mut self,
        tree: &mut T,
        file: &Wanted<T::Handle>,
        shown: &str,
    ) -> Result<(), ScanError> {
        let limits = self.with.limits;
        let is_archive = file.reader.kind == FileKind::Archive;
        if is_archive && self.spent_on_archives >= Duration::from_secs(limits.max_archives_secs) {
            let seconds = limits.max_archives_secs;
            // On a faster machine it might be read.
            self.found.files_digest = None;
            let why =
                format!("the archives before it took {seconds} s ([limits] max_archives_secs)");
            self.skip(shown, &why);
            return Ok(());
        }
        let (most, setting) = file.reader.limit(limits);
        let content = match file.size {
            Some(size) if size > most => Content::TooLarge(Some(size)),
            _ => tree.read(&file.handle, most)?,
        };
        match content {
            Content::Bytes(bytes) => {
                if file.reader.kind == FileKind::Source {
                    self.urls.see(&bytes);
                }
                self.parse(file.reader, shown, &bytes);
            }
            Content::TooLarge(size) => {
                let size = size.map(|size| format!("{size} bytes are ")).unwrap_or_default();
                let why = format!("too large: {size}more than {most} ([limits] {setting})");
                self.skip(shown, &why);
            }
            Content::Unreadable(why) => {
                self.found.files.failed += 1;
                self.found.files_digest = None;
                self.warn(shown, format!("not read: {why}"));
            }
        }
        Ok(())
    }

    fn parse(&mut self, reader: Reader, path: &str, bytes: &[u8]) {
        let Reader { parser, kind, .. } = reader;
        let is_archive = kind == FileKind::Archive;
        // What is joined later are the findings of an archive, not its bytes.
        let read = if is_archive { 0 } else { bytes.len() };
        self.gathered.bytes += (read + path.len()) as u64;
        let limits = ArchiveLimits {
            entries: self.with.limits.max_archive_entries,
            unpacked_bytes: self.with.limits.max_archive_unpacked_bytes,
        };
        let begun = self.with.cpu.used();
        let done = guarded(|| {
            if is_archive {
                ecosystem::read_archive(parser, path, bytes, limits)
            } else {
                ecosystem::read(parser, path, bytes)
            }
        });
        if is_archive {
            self.spent_on_archives += self.with.cpu.used().saturating_sub(begun);
        }
        match done {
            Ok(Findings { packages, warnings, notes, unreadable, project, fact }) => {
                if unreadable {
                    self.found.files.failed += 1;
                } else {
                    self.found.files.parsed += 1;
                }
                self.size_of_packages += packages.iter().map(Package::text_len).sum::<usize>();
                self.found.packages.extend(packages);
                self.size_of_packages += project.as_ref().map_or(0, |project| project.size());
                self.gathered.projects.extend(project.map(|project| *project));
                if let Some(fact) = fact {
                    self.size_of_facts += fact.size();
                    fact.gather(&mut self.gathered.facts);
                }
                for warning in warnings {
                    self.notices.warn(warning);
                }
                for note in notes {
                    self.notices.note(note);
                }
            }
            Err(panicked) => {
                self.found.files.failed += 1;
                let message =
                    format!("the parser {} panicked: {}", parser.name(), panicked.message);
                self.with.reporter.note(
                    &format!("{path}: {message}"),
                    "panic",
                    panicked.backtrace.as_deref(),
                );
                self.warn(path, message);
            }
        }
    }

    fn skip(&mut self, path: &str, why: &str) {
        self.found.files.skipped += 1;
        self.warn(path, format!("skipped: {why}"));
    }

    fn warn(&mut self, path: &str, message: String) {
        self.notices.warn(Warning { file: path.to_owned(), line: None, message });
    }

    /// Ends a scan that has used up its processor time, with a cause. If the scan is busy within a
    /// file, the kernel kills it somewhat later.
    fn check_work(&self, done: u64, total: u64) -> Result<(), LimitError> {
        let most = self.with.limits.max_cpu_secs;
        if self.with.cpu.used() > Duration::from_secs(most) {
            return Err(LimitError::TooMuchWork { most, done, total });
        }
        Ok(())
    }

    fn check_packages(&self, times: u64) -> Result<(), LimitError> {
        let most = self.with.limits.max_packages;
        let count = self.found.packages.len() + self.size_of_facts;
        if count as u64 > most.saturating_mul(times) {
            return Err(LimitError::TooManyPackages { most });
        }
        let most = self.with.limits.max_result_bytes;
        if self.size_of_packages as u64 > most.saturating_mul(times) {
            return Err(LimitError::ResultTooLarge { most });
        }
        Ok(())
    }

    fn conclude(mut self) -> ScanFindings {
        self.found.categories_of_urls = self.urls.into_found();
        (self.found.warnings, self.found.notes) = self.notices.into_lists();
        self.found
    }
}
