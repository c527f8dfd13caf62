//! The configuration file: whatever it says, it ends with a configuration or with findings that can be shown; a
//! configuration that is sound gives a plan of zones.

#![no_main]

use libfuzzer_sys::fuzz_target;
use zonebeat::config::{Config, ConfigError};
use zonebeat::model::Name;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let config = match Config::parse("fuzz.toml", text) {
        Ok(config) => config,
        Err(error) => return shows(&error),
    };
    match config.validate() {
        Ok(()) => {
            let file = Name::parse_absolute("sd.example.org").expect("a name");
            let plan = config.plan_zones([&file]);
            assert!(plan.registering().count() <= config.zone.len() + 1, "registrations go where they were declared");
            config.warnings();
        }
        Err(error) => shows(&error),
    }
});

fn shows(error: &ConfigError) {
    assert!(!error.to_string().is_empty(), "an error says what is wrong");
    if let ConfigError::Wrong(findings) = error {
        assert!(!findings.is_empty(), "a wrong file has a finding");
    }
}
