import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { operations } from '../../src/contract/index.ts';
import { openApi } from '../../src/contract/openapi.ts';
import type { Operation } from '../../src/contract/operation.ts';

const file = fileURLToPath(new URL('../../docs/openapi.json', import.meta.url));
const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string };

// biome-ignore lint/suspicious/noExplicitAny: a document is walked here as its readers do
type Document = any;
const document: Document = openApi(operations, version);

describe('the OpenAPI document', () => {
	it('is the committed docs/openapi.json', async () => {
		await expect(
			`${JSON.stringify(document, null, '\t')}\n`,
			'the contract changed; write the document anew and commit it: npx vitest run test/daemon/openapi.test.ts -u',
		).toMatchFileSnapshot(file);
	});

	it('has every operation once, with its access and its name', () => {
		const listed = Object.entries<Record<string, Document>>(document.paths).flatMap(([path, methods]) =>
			Object.entries(methods).map(([method, { operationId }]) => `${operationId} ${method.toUpperCase()} ${path}`),
		);
		const declared = Object.entries(operations).map(([name, { method, path }]) => `${name} ${method} ${path}`);
		expect(listed.sort()).toEqual(declared.sort());
	});

	it('splits the input into path, query and body', () => {
		const heartbeat = document.paths['/api/agents/{agent_id}/heartbeat'].post;
		expect(heartbeat.parameters).toEqual([{ name: 'agent_id', in: 'path', required: true, schema: { type: 'string' } }]);
		expect(Object.keys(heartbeat.requestBody.content['application/json'].schema.properties)).toEqual([
			'status',
			'instance_id',
			'config_version',
		]);
		const list = document.paths['/api/admin/agents'].get;
		expect(list.parameters.map(({ name, in: place }: Document) => `${place} ${name}`)).toContain('query limit');
		expect(list.requestBody).toBeUndefined();
	});

	it('describes answers as they are rendered', () => {
		const answer = (path: string, method: string, status = 200) =>
			document.paths[path][method].responses[status].content['application/json'].schema;
		const created = answer('/api/admin/clients/create', 'post', 201);
		expect(created.required).toEqual(['status', 'data', 'error', 'success', 'client']);
		const commands = answer('/api/client/commands', 'get');
		expect(commands.properties.data.type).toBe('array');
		expect(commands.required).toEqual(['status', 'data', 'error', 'count', 'next_cursor']);
		expect(answer('/health', 'get').properties.status.enum).toEqual(['healthy', 'unhealthy']);
		expect(answer('/api/client/{client_id}', 'get').anyOf[0].properties.status).toEqual({ const: 'success' });
	});

	it('asks for a token everywhere but on public operations', () => {
		for (const [name, operation] of Object.entries(operations) as [string, Operation][]) {
			const { security } = document.paths[operation.path][operation.method.toLowerCase()];
			expect(security.length > 0, name).toBe(operation.access !== 'public');
		}
	});

	it('refers to nothing that is not there', () => {
		const references = [...JSON.stringify(document).matchAll(/"\$ref":"#\/([^"]+)"/g)].map((match) => match[1] ?? '');
		for (const reference of references) {
			expect(
				reference.split('/').reduce((at: Document, key) => at?.[key], document),
				reference,
			).toBeDefined();
		}
	});
});
