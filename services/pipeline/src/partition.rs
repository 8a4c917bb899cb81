//! Which partition an output goes to.
//!
//! Owns: the partitioning of every topic that Eddy writes.
//! Never does: ask the broker; the number of partitions comes in as a value.
//!
//! Invariant: a key goes where a Java client would send it, so that Eddy's outputs can be joined with topics of other
//! producers; without a key, what came in order goes out in order.

/// The seed of Kafka's own murmur2.
const SEED: u32 = 0x9747_b28c;
/// Murmur2's multiplier.
const M: u32 = 0x5bd1_e995;
/// Murmur2's shift.
const R: u32 = 24;

/// Kafka's murmur2 (32 bits, little-endian, Kafka's seed), as the Java client's `Utils.murmur2`.
pub fn murmur2(bytes: &[u8]) -> i32 {
    let mut hash = SEED ^ bytes.len() as u32;
    let mut words = bytes.chunks_exact(4);
    for word in &mut words {
        let word = word.try_into().expect("chunks_exact gives four bytes");
        let mut k = u32::from_le_bytes(word).wrapping_mul(M);
        k ^= k >> R;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    let tail = words.remainder();
    if !tail.is_empty() {
        let tail = tail
            .iter()
            .rev()
            .fold(0u32, |packed, byte| (packed << 8) | u32::from(*byte));
        hash = (hash ^ tail).wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^= hash >> 15;
    hash.cast_signed()
}

/// The partition, among `partitions`, of an output whose event came from `source_partition`.
///
/// With a key (also an empty one): where a Java client's default partitioner puts it. Without: the source partition
/// modulo the count. 0 where the count is not known (zero or less).
pub fn partition_for(key: Option<&[u8]>, source_partition: i32, partitions: i32) -> i32 {
    if partitions <= 0 {
        return 0;
    }
    match key {
        Some(key) => (murmur2(key) & i32::MAX) % partitions,
        None => source_partition.rem_euclid(partitions),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn murmur2_gives_the_known_answers_of_kafkas_utils_test() {
        let cases: [(&str, i32); 6] = [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ];
        for (key, expected) in cases {
            assert_eq!(murmur2(key.as_bytes()), expected, "{key}");
        }
    }

    #[test]
    fn murmur2_gives_the_known_answers_of_librdkafkas_unit_test() {
        let long = "PreAmbleWillBeRemoved,ThePrePartThatIs";
        let cases: [(&str, u32); 11] = [
            ("kafka", 0xd067_cf64),
            ("giberish123456789", 0x8f55_2b0c),
            ("1234", 0x9fc9_7b14),
            ("234", 0xe7c0_09ca),
            ("34", 0x8739_30da),
            ("4", 0x5a4b_5ca1),
            (long, 0x7842_4f1c),
            (&long[1..], 0x4a62_b377),
            (&long[2..], 0xe0e4_e09e),
            (&long[3..], 0x62b8_b43f),
            ("", 0x106e_08d9),
        ];
        for (key, expected) in cases {
            assert_eq!(murmur2(key.as_bytes()).cast_unsigned(), expected, "{key}");
        }
    }

    #[test]
    fn a_key_decides_alone_where_its_event_goes() {
        // -973932308 & 0x7fffffff = 1173551340
        assert_eq!(partition_for(Some(b"21"), 0, 100), 40);
        assert_eq!(partition_for(Some(b"21"), 7, 100), 40);
    }

    #[test]
    fn without_a_key_the_source_partition_is_kept_where_there_is_one_like_it() {
        assert_eq!(partition_for(None, 3, 12), 3);
        assert_eq!(partition_for(None, 13, 12), 1);
    }

    #[test]
    fn an_empty_key_is_a_key() {
        // 0x106e08d9 = 275646681
        assert_eq!(partition_for(Some(b""), 5, 1000), 681);
    }

    #[test]
    fn an_unknown_count_gives_the_first_partition() {
        assert_eq!(partition_for(Some(b"k"), 5, 0), 0);
        assert_eq!(partition_for(None, 5, -1), 0);
    }

    #[test]
    fn property_every_answer_is_a_partition_that_exists() {
        proptest::proptest!(|(key: Option<Vec<u8>>, source: i32, partitions in 1..2000i32)| {
            let partition = partition_for(key.as_deref(), source, partitions);
            proptest::prop_assert!((0..partitions).contains(&partition));
        });
    }
}
