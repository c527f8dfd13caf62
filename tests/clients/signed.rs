//! Tools that sign with a TSIG key (RFC 8945): what they verify, and what is refused to them.

use std::net::SocketAddr;
use std::process::Command;

use crate::program::dig;
use crate::support::{Server, ZONE, eventually, output_of_dig};
use crate::{configured, register};

/// The key that may transfer the zone.
pub(crate) const KEY: &str = "transfer.example.net";
/// Its secret.
pub(crate) const SECRET: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
const WRONG: &str = "eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHg=";

/// The keys of the server: one that may transfer our zone, one for every zone and old clients, one for another zone.
pub(crate) const KEYS: &str = "\
[[tsig_key]]\nname = \"Transfer.example.net.\"\nsecret = \"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=\"\n\
transfer = [\"sd.example.org\"]\n\
[[tsig_key]]\nname = \"old\"\nalgorithm = \"HMAC-SHA1\"\nsecret = \"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=\"\n\
transfer = [\"*\"]\n\
[[tsig_key]]\nname = \"long\"\nalgorithm = \"hmac-sha512\"\nsecret = \"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=\"\n\
transfer = [\"example.com\"]\n";

/// A server that gives its zone to nobody without a key.
pub(crate) fn closed_server(records: &str) -> Server {
    configured(records, &format!("[dns]\ntransfer_from = []\n{KEYS}"))
}

fn run(program: &str, server: SocketAddr, args: &[&str]) -> String {
    let mut command = Command::new(program);
    command.arg(format!("@{}", server.ip())).args(["-p", &server.port().to_string()]).args(args);
    let output = output_of_dig(&mut command);
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

#[test]
fn every_tool_verifies_our_answers_and_transfers() {
    let server = closed_server("www A 192.0.2.80\n");
    let name = format!("www.{ZONE}");
    let (signature, of_drill) = (format!("hmac-sha256:{KEY}:{SECRET}"), format!("{KEY}:{SECRET}:hmac-sha256"));
    for (transport, kdigs) in [("+notcp", "+notcp"), ("+tcp", "+tcp")] {
        let text = run("dig", server.dns(), &["-y", &signature, transport, &name, "A"]);
        assert!(text.contains("192.0.2.80") && text.contains("TSIG") && !text.contains("could not"), "{text}");
        let text = run("kdig", server.dns(), &["-y", &signature, kdigs, &name, "A"]);
        assert!(text.contains("192.0.2.80") && text.contains("TSIG") && !text.contains("failed"), "{text}");
    }
    let text = run("drill", server.dns(), &["-y", &of_drill, &name, "A"]);
    assert!(text.contains("192.0.2.80") && !text.contains("failed"), "{text}");
    for (program, key) in [("dig", &signature), ("kdig", &signature), ("drill", &of_drill)] {
        let text = run(program, server.dns(), &["-y", key, ZONE, "AXFR"]);
        assert!(text.contains("192.0.2.80") && text.contains("hostmaster"), "{program}: {text}");
        assert!(!text.contains("failed") && !text.contains("rror:"), "{program}: {text}");
    }
}

#[test]
fn a_zone_of_many_messages_is_signed_message_by_message() {
    let names: String = (0..3000).map(|number| format!("n{number} TXT \"{}\"\n", "x".repeat(40))).collect();
    let server = closed_server(&names);
    let text = run("dig", server.dns(), &["-y", &format!("hmac-sha1:old:{SECRET}"), "+time=10", ZONE, "AXFR"]);
    assert!(text.contains("n2999") && text.contains("XFR size") && !text.contains("ailed"), "{text}");
    let signatures = text.lines().filter(|line| line.contains("ANY") && line.contains("TSIG")).count();
    assert!(signatures > 5 && text.contains(&format!("messages {signatures},")), "each message has one: {signatures}");
    let text = run("kdig", server.dns(), &["-y", &format!("hmac-sha1:old:{SECRET}"), ZONE, "AXFR"]);
    assert!(text.contains("n2999") && text.contains("Received") && !text.contains("ailed"), "{text}");
}

#[test]
fn without_a_good_key_nothing_is_given() {
    let server = closed_server("www A 192.0.2.80\n");
    let cases = [
        (format!("hmac-sha256:{KEY}:{WRONG}"), "BADSIG"),
        (format!("hmac-sha256:nobody.example.net:{SECRET}"), "BADKEY"),
        (format!("hmac-sha512:{KEY}:{SECRET}"), "BADKEY"),
        (format!("hmac-sha1-80:old:{SECRET}"), "BADTRUNC"),
    ];
    for (key, error) in cases {
        for (name, rtype) in [(format!("www.{ZONE}"), "A"), (ZONE.to_owned(), "AXFR")] {
            let text = run("dig", server.dns(), &["-y", &key, &name, rtype]);
            assert!(text.contains(error) && !text.contains("192.0.2.80"), "{key} {rtype}: {text}");
        }
        let text = run("dig", server.dns(), &["-y", &key, &format!("www.{ZONE}"), "A"]);
        assert!(text.contains("status: NOTAUTH") && text.contains(&format!("EDE: 0 (Other): ({error}")), "{text}");
    }
    let other = run("dig", server.dns(), &["-y", &format!("hmac-sha512:long:{SECRET}"), ZONE, "AXFR"]);
    assert!(other.contains("Transfer failed") && !other.contains("192.0.2.80"), "{other}");
    assert!(other.contains("hmac-sha512"), "the refusal is signed: {other}");
    let unsigned = run("dig", server.dns(), &[ZONE, "AXFR"]);
    assert!(unsigned.contains("Transfer failed") && !unsigned.contains("192.0.2.80"), "{unsigned}");
}

#[test]
fn a_bad_signature_gets_nothing_even_where_no_key_is_needed() {
    let server = configured("www A 192.0.2.80\n", KEYS);
    let with = |secret: &str| run("dig", server.dns(), &["-y", &format!("hmac-sha256:{KEY}:{secret}"), ZONE, "AXFR"]);
    assert!(!with(WRONG).contains("192.0.2.80"), "{}", with(WRONG));
    assert!(with(SECRET).contains("192.0.2.80"), "{}", with(SECRET));
    assert!(dig(server.dns(), &[ZONE, "AXFR"]).iter().any(|line| line.contains("192.0.2.80")));
}

#[test]
fn a_signed_answer_fits_with_its_signature_or_is_truncated_with_it() {
    let server = closed_server("");
    (0..40).for_each(|number| register(&server, &format!("a{number}"), &format!("\"192.0.2.{number}\""), 8080));
    let key = format!("hmac-sha256:{KEY}:{SECRET}");
    let name = format!("_web._tcp.{ZONE}");
    let ask = |more: &[&str]| run("dig", server.dns(), &[&["-y", &key, "+ignore", &name, "SRV"], more].concat());
    let size = |text: &str| {
        let line = text.lines().find(|line| line.contains("MSG SIZE")).unwrap_or_else(|| panic!("{text}"));
        line.rsplit(' ').next().and_then(|size| size.parse::<usize>().ok()).expect("a size")
    };
    for more in [&["+bufsize=512"][..], &["+noedns"], &["+bufsize=1232"]] {
        let text = ask(more);
        assert!(text.contains(" tc") && text.contains("TSIG") && !text.contains("could not"), "{more:?} {text}");
        assert!(size(&text) <= 512, "{more:?} {text}");
    }
    let few = format!("a1.web.{ZONE}");
    let text = run("dig", server.dns(), &["-y", &key, "+noedns", &few, "A"]);
    assert!(text.contains("192.0.2.1") && !text.contains(" tc") && size(&text) <= 512, "{text}");
    let text = run("dig", server.dns(), &["-y", &key, "+tcp", &name, "SRV"]);
    assert!(text.contains("ANSWER: 40") && text.contains("TSIG") && !text.contains("could not"), "{text}");
}

#[test]
fn a_secret_in_a_file_is_read_again_and_kept_when_the_file_is_wrong() {
    let folder = tempfile::tempdir().expect("a temporary directory can be made");
    let file = folder.path().join("key");
    std::fs::write(&file, format!("{SECRET}\n")).expect("file can be written");
    let keys = format!(
        "[dns]\ntransfer_from = []\n[[tsig_key]]\nname = \"{KEY}\"\nsecret_file = \"{}\"\ntransfer = [\"{ZONE}\"]\n",
        file.display()
    );
    let server = configured("www A 192.0.2.80\n", &keys);
    let gets = |secret: &str| {
        let text = run("dig", server.dns(), &["-y", &format!("hmac-sha256:{KEY}:{secret}"), ZONE, "AXFR"]);
        text.contains("192.0.2.80")
    };
    assert!(gets(SECRET) && !gets(WRONG));
    std::fs::write(&file, WRONG).expect("file can be written");
    server.signal("HUP");
    eventually("the other secret counts", || gets(WRONG) && !gets(SECRET));
    std::fs::write(&file, "hunter2").expect("file can be written");
    server.signal("HUP");
    let log = server.await_log("secrets of TSIG keys not loaded");
    assert!(gets(WRONG) && !log.contains("hunter2"), "{log}");
}
