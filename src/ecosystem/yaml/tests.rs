use super::*;
use crate::ecosystem::{budget::Budget, fixtures::processor_time};

/// The tree of a text in one line a document: scalars in quotes where they are not plain, then
/// the lines of the errors.
fn show(text: &str) -> String {
    let tree = parse(text, Budget::alone(1 << 24));
    let mut lines: Vec<String> = tree.documents().map(|it| show_node(it, 0)).collect();
    lines.extend(tree.errors.iter().map(|it| format!("{}: {}", it.line, it.message)));
    lines.join("\n")
}

fn show_node(node: Node<'_, '_>, depth: u32) -> String {
    assert!(depth <= 101);
    let tag = node.tag().map(|it| format!("{it} ")).unwrap_or_default();
    let inner = if let Some(text) = node.as_str() {
        if node.is_plain() { text.to_owned() } else { format!("{text:?}") }
    } else if node.is_mapping() {
        let show =
            |it: Member| format!("{}@{}: {}", it.key, it.line, show_node(it.value, depth + 1));
        format!("{{{}}}", node.members().map(show).collect::<Vec<_>>().join(", "))
    } else if node.is_sequence() {
        let inner: Vec<_> = node.elements().map(|it| show_node(it, depth + 1)).collect();
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
fn documents_are_told_apart() {
    check(
        "%YAML 1.2\n---\na: &x 1\n---\n--- # c\n- 2\n...\n--- 3\n--- |\n 4\n",
        "{a@3: 1}\n[2]\n3\n\"4\\n\"",
    );
    check("a: &x 1\n---\nb: *x\n", "{a@1: 1}\n{}\n3: `*x` names nothing above it");
}

#[test]
fn anchors_aliases_and_tags() {
    check(
        "a: &x\n  b: 1\nc: *x\nd: [*x, &y 2]\ne: !!str 3\nf: !reference [g, h]\ni: *y\n",
        "{a@1: {b@2: 1}, c@3: {b@2: 1}, d@4: [{b@2: 1}, 2], e@5: !!str 3, f@6: !reference [g, h], i@7: 2}",
    );
    check("- &a !t\n  b: 1\n- !t &c d\n- *c\n- &e f: 1\n", "[!t {b@2: 1}, !t d, !t d, {f@5: 1}]");
    check("a: &a [*a]\n", "{a@1: []}\n1: `*a` names nothing above it");
    let tree = parse("a: &x 1\nb: *x\n", Budget::alone(1 << 24));
    let root = tree.root().unwrap();
    let [a, b] = ["a", "b"].map(|it| root.get(it).unwrap());
    assert_eq!((a.id(), a.line, b.line), (b.id(), 1, 2));
}

#[test]
fn merged_mappings_give_what_is_not_there() {
    let tree = parse(
        "a: &a {x: 1, y: 2}\nb: &b {y: 3, <<: *a}\nc:\n  <<: [*b, *a]\n  z: 4\n",
        Budget::alone(1 << 24),
    );
    let c = tree.root().unwrap().get("c").unwrap();
    assert_eq!(["x", "y", "z"].map(|it| c.text(it)), [Some("1"), Some("3"), Some("4")]);
    assert!(c.get("q").is_none());
    let many: Vec<_> = (0..100).map(|it| format!("k{it}: {it}\n")).collect();
    let many = many.concat();
    let tree = parse(&many, Budget::alone(1 << 24));
    let root = tree.root().unwrap();
    assert_eq!((root.text("k42"), root.text("k")), (Some("42"), None));
    let repeated = format!("{many}k42: last\n");
    let tree = parse(&repeated, Budget::alone(1 << 24));
    assert_eq!(tree.root().unwrap().text("k42"), Some("last"));
}

#[test]
fn what_is_broken_costs_itself() {
    check("a: 1\n%%%\nb: 2\n", "{a@1: 1, b@3: 2}\n2: unexpected `%%%`");
    check(
        "a:\n  b: 1\n<<<<<<< HEAD\n  c: 2\n=======\n  c: 3\n>>>>>>> x\n  d: 4\n",
        "{a@1: {b@2: 1, c@4: 2, c@6: 3, d@8: 4}}\n3: the marker of an unfinished merge\n5: the marker of an unfinished merge\n7: the marker of an unfinished merge",
    );
    check("a: 1\n    b: 2\nc: 3\n", "{a@1: 1, c@3: 3}\n2: bad indentation");
    check(
        "a: \"b\nc: d\ne: 'f\n",
        "{a@1: \"b\", c@2: d, e@3: \"f\"}\n1: a text without its closing quote\n3: a text without its closing quote",
    );
    check(
        "a: [b, c\nd: {e: f\ng: h\n",
        "{a@1: [b, c], d@2: {e@2: f}, g@3: h}\n2: a bracket that is not closed\n3: a bracket that is not closed",
    );
    check("a:\n\tb: 1\nc: 2\n", "{a@1: {b@2: 1}, c@3: 2}\n2: a tab in the indentation");
    check("a: 'b' c\nd: [e] f\n", "{a@1: \"b\", d@2: [e]}\n1: unexpected `c`\n2: unexpected `f`");
    check("a: 1\n- b\nc: 2\n", "{a@1: 1, c@3: 2}\n2: unexpected `- b`");
    check("foo\na: 1\n", "foo\n{a@2: 1}");
}

#[test]
fn templates_cost_their_lines() {
    check(
        "{{- if .x }}\na:\n{{- range .y }}\n  - b: {{ .z }}:{{ .w | default \"v\" }}\n    c: \"{{ include \"d\" . }}-e\"\n{{- end }}\n{{/*\ntext: x\n*/}}\nf: ['{{', \"}}\"]\ng: \"{{\"\n{% if %}\nh: 1\n",
        "{a@2: [{b@4: {{ .z }}:{{ .w | default \"v\" }}, c@5: \"{{ include \\\"d\\\" . }}-e\"}], f@10: [\"{{\", \"}}\"], g@11: \"{{\", h@13: 1}\n1: the lines of a template are passed over",
    );
}

#[test]
fn no_nesting_overflows_the_stack_and_no_bomb_costs_much() {
    let n = 30_000;
    let lines = |line: fn(usize) -> String| (1..200).map(line).collect::<Vec<_>>().concat();
    let bomb = lines(|it| format!("a{it}: &a{it} [*a{0}, *a{0}, *a{0}]\n", it - 1));
    let merges = lines(|it| format!("m{it}: &m{it}\n  <<: [*m{0}, *m{0}]\n", it - 1));
    let stairs = lines(|it| format!("{}a:\n", " ".repeat(it)));
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

/// Breaks if aliases can nest without a bound: a walk over the tree would overflow the stack. The anchors
/// stand in keys, where no walk meets them one by one.
#[test]
fn aliases_nest_no_deeper_than_walks_may_go() {
    fn height(node: Node<'_, '_>) -> u32 {
        node.elements().chain(node.members().map(|it| it.value)).map(height).max().unwrap_or(0) + 1
    }
    for (open, close) in [("[", "]"), ("{b: ", "}")] {
        let steps = (1..30_000).map(|it| format!("? &a{it} {open}*a{}{close}\n: c\n", it - 1));
        let text = format!("? &a0 [x]\n: c\n{}d: *a29999\n", steps.collect::<String>());
        let tree = parse(&text, Budget::alone(text.len()));
        assert!(height(tree.root().unwrap()) <= 201);
        assert_eq!(tree.errors[0].message, "aliases nest deeper than 200 levels");
    }
}

#[test]
fn a_text_that_many_aliases_may_name_has_a_length() {
    let [short, long] = [4096, 4097].map(|it| "x".repeat(it));
    let text = format!("a: &a {short}\nb: &b {long}\n? *a\n: c\n? {long}\n: d\n");
    let tree = parse(&text, Budget::alone(text.len()));
    let root = tree.root().unwrap();
    let [a, b] = ["a", "b"].map(|it| root.get(it).unwrap());
    assert_eq!((a.as_str(), b.as_str(), b.whole_text()), (Some(&*short), None, Some(&*long)));
    assert_eq!((b.kind(), b.is_scalar()), ("a text that is too long", true));
    // A key has a copy of its text, unless it stands there itself.
    let keys: Vec<_> = root.members().map(|it| it.key.len()).collect();
    assert_eq!(keys, [1, 1, 0, 4097]);
    assert_eq!(tree.errors[0].message, "an alias of more than 1000 bytes is no key");
}

/// Breaks if a merge of a list looks at all of it, however long it is.
#[test]
fn a_merge_looks_at_so_many_mappings() {
    let many: Vec<_> = (0..1000).map(|it| format!("{{k{it}: {it}}}, ")).collect();
    let text = format!("a: {{<<: [{}]}}\n", many.concat());
    let budget = Budget::unlimited();
    let tree = parse(&text, &budget);
    let a = tree.root().unwrap().get("a").unwrap();
    let before = budget.spent();
    assert_eq!((a.text("k3"), a.text("k999")), (Some("3"), None));
    assert!(budget.spent() - before < 5_000);
}

#[test]
fn a_budget_that_is_used_up_ends_all_walks() {
    let text = "a: [b, c]\nd: {e: f}\n";
    let budget = Budget::alone(0);
    let tree = parse(text, budget);
    let root = tree.root().unwrap();
    let [a, d] = ["a", "d"].map(|it| root.get(it).unwrap());
    let b = a.elements().next().unwrap();
    assert!(!budget.spend(budget.allowed()));
    assert_eq!((root.members().count(), a.elements().count(), d.members().count()), (0, 0, 0));
    assert!(root.get("a").is_none() && b.as_str().is_none() && b.whole_text().is_none());
    assert_eq!(parse(text, budget).documents().flat_map(Node::members).count(), 0);
}
