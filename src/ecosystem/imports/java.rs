//! The imports of Java, by "Import Declarations" and "Modules" of the Java Language Specification.
//!
//! Input: a compilation unit. Output: the packages that it imports from, and its own package; for a
//! `module-info.java` the modules that it requires, whose names are those of their packages. Invariants:
//! reading ends at the first brace of a class; comments, strings and text blocks are ignored.

use super::{
    super::{Findings, Parser, SourceFile, path::file_name, text},
    cursor::{Cursor, Quoting, is_blank, is_newline, is_of_word},
    is_installed,
    names::{LONGEST_NAME, Language, Names, text_of},
};

/// Reads `*.java`.
#[derive(Debug)]
pub(super) struct JavaImports;

impl Parser for JavaImports {
    fn name(&self) -> &'static str {
        "java-imports"
    }

    fn wants(&self, path: &str) -> bool {
        path.ends_with(".java") && !is_installed(path)
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let text = text::decode(file.bytes);
        let names = Names::new(&text, Language::Java);
        let is_module = file_name(file.path) == "module-info.java";
        let mut scanner = Scanner { cursor: Cursor::new(&text), names, is_module };
        scanner.scan();
        scanner.names.finish(file)
    }
}

struct Scanner<'t> {
    cursor: Cursor<'t>,
    names: Names<'t>,
    is_module: bool,
}

impl Scanner<'_> {
    fn scan(&mut self) {
        // Whether a declaration may begin here.
        let mut begins = true;
        // The arguments of annotations may contain braces, and annotations may precede imports.
        let mut brackets = 0_usize;
        while let Some(byte) = self.cursor.peek() {
            if self.cursor.skip_comment(false) {
                continue;
            }
            match byte {
                b'"' | b'\'' => self.cursor.skip_text(Quoting::Backslash),
                _ if is_of_word(byte) => {
                    let at = self.cursor.at;
                    match self.cursor.word() {
                        b"import" if begins => self.import(at),
                        b"package" => self.package(),
                        b"module" if self.is_module => self.package(),
                        b"requires" if self.is_module && begins => self.requires(at),
                        _ => {}
                    }
                    // A truncated statement ends with its line.
                    begins = self.cursor.begins_line();
                    continue;
                }
                b'{' if brackets == 0 && !self.is_module => break,
                _ => {
                    brackets += usize::from(byte == b'(');
                    brackets = brackets.saturating_sub(usize::from(byte == b')'));
                    self.cursor.advance(1);
                }
            }
            begins =
                matches!(byte, b';' | b'\n' | b'\r' | b'{' | b'}') || (begins && is_blank(byte));
        }
    }

    /// Reads `import static a.b.C.d;`, `import a.b.*;` or `import module a.b;` after the first word.
    fn import(&mut self, at: usize) {
        self.cursor.skip_space(false);
        let before = self.cursor;
        if matches!(self.cursor.word(), b"static" | b"module") {
            self.cursor.skip_space(false);
            // `static` or `module` may also be the beginning of a name.
            if !self.cursor.peek().is_some_and(is_of_word) {
                self.cursor = before;
            }
        } else {
            self.cursor = before;
        }
        self.name(at);
    }

    /// Reads `requires transitive static a.b;` after the first word.
    fn requires(&mut self, at: usize) {
        self.cursor.skip_space(false);
        while self.cursor.eat_word(b"transitive") || self.cursor.eat_word(b"static") {
            self.cursor.skip_space(false);
        }
        self.name(at);
    }

    fn name(&mut self, at: usize) {
        let (name, ends) = self.qualified_name();
        if ends {
            self.names.add(package_of(&name), at);
        }
    }

    /// Reads `package a.b;` or `module a.b {` after the first word.
    fn package(&mut self) {
        self.cursor.skip_space(false);
        let (name, ends) = self.qualified_name();
        if ends || self.cursor.peek() == Some(b'{') {
            self.names.belongs_to(&name.join("."));
        }
    }

    /// The words of a name up to `*`, and whether the declaration ends there. The semicolon of a broken
    /// file may be missing.
    fn qualified_name(&mut self) -> (Vec<String>, bool) {
        let mut segments = Vec::new();
        let mut length = 0;
        loop {
            let before = self.cursor;
            let word = self.cursor.word();
            if word == b"import" {
                self.cursor = before;
                return (segments, false);
            }
            if word.is_empty() {
                self.cursor.eat(b'*');
                break;
            }
            // A name that is too long is dropped as a whole.
            if length <= LONGEST_NAME {
                segments.push(text_of(word).to_owned());
            }
            length += word.len() + 1;
            let end = self.cursor;
            self.cursor.skip_space(false);
            if !self.cursor.eat(b'.') {
                self.cursor = end;
                break;
            }
            self.cursor.skip_space(false);
        }
        self.cursor.skip_blanks();
        while self.cursor.rest().starts_with(b"/*") && self.cursor.skip_comment(false) {
            self.cursor.skip_blanks();
        }
        let next = self.cursor.peek();
        let ends = next.is_none_or(|byte| byte == b';' || byte == b'/' || is_newline(byte));
        (segments, ends)
    }
}

/// The package of a name: everything before the first segment that begins like a class.
pub(super) fn package_of(segments: &[String]) -> String {
    let is_class = |segment: &&String| segment.chars().next().is_some_and(char::is_uppercase);
    let end = segments.iter().position(|segment| is_class(&segment)).unwrap_or(segments.len());
    segments.get(..end).unwrap_or_default().join(".")
}

#[cfg(test)]
mod tests {
    use super::{super::names::FileImports, *};

    #[track_caller]
    fn check_in(path: &str, text: &str, package: Option<&str>, expected: &[(&str, u32)]) {
        let named =
            JavaImports.parse(SourceFile::alone(path, text.as_bytes())).into_fact::<FileImports>();
        let found: Vec<_> = named.names.iter().map(|(name, line)| (name.as_str(), *line)).collect();
        assert_eq!((named.package.as_deref(), found.as_slice()), (package, expected), "{text:?}");
    }

    #[track_caller]
    fn check(text: &str, package: Option<&str>, expected: &[(&str, u32)]) {
        check_in("A.java", text, package, expected);
    }

    #[test]
    fn declarations_name_packages() {
        check(
            "package a.b;\n\nimport c.d.E;\nimport static f.G.*;\nimport h.*;\nimport i.J.K;\n",
            Some("a.b"),
            &[("c.d", 3), ("f", 4), ("h", 5), ("i", 6)],
        );
        check(
            "/* import x.Y; */ import /* of */ a . b\n . C ; // import z.Z;\n",
            None,
            &[("a.b", 1)],
        );
        check(
            "import module java.base;\nimport module.a.B;\n",
            None,
            &[("java.base", 1), ("module.a", 2)],
        );
        check("import Plain;\nimport a.B;import c.D;\r\n", None, &[("a", 2), ("c", 2)]);
        check("import a.B\nimport c.D;\n", None, &[("a", 1), ("c", 2)]);
        check("import ;\nimport static\nimport a.B\nimport c..d;\n", None, &[("a", 3)]);
    }

    #[test]
    fn code_after_the_first_brace_is_ignored() {
        check(
            "import a.B;\nclass C { String s = \"\"\"\nimport d.E;\n\"\"\";\n}\nimport f.G;\n",
            None,
            &[("a", 1)],
        );
        check(
            "@Xml(ns = {@Ns(uri = \"{;\\\"\\nimport x.Y;\", c = '\"')})\npackage a.b;\nimport c.D;\n",
            Some("a.b"),
            &[("c", 3)],
        );
        check("// 'quoted\nimport the things\nimport a.B;\n", None, &[("a", 3)]);
    }

    #[test]
    fn modules_require_modules() {
        check_in(
            "src/main/java/module-info.java",
            "import x.Y;\n@Deprecated\nopen module com.acme.app {\n  requires transitive static org.slf4j;\n  requires java.sql; exports com.acme;\n  // requires gone;\n}\n",
            Some("com.acme.app"),
            &[("java.sql", 5), ("org.slf4j", 4), ("x", 1)],
        );
        check("class A { }\nrequires a.b;\n", None, &[]);
    }
}
