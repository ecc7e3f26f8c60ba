//! CI pipelines: GitLab CI/CD and GitHub Actions.
//!
//! Input: the files of a pipeline. Output: the images of its jobs, and the actions, components and files
//! of other projects that it includes. Invariants: files of the repository itself are not packages.

mod github;
mod gitlab;
mod inherited;
mod reference;
mod variables;

pub(super) use github::GitHubWorkflow;
pub(super) use gitlab::{GitLabPipeline, is_pipeline, walk as walk_pipeline};
