DROP TABLE case_number_blocks, access_log, client_refs, case_texts, offers, routing_decisions, timeline, retention,
    agenda, tasks, case_words, cases;
