//! The URLs of a release: below a mirror.

use reqwest::Url;

use crate::error::{Error, Result};

pub(crate) fn mirror_url(text: &str) -> Result<Url> {
    Url::parse(text)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
        .ok_or_else(|| {
            Error::usage("LSRUN_DOWNLOAD_URL is not an http or https URL").hint(
                "it names the folder that holds the release files, such as \
                 https://mirror.example/litestream",
            )
        })
}

/// `name` in the folder `base`; a query of `base` is kept, because signed URLs
/// have their signature there.
pub(crate) fn below(base: &Url, name: &str) -> Url {
    let mut url = base.clone();
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().push(name);
    }
    url
}

#[cfg(test)]
mod tests {
    use super::{Url, below, mirror_url};
    use crate::download::{host, shown};

    #[test]
    fn a_mirror_keeps_its_query_and_shows_no_secret() {
        let base = mirror_url("https://me:pw@mirror.example:8443/ls/?sig=abc").unwrap();
        let url = below(&base, "a.tar.gz");
        assert_eq!(url.as_str(), "https://me:pw@mirror.example:8443/ls/a.tar.gz?sig=abc");
        assert_eq!(shown(&url), "https://mirror.example:8443/ls/a.tar.gz");
        assert_eq!(host(&url), "mirror.example:8443");
        let plain = below(&Url::parse("http://m.example").unwrap(), "b");
        assert_eq!(plain.as_str(), "http://m.example/b");
    }

    #[test]
    fn a_mirror_has_to_be_http() {
        for wrong in ["mirror.example", "file:///srv", "ftp://x/", "/srv/mirror"] {
            assert_eq!(mirror_url(wrong).unwrap_err().exit().code(), 2, "{wrong}");
        }
    }
}
