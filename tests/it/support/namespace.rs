//! What a test may have for itself alone.

use super::forge::program;

/// Whether this user may have a network of its own, in a namespace of its own. Says so if not.
pub(crate) fn may_have_a_network() -> bool {
    let tried = program("unshare").args(["-rn", "true"]).output();
    let may = tried.as_ref().is_ok_and(|it| it.status.success());
    if !may {
        #[expect(clippy::print_stderr, reason = "why a test has tested nothing")]
        {
            eprintln!("skipped: no network of its own can be had here: {tried:?}");
        }
    }
    may
}
