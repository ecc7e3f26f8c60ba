//! Figures about the archive in object storage.
//!
//! Input: its counts. Output: samples; none without an archive. Invariants: no label has a value that a client chooses.

use crate::{
    api::state::Api,
    measure::{Kind, Text},
};

pub(super) fn archive(text: &mut Text, api: &Api) {
    let Some(archive) = &api.archive else { return };
    let counts = archive.counts();
    let mut one = |name, kind, help, value: f64| {
        text.family(name, kind, help);
        text.sample(&[], value);
    };
    #[expect(clippy::cast_precision_loss, reason = "counts of our lifetime are exact in an f64")]
    let number = |count: u64| count as f64;
    let size = |count: usize| number(count as u64);
    one(
        "scanwatch_archive_up",
        Kind::Gauge,
        "Whether the object storage of the archive works (1) or not (0).",
        f64::from(u8::from(counts.available)),
    );
    one(
        "scanwatch_archive_uploads_total",
        Kind::Counter,
        "Objects that were uploaded to the archive and verified.",
        number(counts.objects),
    );
    one(
        "scanwatch_archive_uploaded_bytes_total",
        Kind::Counter,
        "Bytes of these objects.",
        number(counts.bytes),
    );
    one(
        "scanwatch_archive_failures_total",
        Kind::Counter,
        "Uploads that failed, and are repeated.",
        number(counts.failures),
    );
    one(
        "scanwatch_archive_jobs_total",
        Kind::Counter,
        "Jobs that were uploaded as a whole.",
        number(counts.jobs),
    );
    one(
        "scanwatch_archive_reads_total",
        Kind::Counter,
        "Files that were read from the archive for requests.",
        number(counts.fetched),
    );
    one(
        "scanwatch_archive_removals_total",
        Kind::Counter,
        "Jobs that were removed from the archive.",
        number(counts.removed),
    );
    one(
        "scanwatch_archive_waiting_jobs",
        Kind::Gauge,
        "Finished jobs that are not in the archive yet, and stay here therefore.",
        size(counts.waiting),
    );
    one(
        "scanwatch_archive_oldest_waiting_seconds",
        Kind::Gauge,
        "How long the first of them has been finished.",
        counts.oldest_secs,
    );
    one(
        "scanwatch_archive_waiting_removals",
        Kind::Gauge,
        "Jobs that are still to be removed from the archive.",
        size(counts.removals),
    );
}
