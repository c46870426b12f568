export { AnalyticsService } from './analytics.service.js';
