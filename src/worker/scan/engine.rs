//! The loop over the files of a tree.
//!
//! Input: a tree, a lookup of parsers, the limits. Output: what was found, and
//! figures on the way. A deep scan reads sources too, where no other parser wants the file. All of it runs on one thread with a stack of known size, so that a file
//! which nests deeply meets the same end on every machine.

use super::{
    Caps, Content, Entry, Kind, LimitError, Tree,
    guard::{guarded, words},
};
use crate::{
    ecosystem::{self, Findings, Gathered, Parser},
    model::{
        scan_result::{FileCounts, Package, Warning},
        state::Work,
        task::Limits,
    },
    sys::cpu::CpuClock,
    worker::{
        error::ScanError, infrastructure::Infrastructure, reporter::Reporter, status::Stage,
        stop::Stop, text,
    },
};
use std::{collections::BTreeMap, thread, time::Duration};

/// The scanning thread's stack, in bytes.
const STACK: usize = 32 << 20;
/// The most warnings that are kept; that more were left out is said.
const MOST_WARNINGS: usize = 10_000;
/// Bytes of texts that all warnings may have: each has the path of its file.
const MOST_WARNING_BYTES: usize = 16 << 20;
/// Bytes that the paths of all files to be read may have together. With 200,000 of them that is
/// room for 335 bytes each; with paths as long as one may be, it would take 800 MB.
const MOST_PATH_BYTES: usize = 64 << 20;
/// How often the figures move while a tree is listed.
const ENTRIES_PER_FIGURE: u64 = 1000;

/// Finds the parser that wants a file, by its path.
pub(crate) type ParserFor = fn(&str) -> Option<&'static dyn Parser>;

/// What a scan needs beside its tree.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scan<'a> {
    pub(crate) limits: &'a Limits,
    pub(crate) reporter: &'a Reporter,
    pub(crate) stop: &'a Stop,
    /// What the scan has used of `max_cpu_secs`.
    pub(crate) cpu: &'a CpuClock,
    pub(crate) parser_for: ParserFor,
    /// Whether the imports of sources are read.
    pub(crate) deep: bool,
}

/// What a scan found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) files: FileCounts,
    pub(crate) packages: Vec<Package>,
    pub(crate) infrastructure_usage: BTreeMap<String, bool>,
    pub(crate) warnings: Vec<Warning>,
}

/// A file that a parser wants.
struct Wanted<H> {
    path: Vec<u8>,
    handle: H,
    size: Option<u64>,
    parser: &'static dyn Parser,
    /// Whether only a deep scan wants it.
    is_source: bool,
}

impl<H> Wanted<H> {
    /// The path as text; made when it is needed, for it may be many times as long.
    fn shown(&self) -> String {
        text::shown_path(&self.path)
    }
}

/// Scans a tree.
pub(crate) fn scan<T: Tree + Send>(tree: &mut T, with: Scan<'_>) -> Result<Found, ScanError> {
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
    found: Found,
    /// What becomes packages when it is joined, and how much that is.
    gathered: Gathered,
    size_of_poms: usize,
    /// Bytes of the packages' texts.
    size_of_packages: usize,
    size_of_warnings: usize,
    /// Warnings beyond the most that are kept.
    left_out: u64,
}

impl<'a> Engine<'a> {
    fn new(with: Scan<'a>) -> Self {
        Self {
            with,
            found: Found::default(),
            gathered: Gathered::default(),
            size_of_poms: 0,
            size_of_packages: 0,
            size_of_warnings: 0,
            left_out: 0,
        }
    }

    fn run<T: Tree>(mut self, tree: &mut T) -> Result<Found, ScanError> {
        let reporter = self.with.reporter;
        reporter.enter(Work::Scanning, Stage::List, "Listing files");
        let mut wanted = self.list(tree)?;
        let handles: Vec<_> = wanted.iter().map(|it| &it.handle).collect();
        let sizes = tree.prepare(&handles)?;
        for (file, size) in wanted.iter_mut().zip(sizes) {
            file.size = file.size.or(size);
        }
        let total = wanted.len() as u64;
        reporter.update(|it| it.total_files = Some(total));
        reporter.enter(Work::Scanning, Stage::Parse, &format!("Parsing {total} files"));
        // What git has used so far.
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
            // What several files declare is joined later; until then this bounds the memory.
            self.check_packages(2)?;
        }
        self.check_work(total, total)?;
        drop(wanted);
        reporter.update(|it| it.current_file = total);
        reporter.enter(Work::Analyzing, Stage::Conclude, "Joining what was found");
        let gathered = std::mem::take(&mut self.gathered);
        self.size_of_poms = 0;
        for warning in ecosystem::join(&mut self.found.packages, gathered) {
            self.keep(warning);
        }
        self.size_of_packages = self.found.packages.iter().map(Package::text_len).sum();
        self.check_packages(1)?;
        let count = self.found.packages.len() as u64;
        reporter.update(|it| it.dependencies_found = Some(count));
        Ok(self.conclude())
    }

    /// The wanted files, in order of their paths.
    fn list<T: Tree>(&mut self, tree: &mut T) -> Result<Vec<Wanted<T::Handle>>, ScanError> {
        let mut infrastructure = Infrastructure::default();
        let mut wanted = Vec::new();
        let mut size_of_paths = 0;
        let mut caps = Caps::new(self.with.limits);
        tree.list(&mut caps, &mut |Entry { path, kind }| {
            self.found.files.seen += 1;
            let seen = self.found.files.seen;
            if seen.is_multiple_of(ENTRIES_PER_FIGURE) {
                self.with.reporter.update(|it| it.message = format!("Listing files: {seen}"));
            }
            let shown = text::shown_path(&path);
            infrastructure.see(&shown);
            let mut declares = (self.with.parser_for)(&shown);
            let source = if self.with.deep {
                self.gathered.imports.see(&shown);
                declares = declares.or_else(|| ecosystem::deep_parser_for(&shown));
                declares.is_none().then(|| ecosystem::source_parser_for(&shown)).flatten()
            } else {
                None
            };
            let parser = declares.or(source);
            let is_source = source.is_some();
            match (kind, parser) {
                (Kind::File { handle, size }, Some(parser)) => {
                    size_of_paths += path.len();
                    if size_of_paths <= MOST_PATH_BYTES {
                        wanted.push(Wanted { path, handle, size, parser, is_source });
                    }
                }
                (Kind::Link, Some(_)) => {
                    self.skip(&shown, "a symbolic link, which is not followed");
                }
                (Kind::Submodule, _) => self.skip(&shown, "a submodule, which is not fetched"),
                (Kind::Other(why), _) => self.skip(&shown, &why),
                (Kind::File { .. } | Kind::Link, None) => {}
            }
        })?;
        if size_of_paths > MOST_PATH_BYTES || self.gathered.imports.has_too_many_modules() {
            return Err(LimitError::PathsTooLong { most: MOST_PATH_BYTES }.into());
        }
        wanted.sort_by(|a, b| a.path.cmp(&b.path));
        self.leave_out_sources(&mut wanted);
        self.found.infrastructure_usage = infrastructure.into_usage();
        Ok(wanted)
    }

    /// Keeps no more sources than are allowed: the first ones, by their paths.
    fn leave_out_sources<H>(&mut self, wanted: &mut Vec<Wanted<H>>) {
        let most = self.with.limits.max_source_files;
        let (mut sources, mut left_out) = (0, 0);
        wanted.retain(|file| {
            sources += u64::from(file.is_source);
            let is_kept = !file.is_source || sources <= most;
            left_out += u64::from(!is_kept);
            is_kept
        });
        if left_out > 0 {
            self.found.files.skipped += left_out;
            let message = format!(
                "{left_out} sources skipped: their imports are not read, as there are more than \
                 {most} (limits.max_source_files)"
            );
            self.warn("", message);
        }
    }

    fn scan_file<T: Tree>(
        &mut self,
        tree: &mut T,
        file: &Wanted<T::Handle>,
        shown: &str,
    ) -> Result<(), ScanError> {
        let most = self.with.limits.max_file_bytes;
        let content = match file.size {
            Some(size) if size > most => Content::TooLarge(Some(size)),
            _ => tree.read(&file.handle, most)?,
        };
        match content {
            Content::Bytes(bytes) => self.parse(file.parser, shown, &bytes),
            Content::TooLarge(size) => {
                let size = size.map(|it| format!("{it} bytes are ")).unwrap_or_default();
                self.skip(shown, &format!("too large: {size}more than {most}"));
            }
            Content::Unreadable(why) => {
                self.found.files.failed += 1;
                self.warn(shown, format!("not read: {why}"));
            }
        }
        Ok(())
    }

    fn parse(&mut self, parser: &'static dyn Parser, path: &str, bytes: &[u8]) {
        self.gathered.bytes += (bytes.len() + path.len()) as u64;
        match guarded(|| ecosystem::read(parser, path, bytes)) {
            Ok(Findings {
                packages,
                warnings,
                unreadable,
                pom,
                msbuild,
                gradle,
                project,
                imports,
            }) => {
                if unreadable {
                    self.found.files.failed += 1;
                } else {
                    self.found.files.parsed += 1;
                }
                self.size_of_packages += packages.iter().map(Package::text_len).sum::<usize>();
                self.found.packages.extend(packages);
                self.size_of_poms += pom.as_ref().map_or(0, |it| it.size());
                self.gathered.poms.extend(pom.map(|it| *it));
                self.size_of_poms += msbuild.as_ref().map_or(0, |it| it.size());
                self.gathered.builds.extend(msbuild.map(|it| *it));
                self.size_of_poms += gradle.as_ref().map_or(0, |it| it.size());
                self.gathered.gradle.extend(gradle.map(|it| *it));
                self.size_of_packages += project.as_ref().map_or(0, |it| it.size());
                self.gathered.projects.extend(project.map(|it| *it));
                if let Some(named) = imports {
                    self.gathered.imports.add(path, *named);
                }
                for warning in warnings {
                    self.keep(warning);
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
        self.keep(Warning { file: path.to_owned(), line: None, message });
    }

    fn keep(&mut self, warning: Warning) {
        let size = warning.file.len() + warning.message.len();
        let has_room = self.size_of_warnings + size <= MOST_WARNING_BYTES;
        if has_room && self.found.warnings.len() < MOST_WARNINGS {
            self.size_of_warnings += size;
            self.found.warnings.push(warning);
        } else {
            self.left_out += 1;
        }
    }

    /// A scan that has used up its processor time ends here, with a reason; one that is in the middle
    /// of something is ended by the kernel somewhat later.
    fn check_work(&self, done: u64, total: u64) -> Result<(), LimitError> {
        let most = self.with.limits.max_cpu_secs;
        if self.with.cpu.used() > Duration::from_secs(most) {
            return Err(LimitError::TooMuchWork { most, done, total });
        }
        Ok(())
    }

    fn check_packages(&self, times: u64) -> Result<(), LimitError> {
        let most = self.with.limits.max_packages;
        let count = self.found.packages.len() + self.size_of_poms;
        if count as u64 > most.saturating_mul(times) {
            return Err(LimitError::TooManyPackages { most });
        }
        let most = self.with.limits.max_result_bytes;
        if self.size_of_packages as u64 > most.saturating_mul(times) {
            return Err(LimitError::ResultTooLarge { most });
        }
        Ok(())
    }

    fn conclude(mut self) -> Found {
        self.found.warnings.sort();
        self.found.warnings.dedup();
        if self.left_out > 0 {
            let message = format!("{} more warnings are left out", self.left_out);
            self.found.warnings.push(Warning { file: String::new(), line: None, message });
        }
        self.found
    }
}
