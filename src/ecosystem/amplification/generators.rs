//! Generators of files that name one thing many times, for each place in which a format can do so.
//!
//! Input: the size of a file. Output: its text: a long text or list, and many mentions of it.

mod languages;

use languages::{imports, locks, scripts};

/// A description, a path, and a generator of a file of this many bytes.
pub(super) type Generator = (&'static str, &'static str, fn(usize) -> String);

/// A text of this many bytes.
fn long(size: usize) -> String {
    "x".repeat(size)
}

/// Repeats a piece, which gets its number, until the text has this many bytes.
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

/// Half of a file is the `one` long thing, the other half mentions it.
fn halves(size: usize, one: impl Fn(usize) -> String, mention: impl Fn(usize) -> String) -> String {
    one(size / 2) + &many(size / 2, mention)
}

fn docker(what: &'static str, file: fn(usize) -> String) -> Generator {
    (what, "Dockerfile", file)
}

/// All generators.
pub(super) fn generators() -> Vec<Generator> {
    [containers(), dotnet(), jvm(), scripts(), locks(), imports()].concat()
}

fn containers() -> Vec<Generator> {
    vec![
        docker("a long ARG in other ARGs", |size| {
            let tail = "FROM a:1\nFROM $b1\nFROM b:$b2\n";
            halves(
                size,
                |_| format!("ARG a={}\n", long(4_000)),
                |number| format!("ARG b{number}=$a\n"),
            ) + tail
        }),
        docker("a short ARG in other ARGs", |size| {
            let tail = "FROM b:$b2\n";
            halves(
                size,
                |_| format!("ARG a={}\n", long(250)),
                |number| format!("ARG b{number}=$a\n"),
            ) + tail
        }),
        docker("an ARG that doubles", |size| {
            many(size, |number| match number {
                0 => "ARG a0=xx\n".to_owned(),
                number => format!("ARG a{number}=$a{0}$a{0}\n", number - 1),
            }) + "FROM a:$a9\n"
        }),
        docker("an ARG in FROM", |size| {
            format!("ARG a={}\n", long(500)) + &many(size, |number| format!("FROM i{number}:$a\n"))
        }),
        docker("defaults within defaults", |size| {
            many(size, |number| {
                format!("FROM i{number}:${{a:-${{b:-${{c:-${{d:-{number}}}}}}}}}\n")
            })
        }),
        docker("braces that nothing closes", |size| {
            many(size, |_| format!("FROM {}\n", "${".repeat(2_000)))
        }),
        docker("many stages", |size| {
            halves(
                size,
                |size| many(size, |number| format!("FROM a AS s{number}\n")),
                |number| format!("FROM n{number}\n"),
            )
        }),
        docker("COPY from many stages", |size| {
            halves(
                size,
                |size| many(size, |number| format!("FROM a AS s{number}\n")),
                |number| format!("COPY --from=n{number} a b\n"),
            )
        }),
        docker("here-documents that nothing ends", |size| {
            halves(
                size,
                |size| format!("FROM a\nRUN {}\n", many(size, |number| format!("<<a{number} "))),
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

fn dotnet() -> Vec<Generator> {
    const PROJECT: &str = "a.csproj";
    fn references(size: usize, version: &str) -> String {
        many(size, |number| format!("<PackageReference Include='a{number}' Version='{version}'/>"))
    }
    vec![
        ("a version of many names", PROJECT, |size| {
            let names = many(size - 4_000, |number| format!("a{number};"));
            let version = long(4_000);
            project(&format!(
                "<ItemGroup><PackageReference Include='{names}' Version='{version}'/></ItemGroup>"
            ))
        }),
        ("a short version of many names", PROJECT, |size| {
            let names = many(size, |number| format!("a{number};"));
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
            let names = many(size, |number| format!("a{number};"));
            let version = "$(P)".repeat(70);
            project(&format!(
                "{group}<ItemGroup><PackageReference Include='{names}' Version='{version}'/></ItemGroup>"
            ))
        }),
        ("properties that double", PROJECT, |size| {
            let group = many(size / 2, |number| match number {
                0 => "<P0>1</P0>".to_owned(),
                number => format!("<P{number}>$(P{0})$(P{0})</P{number}>", number - 1),
            });
            let references = references(size / 2, "$(P40)");
            project(&format!(
                "<PropertyGroup>{group}</PropertyGroup><ItemGroup>{references}</ItemGroup>"
            ))
        }),
        ("a target of many libraries", "a.deps.json", |size| {
            let required = many(size / 2, |number| format!("\"r{number}\":\"1\","));
            let libraries = many(size / 2, |_| "\"a/1\":{\"type\":\"package\"},".to_owned());
            format!(
                "{{\"targets\":{{\"t\":{{\"a/1\":{{\"dependencies\":{{{required}}}}}}}}},\"libraries\":{{{libraries}}}}}"
            )
        }),
        ("a long group", "paket.lock", |size| {
            let lines =
                many(size / 2, |number| format!("    a{number} (1)\n      b{number} (1)\n"));
            format!("GROUP {}\nNUGET\n  remote: x\n{lines}", long(size / 2))
        }),
    ]
}

fn jvm() -> Vec<Generator> {
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
            let modules = many(size / 2, |number| format!("\"g\" % \"a{number}\",\n"));
            format!("libraryDependencies ++= Seq({modules}).map(_ % \"{}\")\n", long(size / 2))
        }),
        ("a short version of a sequence", "build.sbt", |size| {
            let modules = many(size, |number| format!("\"g\" % \"a{number}\",\n"));
            format!("libraryDependencies ++= Seq({modules}).map(_ % \"{}\")\n", long(290))
        }),
        ("a long group of a sequence", "build.sbt", |size| {
            let artifacts = many(size / 2, |number| format!("\"a{number}\","));
            let one = "libraryDependencies += \"g\" % \"a\" % \"1\"";
            format!("val a = Seq({artifacts}).map(\"{}\" %% _ % \"1\")\n{one}\n", long(size / 2))
        }),
        ("a version of Scala", "build.sbt", |size| {
            let modules = many(size / 2, |number| {
                format!("\"g\" %% \"a{number}\" % \"1\" cross CrossVersion.full\n")
            });
            format!("scalaVersion := \"{}\"\n{modules}", long(size / 2))
        }),
        ("a constant of sbt", "build.sbt", |size| {
            halves(
                size,
                |size| format!("val v = \"{}\"\n", long(size)),
                |number| format!("val a{number} = \"g\" % \"a\" % v\n"),
            )
        }),
        ("a constant of Gradle", "build.gradle", |size| {
            let asked = many(size / 2, |number| format!("api \"g:a{number}:$v\"\n"));
            format!("ext.v = '{}'\ndependencies {{\n{asked}}}\n", long(size / 2))
        }),
        ("constants that double", "build.gradle", |size| {
            let constants = many(size / 2, |number| match number {
                0 => "ext.v0 = '1'\n".to_owned(),
                number => format!("ext.v{number} = \"${{v{0}}}${{v{0}}}\"\n", number - 1),
            });
            format!(
                "{constants}dependencies {{\n{}}}\n",
                many(size / 2, |number| format!("api \"g:a{number}:$v40\"\n"))
            )
        }),
        ("a map with a long name", "build.gradle", |size| {
            let entries = many(size / 2, |number| format!("a{number}: '1',"));
            format!("{} = [{entries}]\ndependencies {{ api 'g:a:1' }}\n", long(size / 2))
        }),
        ("a version of many modules", "build.gradle", |size| {
            let modules = many(size / 2, |number| format!("'g:a{number}',"));
            format!(
                "dependencies {{\napi({modules} 'g:b') {{ version {{ strictly('{}') }} }}\n}}\n",
                long(size / 2)
            )
        }),
        ("a path of many names", "build.gradle", |size| {
            format!("dependencies {{\napi {}\napi 'g:a:1'\n}}\n", many(size, |_| "a.".to_owned()))
        }),
        ("a list of many loops", "build.gradle", |size| {
            let list = many(size / 2, |number| format!("'g:a{number}:1',"));
            let loops = many(size / 2, |_| "l.each { api it }\n".to_owned());
            format!("def l = [{list}]\ndependencies {{\n{loops}}}\n")
        }),
        ("a long value of a loop", "build.gradle", |size| {
            let modules = many(size, |number| format!("api \"g:a{number}:$v\"\n"));
            format!("dependencies {{\n['{}'].each {{ v ->\n{modules}}}\n}}\n", long(250))
        }),
        ("a version of many entries", "settings.gradle", |size| {
            let libraries = many(size / 2, |number| {
                format!("library('a{number}', 'g', 'a').versionRef('v')\n")
            });
            let long = long(size / 2);
            format!("versionCatalogs {{ libs {{\nversion('v', '{long}')\n{libraries}}} }}\n")
        }),
        ("a value of many libraries", "project.clj", |size| {
            halves(
                size,
                |size| {
                    format!("(def v \"{}\")\n(defproject a/b \"1\" :dependencies [\n", long(size))
                },
                |number| format!("[g/a{number} ~v]\n"),
            ) + "])\n"
        }),
        ("a default coordinate", "deps.edn", |size| {
            let libraries = many(size / 2, |number| format!("g/a{number} nil\n"));
            let defaults = many(size / 2, |number| format!("g/a{number} {{:mvn/version \"1\"}}\n"));
            format!("{{:deps {{{libraries}}} :aliases {{:x {{:default-deps {{{defaults}}}}}}}}}\n")
        }),
        ("a version of many libraries", CATALOG, |size| {
            let libraries = many(size / 2, |number| {
                format!("a{number} = {{ module = 'g:a', version.ref = 'v' }}\n")
            });
            format!("[versions]\nv = '{}'\n[libraries]\n{libraries}", long(size / 2))
        }),
        ("a library in many bundles", CATALOG, |size| {
            let libraries = many(size / 3, |number| format!("a{number} = 'g:a:1'\n"));
            let list = many(size / 3, |number| format!("'a{number}',"));
            let bundles = many(size / 3, |number| format!("b{number} = ['bundles-b0']\n"));
            format!("[libraries]\n{libraries}[bundles]\nb0 = [{list}]\nc{bundles}")
        }),
        ("a property of Maven", "pom.xml", |size| {
            let all = many(size, |number| dependency(&format!("a{number}"), "${v}"));
            format!(
                "<project><properties><v>{}</v></properties><dependencies>{all}</dependencies></project>",
                long(290)
            )
        }),
        ("properties that double", "pom.xml", |size| {
            let properties = many(size / 2, |number| match number {
                0 => "<p0>1</p0>".to_owned(),
                number => format!("<p{number}>${{p{0}}}${{p{0}}}</p{number}>", number - 1),
            });
            let all = many(size / 2, |number| dependency(&format!("a{number}"), "${p40}"));
            format!(
                "<project><properties>{properties}</properties><dependencies>{all}</dependencies></project>"
            )
        }),
        ("managed expressions", "pom.xml", |size| {
            let managed = many(size / 2, |number| dependency(&format!("${{m{number}}}"), "1"));
            managing(&managed, &many(size / 2, |number| dependency(&format!("a{number}"), "")))
        }),
        ("managed groups that are expressions", "pom.xml", |size| {
            let managed = many(size / 2, |number| {
                dependency("a", "1").replace(">g<", &format!(">${{m{number}}}<"))
            });
            managing(&managed, &many(size / 2, |_| dependency("a", "")))
        }),
        ("managed groups", "pom.xml", |size| {
            let managed = many(size / 2, |number| {
                dependency("a", "1").replace(">g<", &format!(">g{number}<"))
            });
            managing(&managed, &many(size / 2, |_| dependency("a", "")))
        }),
        ("managed kinds", "pom.xml", |size| {
            let kind = |number| format!("</version><type>t{number}</type>");
            let managed =
                many(size / 2, |number| dependency("a", "1").replace("</version>", &kind(number)));
            managing(&managed, &many(size / 2, |_| dependency("a", "")))
        }),
        ("imports that are not there", "pom.xml", |size| {
            let import = "</version><type>pom</type><scope>import</scope>";
            let managed = many(size / 2, |number| {
                dependency(&format!("b{number}"), "1").replace("</version>", import)
            });
            managing(&managed, &many(size / 2, |number| dependency(&format!("a{number}"), "")))
        }),
        ("profiles", "pom.xml", |size| {
            let profiles = many(size, |number| {
                let managed = managing(&dependency("a", "1"), &dependency("a", ""));
                format!("<profile><id>p{number}</id>{managed}</profile>")
            });
            let profiles = profiles.replace("<project>", "").replace("</project>", "");
            format!("<project><profiles>{profiles}</profiles></project>")
        }),
    ]
}
