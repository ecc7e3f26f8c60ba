//! Checks again and again, as fast as it can, for forbidden text: in the arguments and environments
//! of all processes, and in the files below a folder.

use super::{encodings::Forms, files};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
};

/// Larger files are not read while they change.
const LARGE: u64 = 1 << 20;

/// A running sampler.
#[derive(Debug)]
pub(crate) struct Sampler {
    shared: Arc<Shared>,
    looking: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    forms: Forms,
    folder: PathBuf,
    seen: Mutex<BTreeSet<Sight>>,
    looks: AtomicU64,
    over: AtomicBool,
}

/// Where a form was seen.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Sight {
    Arguments { program: String },
    Environment { program: String, variable: String },
    File(PathBuf),
}

impl Sampler {
    /// Starts to search for these forms.
    pub(crate) fn start(forms: Forms, folder: &Path) -> Self {
        let shared = Arc::new(Shared {
            forms,
            folder: folder.to_owned(),
            seen: Mutex::default(),
            looks: AtomicU64::new(0),
            over: AtomicBool::new(false),
        });
        let looking = Arc::clone(&shared);
        let looking = thread::spawn(move || {
            while !looking.over.load(Ordering::SeqCst) {
                looking.look();
            }
        });
        Self { shared, looking: Some(looking) }
    }

    /// Checks once more, and returns what was seen.
    pub(crate) fn finish(mut self) -> BTreeSet<Sight> {
        self.end();
        self.shared.look();
        assert!(self.shared.looks.load(Ordering::SeqCst) > 2, "it had time to look");
        self.shared.seen.lock().unwrap().clone()
    }

    fn end(&mut self) {
        self.shared.over.store(true, Ordering::SeqCst);
        if let Some(looking) = self.looking.take() {
            let _ = looking.join();
        }
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        self.end();
    }
}

impl Shared {
    fn look(&self) {
        for entry in fs::read_dir("/proc").expect("there is a /proc").flatten() {
            if entry.file_name().to_string_lossy().starts_with(|c: char| c.is_ascii_digit()) {
                self.look_at_process(&entry.path());
            }
        }
        for file in files::below(&self.folder) {
            let small = file.symlink_metadata().is_ok_and(|metadata| metadata.len() <= LARGE);
            // What disappears in the meantime is skipped.
            let bytes = if small { fs::read(&file).unwrap_or_default() } else { Vec::new() };
            if !self.forms.found_in(&bytes).is_empty() {
                self.note(Sight::File(file));
            }
        }
        self.looks.fetch_add(1, Ordering::SeqCst);
    }

    fn look_at_process(&self, place: &Path) {
        let arguments = fs::read(place.join("cmdline")).unwrap_or_default();
        let first = arguments.split(|byte| *byte == 0).next().unwrap_or_default();
        let program = String::from_utf8_lossy(first).into_owned();
        if !self.forms.found_in(&arguments).is_empty() {
            self.note(Sight::Arguments { program: program.clone() });
        }
        let environment = fs::read(place.join("environ")).unwrap_or_default();
        if self.forms.found_in(&environment).is_empty() {
            return;
        }
        for variable in environment.split(|byte| *byte == 0) {
            if !self.forms.found_in(variable).is_empty() {
                let name = variable.split(|byte| *byte == b'=').next().unwrap_or_default();
                let variable = String::from_utf8_lossy(name).into_owned();
                self.note(Sight::Environment { program: program.clone(), variable });
            }
        }
    }

    fn note(&self, sight: Sight) {
        self.seen.lock().unwrap().insert(sight);
    }
}
