//! The places in which formats can mention something, and how to write files that do it.
//!
//! Input: the size of a file. Output: its text: a long text, or a long list, and what refers to it.

mod languages;

use languages::{imports, locks, scripts};

/// A path, and how to write a file of so many bytes for it.
pub(super) type Place = (&'static str, &'static str, fn(usize) -> String);

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
pub(super) fn places() -> Vec<Place> {
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
        let version =
            if version.is_empty() { "" } else { &format!("<version>{version}</version>") };
        format!(
            "<dependency><groupId>g</groupId><artifactId>{artifact}</artifactId>{version}</dependency>"
        )
    }
    fn managing(managed: &str, asked_for: &str) -> String {
        format!(
            "<project><dependencyManagement><dependencies>{managed}</dependencies></dependencyManagement><dependencies>{asked_for}</dependencies></project>"
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
            managing(&managed, &many(size / 2, |it| dependency(&format!("a{it}"), "")))
        }),
        ("managed groups that are expressions", "pom.xml", |size| {
            let managed =
                many(size / 2, |it| dependency("a", "1").replace(">g<", &format!(">${{m{it}}}<")));
            managing(&managed, &many(size / 2, |_| dependency("a", "")))
        }),
        ("managed groups", "pom.xml", |size| {
            let managed =
                many(size / 2, |it| dependency("a", "1").replace(">g<", &format!(">g{it}<")));
            managing(&managed, &many(size / 2, |_| dependency("a", "")))
        }),
        ("managed kinds", "pom.xml", |size| {
            let kind = |it| format!("</version><type>t{it}</type>");
            let managed =
                many(size / 2, |it| dependency("a", "1").replace("</version>", &kind(it)));
            managing(&managed, &many(size / 2, |_| dependency("a", "")))
        }),
        ("imports that are not there", "pom.xml", |size| {
            let import = "</version><type>pom</type><scope>import</scope>";
            let managed = many(size / 2, |it| {
                dependency(&format!("b{it}"), "1").replace("</version>", import)
            });
            managing(&managed, &many(size / 2, |it| dependency(&format!("a{it}"), "")))
        }),
        ("profiles", "pom.xml", |size| {
            let profiles = many(size, |it| {
                let managed = managing(&dependency("a", "1"), &dependency("a", ""));
                format!("<profile><id>p{it}</id>{managed}</profile>")
            });
            let profiles = profiles.replace("<project>", "").replace("</project>", "");
            format!("<project><profiles>{profiles}</profiles></project>")
        }),
    ]
}
