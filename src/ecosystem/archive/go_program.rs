//! Programs of Go, by Go's `debug/buildinfo` and `runtime/debug.BuildInfo`.
//!
//! Input: an executable. Output: the modules that it was built from, and Go itself. Invariants: the main module is not
//! listed, because it is what the program is; a module that was replaced is listed as its replacement.

use crate::ecosystem::{
    Findings, SourceFile,
    collect::{Collector, Declared},
};
use crate::model::{ecosystem::Ecosystem, scan_result::Source};

/// The beginning of the header; it lies at a multiple of 16 bytes.
const MAGIC: &[u8] = b"\xff Go buildinf:";
/// The size of the header.
const HEADER: usize = 32;
/// The flag of Go 1.18 and later: both texts follow the header, each after its length.
const IS_INLINE: u8 = 2;
/// The bytes around the list of modules.
const FRAME: usize = 16;
/// A larger list is not one.
const MOST: usize = 4 << 20;

/// Reads a program; none if it is not one of Go.
pub(super) fn read(file: SourceFile<'_>) -> Option<Findings> {
    let at = (0..file.bytes.len())
        .step_by(16)
        .find(|at| file.bytes.get(*at..).is_some_and(|rest| rest.starts_with(MAGIC)))?;
    let mut found = Collector::new(file, Ecosystem::Golang, Source::Archive).merging();
    let header = file.bytes.get(at..at + HEADER)?;
    if header.get(MAGIC.len() + 1).is_none_or(|flags| flags & IS_INLINE == 0) {
        found.warn_of_file("a program of Go before 1.18, whose modules are not read");
        return Some(found.finish());
    }
    let rest = file.bytes.get(at + HEADER..).unwrap_or_default();
    let Some((version, modules)) = texts(rest) else {
        found.warn_of_file("the build information of the program is damaged");
        return Some(found.finish());
    };
    // `go1.22.1 X:experiment`
    let number = version.split(' ').next().and_then(|word| word.strip_prefix("go"));
    if let Some(number) = number {
        let version = Some(number);
        let declared = Declared { name: "stdlib", version, ..Declared::default() };
        found.add(declared);
    }
    list(&modules, &mut found);
    Some(found.finish())
}

/// The version of Go, and the list of modules.
fn texts(bytes: &[u8]) -> Option<(String, String)> {
    let (version, rest) = text(bytes)?;
    let (modules, _) = text(rest)?;
    let framed = modules.len() >= 2 * FRAME;
    let modules = if framed { modules.get(FRAME..modules.len() - FRAME)? } else { &[] };
    let [version, modules] =
        [version, modules].map(|text| String::from_utf8_lossy(text).into_owned());
    Some((version, modules))
}

/// A text after its length, and what follows it.
fn text(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    // Little endian in groups of seven bits, by `encoding/binary`.
    let (mut length, mut shift) = (0_usize, 0);
    for (at, byte) in bytes.iter().take(5).enumerate() {
        length |= usize::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            let rest = bytes.get(at + 1..)?;
            return (length <= MOST).then(|| rest.split_at_checked(length))?;
        }
    }
    None
}

/// Adds the modules: `dep`, path, version and digest in columns, and `=>` in the line behind it for its replacement.
fn list(modules: &str, found: &mut Collector<'_>) {
    let mut lines = modules.lines().peekable();
    while let Some(line) = lines.next() {
        let mut words = line.split('\t');
        if words.next() != Some("dep") {
            continue;
        }
        let own = (words.next(), words.next());
        let replacement = lines.next_if(|next| next.starts_with("=>\t"));
        let replaced = replacement.map(|next| {
            let mut words = next.split('\t').skip(1);
            (words.next(), words.next())
        });
        let (Some(name), version) = replaced.unwrap_or(own) else { continue };
        // A folder replaces a module of the same repository.
        if name.starts_with(['.', '/']) {
            continue;
        }
        let version = version.filter(|version| !version.is_empty() && *version != "(devel)");
        found.add(Declared { name, version, ..Declared::default() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ecosystem::budget::Budget;

    /// The build information as the linker writes it, at a place in a program.
    fn program(version: &str, modules: &str) -> Vec<u8> {
        let mut bytes = b"\x7fELF".to_vec();
        bytes.resize(64, 0);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&[8, IS_INLINE]);
        bytes.resize(64 + HEADER, 0);
        for text in [version.to_owned(), format!("{0}{modules}{0}", "x".repeat(FRAME))] {
            let mut length = text.len();
            while length >= 0x80 {
                bytes.push(u8::try_from(length & 0x7f).unwrap() | 0x80);
                length >>= 7;
            }
            bytes.push(u8::try_from(length).unwrap());
            bytes.extend_from_slice(text.as_bytes());
        }
        bytes
    }

    fn shown(bytes: &[u8]) -> Option<Vec<String>> {
        let file = SourceFile { path: "bin/tool", bytes, budget: Budget::alone(bytes.len()) };
        let packages = read(file)?.packages;
        Some(packages.into_iter().map(|package| package.purl).collect())
    }

    #[test]
    fn modules_and_replacements_are_listed() {
        let modules = "path\ta.example/tool\nmod\ta.example/tool\t(devel)\t\ndep\ta.example/lib\tv1.2.0\th1:x=\n\
                       dep\tb.example/old\tv1.0.0\n=>\tb.example/fork\tv1.0.1\th1:y=\ndep\tc.example/own\tv0.0.0\n=>\t./own\t(devel)\t\n\
                       build\t-compiler=gc\n";
        let purls = shown(&program("go1.22.1 X:loopvar", modules)).unwrap();
        assert_eq!(
            purls,
            [
                "pkg:golang/stdlib@1.22.1",
                "pkg:golang/a.example/lib@v1.2.0",
                "pkg:golang/b.example/fork@v1.0.1"
            ]
        );
    }

    #[test]
    fn damaged_information_is_a_warning_and_other_programs_are_none() {
        let whole = program("go1.22.1", "dep\ta.example/lib\tv1.2.0\th1:x=\n");
        for end in 64 + MAGIC.len()..whole.len() {
            let bytes = &whole[..end];
            let file = SourceFile { path: "bin/tool", bytes, budget: Budget::alone(bytes.len()) };
            if let Some(findings) = read(file) {
                assert_eq!((findings.packages.len(), findings.warnings.len()), (0, 1), "{end}");
            }
        }
        assert_eq!(shown(b"\x7fELF and nothing"), None);
    }
}
