//! Where the files of a replica are in a store, and what their names say. Each kind of
//! store has its own: seen with litestream 0.5.17, and in its source.

use object_store::ObjectMeta;
use object_store::path::Path;

use crate::config::Unsupported;
use crate::litestream::replica::txid::Txid;

/// The highest level, that of snapshots.
const SNAPSHOTS: u8 = 9;

/// A file of a replica, as the store lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredFile {
    /// 9 is a snapshot.
    pub level: u8,
    /// Its first transaction.
    pub min: Txid,
    /// Its last one.
    pub max: Txid,
    /// In bytes.
    pub size: u64,
    /// When the object was written.
    pub modified: jiff::Timestamp,
    /// The store's word for this content, another one for other content: the ETag, or
    /// else the version. None where the store gives neither.
    pub identity: Option<String>,
    pub(super) key: Path,
}

impl StoredFile {
    /// How messages call it.
    pub(crate) fn name(&self) -> &str {
        self.key.as_ref()
    }
}

/// How the names of objects are made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layout {
    /// What every name begins with, up to its level.
    folder: String,
    /// S3 has levels of four hexadecimal digits, the others have a number.
    is_s3: bool,
}

impl Layout {
    /// `<path>/0009/…`. Litestream puts the path there as it is.
    pub(super) fn s3(path: &str) -> Result<Self, Unsupported> {
        // A name that begins with a slash is one that object_store cannot ask for.
        let same = Path::parse(path).is_ok_and(|parsed| parsed.as_ref() == path);
        if path.is_empty() {
            return Err(Unsupported::new("it has no path"));
        }
        if !same {
            return Err(wrong_path());
        }
        Ok(Self { folder: format!("{path}/"), is_s3: true })
    }

    /// `<path>/ltx/9/…`.
    pub(super) fn other(path: &str) -> Self {
        let folder = if path.is_empty() { "ltx/".to_owned() } else { format!("{path}/ltx/") };
        Self { folder, is_s3: false }
    }

    /// What the names of all files begin with, and those of little else.
    pub(super) fn prefix(&self) -> String {
        let levels = if self.is_s3 { "000" } else { "" };
        format!("{}{levels}", self.folder)
    }

    /// What the names of a backup of litestream 0.3 begin with.
    pub(super) fn generations(&self) -> String {
        let folder = match self.is_s3 {
            true => self.folder.as_str(),
            false => self.folder.trim_end_matches("ltx/"),
        };
        format!("{folder}generations/")
    }

    /// The file that an object is. What has another name is not litestream's, which
    /// skips it too.
    pub(super) fn file(&self, object: &ObjectMeta) -> Option<StoredFile> {
        let rest = object.location.as_ref().strip_prefix(&self.folder)?;
        let (level, name) = rest.split_once('/')?;
        let level: u8 = if self.is_s3 {
            (level.len() == 4).then(|| u8::from_str_radix(level, 16).ok())??
        } else {
            level.parse().ok().filter(|number: &u8| number.to_string() == level)?
        };
        let (min, max) = name.strip_suffix(".ltx")?.split_once('-')?;
        let (min, max) = (digits(min)?, digits(max)?);
        let modified = jiff::Timestamp::new(
            object.last_modified.timestamp(),
            object.last_modified.timestamp_subsec_nanos().try_into().ok()?,
        );
        (level <= SNAPSHOTS).then_some(())?;
        Some(StoredFile {
            level,
            min,
            max,
            size: object.size,
            modified: modified.ok()?,
            identity: identity(object),
            key: object.location.clone(),
        })
    }
}

/// A transaction as names have it.
fn digits(text: &str) -> Option<Txid> {
    let plain = |it: u8| it.is_ascii_digit() || (b'a'..=b'f').contains(&it);
    (text.len() == 16 && text.bytes().all(plain)).then(|| text.parse().ok())?
}

/// The ETag without the quotes and the mark that not every answer has, or the version.
pub(super) fn identity(object: &ObjectMeta) -> Option<String> {
    let bare = |etag: &'_ str| etag.trim_start_matches("W/").trim_matches('"').to_owned();
    let etag = object.e_tag.as_deref().map(bare);
    etag.or_else(|| object.version.clone()).filter(|it| !it.is_empty())
}

fn wrong_path() -> Unsupported {
    Unsupported::new("its path begins or ends with a slash, or has parts that are empty or dots")
}

/// The path that Go's `path.Join` gives, where it is one that can be asked for.
pub(super) fn cleaned(path: &str) -> Result<String, Unsupported> {
    let parts: Vec<&str> = path.split('/').filter(|it| !matches!(*it, "" | ".")).collect();
    let joined = parts.join("/");
    if path.starts_with('/') || parts.contains(&"..") || Path::parse(&joined).is_err() {
        return Err(wrong_path());
    }
    Ok(joined)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(key: &str) -> ObjectMeta {
        ObjectMeta {
            location: Path::parse(key).unwrap(),
            last_modified: std::time::UNIX_EPOCH.into(),
            size: 7,
            e_tag: Some("\"abc\"".into()),
            version: Some("1".into()),
        }
    }

    #[test]
    fn names_of_files() {
        let (one, two) = ("0000000000000001", "00000000000000ff");
        let s3 = Layout::s3("a/b").unwrap();
        assert_eq!(s3.prefix(), "a/b/000");
        let file = s3.file(&object(&format!("a/b/0009/{one}-{two}.ltx"))).unwrap();
        assert_eq!((file.level, file.min, file.max, file.size), (9, Txid(1), Txid(255), 7));
        assert_eq!(file.identity.as_deref(), Some("abc"));
        assert_eq!(file.modified, jiff::Timestamp::UNIX_EPOCH);
        for other in [
            format!("a/b/9/{one}-{two}.ltx"),
            format!("a/b/000a/{one}-{two}.ltx"),
            format!("a/b/0009/x/{one}-{two}.ltx"),
            format!("a/b/0009/{one}-{two}.tmp"),
            format!("a/b/0009/{one}-{}.ltx", two.to_uppercase()),
            format!("a/b/0009/1-{two}.ltx"),
            "a/b/0009".to_owned(),
            format!("c/0009/{one}-{two}.ltx"),
        ] {
            assert_eq!(s3.file(&object(&other)), None, "{other}");
        }
        let other = Layout::other("a");
        assert_eq!(other.prefix(), "a/ltx/");
        assert_eq!(other.file(&object(&format!("a/ltx/3/{one}-{two}.ltx"))).unwrap().level, 3);
        for key in ["a/ltx/03/", "a/ltx/0003/", "a/0003/", "a/ltx/10/"] {
            assert_eq!(other.file(&object(&format!("{key}{one}-{two}.ltx"))), None, "{key}");
        }
        assert_eq!(Layout::other("").prefix(), "ltx/");
    }

    #[test]
    fn an_object_without_a_tag_has_its_version_or_nothing() {
        let mut object = object("a");
        object.e_tag = None;
        assert_eq!(identity(&object).as_deref(), Some("1"));
        object.version = None;
        assert_eq!(identity(&object), None);
    }

    #[test]
    fn paths_that_cannot_be_asked_for_are_left_to_litestream() {
        for path in ["a", "a/b.db", "a b/ü+&%41", "a-1_2"] {
            assert!(Layout::s3(path).is_ok(), "{path}");
        }
        for path in ["", "/a", "a/", "a//b", "./a", "a/..", "."] {
            assert!(Layout::s3(path).is_err(), "{path}");
        }
    }
}
