//! The members of a body, declared once: what is read is what the schema describes.
//!
//! Input: a body. Output: a struct with its members, or all errors of them.
//!
//! Invariants: the name and the type of a member stand in one place; every type that a member can
//! have is a [`Member`].

use super::validation::Validation;
use crate::api::answers::error::ApiError;
use crate::model::filters::Visibility;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use std::borrow::Cow;

/// A type that a member of a body can have.
pub(crate) trait Member: Sized {
    /// Reads the member of this name; an invalid one is noted, and a placeholder returned.
    fn read(body: &mut Validation, name: &str) -> Self;
}

impl Member for String {
    fn read(body: &mut Validation, name: &str) -> Self {
        body.required_text(name)
    }
}

impl Member for Option<String> {
    fn read(body: &mut Validation, name: &str) -> Self {
        body.text(name)
    }
}

impl Member for Option<bool> {
    fn read(body: &mut Validation, name: &str) -> Self {
        body.flag(name)
    }
}

impl Member for Option<Vec<String>> {
    fn read(body: &mut Validation, name: &str) -> Self {
        body.texts(name)
    }
}

impl Member for Option<Vec<Visibility>> {
    fn read(body: &mut Validation, name: &str) -> Self {
        body.choices(name, &Visibility::NAMES)
    }
}

/// A whole number from `LEAST` to `MOST`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Between<const LEAST: u64, const MOST: u64>(pub(crate) u64);

impl<const LEAST: u64, const MOST: u64> Member for Option<Between<LEAST, MOST>> {
    fn read(body: &mut Validation, name: &str) -> Self {
        body.count_from(name, LEAST, MOST).map(Between)
    }
}

impl<const LEAST: u64, const MOST: u64> Member for Between<LEAST, MOST> {
    fn read(body: &mut Validation, name: &str) -> Self {
        Self(body.required_count(name, (LEAST, MOST)))
    }
}

impl<const LEAST: u64, const MOST: u64> JsonSchema for Between<LEAST, MOST> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("Between{LEAST}And{MOST}").into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = u64::json_schema(generator);
        schema.insert("minimum".to_owned(), LEAST.into());
        schema.insert("maximum".to_owned(), MOST.into());
        schema
    }
}

/// A whole number of at most `MOST`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct UpTo<const MOST: u64>(pub(crate) u64);

impl<const MOST: u64> Member for Option<UpTo<MOST>> {
    fn read(body: &mut Validation, name: &str) -> Self {
        body.count(name, MOST).map(UpTo)
    }
}

impl<const MOST: u64> JsonSchema for UpTo<MOST> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("UpTo{MOST}").into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = u64::json_schema(generator);
        schema.insert("maximum".to_owned(), MOST.into());
        schema
    }
}

/// A body, or a part of one.
pub(crate) trait Body: Sized {
    /// Reads the members; those that are invalid are noted.
    fn members(body: &mut Validation) -> Self;

    /// Reads all members.
    ///
    /// # Errors
    /// All errors of the members at once.
    fn read(mut body: Validation) -> Result<Self, ApiError> {
        let read = Self::members(&mut body);
        body.finish().map(|()| read)
    }
}

/// Declares the struct of a body: each member by its name, its field and its type.
macro_rules! body {
    ($(#[$meta:meta])* $visible:vis struct $body:ident {
        $($(#[$about:meta])* $name:literal => $shown:vis $field:ident: $type:ty,)*
    }) => {
        $(#[$meta])*
        $visible struct $body {
            $($(#[$about])* #[schemars(rename = $name)] $shown $field: $type,)*
        }

        impl $crate::api::requests::members::Body for $body {
            fn members(body: &mut $crate::api::requests::validation::Validation) -> Self {
                use $crate::api::requests::members::Member as _;
                Self { $($field: <$type>::read(body, $name),)* }
            }
        }
    };
}

pub(crate) use body;
