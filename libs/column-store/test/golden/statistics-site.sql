SELECT
  guests.type AS type,
  guests.bits AS bits,
  guests.stage AS stage,
  guests.workload AS workload,
  statistics.address AS address,
  statistics.function AS function,
  statistics.op AS op,
  sum(statistics.executions) AS executions,
  sum(statistics.instructions) AS instructions,
  sum(statistics.nops) AS nops,
  sum(statistics.saves) AS saves,
  sum(statistics.restores) AS restores,
  sum(statistics.thunkEntries) AS thunkEntries
FROM site_statistics AS statistics
INNER JOIN guests ON guests.guest = statistics.guest
WHERE guests.run IN ('9474c8d9a2e3d71d058361390b771e68')
  AND guests.state = 'finished'
GROUP BY type, bits, stage, workload, address, function, op
ORDER BY type, bits, stage, workload, address, function, op
