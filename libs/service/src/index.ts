export { configurationFrom, type ServiceConfiguration, VARIABLES } from './environment.js';
export { runService, type ServiceDefinition, type ServiceParts } from './run-service.js';
