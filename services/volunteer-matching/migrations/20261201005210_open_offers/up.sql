-- What waits for an organisation, among all that it was ever offered.
CREATE INDEX offers_org_open ON offers (org_id, offer_id DESC) WHERE state IN ('offered', 'accepted', 'confirmed');
