//! What the project file hands to a plugin: `config` with what `per_database` says merged
//! over it, and with the variables that it names.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::error::{Error, Result};
use crate::project::Project;
use crate::project::database::unset;
use crate::reference::{parse, resolve};
use crate::yaml::Step;

/// The settings of one plugin, ready to be handed over.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct PluginConfig {
    general: Value,
    by_alias: BTreeMap<String, Value>,
}

impl PluginConfig {
    /// For a call that is for the database of this name, or for none in particular.
    #[must_use]
    pub(crate) fn of(&self, database: Option<&str>) -> &Value {
        database.and_then(|name| self.by_alias.get(name)).unwrap_or(&self.general)
    }
}

impl Project {
    /// What the file hands to the plugin of this name. Values of the environment are
    /// secrets of the run from then on, unless they are paths.
    ///
    /// Fails (exit 20) with the place and the name of a variable that is not set.
    pub(crate) fn plugin_config(&self, plugin: &str) -> Result<PluginConfig> {
        let Some(setting) = self.plugins.settings.get(plugin) else {
            return Ok(PluginConfig::default());
        };
        let start = ["plugins", "settings", plugin].map(|key| Step::Key(key.to_owned()));
        let filled = |keys: &[&str], value: &Value| {
            let mut path = start.to_vec();
            path.extend(keys.iter().map(|key| Step::Key((*key).to_owned())));
            self.filled_value(&mut path, value)
        };
        let general = filled(&["config"], &setting.config)?;
        let mut by_alias = BTreeMap::new();
        for (alias, own) in &setting.per_database {
            let own = filled(&["per_database", alias], own)?;
            by_alias.insert(alias.clone(), merged(&general, own));
        }
        Ok(PluginConfig { general, by_alias })
    }

    /// The value at `path` with `$VAR`, `${VAR}` and `${VAR:-default}` put into its texts.
    fn filled_value(&self, path: &mut Vec<Step>, value: &Value) -> Result<Value> {
        let mut within = |step: Step, value: &Value| {
            path.push(step);
            let filled = self.filled_value(path, value);
            path.pop();
            filled
        };
        Ok(match value {
            Value::String(text) => Value::String(self.filled_text(path, text)?),
            Value::Array(items) => {
                let items = items.iter().enumerate();
                items.map(|(at, item)| within(Step::Index(at), item)).collect::<Result<_>>()?
            }
            Value::Object(entries) => {
                let filled = entries
                    .iter()
                    .map(|(key, value)| Ok((key.clone(), within(Step::Key(key.clone()), value)?)));
                Value::Object(filled.collect::<Result<_>>()?)
            }
            other => other.clone(),
        })
    }

    fn filled_text(&self, path: &[Step], text: &str) -> Result<String> {
        let used = RefCell::new(BTreeSet::new());
        let lookup = |name: &str| {
            let value = self.environment.get(name);
            used.borrow_mut().extend(value);
            value
        };
        let resolved = resolve(&parse(text), &lookup).map_err(|name| {
            match self.document.as_ref().and_then(|document| document.at(path)) {
                Some(place) => unset(&place, &name),
                // Its key is no text.
                None => {
                    Error::project(format!("plugins needs the variable {name}, which is not set"))
                }
            }
        })?;
        for value in used.into_inner() {
            let is_path = value.starts_with('/') && value.matches('/').count() > 1;
            if !is_path {
                self.environment.redactor().learn(value);
            }
        }
        Ok(resolved.text)
    }
}

/// `general` with the keys of `own` in the place of its own ones.
fn merged(general: &Value, own: Value) -> Value {
    match (general, own) {
        (Value::Object(general), Value::Object(own)) => {
            let mut merged = general.clone();
            merged.extend(own);
            Value::Object(merged)
        }
        (_, own) => own,
    }
}
