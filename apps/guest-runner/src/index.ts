export { GuestRunnerModule } from './guest-runner.module.js';
export { GuestRunnerService } from './guest-runner.service.js';
