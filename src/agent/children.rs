//! What the programs that we start do not get of our environment: our own secrets.

/// Variables that a command or a check has no use for; where the servers are (`ZONEBEAT_SERVER`) is no secret.
const SECRETS: [&str; 1] = ["ZONEBEAT_TOKEN"];

/// Takes our secrets out of the environment of a program that is about to start.
pub(super) fn keep_secrets(from: &mut tokio::process::Command) {
    SECRETS.iter().for_each(|name| {
        from.env_remove(name);
    });
}
