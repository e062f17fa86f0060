import { describe, expect, it } from 'vitest';
import type { Input } from '../../src/contract/index.ts';
import { iso } from '../../src/contract/index.ts';
import { describeEachDatabase } from '../helpers/databases.ts';
import { shareWorld } from '../helpers/shared-world.ts';
import type { Actor, ClientActor } from '../helpers/world.ts';
import { makeAgent, orderSwitch } from './agent-scene.ts';
import { imminent, pollingAgent } from './replica-scene.ts';

const MINUTE = 60_000;

describeEachDatabase('notifications', ({ freshUrl }) => {
	const world = shareWorld(freshUrl);

	const list = async (actor: Pick<Actor, 'call'>, filter: Input<'listNotifications'> = {}) => {
		const { status, body } = await actor.call('listNotifications', filter);
		expect(status).toBe(200);
		return body.data as unknown as Awaited<ReturnType<typeof listType>>;
	};
	const listType = async () => (await world.admin.call('listNotifications', {})).body.items as never as Row[];
	type Row = {
		id: string;
		title: string;
		message: string;
		severity: string;
		isRead: boolean;
		time: string;
		type: string;
		clientId: string;
		agentId: string | null;
		count: number;
	};
	const types = async (client: ClientActor, filter: Input<'listNotifications'> = {}) =>
		(await list(client, { limit: 100, ...filter })).map(({ type }) => type);

	/** A client with as many notifications of its own, a second apart, the newest last. */
	const told = async (count: number, more: Partial<{ severity: 'info' | 'critical'; is_read: 0 | 1 }> = {}) => {
		const client = await world.client();
		const start = world.now();
		const { severity = 'info', is_read = 0 } = more;
		const rows = Array.from({ length: count }, (_, at) => ({
			id: `${client.id}-${String(at).padStart(5, '0')}`,
			client_id: client.id,
			agent_id: null,
			type: 'told',
			title: 'Told',
			message: `number ${at}`,
			severity,
			is_read,
			count: 1,
			created_at: start + at * 1000,
			last_at: start + at * 1000,
		}));
		for (let from = 0; from < rows.length; from += 500)
			await world.store.transact((tx) =>
				tx
					.insertInto('notification')
					.values(rows.slice(from, from + 500))
					.execute(),
			);
		return client;
	};

	describe('are listed', () => {
		it('with the fields that the header and the panel of the dashboard read, those told last first', async () => {
			const { client, id } = await makeAgent(world);
			const [first, second] = await list(client);
			expect(first).toEqual({
				id: expect.any(String),
				message: expect.stringContaining('New agent registered'),
				severity: 'info',
				isRead: false,
				time: iso(world.now()),
				title: 'New agent',
				type: 'agent_registered',
				clientId: client.id,
				agentId: id,
				count: 1,
				createdAt: iso(world.now()),
			});
			expect(second?.type).toBe('client_created');
		});

		it('ten of them unless a limit says otherwise, a thousand at most, and 400 for a limit that is no number (D-43)', async () => {
			const client = await told(120);
			expect(await list(client)).toHaveLength(10);
			expect(await list(client, { limit: 1000 })).toHaveLength(121);
			for (const limit of ['1001', '0', '-1', 'ten', '1.5', '']) {
				const { status, body } = await client.call('listNotifications', { limit: limit as never });
				expect([limit, status, body.code]).toEqual([limit, 400, 'VALIDATION_ERROR']);
			}
		});

		it('page by page, each once, although one of them is told again meanwhile', async () => {
			const client = await told(25);
			const seen: string[] = [];
			let cursor: string | undefined;
			do {
				const { body } = await client.call('listNotifications', cursor === undefined ? { limit: 7 } : { limit: 7, cursor });
				const page = body as unknown as { data: Row[]; next_cursor: string | null };
				seen.push(...page.data.map(({ id }) => id));
				if (cursor === undefined)
					await world.store.transact((tx) =>
						tx
							.updateTable('notification')
							.set({ last_at: world.now() + 3_600_000 })
							.where('id', '=', `${client.id}-00024`)
							.execute(),
					);
				cursor = page.next_cursor ?? undefined;
			} while (cursor !== undefined);
			expect(seen).toHaveLength(26);
			expect(new Set(seen).size).toBe(26);
		});

		it('and refuse a cursor that is none of theirs', async () => {
			const client = await told(1);
			for (const cursor of ['x', 'MQ', Buffer.from('a.b').toString('base64url'), `${'A'.repeat(500)}`]) {
				const { status, body } = await client.call('listNotifications', { cursor });
				expect([status, body.code]).toEqual([400, 'INVALID_CURSOR']);
			}
		});

		it('by severity, type, agent, what is unread, and since when', async () => {
			const { client, id } = await makeAgent(world);
			await world.advance(MINUTE);
			const since = iso(world.now());
			await imminent(world, { client }, id);
			expect(await types(client, { severity: 'critical' })).toContain('termination_notice');
			expect(await types(client, { severity: 'error' })).toEqual([]);
			expect(await types(client, { type: 'agent_registered' })).toEqual(['agent_registered']);
			expect(await types(client, { agent_id: id })).not.toContain('client_created');
			expect(await types(client, { since })).not.toContain('agent_registered');
			const [newest] = await list(client);
			await client.call('readNotification', { notif_id: newest?.id ?? '' });
			expect((await list(client, { unread: true })).map((row) => row.id)).not.toContain(newest?.id);
			expect((await list(client, { unread: false })).map((row) => row.id)).toEqual([newest?.id]);
			const { status } = await client.call('listNotifications', { severity: 'loud' as never });
			expect(status).toBe(400);
		});

		it('to a client only its own, whatever it asks for, and to an admin those of all or of one', async () => {
			const { client, id } = await makeAgent(world);
			const other = await told(3);
			expect(new Set((await list(other, { limit: 100 })).map(({ clientId }) => clientId))).toEqual(new Set([other.id]));
			expect((await other.call('listNotifications', { client_id: client.id })).status).toBe(403);
			expect((await other.call('listNotifications', { agent_id: id })).status).toBe(404);
			expect(new Set((await list(world.admin, { limit: 100, client_id: client.id })).map(({ clientId }) => clientId))).toEqual(
				new Set([client.id]),
			);
			expect(new Set((await list(world.admin, { limit: 100 })).map(({ clientId }) => clientId)).size).toBeGreaterThan(1);
		});

		it('by one statement, however many there are', async () => {
			const client = await told(60);
			await list(client);
			expect(await world.statements(() => list(client, { limit: 50 }))).toHaveLength(1);
			expect(await world.statements(() => list(world.admin, { limit: 50, severity: 'info', unread: true }))).toHaveLength(1);
		});
	});

	describe('are marked as read', () => {
		it('once, and a repeat, an id that nobody has and one of another client change nothing: of the last two, none is found', async () => {
			const [client, other] = [await told(1), await told(1)];
			const id = `${client.id}-00000`;
			const mark = async (actor: Actor, notif_id: string) => {
				const { status, body } = await actor.call('readNotification', { notif_id });
				return [status, body.success, body.marked_count, body.found];
			};
			expect(await mark(other, id)).toEqual([200, true, 0, false]);
			expect(await list(client, { unread: true, type: 'told' })).toHaveLength(1);
			expect(await mark(client, id)).toEqual([200, true, 1, true]);
			expect(await mark(client, id)).toEqual([200, true, 0, true]);
			for (const hostile of ['nobody', "'; drop table notification; --", '%', '../..', 'x'.repeat(900)])
				expect(await mark(client, hostile)).toEqual([200, true, 0, false]);
			expect(await mark(world.admin, `${other.id}-00000`)).toEqual([200, true, 1, true]);
		});

		it('all of a client by its token, a thousand at a time, and of nobody else', async () => {
			const [client, other] = [await told(2300), await told(2)];
			await world.advance(2 * 3_600_000, 30 * MINUTE);
			const { status, body } = await client.call('readAllNotifications', {});
			expect([status, body.success, body.marked_count]).toEqual([200, true, 2301]);
			expect((await client.call('readAllNotifications', { client_id: null })).body.marked_count).toBe(0);
			expect((await client.call('readAllNotifications', { client_id: other.id })).status).toBe(403);
			expect(await list(other, { unread: true })).toHaveLength(3);
			expect((await world.admin.call('readAllNotifications', { client_id: other.id })).body.marked_count).toBe(3);
			const rest = (await world.admin.call('readAllNotifications', {})).body.marked_count;
			expect(rest).toBeGreaterThan(0);
			expect(await list(world.admin, { unread: true })).toEqual([]);
		});

		it('and are unread again when it happens again, with the count raised, for ten minutes; then it is told anew', async () => {
			const { client, id, instanceId } = await makeAgent(world);
			const fail = async () => {
				const command = await orderSwitch(client, instanceId, id);
				expect((await client.ack(id, command, false)).status).toBe(200);
			};
			const failures = () => list(client, { type: 'switch_failed' });
			await fail();
			const [first] = await failures();
			expect(first).toMatchObject({ severity: 'error', count: 1, isRead: false });
			await client.call('readNotification', { notif_id: first?.id ?? '' });
			// Of one type there are several titles: the one that is shown goes with the message that is.
			await world.store.transact((tx) =>
				tx
					.updateTable('notification')
					.set({ title: 'Another' })
					.where('id', '=', first?.id ?? '')
					.execute(),
			);
			await world.advance(9 * MINUTE, MINUTE);
			await client.heartbeat(id);
			await fail();
			const title = first?.title;
			expect(await failures()).toMatchObject([{ id: first?.id, count: 2, isRead: false, title, time: iso(world.now()) }]);
			await world.advance(11 * MINUTE, MINUTE);
			await fail();
			expect((await failures()).map(({ count }) => count)).toEqual([1, 2]);
		});
	});

	describe('are made of', () => {
		it('an emergency, and that it needs a person', async () => {
			const agent = await pollingAgent(world);
			await imminent(world, agent, agent.id);
			expect(await types(agent.client, { severity: 'critical' })).toContain('termination_notice');
			await world.advance(30 * MINUTE, MINUTE);
			expect(await types(agent.client, { severity: 'critical' })).toContain('failover_needs_person');
		});

		it('a machine that could not be terminated', async () => {
			const { client, id, instanceId } = await makeAgent(world);
			await client.terminated(id, instanceId, false);
			const command = await orderSwitch(client, instanceId, id);
			await client.report(id, `i-new-${id.slice(-8)}`);
			expect(command).not.toBe('');
			const fresh = (await world.admin.agent(id)).body.hosts.find((host) => host.role === 'zombie');
			expect(fresh?.instanceId).toBe(instanceId);
			await client.terminated(id, instanceId, false);
			const [row] = await list(client, { type: 'instance_termination_failed' });
			expect(row).toMatchObject({ severity: 'error', agentId: id });
		});

		it('one thing once, although two daemons run the same jobs (D-23)', async () => {
			const { client, id } = await makeAgent(world);
			await client.heartbeat(id);
			await world.addDaemon();
			await world.advance(200_000, 4000);
			const offline = await list(client, { type: 'agent_offline', agent_id: id });
			expect(offline.map(({ count }) => count)).toEqual([1]);
		}, 60_000);
	});
});

describeEachDatabase('activity', ({ freshUrl }) => {
	const world = shareWorld(freshUrl);
	type Row = {
		id: number;
		type: string;
		eventType: string;
		severity: string;
		clientId: string | null;
		clientName: string | null;
		time: string;
	};
	const activity = async (filter: Input<'listActivity'> = {}) => {
		const { status, body } = await world.admin.call('listActivity', filter);
		expect(status).toBe(200);
		return body as unknown as { data: Row[]; next_cursor: string | null };
	};

	it('has the names of the original and of v5, the same ids each time, and every severity (D-50)', async () => {
		const { client, id, instanceId } = await makeAgent(world);
		const command = await orderSwitch(client, instanceId, id);
		await client.ack(id, command, false);
		const { data } = await activity({ client_id: client.id });
		expect(data.map(({ type, eventType, severity }) => [type, eventType, severity])).toEqual(
			expect.arrayContaining([
				['event', 'command_failed', 'error'],
				['switch', 'manual_switch_requested', 'info'],
				['agent', 'agent_registered', 'info'],
				['event', 'client_created', 'info'],
			]),
		);
		const [newest] = data;
		expect(newest).toEqual({
			id: expect.any(Number),
			type: 'event',
			text: expect.any(String),
			time: iso(world.now()),
			severity: 'error',
			message: expect.any(String),
			timestamp: iso(world.now()),
			clientId: client.id,
			clientName: client.name,
			eventType: 'command_failed',
			agentId: id,
			instanceId,
		});
		expect((await activity({ client_id: client.id })).data.map((row) => row.id)).toEqual(data.map((row) => row.id));
	});

	it('by client, agent, kind, exact type, severity and time, page by page', async () => {
		const { client, id, instanceId } = await makeAgent(world);
		await world.advance(MINUTE, 30_000);
		const since = iso(world.now());
		const command = await orderSwitch(client, instanceId, id);
		await client.ack(id, command, false);
		const names = async (filter: Input<'listActivity'>) =>
			(await activity({ agent_id: id, ...filter })).data.map(({ eventType }) => eventType);
		expect(await names({ type: 'switch' })).toEqual(['manual_switch_requested']);
		expect(await names({ type: 'agent' })).toEqual(['agent_registered']);
		expect(await names({ type: 'event' })).not.toContain('agent_registered');
		expect(await names({ type: 'command_failed' })).toEqual(['command_failed']);
		expect(await names({ severity: 'error' })).toEqual(['command_failed']);
		expect(await names({ since })).not.toContain('agent_registered');
		expect(await names({ since })).toContain('command_failed');
		const whole = (await activity({ limit: 1000 })).data.map((row) => row.id);
		const parts: number[] = [];
		for (let cursor: string | undefined; ; ) {
			const page = await activity(cursor === undefined ? { limit: 3 } : { limit: 3, cursor });
			parts.push(...page.data.map((row) => row.id));
			if (page.next_cursor === null) break;
			cursor = page.next_cursor;
		}
		expect(parts).toEqual(whole);
		expect(whole).toEqual([...whole].sort((a, b) => b - a));
	});

	it('leaves out the events of the stream that repeat notifications, unless one asks for them', async () => {
		await world.store.transact((tx) =>
			tx
				.insertInto('event')
				.values({
					type: 'notification_created',
					severity: 'info',
					client_id: null,
					agent_id: null,
					instance_id: null,
					message: 'echo',
					metadata: null,
					request_id: null,
					created_at: world.now(),
				})
				.execute(),
		);
		expect((await activity()).data.map(({ eventType }) => eventType)).not.toContain('notification_created');
		expect((await activity({ type: 'notification_created' })).data).toHaveLength(1);
	});

	it('takes two statements, and refuses what it cannot read', async () => {
		await activity();
		expect(await world.statements(() => activity({ limit: 100, type: 'switch' }))).toHaveLength(2);
		for (const bad of [{ limit: 'x' }, { limit: '0' }, { severity: 'loud' }, { since: 'yesterday' }])
			expect((await world.admin.call('listActivity', bad as never)).status).toBe(400);
		expect((await world.admin.call('listActivity', { cursor: Buffer.from('1e9').toString('base64url') })).body.code).toBe('INVALID_CURSOR');
		const client = await world.client();
		expect((await client.call('listActivity', {})).status).toBe(403);
	});
});
