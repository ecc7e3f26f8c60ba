//! What comes from a parent: entries, versions of plugins, and the poms outside the repository.

use super::{check, child, dependencies, dependency, managed, project, version};

fn properties(all: &str) -> String {
    format!("<properties>{all}</properties>")
}

fn plugin(artifact: &str, rest: &str) -> String {
    format!("<plugin><groupId>p</groupId><artifactId>{artifact}</artifactId>{rest}</plugin>")
}

fn build(plugins: &[String], managed: &[String]) -> String {
    let (plugins, managed) = (plugins.concat(), managed.concat());
    format!(
        "<build><plugins>{plugins}</plugins><pluginManagement><plugins>{managed}</plugins></pluginManagement></build>"
    )
}

fn path(name: &str, rest: &str) -> String {
    let inside = dependency(name, rest).replace("dependency>", "path>");
    format!(
        "<configuration><annotationProcessorPaths>{inside}</annotationProcessorPaths></configuration>"
    )
}

const COMPILER: &str = "<artifactId>maven-compiler-plugin</artifactId>";

#[test]
fn an_inherited_dependency_is_listed_where_its_version_or_scope_differs() {
    let parent = project(
        "g:parent",
        &format!(
            "{}{}{}",
            properties("<v>1.0</v>"),
            managed(&[dependency("x:b", &version("1.1")), dependency("x:c", &version("1.2"))]),
            dependencies(&[
                dependency("x:a", &version("${v}")),
                dependency("x:b", ""),
                dependency("x:c", ""),
            ])
        ),
    );
    let changed = properties("<v>2.0</v>")
        + &managed(&[
            dependency("x:b", &version("2.1")),
            dependency("x:c", "<version>1.2</version><scope>test</scope>"),
        ]);
    let replaced = properties("<v>3.0</v>") + &dependencies(&[dependency("x:a", &version("3.3"))]);
    check(
        &[
            ("pom.xml", &parent),
            ("changed/pom.xml", &child("g:parent", "changed", &changed)),
            ("changed/below/pom.xml", &child("g:changed", "below", "")),
            ("replaced/pom.xml", &child("g:parent", "replaced", &replaced)),
            ("same/pom.xml", &child("g:parent", "same", "")),
        ],
        &[
            "changed/pom.xml x:a 2.0 runtime",
            "changed/pom.xml x:b 2.1 runtime",
            "changed/pom.xml x:c 1.2 test",
            "pom.xml x:a 1.0 runtime",
            "pom.xml x:b 1.1 runtime",
            "pom.xml x:c 1.2 runtime",
            "replaced/pom.xml x:a 3.3 runtime",
        ],
    );
}

/// Fails if a module lists what its profile alone would give to the modules below, or a private plugin.
#[test]
fn private_plugins_and_profiles_are_not_inherited() {
    let own = plugin("own", "<version>${v}</version><inherited>false</inherited>");
    let shared = plugin("shared", &version("${v}"));
    let profile = format!(
        "<profiles><profile><id>i</id>{}</profile></profiles>",
        dependencies(&[dependency("x:a", &version("${v}"))])
    );
    let parent = properties("<v>1</v>") + &build(&[own, shared], &[]) + &profile;
    check(
        &[
            ("pom.xml", &project("g:parent", &parent)),
            ("a/pom.xml", &child("g:parent", "a", &properties("<v>2</v>"))),
        ],
        &[
            "a/pom.xml p:shared 2 build",
            "pom.xml p:own 1 build",
            "pom.xml p:shared 1 build",
            "pom.xml x:a 1 runtime",
        ],
    );
}

#[test]
fn a_plugin_without_a_version_has_that_of_the_parents_plugin() {
    let managed = plugin("a", &version("0.9"));
    let parent = build(&[plugin("a", &version("1.0")), plugin("b", &version("2.0"))], &[managed]);
    let report = format!(
        "<reporting><plugins>{}{}</plugins></reporting>",
        plugin("b", ""),
        plugin("c", &version("3.0"))
    );
    let used = build(&[plugin("a", "")], &[]) + &report;
    check(
        &[
            ("pom.xml", &project("g:parent", &parent)),
            ("one/pom.xml", &child("g:parent", "one", &used)),
        ],
        &[
            "one/pom.xml p:a 1.0 build",
            "one/pom.xml p:b 2.0 build",
            "one/pom.xml p:c 3.0 build",
            "pom.xml p:a 1.0 build",
            "pom.xml p:b 2.0 build",
        ],
    );
}

#[test]
fn parts_of_a_managed_plugin_count_where_it_is_used() {
    let with = |name: &str| dependencies(&[dependency(name, &version("1"))]);
    let compiler = format!("<plugin>{COMPILER}{}</plugin>", path("x:processor", &version("${v}")));
    let parent = properties("<v>4</v>")
        + &build(
            &[],
            &[plugin("used", &with("x:used")), plugin("idle", &with("x:idle")), compiler],
        );
    let user = properties("<v>5</v>") + &build(&[plugin("used", &version("6"))], &[]);
    check(
        &[
            ("pom.xml", &project("g:parent", &parent)),
            ("a/pom.xml", &child("g:parent", "a", &user)),
        ],
        &[
            "a/pom.xml p:used 6 build",
            "a/pom.xml x:processor 5 build",
            "pom.xml x:used 1 build",
            "pom.xml x:processor 4 build",
        ],
    );
}

#[test]
fn processors_are_managed_like_dependencies_and_replaced_as_a_whole() {
    let compiler = |name: &str, rest: &str| {
        let path = path(name, rest);
        format!(
            "<build><plugins><plugin>{COMPILER}<version>3.13.0</version><executions><execution>{path}</execution></executions></plugin></plugins></build>"
        )
    };
    let manages = managed(&[dependency("x:processor", &version("1.0"))]);
    let parent = manages + &compiler("x:processor", "");
    let same = managed(&[dependency("x:processor", &version("2.0"))]);
    check(
        &[
            ("pom.xml", &project("g:parent", &parent)),
            ("other/pom.xml", &child("g:parent", "other", &compiler("x:other", &version("1")))),
            ("same/pom.xml", &child("g:parent", "same", &same)),
        ],
        &[
            "other/pom.xml org.apache.maven.plugins:maven-compiler-plugin 3.13.0 build",
            "other/pom.xml x:other 1 build",
            "pom.xml org.apache.maven.plugins:maven-compiler-plugin 3.13.0 build",
            "pom.xml x:processor 1.0 build",
            "same/pom.xml x:processor 2.0 build",
        ],
    );
}

/// By "Dependency Management" of the POM Reference, `dependencyManagement` is not for plugins.
#[test]
fn dependencies_of_plugins_are_not_managed() {
    let plugin = plugin("a", &(version("1") + &dependencies(&[dependency("x:a", "")])));
    let rest = managed(&[dependency("x:a", &version("1"))]) + &build(&[plugin], &[]);
    check(
        &[("pom.xml", &project("g:a", &rest))],
        &[
            "pom.xml p:a 1 build",
            "pom.xml x:a - build",
            "pom.xml: `x:a`: the version is defined outside the repository",
        ],
    );
}

#[test]
fn a_parent_without_a_version_is_the_pom_at_its_path() {
    let root = project("g:root", &managed(&[dependency("x:a", &version("7"))]));
    let module = |parent: &str, artifact: &str| {
        let wants = dependencies(&[dependency("x:a", ""), dependency("g:root", "")]);
        format!(
            "<project><parent>{parent}</parent><artifactId>{artifact}</artifactId>{wants}</project>"
        )
    };
    let wrong = "<groupId>g</groupId><artifactId>other</artifactId>";
    check(
        &[
            ("pom.xml", &root),
            ("a/pom.xml", &module("", "a")),
            ("a/b/pom.xml", &module("<artifactId>a</artifactId>", "b")),
            ("c/d/pom.xml", &module("<relativePath>../..</relativePath>", "d")),
            ("e/pom.xml", &module(wrong, "e")),
        ],
        &[
            "a/b/pom.xml x:a 7 runtime",
            "a/pom.xml x:a 7 runtime",
            "c/d/pom.xml x:a 7 runtime",
            "e/pom.xml x:a - runtime",
            "e/pom.xml: the parent has no version, and no pom at its relative path states it",
            "e/pom.xml: `x:a`: the version is managed by g:other, which is outside the repository",
        ],
    );
}

#[test]
fn parents_without_versions_that_name_each_other_end() {
    let one = "<project><parent><relativePath>../b</relativePath></parent><artifactId>a</artifactId></project>";
    let two = one.replace("../b", "../a").replace(">a<", ">b<");
    let message = "the parent has no version, and no pom at its relative path states it";
    check(
        &[("a/pom.xml", one), ("b/pom.xml", &two)],
        &["a", "b"]
            .map(|folder| format!("{folder}/pom.xml: {message}"))
            .each_ref()
            .map(String::as_str),
    );
}

#[test]
fn parents_and_boms_outside_the_repository_are_packages_and_named() {
    let import = |name: &str| {
        dependency(name, "<version>${v}</version><type>pom</type><scope>import</scope>")
    };
    let uses = dependencies(&[dependency("x:a", ""), dependency("x:b", &version("${far}"))])
        + &build(&[plugin("c", "")], &[]);
    let only = project("g:only", &(properties("<v>3</v>") + &managed(&[import("o:bom")]) + &uses));
    let both =
        child("o:parent", "both", &(properties("<v>4</v>") + &managed(&[import("o:bom")]) + &uses))
            .replace(
                "<version>1</version></parent>",
                "<version>1</version><relativePath/></parent>",
            );
    let below = child("o:parent", "below", &uses)
        .replace("<groupId>o</groupId><artifactId>parent", "<groupId>o</groupId><artifactId>both");
    check(
        &[("only/pom.xml", &only), ("both/pom.xml", &both), ("both/below/pom.xml", &below)],
        &[
            "both/below/pom.xml x:a - runtime",
            "both/below/pom.xml x:b ${far} runtime",
            "both/below/pom.xml p:c - build",
            "both/pom.xml o:parent 1 build",
            "both/pom.xml o:bom 4 build",
            "both/pom.xml x:a - runtime",
            "both/pom.xml x:b ${far} runtime",
            "both/pom.xml p:c - build",
            "only/pom.xml o:bom 3 build",
            "only/pom.xml x:a - runtime",
            "only/pom.xml x:b ${far} runtime",
            "only/pom.xml p:c - build",
            "both/below/pom.xml: `x:b`: `${far}` is defined by o:parent:1, which is outside the repository",
            "both/below/pom.xml: `p:c`: the version is managed by o:parent:1, which is outside the repository",
            "both/below/pom.xml: `x:a`: the version is managed by one of o:parent:1, o:bom:4, which are outside the repository",
            "both/pom.xml: `x:b`: `${far}` is defined by o:parent:1, which is outside the repository",
            "both/pom.xml: `p:c`: the version is managed by o:parent:1, which is outside the repository",
            "both/pom.xml: `x:a`: the version is managed by one of o:parent:1, o:bom:4, which are outside the repository",
            "only/pom.xml: `x:b`: `${far}` is defined outside the repository",
            "only/pom.xml: `p:c`: the version is defined outside the repository",
            "only/pom.xml: `x:a`: the version is managed by o:bom:3, which is outside the repository",
        ],
    );
}
