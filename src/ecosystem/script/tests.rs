//! The tokens and names of scripts.

use super::{Constants, Dialect, Token, tokens};
use crate::ecosystem::{SourceFile, fixtures, parser_for};
use std::time::Duration;

#[track_caller]
fn check(dialect: Dialect, text: &str, expected: &str) {
    let tokens = tokens(text, dialect);
    let shown = (0..tokens.len()).filter_map(|at| tokens.get(at)).map(|token| match token {
        Token::Word(word) => (*word).to_owned(),
        Token::Text(text) => format!("<{text}>"),
        Token::Mark(mark) => mark.to_string(),
        Token::EndOfLine => "|".to_owned(),
    });
    assert_eq!(shown.collect::<Vec<_>>().join(" "), expected, "{text}");
}

#[test]
fn strings_of_all_languages_are_read() {
    let groovy = Dialect::Groovy;
    check(groovy, r#"a 'b$c' "d$e.f-${g}" '\'' "\$h""#, "a <b$c> <d${e.f}-${g}> <'> <$h>");
    check(groovy, "'''a\nb''' x ~/['\"]/ y 4 / 2", "<a\nb> x ~ <['\"]> y 4 / 2");
    check(Dialect::Kotlin, r#""$a.b" 'x' '\'' `c-d` """e\f""""#, r"<${a}.b> <x> <'> c-d <e\f>");
    check(Dialect::Scala, r#"s"a$b" "c$d" 'e """f"g""""#, "<a${b}> <c$d> ' e <f\"g>");
    check(Dialect::Python, r#"f'a{b}' r'c\d' u"e" '{g}' # h"#, r"<a${b}> <c\d> <e> <{g}>");
    check(Dialect::Python, "a = 'b' \\\n 'c'\nd", "a = <b> <c> | d");
}

#[test]
fn data_languages_have_their_own_strings() {
    let hcl = Dialect::Hcl;
    check(hcl, r#"a-b = "c${d["e"]}f" # g"#, r#"a-b = <c${d["e"]}f> |"#.trim_end_matches(" |"));
    check(hcl, "a = <<-EOT\n{ \"\n  EOT\nb // c", "a = <{ \"\n> | b");
    check(hcl, r#""a\"b" "c\\" "d"#, r#"<a\"b> <c\\> <d>"#);
    check(Dialect::Lua, "a = [[b\n\"]] -- c\n--[[ d\n]] 'e'", "a = <b\n\"> | <e>");
    check(Dialect::Opam, "a-b: \"\"\"c\n\"\"\" (* d \n *) e # f", "a-b : <c\n> e");
    check(Dialect::Nim, "a #[ b\n]# \"c\\\"d\" # e", "a <c\"d>");
    check(Dialect::Perl, "a 'b\\'c' => 1.2; # d", "a <b'c> = > 1 . 2 ;");
    check(Dialect::Erlang, "{<<\"a\">>,b}. % c", "{ < < <a> > > , b } .");
}

#[test]
fn comments_and_unterminated_strings_end() {
    check(Dialect::Groovy, "a // b\nc /* d\ne */ f 'g\nh", "a | c f <g> | h");
    check(Dialect::Groovy, "a /* b", "a");
    check(Dialect::Kotlin, "\"\"\"a\nb", "<a\nb>");
}

#[track_caller]
fn check_constant(text: &str, name: &str, expected: Option<&str>) {
    let constants = Constants::of(&tokens(text, Dialect::Kotlin));
    let found = constants.expand(&format!("${{{name}}}")).ok();
    assert_eq!(found.as_deref(), expected, "{text}");
}

#[test]
fn constants_have_values() {
    for text in [
        "val x = \"1\"",
        "val x: String = \"1\"",
        "val x by extra(\"1\")",
        "extra[\"x\"] = \"1\"",
        "ext { x = \"1\" }",
        "ext.x = \"1\"",
        "ext.set(\"x\", \"1\")",
        "val y = \"1\"\nval x = y",
        "val x = \"\" + \"1\"",
    ] {
        check_constant(text, "x", Some("1"));
        check_constant(text, "project.extra[\"x\"]", Some("1"));
    }
    check_constant("object V { val x = \"1\" }", "V.x", Some("1"));
    check_constant("val v = mapOf(\"x\" to \"1\")", "v[\"x\"]", Some("1"));
    check_constant("val x = \"1\"\nval x = \"2\"", "x", None);
    check_constant("val x = f(\"1\")", "x", None);
    check_constant("f(x = \"1\")", "x", None);
    check_constant("val x = x", "x", None);
}

#[test]
fn merge_conflict_markers_are_skipped() {
    let text = "a\n<<<<<<< HEAD 'x\nb\n=======\nc =======\n>>>>>>> main";
    check(Dialect::Groovy, text, "a | | b | | c = = = = = = = |");
    assert_eq!(tokens(text, Dialect::Python).warnings.len(), 3);
}

#[test]
fn long_scripts_are_read_in_linear_time() {
    let pieces = [
        ("build.gradle", "dependencies {\n", "a("),
        ("build.gradle", "dependencies {\n", "a {\n"),
        ("build.gradle", "dependencies {\n", "a b {\n"),
        ("build.gradle", "dependencies {\n", "add(\n"),
        ("build.gradle", "dependencies {\n", "a 'b:c:1' {\n"),
        ("build.gradle", "", "x = ["),
        ("build.gradle", "x = ", "y + "),
        ("build.gradle.kts", "x = ", "\"${"),
        ("build.gradle", "", "$a"),
        ("build.gradle", "", "/*"),
        ("build.gradle", "", "= /"),
        ("build.gradle", "", "'''"),
        ("build.gradle", "plugins {\n", "id "),
        ("build.gradle", "plugins {\n", "id version "),
        ("build.sbt", "", "(\"g\" % \"a\" % \"1\" "),
        ("build.sbt", "", "\"g\" % \n\n\n"),
        ("build.sbt", "", ") % Test"),
        ("setup.py", "", "setup("),
        ("setup.py", "setup(**a)\n", "a = a\n"),
        ("setup.py", "setup(install_requires=a)\n", "a = a + a + a\n"),
        ("setup.py", "setup(install_requires=a)\n", "a = b + b\nb = a + a\n"),
        ("setup.py", "setup(install_requires=", "["),
        ("setup.py", "setup(install_requires=", "['a', "),
        ("setup.py", "setup(install_requires=a + ", "f(x) "),
        ("setup.py", "setup(extras_require=", "{'a': "),
        ("setup.py", "setup(install_requires=[", "'a' "),
        ("setup.cfg", "[options]\ninstall_requires =\n", " a\n"),
        ("environment.yml", "dependencies:\n", "- a\n"),
        ("environment.yml", "dependencies: [", "a, "),
        ("environment.yml", "", "a:\n  "),
        ("main.tf", "", "module \"a\" {\n"),
        ("main.tf", "", "terraform {\nrequired_providers {\n"),
        ("main.tf", "", "a = <<B\n"),
        ("main.tf", "", "\"${"),
        (".terraform.lock.hcl", "", "provider \"a\" {\nhashes = [\n"),
        ("mix.lock", "%{\n", "\"a\": {:hex, :a, \"1\", [\n"),
        ("mix.lock", "%{\n", "\"a\": {:hex, :a, \"1\", \"\", [], [{:a, \"1\"}]},\n"),
        ("rebar.lock", "[", "{<<\"a\">>,{pkg,"),
        ("conanfile.py", "", "requires = (\"a/1\", ("),
        ("app.opam", "", "depends: [\"a\" {\n"),
        ("app.opam", "depends: [", "(\"a\" | "),
        ("a-1.rockspec", "", "dependencies = {\"a\", {"),
        ("luarocks.lock", "", "dependencies = {a = \"1\", "),
        ("a.nimble", "", "requires \"a\", "),
        ("cpanfile", "", "on a => sub {\nrequires 'a';\n"),
        ("a.cabal", "build-depends:", " a:{b,"),
        ("pubspec.lock", "packages:\n", "  a:\n    version: 1\n"),
        ("Podfile.lock", "PODS:\n", "  - a (1):\n    - a\n"),
        ("stack.yaml", "extra-deps:\n", "- a-1\n"),
        ("app.spdx", "", "PackageName: a\nPackageComment: <text>\n"),
    ];
    for (path, start, piece) in pieces {
        let text = format!("{start}{}", piece.repeat(15_000));
        let begun = fixtures::processor_time();
        parser_for(path).unwrap().parse(SourceFile::alone(path, text.as_bytes()));
        let took = fixtures::processor_time().saturating_sub(begun);
        assert!(took < Duration::from_millis(1500), "{path}: {piece:?}: {took:?}");
    }
}

#[test]
fn brackets_and_blank_lines_are_skipped_in_one_step() {
    let tokens = tokens("\n\na ( [ b ) c\n\n\nd } (", Dialect::Groovy);
    let places = 0..=tokens.len();
    let behind_lines: Vec<_> = places.clone().map(|at| tokens.skip_lines(at)).collect();
    assert_eq!(behind_lines, [2, 2, 2, 3, 4, 5, 6, 7, 11, 11, 11, 11, 12, 13, 14]);
    let behind_brackets: Vec<_> = places.map(|at| tokens.behind_bracket(at)).collect();
    assert_eq!(behind_brackets, [1, 2, 3, 13, 7, 6, 7, 8, 9, 10, 11, 12, 13, 14, 14]);
}

/// Fails if the value of a name is computed again each time that it is used, at a cost that grows with the
/// whole file.
#[test]
fn repeated_uses_of_a_name_cost_little() {
    let blank = "\n".repeat(400_000);
    let long = "x".repeat(1 << 20);
    let cases = [
        format!("b = ['x']{blank}\nsetup(install_requires=[{}])", "*b, ".repeat(100_000)),
        format!("a = '{long}'\nsetup(install_requires=[{}])", "a + a + a, ".repeat(20_000)),
        format!("a = '{long}'\nsetup(install_requires=[{}])", "f'{a}{a}{a}', ".repeat(20_000)),
        format!("a = '{long}'\nb = a{}\nsetup(install_requires=b)", " + a".repeat(20_000)),
        format!("d = {{'{long}': 1}}\nsetup(extras_require=d{})", ", **d".repeat(20_000)),
        format!("d = {{}}\nd['{long}'] = []\nsetup({})", "**d, ".repeat(20_000)),
    ];
    for text in cases {
        let begun = fixtures::processor_time();
        let file = SourceFile::alone("setup.py", text.as_bytes());
        let found = parser_for(file.path).unwrap().parse(file);
        let sizes = found.packages.iter().map(crate::model::scan_result::Package::text_len);
        let text = text.get(..20).unwrap_or_default().to_owned();
        assert!(sizes.sum::<usize>() < 64 << 20, "{text}");
        assert!(fixtures::processor_time().saturating_sub(begun).as_secs() < 20, "{text}");
    }
}
