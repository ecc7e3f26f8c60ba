//! Every reader on damaged input, of which the whole was real.

use super::{READERS, cases, damage::Damage, run};
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

/// By the reader's name: real inputs, in the form in which it takes them.
static CORPUS: LazyLock<BTreeMap<&str, Vec<Vec<u8>>>> =
    LazyLock::new(|| READERS.iter().map(|(name, _)| (*name, corpus(name))).collect());

/// All of them, to take pieces of.
static ALL: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| CORPUS.values().flatten().cloned().collect());

/// What the grammars are made of.
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

/// The files below a folder of fixtures.
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

fn corpus(reader: &str) -> Vec<Vec<u8>> {
    let texts = |texts: &[&str]| texts.iter().map(|it| it.as_bytes().to_vec()).collect();
    match reader {
        "parsers" => files(&fixtures().join("ecosystem"))
            .into_iter()
            .filter_map(|(path, bytes)| {
                let name = path.file_name()?.to_str()?;
                let declares = REGISTRY.iter().position(|it| it.wants(name));
                let imports = || source_parser_for(name).map(|_| REGISTRY.len());
                let number = u8::try_from(declares.or_else(imports)?).ok()?;
                (bytes.len() < 20_000).then(|| [&[number], bytes.as_slice()].concat())
            })
            .collect(),
        "url" => ["addresses.txt", "others.txt"]
            .iter()
            .flat_map(|it| fs::read_to_string(fixtures().join("urls").join(it)))
            .flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>())
            .filter_map(|line| serde_json::from_str::<String>(line.split_once('\t')?.1).ok())
            .chain(["https://a.star.example/x".into(), "git@github.com:a/b.git".into()])
            .map(String::into_bytes)
            .collect(),
        "status" => {
            let real = files(&fixtures().join("python-service"));
            let cases = fs::read(fixtures().join("status-scenarios.json")).unwrap();
            let cases: serde_json::Value = serde_json::from_slice(&cases).unwrap();
            let mut inputs: Vec<_> = real.into_iter().map(|it| it.1).collect();
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
        _ => panic!("{reader} has no real input"),
    }
}

/// Every object within a value, as a file by itself.
fn objects(value: &serde_json::Value, found: &mut Vec<Vec<u8>>) {
    match value {
        serde_json::Value::Object(members) => {
            found.push(value.to_string().into_bytes());
            members.values().for_each(|it| objects(it, found));
        }
        serde_json::Value::Array(items) => items.iter().for_each(|it| objects(it, found)),
        _ => {}
    }
}

/// Breaks if a reader has no real input, or cannot bear it. With `SCANWATCH_CORPUS`, the inputs are
/// written there, as fuzzers want them.
#[test]
fn every_reader_bears_what_is_real() {
    let folder = std::env::var_os("SCANWATCH_CORPUS").map(PathBuf::from);
    for (reader, inputs) in CORPUS.iter() {
        assert!(!inputs.is_empty(), "{reader}");
        for (number, input) in inputs.iter().enumerate() {
            run(reader, input);
            if let Some(folder) = &folder {
                let folder = folder.join(reader);
                fs::create_dir_all(&folder).unwrap();
                let mut file = fs::File::create(folder.join(format!("real-{number}"))).unwrap();
                file.write_all(input).unwrap();
            }
        }
    }
}

/// Breaks if a reader has no fuzzer, or a fuzzer no reader.
#[test]
fn every_reader_has_its_fuzzer() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
    let mut readers: Vec<_> = READERS.iter().map(|it| it.0.to_owned()).collect();
    readers.sort();
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
    assert_eq!(fuzzers, readers);
}

proptest! {
    #![proptest_config(cases(2_000))]

    /// Breaks if there is input that a reader cannot bear: it panics, or says what cannot be.
    #[test]
    fn every_reader_bears_what_is_damaged(
        reader in any::<Index>(),
        input in any::<Index>(),
        damages in prop::collection::vec(Damage::any(), 1..8),
    ) {
        let (reader, _) = reader.get(&READERS);
        let mut bytes = input.get(&CORPUS[reader]).clone();
        for damage in &damages {
            damage.apply(&mut bytes, &TOKENS, &ALL);
        }
        run(reader, &bytes);
    }
}

proptest! {
    #![proptest_config(cases(800))]

    /// Breaks if there are bytes that nobody has written and that a reader cannot bear.
    #[test]
    fn every_reader_bears_any_bytes(
        reader in any::<Index>(),
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        tokens in prop::collection::vec(any::<Index>(), 0..40),
    ) {
        let (reader, _) = reader.get(&READERS);
        run(reader, &bytes);
        let tokens: String = tokens.iter().map(|it| *it.get(&TOKENS)).collect();
        run(reader, &[bytes.get(..2).unwrap_or_default(), tokens.as_bytes()].concat());
    }
}
