//! How points are shown: a table for people, a document for machines.

use lsrun_plugin::host::types::{Instant, MissingPoints, RestorePoints};
use lsrun_plugin::json;
use lsrun_plugin::prelude::*;

/// A line for each point, and for each stretch without one.
pub(crate) fn human(name: Option<&str>, found: &RestorePoints) -> String {
    let local = found.points.first().and_then(|point| point.written.local.as_ref());
    let head = match local {
        Some(local) => format!("{:<width$}  UTC", "LOCAL TIME", width = local.chars().count()),
        None => "WRITTEN".to_owned(),
    };
    let name = name.map(|name| format!("{name}  ")).unwrap_or_default();
    let mut text = format!("{name}{}\n{:<16}  {head}\n", found.source, "TXID");
    let mut missing = found.missing.iter().peekable();
    for point in &found.points {
        while let Some(stretch) = missing.next_if(|stretch| stretch.after_txid < point.txid) {
            text.push_str(&line(stretch));
        }
        let written = match &point.written.local {
            Some(local) => format!("{local}  {}", point.written.rfc3339),
            None => point.written.rfc3339.clone(),
        };
        text.push_str(&format!("{}  {written}\n", point.txid));
    }
    text.extend(missing.map(line));
    if let (Some(oldest), Some(newest)) = (found.points.first(), found.points.last()) {
        text.push_str(&format!(
            "{} shown; oldest {}, newest {}\n",
            found.points.len(),
            said(&oldest.written),
            said(&newest.written)
        ));
    }
    text
}

/// A stretch without points.
fn line(missing: &MissingPoints) -> String {
    let from = said(&missing.from);
    let until = missing.until.as_ref().map_or_else(|| "now".to_owned(), said);
    match missing.compacted {
        true => format!("{:<16}  no single points kept between {from} and {until}\n", "-"),
        false => format!(
            "{:<16}  gap: nothing between TXID {} and {}, from {from} until {until}\n",
            "-", missing.after_txid, missing.before_txid
        ),
    }
}

fn said(at: &Instant) -> String {
    report::local_time(&at.rfc3339)
}

/// One line.
pub(crate) fn json(name: Option<&str>, found: &RestorePoints) -> String {
    let quoted = |text: &str| json::string(text);
    let time = |at: Option<&Instant>| at.map_or_else(|| "null".into(), |at| quoted(&at.rfc3339));
    let first = found.points.first().map(|point| &point.written);
    let last = found.points.last().map(|point| &point.written);
    let points = found.points.iter().map(|point| {
        let time = time(Some(&point.written));
        json::object(&[("txid", quoted(&point.txid)), ("timestamp", time)])
    });
    let missing = |compacted: bool| {
        let stretches = found.missing.iter().filter(move |one| one.compacted == compacted);
        let stretches = stretches.map(|one| {
            json::object(&[
                ("after_txid", quoted(&one.after_txid)),
                ("before_txid", quoted(&one.before_txid)),
                ("from", time(Some(&one.from))),
                ("until", time(one.until.as_ref())),
            ])
        });
        json::array(stretches)
    };
    let mut fields = vec![("schema_version", "1".to_owned()), ("command", quoted("points"))];
    fields.extend(name.map(|name| ("alias", quoted(name))));
    fields.extend([
        ("source", quoted(&found.source)),
        ("oldest", time(first)),
        ("newest", time(last)),
        ("points", json::array(points)),
        ("gaps", missing(false)),
        ("compacted", missing(true)),
    ]);
    format!("{}\n", json::object(&fields))
}
