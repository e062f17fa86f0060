import { afterAll, beforeAll, expect, it } from 'vitest';
import type { StreamEvent } from '../../src/contract/sse.ts';
import { startDaemon, stopDaemons, type TestDaemon } from '../helpers/daemon.ts';
import { describeEachDatabase } from '../helpers/databases.ts';

describeEachDatabase('events and files over HTTP', ({ kind, freshUrl }) => {
	let test: TestDaemon;
	let url: string;
	let client: { id: string; token: string };

	beforeAll(async () => {
		url = await freshUrl();
		test = await startDaemon(url);
		client = (await test.api.createClient({ name: 'acme' })).client;
	});

	afterAll(() => stopDaemons());

	const first = async (events: AsyncIterable<StreamEvent>, count: number): Promise<StreamEvent[]> => {
		const found: StreamEvent[] = [];
		for await (const event of events) {
			found.push(event);
			if (found.length === count) break;
		}
		return found;
	};

	it('reach whoever has the token, by header or query, from the begin of the log', async () => {
		const api = test.apiAs(client.token);
		const events = await first(await api.streamEvents({ last_event_id: '0' }), 3);
		expect(events.map(({ event }) => event)).toEqual(['connected', 'client_created', 'notification']);
		const response = await fetch(`${test.url}/api/events/stream?token=${client.token}`, {
			headers: { 'last-event-id': String(events[1]?.id) },
		});
		expect([response.status, response.headers.get('content-type')]).toEqual([200, 'text/event-stream; charset=utf-8']);
		const reader = response.body?.getReader();
		let text = '';
		while (!text.includes('event: notification')) text += new TextDecoder().decode((await reader?.read())?.value);
		expect(text).not.toContain('event: client_created');
		await reader?.cancel();
		expect((await test.send({ path: '/api/events/stream' })).status).toBe(401);
		expect((await test.send({ path: `/api/events/stream?client_id=other`, token: client.token })).status).toBe(403);
		expect(test.log()).not.toContain(client.token);
	});

	it('end within a second of the revoking of their token, on a daemon that was not asked to, and no other stream does', async () => {
		// Two daemons may not share a file.
		const other = kind === 'mariadb' ? await startDaemon(url) : test;
		const leaving = new AbortController();
		const made = await test.api.createToken({ client_id: client.id, name: 'stolen' });
		const admin = await test.api.createAdminToken({ name: 'gone', scope: 'read' });
		const listen = async (token: string) => {
			const heard: StreamEvent[] = [];
			const ended = (async () => {
				for await (const event of await other.apiAs(token).streamEvents({}, leaving.signal)) heard.push(event);
			})().catch(() => undefined);
			await expect.poll(() => heard.length).toBe(1);
			return { heard, ended };
		};
		const [kept, stolen, byAdmin] = [await listen(client.token), await listen(made.token), await listen(admin.token)];
		const from = performance.now();
		await test.api.revokeToken({ client_id: client.id, token_id: made.token_id });
		await stolen.ended;
		await test.api.revokeAdminToken({ token_id: 'gone' });
		await byAdmin.ended;
		expect(performance.now() - from).toBeLessThan(2000);
		for (const { heard } of [stolen, byAdmin]) expect(heard.at(-1)).toMatchObject({ event: 'closing', data: { reason: 'INVALID_TOKEN' } });
		expect(kept.heard.map(({ event }) => event)).not.toContain('closing');
		leaving.abort();
		await kept.ended;
		if (other !== test) await other.stop();
	});

	it('are not sent of types or kinds that nobody knows', async () => {
		const { status, body } = await test.send({ path: '/api/events/stream?types=switch,nonsense', token: client.token });
		expect([status, body['code'], body['error']]).toEqual([
			400,
			'VALIDATION_ERROR',
			expect.stringMatching(/nonsense.*agent, instance, switch.*switch_completed/),
		]);
		const [connected] = await first(await test.apiAs(client.token).streamEvents({ types: 'switch, agent_registered' }), 1);
		expect(connected?.event).toBe('connected');
	});

	it('are files: switches of a client and the figures of all', async () => {
		const switches = await test.send({ path: `/api/client/${client.id}/export/switch-history`, token: client.token });
		expect([switches.status, switches.text, switches.headers['content-disposition']]).toEqual([
			200,
			'Timestamp,Old Instance ID,New Instance ID,From Mode,To Mode,From Pool,To Pool,Trigger,Price ($),Savings Impact ($/hr)\r\n',
			`attachment; filename=client_${client.id}_switch_history.csv`,
		]);
		const named = await test.api.createClient({ name: '=cmd()' });
		const stats = await test.send({ path: '/api/admin/export/global-stats', token: test.admin });
		const [head, ...lines] = stats.text.trimEnd().split('\r\n');
		expect(head).toBe('Client ID,Name,Email,Total Savings ($),Active Instances,Active Agents,Created At');
		expect(lines.map((line) => line.split(',').slice(0, 6).join(',')).sort()).toEqual(
			[`${client.id},acme,,0.00,0,0`, `${named.client.id},'=cmd(),,0.00,0,0`].sort(),
		);
		expect((await test.send({ path: '/api/client/nobody/export/switch-history', token: test.admin })).status).toBe(404);
		expect((await test.send({ path: '/api/admin/export/global-stats', token: client.token })).status).toBe(403);
	});

	it('end with a last event when the daemon stops, which waits for nobody who listens', async () => {
		const heard: StreamEvent[] = [];
		const listening = (async () => {
			for await (const event of await test.apiAs(client.token).streamEvents({})) heard.push(event);
		})();
		await expect.poll(() => heard.length).toBe(1);
		await test.stop();
		await listening;
		expect(heard.at(-1)).toMatchObject({ event: 'closing', data: { reason: 'STOPPING' } });
	});
});
