//! Validates `[[schedules]]`.
//!
//! Input: the tables of the settings, and which addresses may be contacted. Output: the schedules by
//! name, or the path of the first invalid setting with a message. Invariants: no host is contacted; a
//! schedule that is read is usable.

use crate::model::{
    address::NetworkPolicy,
    git_url::GitUrl,
    schedule::{MOST_SCHEDULES, ScheduleName, ScheduleSpec},
};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use toml::Table;

/// Checks all schedules. An error has the path of the setting.
pub(super) fn check(
    tables: Vec<Table>,
    network: &NetworkPolicy,
) -> Result<BTreeMap<ScheduleName, ScheduleSpec>, (String, String)> {
    if tables.len() > MOST_SCHEDULES {
        let message = format!("expected at most {MOST_SCHEDULES}, got {}", tables.len());
        return Err(("schedules".to_owned(), message));
    }
    let mut schedules = BTreeMap::new();
    for (number, table) in tables.into_iter().enumerate() {
        let refused =
            |member: &str, message: String| (format!("schedules[{number}].{member}"), message);
        let mut members = members_of(table).map_err(|error| refused("", error))?;
        let name = members.shift_remove("name");
        let name = name.as_ref().and_then(Value::as_str).unwrap_or_default();
        let name: ScheduleName =
            name.parse().map_err(|error| refused("name", format!("{error}")))?;
        let spec = ScheduleSpec::parse(members)
            .map_err(|error| refused(&error.member, format!("{} ({name})", error.message)))?;
        GitUrl::parse(&spec.git_url, network)
            .map_err(|why| refused("git_url", format!("{why} ({name})")))?;
        if schedules.insert(name.clone(), spec).is_some() {
            return Err(refused("name", format!("another schedule is called {name}")));
        }
    }
    Ok(schedules)
}

fn members_of(table: Table) -> Result<Map<String, Value>, String> {
    match serde_json::to_value(table) {
        Ok(Value::Object(members)) => Ok(members),
        Ok(_) => Err("expected a table".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        config::{Config, Sources},
        model::schedule::ScheduleSpec,
        store::atomic::{self, Durability},
    };

    fn load(text: &str) -> Result<Config, String> {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("s.toml");
        atomic::replace(root.path(), &file, text.as_bytes(), Durability::Eventual).unwrap();
        let sources = Sources { file: Some(file), ..Sources::default() };
        Config::load(&sources).map_err(|error| error.to_string())
    }

    /// Fails if an invalid schedule is started, or its error does not name the key and the line.
    #[test]
    fn an_invalid_schedule_is_refused_with_its_key_and_line() {
        let good = "[[schedules]]\nname = \"nightly\"\ncron = \"0 2 * * *\"\n\
                    git_url = \"https://github.com/acme\"\ndeep = true\n";
        let config = load(good).unwrap();
        let spec: &ScheduleSpec = &config.schedules[&"nightly".parse().unwrap()];
        assert!(spec.options.deep && spec.timezone == "UTC");
        for (from, to, key) in [
            ("0 2 *", "0 26 *", "schedules[0].cron"),
            ("deep = true", "timezone = \"Mars\"", "schedules[0].timezone"),
            ("deep = true", "deap = true", "schedules[0].deap"),
            ("nightly", "a/b", "schedules[0].name"),
            ("https://github.com", "https://10.0.0.1", "schedules[0].git_url"),
        ] {
            let error = load(&good.replace(from, to)).unwrap_err();
            assert!(error.contains(key) && error.contains("s.toml, line 1"), "{error}");
        }
        let twice = load(&format!("{good}{good}")).unwrap_err();
        assert!(twice.contains("schedules[1].name"), "{twice}");
    }
}
