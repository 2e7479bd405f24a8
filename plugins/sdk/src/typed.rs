//! Settings and rows as a plugin's own types, by serde.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::error;
use crate::host::settings;
use crate::host::sqlite::{Connection, Value};
use crate::host::types::Error;

/// How many rows are fetched at once.
const BATCH: u32 = 4096;

/// The plugin's settings in `lsrun.yml`; none there are an empty map, so that
/// `#[serde(default)]` gives all defaults.
///
/// Fails with `invalid`, and says which key is wrong.
pub fn settings_as<T: DeserializeOwned>() -> Result<T, Error> {
    let json = settings::get();
    let json = if json == "null" { "{}" } else { &json };
    serde_json::from_str(json).map_err(|wrong| {
        let mut error = error("invalid", "the settings are wrong");
        // The place is one in JSON, which nobody wrote.
        let reason = wrong.to_string();
        error.causes.push(reason.split(" at line ").next().unwrap_or_default().to_owned());
        error
    })
}

/// Rows as types.
pub trait TypedRows {
    /// Calls `each` with every row, as a type whose fields are in the order of the columns,
    /// such as a tuple; stops at the first error. Any number of rows takes little memory. An integer
    /// beyond 2^53 does not fit an `i64` here, and a blob is a map: see `next-json`.
    fn each<T: DeserializeOwned>(
        &self,
        sql: &str,
        parameters: &[Value],
        each: impl FnMut(T) -> Result<(), Error>,
    ) -> Result<(), Error>;
}

impl TypedRows for Connection {
    fn each<T: DeserializeOwned>(
        &self,
        sql: &str,
        parameters: &[Value],
        mut each: impl FnMut(T) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let rows = self.query(sql, parameters)?;
        loop {
            let json = rows.next_json(BATCH)?;
            let some: Vec<T> = Vec::deserialize(&mut serde_json::Deserializer::from_str(&json))
                .map_err(|wrong| error("invalid", format!("a row of {sql} is another: {wrong}")))?;
            if some.is_empty() {
                return Ok(());
            }
            some.into_iter().try_for_each(&mut each)?;
        }
    }
}
