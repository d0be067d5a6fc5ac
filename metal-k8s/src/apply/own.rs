//! What a speaker writes: objects of its own.

use kube::{
    Api,
    api::{ApiResource, DeleteParams, DynamicObject, ListParams, Patch},
};

use super::ClusterWriter;
use crate::{
    backend::Role,
    crd::ConfigurationState,
    sink::NodeState,
    status::{Author, Own, OwnKind, SpeakerState},
};

impl ClusterWriter {
    pub(super) async fn node(&self, state: &NodeState) -> kube::Result<()> {
        let Role::Speaker { node, pod } = &self.options.role else { return Ok(()) };
        let object = SpeakerState { node, namespace: &self.options.namespace, pod: pod.as_ref() };
        let api = self.own_objects(&ApiResource::erase::<ConfigurationState>(&()));
        let (name, (main, status)) = (object.name(), object.manifests(state));
        let (params, status) = (self.params(), Patch::Apply(&status));
        let make = || async { api.patch(&name, &params, &Patch::Apply(&main)).await.map(drop) };
        self.node_made.get_or_try_init(make).await?;
        match api.patch_status(&name, &params, &status).await {
            // Somebody has removed it.
            Err(kube::Error::Api(error)) if error.code == 404 => {
                make().await?;
                api.patch_status(&name, &params, &status).await.map(drop)
            }
            result => result.map(drop),
        }
    }

    pub(super) async fn own(&self, own: &Own) -> kube::Result<()> {
        let Role::Speaker { node, pod } = &self.options.role else { return Ok(()) };
        self.sweep(own.kind()).await?;
        let api = self.own_objects(&own.kind().resource());
        let name = own.name(node);
        let author = Author { node, namespace: &self.options.namespace, pod: pod.as_ref() };
        let Some((main, status)) = own.manifests(author) else {
            return api.delete(&name, &DeleteParams::default()).await.map(drop);
        };
        api.patch(&name, &self.params(), &Patch::Apply(&main)).await?;
        api.patch_status(&name, &self.params(), &Patch::Apply(&status)).await.map(drop)
    }

    /// Whoever starts announces nothing yet, so what an earlier incarnation said is no longer true.
    pub(super) async fn sweep(&self, kind: OwnKind) -> kube::Result<()> {
        let Role::Speaker { node, .. } = &self.options.role else { return Ok(()) };
        let sweep = || async {
            let own = ListParams::default().labels(&kind.selector(node));
            let api = self.own_objects(&kind.resource());
            match api.delete_collection(&DeleteParams::default(), &own).await {
                Err(kube::Error::Api(status)) if status.code == 404 => Ok(()), // There is no such kind.
                result => result.map(drop),
            }
        };
        self.swept[kind as usize].get_or_try_init(sweep).await.map(drop)
    }

    fn own_objects(&self, resource: &ApiResource) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), &self.options.namespace, resource)
    }
}
