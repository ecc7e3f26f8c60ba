//! A parser may be wrong, and then it may panic: that costs its file and nothing else.
//!
//! Invariants: a panic under guard is caught with its place and a backtrace, and does
//! not write on standard error by itself; one that is not under guard is none of ours.

use std::{
    any::Any,
    backtrace::Backtrace,
    cell::{Cell, RefCell},
    panic::{self, AssertUnwindSafe, PanicHookInfo},
    sync::Once,
};

/// How many backtraces a thread takes: the next thousand would be the same, and each costs
/// milliseconds.
const MOST_BACKTRACES: u32 = 5;

/// A panic that was caught.
#[derive(Debug)]
pub(super) struct Panicked {
    /// What it said, and where.
    pub(super) message: String,
    pub(super) backtrace: Option<String>,
}

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
    static BACKTRACES: Cell<u32> = const { Cell::new(0) };
    static CAUGHT: RefCell<Option<Panicked>> = const { RefCell::new(None) };
}

/// Does the work; if it panics, says how.
pub(super) fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, Panicked> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |info| if GUARDED.get() { keep(info) } else { usual(info) }));
    });
    GUARDED.set(true);
    // What the work was building is dropped, so nobody sees it half done.
    let done = panic::catch_unwind(AssertUnwindSafe(work));
    GUARDED.set(false);
    done.map_err(|payload| {
        CAUGHT.take().unwrap_or_else(|| Panicked {
            message: words(payload.as_ref()).to_owned(),
            backtrace: None,
        })
    })
}

/// What a panic said.
pub(super) fn words(payload: &(dyn Any + Send)) -> &str {
    payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("it panicked without a word")
}

fn keep(info: &PanicHookInfo<'_>) {
    let place = info.location().map(|it| format!(" ({}:{})", it.file(), it.line()));
    let message = format!("{}{}", words(info.payload()), place.unwrap_or_default());
    let taken = BACKTRACES.get();
    BACKTRACES.set(taken.saturating_add(1));
    let backtrace = (taken < MOST_BACKTRACES).then(|| Backtrace::force_capture().to_string());
    CAUGHT.set(Some(Panicked { message, backtrace }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_caught_with_its_place() {
        assert_eq!(guarded(|| 7).unwrap(), 7);
        let caught = guarded(|| -> u32 { panic!("no {}", "luck") }).unwrap_err();
        assert!(caught.message.starts_with("no luck (src/worker/scan/guard.rs:"), "{caught:?}");
        assert!(caught.backtrace.unwrap().contains("guard"));
    }
}
