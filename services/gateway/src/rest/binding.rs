//! HTTP bindings read from `google.api.http` in the descriptors: which verb and path reaches which RPC. A path is
//! literals and `{field}` variables, with an optional `:verb` behind the last segment.

use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock},
};

use chassis::auth::PolicyTable;
use http::{Method, uri::PathAndQuery};
use prost_reflect::{DynamicMessage, FieldDescriptor, MethodDescriptor, ReflectMessage, Value};

/// One way to reach an RPC over HTTP.
#[derive(Clone, Debug)]
pub struct Binding {
    /// HTTP method.
    pub verb: Method,
    /// Template as written, such as `/v1/cases/{case_id}:sign`.
    pub template: String,
    /// Whether the body is the request message.
    pub body: bool,
    /// The RPC.
    pub method: MethodDescriptor,
    /// `/package.Service/Method`.
    pub path: PathAndQuery,
    /// Name of the service of the suite that answers, such as `case-routing`.
    pub service: &'static str,
    /// Whether its calls mostly wait, by the policy of the RPC.
    pub waits: bool,
    segments: Vec<Segment>,
    suffix: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
enum Segment {
    Literal(String),
    Variable(String),
}

/// All bindings of the suite.
#[derive(Debug)]
pub struct Bindings(Vec<Binding>);

/// What a request path matched.
pub enum Match<'a> {
    /// A binding and the values of its variables.
    Found(&'a Binding, BTreeMap<String, String>),
    /// The path is known, the verb is not; these are.
    OtherVerbs(Vec<Method>),
    /// Nothing is bound to the path.
    Nothing,
}

impl Bindings {
    /// The bindings of every RPC that has one, read once in a process.
    ///
    /// # Errors
    /// A sentence naming the RPC whose annotation cannot be used.
    pub fn from_descriptors() -> Result<Arc<Self>, String> {
        static SUITE: LazyLock<Result<Arc<Bindings>, String>> =
            LazyLock::new(|| Bindings::read().map(Arc::new));
        SUITE.clone()
    }

    fn read() -> Result<Self, String> {
        let pool = proto::pool();
        let extension =
            pool.get_extension_by_name("google.api.http").ok_or("google.api.http is not compiled in")?;
        let policies = PolicyTable::of_suite();
        let mut bindings = Vec::new();
        for service in pool.services() {
            let Some(name) = service_of(service.package_name()) else { continue };
            for method in service.methods() {
                let options = method.options();
                if !options.has_extension(&extension) {
                    continue;
                }
                let rule = options.get_extension(&extension);
                let rule = rule.as_message().ok_or("google.api.http is not a message")?;
                bindings.push(Binding::new(rule, &method, name, &policies)?);
                let more = rule.get_field_by_name("additional_bindings");
                let more = more.as_deref().and_then(Value::as_list).unwrap_or_default();
                for rule in more.iter().filter_map(Value::as_message) {
                    bindings.push(Binding::new(rule, &method, name, &policies)?);
                }
            }
        }
        Ok(Self(bindings))
    }

    /// Every binding, in the order of the descriptors.
    pub fn iter(&self) -> impl Iterator<Item = &Binding> {
        self.0.iter()
    }

    /// Finds the RPC that a verb and a path reach.
    pub fn find(&self, verb: &Method, path: &str) -> Match<'_> {
        let mut others = Vec::new();
        for binding in &self.0 {
            if let Some(variables) = binding.matches(path) {
                if binding.verb == *verb {
                    return Match::Found(binding, variables);
                }
                others.push(binding.verb.clone());
            }
        }
        if others.is_empty() { Match::Nothing } else { Match::OtherVerbs(others) }
    }
}

/// Which service of the suite answers for a package; `None` for packages that are not reached over HTTP.
pub fn service_of(package: &str) -> Option<&'static str> {
    match package {
        "jianghan.identity.v1" => Some("identity"),
        "jianghan.case_routing.v1" => Some("case-routing"),
        "jianghan.staffing.v1" => Some("staffing"),
        "jianghan.volunteer_matching.v1" => Some("volunteer-matching"),
        "jianghan.analytics.v1" => Some("analytics"),
        _ => None,
    }
}

impl Binding {
    fn new(
        rule: &DynamicMessage,
        method: &MethodDescriptor,
        service: &'static str,
        policies: &PolicyTable,
    ) -> Result<Self, String> {
        let verbs = [
            ("get", Method::GET),
            ("post", Method::POST),
            ("put", Method::PUT),
            ("patch", Method::PATCH),
            ("delete", Method::DELETE),
        ];
        let (verb, template) = verbs
            .into_iter()
            .find_map(|(field, verb)| {
                let field = rule.descriptor().get_field_by_name(field)?;
                rule.has_field(&field)
                    .then(|| (verb, rule.get_field(&field).as_str().unwrap_or_default().to_owned()))
            })
            .ok_or_else(|| format!("{}: google.api.http names no verb", method.full_name()))?;
        let body =
            rule.get_field_by_name("body").is_some_and(|body| matches!(&*body, Value::String(b) if b == "*"));
        let (path, suffix) = match template.rsplit_once(':') {
            Some((path, suffix)) if !suffix.contains('/') => (path, Some(suffix.to_owned())),
            _ => (template.as_str(), None),
        };
        let mut segments = Vec::new();
        for segment in path.trim_start_matches('/').split('/') {
            segments.push(match segment.strip_prefix('{').and_then(|s| s.strip_suffix('}')) {
                Some(field) => {
                    if method.input().get_field_by_name(field).is_none() {
                        return Err(format!(
                            "{}: the path names the unknown field {field}",
                            method.full_name()
                        ));
                    }
                    Segment::Variable(field.to_owned())
                }
                None => Segment::Literal(segment.to_owned()),
            });
        }
        let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
        let waits = policies.get(&path).is_some_and(|policy| policy.waits);
        let path = path.parse().map_err(|error| format!("{}: {error}", method.full_name()))?;
        Ok(Self { verb, template, body, method: method.clone(), path, service, waits, segments, suffix })
    }

    /// Names of the path variables, in order.
    pub fn variables(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().filter_map(|segment| match segment {
            Segment::Variable(name) => Some(name.as_str()),
            Segment::Literal(_) => None,
        })
    }

    fn matches(&self, path: &str) -> Option<BTreeMap<String, String>> {
        let path = match &self.suffix {
            Some(suffix) => path.strip_suffix(suffix.as_str())?.strip_suffix(':')?,
            None => path,
        };
        let mut parts = path.strip_prefix('/')?.split('/');
        let mut variables = BTreeMap::new();
        for segment in &self.segments {
            let part = parts.next()?;
            match segment {
                Segment::Literal(literal) if literal == part => {}
                Segment::Literal(_) => return None,
                // A colon belongs to a verb, so `/v1/cases/{id}` does not swallow `/v1/cases/x:sign`.
                Segment::Variable(_) if part.is_empty() || part.contains(':') => return None,
                Segment::Variable(name) => {
                    variables.insert(name.clone(), percent_decode(part)?);
                }
            }
        }
        parts.next().is_none().then_some(variables)
    }
}

/// Whether a field may hold personal data, so that it is never taken from a URL.
pub fn is_private(field: &FieldDescriptor) -> bool {
    let extension = proto::pool().get_extension_by_name("jianghan.auth.v1.private");
    extension.is_some_and(|extension| field.options().get_extension(&extension).as_bool() == Some(true))
}

/// Decodes `%xx`; `None` for a broken sequence or text that is not UTF-8.
pub fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let (high, low) = (rest.next()?, rest.next()?);
            let digit = |byte: u8| char::from(byte).to_digit(16);
            bytes.push(u8::try_from(digit(high)? * 16 + digit(low)?).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(verb: Method, path: &str) -> Option<(String, BTreeMap<String, String>)> {
        let bindings = Bindings::from_descriptors().expect("the annotations are usable");
        match bindings.find(&verb, path) {
            Match::Found(binding, variables) => Some((binding.method.name().to_owned(), variables)),
            _ => None,
        }
    }

    #[test]
    fn paths_reach_their_rpcs() {
        assert_eq!(found(Method::POST, "/v1/cases").expect("bound").0, "RegisterCase");
        assert_eq!(found(Method::GET, "/v1/cases").expect("bound").0, "ListCases");
        assert_eq!(found(Method::POST, "/v1/cases:search").expect("bound").0, "ListCases");
        assert_eq!(found(Method::POST, "/v1/cases:intake").expect("bound").0, "IntakeCase");
        let (method, variables) = found(Method::GET, "/v1/cases/abc").expect("bound");
        assert_eq!((method.as_str(), variables["case_id"].as_str()), ("GetCase", "abc"));
        let (method, variables) = found(Method::POST, "/v1/cases/a%20b:sign").expect("bound");
        assert_eq!((method.as_str(), variables["case_id"].as_str()), ("SignTask", "a b"));
        let (method, variables) = found(Method::GET, "/v1/cases/abc:wait").expect("bound");
        assert_eq!((method.as_str(), variables["case_id"].as_str()), ("WaitCase", "abc"));
    }

    #[test]
    fn the_descriptors_are_read_once_for_all() {
        let read = || Bindings::from_descriptors().expect("the annotations are usable");
        assert!(Arc::ptr_eq(&read(), &read()));
    }

    #[test]
    fn what_waits_is_known_by_its_policy() {
        let bindings = Bindings::from_descriptors().expect("the annotations are usable");
        let waits = bindings.iter().filter(|binding| binding.waits);
        let waits: Vec<&str> = waits.map(|binding| binding.template.as_str()).collect();
        assert_eq!(waits, ["/v1/cases/{case_id}:wait"]);
    }

    #[test]
    fn no_two_rpcs_share_a_verb_and_a_path() {
        let bindings = Bindings::from_descriptors().expect("the annotations are usable");
        let mut seen = std::collections::HashSet::new();
        for binding in bindings.iter() {
            assert!(
                seen.insert((binding.verb.clone(), binding.template.clone())),
                "{} twice",
                binding.template
            );
        }
        assert!(seen.len() > 60, "the suite has more bindings than {}", seen.len());
    }

    #[test]
    fn another_verb_is_told_from_an_unknown_path() {
        let bindings = Bindings::from_descriptors().expect("the annotations are usable");
        assert!(matches!(bindings.find(&Method::DELETE, "/v1/cases"), Match::OtherVerbs(_)));
        assert!(matches!(bindings.find(&Method::GET, "/v1/nothing"), Match::Nothing));
        assert!(matches!(bindings.find(&Method::GET, "/v1/cases/%zz"), Match::Nothing));
    }
}
