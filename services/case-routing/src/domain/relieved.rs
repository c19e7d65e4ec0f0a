//! Who is not to lead a case, or to help with it: for good, or for the item that an objection relieved it of.

use super::case::Task;
use super::codes::TaskPart;
use super::ids::OrgId;
use super::work::Work;

impl Work<'_> {
    /// Whether an organisation has objected to leading this matter: it does so once, whatever tasks it gets. That it need not help
    /// is another matter.
    pub fn has_objected(&self, org: OrgId) -> bool {
        let (item, own) = (self.item_code(), |task: &&Task| task.org == org && task.part == TaskPart::Lead);
        self.case.tasks.iter().filter(own).any(|task| task.objected && task.item == item)
    }

    /// Code of the present item; empty for none.
    pub fn item_code(&self) -> &str {
        self.case.item.as_ref().map_or("", |item| item.code.as_str())
    }

    /// The matter begins anew: whose objection was rejected may object again; who was relieved stays so.
    pub fn forget_objections(&mut self) {
        let relieved = &self.case.relieved;
        for task in &mut self.case.tasks {
            task.objected &= relieved.iter().any(|(org, of)| *org == task.org && *of == task.item);
        }
    }

    /// An organisation whose objection to the present item stands is not to lead it.
    pub fn relieve(&mut self, org: OrgId) {
        self.exclude(org);
        if !self.was_relieved(org) {
            self.case.relieved.push((org, self.item_code().to_owned()));
        }
    }

    /// Whether it was relieved of the present item.
    pub fn was_relieved(&self, org: OrgId) -> bool {
        let item = self.item_code();
        self.case.relieved.iter().any(|(relieved, of)| *relieved == org && of == item)
    }

    /// Whether it was relieved of helping with the present item, and no ruling names it to. It may lead all the same.
    pub fn need_not_help(&self, org: OrgId) -> bool {
        let item = self.item_code();
        let relieved = |task: &Task| task.relieved && task.org == org && task.item == item;
        self.case.tasks.iter().any(relieved) && !self.case.is_ruled_to_help(org, item)
    }

    /// Before the item becomes another one: who was relieved of it may lead that.
    pub fn take_back_relieved(&mut self) {
        let item = self.item_code();
        let of_this = self.case.relieved.iter().filter(|(_, of)| of == item).map(|(org, _)| *org);
        let of_this: Vec<OrgId> = of_this.collect();
        self.case.excluded_orgs.retain(|org| !of_this.contains(org));
    }

    /// After it became another one: who was relieved of that before stays so.
    pub fn leave_out_relieved(&mut self) {
        let item = self.item_code();
        let of_this = self.case.relieved.iter().filter(|(_, of)| of == item).map(|(org, _)| *org);
        for org in of_this.collect::<Vec<_>>() {
            self.exclude(org);
        }
    }

    /// It is not to lead this case, whatever the item: it declined, gave up, or was relieved.
    pub fn exclude(&mut self, org: OrgId) {
        if !self.case.excluded_orgs.contains(&org) {
            self.case.excluded_orgs.push(org);
        }
    }
}
