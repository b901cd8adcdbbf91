//! What has been made of a configuration so far.

use super::{Notice, Setting};
use crate::pbtxt::Field;

/// Settings and notices, in the order of the file.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub settings: Vec<Setting>,
    pub notices: Vec<Notice>,
}

impl Draft {
    /// The field means this setting.
    pub fn set(&mut self, field: &Field, key: &'static str, value: impl ToString) {
        self.settings.retain(|setting| setting.key != key);
        self.settings.push(Setting { key, text: value.to_string(), place: field.place });
    }

    /// The field has no effect. `reason` is a clause.
    pub fn notice(&mut self, field: &Field, reason: impl Into<String>) {
        self.notice_of(field, &field.name, reason);
    }

    /// The same, of something inside the field.
    pub fn notice_of(&mut self, field: &Field, name: &str, reason: impl Into<String>) {
        let name = name.chars().take(80).collect();
        self.notices.push(Notice { place: field.place, field: name, reason: reason.into() });
    }
}
