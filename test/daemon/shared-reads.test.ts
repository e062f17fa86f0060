import { afterEach, describe, expect, it } from 'vitest';
import { type AppWorld, appWorld } from './world.ts';

const open: AppWorld[] = [];
afterEach(async () => {
	for (const { app } of open.splice(0)) await app.close();
});

const world = async (): Promise<AppWorld> => {
	const made = await appWorld();
	open.push(made);
	return made;
};

const page = (name: string) => ({ items: [{ name }], nextCursor: null });
/** The requests of a list of what a client has. */
const asked = (client: string, token: string, more = '') => ({ method: 'GET', url: `/api/client/${client}/agents${more}`, token }) as const;

describe('reads that ask for the same meanwhile', () => {
	it('are one look, and each is answered under its own request id', async () => {
		const { calls, answer, send, metrics } = await world();
		answer('listClientAgents', page('a'));
		const answers = await Promise.all([asked('acme', 'acme'), asked('acme', 'acme'), asked('acme', 'slow')].map(send));
		expect(calls).toHaveLength(1);
		expect(answers.map(({ status }) => status)).toEqual([200, 200, 200]);
		expect(new Set(answers.map(({ text }) => text)).size).toBe(1);
		expect(new Set(answers.map(({ headers }) => headers['x-request-id'])).size).toBe(3);
		await send(asked('acme', 'acme'));
		expect(calls).toHaveLength(2);
		expect(await metrics.render()).toMatch(/agents\.list_client[^}]*} 4/);
	});

	it('are looks of their own where they ask for something else, or have other rights', async () => {
		const { calls, send } = await world();
		const all = [
			asked('acme', 'acme'),
			asked('other', 'other'),
			asked('acme', 'read'),
			asked('acme', 'admin'),
			asked('acme', 'acme', '?limit=3'),
		];
		await Promise.all(all.map(send));
		expect(calls.map(({ input, caller }) => [input['client_id'], input['limit'], caller.principal?.name])).toEqual([
			['acme', expect.anything(), 'acme'],
			['other', expect.anything(), 'other'],
			['acme', expect.anything(), 'read'],
			['acme', expect.anything(), 'admin'],
			['acme', 3, 'acme'],
		]);
		const refused = await Promise.all([asked('other', 'other'), asked('other', 'acme')].map(send));
		expect(refused.map(({ status }) => status)).toEqual([200, 403]);
	});

	it('are written bare for who asks for that, and whole for the others', async () => {
		const { calls, answer, send } = await world();
		answer('listClientAgents', { items: [{ name: 'a' }], nextCursor: 'c1' });
		const bare = { ...asked('acme', 'acme'), headers: { 'x-response-format': 'bare' } };
		const [first, whole, second] = await Promise.all([bare, asked('acme', 'acme'), bare].map(send));
		expect(calls).toHaveLength(1);
		expect(JSON.parse(first?.text ?? '')).toEqual([{ name: 'a' }]);
		expect(second?.text).toBe(first?.text);
		expect([first, whole, second].map((one) => one?.headers['x-next-cursor'])).toEqual(['c1', undefined, 'c1']);
		expect(whole?.body).toMatchObject({ data: [{ name: 'a' }], next_cursor: 'c1' });
	});

	it('fail together', async () => {
		const { answer, send } = await world();
		answer('listClientAgents', new Error('broken'));
		const answers = await Promise.all([asked('acme', 'acme'), asked('acme', 'acme')].map(send));
		expect(answers.map(({ status, body }) => [status, body['code']])).toEqual([
			[500, 'SERVER_ERROR'],
			[500, 'SERVER_ERROR'],
		]);
	});

	it('are never shared where each leaves its own row in the audit', async () => {
		const { calls, send } = await world();
		const reveal = { method: 'GET', url: '/api/admin/clients/acme/token', token: 'admin' } as const;
		await Promise.all([reveal, reveal].map(send));
		expect(calls.map(({ name }) => name)).toEqual(['revealToken', 'revealToken']);
	});
});

describe('a list that is whole by what it is of', () => {
	it('refuses a cursor, since none can be of it, and takes an empty one', async () => {
		const { send } = await world();
		for (const url of ['/api/admin/jobs', '/api/admin/clients/growth', '/api/admin/consolidation-jobs', '/api/client/acme/savings']) {
			const { status, body } = await send({ method: 'GET', url: `${url}?cursor=zzz`, token: 'admin' });
			expect([url, status, body['code']]).toEqual([url, 400, 'INVALID_CURSOR']);
			expect((await send({ method: 'GET', url: `${url}?cursor=`, token: 'admin' })).status).toBe(200);
		}
	});
});
