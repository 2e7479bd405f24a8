//! `lsrun plugin pack`: writes the manifest into a component.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::author::{self, Packed};
use crate::code::Code;
use crate::commands::Run;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::report::event::Event;
use crate::{cache, figures};

#[derive(Debug, Args)]
pub(super) struct PackArguments {
    /// The component, or a core module that was built against lsrun.h
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The manifest
    #[arg(long, value_name = "MANIFEST")]
    manifest: PathBuf,
    /// The file to write [default: FILE]
    #[arg(short, value_name = "OUT")]
    out: Option<PathBuf>,
}

pub(super) fn run(run: &Run, arguments: &PackArguments) -> Result<Exit> {
    let PackArguments { file, manifest, out } = arguments;
    let cwd = &run.start.cwd;
    let yaml = String::from_utf8_lossy(&read(&cwd.join(manifest))?).into_owned();
    let (name, manifest) = (file.display().to_string(), manifest.display().to_string());
    let Packed { bytes, kinds } = author::pack(&read(&cwd.join(file))?, &name, &yaml, &manifest)?;
    let out = out.as_ref().unwrap_or(file);
    cache::write_atomically(&cwd.join(out), &bytes, 0o644).map_err(|error| {
        Error::new(Code::Io, format!("cannot write {}", out.display())).cause(error)
    })?;
    run.reporter.report(Event::Text(&packed(out, &kinds, bytes.len())));
    Ok(Exit::Success)
}

/// The line about a plugin that was written.
pub(super) fn packed(path: &Path, kinds: &[&str], bytes: usize) -> String {
    let size = figures::bytes(bytes as u64);
    format!("{}  {}, {size}\n", path.display(), kinds.join(", "))
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path)
        .map_err(|error| Error::usage(format!("cannot read {}", path.display())).cause(error))
}
