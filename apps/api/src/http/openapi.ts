import { ERROR_CODES, type ErrorCode } from '@pvtrail/primitives';
import { z } from 'zod';
import { OPERATIONS, type Operation } from './operations.js';
import { problem } from './schemas.js';

/** What any operation may answer. */
const COMMON_ERRORS: readonly ErrorCode[] = [
  'access/unauthorized',
  'access/too-many-requests',
  'log/unavailable',
  'store/unavailable',
];

const jsonSchema = (schema: z.ZodType, io: 'input' | 'output') => {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io, unrepresentable: 'any' });
  return rest;
};

const parametersOf = (schema: z.ZodType | undefined, place: 'path' | 'query') => {
  if (schema === undefined) return [];
  const { properties = {}, required = [] } = jsonSchema(schema, 'input') as {
    properties?: Record<string, { description?: string }>;
    required?: string[];
  };
  return Object.entries(properties).map(([name, { description, ...rest }]) => ({
    name,
    in: place,
    required: required.includes(name),
    ...(description === undefined ? {} : { description }),
    schema: rest,
  }));
};

const responsesOf = ({ status, response, stream, errors }: Operation) => {
  const content = {
    'application/json': { schema: jsonSchema(response, 'output') },
    ...(stream === undefined ? {} : { 'text/event-stream': { schema: { type: 'string', description: stream } } }),
  };
  const byStatus = Map.groupBy([...errors, ...COMMON_ERRORS], (code) => ERROR_CODES[code].status);
  const problems = [...byStatus].map(([code, codes]) => [
    String(code),
    {
      description: codes.join(', '),
      content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
    },
  ]);
  return { [status]: { description: status === 202 ? 'Accepted' : 'OK', content }, ...Object.fromEntries(problems) };
};

const describe = (operationId: string, operation: Operation) => ({
  operationId,
  summary: operation.summary,
  parameters: [...parametersOf(operation.params, 'path'), ...parametersOf(operation.query, 'query')],
  ...(operation.body === undefined
    ? {}
    : {
        requestBody: {
          required: true,
          content: { 'application/json': { schema: jsonSchema(operation.body, 'input') } },
        },
      }),
  responses: responsesOf(operation),
});

/** The OpenAPI 3.1 document of the API, from the schemas that it checks against. */
export const openApiDocument = () => {
  const paths: Record<string, Record<string, unknown>> = {};
  for (const [id, operation] of Object.entries(OPERATIONS)) {
    paths[operation.path] = { ...paths[operation.path], [operation.method]: describe(id, operation) };
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'pvtrail',
      version: '1',
      description: 'Runs of emulated x86 guests, what the patcher did to them, and what it saved.',
    },
    security: [{ token: [] }],
    paths,
    components: {
      securitySchemes: {
        token: { type: 'http', scheme: 'bearer', description: 'demanded when a token is configured' },
      },
      schemas: { Problem: jsonSchema(problem, 'output') },
    },
  };
};
