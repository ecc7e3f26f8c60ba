//! Waiting for a condition: fast in the normal case, patient when the machine is busy.

use std::time::Duration;

/// How long a condition may take for which the contract sets no time.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// Waits until `condition` holds.
pub(crate) async fn eventually(what: &str, condition: impl AsyncFnMut() -> bool) {
    within(PATIENCE, what, condition).await;
}

/// Waits until `condition` holds, for no longer than `patience`.
pub(crate) async fn within(
    patience: Duration,
    what: &str,
    mut condition: impl AsyncFnMut() -> bool,
) {
    until(patience, what, async || condition().await.then_some(())).await;
}

/// Waits until `question` has an answer, for no longer than `patience`.
pub(crate) async fn until<T>(
    patience: Duration,
    what: &str,
    mut question: impl AsyncFnMut() -> Option<T>,
) -> T {
    let poll = async {
        loop {
            if let Some(answer) = question().await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let Ok(answer) = tokio::time::timeout(patience, poll).await else {
        panic!("waited {patience:?} in vain for: {what}")
    };
    answer
}
