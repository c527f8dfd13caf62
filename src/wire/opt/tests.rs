//! What an OPT record holds when there is room for all of it, and when there is not.

use super::*;
use crate::answer::{Cookie, Told};

const COOKIE: Cookie = Cookie { client: [7; 8], server: None };

/// An OPT with every option, whose extended error has the longest text.
fn full(text: &str) -> Opt<'_> {
    let told = Told { cookie: Some([7; 16]), keepalive: Some(100) };
    let edns = Edns { dnssec_ok: true, padding: true, cookie: Some(COOKIE), told, ..Edns::default() };
    let mut opt = Opt::new(edns, 1232, Rcode::BADCOOKIE, Some(Ede { code: Ede::OTHER, text }));
    opt.nsid = Some("ns1");
    opt.expire = Some(604_800);
    opt.zone_version = Some(ZoneVersion { labels: 3, serial: 42 });
    opt.measured()
}

/// The codes of the options that are written behind a message of `length` octets, and the length of the whole.
fn written(opt: &Opt<'_>, length: usize, limit: usize) -> (Vec<u16>, usize) {
    let mut out = vec![0xAA; limit];
    let mut message = Message::new(&mut out, limit);
    message.start(1, &[]);
    assert!(message.copy(Section::Answer, 0, &vec![0; length - 12], &[]));
    opt.write(&mut message);
    let end = message.finish(0);
    let mut rest = &out[length + HEAD..end];
    let mut codes = Vec::new();
    while let [c0, c1, l0, l1, behind @ ..] = rest {
        codes.push(u16::from_be_bytes([*c0, *c1]));
        rest = &behind[usize::from(u16::from_be_bytes([*l0, *l1]))..];
    }
    assert!(rest.is_empty());
    let announced = u16::from_be_bytes([out[length + 9], out[length + 10]]);
    assert_eq!(usize::from(announced), end - length - HEAD, "RDLENGTH");
    (codes, end)
}

#[test]
fn rfc8467_4_1_padding_is_the_last_option_and_fills_the_block() {
    let opt = full("why");
    let all = vec![code::NSID, code::COOKIE, code::KEEPALIVE, code::EXPIRE, code::ZONE_VERSION, code::EDE];
    let padded = [&all[..], &[code::PADDING]].concat();
    assert_eq!(written(&opt, 100, 65_535), (padded.clone(), 468));
    assert_eq!(written(&opt, 900, 65_535), (padded.clone(), 1404));
    let end = 900 + opt.length();
    assert_eq!(written(&opt, 900, end + 10), (padded.clone(), end + 10), "as far as the limit lets it");
    assert_eq!(written(&opt, 900, end + 4), (padded, end + 4), "an empty one");
    assert_eq!(written(&opt, 900, end + 3), (all, end), "none");
}

#[test]
fn an_extended_error_that_does_not_fit_goes_and_everything_else_stays() {
    let text = "x".repeat(300);
    let opt = full(&text);
    let whole = opt.length();
    assert_eq!(opt.ede.map(|ede| ede.text.len()), Some(EDE_TEXT));
    assert!(opt.within(whole).ede.is_some());
    let opt = full(&text).within(whole - 1);
    assert_eq!(written(&opt, 100, 100 + opt.length()).0, [3, 10, 11, 9, 19]);
    let longest_question = 255 + 4;
    let longest_nsid = 63;
    assert!(opt.length() - 3 + longest_nsid <= 512 - 12 - longest_question, "it fits into any response");
}

#[test]
fn rfc6891_6_1_1_without_edns_there_is_no_opt() {
    let opt = Opt::default();
    assert_eq!(opt.length(), 0);
    let mut out = [0; 100];
    let mut message = Message::new(&mut out, 100);
    message.start(1, &[]);
    opt.write(&mut message);
    assert_eq!(message.len(), 12);
}

#[test]
fn the_longest_error_keeps_to_its_limit() {
    let question = [&b"\x3f"[..], &[b'a'; 63]].concat().repeat(4);
    let question = [&question[..254], &[0, 0, 1, 0, 1]].concat(); // as long as a question gets; nobody reads it here
    let text: &'static str = "the text of an extended error can be longer than a line, and is cut off only at some length; \
        with the longest name in the question and a cookie it may be too long for a message that has to fit everywhere";
    let told = Told { cookie: Some([7; 16]), keepalive: None };
    let reply = ErrorReply {
        id: 1,
        flags: 0,
        rcode: Rcode::SERVFAIL,
        question: &question,
        origin: crate::wire::decode::Origin {
            transport: crate::answer::Transport::Udp,
            client: std::net::Ipv4Addr::LOCALHOST.into(),
        },
        edns: Some(Edns { cookie: Some(COOKIE), told, ..Edns::default() }),
        extended: Some(Ede { code: Ede::OTHER, text }),
    };
    let mut out = [0; crate::wire::error::MAX_ERROR];
    let len = crate::wire::error::write_error(&reply, 1232, &mut out);
    assert_eq!(len, 12 + question.len() + HEAD + 28, "the cookie is there, the text is not");
    assert!(out[..len].ends_with(&[7; 24]));
}

#[test]
fn an_extended_error_that_comes_last_is_counted() {
    let edns = Edns { cookie: Some(COOKIE), ..Edns::default() };
    let opt = Opt::new(edns, 1232, Rcode(0), None).measured();
    let ede = Ede { code: Ede::OTHER, text: "1,444 of 10,000" };
    let more = OPTION_HEAD + 2 + ede.text.len();
    let with = opt.with_error(ede, opt.length() + more);
    assert_eq!(written(&with, 100, 65_535), (vec![code::EDE], 100 + HEAD + more));
    let without = opt.with_error(ede, opt.length() + more - 1);
    assert_eq!(written(&without, 100, 65_535), (vec![], 100 + HEAD));
}
