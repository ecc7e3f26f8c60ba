//! Names and versions in the file names of wheels and source distributions.
//!
//! Input: a URL or a path. Output: the name and version in its last segment. Invariants: a file name that
//! does not follow the rules gives nothing.

/// The name and version in a file name, by the "Binary distribution format" and the "Source distribution
/// format" of the Python packaging specifications.
pub(in crate::ecosystem) fn name_and_version(address: &str) -> Option<(&str, &str)> {
    let file = address.split(['?', '#']).next()?.rsplit(['/', '\\']).next()?;
    let (name, version) = if let Some(stem) = file.strip_suffix(".whl") {
        // name-version(-build)?-python-abi-platform
        let mut parts = stem.split('-');
        let (name, version) = (parts.next()?, parts.next()?);
        if !(3..=4).contains(&parts.count()) {
            return None;
        }
        (name, version)
    } else {
        // Before PEP 625 a name in a source distribution could contain dashes; a version cannot.
        stem_of_archive(file)?.rsplit_once('-')?
    };
    let versioned = version.starts_with(|character: char| character.is_ascii_digit());
    (!name.is_empty() && versioned).then_some((name, version))
}

/// Whether the last segment of an address has the suffix of a wheel or an archive.
pub(in crate::ecosystem) fn is_archive(address: &str) -> bool {
    let file = address.split(['?', '#']).next().unwrap_or(address);
    file.strip_suffix(".whl").or_else(|| stem_of_archive(file)).is_some()
}

fn stem_of_archive(file: &str) -> Option<&str> {
    const SUFFIXES: [&str; 6] = [".tar.gz", ".zip", ".tar.bz2", ".tgz", ".tar.xz", ".tar"];
    SUFFIXES.iter().find_map(|suffix| file.strip_suffix(suffix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_state_name_and_version() {
        for (address, expected) in [
            ("https://h/x/foo_bar-1.2.3-py3-none-any.whl#sha256=0", Some(("foo_bar", "1.2.3"))),
            ("foo-1.2-1-cp311-cp311-linux_x86_64.whl", Some(("foo", "1.2"))),
            ("./dist/foo-bar-1.2.tar.gz", Some(("foo-bar", "1.2"))),
            ("https://h/archive/main.zip", None),
            ("https://h/archive/v1.2.zip", None),
            ("foo-1.2.whl", None),
            ("foo-bar.tar.gz", None),
            ("foo", None),
        ] {
            assert_eq!(name_and_version(address), expected, "{address}");
        }
    }
}
