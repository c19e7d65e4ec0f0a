DROP TABLE mediation_texts;
DROP TABLE mediations;
