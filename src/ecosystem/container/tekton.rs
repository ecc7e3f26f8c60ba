//! The references and parameters of Tekton's tasks and pipelines, by "Tasks", "Tekton Bundles" and the "Resolvers"
//! of its manual.
//!
//! Input: a `taskRef`, a `pipelineRef`, or the `ref` of a step; the `params` of a task. Output: what a resolver fetches:
//! a bundle, which is an image, a repository, or a task of a catalog of the hub; and texts with the default values of
//! parameters.
//!
//! Decisions: a task of the hub is `generic`, because the purl specification has no type for it. Invariants: a
//! reference to a task of the cluster is not a package.

use crate::ecosystem::{
    collect::{Collector, Declared},
    git_reference,
    git_source::GitSource,
    image::Images,
    yaml::Node,
};
use crate::model::{ecosystem::Ecosystem, scan_result::Scope};
use std::{borrow::Cow, collections::HashMap};

/// Parameters that are read of one reference.
const MAX_PARAMETERS: usize = 20;

/// Longest name and default value in bytes, and parameters of one text.
const MAX_LENGTH: usize = 300;
const MAX_EXPANDED: usize = 10;

/// The default values of parameters, by name.
#[derive(Debug, Default)]
pub(super) struct Defaults(HashMap<String, String>);

impl Defaults {
    /// Adds `params: [{name: a, default: b}]`, which the caller reads once.
    pub(super) fn add_all(&mut self, parameters: Node<'_, '_>) {
        for parameter in parameters.elements() {
            if let (Some(name), Some(default)) = (parameter.text("name"), parameter.text("default"))
                && name.len() <= MAX_LENGTH
                && default.len() <= MAX_LENGTH
            {
                self.0.insert(name.to_owned(), default.to_owned());
            }
        }
    }

    /// Replaces `$(params.name)`, `$(params['name'])` and `$(inputs.params.name)`.
    pub(super) fn expand<'x>(&self, text: &'x str) -> Cow<'x, str> {
        if !text.contains("$(") || text.len() > MAX_LENGTH {
            return Cow::Borrowed(text);
        }
        let mut out = String::new();
        let mut rest = text;
        for _ in 0..MAX_EXPANDED {
            let Some((before, behind)) = rest.split_once("$(") else { break };
            let Some((inner, after)) = behind.split_once(')') else { break };
            let path = inner.strip_prefix("inputs.").unwrap_or(inner).strip_prefix("params");
            let name = path.map(|path| path.trim_matches(['.', '[', ']', '"', '\'']));
            out.push_str(before);
            match name.and_then(|name| self.0.get(name)) {
                Some(value) => out.push_str(value),
                None => out.extend(["$(", inner, ")"]),
            }
            rest = after;
        }
        out.push_str(rest);
        Cow::Owned(out)
    }
}

/// Reads a reference, which the caller reads once.
pub(super) fn read(reference: Node<'_, '_>, images: &mut Images, found: &mut Collector<'_>) {
    if let Some(bundle) = reference.get("bundle")
        && let Some(text) = bundle.as_str()
    {
        images.add_or_warn(text, bundle.line, Scope::Runtime, found);
    }
    let Some(resolver) = reference.text("resolver") else { return };
    // `params`, or `resource` in the first releases.
    let parameters = reference.get("params").or_else(|| reference.get("resource"));
    let value = |name: &str| {
        let all = parameters.into_iter().flat_map(Node::elements).take(MAX_PARAMETERS);
        let mut named = all.filter(|parameter| parameter.text("name") == Some(name));
        named.next()?.get("value")
    };
    let text = |name: &str| value(name).and_then(Node::as_str);
    let (direct, scope) = (Some(true), Some(Scope::Runtime));
    match resolver {
        "bundles" => {
            if let Some(bundle) = value("bundle")
                && let Some(text) = bundle.as_str()
            {
                images.add_or_warn(text, bundle.line, Scope::Runtime, found);
            }
        }
        "git" => {
            let Some(address) = value("url") else { return };
            let Some(source) = address.as_str().and_then(GitSource::of) else { return };
            let (version, specifier) =
                text("revision").map(git_reference::split).unwrap_or_default();
            let line = address.line;
            let declared = Declared { name: "", version, specifier, line, direct, scope };
            let _ = source.add(declared, found);
        }
        "hub" => {
            let Some(named) = value("name") else { return };
            let Some(name) = named.as_str().filter(|name| !name.contains('$')) else { return };
            let (version, specifier) =
                text("version").map(git_reference::split).unwrap_or_default();
            let line = named.line;
            let declared = Declared { name, version, specifier, line, direct, scope };
            found.add_of(Ecosystem::Generic, declared);
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_have_their_defaults() {
        let defaults = Defaults(HashMap::from([("tag".to_owned(), "1.0".to_owned())]));
        for (text, expected) in [
            ("a:$(params.tag)-x", "a:1.0-x"),
            ("a:$(params['tag'])$(inputs.params.tag)", "a:1.01.0"),
            ("a:$(params.other)", "a:$(params.other)"),
            ("a:$(context.tag)$(", "a:$(context.tag)$("),
        ] {
            assert_eq!(defaults.expand(text), expected);
        }
    }
}
