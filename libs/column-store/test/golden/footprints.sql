WITH
  totals AS (
    SELECT
      guest,
      sumIf(instructions, mode = 'kernel') AS kernelInstructions,
      sumIf(instructions, mode = 'user') AS userInstructions,
      sumIf(newTextBytes, mode = 'kernel') AS kernelTextBytes,
      sumIf(dataReads + dataWrites, mode = 'kernel') AS dataReferences,
      sumIf(unit_totals.repReferences, mode = 'kernel') AS kernelRepReferences
    FROM unit_totals
    WHERE guest IN (SELECT guest FROM guests WHERE run = '9474c8d9a2e3d71d058361390b771e68')
    GROUP BY guest
  ),
  executedFunctions AS (
    SELECT guest, uniqExactIf(function, mode = 'kernel' AND instructions > 0 AND function != '') AS functions
    FROM function_statistics
    WHERE guest IN (SELECT guest FROM guests WHERE run = '9474c8d9a2e3d71d058361390b771e68')
    GROUP BY guest
  ),
  executedSites AS (
    SELECT guest, uniqExactIf(address, executions > 0) AS sites
    FROM site_statistics
    WHERE guest IN (SELECT guest FROM guests WHERE run = '9474c8d9a2e3d71d058361390b771e68')
    GROUP BY guest
  ),
  executedOps AS (
    SELECT guest, sumMap(map(toString(op), executions)) AS executions
    FROM op_statistics
    WHERE guest IN (SELECT guest FROM guests WHERE run = '9474c8d9a2e3d71d058361390b771e68')
    GROUP BY guest
  )
SELECT
  guests.guest AS guest,
  guests.type AS type,
  guests.bits AS bits,
  guests.stage AS stage,
  guests.workload AS workload,
  guests.footprint AS footprint,
  totals.kernelInstructions AS kernelInstructions,
  totals.userInstructions AS userInstructions,
  totals.kernelTextBytes AS kernelTextBytes,
  totals.dataReferences AS dataReferences,
  totals.kernelRepReferences AS repReferences,
  executedFunctions.functions AS functions,
  executedSites.sites AS sites,
  executedOps.executions AS executions
FROM guests
INNER JOIN totals ON totals.guest = guests.guest
LEFT JOIN executedFunctions ON executedFunctions.guest = guests.guest
LEFT JOIN executedSites ON executedSites.guest = guests.guest
LEFT JOIN executedOps ON executedOps.guest = guests.guest
WHERE guests.run = '9474c8d9a2e3d71d058361390b771e68'
  AND guests.state = 'finished'
ORDER BY guests.fleetIndex
