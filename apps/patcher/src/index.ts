export { PatcherModule } from './patcher.module.js';
export { PatcherService } from './patcher.service.js';
