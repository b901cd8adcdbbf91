//! The reference of all settings, as Markdown. `docs/configuration.md` is this text; a test keeps it so.

use std::fmt::Write;

use super::{Form, SETTINGS, Scope, Setting};

const INTRODUCTION: &str = "\
# Configuration

Every setting can be given as a flag, as an environment variable, or as a key of a TOML file (`--config scoria.toml`). A flag
wins over the environment, the environment over the file, the file over the default. Unknown keys are errors. A switch can be
given as a flag without a value. Lists are separated by commas in a flag or a variable and are arrays in the file.

The file has one key more, `models = [\"name=path\", …]`: what to serve when the command line names nothing.

Settings that say so can be set for single endpoints, by tables of the file. They go before what holds for the whole server, flags
included: the more specific wins. `scoria profile` prints such a table ([profile.md](profile.md)). A table for an endpoint that is not
served is an error.

```toml
[endpoints.ridge]
max_batch = 1
scoring_timeout_ms = 200
```

[`schemas/config.schema.json`](../schemas/config.schema.json) is the file's JSON Schema (`scoria config schema` prints it). An editor
that knows TOML by Taplo, such as VS Code with Even Better TOML, completes, explains and checks the file by it if this is its first
line, with the path as seen from the file:

```toml
#:schema ./config.schema.json
```

This page is generated from `src/config/settings.rs` (`scoria config reference`); a test compares the two.
";

/// The text of `docs/configuration.md`.
pub fn reference() -> String {
    let mut text = INTRODUCTION.to_owned();
    for setting in SETTINGS {
        let default = match (setting.default)() {
            empty if empty.is_empty() => "none".to_owned(),
            text => format!("`{text}`"),
        };
        let scope = match setting.scope {
            Scope::Server => "",
            Scope::Endpoint => "\nCan be set for single endpoints.\n",
        };
        write!(
            text,
            "\n## `{}`\n\n{}\n{scope}\n| flag | variable | takes | default |\n|---|---|---|---|\n| `--{}` | `{}` | {} | {} |\n",
            setting.key,
            setting.doc.lines().map(str::trim).collect::<Vec<_>>().join("\n").trim(),
            setting.flag(),
            setting.variable(),
            takes(setting),
            default,
        )
        .expect("writing to a String cannot fail");
    }
    text
}

/// The type with its bounds.
fn takes(setting: &Setting) -> String {
    let mut text = setting.kind.to_owned();
    if setting.at_least > 0 {
        text += &format!(", {} least {}", if setting.form == Form::List { "of at" } else { "at" }, setting.at_least);
    }
    if setting.at_most < u64::MAX {
        text += &format!(", at most {}", setting.at_most);
    }
    text
}
