-- One more with every batch of events that a replica begins to take in, also one that comes to nothing: whoever looks from outside
-- sees that something moves, whichever replica does it.
CREATE SEQUENCE inbox_taken;
