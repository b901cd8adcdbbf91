//! Scenarios: settings in a TOML file, possibly as steps.
//!
//! A scenario's keys are those of [`Settings`], and:
//! - `[[step]]`: settings that differ in this step; one result a step, in order. Steps of an open loop which differ in nothing
//!   but their rate and time follow each other on the same connections without a pause, so that one can see how a server
//!   comes back from an overload.
//! - `[capacity]`: settings of a closed loop that is measured first; a step's `load = 3.0` is then a rate of three times what
//!   was answered per second.
//! - `about`: what the scenario is for, shown when it is run.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use crate::settings::Settings;

/// A scenario, or what flags alone ask for.
#[derive(Debug, Clone, PartialEq)]
pub struct Scenario {
    pub about: Option<String>,
    pub capacity: Option<Settings>,
    /// At least one.
    pub steps: Vec<Step>,
}

/// What one result comes from.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    pub settings: Settings,
    /// The rate, as a multiple of the capacity.
    pub load: Option<f64>,
}

/// Why a scenario is none. Says where, what was expected, and what to write instead.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    #[error("{} could not be read", .0.display())]
    Unreadable(PathBuf, #[source] std::io::Error),
    #[error("{place} is no TOML: {message}")]
    Syntax { place: String, message: String },
    #[error("{place}: unknown key '{key}'{}; the keys are {}", suggestion(.key, .known), .known.join(", "))]
    UnknownKey { place: String, key: String, known: Vec<String> },
    #[error("{place}: {message}")]
    Value { place: String, message: String },
    #[error("{place}: 'load' multiplies the capacity, so a [capacity] section is needed that says how to measure it")]
    LoadWithoutCapacity { place: String },
    #[error("{place}: either 'rate' or 'load' tells how much to send, not both")]
    LoadAndRate { place: String },
}

fn suggestion(key: &str, known: &[String]) -> String {
    let distances = known.iter().map(|known| (strsim::damerau_levenshtein(key, known), known));
    match distances.min().filter(|(distance, _)| *distance <= (key.len() / 3).max(1)) {
        Some((_, closest)) => format!(" (did you mean '{closest}'?)"),
        None => String::new(),
    }
}

impl Scenario {
    /// What is asked for by flags, on top of a file if there is one.
    pub fn of(flags: &Settings, file: Option<&Path>) -> Result<Scenario, ScenarioError> {
        let Some(path) = file else {
            return Ok(Scenario {
                about: None,
                capacity: None,
                steps: vec![Step { settings: flags.clone(), load: None }],
            });
        };
        let text = std::fs::read_to_string(path).map_err(|error| ScenarioError::Unreadable(path.to_owned(), error))?;
        let mut scenario = Scenario::parse(&text, flags, &path.display().to_string())?;
        // A file's own paths are relative to it, so that a scenario runs from anywhere.
        let folder = path.parent().unwrap_or(Path::new(""));
        for settings in scenario.steps.iter_mut().map(|step| &mut step.settings).chain(&mut scenario.capacity) {
            let from_file =
                |path: &PathBuf, flag: &[PathBuf]| if flag.contains(path) { path.clone() } else { folder.join(path) };
            settings.body = settings.body.iter().map(|path| from_file(path, &flags.body)).collect();
            settings.bearer_file =
                settings.bearer_file.take().map(|path| from_file(&path, flags.bearer_file.as_slice()));
        }
        Ok(scenario)
    }

    /// `place` is what errors call the text.
    fn parse(text: &str, flags: &Settings, place: &str) -> Result<Scenario, ScenarioError> {
        let mut base: Table = text.parse().map_err(|error: toml::de::Error| {
            let line = error.span().map_or(1, |span| text[..span.start.min(text.len())].lines().count().max(1));
            ScenarioError::Syntax { place: format!("{place}, line {line}"), message: error.message().to_owned() }
        })?;
        let extra = Extra::take_from(&mut base, place)?;
        check_keys(&base, &[], place)?;
        let flags = Table::try_from(flags).expect("flags are values of TOML");
        let capacity = match &extra.capacity {
            Some(section) => {
                let place = format!("{place}, [capacity]");
                check_keys(section, &[], &place)?;
                // It is a closed loop whatever the steps are.
                let mut of_steps = base.clone();
                for key in ["rate", "arrivals", "name"] {
                    of_steps.remove(key);
                }
                Some(settings([&of_steps, section, &flags], &place)?)
            }
            None => None,
        };
        let mut steps = Vec::new();
        for (index, step) in extra.step.iter().enumerate() {
            let place = format!("{place}, step {}", index + 1);
            let mut step = step.clone();
            let load = step.remove("load").map(|load| number(&load, &place)).transpose()?;
            check_keys(&step, &["load"], &place)?;
            let settings = settings([&base, &step, &flags], &place)?;
            match load {
                Some(_) if capacity.is_none() => return Err(ScenarioError::LoadWithoutCapacity { place }),
                Some(_) if settings.rate.is_some() => return Err(ScenarioError::LoadAndRate { place }),
                _ => steps.push(Step { settings, load }),
            }
        }
        if steps.is_empty() {
            steps.push(Step { settings: settings([&base, &Table::new(), &flags], place)?, load: None });
        }
        Ok(Scenario { about: extra.about, capacity, steps })
    }
}

/// What a scenario holds besides settings.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Extra {
    about: Option<String>,
    capacity: Option<Table>,
    step: Vec<Table>,
}

impl Extra {
    const KEYS: [&str; 3] = ["about", "capacity", "step"];

    fn take_from(base: &mut Table, place: &str) -> Result<Extra, ScenarioError> {
        let taken: Table =
            Extra::KEYS.iter().filter_map(|key| base.remove(*key).map(|value| ((*key).to_owned(), value))).collect();
        taken.try_into().map_err(|error: toml::de::Error| ScenarioError::Value {
            place: place.to_owned(),
            message: format!("expected about = \"…\", [capacity] and [[step]]: {}", error.message()),
        })
    }
}

fn check_keys(table: &Table, more: &[&str], place: &str) -> Result<(), ScenarioError> {
    let mut known = Settings::keys();
    if place.contains(", step ") || place.ends_with("[capacity]") {
        known.extend(more.iter().map(|key| (*key).to_owned()));
    } else {
        known.extend(Extra::KEYS.map(str::to_owned));
    }
    match table.keys().find(|key| !known.contains(key)) {
        Some(key) => Err(ScenarioError::UnknownKey { place: place.to_owned(), key: key.clone(), known }),
        None => Ok(()),
    }
}

/// Which settings rule each other out: where one of the first is said, a layer above has taken back those of the second.
const INSTEAD: [(&[&str], &[&str]); 2] = [
    (&["body"], &["kind", "input", "describe_from", "rows", "bodies", "range", "decimals"]),
    (&["kind", "input", "describe_from"], &["body", "content_type"]),
];

fn settings(layers: [&Table; 3], place: &str) -> Result<Settings, ScenarioError> {
    let mut all = Table::new();
    for layer in layers {
        for (these, those) in INSTEAD {
            if these.iter().any(|key| layer.contains_key(*key)) {
                those.iter().for_each(|key| drop(all.remove(*key)));
            }
        }
        all.extend(layer.clone());
    }
    all.try_into().map_err(|error: toml::de::Error| ScenarioError::Value {
        place: place.to_owned(),
        message: error.to_string().trim().replace('\n', " "),
    })
}

fn number(value: &Value, place: &str) -> Result<f64, ScenarioError> {
    let number = value.as_float().or_else(|| value.as_integer().map(|integer| integer as f64));
    let got = number.map_or_else(|| format!("a {}", value.type_str()), |number| number.to_string());
    number.filter(|number| *number > 0.0).ok_or_else(|| ScenarioError::Value {
        place: place.to_owned(),
        message: format!("expected load = a number above 0, got {got}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str, flags: &Settings) -> Result<Scenario, String> {
        Scenario::parse(text, flags, "x.toml").map_err(|error| error.to_string())
    }

    fn refusal(text: &str) -> String {
        parse(text, &Settings::default()).unwrap_err()
    }

    #[test]
    fn steps_differ_from_the_rest_and_flags_win() {
        let text = r#"
            about = "an example"
            url = "http://localhost/"
            connections = 8
            duration = "5s"
            [capacity]
            connections = 4
            [[step]]
            name = "half"
            load = 0.5
            [[step]]
            name = "full"
            rate = 100
            duration = "7s"
        "#;
        let flags = Settings { connections: Some(9), ..Settings::default() };
        let with_flags = parse(text, &flags).unwrap();
        assert!(with_flags.steps.iter().all(|step| step.settings.connections == Some(9)));
        let scenario = parse(text, &Settings::default()).unwrap();
        assert_eq!(scenario.about.as_deref(), Some("an example"));
        assert_eq!(scenario.capacity.unwrap().connections, Some(4));
        let [half, full] = &scenario.steps[..] else { panic!("two steps") };
        assert_eq!((half.load, half.settings.connections, half.settings.rate), (Some(0.5), Some(8), None));
        assert_eq!((full.load, full.settings.rate), (None, Some(100.0)));
        assert_eq!(full.settings.duration.unwrap().to_string(), "7s");
        assert_eq!(half.settings.duration.unwrap().to_string(), "5s");
    }

    #[test]
    fn a_body_takes_the_place_of_made_up_ones_and_the_other_way_round() {
        let made_up = "url = 'http://localhost/'\nkind = 'npy'\ninput = ['x:float32:1x4']\nbodies = 3";
        let flags = Settings { body: vec!["a.json".into()], ..Settings::default() };
        let settings = &parse(made_up, &flags).unwrap().steps[0].settings;
        assert_eq!((settings.kind, settings.input.len(), settings.bodies), (None, 0, None));
        let step = "body = ['a.json']\n[[step]]\nkind = 'raw'\ninput = ['x:float32:1x4']";
        let settings = &parse(step, &Settings::default()).unwrap().steps[0].settings;
        assert!(settings.body.is_empty());
    }

    #[test]
    fn unknown_keys_are_told_with_what_was_meant() {
        let text = refusal("conections = 8");
        assert!(
            text.starts_with("x.toml: unknown key 'conections' (did you mean 'connections'?); the keys are"),
            "{text}"
        );
        let text = refusal("[[step]]\nlaod = 2.0");
        assert!(text.starts_with("x.toml, step 1: unknown key 'laod' (did you mean 'load'?)"), "{text}");
        let text = refusal("[capacity]\nwarmup = '1s'");
        assert!(text.starts_with("x.toml, [capacity]: unknown key 'warmup' (did you mean 'warm_up'?)"), "{text}");
        let text = refusal("zzz = 1");
        assert!(text.starts_with("x.toml: unknown key 'zzz'; the keys are name, url, "), "{text}");
    }

    #[test]
    fn wrong_values_are_told_with_their_place() {
        assert!(refusal("connections = 'many'").contains("x.toml: "));
        assert!(refusal("duration = 10").contains("expected a string"), "{}", refusal("duration = 10"));
        assert!(refusal("duration = '10'").contains("such as 10s"));
        assert!(refusal("kind = 'xml'").contains("xml"));
        assert!(refusal("a = ").starts_with("x.toml, line 1 is no TOML"), "{}", refusal("a = "));
        assert!(refusal("url = 'x'\n\nb = [").starts_with("x.toml, line 3 is no TOML"));
        assert!(refusal("step = 3").contains("[[step]]"));
        assert!(refusal("[capacity]\n[[step]]\nload = 0").contains("above 0, got 0"));
    }

    #[test]
    fn load_needs_a_capacity_and_no_rate() {
        assert!(refusal("[[step]]\nload = 2.0").contains("[capacity] section is needed"));
        assert!(refusal("rate = 5\n[capacity]\n[[step]]\nload = 2.0").contains("not both"));
    }

    #[test]
    fn the_shipped_scenarios_are_scenarios() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
        let mut found = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let scenario = Scenario::of(&Settings::default(), Some(&path)).unwrap_or_else(|error| panic!("{error}"));
            assert!(scenario.about.is_some_and(|about| !about.is_empty()), "{} says what it is for", path.display());
            found += 1;
        }
        assert!(found >= 8, "{found}");
    }
}
