//! Names of databases in other parts than `databases:`.

use crate::error::{Error, Result};
use crate::nearest::nearest;
use crate::yaml::Cursor;

/// Fails if `name` is none of the `aliases`, with the nearest one.
pub(super) fn known_alias(place: &Cursor<'_>, name: &str, aliases: &[&str]) -> Result<()> {
    if aliases.contains(&name) {
        return Ok(());
    }
    let error = place.wrong(format!("names `{name}`, which is not an alias in `databases`"));
    Err(did_you_mean(error, name, aliases))
}

/// Adds the nearest of `candidates` to `error`, if one is near.
pub(in crate::project) fn did_you_mean(error: Error, name: &str, candidates: &[&str]) -> Error {
    match nearest(name, candidates.iter().copied()) {
        Some(close) => error.hint(format!("did you mean `{close}`?")),
        None if candidates.is_empty() => error,
        None => {
            let few: Vec<&str> = candidates.iter().take(20).copied().collect();
            let more = match candidates.len() - few.len() {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            error.hint(format!("the aliases are `{}`{more}", few.join("`, `")))
        }
    }
}
