SELECT guest, max(generation) AS generation
FROM removals
WHERE guest IN ('c7eb4c7ad8d212303e7a7de2316ac66b')
GROUP BY guest
