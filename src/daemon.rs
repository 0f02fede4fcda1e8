//! `boothd`: from a configuration to a running member, in an order in which nothing is half done.
//!
//! Everything that can be refused is tried before the daemon says that it is ready: configuration,
//! key, lock file, sockets, journal. Root is given up before a packet is read. What fails before that
//! is printed, and nothing is left behind.

use crate::cli::{DaemonOptions, FAILURE, SUCCESS};
use crate::config::{self, Configuration, Member, Ticket as TicketConfiguration};
use crate::event_loop::{self, EventLoop};
use crate::journal::{self, Journal};
use crate::kdump::port::Rank;
use crate::kdump::{self as dumping, Listener};
use crate::log::destination::Destination;
use crate::log::{Level, Log};
use crate::net::client::{BOOTH, Clients};
use crate::net::peer::{self, PeerReceiver, PeerSender};
use crate::net::stream;
use crate::outbox::{self, Outbox};
use crate::process::detach::{self, Readiness, Side};
use crate::process::lockfile::{self, Identity, LockFile, State};
use crate::process::notify::{Notifier, Watchdog};
use crate::process::privileges::{self, Account};
use crate::process::{StartError, descriptors, interfaces, memory, title};
use crate::store::{self, Store};
use crate::{clock, control, entropy, handler};
use booth_core::attribute::Attribute;
use booth_core::member::{MemberIndex, MemberKind};
use booth_core::node::{Node, Storage};
use booth_core::settings::{MAX_ATTRIBUTES, Settings};
use booth_core::sink::{HandlerKind, Record};
use booth_core::ticket::Ticket;
use booth_core::time::{Millis, Now};
use booth_core::wheel::Timer;
use booth_core::wire::kdump;
use booth_core::wire::mac::Key;
use mio::Poll;
use nix::unistd::{Gid, Uid};
use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What the process is called in syslog.
const TAG: &str = "boothd";
/// Open descriptors that the daemon may need: clients, children with three each, files of its own.
const DESCRIPTORS: u64 = 512;
/// How long a client's request may be in the node's hands beyond twice a lease and its acquire-after.
const PATIENCE: Millis = Millis(60_000);

/// What is known before the process detaches.
struct Plan {
    configuration: Configuration,
    me: MemberIndex,
    settings: Settings,
    account: Option<Account>,
    lock_path: PathBuf,
    foreground: bool,
    verbosity: Level,
    /// Of nodes that sign their messages when they dump.
    node_keys: Vec<kdump::Key>,
}

/// All that is held from the start to the end.
struct Running {
    lock: LockFile,
    notifier: Option<Notifier>,
    // Dropped, and with that removed, behind the last answer.
    _control_file: Option<control::SocketFile>,
}

/// What was opened while the process was still root.
struct Opened {
    receiver: PeerReceiver,
    sender: PeerSender,
    listener: stream::Listener,
    control: Option<mio::net::UnixListener>,
    journal: Journal,
    memories: Vec<Option<Record>>,
    kdump: Option<Listener>,
}

/// Is a member until a signal ends it; tells the exit status.
pub fn run(options: &DaemonOptions) -> u8 {
    match prepare(options).and_then(|plan| start(&plan)) {
        Ok(status) => status,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "{error}");
            FAILURE
        }
    }
}

fn prepare(options: &DaemonOptions) -> Result<Plan, StartError> {
    descriptors::close_inherited()?;
    let absolute =
        |path: &Path| std::path::absolute(path).map_err(|error| StartError(format!("{}: {error}", path.display())));
    let (configuration, diagnostics) = config::load(&options.config);
    for diagnostic in &diagnostics {
        let _ = writeln!(std::io::stderr(), "{diagnostic}");
    }
    let Some(mut configuration) = configuration else {
        return Err(StartError("cannot read config: nothing was started".to_owned()));
    };
    // The working directory is left behind.
    configuration.path = absolute(&configuration.path)?;
    let lock_path = match &options.lock_file {
        Some(path) => absolute(path)?,
        None => lockfile::default_path(&configuration.name),
    };
    let me = own_member(options, &configuration.members)?;
    let key = match &configuration.authfile {
        Some(file) => {
            let secret = config::read_key(&file.path)
                .map_err(|error| StartError(format!("{}:{}: {error}", configuration.path.display(), file.line)))?;
            Some(Key::new(secret.bytes()))
        }
        None => None,
    };
    let node_keys = dumping::daemon::keys(&configuration)?;
    let seed =
        entropy::seed().map_err(|error| StartError(format!("cannot draw random numbers: getrandom: {error}")))?;
    let settings = configuration.settings(me, key, seed);
    let account = match privileges::is_root() {
        true => Some(resolve(configuration.account(configuration.members[me.at()].kind))?),
        false => None,
    };
    let debug = options.debug > 0 || configuration.debug > 0;
    let verbosity = if debug { Level::Debug } else { Level::Info };
    let foreground = options.foreground;
    Ok(Plan { configuration, me, settings, account, lock_path, foreground, verbosity, node_keys })
}

fn own_member(options: &DaemonOptions, members: &[Member]) -> Result<MemberIndex, StartError> {
    let addresses: Vec<IpAddr> = members.iter().map(|member| member.address).collect();
    let at = match &options.own_address {
        Some(name) => match (members.iter().position(|member| member.host == *name), name.parse()) {
            (Some(at), _) => at,
            (None, Ok(address)) => interfaces::named_member(&addresses, address)?,
            (None, Err(_)) => {
                let text = config::CANNOT_FIND_MYSELF;
                return Err(StartError(format!("{text}: -s {name}: expected the address or host name of a member")));
            }
        },
        None => interfaces::own_member(&addresses, &interfaces::local_addresses()?, interfaces::Match::Exact)?,
    };
    Ok(MemberIndex(at as u8))
}

/// The account's numbers; its other group is asked for where the configuration names none.
pub(crate) fn resolve(account: &config::Account) -> Result<Account, StartError> {
    Account::resolve(&account.user, &account.group).or_else(|error| match account.other_group {
        Some(group) => Account::resolve(&account.user, group).map_err(|_| error),
        None => Err(error),
    })
}

/// Detaches unless told not to, and serves.
fn start(plan: &Plan) -> Result<u8, StartError> {
    let readiness = if plan.foreground {
        Readiness::foreground()
    } else {
        match detach::detach()? {
            Side::Parent(result) => return result.map(|()| SUCCESS),
            Side::Child(readiness) => readiness,
        }
    };
    let foreground = plan.foreground;
    match serve(plan, readiness) {
        Ok(()) => Ok(SUCCESS),
        // The parent has printed it; stderr leads nowhere any more.
        Err(_) if !foreground => Ok(FAILURE),
        Err(error) => Err(error),
    }
}

/// Opens, gives up root, says that it is ready, and serves until a signal comes.
fn serve(plan: &Plan, readiness: Readiness) -> Result<(), StartError> {
    let mut log = match open_log(plan.foreground, plan.verbosity) {
        Ok(log) => log,
        Err(error) => return fail(readiness, error),
    };
    let (mut running, opened) = match open(plan, &mut log) {
        Ok(opened) => opened,
        Err(error) => return fail(readiness, error),
    };
    let host_name = nix::unistd::gethostname().unwrap_or_default().into_string().unwrap_or_default();
    warn_of_other_node(plan, &host_name, &mut log);
    let mut tickets: Vec<Ticket> = plan
        .configuration
        .ticket_settings(plan.me, &host_name)
        .zip(&opened.memories)
        .map(|(settings, memory)| Ticket::new(settings, *memory))
        .collect();
    let mut timers: Vec<Timer> = tickets.iter().map(|_| Timer::default()).collect();
    let kind = plan.configuration.members[plan.me.at()].kind;
    // Only sites keep geo attributes.
    let mut attributes = vec![Attribute::default(); if kind == MemberKind::Site { MAX_ATTRIBUTES } else { 0 }];
    let storage = Storage { tickets: &mut tickets, timers: &mut timers, attributes: &mut attributes };
    let node = Node::new(plan.settings.clone(), storage, clock::read());
    let mut event_loop = match assemble(plan, opened, node, log) {
        Ok(event_loop) => event_loop,
        Err(error) => return fail(readiness, StartError(format!("cannot set up the event loop: {error}"))),
    };
    if let Err(error) = running.lock.write(State::Started) {
        return fail(readiness, error);
    }
    readiness.ready();
    say_ready(plan, &running, event_loop.outbox());
    let result = event_loop.run();
    leave(running, event_loop.outbox(), &result);
    result.map(drop).map_err(|error| StartError(format!("the event loop has failed: {error}")))
}

fn fail(readiness: Readiness, error: StartError) -> Result<(), StartError> {
    readiness.failed(&error);
    Err(error)
}

/// The log of a daemon: on stderr in the foreground, else syslog.
///
/// # Errors
/// Where it cannot be opened.
pub(crate) fn open_log(foreground: bool, verbosity: Level) -> Result<Log, StartError> {
    let destination = if foreground { Destination::stderr(TAG) } else { Destination::syslog(TAG) };
    let destination = destination.map_err(|error| StartError(format!("cannot open the log: {error}")))?;
    Ok(Log::new(destination, verbosity))
}

/// A daemon on a node that `crash-release` does not name says as a leader that its site is not to be taken for dead.
fn warn_of_other_node(plan: &Plan, host_name: &str, log: &mut Log) {
    let Configuration { tickets, kdump, .. } = &plan.configuration;
    for ticket in tickets {
        let Some(own) = ticket.crash_releases.iter().find(|release| release.site == plan.me) else { continue };
        let mut names = own.nodes.iter().filter_map(|node| kdump.keys.get(usize::from(node.0)));
        if names.all(|key| key.node != host_name) {
            let name = &ticket.settings.name;
            let text = format_args!(
                "ticket {name}: crash-release does not name this node, \"{host_name}\": the lease will be waited for, \
                 whoever dumps; expected all nodes of the site there, as `uname -n` says"
            );
            log.write(clock::read(), Level::Warning, text);
        }
    }
}

/// Takes the lock, binds the sockets, opens the journal, gives up root.
fn open(plan: &Plan, log: &mut Log) -> Result<(Running, Opened), StartError> {
    let now = clock::read();
    // The time zone is read now, while its file can be.
    let _ = clock::local_time(now.wall);
    let mut warn = |text: &dyn std::fmt::Display| log.write(now, Level::Warning, format_args!("{text}"));
    let configuration = &plan.configuration;
    let own = &configuration.members[plan.me.at()];
    let owner = plan.account.as_ref().map(|account| (account.uid, account.gid));
    let identity = Identity {
        kind: crate::text::kind(own.kind),
        configuration: configuration.name.clone(),
        id: own.id,
        address: own.address,
        port: configuration.port,
    };
    let lock = LockFile::acquire(&plan.lock_path, identity, owner)?;
    let addresses: Vec<SocketAddr> =
        configuration.members.iter().map(|member| SocketAddr::new(member.address, configuration.port)).collect();
    let bind_error = |error: crate::net::BindError| StartError(error.to_string());
    let (receiver, sender) = peer::open(&addresses, plan.me, configuration.tickets.len()).map_err(bind_error)?;
    let listener = stream::Listener::tcp(addresses[plan.me.at()]).map_err(bind_error)?;
    let (control, control_file) = match control::open(&control::path_beside(&plan.lock_path), raw(owner)) {
        Ok((listener, file)) => (Some(listener), Some(file)),
        Err(error) => {
            warn(&format_args!(
                "{error}; boothctl stats, and all but the first line of boothctl status, will not work"
            ));
            (None, None)
        }
    };
    let (journal, memories) = open_journal(plan, raw(owner), &mut warn)?;
    let kdump = open_listener(plan, raw(owner), &mut warn)?;
    memory::release_program_pages();
    let asked = [privileges::lock_memory(), privileges::schedule_first(), privileges::spare_from_oom_killer()];
    asked.iter().filter_map(|result| result.as_ref().err()).for_each(|error| warn(error));
    if let Err(error) = descriptors::expect_descriptors(DESCRIPTORS) {
        warn(&error);
    }
    if let Some(account) = &plan.account {
        account.take()?;
        if let Err(error) = privileges::allow_core_dumps() {
            warn(&error);
        }
    }
    title::set(&configuration.path, crate::text::kind(own.kind), own.address, configuration.port);
    let notifier = Notifier::from_environment().map_err(|error| warn(&format_args!("NOTIFY_SOCKET: {error}"))).ok();
    let running = Running { lock, notifier, _control_file: control_file };
    Ok((running, Opened { receiver, sender, listener, control, journal, memories, kdump }))
}

pub(crate) fn raw(owner: Option<(Uid, Gid)>) -> Option<(u32, u32)> {
    owner.map(|(user, group)| (user.as_raw(), group.as_raw()))
}

/// Opens what listens for dumping nodes, where that is configured.
fn open_listener(
    plan: &Plan,
    owner: Option<(u32, u32)>,
    warn: &mut impl FnMut(&dyn std::fmt::Display),
) -> Result<Option<Listener>, StartError> {
    if plan.configuration.kdump.listen.is_none() {
        return Ok(None);
    }
    let control = control::path_beside(&plan.lock_path);
    dumping::open(&plan.configuration, plan.node_keys.clone(), owner, &control, Rank::Member, warn).map(Some)
}

fn open_journal(
    plan: &Plan,
    owner: Option<(u32, u32)>,
    warn: &mut impl FnMut(&dyn std::fmt::Display),
) -> Result<(Journal, Vec<Option<Record>>), StartError> {
    let names: Vec<&str> = plan.configuration.tickets.iter().map(|ticket| ticket.settings.name.as_str()).collect();
    let Some(path) = &plan.configuration.journal else {
        warn(&"the journal is switched off: votes and promises are forgotten at each restart");
        return Ok((Journal::off(), vec![None; names.len()]));
    };
    let id = plan.configuration.members[plan.me.at()].id;
    let journal::Opened { journal, memories, warnings } =
        Journal::open(path, id, &names, owner).map_err(|error| StartError(error.to_string()))?;
    warnings.iter().for_each(|warning| warn(warning));
    Ok((journal, memories))
}

/// Puts the event loop together.
fn assemble<'s>(plan: &Plan, opened: Opened, node: Node<'s>, log: Log) -> std::io::Result<EventLoop<'s>> {
    let Opened { receiver, sender, listener, control, journal, memories: _, kdump } = opened;
    let configuration = &plan.configuration;
    let poll = Poll::new()?;
    let registry = || poll.registry().try_clone();
    let clients = Clients::new(
        listener,
        registry()?,
        event_loop::CLIENTS,
        event_loop::CLIENT_SLOTS,
        BOOTH,
        patience(&configuration.tickets),
    )?;
    let control = match control {
        Some(listener) => {
            let listener = stream::Listener::Unix(listener);
            let slots = event_loop::CONTROL_SLOTS + if kdump.is_some() { dumping::SLOTS } else { 0 };
            let (token, patience) = (event_loop::CONTROL, control::PATIENCE);
            Some(Clients::new(listener, registry()?, token, slots, control::LINES, patience)?)
        }
        None => None,
    };
    let own = &configuration.members[plan.me.at()];
    let store = match own.kind {
        MemberKind::Site => Some(Store::new(store_settings(configuration), registry()?, event_loop::STORE)),
        MemberKind::Arbitrator => None,
    };
    let handlers = |kind| -> std::io::Result<handler::Handlers> {
        let settings = handler_settings(configuration, own, kind);
        Ok(handler::Handlers::new(settings, registry()?, event_loop::handlers(kind)))
    };
    let [before_acquire, release, stuck_revoke] = HandlerKind::ALL.map(handlers);
    let handlers = [before_acquire?, release?, stuck_revoke?];
    let members: Arc<[Member]> = configuration.members.as_slice().into();
    let tickets: Arc<[TicketConfiguration]> = configuration.tickets.as_slice().into();
    let (of_members, of_tickets) = (Arc::clone(&members), Arc::clone(&tickets));
    let parts = outbox::Parts {
        peers: sender,
        clients,
        store,
        handlers,
        log,
        journal,
        members: of_members,
        tickets: of_tickets,
    };
    let outbox = Outbox::new(parts, clock::read());
    // Where its socket is no name, that was said already.
    let watchdog = Watchdog::from_environment(clock::read().boot).unwrap_or_default();
    EventLoop::new(event_loop::Parts {
        poll,
        node,
        peers: receiver,
        outbox,
        control,
        kdump,
        members,
        tickets,
        watchdog,
    })
}

/// How long a client may have to wait: an election, a lease and its acquire-after, twice over.
fn patience(tickets: &[TicketConfiguration]) -> Millis {
    let span = |ticket: &TicketConfiguration| ticket.settings.expire + ticket.settings.acquire_after;
    let longest = tickets.iter().map(span).max().unwrap_or_default();
    longest + longest + PATIENCE
}

fn store_settings(configuration: &Configuration) -> store::Settings {
    let backend = match &configuration.store {
        config::Store::Pacemaker => store::Backend::Pacemaker("crm_ticket".into()),
        config::Store::File(directory) => store::Backend::File(directory.clone()),
    };
    let tickets = configuration.tickets.iter().map(|ticket| store::StoreSettings {
        name: ticket.settings.name.as_str().to_owned(),
        deadline: store::deadline_for(ticket.settings.expire),
    });
    store::Settings { backend, configuration_name: configuration.name.clone(), tickets: tickets.collect() }
}

/// The tickets' programs of one kind.
fn handler_settings(configuration: &Configuration, own: &Member, kind: HandlerKind) -> handler::Settings {
    let tickets = configuration.tickets.iter().map(|ticket| handler::TicketHandler {
        ticket: ticket.settings.name.as_str().to_owned(),
        program: ticket.handler(kind).map(|handler| handler.program.clone()),
        arguments: ticket.handler(kind).map(|handler| handler.arguments.clone()).unwrap_or_default(),
    });
    handler::Settings {
        key: config::handler_key(kind),
        local: own.address.to_string(),
        configuration_path: configuration.path.clone(),
        configuration_name: configuration.name.clone(),
        tickets: tickets.collect(),
    }
}

fn say_ready(plan: &Plan, running: &Running, outbox: &mut Outbox) {
    let now = clock::read();
    let Configuration { members, port, tickets, .. } = &plan.configuration;
    let own = &members[plan.me.at()];
    let kind = crate::text::kind(own.kind);
    let version = env!("CARGO_PKG_VERSION");
    outbox.log.write(
        now,
        Level::Info,
        format_args!("boothd {version}: ready as {kind} {} port {port}, tickets: {}", own.address, tickets.len()),
    );
    if let Some(notifier) = &running.notifier
        && let Err(error) = notifier.ready(&format!("{kind} {} port {port}", own.address))
    {
        outbox.log.write(now, Level::Warning, format_args!("the service manager cannot be told: {error}"));
    }
}

/// The end: a leader keeps its ticket in the store, so that a restart within the lease finds it.
fn leave(running: Running, outbox: &mut Outbox, result: &std::io::Result<i32>) {
    if let Some(notifier) = &running.notifier {
        // The service manager sees the end itself.
        let _ = notifier.stopping();
    }
    say_left(&mut outbox.log, &result.as_ref().copied(), running.lock);
}

/// Logs how a daemon has ended, and removes its lock file.
pub(crate) fn say_left(log: &mut Log, result: &Result<i32, &std::io::Error>, lock: LockFile) {
    let now: Now = clock::read();
    match result {
        Ok(signal) => {
            let name = if *signal == libc::SIGINT { "SIGINT" } else { "SIGTERM" };
            log.write(now, Level::Info, format_args!("ended by {name}"));
        }
        Err(error) => log.write(now, Level::Error, format_args!("the event loop has failed: {error}")),
    }
    if let Err(error) = lock.release() {
        let text = format_args!(
            "the lock file could not be removed: {error}; it does no harm, and needs a directory that belongs to this user"
        );
        log.write(now, Level::Warning, text);
    }
    log.finish(now);
}
