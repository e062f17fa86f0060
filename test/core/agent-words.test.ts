import { describe, expect, it } from 'vitest';
import { describeEachDatabase } from '../helpers/databases.ts';
import { brokenInvariants, brokenStandbys } from '../helpers/invariants.ts';
import { create, poll } from '../helpers/replica-calls.ts';
import { shareWorld } from '../helpers/shared-world.ts';
import { makeAgent, newMachine, orderSwitch, rolesOf, rowsOf } from './agent-scene.ts';
import { deletedReplica, fetchOrder, imminent, orderedReplica, pollingAgent, put, say, syncingReplica } from './replica-scene.ts';

/** What an exception's text may hold, and how it is kept. */
const WORDS = [
	['a line break', 'Parameter validation failed:\nMissing', 'Parameter validation failed: Missing'],
	['a carriage return and a tab', 'a\r\n\tb', 'a b'],
	['a NUL', 'a\u0000b', 'a b'],
	['an escape sequence', '\u001b[31mred', '[31mred'],
	['half a character', 'a\ud800b', 'a\ufffdb'],
	['5,000 characters', 'e'.repeat(5000), `${'e'.repeat(3999)}…`],
	['5,000 characters, cut within one', `${'e'.repeat(3998)}${'🙂'.repeat(500)}`, `${'e'.repeat(3998)}…`],
	['nothing but controls', '\n\r\u0000', null],
] as const;

describeEachDatabase('what an agent says beside a fact', ({ freshUrl }) => {
	const world = shareWorld(freshUrl, { must: [brokenInvariants, brokenStandbys] });
	const rows = rowsOf(world);

	describe.each(WORDS)('%s in its own words', (_, words, kept) => {
		it('does not keep a failed launch from being heard: the next pool is ordered at once', async () => {
			const agent = await pollingAgent(world);
			await imminent(world, agent, agent.id);
			const order = await fetchOrder(agent, agent.id);
			expect((await say(agent, agent.id, order.id, 'failed', { error_message: words })).status).toBe(200);
			expect(await rows.replica(order.id)).toMatchObject({ status: 'failed', error_message: kept ?? 'the agent could not launch it' });
			expect((await fetchOrder(agent, agent.id)).pool_id).not.toBe(order.pool_id);
		});

		it('does not keep the outcome of a command, of a switch or of a termination from being heard', async () => {
			const agent = await makeAgent(world);
			const failed = async (tell: (command: string) => Promise<{ status: number }>) => {
				const command = await orderSwitch(agent.client, agent.instanceId, agent.id);
				expect((await tell(command)).status).toBe(200);
				return rows.command(command);
			};
			const ids = (command_id: string) => ({ agent_id: agent.id, command_id });
			const executed = await failed((id) => agent.client.call('commandExecuted', { ...ids(id), success: false, message: words }));
			expect(executed).toMatchObject({ status: 'failed', ...(kept === null ? {} : { message: kept }) });
			const marked = await failed((id) => agent.client.call('markCommandExecuted', { ...ids(id), success: false, error: words }));
			expect(marked.status).toBe('failed');
			const report = { agent_id: agent.id, success: false, error_message: words };
			expect((await failed(() => agent.client.call('switchReport', report))).status).toBe('failed');
			const { agent: other, instanceId } = await deletedReplica(world);
			const attempt = { agent_id: other.id, instance_id: instanceId, success: false, error: words };
			expect((await other.client.call('terminationReport', attempt)).status).toBe(200);
			const { termination_attempted_at } = await rows.hostOfMachine(other.client, instanceId);
			expect(termination_attempted_at).toBe(world.now());
			const end = { agent_id: other.id, instance_id: instanceId, termination_reason: words };
			expect((await other.client.call('terminationReport', end)).status).toBe(200);
		});

		it('does not keep a signal, an end or a farewell from being heard', async () => {
			const agent = await pollingAgent(world);
			const signal = { agent_id: agent.id, signal_type: 'rebalance-recommendation', reason: words };
			expect((await agent.client.call('createEmergencyReplica', signal)).status).toBe(201);
			const other = await makeAgent(world);
			expect((await other.client.call('uninstallHost', { instance_id: other.instanceId, reason: words })).status).toBe(200);
			expect((await other.client.call('hostEnded', { agent_id: other.id, reason: words })).status).toBe(200);
			expect((await rows.agent(other.id)).status).toBe('offline');
		});
	});

	describe('and cannot be read is not said', () => {
		const SIDE_OF_STATUS = [
			{ sync_completed_at: 'yesterday' },
			{ sync_completed_at: {} },
			{ sync_started_at: '1795697909' },
			{ is_active: 'true' },
			{ terminated_at: 'soon' },
			{ error_message: ['x'] },
			{ message: { a: 1 } },
		];
		it.each(SIDE_OF_STATUS)('a replica is ready whatever else its status says: %j', async (side) => {
			const { agent, id } = await syncingReplica(world);
			expect((await say(agent, agent.id, id, 'ready', side)).status).toBe(200);
			expect(await rows.replica(id)).toMatchObject({ status: 'ready', sync_completed_at: world.now() });
		});

		const SIDE_OF_PUT = [
			{ status: 1 },
			{ status: { a: 1 } },
			{ sync_progress: '50' },
			{ sync_status: 'z'.repeat(60) },
			{ sync_status: 'a\u0000' },
		];
		it.each(SIDE_OF_PUT)('a machine is attached whatever else its PUT says: %j', async (side) => {
			const { agent, order } = await orderedReplica(world);
			const instance_id = newMachine();
			const named = { agent_id: agent.id, replica_id: order.id, instance_id, ...side };
			expect((await agent.client.call('attachReplica', named as never)).status).toBe(200);
			expect(await rows.replica(order.id)).toMatchObject({ status: 'syncing', instance_id });
		});

		const SIDE_OF_POST = [
			{ tags: [] },
			{ tags: [1] },
			{ max_hourly_cost: '0.1' },
			{ created_by: 1 },
			{ replica_type: 'x'.repeat(40) },
			{ instance_type: 'c5\u0000' },
			{ pool_id: 'x'.repeat(200) },
			{ parent_instance_id: 'x'.repeat(65), status: {}, exclude_zones: 'us-east-1a', target_pool_id: 7, target_pool: [] },
		];
		it.each(SIDE_OF_POST)('a machine that runs is attached whatever else is said of it: %j', async (side) => {
			const agent = await makeAgent(world);
			const machine = newMachine();
			const { status, body } = await create(agent.client, agent.id, { instance_id: machine, ...side });
			expect([status, body.instance_id]).toEqual([201, machine]);
			expect(await rolesOf(world, agent.id)).toMatchObject({ [machine]: 'replica' });
			expect(await rows.replica(body.replica_id)).toMatchObject({ type: 'manual', tags: null });
		});

		it.each(SIDE_OF_POST)('but an order without a machine is refused for it, with the field named: %j', async (side) => {
			const agent = await pollingAgent(world);
			const [field = ''] = Object.keys(side);
			for (const order of [side, { ...side, instance_id: 'replica-1' }, { ...side, instance_id: 'i-a b' }]) {
				const { status, body } = await create(agent.client, agent.id, order);
				expect([status, body]).toEqual([
					400,
					expect.objectContaining({ code: 'VALIDATION_ERROR', details: expect.objectContaining({ [field]: expect.anything() }) }),
				]);
			}
			expect(await rows.liveReplicas(agent.id)).toEqual([]);
		});

		it('a machine that cannot be read is refused: nobody knows what to attach or to end', async () => {
			const { agent, order } = await orderedReplica(world);
			for (const instance_id of ['i-\u0000', 'i-a b', `i-${'a'.repeat(70)}`, ['i-0abc'], 7]) {
				expect((await put(agent, agent.id, order.id, instance_id as string)).status).toBe(400);
				expect((await create(agent.client, agent.id, { instance_id, tags: [] })).status).toBe(400);
			}
			expect((await poll(agent.client, agent.id)).status).toBe(200);
		});

		it('a switch is booked although its report says the old machine, the command or the end of it in words nobody reads', async () => {
			const agent = await makeAgent(world);
			const command = await orderSwitch(agent.client, agent.instanceId, agent.id);
			const machine = newMachine();
			const side = { old_instance: 'i-old', old_instance_id: 'x'.repeat(65), command_id: 'x\n', success: true, timing: 'quick' };
			const { status, body } = await agent.client.report(agent.id, machine, side);
			expect([status, body.action]).toEqual([200, 'switched']);
			expect(await rows.command(command)).toMatchObject({ status: 'completed', new_instance_id: machine });
		});

		it('a cleanup is counted, a termination and an end are booked, whatever time they name', async () => {
			const { agent, instanceId } = await deletedReplica(world);
			const cleanup = { agent_id: agent.id, timestamp: 'noon', snapshots: { deleted: ['snap-1'] }, errors: 'none\n' };
			const cleaned = await agent.client.call('cleanupReport', cleanup as never);
			expect([cleaned.status, cleaned.body.deleted_snapshots]).toEqual([200, 1]);
			const end = { agent_id: agent.id, instance_id: instanceId, success: true, terminated_at: 'noon' };
			expect((await agent.client.call('terminationReport', end)).status).toBe(200);
			expect(await rows.hostOfMachine(agent.client, instanceId)).toMatchObject({ role: 'terminated', terminated_at: world.now() });
			const farewell = { agent_id: agent.id, timestamp: 'noon', instance_id: 'x'.repeat(65) };
			expect((await agent.client.call('hostEnded', farewell)).status).toBe(200);
			expect((await rows.agent(agent.id)).status).toBe('offline');
		});
	});

	it.each([{ instance_id: 'i'.repeat(65) }, { instance_id: 7 }, { config_version: '3' }, { status: 'idle' }])(
		'that no heartbeat can mean does not keep the host from being heard: %j',
		async (beside) => {
			const agent = await makeAgent(world);
			expect((await agent.client.call('heartbeat', { agent_id: agent.id, ...beside } as never)).status).toBe(200);
		},
	);

	it.each([{ private_ip: '1'.repeat(46) }, { hostname: 'a\u0000b' }, { agent_version: 'v'.repeat(33) }, { ami_id: 'a'.repeat(65) }])(
		'that no registration can mean does not keep the machine from registering: %j',
		async (beside) => {
			const client = await world.client();
			expect((await client.register(newMachine(), { logical_agent_id: 'words', ...beside })).status).toBe(200);
		},
	);
});
