//! What the targets of `tests/fuzz` call, with plain values. What has to hold of them is
//! there.

use std::ffi::OsString;
use std::path::Path;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use clap::FromArgMatches;

use crate::cli::{Cli, Global};
use crate::commands;
use crate::config::{Config, Purpose};
use crate::environment::Environment;
use crate::error::Result;
use crate::litestream::process::line::Verb;
use crate::ltx::{Decoder, Header};
use crate::pages::wal::Log;
use crate::plugin::offer::Offer;
use crate::plugin::outline::Outline;
use crate::plugin::{links, manifest};
use crate::project::Project;
use crate::sqlite::{Access, Connection, Slots, Statement, Threads, rows_as_json};
use crate::stop::Stop;

pub use crate::reference::{Piece, as_written, parse, resolve};

/// The results of reading a project file.
pub struct Rendered {
    /// What `lsrun config` prints, as YAML and as JSON: with its secrets, and without.
    pub printed: [(String, String); 2],
    /// The file of a daemon and its variables, if none is missing.
    pub daemon: Option<(String, Vec<(String, String)>)>,
}

/// The configurations of the project in a folder.
pub fn render(folder: &Path, environment: &Environment) -> Result<Rendered> {
    let project = Project::load(Some(folder), folder, environment)?;
    let config = Config::of(&project, environment)?;
    let printed = [true, false].map(|reveal| (config.to_yaml(reveal), config.to_json(reveal)));
    let daemon = config.for_child(&Purpose::Replicate { socket: None }, environment).ok();
    let daemon = daemon.map(|child| {
        let variables = child.variables.into_iter();
        let exposed = variables.map(|(name, value)| (name, value.expose().to_owned()));
        (child.yaml, exposed.collect())
    });
    Ok(Rendered { printed, daemon })
}

/// The header of an LTX file: its page size and its last TXID; and where in the log that
/// ends, or 0.
#[must_use]
pub fn ltx(bytes: &[u8]) -> Option<(u32, u64, u64)> {
    let Header { page_size, max_txid, place, .. } = Header::parse(bytes)?;
    Some((page_size, max_txid, place.map_or(0, |place| place.end)))
}

/// Reads a whole LTX file: how many pages the database has after it, and how many were in
/// it; none if it is refused. One that is not refused was written by litestream.
#[must_use]
pub fn ltx_file(bytes: &[u8]) -> Option<(u32, u64)> {
    let mut decoder = Decoder::open(bytes).ok()?;
    let (commit, size) = (decoder.header().commit, decoder.header().page_size as usize);
    let mut pages = 0;
    while let Some((number, page)) = decoder.next().ok()? {
        assert!(number > 0 && page.len() == size, "page {number}");
        pages += 1;
    }
    decoder.finish().ok()?;
    Some((commit, pages))
}

/// The newest frame of each of these pages in a write-ahead log that is read up to its
/// frame `last`; none if it cannot be.
#[must_use]
pub fn newest_frames(log: &Path, last: u32, pages: &[u32]) -> Option<Vec<Option<u32>>> {
    let log = Log::open(log)?;
    let mut index = log.index();
    log.advance(&mut index, last, &|| false).ok()?;
    Some(pages.iter().map(|page| index.frame(*page)).collect())
}

/// A manifest.
#[derive(Debug)]
pub struct ParsedManifest(manifest::Manifest);

/// The manifest in a component, and what that exports.
pub fn component(bytes: &[u8]) -> Result<(Option<ParsedManifest>, Option<Vec<String>>)> {
    let outline = Outline::of(&mut std::io::Cursor::new(bytes), "fuzz")?;
    let manifest = manifest::of(&outline, "fuzz")?.map(ParsedManifest);
    Ok((manifest, outline.is_component.then_some(outline.exports)))
}

/// The names of what a component imports.
#[must_use]
pub fn imports(bytes: &[u8]) -> Vec<String> {
    let outline = Outline::of(&mut std::io::Cursor::new(bytes), "fuzz").unwrap_or_default();
    outline.imports.into_iter().map(|import| import.name).collect()
}

/// Compiles a component and links it with everything that plugins are offered; nothing of
/// it runs.
///
/// Fails as loading a plugin does.
pub fn link(bytes: &[u8]) -> Result<()> {
    static OFFER: LazyLock<Result<Offer>> = LazyLock::new(Offer::start);
    links(OFFER.as_ref().map_err(Clone::clone)?, bytes)
}

/// What statements of a plugin give that may only read the database, or a copy: rows as
/// JSON, or the message of an error, for each of them. None of them takes longer than this.
#[must_use]
pub fn reading_sql(
    path: &Path,
    is_copy: bool,
    statements: &[&str],
    limit: Duration,
) -> Vec<String> {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        return Vec::new();
    };
    let access = if is_copy { Access::Copy } else { Access::Read };
    let deadline = Instant::now() + limit;
    runtime.block_on(async {
        let slots = Slots::of(&Threads::default());
        let opened = Connection::open(path, access, deadline, Stop::default(), &slots).await;
        let Ok(connection) = opened else { return Vec::new() };
        let mut given = Vec::new();
        for sql in statements {
            let statement = || Statement { sql: (*sql).to_owned(), parameters: Vec::new() };
            let rows = async {
                let mut rows = connection.query(statement())?;
                let mut all = String::new();
                for _ in 0..10 {
                    let some = rows.next(100).await?;
                    if some.is_empty() {
                        break;
                    }
                    all.push_str(&rows_as_json(&some));
                }
                Ok(all)
            };
            given.push(rows.await.unwrap_or_else(|error: crate::error::Error| error.one_line()));
            if let Ok(changed) = connection.transact(vec![statement()]).await {
                given.push(format!("changed {changed}"));
            }
        }
        given
    })
}

/// A manifest beside a component.
pub fn manifest(yaml: &str) -> Result<ParsedManifest> {
    manifest::parse(yaml, "fuzz").map(ParsedManifest)
}

/// What comes before a command: the options that every command knows, as they are shown
/// in debugging. With the command and its words.
#[must_use]
pub fn options_and_command(words: &[OsString]) -> Option<(String, Vec<OsString>)> {
    let program = std::iter::once(OsString::from("lsrun"));
    let matches = commands::command_line().try_get_matches_from(program.chain(words.to_owned()));
    let cli = Cli::from_arg_matches(&matches.ok()?).ok()?;
    Some((format!("{:?}", cli.global), cli.command))
}

/// The same options among the words of a command, as they are read before the command is
/// known.
#[must_use]
pub fn options_after(words: &[OsString]) -> String {
    format!("{:?}", Global::after(words))
}

/// The same options as the command with this manifest reads them; none if its words are
/// wrong, or ask for help.
#[must_use]
pub fn options_of(manifest: &ParsedManifest, words: &[OsString]) -> Option<String> {
    commands::options(&manifest.0, words).map(|global| format!("{global:?}"))
}

/// The flags, the positionals and the rest of a command of litestream.
#[must_use]
pub fn litestream_line(verb: &str, words: &[OsString]) -> Option<[Vec<OsString>; 3]> {
    let line = Verb::named(verb)?.read(words);
    Some([line.flags, line.positionals, line.rest])
}
