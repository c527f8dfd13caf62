//! JSON bodies in and out: strict, and every error says which field, which value and what would be taken.

use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use crate::model::{Refusal, Word};

/// A value as text that ends its line: people see replies in terminals.
pub(super) fn line<T: Serialize>(body: &T) -> Result<Vec<u8>, serde_json::Error> {
    let mut octets = serde_json::to_vec(body)?;
    octets.push(b'\n');
    Ok(octets)
}

/// Answers with a body.
pub(super) fn reply<T: Serialize>(status: StatusCode, body: &T) -> Response {
    match line(body) {
        Ok(octets) => (status, [(CONTENT_TYPE, HeaderValue::from_static("application/json"))], octets).into_response(),
        Err(error) => Refusal::new(Word::Internal, format!("the reply does not serialize: {error}")).into_response(),
    }
}

/// Reads a body: one JSON object and nothing else.
pub(super) fn parse<T: DeserializeOwned>(octets: &[u8]) -> Result<T, Refusal> {
    let text = std::str::from_utf8(octets).map_err(|error| {
        let at = error.valid_up_to();
        Refusal::new(Word::BadRequest, format!("the body is not UTF-8 at octet {at}; send a JSON object in UTF-8"))
    })?;
    match text.trim_start().as_bytes().first() {
        Some(b'{') => serde_json::from_str(text).map_err(|error| explain::<T>(text, error)),
        None => Err(Refusal::new(Word::BadRequest, "the body is empty; send a JSON object")),
        Some(_) => match serde_json::from_str::<serde::de::IgnoredAny>(text) {
            Ok(_) => Err(Refusal::new(Word::BadRequest, "the body is JSON but not an object; send a JSON object")),
            Err(error) => Err(not_json(&error)),
        },
    }
}

/// Why a text is not a `T`: reads it again, this time noting the path.
fn explain<T: DeserializeOwned>(text: &str, error: serde_json::Error) -> Refusal {
    if error.classify() != Category::Data {
        return not_json(&error);
    }
    let mut reader = serde_json::Deserializer::from_str(text);
    match serde_path_to_error::deserialize::<_, T>(&mut reader) {
        Ok(_) => not_json(&error),
        Err(error) => {
            let path = error.path().to_string();
            wrong_field(path.trim_matches('.'), &error.inner().to_string())
        }
    }
}

fn not_json(error: &serde_json::Error) -> Refusal {
    Refusal::new(Word::BadRequest, format!("the body is not JSON: {error}"))
}

/// Puts what serde says about a field into our words. `path` is empty for the body itself.
fn wrong_field(path: &str, message: &str) -> Refusal {
    let message = message.rsplit_once(" at line ").map_or(message, |(message, _)| message);
    if let Some(rest) = message.strip_prefix("unknown field `") {
        return unknown_field(path, rest);
    }
    if let Some(rest) = message.strip_prefix("missing field `") {
        let field = join(path, rest.trim_end_matches('`'));
        return Refusal::new(Word::BadValue, format!("field \"{field}\" is missing; it is required"));
    }
    if let Some(rest) = message.strip_prefix("duplicate field `") {
        let field = join(path, rest.trim_end_matches('`'));
        return Refusal::new(Word::BadRequest, format!("field \"{field}\" is given twice; give it once"));
    }
    let shown = if path.is_empty() { "the body".to_owned() } else { format!("field \"{path}\"") };
    let wrong = message.strip_prefix("invalid type: ").or_else(|| message.strip_prefix("invalid value: "));
    match wrong.and_then(|rest| rest.split_once(", expected ")) {
        Some((found, wanted)) => {
            let found = found.replace('`', "");
            let detail = format!("{shown} is {found}; {} is accepted", accepted(path, wanted));
            Refusal::new(word_of(path), detail)
        }
        None => Refusal::new(word_of(path), format!("{shown}: {message}")),
    }
}

/// `rest` is what follows the opening quote: "prot`, expected one of `port`, `proto`".
fn unknown_field(path: &str, rest: &str) -> Refusal {
    let (field, expected) = rest.split_once('`').unwrap_or((rest, ""));
    let known: Vec<&str> = expected.split('`').skip(1).step_by(2).collect();
    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    let place = match path.strip_suffix(field).unwrap_or(path).trim_end_matches('.') {
        "" => String::new(),
        place => format!(" in \"{place}\""),
    };
    let detail = format!("unknown field \"{}\"{place}; known fields: {known}", field.escape_debug());
    Refusal::new(Word::UnknownField, detail)
}

fn join(path: &str, field: &str) -> String {
    if path.is_empty() { field.to_owned() } else { format!("{path}.{field}") }
}

/// The word for a field with a value of the wrong kind.
fn word_of(path: &str) -> Word {
    match path.rsplit('.').next() {
        Some("port") => Word::BadPort,
        Some("lease_seconds") => Word::BadLease,
        _ => Word::BadValue,
    }
}

/// What a field takes, in words for people.
fn accepted(path: &str, wanted: &str) -> String {
    let kind = match (path.rsplit('.').next(), wanted) {
        (Some("port"), _) => "a whole number from 1 to 65535",
        (Some("priority" | "weight"), _) => "a whole number from 0 to 65535",
        (Some("tier"), _) => {
            "a whole number from 0 to 9, the service's importance (sites in order of preference are \"tiers\")"
        }
        (Some("tiers"), _) => "a list of lists of sites in order of preference (the service's importance is \"tier\")",
        (_, "i64") => "a whole number",
        (_, "u64" | "u32" | "u16") => "a whole number that is not negative",
        (_, "a sequence") => "a list",
        (_, "a map") => "an object",
        (_, other) if other.starts_with("struct ") => "an object",
        (_, other) => other,
    };
    kind.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::api::{Registration, SessionSet, TokenRequest};

    fn refused<T: DeserializeOwned + std::fmt::Debug>(text: &str) -> (Word, String) {
        let refusal = parse::<T>(text.as_bytes()).expect_err(text);
        (refusal.word, refusal.detail)
    }

    #[test]
    fn broken_json_says_where() {
        let (word, detail) = refused::<Registration>("{\"port\": 8080,\n \"proto\" tcp}");
        assert_eq!(word, Word::BadRequest);
        assert!(detail.contains("line 2 column"), "{detail}");
        for broken in ["", "   ", "{", "nonsense", "{\"port\":1} {}", "[8080]", "8080", "null"] {
            assert_eq!(refused::<Registration>(broken).0, Word::BadRequest, "{broken}");
        }
        let refusal = parse::<Registration>(b"{\"port\": 1, \"site\": \"\xff\"}").expect_err("not UTF-8");
        assert_eq!(refusal.word, Word::BadRequest);
        assert!(refusal.detail.contains("octet 21"), "{}", refusal.detail);
    }

    #[test]
    fn unknown_fields_are_named_with_the_known_ones() {
        let (word, detail) = refused::<Registration>(r#"{"prot": "tcp", "port": 8080}"#);
        assert_eq!(word, Word::UnknownField);
        assert!(detail.starts_with("unknown field \"prot\"; known fields: port, proto, addresses"), "{detail}");
        let nested = r#"{"epoch": "e", "instances": [{"service": "s", "id": "a", "registration": {"prt": 1}}]}"#;
        let (word, detail) = refused::<SessionSet>(nested);
        assert_eq!(word, Word::UnknownField);
        assert!(detail.starts_with("unknown field \"prt\" in \"instances[0].registration\""), "{detail}");
    }

    #[test]
    fn wrong_kinds_name_field_value_and_what_is_taken() {
        let expected = [
            (r#"{"port": "8080"}"#, Word::BadPort, "field \"port\" is string \"8080\"; a whole number from 1 to 65535"),
            (r#"{"port": 1e30}"#, Word::BadPort, "field \"port\" is floating point 1e+30; a whole number"),
            (r#"{"port": 1, "tags": "canary"}"#, Word::BadValue, "field \"tags\" is string \"canary\"; a list"),
            (r#"{"port": 1, "metadata": {"a": 1}}"#, Word::BadValue, "field \"metadata.a\" is integer 1; a string"),
            (r#"{"port": 1, "addresses": [7]}"#, Word::BadValue, "field \"addresses[0]\" is integer 7; a string"),
            (
                r#"{"port": 1, "incarnation": -1}"#,
                Word::BadValue,
                "field \"incarnation\" is integer -1; a whole number",
            ),
            (r#"{"port": 1, "lease_seconds": "15s"}"#, Word::BadLease, "field \"lease_seconds\" is string \"15s\";"),
            (r#"{"proto": "tcp"}"#, Word::BadValue, "field \"port\" is missing"),
            (r#"{"port": 1, "port": 2}"#, Word::BadRequest, "field \"port\" is given twice"),
        ];
        for (body, word, start) in expected {
            let (got, detail) = refused::<Registration>(body);
            assert_eq!(got, word, "{body}: {detail}");
            assert!(detail.starts_with(start), "{body}: {detail}");
        }
    }

    #[test]
    fn a_bad_prefix_in_a_scope_names_its_place() {
        let (word, detail) = refused::<TokenRequest>(r#"{"name": "ops", "scope": {"addresses": ["192.0.2.0/99"]}}"#);
        assert_eq!(word, Word::BadValue);
        assert!(detail.starts_with("field \"scope.addresses[0]\""), "{detail}");
    }
}
