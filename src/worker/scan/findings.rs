//! The input and the output of the scan engine.
//!
//! Input: the task, and the parts of the worker that a scan uses. Output: packages, warnings, figures. Invariants: plain data.

use super::wanted::{ParserFor, Selection};
use crate::{
    model::{
        pattern::Pattern,
        scan_result::{FileCounts, Package, Warning},
        task::{Category, Known, Limits},
    },
    sys::cpu::CpuClock,
    worker::{reporter::Reporter, stop::Stop},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

/// What a scan needs in addition to its tree.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scan<'a> {
    pub(crate) limits: &'a Limits,
    pub(crate) reporter: &'a Reporter,
    pub(crate) stop: &'a Stop,
    /// Measures the part of `max_cpu_secs` that the scan has used.
    pub(crate) cpu: &'a CpuClock,
    pub(crate) parser_for: ParserFor,
    /// A path that one of these matches is not read.
    pub(crate) exclude: &'a [Pattern],
    /// Whether imports in source files are read.
    pub(crate) deep: bool,
    /// Whether committed archives and programs are read.
    pub(crate) archives: bool,
    /// The folders of module caches from which versions are resolved that no file defines.
    pub(crate) module_caches: &'a [PathBuf],
    /// The operator's categories: a deep scan compares URLs in sources with their patterns.
    pub(crate) categories: &'a BTreeMap<String, Category>,
    /// A stored result of the same task: if nothing that it depends on has changed, nothing is read.
    pub(crate) known: Option<&'a Known>,
}

impl Scan<'_> {
    pub(super) fn selection(&self) -> Selection {
        Selection { parser_for: self.parser_for, deep: self.deep, archives: self.archives }
    }
}

/// The result of a scan.
#[derive(Debug, Default)]
pub(crate) struct ScanFindings {
    pub(crate) files: FileCounts,
    pub(crate) packages: Vec<Package>,
    pub(crate) infrastructure_usage: BTreeMap<String, bool>,
    pub(crate) warnings: Vec<Warning>,
    pub(crate) notes: Vec<Warning>,
    /// The categories that a URL in a source belongs to.
    pub(crate) categories_of_urls: BTreeSet<String>,
    /// The digest of everything in the tree that these findings depend on; `None` if they might differ the next time.
    pub(crate) files_digest: Option<String>,
    /// Nothing was read, because the known result is that of this tree, too.
    pub(crate) is_unchanged: bool,
}
