//! Explanations of names over DNS: which message they are, and who gives them.
//!
//! They are made like zone transfers, on a thread that may block, and count as such among the limits of TCP: a look
//! through all services would hold up the queries of others. Each line is one TXT record with a TTL of 0.

use std::sync::{Arc, OnceLock};

use super::decode::{FLAG_QR, HEADER};
use super::encode::{AA, ASKED, COPIED};
use super::message::{Message, Section};
use super::opt::Opt;
use super::respond::MAX_TCP;
use crate::answer::{Answer, Content, Ede, Query, Rcode};
use crate::model::{Name, Rtype};
use crate::view::View;

/// The most octets of one character-string (RFC 1035 section 3.3).
const STRING: usize = 255;
/// Octets kept for a line that says how many have no room.
const LAST_LINE: usize = 100;

/// Explains names; implemented by the composition root, which has the registry.
pub trait Explain: Send + Sync + 'static {
    /// Why the name answers as it does, in lines; or why nobody can tell now. May take its time.
    fn explain(&self, name: &Name) -> Result<Vec<String>, String>;
}

/// Who explains names: nobody, until it is known.
#[derive(Clone, Default)]
pub struct Explainer(Arc<OnceLock<Box<dyn Explain>>>);

impl Explainer {
    /// Lets `explain` explain from now on; the first who is named does.
    pub fn set(&self, explain: impl Explain) {
        let _ = self.0.set(Box::new(explain)); // who was there before stays
    }

    fn lines(&self, name: &Name) -> Result<Vec<String>, String> {
        let explain = self.0.get().ok_or("the server is starting; ask again in a moment")?;
        explain.explain(name)
    }

    /// Writes the response to a query for an explanation of `name`; returns its length and response code.
    pub(super) fn respond(&self, view: &View, query: &Query<'_>, name: &Name, out: &mut [u8]) -> (usize, Rcode) {
        match self.lines(name) {
            Ok(lines) => (write(view, query, &Answer::yes(Content::Explanation), &lines, out), Rcode::NOERROR),
            Err(why) => {
                let ede = Ede { code: Ede::NOT_READY, text: &why };
                (write(view, query, &Answer::error(Rcode::SERVFAIL, Some(ede)), &[], out), Rcode::SERVFAIL)
            }
        }
    }
}

impl std::fmt::Debug for Explainer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Explainer").field("set", &self.0.get().is_some()).finish()
    }
}

fn write(view: &View, query: &Query<'_>, answer: &Answer<'_>, lines: &[String], out: &mut [u8]) -> usize {
    let limit = MAX_TCP.min(out.len());
    let opt = Opt::of(view, query, answer, limit - HEADER - query.question.len());
    let mut message = Message::new(out, limit - opt.length());
    message.start(query.id, query.question);
    let mut record = |line: &str, limit: usize| {
        message.raise_limit(limit);
        message.record(Section::Answer, &ASKED, Rtype::TXT, 1, 0, &strings(line))
    };
    let room = limit - opt.length();
    let written = lines.iter().take_while(|line| record(line, room - LAST_LINE)).count();
    if written < lines.len() {
        let _fits = record(&format!("{} lines more than a message can hold", lines.len() - written), room);
    }
    message.raise_limit(limit);
    opt.write(&mut message);
    let authoritative = if answer.authoritative { AA } else { 0 };
    message.finish(FLAG_QR | authoritative | query.flags & COPIED | answer.rcode.0 & 0xF)
}

/// A line as character-strings, each as long as it may be.
fn strings(line: &str) -> Vec<u8> {
    if line.is_empty() {
        return vec![0];
    }
    let string = |part: &[u8]| [&[part.len() as u8], part].concat();
    line.as_bytes().chunks(STRING).flat_map(string).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_cut_into_strings_that_are_as_long_as_they_may_be() {
        assert_eq!(strings("in"), b"\x02in");
        assert_eq!(strings(""), [0]);
        let long = strings(&"x".repeat(300));
        assert_eq!((long.len(), long[0], long[256]), (302, 255, 45));
        assert_eq!(strings(&"x".repeat(255)).len(), 256);
    }
}
