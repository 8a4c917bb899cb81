//! What tensors promise, against the data that they have.

use super::*;

#[test]
fn a_tensor_has_just_the_data_that_its_dimensions_promise() {
    let raw = |element, dims: &[u64], bytes: usize| holding(&tensor("w", element, dims).bytes(9, vec![0; bytes]));
    // By type: elements, bytes. The sizes are those of onnx.proto.
    let sizes = [
        (1, 3, 12),
        (2, 3, 3),
        (3, 3, 3),
        (4, 3, 6),
        (5, 3, 6),
        (6, 3, 12),
        (7, 3, 24),
        (9, 3, 3),
        (10, 3, 6),
        (11, 3, 24),
        (12, 3, 12),
        (13, 3, 24),
        (14, 3, 24),
        (15, 3, 48),
        (16, 3, 6),
        (17, 3, 3),
        (18, 3, 3),
        (19, 3, 3),
        (20, 3, 3),
        (21, 3, 2),
        (22, 3, 2),
        (23, 3, 2),
        (24, 3, 3),
        (25, 5, 2),
        (26, 5, 2),
    ];
    for (element, count, bytes) in sizes {
        passes(&raw(element, &[count], bytes));
        passes(&raw(element, &[count, 0], 0));
        for wrong in [bytes - 1, bytes + 1] {
            assert_eq!(
                refused(&raw(element, &[count], wrong)).reason,
                Reason::Tensor,
                "type {element}"
            );
        }
    }
    passes(&raw(FLOAT, &[], 4));
    for element in [0, 8, 27, 99, (1 << 32) + 1] {
        assert_eq!(
            refused(&raw(element, &[3], 12)).reason,
            Reason::Tensor,
            "type {element}"
        );
    }
}

#[test]
fn elements_that_are_written_out_are_counted() {
    let typed = |element, field, entries: u64| {
        let tensor = tensor("w", element, &[3]);
        (0..entries).fold(tensor, |tensor, _| tensor.number(field, 300))
    };
    let packed = |element, field, bytes: &[u8]| tensor("w", element, &[3]).bytes(field, bytes);
    passes(&holding(&typed(7, 7, 3)));
    passes(&holding(&packed(7, 7, &[0x80, 1, 5, 0xff, 0x7f])));
    passes(&holding(&packed(FLOAT, 4, &[0; 12])));
    passes(&holding(&packed(11, 10, &[0; 24])));
    passes(&holding(&packed(14, 4, &[0; 24])));
    passes(&holding(&packed(21, 5, &[1, 2])));
    let strings = tensor("w", 8, &[2]).bytes(6, [0xff]).bytes(6, "");
    passes(&holding(&strings));
    let wrong = [
        typed(7, 7, 2),
        typed(7, 7, 4),
        typed(7, 5, 3),
        packed(FLOAT, 4, &[0; 8]),
        packed(21, 5, &[1, 2, 3]),
        tensor("w", FLOAT, &[3]),
        packed(FLOAT, 4, &[0; 12]).bytes(9, [0; 12]),
        packed(FLOAT, 4, &[0; 12]).number(7, 1),
        tensor("w", 8, &[2]).bytes(9, [0; 16]),
        tensor("w", FLOAT, &[1])
            .bytes(9, [0; 4])
            .bytes(3, message().number(1, 0)),
    ];
    for tensor in &wrong {
        assert_eq!(refused(&holding(tensor)).reason, Reason::Tensor);
    }
}

#[test]
fn absurd_dimensions_are_refused() {
    let empty = |dims: &[u64]| holding(&tensor("w", FLOAT, dims));
    for dims in [&[u64::MAX][..], &[1 << 40, 1 << 40], &[1; 65]] {
        assert_eq!(refused(&empty(dims)).reason, Reason::Tensor);
    }
    assert_eq!(refused(&empty(&[1 << 38])).reason, Reason::Limit);
    // A few values that stand for terabytes of zeros.
    let values = tensor("v", FLOAT, &[1]).bytes(9, [0; 4]);
    let indices = tensor("i", 7, &[1]).number(7, 0);
    let sparse = |dims: &[u64]| message().bytes(1, &values).bytes(2, &indices).numbers(3, dims);
    passes(&model(&graph().bytes(15, sparse(&[1000]))));
    assert_eq!(
        refused(&model(&graph().bytes(15, sparse(&[1 << 38])))).reason,
        Reason::Limit
    );
}

#[test]
fn sparse_tensors_have_an_index_for_each_value() {
    let values = |count: u64| tensor("v", FLOAT, &[count]).bytes(9, vec![0; 4 * count as usize]);
    let indices = |dims: &[u64]| {
        let all: u64 = dims.iter().product();
        tensor("i", 7, dims).bytes(9, vec![0; 8 * all as usize])
    };
    let sparse = |values: Message, indices: Message, dims: &[u64]| {
        model(&graph().bytes(15, message().bytes(1, values).bytes(2, indices).numbers(3, dims)))
    };
    passes(&sparse(values(2), indices(&[2]), &[3, 4]));
    passes(&sparse(values(2), indices(&[2, 2]), &[3, 4]));
    let narrow = tensor("i", 3, &[2]).bytes(9, [0; 2]);
    for wrong in [
        sparse(values(2), indices(&[3]), &[3, 4]),
        sparse(values(2), indices(&[2, 3]), &[3, 4]),
        sparse(values(2), indices(&[2, 2, 1]), &[3, 4]),
        sparse(values(2), indices(&[2]), &[]),
        sparse(values(9), indices(&[9]), &[2]),
        sparse(values(2), narrow, &[3]),
        model(&graph().bytes(15, message().bytes(1, values(1)))),
    ] {
        assert_eq!(refused(&wrong).reason, Reason::Tensor);
    }
}
