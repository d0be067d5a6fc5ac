//! Writes to an API server, by server-side apply.

use std::{
    collections::VecDeque,
    net::IpAddr,
    sync::{Mutex, PoisonError},
};

use k8s_openapi::{api::core::v1 as core, apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};
use kube::{
    Api, Client,
    api::{ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams},
};
use metal_core::{
    config::ObjectRef,
    event::Event,
    name::{ObjectKey, PoolName},
    speaker::Status as L2Status,
};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::{
    annotation::ALLOCATED_FROM,
    backend::{Options, Role},
    crd::ServiceL2Status,
    parse::{L2_ADVERTISEMENT, POOL},
    raw,
    seen::{Seen, Status},
    sink::{ConfigStatus, Done, Failure, Job},
    status::{self, L2Object},
    watch::with_causes,
};

/// Events whose repetition is counted instead of created anew.
const REMEMBERED_EVENTS: usize = 256;
/// `ipMode` came with this minor version; older servers refuse to apply it.
const IP_MODE_SINCE: u32 = 29;

/// Writes to one API server.
pub(crate) struct ClusterWriter {
    client: Client,
    options: Options,
    seen: Seen,
    ip_mode: OnceCell<bool>,
    swept: OnceCell<()>,
    events: Mutex<VecDeque<Published>>,
}

/// An event that is there.
struct Published {
    about: ObjectRef,
    reason: &'static str,
    message: String,
    name: String,
    count: i32,
}

impl ClusterWriter {
    pub(crate) const fn new(client: Client, options: Options, seen: Seen) -> Self {
        Self {
            client,
            options,
            seen,
            ip_mode: OnceCell::const_new(),
            swept: OnceCell::const_new(),
            events: Mutex::new(VecDeque::new()),
        }
    }

    /// Whether an earlier incarnation may have left something to remove.
    pub(crate) const fn sweeps(&self) -> bool {
        matches!(self.options.role, Role::Speaker { .. })
    }

    /// Performs `job`. What is there already is not written again.
    pub(crate) async fn write(&self, job: &Job) -> Result<Done, Failure> {
        let result = match job {
            Job::Sweep => self.sweep().await,
            Job::Assign { service, addresses, pool } => self.assign(service, addresses, pool.as_ref()).await,
            Job::Config { object, status: Some(status) } => self.config(object, status).await,
            Job::Config { status: None, .. } => Ok(()), // It went with its object.
            Job::L2 { service, status } => match self.sweep().await {
                Ok(()) => self.l2(service, status.as_ref()).await,
                Err(error) => Err(error),
            },
            Job::Event { about, event, at } => self.event(about, event, *at).await,
        };
        match result {
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(Done::Gone),
            Err(error) => Err(failure(&error)),
            Ok(()) => Ok(Done::Written),
        }
    }

    async fn assign(
        &self,
        service: &ObjectKey,
        addresses: &[IpAddr],
        pool: Option<&PoolName>,
    ) -> kube::Result<()> {
        let object = status::service_ref(service);
        let wanted = Status::Service { addresses: addresses.to_vec(), pool: pool.cloned() };
        // Once we have written, only the machine knows whether the Service needs it again.
        if self.seen.status(&object).is_some_and(|(there, ours)| !ours && there == wanted) {
            return Ok(());
        }
        let api: Api<raw::Service> = Api::namespaced(self.client.clone(), &service.namespace);
        let patch = service_patch(service, addresses, pool, self.knows_ip_mode().await?);
        let there = api.patch_status(&service.name, &self.params(), &Patch::Apply(&patch)).await?;
        // An annotation that another manager owns as well outlives an apply that leaves it out.
        let annotated = there.metadata.annotations.is_some_and(|all| all.contains_key(ALLOCATED_FROM));
        if pool.is_none() && annotated {
            let patch = json!({"metadata": {"annotations": {ALLOCATED_FROM: null}}});
            let params = PatchParams { force: false, ..self.params() };
            api.patch_status(&service.name, &params, &Patch::Merge(&patch)).await?;
        }
        self.seen.wrote(&object, wanted);
        Ok(())
    }

    async fn config(&self, object: &ObjectRef, status: &ConfigStatus) -> kube::Result<()> {
        let there = match self.seen.status(object) {
            Some((Status::Config(there), _)) => there,
            Some(_) => Value::Null,
            None => return Ok(()), // It is gone.
        };
        let wanted = status::config_status(object, status, &there, Timestamp::now());
        if status::same_config_status(&wanted, &there) {
            return Ok(());
        }
        let patch = json!({
            "apiVersion": "metallb.io/v1beta1",
            "kind": object.kind,
            "metadata": {"name": &*object.name, "namespace": &*object.namespace},
            "status": wanted,
        });
        let patch = Patch::Apply(&patch);
        match object.kind {
            POOL => {
                let api: Api<raw::Pool> = Api::namespaced(self.client.clone(), &object.namespace);
                api.patch_status(&object.name, &self.params(), &patch).await?;
            }
            L2_ADVERTISEMENT => {
                let api: Api<raw::L2Advertisement> = Api::namespaced(self.client.clone(), &object.namespace);
                api.patch_status(&object.name, &self.params(), &patch).await?;
            }
            _ => return Ok(()),
        }
        self.seen.wrote(object, Status::Config(wanted));
        Ok(())
    }

    async fn l2(&self, service: &ObjectKey, status: Option<&L2Status>) -> kube::Result<()> {
        let Role::Speaker { node, pod } = &self.options.role else { return Ok(()) };
        let object = L2Object { node, service, namespace: &self.options.namespace, pod: pod.as_ref() };
        let api = self.l2_statuses();
        let name = object.name();
        let Some(status) = status else {
            return api.delete(&name, &DeleteParams::default()).await.map(drop);
        };
        let (main, status) = object.manifests(status);
        api.patch(&name, &self.params(), &Patch::Apply(&main)).await?;
        api.patch_status(&name, &self.params(), &Patch::Apply(&status)).await.map(drop)
    }

    /// Whoever starts announces nothing yet, so what an earlier incarnation said is no longer true.
    async fn sweep(&self) -> kube::Result<()> {
        let Role::Speaker { node, .. } = &self.options.role else { return Ok(()) };
        let sweep = || async {
            let api = self.l2_statuses();
            let own = ListParams::default().labels(&format!(
                "{}={}",
                status::NODE_LABEL,
                status::label(node.as_str())
            ));
            match api.delete_collection(&DeleteParams::default(), &own).await {
                Err(kube::Error::Api(status)) if status.code == 404 => Ok(()), // There is no such kind.
                result => result.map(drop),
            }
        };
        self.swept.get_or_try_init(sweep).await.map(drop)
    }

    /// Untyped: an answer must not fail because of an object that somebody else wrote.
    fn l2_statuses(&self) -> Api<DynamicObject> {
        let resource = ApiResource::erase::<ServiceL2Status>(&());
        Api::namespaced_with(self.client.clone(), &self.options.namespace, &resource)
    }

    async fn event(&self, about: &ObjectRef, event: &Event, at: Timestamp) -> kube::Result<()> {
        let api: Api<core::Event> = Api::namespaced(self.client.clone(), &about.namespace);
        if let Some((name, count)) = self.repeated(about, event) {
            let patch = json!({"count": count, "lastTimestamp": Time(at)});
            let params = PatchParams { force: false, ..self.params() };
            match api.patch(&name, &params, &Patch::Merge(&patch)).await {
                Err(kube::Error::Api(status)) if status.code == 404 => {} // Expired: a new one is made.
                result => return result.map(drop),
            }
        }
        let host = match &self.options.role {
            Role::Controller => None,
            Role::Speaker { node, .. } => Some(node.as_str()),
        };
        let mut made = status::event(about, event, at, self.options.role.component(), host);
        made.involved_object.uid = self.seen.uid(about);
        let name = made.metadata.name.clone().unwrap_or_default();
        let params = PostParams {
            field_manager: Some(self.options.role.field_manager().into()),
            ..PostParams::default()
        };
        match api.create(&params, &made).await {
            Err(kube::Error::Api(status)) if status.code == 409 => {} // An earlier try came through.
            result => drop(result?),
        }
        self.remember(about, event, name);
        Ok(())
    }

    /// The name and the new count of an equal event that is there already.
    fn repeated(&self, about: &ObjectRef, event: &Event) -> Option<(String, i32)> {
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |there: &&mut Published| {
            there.about == *about && there.reason == event.reason && there.message == event.message
        };
        let there = events.iter_mut().find(same)?;
        there.count = there.count.saturating_add(1);
        Some((there.name.clone(), there.count))
    }

    fn remember(&self, about: &ObjectRef, event: &Event, name: String) {
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        events.retain(|there| {
            there.about != *about || there.reason != event.reason || there.message != event.message
        });
        if events.len() == REMEMBERED_EVENTS {
            events.pop_front();
        }
        let (reason, message) = (event.reason, event.message.clone());
        events.push_back(Published { about: about.clone(), reason, message, name, count: 1 });
    }

    async fn knows_ip_mode(&self) -> kube::Result<bool> {
        let ask = || async {
            match self.client.apiserver_version().await {
                Ok(version) => Ok(knows_ip_mode(&version.major, &version.minor)),
                Err(kube::Error::Api(_)) => Ok(false), // It does not say: the field is not needed.
                Err(error) => Err(error),
            }
        };
        self.ip_mode.get_or_try_init(ask).await.copied()
    }

    fn params(&self) -> PatchParams {
        PatchParams::apply(self.options.role.field_manager()).force()
    }
}

/// Whether a server of this version has `ipMode`. Vendors write minor versions such as "29+".
fn knows_ip_mode(major: &str, minor: &str) -> bool {
    let number = |text: &str| {
        text.trim_end_matches(|letter: char| !letter.is_ascii_digit()).parse::<u32>().unwrap_or(0)
    };
    (number(major), number(minor)) >= (1, IP_MODE_SINCE)
}

/// What is applied to the status of a Service. Without addresses the list is applied empty, not left out: that
/// clears it even after another manager has taken it.
fn service_patch(service: &ObjectKey, addresses: &[IpAddr], pool: Option<&PoolName>, ip_mode: bool) -> Value {
    let mut patch = json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": &*service.name, "namespace": &*service.namespace},
        "status": {"loadBalancer": {"ingress": status::ingress(addresses, ip_mode)}},
    });
    if let Some(pool) = pool {
        patch["metadata"]["annotations"] = json!({ALLOCATED_FROM: pool.as_str()});
    }
    patch
}

fn failure(error: &kube::Error) -> Failure {
    match error {
        kube::Error::Api(status) => {
            let hint = if status.code == 403 {
                "; grant it to this service account (deploy/ has the roles)"
            } else {
                ""
            };
            // Refused for what it says: the same again is refused again.
            let retry = !matches!(status.code, 400 | 422);
            Failure { reason: format!("{}{hint}", status.message), retry }
        }
        error => Failure { reason: with_causes(error), retry: true },
    }
}

#[cfg(test)]
mod tests;
