//! Metrics of the server, and their rendering for `/metrics`.

use std::sync::OnceLock;

use metrics_exporter_prometheus::{BuildError, PrometheusBuilder, PrometheusHandle};

/// Renders the metrics.
pub(crate) type Handle = PrometheusHandle;

/// Upper bounds of the latency histogram, in seconds.
const SECONDS: [f64; 12] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0,
];

/// Installs the process's recorder at the first call. Returns the same recorder's handle each time.
///
/// # Errors
/// If the recorder cannot be built.
pub(crate) fn install() -> Result<Handle, BuildError> {
    static HANDLE: OnceLock<Handle> = OnceLock::new();
    if let Some(handle) = HANDLE.get() {
        return Ok(handle.clone());
    }
    let recorder = PrometheusBuilder::new()
        .set_buckets(&SECONDS)?
        .build_recorder();
    let handle = HANDLE.get_or_init(|| recorder.handle()).clone();
    // Fails only if the program has installed a recorder of its own. Then `/metrics` is empty.
    let _ = metrics::set_global_recorder(recorder);
    Ok(handle)
}
