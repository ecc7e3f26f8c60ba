//! `[slurm]`: how scans are given to a Slurm cluster.
//!
//! Input: the section of the settings. Output: its values in the types that the program uses. Invariants: every value can be
//! an argument of `sbatch`; no argument of the user's own changes what the engine relies on.

use super::values::{at_least, optional_path, seconds};
use serde::{Deserialize, Deserializer, de::Error};
use std::{path::PathBuf, time::Duration};

/// `[slurm]`
#[derive(Debug, Clone, Deserialize)]
pub struct SlurmConfig {
    /// The path of scanwatch on the nodes; `None` for that of this program.
    #[serde(deserialize_with = "program")]
    pub program: Option<PathBuf>,
    #[serde(deserialize_with = "word")]
    pub partition: Option<String>,
    #[serde(deserialize_with = "word")]
    pub account: Option<String>,
    #[serde(deserialize_with = "word")]
    pub qos: Option<String>,
    /// Further arguments of `sbatch`.
    #[serde(deserialize_with = "arguments")]
    pub sbatch_arguments: Vec<String>,
    /// How many scans are given to Slurm at once at most.
    #[serde(deserialize_with = "at_least::<1, _, _>")]
    pub slots: usize,
    /// How many scans are submitted as one array at most.
    #[serde(deserialize_with = "at_least::<1, _, _>")]
    pub array_size: usize,
    /// How often Slurm is asked for its jobs.
    #[serde(rename = "poll_interval_secs", deserialize_with = "seconds::<1, _>")]
    pub poll_interval: Duration,
    /// After this time in which Slurm does not list a job, the job counts as lost.
    #[serde(rename = "lost_after_secs", deserialize_with = "seconds::<1, _>")]
    pub lost_after: Duration,
}

/// The options of `sbatch` that the engine sets, in their long and short forms.
const RESERVED: [&str; 24] = [
    "--array",
    "-a",
    "--job-name",
    "-J",
    "--comment",
    "--requeue",
    "--no-requeue",
    "--export",
    "--output",
    "-o",
    "--error",
    "-e",
    "--input",
    "-i",
    "--chdir",
    "-D",
    "--parsable",
    "--time",
    "-t",
    "--wait",
    "-W",
    "--wrap",
    "--clusters",
    "-M",
];

fn program<'de, D: Deserializer<'de>>(value: D) -> Result<Option<PathBuf>, D::Error> {
    match optional_path(value)? {
        Some(path) if !path.is_absolute() => {
            let shown = path.display();
            Err(Error::custom(format!("expected an absolute path, got `{shown}`")))
        }
        path => Ok(path),
    }
}

/// A name of Slurm; an empty text means that none is set.
fn word<'de, D: Deserializer<'de>>(value: D) -> Result<Option<String>, D::Error> {
    let text = String::deserialize(value)?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-.,+:".contains(c);
    if text.starts_with('-') || !text.chars().all(plain) {
        return Err(Error::custom(format!(
            "expected letters, digits and _ - . , + : as in a name of Slurm, got `{text}`"
        )));
    }
    Ok(Some(text).filter(|text| !text.is_empty()))
}

fn arguments<'de, D: Deserializer<'de>>(value: D) -> Result<Vec<String>, D::Error> {
    let arguments = Vec::<String>::deserialize(value)?;
    for argument in &arguments {
        let name = argument.split('=').next().unwrap_or_default();
        let short = name.get(..2).filter(|_| !name.starts_with("--"));
        if RESERVED.contains(&name) || short.is_some_and(|short| RESERVED.contains(&short)) {
            return Err(Error::custom(format!("`{name}` is set by scanwatch")));
        }
        if !argument.starts_with('-') || argument.contains(['\0', '\n']) {
            return Err(Error::custom(format!(
                "expected options such as \"--mem=2G\", with their values, got `{argument}`"
            )));
        }
    }
    Ok(arguments)
}

#[cfg(test)]
mod tests {
    use crate::config::{Config, Sources, WatchMode};

    fn load(flags: &[(&str, &str)]) -> Result<Config, String> {
        let flags = flags.iter().map(|(path, value)| ((*path).to_owned(), (*value).to_owned()));
        let sources = Sources { flags: flags.collect(), ..Sources::default() };
        Config::load(&sources).map_err(|error| error.to_string())
    }

    #[test]
    fn what_sbatch_would_misread_is_refused_at_the_start() {
        let good = [
            ("engine.kind", "slurm"),
            ("slurm.partition", "short,long"),
            ("slurm.sbatch_arguments", "[\"--mem=2G\", \"--exclusive\", \"-c2\"]"),
        ];
        let config = load(&good).unwrap();
        assert_eq!(config.slurm.sbatch_arguments.len(), 3);
        assert_eq!(config.slurm.partition.as_deref(), Some("short,long"));
        for (path, value) in [
            ("slurm.partition", "--wrap=id"),
            ("slurm.account", "a b"),
            ("slurm.qos", "$(id)"),
            ("slurm.program", "bin/scanwatch"),
            ("slurm.sbatch_arguments", "[\"--requeue\"]"),
            ("slurm.sbatch_arguments", "[\"--export=ALL\"]"),
            ("slurm.sbatch_arguments", "[\"-Jx\"]"),
            ("slurm.sbatch_arguments", "[\"script.sh\"]"),
            ("slurm.array_size", "0"),
            ("slurm.slots", "0"),
            ("slurm.poll_interval_secs", "0"),
            ("slurm.lost_after_secs", "0"),
        ] {
            let error = load(&[(path, value)]).unwrap_err();
            assert!(error.contains(path), "{path} {value}: {error}");
        }
    }

    /// Breaks if a server waits for inotify events of files that other machines write.
    #[test]
    fn scans_on_other_machines_are_followed_by_polling() {
        assert_eq!(load(&[]).unwrap().watch.mode, WatchMode::Auto);
        assert_eq!(load(&[("engine.kind", "slurm")]).unwrap().watch.mode, WatchMode::Poll);
    }
}
