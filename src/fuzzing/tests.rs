//! Every fuzz target on real, mutated and random input.

use super::{TARGETS, cases, mutation::Mutation, run};
use crate::{
    config::DEFAULTS,
    ecosystem::{REGISTRY, source_parser_for},
};
use proptest::{prelude::*, sample::Index};
use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    path::{Path, PathBuf},
    sync::LazyLock,
};

/// Real inputs by the name of the target, in the form that the target takes.
static CORPUS: LazyLock<BTreeMap<&str, Vec<Vec<u8>>>> =
    LazyLock::new(|| TARGETS.iter().map(|(name, _)| (*name, corpus(name))).collect());

/// The inputs of all targets, for splicing.
static ALL: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| CORPUS.values().flatten().cloned().collect());

/// Tokens of the grammars.
const TOKENS: [&str; 44] = [
    "\"",
    "'",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "=",
    "\n",
    "\r\n",
    "\\",
    "\\u",
    "#",
    "é",
    "\u{0}",
    "%",
    "%25",
    "%2f",
    "&amp;",
    "&#x",
    "; ",
    "…",
    "\u{fffd}",
    "://",
    "@",
    "..",
    "<",
    ">",
    "rel=next",
    "remote: ",
    "100% (1/1), 1.5 MiB",
    "\t",
    "100644 blob ",
    "$2y$04$",
    "Basic ",
    "admin",
    "null",
    "-1",
    "1e999",
    "99999999999999999999",
    "2026-02-30T25:00:00Z",
    "completed",
    "[[forges]]",
];

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

/// All files below a folder of fixtures, with their contents.
fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        if entry.path().is_dir() {
            found.extend(files(&entry.path()));
        } else {
            found.push((entry.path(), fs::read(entry.path()).unwrap()));
        }
    }
    found.sort();
    found
}

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let texts = |texts: &[&str]| texts.iter().map(|text| text.as_bytes().to_vec()).collect();
    match target {
        "parsers" => files(&fixtures().join("ecosystem"))
            .into_iter()
            .filter_map(|(path, bytes)| {
                let name = path.file_name()?.to_str()?;
                let declares = REGISTRY.iter().position(|parser| parser.wants(name));
                let imports = || source_parser_for(name).map(|_| REGISTRY.len());
                let number = u8::try_from(declares.or_else(imports)?).ok()?;
                (bytes.len() < 20_000).then(|| [&[number], bytes.as_slice()].concat())
            })
            .collect(),
        "url" => ["addresses.txt", "others.txt"]
            .iter()
            .flat_map(|file| fs::read_to_string(fixtures().join("urls").join(file)))
            .flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>())
            .filter_map(|line| serde_json::from_str::<String>(line.split_once('\t')?.1).ok())
            .chain(["https://a.star.example/x".into(), "git@github.com:a/b.git".into()])
            .map(String::into_bytes)
            .collect(),
        "status" => {
            let real = files(&fixtures().join("python-service"));
            let cases = fs::read(fixtures().join("status-scenarios.json")).unwrap();
            let cases: serde_json::Value = serde_json::from_slice(&cases).unwrap();
            let mut inputs: Vec<_> = real.into_iter().map(|(_, bytes)| bytes).collect();
            objects(&cases, &mut inputs);
            inputs
        }
        "redactor" => texts(&[
            "\u{12}\u{40}canary-s3cr3t-0451fatal: 'canary-s3cr3t-0451' canary%2Ds3cr3t%2d0451",
            "\u{9}\u{80}p/a+s=s\"'p/a+s=s\\\"' p\\/a+s=s&quot; cC9hK3M9cyIn p%252Fa…",
            "\u{6}\u{10}ab*ab*aab*ab*b***",
        ]),
        "git" => texts(&[
            "\u{7}100644 blob 32f95c0d1244a78b2be1bab8de17906fabb2c4a8       2\ta\n\x00120000 blob \
             32f95c0d1244a78b2be1bab8de17906fabb2c4a8       1\tl\0",
            "\u{3}remote: Counting objects:  45% (9/20)        \rReceiving objects:  45% (9/20), \
             1.50 MiB | 3.00 MiB/s\rremote: HTTP Basic: Access denied\nfatal: early EOF\n",
            "\u{1f}fatal: unable to access 'https://h.example/a/b.git/': The requested URL \
             returned error: 403\n",
            "\u{1f}git version 2.47.3 (Apple Git-155)",
        ]),
        "listing" => texts(&[
            "\u{50}[{\"id\": 1, \"path_with_namespace\": \"acme/a\", \"http_url_to_repo\": \
             \"https://forge.example/acme/a.git\", \"empty_repo\": false}, {\"id\": 2, \
             \"full_name\": \"acme/b\", \"clone_url\": \"https://u:p@forge.example/acme/b.git\", \
             \"disabled\": true}]",
            "\u{4f}<https://forge.example/1>; rel=\"first\", </api/v4/x?page=2>; rel=\"next\"",
            "\u{4f}Sun, 06 Nov 1994 08:49:37 GMT",
            "\u{4f}60",
        ]),
        "credentials" => texts(&[
            "# users\nanna:$2y$04$wB7iXV6lf9mkT0NQKeUOk.WKDmZqt5K4xSVYPMZxJsFTbcvPlBoxy\n",
            "ci write 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08 2030-12-31\n",
            "Basic dTpwOnE=",
            "Bearer scanwatch_abc",
        ]),
        "settings" => {
            let file = format!("\u{0}{DEFAULTS}");
            let short = "\u{9}[scanner]\nkill_grace_secs = 7\n[network]\nallow_nets = \
                         [\"10.0.0.0/8\"]\n[categories]\n\"Web\" = { dependencies = [\"flask\"] }\n";
            texts(&[&file, short, "\u{20}17", "\u{11}[\"a\", \"b\"]", "\u{2a}a.example, b.example"])
        }
        _ => panic!("no corpus for the target {target}"),
    }
}

/// Every object within a JSON value, as a file of its own.
fn objects(value: &serde_json::Value, found: &mut Vec<Vec<u8>>) {
    match value {
        serde_json::Value::Object(members) => {
            found.push(value.to_string().into_bytes());
            members.values().for_each(|member| objects(member, found));
        }
        serde_json::Value::Array(items) => items.iter().for_each(|item| objects(item, found)),
        _ => {}
    }
}

/// Fails if a target has no real input, or violates an invariant on it. `SCANWATCH_CORPUS` names a
/// folder into which the inputs are written as seed corpora for the fuzzers.
#[test]
fn every_target_accepts_real_input() {
    let folder = std::env::var_os("SCANWATCH_CORPUS").map(PathBuf::from);
    for (target, inputs) in CORPUS.iter() {
        assert!(!inputs.is_empty(), "{target}");
        for (number, input) in inputs.iter().enumerate() {
            run(target, input);
            if let Some(folder) = &folder {
                let folder = folder.join(target);
                fs::create_dir_all(&folder).unwrap();
                let mut file = fs::File::create(folder.join(format!("real-{number}"))).unwrap();
                file.write_all(input).unwrap();
            }
        }
    }
}

/// Fails if a target has no binary in `fuzz/fuzz_targets`, or a binary has no target.
#[test]
fn every_target_has_a_fuzzer() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
    let mut targets: Vec<_> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    targets.sort();
    let fuzzers: Vec<_> = files(&folder.join("fuzz_targets"))
        .into_iter()
        .map(|(path, text)| {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            let text = String::from_utf8(text).unwrap();
            assert!(text.contains(&format!("run(\"{name}\", bytes)")), "{text}");
            assert!(manifest.contains(&format!("fuzz_targets/{name}.rs")), "{manifest}");
            name
        })
        .collect();
    assert_eq!(fuzzers, targets);
}

proptest! {
    #![proptest_config(cases(1_000))]

    /// Fails if mutated input makes a target panic or violate an invariant.
    #[test]
    fn every_target_accepts_mutated_input(
        target in any::<Index>(),
        input in any::<Index>(),
        mutations in prop::collection::vec(Mutation::any(), 1..8),
    ) {
        let (target, _) = target.get(&TARGETS);
        let mut bytes = input.get(&CORPUS[target]).clone();
        for mutation in &mutations {
            mutation.apply(&mut bytes, &TOKENS, &ALL);
        }
        run(target, &bytes);
    }
}

proptest! {
    #![proptest_config(cases(400))]

    /// Fails if random bytes or random tokens make a target panic or violate an invariant.
    #[test]
    fn every_target_accepts_random_bytes(
        target in any::<Index>(),
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        tokens in prop::collection::vec(any::<Index>(), 0..40),
    ) {
        let (target, _) = target.get(&TARGETS);
        run(target, &bytes);
        let tokens: String = tokens.iter().map(|token| *token.get(&TOKENS)).collect();
        run(target, &[bytes.get(..2).unwrap_or_default(), tokens.as_bytes()].concat());
    }
}
