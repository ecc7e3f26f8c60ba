//! The imports of Scala 2 and 3, by "Import Clauses" of the language's specification and reference.
//!
//! Input: a source or a script. Output: the packages that it imports from, anywhere in the file,
//! and its own package. Invariants: the time is linear; comments (which nest), strings and
//! characters are ignored.
//!
//! Decisions. `import a.b` may name a package or a member of one, so the whole name counts as the
//! package; the tables find its longest known prefix. A lower-case name in braces may also be a
//! package (`import cats.{data, effect}`).

use super::{
    super::{Findings, Parser, SourceFile, text},
    cursor::{Cursor, Quoting, is_newline, is_of_word},
    is_installed,
    java::package_of,
    names::{LONGEST_NAME, Language, MAX_NAMES, Names, text_of},
};

/// Reads `*.scala` and `*.sc`.
#[derive(Debug)]
pub(super) struct ScalaImports;

impl Parser for ScalaImports {
    fn name(&self) -> &'static str {
        "scala-imports"
    }

    fn wants(&self, path: &str) -> bool {
        (path.ends_with(".scala") || path.ends_with(".sc")) && !is_installed(path)
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let text = text::decode(file.bytes);
        let names = Names::new(&text, Language::Scala);
        let mut scanner = Scanner { cursor: Cursor::new(&text), names, in_head: true };
        scanner.scan();
        scanner.names.finish(file)
    }
}

struct Scanner<'t> {
    cursor: Cursor<'t>,
    names: Names<'t>,
    /// Whether only package clauses have been read so far.
    in_head: bool,
}

impl Scanner<'_> {
    fn scan(&mut self) {
        let mut before = b'\n';
        while let Some(byte) = self.cursor.peek() {
            if self.cursor.skip_comment(true) {
                continue;
            }
            match byte {
                b'"' => self.cursor.skip_text(Quoting::ScalaRaw),
                b'\'' => self.character(),
                b'`' => {
                    self.backquoted();
                }
                _ if is_of_word(byte) => {
                    let at = self.cursor.at;
                    let word = self.cursor.word();
                    // Both words are reserved, except after a dot.
                    match word {
                        b"import" if before != b'.' => self.import(at),
                        b"package" if before != b'.' && self.in_head => self.package(),
                        _ => self.in_head = false,
                    }
                }
                _ => self.cursor.advance(1),
            }
            before = byte;
        }
    }

    /// Skips `'a'` or `'\n'`; of a symbol only its quote.
    fn character(&mut self) {
        self.cursor.advance(1);
        let rest = self.cursor.rest();
        let length = match rest.first() {
            Some(b'\\') => {
                rest.iter().skip(2).take(6).position(|byte| *byte == b'\'').map(|offset| offset + 3)
            }
            Some(b'\'') | None => None,
            // The bytes of one character.
            Some(_) => {
                let end = rest.iter().skip(1).take(4).position(|byte| !(0x80..0xc0).contains(byte));
                end.map(|offset| offset + 1)
                    .filter(|offset| rest.get(*offset) == Some(&b'\''))
                    .map(|offset| offset + 1)
            }
        };
        self.cursor.advance(length.unwrap_or(0));
    }

    /// Reads a name in backquotes; empty if it is unterminated.
    fn backquoted(&mut self) -> &str {
        self.cursor.advance(1);
        let rest = self.cursor.rest();
        let end =
            rest.iter().position(|byte| *byte == b'`' || is_newline(*byte)).unwrap_or(rest.len());
        let closed = rest.get(end) == Some(&b'`');
        self.cursor.advance(if closed { end + 1 } else { 0 });
        text_of(rest.get(..end).filter(|_| closed).unwrap_or_default())
    }

    /// Reads `package a.b` after its first word. A package object is in the package above it.
    fn package(&mut self) {
        self.cursor.skip_space(true);
        if self.cursor.eat_word(b"object") {
            return;
        }
        let (path, _) = self.path();
        self.names.belongs_to(&path.join("."));
    }

    /// Reads `import a.b.{C, D => E, _}, x.y.*` after its first word.
    fn import(&mut self, at: usize) {
        let mut found = Vec::new();
        loop {
            self.cursor.skip_space(true);
            let (mut path, has_selectors) = self.path();
            if path.first().is_some_and(|segment| segment == "_root_") {
                path.remove(0);
            }
            let package = package_of(&path);
            if has_selectors {
                self.selectors(&path, &package, &mut found);
            }
            if found.len() <= MAX_NAMES {
                found.push(package);
            }
            self.alias();
            if !self.cursor.eat(b',') {
                break;
            }
        }
        let next = self.cursor.peek();
        let is_end = next.is_none_or(|byte| is_newline(byte) || b";})/".contains(&byte));
        // A truncated statement ends with its line.
        if is_end || self.cursor.begins_line() {
            for name in found {
                self.names.add(name, at);
            }
        }
    }

    /// Skips `as name` of Scala 3, if it is there.
    fn alias(&mut self) {
        self.cursor.skip_blanks();
        if self.cursor.eat_word(b"as") {
            self.cursor.skip_blanks();
            self.cursor.word();
            self.cursor.skip_blanks();
        }
    }

    /// Reads the words of a path up to a wildcard; returns whether selectors in braces follow.
    fn path(&mut self) -> (Vec<String>, bool) {
        let mut path = Vec::new();
        let mut length = 0;
        loop {
            let before = self.cursor;
            let word = match self.cursor.peek() {
                Some(b'`') => self.backquoted(),
                Some(b'{') if !path.is_empty() => return (path, true),
                Some(b'*') => {
                    self.cursor.advance(1);
                    return (path, false);
                }
                _ => text_of(self.cursor.word()),
            };
            if word == "import" {
                self.cursor = before;
                return (path, false);
            }
            if word.is_empty() || word == "_" || word == "given" {
                return (path, false);
            }
            // A name that is too long is dropped as a whole.
            let is_short = length <= LONGEST_NAME;
            length += word.len() + 1;
            path.extend(is_short.then(|| word.to_owned()));
            self.cursor.skip_blanks();
            if !self.cursor.eat(b'.') {
                return (path, false);
            }
            self.cursor.skip_space(true);
        }
    }

    /// Reads `{C, d => e, given F[G], *}`: the first word of each selector may be a package.
    fn selectors(&mut self, path: &[String], package: &str, found: &mut Vec<String>) {
        let is_package = package.split('.').count() == path.len();
        let mut depth = 0_usize;
        let mut begins = true;
        while let Some(byte) = self.cursor.peek() {
            if self.cursor.skip_comment(true) {
                continue;
            }
            match byte {
                b'{' | b'[' | b'(' => depth += 1,
                b'}' | b']' | b')' => depth = depth.saturating_sub(1),
                b',' => begins = depth == 1,
                b'`' => {
                    self.backquoted();
                    begins = false;
                    continue;
                }
                // Unclosed braces end here.
                b';' | b'"' => return,
                _ if is_of_word(byte) => {
                    let before = self.cursor;
                    let word = text_of(self.cursor.word());
                    if word == "import" {
                        self.cursor = before;
                        return;
                    }
                    let may_be = word.starts_with(|character: char| character.is_lowercase())
                        && word != "given";
                    let fits = package.len() + word.len() < LONGEST_NAME;
                    if begins && is_package && may_be && fits && found.len() <= MAX_NAMES {
                        found.push(format!("{package}.{word}"));
                    }
                    begins = false;
                    continue;
                }
                _ => {}
            }
            self.cursor.advance(1);
            if depth == 0 {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::names::FileImports, *};

    #[track_caller]
    fn check(text: &str, package: Option<&str>, expected: &[(&str, u32)]) {
        let file = SourceFile::alone("a.scala", text.as_bytes());
        let named = ScalaImports.parse(file).into_fact::<FileImports>();
        let found: Vec<_> = named.names.iter().map(|(name, line)| (name.as_str(), *line)).collect();
        assert_eq!((named.package.as_deref(), found.as_slice()), (package, expected), "{text:?}");
    }

    #[test]
    fn clauses_name_packages() {
        check("package a\npackage b.c\n\nimport d.E\n", Some("a.b.c"), &[("d", 4)]);
        check("import a.b.{C, d => e, _}, x.Y.z\n", None, &[("a.b", 1), ("a.b.d", 1), ("x", 1)]);
        check(
            "import a.b.*; import c.given; import d.e as f\n",
            None,
            &[("a.b", 1), ("c", 1), ("d.e", 1)],
        );
        check("import a.{given Ord[Int], B as C}\n", None, &[("a", 1)]);
        check("import _root_.a.`type`.B\n", None, &[("a.type", 1)]);
        check("object O {\n  def f = { import a.B; import c.D }\n}\n", None, &[("a", 2), ("c", 2)]);
        check(
            "import a.{\n  B, // why\n  /* c, */ d\n}\nimport e.F\n",
            None,
            &[("a", 1), ("a.d", 1), ("e", 5)],
        );
        check("package object o\nimport a.B,\n  c.D\n", None, &[("a", 2), ("c", 2)]);
        check("package a { class B }\npackage c { }", Some("a"), &[]);
        check(
            "import cats.{data, effect}\n",
            None,
            &[("cats", 1), ("cats.data", 1), ("cats.effect", 1)],
        );
    }

    #[test]
    fn other_text_is_not_an_import() {
        for text in [
            "/* import a.B /* import c.D */\nimport e.F\n*/\n",
            "// import a.B\n",
            "val s = \"\"\"\nimport a.B\n\\\"\"\"\"\n",
            "val s = s\"\"\"${f(\"x\")}\nimport a.B\n\"\"\"\n",
            "val s = \"a \\\" import a.B\"\n",
            "val c = '\"'; val d = '\\''; val e = 'é'; val f = '\\u0022'\n",
            "import the things\nx.import\n",
            "import\nimport {\nimport a.{",
        ] {
            let expected: &[(&str, u32)] = if text.ends_with("a.{") { &[("a", 3)] } else { &[] };
            check(text, None, expected);
        }
    }

    #[test]
    fn unterminated_text_ends_with_its_line() {
        check("val s = \"it\nimport a.B\n", None, &[("a", 2)]);
        check("val s = 'symbol\nimport a.B\n", None, &[("a", 2)]);
        check("import\nimport a.{B,\nimport c.D\n", None, &[("a", 2), ("c", 3)]);
        check("val `it\nimport a.B\n", None, &[("a", 2)]);
    }
}
