export { ApiModule } from './api.module.js';
export {
  type PlannedGuest,
  RunCoordinator,
  type RunOutcome,
  type RunPlan,
  type RunProgress,
} from './run-coordinator.js';
