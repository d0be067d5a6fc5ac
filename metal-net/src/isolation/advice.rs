//! What a user can do when the kernel refuses namespaces.

use std::{fs, io};

use super::Step;

/// The value of a sysctl, if this kernel has it.
pub(super) fn sysctl(name: &str) -> Option<String> {
    let path = format!("/proc/sys/{}", name.replace('.', "/"));
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

/// One or two sentences. `sysctl` reads a setting by its name.
pub(super) fn advice(
    step: Step,
    user_namespace: bool,
    source: &io::Error,
    sysctl: &dyn Fn(&str) -> Option<String>,
) -> String {
    let is = |name, value| sysctl(name).as_deref() == Some(value);
    match (step, source.raw_os_error()) {
        (Step::CountThreads, _) => "It takes a /proc file system".into(),
        (Step::Threads(_), _) => "It has to be done before any thread is started".into(),
        (_, Some(libc::ENOSYS | libc::EINVAL | libc::EAFNOSUPPORT)) => {
            "The kernel lacks it (CONFIG_USER_NS, CONFIG_NET_NS, CONFIG_PACKET)".into()
        }
        (_, Some(libc::ENOSPC | libc::EUSERS)) => {
            let limit =
                if step == Step::CreateUserNamespace { "user.max_user_namespaces" } else { "user.max_net_namespaces" };
            format!("A limit is reached: raise sysctl {limit}{}, or run as root", current(sysctl(limit)))
        }
        (Step::CreateUserNamespace, _) if is("user.max_user_namespaces", "0") => {
            "User namespaces are switched off: set sysctl user.max_user_namespaces=10000, or run as root".into()
        }
        (Step::CreateUserNamespace, _) if is("kernel.unprivileged_userns_clone", "0") => {
            "User namespaces are for root only here: set sysctl kernel.unprivileged_userns_clone=1, or run as root".into()
        }
        (_, Some(libc::EPERM | libc::EACCES)) => {
            let what = if user_namespace {
                "A user namespace could be created, but capabilities inside it are denied"
            } else {
                "User namespaces are refused to this user"
            };
            let remedy = if is("kernel.apparmor_restrict_unprivileged_userns", "1") {
                "AppArmor does that: set sysctl kernel.apparmor_restrict_unprivileged_userns=0, or run as root"
            } else {
                "A security module (sysctl kernel.apparmor_restrict_unprivileged_userns where it exists) or a container's \
                 seccomp profile does that: run as root, or outside of the container"
            };
            format!("{what}. {remedy}")
        }
        _ => "Try as root".into(),
    }
}

fn current(value: Option<String>) -> String {
    value.map(|value| format!(" (now {value})")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(step: Step, user_namespace: bool, errno: i32, settings: &[(&str, &str)]) -> String {
        let sysctl =
            |name: &str| settings.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned());
        advice(step, user_namespace, &io::Error::from_raw_os_error(errno), &sysctl)
    }

    #[test]
    fn names_the_sysctl_that_is_in_the_way() {
        let create = Step::CreateUserNamespace;
        for (errno, setting) in [
            (libc::ENOSPC, ("user.max_user_namespaces", "0")),
            (libc::EPERM, ("user.max_user_namespaces", "0")),
            (libc::EPERM, ("kernel.unprivileged_userns_clone", "0")),
            (libc::EACCES, ("kernel.apparmor_restrict_unprivileged_userns", "1")),
        ] {
            let advice = text(create, false, errno, &[setting]);
            assert!(advice.contains(setting.0) && advice.contains("run as root"), "{advice}");
        }
    }

    #[test]
    fn tells_denied_capabilities_from_denied_namespaces() {
        let apparmor = [("kernel.apparmor_restrict_unprivileged_userns", "1")];
        for step in [Step::MapIds("/proc/self/uid_map"), Step::CreateNamespaces, Step::UseNetwork] {
            let advice = text(step, true, libc::EPERM, &apparmor);
            assert!(
                advice.contains("capabilities inside it are denied") && advice.contains("AppArmor"),
                "{advice}"
            );
        }
        assert!(!text(Step::CreateUserNamespace, false, libc::EPERM, &[]).contains("capabilities"));
    }

    #[test]
    fn tells_the_limit_of_network_namespaces() {
        let advice = text(Step::CreateNamespaces, true, libc::ENOSPC, &[("user.max_net_namespaces", "3")]);
        assert!(advice.contains("user.max_net_namespaces (now 3)"), "{advice}");
    }
}
