//! What the lab does to a node, and how that is mended.

use anyhow::Result;

use super::rig::Rig;
use crate::args::Fail;

impl Rig {
    /// What failing a node is, in words.
    pub(crate) fn deed(&self, cause: Fail, node: usize) -> String {
        let (name, pid) = (&self.lan.nodes[node].name, self.speakers[node].pid());
        match cause {
            Fail::Kill => format!("SIGKILL to the speaker of {name}, pid {pid}"),
            Fail::Term => format!("SIGTERM to the speaker of {name}, pid {pid}"),
            Fail::Link => format!("the port of {name} on the switch goes down"),
            Fail::Node => {
                format!("{name} is gone at once: its port on the switch and its speaker, pid {pid}")
            }
            Fail::None => "nothing".to_owned(),
        }
    }

    /// Fails a node.
    pub(crate) fn fail(&mut self, cause: Fail, node: usize) -> Result<()> {
        match cause {
            Fail::Kill => self.speakers[node].kill(),
            Fail::Term => self.speakers[node].terminate(),
            Fail::Link => self.lan.set_port(node, false),
            // In this order nobody hears that its connections are closed.
            Fail::Node => self.lan.set_port(node, false).and_then(|()| self.speakers[node].kill()),
            Fail::None => Ok(()),
        }
    }

    /// Mends a node that has failed, waits until all take part again, and says so.
    pub(crate) fn mend(&mut self, cause: Fail, node: usize) -> Result<()> {
        if matches!(cause, Fail::Link | Fail::Node) {
            self.lan.set_port(node, true)?;
        }
        let ended = matches!(cause, Fail::Kill | Fail::Term | Fail::Node);
        if ended {
            self.speakers[node].reap()?;
            self.restart_speaker(node)?;
        }
        self.await_all()?;
        let (name, pid) = (&self.lan.nodes[node].name, self.speakers[node].pid());
        let text = match ended {
            true => format!("the speaker of {name} runs again, pid {pid}; all hear each other"),
            false => format!("{name} is back on the LAN; all hear each other"),
        };
        self.console().step("repair", text);
        Ok(())
    }
}
