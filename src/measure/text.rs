//! Writes the text format of Prometheus, version 0.0.4. Input: families of samples. Output: text.
//!
//! Invariants: all samples of a family follow its HELP and TYPE lines; whatever a label contains, a
//! sample stays on one line.

use super::Histogram;
use std::fmt::{Display, Write as _};

/// The type of a family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A value that only grows.
    Counter,
    /// A value that goes up and down.
    Gauge,
    /// Counts by upper bounds.
    Histogram,
}

/// The text so far.
#[derive(Debug, Default)]
pub struct Text {
    text: String,
    family: &'static str,
}

impl Text {
    /// The media type of the text.
    pub const MEDIA_TYPE: &'static str = "text/plain; version=0.0.4; charset=utf-8";

    /// Starts a family; the samples that follow belong to it.
    pub fn family(&mut self, name: &'static str, kind: Kind, help: &str) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let help = help.replace('\\', "\\\\").replace('\n', "\\n");
        self.family = name;
        // Writing to a String cannot fail.
        let _ = write!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    /// One sample of the family.
    pub fn sample(&mut self, labels: &[(&str, &str)], value: impl Display) {
        self.line("", labels, &value);
    }

    /// A family of one sample without labels.
    pub fn single(&mut self, name: &'static str, kind: Kind, help: &str, value: impl Display) {
        self.family(name, kind, help);
        self.sample(&[], value);
    }

    /// The samples of one histogram of the family.
    pub fn histogram(&mut self, labels: &[(&str, &str)], histogram: &Histogram) {
        let mut count = 0;
        for (bound, up_to) in histogram.cumulated() {
            let bound = bound.map_or_else(|| "+Inf".to_owned(), |bound| bound.to_string());
            self.line("_bucket", &[labels, &[("le", bound.as_str())]].concat(), &up_to);
            count = up_to;
        }
        self.line("_sum", labels, &histogram.sum());
        // Taken from the last bucket, so that buckets and count are consistent.
        self.line("_count", labels, &count);
    }

    /// The whole text.
    pub fn finish(self) -> String {
        self.text
    }

    fn line(&mut self, suffix: &str, labels: &[(&str, &str)], value: &dyn Display) {
        let _ = write!(self.text, "{}{suffix}", self.family);
        for (n, (name, value)) in labels.iter().enumerate() {
            let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let before = if n == 0 { '{' } else { ',' };
            let _ = write!(self.text, "{before}{name}=\"{value}\"");
        }
        let after = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.text, "{after} {value}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn families_samples_and_histograms_are_formatted() {
        let mut text = Text::default();
        text.single("a_total", Kind::Counter, "What\nit \\is.", 7);
        text.family("b", Kind::Gauge, "B.");
        text.sample(&[("x", "say \"hi\"\\\n"), ("y", "")], 0.5);
        let histogram = Histogram::new(&[0.25]);
        histogram.observe(Duration::from_millis(500));
        text.family("c_seconds", Kind::Histogram, "C.");
        text.histogram(&[("z", "1")], &histogram);
        assert_eq!(
            text.finish(),
            "# HELP a_total What\\nit \\\\is.\n# TYPE a_total counter\na_total 7\n\
             # HELP b B.\n# TYPE b gauge\nb{x=\"say \\\"hi\\\"\\\\\\n\",y=\"\"} 0.5\n\
             # HELP c_seconds C.\n# TYPE c_seconds histogram\n\
             c_seconds_bucket{z=\"1\",le=\"0.25\"} 0\nc_seconds_bucket{z=\"1\",le=\"+Inf\"} 1\n\
             c_seconds_sum{z=\"1\"} 0.5\nc_seconds_count{z=\"1\"} 1\n"
        );
    }
}
