//! Which member a request goes to: the one named, the other site, or the one at this place.

use super::{Client, Failure};
use crate::config::{self, Configuration, Member};
use crate::process::StartError;
use crate::process::interfaces::{self, Match};
use booth_core::member::MemberKind;
use std::net::IpAddr;

/// The name that stands for the other one of two sites.
const OTHER: &str = "other";

/// The member whose address is one of this machine's, or else the one in the longest of its subnets.
pub(super) fn own_member(config: &Configuration) -> Result<&Member, StartError> {
    let addresses: Vec<IpAddr> = config.members.iter().map(|member| member.address).collect();
    let place = interfaces::own_member(&addresses, &interfaces::local_addresses()?, Match::Subnet)?;
    Ok(&config.members[place])
}

impl<'a> Client<'a> {
    /// The member named, or else the one at this place.
    pub(super) fn member(&self, name: Option<&str>) -> Result<&'a Member, Failure> {
        match name {
            Some(name) => {
                let text = || format!("cannot find site {name:?}; expected one of {}", self.named_in(None));
                self.named(name)?.ok_or_else(|| Failure::Refused(text()))
            }
            None => {
                self.me.clone().map_err(|error| Failure::Refused(format!("{error}; or name the member to ask with -s")))
            }
        }
    }

    /// The site named, or else the one at this place: arbitrators do not hold tickets.
    pub(super) fn site(&self, name: Option<&str>) -> Result<&'a Member, Failure> {
        let Some(name) = name else {
            let me = self.member(None)?;
            return match me.kind {
                MemberKind::Site => Ok(me),
                MemberKind::Arbitrator => {
                    Err(Failure::Refused("We're just an arbitrator, cannot grant/revoke tickets here.".into()))
                }
            };
        };
        match self.named(name)? {
            Some(member) if member.kind == MemberKind::Site => Ok(member),
            Some(member) => {
                let text = format!("{} is just an arbitrator, cannot grant/revoke tickets there.", member.address);
                Err(Failure::Refused(text))
            }
            None => {
                let sites = self.named_in(Some(MemberKind::Site));
                Err(Failure::Refused(format!("Site {name:?} not configured; expected one of {sites}")))
            }
        }
    }

    /// The member of this name: its address, what the configuration calls it, `other`, or any host
    /// name that means its address. `None`: there is none.
    fn named(&self, name: &str) -> Result<Option<&'a Member>, Failure> {
        let members = &self.config.members;
        if let Some(member) = members.iter().find(|member| member.host == name) {
            return Ok(Some(member));
        }
        if name == OTHER {
            return self.other().map(Some);
        }
        let at = |address: IpAddr| members.iter().find(|member| member.address == address.to_canonical());
        if let Ok(address) = name.parse::<IpAddr>() {
            return Ok(at(address));
        }
        Ok(config::resolve(name).unwrap_or_default().into_iter().find_map(at))
    }

    /// The members, or those of one kind, as the configuration calls them. There are 16 at most.
    fn named_in(&self, kind: Option<MemberKind>) -> String {
        let wanted = self.config.members.iter().filter(|member| kind.is_none_or(|kind| member.kind == kind));
        wanted.map(|member| member.host.as_str()).collect::<Vec<_>>().join(", ")
    }

    fn other(&self) -> Result<&'a Member, Failure> {
        let sites: Vec<&Member> = self.config.members.iter().filter(|member| member.kind == MemberKind::Site).collect();
        let refused = |text: &str| Failure::Refused(format!("cannot find site \"{OTHER}\": {text}"));
        let [one, two] = sites[..] else {
            return Err(refused(&format!("there are {} sites, not two; name one by its address", sites.len())));
        };
        match &self.me {
            Ok(me) if me.id == one.id => Ok(two),
            Ok(me) if me.id == two.id => Ok(one),
            _ => Err(refused("this is neither of the two sites; name one by its address")),
        }
    }
}
