//! Execution providers: which of those asked for an engine can give.

use super::LoadError;
use crate::provider::Provider;

/// The providers of a list that can be had, and those that cannot.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Choice {
    pub providers: Vec<String>,
    /// Each with its reason.
    pub missing: Vec<(String, String)>,
}

/// Chooses for an engine that has the processor alone; `why_not_others` says why.
pub(super) fn choose(asked: &[String], why_not_others: &str) -> Result<Choice, LoadError> {
    asked.iter().try_for_each(|name| Provider::parse(name).map(drop)).map_err(LoadError::Provider)?;
    let (providers, missing): (Vec<_>, Vec<_>) = asked.iter().cloned().partition(|name| name == "cpu");
    if providers.is_empty() {
        let reason = if asked.is_empty() {
            "the list is empty".to_owned()
        } else {
            format!("{}: {why_not_others}", missing.join(", "))
        };
        return Err(LoadError::Provider(format!("{reason}; add \"cpu\" to fall back to the processor")));
    }
    let missing = missing.into_iter().map(|name| (name, why_not_others.to_owned())).collect();
    Ok(Choice { providers, missing })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| name.to_string()).collect()
    }

    #[test]
    fn what_cannot_be_had_is_reported_with_its_reason() {
        let choice = choose(&list(&["tensorrt", "cuda", "cpu"]), "not built in").expect("cpu is in the list");
        assert_eq!(choice.providers, ["cpu"]);
        let reason = || "not built in".to_owned();
        assert_eq!(choice.missing, [("tensorrt".to_owned(), reason()), ("cuda".to_owned(), reason())]);
    }

    #[test]
    fn nothing_falls_back_to_what_the_list_does_not_name() {
        let text = choose(&list(&["cuda"]), "not built in").expect_err("no fallback").to_string();
        assert!(text.contains("cuda: not built in") && text.contains("\"cpu\""), "{text}");
        choose(&[], "").expect_err("an empty list allows nothing");
    }

    #[test]
    fn an_unknown_name_is_an_error_that_names_the_known_ones() {
        let text = choose(&list(&["gpu", "cpu"]), "").expect_err("unknown").to_string();
        assert!(text.contains("'gpu'") && text.contains("tensorrt, cuda, cpu"), "{text}");
    }
}
