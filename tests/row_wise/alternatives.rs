//! One line of a table for many graphs: `{a|b|c}` stands for each of its alternatives, which may hold further ones.

/// The lines that a line stands for, in order.
pub fn expand(line: &str) -> Vec<String> {
    let Some((from, parts, to)) = first_choice(line) else { return vec![line.to_owned()] };
    let (before, after) = (&line[..from], &line[to..]);
    parts.iter().flat_map(|part| expand(&[before, part, after].concat())).collect()
}

/// Where the first outermost braces begin, what they choose from, and where they end.
fn first_choice(line: &str) -> Option<(usize, Vec<&str>, usize)> {
    let from = line.find('{')?;
    let (mut depth, mut start, mut parts) = (0, from + 1, Vec::new());
    for (at, byte) in line.bytes().enumerate().skip(from) {
        match byte {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            b'|' if depth == 1 => {
                parts.push(&line[start..at]);
                start = at + 1;
            }
            _ => {}
        }
        if depth == 0 {
            parts.push(&line[start..at]);
            return Some((from, parts, at + 1));
        }
    }
    panic!("a brace of this line is not closed: {line}")
}

#[test]
fn a_line_stands_for_each_of_its_alternatives() {
    assert_eq!(expand("a b"), ["a b"]);
    assert_eq!(expand("{a|b} c{1|}"), ["a c1", "a c", "b c1", "b c"]);
    assert_eq!(expand("x{1|{2|3}4}"), ["x1", "x24", "x34"]);
}
