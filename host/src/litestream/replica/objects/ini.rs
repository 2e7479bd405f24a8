//! The shared files of AWS's tools, as far as lsrun reads them: one profile, plain keys.
//! What is more than that is left to litestream.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::config::Unsupported;
use crate::environment::Environment;

/// The keys of the chosen profile; those of the file of credentials win.
pub(super) fn profile(environment: &Environment) -> Result<BTreeMap<String, String>, Unsupported> {
    let home = environment.get("HOME").map(PathBuf::from);
    let file = |variable: &str, name: &str| {
        let given = environment.get(variable).map(PathBuf::from);
        given.or_else(|| home.as_ref().map(|home| home.join(".aws").join(name)))
    };
    let chosen = ["AWS_PROFILE", "AWS_DEFAULT_PROFILE"];
    let chosen = chosen.into_iter().find_map(|name| environment.get(name));
    let name = chosen.unwrap_or("default");
    let long = format!("profile {name}");
    let mut keys = BTreeMap::new();
    let mut found = false;
    let files = [
        (file("AWS_CONFIG_FILE", "config"), long.as_str(), Some("default")),
        (file("AWS_SHARED_CREDENTIALS_FILE", "credentials"), name, None),
    ];
    for (path, section, short) in files {
        let Some(path) = path else { continue };
        let Some(text) = read(&path)? else { continue };
        let mut sections = vec![section];
        sections.extend(short.filter(|_| name == "default"));
        for (key, value) in within(&text, &sections)
            .map_err(|why| Unsupported::new(format!("{} {why}", path.display())))?
        {
            keys.insert(key, value);
            found = true;
        }
    }
    if chosen.is_some() && !found {
        return Err(Unsupported::new(format!("there is no AWS profile {name}")));
    }
    Ok(keys)
}

fn read(path: &Path) -> Result<Option<String>, Unsupported> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error)
            if matches!(
                error.kind(),
                std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory
            ) =>
        {
            Ok(None)
        }
        Err(error) => Err(Unsupported::new(format!("{} cannot be read: {error}", path.display()))),
    }
}

/// The keys of the one section of these names. Fails with what is not plain in it.
fn within(text: &str, names: &[&str]) -> Result<Vec<(String, String)>, &'static str> {
    let (mut keys, mut inside, mut sections) = (Vec::new(), false, 0);
    for line in text.lines() {
        let bare = line.trim();
        if bare.is_empty() || bare.starts_with(['#', ';']) {
            continue;
        }
        if let Some(head) = bare.strip_prefix('[') {
            let (name, rest) = head.split_once(']').ok_or("has a section without an end")?;
            let name = name.split_whitespace().collect::<Vec<_>>().join(" ");
            inside = names.contains(&name.as_str());
            if inside && !(rest.trim().is_empty() || rest.trim().starts_with(['#', ';'])) {
                return Err("has more than a name in the head of a section");
            }
            sections += usize::from(inside);
        } else if inside {
            let (key, value) = bare.split_once('=').ok_or("has a line that is not a setting")?;
            if line.starts_with([' ', '\t']) {
                return Err("has settings within settings");
            }
            let value = value.trim();
            if value.contains(['#', ';', '"', '\'']) {
                return Err("has a quote or a comment beside a setting");
            }
            keys.push((key.trim().to_ascii_lowercase(), value.to_owned()));
        }
    }
    let names: Vec<_> = keys.iter().map(|(key, _)| key).collect();
    let twice =
        names.iter().enumerate().any(|(at, key)| names.iter().skip(at + 1).any(|it| it == key));
    if sections > 1 || twice {
        return Err("has a profile or a setting twice");
    }
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_profile_is_read() {
        let text = "# c\n[default]\nregion = x\n[ profile  a ]\nAWS_access_key_id=k\n\naws_secret_access_key = s/+=\n[b]\nx\n";
        let keys = within(text, &["profile a"]).unwrap();
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(keys, [pair("aws_access_key_id", "k"), pair("aws_secret_access_key", "s/+=")]);
        assert_eq!(within(text, &["c"]), Ok(Vec::new()));
    }

    #[test]
    fn what_is_not_plain_is_left_to_litestream() {
        for text in [
            "[a]\ns3 =\n  x = y\n",
            "[a]\nk = v # c\n",
            "[a]\nk = 'v'\n",
            "[a]\nk\n",
            "[a]\nk = v\nk = w\n",
            "[a]\nk = v\n[a]\nl = v\n",
            "[a\nk = v\n",
        ] {
            assert!(within(text, &["a"]).is_err(), "{text}");
        }
    }

    #[test]
    fn the_file_of_credentials_wins_and_a_named_profile_has_to_exist() {
        let folder = tempfile::tempdir().unwrap();
        let aws = folder.path().join(".aws");
        std::fs::create_dir(&aws).unwrap();
        std::fs::write(aws.join("config"), "[default]\nregion = x\n[profile p]\na = 1\nb = 1\n")
            .unwrap();
        std::fs::write(aws.join("credentials"), "[p]\na = 2\n").unwrap();
        let home = folder.path().to_str().unwrap();
        let of = |more: &[(&str, &str)]| {
            profile(&[("HOME", home)].iter().chain(more).copied().collect::<Environment>())
        };
        assert_eq!(of(&[]).unwrap().get("region").unwrap(), "x");
        let keys = of(&[("AWS_PROFILE", "p")]).unwrap();
        assert_eq!((keys["a"].as_str(), keys["b"].as_str()), ("2", "1"));
        assert!(of(&[("AWS_DEFAULT_PROFILE", "q")]).is_err());
        let elsewhere = [("AWS_CONFIG_FILE", "/nowhere"), ("AWS_SHARED_CREDENTIALS_FILE", "/no")];
        assert_eq!(of(&elsewhere), Ok(BTreeMap::new()));
    }
}
