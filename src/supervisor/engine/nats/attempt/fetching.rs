//! Fetches what the final report of an attempt names.
//!
//! Input: the header of a report. Output: temporary files, and a status that was too large for the report.
//!
//! Invariants: what is unusable is skipped with a reason; a result that NATS has lost is no result.

use super::Follower;
use crate::{
    supervisor::engine::nats::{
        files::FinalFiles,
        objects::{self, FetchError},
        session::Session,
    },
    wire::status::{MAX_STATUS_OBJECT_BYTES, StatusHeader},
};
use futures_util::future::join_all;
use std::io::{self, Read};

impl Follower {
    /// Fetches result, log and status of a final report. What is unusable is skipped, with a reason; `None` if NATS has
    /// lost the result.
    pub(super) async fn fetch(
        &self,
        session: &Session,
        header: &StatusHeader,
    ) -> Result<Option<(FinalFiles, Option<Vec<u8>>)>, String> {
        let config = self.hub.setup.config.get();
        let staging = self.hub.jobs().staging();
        let mut files = FinalFiles::default();
        let mut large = None;
        let log_limit = config.scanner.log_max_bytes.saturating_mul(2).saturating_add(1 << 20);
        let objects = [
            (&header.result, config.limits.max_result_bytes),
            (&header.log, log_limit),
            (&header.status, MAX_STATUS_OBJECT_BYTES),
        ];
        let (mut wanted, mut fetches) = (Vec::new(), Vec::new());
        for (object, limit) in objects {
            let Some(object) = object else { continue };
            let to = (&self.hub.pool, staging.clone());
            wanted.push(object);
            fetches.push(objects::fetch(session, &header.agent, object, limit, to));
        }
        for (object, fetched) in wanted.into_iter().zip(join_all(fetches).await) {
            match fetched {
                Ok(file) if object.name == self.key.result_object(header.attempt) => {
                    files.result = Some(file);
                }
                Ok(file) if object.name == self.key.log_object(header.attempt) => {
                    files.log = Some(file);
                }
                Ok(file) => {
                    let read = move || {
                        let mut bytes = Vec::new();
                        file.reopen()?.read_to_end(&mut bytes)?;
                        Ok::<_, io::Error>(bytes)
                    };
                    let bytes = self.hub.pool.run(read).await.map_err(io::Error::from);
                    large = Some(bytes.and_then(|read| read).map_err(|error| error.to_string())?);
                }
                Err(FetchError::Missing)
                    if object.name == self.key.result_object(header.attempt) =>
                {
                    return Ok(None);
                }
                Err(FetchError::Missing) => {
                    tracing::warn!(repository = %self.key, agent = %header.agent, object = object.name, "an agent's object is missing in NATS");
                }
                Err(FetchError::Unusable(why)) => {
                    tracing::warn!(repository = %self.key, agent = %header.agent, object = object.name, why, "an agent's object cannot be used");
                    if object.name == self.key.result_object(header.attempt) {
                        files.problem = Some(why);
                    }
                }
                Err(error) => return Err(error.to_string()),
            }
        }
        Ok(Some((files, large)))
    }
}
