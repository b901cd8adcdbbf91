//! A report as text, for people.

use super::report::{EngineReport, Report, SignatureReport, ValueReport};

/// The longest example that is shown.
const EXAMPLE_BYTES_MAX: usize = 400;

/// How many operators are listed before the rest is counted.
const OPERATORS_MAX: usize = 24;

/// The text, ending with a line's end.
pub fn render(report: &Report) -> String {
    let mut page = Page::default();
    page.line(&format!("{}  {}", report.name, report.path));
    page.field("verdict", verdict(report));
    file(&mut page, report);
    if let Some(signature) = &report.signature {
        values(&mut page, "inputs", &signature.inputs);
        values(&mut page, "outputs", &signature.outputs);
        defaults(&mut page, signature);
    }
    contents(&mut page, report);
    report.engines.iter().for_each(|engine| page.field("engine", &engine_text(engine)));
    if let Some(memory) = &report.memory {
        let text = format!(
            "about {} for a session, {} at most meanwhile; {} on disk",
            size(memory.held_bytes),
            size(memory.peak_bytes),
            size(memory.files_bytes)
        );
        page.field("memory", &text);
    }
    if let Some(batching) = &report.batching {
        let verdict = if batching.safe { "safe" } else { "not joined" };
        page.field("batching", &format!("{verdict}: {}", batching.reason));
    }
    if let Some(sample) = &report.sample {
        page.field("sample", &format!("{} ({})", sample.path, if sample.accepted { "accepted" } else { "refused" }));
    }
    if let Some(example) = report.example.as_ref().filter(|example| example.len() <= EXAMPLE_BYTES_MAX) {
        page.field("example", example);
    }
    for problem in &report.problems {
        page.line("");
        page.line(&format!("  {} {}: {}", problem.severity.name(), problem.code.name(), problem.message));
        page.line(&format!("    → {}", problem.remedy));
    }
    page.0
}

/// The text so far.
#[derive(Default)]
struct Page(String);

impl Page {
    /// Adds a line. What a file says of itself may hold anything, control sequences of terminals too: these are spelt out.
    fn line(&mut self, line: &str) {
        for c in line.chars() {
            if c.is_control() { self.0.extend(c.escape_default()) } else { self.0.push(c) }
        }
        self.0.push('\n');
    }

    fn field(&mut self, name: &str, text: &str) {
        self.line(&format!("  {name:<11}{text}"));
    }
}

fn verdict(report: &Report) -> &'static str {
    match (report.servable, report.problems.is_empty()) {
        (true, true) => "can be served",
        (true, false) => "can be served; see below",
        (false, _) => "cannot be served; see below",
    }
}

fn file(page: &mut Page, report: &Report) {
    let Some(file) = &report.file else { return };
    let mut parts = vec![size(file.bytes)];
    parts.extend(file.ir_version.map(|version| format!("IR version {version}")));
    if !file.opsets.is_empty() {
        let sets: Vec<_> = file.opsets.iter().map(|(domain, version)| format!("{domain} {version}")).collect();
        parts.push(format!("operator sets {}", sets.join(", ")));
    }
    parts.extend(file.producer.as_ref().map(|producer| format!("made by {producer}")));
    page.field("file", &parts.join("; "));
    page.field("sha256", &file.sha256);
    for (key, value) in &file.metadata {
        page.field("note", &format!("{key}: {}", cut(value, 200)));
    }
}

fn values(page: &mut Page, name: &str, values: &[ValueReport]) {
    let width = values.iter().map(|value| value.name.chars().count()).max().unwrap_or(0);
    for (index, value) in values.iter().enumerate() {
        page.field(if index == 0 { name } else { "" }, &format!("{:<width$}  {}", value.name, value.kind));
    }
}

fn defaults(page: &mut Page, signature: &SignatureReport) {
    if !signature.defaults.is_empty() {
        page.field("built in", &super::findings::list(&signature.defaults));
    }
}

fn contents(page: &mut Page, report: &Report) {
    let mut operators: Vec<_> = report.operators.iter().collect();
    operators.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.name.cmp(&b.name)));
    let name =
        |domain: &str, name: &str| if domain == "ai.onnx" { name.to_owned() } else { format!("{domain}.{name}") };
    let mut listed: Vec<_> = operators
        .iter()
        .take(OPERATORS_MAX)
        .map(|operator| format!("{} {}", operator.count, name(&operator.domain, &operator.name)))
        .collect();
    if operators.len() > OPERATORS_MAX {
        listed.push(format!("and {} more", operators.len() - OPERATORS_MAX));
    }
    if !listed.is_empty() {
        page.field("operators", &listed.join(", "));
    }
    if let Some(weights) = &report.initializers {
        let types: Vec<_> = weights.types.iter().map(|(name, sum)| format!("{} {name}", sum.count)).collect();
        let types = if types.is_empty() { String::new() } else { format!(" ({})", types.join(", ")) };
        page.field("weights", &format!("{} tensors, {}{types}", weights.count, size(weights.bytes)));
    }
    for data in &report.external_data {
        let verdict = match (&data.reason, data.bytes) {
            (Some(reason), _) => format!("refused: {reason}"),
            (None, bytes) => format!("{}, accepted", size(bytes.unwrap_or(0))),
        };
        page.field("beside it", &format!("{} ({} tensors): {verdict}", data.location, data.tensors));
    }
}

fn engine_text(engine: &EngineReport) -> String {
    let probe = &engine.probe;
    let name = if probe.engine == "ort" { "ONNX Runtime" } else { probe.engine };
    let mut text = name.to_owned();
    if let Some(version) = &probe.version {
        text += &format!(" {version}");
    }
    if engine.chosen {
        text += " (would be used)";
    }
    text += ": ";
    if let Some(failure) = &probe.failure {
        return text + &failure.reason;
    }
    let took = probe.load.as_ref().map_or(String::new(), |load| format!(" in {}", time(load.took_us)));
    text += &format!("loads{took}");
    match &probe.run {
        Some(run) => {
            let input = run.input.in_words();
            text + &format!("; a run on {input} takes {}, the first {}", time(run.steady_us), time(run.first_us))
        }
        None => text + "; does not run on what was tried",
    }
}

fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["bytes", "KiB", "MiB", "GiB", "TiB"];
    let unit = (bytes.max(1).ilog2() / 10).min(4);
    if unit == 0 {
        format!("{bytes} bytes")
    } else {
        format!("{:.1} {}", bytes as f64 / f64::from(1u32 << 10).powi(unit as i32), UNITS[unit as usize])
    }
}

fn time(us: u64) -> String {
    match us {
        0..1_000 => format!("{us} µs"),
        1_000..1_000_000 => format!("{:.1} ms", us as f64 / 1e3),
        _ => format!("{:.1} s", us as f64 / 1e6),
    }
}

fn cut(text: &str, chars: usize) -> String {
    let mut cut: String = text.chars().take(chars).collect();
    if cut.len() < text.len() {
        cut.push('…');
    }
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_spelt_out() {
        let mut page = Page::default();
        page.field("inputs", "a\u{1b}[2J\nb\u{9b}é");
        assert_eq!(page.0, "  inputs     a\\u{1b}[2J\\nb\\u{9b}é\n");
    }

    #[test]
    fn sizes_and_times_are_rounded_for_people() {
        assert_eq!([size(0), size(1023), size(1024), size(5 << 30)], ["0 bytes", "1023 bytes", "1.0 KiB", "5.0 GiB"]);
        assert_eq!([time(999), time(1_500), time(2_000_000)], ["999 µs", "1.5 ms", "2.0 s"]);
    }
}
