-- Whether the unit was seen to come under another parent: what happened there before stands under the former one. A new name or code
-- does not count. Replicas of builds before leave it as it is; of a merger the successors tell the same.
ALTER TABLE topology_units ADD COLUMN moved boolean NOT NULL DEFAULT false;
