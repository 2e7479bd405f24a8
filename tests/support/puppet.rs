//! Plugins that do what a test says: see `tests/guests/puppet`.

use super::{PROJECT, Sandbox, repository};

/// A plugin with its script.
pub(crate) struct Puppet {
    name: String,
    script: Vec<String>,
    /// More of its settings, such as `optional: true`.
    settings: serde_json::Map<String, serde_json::Value>,
    /// More of its `config`: the deeds of its hooks.
    config: serde_json::Map<String, serde_json::Value>,
    manifest: String,
    /// The file of `tests/guests`.
    guest: &'static str,
}

impl Puppet {
    pub(crate) fn new(name: &str, script: &[&str]) -> Self {
        Self {
            name: name.into(),
            script: script.iter().map(|deed| (*deed).to_owned()).collect(),
            settings: serde_json::Map::new(),
            config: serde_json::Map::new(),
            manifest: String::new(),
            guest: "puppet",
        }
    }

    /// Its hooks do what these say.
    pub(crate) fn with_config(
        mut self,
        config: serde_json::Map<String, serde_json::Value>,
    ) -> Self {
        self.config = config;
        self
    }

    /// One that uses the standard interfaces: see `tests/guests/standard`.
    pub(crate) fn standard(name: &str, script: &[&str]) -> Self {
        Self { guest: "standard", ..Self::new(name, script) }
    }

    pub(crate) fn with(mut self, key: &str, value: serde_json::Value) -> Self {
        self.settings.insert(key.into(), value);
        self
    }

    /// The file beside the component.
    pub(crate) fn manifest(mut self, yaml: &str) -> Self {
        self.manifest = yaml.into();
        self
    }
}

impl Sandbox {
    /// Makes these the project's plugins, and the only ones. `more` is added to the
    /// project file.
    pub(crate) fn puppets(&self, more: &str, puppets: &[Puppet]) {
        let _none = std::fs::remove_dir_all(self.path("plugins"));
        std::fs::create_dir_all(self.path("plugins")).unwrap();
        let mut settings = serde_json::Map::new();
        for puppet in puppets {
            let Puppet { name, script, settings: own, config, manifest, guest } = puppet;
            let built = repository().join(format!("tests/guests/{guest}.wasm"));
            std::fs::copy(&built, self.path(&format!("plugins/{name}.wasm"))).unwrap();
            if !manifest.is_empty() {
                self.write(&format!("plugins/{name}.yml"), manifest);
            }
            let mut own = own.clone();
            let mut config = config.clone();
            config.insert("script".into(), serde_json::json!(script));
            own.insert("config".into(), config.into());
            settings.insert(name.clone(), own.into());
        }
        let settings = serde_json::json!({ "settings": settings });
        // JSON is YAML.
        self.write("lsrun.yml", &format!("{PROJECT}{more}plugins: {settings}\n"));
    }
}
