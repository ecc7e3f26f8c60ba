//! The upload of a bill of materials to Dependency-Track: `POST /api/v1/bom`, a form with the document.
//!
//! Input: a scanned repository, its document. Output: the address, the project, and the body of the request. Invariants:
//! a document is stored compressed, and decompressed piece by piece while it is sent; a repository and a ref are always
//! the same project, so that a later scan replaces the document.

use crate::model::webhook::RepositoryData;
use bytes::Bytes;
use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use futures_util::stream;
use reqwest::Body;
use std::{
    fmt::Write as _,
    io::{self, Cursor, Read},
};
use url::Url;
use uuid::Uuid;

/// The header with the API key.
pub(super) const API_KEY: &str = "x-api-key";
/// Where bills of materials are uploaded.
pub(super) const BOM: &str = "api/v1/bom";
/// The path whose answer shows whether an API key is valid.
pub(super) const TEAM: &str = "api/v1/team/self";
/// The version of a project whose default branch was scanned.
const DEFAULT_VERSION: &str = "HEAD";
/// The size of a piece.
const PIECE: usize = 32 << 10;

/// A form that is ready to be sent.
pub(super) struct Form {
    pub(super) media_type: String,
    pub(super) length: u64,
    pub(super) body: Body,
}

/// An address below the base URL of a server.
pub(super) fn address(base: &Url, path: &str) -> Url {
    let mut address = base.clone();
    address.set_path(&format!("{}/{path}", base.path().trim_end_matches('/')));
    address.set_query(None);
    address
}

/// Compresses what `write` writes.
pub(super) fn compress(
    to: &mut dyn io::Write,
    write: impl FnOnce(&mut dyn io::Write) -> io::Result<()>,
) -> io::Result<()> {
    let mut encoder = GzEncoder::new(to, Compression::fast());
    write(&mut encoder)?;
    encoder.finish().map(drop)
}

/// The form of a repository with its compressed document.
pub(super) fn form(repository: &RepositoryData, document: Vec<u8>) -> Form {
    let boundary = format!("scanwatch-{}", Uuid::now_v7().simple());
    let (name, version) = project(repository);
    let mut head = String::new();
    for (field, value) in
        [("autoCreate", "true"), ("projectName", &name), ("projectVersion", &version)]
    {
        // Writing to a `String` cannot fail.
        let _ = write!(
            head,
            "--{boundary}\r\nContent-Disposition: form-data; name=\"{field}\"\r\n\r\n{value}\r\n"
        );
    }
    let _ = write!(
        head,
        "--{boundary}\r\nContent-Disposition: form-data; name=\"bom\"; filename=\"bom.json\"\r\n\
         Content-Type: application/json\r\n\r\n"
    );
    let tail = format!("\r\n--{boundary}--\r\n");
    let length = head.len() as u64 + size(&document) + tail.len() as u64;
    let head = stream::iter([Ok(Bytes::from(head))]);
    let tail = stream::iter([Ok(Bytes::from(tail))]);
    let pieces = stream::unfold(Some(GzDecoder::new(Cursor::new(document))), async |decoder| {
        let mut decoder = decoder?;
        let mut piece = vec![0; PIECE];
        match decoder.read(&mut piece) {
            Ok(0) => None,
            Ok(count) => {
                piece.truncate(count);
                Some((Ok(Bytes::from(piece)), Some(decoder)))
            }
            Err(error) => Some((Err(error), None)),
        }
    });
    let all = futures_util::StreamExt::chain(head, pieces);
    let all = futures_util::StreamExt::chain(all, tail);
    Form {
        media_type: format!("multipart/form-data; boundary={boundary}"),
        length,
        body: Body::wrap_stream(all),
    }
}

/// The name and the version of the project of a repository: its address without scheme and `.git`, and the ref.
fn project(repository: &RepositoryData) -> (String, String) {
    let address = repository.git_url.as_deref().and_then(|url| Url::parse(url).ok());
    let address = address.filter(Url::has_host).map(|url| {
        let host = url.host_str().unwrap_or_default();
        let path = url.path().trim_end_matches('/');
        format!("{host}{}", path.strip_suffix(".git").unwrap_or(path))
    });
    let name = address.unwrap_or_else(|| repository.repo_name.clone());
    let version = repository.reference.as_deref().unwrap_or(DEFAULT_VERSION);
    let in_one_line = |text: &str| text.replace(['\r', '\n'], " ");
    (in_one_line(&name), in_one_line(version))
}

/// The size of a compressed document before compression, of less than 4 GiB: its last four bytes.
fn size(document: &[u8]) -> u64 {
    let last = document.last_chunk::<4>().copied().unwrap_or_default();
    u64::from(u32::from_le_bytes(last))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::time::Timestamp;
    use futures_util::StreamExt;

    fn repository(url: Option<&str>, reference: Option<&str>) -> RepositoryData {
        RepositoryData {
            job_id: "j".into(),
            repo_index: 0,
            repo_name: "app".into(),
            git_url: url.map(str::to_owned),
            reference: reference.map(str::to_owned),
            status: "completed".into(),
            attempt: None,
            dependencies_found: None,
            started_at: None,
            completed_at: Some(Timestamp::UNIX_EPOCH),
            error: None,
            failure: None,
            url: None,
        }
    }

    #[test]
    fn a_repository_and_a_ref_are_a_project() {
        for (url, reference, name, version) in [
            (Some("https://h.example/g/app.git"), None, "h.example/g/app", "HEAD"),
            (Some("https://u:p@h.example:8443/app/"), Some("v1\r\n"), "h.example/app", "v1  "),
            (None, None, "app", "HEAD"),
        ] {
            let found = project(&repository(url, reference));
            assert_eq!(found, (name.to_owned(), version.to_owned()));
        }
        let base = Url::parse("https://d.example/track/?x=1").unwrap();
        assert_eq!(address(&base, BOM).as_str(), "https://d.example/track/api/v1/bom");
    }

    /// Fails if the length of a form is not that of its body.
    #[tokio::test]
    async fn a_form_has_the_length_that_it_states() {
        let text = vec![b'x'; 100_000];
        let mut document = Vec::new();
        compress(&mut document, |to| to.write_all(&text)).unwrap();
        assert!(document.len() < 10_000);
        let form = form(&repository(None, None), document);
        let mut body = Vec::new();
        let mut pieces = http_body_pieces(form.body);
        while let Some(piece) = pieces.next().await {
            body.extend_from_slice(&piece);
        }
        assert_eq!(body.len() as u64, form.length);
        let shown = String::from_utf8_lossy(&body);
        assert!(shown.contains("name=\"projectName\"\r\n\r\napp\r\n"), "{shown}");
    }

    fn http_body_pieces(body: Body) -> impl futures_util::Stream<Item = Bytes> + Unpin {
        use hyper::body::Body as _;
        let mut body = Box::pin(body);
        stream::poll_fn(move |context| {
            body.as_mut()
                .poll_frame(context)
                .map(|frame| frame.map(|frame| frame.unwrap().into_data().unwrap()))
        })
    }
}
