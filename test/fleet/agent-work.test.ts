import { expect, test } from 'vitest';
import type { Script } from './scratch-server.ts';
import { createWorld, MINUTE, once, START, TYPE } from './world.ts';

const launching = /replicas\?status=launching$/;
const iso = (seconds: number) => new Date(START + seconds * 1_000).toISOString().replace('.000Z', '+00:00');
const together =
	(...scripts: Script[]): Script =>
	(request) => {
		for (const script of scripts) {
			const answer = script(request);
			if (answer) return answer;
		}
		return undefined;
	};

test('classic launches a replica, sends PUT at once and ready when it runs', async () => {
	const flat = { id: 'replica-1', pool_id: `${TYPE}.us-east-1b`, az: 'us-east-1b', instance_id: 'replica-0a1b2c3d' };
	const nested = { id: 'replica-2', pool: { id: `${TYPE}.us-east-1c`, az: 'us-east-1c' } };
	const skipped = [
		{ id: 'replica-3', pool_id: 'x', pool: { id: 'x', az: 'us-east-1a' } },
		{ pool_id: 'x', az: 'y' },
	];
	const { clock, fleet, got, seconds, ec2 } = await createWorld({
		script: once(launching, { replicas: [flat, ...skipped, nested] }),
		agentBootMs: [600_000, 600_000],
	});
	fleet.start();
	await clock.runFor(2 * MINUTE);
	const [, one, two] = ec2.instances;
	expect([one, two]).toMatchObject([
		{ az: 'us-east-1b', mode: 'spot' },
		{ az: 'us-east-1c', mode: 'spot' },
	]);
	expect(got('PUT', /replicas/).map(({ path, body }) => [path.split('/').at(-1), body])).toEqual([
		['replica-1', { instance_id: one?.id, status: 'syncing' }],
		['replica-2', { instance_id: two?.id, status: 'syncing' }],
	]);
	expect(seconds(got('PUT', /replicas/))).toEqual([1, 32]);
	expect(got('POST', /replicas\/.*\/status$/).map(({ body }) => body)).toEqual([
		{ status: 'ready', sync_completed_at: iso(31) },
		{ status: 'ready', sync_completed_at: iso(62) },
	]);
	expect(seconds(got('GET', launching))).toEqual([0, 92]);
	expect(ec2.ledger[1]).toMatchObject({ kind: 'launch', reason: 'replica replica-1' });
});

test('classic reports a failed replica launch with the text of the error', async () => {
	const { clock, fleet, got, ec2 } = await createWorld({
		script: once(launching, { replicas: [{ id: 'replica-1', pool: { id: 'p', az: 'us-east-1b' } }] }),
	});
	ec2.setCapacity(`${TYPE}.us-east-1b`, false);
	fleet.start();
	await clock.runFor(MINUTE);
	expect(got('PUT', /replicas/)).toEqual([]);
	expect(got('POST', /replica-1\/status$/)[0]?.body).toEqual({
		status: 'failed',
		error_message: expect.stringContaining('no spot capacity available in us-east-1b'),
	});
});

test('classic ends each terminated replica once per process, skips placeholders, and again after a restart', async () => {
	let listed: unknown[] = [];
	const { clock, fleet, got, ec2, first } = await createWorld({
		script: ({ path }) => (/replicas\?status=terminated$/.test(path) ? { body: { replicas: listed } } : undefined),
	});
	fleet.start();
	await clock.runFor(1_000);
	const { image } = ec2.describe(first().instanceId);
	const by = { kind: 'operator', instanceId: null, agentId: null } as const;
	const plain = { ...image, agent: null };
	const place = () => ec2.place({ instanceType: TYPE, az: null, mode: 'spot', image: plain, by, reason: 'replica' }, { running: true }).id;
	const [one, locked] = [place(), place()];
	ec2.lockTermination(locked, true);
	listed = [
		{ id: 'r1', instance_id: one, is_active: false, status: 'terminated', type: 'manual' },
		{ id: 'r2', instance_id: 'replica-12345678' },
		{ id: 'r3', instance_id: 'manual-12345678' },
		{ id: 'r4', instance_id: 'emergency-1234' },
		{ id: 'r5', instance_id: 'i-0123456789abcdef0' },
		{ id: 'r6', instance_id: locked },
		{ id: 'r7' },
	];
	await clock.runFor(2 * MINUTE);
	const reports = () => got('POST', /replicas\/.*\/status$/).map(({ path }) => path.split('/').at(-2));
	expect(reports()).toEqual(['r1', 'r5']);
	expect(got('POST', /r1\/status$/)[0]?.body).toEqual({ status: 'terminated', is_active: false, terminated_at: iso(30) });
	expect(ec2.describe(one).state).toBe('terminated');
	expect(ec2.describe(locked).state).toBe('running');
	first().crash();
	await clock.runFor(MINUTE);
	expect(reports()).toEqual(['r1', 'r5', 'r1', 'r5']);
	expect(first().starts).toBe(2);
});

test('classic terminates what the list names, reports each, and does nothing with auto-terminate off', async () => {
	let answer: unknown = { instances: [], auto_terminate_enabled: true };
	const { clock, fleet, got, ec2, first } = await createWorld({
		script: ({ path }) => (/instances-to-terminate$/.test(path) ? { body: answer } : undefined),
	});
	fleet.start();
	await clock.runFor(MINUTE);
	const by = { kind: 'operator', instanceId: null, agentId: null } as const;
	const { image } = ec2.describe(first().instanceId);
	const order = { instanceType: TYPE, az: null, mode: 'spot', image: { ...image, agent: null }, by, reason: 'zombie' } as const;
	const zombie = ec2.place(order, { running: true }).id;
	const locked = ec2.place(order, { running: true }).id;
	ec2.lockTermination(locked, true);
	const instances = [zombie, locked, 'i-0123456789abcdef0', 'not-an-id', null].map((id) => ({ instance_id: id, reason: 'zombie_timeout' }));
	answer = { instances, auto_terminate_enabled: false };
	await clock.runFor(MINUTE);
	expect(got('POST', /termination-report$/)).toEqual([]);
	answer = { instances };
	await clock.runFor(MINUTE);
	expect(got('POST', /termination-report$/)).toEqual([]);
	answer = { instances, auto_terminate_enabled: true, terminate_wait_seconds: 300 };
	await clock.runFor(MINUTE);
	expect(got('POST', /termination-report$/).map(({ body }) => body)).toEqual([
		{ instance_id: zombie, success: true, error: null, terminated_at: iso(240) },
		{ instance_id: locked, success: false, error: `IAM permissions insufficient to terminate instance ${locked}`, terminated_at: null },
		{ instance_id: 'i-0123456789abcdef0', success: true, error: null, terminated_at: iso(240) },
		{ instance_id: 'not-an-id', success: false, error: 'InvalidInstanceID.Malformed: Invalid id: "not-an-id"', terminated_at: null },
	]);
	expect(ec2.ledger.at(-1)).toMatchObject({ kind: 'terminate', instanceId: zombie, reason: 'terminate list: zombie_timeout' });
	expect(ec2.ledger.at(-1)?.by).toMatchObject({ instanceId: first().instanceId });
});

test('a host told to terminate itself reports it, then is gone', async () => {
	const { clock, fleet, got, first } = await createWorld({
		script: ({ path }) =>
			/instances-to-terminate$/.test(path)
				? { body: { instances: [{ instance_id: path.split('/')[3]?.slice('agent-of-'.length) }], auto_terminate_enabled: true } }
				: undefined,
	});
	fleet.start();
	await clock.runFor(3 * MINUTE);
	expect(got('POST', /termination-report$/)).toHaveLength(1);
	expect(first()).toMatchObject({ isUp: false, agent: undefined });
	expect(got('POST', /heartbeat$/)).toHaveLength(3);
});

test('classic on a termination notice asks for a replica, reports it, stops on success and reports again after its restart', async () => {
	const { clock, fleet, got, seconds, ec2, first } = await createWorld({ ec2Options: { noticeMs: 120_000 } });
	fleet.start();
	await clock.runFor(62_000);
	ec2.notice(first().instanceId, 'termination');
	await clock.runFor(3 * MINUTE);
	const { instanceId } = first();
	const deadline = '2026-01-05T00:03:02Z';
	expect(got('POST', /create-emergency-replica$/)[0]?.body).toEqual({
		signal_type: 'termination-notice',
		instance_id: instanceId,
		termination_time: deadline,
	});
	expect(got('POST', /termination-imminent$/)[0]?.body).toEqual({
		instance_id: instanceId,
		termination_time: deadline,
		detected_at: iso(65),
	});
	const offline = got('POST', /heartbeat$/).filter(({ body }) => body?.status === 'offline');
	expect(seconds(offline).slice(0, 2)).toEqual([66, 77]);
	expect(seconds(got('POST', /register$/)).slice(0, 3)).toEqual([0, 76, 87]);
	expect(seconds(got('POST', /termination-imminent$/)).slice(0, 2)).toEqual([65, 76]);
	expect(ec2.describe(instanceId)).toMatchObject({ state: 'terminated', terminatedAt: START + 187_000 });
	expect(ec2.ledger.at(-1)).toMatchObject({ by: { kind: 'aws' }, reason: 'spot interruption' });
});

test('classic goes on, and does not repeat the notice, when the failover did not succeed or had no answer', async () => {
	for (const script of [
		once(/termination-imminent$/, { success: false, error: 'no replica' }),
		({ path }: { path: string }) => (/termination-imminent$/.test(path) ? { status: 500, body: '{}' } : undefined),
	]) {
		const { clock, fleet, got, ec2, first } = await createWorld({ script });
		fleet.start();
		await clock.runFor(10_000);
		ec2.notice(first().instanceId, 'termination');
		await clock.runFor(100_000);
		expect(got('POST', /termination-imminent$/)).toHaveLength(1);
		expect(first().starts).toBe(1);
		expect(got('POST', /heartbeat$/)).toHaveLength(4);
	}
});

test('classic reports a rebalance recommendation once until it clears; on-demand hosts look for no notices', async () => {
	const { clock, fleet, got, ec2, first } = await createWorld();
	fleet.start();
	await clock.runFor(1_000);
	const { instanceId } = first();
	ec2.notice(instanceId, 'rebalance');
	await clock.runFor(5 * MINUTE);
	expect(got('POST', /create-emergency-replica$/).map(({ body }) => body)).toEqual([
		{ signal_type: 'rebalance-recommendation', instance_id: instanceId },
	]);
	expect(got('POST', /rebalance-recommendation$/).map(({ body }) => body)).toEqual([{ instance_id: instanceId, detected_at: iso(30) }]);
	ec2.clearNotice(instanceId, 'rebalance');
	await clock.runFor(MINUTE);
	ec2.notice(instanceId, 'rebalance');
	await clock.runFor(MINUTE);
	expect(got('POST', /rebalance-recommendation$/)).toHaveLength(2);

	const calm = await createWorld({ mode: () => 'ondemand', agents: { classic: 1, v4: 1 } });
	calm.fleet.start();
	await calm.clock.runFor(1_000);
	for (const host of calm.fleet.hosts()) calm.ec2.notice(host.instanceId, 'rebalance');
	await calm.clock.runFor(2 * MINUTE);
	expect(calm.got('POST', /rebalance-recommendation$/)).toEqual([]);
});

test('v4 repeats a notice every 10 s, each with a fresh X-Request-ID that then stays on every other call', async () => {
	const { clock, fleet, got, seconds, ec2, first, server } = await createWorld({ agents: { v4: 1 } });
	fleet.start();
	await clock.runFor(15_000);
	ec2.notice(first().instanceId, 'rebalance');
	await clock.runFor(20_000);
	ec2.notice(first().instanceId, 'termination');
	await clock.runFor(30_000);
	const notices = got('POST', /rebalance-recommendation$/);
	expect(seconds(notices)).toEqual([20, 30, 40, 50, 60]);
	expect(seconds(got('GET', /emergency-status$/))).toEqual([20, 30, 40, 50, 60]);
	expect(notices.map(({ body }) => body)).toEqual([
		...[1, 2].map(() => ({ notice_time: '2026-01-05T00:00:15Z' })),
		...[1, 2, 3].map(() => ({ notice_time: '2026-01-05T00:02:35Z', immediate: true })),
	]);
	const ids = notices.map(({ headers }) => headers['x-request-id']);
	expect(new Set(ids).size).toBe(5);
	const after = server.log.slice(server.log.findIndex(({ path }) => /rebalance/.test(path)));
	expect(after.every(({ headers }) => headers['x-request-id'] !== undefined)).toBe(true);
	expect(got('POST', /heartbeat$/).map(({ headers }) => headers['x-request-id'])).toEqual([undefined, ids[0], ids[3]]);
	expect(got('POST', /decide$/)[0]?.headers['x-request-id']).toBe(ids[3]);
});

test('v4 lives with a missing agent id and a decision it cannot print', async () => {
	const lines: string[] = [];
	const { clock, fleet, got } = await createWorld({
		agents: { v4: 1 },
		script: together(once(/register$/, { client_id: 'client-1' }), ({ path }) =>
			/decide$/.test(path) ? { body: { confidence: null } } : undefined,
		),
		onLog: ({ message }) => lines.push(message),
	});
	fleet.start();
	await clock.runFor(6 * MINUTE);
	expect(got('POST', /\/api\/agents\/None\/heartbeat$/)).toHaveLength(13);
	expect(got('POST', /\/api\/agents\/None\/decide$/)).toHaveLength(2);
	expect(lines).toEqual([expect.stringContaining('decide: unsupported format'), expect.stringContaining('decide: unsupported format')]);
});
