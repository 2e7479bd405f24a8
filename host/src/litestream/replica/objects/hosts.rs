//! The hosts of S3: what they say about buckets and regions, and what litestream 0.5.17
//! makes of them. Source: its `replica_url.go` and `s3/replica_client.go`.

use std::net::IpAddr;

use reqwest::Url;

use crate::config::Unsupported;

/// Where litestream goes when an endpoint is given and no region.
pub(super) const REGION: &str = "us-east-1";

/// What the URL of a replica says.
#[derive(Default)]
pub(super) struct OfUrl {
    pub(super) bucket: String,
    pub(super) region: Option<String>,
    pub(super) endpoint: Option<String>,
    pub(super) path_style: bool,
}

/// The bucket in the host of a URL, with what the host says besides.
pub(super) fn parse_host(host: &str) -> Result<OfUrl, Unsupported> {
    let unknown = || Unsupported::new("lsrun does not know the host of its URL");
    if host.contains(':') {
        let (bucket, rest) = host.split_once('.').ok_or_else(unknown)?;
        if host.contains(".com") {
            return Err(unknown());
        }
        return Ok(OfUrl {
            bucket: bucket.to_owned(),
            region: Some(REGION.to_owned()),
            endpoint: Some(format!("http://{rest}")),
            path_style: true,
        });
    }
    let (rest, service) =
        [".amazonaws.com", ".digitaloceanspaces.com", ".backblazeb2.com", ".scw.cloud"]
            .into_iter()
            .find_map(|suffix| Some((host.strip_suffix(suffix)?, suffix)))
            .unwrap_or((host, ""));
    let of = |bucket: &str, region: &str, endpoint: Option<String>, path_style| OfUrl {
        bucket: bucket.to_owned(),
        region: Some(region.to_owned()),
        endpoint,
        path_style,
    };
    Ok(match service {
        "" if [".com", ".dev", ".co"].iter().any(|end| host.ends_with(end)) => {
            return Err(unknown());
        }
        "" => OfUrl { bucket: host.to_owned(), ..OfUrl::default() },
        ".amazonaws.com" => {
            if let Some(bucket) = rest.strip_suffix(".s3") {
                return Ok(OfUrl { bucket: bucket.to_owned(), ..OfUrl::default() });
            }
            let (bucket, region) = rest.rsplit_once('.').ok_or_else(unknown)?;
            of(bucket.strip_suffix(".s3").ok_or_else(unknown)?, region, None, false)
        }
        ".digitaloceanspaces.com" => {
            let (bucket, region) = rest.rsplit_once('.').ok_or_else(unknown)?;
            of(bucket, region, Some(format!("https://{region}{service}")), false)
        }
        _ => {
            let (bucket, region) = rest.rsplit_once('.').ok_or_else(unknown)?;
            let bucket = bucket.strip_suffix(".s3").ok_or_else(unknown)?;
            let endpoint = Some(format!("https://s3.{region}{service}"));
            of(bucket, region, endpoint, service == ".backblazeb2.com")
        }
    })
}

/// Those that need what lsrun does not do.
pub(super) fn provider(endpoint: &str) -> Result<(), Unsupported> {
    let lower = endpoint.to_ascii_lowercase();
    for (part, name) in [
        // Litestream asks it for consistent answers, with a header that it signs.
        ("tigris.dev", "Tigris"),
        ("t3.storage.dev", "Tigris"),
        ("googleapis.com", "Google Cloud Storage as S3"),
        ("filebase.com", "Filebase"),
        ("amazonaws.com", "an endpoint of Amazon's"),
    ] {
        if lower.contains(part) {
            return Err(Unsupported::new(format!("lsrun has not been tested with {name}")));
        }
    }
    Ok(())
}

/// Backblaze, Supabase, and what has a port.
pub(super) fn always_path_style(endpoint: &str) -> bool {
    let lower = endpoint.to_ascii_lowercase();
    let host = lower.split_once("://").map_or(lower.as_str(), |(_, rest)| rest);
    let host = host.split('/').next().unwrap_or_default();
    let others = [".digitaloceanspaces.com", ".scw.cloud", ".r2.cloudflarestorage.com"];
    host.ends_with(".backblazeb2.com")
        || host.ends_with(".supabase.co")
        || (host.contains(':') && !others.iter().any(|other| host.contains(other)))
}

/// The scheme that litestream gives an endpoint in a URL.
pub(super) fn with_scheme(endpoint: &str) -> String {
    if endpoint.starts_with("http://") || endpoint.starts_with("https://") {
        return endpoint.to_owned();
    }
    let lower = endpoint.to_ascii_lowercase();
    let host = lower.rsplit_once(':').map_or(lower.as_str(), |(host, _port)| host);
    let starts = [
        "192.168.", "10.", "172.2", "172.30.", "172.31.", "172.16.", "172.17.", "172.18.",
        "172.19.",
    ];
    let local = ["localhost", "127.0.0.1"].contains(&host)
        || starts.iter().any(|start| host.starts_with(start))
        || [".local", ".localhost"].iter().any(|end| host.ends_with(end));
    format!("{}://{endpoint}", if local { "http" } else { "https" })
}

/// An endpoint of a configuration; without a scheme it is https.
pub(super) fn parse_endpoint(endpoint: &str) -> Result<Url, Unsupported> {
    let wrong = || Unsupported::new("lsrun cannot read its endpoint");
    let text = if endpoint.starts_with("http://") || endpoint.starts_with("https://") {
        endpoint.to_owned()
    } else if endpoint.contains("://") {
        return Err(wrong());
    } else {
        format!("https://{endpoint}")
    };
    let url = Url::parse(&text).map_err(|_| wrong())?;
    let plain = url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none()
        && url.has_host()
        && matches!(url.path(), "" | "/");
    if plain { Ok(url) } else { Err(wrong()) }
}

pub(super) fn is_ip(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().is_ok()
}

/// Amazon's partition, and the one of the United States' government, which has the same
/// host names.
pub(super) fn is_of_amazon(region: &str) -> bool {
    let parts: Vec<&str> = region.split('-').collect();
    let areas = ["us", "eu", "ap", "sa", "ca", "me", "af", "il", "mx"];
    let word = |text: &&str| !text.is_empty() && text.chars().all(|it| it.is_ascii_lowercase());
    let number = |text: &&str| !text.is_empty() && text.chars().all(|it| it.is_ascii_digit());
    match parts.as_slice() {
        ["us", "gov", side, at] => word(side) && number(at),
        [area, side, at] => areas.contains(area) && word(side) && *side != "iso" && number(at),
        _ => false,
    }
}

/// A name that needs no more than a bucket does.
pub(super) fn check_bucket(bucket: &str) -> Result<(), Unsupported> {
    let special = ["--x-s3", "--xa-s3", "--op-s3", "--table-s3", ".mrap"];
    let plain = |sign: char| sign.is_ascii_alphanumeric() || "-._".contains(sign);
    if bucket.is_empty()
        || !bucket.chars().all(plain)
        || special.iter().any(|end| bucket.ends_with(end))
    {
        return Err(Unsupported::new("it is not in an ordinary bucket"));
    }
    Ok(())
}
