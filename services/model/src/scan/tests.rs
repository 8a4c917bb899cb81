mod tensors;

use proptest::prelude::*;

use super::*;
use crate::wire::{put_bytes, put_number};

/// A message, field by field.
#[derive(Default, Clone)]
struct Message(Vec<u8>);

impl Message {
    fn number(mut self, field: u64, number: u64) -> Self {
        put_number(&mut self.0, field, number);
        self
    }

    fn bytes(mut self, field: u64, bytes: impl AsRef<[u8]>) -> Self {
        put_bytes(&mut self.0, field, bytes.as_ref());
        self
    }

    fn numbers(self, field: u64, numbers: &[u64]) -> Self {
        numbers
            .iter()
            .fold(self, |message, number| message.number(field, *number))
    }
}

impl AsRef<[u8]> for Message {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

fn message() -> Message {
    Message::default()
}

fn named(name: &str) -> Message {
    message().bytes(1, name)
}

const FLOAT: u64 = 1;

fn tensor(name: &str, element: u64, dims: &[u64]) -> Message {
    message().numbers(1, dims).number(2, element).bytes(8, name)
}

fn entry(key: &str, value: &str) -> Message {
    message().bytes(1, key).bytes(2, value)
}

/// A tensor whose data lies in a file.
fn external(location: &str) -> Message {
    tensor("w", FLOAT, &[3])
        .bytes(13, entry("location", location))
        .number(14, 1)
}

fn node(operator: &str, domain: &str) -> Message {
    message()
        .bytes(2, "out")
        .bytes(3, "n")
        .bytes(4, operator)
        .bytes(7, domain)
}

fn attribute(field: u64, value: &Message) -> Message {
    named("value").bytes(field, value)
}

fn graph() -> Message {
    message().bytes(2, "main")
}

fn model(graph: &Message) -> Message {
    message().number(1, 10).bytes(7, graph)
}

fn holding(tensor: &Message) -> Message {
    model(&graph().bytes(5, tensor))
}

fn function(domain: &str, name: &str, nodes: &[Message]) -> Message {
    let function = named(name).bytes(10, domain);
    nodes.iter().fold(function, |function, node| function.bytes(7, node))
}

fn refused(model: &Message) -> Refusal {
    refused_by(model, &Limits::default())
}

fn refused_by(model: &Message, limits: &Limits) -> Refusal {
    scan(&model.0, limits).expect_err("it must be refused")
}

fn passes(model: &Message) {
    if let Err(refusal) = scan(&model.0, &Limits::default()) {
        panic!("{refusal}");
    }
}

#[test]
fn the_files_of_the_project_pass() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut files: Vec<_> = std::fs::read_dir(root.join("tests/fixtures/models"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "onnx"))
        .collect();
    let examples = std::fs::read_dir(root.join("config")).unwrap();
    let examples = examples.map(|entry| entry.unwrap().path().join("model.onnx"));
    files.extend(examples.filter(|path| path.exists()));
    assert!(files.len() > 20, "only {} were found", files.len());
    for path in files {
        let bytes = std::fs::read(&path).unwrap();
        let scan = scan(&bytes, &Limits::default()).unwrap_or_else(|refusal| panic!("{}: {refusal}", path.display()));
        assert!(scan.nodes > 0 && scan.external.is_empty(), "{}", path.display());
    }
}

#[test]
fn data_in_another_file_is_found_and_named() {
    let model = holding(&external("weights.bin"));
    let scan = scan(&model.0, &Limits::default()).unwrap();
    assert_eq!(
        scan.external,
        [External {
            tensor: "initializer `w` of graph `main`".into(),
            file: "weights.bin",
            offset: 0,
            length: 12,
        }]
    );
}

#[test]
fn data_in_another_file_is_refused_wherever_it_hides() {
    let inside = external("weights.bin");
    let floats = tensor("v", FLOAT, &[1]).bytes(9, [0; 4]);
    let indices = tensor("i", 7, &[3]).numbers(7, &[0, 1, 2]);
    let sparse_values = message().bytes(1, &inside).bytes(2, &indices).number(3, 9);
    let external_indices = tensor("i", 7, &[1]).bytes(13, entry("location", "i.bin")).number(14, 1);
    let sparse_indices = message().bytes(1, &floats).bytes(2, &external_indices).number(3, 9);
    let constant = |field, value: &Message| node("Constant", "").bytes(5, attribute(field, value));
    let subgraph = graph().bytes(5, &inside);
    let places = [
        graph().bytes(1, constant(5, &inside)),
        graph().bytes(1, constant(10, &inside)),
        graph().bytes(1, constant(22, &sparse_values)),
        graph().bytes(1, constant(23, &sparse_indices)),
        graph().bytes(1, constant(6, &subgraph)),
        graph().bytes(1, constant(11, &subgraph)),
        graph().bytes(15, &sparse_values),
        graph().bytes(15, &sparse_indices),
    ];
    for place in &places {
        assert_eq!(refused(&model(place)).reason, Reason::ExternalData);
    }
    let in_function = function("mine", "f", &[constant(5, &inside)]);
    let in_default = named("f").bytes(11, attribute(5, &inside));
    for function in [in_function, in_default] {
        assert_eq!(
            refused(&model(&graph()).bytes(25, function)).reason,
            Reason::ExternalData
        );
    }
    for field in [1, 2] {
        let training = message().bytes(field, &subgraph);
        assert_eq!(
            refused(&model(&graph()).bytes(20, training)).reason,
            Reason::ExternalData
        );
    }
    // The smallest of them, in full.
    let refusal = refused(&model(&graph().bytes(1, constant(5, &inside)))).to_string();
    assert!(
        refusal.starts_with("tensor `w` of attribute `value` of node `n` (Constant) of graph `main` keeps its"),
        "{refusal}"
    );
}

#[test]
fn a_location_that_is_no_plain_name_is_refused() {
    for location in [
        "../w.bin",
        "/etc/passwd",
        "a/b",
        "..",
        ".",
        "",
        "c:w",
        "a\\b",
        "*",
        "a\nb",
    ] {
        let refusal = refused(&holding(&external(location)));
        assert_eq!(refusal.reason, Reason::ExternalData, "{location}");
        assert!(!refusal.fault.contains('\n'), "{refusal}");
    }
}

#[test]
fn addresses_of_memory_are_refused_even_where_the_data_is_said_to_be_inside() {
    for marker in ["*/_ORT_MEM_ADDR_/*", "*/_ORT_NATIVE_ENDIAN_MEM_ADDR_/*"] {
        let inside = tensor("w", FLOAT, &[1]).bytes(9, [0; 4]);
        for tensor in [external(marker), inside.bytes(13, entry("location", marker))] {
            assert_eq!(refused(&holding(&tensor)).reason, Reason::Memory);
        }
    }
}

#[test]
fn what_is_said_unclearly_about_data_elsewhere_is_refused() {
    let plain = external("w.bin");
    let inside = tensor("w", FLOAT, &[3]).bytes(9, [0; 12]);
    let cases = [
        plain.clone().bytes(13, entry("location", "x.bin")),
        plain.clone().bytes(13, entry("offset", "-1")),
        plain.clone().bytes(13, entry("offset", "18446744073709551615")),
        plain.clone().bytes(13, entry("length", "8")),
        plain.clone().bytes(13, entry("prepacked_0", "1")),
        plain.bytes(9, [0; 12]),
        tensor("w", FLOAT, &[3]).number(14, 1),
        tensor("w", 8, &[3]).bytes(13, entry("location", "w.bin")).number(14, 1),
        inside.clone().bytes(13, entry("location", "w.bin")),
        inside.clone().bytes(13, entry("offset", "0")),
        // Loaders cut this down to 1, which means another file.
        inside.clone().number(14, (1 << 32) + 1),
        inside.number(14, 2),
    ];
    for tensor in &cases {
        assert_eq!(refused(&holding(tensor)).reason, Reason::ExternalData);
    }
}

#[test]
fn unknown_operators_and_code_for_a_device_are_refused() {
    for domain in ["", "ai.onnx", "ai.onnx.ml", "com.microsoft"] {
        passes(&model(&graph().bytes(1, node("Anything", domain))));
    }
    for domain in ["com.example", "org.pytorch.aten", "com.microsoft.nchwc", "AI.ONNX"] {
        let refusal = refused(&model(&graph().bytes(1, node("Anything", domain))));
        assert_eq!(refusal.reason, Reason::Operator);
        assert!(
            refusal.fault.contains(domain) && refusal.fault.contains("`com.microsoft`"),
            "{refusal}"
        );
    }
    let refusal = refused(&model(&graph().bytes(1, node("EPContext", "com.microsoft"))));
    assert_eq!(refusal.reason, Reason::Operator);
}

#[test]
fn a_function_of_the_model_is_known_by_its_domain_and_name() {
    let call = |operator| model(&graph().bytes(1, node(operator, "mine")));
    let defined = function("mine", "f", &[node("Relu", "")]);
    passes(&call("f").bytes(25, &defined));
    assert_eq!(refused(&call("g").bytes(25, &defined)).reason, Reason::Operator);
    let inner = function("mine", "f", &[node("Anything", "com.example")]);
    assert_eq!(refused(&call("f").bytes(25, inner)).reason, Reason::Operator);
}

#[test]
fn functions_are_counted_as_often_as_they_are_called() {
    let relu = function("mine", "f0", &[node("Relu", "")]);
    let mut model = model(&graph().bytes(1, node("f40", "mine"))).bytes(25, relu);
    for level in 1..=40 {
        let twice = vec![node(&format!("f{}", level - 1), "mine"); 2];
        model = model.bytes(25, function("mine", &format!("f{level}"), &twice));
    }
    let refusal = refused(&model);
    assert_eq!(refusal.reason, Reason::Limit);
    assert!(refusal.fault.contains("`limits.nodes`"), "{refusal}");
}

#[test]
fn functions_that_call_themselves_are_refused() {
    let call = |name| node(name, "mine");
    let itself = model(&graph()).bytes(25, function("mine", "f", &[call("f")]));
    let each_other = model(&graph())
        .bytes(25, function("mine", "f", &[call("g")]))
        .bytes(25, function("mine", "g", &[call("f")]));
    let nested = graph().bytes(1, call("f"));
    let within = model(&graph()).bytes(
        25,
        function("mine", "f", &[node("If", "").bytes(5, attribute(6, &nested))]),
    );
    for model in [itself, each_other, within] {
        assert!(refused(&model).fault.contains("call themselves"));
    }
}

#[test]
fn counts_and_depth_have_limits() {
    let limits = Limits {
        nodes: 2,
        tensors: 2,
        depth: 2,
        ..Limits::default()
    };
    let nodes = |count| (0..count).fold(graph(), |graph, _| graph.bytes(1, node("Relu", "")));
    let scalar = tensor("w", FLOAT, &[]).bytes(9, [0; 4]);
    let tensors = |count| (0..count).fold(graph(), |graph, _| graph.bytes(5, &scalar));
    let nested = |depth| {
        (0..depth).fold(graph(), |inner, _| {
            graph().bytes(1, node("If", "").bytes(5, attribute(6, &inner)))
        })
    };
    let sequences = |depth| {
        let inner = (0..depth).fold(message(), |inner, _| message().bytes(4, message().bytes(1, inner)));
        graph().bytes(11, named("x").bytes(2, inner))
    };
    for within in [nodes(2), tensors(2), nested(2), sequences(2)] {
        assert!(scan(&model(&within).0, &limits).is_ok());
    }
    for (beyond, setting) in [
        (nodes(3), "nodes"),
        (tensors(3), "tensors"),
        (nested(3), "depth"),
        (sequences(3), "depth"),
    ] {
        let refusal = refused_by(&model(&beyond), &limits);
        assert_eq!(refusal.reason, Reason::Limit, "{setting}");
        assert!(refusal.fault.contains(&format!("`limits.{setting}`")), "{refusal}");
    }
}

#[test]
fn nesting_without_end_is_refused_before_the_stack_ends() {
    let mut inner = graph();
    for _ in 0..1000 {
        inner = message().bytes(1, message().bytes(5, message().bytes(6, &inner)));
    }
    let deepest = Limits {
        depth: MAX_DEPTH,
        nodes: u64::MAX,
        ..Limits::default()
    };
    assert_eq!(refused_by(&model(&inner), &deepest).reason, Reason::Limit);
    let unlimited = Limits {
        depth: u32::MAX - 1,
        ..deepest
    };
    assert_eq!(refused_by(&model(&inner), &unlimited).reason, Reason::Limit);
}

#[test]
fn what_no_writer_of_onnx_writes_is_malformed() {
    let plain = model(&graph());
    let cases: [(&str, Message); 9] = [
        ("no graph", message().number(1, 10)),
        ("a second graph", plain.clone().bytes(7, graph())),
        ("a graph that is a number", message().number(7, 1)),
        ("a name that is no text", model(&message().bytes(2, [0xff]))),
        ("a name with a zero in it", model(&message().bytes(2, "a\0b"))),
        (
            "a second type",
            holding(&tensor("w", FLOAT, &[]).number(2, 2).bytes(9, [0; 4])),
        ),
        (
            "a length beyond the end",
            Message([&plain.0[..], &[0x3a, 0xff, 0xff, 0xff, 0xff, 0x7f]].concat()),
        ),
        ("a group", Message([&plain.0[..], &[0x0b, 0x0c]].concat())),
        (
            "a number of eleven bytes",
            Message([&plain.0[..], &[0x28], &[0xff; 10], &[1]].concat()),
        ),
    ];
    for (what, model) in &cases {
        assert_eq!(refused(model).reason, Reason::Malformed, "{what}");
    }
    let newer = message().number(1, 15).bytes(7, graph());
    assert_eq!(refused(&newer).reason, Reason::Version);
    passes(&plain.bytes(99, "a field that nobody knows"));
}

#[test]
fn names_are_shown_short_and_on_one_line() {
    let name = format!("a\n\u{1b}[31m{}", "x".repeat(10_000));
    let refusal = refused(&model(&graph().bytes(5, tensor(&name, 99, &[]))));
    assert!(
        refusal.place.len() < 200 && !refusal.place.contains(char::is_control),
        "{refusal}"
    );
}

proptest! {
    #[test]
    fn property_any_bytes_give_an_answer_and_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        check_that_a_rewritten_model_passes(&bytes, &Limits::default());
    }

    #[test]
    fn property_a_damaged_model_gives_an_answer_and_no_panic(
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../../config/titanic/model.onnx")).unwrap();
        for (place, byte) in damage {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        if cut.index(4) == 0 {
            bytes.truncate(cut.index(bytes.len()));
        }
        check_that_a_rewritten_model_passes(&bytes, &Limits::default());
    }
}
