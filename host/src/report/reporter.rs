//! Shows what happens: only the reporter knows the format of the results, and
//! has the terminal.

use std::sync::Arc;

use super::event::Event;
use super::{Outcome, human, json, ndjson};
use crate::exit::Exit;
use crate::figures;
use crate::notes::{Notes, Progress};
use crate::redact::Redactor;
use crate::terminal::Terminal;

/// How results are rendered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum Format {
    /// For people.
    #[default]
    Human,
    /// One JSON document on stdout.
    Json,
    /// Events on stdout, a JSON document on each line.
    Ndjson,
}

/// Shows what happens.
pub(crate) struct Reporter {
    terminal: Terminal,
    format: Format,
}

impl Reporter {
    /// On this terminal, in this format.
    #[must_use]
    pub(crate) fn new(terminal: Terminal, format: Format) -> Self {
        Self { terminal, format }
    }

    /// Before the options are known.
    #[must_use]
    pub(crate) fn plain() -> Self {
        Self::new(Terminal::plain(), Format::Human)
    }

    /// The secrets that are not shown.
    #[must_use]
    pub(crate) fn redactor(&self) -> &Redactor {
        self.terminal.redactor()
    }

    /// The same for code that only reports what people should know.
    #[must_use]
    pub(crate) fn notes(self: &Arc<Self>) -> Arc<dyn Notes> {
        Arc::<Self>::clone(self)
    }

    /// `human` or `json`, as a command's own answer is wanted.
    #[must_use]
    pub(crate) fn format_of_answers(&self) -> &'static str {
        match self.format {
            Format::Human => "human",
            Format::Json | Format::Ndjson => "json",
        }
    }

    /// Whether data may be written as it comes. As an event it is one line.
    #[must_use]
    pub(crate) fn takes_streams(&self) -> bool {
        self.format != Format::Ndjson
    }

    /// Shows what happened.
    pub(crate) fn report(&self, event: Event<'_>) {
        let terminal = &self.terminal;
        if self.format == Format::Ndjson
            && let Some(line) = ndjson::line_of(&event)
        {
            terminal.json(&line);
        }
        match event {
            Event::RunStarted { databases, .. } => terminal.expect(databases),
            Event::DatabaseStarted { .. }
            | Event::CheckFinished { .. }
            | Event::RunFinished { .. } => {}
            Event::Stage { name: "", text } => terminal.state(text),
            Event::Stage { name, text } => terminal.stage(name, text),
            Event::Figures { name, text } => terminal.moving(name, text),
            Event::DatabaseFinished { report, success, done } => {
                let Some(done) = done else { return };
                let word = report.word(success).replace('-', " ");
                let (remark, took) = (report.bracketed(), figures::duration(report.duration));
                let text = format!("{word}{remark} in {took}");
                let good = report.outcome() <= Outcome::Passed;
                terminal.finished(&report.name, &text, good, done);
            }
            Event::Idle => terminal.clear(),
            Event::RunReported { report, data: [], wrote: false, verbose } => match self.format {
                Format::Json => terminal.json(&format!("{}\n", json::render(report))),
                Format::Human => {
                    let style = human::Style { color: terminal.color(), verbose };
                    terminal.text(&human::render(report, style));
                }
                // The run is over.
                Format::Ndjson => {}
            },
            Event::RunReported { .. } if self.format == Format::Ndjson => {}
            Event::RunReported { report, data, verbose, .. } => {
                // The command's own output; the report goes beside it.
                terminal.data(data);
                if report.exit() != Exit::Success {
                    let style = human::Style { color: false, verbose };
                    terminal.warning(human::render(report, style).trim_end());
                }
            }
            Event::Beside { report, verbose } => {
                let style = human::Style { color: false, verbose };
                terminal.note(human::render(report, style).trim_end());
            }
            Event::Text(text) => terminal.text(text),
            Event::Data(bytes) => terminal.data(bytes),
            Event::Secrets(bytes) => terminal.exact(bytes),
            Event::Answer { human, json, lines } => match (self.format, lines) {
                (Format::Human, _) => terminal.text(&human()),
                (Format::Ndjson, Some(lines)) => terminal.json(&lines()),
                (Format::Json | Format::Ndjson, _) => terminal.json(&json()),
            },
            Event::Pipeline(text) => terminal.commands(text, self.format != Format::Human),
            Event::Error(error) => terminal.error(error),
        }
    }
}

impl Progress for Reporter {
    fn note(&self, text: &str) {
        self.terminal.note(text);
    }

    fn bytes(&self, done: u64, total: Option<u64>) {
        self.terminal.bytes(done, total);
    }

    fn finished(&self) {
        self.terminal.clear();
    }
}

impl Notes for Reporter {
    fn note_once(&self, text: &str) {
        self.terminal.note_once(text);
    }

    fn warning(&self, text: &str) {
        self.terminal.warning(text);
    }

    fn is_watched(&self) -> bool {
        self.terminal.is_watched()
    }
}
