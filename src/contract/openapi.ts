import { z } from 'zod';
import { RESERVED } from './envelope.ts';
import { isStreamed, type Operation, pathParameters } from './operation.ts';

type Json = { readonly [key: string]: unknown };
type ObjectSchema = Json & { readonly properties?: { readonly [key: string]: Json }; readonly required?: readonly string[] };

const schemaOf = (type: z.ZodType): ObjectSchema => {
	const { $schema: _, ...schema } = z.toJSONSchema(type, {
		io: 'input',
		unrepresentable: 'any',
		override: ({ jsonSchema }) => {
			if (jsonSchema.minimum === Number.MIN_SAFE_INTEGER) delete jsonSchema.minimum;
			if (jsonSchema.maximum === Number.MAX_SAFE_INTEGER) delete jsonSchema.maximum;
		},
	});
	return schema as ObjectSchema;
};

const ACCESS: Readonly<Record<Operation['access'], string>> = {
	public: 'Anybody.',
	metrics: 'A caller on the loopback interface, or an admin token of scope read.',
	agent: 'The token of the agent’s client, or an admin token.',
	client: 'The token of the client it is about, or an admin token.',
	read: 'An admin token of scope read.',
	operate: 'An admin token of scope operate.',
	admin: 'An admin token of scope admin.',
};

const pick = (schema: ObjectSchema, keep: (key: string) => boolean): ObjectSchema => {
	const properties = Object.fromEntries(Object.entries(schema.properties ?? {}).filter(([key]) => keep(key)));
	const required = (schema.required ?? []).filter(keep);
	return { type: 'object', properties, ...(required.length > 0 ? { required } : {}) };
};

const inputOf = (operation: Operation): Json => {
	const schema = schemaOf(operation.input);
	const inPath = pathParameters(operation.path);
	const rest = pick(schema, (key) => !inPath.includes(key));
	const path = inPath.map((name) => ({ name, in: 'path', required: true, schema: schema.properties?.[name] ?? { type: 'string' } }));
	const key = operation.idempotent ? [{ $ref: '#/components/parameters/IdempotencyKey' }] : [];
	const bare = operation.legacyBare ? [{ $ref: '#/components/parameters/ResponseFormat' }] : [];
	if (operation.method === 'GET' || operation.method === 'DELETE') {
		const query = Object.entries(rest.properties ?? {}).map(([name, each]) => ({
			name,
			in: 'query',
			required: rest.required?.includes(name) ?? false,
			schema: each,
		}));
		const token = isStreamed(operation) ? [{ $ref: '#/components/parameters/QueryToken' }] : [];
		return { parameters: [...path, ...query, ...token, ...key, ...bare] };
	}
	const body =
		Object.keys(rest.properties ?? {}).length === 0
			? {}
			: { requestBody: { required: (rest.required ?? []).length > 0, content: { 'application/json': { schema: rest } } } };
	return { parameters: [...path, ...key, ...bare], ...body };
};

const envelope = (data: Json, copied: ObjectSchema): Json => ({
	type: 'object',
	required: ['status', 'data', 'error', ...(copied.required ?? [])],
	properties: { status: { const: 'success' }, data, error: { type: 'null' }, ...copied.properties },
});

const successOf = (operation: Operation): Json => {
	const payload = schemaOf(operation.output);
	if (isStreamed(operation))
		return { content: { [operation.rendering === 'csv' ? 'text/csv' : 'text/event-stream']: { schema: payload } } };
	if (operation.rendering === 'raw')
		return { content: { [payload['type'] === 'string' ? 'text/plain' : 'application/json']: { schema: payload } } };
	const paged: ObjectSchema = {
		properties: { count: { type: 'integer' }, next_cursor: { type: ['string', 'null'] } },
		required: ['count', 'next_cursor'],
	};
	const list = operation.rendering === 'list';
	const data = list ? { type: 'array', items: payload } : payload;
	const wrapped = list
		? envelope(data, paged)
		: envelope(
				data,
				pick(payload, (key) => !RESERVED.has(key)),
			);
	return { content: { 'application/json': { schema: operation.legacyBare ? { anyOf: [wrapped, data] } : wrapped } } };
};

const securityOf = ({ access }: Operation): readonly Json[] => {
	if (access === 'public') return [];
	return access === 'metrics' ? [{ token: [] }, {}] : [{ token: [] }];
};

const operationObject = (name: string, operation: Operation): Json => ({
	operationId: name,
	'x-operation': operation.id,
	tags: [operation.id.split('.')[0] ?? 'system'],
	summary: operation.summary,
	description: ACCESS[operation.access],
	security: securityOf(operation),
	...inputOf(operation),
	responses: { [operation.status]: { description: 'Done', ...successOf(operation) }, default: { $ref: '#/components/responses/Error' } },
});

const text = { type: 'string' };

const components: Json = {
	securitySchemes: { token: { type: 'http', scheme: 'bearer', description: 'A client token or an admin token' } },
	parameters: {
		IdempotencyKey: {
			name: 'X-Request-ID',
			in: 'header',
			required: false,
			description: 'A repeated call with the same key is answered, not done again',
			schema: { type: 'string', maxLength: 128 },
		},
		QueryToken: {
			name: 'token',
			in: 'query',
			required: false,
			description: 'The token, where no Authorization header can be sent: browsers open event streams and downloads without one',
			schema: { type: 'string' },
		},
		ResponseFormat: { name: 'X-Response-Format', in: 'header', required: false, schema: { type: 'string', enum: ['bare', 'envelope'] } },
	},
	responses: { Error: { description: 'Why not', content: { 'application/json': { schema: { $ref: '#/components/schemas/Error' } } } } },
	schemas: {
		Error: {
			type: 'object',
			required: ['status', 'error', 'code', 'error_code', 'data', 'request_id'],
			properties: {
				status: { const: 'error' },
				error: text,
				code: text,
				error_code: text,
				data: { type: 'null' },
				hint: { ...text, description: 'What to do about it' },
				request_id: text,
				details: {
					type: 'object',
					additionalProperties: { type: 'array', items: text },
					description: 'Messages by field, for VALIDATION_ERROR',
				},
				retry_after_seconds: { type: 'integer' },
			},
		},
	},
};

/** The contract as an OpenAPI 3.1 document; `operations` by the name their handler carries. */
export const openApi = (operations: Readonly<Record<string, Operation>>, version: string): Json => {
	const paths: Record<string, Json> = {};
	for (const [name, operation] of Object.entries(operations)) {
		const method = operation.method.toLowerCase();
		paths[operation.path] = { ...paths[operation.path], [method]: operationObject(name, operation) };
	}
	return {
		openapi: '3.1.0',
		info: { title: 'spotctl', version, description: 'Runs fleets of AWS Spot instances for several clients' },
		paths,
		components,
	};
};
