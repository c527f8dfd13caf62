//! Scripts: a server, questions, and what must come back.
//!
//! ```text
//! --- config                         configuration of the server; before the first case
//! --- zone NAME                      a zone file
//! --- call METHOD PATH               an HTTP call that must be taken; its body below
//! === RFC 2308 2.2: a case
//! --- dig NAME TYPE [OPTION...]      or kdig; below it what must come back
//! NOERROR aa rd                      rcode and flags (QR is always there)
//! EDE 0 nobody serves ...            code and text
//! answer NAME TTL IN TYPE DATA       a record, its section first; sections in any order
//! --- send udp WORD...               octets in hexadecimal, `@NAME` for a name in wire form; or tcp
//! NOERROR aa rd
//! question NAME TYPE                 the question as it came back, its case kept
//! --- send udp WORD...
//! nothing                            no answer at all
//! ```
//!
//! Spaces between words do not count, and `...` at the end of a line stands for any rest.

use hickory_proto::op::Message;

use crate::support::dns::{self, Packet, Response};
use crate::support::{PATIENCE, Server, Setup};

/// Runs every case of a script against one server; fails with all differences at once.
pub(crate) fn run(text: &str) {
    let blocks = blocks(text);
    let server = blocks.iter().take_while(|block| block.case.is_empty()).fold(Setup::bare(), prepare).start();
    let faults: Vec<String> = blocks.iter().filter_map(|block| perform(&server, block)).collect();
    assert!(faults.is_empty(), "{} differ:\n{}", faults.len(), faults.join("\n"));
}

/// One `---` line with what stands below it.
#[derive(Default)]
struct Block {
    case: String,
    head: String,
    body: String,
}

fn blocks(text: &str) -> Vec<Block> {
    let (mut blocks, mut case): (Vec<Block>, _) = (Vec::new(), String::new());
    for line in text.lines() {
        if let Some(title) = line.strip_prefix("=== ") {
            case = title.to_owned();
        } else if let Some(head) = line.strip_prefix("--- ") {
            blocks.push(Block { case: case.clone(), head: head.to_owned(), body: String::new() });
        } else if let Some(block) = blocks.last_mut() {
            block.body.push_str(line);
            block.body.push('\n');
        }
    }
    blocks
}

fn prepare(setup: Setup, block: &Block) -> Setup {
    match block.head.split_once(' ') {
        None if block.head == "config" => setup.config(&block.body),
        Some(("zone", name)) => setup.zone_file(name, &block.body),
        _ => setup,
    }
}

/// Does what a block says; the difference, if there is one.
fn perform(server: &Server, block: &Block) -> Option<String> {
    let (verb, rest) = block.head.split_once(' ').unwrap_or((&block.head, ""));
    let args: Vec<&str> = rest.split_whitespace().collect();
    let came = match verb {
        "config" | "zone" => return None,
        "call" => return call(server, &args, &block.body),
        "dig" => of_dig(&server.dig(&args)),
        "kdig" => of_dig(&server.kdig(&args)),
        "send" => of_packet(server, args[0], &octets(&args[1..])),
        _ => panic!("{}: there is no verb {verb:?}", block.case),
    };
    (!agree(&block.body, &came)).then(|| {
        let came = came.join("\n");
        format!("=== {}\n--- {}\n{}*** came instead:\n{came}\n", block.case, block.head, block.body)
    })
}

fn call(server: &Server, args: &[&str], body: &str) -> Option<String> {
    let [method, path] = args else { panic!("`call METHOD PATH` needs both, not {args:?}") };
    let reply = server.call(method, path, Some(body.trim()).filter(|body| !body.is_empty()));
    assert!((200..300).contains(&reply.status), "{method} {path}: {} {}", reply.status, reply.text());
    None
}

/// Whether the lines are the same, in any order after the first.
fn agree(expected: &str, came: &[String]) -> bool {
    let lines = expected.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    let mut expected: Vec<String> = lines.filter(|line| !line.is_empty()).collect();
    let mut came = came.to_vec();
    expected.sort();
    came.sort();
    let same = |(expected, came): (&String, &String)| match expected.strip_suffix("...") {
        Some(start) => came.starts_with(start),
        None => came == expected,
    };
    expected.len() == came.len() && expected.iter().zip(&came).all(same)
}

/// The parts of dig's or kdig's output that a script compares.
fn of_dig(output: &str) -> Vec<String> {
    let (mut lines, mut rcode, mut section) = (Vec::new(), "", None);
    for line in output.lines() {
        if let Some((_, rest)) = line.split_once("status: ") {
            rcode = rest.split([',', ';']).next().unwrap_or(rest);
        } else if let Some(rest) = line.strip_prefix(";; flags: ").or_else(|| line.strip_prefix(";; Flags: ")) {
            let flags = rest.split(';').next().unwrap_or(rest).replacen("qr", "", 1);
            lines.push(words(&format!("{rcode} {flags}")));
        } else if let Some((_, ede)) = line.split_once("EDE: ") {
            lines.push(words(&format!("EDE {}", ede_text(ede))));
        } else if let Some((name, _)) = line.strip_prefix(";; ").and_then(|rest| rest.split_once(" SECTION:")) {
            section = Some(name.to_lowercase());
        } else if let Some(section) = section.as_ref().filter(|_| !line.is_empty() && !line.starts_with(';')) {
            lines.push(words(&format!("{section} {line}")));
        }
    }
    if lines.is_empty() { vec![format!("nothing: {output}")] } else { lines }
}

/// `0 (Other): (text)` of dig and `0 (Other): 'text'` of kdig without what both add.
fn ede_text(ede: &str) -> String {
    let (code, text) = ede.split_once(' ').unwrap_or((ede, ""));
    let text = text.split_once("): ").map_or("", |(_, text)| text);
    format!("{code} {}", text.trim_matches(['(', ')', '\'', '"']))
}

fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn octets(words: &[&str]) -> Vec<u8> {
    let decode = |word: &&str| match word.strip_prefix('@') {
        Some(name) => dns::wire_name(name),
        None => (0..word.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&word[at..at + 2], 16).expect("pairs of hexadecimal digits"))
            .collect(),
    };
    words.iter().flat_map(decode).collect()
}

fn of_packet(server: &Server, transport: &str, packet: &[u8]) -> Vec<String> {
    let response = match transport {
        "udp" => udp_or_nothing(server, packet),
        "tcp" => {
            let mut connection = dns::Tcp::connect(server.dns());
            connection.send(packet).expect("the server reads");
            connection.receive().ok()
        }
        other => panic!("there is no transport {other:?}"),
    };
    response.map_or_else(|| vec!["nothing".to_owned()], |response| of_response(&response))
}

/// The answer to a datagram, if there is one. A second question from the same port, which the same worker reads after
/// the first, tells that nothing will come, without waiting for it.
fn udp_or_nothing(server: &Server, packet: &[u8]) -> Option<Response> {
    const SENTINEL: u16 = 0x7e57;
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("a local port is free");
    socket.set_read_timeout(Some(PATIENCE)).expect("the timeout is not zero");
    for octets in [packet, &Packet::query(SENTINEL, "sentinel.example.com", dns::rtype::A).0] {
        socket.send_to(octets, server.dns()).expect("loopback takes a datagram");
    }
    let mut buffer = vec![0; 65_535];
    let (len, _) = socket.recv_from(&mut buffer).expect("the second question is answered");
    buffer.truncate(len);
    Some(Response(buffer)).filter(|response| response.id() != SENTINEL)
}

/// The parts of a message that a script compares, read by a library that is not ours.
fn of_response(response: &Response) -> Vec<String> {
    let message = response.message();
    let rcode = u16::from(response.rcode()) + extended(&message) * 16;
    let flags = [(0x0400, "aa"), (0x0200, "tc"), (0x0100, "rd"), (0x0080, "ra"), (0x0020, "ad"), (0x0010, "cd")];
    let flags: Vec<&str> = flags.iter().filter(|(bit, _)| response.flags() & bit != 0).map(|(_, flag)| *flag).collect();
    assert_ne!(response.flags() & 0x8000, 0, "an answer has QR");
    let mut lines = vec![words(&format!("{} {}", rcode_name(rcode), flags.join(" ")))];
    lines.extend(message.queries.iter().map(|query| format!("question {} {}", query.name(), query.query_type())));
    let sections =
        [("answer", &message.answers), ("authority", &message.authorities), ("additional", &message.additionals)];
    for (section, records) in sections {
        lines.extend(records.iter().map(|record| words(&format!("{section} {record}"))));
    }
    lines
}

fn extended(message: &Message) -> u16 {
    message.edns.as_ref().map_or(0, |edns| u16::from(edns.rcode_high()))
}

fn rcode_name(rcode: u16) -> &'static str {
    match rcode {
        0 => "NOERROR",
        1 => "FORMERR",
        2 => "SERVFAIL",
        3 => "NXDOMAIN",
        4 => "NOTIMP",
        5 => "REFUSED",
        9 => "NOTAUTH",
        16 => "BADVERS",
        _ => "another rcode",
    }
}
