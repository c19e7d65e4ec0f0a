//! The calendar that shifts and offers follow: the facts of the release, and over them the notices that case-routing told
//! of, but for those that are older than what the release has. Every replica reads them at start and polls for newer ones.

use std::sync::Arc;

use arc_swap::ArcSwap;
use calendar::{Calendar, HolidayGroup, YearNotice};
use chassis::{Error, Result, db::Db};
use proto::case_routing::v1::CalendarAmended;

use crate::store::notices;

/// Cheap to clone; all clones see the same calendar.
#[derive(Clone, Debug)]
pub struct WorkingDays(Arc<ArcSwap<(i64, Arc<Calendar>)>>);

impl WorkingDays {
    /// Reads the notices.
    ///
    /// # Errors
    /// From the database.
    pub async fn open(db: &Db) -> Result<Self> {
        let shipped = (0, Arc::new(Calendar::builtin().clone()));
        let days = Self(Arc::new(ArcSwap::from_pointee(shipped)));
        days.refresh(db).await?;
        Ok(days)
    }

    /// The calendar as it is now.
    pub fn calendar(&self) -> Arc<Calendar> {
        self.0.load().1.clone()
    }

    /// Lays a notice that was kept just now over the others, unless one is newer; other replicas read it soon.
    pub fn lay(&self, version: u32, notice: &YearNotice) {
        self.0.rcu(|held| {
            let (count, calendar) = held.as_ref();
            let next = calendar.laid_over(notice, version).map_or_else(|_| calendar.clone(), Arc::new);
            (count + 1, next)
        });
    }

    /// Reads the notices again if there are more.
    ///
    /// # Errors
    /// From the database.
    pub async fn refresh(&self, db: &Db) -> Result<()> {
        let mut conn = db.conn().await?;
        let count = notices::count(&mut conn).await?;
        if count == self.0.load().0 {
            return Ok(());
        }
        let mut calendar = Calendar::builtin().clone();
        for (version, notice) in notices::load(&mut conn).await? {
            let year = notice.title_year;
            if Calendar::builtin().has_newer(year, version) {
                tracing::warn!(year, version, "an imported notice is passed over: the release's is newer");
            }
            calendar = calendar.laid_over(&notice, version).map_err(Error::internal)?;
        }
        self.0.store(Arc::new((count, Arc::new(calendar))));
        Ok(())
    }
}

/// A notice as the event tells it.
///
/// # Errors
/// `Invalid` when its days are none: a defect of the sender.
pub fn notice_of(event: CalendarAmended) -> Result<(u32, YearNotice)> {
    let CalendarAmended { title_year, notice_version, off_days, work_days, .. } = event;
    let days = HolidayGroup { name: String::new(), off: off_days, work: work_days };
    let notice = YearNotice { title_year, papers: Vec::new(), holidays: vec![days] };
    let checked = Calendar::builtin().amended(&notice);
    checked.map_err(|error| Error::invalid("off_days", error.to_string()))?;
    Ok((u32::try_from(notice_version).unwrap_or_default(), notice))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_notice_changes_nothing_whether_it_comes_late_or_the_release_has_a_newer_one() {
        let days = WorkingDays(Arc::new(ArcSwap::from_pointee((0, Arc::new(Calendar::builtin().clone())))));
        let notice = |title_year: i32, off: &str| YearNotice {
            title_year,
            papers: Vec::new(),
            holidays: vec![HolidayGroup { name: String::new(), off: vec![off.into()], work: Vec::new() }],
        };
        let works = |day: &str| days.calendar().is_work_day(day.parse().unwrap());
        days.lay(2, &notice(2027, "2027-01-04"));
        days.lay(1, &notice(2027, "2027-01-05"));
        assert_eq!((works("2027-01-04"), works("2027-01-05")), (false, true));
        days.lay(0, &notice(2026, "2026-03-03"));
        assert!(works("2026-03-03"), "the release knows the first notice of the year");
        days.lay(1, &notice(2026, "2026-03-03"));
        assert!(!works("2026-03-03"), "the same number is the same notice, as it was imported");
        assert_eq!(days.calendar().version(), Calendar::builtin().version() + 4, "each is a version");
    }
}
