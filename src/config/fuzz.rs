//! Fuzz invariants of the settings: they hold for any content of a file or a variable.

use super::{
    DEFAULTS,
    layers::{Layers, flatten},
    validate,
};
use crate::fuzzing::choice;

/// Reads the same bytes as a settings file and as the value of a variable.
pub(crate) fn settings(bytes: &[u8]) {
    let (number, bytes) = choice(bytes, 256);
    let text = String::from_utf8_lossy(bytes);
    let layers = || Layers::new(DEFAULTS).expect("the defaults are valid");
    let mut file = layers();
    if let Err(error) = file.add_file("test.toml", &text) {
        assert!(error.place.starts_with("test.toml"), "{error}");
        assert!(!error.message.is_empty());
    } else {
        validate_all(file);
    }
    let (defaults, places) = layers().finish();
    let keys = flatten(defaults, &places);
    let key = &keys[number % keys.len()].path;
    let variable = format!("SCANWATCH_{}", key.to_uppercase().replace('.', "__"));
    let mut environment = layers();
    match environment.add_environment([(variable.clone(), text.into_owned())]) {
        Err(error) => assert!(error.place.contains(&variable), "{error}"),
        Ok(()) => validate_all(environment),
    }
}

fn validate_all(layers: Layers) {
    let (mut table, places) = layers.finish();
    // Forges name files, which would be read.
    table.remove("forges");
    let _ = validate(table, &places, &super::Sources::default());
}
