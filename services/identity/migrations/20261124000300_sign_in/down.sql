DROP TABLE signing_keys, refresh_tokens, sessions, sign_in_failures, accounts;
