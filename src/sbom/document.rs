//! A document that is written piece by piece.
//!
//! Input: findings, and the subject of the document. Output: its bytes, in pieces. Invariants: pure; the
//! same findings give the same bytes, however the pieces are taken; memory is bounded by [`Budget`],
//! whatever the size of the document.
//!
//! The writers of the formats are futures that await nothing but the consumer of the pieces: the compiler
//! turns straight-line code into code that can be suspended after any byte.

use super::{
    components::Index,
    cyclonedx::{self, Version},
    findings::{Findings, Gone},
    shared::{Budget, Shared, lock},
    spdx, spdx3,
    writer::Writer,
};
use crate::model::time::Timestamp;
use std::{
    fmt, io,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
};

/// The formats of documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `CycloneDX` 1.6.
    CycloneDx,
    /// `CycloneDX` 1.7.
    CycloneDx17,
    /// SPDX 2.3.
    Spdx,
    /// SPDX 3.0.1.
    Spdx3,
}

impl Format {
    /// The formats by the names under which users ask for them.
    pub const NAMED: [(&'static str, Self); 4] = [
        ("cyclonedx", Self::CycloneDx),
        ("cyclonedx-1.7", Self::CycloneDx17),
        ("spdx", Self::Spdx),
        ("spdx-3.0.1", Self::Spdx3),
    ];

    /// The end of the name of a file, by the conventions of the formats.
    pub fn file_ending(self) -> &'static str {
        match self {
            Self::CycloneDx | Self::CycloneDx17 => "cdx.json",
            Self::Spdx => "spdx.json",
            Self::Spdx3 => "spdx3.json",
        }
    }
}

/// A document that is being written; by default one that is finished.
#[derive(Default)]
pub struct Document<'f> {
    writing: Option<Writing<'f>>,
    shared: Arc<Shared>,
}

type Writing<'f> = Pin<Box<dyn Future<Output = Result<(), Gone>> + Send + 'f>>;

impl<'f> Document<'f> {
    /// A document of these findings: of a group with this name or address, or of the only repository.
    pub fn new(
        format: Format,
        group: Option<String>,
        findings: impl Findings + Send + 'f,
        now: Timestamp,
        budget: Budget,
    ) -> Self {
        let shared = Arc::new(Shared {
            out: Mutex::default(),
            index: Mutex::new(Index::new(budget.components)),
        });
        let mut writer = Writer::new(findings, group, budget, Arc::clone(&shared));
        let writing = async move {
            match format {
                Format::CycloneDx => cyclonedx::write(&mut writer, Version::V1_6, now).await,
                Format::CycloneDx17 => cyclonedx::write(&mut writer, Version::V1_7, now).await,
                Format::Spdx => spdx::write(&mut writer, now).await,
                Format::Spdx3 => spdx3::write(&mut writer, now).await,
            }
        };
        Self { writing: Some(Box::pin(writing)), shared }
    }

    /// Appends the next piece to `piece`, possibly nothing after much work. Returns whether there is more.
    pub fn piece(&mut self, piece: &mut Vec<u8>) -> Result<bool, Gone> {
        let Some(writing) = &mut self.writing else { return Ok(false) };
        let done = writing.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        piece.append(&mut lock(&self.shared.out));
        match done {
            Poll::Pending => Ok(true),
            Poll::Ready(done) => {
                self.writing = None;
                done.map(|()| false)
            }
        }
    }

    /// Frees most of the memory; the next piece computes the contents again.
    pub fn free_memory(&mut self) {
        lock(&self.shared.index).free_memory();
    }

    /// Writes the whole document.
    ///
    /// # Errors
    /// Errors of `to`, and an error if the findings change meanwhile.
    pub fn write_to(mut self, to: &mut dyn io::Write) -> io::Result<()> {
        let mut piece = Vec::new();
        loop {
            let more = self.piece(&mut piece).map_err(io::Error::other)?;
            to.write_all(&piece)?;
            if !more {
                return Ok(());
            }
            piece.clear();
        }
    }
}

impl fmt::Debug for Document<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Document").field("is_finished", &self.writing.is_none()).finish()
    }
}
