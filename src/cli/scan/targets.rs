//! The targets of the command line.
//!
//! Input: what the user typed. Output: what to scan, or an error that says what to type instead.
//! Invariants: only what was typed is trusted; an error contains no password.

use super::{super::output::printable, single_file::SingleFile};
use crate::{config::Config, intake::target::Target, model::git_url::Refusal};
use anyhow::anyhow;
use std::path::Path;

/// Something to scan.
pub(super) enum Wanted {
    Target(Target),
    File(SingleFile),
}

impl Wanted {
    /// Reads a target of the command line, and extends the policy of `config` accordingly; `name` is that
    /// of the file on standard input.
    pub(super) fn read(
        text: &str,
        name: Option<&str>,
        config: &mut Config,
    ) -> anyhow::Result<Self> {
        let path = Path::new(text);
        let file = if text == "-" {
            Some(SingleFile::from_stdin(name, &config.limits)?)
        } else if path.is_file() {
            Some(SingleFile::open(path, &config.limits)?)
        } else {
            None
        };
        if let Some(file) = file {
            config.network.local_paths = true;
            return Ok(Self::File(file));
        }
        // The working directory exists as `.` even if it has been removed, but it has no path.
        if path.exists()
            && let Err(error) = path.canonicalize()
        {
            return Err(anyhow!(
                "`{}` cannot be scanned: its path cannot be determined: {error}; if the folder has been \
             removed, change to another one",
                printable(text)
            ));
        }
        let target = Target::from_command_line(text, config).map_err(|refusal| {
            anyhow!("`{}`: {refusal}; {}", redacted(text, &refusal), remedy(&refusal))
        })?;
        Ok(Self::Target(target))
    }
}

/// The target as typed, without credentials.
fn redacted(text: &str, refusal: &Refusal) -> String {
    match refusal {
        Refusal::Userinfo => "https://***@…".to_owned(),
        _ => printable(text),
    }
}

fn remedy(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::Userinfo => {
            "set GITHUB_TOKEN or GITLAB_TOKEN, use a credential helper of git, or name the forge with its \
             token_file or token_env under [[forges]] in a settings file (--config)"
        }
        _ => "name a git URL, a folder or a bare repository",
    }
}
