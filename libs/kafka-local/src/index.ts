export { type LocalBroker, type LocalBrokerOptions, startLocalBroker } from './local-broker.js';
export { skippedWithoutBroker } from './tools.js';
