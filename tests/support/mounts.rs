//! Mount namespaces for tests.

use std::process::Command;

/// `unshare --mount`, also where the root directory is no mount point, as in a chroot: there is nothing to make private
/// then.
pub fn unshare_mounts() -> Command {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").expect("/proc is mounted");
    let has_root = mounts.lines().any(|line| line.split(' ').nth(4) == Some("/"));
    let mut command = Command::new("unshare");
    command.arg("--mount");
    if !has_root {
        command.args(["--propagation", "unchanged"]);
    }
    command
}
