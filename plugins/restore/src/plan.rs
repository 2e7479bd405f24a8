//! What a restore is about to do, for people and for machines.

use lsrun_plugin::host::types::PresentDatabase;
use lsrun_plugin::json;
use lsrun_plugin::prelude::*;
use lsrun_plugin::words::{self, bytes, duration};

/// A line for each thing that users want to know before the restore.
pub(crate) fn for_people(plan: &RestorePlan) -> String {
    let mut lines = vec![("from", plan.source())];
    let point: Vec<String> = [
        plan.txid().map(|txid| format!("TXID {txid}")),
        plan.timestamp().map(|time| format!("written {}", report::local_time(&time))),
        plan.age_ms().map(|age| format!("{} ago", duration(age))),
    ]
    .into_iter()
    .flatten()
    .collect();
    if !point.is_empty() {
        lines.push(("point", point.join(", ")));
    }
    let cost: Vec<String> = [
        plan.bytes().map(|size| format!("{} to fetch", bytes(size))),
        plan.expected_ms().map(|time| format!("takes about {}", duration(time))),
    ]
    .into_iter()
    .flatten()
    .collect();
    if !cost.is_empty() {
        lines.push(("size", cost.join(", ")));
    }
    if let Some(target) = plan.target() {
        lines.push(("to", target));
    }
    if let Some(present) = plan.present() {
        lines.push(("replaces", of_present(&present, plan.age_ms())));
    }
    lines.iter().map(|(name, text)| format!("  {name:<8}  {text}\n")).collect()
}

/// `age` is that of the point which is restored.
fn of_present(present: &PresentDatabase, age: Option<u64>) -> String {
    let mut text = bytes(present.bytes());
    if let Some(time) = present.written() {
        text.push_str(&format!(", last written {}", report::local_time(&time)));
    }
    // Times of a replica may lack their fraction of a second.
    if let (Some(age), Some(own)) = (age, present.age_ms())
        && let Some(later @ 1000..) = age.checked_sub(own)
    {
        text.push_str(&format!(", {} after that point", duration(later)));
    }
    if let Some(count @ 1..) = present.ahead() {
        text.push_str(&format!(", {} ahead of it", words::count(count, "replicated transaction")));
    }
    text
}

/// The same as one object; `max_txid` and `target_path` as litestream calls them.
/// `differs` is what is known of the content of both.
pub(crate) fn for_machines(plan: &RestorePlan, differs: Option<&[String]>) -> String {
    let present = plan.present();
    let replaced = present.map_or("null".to_owned(), |present| {
        format!(
            "{{\"bytes\":{},\"written\":{},\"txid\":{},\"transactions_ahead\":{}}}",
            present.bytes(),
            json::optional(present.written().as_deref()),
            json::optional(present.txid().as_deref()),
            json::number(present.ahead()),
        )
    });
    format!(
        "{{\"source\":{},\"target_path\":{},\"replaces\":{},\"max_txid\":{},\"timestamp\":{},\"age_ms\":{},\"bytes\":{},\"expected_ms\":{},\"replaced\":{replaced},\"replaced_differs\":{}}}",
        json::string(&plan.source()),
        json::string(&plan.target().unwrap_or_default()),
        plan.replaces(),
        json::string(&plan.txid().unwrap_or_default()),
        json::string(&plan.timestamp().unwrap_or_default()),
        json::number(plan.age_ms()),
        json::number(plan.bytes()),
        json::number(plan.expected_ms()),
        differs.map_or("null".to_owned(), json::list),
    )
}
