//! The configuration file: its defaults, what is refused and how that is said, and the zones that follow from it.

use std::path::Path;
use std::time::Duration;

use zonebeat::config::{Config, ConfigError, Overrides, ZonePlan, ZoneSettings};
use zonebeat::model::{Finding, Name};

fn root(file: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(file)
}

fn name(text: &str) -> Name {
    Name::parse_absolute(text).expect("a name")
}

fn parse(text: &str) -> Config {
    Config::parse("test.toml", text).unwrap_or_else(|error| panic!("{error}"))
}

/// What is wrong with a text, when it is read or when it is validated.
fn findings(text: &str) -> Vec<Finding> {
    let outcome = Config::parse("test.toml", text).and_then(|config| config.validate());
    match outcome {
        Err(ConfigError::Wrong(findings)) => findings,
        other => panic!("{text}: {other:?}"),
    }
}

/// The explained file with its commented keys taken in.
fn explained() -> (String, String) {
    let text = std::fs::read_to_string(root("config/zonebeat.toml")).expect("the explained file");
    let line = |line: &str| match line.strip_prefix('#') {
        Some(key) if key.starts_with(|c: char| c == '[' || c.is_ascii_lowercase()) => key.to_owned(),
        _ => line.to_owned(),
    };
    let full = text.lines().map(line).collect::<Vec<_>>().join("\n");
    (text, full)
}

#[test]
fn the_explained_file_is_the_defaults() {
    let config = Config::load(&root("config/zonebeat.toml")).expect("it is read");
    assert_eq!(config, Config::default());
    config.validate().expect("the defaults are right");
    assert_eq!(config.warnings(), Vec::<String>::new());
}

#[test]
fn the_explained_file_shows_commented_keys_at_their_defaults() {
    let config = parse(&explained().1);
    config.validate().expect("commented keys are right");
    let zone = ZoneSettings {
        hostmaster: Some(name("hostmaster.sd.example.org")),
        file: Some("db.sd.example.org".into()),
        registrations: Some(true),
        ..ZoneSettings::new(name("sd.example.org"))
    };
    assert_eq!(config.zone, [zone]);
}

#[test]
fn the_explained_file_names_every_key() {
    let (_, full) = explained();
    let tables = [
        "",
        "[server]",
        "[dns]",
        "[dns.rate_limit]",
        "[dns.tcp]",
        "[[dns.udp_max_for]]",
        "[dns.encrypted]",
        "[http]",
        "[[zone]]",
        "[naming]",
        "[[naming.template]]",
        "[store]",
        "[policy]",
        "[guard]",
        "[[tsig_key]]",
        "[log]",
    ];
    for table in tables {
        let finding = &findings(&format!("{table}\nqqqqqqqq = 1\n"))[0];
        let help = finding.help.as_deref().expect("the known keys");
        let known = help.strip_prefix("keys that are known here: ").unwrap_or_else(|| panic!("{help}"));
        let part = match table {
            "" => full.as_str(),
            head => full.split_once(head).unwrap_or_else(|| panic!("{head} is not in the file")).1,
        };
        for key in known.split(", ") {
            let names =
                |line: &str| line.starts_with(&format!("{key} = ")) || line.trim_matches(['[', ']']).ends_with(key);
            assert!(part.lines().any(names), "{table} {key}");
        }
    }
}

#[test]
fn the_quick_start_is_right() {
    let config = Config::load(&root("config/quickstart.toml")).expect("it is read");
    config.validate().expect("it is right");
    assert_eq!(config.warnings(), Vec::<String>::new());
    let plan = config.plan_zones([&name("sd.example.org")]);
    let shown: Vec<_> =
        plan.zones.iter().map(|zone| (zone.name.to_string(), zone.has_file, zone.registrations)).collect();
    let expected = [
        ("sd.example.org.".to_owned(), true, true),
        ("127.in-addr.arpa.".to_owned(), false, false),
        ("2.0.192.in-addr.arpa.".to_owned(), false, false),
    ];
    assert_eq!(shown, expected);
    assert!(plan.zones[0].self_register && plan.zones[1].reverse && plan.zones[2].reverse);
    assert_eq!(plan.zones[1].settings.ns, [name("ns1.sd.example.org")]);
}

#[test]
fn an_unknown_key_has_its_place_and_a_suggestion() {
    let finding = &findings("[dns]\n  lisen = []\n")[0];
    let expected = "error: unknown key \"lisen\"\n --> test.toml:2:3\n  |\n2 |   lisen = []\n  |   ^^^^^\n  = help: did you mean \"listen\"?\n";
    assert_eq!(finding.render(false), expected);
}

#[test]
fn values_of_the_wrong_kind_are_refused_with_their_place() {
    for (text, place, message) in [
        ("[dns]\nlisten = [\"nonsense\"]", "test.toml:2:11", "\"nonsense\": invalid socket address"),
        ("[dns.tcp]\nidle = \"10 parsecs\"", "test.toml:2:8", "\"10 parsecs\" is not a duration"),
        ("[http]\nbody_limit = \"1GB\"", "test.toml:2:14", "\"1GB\" is not a size"),
        ("[[zone]]\nname = \"a..b\"", "test.toml:2:8", "empty label in \"a..b\""),
        ("[[zone]]\nname = \"a\"\nttl = \"500ms\"", "test.toml:3:7", "\"500ms\" is out of range"),
        (
            "[store]\nkind = \"sqlite\"",
            "test.toml:2:8",
            "unknown variant \"sqlite\", expected \"embedded\" or \"etcd\"",
        ),
        ("[log]\nlevel = 3", "test.toml:2:9", "wanted string"),
        ("data_dir = \"x", "test.toml:1:14", "invalid basic string"),
        ("[[tsig_key]]\nsecret = \"AAAA\"", "test.toml:1:1", "missing field \"name\""),
    ] {
        let found = findings(text);
        assert_eq!(found.len(), 1, "{text}");
        let finding = &found[0];
        assert!(finding.message.contains(message), "{text}: {}", finding.message);
        assert_eq!(finding.place.to_string(), place, "{text}: {}", finding.message);
    }
}

#[test]
fn what_keys_mean_is_checked_and_every_error_is_said() {
    let text = r#"
reverse = ["192.0.0.0/20", "example.org", "192.0.2.0/24", "2.0.192.in-addr.arpa"]
[server]
id = "no spaces"
advertise = ["ns1:8053"]
[dns]
listen = ["127.0.0.1:53", "127.0.0.1:8053"]
udp_max = 100
udp_max_for = [{ prefix = "192.0.2.0/24", size = 9000 }]
[dns.tcp]
per_client = 0
idle = 0
[[zone]]
name = "a.example"
ns_addresses = ["0.0.0.0"]
[[zone]]
name = "A.example."
[[zone]]
ttl = 3
[naming]
presets = ["nomad"]
[store]
kind = "etcd"
[policy]
sites = ["lon", "_x"]
[[tsig_key]]
name = "k"
algorithm = "hmac-sha3"
secret = "?"
"#;
    let found: Vec<String> =
        findings(text).iter().map(|f| format!("{}:{} {}", f.place.line, f.place.column, f.message)).collect();
    let expected = [
        "0:0 http.listen[0]: 127.0.0.1:8053 stands in dns.listen[1] already",
        "8:11 dns.udp_max: 100 is out of range; expected 512 to 8192 octets",
        "9:50 dns.udp_max_for[0].size: 9000 is out of range",
        "11:14 dns.tcp.per_client: must be more than 0",
        "12:8 dns.tcp.idle: must be more than 0",
        "4:6 server.id: instance label \"no spaces\" has the character",
        "5:14 server.advertise[0]: \"ns1:8053\" is not a base URL such as",
        "21:11 naming.presets: no naming preset \"nomad\"",
        "15:17 zone[0].ns_addresses[0]: 0.0.0.0 is not the address of a host",
        "17:8 zone[1].name: a.example. is declared twice",
        "18:1 zone[2].name: is missing, or the root",
        "2:12 reverse[0]: the length of 192.0.0.0/20 is not a multiple of 8",
        "2:28 reverse[1]: example.org. is not a reverse zone",
        "2:59 reverse[3]: the zone 2.0.192.in-addr.arpa. is named twice",
        "23:8 store.kind: \"etcd\" comes with a later release",
        "25:17 policy.sites[1]: site label \"_x\"",
        "28:13 tsig_key[0].algorithm: \"hmac-sha3\" is not an algorithm; known are hmac-sha256, hmac-sha384",
        "29:10 tsig_key[0].secret: is not base 64",
    ];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.starts_with(expected), "{found}\n{expected}");
    }
}

#[test]
fn lines_with_secrets_are_never_shown() {
    for text in [
        "[[tsig_key]]\nname = \"k\"\nsecret = \"hunter2\"",
        "[[tsig_key]]\nname = \"k\"\nsecret = \"hunter2",
        "[[tsig_key]]\nname = \"k\"\nsecret = [\"hunter2\"]",
        "tsig_key = [{ name = \"k\", algorithm = \"hmac-md5\", secret = \"hunter2hunter2==\" }]",
        "tsig_key = [{ name = \"k\", algorithm = 5, secret = \"hunter2\" }]",
    ] {
        let shown: Vec<_> = findings(text).iter().map(|finding| finding.render(false)).collect();
        assert!(!shown.concat().contains("hunter2"), "{shown:?}");
    }
}

#[test]
fn keys_and_wildcards_are_warned_about() {
    let text = "[dns]\nlisten = [\"0.0.0.0:53\"]\n[[zone]]\nname = \"a.example\"\n\
                [[tsig_key]]\nname = \"k\"\nalgorithm = \"HMAC-SHA256.\"\nsecret = \"AAAA\"\ntransfer = [\"a.example\"]\n";
    let config = parse(text);
    config.validate().expect("it is right");
    let warnings = config.warnings();
    assert!(warnings[0].contains("less than 16 octets"), "{warnings:?}");
    assert!(warnings[1].contains("ns_addresses"), "{warnings:?}");
    assert!(!format!("{config:?}").contains("AAAA"), "secrets are not shown");
}

#[test]
fn flags_override_the_file() {
    let mut config = parse("data_dir = \"a\"\n[[zone]]\nname = \"a.example\"\nttl = \"1m\"\n[dns]\nlisten = []\n");
    config.apply(Overrides {
        zones: vec![name("a.example"), name("b.example")],
        zones_dir: Some("z".into()),
        listen: vec!["127.0.0.1:0".parse().expect("address")],
        http: vec!["[::1]:0".parse().expect("address")],
        data_dir: Some("b".into()),
    });
    config.validate().expect("it is right");
    assert_eq!((config.data_dir.to_str(), config.zones_dir.as_deref()), (Some("b"), Some(Path::new("z"))));
    let zones: Vec<_> = config.zone.iter().map(|zone| (zone.name.to_string(), zone.ttl)).collect();
    assert_eq!(zones, [("a.example.".to_owned(), 60), ("b.example.".to_owned(), 30)]);
    assert_eq!(config.http.listen, ["[::1]:0".parse().expect("address")]);
}

#[test]
fn durations_and_sizes_may_be_plain_numbers() {
    let config =
        parse("[dns.tcp]\nidle = 7\nlifetime = \"1h30m\"\n[http]\nbody_limit = 2048\n[store]\nhistory = \"1w\"");
    assert_eq!(config.dns.tcp.idle, Duration::from_secs(7));
    assert_eq!(config.dns.tcp.lifetime, Duration::from_secs(5400));
    assert_eq!(config.http.body_limit, 2048);
    assert_eq!(config.store.history, Duration::from_secs(604_800));
}

/// `name` with letters: f has a file, r takes registrations, p takes PTR, s the server registers itself.
fn plan(text: &str, files: &[&str]) -> Vec<String> {
    let files: Vec<Name> = files.iter().map(|text| name(text)).collect();
    let ZonePlan { zones } = parse(text).plan_zones(&files);
    let flags = |flags: [(bool, char); 4]| flags.into_iter().filter(|(on, _)| *on).map(|(_, c)| c).collect::<String>();
    let shown = zones.iter().map(|zone| {
        let flags =
            flags([(zone.has_file, 'f'), (zone.registrations, 'r'), (zone.reverse, 'p'), (zone.self_register, 's')]);
        format!("{} {flags}", zone.name).trim_end().to_owned()
    });
    shown.collect()
}

#[test]
fn registrations_go_into_declared_zones() {
    let two = "[[zone]]\nname = \"a.example\"\n[[zone]]\nname = \"b.example\"\nregistrations = false\n";
    assert_eq!(plan(two, &["c.example", "a.example"]), ["a.example. frs", "b.example.", "c.example. f"]);
    let quiet = "[server]\nself_register = false\n[[zone]]\nname = \"a.example\"\n";
    assert_eq!(plan(quiet, &[]), ["a.example. r"]);
}

#[test]
fn without_a_declared_zone_one_file_takes_registrations_or_the_default_zone_does() {
    assert_eq!(plan("", &[]), ["sd.internal. rs"]);
    assert_eq!(plan("", &["a.example"]), ["a.example. fr"]);
    assert_eq!(plan("", &["a.example", "2.0.192.in-addr.arpa"]), ["a.example. fr", "2.0.192.in-addr.arpa. f"]);
    assert_eq!(plan("", &["a.example", "b.example"]), ["a.example. f", "b.example. f"]);
    assert_eq!(plan("", &["2.0.192.in-addr.arpa"]), ["2.0.192.in-addr.arpa. f"]);
}

#[test]
fn reverse_zones_take_ptr_records() {
    let text =
        "reverse = [\"192.0.2.0/24\"]\n[[zone]]\nname = \"a.example\"\n[[zone]]\nname = \"8.b.d.0.1.0.0.2.ip6.arpa\"\n";
    let expected = ["a.example. rs", "8.b.d.0.1.0.0.2.ip6.arpa. p", "2.0.192.in-addr.arpa. fp"];
    assert_eq!(plan(text, &["2.0.192.in-addr.arpa"]), expected);
}

#[test]
fn name_servers_and_mail_address_are_filled_in() {
    let text = "reverse = [\"192.0.2.0/24\"]\n[dns]\nlisten = [\"192.0.2.53:53\", \"[::]:53\"]\n[[zone]]\nname = \"a.example\"\n\
                [[zone]]\nname = \"b.example\"\nns = [\"ns.example.net\"]\nhostmaster = \"j.doe@example.net\"\n";
    let plan = parse(text).plan_zones([]);
    let [a, b, reverse] = &plan.zones[..] else { panic!("{plan:?}") };
    assert_eq!(a.settings.ns, [name("ns1.a.example")]);
    assert_eq!(a.settings.ns_addresses, ["192.0.2.53".parse::<std::net::IpAddr>().expect("address")]);
    assert_eq!(a.settings.hostmaster, Some(name("hostmaster.a.example")));
    assert_eq!((&b.settings.ns[..], &b.settings.ns_addresses[..]), (&[name("ns.example.net")][..], &[][..]));
    assert_eq!(b.settings.hostmaster, Some(name("j\\.doe.example.net")));
    assert_eq!(reverse.settings.ns, [name("ns1.a.example")]);
    assert_eq!(reverse.settings.hostmaster, Some(name("hostmaster.a.example")));
    assert!(reverse.settings.ns_addresses.is_empty());
}

#[test]
fn the_server_has_a_name_and_addresses() {
    let config = parse("[http]\nlisten = [\"0.0.0.0:8053\", \"192.0.2.1:8053\"]\n");
    assert_eq!(config.advertised(&config.http.listen), ["http://192.0.2.1:8053"]);
    assert_eq!(config.server_id(Some("Web_1.example.org")), "web-1");
    assert_eq!(config.server_id(None), "server");
    assert_eq!(parse("[server]\nid = \"NS1\"\n").server_id(Some("x")), "ns1");
}

#[test]
fn zone_files_of_a_directory_are_found_and_read() {
    use zonebeat::config::zones;
    let folder = tempfile::tempdir().expect("a directory");
    for (file, text) in [
        ("b.example.zone", "$TTL 300\n@ SOA ns.example.net. h 1 3 2 5 5\n@ NS ns.example.net.\n$INCLUDE more.inc\n"),
        ("a.example.zone", "$TTL 300\n@ SOA ns.example.net. h 1 3 2 5 5\n@ NS ns.example.net.\n"),
        ("broken.example.zone", "@ 300 A 300.1.1.1\n"),
        ("more.inc", "www A 192.0.2.1\n"),
        ("README", "no zone"),
        (".hidden.zone", "no zone"),
    ] {
        std::fs::write(folder.path().join(file), text).expect("written");
    }
    let files = zones::zone_files(folder.path()).expect("listed");
    let loaded = zonebeat::zone::load(&zones::read_file, &files);
    let origins: Vec<_> = loaded.zones.iter().map(|zone| (zone.origin.to_string(), zone.records.len())).collect();
    assert_eq!(origins, [("a.example.".to_owned(), 2), ("b.example.".to_owned(), 3)]);
    assert_eq!(loaded.broken.len(), 1);
    assert_eq!(loaded.findings.iter().filter(|finding| finding.is_error()).count(), 1);

    std::fs::write(folder.path().join("a.example.zone"), "@ 300 A nonsense\n").expect("written");
    std::fs::remove_file(folder.path().join("b.example.zone")).expect("removed");
    let files = zones::zone_files(folder.path()).expect("listed");
    let kept = zonebeat::zone::load(&zones::read_file, &files).or_keep(&loaded.zones);
    let origins: Vec<_> = kept.iter().map(|zone| zone.origin.to_string()).collect();
    assert_eq!(origins, ["a.example."], "the broken file's last good data stay, the removed file's go");
    assert!(zones::zone_files(&folder.path().join("missing")).is_err());
    assert!(zones::read_file("/dev/zero").is_err());
}

#[test]
fn values_of_a_wrong_kind_are_told_what_would_be_right() {
    for (text, right) in [
        ("[dns.rate_limit]\nslip = 1000", "a whole number from 0 to 255"),
        ("[dns.rate_limit]\nper_name = -5", "a whole number from 0 to 4294967295"),
        ("[dns.rate_limit]\nper_name = \"5\"", "a whole number from 0 to 4294967295"),
        ("[dns.tcp]\nin_flight = -1", "a whole number that is not negative"),
        ("[dns.cookies]\nrequire = \"yes\"", "true or false"),
        ("[dns]\nallow_query = \"192.0.2.0/24\"", "a list in brackets"),
        ("[dns.encrypted]\nhttps_path = 5", "a text in quotes"),
        ("[dns]\nrate_limit = 5", "a table of keys"),
    ] {
        let findings = findings(text);
        assert!(findings[0].message.contains(right), "{:?}", findings[0]);
    }
}

#[test]
fn a_file_of_secrets_that_cannot_be_used_is_found_by_check() {
    let file = std::env::temp_dir().join(format!("zonebeat-secrets-{}", std::process::id()));
    let config = parse(&format!("[dns.cookies]\nsecret_file = {file:?}"));
    let check = || config.check_files(zonebeat::model::Timestamp(0)).map_err(|error| error.to_string());
    let said = check().unwrap_err();
    assert!(said.contains("cannot read") && said.contains("zonebeat-secrets"), "{said}");
    std::fs::write(&file, "not a secret\n").expect("a file of the test");
    assert!(check().unwrap_err().contains("32 hexadecimal digits"));
    std::fs::write(&file, format!("{}\n", "ab".repeat(16))).expect("a file of the test");
    assert_eq!(check(), Ok(Vec::new()));
    std::fs::remove_file(&file).expect("a file of the test");
}
