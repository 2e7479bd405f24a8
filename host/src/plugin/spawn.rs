//! Which litestream a plugin may run: commands that only read, of databases of the
//! project, with options that name no file and no program. `replicate -exec` is a
//! shell, and `-config`, `-o` and `-socket` reach what the plugin was not granted.

use super::grants::{Grants, READING};
use crate::code::Code;
use crate::error::{Error, Result};
use crate::project::Project;

/// What a whole argument starts with when it means a database.
pub(super) const DATABASE_ARGUMENT: &str = "$database:";

/// The options of those commands that change only what is printed.
const OPTIONS: [&str; 6] = ["h", "help", "json", "level", "timeout", "verbose"];
/// Those of them with a value, which may be the next word.
const WITH_VALUE: [&str; 2] = ["level", "timeout"];

/// Fails with `denied` if the plugin may not run litestream with these arguments.
/// A built-in may run whatever it asks for.
pub(super) fn allow(grants: &Grants, project: &Project, arguments: &[String]) -> Result<()> {
    let verb = arguments.first().map(String::as_str).unwrap_or_default();
    if grants.is_builtin() {
        return grants.require("litestream:spawn=*");
    }
    let denied =
        |what: String| Error::new(Code::Denied, format!("a plugin may not run litestream {what}"));
    if !READING.contains(&verb) {
        return Err(denied(verb.to_owned())
            .hint(format!("plugins run commands that only read: {}", READING.join(", "))));
    }
    grants.require(&format!("litestream:spawn={verb}"))?;
    let mut words = arguments.iter().skip(1);
    while let Some(word) = words.next() {
        if let Some(option) = word.strip_prefix('-') {
            let option = option.strip_prefix('-').unwrap_or(option);
            let (name, value) = match option.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (option, None),
            };
            if !OPTIONS.contains(&name) {
                return Err(denied(format!("{verb} with {word}"))
                    .hint(format!("its options here are: -{}", OPTIONS.join(", -"))));
            }
            if value.is_none() && WITH_VALUE.contains(&name) {
                let _value = words.next();
            }
        } else if !word.starts_with(DATABASE_ARGUMENT) && project.database(word).is_err() {
            return Err(denied(format!("{verb} {word}"))
                .hint(format!("name a database of the project: {DATABASE_ARGUMENT}ALIAS")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Exit;

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn only_what_reads_is_run() {
        let folder = tempfile::tempdir().unwrap();
        let project = Project::without_file(folder.path());
        let all = words(&["litestream:spawn"]);
        let grants = Grants::new("p", &all, &all);
        for good in [
            &["ltx", "-json", "-level", "0", "$database:default"][..],
            &["databases"],
            &["status", "--json"],
            &["list", "-timeout=3"],
        ] {
            allow(&grants, &project, &words(good)).unwrap();
        }
        for bad in [
            &["replicate", "-exec", "id"][..],
            &["restore", "-f", "-o", "x", "$database:default"],
            &["ltx", "-config", "/etc/passwd"],
            &["ltx", "--config=/etc/passwd"],
            &["list", "-socket", "/tmp/x"],
            &["ltx", "s3://other/bucket"],
            &["ltx", "/etc/passwd"],
            // A value that looks like an option is a value.
            &["ltx", "-level", "-json", "-exec"],
            &["-config", "x", "ltx"],
            &[],
        ] {
            let error = allow(&grants, &project, &words(bad)).unwrap_err();
            assert_eq!(error.exit(), Exit::PluginDenied, "{bad:?}");
        }
        // One command is granted, another is not.
        let ltx = Grants::new("p", &all, &words(&["litestream:spawn=ltx"]));
        allow(&ltx, &project, &words(&["ltx"])).unwrap();
        let error = allow(&ltx, &project, &words(&["databases"])).unwrap_err();
        assert!(error.hint_text().unwrap().contains("litestream:spawn=databases"), "{error:?}");
        let builtin = Grants::builtin("restore", &all);
        allow(&builtin, &project, &words(&["restore", "-f", "-o", "x"])).unwrap();
        allow(&Grants::builtin("config", &[]), &project, &words(&["ltx"])).unwrap_err();
    }
}
