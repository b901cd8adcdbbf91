//! The repository's own rules: layers, who may name what, how files look, what documents say.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The level of each module; imports go down only.
const LEVELS: &[(&str, u8)] = &[
    ("client", 0),
    ("error", 0),
    ("memory", 0),
    ("moment", 0),
    ("name", 0),
    ("objective", 0),
    ("pbtxt", 0),
    ("plain_file", 0),
    ("private_file", 0),
    ("provider", 0),
    ("splitmix", 0),
    ("tensor", 0),
    ("config", 0),
    ("telemetry", 0),
    ("engine", 1),
    ("codec", 1),
    ("auth", 1),
    ("openapi", 1),
    ("experiment", 1),
    ("registry", 1),
    ("webhook", 1),
    ("probe", 2),
    ("rollout", 2),
    ("schedule", 2),
    ("shared_memory", 2),
    ("triton", 2),
    ("deployment", 3),
    ("control", 4),
    ("doctor", 5),
    ("follow", 5),
    ("http", 5),
    ("profile", 5),
    ("publish", 5),
    ("grpc", 6),
    ("app", 7),
    ("cli", 8),
    ("main", 9),
];

/// Crates and functions that only some files may name.
const RESERVED: &[(&str, &[&str])] = &[
    ("ort::", &["src/engine/ort/"]),
    ("tract_onnx::", &["src/engine/tract.rs"]),
    ("hyper::", &["src/http/", "src/grpc/"]),
    ("hyper_util::", &["src/http/"]),
    ("object_store::", &["src/registry/"]),
    ("tokio_rustls::", &["src/cli/invoke.rs", "src/http/tls/", "src/registry/url.rs", "src/webhook/courier.rs"]),
    ("webpki::", &["src/http/tls/"]),
    ("nvml_wrapper::", &["src/telemetry/nvml.rs"]),
    (
        "rustix::",
        &[
            "src/control/aside.rs",
            "src/control/measure.rs",
            "src/engine/external_data.rs",
            "src/plain_file.rs",
            "src/http/connection/socket.rs",
            "src/http/descriptors.rs",
            "src/probe/limits.rs",
            "src/shared_memory/",
        ],
    ),
    ("std::env::var", &["src/config/env.rs"]),
    ("std::env::set_var", &["src/config/env.rs"]),
];

const LINES_MAX: usize = 600;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A source file: its path from the repository's root, and its text.
struct Source {
    path: String,
    text: String,
}

impl Source {
    /// The first part of its module path.
    fn module(&self) -> &str {
        let path = self.path.strip_prefix("src/").expect("a file of src");
        path.split('/').next().unwrap_or_default().trim_end_matches(".rs")
    }

    /// Its lines of code, with the line numbers; comments and documentation say what they like.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.text.lines().enumerate().map(|(index, line)| (index + 1, line));
        lines.filter(|(_, line)| !line.trim_start().starts_with("//"))
    }
}

fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|found| found == extension) {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn sources(folder: &str) -> Vec<Source> {
    let read = |path: PathBuf| Source {
        text: fs::read_to_string(&path).unwrap(),
        path: path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned(),
    };
    files(&root().join(folder), "rs").into_iter().map(read).collect()
}

/// The top-level modules that a line names by `crate::…`, or `scoria::…` from the binary.
fn modules_named(line: &str) -> Vec<&str> {
    let mut named = Vec::new();
    for prefix in ["crate::", "scoria::"] {
        for (at, _) in line.match_indices(prefix) {
            let rest = &line[at + prefix.len()..];
            named.push(rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap_or_default());
        }
    }
    named
}

fn fail_with(problems: Vec<String>) {
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

#[test]
fn imports_go_down() {
    let levels: BTreeMap<_, _> = LEVELS.iter().copied().collect();
    let mut problems = Vec::new();
    for source in sources("src").iter().filter(|source| source.path != "src/lib.rs") {
        let own = source.module();
        let level = levels.get(own).unwrap_or_else(|| panic!("module '{own}' has no level in tests/tidy.rs"));
        for (number, line) in source.code() {
            for named in modules_named(line).into_iter().filter(|named| *named != own) {
                let Some(below) = levels.get(named) else { continue };
                let is_allowed = match own {
                    // Level 0 has its vocabulary, and nothing else.
                    _ if *level == 0 => ["error", "name", "provider", "tensor"].contains(&named),
                    // Only deployments know what runs them.
                    "http" | "grpc" => below < level && !["engine", "schedule"].contains(&named),
                    _ => below < level,
                };
                if !is_allowed {
                    problems.push(format!(
                        "{}:{number}: '{own}' (level {level}) names '{named}' (level {below})",
                        source.path
                    ));
                }
            }
        }
    }
    fail_with(problems);
}

#[test]
fn some_names_belong_to_some_files() {
    let mut problems = Vec::new();
    for source in sources("src") {
        for (number, line) in source.code() {
            for (name, homes) in RESERVED {
                let is_home = homes.iter().any(|home| source.path.starts_with(home));
                let is_named = line.match_indices(name).any(|(at, _)| {
                    // `crate::engine::ort::…` is our module, not the crate.
                    !line[..at].ends_with("::")
                        && !line[..at].ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
                });
                let is_ours = line.contains("use crate::engine::{") || *name == "ort::" && source.module() == "app";
                if is_named && !is_home && !is_ours {
                    problems.push(format!("{}:{number}: `{name}` belongs to {}", source.path, homes.join(", ")));
                }
            }
        }
    }
    fail_with(problems);
}

#[test]
fn files_are_short_open_with_their_purpose_and_leave_nothing_open() {
    let mut problems = Vec::new();
    let folders = ["src", "tests", "loadtest/src", "loadtest/tests"];
    for source in folders.into_iter().flat_map(sources) {
        let lines = source.text.lines().count();
        if lines > LINES_MAX {
            problems.push(format!("{}: {lines} lines; {LINES_MAX} are the most", source.path));
        }
        let is_fragment = source.path.starts_with("src/") && source.path.contains("tests");
        if !is_fragment && !source.text.starts_with("//!") {
            problems.push(format!("{}: does not open with //! and what it owns", source.path));
        }
        let stem = Path::new(&source.path).file_stem().unwrap().to_str().unwrap();
        if ["util", "utils", "common", "helper", "helpers", "misc", "manager"].contains(&stem) {
            problems.push(format!("{}: a name that says nothing", source.path));
        }
        for mark in ["todo!(", "unimplemented!(", "dbg!(", "TODO", "FIXME"] {
            if source.path != "tests/tidy.rs" && source.text.contains(mark) {
                problems.push(format!("{}: holds {mark}", source.path));
            }
        }
    }
    fail_with(problems);
}

#[test]
fn tests_wait_for_events() {
    let tests = ["tests", "loadtest/tests"]
        .into_iter()
        .flat_map(sources)
        .chain(sources("src").into_iter().filter(|source| source.path.contains("tests")));
    let problems = tests
        .filter(|source| source.path != "tests/tidy.rs")
        .filter(|source| source.text.contains(&["sleep", "("].concat()) || source.text.contains("#[ignore"))
        .map(|source| format!("{}: sleeps or ignores", source.path));
    fail_with(problems.collect());
}

#[test]
fn every_error_code_is_documented() {
    let documents = ["docs/http-status-codes.md", "docs/grpc.md"];
    let document = documents.map(|path| fs::read_to_string(root().join(path)).unwrap()).concat();
    let mut codes = BTreeSet::new();
    for source in ["src/http", "src/grpc", "src/codec"].into_iter().flat_map(sources) {
        for (_, line) in source.code() {
            let is_code =
                |word: &&str| word.contains('_') && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
            let quoted = line.split('"').skip(1).step_by(2).filter(is_code);
            // Codes are given where an error is made, or listed by `DecodeFault::code`.
            let makes_error =
                ["ApiError::new(", "unavailable(", "DecodeFault::"].iter().any(|mark| line.contains(mark));
            codes.extend(quoted.filter(|_| makes_error).map(str::to_owned));
        }
    }
    assert!(codes.len() >= 10, "the search for codes finds too few: {codes:?}");
    fail_with(codes.into_iter().filter(|code| !document.contains(code.as_str())).collect());
}

#[test]
fn bundled_models_are_the_ones_whose_digests_are_kept() {
    use sha2::Digest;
    let models = root().join("models");
    let kept = fs::read_to_string(models.join("SHA256SUMS")).unwrap();
    let kept: BTreeMap<_, _> =
        kept.lines().filter_map(|line| line.split_once("  ")).map(|(digest, path)| (path, digest)).collect();
    let found = files(&models, "onnx");
    assert_eq!(found.len(), kept.len());
    for path in found {
        let bytes = fs::read(&path).unwrap();
        let digest: String = sha2::Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        let name = path.strip_prefix(&models).unwrap().to_str().unwrap();
        assert_eq!(kept.get(name).copied(), Some(digest.as_str()), "{name}");
        assert!(bytes.len() < 5 << 20, "{name} is larger than 5 MB");
    }
}

#[test]
fn links_between_documents_lead_somewhere() {
    let mut problems = Vec::new();
    let documents = files(&root().join("docs"), "md").into_iter();
    for path in documents.chain(
        ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "loadtest/README.md"]
            .map(|name| root().join(name)),
    ) {
        let text = fs::read_to_string(&path).unwrap();
        for (at, _) in text.match_indices("](") {
            let link = text[at + 2..].split(')').next().unwrap_or_default().split('#').next().unwrap_or_default();
            if !link.is_empty() && !link.contains("://") && !path.parent().unwrap().join(link).exists() {
                problems.push(format!("{}: {link}", path.display()));
            }
        }
    }
    fail_with(problems);
}

#[test]
fn every_test_that_the_threats_are_met_by_exists() {
    let document = fs::read_to_string(root().join("docs/threats.md")).unwrap();
    let named: BTreeSet<&str> = document.split('`').skip(1).step_by(2).filter(|word| word.contains("::")).collect();
    assert!(named.len() >= 40, "the search for tests finds too few: {named:?}");
    let mut problems = Vec::new();
    for name in &named {
        let (file, test) = name.split_once("::").expect("found by it");
        let folders = ["tests/real/threats", "tests/real", ""].map(|folder| root().join(folder).join(file));
        let definition = if file.ends_with(".rs") { format!("fn {test}()") } else { format!("\ndef {test}(") };
        let texts: Vec<_> = folders.iter().filter_map(|path| fs::read_to_string(path).ok()).collect();
        if !texts.iter().any(|text| text.contains(&definition)) {
            problems.push(format!("docs/threats.md names {name}, which is not there"));
        }
    }
    // And every test of a threat is in the table.
    for path in files(&root().join("tests/real/threats"), "py") {
        let file = path.file_name().unwrap().to_str().unwrap();
        if file.starts_with("test_") && !named.iter().any(|name| name.starts_with(&format!("{file}::"))) {
            problems.push(format!("docs/threats.md names no test of {file}"));
        }
    }
    fail_with(problems);
}
