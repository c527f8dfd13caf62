//! The log of `register`: a line per event, for people or as JSON.

use serde_json::{Value, json};

use super::super::output::{print, printable};
use crate::agent::beat::{Enrolled, Event};
use crate::model::clock::SystemClock;
use crate::model::{Clock, Name, Timestamp};

/// What was registered, and how its lines look.
#[derive(Debug, Clone)]
pub(super) struct Log {
    /// Service label.
    pub(super) service: String,
    /// Instance label.
    pub(super) id: String,
    /// JSON lines instead of text.
    pub(super) json: bool,
}

impl Log {
    /// Writes the line of an event.
    pub(super) fn event(&self, event: &Event) {
        let (word, text, fields) = self.describe(event);
        self.line(word, &text, fields);
    }

    /// Says that DNS answers with it.
    pub(super) fn answered(&self, name: &Name) {
        self.line("answered", &format!("answered as {name}"), json!({ "name": name.to_string() }));
    }

    /// Says why DNS does not answer with it yet.
    pub(super) fn waiting(&self, last: &str) {
        self.line("waiting", &format!("not answered yet: {last}"), json!({ "last": last }));
    }

    fn line(&self, word: &str, text: &str, fields: Value) {
        let now = SystemClock::new().wall();
        // A reader that went away does not end the registration: the service lives on.
        let _ = print(&match self.json {
            true => self.json_line(now, word, fields),
            false => format!("{now} {}", printable(text)),
        });
    }

    fn json_line(&self, now: Timestamp, word: &str, fields: Value) -> String {
        let mut line = json!({ "time": now, "event": word, "service": self.service, "id": self.id });
        if let (Value::Object(line), Value::Object(fields)) = (&mut line, fields) {
            line.extend(fields);
        }
        line.to_string()
    }

    /// The word, the text and the further fields of an event.
    fn describe(&self, event: &Event) -> (&'static str, String, Value) {
        let what = format!("{}/{}", self.service, self.id);
        match event {
            Event::Registered { enrolled, again } => {
                ("registered", registered(&what, enrolled, *again), json!(enrolled.registered))
            }
            Event::Unreachable(why) => {
                let servers: Vec<_> = why.servers.iter().map(|(server, reason)| json!([server, reason])).collect();
                ("unreachable", format!("{why}; trying on"), json!({ "servers": servers }))
            }
            Event::Reachable => ("reachable", "a server answers again".to_owned(), json!({})),
            Event::Returned => ("returned", format!("{what} had lapsed and is back in the answers"), json!({})),
            Event::Forgotten => ("forgotten", format!("the server does not know {what}; registering again"), json!({})),
            Event::Left => ("left", format!("{what} has left"), json!({})),
            Event::NotLeft(why) => {
                let text = format!("{what} could not leave ({why}); it lapses when its lease runs out");
                ("not-left", text, json!({ "reason": why }))
            }
        }
    }
}

fn registered(what: &str, enrolled: &Enrolled, again: bool) -> String {
    let again = if again { " again" } else { "" };
    let reply = &enrolled.registered;
    let names = match reply.names.as_slice() {
        [] => "no names".to_owned(),
        names => names.join(" "),
    };
    format!(
        "registered {what}{again} at {} (incarnation {}, lease {} s); names: {names}",
        enrolled.server, reply.incarnation, reply.lease_seconds
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Revision;
    use crate::model::api::Registered;

    fn log(json: bool) -> Log {
        Log { service: "search".into(), id: "a1".into(), json }
    }

    fn event() -> Event {
        let registered = Registered {
            service: "search".into(),
            id: "a1".into(),
            incarnation: 7,
            revision: Revision(7),
            lease_seconds: 15,
            heartbeat_seconds: 5.0,
            ttl_seconds: 30,
            names: vec!["_search._tcp.sd.example.org.".into()],
        };
        let server = "http://192.0.2.1:8053".to_owned();
        Event::Registered { enrolled: Enrolled { registered, server, dns: Vec::new() }, again: false }
    }

    #[test]
    fn people_read_where_it_is_found() {
        let (_, text, _) = log(false).describe(&event());
        let expected = "registered search/a1 at http://192.0.2.1:8053 (incarnation 7, lease 15 s); \
                        names: _search._tcp.sd.example.org.";
        assert_eq!(text, expected);
    }

    #[test]
    fn programs_read_one_object_a_line() {
        let (word, _, fields) = log(true).describe(&event());
        let line = log(true).json_line(Timestamp(0), word, fields);
        let value: Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!((&value["event"], &value["incarnation"]), (&json!("registered"), &json!(7)));
        assert!(!line.contains('\n'));
    }
}
