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
    let label = first_label(host);
    let suffix = format!("-{port}");
    let cut = label.get(..MAX_LABEL - suffix.len()).unwrap_or(&label).trim_end_matches('-');
    (!cut.is_empty()).then(|| format!("{cut}{suffix}"))
}

/// The id of an instance in a container: the host's first label and the container's name, which is the same on many
/// hosts. The host's part is cut where both are too long.
pub(super) fn container_id(host: &str, container: &str) -> Option<String> {
    let (host, name) = (first_label(host), as_label(container));
    let room = MAX_LABEL.checked_sub(name.len() + 1).filter(|_| !name.is_empty());
    let cut = room.map(|room| host.get(..room).unwrap_or(&host).trim_end_matches('-'));
    match cut {
        Some("") => Some(name),
        Some(cut) => Some(format!("{cut}-{name}")),
        None => Some(name).filter(|name| (1..=MAX_LABEL).contains(&name.len())),
    }
}

fn first_label(host: &str) -> String {
    as_label(host.trim().split('.').next().unwrap_or_default())
}

/// A text in lower case whose other characters are hyphens, none of them at either end or beside another.
fn as_label(text: &str) -> String {
    let text = text.to_ascii_lowercase();
    let words = text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("-")
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

    #[test]
    fn names_of_containers_become_labels() {
        assert_eq!(container_id("host-17.example.org", "shop_web_1").as_deref(), Some("host-17-shop-web-1"));
        assert_eq!(container_id("", "web.1").as_deref(), Some("web-1"));
        assert_eq!(container_id("host-17", "__"), None);
        assert_eq!(container_id("host-17", &"w".repeat(64)), None);
        for name in ["w".repeat(59), "w".repeat(62), "w".repeat(63)] {
            let id = container_id("host-17", &name).expect("id");
            assert_eq!(parse_label(LabelKind::Instance, &id).as_ref(), Ok(&id), "{name}");
        }
    }
}
