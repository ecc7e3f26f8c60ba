//! Renders the results of a scan in each format.
//!
//! Input: the results of all targets. Output: text. Invariants: a format that can say so names the
//! repositories without a result; the same results give the same text.

use super::{super::table, Scanned, outputs::Format};
use crate::{
    api::resources::findings::FromFiles,
    app::Engine,
    model::{
        RepoState,
        declared::Declared,
        failure::Failure,
        repository::RepositoryStatus,
        scan_result::{Package, Warning},
    },
    sbom::{self, Budget, Document, Pretty},
};
use anyhow::Context;
use chrono::Utc;
use serde::Serialize;

/// What is rendered.
pub(super) struct Results<'a> {
    pub(super) engine: &'a Engine,
    pub(super) scanned: &'a [Scanned],
    /// The name of the group, or of several targets; `None` for one repository.
    pub(super) group: Option<String>,
}

/// A repository without a result, in the list of results.
#[derive(Serialize)]
struct Missing {
    repo_index: u32,
    repo_name: String,
    git_url: Option<String>,
    status: &'static str,
    error: Option<String>,
    failure: Option<Failure>,
    // Empty, so that programs which read these members of each entry need no special case.
    packages: [Package; 0],
    warnings: [Warning; 0],
}

impl Results<'_> {
    /// Renders all results.
    pub(super) fn render(&self, format: Format, to_terminal: bool) -> anyhow::Result<Vec<u8>> {
        let results = || self.scanned.iter().flat_map(|target| target.results.values());
        Ok(match format {
            Format::Table => {
                let look = table::Look::of(to_terminal);
                let tables = results().map(|result| table::render(result, look));
                tables.collect::<Vec<_>>().join("\n").into_bytes()
            }
            Format::Json if self.group.is_none() => pretty(&results().next())?,
            Format::Json => pretty(&self.list()?)?,
            Format::Cyclonedx => self.document(sbom::Format::CycloneDx)?,
            Format::Cyclonedx17 => self.document(sbom::Format::CycloneDx17)?,
            Format::Spdx => self.document(sbom::Format::Spdx)?,
            Format::Spdx3 => self.document(sbom::Format::Spdx3)?,
            Format::Csv => {
                let rows = results().flat_map(|result| {
                    let packages = result.packages.iter().map(Declared::of);
                    packages.map(|package| sbom::csv::row(&result.repo_name, &package))
                });
                std::iter::once(sbom::csv::heading()).chain(rows).collect::<String>().into_bytes()
            }
        })
    }

    /// The results and the failures, in the order of the targets and of their repositories.
    fn list(&self) -> anyhow::Result<Vec<serde_json::Value>> {
        let mut list = Vec::new();
        for target in self.scanned {
            for repository in target.job.repositories() {
                let entry = match target.results.get(&repository.index) {
                    Some(result) => serde_json::to_value(result),
                    None if repository.state == RepoState::Completed => continue,
                    None => serde_json::to_value(missing(repository)),
                };
                list.push(entry.context("cannot serialize the result as JSON")?);
            }
        }
        Ok(list)
    }

    fn document(&self, format: sbom::Format) -> anyhow::Result<Vec<u8>> {
        let job = &self.scanned.first().context("nothing was scanned")?.job;
        let (completed, missing): (Vec<_>, Vec<_>) = job
            .repositories()
            .into_iter()
            .partition(|repository| repository.state == RepoState::Completed);
        let indices = |repositories: Vec<RepositoryStatus>| {
            repositories.iter().map(|repository| repository.index).collect()
        };
        let repositories = [indices(completed), indices(missing)];
        let findings = FromFiles::new(&self.engine.results, job, repositories, Box::new(|| true));
        let document =
            Document::new(format, self.group.clone(), findings, Utc::now(), Budget::default());
        let mut bytes = Vec::new();
        document.write_to(&mut Pretty::new(&mut bytes))?;
        bytes.push(b'\n');
        Ok(bytes)
    }
}

fn missing(repository: RepositoryStatus) -> Missing {
    Missing {
        repo_index: repository.index,
        repo_name: repository.display_name(),
        git_url: repository.git_url,
        status: repository.state.as_str(),
        error: repository.error,
        failure: repository.failure,
        packages: [],
        warnings: [],
    }
}

fn pretty(value: &impl Serialize) -> anyhow::Result<Vec<u8>> {
    let mut text =
        serde_json::to_vec_pretty(value).context("cannot serialize the result as JSON")?;
    text.push(b'\n');
    Ok(text)
}
