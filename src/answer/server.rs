//! Questions about the server itself: TXT of class CH (RFC 4892).

use super::{Answer, Content, Ede, Query, Rcode};
use crate::model::Rtype;
use crate::view::View;

/// `version.bind` and `version.server` give the version, `hostname.bind` and `id.server` the identity; the operator
/// can switch both off. Anything else of class CH is refused.
pub(super) fn answer<'v>(view: &'v View, query: &Query<'_>) -> Answer<'v> {
    let text = match query.name.as_wire() {
        b"\x07version\x04bind\0" | b"\x07version\x06server\0" => view.server.version.as_deref(),
        b"\x08hostname\x04bind\0" | b"\x02id\x06server\0" => view.server.identity.as_deref(),
        _ => None,
    };
    match text {
        Some(text) if matches!(query.rtype, Rtype::TXT | Rtype::ANY) => Answer::yes(Content::Identity(text)),
        Some(_) => Answer::yes(Content::Empty),
        None => {
            let text = "zonebeat does not answer this of class CH";
            Answer::error(Rcode::REFUSED, Some(Ede { code: Ede::NOT_AUTHORITATIVE, text }))
        }
    }
}
