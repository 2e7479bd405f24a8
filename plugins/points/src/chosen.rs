//! Which of the points are shown.

use lsrun_plugin::host::types::{RestorePoint, RestorePoints};

/// Keeps the newest points, and what is missing after the first of them.
pub(crate) fn newest(found: &mut RestorePoints, limit: usize) {
    let left_out = found.points.len().saturating_sub(limit);
    if left_out == 0 {
        return;
    }
    found.points.drain(..left_out);
    let first = found.points.first().map(|point| point.txid.clone());
    // TXIDs have 16 digits: their order is that of their text.
    found.missing.retain(|missing| first.as_ref().is_none_or(|first| missing.after_txid >= *first));
}

/// Keeps the oldest point, the newest, and the last one of each interval of this many
/// milliseconds.
pub(crate) fn last_of_each(found: &mut RestorePoints, every: i64) {
    let stretch = |point: &RestorePoint| point.written.unix_ms.div_euclid(every.max(1));
    let stretches: Vec<i64> = found.points.iter().map(stretch).collect();
    let mut index = 0;
    found.points.retain(|_point| {
        let own = stretches[index];
        index += 1;
        index == 1 || stretches.get(index).is_none_or(|next| *next != own)
    });
}

/// Keeps this many, spread evenly over all: the oldest, the newest, and some between.
pub(crate) fn spread(found: &mut RestorePoints, count: usize) {
    let last = found.points.len().saturating_sub(1);
    if count > last {
        return;
    }
    let steps = count.saturating_sub(1);
    // One alone is the newest.
    let kept: Vec<usize> = match steps {
        0 => vec![last],
        _ => (0..=steps).map(|step| (step * last + steps / 2) / steps).collect(),
    };
    let mut index = 0;
    found.points.retain(|_point| {
        index += 1;
        kept.binary_search(&(index - 1)).is_ok()
    });
}
