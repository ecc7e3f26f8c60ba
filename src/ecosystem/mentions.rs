//! Files that mention one thing as often as they can: a long text, a long list, a name that stands for
//! others.
//!
//! Input: a way to write such a file, for each place in which a format can mention something. Output: a
//! failure where four times the file takes more than about four times the work, gives more than four times
//! the findings, or needs more memory than a scanner may have.
//!
//! Invariants: what is compared is counted, not timed; only a bound on processor time, which is far
//! from what linear work takes, catches work that nobody charges.

use super::{
    Budget, Parser, SourceFile, check::read_alone, deep_parser_for, parser_for, source_parser_for,
};
use crate::made_up::time_of;
use crate::model::scan_result::Package;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::{process::Command, time::Duration};

/// Bytes of a file, and of one four times as large.
const SIZES: [usize; 2] = [100_000, 400_000];

/// What reading the larger file may take on a slow machine without optimizations: linear work takes a
/// tenth of it, quadratic work ten times as much.
const LONGEST: Duration = Duration::from_secs(8);

/// What a scanner may fill with data, by the settings.
const MEMORY: u64 = 256 << 20;

/// A path, and how to write a file of so many bytes for it.
type Place = (&'static str, &'static str, fn(usize) -> String);

/// A text of so many bytes.
fn long(size: usize) -> String {
    "x".repeat(size)
}

/// Pieces of a file until it is so long.
fn many(size: usize, piece: impl Fn(usize) -> String) -> String {
    let mut out = String::new();
    for number in 0.. {
        if out.len() >= size {
            break;
        }
        out.push_str(&piece(number));
    }
    out
}

/// Half of a file is `one` long thing, the other half mentions it.
fn halves(size: usize, one: impl Fn(usize) -> String, mention: impl Fn(usize) -> String) -> String {
    one(size / 2) + &many(size / 2, mention)
}

fn docker(what: &'static str, file: fn(usize) -> String) -> Place {
    (what, "Dockerfile", file)
}

/// Every place, with what is mentioned there.
fn places() -> Vec<Place> {
    [containers(), dotnet(), jvm(), scripts(), locks(), imports()].concat()
}

fn containers() -> Vec<Place> {
    vec![
        docker("a long ARG in other ARGs", |size| {
            let tail = "FROM a:1\nFROM $b1\nFROM b:$b2\n";
            halves(size, |_| format!("ARG a={}\n", long(4_000)), |it| format!("ARG b{it}=$a\n"))
                + tail
        }),
        docker("a short ARG in other ARGs", |size| {
            let tail = "FROM b:$b2\n";
            halves(size, |_| format!("ARG a={}\n", long(250)), |it| format!("ARG b{it}=$a\n"))
                + tail
        }),
        docker("an ARG that doubles", |size| {
            many(size, |it| match it {
                0 => "ARG a0=xx\n".to_owned(),
                it => format!("ARG a{it}=$a{0}$a{0}\n", it - 1),
            }) + "FROM a:$a9\n"
        }),
        docker("an ARG in FROM", |size| {
            format!("ARG a={}\n", long(500)) + &many(size, |it| format!("FROM i{it}:$a\n"))
        }),
        docker("defaults within defaults", |size| {
            many(size, |it| format!("FROM i{it}:${{a:-${{b:-${{c:-${{d:-{it}}}}}}}}}\n"))
        }),
        docker("braces that nothing closes", |size| {
            many(size, |_| format!("FROM {}\n", "${".repeat(2_000)))
        }),
        docker("many stages", |size| {
            halves(
                size,
                |size| many(size, |it| format!("FROM a AS s{it}\n")),
                |it| format!("FROM n{it}\n"),
            )
        }),
        docker("COPY from many stages", |size| {
            halves(
                size,
                |size| many(size, |it| format!("FROM a AS s{it}\n")),
                |it| format!("COPY --from=n{it} a b\n"),
            )
        }),
        docker("here-documents that nothing ends", |size| {
            halves(
                size,
                |size| format!("FROM a\nRUN {}\n", many(size, |it| format!("<<a{it} "))),
                |_| "b\n".to_owned(),
            )
        }),
        ("a long tool", "mise.toml", |size| {
            let versions = many(size / 2, |_| "'1',".to_owned());
            format!("[tools]\n{} = [{versions}]\n", long(size / 2))
        }),
        ("a tool with many versions", ".tool-versions", |size| {
            format!("{} {}\n", long(900), many(size, |_| "1 ".to_owned()))
        }),
    ]
}

fn project(inner: &str) -> String {
    format!("<Project>{inner}</Project>")
}

fn dotnet() -> Vec<Place> {
    const PROJECT: &str = "a.csproj";
    fn references(size: usize, version: &str) -> String {
        many(size, |it| format!("<PackageReference Include='a{it}' Version='{version}'/>"))
    }
    vec![
        ("a version of many names", PROJECT, |size| {
            let names = many(size - 4_000, |it| format!("a{it};"));
            let version = long(4_000);
            project(&format!(
                "<ItemGroup><PackageReference Include='{names}' Version='{version}'/></ItemGroup>"
            ))
        }),
        ("a short version of many names", PROJECT, |size| {
            let names = many(size, |it| format!("a{it};"));
            let version = long(290);
            project(&format!(
                "<ItemGroup><PackageReference Include='{names}' Version='{version}'/></ItemGroup>"
            ))
        }),
        ("a long property", PROJECT, |size| {
            let group = format!("<PropertyGroup><P>{}</P></PropertyGroup>", long(size / 2));
            project(&format!("{group}<ItemGroup>{}</ItemGroup>", references(size / 2, "$(P)")))
        }),
        ("a property many times in one version", PROJECT, |size| {
            let group = format!("<PropertyGroup><P>{}</P></PropertyGroup>", long(200));
            let names = many(size, |it| format!("a{it};"));
            let version = "$(P)".repeat(70);
            project(&format!(
                "{group}<ItemGroup><PackageReference Include='{names}' Version='{version}'/></ItemGroup>"
            ))
        }),
        ("properties that double", PROJECT, |size| {
            let group = many(size / 2, |it| match it {
                0 => "<P0>1</P0>".to_owned(),
                it => format!("<P{it}>$(P{0})$(P{0})</P{it}>", it - 1),
            });
            let references = references(size / 2, "$(P40)");
            project(&format!(
                "<PropertyGroup>{group}</PropertyGroup><ItemGroup>{references}</ItemGroup>"
            ))
        }),
        ("a target of many libraries", "a.deps.json", |size| {
            let required = many(size / 2, |it| format!("\"r{it}\":\"1\","));
            let libraries = many(size / 2, |_| "\"a/1\":{\"type\":\"package\"},".to_owned());
            format!(
                "{{\"targets\":{{\"t\":{{\"a/1\":{{\"dependencies\":{{{required}}}}}}}}},\"libraries\":{{{libraries}}}}}"
            )
        }),
        ("a long group", "paket.lock", |size| {
            let lines = many(size / 2, |it| format!("    a{it} (1)\n      b{it} (1)\n"));
            format!("GROUP {}\nNUGET\n  remote: x\n{lines}", long(size / 2))
        }),
    ]
}

fn jvm() -> Vec<Place> {
    const CATALOG: &str = "gradle/libs.versions.toml";
    fn dependency(artifact: &str, version: &str) -> String {
        format!(
            "<dependency><groupId>g</groupId><artifactId>{artifact}</artifactId><version>{version}</version></dependency>"
        )
    }
    vec![
        ("a long version of a sequence", "build.sbt", |size| {
            let modules = many(size / 2, |it| format!("\"g\" % \"a{it}\",\n"));
            format!("libraryDependencies ++= Seq({modules}).map(_ % \"{}\")\n", long(size / 2))
        }),
        ("a short version of a sequence", "build.sbt", |size| {
            let modules = many(size, |it| format!("\"g\" % \"a{it}\",\n"));
            format!("libraryDependencies ++= Seq({modules}).map(_ % \"{}\")\n", long(290))
        }),
        ("a long group of a sequence", "build.sbt", |size| {
            let artifacts = many(size / 2, |it| format!("\"a{it}\","));
            let one = "libraryDependencies += \"g\" % \"a\" % \"1\"";
            format!("val a = Seq({artifacts}).map(\"{}\" %% _ % \"1\")\n{one}\n", long(size / 2))
        }),
        ("a version of Scala", "build.sbt", |size| {
            let modules = many(size / 2, |it| {
                format!("\"g\" %% \"a{it}\" % \"1\" cross CrossVersion.full\n")
            });
            format!("scalaVersion := \"{}\"\n{modules}", long(size / 2))
        }),
        ("a constant of sbt", "build.sbt", |size| {
            halves(
                size,
                |size| format!("val v = \"{}\"\n", long(size)),
                |it| format!("val a{it} = \"g\" % \"a\" % v\n"),
            )
        }),
        ("a constant of Gradle", "build.gradle", |size| {
            let asked = many(size / 2, |it| format!("api \"g:a{it}:$v\"\n"));
            format!("ext.v = '{}'\ndependencies {{\n{asked}}}\n", long(size / 2))
        }),
        ("constants that double", "build.gradle", |size| {
            let constants = many(size / 2, |it| match it {
                0 => "ext.v0 = '1'\n".to_owned(),
                it => format!("ext.v{it} = \"${{v{0}}}${{v{0}}}\"\n", it - 1),
            });
            format!(
                "{constants}dependencies {{\n{}}}\n",
                many(size / 2, |it| format!("api \"g:a{it}:$v40\"\n"))
            )
        }),
        ("a map with a long name", "build.gradle", |size| {
            let entries = many(size / 2, |it| format!("a{it}: '1',"));
            format!("{} = [{entries}]\ndependencies {{ api 'g:a:1' }}\n", long(size / 2))
        }),
        ("a version of many modules", "build.gradle", |size| {
            let modules = many(size / 2, |it| format!("'g:a{it}',"));
            format!(
                "dependencies {{\napi({modules} 'g:b') {{ version {{ strictly('{}') }} }}\n}}\n",
                long(size / 2)
            )
        }),
        ("a path of many names", "build.gradle", |size| {
            format!("dependencies {{\napi {}\napi 'g:a:1'\n}}\n", many(size, |_| "a.".to_owned()))
        }),
        ("a version of many libraries", CATALOG, |size| {
            let libraries =
                many(size / 2, |it| format!("a{it} = {{ module = 'g:a', version.ref = 'v' }}\n"));
            format!("[versions]\nv = '{}'\n[libraries]\n{libraries}", long(size / 2))
        }),
        ("a library in many bundles", CATALOG, |size| {
            let libraries = many(size / 3, |it| format!("a{it} = 'g:a:1'\n"));
            let list = many(size / 3, |it| format!("'a{it}',"));
            let bundles = many(size / 3, |it| format!("b{it} = ['bundles-b0']\n"));
            format!("[libraries]\n{libraries}[bundles]\nb0 = [{list}]\nc{bundles}")
        }),
        ("a property of Maven", "pom.xml", |size| {
            let all = many(size, |it| dependency(&format!("a{it}"), "${v}"));
            format!(
                "<project><properties><v>{}</v></properties><dependencies>{all}</dependencies></project>",
                long(290)
            )
        }),
        ("properties that double", "pom.xml", |size| {
            let properties = many(size / 2, |it| match it {
                0 => "<p0>1</p0>".to_owned(),
                it => format!("<p{it}>${{p{0}}}${{p{0}}}</p{it}>", it - 1),
            });
            let all = many(size / 2, |it| dependency(&format!("a{it}"), "${p40}"));
            format!(
                "<project><properties>{properties}</properties><dependencies>{all}</dependencies></project>"
            )
        }),
        ("managed expressions", "pom.xml", |size| {
            let managed = many(size / 2, |it| dependency(&format!("${{m{it}}}"), "1"));
            let all = many(size / 2, |it| {
                dependency(&format!("a{it}"), "").replace("<version></version>", "")
            });
            format!(
                "<project><dependencyManagement><dependencies>{managed}</dependencies></dependencyManagement><dependencies>{all}</dependencies></project>"
            )
        }),
    ]
}

fn scripts() -> Vec<Place> {
    vec![
        ("a repository of many gems", "Gemfile", |size| {
            let gems = many(size / 2, |it| format!("gem 'a{it}'\n"));
            format!("git '{}' do\n{gems}end\n", long(size / 2))
        }),
        ("blocks in a block", "Gemfile", |size| {
            let blocks = many(size / 2, |_| "if x\nend\n".to_owned());
            format!("git '{}' do\ngem 'a'\n{blocks}end\n", long(size / 2))
        }),
        ("a list of many mentions", "setup.py", |size| {
            let list = many(size / 2, |it| format!("'a{it}',"));
            format!(
                "a = [{list}]\nsetup(install_requires=[{}])\n",
                many(size / 2, |_| "*a,".to_owned())
            )
        }),
        ("a text of many mentions", "setup.py", |size| {
            format!(
                "a = '{}'\nsetup(install_requires=[{}])\n",
                long(size / 2),
                many(size / 2, |_| "a,".to_owned())
            )
        }),
        ("a dictionary of many mentions", "setup.py", |size| {
            let entries = many(size / 2, |it| format!("'k{it}':['a{it}'],"));
            format!(
                "a = {{{entries}}}\nsetup(install_requires={}['b'])\n",
                many(size / 2, |_| "a['k1']+".to_owned())
            )
        }),
        ("a definition of a workspace", "Cargo.toml", |size| {
            let members =
                many(size / 2, |it| format!("[target.t{it}.dependencies]\nx.workspace=true\n"));
            format!("[workspace.dependencies]\nx = {{ git = '{}' }}\n{members}", long(size / 2))
        }),
        ("a range of a workspace", "Cargo.toml", |size| {
            let members =
                many(size / 2, |it| format!("[target.t{it}.dependencies]\nx.workspace=true\n"));
            format!("[workspace.dependencies]\nx = '={}'\n{members}", long(size / 2))
        }),
        ("a long directive", "go.mod", |size| {
            let lines = many(size / 2, |it| format!("a{it}\n"));
            format!("module a\nrequire b v1.0.0\n\"\\\\{}\" (\n{lines})\n", long(size / 2))
        }),
        ("a replacement", "go.mod", |size| {
            format!("replace a => {} v1.0.0\n", long(900))
                + &many(size, |_| "require a v1\n".to_owned())
        }),
        ("alternatives of a long name", "pyproject.toml", |size| {
            let alternatives = many(size / 2, |_| "{version='1'},".to_owned());
            format!("[tool.poetry.dependencies]\n{} = [{alternatives}]\n", long(size / 2))
        }),
        ("an override", "vcpkg.json", |size| {
            let version = long(3_900);
            let all = many(size, |_| "\"a\",".to_owned());
            format!(
                "{{\"overrides\":[{{\"name\":\"a\",\"version\":\"{version}\"}}],\"dependencies\":[{all}]}}"
            )
        }),
    ]
}

fn locks() -> Vec<Place> {
    fn deep() -> String {
        "a/".repeat(250)
    }
    vec![
        ("a long specifier", "deno.lock", |size| {
            let asked = many(size / 2, |_| "\"a\",".to_owned());
            let target = long(size / 2);
            format!(
                "{{\"version\":\"4\",\"specifiers\":{{\"a\":\"{target}\"}},\"npm\":{{\"b@1.0.0\":{{\"dependencies\":[{asked}]}}}}}}"
            )
        }),
        ("a deep importer", "package-lock.json", |size| {
            let names = many(size, |it| format!("\"d{it}\":\"1\","));
            format!(
                "{{\"lockfileVersion\":3,\"packages\":{{\"node_modules/a\":{{\"version\":\"1.0.0\"}},\"{}\":{{\"dependencies\":{{{names}}}}}}}}}",
                deep()
            )
        }),
        ("a deep place", "bun.lock", |size| {
            let names = many(size, |it| format!("\"d{it}\":\"1\","));
            format!(
                "{{\"lockfileVersion\":1,\"packages\":{{\"{}b\":[\"b@1.0.0\",\"\",{{\"dependencies\":{{{names}}}}}]}}}}",
                deep()
            )
        }),
        ("one that many require", "poetry.lock", |size| {
            let version = long(3_900);
            let all = many(size, |it| {
                format!("[[package]]\nname='p{it}'\nversion='1'\n[package.dependencies]\na='*'\n")
            });
            format!("[[package]]\nname='a'\nversion='{version}'\n{all}")
        }),
        ("one that is required many times", "Cargo.lock", |size| {
            let version = long(3_900);
            let all = many(size, |_| format!("'a {}',\n", "x"));
            format!(
                "[[package]]\nname='a'\nversion='{version}'\nsource='s'\n[[package]]\nname='b'\nversion='1'\nsource='s'\ndependencies=['a',{all}]\n"
            )
        }),
        ("a long reference in JSON", "bom.json", |size| {
            let all = many(size / 2, |_| "\"a\",".to_owned());
            let components = "[{\"name\":\"a\",\"purl\":\"pkg:npm/a@1\",\"bom-ref\":\"a\"}]";
            format!(
                "{{\"bomFormat\":\"CycloneDX\",\"components\":{components},\"dependencies\":[{{\"ref\":\"{}\",\"dependsOn\":[{all}]}}]}}",
                long(size / 2)
            )
        }),
        ("a long reference in XML", "bom.xml", |size| {
            let all = many(size / 2, |_| "<dependency ref='a'/>".to_owned());
            format!(
                "<bom><components><component bom-ref='a'><name>a</name><purl>pkg:npm/a@1</purl></component></components><dependencies><dependency ref='{}'>{all}</dependency></dependencies></bom>",
                long(size / 2)
            )
        }),
        ("a long subject", "spdx.json", |size| {
            let all = many(size / 2, |_| "\"a\",".to_owned());
            let package = "{\"type\":\"software_Package\",\"spdxId\":\"a\",\"software_packageUrl\":\"pkg:npm/a@1\"}";
            format!(
                "{{\"@graph\":[{package},{{\"type\":\"Relationship\",\"relationshipType\":\"dependsOn\",\"from\":\"{}\",\"to\":[{all}]}}]}}",
                long(size / 2)
            )
        }),
    ]
}

fn imports() -> Vec<Place> {
    vec![
        ("names of a long module", "a.py", |size| {
            format!(
                "import b\nfrom {} import ({})\n",
                long(size / 2),
                many(size / 2, |it| format!("a{it},"))
            )
        }),
        ("many names", "a.py", |size| format!("import {} b\n", many(size, |it| format!("a{it},")))),
        ("selectors of a long package", "a.scala", |size| {
            format!(
                "import com.acme.b.C\nimport a.{}.{{{}}}\n",
                long(size / 2),
                many(size / 2, |it| format!("a{it},"))
            )
        }),
        ("many segments", "A.java", |size| {
            format!("import b.C;\nimport {}b;\n", many(size, |_| "a.".to_owned()))
        }),
        ("many packages", "a.scala", |size| {
            many(size, |_| "package abc\n".to_owned()) + "import com.acme.b.C\n"
        }),
    ]
}

fn parser_of(path: &str) -> &'static dyn Parser {
    let deep = || deep_parser_for(path).or_else(|| source_parser_for(path));
    parser_for(path).or_else(deep).unwrap_or_else(|| panic!("no parser for {path}"))
}

/// What reading a file comes to.
struct Measured {
    units: u64,
    /// Bytes of what is found.
    found: usize,
    /// Whether the budget of the file ended it.
    is_cut_short: bool,
}

fn measure(path: &str, text: &str) -> Measured {
    let budget = Budget::of(text.len() as u64);
    let file = SourceFile { path, bytes: text.as_bytes(), budget: &budget };
    let findings = read_alone(parser_of(path), file);
    let packages = findings.packages.iter().map(Package::text_len);
    let warnings = findings.warnings.iter().map(|it| it.message.len());
    Measured {
        units: budget.spent(),
        found: packages.chain(warnings).sum(),
        is_cut_short: budget.was_used_up(),
    }
}

/// Reads the files of every fourth place.
fn read_places(part: usize) {
    for (what, path, file) in places().into_iter().skip(part).step_by(4) {
        let [small, large] = SIZES.map(file);
        let about_four_times = large.len() < 5 * small.len() && large.len() > 2 * small.len();
        assert!(about_four_times, "{path}, {what}: {} and {} bytes", small.len(), large.len());
        let few = measure(path, &small);
        let mut more = None;
        let took = time_of(|| more = Some(measure(path, &large)));
        let Some(more) = more else { continue };
        let case = format!(
            "{path}, {what}: {} units and {} bytes become {} and {} in {took:?}",
            few.units, few.found, more.units, more.found
        );
        eprintln!("{case}");
        assert!(few.found > 0 && more.found > 0, "{case}: nothing is found, so nothing is tried");
        assert!(more.units < 6 * few.units + 500_000, "{case}");
        // Where the budget ends a file, what is found follows from it.
        if !few.is_cut_short && !more.is_cut_short {
            assert!(more.found < 6 * few.found + 50_000, "{case}");
        }
        assert!(more.found < 50 * large.len() + (1 << 20), "{case}");
        assert!(took < LONGEST, "{case}");
    }
}

/// Set in the process that does the reading, which may fill no more memory than a scanner.
const INSIDE: &str = "SCANWATCH_TEST_MENTIONS";

/// Runs the test of this name in a process of its own.
fn within_the_memory_of_a_scanner(test: &str, part: usize) {
    if std::env::var_os(INSIDE).is_some() {
        let limit = Rlimit { current: Some(MEMORY), maximum: getrlimit(Resource::Data).maximum };
        setrlimit(Resource::Data, limit).unwrap();
        return read_places(part);
    }
    #[expect(clippy::disallowed_methods, reason = "this very program")]
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture", &format!("ecosystem::mentions::{test}")])
        .env(INSIDE, "1")
        .output()
        .unwrap();
    let shown = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (stdout, stderr) = (shown(&output.stdout), shown(&output.stderr));
    assert!(
        output.status.success() && stdout.contains("1 passed"),
        "{}\n{stdout}\n{stderr}",
        output.status
    );
    eprintln!("{stderr}");
}

/// The first of four parts, so that they can be tried beside each other.
#[test]
fn what_is_mentioned_often_is_read_once_in_the_first_places() {
    within_the_memory_of_a_scanner("what_is_mentioned_often_is_read_once_in_the_first_places", 0);
}

#[test]
fn what_is_mentioned_often_is_read_once_in_the_second_places() {
    within_the_memory_of_a_scanner("what_is_mentioned_often_is_read_once_in_the_second_places", 1);
}

#[test]
fn what_is_mentioned_often_is_read_once_in_the_third_places() {
    within_the_memory_of_a_scanner("what_is_mentioned_often_is_read_once_in_the_third_places", 2);
}

#[test]
fn what_is_mentioned_often_is_read_once_in_the_last_places() {
    within_the_memory_of_a_scanner("what_is_mentioned_often_is_read_once_in_the_last_places", 3);
}
