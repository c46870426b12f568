SELECT DISTINCT unit
FROM chunks
WHERE guest = 'c7eb4c7ad8d212303e7a7de2316ac66b'
  AND unit >= 3
