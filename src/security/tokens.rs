//! Bearer tokens: `zb_<id>_<secret>`, 8 and 64 hexadecimal digits.
//!
//! The id is public and finds the token without a scan; the store keeps the SHA-256 of the whole text. The secret has
//! 256 random bits, so a plain hash of it cannot be searched.

use std::fmt::Write as _;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::Tokens;
use crate::model::{Refusal, Scope, Timestamp, Token, Word};

const PREFIX: &str = "zb_";
const ID_OCTETS: usize = 4;
const SECRET_OCTETS: usize = 32;
const LONGEST_NAME: usize = 64;

/// Makes a token and its secret text, which is shown once and kept nowhere.
///
/// Refused with [`Word::Internal`] when the operating system gives no random octets.
pub fn create_token(name: &str, scope: Scope, created: Timestamp) -> Result<(Token, String), Refusal> {
    let mut random = [0; ID_OCTETS + SECRET_OCTETS];
    getrandom::fill(&mut random).map_err(|error| {
        Refusal::new(Word::Internal, format!("the operating system gave no random octets for a token: {error}"))
    })?;
    let (id, secret) = random.split_at(ID_OCTETS);
    let id = hex(id);
    let text = format!("{PREFIX}{id}_{}", hex(secret));
    let token = Token { id: id.into(), name: name.to_owned(), hash: hash_of(&text), scope, created };
    Ok((token, text))
}

/// Refuses a name of a token that would not read well in history or on a command line.
pub fn check_token_name(name: &str) -> Result<(), Refusal> {
    let right = |octet: u8| octet.is_ascii_alphanumeric() || b"-_.@".contains(&octet);
    if (1..=LONGEST_NAME).contains(&name.len()) && name.bytes().all(right) {
        return Ok(());
    }
    let shown = name.escape_debug();
    let detail = format!("token name \"{shown}\" is not 1 to {LONGEST_NAME} letters, digits or characters of \"-_.@\"");
    Err(Refusal::new(Word::BadValue, detail))
}

/// Finds the token that an `Authorization` header shows.
pub fn authenticate(tokens: &Tokens, header: &str) -> Result<Arc<Token>, Refusal> {
    let refuse = |detail: &str| Refusal::new(Word::Unauthorized, detail);
    let text = match header.trim().split_once(' ') {
        Some((scheme, text)) if scheme.eq_ignore_ascii_case("bearer") => text.trim(),
        _ => return Err(refuse("the Authorization header must be \"Bearer zb_...\"")),
    };
    let id = id_of(text).ok_or_else(|| refuse("the bearer token is not of the form zb_<8 digits>_<64 digits>"))?;
    let known = tokens.get(id).filter(|token| same(token.hash.as_bytes(), hash_of(text).as_bytes()));
    known.cloned().ok_or_else(|| refuse("the bearer token is not known: revoked, mistyped, or of another server"))
}

/// The id in a secret's text, if that has the right form.
fn id_of(text: &str) -> Option<&str> {
    let (id, secret) = text.strip_prefix(PREFIX)?.split_once('_')?;
    let digits = |part: &str| part.bytes().all(|octet| matches!(octet, b'0'..=b'9' | b'a'..=b'f'));
    let right = id.len() == 2 * ID_OCTETS && secret.len() == 2 * SECRET_OCTETS && digits(id) && digits(secret);
    right.then_some(id)
}

fn hash_of(text: &str) -> String {
    hex(&Sha256::digest(text.as_bytes()))
}

/// Compares in a time that depends on the lengths only.
fn same(left: &[u8], right: &[u8]) -> bool {
    let differing = left.iter().zip(right).fold(0, |differing, (a, b)| differing | (a ^ b));
    left.len() == right.len() && std::hint::black_box(differing) == 0
}

/// Lower-case hexadecimal digits.
fn hex(octets: &[u8]) -> String {
    octets.iter().fold(String::with_capacity(2 * octets.len()), |mut text, octet| {
        write!(text, "{octet:02x}").expect("a String takes every write");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one() -> (Tokens, String) {
        let (token, secret) = create_token("squad-search", Scope::default(), Timestamp(0)).expect("random octets");
        assert!(!format!("{token:?}").contains(&secret[12..]));
        (Tokens::new_sync().insert(token.id.clone(), Arc::new(token)), secret)
    }

    #[test]
    fn a_secret_finds_its_token() {
        let (tokens, secret) = one();
        assert_eq!(secret.len(), 3 + 8 + 1 + 64);
        for scheme in ["Bearer", "bearer", "BEARER"] {
            let token = authenticate(&tokens, &format!("{scheme} {secret}")).expect("known");
            assert_eq!(token.name, "squad-search");
        }
    }

    #[test]
    fn anything_else_is_not_authorized() {
        let (tokens, secret) = one();
        let (_, stranger) = one();
        let last = if secret.ends_with('0') { "1" } else { "0" };
        let mistyped = format!("Bearer {}{last}", &secret[..secret.len() - 1]);
        let upper = format!("Bearer {}", secret.to_uppercase());
        for header in ["", "Bearer", "Bearer ", "Basic abc", &secret, &mistyped, &upper, &format!("Bearer {stranger}")]
        {
            let refusal = authenticate(&tokens, header).expect_err(header);
            assert_eq!(refusal.word, Word::Unauthorized, "{header}");
            assert!(!refusal.detail.contains(&secret[12..]));
        }
    }

    #[test]
    fn comparison_looks_at_every_octet() {
        assert!(same(b"abc", b"abc"));
        assert!(!same(b"abc", b"abd"));
        assert!(!same(b"abc", b"xbc"));
        assert!(!same(b"abc", b"ab"));
    }
}
