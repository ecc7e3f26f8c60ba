//! Combined poms: each test is a small repository.

mod from_cache;
mod inherited;

use super::{
    packages::resolve,
    pom::{MavenPom, Pom},
};
use crate::ecosystem::{Budget, Fact, Parser, SourceFile, fixtures};
use crate::model::scan_result::Scope;
use std::{fs, path::Path};

fn read(path: &str, text: &str) -> Pom {
    let findings = MavenPom.parse(SourceFile::alone(path, text.as_bytes()));
    assert!(findings.packages.is_empty() && findings.warnings.is_empty(), "{path}");
    assert!(!findings.unreadable, "{path}");
    findings.into_fact()
}

/// One line for each package and warning of the poms, which are resolved in both orders.
fn show(files: &[(&str, &str)]) -> String {
    let poms = || files.iter().map(|(path, text)| read(path, text));
    let findings = resolve(poms().collect(), None, Budget::alone(1 << 20));
    let backwards = resolve(poms().rev().collect(), None, Budget::alone(1 << 20));
    assert_eq!(findings.packages, backwards.packages);
    assert_eq!(findings.warnings, backwards.warnings);
    let packages = findings.packages.iter().map(|package| {
        let version = package.version.as_deref().or(package.specifier.as_deref()).unwrap_or("-");
        format!(
            "{} {} {version} {}",
            package.file,
            package.name,
            package.scope.map_or("-", Scope::as_str)
        )
    });
    let warnings =
        findings.warnings.iter().map(|warning| format!("{}: {}", warning.file, warning.message));
    packages.chain(warnings).collect::<Vec<_>>().join("\n")
}

#[track_caller]
fn check(files: &[(&str, &str)], expected: &[&str]) {
    assert_eq!(show(files), expected.join("\n"));
}

fn project(name: &str, rest: &str) -> String {
    let (group, artifact) = name.split_once(':').unwrap();
    format!(
        "<project><groupId>{group}</groupId><artifactId>{artifact}</artifactId><version>1</version>{rest}</project>"
    )
}

fn child(parent: &str, artifact: &str, rest: &str) -> String {
    let (group, parent) = parent.split_once(':').unwrap();
    format!(
        "<project><parent><groupId>{group}</groupId><artifactId>{parent}</artifactId><version>1</version></parent><artifactId>{artifact}</artifactId>{rest}</project>"
    )
}

fn dependency(name: &str, rest: &str) -> String {
    let (group, artifact) = name.split_once(':').unwrap();
    format!(
        "<dependency><groupId>{group}</groupId><artifactId>{artifact}</artifactId>{rest}</dependency>"
    )
}

fn dependencies(all: &[String]) -> String {
    format!("<dependencies>{}</dependencies>", all.concat())
}

fn managed(all: &[String]) -> String {
    format!("<dependencyManagement>{}</dependencyManagement>", dependencies(all))
}

fn version(version: &str) -> String {
    format!("<version>{version}</version>")
}

#[test]
fn inherited_entries_are_expanded_with_the_childs_properties() {
    let parent = project(
        "g:parent",
        &format!(
            "<properties><v>1.0</v><w>${{v}}.w</w></properties>{}",
            managed(&[
                dependency("x:a", &version("${v}")),
                dependency("x:b", &version("${w}")),
                dependency("x:c_${v}", "<version>3.0</version><scope>test</scope>"),
            ])
        ),
    );
    let wanted =
        |a: &str| dependencies(&[dependency("x:a", ""), dependency("x:b", ""), dependency(a, "")]);
    check(
        &[
            ("pom.xml", &parent),
            ("one/pom.xml", &child("g:parent", "one", &wanted("x:c_1.0"))),
            (
                "two/pom.xml",
                &child(
                    "g:parent",
                    "two",
                    &format!("<properties><v>2.0</v></properties>{}", wanted("x:c_2.0")),
                ),
            ),
        ],
        &[
            "one/pom.xml x:a 1.0 runtime",
            "one/pom.xml x:b 1.0.w runtime",
            "one/pom.xml x:c_1.0 3.0 test",
            "two/pom.xml x:a 2.0 runtime",
            "two/pom.xml x:b 2.0.w runtime",
            "two/pom.xml x:c_2.0 3.0 test",
        ],
    );
}

#[test]
fn a_bom_has_its_own_properties_and_loses_against_own_entries() {
    let bom = project(
        "g:bom",
        &format!(
            "<properties><v>1.0</v></properties>{}",
            managed(&[dependency("x:a", &version("${v}")), dependency("x:b", &version("${v}"))])
        ),
    );
    let import = dependency("g:bom", "<version>1</version><type>pom</type><scope>import</scope>");
    let user = project(
        "g:user",
        &format!(
            "<properties><v>9.9</v></properties>{}{}",
            managed(&[import, dependency("x:b", &version("2.0"))]),
            dependencies(&[
                dependency("x:a", ""),
                dependency("x:b", ""),
                dependency("x:c", ""),
                dependency("x:d", &version("${d}")),
            ])
        ),
    );
    check(
        &[("bom/pom.xml", &bom), ("user/pom.xml", &user)],
        &[
            "user/pom.xml x:a 1.0 runtime",
            "user/pom.xml x:b 2.0 runtime",
            "user/pom.xml x:c - runtime",
            "user/pom.xml x:d ${d} runtime",
            "user/pom.xml: `x:d`: `${d}` is defined outside the repository",
            "user/pom.xml: `x:c`: the version is defined outside the repository",
        ],
    );
}

#[test]
fn projects_of_the_repository_are_not_packages_in_their_version() {
    let user = child(
        "g:parent",
        "user",
        &dependencies(&[
            dependency("${project.groupId}:core", &version("${project.version}")),
            dependency("g:core", &version("0.9")),
            dependency("g:core", ""),
        ]),
    );
    check(
        &[
            ("pom.xml", &project("g:parent", "")),
            ("core/pom.xml", &child("g:parent", "core", "")),
            ("user/pom.xml", &user),
        ],
        &["user/pom.xml g:core 0.9 runtime"],
    );
}

#[test]
fn poms_of_a_maven_repository_are_not_projects() {
    let wants = dependencies(&[dependency("x:a", &version("1"))]);
    check(
        &[("lib/x/a/1/a-1.pom", &project("x:a", "")), ("pom.xml", &project("g:app", &wants))],
        &["pom.xml x:a 1 runtime"],
    );
}

#[test]
fn a_parent_is_found_by_path_or_coordinates() {
    let properties = |v: &str| format!("<properties><v>{v}</v></properties>");
    let uses = dependencies(&[dependency("x:a", &version("${v}"))]);
    let other = project("g:other", &properties("3"));
    let by_name = child("g:build", "one", &uses);
    let newer = by_name.replace("<version>1</version></parent>", "<version>2</version></parent>");
    let by_folder = child("g:build", "three", &uses)
        .replace("</parent>", "<relativePath>../../build</relativePath></parent>");
    check(
        &[
            ("pom.xml", &other),
            ("build/pom.xml", &project("g:build", &properties("1"))),
            ("one/pom.xml", &by_name),
            ("two/pom.xml", &newer),
            ("a/three/pom.xml", &by_folder),
        ],
        &[
            "a/three/pom.xml x:a 1 runtime",
            "one/pom.xml x:a 1 runtime",
            "two/pom.xml g:build 2 build",
            "two/pom.xml x:a ${v} runtime",
            "two/pom.xml: `x:a`: `${v}` is defined by g:build:2, which is outside the repository",
        ],
    );
}

#[test]
fn a_profile_counts_in_its_own_pom_only() {
    let profile = |id: &str, rest: &str| {
        format!("<profiles><profile><id>{id}</id>{rest}</profile></profiles>")
    };
    let parent = project(
        "g:parent",
        &profile(
            "p",
            &managed(&[dependency("x:a", &version("1")), dependency("x:b", &version("1"))]),
        ),
    );
    let inside = managed(&[dependency("x:a", &version("2"))])
        + "<properties><v>3</v></properties>"
        + &dependencies(&[
            dependency("x:a", ""),
            dependency("x:b", ""),
            dependency("x:c", &version("${v}")),
        ]);
    check(
        &[("pom.xml", &parent), ("one/pom.xml", &child("g:parent", "one", &profile("p", &inside)))],
        &[
            "one/pom.xml x:a 2 runtime",
            "one/pom.xml x:b - runtime",
            "one/pom.xml x:c 3 runtime",
            "one/pom.xml: `x:b`: the version is defined outside the repository",
        ],
    );
}

#[test]
fn circular_references_end() {
    let import =
        |name: &str| dependency(name, "<version>1</version><type>pom</type><scope>import</scope>");
    let wants = dependencies(&[dependency("x:a", "")]);
    let one = child("g:two", "one", &format!("{}{wants}", managed(&[import("g:two")])));
    let two = child("g:one", "two", &format!("{}{wants}", managed(&[import("g:one")])));
    let itself = child("g:self", "self", &format!("{}{wants}", managed(&[import("g:self")])));
    let shown = show(&[("1/pom.xml", &one), ("2/pom.xml", &two), ("3/pom.xml", &itself)]);
    assert_eq!(shown.lines().count(), 6);
}

#[test]
fn imports_that_multiply_are_bounded() {
    let import = |name: String| {
        dependency(&name, "<version>1</version><type>pom</type><scope>import</scope>")
    };
    let texts: Vec<(String, String)> = (0..100)
        .map(|at| {
            let next = |step: usize| import(format!("g:p{}", (at + step) % 100));
            let wants: Vec<_> =
                (0..100).map(|number| dependency(&format!("x:a{number}"), "")).collect();
            let imports: Vec<_> = (1..50).map(next).collect();
            let rest = managed(&imports) + &dependencies(&wants);
            (format!("{at}/pom.xml"), project(&format!("g:p{at}"), &rest))
        })
        .collect();
    let poms = texts.iter().map(|(path, text)| read(path, text)).collect();
    let begun = fixtures::processor_time();
    assert_eq!(resolve(poms, None, Budget::alone(1 << 20)).packages.len(), 10_000);
    assert!(fixtures::processor_time().saturating_sub(begun).as_secs() < 30);
}

/// The expected versions are those of Maven's own model builder for the same files.
#[track_caller]
fn check_real(folder: &str, names: &[&str]) {
    let real = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/ecosystem/pom/real");
    let folder = real.join(folder);
    let texts: Vec<_> =
        names.iter().map(|name| fs::read_to_string(folder.join(name)).unwrap()).collect();
    let files: Vec<_> = names.iter().copied().zip(texts.iter().map(String::as_str)).collect();
    let together = fs::read_to_string(folder.join("together.txt")).unwrap();
    assert_eq!(show(&files), together.trim_end());
}

#[test]
fn a_project_of_several_modules_matches_maven() {
    check_real("modules", &["pom.xml", "bom/pom.xml", "core/pom.xml", "web/pom.xml"]);
    check_real("inherited", &["pom.xml", "crane/pom.xml", "dock/pom.xml"]);
}

/// Fails if long texts, or a long path that each package contains, are not counted.
#[test]
fn the_size_of_a_pom_is_a_measure_of_its_memory() {
    let dependency = "<dependency><groupId>g</groupId><artifactId>a</artifactId></dependency>";
    let many = |count: usize| {
        project("g:a", &format!("<dependencies>{}</dependencies>", dependency.repeat(count)))
    };
    assert_eq!(read("pom.xml", &many(3)).size(), 4);
    let path = format!("{}/pom.xml", "d".repeat(4_000));
    assert!(read(&path, &many(3)).size() > 60);
    let long = "1".repeat(300);
    let long =
        dependency.replace("</artifactId>", &format!("</artifactId><version>{long}</version>"));
    let long = project("g:a", &format!("<dependencies>{}</dependencies>", long.repeat(10)));
    assert_eq!(read("pom.xml", &long).size(), 21);
}
