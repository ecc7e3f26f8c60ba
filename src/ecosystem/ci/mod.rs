//! What pipelines run on and include: GitLab CI/CD and GitHub Actions.
//!
//! What flows in: the files of a pipeline. What flows out: the images of its jobs, and the actions,
//! components and files of other projects that it includes. What must stay true: what lies in the
//! repository itself is no package.

mod github;
mod gitlab;
mod inherited;
mod reference;
mod variables;

pub(super) use github::GitHubWorkflow;
pub(super) use gitlab::{GitLabPipeline, is_pipeline, walk as walk_pipeline};
