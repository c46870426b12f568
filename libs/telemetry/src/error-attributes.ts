import type { Attributes } from '@opentelemetry/api';
import { AppError } from '@pvtrail/primitives';
import { MESSAGING } from './names.js';

/** `error.type` of the semantic conventions: the code of an expected failure, else the class. */
export const errorAttributes = (error: unknown): Attributes => ({
  [MESSAGING.errorType]: error instanceof AppError ? error.code : error instanceof Error ? error.name : 'unknown',
});
