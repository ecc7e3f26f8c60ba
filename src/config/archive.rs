//! `[archive]`: the object storage that receives finished jobs.
//!
//! Input: the section of the settings, the files that it names, and the variables by which the tools of a provider are
//! configured. Output: an [`ArchiveConfig`], none if no URL is set, or an error message. Invariants: no message and no
//! debug output contains a secret; a URL with credentials is refused.

use super::{
    authorities,
    values::{at_least, optional_path, seconds},
};
use rustls::pki_types::CertificateDer;
use secrecy::SecretString;
use serde::Deserialize;
use std::{
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};
use url::Url;

/// Where finished jobs are archived, and how it is contacted.
#[derive(Debug, Clone)]
pub struct ArchiveConfig {
    pub place: ArchivePlace,
    /// The first part of all names, without a slash at its ends; may be empty.
    pub prefix: String,
    pub region: String,
    pub endpoint: Option<Url>,
    pub credentials: ArchiveCredentials,
    /// The variables of the provider's tools, such as `AWS_ROLE_ARN`, by name.
    pub variables: Vec<(String, SecretString)>,
    pub allow_http: bool,
    /// The certificate authorities of `ca_file`, trusted in addition to the system's.
    pub authorities: Vec<CertificateDer<'static>>,
    /// How long a job stays in the archive; `None` for ever.
    pub retention: Option<Duration>,
    /// The timeout of one request.
    pub timeout: Duration,
    /// How many files are transferred at once.
    pub max_concurrent: usize,
}

/// A bucket, a container or a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ArchivePlace {
    S3(String),
    Gcs(String),
    Azure { account: Option<String>, container: String },
    Folder(PathBuf),
}

impl fmt::Display for ArchivePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::S3(bucket) => write!(f, "bucket `{bucket}`"),
            Self::Gcs(bucket) => write!(f, "bucket `{bucket}` of Google Cloud Storage"),
            Self::Azure { container, .. } => write!(f, "Azure container `{container}`"),
            Self::Folder(path) => write!(f, "folder `{}`", path.display()),
        }
    }
}

/// Credentials from files; without any, those of the environment or of the machine are used.
#[derive(Clone, Default)]
pub struct ArchiveCredentials {
    /// The access key of S3, and its secret.
    pub key: Option<(SecretString, SecretString)>,
    /// A service account of Google Cloud (JSON), or the key of an Azure storage account.
    pub account: Option<SecretString>,
}

impl fmt::Debug for ArchiveCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ArchiveCredentials")
    }
}

/// `[archive]` as it is written.
#[derive(Deserialize)]
pub(super) struct ArchiveSection {
    url: String,
    region: String,
    endpoint: String,
    #[serde(deserialize_with = "optional_path")]
    access_key_file: Option<PathBuf>,
    #[serde(deserialize_with = "optional_path")]
    secret_key_file: Option<PathBuf>,
    #[serde(deserialize_with = "optional_path")]
    credentials_file: Option<PathBuf>,
    allow_http: bool,
    #[serde(deserialize_with = "optional_path")]
    ca_file: Option<PathBuf>,
    retention_days: u64,
    #[serde(rename = "timeout_secs", deserialize_with = "seconds::<1, _>")]
    timeout: Duration,
    #[serde(deserialize_with = "at_least::<1, _, _>")]
    max_concurrent: usize,
}

/// The most files that may be transferred at once: each takes a few megabytes of memory.
const MAX_CONCURRENT: usize = 32;

/// An error: the key, and the message.
type Refused = (&'static str, String);

impl ArchiveSection {
    /// The archive; `None` if there is none.
    pub(super) fn check(
        self,
        environment: &[(String, String)],
    ) -> Result<Option<ArchiveConfig>, Refused> {
        if self.url.is_empty() {
            return Ok(None);
        }
        if !cfg!(feature = "archive") {
            let message = "this program was built without object storage; use a package, or build it with \
                           `--features archive`";
            return Err(("url", message.to_owned()));
        }
        let (place, prefix) = place(&self.url).ok_or_else(|| {
            // Do not print the text: it may contain a secret.
            let expected = "expected s3://bucket/prefix, gs://bucket/prefix, az://container/prefix, \
                            abfss://container@account.dfs.core.windows.net/prefix or file:///folder, without credentials";
            ("url", expected.to_owned())
        })?;
        let endpoint = self.endpoint()?;
        if self.max_concurrent > MAX_CONCURRENT {
            let message = format!("expected 1 to {MAX_CONCURRENT}, got {}", self.max_concurrent);
            return Err(("max_concurrent", message));
        }
        let authorities = match &self.ca_file {
            None => Vec::new(),
            Some(path) => authorities::read(path).map_err(|reason| ("ca_file", reason))?.1,
        };
        Ok(Some(ArchiveConfig {
            credentials: self.credentials(&place)?,
            variables: variables(&place, environment),
            place,
            prefix,
            region: self.region,
            endpoint,
            allow_http: self.allow_http,
            authorities,
            retention: (self.retention_days > 0)
                .then(|| Duration::from_secs(self.retention_days.saturating_mul(24 * 3600))),
            timeout: self.timeout,
            max_concurrent: self.max_concurrent,
        }))
    }

    fn endpoint(&self) -> Result<Option<Url>, Refused> {
        if self.endpoint.is_empty() {
            return Ok(None);
        }
        let usable = |url: &Url| {
            matches!(url.scheme(), "https" | "http")
                && url.has_host()
                && url.username().is_empty()
                && url.password().is_none()
                && url.query().is_none()
        };
        let url = Url::parse(&self.endpoint).ok().filter(usable).ok_or_else(|| {
            ("endpoint", "expected http(s)://host[:port], without credentials".to_owned())
        })?;
        if url.scheme() == "http" && !self.allow_http {
            let message = "results and logs would be sent unencrypted; use https, or set archive.allow_http = true";
            return Err(("endpoint", message.to_owned()));
        }
        Ok(Some(url))
    }

    fn credentials(&self, place: &ArchivePlace) -> Result<ArchiveCredentials, Refused> {
        let key = match (&self.access_key_file, &self.secret_key_file) {
            (None, None) => None,
            (Some(_), None) => {
                return Err(("secret_key_file", "not set, but archive.access_key_file is".into()));
            }
            (None, Some(_)) => {
                return Err(("access_key_file", "not set, but archive.secret_key_file is".into()));
            }
            (Some(_), Some(_)) if !matches!(place, ArchivePlace::S3(_)) => {
                return Err(("access_key_file", "only for s3://; set credentials_file".into()));
            }
            (Some(access), Some(secret)) => {
                Some((read(access, "access_key_file")?, read(secret, "secret_key_file")?))
            }
        };
        let account = match (&self.credentials_file, place) {
            (None, _) => None,
            (Some(path), ArchivePlace::Gcs(_) | ArchivePlace::Azure { .. }) => {
                Some(read(path, "credentials_file")?)
            }
            (Some(_), _) => {
                let message =
                    "only for gs:// and az://; for s3:// set access_key_file and secret_key_file";
                return Err(("credentials_file", message.to_owned()));
            }
        };
        Ok(ArchiveCredentials { key, account })
    }
}

/// The content of a file with a secret, without blanks around it.
fn read(path: &Path, key: &'static str) -> Result<SecretString, Refused> {
    let shown = path.display();
    let text = std::fs::read_to_string(path)
        .map_err(|error| (key, format!("cannot read `{shown}`: {error}")))?;
    match text.trim() {
        "" => Err((key, format!("`{shown}` is empty"))),
        text => Ok(SecretString::from(text)),
    }
}

/// The place and the prefix that a URL names.
fn place(text: &str) -> Option<(ArchivePlace, String)> {
    let url = Url::parse(text).ok()?;
    if url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
        return None;
    }
    let host = url.host_str().map(str::to_owned).filter(|host| !host.is_empty());
    let is_plain = url.username().is_empty() && url.port().is_none();
    let place = match url.scheme() {
        "s3" if is_plain => ArchivePlace::S3(host?),
        "gs" if is_plain => ArchivePlace::Gcs(host?),
        "az" if is_plain => ArchivePlace::Azure { account: None, container: host? },
        "abfss" if !url.username().is_empty() => {
            let account = host?.split('.').next()?.to_owned();
            ArchivePlace::Azure { account: Some(account), container: url.username().to_owned() }
        }
        "file" => {
            let folder = url.to_file_path().ok().filter(|path| path.parent().is_some())?;
            return Some((ArchivePlace::Folder(folder), String::new()));
        }
        _ => return None,
    };
    let path = percent_encoding::percent_decode_str(url.path()).decode_utf8().ok()?;
    let prefix = path.trim_matches('/').to_owned();
    let is_usable = prefix.is_empty() || prefix.split('/').all(is_part);
    is_usable.then_some((place, prefix))
}

/// Whether this can be a part of an object's name in every store.
fn is_part(text: &str) -> bool {
    !matches!(text, "" | "." | "..")
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.=+@".contains(&byte))
}

/// The variables of the provider's tools.
fn variables(
    place: &ArchivePlace,
    environment: &[(String, String)],
) -> Vec<(String, SecretString)> {
    let prefix = match place {
        ArchivePlace::S3(_) => "AWS_",
        ArchivePlace::Gcs(_) => "GOOGLE_",
        ArchivePlace::Azure { .. } => "AZURE_",
        ArchivePlace::Folder(_) => return Vec::new(),
    };
    environment
        .iter()
        .filter(|(name, value)| name.starts_with(prefix) && !value.is_empty())
        .map(|(name, value)| (name.clone(), SecretString::from(value.as_str())))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fails if a URL names another place than it shows, or if one with a secret is accepted.
    #[test]
    fn urls_name_a_place_and_a_prefix() {
        let s3 = |bucket: &str| ArchivePlace::S3(bucket.to_owned());
        let azure = |account: Option<&str>, container: &str| ArchivePlace::Azure {
            account: account.map(str::to_owned),
            container: container.to_owned(),
        };
        for (url, expected, prefix) in [
            ("s3://bucket", s3("bucket"), ""),
            ("s3://bucket/", s3("bucket"), ""),
            ("s3://my.bucket/a/b/", s3("my.bucket"), "a/b"),
            ("gs://bucket/p", ArchivePlace::Gcs("bucket".into()), "p"),
            ("az://container/p", azure(None, "container"), "p"),
            ("abfss://c@acc.dfs.core.windows.net/p", azure(Some("acc"), "c"), "p"),
            ("file:///srv/archive", ArchivePlace::Folder("/srv/archive".into()), ""),
        ] {
            assert_eq!(place(url), Some((expected, prefix.to_owned())), "{url}");
        }
        for url in [
            "",
            "bucket",
            "s3://",
            "s3:///p",
            "s3://key:secret@bucket/p",
            "s3://key@bucket",
            "s3://b/a//b",
            "s3://b/a b",
            "s3://b/p?x=1",
            "s3://b/p#f",
            "s3://b:9/p",
            "https://b/p",
            "abfss://acc.dfs.core.windows.net/p",
            "file://host/a",
            "file:///",
        ] {
            assert_eq!(place(url), None, "{url}");
        }
    }
}
