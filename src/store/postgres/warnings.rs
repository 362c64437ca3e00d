//! Warnings of PostgreSQL, which the driver only writes to the log.

use std::{cell::Cell, sync::LazyLock};

use tracing::{
    Dispatch, Event, Metadata, Subscriber,
    instrument::WithSubscriber,
    level_filters::LevelFilter,
    span::{Attributes, Id, Record},
};

/// The driver's name for messages of the server.
const NOTICES: &str = "sqlx::postgres::notice";

static WATCH: LazyLock<Dispatch> = LazyLock::new(|| Dispatch::new(Watch));

tokio::task_local! {
    /// True once the server has warned.
    static WARNED: Cell<bool>;
}

/// Does the work on a connection. Also returns whether the server warned meanwhile.
pub(super) async fn watched<T>(work: impl Future<Output = T>) -> (T, bool) {
    let both = async {
        let done = work.with_subscriber(WATCH.clone()).await;
        (done, WARNED.with(Cell::get))
    };
    WARNED.scope(Cell::new(false), both).await
}

/// Hears warnings, and nothing else.
struct Watch;

impl Subscriber for Watch {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == NOTICES && *metadata.level() <= LevelFilter::WARN
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::WARN)
    }

    fn event(&self, event: &Event<'_>) {
        if self.enabled(event.metadata()) {
            let _ = WARNED.try_with(|warned| warned.set(true));
        }
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}
