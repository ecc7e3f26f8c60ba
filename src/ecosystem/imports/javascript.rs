//! The imports of JavaScript and TypeScript that name a package with its registry, by "Modules and dependencies" of
//! Deno's manual.
//!
//! Input: a module. Output: the specifiers `npm:name@range`, `jsr:@scope/name@range` and URLs of registries and
//! content delivery networks in its `import`, `export … from` and `import(…)`. Invariants: comments, other strings and
//! templates are ignored; a bare name is not listed, because only the manifest states its package.
//!
//! Decisions. A URL of a network that serves packages of npm is that package. Modules of `deno.land` are in no registry
//! with a purl type, so they are generic. Any other URL has neither name nor version.

use super::{
    super::{Findings, Parser, SourceFile, npm::Specifier, text},
    cursor::{Cursor, Quoting, is_blank, is_newline, is_of_word},
    is_installed,
    names::{Language, Names},
};
use std::borrow::Cow;

/// Networks whose paths begin with the name of a package of npm.
const NETWORKS: [&str; 4] = ["esm.sh", "unpkg.com", "esm.run", "cdn.skypack.dev"];

/// The protocol of modules that are in no registry with a purl type, in this module and in `resolve`.
pub(super) const GENERIC: &str = "generic:";

/// Reads modules of JavaScript and TypeScript.
#[derive(Debug)]
pub(super) struct JavaScriptImports;

impl Parser for JavaScriptImports {
    fn name(&self) -> &'static str {
        "javascript-imports"
    }

    fn wants(&self, path: &str) -> bool {
        let extension = path.rsplit('.').next().unwrap_or_default();
        matches!(extension, "ts" | "tsx" | "mts" | "js" | "jsx" | "mjs")
            && !path.ends_with(".d.ts")
            && !path.ends_with(".min.js")
            && !is_installed(path)
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let text = text::decode(file.bytes);
        let names = Names::new(&text, Language::JavaScript);
        let mut scanner = Scanner { text: &text, cursor: Cursor::new(&text), names };
        // Most modules name no registry.
        if ["npm:", "jsr:", "https://"].iter().any(|prefix| text.contains(prefix)) {
            scanner.scan();
        }
        scanner.names.finish(file)
    }
}

/// What stands before a string.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Before {
    /// `import`, or `from` of an import or export.
    Keyword,
    /// `import (`.
    Call,
    Other,
}

struct Scanner<'t> {
    text: &'t str,
    cursor: Cursor<'t>,
    names: Names<'t>,
}

impl<'t> Scanner<'t> {
    fn scan(&mut self) {
        let mut before = Before::Other;
        let mut is_import = false;
        while let Some(byte) = self.cursor.peek() {
            if self.cursor.skip_comment(false) {
                continue;
            }
            match byte {
                b'"' | b'\'' => {
                    let at = self.cursor.at;
                    let specifier = self.string();
                    if before != Before::Other
                        && let Some(name) = specifier.and_then(package_of)
                    {
                        self.names.add(name, at);
                    }
                    before = Before::Other;
                }
                b'`' => {
                    self.skip_template();
                    before = Before::Other;
                }
                _ if is_of_word(byte) => {
                    let word = self.cursor.word();
                    is_import = word == b"import";
                    before =
                        if is_import || word == b"from" { Before::Keyword } else { Before::Other };
                }
                _ => {
                    before = match byte {
                        b'(' if before == Before::Keyword && is_import => Before::Call,
                        _ if is_blank(byte) || is_newline(byte) => before,
                        _ => Before::Other,
                    };
                    self.cursor.advance(1);
                }
            }
        }
    }

    /// Reads the string at the cursor; none if it does not end in its line.
    fn string(&mut self) -> Option<&'t str> {
        let begin = self.cursor.at;
        let quote = self.text.get(begin..=begin)?;
        self.cursor.skip_text(Quoting::Backslash);
        self.text.get(begin..self.cursor.at)?.strip_prefix(quote)?.strip_suffix(quote)
    }

    /// Skips a template literal. A template within an expression ends it early, which only costs what follows.
    fn skip_template(&mut self) {
        self.cursor.advance(1);
        while let Some(byte) = self.cursor.peek() {
            self.cursor.advance(if byte == b'\\' { 2 } else { 1 });
            if byte == b'`' {
                return;
            }
        }
    }
}

/// The package of a specifier, in the form `npm:name@range`.
fn package_of(specifier: &str) -> Option<String> {
    let specifier = match specifier.strip_prefix("https://").map(of_url) {
        Some(Some(generic)) if generic.starts_with(GENERIC) => return Some(generic),
        Some(of_registry) => Cow::Owned(of_registry?),
        None => Cow::Borrowed(specifier),
    };
    let Specifier { name, range, .. } = Specifier::read(&specifier)?;
    let (protocol, _) = specifier.split_once(':')?;
    let at = if range.is_empty() { "" } else { "@" };
    Some(format!("{protocol}:{name}{at}{range}"))
}

fn of_url(url: &str) -> Option<String> {
    let path = url.split(['?', '#']).next()?;
    let (host, path) = path.split_once('/')?;
    let of_npm = match host {
        "cdn.jsdelivr.net" => path.strip_prefix("npm/")?,
        // `/@scope/name/1.2.3/mod.ts`.
        "jsr.io" => {
            let mut parts = path.splitn(4, '/');
            let [scope, name, version] = [parts.next()?, parts.next()?, parts.next()?];
            return Some(format!("jsr:{scope}/{name}@{version}"));
        }
        "deno.land" => {
            let own = path.strip_prefix("x/");
            let (name, version) = own.unwrap_or(path).split('/').next()?.split_once('@')?;
            let folder = if own.is_some() { "x/" } else { "" };
            let is_known = own.is_some() || name == "std";
            return is_known.then(|| format!("{GENERIC}deno.land/{folder}{name}@{version}"));
        }
        _ if NETWORKS.contains(&host) => path,
        _ => return None,
    };
    // esm.sh has versions of its own, and other sources.
    let of_npm = match of_npm.split_once('/') {
        Some((first, rest)) if first == "stable" || is_build(first) => rest,
        Some(("jsr", rest)) => return Some(format!("jsr:{rest}")),
        Some(("gh" | "pr" | "-" | "pin", _)) => return None,
        _ => of_npm,
    };
    Some(format!("npm:{}", of_npm.trim_start_matches('*')))
}

/// `v135`.
fn is_build(segment: &str) -> bool {
    let number = segment.strip_prefix('v');
    number.is_some_and(|number| {
        !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests {
    use super::{super::names::FileImports, *};

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let file = SourceFile::alone("a.ts", text.as_bytes());
        let names = JavaScriptImports.parse(file).into_fact::<FileImports>().names;
        assert_eq!(names.keys().collect::<Vec<_>>(), expected, "{text}");
    }

    #[test]
    fn specifiers_of_imports_are_read() {
        check("import a from \"npm:a@1.0.0\";", &["npm:a@1.0.0"]);
        check("import { b } from 'jsr:@s/b@^2/sub'", &["jsr:@s/b@^2"]);
        check("export * from\n  \"npm:a\";", &["npm:a"]);
        check("import \"npm:a@1/register\";", &["npm:a@1"]);
        check("const a = await import(\"npm:a@1\");", &["npm:a@1"]);
        check("import a from \"./a.ts\"; import b from \"b\"; import c from \"node:c\";", &[]);
    }

    #[test]
    fn urls_of_registries_are_packages() {
        for (url, expected) in [
            ("esm.sh/a@1.0.0/sub?deps=b@2", Some("npm:a@1.0.0")),
            ("esm.sh/v135/@s/a@1.0.0/es2022/a.mjs", Some("npm:@s/a@1.0.0")),
            ("esm.sh/*a@1", Some("npm:a@1")),
            ("esm.sh/jsr/@s/a@1", Some("jsr:@s/a@1")),
            ("esm.sh/gh/o/r@1", None),
            ("cdn.jsdelivr.net/npm/a@1.0.0/+esm", Some("npm:a@1.0.0")),
            ("cdn.jsdelivr.net/gh/o/r@1/a.js", None),
            ("unpkg.com/a", Some("npm:a")),
            ("jsr.io/@s/a/1.0.0/mod.ts", Some("jsr:@s/a@1.0.0")),
            ("deno.land/x/kit@v1.2.3/mod.ts", Some("generic:deno.land/x/kit@v1.2.3")),
            ("deno.land/std@0.224.0/path/mod.ts", Some("generic:deno.land/std@0.224.0")),
            ("deno.land/std/path/mod.ts", None),
            ("h.example/a@1.0.0/mod.ts", None),
        ] {
            let found = package_of(&format!("https://{url}"));
            assert_eq!(found.as_deref(), expected, "{url}");
        }
    }

    #[test]
    fn other_texts_are_no_imports() {
        check("const a = \"npm:a@1\"; f(\"npm:b\"); from; \"npm:c\"", &[]);
        check("// import \"npm:a\"\n/* import \"npm:b\" */ `import \"npm:c\"`", &[]);
        check("import(a, \"npm:b\")", &[]);
    }
}
