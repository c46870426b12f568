SELECT
  guests.type AS type,
  guests.bits AS bits,
  guests.stage AS stage,
  guests.workload AS workload,
  statistics.op AS op,
  sum(statistics.executions) AS executions,
  sum(statistics.siteInstructions) AS siteInstructions,
  sum(statistics.siteNops) AS siteNops,
  sum(statistics.siteSaves) AS siteSaves,
  sum(statistics.siteRestores) AS siteRestores,
  sum(statistics.thunkEntries) AS thunkEntries,
  sum(statistics.thunkInstructions) AS thunkInstructions,
  sum(statistics.thunkSaves) AS thunkSaves,
  sum(statistics.thunkRestores) AS thunkRestores
FROM op_statistics AS statistics
INNER JOIN guests ON guests.guest = statistics.guest
WHERE guests.run IN ('9474c8d9a2e3d71d058361390b771e68')
  AND guests.state = 'finished'
GROUP BY type, bits, stage, workload, op
ORDER BY type, bits, stage, workload, op
