//! Numbers as they stand in events, exactly; and the digits of those that are written.
//!
//! Theory. The models read an amount or a score as a float, and `streams/core` takes the shortest decimal that means this float
//! (`repr`). No two decimals of at most 15 digits mean the same float, so the shortest one has the value that was written, and no
//! float need be made. What has more digits, an exponent or a minus before a zero is no number here, and takes a closer look.
//!
//! Digits are counted as they stand, zeros included, so that a mantissa is below 10^15, as is the power of ten below it. Two such
//! in one unit are below 10^30, times a million below 10^36: an `i128` holds ten times that.

use std::cmp::Ordering;

const MAX_WHOLE_DIGITS: usize = 18;
const MAX_DIGITS: usize = 15;
const MILLION: i128 = 1_000_000;

/// A whole number of at most 18 digits.
pub fn whole(text: &[u8]) -> Option<i64> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    if digits.is_empty() || digits.len() > MAX_WHOLE_DIGITS || (digits[0] == b'0' && text.len() > 1) {
        return None;
    }
    let number = number_of(digits);
    Some(if digits.len() < text.len() { -number } else { number })
}

/// Hand over the decimal digits of a whole number, as ASCII, with its sign.
pub fn digits(value: i64, take: impl FnOnce(&[u8])) {
    let mut digits = [0u8; 20];
    let mut place = digits.len();
    let mut rest = value.unsigned_abs();
    loop {
        place -= 1;
        digits[place] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if value < 0 {
        place -= 1;
        digits[place] = b'-';
    }
    take(&digits[place..]);
}

fn number_of(digits: &[u8]) -> i64 {
    digits.iter().fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0'))
}

/// A decimal number: `mantissa` divided by ten to the power of `places`.
#[derive(Debug, Clone, Copy)]
pub struct Decimal {
    mantissa: i64,
    places: u32,
}

impl Decimal {
    /// The number of these digits before and after the point; a minus may stand before the first.
    pub fn of(before: &[u8], after: &[u8]) -> Option<Decimal> {
        let digits = before.strip_prefix(b"-").unwrap_or(before);
        let is_odd = digits.is_empty() || after.is_empty() || (digits[0] == b'0' && digits.len() > 1);
        if is_odd || digits.len() + after.len() > MAX_DIGITS {
            return None;
        }
        let places = after.len() as u32;
        let mantissa = number_of(digits) * 10_i64.pow(places) + number_of(after);
        match digits.len() < before.len() {
            true if mantissa == 0 => None,
            true => Some(Decimal { mantissa: -mantissa, places }),
            false => Some(Decimal { mantissa, places }),
        }
    }

    /// Both as multiples of the same power of ten.
    pub fn in_one_unit(self, other: Decimal) -> (i128, i128) {
        (i128::from(self.mantissa) * power(other.places), i128::from(other.mantissa) * power(self.places))
    }

    pub fn at_least(self, whole: i64) -> bool {
        let (own, bound) = self.in_one_unit(Decimal::from(whole));
        own >= bound
    }

    pub fn at_most(self, whole: i64) -> bool {
        let (own, bound) = self.in_one_unit(Decimal::from(whole));
        own <= bound
    }

    /// How many millionths it is, rounded half to even.
    pub fn millionths(self) -> i64 {
        millionths_of(i128::from(self.mantissa), power(self.places))
    }
}

impl From<i64> for Decimal {
    fn from(whole: i64) -> Decimal {
        Decimal { mantissa: whole, places: 0 }
    }
}

fn power(places: u32) -> i128 {
    10_i128.pow(places)
}

/// How many millionths of `whole`, which is positive, `part` is, rounded half to even.
pub fn millionths_of(part: i128, whole: i128) -> i64 {
    let (quotient, rest) = ((part * MILLION).div_euclid(whole), (part * MILLION).rem_euclid(whole));
    let up = match (2 * rest).cmp(&whole) {
        Ordering::Less => 0,
        Ordering::Equal => quotient & 1,
        Ordering::Greater => 1,
    };
    (quotient + up) as i64
}
