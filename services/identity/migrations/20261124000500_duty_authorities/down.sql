DROP TABLE duty_authorities;
