//! Projects with the files that apply to them, and the packages that they require together.
//!
//! Input: small files of a repository. Output: their packages and warnings. Invariants: none
//! of its own.

use super::*;
use crate::ecosystem::parser_for;

/// Compares one package a line, then the warnings.
#[track_caller]
fn check(files: &[(&str, &str)], expected: &[&str]) {
    let is_global = |(path, _): &&(&str, &str)| path.ends_with("global.json");
    let sdks = files.iter().filter(is_global).map(|(path, text)| {
        let file = SourceFile::alone(path, text.as_bytes());
        parser_for(path).unwrap().parse(file).into_fact::<ProjectSdks>()
    });
    let sdks: Vec<_> = sdks.collect();
    let builds = files.iter().filter(|file| !is_global(file)).map(|(path, text)| {
        let file = SourceFile::alone(path, text.as_bytes());
        parser_for(path).unwrap().parse(file).into_fact::<MsBuild>()
    });
    let (builds, sdks) = (builds.collect(), sdks.as_slice());
    let Findings { packages, warnings, .. } = resolve(builds, sdks, Budget::alone(1 << 20));
    let mut shown: Vec<_> = packages
        .iter()
        .map(|package| {
            let version =
                package.version.as_deref().or(package.specifier.as_deref()).unwrap_or("-");
            format!("{} {version} {}", package.name, package.file)
        })
        .collect();
    shown.extend(warnings.into_iter().map(|warning| warning.message));
    assert_eq!(shown, expected);
}

#[test]
fn versions_come_from_the_folders_above() {
    check(
        &[
            (
                "Directory.Packages.props",
                "<Project><ItemGroup><PackageVersion Include='A' Version='1.0.0'/><PackageVersion Include='B' Version='$(BVersion)'/></ItemGroup></Project>",
            ),
            (
                "Directory.Build.props",
                "<Project><PropertyGroup><BVersion>2.0.0</BVersion></PropertyGroup></Project>",
            ),
            (
                "src/app/App.csproj",
                "<Project><ItemGroup><PackageReference Include='a'/><PackageReference Include='B'/><PackageReference Include='C' VersionOverride='3.0.0'/><PackageReference Include='D'/></ItemGroup></Project>",
            ),
        ],
        &[
            "A 1.0.0 Directory.Packages.props",
            "B 2.0.0 Directory.Packages.props",
            "a 1.0.0 src/app/App.csproj",
            "B 2.0.0 src/app/App.csproj",
            "C 3.0.0 src/app/App.csproj",
            "D - src/app/App.csproj",
            "`D`: the version is defined outside the repository",
        ],
    );
}

#[test]
fn a_property_of_another_file_counts_if_all_agree() {
    let project =
        "<Project><ItemGroup><PackageReference Include='A' Version='$(V)'/></ItemGroup></Project>";
    let versions = "<Project><PropertyGroup><V>1.2.3</V></PropertyGroup></Project>";
    check(&[("a/A.csproj", project), ("eng/Versions.props", versions)], &["A 1.2.3 a/A.csproj"]);
    let others = "<Project><PropertyGroup><V>4.5.6</V></PropertyGroup></Project>";
    check(
        &[("a/A.csproj", project), ("eng/Versions.props", versions), ("x/O.props", others)],
        &["A $(V) a/A.csproj", "`A`: `$(V)` has no single value in this repository"],
    );
}

/// Fails if an SDK of the .NET SDK is listed, or the `global.json` of a folder further above counts.
#[test]
fn sdks_have_the_version_of_the_nearest_global_json() {
    check(
        &[
            (
                "global.json",
                "{\"msbuild-sdks\": {\"Lathe.Sdk\": \"2.0.0\", \"Only.Above\": \"1.0.0\"}}",
            ),
            ("a/global.json", "{\"msbuild-sdks\": {\"lathe.sdk\": \"3.1.0\"}}"),
            ("x/X.csproj", "<Project Sdk='Microsoft.NET.Sdk.Web;Lathe.Sdk'/>"),
            ("a/b/A.csproj", "<Project Sdk='Lathe.Sdk'><Sdk Name='Only.Above'/></Project>"),
            (
                "a/c/C.csproj",
                "<Project><Import Project='Sdk.props' Sdk='Lathe.Sdk/4.0.0'/></Project>",
            ),
            ("run.cs", "#!/usr/bin/dotnet run\n#:sdk Lathe.Sdk\n#:package A@1.0.0\n"),
        ],
        &[
            "Lathe.Sdk 3.1.0 a/b/A.csproj",
            "Only.Above - a/b/A.csproj",
            "Lathe.Sdk 4.0.0 a/c/C.csproj",
            "Lathe.Sdk 2.0.0 run.cs",
            "A 1.0.0 run.cs",
            "Lathe.Sdk 2.0.0 x/X.csproj",
            "`Only.Above`: the version is defined outside the repository",
        ],
    );
}

#[test]
fn the_nearest_definition_wins() {
    let version = |version: &str| {
        format!(
            "<Project><ItemGroup><PackageVersion Include='A' Version='{version}'/></ItemGroup></Project>"
        )
    };
    check(
        &[
            ("Directory.Packages.props", &version("1.0.0")),
            ("a/Directory.Packages.props", &version("2.0.0")),
            (
                "a/b/B.csproj",
                "<Project><ItemGroup><PackageReference Include='A'/></ItemGroup></Project>",
            ),
        ],
        &[
            "A 1.0.0 Directory.Packages.props",
            "A 2.0.0 a/Directory.Packages.props",
            "A 2.0.0 a/b/B.csproj",
        ],
    );
}

/// Fails if each reference is looked up in each of the many files of a folder.
#[test]
fn the_files_of_a_folder_are_merged() {
    let properties = |number: usize| {
        format!("<Project><PropertyGroup><V{number}>{number}</V{number}></PropertyGroup></Project>")
    };
    let mut files: Vec<_> = (0..500)
        .map(|number| (format!("Directory.{number:03}.props"), properties(number)))
        .collect();
    let item = |number| format!("<PackageReference Include='A{number}' Version='$(V{number})'/>");
    let items = (0..500).map(item).collect::<Vec<_>>().concat();
    files.push((
        "a/b/B.csproj".into(),
        format!("<Project><ItemGroup>{items}</ItemGroup></Project>"),
    ));
    let builds = files.iter().map(|(path, text)| {
        let file = SourceFile::alone(path, text.as_bytes());
        parser_for(path).unwrap().parse(file).into_fact::<MsBuild>()
    });
    let budget = Budget::of(1 << 20);
    let found = resolve(builds.collect(), &[], &budget);
    assert_eq!(found.packages.len(), 500);
    assert!(found.packages.iter().all(|package| package.version.is_some()));
    assert!(budget.spent() < 500 * 500, "{} units", budget.spent());
}
