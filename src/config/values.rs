//! Values of settings as they are written: how each kind is read, and what is refused.
//!
//! Input: the value of one setting. Output: the value in the type that the program uses, or a
//! message that says what is expected. Invariants: a value that is read is usable; the caller adds
//! the name of the setting and the source of its value to the message.

use crate::model::{address::normal_host, pattern::Pattern, proxy::ProxyAddress};
use ipnet::IpNet;
use serde::{Deserialize, Deserializer, de::Error};
use std::{net::IpAddr, path::PathBuf, time::Duration};

/// A number of at least `LEAST`.
pub(super) fn at_least<'de, const LEAST: u64, T, D>(value: D) -> Result<T, D::Error>
where
    T: TryFrom<u64>,
    D: Deserializer<'de>,
{
    let number = u64::deserialize(value)?;
    if number < LEAST {
        return Err(Error::custom(format!("expected {LEAST} or more, got {number}")));
    }
    T::try_from(number).map_err(|_| Error::custom(format!("{number} is too large")))
}

/// A duration in seconds, of at least `LEAST`.
pub(super) fn seconds<'de, const LEAST: u64, D>(value: D) -> Result<Duration, D::Error>
where
    D: Deserializer<'de>,
{
    at_least::<LEAST, u64, D>(value).map(Duration::from_secs)
}

/// A duration in milliseconds, of at least `LEAST`.
pub(super) fn milliseconds<'de, const LEAST: u64, D>(value: D) -> Result<Duration, D::Error>
where
    D: Deserializer<'de>,
{
    at_least::<LEAST, u64, D>(value).map(Duration::from_millis)
}

/// A duration in hours.
pub(super) fn hours<'de, D: Deserializer<'de>>(value: D) -> Result<Duration, D::Error> {
    u64::deserialize(value).map(|hours| Duration::from_secs(hours.saturating_mul(3600)))
}

/// A text that `read` understands; `expected` describes such texts.
pub(super) fn text<'de, T, D: Deserializer<'de>>(
    value: D,
    expected: &str,
    read: impl FnOnce(&str) -> Option<T>,
) -> Result<T, D::Error> {
    let text = String::deserialize(value)?;
    read(&text).ok_or_else(|| Error::custom(format!("expected {expected}, got `{text}`")))
}

/// The path of a file; an empty text means that no file is set.
pub(super) fn optional_path<'de, D: Deserializer<'de>>(
    value: D,
) -> Result<Option<PathBuf>, D::Error> {
    PathBuf::deserialize(value).map(|path| Some(path).filter(|path| !path.as_os_str().is_empty()))
}

/// The path of a folder.
pub(super) fn folder<'de, D: Deserializer<'de>>(value: D) -> Result<PathBuf, D::Error> {
    let none = || Error::custom("expected a folder, got an empty text");
    optional_path(value)?.ok_or_else(none)
}

/// Absolute paths.
pub(super) fn absolute_paths<'de, D: Deserializer<'de>>(
    value: D,
) -> Result<Vec<PathBuf>, D::Error> {
    let paths = Vec::<PathBuf>::deserialize(value)?;
    match paths.iter().find(|path| !path.is_absolute()) {
        None => Ok(paths),
        Some(path) => {
            Err(Error::custom(format!("expected absolute paths, got `{}`", path.display())))
        }
    }
}

/// The address of a proxy; an empty text means that there is none.
pub(super) fn proxy_address<'de, D: Deserializer<'de>>(
    value: D,
) -> Result<Option<ProxyAddress>, D::Error> {
    let text = String::deserialize(value)?;
    if text.is_empty() {
        return Ok(None);
    }
    // The text is not repeated: it may contain a password.
    let expected = "expected http://[user@]host:port, or https";
    let address = ProxyAddress::parse(&text).ok_or_else(|| Error::custom(expected))?;
    if address.password.is_some() {
        let message = "expected a URL without a password: put it into the file proxy_password_file";
        return Err(Error::custom(message));
    }
    Ok(Some(address))
}

/// Patterns of paths within a repository.
pub(super) fn path_patterns<'de, D: Deserializer<'de>>(value: D) -> Result<Vec<String>, D::Error> {
    let patterns = Vec::<String>::deserialize(value)?;
    Pattern::list_of_paths(&patterns).map_err(Error::custom)?;
    Ok(patterns)
}

/// The mode of folders in octal digits, with all permissions for their owner.
pub(super) fn folder_mode<'de, D: Deserializer<'de>>(value: D) -> Result<u32, D::Error> {
    let expected = "an octal mode with all permissions for the owner, such as 0750";
    text(value, expected, |text| {
        let mode = u32::from_str_radix(text, 8).ok();
        mode.filter(|mode| mode & 0o700 == 0o700 && *mode <= 0o777)
    })
}

/// Names of hosts, which become lower case.
pub(super) fn hosts<'de, D: Deserializer<'de>>(value: D) -> Result<Vec<String>, D::Error> {
    let hosts = Vec::<String>::deserialize(value)?;
    let bad = hosts.iter().find(|host| host.is_empty() || host.contains(['/', ':', '@', ' ']));
    if let Some(host) = bad {
        let message = format!("expected a host name without scheme and port, got `{host}`");
        return Err(Error::custom(message));
    }
    Ok(hosts.iter().map(|host| normal_host(host)).collect())
}

/// The URL of this server for clients, or an empty text. A slash at its end is removed.
pub(super) fn public_url<'de, D: Deserializer<'de>>(value: D) -> Result<String, D::Error> {
    let given = String::deserialize(value)?;
    if given.is_empty() {
        return Ok(given);
    }
    let usable = |url: &url::Url| {
        matches!(url.scheme(), "http" | "https")
            && url.host().is_some()
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none()
    };
    match url::Url::parse(&given).ok().filter(usable) {
        Some(url) => Ok(url.as_str().trim_end_matches('/').to_owned()),
        // Do not print the text: it may contain a password.
        None => Err(Error::custom(
            "expected a URL such as https://example.com/scanwatch, without credentials, query and fragment",
        )),
    }
}

/// Networks in CIDR notation, or single addresses.
pub(super) fn networks<'de, D: Deserializer<'de>>(value: D) -> Result<Vec<IpNet>, D::Error> {
    let network = |text: &String| {
        let network = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        let expected = "expected a network such as 10.1.0.0/16";
        network.map_err(|_| Error::custom(format!("{expected}, got `{text}`")))
    };
    Vec::<String>::deserialize(value)?.iter().map(network).collect()
}
