//! The controller's metrics, with MetalLB's names where MetalLB has them.

use anyhow::Result;
use metal_core::{controller::Usage, name::PoolName};
use metal_daemon::{ClientMetrics, register};
use prometheus::{GaugeVec, IntGauge, IntGaugeVec, Opts, Registry};

/// What the controller counts.
#[derive(Clone)]
pub(crate) struct Metrics {
    pub(crate) registry: Registry,
    pub(crate) client: ClientMetrics,
    /// 1 while this replica leads.
    pub(crate) leader: IntGauge,
    pools: PoolGauges,
    held: IntGaugeVec,
    pending: IntGaugeVec,
}

/// The gauges of each pool.
#[derive(Clone)]
struct PoolGauges {
    total: GaugeVec,
    total_v4: GaugeVec,
    total_v6: GaugeVec,
    used: GaugeVec,
    used_v4: GaugeVec,
    used_v6: GaugeVec,
}

impl Metrics {
    pub(crate) fn new() -> Result<Self> {
        let registry = Registry::new();
        let pool = |name: &str, help: &str| -> Result<GaugeVec> {
            register(
                &registry,
                GaugeVec::new(Opts::new(format!("metallb_allocator_{name}"), help), &["pool"])?,
            )
        };
        let pools = PoolGauges {
            total: pool("addresses_total", "Usable addresses of the pool")?,
            total_v4: pool("ipv4_addresses_total", "Usable IPv4 addresses of the pool")?,
            total_v6: pool("ipv6_addresses_total", "Usable IPv6 addresses of the pool")?,
            used: pool("addresses_in_use_total", "Addresses of the pool in use")?,
            used_v4: pool("ipv4_addresses_in_use_total", "IPv4 addresses of the pool in use")?,
            used_v6: pool("ipv6_addresses_in_use_total", "IPv6 addresses of the pool in use")?,
        };
        let gauges = |name: &str, help: &str, labels: &[&str]| {
            let options = Opts::new(format!("metal_controller_{name}"), help);
            register(&registry, IntGaugeVec::new(options, labels)?)
        };
        Ok(Self {
            client: ClientMetrics::new(&registry)?,
            leader: register(
                &registry,
                IntGauge::new("metal_controller_leader", "1 while this replica leads")?,
            )?,
            pools,
            held: gauges(
                "addresses_held",
                "Free addresses of the pool that are kept for their former owners",
                &["pool"],
            )?,
            pending: gauges(
                "services_pending",
                "Services without an address, by the pool that they ask for (empty: any) and the reason",
                &["pool", "reason"],
            )?,
            registry,
        })
    }

    /// Forgets what a term as the leader has counted.
    pub(crate) fn forget(&self) {
        let PoolGauges { total, total_v4, total_v6, used, used_v4, used_v6 } = &self.pools;
        for gauge in [total, total_v4, total_v6, used, used_v4, used_v6] {
            gauge.reset();
        }
        self.held.reset();
        self.pending.reset();
        self.client.config_loaded.set(0);
        self.client.config_stale.set(0);
    }

    /// Counts a Service that waits: where it was counted `before`, and where `now`, by pool and reason.
    pub(crate) fn pending(&self, before: Option<&(String, String)>, now: Option<&(String, String)>) {
        let gauge = |(pool, reason): &(String, String)| self.pending.with_label_values(&[pool, reason]);
        if let Some(before) = before {
            gauge(before).dec();
        }
        if let Some(now) = now {
            gauge(now).inc();
        }
    }

    /// Shows a pool's counters; `None` removes its series.
    pub(crate) fn usage(&self, pool: &PoolName, usage: Option<Usage>, held: usize) {
        let pool = &[pool.as_str()];
        let gauges = &self.pools;
        let Some(usage) = usage else {
            for gauge in [
                &gauges.total,
                &gauges.total_v4,
                &gauges.total_v6,
                &gauges.used,
                &gauges.used_v4,
                &gauges.used_v6,
            ] {
                // A pool that never had series is no mistake.
                let _ = gauge.remove_label_values(pool);
            }
            let _ = self.held.remove_label_values(pool);
            return;
        };
        self.held.with_label_values(pool).set(i64::try_from(held).unwrap_or(i64::MAX));
        let set = |gauge: &GaugeVec, value: u64| gauge.with_label_values(pool).set(as_float(value));
        set(&gauges.used_v4, usage.assigned_v4);
        set(&gauges.used_v6, usage.assigned_v6);
        set(&gauges.used, usage.assigned_v4.saturating_add(usage.assigned_v6));
        let total_v4 = usage.assigned_v4.saturating_add(usage.available_v4);
        let total_v6 = usage.assigned_v6.saturating_add(usage.available_v6);
        set(&gauges.total_v4, total_v4);
        set(&gauges.total_v6, total_v6);
        set(&gauges.total, total_v4.saturating_add(total_v6));
    }
}

/// Prometheus knows floating point only; beyond 2^53 addresses the last digits are lost.
#[expect(clippy::cast_precision_loss, reason = "the format has no integers")]
const fn as_float(value: u64) -> f64 {
    value as f64
}
