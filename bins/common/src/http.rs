use std::{
    io,
    net::SocketAddr,
    sync::{Arc, RwLock},
};

use anyhow::{Context, Result};
use axum::{Router, http::StatusCode, response::IntoResponse, routing::get};
use prometheus::{Registry, TextEncoder};
use tokio::net::TcpListener;
use tracing::{error, info, warn};

/// Whether the daemon does its work, and if not, why.
#[derive(Clone, Debug)]
pub struct Readiness(Arc<RwLock<Option<String>>>);

impl Readiness {
    /// Not ready, for this reason.
    #[must_use]
    pub fn waiting(reason: &str) -> Self {
        Self(Arc::new(RwLock::new(Some(reason.to_owned()))))
    }

    /// Ready from now on; `None`, or not, for this reason.
    pub fn set(&self, waiting_for: Option<String>) {
        *self.0.write().unwrap_or_else(std::sync::PoisonError::into_inner) = waiting_for;
    }

    fn answer(&self) -> (StatusCode, String) {
        match &*self.0.read().unwrap_or_else(std::sync::PoisonError::into_inner) {
            None => (StatusCode::OK, "ok\n".to_owned()),
            Some(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {reason}\n")),
        }
    }
}

/// How many further ports are tried when the wanted one is taken.
const MORE_PORTS: u16 = 100;

/// Serves `/metrics`, `/healthz` and `/readyz` in the background.
///
/// With `search` a taken port is logged and the next free one used, so that many daemons can run on one
/// host, as they do in the lab. `refresh` runs before each scrape.
///
/// # Errors
/// When the address cannot be bound.
pub async fn serve<F>(
    address: SocketAddr,
    search: bool,
    registry: Registry,
    readiness: Readiness,
    refresh: impl Fn() -> F + Clone + Send + Sync + 'static,
) -> Result<SocketAddr>
where
    F: Future<Output = ()> + Send,
{
    let listener = bind(address, search).await.with_context(|| {
        format!("cannot serve metrics on {address}: choose another address with --metrics-address")
    })?;
    let bound = listener.local_addr()?;
    let app = Router::new()
        .route(
            "/metrics",
            get(move || {
                let (refreshed, registry) = (refresh(), registry.clone());
                async move {
                    refreshed.await;
                    match TextEncoder::new().encode_to_string(&registry.gather()) {
                        Ok(text) => text.into_response(),
                        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
                    }
                }
            }),
        )
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(move || std::future::ready(readiness.answer())));
    info!("metrics and health on http://{bound}");
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, app).await {
            error!("the metrics server ended: {error}");
        }
    });
    Ok(bound)
}

async fn bind(address: SocketAddr, search: bool) -> io::Result<TcpListener> {
    let mut address = address;
    for _ in 0..MORE_PORTS {
        match TcpListener::bind(address).await {
            Err(error) if search && error.kind() == io::ErrorKind::AddrInUse && address.port() < u16::MAX => {
                warn!("{address} is taken, trying the next port");
                address.set_port(address.port() + 1);
            }
            bound => return bound,
        }
    }
    TcpListener::bind(address).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_taken_port_is_fatal_only_without_search() {
        let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = taken.local_addr().unwrap();
        assert_eq!(bind(address, false).await.unwrap_err().kind(), io::ErrorKind::AddrInUse);
        let next = bind(address, true).await.unwrap();
        assert!(next.local_addr().unwrap().port() > address.port());
    }

    #[test]
    fn readiness_says_what_it_waits_for() {
        let readiness = Readiness::waiting("the first list of Services");
        assert_eq!(
            readiness.answer(),
            (StatusCode::SERVICE_UNAVAILABLE, "not ready: the first list of Services\n".to_owned())
        );
        readiness.set(None);
        assert_eq!(readiness.answer().0, StatusCode::OK);
    }
}
