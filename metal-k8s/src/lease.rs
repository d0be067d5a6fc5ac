//! The Lease that replicas of the controller elect their leader by.

use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
    jiff::Timestamp,
};
use kube::{Api, api::PostParams};
use metal_core::lease::{Input, LEASE, Record, TIMEOUT, Write};

use crate::{backend::CONTROLLER, view, watch::with_causes};

/// Reads and writes the Lease `metal-controller`: what a [`metal_core::lease::Elector`] asks for.
pub struct LeaseClient {
    api: Api<Lease>,
    namespace: String,
    /// `spec.acquireTime` as it stands: who renews keeps it.
    acquired: Option<MicroTime>,
}

/// Why a request failed, for the log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Lease {namespace}/{CONTROLLER}: {reason}")]
pub struct LeaseError {
    namespace: String,
    reason: String,
}

impl LeaseClient {
    pub(crate) fn new(client: kube::Client, namespace: &str) -> Self {
        Self { api: Api::namespaced(client, namespace), namespace: namespace.into(), acquired: None }
    }

    /// Reads the Lease.
    ///
    /// # Errors
    /// When the API server refuses, cannot be reached or takes too long: [`Input::Failed`].
    pub async fn read(&mut self) -> Result<Input, LeaseError> {
        let found = async {
            match self.api.get(CONTROLLER).await {
                Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
                found => found.map(Some),
            }
        };
        let found = self.within(found).await?;
        Ok(Input::Found(found.map(|lease| {
            let version = view::version(&lease.metadata);
            let spec = lease.spec.unwrap_or_default();
            self.acquired = spec.acquire_time;
            Record {
                holder: spec.holder_identity.map(Into::into),
                duration: spec
                    .lease_duration_seconds
                    .and_then(|seconds| u64::try_from(seconds).ok().map(std::time::Duration::from_secs)),
                transitions: spec.lease_transitions.unwrap_or(0).try_into().unwrap_or(0),
                version,
            }
        })))
    }

    /// Writes the Lease.
    ///
    /// # Errors
    /// As for [`read`](Self::read). The write may go through all the same.
    pub async fn write(&mut self, write: &Write) -> Result<Input, LeaseError> {
        let now = MicroTime(Timestamp::now());
        if write.acquires {
            self.acquired = Some(now.clone());
        }
        let lease = Lease {
            metadata: ObjectMeta {
                name: Some(CONTROLLER.into()),
                namespace: Some(self.namespace.clone()),
                resource_version: write.version.map(|version| version.to_string()),
                ..ObjectMeta::default()
            },
            spec: Some(LeaseSpec {
                holder_identity: Some(write.holder.as_deref().unwrap_or_default().into()),
                lease_duration_seconds: i32::try_from(LEASE.as_secs()).ok(),
                lease_transitions: i32::try_from(write.transitions).ok(),
                acquire_time: self.acquired.clone(),
                renew_time: Some(now),
                ..LeaseSpec::default()
            }),
        };
        let params = PostParams { field_manager: Some(CONTROLLER.into()), ..PostParams::default() };
        let written = async {
            match write.version {
                Some(_) => self.api.replace(CONTROLLER, &params, &lease).await,
                None => self.api.create(&params, &lease).await,
            }
        };
        let conflict = |error: &kube::Error| match error {
            // Without a Lease to write to, another one has to be made; without a namespace, none can.
            kube::Error::Api(status) => status.code == 409 || (status.code == 404 && write.version.is_some()),
            _ => false,
        };
        match tokio::time::timeout(TIMEOUT, written).await {
            Ok(Ok(lease)) => Ok(Input::Written(view::version(&lease.metadata))),
            Ok(Err(error)) if conflict(&error) => Ok(Input::Conflict),
            Ok(Err(error)) => Err(self.error(with_causes(&error))),
            Err(_) => Err(self.late()),
        }
    }

    async fn within<T>(&self, request: impl Future<Output = kube::Result<T>>) -> Result<T, LeaseError> {
        match tokio::time::timeout(TIMEOUT, request).await {
            Ok(result) => result.map_err(|error| self.error(with_causes(&error))),
            Err(_) => Err(self.late()),
        }
    }

    fn late(&self) -> LeaseError {
        self.error(format!("no answer from the API server within {} s", TIMEOUT.as_secs()))
    }

    fn error(&self, reason: String) -> LeaseError {
        LeaseError { namespace: self.namespace.clone(), reason }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::fake::{Answer, Fake, Request, refused};

    async fn client(handler: impl FnMut(&Request) -> Answer + Send + 'static) -> (LeaseClient, Fake) {
        let fake = Fake::start(handler).await;
        (LeaseClient::new(fake.client(), "metallb-system"), fake)
    }

    fn write(version: Option<u64>, holder: Option<&str>, acquires: bool) -> Write {
        Write { version, holder: holder.map(Into::into), transitions: 4, acquires }
    }

    #[tokio::test]
    async fn a_lease_is_made_renewed_and_given_back() {
        let mut version = 0;
        let (mut client, fake) = client(move |request| {
            if request.method == "GET" {
                return refused(404, "not found");
            }
            let mut lease = request.body.clone();
            version += 7;
            lease["metadata"]["resourceVersion"] = version.to_string().into();
            Answer::Json(200, lease)
        })
        .await;
        assert!(matches!(client.read().await, Ok(Input::Found(None))));
        assert!(matches!(client.write(&write(None, Some("a"), true)).await, Ok(Input::Written(7))));
        assert!(matches!(client.write(&write(Some(7), Some("a"), false)).await, Ok(Input::Written(14))));
        assert!(matches!(client.write(&write(Some(14), None, false)).await, Ok(Input::Written(21))));
        let requests = fake.take();
        let all = "/apis/coordination.k8s.io/v1/namespaces/metallb-system/leases";
        assert_eq!((&*requests[1].method, requests[1].path.starts_with(all)), ("POST", true));
        assert_eq!(&*requests[2].method, "PUT");
        assert!(requests[2].path.starts_with(&format!("{all}/metal-controller?")), "{}", requests[2].path);
        let (made, renewed, free) = (&requests[1].body, &requests[2].body, &requests[3].body);
        assert_eq!(made["spec"]["holderIdentity"], "a");
        assert_eq!(
            (&made["spec"]["leaseDurationSeconds"], &made["spec"]["leaseTransitions"]),
            (&3.into(), &4.into())
        );
        assert_eq!(renewed["metadata"]["resourceVersion"], "7");
        assert_eq!(renewed["spec"]["acquireTime"], made["spec"]["acquireTime"], "a renewal keeps it");
        assert!(made["spec"]["renewTime"].is_string());
        assert_eq!(free["spec"]["holderIdentity"], "");
    }

    #[tokio::test]
    async fn what_others_have_written_is_read() {
        let spec = json!({"holderIdentity": "b", "leaseDurationSeconds": 15, "leaseTransitions": 2,
            "acquireTime": "2026-01-01T00:00:00.000000Z", "renewTime": "2026-01-01T00:00:00.000000Z"});
        let lease = json!({"metadata": {"name": "metal-controller", "resourceVersion": "9"}, "spec": spec});
        let (mut client, _) = client(move |_| Answer::Json(200, lease.clone())).await;
        let Ok(Input::Found(Some(record))) = client.read().await else { panic!("a record") };
        let duration = Some(std::time::Duration::from_secs(15));
        assert_eq!(record, Record { holder: Some("b".into()), duration, transitions: 2, version: 9 });
    }

    #[tokio::test]
    async fn refusals_are_conflicts_or_failures() {
        for (code, version, conflict) in [
            (409, Some(1), true),
            (409, None, true),
            (404, Some(1), true),
            (404, None, false),
            (403, Some(1), false),
            (500, Some(1), false),
        ] {
            let (mut client, _) = client(move |_| refused(code, "no")).await;
            let result = client.write(&write(version, Some("a"), true)).await;
            assert_eq!(matches!(result, Ok(Input::Conflict)), conflict, "{code} {version:?}");
            assert_eq!(result.is_err(), !conflict, "{code} {version:?}");
        }
        let (mut client, _) = client(|_| Answer::Watch { events: vec![Value::Null], end: false }).await;
        let error = client.read().await.unwrap_err().to_string();
        assert!(error.starts_with("Lease metallb-system/metal-controller: "), "{error}");
    }
}
