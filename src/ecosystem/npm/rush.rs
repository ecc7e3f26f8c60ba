//! The projects of Rush's repositories, by "rush.json" and "Rush subspaces" of Rush's documentation.
//!
//! Input: `rush.json`. Output: the subspace of each project, whose lock file and catalogs are in a folder of their own.
//! Invariants: a project without a subspace is of the subspace `default`.

use crate::ecosystem::{
    facts::{Fact, Facts},
    json::Node,
    path::{folder_of, upwards},
};
use std::collections::HashMap;

/// The folder of the configuration, below the root.
const CONFIGURATION: &str = "common/config/";

/// The subspace of projects that name none.
const DEFAULT: &str = "default";

/// Longest folder and name in bytes.
const MAX_TEXT: usize = 1_000;

/// The projects of all `rush.json`.
#[derive(Debug, Default, Clone)]
pub(in crate::ecosystem) struct RushProjects {
    /// The root and the subspace of each project, by its folder.
    by_folder: HashMap<String, (String, String)>,
}

impl Fact for RushProjects {
    fn size(&self) -> usize {
        self.by_folder.len()
    }

    fn gather(self: Box<Self>, facts: &mut Facts) {
        facts.with(|all: &mut Self| all.by_folder.extend(self.by_folder));
    }
}

impl RushProjects {
    /// Reads `rush.json`.
    pub(super) fn of(file: &str, root: &Node<'_>) -> Self {
        let home = folder_of(file);
        let mut projects = Self::default();
        for project in root.elements("projects") {
            let folder = project.text("projectFolder").map(|folder| folder.trim_matches('/'));
            let Some(folder) = folder.filter(|folder| folder.len() <= MAX_TEXT) else { continue };
            let subspace = project.text("subspaceName").unwrap_or(DEFAULT);
            if subspace.len() <= MAX_TEXT {
                let place = (home.to_owned(), subspace.to_owned());
                projects.by_folder.insert(below(home, folder), place);
            }
        }
        projects
    }

    /// The folders of the configuration of the project that a folder belongs to: that of its subspace, and that of all.
    pub(in crate::ecosystem) fn configuration_of(&self, folder: &str) -> Option<[String; 2]> {
        let (root, subspace) = self.subspace_of(folder)?;
        let of_subspace = below(root, &format!("{CONFIGURATION}subspaces/{subspace}"));
        Some([of_subspace, below(root, &format!("{CONFIGURATION}rush"))])
    }

    /// The root and the subspace of the project that a folder belongs to.
    pub(in crate::ecosystem) fn subspace_of(&self, folder: &str) -> Option<(&str, &str)> {
        let (root, subspace) = upwards(folder).find_map(|folder| self.by_folder.get(folder))?;
        Some((root, subspace))
    }

    pub(in crate::ecosystem) fn is_empty(&self) -> bool {
        self.by_folder.is_empty()
    }
}

fn below(root: &str, path: &str) -> String {
    if root.is_empty() { path.to_owned() } else { format!("{root}/{path}") }
}
