//! Tables on a terminal, JSON elsewhere.

use std::io::IsTerminal;

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgMatches};
use serde::Serialize;

use super::{Failure, print};

/// The longest text in a column; longer ones are cut.
const CELL_CHARS_MAX: usize = 60;

/// `-o table|json`.
pub fn output_flag() -> Arg {
    Arg::new("output")
        .short('o')
        .long("output")
        .value_name("FORMAT")
        .value_parser(PossibleValuesParser::new(["table", "json"]))
        .help("table or json; default: table on a terminal, json otherwise")
}

/// Prints `value` as JSON, or what `table` makes, as the flag or the terminal says.
pub fn show(matches: &ArgMatches, value: &impl Serialize, table: impl FnOnce() -> String) -> Result<(), Failure> {
    let output = matches.try_get_one::<String>("output").ok().flatten();
    if output.map_or(std::io::stdout().is_terminal(), |output| output == "table") {
        return print(&table());
    }
    let text = serde_json::to_string_pretty(value).map_err(|error| Failure::Failed(error.to_string()))?;
    print(&format!("{text}\n"))
}

/// Rows under a head, each column as wide as its widest cell.
pub fn columns(head: &[&str], rows: &[Vec<String>]) -> String {
    let head: Vec<String> = head.iter().map(|title| (*title).to_owned()).collect();
    let rows: Vec<Vec<String>> =
        std::iter::once(&head).chain(rows).map(|row| row.iter().map(|cell| plain(cell)).collect()).collect();
    let widths: Vec<usize> = (0..head.len())
        .map(|column| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0))
        .collect();
    let mut text = String::new();
    for row in &rows {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}", width = *width)).collect();
        text += cells.join("  ").trim_end();
        text.push('\n');
    }
    text
}

/// A cell as a terminal may be shown it: what was registered may hold anything, control sequences too.
pub fn plain(text: &str) -> String {
    let mut plain = String::new();
    for (index, c) in text.chars().enumerate() {
        if index == CELL_CHARS_MAX {
            plain.push('…');
            break;
        }
        if c.is_control() { plain.extend(c.escape_default()) } else { plain.push(c) }
    }
    plain
}

/// `key=value` of each, or `-`.
pub fn pairs<'a>(pairs: impl IntoIterator<Item = (&'a String, &'a String)>) -> String {
    let pairs: Vec<String> = pairs.into_iter().map(|(key, value)| format!("{key}={value}")).collect();
    if pairs.is_empty() { "-".to_owned() } else { pairs.join(" ") }
}

/// A text of any length, as a terminal may be shown it.
pub fn plain_long(text: &str) -> String {
    text.chars().flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] }).collect()
}

/// How long ago something was, for people.
pub fn age(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// A number of bytes for people.
pub fn size(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{:.1} KiB", bytes as f64 / 1024.0),
        1_048_576..1_073_741_824 => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
        _ => format!("{:.2} GiB", bytes as f64 / 1_073_741_824.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_aligned_and_shows_no_control_sequences() {
        let rows = [vec!["a".to_owned(), "1".to_owned()], vec!["long\u{1b}[2J".to_owned(), "2".to_owned()]];
        assert_eq!(columns(&["NAME", "N"], &rows), "NAME           N\na              1\nlong\\u{1b}[2J  2\n");
    }
}
