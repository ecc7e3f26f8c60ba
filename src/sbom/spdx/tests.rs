//! Documents of small results.

use super::*;
use crate::sbom::in_memory::{Subject, cyclonedx, package, result, spdx};

/// Breaks if a document does not say that files were excluded.
#[test]
fn excluded_files_make_a_document_incomplete() {
    let mut part = result("shop");
    part.exclude_paths = ["test", "docs/*"].map(str::to_owned).to_vec();
    let whole = cyclonedx(Subject::Repository, &[&part], Timestamp::UNIX_EPOCH);
    assert!(whole["compositions"].is_null(), "nothing was excluded: {whole:#}");
    part.files.excluded = 3;
    let document = spdx(Subject::Repository, &[&part], Timestamp::UNIX_EPOCH);
    let comment = "incomplete: 3 files were excluded from the scan (test, docs/*)";
    assert_eq!(document["packages"][0]["comment"], comment);
    let bom = cyclonedx(Subject::Repository, &[&part], Timestamp::UNIX_EPOCH);
    let of_one = json!([{ "aggregate": "incomplete", "assemblies": ["repository:shop"] }]);
    assert_eq!(bom["compositions"], of_one);
    let properties = json!([
        { "name": "scanwatch:excluded-files", "value": "3" },
        { "name": "scanwatch:exclude-path", "value": "test" },
        { "name": "scanwatch:exclude-path", "value": "docs/*" },
    ]);
    assert_eq!(bom["metadata"]["component"]["properties"], properties);
    let group = Subject::Group { name: "https://git.example/group", missing: &[] };
    let bom = cyclonedx(group, &[&result("a"), &part], Timestamp::UNIX_EPOCH);
    let of_group =
        json!([{ "aggregate": "incomplete", "assemblies": ["group:group", "repository:shop"] }]);
    assert_eq!(bom["compositions"], of_group);
}

/// `from > to` for all dependencies, by the names of the packages.
fn dependencies(document: &Value) -> Vec<String> {
    let packages = document["packages"].as_array().unwrap();
    let name = |id: &Value| {
        let package = packages.iter().find(|package| package["SPDXID"] == *id).unwrap();
        package["name"].as_str().unwrap().to_owned()
    };
    let relationships = document["relationships"].as_array().unwrap().iter();
    relationships
        .filter(|relationship| relationship["relationshipType"] == "DEPENDS_ON")
        .map(|relationship| {
            format!(
                "{} > {}",
                name(&relationship["spdxElementId"]),
                name(&relationship["relatedSpdxElement"])
            )
        })
        .collect()
}

#[test]
fn known_dependencies_are_listed() {
    let one = result("shop");
    let document = spdx(Subject::Repository, &[&one], Timestamp::UNIX_EPOCH);
    assert_eq!(dependencies(&document), ["shop > a", "a > b"]);
    assert_eq!(document["creationInfo"]["created"], "1970-01-01T00:00:00Z");
    assert_eq!(document["name"], "shop");
    assert!(!document.to_string().contains("secret"));
}

#[test]
fn a_group_is_described_by_its_repositories() {
    let (one, two) = (result("shop"), result("web/site"));
    let subject = Subject::Group { name: "https://user:secret@git.example/group/", missing: &[] };
    let document = spdx(subject, &[&one, &two], Timestamp::UNIX_EPOCH);
    assert_eq!(dependencies(&document), ["shop > a", "web/site > a", "a > b"]);
    assert_eq!(document["name"], "group");
    let place = "declared in shop/package-lock.json, web/site/package-lock.json";
    assert_eq!(document["packages"][2]["sourceInfo"], place);
    assert!(!document.to_string().contains("secret"));
}

#[test]
fn a_group_is_one_component_that_depends_on_its_repositories() {
    let (one, two) = (result("shop"), result("web/site"));
    let subject = Subject::Group { name: "https://git.example/group", missing: &[] };
    let bom = cyclonedx(subject, &[&one, &two], Timestamp::UNIX_EPOCH);
    let expected = json!([
        { "ref": "group:group", "dependsOn": ["repository:shop", "repository:web/site"] },
        { "ref": "repository:shop", "dependsOn": ["pkg:npm/a@1.0.0"] },
        { "ref": "repository:web/site", "dependsOn": ["pkg:npm/a@1.0.0"] },
        { "ref": "pkg:npm/a@1.0.0", "dependsOn": ["pkg:npm/b@1.0.0"] },
    ]);
    assert_eq!(bom["dependencies"], expected);
    assert_eq!(bom["components"].as_array().map(Vec::len), Some(4));
}

#[test]
fn every_package_is_contained_in_its_repository() {
    let mut one = result("shop");
    one.packages.push(package("pkg:npm/alone@1.0.0", false, &[]));
    let document = spdx(Subject::Repository, &[&one], Timestamp::UNIX_EPOCH);
    let relationships = document["relationships"].as_array().unwrap().iter();
    let contained: Vec<_> = relationships
        .filter(|one| one["relationshipType"] == "CONTAINS")
        .map(|one| &one["relatedSpdxElement"])
        .collect();
    let packages = document["packages"].as_array().unwrap().iter();
    let ids: Vec<_> = packages.skip(1).map(|package| &package["SPDXID"]).collect();
    assert_eq!(contained, ids);
}

#[test]
fn what_lock_files_state_is_in_the_document() {
    let one = result("shop");
    let document = spdx(Subject::Repository, &[&one], Timestamp::UNIX_EPOCH);
    let [shop, a, b] = [0, 1, 2].map(|at| &document["packages"][at]);
    assert_eq!(shop["supplier"], "Organization: group");
    assert_eq!((&a["name"], &a["licenseDeclared"]), (&json!("a"), &json!("MIT")));
    let checksums = json!([{ "algorithm": "SHA1", "checksumValue": "0a".repeat(20) }]);
    assert_eq!(a["checksums"], checksums);
    assert_eq!(b["licenseComments"], "declared as: our own");
    assert_eq!((&b["licenseDeclared"], &b["checksums"]), (&Value::Null, &Value::Null));
}
