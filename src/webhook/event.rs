//! What others are told.

use serde::Serialize;
use serde_json::Value;

use crate::moment::Moment;

/// What happened, in the words of Azure's events where it has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum EventKind {
    /// A version of a model was published.
    ModelRegistered,
    /// A deployment was given a version of a model.
    ModelDeployed,
    /// A version was taken out again because of what it did, or because somebody said so.
    RolledBack,
}

impl EventKind {
    pub const ALL: [EventKind; 3] = [EventKind::ModelRegistered, EventKind::ModelDeployed, EventKind::RolledBack];

    pub const fn name(self) -> &'static str {
        match self {
            EventKind::ModelRegistered => "ModelRegistered",
            EventKind::ModelDeployed => "ModelDeployed",
            EventKind::RolledBack => "RolledBack",
        }
    }
}

impl EventKind {
    /// The kind of an event, by its id, which ends with the name.
    pub fn of_id(id: &str) -> Option<EventKind> {
        id.rsplit('.').next()?.parse().ok()
    }
}

impl std::str::FromStr for EventKind {
    type Err = String;

    fn from_str(text: &str) -> Result<EventKind, String> {
        let named = EventKind::ALL.into_iter().find(|kind| kind.name() == text);
        let names = || EventKind::ALL.map(EventKind::name).join(", ");
        named.ok_or_else(|| format!("'{text}' is no event: expected some of {}", names()))
    }
}

/// A message: a CloudEvent in its structured JSON form (CloudEvents 1.0.2, section 3 and its JSON format).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Event {
    specversion: &'static str,
    /// The same for everybody who tells of the same thing: a receiver that has seen it has seen the event.
    pub id: String,
    /// What it happened to, as a path in the registry: `/endpoints/ridge`.
    pub source: String,
    #[serde(rename = "type")]
    pub kind: EventKind,
    /// The version: `ridge:5`.
    pub subject: String,
    pub time: Moment,
    datacontenttype: &'static str,
    pub data: Value,
}

impl Event {
    /// An event of what is at `source`, which by `number`, such as a revision, tells it from all others of its kind there.
    pub fn new(kind: EventKind, source: String, number: &str, subject: String, time: Moment, data: Value) -> Event {
        let place = source.trim_matches('/').replace('/', ".");
        let id = format!("{place}.{number}.{}", kind.name());
        Event { specversion: "1.0", id, source, kind, subject, time, datacontenttype: "application/json", data }
    }

    /// The bytes that are sent, and signed.
    pub fn body(&self) -> String {
        serde_json::to_string(self).expect("texts, numbers and objects of them serialize")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_event_is_a_cloud_event() {
        let time = Moment::from_seconds(1_700_000_000);
        let data = json!({"endpoint": "ridge"});
        let source = "/endpoints/ridge".to_owned();
        let event = Event::new(EventKind::RolledBack, source, "12", "ridge:5".to_owned(), time, data);
        assert_eq!(
            serde_json::from_str::<Value>(&event.body()).unwrap(),
            json!({
                "specversion": "1.0", "id": "endpoints.ridge.12.RolledBack", "source": "/endpoints/ridge",
                "type": "RolledBack", "subject": "ridge:5", "time": "2023-11-14T22:13:20Z",
                "datacontenttype": "application/json", "data": {"endpoint": "ridge"},
            })
        );
    }
}
