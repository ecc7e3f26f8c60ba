//! Handmade packs (gitformat-pack(5)), with objects that git would never write.
//!
//! Invariants: the packs are small and quick to create, whatever they unpack to.

use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use std::fmt::Write as _;

/// The type of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Commit,
    Tree,
    Blob,
    Tag,
}

/// A pack of version 2.
#[derive(Debug, Default)]
pub(crate) struct Pack {
    entries: Vec<u8>,
    count: u32,
}

/// The bytes before the first entry.
const HEAD: usize = 12;
/// The longest match of DEFLATE.
const RUN: u64 = 258;

impl Pack {
    /// Adds an object unchanged; returns its id.
    pub(crate) fn object(&mut self, kind: Kind, content: &[u8]) -> String {
        let (number, word) = match kind {
            Kind::Commit => (1, "commit"),
            Kind::Tree => (2, "tree"),
            Kind::Blob => (3, "blob"),
            Kind::Tag => (4, "tag"),
        };
        self.begin(number, content.len() as u64);
        store(&mut self.entries, content);
        let named = [format!("{word} {}\0", content.len()).as_bytes(), content].concat();
        hex(digest(&SHA1_FOR_LEGACY_USE_ONLY, &named).as_ref())
    }

    /// Adds a tree of entries: mode, name, id. Returns its id.
    pub(crate) fn tree(&mut self, entries: &[(&str, &[u8], &str)]) -> String {
        let mut content = Vec::new();
        for (mode, name, id) in entries {
            content.extend_from_slice(&[mode.as_bytes(), b" ", name, b"\0"].concat());
            content.extend(bytes_of(id));
        }
        self.object(Kind::Tree, &content)
    }

    /// Adds a commit of a tree; returns its text.
    pub(crate) fn commit(&mut self, tree: &str) -> String {
        let people = "author A <a@example.com> 0 +0000\ncommitter A <a@example.com> 0 +0000\n\n";
        let commit = format!("tree {tree}\n{people}");
        self.object(Kind::Commit, commit.as_bytes());
        commit
    }

    /// Adds a commit of one file; returns its text.
    pub(crate) fn commit_of_file(&mut self, name: &str, blob: &str) -> String {
        let tree = self.tree(&[("100644", name.as_bytes(), blob)]);
        self.commit(&tree)
    }

    /// Adds a blob of this many zeros, in a hundred and sixtieth of their size; returns its offset.
    pub(crate) fn zeros(&mut self, size: u64) -> usize {
        let at = self.begin(3, size);
        deflate_zeros(&mut self.entries, size);
        at
    }

    /// Adds a blob as a delta: this many copies of the one that begins at `base` and has `size`
    /// bytes, and then `tail`.
    pub(crate) fn copies(&mut self, base: usize, size: u64, times: u64, tail: &[u8]) {
        let mut delta = Vec::new();
        varint(&mut delta, size);
        varint(&mut delta, size * times + tail.len() as u64);
        for _ in 0..times {
            let mut from = 0;
            while from < size {
                let length = (size - from).min(0x00ff_ffff);
                // All four bytes of the offset, all three of the length.
                delta.push(0xff);
                delta.extend_from_slice(&from.to_le_bytes()[..4]);
                delta.extend_from_slice(&length.to_le_bytes()[..3]);
                from += length;
            }
        }
        delta.push(u8::try_from(tail.len()).expect("a short tail"));
        delta.extend_from_slice(tail);
        let here = self.begin(6, delta.len() as u64);
        offset(&mut self.entries, here - base);
        store(&mut self.entries, &delta);
    }

    /// Sets the declared number of objects, whatever the real one.
    pub(crate) fn announce(&mut self, count: u32) {
        self.count = count;
    }

    /// The whole pack.
    pub(crate) fn finish(self) -> Vec<u8> {
        let mut pack = b"PACK\0\0\0\x02".to_vec();
        pack.extend_from_slice(&self.count.to_be_bytes());
        pack.extend_from_slice(&self.entries);
        let sum = digest(&SHA1_FOR_LEGACY_USE_ONLY, &pack);
        pack.extend_from_slice(sum.as_ref());
        pack
    }

    /// Begins an entry: its type, and its size in 4 bits and then 7 each. Returns its offset.
    fn begin(&mut self, number: u8, size: u64) -> usize {
        let at = HEAD + self.entries.len();
        self.count += 1;
        let mut byte = number << 4 | low(size, 4);
        let mut rest = size >> 4;
        while rest > 0 {
            self.entries.push(byte | 0x80);
            byte = low(rest, 7);
            rest >>= 7;
        }
        self.entries.push(byte);
        at
    }
}

/// The bytes of an id.
fn bytes_of(id: &str) -> Vec<u8> {
    let pair = |at| u8::from_str_radix(&id[at..at + 2], 16).expect("an id is hexadecimal");
    (0..id.len()).step_by(2).map(pair).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn low(number: u64, bits: u32) -> u8 {
    u8::try_from(number & ((1 << bits) - 1)).expect("at most 7 bits")
}

/// A size in a delta: 7 bits each, the lowest first.
fn varint(to: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        to.push(low(number, 7) | 0x80);
        number >>= 7;
    }
    to.push(low(number, 7));
}

/// How far back the base of a delta is: 7 bits each, the highest first.
fn offset(to: &mut Vec<u8>, back: usize) {
    let mut back = back as u64;
    let mut bytes = vec![low(back, 7)];
    back >>= 7;
    while back > 0 {
        back -= 1;
        bytes.push(low(back, 7) | 0x80);
        back >>= 7;
    }
    to.extend(bytes.iter().rev());
}

/// zlib without compression (RFC 1950, RFC 1951).
fn store(to: &mut Vec<u8>, content: &[u8]) {
    to.extend_from_slice(&[0x78, 0x01]);
    let mut pieces = content.chunks(0xffff).peekable();
    if content.is_empty() {
        to.extend_from_slice(&[1, 0, 0, 0xff, 0xff]);
    }
    while let Some(piece) = pieces.next() {
        let length = u16::try_from(piece.len()).expect("a chunk");
        to.push(u8::from(pieces.peek().is_none()));
        to.extend_from_slice(&length.to_le_bytes());
        to.extend_from_slice(&(!length).to_le_bytes());
        to.extend_from_slice(piece);
    }
    let (mut a, mut b) = (1_u32, 0_u32);
    for byte in content {
        a = (a + u32::from(*byte)) % 65_521;
        b = (b + a) % 65_521;
    }
    to.extend_from_slice(&(b << 16 | a).to_be_bytes());
}

/// zlib with one block of fixed codes: a zero, and then runs that repeat the previous byte.
fn deflate_zeros(to: &mut Vec<u8>, size: u64) {
    to.extend_from_slice(&[0x78, 0x01]);
    let mut bits = Bits { to, held: 0, count: 0 };
    // The last block, of fixed codes.
    bits.push(0b011, 3);
    let runs = size.saturating_sub(1) / RUN;
    for _ in 0..size - runs * RUN {
        bits.code(0b0011_0000, 8);
    }
    for _ in 0..runs {
        // A length of 258, a distance of 1.
        bits.code(0b1100_0101, 8);
        bits.code(0, 5);
    }
    // The end of the block, and zeros up to the end of the byte.
    bits.code(0, 7);
    bits.push(0, 7);
    let sum = u32::try_from(size % 65_521).expect("less than 65521") << 16 | 1;
    to.extend_from_slice(&sum.to_be_bytes());
}

/// Packs bits into bytes, the lowest first.
struct Bits<'a> {
    to: &'a mut Vec<u8>,
    held: u32,
    count: u32,
}

impl Bits<'_> {
    fn push(&mut self, bits: u32, count: u32) {
        self.held |= bits << self.count;
        self.count += count;
        while self.count >= 8 {
            self.to.push(u8::try_from(self.held & 0xff).expect("8 bits"));
            self.held >>= 8;
            self.count -= 8;
        }
    }

    /// Codes are packed in reverse order.
    fn code(&mut self, code: u32, count: u32) {
        self.push(code.reverse_bits() >> (32 - count), count);
    }
}
