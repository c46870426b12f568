export { describeEventLogContract, type LogUnderTest } from './event-log-contract.js';
