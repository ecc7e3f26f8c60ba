//! Guards against panicking parsers: a panic costs its file and nothing else.
//!
//! Input: a closure. Output: its result, or the panic.
//!
//! Invariants: a panic under guard is caught with its location and a backtrace, and is not written
//! to standard error; other panics are not affected.

use std::{
    any::Any,
    backtrace::Backtrace,
    cell::{Cell, RefCell},
    panic::{self, AssertUnwindSafe, PanicHookInfo},
    sync::Once,
};

/// The maximum number of backtraces per thread: later ones would be the same, and each costs
/// milliseconds.
const MOST_BACKTRACES: u32 = 5;

/// A caught panic.
#[derive(Debug)]
pub(super) struct Panicked {
    /// Its message and location.
    pub(super) message: String,
    pub(super) backtrace: Option<String>,
}

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
    static BACKTRACES: Cell<u32> = const { Cell::new(0) };
    static CAUGHT: RefCell<Option<Panicked>> = const { RefCell::new(None) };
}

/// Runs a closure and catches its panic.
pub(super) fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, Panicked> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |info| if GUARDED.get() { keep(info) } else { usual(info) }));
    });
    GUARDED.set(true);
    // Data that the closure was building is dropped, so nobody sees it incomplete.
    let done = panic::catch_unwind(AssertUnwindSafe(work));
    GUARDED.set(false);
    done.map_err(|payload| {
        CAUGHT.take().unwrap_or_else(|| Panicked {
            message: words(payload.as_ref()).to_owned(),
            backtrace: None,
        })
    })
}

/// The message of a panic.
pub(super) fn words(payload: &(dyn Any + Send)) -> &str {
    payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("panic without a message")
}

fn keep(info: &PanicHookInfo<'_>) {
    let location = info.location().map(|at| format!(" ({}:{})", at.file(), at.line()));
    let message = format!("{}{}", words(info.payload()), location.unwrap_or_default());
    let taken = BACKTRACES.get();
    BACKTRACES.set(taken.saturating_add(1));
    let backtrace = (taken < MOST_BACKTRACES).then(|| Backtrace::force_capture().to_string());
    CAUGHT.set(Some(Panicked { message, backtrace }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_caught_with_its_location() {
        assert_eq!(guarded(|| 7).unwrap(), 7);
        let caught = guarded(|| -> u32 { panic!("no {}", "luck") }).unwrap_err();
        assert!(caught.message.starts_with("no luck (src/worker/scan/guard.rs:"), "{caught:?}");
        assert!(caught.backtrace.unwrap().contains("guard"));
    }
}
