//! A fixed set of names, found by their bytes.
//!
//! Owns: the table behind JSON keys, categories and allowed texts. It is built once from the pipeline file and only
//! asked afterwards, so no event can make it grow or degenerate.

/// Names with their positions in the list that they were built from.
#[derive(Debug, Clone, Default)]
pub(crate) struct Names {
    names: Vec<Box<str>>,
    /// Open addressing: position + 1, or 0 for an empty slot. At most half full, a power of two long.
    slots: Vec<u32>,
}

impl Names {
    /// The table of these names. Of a repeated name the first position counts.
    pub(crate) fn new<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let names: Vec<Box<str>> = names.into_iter().map(Box::from).collect();
        let mut slots = vec![0u32; (names.len() * 4).next_power_of_two().max(4)];
        let mask = slots.len() - 1;
        for (position, name) in names.iter().enumerate() {
            let mut slot = hash(name.as_bytes()) & mask;
            while slots[slot] != 0 {
                slot = (slot + 1) & mask;
            }
            slots[slot] = position as u32 + 1;
        }
        Self { names, slots }
    }

    /// The names in their order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(AsRef::as_ref)
    }

    /// The position of a name.
    pub(crate) fn find(&self, name: &str) -> Option<usize> {
        let mask = self.slots.len().checked_sub(1)?;
        let mut slot = hash(name.as_bytes()) & mask;
        loop {
            let position = self.slots[slot].checked_sub(1)? as usize;
            if *self.names[position] == *name {
                return Some(position);
            }
            slot = (slot + 1) & mask;
        }
    }

    /// The name at a position.
    pub(crate) fn get(&self, position: usize) -> Option<&str> {
        self.names.get(position).map(AsRef::as_ref)
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.names.len()
    }
}

/// Mixes eight bytes at a time. Need not resist an attacker: what it is asked for never enters the table.
fn hash(bytes: &[u8]) -> usize {
    const MIX: u64 = 0x9E37_79B9_7F4A_7C15;
    let mut state = bytes.len() as u64;
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        state = (state.rotate_left(23) ^ u64::from_le_bytes(*word)).wrapping_mul(MIX);
    }
    let tail = rest.iter().fold(0u64, |tail, byte| tail << 8 | u64::from(*byte));
    state = (state.rotate_left(23) ^ tail).wrapping_mul(MIX);
    (state >> 32) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_found_at_its_position_and_no_other_is() {
        let list: Vec<String> = (0..500)
            .map(|i| format!("a_rather_long_feature_name_{i}_mean"))
            .collect();
        let names = Names::new(list.iter().map(String::as_str));
        for (position, name) in list.iter().enumerate() {
            assert_eq!(names.find(name), Some(position));
        }
        assert_eq!(names.find("a_rather_long_feature_name_500_mean"), None);
        assert_eq!(names.find(""), None);
    }

    #[test]
    fn an_empty_table_finds_nothing() {
        assert_eq!(Names::new([]).find("x"), None);
        assert_eq!(Names::default().find("x"), None);
    }

    #[test]
    fn the_first_of_two_equal_names_counts() {
        assert_eq!(Names::new(["a", "b", "a"]).find("a"), Some(0));
    }
}
