//! Model files: what is written is read, and nothing else is.

mod common;

use classifier::{Error, Model, Scratch};
use common::{bytes, model, requests};
use proptest::prelude::*;

#[test]
fn a_model_that_was_written_answers_as_before() {
    let model = model(1);
    let written = bytes(&model);
    let read = Model::read(&written[..]).expect("a model");
    assert!(written == bytes(&read));
    let (mut one, mut two) = (Scratch::default(), Scratch::default());
    for record in requests(50, 7) {
        assert_eq!(
            model.predict(&record.subject, &record.detail, &mut one),
            read.predict(&record.subject, &record.detail, &mut two)
        );
    }
}

#[test]
fn foreign_files_are_told_from_damaged_ones() {
    let whole = bytes(&model(1));
    let kind = |bytes: &[u8]| Model::read(bytes).expect_err("refused");
    assert!(matches!(kind(b""), Error::NotAModel));
    assert!(matches!(kind(b"subject,label\nlamp,road\n"), Error::NotAModel));
    assert!(matches!(kind(&whole[..30]), Error::Damaged(_)));
    assert!(matches!(kind(&whole[..whole.len() - 1]), Error::Damaged(_)));
    let mut later = whole.clone();
    later[8] = 9;
    assert!(matches!(kind(&later), Error::Version(9)));
    let mut longer = whole;
    longer.push(0);
    assert!(matches!(kind(&longer), Error::Damaged(_)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_model_with_any_flipped_bit_is_refused(place in 0_usize..1_000_000, bit in 0_u8..8) {
        thread_local!(static WHOLE: Vec<u8> = bytes(&model(1)));
        WHOLE.with(|whole| {
            let mut changed = whole.clone();
            let place = place % changed.len();
            changed[place] ^= 1 << bit;
            prop_assert!(Model::read(&changed[..]).is_err());
            Ok(())
        })?;
    }

    #[test]
    fn a_body_of_any_bytes_with_a_fitting_checksum_does_not_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        use sha2::{Digest, Sha256};
        let mut file = b"JHCLASS\0".to_vec();
        file.extend(1_u32.to_le_bytes());
        file.extend((body.len() as u64).to_le_bytes());
        file.extend(Sha256::digest(&body));
        file.extend(&body);
        prop_assert!(Model::read(&file[..]).is_err());
    }
}
