//! The one printer: data on stdout, everything else on stderr. All output
//! passes through the [redactor](crate::redact), and text for people through the
//! [filter](crate::shown).

mod bars;

use std::collections::BTreeSet;
use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use self::bars::Bars;
use crate::environment::Environment;
use crate::error::Error;
use crate::figures::bytes;
use crate::output::Output;
use crate::redact::Redactor;
use crate::shown;

/// When colours are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Where everything is printed.
pub(crate) struct Terminal {
    quiet: bool,
    output: Arc<Output>,
    /// How many databases this run is for.
    expected: AtomicUsize,
    color_out: bool,
    color_err: bool,
    /// Present on a terminal only.
    bars: Option<Bars>,
    /// The last state line, so that the same one is not printed twice.
    last: Mutex<String>,
    /// The notes that are printed once.
    noted: Mutex<BTreeSet<String>>,
    redactor: Redactor,
    /// A pipeline reads commands out of what is printed.
    pipeline: bool,
}

impl Terminal {
    /// Asks the streams what they are.
    #[must_use]
    pub(crate) fn new(quiet: bool, color: Color, no_color: bool) -> Self {
        let colored = |terminal: bool| match color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => terminal && !no_color,
        };
        let err = std::io::stderr().is_terminal();
        let bars = (err && !quiet).then(Bars::new);
        Self {
            quiet,
            output: Arc::default(),
            expected: AtomicUsize::new(1),
            color_out: colored(std::io::stdout().is_terminal()),
            color_err: colored(err),
            bars,
            last: Mutex::default(),
            noted: Mutex::default(),
            redactor: Redactor::default(),
            pipeline: false,
        }
    }

    /// Before the options are known.
    #[must_use]
    pub(crate) fn plain() -> Self {
        Self::new(false, Color::Auto, false)
    }

    /// The same one, which knows the secrets of this environment and whether a
    /// pipeline listens.
    #[must_use]
    pub(crate) fn within(mut self, environment: &Environment) -> Self {
        self.redactor = environment.redactor().clone();
        let listeners = ["GITHUB_ACTIONS", "TF_BUILD", "TEAMCITY_VERSION"];
        self.pipeline = listeners.iter().any(|name| environment.get(name).is_some());
        self
    }

    /// The secrets that are not printed.
    #[must_use]
    pub(crate) fn redactor(&self) -> &Redactor {
        &self.redactor
    }

    /// The same with an [`Output`] that others have as well.
    #[must_use]
    pub(crate) fn onto(mut self, output: Arc<Output>) -> Self {
        self.output = output;
        self
    }

    /// Whether stdout takes colours.
    #[must_use]
    pub(crate) fn color(&self) -> bool {
        self.color_out
    }

    /// Writes a document to stdout, without secrets. A reader that has gone away ends
    /// nothing.
    pub(crate) fn data(&self, bytes: &[u8]) {
        self.exact(&self.redactor.apply_to_bytes(bytes));
    }

    /// Writes JSON to stdout, without secrets.
    pub(crate) fn json(&self, json: &str) {
        let json = self.redactor.apply(json);
        match self.pipeline && json.contains("##") {
            // `##[…]` is a command wherever it is in a line; two `#` are in texts only.
            true => self.exact(json.replace("##", "#\\u0023").as_bytes()),
            false => self.exact(json.as_bytes()),
        }
    }

    /// Writes text for people to stdout.
    pub(crate) fn text(&self, text: &str) {
        self.exact(self.filtered(text).as_bytes());
    }

    /// Writes exactly these bytes to stdout: what has been asked for with its secrets.
    /// What cannot be written is an error at the end of the run (see [`Output`]).
    pub(crate) fn exact(&self, bytes: &[u8]) {
        let print = || self.output.write(bytes);
        match &self.bars {
            Some(bars) => bars.suspend(print),
            None => print(),
        }
    }

    /// A line for people; not with `--quiet`.
    pub(crate) fn note(&self, text: &str) {
        if !self.quiet {
            self.line(&shown::indented(text));
        }
    }

    /// A note that holds for the whole run, however often it comes up.
    pub(crate) fn note_once(&self, text: &str) {
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        if noted.insert(text.to_owned()) {
            drop(noted);
            self.note(text);
        }
    }

    /// Something that works and should be examined; also with `--quiet`.
    pub(crate) fn warning(&self, text: &str) {
        let (on, off) = if self.color_err { ("\x1b[33m", "\x1b[0m") } else { ("", "") };
        self.line(&format!("{on}warning:{off} {}", shown::indented(text)));
    }

    /// What went wrong, its causes, what to do.
    pub(crate) fn error(&self, error: &Error) {
        let (red, off) = if self.color_err { ("\x1b[31m", "\x1b[0m") } else { ("", "") };
        let mut text = format!("{red}error:{off} {}", shown::indented(error.message()));
        for cause in error.causes() {
            text.push_str("\n  ");
            text.push_str(&shown::indented(cause));
        }
        if let Some(hint) = error.hint_text() {
            text.push_str("\nhint: ");
            text.push_str(&shown::indented(hint));
        }
        self.line(&text);
    }

    /// What is being done now: a spinner on a terminal, else a line per change.
    pub(crate) fn state(&self, text: &str) {
        if self.quiet {
            return;
        }
        match &self.bars {
            Some(bars) => bars.show("", self.bar(text)),
            None => self.changed(&shown::indented(text)),
        }
    }

    /// What is being done for one of several databases: a line of its own on a
    /// terminal. Without one, a line per change, when it is the only database.
    pub(crate) fn stage(&self, name: &str, text: &str) {
        if self.quiet {
            return;
        }
        match &self.bars {
            Some(_bars) => self.moving(name, text),
            None if self.expected.load(Ordering::Relaxed) > 1 => {}
            None => self.changed(&shown::indented(&format!("{}: {text}", shown::line(name)))),
        }
    }

    /// How many databases the run is for. Without a terminal the stages of one are
    /// printed; of several, only that they are done.
    pub(crate) fn expect(&self, databases: usize) {
        self.expected.store(databases, Ordering::Relaxed);
    }

    /// A stage whose figures change all the time: on a terminal only.
    pub(crate) fn moving(&self, name: &str, text: &str) {
        if let Some(bars) = &self.bars {
            let text = if name.is_empty() { text.to_owned() } else { format!("{name}: {text}") };
            bars.show(name, self.bar(&text));
        }
    }

    /// One of several databases is done. Its line on a terminal goes, and the last
    /// one says how far everything is. Without a terminal `text` is printed; of many
    /// databases only for one that is not `good`, and from time to time the count.
    pub(crate) fn finished(&self, name: &str, text: &str, good: bool, (done, of): (usize, usize)) {
        /// With more databases than these, they have no line each.
        const MANY: usize = 20;
        if self.quiet {
            return;
        }
        match &self.bars {
            Some(bars) => {
                bars.remove(name);
                if of > 1 && done < of {
                    bars.show("", format!("{done} of {of} databases done"));
                }
            }
            // Of one database the report says it all.
            None if of <= 1 => {}
            None if of <= MANY || !good => {
                self.changed(&shown::indented(&format!("{}: {text}", shown::line(name))));
            }
            None => {}
        }
        if self.bars.is_none() && of > MANY && done.is_multiple_of((of / 10).max(1)) {
            self.changed(&format!("{done} of {of} databases done"));
        }
    }

    /// A download has `done` bytes, of `total` if that is known.
    pub(crate) fn bytes(&self, done: u64, total: Option<u64>) {
        let Some(bars) = &self.bars else { return };
        let text = match total {
            Some(total) => format!("{} of {}", bytes(done), bytes(total)),
            None => bytes(done),
        };
        bars.show("", text);
    }

    /// Whether anybody watches figures that change continuously.
    #[must_use]
    pub(crate) fn is_watched(&self) -> bool {
        self.bars.is_some()
    }

    fn changed(&self, text: &str) {
        let Ok(mut last) = self.last.lock() else { return };
        if *last != text {
            text.clone_into(&mut last);
            self.line(text);
        }
    }

    /// Takes the progress away.
    pub(crate) fn clear(&self) {
        if let Some(bars) = &self.bars {
            bars.clear();
        }
    }

    /// Commands to the pipeline that runs lsrun: on stdout, or `beside` a document.
    pub(crate) fn commands(&self, text: &str, beside: bool) {
        let text = self.redactor.apply(text);
        match beside {
            false => self.exact(text.as_bytes()),
            true if !text.is_empty() => self.print(text.trim_end_matches('\n')),
            true => {}
        }
    }

    /// For a line at the bottom of a terminal.
    fn bar(&self, text: &str) -> String {
        shown::line(&self.redactor.apply(text)).into_owned()
    }

    /// Without secrets, without what a terminal or a pipeline would obey.
    fn filtered(&self, text: &str) -> String {
        let text = self.redactor.apply(text);
        let text = shown::coloured(&text);
        match self.pipeline {
            true => shown::without_commands(&text).into_owned(),
            false => text.into_owned(),
        }
    }

    fn line(&self, text: &str) {
        self.print(&self.filtered(text));
    }

    fn print(&self, text: &str) {
        let print = || {
            let mut err = std::io::stderr().lock();
            let _closed = writeln!(err, "{text}");
        };
        match &self.bars {
            Some(bars) => bars.suspend(print),
            None => print(),
        }
    }
}
