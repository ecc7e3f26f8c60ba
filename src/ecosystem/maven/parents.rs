//! Parents without a version, by "Automatic parent versioning" of "What's new in Maven 4".
//!
//! Input: the poms of a repository. Output: the same poms, in which a parent without a version has the
//! coordinates of the pom at its relative path. Invariants: a group or artifact that the child states is not
//! replaced; each pom is completed once, and circular parents end.
//!
//! Maven infers the version from model version 4.1.0 on. Older models have to state it, so nothing else can be
//! meant there.

use super::{
    pom::{Coordinates, Pom},
    repository::located,
};
use std::{
    collections::{HashMap, HashSet},
    iter::successors,
};

/// Completes the parents of all poms.
pub(super) fn complete(poms: &mut [Pom]) {
    let above = above(poms);
    let mut done = HashSet::new();
    for at in 0..poms.len() {
        // A parent may inherit its own version, so it is completed before its children.
        let upwards = successors(Some(at), |at| above.get(at).copied());
        let pending: Vec<_> = upwards.take_while(|at| done.insert(*at)).collect();
        for child in pending.into_iter().rev() {
            if let Some(parent) = above.get(&child) {
                inherit(poms, child, *parent);
            }
        }
    }
}

/// For each pom whose parent has no version: the pom at the relative path.
fn above(poms: &[Pom]) -> HashMap<usize, usize> {
    let by_path: HashMap<_, _> =
        poms.iter().enumerate().map(|(at, pom)| (pom.file.as_str(), at)).collect();
    let find = |(at, pom): (usize, &Pom)| {
        let parent = pom.parent.as_ref().filter(|parent| parent.of.version.is_none())?;
        let above = located(&pom.file, parent.path.as_deref()?, |path| by_path.get(path).copied());
        Some((at, above?))
    };
    poms.iter().enumerate().filter_map(find).collect()
}

fn inherit(poms: &mut [Pom], child: usize, parent: usize) {
    let of = poms.get(parent).map(|pom| Coordinates {
        group: pom.group().map(str::to_owned),
        artifact: pom.own.artifact.clone(),
        version: pom.version().map(str::to_owned),
    });
    let stated = poms.get_mut(child).and_then(|pom| pom.parent.as_mut());
    let (Some(of), Some(stated)) = (of, stated) else { return };
    let agrees = |stated: &Option<String>, of: &Option<String>| stated.is_none() || stated == of;
    if of.version.is_some()
        && agrees(&stated.of.group, &of.group)
        && agrees(&stated.of.artifact, &of.artifact)
    {
        stated.of = of;
    }
}
