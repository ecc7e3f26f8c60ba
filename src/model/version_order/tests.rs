use super::*;

/// Every version is older than all that follow; versions in one text, separated by blanks, are equal.
#[track_caller]
fn ascending(ecosystem: &str, versions: &[&str]) {
    let ecosystem: AnyEcosystem = serde_json::from_value(ecosystem.into()).unwrap();
    let all: Vec<(usize, &str)> = versions
        .iter()
        .enumerate()
        .flat_map(|(place, equal)| equal.split(' ').map(move |version| (place, version)))
        .collect();
    for (x_place, x) in &all {
        for (y_place, y) in &all {
            let expected = x_place.cmp(y_place);
            assert_eq!(compare(&ecosystem, x, y), expected, "{ecosystem:?}: {x} and {y}");
        }
    }
}

#[test]
fn semantic_versions() {
    let precedence = [
        "1.0.0-alpha",
        "1.0.0-alpha.1",
        "1.0.0-alpha.beta",
        "1.0.0-beta",
        "1.0.0-beta.2",
        "1.0.0-beta.11",
        "1.0.0-rc.1",
        "1.0.0 v1.0.0 1.0.0+build 1 1.0",
        "1.0.10",
        "1.10.0",
        "99999999999999999999999.0.0",
        "100000000000000000000000.0.0",
    ];
    for ecosystem in ["npm", "cargo", "golang", "hex", "pub", "terraform"] {
        ascending(ecosystem, &precedence);
    }
    ascending(
        "golang",
        &[
            "v0.0.0-20190101000000-abcdefabcdef",
            "v0.0.0-20200101000000-000000000000",
            "v2.0.0+incompatible",
        ],
    );
}

#[test]
fn nuget_has_four_numbers_and_ignores_case() {
    ascending(
        "nuget",
        &["1.0.0-ALPHA 1.0-alpha", "1.0.0-beta", "1.0.0 1.0.0.0", "1.0.0.1", "1.0.1"],
    );
}

#[test]
fn python_versions() {
    ascending(
        "pypi",
        &[
            "not-a-version",
            "1.0.dev456",
            "1.0a1 1.0alpha1 1.0.a.1 v1.0-A1",
            "1.0a2.dev456",
            "1.0a12",
            "1.0b1.dev456",
            "1.0b2",
            "1.0b2.post345.dev456",
            "1.0b2.post345",
            "1.0rc1.dev456",
            "1.0rc1 1.0c1 1.0-pre1 1.0_preview_1",
            "1.0 1 1.0.0",
            "1.0+abc.5",
            "1.0+abc.7",
            "1.0+5",
            "1.0.post456.dev34",
            "1.0.post456 1.0-456 1.0.rev456",
            "1.0.15",
            "1.1.dev1",
            "2013.10",
            "1!0.1",
        ],
    );
}

#[test]
fn maven_versions() {
    ascending(
        "maven",
        &[
            "0-10.2",
            "0.1",
            "1-alpha-1 1-a1 1.0-alpha-1",
            "1-beta",
            "1-milestone-1 1.0-M1",
            "1-rc 1.0.0-CR",
            "1-rc-2",
            "1-SNAPSHOT",
            "1 1.0 1.0.0 1-ga 1.0.Final 1.0.0.RELEASE",
            "1-sp",
            "1-foo",
            "1-m",
            "1-1 1.0-1",
            "1.0.1",
            "1.1",
            "1.9.9",
            "1.10",
            "33.0-jre",
        ],
    );
}

#[test]
fn gem_versions() {
    ascending(
        "gem",
        &["1.0.a", "1.0.b1", "1.0.b2", "1.0.pre", "1.0.rc1", "1.0 1 1.0.0", "1.0.1", "1.9", "1.10"],
    );
    ascending("gem", &["1.0-1", "1.0"]);
}

#[test]
fn composer_versions() {
    ascending(
        "composer",
        &[
            "dev-main",
            "1.0-dev",
            "1.0-alpha1",
            "1.0.0-beta1",
            "1.0-RC1",
            "1.0.0 v1.0 1.0.0-stable",
            "1.0.0-p1",
            "1.0.1",
            "1.10",
        ],
    );
}

#[test]
fn perl_versions() {
    ascending("cpan", &["1.002 v1.2 1.2.0", "1.10 1.100", "1.9", "v1.901", "2"]);
}

#[test]
fn versions_of_distributions() {
    ascending(
        "deb",
        &[
            "1.0~rc1-1",
            "1.0~rc1-2",
            "1.0-1",
            "1.0-1+b1",
            "1.0-1.1",
            "1.0a-1",
            "1.0+dfsg-1",
            "1.0.1-1",
            "1.10-1",
            "1:0.1-1",
        ],
    );
    ascending("opam", &["1.0~beta", "1.0", "1.0.1", "1.10"]);
    ascending(
        "rpm",
        &["1.0~rc1-1", "1.0-1", "1.0-2", "1.0^git1-1", "1.0.a-1", "1.0.1-1", "1.10-1", "1:0.1-1"],
    );
}

#[test]
fn versions_without_rules() {
    ascending("docker", &["3.12-rc1", "3.12 v3.12", "3.12-slim", "3.12.1", "3.13"]);
    ascending("generic", &["1.0-dev", "1.0a", "1.0beta2", "1.0", "1.0k", "1.0.1"]);
    ascending("swid", &["2019a", "2019.1", "2020"]);
    ascending("cran", &["1.0-1", "1.0-2", "1.0.10"]);
}

#[test]
fn other_texts_are_no_versions() {
    let is_version = |ecosystem: Ecosystem, text| super::is_version(&ecosystem.into(), text);
    assert!(
        is_version(Ecosystem::Npm, "1.2.3") && !is_version(Ecosystem::Npm, "git+ssh://a/b#1.0")
    );
    assert!(is_version(Ecosystem::PyPi, "1.0rc1") && !is_version(Ecosystem::PyPi, "1.0-final-x"));
    assert!(is_version(Ecosystem::Docker, "3-slim") && !is_version(Ecosystem::Docker, "latest"));
}

/// Texts that are hard to read as versions.
const ODD: &str = "- + ~ : 1: :1 -- 1..2 é 1é v ! 1! 1!1 ^ 1^ a- 0 00 \u{0} 1 1.0-a 1-a.0 1.0-1 1-1 1.final 1.0.1-sp-0 0.0 \
     1rc 1.0-10 1.0-9.x v1 1.a.1 1.pre 1-pre 1.0.post1 1.dev0 1+b 1.0+a.1 1~rc1 1^git2 1.0.0-alpha.beta";

/// Breaks if any texts make it panic, have two orders, or are in a circle, for which a sort may panic.
#[test]
fn every_text_has_a_place() {
    let odd: Vec<&str> = ODD.split(' ').chain([""]).collect();
    for name in
        ["npm", "nuget", "pypi", "maven", "gem", "composer", "cpan", "opam", "rpm", "docker"]
    {
        let ecosystem: AnyEcosystem = serde_json::from_value(name.into()).unwrap();
        let row = |a: &&str| odd.iter().map(|b| compare(&ecosystem, a, b)).collect();
        let orders: Vec<Vec<Ordering>> = odd.iter().map(row).collect();
        for (a, of_a) in odd.iter().zip(&orders) {
            for ((b, of_b), order) in odd.iter().zip(&orders).zip(of_a) {
                let reverse = compare(&ecosystem, b, a).reverse();
                assert_eq!(*order, reverse, "{name}: {a:?} and {b:?}");
                for ((c, outer), other) in odd.iter().zip(of_a).zip(of_b) {
                    if order == other || order.is_eq() {
                        assert_eq!(outer, other, "{name}: {a:?}, {b:?}, {c:?}");
                    }
                }
            }
        }
    }
}
