//! Documents of small results.

use super::*;
use crate::sbom::in_memory::{Subject, result, spdx3};

#[test]
fn every_reference_is_an_element_and_every_package_is_contained() {
    let one = result("shop");
    let document = spdx3(Subject::Repository, &[&one], Timestamp::UNIX_EPOCH);
    let elements = document["@graph"].as_array().unwrap();
    let ids: Vec<&str> = elements.iter().filter_map(|one| one["spdxId"].as_str()).collect();
    let mut unique = ids.clone();
    unique.sort_unstable();
    unique.dedup();
    assert_eq!(unique.len(), ids.len(), "{document:#}");
    let of = |kind: &str| -> Vec<&Value> {
        elements.iter().filter(|one| one["relationshipType"] == kind).collect()
    };
    for relationship in ["contains", "dependsOn", "hasDeclaredLicense"].map(of).concat() {
        let to = relationship["to"].as_array().unwrap();
        for id in to.iter().chain([&relationship["from"]]) {
            assert!(ids.contains(&id.as_str().unwrap()), "{id}");
        }
    }
    let [contains] = of("contains").try_into().unwrap();
    assert_eq!(contains["to"].as_array().unwrap().len(), 2);
    let license = elements.iter().find(|one| one["type"] == "simplelicensing_LicenseExpression");
    assert_eq!(license.unwrap()["simplelicensing_licenseExpression"], "MIT");
    let hash = json!([{ "algorithm": "sha1", "hashValue": "0a".repeat(20), "type": "Hash" }]);
    assert!(elements.iter().any(|one| one["verifiedUsing"] == hash), "{document:#}");
    assert!(!document.to_string().contains("secret"));
}
