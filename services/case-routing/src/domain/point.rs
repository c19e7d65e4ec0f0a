//! Where on the earth a matter is (WGS 84), in millionths of a degree: whole numbers, so that what is kept is what was given.
//! It can be somebody's home: no event, no log and no figure has it. Cells of a coarse grid lead to what lies near.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::patrol::is_point;

/// Up to how many metres two points are near one another.
pub(super) const NEAR: f64 = 300.0;

const MOST_LONGITUDE: i32 = 180_000_000;
const MOST_LATITUDE: i32 = 90_000_000;
/// A cell is about 440 m high and, in Wuhan, 480 m wide. Up to 57° from the equator none is narrower than what is near, so
/// that the cells around a point's own have all of it.
const CELL_HEIGHT: i32 = 4_000;
const CELL_WIDTH: i32 = 5_000;
const COLUMNS: i32 = 2 * MOST_LONGITUDE / CELL_WIDTH;
/// That of the pole.
const LAST_ROW: i32 = 2 * MOST_LATITUDE / CELL_HEIGHT;
/// Mean radius in metres.
const EARTH: f64 = 6_371_009.0;

/// A point within the world.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Point {
    longitude_e6: i32,
    latitude_e6: i32,
}

/// A part of a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Axis {
    Longitude,
    Latitude,
}

/// Says nothing: what is printed may end up in a log.
impl fmt::Debug for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Point")
    }
}

impl Point {
    /// From millionths of a degree.
    ///
    /// # Errors
    /// Which of the two lies outside the world.
    pub fn new(longitude_e6: i32, latitude_e6: i32) -> Result<Self, Axis> {
        if !(-MOST_LONGITUDE..=MOST_LONGITUDE).contains(&longitude_e6) {
            return Err(Axis::Longitude);
        }
        if !(-MOST_LATITUDE..=MOST_LATITUDE).contains(&latitude_e6) {
            return Err(Axis::Latitude);
        }
        Ok(Self { longitude_e6, latitude_e6 })
    }

    /// From degrees; `None` outside the world.
    #[must_use]
    pub fn of_degrees(longitude: f64, latitude: f64) -> Option<Self> {
        let e6 = |degrees: f64| (degrees * 1e6).round() as i32;
        is_point(longitude, latitude).then(|| Self::new(e6(longitude), e6(latitude)).ok()).flatten()
    }

    /// Millionths of a degree east of Greenwich.
    #[must_use]
    pub const fn longitude_e6(self) -> i32 {
        self.longitude_e6
    }

    /// Millionths of a degree north of the equator.
    #[must_use]
    pub const fn latitude_e6(self) -> i32 {
        self.latitude_e6
    }

    /// The cell that it lies in.
    #[must_use]
    pub fn cell(self) -> i64 {
        cell(self.row(), self.column())
    }

    /// Its cell and those around it: all that is near lies in them.
    #[must_use]
    pub fn cells_around(self) -> Vec<i64> {
        let (row, column) = (self.row(), self.column());
        let rows = (row - 1..=row + 1).filter(|row| (0..=LAST_ROW).contains(row));
        let beside = |row| (column - 1..=column + 1).map(move |column| cell(row, column.rem_euclid(COLUMNS)));
        rows.flat_map(beside).collect()
    }

    /// How far, in millionths of a degree of longitude and of latitude, what is near lies from it at most.
    #[must_use]
    pub fn nearby_e6(self) -> (i32, i32) {
        // A hundredth more, for the earth is round.
        let latitude = (NEAR * 1.01 / EARTH).to_degrees() * 1e6;
        let longitude = latitude / radians(self.latitude_e6).cos().max(1e-6);
        (longitude.min(f64::from(MOST_LONGITUDE)).ceil() as i32, latitude.ceil() as i32)
    }

    /// Metres to another, through nothing in between.
    #[must_use]
    pub fn metres_to(self, other: Self) -> f64 {
        let (one, two) = (radians(self.latitude_e6), radians(other.latitude_e6));
        let across = radians(self.longitude_e6 - other.longitude_e6);
        let along = ((one - two) / 2.0).sin().powi(2);
        let chord = along + one.cos() * two.cos() * (across / 2.0).sin().powi(2);
        2.0 * EARTH * chord.sqrt().min(1.0).asin()
    }

    const fn row(self) -> i32 {
        (self.latitude_e6 + MOST_LATITUDE) / CELL_HEIGHT
    }

    const fn column(self) -> i32 {
        (self.longitude_e6 + MOST_LONGITUDE) / CELL_WIDTH % COLUMNS
    }
}

fn cell(row: i32, column: i32) -> i64 {
    i64::from(row) * i64::from(COLUMNS) + i64::from(column)
}

fn radians(e6: i32) -> f64 {
    (f64::from(e6) / 1e6).to_radians()
}

/// Metres as people say them: in tens, from a hundred on in fifties, from a kilometre on in five hundreds.
pub(super) fn about(metres: f64) -> u32 {
    let step = if metres < 100.0 {
        10.0
    } else if metres < 1_000.0 {
        50.0
    } else {
        500.0
    };
    ((metres / step).round().max(1.0) * step) as u32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(longitude_e6: i32, latitude_e6: i32) -> Point {
        Point::new(longitude_e6, latitude_e6).unwrap()
    }

    #[test]
    fn a_point_lies_within_the_world_and_what_does_not_is_named() {
        for (longitude, latitude, wanted) in [
            (114_270_000, 30_600_000, None),
            (180_000_000, -90_000_000, None),
            (180_000_001, 0, Some(Axis::Longitude)),
            (i32::MIN, i32::MAX, Some(Axis::Longitude)),
            (0, 90_000_001, Some(Axis::Latitude)),
        ] {
            assert_eq!(Point::new(longitude, latitude).err(), wanted, "{longitude} {latitude}");
        }
        assert!(Point::of_degrees(114.27, 30.6) == Some(at(114_270_000, 30_600_000)));
        assert!(Point::of_degrees(-0.000_000_6, 90.0) == Some(at(-1, 90_000_000)));
        assert!(Point::of_degrees(180.000_1, 0.0).is_none() && Point::of_degrees(0.0, f64::NAN).is_none());
    }

    #[test]
    fn metres_are_those_of_the_map() {
        // A minute of latitude is a nautical mile; a degree of longitude shrinks with the cosine.
        let wuhan = at(114_270_000, 30_600_000);
        assert!((wuhan.metres_to(at(114_270_000, 30_616_667)) - 1_853.0).abs() < 3.0);
        assert!((wuhan.metres_to(at(114_271_000, 30_600_000)) - 95.7).abs() < 0.3);
        assert!(wuhan.metres_to(wuhan) < 1e-9);
        // The date line is no border.
        assert!(at(179_999_900, 0).metres_to(at(-179_999_900, 0)) < 30.0);
        let antipodes = at(0, 0).metres_to(at(180_000_000, 0));
        assert!((antipodes - 20_015_115.0).abs() < 100.0, "{antipodes}");
    }

    #[test]
    fn cells_are_a_few_hundred_metres_and_have_those_beside_them_across_every_edge() {
        let wuhan = at(114_272_500, 30_602_000);
        assert_eq!(wuhan.cell(), at(114_270_000, 30_600_000).cell());
        assert_eq!(wuhan.cell(), at(114_274_999, 30_603_999).cell());
        assert_ne!(wuhan.cell(), at(114_275_000, 30_603_999).cell());
        let around = wuhan.cells_around();
        assert_eq!((around.len(), around[4]), (9, wuhan.cell()));
        for (longitude, latitude) in [(5_000, 0), (-5_000, 0), (0, 4_000), (0, -4_000), (5_000, -4_000)] {
            let beside = at(114_272_500 + longitude, 30_602_000 + latitude);
            assert!(around.contains(&beside.cell()) && beside.cells_around().contains(&wuhan.cell()));
            assert_ne!(beside.cell(), wuhan.cell());
        }
        assert!(!around.contains(&at(114_282_500, 30_602_000).cell()), "two cells away");
        assert!(!around.contains(&at(114_272_500, 30_610_000).cell()), "two cells away");
        // The date line and the poles.
        assert_eq!(at(180_000_000, 0).cell(), at(-180_000_000, 0).cell());
        assert!(at(179_999_999, 0).cells_around().contains(&at(-179_999_999, 0).cell()));
        for pole in [at(0, 90_000_000), at(0, -90_000_000)] {
            assert!(pole.cells_around().contains(&pole.cell()) && pole.cells_around().len() == 6);
        }
    }

    #[test]
    fn metres_are_told_as_people_say_them() {
        let told = [(0.0, 10), (14.0, 10), (48.0, 50), (97.0, 100), (120.0, 100), (180.0, 200)];
        for (metres, wanted) in told.into_iter().chain([(5_100.0, 5_000)]) {
            assert_eq!(about(metres), wanted, "{metres}");
        }
    }

    #[test]
    fn a_point_is_not_printed() {
        assert_eq!(format!("{:?}", Some(at(114_270_000, 30_600_000))), "Some(Point)");
        let kept = serde_json::to_string(&at(-1, 2)).unwrap();
        assert_eq!(serde_json::from_str::<Point>(&kept).map_err(|error| error.to_string()), Ok(at(-1, 2)));
    }

    proptest! {
        /// Whatever is near is found by the cells and within the bounds, from both sides.
        #[test]
        fn what_is_near_lies_in_the_cells_around(
            longitude in -179_000_000_i32..179_000_000,
            latitude in -55_000_000_i32..55_000_000,
            east in -6_000_i32..6_000,
            north in -3_000_i32..3_000,
        ) {
            let (one, other) = (at(longitude, latitude), at(longitude + east, latitude + north));
            let metres = one.metres_to(other);
            prop_assert!((metres - other.metres_to(one)).abs() < 1e-9);
            if metres <= NEAR {
                prop_assert!(one.cells_around().contains(&other.cell()));
                prop_assert!(other.cells_around().contains(&one.cell()));
                let (most_east, most_north) = one.nearby_e6();
                prop_assert!(east.abs() <= most_east && north.abs() <= most_north);
            }
        }
    }
}
