//! Every public RPC, read from the descriptors with its policy, and calls of any of them with a message made at run
//! time: so that a new RPC is tested without a line written for it.

use std::sync::LazyLock;

use bytes::{Buf, BufMut};
use jianghan::suite::SERVICES;
use prost::Message;
use prost_reflect::{DynamicMessage, MessageDescriptor, MethodDescriptor, Value};
use proto::auth::v1::Role;
use tonic::{
    Request, Status,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    transport::Channel,
};

/// Who may call an RPC.
#[derive(Clone, Debug, PartialEq)]
pub enum Policy {
    /// Anyone.
    Public,
    /// Anyone signed in.
    Authenticated,
    /// Services only.
    Service,
    /// Holders of these roles.
    Roles(Vec<Role>),
}

/// One RPC of the suite.
#[derive(Clone, Debug)]
pub struct Rpc {
    /// Its descriptor.
    pub method: MethodDescriptor,
    /// Which service of the suite serves it; ops is served by each, and listed once for each.
    pub service: &'static str,
    /// Who may call it.
    pub policy: Policy,
}

static RPCS: LazyLock<Vec<Rpc>> = LazyLock::new(|| {
    let mut all = Vec::new();
    for service in proto::pool().services() {
        let package = service.parent_file().package_name().to_owned();
        let served_by: &[&'static str] = match package.as_str() {
            "jianghan.identity.v1" => &["identity"],
            "jianghan.case_routing.v1" => &["case-routing"],
            "jianghan.staffing.v1" => &["staffing"],
            "jianghan.volunteer_matching.v1" => &["volunteer-matching"],
            "jianghan.analytics.v1" => &["analytics"],
            "jianghan.ops.v1" => &SERVICES,
            _ => continue,
        };
        for method in service.methods() {
            let by = |service| Rpc { policy: policy(&method), method: method.clone(), service };
            all.extend(served_by.iter().copied().map(by));
        }
    }
    all
});

/// All RPCs.
pub fn rpcs() -> &'static [Rpc] {
    &RPCS
}

/// The RPC of this name; of several, the first.
pub fn rpc(name: &str) -> &'static Rpc {
    let found = rpcs().iter().find(|rpc| rpc.method.name() == name);
    found.unwrap_or_else(|| panic!("there is no RPC {name}"))
}

/// Every role that there is.
pub fn roles() -> Vec<Role> {
    let all = proto::pool().get_enum_by_name("jianghan.auth.v1.Role").expect("the roles");
    let numbers: Vec<i32> = all.values().map(|value| value.number()).collect();
    let known = numbers.into_iter().map(|number| Role::try_from(number).expect("a known role"));
    known.filter(|role| *role != Role::Unspecified).collect()
}

/// A role as the accounts name it.
pub fn word(role: Role) -> String {
    role.as_str_name().trim_start_matches("ROLE_").to_lowercase()
}

impl Rpc {
    /// `package.Service/Method`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.method.parent_service().full_name(), self.method.name())
    }

    /// An empty request.
    pub fn request(&self) -> DynamicMessage {
        DynamicMessage::new(self.method.input())
    }

    /// Whether it changes something: mutations take a `request_id`.
    pub fn is_mutation(&self) -> bool {
        self.method.input().get_field_by_name("request_id").is_some()
    }

    /// Calls it.
    ///
    /// # Errors
    /// The status the service answers with.
    pub async fn call(
        &self,
        channel: &Channel,
        message: DynamicMessage,
        bearer: Option<&str>,
    ) -> Result<DynamicMessage, Status> {
        let mut request = Request::new(message);
        if let Some(bearer) = bearer {
            request.metadata_mut().insert("authorization", bearer.parse().expect("a header"));
        }
        let mut client = tonic::client::Grpc::new(channel.clone());
        client.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
        let path = format!("/{}", self.name()).parse().expect("a path");
        let answer = client.unary(request, path, Dynamic(self.method.output())).await?;
        Ok(answer.into_inner())
    }
}

fn policy(method: &MethodDescriptor) -> Policy {
    let extension =
        proto::pool().get_extension_by_name("jianghan.auth.v1.policy").expect("the policy option");
    let options = method.options();
    assert!(options.has_extension(&extension), "{} has no policy", method.full_name());
    let value = options.get_extension(&extension);
    let Value::Message(policy) = value.as_ref() else { panic!("a policy is a message") };
    let flag =
        |name: &str| policy.get_field_by_name(name).and_then(|value| value.as_bool()).unwrap_or_default();
    if flag("public") {
        return Policy::Public;
    }
    if flag("authenticated") {
        return Policy::Authenticated;
    }
    if flag("service") {
        return Policy::Service;
    }
    let roles = policy.get_field_by_name("roles").expect("roles").into_owned();
    let roles = roles
        .as_list()
        .expect("a list")
        .iter()
        .map(|role| Role::try_from(role.as_enum_number().expect("an enum")).expect("a known role"));
    Policy::Roles(roles.collect())
}

#[derive(Clone)]
struct Dynamic(MessageDescriptor);

impl Codec for Dynamic {
    type Encode = DynamicMessage;
    type Decode = DynamicMessage;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        self.clone()
    }

    fn decoder(&mut self) -> Self {
        self.clone()
    }
}

impl Encoder for Dynamic {
    type Item = DynamicMessage;
    type Error = Status;

    fn encode(&mut self, message: DynamicMessage, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put_slice(&message.encode_to_vec());
        Ok(())
    }
}

impl Decoder for Dynamic {
    type Item = DynamicMessage;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<DynamicMessage>, Status> {
        let bytes = from.copy_to_bytes(from.remaining());
        let message = DynamicMessage::decode(self.0.clone(), bytes);
        message.map(Some).map_err(|error| Status::internal(error.to_string()))
    }
}
