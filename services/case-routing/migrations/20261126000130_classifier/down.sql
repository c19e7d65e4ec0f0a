DROP TABLE suggestions, model_changes, models, model_parts;
