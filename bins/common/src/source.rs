use anyhow::Result;
use metal_k8s::{Backend, Options, Role};

use crate::Common;

impl Common {
    /// The cluster or the directory of manifests that the arguments name.
    ///
    /// # Errors
    /// When it cannot be used at all; nothing can run then.
    pub async fn backend(&self, role: Role, node_state: Option<&std::path::Path>) -> Result<Backend> {
        let options = Options { role, namespace: self.namespace.clone(), class: self.lb_class.clone() };
        Ok(match (&self.manifests, &self.state) {
            (Some(manifests), Some(state)) => Backend::directory(options, manifests, state, node_state)?,
            _ => Backend::cluster(options, self.kubeconfig.as_deref()).await?,
        })
    }
}
