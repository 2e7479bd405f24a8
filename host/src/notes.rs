//! What the engine reports to people while it works; [`crate::terminal`] shows it.

/// Receives the progress of a download.
pub trait Progress: Send + Sync {
    /// Something to know: one line, without a full stop.
    fn note(&self, text: &str);

    /// A download has `done` bytes, of `total` if that is known.
    fn bytes(&self, done: u64, total: Option<u64>);

    /// The download that [`Self::bytes`] reported is over, well or not.
    fn finished(&self);
}

/// Receives everything that is reported.
pub(crate) trait Notes: Progress {
    /// A note that holds for the whole run, however often it comes up.
    fn note_once(&self, text: &str);

    /// Something that works and should be examined.
    fn warning(&self, text: &str);

    /// Whether anybody watches figures that change continuously.
    fn is_watched(&self) -> bool;
}
