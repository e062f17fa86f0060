import { createHmac } from 'node:crypto';
import { afterEach, describe, expect, it } from 'vitest';
import type { Input } from '../../src/contract/index.ts';
import { addressGuard, type PostWebhook, type WebhookRequest, webhookAddress } from '../../src/core/webhook-post.ts';
import { MOST_ATTEMPTS, waitAfter } from '../../src/core/webhook-sender.ts';
import { describeEachDatabase } from '../helpers/databases.ts';
import { openWorld, type World, type WorldOptions } from '../helpers/world.ts';
import { makeAgent, orderSwitch } from './agent-scene.ts';

const SECOND = 1_000;
const MINUTE = 60 * SECOND;

type Got = WebhookRequest & { readonly id: string; readonly type: string };

/** A receiver without a network: answers what `answer` says for an address, and remembers what it got. */
const receiver = (answer: (url: string, nth: number) => Promise<number> | number = () => 200) => {
	const got: Got[] = [];
	const post: PostWebhook = async (request) => {
		const body = JSON.parse(request.body) as { id: string; notification: { type: string } };
		got.push({ ...request, id: body.id, type: body.notification.type });
		return { status: await answer(request.url, got.length), text: 'noted' };
	};
	return { got, post };
};

describeEachDatabase('webhooks', ({ freshUrl }) => {
	let world: World;
	afterEach(() => world.close());

	const open = async (postWebhook: PostWebhook, options: WorldOptions = {}): Promise<World> => {
		world = await openWorld(await freshUrl(), { direct: true, postWebhook, ...options });
		return world;
	};
	const create = async (input: Partial<Input<'createWebhook'>> = {}) => {
		const { status, body } = await world.admin.call('createWebhook', { url: 'http://hooks.test/a', ...input });
		expect(status).toBe(201);
		return { id: body.webhook.id, secret: body.secret ?? '' };
	};
	const rows = () => world.store.read.selectFrom('webhook_delivery').selectAll().orderBy('id').execute();

	it('are listed with their whole address to administrators only: the path of one often is a secret', async () => {
		await open(receiver().post);
		await create({ url: 'https://hooks.test:8443/services/T0/secret?key=secret' });
		const seen = async (scope: 'read' | 'operate' | 'admin') => {
			const { body } = await world.admin.call('createAdminToken', { name: scope, scope });
			return JSON.stringify((await world.actor(body.token).call('listWebhooks', {})).body);
		};
		for (const scope of ['read', 'operate'] as const) {
			const shown = await seen(scope);
			expect(shown).toContain('"url":"https://hooks.test:8443"');
			expect(shown).not.toContain('services');
		}
		expect(await seen('admin')).toContain('/services/T0/secret?key=secret');
	});

	it('are told of a notification once, signed, by a delivery whose id stays', async () => {
		const { got, post } = receiver();
		await open(post);
		const { secret } = await create();
		const { client, id } = await makeAgent(world);
		await world.advance(10 * SECOND);
		expect(got.map(({ type }) => type).sort()).toEqual(['agent_registered', 'client_created']);
		for (const { headers, body } of got) {
			const timestamp = headers['x-spotctl-timestamp'] ?? '';
			expect(Math.abs(Number(timestamp) * 1000 - world.now())).toBeLessThan(MINUTE);
			const expected = createHmac('sha256', secret).update(`${timestamp}.${body}`).digest('hex');
			expect(headers['x-spotctl-signature']).toBe(`v1=${expected}`);
			expect(headers['x-spotctl-delivery']).toBe((JSON.parse(body) as { id: string }).id);
		}
		const registered = got.find(({ type }) => type === 'agent_registered');
		expect(JSON.parse(registered?.body ?? '{}')).toMatchObject({
			event: 'notification',
			notification: { client_id: client.id, client_name: client.name, agent_id: id, severity: 'info', count: 1 },
		});
		await world.advance(5 * MINUTE, MINUTE);
		expect(got).toHaveLength(2);
		expect((await rows()).map(({ status, due_at }) => [status, due_at])).toEqual([
			['delivered', null],
			['delivered', null],
		]);
	});

	it('get what they asked for: of a client, from a severity on, of some types, while they are enabled', async () => {
		const { got, post } = receiver();
		await open(post);
		const acme = await world.client('acme');
		await create({ url: 'http://hooks.test/acme', client_id: acme.id });
		await create({ url: 'http://hooks.test/errors', min_severity: 'error' });
		await create({ url: 'http://hooks.test/typed', types: ['switch_queued'] });
		await create({ url: 'http://hooks.test/off', enabled: false });
		const { client, id, instanceId } = await makeAgent(world, acme);
		await makeAgent(world);
		await client.ack(id, await orderSwitch(client, instanceId, id), false);
		await world.advance(10 * SECOND);
		const of = (path: string) =>
			got
				.filter(({ url }) => url.endsWith(path))
				.map(({ type }) => type)
				.sort();
		expect(of('/acme')).toEqual(['agent_registered', 'switch_failed', 'switch_queued']);
		expect(of('/errors')).toEqual(['switch_failed']);
		expect(of('/typed')).toEqual(['switch_queued']);
		expect(of('/off')).toEqual([]);
	});

	it('are not told of a repeat that is only counted, nor of what was told before they were made', async () => {
		const { got, post } = receiver();
		await open(post);
		const { client, id, instanceId } = await makeAgent(world);
		await create();
		const fail = async () => client.ack(id, await orderSwitch(client, instanceId, id), false);
		await fail();
		await world.advance(MINUTE);
		await fail();
		await world.advance(MINUTE);
		expect(got.map(({ type }) => type).sort()).toEqual(['switch_failed', 'switch_queued']);
	});

	it('are no work where there are none, and known within a second where another daemon made the first', async () => {
		const { got, post } = receiver();
		await open(post);
		const { client, id, instanceId } = await makeAgent(world);
		const queueing = async (work: () => Promise<unknown>) =>
			(await world.statements(work)).filter((statement) => statement.includes('webhook_delivery')).length;
		expect(await queueing(() => makeAgent(world, client))).toBe(0);
		await world.addDaemon();
		world.use(1);
		await create();
		await world.advance(SECOND, 100);
		world.use(0);
		expect(await queueing(() => orderSwitch(client, instanceId, id))).toBe(1);
		await world.advance(10 * SECOND);
		expect(got.map(({ type }) => type)).toEqual(['switch_queued']);
	});

	it('are tried again with growing waits, then left as a dead letter that is listed and sent again on command', async () => {
		let isUp = false;
		const { got, post } = receiver(() => (isUp ? 204 : 500));
		await open(post);
		const { id } = await create();
		await world.client();
		await world.advance(30 * SECOND);
		expect(got.length).toBe(2);
		await world.advance(20 * 3_600_000, 15 * MINUTE);
		expect(got).toHaveLength(MOST_ATTEMPTS);
		expect(new Set(got.map((each) => each.id)).size).toBe(1);
		const dead = (await world.admin.call('listWebhookDeliveries', { webhook_id: id })).body.items;
		expect(dead).toMatchObject([
			{ webhook_id: id, state: 'dead', attempts: MOST_ATTEMPTS, http_status: 500, last_error: 'answered 500', type: 'client_created' },
		]);
		const events = await world.store.read.selectFrom('event').select('type').where('type', '=', 'webhook_given_up').execute();
		expect(events).toHaveLength(1);
		isUp = true;
		expect((await world.admin.call('retryWebhookDeliveries', { delivery_id: 'nobody' })).status).toBe(404);
		expect((await world.admin.call('retryWebhookDeliveries', { webhook_id: id })).body.retried).toBe(1);
		await world.advance(10 * SECOND);
		expect((await rows()).map(({ status }) => status)).toEqual(['delivered']);
		expect((await world.admin.call('listWebhookDeliveries', {})).body.items).toEqual([]);
	}, 60_000);

	it('are not waited for by each other: one that hangs delays nobody', async () => {
		let letGo: (status: number) => void = () => undefined;
		const { got, post } = receiver((url) =>
			url.endsWith('/slow')
				? new Promise<number>((done) => {
						letGo = done;
					})
				: 200,
		);
		await open(post);
		await create({ url: 'http://hooks.test/slow' });
		await create({ url: 'http://hooks.test/fast' });
		const fast = () => got.filter(({ url }) => url.endsWith('/fast')).length;
		await world.client();
		await world.advance(6 * SECOND);
		expect([got.length - fast(), fast()]).toEqual([1, 1]);
		for (const told of [2, 3, 4]) {
			await world.client();
			await world.advance(6 * SECOND);
			expect(fast()).toBe(told);
		}
		letGo(200);
	});

	it('lose nothing with a daemon that is killed in the middle of a delivery: it is made again, with the same id', async () => {
		let isHanging = true;
		const { got, post } = receiver(() => (isHanging ? new Promise<number>(() => undefined) : 200));
		await open(post);
		await create();
		await world.client();
		await world.advance(6 * SECOND);
		expect(got).toHaveLength(1);
		expect((await rows()).map(({ status, attempts }) => [status, attempts])).toEqual([['pending', 1]]);
		await world.restart(0, 'kill');
		isHanging = false;
		await world.advance(2 * MINUTE);
		expect(got.map((each) => each.id)).toEqual([got[0]?.id, got[0]?.id]);
		expect(got[1]?.headers['x-spotctl-attempt']).toBe('2');
		expect((await rows()).map(({ status }) => status)).toEqual(['delivered']);
	});

	it('are told by one daemon of several', async () => {
		const { got, post } = receiver();
		await open(post);
		await world.addDaemon();
		await create();
		for (let count = 0; count < 20; count++) await world.client();
		await world.advance(MINUTE);
		expect(got).toHaveLength(20);
		expect(new Set(got.map((each) => each.id)).size).toBe(20);
	});

	it('keep their secret to themselves: shown once, sealed where there is a key, in no list, audit or event', async () => {
		const key = Buffer.alloc(32, 7);
		const { got, post } = receiver();
		await open(post, { settings: { tokenRevealKey: key } });
		const { id, secret } = await create({ url: 'http://hooks.test/path-secret' });
		expect(secret).toMatch(/^whs_[\w-]{43}$/);
		const rotated = (await world.admin.call('updateWebhook', { webhook_id: id, rotate_secret: true })).body;
		expect(rotated.secret).not.toBe(secret);
		expect((await world.admin.call('updateWebhook', { webhook_id: id, name: 'other' })).body.secret).toBeNull();
		expect(JSON.stringify((await world.admin.call('listWebhooks', {})).body)).not.toMatch(/whs_/);
		const everything = JSON.stringify([
			await world.store.read.selectFrom('webhook').selectAll().execute(),
			await world.store.read.selectFrom('audit').selectAll().execute(),
			await world.store.read.selectFrom('event').selectAll().execute(),
		]);
		expect(everything).not.toContain('whs_');
		const audits = JSON.stringify(await world.store.read.selectFrom('audit').selectAll().execute());
		expect(audits).not.toContain('path-secret');
		await world.client();
		await world.advance(6 * SECOND);
		const [{ headers, body } = { headers: {} as Record<string, string>, body: '' }] = got;
		const expected = createHmac('sha256', rotated.secret ?? '')
			.update(`${headers['x-spotctl-timestamp']}.${body}`)
			.digest('hex');
		expect(headers['x-spotctl-signature']).toBe(`v1=${expected}`);
	});

	it('are made, changed and deleted by an admin only, with an audit row each', async () => {
		await open(receiver().post);
		const client = await world.client();
		const { id } = await create({ client_id: client.id });
		for (const name of ['listWebhooks', 'listWebhookDeliveries', 'retryWebhookDeliveries'] as const)
			expect((await world.admin.call(name, {})).status).toBe(200);
		expect((await world.admin.call('createWebhook', { url: 'http://hooks.test', client_id: 'nobody' })).status).toBe(404);
		expect((await world.admin.call('updateWebhook', { webhook_id: 'nobody', name: 'x' })).status).toBe(404);
		expect((await world.admin.call('testWebhook', { webhook_id: 'nobody' })).status).toBe(404);
		expect((await world.admin.call('testWebhook', { webhook_id: id })).body).toMatchObject({
			success: true,
			http_status: 200,
			answer: 'noted',
			error_message: null,
		});
		await world.admin.call('updateWebhook', { webhook_id: id, min_severity: 'critical', types: ['switch_failed'] });
		expect((await world.admin.call('listWebhooks', { client_id: client.id })).body.items).toMatchObject([
			{ id, min_severity: 'critical', types: ['switch_failed'], enabled: true, secret_sealed: false },
		]);
		expect((await world.admin.call('deleteWebhook', { webhook_id: id })).status).toBe(200);
		expect((await world.admin.call('deleteWebhook', { webhook_id: id })).status).toBe(404);
		const audits = await world.store.read.selectFrom('audit').select('action').where('entity', '=', 'webhook').orderBy('id').execute();
		expect(audits.map(({ action }) => action)).toEqual([
			'webhooks.create',
			'webhooks.retry',
			'webhooks.test',
			'webhooks.update',
			'webhooks.delete',
		]);
	});

	it('of the configuration are rows like others: made at start, followed when it changes, turned off when it goes', async () => {
		const { got, post } = receiver();
		const webhook = { url: 'https://hooks.test/seed', secret: 'mine', minSeverity: 'warning' as const, allowed: [] };
		const url = await freshUrl();
		world = await openWorld(url, { direct: true, postWebhook: post, settings: { webhook } });
		const { client, id, instanceId } = await makeAgent(world);
		await client.ack(id, await orderSwitch(client, instanceId, id), false);
		await world.advance(6 * SECOND);
		expect(got.map(({ type }) => type).sort()).toEqual(['switch_failed', 'switch_queued']);
		const [{ headers, body } = { headers: {} as Record<string, string>, body: '' }] = got;
		expect(headers['x-spotctl-signature']).toBe(
			`v1=${createHmac('sha256', 'mine').update(`${headers['x-spotctl-timestamp']}.${body}`).digest('hex')}`,
		);
		expect((await world.admin.call('deleteWebhook', { webhook_id: 'configured' })).body.code).toBe('WEBHOOK_CONFIGURED');
		await world.close();
		world = await openWorld(url, { direct: true, postWebhook: post });
		expect((await world.admin.call('listWebhooks', {})).body.items).toMatchObject([{ id: 'configured', enabled: false }]);
	});

	it('forget after a week what arrived', async () => {
		await open(receiver().post);
		await create();
		await world.client();
		await world.advance(10 * SECOND);
		expect(await rows()).toHaveLength(1);
		await world.advance(8 * 24 * 3_600_000, 24 * 3_600_000);
		await world.advance(2 * MINUTE);
		expect(await rows()).toEqual([]);
	});
});

describe('the wait before the next attempt', () => {
	it('doubles from ten seconds to an hour, less up to a fifth, by the delivery', () => {
		const waits = Array.from({ length: MOST_ATTEMPTS }, (_, at) => waitAfter('d', at + 1));
		waits.forEach((wait, at) => {
			const full = Math.min(10_000 * 2 ** at, 3_600_000);
			expect(wait).toBeLessThanOrEqual(full);
			expect(wait).toBeGreaterThanOrEqual(full * 0.8);
		});
		expect(new Set(['a', 'b', 'c', 'd'].map((id) => waitAfter(id, 9))).size).toBe(4);
	});
});

describe('the address of a webhook', () => {
	const refuse = addressGuard([]);

	it.each([
		'http://169.254.169.254/latest/meta-data/',
		'http://2852039166/',
		'http://0xa9fea9fe/',
		'http://169.254.43518/',
		'http://[::ffff:169.254.169.254]/',
		'http://[::ffff:a9fe:a9fe]/',
		'http://[64:ff9b::a9fe:a9fe]/',
		'http://[2002:a9fe:a9fe::1]/',
		'http://[fd00:ec2::254]/',
		'http://[fe80::1]/',
		'http://0.0.0.0/',
		'http://[::]/',
		'http://100.100.100.200/',
		'http://224.0.0.1/',
		'ftp://hooks.test/',
		'file:///etc/passwd',
		'gopher://hooks.test/',
		'http://user:password@hooks.test/',
		'http://',
		'hooks.test',
		'javascript:alert(1)',
	])('%s is refused', (url) => {
		expect(() => webhookAddress(url, refuse)).toThrow(/url:/);
	});

	it.each(['https://hooks.test/a?b=c', 'http://10.0.0.5:9000/', 'http://127.0.0.1:8080/', 'http://[::1]:8080/', 'http://[2001:db8::1]/'])(
		'%s is taken',
		(url) => {
			expect(webhookAddress(url, refuse)).toBe(new URL(url).href);
		},
	);

	it('is taken all the same where the configuration allows it', () => {
		const guard = addressGuard(['169.254.10.0/24', 'fe80::/10']);
		expect(guard('169.254.10.9')).toBeNull();
		expect(guard('::ffff:169.254.10.9')).toBeNull();
		expect(guard('fe80::1%eth0')).toBeNull();
		expect(guard('169.254.169.254')).not.toBeNull();
		expect(guard('no address')).not.toBeNull();
	});
});
