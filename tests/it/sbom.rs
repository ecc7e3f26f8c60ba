//! Bills of materials validated by third-party programs: `CycloneDX` by the official JSON schemas of
//! 1.6 and 1.7, in their strict form, SPDX by the reference implementations of 2.3 and 3.0.1, and both versions of SPDX by the
//! checker of NTIA's minimum elements.

use crate::support::{
    files,
    forge::program,
    python::{run_script, succeed},
    server::Setup,
};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Validates a document with the schema published by the authors of the format.
const JUDGE: &str = r"
import json, sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from spdx_tools.spdx.parser.parse_anything import parse_file
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document
from ntia_conformance_checker import SbomChecker
documents = dict(argument.split('=', 1) for argument in sys.argv[1:])
of = lambda names: [(documents[name], version) for name, version in names.items() if name in documents]
for file, version in of({'cyclonedx': SchemaVersion.V1_6, 'cyclonedx-1.7': SchemaVersion.V1_7}):
    text = open(file).read()
    problem = JsonStrictValidator(version).validate_str(text)
    assert problem is None, problem
    document = json.loads(text)
    known = {component['bom-ref'] for component in document['components']}
    edges = {one['ref']: one['dependsOn'] for one in document['dependencies']}
    seen, left = set(), [document['metadata']['component']['bom-ref']]
    while left:
        one = left.pop()
        if one not in seen:
            seen.add(one)
            left.extend(edges.get(one, []))
    assert known <= seen, sorted(known - seen)[:5]
if 'spdx' in documents:
    problems = validate_full_spdx_document(parse_file(documents['spdx']))
    assert not problems, [str(problem) for problem in problems[:5]]
for file, version in of({'spdx': 'spdx2', 'spdx-3.0.1': 'spdx3'}):
    checker = SbomChecker(file, sbom_spec=version)
    assert not checker.parsing_errors, checker.parsing_errors
    assert not checker.validation_messages, checker.validation_messages[:5]
    assert not checker.conformance_messages, checker.conformance_messages[:5]
    assert checker.doc_author and checker.doc_timestamp and checker.doc_version
    assert checker.dependency_relationships and checker.components_evaluated
    assert not checker.floating_component_ids, checker.floating_component_ids
    assert not checker.has_unknown_pointers, checker.unknown_pointer_edges
    assert not checker.components_without_names
    assert not checker.components_without_identifiers
";

const FORMATS: [&str; 4] = ["cyclonedx", "cyclonedx-1.7", "spdx", "spdx-3.0.1"];

/// A name by which the reference implementation knows the format.
fn file_name(format: &str) -> String {
    format!("{format}.spdx.json")
}

/// Has documents validated, each by its format and its file.
pub(crate) fn judge<'f>(documents: impl IntoIterator<Item = (&'f str, PathBuf)>) {
    let named = documents.into_iter().map(|(format, path)| format!("{format}={}", path.display()));
    let named: Vec<PathBuf> = named.map(PathBuf::from).collect();
    run_script(JUDGE, &named.iter().map(PathBuf::as_path).collect::<Vec<_>>());
}

/// Breaks if a declaration in any manifest format makes a document invalid: a folder with a file of
/// each.
#[test]
fn documents_of_all_formats_together_are_valid() {
    let place = TempDir::new().unwrap();
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/ecosystem");
    judge(FORMATS.map(|format| {
        let mut scan = program(env!("CARGO_BIN_EXE_scanwatch"));
        scan.args(["scan", "--format", format]).arg(&fixtures).current_dir(place.path());
        let path = place.path().join(file_name(format));
        files::write(&path, succeed(&mut scan).stdout);
        (format, path)
    }));
}

const FINDS: &str = r#"
case "$SCANWATCH_STATUS_FILE" in *repo_2.json) exit 3;; esac
lock='"ecosystem": "npm", "file": "package-lock.json", "direct": true, "scope": "runtime", "source": "lockfile"'
printf '{"schema": 1, "commit": "%040d", "packages": [
    {"name": "a", "version": "1.0.0", "purl": "pkg:npm/a@1.0.0", %s, "requires": ["pkg:npm/b@2.0.0"]},
    {"name": "b", "version": "2.0.0", "purl": "pkg:npm/b@2.0.0", %s}]}' 7 "$lock" "$lock" > r.part
mv r.part "$SCANWATCH_RESULT_FILE"
say completed
"#;

/// Breaks if the document of a group, or of a repository of it, is not valid.
#[tokio::test]
async fn documents_of_a_group_and_of_a_repository_are_valid() {
    let setup = Setup::new().shell(FINDS);
    let job = setup.write_group(3);
    let server = setup.start().await;
    assert_eq!(server.finished(&job).await["status"], "completed_with_errors");
    for of in [format!("/scan/{job}/sbom"), format!("/scan/{job}/repositories/1/sbom")] {
        let mut documents = Vec::new();
        for format in FORMATS {
            let answer = server.get(&format!("{of}?format={format}")).await.expect(200);
            let path = server.file(&file_name(format));
            files::write(&path, answer.text);
            documents.push((format, path));
        }
        tokio::task::spawn_blocking(move || judge(documents)).await.unwrap();
    }
}
