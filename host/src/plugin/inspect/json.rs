//! What a plugin is and may do, as JSON.

use serde::Serialize;

use super::InspectedPlugin;

#[derive(Serialize)]
struct JsonPlugins<'a> {
    schema_version: u32,
    command: &'a str,
    plugins: Vec<JsonPlugin<'a>>,
}

#[derive(Serialize)]
struct JsonPlugin<'a> {
    name: &'a str,
    path: Option<String>,
    kinds: &'a [&'static str],
    version: &'a str,
    about: &'a str,
    sha256: Option<&'a str>,
    source: Option<&'a str>,
    lock: Option<&'a str>,
    imports: &'a [String],
    can: Vec<&'static str>,
    permissions: Vec<JsonPermission<'a>>,
    databases: Option<&'a [String]>,
    runs: bool,
    problems: Vec<JsonProblem<'a>>,
}

#[derive(Serialize)]
struct JsonPermission<'a> {
    permission: &'a str,
    granted: &'a [String],
}

#[derive(Serialize)]
struct JsonProblem<'a> {
    severity: &'a str,
    message: &'a str,
    hint: Option<&'a str>,
}

/// The document, with a line end.
#[must_use]
pub(crate) fn render(plugins: &[InspectedPlugin]) -> String {
    let document = JsonPlugins {
        schema_version: 1,
        command: "plugin",
        plugins: plugins.iter().map(of).collect(),
    };
    // Plain structs always serialise.
    format!("{}\n", serde_json::to_string(&document).unwrap_or_default())
}

fn of(plugin: &InspectedPlugin) -> JsonPlugin<'_> {
    JsonPlugin {
        name: &plugin.name,
        path: plugin.path.as_ref().map(|path| path.display().to_string()),
        kinds: &plugin.kinds,
        version: &plugin.version,
        about: &plugin.about,
        sha256: plugin.digest.as_deref(),
        source: plugin.source.as_deref(),
        lock: plugin.lock,
        imports: &plugin.imports,
        can: plugin.powers(),
        permissions: plugin
            .permissions
            .iter()
            .map(|one| JsonPermission { permission: &one.asked, granted: &one.granted })
            .collect(),
        databases: plugin.databases.as_deref(),
        runs: plugin.obstacle().is_none(),
        problems: plugin
            .problems
            .iter()
            .map(|problem| JsonProblem {
                severity: problem.severity.word(),
                message: &problem.message,
                hint: problem.hint.as_deref(),
            })
            .collect(),
    }
}
