//! Writes the JSON of a document and reads the findings for it.
//!
//! Input: findings. Output: the bytes of a piece; the locations and texts of a component, in order and each
//! once. Invariants: no list of a component exceeds the budget: what does not fit is collected by visiting
//! its declarations again.

use super::{
    components::{Component, Next, each, hash},
    facts::{Facts, List},
    findings::{Findings, Gone},
    reach::Entries,
    shared::{Budget, Shared, lock, suspended},
    sorted::Sorted,
    subject::name_of,
};
use crate::model::declared::Declared;
use ring::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY};
use serde::Serialize;
use std::{collections::HashSet, sync::Arc};
use uuid::Uuid;

/// The output and the findings of one document.
pub(super) struct Writer<F> {
    pub(super) findings: F,
    pub(super) group: Option<String>,
    shared: Arc<Shared>,
    piece: usize,
    digest: Option<Context>,
    places: Sorted,
    texts: Sorted,
    /// The declaration and range of the last requested component, if it is declared once.
    only: Option<(Declaration, Option<String>)>,
    /// The sorted hashes of all components' purls, if the index cannot hold all components.
    known: Option<Vec<u64>>,
}

/// The location of a declaration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Declaration {
    pub(super) at: u32,
    pub(super) file: String,
    pub(super) line: Option<u32>,
}

impl<F: Findings> Writer<F> {
    pub(super) fn new(
        findings: F,
        group: Option<String>,
        budget: Budget,
        shared: Arc<Shared>,
    ) -> Self {
        Self {
            findings,
            group,
            shared,
            piece: budget.piece,
            digest: None,
            places: Sorted::new(budget.component),
            texts: Sorted::new(budget.component),
            only: None,
            known: None,
        }
    }

    /// Writes a piece of JSON.
    pub(super) fn put(&mut self, text: &str) {
        lock(&self.shared.out).extend_from_slice(text.as_bytes());
        self.note(text.as_bytes());
    }

    /// Serializes a value.
    pub(super) fn json(&mut self, value: &(impl Serialize + ?Sized)) {
        let shared = Arc::clone(&self.shared);
        let mut out = lock(&shared.out);
        let start = out.len();
        // Our values have string keys, so serialization cannot fail.
        let _ = serde_json::to_writer(&mut *out, value);
        self.note(&out[start..]);
    }

    /// Yields to the consumer if the piece is large enough.
    pub(super) fn breathe(&mut self) -> impl Future<Output = ()> + Send + use<F> {
        let is_full = lock(&self.shared.out).len() >= self.piece;
        async move {
            if is_full {
                suspended().await;
            }
        }
    }

    /// Begins hashing the content.
    pub(super) fn begin_content(&mut self) {
        let mut digest = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
        digest.update(Uuid::NAMESPACE_URL.as_bytes());
        self.digest = Some(digest);
    }

    /// Hashes bytes that are not written here.
    pub(super) fn note(&mut self, bytes: &[u8]) {
        if let Some(digest) = &mut self.digest {
            digest.update(bytes);
        }
    }

    /// Writes text that is not hashed.
    pub(super) fn aside(&mut self, text: &str) {
        let digest = self.digest.take();
        self.put(text);
        self.digest = digest;
    }

    /// Ends hashing: a version 5 UUID of the content in the namespace of URLs.
    pub(super) fn end_content(&mut self) -> Uuid {
        let mut bytes = [0; 16];
        if let Some(digest) = self.digest.take() {
            bytes.copy_from_slice(&digest.finish().as_ref()[..16]);
        }
        uuid::Builder::from_sha1_bytes(bytes).into_uuid()
    }

    /// Starts again with the first component.
    pub(super) fn rewind(&mut self) {
        lock(&self.shared.index).rewind();
    }

    /// The next component after `last`.
    pub(super) async fn next(&mut self, last: Option<&str>) -> Result<Option<Component>, Gone> {
        loop {
            match lock(&self.shared.index).next(last) {
                Next::Component(component) => return Ok(Some(component)),
                Next::None => return Ok(None),
                Next::Fill => {}
            }
            self.fill(last).await?;
        }
    }

    async fn fill(&mut self, last: Option<&str>) -> Result<(), Gone> {
        while !lock(&self.shared.index).fill(&mut self.findings, last)? {
            // Yields after each result, because the thread has other work too.
            suspended().await;
        }
        Ok(())
    }

    /// Makes [`List::Requires`] able to tell which purls are components.
    pub(super) async fn know_all(&mut self) -> Result<(), Gone> {
        self.rewind();
        if lock(&self.shared.index).fits() {
            return Ok(());
        }
        let mut known = Vec::new();
        for at in 0..self.findings.scanned() {
            let mark = known.len();
            let is_valid = each(&mut self.findings, at, &mut |purl, _, _| known.push(hash(purl)))?;
            if !is_valid {
                known.truncate(mark);
            }
            known.sort_unstable();
            known.dedup();
            suspended().await;
        }
        self.known = Some(known);
        Ok(())
    }

    /// Visits the declarations of a component, in order.
    pub(super) fn each(
        &mut self,
        component: &Component,
        visit: &mut dyn FnMut(u32, &Declared<'_>),
    ) -> Result<(), Gone> {
        component.each(&mut self.findings, &mut |(at, _), package| visit(at, package))
    }

    /// The combined facts of a component's declarations.
    pub(super) fn facts(&mut self, component: &Component) -> Result<Facts, Gone> {
        let mut facts = Facts::default();
        let (mut count, mut only) = (0_u64, None);
        self.each(component, &mut |at, package| {
            count += 1;
            only = (count == 1).then(|| {
                let file = package.file.to_string();
                let declaration = Declaration { at, file, line: package.line };
                (declaration, package.specifier.as_ref().map(ToString::to_string))
            });
            facts.add(&component.purl, package);
        })?;
        self.only = only;
        Ok(facts)
    }

    /// The next location of a component's declarations, in order. Call it after [`Self::facts`].
    pub(super) fn declaration(
        &mut self,
        component: &Component,
        cursor: &mut Cursor,
    ) -> Result<Option<Declaration>, Gone> {
        if let Some((declaration, _)) = &self.only {
            return Ok(cursor.once().then(|| declaration.clone()));
        }
        let Self { findings, places, .. } = self;
        let found = cursor.next(places, |places| {
            component.each(findings, &mut |(at, _), package| {
                let line = package.line.map_or(0, |line| u64::from(line) + 1);
                let file = package.file.as_bytes();
                let key = [&at.to_be_bytes(), file, &[0], &line.to_be_bytes()].concat();
                places.push(&key, (0, 0));
            })
        })?;
        Ok(found.and_then(|key| {
            let (at, rest) = key.split_first_chunk()?;
            let (file, line) = rest.split_last_chunk()?;
            let file = String::from_utf8_lossy(file.strip_suffix(&[0])?).into_owned();
            let line = u64::from_be_bytes(*line).checked_sub(1);
            let line = line.and_then(|line| u32::try_from(line).ok());
            Some(Declaration { at: u32::from_be_bytes(*at), file, line })
        }))
    }

    /// The location of a declaration; in a group it begins with the repository's name.
    pub(super) fn location(&mut self, declaration: &Declaration) -> Result<String, Gone> {
        if self.group.is_none() {
            return Ok(declaration.file.clone());
        }
        Ok(format!("{}/{}", self.findings.name(declaration.at)?, declaration.file))
    }

    /// The next text of a component's list. For specifiers, call it after [`Self::facts`].
    pub(super) async fn text(
        &mut self,
        component: &Component,
        list: List,
        cursor: &mut Cursor,
    ) -> Result<Option<String>, Gone> {
        if let (List::Specifiers, Some((_, specifier))) = (list, &self.only) {
            return Ok(specifier.clone().filter(|_| cursor.once()));
        }
        if list == List::Requires && self.known.is_none() {
            // The index may have been freed since the component was found.
            self.fill(Some(&component.purl)).await?;
        }
        let Self { findings, texts, known, shared, .. } = self;
        let found = cursor.next(texts, |texts| match list {
            List::Requires => component.each_required(findings, &mut |purl| {
                let is_known = || match &*known {
                    Some(known) => known.binary_search(&hash(purl)).is_ok(),
                    None => lock(&shared.index).contains(purl).unwrap_or(false),
                };
                if purl != component.purl && is_known() {
                    texts.push(purl.as_bytes(), (0, 0));
                }
            }),
            _ => component.each(findings, &mut |_, package| {
                list.of(package).iter().for_each(|text| texts.push(text.as_bytes(), (0, 0)));
            }),
        })?;
        Ok(found.map(|text| String::from_utf8_lossy(&text).into_owned()))
    }

    /// The next purl at which the paths from a repository to its packages begin.
    pub(super) fn entry(
        &mut self,
        at: u32,
        entries: &Entries,
        cursor: &mut Cursor,
    ) -> Result<Option<String>, Gone> {
        let Self { findings, texts, .. } = self;
        let found = cursor.next(texts, |texts| {
            let is_valid = each(findings, at, &mut |purl, _, package| {
                if package.direct == Some(true) || entries.contains(purl) {
                    texts.push(purl.as_bytes(), (0, 0));
                }
            })?;
            if !is_valid {
                texts.forget(0);
            }
            Ok(())
        })?;
        Ok(found.map(|purl| String::from_utf8_lossy(&purl).into_owned()))
    }

    /// Which repositories have the name of an earlier one. Those without results come after those with
    /// results.
    pub(super) fn doubles(&mut self) -> Result<Vec<bool>, Gone> {
        let mut seen = HashSet::new();
        let mut doubles = Vec::new();
        for at in 0..self.findings.scanned() {
            doubles.push(!seen.insert(hash(&self.findings.name(at)?)));
        }
        for at in 0..self.findings.missing() {
            let name = name_of(&self.findings.unscanned(at)?);
            doubles.push(!seen.insert(hash(&name)));
        }
        Ok(doubles)
    }
}

/// The writer's position in a list of a component.
#[derive(Debug, Default)]
pub(super) struct Cursor {
    next: usize,
    is_begun: bool,
}

impl Cursor {
    /// Whether this is the first call.
    fn once(&mut self) -> bool {
        !std::mem::replace(&mut self.is_begun, true)
    }

    /// The next text of a list, which is collected in as many passes as necessary.
    fn next(
        &mut self,
        list: &mut Sorted,
        mut collect: impl FnMut(&mut Sorted) -> Result<(), Gone>,
    ) -> Result<Option<Vec<u8>>, Gone> {
        loop {
            if self.is_begun {
                if let Some((text, _)) = list.get(self.next) {
                    self.next += 1;
                    return Ok(Some(text.to_vec()));
                }
                if list.is_last() {
                    list.free();
                    return Ok(None);
                }
            }
            let end = list.len().checked_sub(1).and_then(|index| list.get(index));
            let after = end.filter(|_| self.is_begun).map(|(text, _)| text.to_vec());
            list.begin(after);
            collect(list)?;
            list.finish();
            (self.next, self.is_begun) = (0, true);
        }
    }
}

/// Puts commas between the items of a list.
#[derive(Debug, Default)]
pub(super) struct Commas(bool);

impl Commas {
    pub(super) fn next<F: Findings>(&mut self, writer: &mut Writer<F>) {
        if std::mem::replace(&mut self.0, true) {
            writer.put(",");
        }
    }
}
