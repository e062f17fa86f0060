import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { describeEachDatabase } from '../helpers/databases.ts';
import { openWorld, type World } from '../helpers/world.ts';
import { type AgentScene, heartbeatsFor, joinAgent, makeAgent, orderSwitch, rolesOf, rowsOf } from './agent-scene.ts';
import { imminent, pollingAgent, readyReplica } from './replica-scene.ts';

const SECOND = 1000;
const MINUTE = 60 * SECOND;

describeEachDatabase('a zombie that calls while the primary is silent', ({ freshUrl }) => {
	let world: World;
	let rows: ReturnType<typeof rowsOf>;
	beforeAll(async () => {
		world = await openWorld(await freshUrl());
		rows = rowsOf(world);
	});
	afterAll(() => world.close());

	const promote = (instanceId: string) => world.admin.call('promoteInstance', { instance_id: instanceId });

	/** The primary was promoted over the machine `zombie` for its silence; that one calls again since. */
	const comeBack = async () => {
		const { agent, replica } = await readyReplica(world);
		await heartbeatsFor(world, 200 * SECOND, agent.client, [replica.handle]);
		expect(await rolesOf(world, agent.id)).toMatchObject({ [agent.instanceId]: 'zombie', [replica.instanceId]: 'primary' });
		await agent.client.heartbeat(agent.id);
		return { agent, zombie: { handle: agent.id, instanceId: agent.instanceId }, primary: replica };
	};
	/** And then the primary is killed. */
	const killed = async () => {
		const scene = await comeBack();
		await heartbeatsFor(world, 4 * MINUTE, scene.agent.client, [scene.zombie.handle]);
		return scene;
	};
	const told = async ({ id }: Pick<AgentScene, 'id'>) => {
		const events = await world.store.read.selectFrom('event').selectAll().where('agent_id', '=', id).orderBy('id').execute();
		const last = (of: readonly { readonly type: string; readonly message: string }[], type: string) =>
			of.filter((each) => each.type === type).at(-1)?.message;
		return [last(events, 'agent_marked_offline'), last(await rows.notifications(id), 'agent_offline')];
	};

	it('does not take over, and stays passive: only candidates do (identity.md T3)', async () => {
		const { agent, zombie, primary } = await killed();
		expect(await rolesOf(world, agent.id)).toEqual({ [zombie.instanceId]: 'zombie', [primary.instanceId]: 'primary' });
		expect((await rows.agent(agent.id)).status).toBe('offline');
		expect((await agent.client.config(zombie.handle)).body.enabled).toBe(false);
	});

	it('is named to a person, with the command that brings it back', async () => {
		const { agent, zombie } = await killed();
		for (const message of await told(agent))
			expect(message).toContain(
				`${zombie.instanceId} (zombie, on hold) still calls; if the primary is gone: spotctl instances promote ${zombie.instanceId}`,
			);
	});

	it('becomes the primary by that command, and acts from its next call on; the old primary is on hold', async () => {
		const { agent, zombie, primary } = await killed();
		expect(await promote(zombie.instanceId)).toMatchObject({
			status: 200,
			body: { agent_id: agent.id, new_instance_id: zombie.instanceId, old_instance_id: primary.instanceId },
		});
		expect(await rolesOf(world, agent.id)).toEqual({ [zombie.instanceId]: 'primary', [primary.instanceId]: 'zombie' });
		expect(await rows.host(primary.handle)).toMatchObject({ role: 'zombie', hold: 1 });
		expect((await rows.agent(agent.id)).status).toBe('online');
		expect((await agent.client.config(zombie.handle)).body.enabled).toBe(true);
		await heartbeatsFor(world, 20 * MINUTE, agent.client, [zombie.handle]);
		expect((await rows.agent(agent.id)).status).toBe('online');
		expect((await agent.client.terminations(zombie.handle)).body.instances).toEqual([]);
	});

	it('is called what it was in the event and the notification of its promotion, and no replica', async () => {
		const { agent, zombie } = await killed();
		await promote(zombie.instanceId);
		const said = await world.store.read
			.selectFrom('event')
			.select('message')
			.where('agent_id', '=', agent.id)
			.where('type', '=', 'switch_completed')
			.orderBy('id', 'desc')
			.executeTakeFirst();
		const told = (await rows.notified(agent.id, 'instance_switched')).at(-1);
		for (const text of [said?.message, told?.message]) expect(text).toMatch(/: an operator promoted it, a zombie that called$/);
	});

	it('can be brought back again after the other one had its turn', async () => {
		const { agent, zombie, primary } = await killed();
		await promote(zombie.instanceId);
		await agent.client.heartbeat(primary.handle);
		await heartbeatsFor(world, 4 * MINUTE, agent.client, [primary.handle]);
		expect((await promote(primary.instanceId)).status).toBe(200);
		await heartbeatsFor(world, 4 * MINUTE, agent.client, [zombie.handle]);
		expect((await promote(zombie.instanceId)).status).toBe(200);
		expect(await rolesOf(world, agent.id)).toEqual({ [zombie.instanceId]: 'primary', [primary.instanceId]: 'zombie' });
	});

	it('is not named where a candidate takes over, nor when it is silent as well', async () => {
		const first = await comeBack();
		const candidate = await joinAgent(first.agent, 'd');
		await heartbeatsFor(world, 4 * MINUTE, first.agent.client, [first.zombie.handle, candidate.handle]);
		expect((await rolesOf(world, first.agent.id))[candidate.instanceId]).toBe('primary');
		const second = await comeBack();
		await world.advance(5 * MINUTE, 4000);
		for (const { agent } of [first, second])
			for (const message of await told(agent)) if (message !== undefined) expect(message).not.toContain('promote');
	});

	describe('and a person who promotes the wrong thing', () => {
		it.each([
			['of an agent whose primary calls', comeBack, 'zombie', 'PRIMARY_ALIVE'],
			['that is the primary', killed, 'primary', 'NOT_PROMOTABLE'],
		] as const)('is refused a machine %s', async (_, make, which, code) => {
			const scene = await make();
			expect(await promote(scene[which].instanceId)).toMatchObject({ status: 409, body: { code } });
		});

		it('is refused a machine that does not call, and one that nobody knows', async () => {
			const { zombie } = await comeBack();
			await world.advance(5 * MINUTE, 4000);
			expect(await promote(zombie.instanceId)).toMatchObject({ status: 409, body: { code: 'NOT_CALLING' } });
			expect((await promote('i-nobody')).status).toBe(404);
		});

		it('is refused with the token of a client, which every machine has', async () => {
			const { agent, zombie } = await killed();
			expect((await agent.client.call('promoteInstance', { instance_id: zombie.instanceId })).status).toBe(403);
		});

		it('is refused a zombie that the primary may be ending just now, and told how to keep it', async () => {
			const agent = await pollingAgent(world);
			await orderSwitch(agent.client, agent.instanceId, agent.id, 'b');
			const next = await joinAgent(agent, 'b');
			await heartbeatsFor(world, 10 * MINUTE, agent.client, [agent.id, next.handle]);
			expect((await agent.client.terminations(next.handle)).body.instances).toMatchObject([{ instance_id: agent.instanceId }]);
			await imminent(world, agent, next.handle);
			const refused = await world.admin.call('promoteInstance', { instance_id: agent.instanceId });
			expect(refused).toMatchObject({ status: 409, body: { code: 'ABOUT_TO_END', hint: expect.stringContaining('instances hold') } });
			await world.admin.hold(agent.instanceId, true);
			expect((await world.admin.call('promoteInstance', { instance_id: agent.instanceId })).status).toBe(200);
		});

		it('is refused a machine of a deleted agent', async () => {
			const agent = await makeAgent(world);
			const candidate = await joinAgent(agent);
			await agent.client.remove(agent.id);
			expect((await promote(candidate.instanceId)).status).toBe(404);
		});
	});
});
