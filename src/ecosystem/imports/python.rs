//! The imports of Python, by "The import statement" of the Python Language Reference.
//!
//! Input: a module. Output: the modules that it imports, at any depth and under any condition:
//! `import a.b`, `from a import b` (as `a.b`), and calls of `__import__`, `importlib.import_module`
//! and `pytest.importorskip` with a literal. Invariants: the time is linear; strings, comments and
//! relative imports are ignored. The inline metadata of a script is read too.
//!
//! Decisions. A statement with trailing text (`import the things`) is prose and ignored. f-strings
//! are strings. Stubs (`.pyi`) are not read, because they repeat their module.

use super::{
    super::{
        Findings, Pairing, Parser, SourceFile,
        python::{script_metadata, script_pairing},
        text,
    },
    cursor::{Cursor, Quoting, is_blank, is_newline, is_of_word},
    is_installed,
    names::{LONGEST_NAME, Language, MAX_NAMES, Names, text_of},
};

/// Segments of a dotted name that may identify a distribution: `airflow.providers.apache.spark`.
const MAX_SEGMENTS: usize = 4;
/// Words that cannot be the name of a module.
const KEYWORDS: [&[u8]; 12] = [
    b"import", b"from", b"as", b"def", b"class", b"if", b"for", b"while", b"try", b"with",
    b"return", b"async",
];

/// Reads `*.py`.
#[derive(Debug)]
pub(super) struct PythonImports;

impl Parser for PythonImports {
    fn name(&self) -> &'static str {
        "python-imports"
    }

    fn wants(&self, path: &str) -> bool {
        (path.ends_with(".py") || path.ends_with(".pyw")) && !is_installed(path)
    }

    /// The packages of a script's metadata belong to that script.
    fn pairing<'p>(&self, path: &'p str) -> Pairing<'p> {
        script_pairing(path)
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let text = text::decode(file.bytes);
        let names = Names::new(&text, Language::Python);
        let mut scanner = Scanner { cursor: Cursor::new(&text), names };
        scanner.scan();
        let mut findings = scanner.names.finish(file);
        let script = script_metadata(file);
        findings.packages.extend(script.packages);
        findings.warnings.extend(script.warnings);
        findings
    }
}

struct Scanner<'t> {
    cursor: Cursor<'t>,
    names: Names<'t>,
}

impl Scanner<'_> {
    fn scan(&mut self) {
        // Whether a statement may begin here.
        let mut begins = true;
        while let Some(byte) = self.cursor.peek() {
            match byte {
                b'#' => self.cursor.skip_line(),
                b'"' | b'\'' => {
                    self.cursor.skip_text(Quoting::Backslash);
                    begins = false;
                }
                _ if is_of_word(byte) => {
                    let at = self.cursor.at;
                    match self.cursor.word() {
                        b"import" if begins => self.import(at),
                        b"from" if begins => self.from(at),
                        b"__import__" | b"import_module" | b"importorskip" => self.call(at),
                        _ => {}
                    }
                    // A truncated statement ends with its line.
                    begins = self.cursor.begins_line();
                }
                _ => {
                    begins =
                        matches!(byte, b'\n' | b'\r' | b';' | b':') || (begins && is_blank(byte));
                    self.cursor.advance(1);
                }
            }
        }
    }

    /// Reads `import a.b as c, d` after its first word.
    fn import(&mut self, at: usize) {
        let mut found = Vec::new();
        loop {
            self.skip_joined_blanks();
            let Some(name) = self.dotted_name() else { return };
            // One more than the limit, so that the limit is reported.
            if found.len() <= MAX_NAMES {
                found.push(name);
            }
            self.alias();
            if !self.cursor.eat(b',') {
                break;
            }
        }
        if self.is_end_of_statement() {
            for name in found {
                self.names.add(name, at);
            }
        }
    }

    /// Reads `from a.b import (c as d, e)` after its first word.
    fn from(&mut self, at: usize) {
        self.skip_joined_blanks();
        let Some(module) = self.dotted_name() else { return };
        self.skip_joined_blanks();
        if !self.cursor.eat_word(b"import") {
            return;
        }
        self.skip_joined_blanks();
        let mut found = Vec::new();
        let in_brackets = self.cursor.eat(b'(');
        let is_long = module.split('.').count() >= MAX_SEGMENTS;
        loop {
            self.skip_within(in_brackets);
            if self.cursor.eat(b'*') {
                found.push(module.clone());
                break;
            }
            let before = self.cursor.at;
            let word = self.cursor.word();
            if word.is_empty() || KEYWORDS.contains(&word) {
                self.cursor.at = before;
                break;
            }
            let fits = found.len() <= MAX_NAMES && module.len() + word.len() < LONGEST_NAME;
            if is_long && found.is_empty() {
                found.push(module.clone());
            } else if !is_long && fits {
                found.push(format!("{module}.{}", text_of(word)));
            }
            self.skip_within(in_brackets);
            if self.cursor.eat_word(b"as") {
                self.skip_within(in_brackets);
                self.cursor.word();
                self.skip_within(in_brackets);
            }
            if !self.cursor.eat(b',') {
                break;
            }
        }
        self.skip_within(in_brackets);
        let is_whole = if in_brackets {
            self.cursor.eat(b')') || self.cursor.peek().is_none() || self.cursor.begins_line()
        } else {
            self.is_end_of_statement()
        };
        if is_whole {
            for name in found {
                self.names.add(name, at);
            }
        }
    }

    /// Reads `import_module("a.b")` after its first word. Does not move for anything else.
    fn call(&mut self, at: usize) {
        let mut cursor = self.cursor;
        let skip =
            |cursor: &mut Cursor<'_>| cursor.skip_while(|byte| is_blank(byte) || is_newline(byte));
        skip(&mut cursor);
        if !cursor.eat(b'(') {
            return;
        }
        skip(&mut cursor);
        if matches!(cursor.peek(), Some(b'r' | b'u')) {
            cursor.advance(1);
        }
        let Some(quote @ (b'"' | b'\'')) = cursor.peek() else { return };
        cursor.advance(1);
        let begin = cursor.rest();
        cursor.skip_while(|byte| is_of_word(byte) || byte == b'.');
        let name = begin.get(..begin.len() - cursor.rest().len()).unwrap_or_default();
        let closes = cursor.eat(quote);
        skip(&mut cursor);
        if !closes || !matches!(cursor.peek(), Some(b')' | b',')) {
            return;
        }
        let segments: Vec<_> = text_of(name).split('.').take(MAX_SEGMENTS).collect();
        let is_name =
            |segment: &&str| segment.bytes().next().is_some_and(|first| !first.is_ascii_digit());
        if segments.iter().all(is_name) {
            self.names.add(segments.join("."), at);
        }
        self.cursor = cursor;
    }

    /// Reads `a.b.c`, cut to [`MAX_SEGMENTS`]; none for an invalid or relative name.
    fn dotted_name(&mut self) -> Option<String> {
        let mut name = String::new();
        let mut segments = 0;
        loop {
            let before = self.cursor.at;
            let word = self.cursor.word();
            let is_number = word.first().is_some_and(u8::is_ascii_digit);
            if word.is_empty() || is_number || KEYWORDS.contains(&word) {
                self.cursor.at = before;
                return None;
            }
            if segments < MAX_SEGMENTS {
                if segments > 0 {
                    name.push('.');
                }
                name.push_str(text_of(word));
            }
            segments += 1;
            self.skip_joined_blanks();
            if !self.cursor.eat(b'.') {
                return Some(name);
            }
            self.skip_joined_blanks();
        }
    }

    /// Skips `as name`, if it is there.
    fn alias(&mut self) {
        self.skip_joined_blanks();
        if self.cursor.eat_word(b"as") {
            self.skip_joined_blanks();
            self.cursor.word();
            self.skip_joined_blanks();
        }
    }

    /// Skips blanks, and line breaks after a backslash.
    fn skip_joined_blanks(&mut self) {
        loop {
            self.cursor.skip_blanks();
            let rest = self.cursor.rest();
            if rest.starts_with(b"\\\r\n") {
                self.cursor.advance(3);
            } else if rest.starts_with(b"\\\n") || rest.starts_with(b"\\\r") {
                self.cursor.advance(2);
            } else {
                break;
            }
        }
    }

    /// As [`skip_joined_blanks`](Self::skip_joined_blanks); within brackets also line breaks and comments.
    fn skip_within(&mut self, brackets: bool) {
        self.skip_joined_blanks();
        if !brackets {
            return;
        }
        loop {
            match self.cursor.peek() {
                Some(b'#') => self.cursor.skip_line(),
                Some(byte) if is_newline(byte) => self.cursor.advance(1),
                _ => break,
            }
            self.skip_joined_blanks();
        }
    }

    fn is_end_of_statement(&self) -> bool {
        self.cursor.peek().is_none_or(|byte| is_newline(byte) || byte == b';' || byte == b'#')
    }
}

#[cfg(test)]
mod tests {
    use super::{super::names::FileImports, *};

    #[track_caller]
    fn check(text: &str, expected: &[(&str, u32)]) {
        let file = SourceFile::alone("a.py", text.as_bytes());
        let named = PythonImports.parse(file).into_fact::<FileImports>();
        let found: Vec<_> = named.names.iter().map(|(name, line)| (name.as_str(), *line)).collect();
        assert_eq!(found, expected, "{text:?}");
    }

    #[test]
    fn statements_name_modules() {
        check("import a.b as c, d\n", &[("a.b", 1), ("d", 1)]);
        check("from x . y import a as b, c # d\n", &[("x.y.a", 1), ("x.y.c", 1)]);
        check("\n\nfrom x import (\n  a, # why\n\n  b as c,\n)\n", &[("x.a", 3), ("x.b", 3)]);
        check("from x import *\nfrom a.b.c.d.e import f, g\n", &[("a.b.c.d", 2), ("x", 1)]);
        check("import a, \\\n  b\nfrom c \\\r\n import d", &[("a", 1), ("b", 1), ("c.d", 3)]);
        check("\u{feff}import a\r\n\timport b\rimport c\n", &[("a", 1), ("b", 2), ("c", 2)]);
        check("if x: import a; import b\n", &[("a", 1), ("b", 1)]);
        check("try:\n    import a\nexcept ImportError:\n    a = None\n", &[("a", 2)]);
        check("def f():\n\tfrom a import b\n", &[("a.b", 2)]);
        check("import a\nimport a\n", &[("a", 1)]);
    }

    #[test]
    fn other_text_is_not_an_import() {
        for text in [
            "from . import a\nfrom .b import c\nfrom .. import (d, e)\n",
            "'''\nimport a\n'''\n",
            "\"\"\"\nit's \\\"\"\" still\nimport a\n\"\"\"\n",
            "x = rb'''\nimport a\n'''\n",
            "x = f\"\"\"{y['''k''']}\nimport a\n\"\"\"\n",
            "x = 'a\\\nimport a'\n",
            "x = 'a\\\r\nimport a'\n",
            "# import a\n",
            "import the things that you need\nfrom now on import was a word\n",
            "raise X from y\nyield from z\n",
            "important = 1\nfrom_here = 2\nx.import_module\n",
            "import 3\nimport\nfrom\nfrom a\nfrom a import\nimport a.\n",
        ] {
            check(text, &[]);
        }
    }

    #[test]
    fn an_unterminated_string_ends_with_its_line() {
        check("x = 'it\nimport a\n", &[("a", 2)]);
        check("x = \"it's\"\nimport a\n", &[("a", 2)]);
        check("from a import (b,\nimport c\n", &[("a.b", 1), ("c", 2)]);
    }

    #[test]
    fn calls_with_a_literal_name_modules() {
        check("m = importlib.import_module('a.b')\n", &[("a.b", 1)]);
        check("__import__(\n  \"a\", globals())\n", &[("a", 1)]);
        check("pytest.importorskip('a', reason='x')\n", &[("a", 1)]);
        for text in [
            "import_module(name)\n",
            "import_module('.a', 'b')\n",
            "import_module(f'a')\n",
            "import_module('a' + b)\n",
            "import_module('a.{}'.format(b))\n",
            "import_module('')\n",
        ] {
            check(text, &[]);
        }
    }

    #[test]
    fn other_encodings_are_read() {
        let file = SourceFile::alone("a.py", b"# -*- latin-1 -*- \xe9\xff\nimport a # \xfc\n");
        let named = PythonImports.parse(file).into_fact::<FileImports>();
        assert_eq!(named.names.get("a"), Some(&2));
    }

    #[test]
    fn names_of_one_file_are_bounded() {
        let text =
            (0..11_000).map(|number| format!("import a{number}\n")).collect::<Vec<_>>().concat();
        let findings = PythonImports.parse(SourceFile::alone("a.py", text.as_bytes()));
        assert!(findings.warnings[0].message.contains("more than 10000"));
        assert_eq!(findings.into_fact::<FileImports>().names.len(), 10_000);
    }

    #[test]
    fn modules_are_wanted_but_installed_packages_are_not() {
        for path in ["a.py", "b/setup.py", "c.pyw"] {
            assert!(PythonImports.wants(path), "{path}");
        }
        for path in ["a.pyi", "a.pyc", "v/lib/python3/site-packages/x.py", "node_modules/g/y.py"] {
            assert!(!PythonImports.wants(path), "{path}");
        }
    }
}
