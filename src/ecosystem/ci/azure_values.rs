//! The variables, parameters and matrices of Azure Pipelines, by "Define variables" and "Template expressions"
//! of Azure DevOps.
//!
//! Input: a text with `$(name)`, `${{ variables.name }}`, `${{ parameters.name }}` or `$[ variables['name'] ]`,
//! and the job around it. Output: the text with each combination of the values that the file defines.
//!
//! Invariants: an unknown name stays as written; the number of texts and their length are bounded; a table that
//! several jobs name by an alias is read once.

use super::texts::Texts;
use crate::ecosystem::yaml::{Id, Node};
use std::{collections::HashMap, rc::Rc};

/// Longest text in bytes, variables in it, and texts that are expanded again.
const MAX_LENGTH: usize = 1000;
const MAX_VARIABLES: usize = 10;
const MAX_TEXTS: usize = 50;

/// Values of all variables of a matrix.
const MAX_VALUES: usize = 100;

/// Values whose values contain variables.
const MAX_ROUNDS: usize = 3;

/// The values of each name.
type Table<'t> = HashMap<&'t str, Vec<&'t str>>;

/// The values of a file.
#[derive(Debug)]
pub(super) struct Values<'t, 'a> {
    /// The variables and parameters of the top level.
    shared: Table<'t>,
    /// The tables of jobs, by their node.
    tables: HashMap<Id, Rc<Table<'t>>>,
    root: Node<'t, 'a>,
}

impl<'t, 'a> Values<'t, 'a> {
    pub(super) fn of(root: Node<'t, 'a>) -> Self {
        let mut shared = Table::new();
        for table in [root.get("variables"), root.get("parameters")].into_iter().flatten() {
            add_variables(table, &mut shared);
        }
        Self { shared, tables: HashMap::new(), root }
    }

    /// The job, if it has values of its own.
    pub(super) fn origin(&self, job: Node<'t, 'a>) -> Option<Id> {
        let has_own = job.get("variables").is_some() || job.get("strategy").is_some();
        (has_own && job.id() != self.root.id()).then(|| job.id())
    }

    /// The texts with all known values.
    pub(super) fn expand(&mut self, text: &str, job: Option<Node<'t, 'a>>) -> Vec<String> {
        let is_plain = !text.contains('$');
        if is_plain || text.len() > MAX_LENGTH || text.matches('$').count() > MAX_VARIABLES {
            return vec![text.to_owned()];
        }
        let own = job.and_then(|job| job.get("variables"));
        let own = own.map(|variables| self.table(variables, add_variables));
        let matrix = job.and_then(|job| job.get("strategy")?.get("matrix"));
        let matrix = matrix.map(|matrix| self.table(matrix, add_matrix));
        let tables: Vec<&Table<'t>> =
            own.iter().chain(&matrix).map(|table| &**table).chain([&self.shared]).collect();
        let mut texts = vec![text.to_owned()];
        for _ in 0..MAX_ROUNDS {
            let next: Vec<_> =
                texts.iter().flat_map(|text| once(text, &tables)).take(MAX_TEXTS).collect();
            if next == texts {
                break;
            }
            texts = next;
        }
        texts
    }

    /// The table of a node; read once.
    fn table(
        &mut self,
        node: Node<'t, 'a>,
        read: fn(Node<'t, 'a>, &mut Table<'t>),
    ) -> Rc<Table<'t>> {
        let table = self.tables.entry(node.id()).or_insert_with(|| {
            let mut table = Table::new();
            read(node, &mut table);
            Rc::new(table)
        });
        Rc::clone(table)
    }
}

/// `{name: value}`, `[{name: name, value: value}]`, or of parameters `[{name: name, default: value}]`.
fn add_variables<'t>(variables: Node<'t, '_>, table: &mut Table<'t>) {
    for member in variables.members() {
        if let Some(value) = member.value.as_str() {
            table.entry(member.key).or_insert_with(|| vec![value]);
        }
    }
    for variable in variables.elements() {
        let value = variable.text("value").or_else(|| variable.text("default"));
        if let (Some(name), Some(value)) = (variable.text("name"), value) {
            table.entry(name).or_insert_with(|| vec![value]);
        }
    }
}

/// `{entry: {name: value}}`: the job runs once for each entry.
fn add_matrix<'t>(matrix: Node<'t, '_>, table: &mut Table<'t>) {
    let variables = matrix.members().flat_map(|entry| entry.value.members());
    for variable in variables.take(MAX_VALUES) {
        if let Some(value) = variable.value.as_str() {
            table.entry(variable.key).or_default().push(value);
        }
    }
}

/// Replaces each variable of a text with each of its values.
fn once(text: &str, tables: &[&Table<'_>]) -> Vec<String> {
    let mut texts = Texts::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('$') {
        let (name, length) = variable(behind).unwrap_or_default();
        let values = tables.iter().find_map(|table| table.get(name));
        texts.push(before);
        let written = behind.get(..length).unwrap_or_default();
        texts.choose(values.map(Vec::as_slice).unwrap_or_default(), &["$", written]);
        rest = behind.get(length..).unwrap_or_default();
    }
    texts.push(rest);
    texts.finish()
}

/// Parses the variable after a `$`: its name, and its length as written.
fn variable(text: &str) -> Option<(&str, usize)> {
    let (inner, length) = if let Some(inner) = text.strip_prefix('(') {
        let end = inner.find(')')?;
        return Some((inner.get(..end)?.trim(), end + 2));
    } else if let Some(inner) = text.strip_prefix("{{") {
        let end = inner.find("}}")?;
        (inner.get(..end)?, end + 4)
    } else {
        let inner = text.strip_prefix('[')?;
        let end = inner.rfind(']')?;
        (inner.get(..end)?, end + 2)
    };
    let inner = inner.trim();
    let path = inner.strip_prefix("variables").or_else(|| inner.strip_prefix("parameters"))?;
    let indexed = path.strip_prefix("['").and_then(|path| path.strip_suffix("']"));
    let name = indexed.or_else(|| path.strip_prefix('.'))?;
    Some((name, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_notation_names_a_variable() {
        for text in [
            "(tag)",
            "{{ variables.tag }}",
            "{{variables['tag']}}",
            "{{ parameters.tag }}",
            "[ variables['tag'] ]",
            "[variables.tag]",
        ] {
            assert_eq!(variable(text), Some(("tag", text.len())), "{text}");
        }
        for other in ["tag", "{{ each }}", "(tag", "[ eq(1, 2) ]", ""] {
            assert_eq!(variable(other), None, "{other}");
        }
    }

    #[test]
    fn each_value_gives_a_text() {
        let table = Table::from([("a", vec!["1", "2"]), ("b", vec!["x"])]);
        let tables = [&table];
        assert_eq!(once("n:$(a)-$(b)", &tables), ["n:1-x", "n:2-x"]);
        assert_eq!(once("n:$(c)$", &tables), ["n:$(c)$"]);
        assert_eq!(once("n", &tables), ["n"]);
    }
}
