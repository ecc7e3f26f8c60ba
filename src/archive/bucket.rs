//! The bucket: whole files are uploaded, verified and downloaded.
//!
//! Input: local files with their SHA-256, and names of objects. Output: objects, and local files with the expected content.
//!
//! Invariants:
//! - An upload has succeeded only if the object, read back, has the expected SHA-256. The answer to an upload is not
//!   enough: a proxy or a store may have changed or lost a part.
//! - A downloaded file is renamed into place only if it has the expected SHA-256.
//! - A transfer takes at most two parts ([`PART`]) of memory; at most `max_concurrent` of them run at once.

use super::{
    error::{Kind, StorageError},
    parts::{Content, PART, Parts, Sum},
    providers::open,
};
use crate::{config::ArchiveConfig, pool::Pool};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, TryStreamExt};
use object_store::{ObjectStore, ObjectStoreExt, PutPayload, path::Path as ObjectPath};
use std::{fs::File, io, path::Path, sync::Arc};
use tokio::sync::Semaphore;

/// The name of the object whose upload shows that the bucket can be used.
const PROBE: &str = "scanwatch";
/// Its content.
const PROBE_TEXT: &[u8] =
    b"Finished jobs of scanwatch: see \"Archive\" in its docs/operations.md.\n";

/// An object in a listing.
#[derive(Debug)]
pub(super) struct Found {
    /// The name below the prefix.
    pub(super) name: String,
    pub(super) modified_at: chrono::DateTime<chrono::Utc>,
}

/// The bucket of the settings. Clones share the connections and the limit of transfers.
#[derive(Debug, Clone)]
pub(super) struct Bucket {
    store: Arc<dyn ObjectStore>,
    prefix: ObjectPath,
    transfers: Arc<Semaphore>,
    /// Reads and writes local files.
    files: Pool,
}

impl Bucket {
    /// The bucket of the settings; nothing is contacted.
    ///
    /// # Errors
    /// If the settings cannot be used together.
    pub(super) fn new(config: &ArchiveConfig) -> Result<Self, StorageError> {
        let place = config.place.to_string();
        let store = open(config)
            .map_err(|error| StorageError::new(Kind::Denied, "use", &place, error.to_string()))?;
        let prefix = ObjectPath::parse(&config.prefix)
            .map_err(|error| StorageError::new(Kind::NoBucket, "use", &place, error.to_string()))?;
        let transfers = Arc::new(Semaphore::new(config.max_concurrent));
        Ok(Self { store, prefix, transfers, files: Pool::new("archive-files", 4) })
    }

    /// Checks that objects can be written, read and listed.
    pub(super) async fn check(&self) -> Result<(), StorageError> {
        let path = self.path(PROBE);
        let missing = |error: StorageError| match error.kind {
            // An upload to a bucket that exists never finds it missing.
            Kind::NoObject => error.with_kind(Kind::NoBucket),
            _ => error,
        };
        let payload = PutPayload::from_static(PROBE_TEXT);
        let put = self.store.put(&path, payload).await;
        put.map_err(StorageError::of_store("upload", &path)).map_err(missing)?;
        let got = self.store.get(&path).await.map_err(StorageError::of_store("read", &path))?;
        let bytes = got.bytes().await.map_err(StorageError::of_store("read", &path))?;
        if bytes != PROBE_TEXT {
            return Err(StorageError::new(Kind::Unavailable, "read", &path, "another content"));
        }
        let mut listed = self.store.list(Some(&self.path("jobs")));
        match listed.next().await {
            None | Some(Ok(_)) => Ok(()),
            Some(Err(error)) => Err(missing(StorageError::of_store("list", "jobs/")(error))),
        }
    }

    /// Uploads a file and reads it back. Returns after the object has the expected content.
    pub(super) async fn upload(
        &self,
        name: &str,
        file: &Path,
        content: &Content,
    ) -> Result<(), StorageError> {
        let _transfer = self.transfers.acquire().await;
        let path = self.path(name);
        self.put(&path, file, content).await?;
        let stored = self.content_of(&path).await.map_err(|error| match error.kind {
            Kind::NoObject => StorageError::new(Kind::Damaged, "verify", &path, "it is missing"),
            _ => error,
        })?;
        if stored != *content {
            let text = format!(
                "{} bytes with SHA-256 {} were uploaded, {} bytes with {} are there",
                content.size, content.sha256, stored.size, stored.sha256
            );
            return Err(StorageError::new(Kind::Damaged, "verify", &path, text));
        }
        Ok(())
    }

    async fn put(
        &self,
        path: &ObjectPath,
        file: &Path,
        content: &Content,
    ) -> Result<(), StorageError> {
        let mut parts = Parts::open(&self.files, file, content)?;
        let upload = || StorageError::of_store("upload", path);
        if content.size <= PART as u64 {
            let bytes = parts.next().await?.unwrap_or_default();
            parts.finish()?;
            return self.store.put(path, bytes.into()).await.map_err(upload()).map(drop);
        }
        let mut multipart = self.store.put_multipart(path).await.map_err(upload())?;
        let sent = async {
            while let Some(bytes) = parts.next().await? {
                multipart.put_part(bytes.into()).await.map_err(upload())?;
            }
            parts.finish()?;
            multipart.complete().await.map_err(upload())
        };
        match sent.await {
            Ok(_) => Ok(()),
            Err(error) => {
                // What fails here stays as an incomplete upload; see the rule for those in docs/operations.md.
                let _ = multipart.abort().await;
                Err(error)
            }
        }
    }

    /// The size and the SHA-256 of an object, from its content.
    async fn content_of(&self, path: &ObjectPath) -> Result<Content, StorageError> {
        let read = || StorageError::of_store("read", path);
        let mut pieces = self.store.get(path).await.map_err(read())?.into_stream();
        let mut sum = Sum::new();
        while let Some(piece) = pieces.try_next().await.map_err(read())? {
            sum.add(&piece);
        }
        Ok(sum.finish())
    }

    /// Whether there is an object.
    pub(super) async fn has(&self, name: &str) -> Result<bool, StorageError> {
        let path = self.path(name);
        match self.store.head(&path).await.map_err(StorageError::of_store("find", &path)) {
            Ok(_) => Ok(true),
            Err(error) if error.is_absence() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The beginning of an object, of at most `most` bytes.
    pub(super) async fn head(&self, name: &str, most: u64) -> Result<Bytes, StorageError> {
        let path = self.path(name);
        self.store.get_range(&path, 0..most).await.map_err(StorageError::of_store("read", &path))
    }

    /// Downloads an object into `file`, which is at its beginning, and returns its content. The caller has to compare it with
    /// what it expects before it uses the file.
    pub(super) async fn download(
        &self,
        name: &str,
        file: File,
        most: u64,
    ) -> Result<(File, Content), StorageError> {
        let _transfer = self.transfers.acquire().await;
        let path = self.path(name);
        let read = || StorageError::of_store("read", &path);
        let got = self.store.get(&path).await.map_err(read())?;
        let too_large = || {
            StorageError::new(
                Kind::Damaged,
                "read",
                &path,
                format!("it is larger than {most} bytes"),
            )
        };
        if got.meta.size > most {
            return Err(too_large());
        }
        let mut pieces = got.into_stream();
        let mut sum = Sum::new();
        let mut file = Arc::new(file);
        while let Some(piece) = pieces.try_next().await.map_err(read())? {
            sum.add(&piece);
            if sum.size > most {
                return Err(too_large());
            }
            let to = Arc::clone(&file);
            let write = move || io::Write::write_all(&mut &*to, &piece);
            let written = self.files.run(write).await.map_err(io::Error::from).flatten();
            written.map_err(StorageError::of_disk("write a copy of", &path))?;
        }
        let file = loop {
            match Arc::try_unwrap(file) {
                Ok(file) => break file,
                // The thread of the last write is just dropping it.
                Err(shared) => {
                    file = shared;
                    tokio::task::yield_now().await;
                }
            }
        };
        Ok((file, sum.finish()))
    }

    /// The objects below a name, in the order of their names, page by page.
    pub(super) fn list(
        &self,
        below: &str,
    ) -> impl Stream<Item = Result<Found, StorageError>> + Send + 'static {
        let prefix = self.prefix.clone();
        self.store.list(Some(&self.path(below))).map(move |listed| {
            let meta = listed.map_err(StorageError::of_store("list", &prefix))?;
            let name = meta.location.prefix_match(&prefix).map(|parts| {
                let parts: Vec<_> = parts.map(|part| part.as_ref().to_owned()).collect();
                parts.join("/")
            });
            let name = name.unwrap_or_default();
            Ok(Found { name, modified_at: meta.last_modified })
        })
    }

    /// Removes an object. Succeeds if there is none.
    pub(super) async fn remove(&self, name: &str) -> Result<(), StorageError> {
        let path = self.path(name);
        match self.store.delete(&path).await {
            Err(error) => match StorageError::of_store("remove", &path)(error) {
                absent if absent.is_absence() => Ok(()),
                error => Err(error),
            },
            Ok(()) => Ok(()),
        }
    }

    /// The path of a name below the prefix.
    fn path(&self, name: &str) -> ObjectPath {
        name.split('/').fold(self.prefix.clone(), ObjectPath::join)
    }
}
