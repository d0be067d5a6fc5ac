use anyhow::Result;
use prometheus::{IntCounter, IntGauge, Registry, core::Collector};

/// The metrics that both daemons have, with MetalLB's names.
#[derive(Clone, Debug)]
pub struct ClientMetrics {
    /// Changes taken in.
    pub updates: IntCounter,
    /// Writes that failed.
    pub update_errors: IntCounter,
    /// 1 once everything has been listed.
    pub config_loaded: IntGauge,
    /// 1 while a configuration object is refused.
    pub config_stale: IntGauge,
}

impl ClientMetrics {
    /// Registers them.
    ///
    /// # Errors
    /// When one of the names is taken.
    pub fn new(registry: &Registry) -> Result<Self> {
        let counter = |name: &str, help: &str| {
            register(registry, IntCounter::new(format!("metallb_k8s_client_{name}"), help)?)
        };
        let gauge = |name: &str, help: &str| {
            register(registry, IntGauge::new(format!("metallb_k8s_client_{name}"), help)?)
        };
        Ok(Self {
            updates: counter("updates_total", "Changes taken in")?,
            update_errors: counter("update_errors_total", "Writes that failed")?,
            config_loaded: gauge("config_loaded_bool", "1 once everything has been listed")?,
            config_stale: gauge("config_stale_bool", "1 while a configuration object is refused")?,
        })
    }

    /// Takes over how many writes have failed so far.
    pub fn errors_so_far(&self, errors: u64) {
        self.update_errors.inc_by(errors.saturating_sub(self.update_errors.get()));
    }
}

/// Registers a metric and hands it back.
///
/// # Errors
/// When its name is taken.
pub fn register<C: Collector + Clone + 'static>(registry: &Registry, metric: C) -> Result<C> {
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}
