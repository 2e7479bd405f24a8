//! Adding a plugin to a project: from a file, a URL or a registry into the first plugins folder and
//! into `lsrun.lock`. Nothing is written before it is known that this lsrun can run it.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{Cursor, Read};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::Url;

use super::manifest::{self, Manifest};
use super::oci::Artifact;
use super::offer::Offer;
use super::outline::Outline;
use super::registry::{MOST, MOST_MANIFEST, PluginFile};
use super::{locking, names, problems};
use crate::cache::write_atomically;
use crate::code::Code;
use crate::config::Severity;
use crate::context::Context;
use crate::digest::Digest;
use crate::download::{self, DownloadFailure, DownloadLimits};
use crate::error::{Error, Result, deepest};

const LIMITS: DownloadLimits = DownloadLimits {
    connect: Duration::from_secs(10),
    idle: Duration::from_secs(30),
    whole: Duration::from_secs(600),
    most: MOST,
};

/// What is to be added.
pub(crate) struct Addition<'a> {
    /// A path, an http or https URL, or `oci://` and an artifact of a registry.
    pub source: &'a str,
    /// The digest that it has to have.
    pub digest: Option<&'a str>,
    /// Its name; that of the file if none is given.
    pub name: Option<&'a str>,
    /// One of that name is replaced.
    pub force: bool,
}

/// Adds it, and gives its name.
///
/// Fails with exit 2 for what cannot be asked for, with 30 for what is not what was
/// expected, or does not run; nothing is written then.
pub(crate) async fn add(context: &Context, addition: &Addition<'_>) -> Result<String> {
    let expected = addition.digest.map(expected).transpose()?;
    let artifact = Artifact::of(addition.source)?;
    let (bytes, beside) = match (&artifact, url(addition.source)?) {
        (Some(artifact), _) => (artifact.fetch(context, &LIMITS, expected.is_some()).await?, None),
        (None, Some(url)) => (downloaded(context, &url, expected.is_some()).await?, None),
        (None, None) => of_file(&context.cwd.join(addition.source))?,
    };
    let digest = Digest::of_bytes(&bytes);
    let shown = source(addition.source)?;
    if let Some(expected) = expected
        && expected != digest
    {
        let message = format!("{shown} is not the expected plugin");
        return Err(Error::new(Code::UnusablePlugin, message)
            .cause(format!("expected sha256:{expected}"))
            .cause(format!("found    sha256:{digest}"))
            .hint("nothing was written; find out why it is another one before you use it"));
    }
    let target = target(context, addition, artifact.as_ref())?;
    let place = target.display().to_string();
    let outline = Outline::of(&mut Cursor::new(&bytes), &shown)?;
    let own = manifest::of(&outline, &shown)?;
    let beside = beside.filter(|_yaml| own.is_none());
    let manifest = match (own, &beside) {
        (Some(own), _) => own,
        (None, Some(yaml)) => manifest::parse(&String::from_utf8_lossy(yaml), &shown)?,
        (None, None) => Manifest::default(),
    };
    let file = PluginFile::new(&target, manifest, outline, false, &context.project.trust())?;
    Offer::start()?.check(&file.outline, &shown)?;
    let found = [Ok(file)];
    let wrong = problems::of_all(context, &found).into_iter().find(|finding| {
        finding.plugin.as_deref() == Some(name_of(&found))
            && finding.problem.severity == Severity::Error
    });
    if let Some(wrong) = wrong {
        return Err(problems::error(&wrong.problem));
    }
    let name = name_of(&found).to_owned();
    let failed = |error: std::io::Error| {
        Error::new(Code::Unexpected, format!("cannot write {place}")).cause(error)
    };
    if let Some(folder) = target.parent() {
        DirBuilder::new().recursive(true).mode(0o755).create(folder).map_err(failed)?;
    }
    if let Some(yaml) = beside {
        write_atomically(&target.with_extension("yml"), &yaml, 0o644).map_err(failed)?;
    }
    write_atomically(&target, &bytes, 0o644).map_err(failed)?;
    locking::lock_added(context, &name, shown)?;
    Ok(name)
}

fn name_of(found: &[Result<PluginFile, super::registry::Unusable>; 1]) -> &str {
    let [one] = found;
    one.as_ref().map_or("", |file| &file.name)
}

fn expected(text: &str) -> Result<Digest> {
    let digest = text.strip_prefix("sha256:").unwrap_or(text);
    Digest::parse(digest).ok_or_else(|| {
        Error::usage(format!("{text:?} is not a digest"))
            .hint("write it as sha256: and 64 hexadecimal digits, as sha256sum prints them")
    })
}

/// The URL, if it is one.
fn url(source: &str) -> Result<Option<Url>> {
    let Some((scheme, _)) = source.split_once("://") else { return Ok(None) };
    match (scheme, Url::parse(source)) {
        ("http" | "https", Ok(url)) => Ok(Some(url)),
        ("oci", _) => Ok(None),
        _ => Err(Error::usage(format!("lsrun cannot add {}", shown_url(source)))
            .hint("give a file, an https URL, or oci:// and an artifact of a registry")),
    }
}

/// The source as it is shown and kept: without what may be secret.
fn source(source: &str) -> Result<String> {
    Ok(url(source)?.map_or_else(|| source.to_owned(), |url| download::shown(&url)))
}

fn shown_url(source: &str) -> String {
    Url::parse(source).map_or_else(|_| "this URL".to_owned(), |url| download::shown(&url))
}

async fn downloaded(context: &Context, url: &Url, has_digest: bool) -> Result<Vec<u8>> {
    let host = download::host(url);
    if url.scheme() != "https" && !has_digest {
        return Err(download::over_http(&host)
            .hint("use https, or say with --digest sha256:… which plugin is expected"));
    }
    let failed = |why: String| {
        Error::new(Code::UnusablePlugin, format!("cannot download {}", download::shown(url)))
            .cause(why)
    };
    let client = download::client(url, &LIMITS).map_err(|error| failed(deepest(&error)))?;
    context.notes.note(&format!("downloading from {host}"));
    let mut bytes = Vec::new();
    let got = download::get(&client, url, &mut bytes, &LIMITS, None);
    tokio::select! {
        got = got => match got {
            Ok(_digest) => Ok(bytes),
            Err(DownloadFailure::Source(why)) => Err(failed(why)),
            Err(DownloadFailure::Write(error)) => Err(failed(error.to_string())),
        },
        signal = context.stop.stopped() => Err(crate::stop::Stop::error(signal)),
    }
}

/// A component in a file, and the manifest beside it.
fn of_file(path: &Path) -> Result<(Vec<u8>, Option<Vec<u8>>)> {
    let bytes = regular(path, MOST)
        .map_err(|error| Error::usage(format!("cannot read {}", path.display())).cause(error))?;
    Ok((bytes, regular(&path.with_extension("yml"), MOST_MANIFEST).ok()))
}

/// A regular file: whoever names it trusts it. A FIFO does not block.
fn regular(path: &Path, most: u64) -> std::io::Result<Vec<u8>> {
    let flags = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or_default();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let wrong = |what: String| std::io::Error::new(std::io::ErrorKind::InvalidInput, what);
    if !file.metadata()?.is_file() {
        return Err(wrong("it is not a regular file".to_owned()));
    }
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(wrong(format!("it has more than {} MiB", most >> 20)));
    }
    Ok(bytes)
}

/// Where it is written.
fn target(
    context: &Context,
    addition: &Addition<'_>,
    artifact: Option<&Artifact>,
) -> Result<PathBuf> {
    let last = match (artifact, url(addition.source)?) {
        (Some(artifact), _) => artifact.name().to_owned(),
        (None, Some(url)) => {
            url.path_segments().and_then(|mut all| all.next_back()).unwrap_or("").to_owned()
        }
        (None, None) => Path::new(addition.source)
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default(),
    };
    let name = addition.name.unwrap_or(last.strip_suffix(".wasm").unwrap_or(&last));
    names::check(name, &last)
        .map_err(|error| error.hint("give it a name with --name, such as --name row-count"))?;
    let folders = &context.project.plugins().path;
    let Some(first) = folders.first() else {
        return Err(Error::usage("the project has no plugins folder")
            .hint("add one to plugins.path in lsrun.yml"));
    };
    let target = first.join(format!("{name}.wasm"));
    for folder in folders {
        let there = folder.join(format!("{name}.wasm"));
        let replaced = addition.force && there == target;
        if there.symlink_metadata().is_ok() && !replaced {
            let error = Error::usage(format!("{} exists", there.display()));
            return Err(match there == target {
                true => error.hint("--force replaces it, and --name gives this one another name"),
                false => error.hint("remove it, or give this one another name with --name"),
            });
        }
    }
    Ok(target)
}
