export { PatcherService } from './patcher.service.js';
