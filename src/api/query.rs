//! Query parameters: a closed list per call, each at most once.

use std::ops::RangeInclusive;

use axum::extract::FromRequestParts;
use axum::http::Uri;
use axum::http::request::Parts;

use crate::model::{Refusal, Word};

/// The highest revision that a caller may name; far beyond what a registry reaches.
pub(super) const MAX_REVISION: u64 = i64::MAX as u64;

/// The parameters of one call.
pub(super) trait Parameters: Sized {
    /// Their names; any other is refused.
    const NAMES: &'static [&'static str];

    /// Takes them out of the query.
    fn read(query: &Pairs) -> Result<Self, Refusal>;
}

/// A call without parameters.
impl Parameters for () {
    const NAMES: &'static [&'static str] = &[];

    fn read(_: &Pairs) -> Result<Self, Refusal> {
        Ok(())
    }
}

/// Names and values as the caller wrote them, percent-decoded.
#[derive(Debug)]
pub(super) struct Pairs(Vec<(String, String)>);

impl Pairs {
    /// The value of a parameter.
    pub(super) fn text(&self, name: &str) -> Result<Option<&str>, Refusal> {
        let mut values = self.0.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str());
        match (values.next(), values.next()) {
            (first, None) => Ok(first),
            (_, Some(_)) => {
                Err(Refusal::new(Word::BadValue, format!("query parameter \"{name}\" is given twice; give it once")))
            }
        }
    }

    /// The value of a parameter that is `true` or `false`; false without it.
    pub(super) fn flag(&self, name: &str) -> Result<bool, Refusal> {
        match self.text(name)? {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(other) => {
                let other = other.escape_debug();
                let detail = format!("query parameter \"{name}\" is \"{other}\"; true or false is accepted");
                Err(Refusal::new(Word::BadValue, detail))
            }
        }
    }

    /// The value of a parameter that is a whole number.
    pub(super) fn number(&self, name: &str, range: RangeInclusive<u64>) -> Result<Option<u64>, Refusal> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        match text.parse() {
            Ok(number) if range.contains(&number) => Ok(Some(number)),
            _ => {
                let detail = format!(
                    "query parameter \"{name}\" is \"{}\"; a whole number from {} to {} is accepted",
                    text.escape_debug(),
                    range.start(),
                    range.end()
                );
                Err(Refusal::new(Word::BadValue, detail))
            }
        }
    }
}

/// The query parameters of a request.
#[derive(Debug)]
pub(super) struct Query<T>(pub(super) T);

impl<T: Parameters> Query<T> {
    fn of(uri: &Uri) -> Result<Self, Refusal> {
        let axum::extract::Query(pairs) = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(uri)
            .map_err(|error| Refusal::new(Word::BadValue, format!("the query does not read: {error}")))?;
        if let Some((name, _)) = pairs.iter().find(|(name, _)| !T::NAMES.contains(&name.as_str())) {
            let known = if T::NAMES.is_empty() { "none".to_owned() } else { T::NAMES.join(", ") };
            let detail = format!("unknown query parameter \"{}\"; known parameters: {known}", name.escape_debug());
            return Err(Refusal::new(Word::UnknownField, detail));
        }
        T::read(&Pairs(pairs)).map(Self)
    }
}

impl<S: Sync, T: Parameters> FromRequestParts<S> for Query<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        Self::of(&parts.uri)
    }
}

/// Reads the query of a URI as the calls do, for the fuzz target: the number that it names, or the refusal's words.
#[cfg(feature = "fuzzing")]
pub fn read_query(uri: &str) -> Option<Result<Option<u64>, String>> {
    struct Page(Option<u64>);
    impl Parameters for Page {
        const NAMES: &'static [&'static str] = &["since", "after"];
        fn read(query: &Pairs) -> Result<Self, Refusal> {
            query.text("after")?;
            query.number("since", 0..=MAX_REVISION).map(Self)
        }
    }
    let read = Query::<Page>::of(&uri.parse().ok()?);
    Some(read.map(|Query(Page(since))| since).map_err(|refusal| refusal.detail))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Sample(Option<u64>);

    impl Parameters for Sample {
        const NAMES: &'static [&'static str] = &["limit", "after"];

        fn read(query: &Pairs) -> Result<Self, Refusal> {
            query.number("limit", 1..=1000).map(Self)
        }
    }

    fn read(uri: &str) -> Result<Option<u64>, Refusal> {
        Query::<Sample>::of(&uri.parse().expect("URI")).map(|Query(sample)| sample.0)
    }

    #[test]
    fn parameters_are_a_closed_list() {
        assert_eq!(read("/x"), Ok(None));
        assert_eq!(read("/x?limit=7&after=%61"), Ok(Some(7)));
        let refusal = read("/x?limt=7").expect_err("misspelt");
        assert_eq!(refusal.word, Word::UnknownField);
        assert_eq!(refusal.detail, "unknown query parameter \"limt\"; known parameters: limit, after");
        assert_eq!(Query::<()>::of(&"/x?a=1".parse().expect("URI")).expect_err("none known").word, Word::UnknownField);
    }

    #[test]
    fn numbers_are_bounded() {
        for bad in ["/x?limit=0", "/x?limit=1001", "/x?limit=-1", "/x?limit=ten", "/x?limit=", "/x?limit=1&limit=2"] {
            assert_eq!(read(bad).expect_err(bad).word, Word::BadValue, "{bad}");
        }
    }
}
