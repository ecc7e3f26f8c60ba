//! Sorted latencies.

use std::time::Duration;

#[derive(Default)]
pub(crate) struct Latencies(Vec<Duration>);

impl Latencies {
    pub(crate) fn add(&mut self, latency: Duration) {
        let place = self.0.partition_point(|earlier| *earlier < latency);
        self.0.insert(place, latency);
    }

    fn percentile(&self, percent: usize) -> Duration {
        self.0[(self.0.len() * percent / 100).min(self.0.len() - 1)]
    }

    pub(crate) fn print_head() {
        println!("{:44} {:>9} {:>9} {:>9}", "", "p50 ms", "p99 ms", "worst ms");
    }

    pub(crate) fn print(&self, what: &str) {
        let millis = |latency: Duration| latency.as_secs_f64() * 1e3;
        println!(
            "{what:44} {:9.3} {:9.3} {:9.3}",
            millis(self.percentile(50)),
            millis(self.percentile(99)),
            millis(self.percentile(100)),
        );
    }

    pub(crate) fn print_ratio(&self, limit: &Self, of: &str) {
        let ratio = self.percentile(50).as_secs_f64() / limit.percentile(50).as_secs_f64();
        println!("ratio at p50, to {of}: {ratio:.2}");
    }
}
