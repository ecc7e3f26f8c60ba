//! The clients of the providers of object storage.
//!
//! Input: the settings. Output: a client; nothing is contacted. Invariants: all of them use the HTTP clients of `http`; secrets
//! go nowhere else.

use crate::{
    config::{ArchiveConfig, ArchivePlace},
    http,
};
use object_store::{
    BackoffConfig, ClientConfigKey, ClientOptions, ObjectStore, RetryConfig,
    aws::AmazonS3Builder,
    azure::MicrosoftAzureBuilder,
    client::{HttpClient, HttpConnector},
    gcp::GoogleCloudStorageBuilder,
    local::LocalFileSystem,
};
use secrecy::ExposeSecret;
use std::{sync::Arc, time::Duration};

/// The client of the settings' provider.
pub(super) fn open(config: &ArchiveConfig) -> object_store::Result<Arc<dyn ObjectStore>> {
    let connector = Connector(config.clone());
    let retry = RetryConfig {
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(2),
            base: 2.0,
        },
        // The uploader repeats whole uploads, for days.
        max_retries: 2,
        retry_timeout: config.timeout,
    };
    let options = ClientOptions::new().with_allow_http(config.allow_http);
    let credentials = &config.credentials;
    Ok(match &config.place {
        ArchivePlace::S3(bucket) => {
            let mut builder = AmazonS3Builder::new();
            for (name, value) in &config.variables {
                if let Ok(key) = name.to_ascii_lowercase().parse() {
                    builder = builder.with_config(key, value.expose_secret());
                }
            }
            if let Some((access, secret)) = &credentials.key {
                builder = builder
                    .with_access_key_id(access.expose_secret())
                    .with_secret_access_key(secret.expose_secret());
            }
            if !config.region.is_empty() {
                builder = builder.with_region(&config.region);
            }
            if let Some(endpoint) = &config.endpoint {
                builder = builder.with_endpoint(endpoint.as_str());
            }
            let builder = builder.with_bucket_name(bucket).with_client_options(options);
            Arc::new(builder.with_retry(retry).with_http_connector(connector).build()?)
        }
        ArchivePlace::Gcs(bucket) => {
            let mut builder = GoogleCloudStorageBuilder::new();
            for (name, value) in &config.variables {
                if let Ok(key) = name.to_ascii_lowercase().parse() {
                    builder = builder.with_config(key, value.expose_secret());
                }
            }
            if let Some(account) = &credentials.account {
                builder = builder.with_service_account_key(account.expose_secret());
            }
            if let Some(endpoint) = &config.endpoint {
                builder = builder.with_base_url(endpoint.as_str().trim_end_matches('/'));
            }
            let builder = builder.with_bucket_name(bucket).with_client_options(options);
            Arc::new(builder.with_retry(retry).with_http_connector(connector).build()?)
        }
        ArchivePlace::Azure { account, container } => {
            let mut builder = MicrosoftAzureBuilder::new();
            for (name, value) in &config.variables {
                if let Ok(key) = name.to_ascii_lowercase().parse() {
                    builder = builder.with_config(key, value.expose_secret());
                }
            }
            if let Some(account) = account {
                builder = builder.with_account(account);
            }
            if let Some(key) = &credentials.account {
                builder = builder.with_access_key(key.expose_secret());
            }
            if let Some(endpoint) = &config.endpoint {
                builder = builder.with_endpoint(endpoint.as_str().trim_end_matches('/').to_owned());
            }
            let builder = builder.with_container_name(container).with_client_options(options);
            Arc::new(builder.with_retry(retry).with_http_connector(connector).build()?)
        }
        ArchivePlace::Folder(folder) => {
            Arc::new(LocalFileSystem::new_with_prefix(folder)?.with_fsync(true))
        }
    })
}

/// Creates the HTTP clients of the storage's client like all others of this program.
#[derive(Debug)]
struct Connector(ArchiveConfig);

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let config = &self.0;
        // The services for credentials of a machine have no TLS.
        let allow_http = options.get_config_value(&ClientConfigKey::AllowHttp);
        let authorities = config.authorities.iter().filter_map(|authority| {
            // They were read by the settings already.
            reqwest::Certificate::from_der(authority).ok()
        });
        let client = http::client()
            .https_only(allow_http.as_deref() != Some("true"))
            .tls_certs_merge(authorities)
            .read_timeout(config.timeout)
            .timeout(config.timeout)
            .build();
        let refused = |source: reqwest::Error| object_store::Error::Generic {
            store: "archive",
            source: Box::new(source),
        };
        client.map(HttpClient::new).map_err(refused)
    }
}
