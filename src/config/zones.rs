//! Zone files on disk: where they are, and their octets. Reading what they say is `zone`'s work.

use std::path::Path;

use super::ConfigError;

/// The files `NAME.zone` of a directory, sorted by name. Other files, hidden ones and directories are left alone.
pub fn zone_files(folder: &Path) -> Result<Vec<String>, ConfigError> {
    let failed = |source| ConfigError::Read { path: folder.to_owned(), source };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.ends_with(".zone") && !name.starts_with('.') && !entry.path().is_dir() {
            files.push(entry.path().to_string_lossy().into_owned());
        }
    }
    files.sort_unstable();
    Ok(files)
}

/// The octets of a zone file or of a file that it includes: the sources of `zone::load`.
pub fn read_file(path: &str) -> Result<Vec<u8>, String> {
    let text = |error: std::io::Error| error.to_string();
    let is_file = std::fs::metadata(path).map_err(text)?.is_file();
    if !is_file {
        return Err("it is not a file".to_owned());
    }
    std::fs::read(path).map_err(text)
}

/// The name of this host, if the system tells it.
pub fn hostname() -> Option<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    Some(name.trim().to_owned()).filter(|name| !name.is_empty())
}
