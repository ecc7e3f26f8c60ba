//! How much memory scans take: the peak of each of their processes, by the kernel's own count.
//!
//! A thread checks every process with a scan's mark, a hundred times a second. The kernel keeps the
//! peak (`VmHWM`), so one check shortly before the end is enough.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

/// The variable by which a scan's processes are known: `job/repository/attempt`.
const MARK: &str = "SCANWATCH_TRACKING_ID=";

/// Peaks in bytes, by job and by program; the scanner and its shim are both `scanwatch`.
pub(crate) type ByJob = BTreeMap<String, BTreeMap<String, u64>>;

/// A sampler of all scans on this machine; the job's id tells whose they are.
#[derive(Debug)]
pub(crate) struct Peaks {
    over: Arc<AtomicBool>,
    looking: JoinHandle<ByJob>,
}

impl Peaks {
    pub(crate) fn watch() -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&over);
        let looking = thread::spawn(move || {
            let mut peaks = ByJob::new();
            let mut known = HashMap::new();
            while !until.load(Ordering::SeqCst) {
                look(&mut known, &mut peaks);
                thread::sleep(Duration::from_millis(10));
            }
            peaks
        });
        Self { over, looking }
    }

    /// Returns what was seen, and stops.
    pub(crate) fn end(self) -> ByJob {
        self.over.store(true, Ordering::SeqCst);
        self.looking.join().expect("looking at /proc does not panic")
    }
}

/// What is known of a process.
#[derive(Debug, Default)]
struct Known {
    /// None for a process that belongs to no scan.
    job: Option<String>,
    /// How often it was checked. It has its mark only after its exec.
    asked: u32,
}

fn look(known: &mut HashMap<u32, Known>, peaks: &mut ByJob) {
    let numbers = fs::read_dir("/proc").expect("there is a /proc").flatten();
    let living: Vec<u32> =
        numbers.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    known.retain(|pid, _| living.contains(pid));
    for pid in living {
        let known = known.entry(pid).or_default();
        if known.job.is_none() && known.asked < 20 {
            known.job = job_of(pid);
            known.asked += 1;
        }
        let Some(job) = &known.job else { continue };
        let Some((program, peak)) = peak_of(pid) else { continue };
        let most = peaks.entry(job.clone()).or_default().entry(program).or_default();
        *most = peak.max(*most);
    }
}

fn job_of(pid: u32) -> Option<String> {
    let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
    let environment = String::from_utf8_lossy(&environment);
    let mark = environment.split('\0').find_map(|part| part.strip_prefix(MARK))?;
    Some(mark.split('/').next()?.to_owned())
}

/// The name and the peak of a process, which may have started another program in the meantime.
fn peak_of(pid: u32) -> Option<(String, u64)> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let kilobytes: u64 = field("VmHWM:")?.strip_suffix("kB")?.trim().parse().ok()?;
    Some((field("Name:")?.to_owned(), kilobytes << 10))
}
