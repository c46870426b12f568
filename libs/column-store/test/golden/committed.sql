SELECT
  count() AS units,
  max(firstChunk + chunks) AS nextChunk,
  max(last) AS complete
FROM units
WHERE guest = 'c7eb4c7ad8d212303e7a7de2316ac66b'
