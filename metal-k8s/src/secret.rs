//! The key that seals the beacons between speakers.

use std::{collections::BTreeMap, fs, io, path::Path, time::Duration};

use k8s_openapi::{ByteString, api::core::v1::Secret, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::{Api, Client, api::PostParams};

use crate::{
    backend::{Options, Role},
    state::{self, Durable},
    watch::with_causes,
};

/// The Secret in a cluster.
const SECRET: &str = "metal-beacon";
/// Its key.
const KEY: &str = "key";
/// The file in a state directory.
pub(crate) const FILE: &str = "beacon.key";
/// The pause between two looks at an API server.
const PAUSE: Duration = Duration::from_secs(1);
/// The pause between two looks at a file.
const FILE_PAUSE: Duration = Duration::from_millis(20);

/// The key from the cluster.
pub(crate) async fn from_cluster(client: &Client, options: &Options) -> [u8; 32] {
    let api: Api<Secret> = Api::namespaced(client.clone(), &options.namespace);
    let mut wait = Wait::default();
    loop {
        let reason = match read_or_make(&api, options).await {
            Ok(key) => return wait.over(key),
            Err(reason) => reason,
        };
        wait.tell(format!("waiting for the beacon key: Secret {}/{SECRET}: {reason}", options.namespace));
        tokio::time::sleep(PAUSE).await;
    }
}

async fn read_or_make(api: &Api<Secret>, options: &Options) -> Result<[u8; 32], String> {
    let there = api.get_opt(SECRET).await.map_err(|error| with_causes(&error))?;
    match (there, &options.role) {
        (Some(secret), _) => {
            let data = secret.data.unwrap_or_default();
            let key = data
                .get(KEY)
                .ok_or_else(|| format!("it has no key {KEY:?}; delete it to have it made anew"))?;
            key.0[..].try_into().map_err(|_| {
                format!("{KEY:?} has {} bytes instead of 32; delete it to have it made anew", key.0.len())
            })
        }
        (None, Role::Speaker { .. }) => Err("not there yet; the controller makes it".into()),
        (None, Role::Controller) => {
            let key = random()?;
            let secret = Secret {
                metadata: ObjectMeta { name: Some(SECRET.into()), ..ObjectMeta::default() },
                data: Some(BTreeMap::from([(KEY.into(), ByteString(key.to_vec()))])),
                ..Secret::default()
            };
            let params = PostParams {
                field_manager: Some(options.role.field_manager().into()),
                ..PostParams::default()
            };
            // Another controller may have been faster: then the next look finds its key.
            api.create(&params, &secret).await.map_err(|error| with_causes(&error))?;
            tracing::info!("made the beacon key: Secret {}/{SECRET}", options.namespace);
            Ok(key)
        }
    }
}

/// The key from a state directory.
pub(crate) async fn from_directory(directory: &Path, role: &Role) -> [u8; 32] {
    let path = directory.join(FILE);
    let mut wait = Wait::default();
    loop {
        let reason = match (read(&path), role) {
            (Ok(Some(key)), _) => return wait.over(key),
            (Ok(None), Role::Speaker { .. }) => "not there yet; the controller makes it".into(),
            (Ok(None), Role::Controller) => match make(&path) {
                Ok(()) => continue,
                Err(reason) => reason,
            },
            (Err(reason), _) => reason,
        };
        wait.tell(format!("waiting for the beacon key: {}: {reason}", path.display()));
        tokio::time::sleep(FILE_PAUSE).await;
    }
}

fn read(path: &Path) -> Result<Option<[u8; 32]>, String> {
    match fs::read(path) {
        Ok(bytes) => bytes.try_into().map(Some).map_err(|bytes: Vec<u8>| {
            format!("{} bytes instead of 32; remove it to have it made anew", bytes.len())
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}

fn make(path: &Path) -> Result<(), String> {
    state::write_file(path, &random()?, Durable::Yes).map_err(|error| error.to_string())?;
    tracing::info!("made the beacon key: {}", path.display());
    Ok(())
}

fn random() -> Result<[u8; 32], String> {
    let mut key = [0; 32];
    getrandom::fill(&mut key).map_err(|error| format!("no random bytes: {error}"))?;
    Ok(key)
}

/// Logs what is waited for, once until it changes.
#[derive(Default)]
struct Wait {
    last: Option<String>,
}

impl Wait {
    fn tell(&mut self, text: String) {
        if self.last.as_ref() != Some(&text) {
            tracing::info!("{text}");
            self.last = Some(text);
        }
    }

    fn over(&self, key: [u8; 32]) -> [u8; 32] {
        if self.last.is_some() {
            tracing::info!("the beacon key is there");
        }
        key
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const SPEAKER: fn() -> Role = || Role::Speaker { node: "n1".into(), pod: None };

    #[tokio::test]
    async fn the_controller_makes_the_key_and_a_speaker_waits_for_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().to_path_buf();
        let speaker = tokio::spawn(async move { from_directory(&path, &SPEAKER()).await });
        let key = from_directory(directory.path(), &Role::Controller).await;
        let heard = tokio::time::timeout(Duration::from_secs(10), speaker).await.unwrap().unwrap();
        assert_eq!(key, heard);
        assert_eq!(from_directory(directory.path(), &Role::Controller).await, key, "it stays the same");
        let mode = fs::metadata(directory.path().join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_key_of_another_length_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(FILE);
        fs::write(&path, "short").unwrap();
        assert!(read(&path).unwrap_err().starts_with("5 bytes instead of 32"));
    }
}
