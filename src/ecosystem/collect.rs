//! What a parser has found so far.
//!
//! What flows in: one declaration after the other. What flows out: the file's [`Findings`]. What
//! must stay true: a declaration without a usable name is a warning, not a package; no message
//! carries credentials; and a file of nothing but mistakes gives a bounded number of warnings.

use super::{
    credentials::without_credentials,
    purl::Ecosystem,
    source::{Findings, SourceFile},
    text,
};
use crate::model::scan_result::{Package, Scope, Source};

/// After this many warnings about one file, the rest are only counted.
const MAX_WARNINGS: usize = 100;

/// One package as a parser read it, before it has a purl.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Declared<'a> {
    pub(crate) name: &'a str,
    pub(crate) version: Option<&'a str>,
    pub(crate) specifier: Option<&'a str>,
    pub(crate) line: u32,
    pub(crate) direct: Option<bool>,
    pub(crate) scope: Option<Scope>,
}

/// Gathers the findings of one file.
#[derive(Debug)]
pub(crate) struct Collector<'f> {
    file: SourceFile<'f>,
    ecosystem: Ecosystem,
    source: Source,
    findings: Findings,
    warnings_left_out: usize,
}

impl<'f> Collector<'f> {
    pub(crate) fn new(file: SourceFile<'f>, ecosystem: Ecosystem, source: Source) -> Self {
        Self { file, ecosystem, source, findings: Findings::default(), warnings_left_out: 0 }
    }

    pub(crate) fn add(&mut self, declared: Declared<'_>) {
        self.add_of(self.ecosystem, declared);
    }

    /// As [`add`](Self::add), for a file that lists packages of several ecosystems.
    pub(crate) fn add_of(&mut self, ecosystem: Ecosystem, declared: Declared<'_>) {
        let name = declared.name.trim();
        let version = declared.version.map(str::trim).filter(|it| !it.is_empty());
        let Some(purl) = ecosystem.purl(name, version) else {
            let message = format!("`{}` is no package name", text::excerpt(name));
            return self.warn(declared.line, message);
        };
        let specifier = declared.specifier.map(str::trim).filter(|it| !it.is_empty());
        self.findings.packages.push(Package {
            name: name.to_owned(),
            version: version.map(str::to_owned),
            specifier: specifier.map(|it| without_credentials(it).into_owned()),
            ecosystem: ecosystem.as_str().to_owned(),
            purl,
            file: self.file.path.to_owned(),
            line: Some(declared.line),
            direct: declared.direct,
            scope: declared.scope,
            source: self.source,
        });
    }

    pub(crate) fn warn(&mut self, line: u32, message: impl AsRef<str>) {
        if self.findings.warnings.len() < MAX_WARNINGS {
            let message = without_credentials(message.as_ref());
            self.findings.warnings.push(self.file.warning(Some(line), message));
        } else {
            self.warnings_left_out += 1;
        }
    }

    pub(crate) fn has_warnings(&self) -> bool {
        !self.findings.warnings.is_empty()
    }

    /// The findings of a file that was understood, at least in part.
    pub(crate) fn finish(mut self) -> Findings {
        self.findings.warnings.sort_by_key(|it| it.line);
        if self.warnings_left_out > 0 {
            let message = format!("{} more warnings are left out", self.warnings_left_out);
            self.findings.warnings.push(self.file.warning(None, message));
        }
        self.findings
    }

    /// As [`finish`](Self::finish), for a file of which nothing was understood.
    pub(crate) fn unreadable(self) -> Findings {
        Findings { unreadable: true, ..self.finish() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_are_bounded_and_names_checked() {
        let file = SourceFile { path: "Cargo.lock", bytes: b"" };
        let mut collector = Collector::new(file, Ecosystem::Cargo, Source::Lockfile);
        for line in 1..=150 {
            collector.add(Declared { name: " ", line, ..Declared::default() });
        }
        let findings = collector.finish();
        assert!(findings.packages.is_empty());
        assert_eq!(findings.warnings.len(), 101);
        assert_eq!(findings.warnings[100].message, "50 more warnings are left out");
    }

    #[test]
    fn no_message_carries_a_part_of_a_secret() {
        let file = SourceFile { path: "requirements.txt", bytes: b"" };
        let mut collector = Collector::new(file, Ecosystem::PyPi, Source::Manifest);
        let line = format!("x https://user:{}@git.example/x", "secret".repeat(50));
        collector.warn(1, format!("`{}` is odd", text::excerpt(&line)));
        collector.warn(2, &line);
        let messages: Vec<_> =
            collector.finish().warnings.into_iter().map(|it| it.message).collect();
        assert_eq!(messages, ["`x https://git.example/x` is odd", "x https://git.example/x"]);
    }
}
