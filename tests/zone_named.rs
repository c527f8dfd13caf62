//! Our reading of zone files against BIND's: both read the same text, and the octets of all records are compared.
//!
//! `named-compilezone` (Debian: bind9-utils) writes what BIND understood as a raw zone file; that is the octets
//! themselves, without a printer and a second reader in between.

#[path = "support/named.rs"]
mod named;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use named::{Octets, compile, octets};
use zonebeat::model::{Finding, Name, ZoneFile};
use zonebeat::zone::{Checks, StaticZone, load_files, origin_of, parse_text, parse_zone};

/// Put before records that are tried.
const HEAD: &str = "$TTL 300\n@ SOA ns h 1 2 3 4 5\n@ NS ns\nns A 192.0.2.1\n";

fn read_file(path: &str) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| error.to_string())
}

fn origin() -> Name {
    Name::parse_absolute("example.org").expect("a name")
}

fn ours(text: &str) -> Result<StaticZone, Vec<Finding>> {
    parse_text("zone", text.as_bytes(), &origin()).map(|(zone, _)| zone)
}

fn printed(zone: &StaticZone) -> String {
    zone.records.iter().map(|record| format!("{record}\n")).collect()
}

fn zone_files() -> Vec<String> {
    let root = env!("CARGO_MANIFEST_DIR");
    let folders = [format!("{root}/zones"), format!("{root}/tests/zones")];
    let entries = folders.iter().flat_map(|folder| std::fs::read_dir(folder).expect("folder"));
    let paths = entries.map(|entry| entry.expect("entry").path().to_str().expect("UTF-8").to_owned());
    paths.filter(|path| path.ends_with(".zone")).collect()
}

/// The lines of a list that begin with a mark, without it.
fn lines(list: &'static str, mark: &'static str) -> impl Iterator<Item = &'static str> {
    list.lines().filter_map(move |line| line.strip_prefix(mark))
}

fn differences(ours: &BTreeSet<Octets>, theirs: &BTreeSet<Octets>) -> String {
    let show =
        |what: &str, (owner, rtype, ttl, data): &Octets| format!("{what} {owner} {ttl} TYPE{rtype} {data:02x?}\n");
    let mine = ours.difference(theirs).map(|row| show("ours", row));
    mine.chain(theirs.difference(ours).map(|row| show("BIND", row))).collect()
}

#[test]
fn bind_reads_our_zone_files_as_we_do() {
    let files = zone_files();
    assert!(files.len() >= 2, "{files:?}");
    for path in files {
        let origin = origin_of(&path).expect("named after its zone");
        let (zone, _) = parse_zone(&read_file, &path, &origin).unwrap_or_else(|findings| panic!("{findings:#?}"));
        let folder = std::path::Path::new(&path).parent().expect("a folder");
        let text = std::fs::read(&path).expect("readable");
        let theirs = compile(&origin, &text, folder).unwrap_or_else(|why| panic!("{path}: {why}"));
        let ours = octets(&zone);
        assert!(ours == theirs, "{path}:\n{}", differences(&ours, &theirs));
        let again = compile(&origin, printed(&zone).as_bytes(), folder).unwrap_or_else(|why| panic!("{path}: {why}"));
        assert!(again == theirs, "{path}, printed by us:\n{}", differences(&again, &theirs));
    }
}

const TYPES: &str = include_str!("zones/bind-types.records");

/// All records that BIND takes, each at an owner of its own.
fn taken() -> String {
    let numbered = lines(TYPES, "+ ").enumerate().map(|(number, record)| format!("r{number} {record}\n"));
    HEAD.to_owned() + &numbered.collect::<String>()
}

#[test]
fn bind_reads_every_type_as_we_do_and_what_we_print() {
    let text = taken();
    let zone =
        ours(&text).unwrap_or_else(|findings| panic!("{}", zonebeat::model::finding::render_all(&findings, false)));
    let here = std::path::Path::new(".");
    let theirs = compile(&origin(), text.as_bytes(), here).unwrap_or_else(|why| panic!("{why}"));
    let mine = octets(&zone);
    assert!(mine == theirs, "{}", differences(&mine, &theirs));
    assert!(theirs.len() > 200, "only {} records", theirs.len());
    let print = printed(&zone);
    let again = compile(&origin(), print.as_bytes(), here).unwrap_or_else(|why| panic!("{why}\n{print}"));
    assert!(again == theirs, "printed by us:\n{}", differences(&again, &theirs));
    let read = ours(&print).unwrap_or_else(|findings| panic!("{findings:#?}"));
    assert_eq!(octets(&read), mine, "printed and read by us");
}

#[test]
fn what_bind_refuses_we_refuse_with_its_place() {
    let refused: Vec<String> = lines(TYPES, "- ").map(str::to_owned).collect();
    assert!(refused.len() > 100, "only {}", refused.len());
    let mut wrong: Vec<String> = Vec::new();
    for record in lines(TYPES, "- ").chain(lines(TYPES, "! ")) {
        match ours(&format!("{HEAD}x {record}\n")) {
            Ok(zone) => wrong.push(format!("we take {record}: {}", zone.records.last().expect("records"))),
            Err(findings) => {
                let finding = findings.iter().find(|finding| finding.is_error()).expect("an error");
                if finding.place.line != 5 || !finding.render(false).contains('^') {
                    wrong.push(format!("{record}: {finding}"));
                }
            }
        }
    }
    let taken = named::each(&refused, |record| {
        compile(&origin(), format!("{HEAD}x {record}\n").as_bytes(), ".".as_ref()).is_ok()
    });
    wrong.extend(taken.into_iter().map(|record| format!("BIND takes {record}")));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

const CASES: &str = include_str!("zones/bind-syntax.cases");

/// Mark, title and text of each case.
fn cases() -> Vec<(char, &'static str, String)> {
    let split = |case: &'static str| {
        let (title, text) = case.split_once('\n').expect("a title and a text");
        let text = text.replace("<CR>", "\r");
        let text = text.strip_suffix("<END>\n").unwrap_or(&text);
        let whole = text.strip_prefix("<WHOLE>\n").map(str::to_owned);
        let mark = title.chars().next().expect("a mark");
        (mark, &title[2..], whole.unwrap_or_else(|| format!("{HEAD}{text}")))
    };
    CASES.split("=== ").skip(1).map(split).collect()
}

#[test]
fn bind_reads_files_of_every_shape_as_we_do() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/zones/included");
    let mut wrong = Vec::new();
    let all = cases();
    assert!(all.len() > 200, "only {} cases", all.len());
    for (mark, title, text) in all {
        let sources = |path: &str| match path {
            "example.org.zone" => Ok(text.clone().into_bytes()),
            other => read_file(other),
        };
        let file = ZoneFile { folder: Some(folder.into()), ..ZoneFile::new("example.org.zone") };
        let loaded = load_files(&Checks::default(), &sources, &[file]);
        let theirs = compile(&origin(), text.as_bytes(), folder.as_ref());
        let fault = match (mark, loaded.zones.first(), theirs) {
            ('+', Some(zone), Ok(theirs)) if octets(zone) != theirs => differences(&octets(zone), &theirs),
            ('+', Some(_), Ok(_)) | ('-', None, Err(_)) | ('?', ..) => continue,
            (_, Some(zone), Err(why)) => format!("we take it, BIND says {why}{}", printed(zone)),
            (_, None, Ok(_)) => format!("BIND takes it, we say {:#?}", loaded.findings),
            (_, None, Err(why)) => format!("BIND refuses it: {why}"),
            (_, Some(_), Ok(_)) => "both take it".to_owned(),
        };
        wrong.push(format!("=== {title}: {fault}"));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Runs a program of BIND in a directory; what it writes to standard output.
fn run(folder: &Path, program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).current_dir(folder).output();
    let output = output.unwrap_or_else(|error| panic!("{program} (Debian: bind9-utils, bind9-dnsutils): {error}"));
    assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn we_read_what_bind_writes_in_every_style() {
    let work = tempfile::tempdir().expect("a directory");
    // BIND 9.18.49 crashes when it comments on a key of algorithm 253 that begins with no name
    let text: String = taken().lines().filter(|line| !line.contains(" 253 ")).map(|line| format!("{line}\n")).collect();
    std::fs::write(work.path().join("zone"), &text).expect("written");
    let theirs = compile(&origin(), text.as_bytes(), ".".as_ref()).unwrap_or_else(|why| panic!("{why}"));
    for style in ["full", "relative"] {
        let args =
            ["-k", "ignore", "-i", "none", "-n", "ignore", "-m", "ignore", "-r", "ignore", "-F", "text", "-s", style];
        run(work.path(), "named-compilezone", &[&args[..], &["-o", "written", "example.org", "zone"]].concat());
        let written = std::fs::read_to_string(work.path().join("written")).expect("written by BIND");
        let zone = ours(&written).unwrap_or_else(|findings| panic!("{style}: {findings:#?}"));
        assert!(octets(&zone) == theirs, "{style}:\n{}", differences(&octets(&zone), &theirs));
    }
}

#[test]
fn we_read_zones_that_bind_signed() {
    let work = tempfile::tempdir().expect("a directory");
    let zone = format!("{HEAD}*.wild TXT a\nsub NS ns.sub\nns.sub A 192.0.2.2\na.b.c MX 10 ns\n");
    std::fs::write(work.path().join("zone"), zone).expect("written");
    for flags in [&[][..], &["-f", "KSK"]] {
        run(work.path(), "dnssec-keygen", &[&["-q", "-a", "ECDSAP256SHA256"], flags, &["example.org"]].concat());
    }
    for denial in [&[][..], &["-3", "aabbccdd", "-H", "1", "-A"]] {
        let sign = [&["-S", "-o", "example.org", "-f", "signed"], denial, &["zone"]].concat();
        run(work.path(), "dnssec-signzone", &sign);
        let signed = std::fs::read_to_string(work.path().join("signed")).expect("written by BIND");
        let zone = ours(&signed).unwrap_or_else(|findings| panic!("{findings:#?}"));
        let theirs = compile(&origin(), signed.as_bytes(), work.path()).unwrap_or_else(|why| panic!("{why}"));
        assert!(octets(&zone) == theirs, "{}", differences(&octets(&zone), &theirs));
        assert!(theirs.iter().filter(|(_, rtype, ..)| *rtype == 46).count() > 5, "it is signed");
    }
}
