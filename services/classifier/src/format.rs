//! The model file: magic, version, length and SHA-256 of what follows; then little-endian arrays. A file that was
//! cut, changed, or is something else is refused before anything of it is used.

use std::io::{Read, Write};

use sha2::{Digest, Sha256};

use crate::{
    Error,
    features::Vocabulary,
    model::{Head, Model},
};

const MAGIC: &[u8; 8] = b"JHCLASS\0";
/// Form that this program writes and reads.
pub(crate) const VERSION: u32 = 1;
/// Most labels of a model.
pub(crate) const MAX_CLASSES: usize = 1000;
/// Nothing larger is read.
const MAX_BYTES: u64 = 64 << 20;

/// Bytes that one n-gram takes in the file.
pub(crate) fn bytes_per_feature(classes: usize) -> usize {
    8 + 4 + 2 * 2 * classes
}

impl Model {
    /// Writes the model; the same model makes the same bytes.
    pub fn write(&self, mut out: impl Write) -> Result<(), Error> {
        let mut body = Vec::with_capacity(self.vocabulary.keys.len() * bytes_per_feature(self.classes.len()));
        let size = |body: &mut Vec<u8>, count: usize| body.extend((count as u32).to_le_bytes());
        size(&mut body, self.classes.len());
        for class in &self.classes {
            size(&mut body, class.len());
            body.extend(class.as_bytes());
        }
        body.extend(self.subject_weight.to_le_bytes());
        size(&mut body, self.vocabulary.keys.len());
        self.vocabulary.keys.iter().for_each(|key| body.extend(key.to_le_bytes()));
        self.vocabulary.idf.iter().for_each(|idf| body.extend(idf.to_le_bytes()));
        for head in &self.heads {
            body.extend(head.temperature.to_le_bytes());
            head.bias.iter().chain(&head.scale).for_each(|value| body.extend(value.to_le_bytes()));
            head.weights.iter().for_each(|weight| body.extend(weight.to_le_bytes()));
        }
        out.write_all(MAGIC)?;
        out.write_all(&VERSION.to_le_bytes())?;
        out.write_all(&(body.len() as u64).to_le_bytes())?;
        out.write_all(&Sha256::digest(&body))?;
        out.write_all(&body)?;
        Ok(out.flush()?)
    }

    /// Reads a model.
    pub fn read(input: impl Read) -> Result<Self, Error> {
        let mut input = input.take(MAX_BYTES);
        let mut head = [0; 52];
        let mut got = 0;
        while got < head.len() {
            match input.read(&mut head[got..])? {
                0 => break,
                count => got += count,
            }
        }
        if got < 8 || &head[..8] != MAGIC {
            return Err(Error::NotAModel);
        }
        if got < head.len() {
            return Err(Error::Damaged("it ends within its header"));
        }
        let version = u32::from_le_bytes([head[8], head[9], head[10], head[11]]);
        if version != VERSION {
            return Err(Error::Version(version));
        }
        let mut length = [0; 8];
        length.copy_from_slice(&head[12..20]);
        let mut body = Vec::new();
        input.read_to_end(&mut body)?;
        if body.len() as u64 != u64::from_le_bytes(length) {
            return Err(Error::Damaged("its length is not the one it states"));
        }
        if Sha256::digest(&body)[..] != head[20..52] {
            return Err(Error::Damaged("its checksum does not fit"));
        }
        Self::parse(&body)
    }

    /// Every length is checked all the same: a checksum says that nothing changed, not who wrote it.
    fn parse(body: &[u8]) -> Result<Self, Error> {
        let mut rest = Cursor(body);
        let count = rest.size()?;
        if !(2..=MAX_CLASSES).contains(&count) {
            return Err(Error::Damaged("its number of labels is impossible"));
        }
        let classes = (0..count)
            .map(|_| {
                let length = rest.size()?;
                let text = std::str::from_utf8(rest.bytes(length)?);
                text.map(str::to_owned).map_err(|_| Error::Damaged("a label is not UTF-8"))
            })
            .collect::<Result<Vec<_>, _>>()?;
        let subject_weight = rest.float()?;
        let features = rest.size()?;
        let keys: Vec<u64> = rest.array::<8>(features)?.map(|bytes| u64::from_le_bytes(*bytes)).collect();
        if !keys.is_sorted_by(|a, b| a < b) {
            return Err(Error::Damaged("its n-grams are out of order"));
        }
        let idf: Vec<f32> = rest.array::<4>(features)?.map(|bytes| f32::from_le_bytes(*bytes)).collect();
        let heads = [rest.head(count, features)?, rest.head(count, features)?];
        let numbers = || {
            let own = |head: &Head| head.bias.iter().chain(&head.scale).all(|value| value.is_finite());
            heads.iter().all(own) && idf.iter().all(|value| value.is_finite())
        };
        if !rest.0.is_empty()
            || !numbers()
            || heads.iter().any(|head| head.temperature.is_nan() || head.temperature <= 0.0)
        {
            return Err(Error::Damaged("its numbers are impossible"));
        }
        Ok(Self { classes, vocabulary: Vocabulary::new(keys, idf), heads, subject_weight })
    }
}

struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn bytes(&mut self, count: usize) -> Result<&'a [u8], Error> {
        let (own, rest) = self.0.split_at_checked(count).ok_or(Error::Damaged("it ends too early"))?;
        self.0 = rest;
        Ok(own)
    }

    fn array<const SIZE: usize>(
        &mut self,
        count: usize,
    ) -> Result<impl Iterator<Item = &'a [u8; SIZE]>, Error> {
        let length = count.checked_mul(SIZE).ok_or(Error::Damaged("a length is impossible"))?;
        Ok(self.bytes(length)?.as_chunks::<SIZE>().0.iter())
    }

    fn size(&mut self) -> Result<usize, Error> {
        Ok(self.array::<4>(1)?.next().map_or(0, |bytes| u32::from_le_bytes(*bytes) as usize))
    }

    fn float(&mut self) -> Result<f32, Error> {
        Ok(self.array::<4>(1)?.next().map_or(0.0, |bytes| f32::from_le_bytes(*bytes)))
    }

    fn floats(&mut self, count: usize) -> Result<Vec<f32>, Error> {
        Ok(self.array::<4>(count)?.map(|bytes| f32::from_le_bytes(*bytes)).collect())
    }

    fn head(&mut self, classes: usize, features: usize) -> Result<Head, Error> {
        let temperature = self.float()?;
        let (bias, scale) = (self.floats(classes)?, self.floats(classes)?);
        let count = features.checked_mul(classes).ok_or(Error::Damaged("a length is impossible"))?;
        let weights = self.array::<2>(count)?.map(|bytes| i16::from_le_bytes(*bytes)).collect();
        Ok(Head { weights, scale, bias, temperature })
    }
}
