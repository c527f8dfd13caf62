//! A zone directory of BIND, used as it is: which files are read, what the others are said to be, and the same answers
//! from BIND and from us over it.

mod support;

use std::path::Path;
use std::process::{Child, Command, Stdio};

use support::{Setup, eventually, output_of_dig};
use zonebeat::config::{Config, zones};
use zonebeat::model::{Finding, Name};
use zonebeat::zone::{Checks, Loaded, load_files};

const ZONE: &str = "$TTL 300\n@ SOA ns.example.net. h.example.net. 1 2 3 4 5\n@ NS ns.example.net.\n";

fn name(text: &str) -> Name {
    Name::parse_absolute(text).expect("a name")
}

fn write(folder: &Path, files: &[(&str, &str)]) {
    for (file, text) in files {
        let path = folder.join(file);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(path, text).expect("written");
    }
}

/// What a server with this configuration reads, its findings included.
fn read(toml: &str) -> Loaded {
    let config = Config::parse("test.toml", toml).unwrap_or_else(|error| panic!("{error}"));
    let chosen = config.zone_files().unwrap_or_else(|error| panic!("{error}"));
    let mut loaded = load_files(&Checks::default(), &zones::read_file, &chosen.files);
    loaded.findings.extend(chosen.remarks(&loaded.included));
    loaded
}

fn origins(loaded: &Loaded) -> Vec<String> {
    loaded.zones.iter().map(|zone| zone.origin.to_string()).collect()
}

fn said(loaded: &Loaded) -> String {
    loaded.findings.iter().map(|finding| finding.render(false)).collect()
}

#[test]
fn files_are_taken_by_their_names() {
    let folder = tempfile::tempdir().expect("a directory");
    write(
        folder.path(),
        &[
            ("a.example.zone", ZONE),
            ("db.b.example", ZONE),
            ("c.example.db", ZONE),
            ("db.192.0.2", ZONE),
            ("db.127", ZONE),
            ("db.local", ZONE),
            ("zone-of-somebody", ZONE),
            ("hosts.shared", "www A 192.0.2.1\n"),
            ("d.example.zone", &format!("{ZONE}$INCLUDE hosts.shared\n")),
            ("db.d.example", ZONE),
            ("README", "no zone"),
            ("README.md", "no zone"),
            ("named.conf.local", "no zone"),
            ("Ka.example.+013+12345.key", "no zone"),
            ("Ka.example.+013+12345.private", "no zone"),
            ("dsset-a.example.", "no zone"),
            ("db.b.example.bak", "no zone"),
            ("db.b.example~", "no zone"),
            (".db.hidden.example", "no zone"),
            ("keys/db.e.example", ZONE),
        ],
    );
    let loaded = read(&format!("zones_dir = {:?}", folder.path()));
    let expected =
        ["a.example.", "c.example.", "d.example.", "127.in-addr.arpa.", "2.0.192.in-addr.arpa.", "b.example."];
    assert_eq!(origins(&loaded), expected, "{}", said(&loaded));
    assert!(loaded.findings.iter().all(|finding| !finding.is_error()), "{}", said(&loaded));
    let said = said(&loaded);
    assert!(said.contains("stand for no zone: db.local, zone-of-somebody\n"), "{said}");
    assert!(said.contains("db.d.example\n") && said.contains("not read: the zone d.example. stands in"), "{said}");
    for silent in ["README", "named.conf", ".key", "dsset", ".bak", "~", "hidden", "hosts.shared", "keys"] {
        assert!(!said.contains(silent), "{silent}: {said}");
    }
}

#[test]
fn a_zone_names_its_file_and_declines_registrations() {
    let folder = tempfile::tempdir().expect("a directory");
    let listed = format!("{ZONE}$INCLUDE shared/hosts\n");
    write(
        folder.path(),
        &[("masters/org", &listed), ("shared/hosts", "www A 192.0.2.1\n"), ("empty", ZONE), ("db.example.org", "old")],
    );
    let zones = "[[zone]]\nname = \"example.org\"\nfile = \"masters/org\"\n\
                 [[zone]]\nname = \"10.in-addr.arpa\"\nfile = \"empty\"\n\
                 [[zone]]\nname = \"11.in-addr.arpa\"\nfile = \"empty\"\n";
    let toml = format!("zones_dir = {:?}\n{zones}", folder.path());
    let loaded = read(&toml);
    assert_eq!(origins(&loaded), ["example.org.", "10.in-addr.arpa.", "11.in-addr.arpa."], "{}", said(&loaded));
    assert_eq!(loaded.zones[0].records.len(), 3, "the included file is relative to zones_dir");
    assert!(said(&loaded).contains("the zone example.org. stands in"), "{}", said(&loaded));

    let config = Config::parse("test.toml", &toml).unwrap_or_else(|error| panic!("{error}"));
    let names: Vec<Name> = loaded.zones.iter().map(|zone| zone.origin.clone()).collect();
    let plan = config.plan_zones(&names);
    assert_eq!(plan.registering().count(), 0, "zones that came from elsewhere stay as they are");
    assert!(plan.zones.iter().all(|zone| zone.has_file && !zone.reverse));
    let wanted = Config::parse("test.toml", &zones.replacen("\n[[", "\nregistrations = true\n[[", 1));
    let plan = wanted.unwrap_or_else(|error| panic!("{error}")).plan_zones(&names);
    assert_eq!(plan.registering().map(|zone| zone.name.clone()).collect::<Vec<_>>(), [name("example.org")]);
}

#[test]
fn the_configured_name_is_the_apex() {
    let folder = tempfile::tempdir().expect("a directory");
    let elsewhere = ZONE.replace("@ ", "other.example. ");
    write(folder.path(), &[("data", &elsewhere), ("gone", "")]);
    let toml = format!(
        "zones_dir = {:?}\n[[zone]]\nname = \"example.org\"\nfile = \"data\"\n[[zone]]\nname = \"example.net\"\nfile = \"no\"\n",
        folder.path()
    );
    let loaded = read(&toml);
    let said = said(&loaded);
    assert!(said.contains("SOA record stands at other.example.; the zone of this file is example.org."), "{said}");
    assert!(said.contains("cannot read the zone file"), "{said}");
    let broken: Vec<_> = loaded.broken.iter().map(|broken| broken.origin.clone()).collect();
    assert_eq!(broken, [Some(name("example.org")), Some(name("example.net"))], "they answer SERVFAIL");

    let empty = Config::parse("test.toml", "[[zone]]\nname = \"example.org\"\nfile = \"\"\n").expect("parsed");
    assert!(empty.validate().is_err());
}

#[test]
fn what_bind_leaves_beside_a_file_is_told() {
    let folder = tempfile::tempdir().expect("a directory");
    write(
        folder.path(),
        &[("db.example.org", ZONE), ("db.example.org.jnl", ";BIND LOG V9\n"), ("db.example.org.signed", "x")],
    );
    let raw = Command::new("named-compilezone")
        .args(["-i", "none", "-F", "raw", "-o", "raw.example.zone", "raw.example", "db.example.org"])
        .current_dir(folder.path())
        .stdout(Stdio::null())
        .status()
        .expect("named-compilezone runs (Debian: bind9-utils)");
    assert!(raw.success());
    let toml = format!("zones_dir = {:?}", folder.path());
    let loaded = read(&toml);
    assert_eq!(origins(&loaded), ["example.org."]);
    let text = said(&loaded);
    for part in [
        "db.example.org.jnl",
        "rndc sync -clean",
        "a signed copy",
        "raw format of BIND",
        "named-compilezone -f raw -F text",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let help = loaded.findings.iter().find(|finding| finding.is_error()).and_then(|finding| finding.help.clone());
    let command = help.expect("a help").split_once(": ").expect("a command").1.replace("NEW", "as-text");
    let status = Command::new("sh").args(["-c", &command]).current_dir(folder.path()).stdout(Stdio::null()).status();
    assert!(status.expect("sh").success(), "{command}");
    let read_again = read(&format!("{toml}\n[[zone]]\nname = \"raw.example\"\nfile = \"as-text\"\n"));
    assert_eq!(origins(&read_again), ["raw.example.", "example.org."], "{}", said(&read_again));
}

/// A BIND of the test, with its own directory; stopped when it is dropped.
struct Bind(Child);

impl Drop for Bind {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn bind(folder: &Path, port: u16, conf: &str) -> Bind {
    let path = folder.join("named.conf");
    let options = format!(
        "options {{ directory {folder:?}; listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; recursion no; \
         pid-file none; session-keyfile none; minimal-responses no; dnssec-validation no; notify no; }};\ncontrols {{ }};\n"
    );
    std::fs::write(&path, options + conf).expect("written");
    let child = Command::new("named").args(["-g", "-4", "-n", "1", "-c"]).arg(&path).stderr(Stdio::null()).spawn();
    Bind(child.expect("named runs (Debian: bind9)"))
}

fn dig(port: u16, question: &[&str]) -> String {
    let mut command = Command::new("dig");
    command
        .args(["@127.0.0.1", "-p", &port.to_string(), "+norec", "+noall", "+answer", "+comments", "+tries=1"])
        .args(["+time=2", "+nocookie", "+noedns", "+unknownformat"])
        .args(question);
    let text = String::from_utf8_lossy(&output_of_dig(&mut command).stdout).to_ascii_lowercase(); // BIND keeps the case of owners
    let mut lines: Vec<&str> = text.lines().filter(|line| line.contains("status:") || !line.starts_with(';')).collect();
    lines[..].sort_unstable();
    let status = text.split("status: ").nth(1).and_then(|rest| rest.split(',').next()).unwrap_or("none");
    lines.retain(|line| !line.is_empty() && !line.starts_with(';'));
    format!("{status}\n{}", lines.join("\n"))
}

#[test]
fn bind_and_we_answer_the_same_over_one_directory() {
    let setup = Setup::bare();
    let file = |name: &str, text: &str| setup.file(&format!("zones/{name}"), text);
    let head = "$TTL 1h\n@ IN SOA ns hostmaster ( 2026010100 3h 15m 1w 5m )\n  NS ns\nns A 192.0.2.53\n";
    file(
        "db.example.org",
        &format!(
            "{head}$INCLUDE shared/hosts\n$GENERATE 1-20/3 node-${{0,2,d}} A 192.0.2.$\nloc LOC 52 22 23.000 N 4 53 32.000 E -2.00m\n"
        ),
    );
    file("shared/hosts", "www 60 A 192.0.2.80\n    AAAA 2001:db8::80\n$INCLUDE shared/more deeper\n");
    file("shared/more", "mail MX 10 @\n\\065lias CNAME mail\n");
    file(
        "db.192.0.2",
        &"$GENERATE 1-254 $ PTR host-$.example.org.\n"
            .replace("$GEN", &(head.replace("NS ns\nns A 192.0.2.53", "NS ns.example.org.") + "$GEN")),
    );
    let folder = file("org.internal", &head.replace("1h", "5m")).parent().expect("a folder").to_owned();
    let config = "[[zone]]\nname = \"corp.example.net\"\nfile = \"org.internal\"\n";
    let server = setup.config(&format!("zones_dir = {folder:?}\n{config}")).start();
    let port =
        std::net::TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port").port();
    let zone = |name: &str, file: &str| format!("zone \"{name}\" {{ type primary; file \"{file}\"; }};\n");
    let conf = zone("example.org", "db.example.org")
        + &zone("2.0.192.in-addr.arpa", "db.192.0.2")
        + &zone("corp.example.net", "org.internal");
    let _bind = bind(&folder, port, &conf);
    eventually("BIND answers", || dig(port, &["corp.example.net", "SOA"]).starts_with("noerror"));
    for question in [
        ["example.org", "SOA"],
        ["www.example.org", "A"],
        ["www.example.org", "AAAA"],
        ["mail.deeper.example.org", "MX"],
        ["alias.deeper.example.org", "CNAME"],
        ["node-01.example.org", "A"],
        ["node-19.example.org", "A"],
        ["node-02.example.org", "A"],
        ["loc.example.org", "LOC"],
        ["1.2.0.192.in-addr.arpa", "PTR"],
        ["254.2.0.192.in-addr.arpa", "PTR"],
        ["corp.example.net", "SOA"],
        ["corp.example.net", "NS"],
        ["ns.corp.example.net", "A"],
        ["no.corp.example.net", "A"],
    ] {
        let (theirs, ours) = (dig(port, &question), dig(server.dns().port(), &question));
        assert_eq!(theirs.lines().next(), ours.lines().next(), "{question:?}");
        let answers = |text: &str| {
            text.lines().filter(|line| line.starts_with(question[0])).map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(answers(&theirs), answers(&ours), "{question:?}");
    }
    let transfer = |port: u16, zone: &str| {
        let text = dig(port, &[zone, "AXFR"]);
        text.lines().skip(1).map(str::to_owned).collect::<std::collections::BTreeSet<_>>()
    };
    for zone in ["example.org", "2.0.192.in-addr.arpa", "corp.example.net"] {
        let (theirs, ours) = (transfer(port, zone), transfer(server.dns().port(), zone));
        assert!(theirs.len() > 2, "{theirs:?}");
        assert_eq!(theirs, ours, "{zone}");
    }
}

#[test]
fn findings_of_a_directory_are_warnings_that_say_what_to_do() {
    let folder = tempfile::tempdir().expect("a directory");
    let names: Vec<String> = (0..12).map(|number| format!("thing{number:02}")).collect();
    write(folder.path(), &names.iter().map(|name| (name.as_str(), "x")).collect::<Vec<_>>());
    let loaded = read(&format!("zones_dir = {:?}", folder.path()));
    let [finding]: &[Finding; 1] = loaded.findings.as_slice().try_into().expect("one for the directory");
    assert!(finding.message.ends_with("thing07 and 4 more"), "{finding}");
    assert!(finding.help.as_deref().is_some_and(|help| help.contains("[[zone]]")));
}

#[test]
fn the_commands_and_keys_of_the_page_are_right() {
    use clap::Parser as _;
    let page = include_str!("../docs/bind.md");
    let indented: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix("       ")).collect();
    let commands: Vec<_> = indented.iter().filter(|line| line.starts_with("zonebeat ")).collect();
    assert_eq!(commands.len(), 2, "{commands:?}");
    for command in commands {
        let parsed = zonebeat::cli::Cli::try_parse_from(command.split_whitespace());
        assert!(parsed.is_ok(), "{command}: {}", parsed.err().map(|error| error.to_string()).unwrap_or_default());
    }
    let is_toml = |line: &&&str| line.starts_with('[') || line.contains(" = ");
    let toml: String = indented.iter().filter(is_toml).map(|line| format!("{line}\n")).collect();
    let config = Config::parse("docs/bind.md", &toml).unwrap_or_else(|error| panic!("{error}\n{toml}"));
    config.validate().unwrap_or_else(|error| panic!("{error}"));
    assert!(config.zones_dir.is_some() && config.zone[0].file.is_some());
}
