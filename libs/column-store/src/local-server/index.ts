export { LocalServer } from './local-server.js';
