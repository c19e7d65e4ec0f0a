UPDATE duties SET due_at = NULL WHERE kind = 'admission' AND state IN ('applied', 'assessed');
