//! From which packages of a repository all its other packages can be reached.
//!
//! Input: the packages of one result, and which requires which. Output: the packages that a document has to list as
//! dependencies of the repository itself, beside the direct ones, so that every component is reachable from it.
//!
//! Invariants: a package that no other one requires is such an entry, and of packages that require each other in a circle
//! the first is; memory is bounded: a result with more packages and relations than the limit has all its packages
//! as entries.

use super::{
    components::{each, hash},
    findings::{Findings, Gone},
    shared::suspended,
};

/// The limit of packages and relations together, of 8 to 16 bytes each.
const MOST: usize = 1 << 19;

/// After how many reads of a package the thread gets to other work.
const PAUSE_EVERY: usize = 256;

/// The entries of a repository, by the hashes of their purls.
#[derive(Debug)]
pub(super) enum Entries {
    All,
    /// Sorted.
    These(Vec<u64>),
}

impl Entries {
    pub(super) fn contains(&self, purl: &str) -> bool {
        match self {
            Self::All => true,
            Self::These(hashes) => hashes.binary_search(&hash(purl)).is_ok(),
        }
    }

    /// The entries of a result.
    pub(super) async fn of<F: Findings>(findings: &mut F, at: u32) -> Result<Self, Gone> {
        let mut graph = Graph::default();
        let mut requiring: Vec<(u64, u64)> = Vec::new();
        let mut count = 0_usize;
        let is_valid = each(findings, at, &mut |purl, place, package| {
            count += 1;
            if count > MOST {
                return;
            }
            let purl = hash(purl);
            graph.packages.push(purl);
            if package.direct == Some(true) {
                graph.direct.push(purl);
            }
            if package.required > 0 {
                requiring.push((purl, place));
            }
        })?;
        if !is_valid {
            return Ok(Self::These(Vec::new()));
        }
        if count > MOST {
            return Ok(Self::All);
        }
        graph.sort();
        suspended().await;
        for (number, (purl, place)) in requiring.into_iter().enumerate() {
            if graph.packages.len() + graph.relations.len() >= MOST {
                return Ok(Self::All);
            }
            findings.requires(at, place, &mut |required| {
                graph.require(purl, hash(required));
            })?;
            if number % PAUSE_EVERY == 0 {
                suspended().await;
            }
        }
        Ok(Self::These(graph.entries()))
    }
}

/// The packages of a result by the hashes of their purls, and their relations by index.
#[derive(Debug, Default)]
struct Graph {
    packages: Vec<u64>,
    direct: Vec<u64>,
    relations: Vec<(u32, u32)>,
}

impl Graph {
    fn sort(&mut self) {
        self.packages.sort_unstable();
        self.packages.dedup();
    }

    fn index(&self, purl: u64) -> Option<u32> {
        u32::try_from(self.packages.binary_search(&purl).ok()?).ok()
    }

    fn require(&mut self, purl: u64, required: u64) {
        // A package that lists itself, or one that the result does not have, is not reached this way.
        if let (Some(from), Some(to)) = (self.index(purl), self.index(required))
            && from != to
            && self.relations.len() < MOST
        {
            self.relations.push((from, to));
        }
    }

    /// The entries, sorted.
    fn entries(mut self) -> Vec<u64> {
        self.relations.sort_unstable();
        let mut is_reached = vec![false; self.packages.len()];
        for direct in std::mem::take(&mut self.direct) {
            if let Some(index) = self.index(direct) {
                self.walk(index, &mut is_reached);
            }
        }
        let mut is_required = vec![false; self.packages.len()];
        for (_, to) in &self.relations {
            if let Some(flag) = is_required.get_mut(*to as usize) {
                *flag = true;
            }
        }
        let mut entries = Vec::new();
        // What nobody requires first: only packages in circles remain.
        for in_circles in [false, true] {
            for (index, purl) in (0_u32..).zip(&self.packages) {
                let place = index as usize;
                let is_open = is_reached.get(place) == Some(&false);
                if is_open && (in_circles || is_required.get(place) == Some(&false)) {
                    entries.push(*purl);
                    self.walk(index, &mut is_reached);
                }
            }
        }
        entries.sort_unstable();
        entries
    }

    /// Marks a package and all that can be reached from it.
    fn walk(&self, from: u32, is_reached: &mut [bool]) {
        let mut open = vec![from];
        while let Some(index) = open.pop() {
            match is_reached.get_mut(index as usize) {
                Some(flag) if !*flag => *flag = true,
                _ => continue,
            }
            let start = self.relations.partition_point(|relation| relation.0 < index);
            let own = self.relations.iter().skip(start).take_while(|relation| relation.0 == index);
            open.extend(own.map(|relation| relation.1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(packages: &[u64], direct: &[u64], relations: &[(u64, u64)]) -> Vec<u64> {
        let mut graph =
            Graph { packages: packages.to_vec(), direct: direct.to_vec(), relations: Vec::new() };
        graph.sort();
        for (from, to) in relations {
            graph.require(*from, *to);
        }
        graph.entries()
    }

    #[test]
    fn every_package_is_reached_from_a_direct_one_or_an_entry() {
        // 1 is direct and reaches 2; nobody requires 3, which reaches 4; 5 and 6 require each other; 7 itself.
        let relations = [(1, 2), (3, 4), (5, 6), (6, 5), (7, 7), (7, 99)];
        assert_eq!(entries(&[7, 6, 5, 4, 3, 2, 1], &[1], &relations), [3, 5, 7]);
        assert_eq!(entries(&[2, 1], &[], &[(1, 2)]), [1]);
        assert_eq!(entries(&[2, 1], &[1, 2], &[(1, 2)]), [0_u64; 0]);
        assert_eq!(entries(&[], &[], &[]), [0_u64; 0]);
    }
}
