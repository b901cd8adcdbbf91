//! The README's five-minute tour, run as it is written.

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

/// A block of commands and, if the text shows it, what they print.
struct Step {
    commands: String,
    prints: Option<String>,
}

fn steps(readme: &str) -> Vec<Step> {
    let tour = readme.split("\n## Five-minute tour\n").nth(1).expect("the README has a tour");
    let tour = tour.split("\n## ").next().unwrap_or_default();
    let mut steps: Vec<Step> = Vec::new();
    for block in tour.split("```").skip(1).step_by(2) {
        match block.split_once('\n').expect("a block has lines") {
            ("sh", commands) => steps.push(Step { commands: commands.to_owned(), prints: None }),
            ("text", text) => steps.last_mut().expect("commands come first").prints = Some(text.to_owned()),
            (language, _) => panic!("a block of {language}, which nobody runs"),
        }
    }
    steps
}

/// Texts are equal, numbers in them within a hundred-thousandth: the last digit differs between processors.
fn assert_same(printed: &str, expected: &str, commands: &str) {
    let is_number = |c: char| c.is_ascii_digit() || c == '.';
    let split = |text: &str| -> Vec<String> {
        let mut parts: Vec<String> = Vec::new();
        for c in text.trim_end().chars() {
            match parts.last_mut() {
                Some(part) if part.ends_with(is_number) == is_number(c) => part.push(c),
                _ => parts.push(c.to_string()),
            }
        }
        parts
    };
    let (printed_parts, expected_parts) = (split(printed), split(expected));
    let same = |(printed, expected): (&String, &String)| match (printed.parse::<f64>(), expected.parse::<f64>()) {
        (Ok(printed), Ok(expected)) => (printed - expected).abs() <= 1e-5 * expected.abs(),
        _ => printed == expected,
    };
    let is_same = printed_parts.len() == expected_parts.len() && printed_parts.iter().zip(&expected_parts).all(same);
    assert!(is_same, "after\n{commands}\nexpected\n{expected}\ngot\n{printed}");
}

#[test]
fn the_tour_prints_what_it_shows() {
    const MARK: &str = "==== next ====";
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = std::fs::read_to_string(root.join("README.md")).expect("there is a README");
    let steps = steps(&readme);
    assert!(steps.len() >= 6, "the tour is found whole");

    let mut script = "set -u\n".to_owned();
    for step in &steps {
        script += &format!("{}\necho '{MARK}'\n", step.commands);
    }
    // The binary of this build, on ports that nobody has; the rest is as a reader would type it.
    let ports = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").expect("a port is free"));
    for (written, free) in ["18080", "18081"].iter().zip(&ports) {
        script = script.replace(written, &free.local_addr().expect("it is bound").port().to_string());
    }
    drop(ports);
    let script = script.replace("target/release/scoria", env!("CARGO_BIN_EXE_scoria"));
    let output = Command::new("sh").arg("-c").arg(&script).current_dir(root).output().expect("sh runs");
    let printed = String::from_utf8(output.stdout).expect("the tour prints text");
    let errors = String::from_utf8_lossy(&output.stderr);
    let printed: Vec<_> = printed.split(&format!("{MARK}\n")).collect();
    assert_eq!(printed.len(), steps.len() + 1, "{errors}");
    for (step, printed) in steps.iter().zip(printed) {
        if let Some(expected) = &step.prints {
            assert_same(printed, expected, &step.commands);
        }
    }
}
