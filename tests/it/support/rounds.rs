//! How often a test repeats what it does: a few times by itself, thousands of times by command.

/// `SCANWATCH_ROUNDS` of the environment, or this many.
pub(crate) fn rounds(few: usize) -> usize {
    let wanted = std::env::var("SCANWATCH_ROUNDS").ok();
    wanted.map_or(few, |it| it.parse().expect("SCANWATCH_ROUNDS is a number"))
}
