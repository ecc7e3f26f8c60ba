//! Texts in which a variable has one of several values: the entries of a matrix.
//!
//! Input: the pieces of a text, in order, each with its values. Output: the text with each combination of the values.
//!
//! Invariants: the number of texts and their length are bounded.

/// Longest text in bytes, and texts that one text gives.
const MAX_LENGTH: usize = 1000;
const MAX_TEXTS: usize = 50;

/// The texts so far.
#[derive(Debug)]
pub(super) struct Texts(Vec<String>);

impl Texts {
    pub(super) fn new() -> Self {
        Self(vec![String::new()])
    }

    /// Appends a piece to each text.
    pub(super) fn push(&mut self, piece: &str) {
        for text in &mut self.0 {
            text.push_str(piece);
        }
        self.0.retain(|text| text.len() <= MAX_LENGTH);
    }

    /// Appends each of the values to each text, or else, where there are none or too many, the variable as
    /// written.
    pub(super) fn choose(&mut self, values: &[&str], written: &[&str]) {
        if values.is_empty() || values.len() * self.0.len() > MAX_TEXTS {
            for piece in written {
                self.push(piece);
            }
            return;
        }
        let texts = std::mem::take(&mut self.0);
        self.0 = texts
            .iter()
            .flat_map(|text| values.iter().map(move |value| format!("{text}{value}")))
            .filter(|text| text.len() <= MAX_LENGTH)
            .collect();
    }

    pub(super) fn finish(self) -> Vec<String> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_combination_is_a_text() {
        let mut texts = Texts::new();
        texts.push("a:");
        texts.choose(&["1", "2"], &["$x"]);
        texts.choose(&[], &["$", "y"]);
        texts.choose(&["b", "c"], &[]);
        texts.choose(&["z"; 13], &["?"]);
        assert_eq!(texts.finish(), ["a:1$yb?", "a:1$yc?", "a:2$yb?", "a:2$yc?"]);
    }
}
