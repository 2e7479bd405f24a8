//! The `restore:` part of the project file, checked.

use crate::error::Result;
use crate::yaml::Cursor;

/// `restore:`
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct RestoreSettings {
    /// How many replaced databases are kept; `None` for all.
    pub keep: Option<u32>,
}

/// Reads `restore:`.
pub(in crate::project) fn restore(section: Option<Cursor<'_>>) -> Result<RestoreSettings> {
    let mut settings = RestoreSettings::default();
    let Some(section) = section else { return Ok(settings) };
    for (key, value) in section.entries("a mapping")? {
        if key != "keep" {
            return Err(value.unknown_key("`restore`", ["keep"]));
        }
        if !value.value().is_null() {
            let keep = value.value().as_u64().and_then(|number| u32::try_from(number).ok());
            settings.keep = Some(keep.ok_or_else(|| value.expected("a whole number"))?);
        }
    }
    Ok(settings)
}
