DROP TABLE step_backs;
