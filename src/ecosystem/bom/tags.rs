//! SPDX 2 as tags and values (`*.spdx`), by "Format of tag-value" of its specification.
//!
//! Input: lines. Output: the same as for a JSON document. Invariants: text between `<text>` and `</text>`
//! is not a tag, however many lines it has.

use super::{
    collector,
    list::Component,
    spdx::{Relations, is_purl, known, stated_license},
};
use crate::ecosystem::{Findings, Parser, SourceFile, path::file_name, text};
use std::borrow::Cow;

/// Reads `*.spdx`.
#[derive(Debug)]
pub(in crate::ecosystem) struct SpdxTags;

impl Parser for SpdxTags {
    fn name(&self) -> &'static str {
        "spdx"
    }

    fn wants(&self, path: &str) -> bool {
        let name = file_name(path).to_ascii_lowercase();
        name.ends_with(".spdx") || name.ends_with(".spdx.txt") || name.ends_with(".spdx.tv")
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let mut found = collector(file);
        let text = text::decode(file.bytes);
        let mut reader = Reader::default();
        let mut in_text = false;
        // Lines that are not tags: the first one, and how many more there are.
        let mut others: Option<(u32, String, u64)> = None;
        for (line, content) in (1_u32..).zip(text.lines()) {
            let continues = in_text;
            let last = content.rfind("<text>");
            let end = content.rfind("</text>");
            in_text = last > end || (continues && end.is_none());
            if continues || content.trim().is_empty() || content.starts_with('#') {
                continue;
            }
            if text::is_merge_marker(content) {
                found.warn(line, text::MERGE_MARKER);
                continue;
            }
            match content.split_once(':') {
                Some((tag, value)) => reader.tag(tag.trim(), value.trim(), line),
                None => match &mut others {
                    Some((_, _, more)) => *more += 1,
                    None => others = Some((line, text::excerpt(content), 0)),
                },
            }
        }
        if let Some((line, first, more)) = others {
            let message = match more {
                0 => format!("`{first}` is not a tag"),
                _ => format!("`{first}` and {more} more lines are not tags"),
            };
            if reader.understood {
                found.note(line, message);
            } else {
                found.warn(line, message);
            }
        }
        if !reader.understood && found.has_warnings() {
            return found.unreadable();
        }
        reader.relations.document(reader.components).list(&mut found);
        found.finish()
    }
}

#[derive(Debug, Default)]
struct Reader<'a> {
    components: Vec<Component<'a>>,
    relations: Relations<'a>,
    /// Whether the current tags describe the last package.
    in_package: bool,
    understood: bool,
}

impl<'a> Reader<'a> {
    fn tag(&mut self, tag: &str, value: &'a str, line: u32) {
        self.understood |= matches!(tag, "SPDXVersion" | "PackageName" | "SPDXID");
        match tag {
            "PackageName" => {
                self.in_package = true;
                let name = Cow::Borrowed(value);
                self.components.push(Component { name, line, ..Component::default() });
            }
            "FileName" | "SnippetSPDXID" | "LicenseID" => self.in_package = false,
            "Relationship" => {
                let mut words = value.split_whitespace();
                if let (Some(from), Some(kind), Some(to)) =
                    (words.next(), words.next(), words.next())
                {
                    self.relations.add(from, kind, to);
                }
            }
            _ => {}
        }
        let Some(package) = self.components.last_mut().filter(|_| self.in_package) else { return };
        match tag {
            "SPDXID" => package.reference = Cow::Borrowed(value),
            "PackageLicenseDeclared" => package.licenses = stated_license(Some(value)),
            // `SHA1: digits`
            "PackageChecksum" => {
                let (algorithm, digits) = value.split_once(':').unwrap_or_default();
                package.digest(algorithm.trim(), digits.trim());
            }
            "PackageVersion" => package.version = known(value).map(Cow::Borrowed),
            // `PACKAGE-MANAGER purl pkg:…`
            "ExternalRef" if package.purl.is_none() => {
                let mut words = value.split_whitespace().skip(1);
                if words.next().is_some_and(is_purl) {
                    package.purl = words.next().map(Cow::Borrowed);
                }
            }
            _ => {}
        }
    }
}
