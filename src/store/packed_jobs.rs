//! `.packed-jobs`: copies of finished jobs in packed form, so that a start need not read their files.
//!
//! Input: finished jobs that do not change, with the signatures of their folders and files. Output:
//! at the next start, a copy of each job whose folder and files still have these signatures.
//!
//! Invariants: the files of a job are the only source of truth; a copy is used only if nothing of
//! the job has changed since it was made, only by the program that made it, and only if its checksum
//! is right; anything else is ignored, job by job, and the files are read. The file may be removed
//! at any time.

use super::{
    StoreError,
    atomic::{self, Durability},
    layout::{JobFile, JobsDir, PACKED_JOBS},
    open_folder::OpenFolder,
    read::Signature,
};
use crate::model::JobId;
use std::{
    collections::HashMap,
    fmt::Write as _,
    fs::{File, Permissions},
    hash::{DefaultHasher, Hasher},
    io::{self, BufWriter, Write},
    ops::Range,
    os::unix::fs::PermissionsExt,
    time::SystemTime,
};

/// The size limit of the file. What does not fit is read from its files.
const MAX_BYTES: u64 = 512 << 20;
/// What the file begins with: its format.
const MAGIC: &[u8] = b"scanwatch packed jobs 1\n";
/// The program that runs.
const PROGRAM: &str = "/proc/self/exe";

/// The bytes of a checksum, and of the length before each record.
const CHECKSUM: usize = 8;
const LENGTH: usize = 4;

/// A finished job to be written.
#[derive(Debug)]
pub struct NewRecord {
    pub id: JobId,
    /// The signature of the folder.
    pub listed: Signature,
    /// The files of the job, each with the number of its signature.
    pub files: Vec<(JobFile, u64)>,
    /// Whether the supervisor has nothing left to do for the job.
    pub needs_nothing: bool,
    pub content: Vec<u8>,
}

/// The copies that were found at the start.
#[derive(Debug, Default)]
pub struct PackedJobs {
    bytes: Vec<u8>,
    records: HashMap<JobId, Range<usize>>,
}

/// A copy of a job.
#[derive(Debug)]
pub struct PackedJob<'a> {
    /// The signature of the folder.
    pub listed: Signature,
    /// The files of the job, each with the number of its signature.
    pub files: Vec<(JobFile, u64)>,
    /// Whether the supervisor had nothing left to do for the job.
    pub needs_nothing: bool,
    pub content: &'a [u8],
}

impl PackedJobs {
    /// Reads the file. There are no copies if it is missing, unreadable, or of another program.
    pub fn read(jobs: &JobsDir) -> Self {
        let mut bytes = Vec::new();
        let root = OpenFolder::open(jobs.root());
        let read = root.and_then(|root| root.read(PACKED_JOBS, MAX_BYTES, &mut bytes));
        let (Ok(_), Ok(header)) = (read, header()) else { return Self::default() };
        if !bytes.starts_with(&header) {
            return Self::default();
        }
        let mut records = HashMap::new();
        let mut at = header.len();
        while let Some((body, next)) = record_at(&bytes, at) {
            at = next;
            let Some(body) = body else { continue };
            if let Some((id, _)) = Parser(&bytes[body.clone()]).record() {
                records.insert(id, body);
            }
        }
        Self { bytes, records }
    }

    /// How many copies there are.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there are no copies.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// The copy of a job.
    pub fn get(&self, id: &JobId) -> Option<PackedJob<'_>> {
        let body = self.bytes.get(self.records.get(id)?.clone())?;
        Parser(body).record().map(|(_, job)| job)
    }
}

impl PackedJob<'_> {
    /// Whether the job has the same master file as when the copy was made. `root` is the jobs folder.
    pub fn has_its_master(&self, root: &OpenFolder, id: &JobId) -> bool {
        let known = self.files.iter().find(|(file, _)| *file == JobFile::Master);
        known.is_some_and(|(file, known)| {
            let path = format!("{id}/{}", file.name());
            root.signature_of(&path).is_ok_and(|now| now.number() == *known)
        })
    }

    /// The time of the newest change of the job's folder and files, if all of them are as they were
    /// when the copy was made: `root` is the jobs folder. A file that was added, removed or replaced
    /// changes the folder; a file that was changed in place has another signature.
    pub fn unchanged_since(&self, root: &OpenFolder, id: &JobId) -> Option<SystemTime> {
        let mut path = String::with_capacity(id.as_str().len() + 24);
        path.push_str(id.as_str());
        let now = root.signature_of_folder(&path).ok()?;
        if now != self.listed {
            return None;
        }
        let mut newest = now.changed_at();
        path.push('/');
        let folder = path.len();
        for (file, known) in &self.files {
            path.truncate(folder);
            match file {
                JobFile::Master => path.push_str("master.json"),
                JobFile::Repository(index) => write!(path, "repo_{index}.json").ok()?,
            }
            let now = root.signature_of(&path).ok()?;
            if now.number() != *known {
                return None;
            }
            newest = newest.max(now.changed_at());
        }
        Some(newest)
    }
}

/// Writes the copies of these jobs, by one rename; the old file is replaced. Not fsynced: after a
/// power cut, what is torn has a wrong checksum.
///
/// # Errors
/// If the disk refuses. The old file stays.
pub fn write(
    jobs: &JobsDir,
    records: impl IntoIterator<Item = NewRecord>,
) -> Result<(), StoreError> {
    let fill = |file: &mut File| -> io::Result<()> {
        file.set_permissions(Permissions::from_mode(0o600))?;
        let mut out = BufWriter::with_capacity(256 << 10, file);
        let header = header()?;
        out.write_all(&header)?;
        let mut written = header.len() as u64;
        let mut body = Vec::new();
        for record in records {
            body.clear();
            record.write(&mut body);
            written += (LENGTH + CHECKSUM + body.len()) as u64;
            let Ok(length) = u32::try_from(body.len()) else { continue };
            if written > MAX_BYTES {
                break;
            }
            out.write_all(&length.to_le_bytes())?;
            out.write_all(&checksum(&body).to_le_bytes())?;
            out.write_all(&body)?;
        }
        out.flush()
    };
    atomic::replace_with(&jobs.staging(), &jobs.packed_jobs(), fill, Durability::Eventual)
}

impl NewRecord {
    fn write(&self, body: &mut Vec<u8>) {
        let mut put = |number: u64| body.extend_from_slice(&number.to_le_bytes());
        self.listed.parts().into_iter().for_each(&mut put);
        put(self.files.len() as u64);
        for (file, signature) in &self.files {
            put(match file {
                JobFile::Master => 0,
                JobFile::Repository(index) => u64::from(*index) + 1,
            });
            put(*signature);
        }
        put(u64::from(self.needs_nothing));
        put(self.id.as_str().len() as u64);
        body.extend_from_slice(self.id.as_str().as_bytes());
        body.extend_from_slice(&self.content);
    }
}

/// Reads the parts of a record.
struct Parser<'a>(&'a [u8]);

impl<'a> Parser<'a> {
    fn record(mut self) -> Option<(JobId, PackedJob<'a>)> {
        let mut parts = [0; 5];
        for part in &mut parts {
            *part = self.number()?;
        }
        let count = usize::try_from(self.number()?).ok()?;
        // A file takes sixteen bytes, so a wrong count reserves no more than the record has.
        let mut files = Vec::with_capacity(count.min(self.0.len() / 16));
        for _ in 0..count {
            let file = match self.number()? {
                0 => JobFile::Master,
                index => JobFile::Repository(u32::try_from(index - 1).ok()?),
            };
            files.push((file, self.number()?));
        }
        let needs_nothing = self.number()? == 1;
        let id = usize::try_from(self.number()?).ok()?;
        let id = std::str::from_utf8(self.bytes(id)?).ok()?.parse().ok()?;
        let listed = Signature::of_parts(parts);
        Some((id, PackedJob { listed, files, needs_nothing, content: self.0 }))
    }

    fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.bytes(size_of::<u64>())?.try_into().ok()?))
    }
}

/// What the file begins with: the format, and the signature of the program that writes it.
fn header() -> io::Result<Vec<u8>> {
    let facts = std::fs::metadata(PROGRAM)?;
    let mut header = MAGIC.to_vec();
    let program = Signature::of(&facts);
    for part in program.parts() {
        header.extend_from_slice(&part.to_le_bytes());
    }
    Ok(header)
}

/// The body of the record at this place, if its checksum is right, and the place of the next one;
/// `None` at the end, or where the file was cut.
fn record_at(bytes: &[u8], at: usize) -> Option<(Option<Range<usize>>, usize)> {
    let mut parser = Parser(bytes.get(at..)?);
    let length = u32::from_le_bytes(parser.bytes(LENGTH)?.try_into().ok()?);
    let expected = parser.number()?;
    let length = usize::try_from(length).ok()?;
    let body = parser.bytes(length)?;
    let begin = at + LENGTH + CHECKSUM;
    let end = begin + length;
    Some(((checksum(body) == expected).then_some(begin..end), end))
}

/// A 64-bit checksum. The same program always computes the same.
fn checksum(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    hasher.finish()
}
