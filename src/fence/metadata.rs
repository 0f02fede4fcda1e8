//! What Pacemaker and its tools know of the agent: parameters, defaults and actions. The original's, with one
//! parameter more; `status` and `list` are understood and not announced, since Pacemaker would ask for them
//! instead of taking the node's name for one that this device can fence.

/// The metadata, in the form of fence agents (FenceAgentAPI.md).
pub const XML: &str = r#"<?xml version="1.0" ?>
<resource-agent name="fence_kdump" shortdesc="A node that writes its dump counts as fenced">
<longdesc>fence_kdump waits for a message of the failed node that says that its crash kernel
runs and writes a dump. Such a node is harmless: it need not, and should not, be powered off
before it is done. The agent cannot do anything to a node. It is the first level of a fencing
topology, with a device that can behind it.

The action "off" succeeds when a message comes from one of the names or addresses of the node
within the timeout, else it fails. Set pcmk_reboot_action=off.

The agent asks the listener of this host (boothd with kdump-listen, or boothd kdump), and starts
one for as long as it waits where there is none. Any number of agents may wait at once.
</longdesc>
<vendor-url>http://www.kernel.org/pub/linux/utils/kernel/kexec/</vendor-url>
<parameters>
	<parameter name="nodename" unique="0" required="0">
		<getopt mixed="-n, --nodename=NODE[,NODE...]" />
		<content type="string" />
		<shortdesc lang="en">Names or addresses of the node to be fenced, with commas between. A
message from any of their addresses will do. Required for the action "off".</shortdesc>
	</parameter>
	<parameter name="ipport" unique="0" required="0">
		<getopt mixed="-p, --ipport=PORT" />
		<content type="string" default="7410" />
		<shortdesc lang="en">Port that messages come to.</shortdesc>
	</parameter>
	<parameter name="family" unique="0" required="0">
		<getopt mixed="-f, --family=FAMILY" />
		<content type="string" default="auto" />
		<shortdesc lang="en">Which addresses of the node are taken: "auto" (all), "ipv4" or "ipv6".</shortdesc>
	</parameter>
	<parameter name="action" unique="0" required="0">
		<getopt mixed="-o, --action=ACTION" />
		<content type="string" default="off" />
		<shortdesc lang="en">What to do: "off", "monitor", "metadata" or "validate-all".</shortdesc>
	</parameter>
	<parameter name="timeout" unique="0" required="0">
		<getopt mixed="-t, --timeout=TIMEOUT" />
		<content type="string" default="60" />
		<shortdesc lang="en">How long to wait for a message of the failed node, in seconds.</shortdesc>
	</parameter>
	<parameter name="directory" unique="0" required="0">
		<getopt mixed="-d, --directory=DIRECTORY" />
		<content type="string" default="/var/run/booth" />
		<shortdesc lang="en">Where listeners are found: the directory of boothd's lock file.</shortdesc>
	</parameter>
	<parameter name="config" unique="0" required="0">
		<getopt mixed="-c, --config=FILE" />
		<content type="string" default="/etc/booth/booth.conf" />
		<shortdesc lang="en">Whose kdump keys count where no listener is there and the agent listens itself.</shortdesc>
	</parameter>
	<parameter name="verbose" unique="0" required="0">
		<getopt mixed="-v, --verbose" />
		<content type="boolean" />
		<shortdesc lang="en">Say more.</shortdesc>
	</parameter>
	<parameter name="version" unique="0" required="0">
		<getopt mixed="-V, --version" />
		<content type="boolean" />
		<shortdesc lang="en">Print the version.</shortdesc>
	</parameter>
	<parameter name="usage" unique="0" required="0">
		<getopt mixed="-h, --help" />
		<content type="boolean" />
		<shortdesc lang="en">Print the help text.</shortdesc>
	</parameter>
</parameters>
<actions>
	<action name="off" />
	<action name="monitor" />
	<action name="metadata" />
	<action name="validate-all" />
</actions>
</resource-agent>
"#;
