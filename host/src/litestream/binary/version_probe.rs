//! The version of an executable: asked of the executable itself, which costs
//! 25 ms, and remembered in the cache folder. What a version can do is decided
//! elsewhere.

use std::collections::BTreeMap;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::AsyncReadExt;
use tokio::process::Command;

use crate::cache;
use crate::code::Code;
use crate::error::{Error, Result};
use crate::litestream::binary::version::Version;

/// How long `litestream version` may take.
const DEADLINE: Duration = Duration::from_secs(10);

/// The version of `path`, from memory if that is safe, else by running it.
///
/// `cache_root` is lsrun's cache folder; `None`, or one that cannot be used, only
/// costs time. Fails with exit 21 when `path` cannot be run.
pub(crate) async fn version_of(path: &Path, cache_root: Option<&Path>) -> Result<Version> {
    let memory = cache_root.and_then(|root| Memory::new(root, path));
    if let Some(version) = memory.as_ref().and_then(Memory::recall) {
        return Ok(version);
    }
    let version = run(path).await?;
    if let Some(memory) = memory {
        memory.remember(&version);
    }
    Ok(version)
}

/// Runs `path version`. Fails with exit 21 when that does not work.
pub(crate) async fn run(path: &Path) -> Result<Version> {
    let failed = || {
        Error::new(Code::NoLitestream, format!("{} cannot be run as litestream", path.display()))
    };
    match tokio::time::timeout(DEADLINE, output(path)).await {
        Err(_) => Err(failed().cause(format!(
            "`{} version` gave no answer within {} s",
            path.display(),
            DEADLINE.as_secs()
        ))),
        Ok(Err(error)) => Err(failed().cause(error)),
        Ok(Ok(output)) if !output.status.success() => {
            let error = failed().cause(format!(
                "`{} version` ended with {}",
                path.display(),
                output.status
            ));
            let said = String::from_utf8_lossy(&output.stderr);
            match said.lines().map(str::trim).find(|line| !line.is_empty()) {
                Some(line) => Err(error.cause(line)),
                None => Err(error),
            }
        }
        Ok(Ok(output)) if output.stdout.trim_ascii().is_empty() => {
            Err(failed().cause(format!("`{} version` printed nothing", path.display())))
        }
        Ok(Ok(output)) => Ok(Version::of_output(&String::from_utf8_lossy(&output.stdout))),
    }
}

async fn output(path: &Path) -> std::io::Result<std::process::Output> {
    /// A version is one line; whatever prints more is not litestream.
    const MOST: u64 = 64 * 1024;
    let mut child = spawn(
        Command::new(path)
            .arg("version")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true),
    )
    .await?;
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let read_out = async {
        match out {
            Some(pipe) => pipe.take(MOST).read_to_end(&mut stdout).await,
            None => Ok(0),
        }
    };
    let read_err = async {
        match err {
            Some(pipe) => pipe.take(MOST).read_to_end(&mut stderr).await,
            None => Ok(0),
        }
    };
    tokio::try_join!(read_out, read_err)?;
    Ok(std::process::Output { status: child.wait().await?, stdout, stderr })
}

/// Starts `command`. A file that was just written may count as still open for
/// writing, because another thread forked in that moment: that passes.
pub(crate) async fn spawn(command: &mut Command) -> std::io::Result<tokio::process::Child> {
    let mut attempts_left = 100;
    loop {
        match command.spawn() {
            Err(error)
                if error.kind() == std::io::ErrorKind::ExecutableFileBusy && attempts_left > 0 =>
            {
                attempts_left -= 1;
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            other => return other,
        }
    }
}

/// What the memory holds about one executable. It is about another file as soon
/// as time or size differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct RememberedVersion {
    mtime_ns: i128,
    bytes: u64,
    version: String,
}

/// The remembered version of one executable.
struct Memory {
    file: PathBuf,
    key: String,
    mtime_ns: i128,
    bytes: u64,
}

impl Memory {
    /// `None` for what cannot be remembered: a wrapper (the script of a version
    /// manager, a link to one) can be another version in another folder.
    fn new(cache_root: &Path, path: &Path) -> Option<Self> {
        let real = std::fs::canonicalize(path).ok()?;
        let mut magic = [0; 4];
        std::fs::File::open(&real).ok()?.read_exact(&mut magic).ok()?;
        let is_program = matches!(
            magic,
            // ELF, Mach-O for 64 bits, and Mach-O for several architectures.
            [0x7f, b'E', b'L', b'F'] | [0xcf, 0xfa, 0xed, 0xfe] | [0xca, 0xfe, 0xba, 0xbe]
        );
        if !is_program || !real.file_name()?.to_str()?.contains("litestream") {
            return None;
        }
        let metadata = std::fs::metadata(&real).ok()?;
        Some(Self {
            file: cache_root.join("litestream").join("versions.json"),
            key: real.to_str()?.to_owned(),
            mtime_ns: i128::from(metadata.mtime()) * 1_000_000_000
                + i128::from(metadata.mtime_nsec()),
            bytes: metadata.len(),
        })
    }

    fn read(&self) -> BTreeMap<String, RememberedVersion> {
        std::fs::read(&self.file)
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default()
    }

    fn recall(&self) -> Option<Version> {
        let entry = self.read().remove(&self.key)?;
        (entry.mtime_ns == self.mtime_ns && entry.bytes == self.bytes)
            .then(|| Version::of_output(&entry.version))
    }

    /// Best effort: without it only the next start is slower.
    fn remember(&self, version: &Version) {
        let mut entries = self.read();
        entries.retain(|path, _| Path::new(path).exists());
        entries.insert(
            self.key.clone(),
            RememberedVersion {
                mtime_ns: self.mtime_ns,
                bytes: self.bytes,
                version: version.to_string(),
            },
        );
        let (Some(folder), Ok(json)) = (self.file.parent(), serde_json::to_vec(&entries)) else {
            return;
        };
        if cache::ensure_private(folder).is_ok() {
            let _ = cache::write_atomically(&self.file, &json, 0o600);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::path::{Path, PathBuf};

    use super::{Memory, run, version_of};
    use crate::litestream::binary::version::{PINNED, Version};

    fn script(folder: &Path, body: &str) -> PathBuf {
        let path = folder.join("litestream");
        std::fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    /// A program, not a script: only those are remembered. It prints `version`,
    /// which makes it a development build.
    fn program(folder: &Path) -> PathBuf {
        let path = folder.join("litestream");
        std::fs::copy("/bin/echo", &path).unwrap();
        path
    }

    #[tokio::test]
    async fn the_version_of_a_program_is_remembered() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("cache");
        let path = program(folder.path());
        let version = version_of(&path, Some(&root)).await.unwrap();
        assert_eq!(version, Version::Development("version".into()));

        // Another answer in the file shows that the second call does not run it.
        let file = root.join("litestream/versions.json");
        let json = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, json.replace("\"version\":\"version\"", "\"version\":\"0.5.17\""))
            .unwrap();
        assert_eq!(version_of(&path, Some(&root)).await.unwrap(), PINNED);

        // A file that was replaced is asked again.
        let time = std::time::UNIX_EPOCH;
        std::fs::OpenOptions::new().append(true).open(&path).unwrap().set_modified(time).unwrap();
        assert!(version_of(&path, Some(&root)).await.unwrap().is_development());
    }

    #[tokio::test]
    async fn a_corrupt_memory_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("cache");
        let path = program(folder.path());
        crate::cache::ensure_private(&root.join("litestream")).unwrap();
        let file = root.join("litestream/versions.json");
        for broken in ["{\"half", "[]", "{\"a\": 3}", "\u{0}\u{0}"] {
            std::fs::write(&file, broken).unwrap();
            assert!(version_of(&path, Some(&root)).await.unwrap().is_development());
            assert!(Memory::new(&root, &path).unwrap().recall().is_some());
        }
    }

    #[tokio::test]
    async fn a_memory_that_cannot_be_written_is_done_without() {
        let folder = tempfile::tempdir().unwrap();
        let path = program(folder.path());
        let root = folder.path().join("a file");
        std::fs::write(&root, "").unwrap();
        assert!(version_of(&path, Some(&root)).await.unwrap().is_development());
        assert!(version_of(&path, None).await.unwrap().is_development());
    }

    #[tokio::test]
    async fn a_wrapper_script_is_asked_each_time() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("cache");
        let path = script(folder.path(), "echo 0.5.17");
        assert_eq!(version_of(&path, Some(&root)).await.unwrap(), PINNED);
        assert!(Memory::new(&root, &path).is_none());
        assert!(!root.exists());
    }

    #[tokio::test]
    async fn what_does_not_run_says_why() {
        let folder = tempfile::tempdir().unwrap();
        let path = script(folder.path(), "echo cannot open libc >&2; exit 3");
        let error = run(&path).await.unwrap_err();
        assert_eq!(error.exit().code(), 21);
        assert!(error.one_line().contains("exit status: 3: cannot open libc"), "{error:?}");

        std::fs::write(&path, "\u{7f}ELFnot really").unwrap();
        let error = run(&path).await.unwrap_err();
        assert!(error.one_line().contains("cannot be run as litestream"), "{error:?}");

        let path = script(folder.path(), "yes");
        assert_eq!(run(&path).await.unwrap_err().exit().code(), 21);
    }
}
