//! What goes wrong again and again, such as while a registry is away, is told once.

use std::collections::BTreeMap;
use std::fmt::Display;

use crate::name::Name;

/// What has been told of each endpoint.
#[derive(Debug, Default)]
pub struct Trouble(BTreeMap<Name, String>);

impl Trouble {
    /// Whether this is to be told: it is not what was told last.
    pub fn is_new(&mut self, endpoint: &Name, error: &impl Display) -> bool {
        let text = error.to_string();
        self.0.insert(endpoint.clone(), text.clone()).is_none_or(|told| told != text)
    }

    /// It went well.
    pub fn is_over(&mut self, endpoint: &Name) {
        self.0.remove(endpoint);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_is_told_once_until_it_is_over() {
        let (mut trouble, ridge) = (Trouble::default(), Name::parse("ridge").unwrap());
        let mut told = |error: &str| trouble.is_new(&ridge, &error);
        assert_eq!([told("away"), told("away"), told("full"), told("away")], [true, false, true, true]);
        trouble.is_over(&ridge);
        assert!(trouble.is_new(&ridge, &"away"));
    }
}
