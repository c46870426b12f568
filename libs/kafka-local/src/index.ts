export { type LocalBroker, type LocalBrokerOptions, startLocalBroker } from './local-broker.js';
export { missingBrokerTool } from './tools.js';
