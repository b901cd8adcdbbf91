use std::collections::HashMap;
use std::path::Path;

use super::*;
use crate::name::Name;

fn resolve(texts: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let texts: HashMap<_, _> = texts.iter().copied().collect();
    Config::resolve(&|setting| {
        texts.get(setting.key).map(|text| ((*text).to_owned(), Origin::Environment(setting.variable())))
    })
}

fn file(text: &str) -> Result<File, ConfigError> {
    File::parse(text, Path::new("scoria.toml"))
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
fn the_admin_port_is_no_more_open_than_the_scoring_port() {
    let open = [("admin_listen", "0.0.0.0:8081"), ("auth", "none")];
    let error = resolve(&open).unwrap_err().to_string();
    assert!(error.contains("0.0.0.0:8081 (admin_listen) without keys"), "{error}");
    assert!(resolve(&[open[0], open[1], ("insecure_no_auth", "true")]).is_ok());
    assert!(resolve(&[("admin_listen", "0.0.0.0:8081")]).is_ok());
}

#[test]
fn certificates_and_keys_come_in_pairs() {
    let told = |texts: &[_]| resolve(texts).unwrap_err().to_string();
    assert!(told(&[("tls_cert", "c.pem")]).starts_with("tls_cert is set and tls_key is not"));
    assert!(told(&[("tls_key", "k.pem")]).starts_with("tls_key is set and tls_cert is not"));
    assert!(told(&[("admin_tls_cert", "c.pem")]).starts_with("admin_tls_cert is set and admin_tls_key is not"));
    assert!(told(&[("admin_client_ca", "ca.pem")]).contains("needs TLS"));
    assert!(told(&[("tls_min_version", "1.1")]).contains("expected `1.2` or `1.3`"));
}

#[test]
fn the_admin_port_speaks_tls_where_others_could_listen_in() {
    let pair = [("tls_cert", "c.pem"), ("tls_key", "k.pem")];
    let with = |more: &[(&'static str, &'static str)]| resolve(&[&pair, more].concat()).unwrap();
    let certificate = |config: &Config| config.admin_tls().map(|files| files.certificate.display().to_string());
    assert_eq!(certificate(&with(&[])), None, "loopback");
    assert_eq!(certificate(&with(&[("admin_listen", "0.0.0.0:8081")])).as_deref(), Some("c.pem"));
    assert_eq!(certificate(&with(&[("admin_client_ca", "ca.pem")])).as_deref(), Some("c.pem"));
    let own = [("admin_tls_cert", "a.pem"), ("admin_tls_key", "b.pem")];
    assert_eq!(certificate(&with(&own)).as_deref(), Some("a.pem"));
    assert_eq!(resolve(&own).unwrap().scoring_tls(), None);
    assert_eq!(with(&[("admin_client_ca", "ca.pem")]).scoring_tls().unwrap().client_ca, None);
}

#[test]
fn keys_in_clear_text_are_noticed() {
    let settings = |texts: &[_]| -> Vec<_> {
        resolve(texts).unwrap().addresses_in_clear().into_iter().map(|(setting, _)| setting).collect()
    };
    let (listen, admin) = (("listen", "0.0.0.0:8080"), ("admin_listen", "0.0.0.0:8081"));
    assert!(settings(&[]).is_empty());
    assert_eq!(settings(&[listen, admin]), ["listen", "admin_listen"]);
    assert!(settings(&[listen, admin, ("tls_cert", "c.pem"), ("tls_key", "k.pem")]).is_empty());
    assert!(settings(&[listen, ("auth", "none"), ("insecure_no_auth", "true")]).is_empty(), "there are no keys");
}

#[test]
fn a_limit_of_zero_is_refused_by_name() {
    assert_eq!(resolve(&[("max_body_bytes", "0")]).unwrap_err().to_string(), "max_body_bytes must be at least 1");
}

#[test]
fn bounds_are_those_that_were_declared() {
    for setting in SETTINGS.iter().filter(|setting| setting.form == Form::Number) {
        let is_taken = |number: u64| resolve(&[(setting.key, &number.to_string())]).is_ok();
        assert!(is_taken(setting.at_least), "{}", setting.key);
        assert!(setting.at_least == 0 || !is_taken(setting.at_least - 1), "{}", setting.key);
        assert!(setting.at_most == u64::MAX || is_taken(setting.at_most), "{}", setting.key);
        assert!(setting.at_most == u64::MAX || !is_taken(setting.at_most + 1), "{}", setting.key);
    }
    assert_eq!(resolve(&[("providers", "")]).unwrap_err().to_string(), "providers must name at least 1");
    let too_many = (u64::from(u32::MAX) + 1).to_string();
    let error = resolve(&[("http2_max_streams", &too_many)]).unwrap_err().to_string();
    assert_eq!(error, "http2_max_streams must be at most 4294967295");
}

#[test]
fn a_value_of_another_type_is_refused_by_name() {
    for (text, expected) in [
        ("max_body_bytes = '1024'", "max_body_bytes: expected a whole number, got a TOML string"),
        ("strict_readiness = 1", "strict_readiness: expected true or false, got a TOML integer"),
        ("cors_origins = '*'", "cors_origins: expected a list, got a TOML string"),
        ("cors_origins = [1]", "cors_origins: expected a list, got a TOML array"),
    ] {
        let error = file(text).unwrap_err().to_string();
        assert!(error.ends_with(expected), "{error}");
    }
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
fn a_file_is_read_from_its_path_which_errors_name() {
    let path = std::env::temp_dir().join(format!("scoria-config-{}.toml", std::process::id()));
    std::fs::write(&path, "max_elements = 7").unwrap();
    let file = File::read(&path);
    std::fs::remove_file(&path).unwrap();
    assert_eq!(file.unwrap().text("max_elements"), Some("7"));
    let error = File::read(&path).unwrap_err().to_string();
    assert!(error.starts_with(&format!("cannot read the configuration {}: ", path.display())), "{error}");
}

#[test]
fn an_unknown_key_is_an_error_with_the_nearest_known_one() {
    let error = file("max_body_byte = 1").unwrap_err().to_string();
    assert!(error.ends_with("unknown setting 'max_body_byte'; did you mean 'max_body_bytes'?"), "{error}");
    let error = file("colour = 'red'").unwrap_err().to_string();
    assert!(error.contains("docs/configuration.md"), "{error}");
}

#[test]
fn what_is_said_of_one_endpoint_goes_before_what_is_said_of_all() {
    let file = file("workers = 1\nmax_batch = 8\n[endpoints.ridge]\nworkers = 3\nexecution = 'pooled'").unwrap();
    let flag =
        |setting: &Setting| (setting.key == "workers").then(|| ("2".to_owned(), Origin::Flag("--workers".into())));
    let layers = |setting: &Setting| {
        flag(setting).or_else(|| Some((file.text(setting.key)?.to_owned(), Origin::File(file.path.clone()))))
    };
    let config = Config::resolve(&layers).unwrap().with_endpoints(&file, &layers).unwrap();
    let (ridge, other) = (Name::parse("ridge").unwrap(), Name::parse("other").unwrap());
    let told = |name| {
        let config = config.of_endpoint(name);
        (config.workers, config.max_batch, config.execution)
    };
    assert_eq!(told(&ridge), (3, 8, ExecutionChoice::Pooled));
    assert_eq!(told(&other), (2, 8, ExecutionChoice::Auto));
}

#[test]
fn a_table_of_an_endpoint_that_cannot_be_used_says_why() {
    let told = |text: &str| {
        let file = file(text)?;
        resolve(&[])?.with_endpoints(&file, &|_| None)
    };
    for (text, expected) in [
        ("endpoints = 1", "endpoints: expected a table of settings, got a TOML integer"),
        ("endpoints.a = 1", "endpoints.a: expected a table of settings, got a TOML integer"),
        ("[endpoints.'A b']", "endpoints: 'A b' is not a valid name"),
        ("[endpoints.a]\nworker = 1", "[endpoints.a]: unknown setting 'worker'; did you mean 'workers'?"),
        (
            "[endpoints.a]\ncolour = 1",
            "[endpoints.a]: unknown setting 'colour'; there are providers, provider_options,",
        ),
        (
            "[endpoints.a]\nmax_body_bytes = 1",
            "'max_body_bytes' holds for the whole server; for one endpoint there are",
        ),
        ("[endpoints.a]\nworkers = '1'", "[endpoints.a]: workers: expected a whole number, got a TOML string"),
        ("[endpoints.a]\nworkers = 2000", "[endpoints.a]: workers must be at most 1024"),
        ("[endpoints.a]\nexecution = 'x'", "[endpoints.a]: execution = 'x' (scoria.toml): expected `auto`"),
    ] {
        let error = told(text).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn what_holds_for_single_endpoints_is_what_engine_and_scheduler_need() {
    assert_eq!(
        endpoints::keys(),
        "providers, provider_options, execution, workers, intra_op_threads, max_batch, \
         allow_rows_to_mix, max_batch_delay_us, queue_max_length, queue_max_wait_ms, scoring_timeout_ms, extra_columns"
    );
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

#[test]
fn providers_and_their_options_fit_each_other() {
    let config = resolve(&[("providers", "cuda,cpu"), ("provider_options", "cuda.device_id=0,1,cuda.use_tf32=0")]);
    let options = config.unwrap().provider_options;
    assert_eq!(options.devices(), [0, 1]);
    for (settings, expected) in [
        (&[("providers", "gpu,cpu")][..], "providers: 'gpu' is not a provider; there are tensorrt, cuda, cpu"),
        (&[("providers", "cpu,cpu")], "providers: cpu is named twice"),
        (&[("provider_options", "cuda.use_tf32=0")], "provider_options: cuda.use_tf32 is set, but cuda is not among"),
        (&[("providers", "cuda"), ("provider_options", "cuda.tf32=0")], "did you mean 'use_tf32'?"),
    ] {
        let error = resolve(settings).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn a_specification_sets_lists_but_no_places_on_the_servers_disk() {
    let own = resolve(&[]).unwrap();
    let with = |texts: &[(&str, &str)]| {
        let layer = texts.iter().map(|(key, text)| ((*key).to_owned(), override_of(key, text).unwrap())).collect();
        own.with_overrides(&[&layer])
    };
    let config = with(&[("providers", "tensorrt, cpu"), ("provider_options", "tensorrt.device_id=0,1")]).unwrap();
    assert_eq!((config.providers.0.len(), config.provider_options.devices()), (2, vec![0, 1]));
    let path = [("providers", "tensorrt"), ("provider_options", "tensorrt.trt_timing_cache_path=/etc")];
    let error = with(&path).unwrap_err().to_string();
    assert!(error.contains("tensorrt.trt_timing_cache_path names a place on the server's disk"), "{error}");
    let error = own.with_overrides(&[&[("providers".to_owned(), serde_json::json!("cpu"))].into()]);
    assert_eq!(error.unwrap_err().to_string(), r#"providers: expected a list, got "cpu""#);
}
