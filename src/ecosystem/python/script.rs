//! The inline metadata of scripts, by "Inline script metadata" of the Python packaging specifications
//! (PEP 723).
//!
//! Input: the comment block between `# /// script` and `# ///` in the head of a module. Output: the
//! requirements of the script.
//!
//! Decision. Few modules have metadata, and a scan cannot read all of them. It reads those where scripts usually
//! are: in the root of the repository, or directly in a folder with a name such as `scripts`. A deep scan reads
//! all modules for their imports, and their metadata with them.
//!
//! Invariants: only the head of a file is read; a block without an end is ignored, as the specification
//! requires; the lines of the findings are those of the module.

use super::lists::Reader;
use crate::ecosystem::{
    Findings, Pairing, Parser, SourceFile, collect::Collector, path::is_place_of_scripts, text,
    toml,
};
use crate::model::{
    ecosystem::Ecosystem,
    scan_result::{Scope, Source},
};

/// Bytes of a module in which the block is searched.
const HEAD: usize = 64 << 10;

const BEGIN: &str = "# /// script";
const END: &str = "# ///";

/// Reads the metadata in `*.py`.
#[derive(Debug)]
pub(in crate::ecosystem) struct ScriptMetadata;

impl Parser for ScriptMetadata {
    fn name(&self) -> &'static str {
        "script-metadata"
    }

    fn wants(&self, path: &str) -> bool {
        (path.ends_with(".py") || path.ends_with(".pyw")) && is_place_of_scripts(path)
    }

    fn is_part_of_source(&self) -> bool {
        true
    }

    fn pairing<'p>(&self, path: &'p str) -> Pairing<'p> {
        pairing(path)
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        read(file)
    }
}

/// The pairing of a script with its lock file, which uv writes beside it.
pub(in crate::ecosystem) fn pairing(script: &str) -> Pairing<'_> {
    Pairing { folder: script, ..Pairing::of(script).with("script") }
}

/// Reads the metadata of a module; nothing if it has none.
pub(in crate::ecosystem) fn read(file: SourceFile<'_>) -> Findings {
    let head = text::decode(file.bytes.get(..HEAD).unwrap_or(file.bytes));
    file.budget.read(head.len());
    let Some(metadata) = block(&head) else { return Findings::default() };
    let found = Collector::new(file, Ecosystem::PyPi, Source::Manifest);
    toml::read(metadata.as_bytes(), found, |document, found| {
        Reader::new(document, found).list(&document.root, "dependencies", Scope::Runtime);
    })
}

/// The TOML of the block, after as many empty lines as there are lines before it.
fn block(head: &str) -> Option<String> {
    let mut lines = head.lines();
    let before = lines.position(|line| line.trim_end() == BEGIN)?;
    let mut metadata = "\n".repeat(before + 1);
    let mut end = None;
    for line in lines {
        let content = match line.strip_prefix('#') {
            Some("") => "",
            Some(rest) if rest.starts_with(' ') => rest.get(1..)?,
            _ => break,
        };
        // The last such line of the comment ends the block.
        if line.trim_end() == END {
            end = Some(metadata.len());
        }
        metadata.push_str(content);
        metadata.push('\n');
    }
    metadata.truncate(end?);
    Some(metadata)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_keeps_its_lines() {
        let text = "#!/usr/bin/env python\n# /// script\n# a = 1\n#\n# ///\nx = 1\n# /// script\n";
        assert_eq!(block(text).as_deref(), Some("\n\na = 1\n\n"));
        assert_eq!(block("# /// script\r\n# a = 1\r\n# ///\r\n").as_deref(), Some("\na = 1\n"));
        let twice = "# /// script\n# b = '''\n# ///\n# '''\n# ///\n#x\n";
        assert_eq!(block(twice).as_deref(), Some("\nb = '''\n///\n'''\n"));
        for other in
            ["# /// script\n# a = 1\n", "# /// scripts\n# ///\n", "## /// script\n# ///\n", ""]
        {
            assert_eq!(block(other), None, "{other}");
        }
    }
}
