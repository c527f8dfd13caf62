//! Names that were not given: the session's is the host's, an instance's the host's first label and its port.

use crate::model::name::MAX_LABEL;

/// Where Linux tells the host name.
const HOSTNAME_FILE: &str = "/proc/sys/kernel/hostname";

/// The name of this machine, in lower case; empty if it has none.
pub fn host_name() -> String {
    let name = std::fs::read_to_string(HOSTNAME_FILE).or_else(|_| std::env::var("HOSTNAME")).unwrap_or_default();
    name.trim().to_ascii_lowercase()
}

/// The id of an instance on a host: its first label and the port; other characters become hyphens, too long is cut.
/// The error says what to do.
pub fn default_id(host: &str, port: u16) -> Result<String, String> {
    id_of(host, port).ok_or_else(|| format!("the host name \"{host}\" has nothing to make an id of; give one"))
}

fn id_of(host: &str, port: u16) -> Option<String> {
    let first = host.trim().split('.').next().unwrap_or_default().to_ascii_lowercase();
    let words = first.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let label = words.collect::<Vec<_>>().join("-");
    let suffix = format!("-{port}");
    let cut = label.get(..MAX_LABEL - suffix.len()).unwrap_or(&label).trim_end_matches('-');
    (!cut.is_empty()).then(|| format!("{cut}{suffix}"))
}

/// The name of a session: the host's, with what no session name has made into hyphens.
pub fn session_name(host: &str) -> Option<String> {
    let right = |c: char| c.is_ascii_alphanumeric() || "-_.:@".contains(c);
    let name: String = host.chars().take(LONGEST_SESSION).map(|c| if right(c) { c } else { '-' }).collect();
    (!name.is_empty()).then_some(name)
}

/// The longest name of a session that a server takes.
const LONGEST_SESSION: usize = 128;

/// A text that no other start of this process, or of another one, has.
pub fn epoch() -> String {
    let random = getrandom::u64().unwrap_or_default();
    format!("{}-{random:016x}", std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::label::{LabelKind, parse_label};

    #[test]
    fn host_names_become_labels() {
        assert_eq!(id_of("Web_01.example.org\n", 8080).as_deref(), Some("web-01-8080"));
        assert_eq!(id_of("__", 8080), None);
        assert_eq!(id_of("", 8080), None);
        for hostname in ["a".repeat(200), format!("{}--b", "a".repeat(57)), "größe".into(), "-x-".into()] {
            let id = id_of(&hostname, 65535).expect("id");
            assert_eq!(parse_label(LabelKind::Instance, &id).as_ref(), Ok(&id), "{hostname}");
        }
    }
}
