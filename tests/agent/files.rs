//! What people write: files of services, the agent's configuration, and the schema that describes them.

use std::path::Path;

use serde_json::{Value, json};
use zonebeat::agent::config::{AgentConfig, is_config};
use zonebeat::agent::services::{Planned, parse, schema};
use zonebeat::model::Finding;

use super::support::zonebeat;
use super::world::Home;

fn read(text: &str) -> Result<Vec<Planned>, Vec<Finding>> {
    parse("search.toml", "search", "host-17.example.org", text)
}

fn findings(text: &str) -> Vec<String> {
    read(text).expect_err(text).iter().map(ToString::to_string).collect()
}

fn root(file: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(file)
}

#[test]
fn a_port_is_enough() {
    let planned = read("port = 8080").expect("a service");
    assert_eq!(planned[0].key.to_string(), "search/host-17-8080");
    assert_eq!((planned.len(), planned[0].registration.port, planned[0].checks.len()), (1, 8080, 0));
}

#[test]
fn instances_override_the_top_of_the_file() {
    let text = r#"
        service = "index"
        site = "lon"
        tags = ["canary"]
        [[check]]
        probe = "tcp"
        [[instance]]
        id = "b1"
        port = 1
        [[instance]]
        id = "b2"
        port = 2
        site = "sto"
        [[instance.check]]
        probe = "grpc"
    "#;
    let planned = read(text).expect("two instances");
    let site = |at: usize| planned[at].registration.site.as_deref();
    let check = |at: usize| planned[at].checks[0].text.as_str();
    assert_eq!((site(0), site(1), check(0), check(1)), (Some("lon"), Some("sto"), "tcp", "grpc"));
    assert_eq!(planned[1].registration.tags, ["canary"]);
}

#[test]
fn what_is_wrong_is_said_with_its_place_and_a_suggestion() {
    for (text, expected) in [
        ("prot = 1", "search.toml:1:1: error: unknown key \"prot\"; did you mean \"proto\"?"),
        (
            "port = 1\n[[check]]\nprobe = \"tcp\"\nintervall = 1",
            "search.toml:4:1: error: unknown key \"intervall\"; did you mean \"interval\"?",
        ),
        ("port = 70000", "search.toml:1:8: error: "),
        ("site = \"a b\"\nport = 1", "search.toml:1:8: error: site label \"a b\" has the character \" \""),
        ("port = 1\n[[check]]\nprobe = \"htp:/\"", "search.toml:3:9: error: \"htp:/\" is not a check"),
        (
            "port = 1\n[[check]]\nprobe = \"http:/\"\nstatus = \"abc\"",
            "search.toml:4:10: error: \"abc\" is not a status",
        ),
        ("port = 1\n[[check]]\nprobe = \"tcp\"\ninterval = \"0s\"", "search.toml:4:12: error: 0ns is out of range"),
        ("id = \"a\"", "search.toml: error: the service has no port from 1 to 65535"),
        ("[[instance]]\nid = \"a\"", "search.toml:1:1: error: the instance has no port"),
        (
            "port = 1\n[[instance]]\nid = \"a\"\n[[instance]]\nid = \"A\"",
            "search.toml:5:6: error: the file has two instances",
        ),
        ("port = 1\naddresses = [\"192.0.2.1\"]\ntarget = \"h.example.org\"", "search.toml:3:10: error: has both"),
    ] {
        let found = findings(text);
        assert!(found.iter().any(|line| line.starts_with(expected)), "{text}\n{found:#?}");
    }
}

/// The keys that the parser takes at a place, as its own message lists them.
fn keys_of_parser(before: &str) -> Vec<String> {
    let text = format!("{before}\nqqqqqqqqqq = 1");
    let found = findings(&text).concat();
    let (_, list) = found.split_once("keys that are known here: ").unwrap_or_else(|| panic!("{found}"));
    let mut keys: Vec<String> = list.split(", ").map(str::to_owned).collect();
    keys.sort();
    keys
}

fn keys_of_schema(part: &Value) -> Vec<String> {
    assert_eq!(part["additionalProperties"], json!(false), "unknown keys are errors: {part}");
    let mut keys: Vec<String> = part["properties"].as_object().expect("properties").keys().cloned().collect();
    keys.sort();
    keys
}

#[test]
fn the_schema_has_the_keys_of_the_parser() {
    let schema = schema();
    assert_eq!(keys_of_schema(&schema), keys_of_parser("port = 1"));
    assert_eq!(keys_of_schema(&schema["$defs"]["InstanceTable"]), keys_of_parser("[[instance]]\nport = 1"));
    assert_eq!(keys_of_schema(&schema["$defs"]["CheckTable"]), keys_of_parser("port = 1\n[[check]]\nprobe = \"tcp\""));
    assert_eq!(schema["$defs"]["CheckTable"]["required"], json!(["probe"]));
    assert!(schema["required"].as_array().is_none_or(Vec::is_empty), "{}", schema["required"]);
    assert_eq!(schema["properties"]["check"]["items"]["$ref"], "#/$defs/CheckTable");
}

#[test]
fn the_published_schema_is_that_of_the_code() {
    let text = std::fs::read_to_string(root("docs/service.schema.json")).expect("the published schema");
    let published: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(published, schema(), "write it anew: zonebeat agent schema > docs/service.schema.json");
}

/// The example with its commented keys taken in.
fn uncommented(text: &str) -> String {
    let line = |line: &str| match line.strip_prefix('#') {
        Some(key) if key.starts_with(|c: char| c == '[' || c.is_ascii_lowercase()) => key.to_owned(),
        _ => line.to_owned(),
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_examples_are_right() {
    let text = std::fs::read_to_string(root("config/services.d/example.toml")).expect("the example");
    for text in [text.clone(), uncommented(&text)] {
        read(&text).unwrap_or_else(|found| panic!("{found:#?}"));
    }
    let config = AgentConfig::load(&root("config/agent.toml")).expect("the configuration");
    assert_eq!(config, AgentConfig::default());
}

#[test]
fn the_configuration_is_strict() {
    for (text, expected) in [
        ("server = []", "unknown key \"server\"; did you mean \"servers\"?"),
        ("servers = [\"https://192.0.2.1\"]", "agent.toml:1:12: error: \"https://192.0.2.1\": https is not supported"),
        ("lease = \"1s\"", "agent.toml:1:9: error: 1s is out of range"),
        ("token = \"a\"\ntoken_file = \"b\"", "agent.toml:2:14: error: has both token and token_file"),
        (
            "[docker]\nsockets = [\"tcp://192.0.2.1:2375\"]",
            "agent.toml:2:12: error: \"tcp://192.0.2.1:2375\" is not a Unix socket",
        ),
    ] {
        let found = AgentConfig::parse("agent.toml", text).expect_err(text);
        let found: Vec<_> = found.iter().map(ToString::to_string).collect();
        assert!(found.concat().contains(expected), "{text}: {found:?}");
    }
    let found = AgentConfig::parse("agent.toml", "token = zb_secret").expect_err("no text");
    assert!(!format!("{found:?}").contains("zb_secret"), "a token is not shown");
}

#[test]
fn the_command_checks_folders_and_configurations() {
    let home = Home::new();
    home.write("good.toml", "port = 80\nid = \"a1\"");
    home.write("bad.toml", "prot = 80");
    std::fs::write(home.path("agent.toml"), "lease = \"15s\"").expect("a file can be written");
    let check = |files: &[&str]| {
        let mut command = zonebeat();
        command.args(["agent", "check"]).args(files.iter().map(|file| home.path(file)));
        let output = command.output().expect("the binary starts");
        let text = |octets: Vec<u8>| String::from_utf8(octets).expect("text");
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let (code, out, err) = check(&["services.d", "agent.toml"]);
    assert_eq!(code, Some(1));
    assert!(out.contains("good.toml: ok, 1 instance\n") && out.contains("agent.toml: ok"), "{out}");
    assert!(err.contains("bad.toml:1:1") && err.contains("did you mean \"proto\"?") && err.contains("^^^^"), "{err}");
    home.remove("bad.toml");
    assert_eq!(check(&["services.d"]).0, Some(0));
    for missing in ["nothing.toml", "nothing.d/agent.toml", "agent.toml/x"] {
        let (code, out, err) = check(&[missing]);
        assert_eq!((code, out.as_str()), (Some(1), ""), "{missing}");
        assert!(err.contains("cannot be read"), "{err}");
    }
    std::fs::create_dir(home.path("empty.d")).expect("a folder can be made");
    let (code, out, _) = check(&["empty.d"]);
    assert!(code == Some(0) && out.contains("no *.toml file here"), "{out}");
}

#[test]
fn a_configuration_is_known_by_its_keys_whatever_it_is_called() {
    let home = Home::new();
    for (name, text, is_config, wrong) in [
        (
            "host.toml",
            "lease = \"15s\"\nservrs = []",
            true,
            "2:1: error: unknown key \"servrs\"; did you mean \"servers\"?",
        ),
        ("one.toml", "servrs = []", true, "1:1: error: unknown key \"servrs\""),
        ("agent.toml", "port = 80\nprot = \"tcp\"", false, "2:1: error: unknown key \"prot\""),
        ("agent.toml", "qqq = 1", true, "1:1: error: unknown key \"qqq\"; keys that are known here: servers"),
        ("host.toml", "qqq = 1", false, "1:1: error: unknown key \"qqq\"; keys that are known here: service"),
        ("agent.toml", "lease = ", true, "1:"),
        ("search.toml", "port = 80\nid = \"a1\"", false, ""),
        ("other.toml", "lease = \"15s\"", true, ""),
    ] {
        let path = home.path(name);
        std::fs::write(&path, text).expect("a file can be written");
        let output = zonebeat().args(["agent", "check"]).arg(&path).output().expect("the binary starts");
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.code(), Some(i32::from(!wrong.is_empty())), "{text}: {out}{err}");
        if wrong.is_empty() {
            assert_eq!(out.contains("ok, configuration of the agent"), is_config, "{text}: {out}");
            continue;
        }
        let found =
            if is_config { AgentConfig::parse("f", text).map(drop) } else { parse("f", "f", "h", text).map(drop) };
        let found = found.expect_err(text).iter().map(ToString::to_string).collect::<String>();
        assert!(found.starts_with(&format!("f:{wrong}")), "{text}: {found}");
        let said = found.split("error: ").nth(1).and_then(|rest| rest.split(';').next()).expect("a message");
        assert!(err.contains(said), "{text}: {err}");
        let known = found.split("known here: ").nth(1).map(|list| list.split(',').next().expect("one"));
        assert!(known.is_none_or(|first| err.contains(&format!("known here: {first},"))), "{text}: {err}");
    }
}

#[test]
fn the_keys_that_tell_a_configuration_are_all_of_them() {
    let found = AgentConfig::parse("agent.toml", "qqqqqqqqqq = 1").expect_err("it has no such key");
    let text = found[0].to_string();
    let (_, list) = text.split_once("keys that are known here: ").expect("keys");
    for key in list.split(", ") {
        assert_eq!(is_config(&format!("{key} = 1")), Some(true), "{key}");
    }
    for key in keys_of_parser("port = 1") {
        assert_eq!(is_config(&format!("{key} = 1")), Some(false), "{key}");
    }
}
