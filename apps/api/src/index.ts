export { ApiModule } from './api.module.js';
export { configureHttp, HttpModule } from './http/http.module.js';
export { RunCoordinator, type RunPlan } from './run-coordinator.js';
export type { RunStatus } from './run-projection.js';
