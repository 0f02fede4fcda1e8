//! One site's Pacemaker: corosync and pacemakerd on its nodes, started with a configuration that has all resources
//! already.

use crate::common::{Network, eventually};
use crate::host::Host;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;
use std::time::Duration;

/// What Pacemaker does with a resource when its ticket is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LossPolicy {
    Stop,
    Demote,
    Freeze,
    Fence,
}

/// A watched process that needs a ticket.
#[derive(Clone, Copy, Debug)]
pub struct Service {
    /// Name of the resource.
    pub id: &'static str,
    /// The ticket that it needs.
    pub ticket: &'static str,
    /// Seconds that its stop takes.
    pub stop_delay: u32,
    /// What happens when the ticket is lost. `Demote` makes it promotable.
    pub loss_policy: LossPolicy,
    /// The node that it runs on where there is a choice.
    pub node: Option<&'static str>,
}

impl Service {
    /// One that stops at once.
    pub const fn new(id: &'static str, ticket: &'static str) -> Service {
        Service { id, ticket, stop_delay: 0, loss_policy: LossPolicy::Stop, node: None }
    }

    fn primitive(&self, home: &Path) -> String {
        let (id, directory) = (self.id, directory(home, self.id));
        let operation = |name: &str, interval: &str, timeout: &str| {
            format!(
                "<op id='{id}-{name}-{interval}' name='{name}' interval='{interval}' timeout='{timeout}'/>",
                interval = interval
            )
        };
        let primitive = format!(
            "<primitive id='{id}' class='ocf' provider='lab' type='service'>\
             <instance_attributes id='{id}-parameters'>\
             <nvpair id='{id}-directory' name='directory' value='{}'/>\
             <nvpair id='{id}-delay' name='stop_delay' value='{}'/></instance_attributes>\
             <operations>{}{}</operations></primitive>",
            directory.display(),
            self.stop_delay,
            operation("monitor", "10s", "10s"),
            operation("stop", "0s", "30s"),
        );
        match self.loss_policy {
            LossPolicy::Demote => format!(
                "<clone id='{id}-clone'><meta_attributes id='{id}-meta'>\
                 <nvpair id='{id}-promotable' name='promotable' value='true'/></meta_attributes>{primitive}</clone>"
            ),
            _ => primitive,
        }
    }

    fn constraints(&self) -> String {
        let Service { id, ticket, loss_policy, node, .. } = *self;
        let policy = format!("{loss_policy:?}").to_lowercase();
        let (resource, role) = match loss_policy {
            LossPolicy::Demote => (format!("{id}-clone"), " rsc-role='Promoted'"),
            _ => (id.to_owned(), ""),
        };
        let place = node.map_or(String::new(), |node| {
            format!("<rsc_location id='{id}-place' rsc='{resource}' node='{node}' score='100'/>")
        });
        format!("<rsc_ticket id='{id}-ticket' rsc='{resource}'{role} ticket='{ticket}' loss-policy='{policy}'/>{place}")
    }
}

/// Where a service of a host writes.
pub fn directory(home: &Path, service: &str) -> std::path::PathBuf {
    home.join("services").join(service)
}

/// What a site's configuration has beside the services.
#[derive(Clone, Debug, Default)]
pub struct Extra {
    pub resources: String,
    pub constraints: String,
    /// Levels of the fencing topology.
    pub fencing: String,
    pub properties: Vec<(&'static str, &'static str)>,
}

/// The configuration that a site's cluster begins with. The services of all nodes write to the directory of the node
/// that they run on, so its place must be the same path: the first node's.
fn configuration(name: &str, home: &Path, services: &[Service], extra: &Extra) -> String {
    // Without other nodes to wait for, a new cluster waits for them all the same, by default for 20 s.
    let mut properties = vec![
        ("stonith-enabled", "false"),
        ("no-quorum-policy", "ignore"),
        ("dc-deadtime", "2s"),
        ("cluster-name", name),
    ];
    for (name, value) in &extra.properties {
        properties.retain(|(other, _)| other != name);
        properties.push((name, value));
    }
    let nvpair = |(name, value): &(&str, &str)| format!("<nvpair id='cib-{name}' name='{name}' value='{value}'/>");
    let properties: String = properties.iter().map(nvpair).collect();
    let primitives: String = services.iter().map(|service| service.primitive(home)).collect();
    let constraints: String = services.iter().map(Service::constraints).collect();
    let fencing = match extra.fencing.as_str() {
        "" => String::new(),
        levels => format!("<fencing-topology>{levels}</fencing-topology>"),
    };
    format!(
        "<cib crm_feature_set='3.0.0' validate-with='pacemaker-3.9' admin_epoch='0' epoch='1' num_updates='0'>\
         <configuration><crm_config><cluster_property_set id='cib-bootstrap-options'>{properties}\
         </cluster_property_set></crm_config><nodes/><resources>{primitives}{}</resources>\
         <constraints>{constraints}{}</constraints>{fencing}</configuration><status/></cib>\n",
        extra.resources, extra.constraints
    )
}

fn corosync(name: &str, nodes: &[(usize, &Host)], network: &Network) -> String {
    let node = |(index, (number, host)): (usize, &(usize, &Host))| {
        format!(
            "  node {{\n    ring0_addr: {}\n    nodeid: {}\n    name: {}\n  }}\n",
            network.address(*number),
            index + 1,
            host.name()
        )
    };
    let list: String = nodes.iter().enumerate().map(node).collect();
    let two_node = if nodes.len() == 2 { "  two_node: 1\n" } else { "" };
    format!(
        "totem {{\n  version: 2\n  cluster_name: {name}\n  transport: knet\n  token: 1000\n  crypto_cipher: none\n  \
         crypto_hash: none\n}}\nnodelist {{\n{list}}}\nquorum {{\n  provider: corosync_votequorum\n{two_node}}}\n\
         logging {{\n  to_syslog: no\n  to_stderr: yes\n}}\n"
    )
}

/// Writes the configuration of a site's cluster and starts corosync on its nodes; `begin_pacemaker` comes next.
pub fn begin(name: &str, nodes: &[(usize, &Host)], network: &Network, services: &[Service], extra: &Extra) {
    let home = nodes[0].1.home();
    for service in services {
        fs::create_dir_all(directory(home, service.id)).unwrap();
    }
    for (_, host) in nodes {
        let cib = host.path("/var/lib/pacemaker/cib/cib.xml");
        fs::write(&cib, configuration(name, home, services, extra)).unwrap();
        fs::set_permissions(&cib, fs::Permissions::from_mode(0o600)).unwrap();
        let user = nix::unistd::User::from_name("hacluster").unwrap().expect("package pacemaker makes hacluster");
        chown(&cib, Some(user.uid.as_raw()), Some(user.gid.as_raw())).unwrap();
        begin_corosync(name, host, nodes, network);
    }
}

/// Starts corosync on a host, which is one of these nodes of a site.
pub fn begin_corosync(name: &str, host: &Host, nodes: &[(usize, &Host)], network: &Network) {
    fs::write(host.path("/etc/corosync/corosync.conf"), corosync(name, nodes, network)).unwrap();
    host.spawn(host.command("/usr/sbin/corosync", &["-f"]), "corosync.log");
}

/// Starts Pacemaker on a node as soon as corosync serves there.
pub fn begin_pacemaker(host: &Host) {
    eventually(&format!("corosync serves on {}", host.name()), Duration::from_secs(60), || {
        let outcome = host.run("/usr/sbin/corosync-cfgtool", &["-s"]);
        if outcome.status == Some(0) { Ok(()) } else { Err(format!("{outcome:?}")) }
    });
    host.spawn(host.command("/usr/sbin/pacemakerd", &[]), "pacemakerd.log");
}

/// Waits until a node is a member of a cluster that takes decisions.
pub fn wait_until_online(host: &Host) {
    eventually(&format!("the cluster serves on {}", host.name()), Duration::from_secs(120), || {
        let outcome = host.run("/usr/sbin/crm_mon", &["--one-shot", "--output-as=xml"]);
        let has = |words: &[&str]| outcome.stdout.lines().any(|line| words.iter().all(|word| line.contains(word)));
        let me = format!("<node name=\"{}\"", host.name());
        match has(&["<current_dc", "present=\"true\""]) && has(&[&me, "online=\"true\"", "pending=\"false\""]) {
            true => Ok(()),
            false => Err(format!("{outcome:?}")),
        }
    });
}

/// Writes the agents of the lab and ours, as directories of providers; `replace`: ours under the old name, too.
pub fn write_agents(layer: &Path, replace: bool) {
    let ours = "packaging/ocf/booth-site";
    let agents = [
        ("lab", "service", "tests/pacemaker/service"),
        ("booth", "booth-site", ours),
        ("pacemaker", "booth-site", ours),
    ];
    for (provider, agent, source) in &agents[..if replace { 3 } else { 2 }] {
        fs::create_dir_all(layer.join(provider)).unwrap();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(source);
        symlink(source, layer.join(provider).join(agent)).unwrap();
    }
}
