//! Packages as comma-separated values (RFC 4180), for spreadsheets and scripts.
//!
//! Input: packages, and the names of their repositories. Output: a heading, and one line for each package.
//! Invariants: pure; lines end in CRLF; no cell is a formula to a spreadsheet, whatever the names of
//! packages are.

use crate::model::{
    declared::Declared,
    scan_result::{Scope, Source},
};

/// The names of the columns. New columns are appended.
const COLUMNS: [&str; 11] = [
    "repository",
    "name",
    "version",
    "specifier",
    "ecosystem",
    "purl",
    "scope",
    "direct",
    "file",
    "line",
    "source",
];

/// Characters that begin a formula in a spreadsheet, or that it skips before one.
const FORMULA_STARTS: [char; 6] = ['=', '+', '-', '@', '\t', '\r'];

/// The first line.
pub fn heading() -> String {
    line(COLUMNS)
}

/// The line of a package.
pub fn row(repository: &str, package: &Declared<'_>) -> String {
    let number = package.line.map(|line| line.to_string());
    let direct = package.direct.map(|is_direct| if is_direct { "true" } else { "false" });
    let source = match package.source {
        Source::Lockfile => "lockfile",
        Source::Manifest => "manifest",
        Source::Import => "import",
        Source::Archive => "archive",
    };
    line([
        repository,
        &package.name,
        package.version.as_deref().unwrap_or_default(),
        package.specifier.as_deref().unwrap_or_default(),
        package.ecosystem.as_str(),
        &package.purl,
        package.scope.map(Scope::as_str).unwrap_or_default(),
        direct.unwrap_or_default(),
        &package.file,
        number.as_deref().unwrap_or_default(),
        source,
    ])
}

fn line(cells: [&str; COLUMNS.len()]) -> String {
    let mut text = cells.map(cell).join(",");
    text.push_str("\r\n");
    text
}

/// A cell that is not a formula, quoted if necessary.
fn cell(text: &str) -> String {
    let mark = if text.starts_with(FORMULA_STARTS) { "'" } else { "" };
    if text.contains(['"', ',', '\r', '\n']) {
        format!("\"{mark}{}\"", text.replace('"', "\"\""))
    } else {
        format!("{mark}{text}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::scan_result::Package;

    #[test]
    fn a_cell_is_quoted_if_necessary_and_never_a_formula() {
        for (text, expected) in [
            ("", ""),
            ("plain", "plain"),
            ("a b", "a b"),
            ("a,b", "\"a,b\""),
            ("say \"hi\"", "\"say \"\"hi\"\"\""),
            ("a\nb", "\"a\nb\""),
            ("=1+1", "'=1+1"),
            ("+1", "'+1"),
            ("-1", "'-1"),
            ("@angular/core", "'@angular/core"),
            ("\t=1", "'\t=1"),
            ("\r=1", "\"'\r=1\""),
            ("=HYPERLINK(\"x\",\"y\")", "\"'=HYPERLINK(\"\"x\"\",\"\"y\"\")\""),
            ("a=1", "a=1"),
            (">=2,<3", "\">=2,<3\""),
        ] {
            assert_eq!(cell(text), expected, "{text:?}");
        }
    }

    #[test]
    fn a_package_is_a_line_after_the_heading() {
        let package = Package {
            name: "left-pad".to_owned(),
            version: Some("1.3.0".to_owned()),
            specifier: Some("^1.3".to_owned()),
            ecosystem: "npm".into(),
            purl: "pkg:npm/left-pad@1.3.0".to_owned(),
            file: "web/package-lock.json".to_owned(),
            line: Some(7),
            direct: Some(true),
            scope: Some(Scope::Runtime),
            source: Source::Lockfile,
            requires: Vec::new(),
            resolved: None,
            licenses: Vec::new(),
            hashes: Vec::new(),
            managed_by: Vec::new(),
            resolved_from: None,
        };
        let bare = Package {
            version: None,
            specifier: None,
            line: None,
            direct: None,
            scope: None,
            ..package.clone()
        };
        assert_eq!(
            heading(),
            "repository,name,version,specifier,ecosystem,purl,scope,direct,file,line,source\r\n"
        );
        assert_eq!(
            [&package, &bare].map(|package| row("group/app", &Declared::of(package))).concat(),
            "group/app,left-pad,1.3.0,^1.3,npm,pkg:npm/left-pad@1.3.0,runtime,true,\
             web/package-lock.json,7,lockfile\r\n\
             group/app,left-pad,,,npm,pkg:npm/left-pad@1.3.0,,,web/package-lock.json,,lockfile\r\n"
        );
    }
}
