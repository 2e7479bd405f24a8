//! Which version of Litestream introduced which feature, so that a binary that is too old
//! is reported before it fails with a usage text. Finding the binary is
//! [`super::find`]'s.

use crate::code::Code;
use crate::error::{Error, Result};
use crate::litestream::binary::version::{MINIMUM, PINNED, Version};

/// A command, flag or setting that not every Litestream has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Feature {
    /// `litestream ltx`.
    Ltx,
    /// `mcp-addr`.
    Mcp,
    /// `dbs[].dir` and `pattern`.
    Directory,
    /// Replicas of type `webdav`.
    WebDav,
    /// Replicas of type `oss`.
    Oss,
    /// `dbs[].watch`.
    Watch,
    /// `litestream status`.
    Status,
    /// `replicate -once`.
    Once,
    /// `replicate -force-snapshot`.
    ForceSnapshot,
    /// `replicate -enforce-retention`.
    EnforceRetention,
    /// `replicate -restore-if-db-not-exists` and the setting of that name.
    RestoreIfDbNotExists,
    /// `heartbeat-url`.
    Heartbeat,
    /// `shutdown-sync-timeout`.
    ShutdownSyncTimeout,
    /// The control socket.
    Socket,
    /// `litestream start`.
    Start,
    /// `litestream stop`.
    Stop,
    /// `litestream reset`.
    Reset,
    /// `auto-recover`.
    AutoRecover,
    /// Restoring a backup made by the 0.3 line.
    RestoreOf03,
    /// `replicate -log-level`.
    LogLevel,
    /// `litestream register`.
    Register,
    /// `litestream unregister`.
    Unregister,
    /// `litestream list`.
    List,
    /// `litestream info`.
    Info,
    /// `ltx -level`.
    LtxLevel,
    /// `retention.enabled`.
    RetentionEnabled,
    /// `litestream sync`.
    Sync,
    /// `restore -f`.
    Follow,
    /// `restore -integrity-check`.
    IntegrityCheck,
    /// `-json` of restore, ltx, status, databases, sync, start, stop and register.
    Json,
    /// `restore -dry-run`.
    DryRun,
    /// `restore -force`.
    Force,
    /// `reset -dry-run`.
    ResetDryRun,
    /// `dbs[].meta-dir`.
    MetaDir,
}

/// Oldest first, as the release tags have them; `watch` came with 0.5.4
/// or 0.5.5, the later one is assumed.
static TABLE: [(Feature, Version, &str); 34] = [
    (Feature::Ltx, Version::new(0, 5, 0), "`ltx`"),
    (Feature::Mcp, Version::new(0, 5, 0), "`mcp-addr`"),
    (Feature::Directory, Version::new(0, 5, 3), "`dir:` entries"),
    (Feature::WebDav, Version::new(0, 5, 3), "WebDAV replicas"),
    (Feature::Oss, Version::new(0, 5, 3), "OSS replicas"),
    (Feature::Watch, Version::new(0, 5, 5), "`watch`"),
    (Feature::Status, Version::new(0, 5, 6), "`status`"),
    (Feature::Once, Version::new(0, 5, 6), "`replicate -once`"),
    (Feature::ForceSnapshot, Version::new(0, 5, 6), "`replicate -force-snapshot`"),
    (Feature::EnforceRetention, Version::new(0, 5, 6), "`replicate -enforce-retention`"),
    (Feature::RestoreIfDbNotExists, Version::new(0, 5, 6), "`replicate -restore-if-db-not-exists`"),
    (Feature::Heartbeat, Version::new(0, 5, 6), "`heartbeat-url`"),
    (Feature::ShutdownSyncTimeout, Version::new(0, 5, 6), "`shutdown-sync-timeout`"),
    (Feature::Socket, Version::new(0, 5, 7), "control socket"),
    (Feature::Start, Version::new(0, 5, 7), "`start`"),
    (Feature::Stop, Version::new(0, 5, 7), "`stop`"),
    (Feature::Reset, Version::new(0, 5, 7), "`reset`"),
    (Feature::AutoRecover, Version::new(0, 5, 7), "`auto-recover`"),
    (Feature::RestoreOf03, Version::new(0, 5, 7), "restore of 0.3 backups"),
    (Feature::LogLevel, Version::new(0, 5, 7), "`replicate -log-level`"),
    (Feature::Register, Version::new(0, 5, 8), "`register`"),
    (Feature::Unregister, Version::new(0, 5, 8), "`unregister`"),
    (Feature::List, Version::new(0, 5, 8), "`list`"),
    (Feature::Info, Version::new(0, 5, 8), "`info`"),
    (Feature::LtxLevel, Version::new(0, 5, 8), "`ltx -level`"),
    (Feature::RetentionEnabled, Version::new(0, 5, 8), "`retention.enabled`"),
    (Feature::Sync, Version::new(0, 5, 9), "`sync`"),
    (Feature::Follow, Version::new(0, 5, 9), "`restore -f`"),
    (Feature::IntegrityCheck, Version::new(0, 5, 10), "`restore -integrity-check`"),
    (Feature::Json, Version::new(0, 5, 12), "`-json`"),
    (Feature::DryRun, Version::new(0, 5, 12), "`restore -dry-run`"),
    (Feature::Force, Version::new(0, 5, 12), "`restore -force`"),
    (Feature::ResetDryRun, Version::new(0, 5, 12), "`reset -dry-run`"),
    (Feature::MetaDir, Version::new(0, 5, 13), "`meta-dir`"),
];

impl Feature {
    /// The first version that has it, and its name as a user writes it.
    fn row(self) -> Option<&'static (Feature, Version, &'static str)> {
        TABLE.iter().find(|(feature, ..)| *feature == self)
    }
}

/// Fails with exit 21 when `version` is older than `feature`. A development build
/// is assumed to have everything.
pub(crate) fn require(version: &Version, feature: Feature) -> Result<()> {
    match feature.row() {
        Some((_, first, name)) if version < first => Err(Error::new(
            Code::NoLitestream,
            format!("litestream {version} has no {name} (it came with {first})"),
        )
        .hint(format!(
            "install litestream {PINNED}, or leave litestream.bin_path and LSRUN_LITESTREAM \
             unset and lsrun downloads it"
        ))),
        _ => Ok(()),
    }
}

/// One line on what a binary older than the minimum cannot do; `None` for one that
/// is new enough.
#[must_use]
pub(crate) fn missing_notes(version: &Version) -> Option<String> {
    if *version >= MINIMUM {
        return None;
    }
    let start = format!("litestream {version} is older than {MINIMUM}");
    if version.is_before_05() {
        return Some(format!(
            "{start}: it has another backup format, other commands and no {}",
            names_missing(version, &[Feature::Status, Feature::Sync, Feature::Json])
        ));
    }
    // The whole list would be 30 names for 0.5.0: what lsrun's own commands need.
    let missing = names_missing(
        version,
        &[
            Feature::Status,
            Feature::Once,
            Feature::Socket,
            Feature::List,
            Feature::Sync,
            Feature::IntegrityCheck,
            Feature::Json,
            Feature::DryRun,
        ],
    );
    Some(format!("{start} and lacks {missing}"))
}

fn names_missing(version: &Version, of: &[Feature]) -> String {
    of.iter()
        .filter_map(|feature| feature.row())
        .filter(|(_, first, _)| version < first)
        .map(|(.., name)| *name)
        .collect::<Vec<_>>()
        .join(", ")
}

/// What to use today instead of a command or flag of the 0.3 line, which binaries
/// since 0.5 no longer have; `None` for every other word.
///
/// `word` is a command, or a flag with one or two hyphens, with or without
/// `=value`. Not for the arguments of `register`, whose `-replica` is today's.
#[must_use]
pub(crate) fn equivalent_of_03(word: &str) -> Option<&'static str> {
    let name = word.split_once('=').map_or(word, |(name, _)| name);
    let flag = name.strip_prefix("--").or_else(|| name.strip_prefix('-'));
    match flag {
        None => match name {
            "generations" => Some(
                "litestream 0.5 has no generations: `lsrun ltx` lists what can be restored, and \
                 `lsrun restore` takes `-txid` or `-timestamp`",
            ),
            "snapshots" => {
                Some("litestream 0.5 has no `snapshots`: `lsrun ltx -level 9` lists the snapshots")
            }
            _ => None,
        },
        Some("replica") => Some(
            "litestream 0.5 has one replica per database and no `-replica`: leave it out, or \
             name the replica's URL in place of the database",
        ),
        Some("generation") => Some(
            "litestream 0.5 has no generations and no `-generation`: use `-txid` or \
             `-timestamp` (`lsrun ltx` lists them)",
        ),
        Some("index") => Some(
            "litestream 0.5 has no WAL index and no `-index`: use `-txid` (`lsrun ltx` lists them)",
        ),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Feature, TABLE, equivalent_of_03, missing_notes, require};
    use crate::litestream::binary::version::{MINIMUM, PINNED, Version};

    #[test]
    fn every_feature_stands_in_the_table_once_and_in_order() {
        for (index, (feature, first, _)) in TABLE.iter().enumerate() {
            assert_eq!(TABLE.iter().filter(|row| row.0 == *feature).count(), 1, "{feature:?}");
            assert!(index == 0 || TABLE[index - 1].1 <= *first, "{feature:?}");
            assert!(*first <= PINNED);
        }
        // `MetaDir` is the last variant: a variant without a row would shift this.
        assert_eq!(Feature::MetaDir as usize + 1, TABLE.len());
    }

    #[test]
    fn a_missing_feature_names_the_version_that_has_it() {
        let error = require(&Version::new(0, 5, 8), Feature::Sync).unwrap_err();
        assert_eq!(error.exit().code(), 21);
        assert_eq!(error.message(), "litestream 0.5.8 has no `sync` (it came with 0.5.9)");
        assert!(error.hint_text().unwrap().contains("0.5.17"));
        require(&Version::new(0, 5, 9), Feature::Sync).unwrap();
        require(&Version::of_output("(development build)"), Feature::MetaDir).unwrap();
    }

    #[test]
    fn an_old_binary_gets_one_line() {
        assert_eq!(missing_notes(&MINIMUM), None);
        assert_eq!(missing_notes(&Version::of_output("(development build)")), None);
        assert_eq!(
            missing_notes(&Version::new(0, 5, 8)).unwrap(),
            "litestream 0.5.8 is older than 0.5.12 and lacks `sync`, \
             `restore -integrity-check`, `-json`, `restore -dry-run`"
        );
        let old = missing_notes(&Version::new(0, 3, 13)).unwrap();
        assert!(old.contains("another backup format") && !old.contains('\n'), "{old}");
    }

    #[test]
    fn words_of_03_have_an_equivalent() {
        for word in ["generations", "snapshots", "-replica", "--generation", "-index=3"] {
            assert!(equivalent_of_03(word).is_some(), "{word}");
        }
        for word in ["wal", "ltx", "replica", "-txid", "-", "--", "", "index"] {
            assert_eq!(equivalent_of_03(word), None, "{word}");
        }
    }
}
