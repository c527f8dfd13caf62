//! Authorization headers and query strings: only the true secret gets in, and a query gives numbers within their range
//! or words that say what was wrong.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use zonebeat::api::read_query;
use zonebeat::model::{Scope, Timestamp};
use zonebeat::security::{Tokens, authenticate, create_token};

static TOKEN: LazyLock<(Tokens, String)> = LazyLock::new(|| {
    let (token, secret) = create_token("fuzz", Scope::default(), Timestamp(1)).expect("the system gives random octets");
    let mut tokens = Tokens::default();
    tokens.insert_mut(token.id.clone(), token.into());
    (tokens, secret)
});

fuzz_target!(|data: &[u8]| {
    let Some((kind, rest)) = data.split_first() else { return };
    let text = String::from_utf8_lossy(rest);
    if kind & 1 == 0 {
        let (tokens, secret) = &*TOKEN;
        // The fuzzer may cut, double and surround the secret, which it cannot guess.
        let header = text.replace('$', secret);
        match authenticate(tokens, &header) {
            Ok(_) => assert!(header.trim_end().ends_with(secret.as_str()), "only the whole secret gets in"),
            Err(refusal) => assert!(!refusal.detail.contains(secret.as_str()), "a refusal does not repeat the secret"),
        }
        return;
    }
    match read_query(&text) {
        Some(Ok(Some(since))) => assert!(since <= i64::MAX as u64),
        Some(Err(detail)) => assert!(!detail.is_empty()),
        Some(Ok(None)) | None => {}
    }
});
