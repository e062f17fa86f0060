import { describe, expect, it } from 'vitest';
import { describeEachDatabase } from '../helpers/databases.ts';
import { brokenInvariants } from '../helpers/invariants.ts';
import { shareWorld } from '../helpers/shared-world.ts';
import type { Actor } from '../helpers/world.ts';
import { heartbeatsFor, joinAgent, makeAgent, newMachine, orderSwitch, rolesOf, rowsOf } from './agent-scene.ts';

describeEachDatabase('ids', ({ freshUrl }) => {
	const world = shareWorld(freshUrl, { must: [brokenInvariants] });
	const rows = rowsOf(world);

	/** An agent that has switched: its public id is the handle of a zombie now. */
	const switched = async () => {
		const agent = await makeAgent(world);
		await orderSwitch(agent.client, agent.instanceId, agent.id);
		const primary = await joinAgent(agent, 'b');
		return { agent, primary, client: agent.client };
	};

	describe('operator routes', () => {
		it('take any handle of the agent and answer with the public id', async () => {
			const { agent, primary, client } = await switched();
			for (const actor of [client, world.admin] as Actor[]) {
				for (const handle of [agent.id, primary.handle]) {
					expect((await actor.agent(handle)).body).toMatchObject({ id: agent.id, instanceId: primary.instanceId, generation: 2 });
					expect((await actor.toggle(handle, false)).body).toMatchObject({ enabled: false });
					expect((await actor.toggle(handle, true)).status).toBe(200);
					expect((await actor.call('changeConfig', { agent_id: handle, terminate_wait_seconds: 60 })).status).toBe(200);
					const { body } = await actor.call('listCommands', { agent_id: handle });
					expect(body.data).toMatchObject([{ agent_id: agent.id }]);
				}
			}
		});

		it('DELETE takes the public id only: any other handle is 409 with it', async () => {
			const { agent, primary, client } = await switched();
			expect(await client.remove(primary.handle)).toMatchObject({ status: 409, body: { code: 'NOT_THE_AGENT_ID', agent_id: agent.id } });
			expect((await client.heartbeat(primary.handle)).status).toBe(200);
			expect((await client.remove(agent.id)).body).toMatchObject({ success: true, agent_id: agent.id });
			expect((await world.admin.restore(primary.handle)).body).toMatchObject({ agent_id: agent.id });
		});

		it('lists, events and notifications carry the public id and the machine, never a handle', async () => {
			const { agent, primary, client } = await switched();
			await client.report(agent.id, primary.instanceId);
			const answers = [
				await client.call('listOwnAgents', {}),
				await client.call('listClientAgents', { client_id: client.id }),
				await client.call('listAgentHistory', { client_id: client.id }),
				await client.call('listClientInstances', { client_id: client.id }),
				await client.call('switchHistory', { client_id: client.id }),
				await client.call('listCommands', {}),
				await client.call('showInstance', { instance_id: primary.instanceId }),
				await world.store.read.selectFrom('event').selectAll().where('client_id', '=', client.id).execute(),
				await world.store.read.selectFrom('notification').selectAll().where('client_id', '=', client.id).execute(),
				await world.store.read.selectFrom('audit').selectAll().where('client_id', '=', client.id).execute(),
			];
			for (const answer of answers) expect(JSON.stringify(answer)).not.toContain(primary.handle);
			expect(JSON.stringify(answers[0])).toContain(agent.id);
			expect(JSON.stringify((await client.agent(agent.id)).body)).toContain(primary.handle);
		});
	});

	it('the public id with a client token on a host route is host 1, whatever its role now', async () => {
		const { agent, client } = await switched();
		expect((await client.probe(agent.id)).body).toMatchObject({ instance_id: agent.instanceId, role: 'zombie', enabled: false });
		expect((await client.config(agent.id)).body.enabled).toBe(false);
	});

	describe('an admin token on a host route means the agent', () => {
		it('reads as the current primary would, by any handle, without a claim or a lease', async () => {
			const { agent, primary, client } = await switched();
			const forced = await client.force(primary.instanceId, 'c');
			for (const handle of [agent.id, primary.handle]) {
				expect((await world.admin.config(handle)).body).toMatchObject({ enabled: true });
				expect((await world.admin.probe(handle)).body).toMatchObject({ role: 'primary', handle: primary.handle, agent_id: agent.id });
				expect((await world.admin.poll(handle)).body.commands).toMatchObject([{ id: forced.body.command_id }]);
			}
			expect(await rows.command(String(forced.body.command_id))).toMatchObject({ status: 'pending', claimed_at: null });
			expect((await client.poll(primary.handle)).body.commands).toHaveLength(1);
			expect((await world.admin.poll(agent.id)).body.commands).toEqual([]);
		});

		it('is no sign of life', async () => {
			const { agent, primary, client } = await switched();
			await world.advance(5000);
			const before = await rows.liveness(primary.handle);
			await world.advance(20_000);
			await world.admin.heartbeat(agent.id);
			await world.admin.config(agent.id);
			await world.admin.poll(agent.id);
			await world.admin.terminations(agent.id);
			await world.admin.prices(agent.id, { 'us-east-1a': 0.04 });
			await world.admin.terminated(agent.id, agent.instanceId, false);
			await world.advance(2000);
			expect(await rows.liveness(primary.handle)).toEqual(before);
			expect(client.id).not.toBe('');
		});

		it('sees the terminate list of the primary without an attempt', async () => {
			const { agent, primary, client } = await switched();
			await heartbeatsFor(world, 320_000, client, [primary.handle]);
			for (let n = 0; n < 2; n++) expect((await world.admin.terminations(agent.id)).body.instances).toHaveLength(1);
			expect((await client.terminations(primary.handle)).body.instances).toHaveLength(1);
		});

		it('writes count as reported for the primary and are audited', async () => {
			const { agent, primary, client } = await switched();
			const machine = newMachine();
			expect((await world.admin.report(agent.id, machine)).body).toMatchObject({ action: 'switched' });
			expect(await rolesOf(world, agent.id)).toMatchObject({ [machine]: 'primary', [primary.instanceId]: 'zombie' });
			const audits = await world.store.read.selectFrom('audit').select(['action', 'actor']).where('entity_id', '=', agent.id).execute();
			expect(audits).toContainEqual({ action: 'switches.report', actor: 'admin:configured' });
			expect(client.id).not.toBe('');
		});
	});

	describe('of somebody else', () => {
		it("another client's handle, or one nobody was given, is 404; GET agent 403 (D-01, D-17)", async () => {
			const { agent, primary } = await switched();
			const stranger = await world.client();
			for (const handle of [agent.id, primary.handle, '00000000-0000-4000-8000-ffffffffffff', 'x', '%', '😀']) {
				expect((await stranger.probe(handle)).status, handle).toBe(403);
				for (const reply of [
					await stranger.heartbeat(handle),
					await stranger.config(handle),
					await stranger.poll(handle),
					await stranger.terminations(handle),
					await stranger.report(handle, newMachine()),
					await stranger.ack(handle, 'x'),
					await stranger.terminated(handle, agent.instanceId),
					await stranger.prices(handle, { 'us-east-1a': 0.04 }),
					await stranger.call('decide', { agent_id: handle }),
					await stranger.call('cleanupReport', { agent_id: handle }),
					await stranger.call('hostEnded', { agent_id: handle }),
					await stranger.call('listHostReplicas', { agent_id: handle, status: 'launching' }),
					await stranger.agent(handle),
					await stranger.toggle(handle, false),
					await stranger.remove(handle),
				]) {
					expect([reply.status, reply.body.code], handle).toEqual([404, 'NOT_FOUND']);
				}
			}
			expect(await rolesOf(world, agent.id)).toMatchObject({ [primary.instanceId]: 'primary' });
			expect(await rows.agent(agent.id)).toMatchObject({ status: 'online', enabled: 1 });
		});

		it('the same instance id of two clients are two machines', async () => {
			const [one, two] = [await world.client(), await world.client()];
			const instanceId = newMachine();
			const [{ body: first }, { body: second }] = [await one.register(instanceId), await two.register(instanceId)];
			expect(first.agent_id).not.toBe(second.agent_id);
			expect((await one.force(instanceId, 'b')).status).toBe(200);
			expect((await two.poll(second.agent_id)).body.commands).toEqual([]);
			expect((await world.admin.force(instanceId, 'b')).status).toBe(409);
			expect((await world.admin.force(instanceId, 'b', { client_id: two.id })).status).toBe(200);
		});
	});
});
