//! A YAML text as one plain value, for small trusted files such as settings.
//!
//! Input: a text. Output: the value of its first document as JSON has it, or the first syntax error.
//! Invariants: a text that is not read completely is an error; merged keys (`<<`) are included.

use super::{super::budget::Budget, Node, Value as Stored, parse};
use serde_json::{Map, Value};

/// The value of the first document of a text.
///
/// Plain scalars are read by the core schema (YAML 1.2.2, section 10.3.2): null, booleans and whole
/// numbers; every other scalar is text.
///
/// # Errors
/// The line and the message of the first syntax error, or of a text that its aliases make too large.
pub fn value(text: &str) -> Result<Value, (u32, String)> {
    let budget = Budget::of(text.len() as u64);
    let tree = parse(text, &budget);
    if let Some(error) = tree.errors.first() {
        return Err((error.line, error.message.clone()));
    }
    let value = tree.root().map_or(Value::Null, plain);
    if !budget.visit() {
        return Err((1, "its aliases make it too large".to_owned()));
    }
    Ok(value)
}

fn plain(node: Node<'_, '_>) -> Value {
    match node.value() {
        None | Some(Stored::Null) => Value::Null,
        Some(Stored::Scalar { text, plain: true }) => match text.as_ref() {
            "true" | "True" | "TRUE" => true.into(),
            "false" | "False" | "FALSE" => false.into(),
            "null" | "Null" | "NULL" | "~" => Value::Null,
            text => text.parse::<i64>().map_or_else(|_| text.into(), Value::from),
        },
        Some(Stored::Scalar { .. }) => node.whole_text().unwrap_or_default().into(),
        Some(Stored::Sequence(_)) => node.elements().map(plain).collect(),
        Some(Stored::Mapping { .. }) => {
            let mut members = Map::new();
            for merged in node.get("<<").into_iter().flat_map(|merge| {
                std::iter::once(merge).chain(merge.elements()).collect::<Vec<_>>()
            }) {
                for member in merged.members() {
                    members.entry(member.key).or_insert_with(|| plain(member.value));
                }
            }
            for member in node.members().filter(|member| member.key != "<<") {
                members.insert(member.key.to_owned(), plain(member.value));
            }
            members.into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::value;
    use serde_json::json;

    #[test]
    fn a_text_becomes_a_plain_value() {
        let text = "a: &x {n: 5, t: yes, q: \"5\"}\nb: [true, ~, -7, 1.5]\nc:\n  <<: *x\n  n: 6\n";
        let expected = json!({ "a": { "n": 5, "t": "yes", "q": "5" },
            "b": [true, null, -7, "1.5"], "c": { "n": 6, "t": "yes", "q": "5" } });
        assert_eq!(value(text).unwrap(), expected);
        assert_eq!(value("").unwrap(), json!(null));
        assert_eq!(value("a: [1\nb: 2\n").unwrap_err().0, 2);
    }

    /// Fails if a file of aliases of aliases takes memory that grows exponentially.
    #[test]
    fn an_alias_bomb_is_an_error() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for n in 1..12 {
            let items = vec![format!("*a{}", n - 1); 10].join(", ");
            text.extend([format!("a{n}: &a{n} ["), items, "]\n".to_owned()]);
        }
        assert!(value(&text).unwrap_err().1.contains("too large"));
    }
}
