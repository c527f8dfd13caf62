//! What a token's scope covers.

use std::net::IpAddr;

use crate::model::{Endpoint, Refusal, Scope, Word};

/// Whether `text` matches `pattern`, in which `*` stands for any run of characters, also an empty one.
///
/// Takes at most `pattern.len() * text.len()` steps: a star that has been passed is never taken back to an earlier one.
pub fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        if pattern.get(p) == Some(&b'*') {
            star = Some((p, t));
            p += 1;
        } else if pattern.get(p) == Some(&text[t]) {
            p += 1;
            t += 1;
        } else if let Some((at, from)) = star {
            star = Some((at, from + 1));
            p = at + 1;
            t = from + 1;
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|&octet| octet == b'*')
}

/// Checks that the scope of the token called `name` covers a service.
pub fn check_service(name: &str, scope: &Scope, service: &str) -> Result<(), Refusal> {
    if scope.services.is_empty() || scope.services.iter().any(|pattern| matches(pattern, service)) {
        return Ok(());
    }
    let patterns = scope.services.join(", ");
    Err(forbidden(format!("token {name} may not write service {service}; its scope has the services {patterns}")))
}

/// Checks that the scope of the token called `name` covers a site and an endpoint.
pub fn check_place(name: &str, scope: &Scope, site: Option<&str>, endpoint: &Endpoint) -> Result<(), Refusal> {
    if !scope.sites.is_empty() && !site.is_some_and(|site| scope.sites.iter().any(|allowed| allowed == site)) {
        let what = site.map_or("without a site".to_owned(), |site| format!("at site {site}"));
        let sites = scope.sites.join(", ");
        return Err(forbidden(format!(
            "token {name} may not write an instance {what}; its scope has the sites {sites}"
        )));
    }
    if scope.addresses.is_empty() {
        return Ok(());
    }
    let prefixes = || scope.addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let outside = |address: &&IpAddr| !scope.addresses.iter().any(|prefix| prefix.contains(*address));
    match endpoint {
        Endpoint::Host(target) => Err(forbidden(format!(
            "token {name} may not name the target {target}: its scope has the addresses {}, so it has to give addresses",
            prefixes()
        ))),
        Endpoint::Addresses(addresses) => match addresses.iter().find(outside) {
            None => Ok(()),
            Some(address) => Err(forbidden(format!(
                "token {name} may not write the address {address}; its scope has the addresses {}",
                prefixes()
            ))),
        },
    }
}

/// A refusal because of a scope.
pub(super) fn forbidden(detail: String) -> Refusal {
    Refusal::new(Word::Forbidden, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_run() {
        for (pattern, text) in
            [("*", ""), ("*", "search"), ("search*", "search"), ("s*h", "search"), ("*a*c*", "search")]
        {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [("", "a"), ("search", "searches"), ("s*x", "search"), ("*a*a*", "search"), ("a", "")] {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn many_stars_do_not_take_long() {
        let pattern = "*a".repeat(30) + "b";
        assert!(!matches(&pattern, &"a".repeat(62)));
    }

    #[test]
    fn each_limit_counts_alone() {
        let scope = Scope {
            sites: vec!["lon".into()],
            addresses: vec!["192.0.2.0/24".parse().expect("prefix")],
            ..Scope::default()
        };
        let at = |address: &str| Endpoint::Addresses([address.parse().expect("address")].into());
        assert!(check_service("t", &scope, "anything").is_ok());
        assert!(check_place("t", &scope, Some("lon"), &at("192.0.2.9")).is_ok());
        assert!(check_place("t", &scope, Some("sto"), &at("192.0.2.9")).is_err());
        assert!(check_place("t", &scope, None, &at("192.0.2.9")).is_err());
        assert!(check_place("t", &scope, Some("lon"), &at("198.51.100.9")).is_err());
        let host = Endpoint::Host("db.example.org".parse().expect("name"));
        assert!(check_place("t", &scope, Some("lon"), &host).is_err());
    }
}
