//! Scans that read sources too.

use super::{Place, completes};
use crate::support::forge::Forge;
use scanwatch::model::task::Category;

fn forge() -> Forge {
    let forge = Forge::start();
    forge.add_repository(
        "project",
        &[
            ("src/a.py", b"import numpy\n" as &[u8]),
            ("src/b.py", b"import pandas\n"),
            ("src/c.py", b"import requests\n"),
            ("src/large.py", &[b'#'; 5000]),
            ("requirements.txt", b"flask==3.0.0\n"),
        ],
    );
    forge
}

/// Breaks if sources are read without being requested.
#[test]
fn a_scan_that_is_not_deep_reads_no_sources() {
    let forge = forge();
    let place = Place::new();
    completes(&place.task_at(&forge, "project"));
    assert_eq!(place.packages(), ["flask 3.0.0 @ requirements.txt"]);
    assert_eq!(place.status()["total_files"], 1);
}

/// Breaks if a source counts differently from another file: in the progress, or by its size.
#[test]
fn sources_count_like_other_files() {
    let forge = forge();
    let place = Place::new();
    let mut task = place.task_at(&forge, "project");
    task.deep = true;
    task.limits.max_file_bytes = 4096;
    completes(&task);
    assert_eq!(
        place.packages(),
        [
            "flask 3.0.0 @ requirements.txt",
            "numpy - @ src/a.py",
            "pandas - @ src/b.py",
            "requests - @ src/c.py"
        ]
    );
    let status = place.status();
    assert_eq!((&status["total_files"], &status["current_file"]), (&5.into(), &5.into()));
    let warning =
        "src/large.py: skipped: too large: 5000 bytes are more than 4096 ([limits] max_file_bytes)";
    assert_eq!(place.warnings(), [warning]);
}

/// Breaks if a category is not found by a URL in a source, or by one that only a manifest has.
#[test]
fn a_url_in_a_source_counts_for_its_category() {
    let forge = Forge::start();
    let source = b"requests.post('https://API.openai.com/v1/chat', json=body)\n" as &[u8];
    let page = b"{\"homepage\": \"https://api.mail.example/\"}" as &[u8];
    forge.add_repository("project", &[("a.py", source), ("package.json", page)]);
    let place = Place::new();
    let mut task = place.task_at(&forge, "project");
    let category =
        |pattern: &str| Category { api_patterns: vec![pattern.to_owned()], ..Category::default() };
    task.categories = [("ai", "api.openai.com/*/chat"), ("mail", "api.mail.example")]
        .map(|(name, pattern)| (name.to_owned(), category(pattern)))
        .into();
    for deep in [false, true] {
        task.deep = deep;
        completes(&task);
        let expected = serde_json::json!({ "ai": deep, "mail": false });
        assert_eq!(place.result()["categories"], expected);
    }
}

/// Breaks if more sources are read than allowed, if that is not reported, or if it costs a
/// manifest.
#[test]
fn sources_beyond_the_limit_are_skipped_and_reported() {
    let forge = forge();
    let place = Place::new();
    let mut task = place.task_at(&forge, "project");
    task.deep = true;
    task.limits.max_source_files = 2;
    completes(&task);
    assert_eq!(
        place.packages(),
        ["flask 3.0.0 @ requirements.txt", "numpy - @ src/a.py", "pandas - @ src/b.py"]
    );
    assert_eq!(
        place.result()["files"],
        serde_json::json!({"seen": 5, "parsed": 3, "failed": 0, "skipped": 2})
    );
    assert_eq!(
        place.warnings(),
        [
            ": 2 sources skipped: their imports are not read, as there are more than 2 (limits.max_source_files)"
        ]
    );
}
