//! Facts: what a format keeps of each file until all files of the repository have been read.
//!
//! Some files only have a meaning together: a pom inherits versions from other poms. Their parser returns
//! a [`Fact`] instead of packages, and a [`Step`](super::step::Step) of the format converts the facts of all
//! files.
//!
//! Input: the fact of each file. Output: one collection for each type of facts. Invariants: nothing here
//! knows a format; a fact costs one lookup.

use std::{
    any::{Any, TypeId},
    collections::HashMap,
    fmt,
};

/// What a format keeps of one file.
pub trait Fact: Any + fmt::Debug {
    /// The number of its entries, as a measure of the memory.
    fn size(&self) -> usize;

    /// Adds the fact to the collection of its format, with [`Facts::with`].
    fn gather(self: Box<Self>, facts: &mut Facts);
}

/// Several facts of one file, of different types.
#[derive(Debug)]
struct Several(Vec<Box<dyn Fact>>);

impl Fact for Several {
    fn size(&self) -> usize {
        self.0.iter().map(|fact| fact.size()).sum()
    }

    fn gather(self: Box<Self>, facts: &mut Facts) {
        self.0.into_iter().for_each(|fact| fact.gather(facts));
    }
}

/// All facts of a file as one.
pub(super) fn together(mut facts: Vec<Box<dyn Fact>>) -> Option<Box<dyn Fact>> {
    if facts.len() > 1 { Some(Box::new(Several(facts))) } else { facts.pop() }
}

/// The facts of a repository: one collection of each type.
#[derive(Debug, Default)]
pub struct Facts {
    by_type: HashMap<TypeId, Box<dyn Any>>,
}

impl Facts {
    /// Passes the collection of this type to `change`. It is empty at first.
    pub fn with<T: Default + 'static, R>(&mut self, change: impl FnOnce(&mut T) -> R) -> R {
        let mut all: Box<T> = self.take_boxed();
        let result = change(&mut all);
        self.by_type.insert(TypeId::of::<T>(), all);
        result
    }

    /// Takes the collection of this type; an empty one if there are no such facts.
    pub(super) fn take<T: Default + 'static>(&mut self) -> T {
        *self.take_boxed()
    }

    fn take_boxed<T: Default + 'static>(&mut self) -> Box<T> {
        let all = self.by_type.remove(&TypeId::of::<T>());
        all.and_then(|all| all.downcast().ok()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_type_has_its_own_collection() {
        let mut facts = Facts::default();
        facts.with(|numbers: &mut Vec<u32>| numbers.push(1));
        facts.with(|words: &mut Vec<&str>| words.push("a"));
        facts.with(|numbers: &mut Vec<u32>| numbers.push(2));
        assert_eq!(facts.take::<Vec<u32>>(), [1, 2]);
        assert!(facts.take::<Vec<u32>>().is_empty());
        assert_eq!(facts.take::<Vec<&str>>(), ["a"]);
    }
}
