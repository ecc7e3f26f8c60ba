//! Reads result files package by package.
//!
//! Input: a file `results/repo_N.json`, written by any scanner. Output: the text of each package
//! with its offset in the file, and of the requested other members.
//!
//! Invariants: only a buffer and one package are in memory at a time, whatever the size of the
//! file; the text of a member is passed on unchanged, so the reader validates each package; a file
//! that is structurally not a JSON object is reported, and so is a package or member larger than
//! [`MOST_OF_ONE`].

use super::read::{self, Signature};
use std::{fs::File, io, os::unix::fs::FileExt, path::Path, sync::Arc};

/// The size limit of a package and of a requested member, in bytes.
pub const MOST_OF_ONE: usize = 1 << 20;

/// The buffer size for reading the whole file, and for reading one package.
const STEP: (usize, usize) = (64 << 10, 4 << 10);

/// A part of a result file.
#[derive(Debug, Clone, Copy)]
pub enum Part<'a> {
    /// A package, and the offset of its first byte.
    Package(u64, &'a [u8]),
    /// Another member of the object, and its value.
    Member(&'a str, &'a [u8]),
}

/// Receives packages, each with the offset of its first byte.
pub type Visit<'v> = &'v mut dyn FnMut(u64, &[u8]) -> Result<(), Unread>;

/// Why a file was not read completely.
#[derive(Debug, thiserror::Error)]
pub enum Unread {
    /// The visitor stopped.
    #[error("reading was stopped")]
    Stopped,
    /// The file is not a result file.
    #[error("it is not a result file")]
    Invalid,
    #[error("it cannot be read")]
    Io(#[from] io::Error),
}

/// An open result file.
#[derive(Debug)]
pub struct ResultFile {
    content: Content,
    signature: Signature,
    /// A part of the file that starts at offset `base`; `at` is the next byte in it.
    buffer: Vec<u8>,
    base: u64,
    at: usize,
    step: usize,
    /// The text of the package that was read last.
    text: Vec<u8>,
}

/// Where the text of a result is.
#[derive(Debug)]
enum Content {
    File(File),
    Memory(Arc<[u8]>),
}

impl Content {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        match self {
            Self::File(file) => file.read_at(buffer, offset),
            Self::Memory(text) => {
                let from = usize::try_from(offset).unwrap_or(usize::MAX).min(text.len());
                let count = buffer.len().min(text.len() - from);
                buffer[..count].copy_from_slice(&text[from..from + count]);
                Ok(count)
            }
        }
    }
}

impl ResultFile {
    /// A result that was made from another file, with the signature of that file.
    pub fn of_text(text: Vec<u8>, signature: Signature) -> Self {
        Self::new(Content::Memory(text.into()), signature)
    }

    /// Opens a result file.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = read::open(path)?;
        let signature = Signature::of(&file.metadata()?);
        Ok(Self::new(Content::File(file), signature))
    }

    fn new(content: Content, signature: Signature) -> Self {
        let (buffer, text) = (Vec::new(), Vec::new());
        Self { content, signature, buffer, base: 0, at: 0, step: STEP.0, text }
    }

    /// Identifies this content of the file.
    pub fn signature(&self) -> Signature {
        self.signature
    }

    /// Reads the whole file: each package and each member in `wanted`, in file order.
    pub fn read(
        &mut self,
        wanted: &[&str],
        visit: &mut dyn FnMut(Part<'_>) -> Result<(), Unread>,
    ) -> Result<(), Unread> {
        self.seek(0, STEP.0);
        let mut text = std::mem::take(&mut self.text);
        let done = self.object(wanted, &mut text, visit);
        self.text = text;
        done
    }

    /// Reads the packages from the one at offset `place` on.
    pub fn read_on(&mut self, place: u64, visit: Visit<'_>) -> Result<(), Unread> {
        self.seek(place, STEP.0);
        let mut text = std::mem::take(&mut self.text);
        let done = self.items(&mut text, &mut |part| match part {
            Part::Package(place, text) => visit(place, text),
            Part::Member(..) => Ok(()),
        });
        self.text = text;
        done
    }

    /// Checks what follows the packages, after [`read_on`](Self::read_on) has read all of them.
    pub fn check_end(&mut self) -> Result<(), Unread> {
        let more = self.goes_on(b'}')?;
        let mut text = std::mem::take(&mut self.text);
        let done = self.members(more, true, &[], &mut text, &mut |_| Ok(()));
        self.text = text;
        done
    }

    /// The offset of the first package, if there is one.
    pub fn first(&mut self) -> Result<Option<u64>, Unread> {
        let mut first = None;
        let read = self.read(&[], &mut |part| match part {
            Part::Package(place, _) => {
                first = Some(place);
                Err(Unread::Stopped)
            }
            Part::Member(..) => Ok(()),
        });
        match read {
            Ok(()) | Err(Unread::Stopped) => Ok(first),
            Err(error) => Err(error),
        }
    }

    /// The text of the package at offset `place`.
    pub fn package(&mut self, place: u64) -> Result<&[u8], Unread> {
        self.seek(place, STEP.1);
        let mut text = std::mem::take(&mut self.text);
        let done = self.value(Some(&mut text));
        self.text = text;
        done.map(|()| self.text.as_slice())
    }

    fn object(
        &mut self,
        wanted: &[&str],
        text: &mut Vec<u8>,
        visit: &mut dyn FnMut(Part<'_>) -> Result<(), Unread>,
    ) -> Result<(), Unread> {
        self.expect(b'{')?;
        let more = self.begins(b'}')?;
        self.members(more, false, wanted, text, visit)
    }

    /// The members of an object, and its end. `has_packages`: whether the packages were among those before.
    fn members(
        &mut self,
        mut more: bool,
        mut has_packages: bool,
        wanted: &[&str],
        text: &mut Vec<u8>,
        visit: &mut dyn FnMut(Part<'_>) -> Result<(), Unread>,
    ) -> Result<(), Unread> {
        while more {
            if self.behind_space()? != Some(b'"') {
                return Err(Unread::Invalid);
            }
            self.value(Some(text))?;
            let name: String = serde_json::from_slice(text).map_err(|_| Unread::Invalid)?;
            self.expect(b':')?;
            self.behind_space()?;
            if name == "packages" {
                if std::mem::replace(&mut has_packages, true) {
                    return Err(Unread::Invalid);
                }
                self.packages(text, visit)?;
            } else if wanted.contains(&name.as_str()) {
                self.value(Some(text))?;
                visit(Part::Member(&name, text))?;
            } else {
                self.value(None)?;
            }
            more = self.goes_on(b'}')?;
        }
        match self.behind_space()? {
            None => Ok(()),
            Some(_) => Err(Unread::Invalid),
        }
    }

    fn packages(
        &mut self,
        text: &mut Vec<u8>,
        visit: &mut dyn FnMut(Part<'_>) -> Result<(), Unread>,
    ) -> Result<(), Unread> {
        self.expect(b'[')?;
        if self.begins(b']')? { self.items(text, visit) } else { Ok(()) }
    }

    fn items(
        &mut self,
        text: &mut Vec<u8>,
        visit: &mut dyn FnMut(Part<'_>) -> Result<(), Unread>,
    ) -> Result<(), Unread> {
        let mut more = true;
        while more {
            self.behind_space()?;
            let place = self.base + self.at as u64;
            self.value(Some(text))?;
            visit(Part::Package(place, text))?;
            more = self.goes_on(b']')?;
        }
        Ok(())
    }

    /// Whether a list or object that was just opened has content; consumes its end otherwise.
    fn begins(&mut self, end: u8) -> Result<bool, Unread> {
        let is_over = self.behind_space()? == Some(end);
        self.at += usize::from(is_over);
        Ok(!is_over)
    }

    /// Whether another item follows in a list or object; consumes its comma or its end.
    fn goes_on(&mut self, end: u8) -> Result<bool, Unread> {
        let next = self.behind_space()?;
        self.at += 1;
        match next {
            Some(b',') => Ok(true),
            Some(byte) if byte == end => Ok(false),
            _ => Err(Unread::Invalid),
        }
    }

    fn expect(&mut self, byte: u8) -> Result<(), Unread> {
        if self.behind_space()? != Some(byte) {
            return Err(Unread::Invalid);
        }
        self.at += 1;
        Ok(())
    }

    /// The next byte that is not white space, without consuming it.
    fn behind_space(&mut self) -> io::Result<Option<u8>> {
        loop {
            match self.peek()? {
                Some(b' ' | b'\n' | b'\r' | b'\t') => self.at += 1,
                other => return Ok(other),
            }
        }
    }

    /// Consumes one value of any type, and stores its text if requested.
    fn value(&mut self, mut text: Option<&mut Vec<u8>>) -> Result<(), Unread> {
        if let Some(text) = &mut text {
            text.clear();
            text.shrink_to(STEP.0);
        }
        let mut within = Within::default();
        while self.peek()?.is_some() {
            let rest = &self.buffer[self.at..];
            let end = within.end_in(rest);
            let taken = end.unwrap_or(rest.len());
            if let Some(text) = &mut text {
                if text.len() + taken > MOST_OF_ONE {
                    return Err(Unread::Invalid);
                }
                text.extend_from_slice(&rest[..taken]);
            }
            self.at += taken;
            if end.is_some() {
                return if within.begun { Ok(()) } else { Err(Unread::Invalid) };
            }
        }
        Err(Unread::Invalid)
    }

    fn seek(&mut self, place: u64, step: usize) {
        self.step = step;
        match place.checked_sub(self.base).and_then(|offset| usize::try_from(offset).ok()) {
            Some(at) if at < self.buffer.len() => self.at = at,
            _ => {
                self.buffer.clear();
                (self.base, self.at) = (place, 0);
            }
        }
    }

    /// The next byte, without consuming it; `None` at the end of the file.
    fn peek(&mut self) -> io::Result<Option<u8>> {
        if self.at >= self.buffer.len() {
            self.base += self.buffer.len() as u64;
            self.at -= self.buffer.len();
            self.buffer.resize(self.step, 0);
            let count = loop {
                match self.content.read_at(&mut self.buffer, self.base) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    other => break other?,
                }
            };
            self.buffer.truncate(count);
        }
        Ok(self.buffer.get(self.at).copied())
    }
}

/// The position within a value.
#[derive(Debug, Default)]
struct Within {
    begun: bool,
    depth: usize,
    text: Text,
    /// A number or a literal.
    plain: bool,
}

/// Whether the next byte belongs to a string.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Text {
    #[default]
    Outside,
    Inside,
    /// After a backslash.
    Escaped,
}

impl Within {
    /// The index at which the value ends in these bytes, if it does.
    fn end_in(&mut self, bytes: &[u8]) -> Option<usize> {
        for (position, byte) in bytes.iter().enumerate() {
            if self.text != Text::Outside {
                if self.text == Text::Escaped {
                    self.text = Text::Inside;
                } else if *byte == b'\\' {
                    self.text = Text::Escaped;
                } else if *byte == b'"' {
                    self.text = Text::Outside;
                    if self.depth == 0 {
                        return Some(position + 1);
                    }
                }
                continue;
            }
            match byte {
                b'"' if !self.plain => (self.text, self.begun) = (Text::Inside, true),
                b'{' | b'[' if !self.plain => {
                    self.depth += 1;
                    self.begun = true;
                }
                b'}' | b']' | b',' | b' ' | b'\n' | b'\r' | b'\t' if self.depth == 0 => {
                    return Some(position);
                }
                b'}' | b']' => {
                    self.depth -= 1;
                    if self.depth == 0 {
                        return Some(position + 1);
                    }
                }
                _ if self.depth == 0 => (self.plain, self.begun) = (true, true),
                _ => {}
            }
        }
        None
    }
}

#[cfg(test)]
mod tests;
