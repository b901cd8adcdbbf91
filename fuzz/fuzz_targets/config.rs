//! Configuration files, to the checked configuration.

#![no_main]

use std::path::Path;

use scoria::config::{Auth, Config, File, Origin, Setting};
use scoria_fuzz::bounds;

libfuzzer_sys::fuzz_target!(|text: &str| {
    let path = Path::new("scoria.toml");
    // Each error of a text that is no TOML lists what was expected.
    let bytes_allowed = 2048 * text.len() + (64 << 10);
    let Some(config) = bounds::within(bytes_allowed, || {
        let file = File::parse(text, path).ok()?;
        let layers = |setting: &Setting| Some((file.text(setting.key)?.to_owned(), Origin::File(path.to_owned())));
        Config::resolve(&layers).and_then(|config| config.with_endpoints(&file, &layers)).ok()
    }) else {
        return;
    };
    // What a configuration that was accepted promises.
    assert!(config.auth == Auth::Key || config.listen.ip().is_loopback() || config.insecure_no_auth);
    let limits = [config.max_body_bytes, config.max_elements, config.max_in_flight, config.max_connections];
    assert!(limits.iter().all(|limit| *limit > 0));
    assert!(config.scoring_timeout_ms > 0 && config.body_timeout_ms > 0 && config.header_timeout_ms > 0);
});
