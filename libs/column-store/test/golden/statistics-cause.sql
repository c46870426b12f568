SELECT
  guests.type AS type,
  guests.bits AS bits,
  guests.stage AS stage,
  guests.workload AS workload,
  statistics.cause AS cause,
  sum(statistics.saves) AS saves,
  sum(statistics.restores) AS restores
FROM cause_statistics AS statistics
INNER JOIN guests ON guests.guest = statistics.guest
WHERE guests.run IN ('9474c8d9a2e3d71d058361390b771e68')
  AND guests.state = 'finished'
GROUP BY type, bits, stage, workload, cause
ORDER BY type, bits, stage, workload, cause
