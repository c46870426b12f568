// The container's health check: exit status 0 when the service beside it says that it is ready, 1 otherwise.
const { PVTRAIL_HTTP_PORT: port = '8080' } = process.env;

const ready = await fetch(`http://127.0.0.1:${port}/health/ready`, { signal: AbortSignal.timeout(4_000) }).then(
  ({ ok }) => ok,
  () => false,
);
process.exitCode = ready ? 0 : 1;
