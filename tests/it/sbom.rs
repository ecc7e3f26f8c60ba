//! Bills of materials validated by third-party programs: `CycloneDX` by the official JSON schema of
//! 1.6, in its strict form, SPDX by the reference implementation of 2.3.

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
import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from spdx_tools.spdx.parser.parse_anything import parse_file
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document
cyclonedx, spdx = sys.argv[1:]
problem = JsonStrictValidator(SchemaVersion.V1_6).validate_str(open(cyclonedx).read())
assert problem is None, problem
problems = validate_full_spdx_document(parse_file(spdx))
assert not problems, [str(problem) for problem in problems[:5]]
";

const FORMATS: [&str; 2] = ["cyclonedx", "spdx"];

pub(crate) fn judge([cyclonedx, spdx]: [PathBuf; 2]) {
    run_script(JUDGE, &[&cyclonedx, &spdx]);
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
        let path = place.path().join(format!("{format}.spdx.json"));
        files::write(&path, succeed(&mut scan).stdout);
        path
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
            let path = server.file(&format!("{format}.spdx.json"));
            files::write(&path, answer.text);
            documents.push(path);
        }
        let documents = <[PathBuf; 2]>::try_from(documents).unwrap();
        tokio::task::spawn_blocking(move || judge(documents)).await.unwrap();
    }
}
