import { expect, test } from 'vitest';
import { createWorld, MINUTE, once, prices, START, TYPE } from './world.ts';

const polls = /pending-commands$/;
const toSpot = {
	id: 'command-1',
	command_type: 'switch',
	target_mode: 'spot',
	target_pool_id: `${TYPE}.us-east-1c`,
	priority: 75,
	terminate_wait_seconds: 0,
};
const iso = (seconds: number) => new Date(START + seconds * 1_000).toISOString().replace('.000Z', '+00:00');

test('classic, no terminate wait: launches, reports at once, marks executed, keeps the old machine and polls on', async () => {
	const { clock, fleet, got, seconds, ec2, first } = await createWorld({ script: once(polls, { commands: [toSpot] }) });
	fleet.start();
	await clock.runFor(3 * MINUTE);
	const old = ec2.describe(first().instanceId);
	const launched = ec2.instances[1];
	expect(launched).toMatchObject({ mode: 'spot', az: 'us-east-1c', launchedAt: START });
	const [report] = got('POST', /switch-report$/);
	expect(report?.body).toEqual({
		old_instance: {
			instance_id: old.id,
			instance_type: TYPE,
			region: 'us-east-1',
			az: old.az,
			ami_id: old.image.id,
			mode: 'spot',
			pool_id: `${TYPE}.${old.az}`,
		},
		new_instance: {
			instance_id: launched?.id,
			instance_type: TYPE,
			region: 'us-east-1',
			az: 'us-east-1c',
			ami_id: old.image.id,
			mode: 'spot',
			pool_id: `${TYPE}.us-east-1c`,
		},
		snapshot: { used: false },
		prices: {
			on_demand: 0.085,
			old_spot: prices.priceAt(TYPE, old.az, START + 23_000),
			new_spot: prices.priceAt(TYPE, 'us-east-1c', START + 23_000),
		},
		timing: {
			switch_initiated_at: iso(0),
			new_instance_launched_at: iso(1),
			new_instance_ready_at: iso(21),
			traffic_switched_at: iso(23),
		},
		trigger: 'manual',
	});
	const [marked] = got('POST', /commands\/command-1\/executed$/);
	expect(marked?.body).toEqual({ success: true, message: 'Switch completed' });
	expect(seconds([...got('POST', /switch-report$/), ...got('POST', /executed$/)])).toEqual([23, 23]);
	expect(old.state).toBe('running');
	const registered = got('POST', /register$/).map(({ body }) => [body?.instance_id, body?.logical_agent_id]);
	expect(registered).toEqual([
		[old.id, 'classic-0001'],
		[launched?.id, 'classic-0001'],
	]);
	expect(seconds(got('GET', /pending-commands$/)).slice(0, 3)).toEqual([0, 38, 40]);
});

test('classic with a terminate wait ends its own machine and dies before it reports', async () => {
	const command = { ...toSpot, terminate_wait_seconds: 60 };
	const { clock, fleet, got, ec2, first } = await createWorld({ script: once(polls, { commands: [command] }) });
	fleet.start();
	await clock.runFor(4 * MINUTE);
	const old = ec2.describe(first().instanceId);
	expect(old).toMatchObject({ state: 'terminated', shutdownAt: START + 83_000, terminatedAt: START + 88_000 });
	expect([got('POST', /switch-report$/), got('POST', /executed$/)]).toEqual([[], []]);
	expect(got('POST', /heartbeat$/).filter(({ body }) => body?.status === 'offline')).toEqual([]);
	expect(fleet.hosts().map(({ isUp, agent, starts }) => [isUp, agent !== undefined, starts])).toEqual([
		[false, false, 1],
		[true, true, 1],
	]);
	expect(ec2.ledger.map(({ kind, by, reason }) => [kind, by.instanceId, by.agentId, reason])).toEqual([
		['launch', null, null, 'added to the fleet'],
		['launch', old.id, `agent-of-${old.id}`, 'switch'],
		['terminate', old.id, `agent-of-${old.id}`, 'own machine after switch'],
	]);
});

test('classic that survives its own termination reports it, marks the command and says offline', async () => {
	const command = { ...toSpot, priority: 25, terminate_wait_seconds: 60 };
	const { clock, fleet, got, seconds, server } = await createWorld({
		script: once(polls, { commands: [command] }),
		faults: { diesBeforeReport: 0 },
		agentBootMs: [300_000, 300_000],
	});
	fleet.start();
	await clock.runFor(4 * MINUTE);
	const [report] = got('POST', /switch-report$/);
	expect(report?.body).toMatchObject({ timing: { old_instance_terminated_at: iso(83) }, trigger: 'model' });
	expect(seconds([...got('POST', /switch-report$/), ...got('POST', /executed$/)])).toEqual([83, 83]);
	expect(server.log.at(-1)).toMatchObject({ at: START + 84_000, body: { status: 'offline', monitored_instances: [] } });
});

test('classic takes the first usable command only, from a bare list, commands, pending_commands or data', async () => {
	for (const wrap of [
		(list: unknown[]) => JSON.stringify(list),
		(list: unknown[]) => ({ commands: list, pending_commands: [] }),
		(list: unknown[]) => JSON.stringify({ pending_commands: list, data: [] }),
		(list: unknown[]) => JSON.stringify({ data: list }),
	]) {
		const list = ['no dict', { target_mode: 'spot' }, { id: 'no-mode' }, { ...toSpot, id: 'usable' }, { ...toSpot, id: 'second' }];
		const { clock, fleet, got, ec2 } = await createWorld({ script: once(polls, wrap(list)), agentBootMs: [300_000, 300_000] });
		fleet.start();
		await clock.runFor(2 * MINUTE);
		expect(ec2.instances).toHaveLength(2);
		expect(got('POST', /executed$/).map(({ path }) => path.split('/').at(-2))).toEqual(['usable']);
	}
});

test('classic ignores a switch without target_mode silently, and an unknown type is a switch', async () => {
	const { clock, fleet, got, ec2 } = await createWorld({
		script: once(polls, { commands: [{ id: 'command-1', command_type: 'promote_replica', priority: 100, terminate_wait_seconds: 0 }] }),
	});
	fleet.start();
	await clock.runFor(2 * MINUTE);
	expect(ec2.instances).toHaveLength(1);
	expect(got('POST', /executed$/)).toEqual([]);
});

test('classic never gets past a null terminate wait, and asks again every 15 s', async () => {
	const { clock, fleet, got, seconds, ec2 } = await createWorld({
		script: ({ path }) => (polls.test(path) ? { body: { commands: [{ ...toSpot, terminate_wait_seconds: null }] } } : undefined),
	});
	fleet.start();
	await clock.runFor(MINUTE);
	expect(seconds(got('GET', polls))).toEqual([0, 15, 30, 45, 60]);
	expect(ec2.instances).toHaveLength(1);
	expect(got('POST', /executed$/)).toEqual([]);
});

test('classic launches for a null priority, then fails: no report, an orphan machine', async () => {
	const { clock, fleet, got, ec2 } = await createWorld({ script: once(polls, { commands: [{ ...toSpot, priority: null }] }) });
	fleet.start();
	await clock.runFor(2 * MINUTE);
	expect(ec2.instances).toHaveLength(2);
	expect(got('POST', /switch-report$/)).toEqual([]);
	expect(got('POST', /executed$/)[0]?.body).toEqual({ success: false, message: 'Switch failed' });
});

test('classic launches on-demand for spot without a pool, and reports spot', async () => {
	const { clock, fleet, got, ec2 } = await createWorld({ script: once(polls, { commands: [{ ...toSpot, target_pool_id: null }] }) });
	fleet.start();
	await clock.runFor(MINUTE);
	expect(ec2.instances[1]).toMatchObject({ mode: 'ondemand', az: ec2.instances[0]?.az });
	expect(got('POST', /switch-report$/)[0]?.body).toMatchObject({
		new_instance: { mode: 'spot', pool_id: null },
		prices: { new_spot: expect.any(Number) },
	});
});

test('a refused launch is a failed command, and so is a machine that ends while it boots', async () => {
	const refused = await createWorld({ script: once(polls, { commands: [toSpot] }) });
	refused.ec2.setCapacity(`${TYPE}.us-east-1c`, false);
	refused.fleet.start();
	await refused.clock.runFor(MINUTE);
	expect(refused.got('POST', /executed$/)[0]?.body).toEqual({ success: false, message: 'Switch failed' });
	expect(refused.ec2.ledger[1]).toMatchObject({ kind: 'refused', reason: 'switch' });

	const lost = await createWorld({ script: once(polls, { commands: [toSpot] }) });
	lost.fleet.start();
	await lost.clock.runFor(5_000);
	const launched = lost.ec2.instances[1]?.id ?? '';
	lost.ec2.terminate(launched, { kind: 'aws', instanceId: null, agentId: null }, 'no capacity after all');
	await lost.clock.runFor(MINUTE);
	expect(lost.got('POST', /executed$/)[0]?.body).toEqual({ success: false, message: 'Switch failed' });
	expect(lost.got('POST', /switch-report$/)).toEqual([]);
});

test('classic create_replica: launches, waits, registers it, syncing, ready, marks executed', async () => {
	const command = { id: 'command-2', command_type: 'create_replica', target_pool_id: `${TYPE}.us-east-1b`, priority: 50 };
	const answer = once(polls, { commands: [command] });
	const { clock, fleet, got, seconds, ec2, first } = await createWorld({
		script: (request) =>
			request.method === 'POST' && /replicas$/.test(request.path) ? { status: 201, body: { replica_id: 'replica-9' } } : answer(request),
		ec2Options: { statusOkMs: [60_000, 60_000] },
		agentBootMs: [600_000, 600_000],
	});
	fleet.start();
	await clock.runFor(3 * MINUTE);
	expect(got('POST', /replicas$/).map(({ body }) => body)).toEqual([
		{
			instance_id: ec2.instances[1]?.id,
			replica_type: 'manual',
			parent_instance_id: first().instanceId,
			pool_id: `${TYPE}.us-east-1b`,
			status: 'launching',
		},
	]);
	expect(got('POST', /replicas\/replica-9\/status$/).map(({ body }) => body)).toEqual([
		{ status: 'syncing', sync_started_at: iso(31) },
		{ status: 'ready', sync_completed_at: iso(91) },
	]);
	expect(seconds(got('POST', /command-2\/executed$/))).toEqual([91]);
	expect(got('POST', /command-2\/executed$/)[0]?.body).toEqual({ success: true, message: 'Replica created: replica-9' });
});

test('classic create_replica refused by the server leaves an orphan and a failed command', async () => {
	const command = { id: 'command-2', command_type: 'create_replica', target_pool_id: null };
	const answer = once(polls, { commands: [command] });
	const { clock, fleet, got, ec2, first } = await createWorld({
		script: (request) => (request.method === 'POST' && /replicas$/.test(request.path) ? { status: 400, body: '{}' } : answer(request)),
	});
	fleet.start();
	await clock.runFor(2 * MINUTE);
	expect(ec2.instances[1]).toMatchObject({ state: 'running', mode: 'spot', az: ec2.describe(first().instanceId).az });
	expect(got('POST', /executed$/)[0]?.body).toEqual({ success: false, message: 'Replica creation failed' });
});

test('agent 3.2 obeys its own terminate settings, takes a snapshot, and marks by X21', async () => {
	const { clock, fleet, got, seconds, ec2 } = await createWorld({
		agents: { v32: 1 },
		script: once(polls, { commands: [{ ...toSpot, terminate_wait_seconds: 0 }] }),
		faults: { diesBeforeReport: 0 },
		agentBootMs: [900_000, 900_000],
	});
	fleet.start();
	await clock.runFor(8 * MINUTE);
	const at = (seconds: number) => iso(seconds).replace('+00:00', 'Z');
	const [report] = got('POST', /switch-report$/);
	expect(report?.body).toMatchObject({
		snapshot: { used: true, snapshot_id: expect.stringMatching(/^snap-/) },
		new_instance: { mode: 'spot', pool_id: `${TYPE}.us-east-1c` },
		trigger: 'manual',
	});
	expect(report?.body?.timing).toEqual({
		switch_initiated_at: at(0),
		new_instance_ready_at: at(51),
		traffic_switched_at: at(53),
		old_instance_terminated_at: at(353),
	});
	expect(got('POST', /mark-command-executed$/)[0]?.body).toEqual({ command_id: 'command-1' });
	expect(seconds(got('POST', /mark-command-executed$/))).toEqual([353]);
	expect(ec2.instances[0]?.state).toBe('terminated');
});

test('agent 3.2 with auto-terminate off leaves the old machine, reports an explicit null, and polls on', async () => {
	const { clock, fleet, got, ec2 } = await createWorld({
		agents: { v32: 1 },
		script: once(polls, { commands: [{ ...toSpot, target_mode: 'ondemand', target_pool_id: null }] }),
		settings: { v32: { autoTerminateOldInstance: false, createSnapshotOnSwitch: false } },
	});
	fleet.start();
	await clock.runFor(2 * MINUTE);
	const [report] = got('POST', /switch-report$/);
	expect(report?.body).toMatchObject({ snapshot: { used: false }, timing: { old_instance_terminated_at: null } });
	expect(report?.body?.prices).toEqual({ on_demand: 0.085, old_spot: expect.any(Number) });
	expect(ec2.instances.map(({ state, mode }) => [state, mode])).toEqual([
		['running', 'spot'],
		['running', 'ondemand'],
	]);
	expect(got('GET', polls).length).toBeGreaterThan(4);
});

test('agent 3.2 marks a command without target_mode at once, marks failures too, and dies before it reports', async () => {
	const list = [{ id: 'no-mode' }, { ...toSpot, id: 'usable', priority: null }, { ...toSpot, id: 'second' }];
	const { clock, fleet, got, ec2 } = await createWorld({
		agents: { v32: 1 },
		script: once(polls, { commands: list }),
		agentBootMs: [900_000, 900_000],
	});
	fleet.start();
	await clock.runFor(8 * MINUTE);
	expect(got('POST', /mark-command-executed$/).map(({ body }) => body)).toEqual([{ command_id: 'no-mode' }]);
	expect(ec2.instances.map(({ state }) => state)).toEqual(['terminated', 'running']);

	const full = await createWorld({ agents: { v32: 1 }, script: once(polls, { commands: [toSpot] }) });
	full.ec2.setCapacity(`${TYPE}.us-east-1c`, false);
	full.fleet.start();
	await full.clock.runFor(2 * MINUTE);
	expect(full.got('POST', /mark-command-executed$/)).toHaveLength(1);
	expect(full.got('GET', polls).length).toBeGreaterThan(4);
});
