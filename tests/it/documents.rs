//! Documents that speak of code are held to it.

use std::collections::BTreeSet;
use std::path::Path;

use scoria::telemetry::{Gpu, GpuNames, Metrics, render_gpus};

use crate::authority::Authority;

fn document(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path))
        .unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// One that has a value for everything.
pub fn whole_gpu() -> Gpu {
    Gpu {
        index: 0,
        uuid: "GPU-0".to_owned(),
        utilization: Some(0.5),
        memory_used_bytes: Some(1),
        memory_total_bytes: Some(2),
        own_memory_bytes: Some(1),
        temperature_celsius: Some(40),
        power_watts: Some(100.0),
        power_limit_watts: Some(700.0),
        energy_joules: Some(1.0),
    }
}

#[test]
fn the_configuration_reference_is_the_generated_one() {
    let generated = scoria::config::reference();
    assert!(document("docs/configuration.md") == generated, "docs/configuration.md is stale: run `make reference`");
}

#[test]
fn the_metrics_document_names_exactly_the_metrics_there_are() {
    let authority = Authority::new("authority");
    // The port speaks TLS, so that the metrics of that are there.
    let server = crate::tls::start(&authority, "localhost").ready();
    let mut client = authority.connect(server.address(), "localhost");
    client.request("POST", "/score", &[], br#"{"data": [[1, 2]]}"#);
    client.request("POST", "/nowhere", &[], b"");
    // What only a mirror or a webhook has, of one that nobody asks.
    let mirrored = Metrics::new("0").expect("the metrics' names differ");
    let _handles = (mirrored.mirror("e", "d"), mirrored.webhook("RolledBack"));
    let mirrored = String::from_utf8(mirrored.render().expect("they can be written")).expect("they are text");
    // And what only a machine with a GPU has.
    let gpus = render_gpus(&[whole_gpu()], GpuNames::Own).expect("they can be written");
    let text = server.admin("/metrics").text().to_owned() + &mirrored + std::str::from_utf8(&gpus).expect("it is text");
    let exposed: BTreeSet<_> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    let document = document("docs/metrics.md");
    let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let suffixes = ["_bucket", "_count", "_sum"];
    let named: BTreeSet<_> = document
        .split(|c| !is_name(c))
        .filter(|word| word.starts_with("scoria_"))
        .map(|word| {
            suffixes
                .iter()
                .find_map(|suffix| word.strip_suffix(suffix).filter(|base| exposed.contains(base)))
                .unwrap_or(word)
        })
        .collect();
    assert_eq!(named, exposed);
}

#[test]
fn the_doctors_document_lists_every_code() {
    let document = document("docs/doctor.md");
    let problems = document.split("## Problems").nth(1).expect("a section on problems");
    let listed: Vec<_> = problems.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    let codes: Vec<_> = scoria::doctor::Code::ALL.iter().map(|code| code.name()).collect();
    assert_eq!(listed, codes);
}

#[test]
fn the_document_on_grpc_lists_every_status() {
    let document = document("docs/grpc.md");
    let failures = document.split("## Failures").nth(1).expect("a section on failures");
    let listed = failures.lines().filter_map(|line| line.strip_prefix("| `")?.split(" |").next());
    let listed: Vec<_> = listed.filter(|cell| cell.ends_with(')')).collect();
    let codes = scoria::grpc::Code::FAILURES.map(|code| format!("{}` ({})", code.name(), code as u16));
    assert_eq!(listed, codes);
}
