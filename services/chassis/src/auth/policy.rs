//! The policy of every RPC, read from the method option `jianghan.auth.v1.policy` in the compiled descriptors. A method
//! that is not in the table, or whose option is missing or contradicts itself, is denied.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock},
};

use prost_reflect::{DescriptorPool, ExtensionDescriptor, MethodDescriptor, Value};
use proto::auth::v1::{Policy as PolicyOption, Role};

use super::RoleSet;

/// Full name of the method option.
const OPTION: &str = "jianghan.auth.v1.policy";

/// Services of gRPC itself that anybody may ask: health and reflection.
const OPEN: [&str; 3] = [
    "/grpc.health.v1.Health/",
    "/grpc.reflection.v1.ServerReflection/",
    "/grpc.reflection.v1alpha.ServerReflection/",
];

/// Who may call an RPC, and for which purpose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Who.
    pub access: Access,
    /// Processing purpose; empty when the access needs none.
    pub purpose: String,
    /// Begins something new: refused first when the service is overloaded.
    pub begins_work: bool,
    /// Mostly waits for something to happen: counted and limited apart from the calls that work.
    pub waits: bool,
}

/// Who may call an RPC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Anyone, without a token.
    Public,
    /// Any signed-in person.
    Authenticated,
    /// Services of the suite only.
    Service,
    /// Persons with a grant of one of these roles.
    Roles(RoleSet),
}

/// Policies by request path, `/package.Service/Method`. Cheap to clone.
#[derive(Clone, Debug)]
pub struct PolicyTable(Arc<HashMap<String, Policy>>);

impl PolicyTable {
    /// The policies of all packages of the suite, read once in a process.
    pub fn of_suite() -> Self {
        static SUITE: LazyLock<PolicyTable> = LazyLock::new(|| PolicyTable::from_pool(&proto::bare_pool()));
        SUITE.clone()
    }

    /// The policies of a descriptor pool.
    pub fn from_pool(pool: &DescriptorPool) -> Self {
        let Some(option) = pool.get_extension_by_name(OPTION) else { return Self(Arc::default()) };
        let mut table = HashMap::new();
        for service in pool.services() {
            for method in service.methods() {
                if let Some(policy) = read(&method, &option) {
                    table.insert(path(&method), policy);
                }
            }
        }
        Self(Arc::new(table))
    }

    /// The policy of a request path; `None` means denied.
    pub fn get(&self, path: &str) -> Option<&Policy> {
        self.0.get(path)
    }

    /// Every path with its policy, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Policy)> {
        self.0.iter().map(|(path, policy)| (path.as_str(), policy))
    }

    /// Whether the path is one of gRPC's own open services.
    pub fn is_open(path: &str) -> bool {
        OPEN.iter().any(|service| path.starts_with(service))
    }
}

/// Request path of a method.
pub fn path(method: &MethodDescriptor) -> String {
    format!("/{}/{}", method.parent_service().full_name(), method.name())
}

fn read(method: &MethodDescriptor, option: &ExtensionDescriptor) -> Option<Policy> {
    let options = method.options();
    if !options.has_extension(option) {
        return None;
    }
    let value = options.get_extension(option);
    let Value::Message(message) = value.as_ref() else { return None };
    let policy: PolicyOption = message.transcode_to().ok()?;
    let roles: RoleSet = policy.roles().filter(|role| *role != Role::Unspecified).collect();
    let access = match (policy.public, policy.authenticated, policy.service, roles.is_empty()) {
        (true, false, false, true) => Access::Public,
        (false, true, false, true) => Access::Authenticated,
        (false, false, true, true) => Access::Service,
        (false, false, false, false) => Access::Roles(roles),
        _ => return None,
    };
    if matches!(access, Access::Roles(_)) && policy.purpose.is_empty() {
        return None; // grants are for a purpose; a policy by role must name it
    }
    Some(Policy { access, purpose: policy.purpose, begins_work: policy.begins_work, waits: policy.waits })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rpc_of_the_suite_has_a_policy() {
        let table = PolicyTable::of_suite();
        let mut methods = 0;
        for service in proto::pool().services() {
            for method in service.methods() {
                methods += 1;
                assert!(table.get(&path(&method)).is_some(), "{} has no policy", path(&method));
            }
        }
        assert!(methods > 50, "the descriptors hold the suite's services");
    }

    #[test]
    fn the_suite_is_read_once_for_all() {
        assert!(Arc::ptr_eq(&PolicyTable::of_suite().0, &PolicyTable::of_suite().0));
    }

    #[test]
    fn the_options_are_read_as_written() {
        let table = PolicyTable::of_suite();
        let of = |path: &str| table.get(path).unwrap().access;
        assert_eq!(of("/jianghan.identity.v1.AuthService/SignIn"), Access::Public);
        assert_eq!(of("/jianghan.identity.v1.AuthService/GetSelf"), Access::Authenticated);
        assert_eq!(of("/jianghan.identity.v1.TopologyService/GetTopologySnapshot"), Access::Service);
        let clock = table.get("/jianghan.ops.v1.OpsService/AdvanceClock").unwrap();
        assert_eq!(clock.access, Access::Roles([Role::ItOperator].into_iter().collect()));
        assert_eq!(clock.purpose, "operations");
    }

    #[test]
    fn what_is_not_in_the_table_is_denied() {
        let table = PolicyTable::of_suite();
        for path in
            ["", "/", "/jianghan.ops.v1.OpsService/Nothing", "/grpc.health.v1.Health/Check", "/other/Method"]
        {
            assert!(table.get(path).is_none(), "{path}");
        }
        assert!(PolicyTable::is_open("/grpc.health.v1.Health/Check"));
        assert!(!PolicyTable::is_open("/grpc.health.v1.HealthX/Check"));
    }

    #[test]
    fn what_may_be_refused_under_load_is_known() {
        let table = PolicyTable::of_suite();
        let mut first: Vec<&str> =
            table.iter().filter(|(_, p)| p.begins_work).map(|(path, _)| path).collect();
        first.sort_unstable();
        insta::assert_snapshot!(first.join("\n"), @r"
        /jianghan.case_routing.v1.ApplicationService/SubmitApplication
        /jianghan.case_routing.v1.CaseService/RegisterCase
        /jianghan.case_routing.v1.ExchangeService/PushTicket
        /jianghan.case_routing.v1.ExchangeService/PushTickets
        ");
    }

    #[test]
    fn what_waits_is_known() {
        let table = PolicyTable::of_suite();
        let mut waits: Vec<&str> = table.iter().filter(|(_, p)| p.waits).map(|(path, _)| path).collect();
        waits.sort_unstable();
        insta::assert_snapshot!(waits.join("\n"), @"/jianghan.case_routing.v1.CaseService/WaitCase");
    }

    #[test]
    fn public_rpcs_are_few_and_known() {
        let table = PolicyTable::of_suite();
        let mut public: Vec<&str> =
            table.iter().filter(|(_, p)| p.access == Access::Public).map(|(path, _)| path).collect();
        public.sort_unstable();
        insta::assert_snapshot!(public.join("\n"), @r"
        /jianghan.case_routing.v1.ApplicationService/ListPublicNotices
        /jianghan.case_routing.v1.CalendarService/GetCalendar
        /jianghan.case_routing.v1.CalendarService/GetWorkingHours
        /jianghan.case_routing.v1.CatalogueService/GetServiceItem
        /jianghan.case_routing.v1.CatalogueService/ListServiceItems
        /jianghan.identity.v1.AuthService/GetJwks
        /jianghan.identity.v1.AuthService/IssueServiceToken
        /jianghan.identity.v1.AuthService/RefreshToken
        /jianghan.identity.v1.AuthService/SignIn
        ");
    }
}
