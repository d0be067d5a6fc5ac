//! Writes to an API server, by server-side apply.

mod own;
mod passwords;

use std::{
    collections::VecDeque,
    fmt::Debug,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use k8s_openapi::{
    NamespaceResourceScope, api::core::v1 as core, apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp,
};
use kube::{
    Api, Client, Resource,
    api::{Patch, PatchParams, PostParams},
};
use metal_core::{config::ObjectRef, controller::Assignment, event::Event, name::ObjectKey, view::Version};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::{
    backend::{Options, Role},
    claims,
    fence::Fence,
    parse::{BFD_PROFILE, BGP_ADVERTISEMENT, BGP_PEER, COMMUNITY, L2_ADVERTISEMENT, POOL, RESERVATION},
    raw,
    seen::Seen,
    sink::{ConfigStatus, Done, Failure, Job},
    status::{self, OwnKind},
    view,
    watch::with_causes,
};

/// How long a write may take before it counts as failed.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long one may take that has to be over before another controller leads.
const FENCED_PATIENCE: Duration = Duration::from_secs(1);
/// Events whose repetition is counted instead of created anew.
const REMEMBERED_EVENTS: usize = 256;
/// `ipMode` came with this minor version; older servers refuse to apply it.
const IP_MODE_SINCE: u32 = 29;

/// Writes to one API server.
pub(crate) struct ClusterWriter {
    client: Client,
    options: Options,
    seen: Seen,
    fence: Option<Fence>,
    has_warned: AtomicBool,
    ip_mode: OnceCell<bool>,
    swept: [OnceCell<()>; OwnKind::ALL.len()],
    /// The object that says how the node stands is there, apart from its status.
    node_made: OnceCell<()>,
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
    pub(crate) const fn new(client: Client, options: Options, seen: Seen, fence: Option<Fence>) -> Self {
        Self {
            client,
            options,
            seen,
            fence,
            has_warned: AtomicBool::new(false),
            ip_mode: OnceCell::const_new(),
            swept: [const { OnceCell::const_new() }; OwnKind::ALL.len()],
            node_made: OnceCell::const_new(),
            events: Mutex::new(VecDeque::new()),
        }
    }

    /// Whether an earlier incarnation may have left something to remove.
    pub(crate) const fn sweeps(&self) -> bool {
        matches!(self.options.role, Role::Speaker { .. })
    }

    /// Performs `job`.
    pub(crate) async fn write(&self, job: &Job) -> Result<Done, Failure> {
        let patience = if self.fence.is_some() { FENCED_PATIENCE } else { PATIENCE };
        match tokio::time::timeout(patience, self.try_write(job)).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(Error::Api(kube::Error::Api(status)))) if status.code == 404 => Ok(Done::Gone),
            Ok(Err(Error::Api(error))) => Err(failure(&error)),
            Ok(Err(Error::Fenced)) => {
                Err(Failure { reason: "this controller does not lead any more".into(), retry: true })
            }
            Err(_) => Err(Failure {
                reason: format!("no answer from the API server within {} s", patience.as_secs()),
                retry: true,
            }),
        }
    }

    async fn try_write(&self, job: &Job) -> Result<Done, Error> {
        match job {
            Job::Sweep => {
                for kind in OwnKind::ALL {
                    self.sweep(kind).await?;
                }
            }
            Job::Assign { service, version, assignment, .. } => {
                return self.assign(service, *version, assignment).await;
            }
            Job::Config { object, status: Some(status) } => return self.config(object, status).await,
            Job::Config { status: None, .. } => return Ok(Done::Unchanged), // It went with its object.
            Job::Own(own) => self.own(own).await?,
            Job::SecretsInUse(names) => self.secrets_in_use(names).await?,
            Job::Node(state) => self.node(state).await?,
            Job::Event { about, event, at } => self.event(about, event, *at).await?,
        }
        Ok(Done::Written)
    }

    /// To be asked right before each write.
    fn may_write(&self) -> Result<(), Error> {
        if self.fence.as_ref().is_none_or(Fence::is_open) { Ok(()) } else { Err(Error::Fenced) }
    }

    async fn assign(
        &self,
        service: &ObjectKey,
        version: Version,
        assignment: &Assignment,
    ) -> Result<Done, Error> {
        let object = status::service_ref(service);
        if self.seen.has_written(&object, version, assignment) {
            return Ok(Done::Written);
        }
        let ip_mode = self.knows_ip_mode().await?;
        let since = self.seen.since(&object).with(assignment, Timestamp::now());
        let mut patch = status::service(service, assignment, since, ip_mode);
        let met = self.seen.expected(&object, version);
        if met != 0 {
            patch["metadata"]["resourceVersion"] = met.to_string().into();
        }
        let api: Api<raw::Applied> = Api::namespaced(self.client.clone(), &service.namespace);
        self.may_write()?;
        let there = match api.patch_status(&service.name, &self.params(), &Patch::Apply(&patch)).await {
            Err(error) if is_stale(&error) => return Ok(Done::Stale),
            result => result?,
        };
        let made = view::version(&there.metadata);
        // Who else lays claim to what we write would keep it alive when we withdraw it.
        let takeover = claims::takeover(&there.metadata, assignment);
        let certain = Some(assignment).filter(|_| takeover.is_none());
        self.seen.wrote_service(&object, met, made, since, certain);
        if let Some(patch) = takeover {
            self.may_write()?;
            let params = PatchParams { force: false, ..self.params() };
            // Through the status nobody can change the managed fields.
            match api.patch(&service.name, &params, &Patch::Merge(&patch)).await {
                Ok(there) => {
                    let now = view::version(&there.metadata);
                    self.seen.wrote_service(&object, made, now, since, Some(assignment));
                }
                // The next write tries it again; what this one was for is there.
                Err(error) if is_stale(&error) => {}
                Err(error) => self.not_taken_over(service, &error),
            }
        }
        Ok(Done::Written)
    }

    /// Says once what keeps other managers' claims alive.
    fn not_taken_over(&self, service: &ObjectKey, error: &kube::Error) {
        if !self.has_warned.swap(true, Ordering::Relaxed) {
            let reason = failure(error).reason;
            tracing::warn!(
                "cannot take Service {service} over from the field managers that had it: {reason}"
            );
        }
    }

    async fn config(&self, object: &ObjectRef, status: &ConfigStatus) -> Result<Done, Error> {
        let Some(there) = self.seen.config(object) else { return Ok(Done::Gone) };
        let wanted = status::config_status(object, status, &there, Timestamp::now());
        if status::same_config_status(&wanted, &there) {
            return Ok(Done::Unchanged);
        }
        self.may_write()?;
        match object.kind {
            POOL => self.config_status::<raw::Pool>(object, &wanted).await?,
            L2_ADVERTISEMENT => self.config_status::<raw::L2Advertisement>(object, &wanted).await?,
            RESERVATION => self.config_status::<raw::Reservation>(object, &wanted).await?,
            BGP_PEER => self.config_status::<raw::BgpPeer>(object, &wanted).await?,
            BGP_ADVERTISEMENT => self.config_status::<raw::BgpAdvertisement>(object, &wanted).await?,
            COMMUNITY => self.config_status::<raw::Community>(object, &wanted).await?,
            BFD_PROFILE => self.config_status::<raw::BfdProfile>(object, &wanted).await?,
            _ => return Ok(Done::Unchanged),
        }
        self.seen.wrote_config(object, wanted);
        Ok(Done::Written)
    }

    async fn config_status<K>(&self, object: &ObjectRef, status: &Value) -> kube::Result<()>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
    {
        let patch = json!({
            "apiVersion": K::api_version(&()),
            "kind": object.kind,
            "metadata": {"name": &*object.name, "namespace": &*object.namespace},
            "status": status,
        });
        let api: Api<K> = Api::namespaced(self.client.clone(), &object.namespace);
        api.patch_status(&object.name, &self.params(), &Patch::Apply(&patch)).await.map(drop)
    }

    async fn event(&self, about: &ObjectRef, event: &Event, at: Timestamp) -> Result<(), Error> {
        self.may_write()?;
        let api: Api<core::Event> = Api::namespaced(self.client.clone(), &about.namespace);
        if let Some((name, count)) = self.repeated(about, event) {
            let patch = json!({"count": count, "lastTimestamp": Time(at)});
            let params = PatchParams { force: false, ..self.params() };
            match api.patch(&name, &params, &Patch::Merge(&patch)).await {
                Err(kube::Error::Api(status)) if status.code == 404 => {} // Expired: a new one is made.
                result => return Ok(result.map(drop)?),
            }
        }
        let host = match &self.options.role {
            Role::Controller => None,
            Role::Speaker { node, .. } => Some(node.as_str()),
        };
        let mut made = status::event(about, event, at, self.options.role.component(), host);
        if let Some(uid) = self.seen.uid(about) {
            made.involved_object.uid = Some(uid);
        }
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

/// Whether a write was refused because the object is not the version it was meant for. The newer one is on its way as a
/// change, and who decided this decides again.
fn is_stale(error: &kube::Error) -> bool {
    let kube::Error::Api(status) = error else { return false };
    let of_fields = |details: &kube::core::response::StatusDetails| {
        details.causes.iter().any(|cause| cause.reason == "FieldManagerConflict")
    };
    status.code == 409 && !status.details.as_ref().is_some_and(of_fields)
}

/// Why a write was not made.
enum Error {
    Api(kube::Error),
    /// Another controller may lead.
    Fenced,
}

impl From<kube::Error> for Error {
    fn from(error: kube::Error) -> Self {
        Self::Api(error)
    }
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
