//! `zonebeat check`: what it reads, what it prints, how it exits.

use std::path::PathBuf;

use zonebeat::cli::check::{CheckArgs, Verdict, check};

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
    assert!(out.contains("ok, zone a.example. with 4 records"), "{out}");
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
    assert!(err.contains("there is no file NAME.zone here"), "{err}");
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
