//! Malicious manifests: megabytes of nesting, repetition and references.

use super::Scale;
use crate::support::forge::Forge;
use std::fmt::Write as _;

/// As much of a text as fits.
fn fill(scale: Scale, begin: &str, piece: &str, end: &str) -> String {
    let left = scale.manifest_bytes - begin.len() - end.len();
    format!("{begin}{}{end}", piece.repeat(left / piece.len()))
}

fn lay(forge: &Forge, name: &str, files: &[(&str, String)]) {
    let files: Vec<(&str, &[u8])> =
        files.iter().map(|(path, text)| (*path, text.as_bytes())).collect();
    forge.add_repository(name, &files);
}

/// Aliases of aliases, 9^9 in all, and 10^5 levels.
pub(super) fn yaml(forge: &Forge, name: &str, _: Scale) {
    let mut aliases = "a0: &a0 [lol]\n".to_owned();
    for level in 1..=9 {
        let below = format!("*a{}", level - 1);
        let _ = writeln!(aliases, "a{level}: &a{level} [{}]", vec![below; 9].join(", "));
    }
    aliases.push_str("dependencies:\n  - numpy=1.26\n  - *a9\n");
    let mut nested = "dependencies:\n".to_owned();
    nested.push_str(&"- ".repeat(100_000));
    nested.push('\n');
    let flow = format!("dependencies: [{}", "[".repeat(100_000));
    let mut deep = String::new();
    for level in 0..4000 {
        let _ = writeln!(deep, "{}a:", " ".repeat(level));
    }
    deep.push_str("dependencies:\n- numpy=1.26\n- [\n");
    lay(
        forge,
        name,
        &[
            ("aliases/environment.yml", aliases),
            ("deep/environment.yml", deep),
            ("flow/environment.yml", flow),
            ("nested/environment.yml", nested),
        ],
    );
}

/// A long list or text in half a megabyte, and half a megabyte of references to it.
pub(super) fn mentions(forge: &Forge, name: &str, _: Scale) {
    let lines = |piece: &str| {
        let lines =
            (0..(1 << 19) / piece.len()).map(|number| piece.replace('#', &number.to_string()));
        lines.collect::<String>()
    };
    let text = "x".repeat(1 << 19);
    let version = format!("1.{}", "0".repeat(3_990));
    let containers = lines("- {image: 'a#:1'}\n");
    let list = lines("  a#: 1.0.0\n");
    let pod = "apiVersion: v1\nkind: Pod\n";
    lay(
        forge,
        name,
        &[
            (
                "containers/a.yaml",
                format!("{pod}x: &a\n{containers}y:\n{}", lines("- {containers: *a}\n")),
            ),
            (
                "image/a.yaml",
                format!("{pod}x: &a '{text}'\ny:\n{}", lines("- container: {image: *a}\n")),
            ),
            (
                "image/.gitlab-ci.yml",
                format!("x: &a '{text}'\nz: {{image: 'b:1'}}\n{}", lines("j#: {image: *a}\n")),
            ),
            (
                "snapshots/pnpm-lock.yaml",
                format!(
                    "lockfileVersion: '9.0'\nx: &a\n{list}packages:\n  a0@1.0.0: {{}}\n{}snapshots:\n{}",
                    lines("  p#@1.0.0: {}\n"),
                    lines("  p#@1.0.0: {dependencies: *a}\n"),
                ),
            ),
            (
                "versions/pubspec.yaml",
                format!("x: &a '{version}'\ndependencies:\n{}", lines("  v#: *a\n")),
            ),
        ],
    );
}

/// A million brackets, a text of megabytes, one key a million times, small values that never end.
pub(super) fn json(forge: &Forge, name: &str, scale: Scale) {
    let lock = r#"{"lockfileVersion": 3, "packages": {"node_modules/a": {"version": "1.0.0"}, "#;
    lay(
        forge,
        name,
        &[
            ("brackets/package-lock.json", "[".repeat(1_000_000)),
            ("empty/package-lock.json", fill(scale, &format!("{lock}\"b\": ["), "[{\"\":0}],", "")),
            ("key/package-lock.json", fill(scale, lock, "\"node_modules/b\":1,", "")),
            ("number/package-lock.json", fill(scale, "{\"lockfileVersion\": ", "9", "}")),
            ("objects/package.json", fill(scale, "", "{\"a\":", "")),
            ("text/package-lock.json", fill(scale, &format!("{lock}\""), "x", "\": {}}}")),
            ("text/package.json", fill(scale, "{\"dependencies\": {\"a\": \"", "\\n", "")),
        ],
    );
}

/// 10^5 parts of a key, nested arrays and tables, endless errors.
pub(super) fn toml(forge: &Forge, name: &str, scale: Scale) {
    let package = "[[package]]\nname = \"a\"\nversion = \"1.0.0\"\nsource = \"registry+x\"\n";
    lay(
        forge,
        name,
        &[
            ("arrays/pyproject.toml", format!("a = {}", "[".repeat(100_000))),
            ("braces/pyproject.toml", fill(scale, "[project]\ndependencies = [", "}", "")),
            ("errors/Cargo.lock", fill(scale, package, "a = = =\n", "")),
            ("keys/pyproject.toml", format!("[a{}]\nb = 1\n", ".a".repeat(100_000))),
            ("lines/Cargo.toml", fill(scale, "[dependencies]\n", "a\n", "")),
            ("packages/Cargo.lock", fill(scale, "", package, "")),
            ("tables/Cargo.lock", fill(scale, package, "[a]\n", "")),
            ("tables/pyproject.toml", format!("a = {}", "{a=".repeat(100_000))),
        ],
    );
}

/// 10^5 nested elements, a billion laughs, a document type located at `trap`.
pub(super) fn xml(forge: &Forge, name: &str, scale: Scale, trap: &str) {
    let dependency = "<dependencies><dependency><groupId>g</groupId><artifactId>a</artifactId>\
                      <version>1</version></dependency></dependencies>";
    let mut laughs = "<?xml version=\"1.0\"?>\n<!DOCTYPE lolz [\n<!ENTITY l0 \"lol\">\n".to_owned();
    for level in 1..=9 {
        let below = format!("&l{};", level - 1).repeat(10);
        let _ = writeln!(laughs, "<!ENTITY l{level} \"{below}\">");
    }
    let _ = write!(laughs, "]>\n<project><name>&l9;</name>{dependency}</project>");
    let outside = format!(
        "<?xml version=\"1.0\"?>\n<!DOCTYPE project SYSTEM \"{trap}/a.dtd\" [\n\
         <!ENTITY % more SYSTEM \"{trap}/b.dtd\">\n%more;\n<!ENTITY c SYSTEM \"{trap}/c\">\n]>\n\
         <project xmlns:xi=\"http://www.w3.org/2001/XInclude\"><name>&c;</name>\
         <xi:include href=\"{trap}/d.xml\"/>{dependency}</project>"
    );
    let nested = "<a>".repeat(100_000);
    lay(
        forge,
        name,
        &[
            ("attributes/pom.xml", fill(scale, "<project ", "a='1' ", "")),
            ("elements/pom.xml", fill(scale, "<project>", "<a/>", "")),
            ("laughs/pom.xml", laughs),
            ("nested/pom.xml", format!("<project>{dependency}{nested}")),
            ("outside/pom.xml", outside),
        ],
    );
}

/// Up to a million requirements in one file.
pub(super) fn requirements(forge: &Forge, name: &str, scale: Scale) {
    let mut text = String::new();
    for number in 0..scale.entries {
        let _ = writeln!(text, "p{number}");
    }
    lay(forge, name, &[("requirements.txt", text)]);
}

/// Variables that expand to ever longer texts, and blank lines that are scanned over and over.
pub(super) fn scripts(forge: &Forge, name: &str, scale: Scale) {
    let mut doubled = format!("a = '{}'\n", "x".repeat(1 << 20));
    let _ = writeln!(doubled, "setup(install_requires=[{}])", "a + a + a + a, ".repeat(10_000));
    let blank = format!(
        "b = ['x']{}\nsetup(install_requires=[{}])\n",
        "\n".repeat(400_000),
        "*b, ".repeat(100_000)
    );
    lay(
        forge,
        name,
        &[
            ("blank/setup.py", blank),
            ("doubled/setup.py", doubled),
            ("long/build.gradle", fill(scale, "dependencies {\n", "a(", "")),
            ("long/build.sbt", fill(scale, "libraryDependencies += ", "\"a\" % ", "")),
        ],
    );
}
