SELECT
  (SELECT (count(), argMax((firstChunk + chunks, last), unit)) FROM units WHERE guest = 'c7eb4c7ad8d212303e7a7de2316ac66b') AS committed,
  (SELECT max(generation) FROM removals WHERE guest = 'c7eb4c7ad8d212303e7a7de2316ac66b') AS generation,
  (SELECT count() FROM chunks WHERE guest = 'c7eb4c7ad8d212303e7a7de2316ac66b' AND unit NOT IN (SELECT unit FROM units WHERE guest = 'c7eb4c7ad8d212303e7a7de2316ac66b')) AS chunks,
  (SELECT count() FROM cause_statistics WHERE guest = 'c7eb4c7ad8d212303e7a7de2316ac66b' AND unit NOT IN (SELECT unit FROM units WHERE guest = 'c7eb4c7ad8d212303e7a7de2316ac66b')) AS cause_statistics
