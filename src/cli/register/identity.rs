//! The id of an instance that was given none: the machine's host label and the port.

use super::super::Failure;
use crate::model::name::MAX_LABEL;

/// Where Linux tells the host name.
const HOSTNAME_FILE: &str = "/proc/sys/kernel/hostname";

/// The default id on this machine.
pub(super) fn default_id(port: u16) -> Result<String, Failure> {
    let hostname = std::fs::read_to_string(HOSTNAME_FILE).or_else(|_| std::env::var("HOSTNAME")).unwrap_or_default();
    id_of(&hostname, port).ok_or_else(|| {
        let name = hostname.trim();
        Failure::Usage(format!("this machine's host name \"{name}\" has nothing to make an id of; give one with --id"))
    })
}

/// The first label of the host name and the port, as a label: other characters become hyphens, too long is cut.
fn id_of(hostname: &str, port: u16) -> Option<String> {
    let first = hostname.trim().split('.').next().unwrap_or_default().to_ascii_lowercase();
    let words = first.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let label = words.collect::<Vec<_>>().join("-");
    let suffix = format!("-{port}");
    let cut = label.get(..MAX_LABEL - suffix.len()).unwrap_or(&label).trim_end_matches('-');
    (!cut.is_empty()).then(|| format!("{cut}{suffix}"))
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
