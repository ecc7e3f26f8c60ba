//! Where the result of a scan goes, and in which formats.
//!
//! Input: `--format` and `--output`. Output: [`Output`]s, each written whole. Invariants: at most one
//! goes to standard output; what cannot be written is found before the scan, not after it; a result
//! replaces a file as a whole, and a partial one never does.

use super::super::output;
use crate::store::{atomic::replace_own, chain};
use anyhow::{Context, anyhow, bail};
use clap::ValueEnum;
use std::{
    ffi::OsString,
    fs::OpenOptions,
    io::{ErrorKind, Write},
    path::{Path, PathBuf, absolute},
    str::FromStr,
};

/// The format of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// A text table of the packages.
    Table,
    /// The result file; for several targets or a group, a list of result files, and of the failures.
    Json,
    /// CycloneDX 1.6 JSON; one repository or group at a time.
    #[value(alias = "cyclonedx-json")]
    Cyclonedx,
    /// CycloneDX 1.7 JSON; one repository or group at a time.
    #[value(name = "cyclonedx-1.7")]
    Cyclonedx17,
    /// SPDX 2.3 JSON; one repository or group at a time.
    #[value(alias = "spdx-json")]
    Spdx,
    /// SPDX 3.0.1 JSON-LD; one repository or group at a time.
    #[value(name = "spdx-3.0.1")]
    Spdx3,
    /// One line per package, for all targets.
    Csv,
}

impl Format {
    fn named(name: &str) -> Option<Self> {
        Self::from_str(name, false).ok()
    }

    /// The name of a format that can describe only one target.
    pub(super) fn single_target_name(self) -> Option<&'static str> {
        match self {
            Self::Cyclonedx => Some("cyclonedx"),
            Self::Cyclonedx17 => Some("cyclonedx-1.7"),
            Self::Spdx => Some("spdx"),
            Self::Spdx3 => Some("spdx-3.0.1"),
            Self::Table | Self::Json | Self::Csv => None,
        }
    }
}

/// One value of `--output`: `FORMAT=FILE`, `FORMAT`, or `FILE`; the file `-` is standard output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Requested {
    format: Option<Format>,
    /// `None` is standard output.
    file: Option<PathBuf>,
}

impl FromStr for Requested {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let file = |name: &str| (name != "-").then(|| PathBuf::from(name));
        if text.is_empty() || text.ends_with('=') {
            return Err("the name of the file is missing".to_owned());
        }
        if let Some(format) = Format::named(text) {
            return Ok(Self { format: Some(format), file: None });
        }
        match text.split_once('=') {
            // A path, such as `./a=b`.
            Some((before, _)) if before.contains('/') => {}
            Some((name, rest)) => {
                let format = Format::named(name).ok_or_else(|| {
                    let names =
                        Format::value_variants().iter().filter_map(Format::to_possible_value);
                    let names: Vec<_> = names.map(|value| value.get_name().to_owned()).collect();
                    format!(
                        "`{name}` is not a format; formats: {}; a file of this name: ./{text}",
                        names.join(", ")
                    )
                })?;
                return Ok(Self { format: Some(format), file: file(rest) });
            }
            None => {}
        }
        Ok(Self { format: None, file: file(text) })
    }
}

/// A format, and where the result goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Output {
    pub(super) format: Format,
    /// `None` is standard output.
    file: Option<PathBuf>,
}

impl Output {
    /// Combines `--format` with the values of `--output`. The format of a value without one is
    /// `format`; if no value uses `format`, its result goes to standard output.
    ///
    /// # Errors
    /// Two results for one place.
    pub(super) fn all(
        format: Option<Format>,
        requested: Vec<Requested>,
    ) -> Result<Vec<Self>, String> {
        let is_used = requested.iter().any(|one| one.format.is_none());
        let default = format.unwrap_or(Format::Table);
        let mut all: Vec<_> = requested
            .into_iter()
            .map(|one| Self { format: one.format.unwrap_or(default), file: one.file })
            .collect();
        if all.is_empty() || (format.is_some() && !is_used) {
            all.push(Self { format: default, file: None });
        }
        for (index, one) in all.iter().enumerate() {
            if all[..index].iter().any(|other| other.file == one.file) {
                return Err(match &one.file {
                    Some(file) => format!("two results would be written to `{}`", file.display()),
                    None => {
                        "only one format can be printed on standard output; write the others to \
                             files: -o FORMAT=FILE"
                            .to_owned()
                    }
                });
            }
        }
        Ok(all)
    }

    /// Whether the result is printed.
    pub(super) fn is_printed(&self) -> bool {
        self.file.is_none()
    }

    /// Checks that the file can be written; leaves no trace.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        let Some(path) = &self.file else { return Ok(()) };
        let shown = || format!("cannot write `{}`", path.display());
        let target = match path.metadata() {
            Ok(facts) if facts.is_dir() => bail!("{}: it is a folder; name a file", shown()),
            Ok(facts) if facts.is_file() => path.canonicalize().with_context(shown)?,
            // A pipe may have no reader yet, so it is not opened.
            Ok(_) => {
                let access = rustix::fs::access(path, rustix::fs::Access::WRITE_OK);
                return access.with_context(shown);
            }
            Err(_) => absolute(path).with_context(shown)?,
        };
        let folder = target.parent().unwrap_or(&target);
        let probe = tempfile::Builder::new().prefix(".scanwatch-").tempfile_in(folder);
        // The message of tempfile names its own file.
        let probe = probe.map_err(|error| match error.kind() {
            ErrorKind::NotFound => anyhow!("the folder does not exist"),
            kind => anyhow!("{kind}"),
        });
        probe
            .map(drop)
            .with_context(|| format!("{}: cannot create a file in `{}`", shown(), folder.display()))
    }

    /// Writes the result.
    pub(super) fn write(&self, bytes: &[u8]) -> anyhow::Result<()> {
        match &self.file {
            None => output::write_data(bytes).context("cannot write to standard output"),
            Some(path) => write_file(path, bytes),
        }
    }

    /// Writes what an interrupted scan has finished beside the file, and returns the name; `None` if
    /// there is no file to be beside of.
    pub(super) fn write_partial(&self, bytes: &[u8]) -> anyhow::Result<Option<PathBuf>> {
        let Some(path) = self.file.as_ref().filter(|path| {
            // Not beside a pipe or a device.
            path.metadata().map_or(true, |facts| facts.is_file())
        }) else {
            return Ok(None);
        };
        let mut name = OsString::from(path);
        name.push(".partial");
        let partial = PathBuf::from(name);
        write_file(&partial, bytes)?;
        Ok(Some(partial))
    }
}

fn write_file(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let shown = || format!("cannot write `{}`", path.display());
    // Follow symbolic links; write to a pipe or a device instead of replacing it.
    let target = match path.metadata() {
        Ok(facts) if facts.is_file() => path.canonicalize().with_context(shown)?,
        Ok(_) => {
            let mut opened = OpenOptions::new().write(true).open(path).with_context(shown)?;
            return opened.write_all(bytes).with_context(shown);
        }
        Err(_) => absolute(path).context("cannot determine the working directory")?,
    };
    let folder = target.parent().unwrap_or(&target);
    replace_own(folder, &target, bytes).map_err(|error| anyhow!(chain(&error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(format: Option<Format>, values: &[&str], expected: &[(Format, Option<&str>)]) {
        let requested = values.iter().map(|value| value.parse().unwrap()).collect();
        let expected: Vec<_> = expected
            .iter()
            .map(|(format, file)| Output { format: *format, file: file.map(PathBuf::from) })
            .collect();
        assert_eq!(Output::all(format, requested).unwrap(), expected, "{format:?} {values:?}");
    }

    #[test]
    fn formats_and_files_are_combined() {
        use Format::{Csv, Cyclonedx, Json, Spdx, Table};
        check(None, &[], &[(Table, None)]);
        check(None, &["-"], &[(Table, None)]);
        check(Some(Csv), &[], &[(Csv, None)]);
        check(Some(Csv), &["-"], &[(Csv, None)]);
        check(Some(Cyclonedx), &["bom.json"], &[(Cyclonedx, Some("bom.json"))]);
        check(None, &["json"], &[(Json, None)]);
        check(None, &["./json"], &[(Table, Some("./json"))]);
        check(None, &["./a=b"], &[(Table, Some("./a=b"))]);
        check(
            None,
            &["json=a", "spdx-json=b", "csv=-"],
            &[(Json, Some("a")), (Spdx, Some("b")), (Csv, None)],
        );
        check(Some(Csv), &["json=a"], &[(Json, Some("a")), (Csv, None)]);
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for text in ["", "json=", "xml=a"] {
            assert!(text.parse::<Requested>().is_err(), "{text}");
        }
        for (format, values) in [
            (Some(Format::Csv), ["json", "table=a"]),
            (None, ["json", "-"]),
            (None, ["json=a", "csv=a"]),
        ] {
            let requested = values.iter().map(|value| value.parse().unwrap()).collect();
            assert!(Output::all(format, requested).is_err(), "{format:?} {values:?}");
        }
    }
}
