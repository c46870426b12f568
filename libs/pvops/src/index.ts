export type * from './kernel-catalogue.js';
