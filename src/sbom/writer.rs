//! What the writers of the formats write with: findings come in as they ask for them, JSON goes out.
//!
//! Input: findings. Output: the bytes of a piece; in order, each once, what a component has of places and
//! texts. Invariants: no list of a component's is in memory beyond the budget: what does not fit is
//! collected by visiting its declarations again.

use super::{
    components::{Component, Next, each},
    document::{Budget, Shared, lock},
    findings::{Findings, Gone},
    sorted::Sorted,
    subject::name_of,
};
use crate::model::{declared::Declared, scan_result::Scope};
use ring::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY};
use serde::Serialize;
use std::{
    collections::{BTreeSet, HashSet},
    future::poll_fn,
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
    task::Poll,
};
use uuid::Uuid;

/// What the writers of the formats write with.
pub(super) struct Writer<F> {
    pub(super) findings: F,
    pub(super) group: Option<String>,
    shared: Arc<Shared>,
    piece: usize,
    digest: Option<Context>,
    places: Sorted,
    texts: Sorted,
    /// The declaration and the range of the component that was asked for last, if it is declared once.
    only: Option<(Declaration, Option<String>)>,
    /// The purls of all components by their hashes, sorted, where the index cannot tell.
    known: Option<Vec<u64>>,
}

/// A list of one component's that is written in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum List {
    Specifiers,
    Requires,
}

/// Where a component is declared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Declaration {
    pub(super) at: u32,
    pub(super) file: String,
    pub(super) line: Option<u32>,
}

/// What all declarations of a component say of it, but for lists.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub(super) name: String,
    pub(super) version: Option<String>,
    pub(super) ecosystem: String,
    pub(super) is_direct: bool,
    /// None where a declaration does not say what it is needed for.
    pub(super) scopes: BTreeSet<Option<Scope>>,
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

    /// Writes what is JSON already.
    pub(super) fn put(&mut self, text: &str) {
        lock(&self.shared.out).extend_from_slice(text.as_bytes());
        self.note(text.as_bytes());
    }

    /// Writes a value.
    pub(super) fn json(&mut self, value: &(impl Serialize + ?Sized)) {
        let shared = Arc::clone(&self.shared);
        let mut out = lock(&shared.out);
        let start = out.len();
        // Values of ours have text keys: nothing that JSON cannot say.
        let _ = serde_json::to_writer(&mut *out, value);
        self.note(&out[start..]);
    }

    /// Lets the piece be taken, if it is large enough.
    pub(super) fn breathe(&mut self) -> impl Future<Output = ()> + Send + use<F> {
        let is_full = lock(&self.shared.out).len() >= self.piece;
        async move {
            if is_full {
                suspended().await;
            }
        }
    }

    /// From now on what is written counts for the number of the content.
    pub(super) fn begin_content(&mut self) {
        let mut digest = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
        digest.update(Uuid::NAMESPACE_URL.as_bytes());
        self.digest = Some(digest);
    }

    /// Counts what is not written here.
    pub(super) fn note(&mut self, bytes: &[u8]) {
        if let Some(digest) = &mut self.digest {
            digest.update(bytes);
        }
    }

    /// Writes what does not count.
    pub(super) fn aside(&mut self, text: &str) {
        let digest = self.digest.take();
        self.put(text);
        self.digest = digest;
    }

    /// The number of the content: a version 5 UUID of it below the namespace of URLs.
    pub(super) fn end_content(&mut self) -> Uuid {
        let mut bytes = [0; 16];
        if let Some(digest) = self.digest.take() {
            bytes.copy_from_slice(&digest.finish().as_ref()[..16]);
        }
        uuid::Builder::from_sha1_bytes(bytes).into_uuid()
    }

    /// Begins with the first component again.
    pub(super) fn rewind(&mut self) {
        lock(&self.shared.index).rewind();
    }

    /// The next component behind `last`.
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
            // One result at a time: others have work for this thread too.
            suspended().await;
        }
        Ok(())
    }

    /// Sees to it that [`List::Requires`] can tell what is a component.
    pub(super) async fn know_all(&mut self) -> Result<(), Gone> {
        self.rewind();
        if lock(&self.shared.index).fits() {
            return Ok(());
        }
        let mut known = Vec::new();
        for at in 0..self.findings.scanned() {
            let mark = known.len();
            let makes_sense =
                each(&mut self.findings, at, &mut |purl, _, _| known.push(hash(purl)))?;
            if !makes_sense {
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
        component.each(&mut self.findings, &mut |(at, _), it| visit(at, it))
    }

    /// What the declarations of a component say.
    pub(super) fn facts(&mut self, component: &Component) -> Result<Facts, Gone> {
        let mut facts = Facts::default();
        let mut is_named = false;
        let (mut count, mut only) = (0_u64, None);
        self.each(component, &mut |at, it| {
            count += 1;
            only = (count == 1).then(|| {
                let declaration = Declaration { at, file: it.file.to_string(), line: it.line };
                (declaration, it.specifier.as_ref().map(ToString::to_string))
            });
            facts.is_direct |= it.direct == Some(true);
            facts.scopes.insert(it.scope);
            // A range has the name and version of what it became.
            if !is_named && it.purl == component.purl {
                is_named = true;
                facts.name = it.name.clone().into_owned();
                facts.version = it.version.as_ref().map(ToString::to_string);
                facts.ecosystem = it.ecosystem.clone().into_owned();
            }
        })?;
        self.only = only;
        Ok(facts)
    }

    /// Where a component is declared, in order; to be asked after its facts.
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
            component.each(findings, &mut |(at, _), it| {
                let line = it.line.map_or(0, |line| u64::from(line) + 1);
                let file = it.file.as_bytes();
                let key = [&at.to_be_bytes(), file, &[0], &line.to_be_bytes()].concat();
                places.push(&key, (0, 0));
            })
        })?;
        Ok(found.and_then(|key| {
            let (at, rest) = key.split_first_chunk()?;
            let (file, line) = rest.split_last_chunk()?;
            let file = String::from_utf8_lossy(file.strip_suffix(&[0])?).into_owned();
            let line = u64::from_be_bytes(*line).checked_sub(1);
            let line = line.and_then(|it| u32::try_from(it).ok());
            Some(Declaration { at: u32::from_be_bytes(*at), file, line })
        }))
    }

    /// The next text of a list of a component; of its ranges to be asked after its facts.
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
            // It may have been given back since the component was found.
            self.fill(Some(&component.purl)).await?;
        }
        let Self { findings, texts, known, shared, .. } = self;
        let found = cursor.next(texts, |texts| match list {
            List::Specifiers => component.each(findings, &mut |_, it| {
                if let Some(specifier) = &it.specifier {
                    texts.push(specifier.as_bytes(), (0, 0));
                }
            }),
            List::Requires => component.each_required(findings, &mut |purl| {
                let is_known = || match &*known {
                    Some(known) => known.binary_search(&hash(purl)).is_ok(),
                    None => lock(&shared.index).contains(purl).unwrap_or(false),
                };
                if purl != component.purl && is_known() {
                    texts.push(purl.as_bytes(), (0, 0));
                }
            }),
        })?;
        Ok(found.map(|it| String::from_utf8_lossy(&it).into_owned()))
    }

    /// The next purl that a repository asks for itself.
    pub(super) fn direct(&mut self, at: u32, cursor: &mut Cursor) -> Result<Option<String>, Gone> {
        let Self { findings, texts, .. } = self;
        let found = cursor.next(texts, |texts| {
            let makes_sense = each(findings, at, &mut |purl, _, it| {
                if it.direct == Some(true) {
                    texts.push(purl.as_bytes(), (0, 0));
                }
            })?;
            if !makes_sense {
                texts.forget(0);
            }
            Ok(())
        })?;
        Ok(found.map(|it| String::from_utf8_lossy(&it).into_owned()))
    }

    /// Which of the repositories, those without results after those with them, has the name of
    /// one before.
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

/// Where in a list of a component's the writer is.
#[derive(Debug, Default)]
pub(super) struct Cursor {
    next: usize,
    is_begun: bool,
}

impl Cursor {
    /// Whether it is asked for the first time.
    fn once(&mut self) -> bool {
        !std::mem::replace(&mut self.is_begun, true)
    }

    /// The next text of a list, which is collected in as many passes as it takes.
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
            let end = list.len().checked_sub(1).and_then(|it| list.get(it));
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

/// Lets go of the thread once.
async fn suspended() {
    let mut is_over = false;
    poll_fn(
        |_| {
            if std::mem::replace(&mut is_over, true) { Poll::Ready(()) } else { Poll::Pending }
        },
    )
    .await;
}

fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}
