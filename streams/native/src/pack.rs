//! msgpack, as much of it as entries and relay records use; integers in their shortest form, as msgspec writes them.

/// Writes msgpack into bytes.
#[derive(Default)]
pub struct Writer(pub Vec<u8>);

impl Writer {
    pub fn new() -> Writer {
        Writer(Vec::new())
    }

    pub fn nil(&mut self) {
        self.0.push(0xc0);
    }

    pub fn bool(&mut self, value: bool) {
        self.0.push(if value { 0xc3 } else { 0xc2 });
    }

    pub fn int(&mut self, value: i64) {
        if value >= 0 {
            self.uint(value as u64);
        } else if value >= -32 {
            self.0.push(value as u8);
        } else if value >= i64::from(i8::MIN) {
            self.0.push(0xd0);
            self.0.push(value as u8);
        } else if value >= i64::from(i16::MIN) {
            self.0.push(0xd1);
            self.0.extend_from_slice(&(value as i16).to_be_bytes());
        } else if value >= i64::from(i32::MIN) {
            self.0.push(0xd2);
            self.0.extend_from_slice(&(value as i32).to_be_bytes());
        } else {
            self.0.push(0xd3);
            self.0.extend_from_slice(&value.to_be_bytes());
        }
    }

    pub fn uint(&mut self, value: u64) {
        if value < 128 {
            self.0.push(value as u8);
        } else if value <= u64::from(u8::MAX) {
            self.0.push(0xcc);
            self.0.push(value as u8);
        } else if value <= u64::from(u16::MAX) {
            self.0.push(0xcd);
            self.0.extend_from_slice(&(value as u16).to_be_bytes());
        } else if value <= u64::from(u32::MAX) {
            self.0.push(0xce);
            self.0.extend_from_slice(&(value as u32).to_be_bytes());
        } else {
            self.0.push(0xcf);
            self.0.extend_from_slice(&value.to_be_bytes());
        }
    }

    /// An integer, or nil.
    pub fn maybe_int(&mut self, value: Option<i64>) {
        match value {
            Some(value) => self.int(value),
            None => self.nil(),
        }
    }

    pub fn str(&mut self, text: &str) {
        let length = text.len();
        if length < 32 {
            self.0.push(0xa0 | length as u8);
        } else if length <= 0xff {
            self.0.push(0xd9);
            self.0.push(length as u8);
        } else if length <= 0xffff {
            self.0.push(0xda);
            self.0.extend_from_slice(&(length as u16).to_be_bytes());
        } else {
            self.0.push(0xdb);
            self.0.extend_from_slice(&(length as u32).to_be_bytes());
        }
        self.0.extend_from_slice(text.as_bytes());
    }

    /// A text, or nil.
    pub fn maybe_str(&mut self, text: Option<&str>) {
        match text {
            Some(text) => self.str(text),
            None => self.nil(),
        }
    }

    pub fn bin(&mut self, data: &[u8]) {
        let length = data.len();
        if length <= 0xff {
            self.0.push(0xc4);
            self.0.push(length as u8);
        } else if length <= 0xffff {
            self.0.push(0xc5);
            self.0.extend_from_slice(&(length as u16).to_be_bytes());
        } else {
            self.0.push(0xc6);
            self.0.extend_from_slice(&(length as u32).to_be_bytes());
        }
        self.0.extend_from_slice(data);
    }

    /// The head of an array; its elements follow.
    pub fn array(&mut self, length: usize) {
        self.head(length, 0x90, 0xdc);
    }

    /// The head of a map; keys and values follow.
    pub fn map(&mut self, length: usize) {
        self.head(length, 0x80, 0xde);
    }

    fn head(&mut self, length: usize, short: u8, long: u8) {
        if length < 16 {
            self.0.push(short | length as u8);
        } else if length <= 0xffff {
            self.0.push(long);
            self.0.extend_from_slice(&(length as u16).to_be_bytes());
        } else {
            self.0.push(long + 1);
            self.0.extend_from_slice(&(length as u32).to_be_bytes());
        }
    }
}

/// Why bytes are not what was expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed(pub &'static str);

/// Reads msgpack from bytes, one object after the other.
pub struct Reader<'a> {
    data: &'a [u8],
    at: usize,
}

type Found<T> = Result<T, Malformed>;

impl<'a> Reader<'a> {
    pub fn new(data: &'a [u8]) -> Reader<'a> {
        Reader { data, at: 0 }
    }

    /// Whether everything is read.
    pub fn is_done(&self) -> bool {
        self.at == self.data.len()
    }

    fn byte(&mut self) -> Found<u8> {
        let byte = *self.data.get(self.at).ok_or(Malformed("ends too early"))?;
        self.at += 1;
        Ok(byte)
    }

    fn bytes(&mut self, length: usize) -> Found<&'a [u8]> {
        let end = self.at.checked_add(length).ok_or(Malformed("ends too early"))?;
        let found = self.data.get(self.at..end).ok_or(Malformed("ends too early"))?;
        self.at = end;
        Ok(found)
    }

    fn number<const N: usize>(&mut self) -> Found<[u8; N]> {
        Ok(self.bytes(N)?.try_into().expect("as many as asked for"))
    }

    /// Whether the next object is nil; it is read if so.
    pub fn nil(&mut self) -> bool {
        let found = self.data.get(self.at) == Some(&0xc0);
        self.at += usize::from(found);
        found
    }

    pub fn bool(&mut self) -> Found<bool> {
        match self.byte()? {
            0xc2 => Ok(false),
            0xc3 => Ok(true),
            _ => Err(Malformed("expected a boolean")),
        }
    }

    pub fn int(&mut self) -> Found<i64> {
        let value = match self.byte()? {
            byte @ 0..=0x7f => i64::from(byte),
            byte @ 0xe0..=0xff => i64::from(byte as i8),
            0xcc => i64::from(self.byte()?),
            0xcd => i64::from(u16::from_be_bytes(self.number()?)),
            0xce => i64::from(u32::from_be_bytes(self.number()?)),
            0xcf => i64::try_from(u64::from_be_bytes(self.number()?)).map_err(|_| Malformed("integer too large"))?,
            0xd0 => i64::from(self.byte()? as i8),
            0xd1 => i64::from(i16::from_be_bytes(self.number()?)),
            0xd2 => i64::from(i32::from_be_bytes(self.number()?)),
            0xd3 => i64::from_be_bytes(self.number()?),
            _ => return Err(Malformed("expected an integer")),
        };
        Ok(value)
    }

    /// An unsigned integer of 64 bits.
    pub fn uint(&mut self) -> Found<u64> {
        if self.data.get(self.at) == Some(&0xcf) {
            self.at += 1;
            return Ok(u64::from_be_bytes(self.number()?));
        }
        u64::try_from(self.int()?).map_err(|_| Malformed("expected an integer of 0 or more"))
    }

    pub fn maybe_int(&mut self) -> Found<Option<i64>> {
        if self.nil() {
            Ok(None)
        } else {
            self.int().map(Some)
        }
    }

    pub fn str(&mut self) -> Found<&'a str> {
        let length = match self.byte()? {
            byte @ 0xa0..=0xbf => usize::from(byte & 0x1f),
            0xd9 => usize::from(self.byte()?),
            0xda => usize::from(u16::from_be_bytes(self.number()?)),
            0xdb => u32::from_be_bytes(self.number()?) as usize,
            _ => return Err(Malformed("expected a text")),
        };
        std::str::from_utf8(self.bytes(length)?).map_err(|_| Malformed("text is not UTF-8"))
    }

    pub fn maybe_str(&mut self) -> Found<Option<&'a str>> {
        if self.nil() {
            Ok(None)
        } else {
            self.str().map(Some)
        }
    }

    pub fn bin(&mut self) -> Found<&'a [u8]> {
        let length = match self.byte()? {
            0xc4 => usize::from(self.byte()?),
            0xc5 => usize::from(u16::from_be_bytes(self.number()?)),
            0xc6 => u32::from_be_bytes(self.number()?) as usize,
            _ => return Err(Malformed("expected bytes")),
        };
        self.bytes(length)
    }

    /// Pass over one object, whatever it is.
    pub fn skip(&mut self) -> Found<()> {
        let mut left: u64 = 1;
        while left > 0 {
            left -= 1;
            let (head, inside) = match self.byte()? {
                0x00..=0x7f | 0xe0..=0xff | 0xc0 | 0xc2 | 0xc3 => (0, 0),
                byte @ 0x80..=0x8f => (0, 2 * u64::from(byte & 0xf)),
                byte @ 0x90..=0x9f => (0, u64::from(byte & 0xf)),
                byte @ 0xa0..=0xbf => (usize::from(byte & 0x1f), 0),
                0xc4 | 0xd9 => (usize::from(self.byte()?), 0),
                0xc5 | 0xda => (usize::from(u16::from_be_bytes(self.number()?)), 0),
                0xc6 | 0xdb => (u32::from_be_bytes(self.number()?) as usize, 0),
                0xc7 => (usize::from(self.byte()?) + 1, 0),
                0xc8 => (usize::from(u16::from_be_bytes(self.number()?)) + 1, 0),
                0xc9 => (u32::from_be_bytes(self.number()?) as usize + 1, 0),
                0xcc | 0xd0 => (1, 0),
                0xcd | 0xd1 | 0xd4 => (2, 0),
                0xd5 => (3, 0),
                0xca | 0xce | 0xd2 => (4, 0),
                0xd6 => (5, 0),
                0xcb | 0xcf | 0xd3 => (8, 0),
                0xd7 => (9, 0),
                0xd8 => (17, 0),
                0xdc => (0, u64::from(u16::from_be_bytes(self.number()?))),
                0xdd => (0, u64::from(u32::from_be_bytes(self.number()?))),
                0xde => (0, 2 * u64::from(u16::from_be_bytes(self.number()?))),
                0xdf => (0, 2 * u64::from(u32::from_be_bytes(self.number()?))),
                0xc1 => return Err(Malformed("not msgpack")),
            };
            self.bytes(head)?;
            left = left.checked_add(inside).ok_or(Malformed("ends too early"))?;
        }
        Ok(())
    }

    /// The number of elements of an array, which follow.
    pub fn array(&mut self) -> Found<usize> {
        match self.byte()? {
            byte @ 0x90..=0x9f => Ok(usize::from(byte & 0xf)),
            0xdc => Ok(usize::from(u16::from_be_bytes(self.number()?))),
            0xdd => Ok(u32::from_be_bytes(self.number()?) as usize),
            _ => Err(Malformed("expected an array")),
        }
    }

    /// The number of pairs of a map, which follow.
    pub fn map(&mut self) -> Found<usize> {
        match self.byte()? {
            byte @ 0x80..=0x8f => Ok(usize::from(byte & 0xf)),
            0xde => Ok(usize::from(u16::from_be_bytes(self.number()?))),
            0xdf => Ok(u32::from_be_bytes(self.number()?) as usize),
            _ => Err(Malformed("expected a map")),
        }
    }
}
