DROP TABLE case_remarks;
