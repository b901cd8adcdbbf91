//! Media types, and the names of endpoints and models.

#![no_main]

use scoria::codec::Format;
use scoria::name::Name;
use scoria_fuzz::bounds;

libfuzzer_sys::fuzz_target!(|text: &str| bounds::within(16 * text.len() + (4 << 10), || {
    if let Some(format) = Format::from_media_type(text) {
        assert_eq!(Format::from_media_type(format.media_type()), Some(format));
    }
    if let Ok(name) = Name::parse(text) {
        assert!(!name.as_str().contains(['/', '\\', '\0', '%', ' ']) && !name.as_str().starts_with('.'));
    }
    let name = Name::from_file_stem(text);
    assert_eq!(Name::parse(name.as_str()), Ok(name));
}));
