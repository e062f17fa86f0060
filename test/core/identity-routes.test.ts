import { describe, expect, it } from 'vitest';
import { describeEachDatabase } from '../helpers/databases.ts';
import { brokenInvariants } from '../helpers/invariants.ts';
import { shareWorld } from '../helpers/shared-world.ts';
import { type AgentScene, heartbeatsFor, joinAgent, makeAgent, newMachine, orderSwitch, rolesOf, rowsOf } from './agent-scene.ts';

type Host = { readonly handle: string; readonly instanceId: string };
type Cast = AgentScene & { readonly primary: Host; readonly candidate: Host; readonly zombie: Host; readonly terminated: Host };
type Role = 'primary' | 'candidate' | 'zombie' | 'terminated';
const PASSIVE = ['candidate', 'zombie', 'terminated'] as const;
const ROLES = ['primary', ...PASSIVE] as const;

describeEachDatabase('what a call means by the role of its host', ({ freshUrl }) => {
	const world = shareWorld(freshUrl, { must: [brokenInvariants] });
	const rows = rowsOf(world);

	/** An agent with a host in every role. Its public id is the handle of the zombie. */
	const cast = async (): Promise<Cast> => {
		const agent = await makeAgent(world);
		const terminated = await joinAgent(agent, 'd');
		await agent.client.terminated(agent.id, terminated.instanceId);
		await orderSwitch(agent.client, agent.instanceId, agent.id);
		const primary = await joinAgent(agent, 'b');
		const candidate = await joinAgent(agent, 'c');
		return { ...agent, primary, candidate, zombie: { handle: agent.id, instanceId: agent.instanceId }, terminated };
	};

	const deleted = async (): Promise<Cast> => {
		const made = await cast();
		expect((await made.client.remove(made.id)).status).toBe(200);
		return made;
	};

	const seenAt = async (handle: string): Promise<number> => {
		await world.advance(1000, 500);
		return (await rows.liveness(handle)).seen_at;
	};

	describe('GET config', () => {
		it('primary: the settings of the agent, enabled as it is', async () => {
			const { client, primary, id } = await cast();
			expect((await client.config(primary.handle)).body).toMatchObject({ enabled: true, config_version: 1, terminate_wait_seconds: 300 });
			await client.toggle(id, false);
			expect((await client.config(primary.handle)).body).toMatchObject({ enabled: false, config_version: 2 });
		});

		it.each(PASSIVE)('%s: the same settings, never enabled', async (role) => {
			const made = await cast();
			const { body } = await made.client.config(made[role].handle);
			const { body: ofPrimary } = await made.client.config(made.primary.handle);
			expect({ ...body, enabled: true, data: null }).toEqual({ ...ofPrimary, data: null });
			expect(body.enabled).toBe(false);
		});

		it.each(ROLES)('%s of a deleted agent: 200, never enabled (D-18)', async (role) => {
			const made = await deleted();
			expect(await made.client.config(made[role].handle)).toMatchObject({ status: 200, body: { enabled: false } });
		});
	});

	describe('heartbeat', () => {
		it('primary: the liveness of the agent; only "offline" is taken from its status (D-46)', async () => {
			const { client, primary, id } = await cast();
			for (const status of ['disabled', 'error', 'switching', 'deleted', 'online'] as const) {
				expect((await client.heartbeat(primary.handle, { status })).status).toBe(200);
				expect(await rows.agent(id)).toMatchObject({ status: 'online' });
			}
			await client.heartbeat(primary.handle, { status: 'offline' });
			expect(await rows.agent(id)).toMatchObject({ status: 'offline' });
			await client.heartbeat(primary.handle);
			expect(await rows.agent(id)).toMatchObject({ status: 'online' });
			await client.toggle(id, false);
			await client.heartbeat(primary.handle, { status: 'online' });
			expect(await rows.agent(id)).toMatchObject({ status: 'disabled' });
		});

		it('primary: another instance id is ignored, and an event tells', async () => {
			const { client, primary, zombie, id } = await cast();
			await client.heartbeat(primary.handle, { instance_id: zombie.instanceId });
			expect(await rows.host(primary.handle)).toMatchObject({ role: 'primary', instance_id: primary.instanceId });
			expect(await rows.events(id)).toContain('heartbeat_instance_mismatch');
		});

		it.each(PASSIVE)('%s: its own liveness only, even when it says offline', async (role) => {
			const made = await cast();
			await world.advance(5000);
			const now = world.now();
			expect((await made.client.heartbeat(made[role].handle, { status: 'offline', instance_id: made[role].instanceId })).status).toBe(200);
			expect(await seenAt(made[role].handle)).toBe(now);
			expect(await rows.agent(made.id)).toMatchObject({ status: 'online' });
			expect(await rows.host(made[role].handle)).toMatchObject({ role });
			expect(await rows.host(made.primary.handle)).toMatchObject({ role: 'primary' });
		});

		it.each(ROLES)('%s of a deleted agent: 404 AGENT_DELETED, and it stays deleted (D-18)', async (role) => {
			const made = await deleted();
			expect(await made.client.heartbeat(made[role].handle)).toMatchObject({ status: 404, body: { code: 'AGENT_DELETED' } });
			expect(await rows.agent(made.id)).toMatchObject({ status: 'deleted', enabled: 0 });
		});
	});

	describe('GET agent (D-01)', () => {
		it.each(ROLES)('%s: 200 with the public id, its own handle and role', async (role) => {
			const made = await cast();
			expect(await made.client.probe(made[role].handle)).toMatchObject({
				status: 200,
				body: { agent_id: made.id, handle: made[role].handle, role, enabled: role === 'primary', generation: 2 },
			});
		});

		it.each(ROLES)('%s of a deleted agent: 404', async (role) => {
			const made = await deleted();
			expect(await made.client.probe(made[role].handle)).toMatchObject({ status: 404, body: { code: 'AGENT_DELETED' } });
		});
	});

	describe('pending-commands (D-05)', () => {
		it('primary: claims one', async () => {
			const { client, primary } = await cast();
			await orderSwitch(client, primary.instanceId, primary.handle, 'c');
		});

		it.each(PASSIVE)('%s: empty, and the command stays for the primary', async (role) => {
			const made = await cast();
			const forced = await made.client.force(made.primary.instanceId, 'c');
			expect((await made.client.poll(made[role].handle)).body).toMatchObject({ commands: [], count: 0 });
			expect((await made.client.poll(made.primary.handle)).body.commands).toMatchObject([{ id: forced.body.command_id }]);
		});

		it.each(ROLES)('%s of a deleted agent: empty', async (role) => {
			const made = await cast();
			await made.client.force(made.primary.instanceId, 'c');
			await made.client.remove(made.id);
			expect(await made.client.poll(made[role].handle)).toMatchObject({ status: 200, body: { commands: [] } });
		});
	});

	describe('executed and mark-command-executed', () => {
		it('primary: counts when this host claimed it', async () => {
			const { client, primary } = await cast();
			const command = await orderSwitch(client, primary.instanceId, primary.handle, 'c');
			expect((await client.ack(primary.handle, command, false)).body).toMatchObject({ command_status: 'failed' });
			expect(await rows.command(command)).toMatchObject({ status: 'failed', acknowledged_success: 0 });
		});

		it.each(PASSIVE)('%s: 200, nothing else', async (role) => {
			const made = await cast();
			const command = await orderSwitch(made.client, made.primary.instanceId, made.primary.handle, 'c');
			expect(await made.client.ack(made[role].handle, command, false)).toMatchObject({ status: 200, body: { command_status: 'claimed' } });
			expect(await made.client.mark(made[role].handle, command)).toMatchObject({ status: 200, body: { command_status: 'claimed' } });
			expect(await rows.command(command)).toMatchObject({ status: 'claimed', acknowledged_at: null });
		});

		it('primary: nothing for a command it has not fetched', async () => {
			const { client, primary } = await cast();
			const command = String((await client.force(primary.instanceId, 'c')).body.command_id);
			expect((await client.ack(primary.handle, command)).body).toMatchObject({ command_status: 'pending' });
		});

		it('deleted agent: 200, nothing else', async () => {
			const made = await cast();
			const command = await orderSwitch(made.client, made.primary.instanceId, made.primary.handle, 'c');
			await made.client.remove(made.id);
			expect(await made.client.ack(made.primary.handle, command)).toMatchObject({ status: 200, body: { command_status: 'cancelled' } });
			expect(await rows.command(command)).toMatchObject({ status: 'cancelled', outcome: 'agent_deleted' });
		});

		it('a command of another agent is not found, nor one of another client (D-17)', async () => {
			const made = await cast();
			const other = await makeAgent(world, made.client);
			const stranger = await makeAgent(world);
			for (const { client, instanceId, id } of [other, stranger]) {
				const command = await orderSwitch(client, instanceId, id);
				expect((await made.client.ack(made.primary.handle, command)).status).toBe(404);
			}
		});
	});

	describe('pricing-report and decide', () => {
		const priceOf = (poolId: string) =>
			world.store.read.selectFrom('price_clean').selectAll().where('pool_id', '=', poolId).orderBy('bucket', 'desc').executeTakeFirst();
		const v4 = (handle: string, zone: string) => ({
			agent_id: handle,
			spot_pools: [{ pool_id: `c5.large.${zone}`, instance_type: 'c5.large', az: zone, price: 0.031, is_current: true }],
			ondemand_price: 0.085,
			current_az: zone,
		});

		it('primary: pool prices, its own price and its mode', async () => {
			const { client, primary } = await cast();
			await world.advance(300_000, 4000);
			const { body } = await client.call('pricingReport', {
				agent_id: primary.handle,
				instance: { instance_type: 'c5.large', region: 'us-east-1', mode: 'ondemand', pool_id: null },
				pricing: { on_demand_price: 0.085, spot_pools: [{ pool_id: 'c5.large.us-east-1a', az: 'us-east-1a', price: 0.041 }] },
			});
			expect(body).toMatchObject({ records_inserted: 1 });
			expect(await priceOf('c5.large.us-east-1a')).toMatchObject({ spot_micros: 41_000, source: 'primary', confidence: 1 });
			expect(await rows.host(primary.handle)).toMatchObject({ mode: 'ondemand' });
		});

		it.each(PASSIVE)('%s: pool prices with the confidence of a replica; its mode and its zombie age stay', async (role) => {
			const made = await cast();
			await world.advance(300_000, 4000);
			const before = await rows.host(made[role].handle);
			expect((await made.client.prices(made[role].handle, { 'us-east-1d': 0.052 })).body).toMatchObject({ records_inserted: 1 });
			expect(await priceOf('c5.large.us-east-1d')).toMatchObject({ spot_micros: 52_000, source: 'replica-manual', confidence: 0.95 });
			expect(await rows.host(made[role].handle)).toEqual(before);
		});

		it.each(ROLES)('decide of a %s: no action', async (role) => {
			const made = await cast();
			const { body } = await made.client.call('decide', v4(made[role].handle, 'us-east-1b'));
			expect(body).toMatchObject({
				action: 'NO_ACTION',
				confidence: 0,
				allowed: false,
				prices_stored: 1,
				instance_id: made[role].instanceId,
			});
			if (role !== 'primary') expect(body.reason).toBe('standby host');
		});

		it.each(['primary', 'candidate'] as const)('%s of a deleted agent: 200, no prices, no action', async (role) => {
			const made = await deleted();
			expect((await made.client.prices(made[role].handle, { 'us-east-1a': 0.04 })).body).toMatchObject({ records_inserted: 0 });
			const decided = await made.client.call('decide', v4(made[role].handle, 'us-east-1b'));
			expect(decided.body).toMatchObject({ action: 'NO_ACTION', prices_stored: 0 });
		});
	});

	describe('switch-report', () => {
		it('zombie: T2 for the command it claimed (a guess that is corrected)', async () => {
			const made = await cast();
			const machine = newMachine();
			expect((await made.client.report(made.zombie.handle, machine)).body).toMatchObject({ action: 'corrected' });
		});

		it('candidate: the new machine is named, no role moves', async () => {
			const made = await cast();
			const machine = newMachine();
			expect((await made.client.report(made.candidate.handle, machine)).body).toMatchObject({ action: 'named' });
			expect(await rolesOf(world, made.id)).toMatchObject({ [machine]: 'named', [made.primary.instanceId]: 'primary' });
		});

		it('primary of a deleted agent: the new machine is the workload, never enabled, and nobody is told to end it', async () => {
			const made = await cast();
			await orderSwitch(made.client, made.primary.instanceId, made.primary.handle, 'c');
			await made.client.remove(made.id);
			const machine = newMachine();
			await made.client.report(made.primary.handle, machine);
			expect(await rolesOf(world, made.id)).toMatchObject({ [machine]: 'primary', [made.primary.instanceId]: 'zombie' });
			expect(await rows.agent(made.id)).toMatchObject({ status: 'deleted', enabled: 0 });
			const { body } = await made.client.register(machine, { logical_agent_id: made.logicalId, az: 'us-east-1c' });
			expect(body).toMatchObject({ role: 'primary', config: { enabled: false } });
			await world.advance(600_000, 4000);
			for (const handle of [body.agent_id, made.primary.handle])
				expect((await made.client.terminations(handle)).body.instances).toEqual([]);
			expect(await rows.agent(made.id)).toMatchObject({ status: 'deleted' });
		});
	});

	describe('instances-to-terminate (D-12, D-31)', () => {
		const due = async (made: Cast): Promise<void> => heartbeatsFor(world, 320_000, made.client, [made.primary.handle]);

		it('primary: everything due, never itself; nothing before the wait is over', async () => {
			const made = await cast();
			await heartbeatsFor(world, 280_000, made.client, [made.primary.handle]);
			expect((await made.client.terminations(made.primary.handle)).body).toMatchObject({ instances: [], auto_terminate_enabled: true });
			await heartbeatsFor(world, 40_000, made.client, [made.primary.handle]);
			expect((await made.client.terminations(made.primary.handle)).body.instances).toMatchObject([
				{ instance_id: made.zombie.instanceId, reason: 'zombie_timeout', seconds_waiting: 320 },
			]);
		});

		it('zombie: itself when due; candidate and terminated: nothing', async () => {
			const made = await cast();
			await due(made);
			expect((await made.client.terminations(made.zombie.handle)).body.instances).toMatchObject([{ instance_id: made.zombie.instanceId }]);
			expect((await made.client.terminations(made.candidate.handle)).body.instances).toEqual([]);
			expect((await made.client.terminations(made.terminated.handle)).body.instances).toEqual([]);
		});

		it('never a machine of another agent of the same region and client', async () => {
			const made = await cast();
			const other = await makeAgent(world, made.client);
			await due(made);
			expect((await made.client.terminations(other.id)).body.instances).toEqual([]);
		});

		it('hides a machine for five minutes after an attempt that failed, and drops it when it is gone', async () => {
			const made = await cast();
			await due(made);
			await made.client.terminated(made.primary.handle, made.zombie.instanceId, false);
			expect((await made.client.terminations(made.primary.handle)).body.instances).toEqual([]);
			await heartbeatsFor(world, 300_000, made.client, [made.primary.handle]);
			expect((await made.client.terminations(made.primary.handle)).body.instances).toHaveLength(1);
			await made.client.terminated(made.primary.handle, made.zombie.instanceId, true);
			expect((await made.client.terminations(made.primary.handle)).body).toMatchObject({ instances: [], held: 0 });
		});

		it('a zombie that goes on reporting prices ages all the same (D-12)', async () => {
			const made = await cast();
			for (let n = 0; n < 8; n++) {
				await heartbeatsFor(world, 40_000, made.client, [made.primary.handle]);
				await made.client.prices(made.zombie.handle, { 'us-east-1a': 0.04 });
			}
			expect((await made.client.terminations(made.primary.handle)).body.instances).toHaveLength(1);
		});

		it('is empty with auto-terminate off and says how many are held', async () => {
			const made = await cast();
			await made.client.call('changeConfig', { agent_id: made.id, autoTerminateEnabled: false });
			await due(made);
			expect((await made.client.terminations(made.primary.handle)).body).toMatchObject({
				instances: [],
				auto_terminate_enabled: false,
				held: 1,
			});
		});

		it('keeps the old machine of a switch that was ordered without its end (D-31)', async () => {
			const agent = await makeAgent(world);
			const forced = await agent.client.force(agent.instanceId, 'b', { auto_terminate: false });
			expect(forced.body.terminate_wait_seconds).toBe(0);
			expect((await agent.client.poll(agent.id)).body.commands).toMatchObject([{ terminate_wait_seconds: 0 }]);
			const next = await joinAgent(agent, 'b');
			await heartbeatsFor(world, 400_000, agent.client, [next.handle]);
			expect((await agent.client.terminations(next.handle)).body).toMatchObject({ instances: [], held: 1 });
		});

		it('names only real machines', async () => {
			const client = await world.client();
			const { body } = await client.register('laptop', { logical_agent_id: 'mine' });
			await orderSwitch(client, 'laptop', body.agent_id);
			const { body: next } = await client.register(newMachine(), { logical_agent_id: 'mine', az: 'us-east-1b' });
			expect(next.role).toBe('primary');
			await heartbeatsFor(world, 400_000, client, [next.agent_id]);
			expect((await client.terminations(next.agent_id)).body.instances).toEqual([]);
		});

		it.each(ROLES)('%s of a deleted agent: no zombie is named, and the classic agent is told to look', async (role) => {
			const made = await cast();
			await due(made);
			await made.client.remove(made.id);
			expect(await made.client.terminations(made[role].handle)).toMatchObject({
				status: 200,
				body: { instances: [], auto_terminate_enabled: true },
			});
		});
	});

	describe('termination-report', () => {
		it.each(ROLES)('%s may report any machine of the agent but the primary', async (role) => {
			const made = await cast();
			expect((await made.client.terminated(made[role].handle, made.candidate.instanceId)).status).toBe(200);
			expect(await rows.host(made.candidate.handle)).toMatchObject({ role: 'terminated' });
			expect((await made.client.terminated(made[role].handle, made.primary.instanceId)).status).toBe(409);
		});

		it('a deleted agent may too', async () => {
			const made = await deleted();
			expect((await made.client.terminated(made.primary.handle, made.zombie.instanceId)).status).toBe(200);
			expect((await made.client.terminated(made.zombie.handle, made.primary.instanceId)).status).toBe(409);
		});

		it('of v4, which says only why, counts as success', async () => {
			const made = await cast();
			await made.client.call('terminationReport', {
				agent_id: made.primary.handle,
				instance_id: made.zombie.instanceId,
				termination_reason: 'switched',
			});
			expect(await rows.host(made.zombie.handle)).toMatchObject({ role: 'terminated' });
		});
	});

	describe('replicas polls, cleanup-report', () => {
		it.each(ROLES)('%s: no replicas in either poll', async (role) => {
			const made = await cast();
			for (const status of ['launching', 'terminated', undefined]) {
				const reply = await made.client.call('listHostReplicas', { agent_id: made[role].handle, status });
				expect(reply).toMatchObject({ status: 200, body: { replicas: [], total: 0 } });
			}
		});

		it('deleted agent: both polls go on, the rest is 404', async () => {
			const made = await deleted();
			for (const [status, wanted] of [
				['launching', 200],
				['terminated', 200],
				[undefined, 404],
			] as const) {
				expect((await made.client.call('listHostReplicas', { agent_id: made.primary.handle, status })).status).toBe(wanted);
			}
		});

		it("cleanup-report: only the primary's is the agent's last cleanup", async () => {
			const made = await cast();
			const cleanup = (handle: string) =>
				made.client.call('cleanupReport', { agent_id: handle, snapshots: { deleted: ['snap-1'], failed: [] } });
			for (const role of PASSIVE) expect(await cleanup(made[role].handle)).toMatchObject({ status: 200, body: { deleted_snapshots: 1 } });
			expect(await rows.agent(made.id)).toMatchObject({ last_cleanup_at: null });
			await cleanup(made.primary.handle);
			expect(await rows.agent(made.id)).toMatchObject({ last_cleanup_at: world.now() });
		});
	});

	describe('termination and uninstall', () => {
		it('primary: the agent is offline, and its role stays', async () => {
			const made = await cast();
			await made.client.call('hostEnded', { agent_id: made.primary.handle, reason: 'spot interruption' });
			expect(await rows.agent(made.id)).toMatchObject({ status: 'offline', terminated_at: world.now() });
			expect(await rows.host(made.primary.handle)).toMatchObject({ role: 'primary' });
			const other = await cast();
			await other.client.call('uninstallHost', { instance_id: other.primary.instanceId, reason: 'manual_uninstall' });
			expect(await rows.agent(other.id)).toMatchObject({ status: 'offline' });
			expect(await rows.notifications(other.id)).toContainEqual(expect.objectContaining({ type: 'agent_uninstalled' }));
			expect(await rows.host(other.primary.handle)).toMatchObject({ role: 'primary', said_offline_at: world.now() });
		});

		it.each(['candidate', 'zombie'] as const)('%s: of the host only', async (role) => {
			const made = await cast();
			await made.client.call('uninstallHost', { instance_id: made[role].instanceId });
			expect(await rows.host(made[role].handle)).toMatchObject({ role, said_offline_at: world.now() });
			await made.client.call('hostEnded', { agent_id: made[role].handle });
			expect(await rows.host(made[role].handle)).toMatchObject({ role: 'terminated' });
			expect(await rows.agent(made.id)).toMatchObject({ status: 'online' });
		});

		it('deleted agent: 200, nothing changes', async () => {
			const made = await deleted();
			expect((await made.client.call('hostEnded', { agent_id: made.primary.handle })).status).toBe(200);
			expect((await made.client.call('hostEnded', { agent_id: made.candidate.handle })).status).toBe(200);
			expect(await rolesOf(world, made.id)).toMatchObject({
				[made.primary.instanceId]: 'primary',
				[made.candidate.instanceId]: 'candidate',
			});
		});

		it("uninstall of a machine nobody knows is 200, and never another client's (D-17)", async () => {
			const made = await cast();
			const stranger = await world.client();
			expect((await stranger.call('uninstallHost', { instance_id: made.primary.instanceId })).status).toBe(200);
			expect(await rows.agent(made.id)).toMatchObject({ status: 'online' });
		});
	});

	it.each(ROLES)('every call of a %s counts as a sign of life of that host alone', async (role) => {
		const made: Cast & Record<Role, Host> = await cast();
		const { client } = made;
		const { handle } = made[role];
		const calls: (() => Promise<unknown>)[] = [
			() => client.config(handle),
			() => client.probe(handle),
			() => client.poll(handle),
			() => client.terminations(handle),
			() => client.prices(handle, { 'us-east-1a': 0.04 }),
			() => client.call('listHostReplicas', { agent_id: handle, status: 'launching' }),
			() => client.call('cleanupReport', { agent_id: handle }),
			() => client.terminated(handle, made.terminated.instanceId),
			() => client.report(handle, made[role].instanceId),
		];
		await world.advance(2000);
		const others = ROLES.filter((other) => other !== role);
		const before = await Promise.all(others.map((other) => rows.liveness(made[other].handle)));
		for (const [index, call] of calls.entries()) {
			await world.advance(2000);
			const now = world.now();
			await call();
			expect(await seenAt(handle), `call ${index}`).toBe(now);
		}
		expect(await Promise.all(others.map((other) => rows.liveness(made[other].handle)))).toEqual(before);
	});
});
