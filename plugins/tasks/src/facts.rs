//! What happened, as a task gets it.

use lsrun_plugin::prelude::*;
use lsrun_plugin::{json, words};

/// Facts by their names in JSON, in order, and what is JSON already.
pub(crate) struct Facts {
    event: &'static str,
    texts: Vec<(&'static str, String)>,
    /// The databases that it is about.
    names: Vec<String>,
    verification: Option<String>,
}

impl Facts {
    pub(crate) fn new(event: &'static str) -> Self {
        Self { event, texts: Vec::new(), names: Vec::new(), verification: None }
    }

    pub(crate) fn of_restore(event: &'static str, plan: &RestorePlan) -> Self {
        let mut facts = Self::new(event);
        facts.add_database(plan.database());
        facts.add("source", plan.source());
        facts.add_some("target", plan.target());
        facts.add_some("txid", plan.txid());
        facts.add_some("timestamp", plan.timestamp());
        facts
    }

    pub(crate) fn of_verification(verification: &Verification) -> Self {
        let mut facts = Self::new("verified");
        facts.add("command", verification.command());
        facts.add_database(verification.database());
        facts.add("source", verification.source());
        facts.add("outcome", verification.outcome());
        facts.add("exit-code", verification.exit_code().to_string());
        facts.add_some("error", verification.error().as_ref().map(words::reasons));
        let bad = verification.checks().into_iter().filter(|check| {
            !check.optional() && matches!(check.outcome().as_str(), "failed" | "inconclusive")
        });
        let bad: Vec<String> =
            bad.map(|check| format!("{}: {}", check.id(), check.message())).collect();
        facts.add_some("problems", (!bad.is_empty()).then(|| bad.join("\n")));
        facts.add_some("txid", verification.txid());
        facts.add_some("last-proved", verification.last_proved().map(|at| at.rfc3339));
        let whole = verification.last_proved_whole().map(|at| at.rfc3339);
        facts.add_some("last-proved-whole", whole);
        facts.add("host", verification.host());
        facts.verification = Some(verification.json());
        facts
    }

    pub(crate) fn event(&self) -> &'static str {
        self.event
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.texts.iter().find(|(it, _)| *it == name).map(|(_, text)| text.as_str())
    }

    /// A second one of a name takes its place.
    pub(crate) fn add(&mut self, name: &'static str, text: String) {
        self.texts.retain(|(it, _)| *it != name);
        self.texts.push((name, text));
    }

    pub(crate) fn add_some(&mut self, name: &'static str, text: Option<String>) {
        if let Some(text) = text {
            self.add(name, text);
        }
    }

    pub(crate) fn add_database(&mut self, database: Option<Database>) {
        if let Some(database) = database {
            self.add("database", database.name());
            self.add("path", database.path());
            self.names.push(database.name());
        }
    }

    pub(crate) fn add_databases(&mut self, databases: &[Database]) {
        self.names = databases.iter().map(Database::name).collect();
        self.add("databases", self.names.join("\n"));
    }

    /// `LSRUN_EVENT`, and one for each text: `LSRUN_EXIT_CODE`.
    pub(crate) fn variables(&self) -> impl Iterator<Item = (String, String)> {
        let event = ("LSRUN_EVENT".to_owned(), self.event.to_owned());
        let of = |(name, text): &(&'static str, String)| {
            (format!("LSRUN_{}", name.to_uppercase().replace('-', "_")), text.clone())
        };
        std::iter::once(event).chain(self.texts.iter().map(of))
    }

    /// The same as an object, with the whole verification if it is one.
    pub(crate) fn json(&self) -> String {
        let mut fields = vec![("event", json::string(self.event))];
        for (name, text) in &self.texts {
            match *name {
                "databases" => fields.push((name, json::list(&self.names))),
                "exit-code" => fields.push((name, text.clone())),
                _ => fields.push((name, json::string(text))),
            }
        }
        let keys: Vec<(String, String)> =
            fields.into_iter().map(|(name, value)| (name.replace('-', "_"), value)).collect();
        let mut fields: Vec<(&str, String)> =
            keys.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
        if let Some(verification) = &self.verification {
            fields.push(("verification", verification.clone()));
        }
        format!("{}\n", json::object(&fields))
    }
}
