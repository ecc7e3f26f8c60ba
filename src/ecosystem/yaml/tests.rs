use super::*;
use crate::ecosystem::{budget::Budget, fixtures::processor_time};

/// The tree of a text, one line for each document, with scalars in quotes where they are quoted; then
/// the lines of the errors.
fn show(text: &str) -> String {
    let tree = parse(text, Budget::alone(1 << 24));
    let mut lines: Vec<String> = tree.documents().map(|node| show_node(node, 0)).collect();
    lines.extend(tree.errors.iter().map(|error| format!("{}: {}", error.line, error.message)));
    lines.join("\n")
}

fn show_node(node: Node<'_, '_>, depth: u32) -> String {
    assert!(depth <= 101);
    let tag = node.tag().map(|tag| format!("{tag} ")).unwrap_or_default();
    let inner = if let Some(text) = node.as_str() {
        if node.is_plain() { text.to_owned() } else { format!("{text:?}") }
    } else if node.is_mapping() {
        let show = |member: Member| {
            format!("{}@{}: {}", member.key, member.line, show_node(member.value, depth + 1))
        };
        format!("{{{}}}", node.members().map(show).collect::<Vec<_>>().join(", "))
    } else if node.is_sequence() {
        let inner: Vec<_> = node.elements().map(|node| show_node(node, depth + 1)).collect();
        format!("[{}]", inner.join(", "))
    } else {
        "~".to_owned()
    };
    format!("{tag}{inner}")
}

#[track_caller]
fn check(text: &str, expected: &str) {
    assert_eq!(show(text), expected, "{text}");
    let crlf = text.replace('\n', "\r\n");
    assert_eq!(show(&crlf), expected, "with CRLF: {text}");
}

#[test]
fn blocks_nest_by_their_columns() {
    check(
        "a: 1\nb:\n  c: 2\n\n  d: # comment\n    - x\n    -\n      y\n",
        "{a@1: 1, b@2: {c@3: 2, d@5: [x, y]}}",
    );
    check(
        "a:\n- b: 1\n  c: 2\n-   d: 3\n    e:\n    - - f\n      - g\nh: ~\n",
        "{a@1: [{b@2: 1, c@3: 2}, {d@4: 3, e@5: [[f, g]]}], h@8: ~}",
    );
    check("- \n- null\n- a\n", "[~, ~, a]");
    check("", "");
    check("# only\n\n", "");
}

#[test]
fn keys_have_many_forms() {
    check(
        "'@a/b@1': x\n\"c\\\"d\" : y\n/e/1.0.0_x:\nhttp://x: z\n? long\n: v\n? lone\nk:l: m\n",
        "{@a/b@1@1: x, c\"d@2: y, /e/1.0.0_x@3: ~, http://x@4: z, long@5: v, lone@7: ~, k:l@8: m}",
    );
    check("a b: c # d: e\nf: g#h\n", "{a b@1: c, f@2: g#h}");
    check("? - a\n: - b\n? c\n: d: e\n  f: g\n", "{@1: [b], c@3: {d@4: e, f@5: g}}");
}

#[test]
fn scalars_fold_and_keep() {
    check(
        "a: b\n  c\n\n  d\ne: 'f\n  g''s'\nh: \"i\n\n  j\\\n  k\\tl\"\n",
        "{a@1: b c\nd, e@5: \"f g's\", h@7: \"i\\njk\\tl\"}",
    );
    check(
        "a: |\n  b\n    c\n\n  # d\ne: >-\n  f\n  g\n\n  h\ni: |2-\n    j\nk: |\nl: 1\n",
        "{a@1: \"b\\n  c\\n\\n# d\\n\", e@6: \"f g\\nh\", i@11: \"  j\", k@13: \"\", l@14: 1}",
    );
    check("- |\n a\n- >\n b\n", "[\"a\\n\", \"b\\n\"]");
    check(r#"a: "\u00e9\x41\U0001F600\ud83d\ude00\q\ud800""#, "{a@1: \"éA😀😀\\\\q\u{fffd}\"}");
    check("a: b: c\n", "{a@1: b: c}");
}

#[test]
fn flow_collections_and_json() {
    check(
        "a: [b, 'c', {d: e, f}, [g: h],]\ni: {}\n",
        "{a@1: [b, \"c\", {d@1: e, f@1: ~}, [{g@1: h}]], i@2: {}}",
    );
    check(
        "a: {\n  b: [c,\n  d e\n  f # x\n  ],\n  g: http://h:1 }\nj: k\n",
        "{a@1: {b@2: [c, d e f], g@6: http://h:1}, j@7: k}",
    );
    check("{\"a\":\"b\",\n\"c\":[1,\n2],\"d\":null}\n", "{a@1: \"b\", c@2: [1, 2], d@3: ~}");
}

#[test]
fn documents_are_separated() {
    check(
        "%YAML 1.2\n---\na: &x 1\n---\n--- # c\n- 2\n...\n--- 3\n--- |\n 4\n",
        "{a@3: 1}\n[2]\n3\n\"4\\n\"",
    );
    check("a: &x 1\n---\nb: *x\n", "{a@1: 1}\n{}\n3: `*x` is an undefined alias");
}

#[test]
fn anchors_aliases_and_tags() {
    check(
        "a: &x\n  b: 1\nc: *x\nd: [*x, &y 2]\ne: !!str 3\nf: !reference [g, h]\ni: *y\n",
        "{a@1: {b@2: 1}, c@3: {b@2: 1}, d@4: [{b@2: 1}, 2], e@5: !!str 3, f@6: !reference [g, h], i@7: 2}",
    );
    check("- &a !t\n  b: 1\n- !t &c d\n- *c\n- &e f: 1\n", "[!t {b@2: 1}, !t d, !t d, {f@5: 1}]");
    check("a: &a [*a]\n", "{a@1: []}\n1: `*a` is an undefined alias");
    let tree = parse("a: &x 1\nb: *x\n", Budget::alone(1 << 24));
    let root = tree.root().unwrap();
    let [a, b] = ["a", "b"].map(|key| root.get(key).unwrap());
    assert_eq!((a.id(), a.line, b.line), (b.id(), 1, 2));
}

#[test]
fn merged_mappings_provide_missing_members() {
    let tree = parse(
        "a: &a {x: 1, y: 2}\nb: &b {y: 3, <<: *a}\nc:\n  <<: [*b, *a]\n  z: 4\n",
        Budget::alone(1 << 24),
    );
    let c = tree.root().unwrap().get("c").unwrap();
    assert_eq!(["x", "y", "z"].map(|key| c.text(key)), [Some("1"), Some("3"), Some("4")]);
    assert!(c.get("q").is_none());
    let many: Vec<_> = (0..100).map(|number| format!("k{number}: {number}\n")).collect();
    let many = many.concat();
    let tree = parse(&many, Budget::alone(1 << 24));
    let root = tree.root().unwrap();
    assert_eq!((root.text("k42"), root.text("k")), (Some("42"), None));
    let repeated = format!("{many}k42: last\n");
    let tree = parse(&repeated, Budget::alone(1 << 24));
    assert_eq!(tree.root().unwrap().text("k42"), Some("last"));
}

#[test]
fn broken_lines_lose_only_themselves() {
    check("a: 1\n%%%\nb: 2\n", "{a@1: 1, b@3: 2}\n2: unexpected `%%%`");
    check(
        "a:\n  b: 1\n<<<<<<< HEAD\n  c: 2\n=======\n  c: 3\n>>>>>>> x\n  d: 4\n",
        "{a@1: {b@2: 1, c@4: 2, c@6: 3, d@8: 4}}\n3: merge conflict marker\n5: merge conflict marker\n7: merge conflict marker",
    );
    check("a: 1\n    b: 2\nc: 3\n", "{a@1: 1, c@3: 3}\n2: bad indentation");
    check(
        "a: \"b\nc: d\ne: 'f\n",
        "{a@1: \"b\", c@2: d, e@3: \"f\"}\n1: unterminated quoted scalar\n3: unterminated quoted scalar",
    );
    check(
        "a: [b, c\nd: {e: f\ng: h\n",
        "{a@1: [b, c], d@2: {e@2: f}, g@3: h}\n2: unclosed bracket\n3: unclosed bracket",
    );
    check("a:\n\tb: 1\nc: 2\n", "{a@1: {b@2: 1}, c@3: 2}\n2: a tab in the indentation");
    check("a: 'b' c\nd: [e] f\n", "{a@1: \"b\", d@2: [e]}\n1: unexpected `c`\n2: unexpected `f`");
    check("a: 1\n- b\nc: 2\n", "{a@1: 1, c@3: 2}\n2: unexpected `- b`");
    check("foo\na: 1\n", "foo\n{a@2: 1}");
}

#[test]
fn templates_lose_only_their_lines() {
    check(
        "{{- if .x }}\na:\n{{- range .y }}\n  - b: {{ .z }}:{{ .w | default \"v\" }}\n    c: \"{{ include \"d\" . }}-e\"\n{{- end }}\n{{/*\ntext: x\n*/}}\nf: ['{{', \"}}\"]\ng: \"{{\"\n{% if %}\nh: 1\n",
        "{a@2: [{b@4: {{ .z }}:{{ .w | default \"v\" }}, c@5: \"{{ include \\\"d\\\" . }}-e\"}], f@10: [\"{{\", \"}}\"], g@11: \"{{\", h@13: 1}\n1: template lines are skipped",
    );
}

#[test]
fn deep_nesting_and_alias_bombs_are_harmless() {
    let n = 30_000;
    let lines = |line: fn(usize) -> String| (1..200).map(line).collect::<Vec<_>>().concat();
    let bomb = lines(|number| format!("a{number}: &a{number} [*a{0}, *a{0}, *a{0}]\n", number - 1));
    let merges =
        lines(|number| format!("m{number}: &m{number}\n  <<: [*m{0}, *m{0}]\n", number - 1));
    let stairs = lines(|number| format!("{}a:\n", " ".repeat(number)));
    let start = processor_time();
    for text in [
        "[".repeat(n),
        "{a: ".repeat(n),
        "- ".repeat(n),
        "? ".repeat(n),
        "[{".repeat(n),
        "a: [\n".repeat(n),
        "\"\n'".repeat(n),
        "[\"\n".repeat(n),
        "!a ".repeat(n),
        "&a ".repeat(n),
        "*a\n".repeat(n),
        "- - a\n".repeat(n),
        "{{\n".repeat(n),
        "a: |\n".repeat(n),
        "a: b\n  c\n".repeat(n),
        "---\n".repeat(n),
        format!("[{}", " ".repeat(n) + &"a,".repeat(n)),
        format!("{}{}", " ".repeat(n), "a: ".repeat(n)),
        stairs,
        format!("a0: &a0 [x]\n{bomb}"),
        format!("m0: &m0 {{}}\n{merges}"),
    ] {
        let tree = parse(&text, Budget::alone(1 << 24));
        for node in tree.documents().flat_map(Node::members) {
            assert!(node.value.get("none").is_none());
        }
    }
    let took = processor_time().saturating_sub(start);
    assert!(took.as_secs() < 10, "{took:?}");
}

/// Fails if aliases can nest without a bound, so that a walk of the tree would overflow the stack. The
/// anchors are in keys, where no walk meets them one by one.
#[test]
fn the_nesting_of_aliases_is_bounded() {
    fn height(node: Node<'_, '_>) -> u32 {
        node.elements()
            .chain(node.members().map(|member| member.value))
            .map(height)
            .max()
            .unwrap_or(0)
            + 1
    }
    for (open, close) in [("[", "]"), ("{b: ", "}")] {
        let steps =
            (1..30_000).map(|number| format!("? &a{number} {open}*a{}{close}\n: c\n", number - 1));
        let text = format!("? &a0 [x]\n: c\n{}d: *a29999\n", steps.collect::<String>());
        let tree = parse(&text, Budget::alone(text.len()));
        assert!(height(tree.root().unwrap()) <= 201);
        assert_eq!(tree.errors[0].message, "aliases nest deeper than 200 levels");
    }
}

#[test]
fn long_texts_are_not_returned_for_aliases() {
    let [short, long] = [4096, 4097].map(|length| "x".repeat(length));
    let text = format!("a: &a {short}\nb: &b {long}\n? *a\n: c\n? {long}\n: d\n");
    let tree = parse(&text, Budget::alone(text.len()));
    let root = tree.root().unwrap();
    let [a, b] = ["a", "b"].map(|key| root.get(key).unwrap());
    assert_eq!((a.as_str(), b.as_str(), b.whole_text()), (Some(&*short), None, Some(&*long)));
    assert_eq!((b.kind(), b.is_scalar()), ("a text that is too long", true));
    // A key that is an alias has a copy of the text, a literal key has not.
    let keys: Vec<_> = root.members().map(|member| member.key.len()).collect();
    assert_eq!(keys, [1, 1, 0, 4097]);
    assert_eq!(tree.errors[0].message, "an alias of more than 1000 bytes is not valid as a key");
}

/// Fails if a merge of a list searches the whole list, however long it is.
#[test]
fn a_merge_searches_a_bounded_number_of_mappings() {
    let many: Vec<_> = (0..1000).map(|number| format!("{{k{number}: {number}}}, ")).collect();
    let text = format!("a: {{<<: [{}]}}\n", many.concat());
    let budget = Budget::unlimited();
    let tree = parse(&text, &budget);
    let a = tree.root().unwrap().get("a").unwrap();
    let before = budget.spent();
    assert_eq!((a.text("k3"), a.text("k999")), (Some("3"), None));
    assert!(budget.spent() - before < 5_000);
}

#[test]
fn a_used_up_budget_ends_all_walks() {
    let text = "a: [b, c]\nd: {e: f}\n";
    let budget = Budget::alone(0);
    let tree = parse(text, budget);
    let root = tree.root().unwrap();
    let [a, d] = ["a", "d"].map(|key| root.get(key).unwrap());
    let b = a.elements().next().unwrap();
    assert!(!budget.spend(budget.allowed()));
    assert_eq!((root.members().count(), a.elements().count(), d.members().count()), (0, 0, 0));
    assert!(root.get("a").is_none() && b.as_str().is_none() && b.whole_text().is_none());
    assert_eq!(parse(text, budget).documents().flat_map(Node::members).count(), 0);
}
