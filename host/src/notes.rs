//! What the engine has to say to people while it works; who shows it, and how, is the
//! [`crate::terminal`]'s.

/// Takes what a download says of itself.
pub trait Progress: Send + Sync {
    /// Something to know: one line, without a full stop.
    fn note(&self, text: &str);

    /// A download has `done` bytes, of `total` where that is known.
    fn bytes(&self, done: u64, total: Option<u64>);

    /// The download that [`Self::bytes`] reported is over, well or not.
    fn finished(&self);
}

/// Takes everything that is said.
pub(crate) trait Notes: Progress {
    /// A note that holds for the whole run, however often it comes up.
    fn note_once(&self, text: &str);

    /// Something that works and should be looked at.
    fn warning(&self, text: &str);

    /// Whether somebody watches figures that change all the time.
    fn is_watched(&self) -> bool;
}
