SELECT DISTINCT guest, unit
FROM chunks
WHERE (guest, unit) NOT IN (SELECT guest, unit FROM units)
