//! The README's transcript is run: every command in it, in one shell, against a server of the quick start's
//! configuration on other ports; and what the README shows of each output has to come back.

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use support::{Server, Setup};

/// A command of the transcript with the lines that the README shows of its output.
#[derive(Debug)]
struct Step {
    command: String,
    output: Vec<String>,
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The commands behind `$ ` in the README's indented blocks.
fn transcript() -> Vec<Step> {
    let readme = fs::read_to_string(root().join("README.md")).expect("there is a README");
    let mut steps: Vec<Step> = Vec::new();
    let mut is_output = false;
    for line in readme.lines() {
        let Some(text) = line.strip_prefix("    ") else {
            is_output &= line.is_empty();
            continue;
        };
        if let Some(command) = text.strip_prefix("$ ") {
            steps.push(Step { command: command.to_owned(), output: Vec::new() });
            is_output = true;
        } else if let Some(step) = steps.last_mut().filter(|_| is_output && text != "...") {
            step.output.push(text.to_owned());
        }
    }
    steps
}

/// The quick start's configuration, without the listeners that flags take the place of.
fn quickstart() -> Server {
    let config =
        fs::read_to_string(root().join("config/quickstart.toml")).expect("the quick start has a configuration");
    let zones = format!("zones_dir = \"{}\"", root().join("zones").display());
    assert!(config.contains("zones_dir = \"zones\""), "{config}");
    Setup::bare().config(&config.replace("zones_dir = \"zones\"", &zones)).start()
}

/// The transcript as a script: each command behind a marker, with the waits that a person makes by reading.
fn script(server: &Server, steps: &[Step]) -> String {
    let mut script = String::from("set -m\n");
    for (number, step) in steps.iter().enumerate() {
        let (dns, http) = (server.dns().port(), server.http());
        let command =
            step.command.replace("-p 5300", &format!("-p {dns}")).replace("127.0.0.1:8053", &http.to_string());
        script.push_str(&format!("echo; echo '<<<{number}>>>'\n{command}\n"));
        if command.ends_with('&') {
            script.push_str("until grep -q 'answered as' \"$OUTPUT\"; do sleep 0.05; done\n");
        } else if command.starts_with("kill ") {
            script.push_str("wait\n");
        }
    }
    script
}

/// Runs the script in a folder where `target/release/zonebeat` is the binary of this build; everything that it prints.
fn run(server: &Server, script: &str) -> String {
    let folder = tempfile::tempdir().expect("a temporary directory can be made");
    let output = folder.path().join("output");
    fs::create_dir_all(folder.path().join("target/release")).expect("directory can be made");
    let binary = folder.path().join("target/release/zonebeat");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_zonebeat"), binary).expect("a link can be made");
    let file = fs::File::create(&output).expect("a file can be made");
    let mut command = Command::new("timeout");
    command.args(["60", "bash", "-c", script]).current_dir(folder.path()).stdin(Stdio::null());
    command.env("OUTPUT", &output).env("ZONEBEAT_SERVER", server.url()).env_remove("ZONEBEAT_TOKEN");
    command.stdout(file.try_clone().expect("a descriptor is left")).stderr(file);
    let status = command.status().expect("bash is installed");
    let text = read(&output);
    assert!(status.success(), "{status}:\n{text}");
    text
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).expect("the output is text")
}

/// The words of a line that come back every time: not times, numbers that count, or the names of this host.
fn stable(line: &str) -> Vec<String> {
    let is_record = line.contains(" IN ") && !line.contains("SOA") || line.contains("flags:");
    let words = line.split_whitespace().filter(|word| is_record || is_stable(word));
    words.map(str::to_owned).collect()
}

fn is_stable(word: &str) -> bool {
    let is_address = word.trim_start_matches('[').starts_with("192.0.2.") || word.contains("2001:db8:");
    let is_label = word.contains("_tcp") || word.contains("example.org") || ["a1", "a2"].contains(&word);
    let is_json = word.starts_with('{');
    !is_json
        && (is_address || is_label || !word.contains(|c: char| c.is_ascii_digit()))
        && !["ago", "vm"].contains(&word)
        && !["ago:", "min", "s", "h"].contains(&word)
}

/// The members of a reply in JSON that come back every time.
fn stable_members(line: &str) -> Vec<String> {
    let value: serde_json::Value = serde_json::from_str(line).expect("a reply is JSON");
    let counted = ["incarnation", "revision", "heartbeat_seconds", "servers"];
    let members = value.as_object().into_iter().flatten().filter(|(key, _)| !counted.contains(&key.as_str()));
    members.map(|(key, value)| format!("\"{key}\":{value}")).collect()
}

#[test]
fn the_transcript_of_the_readme_is_true() {
    let steps = transcript();
    assert!(steps.len() >= 10, "the README has a transcript: {steps:#?}");
    let server = quickstart();
    let output = run(&server, &script(&server, &steps));
    let mut faults = Vec::new();
    for (number, step) in steps.iter().enumerate() {
        // What runs in the background prints a little later.
        let here = output.split(&format!("<<<{number}>>>")).nth(1).unwrap_or_default();
        let here = here.split(&format!("<<<{}>>>", number + 2)).next().unwrap_or_default();
        for line in &step.output {
            let parts = if line.starts_with('{') { stable_members(line) } else { stable(line) };
            if !here.lines().any(|came| parts.iter().all(|part| came.contains(part.as_str()))) {
                faults.push(format!("$ {}\nno line with {parts:?} in:{here}", step.command));
            }
        }
    }
    assert!(faults.is_empty(), "the README shows what does not come:\n{}", faults.join("\n"));
}

#[test]
fn the_first_query_of_the_readme_has_an_answer() {
    let readme = fs::read_to_string(root().join("README.md")).expect("there is a README");
    assert!(readme.contains("    dig @127.0.0.1 -p 5300 _zonebeat._tcp.sd.example.org SRV\n"));
    let server = quickstart();
    let answer = server.dig(&["_zonebeat._tcp.sd.example.org", "SRV"]);
    assert!(answer.contains("ANSWER: 1") && answer.contains(&format!(" {} ", server.http().port())), "{answer}");
}

#[test]
fn what_the_server_prints_first_can_be_typed() {
    let server = quickstart();
    server.await_log("services --server");
    let log = server.log();
    let commands: Vec<&str> = log.lines().filter_map(|line| line.strip_prefix("  ")).collect();
    let commands = commands.into_iter().filter(|line| !line.starts_with('#') && !line.contains(" register "));
    let script = commands.map(|command| format!("{command} || exit 1\n")).collect::<String>();
    assert_eq!(script.lines().count(), 4, "{script}");
    let output = run(&server, &script);
    for part in ["_zonebeat._tcp.sd.example.org. 30 IN", "\"id\":\"a1\"", "a1.search.sd.example.org.", "SERVICE"] {
        assert!(output.contains(part), "no {part:?} in {output}");
    }
}
