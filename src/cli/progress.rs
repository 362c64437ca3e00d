//! The progress of a long command, on a terminal. It is gone when the command has finished.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// The bar shows nothing if stderr is not a terminal.
pub(super) struct Progress(ProgressBar);

impl Progress {
    /// Counts events of which nothing says how many will come.
    pub(super) fn events() -> Self {
        Self::shown(ProgressBar::no_length(), "{spinner} {human_pos} events")
    }

    /// Counts bytes.
    pub(super) fn bytes(length: Option<u64>) -> Self {
        match length {
            Some(length) => Self::shown(
                ProgressBar::new(length),
                "{bar:32} {percent:>3} %  {bytes} of {total_bytes}  {eta} left",
            ),
            None => Self::shown(ProgressBar::no_length(), "{spinner} {bytes}"),
        }
    }

    fn shown(bar: ProgressBar, template: &str) -> Self {
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(200));
        Self(bar)
    }

    pub(super) fn show(&self, position: u64) {
        self.0.set_position(position);
    }

    /// Shows the positions of another thread.
    pub(super) fn shown_by(&self) -> impl Fn(u64) + Send + use<> {
        let bar = self.0.clone();
        move |position| bar.set_position(position)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
