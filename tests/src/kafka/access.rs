//! Who may do what: permissions and SCRAM users, through librdkafka's admin interface, which the wrapper does not wrap.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::{fs, iter, ptr};

use rdkafka::bindings as c;
use rdkafka::producer::{BaseProducer, Producer};
use rdkafka::types::RDKafkaRespErr;

use super::process::{distribution, java_command};
use super::topics::Topics;

const TIMEOUT_MS: i32 = 60_000;
/// What Kafka asks for at least.
const SCRAM_ITERATIONS: i32 = 4096;

/// What a permission is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resource {
    /// This topic.
    Topic(String),
    /// Every topic that begins so.
    Topics(String),
    /// This group.
    Group(String),
    /// Every group that begins so.
    Groups(String),
    /// Every transactional id that begins so.
    TransactionalIds(String),
}

/// What is permitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Reading, which includes describing.
    Read,
    /// Writing, which includes describing.
    Write,
    /// Looking.
    Describe,
    /// Making it.
    Create,
    /// Looking at its configuration.
    DescribeConfigs,
}

/// A permission for one principal, from anywhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acl {
    /// As Kafka writes it: `User:eddy`.
    pub principal: String,
    /// What it is about.
    pub resource: Resource,
    /// What is permitted.
    pub operation: Operation,
}

impl Topics {
    /// Grants permissions.
    pub fn allow(&self, acls: &[Acl]) {
        for acl in acls {
            let event = self.ask(|client, queue| {
                let mut binding = binding(acl, false);
                // SAFETY: client, queue and binding are alive; the call copies what it keeps.
                unsafe {
                    c::rd_kafka_CreateAcls(client, &mut binding, 1, ptr::null(), queue);
                    c::rd_kafka_AclBinding_destroy(binding);
                }
            });
            // SAFETY: the event is alive and of the kind that was asked for; the results live as long as it does.
            unsafe {
                let result = c::rd_kafka_event_CreateAcls_result(event.0);
                let mut count = 0;
                let results = c::rd_kafka_CreateAcls_result_acls(result, &mut count);
                for at in 0..count {
                    check(c::rd_kafka_acl_result_error(*results.add(at)), &format!("{acl:?}"));
                }
            }
        }
    }

    /// Takes permissions back. One that is not there is a mistake of the test.
    pub fn forbid(&self, acls: &[Acl]) {
        for acl in acls {
            let event = self.ask(|client, queue| {
                let mut filter = binding(acl, true);
                // SAFETY: as above.
                unsafe {
                    c::rd_kafka_DeleteAcls(client, &mut filter, 1, ptr::null(), queue);
                    c::rd_kafka_AclBinding_destroy(filter);
                }
            });
            // SAFETY: as above.
            unsafe {
                let result = c::rd_kafka_event_DeleteAcls_result(event.0);
                let mut count = 0;
                let responses = c::rd_kafka_DeleteAcls_result_responses(result, &mut count);
                let mut removed = 0;
                for at in 0..count {
                    let response = *responses.add(at);
                    check(
                        c::rd_kafka_DeleteAcls_result_response_error(response),
                        &format!("{acl:?}"),
                    );
                    let mut matching = 0;
                    c::rd_kafka_DeleteAcls_result_response_matching_acls(response, &mut matching);
                    removed += matching;
                }
                assert_eq!(removed, 1, "{acl:?}");
            }
        }
    }

    /// Adds a user of SCRAM-SHA-512, or changes its password.
    pub fn add_scram_user(&self, name: &str, password: &str) {
        let user = CString::new(name).expect("no NUL");
        let event = self.ask(|client, queue| {
            // SAFETY: all arguments outlive the call, which copies them; the alteration is destroyed once.
            unsafe {
                let mut alteration = c::rd_kafka_UserScramCredentialUpsertion_new(
                    user.as_ptr(),
                    c::rd_kafka_ScramMechanism_t::RD_KAFKA_SCRAM_MECHANISM_SHA_512,
                    SCRAM_ITERATIONS,
                    password.as_ptr(),
                    password.len(),
                    ptr::null(),
                    0,
                );
                c::rd_kafka_AlterUserScramCredentials(client, &mut alteration, 1, ptr::null(), queue);
                c::rd_kafka_UserScramCredentialAlteration_destroy(alteration);
            }
        });
        // SAFETY: the event is alive and of the kind that was asked for; the results live as long as it does.
        unsafe {
            let result = c::rd_kafka_event_AlterUserScramCredentials_result(event.0);
            let mut count = 0;
            let responses = c::rd_kafka_AlterUserScramCredentials_result_responses(result, &mut count);
            for at in 0..count {
                let error = c::rd_kafka_AlterUserScramCredentials_result_response_error(*responses.add(at));
                check(error, name);
            }
        }
    }

    fn ask(&self, request: impl FnOnce(*mut c::rd_kafka_t, *mut c::rd_kafka_queue_t)) -> Event {
        let client: BaseProducer = self.client().create().expect("a client");
        let native = client.client().native_ptr();
        // SAFETY: the client outlives the queue, which is destroyed below; the event is ours.
        let event = unsafe {
            let queue = c::rd_kafka_queue_new(native);
            request(native, queue);
            let event = c::rd_kafka_queue_poll(queue, TIMEOUT_MS);
            c::rd_kafka_queue_destroy(queue);
            event
        };
        assert!(!event.is_null(), "the broker did not answer");
        // SAFETY: just checked.
        unsafe {
            let code = c::rd_kafka_event_error(event);
            let reason = CStr::from_ptr(c::rd_kafka_event_error_string(event));
            let is_well = code == RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR;
            assert!(is_well, "{}", reason.to_string_lossy());
        }
        Event(event)
    }
}

/// Writes the tool that a distribution of Kafka calls `kafka-acls.sh` into a folder, and gives its path.
pub fn write_acls_tool(folder: &Path) -> PathBuf {
    let tool = folder.join("kafka-acls.sh");
    let command = java_command(distribution());
    let words = iter::once(command.get_program()).chain(command.get_args());
    let quoted = words.map(|word| format!("'{}'", word.to_string_lossy().replace('\'', "'\\''")));
    let line = quoted.collect::<Vec<_>>().join(" ");
    let text = format!(
        "#!/bin/sh\ncd '{}' && exec {line} org.apache.kafka.tools.AclCommand \"$@\"\n",
        distribution().display()
    );
    fs::write(&tool, text).expect("the folder takes a file");
    fs::set_permissions(&tool, fs::Permissions::from_mode(0o700)).expect("a program");
    tool
}

/// An answer, destroyed when it is dropped.
struct Event(*mut c::rd_kafka_event_t);

impl Drop for Event {
    fn drop(&mut self) {
        // SAFETY: it is ours and not used any more.
        unsafe { c::rd_kafka_event_destroy(self.0) }
    }
}

fn binding(acl: &Acl, is_filter: bool) -> *mut c::rd_kafka_AclBinding_t {
    use c::rd_kafka_AclOperation_t as O;
    use c::rd_kafka_ResourcePatternType_t as P;
    use c::rd_kafka_ResourceType_t as R;
    let (kind, name, pattern) = match &acl.resource {
        Resource::Topic(name) => (R::RD_KAFKA_RESOURCE_TOPIC, name, P::RD_KAFKA_RESOURCE_PATTERN_LITERAL),
        Resource::Topics(name) => (R::RD_KAFKA_RESOURCE_TOPIC, name, P::RD_KAFKA_RESOURCE_PATTERN_PREFIXED),
        Resource::Group(name) => (R::RD_KAFKA_RESOURCE_GROUP, name, P::RD_KAFKA_RESOURCE_PATTERN_LITERAL),
        Resource::Groups(name) => (R::RD_KAFKA_RESOURCE_GROUP, name, P::RD_KAFKA_RESOURCE_PATTERN_PREFIXED),
        Resource::TransactionalIds(name) => (
            R::RD_KAFKA_RESOURCE_TRANSACTIONAL_ID,
            name,
            P::RD_KAFKA_RESOURCE_PATTERN_PREFIXED,
        ),
    };
    let operation = match acl.operation {
        Operation::Read => O::RD_KAFKA_ACL_OPERATION_READ,
        Operation::Write => O::RD_KAFKA_ACL_OPERATION_WRITE,
        Operation::Describe => O::RD_KAFKA_ACL_OPERATION_DESCRIBE,
        Operation::Create => O::RD_KAFKA_ACL_OPERATION_CREATE,
        Operation::DescribeConfigs => O::RD_KAFKA_ACL_OPERATION_DESCRIBE_CONFIGS,
    };
    let allow = c::rd_kafka_AclPermissionType_t::RD_KAFKA_ACL_PERMISSION_TYPE_ALLOW;
    let name = CString::new(name.as_str()).expect("no NUL");
    let principal = CString::new(acl.principal.as_str()).expect("no NUL");
    let new = if is_filter {
        c::rd_kafka_AclBindingFilter_new
    } else {
        c::rd_kafka_AclBinding_new
    };
    // SAFETY: all texts end with NUL and are copied; the result is the caller's to destroy.
    let made = unsafe {
        new(
            kind,
            name.as_ptr(),
            pattern,
            principal.as_ptr(),
            c"*".as_ptr(),
            operation,
            allow,
            ptr::null_mut(),
            0,
        )
    };
    assert!(!made.is_null(), "{acl:?}");
    made
}

/// # Safety
/// `error` is null or alive.
unsafe fn check(error: *const c::rd_kafka_error_t, what: &str) {
    if error.is_null() {
        return;
    }
    // SAFETY: it is alive, and its texts live as long or for ever.
    let (code, name) = unsafe {
        (
            c::rd_kafka_error_code(error),
            CStr::from_ptr(c::rd_kafka_error_name(error)),
        )
    };
    let is_well = code == RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR;
    assert!(is_well, "{what}: {}", name.to_string_lossy());
}
