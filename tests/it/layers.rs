//! The folders are the stages of the data, and each may use only what is listed here.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
};

/// Which module may use which: the table of docs/architecture.md.
const MAY_USE: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("measure", &[]),
    ("pool", &[]),
    ("sys", &[]),
    ("http", &[]),
    ("config", &["model"]),
    ("ecosystem", &["model"]),
    ("sbom", &["model"]),
    ("wire", &["model"]),
    ("store", &["config", "model"]),
    ("live", &["measure", "model", "store"]),
    ("worker", &["config", "ecosystem", "model", "store", "sys"]),
    ("shim", &["config", "model", "store", "sys"]),
    ("supervisor", &["config", "measure", "model", "pool", "store", "sys", "wire"]),
    ("intake", &["config", "http", "model", "pool", "store", "supervisor", "sys"]),
    ("schedules", &["config", "intake", "live", "model", "pool", "store"]),
    (
        "api",
        &[
            "archive",
            "config",
            "intake",
            "live",
            "measure",
            "model",
            "pool",
            "sbom",
            "schedules",
            "store",
            "supervisor",
            "sys",
            "webhooks",
        ],
    ),
    ("agent", &["config", "model", "store", "supervisor", "sys", "wire"]),
    ("archive", &["config", "http", "live", "model", "pool", "sbom", "store"]),
    ("webhooks", &["config", "http", "live", "model", "pool", "sbom", "store"]),
    (
        "app",
        &[
            "archive",
            "config",
            "intake",
            "live",
            "model",
            "pool",
            "sbom",
            "schedules",
            "store",
            "supervisor",
            "sys",
            "webhooks",
        ],
    ),
];

/// What is there for tests alone, and does not exist in the program.
const OF_TESTS: &str = "fuzzing";

/// The command line runs everything.
const FREE: [&str; 2] = ["cli", "main"];

pub(crate) fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The modules that a text names after `crate::`, or in the braces that follow it.
fn named(text: &str) -> BTreeSet<String> {
    let word = |text: &str| -> String {
        text.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect()
    };
    let mut names = BTreeSet::new();
    for (position, _) in text.match_indices("crate::") {
        let rest = &text[position + "crate::".len()..];
        let Some(braces) = rest.strip_prefix('{') else {
            names.insert(word(rest));
            continue;
        };
        // Items at the first level are separated by commas; deeper ones belong to their item.
        let (mut depth, mut item) = (1, String::new());
        for c in braces.chars() {
            depth += i32::from(c == '{') - i32::from(c == '}');
            if depth == 0 || depth == 1 && c == ',' {
                names.insert(word(std::mem::take(&mut item).trim()));
            } else {
                item.push(c);
            }
            if depth == 0 {
                break;
            }
        }
    }
    names.remove("");
    names
}

/// The text of a file without its unit tests, whose uses are not part of the layers; `None` if the
/// file contains only tests.
pub(crate) fn product_text(root: &Path, below: &Path) -> Option<String> {
    let is_test = |part: &OsStr| part == "tests" || part == "tests.rs";
    if below.iter().any(is_test) {
        return None;
    }
    let text = fs::read_to_string(root.join(below)).unwrap();
    Some(text.split("#[cfg(test)]\nmod tests {").next().unwrap().to_owned())
}

/// Breaks when a module uses one that its stage must not know.
#[test]
fn every_module_uses_only_its_allowed_stages() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let table: BTreeMap<_, _> = MAY_USE.iter().copied().collect();
    let mut files = Vec::new();
    sources(&root, &mut files);
    assert!(files.len() > 50, "the sources were not found");
    let mut wrong = Vec::new();
    for path in files {
        let below = path.strip_prefix(&root).unwrap();
        let first = below.components().next().unwrap().as_os_str().to_string_lossy();
        let module = first.trim_end_matches(".rs").to_owned();
        if FREE.contains(&module.as_str()) || module == "lib" || module == OF_TESTS {
            continue;
        }
        let Some(allowed) = table.get(module.as_str()) else {
            wrong.push(format!("{module} is not in the table"));
            continue;
        };
        let Some(text) = product_text(&root, below) else { continue };
        for name in named(&text) {
            if name != module && name != OF_TESTS && !allowed.contains(&name.as_str()) {
                wrong.push(format!("{} uses {name}", below.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Breaks if the test above does not see what is used.
#[test]
fn uses_are_seen_in_each_form() {
    let text =
        "use crate::{\n    model::{JobId, plan::Plan},\n    store,\n};\nlet x = crate::sys::f();";
    assert_eq!(named(text).into_iter().collect::<Vec<_>>(), ["model", "store", "sys"]);
}
