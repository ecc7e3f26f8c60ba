//! What must hold of the layers of settings, whatever is in a file or a variable.

use super::{
    DEFAULTS, checked,
    layers::{Layers, flat},
};
use crate::made_up::choice;

/// Reads the same bytes as a file and as the value of a variable.
pub(crate) fn settings(bytes: &[u8]) {
    let (number, bytes) = choice(bytes, 256);
    let text = String::from_utf8_lossy(bytes);
    let layers = || Layers::new(DEFAULTS).expect("the defaults are good");
    let mut file = layers();
    if let Err(refused) = file.file("test.toml", &text) {
        assert!(refused.place.starts_with("test.toml"), "{refused}");
        assert!(!refused.message.is_empty());
    } else {
        check_all(file);
    }
    let (defaults, places) = layers().finish();
    let keys = flat(defaults, &places);
    let key = &keys[number % keys.len()].path;
    let variable = format!("SCANWATCH_{}", key.to_uppercase().replace('.', "__"));
    let mut environment = layers();
    match environment.environment([(variable.clone(), text.into_owned())]) {
        Err(refused) => assert!(refused.place.contains(&variable), "{refused}"),
        Ok(()) => check_all(environment),
    }
}

fn check_all(layers: Layers) {
    let (mut table, places) = layers.finish();
    // These name files, which are read; a made-up one is nobody's.
    table.remove("forges");
    let _ = checked(table, &places, &super::Sources::default());
}
