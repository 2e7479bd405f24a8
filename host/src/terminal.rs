//! The one printer: data on stdout, everything else on stderr.

use std::io::{IsTerminal, Write};
use std::sync::Mutex;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::error::Error;

/// How results are rendered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Human,
    /// One JSON document on stdout.
    Json,
}

/// When colours are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Color {
    /// On a terminal, unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Where everything is printed.
pub struct Terminal {
    /// How results are rendered.
    pub format: Format,
    quiet: bool,
    color_out: bool,
    color_err: bool,
    /// Present on a terminal only.
    bar: Option<ProgressBar>,
    /// The last state line, so that the same one is not printed twice.
    last: Mutex<String>,
}

impl Terminal {
    /// Asks the streams what they are.
    #[must_use]
    pub fn new(format: Format, quiet: bool, color: Color, no_color: bool) -> Self {
        let colored = |terminal: bool| match color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => terminal && !no_color,
        };
        let err = std::io::stderr().is_terminal();
        let bar = (err && !quiet).then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
                bar.set_style(style);
            }
            bar
        });
        Self {
            format,
            quiet,
            color_out: colored(std::io::stdout().is_terminal()),
            color_err: colored(err),
            bar,
            last: Mutex::default(),
        }
    }

    /// Whether stdout takes colours.
    #[must_use]
    pub fn color(&self) -> bool {
        self.color_out
    }

    /// Writes to stdout. A reader that has gone away ends nothing.
    pub fn data(&self, bytes: &[u8]) {
        self.clear();
        let mut out = std::io::stdout().lock();
        let _closed = out.write_all(bytes).and_then(|()| out.flush());
    }

    /// A line for people; not with `--quiet`.
    pub fn note(&self, text: &str) {
        if !self.quiet {
            self.line(text);
        }
    }

    /// Something that works and should be looked at; also with `--quiet`.
    pub fn warning(&self, text: &str) {
        let (on, off) = if self.color_err { ("\x1b[33m", "\x1b[0m") } else { ("", "") };
        self.line(&format!("{on}warning:{off} {text}"));
    }

    /// What went wrong, its causes, what to do.
    pub fn error(&self, error: &Error) {
        let (red, off) = if self.color_err { ("\x1b[31m", "\x1b[0m") } else { ("", "") };
        let mut text = format!("{red}error:{off} {}", error.message());
        for cause in error.causes() {
            for line in cause.lines() {
                text.push_str("\n  ");
                text.push_str(line);
            }
        }
        if let Some(hint) = error.hint_text() {
            text.push_str("\nhint: ");
            text.push_str(hint);
        }
        self.line(&text);
    }

    /// What is being done now: a spinner on a terminal, else a line per change.
    pub fn state(&self, text: &str) {
        if self.quiet {
            return;
        }
        match &self.bar {
            Some(bar) => {
                bar.set_message(text.to_owned());
                bar.enable_steady_tick(Duration::from_millis(100));
            }
            None => {
                let Ok(mut last) = self.last.lock() else { return };
                if *last != text {
                    text.clone_into(&mut last);
                    self.line(text);
                }
            }
        }
    }

    /// How much of a download is there.
    pub fn transfer(&self, done: u64, total: Option<u64>) {
        use crate::report::human::bytes;
        let Some(bar) = &self.bar else { return };
        bar.set_message(match total {
            Some(total) => format!("{} of {}", bytes(done), bytes(total)),
            None => bytes(done),
        });
        bar.tick();
    }

    /// Takes the spinner away.
    pub fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.disable_steady_tick();
            bar.set_message("");
            // `finish_and_clear` would keep it from being shown again.
            let _closed = bar.suspend(|| std::io::stderr().flush());
        }
    }

    fn line(&self, text: &str) {
        let print = || {
            let mut err = std::io::stderr().lock();
            let _closed = writeln!(err, "{text}");
        };
        match &self.bar {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }
}
