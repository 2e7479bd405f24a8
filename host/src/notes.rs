//! What the engine has to say to people while it works; who shows it, and how, is the
//! [`crate::terminal`]'s.

/// Takes what is said.
pub(crate) trait Notes: Send + Sync {
    /// Something to know.
    fn note(&self, text: &str);

    /// A note that holds for the whole run, however often it comes up.
    fn note_once(&self, text: &str);

    /// Something that works and should be looked at.
    fn warning(&self, text: &str);

    /// Bytes of a transfer, of how many, where that is known.
    fn transfer(&self, done: u64, total: Option<u64>);

    /// The transfer is over.
    fn transferred(&self);

    /// Whether somebody watches figures that change all the time.
    fn is_watched(&self) -> bool;
}
