//! The literal values of a Ruby program.
//!
//! Input: texts, and lists and pairs of values. Output: a value, its size, and its rows for the parameters of a loop.
//! Invariants: none but those of the type.

/// Parameters of a loop whose values are known.
const MAX_PARAMETERS: usize = 8;

/// A literal value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Text(String),
    List(Vec<Value>),
    /// The keys and values of a hash.
    Pairs(Vec<(String, Value)>),
    /// Anything else.
    Unknown,
}

/// About the size of a value in memory, in bytes. The recursion is as deep as the literal.
pub(super) fn size_of(value: &Value) -> usize {
    const VALUE: usize = 32;
    VALUE
        + match value {
            Value::List(values) => values.iter().map(size_of).sum(),
            Value::Pairs(pairs) => {
                pairs.iter().map(|(key, value)| key.len() + size_of(value)).sum()
            }
            Value::Text(text) => text.len(),
            Value::Unknown => 0,
        }
}

/// The values of so many parameters, one row for each element of a list.
pub(super) fn rows_of(list: &Value, parameters: usize) -> Option<Vec<Vec<Value>>> {
    if parameters > MAX_PARAMETERS {
        return None;
    }
    match (list, parameters) {
        (Value::List(values), 1) => Some(values.iter().map(|value| vec![value.clone()]).collect()),
        (Value::List(values), _) => {
            let row = |value: &Value| match value {
                Value::List(row) if row.len() == parameters => Some(row.clone()),
                _ => None,
            };
            values.iter().map(row).collect()
        }
        (Value::Pairs(pairs), 2) => {
            let row =
                |(key, value): &(String, Value)| vec![Value::Text(key.clone()), value.clone()];
            Some(pairs.iter().map(row).collect())
        }
        _ => None,
    }
}
