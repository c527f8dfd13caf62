//! `zonebeat check`: what it reads, what it prints, how it exits.

use std::path::PathBuf;

use zonebeat::cli::check::{CheckArgs, Served, Verdict, check, check_beside};
use zonebeat::model::api::ZoneInfo;
use zonebeat::zone::{digest, parse_text};

/// Verdict, standard output, standard error.
fn run(args: &CheckArgs) -> (Verdict, String, String) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let code = check(args, &mut out, &mut err, false);
    (code, String::from_utf8(out).expect("UTF-8"), String::from_utf8(err).expect("UTF-8"))
}

fn files(files: &[&std::path::Path]) -> CheckArgs {
    CheckArgs { files: files.iter().map(|file| file.to_path_buf()).collect(), ..CheckArgs::default() }
}

const GOOD: &str = "$TTL 300\n@ SOA ns h 1 3 2 5 5\n@ NS ns\nns A 192.0.2.1\n";

#[test]
fn a_broken_file_is_shown_with_carets_and_exit_1() {
    let folder = tempfile::tempdir().expect("a directory");
    let file = folder.path().join("a.example.zone");
    std::fs::write(&file, format!("{GOOD}www  A 300.1.1.1\nb CNAME c\nb A 192.0.2.1\n")).expect("written");
    let (code, out, err) = run(&files(&[&file]));
    assert_eq!(code, Verdict::Wrong);
    let caret = "5 | www  A 300.1.1.1\n  |        ^^^^^^^^^\n";
    assert!(err.contains(&format!("{}:5:8", file.display())) && err.contains(caret), "{err}");
    assert!(err.contains("has a CNAME record at"), "every error is shown: {err}");
    assert!(out.contains("a.example.zone: refused") && out.contains("2 errors, 0 warnings"), "{out}");
}

#[test]
fn warnings_exit_0() {
    let folder = tempfile::tempdir().expect("a directory");
    let file = folder.path().join("a.example.zone");
    std::fs::write(&file, format!("{GOOD}m MX 10 nowhere\n")).expect("written");
    let (code, out, err) = run(&files(&[folder.path()]));
    assert_eq!((code, err.matches("warning:").count()), (Verdict::Right, 1), "{err}");
    assert!(out.contains("zone a.example.: serial 1, 4 records, 1 warning"), "{out}");
}

#[test]
fn json_has_every_finding_with_its_place() {
    let folder = tempfile::tempdir().expect("a directory");
    let zone = folder.path().join("a.example.zone");
    std::fs::write(&zone, format!("{GOOD}www A 300.1.1.1\n")).expect("written");
    let config = folder.path().join("bad.toml");
    std::fs::write(&config, "[dns]\nudp_max = 1\n").expect("written");
    let (code, out, err) = run(&CheckArgs { json: true, ..files(&[&zone, &config]) });
    assert_eq!((code, err.as_str()), (Verdict::Wrong, ""));
    let report: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(report["errors"], 2);
    assert_eq!(report["findings"][0]["line"], 2, "{out}");
    assert_eq!(report["findings"][1]["column"], 7, "{out}");
    assert_eq!(report["files"][1]["ok"], false);
}

#[test]
fn a_configuration_brings_its_zone_files() {
    let folder = tempfile::tempdir().expect("a directory");
    std::fs::write(folder.path().join("a.example.zone"), "nonsense\n").expect("written");
    let config = folder.path().join("c.toml");
    std::fs::write(&config, format!("zones_dir = {:?}\n", folder.path())).expect("written");
    let with = CheckArgs { config: Some(config.clone()), ..CheckArgs::default() };
    assert_eq!(run(&with).0, Verdict::Wrong);
    assert_eq!(run(&files(&[&config])).0, Verdict::Right, "a file that is only named is checked alone");
    let elsewhere = tempfile::tempdir().expect("a directory");
    let args = CheckArgs { zones_dir: Some(elsewhere.path().to_owned()), ..with };
    let (code, _, err) = run(&args);
    assert_eq!(code, Verdict::Right);
    assert!(err.contains("there is no "), "{err}");
}

#[test]
fn files_that_cannot_be_read_are_errors_and_others_wrong_usage() {
    let (code, _, err) = run(&files(&["missing.example.zone".as_ref(), "missing.toml".as_ref()]));
    assert_eq!((code, err.matches("cannot").count()), (Verdict::Wrong, 2), "{err}");
    let (verdict, _, _) = run(&files(&["README.md".as_ref()]));
    assert!(matches!(&verdict, Verdict::Usage(why) if why.contains("README.md")), "{verdict:?}");
}

#[test]
fn the_files_of_this_package_are_right() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let args = files(&[&root.join("config/zonebeat.toml"), &root.join("config/quickstart.toml"), &root.join("zones")]);
    let (code, out, err) = run(&args);
    assert_eq!((code, err.as_str()), (Verdict::Right, ""), "{out}");
}

#[test]
fn strict_takes_warnings_for_errors_and_a_largest_ttl_is_one() {
    let folder = tempfile::tempdir().expect("a directory");
    let file = folder.path().join("a.example.zone");
    std::fs::write(&file, format!("{GOOD}m MX 10 nowhere\n")).expect("written");
    let (verdict, _, err) = run(&CheckArgs { strict: true, ..files(&[&file]) });
    assert_eq!(verdict, Verdict::Wrong);
    assert!(err.contains("warning: MX target") && !err.contains("error: "), "{err}");
    std::fs::write(&file, GOOD).expect("written");
    assert_eq!(run(&CheckArgs { strict: true, ..files(&[&file]) }).0, Verdict::Right);
    let (verdict, _, err) = run(&CheckArgs { max_ttl: Some(200), ..files(&[&file]) });
    assert_eq!(verdict, Verdict::Wrong);
    assert!(err.contains("TTL 300 is over the largest that is allowed, 200"), "{err}");
}

#[test]
fn json_tells_of_each_file_what_it_is() {
    let folder = tempfile::tempdir().expect("a directory");
    let file = folder.path().join("a.example.zone");
    std::fs::write(&file, format!("{GOOD}m MX 10 nowhere\n")).expect("written");
    let (_, out, _) = run(&CheckArgs { json: true, ..files(&[&file]) });
    let report: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    let told = &report["files"][0];
    assert_eq!((told["zone"].as_str(), told["serial"].as_u64()), (Some("a.example."), Some(1)));
    assert_eq!((told["records"].as_u64(), told["warnings"].as_u64()), (Some(4), Some(1)));
    assert_eq!(report["findings"][0]["source"], "m MX 10 nowhere");
}

/// What is told of a file beside a server that has `served`, as a zone of that kind.
fn beside(served: &str, kind: &str, file: &str) -> (Verdict, String, String) {
    let folder = tempfile::tempdir().expect("a directory");
    let path = folder.path().join("a.example.zone");
    std::fs::write(&path, file).expect("written");
    let origin = "a.example".parse().expect("name");
    let (zone, _) = parse_text("served", served.as_bytes(), &origin).expect("zone");
    let base: u32 = served.split_whitespace().nth(6).expect("a serial").parse().expect("a number");
    let info = ZoneInfo {
        name: "a.example.".to_owned(),
        kind: kind.to_owned(),
        serial: if kind == "static" { base } else { base.wrapping_add(40) },
        base_serial: base,
        ready: true,
        readable: true,
        names: 2,
        records: zone.records.len(),
        digest: Some(digest(&zone.origin, zone.records.iter().map(|stated| &stated.record))),
    };
    let served = Served { server: "http://192.0.2.1:8053".to_owned(), zones: vec![info] };
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let verdict = check_beside(&files(&[&path]), Some(&served), &mut out, &mut err, false);
    let text = |octets: Vec<u8>| String::from_utf8(octets).expect("UTF-8");
    (verdict, text(out), text(err))
}

fn with_serial(serial: u32) -> String {
    GOOD.replacen("ns h 1 ", &format!("ns h {serial} "), 1)
}

#[test]
fn serials_are_compared_with_the_running_server() {
    let more = |serial| with_serial(serial) + "www A 192.0.2.9\n";
    let (verdict, out, err) = beside(&with_serial(7), "static", &with_serial(7));
    assert_eq!((verdict, err.as_str()), (Verdict::Right, ""));
    assert!(out.contains("serial 7, 3 records, unchanged"), "{out}");
    let (verdict, out, _) = beside(&with_serial(7), "static", &more(8));
    assert_eq!(verdict, Verdict::Right);
    assert!(out.contains("serial moves on from 7"), "{out}");
    let (verdict, _, err) = beside(&with_serial(7), "static", &more(7));
    assert_eq!(verdict, Verdict::Right);
    assert!(
        err.contains("warning: the records differ from those of http://192.0.2.1:8053") && err.contains("write 8"),
        "{err}"
    );
    assert!(err.contains("2 | @ SOA ns h 7"), "the line is shown: {err}");
    let (verdict, _, err) = beside(&with_serial(7), "static", &more(6));
    assert_eq!(verdict, Verdict::Wrong);
    assert!(err.contains("error: serial 6 is lower than 7"), "{err}");
    let (verdict, _, err) = beside(&with_serial(7), "static", &more(4_000_000_000));
    assert_eq!(verdict, Verdict::Wrong);
    assert!(err.contains("error: serial 4000000000 is more than 2147483647 over 7"), "{err}");
}

#[test]
fn a_zone_with_registrations_counts_on_from_its_base() {
    let (verdict, out, err) = beside(&with_serial(7), "registrations", &(with_serial(7) + "www A 192.0.2.9\n"));
    assert_eq!((verdict, err.as_str()), (Verdict::Right, ""));
    assert!(out.contains("the server counts the serial on"), "{out}");
    let (verdict, _, err) = beside(&with_serial(7), "registrations", &with_serial(6));
    assert_eq!(verdict, Verdict::Wrong);
    assert!(err.contains("answers base and revision, 47 now"), "{err}");
}

#[test]
fn a_delegation_is_compared_with_the_zone_below() {
    let folder = tempfile::tempdir().expect("a directory");
    let above = format!("{GOOD}sub NS ns.sub\nns.sub A 192.0.2.7\n");
    std::fs::write(folder.path().join("a.example.zone"), above).expect("written");
    std::fs::write(folder.path().join("sub.a.example.zone"), format!("{GOOD}@ NS ns2.example.net.\n"))
        .expect("written");
    let (verdict, _, err) = run(&files(&[folder.path()]));
    assert_eq!((verdict, err.matches("warning:").count()), (Verdict::Right, 2), "{err}");
    assert!(err.contains("the delegation of sub.a.example. names ns.sub.a.example.; that zone itself says"), "{err}");
    assert!(
        err.contains("the A glue of ns.sub.a.example. is not what") && err.contains("6 | ns.sub A 192.0.2.7"),
        "{err}"
    );
}

#[test]
fn a_target_that_is_an_alias_in_another_zone_is_told() {
    let folder = tempfile::tempdir().expect("a directory");
    let one = format!("{GOOD}m MX 10 www.b.example.\nn MX 10 www.b.example.\no MX 10 nothing.b.example.\n");
    std::fs::write(folder.path().join("a.example.zone"), one).expect("written");
    std::fs::write(folder.path().join("b.example.zone"), format!("{GOOD}www CNAME ns\n")).expect("written");
    let (_, _, err) = run(&files(&[folder.path()]));
    assert_eq!(err.matches("warning:").count(), 1, "{err}");
    assert!(err.contains("MX target www.b.example. is an alias in the zone b.example."), "{err}");
    assert!(err.contains("a.example.zone:5:1"), "{err}");
}

#[test]
fn a_large_zone_is_checked_in_linear_time() {
    let zone = |names: usize| -> String {
        let hosts =
            (0..names).map(|n| format!("h{n} A 192.0.2.1\nm{n} MX 10 h{n}\nd{n} NS ns.d{n}\nns.d{n} A 192.0.2.2\n"));
        std::iter::once(GOOD.to_owned()).chain(hosts).collect()
    };
    let origin = "a.example".parse().expect("name");
    let time = |names: usize| {
        let text = zone(names);
        let started = std::time::Instant::now();
        let (read, findings) = parse_text("zone", text.as_bytes(), &origin).expect("zone");
        assert_eq!((read.records.len(), findings.len()), (3 + 4 * names, 0));
        started.elapsed()
    };
    let (small, large) = (time(3_000), time(30_000));
    assert!(
        large < small * 40 + std::time::Duration::from_secs(1),
        "{small:?} for 12,000 names, {large:?} for 120,000"
    );
}

#[test]
fn warnings_do_not_refuse_a_zone_however_many_they_are() {
    let too_long: String = (0..1500).map(|i| format!("h{i} 4294967295 A 192.0.2.1\n")).collect();
    let parsed = zonebeat::zone::parse_text("a.example.zone", format!("{GOOD}{too_long}").as_bytes(), &apex());
    let (zone, findings) = parsed.expect("BIND loads it too");
    assert!(zone.records.len() > 1500);
    assert_eq!(findings.len(), 1001, "{:?}", findings.last());
    assert_eq!(findings[1000].message, "500 more warnings are not shown");
}

#[test]
fn what_is_not_shown_is_counted_and_errors_are_shown_first() {
    let hosts: String = (0..1200).map(|i| format!("h_{i} A 192.0.2.1\n")).collect();
    let text = format!("{GOOD}{hosts}c CNAME d\nc A 192.0.2.1\n");
    let findings = zonebeat::zone::parse_text("a.example.zone", text.as_bytes(), &apex()).expect_err("refused");
    assert_eq!(findings.iter().filter(|finding| finding.is_error()).count(), 1);
    assert!(findings.last().is_some_and(|last| last.message == "200 more warnings are not shown"), "{findings:?}");

    let wrong: String = (0..1500).map(|i| format!("h{i} A 192.0.2\n")).collect();
    let text = format!("{GOOD}{wrong}");
    let findings = zonebeat::zone::parse_text("a.example.zone", text.as_bytes(), &apex()).expect_err("refused");
    assert_eq!(findings.len(), 1001);
    assert_eq!(findings[1000].message, "there are 1000 errors; the rest is not read");
}

#[test]
fn the_largest_ttl_counts_before_the_ttls_of_a_set_are_made_one() {
    let folder = tempfile::tempdir().expect("a directory");
    let file = folder.path().join("a.example.zone");
    std::fs::write(&file, format!("{GOOD}h 7000 A 192.0.2.1\ni A 192.0.2.2\nh 300 A 192.0.2.3\n")).expect("written");
    let (verdict, _, err) = run(&CheckArgs { max_ttl: Some(600), ..files(&[&file]) });
    assert_eq!(verdict, Verdict::Wrong);
    let line = GOOD.lines().count() + 1;
    assert!(err.contains("TTL 7000 is over the largest that is allowed, 600"), "{err}");
    assert!(err.contains(&format!("a.example.zone:{line}:1")), "{err}");
    std::fs::write(&file, format!("{GOOD}h 300 A 192.0.2.1\nh 7000 A 192.0.2.3\n")).expect("written");
    assert_eq!(run(&CheckArgs { max_ttl: Some(600), ..files(&[&file]) }).0, Verdict::Right, "as named-checkzone -l");
}

fn apex() -> zonebeat::model::Name {
    "a.example".parse().expect("a name")
}

#[test]
fn a_configuration_whose_directory_is_missing_is_refused_and_nothing_else() {
    let folder = tempfile::tempdir().expect("a directory");
    let config = folder.path().join("zonebeat.toml");
    std::fs::write(&config, "zones_dir = \"/nowhere/zones\"\n").expect("written");
    let (verdict, out, _) = run(&CheckArgs { config: Some(config.clone()), ..CheckArgs::default() });
    assert_eq!(verdict, Verdict::Wrong);
    assert_eq!(out, format!("{}: refused\n1 error, 0 warnings\n", config.display()));
}

#[test]
fn a_zone_that_the_zone_above_does_not_delegate_is_told() {
    let folder = tempfile::tempdir().expect("a directory");
    let write =
        |name: &str, more: &str| std::fs::write(folder.path().join(name), format!("{GOOD}{more}")).expect("written");
    write("a.example.zone", "");
    write("x.y.a.example.zone", "");
    let lost = "no NS record of the zone a.example. leads to x.y.a.example.: resolvers do not find it";
    let (verdict, _, err) = run(&files(&[folder.path()]));
    assert_eq!(verdict, Verdict::Right);
    assert!(err.contains(lost) && err.contains("x.y.a.example.zone:2:1"), "{err}");
    for delegation in ["x.y NS ns.x.y\nns.x.y A 192.0.2.1\n", "y NS ns\n"] {
        write("a.example.zone", delegation);
        let (_, _, err) = run(&files(&[folder.path()]));
        assert!(!err.contains("leads to"), "{delegation}: {err}");
    }
    write("a.example.zone", "");
    write("y.a.example.zone", "broken A 1\n");
    let (_, _, err) = run(&files(&[folder.path()]));
    assert!(!err.contains("leads to"), "the broken zone may lead to it: {err}");
}
