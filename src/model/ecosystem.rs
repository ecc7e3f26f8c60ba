//! The ecosystems of packages: npm, `PyPI`, Maven and so on.
//!
//! Input: the name in a result file. Output: an [`Ecosystem`] that this scanner knows, or the name that
//! another scanner wrote. Invariants: a name is written exactly as it was read; equal names are equal
//! ecosystems.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::{
    cmp::Ordering,
    fmt,
    hash::{Hash, Hasher},
};

/// Declares the ecosystems, each once, with the purl type that is also its name in results.
macro_rules! ecosystems {
    ($($variant:ident => $name:literal,)*) => {
        /// The ecosystems whose packages are found; each has a purl type.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Ecosystem {
            $($variant,)*
        }

        impl Ecosystem {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The purl type, which is also the name in results.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

ecosystems! {
    Npm => "npm",
    PyPi => "pypi",
    Cargo => "cargo",
    Golang => "golang",
    Maven => "maven",
    Conda => "conda",
    NuGet => "nuget",
    Composer => "composer",
    Gem => "gem",
    Jsr => "jsr",
    Docker => "docker",
    Generic => "generic",
    GitHub => "github",
    Helm => "helm",
    Pub => "pub",
    Swift => "swift",
    CocoaPods => "cocoapods",
    Hex => "hex",
    Terraform => "terraform",
    Conan => "conan",
    Vcpkg => "vcpkg",
    Hackage => "hackage",
    Cran => "cran",
    Julia => "julia",
    LuaRocks => "luarocks",
    Opam => "opam",
    Nim => "nim",
    Cpan => "cpan",
    Crystal => "crystal",
    Bower => "bower",
    Bazel => "bazel",
    Bitbucket => "bitbucket",
}

/// The ecosystem of a package in a result file, which any program may write.
#[derive(Clone)]
pub enum AnyEcosystem {
    Known(Ecosystem),
    /// The name that another scanner wrote, or that a bill of materials contains.
    Other(Box<str>),
}

impl AnyEcosystem {
    /// The name in results.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Known(known) => known.as_str(),
            Self::Other(name) => name,
        }
    }

    /// The ecosystem, if this scanner knows it.
    pub fn known(&self) -> Option<Ecosystem> {
        match self {
            Self::Known(known) => Some(*known),
            Self::Other(_) => None,
        }
    }
}

impl From<Ecosystem> for AnyEcosystem {
    fn from(known: Ecosystem) -> Self {
        Self::Known(known)
    }
}

impl From<&str> for AnyEcosystem {
    fn from(name: &str) -> Self {
        let known = Ecosystem::ALL.iter().copied().find(|known| known.as_str() == name);
        known.map_or_else(|| Self::Other(name.into()), Self::Known)
    }
}

impl PartialEq<Ecosystem> for AnyEcosystem {
    fn eq(&self, other: &Ecosystem) -> bool {
        self.known() == Some(*other)
    }
}

impl PartialEq for AnyEcosystem {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for AnyEcosystem {}

impl Hash for AnyEcosystem {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

/// By name: the order of packages in a result does not depend on which ecosystems are known.
impl Ord for AnyEcosystem {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl PartialOrd for AnyEcosystem {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Debug for AnyEcosystem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl Serialize for AnyEcosystem {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for AnyEcosystem {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        /// A text, which is not copied if the ecosystem is known.
        struct Name;

        impl de::Visitor<'_> for Name {
            type Value = AnyEcosystem;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_str<E: de::Error>(self, name: &str) -> Result<AnyEcosystem, E> {
                Ok(name.into())
            }
        }

        from.deserialize_str(Name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_kept_and_known_ones_recognized() {
        for known in Ecosystem::ALL.iter().copied() {
            let read: AnyEcosystem =
                serde_json::from_str(&format!("\"{}\"", known.as_str())).unwrap();
            assert_eq!(read, known);
            assert_eq!(serde_json::to_value(&read).unwrap(), known.as_str());
        }
        for other in ["", "NPM", "deb", "\u{e4}"] {
            let read: AnyEcosystem = serde_json::from_value(other.into()).unwrap();
            assert_eq!((read.known(), read.as_str()), (None, other));
            assert_eq!(serde_json::to_value(&read).unwrap(), other);
        }
        assert!(AnyEcosystem::from("deb") > Ecosystem::Cpan.into());
    }
}
