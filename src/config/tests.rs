use std::collections::HashMap;

use super::*;

fn resolve(texts: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let texts: HashMap<_, _> = texts.iter().copied().collect();
    Config::resolve(&|setting| {
        texts.get(setting.key).map(|text| ((*text).to_owned(), Origin::Environment(setting.variable())))
    })
}

fn file(text: &str) -> Result<File, ConfigError> {
    let folder = std::env::temp_dir().join(format!("scoria-config-{}-{:p}", std::process::id(), text));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("scoria.toml");
    std::fs::write(&path, text).unwrap();
    let file = File::read(&path);
    std::fs::remove_dir_all(&folder).unwrap();
    file
}

#[test]
fn defaults_are_valid_and_read_back_from_their_own_text() {
    let config = resolve(&[]).unwrap();
    assert!(config.listen.ip().is_loopback());
    let texts: Vec<_> = SETTINGS.iter().map(|setting| (setting.key, (setting.default)())).collect();
    let borrowed: Vec<_> = texts.iter().map(|(key, text)| (*key, text.as_str())).collect();
    assert_eq!(format!("{:?}", resolve(&borrowed).unwrap()), format!("{config:?}"));
}

#[test]
fn a_bad_value_names_the_key_the_text_the_origin_and_what_was_expected() {
    let error = resolve(&[("max_body_bytes", "16MB")]).unwrap_err().to_string();
    assert_eq!(error, "max_body_bytes = '16MB' (environment variable SCORIA_MAX_BODY_BYTES): expected a whole number");
}

#[test]
fn no_keys_beyond_loopback_is_refused_unless_insisted_on() {
    let open = [("listen", "0.0.0.0:8080"), ("auth", "none")];
    assert!(resolve(&open).unwrap_err().to_string().contains("insecure_no_auth"));
    assert!(resolve(&[open[0], open[1], ("insecure_no_auth", "true")]).is_ok());
    assert!(resolve(&[("auth", "none")]).is_ok());
    assert!(resolve(&[("listen", "0.0.0.0:8080")]).is_ok());
}

#[test]
fn a_limit_of_zero_is_refused_by_name() {
    assert_eq!(resolve(&[("max_body_bytes", "0")]).unwrap_err().to_string(), "max_body_bytes must be at least 1");
}

#[test]
fn a_file_gives_texts_lists_and_models() {
    let file = file(
        "max_body_bytes = 1024\ncors_origins = [\"https://a.example\", \"https://b.example\"]\n\
         strict_readiness = true\nmodels = [\"ridge=models/ridge.onnx\"]\n",
    )
    .unwrap();
    assert_eq!(file.text("max_body_bytes"), Some("1024"));
    assert_eq!(file.text("cors_origins"), Some("https://a.example,https://b.example"));
    assert_eq!(file.text("strict_readiness"), Some("true"));
    assert_eq!(file.models, ["ridge=models/ridge.onnx"]);
}

#[test]
fn an_unknown_key_is_an_error_with_the_nearest_known_one() {
    let error = file("max_body_byte = 1").unwrap_err().to_string();
    assert!(error.ends_with("unknown setting 'max_body_byte'; did you mean 'max_body_bytes'?"), "{error}");
    let error = file("colour = 'red'").unwrap_err().to_string();
    assert!(error.contains("docs/configuration.md"), "{error}");
}

#[test]
fn a_file_with_the_wrong_kind_of_value_says_what_was_expected() {
    let error = file("listen = 1.5").unwrap_err().to_string();
    assert!(error.contains("listen: expected an address such as 127.0.0.1:8080"), "{error}");
}

#[test]
fn the_reference_names_every_setting() {
    let text = reference();
    for setting in SETTINGS {
        assert!(text.contains(&format!("## `{}`", setting.key)), "{}", setting.key);
        assert!(text.contains(&setting.variable()), "{}", setting.key);
    }
}
