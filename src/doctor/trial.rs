//! What an engine's attempt means: its words sorted into codes, with remedies.

use super::findings::Findings;
use super::problem::{Code, Severity};
use crate::engine::environment::{self, Lack};
use crate::probe::{Cause, Failure, ProbeReport, RunFailure, RunInput, Stage};
use crate::tensor::{Dim, Shape, Signature, ValueType};

/// Words of ONNX Runtime 1.31 and tract 0.23 for what keeps a model from being loaded, in lower case; found by provoking each.
const WORDS: [(&str, Code); 14] = [
    ("failed to allocate", Code::LacksMemory),
    ("bad_alloc", Code::LacksMemory),
    ("cannot allocate memory", Code::LacksMemory),
    ("is under development and support for this is limited", Code::OpsetTooNew),
    ("unsupported model ir version", Code::IrVersionTooNew),
    ("is not a registered function/op", Code::UnknownOperator),
    ("no op registered for", Code::UnknownOperator),
    ("no opset import for domain", Code::InvalidGraph),
    ("could not find an implementation", Code::OperatorNotImplemented),
    ("tract cannot run this model", Code::OperatorNotImplemented),
    ("ort cannot run this model", Code::OperatorNotImplemented),
    ("type error", Code::InvalidGraph),
    ("invalid model", Code::InvalidGraph),
    ("invalid_graph", Code::InvalidGraph),
];

impl Findings {
    /// What the engine that a server would use says.
    pub(super) fn trial(&mut self, probe: &ProbeReport, signature: &Signature) {
        if probe.loads {
            // It brings the operator after all; it has the last word.
            self.forget(Code::CustomOperator);
        }
        if let Some(failure) = &probe.failure {
            self.failure(probe, failure);
        }
        if let Some(failed) = probe.not_run.as_ref().filter(|_| !self.has(Code::NoOutputs)) {
            self.not_run(failed);
        }
        let Some(run) = &probe.run else { return };
        if run.input == RunInput::MadeUp {
            let message = "the model does not run on zeros with every dynamic dimension 1, which a server would warm it with; it does on \
                           other values";
            let remedy = "put a request that it takes beside it (sample_input.json beside model.onnx, x.sample_input.json beside \
                          x.onnx), so that it is measured";
            self.add(Code::RunsOnOtherInput, Severity::Info, message, remedy);
        }
        for (output, shape) in signature.outputs.iter().zip(&run.output_shapes) {
            let (ValueType::Tensor { dims: Some(dims), .. }, Some(shape)) = (&output.value, shape) else { continue };
            let fits = |(dim, size): (&Dim, &usize)| !matches!(dim, Dim::Fixed(fixed) if fixed != size);
            if dims.len() != shape.len() || !dims.iter().zip(shape).all(fits) {
                let message =
                    format!("output '{}' is declared {}, and has shape {}", output.name, output.value, Shape(shape));
                let remedy =
                    "clients and the OpenAPI document go by the declaration: export again, or mend it in graph.output";
                self.add(Code::WrongOutputShape, Severity::Warning, message, remedy);
            }
        }
    }

    fn not_run(&mut self, failed: &RunFailure) {
        let reason = plain(&failed.reason);
        if let Some(Lack { what, remedy }) = environment::lacking(&reason) {
            let message = format!("the model loads, but cannot run on this machine: {what}");
            return self.add(Code::Environment, Severity::Error, message, remedy);
        }
        if lacks_memory(&reason) {
            let message = format!("the model loads, but a run of it takes more memory than there is: {reason}");
            return self.add(Code::LacksMemory, Severity::Warning, message, MEMORY_REMEDY);
        }
        let input = failed.input.in_words();
        let message = format!("the model loads, but does not run on {input} nor on other made-up values: {reason}");
        let remedy = "put a request that it takes beside it (sample_input.json beside model.onnx, x.sample_input.json beside \
                      x.onnx); without one it is served unmeasured";
        self.add(Code::DoesNotRun, Severity::Warning, message, remedy);
    }

    fn failure(&mut self, probe: &ProbeReport, failure: &Failure) {
        let reason = plain(&failure.reason);
        let engine = probe.engine;
        match failure.cause {
            // It has loaded and run; only this is left open.
            Cause::Timeout if failure.stage == Stage::Join => {
                let message = format!("whether rows can share a run is not known: on {engine}, {reason}");
                self.add(Code::BatchUnknown, Severity::Info, message, "give it more time (--probe-timeout-ms)");
            }
            Cause::Timeout => {
                let remedy =
                    "give it more time (--probe-timeout-ms); if that does not help, see whether a loop of it ends";
                self.add(Code::TakesTooLong, Severity::Error, format!("on {engine}, {reason}"), remedy);
            }
            Cause::Signal(_) | Cause::Exit(_) => {
                let last = if failure.stderr.is_empty() {
                    String::new()
                } else {
                    format!("; its last words: {}", failure.stderr)
                };
                let remedy = "do not serve it: it would take the server with it. If it is memory that it lacks, give it more \
                              (--probe-max-memory-bytes); else report it to those who make the engine, or try another version of it";
                self.add(Code::KillsEngine, Severity::Error, format!("on {engine}, {reason}{last}"), remedy);
            }
            Cause::NotStarted => {
                self.add(Code::EngineUnavailable, Severity::Error, reason, "see that the program may start itself");
            }
            Cause::Refused if failure.stage == Stage::Start => {
                let remedy = "run `scoria runtime info`, which tells where it was looked for";
                self.add(Code::EngineUnavailable, Severity::Error, reason, remedy);
            }
            Cause::Refused if environment::lacking(&reason).is_some() => {
                let Some(Lack { what, remedy }) = environment::lacking(&reason) else { return };
                let message = format!("{engine} cannot load the model on this machine: {what}");
                self.add(Code::Environment, Severity::Error, message, remedy);
            }
            Cause::Refused => {
                let (code, remedy) = classify(&reason);
                // A custom operator has been told with its remedy; this is how the engine says so, or that its set is not listed.
                if [Code::UnknownOperator, Code::InvalidGraph].contains(&code) && self.has(Code::CustomOperator) {
                    return;
                }
                self.add(code, Severity::Error, reason, remedy);
            }
        }
    }

    /// What another engine says, which no server would use here.
    pub(super) fn other_trial(&mut self, probe: &ProbeReport) {
        let Some(failure) = &probe.failure else { return };
        if failure.stage == Stage::Start {
            let remedy = "run `make` for a pinned copy, or name its library with --ort-lib";
            return self.add(Code::EngineUnavailable, Severity::Info, &failure.reason, remedy);
        }
        let message = format!("{} could not be used instead: {}", probe.engine, plain(&failure.reason));
        self.add(Code::OtherEngineCannot, Severity::Info, message, "nothing, as long as the first engine is there");
    }
}

/// The code for an engine's words, and what helps.
fn classify(reason: &str) -> (Code, String) {
    let lower = reason.to_lowercase();
    let code = WORDS.iter().find(|(words, _)| lower.contains(words)).map_or(Code::NotLoaded, |(_, code)| *code);
    let remedy = match code {
        Code::OpsetTooNew => {
            let newest = number_after(&lower, "till opset ").map_or("an older one".to_owned(), |number| number.to_string());
            match word_after(&lower, "support for domain ").unwrap_or("ai.onnx") {
                "ai.onnx" => {
                    format!("export with operator set {newest} (opset_version= in PyTorch, target_opset= in skl2onnx and onnxmltools)")
                }
                "ai.onnx.ml" => format!(
                    "export with operator set {newest} of the domain ai.onnx.ml: target_opset={{'': N, 'ai.onnx.ml': {newest}}} in \
                     skl2onnx and onnxmltools, with the set of ai.onnx that the model has now for N"
                ),
                domain => format!("export with operator set {newest} of the domain {domain}"),
            }
        }
        Code::IrVersionTooNew => {
            let newest = number_after(&lower, "max supported ir version: ").map_or("N".to_owned(), |number| number.to_string());
            format!("set it lower, which changes nothing else: model.ir_version = {newest}; onnx.save(model, path)")
        }
        Code::UnknownOperator => {
            "the name or its operator set is wrong, or it is a custom one: libraries of custom operators are not loaded; export with \
             standard operators"
                .to_owned()
        }
        Code::LacksMemory => MEMORY_REMEDY.to_owned(),
        Code::OperatorNotImplemented => {
            "use the other engine (--engine), or export this step in another form or type, such as float32".to_owned()
        }
        Code::InvalidGraph => {
            "the file contradicts itself: see onnx.checker.check_model(path, full_check=True), and export again".to_owned()
        }
        _ => "see what onnx.checker.check_model(path, full_check=True) says, and export again".to_owned(),
    };
    (code, remedy)
}

fn number_after(text: &str, words: &str) -> Option<u64> {
    let rest = &text[text.find(words)? + words.len()..];
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    rest[..end].parse().ok()
}

fn word_after<'a>(text: &'a str, words: &str) -> Option<&'a str> {
    text[text.find(words)? + words.len()..].split_whitespace().next()
}

const MEMORY_REMEDY: &str =
    "see that no size in it is wrong; if they are right, give it more (--probe-max-memory-bytes)";

fn lacks_memory(reason: &str) -> bool {
    let reason = reason.to_lowercase();
    WORDS.iter().any(|(words, code)| *code == Code::LacksMemory && reason.contains(words))
}

/// An engine's words without where in its own source they come from: `/onnxruntime_src/….h:46 void f(int) `.
fn plain(reason: &str) -> String {
    let reason = reason.trim();
    let Some(start) = reason.find("/onnxruntime_src/") else { return reason.to_owned() };
    let mut depth = 0;
    let ends = |(_, c): &(usize, char)| {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        *c == ')' && depth == 0
    };
    let Some((end, _)) = reason[start..].char_indices().find(ends) else { return reason.to_owned() };
    let rest = reason[start + end + 1..].trim_start().trim_start_matches("const ");
    // `[with T = float]` of a template.
    let rest = rest.strip_prefix("[with ").and_then(|rest| rest.split_once("] ")).map_or(rest, |(_, rest)| rest);
    format!("{}{}", &reason[..start], rest.trim_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engines_words_are_sorted_and_the_way_out_is_as_exact_as_they_are() {
        for (reason, code, remedy) in [
            (
                "ONNX Runtime only *guarantees* support for models stamped with official released onnx opset versions. Opset 30 is \
                 under development and support for this is limited. Current official support for domain ai.onnx is till opset 26.",
                Code::OpsetTooNew,
                "operator set 26",
            ),
            (
                "Opset 9 is under development and support for this is limited. Current official support for domain ai.onnx.ml is till \
                 opset 5.",
                Code::OpsetTooNew,
                "{'': N, 'ai.onnx.ml': 5}",
            ),
            (
                "Unsupported model IR version: 99, max supported IR version: 13",
                Code::IrVersionTooNew,
                "ir_version = 13",
            ),
            ("Fatal error: my.ops:Foo(-1) is not a registered function/op", Code::UnknownOperator, "custom"),
            ("Could not find an implementation for Conv(14) node", Code::OperatorNotImplemented, "--engine"),
            ("Type Error: Type (tensor(int64)) of output arg (y)", Code::InvalidGraph, "check_model"),
            ("std::bad_alloc (it asked for 4 bytes of memory)", Code::LacksMemory, "--probe-max-memory-bytes"),
            ("something else", Code::NotLoaded, "check_model"),
        ] {
            let (got, way_out) = classify(reason);
            assert_eq!(got, code, "{reason}");
            assert!(way_out.contains(remedy), "{way_out}");
        }
    }

    #[test]
    fn what_the_machine_lacks_is_not_the_models_fault() {
        let mut findings = Findings::default();
        let reason = "Failed to construct locale with name:en_US.UTF-8:name not valid".to_owned();
        findings.not_run(&RunFailure { input: RunInput::Zeros, reason, is_input: false });
        let problems = findings.into_problems();
        let [problem] = problems.as_slice() else { panic!("{problems:?}") };
        assert_eq!((problem.code, problem.severity), (Code::Environment, Severity::Error));
        assert!(problem.remedy.contains("localedef -i en_US -f UTF-8 en_US.UTF-8"), "{}", problem.remedy);
        assert!(!problem.remedy.contains("export again"), "{}", problem.remedy);
    }

    #[test]
    fn where_in_its_source_an_engine_failed_is_left_out() {
        for (said, meant) in [
            (
                "Load failed:/onnxruntime_src/a/b.h:46 void f::g(const map<std::string, int>&, bool) ONNX Runtime only",
                "Load failed:ONNX Runtime only",
            ),
            ("/onnxruntime_src/b.cc:1 T f(int) const [with T = float] Failed to allocate 5\n", "Failed to allocate 5"),
            ("/onnxruntime_src/b.cc:1 without an end (", "/onnxruntime_src/b.cc:1 without an end ("),
            ("no such operator", "no such operator"),
        ] {
            assert_eq!(plain(said), meant);
        }
    }
}
