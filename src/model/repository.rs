//! The reader of `repo_N.json`, the status file of one repository; its members are defined in
//! [`status_file`](super::status_file).
//!
//! Input: bytes. Output: the status, reduced to what is served. Invariants: any member may be
//! missing, invalid or unknown; only a file that is not a JSON object is refused. Files of the
//! Python service and of custom scanners are parsed by the same rules as our own.

use super::{
    Failure, JobId, RepoState,
    json::{Fields, shortened},
    stage_progress::StageProgress,
    time::Timestamp,
};
use serde::Serialize;

/// The content of one repository's status file, reduced to what is served.
#[derive(Debug, Clone, PartialEq)]
pub struct RepositoryStatus {
    /// From the file's name; a different number inside the file only causes a warning.
    pub index: u32,
    pub name: Option<String>,
    pub git_url: Option<String>,
    pub state: RepoState,
    /// The original status word, if [`RepoState`] does not know it.
    pub unknown_word: Option<String>,
    pub started_at: Option<Timestamp>,
    pub last_update: Option<Timestamp>,
    pub completed_at: Option<Timestamp>,
    pub attempt: Option<u64>,
    pub progress: Option<Progress>,
    /// Why it failed; set only for failed states.
    pub error: Option<String>,
    pub failure: Option<Failure>,
    pub dependencies_found: Option<u64>,
    /// The job whose scan produced the result; set only for completed repositories that were not
    /// scanned again.
    pub reused_from: Option<JobId>,
    /// When the scanner asked the forge for the commit.
    pub checked_at: Option<Timestamp>,
}

/// The changing figures of a repository, in the form that its numbers allow.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
#[schemars(rename = "RepositoryProgress")]
pub struct Progress {
    #[serde(flatten)]
    pub figures: Figures,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stage: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stage_index: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stage_total: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stage_progress: Option<StageProgress>,
}

/// The figures of the first kind that applies: files, download, extraction, none.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
#[serde(untagged)]
pub enum Figures {
    Files {
        #[serde(rename = "total_files")]
        total: u64,
        #[serde(rename = "current_file")]
        current: u64,
        percentage: f64,
        #[serde(rename = "current_file_name", skip_serializing_if = "Option::is_none")]
        file_name: Option<String>,
    },
    Download {
        #[serde(rename = "download_bytes")]
        bytes: u64,
        #[serde(rename = "download_mb")]
        megabytes: f64,
    },
    Extraction {
        #[serde(rename = "files_extracted")]
        extracted: u64,
        #[serde(rename = "total_extraction_files")]
        total: u64,
        percentage: f64,
    },
    None {},
}

impl RepositoryStatus {
    /// Parses a status file. The second value contains warnings about invalid members.
    ///
    /// # Errors
    /// A sentence for people, if the bytes are not a JSON object.
    pub fn parse(index: u32, bytes: &[u8]) -> Result<(Self, Vec<String>), String> {
        let mut fields = Fields::parse(bytes)?;
        if let Some(inside) =
            fields.count("repo_index").filter(|inside| *inside != u64::from(index))
        {
            fields.warn(format!("`repo_index` is {inside}, but the file's name says {index}"));
        }
        let word = fields.text("status");
        let state = word.as_deref().map_or(RepoState::Pending, RepoState::parse);
        let unknown_word = word.filter(|_| state == RepoState::Pending);
        let first_error = fields
            .list("errors")
            .and_then(|errors| errors.into_iter().next()?.text_or_member("message"))
            .map(shortened);
        let error_message = fields.text("error_message");
        let error = state
            .is_failure()
            .then(|| first_error.or(error_message).unwrap_or_else(|| "Unknown error".to_owned()));
        // Warnings of a scanner or its shim that are not failures.
        for warning in fields.texts("warnings").unwrap_or_default().into_iter().take(100) {
            fields.warn(warning);
        }
        let status = Self {
            index,
            name: fields.text("repo_name"),
            git_url: fields.text("git_url"),
            state,
            unknown_word,
            started_at: fields.time("started_at"),
            last_update: fields.time("last_update"),
            completed_at: fields.time("completed_at"),
            attempt: fields.count("attempt"),
            progress: Progress::read(&mut fields),
            error,
            failure: fields
                .typed("failure", "an object with `kind` and `detail`")
                .map(|failure: Failure| Failure { detail: shortened(failure.detail), ..failure }),
            dependencies_found: fields.count("dependencies_found"),
            reused_from: fields
                .typed("reused_from", "the id of a job")
                .filter(|_| state == RepoState::Completed),
            checked_at: fields.time("checked_at"),
        };
        Ok((status, fields.into_warnings()))
    }

    /// The status word to show: the original one if it is unknown.
    pub fn word(&self) -> &str {
        self.unknown_word.as_deref().unwrap_or(self.state.as_str())
    }

    /// The name to show, with a fallback.
    pub fn display_name(&self) -> String {
        self.name.clone().unwrap_or_else(|| format!("Repository {}", self.index))
    }

    /// The completed fraction of this repository, 0.0 to 1.0, as far as its figures show.
    pub fn fraction(&self) -> f64 {
        match (&self.progress, self.state) {
            (_, state) if state.is_final() => 1.0,
            (
                Some(Progress {
                    figures:
                        Figures::Files { percentage, .. } | Figures::Extraction { percentage, .. },
                    ..
                }),
                RepoState::Working(_),
            ) => percentage / 100.0,
            _ => 0.0,
        }
    }
}

impl Progress {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let message = fields.text("message").filter(|text| !text.is_empty());
        let stored = fields.number("percentage");
        let total_files = fields.count("total_files");
        let current_file = fields.count("current_file");
        let file_name = fields.text("current_filename");
        let current_file_name = file_name.or_else(|| fields.text("current_file_name"));
        let download_bytes = fields.count("download_bytes");
        let files_extracted = fields.count("files_extracted");
        let total_extraction_files = fields.count("total_extraction_files");
        let extraction_percentage = fields.number("extraction_percentage");

        let (figures, default_message) = if let Some(total_files) = total_files {
            let current_file = current_file.unwrap_or(0);
            let percentage = percent(stored, current_file, total_files);
            let figures = Figures::Files {
                total: total_files,
                current: current_file,
                percentage,
                file_name: current_file_name,
            };
            (figures, None)
        } else if let Some(download_bytes) = download_bytes {
            #[expect(clippy::cast_precision_loss, reason = "shown to one decimal")]
            let megabytes = one_decimal(download_bytes as f64 / f64::from(1 << 20));
            (
                Figures::Download { bytes: download_bytes, megabytes },
                Some(format!("Downloading: {megabytes:.1} MB")),
            )
        } else if let Some(files_extracted) = files_extracted {
            let total = total_extraction_files.unwrap_or(0);
            let percentage = percent(extraction_percentage.or(stored), files_extracted, total);
            let text =
                format!("Extracting: {} / {} files", thousands(files_extracted), thousands(total));
            (Figures::Extraction { extracted: files_extracted, total, percentage }, Some(text))
        } else if message.is_some() {
            (Figures::None {}, None)
        } else {
            return None;
        };
        Some(Self {
            figures,
            message: message.or(default_message),
            stage: fields.text("stage"),
            stage_index: fields.count("stage_index"),
            stage_total: fields.count("stage_total"),
            stage_progress: fields.any(
                "stage_progress",
                "a JSON value of at most 4096 bytes",
                StageProgress::of,
            ),
        })
    }
}

fn percent(stored: Option<f64>, part: u64, whole: u64) -> f64 {
    let value = match stored {
        Some(stored) => stored,
        None if whole == 0 => 0.0,
        #[expect(clippy::cast_precision_loss, reason = "shown to one decimal")]
        None => one_decimal(part as f64 * 100.0 / whole as f64),
    };
    value.clamp(0.0, 100.0)
}

/// Rounded to one decimal.
pub fn one_decimal(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn read(value: &Value) -> (RepositoryStatus, Vec<String>) {
        RepositoryStatus::parse(3, value.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn an_invalid_member_is_absent_and_causes_a_warning() {
        let (status, warnings) = read(&json!({
            "repo_index": "three", "repo_name": 7, "status": "scanning", "total_files": -1,
            "failure": {"kind": "unheard of"}, "errors": "none", "last_update": "soon",
        }));
        assert_eq!((status.index, status.name.as_deref()), (3, None));
        assert!(status.state.is_working() && status.progress.is_none());
        assert_eq!(warnings.len(), 6, "{warnings:?}");
    }

    /// Breaks if what another writer says about its stage is changed, lost, or kept at any size.
    #[test]
    fn any_stage_progress_is_passed_through_and_bounded() {
        let shown = |value: Value| {
            let (status, warnings) = read(&json!({"message": "m", "stage_progress": value}));
            let progress = serde_json::to_value(status.progress.unwrap()).unwrap();
            (progress.get("stage_progress").cloned(), warnings.len())
        };
        for value in [
            json!(40),
            json!(40.5),
            json!("half"),
            json!(true),
            json!([1, "b", null]),
            json!({"current": 3, "total": 9, "detail": {"z": 1, "a": 2.0}}),
        ] {
            assert_eq!(shown(value.clone()), (Some(value), 0));
        }
        assert_eq!(shown(Value::Null), (None, 0));
        assert_eq!(shown(json!("x".repeat(5000))), (None, 1));
    }

    #[test]
    fn percentages_stay_within_their_range() {
        let (status, _) =
            read(&json!({"total_files": 10, "current_file": 99, "status": "scanning"}));
        let Some(Progress { figures: Figures::Files { percentage, .. }, .. }) = status.progress
        else {
            panic!("want file figures");
        };
        assert!((percentage - 100.0).abs() < 1e-9);
    }

    #[test]
    fn thousands_are_separated() {
        assert_eq!(thousands(0), "0");
        assert_eq!(thousands(999), "999");
        assert_eq!(thousands(1_234_567), "1,234,567");
    }
}
