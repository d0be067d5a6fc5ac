//! etcd, kube-apiserver and a kube-proxy per node; no controller-manager: the scenarios create
//! EndpointSlices themselves.

use std::path::{Path, PathBuf};
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use serde_json::Value;

use crate::rack::{MANAGEMENT, NODES};
use metal_tests::process::{Process, run};
use metal_tests::wait::{ensure, wait_for};

const ETCD: &str = "http://127.0.0.1:2379";
const ETCD_PEERS: &str = "http://127.0.0.1:2380";

/// Somebody whom the API server knows.
pub(crate) struct User {
    /// Names the kubeconfig file.
    pub(crate) name: &'static str,
    /// What the audit log and access rules call it.
    pub(crate) identity: &'static str,
    /// The groups it is in.
    pub(crate) groups: &'static str,
}

/// Who runs the tests.
pub(crate) const ADMIN: User = User { name: "admin", identity: "admin", groups: "system:masters" };
const KUBE_PROXY: User = User { name: "kube-proxy", identity: "system:kube-proxy", groups: "" };

/// The running control plane.
pub(crate) struct ControlPlane {
    directory: PathBuf,
    processes: Vec<Process>,
    api_server: Option<Process>,
    /// How the API server is started.
    command: Vec<String>,
}

/// A request of a user, from the API server's audit log.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// The verb.
    pub(crate) verb: String,
    /// The verb and the object, as in `patch services/default/whoami/status`.
    pub(crate) what: String,
    /// When it came in and when it had been answered, in seconds since 1970.
    pub(crate) begin: f64,
    pub(crate) end: f64,
}

/// A write of a user, from the API server's audit log.
#[derive(Debug)]
pub(crate) struct Write {
    /// The verb and the object, as in `patch services/default/whoami/status`.
    pub(crate) what: String,
    /// The name of the object, or of the object that an event is about.
    pub(crate) name: String,
}

impl ControlPlane {
    /// Starts etcd and an API server that knows these users besides its own, and waits until it is ready.
    pub(crate) fn start(directory: &Path, tools: &Path, daemons: [User; 2]) -> Self {
        let mut plane = Self {
            directory: directory.to_owned(),
            processes: Vec::new(),
            api_server: None,
            command: Vec::new(),
        };
        plane.write_credentials(&[&ADMIN, &KUBE_PROXY, &daemons[0], &daemons[1]]);
        let path = |file: &str| directory.join(file).display().to_string();
        let tool = |name: &str| tools.join(name).display().to_string();
        plane.processes.push(Process::start(
            directory,
            "etcd",
            None,
            &[
                &tool("etcd"),
                &format!("--data-dir={}", path("etcd")),
                &format!("--listen-client-urls={ETCD}"),
                &format!("--advertise-client-urls={ETCD}"),
                &format!("--listen-peer-urls={ETCD_PEERS}"),
                &format!("--initial-advertise-peer-urls={ETCD_PEERS}"),
                &format!("--initial-cluster=default={ETCD_PEERS}"),
                "--unsafe-no-fsync",
            ],
        ));
        plane.command = vec![
            tool("kube-apiserver"),
            format!("--etcd-servers={ETCD}"),
            format!("--bind-address={MANAGEMENT}"),
            format!("--advertise-address={MANAGEMENT}"),
            "--secure-port=6443".to_owned(),
            format!("--cert-dir={}", path("certificates")),
            "--service-cluster-ip-range=10.96.0.0/12,fd00:96::/108".to_owned(),
            "--allow-privileged".to_owned(),
            "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
            format!("--service-account-key-file={}", path("sa.key")),
            format!("--service-account-signing-key-file={}", path("sa.key")),
            format!("--token-auth-file={}", path("tokens.csv")),
            "--authorization-mode=RBAC".to_owned(),
            "--disable-admission-plugins=ServiceAccount".to_owned(),
            "--endpoint-reconciler-type=none".to_owned(),
            format!("--audit-policy-file={}", path("audit-policy.yaml")),
            format!("--audit-log-path={}", path("audit.jsonl")),
        ];
        plane.start_api_server();
        plane
    }

    /// Starts the API server and waits until it is ready.
    pub(crate) fn start_api_server(&mut self) {
        let words: Vec<&str> = self.command.iter().map(String::as_str).collect();
        self.api_server = Some(Process::start(&self.directory, "kube-apiserver", None, &words));
        wait_for("the API server", Duration::from_secs(90), || {
            self.check()?;
            let certificate = self.directory.join("certificates/apiserver.crt").display().to_string();
            let header = format!("Authorization: Bearer {}", ADMIN.token());
            let url = format!("https://{MANAGEMENT}:6443/readyz");
            let options =
                ["-sS", "--noproxy", "*", "--max-time", "2", "--cacert", &certificate, "-H", &header, &url];
            let answer = run("curl", &options)?;
            ensure(answer == "ok", || answer)
        });
    }

    /// The API server's process.
    pub(crate) fn api_server(&mut self) -> &mut Process {
        self.api_server.as_mut().expect("the API server was started")
    }

    /// Starts kube-proxy on every node. The Node objects must be there.
    pub(crate) fn start_proxies(&mut self, tools: &Path) {
        for node in NODES {
            self.processes.push(Process::start(
                &self.directory,
                &format!("kube-proxy-{node}"),
                Some(node),
                &[
                    &tools.join("kube-proxy").display().to_string(),
                    &format!("--kubeconfig={}", self.kubeconfig(&KUBE_PROXY).display()),
                    &format!("--hostname-override={node}"),
                    "--proxy-mode=nftables",
                    "--conntrack-max-per-core=0",
                ],
            ));
        }
    }

    /// The file with which a user reaches the API server.
    pub(crate) fn kubeconfig(&self, user: &User) -> PathBuf {
        self.directory.join(format!("{}.kubeconfig", user.name))
    }

    /// Fails if one of the processes has ended.
    pub(crate) fn check(&mut self) -> Result<(), String> {
        self.processes.iter_mut().chain(&mut self.api_server).try_for_each(Process::check)
    }

    /// Every successful write of a user so far, its own Leases aside, in order.
    pub(crate) fn writes(&self, identity: &str) -> Vec<Write> {
        self.entries(identity).filter(is_write).map(|entry| Write::from(&entry)).collect()
    }

    /// Every successful request of a user so far that is a write, a list or a watch, its own Leases aside, in order.
    pub(crate) fn requests(&self, identity: &str) -> Vec<Request> {
        // The end of a watch is no news.
        let is_news = |entry: &Value| entry["verb"] != "watch" || entry["stage"] == "ResponseStarted";
        self.entries(identity).filter(is_news).map(|entry| Request::from(&entry)).collect()
    }

    fn entries(&self, identity: &str) -> impl Iterator<Item = Value> {
        let log = std::fs::read_to_string(self.directory.join("audit.jsonl")).unwrap_or_default();
        let of_user = format!("\"username\":\"{identity}\"");
        let lines = log.lines().filter(|line| line.contains(&of_user));
        let entries: Vec<Value> = lines.filter_map(|line| serde_json::from_str(line).ok()).collect();
        let identity = identity.to_owned();
        let own = entries.into_iter().filter(move |entry| entry["user"]["username"] == identity);
        let successful =
            own.filter(|entry| entry["responseStatus"]["code"].as_u64().is_some_and(|code| code < 300));
        successful.filter(|entry| entry["objectRef"]["resource"] != "leases")
    }

    fn write_credentials(&self, users: &[&User]) {
        let write = |name: &str, text: &str| {
            std::fs::write(self.directory.join(name), text).unwrap_or_else(|error| panic!("{name}: {error}"));
        };
        let key = self.directory.join("sa.key").display().to_string();
        run("openssl", &["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", &key])
            .unwrap_or_else(|error| panic!("{error}"));
        let tokens = users.iter().map(|user| {
            let User { name, identity, groups } = user;
            format!("{},{identity},{name},\"{groups}\"\n", user.token())
        });
        write("tokens.csv", &tokens.collect::<String>());
        write("audit-policy.yaml", AUDIT_POLICY);
        for user in users {
            let values = [
                ("SERVER", format!("https://{MANAGEMENT}:6443")),
                ("AUTHORITY", self.directory.join("certificates/apiserver.crt").display().to_string()),
                ("TOKEN", user.token()),
            ];
            let text =
                values.iter().fold(KUBECONFIG.to_owned(), |text, (name, value)| text.replace(name, value));
            write(&format!("{}.kubeconfig", user.name), &text);
        }
    }
}

impl User {
    fn token(&self) -> String {
        format!("{}-token", self.name)
    }
}

fn is_write(entry: &Value) -> bool {
    !matches!(entry["verb"].as_str(), Some("list" | "watch"))
}

/// The verb and the object of an entry in the audit log.
fn what(entry: &Value) -> String {
    let reference = &entry["objectRef"];
    let parts =
        ["resource", "namespace", "name", "subresource"].map(|part| reference[part].as_str().unwrap_or(""));
    let path: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    format!("{} {}", entry["verb"].as_str().unwrap_or("?"), path.join("/"))
}

impl From<&Value> for Request {
    fn from(entry: &Value) -> Self {
        let text = |field: &str| entry[field].as_str().unwrap_or_default().to_owned();
        let time = |field: &str| {
            let time = entry[field].as_str().and_then(|time| time.parse::<Timestamp>().ok());
            time.unwrap_or_default().as_duration().as_secs_f64()
        };
        Self {
            verb: text("verb"),
            what: what(entry),
            begin: time("requestReceivedTimestamp"),
            end: time("stageTimestamp"),
        }
    }
}

impl From<&Value> for Write {
    fn from(entry: &Value) -> Self {
        let about = entry["requestObject"]
            .pointer("/involvedObject/name")
            .or(entry["requestObject"].pointer("/regarding/name"));
        let own = entry["objectRef"]["name"].as_str().unwrap_or_default();
        Self { what: what(entry), name: about.and_then(Value::as_str).unwrap_or(own).to_owned() }
    }
}

/// Writes with their bodies when they are done, and what service accounts list and begin to watch.
const AUDIT_POLICY: &str = "\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Request
  verbs: [create, update, patch, delete, deletecollection]
- level: Metadata
  verbs: [list, watch]
  userGroups: ['system:serviceaccounts']
- level: None
";

const KUBECONFIG: &str = "\
apiVersion: v1
kind: Config
current-context: e2e
clusters:
- name: e2e
  cluster: {server: 'SERVER', certificate-authority: 'AUTHORITY'}
users:
- name: e2e
  user: {token: 'TOKEN'}
contexts:
- name: e2e
  context: {cluster: e2e, user: e2e}
";
